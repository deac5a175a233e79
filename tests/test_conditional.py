"""Conditional samples: every equation of the COND chapter, by quadrature, on Gaussians and mixtures in closed form."""

from itertools import pairwise

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from numpy.testing import assert_allclose
from oracles import GRID, LINE, MIXTURE, exact_noise, random_params, replay

from scoremin import (
    GaussianMixture,
    NoiseConditionalMLP,
    given,
    jvp,
    ncsn_loss,
    posterior_score,
    probability_flow,
    reverse_sde,
    tweedie,
)

GAUSSIAN = GaussianMixture([1.0], [[1.0, -1.0, 0.5]], [[[1.0, 0.3, 0.2], [0.3, 0.5, 0.0], [0.2, 0.0, 2.0]]])
H_2, Y_2 = np.array([[1.0, -0.8], [0.4, 0.9]]), np.array([-1.0, 0.6])        # two observations of two dimensions
POINTS = np.array([[0.3, -0.2], [1.1, 2.0], [-2.2, -0.7], [0.1, 0.6]])


def exact(law):
    """The score of a mixture under noise."""
    return lambda x, sigma: law.smoothed(sigma).score(x)


def joint(law, sigma, H, noise):
    """The mixture of [x + σz, y]. As p(y) is constant in x, its score's first d columns are that of x̃ given y."""
    m, d = H.shape
    across = law.covs @ H.T
    covs = np.block([[law.covs + sigma**2 * np.eye(d), across],
                     [across.transpose(0, 2, 1), H @ across + noise**2 * np.eye(m)]])
    return GaussianMixture(law.weights, np.hstack([law.means, law.means @ H.T]), covs)


def posterior(law, x, sigma, H, y, noise):
    """∇log q_σ(x|y) of a mixture in closed form."""
    rows = np.hstack([x, np.broadcast_to(y, (len(x), len(H)))])
    return joint(law, sigma, H, noise).score(rows)[:, :x.shape[1]]


def normal(x, mean, variance):
    """Density of N(mean, variance) in one dimension."""
    return np.exp(-0.5 * (x - mean)**2 / variance) / np.sqrt(2 * np.pi * variance)


def slope(f, x, gap=1e-4):
    """∇f (N,d) of f(x) (N,) by central differences of order four."""
    columns = []
    for e in gap * np.eye(x.shape[1]):
        columns.append((8 * (f(x + e) - f(x - e)) - f(x + 2 * e) + f(x - 2 * e)) / (12 * gap))
    return np.stack(columns, axis=1)


def weights_given(x, sigma, law, grid):
    """p(x_j | x̃) on a grid (G,d) for each x̃ of x, (N,G), by Bayes and a sum."""
    squares = np.sum((x[:, None] - grid)**2, axis=2)
    w = np.exp(law.log_density(grid) - 0.5 * squares / sigma**2)
    return w / w.sum(axis=1, keepdims=True)


def plane(n=161, size=9.0):
    """A regular grid over [−size, size]², (n²,2); sums over it are exact to 10⁻⁹ for MIXTURE."""
    axis = np.linspace(-size, size, n)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def moments(x, sigma, law, grid):
    """Mean (N,d) and covariance (N,d,d) of x given x̃, by quadrature."""
    w = weights_given(x, sigma, law, grid)
    D = w @ grid
    return D, np.einsum("ng,gi,gj->nij", w, grid, grid) - D[:, :, None] * D[:, None, :]


def test_score_given_an_observation_adds_the_score_of_its_likelihood():
    """(COND.1) For p(x) p(y|x) tabulated on a line; the mixture of [x, y] at σ → 0 agrees."""
    h, y, noise, x = 1.3, 0.4, 0.6, np.array([[-1.2], [0.2], [0.9]])
    log_posterior = lambda x: np.log(np.exp(LINE.log_density(x)) * normal(y, h * x[:, 0], noise**2))
    bayes = LINE.score(x) + h * (y - h * x) / noise**2
    assert_allclose(bayes, slope(log_posterior, x), rtol=1e-8)
    assert_allclose(posterior(LINE, x, 1e-6, np.array([[h]]), y, noise), bayes, rtol=1e-8)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
