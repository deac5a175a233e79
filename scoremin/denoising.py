"""Denoising score matching (DSM): no derivative of the network at all, for the score of noisy data.

Corrupt the data, x̃ = x + σz with z ~ N(0, I), σ > 0. The noisy points have the density

    (DSM.1)  q_σ(x̃) = ∫ p(x) N(x̃; x, σ²I) dx
    (DSM.2)  ∇_x̃ log N(x̃; x, σ²I) = −(x̃ − x)/σ² = −z/σ

Differentiate (DSM.1) under the integral, ∇N = N ∇log N, and divide by q_σ; what remains under the
integral is the law of x given x̃:

    (DSM.3)  ∇log q_σ(x̃) = E[−z/σ | x̃]

The score of the noisy data is thus the best guess, in mean square, of −z/σ from x̃ alone. So regress:

    (DSM.4)  J_DSM(θ) = ½ E ‖s_θ(x + σz) + z/σ‖²
    (DSM.5)  E[s(x̃)ᵀ ∇log q_σ(x̃)] = E[s(x̃)ᵀ (−z/σ)]                       by (DSM.3)
    (DSM.6)  J_ESM(q_σ) = J_DSM + C,   C = ½ E‖∇log q_σ‖² − d/2σ²

where J_ESM(q_σ) is (ESM.1) with q_σ for p: expand both squares, the cross terms agree, E‖z‖² = d.
Let p be the n data points themselves, each of mass 1/n. Then (DSM.1) is (ESM.2),

    (DSM.7)  q_σ = p_h with h = σ

so on a fixed data set DSM and ESM on its KDE are one objective with one gradient (Vincent).
Solve x = x̃ − σz for the mean of x given x̃, with (DSM.3) for z, to get Tweedie's formula, and read s
as a predictor of the noise, which is the loss of DDPM, σ² times (DSM.4):

    (DSM.8)  E[x | x̃] = x̃ + σ² ∇log q_σ(x̃)
    (DSM.9)  σ² J_DSM = ½ E ‖z − ẑ‖²
    (DSM.10) ẑ(x̃) = −σ s(x̃)

For a linear score s = −A(x̃ − m), and data of mean μ and covariance S (1/n), as in (ISM.8),

    (DSM.11) J_DSM is least at A = (S + σ²I)⁻¹, m = μ

Large σ is biased, s is the score of q_σ and not of p; small σ is noisy. Expanding (DSM.4),

    (DSM.12) J_DSM = E[½‖s(x̃)‖² + zᵀs(x̃)/σ + ‖z‖²/2σ²],   the last term of variance d/2σ⁴

which is free of θ and disturbs the loss alone; the middle term gives the gradient a variance of
order 1/σ². Their means are known without the noisy part, E[zᵀs(x)] = 0 and E‖z‖² = d. Taking that out
(a control variate) leaves the same mean and, as σ → 0, SSM-VR with Gaussian probes plus d/2σ²:

    (DSM.13) ½‖s(x̃)‖² + zᵀ(s(x̃) − s(x))/σ + d/2σ²  →  ½‖s‖² + zᵀ ∂s/∂x z + d/2σ²

Cost: one network pass. Sources: Vincent 2011, eq. 11 and appendix; Robbins 1956, Efron 2011
(Tweedie); Ho et al. 2020, eq. 14; Wang et al. 2020 (control variate).
"""

from .checks import like, points, positive, same_rows
from .derivatives import half_mean_square


def denoising_loss(score, x, z, sigma):
    """½ E‖s(x + σz) + z/σ‖², a scalar. z (N,d) standard normal, sigma one number > 0."""
    x, sigma = points("x", x), positive("sigma", sigma)
    z = same_rows("z", z, x)
    return half_mean_square(like(score(x + sigma * z), x), -z / sigma)       # ()  (DSM.4)


def tweedie(score, x_noisy, sigma):
    """E[x | x_noisy] (N,d), the denoised points, for the score of q_σ. Where σ is large against the
    data the two terms cancel, and float32 loses digits."""
    x_noisy, sigma = points("x_noisy", x_noisy), positive("sigma", sigma)
    return x_noisy + sigma**2 * like(score(x_noisy), x_noisy)                # (N,d)  (DSM.8)
