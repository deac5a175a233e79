"""One score, seven samplers: the probability flow draws the swiss roll in ten network calls.

The same score s(x, σ) drives all. Above, the energy distance of what they draw to real data, over that of real
data to real data, against the calls spent: from a trained network, and from the exact score; the grey band
holds all real samples measured in the same way. The probability flow has no noise, its path is smooth, and a
solver of order 2 that knows the linear part of it, DPM-Solver, arrives in ten calls with the exact score and in
ten to twenty with the network's; the other methods are several times as far off after ten, and in a hundred calls
all are about as good. The flow never corrects its start. Where σ_max is too small the law at the top is not
N(0, σ_max² I), and the flow carries the difference down; annealed dynamics, which forgets, does not mind. A start
with the mean and covariance of the data mends most of it (SDE.4). Below, samples from the network by number of
calls, the flow from σ_max = 0.5, and two other sets. The distance hardly sees strays, the eye does: after ten calls
of the flow one or two points in a hundred lie between the turns, where the network's score is too smooth to push
them away; annealed Langevin dynamics in a hundred calls leaves next to none. Moons have few strays after twenty calls,
and the squares of the board, whose edges no smooth score can follow, are a little blurred.

Source: Song et al. 2021; Karras et al. 2022 (Heun); Lu et al. 2022 (DPM-Solver++); Kynkäänniemi et al. 2019
(precision); equations SDE.8 to SDE.19, MET.5, MET.7.
Settings: 3-64-64-64-2 network with a skip (two other sets: four hidden layers), 3,000 Adam steps of 256 rows (moons
3,500, checkerboard 5,000), rate 0.02: 128 points, each under z and −z, log σ stratified, a quarter uniform
over [0.01, 10], the rest over [0.03, 1]; exact score: 90/√h nodes along the spiral, h = √(0.05² + σ²). Distances:
of 4 clouds of 500 points, 2,000 of the two other sets, to 20,000 real ones, mean, over that of real ones. Precision of
1,000 points to 1,000 at k = 3, of the two other sets the mean of 8. Strays: points further from the spiral or the arcs
than four deviations of the noise. Levels geometric for DPM-Solver and annealed dynamics, for the others uniform in
asinh(σ/0.1); start N(mean, covariance + σ_max² I), σ_max 10, annealed 1.5; every sampler ends with a denoising step,
which is counted.
"""

from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import numpy as np

import scoremin as sm
from scoremin.metrics import neighbour_distance

from . import common as c

LOW, HIGH, TOP = 0.01, 10.0, 1.5                                     # TOP is where annealed dynamics starts
CALLS, N, CLOUDS = [10, 20, 50, 100], 2000, 4                        # every distance is a mean over clouds
BOX = 1.75
SIGMA_MAX = [0.5, 1, 1.5, 3, 5, 10]


# The scores.

def train(data, depth, steps, rng, budget, progress, label):
    """A noise-conditional network of the data's scores from σ = LOW to HIGH."""
    params, spread = c.init(rng, 3, *depth * [64], 2), float(np.sqrt(np.trace(np.cov(data.T)) / 2))
    model = partial(sm.NoiseConditionalMLP, sigma_data=spread, skip=True)
    return c.train(c.ncsn(c.mostly_between(0.03, 1.0, LOW, HIGH)), model, params, data, rng, budget, progress,
                   steps=steps, batch_size=128, learning_rate=0.02, label=label)


def spiral(nodes):
    """Points in the middle of so many equal parts of the spiral's t, (nodes,2)."""
    t = 1.5 * np.pi * (1 + 2 * (np.arange(nodes) + 0.5) / nodes)[:, None]
    return t * np.hstack([np.cos(t), np.sin(t)]) / 10


def exact(x, sigma):
    """The score of the noisy swiss roll: a mean over its t of Gaussians about the spiral, as a KDE is.

    400 nodes at σ = 0, fewer where the Gaussians are wide, keep the error at 0.2 % and below, at the spiral's ends."""
    h = float(np.hypot(0.05, sigma))
    return c.kernel_score(x, spiral(round(90 / h**0.5)).astype(x.dtype), h)


# The samplers: score, calls, start(sigma) and rng -> samples.

def asinh_levels(calls, high=HIGH):
    """Levels uniform in asinh(σ/0.1)."""
    return c.asinh_levels(high, LOW, calls, 0.1)


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


STYLES = [(c.RED, "o"), (c.PURPLE, "D"), (c.ORANGE, "^"), (c.DARK, "v"), ("#8C6D31", "s"), (c.GREEN, "P"),
          (c.BLUE, "X")]
