"""The recipe for own data: its codes and levels against closed forms, and what comes out of three lines."""

import warnings
from math import erf, log, sqrt

import autograd.numpy as np
import numpy
import pytest
from autograd import grad
from autograd.misc import flatten
from oracles import plain_mlp, random_params

from scoremin import NoiseConditionalMLP, energy_distance, ncsn_loss, sampler
from scoremin.checks import table
from scoremin.ncsn import even_loss
from scoremin.recipe import code, held_out, judge, levels, samples, train, way_back


def coded(column, unit=None, seed=0):
    """code with the distinct rows of a table of which this is one column among continuous ones."""
    return code(np.asarray(column, float), 0, np.random.default_rng(seed), len(column), unit)


@pytest.mark.parametrize("values, q", [([0, 1], 1), ([0, 2, 5], 2), ([10, 30, 70], 20), ([0.5, 1.25, 4], 0.75),
                                       (np.arange(5000) * 15 + 7, 15), ([2**40, 2**40 + 3], 3)])
def test_values_that_repeat_get_cells_as_wide_as_their_spacing(values, q):
    """(REC.1) Noise uniform over ±q/2 about each value: its extremes, mean and variance; rounding leads back, exactly;
    what was drawn between two values goes to the nearer one."""
    column = np.resize(np.asarray(values, float), 6000)
    u, x, known = coded(column)
    noise = x - column
    assert np.array_equal(known, values) and (np.diff(x[np.argsort(u)]) >= 0).all()
    assert np.abs(noise).max() <= q / 2 * (1 + 1e-6)
    assert abs(np.mean(noise)) < 5 * q / sqrt(12 * 6000)
    assert abs(np.var(noise) / (q**2 / 12) - 1) < 5 * sqrt(0.8 / 6000)       # kurtosis 9/5
    assert np.array_equal(way_back(x, x, known)(np.quantile(x, [0, 1])), np.quantile(known, [0, 1]))
    line = np.arange(10_001) / 1000                                          # so that the way back is to round
    back = way_back(line, line, np.array([0.0, 2, 9]))
    assert np.array_equal(back(np.array([0.9, 1.1, 5.4, 5.6, 99])), [0, 2, 2, 9, 9])


def test_columns_with_a_density_are_left_alone():
    """(REC.1) No noise on distinct values that are not whole, ten at the least; mean 0, deviation 1; in one unit that
    unit; of a table told twice, whose rows are half as many, the columns are still dense."""
    column = np.random.default_rng(1).standard_normal(500)
    u, x, known = coded(column)
    assert known is None and np.array_equal(x, column)
    assert coded(np.repeat(column, 2))[2] is not None                        # each value in two rows
    assert np.max(np.abs(u - (x - x.mean()) / x.std())) < 1e-14
    assert np.max(np.abs(coded(column, unit=4.0)[0] - (x - x.mean()) / 4)) < 1e-14
    for n, dense in ((10, True), (9, False)):
        told = np.repeat(column[:n], 3)
        assert (code(told, 0, np.random.default_rng(0), n, None)[2] is None) == dense


@pytest.mark.filterwarnings("ignore:a few rows hold")
def test_heavy_tails_go_to_normal_draws():
    """(REC.2) u is in the order of x, and its distribution function, against Φ by the error function, within the bound
    that a sample of 401 keeps in all but 3 of 10⁵ cases (Dvoretzky, Kiefer, Wolfowitz); equals are in random order;
    tails at the limit stay, in one unit all do; few values go, many whole ones stay."""
    x = np.tan(np.pi * (np.random.default_rng(2).random(401) - 0.5))         # Cauchy
    u = coded(x)[0]
    assert np.array_equal(np.argsort(u), np.argsort(x))
    ranks = np.argsort(np.argsort(x)) + 1
    bound = sqrt(log(2 / 3e-5) / 802) + 1 / 401
    assert max(abs(0.5 * (1 + erf(a / sqrt(2))) - r / 401) for a, r in zip(u, ranks)) < bound
    assert np.max(np.abs(coded(x, unit=2.0)[0] - (x - x.mean()) / 2)) < 1e-9 * np.abs(x).max()
    tied = np.concatenate([np.zeros(400), 1e3 + np.random.default_rng(3).random(460), [-1e6]])
    assert abs(np.corrcoef(np.arange(400), coded(tied)[0][:400])[0, 1]) < 5 / 20
    for few, heavy in (([0, 1], True), (np.arange(20), False)):              # q/deviation 2 and .17; E u⁴ of N is 3
        assert (abs(np.mean(coded(np.resize(few, 6000))[0]**4) - 3) < 0.6) == heavy
    atoms = lambda m: np.concatenate([[-1 - 1e-9, 1], np.zeros(m - 2) + 1e-6 * np.arange(m - 2) / m])  # E u⁴ = m/2
    for m, heavy in ((11, False), (13, True)):
        assert (abs(np.mean(coded(atoms(m))[0]**4) - m / 2) > 0.01) == heavy


