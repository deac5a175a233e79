"""Explicit score matching and the kernel density estimate against quadrature and naive sums."""

import tracemalloc
from math import exp, log, pi

import autograd.numpy as np
import pytest
from autograd import elementwise_grad, grad
from numpy.polynomial.hermite_e import hermegauss
from oracles import MIXTURE, exact_noise

from scoremin import (
    GaussianMixture,
    denoising_loss,
    explicit_loss,
    fisher_divergence,
    kde_log_density,
    kde_score,
)
from scoremin.explicit import BLOCK


def kernel_sum(x, data, h, skip=None):
    """p_h(x)·n·(2πh²)^{d/2} and ∑ k_i x_i at one x, in Python floats."""
    total, pull = 0.0, [0.0] * len(x)
    for i, row in enumerate(data):
        if i != skip:
            k = exp(-sum((a - b)**2 for a, b in zip(x, row)) / (2 * h * h))
            total, pull = total + k, [p + k * b for p, b in zip(pull, row)]
    return total, pull


def naive_score(x, data, h, leave_one_out=False):
    """∇log p_h at every row of x by kernel_sum."""
    scores = []
    for n, row in enumerate(x.tolist()):
        total, pull = kernel_sum(row, data, h, n if leave_one_out else None)
        scores.append([(p / total - a) / h**2 for p, a in zip(pull, row)])
    return np.array(scores)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_explicit_loss_is_half_the_expected_squared_distance_of_scores(d):
    """(ESM.1) For p = N(0, I) and s = −ax + c, J_ESM = ½((1 − a)² d + d c²), by tensor quadrature over p."""
    a, c = 1.7, 0.3
    nodes, weights = hermegauss(4)
    x = np.stack(np.meshgrid(*[nodes] * d), axis=-1).reshape(-1, d)
    w = np.prod(np.stack(np.meshgrid(*[weights] * d), axis=-1).reshape(-1, d), axis=1) / (2 * pi)**(d / 2)
    losses = [explicit_loss(lambda x: -a * x + c, row[None], -row[None]) for row in x]
    assert np.dot(w, losses) == pytest.approx(0.5 * ((1 - a)**2 + c**2) * d, rel=1e-12)


def test_explicit_loss_is_zero_at_the_true_score_alone():
    """(ESM.1) 0 for s = ∇log p; a score off by u everywhere costs ½‖u‖²."""
    x = MIXTURE.sample(np.random.default_rng(0), 500)
    assert explicit_loss(MIXTURE.score, x, MIXTURE.score(x)) == 0
    off = explicit_loss(lambda x: MIXTURE.score(x) + np.array([3.0, -4.0]), x, MIXTURE.score(x))
    assert off == pytest.approx(12.5, rel=1e-13)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_kde_is_the_mean_of_its_kernels(d):
    """(ESM.2) (ESM.5) log p_h against a sum over kernels in Python floats, each of mass (2πh²)^{d/2}."""
    rng, h = np.random.default_rng(1), 0.6
    data, x = rng.normal(0, 1, (7, d)), rng.normal(0, 1, (5, d))
    expected = [log(kernel_sum(row, data.tolist(), h)[0] / (7 * (2 * pi * h * h)**(d / 2))) for row in x.tolist()]
    assert np.max(np.abs(kde_log_density(x, data, h) - np.array(expected))) < 1e-13


@pytest.mark.parametrize("d, spacing", [(1, 0.05), (2, 0.1), (3, 0.35)])
def test_kde_density_integrates_to_one(d, spacing):
    """(ESM.2) (ESM.5) ∫ p_h dx = 1 by the trapezoid rule in one, two and three dimensions."""
    axis = np.arange(-6, 6, spacing)
    x = np.stack(np.meshgrid(*[axis] * d), axis=-1).reshape(-1, d)
    data = np.random.default_rng(2).uniform(-1.5, 1.5, (5, d))
    assert np.sum(np.exp(kde_log_density(x, data, 0.5))) * spacing**d == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("h", [0.3, 1.0, 4.0])
def test_kde_score_is_the_softmax_mean_shift(d, h):
    """(ESM.3) (ESM.4) (∑ w_i x_i − x)/h² with the weights summed naively."""
    rng = np.random.default_rng(3)
    data, x = rng.normal(0, 1, (8, d)), rng.normal(0, 1.5, (6, d))
    assert np.max(np.abs(kde_score(x, data, h) - naive_score(x, data.tolist(), h))) < 1e-12 / h**2


