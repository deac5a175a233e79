"""What others write for a loss, a score or a bandwidth, and the same here: one test a row of the README's table."""

from functools import partial

import autograd.numpy as anp
import numpy as np
import pytest
from oracles import LINE, MIXTURE, exact_noise, plain_mlp, random_params, replay

import scoremin as sm

D, SIGMA = 3, 0.5
RNG = np.random.default_rng(0)
X, Z, V = RNG.standard_normal((3, 8, D))
SCORE = sm.MLP(random_params([D, 6, D]))
RESIDUAL = SCORE(X + SIGMA * Z) + Z / SIGMA                                  # (N,d)
HERE = sm.denoising_loss(SCORE, X, Z, SIGMA)


def close(theirs, ours):
    assert np.abs(np.asarray(theirs) - ours).max() < 1e-12 * np.abs(ours).max()


def test_mean_over_all_entries_without_half_is_2_over_d_of_it():
    """(DSM.4)"""
    close(np.mean(RESIDUAL**2) * D / 2, HERE)


def test_sum_without_half_is_twice_of_it():
    """(DSM.4)"""
    close(np.mean(np.sum(RESIDUAL**2, axis=1)) / 2, HERE)


def test_residual_times_sigma_squared_is_sigma_to_the_fourth_of_it():
    """(DSM.4) ½ E‖σ²s + σz‖²."""
    close(0.5 * np.mean(np.sum((SIGMA**2 * SCORE(X + SIGMA * Z) + SIGMA * Z)**2, axis=1)) * SIGMA**-4, HERE)


def test_unit_probes_want_a_factor_d():
    """(SSM.4) (SSM.5) On both terms of SSM, on the trace's term alone of SSM-VR."""
    v = np.sqrt(D) * V / np.sqrt(np.sum(V**2, axis=1, keepdims=True))
    u, (s, Jv) = v / np.sqrt(D), sm.jvp(SCORE, X, v)
    Ju = Jv / np.sqrt(D)
    close(D * np.mean(0.5 * np.sum(u * s, axis=1)**2 + np.sum(u * Ju, axis=1)), sm.sliced_loss(SCORE, X, v))
    close(np.mean(0.5 * np.sum(s**2, axis=1) + D * np.sum(u * Ju, axis=1)), sm.sliced_vr_loss(SCORE, X, v))


def conditional():
    """A noise-conditional score, a level for each row, and the residuals at them."""
    score, sigma = sm.NoiseConditionalMLP(random_params([D + 1, 6, D])), np.geomspace(10, 0.01, len(X))
    return score, sigma, score(X + sigma[:, None] * Z, sigma) + Z / sigma[:, None]


def test_likelihood_weighting_is_a_constant_times_the_noise_conditional_loss():
    """(NCSN.4) g² = dσ²/dt = 2σ² log(σ_max/σ_min), t uniform: log σ uniform."""
    score, sigma, residual = conditional()
    t = np.log(sigma / 0.01) / np.log(1000)
    step = 1e-6
    g2 = ((0.01 * 1000**(t + step))**2 - (0.01 * 1000**(t - step))**2) / (2 * step)          # (N,) by differences
    theirs = 0.5 * np.mean(g2 * np.sum(residual**2, axis=1)) / (2 * np.log(1000))
    assert abs(theirs / sm.ncsn_loss(score, X, Z, sigma) - 1) < 1e-8


def test_another_weight_is_a_factor_for_each_level():
    """(NCSN.3) (NCSN.4) σ²/λ(σ) on each row's loss; λ = 1 here."""
    score, sigma, residual = conditional()
    theirs = 0.5 * np.sum(residual**2, axis=1)                               # (N,)  λ = 1
    close(np.mean(theirs * sigma**2), sm.ncsn_loss(score, X, Z, sigma))


def test_noise_prediction_and_denoiser_are_the_score_in_other_units():
    """(DSM.8) (DSM.9) (DSM.10) ẑ = −σs; D = x̃ + σ²s; and E‖z − ẑ‖² is 2σ² of the loss."""
    x_noisy = X + SIGMA * Z
    predicted, denoised = -SIGMA * SCORE(x_noisy), sm.tweedie(SCORE, x_noisy, SIGMA)
    close(-predicted / SIGMA, SCORE(x_noisy))
    close((denoised - x_noisy) / SIGMA**2, SCORE(x_noisy))
    close(np.mean(np.sum((Z - predicted)**2, axis=1)) / (2 * SIGMA**2), HERE)


