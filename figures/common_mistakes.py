"""Nine mistakes of public reimplementations, each beside the right version: most run in silence, all are visible.

Of these only two raise an error in this package: `annealed_langevin` refuses ascending levels, and `langevin`
stops once the flipped sign has driven its chains out of range. Left, in blue, what is right; the other panels
of a row differ from it in one line. Top, annealed Langevin dynamics to two modes of weights 0.8 and 0.2
(crosses), from a wide cloud: noise of size √step at every level loses the minor mode, a step proportional to σ
never gathers the cloud, ascending levels end at the widest. Middle, Langevin dynamics on a mixture: drift ε
with noise √ε has temperature ½ and clusters of half the area, uniform noise drifts off, a flipped energy sign
drives all points away (shown after 8 steps). Bottom, score fields: probes of norm 1 with the full ‖s‖² learn
half the score, a KDE asked at its own points (grey) leaves most of them without a pull, and a ReLU energy
trained by the implicit objective is flat.

Source: reimplementations of the papers in public repositories, and threads in their issue trackers; the
wrong versions stand in figures/common_mistakes.py, their exact effects in tests/test_common_mistakes.py.
Settings: exact scores in the first two rows, 1,000 chains; σ 10 → 0.1 in 10 levels of 100 steps, step
0.001; Langevin step 0.1, 300 steps. Networks 2-64-64 in the third, 600 and 200 Adam steps of 256.
"""

from types import SimpleNamespace

import numpy as np

import scoremin as sm
from scoremin.data import squared_distances

from . import common as c

MODES = sm.GaussianMixture([0.8, 0.2], [[4, 4], [-4, -4]], np.tile(0.5 * np.eye(2), (2, 1, 1)))
SIGMAS, STEP, LANGEVIN_STEP, H = sm.geometric_sigmas(10, 0.1, 10), 1e-3, 0.1, 0.1
NOISY = {sigma: MODES.smoothed(sigma).score for sigma in SIGMAS.tolist()}


def annealed_versions(sigmas, step):
    """Levels, step and variance of the noise at a level: right, noise √step, step ∝ σ, levels ascending."""
    sigmas = np.asarray(sigmas).tolist()
    square, linear = lambda sigma: step * sigma**2 / sigmas[-1]**2, lambda sigma: step * sigma / sigmas[-1]
    return [(sigmas, square, square), (sigmas, square, lambda sigma: step), (sigmas, linear, linear),
            (sigmas[::-1], square, square)]


def wrong_langevin(score, x, step, variance, n_steps, draw):
    """Langevin dynamics with noise of any variance and kind; right: variance step, draw standard normal."""
    for _ in range(n_steps):
        x = x + 0.5 * step * score(x) + variance**0.5 * draw(x.shape)
    return x


def wrong_annealed(score, x, version, n_steps, draw):
    """Annealed Langevin dynamics in one of annealed_versions."""
    levels, step_of, variance_of = version
    for sigma in levels:
        x = wrong_langevin(lambda x, sigma=sigma: score(x, sigma), x, step_of(sigma), variance_of(sigma), n_steps, draw)
    return x


def flipped(score):
    """The score of an energy whose sign was forgotten."""
    return lambda x: -score(x)


def unit_probe_loss(score, x, v):
    """SSM-VR with probes of norm 1 where those of norm √d belong: the trace is divided by d, ‖s‖² is not."""
    return sm.sliced_vr_loss(score, x, v / x.shape[1]**0.5)


def annealed_samples(rng, n, budget):
    """Right, noise √step, step ∝ σ, ascending levels: title -> samples, from one wide cloud."""
    start, n_steps = SIGMAS[0] * rng.standard_normal((n, 2)), c.scaled(100, budget, 1)
    score = lambda x, sigma: NOISY[sigma](x)
    titles = "noise √step, not √step$_i$", "step$_i$ ∝ σ, not σ²", "levels ascending"
    right = sm.annealed_langevin(score, start, SIGMAS, STEP, n_steps, rng)
    return {"annealed Langevin": right,
            **{title: wrong_annealed(score, start, version, n_steps, rng.standard_normal)
               for title, version in zip(titles, annealed_versions(SIGMAS, STEP)[1:])}}


