"""Langevin dynamics: stationarity, exact variances and the annealed schedule.

Moments are proved exactly by replaying every sequence of signs as the noise, one sequence a chain;
many parallel chains with a real generator then confirm them within five standard errors.
"""

import re
from itertools import product

import autograd.numpy as np
import pytest
from autograd import elementwise_grad, hessian
from numpy.polynomial.hermite_e import hermegauss
from oracles import GRID, LINE, MIXTURE, WIDTH, replay

from scoremin import GaussianMixture, annealed_langevin, geometric_sigmas, langevin

OTHER = GaussianMixture([0.6, 0.4], [[-0.5], [0.8]], [[[0.9]], [[0.4]]])     # q, another density
CHAINS = 20_000


def all_signs(n):
    """Every sequence of n signs, one a row: independent columns of mean 0 and variance 1, exactly."""
    return np.array(list(product([-1.0, 1.0], repeat=n)))                    # (2^n,n)


def five_errors(variance, n=CHAINS):
    """Five standard errors of the mean square of n independent N(0, variance)."""
    return 5 * variance * np.sqrt(2 / n)


def rate_of_change(density, step, temperature=1.0):
    """d/dt E f(x) of one step from x ~ density, f = tanh(x − ½), by quadrature over x and z."""
    z, w = hermegauss(20)
    x = np.repeat(GRID, len(z), axis=0)
    noise = np.tile(z, len(GRID))[:, None]
    moved = langevin(LINE.score, x, step, 1, replay([noise]), temperature=temperature)
    change = (np.tanh(moved - 0.5) - np.tanh(x - 0.5)).reshape(len(GRID), len(z)) @ w / w.sum()
    return np.sum(density * change) * WIDTH / step


def density_of(mixture):
    """A mixture's density as a function of x (N,1), one that autograd can follow."""
    return lambda x: np.exp(mixture.log_density(x))[:, None]


def test_two_forms_of_fokker_planck_agree():
    """(LD.2) −½(q (log p)')' + ½q'' = ½(q (log q/p)')' at every point, and 0 for q = p, by autograd."""
    def both(q):
        drift = elementwise_grad(lambda x: density_of(q)(x) * LINE.score(x))(GRID)
        spread = elementwise_grad(elementwise_grad(density_of(q)))(GRID)
        return -0.5 * drift + 0.5 * spread, \
            0.5 * elementwise_grad(lambda x: density_of(q)(x) * (q.score(x) - LINE.score(x)))(GRID)

    split, joined = both(OTHER)
    assert np.abs(split - joined).max() < 1e-12
    assert np.abs(joined).max() > 0.1
    assert np.abs(both(LINE)[0]).max() < 1e-12


def test_steps_follow_the_fokker_planck_equation():
    """(LD.1) (LD.2) as step → 0 one step changes E f at the rate ∫ f ∂q/∂t dx, with an error of order step."""
    flow = 0.5 * elementwise_grad(lambda x: density_of(OTHER)(x) * (OTHER.score(x) - LINE.score(x)))(GRID)
    rate = np.sum(np.tanh(GRID - 0.5) * flow) * WIDTH
    error = [rate_of_change(density_of(OTHER)(GRID)[:, 0], step) - rate for step in (1e-3, 1e-4)]
    assert abs(rate) > 0.05
    assert abs(error[1]) < 1e-3 * abs(rate)
    assert 9 < error[0] / error[1] < 11


def test_one_step_is_a_taylor_expansion():
    """(LD.12) E f after a step is f + step(½sᵀ∇f + ½Δf), in the plane by Gauss–Hermite; the rest is O(step²)."""
    f = lambda x: np.sin(x[:, 0] - 0.3) * np.exp(-0.5 * x[:, 1]**2) + 0.2 * x[:, 0] * x[:, 1]
    (u, w), x = hermegauss(24), np.array([[0.4, -0.7]])
    z, weights = np.stack(np.meshgrid(u, u), axis=-1).reshape(-1, 2), np.outer(w, w).ravel() / (2 * np.pi)
    slope, curvature = elementwise_grad(f)(x)[0], np.trace(hessian(lambda x: f(x[None])[0])(x[0]))
    rate = 0.5 * MIXTURE.score(x)[0] @ slope + 0.5 * curvature

    def error(step):
        moved = langevin(MIXTURE.score, np.tile(x, (len(z), 1)), step, 1, replay([z]))
        return weights @ f(moved) - f(x)[0] - step * rate

    assert abs(rate) > 0.1 and abs(error(1e-3)) < 1e-5
    assert 95 < error(1e-2) / error(1e-3) < 105


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_density_to_the_inverse_temperature_is_stationary(temperature):
    """(LD.2) (LD.5) from p^{1/T} the rate of change vanishes with step at temperature T, and only there."""
    density = np.exp(LINE.log_density(GRID) / temperature)
    density = density / (np.sum(density) * WIDTH)
    rates = [rate_of_change(density, step, temperature) for step in (1e-3, 1e-4)]
    assert abs(rates[1]) < 1e-3
    assert 9 < rates[0] / rates[1] < 11
    assert abs(rate_of_change(density, 1e-4, 1.5 * temperature)) > 0.01


