"""The mixture against its formulas, quadrature and counts; the toy sets against their geometry."""

import tracemalloc
from math import erf, pi

import autograd.numpy as np
import pytest
from autograd import elementwise_grad, grad, jacobian
from oracles import MIXTURE

from scoremin import GaussianMixture, checkerboard, standardise, swiss_roll, two_moons
from scoremin.data import decorrelated, log_sum_exp

# Unequal weights and covariances, none of them diagonal, in one, two and three dimensions.
MIXTURES = {
    1: GaussianMixture([0.3, 0.7], [[-1.0], [1.5]], [[[0.4]], [[0.9]]]),
    2: GaussianMixture([0.2, 0.5, 0.3], [[1.0, -1.0], [-1.0, 0.5], [0.0, 1.5]],
                       [[[0.6, 0.2], [0.2, 0.5]], [[0.9, -0.3], [-0.3, 0.7]], [[0.5, 0.0], [0.0, 1.0]]]),
    3: GaussianMixture([0.6, 0.4], [[0.5, 0.0, -0.5], [-0.5, 1.0, 0.0]],
                       [[[0.8, 0.2, 0.1], [0.2, 0.6, -0.1], [0.1, -0.1, 0.7]],
                        [[0.6, 0.0, -0.2], [0.0, 0.9, 0.1], [-0.2, 0.1, 0.8]]]),
}


def grid(d, box, spacing):
    """The points of a regular grid over [−box, box]^d and the volume of its cells."""
    axis = np.arange(-box, box + spacing / 2, spacing)
    return np.stack(np.meshgrid(*[axis] * d), axis=-1).reshape(-1, d), spacing**d


def component_densities(mixture, x):
    """w_k N(x; μ_k, Σ_k), (N,K), row by row with a determinant and a linear solve."""
    d = x.shape[1]
    return np.array([[w * np.exp(-0.5 * (row - m) @ np.linalg.solve(S, row - m))
                      / np.sqrt((2 * pi)**d * np.linalg.det(S))
                      for w, m, S in zip(mixture.weights, mixture.means, mixture.covs)] for row in x])


@pytest.mark.parametrize("d", [1, 2, 3])
def test_mixture_density_integrates_to_one(d):
    """(MIX.1) (MIX.2) ∫ p dx = 1 by the trapezoid rule; without the factor d it would be (2π)^((d−1)/2)."""
    x, volume = grid(d, 8, [0.05, 0.1, 0.3][d - 1])
    assert abs(np.sum(np.exp(MIXTURES[d].log_density(x))) * volume - 1) < 1e-10


@pytest.mark.parametrize("d", [1, 2, 3])
def test_mixture_density_is_the_weighted_sum_of_gaussians(d):
    """(MIX.1) (MIX.2) p(x) = ∑ w_k N(x; μ_k, Σ_k), each term written with det Σ and Σ⁻¹."""
    x = np.random.default_rng(0).normal(0, 2, (20, d))
    expected = np.log(np.sum(component_densities(MIXTURES[d], x), axis=1))
    assert np.max(np.abs(MIXTURES[d].log_density(x) - expected)) < 1e-12


@pytest.mark.parametrize("d", [1, 2, 3])
def test_mixture_score_is_the_pull_of_the_components_weighted_by_responsibility(d):
    """(MIX.3) (MIX.4) With r_k the share of component k in p(x), which sum to 1, ∇log p = −∑ r_k Σ_k⁻¹(x−μ_k)."""
    mixture, x = MIXTURES[d], np.random.default_rng(1).normal(0, 2, (20, d))
    parts = component_densities(mixture, x)
    r = parts / np.exp(mixture.log_density(x))[:, None]
    pulls = np.stack([np.linalg.solve(S, (x - m).T).T for m, S in zip(mixture.means, mixture.covs)], axis=1)
    assert np.max(np.abs(np.sum(r, axis=1) - 1)) < 1e-12
    assert np.max(np.abs(mixture.score(x) + np.sum(r[:, :, None] * pulls, axis=1))) < 1e-11


