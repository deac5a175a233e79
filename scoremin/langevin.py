"""Langevin dynamics (LD): samples from a score alone, plain and annealed.

Let a point take small steps along the score, with a little noise z ~ N(0, I) in each. After many steps it is a sample
of the density:

    (LD.3)  x ← x + (step/2) s(x) + √step z
    (LD.4)  the other convention, x ← x + ε s(x) + √(2ε) z, is step = 2ε

Why? See what a step does to the mean of any smooth f that is 0 far out, by Taylor to order step (odd powers of z have
mean 0, E zzᵀ = I): (LD.12). With s = ∇log p and step = dt this is the process (LD.1).

    (LD.12) E f(x + ½ step s + √step z) = f + step (½ sᵀ∇f + ½ Δf) + O(step²)
    (LD.1)  dx = ½ ∇log p(x) dt + dw,   w Brownian motion, dw ~ N(0, dt I)

A cloud of points of density q has the mean ∫ q f, which so changes at the rate ∫ q (½ sᵀ∇f + ½ Δf). Integrate by parts,
once in the first term and twice in the second: as f is arbitrary, q obeys the Fokker–Planck equation (LD.2), where
q∇log q = ∇q joins the terms. It is 0 at q = p: the data's density is stationary. And q only ever comes nearer to it. As
∫ ∂q/∂t dx = 0, the rate of KL(q‖p) is ∫ ∂q/∂t log(q/p) dx; put (LD.2) in and integrate by parts, (LD.14).

    (LD.2)  ∂q/∂t = −½ ∇·(q ∇log p) + ½ ∇·∇q = ½ ∇·(q ∇log(q/p))
    (LD.14) d/dt KL(q‖p) = −½ E_q‖∇log q − ∇log p‖²

so that the distance falls from any start, at the rate of the explicit loss (ESM.1) of p's score on q; slowly where that
is small, as it is for mixtures that differ in their weights alone (ESM.7). With other noise (LD.2) becomes
½ ∇·(T ∇q − q ∇log p), zero at T ∇log q = ∇log p: hence (LD.5), if that is integrable; T = 0 climbs. The steps have a
bias, exactly known for a Gaussian of precision a, s(x) = −ax. Squaring (LD.3), the variance V of the chain obeys
(LD.6); its fixed point is (LD.7):

    (LD.5)  with noise √(T·step) z, temperature T, the stationary density tends to ∝ p^{1/T} as step → 0
    (LD.6)  V ← (1 − step·a/2)² V + step
    (LD.7)  V = 1/(a(1 − step·a/4)),   reached if and only if step·a < 4, otherwise V diverges

Plain dynamics crosses between separated modes exponentially slowly, and where there are no data the learned score is
arbitrary. Annealing starts from wide noise, whose modes are joined, and runs n_steps at each level of σ_1 > … > σ_L on
the score of q_σ, with a step that shrinks as σ² (LD.8). In root mean square E‖s‖² ≤ d/σ_i² by (DSM.3), hence (LD.9).
For a point mass the ratio of drift to noise is the same at every level; a step ∝ σ_i from the same last step has
½ √step/√(σ_i σ_L), too little at wide levels. For data with a density the ratio falls with σ_i: at N(0, 1) it is
(LD.13), so the last levels hardly move the points, as long as n_steps · 4 ratio² is small against 1:

    (LD.8)  step_i = step · σ_i²/σ_L²
    (LD.9)  ‖½ step_i s‖ / ‖√step_i z‖ ≈ ½ √step_i ‖s‖/√d ≤ ½ √step/σ_L,   with equality for a point mass
    (LD.13) ½ √step/σ_L · σ_i/√(1 + σ_i²),   a hundredfold smaller at σ = .01 than at 10

If the data are N(0, 1), level i has precision A_i = 1/(1 + σ_i²), and (LD.6) is exact bookkeeping for the whole run
(LD.10). If they are a single point, A_i = 1/σ_i², so that stability asks step/σ_L² < 4. The noise of size σ_L left at
the end Tweedie (DSM.8) removes:

    (LD.10) V ← (1 − step_i A_i/2)² V + step_i
    (LD.11) x ← x + σ_L² s(x, σ_L)

Cost: one network pass a step, no gradients. Sources: Roberts & Tweedie 1996 (LD.7); Risken 1989 (LD.2); Song & Ermon
2019, algorithm 1; Jolicoeur-Martineau et al. 2021 (denoise).
"""

from .checks import at, moved, sampling


@sampling
def langevin(score, x, step, n_steps, rng, temperature=1.0, callback=None):
    """n_steps of Langevin dynamics from x (N,d), N chains at once; returns the last positions.
    step is in the convention (LD.3). callback(i, x) is called after step i = 0, 1, … with a copy.
    Raises FloatingPointError when the chain diverges or the score is not finite, with the step."""
    noise = (temperature * step)**0.5
    for i in range(n_steps):
        z = rng.standard_normal(x.shape, x.dtype)                            # (N,d)
        with at(f"step {i}"):
            x = moved(x + 0.5 * step * score(x) + noise * z, x, "use a smaller step")  # (N,d)  (LD.3) (LD.5)
        callback(i, x)
    return x


@sampling
def annealed_langevin(score, x, sigmas, step, n_steps, rng, denoise=False, callback=None):
    """Langevin dynamics on score(x, sigma) at each of sigmas (L,), descending, n_steps at each.
    step is that of the last level (LD.8). denoise ends with one noiseless step to E[x|x̃] (LD.11).
    callback(i, x) counts through all L·n_steps steps. Raises as langevin does, with the level."""
    for i, sigma in enumerate(sigmas):
        step_i = step * sigma**2 / sigmas[-1]**2                             # (LD.8)
        with at(f"level {i}, sigma = {sigma:.3g}"):
            x = langevin(lambda x, sigma=sigma: score(x, sigma), x, step_i, n_steps, rng,
                         callback=lambda k, x, i=i: callback(i * n_steps + k, x))
    return x + sigma**2 * score(x, sigma) if denoise else x                  # (N,d)  (LD.11)