def test_kde_score_is_the_gradient_of_the_kde_log_density():
    """(ESM.4) (ESM.5) By reverse mode to rounding, by central differences to 10⁻⁸."""
    rng = np.random.default_rng(4)
    data, x = rng.normal(0, 1, (9, 3)), rng.normal(0, 1.5, (6, 3))
    score = kde_score(x, data, 0.7)
    assert np.max(np.abs(score - elementwise_grad(lambda x: kde_log_density(x, data, 0.7))(x))) < 1e-13
    for j, e in enumerate(1e-5 * np.eye(3)):
        slope = (kde_log_density(x + e, data, 0.7) - kde_log_density(x - e, data, 0.7)) / 2e-5
        assert np.max(np.abs(score[:, j] - slope)) < 1e-8


def test_kde_far_from_the_data_is_finite_and_exact():
    """(ESM.3) (ESM.4) (ESM.5) At (40, 40) every kernel underflows; their ratios e^−80 : 1 : e^−2 do not."""
    data, x = np.array([[-1.0, 0.0], [0.0, 1.0], [2.0, -1.0]]), np.array([[40.0, 40.0]])
    # ‖x − x_i‖² is 41² + 40² = 3281, 40² + 39² = 3121, 38² + 41² = 3125, and the exponent is minus half of it.
    w = np.array([exp(-80), 1, exp(-2)]) / (exp(-80) + 1 + exp(-2))
    score = kde_score(x, data, 1.0)
    assert np.max(np.abs(score - (np.dot(w, data) - x))) < 1e-13
    assert np.max(np.abs(score - np.array([[-39.7615942, -39.2384058]]))) < 5e-8
    exact = -3121 / 2 + log(exp(-80) + 1 + exp(-2)) - log(3) - log(2 * pi)
    assert kde_log_density(x, data, 1.0)[0] == pytest.approx(exact, rel=1e-15)
    distant = kde_score(np.array([[1e8, 0.0]]), data, 1e-3)
    assert np.max(np.abs(distant - (np.array([[2.0, -1.0]]) - np.array([[1e8, 0.0]])) * 1e6)) < 1.0


def test_kde_keeps_its_digits_at_a_large_offset():
    """(ESM.4) (ESM.5) Data at 10⁶ with spread .01: the same as near 0 to the 2·10⁻¹⁰ that rounding 10⁶ leaves."""
    rng, offset = np.random.default_rng(5), np.array([1e6, -1e6])
    near_data, near_x = rng.normal(0, 0.01, (50, 2)), rng.normal(0, 0.01, (20, 2))
    data, x = near_data + offset, near_x + offset
    exact, score = kde_score(near_x, near_data, 0.01), kde_score(x, data, 0.01)
    # A position is off by 1e-10 at most; the score has slopes up to 1/h² times a few.
    assert np.max(np.abs(score - exact)) < 1e-4 and np.max(np.abs(exact)) > 100
    assert np.max(np.abs(kde_score(x - offset, data - offset, 0.01) - score)) < 1e-7
    assert np.max(np.abs(kde_log_density(x, data, 0.01) - kde_log_density(near_x, near_data, 0.01))) < 1e-5


@pytest.mark.parametrize("leave_one_out", [False, True])
def test_kde_in_blocks_is_the_kde_row_by_row(leave_one_out):
    """(ESM.4) (ESM.5) (ESM.6) More kernels than one block holds, against the full matrix of differences."""
    data, h = np.random.default_rng(6).normal(0, 1, (701, 2)), 0.3
    assert len(data)**2 > 1.5 * BLOCK
    kernels = np.exp(-np.sum((data[:, None] - data)**2, axis=2) / (2 * h**2))
    if leave_one_out:
        np.fill_diagonal(kernels, 0)
    total = np.sum(kernels, axis=1)
    full = (np.dot(kernels, data) / total[:, None] - data) / h**2
    assert np.max(np.abs(kde_score(data, data, h, leave_one_out) - full)) < 1e-11
    if not leave_one_out:
        assert np.max(np.abs(kde_log_density(data, data, h) - np.log(total / (701 * 2 * pi * h**2)))) < 1e-12


def test_leave_one_out_skips_the_own_kernel_and_no_other():
    """(ESM.6) Each row against the naive KDE of the other rows; a duplicated point still counts its twin."""
    data = np.random.default_rng(7).normal(0, 1, (9, 2))
    data[4] = data[2]
    expected = naive_score(data, data.tolist(), 0.5, leave_one_out=True)
    assert np.max(np.abs(kde_score(data, data, 0.5, leave_one_out=True) - expected)) < 1e-12


@pytest.mark.parametrize("h", [0.1, 0.5, 2.0])
def test_own_kernel_shrinks_the_score_by_r_over_one_plus_r(h):
    """(ESM.6) ∇log p_h(x_j) = r/(1 + r) times the leave-one-out score, r summed naively."""
    data = np.random.default_rng(8).normal(0, 1, (9, 2))
    r = np.array([kernel_sum(row, data.tolist(), h, j)[0] for j, row in enumerate(data.tolist())])
    expected = (r / (1 + r))[:, None] * kde_score(data, data, h, leave_one_out=True)
    assert np.max(np.abs(kde_score(data, data, h) - expected)) < 1e-12 / h**2


