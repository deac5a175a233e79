"""Langevin dynamics loses the weights of two separated modes; annealing nearly recovers them.

The exact score is given, so nothing here is the fault of a network. The score hardly depends on the weights:
those shown and ½, ½ have a Fisher divergence (ESM.1) of 1.2·10⁻¹¹ and a Kullback–Leibler divergence of 0.19.
And chains do not cross between the modes: Langevin dynamics keeps the half of its uniform start that lay nearer
to the minor mode, whose true weight is 0.2. Under wide noise the modes overlap and chains move freely; as the
noise shrinks, the share falls towards 0.2 and freezes just above it, where crossing stops. That remainder
belongs to the method and not to the draw: the dots are the chains, the lines their exact law, in bands of two
standard deviations for this number of chains. On the right noise is added to the data, so that a component's
deviation is √(1 + σ²) and not σ; this needs the smaller step, since 0.1 would give the first level a step of
1,000, where variance 101 allows less than 404 (LD.7).

Source: Song & Ermon 2019, figure 3.
Settings: weights 0.8 and 0.2, means ±(5, 5), identity covariance; 1,280 chains from U[−8, 8]²; Langevin
1,000 steps of 0.1; annealed 10 levels of 100 steps, deviation from 20 to 1, step 0.1; noise added, σ from
10 to 0.1, step 0.001.
"""

from types import SimpleNamespace

import numpy as np

import scoremin as sm

from . import common as c

WEIGHTS, MEANS, BOX = [0.8, 0.2], np.array([[5.0, 5.0], [-5.0, -5.0]]), 8.0
DIAGONAL = np.array([[50**0.5], [-(50**0.5)]])  # the means' coordinate along (1, 1)
# Noise levels, a component's deviation at level σ, step, steps a level. One level is plain Langevin dynamics.
CHAINS = {
    "Langevin": (c.RED, np.array([1.0]), lambda sigma: sigma, 0.1, 1000),
    "annealed": (c.GREEN, sm.geometric_sigmas(20, 1, 10), lambda sigma: sigma, 0.1, 100),
    "annealed, noise added": (c.PURPLE, sm.geometric_sigmas(10, 0.1, 10), lambda sigma: (1 + sigma**2)**0.5, 1e-3, 100),
}


def modes(deviation, means=MEANS, weights=WEIGHTS):
    """The mixture of round components, all of one standard deviation."""
    return sm.GaussianMixture(weights, means, [deviation**2 * np.eye(means.shape[1])] * 2)


