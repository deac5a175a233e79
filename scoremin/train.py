"""Training (FIT): stochastic gradient descent with Adam and a cosine schedule.

With g the gradient of the loss on a random batch, step k = 1 … K, and elementwise operations,

    (FIT.1)  m ← β₁ m + (1 − β₁) g,    u ← β₂ u + (1 − β₂) g²,    β₁ = .9, β₂ = .999
    (FIT.2)  m̂ = m/(1 − β₁^k),  û = u/(1 − β₂^k)
    (FIT.3)  θ ← θ − η_k m̂/(√û + 10⁻⁸)
    (FIT.4)  η_k = η · ½(1 + cos(π (k − 1)/K))

(FIT.2) makes up for m = u = 0 at the start: if all g are equal, m̂ = g and û = g² exactly, and each
entry of θ moves by η_k. The losses of this package are noisy even at the optimum, and the noise in θ
shrinks with η_k: the schedule ends near zero, at η sin²(π/2K).

Sources: Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2017, eq. 5.
"""

import math

import numpy as np
from autograd import value_and_grad

from .checks import floats, points, positive, whole


def leaves(params):
    """The arrays in nested lists and tuples, flat, in order."""
    if isinstance(params, (list, tuple)):
        return [a for part in params for a in leaves(part)]
    return [np.ravel(params)]


def unpack(parts, params):
    """The flat arrays that parts yields, in the shapes and the nesting of params."""
    if isinstance(params, (list, tuple)):
        return type(params)(unpack(parts, part) for part in params)
    return next(parts).reshape(np.shape(params))


def adam_step(theta, g, m, u, k, rate):
    """One step, k = 1, 2, …, in place on flat vectors theta, m, u (P,)."""
    m *= 0.9
    m += 0.1 * g                                                             # (P,)  (FIT.1)
    u *= 0.999
    u += 0.001 * g * g                                                       # (P,)  (FIT.1)
    root = np.sqrt(u)
    root *= 1 / math.sqrt(1 - 0.999**k)                                      # (P,)  (FIT.2)
    root += 1e-8
    theta -= (rate / (1 - 0.9**k)) * m / root                                # (P,)  (FIT.2) (FIT.3)


def fit(loss, params, data, *, steps, rng, batch_size=256, learning_rate=1e-3, progress=None):
    """Minimise E loss(params, x, rng) over random batches x (batch_size, d) of data (n, d).

    Draws with replacement, in the dtype of params. progress, if given, wraps the iterator over steps,
    as tqdm does. Returns the trained params and the losses (steps,). Raises FloatingPointError when
    a loss or its gradient is not finite."""
    theta = floats(np.concatenate(leaves(params)))                           # (P,)
    ends = np.cumsum([a.size for a in leaves(params)])[:-1]
    params = unpack(iter(np.split(theta, ends)), params)                     # views of theta
    data = points("data", data).astype(theta.dtype, copy=False)
    steps, batch_size = whole("steps", steps), whole("batch_size", batch_size)
    rate, gradient = positive("learning_rate", learning_rate), value_and_grad(loss)
    m, u, losses = np.zeros_like(theta), np.zeros_like(theta), np.empty(steps)
    np.empty(2**25 - 2**16, np.uint8)  # allocate and free: glibc then keeps smaller blocks for the next step
    for k in (progress or iter)(range(steps)):
        x = data[rng.integers(len(data), size=batch_size)]                   # (B,d)
        losses[k], g = gradient(params, x, rng)
        g = np.concatenate(leaves(g))                                        # (P,)
        if not (np.isfinite(losses[k]) and np.isfinite(np.sum(g))):
            raise FloatingPointError(f"at step {k} the loss is {losses[k]:.3g} and |gradient| {np.abs(g).max():.3g}, "
                                     f"|params| {np.abs(theta).max():.3g}; try a learning_rate below {rate:.3g}")
        rate_k = rate * 0.5 * (1 + math.cos(math.pi * k / steps))            # (FIT.4)
        adam_step(theta, g, m, u, k + 1, rate_k)
    return params, losses
