"""Linear models: every equation of the LIN chapter, against closed forms, other solvers and gradients of the loss."""

import autograd.numpy as np
import pytest
from autograd import elementwise_grad, grad
from numpy.polynomial.hermite_e import hermegauss
from numpy.testing import assert_allclose
from oracles import MIXTURE

from scoremin import GaussianMixture, energy_score, implicit_loss, linear_score


def cosines(w, b):
    """The features (LIN.5) of given ω (d,m) and β (m,)."""
    return lambda x: (2 / len(b))**0.5 * np.cos(np.dot(x, w) + b)


def fourier(rng, n_features, d, length=2.0):
    """Random Fourier features (LIN.5)."""
    return cosines(rng.standard_normal((d, n_features)) / length, rng.uniform(0, 2 * np.pi, n_features))


def affine(x):
    """(1, x)."""
    return np.concatenate([np.ones((len(x), 1)), x], axis=1)


def polynomial(x):
    """All monomials of two variables up to the third degree."""
    a, b = x[:, 0], x[:, 1]
    return np.stack([a**i * b**j for i in range(4) for j in range(4 - i)], axis=1)


def weights(score, features, x):
    """W (d,m) of a linear score, read from its values."""
    return np.linalg.lstsq(features(x), score(x), rcond=None)[0].T


def means(features, x, gap=1e-6):
    """F and U of (LIN.1), U by central differences."""
    f = features(x)
    U = [np.mean(features(x + gap * e) - features(x - gap * e), axis=0) / (2 * gap) for e in np.eye(x.shape[1])]
    return f.T @ f / len(x), np.stack(U, axis=1)


def data(n=400, seed=0):
    return MIXTURE.sample(np.random.default_rng(seed), n)


def test_loss_of_a_linear_model_is_quadratic_in_its_weights():
    """(LIN.1) ½ tr(W F Wᵀ) + tr(W U) is implicit_loss for any W; linear_score has the same F and U, by two ridges."""
    x, W = data(), np.random.default_rng(1).standard_normal((2, 10))
    F, U = means(polynomial, x)
    loss = implicit_loss(lambda x: np.dot(polynomial(x), W.T), x)
    assert abs(loss - 0.5 * np.trace(W @ F @ W.T) - np.trace(W @ U)) < 1e-6 * abs(loss)
    for ridge in (0.3, 3.0):
        W = weights(linear_score(polynomial, x, ridge), polynomial, x)
        assert_allclose(W @ F + ridge * W, -U.T, atol=1e-6 * np.abs(U).max())


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_the_solution_is_a_stationary_point_of_the_loss_and_has_its_value(ridge):
    """(LIN.2) autograd's gradient of implicit_loss + ½ ridge ‖W‖² in W vanishes; J_ISM = −½ tr(Uᵀ F⁻¹ U)."""
    x = data()
    loss = lambda W: implicit_loss(lambda x: np.dot(polynomial(x), W.T), x) + 0.5 * ridge * np.sum(W**2)
    W = weights(linear_score(polynomial, x, ridge), polynomial, x)
    assert np.abs(grad(loss)(W)).max() < 1e-9 * np.abs(grad(loss)(W + 1)).max()
    F, U = means(polynomial, x)
    if not ridge:
        assert abs(loss(W) + 0.5 * np.trace(U.T @ np.linalg.solve(F, U))) < 1e-6


def test_affine_features_give_the_gaussian_score():
    """(LIN.3) −S⁻¹(x − μ) with the 1/n covariance."""
    x = data()
    S = np.cov(x.T, bias=True)
    assert_allclose(linear_score(affine, x)(x), -np.linalg.solve(S, (x - x.mean(axis=0)).T).T, atol=1e-12)