def test_likelihood_of_a_noisy_point_is_the_mean_over_the_clean_ones(sigma):
    """(COND.2) (COND.3) By quadrature on a line, the mean's gradient completes the score; p(y|x) at x̃ does not."""
    h, y, noise, x = 1.3, 0.4, 0.6, np.array([[-1.2], [0.2], [0.9]])
    likelihood = lambda x: weights_given(x, sigma, LINE, GRID) @ normal(y, h * GRID[:, 0], noise**2)
    truth = posterior(LINE, x, sigma, np.array([[h]]), y, noise)
    assert_allclose(LINE.smoothed(sigma).score(x) + slope(lambda x: np.log(likelihood(x)), x), truth, rtol=1e-7)
    assert np.abs(LINE.smoothed(sigma).score(x) + h * (y - h * x) / noise**2 - truth).min() > 0.05 * np.abs(truth).max()


def test_conditional_score_is_the_mean_of_the_noise_given_both():
    """(COND.4) E[−z/σ | x̃, y] by quadrature, z = (x̃ − x)/σ."""
    h, y, noise, sigma, x = 1.3, 0.4, 0.6, 0.7, np.array([[-1.2], [0.2], [0.9]])
    w = weights_given(x, sigma, LINE, GRID) * normal(y, h * GRID[:, 0], noise**2)
    mean = np.sum(w * (GRID[:, 0] - x) / sigma**2, axis=1, keepdims=True) / w.sum(axis=1, keepdims=True)
    assert_allclose(posterior(LINE, x, sigma, np.array([[h]]), y, noise), mean, rtol=1e-8)


def best_linear(rows, d, sigma):
    """The Gaussian's score of x̃ given y from the moments of rows [x, y]: −S⁻¹(x − μ_x − B(y − μ_y))."""
    C, mu = np.cov(rows.T, bias=True), rows.mean(axis=0)
    B = C[:d, d:] @ np.linalg.inv(C[d:, d:])
    W = -np.linalg.solve(C[:d, :d] + sigma**2 * np.eye(d) - B @ C[d:, :d], np.hstack([np.eye(d), -B]))
    return W.T, -W @ mu                                                      # (d+m,d) (d,)


