"""What the figures share: claims, random streams, one style, the kinds of panel, and what several measure."""

from functools import partial
from typing import NamedTuple
from zlib import crc32

import autograd.numpy as anp
import matplotlib
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

import scoremin as sm
from scoremin.ncsn import even_loss

# Okabe and Ito's colours, told apart by colour-blind readers too.
BLUE, ORANGE, GREEN, RED, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
GREY, DARK = "#999999", "#333333"

matplotlib.rcdefaults()  # whatever a matplotlibrc of the user says
matplotlib.rcParams.update({
    "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7,
    "legend.fontsize": 7.5, "legend.frameon": False, "axes.spines.top": False, "axes.spines.right": False,
    "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "lines.linewidth": 1.4,
    "lines.markersize": 4, "axes.prop_cycle": matplotlib.cycler(color=[BLUE, ORANGE, GREEN, RED, SKY, PURPLE]),
})

MIXTURE = sm.GaussianMixture([0.5, 0.5], [[2, 2], [-2, -2]], [[[1, 0.5], [0.5, 1]], [[1, -0.5], [-0.5, 1]]])


class Claim(NamedTuple):
    """A number the figure shows, and the bounds it must keep: low <= value <= high.

    None is no bound on that side; without any bound the number is a measurement, not a claim."""

    text: str
    value: float
    low: float | None
    high: float | None

    @property
    def holds(self):
        return bool((self.low is None or self.low <= self.value) and (self.high is None or self.value <= self.high))


def claim(text, value, low=None, high=None):
    """A Claim in Python's own floats."""
    return Claim(text, *(None if a is None else float(a) for a in (value, low, high)))


measured = claim  # by this name where there is no bound: a number that is shown, not claimed


def stream(seed, name, part=""):
    """The random generator of one figure, or of one part of it: independent for every name and part."""
    return np.random.default_rng([seed, crc32((name + part).encode())])


def scaled(n, budget, least=10):
    """n steps or points at budget 1, fewer at less."""
    return max(least, round(n * budget))


def ticker(progress, n, label):
    """A sampler's callback that advances a progress bar of n steps."""
    bar = iter(progress(range(n), label))
    return lambda i, x: next(bar, None)


def init(rng, *sizes):
    """First parameters of a network of these sizes, in float32."""
    return sm.init_mlp(rng, sizes, np.float32)


def trained(loss, model, params, data, rng, budget, progress, *, steps, label="training", **options):
    """model(params) after so many steps, at budget 1, of Adam on loss(model, x, rng), and the loss of each step;
    options are those of fit."""
    params, losses = sm.fit(lambda params, x, rng: loss(model(params), x, rng), params, data, rng=rng,
                            steps=scaled(steps, budget), progress=partial(progress, label=label), **options)
    return model(params), losses


def train(*args, **options):
    """The first of trained."""
    return trained(*args, **options)[0]


def asinh_levels(high, low, n, bend=0.5):
    """n noise levels from high to low, uniform in asinh(σ/bend)."""
    return bend * np.sinh(np.linspace(np.arcsinh(high / bend), np.arcsinh(low / bend), n))


def normal(rng, x):
    """Standard normal noise of x's shape and dtype."""
    return rng.standard_normal(x.shape, x.dtype)


def signs(rng, x):
    """Rademacher probes of x's shape and dtype."""
    return sm.probes(rng, "rademacher", x.shape, x.dtype)


# Losses that draw their own randomness, as train wants them; explicit finds the target beside x in each row.
explicit = lambda score, row, rng: sm.explicit_loss(score, row[:, :2], row[:, 2:])
implicit = lambda score, x, rng: sm.implicit_loss(score, x)
sliced_vr = lambda score, x, rng: sm.sliced_vr_loss(score, x, signs(rng, x))


def ncsn(levels):
    """The NCSN loss of each point under z and −z, at one of levels(rng, n) (n,)."""
    return lambda score, x, rng: sm.ncsn_vr_loss(score, x, normal(rng, x), levels(rng, len(x)))


def even(levels, sigma_data):
    """The same with the weights (REC.4), alike for errors of f at every level, for data of this deviation."""
    def loss(score, x, rng):
        in_units = lambda u, sigma: sigma_data * score(sigma_data * u, sigma_data * sigma)
        return even_loss(in_units, x / sigma_data, normal(rng, x), levels(rng, len(x)) / sigma_data)
    return loss


