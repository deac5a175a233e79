"""Denoising score matching (DSM): no derivative of the network at all, for the score of noisy data.

Add noise to the data, and let the network guess the noise from the noisy point alone. The best guess is, but for a
factor, the score of the noisy data. With z ~ N(0, I) and σ > 0, x̃ = x + σz has the density q_σ. Differentiate (DSM.1)
under the integral, with ∇N = N ∇log N, and divide by q_σ: beside −z/σ stands p(x) N(x̃; x, σ²I)/q_σ(x̃), by Bayes the
density of x given x̃. So the score of q_σ is a mean (DSM.3):

    (DSM.1)  q_σ(x̃) = ∫ p(x) N(x̃; x, σ²I) dx
    (DSM.2)  ∇_x̃ log N(x̃; x, σ²I) = −(x̃ − x)/σ² = −z/σ
    (DSM.3)  ∇log q_σ(x̃) = E[−z/σ | x̃]

A conditional mean is the best guess in mean square: (DSM.14) holds for any target y, and s a function of x̃ alone,
since the cross term is 0 given x̃. So the score of the noisy data is learned by regression on −z/σ, (DSM.4). Up to a
constant that is (ESM.1) with q_σ for p: expand both squares, the cross terms agree by (DSM.3), and E‖z‖² = d:

    (DSM.14) E‖s(x̃) − y‖² = E‖s(x̃) − E[y|x̃]‖² + E‖y − E[y|x̃]‖²
    (DSM.4)  J_DSM(θ) = ½ E ‖s_θ(x + σz) + z/σ‖²
    (DSM.5)  E[s(x̃)ᵀ ∇log q_σ(x̃)] = E[s(x̃)ᵀ (−z/σ)]
    (DSM.6)  J_ESM(q_σ) = J_DSM + C,   C = ½ E‖∇log q_σ‖² − d/2σ²

For a linear score s = −A(x̃ − m), and data of mean μ and covariance S (with 1/n), as in (ISM.8), the derivative in A is
A(S + σ²I) − I, hence (DSM.11). For n data points, each of mass 1/n, in the place of p, (DSM.1) is (ESM.2), hence
(DSM.7): on a fixed data set DSM and ESM on its KDE, with x̃ drawn from p_h, are one objective (Vincent).

    (DSM.11) J_DSM is least at A = (S + σ²I)⁻¹, m = μ,   for every S
    (DSM.7)  q_σ = p_h with h = σ

Noise and denoiser. Solve x = x̃ − σz for the mean of x given x̃, with (DSM.3) for z, to get Tweedie's formula (DSM.8),
and read s as a predictor ẑ of the noise. Then differentiate E[x|x̃] = ∫ x p(x|x̃) dx: the gradient of p(x|x̃) is
p(x|x̃) times ∇_x̃ log p(x|x̃) = (x − x̃)/σ² − ∇log q_σ = (x − E[x|x̃])/σ², so the Jacobian is Cov[x|x̃]/σ². By (DSM.8)
it is also I + σ² ∂²log q_σ, whence (DSM.16).

    (DSM.8)  E[x | x̃] = x̃ + σ² ∇log q_σ(x̃)
    (DSM.10) ẑ(x̃) = −σ s(x̃)
    (DSM.9)  σ² J_DSM = ½ E ‖z − ẑ‖²
    (DSM.16) Cov[x | x̃] = σ²I + σ⁴ ∂²log q_σ/∂x̃∂x̃ᵀ

Which σ? Large σ is biased, s is the score of q_σ and not of p. For small σ and a smooth p > 0, Taylor in (DSM.1) gives
q_σ = p + ½σ²Δp + O(σ⁴), as E z = 0 and E zzᵀ = I; the gradient of its logarithm is (DSM.17). But small σ is noisy.
Expand (DSM.4): the last term of (DSM.12) has the variance d/2σ⁴, is free of θ and disturbs the loss alone; the middle
one gives the gradient a variance of order 1/σ². Of it the part zᵀs(x)/σ, s at the clean point, has the known mean 0.
Taking that out (a control variate), and the last term, leaves the same mean gradient, (DSM.13), and, as σ → 0, SSM-VR:

    (DSM.17) ∇log q_σ = ∇log p + ½σ² ∇(Δp/p) + O(σ⁴),   so that DSM → ESM as σ → 0
    (DSM.12) J_DSM = E[½‖s(x̃)‖² + zᵀs(x̃)/σ + ‖z‖²/2σ²]
    (DSM.13) ½‖s(x̃)‖² + zᵀ(s(x̃) − s(x))/σ  →  ½‖s‖² + zᵀ ∂s/∂x z,   + d/2σ² for the mean of (DSM.4)

All σ. Scores that agree at every σ mean densities that agree. Let p_σ and q_σ be, here, any two densities p and q under
noise, so that ∂p_σ/∂σ² = ½Δp_σ, and KL = ∫ p_σ log(p_σ/q_σ). Without the indices, and as ∫ Δp dx = 0, d KL/dσ² is ½∫ Δp
log(p/q) − ½∫ (p/q) Δq. With b = ∇log p − ∇log q, so that ∇(p/q) = (p/q) b, this is by parts −½∫ p ∇log pᵀb + ½∫ p ∇log
qᵀb, that is (DSM.18); (DSM.19) is its integral where that converges, as KL → 0 for σ → ∞. Since dσ² = 2σ² d log σ,
noise prediction with log σ uniform (NCSN.4) has just these weights, up to a constant ("likelihood weighting"):

    (DSM.18) d KL(p_σ‖q_σ)/dσ² = −½ E_{p_σ} ‖∇log p_σ − ∇log q_σ‖²   (de Bruijn)
    (DSM.19) KL(p‖q) = ½ ∫_0^∞ E_{p_σ} ‖b_σ‖² dσ²,   b_σ = ∇log p_σ − ∇log q_σ

Other paths, other predictions. DDPM shrinks the data while it adds noise, x_t = √ᾱ x + √(1−ᾱ) z, and trains ẑ_t(x_t) on
E‖z − ẑ_t(x_t)‖². That is twice (DSM.9) at one level in other variables, (DSM.15), with ẑ_t(x_t) = ẑ(x̃), and q_t the
density of x_t. In general a network may see x_t = ax + bz in a time t and predict something else. Divided by a, x_t is
x̃ at σ = b/a, so with D = E[x|x̃] it is x_t = aD + bẑ; the rate of that is the mean velocity, here v, dots for d/dt:

    (DSM.15) x̃ = x_t/√ᾱ,   σ² = (1 − ᾱ)/ᾱ,   ∇log q_t(x_t) = s(x̃)/√ᾱ = −ẑ(x̃)/√(1−ᾱ)
    (DSM.20) a = 1, b = σ (VE);   a = √ᾱ, b = √(1 − ᾱ) (VP);   a = 1 − t, b = t (linear, flow matching);   σ = b/a
    (DSM.21) v = E[ȧ x + ḃ z | x_t] = ȧ D + ḃ ẑ

VE in the time σ has v = ẑ; VP in the angle t, a = cos t, b = sin t, has √ᾱ ẑ − √(1 − ᾱ) D, called v-prediction; the
linear path has ẑ − D. A prediction y of αẑ + βD is solved for ẑ by (DSM.22). On the linear path
v − (z − x) = (1 + σ)(ẑ − z), as D − x = σ(z − ẑ), and dt = dσ/(1 + σ)²: flow matching with t uniform is noise
prediction with σ uniform (DSM.23), which starves small σ: on two Gaussians a network has the error (MET.1) .17 at
σ = .1, but .04 where log σ is uniform.

    (DSM.22) ẑ = (a y − β x_t)/(α a − β b),   s = −ẑ/σ
    (DSM.23) E‖v − (z − x)‖² = 2 (1 + σ)² σ² J_DSM,   ∫_0^1 E‖v − (z − x)‖² dt = 2 ∫_0^∞ σ² J_DSM dσ   (linear)

Cost: one network pass. Sources: Vincent 2011, eq. 11 and appendix; Robbins 1956, Efron 2011 (Tweedie); Ho et al. 2020,
eq. 14; Wang et al. 2020 (control variate); Lyu 2009 (DSM.18); Song, Durkan, Murray & Ermon 2021 (likelihood weighting);
Salimans & Ho 2022 (v-prediction); Lipman et al. 2023 (flow matching).
"""

