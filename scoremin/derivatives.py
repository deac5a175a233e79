"""Derivatives of any score function in its input: one direction, and the exact divergence.

For one row x the Jacobian J = ∂s/∂x, J_ij = ∂s_i/∂x_j, is d by d. Training needs less: forward mode
gives one directional derivative at about twice the cost of s itself, whatever d is:

    (JVP.1)  J v = d/dt s(x + t v) |_{t=0}
    (JVP.2)  tr J = Σ_j e_jᵀ J e_j,   e_j the unit vectors: d directional derivatives

A score function that knows its own derivatives offers them as .jvp(x, v) and .divergence(x), which
are then used; any other callable goes through autograd's forward mode, which evaluates s anew for each
direction. Both can be differentiated again in the parameters, which is what training on them needs.

A score of your own is written with autograd.numpy in the place of numpy, and treats rows independently:
s_n depends on x_n alone. For example

    import autograd.numpy as np
    score = lambda x: -x / (1 + np.sum(x**2, axis=1, keepdims=True))

Plain numpy inside it hides operations from autograd; where that can be seen, TypeError says so.
"""

import autograd.numpy as np
from autograd import make_jvp

from .checks import ask, like, pair, points, quiet, same_rows, value_at


def along(f, x, v):
    """f(x) and J v by forward mode, v (N,d), or (M,N,d) one after the other."""
    pushforward = make_jvp(f)(x)                                             # (JVP.1)
    if v.ndim == 2:
        return pushforward(v)
    s, Jv = zip(*[pushforward(v_m) for v_m in v])
    return s[0], np.stack(Jv)                                                # (N,d) (M,N,d)


def tangent(score, x, v):
    """jvp, for x and v that are checked already."""
    if hasattr(score, "jvp"):
        s, Jv = pair("score.jvp(x, v)", ask("score.jvp", score, "jvp", x, v))
    else:
        s, Jv = along(lambda x: value_at(score, x), x, v)
    return like("score(x)", s, x.shape, x.dtype), like("score's Jv", Jv, v.shape, x.dtype)


@quiet
def jvp(score, x, v):
    """s(x) (N,d) and Jv, shaped like v: one direction a row (N,d), or M of them (M,N,d)."""
    x = points("x", x)
    return tangent(score, x, same_rows("v", v, x, stacked=True))


@quiet
def divergence(score, x):
    """s(x) (N,d) and the exact trace of its Jacobian (N,)."""
    x = points("x", x)
    if not hasattr(score, "divergence"):
        return trace(score, x)
    s, tr = pair("score.divergence(x)", ask("score.divergence", score, "divergence", x))
    return like("score(x)", s, x.shape, x.dtype), like("score's trace", tr, x.shape[:1], x.dtype)


def trace(score, x):
    """The same by d directional derivatives: all at once of a score that knows them, whose pass for s they share;
    else one after the other, so that memory does not grow with d²."""
    units = np.broadcast_to(np.eye(x.shape[1], dtype=x.dtype)[:, None], (x.shape[1], *x.shape))  # (d,N,d)
    if hasattr(score, "jvp"):
        s, J = tangent(score, x, units)                                      # (N,d) (d,N,d)
        return s, np.sum(units * J, axis=(0, 2))                             # (N,d) (N,)  (JVP.2)
    tr = 0
    for j, unit in enumerate(units):
        s, Jv = tangent(score, x, unit)                                      # (N,d) (N,d)
        tr = tr + Jv[:, j]                                                   # (N,)  (JVP.2)
    return s, like("score's trace", tr, x.shape[:1], x.dtype)
