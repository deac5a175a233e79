"""A network fitted to the scores of a kernel density estimate is nearer to the truth than the estimate.

A narrow kernel hardly blurs the density, but its score leaps from one data point to the next. The network is
fitted to these noisy values at the data, each point leaving itself out; it cannot follow the leaps, so it
averages them. (Denoising with σ = h is another objective: it asks for the score of the whole estimate, at points
drawn from it and with the kernel that each was drawn from; this fit asks at the data, and leaves the own kernel out.)
Fitted at one bandwidth, it is nearer to the truth than the estimate is at any, where less noise costs more blur (below;
the dashed line is the error of blur alone, what remains of the estimate's with endless data). Neither is right where
there are few data (lines: density at e^−½ and e^−2 of its maximum). Arrows are cut to length 6.

Source: Hyvärinen 2005, equation 2, with the score of Parzen's estimate for the unknown one.
Settings: 10,000 points of the mixture; bandwidth 0.2; 2-32-32-2 network, 3,000 Adam steps of 256, rate 0.001.
"""

from functools import partial
from types import SimpleNamespace

import numpy as np

import scoremin as sm

from . import common as c

H = 0.2
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
        n=len(data), x=x, model=model, kde=kde, model_error=relative(model), kde_error=relative(kde),
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
    """Fields over their errors, and the errors against the bandwidth."""
    fig, (fields, below) = c.rows([3, 1], [2.6, 2.1])
    c.draw_scores(fields, {"true score": c.MIXTURE.score, f"KDE, $h$ = {H}": m.kde, "network": m.model})
    draw_errors(below, m)
    return fig


def low_over_high(score, x):
    """Mean error at the 5 % of the points x where the density is lowest, over that above its median."""
    size, density = c.error(score, c.MIXTURE.score, x), c.MIXTURE.log_density(x)
    return np.mean(size[density < np.quantile(density, 0.05)]) / np.mean(size[density > np.median(density)])


def claims(m):
    """Bounds: the noise of the estimate falls as 1/h⁴, from about 1 at h = 0.15 to 1/256 at 0.6, some 3 % of the
    blur there, and rises at narrow h: the least error lies between. One number known from n points costs 1/n."""
    best, widest = np.argmin(m.kde_errors), m.kde_errors[-1] / m.blur[-1]
    return [
        c.claim("bandwidth of the KDE's least error: at neither end", BANDWIDTHS[best], BANDWIDTHS[1], BANDWIDTHS[-2]),
        c.claim("relative error of the KDE at the widest bandwidth over that of blur alone", widest, 0.9, 1.1),
        c.claim("relative error of the network, at most that of the KDE at its best bandwidth", m.model_error,
                1 / m.n, m.kde_errors[best]),
        c.claim("relative error of the KDE that it was fitted to, at least that at the best", m.kde_error,
                m.kde_errors[best], m.kde_errors[0]),
        c.claim("mean error of the network where density is lowest (5 % of the data) over that above its median, "
                "at least that ratio of the true score's own size", low_over_high(m.model, m.x),
                low_over_high(np.zeros_like, m.x)),
    ]