def test_labels_are_indices_into_sigmas():
    """(NCSN.4) The level itself goes in; the label would be another level."""
    score, sigmas = sm.NoiseConditionalMLP(random_params([D + 1, 6, D])), sm.geometric_sigmas(4.0, 0.25, 3)
    labels = np.array([0, 2, 1, 1, 0, 2, 2, 1])
    each = [0.5 * np.sum((sigmas[k] * score(x[None] + sigmas[k] * z, sigmas[k]) + z)**2)
            for k, x, z in zip(labels, X, Z)]
    close(np.mean(each), sm.ncsn_loss(score, X, Z, sigmas[labels]))
    assert abs(np.mean(each) / sm.ncsn_loss(score, X, Z, labels + 1.0) - 1) > 1e-2


def test_signal_to_noise_ratio_is_a_step():
    """(LD.4) ε = 2(r‖z‖/‖s‖)², x + εs + √(2ε)z, where ‖s‖ = ‖z‖/σ: step = (2rσ)²."""
    r, z = 0.16, Z[:1]
    score = lambda x: -z[:, ::-1] / SIGMA                                    # as long as z/σ
    size = 2 * (r * np.linalg.norm(z) / np.linalg.norm(score(X[:1])))**2
    theirs = X[:1] + size * score(X[:1]) + np.sqrt(2 * size) * z
    close(theirs, sm.langevin(score, X[:1], (2 * r * SIGMA)**2, 1, replay([z])))


def test_noise_scaled_by_root_T_is_temperature_T():
    """(LD.5)"""
    T, step = 0.3, 0.1
    close(X + step / 2 * SCORE(X) + np.sqrt(T) * np.sqrt(step) * Z, sm.langevin(SCORE, X, step, 1, replay([Z]), T))


def test_any_drift_and_noise_are_a_step_and_a_temperature():
    """(LD.3) (LD.5) x + a s + b z is step = 2a at temperature b²/2a, whatever a and b."""
    for a, b in ((0.05, 0.1), (0.2, 0.2), (1e-3, 0.5)):
        close(X + a * SCORE(X) + b * Z, sm.langevin(SCORE, X, 2 * a, 1, replay([Z]), b**2 / (2 * a)))


def test_bits_per_dimension_are_a_log_likelihood():
    """(SDE.21) (MIX.8) −log p/(d log 2) of the data; from standardised u it has Σ log scale/(d log 2) more; of whole
    numbers, dequantised by noise as wide as their spacing q, (Σ log q)/(d log 2) less: for a density that is constant
    on the cells these are the bits of the numbers themselves, −log₂ P(x)/d."""
    scale, gaussian = np.array([0.5, 3.0, 20.0]), sm.GaussianMixture([1.0], np.zeros((1, D)), np.eye(D)[None])
    sigmas = np.sinh(np.linspace(np.arcsinh(200), np.arcsinh(0.001), 60))
    smoothed = lambda x, sigma: -x / (1 + np.mean(sigma)**2)
    log_u = sm.log_likelihood(smoothed, X, sigmas, gaussian.smoothed(sigmas[0]).log_density)
    wide = sm.GaussianMixture([1.0], np.zeros((1, D)), np.diag(scale**2)[None])
    bits = -(log_u - np.sum(np.log(scale))) / (D * np.log(2))
    assert np.abs(bits + wide.log_density(scale * X) / (D * np.log(2))).max() < 1e-4
    P, q = np.array([0.5, 0.25, 0.125, 0.125]), 4.0                          # of 0, 4, 8, 12: 1, 2, 3 and 3 bits
    x = q * np.arange(4)
    noisy = x + q * (np.random.default_rng(2).random((50, 4)) - 0.5)
    density = P[np.rint(noisy / q).astype(int)] / q
    close(-np.log(density) / np.log(2) - np.log(q) / np.log(2), np.tile([1.0, 2.0, 3.0, 3.0], (50, 1)))


def test_bandwidth_of_scikit_learn_is_h():
    """(ESM.5) Its Gaussian kernel is exp(−‖x‖²/2h²), normalised."""
    kernels = np.exp(-((X[:, None] - V)**2).sum(axis=2) / (2 * 0.7**2)) / (2 * np.pi * 0.7**2)**(D / 2)
    close(np.log(kernels.mean(axis=1)), sm.kde_log_density(X, V, 0.7))


def test_bandwidth_of_scipy_is_a_share_of_the_deviation():
    """(ESM.5) Its kernels have covariance f² S, S with 1/(n − 1): h = f √S in one dimension."""
    x, data, f = X[:, :1], V[:, :1], 0.4
    S = np.cov(data[:, 0])
    kernels = np.exp(-(x - data[:, 0])**2 / (2 * f**2 * S)) / np.sqrt(2 * np.pi * f**2 * S)
    close(np.log(kernels.mean(axis=1)), sm.kde_log_density(x, data, f * np.sqrt(S)))


