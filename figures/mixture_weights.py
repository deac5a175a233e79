"""Langevin dynamics loses the weights of two separated modes; annealing nearly recovers them.

The exact score is given, so nothing here is the fault of a network. Near either mode the score hardly
depends on the weights, and chains do not cross between the modes: Langevin dynamics keeps the half of its
uniform start that lay nearer to the minor mode, whose true weight is 0.2. Under wide noise the modes
overlap and chains move freely; as the noise shrinks, the share falls towards 0.2 and freezes just above
it, where crossing stops. That remainder belongs to the method and not to the draw: the dots are the chains,
the lines their exact law, in bands of two standard deviations for this number of chains. On the right
noise is added to the data, so that a component's deviation is √(1 + σ²) and not σ; this needs the smaller
step, since 0.1 would give the first level a step of 1,000, where variance 101 allows less than 404 (LD.7).

Source: Song & Ermon 2019, figure 3.
Settings: weights 0.8 and 0.2, means ±(5, 5), identity covariance; 1,280 chains from U[−8, 8]²; Langevin
1,000 steps of 0.1; annealed 10 levels of 100 steps, deviation from 20 to 1, step 0.1; noise added, σ from
10 to 0.1, step 0.001.
"""

import numpy as np

from scoremin import GaussianMixture, annealed_langevin, geometric_sigmas, mode_weights

from .common import BLUE, DARK, GREEN, PURPLE, RED, Claim, draw_points, plane, rows, save, scaled, stream, ticker

WEIGHTS, MEANS, BOX = [0.8, 0.2], np.array([[5.0, 5.0], [-5.0, -5.0]]), 8.0
DIAGONAL = np.array([[50**0.5], [-(50**0.5)]])  # the means' coordinate along (1, 1)
# Noise levels, a component's deviation at level σ, step, steps a level. One level is plain Langevin dynamics.
CHAINS = {
    "Langevin": (RED, np.array([1.0]), lambda sigma: sigma, 0.1, 1000),
    "annealed": (GREEN, geometric_sigmas(20, 1, 10), lambda sigma: sigma, 0.1, 100),
    "annealed, noise added": (PURPLE, geometric_sigmas(10, 0.1, 10), lambda sigma: (1 + sigma**2)**0.5, 1e-3, 100),
}


def modes(deviation, means=MEANS):
    """The mixture of round components, all of one standard deviation."""
    return GaussianMixture(WEIGHTS, means, [deviation**2 * np.eye(means.shape[1])] * 2)


def sample(start, chain, budget, rng, tick):
    """The chains' last points, and after each step the share of them nearest to the minor mode."""
    _, sigmas, deviation, step, n_steps = chain
    shares = []

    def record(i, x):
        tick(i, x)
        shares.append(mode_weights(x, MEANS)[1])

    scores = {sigma: modes(deviation(sigma)).score for sigma in sigmas.tolist()}
    x = annealed_langevin(lambda x, sigma: scores[sigma](x), start, sigmas, step, scaled(n_steps, budget, 5), rng,
                          callback=record)
    return x, shares


def exact_shares(chain, budget):
    """The same shares in the limit of infinitely many chains.

    With both means on the diagonal and round components, the coordinate u along the diagonal is a Langevin
    dynamics of its own; in one dimension the law of a chain is a row of probabilities on a grid."""
    _, sigmas, deviation, step, n_steps = chain
    u = np.linspace(-90, 90, 801)[:, None]
    p, shares = np.maximum(0, BOX * 2**0.5 - np.abs(u[:, 0])), []            # U[−8, 8]² along the diagonal
    p /= np.sum(p)
    for sigma in sigmas:
        step_i = step * (sigma / sigmas[-1])**2
        centre = u + 0.5 * step_i * modes(deviation(sigma), DIAGONAL).score(u)
        kernel = np.exp(-(u[:, 0] - centre)**2 / (2 * step_i))
        kernel /= np.sum(kernel, axis=1, keepdims=True)
        for _ in range(scaled(n_steps, budget, 5)):
            p = p @ kernel
            shares.append(np.sum(p[u[:, 0] < 0]))
    return np.array(shares)


def draw_samples(ax, title, x, color):
    """One panel of points with the minor mode's share in it."""
    plane(ax, title, BOX + 1, labels=False)
    ax.set(xlabel="$x_1$")
    draw_points(ax, x, color)
    ax.text(0.05, 0.95, f"minor mode\n{mode_weights(x, MEANS)[1]:.3f}", transform=ax.transAxes, va="top", fontsize=8)


def binomial_deviation(share, n):
    """Standard deviation of the share among n independent chains."""
    return (share * (1 - share) / n)**0.5


def draw_shares(ax, name, color, shares, exact, n):
    """The minor mode's share against the step: n chains as dots, the exact law as a line in a band."""
    steps, band = 1 + np.arange(len(shares)), 2 * binomial_deviation(exact, n)
    ax.plot(steps, exact, color=color, label=name)
    ax.fill_between(steps, exact - band, exact + band, color=color, alpha=0.2, linewidth=0)
    ax.plot(steps[24::25], shares[24::25], ".", color=color)


def layout():
    """A figure of four panels above a wide one."""
    fig, (axes, wide) = rows([4, 1], [2.3, 2.1])
    axes[0].set(ylabel="$x_2$")
    wide.axhline(WEIGHTS[1], color=DARK, linewidth=0.8, linestyle="--", label="true weight")
    wide.set(xlabel="step", ylabel="share of the minor mode", ylim=(0.1, 0.6))
    return fig, axes, wide


def claims(name, shares, exact, n):
    """The last share, within five binomial deviations of the exact law, and that law's share."""
    share, spread = float(exact[-1]), float(5 * binomial_deviation(exact[-1], n))
    return [Claim(f"{name}: share of the minor mode, by the exact law ± 5 deviations", float(shares[-1]),
                  share - spread, share + spread),
            Claim(f"{name}: the share in the exact law (the true weight is 0.2)", share, None, None)]


def main(seed, budget, out, progress):
    rng, n = stream(seed, "mixture_weights"), scaled(1280, budget, 100)
    start, checked = rng.uniform(-BOX, BOX, (n, 2)), []
    fig, axes, wide = layout()
    draw_samples(axes[0], "true samples", modes(1).sample(rng, n), BLUE)
    for ax, (name, chain) in zip(axes[1:], CHAINS.items()):
        tick = ticker(progress, len(chain[1]) * scaled(chain[4], budget, 5), name)
        x, shares = sample(start, chain, budget, rng, tick)
        exact = exact_shares(chain, budget)
        draw_samples(ax, name, x, chain[0])
        draw_shares(wide, name, chain[0], shares, exact, n)
        checked += claims(name, shares, exact, n)
    wide.legend(ncols=4, loc="upper right")
    save(fig, out)
    return checked
