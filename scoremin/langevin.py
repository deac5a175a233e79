"""Langevin dynamics (LD): samples from a score alone, plain and annealed.

    (LD.1)  dx = ½ ∇log p(x) dt + dw

moves a cloud of points with density q by the Fokker–Planck equation, where q∇log q = ∇q joins the
two terms,

    (LD.2)  ∂q/∂t = −½ ∇·(q ∇log p) + ½ ∇·∇q = ½ ∇·(q ∇log(q/p))

zero at q = p: the data's density is stationary. A step of size step in t gives the sampler,

    (LD.3)  x ← x + (step/2) s(x) + √step z,   z ~ N(0, I)
    (LD.4)  the other convention, x ← x + ε s(x) + √(2ε) z, is step = 2ε
    (LD.5)  with noise √(T·step) z, temperature T, the stationary density is p^{1/T}; T = 0 climbs

The discretisation has a bias, exactly known for a Gaussian of precision a, s(x) = −ax. Squaring
(LD.3), the variance V of the chain obeys the first line; its fixed point is the second:

    (LD.6)  V ← (1 − step·a/2)² V + step
    (LD.7)  V = 1/(a(1 − step·a/4)),   reached if and only if step·a < 4, otherwise V diverges

Plain dynamics crosses between separated modes exponentially slowly, and where there are no data the
learned score is arbitrary. Annealing starts from wide noise, whose modes are joined, and runs n_steps
at each level of σ_1 > … > σ_L on the score of q_σ, with a step that shrinks as σ²,

    (LD.8)  step_i = step · σ_i²/σ_L²
    (LD.9)  ‖½ step_i s‖ / ‖√step_i z‖ = ½ √step_i ‖s‖/√d,   the same at every level

since ‖s‖ ~ √d/σ_i: drift and noise keep their balance, which σ instead of σ² would not. As step_i is
the step at level i, the noise is √step_i; step is that of the last level. If the data are N(0, 1),
level i has precision A_i = 1/(1 + σ_i²), and (LD.6) is exact bookkeeping for the whole run,

    (LD.10) V ← (1 − step_i A_i/2)² V + step_i

If they are a single point, A_i = 1/σ_i², so that stability asks step/σ_L² < 4. What is left at the
end is noise of size σ_L; Tweedie (DSM.8) removes it:

    (LD.11) x ← x + σ_L² s(x, σ_L)

Cost: one network pass a step, no gradients. Sources: Roberts & Tweedie 1996; Song & Ermon 2019,
algorithm 1; Jolicoeur-Martineau et al. 2021 (denoise).
"""

import numpy as np

from .checks import like, points, positive, whole


def _advance(x, drift, noise, i, step):
    """x + drift + noise, or FloatingPointError where the chain has left the range of floats."""
    with np.errstate(over="ignore", invalid="ignore"):
        moved = x + drift + noise                                            # (N,d)
        if not np.isfinite(np.sum(moved**2)):
            raise FloatingPointError(f"the chain diverged at step {i}: |x| went from {np.abs(x).max():.3g} to "
                                     f"{np.abs(moved).max():.3g} at a step size of {step:.3g}; use a smaller step")
    return moved


def langevin(score, x, step, n_steps, rng, temperature=1.0, callback=None):
    """n_steps of Langevin dynamics from x (N,d), N chains at once; returns the last positions.

    step is in the convention (LD.3). callback(i, x) is called after step i = 0, 1, …
    Raises FloatingPointError when the chain diverges."""
    x, step = points("x", x), positive("step", step)
    if np.ndim(temperature) or not 0 <= temperature < np.inf:
        raise ValueError(f"temperature is {temperature!r}; want one finite number >= 0")
    size = float(temperature * step)**0.5
    for i in range(whole("n_steps", n_steps, least=0)):
        z = rng.standard_normal(x.shape, x.dtype)                            # (N,d)
        x = _advance(x, 0.5 * step * like(score(x), x), size * z, i, step)   # (N,d)  (LD.3) (LD.5)
        if callback:
            callback(i, x)
    return x


def annealed_langevin(score, x, sigmas, step, n_steps, rng, denoise=False, callback=None):
    """Langevin dynamics on score(x, sigma) at each of sigmas (L,), descending, n_steps at each.

    step is that of the last level (LD.8). denoise ends with one noiseless step to E[x|x̃] (LD.11).
    callback(i, x) counts through all L·n_steps steps. Raises as langevin does."""
    sigmas, step = np.asarray(sigmas, dtype=float), positive("step", step)
    bounded = np.concatenate([[np.inf], np.ravel(sigmas), [0]])
    if sigmas.ndim != 1 or sigmas.size == 0 or not (bounded[1:] < bounded[:-1]).all():
        raise ValueError(f"sigmas are {sigmas}; want finite numbers > 0 in strictly descending order")
    for i, sigma in enumerate(sigmas.tolist()):
        record = callback and (lambda k, x, i=i: callback(i * n_steps + k, x))
        step_i = step * sigma**2 / float(sigmas[-1])**2                      # (LD.8)
        try:
            x = langevin(lambda x, sigma=sigma: score(x, sigma), x, step_i, n_steps, rng, callback=record)
        except FloatingPointError as error:
            raise FloatingPointError(f"at level {i}, sigma = {sigma:.3g}: {error}") from None
    return x + sigma**2 * like(score(x, sigma), x) if denoise else x         # (N,d)  (LD.11)
