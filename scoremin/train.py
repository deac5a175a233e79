"""Training (FIT): stochastic gradient descent with Adam and a cosine schedule.

Training is many small steps downhill, each judged on a few rows drawn at random. Adam gives every number of θ a step of
like size, however large its slope. With g the gradient of the loss on a batch, step k = 1 … steps, elementwise,

    (FIT.1)  m_1 ← β_1 m_1 + (1 − β_1) g,   m_2 ← β_2 m_2 + (1 − β_2) g²,   β_1 = .9, β_2 = .999
    (FIT.2)  m̂_1 = m_1/(1 − β_1^k),   m̂_2 = m_2/(1 − β_2^k)
    (FIT.3)  θ ← θ − η_k m̂_1/(√m̂_2 + 10⁻⁸)

(FIT.2) divides by the sum of the weights, (1 − β)(1 + β + … + β^{k−1}), so that m̂_1 and m̂_2 are weighted means of the
g and g² so far. The first step moves each entry of θ by −η g/(|g| + 10⁻⁸), about η whatever the size of g. The losses
of this package are noisy even at the optimum, and the noise in θ shrinks with η_k, so the learning rate η falls,

    (FIT.4)  η_k = η · ½(1 + cos(π (k − 1)/steps))

to η sin²(π/(2 steps)), near zero. θ, m_1 and m_2 keep the precision of params; 1 − β^k and η_k are float64.

Few data are learned by heart: the loss on them falls for ever, that on data held out falls and then rises. Training
ends in time by that loss, measured at steps k some 5 % apart, on an average over about the last eighth of all steps,

    (FIT.5)  θ̄_k = θ̄_{k−1} + min(1, 8/k) (θ_k − θ̄_{k−1}) = ∑_{j≤k} w_j θ_j,   w_j ∝ (j − 1)(j − 2) … (j − 7) for k ≥ 8

in which the noise of single steps cancels: its held-out loss is 3 to 7 % below that of θ_k (measured for recipe). What
is kept is the last average whose loss is within a thousandth of the least, as smaller differences are noise. If that
was at step k, and none has come by step 2k + 200, training ends.

Sources: Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2017, eq. 5; Polyak & Juditsky 1992 (averaging).
"""

import math

import numpy as np
from autograd.core import make_vjp

from .backprop import TRACING
from .checks import at, checked, floats, optional, start, untraced


def leaves(params):
    """The arrays in nested lists and tuples, in order."""
    return [a for part in params for a in leaves(part)] if isinstance(params, (list, tuple)) else [params]


def unpack(parts, params):
    """The vectors that parts yields, in the shapes and the nesting of params."""
    if isinstance(params, (list, tuple)):
        return (list if isinstance(params, list) else tuple)(unpack(parts, part) for part in params)
    return next(parts).reshape(np.shape(params))


def flat(params):
    """All numbers of params as one vector (P,), and params again as views into it: what moves one moves the other."""
    parts = [floats("params", untraced("params", a)) for a in leaves(params)]
    theta = np.concatenate(parts, axis=None)                                 # (P,)
    return theta, unpack(iter(np.split(theta, np.cumsum([a.size for a in parts])[:-1])), params)


def adam_step(theta, g, m_1, m_2, k, rate):
    """One step, k = 1, 2, …, in place on vectors theta, m_1, m_2 (P,)."""
    m_1[:] = 0.9 * m_1 + 0.1 * g                                             # (P,)  (FIT.1)
    m_2[:] = 0.999 * m_2 + 0.001 * g**2                                      # (P,)  (FIT.1)
    m_1_hat, m_2_hat = m_1 / (1 - 0.9**k), m_2 / (1 - 0.999**k)              # (P,)  (FIT.2)
    theta -= rate * m_1_hat / (np.sqrt(m_2_hat) + 1e-8)                      # (P,)  (FIT.3)


def value_and_gradient(loss, params, x, rng):
    """loss(params, x, rng), and its gradient in params as one vector (P,)."""
    with TRACING:
        pullback, value = make_vjp(lambda params: loss(params, x, rng), params)
        g = np.concatenate(leaves(pullback(np.ones_like(value))), axis=None)  # (P,)
    floats("‖gradient‖²", np.array(np.vdot(g, g)), error=FloatingPointError)  # (FIT.1) needs squares
    return value, g


@checked(data=start, callback=optional(lambda f: f))
def fit(loss, params, data, *, steps, rng, batch_size=256, learning_rate=1e-3, progress=None, callback=None):
    """Minimise E loss(params, x, rng) over random batches x (batch_size, d) of data (n, d), drawn with replacement, in
    the dtype of params. Returns the trained params and the losses, one for each step taken.

    progress wraps the iterator over steps, as tqdm does, and may end it early. callback(k, params) is called after step
    k = 0, 1, … with the params at work, which move on: copy what you keep; training ends where it returns what is true.
    Raises FloatingPointError where a loss or its gradient is not finite, or is too large to square."""
    theta, params = flat(params)
    data, m_1, m_2, losses = floats("data", data, theta.dtype), np.zeros_like(theta), np.zeros_like(theta), []
    slower = f"try a learning_rate below {learning_rate:.3g}"
    for k, _ in enumerate(progress(range(steps)), 1):
        x = data.take(rng.integers(len(data), size=batch_size), axis=0)      # (B,d)
        with at(f"step {k}", f"; {slower if losses else 'look at the loss and at the scale of data and params'}"):
            value, g = value_and_gradient(loss, params, x, rng)              # () (P,)
        losses.append(value)
        rate = 0.5 * learning_rate * (1 + math.cos(math.pi * (k - 1) / steps))   # (FIT.4)
        adam_step(theta, g, m_1, m_2, k, rate)
        if callback and callback(k - 1, params):
            break
    with at("the last step", f"; {slower}"):
        floats("params", theta, error=FloatingPointError)
    return params, np.array(losses)


def last_best(curve):
    """Of {step: value > 0} the last step within a thousandth of the least value."""
    least = min(curve.values())
    return max(k for k, value in curve.items() if value <= 1.001 * least)


def until_it_rises(params, measure):
    """For fit: a callback that ends training when measure(params), say the loss on data held out, has risen; with it
    {step: measure}, and the average params of last_best of it."""
    (average, at_work), (best, best_params) = flat(params), flat(params)     # (P,) each, and as params
    curve = {0: measure(at_work)}

    def callback(k, params):
        average[:] += min(1, 8 / (k + 1)) * (np.concatenate(leaves(params), axis=None) - average)  # (P,)  (FIT.5)
        if k + 1 >= 1.05 * max(curve) + 5:
            curve[k + 1] = measure(at_work)
            if last_best(curve) == k + 1:
                best[:] = average
        return k >= 2 * last_best(curve) + 200
    return callback, curve, best_params
