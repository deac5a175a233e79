"""Denoising score matching: every equation of the DSM chapter, by quadrature, moments and closed forms."""

import autograd.numpy as np
import pytest
from autograd import elementwise_grad, grad
from autograd.misc import flatten
from numpy.polynomial.hermite_e import hermegauss
from oracles import GRID, LINE, MIXTURE, WIDTH, exact_noise, gradient_error, plain_mlp

from scoremin import (
    MLP,
    GaussianMixture,
    denoising_loss,
    explicit_loss,
    init_mlp,
    kde_log_density,
    kde_score,
    sliced_vr_loss,
    tweedie,
)

SIGMA = 0.6


def gauss_hermite(n):
    """Nodes and weights of E[f(z)], z ~ N(0, 1), exact for polynomials of degree 2n − 1."""
    z, w = hermegauss(n)
    return z, w / w.sum()


def weighted_dsm(score, x, z, w, sigma):
    """∑ wₙ ½‖s(xₙ + σzₙ) + zₙ/σ‖² by denoising_loss itself: residual n is scaled by √(N wₙ)."""
    r = np.sqrt(len(x) * w)[:, None]
    return denoising_loss(lambda x_noisy: r * score(x_noisy), x + sigma * (1 - r) * z, r * z, sigma)


def line_quadrature():
    """x, z and weights of a double quadrature over x ~ LINE and z ~ N(0, 1)."""
    z, w = gauss_hermite(40)
    p = np.exp(LINE.log_density(GRID)) * WIDTH
    return np.repeat(GRID, len(z), axis=0), np.tile(z, len(GRID))[:, None], np.outer(p, w).ravel()


def value_and_gradient(loss, params):
    """loss(params), and its autograd gradient as one vector."""
    return loss(params), flatten(grad(loss)(params))[0]


def assert_same_up_to_a_constant(loss, other, params, constant, tolerance):
    """loss = other + constant in value, and so the same gradient."""
    (a, ga), (b, gb) = value_and_gradient(loss, params), value_and_gradient(other, params)
    assert abs(a - b - constant) < tolerance * abs(a)
    assert np.abs(ga - gb).max() < tolerance * np.abs(ga).max()
    assert np.abs(ga).max() > 1e-3


def test_noisy_density_is_the_convolution_with_the_kernel():
    """(DSM.1) ∫ p(x) N(x̃; x, σ²) dx by quadrature is the density of the smoothed mixture."""
    x_noisy = np.linspace(-4, 4, 17)[:, None]
    kernel = np.exp(-(x_noisy - GRID.T)**2 / (2 * SIGMA**2)) / np.sqrt(2 * np.pi * SIGMA**2)
    q = kernel @ np.exp(LINE.log_density(GRID)) * WIDTH
    assert np.allclose(q, np.exp(LINE.smoothed(SIGMA).log_density(x_noisy)), rtol=1e-10)


def test_score_of_the_kernel_is_minus_noise_over_sigma():
    """(DSM.2) autograd's ∇ log N(x̃; x, σ²I) is −z/σ, and as a score it makes the loss 0."""
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((5, 3)), rng.standard_normal((5, 3))
    kernel = elementwise_grad(lambda y: np.sum(-(y - x)**2 / (2 * SIGMA**2), axis=1))
    assert np.allclose(kernel(x + SIGMA * z), -z / SIGMA, rtol=1e-12)
    assert denoising_loss(kernel, x, z, SIGMA) < 1e-28
    assert denoising_loss(kernel, x, -z, 2 * SIGMA) > 0.1


def test_score_of_noisy_data_is_a_conditional_mean():
    """(DSM.3) E[−z/σ | x̃] by quadrature over x given x̃ is the score of the smoothed mixture."""
    x_noisy = np.linspace(-4, 4, 17)[:, None]
    z = (x_noisy - GRID.T) / SIGMA                                           # (17,361)
    joint = np.exp(LINE.log_density(GRID) - 0.5 * z**2)                      # ∝ p(x) N(x̃; x, σ²)
    mean = np.sum(joint * -z / SIGMA, axis=1) / np.sum(joint, axis=1)
    assert np.allclose(mean, LINE.smoothed(SIGMA).score(x_noisy)[:, 0], rtol=1e-9)


