"""Annealed Langevin dynamics draws the swiss roll; Langevin dynamics from the same start does not.

A noise-conditional network learned the scores of the swiss roll under 20 levels of noise. Above, both
samplers start from one wide Gaussian and take the same number of steps. At the finest level alone a point
runs to a piece of the spiral near its start and stays: the outer turn and its end are crowded, the inner
turn is thin. Through the levels, from wide to fine, the points come to lie as the data do. Below, in
the same frame, the annealed cloud at the end of six of the levels, each point in the colour of its last
radius. At first the colours are mixed: where a point starts does not decide where it ends. The turns come
apart between σ = 0.3 and 0.1; the levels after that only sharpen. The bound on the annealed sample is the
largest distance of 200 samples of real data that were measured in its place.

Source: Song & Ermon 2019, algorithm 1; the swiss roll of scikit-learn, scaled by 1/10.
Settings: 3-128-128-128-2 network; 200,000 points, 10,000 Adam steps of 256 rows, rate 0.01: 128 points, each
under opposite noises z and −z, at every level equally often; σ geometric from 1.5 to 0.01 in 20 levels;
4,000 chains from N(0, 1.5² I); annealed 50 steps a level, step 2.5e-5 at the last; Langevin 1,000 steps of 2.5e-5.
"""

from functools import partial

import numpy as np

from scoremin import (
    NoiseConditionalMLP,
    annealed_langevin,
    fit,
    geometric_sigmas,
    init_mlp,
    langevin,
    ncsn_loss,
    swiss_roll,
)

from .common import (
    BLUE,
    GREEN,
    GREY,
    RED,
    Claim,
    distance_to_real,
    draw_points,
    normal,
    plane,
    rows,
    save,
    scaled,
    stream,
    ticker,
)

SIGMAS, SIGMA_DATA = geometric_sigmas(1.5, 0.01, 20), 0.7
STEP, STEPS_PER_LEVEL, BOX = 2.5e-5, 50, 1.75
SHOWN = [0, 3, 6, 9, 12, 19]  # the levels below


def loss(params, x, rng):
    """The NCSN loss of each point under z and under −z, with every level equally often.

    Opposite noises have opposite targets, −z/σ and z/σ: what they would pull the score to at random cancels."""
    z, sigma = normal(rng, x), SIGMAS[np.arange(len(x)) % len(SIGMAS)]
    score = NoiseConditionalMLP(params, SIGMA_DATA)
    return ncsn_loss(score, np.concatenate([x, x]), np.concatenate([z, -z]), np.concatenate([sigma, sigma]))


def train(rng, budget, progress):
    """The noise-conditional score network, in float32."""
    params, data = init_mlp(rng, [3, 128, 128, 128, 2], np.float32), swiss_roll(rng, scaled(200_000, budget))
    params, _ = fit(loss, params, data, steps=scaled(10_000, budget), batch_size=128, learning_rate=1e-2, rng=rng,
                    progress=progress)
    return NoiseConditionalMLP(params, SIGMA_DATA)


def sample(score, rng, n, per_level, progress):
    """The end of Langevin dynamics, and annealed Langevin dynamics at the end of each level, from one start."""
    start, path = SIGMAS[0].astype(np.float32) * rng.standard_normal((n, 2), np.float32), []
    steps = len(SIGMAS) * per_level
    tick = ticker(progress, steps, "annealed Langevin")

    def record(i, x):
        tick(i, x)
        if (i + 1) % per_level == 0:
            path.append(x)

    annealed_langevin(score, start, SIGMAS, STEP, per_level, rng, callback=record)
    plain = langevin(score.at(SIGMAS[-1]), start, STEP, steps, rng, callback=ticker(progress, steps, "Langevin"))
    return plain, path


def draw(samples, path):
    """Three samples above, six stages of the last of them below."""
    fig, (above, below) = rows([3, 6], [2.86, 1.39])
    for ax, (title, x, color) in zip(above, samples):
        plane(ax, title, BOX)
        draw_points(ax, x, color)
    radius = np.sqrt(np.sum(path[-1]**2, axis=1))
    for ax, level in zip(below, SHOWN):
        plane(ax, rf"$\sigma={SIGMAS[level]:.2g}$", BOX, labels=False)
        ax.scatter(*path[level].T, s=0.8, c=radius, cmap="viridis", vmin=0.4, vmax=1.5, linewidths=0)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color=GREY)
    return fig


def main(seed, budget, out, progress):
    rng, n = stream(seed, "ncsn_swiss_roll"), scaled(4000, budget, 100)
    score = train(rng, budget, partial(progress, label="training"))
    plain, path = sample(score, rng, n, scaled(STEPS_PER_LEVEL, budget, 2), progress)
    save(draw([("original", swiss_roll(rng, n), BLUE), ("Langevin", plain, RED),
               ("annealed Langevin", path[-1], GREEN)], path), out)
    real = [distance_to_real(swiss_roll(rng, 250), swiss_roll, rng) for _ in range(scaled(200, budget))]
    floor = float(np.mean(real))
    return [
        Claim("energy distance, annealed to real, over real to real",
              distance_to_real(path[-1], swiss_roll, rng) / floor, 0, max(real) / floor),
        # Many times worse: an order of magnitude.
        Claim("energy distance, Langevin to real, over real to real",
              distance_to_real(plain, swiss_roll, rng) / floor, 10, None),
    ]