def test_the_way_back_gives_a_column_its_own_law():
    """(REC.6) Fresh u of one law come back with the distribution function of the rows, of another law, within what
    10,000 samples and 10,000 fresh ones allow in all but 2 of 10⁵ cases; in order, and never beyond the rows. Values of
    a column come back with their shares, however rare."""
    rng = np.random.default_rng(13)
    x = np.exp(rng.standard_normal(3000))
    back = way_back(rng.standard_normal(10_000), x, None)
    new = back(rng.standard_normal(10_000))
    bound = 2 * sqrt(log(2 / 1e-5) / 20_000) + 1 / 3000
    assert max(abs(np.mean(new <= a) - np.mean(x <= a)) for a in np.quantile(x, np.arange(1, 200) / 200)) < bound
    ordered = back(np.array([-50.0, -1, -0.99, 0, 3, 50]))
    assert (np.diff(ordered) > 0).all() and x.min() <= ordered[0] and ordered[-1] <= x.max()
    assert abs(log(back(np.zeros(1))[0])) < 5 * sqrt(np.pi / 2) * sqrt(1 / 3000 + 1 / 10_000)  # medians
    heavy = rng.standard_normal(50)**9                                       # as many samples as rows: each becomes one
    assert np.allclose(way_back(heavy[::-1] - 5, heavy, None)(heavy - 5), heavy, rtol=1e-12, atol=0)
    flag = np.repeat([0.0, 1, 7], [2900, 70, 30])
    _, noisy, values = coded(flag)
    new = way_back(rng.standard_normal(10_000), noisy, values)(rng.standard_normal(10_000))
    assert set(new) == {0, 1, 7}
    for value, share in ((1, 7 / 300), (7, 0.01)):
        assert abs(np.mean(new == value) - share) < 5 * sqrt(2 * 2 * share / 10_000)


def test_levels_come_from_the_distances_between_rows():
    """(REC.3) (NCSN.6) (NCSN.7) Rows on a square grid of side g: σ_L = .3 g/√2, σ_1 the diagonal, ratios of 1.15 at
    most; in 338 dimensions those of √(2d) (γ − 1) = 3γ; repeated rows count once; .02 and .15 are the bounds."""
    grid = 0.3 * np.stack(np.meshgrid(np.arange(9), np.arange(9)), axis=-1).reshape(-1, 2)
    for rows in (grid, np.repeat(grid, 3, axis=0)):
        sigmas = levels(rows, None)
        assert abs(sigmas[-1] - 0.3 * 0.3 / sqrt(2)) < 1e-12
        assert abs(sigmas[0] - 0.3 * 8 * sqrt(2)) < 1e-12
        assert 1.1 < sigmas[0] / sigmas[1] <= 1.15
    assert levels(10 * grid, None)[-1] == pytest.approx(0.15)
    assert levels(grid / 100, None)[-1] == pytest.approx(0.02)
    assert levels(grid, 0.05)[-1] == pytest.approx(0.05)
    wide = levels(np.random.default_rng(3).standard_normal((60, 338)), None)
    gamma = 26 / 23                                                          # 26 (γ − 1) = 3γ
    assert gamma**0.95 < wide[0] / wide[1] <= gamma


