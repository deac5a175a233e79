"""The step of Langevin dynamics widens its samples by an exactly known amount, and at 4/a breaks it.

On a Gaussian of precision a, x ← x + step/2 s(x) + √step z has the stationary variance
1/(a(1 − step·a/4)): above that of the data, 1/a, twice it at step·a = 2, infinite at 4. Left: precisions
½, 1 and 2 share one curve; where the density is known, too, a step may be refused as Metropolis does, which leaves
no bias (MALA). Middle: the variance of chains on N(0, 1), dots, and its recursion, lines; at
step 4 it grows by 4 a step, beyond by a factor a step, until the sampler stops with an error. Right:
annealed dynamics on N(0, 1) follows its exact recursion. The wide levels reach the variance of their noisy
data, 1 + σ²; the fine ones step too little to lose the rest, and the run ends at 1.104, not at 1.

Source: equations LD.6, LD.7 and LD.10 of scoremin/langevin.py; Roberts & Tweedie 1996 (MALA).
Settings: exact scores. Left and middle: 10,000 chains, 150 steps on the left; MALA at a = 1 from
N(0, 4). Right: 40,000 chains from N(0, 1), σ from 10 to 0.01 in 10 levels, 100 steps each, step 2·10⁻⁵.
"""

from types import SimpleNamespace

import numpy as np

import scoremin as sm

from . import common as c

PRODUCTS = [0.1, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 3.8]             # step·a, left
PRECISIONS = {0.5: (c.ORANGE, "v"), 1.0: (c.BLUE, "o"), 2.0: (c.GREEN, "^")}
REFUSED = [0.5, 1.0, 2.0, 3.0]                                      # the steps of MALA
STEPS = {1.0: c.GREEN, 3.0: c.BLUE, 4.0: c.DARK, 4.2: c.ORANGE, 5.0: c.RED}  # middle
SIGMAS, STEP, STEPS_PER_LEVEL = sm.geometric_sigmas(10, 0.01, 10), 2e-5, 100


def recursion(steps, precisions):
    """The exact variance, from N(0, 1), before the first step and after each (LD.6), (LD.10)."""
    V = [1.0]
    for step, a in zip(steps, precisions):
        V.append((1 - step * a / 2)**2 * V[-1] + step)
    return np.array(V)


def chains(sampler, score, n, *args):
    """The variance about 0, the true mean, of n chains from N(0, 1): at the start and after each step."""
    x = args[-1].standard_normal((n, 1))
    V = [np.mean(x**2)]
    sampler(score, x, *args, callback=lambda i, x: V.append(np.mean(x**2)))
    return np.array(V)


def mala(density, score, x, step, n_steps, rng):
    """Langevin dynamics on x (N,d) whose steps from x to y are kept with the probability p(y)k(y → x)/p(x)k(x → y), at
    most 1, k the density of such a step: p is stationary, whatever the step. density is log p up to a constant."""
    log_k = lambda x, y: -np.sum((y - x - 0.5 * step * score(x))**2, axis=1) / (2 * step)
    for _ in range(n_steps):
        y = x + 0.5 * step * score(x) + step**0.5 * rng.standard_normal(x.shape)
        log_ratio = density(y) + log_k(y, x) - density(x) - log_k(x, y)
        x = np.where(np.log(rng.random(len(x))) < log_ratio, y.T, x.T).T
    return x


def steps_until_error(rng, n, step):
    """How many steps langevin completes before it raises FloatingPointError."""
    done = []
    try:
        sm.langevin(np.negative, rng.standard_normal((n, 1)), step, 2000, rng, callback=lambda i, x: done.append(i))
    except FloatingPointError:
        return len(done)
    return np.inf


def measure(stream, budget, progress):
    rng, n, n_steps = stream(), c.scaled(10_000, budget, 100), c.scaled(150, budget)
    stationary = [[a * chains(sm.langevin, lambda x, a=a: -a * x, n, t / a, n_steps, rng)[-1] for t in PRODUCTS]
                  for a in progress(PRECISIONS, "stationary variance")]
    log_p = lambda x: -0.5 * np.sum(x**2, axis=1)
    refused = [np.mean(mala(log_p, np.negative, 2 * rng.standard_normal((n, 1)), step, n_steps, rng)**2)
               for step in REFUSED]
    growth = [chains(sm.langevin, np.negative, n, step, 40, rng) for step in STEPS]
    annealed = chains(sm.annealed_langevin, lambda x, sigma: -x / (1 + sigma**2), 4 * n, SIGMAS, STEP,
                      STEPS_PER_LEVEL, rng)
    exact = recursion(np.repeat(STEP * SIGMAS**2 / SIGMAS[-1]**2, STEPS_PER_LEVEL),
                      np.repeat(1 / (1 + SIGMAS**2), STEPS_PER_LEVEL))
    return SimpleNamespace(n=n, stationary=np.array(stationary), refused=np.array(refused), growth=growth,
                           annealed=annealed, exact=exact, completed=steps_until_error(rng, n, 5.0))