def test_chain_is_its_update_rule_written_out():
    """(LD.3) x + ½ step s + √step z, the same generator: positions agree to rounding."""
    x = start = 2 * np.random.default_rng(0).standard_normal((5, 2))
    rng = np.random.default_rng(1)
    for _ in range(30):
        x = x + 0.5 * 0.3 * MIXTURE.score(x) + np.sqrt(0.3) * rng.standard_normal((5, 2))
    assert np.allclose(langevin(MIXTURE.score, start, 0.3, 30, np.random.default_rng(1)), x, rtol=0, atol=1e-12)


def test_other_convention_is_step_equal_two_epsilon():
    """(LD.4) x + ε s + √(2ε) z on one noise sequence is step = 2ε; step = ε is another chain."""
    half, noise = 0.07, np.random.default_rng(2).standard_normal((40, 6, 2))
    x = start = np.random.default_rng(3).standard_normal((6, 2))
    for z in noise:
        x = x + half * MIXTURE.score(x) + np.sqrt(2 * half) * z
    assert np.allclose(langevin(MIXTURE.score, start, 2 * half, 40, replay(noise)), x, rtol=0, atol=1e-12)
    assert np.abs(langevin(MIXTURE.score, start, half, 40, replay(noise)) - x).max() > 0.1


def test_temperature_zero_is_pure_drift():
    """(LD.5) T = 0 is gradient ascent x + ½ step s exactly, whatever the generator; it ends at a mode."""
    x = start = np.array([[3.0, 1.0], [-1.0, -3.0]])
    for _ in range(400):
        x = x + 0.5 * 0.3 * MIXTURE.score(x)
    runs = [langevin(MIXTURE.score, start, 0.3, 400, np.random.default_rng(seed), temperature=0) for seed in (4, 5)]
    assert np.array_equal(runs[0], runs[1])
    assert np.allclose(runs[0], x, rtol=0, atol=1e-12)
    assert np.abs(MIXTURE.score(x)).max() < 1e-10


@pytest.mark.parametrize("step, precision, temperature", [(0.5, 1.0, 1.0), (0.2, 9.0, 1.0), (0.3, 2.0, 0.25)])
def test_variance_follows_its_recursion(step, precision, temperature):
    """(LD.6) over all 2^9 sign sequences the variance after every step is that of the recursion, exactly."""
    signs, seen, V = all_signs(9), [], 4.0
    langevin(lambda x: -precision * x, 2 * signs[:, :1], step, 8, replay(signs.T[1:, :, None]),
             temperature=temperature, callback=lambda i, x: seen.append(np.mean(x**2)))
    for variance in seen:
        V = (1 - step * precision / 2)**2 * V + temperature * step
        assert abs(variance / V - 1) < 1e-12


@pytest.mark.parametrize("step, precision", [(0.5, 1.0), (3.0, 1.0), (0.4, 9.0)])
def test_stationary_variance_has_the_factor_of_the_step(step, precision):
    """(LD.7) V = 1/(a(1 − step·a/4)) maps to itself exactly, and 20,000 chains reach it within 5 standard errors."""
    V, signs = 1 / (precision * (1 - step * precision / 4)), all_signs(2)
    score = lambda x: -precision * x
    once = langevin(score, np.sqrt(V) * signs[:, :1], step, 1, replay([signs[:, 1:]]))
    assert abs(np.mean(once**2) / V - 1) < 1e-12
    x = langevin(score, np.zeros((CHAINS, 1)), step, 60, np.random.default_rng(6))  # (1 − step·a/2)^120 < 1e-15
    assert abs(np.mean(x**2) - V) < five_errors(V)
    assert abs(np.mean(x)) < 5 * np.sqrt(V / CHAINS)


