"""One network, one data set, one budget: every objective finds the score, each as well as it can know it.

Above: the true score, the exact score of q_σ, and the fields learned by three of the eight objectives, over the
size of their errors, small where the data are (lines: density at e^−½ and e^−2 of its maximum), large where there
are none; the other five look like one of these. Below: the errors of all, in blue to the score of p, in orange to that
of q_σ where an objective sees q_σ, and what the exact score of q_σ errs (dashed).
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
    return SimpleNamespace(n=n, scores=scores, passes=passes, noisy=noisy.score,
                           clean=errors(scores | references, c.MIXTURE.score, c.MIXTURE.sample(rng, n)),
                           blurred=errors(scores, noisy.score, noisy.sample(rng, n)))


def draw_errors(ax, m):
    """A dot for the error to each score, and the network passes."""
    y = {name: -i for i, name in enumerate(LOSSES)}
    ax.axvline(m.clean["exact q_σ"], color=c.GREY, ls="--", label="exact score of $q_σ$, to ∇log p")
    ax.plot(list(map(m.clean.get, y)), list(y.values()), "o", color=c.BLUE, label="to ∇log p")
    ax.plot([m.blurred[name] for name in y if name in BLURRED], [y[name] for name in y if name in BLURRED], "D",
            color=c.ORANGE, label="to ∇log $q_σ$")
    labels = [f"{name} ({m.passes[name]} {'pass' if m.passes[name] == 1 else 'passes'})" for name in y]
    ax.set(xscale="log", xlim=(1e-3, 0.1), xlabel="relative error", yticks=list(y.values()), yticklabels=labels)
    ax.set_xticks([0.001, 0.01, 0.1], ["0.1 %", "1 %", "10 %"])
    ax.grid(axis="y", linewidth=0.4)
    ax.legend(loc="lower left", frameon=True, framealpha=1, edgecolor="none")


def draw(m):
    fig, (fields, below) = c.rows([5, 1], [1.9, 2.3])
    shown = "explicit, true score", "implicit", "denoising"
    c.draw_scores(fields, {"true score": c.MIXTURE.score, "exact score of $q_σ$": m.noisy,
                           **{name: m.scores[name] for name in shown}})
    draw_errors(below, m)
    return fig


def gaussian_error(n):
    """The best Gaussian's relative error on n points, by quadrature, less and more five standard errors."""
    x = c.grid(9, 181)
    p, s = np.exp(c.MIXTURE.log_density(x)) * 0.1**2, c.MIXTURE.score(x)
    miss, size = (np.sum(a**2, axis=1) for a in (s + x @ np.linalg.inv([[5, 4], [4, 5]]), s))
    ratio = p @ miss / (p @ size)
    five = 5 * (p @ (miss - ratio * size)**2 / n)**0.5 / (p @ size)
    return ratio - five, ratio + five


def claims(m):
    """Bounds: quadrature; the orders that theory gives; and a tenth of the error of the Gaussian with the data's mean
    and covariance, since more would say that little but those two was learned. One number known from n points costs
    1/n."""
    clean, blurred = m.clean, m.blurred
    own = [(name, "the score of q_σ", blurred) if name in BLURRED else (name, "the clean score", clean)
           for name in LOSSES]
    order = {
        "objectives, nearer to the clean score than the exact score of q_σ; further, those that see q_σ":
            [(clean[name] < clean["exact q_σ"]) != (name in BLURRED) for name in LOSSES],
        "objectives, no nearer to the clean score than explicit with the true one":
            [clean[name] >= clean["explicit, true score"] for name in LOSSES],
        "objectives that see q_σ, nearer to its score than to the clean one":
            [blurred[name] < clean[name] for name in BLURRED]}
    return [
        c.claim("best Gaussian: relative error, the measure itself against quadrature", clean["best Gaussian"],
                *gaussian_error(m.n)),
        *[c.claim(f"of {len(so)} {text}", sum(so), len(so), len(so)) for text, so in order.items()],
        *[c.claim(f"{name}: relative error to {target}", error[name], 1 / 200_000, clean["best Gaussian"] / 10)
          for name, target, error in own],
    ]
