"""figures/common.py and what figures measure by themselves, against the package and closed forms."""

import numpy as np
import pytest

import scoremin as sm
from figures import common
from figures.continuous_noise import off_arcs, off_spiral, off_squares


@pytest.mark.parametrize(("d", "h"), [(2, 0.1), (2, 3.0), (64, 0.5)])
def test_kernel_score_is_the_package_s(d, h):
    """(ESM.4) by products is kde_score by differences, far from the data too, over more rows than one block."""
    rng = np.random.default_rng(0)
    data, x = rng.standard_normal((50, d)), 3 * rng.standard_normal((300, d))
    right = sm.kde_score(x, data, h)
    assert np.abs(common.kernel_score(x, data, h) - right).max() < 1e-11 * np.abs(right).max()
    single = common.kernel_score(x.astype(np.float32), data.astype(np.float32), h)
    assert single.dtype == np.float32


def test_distance_in_the_plane_is_the_energy_distance():
    """(MET.5) along 8 directions is (MET.2) to 1 %, for samples of any sizes, near each other or far."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((300, 2)), rng.standard_normal((500, 2)) @ [[1.0, 0.3], [0.0, 0.5]]
    for y in (b, b + [3.0, -1.0], 5 * b):
        assert abs(common.energy_distance(a, y) / sm.energy_distance(a, y) - 1) < 0.01


def test_real_samples_have_the_ratio_one_whatever_their_size():
    """(MET.2) The ratio of real data has the mean 1 at clouds of 100 and of 10,000; of data moved by m it is
    1 + ED/floor, with ED = 2E‖m + √2 z‖ − 2E‖√2 z‖ for N(0, I), and E‖√2 z‖ = √π in the plane."""
    rng = np.random.default_rng(2)
    normal = lambda rng, n: rng.standard_normal((n, 2))
    ratio, real = common.against_real(normal, rng, 4)
    assert real.mean() == pytest.approx(1, abs=0.1)
    for n in (400, 40_000):
        values = [ratio(normal(rng, n)) for _ in range(20)]
        assert abs(np.mean(values) - 1) < 5 * np.hypot(np.std(values) / 20**0.5, 0.9 / 200**0.5)
    m, z = np.array([3.0, 0.0]), normal(rng, 200_000)
    moved = 2 * np.mean(np.linalg.norm(m + 2**0.5 * z, axis=1)) - 2 * np.pi**0.5
    assert ratio(normal(rng, 2000) + m) == pytest.approx(1 + moved / ((1 / 500 + 1e-4) * np.pi**0.5), rel=0.15)


def test_a_share_like_that_of_real_points_is_held_to_its_law():
    """Both shares binomial: .9 of 1,000 beside .9 of 4,000 is ± 5 √(.09 (1/1,000 + 1/4,000)); none of m leaves room."""
    made = common.like_real("", 0.9, 0.9, 1000, 4000)
    assert (made.low, made.high) == pytest.approx((0.9 - 5 * 0.0106066, 0.9 + 5 * 0.0106066), abs=1e-6)
    assert common.like_real("", 0.001, 0.0, 1000, 4000).holds and not common.like_real("", 0.02, 0.0, 1000, 4000).holds


def test_levels_are_three_quarters_in_the_middle():
    """Of 40,000 levels, 3/4 + 1/4 · log(1/.03)/log(1,000) lie in [.03, 1], all in [.01, 10]."""
    levels = common.mostly_between(0.03, 1.0, 0.01, 10.0)(np.random.default_rng(0), 40_000)
    assert levels.min() > 0.01 and levels.max() <= 10
    inside = np.mean((levels > 0.03) & (levels <= 1))
    assert inside == pytest.approx(0.75 + 0.25 * np.log(1 / 0.03) / np.log(1000), abs=1e-3)


def test_points_off_the_support():
    """Real points are on it but for the tail of their noise, 2 Φ(−k) at k deviations; what lies between is off it."""
    rng = np.random.default_rng(3)
    for off, real, deviation in ((off_spiral, sm.swiss_roll, 0.05), (off_arcs, sm.two_moons, 0.1)):
        share = np.mean(off(real(rng, 20_000), 2 * deviation))
        assert share == pytest.approx(0.0455, abs=0.008)  # a little more at the ends, five deviations of the count
    assert off_spiral(np.array([[0.0, 0.0], [0.0, -0.4712 * 1.0]])).tolist() == [True, False]  # the centre; t = 1.5π
    assert off_arcs(np.array([[0.0, 0.0], [-0.5, 0.75], [0.5, -0.75]])).tolist() == [True, False, False]
    assert not off_squares(sm.checkerboard(rng, 1000)).any()
    assert off_squares(np.array([[0.5, 1.5], [0.5, 0.5], [1.5, 1.5], [2.5, 0.5], [-0.5, 0.5]])).tolist() == [
        True, False, False, True, True]
