"""Mistakes of public reimplementations, each written out wrong, beside what exposes it and by how much.

Most raise no error (ascending levels and a flipped sign do here) and leave the training loss looking well.
Every test asserts the number that a check should look for, in closed form where there is one. The wrong
versions that the gallery draws stand in figures/common_mistakes.py.
"""

from itertools import pairwise, product

import autograd.numpy as np
import pytest
from autograd import grad
from autograd.misc import flatten
from oracles import GRID, LINE, MIXTURE, WIDTH

from figures.common import relu_energy
from figures.common_mistakes import annealed_versions, flipped, unit_probe_loss, wrong_annealed, wrong_langevin
from scoremin import (
    MLP,
    GaussianMixture,
    annealed_langevin,
    denoising_loss,
    divergence,
    energy_score,
    fit,
    geometric_sigmas,
    implicit_loss,
    init_mlp,
    jvp,
    kde_score,
    langevin,
    mode_weights,
    ncsn_loss,
    relative_error,
    sliced_loss,
    sliced_vr_loss,
)

CHAINS = 20_000
SIGMAS, STEP = geometric_sigmas(10, 0.01, 10), 2e-5                          # annealing of N(0, 1), 100 steps a level
DATA = MIXTURE.sample(np.random.default_rng(0), 100)
INVERSE = np.linalg.inv(np.cov(DATA.T, bias=True))                           # S⁻¹


def linear(A):
    """The parameters of s(x) = −A(x − μ) for the mean μ of DATA."""
    return [(-A, DATA.mean(axis=0) @ A)]


def steepness(loss, A):
    """The largest entry of the gradient of loss(score) at the linear score of slope −A."""
    return np.abs(flatten(grad(lambda params: loss(MLP(params)))(linear(A)))[0]).max()


def annealed_variance(levels, step_of, variance_of):
    """Exact variance of annealed Langevin on N(0, 1) from variance 100 by (LD.10), 100 steps a level."""
    V = 100.0
    for sigma in levels:
        for _ in range(100):
            V = (1 - step_of(sigma) / (1 + sigma**2) / 2)**2 * V + variance_of(sigma)
    return V


RIGHT, LAST_NOISE, LINEAR, ASCENDING = annealed_versions(SIGMAS, STEP)


def within_five_errors(x, V):
    """Whether the mean square of independent N(0, V) is V, up to five standard errors."""
    return abs(np.mean(x**2) / V - 1) < 5 * np.sqrt(2 / x.size)


@pytest.mark.parametrize("version, V, digits", [(LINEAR, 70.3, 0.1), (LAST_NOISE, 0.00885, 1e-4)])
def test_annealed_chains_keep_the_variance_of_their_version(version, V, digits):
    """(LD.8) (LD.10) N(0, 1), σ 10 → .01: a step ∝ σ leaves 70 of the start's 100, noise √step freezes at .009."""
    rng = np.random.default_rng(1)
    x = wrong_annealed(lambda x, sigma: -x / (1 + sigma**2), 10 * rng.standard_normal((4000, 1)), version, 100,
                       rng.standard_normal)
    assert abs(annealed_variance(*version) - V) < digits
    assert within_five_errors(x, annealed_variance(*version))


def test_annealed_langevin_has_the_variance_of_the_right_version():
    """(LD.8) (LD.10) the sampler of the package, beside the two above: 1.10."""
    rng = np.random.default_rng(2)
    x = annealed_langevin(lambda x, sigma: -x / (1 + sigma**2), 10 * rng.standard_normal((4000, 1)), SIGMAS, STEP, 100,
                          rng)
    assert abs(annealed_variance(*RIGHT) - 1.1038) < 1e-3
    assert within_five_errors(x, annealed_variance(*RIGHT))


def test_annealed_noise_of_the_last_step_loses_the_minor_mode():
    """(LD.8) weights .8, .2, σ 20 → 1: all points fall to the single mode of the first level; the minor one gets 0."""
    means, levels, rng = 5 * np.array([[1.0, 1.0], [-1.0, -1.0]]), geometric_sigmas(20, 1, 10), np.random.default_rng(1)
    start = rng.uniform(-8, 8, (400, 2))
    toy = {sigma: GaussianMixture([0.8, 0.2], means, np.tile(sigma**2 * np.eye(2), (2, 1, 1))).score
           for sigma in levels.tolist()}
    score = lambda x, sigma: toy[sigma](x)
    wrong = wrong_annealed(score, start, annealed_versions(levels, 0.1)[1], 60, rng.standard_normal)
    right = annealed_langevin(score, start, levels, 0.1, 60, rng)
    assert abs(mode_weights(right, means)[1] - 0.2) < 5 * np.sqrt(0.2 * 0.8 / 400)
    assert mode_weights(wrong, means)[1] == 0
    assert 0.2 < np.mean(start.sum(axis=1) < 0)                              # it had half of the start


