"""Samples of what is not known, given what is: learned, from an unconditional score by Bayes, and by guidance.

Top: one observation y = x₁ − 0.8 x₂ + noise of a mixture of two Gaussians leaves two modes possible, lines. With the
exact score of the mixture, four ways to the likelihood of a noisy point: the Gaussian with both moments of y draws the
posterior; leaving out the gradient of its covariance S, or taking a fixed covariance of x, or none (DPS), gives wrong
weights; the true one is in brackets. The likelihood of clean points, taken at noisy ones, runs off to 10²⁶. Middle: one
network that has y beside x knows the posterior of every y. The distance of all these samples; real ones are in grey.
Guidance does not sample the tilted density p^{1−w} p_c^w: the flow and the reversed process end at laws of their own,
lines, and only Langevin dynamics at that one. Bottom: lower halves of digits that were not seen in training, drawn by a
network that is given the upper halves. Two completions differ about as much as each from the truth, as they must.

Source: equations COND.5 to COND.14; Chung et al. 2023 (DPS); Song et al. 2023 (fixed covariance).
Settings: noise 0.5, y = −2, 0, 2; 1,000 samples from σ = 10 in 100 steps, then Tweedie's; 4-64-64-64-3 network with a
skip, 2,000 Adam steps of 256 points under ±z. Guidance: V = 2, v = 1, 5,000 chains. Digits as in digits.py,
65-192-192-192-64 network, 400 steps of 128 points under ±z, ten calls a sample.
"""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np

import scoremin as sm

from . import common as c
from . import digits

H, NOISE, SHOWN = np.array([[1.0, -0.8]]), 0.5, -2.0
OBSERVED = {-2.0: c.BLUE, 0.0: c.ORANGE, 2.0: c.GREEN}
SIGMAS = c.asinh_levels(10, 0.02, 101)
SPREAD, N = 2.2, 1000                                                # of the mixture, √(2² + 1); samples
V, v, WEIGHTS = 2.0, 1.0, np.arange(1, 7)
UPPER, QUANTILE = 32, 10.83                                          # pixels known; .999 of a squared normal's law
METHODS = {"exact": "exact score", "posterior": "both moments of y", "held": "∇S left out", "fixed": "fixed covariance",
           "DPS": "DPS, S = noise²"}


def prior(x, sigma):
    """The score of the mixture under noise."""
    return c.MIXTURE.smoothed(sigma).score(x)


def posterior(y):
    """The density of x given y: each component is conditioned, its weight is how well it explains y."""
    S = H @ c.MIXTURE.covs @ H.T + NOISE**2 * np.eye(len(H))                 # (K,m,m)
    gain, rest = c.MIXTURE.covs @ H.T @ np.linalg.inv(S), y - c.MIXTURE.means @ H.T  # (K,d,m) (K,m)
    fit = np.exp(-0.5 * np.einsum("km,kmj,kj->k", rest, np.linalg.inv(S), rest)) / np.sqrt(np.linalg.det(S))
    weights = c.MIXTURE.weights * fit
    return sm.GaussianMixture(weights / weights.sum(), c.MIXTURE.means + np.einsum("kdm,km->kd", gain, rest),
                              c.MIXTURE.covs - gain @ H @ c.MIXTURE.covs)


def with_variance(x, sigma, y, variance):
    """The mixture's score, and the pull C Hᵀ(y − HD)/σ² over this variance of y, a function of HCHᵀ (N,1)."""
    s, J = sm.jvp(c.MIXTURE.smoothed(sigma).score, x, np.broadcast_to(H, x.shape))
    A = H + sigma**2 * J                                                     # (N,d)
    return s + A * (y - (x + sigma**2 * s) @ H.T) / variance(sigma**2 * A @ H.T)


def scores(y):
    """The scores of x given y (N,1), a row each, under noise, by each method; as many rows for each of OBSERVED."""
    exact = lambda x, sigma: np.concatenate([posterior(y).smoothed(sigma).score(part)
                                             for y, part in zip(OBSERVED, np.split(x, len(OBSERVED)))])
    return {"exact": exact,
            "posterior": lambda x, sigma: sm.posterior_score(prior, x, sigma, H, y, NOISE),
            "held": lambda x, sigma: with_variance(x, sigma, y, lambda HCH: HCH + NOISE**2),
            "fixed": lambda x, sigma: sm.posterior_score(prior, x, sigma, H, y, NOISE, sigma_data=1.0),
            "DPS": lambda x, sigma: with_variance(x, sigma, y, lambda HCH: NOISE**2)}


