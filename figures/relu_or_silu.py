"""An energy of ReLUs has no trace to learn from, and the implicit objective makes it flat.

The score of a piecewise linear energy is piecewise constant, so the trace in the objective is zero at
every point, and what is left, ½ E‖s‖², is least at no score at all. With SiLU in the place of ReLU, and all
else the same, minus the energy becomes the log-density up to a constant (removed here), wherever there
are data.

Source: Hyvärinen 2005, theorem 1, which asks for a differentiable score; (ISM.11).
Settings: 100,000 points of the mixture; 2-32-32-1 energy networks, 800 Adam steps of 256, rate 0.01.
"""

from functools import partial

import numpy as np
from matplotlib.colors import Normalize

from scoremin import EnergyMLP, divergence, energy_score, fit, implicit_loss, init_mlp

from .common import BLUE, DARK, MIXTURE, RED, Claim, canvas, draw_map, plane, relu_energy, save, scaled, stream

BOX = 5.0


def train(network, rng, budget, progress):
    """An energy in float32; network is EnergyMLP or relu_energy."""
    loss = lambda params, x, rng: implicit_loss(energy_score(network(params)), x)
    params, data = init_mlp(rng, [2, 32, 32, 1], np.float32), MIXTURE.sample(rng, scaled(100_000, budget, 100))
    params, _ = fit(loss, params, data, steps=scaled(800, budget), learning_rate=1e-2, rng=rng, progress=progress)
    return network(params)


def log_density(energy, x):
    """−E as a function, with the constant for which its mean over x is that of log p."""
    constant = np.mean(MIXTURE.log_density(x) + energy(x))
    return lambda x: constant - energy(x)


def draw_maps(fig, axes, functions):
    """Log-densities on one scale."""
    titles, bars = (r"truth, $\log p$", "SiLU, $-E$", "ReLU, $-E$"), ("", "", "log-density")
    for ax, function, title, bar in zip(axes, functions, titles, bars):
        plane(ax, title, BOX, labels=False)
        ax.set(xlabel="$x_1$")
        draw_map(fig, ax, function, BOX, bar, norm=Normalize(-12, -2))
    axes[0].set(ylabel="$x_2$")


def draw_against_truth(ax, truth, silu, relu):
    """The models' log-densities at fresh data against the true ones."""
    ax.plot([-12, -2], [-12, -2], color=DARK, linewidth=0.8)
    ax.plot(truth, silu, ".", color=BLUE, label="SiLU", markersize=1.5)
    ax.plot(truth, relu, ".", color=RED, label="ReLU", markersize=1.5)
    ticks = [-12, -9, -6, -3]
    ax.set(title="at fresh data", xlabel=r"$\log p$", ylabel="$-E$", aspect="equal", xlim=(-12, -2), ylim=(-12, -2),
           xticks=ticks, yticks=ticks)
    ax.legend(loc="lower right", markerscale=5)


def claims(truth, silu, relu, trace):
    """What the log-densities at fresh data, and the ReLU energy's trace there, must show."""
    # The first two bounds are one: an error of a fifth of the spread of log p, which is about 1, leaves 4 %
    # of its variance unexplained, and 1 − 0.98² = 4 %. The error of a flat density is the whole spread, 1.
    return [
        Claim("SiLU: correlation of −E with log p at fresh data", float(np.corrcoef(silu, truth)[0, 1]), 0.98, 1),
        Claim("SiLU: root-mean-square error of −E, constant removed, in standard deviations of log p",
              float(np.std(silu - truth) / np.std(truth)), 0, 0.2),
        Claim("ReLU: the same", float(np.std(relu - truth) / np.std(truth)), 0.98, 1.02),
        Claim("ReLU: standard deviation of −E over that of log p", float(np.std(relu) / np.std(truth)), 0, 0.02),
        Claim("ReLU: largest |tr ∂s/∂x| at fresh data", float(np.max(np.abs(trace))), 0, 0),
        Claim("standard deviation of log p at fresh data", float(np.std(truth)), None, None),
    ]


def main(seed, budget, out, progress):
    rng = stream(seed, "relu_or_silu")
    x = MIXTURE.sample(rng, 4000).astype(np.float32)
    smooth = train(EnergyMLP, rng, budget, partial(progress, label="SiLU"))
    flat = train(relu_energy, rng, budget, partial(progress, label="ReLU"))
    trace = divergence(energy_score(flat), x)[1]                             # (N,)
    functions = MIXTURE.log_density, log_density(smooth, x), log_density(flat, x)
    truth, silu, relu = (function(x) for function in functions)

    fig, axes = canvas(1, 4, 2.0)
    draw_maps(fig, axes, functions)
    draw_against_truth(axes[3], truth, silu, relu)
    save(fig, out)
    return claims(truth, silu, relu, trace)