def test_uniform_noise_moves_and_shrinks_the_cloud():
    """(LD.3) rng.random for standard_normal on N(0, 1), step .1: mean 1/√step = 3.16, variance 1/12/(1 − step/4)."""
    x = wrong_langevin(np.negative, np.zeros((CHAINS, 1)), 0.1, 0.1, 300, np.random.default_rng(2).random)
    V = 1 / 12 / (1 - 0.1 / 4)
    assert abs(np.mean(x) - 1 / np.sqrt(0.1)) < 5 * np.sqrt(V / CHAINS)
    assert abs(np.var(x) - V) < 5 * V * np.sqrt(2 / CHAINS)


def test_noise_without_the_two_halves_the_temperature():
    """(LD.4) (LD.5) drift ε with noise √ε on N(0, 1): variance 1/(2 − ε), exactly half that of √(2ε)."""
    rng, start = np.random.default_rng(3), np.zeros((CHAINS, 1))
    x = wrong_langevin(np.negative, start, 0.2, 0.1, 200, rng.standard_normal)  # drift .1 s, noise √.1
    right = langevin(np.negative, start, 0.2, 200, rng)
    V = 1 / (2 - 0.1)
    assert abs(np.mean(x**2) - V) < 5 * V * np.sqrt(2 / CHAINS)
    assert abs(np.mean(right**2) - 2 * V) < 5 * 2 * V * np.sqrt(2 / CHAINS)


def test_unit_probes_learn_a_fraction_of_the_score():
    """(SSM.2) (SSM.5) probes of norm 1 with the full ‖s‖²: optimum S⁻¹/d, half the score at d = 2, an error of ¼."""
    x, v = np.tile(DATA, (2, 1)), np.sqrt(2) * np.repeat(np.eye(2), len(DATA), axis=0)  # E vvᵀ = I exactly
    assert steepness(lambda score: unit_probe_loss(score, x, v), INVERSE / 2) < 1e-12
    assert steepness(lambda score: sliced_vr_loss(score, x, v), INVERSE) < 1e-12
    assert abs(relative_error(MLP(linear(INVERSE / 2)), MLP(linear(INVERSE)), DATA) - 0.25) < 1e-12


def test_squaring_before_summing_turns_ssm_into_ssm_vr():
    """(SSM.4) (SSM.5) ∑(v_i s_i)² for (vᵀs)²: over all sign probes the mean is right, each single loss SSM-VR's."""
    score, x = MLP(init_mlp(np.random.default_rng(4), [3, 6, 3])), np.array([[0.3, -0.2, 0.9]])
    wrong, right, reduced = [], [], []
    for signs in product([-1.0, 1.0], repeat=3):
        v = np.array([signs])
        s, change = sliced_loss(score, x, v), 0.5 * np.sum((v * score(x))**2) - 0.5 * np.sum(v * score(x))**2
        wrong, right, reduced = [*wrong, s + change], [*right, s], [*reduced, sliced_vr_loss(score, x, v)]
    assert abs(np.mean(wrong) - np.mean(right)) < 1e-14                      # no check of the mean can see it
    assert np.allclose(wrong, reduced, rtol=1e-12)
    assert np.abs(np.subtract(wrong, right)).max() > 0.1                     # one probe, held fixed, does


def test_trace_divided_by_d_learns_a_fraction_of_the_score():
    """(ISM.4) (ISM.8) a mean over the diagonal for the trace: optimum S⁻¹/d, an error of (1 − 1/d)², ¼ at d = 2."""
    def wrong(score):
        s, tr = divergence(score, DATA)
        return np.mean(0.5 * np.sum(s**2, axis=1) + tr / 2)

    assert steepness(wrong, INVERSE / 2) < 1e-12
    assert steepness(lambda score: implicit_loss(score, DATA), INVERSE) < 1e-12


