"""Noise-conditional score networks: the levels, the weighted loss and its shared linear optimum."""

from math import erf

import autograd.numpy as np
import pytest
from autograd import grad, jacobian
from autograd.misc import flatten
from numpy.polynomial.hermite_e import hermegauss
from oracles import MIXTURE, exact_noise, gradient_error, plain_mlp

from scoremin import (
    MLP,
    NoiseConditionalMLP,
    denoising_loss,
    geometric_sigmas,
    init_mlp,
    kde_score,
    ncsn_loss,
    ncsn_vr_loss,
    stratified_sigmas,
)

LEVELS = np.array([2.0, 0.5, 0.1])


def at_all_levels(x, z):
    """x, z and sigma with every row once at every one of LEVELS."""
    L = len(LEVELS)
    return np.tile(x, (L, 1)), np.tile(z, (L, 1)), np.repeat(LEVELS, len(x))


def test_levels_are_geometric():
    """(NCSN.1) ends exact, neighbouring ratios equal, and each level that of the formula."""
    sigmas = geometric_sigmas(20.0, 0.01, 7)
    assert np.allclose(sigmas, [20 * (0.01 / 20)**(i / 6) for i in range(7)], rtol=1e-14)
    assert np.allclose(sigmas[1:] / sigmas[:-1], (0.01 / 20)**(1 / 6), rtol=1e-13)
    assert sigmas[0] == 20
    assert abs(sigmas[-1] / 0.01 - 1) < 1e-15
    assert np.array_equal(geometric_sigmas(1, 0.5, 2), [1, 0.5])


def curvature(data, points, sigma):
    """The largest eigenvalue of the Hessian of log q_σ of data over points."""
    s = lambda x: kde_score(x[None], data, sigma)[0]
    return max(np.linalg.eigvalsh(jacobian(s)(x))[-1] for x in points)


def test_widest_level_joins_all_modes():
    """(NCSN.6) Above ½ max ‖x_i − x_j‖ the noisy data are log-concave, one mode; below it two points are not."""
    data = np.concatenate([MIXTURE.sample(np.random.default_rng(8), 15) + shift for shift in (-6, 6)])
    most = np.sqrt(np.max(np.sum((data[:, None] - data)**2, axis=2)))
    middle = np.concatenate([np.mean(data, axis=0) + 4 * np.random.default_rng(9).standard_normal((40, 2)), data])
    for sigma in (0.51 * most, most):
        assert curvature(data, middle, sigma) <= most**2 / (4 * sigma**4) - 1 / sigma**2 < 0
    pair, between = np.array([[-1.0, 0.0], [1.0, 0.0]]), np.zeros((1, 2))
    assert curvature(pair, between, 0.99) > 0 > curvature(pair, between, 1.01)


def normal(x):
    """Φ(x)."""
    return 0.5 * (1 + erf(x / 2**0.5))


def test_levels_overlap_by_half_at_the_ratio_of_the_rule():
    """(NCSN.7) d = 3·32·32: γ = 1.0398, and of the norms of level i + 1, by their exact law, half are near level i."""
    d = 3 * 32 * 32
    shift = lambda gamma: (2 * d)**0.5 * (gamma - 1)
    inside = lambda gamma: normal(shift(gamma) + 3 * gamma) - normal(shift(gamma) - 3 * gamma)
    low, high = 1.0, 1.2
    for _ in range(60):
        gamma = (low + high) / 2
        low, high = (gamma, high) if inside(gamma) > 0.5 else (low, gamma)
    assert abs(gamma - 1.0398) < 5e-5
    assert 0.5 < inside(5000**(1 / 231)) < 0.6                               # 232 levels from 50 to .01, as published
    r = np.linspace(d**0.5 - 8, d**0.5 + 8, 16_001)                          # ‖z‖, of density ∝ r^(d−1) e^(−r²/2)
    density = np.exp((d - 1) * np.log(r / d**0.5) - (r**2 - d) / 2)
    near = np.abs(r - d**0.5 * gamma) < 3 * gamma / 2**0.5                   # three deviations of level i, σ_{i+1} = 1
    assert abs(np.sum(density[near]) / np.sum(density) - 0.5) < 0.01