@pytest.mark.parametrize("d", [1, 2, 3])
def test_mixture_score_is_the_gradient_of_the_log_density(d):
    """(MIX.4) ∇log p by reverse mode, and by central differences of a density that uses no autograd."""
    mixture, x = MIXTURES[d], np.random.default_rng(2).normal(0, 2, (20, d))
    assert np.max(np.abs(mixture.score(x) - elementwise_grad(mixture.log_density)(x))) < 1e-12
    for j, e in enumerate(1e-5 * np.eye(d)):
        up, down = (np.log(np.sum(component_densities(mixture, x + u), axis=1)) for u in (e, -e))
        assert np.max(np.abs(mixture.score(x)[:, j] - (up - down) / 2e-5)) < 1e-7


@pytest.mark.parametrize("d", [1, 2, 3])
def test_jacobian_of_the_mixture_score_in_closed_form(d):
    """(MIX.5) ∑ r(u − s)(u − s)ᵀ − ∑ r Σ⁻¹ is autograd's Jacobian, at unequal weights and covariances, far out too."""
    mixture = MIXTURES[d]
    for x in np.array([[0.3, -0.2, 0.4], [1.5, 1.0, -0.6], [30.0, -20.0, 10.0]])[:, :d]:
        P = np.linalg.inv(mixture.covs)                                      # (K,d,d)
        u = np.einsum("kij,kj->ki", P, mixture.means - x)                    # (K,d)
        log_joint = (np.log(mixture.weights) - 0.5 * np.log(np.linalg.det(mixture.covs))
                     - 0.5 * np.einsum("ki,ki->k", mixture.means - x, u))
        r = np.exp(log_joint - np.max(log_joint))
        r = r / np.sum(r)
        s = r @ u
        H = np.einsum("k,ki,kj->ij", r, u - s, u - s) - np.einsum("k,kij->ij", r, P)
        assert np.max(np.abs(H - jacobian(lambda x: mixture.score(x[None])[0])(x))) < 1e-10


@pytest.mark.parametrize("d", [1, 2])
def test_smoothed_mixture_is_the_convolution_with_the_noise(d):
    """(MIX.6) q_σ(x) = ∫ p(y) N(x; y, σ²I) dy, by the trapezoid rule over y."""
    sigma, queries = 0.7, np.random.default_rng(3).normal(0, 2, (12, d))
    y, volume = grid(d, 9, 0.1)
    p = np.exp(MIXTURES[d].log_density(y))
    kernels = np.exp(-np.sum((queries[:, None] - y)**2, axis=2) / (2 * sigma**2)) / (2 * pi * sigma**2)**(d / 2)
    convolution = np.sum(kernels * p, axis=1) * volume
    assert np.max(np.abs(np.exp(MIXTURES[d].smoothed(sigma).log_density(queries)) / convolution - 1)) < 1e-10


def test_log_sum_exp_is_exact_where_exp_overflows_or_underflows():
    """(MIX.7) log(e^a + e^(a+t)) = a + log(1 + e^t) for every a, and log(e^a + e^a) = a + log 2."""
    for a in (-1e4, -745.0, 0.0, 700.0, 1e4):
        assert log_sum_exp(np.array([[a, a]]))[0] == pytest.approx(a + np.log(2), abs=1e-11)
        assert log_sum_exp(np.array([[a, a + 3]]))[0] == pytest.approx(a + np.log1p(np.exp(3)), abs=1e-11)
        assert log_sum_exp(np.array([[a, a - 1e3]]))[0] == a


def test_log_sum_exp_has_the_softmax_as_gradient():
    """(MIX.7) With the maximum a constant to autograd the gradient still is e^a_k / ∑ e^a_i, ties included."""
    a = np.array([[0.5, -1.0, 2.0], [3.0, 3.0, -2.0]])
    softmax = np.exp(a) / np.sum(np.exp(a), axis=1, keepdims=True)
    assert np.max(np.abs(grad(lambda a: np.sum(log_sum_exp(a)))(a) - softmax)) < 1e-14


def test_mixture_far_out_is_its_widest_component():
    """(MIX.7) At distance 10⁴ every exponential underflows; log p and its gradient follow the widest component."""
    mixture = GaussianMixture([0.25, 0.75], [[0.0], [0.0]], [[[1.0]], [[4.0]]])
    x = np.array([[1e4], [-1e4]])
    exact = np.log(0.75) - x[:, 0]**2 / 8 - 0.5 * np.log(2 * pi * 4)
    assert np.max(np.abs(mixture.log_density(x) / exact - 1)) < 1e-15
    assert np.max(np.abs(mixture.score(x) + x / 4)) < 1e-12


