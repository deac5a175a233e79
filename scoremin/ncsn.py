"""Noise-conditional score networks (NCSN): one network for the scores of q_σ at many levels σ.

A single σ asks for two things at once. Langevin dynamics needs a score that is right where it
starts, far from the data, which takes noise that fills space; samples like the data need little
noise. And where the data lie on a curve, the score of p itself does not exist off it. Noise of every
size solves both: large σ_1 joins the modes, small σ_L hardly blurs. The levels are geometric,

    (NCSN.1) σ_i = σ_1 (σ_L/σ_1)^{(i−1)/(L−1)},   i = 1 … L,   σ_1 > … > σ_L > 0

since then each level reaches into the next by the same factor. One network s_θ(x, σ) is trained on
(DSM.4) at all of them,

    (NCSN.2) ℓ(θ; σ) = ½ E ‖s_θ(x + σz, σ) + z/σ‖²
    (NCSN.3) J_NCSN(θ) = 1/L Σ_i λ(σ_i) ℓ(θ; σ_i)

A target of size √d/σ would drown the large levels: with λ = 1 the level .01 weighs as much as 10⁴
of level 1. With λ(σ) = σ² the residual is that of noise prediction (DSM.9), of order 1 everywhere:

    (NCSN.4) σ² ℓ(θ; σ) = ½ E ‖σ s_θ(x + σz, σ) + z‖²,   = d/2 at s = 0, at every level

so no level drowns another. Take z itself where it is known: (x̃ − x)/σ² loses its digits at small σ.
The sum over levels is an average over a random level per row, sigma (N,). A linear score −A(x − m)
shared by all levels, on data of covariance S, has the optimum

    (NCSN.5) A = (Σ_i λ_i)(Σ_i λ_i (S + σ_i²I))⁻¹

Cost: one network pass, like DSM. Fails: too few levels, or σ_1 below the distance between modes.
Sources: Song & Ermon 2019, eq. 5, 6; Song & Ermon 2020 (choice of levels).
"""

import numpy as np

from .checks import like, noise_levels, points, positive, same_rows
from .derivatives import half_mean_square


def ncsn_loss(score, x, z, sigma):
    """½ E σ²‖s(x + σz, σ) + z/σ‖², a scalar. score(x, sigma) with sigma (N,), one level a row."""
    x = points("x", x)
    z, column = same_rows("z", z, x), noise_levels("sigma", sigma, x)        # (N,d) (N,1)
    s = like(score(x + column * z, column[:, 0]), x)                         # (N,d)
    return half_mean_square(s, -z / column, column**2)                       # ()  (NCSN.4)


def geometric_sigmas(sigma_max, sigma_min, n):
    """n noise levels (n,) from sigma_max down to sigma_min in equal ratios."""
    if not positive("sigma_max", sigma_max) > positive("sigma_min", sigma_min) or n < 2:
        raise ValueError(f"sigma_max {sigma_max}, sigma_min {sigma_min}, n {n}; want max > min and n >= 2")
    return np.geomspace(sigma_max, sigma_min, n)                             # (n,)  (NCSN.1)