def test_variance_scales_with_temperature():
    """(LD.5) (LD.7) at temperature T the stationary variance is T times that of T = 1: 5 standard errors."""
    V = 0.3 / (2.0 * (1 - 0.5 * 2.0 / 4))
    x = langevin(lambda x: -2 * x, np.zeros((CHAINS, 1)), 0.5, 60, np.random.default_rng(7), temperature=0.3)
    assert abs(np.mean(x**2) - V) < five_errors(V)


def test_variance_grows_without_end_from_four_on():
    """(LD.7) at step·a = 4 the variance grows by step at each step; just below 4 it contracts."""
    signs, seen = all_signs(6), []
    langevin(lambda x: -2 * x, signs[:, :1], 2.0, 5, replay(signs.T[1:, :, None]),
             callback=lambda i, x: seen.append(np.mean(x**2)))
    assert np.allclose(seen, 1 + 2 * np.arange(1, 6), rtol=1e-13)
    far = langevin(lambda x: -2 * x, np.full((1, 1), 1e6), 1.98, 900, np.random.default_rng(8), temperature=0)
    assert abs(far) < 0.2                                                    # 0.98^900 · 1e6 = 0.013


def test_divergence_is_an_error_with_the_step_and_the_remedy():
    """(LD.7) past step·a = 4 the chain stops where x² overflows: 1.5^k · 1 > 1e154 first at step k = 875."""
    message = r"at step 87\d: the chain diverged, \|x\| went from (.*e\+15\d) to (.*e\+15\d); use a smaller step"
    with pytest.raises(FloatingPointError, match=message) as error:
        langevin(lambda x: -x, np.ones((1, 1)), 5.0, 2000, np.random.default_rng(9), temperature=0)
    before, after = map(float, re.search(message, str(error.value)).groups())
    assert abs(after / before - 1.5) < 0.02


def test_divergence_while_annealing_names_the_level():
    """(LD.7) (LD.8) steps 3.2 on precision 1, then 0.2 on precision 40: stable, then past step·a = 4."""
    with pytest.raises(FloatingPointError, match=r"at level 1, sigma = 0.5: at step \d+: the chain diverged"):
        annealed_langevin(lambda x, sigma: -x if sigma > 1 else -40 * x, np.ones((1, 1)), [2.0, 0.5], 0.2, 400,
                          np.random.default_rng(11))


def test_a_score_that_is_not_a_number_is_an_error():
    """A NaN from the score stops the chain at its step instead of being returned."""
    calls = iter([0.0, 0.0, np.nan, 0.0])
    with pytest.raises(FloatingPointError, match=r"at step 2: score\(x\) holds NaN .*is at fault, not the step"):
        langevin(lambda x: next(calls) * x, np.ones((3, 2)), 0.1, 4, np.random.default_rng(10))


def test_step_of_a_level_is_proportional_to_sigma_squared():
    """(LD.8) with s = 0 and z = 1 the cloud moves by √step_i, step_i = step σ_i²/σ_L², at each step."""
    sigmas, seen = [6.0, 3.0, 0.5], [np.zeros((1, 1))]
    annealed_langevin(lambda x, sigma: 0 * x, seen[0], sigmas, 0.02, 2, replay(np.ones((6, 1, 1))),
                      callback=lambda i, x: seen.append(x))
    moves = np.diff(np.concatenate(seen)[:, 0])
    assert np.allclose(moves**2, 0.02 * np.repeat(sigmas, 2)**2 / 0.5**2, rtol=1e-12)
    assert abs(moves[-1]**2 / 0.02 - 1) < 1e-12                              # step is that of the last level


def balance(score, x, w, sigma, step, sigma_L):
    """Root mean square drift over noise in the first step of level sigma, from the chain, over x with weights w."""
    moved, rms = [], lambda a: np.sqrt(np.sum(w * np.sum(a**2, axis=1)))
    for field, size in ((score, 0), (lambda x, sigma: np.zeros_like(x), 1)):
        seen, noise = [], np.tile(size * np.ones_like(x), (2, 1, 1))
        annealed_langevin(field, x, [sigma, sigma_L], step, 1, replay(noise), callback=lambda i, x, s=seen: s.append(x))
        moved.append(rms(seen[0] - x))
    return moved[0] / moved[1]