def langevin_samples(rng, n, budget):
    """Right, noise √ε, uniform noise, energy sign flipped: title -> samples."""
    score, step, start, n_steps = c.MIXTURE.score, LANGEVIN_STEP, c.MIXTURE.sample(rng, n), c.scaled(300, budget, 2)
    return {"Langevin": sm.langevin(score, start, step, n_steps, rng),
            "drift ε, noise √ε": wrong_langevin(score, start, step, step / 2, n_steps, rng.standard_normal),
            "uniform noise": wrong_langevin(score, start, step, step, n_steps, rng.random),
            "energy sign flipped": wrong_langevin(flipped(score), start, step, step, 8, rng.standard_normal)}


def fields(rng, data, budget, progress):
    """True score, unit probes, KDE at its own points, ReLU energy: title -> score function."""
    half = c.train(lambda score, x, rng: unit_probe_loss(score, x, sm.probes(rng, "sphere", x.shape, x.dtype)),
                   sm.MLP, c.init(rng, 2, 64, 64, 2), data, rng, budget, progress, steps=600, learning_rate=1e-2,
                   label="unit probes")
    flat = c.train(c.implicit, lambda params: sm.energy_score(c.relu_energy(params)), c.init(rng, 2, 64, 64, 1), data,
                   rng, budget, progress, steps=200, learning_rate=5e-3, label="ReLU energy")
    return {"true score": c.MIXTURE.score, "probes of norm 1": half,
            "KDE at its own points": lambda x: sm.kde_score(x, x, H), "ReLU energy": flat}


def own_kernel(points):
    """The share of the score that its own kernel leaves to each point, and r/(1 + r) of (ESM.6), (N,) each."""
    sq = np.sum((points[:, None] - points)**2, axis=2)
    r = np.sum(np.exp(-sq / (2 * H**2)), axis=1) - 1
    own, others = sm.kde_score(points, points, H), sm.kde_score(points, points, H, leave_one_out=True)
    return np.sum(own * others, axis=1) / np.sum(others**2, axis=1), r / (1 + r)


def spread(x, means):
    """Mean square distance of points to the nearest of means."""
    return np.mean(np.min(squared_distances(x, means), axis=1))


def variance_across(version, n_steps):
    """The exact variance at the end across the line through the modes, where the score at σ is −y/(½ + σ²) (LD.10)."""
    levels, step_of, variance_of = version
    V = SIGMAS[0]**2
    for sigma in levels:
        for _ in range(n_steps):
            V = (1 - step_of(sigma) / (1 + 2 * sigma**2))**2 * V + variance_of(sigma)
    return V


def measure_samples(annealed, plain, n_steps):
    """The numbers of the first two rows, in their order."""
    across = [np.mean((x[:, 0] - x[:, 1])**2) / 2 for x in annealed.values()]
    exact = [variance_across(version, n_steps) for version in annealed_versions(SIGMAS, STEP)]
    right, area, _, fled = (spread(x, c.MIXTURE.means) for x in plain.values())
    drift = plain["uniform noise"].mean(axis=0) - c.MIXTURE.means[0]
    return {
        "n": len(plain["Langevin"]), "minor": [sm.mode_weights(x, MODES.means)[1] for x in annealed.values()],
        "across": np.array(across), "exact": np.array(exact), "area": area / right, "fled": fled / right,
        "drift": np.linalg.norm(drift),
        "missed": np.linalg.norm(drift - c.MIXTURE.covs[0].sum(axis=1) / LANGEVIN_STEP**0.5)}


def measure_fields(rng, n, learned, points):
    """The numbers of the last row: size of the probe network, own kernels against (ESM.6), error with ReLU."""
    x = c.MIXTURE.sample(rng, n)
    true, half, _, relu = learned.values()
    share, predicted = own_kernel(points)
    return {"size": np.sum(half(x) * true(x)) / np.sum(true(x)**2), "share": np.median(share),
            "deviation": np.max(np.abs(share - predicted)), "error": sm.relative_error(relu, true, x)}


def measure(stream, budget, progress):
    rng, n = stream(), c.scaled(1000, budget, 50)
    annealed, plain = annealed_samples(rng, n, budget), langevin_samples(rng, n, budget)
    data = c.MIXTURE.sample(rng, c.scaled(50_000, budget, 300)).astype(np.float32)
    learned, points = fields(rng, data, budget, progress), data[:150].astype(float)
    return SimpleNamespace(
        annealed=annealed, plain=plain, learned=learned, points=points,
        **measure_samples(annealed, plain, c.scaled(100, budget, 1)),
        **measure_fields(rng, c.scaled(20_000, budget, 50), learned, points))


