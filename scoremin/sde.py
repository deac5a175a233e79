"""Continuous noise (SDE): samplers of few network calls, and exact likelihoods, from s(x, σ) alone.

Here D is the denoiser (DSM.8), D(x, σ) = x + σ² s(x, σ); σ and σ' are two neighbouring levels of a grid
from σ_max down to σ_min, δ = σ² − σ'². Noise added in pieces is a Markov chain, σ_0 = 0, and as variances of
independent pieces add, the sum telescopes: x_i is x_0 + σ_i z, of density q_σ (DSM.1). In the limit,

    (SDE.1)  x_i = x_{i−1} + √(σ_i² − σ_{i−1}²) z_i,   Var[x_i | x_0] = Σ_{j≤i} (σ_j² − σ_{j−1}²) I = σ_i² I
    (SDE.2)  dx = √(dσ²/dt) dw,   w Brownian motion
    (SDE.3)  σ(t) = σ_min (σ_max/σ_min)^t,   dσ²/dt = 2 σ² log(σ_max/σ_min)

(SDE.3) at equal steps of t is the geometric grid (NCSN.1). At t = 1, q is all but Gaussian: for data
N(μ, c²I) its divergence from N(0, σ_max² I), the usual start, is, with ρ = c²/σ_max²,

    (SDE.4)  KL = ½(‖μ‖²/σ_max² + d ρ − d log(1 + ρ)) = ½‖μ‖²/σ_max² + ¼ d ρ² + O(d ρ³)

so σ_max must exceed ‖μ‖ and c. The start N(μ, S + σ_max² I), S the data's covariance, gets both moments right.
Only σ² matters as time: (SDE.2) is the heat equation, and ∇q = q s writes it with s alone in two ways,

    (SDE.5)  ∂q/∂σ² = ½ Δq,   Δq = ∇·(q s)
    (SDE.6)  −∂q/∂σ² = −½ Δq = −∇·(q s) + ½ Δq
    (SDE.7)  −∂q/∂σ² = −∇·(q · ½ s)

The right of (SDE.6) is the Fokker–Planck equation of a process with drift s and unit noise, in the time
−σ²: the reversed process (Anderson). One Euler–Maruyama step of it is exact in law if s is constant on it:

    (SDE.8)  x ← x + δ s(x, σ) + √δ z

The chain itself can be reversed. Given x_0, both x at σ' and the rest of the noise, √δ z, are independent
Gaussians whose sum is seen; regress the first on the sum, and put D for x_0, to get the ancestral step:

    (SDE.9)  x' | x, x_0 ~ N(x + (δ/σ²)(x_0 − x), δ σ'²/σ² I)
    (SDE.10) x ← x + δ s(x, σ) + √δ (σ'/σ) z

Data N(0, c²I) have s = −x/(c² + σ²), and squaring the steps gives the variance V of each coordinate exactly,

    (SDE.11) V ← (1 − δ/(c² + σ²))² V + δ,   in the ancestral step + δ σ'²/σ²

For a point mass, c = 0, D is x_0 and the ancestral step exact: V = σ² becomes σ'⁴/σ² + δσ'²/σ² = σ'². In
(SDE.8), on a geometric grid of ratio σ²/σ'² = κ, V/σ² obeys V/σ² ← (V/σ²)/κ + κ − 1, with the fixed point κ:

    (SDE.12) c = 0:  V → σ_min² σ²/σ'² by (SDE.8),   V = σ_min² by (SDE.10)

A step of Langevin dynamics (LD.3) at σ' has q_σ' as its stationary density up to (LD.7): put after a step
of (SDE.8) or (SDE.10), the predictor, it corrects it. Alone, with no predictor, it is annealed Langevin:

    (SDE.13) V ← (1 − ½ step/(c² + σ'²))² V + step   after each (SDE.11)

Now (SDE.7). It moves density by the velocity ½s in time −σ² with no noise at all, dx/dσ² = −½ s, hence

    (SDE.14) dx/dσ = −σ s(x, σ),   the probability flow
    (SDE.15) x(σ') = x(σ) √((c² + σ'²)/(c² + σ²)),   on N(0, c²I)

Each x(σ) has density q_σ; up and down undo each other. Heun's method steps with the mean of the slopes at
both ends, the far one at Euler's guess; the trapezoidal rule errs by a third derivative, order 2 in all:

    (SDE.16) x̂ = x − (σ' − σ) σ s(x, σ),   x ← x − ½(σ' − σ)(σ s(x, σ) + σ' s(x̂, σ'))

In D the flow is dx/dσ = (x − D)/σ, that is d(x/σ)/dσ = −D/σ²: linear but for D, and, with λ = −log σ,

    (SDE.17) x(σ') = (σ'/σ) x(σ) + σ' ∫_σ'^σ D dσ/σ² = (σ'/σ) x(σ) + σ' ∫ D e^λ dλ
    (SDE.18) x ← (σ'/σ) x + (1 − σ'/σ) D,   exact where D is constant on the path

Let D grow as D + (λ − λ_i) Ḋ instead, over a step η = log σ/σ': ∫ e^λ (λ − λ_i) dλ = (η e^η − e^η + 1)/σ,
which is ½η (e^η − 1)/σ up to order η³. So D at mid-step serves, and Ḋ comes from the call before, for free:

    (SDE.19) D̄ = D + ½ η Ḋ,   Ḋ = (D − D_before)/η_before,   D̄ for D in (SDE.18); the first step has Ḋ = 0

Density along the flow: ∂q/∂σ = ∇·(q σ s), and d/dσ log q(x(σ), σ) = (∂q/∂σ − σ sᵀ∇q)/q, where sᵀ∇q cancels,

    (SDE.20) d/dσ log q = σ tr ∂s/∂x
    (SDE.21) log q(x, σ_min) = prior(x(σ_max)) − ∫ σ tr ∂s/∂x dσ,   the flow run up from x

Both equations are one, dy/dσ = f(y, σ), for y = (x, integral); Runge and Kutta's method has order 4 for it:

    (SDE.22) y ← y + (f_1 + 2f_2 + 2f_3 + f_4)(σ' − σ)/6
             f_1 = f(y, σ), f_2 and f_3 at mid-step by f_1 and by f_2, f_4 at σ' by f_3

DDPM's process ("variance preserving") is the same one in other variables. With x_t = √ᾱ x_0 + √(1 − ᾱ) z,

    (SDE.23) x_t/√ᾱ = x_0 + σz,   σ² = (1 − ᾱ)/ᾱ
    (SDE.24) ∇log p_t(x_t) = s(x_t/√ᾱ, σ)/√ᾱ,   −√(1 − ᾱ) ∇log p_t = −σ s, the same predicted noise

as densities change by a constant under scaling. And a mistake in print: dx = s dt + √(2σ(t)) dw for (SDE.6).
At a level held fixed it is Langevin dynamics (LD.5) at the temperature σ, so that it settles at q_σ^{1/σ}:

    (SDE.25) V = σ (c² + σ²),   not c² + σ²: at small σ all noise freezes

Cost: a call a level; Heun two, the likelihood four divergences a step. Use a grid uniform in asinh(σ/σ_0),
which is σ below σ_0 and log σ above, with σ_0 about half the data's spread; dpm_solver prefers the geometric
grid. End samples with tweedie. Fails: σ_max too small ruins the flow, whose start is never corrected.
Sources: Song et al. 2021 (SDE, flow, likelihood); Anderson 1982; Ho et al. 2020; Karras et al. 2022;
Lu et al. 2022 (DPM-Solver++, 2M); Chen et al. 2018 (change of variables).
"""