def test_without_a_ridge_the_loss_is_unbounded_with_more_features_than_points():
    """(LIN.4) W = −t Uᵀν νᵀ with νᵀf = 0 at the data: the loss is −t‖Uᵀν‖²; linear_score refuses, a ridge repairs."""
    x, features = data(6), fourier(np.random.default_rng(2), 9, 2, length=0.5)
    _, U = means(features, x)
    u = np.linalg.svd(features(x))[2][-1]
    drop = np.sum((U.T @ u)**2)
    assert drop > 1e-4
    for t in (1.0, 100.0):
        W = -t * np.outer(U.T @ u, u)
        assert abs(implicit_loss(lambda x: np.dot(features(x), W.T), x) / (-t * drop) - 1) < 1e-6  # noqa: B023
    with pytest.raises(ValueError, match="linearly dependent"):
        linear_score(features, x)
    assert np.isfinite(linear_score(features, x, ridge=0.01)(x)).all()


def test_fourier_features_are_the_gaussian_kernel_in_the_mean():
    """(LIN.5) E f(x)ᵀf(y) with both means exact: Gauss's nodes for ω, four phases for β; ℓ is no power of 2."""
    x, y, length = data(8), data(8, seed=5), 1.7
    nodes, weight = hermegauss(60)
    w = np.stack(np.meshgrid(nodes, nodes)).reshape(2, -1) / length
    weight = np.outer(weight, weight).ravel() / weight.sum()**2
    features = cosines(np.repeat(w, 4, axis=1), np.tile(0.3 + np.pi / 2 * np.arange(4), len(weight)))
    mean = (features(x) * np.repeat(weight, 4) * len(weight)) @ features(y).T
    kernel = np.exp(-np.sum((x[:, None] - y)**2, axis=2) / (2 * length**2))
    assert_allclose(mean, kernel, atol=1e-10)


def test_fourier_features_approach_the_gaussian_kernel():
    """(LIN.5) f(x)ᵀf(y) within 5 sigma of the kernel; a term 2 cos cos is at most 2, so its deviation is too."""
    x, y, n = data(8), data(8, seed=5), 100_000
    features = fourier(np.random.default_rng(3), n, 2)
    kernel = np.exp(-np.sum((x[:, None] - y)**2, axis=2) / 8)
    assert np.abs(features(x) @ features(y).T - kernel).max() < 5 * 2 / np.sqrt(n)


def stein(kernel, x, n_ridge):
    """Li & Turner's estimate at the data, −(K + ηI)⁻¹⟨∇, K⟩, ⟨∇, K⟩, and K, from the kernel of two points."""
    n = len(x)
    left, right = np.repeat(x, n, axis=0), np.tile(x, (n, 1))
    K = kernel(left, right).reshape(n, n)
    slopes = elementwise_grad(lambda y: kernel(left, y))(right).reshape(n, n, -1).sum(axis=1)
    return -np.linalg.solve(K + n_ridge * np.eye(n), slopes), slopes, K


def test_at_the_data_a_linear_score_is_the_stein_gradient_estimator():
    """(LIN.6) With the kernel f(x)ᵀf(y) and regulariser n·ridge, more features than points."""
    x, features = data(30), fourier(np.random.default_rng(4), 80, 2)
    estimate, _, _ = stein(lambda x, y: np.sum(features(x) * features(y), axis=1), x, 30 * 0.01)
    assert_allclose(linear_score(features, x, ridge=0.01)(x), estimate, atol=1e-10)


def test_kernel_form_is_the_same_score_everywhere():
    """(LIN.7) Off the data too, for a finite kernel."""
    x, y, ridge = data(30), data(20, seed=6), 0.01
    features = fourier(np.random.default_rng(4), 80, 2)
    _, slopes, K = stein(lambda x, y: np.sum(features(x) * features(y), axis=1), x, 30 * ridge)
    zeta = features(y) @ means(features, x)[1]
    solved = np.linalg.solve(K + 30 * ridge * np.eye(30), slopes / 30)
    expected = (features(y) @ features(x).T @ solved - zeta) / ridge
    assert_allclose(linear_score(features, x, ridge)(y), expected, atol=1e-6)