def test_the_loss_weighs_errors_of_the_network_alike_at_every_level():
    """(REC.4) (NET.9) ½E‖f − t‖² under both signs, by the plain network; σ² ℓ times 1 + σ² for one row."""
    rng, params = np.random.default_rng(4), random_params([3, 7, 5, 2], 5)
    x, z = rng.standard_normal((2, 6, 2))
    sigma = np.geomspace(0.02, 30, 6)

    def by_hand(params):
        total = 0
        for side in (1, -1):
            tau, level = np.sqrt(1 + sigma**2)[:, None], sigma[:, None]
            x_noisy, t = x + side * level * z, (level * x - side * z) / tau
            f = plain_mlp(params)(np.concatenate([x_noisy / tau, np.log(level)], axis=1))
            total = total + np.mean(0.5 * np.sum((f - t)**2, axis=1)) / 2
        return total

    loss = lambda params: even_loss(NoiseConditionalMLP(params, skip=True), x, z, sigma)
    assert abs(loss(params) / by_hand(params) - 1) < 1e-12
    g, exact = flatten(grad(loss)(params))[0], flatten(grad(by_hand)(params))[0]
    assert np.max(np.abs(g - exact)) < 1e-11 * np.max(np.abs(exact))
    score = NoiseConditionalMLP(params, skip=True)
    one = [even_loss(score, x[:1], z[:1], sigma[3:4]), 0.5 * (1 + sigma[3]**2) * (
        ncsn_loss(score, x[:1], z[:1], sigma[3]) + ncsn_loss(score, x[:1], -z[:1], sigma[3]))]
    assert abs(one[0] / one[1] - 1) < 1e-12


def test_the_judge_measures_copies_and_distance():
    """(REC.5) (MET.2) Samples beside the rows at a tenth of the usual distance: nearest is .1, and a warning; rows of
    one law: energy and nearest are 1 in the mean of 40 trials, within 5 standard errors; m of n rows drawn anew: energy
    is 1 + (1/n)(1 − 1/m)/(1/m + 1/h), as two are one row with probability 1/n. Two at one place, 4 and √32 from two
    held out, 4 apart: ED = 4 + √32 − 0 − 2, over (½ + ½)·4."""
    rng = np.random.default_rng(6)
    row_grid = 10.0 * np.arange(40)[:, None] + np.zeros((1, 2))
    with pytest.warns(UserWarning, match=r"near copies, 0\.10 times as far .* larger sigma_min"):
        nearest = judge(row_grid + [0.1, 0], row_grid + [1, 0], row_grid)["nearest"]
    assert abs(nearest - 0.1) < 1e-12
    fresh = lambda n: rng.standard_normal((n, 3))
    trials = np.array([list(judge(fresh(200), fresh(100), fresh(300)).values()) for _ in range(40)])
    assert (np.abs(trials.mean(axis=0) - 1) < 5 * trials.std(axis=0) / sqrt(40)).all()
    anew = lambda rows: judge(rows[rng.integers(50, size=200)], fresh(100), rows)["energy"]
    with pytest.warns(UserWarning, match="near copies"):
        energies = np.array([anew(fresh(50)) for _ in range(200)])
    assert abs(energies.mean() - (1 + 199 / 200 / 50 / (1 / 200 + 1 / 100))) < 5 * energies.std() / sqrt(200)
    held = np.array([[0.0, 0], [4, 0]])
    assert abs(judge(np.array([[0.0, 4], [0, 4]]), held, held + 9)["energy"] - (4 + sqrt(32) - 2) / 4) < 1e-12


