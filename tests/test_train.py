"""Adam and the training loop, against numbers worked by hand and a textbook loop without autograd."""

import math
from fractions import Fraction

import autograd.numpy as np
import pytest
from autograd.tracer import getval
from oracles import MIXTURE, plain_mlp

from scoremin import MLP, denoising_loss, fit, implicit_loss, init_mlp
from scoremin.train import until_it_rises

POINT = np.ones((1, 1))                                                      # data of one row: every batch is alike


def run(loss, W, steps, learning_rate=0.1, **options):
    """fit on a single parameter matrix W, b = 0; the loss sees params and nothing random."""
    return fit(lambda params, x, rng: loss(params[0][0]), [(np.asarray(W, float), np.zeros(1))], POINT,
               steps=steps, learning_rate=learning_rate, rng=np.random.default_rng(0), batch_size=1, **options)


def positions(loss, W, steps, **options):
    """W before every step of run, and after the last one."""
    seen = []
    params, _ = run(lambda W: seen.append(np.array(getval(W))) or loss(W), W, steps, **options)
    return np.array([*seen, params[0][0]])


def test_moments_of_the_first_steps_are_those_worked_by_hand():
    """(FIT.1) (FIT.2) (FIT.3) g = 3, 3, −3: 10 times m = .3, .57, .213, 1000 times u = .009, .017991, .026973009."""
    gradients, moves, m, u = [3, 3, -3], [], Fraction(0), Fraction(0)
    for k, g in enumerate(gradients, 1):
        m, u = Fraction(9, 10) * m + Fraction(g, 10), Fraction(999, 1000) * u + Fraction(g * g, 1000)  # the paper's
        m_hat, u_hat = m / (1 - Fraction(9, 10)**k), u / (1 - Fraction(999, 1000)**k)
        moves.append(float(m_hat) / (math.sqrt(u_hat) + 1e-8))
    assert (m, u) == (Fraction(213, 1000), Fraction(26973009, 10**9))
    slopes = iter(gradients)
    W = positions(lambda W: next(slopes) * np.sum(W), [[1.0]], 3)[:, 0, 0]
    rates = [0.1, 0.1 * 0.75, 0.1 * 0.25]                                    # ½(1 + cos 0), cos π/3, cos 2π/3
    assert np.allclose(np.diff(W), -np.multiply(rates, moves), rtol=1e-12)


def test_first_step_moves_every_entry_by_the_learning_rate():
    """(FIT.3) after one step m̂ = g and û = g² exactly: θ moves by η·g/(|g| + 10⁻⁸), whatever the size of g."""
    slope = np.array([[1e-8, -2.0, 1e6]])
    params, _ = run(lambda W: np.sum(slope * W), np.zeros((1, 3)), 1)
    assert np.allclose(params[0][0], -0.1 * slope / (np.abs(slope) + 1e-8), rtol=1e-9)


def test_learning_rate_falls_on_a_cosine():
    """(FIT.4) with a constant gradient θ moves by η_k: all K moves, of sum η(K + 1)/2, the last η sin²(π/2K)."""
    K = 40
    moves = -np.diff(positions(lambda W: 5 * np.sum(W), [[0.0]], K)[:, 0, 0])
    assert np.allclose(moves, [0.1 * 0.5 * (1 + math.cos(math.pi * (k - 1) / K)) for k in range(1, K + 1)], rtol=1e-7)
    assert abs(moves.sum() / (0.1 * (K + 1) / 2) - 1) < 1e-7
    assert abs(moves[-1] / (0.1 * math.sin(math.pi / (2 * K))**2) - 1) < 1e-7


def test_whole_run_is_that_of_a_textbook_loop():
    """(FIT.1) (FIT.2) (FIT.3) (FIT.4) 60 steps on a quartic with the gradient by hand, in plain loops over entries."""
    start, target = np.array([[0.5, -1.0], [2.0, 0.0]]), np.array([[1.0, 1.0], [-1.0, 0.3]])
    theta, m, u = start.ravel().tolist(), [0.0] * 4, [0.0] * 4
    for k in range(1, 61):
        rate = 0.05 * 0.5 * (1 + math.cos(math.pi * (k - 1) / 60))
        for i in range(4):
            g = 4 * (theta[i] - target.flat[i])**3 + 2 * (theta[i] - target.flat[i])
            m[i] = 0.9 * m[i] + 0.1 * g
            u[i] = 0.999 * u[i] + 0.001 * g * g
            theta[i] -= rate * (m[i] / (1 - 0.9**k)) / (math.sqrt(u[i] / (1 - 0.999**k)) + 1e-8)
    params, _ = run(lambda W: np.sum((W - target)**4 + (W - target)**2), start, 60, learning_rate=0.05)
    assert np.allclose(params[0][0].ravel(), theta, rtol=0, atol=1e-12)