def mostly_between(low, high, least, largest):
    """For ncsn: three quarters of the levels from low to high, where they decide what is data, a quarter over all."""
    return lambda rng, n: np.concatenate([sm.stratified_sigmas(rng, largest, least, n // 4),
                                          sm.stratified_sigmas(rng, high, low, n - n // 4)])


def relu_energy(params):
    """EnergyMLP with ReLU; 0·x² spares autograd its warning that the score does not depend on x."""
    def energy(x):
        a = x
        for W, b in params[:-1]:
            a = anp.maximum(anp.dot(a, W) + b, 0.0)
        W, b = params[-1]
        return (anp.dot(a, W) + b)[:, 0] + 0 * x[:, 0]**2
    return energy


def error(score, target, x):
    """‖s − target‖ at each x, (N,)."""
    return np.linalg.norm(score(x) - target(x), axis=1)


def kernel_score(x, data, h):
    """kde_score by matrix products, whose cancellation is harmless for data of size 1 about 0."""
    ones = np.hstack([data, np.ones_like(data[:, :1])])                      # (n,d+1)
    lines = np.vstack([data.T, -0.5 * np.sum(data**2, axis=1)]) / h**2       # (d+1,n)

    def block(x):
        w = np.hstack([x, np.ones_like(x[:, :1])]) @ lines                   # (B,n) −‖x − x_i‖²/2h² and ‖x‖²/2h²
        w -= w.max(axis=1, keepdims=True)
        np.maximum(w, -80, out=w)            # e^−88 and less are denormal in float32: products with them are slow
        sums = np.exp(w, out=w) @ ones                                       # (B,d+1) Σ w_i x_i and Σ w_i
        return (sums[:, :-1] / sums[:, -1:] - x) / h**2
    return np.concatenate([block(x[i:i + 128]) for i in range(0, len(x), 128)])


DIRECTIONS = np.stack([f(np.pi * np.arange(8) / 8) for f in (np.cos, np.sin)], axis=1)  # (8,2)


def mean_gap(t):
    """E|t_i − t_j| of each row of t (K,n), which is ascending: 2/n² Σ (2i − n − 1) t_i, (K,)."""
    n = t.shape[1]
    return 2 / n * np.mean((2 * np.arange(1, n + 1) - n - 1) * t, axis=1)


def distance_to(b):
    """The energy distance (MET.2) to b (m,2) from an a (n,2), a function of a in a time of order n log(n m).

    By (MET.5), with c_2 = 2/π and 8 directions for all of them, which err by less than 1 %. On each, it is that of
    numbers, and the mean distance from the b is linear in between them, and beyond them."""
    y, m = np.sort(DIRECTIONS @ b.T, axis=1), len(b)                         # (8,m)
    h = ((2 * np.arange(1, m + 1) - m) * y - 2 * np.cumsum(y, axis=1) + y.sum(axis=1, keepdims=True)) / m  # (8,m) at y
    from_b = lambda t, y, h: np.mean(np.interp(t, y, h) + np.abs(t - np.clip(t, y[0], y[-1])))
    within = mean_gap(y)                                                     # (8,)

    def distance(a):
        t = np.sort(DIRECTIONS @ a.T, axis=1)                                # (8,n)
        return np.pi / 2 * np.mean(2 * np.array(list(map(from_b, t, y, h))) - mean_gap(t) - within)  # ()
    return distance


def against_real(real, rng, clouds=1):
    """distance(x): the mean energy distance to 20,000 real points of x (n,2), cut into so many clouds, over what it
    is on average for an x that is real; and that ratio of 1,000 real x, whose clouds are drawn from 1,000.

    That average is (1/n + 1/m) E‖a − a'‖ (MET.2) for clouds of n, and with it the law of the ratio is all but free
    of n: real clouds of 100 serve for all."""
    a, b = real(rng, 20_000), real(rng, 20_000)
    distance, gap = distance_to(a), np.mean(np.linalg.norm(a - b, axis=1))   # E‖a − a'‖
    ratio = lambda cloud: distance(cloud) / ((1 / len(cloud) + 1 / 20_000) * gap)
    floor = np.array([ratio(real(rng, 100)) for _ in range(1000)])
    return (lambda x, clouds=clouds: np.mean([ratio(cloud) for cloud in np.array_split(x, clouds)]),
            rng.choice(floor, (1000, clouds)).mean(axis=1))


def like_real(text, share, real, n, m):
    """Claim a share of n samples to be that of real ones, where m real points had the share real: both are binomial
    counts, and the bounds are five deviations of their difference. One of m more or less keeps that from 0."""
    p = min(max(real, 1 / m), 1 - 1 / m)
    five = 5 * (p * (1 - p) * (1 / n + 1 / m))**0.5
    return claim(text, share, real - five, real + five)


def canvas(rows, columns, height, **options):
    """A figure 8 inches wide, about the width of a README page, and its axes."""
    fig = Figure(figsize=(8, height), layout="constrained")
    return fig, fig.subplots(rows, columns, **options)


def rows(columns, heights):
    """A figure 8 inches wide of rows with as many panels and as high, in inches, as listed; its axes by row."""
    fig = Figure(figsize=(8, sum(heights)), layout="constrained")
    parts = fig.subfigures(len(heights), 1, height_ratios=heights)
    return fig, [part.subplots(1, n) for part, n in zip(parts, columns)]


def save(fig, out):
    """Write the PNG; its bytes depend on the drawing alone."""
    fig.savefig(out, format="png", dpi=160, metadata={"Software": None})


def plane(ax, title, box, labels=True):
    """A square panel of the (x₁, x₂) plane, |x| <= box."""
    ax.set(title=title, xlim=(-box, box), ylim=(-box, box), aspect="equal")
    ax.locator_params(nbins=5)
    if labels:
        ax.set(xlabel="$x_1$", ylabel="$x_2$")


def share_above(data, other):
    """How often a value of data (n,) is above one of other (m,): the area under the curve of a detector."""
    return np.searchsorted(np.sort(other), data).mean() / len(other)


def draw_training(ax, losses, color, label, width=50):
    """Means of the loss over so many steps."""
    width = min(width, len(losses))
    means = losses[:len(losses) // width * width].reshape(-1, width).mean(axis=1)
    ax.plot(width * (np.arange(len(means)) + 0.5), means, color=color, label=label)


def grid(box, n):
    """The n·n points of a regular grid over [−box, box]², (n·n,2)."""
    axis = np.linspace(-box, box, n)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def draw_points(ax, x, color=BLUE, size=1.5, alpha=0.5):
    """Samples as dots."""
    ax.scatter(*x.T, s=size, color=color, alpha=alpha, linewidths=0)


def draw_samples(axes, samples, colors, box, labels=True, size=1.5):
    """A panel of dots for each sample, title -> x (n,2)."""
    for ax, (title, x), color in zip(axes, samples.items(), colors):
        plane(ax, title, box, labels)
        draw_points(ax, x, color, size)


def draw_field(ax, score, box, color=DARK, n=15, longest=6.0):
    """Score vectors on a grid, at the same scale in every panel, shortened to at most longest."""
    x = grid((1 - 1 / n) * box, n)
    s = score(x)
    s = s * np.minimum(1, longest / np.maximum(np.linalg.norm(s, axis=1, keepdims=True), 1e-9))
    ax.quiver(*x.T, *s.T, color=color, angles="xy", scale_units="xy", scale=longest * n / (1.9 * box), pivot="mid",
              width=0.006, headwidth=4, headlength=5, headaxislength=4.5)


def draw_map(fig, ax, value, box, label, n=121, norm=None, cmap="viridis"):
    """A scalar function of x as colours, with its bar, or without where label is empty."""
    image = ax.imshow(value(grid(box, n)).reshape(n, n), origin="lower", extent=(-box, box, -box, box),
                      cmap=cmap, norm=norm or LogNorm(), interpolation="bilinear")
    if label:
        bar = fig.colorbar(image, cax=ax.inset_axes([1.04, 0, 0.05, 1]), label=label)
        bar.outline.set_linewidth(0.6)


def draw_scores(axes, scores, box=5, n=101):
    """A row of score fields of the mixture by title, each over its error, with one bar.

    The error is a pale background; lines show where the data are, p at e^−½ and e^−2 of its largest value."""
    x, axis = grid(box, n), np.linspace(-box, box, n)
    p = MIXTURE.log_density(x).reshape(n, n)
    for ax, (title, score) in zip(axes, scores.items()):
        plane(ax, title, box, labels=False)
        image = ax.imshow(error(score, MIXTURE.score, x).reshape(n, n), origin="lower", extent=(-box, box, -box, box),
                          cmap="Oranges", alpha=0.7, norm=LogNorm(0.1, 30), interpolation="bilinear")
        ax.contour(axis, axis, p, levels=[p.max() - 2, p.max() - 0.5], colors=BLUE, linewidths=0.7, linestyles="solid")
        draw_field(ax, score, box)
        ax.set_xlabel("$x_1$")
    axes[0].set_ylabel("$x_2$")
    axes[0].figure.colorbar(image, ax=axes, label="size of the error, ‖s − ∇log p‖", extend="both")


def passes(loss, score):
    """Network passes of loss(score): one for a value of the score, one more for each tangent or a trace."""
    made = []

    def counting(method, cost):
        def counted(*args):
            made.append(cost(*args))
            return method(*args)
        return counted

    counted = counting(score, lambda *args: 1)
    costs = {"jvp": lambda x, v: 1 + (len(v) if v.ndim == 3 else 1), "divergence": lambda x: 2}
    for name in costs.keys() & set(dir(score)):
        setattr(counted, name, counting(getattr(score, name), costs[name]))
    loss(counted)
    return sum(made)


def distance_to_real(x, real, rng):
    """Mean energy distance from x (n,d) to four fresh samples real(rng, n) of its size, times n.

    For an x that is itself real the factor makes the law free of n, but for small n, and the mean exactly so:
    (1/n + 1/n) E‖a − a'‖ times n (MET.2). So few points suffice to measure the floor of many."""
    return len(x) * np.mean([sm.energy_distance(x, real(rng, len(x))) for _ in range(4)])
