"""What the figures share, and what some measure by themselves, against the package and closed forms."""

from itertools import pairwise

import numpy as np
import pytest

import scoremin as sm
from figures import common, conditional, continuous_noise, digits
from figures.continuous_noise import HIGH, LOW, off_arcs, off_spiral, off_squares


def test_claim_holds_within_its_bounds_and_on_them():
    """low <= value <= high; None is no bound on that side; a value that is NaN lies in no bounds."""
    for low, high, holding, missing in ((0, 1, [0, 0.5, 1], [-0.1, 1.1, float("nan")]), (0, None, [0, 9], [-0.1]),
                                        (None, 1, [-9, 1], [1.1]), (None, None, [5], [])):
        assert all(common.Claim("", value, low, high).holds is True for value in holding)
        assert not any(common.Claim("", value, low, high).holds for value in missing)


def test_streams_are_told_apart_by_seed_name_and_part():
    """The generator of [seed, CRC-32 of name and part]; the published check value of CRC-32 is cbf43926."""
    draws = [common.stream(*key).random() for key in ((5, "a"), (6, "a"), (5, "b"), (5, "a", "x"), (5, "a", "y"))]
    assert len(set(draws)) == 5
    assert common.stream(5, "12345", "6789").random() == np.random.default_rng([5, 0xCBF43926]).random()
    assert common.stream(5, "123456789").random() == common.stream(5, "12345", "6789").random()


def test_scaled_rounds_and_keeps_a_least_number():
    """n · budget, rounded, but never below the least."""
    assert [common.scaled(1000, budget) for budget in (1.0, 0.5, 0.0126, 0.001)] == [1000, 500, 13, 10]
    assert common.scaled(100, 0.01, 3) == 3
    assert common.scaled(2, 1.0) == 10