def draw_given(score, rng, laws, n):
    """n points of each law from the reversed process, begun about its mean, and a last step of Tweedie's, (L·n,2)."""
    x = np.repeat([law.weights @ law.means for law in laws], n, axis=0)
    x = x + (SIGMAS[0]**2 + SPREAD**2)**0.5 * rng.standard_normal(x.shape)
    x = sm.reverse_sde(score, x, SIGMAS, rng)
    return sm.tweedie(lambda x: score(x, SIGMAS[-1]), x, SIGMAS[-1])


def learn(pairs, d, model, sizes, loss_of_x, rng, budget, progress, **options):
    """A network of [x, y] from rows of pairs, noise on the first d columns alone."""
    loss = lambda net, row, rng: loss_of_x(sm.given(net, np.tile(row[:, d:], (2, 1))), row[:, :d], rng)
    return c.train(loss, model, c.init(rng, *sizes), pairs.astype(np.float32), rng, budget, progress, **options)


def learn_mixture(rng, budget, progress):
    """A score of [x, y] for the mixture and its observation."""
    x = c.MIXTURE.sample(rng, 50_000)
    y = x @ H.T + NOISE * rng.standard_normal((len(x), 1))
    return learn(np.hstack([x, y]), 2, lambda params: sm.NoiseConditionalMLP(params, SPREAD, skip=True),
                 (4, 64, 64, 64, 3), c.ncsn(lambda rng, n: sm.stratified_sigmas(rng, 10, 0.02, n)), rng, budget,
                 progress, steps=2000, batch_size=256, learning_rate=0.01, label="training on x and y")


def compare(net, rng, n, progress):
    """Samples by y and method, and their energy distances to the posterior in units of a real sample's."""
    y, laws = np.repeat(list(OBSERVED), n)[:, None], [posterior(y) for y in OBSERVED]
    samples = {(y, "no observation"): c.MIXTURE.sample(rng, n) for y in OBSERVED}
    for name, score in progress([*scores(y).items(), ("learned", sm.given(net, y))], "given y"):
        parts = np.split(draw_given(score, rng, laws, n), len(laws))
        samples |= {(y, name): x for y, x in zip(OBSERVED, parts)}
    ratios, real = zip(*[c.against_real(law.sample, rng) for law in laws])
    ratios = dict(zip(OBSERVED, ratios))
    return samples, {(y, name): ratios[y](x) for (y, name), x in samples.items()}, np.concatenate(real)


def guided_variances(rng, n):
    """Variances at the end of the flow, the reversed process and annealed Langevin dynamics, each for all WEIGHTS."""
    grid, few = c.asinh_levels(50, 0.01, 201), sm.geometric_sigmas(10, 0.1, 10)
    found = {"flow": [], "process": [], "Langevin": []}
    for w in WEIGHTS:
        score = lambda x, sigma, w=w: -x * ((1 - w) / (V + sigma**2) + w / (v + sigma**2))
        start = grid[0] * rng.standard_normal((n, 1))
        found["flow"].append(np.mean(sm.probability_flow(score, start, grid)**2) / np.mean(start**2) * grid[0]**2)
        found["process"].append(np.mean(sm.reverse_sde(score, start, grid, rng)**2))
        found["Langevin"].append(np.mean(sm.annealed_langevin(score, start / 5, few, 0.01, 100, rng)**2))
    return {name: np.array(values) for name, values in found.items()}


def complete(stream, budget, progress):
    """Digits that were held out, three completions of their upper halves, and what judges them."""
    rng = stream("digits")
    (train, labels), (held, held_labels) = digits.split(rng)
    mean = (train / 8 - 1).mean(axis=0)
    swap = np.r_[UPPER:64, :UPPER]                                           # [x, y]: the lower half first
    model = lambda params: sm.NoiseConditionalMLP(params, digits.SIGMA_DATA, skip=True)
    net = learn((train / 8 - 1 - mean)[:, swap], 64 - UPPER, model, (65, 192, 192, 192, 64),
                c.even(digits.log_normal, digits.SIGMA_DATA), rng, budget, progress, steps=400, batch_size=128,
                learning_rate=0.01, label="training on half digits")
    score = sm.given(net, (held / 8 - 1 - mean)[:, :UPPER])
    completions = []
    for _ in range(4):
        x = sm.dpm_solver(score, (digits.SIGMAS[0] * rng.standard_normal((len(held), 64 - UPPER))).astype(np.float32),
                          digits.SIGMAS)
        x = sm.tweedie(lambda x: score(x, digits.SIGMAS[-1]), x, digits.SIGMAS[-1])
        completions.append(np.hstack([held[:, :UPPER], digits.greys(x + mean[UPPER:])]))
    return judge(held, held_labels, completions, train, labels, rng)


