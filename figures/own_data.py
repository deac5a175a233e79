"""Own data: the same three lines on a table, on pictures and on points.

draw, report = sm.sampler(data, rng); x = draw(n); and the report says how good it is, and whether it copies. The table
is 150 irises, in cm to one digit: blue on and below the diagonal are the flowers, orange on and above are as many new
ones, which keep the two groups, the spreads and the correlations, and are no copies. New digits come from 1,400, with
one scale for all pixels, rounded back to greys; each pixel has the greys of real ones, as every column is carried to
its own law at the end. After so few steps some strokes do not join, and new digits lie further from training images
than real ones. Of the moons nearly nothing lies beside the arcs. Below, the loss on the fifth of the rows held out: the
table is learned within a thousand steps, what follows is by heart. So training ends, and the marked point is kept.

Source: Fisher 1936 (iris) and Alpaydin & Kaynak 1998 (digits), both CC BY 4.0; Kynkäänniemi et al. 2019 (precision);
equations REC.1 to REC.6, FIT.5 and MET.7.
Settings: those of the recipe, at most 4,000 steps for the table, 3,400 for 10,000 points of two moons, 400 for digits.
Real against real: 20 times the halves of the table; 32 clouds of moons, each against four more; digits not trained on.
"""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import scoremin as sm
from scoremin.metrics import neighbour_distance

from . import common as c
from .digits import show, split

FLOWERS = Path(__file__).parent / "data" / "iris.csv"
NAMES = ["sepal\nlength", "sepal\nwidth", "petal\nlength", "petal\nwidth"]
STEPS = {"flowers": 4000, "moons": 3400, "digits": 400}
TITLES = {"flowers": ("150 irises, in cm", c.GREEN), "moons": ("10,000 points, two moons", c.BLUE),
          "digits": ("1,400 digits", c.RED)}
OFF = 0.4                                                  # four deviations of the moons' noise


def from_arcs(x):
    """Distance (N,) of points from the nearer of the two half circles that the moons are about."""
    far = []
    for side in (-1, 1):
        p = side * x + [0.5, 0.25]
        beside = np.minimum(np.linalg.norm(p - [1, 0], axis=1), np.linalg.norm(p + [1, 0], axis=1))
        far.append(np.where(p[:, 1] >= 0, np.abs(np.linalg.norm(p, axis=1) - 1), beside))
    return np.minimum(*far)


def correlations(x):
    return np.corrcoef(x.T)[np.triu_indices(x.shape[1], 1)]


def compare(a, b):
    """What is claimed of a (n,d) against b (n,d): deviations, correlations, energy distance, precision."""
    return {"deviation": np.abs(np.log(a.std(axis=0) / b.std(axis=0))).max(),
            "correlation": np.abs(correlations(a) - correlations(b)).max(),
            "energy": len(a) * sm.energy_distance(a, b), "precision": sm.precision_recall(a, b)[0]}


def measure(stream, budget, progress):
    rng, m = stream(), SimpleNamespace(reports={})

    def own(name, data, **options):
        m.reports[name] = None
        draw, m.reports[name] = sm.sampler(data, rng, steps=c.scaled(STEPS[name], budget), rounded=name != "moons",
                                           progress=partial(progress, label=name), **options)
        return draw

    m.flowers = np.loadtxt(FLOWERS, delimiter=",", skiprows=1)
    m.new_flowers = own("flowers", m.flowers)(3000).reshape(20, 150, 4)
    halves = [np.split(rng.permutation(m.flowers), 2) for _ in range(20)]
    m.flower_pairs = [compare(new[:75], half) for new, (_, half) in zip(m.new_flowers, halves)]
    m.real_pairs = [compare(a, b) for a, b in halves]
    draw = own("moons", sm.two_moons(rng, 10_000))
    m.moons = draw(10_000)
    m.annealed = draw(c.scaled(1000, budget), annealed=True)
    m.real_moons = sm.two_moons(rng, 20_000)
    m.moons_energy = [c.distance_to_real(x, sm.two_moons, rng) for x in np.split(m.moons, 20)[:8]]
    m.real_energy = [c.distance_to_real(sm.two_moons(rng, 500), sm.two_moons, rng) for _ in range(32)]
    (train, _), (m.held, _) = split(rng)
    m.digits = own("digits", train, one_scale=True)(len(m.held))
    m.train = train
    return m


def draw(m):
    fig, ((table, moons, digits), (left, right)) = c.rows([3, 2], [3, 2])
    draw_pairs(table, m)
    c.draw_samples([moons], {"two moons, 3,000 new points": m.moons[:3000]}, [c.BLUE], 2.2, labels=False, size=1)
    show(digits, m.digits[:100], "digits, 100 new ones")
    draw_curves(left, m)
    draw_distances(right, m)
    return fig