def test_saved_picture_depends_on_the_drawing_alone(tmp_path):
    """The same drawing twice: the same bytes, 8 · 160 pixels wide, without the name of any software."""
    for name in ("a", "b"):
        fig, ax = common.canvas(1, 1, 2.5)
        ax.plot([1, 2])
        common.save(fig, tmp_path / name)
    data = (tmp_path / "a").read_bytes()
    assert data == (tmp_path / "b").read_bytes()
    assert (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")) == (1280, 400)
    assert b"Software" not in data and b"Date" not in data


def test_ticker_advances_a_bar_of_n_steps_and_no_further():
    """A sampler's callback: one step of the bar a call, with its label, silent after the last."""
    seen = []

    def progress(iterable, label):
        seen.append((label, len(iterable)))
        for i in iterable:
            seen.append(i)
            yield i

    callback = common.ticker(progress, 2, "sampling")
    for i in range(4):
        callback(i, None)
        assert seen == [("sampling", 2), 0, 1][:i + 2]


def test_grid_is_the_plane_row_by_row():
    """n · n points over [−box, box]², the first coordinate running fastest, as pictures have it."""
    expected = [[-2, -2], [0, -2], [2, -2], [-2, 0], [0, 0], [2, 0], [-2, 2], [0, 2], [2, 2]]
    assert common.grid(2, 3).tolist() == expected


def test_map_has_each_value_at_its_place():
    """draw_map puts the value at (x₁, x₂) where the axes say: x₁ to the right, x₂ upwards."""
    fig, ax = common.canvas(1, 1, 2)
    common.draw_map(fig, ax, lambda x: 5 + x[:, 0] + 10 * x[:, 1] + 100, 2, "", n=3)
    image = ax.get_images()[0]
    assert image.get_array().tolist() == [[83, 85, 87], [103, 105, 107], [123, 125, 127]]
    assert (image.origin, list(image.get_extent())) == ("lower", [-2, 2, -2, 2])


def test_arrows_are_the_score_and_at_most_as_long_as_said():
    """draw_field: directions and lengths of the score, those above the longest shortened to it."""
    _, ax = common.canvas(1, 1, 2)
    common.draw_field(ax, lambda x: 4 * x, 3, n=3, longest=6.0)
    arrows = ax.collections[0]
    x, s = arrows.get_offsets(), np.stack([arrows.U, arrows.V], axis=1)
    assert np.allclose(sorted({*x[:, 0]}), [-2, 0, 2])
    size = np.linalg.norm(s, axis=1)
    assert np.allclose(size, np.minimum(4 * np.linalg.norm(x, axis=1), 6.0))
    assert np.allclose(s * np.linalg.norm(x, axis=1, keepdims=True), x * size[:, None])


def test_error_is_a_distance_at_each_point():
    """‖s − target‖: 5 for a difference of (3, 4), whatever its sign."""
    x = np.zeros((2, 2))
    assert common.error(lambda x: x + [3.0, 4.0], lambda x: x, x).tolist() == [5, 5]
    assert common.error(lambda x: x, lambda x: x + [3.0, 4.0], x).tolist() == [5, 5]


def test_passes_count_values_tangents_and_traces():
    """One for a value, one more for a tangent, for each of a stack, or for a closed-form trace."""
    score, x = sm.MLP(sm.init_mlp(np.random.default_rng(0), [2, 4, 4, 2])), np.ones((3, 2))
    assert common.passes(lambda s: s(x), score) == 1
    assert common.passes(lambda s: (s(x), s(x)), score) == 2
    assert common.passes(lambda s: sm.sliced_vr_loss(s, x, np.ones((3, 2))), score) == 2
    assert common.passes(lambda s: sm.sliced_vr_loss(s, x, np.ones((5, 3, 2))), score) == 6
    assert common.passes(lambda s: sm.implicit_loss(s, x), score) == 2


def test_distance_of_real_to_real_is_twice_the_mean_distance():
    """n times the mean energy distance of real samples is 2 E‖a − a'‖ (MET.2): 4/√π for N(0,1) in one dimension."""
    normal = sm.GaussianMixture([1.0], [[0.0]], [[[1.0]]])
    rng = np.random.default_rng(0)
    values = [common.distance_to_real(normal.sample(rng, 20), lambda rng, n: normal.sample(rng, n), rng)
              for _ in range(200)]
    assert abs(np.mean(values) - 4 / np.sqrt(np.pi)) < 5 * np.std(values) / np.sqrt(len(values))


def test_normal_noise_has_shape_and_dtype_of_x():
    """Noise of x's shape and dtype, from the generator given."""
    x = np.zeros((2000, 3), np.float32)
    z = common.normal(np.random.default_rng(0), x)
    assert (z.shape, z.dtype) == (x.shape, x.dtype)
    assert abs(z.mean()) < 5 / np.sqrt(z.size) and abs(z.var() - 1) < 5 * np.sqrt(2 / z.size)


def test_figures_train_with_their_options_on_the_right_columns():
    """train hands batch_size on to fit; explicit takes the target from the last two columns of a row."""
    sizes = []
    loss = lambda score, x, rng: sizes.append(len(x)) or sm.implicit_loss(score, x)
    common.train(loss, sm.MLP, common.init(np.random.default_rng(0), 2, 2), np.eye(2), np.random.default_rng(0),
                 1.0, lambda steps, label: steps, steps=10, batch_size=3)
    assert sizes == [3] * 10
    assert common.explicit(np.zeros_like, np.array([[1.0, 1.0, 2.0, 2.0]]), None) == 4


def test_relu_energy_bends_after_the_bias():
    """3 max(0, 2 max(0, ½ − x) − ¼) + 1 at 1 and at 0."""
    energy = common.relu_energy([(np.full((1, 1), w), np.full(1, b)) for w, b in ((-1, 0.5), (2, -0.25), (3, 1))])
    assert np.array_equal(energy(np.array([[1.0], [0.0]])), [1, 3.25])


def test_the_mixture_has_its_moments():
    """Mean 0 and covariance ((5, 4), (4, 5)): of components (½ ± ½ of the off-diagonal .5) about ±(2, 2)."""
    x = common.MIXTURE.sample(np.random.default_rng(0), 200_000)
    assert np.abs(x.mean(axis=0)).max() < 5 * (5 / len(x))**0.5
    assert np.abs(np.cov(x.T) - [[5, 4], [4, 5]]).max() < 0.1
    left, right = (np.cov(x[side * x.sum(axis=1) > 0].T)[0, 1] for side in (-1, 1))
    assert left < 0 < right


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
        assert abs(common.distance_to(y)(a) / sm.energy_distance(a, y) - 1) < 0.01


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
    assert ratio(normal(rng, 2000) + m) == pytest.approx(1 + moved / ((1 / 500 + 5e-5) * np.pi**0.5), rel=0.15)


def test_a_share_like_that_of_real_points_is_held_to_its_law():
    """Both shares binomial: .9 of 1,000 beside .9 of 4,000 is ± 5 √(.09 (1/1,000 + 1/4,000)); none of m leaves room."""
    made = common.like_real("", 0.9, 0.9, 1000, 4000)
    assert (made.low, made.high) == pytest.approx((0.9 - 5 * 0.0106066, 0.9 + 5 * 0.0106066), abs=1e-6)
    assert common.like_real("", 0.0, 0.0, 1000, 4000).high == pytest.approx(5 * 5.5895e-4, rel=1e-3)  # as if one of m


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


@pytest.mark.parametrize("sampler", ["euler", "ancestral", "predictor_corrector"])
def test_samplers_of_a_point_end_at_their_exact_variance(sampler):
    """With s = −x/σ², the score of a point at 0, from N(0, HIGH²): Euler's steps of the flow shrink x by σ'/σ exactly,
    ancestral sampling has N(0, σ'²) at each σ' (SDE.10), and V ← r²V + σ² − σ'², r = σ'²/σ², then .85²V + .3 σ'² is
    the recursion of predictor and corrector. The last step of all is left out by a score of 0 at LOW."""
    score = lambda x, sigma: 0 * x if sigma < 1.001 * LOW else -x / sigma**2
    rng = np.random.default_rng(4)
    start = HIGH * rng.standard_normal((100_000, 1))
    levels = continuous_noise.asinh_levels(10)
    calls = 20 if sampler == "predictor_corrector" else 10
    x = getattr(continuous_noise, sampler)(score, calls, lambda high: start, rng)
    if sampler == "euler":
        assert np.allclose(x, start * LOW / HIGH, rtol=1e-12)
        return
    V = HIGH**2
    for sigma, after in pairwise(levels):
        V = (after / sigma)**4 * V + sigma**2 - after**2
        V = 0.85**2 * V + 0.3 * after**2 if after > 1.001 * LOW else V + 0.3 * after**2
    expected = LOW**2 if sampler == "ancestral" else V
    assert abs(np.mean(x**2) / expected - 1) < 5 * (2 / len(x))**0.5


@pytest.mark.parametrize("method", ["DPS", "held"])
def test_wrong_posteriors_are_slopes_of_their_likelihoods(method):
    """∇ log N(y; H D(x), S) at a constant S, by central differences of D: noise² (DPS), HCHᵀ + noise² (∇S left out)."""
    x, y, sigma, size = np.array([[0.3, -1.0], [-2.0, 2.5], [1.0, 1.0]]), -0.7, 1.3, 1e-5
    shrunk = lambda x: (x + sigma**2 * conditional.prior(x, sigma)) @ conditional.H.T               # H D(x), (N,1)
    slopes = np.hstack([(shrunk(x + e) - shrunk(x - e)) / (2 * size) for e in size * np.eye(2)])    # (N,2) of H D
    S = conditional.NOISE**2 + (sigma**2 * slopes @ conditional.H.T if method == "held" else 0)     # HCHᵀ = σ² H ∂D Hᵀ
    expected = conditional.prior(x, sigma) + slopes * (y - shrunk(x)) / S
    assert np.allclose(conditional.scores(y)[method](x, sigma), expected, rtol=0, atol=1e-8)


def test_completions_are_judged_by_their_squares():
    """Offsets 1, −1, 3, 0 from the truth: between neighbours 4, 16, 9, to the truth 1, 1, 9, 0, in the mean. Greys are
    whole numbers 0 … 16, −1 … 1 rounded."""
    held = np.random.default_rng(5).integers(3, 13, (6, 64)).astype(float)
    labels, lower = np.arange(6), np.repeat([0, 1], 32)
    found = conditional.judge(held, labels, [held + k * lower for k in (1, -1, 3, 0)], held, labels,
                              np.random.default_rng(6))
    assert found.ratio == pytest.approx((29 / 3) / (11 / 4))
    assert found.half == 1 and found.right["real"] == 1
    assert digits.greys(np.array([-3.0, -1.0, 0.05, 0.1, 1.0, 9.0])).tolist() == [0, 0, 8, 9, 16, 16]
