"""Derivatives of any score function in its input: one direction, and the exact divergence.

For one row x the Jacobian J = ∂s/∂x, J_ij = ∂s_i/∂x_j, is d by d. Training needs less: forward mode
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
from autograd.extend import defjvp, defvjp, primitive

from .checks import like, points, same_rows


def rows(a):
    """The number of rows of a (…,d)."""
    return a.size // a.shape[-1]


@primitive
def mean(a):
    """E[a] over all entries, any shape -> ()."""
    return np.sum(a) / a.size


@primitive
def half_mean_square(s, target=0.0, weight=1.0):
    """½ E w‖s − target‖² over rows, (…,d) -> (); the weight one number or a column."""
    a = s - target
    return 0.5 * np.vdot(weight * a, a) / rows(a)


@primitive
def half_mean_square_plus(a, v, Jv):
    """½ E‖a‖² + E[vᵀJv] over rows, (…,c) (…,d) (…,d) -> ()."""
    return 0.5 * np.vdot(a, a) / rows(a) + np.vdot(v, Jv) / rows(v)


def rules(scalar, *gradients):
    """Tell autograd the gradient of a scalar function, times a number g, in each of its arguments."""
    defvjp(scalar, *[lambda ans, *args, f=f: lambda g: f(g, *args) for f in gradients])
    defjvp(scalar, *[lambda g, ans, *args, f=f: np.sum(g * f(1.0, *args)) for f in gradients])


rules(mean, lambda g, a: g / a.size * np.ones(a.shape, a.dtype))
rules(half_mean_square, lambda g, s, target=0.0, weight=1.0: g / rows(s) * weight * (s - target),
      lambda g, s, target, weight=1.0: g / rows(s) * weight * (target - s))
rules(half_mean_square_plus, lambda g, a, v, Jv: g / rows(a) * a,
      lambda g, a, v, Jv: g / rows(v) * Jv, lambda g, a, v, Jv: g / rows(v) * v)


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
    return score.divergence(x) if hasattr(score, "divergence") else trace(score, x)


def trace(score, x):
    """The same by d directional derivatives."""
    x = points("x", x)
    basis = np.broadcast_to(np.eye(x.shape[1], dtype=x.dtype)[:, None], (x.shape[1], *x.shape))  # (d,N,d)
    s, J = jvp(score, x, basis)                                              # (N,d) (d,N,d)
    return s, np.sum(basis * J, axis=(0, 2))                                 # (N,d) (N,)  (JVP.2)
