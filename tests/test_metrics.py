"""Metrics: distances between scores by quadrature, between samples by brute force and closed forms."""

import tracemalloc
from itertools import combinations, product

import numpy as np
import pytest
from oracles import LINE, MIXTURE

from scoremin import (
    energy_distance,
    explicit_loss,
    fisher_divergence,
    mode_weights,
    precision_recall,
    relative_error,
    two_sample_test,
)
from scoremin.metrics import distances, neighbour_distance


def test_fisher_divergence_and_relative_error_agree_with_quadrature():
    """(MET.1) on the quantiles of a mixture, against a trapezoid weighted by its density."""
    grid = np.linspace(-9, 9, 20_001)[:, None]
    p = np.exp(LINE.log_density(grid))
    mass = np.cumsum(p) / p.sum()
    x = np.interp((np.arange(4000) + 0.5) / 4000, mass, grid[:, 0])[:, None]
    wrong = lambda x: LINE.score(x) + np.sin(x)
    missed, size = (np.sum(p[:, None] * f) / p.sum() for f in (np.sin(grid)**2, LINE.score(grid)**2))
    assert abs(fisher_divergence(wrong, LINE.score, x) / (0.5 * missed) - 1) < 1e-3
    assert abs(relative_error(wrong, LINE.score, x) / (missed / size) - 1) < 1e-3


def test_relative_error_of_a_scaled_score_is_closed_form():
    """(MET.1) 0 for the truth, 1 for s = 0, (1 − c)² for c times the truth: ¼ for half of it, 4 for its negative."""
    x = MIXTURE.sample(np.random.default_rng(0), 50)
    for c in (1.0, 0.0, 0.5, -1.0, 3.0):
        assert abs(relative_error(lambda x, c=c: c * MIXTURE.score(x), MIXTURE.score, x) - (1 - c)**2) < 1e-12


def test_fisher_divergence_is_the_explicit_loss():
    """(ESM.1) the metric and the objective are one number, worked by hand on two rows: ½ (25 + 1)/2."""
    x = np.array([[3.0, 4.0], [0.0, 1.0]])
    assert fisher_divergence(np.zeros_like, lambda x: x, x) == explicit_loss(np.zeros_like, x, x) == 6.5


def brute_force(a, b):
    """(MET.2) by a loop over all pairs."""
    mean = lambda a, b: sum(np.sqrt(sum((p - q)**2)) for p in a for q in b) / (len(a) * len(b))
    return 2 * mean(a, b) - mean(a, a) - mean(b, b)