def notes(m):
    """What is written into the panels."""
    wide = (m.across / 0.5)**0.5
    return [f"minor mode {m.minor[0]:.2f}", f"minor mode {m.minor[1]:.2f}", f"width × {wide[2]:.1f}",
            f"width × {wide[3]:.1f}", "", f"variance × {m.area:.2f}", f"mean {m.drift:.1f} past the mode",
            "after 8 steps", "", f"length × {m.size:.2f}", f"median length × {m.share:.2f}",
            f"relative error {m.error:.2f}"]


def draw_fields(row, learned, points):
    """Fields; the one that is asked at its own points as arrows at these, at the same scale."""
    for ax, (title, score) in zip(row, learned.items()):
        c.plane(ax, title, 5, labels=False)
        color = c.BLUE if ax is row[0] else c.RED
        if title.startswith("KDE"):
            c.draw_points(ax, points, c.GREY, size=3, alpha=1)
            ax.quiver(*points.T, *score(points).T, color=color, angles="xy", scale_units="xy", scale=6.0 * 13 / 9.5,
                      width=0.006, headwidth=4, headlength=5, headaxislength=4.5)
        else:
            c.draw_field(ax, score, 5, color, n=13)


def draw(m):
    fig, axes = c.canvas(3, 4, 6.3, sharex="row", sharey="row")
    for row, samples, box in zip(axes, (m.annealed, m.plain), (10, 9)):
        c.draw_samples(row, samples, [c.BLUE, c.RED, c.RED, c.RED], box, labels=False, size=2)
    draw_fields(axes[2], m.learned, m.points)
    for ax, note in zip(axes.flat, notes(m)):
        ax.text(0.97, 0.03, note, transform=ax.transAxes, ha="right", va="bottom", fontsize=7,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8})
    for ax in axes[0]:
        ax.plot(*MODES.means.T, "k+", markersize=7, markeredgewidth=0.8)
    for ax in axes[:, 0]:
        ax.set_ylabel("$x_2$")
    for ax in axes[2]:
        ax.set_xlabel("$x_1$")
    return fig


def claims(m):
    """Bounds: five standard errors; all four variances across are within a tenth of one with probability 4·10⁻⁵. The
    area: Var‖u‖² = 1.25 (E‖u‖²)² at covariance eigenvalues 1.5 and 0.5. Under a flipped sign a cluster alone would have
    3.8 by its recursion; that points are counted to the nearest of two takes less than half of it."""
    sure, sure_area = 5 * (0.2 * 0.8 / m.n)**0.5, 5 * 0.5 * (2 * 1.25 / m.n)**0.5
    return [
        c.claim("annealed Langevin: share of the minor mode, weight 0.2, five standard errors", m.minor[0],
                0.2 - sure, 0.2 + sure),
        c.claim("noise √step at every level: share of the minor mode", m.minor[1], 0, 0.01),
        c.claim("all four: variance across the line through the modes, largest relative deviation from its recursion, "
                "in units of √(2/n)", np.max(np.abs(m.across / m.exact - 1)) / (2 / m.n)**0.5, 0.1, 5),
        *[c.measured(f"{title}: that variance by the recursion, over that of data", V / 0.5)
          for title, V in zip(("annealed Langevin", "noise √step", "step ∝ σ", "levels ascending"), m.exact)],
        c.claim("drift ε, noise √ε: variance within a cluster over the right one, theory ½, five standard errors",
                m.area, 0.5 - sure_area, 0.5 + sure_area),
        c.claim("energy sign flipped: the same after 8 steps", m.fled, 1.9, 3.8 * (1 + 2 * sure_area)),
        c.claim("uniform noise: distance of the mean from μ₁ + Σ₁1/√step, five standard errors", m.missed,
                0, 5 * (2 / 12 / m.n)**0.5),
        c.claim("probes of norm 1: size of the learned score along the true one, theory ½", m.size, 0.45, 0.55),
        c.claim("KDE at its own points: largest deviation of the share left from r/(1 + r)", m.deviation, 0, 1e-9),
        c.claim("ReLU energy: relative error of the learned score, theory 1, a flat density", m.error, 0.9, 1.1),
    ]
