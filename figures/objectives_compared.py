"""One network, one data set, one budget: every objective finds the score, each as well as it can know it.

The true score and the field learned with each objective; behind it the size of its error, small where the data
are (lines: density at e^−½ and e^−2 of its maximum) and large where there are none. With the true score as target
the gradient loses its noise as the network learns, and the error is the least. The implicit objective and
its random estimates come next: without having seen a score, they are nearer to the truth than the exact score
of q_σ is. The kernel estimate and the two objectives that add noise of σ = 0.3 come nearer to the score of
what they see, q_σ, than to the clean one. NCSN learns five levels at once and is shown at its finest.

Source: Hyvärinen 2005 (explicit, implicit); Song et al. 2019 (SSM, SSM-VR); Vincent 2011 (denoising); Song &
Ermon 2019 (NCSN).
Settings: 2-64-64-2 network (NCSN: 3-64-64-2), 4,000 Adam steps of 256 on 200,000 points; kernel estimate from
5,000 of them, h = 0.3, fitted at those points, each left out of its own; NCSN with σ from 3 to 0.3; one
random probe of signs. A value of the network is one pass, a value with a derivative two.
"""

from functools import partial
from time import perf_counter

import numpy as np

from scoremin import (
    MLP,
    NoiseConditionalMLP,
    denoising_loss,
    explicit_loss,
    fit,
    geometric_sigmas,
    implicit_loss,
    init_mlp,
    kde_score,
    ncsn_loss,
    probes,
    relative_error,
    sliced_loss,
    sliced_vr_loss,
)

from .common import (
    MIXTURE,
    Claim,
    draw_scores,
    normal,
    passes,
    rows,
    save,
    scaled,
    stream,
)

SIGMA, SIGMAS = 0.3, geometric_sigmas(3, 0.3, 5)
BLURRED = {"explicit, KDE", "denoising", "NCSN"}          # these see q_σ, σ = h = 0.3


def explicit(score, batch, rng):
    return explicit_loss(score, batch[:, :2], batch[:, 2:])


def implicit(score, x, rng):
    return implicit_loss(score, x)


def ssm(score, x, rng):
    return sliced_loss(score, x, probes(rng, "rademacher", x.shape, x.dtype))


def ssm_vr(score, x, rng):
    return sliced_vr_loss(score, x, probes(rng, "rademacher", x.shape, x.dtype))


def denoising(score, x, rng):
    return denoising_loss(score, x, normal(rng, x), SIGMA)


def ncsn(score, x, rng):
    return ncsn_loss(score, x, normal(rng, x), SIGMAS[rng.integers(len(SIGMAS), size=len(x))])


LOSSES = {"explicit, true score": explicit, "explicit, KDE": explicit, "implicit": implicit, "SSM": ssm,
          "SSM-VR": ssm_vr, "denoising": denoising, "NCSN": ncsn}


def training_data(rng, budget):
    """Points for every objective; the explicit ones have the scores to match beside them."""
    x = MIXTURE.sample(rng, scaled(200_000, budget)).astype(np.float32)
    few = x[:scaled(5000, budget)]
    targets = {"explicit, true score": (x, MIXTURE.score(x)),
               "explicit, KDE": (few, kde_score(few, few, SIGMA, leave_one_out=True))}
    return {name: np.hstack(targets.get(name, (x,))) for name in LOSSES}


def train(name, data, seed, steps, progress):
    """The learned score, the seconds a step took, and the network passes in the loss."""
    model, inputs = (NoiseConditionalMLP, 3) if name == "NCSN" else (MLP, 2)
    loss, rng, start = LOSSES[name], stream(seed, "objectives_compared: training"), perf_counter()
    params = init_mlp(rng, [inputs, 64, 64, 2], np.float32)
    params, _ = fit(lambda params, x, rng: loss(model(params), x, rng), params, data, steps=steps, rng=rng,
                    progress=partial(progress, label=name))
    seconds = (perf_counter() - start) / steps
    n = passes(lambda score: loss(score, data[:2], rng), model(params))
    return model(params).at(SIGMAS[-1]) if name == "NCSN" else model(params), seconds, n


def gaussian_score(x):
    """The score of the Gaussian with the mixture's mean, 0, and its covariance."""
    return -x @ np.linalg.inv([[5, 4], [4, 5]])


def draw_table(ax, clean, blurred, n):
    """Errors in per cent."""
    header = ["objective", "relative error to ∇log p", "to ∇log $q_σ$", "network passes"]
    cells = [[name, f"{100 * clean[name]:.2f} %", f"{100 * blurred[name]:.2f} %" if name in BLURRED else "", n[name]]
             for name in LOSSES]
    table = ax.table(cells, colLabels=header, edges="horizontal", cellLoc="right", colLoc="right",
                     colWidths=[0.22, 0.24, 0.16, 0.2], loc="center")
    table.auto_set_font_size(False)
    table.set_fontsize(8)
    table.scale(1, 1.05)
    for (row, column), cell in table.get_celld().items():
        cell.set_linewidth(0.8 if row < 1 else 0.2)
        if column == 0:
            cell.set_text_props(ha="left")
    ax.axis("off")


def measure(scores, target, x):
    """Relative errors of all scores on points x."""
    return {name: float(relative_error(score, target, x)) for name, score in scores.items()}


def main(seed, budget, out, progress):
    rng = stream(seed, "objectives_compared")
    data, steps = training_data(rng, budget), scaled(4000, budget)
    trained = {name: train(name, data[name], seed, steps, progress) for name in LOSSES}
    scores, seconds, n = ({name: result[i] for name, result in trained.items()} for i in range(3))
    noisy, size = MIXTURE.smoothed(SIGMA), scaled(20_000, budget)
    references = {"best Gaussian": gaussian_score, "exact q_σ": noisy.score}
    clean = measure(scores | references, MIXTURE.score, MIXTURE.sample(rng, size))
    blurred = measure(scores, noisy.score, noisy.sample(rng, size))

    fig, (top, bottom, last) = rows([4, 4, 1], [2.1, 2.1, 1.7])
    draw_scores(top, {"true score": MIXTURE.score, **{name: scores[name] for name in list(LOSSES)[:3]}})
    draw_scores(bottom, {name: scores[name] for name in list(LOSSES)[3:]})
    draw_table(last, clean, blurred, n)
    save(fig, out)
    return claims(clean, blurred, seconds)


def claims(clean, blurred, seconds):
    """Bounds: the orders that theory gives; and a tenth of the error of the Gaussian with the data's mean and
    covariance, since more would say that little but those two was learned."""
    ratio = lambda text, value, low, high: Claim(f"error to the clean score, {text}", float(value), low, high)
    own = [(name, "the score of q_σ", blurred) if name in BLURRED else (name, "the clean score", clean)
           for name in LOSSES]
    unblurred, best = [clean[name] for name in ("implicit", "SSM", "SSM-VR")], clean["explicit, true score"]
    return [
        *[Claim(f"{name}: relative error to {target}", error[name], 0, clean["best Gaussian"] / 10)
          for name, target, error in own],
        ratio("least of the other objectives over explicit with the true score",
              min(clean[name] for name in LOSSES if clean[name] != best) / best, 1, None),
        ratio("largest of implicit, SSM, SSM-VR over exact score of q_σ", max(unblurred) / clean["exact q_σ"], 0, 1),
        *[ratio(f"{name}, over its error to the score of q_σ", clean[name] / blurred[name], 1, None)
          for name in LOSSES if name in BLURRED],
        *[Claim(f"{name}: seconds a training step", t, None, None) for name, t in seconds.items()],
    ]