def test_mixture_in_float32_agrees_with_float64():
    """float32 in, float32 out, and right to its precision."""
    x = np.random.default_rng(4).normal(0, 2, (50, 2))
    for f in (MIXTURE.log_density, MIXTURE.score):
        assert f(x.astype(np.float32)).dtype == np.float32
        assert np.max(np.abs(f(x.astype(np.float32)) - f(x))) < 1e-5 * np.max(np.abs(f(x)))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_mixture_samples_have_the_exact_moments(d):
    """(MIX.1) E x = ∑ w_k μ_k and E xxᵀ = ∑ w_k (Σ_k + μ_k μ_kᵀ), within 5 standard errors by quadrature."""
    mixture, n = MIXTURES[d], 200_000
    x = mixture.sample(np.random.default_rng(5), n)
    y, volume = grid(d, 8, [0.05, 0.1, 0.3][d - 1])
    p = np.exp(mixture.log_density(y)) * volume
    mean = np.einsum("k,ki->i", mixture.weights, mixture.means)
    squares = mixture.covs + mixture.means[:, :, None] * mixture.means[:, None, :]
    second = np.einsum("k,kij->ij", mixture.weights, squares)
    for i in range(d):
        spread = np.sqrt(np.sum(p * (y[:, i] - mean[i])**2) / n)
        assert abs(np.mean(x[:, i]) - mean[i]) < 5 * spread
        for j in range(d):
            spread = np.sqrt(np.sum(p * (y[:, i] * y[:, j] - second[i, j])**2) / n)
            assert abs(np.mean(x[:, i] * x[:, j]) - second[i, j]) < 5 * spread


@pytest.mark.parametrize("d", [1, 2, 3])
def test_mixture_samples_fill_every_slab_in_proportion(d):
    """(MIX.1) Along any direction u the samples are a 1-D mixture N(uᵀμ_k, uᵀΣ_k u): counts of 24 slabs, 5 sigma."""
    mixture, n = MIXTURES[d], 100_000
    x = mixture.sample(np.random.default_rng(6), n)
    edges = np.concatenate([[-np.inf], np.linspace(-3, 3, 23), [np.inf]])
    for u in np.vstack([np.eye(d), np.random.default_rng(7).standard_normal((2, d))]):
        means, scales = mixture.means @ u, np.sqrt(np.einsum("i,kij,j->k", u, mixture.covs, u))
        cdf = sum(w * np.array([0.5 * (1 + erf((e - m) / (s * 2**0.5))) for e in edges])
                  for w, m, s in zip(mixture.weights, means, scales))
        share = np.diff(cdf)
        counts = np.histogram(x @ u, edges)[0]
        assert np.all(np.abs(counts - n * share) < 5 * np.sqrt(n * share * (1 - share)) + 1)


def fair(counts):
    """Whether the counts of equally likely cells are within 5 sigma of each other's mean."""
    n, share = np.sum(counts), 1 / len(counts)
    return np.all(np.abs(counts - n * share) < 5 * np.sqrt(n * share * (1 - share)))


def test_swiss_roll_winds_uniformly_from_4_7_to_14_1_over_10():
    """Without noise 10x = t(cos t, sin t) with t = ‖10x‖ uniform on [1.5π, 4.5π]; the noise adds variance (.5/10)²."""
    clean, noisy = (swiss_roll(np.random.default_rng(8), 20_000, noise) for noise in (0.0, 0.5))
    t = 10 * np.sqrt(np.sum(clean**2, axis=1))
    assert np.max(np.abs(10 * clean - t[:, None] * np.stack([np.cos(t), np.sin(t)], axis=1))) < 1e-11
    assert fair(np.histogram(t, np.linspace(1.5 * pi, 4.5 * pi, 31))[0]) and 1.5 * pi <= t.min() < t.max() <= 4.5 * pi
    assert abs(np.mean((noisy - clean)**2) / 0.05**2 - 1) < 5 * np.sqrt(2 / 40_000)


