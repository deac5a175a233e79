"""The implicit objective learns the swiss roll's score on the data, which is not enough to sample it.

On fresh data the learned score errs, in root mean square, by about a sixth of the true score's size, and
Stein's identities, which the true score obeys, hold about as well as 20,000 points can tell. Chains of Langevin
dynamics that start on data stay distributed as the data. Those that start from a wide Gaussian, as they must
without data, end on the same curve, but with the wrong share of points on each piece of it: a chain runs to a
piece of the spiral near its start, however many data lie there, and stays. On the right, the log ratio of the
generated density to that of the original, both smoothed: the outer end has too many points, the inner turn too
few. Colours end at ±2, a factor of 7; grey has neither. Annealing starts as wide, and cures this (next figure).

Source: Hyvärinen 2005, theorem 1; the swiss roll of scikit-learn, scaled by 1/10.
Settings: 2-64-64-2 network, exact trace, 200,000 points, 5,000 Adam steps of 256, rate 0.01; 4,000 chains
from N(0, 1.5² I), 500 steps of 0.0002; densities smoothed by Gaussians of bandwidth 0.08.
"""

from types import SimpleNamespace

import numpy as np
from matplotlib.colors import Normalize

import scoremin as sm

from . import common as c

BOX, STEP, WIDE, BANDWIDTH = 1.75, 2e-4, 1.5, 0.08
SEEN = 0.03  # densities below this, five points' worth, are not compared


def true_score(x):
    """The score of the swiss roll, its t on a grid finer than the noise: a mixture of 240 Gaussians."""
    t = 1.5 * np.pi * (1 + 2 * (np.arange(240)[:, None] + 0.5) / 240)
    means = t * np.hstack([np.cos(t), np.sin(t)]) / 10
    return sm.GaussianMixture(np.full(240, 1 / 240), means, [0.05**2 * np.eye(2)] * 240).score(x)


def stein_deviation(score, x):
    """Largest deviation of mean s and mean s xᵀ from 0 and −I, in standard errors (ISM.7)."""
    s, n = score(x.astype(np.float32)).astype(float), len(x)
    terms = np.concatenate([s, (s[:, :, None] * x[:, None] + np.eye(2)).reshape(n, 4)], axis=1)  # (N,6), mean 0
    return np.max(np.abs(np.mean(terms, axis=0)) / np.std(terms, axis=0)) * n**0.5


def measure(stream, budget, progress):
    rng, n, steps = stream(), c.scaled(4000, budget, 100), c.scaled(500, budget)
    params, data = c.init(rng, 2, 64, 64, 2), sm.swiss_roll(rng, c.scaled(200_000, budget))
    score = c.train(c.implicit, sm.MLP, params, data, rng, budget, progress, steps=5000, learning_rate=1e-2)
    original = sm.swiss_roll(rng, n).astype(np.float32)
    start = (WIDE * rng.standard_normal((n, 2))).astype(np.float32)
    run = lambda x, label: sm.langevin(score, x, STEP, steps, rng, callback=c.ticker(progress, steps, label))
    generated, stayed = run(start, "Langevin"), run(original[:1000], "Langevin from data")
    over_real, _ = c.against_real(sm.swiss_roll, rng)
    fresh = sm.swiss_roll(rng, c.scaled(20_000, budget))
    on_data, at_start = (sm.relative_error(score, true_score, x[:4000]) for x in (fresh, start))
    return SimpleNamespace(original=original, generated=generated, far=over_real(generated),
                           near=over_real(stayed), on_data=on_data,
                           at_start=at_start, stein=stein_deviation(score, fresh))


def draw_ratio(fig, ax, generated, original, n=71):
    """The log ratio of two samples' smoothed densities, grey where both are bare."""
    x = c.grid(BOX, n)
    log_g, log_o = (sm.kde_log_density(x, a.astype(float), BANDWIDTH) for a in (generated, original))
    c.draw_map(fig, ax, lambda x: log_g - log_o, BOX, "log(generated / original)", n, Normalize(-2, 2), "RdBu_r")
    seen, (x_1, x_2) = np.maximum(log_g, log_o), x.T.reshape(2, n, n)
    ax.contourf(x_1, x_2, seen.reshape(n, n), [-np.inf, np.log(SEEN)], colors="#DDDDDD")


def draw(m):
    """The two samples, and where the second has too many or too few."""
    fig, axes = c.canvas(1, 3, 2.6)
    samples = {"original": m.original, "Langevin, implicit score": m.generated}
    c.draw_samples(axes, samples, (c.BLUE, c.RED), BOX)
    draw_ratio(fig, axes[2], m.generated, m.original)
    c.plane(axes[2], "over- and underfilled", BOX)
    return fig


def claims(m):
    """Many times worse: an order of magnitude. An energy distance of mean 1 tends to a quadratic form of Gaussians,
    above 10.83, the quantile .999 of a squared normal, with probability at most .001 (Székely & Rizzo 2013). Stein:
    five standard errors; all six are within a fifth of one with probability 2·10⁻⁵. At most a tenth of the mean square
    is missed, and more where the chains start; one number known from n points costs 1/n."""
    return [
        c.claim("energy distance, Langevin to real, over real to real", m.far, 10),
        c.claim("the same of chains started on data", m.near, 0.1, 10.83),
        c.claim("deviation from Stein's identities on 20,000 fresh points, largest of six, in standard errors", m.stein,
                0.2, 5),
        c.claim("relative error of the score on fresh data, a mean square (MET.1)", m.on_data, 1 / 200_000, 0.1),
        c.measured("its root: the error's size over the true score's, root mean squares", m.on_data**0.5),
        c.claim("relative error of the score where the chains start; more than a tenth, and s = 0 has 1", m.at_start,
                0.1, 1),
    ]