def test_loss_is_the_weighted_mean_of_denoising_losses():
    """(NCSN.2) (NCSN.3) 1/L ∑ σ_i² ℓ(θ; σ_i) with ℓ the denoising loss at one level: value and gradient."""
    rng = np.random.default_rng(0)
    x, z, params = MIXTURE.sample(rng, 11), rng.standard_normal((11, 2)), init_mlp(rng, [3, 8, 2])

    def level(params, sigma):
        return denoising_loss(lambda y: NoiseConditionalMLP(params)(y, sigma), x, z, sigma)

    def weighted(params):
        return sum(sigma**2 * level(params, sigma) for sigma in LEVELS) / len(LEVELS)

    def loss(params):
        return ncsn_loss(NoiseConditionalMLP(params), *at_all_levels(x, z))

    assert abs(loss(params) / weighted(params) - 1) < 1e-13
    g, w = flatten(grad(loss)(params))[0], flatten(grad(weighted)(params))[0]
    assert np.abs(g - w).max() < 1e-12 * np.abs(w).max()


def test_every_row_has_its_own_level():
    """(NCSN.3) the score is asked at x + σ_n z with that row's σ_n; the order of rows does not matter."""
    rng = np.random.default_rng(1)
    x, z, sigma = rng.standard_normal((6, 2)), rng.standard_normal((6, 2)), rng.random(6) + 0.1
    score, order = NoiseConditionalMLP(init_mlp(rng, [3, 8, 2])), rng.permutation(6)
    rows = [ncsn_loss(score, x[n:n + 1], z[n:n + 1], sigma[n:n + 1]) for n in range(6)]
    by_hand = [0.5 * np.sum((s_n * score(x[n:n + 1] + s_n * z[n], s_n) + z[n])**2) for n, s_n in enumerate(sigma)]
    assert np.allclose(rows, by_hand, rtol=1e-13)
    assert abs(ncsn_loss(score, x, z, sigma) / np.mean(by_hand) - 1) < 1e-13
    assert abs(ncsn_loss(score, x[order], z[order], sigma[order]) / np.mean(by_hand) - 1) < 1e-13


def test_one_number_means_that_level_in_every_row():
    """(NCSN.2) a scalar sigma is the same as (N,) equal ones, and σ² times the denoising loss."""
    rng = np.random.default_rng(2)
    x, z, params = rng.standard_normal((5, 2)), rng.standard_normal((5, 2)), init_mlp(rng, [2, 4, 2])
    score = lambda x, sigma: MLP(params)(x)
    assert ncsn_loss(score, x, z, 0.3) == ncsn_loss(score, x, z, np.full(5, 0.3))
    assert abs(ncsn_loss(score, x, z, 0.3) / (0.09 * denoising_loss(MLP(params), x, z, 0.3)) - 1) < 1e-13


@pytest.mark.parametrize("sigma", [100.0, 1.0, 1e-2, 1e-4])
def test_zero_score_costs_half_d_at_every_level(sigma):
    """(NCSN.4) σ² ℓ = d/2 exactly at s = 0 with noise of exact moments; without σ² it is d/2σ²."""
    x, z = exact_noise(np.random.default_rng(3).standard_normal((4, 3)))
    assert abs(ncsn_loss(lambda x, sigma: np.zeros_like(x), x, z, sigma) - 1.5) < 1e-13
    assert abs(denoising_loss(np.zeros_like, x, z, sigma) * sigma**2 - 1.5) < 1e-13


def test_loss_is_noise_prediction():
    """(NCSN.4) ½E‖σs + z‖² against a predictor of z written out, on a network in plain autograd."""
    rng = np.random.default_rng(4)
    x, z, sigma = *(rng.standard_normal((7, 2)) for _ in range(2)), rng.random(7) + 0.05
    params = init_mlp(rng, [3, 6, 2])

    def predicted(params):
        """z as −f([x̃/√(σ² + 1), log σ])."""
        x_noisy = x + sigma[:, None] * z
        inputs = np.concatenate([x_noisy / np.sqrt(sigma[:, None]**2 + 1), np.log(sigma)[:, None]], axis=1)
        return 0.5 * np.mean(np.sum((z + plain_mlp(params)(inputs))**2, axis=1))

    loss = lambda params: ncsn_loss(NoiseConditionalMLP(params), x, z, sigma)
    assert abs(loss(params) / predicted(params) - 1) < 1e-13
    g, w = flatten(grad(loss)(params))[0], flatten(grad(predicted)(params))[0]
    assert np.abs(g - w).max() < 1e-12 * np.abs(w).max()


