"""Continuous noise: every equation of the SDE chapter, on Gaussians in closed form and on the exact mixture."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from oracles import GRID, LINE, MIXTURE, WIDTH, random_params, replay

from scoremin import (
    GaussianMixture,
    NoiseConditionalMLP,
    dpm_solver,
    geometric_sigmas,
    langevin,
    log_likelihood,
    probability_flow,
    reverse_sde,
    tweedie,
)

SPREAD = 0.7                                                                 # c: the data are N(0, c²I)
SIGMAS = geometric_sigmas(4.0, 0.1, 12)


def gaussian(x, sigma):
    """The exact score of N(0, (c² + σ²) I)."""
    return -x / (SPREAD**2 + sigma**2)


def point(x, sigma):
    """The exact score of noisy data that are all 0."""
    return -x / sigma**2


def mixture(x, sigma):
    """The exact score of the smoothed mixture."""
    return MIXTURE.smoothed(sigma).score(x)


def asinh_grid(sigma_max, sigma_min, n, bend=0.5):
    """n + 1 levels uniform in asinh(σ/bend), descending."""
    return bend * np.sinh(np.linspace(np.arcsinh(sigma_max / bend), np.arcsinh(sigma_min / bend), n + 1))


def normal(variance):
    """The log-density of N(0, variance·I)."""
    return lambda x: -0.5 * np.sum(x**2, axis=1) / variance - 0.5 * x.shape[1] * np.log(2 * np.pi * variance)


def scale_and_noise(sampler):
    """Factor and noise variance of a linear step in one dimension, from its value at x = 1, z = 0 and x = 0, z = 1."""
    one, zero = np.ones((1, 1)), np.zeros((1, 1))
    return sampler(one, zero).item(), sampler(zero, one).item()**2


def variance_after(steps, variance):
    """The variance of a chain of linear steps."""
    for a, b in steps:
        variance = a**2 * variance + b
    return variance


def euler_maruyama(score, sigma, after):
    """One step of reverse_sde on one dimension as (factor, noise variance)."""
    return scale_and_noise(lambda x, z: reverse_sde(score, x, [sigma, after], replay([z])))


def ancestral(score, sigma, after):
    """One ancestral step, (SDE.10), in the same form."""
    lost = sigma**2 - after**2
    return scale_and_noise(lambda x, z: x + lost * score(x, sigma) + np.sqrt(lost) * after / sigma * z)


def order(errors):
    """Observed orders of convergence when the number of steps doubles."""
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


def test_noise_added_in_pieces_has_the_variance_of_the_last_level():
    """(SDE.1) The chain's factors of z_1 … z_i: squares sum to σ_i²; the pieces of a fine chain are √(dσ²)."""
    levels = np.concatenate([[0], SIGMAS[::-1]])
    pieces = np.sqrt(np.diff(levels**2))
    np.testing.assert_allclose(np.cumsum(pieces**2), SIGMAS[::-1]**2, rtol=1e-13)
    z = np.random.default_rng(0).standard_normal((len(pieces), 100_000))
    variance = np.var(pieces @ z)
    assert abs(variance / SIGMAS[0]**2 - 1) < 5 * np.sqrt(2 / 100_000)


def test_continuous_schedule_is_the_geometric_grid():
    """(SDE.2) (SDE.3) At equal steps of t it is geometric_sigmas; squares of √(dσ²/dt dt) add up to σ² − σ_min²."""
    t = np.linspace(1, 0, 12)
    np.testing.assert_allclose(SIGMAS, 0.1 * (4.0 / 0.1)**t, rtol=1e-13)
    for end, sigma in ((1.0, SIGMAS[0]), (t[4], SIGMAS[4])):
        middle = (np.arange(4000) + 0.5) * end / 4000
        noise = np.sqrt(2 * (0.1 * 40.0**middle)**2 * np.log(40)) * np.sqrt(end / 4000)      # of each dw
        assert abs(np.sum(noise**2) / (sigma**2 - 0.1**2) - 1) < 1e-5


