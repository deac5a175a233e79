"""Where the implicit objective fails: an energy of ReLUs, and data with a boundary.

Above: the score of a piecewise linear energy is piecewise constant, so the trace in the objective is zero at
every point, and what is left, ½ E‖s‖², is least at no score at all. With SiLU in the place of ReLU, and all
else the same, minus the energy becomes the log-density up to a constant (removed here), wherever there
are data.

Below: positive data, one part gamma, one exponential, whose density is not 0 where x₂ is. Integration by parts
leaves out the boundary, and the loss runs off, by a spike of the score there. The weighted loss with g = x learns
the true score, (2/x₁ − 1, −1), from the same points. Last, the Gaussian that fits N(½, 1) cut at 0 best.

Source: Hyvärinen 2005, theorem 1, which asks for a differentiable score; (ISM.11). 2007, for positive data; (ISM.10),
(ISM.17).
Settings: 100,000 points of the mixture; 2-32-32-1 energy networks, 300 Adam steps of 256, rate 0.02. Below: gamma
of shape 3, 200,000 points; 2-32-32-2 networks, 800 steps of 256, rate 0.02; 100,000 points of the cut Gaussian.
"""

from types import SimpleNamespace

import numpy as np
from autograd import grad
from matplotlib.colors import Normalize

import scoremin as sm

from . import common as c

BOX = 5.0
LOSSES = {"implicit loss": sm.implicit_loss, "weighted, g = x": lambda s, x: sm.generalised_loss(s, x, lambda x: x)}


def train(network, rng, budget, progress, label):
    """An energy in float32; network is EnergyMLP or relu_energy."""
    loss = lambda energy, x, rng: sm.implicit_loss(sm.energy_score(energy), x)
    params, data = c.init(rng, 2, 32, 32, 1), c.MIXTURE.sample(rng, c.scaled(100_000, budget, 100))
    return c.train(loss, network, params, data, rng, budget, progress, steps=300, learning_rate=2e-2, label=label)


def log_density(energy, x):
    """−E as a function, with the constant for which its mean over x is that of log p."""
    constant = np.mean(c.MIXTURE.log_density(x) + energy(x))
    return lambda x: constant - energy(x)


def positive(rng, n):
    """Gamma of shape 3 beside exponential, (n,2)."""
    return np.stack([rng.gamma(3, size=n), rng.exponential(size=n)], axis=1)


def positive_score(x):
    """Their score."""
    return np.stack([2 / x[:, 0] - 1, -np.ones(len(x))], axis=1)


def bounded(loss, rng, budget, progress, label):
    """The network trained by this loss on positive data, and the loss of each step."""
    return c.trained(lambda score, x, rng: loss(score, x), sm.MLP, c.init(rng, 2, 32, 32, 2),
                     positive(rng, c.scaled(200_000, budget)), rng, budget, progress, steps=800, learning_rate=2e-2,
                     label=label)


def line(loss, x):
    """Mean and precision of the Gaussian of the least loss on x (n,1), quadratic in (b, a), s = b − ax."""
    slope = grad(lambda theta: loss(lambda x: theta[0] - theta[1] * x, x))
    at_0, H = slope(np.zeros(2)), np.array([slope(e) for e in np.eye(2)])
    b, a = -np.linalg.solve(H - at_0, at_0)
    return np.array([b / a, a])