def test_gradient_is_that_of_central_differences():
    """(NCSN.3) parameter gradient with levels from 10 to 1e-4 in one batch; a 10 % wrong one is rejected."""
    rng = np.random.default_rng(5)
    x, z, sigma = MIXTURE.sample(rng, 24), rng.standard_normal((24, 2)), np.geomspace(10, 1e-4, 24)
    params = init_mlp(rng, [3, 8, 8, 2])
    loss = lambda params: ncsn_loss(NoiseConditionalMLP(params), x, z, sigma)
    assert gradient_error(loss, params, rng) < 1e-7
    assert gradient_error(loss, params, rng, gradient=1.1 * flatten(grad(loss)(params))[0]) > 0.05


def test_shared_linear_optimum_weighs_the_levels_by_sigma_squared():
    """(NCSN.5) gradient 0 at A = (∑λ)(∑λ(S + σ²I))⁻¹, λ = σ², m = μ; not at the plain mean of levels."""
    rng = np.random.default_rng(6)
    data = rng.standard_normal((20, 3)) @ rng.standard_normal((3, 3)) + [1, 2, -1]
    S, batch = np.cov(data.T, bias=True), at_all_levels(*exact_noise(data))

    def slope(A):
        params = [(-A, data.mean(axis=0) @ A)]
        loss = lambda params: ncsn_loss(lambda x, sigma: MLP(params)(x), *batch)
        return np.abs(flatten(grad(loss)(params))[0]).max()

    noisy = [S + sigma**2 * np.eye(3) for sigma in LEVELS]
    best = np.sum(LEVELS**2) * np.linalg.inv(sum(sigma**2 * C for sigma, C in zip(LEVELS, noisy)))
    assert slope(best) < 1e-10
    assert slope(np.linalg.inv(sum(noisy) / 3)) > 0.01
    assert slope(np.sum(LEVELS**4) * np.linalg.inv(sum(sigma**4 * C for sigma, C in zip(LEVELS, noisy)))) > 0.01


def test_float32_keeps_its_digits_at_small_sigma():
    """Σ = 1e-4 in float32: loss and gradient are float32 and agree with float64 to 1e-5."""
    rng = np.random.default_rng(7)
    x, z, params = MIXTURE.sample(rng, 64), rng.standard_normal((64, 2)), init_mlp(rng, [3, 8, 2])
    sigma = np.where(np.arange(64) % 2, 1e-4, 1.0)

    def both(dtype):
        cast, a, b = [(W.astype(dtype), b.astype(dtype)) for W, b in params], x.astype(dtype), z.astype(dtype)
        loss = lambda params: ncsn_loss(NoiseConditionalMLP(params), a, b, sigma)
        return loss(cast), flatten(grad(loss)(cast))[0]

    (loss32, g32), (loss64, g64) = both(np.float32), both(np.float64)
    assert loss32.dtype == g32.dtype == np.float32
    assert abs(loss32 / loss64 - 1) < 1e-5
    assert np.abs(g32 - g64).max() < 1e-5 * np.abs(g64).max()


def test_a_level_is_judged_by_its_own_square():
    """However many rows have it: 1e19 has a square in float32, 1e20 has none, nor has 1e-20."""
    z = np.random.default_rng(8).standard_normal((1000, 2)).astype(np.float32)
    for net in (lambda x, sigma: 0 * x, NoiseConditionalMLP([(np.zeros((3, 2), np.float32), np.zeros(2, np.float32))])):
        loss = lambda sigma, net=net: ncsn_loss(net, 0 * z, z, np.full(1000, sigma))
        assert abs(loss(1e19) / (0.5 * np.mean(np.sum(z.astype(float)**2, axis=1))) - 1) < 1e-5
        for sigma in (1e20, 1e-20):
            with pytest.raises(ValueError, match=r"sigma is .*want finite numbers > 0, also squared"):
                loss(sigma)


def gradients_under_both_signs(x, z, sigma, a):
    """d/da of ncsn_loss, of each row, for s = −a x̃: under z and under −z."""
    score = lambda a: lambda x, sigma: -a * x
    row = lambda a, x, z: ncsn_loss(score(a), x[None], z[None], sigma)
    return [np.array([grad(row)(a, x_n, side * z_n) for x_n, z_n in zip(x, z)]) for side in (1, -1)]