@pytest.mark.parametrize("n, m, d", [(1, 1, 3), (70, 41, 2), (64, 129, 1)])
def test_energy_distance_is_the_mean_over_all_pairs(n, m, d):
    """(MET.2) against a double loop, on sizes within and across the blocks it works in, and symmetric."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((n, d)), rng.standard_normal((m, d)) + 0.5
    assert abs(energy_distance(a, b) - brute_force(a, b)) < 1e-12
    assert abs(energy_distance(a, b) - energy_distance(b, a)) < 1e-12
    assert energy_distance(a, b) > 0
    assert abs(energy_distance(a, a)) < 1e-12


def test_energy_distance_on_the_line_is_the_cramer_distance():
    """(MET.2) (MET.5) In one dimension, c = 1, D = 2 ∫ (F_a − F_b)² dx, exactly; two points at distance 3 give 6."""
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal(17), rng.standard_normal(23) * 2
    knots = np.sort(np.concatenate([a, b]))
    gap = [np.mean(a <= x) - np.mean(b <= x) for x in knots[:-1]]
    assert abs(energy_distance(a[:, None], b[:, None]) - 2 * np.sum(np.square(gap) * np.diff(knots))) < 1e-13
    assert energy_distance([[0]], [[3]]) == 6


def test_energy_distance_is_the_mean_cramer_distance_of_all_projections():
    """(MET.5) In the plane, 2/c_2 times the mean over 2,000 directions, c_2 = E|cos| = 2/π; it is never negative."""
    rng = np.random.default_rng(3)
    for b in (rng.standard_normal((9, 2)) * 2, rng.standard_normal((9, 2)) + 0.1):
        a, squared = rng.standard_normal((6, 2)), []
        for angle in np.pi * (np.arange(2000) + 0.5) / 2000:
            u = np.array([np.cos(angle), np.sin(angle)])
            knots = np.sort(np.concatenate([a @ u, b @ u]))
            F, G = (np.searchsorted(np.sort(x @ u), knots[:-1] + 1e-12, side="right") / len(x) for x in (a, b))
            squared.append(np.sum((F - G)**2 * np.diff(knots)))
        assert abs(2 / (2 / np.pi) * np.mean(squared) / energy_distance(a, b) - 1) < 1e-4
        assert energy_distance(a, b) > 0


def test_floor_between_samples_of_one_law():
    """(MET.2) over every sample of n = 3 and m = 2 from {0, 1, 5} the mean of D is (1/n + 1/m) E|a − a'|, exactly."""
    law = np.array([0.0, 1.0, 5.0])
    D = [energy_distance(law[list(draw[:3]), None], law[list(draw[3:]), None]) for draw in product(range(3), repeat=5)]
    assert abs(np.mean(D) - (1 / 3 + 1 / 2) * np.mean(np.abs(law[:, None] - law))) < 1e-13


class AllSplits(np.random.Generator):
    """A generator whose permutations of an array are the given ones, one after the other."""

    def __new__(cls, orders):
        return super().__new__(cls, np.random.PCG64(0))

    def __init__(self, orders):
        super().__init__(np.random.PCG64(0))
        self.orders = iter(orders)

    def permutation(self, w):
        return w[next(self.orders)]


@pytest.mark.parametrize("n", [1, 3, 6])
def test_p_value_over_all_splits_is_a_rank_of_energy_distances(n):
    """(MET.3) (MET.4) Over all splits of 7 points the p-value counts those with at least the distance at hand."""
    pool = np.random.default_rng(4).standard_normal((7, 2))
    chosen = [list(c) for c in combinations(range(7), n)]
    rest = [[i for i in range(7) if i not in c] for c in chosen]
    D = np.array([energy_distance(pool[c], pool[r]) for c, r in zip(chosen, rest)])
    places = [np.argsort(c + r) for c, r in zip(chosen, rest)]               # the weights of c to the places of c
    for k in range(0, len(D), 5):
        order = chosen[k] + rest[k]
        moved = [place[order] for place in places]
        p = two_sample_test(pool[chosen[k]], pool[rest[k]], AllSplits(moved), n_permutations=len(D))
        assert p == (1 + np.sum(D >= D[k] - 1e-12)) / (len(D) + 1)


def test_quadratic_form_is_the_energy_distance():
    """(MET.3) −wᵀRw with w = 1/n, −1/m is ED for every split, R by loops."""
    pool = np.random.default_rng(4).standard_normal((7, 2))
    R = np.array([[sum((p - q)**2)**0.5 for q in pool] for p in pool])
    for chosen in combinations(range(7), 3):
        rest = [i for i in range(7) if i not in chosen]
        w = np.where(np.isin(np.arange(7), chosen), 1 / 3, -1 / 4)
        assert abs(-w @ R @ w - energy_distance(pool[list(chosen)], pool[rest])) < 1e-14