def draw_pairs(ax, m):
    """Every column against every other: the flowers below the diagonal, new ones above; on it both as histograms."""
    ax.axis("off")
    ax.set_title("iris: flowers below, new ones above")
    low, high = m.flowers.min(axis=0), m.flowers.max(axis=0)
    for i in range(4):
        for j in range(4):
            cell = ax.inset_axes([j / 4, (3 - i) / 4, 0.235, 0.235])
            cell.set(xticks=[], yticks=[], xlim=(low[j] - 0.5, high[j] + 0.5))
            cell.spines[["top", "right"]].set_visible(True)
            if i == j:
                bins = np.linspace(low[i], high[i], 13)
                for x, color in ((m.flowers, c.BLUE), (m.new_flowers[0], c.ORANGE)):
                    cell.hist(x[:, i], bins, color=color, histtype="step", linewidth=1)
                cell.set_ylim(0, cell.get_ylim()[1] * 1.5)
                cell.text(0.5, 0.97, NAMES[i], transform=cell.transAxes, ha="center", va="top", fontsize=6)
            else:
                x, color = (m.flowers, c.BLUE) if i > j else (m.new_flowers[0], c.ORANGE)
                c.draw_points(cell, x[:, [j, i]], color, size=2)
                cell.set(ylim=(low[i] - 0.5, high[i] + 0.5))


def draw_curves(ax, m):
    """The loss on rows held out over its first value, by step, and the step that is kept."""
    for name, (title, color) in TITLES.items():
        steps, values = map(np.array, zip(*m.reports[name]["curve"].items()))
        kept = m.reports[name]["step"]
        ax.plot(steps[1:], values[1:] / values[0], color=color, label=title)
        ax.plot(kept, m.reports[name]["curve"][kept] / values[0], "o", color=color)
    ax.set(xscale="log", xlabel="step", ylabel="loss on rows held out,\nover that at the start",
           title="training ends when rows held out say so", ylim=(0.36, 1.03))
    ax.legend(loc="lower left")


def draw_distances(ax, m):
    """Of digits, the share nearer to a training image than so many greys."""
    for x, color, label in ((m.held, c.DARK, "real, not seen"), (m.digits, c.RED, "new ones")):
        far = np.sort(neighbour_distance(x, m.train, 1))
        ax.step([0, *far], np.arange(len(far) + 1) / len(far), color=color, where="post", label=label)
    ax.set(title="digits nearer than this to a training image", xlabel="distance in greys, ‖x − nearest‖",
           ylabel="share of digits", xlim=(0, None))
    ax.legend(loc="upper left")


def claims(m):
    """Bounds: halves of the table against each other, from the least to the largest; real clouds of moons; (REC.5) for
    copies. A moon's noise leaves its arc by more than four deviations with a probability below e⁻⁸ = .03 %."""
    real, new = ({key: np.array([pair[key] for pair in pairs]) for key in pairs[0]}
                 for pairs in (m.real_pairs, m.flower_pairs))
    precision = [sm.precision_recall(x, m.held)[0] for x in (m.digits, m.train[:len(m.held)])]
    like_halves = lambda text, key: c.claim(f"iris: {text}; mean, the range of real halves", new[key].mean(),
                                            real[key].min(), real[key].max())
    return [
        like_halves("largest deviation over that of the flowers, its logarithm", "deviation"),
        like_halves("largest difference of a correlation", "correlation"),
        like_halves("energy distance times n", "energy"),
        like_halves("precision", "precision"),
        *[c.claim(f"{name}: distance to the nearest row over that of rows held out", report["nearest"], 0.5, 2)
          for name, report in m.reports.items()],
        c.claim("moons: share further than .4 from the arcs; the recipe promises .3 %",
                np.mean(from_arcs(m.moons) > OFF), 0, 0.003),
        c.claim("moons by annealed Langevin: the same share", np.mean(from_arcs(m.annealed) > OFF), 0, 0.003),
        c.claim("moons: energy distance times n, mean of eight clouds; the range of 32 real ones",
                np.mean(m.moons_energy), np.min(m.real_energy), np.max(m.real_energy)),
        c.measured("real moons: share further than .4 from the arcs", np.mean(from_arcs(m.real_moons) > OFF)),
        c.measured("digits: precision", precision[0]), c.measured("training digits: precision", precision[1]),
        *[c.measured(f"{name}: energy distance to rows held out, over its mean for real rows", report["energy"])
          for name, report in m.reports.items()],
    ]