def sample(start, chain, budget, rng, tick):
    """The chains' last points, and after each step the share of them nearest to the minor mode."""
    _, sigmas, deviation, step, n_steps = chain
    shares = []

    def record(i, x):
        tick(i, x)
        shares.append(sm.mode_weights(x, MEANS)[1])

    scores = {sigma: modes(deviation(sigma)).score for sigma in sigmas.tolist()}
    x = sm.annealed_langevin(lambda x, sigma: scores[sigma](x), start, sigmas, step, c.scaled(n_steps, budget, 5), rng,
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
        for _ in range(c.scaled(n_steps, budget, 5)):
            p = p @ kernel
            shares.append(np.sum(p[u[:, 0] < 0]))
    return np.array(shares)


def divergences():
    """Of the weights from ½ and ½, by quadrature along the diagonal: Fisher (ESM.1) and Kullback–Leibler."""
    u = np.linspace(-16, 16, 32_001)[:, None]
    true, even = modes(1, DIAGONAL), modes(1, DIAGONAL, [0.5, 0.5])
    p = np.exp(true.log_density(u)) * 1e-3                                   # times the width of a cell
    fisher = 0.5 * np.sum(p * (true.score(u) - even.score(u))[:, 0]**2)      # (ESM.1)
    return fisher, np.sum(p * (true.log_density(u) - even.log_density(u)))


def measure(stream, budget, progress):
    rng, n = stream(), c.scaled(1280, budget, 100)
    start, samples, shares = rng.uniform(-BOX, BOX, (n, 2)), {"true samples": modes(1).sample(rng, n)}, {}
    for name, chain in CHAINS.items():
        tick = c.ticker(progress, len(chain[1]) * c.scaled(chain[4], budget, 5), name)
        samples[name], shares[name] = sample(start, chain, budget, rng, tick)
    exact = {name: exact_shares(chain, budget) for name, chain in CHAINS.items()}
    return SimpleNamespace(n=n, samples=samples, shares=shares, exact=exact, divergences=divergences())


def binomial_deviation(share, n):
    """Standard deviation of the share among n independent chains."""
    return (share * (1 - share) / n)**0.5


def draw_shares(ax, m):
    """The minor mode's share against the step: chains as dots, the exact law as a line in a band."""
    ax.axhline(WEIGHTS[1], color=c.DARK, linewidth=0.8, linestyle="--", label="true weight")
    for name, exact in m.exact.items():
        steps, band, color = 1 + np.arange(len(exact)), 2 * binomial_deviation(exact, m.n), CHAINS[name][0]
        ax.plot(steps, exact, color=color, label=name)
        ax.fill_between(steps, exact - band, exact + band, color=color, alpha=0.2, linewidth=0)
        ax.plot(steps[24::25], m.shares[name][24::25], ".", color=color)
    ax.set(xlabel="step", ylabel="share of the minor mode", ylim=(0.1, 0.6))
    ax.legend(ncols=4, loc="upper right")


def draw(m):
    """Four samples with the minor mode's share in each, above a wide panel."""
    fig, (axes, wide) = c.rows([4, 1], [2.3, 2.1])
    c.draw_samples(axes, m.samples, [c.BLUE, *(chain[0] for chain in CHAINS.values())], BOX + 1, labels=False)
    for ax, x in zip(axes, m.samples.values()):
        ax.text(0.05, 0.95, f"minor mode\n{sm.mode_weights(x, MEANS)[1]:.3f}", transform=ax.transAxes, va="top",
                fontsize=8)
        ax.set(xlabel="$x_1$")
    axes[0].set(ylabel="$x_2$")
    draw_shares(wide, m)
    return fig


def claims(m):
    """The share is that of the exact law, to five binomial deviations after each step; that all steps of three chains,
    dozens of them independent, stay within one would be no chance. By that law, of the way from the start's ½ to 0.2
    the share goes less than a tenth without annealing and more than nine tenths with it.

    With r and r' the responsibilities of a mode under the two pairs of weights, (ESM.1) is 100 ∫ p (r − r')². Let t be
    the logarithm of N₁/N₂, x = e^t: then p (r − r')² = √(N₁N₂) · 0.45 x^{3/2}/((x + ¼)(x + 1)²), whose factor after
    √(N₁N₂) = e^−25 N(u; 0, 1) has the integral π/10 over t = 2√50 u; where it is large the normal density is nearly
    constant and below its value at 0. So (ESM.1) is ½√π e^−25, less about one part in two hundred. The other divergence
    is that of the weights alone, less overlap."""
    fisher, kl = m.divergences
    limit, alone = 0.5 * np.pi**0.5 * np.exp(-25), 0.8 * np.log(0.8 / 0.5) + 0.2 * np.log(0.2 / 0.5)
    off = [np.abs(m.shares[name] - exact) / binomial_deviation(exact, m.n) for name, exact in m.exact.items()]
    return [
        c.claim("Fisher divergence (ESM.1) of weights 0.8, 0.2 from ½, ½, by quadrature", fisher, 0.98 * limit, limit),
        c.claim("Kullback–Leibler divergence of the same, by quadrature", kl, alone - 1e-6, alone + 1e-6),
        c.claim("share of the minor mode after each step of any chain: farthest from the exact law, in deviations",
                np.concatenate(off).max(), 1, 5),
        *[c.measured(f"{name}: share of the minor mode at the end", shares[-1]) for name, shares in m.shares.items()],
        *[c.claim(f"{name}: the share in the exact law (the true weight is 0.2)", exact[-1],
                  *((0.47, 0.5) if name == "Langevin" else (0.2, 0.23))) for name, exact in m.exact.items()],
    ]