def test_p_value_tends_to_the_share_of_all_splits():
    """(MET.3) (MET.4) n = 3, m = 4: against the rank of D among all 35 splits of the pool: 5 standard errors."""
    rng, K = np.random.default_rng(5), 20_000
    pool = rng.standard_normal((7, 2))
    for chosen in ([0, 1, 2], [1, 3, 6], [2, 4, 5]):
        rest = [i for i in range(7) if i not in chosen]
        D = energy_distance(pool[chosen], pool[rest])
        splits = [energy_distance(pool[list(c)], pool[[i for i in range(7) if i not in c]])
                  for c in combinations(range(7), 3)]
        exact = np.mean(np.array(splits) >= D - 1e-12)
        p = two_sample_test(pool[chosen], pool[rest], rng, n_permutations=K)
        assert abs(p - (1 + K * exact) / (K + 1)) < 5 * np.sqrt(exact * (1 - exact) / K) + 1e-12


def test_p_values_are_uniform_where_the_laws_agree():
    """(MET.4) 1,000 null cases, K = 19: the p-value is uniform on 1/20, … 1, each share within 5 standard errors."""
    rng = np.random.default_rng(6)
    p = [two_sample_test(rng.standard_normal((9, 2)), rng.standard_normal((6, 2)), rng, n_permutations=19)
         for _ in range(1000)]
    counts = np.bincount(np.rint(20 * np.array(p)).astype(int), minlength=21)
    assert counts[0] == 0
    assert np.abs(counts[1:] - 50).max() < 5 * np.sqrt(1000 * 0.05 * 0.95)
    assert abs(np.mean(p) - 10.5 / 20) < 5 * np.sqrt((20**2 - 1) / 12) / 20 / np.sqrt(1000)


def test_p_value_is_least_where_the_laws_differ():
    """(MET.4) means 3 apart: no permutation reaches D, p = 1/(K + 1); equal samples: every one does, p = 1."""
    rng = np.random.default_rng(7)
    a, b = rng.standard_normal((40, 2)), rng.standard_normal((50, 2)) + 3
    assert two_sample_test(a, b, rng, n_permutations=199) == 1 / 200
    assert two_sample_test(a, a, rng, n_permutations=199) == 1


def test_mode_weights_count_the_nearest_mean():
    """The shares of the modes, counted by hand, empty ones included; and those of a mixture's own sample."""
    x = np.array([[0.0, 0.1], [4.9, 5.0], [5.2, 4.0], [-0.3, 0.0], [2.4, 2.4]])
    assert np.allclose(mode_weights(x, [[0, 0], [5, 5], [50, 50]]), [0.6, 0.4, 0.0], rtol=1e-15)
    assert np.array_equal(mode_weights([[0, 0], [0, 3], [0, 0.9]], [[0, 0], [0, 2]]), [2 / 3, 1 / 3])
    share = mode_weights(MIXTURE.sample(np.random.default_rng(8), 10_000), MIXTURE.means)
    assert abs(share[0] - 0.5) < 5 * 0.5 / 100 + 0.01                        # 1 % at most lies beyond the middle
    assert share.sum() == 1


def test_tied_splits_count_as_reaching_the_distance():
    """(MET.4) on a lattice every split of these points has D >= the first one: p = 1, whatever the rounding."""
    pool = np.random.default_rng(0).integers(0, 3, (12, 1)).astype(float)
    splits = [energy_distance(pool[list(c)], np.delete(pool, c, axis=0)) for c in combinations(range(12), 6)]
    assert np.min(splits) >= energy_distance(pool[:6], pool[6:]) - 1e-12
    assert two_sample_test(pool[:6], pool[6:], np.random.default_rng(1)) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [0.1, 1e-9 / 3, 1e7 / 3])
def test_ties_that_the_rounding_of_the_points_parts_are_ties(scale, dtype):
    """(MET.4) A lattice at a scale that floats do not hold: the p-value of the integers, in the precision given."""
    rng = np.random.default_rng(11)
    for _ in range(20):
        pool, orders = rng.integers(0, 5, (10, 1)), [rng.permutation(10) for _ in range(39)]
        R, w = np.abs(pool - pool.T), np.repeat([1, -1], 5)
        D = np.array([-w[order] @ R @ w[order] for order in [np.arange(10), *orders]])  # 25 ED, in integers
        points, splits = (pool * scale).astype(dtype), AllSplits(orders)
        assert two_sample_test(points[:5], points[5:], splits, 39) == np.mean(D >= D[0])