from itertools import pairwise
from math import log

import numpy as np

from .checks import at, grid, moved, sampling, upwards
from .derivatives import divergence

FINER = "use finer sigmas or smaller x"


def _follow(advance, x, sigmas):
    """x (N,d) after advance(x, sigma, its successor) from each level to the next."""
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        with at(f"step {i}, from sigma = {sigma:.3g} to {after:.3g}"):
            x = moved(advance(x, sigma, after), x, FINER)
    return x


@sampling(sigmas=grid)
def reverse_sde(score, x, sigmas, rng):
    """Samples of q at sigmas[-1] from samples x (N,d) of q at sigmas[0], by Euler–Maruyama in σ².

    score(x, sigma) is called once for each level but the last; sigmas (n,) strictly descending.
    Order 1. Raises FloatingPointError, with the step, when the path diverges."""
    def advance(x, sigma, after):
        lost = sigma**2 - after**2
        z = rng.standard_normal(x.shape, x.dtype)                            # (N,d)
        return x + lost * score(x, sigma) + lost**0.5 * z                    # (N,d)  (SDE.8)
    return _follow(advance, x, sigmas)


@sampling(sigmas=upwards)
def probability_flow(score, x, sigmas):
    """x (N,d) carried from sigmas[0] to sigmas[-1], up or down, by dx/dσ = −σ s, with Heun's method.

    Two calls of score(x, sigma) a step, order 2. Raises as reverse_sde does."""
    def advance(x, sigma, after):
        slope = -sigma * score(x, sigma)                                     # (N,d)  (SDE.14)
        guess = moved(x + (after - sigma) * slope, x, FINER)                 # (N,d)  (SDE.16)
        return x + 0.5 * (after - sigma) * (slope - after * score(guess, after))  # (N,d)  (SDE.16)
    return _follow(advance, x, sigmas)