from .checks import checked, levels, positive
from .derivatives import half_square, inner, mean


@checked
def denoising_loss(score, x, z, sigma):
    """½ E‖s(x + σz) + z/σ‖², a scalar. z (N,d) standard normal, sigma one number > 0."""
    s = score(x + sigma * z)                                                 # (N,d)
    return mean(half_square(s + z / sigma))                                  # ()  (DSM.4)


@checked
def denoising_vr_loss(score, x, z, sigma):
    """A loss of the mean of denoising_loss and, by the control variate of (DSM.13), of low variance at small sigma.
    z (N,d) standard normal, sigma one number > 0. Two passes of the score."""
    s, clean = score(x + sigma * z), score(x)                                # (N,d) (N,d)
    return mean(half_square(s) + inner(z, s - clean) / sigma) + x.shape[1] / (2 * sigma**2)  # ()  (DSM.13)


@checked(sigma=positive)
def tweedie(score, x_noisy, sigma):
    """E[x | x_noisy] (N,d), the denoised points, for the score of q_σ. Where σ is large against the
    data the two terms cancel, and float32 loses digits."""
    return x_noisy + sigma**2 * score(x_noisy)                               # (N,d)  (DSM.8)


@checked
def as_score(model, predicts, path="ve"):
    """The score function s(x, sigma) of a model(x_t, t) that was trained for another prediction, on another path.
    predicts: "noise" ẑ, "denoiser" D, "score" ∇log q_t(x_t), or "velocity" (DSM.21). path: "ve", x_t = x + σz, t = σ;
    "vp", x_t = √ᾱ x + √(1 − ᾱ) z, t = ᾱ, whose velocity is v-prediction; "linear", x_t = (1 − t) x + t z. A model
    whose data are at t = 1 is lambda x, t: -model(x, 1 - t). t comes as an array (N,)."""
    @checked(sigma=levels)
    def score(x, sigma):                                                     # (N,d) (N,1)
        a = {"ve": 1.0, "vp": (1 + sigma**2)**-0.5, "linear": 1 / (1 + sigma)}[path]
        b = sigma * a                                                        # (N,1)  (DSM.20)
        t, da, db = {"ve": (sigma, 0.0, 1.0), "vp": (a * a, -b, a), "linear": (b, -1.0, 1.0)}[path]  # (DSM.21)
        alpha, beta = {"noise": (1, 0), "denoiser": (0, 1), "score": (-1 / b, 0), "velocity": (db, da)}[predicts]
        y = model(a * x, t)                                                  # (N,d)
        return (beta * x - y) * a / (alpha * a - beta * b) / sigma           # (N,d)  (DSM.22)
    return score
