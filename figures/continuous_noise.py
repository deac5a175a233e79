"""One score, seven samplers: the probability flow draws the swiss roll in ten network calls.

The same score s(x, σ) drives all. Above, the energy distance of what they draw to real data, over that of real
data to real data, against the calls spent: from a trained network, and from the exact score; the grey band
holds all real samples measured in the same way. The probability flow has no noise, its path is smooth, and a
solver of order 2 that knows the linear part of it, DPM-Solver, arrives in ten calls with the exact score and in
ten to twenty with the network's; the other methods are two to ten times as far off after ten, near after twenty
to fifty, and in a hundred calls all are about as good. The flow never corrects its start. Where σ_max is too
small the law at the top is not N(0, σ_max² I), and the flow carries the difference down; annealed dynamics,
which forgets, does not mind. A start with the mean and covariance of the data mends most of it (SDE.4). Below,
samples from the network by number of calls, the flow from σ_max = 0.5, and two other sets in ten calls each.

Source: Song et al. 2021; Karras et al. 2022 (Heun); Lu et al. 2022 (DPM-Solver++); equations SDE.8 to SDE.19.
Settings: 3-96-96-96-2 network, for the two other sets 3-64-64-64-2; 200,000 points, 4,000 (3,000) Adam steps of
256 rows, rate 0.01: 128 points, each under z and −z, log σ uniform and stratified over [0.01, 10]; exact score:
90/√h nodes along the spiral, h = √(0.05² + σ²). Distances: means of 4 clouds of 1,000 points, each to 4 fresh real
ones, over the mean of 200 real ones. Levels geometric for DPM-Solver and annealed dynamics, for the others uniform
in asinh(σ/0.1); start N(mean, covariance + σ_max² I), σ_max 10, annealed 1.5; every sampler ends with a denoising
step, which is counted.
"""

from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import numpy as np

import scoremin as sm

from . import common as c

LOW, HIGH, TOP = 0.01, 10.0, 1.5                                     # TOP is where annealed dynamics starts
CALLS, CLOUDS = [10, 20, 50, 100], 4                                 # every distance is a mean over clouds
BOX = 1.75
SIGMA_MAX = [0.5, 1, 1.5, 3, 5, 10]
DIRECTIONS = np.stack([f(np.pi * np.arange(16) / 16) for f in (np.cos, np.sin)], axis=1)  # (16,2)


# The scores.

def train(data, width, steps, rng, budget, progress, label):
    """A noise-conditional network of the data's scores from σ = LOW to HIGH."""
    params, spread = c.init(rng, 3, width, width, width, 2), float(np.sqrt(np.trace(np.cov(data.T)) / 2))
    return c.train(c.ncsn(c.stratified(LOW, HIGH)), partial(sm.NoiseConditionalMLP, sigma_data=spread), params, data,
                   rng, budget, progress, steps=steps, batch_size=128, learning_rate=1e-2, label=label)


def exact(x, sigma):
    """The score of the noisy swiss roll: a mean over its t of Gaussians about the spiral, as a KDE is.

    400 nodes at σ = 0, fewer where the Gaussians are wide, keep the error at 0.2 % and below, at the spiral's ends."""
    h = float(np.hypot(0.05, sigma))
    nodes = round(90 / h**0.5)
    t = 1.5 * np.pi * (1 + 2 * (np.arange(nodes) + 0.5) / nodes)[:, None]
    spiral = t * np.hstack([np.cos(t), np.sin(t)]) / 10              # (nodes,2)
    return c.kernel_score(x, spiral.astype(x.dtype), h)


# The samplers: score, calls, start(sigma) and rng -> samples.

def asinh_levels(calls, high=HIGH):
    """Levels uniform in asinh(σ/0.1)."""
    return 0.1 * np.sinh(np.linspace(np.arcsinh(high / 0.1), np.arcsinh(LOW / 0.1), calls))


def geometric(calls, high=HIGH):
    """Levels in equal ratios."""
    return sm.geometric_sigmas(high, LOW, calls)


def denoised(score, x):
    """E[x|x̃] at the last level: the last call."""
    return x + LOW**2 * score(x, LOW)


def langevin(score, calls, start, rng):
    """Annealed Langevin dynamics, one long step a level: many levels are worth more than many steps at each."""
    return sm.annealed_langevin(score, start(TOP), geometric(calls - 1, TOP), 1.5 * LOW**2, 1, rng, denoise=True)


def euler_maruyama(score, calls, start, rng):
    return denoised(score, sm.reverse_sde(score, start(HIGH), asinh_levels(calls), rng))


def ancestral(score, calls, start, rng):
    x = start(HIGH)
    for sigma, after in pairwise(asinh_levels(calls).tolist()):
        lost = sigma**2 - after**2
        x = x + lost * score(x, sigma) + lost**0.5 * after / sigma * c.normal(rng, x)  # (SDE.10)
    return denoised(score, x)


