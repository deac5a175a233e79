"""What the README says in code and in numbers: its recipe for data of one's own, and the values of right losses."""

import re
from pathlib import Path

import numpy as np
import pytest

import scoremin as sm

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")


def block(name):
    """The README's Python block that defines name, run; what it leaves."""
    text, = (text for text in re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
             if f"def {name}(" in text)
    names = {"np": np, "sm": sm, "data": sm.swiss_roll(np.random.default_rng(0), 500), "rng": np.random.default_rng(1)}
    exec(text, names)
    return names


def offset(rng, n):
    """50 N(0, I) + 128."""
    return 50 * rng.standard_normal((n, 2)) + 128


def scales(rng, n):
    """A column of two clusters a millionth wide, and one of skewed values a million wide."""
    return np.stack([1e-6 * (rng.standard_normal(n) + 3 * rng.choice([-1, 1], n)), 1e6 * rng.standard_normal(n)**2], 1)


def pixels(rng, n):
    """Eight correlated integers from 0 to 16, dequantised."""
    x = np.clip(rng.normal(8, 3, (n, 1)) + rng.normal(0, 2, (n, 8)), 0, 16).round()
    return x + rng.random(x.shape) - 0.5


@pytest.mark.parametrize("draw", [offset, scales, pixels])
def test_the_recipe_samples_awkward_data(draw):
    """(MIX.8) (NCSN.6) Means to a tenth of a deviation, deviations and correlations to a tenth, of 2,000 samples;
    and an energy distance far below that of the Gaussian with these moments, unless the data are that Gaussian."""
    rng = np.random.default_rng(0)
    data = draw(rng, 20_000)
    new = block("sampler")["sampler"](data, np.random.default_rng(1), steps=700)(2000)
    shift, scale = data.mean(axis=0), data.std(axis=0)
    assert np.abs((new.mean(axis=0) - shift) / scale).max() < 0.1
    assert np.abs(new.std(axis=0) / scale - 1).max() < 0.1
    assert np.abs(np.corrcoef(new.T) - np.corrcoef(data.T)).max() < 0.1
    if draw is scales:
        gauss = shift + scale * rng.standard_normal(new.shape)
        distance = lambda x: sm.energy_distance((x - shift) / scale, (data[:2000] - shift) / scale)
        assert distance(new) < 0.1 * distance(gauss)


def test_without_standardising_the_same_network_fails_in_silence():
    """On 50 N(0, I) + 128 the loss falls, and the samples' mean is off by a deviation and more."""
    rng, data = np.random.default_rng(0), offset(np.random.default_rng(0), 20_000)
    sigmas = sm.geometric_sigmas(1.5, 0.02, 15)

    def loss(params, x, rng):
        z, sigma = rng.standard_normal(x.shape), rng.choice(sigmas, len(x))
        return sm.ncsn_loss(sm.NoiseConditionalMLP(params), x, z, sigma)

    params, losses = sm.fit(loss, sm.init_mlp(rng, [3, 32, 2]), data, steps=400, rng=rng, learning_rate=4e-3)
    start = sigmas[0] * rng.standard_normal((200, 2))
    x = sm.annealed_langevin(sm.NoiseConditionalMLP(params), start, sigmas, step=8e-5, n_steps=5, rng=rng)
    assert losses[-50:].mean() < losses[:50].mean()
    assert np.abs(x.mean(axis=0) - 128).min() > 50


def exact_points(rng, n, c):
    """n points of mean 0 and covariance c²I exactly."""
    x = rng.standard_normal((n, 2))
    x = x - x.mean(axis=0)
    return c * np.linalg.solve(np.linalg.cholesky(np.cov(x.T, bias=True)), x.T).T


def test_values_of_right_losses_are_those_of_the_table():
    """(ISM.6) (DSM.6) (NCSN.4) On N(0, c²I), d = 2: each loss at s = 0 and at the true score, as the README says."""
    c, sigma, d = 1.5, 0.5, 2
    x, z = exact_points(np.random.default_rng(0), 40, c), np.sqrt(d) * np.concatenate([np.eye(d), -np.eye(d)])
    z, noisy = np.repeat(z, len(x), axis=0), np.tile(x, (2 * d, 1))           # E z = 0, E zzᵀ = I, xᵀz = 0 exactly
    true, smoothed = (lambda x: -x / c**2), (lambda x, *_: -x / (c**2 + sigma**2))
    v = np.sqrt(d) * np.eye(d)[:, None] * np.ones((d, len(x), d))
    for loss in (sm.implicit_loss, lambda s, x: sm.sliced_loss(s, x, v), lambda s, x: sm.sliced_vr_loss(s, x, v)):
        assert loss(lambda x: 0 * x, x) == 0
        assert abs(loss(true, x) + 0.5 * d / c**2) < 1e-12                    # −½E‖∇log p‖²
    assert abs(sm.finite_difference_loss(true, x, v[0], 0.1) - sm.sliced_vr_loss(true, x, v[0])) < 1e-12
    assert abs(sm.explicit_loss(np.zeros_like, x, true(x)) - 0.5 * d / c**2) < 1e-12
    assert sm.explicit_loss(true, x, true(x)) == 0
    plateau = d / (2 * sigma**2) - 0.5 * d / (c**2 + sigma**2)
    for loss in (sm.denoising_loss, sm.denoising_vr_loss):
        assert abs(loss(np.zeros_like, noisy, z, sigma) - d / (2 * sigma**2)) < 1e-12
        assert abs(loss(smoothed, noisy, z, sigma) - plateau) < 1e-12
    assert abs(sm.ncsn_loss(lambda x, sigma: 0 * x, noisy, z, sigma) - d / 2) < 1e-12
    assert abs(sm.ncsn_loss(smoothed, noisy, z, sigma) - sigma**2 * plateau) < 1e-12


def test_a_network_and_a_score_of_ones_own_work_as_the_readme_writes_them():
    """The README's block with autograd.numpy trains a tanh network, and its score has the trace of its formula."""
    names = block("network")
    x = names["data"]
    tr = sm.divergence(names["bumps"], x)[1]
    square = np.sum(x**2, axis=1)
    assert np.allclose(tr, -2 / (1 + square) + 2 * square / (1 + square)**2, rtol=1e-12)
    assert sm.implicit_loss(names["network"](names["mine"]), x) < 0