def test_drift_is_bounded_by_the_noise_at_every_level():
    """(LD.9) Drift over noise is at most ½√step/σ_L for smoothed mixtures, by quadrature, and just that for a point."""
    bound = 0.5 * np.sqrt(2e-5) / 0.01
    for sigma in (10.0, 1.0, 0.1, 0.02):
        q, grid = LINE.smoothed(sigma), np.linspace(-90, 90, 3601)[:, None]
        w = np.exp(q.log_density(grid)) * 0.05
        ratio = balance(lambda x, _, q=q: q.score(x), grid, w, sigma, 2e-5, 0.01)
        assert ratio < bound
        assert ratio > 0.85 * bound or sigma < 5                             # wide noise makes all data a point
        z, w = hermegauss(8)
        at_point = balance(lambda x, s: -x / s**2, sigma * z[:, None], w / w.sum(), sigma, 2e-5, 0.01)
        assert abs(at_point / bound - 1) < 1e-12


def test_drift_fades_where_data_have_a_density():
    """(LD.13) On N(0, 1) the ratio is ½√step/σ_L · σ/√(1 + σ²): .2225 at σ = 10, a hundredfold smaller at .01."""
    z, w = hermegauss(8)
    ratio = {sigma: balance(lambda x, sigma: -x / (1 + sigma**2), np.sqrt(1 + sigma**2) * z[:, None], w / w.sum(),
                            sigma, 2e-5, 0.005) for sigma in (10.0, 1.0, 0.01)}
    for sigma, value in ratio.items():
        assert abs(value / (0.5 * np.sqrt(2e-5) / 0.005 * sigma / np.sqrt(1 + sigma**2)) - 1) < 1e-12
    assert abs(ratio[10.0] / ratio[0.01] - 99.509) < 1e-3


def annealed_variances(V, sigmas, step, n_steps, precision):
    """The recursion of the whole run, after every step, written out."""
    seen = []
    for sigma in sigmas:
        step_i = step * (sigma / sigmas[-1])**2
        for _ in range(n_steps):
            V = (1 - step_i * precision(sigma) / 2)**2 * V + step_i
            seen.append(V)
    return np.array(seen)


@pytest.mark.parametrize("data_variance", [1.0, 0.0])
def test_annealed_variance_follows_its_recursion(data_variance):
    """(LD.10) for N(0, 1) and for a point mass, over all 2^10 sign sequences and exactly at every step."""
    signs, sigmas, seen = all_signs(10), [5.0, 1.0, 0.5], []
    precision = lambda sigma: 1 / (data_variance + sigma**2)
    annealed_langevin(lambda x, sigma: -precision(sigma) * x, 3 * signs[:, :1], sigmas, 0.05, 3,
                      replay(signs.T[1:, :, None]), callback=lambda i, x: seen.append(np.mean(x**2)))
    assert np.allclose(seen, annealed_variances(9.0, sigmas, 0.05, 3, precision), rtol=1e-12)


def test_many_annealed_chains_reach_the_predicted_variance():
    """(LD.10) 20,000 chains on N(0, 1), σ from 10 to .01: final variance within 5 standard errors, which is not 1."""
    sigmas, precision = geometric_sigmas(10, 0.01, 10), lambda sigma: 1 / (1 + sigma**2)
    V = annealed_variances(100.0, sigmas, 2e-5, 40, precision)[-1]
    rng = np.random.default_rng(11)
    x = annealed_langevin(lambda x, sigma: -precision(sigma) * x, 10 * rng.standard_normal((CHAINS, 1)),
                          sigmas, 2e-5, 40, rng)
    assert abs(np.mean(x**2) - V) < five_errors(V)
    assert abs(V - 1) > 2 * five_errors(V)