def test_losses_are_those_before_each_step():
    """Losses[k] is the loss at the parameters that step k starts from; the start is left as it was."""
    start = np.array([[2.0]])
    W = positions(lambda W: np.sum(W**2), start, 5)
    _, losses = run(lambda W: np.sum(W**2), start, 5)
    assert np.allclose(losses, W[:-1, 0, 0]**2, rtol=1e-15)
    assert start[0, 0] == 2


def test_linear_implicit_score_reaches_its_closed_form():
    """(FIT.3) (ISM.8) full batches, a linear score from 0: W → −S⁻¹ and b → S⁻¹μ, S the 1/n covariance."""
    data = MIXTURE.sample(np.random.default_rng(1), 30) + [0.5, 0.0]
    inverse = np.linalg.inv(np.cov(data.T, bias=True))
    params, _ = fit(lambda params, x, rng: implicit_loss(MLP(params), data), [(np.zeros((2, 2)), np.zeros(2))], data,
                    steps=600, learning_rate=0.05, rng=np.random.default_rng(2))
    assert np.abs(params[0][0] + inverse).max() < 1e-6
    assert np.abs(params[0][1] - inverse @ data.mean(axis=0)).max() < 1e-6


def batches(seed, steps=200, dtype=np.float64):
    """The batches of 50 that fit draws from the rows 0, 1, … 9."""
    seen, params = [], [(np.ones((1, 1), dtype), np.zeros(1, dtype))]
    fit(lambda params, x, rng: seen.append(x.copy()) or np.sum(params[0][0]**2), params, np.arange(10.0)[:, None],
        steps=steps, batch_size=50, rng=np.random.default_rng(seed))
    return np.array(seen)


def test_batches_are_uniform_with_replacement():
    """10,000 draws of 10 rows: each count and each repeat within 5 standard errors; no batch is another."""
    x = batches(3)[:, :, 0]
    counts = np.array([np.sum(x == i) for i in range(10)])
    assert counts.sum() == x.size == 10_000
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(10_000 * 0.1 * 0.9)
    repeats = np.sum(x[:, 1:] == x[:, :-1])                                  # Binomial(9,800, 1/10)
    assert abs(repeats - 980) < 5 * np.sqrt(9_800 * 0.1 * 0.9)
    assert len(np.unique(x, axis=0)) == 200


def test_randomness_is_the_generator_alone():
    """The loss draws from the same generator; same seed same run, to the bit, and another seed another."""
    def trained(seed):
        rng = np.random.default_rng(seed)
        loss = lambda params, x, rng: denoising_loss(plain_mlp(params), x, rng.standard_normal(x.shape), 0.5)
        params, losses = fit(loss, init_mlp(rng, [2, 4, 2]), MIXTURE.sample(rng, 40), steps=8, batch_size=16, rng=rng)
        return np.concatenate([losses, *(a.ravel() for layer in params for a in layer)])

    state = np.random.get_state()[1].copy()
    assert np.array_equal(trained(4), trained(4))
    assert np.abs(trained(4) - trained(5)).max() > 1e-3
    assert np.array_equal(state, np.random.get_state()[1])


def test_training_stays_in_the_dtype_of_the_parameters():
    """Float32 parameters: float32 batches from float64 data, float32 result, and close to the float64 run."""
    data = MIXTURE.sample(np.random.default_rng(6), 50)
    assert batches(7, steps=2, dtype=np.float32).dtype == np.float32
    loss = lambda params, x, rng: implicit_loss(MLP(params), x)
    start = init_mlp(np.random.default_rng(8), [2, 6, 2])
    single = [(W.astype(np.float32), b.astype(np.float32)) for W, b in start]
    runs = [fit(loss, params, data, steps=20, rng=np.random.default_rng(9))[0] for params in (start, single)]
    for (W, b), (V, c) in zip(*runs):
        assert V.dtype == c.dtype == np.float32
        assert np.abs(W - V).max() < 1e-4
        assert np.abs(b - c).max() < 1e-4
    assert np.abs(runs[0][0][0] - start[0][0]).max() > 1e-3


def test_progress_wraps_the_steps():
    """Progress is given the iterable of all steps, of known length, and each is taken from it once."""
    seen, lengths = [], []

    def progress(steps):
        lengths.append(len(steps))
        for k in steps:
            yield k
            seen.append(k)

    losses = [run(lambda W: np.sum(W**2), [[1.0]], 7, progress=wrap)[1] for wrap in (progress, None)]
    assert (lengths, seen) == ([7], list(range(7)))
    assert np.array_equal(*losses)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_is_an_error(bad):
    """It names the loss, the step and the learning rate to go below."""
    factors = iter([1.0, 1.0, 1.0, bad, 1.0])
    message = rf"at step 4: the loss is {bad}; want finite numbers; try a learning_rate below 0.1"
    with pytest.raises(FloatingPointError, match=message):
        run(lambda W: next(factors) * np.sum(W**2), [[2.0]], 5)


