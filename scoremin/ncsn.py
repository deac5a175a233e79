"""Noise-conditional score networks (NCSN): one network for the scores of q_σ at many levels σ.

One noise level is not enough. A sampler needs a score that is right where it starts, far from the data: that takes much
noise. Samples as sharp as the data need little. And data on a curve have no density in space: without noise there is no
score. Noise of many sizes solves all: large σ_1 joins the modes, small σ_L hardly blurs. The levels are geometric, each
reaching into the next by the same factor γ = σ_i/σ_{i+1}, and one network s_θ(x, σ) is trained on (DSM.4) at all:

    (NCSN.1) σ_i = σ_1 (σ_L/σ_1)^{(i−1)/(L−1)},   i = 1 … L,   σ_1 > … > σ_L > 0
    (NCSN.2) ℓ(θ; σ) = ½ E ‖s_θ(x + σz, σ) + z/σ‖²
    (NCSN.3) J_NCSN(θ) = 1/L ∑_i λ(σ_i) ℓ(θ; σ_i)

Of ten equal steps in σ from 10 to .01 the last would have two thirds of the range of log σ. So the network is given
log σ (NET.4) too. A target of size √d/σ would drown the large levels: with λ = 1 one level σ = .01 weighs as much as
10⁴ of σ = 1. With λ(σ) = σ² the residual is that of noise prediction (DSM.9), of order 1 everywhere (NCSN.4). Take z
itself where it is known: (x̃ − x)/σ² loses its digits at small σ. The mean over levels is one over a random level per
row, sigma (N,). For a linear score −A(x − m) shared by all, on data of covariance S, level i has the derivative
E[(−A(x̃ − m) + z/σ_i)(x̃ − m)ᵀ] = I − A(S + σ_i²I) in −A; the weighted sum of these is 0 at (NCSN.5).

    (NCSN.4) σ² ℓ(θ; σ) = ½ E ‖σ s_θ(x + σz, σ) + z‖²,   = d/2 at s = 0, at every level
    (NCSN.5) A = (∑_i λ_i)(∑_i λ_i (S + σ_i²I))⁻¹

Which levels? Two rules (Song & Ermon 2020). Chains of level 1 must reach any point from any other. On any line, points
at most D apart lie in an interval of length D, so have a variance of at most ¼D², however weighted; by (DSM.16)
∂²log q_σ ≤ (¼D²/σ⁴ − 1/σ²)I, negative above σ = ½D: log q_σ is concave, and has one mode. (NCSN.6) is twice that.

And a chain that comes down from level i must find itself where the score of level i + 1 was trained. ‖z‖² has mean d
and variance 2d, so ‖z‖ ≈ √d + (‖z‖² − d)/(2√d) has variance ½: noise of level i lies in a shell, ‖σ_i z‖ about
N(√d σ_i, σ_i²/2). Let half of level i + 1, a share that wastes no levels, lie within 3 deviations of the shell of level
i. In units of σ_{i+1}/√2 these are 3γ, and the shells are √(2d)(γ − 1) apart: with Φ the normal distribution function,
(NCSN.7) gives γ from d, and with it the number of levels. The first Φ is all but 1, so γ = 1/(1 − 3/√(2d)): 19.5 at
d = 5, 1.04 at d = 3072. For d ≤ 4 the left side stays above .997 at any γ; take 2 or less there.

    (NCSN.6) σ_1 ≈ D = max_ij ‖x_i − x_j‖
    (NCSN.7) Φ(√(2d)(γ − 1) + 3γ) − Φ(√(2d)(γ − 1) − 3γ) ≈ ½

Two devices take noise out of the gradient and leave its mean. The first puts each point under z and under −z. Split the
gradient g of a row into its even and its odd part in z, g_e + g_o; z is symmetric, so E g_o = E g_e g_o = 0 (NCSN.8).
What pulls at random, and only cancels in the mean, is odd. On N(0, c²I), for s = −ax̃ at its best, a = 1/(c² + σ²), and
g the derivative in a of ½‖σs + z‖², there is (NCSN.9): so it pays where σ/c is below √2 − 1 or above √2 + 1, where the
ratio is 1, and costs at most a factor 2 between. The second spreads the levels of a batch of n rows, (NCSN.10) with u_i
uniform on [0, 1): each part of the range has one level, uniform in it, so log σ is uniform over the whole, and the mean
over the batch of a smooth function of it has a variance of order 1/n³, not 1/n.

    (NCSN.8) Var ½(g(z) + g(−z)) = Var g_e,   where two independent draws have ½ Var g_e + ½ Var g_o
    (NCSN.9) Var g_o/Var g_e = (c² − σ²)²/(4 c²σ²),   Var g_e = 4 d c⁴σ⁴/(c² + σ²)²
    (NCSN.10) σ_i = σ_1 (σ_L/σ_1)^{(i−1+u_i)/n}

Cost: one network pass, like DSM; two under ±z. Fails: too few levels, or σ_1 below the distance between modes.
Sources: Song & Ermon 2019, eq. 5, 6; Song & Ermon 2020 (choice of levels).
"""

import autograd.numpy as np

from .checks import checked, demand, noise_levels, several
from .derivatives import half_square, mean


@checked(sigma=noise_levels)
def ncsn_loss(score, x, z, sigma):
    """½ E σ²‖s(x + σz, σ) + z/σ‖², a scalar. score(x, sigma) with sigma (N,), one level a row."""
    s = score(x + sigma * z, sigma)                                          # (N,d), sigma a column (N,1)
    return mean(half_square(sigma * s + z))                                  # ()  (NCSN.4)


def both_signs(x, z, sigma):
    """Each point under z and under −z: x (2N,d), z (2N,d), sigma (2N,1)."""
    return (np.concatenate(pair) for pair in ([x, x], [z, -z], [sigma, sigma]))


@checked(sigma=noise_levels)
def ncsn_vr_loss(score, x, z, sigma):
    """ncsn_loss of every point under z and under −z, of the same mean; two passes of the score."""
    return ncsn_loss(score, *both_signs(x, z, sigma))                        # ()  (NCSN.8)


def even_loss(score, x, z, sigma):
    """½ E‖f − t‖² under z and −z, a scalar; sigma (n,)."""
    x, z, sigma = both_signs(x, z, sigma[:, None].astype(x.dtype))           # (2n,d) (2n,d) (2n,1)
    s = score(x + sigma * z, sigma[:, 0])                                    # (2n,d)
    return mean((1 + sigma[:, 0]**2) * half_square(sigma * s + z))           # ()  (REC.4)


@checked(n=several)
def geometric_sigmas(sigma_max, sigma_min, n):
    """n noise levels (n,) from sigma_max down to sigma_min in equal ratios."""
    demand(sigma_max > sigma_min * (1 + 4e-16 * n), "sigma_max", sigma_max, f"well above sigma_min, {sigma_min}")
    return np.geomspace(sigma_max, sigma_min, n)                             # (n,)  (NCSN.1)


@checked
def stratified_sigmas(rng, sigma_max, sigma_min, n):
    """n random noise levels (n,), descending, log σ uniform from sigma_max to sigma_min: one in each n-th of it."""
    return sigma_max * (sigma_min / sigma_max)**((np.arange(n) + rng.random(n)) / n)  # (n,)  (NCSN.10)