def test_distance_of_the_start_from_a_gaussian():
    """(SDE.4) KL by quadrature in one dimension, and its expansion, whose error is of third order in r."""
    mean, variance, sigma_max = 0.5, 0.3, 3.0
    q = GaussianMixture([1.0], [[mean]], [[[variance + sigma_max**2]]])
    x = np.linspace(-60, 60, 4001)[:, None]
    numeric = np.sum(np.exp(q.log_density(x)) * (q.log_density(x) - normal(sigma_max**2)(x))) * 120 / 4000
    r = variance / sigma_max**2
    exact = 0.5 * (mean**2 / sigma_max**2 + r - np.log1p(r))
    assert abs(numeric - exact) < 1e-12
    assert abs(exact - 0.5 * mean**2 / sigma_max**2 - r**2 / 4) < r**3 / 6


def test_noise_is_the_heat_equation_and_its_reversal_and_flow_have_the_same_densities():
    """(SDE.5) (SDE.6) (SDE.7) On the smoothed mixture in 1-D: ∂q/∂σ² by differences against each right side."""
    x, variance, gap = np.linspace(-3, 3, 25)[:, None], 0.5, 1e-4
    q = lambda x, v: np.exp(LINE.smoothed(np.sqrt(v)).log_density(x))[:, None]
    flux = lambda x: q(x, variance) * LINE.smoothed(np.sqrt(variance)).score(x)
    in_time = (q(x, variance + gap) - q(x, variance - gap)) / (2 * gap)
    laplacian = (q(x + gap, variance) - 2 * q(x, variance) + q(x - gap, variance)) / gap**2
    divergence = (flux(x + gap) - flux(x - gap)) / (2 * gap)
    np.testing.assert_allclose(divergence, laplacian, atol=1e-6)
    np.testing.assert_allclose(in_time, 0.5 * laplacian, atol=1e-6)
    np.testing.assert_allclose(-in_time, -divergence + 0.5 * laplacian, atol=1e-6)
    np.testing.assert_allclose(-in_time, -0.5 * divergence, atol=1e-6)
    assert np.abs(in_time).max() > 0.01


def test_euler_maruyama_step_and_its_exactness_for_a_constant_score():
    """(SDE.8) (SDE.11) Factor 1 − δ/(c² + σ²), noise δ; a constant score moves by the whole δ s in any steps."""
    for sigma, after in pairwise(SIGMAS):
        lost = sigma**2 - after**2
        np.testing.assert_allclose(euler_maruyama(gaussian, sigma, after),
                                   (1 - lost / (SPREAD**2 + sigma**2), lost), rtol=1e-12)
    x, z = np.ones((3, 2)), np.zeros((3, 2))
    moved = reverse_sde(lambda x, sigma: np.full(x.shape, 0.25), x, SIGMAS, replay([z] * 11))
    np.testing.assert_allclose(moved, 1 + 0.25 * (4.0**2 - 0.1**2), rtol=1e-13)


def test_reverse_sde_has_the_variance_of_the_recursion_and_converges_at_order_one():
    """(SDE.11) 50,000 chains within 5 sigma of the recursion, whose limit is c² + σ_min² at order 1."""
    rng, n = np.random.default_rng(1), 50_000
    x = np.sqrt(SPREAD**2 + SIGMAS[0]**2) * rng.standard_normal((n, 1))
    predicted = variance_after([euler_maruyama(gaussian, *pair) for pair in pairwise(SIGMAS)], SPREAD**2 + 16)
    assert abs(np.var(reverse_sde(gaussian, x, SIGMAS, rng)) / predicted - 1) < 5 * np.sqrt(2 / n)
    errors = []
    for k in (100, 200, 400):
        steps = [euler_maruyama(gaussian, *pair) for pair in pairwise(geometric_sigmas(4.0, 0.1, k + 1))]
        errors.append(abs(variance_after(steps, SPREAD**2 + 16) - SPREAD**2 - 0.01))
    np.testing.assert_allclose(order(errors), 1, atol=0.05)


