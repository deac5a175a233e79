"""Implicit score matching (ISM): the explicit loss from samples alone, up to a constant.

Expand the square in (ESM.1):

    (ISM.1)  J_ESM = E_p[½‖s‖²] − E_p[sᵀ ∇log p] + ½ E_p‖∇log p‖²

Only the middle term needs the unknown ∇log p. Since p ∇log p = ∇p, it is an integral of ∇p,

    (ISM.2)  E_p[sᵀ ∇log p] = Σ_j ∫ s_j ∂p/∂x_j dx

and integration by parts moves the derivative to s. Along each line parallel to axis j the boundary
term [s_j p] from −∞ to ∞ must vanish: p(x) s(x) → 0 as ‖x‖ → ∞ (with s differentiable, and the
expectations finite). Then

    (ISM.3)  ∫ s_j ∂p/∂x_j dx = −∫ p ∂s_j/∂x_j dx
    (ISM.4)  J_ISM(θ) = E_p[½‖s‖² + tr ∂s/∂x]
    (ISM.5)  J_ESM = J_ISM + C,   C = ½ E_p‖∇log p‖²

C does not depend on θ, so both losses have the same gradient. J_ESM ≥ 0 is 0 at s = ∇log p, hence

    (ISM.6)  min J_ISM = −½ E_p‖∇log p‖²

With s = ∇log p itself, and a constant or the coordinate x_i in the place of the other factor, the
same integration by parts gives Stein's identities, a check for any learned score:

    (ISM.7)  E_p[∇log p] = 0,   E_p[∇log p(x) xᵀ] = −I

For a linear score s(x) = −A(x − m) on data of mean μ and covariance S (1/n, not 1/(n−1)),

    (ISM.8)  J_ISM = ½ tr(A S Aᵀ) + ½‖A(μ − m)‖² − tr A,   least at A = S⁻¹, m = μ

The trace is exact by d directional derivatives (JVP.2): a step costs d times as much as SSM's.

Fails. (a) With finitely many points a flexible model wins without end: near each x_i let
s(x) = −(x − x_i)/τ² and

    (ISM.9)  J_ISM = −d/τ² → −∞ as τ → 0

for example a KDE with h = τ on its own points. (b) Where p does not vanish at the boundary of its
support, (ISM.3) is false: for uniform p on [0, 1],

    (ISM.10) E_p[s'] = s(1) − s(0), not −E_p[s ∇log p] = 0

(c) ReLU: φ'' = 0 except at kinks, which no sample hits. A piecewise linear energy has a piecewise
constant score, so the trace vanishes and the flat density is optimal:

    (ISM.11) tr ∂s/∂x = 0 at almost every x,   J_ISM = ½ E‖s‖² ≥ 0, least at s = 0

A ReLU score network has a trace, but its gradient misses how kinks move, and is biased.
Source: Hyvärinen 2005, theorem 1 and section 3.1.
"""

from .derivatives import divergence, inner, mean


def implicit_loss(score, x):
    """E[½‖s‖² + tr ∂s/∂x], a scalar, with the exact trace."""
    s, tr = divergence(score, x)                                             # (N,d) (N,)
    return mean(0.5 * inner(s, s) + tr)                                      # ()  (ISM.4)