def measure_boundary(rng, budget, progress):
    fresh, cut = positive(rng, c.scaled(20_000, budget)), rng.normal(0.5, 1, (c.scaled(150_000, budget), 1))
    cut = cut[cut[:, 0] > 0]
    cut = cut[:len(cut) // 50 * 50]
    found = {name: bounded(loss, rng, budget, progress, name) for name, loss in LOSSES.items()}
    score = found["weighted, g = x"][0]
    gs, tr = sm.divergence(lambda x: x * score(x), fresh)
    fits = {name: (line(loss, cut), np.std([line(loss, x) for x in cut.reshape(50, -1, 1)], axis=0) / 50**0.5)
            for name, loss in LOSSES.items()}
    return SimpleNamespace(found=found, fresh=fresh, s=score(fresh), terms=np.sum(gs**2 / fresh, axis=1) / 2 + tr,
                           runs=sm.implicit_loss(found["implicit loss"][0], fresh), fits=fits)


def measure(stream, budget, progress):
    rng = stream()
    x = c.MIXTURE.sample(rng, 4000).astype(np.float32)
    smooth, flat = (train(network, rng, budget, progress, label)
                    for network, label in ((sm.EnergyMLP, "SiLU"), (c.relu_energy, "ReLU")))
    functions = c.MIXTURE.log_density, log_density(smooth, x), log_density(flat, x)
    truth, silu, relu = (function(x) for function in functions)
    trace = sm.divergence(sm.energy_score(flat), x)[1]                       # (N,)
    return SimpleNamespace(functions=functions, truth=truth, silu=silu, relu=relu, trace=trace,
                           boundary=measure_boundary(stream("boundary"), budget, progress))


def draw_against_truth(ax, m):
    """The models' log-densities at fresh data against the true ones."""
    ax.plot([-12, -2], [-12, -2], color=c.DARK, linewidth=0.8)
    ax.plot(m.truth, m.silu, ".", color=c.BLUE, label="SiLU", markersize=1.5)
    ax.plot(m.truth, m.relu, ".", color=c.RED, label="ReLU", markersize=1.5)
    ticks = [-12, -9, -6, -3]
    ax.set(title="at fresh data", xlabel=r"$\log p$", ylabel="$-E$", aspect="equal", xlim=(-12, -2), ylim=(-12, -2),
           xticks=ticks, yticks=ticks)
    ax.legend(loc="lower right", markerscale=5)


def draw_boundary(axes, m):
    """Training, the two parts of the score, each along its axis, and the score of the cut Gaussian."""
    x = np.linspace(0.02, 6, 300)
    for (name, (score, losses)), color in zip(m.found.items(), (c.RED, c.BLUE)):
        c.draw_training(axes[0], losses, color, name)
        axes[1].plot(x, score(np.stack([2 + 0 * x, x], axis=1).astype(np.float32))[:, 1], color=color)
        axes[2].plot(x, score(np.stack([x, 1 + 0 * x], axis=1).astype(np.float32))[:, 0], color=color)
        mean, precision = m.fits[name][0]
        axes[3].plot(x / 2, -precision * (x / 2 - mean), color=color)
    axes[0].axhline(-1, color=c.DARK, ls=":", label="least by theory")
    for ax, true in zip(axes[1:], (-1 + 0 * x, 2 / x - 1, 0.5 - x)):
        ax.plot(x, true, ":", color=c.DARK, label="truth")
        ax.legend(loc="upper right", handlelength=1.2)
    axes[0].set_yscale("symlog", linthresh=1)
    axes[0].set(title="positive data", xlabel="steps", ylabel="loss", ylim=(-1000, 100), yticks=[-100, -10, -1, 0, 1])
    axes[0].legend(loc="upper right", handlelength=1.2)
    axes[0].minorticks_off()
    axes[1].set(title="$s_2$, exponential", xlabel="$x_2$", xlim=(0, 3), ylim=(-6, 3))
    axes[2].set(title="$s_1$, gamma", xlabel="$x_1$", xlim=(0, 6), ylim=(-3, 9))
    axes[3].set(title="N(½, 1) cut at 0", xlabel="$x$", xlim=(0, 3), ylim=(-4, 4))


def draw(m):
    """Log-densities on one scale, and against each other; below, what a boundary does."""
    fig, (axes, below) = c.rows([4, 4], [2.1, 2.1])
    draw_boundary(below, m.boundary)
    titles, bars = (r"truth, $\log p$", "SiLU, $-E$", "ReLU, $-E$"), ("", "", "log-density")
    for ax, function, title, bar in zip(axes, m.functions, titles, bars):
        c.plane(ax, title, BOX, labels=False)
        ax.set(xlabel="$x_1$")
        c.draw_map(fig, ax, function, BOX, bar, norm=Normalize(-12, -2))
    axes[0].set(ylabel="$x_2$")
    draw_against_truth(axes[3], m)
    return fig


def boundary_claims(m):
    """By theory ½ E‖√g ∘ ∇log p‖² is 1 for both, g = 1 and g = x. The weighted loss is above −1 by its error, five
    standard errors to both sides, and a tenth is left to training; a loss ten times below what theory calls the least
    has run off. The exact limits of the Gaussian's fits are 1.009, 2.057 and, with g = x, those of the data, .5, 1:
    five standard errors, from 50 blocks."""
    error = np.sum(m.fresh * (m.s - positive_score(m.fresh))**2, axis=1) / 2
    apart = m.terms + np.sum(m.fresh * positive_score(m.fresh)**2, axis=1) / 2 - error
    five = 5 * apart.std() / len(apart)**0.5
    limits = {"implicit loss": (1.009, 2.057), "weighted, g = x": (0.5, 1.0)}
    return [
        c.claim("positive data, implicit loss: fresh loss, where theory without a boundary has −1 as the least", m.runs,
                None, -10),
        c.claim("positive data, weighted: fresh loss above the least, minus the error ½ E‖√g ∘ (s − ∇log p)‖²",
                apart.mean(), -five, five),
        c.claim("positive data, weighted: that error over ½ E‖√g ∘ ∇log p‖²", error.mean(), 0, 0.1),
        *[c.claim(f"N(½, 1) cut at 0, {name}: {what}", value, limit - 5 * se, limit + 5 * se)
          for name, fit in m.fits.items()
          for what, limit, value, se in zip(("mean", "precision"), limits[name], *fit)],
    ]


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
        *boundary_claims(m.boundary),
    ]