@pytest.mark.parametrize("m", [8, 5])
def test_energy_distance_of_scipy_is_the_root(m):
    """(MET.2) √(2 ∫(F − G)²) of the two distribution functions, in one dimension."""
    a, b = LINE.sample(np.random.default_rng(1), 8), V[:m, :1]
    grid = np.sort(np.concatenate([a, b])[:, 0])
    F, G = (np.mean(rows <= grid[:-1], axis=0) for rows in (a, b))
    theirs = np.sqrt(2 * np.sum((F - G)**2 * np.diff(grid)))
    close(theirs**2, sm.energy_distance(a, b))


def test_arrays_of_less_precision_are_converted_before_anything_is_computed():
    """With x in float64, z, probes, target and levels in float32 give the very bits of the same numbers in float64."""
    rng = np.random.default_rng(9)
    x, a, sigma = rng.standard_normal((6, 2)), rng.standard_normal((6, 2)).astype(np.float32), np.float32([0.1] * 6)
    score, levels = sm.MLP(random_params([2, 5, 2])), sm.NoiseConditionalMLP(random_params([3, 5, 2]))
    for loss in (lambda a, sigma: sm.explicit_loss(score, x, a), lambda a, sigma: sm.sliced_loss(score, x, a),
                 lambda a, sigma: sm.denoising_loss(score, x, a, 0.1), lambda a, sigma: levels(x, sigma),
                 lambda a, sigma: sm.ncsn_loss(levels, x, a, sigma)):
        assert np.array_equal(loss(a, sigma), loss(a.astype(np.float64), sigma.astype(np.float64)))


PATHS = {"ve": (lambda t: 1.0, lambda t: t), "vp": (np.sqrt, lambda t: np.sqrt(1 - t)),
         "linear": (lambda t: 1 - t, lambda t: t)}                           # a and b of t


def written_out(path, predicts):
    """What a perfect model of the noisy mixture predicts at (x_t, t), in the terms of its own path."""
    a_of, b_of = PATHS[path]

    def model(x_t, t):
        s_t, D, z = [], [], []
        for row, time in zip(x_t, t):
            a, b = a_of(time), b_of(time)
            s = MIXTURE.smoothed(b / a).score(row[None] / a)[0] / a          # of q_t
            s_t, z, D = [*s_t, s], [*z, -b * s], [*D, (row + b**2 * s) / a]
        s_t, D, z, t = np.array(s_t), np.array(D), np.array(z), t[:, None]
        velocity = {"ve": lambda: z, "vp": lambda: np.sqrt(t) * z - np.sqrt(1 - t) * D,
                    "linear": lambda: -(x_t + t * s_t) / (1 - t)}[path]
        return {"noise": z, "denoiser": D, "score": s_t, "velocity": velocity()}[predicts]
    return model


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("predicts", ["noise", "denoiser", "score", "velocity"])
def test_every_prediction_on_every_path_is_the_score(path, predicts):
    """(DSM.20) (DSM.21) (DSM.22) Noise, denoiser, score and velocity, each in its own formula: one s(x̃, σ)."""
    x, sigma = X[:, :2], np.geomspace(0.05, 20, len(X))
    exact = np.concatenate([MIXTURE.smoothed(level).score(row[None]) for row, level in zip(x, sigma)])
    score = sm.as_score(written_out(path, predicts), predicts, path)
    assert np.abs(score(x, sigma) - exact).max() < 1e-10 * np.abs(exact).max()


def flow_matching(model, x, z, t):
    """E‖v(x_t, t) − (z − x)‖² written out, t one number."""
    return np.mean(np.sum((model((1 - t) * x + t * z, np.full(len(x), t)) - (z - x))**2, axis=1))


def test_flow_matching_is_noise_prediction():
    """(DSM.23) At one t it is 2(1 + σ)² of ncsn_loss at that level, σ = t/(1 − t)."""
    net = sm.MLP(random_params([D, 6, D]))
    model = lambda x_t, t: net(x_t) * (1 + t[:, None])
    score = sm.as_score(model, "velocity", "linear")
    for sigma in (0.01, 0.5, 30.0):
        t = sigma / (1 + sigma)
        close(flow_matching(model, X, Z, t) / (2 * (1 + sigma)**2), sm.ncsn_loss(score, X, Z, np.full(len(X), sigma)))


