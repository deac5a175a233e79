"""What a training step costs as the dimension d of the data grows: only the trace by directions pays for d.

Left: time of one step, value and gradient. Right: network passes in the loss, counted; a directional
derivative, or the trace in closed form, counts as one more. The exact trace by d directional derivatives makes
(1 + d)/2 times the passes of sliced score matching with its one random direction, and takes longer still once d
tangents at a time outgrow the cache. For two hidden layers the trace has a closed form, one matrix product more
than a pass whatever d is, and no longer costs more than a random estimate of it. All else grows only with the
first and the last layer. Times are those of the machine that drew this picture, the only one of all that
differs from run to run.

Source: equation JVP.2 of scoremin/derivatives.py, BP.7 of scoremin/backprop.py; Song et al. 2019 (sliced),
Onken et al. 2021 (exact trace at the cost of an estimate).
Settings: two hidden layers of 128, batches of 256, float32, data N(0, I); medians of interleaved repetitions.
"""

from functools import partial
from statistics import median
from time import perf_counter

import numpy as np
from autograd import value_and_grad

from scoremin import MLP, denoising_loss, explicit_loss, implicit_loss, init_mlp, probes, sliced_vr_loss

from .common import BLUE, DARK, GREEN, ORANGE, PURPLE, Claim, canvas, normal, passes, save, scaled, stream

DIMENSIONS = [2, 4, 8, 16, 32, 64, 128]
EXACT, CLOSED = "implicit, d directions", "implicit, closed form"
STYLE = {EXACT: (ORANGE, "s", 4), CLOSED: (PURPLE, "D", 7), "sliced": (GREEN, "^", 4), "explicit": (DARK, "v", 7),
         "denoising": (BLUE, "o", 4)}


def by_directions(score):
    """The same score function, but one that does not know its own divergence."""
    def other(x):
        return score(x)

    other.jvp = score.jvp
    return other


def objectives(rng, d):
    """The losses as functions of the score alone, on one batch of N(0, I) in d dimensions."""
    x = rng.standard_normal((256, d), np.float32)
    z, v = normal(rng, x), probes(rng, "rademacher", x.shape, np.float32)
    return {
        EXACT: lambda score: implicit_loss(by_directions(score), x),
        CLOSED: lambda score: implicit_loss(score, x),
        "sliced": lambda score: sliced_vr_loss(score, x, v),
        "explicit": lambda score: explicit_loss(score, x, -x),
        "denoising": lambda score: denoising_loss(score, x, z, 0.3),
    }


def seconds(steps, repetitions, progress):
    """Median time of each step; they take turns, so that all see the same machine. Three turns for the slow ones."""
    times = {key: [] for key in steps}
    for i in progress(range(repetitions), "repetitions"):
        for (name, d), step in steps.items():
            if i < 3 or name != EXACT:
                start = perf_counter()
                step()
                times[name, d].append(perf_counter() - start)
    return {key: median(t) for key, t in times.items()}


def measure(rng, dimensions, repetitions, progress):
    """Seconds and passes of each objective, {name: [one for each dimension]}."""
    steps, count = {}, {name: [] for name in STYLE}
    for d in dimensions:
        params = init_mlp(rng, [d, 128, 128, d], np.float32)
        for name, loss in objectives(rng, d).items():
            gradient = value_and_grad(lambda params, loss=loss: loss(MLP(params)))
            steps[name, d] = partial(gradient, params)
            count[name].append(passes(loss, MLP(params)))
    clock = seconds(steps, repetitions, progress)
    return {name: [clock[name, d] for d in dimensions] for name in STYLE}, count


def draw(ax, values, dimensions):
    for name, y in values.items():
        color, marker, size = STYLE[name]
        ax.plot(dimensions, y, marker=marker, color=color, ms=size, mfc="none" if size > 4 else color, label=name)
    ax.set(xscale="log", yscale="log", xlabel="dimension d", xticks=dimensions, xticklabels=dimensions)
    ax.minorticks_off()


def main(seed, budget, out, progress):
    dimensions = [d for d in DIMENSIONS if d <= max(8, 128 * budget)]
    clock, count = measure(stream(seed, "cost_vs_dimension"), dimensions, scaled(25, budget, 3), progress)

    fig, (left, right) = canvas(1, 2, 2.9)
    draw(left, {name: 1e3 * np.array(t) for name, t in clock.items()}, dimensions)
    left.set(title="time of one step", ylabel="milliseconds")
    left.legend()
    draw(right, count, dimensions)
    right.set(title="network passes in the loss", ylabel="passes")
    save(fig, out)
    return claims(clock, count, dimensions)


def claims(clock, count, dimensions):
    """Bounds: passes as (JVP.1) and (JVP.2) say. From d = 2 to 128 their number by directions grows 43 times, to 64.5
    times that of sliced, and the multiplications of a pass, 128 (128 + 2d) a row, grow 2.9 times; the bounds on times
    leave a factor of 1.5 or more. At d = 128 the closed form makes 14, sliced 18 products of the size of the middle
    layer, backward included."""
    predicted = {EXACT: 1 + np.array(dimensions), CLOSED: 2, "sliced": 2, "explicit": 1, "denoising": 1}
    off = max(np.abs(np.array(count[name]) - n).max() for name, n in predicted.items())
    growth = {name: float(t[-1] / t[0]) for name, t in clock.items()}
    return [
        Claim("network passes, largest difference from 1 + d (implicit by directions), 2 (closed form, sliced), "
              "1 (explicit, denoising)", float(off), 0, 0),
        Claim(f"seconds a step, {EXACT}: d = 128 over d = 2", growth[EXACT], 43 / 2, None),
        Claim(f"seconds a step at d = 128: {EXACT} over sliced", float(clock[EXACT][-1] / clock["sliced"][-1]),
              64.5 / 1.5, None),
        Claim(f"seconds a step at d = 128: {CLOSED} over sliced", float(clock[CLOSED][-1] / clock["sliced"][-1]),
              None, 1.5),
    ] + [Claim(f"seconds a step, {name}: d = 128 over d = 2", growth[name], None, 3 * 2.9)
         for name in clock if name != EXACT]