@pytest.mark.parametrize("sigma", [0.2, 1.5])
def test_loss_with_y_beside_x_is_least_at_the_conditional_score(sigma):
    """(COND.5) On affine scores of [x, y], under noise of exact moments, the gradient vanishes there and only there."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((40, 4)) @ rng.standard_normal((4, 4)) + rng.standard_normal(4)
    x, z = exact_noise(rows[:, :2])
    y = np.tile(rows[:, 2:], (4, 1))

    def loss(W, b):
        net = lambda u, sigma: anp.concatenate([anp.dot(u, W) + b, 0 * u[:, 2:]], axis=1)
        return ncsn_loss(given(net, y), x, z, np.full(len(x), sigma))

    W, b = best_linear(rows, 2, sigma)
    assert max(np.abs(grad(loss, i)(W, b)).max() for i in (0, 1)) < 1e-12
    for change in (np.diag([1, 1, -1, -1]), np.eye(4)[[0, 1, 3, 2]], np.diag([1, 1, 0, 0])):
        assert np.abs(grad(loss)(change @ W, b)).max() > 1e-3


@pytest.mark.parametrize("rows", [False, True])
def test_given_puts_y_after_x_and_keeps_the_first_columns(rows):
    """(COND.5) With the exact score of [x, y] it is the exact conditional score; one y for all, or one a row."""
    x, law = POINTS, joint(MIXTURE, 0.8, H_2, 0.5)
    y = np.random.default_rng(1).standard_normal((len(x), 2)) if rows else Y_2
    expected = posterior(MIXTURE, x, 0.8, H_2, y, 0.5)
    assert_allclose(given(law.score, y)(x), expected, rtol=1e-13)
    assert_allclose(given(lambda u, sigma: law.score(u) * sigma, y)(x, 2.0), 2 * expected, rtol=1e-13)
    assert given(law.score, y)(x.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("sigma", [0.4, 1.2, 3.0])
def test_mean_and_covariance_of_an_observation_of_a_noisy_point(sigma):
    """(COND.6) By quadrature over clean points: E[y|x̃] = HD and Cov[y|x̃] = HCHᵀ + noise²I, C from the Jacobian."""
    D, C = moments(POINTS, sigma, MIXTURE, plane())
    at = MIXTURE.smoothed(sigma).score
    assert_allclose(tweedie(at, POINTS, sigma) @ H_2.T, D @ H_2.T, rtol=1e-7, atol=1e-7)
    _, J = jvp(at, POINTS, np.broadcast_to(np.eye(2)[:, None], (2, *POINTS.shape)))
    assert_allclose(H_2 @ (sigma**2 * np.eye(2) + sigma**4 * J.transpose(1, 0, 2)) @ H_2.T, H_2 @ C @ H_2.T, atol=1e-6)


@pytest.mark.parametrize("sigma", [0.4, 1.2, 3.0])
def test_posterior_score_adds_the_gradient_of_the_gaussian_with_both_moments(sigma):
    """(COND.7) (COND.8) Moments by quadrature, their gradient by differences; and its two parts, S⁻¹ and ∇S by hand."""
    grid, noise = plane(), 0.5

    def likelihood(x):
        D, C = moments(x, sigma, MIXTURE, grid)
        S, rest = H_2 @ C @ H_2.T + noise**2 * np.eye(2), Y_2 - D @ H_2.T
        return -0.5 * np.einsum("ni,nij,nj->n", rest, np.linalg.inv(S), rest) - 0.5 * np.log(np.linalg.det(S))

    pull = (posterior_score(exact(MIXTURE), POINTS, sigma, H_2, Y_2, noise) - MIXTURE.smoothed(sigma).score(POINTS))
    assert_allclose(pull, slope(likelihood, POINTS, 1e-2), atol=2e-5 * np.abs(pull).max())
    D, C = moments(POINTS, sigma, MIXTURE, grid)
    P = np.linalg.inv(H_2 @ C @ H_2.T + noise**2 * np.eye(2))
    r = np.einsum("nij,nj->ni", P, Y_2 - D @ H_2.T)
    S = lambda i, j: slope(lambda x: (H_2 @ moments(x, sigma, MIXTURE, grid)[1] @ H_2.T)[:, i, j], POINTS, 1e-2)
    second = sum((r[:, i] * r[:, j] - P[:, i, j])[:, None] * S(i, j) for i in (0, 1) for j in (0, 1)) / 2
    first = np.einsum("nij,kj,nk->ni", C, H_2, r) / sigma**2
    assert_allclose(pull, first + second, atol=2e-5 * np.abs(pull).max())
    assert np.abs(second).max() > 0.01 * np.abs(pull).max()


@pytest.mark.parametrize("noise", [0.0, 0.4])
@pytest.mark.parametrize("sigma", [0.05, 0.7, 5.0])
def test_for_gaussian_data_posterior_score_is_exact(sigma, noise):
    """(COND.3) (COND.7) d = 3, two observations: against the Gaussian of [x̃, y]; y for all, and one a row."""
    rng = np.random.default_rng(2)
    H, x = rng.standard_normal((2, 3)), GAUSSIAN.smoothed(sigma).sample(rng, 6)
    for y in (np.array([0.3, -1.2]), rng.standard_normal((6, 2))):
        expected = posterior(GAUSSIAN, x, sigma, H, y, noise)
        assert_allclose(posterior_score(exact(GAUSSIAN), x, sigma, H, y, noise), expected,
                        atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("sigma", [0.05, 0.7, 5.0])
def test_with_a_fixed_covariance_it_is_exact_for_a_round_gaussian(sigma):
    """(COND.9) d = 3, two observations: against the Gaussian of [x̃, y]; another spread, or another law, is not."""
    rng, law = np.random.default_rng(5), GaussianMixture([1.0], [[1.0, -1.0, 0.5]], [1.3**2 * np.eye(3)])
    H, x, y = rng.standard_normal((2, 3)), law.smoothed(sigma).sample(rng, 6), np.array([0.3, -1.2])
    expected = posterior(law, x, sigma, H, y, 0.4)
    fixed = posterior_score(exact(law), x, sigma, H, y, 0.4, sigma_data=1.3)
    assert_allclose(fixed, expected, atol=1e-11 * np.abs(expected).max())
    assert np.abs(posterior_score(exact(law), x, sigma, H, y, 0.4, sigma_data=1.0) - expected).max() > 1e-7


def pull_error(sigma, noise):
    """Error of the likelihood's part on the mixture, relative to its size."""
    prior = MIXTURE.smoothed(sigma).score(POINTS)
    truth = posterior(MIXTURE, POINTS, sigma, H_2[:1], Y_2[:1], noise) - prior
    found = posterior_score(exact(MIXTURE), POINTS, sigma, H_2[:1], Y_2[:1], noise) - prior
    return np.linalg.norm(found - truth) / np.linalg.norm(truth)