def test_ancestral_step_is_the_conditional_law_of_the_chain():
    """(SDE.9) (SDE.11) Regression of x_σ' on x_σ, x_0 by their covariances; D for x_0 gives the step."""
    sigma, after = 2.0, 1.2
    lost = sigma**2 - after**2
    cov = np.array([[after**2, after**2], [after**2, sigma**2]])             # of x_σ' − x_0 and x_σ − x_0
    slope = cov[0, 1] / cov[1, 1]
    assert abs(slope - (1 - lost / sigma**2)) < 1e-15
    assert abs(cov[0, 0] - slope * cov[0, 1] - lost * after**2 / sigma**2) < 1e-15
    x = np.array([[0.8, -1.0]])
    D = tweedie(lambda x: gaussian(x, sigma), x, sigma)
    np.testing.assert_allclose(x + lost * gaussian(x, sigma), x + lost / sigma**2 * (D - x), rtol=1e-14)
    errors = []
    for k in (100, 200, 400):
        steps = [ancestral(gaussian, *pair) for pair in pairwise(geometric_sigmas(4.0, 0.1, k + 1))]
        errors.append(abs(variance_after(steps, SPREAD**2 + 16) - SPREAD**2 - 0.01))
    np.testing.assert_allclose(order(errors), 1, atol=0.05)


def test_for_a_point_mass_ancestral_steps_are_exact_and_euler_maruyama_is_not():
    """(SDE.10) (SDE.12) Variances at the end of a geometric grid: σ_min² against σ_min² times the ratio σ²/σ'²."""
    sigmas = geometric_sigmas(10.0, 0.01, 21)
    exact = variance_after([ancestral(point, *pair) for pair in pairwise(sigmas)], 100.0)
    biased = variance_after([euler_maruyama(point, *pair) for pair in pairwise(sigmas)], 100.0)
    r = (sigmas[0] / sigmas[1])**2
    assert abs(exact / 1e-4 - 1) < 1e-10
    assert abs(biased / 1e-4 - (r + (1 - r) / r**20)) < 1e-10 and abs(biased / 1e-4 / r - 1) < 1e-5


def test_langevin_steps_correct_the_predictor():
    """(SDE.13) langevin at σ' maps V to (1 − ½ step/(c² + σ'²))² V + step, and its fixed point is (LD.7)."""
    after, step = 0.8, 0.3
    width = SPREAD**2 + after**2
    corrector = scale_and_noise(lambda x, z: langevin(lambda x: gaussian(x, after), x, step, 1, replay([z])))
    for V in (0.1, 1.0, 7.0):
        assert abs(variance_after([corrector], V) - ((1 - step / 2 / width)**2 * V + step)) < 1e-12
    assert abs(variance_after([corrector] * 400, 50.0) * (1 - step / width / 4) / width - 1) < 1e-9


def test_flow_follows_the_closed_form_and_heun_has_order_two():
    """(SDE.14) (SDE.15) (SDE.16) x √((c² + σ'²)/(c² + σ²)); the error falls by 4 when the steps double."""
    x = np.array([[1.0, -2.0], [3.0, 0.5]])
    exact = x * np.sqrt((SPREAD**2 + 0.1**2) / (SPREAD**2 + 16))
    ends = [probability_flow(gaussian, x, geometric_sigmas(4.0, 0.1, k + 1)) for k in (50, 100, 200, 400)]
    errors = [np.abs(end - exact).max() for end in ends]
    np.testing.assert_allclose(order(errors), 2, atol=0.05)
    sigma, after = 2.0, 1.5
    slope = -sigma * gaussian(x, sigma)
    far = -after * gaussian(x + (after - sigma) * slope, after)
    np.testing.assert_allclose(probability_flow(gaussian, x, [sigma, after]), x + (after - sigma) * (slope + far) / 2,
                               rtol=1e-14)


def test_flow_there_and_back_is_the_identity():
    """(SDE.14) (SDE.16) Down and up again on the mixture; what is left falls as the square of the steps or faster."""
    x = 4 * np.random.default_rng(2).standard_normal((50, 2))
    left = []
    for k in (40, 80, 160):
        sigmas = asinh_grid(5.0, 0.1, k)
        left.append(np.abs(probability_flow(mixture, probability_flow(mixture, x, sigmas), sigmas[::-1]) - x).max())
    assert (order(left) > 1.7).all() and left[-1] < 1e-2


