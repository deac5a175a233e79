"""Implicit score matching (ISM): the explicit loss from samples alone, up to a constant.

The explicit loss compares the model with a score that nobody knows. Here it is rewritten, but for a constant, so that
samples are enough: what is left are the arrows' length and how they spread. Expand the square in (ESM.1):

    (ISM.1)  J_ESM = E_p[½‖s‖²] − E_p[sᵀ ∇log p] + ½ E_p‖∇log p‖²

Only the middle term needs the unknown ∇log p. Since p ∇log p = ∇p, it is an integral of ∇p,

    (ISM.2)  E_p[sᵀ ∇log p] = ∑_j ∫ s_j ∂p/∂x_j dx

and integration by parts moves the derivative to s. Along each line parallel to axis j the boundary
term [s_j p] from −∞ to ∞ must vanish: p(x) s(x) → 0 as ‖x‖ → ∞ (with s differentiable, and the
expectations finite). Then

    (ISM.3)  ∫ s_j ∂p/∂x_j dx = −∫ p ∂s_j/∂x_j dx
    (ISM.4)  J_ISM(θ) = E_p[½‖s‖² + tr ∂s/∂x]
    (ISM.5)  J_ESM = J_ISM + C,   C = ½ E_p‖∇log p‖²

C does not depend on θ, so both losses have the same gradient. J_ESM ≥ 0 is 0 at s = ∇log p, hence

    (ISM.6)  min J_ISM = −½ E_p‖∇log p‖²

Put simple fields for s in (ISM.2) and (ISM.3): the constant e_j, whose derivative is 0, and x_i e_j,
whose divergence is 1 if i = j and else 0. With p and x p → 0 far out this gives Stein's identities,
E[∂_j log p] = 0 and E[x_i ∂_j log p] = −[i = j], a check for any learned score:

    (ISM.7)  E_p[∇log p] = 0,   E_p[∇log p(x) xᵀ] = −I

They are Stein's identity for a matrix field B(x), (∇·B)_i = ∑_j ∂B_ij/∂x_j, with pB → 0 far out and both means
finite,

    (ISM.16) E_p[B(x) ∇log p(x) + ∇·B(x)] = 0

at B constant and B = x_i I. In one dimension, by hand: s = −a(x − m) has J_ISM = ½a²E(x − m)² − a, so

    (ISM.15) m = E x and a = 1/Var x (1/n): the score of the Gaussian with the data's mean and variance

For a linear score s(x) = −A(x − m), m a parameter, on data of mean μ and covariance S (1/n, not 1/(n−1)),

    (ISM.8)  J_ISM = ½ tr(A S Aᵀ) + ½‖A(μ − m)‖² − tr A,   least at A = S⁻¹, m = μ, if S⁻¹ exists
    (ISM.14) if Se = 0 for a unit vector e, then A = c eeᵀ, m = μ has J_ISM = −c, unbounded below

so a pixel that never changes, or collinear columns, must go before training ((DSM.11) has no such
exception). Fails. (a) On finitely many points a flexible model can lower the loss for ever: near each x_i let
s(x) = −(x − x_i)/τ² and

    (ISM.9)  J_ISM = −d/τ² → −∞ as τ → 0

for example a KDE with h = τ on its own points. (b) Where p does not vanish at the boundary of its
support, (ISM.3) is false: for uniform p on [0, 1],

    (ISM.10) E_p[s'] = s(1) − s(0), not −E_p[s ∇log p] = 0

A weight g(x) ≥ 0, (N,d) or (N,1), that vanishes at the boundary repairs it: for positive data g = x or x². With g ∘ s
for the field, p g ∘ s → 0 there too, (ISM.3) holds again, and the square expands as in (ISM.1):

    (ISM.17) ½ E‖√g ∘ (s − ∇log p)‖² = E[½‖√g ∘ s‖² + ∇·(g ∘ s)] + ½ E‖√g ∘ ∇log p‖²

and where g is one number a point the closed-form trace (ISM.13) serves:

    (ISM.20) ∇·(g s) = g tr ∂s/∂x + sᵀ∇g

For N(.5, 1) cut at 0 the best Gaussian of (ISM.4) has mean 1.009 and precision 2.057, that of g = x has .5 and 1.
(c) ReLU: φ'' = 0 except at kinks, which no sample hits. A piecewise linear energy has a piecewise
constant score, so the trace vanishes and the flat density is optimal:

    (ISM.11) tr ∂s/∂x = 0 at almost every x,   J_ISM = ½ E‖s‖² ≥ 0, least at s = 0

A ReLU score network has a trace, but its gradient misses how kinks move, and is biased.

How good is the minimum of n points? By the law of large numbers it tends to the truth, if the model has it and no
other s as good; expand its gradient, 0 there, about the truth θ*, and use the central limit theorem: with ℓ(x, θ)
the term of one point in (ISM.4),

    (ISM.18) √n (θ̂ − θ*) → N(0, H⁻¹ K H⁻¹),   H = E ∂²ℓ/∂θ∂θᵀ,   K = Cov ∂ℓ/∂θ

which for the Gaussian (ISM.15) is maximum likelihood, and has no bound for weights of far modes, H → 0 by (ESM.7).
For an energy, contrastive divergence compares data x with x' after one Langevin step; by (LD.12) for f = ∂E/∂θ, as
∂s/∂θ = −∇f, one small step of it is the same descent (noise-contrastive estimation, with another density, is not):

    (ISM.19) E[∂E(x)/∂θ] − E[∂E(x')/∂θ] = ½ step ∂J_ISM/∂θ + O(step²)

Cost: the exact trace takes d directional derivatives (JVP.2), so that a step costs about d times one
of SSM, or half that where all directions share one pass for s, as in BP; a plain callable is evaluated
2d times. (Passes are counted here; a pass itself grows with d, by its first and last layer.) For the MLP
with two hidden layers there is a shorter way. By the chain rule on (NET.1), with φ'_l = φ'(y_l) of one
row, and indices i, o for inputs and outputs, j, k for the hidden units,

    (ISM.12) ∂s_o/∂x_i = ∑_jk W_1[i,j] φ'_1[j] W_2[j,k] φ'_2[k] W_3[k,o]

Set o = i and sum over i first: the sum is the matrix product W_3 W_1, the same for all rows. Hence

    (ISM.13) tr ∂s/∂x = φ'_1ᵀ (W_2 ∘ (W_3 W_1)ᵀ) φ'_2

whatever d is: two more products, W_3 W_1 once a step and φ'_1ᵀ(…) once a row. (OT-Flow has exact traces
at the cost of an estimator, too.) Sources: Hyvärinen 2005, theorem 1 and section 3.1; 2007
(ISM.17, ISM.19); Onken et al. 2021.
"""

from .checks import checked
from .derivatives import divergence, gradient, half_square, inner, mean


@checked
def implicit_loss(score, x):
    """E[½‖s‖² + tr ∂s/∂x], a scalar, with the exact trace."""
    s, tr = divergence(score, x)                                             # (N,d) (N,)
    return mean(half_square(s) + tr)                                         # ()  (ISM.4)


@checked
def generalised_loss(score, x, g):
    """E[½‖√g ∘ s‖² + ∇·(g ∘ s)], a scalar, for data with a boundary, where g(x) >= 0, (N,d) or (N,1), vanishes.

    g is written with autograd.numpy; g = 1 is implicit_loss. Source: Hyvärinen 2007."""
    weight = g(x)                                                            # (N,d) or (N,1)
    if weight.shape[1] == 1:
        (s, tr), slope = divergence(score, x), gradient(lambda x: g(x)[:, 0], x)  # (N,d) (N,) (N,d)
        return mean(weight[:, 0] * (tr + half_square(s)) + inner(slope, s))  # ()  (ISM.20)
    gs, tr = divergence(lambda x: g(x) * score(x), x)                        # (N,d) (N,)
    return mean(0.5 * inner(gs, score(x)) + tr)                              # ()  (ISM.17)
