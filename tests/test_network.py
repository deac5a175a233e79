"""The network, its activation and its noise-conditional form against their formulas."""

from math import exp, log, sqrt

import autograd.numpy as np
import pytest
from autograd import elementwise_grad, make_jvp, value_and_grad
from autograd.misc import flatten
from oracles import plain_mlp, random_params

from scoremin import (
    MLP,
    EnergyMLP,
    GaussianMixture,
    NoiseConditionalMLP,
    divergence,
    implicit_loss,
    init_mlp,
    jvp,
    ncsn_loss,
)
from scoremin.network import sigmoid, silu


def silu_derivatives(h):
    """φ and its first three derivatives from φ⁽ᵏ⁾ = k ς⁽ᵏ⁻¹⁾ + h ς⁽ᵏ⁾, with ς through e^−|h|, in float64."""
    h = np.asarray(h, dtype=float)
    small = np.exp(-np.abs(h)) / (1 + np.exp(-np.abs(h)))                    # ς(−|h|)
    g, q = np.where(h < 0, small, 1 - small), small * (1 - small)            # ς, ς'
    s = [g, q, q * (1 - 2 * g), q * (1 - 6 * q)]
    return [h * s[0]] + [k * s[k - 1] + h * s[k] for k in (1, 2, 3)]


@pytest.mark.parametrize("sizes", [[2, 2], [3, 5, 3], [2, 7, 4, 2], [1, 4, 5, 6, 1]])
def test_mlp_is_affine_maps_with_silu_between_them(sizes):
    """(NET.1) (NET.2) Row by row, unit by unit in Python floats; the last layer has no activation."""
    params, x = random_params(sizes, 0), np.random.default_rng(1).normal(0, 2, (4, sizes[0]))
    for row, s in zip(x, MLP(params)(x)):
        a = [float(number) for number in row]
        for l, (W, b) in enumerate(params):
            a = [sum(a[i] * W[i, j] for i in range(len(a))) + b[j] for j in range(len(b))]
            if l < len(params) - 1:
                a = [h / (1 + exp(-h)) for h in a]
        assert np.max(np.abs(s - np.array(a))) < 1e-13


POINTS = np.concatenate([np.linspace(-40, 40, 161), [-1e4, -800.0, -105.0, 105.0, 800.0, 1e4]])
ROUNDING = [(np.float64, 1e-14), (np.float32, 1e-5)]


@pytest.mark.parametrize("dtype, tolerance", ROUNDING)
@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_silu_derivatives_are_right_and_finite_at_any_size(order, dtype, tolerance):
    """(NET.2) (NET.3) φ, φ', φ'', φ''' by repeated reverse mode against closed forms, out to ±10⁴."""
    f = silu
    for _ in range(order):
        f = elementwise_grad(f)
    value, exact = f(POINTS.astype(dtype)), silu_derivatives(POINTS)[order]
    assert value.dtype == dtype
    assert np.all(np.abs(value - exact) <= tolerance * np.maximum(1, np.abs(POINTS)))
    assert np.all(value[np.abs(POINTS) >= 800] == exact[np.abs(POINTS) >= 800])


@pytest.mark.parametrize("dtype, tolerance", ROUNDING)
def test_silu_derivatives_agree_in_forward_and_mixed_mode(dtype, tolerance):
    """(NET.3) φ' forwards, φ'' as reverse over forward and forward over reverse, φ''' as reverse over both."""
    x = POINTS.astype(dtype)
    along = lambda f: lambda h: make_jvp(f)(h)(np.ones_like(x))[1]
    modes = [along(silu), elementwise_grad(along(silu)), along(elementwise_grad(silu)),
             elementwise_grad(along(elementwise_grad(silu)))]
    for f, order in zip(modes, [1, 2, 2, 3]):
        value = f(x)
        assert value.dtype == dtype
        assert np.all(np.abs(value - silu_derivatives(x)[order]) <= tolerance * np.maximum(1, np.abs(POINTS)))