def test_solver_in_the_denoiser_is_exact_where_the_denoiser_is_constant():
    """(SDE.17) (SDE.18) A point mass: any levels give x σ_min/σ_max; the integral of D/σ² in (SDE.17) by quadrature."""
    x, centre = np.array([[1.0, 2.0], [-3.0, 0.2]]), np.array([0.4, -0.3])
    score = lambda x, sigma: (centre - x) / sigma**2
    np.testing.assert_allclose(dpm_solver(score, x, [5.0, 1.0, 0.7, 0.1]), centre + (x - centre) * 0.02, rtol=1e-12)
    grid = np.linspace(1.0, 2.0, 20001)                                      # N(0, c²): D = c² x/(c² + σ²), known path
    path = np.sqrt((SPREAD**2 + grid**2) / (SPREAD**2 + 4))
    D = SPREAD**2 * path / (SPREAD**2 + grid**2) / grid**2
    integral = np.sum(D[1:] + D[:-1]) / 2 * (grid[1] - grid[0])
    assert abs(0.5 + integral - path[0]) < 1e-9


def test_multistep_solver_has_order_two_and_its_first_step_is_of_first_order():
    """(SDE.18) (SDE.19) Observed order on a Gaussian; one step alone is the formula for a constant denoiser;
    the weights of the extrapolation are those of the exact integral up to η³."""
    x = np.array([[1.0, -2.0]])
    exact = x * np.sqrt((SPREAD**2 + 0.01) / (SPREAD**2 + 16))
    errors = [np.abs(dpm_solver(gaussian, x, geometric_sigmas(4.0, 0.1, k + 1)) - exact).max()
              for k in (100, 200, 400, 800)]
    np.testing.assert_allclose(order(errors), 2, atol=0.1)
    D = x + 4 * gaussian(x, 2.0)
    np.testing.assert_allclose(dpm_solver(gaussian, x, [2.0, 1.0]), 0.5 * x + 0.5 * D, rtol=1e-14)
    first = D
    y = 0.5 * x + 0.5 * D
    D = y + gaussian(y, 1.0)
    ahead = D + 0.5 * np.log(1 / 0.8) * (D - first) / np.log(2)
    np.testing.assert_allclose(dpm_solver(gaussian, x, [2.0, 1.0, 0.8]), 0.8 * y + 0.2 * ahead, rtol=1e-13)
    gaps = [abs((eta * np.exp(eta) - np.exp(eta) + 1) - eta / 2 * np.expm1(eta)) for eta in (0.2, 0.1, 0.05)]
    np.testing.assert_allclose(order(gaps), 3, atol=0.1)


def test_likelihood_of_a_gaussian_is_its_density_at_order_four():
    """(SDE.20) (SDE.21) (SDE.22) Against log N(x; 0, (c² + σ_min²) I); the error falls by 16 when steps double."""
    x = np.array([[0.3, -0.5], [1.0, 2.0], [0.0, 0.0]])
    prior, exact = normal(SPREAD**2 + 16), normal(SPREAD**2 + 0.01)(x)
    errors = [np.abs(log_likelihood(gaussian, x, asinh_grid(4.0, 0.1, k), prior) - exact).max() for k in (20, 40, 80)]
    np.testing.assert_allclose(order(errors), 4, atol=0.3)
    assert errors[-1] < 1e-6


def test_likelihood_takes_the_score_of_one_level_where_it_is_offered():
    """(SDE.21) .at(sigma) and its own divergence, which autograd could not find: the value is that of the Gaussian."""
    class AtLevels:
        def __call__(self, x, sigma):
            raise AssertionError("asked without .at")

        def at(self, sigma):
            a = 1 / (SPREAD**2 + sigma**2)
            return SimpleNamespace(divergence=lambda x: (-a * x, np.full(len(x), -a * x.shape[1])))
    x, prior = np.array([[0.3, -0.5], [1.0, 2.0]]), normal(SPREAD**2 + 16)
    assert np.allclose(log_likelihood(AtLevels(), x, SIGMAS, prior), log_likelihood(gaussian, x, SIGMAS, prior),
                       rtol=1e-12)


def test_divergence_is_the_rate_of_the_log_density_along_the_flow():
    """(SDE.20) d/dσ of log q_σ(x(σ)) on the mixture, by a central difference along the flow, against σ tr ∂s/∂x."""
    x, sigma, gap = np.array([[1.0, 0.5], [-2.0, 1.0], [0.1, 0.2]]), 0.8, 1e-4
    slope = -sigma * mixture(x, sigma)
    along = lambda t: MIXTURE.smoothed(sigma + t).log_density(x + t * slope)
    unit = np.eye(2)
    tr = sum((mixture(x + gap * e, sigma) - mixture(x - gap * e, sigma))[:, i] / (2 * gap) for i, e in enumerate(unit))
    np.testing.assert_allclose((along(gap) - along(-gap)) / (2 * gap), sigma * tr, atol=1e-6)