def test_on_a_mixture_it_becomes_exact_at_small_sigma_and_at_large_noise():
    """(COND.7) The error is real, falls with σ, and as 1/noise² where noise is large."""
    assert pull_error(2.0, 0.5) > 0.02
    assert pull_error(0.05, 0.5) < 1e-3 * pull_error(2.0, 0.5)
    assert_allclose(pull_error(2.0, 40.0) / pull_error(2.0, 80.0), 4, rtol=0.02)


def test_without_the_covariance_of_x_the_pull_is_too_hard():
    """(COND.10) N(0, c²): ∂D/∂x̃ (y − D)/noise² over the exact pull."""
    c, sigma, noise, y, x = 1.3, 0.8, 0.5, 0.7, np.array([[0.4], [-1.0]])
    law = GaussianMixture([1.0], [[0.0]], [[[c**2]]])
    s = law.smoothed(sigma).score(x)
    shrink = c**2 / (c**2 + sigma**2)
    pull = posterior_score(exact(law), x, sigma, np.eye(1), np.array([y]), noise) - s
    assert_allclose(shrink * (y - shrink * x) / noise**2 / pull, 1 + sigma**2 * c**2 / ((sigma**2 + c**2) * noise**2))


def scale_and_noise(score, sigma, after):
    """Factor and noise variance of a step of reverse_sde that is linear in x, in one dimension."""
    step = lambda x, z: reverse_sde(score, np.full((1, 1), x), [sigma, after], replay([np.full((1, 1), z)])).item()
    return step(1.0, 0.0) - step(0.0, 0.0), (step(0.0, 1.0) - step(0.0, 0.0))**2


@pytest.mark.parametrize("lost, stable", [(0.4, True), (0.5, False), (0.6, False)])
def test_the_likelihood_of_clean_points_at_noisy_ones_diverges(lost, stable):
    """(COND.11) Factor of a step of reverse_sde on N(0, c²), noise .5: beyond −1 from δ = 2 noise² on."""
    c, noise, y, sigma = 1.3, 0.5, 0.7, 8.0
    naive = lambda x, sigma: -x / (c**2 + sigma**2) + (y - x) / noise**2
    factor, _ = scale_and_noise(naive, sigma, np.sqrt(sigma**2 - lost))
    assert_allclose(factor, 1 - lost / noise**2 - lost / (sigma**2 + c**2))
    assert (factor > -1) == stable


WIDE, NARROW = 2.0, 1.0                                                      # V and v


def guided(w):
    """(1 − w)s + w s_y for N(0, V) and N(0, v) under noise."""
    return lambda x, sigma: -x * ((1 - w) / (WIDE + sigma**2) + w / (NARROW + sigma**2))


@pytest.mark.parametrize("w", [1.0, 2.5, 4.0])
def test_tilted_variance(w):
    """(COND.12) p^{1−w} p_c^w by quadrature, whose score is the guided one without noise."""
    density = normal(GRID, 0, WIDE)**(1 - w) * normal(GRID, 0, NARROW)**w
    variance = np.sum(GRID**2 * density) / np.sum(density)
    assert_allclose(1 / ((1 - w) / WIDE + w / NARROW), variance, rtol=1e-10)
    assert_allclose(guided(w)(GRID[:3], 0.0), -GRID[:3] / variance)


