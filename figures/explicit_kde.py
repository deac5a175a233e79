"""A network fitted to the scores of a kernel density estimate is nearer to the truth than the estimate.

A narrow kernel hardly blurs the density, but its score leaps from one data point to the next. The network
is fitted to these noisy values at the data, each point leaving itself out; it cannot follow the leaps, so
it averages them. Fitted at one bandwidth, it is nearer to the truth than the estimate is at any, where
less noise costs more blur (lower right; the dashed line is the error of blur alone, what remains of the
estimate's with endless data). Neither is right where there are few data. Arrows are cut to length 6.

Source: Hyvärinen 2005, equation 2, with the score of Parzen's estimate for the unknown one.
Settings: 10,000 points of the mixture; bandwidth 0.2; 2-32-32-2 network, 3,000 Adam steps of 256, rate 0.001.
"""

from functools import partial

import numpy as np
from matplotlib.colors import LogNorm

from scoremin import MLP, explicit_loss, fit, init_mlp, kde_score, relative_error

from .common import (
    BLUE,
    GREY,
    MIXTURE,
    RED,
    SKY,
    Claim,
    canvas,
    draw_field,
    draw_map,
    draw_points,
    error,
    plane,
    save,
    scaled,
    stream,
)

H, BOX = 0.2, 5.0
BANDWIDTHS = np.geomspace(0.15, 0.6, 7).tolist()


def train(rng, data, budget, progress):
    """The network fitted to the KDE's scores at the data, each without its own kernel (ESM.6)."""
    rows = np.hstack([data, kde_score(data, data, H, leave_one_out=True)])   # x and its target, (n,4)
    loss = lambda params, row, rng: explicit_loss(MLP(params), row[:, :2], row[:, 2:])
    params, _ = fit(loss, init_mlp(rng, [2, 32, 32, 2], np.float32), rows, steps=scaled(3000, budget), rng=rng,
                    progress=progress)
    return MLP(params)


def low_over_high(values, x):
    """Mean of values at the 5 % of the points where the density is lowest, over that above its median."""
    density = MIXTURE.log_density(x)
    return float(np.mean(values[density < np.quantile(density, 0.05)]) / np.mean(values[density > np.median(density)]))


def draw_fields(fig, axes, data, kde, model):
    """Fields in the upper row, error maps in the lower."""
    draw_points(axes[0, 0], data, SKY, size=0.6)
    for ax, score, title in zip(axes[0], (MIXTURE.score, kde, model), ("data and true score", "KDE", "network")):
        plane(ax, title, BOX)
        draw_field(ax, score, BOX)
    for ax, score, title in zip(axes[1], (kde, model), ("error of the KDE", "error of the network")):
        plane(ax, title, BOX)
        draw_map(fig, ax, partial(error, score, MIXTURE.score), BOX, r"$\|s-\nabla\log p\|$", norm=LogNorm(0.03, 30))


def draw_errors(ax, x, kde_errors, model_error):
    """Relative errors on the points x against the bandwidth."""
    blur = [relative_error(MIXTURE.smoothed(h).score, MIXTURE.score, x) for h in BANDWIDTHS]
    ax.loglog(BANDWIDTHS, kde_errors, "o-", color=RED, label="KDE")
    ax.loglog(BANDWIDTHS, blur, "--", color=GREY, label="blur alone")
    ax.loglog(H, model_error, "D", color=BLUE, label="network", markersize=6)
    ax.set(title="error against bandwidth", xlabel="bandwidth $h$", ylabel="relative error", ylim=(1e-3, 2))
    ax.set_xticks([0.15, 0.2, 0.3, 0.4, 0.6], ["0.15", "0.2", "0.3", "0.4", "0.6"])
    ax.minorticks_off()
    ax.legend()


def claims(model, x, model_error, kde_error, kde_errors):
    """What the errors on fresh points x must show; kde_error is at the model's own bandwidth."""
    return [
        Claim("relative error of the network over that of the KDE it was fitted to, on fresh points",
              model_error / kde_error, 0, 1),
        Claim("the same over that of the KDE at the best of 7 bandwidths", model_error / min(kde_errors), 0, 1),
        Claim("relative error of the network", model_error, None, None),
        Claim("mean error of the network where density is lowest (5 % of the data) over that above its median",
              low_over_high(error(model, MIXTURE.score, x), x), 3, None),
        Claim("the same ratio of the true score's own size", low_over_high(error(np.zeros_like, MIXTURE.score, x), x),
              None, None),
    ]


def main(seed, budget, out, progress):
    rng = stream(seed, "explicit_kde")
    data = MIXTURE.sample(rng, scaled(10_000, budget, 100)).astype(np.float32)
    model = train(rng, data, budget, partial(progress, label="training"))
    x = MIXTURE.sample(rng, 4000).astype(np.float32)
    kde = lambda x, h=H: kde_score(x.astype(np.float32), data, h)
    missed = lambda score: float(relative_error(score, MIXTURE.score, x))
    kde_errors = [missed(partial(kde, h=h)) for h in progress(BANDWIDTHS, "bandwidths")]

    fig, axes = canvas(2, 3, 4.8)
    draw_fields(fig, axes, data, kde, model)
    draw_errors(axes[1, 2], x, kde_errors, missed(model))
    save(fig, out)
    return claims(model, x, missed(model), missed(kde), kde_errors)
