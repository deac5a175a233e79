"""Equations beside the main line: finite differences, a control variate, scaling, and what noise does to a score."""

import autograd.numpy as np
import pytest
from autograd import grad, jacobian
from numpy.testing import assert_allclose
from oracles import GRID, LINE, MIXTURE, WIDTH, exact_noise, gradient_error, random_params

from scoremin import (
    MLP,
    GaussianMixture,
    denoising_loss,
    denoising_vr_loss,
    divergence,
    finite_difference_loss,
    implicit_loss,
    kde_log_density,
    probes,
    sliced_vr_loss,
    standardise,
)


def setting(n=40, d=2, dtype=np.float64, seed=0):
    """A network, points and Rademacher probes."""
    rng = np.random.default_rng(seed)
    params = random_params([d, 8, 8, d], dtype=dtype)
    return params, rng.standard_normal((n, d)).astype(dtype), probes(rng, "rademacher", (n, d), dtype)


def difference(f, x, gap=1e-4):
    """∂f_i/∂x_j (N,i,j) by central differences."""
    return np.stack([(f(x + gap * e) - f(x - gap * e)) / (2 * gap) for e in np.eye(x.shape[1])], axis=-1)


def order(errors):
    """Observed orders when the argument halves."""
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


def test_finite_differences_approach_sliced_vr_at_order_two():
    """(SSM.11) (SSM.12) The error of the value, and of the gradient, falls by 4 with half the radius."""
    params, x, v = setting()
    exact = sliced_vr_loss(MLP(params), x, v)
    assert_allclose(order([abs(finite_difference_loss(MLP(params), x, v, r) - exact) for r in (0.1, 0.05, 0.025)]), 2,
                    atol=0.1)
    slope = lambda loss: grad(loss)(params)[0][0]
    target = slope(lambda p: sliced_vr_loss(MLP(p), x, v))
    errors = [np.abs(slope(lambda p, r=r: finite_difference_loss(MLP(p), x, v, r)) - target).max()
              for r in (0.1, 0.05, 0.025)]
    assert_allclose(order(errors), 2, atol=0.2)
    assert gradient_error(lambda p: finite_difference_loss(MLP(p), x, v, 0.1), params, np.random.default_rng(1)) < 1e-6


def test_in_float32_the_best_radius_is_neither_large_nor_small():
    """(SSM.13) Rounding over the radius, slope −1, against bias, slope 2: .004 = κ^⅓ beats κ^½, κ^¼, .3, 1e-5."""
    params, x, v = setting(dtype=np.float32)
    double = [(W.astype(float), b.astype(float)) for W, b in params]
    slope = lambda loss, params: grad(loss)(params)[0][0]
    target = slope(lambda p: sliced_vr_loss(MLP(p), x.astype(float), v.astype(float)), double)
    error = {r: np.abs(slope(lambda p, r=r: finite_difference_loss(MLP(p), x, v, r), params) - target).max()
             for r in (0.3, 0.1, 0.004, 6e-8**0.5, 6e-8**0.25, 4e-5, 1e-5)}
    assert error[0.3] > 10 * error[0.004] < error[1e-5]
    assert 2 * error[0.004] < min(error[6e-8**0.5], error[6e-8**0.25])
    assert 4.5 < error[0.3] / error[0.1] < 12 and 1.5 < error[1e-5] / error[4e-5] < 12


def test_denoising_under_both_signs_of_the_noise_is_finite_differences_and_more():
    """(SSM.14) An identity, to rounding, with r v = σ z."""
    params, x, z = setting()
    sigma, score = 0.3, MLP(params)
    both = 0.5 * (denoising_loss(score, x, z, sigma) + denoising_loss(score, x, -z, sigma))
    gap = score(x + sigma * z) - score(x - sigma * z)
    more = np.mean(np.sum(gap**2, axis=1)) / 8 + np.mean(np.sum(z**2, axis=1)) / (2 * sigma**2)
    assert abs(both - finite_difference_loss(score, x, z, sigma) - more) < 1e-12 * both


def test_control_variate_keeps_the_mean_and_removes_the_noise_as_sigma_shrinks():
    """(DSM.13) Equal to denoising_loss for noise of exact moments; for small σ it is SSM-VR + d/2σ² to order σ."""
    params, x, _ = setting()
    score = MLP(params)
    rows, z = exact_noise(x)
    assert abs(denoising_vr_loss(score, rows, z, 0.4) / denoising_loss(score, rows, z, 0.4) - 1) < 1e-12
    z = np.random.default_rng(2).standard_normal(x.shape)
    left = [abs(denoising_vr_loss(score, x, z, s) - 1 / s**2 - sliced_vr_loss(score, x, z)) for s in (0.004, 0.002)]
    assert abs(order(left)[0] - 1) < 0.2
    assert gradient_error(lambda p: denoising_vr_loss(MLP(p), x, z, 0.3), params, np.random.default_rng(1)) < 1e-6