@pytest.mark.parametrize("w", [1.0, 2.5, 4.0])
def test_guided_flow_ends_at_a_geometric_mean_of_variances(w):
    """(COND.13) probability_flow scales x by the closed form, at σ = .5 on the way; from variance U, V^{1−w} v^w."""
    law = lambda u: (WIDE + u)**(1 - w) * (NARROW + u)**w
    for start, end in ((3.0, 0.5), (100.0, 1e-3)):
        grid = np.sinh(np.linspace(np.arcsinh(start), np.arcsinh(end), 1500))
        x = probability_flow(guided(w), np.ones((1, 1)), grid).item()
        assert_allclose(x**2, law(end**2) / law(start**2), rtol=1e-4)
    assert_allclose(start**2 * x**2, WIDE**(1 - w) * NARROW**w, rtol=2e-3)


@pytest.mark.parametrize("w", [1.0, 2.5, 4.0])
def test_guided_process_ends_at_a_third_variance(w):
    """(COND.14) The exact variance of the steps of reverse_sde, extrapolated in their size; and the integral."""
    closed = (WIDE * NARROW - WIDE**(2 - 2 * w) * NARROW**(2 * w)) / ((2 * w - 1) * (WIDE - NARROW))
    ends = []
    for n in (200, 400):
        grid, Q = np.sinh(np.linspace(np.arcsinh(100), np.arcsinh(1e-3), n)), 1e4
        for sigma, after in pairwise(grid):
            factor, variance = scale_and_noise(guided(w), sigma, after)
            Q = factor**2 * Q + variance
        ends.append(Q)
    assert_allclose(2 * ends[1] - ends[0], closed, rtol=5e-3)
    t = (np.arange(100_000) + 0.5) / 100_000                                 # u = t/(1 − t)
    u, M = t / (1 - t), lambda u: (WIDE + u)**(2 - 2 * w) * (NARROW + u)**(2 * w)
    assert_allclose(M(0.0) * np.mean(1 / M(u) / (1 - t)**2), closed, rtol=1e-8)


def test_a_network_that_lends_its_derivatives_gives_the_same():
    """(COND.8) .at(sigma) and autograd through the plain call agree for a network."""
    net, rng = NoiseConditionalMLP(random_params([4, 8, 8, 3]), 1.2), np.random.default_rng(3)
    x, H, y = rng.standard_normal((5, 3)), rng.standard_normal((2, 3)), rng.standard_normal(2)
    fast = posterior_score(net, x, 0.3, H, y, 0.8)
    assert_allclose(fast, posterior_score(lambda x, sigma: net(x, sigma), x, 0.3, H, y, 0.8), rtol=1e-10)


def test_the_order_of_observations_does_not_matter():
    """(COND.6) Nor for a learned score, whose Jacobian is not symmetric."""
    net, rng = NoiseConditionalMLP(random_params([4, 8, 8, 3]), 1.2), np.random.default_rng(3)
    x, H, y = rng.standard_normal((5, 3)), rng.standard_normal((2, 3)), rng.standard_normal(2)
    assert_allclose(posterior_score(net, x, 0.8, H[::-1], y[::-1], 0.8), posterior_score(net, x, 0.8, H, y, 0.8),
                    rtol=1e-10)


def test_float32_stays_and_agrees_with_float64():
    """float32 in, float32 out, to its digits, at small and large σ."""
    for sigma in (0.05, 1.0, 10.0):
        double = posterior_score(exact(MIXTURE), POINTS, sigma, H_2, Y_2, 0.5)
        x, H, y = (a.astype(np.float32) for a in (POINTS, H_2, Y_2))
        single = posterior_score(exact(MIXTURE), x, sigma, H, y, 0.5)
        assert single.dtype == np.float32 and np.abs(single - double).max() < 1e-3 * np.abs(double).max()


def test_it_samples_the_posterior():
    """(COND.3) reverse_sde on one Gaussian, a lambda for the score: mean and covariance within 5 standard errors."""
    rng, n = np.random.default_rng(4), 4000
    H, y, noise = np.array([[1.0, 0.5, -0.3]]), np.array([2.0]), 0.3
    grid = 0.5 * np.sinh(np.linspace(np.arcsinh(200), np.arcsinh(0.02), 120))
    x = reverse_sde(lambda x, sigma: posterior_score(exact(GAUSSIAN), x, sigma, H, y, noise),
                    grid[0] * rng.standard_normal((n, 3)), grid, rng)
    mean, cov = GAUSSIAN.means[0], GAUSSIAN.covs[0]
    gain = cov @ H.T / (H @ cov @ H.T + noise**2)
    left = cov - gain @ H @ cov
    assert_allclose(x.mean(axis=0), mean + gain @ (y - H @ mean), atol=5 * np.sqrt(left.diagonal().max() / n))
    assert_allclose(np.cov(x.T), left, atol=(5 * np.sqrt(2 / n) + 0.05) * left.max())