def judge(held, held_labels, completions, train, labels, rng):
    """Classes of whole digits, of completions, and of chimeras: upper and lower halves of different digits."""
    second = digits.classifier(train, labels, rng)
    chimeras = np.hstack([held[:, :UPPER], rng.permutation(held)[:, UPPER:]])
    kinds = {"real": held, "completed": np.concatenate(completions), "chimeras": chimeras}
    first = {name: labels[digits.nearest(x, train)[0]] for name, x in kinds.items()}
    half = labels[digits.nearest(held[:, :UPPER], train[:, :UPPER])[0]]
    square = lambda a, b: np.mean(np.sum((a - b)**2, axis=1))
    return SimpleNamespace(
        held=held, completions=completions, half=np.mean(half == held_labels),
        agreement={name: np.mean(first[name] == second(x)) for name, x in kinds.items()},
        right={name: np.mean(first[name].reshape(-1, len(held)) == held_labels) for name in kinds},
        ratio=np.mean([square(a, b) for a, b in pairwise(completions)])
        / np.mean([square(a, held) for a in completions]))


def runs_off(rng):
    """log₁₀|x| after reverse_sde with the likelihood of clean points at noisy ones, and what (COND.11) predicts."""
    score = lambda x, sigma: prior(x, sigma) + (SHOWN - x @ H.T) * H / NOISE**2
    growth = 1 - (SIGMAS[:-1]**2 - SIGMAS[1:]**2) * (np.sum(H**2) / NOISE**2 + 1 / (SPREAD**2 + SIGMAS[:-1]**2))
    x = draw_given(score, rng, [posterior(SHOWN)], 100)
    return np.log10(np.abs(x).max()), np.log10(SIGMAS[0]) + np.sum(np.log10(np.abs(growth)))


def measure(stream, budget, progress):
    rng = stream()
    net = learn_mixture(rng, budget, progress)
    samples, distances, real = compare(net, rng, c.scaled(N, budget, 100), progress)
    weights = {key: sm.mode_weights(x, posterior(key[0]).means)[0] for key, x in samples.items()}
    n, n_guided = c.scaled(N, budget, 100), c.scaled(5000, budget, 100)
    return SimpleNamespace(samples=samples, distances=distances, weights=weights, largest=max(real), n=n,
                           off=runs_off(rng), guided=guided_variances(rng, n_guided), n_guided=n_guided,
                           digits=complete(stream, budget, progress))


def draw_posterior(ax, x, law, color, title):
    """Samples over lines at e^−½, e^−2 and e^−4 of the highest density."""
    axis = np.linspace(-5, 5, 101)
    log_p = law.log_density(c.grid(5, 101)).reshape(101, 101)
    c.plane(ax, title, 5, labels=False)
    c.draw_points(ax, x, color, size=2, alpha=0.35)
    ax.contour(axis, axis, log_p, levels=log_p.max() - np.array([4, 2, 0.5]), colors=c.DARK, linewidths=0.6,
               linestyles="solid")


def draw_learned(ax, m):
    """Samples of one network for three observations."""
    for y, color in OBSERVED.items():
        draw_posterior(ax, m.samples[y, "learned"], posterior(y), color, "learned, one network")
        ax.text(4.8, 1.5 * y / 2 - 2.7, f"y = {y:g}", color=color, ha="right", fontsize=8)


def draw_distances(ax, m):
    """Energy distances by method, a dot for each observation."""
    names = ["no observation", "DPS", "fixed", "held", "posterior", "learned", "exact"]
    titles = {**METHODS, "learned": "learned", "no observation": "y ignored"}
    for y, color in OBSERVED.items():
        ax.plot([m.distances[y, name] for name in names], range(len(names)), "o", color=color, alpha=0.8)
    ax.axvspan(0.3, m.largest, color=c.GREY, alpha=0.25, lw=0)
    ax.set(title="distance to the posterior", xlabel="energy distance over that of a real sample", xscale="log",
           yticks=range(len(names)), xlim=(0.3, None))
    ax.set_yticklabels([titles[name] for name in names])


def laws(w):
    """The variance of the tilted density (COND.12), and those of the guided flow and process, (COND.13), (COND.14)."""
    process = (V * v - V**(2 - 2 * w) * v**(2 * w)) / ((2 * w - 1) * (V - v))
    return {"Langevin": 1 / ((1 - w) / V + w / v), "process": process, "flow": V**(1 - w) * v**w}


