"""Nine mistakes from public code, each beside the right version: none raises an error, all are visible.

Left, in blue, what is right; the other panels of a row differ from it in one line. Top, annealed
Langevin dynamics to two modes of weights 0.8 and 0.2 (crosses), from a wide cloud: noise of size √step
at every level loses the minor mode, a step proportional to σ never gathers the cloud, ascending levels
end at the widest. Middle, Langevin dynamics on a mixture: drift ε with noise √ε has temperature ½ and
clusters of half the area, uniform noise drifts off, a flipped energy sign drives all points away (shown
after 8 steps). Bottom, score fields: probes of norm 1 with the full ‖s‖² learn half the score, a KDE
asked at its own points (grey) leaves most of them without a pull, and a ReLU energy trained by the implicit
objective is flat.

Source: the wrong versions are written out in tests/test_common_mistakes.py with their exact effects.
Settings: exact scores in the first two rows, 1,000 chains; σ 10 → 0.1 in 10 levels of 100 steps, step
0.001; Langevin step 0.1, 300 steps. Networks 2-64-64 in the third, 1,500 and 500 Adam steps of 256.
"""

from functools import partial

import numpy as np

from scoremin import (
    MLP,
    GaussianMixture,
    annealed_langevin,
    energy_distance,
    energy_score,
    fit,
    geometric_sigmas,
    implicit_loss,
    init_mlp,
    kde_score,
    langevin,
    mode_weights,
    probes,
    relative_error,
    sliced_vr_loss,
)
from scoremin.data import squared_distances

from .common import (
    BLUE,
    GREY,
    MIXTURE,
    RED,
    Claim,
    canvas,
    draw_field,
    draw_points,
    plane,
    relu_energy,
    save,
    scaled,
    stream,
)

MODES = GaussianMixture([0.8, 0.2], [[4, 4], [-4, -4]], np.tile(0.5 * np.eye(2), (2, 1, 1)))
SIGMAS, STEP, LANGEVIN_STEP, H = geometric_sigmas(10, 0.1, 10), 1e-3, 0.1, 0.1
NOISY = {sigma: MODES.smoothed(sigma).score for sigma in SIGMAS.tolist()}


def wrong_chain(score, x, levels, step_of, noise_of, n_steps, draw):
    """Langevin dynamics with any step, any noise variance and any kind of noise at each level."""
    for sigma in levels:
        for _ in range(n_steps):
            x = x + 0.5 * step_of(sigma) * score(x, sigma) + noise_of(sigma)**0.5 * draw(x.shape)
    return x


def annealed_samples(rng, n, budget):
    """Right, noise √step, step ∝ σ, ascending levels: title -> samples, from one wide cloud."""
    start, n_steps = SIGMAS[0] * rng.standard_normal((n, 2)), scaled(100, budget, 1)
    score, levels = lambda x, sigma: NOISY[sigma](x), SIGMAS.tolist()
    right = lambda sigma: STEP * sigma**2 / levels[-1]**2
    linear = lambda sigma: STEP * sigma / levels[-1]
    wrong = partial(wrong_chain, score, start, n_steps=n_steps, draw=rng.standard_normal)
    return {
        "annealed Langevin": annealed_langevin(score, start, SIGMAS, STEP, n_steps, rng),
        "noise √step, not √step$_i$": wrong(levels, right, lambda sigma: STEP),
        "step$_i$ ∝ σ, not σ²": wrong(levels, linear, linear),
        "levels ascending": wrong(levels[::-1], right, right),
    }


def langevin_samples(rng, n, budget):
    """Right, noise √ε, uniform noise, energy sign flipped: title -> samples."""
    start, n_steps = MIXTURE.sample(rng, n), scaled(300, budget, 2)
    score, step = lambda x, sigma: MIXTURE.score(x), lambda sigma: LANGEVIN_STEP
    wrong = partial(wrong_chain, x=start, levels=[None], step_of=step)
    return {
        "Langevin": langevin(MIXTURE.score, start, LANGEVIN_STEP, n_steps, rng),
        "drift ε, noise √ε": wrong(score, noise_of=lambda sigma: LANGEVIN_STEP / 2, n_steps=n_steps,
                                   draw=rng.standard_normal),
        "uniform noise": wrong(score, noise_of=step, n_steps=n_steps, draw=rng.random),
        "energy sign flipped": wrong(lambda x, sigma: -MIXTURE.score(x), noise_of=step, n_steps=8,
                                     draw=rng.standard_normal),
    }