@pytest.mark.parametrize("d", [3, 40])
def test_energy_distance_does_not_depend_on_where_blocks_end(d):
    """(MET.2) Over many blocks, in low d and high: the full matrix of differences, near points and equal ones too."""
    rng = np.random.default_rng(9)
    a, b = 1e3 + rng.standard_normal((300, d)), 1e3 + rng.standard_normal((500, d))
    b[:100] = a[:100]
    b[100:200] = a[100:200] + 1e-7
    mean = lambda a, b: np.mean([np.mean(np.sqrt(np.sum((b - row)**2, axis=1))) for row in a])
    exact = 2 * mean(a, b) - mean(a, a) - mean(b, b)
    assert abs(energy_distance(a, b) - exact) < 1e-9
    assert abs(energy_distance(a, a)) < 1e-9
    assert energy_distance(a, b) == energy_distance(a, b)


def test_distances_keep_ten_digits_in_high_dimensions():
    """(MET.2) d = 40 by the matrix product: pairs from 1e-9 to 1e3 apart are right to 1e-9 of themselves."""
    rng = np.random.default_rng(10)
    a = rng.standard_normal((60, 40)) + 5
    b = a + np.geomspace(1e-9, 1e3, 60)[:, None] * rng.standard_normal((60, 40))
    exact = np.sqrt(np.sum((a[:, None] - b)**2, axis=2))
    assert np.max(np.abs(distances(a, b) / exact - 1)) < 1e-9


def test_numbers_too_large_to_square_are_an_error():
    """(MET.2) (MET.4) No NaN, no p-value of 0 and no first of all means where distances leave the range of floats."""
    huge, rng = np.array([[1e200], [-1e200]]), np.random.default_rng(11)
    for call in (lambda: energy_distance(huge, -huge), lambda: two_sample_test(huge, 2 * huge, rng),
                 lambda: mode_weights(huge, np.ones((2, 1))), lambda: mode_weights(np.ones((2, 1)), huge)):
        with pytest.raises(ValueError, match="want numbers whose squares are finite"):
            call()


def test_a_test_without_permutations_or_an_error_without_size_is_refused():
    """(MET.1) (MET.4) p = 1 of no permutations, and an error relative to a target of 0, are no answers."""
    x = np.ones((3, 1))
    with pytest.raises(ValueError, match="n_permutations is 0; want a whole number >= 1"):
        two_sample_test(x, x, np.random.default_rng(12), n_permutations=0)
    with pytest.raises(ValueError, match=r"target\(x\) is 0.0; want one that is not 0 at every x"):
        relative_error(np.ones_like, np.zeros_like, x)
    with pytest.raises(FloatingPointError, match=r"^target\(x\) holds NaN"):
        relative_error(np.ones_like, lambda x: np.nan * x, x)