def test_likelihood_of_the_mixture_from_its_exact_score():
    """(SDE.21) (SDE.22) σ from 10 to .01: order 4 in the steps, 1e-6 nats at 80."""
    x = MIXTURE.sample(np.random.default_rng(3), 50)
    exact, prior = MIXTURE.smoothed(0.01).log_density(x), MIXTURE.smoothed(10.0).log_density
    errors = [np.abs(log_likelihood(mixture, x, asinh_grid(10.0, 0.01, k), prior) - exact).mean() for k in (20, 40, 80)]
    assert (order(errors) > 3.5).all() and errors[-1] < 1e-6


def test_likelihood_integrates_to_one():
    """(SDE.21) The trapezoidal rule on a grid, for the exact score of a mixture in one dimension."""
    score = lambda x, sigma: LINE.smoothed(sigma).score(x)
    log_q = log_likelihood(score, GRID, asinh_grid(10.0, 0.05, 40), LINE.smoothed(10.0).log_density)
    assert abs(np.sum(np.exp(log_q)) * WIDTH - 1) < 1e-5


def test_likelihood_of_any_network_integrates_to_one():
    """(SDE.21) The flow is one to one whatever the score is, so the density of an untrained network has mass 1 too."""
    score = NoiseConditionalMLP(random_params([2, 6, 6, 1], seed=3))
    x = np.linspace(-25, 25, 2001)[:, None]
    plain = lambda x, sigma: score(x, sigma)                                 # hides .at and the closed form
    sigmas = asinh_grid(3.0, 0.3, 40)
    log_q = log_likelihood(score, x, sigmas, normal(9.0))
    assert abs(np.sum(np.exp(log_q)) * 50 / 2000 - 1) < 1e-4
    np.testing.assert_allclose(log_q, log_likelihood(plain, x, sigmas, normal(9.0)), atol=1e-9)


def test_variance_preserving_process_is_the_same_in_other_variables():
    """(SDE.23) (SDE.24) Its density and score in one dimension, by quadrature over x_0, against the mixture's."""
    kept = 0.4
    sigma = np.sqrt((1 - kept) / kept)
    x_t = np.linspace(-2, 2, 9)[:, None]
    density = lambda x: np.sum(np.exp(LINE.log_density(GRID)) * WIDTH * np.exp(
        -(x - np.sqrt(kept) * GRID.T)**2 / (2 * (1 - kept))), axis=1) / np.sqrt(2 * np.pi * (1 - kept))
    q = LINE.smoothed(sigma)
    np.testing.assert_allclose(density(x_t), np.exp(q.log_density(x_t / np.sqrt(kept))) / np.sqrt(kept), rtol=1e-9)
    score = (np.log(density(x_t + 1e-5)) - np.log(density(x_t - 1e-5))) / 2e-5
    np.testing.assert_allclose(score, q.score(x_t / np.sqrt(kept))[:, 0] / np.sqrt(kept), atol=1e-7)
    np.testing.assert_allclose(-np.sqrt(1 - kept) * score, -sigma * q.score(x_t / np.sqrt(kept))[:, 0], atol=1e-7)


def test_the_step_named_is_the_one_that_failed():
    """Counted from 0: a score that is too large at the third level alone is named with step 2."""
    score = lambda x, sigma: x * (1e307 if sigma == 10 else 0)
    with pytest.raises(FloatingPointError, match=r"at step 2, from sigma = 10 to 0\.5"):
        reverse_sde(score, np.ones((3, 2)), [30, 20, 10, 0.5], np.random.default_rng(0))


