"""Explicit score matching (ESM): regress the model on a score that is known or estimated.

If the true score were known at the data, a model could be fitted to it as one fits a curve. How far off it then is, the
Fisher divergence says; without the true score, a guess made from the data must do. For a density p:

    (ESM.1)  J_ESM(θ) = ½ E_{x~p} ‖s_θ(x) − ∇log p(x)‖²

For continuous s and ∇log p it is zero exactly when s_θ = ∇log p wherever p > 0. An error counts by how likely its x is:
where there are no data, nothing is learned.

Given samples, ∇log p is unknown. A kernel density estimate (KDE) puts a small Gaussian, its kernel, on each of n points
x_i. That is a mixture, so (MIX.3) and (MIX.4) give its score, with weights from which the normaliser (2πh²)^{d/2}, the
same in every kernel, cancels. The score leads from x to a weighted mean of the data:

    (ESM.2)  p_h(x) = 1/n ∑_i N(x; x_i, h²I),   h > 0 the bandwidth
    (ESM.3)  w_i(x) = exp(−‖x−x_i‖²/2h²) / ∑_j exp(−‖x−x_j‖²/2h²)
    (ESM.4)  ∇log p_h(x) = ∑_i w_i (x_i − x)/h²
    (ESM.5)  log p_h(x) = log ∑_i exp(−‖x−x_i‖²/2h²) − log n − (d/2) log 2πh²

At a data point, x = x_j, the point's own kernel is exp 0 = 1, the largest, and pulls nothing. Let r be the sum of the
other kernels, ∑_{i≠j} exp(−‖x_j−x_i‖²/2h²), so w_j = 1/(1 + r), and w_i^{(j)} the weights without point j, to get
(ESM.6): between distinct points the score shrinks to 0 as h → 0. When x is the data, leave one out: take the second
factor alone. The density too is overrated at x_j by its own kernel. Left out, (ESM.9) has a mean over j that estimates
E_p log p_h: the h of its maximum is a bandwidth chosen by the data. Where rows repeat there is none: if x_j has m − 1
equals, then as h → 0 they alone are left (ESM.10); add noise as wide as the spacing of rounded values first (REC.1).
And a fit at the points x_j is not one at points x_j + hz of p_h (ESM.8); the latter is denoising (DSM.7):

    (ESM.6)  ∇log p_h(x_j) = r/(1 + r) · ∑_{i≠j} w_i^{(j)} (x_i − x_j)/h²
    (ESM.9)  log p_h^{(j)}(x_j) = log ∑_{i≠j} exp(−‖x_j−x_i‖²/2h²) − log(n − 1) − (d/2) log 2πh²
    (ESM.10) log p_h^{(j)}(x_j) → log (m − 1)/(n − 1) − d log h − (d/2) log 2π → ∞
    (ESM.8)  ½ 1/n ∑_j ‖s_θ(x_j) − ∇log p_h(x_j)‖²,   not ½ E_{x~p_h} ‖s_θ(x) − ∇log p_h(x)‖²

Cost: a network pass for the loss, N·n kernels for the target. Fails: p_h is p blurred by h, a bias of order h²; less
blur means more noise, hopeless in high d. And equal scores mean equal densities only where p > 0 is one region. Let
p = ∑_k w_k p_k and p' = ∑_k w'_k p_k have the same parts with other weights. Where one part alone matters its weight is
a factor, and ∇log p = ∇log p_k = ∇log p': no loss of this kind sees the weights of far modes. As the parts separate,
with KL(p‖p') = E_p log p/p',

    (ESM.7)  ½ E_p ‖∇log p' − ∇log p‖² → 0,   KL(p‖p') → ∑_k w_k log(w_k/w'_k)

Sources: Hyvärinen 2005, eq. 2; Parzen 1962; Vincent 2011, section 4.1; Fukunaga & Hostetler 1975 (ESM.4);
Wenliang & Kanagawa 2020 (ESM.7).
"""

import autograd.numpy as np

from .checks import checked, demand
from .data import log_sum_exp, row_max
from .derivatives import half_square, mean

BLOCK = 2**17  # kernel values held at once, in each coordinate: 1 MiB in float64


@checked
def explicit_loss(score, x, target):
    """½ E‖s(x) − target‖², a scalar. target (N,d) holds the values of the score to match."""
    s = score(x)                                                             # (N,d)
    return mean(half_square(s - target))                                     # ()  (ESM.1)


def _kernels(x, data, h, leave_one_out):
    """For blocks of rows of x: the differences x_i − x, one (B,n) a coordinate, and −‖x − x_i‖²/2h² (B,n)."""
    alike = len(data) > 1 and np.array_equal(x, data)
    demand(alike or not leave_one_out, "leave_one_out", True, f"x, {x.shape}, to be data itself, at least 2 rows")
    rows = max(1, BLOCK // data.size)
    for start in range(0, len(x), rows):
        shifts = [x_i - x_j[:, None] for x_i, x_j in zip(data.T, x[start:start + rows].T)]  # d of (B,n)
        a = sum(shift**2 for shift in shifts) / (-2 * h**2)                  # (B,n)
        if leave_one_out:
            a = np.where(np.eye(*a.shape, k=start, dtype=bool), -np.inf, a)
        yield shifts, a


@checked
def kde_log_density(x, data, h, leave_one_out=False):
    """log p_h(x), (N,d) -> (N,), for data (n,d) and bandwidth h > 0; memory does not grow with N.
    leave_one_out: x is data itself, and each row skips its own kernel."""
    n, d = len(data) - leave_one_out, data.shape[1]
    log_norm = float(np.log(n) + 0.5 * d * np.log(2 * np.pi * h**2))
    a = np.concatenate([log_sum_exp(a) for _, a in _kernels(x, data, h, leave_one_out)])  # (N,)
    return a - log_norm                                                      # (N,)  (ESM.5) (ESM.9)


@checked
def kde_score(x, data, h, leave_one_out=False):
    """∇log p_h(x), (N,d) -> (N,d); arguments as in kde_log_density."""
    shift = []
    for shifts, a in _kernels(x, data, h, leave_one_out):
        w = np.exp(a - row_max(a))                                           # (B,n)
        w = w / np.sum(w, axis=1, keepdims=True)                             # (B,n)  (ESM.3)
        shift.append(np.stack([np.sum(w * part, axis=1) for part in shifts], axis=1))  # (B,d)
    return np.concatenate(shift) / h**2                                      # (N,d)  (ESM.4)
