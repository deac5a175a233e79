"""One network, one data set, one budget: every objective finds the score, each as well as it can know it.

The true score, the exact score of q_σ, and the field learned with each objective; behind it the size of its
error, small where the data are (lines: density at e^−½ and e^−2 of its maximum) and large where there are none.
With the true score as target the gradient loses its noise as the network learns, and the error is the least. The
implicit objective and its random estimates, finite differences too, come next: without having seen a score, they
are nearer to the truth than the exact score of q_σ is. The kernel estimate and the two objectives that add noise
of σ = 0.3 come nearer to the score of what they see, q_σ, than to the clean one. NCSN learns five levels at once
and is shown at its finest.

Source: Hyvärinen 2005 (explicit, implicit); Song et al. 2019 (SSM, SSM-VR); Pang et al. 2020 (finite
differences); Vincent 2011 (denoising); Song & Ermon 2019 (NCSN).
Settings: 2-64-64-2 network (NCSN: 3-64-64-2), 1,000 Adam steps of 256, rate 0.01, on 200,000 points; kernel
estimate from 5,000 of them, h = 0.3, fitted at those points, each left out of its own; NCSN with σ from 3 to 0.3;
one random probe of signs, finite differences at radius 0.005. A value of the network is one pass, a value with a
derivative two. Relative errors, here and in the other figures, are mean squares (MET.1).
"""

from types import SimpleNamespace

import numpy as np

import scoremin as sm

from . import common as c

SIGMA, SIGMAS, RADIUS = 0.3, sm.geometric_sigmas(3, 0.3, 5), 0.005
BLURRED = {"explicit, KDE", "denoising", "NCSN"}          # these see q_σ, σ = h = 0.3


LOSSES = {
    "explicit, true score": c.explicit,
    "explicit, KDE": c.explicit,
    "implicit": c.implicit,
    "SSM": lambda score, x, rng: sm.sliced_loss(score, x, c.signs(rng, x)),
    "SSM-VR": c.sliced_vr,
    "finite differences": lambda score, x, rng: sm.finite_difference_loss(score, x, c.signs(rng, x), RADIUS),
    "denoising": lambda score, x, rng: sm.denoising_loss(score, x, c.normal(rng, x), SIGMA),
    "NCSN": lambda score, x, rng: sm.ncsn_loss(score, x, c.normal(rng, x),
                                               SIGMAS[rng.integers(len(SIGMAS), size=len(x))]),
}


def training_data(rng, budget):
    """Points for every objective; the explicit ones have the scores to match beside them."""
    x = c.MIXTURE.sample(rng, c.scaled(200_000, budget)).astype(np.float32)
    few = x[:c.scaled(5000, budget)]
    targets = {"explicit, true score": (x, c.MIXTURE.score(x)),
               "explicit, KDE": (few, sm.kde_score(few, few, SIGMA, leave_one_out=True))}
    return {name: np.hstack(targets.get(name, (x,))) for name in LOSSES}


def train(name, data, rng, budget, progress):
    """The learned score, and the network passes in the loss."""
    model, inputs = (sm.NoiseConditionalMLP, 3) if name == "NCSN" else (sm.MLP, 2)
    score = c.train(LOSSES[name], model, c.init(rng, inputs, 64, 64, 2), data, rng, budget, progress, steps=1000,
                    learning_rate=1e-2, label=name)
    n = c.passes(lambda score: LOSSES[name](score, data[:2], rng), score)
    return score.at(SIGMAS[-1]) if name == "NCSN" else score, n


def measure(stream, budget, progress):
    """All from one training stream, so that they start from the same network; errors on points of p and of q_σ."""
    rng = stream()
    data = training_data(rng, budget)
    trained = [train(name, data[name], stream(": training"), budget, progress) for name in LOSSES]
    scores, passes = (dict(zip(LOSSES, column)) for column in zip(*trained))
    noisy, n = c.MIXTURE.smoothed(SIGMA), c.scaled(20_000, budget)
    errors = lambda scores, target, x: {name: sm.relative_error(score, target, x) for name, score in scores.items()}
    gaussian = lambda x: -x @ np.linalg.inv([[5, 4], [4, 5]])                # of the mixture's mean, 0, and covariance
    references = {"best Gaussian": gaussian, "exact q_σ": noisy.score}
    return SimpleNamespace(scores=scores, passes=passes, noisy=noisy.score,
                           clean=errors(scores | references, c.MIXTURE.score, c.MIXTURE.sample(rng, n)),
                           blurred=errors(scores, noisy.score, noisy.sample(rng, n)))


def draw_table(ax, m):
    """Errors in per cent."""
    header = ["objective", "relative error to ∇log p", "to ∇log $q_σ$", "network passes"]
    cells = [[name, f"{100 * m.clean[name]:.2f} %", f"{100 * m.blurred[name]:.2f} %" if name in BLURRED else "",
              m.passes[name]] for name in LOSSES]
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


def draw(m):
    fig, (top, bottom, last) = c.rows([5, 5, 1], [1.85, 1.85, 1.9])
    fields = [("true score", c.MIXTURE.score), ("exact score of $q_σ$", m.noisy), *m.scores.items()]
    c.draw_scores(top, dict(fields[:5]))
    c.draw_scores(bottom, dict(fields[5:]))
    draw_table(last, m)
    return fig


def claims(m):
    """Bounds: the orders that theory gives; and a tenth of the error of the Gaussian with the data's mean and
    covariance, since more would say that little but those two was learned."""
    blind = [name for name in LOSSES if name not in BLURRED and not name.startswith("explicit")]
    clean, blurred, best = m.clean, m.blurred, m.clean["explicit, true score"]
    ratio = lambda text, *numbers: c.claim(f"error to the clean score, {text}", *numbers)
    own = [(name, "the score of q_σ", blurred) if name in BLURRED else (name, "the clean score", clean)
           for name in LOSSES]
    return [
        *[c.claim(f"{name}: relative error to {target}", error[name], 0, clean["best Gaussian"] / 10)
          for name, target, error in own],
        ratio("least of the other objectives over explicit with the true score",
              min(clean[name] for name in LOSSES if clean[name] != best) / best, 1),
        ratio("largest of implicit, SSM, SSM-VR, finite differences over exact score of q_σ",
              max(clean[name] for name in blind) / clean["exact q_σ"], 0, 1),
        *[ratio(f"{name}, over its error to the score of q_σ", clean[name] / blurred[name], 1)
          for name in LOSSES if name in BLURRED],
    ]
