"""Explicit score matching (ESM): regress the model on a score that is known or estimated.

The Fisher divergence measures how far the model's score is from that of the density p:

    (ESM.1)  J_ESM(θ) = ½ E_{x~p} ‖s_θ(x) − ∇log p(x)‖²

For continuous s it is zero exactly when s_θ = ∇log p wherever p > 0. It weighs errors by p: where
there are no data, nothing is learned. Given samples, ∇log p is unknown. A kernel density estimate
from n points x_i,

    (ESM.2)  p_h(x) = 1/n Σ_i N(x; x_i, h²I)

is a mixture of n equal Gaussians of bandwidth h > 0, so (MIX.3) and (MIX.4) give its score. The
normaliser (2πh²)^{d/2} is the same in every kernel, so it cancels in the weights:

    (ESM.3)  w_i(x) = exp(−‖x−x_i‖²/2h²) / Σ_j exp(−‖x−x_j‖²/2h²)         softmax over the data
    (ESM.4)  ∇log p_h(x) = Σ_i w_i (x_i − x)/h² = (Σ_i w_i x_i − x)/h²    the mean shift over h²
    (ESM.5)  log p_h(x) = log Σ_i exp(−‖x−x_i‖²/2h²) − log n − (d/2) log 2πh²

At a data point, x = x_j, the point's own kernel is the largest and pulls nothing. Writing
w_j = 1/(1 + r) with r = Σ_{i≠j} exp(−‖x_j−x_i‖²/2h²), and w'_i for the weights without point j,

    (ESM.6)  ∇log p_h(x_j) = r/(1 + r) · (Σ_{i≠j} w'_i x_i − x_j)/h²

so between distinct points the score shrinks to 0 as h → 0. When x is the data, leave one out, which
is the second factor alone.

Cost: a network pass for the loss, N·n kernels for the target. Fails: p_h is p blurred by h (in
expectation q_h of DSM.1), a bias of order h²; less blur means more noise, hopeless in high d.
Sources: Hyvärinen 2005, eq. 2; Parzen 1962; Vincent 2011, section 4.1; Fukunaga & Hostetler 1975.
"""

import autograd.numpy as np

from .checks import like, points, positive, same_rows
from .data import log_sum_exp, row_max, squared_distances
from .derivatives import half_mean_square

BLOCK = 2**18  # kernel values held at once: 2 MiB in float64


def explicit_loss(score, x, target):
    """½ E‖s(x) − target‖², a scalar. target (N,d) holds the values of the score to match."""
    x = points("x", x)
    target = same_rows("target", target, x)
    return half_mean_square(like(score(x), x), target)                       # ()  (ESM.1)


def _log_kernels(x, data, h, leave_one_out=False):
    """Blocks of rows of −‖x_n − x_i‖²/2h²."""
    rows = max(1, BLOCK // len(data))
    for start in range(0, len(x), rows):
        block = x[start:start + rows]                                        # (B,d)
        a = squared_distances(block, data) / (-2 * h**2)                     # (B,n)
        if leave_one_out:
            own = np.arange(len(data)) == start + np.arange(len(block))[:, None]
            a = np.where(own, -np.inf, a)
        yield a


def kde_log_density(x, data, h):
    """log p_h(x), (N,d) -> (N,), for data (n,d) and bandwidth h > 0; memory does not grow with N."""
    x, h = points("x", x), positive("h", h)
    data = points("data", data, x.shape[1]).astype(x.dtype, copy=False)
    n, d = data.shape
    log_norm = float(np.log(n) + 0.5 * d * np.log(2 * np.pi * h**2))
    return np.concatenate([log_sum_exp(a) for a in _log_kernels(x, data, h)]) - log_norm  # (N,)  (ESM.5)


def kde_score(x, data, h, leave_one_out=False):
    """∇log p_h(x), (N,d) -> (N,d). leave_one_out: x is data itself, and each row skips its own kernel."""
    x, h = points("x", x), positive("h", h)
    data = points("data", data, x.shape[1]).astype(x.dtype, copy=False)
    if leave_one_out and (len(data) < 2 or not np.array_equal(x, data)):
        raise ValueError(f"leave_one_out wants x to be data itself, at least 2 rows; shapes {x.shape}, {data.shape}")
    centre = data.mean(axis=0)                                               # keeps the sums below small
    shifted, weighted = data - centre, []
    for a in _log_kernels(x, data, h, leave_one_out):
        w = np.exp(a - row_max(a))                                           # (B,n)  w_i to a factor
        weighted.append(np.dot(w, shifted) / np.sum(w, axis=1, keepdims=True))  # (B,d)  (ESM.3)
    return (np.concatenate(weighted) - (x - centre)) / h**2                  # (N,d)  (ESM.4)