def test_loss_is_half_the_mean_squared_residual():
    """(DSM.4) worked by hand: rows (1, −2) and (0, 1), s(x̃) = 3x̃, σ = ½: residuals 3x̃ + 2z."""
    x, z = np.array([[1.0, -2.0], [0.0, 1.0]]), np.array([[2.0, 0.0], [-2.0, 4.0]])
    # x̃ = (2, −2), (−1, 3); residuals (6+4, −6+0), (−3−4, 9+8); squares 136 and 338
    assert denoising_loss(lambda x_noisy: 3 * x_noisy, x, z, 0.5) == 0.5 * (136 + 338) / 2


@pytest.mark.parametrize("sigma", [1.0, 1e-2, 1e-4])
def test_gradient_is_that_of_central_differences(sigma):
    """(DSM.4) the parameter gradient at any σ; one that is 10 % wrong is rejected."""
    rng = np.random.default_rng(1)
    x, z, params = MIXTURE.sample(rng, 16), rng.standard_normal((16, 2)), init_mlp(rng, [2, 8, 8, 2])

    def loss(params):
        """Without the term ‖z‖²/2σ², in which differences would drown."""
        return denoising_loss(MLP(params), x, z, sigma) * 2 * sigma**2 - np.mean(np.sum(z**2, axis=1))

    wrong = 1.1 * flatten(grad(loss)(params))[0]
    assert gradient_error(loss, params, rng) < 1e-5
    assert gradient_error(loss, params, rng, gradient=wrong) > 0.05


def test_cross_terms_of_explicit_and_denoising_loss_agree():
    """(DSM.5) E[s ∇log q_σ] over x̃ is E[−s z/σ] over x and z, each by its own quadrature."""
    score = plain_mlp(init_mlp(np.random.default_rng(2), [1, 8, 1]))
    x, z, w = line_quadrature()
    q = LINE.smoothed(SIGMA)
    over_q = WIDTH * np.sum(np.exp(q.log_density(GRID))[:, None] * score(GRID) * q.score(GRID))
    over_x_and_z = np.sum(w[:, None] * score(x + SIGMA * z) * -z / SIGMA)
    assert abs(over_q - over_x_and_z) < 1e-9 * abs(over_q)
    assert abs(over_q) > 0.1


def test_explicit_loss_on_noisy_data_is_denoising_loss_plus_a_constant():
    """(DSM.6) J_ESM(q_σ) = J_DSM + ½E‖∇log q_σ‖² − d/2σ² in value and gradient, d = 1, by quadrature."""
    params = init_mlp(np.random.default_rng(3), [1, 8, 8, 1])
    x, z, w = line_quadrature()
    q = LINE.smoothed(SIGMA)
    mass = np.exp(q.log_density(GRID)) * WIDTH
    r = np.sqrt(len(GRID) * mass)[:, None]
    constant = 0.5 * np.sum(mass[:, None] * q.score(GRID)**2) - 1 / (2 * SIGMA**2)
    assert_same_up_to_a_constant(
        lambda params: explicit_loss(lambda y: r * plain_mlp(params)(y), GRID, r * q.score(GRID)),
        lambda params: weighted_dsm(plain_mlp(params), x, z, w, SIGMA), params, constant, 1e-8)


def test_explicit_loss_on_noisy_data_is_denoising_loss_plus_a_constant_in_the_plane():
    """(DSM.6) the same for d = 2 on the mixture with covariances, Gauss–Hermite over x and z."""
    params = [(0.3 * W, b + 0.1) for W, b in init_mlp(np.random.default_rng(4), [2, 4, 2])]
    u, w = gauss_hermite(12)
    nodes = np.stack(np.meshgrid(u, u, u, u, indexing="ij"), axis=-1).reshape(-1, 4)
    mass = np.prod(np.stack(np.meshgrid(w, w, w, w, indexing="ij"), axis=-1), axis=-1).ravel()
    x = np.concatenate([mean + nodes[:, :2] @ np.linalg.cholesky(cov).T
                        for mean, cov in zip(MIXTURE.means, MIXTURE.covs)])
    axis = np.linspace(-10, 10, 201)
    plane = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    q = MIXTURE.smoothed(SIGMA)
    area = np.exp(q.log_density(plane)) * 0.1**2
    r = np.sqrt(len(plane) * area)[:, None]
    constant = 0.5 * np.sum(area[:, None] * q.score(plane)**2) - 2 / (2 * SIGMA**2)
    assert_same_up_to_a_constant(
        lambda params: explicit_loss(lambda y: r * plain_mlp(params)(y), plane, r * q.score(plane)),
        lambda params: weighted_dsm(plain_mlp(params), x, np.tile(nodes[:, 2:], (2, 1)),
                                    np.tile(mass / 2, 2), SIGMA), params, constant, 1e-6)