def test_energy_sign_flipped_has_relative_error_four():
    """(EBM.3) (ISM.7) s = +∇E: error 4, E[s xᵀ] = +I for −I, and Langevin multiplies x by 1 + step/2 a step."""
    right, line = energy_score(lambda x: -MIXTURE.log_density(x)), energy_score(lambda x: -LINE.log_density(x))
    stein = lambda score: np.sum(np.exp(LINE.log_density(GRID))[:, None] * score(GRID) * GRID) * WIDTH
    assert relative_error(right, MIXTURE.score, DATA) < 1e-20
    assert abs(relative_error(flipped(right), MIXTURE.score, DATA) - 4) < 1e-10
    assert abs(stein(line) + 1) < 1e-10
    assert abs(stein(flipped(line)) - 1) < 1e-10
    with pytest.raises(FloatingPointError, match=r"at step 35\d: the chain diverged"):  # 1.5^k · 1e92 > 1e154
        langevin(flipped(np.negative), np.full((1, 1), 1e92), 1.0, 1000, np.random.default_rng(5))


def test_weighting_by_sigma_squared_twice_silences_the_small_levels():
    """(NCSN.3) (NCSN.4) λ = σ⁴: the loss at s = 0 is dσ²/2; of 20 levels 1.5 → .01 the lower ten get .5 % of it."""
    levels, z = geometric_sigmas(1.5, 0.01, 20), np.sqrt(2) * np.concatenate([np.eye(2), -np.eye(2)])
    zero, x = lambda x, sigma: np.zeros_like(x), np.zeros((4, 2))
    right = np.array([ncsn_loss(zero, x, z, sigma) for sigma in levels])
    wrong = np.array([sigma**4 * denoising_loss(np.zeros_like, x, z, sigma) for sigma in levels])
    assert np.allclose(right, 1, rtol=1e-12)
    assert np.allclose(wrong, levels**2, rtol=1e-12)
    assert abs(wrong[10:].sum() / wrong.sum() - 0.0051) < 1e-4
    assert abs(wrong[0] / wrong[-1] - 150**2) < 1e-6


def test_target_from_noisy_data_loses_its_digits_in_float32():
    """(DSM.2) (x̃ − x)/σ² for z/σ: an error of the spacing of floats at x over σ, 6·10⁻⁴ at σ = 10⁻⁴; z/σ has 10⁻⁷."""
    rng, sigma = np.random.default_rng(6), 1e-4
    x, z = MIXTURE.sample(rng, 1000).astype(np.float32), rng.standard_normal((1000, 2), np.float32)
    exact = z.astype(float) / sigma
    error = lambda target: np.sqrt(np.mean((target - exact)**2) / np.mean(exact**2))
    spacing = np.sqrt(np.mean(np.spacing(np.abs(x)).astype(float)**2) / 12) / sigma  # rounding: uniform in a spacing
    assert abs(error(((x + sigma * z) - x) / sigma**2) / spacing - 1) < 0.1
    assert error(((x + sigma * z) - x) / sigma**2) > 5e-4
    assert error(z / sigma) < 1e-7


def test_uniform_noise_with_the_gaussian_target_learns_another_field():
    """(DSM.3) E[−z/σ | x̃], by quadrature, is the score of the noisy data for Gaussian z only; uniform: error .15."""
    sigma, x_noisy = 0.6, np.linspace(-4, 4, 81)[:, None]

    def error(kernel):
        z = np.linspace(-8, 8, 1601)
        x = (x_noisy - sigma * z).reshape(-1, 1)
        p = np.exp(LINE.log_density(x)).reshape(len(x_noisy), -1) * kernel(z)
        q = np.sum(p, axis=1)
        learned, true = np.sum(p * -z / sigma, axis=1) / q, np.sum(p * LINE.score(x).reshape(p.shape), axis=1) / q
        return np.sum(q * (learned - true)**2) / np.sum(q * true**2)

    assert error(lambda z: np.exp(-0.5 * z**2)) < 1e-20
    assert abs(error(lambda z: np.abs(z) < np.sqrt(3)) - 0.15) < 0.01        # mean and variance are those of N(0, 1)
    assert abs(error(lambda z: np.exp(-np.sqrt(2) * np.abs(z))) - 0.14) < 0.01  # Laplace, too