def test_what_has_no_covariance_is_refused():
    """Without noise: a score whose Jacobian is below −1/σ², and two observations that are one."""
    steep = lambda x, sigma: -3 * x / sigma**2
    for score, H in ((steep, H_2), (lambda x, sigma: -x / (1 + sigma**2), np.ones((2, 2)))):
        with pytest.raises(FloatingPointError, match="rows of H depend on each other, or the Jacobian of score"):
            posterior_score(score, POINTS, 0.5, H, Y_2, 0.0)


def positive_part(A):
    """max(A, 0) of symmetric matrices (N,2,2), ½(A + √(A²)), by the square root of a matrix of order 2."""
    squares = A @ A
    root_of_det = np.sqrt(np.linalg.det(squares))
    trace = np.trace(squares, axis1=1, axis2=2)
    root = (squares + root_of_det[:, None, None] * np.eye(2)) / np.sqrt(trace + 2 * root_of_det)[:, None, None]
    return 0.5 * (A + root)


def test_a_learned_score_without_a_covariance_gets_the_nearest():
    """(COND.15) (COND.16) A steep network at σ = 2, with points where HCHᵀ has two, one and no eigenvalue above 0: the
    gradient by differences of log N(y; HD, S). What is kept of HCHᵀ is nearer than it to any covariance."""
    *layers, (W, b) = random_params([4, 8, 8, 3], 9)
    net, rng = NoiseConditionalMLP([*layers, (20 * W, b)], 1.2), np.random.default_rng(6)
    x, H, y = 2 * rng.standard_normal((12, 3)), rng.standard_normal((2, 3)), np.array([0.5, -1.0])
    sigma, noise = 2.0, 0.7
    score = lambda x: net(x, sigma)
    J = lambda x: np.stack([(score(x + e) - score(x - e)) / 2e-5 for e in 1e-5 * np.eye(3)], axis=2)
    part = lambda x: H @ (sigma**2 * np.eye(3) + sigma**4 * J(x)) @ H.T
    symmetric = lambda x: 0.5 * (part(x) + part(x).transpose(0, 2, 1))

    def likelihood(x):
        S, rest = positive_part(symmetric(x)) + noise**2 * np.eye(2), y - tweedie(score, x, sigma) @ H.T
        return -0.5 * np.einsum("ni,nij,nj->n", rest, np.linalg.inv(S), rest) - 0.5 * np.log(np.linalg.det(S))

    assert set(np.sum(np.linalg.eigvalsh(symmetric(x)) > 0, axis=1)) == {0, 1, 2}
    pull = posterior_score(net, x, sigma, H, y, noise) - score(x)
    assert_allclose(pull, slope(likelihood, x, 1e-2), atol=1e-4 * np.abs(pull).max())
    A, root = symmetric(x), rng.standard_normal((100, 12, 2, 2))
    far = lambda A: np.sum((A - root @ root.transpose(0, 1, 3, 2))**2, axis=(2, 3))
    assert (far(positive_part(A)) < far(A) + 1e-9).all()


def test_plain_numpy_in_the_score_and_a_wrong_number_of_observations_are_named():
    """Hidden operations have no derivative; a y of one number would be taken for both rows of H."""
    with pytest.raises(TypeError, match=r"autograd\.numpy"):
        posterior_score(lambda x, sigma: np.where(x > 0, -x, -2 * x), POINTS, 0.5, H_2, Y_2, 0.1)
    for y in (Y_2[:1], np.float64(1.0), np.zeros((4, 3))):
        with pytest.raises(ValueError, match="y has shape"):
            posterior_score(exact(MIXTURE), POINTS, 0.5, H_2, y, 0.1)