def test_a_fifth_is_held_out_and_equal_rows_stay_together():
    """A fifth, at least 5; rows told three times are on one side; each row has its chance."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal((100, 2))
    assert held_out(x, rng).sum() in (19, 20) and held_out(x[:12], rng).sum() == 5
    out = held_out(np.tile(x, (3, 1)), rng).reshape(3, 100)
    assert (out == out[0]).all() and 0 < out[0].sum() < 25
    often = np.mean([held_out(x, rng) for _ in range(500)], axis=0)          # .19, deviation .0175
    assert np.abs(often - 0.19).max() < 5 * sqrt(0.19 * 0.81 / 500)


def frame(**columns):
    """What a DataFrame shows of itself."""
    class Frame:
        def __array__(self, dtype=None, copy=None):
            return numpy.array(list(columns.values()), dtype).T
    Frame.columns = list(columns)
    return Frame()


NUMBERS = list(range(10))


@pytest.mark.parametrize("data, message", [
    (frame(age=NUMBERS, name=[*"abcdefghij"]), r"data in column 'name', row 0 is 'a'; want a finite number"),
    (frame(age=[*range(9), float("nan")], b=NUMBERS), r"data in column 'age', row 9 is nan"),
    (frame(a=NUMBERS, b=[1, 2, None, *range(7)]), r"data in column 'b', row 2 is None"),
    (np.where(np.eye(12) > 0, np.inf, 1.0), r"data in column 0, row 0 is inf"),
    (numpy.ma.masked_greater(np.arange(20.0).reshape(10, 2), 18), r"data is .*want numbers everywhere, none masked"),
    (np.array([["1"] * 2] * 10), r"data in column 0, row 0 is '1'"),
    (np.array([["1", "2"], ["3", "4"]] * 5), r"data in column 0, row 0 is '1'"),
    (np.arange(18.0).reshape(9, 2), r"data is .*shape \(9, 2\); want \(n, d\), 10 rows or more"),
    (np.arange(20.0), r"data has shape \(20,\); want rows and columns"), (np.ones((20, 2)), "want .*rows that differ"),
    (np.arange(20).reshape(10, 2) + 1j, r"data in column 0, row 0 is .*")])
def test_what_is_no_table_of_numbers_is_refused_by_column_and_row(data, message):
    """Text, missing and infinite values by the column's name and the first row; too few rows by the shape."""
    with pytest.raises(ValueError, match=message):
        sampler(data, np.random.default_rng(0))


def test_a_frame_keeps_the_order_of_its_columns():
    """Objects that are numbers, integers and booleans among them, are taken."""
    rows = table("data", frame(b=NUMBERS, a=[True, False] * 5))
    assert rows.dtype == float
    assert np.array_equal(rows, np.stack([np.arange(10), np.arange(10) % 2 == 0], axis=1))


def test_start_and_levels_give_back_a_gaussian():
    """(DSM.7) (DSM.8) (LD.10) With the exact score of N(0, S), from rows of it under σ = 1, where the start matters:
    S²(S + σ_L²)⁻¹ comes out of tweedie at σ_L = ½, S itself at .02, within 5 standard errors and the percent by which
    dpm_solver errs; by annealed Langevin within the 5 % that the recursion leaves."""
    rng, S = np.random.default_rng(8), np.array([[1.0, 0.8], [0.8, 2.0]])
    score = lambda x, sigma: -x @ np.linalg.inv(S + np.mean(sigma)**2 * np.eye(2))
    rows = rng.standard_normal((50_000, 2)) @ np.linalg.cholesky(S).T
    for last, annealed, error in ((0.5, False, 0.01), (0.02, False, 0.01), (0.02, True, 0.05)):
        sigmas = last**(np.arange(41) / 40)
        x = samples(score, rows, sigmas, 20_000, rng, annealed)
        exact = S @ np.linalg.inv(S + last**2 * np.eye(2)) @ S
        assert np.max(np.abs(np.cov(x.T) - exact)) < 2 * (5 * sqrt(2 / 20_000 + 2 / 50_000) + error)


def test_annealing_takes_fifteen_steps_of_half_the_least_noise_squared():
    """(LD.10) (DSM.8) On N(0, I) the variance is that of the recursion, 1.33 for so few levels, to 5 standard errors;
    a third in the place of a half leaves 1.45."""
    rng, sigmas = np.random.default_rng(23), 0.02**(np.arange(6) / 5)
    score = lambda x, sigma: -x / (1 + np.mean(sigma)**2)
    x = samples(score, rng.standard_normal((40_000, 8)), sigmas, 40_000, rng, True)
    V = 2.0
    for sigma in sigmas:
        for _ in range(15):
            V = (1 - sigma**2 / 4 / (1 + sigma**2))**2 * V + sigma**2 / 2
    assert abs(np.var(x) / (V / (1 + sigmas[-1]**2)**2) - 1) < 5 * sqrt(2 / 320_000)


