"""Denoising at one noise level: too small is noisy, too large is biased.

A network trained at σ learns the score of the noisy data q_σ. Against the clean score its error has a
minimum: to the right it is that of the exact score of q_σ (dashed), to the left the noise of the target
−z/σ, whose share of the gradient's variance grows as 1/σ². Taking out the term whose mean is known to be 0,
zᵀs(x)/σ, leaves the same mean gradient at a variance that stays bounded: as σ → 0 it is that of sliced score
matching with Gaussian probes (SSM-VR). Above: learned fields at three levels; lines: the density at e^−½ and
e^−2 of its maximum.

Source: Vincent 2011; Wang et al. 2020 (control variate); equations DSM.12 and DSM.13 of scoremin/denoising.py.
Settings: 2-64-64-2 networks, 1,200 Adam steps of 256 at each σ, rate 0.003. Variance: sum over all weights of the
network trained at σ = 0.3, 50 batches of 64, the same for all σ.
"""

from functools import partial
from types import SimpleNamespace

import autograd.numpy as np
from autograd import grad
from autograd.misc import flatten

import scoremin as sm

from . import common as c

SIGMAS = np.geomspace(0.03, 3, 7).tolist()
SHOWN = [0, 3, 5]                                          # drawn as fields: σ = 0.03, 0.3, 1.4
NOISE_SIGMAS = np.geomspace(1e-3, 1, 7)


def train(sigma, data, rng, budget, progress):
    """The denoising network at one level, trained in float32, returned in float64."""
    loss = lambda score, x, rng: sm.denoising_loss(score, x, c.normal(rng, x), sigma)
    score = c.train(loss, sm.MLP, c.init(rng, 2, 64, 64, 2), data, rng, budget, progress, steps=1200,
                    learning_rate=3e-3, label=f"sigma {sigma:.2g}")
    return sm.MLP([(W.astype(float), b.astype(float)) for W, b in score.params])


def errors(scores, rng, n):
    """Relative errors at each σ: learned to clean, learned to q_σ, exact q_σ to clean."""
    x, table = c.MIXTURE.sample(rng, n), []
    for sigma, score in zip(SIGMAS, scores):
        noisy = c.MIXTURE.smoothed(sigma)
        table.append([sm.relative_error(score, c.MIXTURE.score, x),
                      sm.relative_error(score, noisy.score, noisy.sample(rng, n)),
                      sm.relative_error(noisy.score, c.MIXTURE.score, x)])
    return np.array(table).T


def gradient_variance(loss, params, batches):
    """Variance over batches (x, z) of the gradient, summed over the parameters."""
    gradient = grad(lambda params, x, z: loss(sm.MLP(params), x, z))
    return np.sum(np.var([flatten(gradient(params, x, z))[0] for x, z in batches], axis=0, ddof=1))


def noise_of_gradient(params, rng, n_batches, progress):
    """Gradient variances of denoising and of its control variate at NOISE_SIGMAS, and of SSM-VR."""
    batches = [(c.MIXTURE.sample(rng, 64), rng.standard_normal((64, 2))) for _ in range(n_batches)]
    both = [[gradient_variance(partial(loss, sigma=sigma), params, batches)
             for loss in (sm.denoising_loss, sm.denoising_vr_loss)]
            for sigma in progress(NOISE_SIGMAS, "variance of the gradient")]
    return *np.array(both).T, gradient_variance(sm.sliced_vr_loss, params, batches)


def measure(stream, budget, progress):
    rng = stream()
    data = c.MIXTURE.sample(rng, c.scaled(200_000, budget))
    scores = [train(sigma, data, rng, budget, progress) for sigma in SIGMAS]
    clean, noisy, bias = errors(scores, rng, c.scaled(20_000, budget))
    plain, controlled, limit = noise_of_gradient(scores[3].params, rng, c.scaled(50, budget), progress)
    return SimpleNamespace(scores=scores, clean=clean, noisy=noisy, bias=bias, plain=plain, controlled=controlled,
                           limit=limit)


def draw_errors(ax, m):
    ax.plot(SIGMAS, m.clean, "o-", color=c.BLUE, label="learned, to the clean score")
    ax.plot(SIGMAS, m.noisy, "s-", color=c.ORANGE, label="learned, to the score of $q_σ$")
    ax.plot(SIGMAS, m.bias, "--", color=c.DARK, label="exact score of $q_σ$, to the clean score")
    ax.set(title="error of the score", xlabel="σ", ylabel="relative error", xscale="log", yscale="log", ylim=(4e-4, 20))
    ax.legend(loc="upper left")


def draw_noise(ax, m):
    ax.plot(NOISE_SIGMAS, m.plain, "o-", color=c.RED, label="denoising")
    ax.plot(NOISE_SIGMAS, m.controlled, "s-", color=c.GREEN, label="with the control variate")
    ax.axhline(m.limit, color=c.GREY, ls=":", label="SSM-VR, Gaussian probes")
    ax.plot(NOISE_SIGMAS[:3], 0.2 * m.plain[0] * (NOISE_SIGMAS[0] / NOISE_SIGMAS[:3])**2, color=c.DARK, lw=1)
    ax.annotate("slope −2", (NOISE_SIGMAS[1], 0.2 * m.plain[1]), ha="right", va="top", fontsize=7.5)
    ax.set(title="noise of the gradient", xlabel="σ", ylabel="variance over batches", xscale="log", yscale="log")
    ax.legend(loc="upper right")


def draw(m):
    fig, (fields, (left, right)) = c.rows([4, 2], [2.1, 2.6])
    c.draw_scores(fields, {"true score": c.MIXTURE.score,
                           **{f"learned, σ = {SIGMAS[i]:.2g}": m.scores[i] for i in SHOWN}})
    draw_errors(left, m)
    draw_noise(right, m)
    return fig


def claims(m):
    """Bounds: (DSM.12) and (DSM.13) to leading order, whose rest is of order σ² at the σ used; and at large σ
    the triangle inequality with a network 1 % from q_σ, √clean = √bias (1 ± 0.1). An error that is all noise of the
    target falls as 1/σ²; half of that slope, and as much above it as one training differs from another, is allowed."""
    clean, plain, best = m.clean, m.plain, np.argmin(m.clean)
    slope = np.log(plain[2] / plain[0]) / np.log(NOISE_SIGMAS[2] / NOISE_SIGMAS[0])
    return [
        c.claim("σ of the least error to the clean score: at neither end, 0.03 or 3", SIGMAS[best],
                SIGMAS[1], SIGMAS[-2]),
        c.claim("error to the score of q_σ, log-log slope in σ from 0.03 to 0.065; noise of the target alone has −2",
                np.log(m.noisy[1] / m.noisy[0]) / np.log(SIGMAS[1] / SIGMAS[0]), -2.5, -1),
        c.claim("error to the clean score, σ = 3 over the exact score of q_σ: bias", clean[-1] / m.bias[-1],
                0.81, 1.21),
        c.claim("relative error to the score of q_σ, σ = 3", m.noisy[-1], 0, 0.01),
        c.claim("gradient variance of denoising, log-log slope in σ from 0.001 to 0.01", slope, -2.02, -1.98),
        c.claim("gradient variance with control variate over SSM-VR, σ = 0.001", m.controlled[0] / m.limit, 0.98, 1.02),
        c.measured("gradient variance of denoising over control variate, σ = 0.001", plain[0] / m.controlled[0]),
    ]
