"""An energy of ReLUs has no trace to learn from, and the implicit objective makes it flat.

The score of a piecewise linear energy is piecewise constant, so the trace in the objective is zero at
every point, and what is left, ½ E‖s‖², is least at no score at all. With SiLU in the place of ReLU, and all
else the same, minus the energy becomes the log-density up to a constant (removed here), wherever there
are data.

Source: Hyvärinen 2005, theorem 1, which asks for a differentiable score; (ISM.11).
Settings: 100,000 points of the mixture; 2-32-32-1 energy networks, 400 Adam steps of 256, rate 0.02.
"""

from types import SimpleNamespace

import numpy as np
from matplotlib.colors import Normalize

import scoremin as sm

from . import common as c

BOX = 5.0


def train(network, rng, budget, progress, label):
    """An energy in float32; network is EnergyMLP or relu_energy."""
    loss = lambda energy, x, rng: sm.implicit_loss(sm.energy_score(energy), x)
    params, data = c.init(rng, 2, 32, 32, 1), c.MIXTURE.sample(rng, c.scaled(100_000, budget, 100))
    return c.train(loss, network, params, data, rng, budget, progress, steps=400, learning_rate=2e-2, label=label)


def log_density(energy, x):
    """−E as a function, with the constant for which its mean over x is that of log p."""
    constant = np.mean(c.MIXTURE.log_density(x) + energy(x))
    return lambda x: constant - energy(x)


def measure(stream, budget, progress):
    rng = stream()
    x = c.MIXTURE.sample(rng, 4000).astype(np.float32)
    smooth, flat = (train(network, rng, budget, progress, label)
                    for network, label in ((sm.EnergyMLP, "SiLU"), (c.relu_energy, "ReLU")))
    functions = c.MIXTURE.log_density, log_density(smooth, x), log_density(flat, x)
    truth, silu, relu = (function(x) for function in functions)
    trace = sm.divergence(sm.energy_score(flat), x)[1]                       # (N,)
    return SimpleNamespace(functions=functions, truth=truth, silu=silu, relu=relu, trace=trace)


def draw_against_truth(ax, m):
    """The models' log-densities at fresh data against the true ones."""
    ax.plot([-12, -2], [-12, -2], color=c.DARK, linewidth=0.8)
    ax.plot(m.truth, m.silu, ".", color=c.BLUE, label="SiLU", markersize=1.5)
    ax.plot(m.truth, m.relu, ".", color=c.RED, label="ReLU", markersize=1.5)
    ticks = [-12, -9, -6, -3]
    ax.set(title="at fresh data", xlabel=r"$\log p$", ylabel="$-E$", aspect="equal", xlim=(-12, -2), ylim=(-12, -2),
           xticks=ticks, yticks=ticks)
    ax.legend(loc="lower right", markerscale=5)


def draw(m):
    """Log-densities on one scale, and against each other."""
    fig, axes = c.canvas(1, 4, 2.0)
    titles, bars = (r"truth, $\log p$", "SiLU, $-E$", "ReLU, $-E$"), ("", "", "log-density")
    for ax, function, title, bar in zip(axes, m.functions, titles, bars):
        c.plane(ax, title, BOX, labels=False)
        ax.set(xlabel="$x_1$")
        c.draw_map(fig, ax, function, BOX, bar, norm=Normalize(-12, -2))
    axes[0].set(ylabel="$x_2$")
    draw_against_truth(axes[3], m)
    return fig


def claims(m):
    """The first two bounds are one: an error of a fifth of the spread of log p, which is about 1, leaves 4 % of its
    variance unexplained, and 1 − 0.98² = 4 %. The error of a flat density is the whole spread, 1."""
    spread = np.std(m.truth)
    return [
        c.claim("SiLU: correlation of −E with log p at fresh data", np.corrcoef(m.silu, m.truth)[0, 1], 0.98, 1),
        c.claim("SiLU: root-mean-square error of −E, constant removed, in standard deviations of log p",
                np.std(m.silu - m.truth) / spread, 0, 0.2),
        c.claim("ReLU: the same", np.std(m.relu - m.truth) / spread, 0.98, 1.02),
        c.claim("ReLU: standard deviation of −E over that of log p", np.std(m.relu) / spread, 0, 0.02),
        c.claim("ReLU: largest |tr ∂s/∂x| at fresh data", np.max(np.abs(m.trace)), 0, 0),
        c.measured("standard deviation of log p at fresh data", spread),
    ]
