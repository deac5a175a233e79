"""The exact likelihood of a point, from nothing but the score at every noise level.

A score network has no density of its own, yet the probability flow gives one: carry a point up to the noise,
and the integral of the divergence on its way says how much the flow has squeezed space. First the density
that a network trained on samples implies, then the true one of the mixture, then the difference of their
logarithms: small where there are data (lines), larger where the network saw none. Top right, with the exact score
what remains is the error of the solver: Runge and Kutta's of order 4 takes it from a hundredth of a nat in
five steps to a ten-millionth in eighty; Heun's, of order 2, would take thousands. Below it, points that are
no data, uniform over the maps, are told from fresh data by a threshold on log q, which no detector beats, or on the
size of the score, which is small at every mode and saddle and so misses more: dots learned, lines exact.

Source: Song et al. 2021; Chen et al. 2018; equations SDE.20 to SDE.22 of scoremin/sde.py.
Settings: 3-64-64-2 network with a skip; 200,000 points, 5,000 Adam steps of 256 rows, rate 0.02: 128 points, each under
z and −z, log σ uniform and stratified over [0.01, 10]; levels uniform in asinh(σ/0.5) from 10 to 0.01, 20 steps for the
network; prior: with the exact score the mixture's own at σ = 10, with the network's a Gaussian of the data's
mean and covariance + 100 I; error against steps on 500 points of the mixture, against its log-density at σ = 0.01;
2,000 points of each kind to tell apart, the score at σ = 0.1.
"""

from functools import partial
from types import SimpleNamespace

import numpy as np
from matplotlib.colors import LogNorm, SymLogNorm

import scoremin as sm

from . import common as c

LOW, HIGH, BOX, CELLS = 0.01, 10.0, 7.0, 71
STEPS = [5, 10, 20, 40, 80]
NEAR = 0.1  # the σ of the score as a detector


def levels(steps):
    """Levels uniform in asinh(σ/0.5), in so many steps."""
    return c.asinh_levels(HIGH, LOW, steps + 1)


def exact(x, sigma):
    """The score of the mixture under noise."""
    return c.MIXTURE.smoothed(sigma).score(x)


def gaussian(data):
    """The log-density of the Gaussian with the mean and covariance of the data under the largest noise."""
    return sm.GaussianMixture([1.0], [data.mean(axis=0)], [np.cov(data.T) + HIGH**2 * np.eye(2)]).log_density


def exact_detectors(n=301):
    """Both detectors and the density p on a grid of the box, by the mixture's density: detectors (2,n·n), p (n·n,)."""
    x = c.grid(BOX, n)
    p = np.exp(c.MIXTURE.log_density(x))
    return np.array([c.MIXTURE.log_density(x), -np.linalg.norm(exact(x, NEAR), axis=1)]), p / p.sum()


def measure(stream, budget, progress):
    rng = stream()
    data, x = c.MIXTURE.sample(rng, c.scaled(200_000, budget, 100)), c.MIXTURE.sample(rng, c.scaled(500, budget, 20))
    spread = lambda rng, n: sm.stratified_sigmas(rng, HIGH, LOW, n)
    score = c.train(c.ncsn(spread), partial(sm.NoiseConditionalMLP, sigma_data=2.2, skip=True),
                    c.init(rng, 3, 64, 64, 2), data, rng, budget, progress, steps=5_000, batch_size=128,
                    learning_rate=2e-2)
    sample, cells = c.MIXTURE.sample(rng, c.scaled(2000, budget, 20)), c.scaled(CELLS, budget**0.5, 11)
    learned = lambda x: sm.log_likelihood(score, x.astype(np.float32), levels(20), gaussian(data))
    truth, prior = c.MIXTURE.smoothed(LOW).log_density, c.MIXTURE.smoothed(HIGH).log_density
    errors = [np.mean(np.abs(sm.log_likelihood(exact, x, levels(k), prior) - truth(x)))
              for k in progress(STEPS, "exact score") if k <= max(10, 80 * budget)]
    plane, noise = c.grid(BOX, cells), rng.uniform(-BOX, BOX, (c.scaled(2000, budget, 20), 2))
    detect = lambda x: np.array([learned(x), -np.linalg.norm(score(x.astype(np.float32), NEAR), axis=1)])
    found = detect(sample)
    return SimpleNamespace(found=found, missed=detect(noise), exact=exact_detectors(), cells=cells, plane=plane,
                           learned=learned(plane).astype(float), errors=np.array(errors),
                           error=found[0] - c.MIXTURE.log_density(sample))


def draw_density(ax, log_p, title, cells):
    c.plane(ax, title, BOX)
    return ax.imshow(np.exp(log_p).reshape(cells, cells), origin="lower", extent=(-BOX, BOX, -BOX, BOX),
                     cmap="viridis", norm=LogNorm(1e-8, 0.1), interpolation="bilinear")


def draw_bar(fig, ax, image, label, **options):
    bar = fig.colorbar(image, cax=ax, orientation="horizontal", label=label, **options)
    bar.outline.set_linewidth(0.6)