def test_relu_energy_has_no_trace_to_learn_from():
    """(ISM.6) (ISM.11) trace 0, so J_ISM = ½E‖s‖² in value and gradient: the flat density wins, not −½E‖∇log p‖²."""
    params = init_mlp(np.random.default_rng(7), [2, 16, 1])
    relu = lambda params: energy_score(relu_energy(params))
    flat = lambda params: 0.5 * np.mean(np.sum(relu(params)(DATA)**2, axis=1))
    loss = lambda params: implicit_loss(relu(params), DATA)
    assert np.array_equal(divergence(relu(params), DATA)[1], np.zeros(len(DATA)))
    assert abs(loss(params) - flat(params)) < 1e-14
    assert loss(params) > 0 > implicit_loss(MIXTURE.score, DATA)
    assert np.abs(flatten(grad(loss)(params))[0] - flatten(grad(flat)(params))[0]).max() < 1e-14


def test_relu_score_misses_how_its_kinks_move():
    """(ISM.11) s = max(x − b, 0): d/db E[s'] = −p(b) by quadrature, autograd says 0."""
    trace = lambda b: np.sum(np.where(GRID > b, np.exp(LINE.log_density(GRID))[:, None], 0)) * WIDTH
    b, score = 0.225, lambda b: lambda x: np.maximum(x - b, 0)               # between two points of the grid
    slope = (trace(b + 0.1) - trace(b - 0.1)) / 0.2
    assert abs(slope / -np.exp(LINE.log_density(np.array([[b]])))[0] - 1) < 0.02
    assert grad(lambda b: np.sum(divergence(score(b), GRID)[1]) + 0 * b)(b) == 0


def test_kde_score_at_its_own_points_fades():
    """(ESM.6) (ISM.9) two points at distance 1: r/(1 + r) of the score is left, r = exp(−1/2h²): .4 % at h = .3."""
    pair, r = np.array([[0.0], [1.0]]), np.exp(-1 / (2 * 0.3**2))
    own, others = kde_score(pair, pair, 0.3), kde_score(pair, pair, 0.3, leave_one_out=True)
    assert np.allclose(others[:, 0], [1 / 0.09, -1 / 0.09], rtol=1e-13)
    assert np.allclose(own / others, r / (1 + r), rtol=1e-12)
    size = lambda s: np.sqrt(np.mean(np.sum(s**2, axis=1)))
    assert size(kde_score(DATA, DATA, 0.1)) < 0.1 * size(kde_score(DATA, DATA, 0.1, leave_one_out=True))
    assert abs(implicit_loss(lambda x: kde_score(x, 10 * pair, 0.1), 10 * pair) + 1 / 0.1**2) < 1e-6  # −d/h²


def test_ascending_levels_end_at_the_widest():
    """(LD.8) (LD.10) σ .01 → 10 with the step of the last level: variance 106 instead of 1; it is refused."""
    assert abs(annealed_variance(*ASCENDING) - 106.3) < 0.1
    with pytest.raises(ValueError, match="strictly descending"):
        annealed_langevin(lambda x, sigma: -x, np.zeros((2, 1)), SIGMAS[::-1], 20.0, 100, np.random.default_rng(8))


def test_density_without_the_factor_d_does_not_integrate_to_one():
    """(MIX.2) ½ log 2π for (d/2) log 2π: the integral is (2π)^((d−1)/2), 2.51 at d = 2; the score cannot show it."""
    axis = np.linspace(-9, 9, 181)
    x = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    wrong = sum(weight * np.exp(-0.5 * np.sum((x - mean) @ np.linalg.inv(cov) * (x - mean), axis=1))
                / np.sqrt(2 * np.pi * np.linalg.det(cov)) for weight, mean, cov in
                zip(MIXTURE.weights, MIXTURE.means, MIXTURE.covs))
    assert abs(np.sum(wrong) * 0.1**2 - np.sqrt(2 * np.pi)) < 1e-8
    assert abs(np.sum(np.exp(MIXTURE.log_density(x))) * 0.1**2 - 1) < 1e-8


def test_norm_inside_the_sum_over_coordinates_learns_a_fraction_of_the_score():
    """(ISM.4) (ISM.8) ∑_i (½‖s‖² + ∂s_i/∂x_i), as notes print it, counts the norm d times: optimum S⁻¹/d."""
    def wrong(score):
        s, tr = divergence(score, DATA)
        return np.mean(2 * 0.5 * np.sum(s**2, axis=1) + tr)

    assert steepness(wrong, INVERSE / 2) < 1e-12
    assert steepness(wrong, INVERSE) > 0.1