def draw_stationary(ax, measured, refused):
    t = np.linspace(0, 3.93, 400)
    ax.plot(t, 1 / (1 - t / 4), color=c.DARK, zorder=0, label="theory, 1/(1 − step·a/4)")
    for (a, (color, marker)), V in zip(PRECISIONS.items(), measured):
        ax.plot(PRODUCTS, V, marker, color=color, mfc="none", ms=5, label=f"chains, a = {a:g}")
    ax.plot(REFUSED, refused, "s", color=c.RED, mfc="none", ms=4, label="steps refused (MALA)")
    ax.axvline(4, color=c.GREY, ls=":")
    ax.set(title="stationary variance", xlabel="step·a", ylabel="variance · a", yscale="log",
           xlim=(0, 4.2), ylim=(0.7, 100))
    ax.legend(loc="upper left")


def draw_growth(ax, paths):
    for (step, color), V in zip(STEPS.items(), paths):
        k = np.arange(len(V))
        ax.plot(k, recursion([step] * k[-1], [1] * k[-1]), color=color, zorder=0)
        ax.plot(k[::4], V[::4], "o", color=color, ms=3)
        end = min(k[-1], np.argmax(np.append(V, np.inf) > 1e5))      # where the curve leaves the panel
        ax.annotate(f"step {step:g}", (end, V[end]), xytext=(4, 0), textcoords="offset points", color=color,
                    fontsize=7.5, va="center")
    ax.set(title="variance after each step, a = 1", xlabel="steps done", ylabel="variance", yscale="log",
           xlim=(0, 52), ylim=(0.5, 1e6))


def draw_annealed(ax, V, exact):
    k = np.arange(len(V))
    ax.stairs(SIGMAS**2, k[::STEPS_PER_LEVEL], color=c.GREY, baseline=None, label="noisy data, σ²")
    ax.plot(k[1:], exact[1:] - 1, color=c.DARK, label="recursion (LD.10)")
    ax.plot(k[20::40], V[20::40] - 1, "o", color=c.BLUE, ms=3, label="chains")
    ax.set(title="annealed on N(0, 1)", xlabel="steps done", ylabel="variance − 1", yscale="log")
    ax.legend(loc="upper right")


def draw(m):
    fig, axes = c.canvas(1, 3, 2.7)
    draw_stationary(axes[0], m.stationary, m.refused)
    draw_growth(axes[1], m.growth)
    draw_annealed(axes[2], m.annealed, m.exact)
    return fig


def claims(m):
    """Bounds: the mean of n squares of a Gaussian of variance V has the standard error V √(2/n); five times that. So
    even chains are no chains: that all of 27 such are within one deviation has the probability 3·10⁻⁵, all of four
    within a tenth of one 4·10⁻⁵; the annealed steps hold some 35 independent ones. Steps of ½, 1, 2, 3 that are never
    refused have the variances 8/7, 4/3, 2 and 4."""
    deviation = lambda ratio, n=m.n: np.abs(ratio - 1).max() / np.sqrt(2 / n)
    growth = np.array([V / recursion([step] * 40, [1] * 40) for step, V in zip(STEPS, m.growth)])
    predicted = np.argmax(recursion([5.0] * 1000, [1.0] * 1000) > np.finfo(float).max / m.n) - 1
    off = "largest relative deviation from theory, in units of √(2/n)"
    return [
        c.claim(f"stationary variance: {off}", deviation(m.stationary * (1 - np.array(PRODUCTS) / 4)), 1, 5),
        c.claim(f"MALA at steps ½, 1, 2, 3, variance 1: {off}", deviation(m.refused), 0.1, 5),
        c.claim(f"variance after each step, steps 1 to 5: {off}", deviation(growth), 1, 5),
        c.claim("steps of size 5 before FloatingPointError, minus predicted", m.completed - predicted, -1, 1),
        c.claim(f"annealed on N(0, 1), variance after each step: {off}", deviation(m.annealed / m.exact, 4 * m.n),
                1, 5),
        c.measured("annealed on N(0, 1): exact final variance by the recursion", m.exact[-1]),
        c.measured("annealed on N(0, 1): final variance of the chains", m.annealed[-1]),
    ]