SHOWN = {"flow, DPM-Solver": c.BLUE, "Euler–Maruyama": c.DARK, "annealed Langevin": c.RED}
CLAIMED = {"flow, DPM-Solver": 20, "flow, Euler": 50, "flow, Heun": 50, "Euler–Maruyama": 100, "ancestral": 100}


# The measurements.

def off_spiral(x, far=0.2):
    """Which of x (n,2) are further from the swiss roll's spiral than that, (n,); its noise has the deviation 0.05."""
    return neighbour_distance(x, spiral(600), 1) > far


def off_arcs(x, far=0.4):
    """Which of x (n,2) are further from the arcs of two_moons than that, (n,); its noise has the deviation 0.1."""
    t = np.linspace(0, np.pi, 200)
    arc = np.stack([np.cos(t) - 0.5, np.sin(t) - 0.25], axis=1)
    return neighbour_distance(x, np.vstack([arc, -arc]), 1) > far


def off_squares(x):
    """Which of x (n,2) are on none of the checkerboard's dark squares, (n,)."""
    return (np.abs(x).max(axis=1) > 2) | (np.floor(x).sum(axis=1) % 2 == 1)


def blurred_board(rng, n):
    """Real points under noise of a twentieth of a square's side, (n,2)."""
    return sm.checkerboard(rng, n) + 0.05 * rng.standard_normal((n, 2))


# Name: samples, layers, training steps, which points are off the support, and what share may be: as many as of real
# data three deviations from the arcs, where strays are at four, or of real data a little blurred.
OTHERS = {
    "two moons": (sm.two_moons, 4, 3500, off_arcs, lambda rng: off_arcs(sm.two_moons(rng, 20_000), 0.3)),
    "checkerboard": (sm.checkerboard, 4, 5000, off_squares, lambda rng: off_squares(blurred_board(rng, 20_000))),
}


def precision(clouds, real, rng):
    """Precision of the first 1,000 points of each cloud among 1,000 real points, and at last of 8,000 real ones."""
    fixed, *fresh = (real(rng, 1000) for _ in range(9))
    within = [sm.precision_recall(x[:1000], fixed)[0] for x in [*clouds, *fresh]]
    return [*within[:-8], np.mean(within[-8:])]


def wide(data, n, rng, moments=True):
    """start(sigma): n points of N(0, σ²I), with the mean and the covariance of the data added, or not."""
    mean, cov = (data.mean(axis=0), np.cov(data.T)) if moments else (0, 0 * np.eye(2))

    def start(sigma):
        root = np.linalg.cholesky(cov + sigma**2 * np.eye(2))
        return (mean + rng.standard_normal((n, 2)) @ root.T).astype(np.float32)
    return start


def measure(stream, budget, progress):
    rng, n = stream(), c.scaled(N, budget, 40)
    data = sm.swiss_roll(rng, c.scaled(200_000, budget, 100))
    score = train(data, 3, 3_000, rng, budget, progress, "training, swiss roll")
    over_real, real = c.against_real(sm.swiss_roll, rng, CLOUDS)
    start = wide(data, n, rng)
    drawn = {name: [[sampler(s, k, start, rng) for k in CALLS] for s in (score, exact)]
             for name, sampler in progress(SAMPLERS.items(), "samplers")}
    curves = {name: [[over_real(x) for x in samples] for samples in both] for name, both in drawn.items()}
    flow = lambda high, moments, n=n: dpm(exact, 20, wide(data, n, rng, moments), rng, high)
    flows = [[flow(high, moments) for high in SIGMA_MAX] for moments in (True, False)]
    samples = {(name, k): drawn[name][0][CALLS.index(k)] for name in SHOWN for k in (10, 20, 100)}
    judged = {which: x for which, x in samples.items() if "flow" in which[0] or which[1] == 100}
    *within, of_real = precision(judged.values(), sm.swiss_roll, rng)
    return SimpleNamespace(
        real=real, curves=curves, samples=samples, flows=[[over_real(x) for x in several] for several in flows],
        narrow=flows[1][0], bare=over_real(flow(1.5, False, 3 * n)), precision=dict(zip(judged, within)),
        of_real=of_real, strays={which: off_spiral(x).mean() for which, x in samples.items()},
        beyond=off_spiral(sm.swiss_roll(rng, 20_000), 0.15).mean(),
        others={name: other(name, rng, budget, progress) for name in OTHERS})