def test_variance_with_one_square_missing_adds_up_to_another_level():
    """(SDE.1) √(σ_i² − σ_{i−1}) z for √(σ_i² − σ_{i−1}²) z, σ 1 → 10 in 5 levels: variance 134, not 100; below
    σ = 1 the root is soon that of a negative number."""
    levels, rng = geometric_sigmas(10, 1, 5)[::-1], np.random.default_rng(9)
    x = wrong = rng.standard_normal((CHAINS, 1))
    for before, after in pairwise(levels):
        z = rng.standard_normal(x.shape)
        x, wrong = x + np.sqrt(after**2 - before**2) * z, wrong + np.sqrt(after**2 - before) * z
    V = 1 + np.sum(levels[1:]**2 - levels[:-1])
    assert abs(V - 134.2) < 0.1
    assert within_five_errors(x, 100)
    assert within_five_errors(wrong, V)
    small = SIGMAS[::-1]
    assert (small[1:4]**2 < small[:3]).all()


def test_score_at_a_point_noised_once_more_widens_the_samples():
    """(LD.3) (LD.7) s(x + σz) for s(x) inside the sampler, on q_σ of N(0, 1): the noise of a step has the
    variance step + (½ step A σ)², A = 1/(1 + σ²), so that chains have 3.0 at σ = 1, step 2, for (LD.7)'s 2.67."""
    sigma, step, rng = 1.0, 2.0, np.random.default_rng(11)
    A = 1 / (1 + sigma**2)
    score = lambda x: -A * x
    x = langevin(lambda x: score(x + sigma * rng.standard_normal(x.shape)), np.zeros((CHAINS, 1)), step, 60, rng)
    right = langevin(score, np.zeros((CHAINS, 1)), step, 60, rng)
    V = (step + (step * A * sigma / 2)**2) / (1 - (1 - step * A / 2)**2)
    assert abs(V - 3) < 1e-12
    assert within_five_errors(x, V)
    assert within_five_errors(right, 1 / (A * (1 - step * A / 4)))
    assert not within_five_errors(right, V)


def test_score_is_zero_at_a_mode_and_its_slope_there_is_negative():
    """(LD.5) Ascent, T = 0, ends where s = 0 and ∂s/∂x has negative eigenvalues: near each mean of the mixture."""
    modes = langevin(MIXTURE.score, MIXTURE.means, 0.1, 2000, np.random.default_rng(12), temperature=0.0)
    assert np.abs(MIXTURE.score(modes)).max() < 1e-12
    assert 1e-5 < np.abs(modes - MIXTURE.means).max() < 0.1                  # the other mode pulls a little
    J = np.stack([jvp(MIXTURE.score, modes, np.tile(e, (2, 1)))[1] for e in np.eye(2)], axis=2)
    assert np.linalg.eigvalsh(J).max() < 0


def test_score_of_a_free_network_is_nearly_a_gradient_where_there_are_data():
    """(ISM.4) A network that is no energy may have ∂s/∂x ≠ (∂s/∂x)ᵀ. Its antisymmetric share, E‖J − Jᵀ‖²/4E‖J‖²,
    falls in training where data are, as ∂²log p is symmetric, and not far away: by a factor of ten, 7·10⁻⁴ for .16."""
    rng = np.random.default_rng(13)
    data = MIXTURE.sample(rng, 20_000)
    params = init_mlp(rng, [2, 32, 32, 2])

    def share(params, x):
        J = np.stack([jvp(MLP(params), x, np.tile(e, (len(x), 1)))[1] for e in np.eye(2)], axis=2)
        return np.mean((J[:, 0, 1] - J[:, 1, 0])**2) / 2 / np.mean(np.sum(J**2, axis=(1, 2)))

    trained, _ = fit(lambda params, x, rng: implicit_loss(MLP(params), x), params, data, steps=600, rng=rng,
                     learning_rate=1e-2)
    fresh = MIXTURE.sample(rng, 2000)
    assert share(trained, fresh) < 0.1 * share(params, fresh)
    assert share(trained, fresh) < 0.1 * share(trained, rng.uniform(-8, 8, (2000, 2)))
    turning = linear(np.array([[1.0, 0.5], [-0.5, 1.0]]))
    assert abs(share(turning, fresh) - 0.2) < 1e-12                          # ½² · 2/(1² · 2 + ½² · 2)
