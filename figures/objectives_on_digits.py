"""Objectives at d = 64: one mean gradient, at very different prices.

On noisy digits all these objectives have the same mean gradient, since the score of the noisy training set is that
of its kernel estimate with h = σ. They differ in what a step costs and in how noisy its gradient is. The trace by 64
directions costs many times what its closed form does, and gives the same numbers. One random probe in its place is
no cheaper at this size, and noisier; SSM, which slices the norm as well, is by far the noisiest. Explicit matching
pays for 1,400 kernels, and for nothing: in 64 dimensions one of them has nearly all the weight, so that its target is
−z/σ but for a little, and its noise that of denoising. Denoising is the cheapest and among the quietest, and learns
the most in a given time. Under z and −z it is quieter still, and the slower step takes back what that gains.

Source: Hyvärinen 2005 (explicit, implicit); Song et al. 2019 (SSM, SSM-VR); Vincent 2011 (denoising); Onken et al.
2021 (exact traces); equations DSM.6, DSM.7, ISM.5, ISM.13 and SSM.5.
Settings: 1,400 digits of 8 × 8 pixels on [−1, 1] less their mean, σ = 0.3; 64-128-128-64 network, Adam, batches of
128; steps for 0.05, 0.2 and 0.8 s at times of a step measured once, so that results do not hang on a machine's speed.
Variance: sum over all weights, of the network that denoising gave in 0.8 s, over 30 batches that all share.
"""

from time import process_time
from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure

import scoremin as sm
from scoremin.train import value_and_gradient

from . import common as c
from .cost_vs_dimension import by_directions
from .digits import split

SIGMA, SECONDS, BATCH = 0.3, [0.05, 0.2, 0.8], 128
# Milliseconds of a step on two x86-64 cores: how many steps a second has, on every machine.
STEP_MS = {"explicit": 1.58, "ISM, 64 directions": 20.0, "ISM, closed form": 0.83, "SSM": 0.96, "SSM-VR": 0.92,
           "denoising": 0.56, "denoising, ±z": 0.87}
COLORS = dict(zip(STEP_MS, [c.DARK, c.PURPLE, c.RED, c.SKY, c.BLUE, c.GREEN, c.ORANGE]))


def losses(data):
    """Each objective on a batch of clean points x and noise z, both (N,64); all but denoising see x + σz alone."""
    noisy = lambda x, z: x + SIGMA * z
    return {
        "explicit": lambda s, x, z, rng: sm.explicit_loss(s, noisy(x, z), c.kernel_score(noisy(x, z), data, SIGMA)),
        "ISM, 64 directions": lambda s, x, z, rng: sm.implicit_loss(by_directions(s), noisy(x, z)),
        "ISM, closed form": lambda s, x, z, rng: sm.implicit_loss(s, noisy(x, z)),
        "SSM": lambda s, x, z, rng: sm.sliced_loss(s, noisy(x, z), c.signs(rng, x)),
        "SSM-VR": lambda s, x, z, rng: sm.sliced_vr_loss(s, noisy(x, z), c.signs(rng, x)),
        "denoising": lambda s, x, z, rng: sm.denoising_loss(s, x, z, SIGMA),
        "denoising, ±z": lambda s, x, z, rng: sm.denoising_loss(s, np.concatenate([x, x]), np.concatenate([z, -z]),
                                                                SIGMA),
    }


def train(name, loss, data, seconds, rng, budget, progress):
    """The network after so many seconds, counted in steps."""
    return c.train(lambda s, x, rng: loss(s, x, c.normal(rng, x), rng), sm.MLP, c.init(rng, 64, 128, 128, 64), data,
                   rng, budget, progress, steps=round(1000 * seconds / STEP_MS[name]), label=f"{name}, {seconds} s",
                   batch_size=BATCH, learning_rate=3e-3)


def gradients(loss, params, batches, rng):
    """The gradient on each batch (x, z), (n,P), and the milliseconds of processor time that one takes."""
    spent, rows = [], []
    for x, z in batches:
        start = process_time()
        rows.append(value_and_gradient(lambda params, x, rng, z=z: loss(sm.MLP(params), x, z, rng), params, x, rng)[1])
        spent.append(process_time() - start)
    return np.array(rows), 1000 * np.median(spent)


def noise_left(score, held, z):
    """Mean square a pixel of what is left when σ s(x̃) predicts −z, on pictures held out: 1 at s = 0."""
    return np.mean((SIGMA * score(held + SIGMA * z) + z)**2)


