"""Annealed Langevin dynamics draws the swiss roll; Langevin dynamics from the same start does not.

A noise-conditional network learned the scores of the swiss roll under 20 levels of noise. Above, both
samplers start from one wide Gaussian and take the same number of steps. At the finest level alone a point
runs to a piece of the spiral near its start and stays: the outer turn and its end are crowded, the inner
turn is thin. Through the levels, from wide to fine, the points come to lie as the data do. Below, in
the same frame, the annealed cloud at the end of six of the levels, each point in the colour of its last
radius. At first the colours are mixed: where a point starts does not decide where it ends. The turns come
apart between σ = 0.3 and 0.1; the levels after that only sharpen. The bound on the annealed sample is the
largest distance of samples of real data that were measured in its place; it has hardly a stray between the turns.

Source: Song & Ermon 2019, algorithm 1; the swiss roll of scikit-learn, scaled by 1/10; precision: Kynkäänniemi et
al. 2019.
Settings: 3-64-64-64-2 network with a skip; 200,000 points, 6,000 Adam steps of 256 rows, rate 0.02: 128 points, each
under opposite noises z and −z; σ geometric from 1.5 to 0.01 in 20 levels, dealt out in turn, so that the first
eight have 7 of the 128 points and the others 6; 2,500 chains from N(0, 1.5² I); annealed 40 steps a level, step
2.5e-5 at the last; Langevin 800 steps of 2.5e-5. Distances to 20,000 real points: mean over 4 clouds of
625 points, after Langevin dynamics one of 2,500.
"""

from functools import partial
from types import SimpleNamespace

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

import scoremin as sm

from . import common as c
from .continuous_noise import off_spiral

ANIMATION = "annealed_langevin.gif"
SIGMAS, SIGMA_DATA = sm.geometric_sigmas(1.5, 0.01, 20), 0.7
STEP, STEPS_PER_LEVEL, BOX = 2.5e-5, 40, 1.75
SHOWN = [0, 3, 6, 9, 12, 19]  # the levels below


def in_turn(rng, n):
    """The levels dealt out to n points."""
    return SIGMAS[np.arange(n) % len(SIGMAS)]


def sample(score, rng, n, per_level, progress):
    """The end of Langevin dynamics; annealed Langevin dynamics, twice a level: the level, the calls, the cloud."""
    start, steps = SIGMAS[0].astype(np.float32) * rng.standard_normal((n, 2), np.float32), len(SIGMAS) * per_level
    film, tick = [(0, 0, start)], c.ticker(progress, steps, "annealed Langevin")

    def record(i, x):
        tick(i, x)
        if (i + 1) % (per_level // 2) == 0:
            film.append((i // per_level, i + 1, x))

    sm.annealed_langevin(score, start, SIGMAS, STEP, per_level, rng, callback=record)
    plain = sm.langevin(score.at(SIGMAS[-1]), start, STEP, steps, rng,
                        callback=c.ticker(progress, steps, "Langevin"))
    return plain, film


def measure(stream, budget, progress):
    rng, n = stream(), c.scaled(2500, budget, 100)
    params, data = c.init(rng, 3, 64, 64, 64, 2), sm.swiss_roll(rng, c.scaled(200_000, budget))
    model = partial(sm.NoiseConditionalMLP, sigma_data=SIGMA_DATA, skip=True)
    score = c.train(c.ncsn(in_turn), model, params, data, rng, budget, progress, steps=6_000, batch_size=128,
                    learning_rate=2e-2)
    plain, film = sample(score, rng, n, c.scaled(STEPS_PER_LEVEL, budget, 2), progress)
    path = [x for _, _, x in film[2::2]]                                     # at the end of each level
    original, *fresh = (sm.swiss_roll(rng, n) for _ in range(5))
    over_real, real = c.against_real(sm.swiss_roll, rng, 4)
    within = lambda x: sm.precision_recall(x, original)
    return SimpleNamespace(
        score=score, film=film, path=path, real=real, n=n,
        samples={"original": original, "Langevin": plain, "annealed Langevin": path[-1]},
        annealed=over_real(path[-1]), langevin=over_real(plain, 1), precision=within(path[-1])[0],
        of_real=np.mean([within(x)[0] for x in fresh]), strays=off_spiral(path[-1]).mean(),
        beyond=off_spiral(sm.swiss_roll(rng, 20_000), 0.15).mean())


def draw(m):
    """Three samples above, six stages of the last of them below."""
    fig, (above, below) = c.rows([3, 6], [2.86, 1.39])
    c.draw_samples(above, m.samples, (c.BLUE, c.RED, c.GREEN), BOX)
    radius = np.sqrt(np.sum(m.path[-1]**2, axis=1))
    for ax, level in zip(below, SHOWN):
        c.plane(ax, rf"$\sigma={SIGMAS[level]:.2g}$", BOX, labels=False)
        ax.scatter(*m.path[level].T, s=0.8, c=radius, cmap="viridis", vmin=0.4, vmax=1.5, linewidths=0)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color=c.GREY)
    return fig


def frame(score, level, calls, x):
    """The cloud after so many calls, over the score of that level: σ s, arrows in units of the noise."""
    fig = Figure(figsize=(4.4, 4.4), facecolor="white")
    ax = fig.add_axes((0.01, 0.01, 0.98, 0.98))
    c.draw_field(ax, lambda x: 2 * SIGMAS[level] * score.at(SIGMAS[level])(x), 2.0, "#C4C4C4", n=19, longest=4.0)
    c.draw_points(ax, x[:2500], c.GREEN, size=3.5, alpha=0.9)
    ax.set(xlim=(-2, 2), ylim=(-2, 2), aspect="equal", xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color=c.GREY)
    for place, text, side in ((0.03, rf"$\sigma={SIGMAS[level]:.3f}$", "left"), (0.97, f"call {calls}", "right")):
        ax.text(place, 0.965, text, ha=side, va="top", fontsize=12, transform=ax.transAxes,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 2})
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3])


def animate(m, path):
    """The annealed cloud on its way, as a GIF of one palette, so that its bytes depend on the drawing alone."""
    frames = [frame(m.score, *still) for still in m.film]
    palette = frames[-1].quantize(24)
    first, *rest = [still.quantize(palette=palette, dither=Image.Dither.NONE) for still in frames]
    first.save(path, format="GIF", save_all=True, append_images=rest, loop=0,
               duration=[600] + [120] * (len(rest) - 1) + [2500])


def claims(m):
    """Bounds of the distance: the largest and the least of real samples, with half as much room below. Of precision:
    the binomial law. Of strays, four deviations from the spiral: as many as real data have at three. Many times worse:
    an order of magnitude."""
    return [
        c.claim("energy distance, annealed to real, over real to real", m.annealed, m.real.min() / 2, m.real.max()),
        c.claim("energy distance, Langevin to real, over real to real", m.langevin, 10),
        c.like_real("precision, annealed", m.precision, m.of_real, m.n, 4 * m.n),
        c.claim("share of strays, annealed", m.strays, 0, m.beyond),
    ]