def test_two_moons_are_unit_half_circles_facing_each_other():
    """Without noise a point lies at 1 from (−½, −¼) and above it, or at 1 from (½, ¼) and below it."""
    clean, noisy = (two_moons(np.random.default_rng(9), 20_000, noise) for noise in (0.0, 0.1))
    centre = np.array([0.5, 0.25])
    upper = (np.abs(np.sqrt(np.sum((clean + centre)**2, axis=1)) - 1) < 1e-12) & (clean[:, 1] >= -0.25)
    lower = (np.abs(np.sqrt(np.sum((clean - centre)**2, axis=1)) - 1) < 1e-12) & (clean[:, 1] <= 0.25)
    assert np.all(upper ^ lower) and fair(np.array([np.sum(upper), np.sum(lower)]))
    angle = np.arctan2(clean[upper, 1] + 0.25, clean[upper, 0] + 0.5)
    assert fair(np.histogram(angle, np.linspace(0, pi, 21))[0])
    assert abs(np.mean((noisy - clean)**2) / 0.1**2 - 1) < 5 * np.sqrt(2 / 40_000)


def test_checkerboard_fills_the_dark_squares_alone():
    """Every point lies in [−2, 2]² where ⌊x₁⌋ + ⌊x₂⌋ is even; the 8 squares and their quarters are equally likely."""
    x = checkerboard(np.random.default_rng(11), 40_000)
    squares = np.floor(x).astype(int)
    assert np.all(np.sum(squares, axis=1) % 2 == 0) and np.all(np.abs(squares + 0.5) < 2)
    _, counts = np.unique(np.floor(2 * x), axis=0, return_counts=True)
    assert len(counts) == 32 and fair(counts)


def test_mixture_far_from_the_origin_keeps_its_digits_in_float32():
    """(MIX.4) The mean 1000.1 is no float32: at the nearest one, 1000.1 − 2.44e-5, the score is 24.4 and not 0."""
    x = np.array([[1000.1]], np.float32)
    score = GaussianMixture([1], [[1000.1]], [[[1e-6]]]).score(x)
    assert score.dtype == np.float32
    assert abs(score[0, 0] - (1000.1 - float(x[0, 0])) / 1e-6) < 1e-5 and abs(score[0, 0] - 24.414) < 1e-3


def test_weights_within_rounding_of_one_are_normalised():
    """(MIX.1) Three weights .3333333 are a third each: the density integrates to 1, and sampling works."""
    mixture = GaussianMixture([0.3333333] * 3, [[-1.0], [0.0], [1.0]], np.full((3, 1, 1), 0.2))
    x, volume = grid(1, 8, 0.05)
    assert abs(np.sum(np.exp(mixture.log_density(x))) * volume - 1) < 1e-12
    assert mixture.sample(np.random.default_rng(12), 10).shape == (10, 1)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_covariances_are_judged_in_their_own_scale(scale):
    """Off by a thousandth, or singular to rounding, is refused at any scale; correlation 1 − 1e-9 is not."""
    make = lambda a, b: GaussianMixture([1], [[0, 0]], scale * np.array([[[1.0, a], [b, 1.0]]]))
    with pytest.raises(ValueError, match="want symmetric ones, positive definite"):
        make(0.5, 0.501)
    for bad in (1.0, 1 - 1e-16, 1.5):
        with pytest.raises(ValueError, match="positive definite beyond rounding"):
            make(bad, bad)
    s = make(1 - 1e-9, 1 - 1e-9).score(np.sqrt(scale) * np.array([[1.0, -1.0]]))
    assert np.allclose(s * np.sqrt(scale), [[-1e9, 1e9]], rtol=1e-6)         # −1/(1 − ρ) along (1, −1)


def test_sampling_in_many_dimensions_holds_one_root_at_a_time():
    """(MIX.1) d = 300, n = 2,000: a root for each point would take 1.4 GB; 40 MB suffice."""
    d, n = 300, 2000
    mixture = GaussianMixture([0.5, 0.5], [[1.0] * d, [-1.0] * d], np.tile(0.25 * np.eye(d), (2, 1, 1)))
    tracemalloc.start()
    try:
        x = mixture.sample(np.random.default_rng(13), n)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * 2**20
    assert abs(np.mean((x - np.sign(x.mean(axis=1, keepdims=True)))**2) / 0.25 - 1) < 5 * np.sqrt(2 / (n * d))


