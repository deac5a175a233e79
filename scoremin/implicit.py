"""Implicit score matching (ISM): the explicit loss from samples alone, up to a constant.

The explicit loss compares the model with a score that nobody knows. Here it is rewritten, but for a constant, so that
samples are enough: what is left are the arrows' length and how they spread. Expand the square in (ESM.1). Only the
middle term needs the unknown ∇log p; since p ∇log p = ∇p, it is an integral of ∇p:

    (ISM.1)  J_ESM = E_p[½‖s‖²] − E_p[sᵀ ∇log p] + ½ E_p‖∇log p‖²
    (ISM.2)  E_p[sᵀ ∇log p] = ∑_j ∫ s_j ∂p/∂x_j dx

Integration by parts moves the derivative to s. Along each line parallel to axis j the boundary term [s_j p] from −∞ to
∞ must vanish: p(x) s(x) → 0 as ‖x‖ → ∞, with s differentiable and all means finite. Then

    (ISM.3)  ∫ s_j ∂p/∂x_j dx = −∫ p ∂s_j/∂x_j dx
    (ISM.4)  J_ISM(θ) = E_p[½‖s‖² + tr ∂s/∂x]
    (ISM.5)  J_ESM = J_ISM + C,   C = ½ E_p‖∇log p‖²
    (ISM.6)  min J_ISM = −½ E_p‖∇log p‖²

C does not depend on θ, so both losses have the same gradient; and J_ESM ≥ 0 is 0 at s = ∇log p. By hand, in one
dimension, s = −a(x − m) has J_ISM = ½a²E(x − m)² − a, whose derivatives in m and a are 0 at (ISM.15). In more
dimensions, on data of mean μ and covariance S (with 1/n, not 1/(n−1)), a linear score s(x) = −A(x − m) has the
derivative AS − I in A, at m = μ. A pixel that never changes, or collinear columns, have Se = 0 for some e, and must go
before training (ISM.14); (DSM.11) has no such exception:

    (ISM.15) m = E x and a = 1/Var x: the score of the Gaussian with the data's mean and variance (with 1/n)
    (ISM.8)  J_ISM = ½ tr(A S Aᵀ) + ½‖A(μ − m)‖² − tr A,   least at A = S⁻¹, m = μ, if S⁻¹ exists
    (ISM.14) if Se = 0 for a unit vector e, then A = c eeᵀ, m = μ has J_ISM = −c, unbounded below

(ISM.2) and (ISM.3) hold for any field in the place of s. The constant unit vector e_j has the divergence 0, and x_i e_j
has 1 if i = j, else 0. If p and x p → 0 far out, this gives (ISM.7), a check for any learned score. It is Stein's
identity at B = I and B = x_i I; (ISM.16) says the same of each row of a matrix B(x), pB → 0 far out and both means
finite, with (∇·B)_i = ∑_j ∂B_ij/∂x_j:

    (ISM.7)  E_p[∇log p] = 0,   E_p[∇log p(x) xᵀ] = −I
    (ISM.16) E_p[B(x) ∇log p(x) + ∇·B(x)] = 0

Fails. (a) On finitely many points a flexible model can lower the loss for ever, as a KDE with h = τ on its own points
does: let s(x) = −(x − x_i)/τ² near each x_i (ISM.9). (b) Where p does not vanish at the boundary of its support,
(ISM.3) is false: (ISM.10) for uniform p on [0, 1]. A weight g(x) ≥ 0, (N,d) or (N,1), that vanishes there repairs it,
for positive data g = x or x². With g ∘ s for the field, p g ∘ s → 0 there too, (ISM.3) holds again, and the square
expands as in (ISM.1), to (ISM.17). Where g is one number a point the closed-form trace (ISM.13) serves, by (ISM.20).
(c) ReLU: φ'' = 0 except at kinks, which no sample hits. A ReLU score network has a trace, but its gradient misses how
kinks move, and is biased. A piecewise linear energy has a piecewise constant score: the flat density is best (ISM.11):

    (ISM.9)  J_ISM = −d/τ² → −∞ as τ → 0
    (ISM.10) E_p[s'] = s(1) − s(0), not −E_p[s ∇log p] = 0
    (ISM.17) ½ E‖√g ∘ (s − ∇log p)‖² = E[½‖√g ∘ s‖² + ∇·(g ∘ s)] + ½ E‖√g ∘ ∇log p‖²
    (ISM.20) ∇·(g s) = g tr ∂s/∂x + sᵀ∇g
    (ISM.11) tr ∂s/∂x = 0 at almost every x,   J_ISM = ½ E‖s‖² ≥ 0, least at s = 0

Cost: d directional derivatives (JVP.2), about d times a step of SSM, or half that where all share one pass for s, as in
BP. For the MLP with two hidden layers the chain rule on (NET.1) gives (ISM.12), with φ'_l = φ'(y_l) of one row, and
indices i, o for inputs and outputs, j, k for the hidden units. Set o = i and sum over i first: that sum is the matrix
product W_3 W_1, the same for all rows. What is left is one more product a row, whatever d is:

    (ISM.12) ∂s_o/∂x_i = ∑_jk W_1[i,j] φ'_1[j] W_2[j,k] φ'_2[k] W_3[k,o]
    (ISM.13) tr ∂s/∂x = φ'_1ᵀ (W_2 ∘ (W_3 W_1)ᵀ) φ'_2

How good is θ̂, the minimum for n points? Let ℓ(x, θ) be the term of one point in (ISM.4). At θ̂ the mean of its
gradient is 0. At the truth θ*, if the model has it and no other s as good, that mean is about N(0, K/n) by the central
limit theorem; by Taylor it is H times the error of θ̂, but for the sign. So (ISM.18), which for the Gaussian (ISM.15)
is maximum likelihood, and has no bound for weights of far modes, H → 0 by (ESM.7). For an energy, contrastive
divergence compares data x with x' after one Langevin step; by (LD.12) for f = ∂E/∂θ, as ∂s/∂θ = −∇f, one small step of
it is the same descent:

    (ISM.18) √n (θ̂ − θ*) → N(0, H⁻¹ K H⁻¹),   H = E ∂²ℓ/∂θ∂θᵀ,   K = Cov ∂ℓ/∂θ
    (ISM.19) E[∂E(x)/∂θ] − E[∂E(x')/∂θ] = ½ step ∂J_ISM/∂θ + O(step²)

Sources: Hyvärinen 2005, theorem 1 and section 3.1; 2007 (ISM.17, ISM.19); Onken et al. 2021 (ISM.13).
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
    if g(x).shape[1] > 1:
        gs, tr = divergence(lambda x: g(x) * score(x), x)                    # (N,d) (N,)
        return mean(0.5 * inner(gs, score(x)) + tr)                          # ()  (ISM.17)
    (s, tr), slope = divergence(score, x), gradient(lambda x: g(x)[:, 0], x)  # (N,d) (N,) (N,d)
    return mean(g(x)[:, 0] * (tr + half_square(s)) + inner(slope, s))        # ()  (ISM.20)