def test_noisy_data_set_is_its_kde():
    """(DSM.7) with mass 1/n at each point, q_σ is the KDE with h = σ: density and score."""
    rng = np.random.default_rng(5)
    data, x_noisy = rng.standard_normal((7, 2)), 2 * rng.standard_normal((11, 2))
    q = GaussianMixture(np.full(7, 1 / 7), data, np.tile(1e-20 * np.eye(2), (7, 1, 1))).smoothed(SIGMA)
    assert np.allclose(kde_log_density(x_noisy, data, SIGMA), q.log_density(x_noisy), rtol=1e-12)
    assert np.allclose(kde_score(x_noisy, data, SIGMA), q.score(x_noisy), rtol=1e-10)


def test_denoising_and_kde_matching_have_one_gradient():
    """(DSM.7) Vincent: on fixed data DSM, and ESM on their KDE with h = σ, differ by the constant of (DSM.6)."""
    data = np.array([[-1.2], [-0.3], [0.1], [1.9]])
    params = init_mlp(np.random.default_rng(6), [1, 8, 8, 1])
    z, w = gauss_hermite(40)
    x, target = np.repeat(data, len(z), axis=0), kde_score(GRID, data, SIGMA)
    mass = np.exp(kde_log_density(GRID, data, SIGMA)) * WIDTH
    r = np.sqrt(len(GRID) * mass)[:, None]
    constant = 0.5 * np.sum(mass[:, None] * target**2) - 1 / (2 * SIGMA**2)
    assert_same_up_to_a_constant(
        lambda params: explicit_loss(lambda y: r * plain_mlp(params)(y), GRID, r * target),
        lambda params: weighted_dsm(plain_mlp(params), x, np.tile(z, 4)[:, None], np.tile(w / 4, 4), SIGMA),
        params, constant, 1e-8)


def test_conditional_mean_is_the_best_guess_in_mean_square():
    """(DSM.14) E‖s − y‖² = E‖s − E[y|x̃]‖² + E‖y − E[y|x̃]‖², for y = −z/σ and for y = x, by quadrature."""
    x, z, w = line_quadrature()
    x_noisy, q = x + SIGMA * z, LINE.smoothed(SIGMA)
    score, mean = plain_mlp(init_mlp(np.random.default_rng(14), [1, 8, 1])), lambda a: np.sum(w[:, None] * a**2)
    for y, guess in ((-z / SIGMA, q.score), (x, lambda x_noisy: tweedie(q.score, x_noisy, SIGMA))):
        s, best = score(x_noisy), guess(x_noisy)
        assert abs(mean(s - y) - mean(s - best) - mean(y - best)) < 1e-9 * mean(s - y)
        assert mean(s - best) > 0.01 < mean(y - best)
    assert abs(2 * weighted_dsm(score, x, z, w, SIGMA) - mean(score(x_noisy) + z / SIGMA)) < 1e-9


@pytest.mark.parametrize("alpha_bar", [0.99, 0.5, 0.05])
def test_ddpm_is_denoising_in_other_variables(alpha_bar):
    """(DSM.15) x_t = √ᾱ x + √(1−ᾱ) z: q_t has the score s(x_t/√ᾱ)/√ᾱ, and DDPM's loss is twice σ² J_DSM."""
    rng, sigma = np.random.default_rng(15), np.sqrt((1 - alpha_bar) / alpha_bar)
    x, z = MIXTURE.sample(rng, 12), rng.standard_normal((12, 2))
    x_t = np.sqrt(alpha_bar) * x + np.sqrt(1 - alpha_bar) * z
    q_t = GaussianMixture(MIXTURE.weights, np.sqrt(alpha_bar) * MIXTURE.means,
                          alpha_bar * MIXTURE.covs + (1 - alpha_bar) * np.eye(2))
    predicted = lambda x_noisy: -sigma * MIXTURE.smoothed(sigma).score(x_noisy)  # ẑ(x̃)
    assert np.allclose(q_t.score(x_t), -predicted(x_t / np.sqrt(alpha_bar)) / np.sqrt(1 - alpha_bar), rtol=1e-10)
    network = plain_mlp(init_mlp(rng, [2, 6, 2]))                            # ẑ_t(x_t) of any predictor
    ddpm = np.mean(np.sum((z - network(x_t / np.sqrt(alpha_bar)))**2, axis=1))
    assert abs(2 * sigma**2 * denoising_loss(lambda x_noisy: -network(x_noisy) / sigma, x, z, sigma) / ddpm - 1) < 1e-12