def test_a_loss_must_be_one_number():
    """A loss a row, its mean forgotten, is refused with its shape."""
    with pytest.raises(ValueError, match=r"the loss has shape \(1,\); want one number"):
        run(lambda W: np.sum(W**2, axis=1), [[2.0]], 2)


def test_a_gradient_that_is_not_finite_is_an_error():
    """A finite loss with a NaN gradient, on the very last step too, is not returned as NaN parameters."""
    message = r"at step 1: ‖gradient‖² is nan; want finite numbers; look at the loss and at the scale"
    with np.errstate(divide="ignore", invalid="ignore"), pytest.raises(FloatingPointError, match=message):
        run(lambda W: np.sum(np.sqrt(np.abs(W - 1))) + 1, [[1.0]], 1)


def test_a_gradient_too_large_to_square_is_an_error():
    """(FIT.1) In float32 g = 1e25 has no g²: m_2 would be infinite and training stand still at a falling loss."""
    start = [(np.ones((1, 1), np.float32), np.zeros(1, np.float32))]
    for size in (1e25, 1e15):
        loss = lambda params, x, rng, size=size: size * np.sum(params[0][0])
        run = lambda loss=loss: fit(loss, start, POINT, steps=1, rng=np.random.default_rng(0))
        if size == 1e25:
            with pytest.raises(FloatingPointError, match=r"at step 1: ‖gradient‖² is inf"):
                run()
        else:
            assert run()[0][0][0][0, 0] == pytest.approx(1 - 1e-3, abs=1e-6)


def test_a_last_step_out_of_range_is_an_error():
    """(FIT.3) No loss comes after it to show it: a rate of 1e39 moves float32 to infinity."""
    with pytest.raises(FloatingPointError, match=r"at the last step: params holds NaN or infinity.*learning_rate"):
        fit(lambda params, x, rng: np.sum(params**2), np.ones(1, np.float32), POINT, steps=1, learning_rate=1e39,
            rng=np.random.default_rng(0))


def test_loss_that_is_not_finite_and_gradient_that_is_are_told_apart():
    """(FIT.3) An infinite loss of finite slope, and a finite loss of infinite slope: each error names its own."""
    cases = [(lambda W: np.sum(W) + 1e308 + 1e308 * np.sum(0 * W + 1), "the loss is inf"),
             (lambda W: 1e308 * np.sum((10 * W)**2 * 1e-308) * 1e200, r"‖gradient‖² is")]
    for loss, message in cases:
        with np.errstate(over="ignore"), pytest.raises(FloatingPointError, match=message):
            run(loss, [[1.0]], 1)


def test_defaults_are_256_rows_and_a_thousandth():
    """(FIT.3) (FIT.4) Batches of 256 from 10 rows, and a first move of 10⁻³ whatever the slope."""
    shapes = []
    params, _ = fit(lambda params, x, rng: shapes.append(x.shape) or 7 * np.sum(params[0][0]), [(np.ones((1, 1)),
                    np.zeros(1))], np.ones((10, 3)), steps=1, rng=np.random.default_rng(0))
    assert shapes == [(256, 3)]
    assert params[0][0][0, 0] == pytest.approx(1 - 1e-3, abs=1e-10)


def test_the_loss_gets_the_generator_of_the_caller():
    """One stream for batches and noise: the object itself is handed on, and a step draws its batch first."""
    rng, twin, seen = np.random.default_rng(10), np.random.default_rng(10), []
    fit(lambda params, x, given: seen.append((given is rng, given.random())) or np.sum(params[0][0]**2),
        [(np.ones((1, 1)), np.zeros(1))], np.arange(10.0)[:, None], steps=3, batch_size=4, rng=rng)
    expected = []
    for _ in range(3):
        twin.integers(10, size=4)
        expected.append((True, twin.random()))
    assert seen == expected


def test_steps_do_not_run_ahead_of_progress_and_may_end_early():
    """When progress hands out step k, k losses have been computed; where it stops at 3 of 10, there are 3."""
    counted, taken = [], []

    def progress(steps):
        for k in steps:
            if k == 3:
                return
            counted.append(len(taken))
            yield k

    params, losses = run(lambda W: taken.append(1) or np.sum(W**2), [[2.0]], 10, progress=progress)
    assert counted == [0, 1, 2] and len(losses) == len(taken) == 3
    assert np.isfinite(losses).all() and params[0][0][0, 0] < 1.8