def measure(stream, budget, progress):
    """Every training starts from the same network; every gradient is taken at the same one, on the same batches."""
    rng = stream()
    (data, _), (held, _) = split(rng)
    mean = (data / 8 - 1).mean(axis=0)
    data, held = ((x / 8 - 1 - mean).astype(np.float32) for x in (data, held))
    z, objectives = c.normal(rng, held), losses(data)
    scores = {name: [train(name, loss, data, t, stream(": training"), budget, progress) for t in SECONDS]
              for name, loss in objectives.items()}
    batches = [(x, c.normal(rng, x)) for x in (data[rng.integers(len(data), size=BATCH)]
                                               for _ in range(c.scaled(30, budget)))]
    noise = {name: gradients(loss, scores["denoising"][-1].params, batches, rng)
             for name, loss in progress(objectives.items(), "gradients")}
    linear = -np.linalg.inv(np.cov(data.T, bias=True) + SIGMA**2 * np.eye(64)).astype(np.float32)
    return SimpleNamespace(
        errors={name: [noise_left(score, held, z) for score in several] for name, several in scores.items()},
        variance={name: g.var(axis=0, ddof=1).sum(dtype=float) for name, (g, _) in noise.items()},
        ms={name: ms for name, (_, ms) in noise.items()},
        gaussian=noise_left(lambda x: x @ linear, held, z),
        kernels=noise_left(lambda x: c.kernel_score(x, data, SIGMA), held, z))


def dots(ax, values, title, xlabel):
    """One dot for each objective, its value beside it."""
    y = np.arange(len(STEP_MS))[::-1]
    for k, name in zip(y, STEP_MS):
        ax.plot(values[name], k, "o", color=COLORS[name], ms=6)
        ax.text(values[name] * 1.35, k, f"{values[name]:.3g}", va="center", fontsize=7)
    ax.hlines(y, 0, 1, transform=ax.get_yaxis_transform(), color=c.GREY, lw=0.4, ls=":", zorder=0)
    ax.set(title=title, xlabel=xlabel, xscale="log", yticks=y)
    ax.set_yticklabels(STEP_MS)
    ax.margins(x=0.25)


def draw(m):
    fig = Figure(figsize=(8, 2.9), layout="constrained")
    left, middle, right = fig.subplots(1, 3, width_ratios=[1, 1, 1.3])
    dots(left, m.ms, "a step costs", "milliseconds")
    dots(middle, {name: variance / m.variance["denoising"] for name, variance in m.variance.items()},
         "noise of the gradient", "variance over batches, denoising = 1")
    middle.set(yticklabels=[], xlim=(0.2, 900))
    for name, errors in m.errors.items():
        right.plot(SECONDS, errors, "o-", color=COLORS[name])
    for level, text, x in [(m.gaussian, "best linear score", 0.08), (m.kernels, "kernel score, h = σ", 0.4)]:
        right.axhline(level, color=c.GREY, ls="--", lw=1)
        right.text(x, 1.01 * level, text, ha="center", va="bottom", fontsize=7)
    right.set(title="held-out error at equal time", xlabel="seconds of training (colours as on the left)",
              ylabel="noise left, a pixel", xscale="log", yscale="log", ylim=(0.38, 1.1))
    right.minorticks_off()
    right.set_xticks(SECONDS, SECONDS)
    right.set_yticks([0.4, 0.5, 0.7, 1], [0.4, 0.5, 0.7, 1])
    return fig


def claims(m):
    """Bounds: a mean over probes or over ±z never has more variance than what it is the mean of, (NCSN.8): half as
    much under ±z were what is odd and what is even in z alike, and less as σ is small. The closed form (ISM.13) is
    an identity, to rounding in float32; what leaves less noise than the best linear score (DSM.11) has learned more
    than two moments, and none leaves less than half of it. That denoising comes first is the order that the caption
    states."""
    variance, final = m.variance, {name: errors[-1] for name, errors in m.errors.items()}
    noisier = lambda a, b, text, *numbers: (f"variance of the gradient: {a} over {b}{text}", variance[a] / variance[b],
                                            *numbers)
    return [
        c.claim(*noisier("denoising", "denoising, ±z", "", 1)),
        c.claim(*noisier("SSM-VR", "ISM, closed form", ", its mean over probes", 1, 2)),
        c.claim(*noisier("SSM", "SSM-VR", ", which leaves the norm whole", 10)),
        c.claim(*noisier("ISM, 64 directions", "ISM, closed form", "", 0.999, 1.001)),
        c.claim(*noisier("denoising", "explicit", ", its mean given x̃", 0.9, 1.1)),
        *[c.claim(f"{name}: held-out error after 0.8 s, over the best linear score", final[name] / m.gaussian, 0.5, 1)
          for name in ("explicit", "ISM, closed form", "SSM-VR", "denoising", "denoising, ±z")],
        c.claim("held-out error after 0.8 s: denoising over the least of explicit, ISM and SSM",
                final["denoising"] / min(final[name] for name in STEP_MS if "denoising" not in name), 0.5, 1),
        *[c.measured(f"{name}: held-out error after 0.8 s, over the best linear score", final[name] / m.gaussian)
          for name in ("ISM, 64 directions", "SSM")],
        c.measured("exact score of the noisy training set: the same", m.kernels / m.gaussian),
        *[c.measured(f"{name}: milliseconds a step, network and loss alone", ms) for name, ms in m.ms.items()],
    ]