@pytest.mark.parametrize("n, d, width", [(1000, 2, 64), (1000, 20, 80), (1000, 80, 256), (99, 80, 256)])
def test_the_width_follows_the_columns(n, d, width):
    """Three hidden layers of 4d, from 64 to 256, however many rows, in float32."""
    rows = np.random.default_rng(14).standard_normal((n + 5, d))
    params = train(rows[5:], rows[:5], np.array([3.0, 0.1]), np.random.default_rng(15), 1, iter)[0].params
    assert [b.size for _, b in params] == [width] * 3 + [d] and params[0][0].dtype == np.float32


def test_on_standard_normal_rows_there_is_nothing_to_learn():
    """(NET.8) Training starts at the score −x/(1 + σ²) of N(0, I) under noise, and keeps it where the rows are that."""
    rng = np.random.default_rng(16)
    rows, x, sigma = rng.standard_normal((2400, 8)), rng.standard_normal((50, 8)), np.geomspace(0.1, 5, 50)
    score, curve = train(rows[:2000], rows[2000:], np.array([5.0, 0.1]), rng, 12, iter)
    assert len(curve) > 2 and np.max(np.abs(score(x, sigma) + x / (1 + sigma[:, None]**2))) < 1e-6


ROUNDS = []


def shown(steps):
    """A progress that counts."""
    for k in steps:
        ROUNDS.append(k)
        yield k


def test_three_lines_give_rows_like_those_of_a_table_of_any_scale():
    """Columns of scale 1e-6, 1e6 about 1e9, constant, whole, heavy-tailed: means within 5 standard errors and a tenth
    of the deviation, deviations (of the middle half where tails are heavy) within 15 %, correlations within .1, and
    the report's numbers near 1, for 1,600 rows of a known law."""
    rng = np.random.default_rng(9)
    a, b, c = rng.standard_normal((3, 1600))
    data = np.stack([1e-6 * a, 1e9 + 1e6 * (0.6 * a + 0.8 * b), 3 + 0 * a, np.rint(5 + 2 * b), np.exp(0.8 * c)], axis=1)
    ROUNDS.clear()
    draw, report = sampler(data, rng, rounded=True, steps=600, progress=shown)
    x = draw(4000)
    assert x.shape == (4000, 5) and (x[:, 2] == 3).all() and np.isin(x[:, 3], data[:, 3]).all()
    keep = [0, 1, 3]
    spread = data.std(axis=0)[keep]
    assert (np.abs(x.mean(axis=0) - data.mean(axis=0))[keep] < (0.1 + 5 / sqrt(4000)) * spread).all()
    assert (np.abs(x.std(axis=0)[keep] / spread - 1) < 0.15).all()
    assert np.max(np.abs(np.corrcoef(x[:, keep].T) - np.corrcoef(data[:, keep].T))) < 0.1
    quartiles = lambda x: np.quantile(np.log(x[:, 4]), [0.25, 0.5, 0.75])
    assert np.max(np.abs(quartiles(x) - 0.8 * np.array([-0.6745, 0, 0.6745]))) < 0.15
    assert 0 < report["step"] <= len(ROUNDS) <= 600 and 0.8 < report["nearest"] < 1.25 and report["energy"] < 4
    assert set(report) == {"curve", "step", "sigmas", "energy", "nearest"}
    first, last = report["sigmas"][[0, -1]]
    at_start = 2 * (1 - log((1 + first**2) / (1 + last**2)) / (2 * log(first / last)))  # ½ d E 1/(1 + σ²), d = 4
    assert report["curve"][report["step"]] < 0.97 * report["curve"][0] < 0.97 * 1.1 * at_start
    assert report["curve"][0] > 0.9 * at_start


def test_one_scale_measures_all_columns_in_one_unit():
    """(NCSN.6) σ_1 is the largest distance of the rows in use, in the root of the columns' mean variance, 50.5, or each
    column in its own deviation; noise is in that unit."""
    data = np.random.default_rng(17).standard_normal((400, 2)) * [1, 10]
    for option, unit in ({"one_scale": True}, sqrt(50.5)), ({}, np.array([1.0, 10])):
        u = data / unit
        far = np.sort(np.sqrt(np.sum((u[:, None] - u)**2, axis=2)), axis=None)[-1]
        sigma_1 = sampler(data, np.random.default_rng(18), steps=1, **option)[1]["sigmas"][0]
        assert 0.75 < sigma_1 / far < 1.1