@pytest.mark.parametrize("sigma", [0.1, 1.0, 7.0])
def test_tweedie_gives_the_exact_posterior_mean_of_a_mixture(sigma):
    """(DSM.8) against ∑_k r_k [μ_k + Σ_k (Σ_k + σ²I)⁻¹ (x̃ − μ_k)], Bayes' rule component by component."""
    x_noisy = 3 * np.random.default_rng(7).standard_normal((20, 2))
    joint, means = [], []
    for weight, mean, cov in zip(MIXTURE.weights, MIXTURE.means, MIXTURE.covs):
        gain = cov @ np.linalg.inv(cov + sigma**2 * np.eye(2))
        diff = x_noisy - mean
        form = np.sum(diff @ np.linalg.inv(cov + sigma**2 * np.eye(2)) * diff, axis=1)
        joint.append(weight * np.exp(-0.5 * form) / np.sqrt(np.linalg.det(cov + sigma**2 * np.eye(2))))
        means.append(mean + diff @ gain.T)
    posterior = sum(j[:, None] * m for j, m in zip(joint, means)) / sum(joint)[:, None]
    assert np.allclose(tweedie(MIXTURE.smoothed(sigma).score, x_noisy, sigma), posterior, rtol=1e-8, atol=1e-10)


def test_denoising_is_noise_prediction():
    """(DSM.9) (DSM.10) σ² J_DSM is the DDPM loss ½E‖z − ẑ‖² of the predictor ẑ = −σs, gradient too."""
    rng = np.random.default_rng(8)
    x, z, params = rng.standard_normal((9, 3)), rng.standard_normal((9, 3)), init_mlp(rng, [3, 6, 3])

    def ddpm(params):
        predicted = -SIGMA * plain_mlp(params)(x + SIGMA * z)                # ẑ of (DSM.10)
        return 0.5 * np.mean(np.sum((z - predicted)**2, axis=1)) / SIGMA**2

    assert_same_up_to_a_constant(ddpm, lambda params: denoising_loss(MLP(params), x, z, SIGMA), params, 0, 1e-12)


def test_linear_optimum_is_minus_inverse_of_noisy_covariance():
    """(DSM.11) with noise of exact moments the gradient vanishes at A = (S + σ²I)⁻¹, m = μ, and not at S⁻¹."""
    rng = np.random.default_rng(9)
    data = rng.standard_normal((30, 3)) @ rng.standard_normal((3, 3)) + [1, -2, 3]
    S, x_z = np.cov(data.T, bias=True), exact_noise(data)

    def slope(A):
        params = [(-A, data.mean(axis=0) @ A)]                               # s = −A(x̃ − μ), rows
        return np.abs(flatten(grad(lambda params: denoising_loss(MLP(params), *x_z, SIGMA))(params))[0]).max()

    assert slope(np.linalg.inv(S + SIGMA**2 * np.eye(3))) < 1e-10
    assert slope(np.linalg.inv(S)) > 0.1
    assert slope(np.linalg.inv(S * 30 / 29 + SIGMA**2 * np.eye(3))) > 1e-3   # 1/(n−1) is not 1/n


def test_expansion_holds_point_by_point():
    """(DSM.12) ½‖s‖² + zᵀs/σ + ‖z‖²/2σ² is the loss of every single row."""
    rng = np.random.default_rng(10)
    x, z, score = rng.standard_normal((6, 2)), rng.standard_normal((6, 2)), MLP(init_mlp(rng, [2, 5, 2]))
    for a, b in zip(np.split(x, 6), np.split(z, 6)):
        s = score(a + SIGMA * b)
        expanded = np.sum(s**2) / 2 + np.sum(b * s) / SIGMA + np.sum(b**2) / (2 * SIGMA**2)
        assert abs(denoising_loss(score, a, b, SIGMA) - expanded) < 1e-12 * expanded


