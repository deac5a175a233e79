"""Derivatives of any score function in its input: one direction, and the exact divergence.

For one row x the Jacobian J = ∂s/∂x, J_ij = ∂s_i/∂x_j, is d by d. Training needs less: forward mode, which carries
d/dt of each quantity along with its value, gives one directional derivative for about twice the cost of s:

    (JVP.1)  J v = d/dt s(x + t v) |_{t=0}
    (JVP.2)  tr J = ∑_j e_jᵀ J e_j,   e_j the unit vectors: d directional derivatives

A score function that knows its own derivatives offers them as .jvp(x, v) and .divergence(x); any other goes through
autograd's forward mode, which evaluates s anew for each direction. Both can be differentiated again in the parameters,
as training on them needs.

A score of your own treats rows independently, s_n depends on x_n alone, and is written with autograd.numpy: plain numpy
hides operations from autograd; where that can be seen, TypeError says so. For example

    import autograd.numpy as np
    score = lambda x: -x / (1 + np.sum(x**2, axis=1, keepdims=True))
"""

import autograd.numpy as np
from autograd.differential_operators import elementwise_grad, make_jvp, make_jvp_reversemode
from autograd.extend import defjvp, defvjp, primitive

from .backprop import TRACING
from .checks import checked

mean = primitive(lambda a: a.sum() / a.size)                                 # E[a] over all entries, any shape -> ()
half_square = primitive(lambda a: 0.5 * np.einsum("...i,...i->...", a, a))   # ½‖a‖² of each row, (…,d) -> (…)
inner = primitive(lambda a, b: np.einsum("...i,...i->...", a, b))            # aᵀb of each row, (…,d) (…,d) -> (…)


def along_b(g, a, b):
    """The cotangent g·b of a in aᵀb, summed over probes where b has them and a has not."""
    return np.sum(g[..., None] * b, axis=0) if g.ndim == a.ndim else g[..., None] * b


defvjp(mean, lambda ans, a: lambda g: g / a.size * np.ones(a.shape, a.dtype))
defjvp(mean, lambda g, ans, a: np.sum(g) / a.size)
defvjp(half_square, lambda ans, a: lambda g: g[..., None] * a)
defjvp(half_square, lambda g, ans, a: inner(g, a))
defvjp(inner, lambda ans, a, b: lambda g: along_b(g, a, b), lambda ans, a, b: lambda g: along_b(g, b, a))
defjvp(inner, lambda g, ans, a, b: inner(g, b), lambda g, ans, a, b: inner(a, g))


def along(f, x, v):
    """f(x) and J v, v (N,d), or (M,N,d) one after the other; by two reverse passes where forward mode lacks a rule."""
    if v.ndim == 3:
        s, Jv = zip(*[along(f, x, v_m) for v_m in v])
        return s[0], np.stack(Jv)                                            # (N,d) (M,N,d)
    with TRACING:
        try:
            return make_jvp(f)(x)(v)                                         # (N,d) (N,d)  (JVP.1)
        except NotImplementedError:
            return f(x), make_jvp_reversemode(f)(x)(v)                       # (N,d) (N,d)  (JVP.1)


def gradient(f, x):
    """∇f (N,d) of a function (N,d) -> (N,) that treats rows independently."""
    with TRACING:
        return elementwise_grad(f)(x)


@checked
def jvp(score, x, v):
    """s(x) (N,d) and Jv, shaped like v: one direction a row (N,d), or M of them (M,N,d)."""
    return score.jvp(x, v) if hasattr(score, "jvp") else along(score, x, v)


@checked
def divergence(score, x):
    """s(x) (N,d) and the exact trace of its Jacobian (N,)."""
    return score.divergence(x) if hasattr(score, "divergence") else trace(score, x)  # (N,d) (N,)  (JVP.2)


def trace(score, x):
    """The same by d directional derivatives: all at once of a score that knows them, with one pass for s; else one
    after the other, so that memory does not grow with d²."""
    units = np.broadcast_to(np.eye(x.shape[1], dtype=x.dtype)[:, None], (x.shape[1], *x.shape))  # (d,N,d)
    if hasattr(score, "jvp"):
        s, J = score.jvp(x, units)                                           # (N,d) (d,N,d)
        return s, np.sum(inner(units, J), axis=0)                            # (N,d) (N,)  (JVP.2)
    tr = 0
    for j, unit in enumerate(units):
        s, Jv = along(score, x, unit)                                        # (N,d) (N,d)
        tr = tr + Jv[:, j]                                                   # (N,)  (JVP.2)
    return s, tr