def test_state_of_adam_is_in_the_precision_of_the_parameters():
    """(FIT.1) (FIT.3) 30 steps on a float32 parameter are, to the last bit, those of a loop in float32."""
    start, theta = np.float32(0.3), np.array([0.3], np.float32)
    m_1 = m_2 = np.zeros(1, np.float32)
    for k in range(1, 31):
        g = 2 * (theta - np.float32(1.7))
        m_1, m_2 = 0.9 * m_1 + 0.1 * g, 0.999 * m_2 + 0.001 * g**2
        rate = 0.5 * 0.05 * (1 + math.cos(math.pi * (k - 1) / 30))
        theta = theta - rate * (m_1 / (1 - 0.9**k)) / (np.sqrt(m_2 / (1 - 0.999**k)) + 1e-8)
    params, losses = fit(lambda params, x, rng: np.sum((params[0] - np.float32(1.7))**2), [np.array([start])], POINT,
                         steps=30, learning_rate=0.05, rng=np.random.default_rng(0))
    assert params[0].dtype == losses.dtype == np.float32 and theta.dtype == np.float32
    assert params[0][0] == theta[0]


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble])
def test_parameters_of_other_precision_train_in_float64(dtype):
    """(FIT.3) Half and extended precision become float64: the run of the same numbers, to the bit."""
    start = np.array([[0.5, -2.0]], dtype)
    runs = [fit(lambda params, x, rng: np.sum(params[0]**2), [W], POINT, steps=5, rng=np.random.default_rng(0))
            for W in (start, start.astype(float))]
    assert runs[0][0][0].dtype == np.float64 and np.array_equal(runs[0][0][0], runs[1][0][0])


def test_params_come_back_as_they_were_nested():
    """(FIT.3) Lists stay lists, tuples tuples, one array one array; those given are not moved."""
    given = [(np.ones((2, 3)), np.ones(3)), np.ones(())]
    loss = lambda params, x, rng: np.sum(params[0][0]**2) + np.sum(params[0][1]**2) + params[1]**2
    params, _ = fit(loss, given, POINT, steps=2, rng=np.random.default_rng(0), batch_size=1)
    assert (type(params), type(params[0])) == (list, tuple)
    for a, start in zip((*params[0], params[1]), (*given[0], given[1])):
        assert a.shape == start.shape and np.all(a < start) and np.all(start == 1)


def test_callback_sees_each_step_and_its_params():
    """Step 0, 1, … with params after it: the slope 1 moves W by η_k, however often (FIT.3) (FIT.4)."""
    seen = []
    run(lambda W: np.sum(W), [[1.0]], 3, callback=lambda k, params: seen.append((k, params[0][0].item())))
    rates = 0.1 * np.array([1, 0.75, 0.25])
    assert [k for k, _ in seen] == [0, 1, 2]
    assert np.allclose([W for _, W in seen], 1 - np.cumsum(rates), rtol=0, atol=1e-8)


def test_the_average_weighs_recent_steps_by_their_seventh_power():
    """(FIT.5) Against the weights (j − 1)(j − 2) … (j − 7), divided by their sum, at every step that is measured."""
    thetas, seen = np.random.default_rng(20).standard_normal(300), []
    callback, curve, _ = until_it_rises([(np.zeros((1, 1)), np.zeros(1))],
                                        lambda params: seen.append(params[0][0].item()) or 1.0)
    for k, theta in enumerate(thetas):
        callback(k, [(np.full((1, 1), theta), np.zeros(1))])
    w = np.array([math.prod(j - i for i in range(1, 8)) for j in range(1, 301)], float)
    late = [(k, value) for k, value in zip(curve, seen) if k >= 8]
    assert len(late) > 20 and max(curve) > 250
    assert seen[1] == thetas[list(curve)[1] - 1] and list(curve)[1] < 8      # before that it is the last step
    for k, value in late:
        assert abs(value - np.sum(w[:k] * thetas[:k]) / np.sum(w[:k])) < 1e-12


def test_training_ends_in_time_and_keeps_the_average_before_the_rise():
    """(FIT.5) A measure that falls, then rises: the average kept is that of the last measure within a
    thousandth of the least; training ends at twice that step and 200."""
    passed, values, averages = [], [], []

    def measure(params):
        values.append(1 + abs(len(passed) - 150) * 1e-4)
        averages.append(params[0][0].item())
        return values[-1]

    callback, curve, best = until_it_rises([(np.zeros((1, 1)), np.zeros(1))], measure)
    slope = lambda params, x, rng: passed.append(x) or 0 * np.sum(params[0][1]) - np.sum(params[0][0])  # W grows
    _, losses = fit(slope, [(np.zeros((1, 1)), np.zeros(1))], POINT, steps=2000, rng=np.random.default_rng(0),
                    callback=callback)
    kept = max(k for k, value in curve.items() if value <= 1.001 * min(values))
    assert 150 <= kept <= 160 and len(losses) == len(passed) == 2 * kept + 201
    assert best[0][0].item() == averages[list(curve).index(kept)] > 0
