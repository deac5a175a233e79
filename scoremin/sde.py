"""Continuous noise (SDE): samples in ten network calls, and exact likelihoods, from s(x, σ) alone.

To sample is to run noise backwards. In general noise is a process of drift f and size g, w Brownian motion; its density
q obeys a Fokker–Planck equation (SDE.26), derived as (LD.2) was. Let s = ∇log q. As ∇q = q s, the noise's term ½ g² Δq
is −∇·(q f') for f' = −½ g² s, the term of a drift: noise spreads a cloud just as a drift away from where it is dense
would. So part of the noise may be traded for drift: put −½ g² Δq = −½ (1 + η²) g² ∇·(q s) + ½ η² g² Δq, for any η ≥ 0,
into −∂q/∂t (equations keep their names, and stand in the order of the argument):

    (SDE.26) dx = f(x, t) dt + g(t) dw,   ∂q/∂t = −∇·(q f) + ½ g² Δq
    (SDE.27) −∂q/∂t = −∇·(q (½ (1 + η²) g² s − f)) + ½ η² g² Δq

The second is the equation of a process again, in the time −t, with drift ½(1 + η²) g² s − f and noise η g: each of
these runs backwards through the same densities. η = 1 is the reversed process, whose paths too have the law of those
forward (Anderson); η = 0 has no noise, the probability flow. Two choices of f and g are common. VP is VE in other
variables, for d(x/√ᾱ) = √(β/ᾱ) dw and ∫ β/ᾱ dt = 1/ᾱ − 1, as (DSM.15) says:

    (SDE.2)  dx = √(dσ²/dt) dw,   "variance exploding" (VE)
    (SDE.28) dx = −½ β x dt + √β dw,   "variance preserving" (VP, DDPM):   ᾱ = exp(−∫ β dt)
    (SDE.23) x_t/√ᾱ = x_0 + σz,   σ² = (1 − ᾱ)/ᾱ
    (SDE.24) ∇log q_t(x_t) = s(x_t/√ᾱ, σ)/√ᾱ,   −√(1 − ᾱ) ∇log q_t = −σ s, the same predicted noise

From here on all is σ: q is q_σ, σ' < σ are neighbours on a grid from σ_max down to σ_min, δ = σ² − σ'², and
D = x + σ² s is the denoiser (DSM.8). Independent noise adds its variances. (SDE.3) at equal steps of t is the geometric
grid (NCSN.1), (SDE.5) the heat equation, and the last two are (SDE.27) at η = 1 and 0:

    (SDE.1)  x(σ) = x(σ') + √δ z,   Var[x(σ) | x_0] = (σ'² + δ) I = σ² I
    (SDE.3)  σ(t) = σ_min (σ_max/σ_min)^t,   dσ²/dt = 2 σ² log(σ_max/σ_min),   0 ≤ t ≤ 1
    (SDE.5)  ∂q/∂σ² = ½ Δq,   Δq = ∇·(q s)
    (SDE.6)  −∂q/∂σ² = −Δq + ½ Δq = −∇·(q s) + ½ Δq
    (SDE.7)  −∂q/∂σ² = −∇·(q · ½ s)

The usual start is N(0, σ_max² I); for data N(μ, c²I) and ρ = c²/σ_max² it is wrong by (SDE.4), so let σ_max be well
above ‖μ‖ and c d^{1/4}, or start at N(μ, S + σ_max² I), S the data's covariance. A step down is Euler–Maruyama's of
(SDE.6), exact where s is constant, or the ancestral one: take the law of x(σ') given x(σ) and x_0, then put D for x_0:

    (SDE.4)  KL = ½(‖μ‖²/σ_max² + d ρ − d log(1 + ρ)) = ½‖μ‖²/σ_max² + ¼ d ρ² + O(d ρ³)
    (SDE.8)  x ← x + δ s(x, σ) + √δ z
    (SDE.9)  x(σ') | x, x_0 ~ N(x + (δ/σ²)(x_0 − x), δ σ'²/σ² I)
    (SDE.10) x ← x + δ s(x, σ) + √δ (σ'/σ) z

A step of Langevin dynamics (LD.3) at σ', where q_σ' is stationary, corrects either; alone it is annealed Langevin
(figures/continuous_noise.py draws with all). On N(0, c²I), s = −x/(c² + σ²), the variance V of a coordinate is known
after every step. In small steps of (SDE.27) with a score wrong by a factor 1 + ε, dV/da = k V/a − η² in a = c² + σ²,
from V = u at the start to (SDE.29) at σ = 0:

    (SDE.11) V ← (1 − δ/(c² + σ²))² V + δ,   in the ancestral step + δ σ'²/σ²
    (SDE.12) c = 0, a geometric grid:  V → σ_min² σ²/σ'² by (SDE.8),   V = σ_min² by (SDE.10)
    (SDE.13) V ← (1 − ½ step/(c² + σ'²))² V + step   after each (SDE.11)
    (SDE.29) V = c² η²/(k − 1) + (1 − η²/(k − 1)) u (c²/u)^k,   k = (1 + ε)(1 + η²),   u = c² + σ_max²
    (SDE.25) V = σ (c² + σ²), not c² + σ²,   by the mistake dx = s dt + √(2σ(t)) dw for (SDE.6)

The last is (LD.5) at temperature σ: at small σ all noise freezes. At c = 1, σ_max = 10, ε = .1, where V should be 1,
(SDE.29) is .63 for η = 0 and .83 for η = 1: noise forgets errors of the score, the flow keeps them all. But the flow
needs few steps. By (SDE.7) x moves by ½s in time −σ², (SDE.14); Heun's step (SDE.16) takes the mean of the slopes at
both ends, of order 2. In D the flow is d(x/σ)/dσ = −D/σ², hence (SDE.17) and, for a constant D, (SDE.18): one and the
same as Euler's step of (SDE.14), as DDIM's, and, by (SDE.30), as Euler's in flow matching. Better, let D change in
proportion to λ = −log u over the width τ = log σ/σ' of a step: up to order τ³ it may be taken at the middle of the
step, and how it changes is known from the call before (SDE.19):

    (SDE.14) dx/dσ = −σ s(x, σ),   the probability flow
    (SDE.15) x(σ') = x(σ) √((c² + σ'²)/(c² + σ²)),   on N(0, c²I)
    (SDE.16) x̂ = x − (σ' − σ) σ s(x, σ),   x ← x − ½(σ' − σ)(σ s(x, σ) + σ' s(x̂, σ'))
    (SDE.17) x(σ') = (σ'/σ) x(σ) + σ' ∫_σ'^σ D du/u² = (σ'/σ) x(σ) + σ' ∫ D e^λ dλ,   λ = −log u
    (SDE.18) x ← (σ'/σ) x + (1 − σ'/σ) D = D − σ'σ s,   exact where D is constant on the path
    (SDE.30) x_t + (t' − t) v = (1 − t') (D − σ'σ s),   t = σ/(1 + σ), v the velocity (DSM.21) at x_t = (1 − t) x
    (SDE.19) D̄ = D + ½ τ Ḋ,   Ḋ = (D − D_before)/τ_before,   D̄ for D in (SDE.18); the first step has Ḋ = 0

The density on the way has d/dσ log q = (∂q/∂σ − σ sᵀ∇q)/q, where sᵀ∇q cancels. y = (x, integral) obeys one equation
dy/dσ = f(y, σ), which Runge and Kutta's method solves with order 4. For a learned s it is the density of its flow:

    (SDE.20) d/dσ log q = σ tr ∂s/∂x
    (SDE.21) log q(x, σ_min) = prior(x(σ_max)) − ∫ σ tr ∂s/∂x dσ,   the flow run up from x
    (SDE.22) y ← y + (f_1 + 2f_2 + 2f_3 + f_4)(σ' − σ)/6
             f_1 = f(y, σ), f_2 and f_3 at mid-step by f_1 and by f_2, f_4 at σ' by f_3

Cost: a call a level; Heun two, the likelihood four divergences a step. Grid: uniform in asinh(σ/b), which is σ below b
and log σ above, b half the data's spread. End with tweedie. Fails: σ_max too small ruins the flow, whose start is never
corrected. Sources: Song et al. 2021; Anderson 1982; Ho et al. 2020; Karras et al. 2022; Lu et al. 2022 (DPM-Solver++,
2M); Chen et al. 2018 (change of variables); Lipman et al. 2023.
"""