def test_mistaken_reverse_process_freezes_at_small_noise():
    """(SDE.25) dx = s dt + √(2σ) dw: held at a level its variance is σ(c² + σ²), 1/σ times too small; run from
    t = 1 to 0 along (SDE.3) it misses the data's variance by more than half, where reverse_sde is within 5 %."""
    dt, sigma, c = 1e-3, 0.05, 1.0                                           # Euler's variance is dt/2 too large
    held = variance_after([(1 - dt / (c**2 + sigma**2), 2 * sigma * dt)] * 10_000, 1.0)
    assert abs(held / (sigma * (c**2 + sigma**2)) - 1) < 1e-3
    levels = geometric_sigmas(10.0, 0.01, 501)
    start, wanted = c**2 + 100, c**2 + 1e-4
    wrong = variance_after([(1 - 1 / 500 / (c**2 + s**2), 2 * s / 500) for s in levels[:-1]], start)
    scores = lambda x, sigma: -x / (c**2 + sigma**2)
    right = variance_after([euler_maruyama(scores, *pair) for pair in pairwise(levels)], start)
    assert abs(wrong / wanted - 1) > 0.5 and abs(right / wanted - 1) < 0.05


RUNS = {
    "reverse_sde": lambda score, x, sigmas: reverse_sde(score, x, sigmas, np.random.default_rng(0)),
    "probability_flow": probability_flow,
    "dpm_solver": dpm_solver,
    "log_likelihood": lambda score, x, sigmas: log_likelihood(score, x, sigmas, normal(16.0)),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept_and_float32_agrees_with_float64(run, dtype):
    """float32 in, float32 out, for a closed form and a network; its value is float64's to 1e-3 of the largest."""
    x = np.random.default_rng(4).standard_normal((20, 2)).astype(dtype)
    network = NoiseConditionalMLP(random_params([3, 8, 8, 2], dtype=dtype))
    sigmas = geometric_sigmas(4.0, 0.1, 21)
    for score in (gaussian, network):
        assert run(score, x, sigmas).dtype == dtype
    if run is not RUNS["reverse_sde"]:                                       # draws other numbers in float32
        double = run(gaussian, x.astype(float), sigmas)
        assert np.abs(run(gaussian, x, sigmas) - double).max() < 1e-3 * np.abs(double).max()


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_wrong_input_is_named(run):
    """Levels, points and the score's value: the message names the argument."""
    x = np.ones((3, 2))
    for sigmas in ([1.0], [], [[2.0, 1.0]], [2.0, 2.0], [2.0, 0.0], [np.inf, 1.0], [np.nan, 1.0], [2.0, 0.5, 1.0],
                   [2.0, -1.0], ["a", "b"], [2j, 1j], 1.0):
        with pytest.raises((TypeError, ValueError), match=r"^sigmas "):
            run(gaussian, x, sigmas)
    with pytest.raises(ValueError, match=r"x has shape \(3,\)"):
        run(gaussian, np.ones(3), SIGMAS)
    with pytest.raises(ValueError, match=r"score\(x.* shape \(3,\)"):
        run(lambda x, sigma: np.ones(3), x, SIGMAS)


@pytest.mark.parametrize("name", ["reverse_sde", "dpm_solver", "log_likelihood"])
def test_ascending_levels_are_refused_but_by_the_flow(name):
    """Only probability_flow runs up."""
    with pytest.raises(ValueError, match="strictly descending order"):
        RUNS[name](gaussian, np.ones((3, 2)), [1.0, 2.0])
    assert np.isfinite(probability_flow(gaussian, np.ones((3, 2)), [1.0, 2.0])).all()


def test_a_prior_that_is_no_log_density_is_named():
    """A column would broadcast to (N, N); −∞ would be returned as an answer."""
    for prior, error in ((lambda x: np.ones((3, 1)), ValueError), (lambda x: 0.0, ValueError),
                         (lambda x: np.full(3, -np.inf), FloatingPointError)):
        with pytest.raises(error, match=r"^prior\(x\)"):
            log_likelihood(gaussian, np.ones((3, 2)), SIGMAS, prior)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_divergence_is_raised_with_its_step(run, dtype):
    """A score whose steps leave the range of floats: the step is named, and no infinity is returned."""
    x = np.ones((3, 2), dtype)
    large = float(np.finfo(dtype).max)**0.6
    with pytest.raises(FloatingPointError, match=r"at step \d+, from sigma"):
        run(lambda x, sigma: large * x, x, SIGMAS)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_score_that_is_not_a_number_is_named_with_its_step(run):
    """It is the score's fault, not that of the levels."""
    score = lambda x, sigma: gaussian(x, sigma) * (np.nan if 0.15 < sigma < 0.3 else 1)
    with pytest.raises(FloatingPointError, match=r"^at step \d+, from sigma .*: score.* holds NaN .*score is at fault"):
        run(score, np.ones((3, 2)), SIGMAS)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0, 2.0])