def test_score_at_the_data_vanishes_with_the_bandwidth_unless_left_out():
    """(ESM.6) Four points 1 to 4 apart, h = .1: r ≤ 3 e^−50 flattens the score, leave-one-out has norm ≥ 1/h²."""
    data = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.5], [-2.0, -1.0]])
    with_own, without = kde_score(data, data, 0.1), kde_score(data, data, 0.1, leave_one_out=True)
    assert np.max(np.abs(with_own)) < 3 * exp(-50) * 4 * 100
    assert np.min(np.sqrt(np.sum(without**2, axis=1))) >= 100 * (1 - 1e-12)


def test_blur_biases_the_kde_score_by_order_h_squared():
    """(ESM.2) E p_h = q_h of the mixture: halving h divides the error of ∇log q_h by 4."""
    x = np.random.default_rng(9).normal(0, 2, (200, 2))
    error = [np.max(np.abs(MIXTURE.smoothed(h).score(x) - MIXTURE.score(x))) for h in (0.02, 0.01)]
    assert error[0] / error[1] == pytest.approx(4, abs=0.02)


def test_mean_of_the_kde_over_data_sets_is_the_smoothed_density():
    """(ESM.2) E p_h(x) = q_h(x) for data from p: the mean of 4·10⁵ kernels, within 5 of their standard errors."""
    h, x = 0.8, np.array([[0.0, 0.0], [2.0, 1.0], [-1.0, -3.0]])
    data = MIXTURE.sample(np.random.default_rng(10), 400_000)
    q, density = np.exp(MIXTURE.smoothed(h).log_density(x)), np.exp(kde_log_density(x, data, h))
    # E N(x; y, h²I)² = q at bandwidth h/√2 over 4πh²
    square = np.exp(MIXTURE.smoothed(h / 2**0.5).log_density(x)) / (4 * pi * h**2)
    assert np.all(np.abs(density - q) < 5 * np.sqrt((square - q**2) / len(data)))


def pair_of_modes(weights, at):
    """Two unit Gaussians at ±(at, at)."""
    return GaussianMixture(weights, [[at, at], [-at, -at]], np.tile(np.eye(2), (2, 1, 1)))


def test_far_modes_hide_their_weights():
    """(ESM.7) Weights .8, .2 against .5, .5 at ±(5, 5): Fisher divergence 1.2e-11, KL .193, both by quadrature."""
    axis = np.linspace(-12, 12, 241)
    x, limit = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), 0.8 * log(1.6) + 0.2 * log(0.4)
    fisher, divergence = {}, {}
    for at in (1.0, 2.0, 5.0):
        p, other = pair_of_modes([0.8, 0.2], at), pair_of_modes([0.5, 0.5], at)
        mass = np.exp(p.log_density(x)) * 0.1**2
        r = np.sqrt(len(x) * mass)[:, None]
        fisher[at] = fisher_divergence(lambda x, q=other, r=r: r * q.score(x), lambda x, q=p, r=r: r * q.score(x), x)
        divergence[at] = np.sum(mass * (p.log_density(x) - other.log_density(x)))
    assert fisher[5.0] == pytest.approx(1.2e-11, abs=0.05e-11) and fisher[1.0] > 0.05 > 1e-3 * fisher[2.0] > fisher[5.0]
    assert divergence[5.0] == pytest.approx(limit, abs=1e-9) and limit == pytest.approx(0.193, abs=5e-4)
    assert divergence[1.0] < divergence[2.0] < limit


@pytest.mark.parametrize("h", [0.5, 1.0, 2.0])
def test_matching_the_kde_at_its_own_points_is_another_objective(h):
    """(ESM.8) On ±1 the best slope is (1 − tanh h⁻²)/h², left out 2/h², and 1/(1 + h²) over p_h, as in DSM."""
    data, grid = np.array([[-1.0], [1.0]]), np.linspace(-20, 20, 2001)[:, None]
    r = np.sqrt(2001 * 0.02 * np.exp(kde_log_density(grid, data, h)))[:, None]
    x, z = exact_noise(data)
    slopes = [
        ((1 - np.tanh(h**-2)) / h**2, lambda a: explicit_loss(lambda x: -a * x, data, kde_score(data, data, h))),
        (2 / h**2, lambda a: explicit_loss(lambda x: -a * x, data, kde_score(data, data, h, leave_one_out=True))),
        (1 / (1 + h**2), lambda a: explicit_loss(lambda x: -a * r * x, grid, r * kde_score(grid, data, h))),
        (1 / (1 + h**2), lambda a: denoising_loss(lambda x: -a * x, x, z, h)),
    ]
    for best, loss in slopes:
        assert abs(grad(loss)(best)) < 1e-10
        assert abs(grad(loss)(best + 0.1)) > 0.05