@pytest.mark.parametrize("measure", [energy_distance, precision_recall])
def test_a_block_of_distances_is_held_at_a_time(measure):
    """(MET.2) (MET.7) All distances of 3,000 points to 3,000 are 72 MB; a few blocks of 2^16 stay below 16 MiB."""
    a = np.random.default_rng(5).standard_normal((3000, 2))
    tracemalloc.start()
    try:
        measure(a, a + 1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * 2**20


def test_a_block_has_a_row_however_many_points_there_are():
    """(MET.6) More than 2^16 of them, here the whole numbers below 70,000 on a line."""
    a, b = np.array([[0.25], [69_990.0]]), np.arange(70_000.0)[:, None]
    assert [neighbour_distance(a, b, k).tolist() for k in (1, 2)] == [[0.25, 0.0], [0.75, 1.0]]


def within(a, b, k):
    """(MET.7) by loops over Python floats."""
    far = lambda p, q: sum((p - q)**2)**0.5
    radii = [sorted(far(p, q) for i, q in enumerate(b) if i != j)[k - 1] for j, p in enumerate(b)]
    return np.mean([any(far(p, q) <= radius for q, radius in zip(b, radii)) for p in a])


@pytest.mark.parametrize("n, m, d, k", [(30, 20, 2, 3), (20, 30, 1, 1), (25, 26, 20, 5)])
def test_precision_and_recall_are_shares_within_reach(n, m, d, k):
    """(MET.6) (MET.7) Against loops, by differences and by the matrix product, on samples of two laws."""
    rng = np.random.default_rng(12)
    a, b = 1.3 * rng.standard_normal((n, d)), rng.standard_normal((m, d)) + 0.5
    precision, recall = precision_recall(a, b, k)
    assert precision == within(a, b, k) and recall == within(b, a, k)
    assert 0 < min(precision, recall) and precision != recall


def test_points_as_far_as_the_kth_neighbour_are_within_reach_in_spite_of_rounding():
    """(MET.6) (MET.7) Whole numbers of many dimensions, where most distances occur twice: shares by exact integers."""
    rng = np.random.default_rng(8)
    squares = lambda a, b: ((a[:, None] - b)**2).sum(axis=2)
    share = lambda a, b: np.mean((squares(a, b) <= np.sort(squares(b, b), axis=1)[:, 3]).any(axis=1))
    for offset in (0, 1000):
        a, b = (rng.integers(0, 2, (n, 40)) + offset for n in (70, 60))
        assert precision_recall(a / 7, b / 7) == (share(a, b), share(b, a))


def test_strays_lower_the_precision_and_a_missing_part_the_recall():
    """(MET.7) Two clumps far apart: samples of one of them reach half of the real points; strays are the share put in;
    many blocks and repeated points count alike."""
    rng = np.random.default_rng(13)
    clump, strays = rng.standard_normal((600, 2)), 50 + 10 * rng.standard_normal((150, 2))
    real = np.concatenate([clump, clump + 20])
    assert precision_recall(clump, real) == (1, 0.5)
    assert precision_recall(np.concatenate([clump, strays]), real)[0] == 0.8
    assert precision_recall(np.zeros((9, 2)), np.zeros((5, 2))) == (1, 1)


@pytest.mark.parametrize("k", [1, 4])
def test_a_fresh_point_lies_in_k_balls_in_the_mean(k):
    """(MET.8) Exactly, over which of 12 points is the fresh one; so in balls of radius ρ by loops."""
    pool = np.random.default_rng(14).standard_normal((12, 3))
    number = 0
    for i, a in enumerate(pool):
        b = np.delete(pool, i, axis=0)
        R = np.sqrt(np.sum((b[:, None] - b)**2, axis=2))
        number += np.sum(np.sqrt(np.sum((a - b)**2, axis=1)) <= np.sort(R, axis=1)[:, k])
    assert number == 12 * k


def test_precision_of_one_law_on_a_line_is_three_quarters_for_the_nearest_neighbour():
    """(MET.8) (MET.7) 4,000 fresh points of a law on the line among 4,000, k = 1: ¾ within 5 standard errors, as if
    each were drawn alone (neighbours that share a gap raise the variance by less than 2)."""
    rng = np.random.default_rng(15)
    a, b = rng.random((2, 4000, 1))
    assert abs(precision_recall(a, b, 1)[0] - 0.75) < 5 * np.sqrt(2 * 0.75 * 0.25 / 4000)


def test_balls_need_more_points_than_neighbours():
    """(MET.6) k is a whole number below the size of either sample."""
    x = np.arange(8.0).reshape(4, 2)
    assert precision_recall(x, x, 3) == (1, 1)
    with pytest.raises(ValueError, match="k is 4; want fewer neighbours than points, of which there are 4 and 8"):
        precision_recall(x, np.tile(x, (2, 1)), 4)