def test_every_reversal_runs_through_the_same_densities(eta):
    """(SDE.26) (SDE.27) (SDE.28) VP on a mixture in 1-D: ∂q/∂t by differences in ᾱ against both right sides."""
    x, beta, t, gap = np.linspace(-2, 2, 21)[:, None], 1.3, 0.6, 1e-4

    def law(t):
        kept = np.exp(-beta * t)
        return GaussianMixture(LINE.weights, LINE.means * np.sqrt(kept), LINE.covs * kept + (1 - kept) * np.eye(1))

    q = lambda x, t=t: np.exp(law(t).log_density(x))[:, None]
    in_time = (q(x, t + gap) - q(x, t - gap)) / (2 * gap)
    laplacian = (q(x + gap) - 2 * q(x) + q(x - gap)) / gap**2
    flux = lambda drift: (q(x + gap) * drift(x + gap) - q(x - gap) * drift(x - gap)) / (2 * gap)
    f = lambda x: -0.5 * beta * x
    back = lambda x: 0.5 * (1 + eta**2) * beta * law(t).score(x) - f(x)
    np.testing.assert_allclose(in_time, -flux(f) + 0.5 * beta * laplacian, atol=1e-6)
    np.testing.assert_allclose(-in_time, -flux(back) + 0.5 * eta**2 * beta * laplacian, atol=1e-6)
    assert np.abs(in_time).max() > 0.01


@pytest.mark.parametrize("eta, expected", [(0.0, 0.63), (1.0, 0.83)])
def test_noise_forgets_an_error_of_the_score_and_the_flow_keeps_it(eta, expected):
    """(SDE.29) s a tenth too large, c = 1, σ 10 → 0: by probability_flow and reverse_sde themselves, fine levels."""
    wrong, u = lambda x, sigma: -1.1 * x / (1 + sigma**2), 101.0
    k = 1.1 * (1 + eta**2)
    V = eta**2 / (k - 1) + (1 - eta**2 / (k - 1)) * u * u**-k
    levels = asinh_grid(10.0, 1e-3, 2000)
    if eta:
        ends = variance_after([euler_maruyama(wrong, *pair) for pair in pairwise(levels)], u)
    else:
        ends = probability_flow(wrong, np.full((1, 1), u**0.5), levels).item()**2
    assert abs(V - expected) < 0.005 and abs(ends / V - 1) < 2e-3


def test_first_order_steps_of_all_paths_are_one():
    """(SDE.18) (SDE.30) Euler's x_t + (t' − t)v of the linear path, over 1 − t', is dpm_solver's first step."""
    x = np.array([[0.4, -1.2], [2.0, 0.3]])
    for sigma, after in ((3.0, 1.0), (0.5, 0.1)):
        t, later = sigma / (1 + sigma), after / (1 + after)
        x_t, s_t = (1 - t) * x, mixture(x, sigma) / (1 - t)
        v = -(x_t + t * s_t) / (1 - t)
        step = dpm_solver(mixture, x, [sigma, after])
        np.testing.assert_allclose((x_t + (later - t) * v) / (1 - later), step, rtol=1e-12)


def test_matching_scores_at_all_levels_matches_densities():
    """(DSM.19) KL(p‖q) in 1-D by quadrature against the integral over levels, log-uniform, of the explicit loss."""
    other = GaussianMixture([0.6, 0.4], [[-0.5], [0.8]], [[[0.9]], [[0.4]]])
    levels = np.geomspace(1e-3, 3e3, 1200)
    rates = []
    for sigma in levels:
        x = np.linspace(-10 - 9 * sigma, 10 + 9 * sigma, 1201)[:, None]
        p, q = LINE.smoothed(sigma), other.smoothed(sigma)
        w = np.exp(p.log_density(x)) * (x[1, 0] - x[0, 0])
        rates.append(w @ (p.score(x) - q.score(x))[:, 0]**2 * sigma**2)      # ½ · dσ²/d log σ
    total = np.sum(rates) * np.log(levels[1] / levels[0])
    w = np.exp(LINE.log_density(GRID)) * WIDTH
    assert abs(total / (w @ (LINE.log_density(GRID) - other.log_density(GRID))) - 1) < 1e-3