@pytest.mark.parametrize("f", [kde_score, kde_log_density])
def test_kde_memory_does_not_grow_with_the_queries(f):
    """200 queries at 50,000 points: the full matrix would be 80 MB, a dozen blocks of 2 MiB stay below 32 MiB."""
    rng = np.random.default_rng(11)
    x, data = rng.normal(0, 1, (200, 2)), rng.normal(0, 1, (50_000, 2))
    tracemalloc.start()
    try:
        f(x, data, 0.5)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 * 2**20


def test_kde_in_float32_agrees_with_float64():
    """Float32 queries give float32 values, right to its precision, even far from the data."""
    rng = np.random.default_rng(12)
    data, x = rng.normal(0, 1, (300, 2)), np.concatenate([rng.normal(0, 1, (50, 2)), [[60.0, -80.0]]])
    for f in (kde_score, kde_log_density):
        value = f(x.astype(np.float32), data, 0.5)
        assert value.dtype == np.float32
        assert np.max(np.abs(value - f(x, data, 0.5)) / np.maximum(1, np.abs(f(x, data, 0.5)))) < 1e-3


def test_kde_score_is_not_spoiled_by_an_outlier():
    """(ESM.4) .3 against 0, .5, 1 and 10⁶ at h = 1, in float32: .1681, where a shift by the mean gave .1719."""
    data = np.array([[0.0], [0.5], [1.0], [1e6]])
    w = [exp(-0.09 / 2), exp(-0.04 / 2), exp(-0.49 / 2)]
    exact = (0.5 * w[1] + w[2]) / sum(w) - 0.3
    value = kde_score(np.array([[0.3]], np.float32), data, 1.0)[0, 0]
    assert abs(value - exact) < 1e-6 and abs(exact - 0.1681) < 5e-5


@pytest.mark.parametrize("n", [1, 255, 256, 257, 513])
def test_kde_does_not_depend_on_where_blocks_end(n):
    """(ESM.4) (ESM.5) 256 rows are one block here: each row as on its own to rounding, the same call the same bytes."""
    rng = np.random.default_rng(14)
    x, data = rng.normal(0, 1, (n, 2)), rng.normal(0, 1, (BLOCK // 512, 2))
    for f in (kde_score, kde_log_density):
        value, picked = f(x, data, 0.4), sorted({0, n // 2, n - 1})
        assert np.max(np.abs(value[picked] - np.concatenate([f(x[k:k + 1], data, 0.4) for k in picked]))) < 1e-12
        assert value.tobytes() == f(x, data, 0.4).tobytes()


def test_bandwidths_whose_square_is_no_number_are_refused():
    """(ESM.5) h = 1e-170 would divide by 0, and h = 1e-25 would in float32; 1e-150 is exact."""
    x = np.array([[1.0]])
    assert kde_score(x, np.array([[1.0 + 2**-40]]), 1e-150)[0, 0] == pytest.approx(2**-40 * 1e300, rel=1e-12)
    for points, h in ((x, 1e-170), (x.astype(np.float32), 1e-25)):
        with pytest.raises(ValueError, match=r"h is .*also squared$"):
            kde_score(points, x, h)


def test_one_point_cannot_be_left_out():
    """(ESM.9) Nothing is left of one point; the error says so, and not that numbers are too large."""
    for f in (kde_score, kde_log_density):
        with pytest.raises(ValueError, match="at least 2 rows"):
            f([[0.5]], [[0.5]], 1.0, leave_one_out=True)


def test_rows_that_repeat_leave_no_best_bandwidth():
    """(ESM.10) (REC.1) Rounded normal data: at h = 10⁻³ each row is at the limit, and the mean above its value at any
    h from .1 to 3; with noise of the spacing there is a maximum inside again."""
    rng = np.random.default_rng(30)
    data = np.rint(2 * rng.standard_normal((300, 1)))
    count = np.sum(data == data.T, axis=1)
    data, count = data[count > 1], count[count > 1]
    count = np.sum(data == data.T, axis=1)
    log_p = lambda data, h: kde_log_density(data, data, h, leave_one_out=True)
    limit = np.log((count - 1) / (len(data) - 1)) - np.log(1e-3) - 0.5 * np.log(2 * np.pi)
    assert np.max(np.abs(log_p(data, 1e-3) - limit)) < 1e-12
    assert all(np.mean(log_p(data, 1e-3)) > 1 + np.mean(log_p(data, h)) for h in (0.1, 0.3, 1, 3))
    noisy = data + rng.random(data.shape) - 0.5
    curve = [np.mean(log_p(noisy, h)) for h in np.geomspace(0.01, 10, 16)]
    assert 2 < np.argmax(curve) < 13                                         # .04 to 4