def unit_probe_score(rng, data, budget, progress):
    """A network trained on SSM-VR with probes of norm 1."""
    def loss(params, x, rng):
        return sliced_vr_loss(MLP(params), x, probes(rng, "sphere", x.shape, x.dtype) / 2**0.5)

    params = init_mlp(rng, [2, 64, 64, 2], np.float32)
    params, _ = fit(loss, params, data, steps=scaled(1500, budget), rng=rng, learning_rate=3e-3, progress=progress)
    return MLP(params)


def fields(rng, budget, progress):
    """True score, unit probes, KDE at its own points, ReLU energy: title -> score function, and those points."""
    data = MIXTURE.sample(rng, scaled(50_000, budget, 300)).astype(np.float32)
    half = unit_probe_score(rng, data, budget, partial(progress, label="unit probes"))
    params, _ = fit(lambda params, x, rng: implicit_loss(energy_score(relu_energy(params)), x),
                    init_mlp(rng, [2, 64, 64, 1], np.float32), data, steps=scaled(500, budget), rng=rng,
                    progress=partial(progress, label="ReLU energy"))
    return {"true score": MIXTURE.score, "probes of norm 1": half,
            "KDE at its own points": lambda x: kde_score(x, x, H), "ReLU energy": energy_score(relu_energy(params))}, \
        data[:150].astype(float)


def own_kernel(points):
    """The share of the score that its own kernel leaves to each point, and r/(1 + r) of (ESM.6), (N,) each."""
    sq = np.sum((points[:, None] - points)**2, axis=2)
    r = np.sum(np.exp(-sq / (2 * H**2)), axis=1) - 1
    own, others = kde_score(points, points, H), kde_score(points, points, H, leave_one_out=True)
    return np.sum(own * others, axis=1) / np.sum(others**2, axis=1), r / (1 + r)


def spread(x, means):
    """Mean square distance of points to the nearest of means."""
    return np.mean(np.min(squared_distances(x, means), axis=1))


def draw_own_points(ax, score, points, color):
    """The score at the points themselves, at the scale of draw_field with n = 13."""
    draw_points(ax, points, GREY, size=3, alpha=1)
    ax.quiver(*points.T, *score(points).T, color=color, angles="xy", scale_units="xy", scale=6.0 * 13 / 9.5,
              width=0.006, headwidth=4, headlength=5, headaxislength=4.5)


def draw_samples(row, samples, box):
    for ax, (title, x) in zip(row, samples.items()):
        plane(ax, title, box, labels=False)
        draw_points(ax, x, BLUE if ax is row[0] else RED, size=2)


def draw_fields(row, learned, points):
    for ax, (title, score) in zip(row, learned.items()):
        plane(ax, title, 5, labels=False)
        color = BLUE if ax is row[0] else RED
        if title.startswith("KDE"):
            draw_own_points(ax, score, points, color)
        else:
            draw_field(ax, score, 5, color, n=13)


def draw(out, annealed, plain, learned, points, notes):
    fig, axes = canvas(3, 4, 6.3, sharex="row", sharey="row")
    draw_samples(axes[0], annealed, 10)
    draw_samples(axes[1], plain, 9)
    draw_fields(axes[2], learned, points)
    for ax, note in zip(axes.flat, notes):
        ax.text(0.97, 0.03, note, transform=ax.transAxes, ha="right", va="bottom", fontsize=7,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8})
    for ax in axes[0]:
        ax.plot(*MODES.means.T, "k+", markersize=7, markeredgewidth=0.8)
    for ax in axes[:, 0]:
        ax.set_ylabel("$x_2$")
    for ax in axes[2]:
        ax.set_xlabel("$x_1$")
    save(fig, out)