def test_standardised_data_and_the_score_back_in_their_own_units():
    """(MIX.8) u has mean 0 and deviation 1; the score of x = shift + scale·u is s_u/scale, on a Gaussian."""
    x = np.random.default_rng(3).standard_normal((500, 2)) @ np.array([[3.0, 1.0], [0.0, 0.2]]) + [5.0, -2.0]
    u, shift, scale = standardise(x)
    assert_allclose([u.mean(axis=0), u.std(axis=0)], [[0, 0], [1, 1]], atol=1e-12)
    assert_allclose(u * scale + shift, x, rtol=1e-12)
    law = lambda x: GaussianMixture([1.0], [x.mean(axis=0)], [np.cov(x.T, bias=True)])
    assert_allclose(law(x).score(x), law(u).score(u) / scale, rtol=1e-9, atol=1e-9)


def test_leaving_one_out_is_the_density_of_the_others_and_chooses_a_bandwidth():
    """(ESM.9) Row by row against the KDE without that row; the sum has its maximum inside, the plain one at h → 0."""
    x = MIXTURE.sample(np.random.default_rng(4), 300)
    direct = [kde_log_density(x[i:i + 1], np.delete(x, i, axis=0), 0.4)[0] for i in range(20)]
    assert_allclose(kde_log_density(x, x, 0.4, leave_one_out=True)[:20], direct, rtol=1e-12)
    h = np.array([0.01, 0.1, 0.2, 0.4, 0.8, 1.6])
    assert np.argmax([kde_log_density(x, x, b, leave_one_out=True).mean() for b in h]) in (2, 3, 4)
    assert np.argmax([kde_log_density(x, x, b).mean() for b in h]) == 0


def test_second_order_tweedie():
    """(DSM.16) Cov[x | x̃] by quadrature in one dimension is σ² + σ⁴ ∂²log q."""
    sigma, x_noisy = 0.6, np.linspace(-3, 3, 13)[:, None]
    joint = np.exp(LINE.log_density(GRID)) * np.exp(-(x_noisy - GRID.T)**2 / (2 * sigma**2))
    w = joint / joint.sum(axis=1, keepdims=True)
    mean = w @ GRID
    variance = w @ GRID**2 - mean**2
    curvature = difference(LINE.smoothed(sigma).score, x_noisy)[:, 0]
    assert_allclose(variance, sigma**2 + sigma**4 * curvature, atol=1e-6)


def test_second_order_tweedie_in_the_plane():
    """(DSM.16) Cov[x | x̃] of a mixture by Bayes for each of its parts is σ²I + σ⁴ ∂²log q, off the diagonal too."""
    sigma, x_noisy = 0.7, np.random.default_rng(8).normal(0, 2, (6, 2))
    q, eye = MIXTURE.smoothed(sigma), np.eye(2)
    for y, J in zip(x_noisy, [jacobian(lambda x: q.score(x[None])[0])(y) for y in x_noisy]):
        parts = [GaussianMixture([1.0], [m], [C + sigma**2 * eye]).log_density(y[None])[0] for m, C in
                 zip(MIXTURE.means, MIXTURE.covs)]
        r = MIXTURE.weights * np.exp(parts)
        r = r / r.sum()
        covs = [np.linalg.inv(np.linalg.inv(C) + eye / sigma**2) for C in MIXTURE.covs]
        means = [V @ (np.linalg.solve(C, m) + y / sigma**2) for V, C, m in zip(covs, MIXTURE.covs, MIXTURE.means)]
        second = sum(w * (V + np.outer(m, m)) for w, V, m in zip(r, covs, means))
        mean = sum(w * m for w, m in zip(r, means))
        assert_allclose(second - np.outer(mean, mean), sigma**2 * eye + sigma**4 * J, atol=1e-10)


def test_small_noise_changes_the_score_by_its_square():
    """(DSM.17) On the mixture: the change is ½σ² ∇(Δp/p) = ½σ² ∇(tr ∂s + ‖s‖²), what is left of order σ⁴."""
    x = MIXTURE.sample(np.random.default_rng(5), 200)

    def ratio(x):                                                            # Δp/p
        s, tr = divergence(MIXTURE.score, x)
        return (tr + np.sum(s**2, axis=1))[:, None]

    slope = difference(ratio, x)[:, 0]
    left = [np.sqrt(np.mean((MIXTURE.smoothed(s).score(x) - MIXTURE.score(x) - 0.5 * s**2 * slope)**2))
            for s in (0.1, 0.05, 0.025)]
    assert_allclose(order(left), 4, atol=0.2)