def predictor_corrector(score, calls, start, rng):
    x = start(HIGH)
    for sigma, after in pairwise(asinh_levels(calls // 2).tolist()):
        x = sm.reverse_sde(score, x, [sigma, after], rng)
        x = sm.langevin(lambda x, after=after: score(x, after), x, 0.3 * after**2, 1, rng)
    return denoised(score, x)


def euler(score, calls, start, rng):
    x = start(HIGH)
    for sigma, after in pairwise(asinh_levels(calls).tolist()):
        x = x + (sigma - after) * sigma * score(x, sigma)            # (SDE.14)
    return denoised(score, x)


def heun(score, calls, start, rng):
    return denoised(score, sm.probability_flow(score, start(HIGH), asinh_levels(calls // 2)))


def dpm(score, calls, start, rng, high=HIGH):
    return denoised(score, sm.dpm_solver(score, start(high), geometric(calls, high)))


SAMPLERS = {
    "annealed Langevin": langevin, "predictor–corrector": predictor_corrector, "ancestral": ancestral,
    "Euler–Maruyama": euler_maruyama, "flow, Euler": euler, "flow, Heun": heun, "flow, DPM-Solver": dpm,
}


STYLES = [(c.RED, "o"), (c.PURPLE, "D"), (c.ORANGE, "^"), (c.DARK, "v"), (c.SKY, "s"), (c.GREEN, "P"), (c.BLUE, "X")]
SHOWN = {"flow, DPM-Solver": c.BLUE, "Euler–Maruyama": c.DARK, "annealed Langevin": c.RED}
CLAIMED = {"flow, DPM-Solver": 20, "flow, Euler": 50, "flow, Heun": 50, "Euler–Maruyama": 100, "ancestral": 100}
OTHERS = {"two moons": sm.two_moons, "checkerboard": sm.checkerboard}


# The measurements.

def differences(x):
    """Σ |x_i − x_j| over all pairs in each row of x (D,n): the k-th least of n has k before it, n − 1 − k after."""
    return np.sort(x, axis=1) @ (2.0 * np.arange(x.shape[1]) - x.shape[1] + 1)  # (D,)


def energy_distance(a, b):
    """The energy distance (MET.2) between a and b (n,2), in a time of order n log n.

    In the plane ‖a − b‖ is π/2 times the mean of |uᵀ(a − b)| over directions u, and along one direction sorting sums
    the distances of all pairs. 16 directions err by less than 0.5 %."""
    a, b, n = DIRECTIONS @ a.T, DIRECTIONS @ b.T, len(a)                     # (16,n)
    within, all_pairs = differences(a) + differences(b), differences(np.hstack([a, b]))  # (16,)
    return np.pi * np.mean(all_pairs - 2 * within) / n**2


def distance(x, real, rng):
    """Mean of the energy distances of x (CLOUDS·n,2), cut into clouds, each to four fresh real ones, times n."""
    n = len(x) // CLOUDS
    return n * np.mean([energy_distance(cloud, real(rng, n)) for cloud in np.split(x, CLOUDS) for _ in range(4)])


def wide(data, n, rng, moments=True):
    """start(sigma): n points of N(0, σ²I), with the mean and the covariance of the data added, or not."""
    mean, cov = (data.mean(axis=0), np.cov(data.T)) if moments else (0, 0 * np.eye(2))

    def start(sigma):
        root = np.linalg.cholesky(cov + sigma**2 * np.eye(2))
        return (mean + rng.standard_normal((n, 2)) @ root.T).astype(np.float32)
    return start


def measure(stream, budget, progress):
    rng, n = stream(), CLOUDS * c.scaled(1000, budget, 20)
    data, pairs = sm.swiss_roll(rng, c.scaled(200_000, budget, 100)), c.scaled(200, budget)
    score = train(data, 96, 4_000, rng, budget, progress, "training, swiss roll")
    real = [distance(sm.swiss_roll(rng, n), sm.swiss_roll, rng) for _ in progress(range(pairs), "real to real")]
    floor, start = np.mean(real), wide(data, n, rng)
    over_real = lambda x: distance(x, sm.swiss_roll, rng) / floor
    drawn = {name: [[sampler(s, k, start, rng) for k in CALLS] for s in (score, exact)]
             for name, sampler in progress(SAMPLERS.items(), "samplers")}
    curves = {name: [[over_real(x) for x in samples] for samples in both] for name, both in drawn.items()}
    flows = [[dpm(exact, 20, wide(data, n, rng, moments), rng, high) for high in SIGMA_MAX]
             for moments in (True, False)]
    few, many = wide(data, c.scaled(1000, budget, 20), rng), c.scaled(1000, budget, 100)
    samples = {(name, k): drawn[name][0][CALLS.index(k)] if k in CALLS else SAMPLERS[name](score, k, few, rng)
               for name in SHOWN for k in progress([10, 50, many], name)}
    others = {name: other(real, rng, budget, progress) for name, real in OTHERS.items()}
    return SimpleNamespace(real=np.array(real) / floor, curves=curves, samples=samples, others=others,
                           flows=[[over_real(x) for x in several] for several in flows], narrow=flows[1][0])


def other(real, rng, budget, progress):
    """Another set in ten calls: a cloud, its distance over real to real, and the largest of real samples'."""
    n, data = CLOUDS * c.scaled(1000, budget, 20), real(rng, c.scaled(200_000, budget, 100))
    score = train(data, 64, 3_000, rng, budget, progress, f"training, {real.__name__}")
    x = dpm(score, 10, wide(data, n, rng), rng)
    all_real = [distance(real(rng, n), real, rng) for _ in range(c.scaled(100, budget))]
    return SimpleNamespace(x=x, ratio=distance(x, real, rng) / np.mean(all_real),
                           worst=max(all_real) / np.mean(all_real))


# The picture.

def draw_curves(ax, m, which, title):
    ax.axhspan(m.real.min(), m.real.max(), color=c.GREY, alpha=0.3, lw=0)
    for (name, ratios), (color, marker) in zip(m.curves.items(), STYLES):
        ax.plot(CALLS, ratios[which], marker, color=color, ls="-", label=name, ms=3.5, lw=1.1)
    ax.set(title=title, xlabel="network calls", xscale="log", yscale="log", ylim=(0.5, 200),
           xticks=CALLS, xticklabels=CALLS)
    ax.minorticks_off()


def draw_narrow(ax, m):
    ax.axhspan(m.real.min(), m.real.max(), color=c.GREY, alpha=0.3, lw=0, label="real samples")
    for ratios, label, color, marker in zip(m.flows, ("mean and covariance\nof the data added", "N(0, σ²I)"),
                                            (c.BLUE, c.RED), "os"):
        ax.plot(SIGMA_MAX, ratios, marker, color=color, ls="-", label=label, ms=3.5, lw=1.1)
    ax.set(title="the flow's start, exact score", xlabel=r"$\sigma_{\max}$", xscale="log", yscale="log",
           ylim=(0.5, 200), xticks=[0.5, 1, 2, 5, 10, 20], xticklabels=["0.5", "1", "2", "5", "10", "20"])
    ax.minorticks_off()
    ax.legend(loc="upper right")


def draw_cloud(ax, x, title, color, box=BOX):
    c.plane(ax, "", box, labels=False)
    ax.set_title(title, fontsize=8)
    c.draw_points(ax, x, color, size=1.4, alpha=0.6)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color=c.GREY)


def draw(m):
    """Distances above, clouds in two rows below."""
    fig, (above, middle, below) = c.rows([3, 6, 6], [3.0, 1.55, 1.55])
    draw_curves(above[0], m, 0, "from the network")
    draw_curves(above[1], m, 1, "from the exact score")
    draw_narrow(above[2], m)
    above[0].set_ylabel("energy distance to real, over real to real")
    above[0].legend(loc="upper right", fontsize=7, labelspacing=0.3)
    clouds = [*middle, *below]
    for ax, ((name, calls), x) in zip(clouds, m.samples.items()):
        draw_cloud(ax, x[:1000], f"{name},\n{calls} calls", SHOWN[name])
    draw_cloud(clouds[9], m.narrow[:1000], "flow from $\\sigma_{\\max}=0.5$,\nexact score", c.RED)
    for ax, (name, o) in zip(clouds[10:], m.others.items()):
        draw_cloud(ax, o.x[:2000], f"{name},\n10 calls", c.SKY, 2.4)
    return fig


def claims(m):
    """Bounds: the largest of as many real samples, measured in the same way."""
    worst = m.real.max()
    found = [c.claim(f"energy distance over real to real, {name} in {k} calls", m.curves[name][0][CALLS.index(k)],
                     0, worst) for name, k in CLAIMED.items()]
    found += [c.claim(f"the same from the exact score, {name} in {k} calls", m.curves[name][1][CALLS.index(k)],
                      0, worst) for name, k in {**CLAIMED, "flow, DPM-Solver": 10}.items()]
    found += [c.claim(f"{name} in 10 calls, over real to real", o.ratio, 0, o.worst) for name, o in m.others.items()]
    added, bare = (dict(zip(SIGMA_MAX, ratios)) for ratios in m.flows)
    return [*found,
            c.claim("exact flow from N(0, σ²I) at σ_max = 1.5, over real to real", bare[1.5], worst),
            c.claim("the same with the data's mean and covariance added at σ_max = 10", added[10], 0, worst),
            c.measured("the same at σ_max = 1.5", added[1.5]),
            c.measured("energy distance over real to real, flow, DPM-Solver in 10 calls, network",
                       m.curves["flow, DPM-Solver"][0][0])]