def test_point_mass_is_stable_below_four_only():
    """(LD.10) with A_i = 1/σ_i² every level has step_i A_i = step/σ_L²: 3.9 contracts, 4.1 grows, both by (LD.6)."""
    sigmas, start = geometric_sigmas(10, 0.1, 3), np.full((1, 1), 1e6)
    run = lambda ratio: annealed_langevin(lambda x, sigma: -x / sigma**2, start, sigmas, ratio * 0.1**2, 50,
                                          replay(np.zeros((150, 1, 1))))
    assert abs(run(3.9)[0, 0] / (1e6 * (1 - 3.9 / 2)**150) - 1) < 1e-9
    assert abs(run(4.1)[0, 0] / (1e6 * (1 - 4.1 / 2)**150) - 1) < 1e-9
    with pytest.raises(FloatingPointError, match=r"at step \d+: the chain diverged"):
        annealed_langevin(lambda x, sigma: -x / sigma**2, start, sigmas, 9 * 0.1**2, 1000, np.random.default_rng(12))


def test_denoising_ends_at_the_posterior_mean():
    """(LD.11) the last step adds σ_L² s(x, σ_L): for N(0, 1) it multiplies by 1/(1 + σ_L²), the posterior mean."""
    sigmas, start = [2.0, 0.8], np.random.default_rng(13).standard_normal((50, 2))
    score = lambda x, sigma: -x / (1 + sigma**2)
    plain, clean = (annealed_langevin(score, start, sigmas, 0.1, 3, np.random.default_rng(14), denoise=denoise)
                    for denoise in (False, True))
    assert np.allclose(clean, plain / (1 + 0.8**2), rtol=1e-13)


def test_score_is_asked_at_the_level_of_the_step():
    """(LD.8) (LD.11) each level is asked n_steps times in descending order, the last once more to denoise."""
    asked = []
    annealed_langevin(lambda x, sigma: asked.append(sigma) or 0 * x, np.zeros((1, 1)), [4.0, 2.0, 1.0], 0.1, 2,
                      np.random.default_rng(15), denoise=True)
    assert asked == [4, 4, 2, 2, 1, 1, 1]


def test_callback_sees_every_position_in_order():
    """Callback(i, x) after step i = 0, 1, …, through all L·n_steps; the last x is returned."""
    rng, start = np.random.default_rng, np.ones((3, 2))
    plain, annealed = [], []
    last = langevin(MIXTURE.score, start, 0.1, 4, rng(16), callback=lambda *seen: plain.append(seen))
    assert [i for i, _ in plain] == [0, 1, 2, 3]
    for i, x in plain:
        assert np.array_equal(x, langevin(MIXTURE.score, start, 0.1, i + 1, rng(16)))
    assert np.array_equal(last, plain[-1][1])
    last = annealed_langevin(lambda x, sigma: -x, start, [3.0, 2.0, 1.0], 0.1, 4, rng(16),
                             callback=lambda *seen: annealed.append(seen))
    assert [i for i, _ in annealed] == list(range(12))
    assert np.array_equal(last, annealed[-1][1])


def test_no_steps_leave_the_start():
    """N_steps = 0 returns x, and a chain never changes the array it was given."""
    start = np.ones((3, 2))
    assert np.array_equal(langevin(MIXTURE.score, start, 0.1, 0, np.random.default_rng(17)), start)
    langevin(MIXTURE.score, start, 0.1, 3, np.random.default_rng(17))
    assert np.array_equal(start, np.ones((3, 2)))


def test_randomness_is_the_generator_alone():
    """Same seed same chain, other seed another, rows independent; NumPy's global generator is not touched."""
    state = np.random.get_state()[1].copy()
    start, score = np.zeros((4, 2)), lambda x, sigma: -x
    runs = [(langevin(MIXTURE.score, start, 0.1, 5, np.random.default_rng(seed)),
             annealed_langevin(score, start, [2.0, 1.0], 0.1, 5, np.random.default_rng(seed))) for seed in (1, 1, 2)]
    for first, again, other in zip(*runs):
        assert np.array_equal(first, again)
        assert np.abs(first - other).min() > 1e-6
        assert len(np.unique(first)) == first.size
    assert np.array_equal(state, np.random.get_state()[1])


def test_dtype_of_the_start_is_kept():
    """Float32 in, float32 out, in the callback too; integers become float64."""
    seen, rng = [], np.random.default_rng(18)
    start = np.ones((3, 2), np.float32)
    record = lambda i, x: seen.append(x.dtype)
    x = langevin(MIXTURE.score, start, 0.1, 2, rng, temperature=np.float64(0.5), callback=record)
    y = annealed_langevin(lambda x, sigma: -x / sigma, start, np.array([2.0, 1.0]), np.float64(0.1), 2, rng,
                          denoise=True, callback=record)
    assert {*seen, x.dtype, y.dtype} == {np.dtype(np.float32)}
    assert langevin(MIXTURE.score, np.ones((3, 2), int), 0.1, 2, rng).dtype == np.float64