from math import log

import numpy as np

from .checks import at, grid, moved, sampling, upwards
from .derivatives import divergence


def _follow(advance, x, sigmas):
    """x (N,d) after advance(x, sigma, its successor) from each level to the next."""
    for i, after in enumerate(sigmas[1:]):
        with at(f"step {i}, from sigma = {sigmas[i]:.3g} to {after:.3g}"):
            x = moved(advance(x, sigmas[i], after), x, "use finer sigmas or smaller x")
    return x


@sampling(sigmas=grid)
def reverse_sde(score, x, sigmas, rng):
    """Samples of q at sigmas[-1] from samples x (N,d) of q at sigmas[0], by Euler–Maruyama in σ²: one call of
    score(x, sigma) a step, order 1. sigmas (n,) descend. Raises FloatingPointError, with the step, when it diverges."""
    def advance(x, sigma, after):
        lost = sigma**2 - after**2
        z = rng.standard_normal(x.shape, x.dtype)                            # (N,d)
        return x + lost * score(x, sigma) + lost**0.5 * z                    # (N,d)  (SDE.8)
    return _follow(advance, x, sigmas)


@sampling(sigmas=upwards)
def probability_flow(score, x, sigmas):
    """x (N,d) carried from sigmas[0] to sigmas[-1], up or down, by dx/dσ = −σ s, with Heun's method: two calls of
    score(x, sigma) a step, order 2. Raises as reverse_sde does."""
    def advance(x, sigma, after):
        slope = -sigma * score(x, sigma)                                     # (N,d)  (SDE.14)
        guess = x + (after - sigma) * slope                                  # (N,d)  (SDE.16)
        return x + 0.5 * (after - sigma) * (slope - after * score(guess, after))  # (N,d)  (SDE.16)
    return _follow(advance, x, sigmas)