def other(name, rng, budget, progress):
    """Another set in twenty calls: a cloud, and what is claimed of it."""
    real, depth, steps, off, allowed = OTHERS[name]
    data, n = real(rng, c.scaled(200_000, budget, 100)), c.scaled(4 * N, budget, 40)
    score = train(data, depth, steps, rng, budget, progress, f"training, {name}")
    x, (over_real, floor) = dpm(score, 20, wide(data, n, rng), rng), c.against_real(real, rng, CLOUDS)
    *within, of_real = precision(np.array_split(x, 8), real, rng)
    return SimpleNamespace(x=x, ratio=over_real(x), real=floor, precision=(np.mean(within), of_real),
                           off=off(x).mean(), allowed=allowed(rng).mean())


# The picture.

def top(m):
    """Where the axes of distances end."""
    return 2 * max(np.max([*m.curves.values()]), np.max(m.flows))


def draw_curves(ax, m, which, title):
    ax.axhspan(m.real.min(), m.real.max(), color=c.GREY, alpha=0.3, lw=0)
    for (name, ratios), (color, marker) in zip(m.curves.items(), STYLES):
        ax.plot(CALLS, ratios[which], marker, color=color, ls="-", label=name, ms=3.5, lw=1.1)
    ax.set(title=title, xlabel="network calls", xscale="log", yscale="log", ylim=(0.3, top(m)),
           xticks=CALLS, xticklabels=CALLS)
    ax.minorticks_off()


def draw_narrow(ax, m):
    ax.axhspan(m.real.min(), m.real.max(), color=c.GREY, alpha=0.3, lw=0, label="real samples")
    for ratios, label, color, marker in zip(m.flows, ("mean and covariance\nof the data added", "N(0, σ²I)"),
                                            (c.BLUE, c.RED), "os"):
        ax.plot(SIGMA_MAX, ratios, marker, color=color, ls="-", label=label, ms=3.5, lw=1.1)
    ax.set(title="the flow's start, exact score", xlabel=r"$\sigma_{\max}$", xscale="log", yscale="log",
           ylim=(0.3, top(m)), xticks=[0.5, 1, 2, 5, 10, 20], xticklabels=["0.5", "1", "2", "5", "10", "20"])
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
        draw_cloud(ax, o.x[:2000], f"{name},\n20 calls", c.GREEN, 2.4)
    return fig


def claims(m):
    """Bounds of distances: the largest of real samples, and four deviations of the logarithm below their mean: less
    would be copies. Of precisions: the binomial law, with five. Of strays: as many at four deviations as real data
    have at three, or real data blurred by a twentieth of a square, and three deviations of that count: what the
    picture can hardly show."""
    least = np.exp(np.log(m.real).mean() - 4 * np.log(m.real).std())
    like = lambda text, ratio, real=m.real: c.claim(text, ratio, least, real.max())
    share = lambda text, pair: c.like_real(text, *pair, 1000, 8000)
    exact = {**CLAIMED, "flow, DPM-Solver": 10, "predictor–corrector": 100}
    found = [like(f"energy distance over real to real, {name} in {k} calls", m.curves[name][0][CALLS.index(k)])
             for name, k in CLAIMED.items()]
    found += [like(f"the same from the exact score, {name} in {k} calls", m.curves[name][1][CALLS.index(k)])
              for name, k in exact.items()]
    found += [share(f"precision, {name} in 100 calls", (m.precision[name, 100], m.of_real)) for name in SHOWN]
    for name, o in m.others.items():
        found += [like(f"{name} in 20 calls, energy distance over real to real", o.ratio, o.real),
                  share(f"{name} in 20 calls, precision", o.precision),
                  c.claim(f"{name} in 20 calls, share off the support", o.off, 0,
                          o.allowed + 3 * (o.allowed / len(o.x))**0.5)]
    added = dict(zip(SIGMA_MAX, m.flows[0]))
    return [*found,
            c.claim("share of strays, annealed Langevin in 100 calls", m.strays["annealed Langevin", 100], 0, m.beyond),
            c.claim("exact flow from N(0, σ²I) at σ_max = 1.5, 6,000 points, over real to real", m.bare, m.real.max()),
            like("the same with the data's mean and covariance added at σ_max = 10", added[10]),
            c.measured("the same at σ_max = 1.5", added[1.5]),
            c.measured("energy distance over real to real, flow, DPM-Solver in 10 calls, network",
                       m.curves["flow, DPM-Solver"][0][0]),
            *[c.measured(f"precision, flow, DPM-Solver in {k} calls (real samples {m.of_real:.3f})",
                         m.precision[name, k]) for name, k in m.samples if name == "flow, DPM-Solver" and k < 100],
            *[c.measured(f"share of strays, {name} in {k} calls", m.strays[name, k]) for name, k in m.samples
              if name != "annealed Langevin"]]