def test_sigmoid_and_its_derivative_match_the_exponential_form():
    """(NET.2) (NET.3) ½(1 + tanh(h/2)) = 1/(1 + e^−h); ς' = ς(1 − ς) and φ' against e^−h/(1 + e^−h)²."""
    h = np.linspace(-30, 30, 121)
    density = np.exp(-h) / (1 + np.exp(-h))**2
    assert np.max(np.abs(sigmoid(h) - 1 / (1 + np.exp(-h)))) < 1e-15
    assert np.max(np.abs(elementwise_grad(sigmoid)(h) - density)) < 1e-15
    assert np.max(np.abs(make_jvp(sigmoid)(h)(np.ones_like(h))[1] - density)) < 1e-15
    assert np.max(np.abs(elementwise_grad(silu)(h) - 1 / (1 + np.exp(-h)) - h * density)) < 1e-14


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_initial_weights_keep_the_size_of_the_signal(dtype):
    """W ~ N(0, 1/in) in every layer and b = 0, within 5 standard errors of the mean and the variance."""
    for W, b in init_mlp(np.random.default_rng(2), [40, 300, 100], dtype):
        assert W.dtype == b.dtype == dtype and not b.any()
        scaled = W.astype(float) * np.sqrt(len(W))
        assert abs(np.mean(scaled)) < 5 / np.sqrt(W.size)
        assert abs(np.mean(scaled**2) - 1) < 5 * np.sqrt(2 / W.size)


def test_noise_conditional_network_is_its_formula():
    """(NET.4) s(x, σ) = f([x/√(σ² + σ_data²), log σ])/σ, one level a row, so that −σs = −f."""
    params, x = random_params([3, 8, 6, 2], 3), np.random.default_rng(4).normal(0, 2, (5, 2))
    sigma = np.array([0.01, 0.3, 1.0, 5.0, 40.0])
    inputs = [[row[0] / sqrt(s * s + 0.49), row[1] / sqrt(s * s + 0.49), log(s)] for row, s in zip(x, sigma)]
    f = plain_mlp(params)(np.array(inputs))
    s = NoiseConditionalMLP(params, sigma_data=0.7)(x, sigma)
    assert np.max(np.abs(sigma[:, None] * s - f)) < 1e-13
    assert np.max(np.abs(s - np.array([f_n / s_n for f_n, s_n in zip(f, sigma)]))) < 1e-11


@pytest.mark.parametrize("sigma", [1e-3, 0.4, 20.0])
@pytest.mark.parametrize("sizes", [[3, 2], [3, 6, 2], [3, 8, 6, 2], [4, 5, 6, 5, 3]])
def test_one_level_is_an_mlp_with_constants_moved_into_the_weights(sizes, sigma):
    """(NET.5) .at(σ)(x) = s(x, σ) for a number and for (N,), in value and in the gradient in θ."""
    rng = np.random.default_rng(5)
    x, c = rng.normal(0, 2, (2, 6, sizes[-1]))
    params = random_params(sizes, 6)
    scores = [lambda net: net.at(sigma)(x), lambda net: net(x, sigma), lambda net: net(x, np.full(6, sigma))]
    results = [value_and_grad(lambda params, s=s: sigma * np.sum(c * s(NoiseConditionalMLP(params, 0.7))))(params)
               for s in scores]
    size = np.max(np.abs(flatten(results[0][1])[0]))
    for value, gradient in results[1:]:
        assert abs(value - results[0][0]) < 1e-12 * max(1, abs(value))
        assert np.max(np.abs(flatten(gradient)[0] - flatten(results[0][1])[0])) < 1e-12 * size


def plain_skip(params, sigma_data):
    """NoiseConditionalMLP with its skip, by (NET.8), in autograd's own operations; sigma one number."""
    def score(x, sigma):
        tau = sqrt(sigma**2 + sigma_data**2)
        inputs = np.concatenate([x / tau, log(sigma) * np.ones((len(x), 1))], axis=1)
        return -x / tau**2 + sigma_data / (sigma * tau) * plain_mlp(params)(inputs)
    return score


@pytest.mark.parametrize("sizes", [[3, 2], [3, 6, 2], [3, 8, 6, 2], [4, 5, 6, 5, 3]])
def test_a_skip_adds_the_score_of_a_gaussian(sizes):
    """(NET.8) −x/τ² + c/(στ) f([x/τ, log σ]), a level a row; in float32 too; .at(σ) is the same function."""
    rng, params = np.random.default_rng(20), random_params(sizes, 21)
    x, sigma = rng.normal(0, 2, (5, sizes[-1])), np.array([0.01, 0.3, 1.0, 5.0, 40.0])
    exact = np.concatenate([plain_skip(params, 0.7)(x[n:n + 1], sigma[n]) for n in range(5)])
    net = NoiseConditionalMLP(params, 0.7, skip=True)
    assert np.max(np.abs(net(x, sigma) / exact - 1)) < 1e-12
    assert np.max(np.abs([net.at(sigma[n])(x[n:n + 1])[0] / exact[n] - 1 for n in range(5)])) < 1e-12
    small = NoiseConditionalMLP([(W.astype(np.float32), b.astype(np.float32)) for W, b in params], 0.7, skip=True)
    for value in (small(x.astype(np.float32), sigma), small.at(0.3)(x.astype(np.float32))):
        assert value.dtype == np.float32
    assert np.max(np.abs(small(x.astype(np.float32), sigma) - exact) * sigma[:, None]) < 1e-4