@sampling(sigmas=grid)
def dpm_solver(score, x, sigmas):
    """x (N,d) carried down the same flow by DPM-Solver++(2M): one call of score(x, sigma) a step, order 2.
    Ten levels of a geometric grid are often enough. Raises as reverse_sde does."""
    last = []                                                                # D, τ of the step before

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
    f_2 = f(y + 0.5 * step * f_1, middle)
    f_3 = f(y + 0.5 * step * f_2, middle)
    f_4 = f(y + step * f_3, after)
    return y + step / 6 * (f_1 + 2 * f_2 + 2 * f_3 + f_4)                    # like y  (SDE.22)


@sampling(sigmas=grid)
def log_likelihood(score, x, sigmas, prior):
    """log q(x) (N,) at the level sigmas[-1], in nats, with the exact divergence, by Runge–Kutta of order 4.
    sigmas descend; prior(x), (N,d) -> (N,), is the log-density at sigmas[0]. score(x, sigma); one that
    has .at(sigma), as NoiseConditionalMLP, lends its fast divergence. Raises as reverse_sde does."""
    def slope(y, sigma):
        at_sigma = score.at(sigma) if hasattr(score, "at") else lambda x: score(x, sigma)
        s, tr = divergence(at_sigma, y[:, :-1])                              # (N,d) (N,)
        return sigma * np.hstack([-s, tr[:, None]])                          # (N,d+1)  (SDE.14) (SDE.20)

    y = np.hstack([x, np.zeros_like(x[:, :1])])                              # (N,d+1)
    y = _follow(lambda *ends: _runge_kutta(slope, *ends), y, sigmas[::-1])
    return prior(y[:, :-1]) - y[:, -1]                                       # (N,)  (SDE.21)
