"""What a training step costs as the dimension d of the data grows: only the trace by directions pays for d.

Left: time of one step, value and gradient. Right: network passes in the loss, counted; a directional
derivative, or the trace in closed form, counts as one more. The exact trace by d directional derivatives makes
(1 + d)/2 times the passes of sliced score matching with its one random direction, and takes longer still once d
tangents at a time outgrow the cache. For two hidden layers the trace has a closed form, one matrix product more
than a pass whatever d is, and no longer costs more than a random estimate of it. Finite differences
take two passes too, and save nothing where the network knows its derivatives. All else grows only with the
first and the last layer. Times are those of the machine that drew this
picture: like the other two figures of measured times, it differs from run to run.

Source: equation JVP.2 of scoremin/derivatives.py, BP.7 of scoremin/backprop.py; Song et al. 2019 (sliced),
Onken et al. 2021 (exact trace at the cost of an estimate).
Settings: two hidden layers of 128, batches of 256, float32, data N(0, I); least processor
time of interleaved repetitions.
"""

from functools import partial
from time import process_time
from types import SimpleNamespace

import numpy as np
from autograd import value_and_grad

import scoremin as sm

from . import common as c

DIMENSIONS = [2, 4, 8, 16, 32, 64, 128]
EXACT, CLOSED = "implicit, d directions", "implicit, closed form"
STYLE = {EXACT: (c.ORANGE, "s", 4), CLOSED: (c.PURPLE, "D", 7), "sliced": (c.GREEN, "^", 4),
         "finite differences": (c.SKY, "x", 4), "explicit": (c.DARK, "v", 7), "denoising": (c.BLUE, "o", 4)}


def by_directions(score):
    """The same score function, but one that does not know its own divergence: d directional derivatives make it."""
    other = lambda x: score(x)
    other.jvp = score.jvp
    return other


def objectives(rng, d):
    """The losses as functions of the score alone, on one batch of N(0, I) in d dimensions."""
    x = rng.standard_normal((256, d), np.float32)
    z, v = c.normal(rng, x), c.signs(rng, x)
    return {
        EXACT: lambda score: sm.implicit_loss(by_directions(score), x),
        CLOSED: lambda score: sm.implicit_loss(score, x),
        "sliced": lambda score: sm.sliced_vr_loss(score, x, v),
        "finite differences": lambda score: sm.finite_difference_loss(score, x, v, 0.005),
        "explicit": lambda score: sm.explicit_loss(score, x, -x),
        "denoising": lambda score: sm.denoising_loss(score, x, z, 0.3),
    }


def seconds(steps, repetitions, progress):
    """Least processor time of each step; all take turns, the slow ones three."""
    times = {key: [] for key in steps}
    for i in progress(range(repetitions), "repetitions"):
        for (name, d), step in steps.items():
            if i < 3 or name != EXACT:
                start = process_time()
                step()
                times[name, d].append(process_time() - start)
    return {key: min(t) for key, t in times.items()}


def measure(stream, budget, progress):
    """Seconds and passes of each objective, {name: [one for each dimension]}."""
    rng, steps, passes = stream(), {}, {name: [] for name in STYLE}
    dimensions = [d for d in DIMENSIONS if d <= max(8, 128 * budget)]
    for d in dimensions:
        params = c.init(rng, d, 128, 128, d)
        for name, loss in objectives(rng, d).items():
            gradient = value_and_grad(lambda params, loss=loss: loss(sm.MLP(params)))
            steps[name, d] = partial(gradient, params)
            passes[name].append(c.passes(loss, sm.MLP(params)))
    clock = seconds(steps, c.scaled(25, budget, 3), progress)
    clock = {name: np.array([clock[name, d] for d in dimensions]) for name in STYLE}
    return SimpleNamespace(dimensions=dimensions, clock=clock, passes=passes)


def draw_times(ax, m):
    for name, t in m.clock.items():
        color, marker, size = STYLE[name]
        ax.plot(m.dimensions, 1e3 * t, "--" if name == "explicit" else "-", marker=marker, color=color, ms=size,
                mfc="none" if size > 4 else color, label=name)
    ax.set(title="time of one step", ylabel="milliseconds")
    ax.legend()


def draw_passes(ax, m):
    """Objectives of equal passes share a line, and their names stand on it."""
    for count in dict.fromkeys(map(tuple, m.passes.values())):
        names = [name for name, n in m.passes.items() if tuple(n) == count]
        ax.plot(m.dimensions, count, "o-", color=STYLE[names[-1]][0])
        ax.annotate(" and ".join((", ".join(names[:-1]), names[-1])) if names[1:] else names[0],
                    (m.dimensions[-1], count[-1]), (0, 4), textcoords="offset points", ha="right", va="bottom",
                    fontsize=7.5)
    ax.set(title="network passes in the loss", ylabel="passes", ylim=(0.7, 2.5 * max(map(max, m.passes.values()))))


def draw(m):
    fig, axes = c.canvas(1, 2, 2.9)
    for ax, draw_panel in zip(axes, (draw_times, draw_passes)):
        draw_panel(ax, m)
        ax.set(xscale="log", yscale="log", xlabel="dimension d", xticks=m.dimensions, xticklabels=m.dimensions)
        ax.minorticks_off()
    return fig


def claims(m):
    """Bounds: passes as (JVP.1) and (JVP.2) say. From d = 2 to 128 their number by directions grows 43 times, to 64.5
    times that of sliced, and the multiplications of a pass, 128 (128 + 2d) a row, grow 2.9 times; the bounds on times
    leave a factor of 1.5 or more. At d = 128 the closed form makes 14, sliced 18 products of the size of the middle
    layer, backward included."""
    predicted = {EXACT: 1 + np.array(m.dimensions), CLOSED: 2, "sliced": 2, "finite differences": 2,
                 "explicit": 1, "denoising": 1}
    off = max(np.abs(np.array(m.passes[name]) - n).max() for name, n in predicted.items())
    growth, last = {name: t[-1] / t[0] for name, t in m.clock.items()}, {name: t[-1] for name, t in m.clock.items()}
    return [
        c.claim("network passes, largest difference from 1 + d (implicit by directions), 2 (closed form, sliced, "
                "finite differences), 1 (explicit, denoising)", off, 0, 0),
        c.claim(f"seconds a step, {EXACT}: d = 128 over d = 2", growth.pop(EXACT), 43 / 2),
        c.claim(f"seconds a step at d = 128: {EXACT} over sliced", last[EXACT] / last["sliced"], 64.5 / 1.5),
        c.claim(f"seconds a step at d = 128: {CLOSED} over sliced", last[CLOSED] / last["sliced"], high=1.5),
        c.measured("seconds a step at d = 2: finite differences over sliced", m.clock["finite differences"][0]
                   / m.clock["sliced"][0]),
        *[c.claim(f"seconds a step, {name}: d = 128 over d = 2", t, high=3 * 2.9) for name, t in growth.items()],
    ]