def test_many_fourier_features_approach_the_kernel_estimator():
    """(LIN.5) (LIN.6) The Gaussian kernel's Stein estimate, with a deviation of order 1/√features."""
    x = data(20)
    kernel = lambda x, y: np.exp(-np.sum((x - y)**2, axis=1) / 8)
    estimate, _, _ = stein(kernel, x, 20 * 0.1)
    errors = [np.mean([np.sum((linear_score(fourier(np.random.default_rng(seed), m, 2), x, 0.1)(x) - estimate)**2)
                       for seed in range(8)])**0.5 for m in (25, 400)]
    assert errors[1] < errors[0] / 2


def test_features_that_hold_the_true_score_find_it():
    """(LIN.2) A Gaussian's score is affine: among cubic polynomials the error vanishes as 1/√n with the data."""
    law = GaussianMixture([1.0], [[1.0, -1.0]], [[[1.0, 0.3], [0.3, 0.5]]])
    x, test = law.sample(np.random.default_rng(7), 100_000), law.sample(np.random.default_rng(8), 500)
    error = np.mean((linear_score(polynomial, x)(test) - law.score(test))**2)
    assert error < 0.01 * np.mean(law.score(test)**2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept_and_float32_agrees_with_float64(dtype):
    """float32 in, float32 out, close to the solution in float64."""
    x = data().astype(dtype)
    w = np.random.default_rng(9).standard_normal((2, 20)).astype(dtype)
    features = lambda x: np.cos(np.dot(x, w.astype(x.dtype)))
    score = linear_score(features, x, ridge=0.01)
    assert score(x).dtype == dtype
    double = linear_score(features, x.astype(float), ridge=0.01)(x.astype(float))
    assert np.abs(score(x) - double).max() < 1e-3 * np.abs(double).max()


def test_wrong_input_is_named():
    """Points, features' shape, the ridge, and the points the result is called with."""
    x = data(20)
    for ridge in (-1.0, np.nan, np.inf, [0.1]):
        with pytest.raises((TypeError, ValueError), match="ridge"):
            linear_score(affine, x, ridge)
    with pytest.raises(ValueError, match=r"x has shape \(20,\)"):
        linear_score(affine, x[:, 0])
    for features in (lambda x: x[:, 0], lambda x: x[:5]):
        with pytest.raises(ValueError, match=r"features\(x\) has shape"):
            linear_score(features, x)
    with pytest.raises(FloatingPointError, match=r"features\(x\) holds NaN"):
        linear_score(lambda x: x * np.nan, x)
    with pytest.raises(ValueError, match=r"x has shape \(4, 3\); want \(N, 2\)"):
        linear_score(affine, x)(np.ones((4, 3)))


def test_one_dependent_feature_is_enough_to_refuse():
    """(LIN.2) F is singular by one dimension: x₁ twice."""
    with pytest.raises(ValueError, match="linearly dependent"):
        linear_score(lambda x: np.concatenate([x, x[:, :1]], axis=1), data())


def test_linear_energies_have_their_optimum_in_closed_form():
    """(LIN.8) Gradient 0 in w of J_ISM at s = ∂(wᵀφ), for monomials of two variables, ∂φ and Δφ by differences."""
    phi, x, gap = lambda x: polynomial(x)[:, 1:], data(), 1e-3               # without the constant
    slopes = [(phi(x + gap * e) - phi(x - gap * e)) / (2 * gap) for e in np.eye(2)]
    curvature = sum(phi(x + gap * e) - 2 * phi(x) + phi(x - gap * e) for e in np.eye(2)) / gap**2
    F = sum(slope.T @ slope for slope in slopes) / len(x)
    w = -np.linalg.solve(F, curvature.mean(axis=0))
    loss = lambda w: implicit_loss(energy_score(lambda x: -np.dot(phi(x), w)), x)
    assert np.abs(grad(loss)(w)).max() < 1e-4 * np.abs(grad(loss)(2 * w)).max()