def test_samples_are_independent_of_each_other():
    """(MIX.1) The correlation of a point with the next is 0 within 5 standard errors, in value and in component."""
    x = MIXTURE.sample(np.random.default_rng(14), 50_000)
    for a in (x - np.mean(x, axis=0), np.sign(x.sum(axis=1))[:, None]):
        assert np.max(np.abs(a[1:].T @ a[:-1] / len(a) / np.var(a))) < 5 / np.sqrt(len(a))


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, np.int8, bool])
def test_other_kinds_of_numbers_are_taken_as_float64(dtype):
    """Half and extended precision, integers and booleans: the values of the same numbers in float64."""
    x = np.array([[1, 0], [0, 1], [1, 1]], dtype)
    for f in (MIXTURE.score, MIXTURE.log_density):
        assert f(x).dtype == np.float64 and np.array_equal(f(x), f(x.astype(float)))


def test_standardise_sums_in_float64():
    """(MIX.8) In float32, 2²⁴, 2²⁴, 2²⁴ + 2 have the mean 2²⁴ + ⅔ and the deviation √8/3: u = −1/√2, −1/√2, √2; and a
    million rows about 1,000 have mean 0 to the rounding of float32."""
    u, shift, scale = standardise(np.array([[2**24], [2**24], [2**24 + 2]], np.float32))
    assert u.dtype == shift.dtype == scale.dtype == np.float32
    assert np.max(np.abs(u[:, 0] / [-0.5**0.5, -0.5**0.5, 2**0.5] - 1)) < 1e-6
    assert abs(scale[0] / (8**0.5 / 3) - 1) < 1e-6
    u, _, _ = standardise((1000 + np.random.default_rng(40).random((10**6, 1))).astype(np.float32))
    assert abs(np.mean(u, dtype=float)) < 1e-6 and abs(np.std(u, dtype=float) - 1) < 1e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_data_of_a_small_unit_are_no_constants(dtype):
    """(MIX.8) 2⁻³⁰ times the data have the same u, to the bit, and 2⁻³⁰ times the scale."""
    x = np.random.default_rng(19).standard_normal((50, 2)).astype(dtype)
    (u, _, scale), (small, _, its_scale) = standardise(x), standardise(2.0**-30 * x)
    assert np.array_equal(u, small) and np.array_equal(2.0**-30 * scale, its_scale)


def test_columns_lose_their_correlations():
    """(MIX.9) u = wQ, Q symmetric; of many rows w has the covariance I, but where a variance is below .3: that of the
    thinnest direction of ρ = .9 is .1, of which ⅓ is left."""
    rng = np.random.default_rng(7)
    for rho, thin in ((0.6, 1), (-0.6, 1), (0.9, 1 / 3)):
        a, b = rng.standard_normal((2, 40_000))
        u = standardise(np.stack([a, rho * a + np.sqrt(1 - rho**2) * b], axis=1))[0]
        w, Q = decorrelated(u)
        assert np.allclose(w @ Q, u, atol=1e-12) and np.array_equal(np.round(Q, 12), np.round(Q.T, 12))
        assert np.allclose(np.sort(np.linalg.eigvalsh(np.cov(w.T))), [thin, 1], atol=0.02)
    assert decorrelated(u[:, :1])[1] == 1


def test_correlations_are_shrunk_as_chance_wants():
    """(MIX.9) By loops over pairs, for one table; of 400 tables of 30 independent rows, five columns, κ r̂ has less than
    half the mean square of r̂, whose law has 1/(n − 1) a pair; of equal columns all is kept."""
    rng, off = np.random.default_rng(8), ~np.eye(5, dtype=bool)
    tables = rng.standard_normal((400, 30, 5))
    u = tables[0] + 0.5 * tables[1][:, :1]
    r = np.corrcoef(u.T)
    chance = sum((1 - r[i, j]**2)**2 / 30 for i in range(5) for j in range(5) if i != j)
    Q = decorrelated(u)[1]
    assert np.allclose((Q @ Q)[off], (1 - chance / sum(r[off]**2)) * r[off], rtol=1e-12)
    kept = np.mean([np.mean((Q @ Q)[off]**2) for _, Q in map(decorrelated, tables)])
    assert kept < 0.5 / 29
    same = decorrelated(np.tile(tables[0][:, :1], (1, 2)))[1]
    assert np.allclose(same @ same, [[1.15, 0.85], [0.85, 1.15]])            # 2 and 0, raised to .3
