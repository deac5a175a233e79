"""What the figures share: claims, random streams, pictures, and what several of them measure."""

import numpy as np

import scoremin
from figures import common
from scoremin import GaussianMixture


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
    from scoremin import MLP, implicit_loss, init_mlp, sliced_vr_loss
    score, x = MLP(init_mlp(np.random.default_rng(0), [2, 4, 4, 2])), np.ones((3, 2))
    assert common.passes(lambda s: s(x), score) == 1
    assert common.passes(lambda s: (s(x), s(x)), score) == 2
    assert common.passes(lambda s: sliced_vr_loss(s, x, np.ones((3, 2))), score) == 2
    assert common.passes(lambda s: sliced_vr_loss(s, x, np.ones((5, 3, 2))), score) == 6
    assert common.passes(lambda s: implicit_loss(s, x), score) == 2


def test_distance_of_real_to_real_is_twice_the_mean_distance():
    """n times the mean energy distance of real samples is 2 E‖a − a'‖ (MET.2): 4/√π for N(0,1) in one dimension."""
    normal = GaussianMixture([1.0], [[0.0]], [[[1.0]]])
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
    loss = lambda score, x, rng: sizes.append(len(x)) or scoremin.implicit_loss(score, x)
    common.train(loss, scoremin.MLP, common.init(np.random.default_rng(0), 2, 2), np.eye(2), np.random.default_rng(0),
                 1.0, lambda steps, label: steps, steps=10, batch_size=3)
    assert sizes == [3] * 10
    assert common.explicit(np.zeros_like, np.array([[1.0, 1.0, 2.0, 2.0]]), None) == 4


def test_relu_energy_bends_after_the_bias():
    """max(0, ½ − x) at 1 is 0."""
    energy = common.relu_energy([(-np.eye(1), np.full(1, 0.5)), (np.eye(1), np.zeros(1))])
    assert np.array_equal(energy(np.array([[1.0], [0.0]])), [0, 0.5])