def test_rows_told_three_times_are_no_rows_held_out():
    """(REC.5) Else the distance of those held out to the rest were 0, and nearest without a bound."""
    data = np.tile(np.random.default_rng(19).standard_normal((60, 3)), (3, 1))
    data[:, 2] = np.rint(1e4 * data[:, 2])
    assert 0.5 < sampler(data, np.random.default_rng(20), steps=40)[1]["nearest"] < 2.5


def test_a_constant_column_changes_nothing():
    """The other columns come out the same to the last bit; so do rows told in the order of another table."""
    data = np.random.default_rng(10).standard_normal((60, 2))
    x, y = (sampler(a, np.random.default_rng(1), steps=40)[0](9) for a in (data, np.insert(data, 1, 7.5, axis=1)))
    assert np.array_equal(x, y[:, [0, 2]]) and (y[:, 1] == 7.5).all()


def test_samples_are_the_same_for_the_same_generator():
    """Randomness is an argument: the same seed gives the same bytes, another one others, and so does annealing."""
    data = np.random.default_rng(10).standard_normal((60, 2))
    x, y, other = (sampler(data, np.random.default_rng(seed), steps=40)[0](9) for seed in (1, 1, 2))
    assert x.tobytes() == y.tobytes() != other.tobytes()
    assert (sampler(data, np.random.default_rng(1), steps=40)[0](9, annealed=True) != x).all()


def test_whole_numbers_come_back_as_such_unless_noise_is_wanted():
    """(REC.1) Each is one of the column's; with rounded=False hardly any."""
    data = np.random.default_rng(21).integers(0, 9, (80, 2))
    for options, share in (({}, 1), ({"rounded": False}, 0)):
        x = sampler(data, np.random.default_rng(22), steps=1, **options)[0](500)
        assert abs(np.mean(np.isin(x, np.arange(9.0))) - share) < 0.01


@pytest.mark.filterwarnings("ignore:a few rows")  # one normal column of 200 looks so
def test_few_rows_keep_their_correlations():
    """(MIX.9) Of 30 rows, from which a network learns nothing: within .1 of .8 in the mean of six tables."""
    lost = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        a, b = rng.standard_normal((2, 30))
        data = np.stack([a, 0.8 * a + 0.6 * b], axis=1)
        lost.append(np.corrcoef(data.T)[0, 1] - np.corrcoef(sampler(data, rng, steps=10)[0](2000).T)[0, 1])
    assert abs(np.mean(lost)) < 0.1


def test_few_rows_are_not_copied_unsaid():
    """From 20 rows of a Gaussian: nearest, measured on samples anew, is above ½, or there was a warning."""
    rng = np.random.default_rng(12)
    data = rng.standard_normal((20, 2))
    draw, report = sampler(data, rng)
    nearest = lambda a: np.median(np.min(np.sqrt(np.sum((a[:, None] - data)**2, axis=2)), axis=1))
    assert report["nearest"] > 0.5 and nearest(draw(1000)) > 0.5 * nearest(rng.standard_normal((1000, 2)))
    assert energy_distance(draw(1000), rng.standard_normal((1000, 2))) < energy_distance(data, data * 0)
    assert log(report["sigmas"][0]) > 0


def test_a_column_without_a_limit_to_its_spread_is_told():
    """A Cauchy column, whose largest fiftieth of rows holds nearly all of its squares; a rare whole number is none."""
    rng = np.random.default_rng(11)
    cauchy, plain = np.tan(np.pi * (rng.random(400) - 0.5)), rng.standard_normal(400)
    message = f"a few rows hold most of the spread of column 1, .* up to {cauchy.max():.3g}"
    with pytest.warns(UserWarning, match=message) as told:
        draw, _ = sampler(np.stack([plain, cauchy], axis=1), rng, steps=40)
    assert np.abs(draw(500)[:, 1]).max() <= np.abs(cauchy).max() and told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler(np.stack([plain, rng.random(400) < 0.01], axis=1), rng, steps=300)