@pytest.mark.parametrize("c", [0.5, 2.0])
def test_flow_matching_over_uniform_t_is_noise_prediction_over_uniform_sigma(c):
    """(DSM.23) ∫ dt by Gauss's rule, ∫ 2 dσ in log σ, on N(0, c²I): for the best v both are ½πcd, as there
    2σ² J_DSM = d c²/(c² + σ²), whose integral is an arc tangent; for another v they are one larger number."""
    x, z = exact_noise(c * np.sqrt(D) * np.concatenate([np.eye(D), -np.eye(D)]))  # all second moments are exact
    nodes, weights = np.polynomial.legendre.leggauss(60)
    for slope in (0, 1):
        v = lambda x, t, k=1 + slope: (k * t - (1 - t) * c**2) * x / ((1 - t)**2 * c**2 + t**2)
        model = lambda x_t, t, v=v: v(x_t, t[:, None])
        score = sm.as_score(model, "velocity", "linear")
        in_t = weights @ [flow_matching(model, x, z, t) for t in (nodes + 1) / 2] / 2
        in_sigma = 0.1 * sum(2 * sigma * sm.ncsn_loss(score, x, z, np.full(len(x), sigma))
                             for sigma in np.exp(np.linspace(-20, 20, 401)))
        assert abs(in_sigma / in_t - 1) < 1e-7
        assert abs(in_t / (np.pi / 2 * c * D) - 1) < 1e-12 if slope == 0 else in_t > 1.1 * np.pi / 2 * c * D


def velocity_errors(law, weight, seed):
    """Relative errors at σ = .1 and 3 of the score of a network for v(x_t, t), trained on the mixture with t from
    law(rng, n) (n,1)."""
    def loss(params, x, rng):
        t, z = law(rng, len(x)).astype(np.float32), rng.standard_normal(x.shape, np.float32)
        v = plain_mlp(params)(np.hstack([(1 - t) * x + t * z, t]))
        return anp.mean(weight(t) * (v - (z - x))**2)

    rng = np.random.default_rng(seed)
    data = MIXTURE.sample(rng, 20_000).astype(np.float32)
    params, _ = sm.fit(loss, sm.init_mlp(rng, [3, 32, 32, 2], np.float32), data, rng=rng, steps=500, batch_size=128,
                       learning_rate=1e-2)
    score = sm.as_score(lambda x_t, t: plain_mlp(params)(np.hstack([x_t, t[:, None]])), "velocity", "linear")
    laws = [(sigma, MIXTURE.smoothed(sigma)) for sigma in (0.1, 3.0)]
    return [sm.relative_error(partial(score, sigma=sigma), q.score, q.sample(rng, 2000)) for sigma, q in laws]


def test_uniform_t_starves_small_levels():
    """(DSM.23) One network, trained with t uniform, and so dσ, or with d log σ: the first errs by more than twice as
    much at σ = .1, and by less than half as much at 3."""
    uniform = velocity_errors(lambda rng, n: (np.arange(n) + rng.random(n))[:, None] / n, lambda t: 1, 0)
    level = lambda rng, n: 1 - 1 / (1 + sm.stratified_sigmas(rng, 30.0, 0.03, n)[:, None])
    even = velocity_errors(level, lambda t: (1 - t)**2, 0)                   # 2 ncsn_loss is (1 − t)² of it
    assert uniform[0] > 2 * even[0] and uniform[1] < 0.5 * even[1] and even[0] < 1


def test_denoisers_loss_is_two_sigma_to_the_fourth_of_it():
    """(DSM.8) E‖D − x‖² is 2σ⁴ of denoising_loss and 2σ² of ncsn_loss at a level."""
    theirs = np.mean(np.sum((sm.tweedie(SCORE, X + SIGMA * Z, SIGMA) - X)**2, axis=1))
    close(theirs / (2 * SIGMA**4), HERE)
    close(theirs / (2 * SIGMA**2), sm.ncsn_loss(lambda x, sigma: SCORE(x), X, Z, np.full(len(X), SIGMA)))


def test_a_prediction_or_path_of_another_name_is_refused():
    """And a model whose value would broadcast."""
    for name, args in (("predicts", ("eps", "ve")), ("path", ("noise", "cosine"))):
        with pytest.raises(ValueError, match=f"^{name} is "):
            sm.as_score(lambda x, t: x, *args)
    with pytest.raises(ValueError, match=r"^model\(x\) has shape"):
        sm.as_score(lambda x, t: x[:, :1], "noise")(X, 1.0)


def test_implicit_loss_without_the_half_is_twice_of_it():
    """(ISM.4) E[‖s‖² + 2 tr]; a half dropped from ‖s‖² alone is another loss, with half the score at its best."""
    s, tr = sm.divergence(SCORE, X)
    close(np.mean(np.sum(s**2, axis=1) + 2 * tr) / 2, sm.implicit_loss(SCORE, X))


def test_sliced_loss_at_a_noise_level_sees_points_and_score_in_units_of_it():
    """(SSM.5) (NCSN.4) u = x̃/σ, u ↦ σ s(σu, σ): σ² of the sliced loss on x̃, the weight of (NCSN.4)."""
    score, _, _ = conditional()
    at, noisy = score.at(SIGMA), X + SIGMA * Z
    theirs = sm.sliced_vr_loss(lambda u: SIGMA * at(SIGMA * u), noisy / SIGMA, V)
    close(theirs, SIGMA**2 * sm.sliced_vr_loss(at, noisy, V))