def measure_samples(rng, annealed, plain):
    """The numbers of the first two rows, in their order."""
    n = len(plain["Langevin"])
    real = [MODES.sample(rng, n) for _ in range(9)]
    floor = np.mean([energy_distance(real[0], other) for other in real[1:]])
    minor = [float(mode_weights(x, MODES.means)[1]) for x in annealed.values()]
    far = [float(energy_distance(x, real[0]) / floor) for x in annealed.values()]
    wide = [float((spread(x, MODES.means) / spread(real[0], MODES.means))**0.5) for x in annealed.values()]
    area = float(spread(plain["drift ε, noise √ε"], MIXTURE.means) / spread(plain["Langevin"], MIXTURE.means))
    drift = plain["uniform noise"].mean(axis=0) - MIXTURE.means[0]
    missed = drift - MIXTURE.covs[0].sum(axis=1) / LANGEVIN_STEP**0.5
    return minor, far, wide, area, float(np.linalg.norm(drift)), float(np.linalg.norm(missed))


def measure_fields(rng, n, learned, points):
    """The numbers of the last row: size of the probe network, own kernels against (ESM.6), error with ReLU."""
    x = MIXTURE.sample(rng, n)
    true, half, _, relu = learned.values()
    size = float(np.sum(half(x) * true(x)) / np.sum(true(x)**2))
    share, predicted = own_kernel(points)
    return size, float(np.median(share)), float(np.max(np.abs(share - predicted))), float(relative_error(relu, true, x))


def main(seed, budget, out, progress):
    rng, n = stream(seed, "common_mistakes"), scaled(1000, budget, 50)
    annealed, plain = annealed_samples(rng, n, budget), langevin_samples(rng, n, budget)
    learned, points = fields(rng, budget, progress)
    minor, far, wide, area, drift, missed = measure_samples(rng, annealed, plain)
    size, share, deviation, error = measure_fields(rng, scaled(20_000, budget, 50), learned, points)
    draw(out, annealed, plain, learned, points, [
        f"minor mode {minor[0]:.2f}", f"minor mode {minor[1]:.2f}", f"width × {wide[2]:.1f}",
        f"width × {wide[3]:.1f}", "", f"variance × {area:.2f}", f"mean {drift:.1f} past the mode", "after 8 steps",
        "", f"length × {size:.2f}", f"median length × {share:.2f}", f"relative error {error:.2f}"])
    sure = 5 * (0.2 * 0.8 / n)**0.5
    sure_area = 5 * 0.5 * (2 * 1.25 / n)**0.5  # Var‖u‖² = 1.25 (E‖u‖²)² at covariance eigenvalues 1.5 and 0.5
    return [
        Claim("annealed Langevin: share of the minor mode, weight 0.2, five standard errors", minor[0],
              0.2 - sure, 0.2 + sure),
        Claim("noise √step at every level: share of the minor mode", minor[1], 0, 0.01),
        Claim("step ∝ σ: root mean square distance to the nearest mode, over that of data", wide[2], None, None),
        Claim("step ∝ σ: energy distance to the data, over that of data to data", far[2], 10, None),
        Claim("levels ascending: energy distance to the data, over that of data to data", far[3], 10, None),
        Claim("drift ε, noise √ε: variance within a cluster over the right one, theory ½, five standard errors",
              area, 0.5 - sure_area, 0.5 + sure_area),
        Claim("uniform noise: distance of the mean from μ₁ + Σ₁1/√step, five standard errors", missed,
              0, 5 * (2 / 12 / n)**0.5),
        Claim("probes of norm 1: size of the learned score along the true one, theory ½", size, 0.45, 0.55),
        Claim("KDE at its own points: largest deviation of the share left from r/(1 + r)", deviation, 0, 1e-9),
        Claim("ReLU energy: relative error of the learned score, theory 1, a flat density", error, 0.9, 1.1),
    ]
