"""Derivatives of any score function in its input: one direction, and the exact divergence.

For one row x the Jacobian J = ∂s/∂x, J_ij = ∂s_i/∂x_j, is d by d and is never formed. Forward mode
gives one directional derivative at about twice the cost of s itself, whatever d is:

    (JVP.1)  J v = d/dt s(x + t v) |_{t=0}
    (JVP.2)  tr J = Σ_j e_jᵀ J e_j,   e_j the unit vectors: d directional derivatives

A score function that knows its own derivatives offers them as .jvp(x, v) and .divergence(x), which
are then used; any other callable goes through autograd's forward mode. Both can be differentiated
again in the parameters, which is what training on them needs.

The score must treat rows independently: s_n depends on x_n alone. If s does not depend on x at all,
autograd warns so, and J is 0. The means that the losses end in stand here too, one operation each:
fewer to record, and float32 stays float32.
"""

import autograd.numpy as np
from autograd import make_jvp
from autograd.extend import def_linear, defjvp, defvjp, primitive

from .checks import like, points, same_rows


@primitive
def mean(a):
    """E[a] over all entries, any shape -> ()."""
    return np.sum(a) / a.size


@primitive
def mean_inner(a, b):
    """E[aᵀb] over rows, (…,d) (…,d) -> ()."""
    return np.vdot(a, b) / (a.size // a.shape[-1])


@primitive
def half_mean_square(a):
    """½ E‖a‖² over rows, (…,d) -> ()."""
    return 0.5 * mean_inner(a, a)


defvjp(mean, lambda ans, a: lambda g: g / a.size * np.ones(a.shape, a.dtype))
defvjp(mean_inner, lambda ans, a, b: lambda g: g / (a.size // a.shape[-1]) * b,
       lambda ans, a, b: lambda g: g / (a.size // a.shape[-1]) * a)
defvjp(half_mean_square, lambda ans, a: lambda g: g / (a.size // a.shape[-1]) * a)
def_linear(mean)
def_linear(mean_inner)
defjvp(half_mean_square, lambda g, ans, a: mean_inner(g, a))


def jvp(score, x, v):
    """s(x) (N,d) and Jv, shaped like v: one direction a row (N,d), or M of them (M,N,d)."""
    if hasattr(score, "jvp"):
        return score.jvp(x, v)
    x = points("x", x)
    v = same_rows("v", v, x, stacked=True)
    pushforward = make_jvp(lambda x: like(score(x), x))(x)                   # (JVP.1)
    if v.ndim == 2:
        return pushforward(v)
    s, Jv = zip(*[pushforward(v_m) for v_m in v])
    return s[0], np.stack(Jv)                                                # (N,d) (M,N,d)


def divergence(score, x):
    """s(x) (N,d) and the exact trace of its Jacobian (N,)."""
    if hasattr(score, "divergence"):
        return score.divergence(x)
    x = points("x", x)
    d = x.shape[1]
    columns = [jvp(score, x, np.broadcast_to(e, x.shape)) for e in np.eye(d, dtype=x.dtype)]
    return columns[0][0], sum(Je[:, j] for j, (_, Je) in enumerate(columns))  # (N,d) (N,)  (JVP.2)