def test_annealing_on_a_gaussian_ends_at_its_exact_variance():
    """(LD.8) (LD.10) N(0, 1), σ 10 → .01, 100 steps each: 1.1038, from the chain's response to each single noise."""
    n, sigmas = 1000, geometric_sigmas(10, 0.01, 10)
    start, noise = np.eye(n + 1)[:, :1], np.eye(n + 1)[:, 1:].T[:, :, None]  # chain 0 has the start, chain k noise k
    response = annealed_langevin(lambda x, sigma: -x / (1 + sigma**2), start, sigmas, 2e-5, 100, replay(noise))
    assert abs(100 * response[0, 0]**2 + np.sum(response[1:]**2) - 1.1038) < 5e-5


def test_noise_is_independent_of_itself_in_every_direction():
    """(LD.3) At s = 0 moves are √step z: steps, coordinates and chains do not correlate, 5 standard errors."""
    seen = [np.zeros((CHAINS, 3))]
    langevin(lambda x: 0 * x, seen[0], 0.25, 3, np.random.default_rng(19), callback=lambda i, x: seen.append(x))
    z = np.diff(np.array(seen), axis=0) / 0.5                                # (3,N,3)
    moments = np.einsum("ani,bnj->aibj", z, z).reshape(9, 9) / CHAINS        # of step and coordinate
    assert np.max(np.abs(moments - np.eye(9))) < 5 * np.sqrt(2 / CHAINS)
    assert abs(np.mean(z[0, 1:] * z[0, :-1])) < 5 / np.sqrt(3 * CHAINS)      # neighbouring chains
    assert abs(np.mean(z**4) - 3) < 5 * np.sqrt(96 / z.size)                 # and they are Gaussian


def test_one_chain_that_diverges_among_many_is_an_error():
    """(LD.7) The last of three chains alone leaves the range of floats: the error, not its infinity, comes back."""
    start = np.array([[0.0], [0.0], [1e100]])
    with pytest.raises(FloatingPointError, match="use a smaller step"):
        langevin(lambda x: -x, start, 10.0, 2000, np.random.default_rng(20), temperature=0)


def test_callback_gets_a_copy_and_no_steps_give_one():
    """What a callback does to its x, or a caller to a result of no steps, does not reach the chain or the start."""
    def spoil(i, x):
        x += 1e3
    start, rng = np.ones((3, 2)), np.random.default_rng
    spoiled = langevin(MIXTURE.score, start, 0.1, 3, rng(21), callback=spoil)
    assert np.array_equal(spoiled, langevin(MIXTURE.score, start, 0.1, 3, rng(21)))
    none = langevin(MIXTURE.score, start, 0.1, 0, rng(21))
    none += 1
    assert np.array_equal(start, np.ones((3, 2)))


def test_distance_of_the_chains_falls_at_the_rate_of_the_explicit_loss():
    """(LD.14) KL(q‖p) before and after one small step from q, its density by quadrature, against −½E_q‖∇log q − s‖²."""
    def distance(step):
        x = GRID
        mean, noise = (langevin(LINE.score, x, step, 1, replay([k * np.ones_like(x)])) for k in (0, 1))
        spread = (noise - mean)[:, 0]                                        # √step
        q = np.exp(OTHER.log_density(x)) * WIDTH
        kernels = np.exp(-0.5 * ((GRID - mean.T) / spread)**2) / np.sqrt(2 * np.pi) / spread
        moved = kernels @ q
        return np.sum(WIDTH * moved * (np.log(moved + 1e-300) - LINE.log_density(GRID)))

    q = np.exp(OTHER.log_density(GRID)) * WIDTH
    now = q @ (OTHER.log_density(GRID) - LINE.log_density(GRID))
    rate = -0.5 * q @ (OTHER.score(GRID) - LINE.score(GRID))[:, 0]**2
    slopes = [(distance(step) - now) / step for step in (0.01, 0.02)]        # no kernel is narrower than the grid
    assert rate < -0.05
    assert abs((2 * slopes[0] - slopes[1]) / rate - 1) < 0.02
