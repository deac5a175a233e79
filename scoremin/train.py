"""Training (FIT): stochastic gradient descent with Adam and a cosine schedule.

With g the gradient of the loss on a random batch, step k = 1 … K, and elementwise operations,

    (FIT.1)  m ← β₁ m + g,    u ← β₂ u + g²,    β₁ = .9, β₂ = .999
    (FIT.2)  m̂ = m (1 − β₁)/(1 − β₁^k),    û = u (1 − β₂)/(1 − β₂^k)
    (FIT.3)  θ ← θ − η_k m̂/(√û + 10⁻⁸)
    (FIT.4)  η_k = η · ½(1 + cos(π (k − 1)/K))

(FIT.2) divides by the sum of the weights, 1 + β + … + β^{k−1}, so that m̂ and û are weighted means of
the g and g² so far: if all g are equal, m̂ = g and û = g² exactly, and each entry of θ moves by η_k.
(The paper has (1 − β) g in (FIT.1) for g; m̂ and û are the same.) The losses of this package are noisy
even at the optimum, and the noise in θ shrinks with η_k: the schedule ends near zero, at η sin²(π/2K).

Sources: Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2017, eq. 5.
"""

import math

import numpy as np
from autograd import make_vjp

from .checks import floats, points, positive, scalar, whole


def leaves(params):
    """The arrays in nested lists and tuples, in order."""
    if isinstance(params, (list, tuple)):
        return [a for part in params for a in leaves(part)]
    return [params]


def unpack(parts, params):
    """The flat arrays that parts yields, in the shapes and the nesting of params."""
    if isinstance(params, (list, tuple)):
        return type(params)(unpack(parts, part) for part in params)
    return next(parts).reshape(np.shape(params))


def flat(params):
    """All numbers of params as one vector (P,), and params again as views into it."""
    parts = leaves(params)
    theta = floats("params", np.concatenate(parts, axis=None))               # (P,)
    ends = np.cumsum([np.size(a) for a in parts])[:-1]
    return theta, unpack(iter(np.split(theta, ends)), params)


def adam_step(theta, g, m, u, k, rate):
    """One step, k = 1, 2, …, in place on flat vectors theta, m, u (P,)."""
    m *= 0.9
    m += g                                                                   # (P,)  (FIT.1)
    u *= 0.999
    u += g * g                                                               # (P,)  (FIT.1)
    a, c = (1 - 0.9**k) / 0.1, math.sqrt((1 - 0.999**k) / 0.001)
    theta -= rate * c / a * m / (np.sqrt(u) + c * 1e-8)                      # (P,)  (FIT.2) (FIT.3)


def fit(loss, params, data, *, steps, rng, batch_size=256, learning_rate=1e-3, progress=None):
    """Minimise E loss(params, x, rng) over random batches x (batch_size, d) of data (n, d).

    Draws with replacement, in the dtype of params. progress, if given, wraps the iterator over steps,
    as tqdm does. Returns the trained params and the losses (steps,). Raises FloatingPointError when
    a loss or its gradient is not finite, or is too large to square."""
    theta, params = flat(params)
    data, rate = points("data", data).astype(theta.dtype, copy=False), positive("learning_rate", learning_rate)
    steps, batch_size = whole("steps", steps), whole("batch_size", batch_size)
    (g, m, u), losses = np.zeros((3, theta.size), theta.dtype), np.empty(steps)
    np.empty(2**25 - 2**16, np.uint8)  # allocate and free: glibc then keeps smaller blocks for the next step
    for k in (progress or iter)(range(steps)):
        x = data.take(rng.integers(len(data), size=batch_size), axis=0)      # (B,d)
        pullback, value = make_vjp(loss)(params, x, rng)
        losses[k] = scalar("loss(params, x, rng)", value)
        np.concatenate(leaves(pullback(theta.dtype.type(1))), axis=None, out=g)  # (P,)
        if not math.isfinite(losses[k] + np.vdot(g, g)):
            raise FloatingPointError(f"at step {k} the loss is {losses[k]:.3g} and |gradient| {np.abs(g).max():.3g}, "
                                     f"|params| {np.abs(theta).max():.3g}; try a learning_rate below {rate:.3g}")
        adam_step(theta, g, m, u, k + 1, rate * 0.5 * (1 + math.cos(math.pi * k / steps)))  # (FIT.4)
    return params, losses