@sampling(sigmas=grid)
def dpm_solver(score, x, sigmas):
    """x (N,d) carried down the same flow by DPM-Solver++(2M): one call of score(x, sigma) a step, order 2.

    Ten levels of a geometric grid are often enough. Raises as reverse_sde does."""
    last = []                                                                # D, η of the step before

    def advance(x, sigma, after):
        D, width = x + sigma**2 * score(x, sigma), log(sigma / after)        # (N,d)
        ahead = D + 0.5 * width / last[1] * (D - last[0]) if last else D     # (N,d)  (SDE.19)
        last[:] = D, width
        return after / sigma * x + (1 - after / sigma) * ahead               # (N,d)  (SDE.18)
    return _follow(advance, x, sigmas)


def _runge_kutta(f, y, sigma, after):
    """y at after, from y at sigma, for dy/dσ = f(y, σ)."""
    step, middle = after - sigma, 0.5 * (sigma + after)
    f_1 = f(y, sigma)                                                        # like y
    f_2 = f(moved(y + 0.5 * step * f_1, y, FINER), middle)
    f_3 = f(moved(y + 0.5 * step * f_2, y, FINER), middle)
    f_4 = f(moved(y + step * f_3, y, FINER), after)
    return y + step / 6 * (f_1 + 2 * f_2 + 2 * f_3 + f_4)                    # like y  (SDE.22)


@sampling(sigmas=grid)
def log_likelihood(score, x, sigmas, prior):
    """log q(x) (N,) at the level sigmas[-1], in nats, with the exact divergence, by Runge–Kutta of order 4.

    sigmas descending; prior(x), (N,d) -> (N,), is the log-density at sigmas[0]. score(x, sigma); one that
    has .at(sigma), as NoiseConditionalMLP, lends its fast divergence. Raises as reverse_sde does."""
    def slope(y, sigma):
        at_sigma = score.at(sigma) if hasattr(score, "at") else lambda x: score(x, sigma)
        s, tr = divergence(at_sigma, y[:, :-1])                              # (N,d) (N,)
        return sigma * np.hstack([-s, tr[:, None]])                          # (N,d+1)  (SDE.14) (SDE.20)

    y = np.hstack([x, np.zeros_like(x[:, :1])])                              # (N,d+1)
    y = _follow(lambda *ends: _runge_kutta(slope, *ends), y, sigmas[::-1])
    return prior(y[:, :-1]) - y[:, -1]                                       # (N,)  (SDE.21)