def white_noise(d, sigma_data):
    """x (2d,d) of mean 0 and covariance σ_data² I, and z, both as for a Gaussian to second order, all pairs of them."""
    corners = sqrt(d) * np.concatenate([np.eye(d), -np.eye(d)])
    return np.repeat(sigma_data * corners, 2 * d, axis=0), np.tile(corners, (2 * d, 1))


@pytest.mark.parametrize("sigma", [1e-3, 0.3, 0.7, 2.0, 1e3])
def test_what_is_left_to_learn_beside_the_skip_has_size_one(sigma):
    """(NET.9) σ²ℓ = ½ c²/τ² E‖f − t‖² for any f; E‖t‖² = d and E[t x̃ᵀ] = 0 on white data; with f = 0 the score is
    that of N(0, c²I) under noise, and σ²ℓ its least value, ½ d c²/τ²."""
    (x, z), tau, params = white_noise(3, 0.7), sqrt(sigma**2 + 0.49), random_params([4, 8, 6, 3], 22)
    x_noisy, t = x + sigma * z, (x * sigma / 0.7 - z * 0.7) / tau
    f = plain_mlp(params)(np.concatenate([x_noisy / tau, np.full((len(x), 1), log(sigma))], axis=1))
    exact = 0.5 * 0.49 / tau**2 * np.mean(np.sum((f - t)**2, axis=1))
    assert abs(ncsn_loss(NoiseConditionalMLP(params, 0.7, skip=True), x, z, sigma) / exact - 1) < 1e-9
    assert abs(np.mean(np.sum(t**2, axis=1)) - 3) < 1e-12
    assert np.max(np.abs(t.T @ x_noisy)) / len(x) < 1e-12 * tau
    zero = NoiseConditionalMLP([*params[:-1], (np.zeros((6, 3)), np.zeros(3))], 0.7, skip=True)
    gaussian = GaussianMixture([1.0], np.zeros((1, 3)), 0.49 * np.eye(3)[None]).smoothed(sigma)
    assert np.max(np.abs(zero(x, sigma) - gaussian.score(x))) < 1e-12 * np.max(np.abs(gaussian.score(x)))
    assert abs(ncsn_loss(zero, x, z, sigma) / (0.5 * 3 * 0.49 / tau**2) - 1) < 1e-6


def test_few_units_cannot_predict_noise_in_many_dimensions():
    """(NET.7) d = 6, k = 2, N(0, c²I): the best last layer on 50 hidden layers drawn at random stays above the bound;
    one that passes two coordinates through where SiLU is straight attains it; with the skip no unit is needed."""
    rng, d, k, sigma, c = np.random.default_rng(23), 6, 2, 1.5, 0.7
    tau_2 = sigma**2 + c**2
    bound = 0.5 * d * c**2 / tau_2 + 0.5 * (d - k) * sigma**2 / tau_2
    x, z = c * rng.standard_normal((20_000, d)), rng.standard_normal((20_000, d))
    error = 5 * np.std(0.5 * np.sum(z**2, axis=1)) / sqrt(20_000)
    for seed in range(50):
        (W, b), _ = random_params([d, k, d], seed)
        features = np.concatenate([silu((x + sigma * z) @ W + b), np.ones((20_000, 1))], axis=1)
        rest = z - features @ np.linalg.lstsq(features, z, rcond=None)[0]
        assert 0.5 * np.mean(np.sum(rest**2, axis=1)) > bound - error
    x, z = white_noise(d, c)
    small, W = 1e-5, np.eye(d + 1)[:, :k]                                    # SiLU(y) = y/2 + O(y²)
    through = [(small * W, np.zeros(k)), (-2 * sigma / sqrt(tau_2) / small * np.eye(d)[:k], np.zeros(d))]
    assert abs(ncsn_loss(NoiseConditionalMLP(through, c), x, z, sigma) / bound - 1) < 1e-8
    zero = [(W, np.zeros(k)), (np.zeros((k, d)), np.zeros(d))]
    assert abs(ncsn_loss(NoiseConditionalMLP(zero, c, skip=True), x, z, sigma) - 0.5 * d * c**2 / tau_2) < 1e-12