@pytest.mark.parametrize("sigma", [0.1, 0.7, 3.0])
def test_both_signs_leave_the_even_part_of_the_gradient(sigma):
    """(NCSN.8) (NCSN.9) N(0, c²), d = 1, by Gauss–Hermite quadrature, exact for these polynomials: variances of the
    gradient under one sign and under both, and of its odd part over its even part."""
    c, (nodes, weights) = 0.7, hermegauss(8)
    x, z = (a.reshape(-1, 1) for a in np.meshgrid(c * nodes, nodes))
    w = np.outer(weights, weights).reshape(-1) / np.sum(weights)**2
    g, mirrored = gradients_under_both_signs(x, z, sigma, 1 / (c**2 + sigma**2))
    variance = lambda g: np.sum(w * g**2) - np.sum(w * g)**2
    even, odd = variance(0.5 * (g + mirrored)), variance(0.5 * (g - mirrored))
    assert abs(variance(g) - even - odd) < 1e-13
    assert abs(even / (4 * c**4 * sigma**4 / (c**2 + sigma**2)**2) - 1) < 1e-12
    assert abs(odd / even - (c**2 - sigma**2)**2 / (4 * c**2 * sigma**2)) < 1e-12
    params = init_mlp(np.random.default_rng(10), [2, 5, 1])
    loss = lambda f, z: lambda params: f(NoiseConditionalMLP(params), x, z, np.full(len(x), sigma))
    gradient = lambda f, z: flatten(grad(loss(f, z))(params))[0]
    exact = 0.5 * (gradient(ncsn_loss, z) + gradient(ncsn_loss, -z))
    assert np.max(np.abs(gradient(ncsn_vr_loss, z) - exact)) < 1e-13


def test_the_loss_under_both_signs_takes_one_number_and_keeps_float32():
    """(NCSN.8) One σ for all rows is (N,) equal ones; value and gradient stay float32."""
    rng = np.random.default_rng(11)
    x, z = rng.standard_normal((2, 7, 2)).astype(np.float32)
    params = init_mlp(rng, [3, 5, 2], np.float32)
    loss = lambda sigma: lambda params: ncsn_vr_loss(NoiseConditionalMLP(params), x, z, sigma)
    assert loss(0.3)(params) == loss(np.full(7, 0.3))(params)
    assert loss(0.3)(params).dtype == flatten(grad(loss(0.3))(params))[0].dtype == np.float32


def test_stratified_levels_fill_the_range_evenly():
    """(NCSN.10) One in each n-th of the range of log σ, uniform there: log σ has mean and variance of the whole range,
    and means of G(log σ) = log σ a variance of (log σ_1/σ_L)²/(12 n³): within 5 standard errors over 20,000 batches."""
    rng, n, width = np.random.default_rng(12), 8, np.log(10 / 0.01)
    place = (np.log(10) - np.log([stratified_sigmas(rng, 10, 0.01, n) for _ in range(20_000)])) / width  # in [0, 1)
    assert np.array_equal(np.floor(place * n), np.tile(np.arange(n), (20_000, 1)))
    inside = place * n - np.arange(n)
    assert abs(np.mean(inside) - 0.5) < 5 * np.sqrt(1 / 12 / inside.size)
    assert abs(np.mean(inside**2) - 1 / 3) < 5 * np.sqrt(4 / 45 / inside.size)
    variance = np.mean((np.mean(place, axis=1) - 0.5)**2)                    # kurtosis of a mean of uniforms < 3
    assert abs(variance * 12 * n**3 - 1) < 5 * np.sqrt(2 / 20_000)


def test_levels_closer_than_rounding_are_refused():
    """(NCSN.1) Between ends a few ulp apart there is no room for 20 levels that descend; between others they do."""
    refused = []
    for ulp in range(1, 101):
        try:
            assert np.all(np.diff(geometric_sigmas(1 + ulp * np.finfo(float).eps, 1.0, 20)) < 0)
        except ValueError:
            refused.append(ulp)
    assert refused == list(range(1, len(refused) + 1)) and 18 <= len(refused) < 50