def test_divergence_of_two_noisy_densities_falls_at_the_rate_of_their_fisher_divergence():
    """(DSM.18) Two Gaussians in closed form, and two mixtures in 1-D by quadrature."""
    a, b, other = 0.5, 1.3, GaussianMixture([0.6, 0.4], [[-0.5], [1.5]], [[[0.6]], [[0.4]]])
    kl = lambda t: 0.5 * (np.log((b + t) / (a + t)) + (a + t) / (b + t) - 1 + 0.25 / (b + t))
    x = 0.7
    fisher = (a + x) * (1 / (b + x) - 1 / (a + x))**2 + 0.25 / (b + x)**2    # means differ by .5
    assert abs((kl(x + 1e-5) - kl(x - 1e-5)) / 2e-5 + 0.5 * fisher) < 1e-8

    def integral(t, f):
        p, q = LINE.smoothed(t**0.5), other.smoothed(t**0.5)
        return np.sum(np.exp(p.log_density(GRID)) * f(p, q)) * WIDTH

    kl = lambda t: integral(t, lambda p, q: p.log_density(GRID) - q.log_density(GRID))
    fisher = integral(x, lambda p, q: np.sum((p.score(GRID) - q.score(GRID))**2, axis=1))
    assert abs((kl(x + 1e-4) - kl(x - 1e-4)) / 2e-4 + 0.5 * fisher) < 1e-6


def test_one_dimension_worked_out():
    """(ISM.15) The loss of s = −(x − m)/v is least at the mean and the 1/n variance: gradient 0, larger beside it."""
    x = np.random.default_rng(6).gamma(2.0, size=(50, 1))
    loss = lambda q: implicit_loss(lambda x: -(x - q[0]) / q[1], x)
    best = np.array([x.mean(), x.var()])
    assert_allclose(grad(loss)(best), 0, atol=1e-10)
    assert abs(loss(best) + 0.5 / x.var()) < 1e-12
    assert all(loss(best + step) > loss(best) for step in 0.1 * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]]))


def test_general_stein_identity():
    """(ISM.16) E[B s + ∇·B] = 0 for a matrix field B(x), by quadrature in 2-D; no part of a term vanishes alone."""
    axis = np.linspace(-12, 12, 241)
    x = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    p = np.exp(MIXTURE.log_density(x)) * 0.01
    a, b = x.T
    B = np.stack([np.stack([a * b**2, b * np.cos(a)], 1), np.stack([a**3, b], 1)], 1)  # (N,2,2)
    slopes = np.stack([np.stack([b**2, np.cos(a)], 1), np.stack([3 * a**2, np.ones_like(a)], 1)], 1)  # ∂B_ij/∂x_j
    terms = np.einsum("nij,nj->ni", B, MIXTURE.score(x))
    assert_allclose(p @ (terms + slopes.sum(axis=2)), 0, atol=1e-9)
    assert np.abs(np.tensordot(p, slopes, 1)).min() > 0.2
    assert np.abs(p @ (np.einsum("nji,nj->ni", B, MIXTURE.score(x)) + slopes.sum(axis=2))).min() > 0.2  # B is not Bᵀ
    assert np.abs(p @ (terms + slopes.sum(axis=1))).min() > 0.2              # nor are its rows its columns


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept_in_values_and_gradients(dtype):
    """Losses, their gradients, the standardised data and the density without one point."""
    params, x, v = setting(dtype=dtype)
    for loss in (lambda p: finite_difference_loss(MLP(p), x, v, 0.1), lambda p: denoising_vr_loss(MLP(p), x, v, 0.1)):
        assert np.asarray(loss(params)).dtype == dtype and grad(loss)(params)[0][0].dtype == dtype
    assert [a.dtype for a in standardise(x)] == [dtype] * 3
    assert kde_log_density(x, x, 0.4, leave_one_out=True).dtype == dtype


def test_wrong_input_is_named():
    """Radius, noise level, a constant column, and leave_one_out away from the data."""
    params, x, v = setting()
    for call, match in [
        (lambda: finite_difference_loss(MLP(params), x, v, 0), "radius is 0"),
        (lambda: finite_difference_loss(MLP(params), x, v[:3], 0.1), "v has shape"),
        (lambda: denoising_vr_loss(MLP(params), x, v, -1.0), "sigma is -1.0"),
        (lambda: denoising_vr_loss(MLP(params), x, v[:3], 0.1), "z has shape"),
        (lambda: standardise(np.full((7, 2), 0.1)), r"data in columns \[0 1\] is .*; want columns that vary"),
        (lambda: standardise(np.ones(5)), "data has shape"),
        (lambda: kde_log_density(x + 1, x, 0.4, leave_one_out=True), "leave_one_out"),
    ]:
        with pytest.raises(ValueError, match=match):
            call()


def test_a_radius_whose_square_is_no_float32_is_refused():
    """(SSM.12) The gate knows the precision of x: beside 1e-15, 1e-25 will do in float64, not in float32."""
    finite_difference_loss(lambda x: -x, 1e-15 * np.ones((2, 2)), np.ones((2, 2)), 1e-25)
    with pytest.raises(ValueError, match="radius"):
        finite_difference_loss(lambda x: -x, np.ones((2, 2), np.float32), np.ones((2, 2), np.float32), 1e-25)
