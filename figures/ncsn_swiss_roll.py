"""Annealed Langevin dynamics draws a spiral that plain Langevin dynamics cannot.

A noise-conditional network learns the scores of a swiss roll at 20 noise levels. Sampling through the
levels, from wide to fine, gives points like the data. Plain Langevin dynamics on the same network at
its finest level does not: its start is far from the spiral, where that level's score was never
trained. Below, the cloud on its way down the levels.

Source: the swiss roll of scikit-learn, scaled by 1/10; method of Song & Ermon 2019, algorithm 1.
Settings: 3 hidden layers of 128, 10,000 Adam steps of 256, σ from 1.5 to 0.01, 50 steps a level.
"""

from functools import partial

import numpy as np

from scoremin import (
    NoiseConditionalMLP,
    annealed_langevin,
    energy_distance,
    fit,
    geometric_sigmas,
    init_mlp,
    langevin,
    ncsn_loss,
    swiss_roll,
)

from .common import BLUE, GREEN, RED, Claim, canvas, draw_points, normal, plane, save, scaled, stream, ticker

SIGMAS = geometric_sigmas(1.5, 0.01, 20)
STEP, STEPS_PER_LEVEL = 5e-5, 50


def train(rng, budget, progress):
    """The noise-conditional score network, in float32."""
    def loss(params, x, rng):
        sigma = SIGMAS[rng.integers(len(SIGMAS), size=len(x))]
        return ncsn_loss(NoiseConditionalMLP(params), x, normal(rng, x), sigma)

    params = init_mlp(rng, [3, 128, 128, 128, 2], np.float32)
    data = swiss_roll(rng, scaled(200_000, budget))
    params, _ = fit(loss, params, data, steps=scaled(10_000, budget), rng=rng, progress=progress)
    return NoiseConditionalMLP(params)


def sample(score, rng, n, progress):
    """Annealed and plain Langevin dynamics from one start, and the annealed cloud every 4 levels."""
    start = (SIGMAS[0] * rng.standard_normal((n, 2))).astype(np.float32)
    steps, path = len(SIGMAS) * STEPS_PER_LEVEL, []
    tick = ticker(progress, steps, "annealed Langevin")

    def record(i, x):
        tick(i, x)
        if (i + 1) % (4 * STEPS_PER_LEVEL) == 0:
            path.append(x)

    annealed = annealed_langevin(score, start, SIGMAS, STEP, STEPS_PER_LEVEL, rng, callback=record)
    plain = langevin(score.at(SIGMAS[-1]), start, STEP, steps, rng, callback=ticker(progress, steps, "Langevin"))
    return annealed, plain, [start, *path]


def main(seed, budget, out, progress):
    rng, n = stream(seed, "ncsn_swiss_roll"), scaled(4000, budget, 100)
    score = train(rng, budget, partial(progress, label="training"))
    annealed, plain, path = sample(score, rng, n, progress)
    real = swiss_roll(rng, n)
    floor = np.mean([energy_distance(swiss_roll(rng, n), swiss_roll(rng, n)) for _ in range(8)])

    fig, axes = canvas(1, 3, 2.9)
    for ax, x, title, color in zip(axes, (real, plain, annealed),
                                   ("original", "Langevin, finest level", "annealed Langevin"), (BLUE, RED, GREEN)):
        plane(ax, title, 2)
        draw_points(ax, x, color)
    save(fig, out)
    return [
        Claim("energy distance, annealed to real, over real to real", energy_distance(annealed, real) / floor, 0, 1.5),
        Claim("energy distance, Langevin to real, over real to real", energy_distance(plain, real) / floor, 10, None),
    ]