def draw(m):
    """Three maps, each over its bar, and two panels of curves."""
    fig, axes = c.canvas(2, 4, 3.3, height_ratios=[1, 0.06])
    log_p, axis = c.MIXTURE.log_density(m.plane), np.linspace(-BOX, BOX, m.cells)
    draw_density(axes[0, 0], m.learned, "density, learned", m.cells)
    image = draw_density(axes[0, 1], log_p, "density, true", m.cells)
    wide = fig.add_subplot(axes[1, 0].get_gridspec()[1, :2])
    draw_bar(fig, wide, image, "density", extend="both")
    c.plane(axes[0, 2], "difference of logarithms", BOX)
    image = axes[0, 2].imshow((m.learned - log_p).reshape(m.cells, m.cells), origin="lower", cmap="PuOr",
                              extent=(-BOX, BOX, -BOX, BOX), norm=SymLogNorm(0.1, vmin=-30, vmax=30),
                              interpolation="bilinear")
    draw_bar(fig, axes[1, 2], image, "nats, learned − true", extend="both", ticks=[-10, -1, 0, 1, 10], format="%g")
    axes[0, 2].contour(axis, axis, log_p.reshape(m.cells, m.cells), levels=log_p.max() - np.array([4.5, 2, 0.5]),
                       colors=c.DARK, linewidths=0.7, linestyles="solid")
    for ax in axes[0, 1:3]:
        ax.set(ylabel="", yticklabels=[])
    upper, lower = fig.add_subfigure(axes[0, 0].get_gridspec()[:, 3]).subplots(2, 1)
    draw_errors(upper, STEPS[:len(m.errors)], m.errors)
    draw_detectors(lower, m)
    for ax in (axes[0, 3], axes[1, 0], axes[1, 1], axes[1, 3]):
        ax.remove()
    return fig


def draw_errors(ax, steps, errors):
    ax.plot(steps, errors, "o-", color=c.BLUE, label="mean of 500")
    ax.plot(steps, errors[-1] * (steps[-1] / np.array(steps))**4, ":", color=c.GREY, label="order 4")
    ax.set(title="exact score: error", xlabel="steps", ylabel="nats", xscale="log", yscale="log",
           xticks=steps, xticklabels=steps, ylim=(errors[-1] / 1e5, 3 * errors[0]))  # room for the legend
    ax.minorticks_off()
    ax.legend(loc="lower left", handlelength=1.2, fontsize=7)


def draw_detectors(ax, m):
    """The share of data above a threshold against that of other points: learned in dots, exact in lines."""
    (log_p, size), p = m.exact
    for name, exact_value, data, other, color in zip(("log q", "−‖s‖"), (log_p, size), m.found, m.missed,
                                                     (c.BLUE, c.ORANGE)):
        order = np.argsort(-exact_value)
        ax.plot(np.arange(1, len(p) + 1) / len(p), np.cumsum(p[order]), color=color, label=name)
        thresholds = np.quantile(data, np.linspace(0.02, 0.98, 13))
        ax.plot([np.mean(other > t) for t in thresholds], [np.mean(data > t) for t in thresholds], "o", color=color,
                ms=2.5)
    ax.set(title="data or noise?", xlabel="noise taken for data", ylabel="data found", xlim=(0, 0.5), ylim=(0, 1.02))
    ax.legend(loc="lower right", handlelength=1.2)


def detector_claims(m):
    """The exact area, by quadrature, and five times the deviation of that of n points of each kind about it, by the
    variances of the share of noise below a data point and of data above a point of noise."""
    values, p = m.exact
    found = []
    for name, value, data, other in zip(("log q", "−‖s‖"), values, m.found, m.missed):
        order = np.argsort(value)
        below, above = (np.arange(len(p)) + 0.5) / len(p), 1 - np.cumsum(p[order])
        area = np.sum(p[order] * below)
        five = 5 * ((np.sum(p[order] * below**2) + np.mean(above**2) - 2 * area**2) / len(data))**0.5
        found.append(c.claim(f"{name} learned: chance that it is larger at data than at noise; exact {area:.4f}",
                             c.share_above(data, other), area - five, area + five))
    return found


def claims(m):
    """Bounds: a tenth of a nat for the network, whose mean error is no larger than the mean size of it and, as its
    density integrates to 1, negative or small: −KL, within five deviations of the mean. With the exact score, a
    thousandth in 20 steps, a millionth in 80, and of the whole orders 4 is the nearest."""
    cell = (2 * BOX / (m.cells - 1))**2
    errors = dict(zip(STEPS, m.errors))
    found = [c.claim(f"exact score, {k} steps: mean error, nats", errors[k], 0, bound)
             for k, bound in ((20, 1e-3), (80, 1e-6)) if k in errors]
    found += [c.claim(f"exact score: order of the error from {k} to {2 * k} steps", np.log2(errors[k] / errors[2 * k]),
                      3.5, 4.5) for k in (10, 20, 40) if 2 * k in errors]
    return [
        c.claim("learned score: mean absolute error at points of the mixture, nats", np.abs(m.error).mean(), 0, 0.1),
        c.claim("learned density: integral over the box", np.exp(m.learned).sum() * cell, 0.99, 1.01),
        c.claim("learned score: mean error, nats; −KL", m.error.mean(), -0.1, 5 * m.error.std() / len(m.error)**0.5),
        *found,
        *detector_claims(m),
    ]
