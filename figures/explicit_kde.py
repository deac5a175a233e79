"""A network fitted to the scores of a kernel density estimate is nearer to the truth than the estimate.

A narrow kernel hardly blurs the density, but its score leaps from one data point to the next. The network is
fitted to these noisy values at the data, each point leaving itself out; it cannot follow the leaps, so it
averages them. (At the data: denoising with σ = h asks for the same values at points drawn from the estimate,
and is another objective.) Fitted at one bandwidth, it is nearer to the truth than the estimate is at any, where
less noise costs more blur (lower right; the dashed line is the error of blur alone, what remains of the
estimate's with endless data). Neither is right where there are few data. Arrows are cut to length 6.

Source: Hyvärinen 2005, equation 2, with the score of Parzen's estimate for the unknown one.
Settings: 10,000 points of the mixture; bandwidth 0.2; 2-32-32-2 network, 3,000 Adam steps of 256, rate 0.001.
"""

from functools import partial
from types import SimpleNamespace

import numpy as np
from matplotlib.colors import LogNorm

import scoremin as sm

from . import common as c

H, BOX = 0.2, 5.0
BANDWIDTHS = np.geomspace(0.15, 0.6, 7).tolist()


def measure(stream, budget, progress):
    rng = stream()
    data = c.MIXTURE.sample(rng, c.scaled(10_000, budget, 100)).astype(np.float32)
    rows = np.hstack([data, sm.kde_score(data, data, H, leave_one_out=True)])  # x and its target, (n,4)  (ESM.6)
    model = c.train(c.explicit, sm.MLP, c.init(rng, 2, 32, 32, 2), rows, rng, budget, progress, steps=3000)
    x = c.MIXTURE.sample(rng, 2000).astype(np.float32)
    kde = lambda x, h=H: c.kernel_score(x.astype(np.float32), data, h)
    relative = lambda score: float(sm.relative_error(score, c.MIXTURE.score, x))
    return SimpleNamespace(
        data=data, x=x, model=model, kde=kde, model_error=relative(model), kde_error=relative(kde),
        kde_errors=[relative(partial(kde, h=h)) for h in progress(BANDWIDTHS, "bandwidths")],
        blur=[relative(c.MIXTURE.smoothed(h).score) for h in BANDWIDTHS])


def draw_errors(ax, m):
    """Relative errors on the points x against the bandwidth."""
    ax.loglog(BANDWIDTHS, m.kde_errors, "o-", color=c.RED, label="KDE")
    ax.loglog(BANDWIDTHS, m.blur, "--", color=c.GREY, label="blur alone")
    ax.loglog(H, m.model_error, "D", color=c.BLUE, label="network", markersize=6)
    ax.set(title="error against bandwidth", xlabel="bandwidth $h$", ylabel="relative error", ylim=(1e-3, 2))
    ax.set_xticks([0.15, 0.2, 0.3, 0.4, 0.6], ["0.15", "0.2", "0.3", "0.4", "0.6"])
    ax.minorticks_off()
    ax.legend()


def draw(m):
    """Fields in the upper row, error maps in the lower."""
    fig, axes = c.canvas(2, 3, 4.8)
    c.draw_points(axes[0, 0], m.data, c.SKY, size=0.6)
    titles = ("data and true score", "KDE", "network"), ("error of the KDE", "error of the network")
    for ax, score, title in zip(axes[0], (c.MIXTURE.score, m.kde, m.model), titles[0]):
        c.plane(ax, title, BOX)
        c.draw_field(ax, score, BOX)
    for ax, score, title in zip(axes[1], (m.kde, m.model), titles[1]):
        c.plane(ax, title, BOX)
        c.draw_map(fig, ax, partial(c.error, score, c.MIXTURE.score), BOX, r"$\|s-\nabla\log p\|$", n=81,
                   norm=LogNorm(0.03, 30))
    draw_errors(axes[1, 2], m)
    return fig


def low_over_high(score, x):
    """Mean error at the 5 % of the points x where the density is lowest, over that above its median."""
    size, density = c.error(score, c.MIXTURE.score, x), c.MIXTURE.log_density(x)
    return np.mean(size[density < np.quantile(density, 0.05)]) / np.mean(size[density > np.median(density)])


def claims(m):
    return [
        c.claim("relative error of the network over that of the KDE it was fitted to, on fresh points",
                m.model_error / m.kde_error, 0, 1),
        c.claim("the same over that of the KDE at the best of 7 bandwidths", m.model_error / min(m.kde_errors), 0, 1),
        c.measured("relative error of the network", m.model_error),
        c.claim("mean error of the network where density is lowest (5 % of the data) over that above its median",
                low_over_high(m.model, m.x), 3),
        c.measured("the same ratio of the true score's own size", low_over_high(np.zeros_like, m.x)),
    ]