def draw_guidance(ax, m):
    w = np.linspace(1, 6, 100)
    titles = {"Langevin": "annealed Langevin: tilted", "process": "reverse_sde", "flow": "probability_flow"}
    for (name, variance), color in zip(laws(w).items(), [c.GREEN, c.ORANGE, c.BLUE]):
        ax.plot(w, variance, color=color)
        ax.plot(WEIGHTS, m.guided[name], "o", color=color, label=titles[name])
    ax.set(title="guidance is not tilting", xlabel="guidance weight w", ylabel="variance", yscale="log",
           ylim=(0.006, 1.3))
    ax.legend(loc="lower left")


def draw_digits(ax, m):
    """Twenty held-out digits, what is known of them, and three completions of each."""
    held, known = m.digits.held[:20], m.digits.held[:20].copy()
    known[:, UPPER:] = 4
    digits.show(ax, np.concatenate([held, known, *(x[:20] for x in m.digits.completions[:3])]),
                "digits not seen in training, their upper halves, and three completions each", columns=20)
    for k, text in enumerate(["truth", "known", "drawn", "drawn", "drawn"]):
        ax.text(-2, 9 * k + 3.5, text, ha="right", va="center", fontsize=7.5)


def draw(m):
    fig, (top, middle, bottom) = c.rows([5, 3, 1], [1.95, 2.5, 2.1])
    law = posterior(SHOWN)
    colors = [c.DARK, c.BLUE, c.SKY, c.ORANGE, c.RED]
    for ax, (name, title), color in zip(top, METHODS.items(), colors):
        weight = f"upper mode {m.weights[SHOWN, name]:.3f}" + f" ({law.weights[0]:.3f})" * (name == "exact")
        draw_posterior(ax, m.samples[SHOWN, name], law, color, f"{title}\n{weight}")
    draw_learned(middle[0], m)
    draw_distances(middle[1], m)
    draw_guidance(middle[2], m)
    draw_digits(bottom, m)
    return fig


def claims(m):
    """Bounds: five standard errors, √(w(1 − w)/n) of a weight and V√(2/n) of a variance, which steps of finite size may
    miss by .02 more; three weights are all within a twentieth of one with probability 6·10⁻⁵, six variances within a
    tenth with less. An energy distance of mean 1 tends to a quadratic form of Gaussians, above the quantile .999 of a
    squared normal with probability at most .001 (Székely & Rizzo 2013), and the largest of three is hardly below a
    tenth of its mean. A completion c and the truth are both draws
    given y, so that E‖c − c'‖² = E‖c − truth‖²; a draw has the true class at most as often as the best guess.
    Chimeras, of halves of different digits, show what does not belong together."""
    truth = {y: posterior(y).weights[0] for y in OBSERVED}
    off = lambda name: max(abs(m.weights[y, name] - w) / np.sqrt(w * (1 - w) / m.n) for y, w in truth.items())
    worst = lambda name: max(m.distances[y, name] for y in OBSERVED)
    exact, five = laws(WEIGHTS), 5 * np.sqrt(2 / m.n_guided)
    ratio = lambda name: np.abs(m.guided[name] / exact[name] - 1).max()
    d = m.digits
    return [
        c.claim("exact score: largest error of a weight, in standard errors", off("exact"), 0.05, 5),
        c.claim("posterior_score: the same", off("posterior"), 0.05, 5),
        c.claim("learned: the same", off("learned"), 0.05, 5),
        *[c.claim(f"{METHODS[name]}: the same", off(name), 5) for name in ("held", "fixed", "DPS")],
        *[c.claim(f"{name}: largest energy distance, of mean 1 for a real sample", worst(key), 0.1, QUANTILE)
          for key, name in [("exact", "exact score"), ("posterior", "posterior_score"), ("learned", "learned")]],
        *[c.measured(f"{METHODS[name]}: the same", worst(name)) for name in ("held", "fixed", "DPS")],
        c.claim("likelihood of clean points at noisy ones: log₁₀|x| at the end (COND.11)", m.off[0], 0.9 * m.off[1],
                1.1 * m.off[1]),
        c.claim("guided flow: largest relative error of its variance (COND.13)", ratio("flow"), 0, 0.03),
        c.claim("guided process: the same (COND.14)", ratio("process"), five / 50, five + 0.02),
        c.claim("guided Langevin: the same, to the tilted variance (COND.12)", ratio("Langevin"), five / 50,
                five + 0.02),
        c.claim("completed digits: share on which two classifiers agree; above half-way from chimeras to real",
                d.agreement["completed"], (d.agreement["real"] + d.agreement["chimeras"]) / 2, 1),
        c.claim("completed digits: share of the true class; from half-way above chimeras to what the half alone tells",
                d.right["completed"], (d.right["chimeras"] + d.half) / 2, d.half),
        c.claim("completed digits: mean square between two completions, over that to the truth", d.ratio, 0.75, 1.25),
    ]