@pytest.mark.parametrize("sigma", [1.0, 0.1])
def test_last_term_has_variance_d_over_two_sigma_to_the_fourth(sigma):
    """(DSM.12) by Gauss–Hermite in d = 2 at s = 0, where the loss of a row is this term alone."""
    u, w = gauss_hermite(6)
    z = np.stack(np.meshgrid(u, u), axis=-1).reshape(-1, 2)
    mass = np.outer(w, w).ravel()
    loss = np.array([denoising_loss(np.zeros_like, np.ones((1, 2)), row[None], sigma) for row in z])
    variance = mass @ loss**2 - (mass @ loss)**2
    assert abs(variance * 2 * sigma**4 / 2 - 1) < 1e-12


def test_gradient_variance_grows_as_one_over_sigma_squared():
    """(DSM.12) for s = −a(x̃), at x = 1.3, the gradient in a has σ² Var → x² as σ → 0, by Gauss–Hermite."""
    z, w = gauss_hermite(10)

    def scaled_variance(sigma):
        loss = lambda a, b: denoising_loss(lambda x_noisy: -a * x_noisy, np.array([[1.3]]), np.array([[b]]), sigma)
        slope = np.array([grad(loss)(0.7, b) for b in z])
        return sigma**2 * (w @ slope**2 - (w @ slope)**2)

    error = np.abs(np.array([scaled_variance(sigma) for sigma in (1e-1, 1e-2, 1e-3)]) / 1.3**2 - 1)
    assert error[-1] < 1e-4
    assert error[0] > 10 * error[1] > 100 * error[2]


def control_variate(score, x, z, sigma):
    """The left side of (DSM.13), a mean over rows: the loss less two terms of known mean."""
    known = np.sum(z * score(x), axis=1) / sigma + np.sum(z**2, axis=1) / (2 * sigma**2)
    return denoising_loss(score, x, z, sigma) - np.mean(known) + x.shape[1] / (2 * sigma**2)


def test_control_variate_leaves_the_mean():
    """(DSM.13) by Gauss–Hermite over z: same mean as J_DSM, a variance that stays bounded where its own blows up."""
    score, x = plain_mlp(init_mlp(np.random.default_rng(11), [1, 6, 1])), np.array([[0.4]])
    z, w = gauss_hermite(40)
    spread = {}
    for sigma in (0.5, 1e-3):
        plain = np.array([denoising_loss(score, x, b, sigma) for b in z.reshape(-1, 1, 1)])
        controlled = np.array([control_variate(score, x, b, sigma) for b in z.reshape(-1, 1, 1)])
        assert abs(w @ plain - w @ controlled) < 1e-9 * (w @ plain)
        spread[sigma] = [w @ (value - w @ value)**2 for value in (plain, controlled)]
    assert spread[1e-3][0] > 1e10 * spread[0.5][0]
    assert spread[1e-3][1] < 10 * spread[0.5][1] + 1


def test_control_variate_becomes_sliced_score_matching_as_sigma_vanishes():
    """(DSM.13) value and gradient tend to SSM-VR with probes z, plus d/2σ², with an error of first order in σ."""
    rng = np.random.default_rng(12)
    x, z, params = rng.standard_normal((8, 2)), rng.standard_normal((8, 2)), init_mlp(rng, [2, 6, 2])
    limit, slope = value_and_gradient(lambda params: sliced_vr_loss(plain_mlp(params), x, z), params)

    def errors(sigma):
        value, g = value_and_gradient(lambda params: control_variate(plain_mlp(params), x, z, sigma), params)
        return np.array([abs(value - 2 / (2 * sigma**2) - limit), np.abs(g - slope).max()])

    ratio = errors(1e-2) / errors(1e-3)
    assert (errors(1e-3) < 0.02).all()
    assert ((8 < ratio) & (ratio < 12)).all()                                # ten times smaller with σ


def test_float32_keeps_its_digits_at_small_sigma():
    """Σ = 1e-4 in float32: loss and gradient are float32 and agree with float64 to 1e-5."""
    rng = np.random.default_rng(13)
    x, z = MIXTURE.sample(rng, 64), rng.standard_normal((64, 2))
    params = init_mlp(rng, [2, 8, 2])

    def both(dtype):
        cast, a, b = [(W.astype(dtype), b.astype(dtype)) for W, b in params], x.astype(dtype), z.astype(dtype)
        return value_and_gradient(lambda params: denoising_loss(MLP(params), a, b, 1e-4), cast)

    (loss32, g32), (loss64, g64) = both(np.float32), both(np.float64)
    assert loss32.dtype == g32.dtype == np.float32
    assert abs(loss32 / loss64 - 1) < 1e-5
    assert np.abs(g32 - g64).max() < 1e-5 * np.abs(g64).max()