@pytest.mark.parametrize("sigma", [1e-3, 0.4, 20.0])
@pytest.mark.parametrize("sizes", [[3, 2], [3, 6, 2], [3, 8, 6, 2], [4, 5, 6, 5, 3]])
def test_derivatives_with_a_skip_are_those_of_the_plain_network(sizes, sigma):
    """(NET.10) Jv for one direction and for M, the trace, and ISM with its gradient in θ, which trains on both."""
    rng, d, params = np.random.default_rng(24), sizes[-1], random_params(sizes, 25)
    x, v = rng.normal(0, 2, (6, d)), rng.standard_normal((2, 6, d))
    at, plain = NoiseConditionalMLP(params, 0.7, skip=True).at(sigma), lambda x: plain_skip(params, 0.7)(x, sigma)
    for value, exact in [(jvp(at, x, v[0]), jvp(plain, x, v[0])), (jvp(at, x, v), jvp(plain, x, v)),
                         (divergence(at, x), divergence(plain, x))]:
        for a, b in zip(value, exact):
            assert np.max(np.abs(a - b)) < 1e-12 * np.max(np.abs(b))
    loss = lambda score: lambda params: implicit_loss(score(params), x)
    value, gradient = value_and_grad(loss(lambda params: NoiseConditionalMLP(params, 0.7, skip=True).at(sigma)))(params)
    exact, g = value_and_grad(loss(lambda params: lambda x: plain_skip(params, 0.7)(x, sigma)))(params)
    assert abs(value / exact - 1) < 1e-12
    assert np.max(np.abs(flatten(gradient)[0] - flatten(g)[0])) < 1e-12 * np.max(np.abs(flatten(g)[0]))


BOUNDARY = 2**16 // (8 * 64)                                                 # rows of a block of 64 units in float64


@pytest.mark.parametrize("n", [1, BOUNDARY - 1, BOUNDARY, BOUNDARY + 1, 2 * BOUNDARY + 1])
def test_values_do_not_depend_on_where_blocks_end(n):
    """(NET.1) (JVP.1) (EBM.3) Each row as on the plain network, in blocks or not; the same call has the same bytes."""
    rng = np.random.default_rng(13)
    x, v = rng.normal(0, 1, (n, 2)), rng.normal(0, 1, (3, n, 2))
    params, energy = random_params([2, 64, 64, 2]), random_params([2, 64, 64, 1])
    three = random_params([2, 64, 5, 64, 2])
    plain_gradient = elementwise_grad(lambda x: plain_mlp(energy)(x)[:, 0])
    cases = [
        (lambda: MLP(params)(x), plain_mlp(params)(x)),
        (lambda: MLP(params).jvp(x, v[0])[1], jvp(plain_mlp(params), x, v[0])[1]),
        (lambda: MLP(params).jvp(x, v)[1], jvp(plain_mlp(params), x, v)[1]),
        (lambda: MLP(params).jvp(x, v)[0], plain_mlp(params)(x)),
        (lambda: MLP(params).divergence(x)[1], divergence(plain_mlp(params), x)[1]),
        (lambda: MLP(three).divergence(x)[1], divergence(plain_mlp(three), x)[1]),
        (lambda: EnergyMLP(energy)(x), plain_mlp(energy)(x)[:, 0]),
        (lambda: EnergyMLP(energy).gradient(x), plain_gradient(x)),
    ]
    for f, exact in cases:
        value = f()
        assert value.shape == exact.shape
        assert np.max(np.abs(value - exact)) < 1e-12
        assert value.tobytes() == f().tobytes()


@pytest.mark.parametrize("dtype", [int, np.float16, "float128" if hasattr(np, "float128") else complex])
def test_parameters_are_drawn_in_float32_or_float64_alone(dtype):
    """Integers would round every weight to 0: refused, with what is wanted."""
    with pytest.raises(TypeError, match=r"want numpy\.float32 or numpy\.float64"):
        init_mlp(np.random.default_rng(0), [2, 2], dtype)
