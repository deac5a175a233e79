"""Any argument of any public function: the right answer, or an error that names the argument.

An argument's name is its gate, so the arguments of a function, and values of their kinds, are found by name: PLAIN
has a right value for each name, ODD what means the same, BAD what must be refused. A new function is tested as soon as
scoremin exports it; it stands in OWN only where a name means something else there."""

import inspect
import threading
import time
import warnings
from datetime import date

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad

import scoremin as sm
from scoremin import MLP, EnergyMLP, GaussianMixture, NoiseConditionalMLP
from scoremin.checks import KINDS

ERRORS = (ValueError, TypeError, FloatingPointError)
RNG = np.random.default_rng(0)
X, Y = RNG.normal(0, 1, (4, 2)).round(3), RNG.normal(0, 1, (4, 2)).round(3)
NETWORK, ENERGY, CONDITIONAL, DEEP = (sm.init_mlp(RNG, s) for s in ([2, 3, 2], [2, 3, 1], [3, 4, 2], [2, 3, 3, 2]))
SIGMAS, MEANS = np.array([2.0, 1.0, 0.5]), np.array([[1.0, 0.0], [-1.0, 0.5]])
MIXTURE = GaussianMixture([0.5, 0.5], MEANS, np.stack([np.eye(2), 2 * np.eye(2)]))
SKIP = NoiseConditionalMLP(CONDITIONAL, skip=True).at(0.5)


def score(x):
    return -x * anp.exp(-anp.sum(x**2, axis=1, keepdims=True))


def field(x, sigma):
    return -x / (1 + (sigma[:, None] if np.ndim(sigma) else sigma)**2)


def loss(params, x, rng):
    return sm.implicit_loss(MLP(params), x)


def generator():
    return np.random.default_rng(5)


def each(names, value):
    """The same value under several names."""
    return {name: value for name in names}  # noqa: C420


# A right value for each name of an argument, and the names that mean something else in a function of their own.
PLAIN = {
    "x": X, "x_noisy": X, "data": Y, "a": X, "b": Y, "z": Y, "v": Y, "target": Y, "means": MEANS, "score": score,
    "sigma": 0.5, "radius": 0.25, "h": 0.5, "step": 0.25, "sigma_max": 4.0, "sigma_min": 0.25, "sigma_data": 0.5,
    "learning_rate": 0.25, "noise": 0.5, "temperature": 0.5, "ridge": 0.5, "sigmas": SIGMAS, "n": 3, "n_steps": 2,
    "steps": 2, "batch_size": 3, "n_permutations": 7, "k": 2, "sizes": [2, 3, 2], "shape": (3, 2), "rng": generator,
    "dtype": np.float64, "kind": "gaussian", "leave_one_out": False, "denoise": True, "skip": False,
    "energy": lambda x: anp.sum(x**4, axis=1), "prior": lambda x: -np.sum(x**2, axis=1), "callback": None,
    "features": lambda x: anp.concatenate([x, x**2], axis=1), "loss": loss, "progress": None, "params": NETWORK,
    "H": MEANS[:1], "y": np.array([1.0]), "one_scale": False, "rounded": True,
    "model": field, "predicts": "noise", "path": "linear", "g": lambda x: x**2,
}
OWN = {
    **each(["annealed_langevin", "reverse_sde", "probability_flow", "dpm_solver", "log_likelihood", "posterior_score"],
           {"score": field}),
    **each(["ncsn_loss", "ncsn_vr_loss"], {"score": field, "sigma": np.array([0.5, 1.0, 2.0, 0.25])}),
    **each(["fisher_divergence", "relative_error"], {"target": MIXTURE.score}),
    "sampler": {"data": RNG.normal(0, 1, (12, 2)).round(3)},
}
METHODS = {
    "GaussianMixture.sample": MIXTURE.sample, "GaussianMixture.log_density": MIXTURE.log_density,
    "GaussianMixture.score": MIXTURE.score, "GaussianMixture.smoothed": MIXTURE.smoothed,
    "MLP.__call__": MLP(NETWORK), "MLP.jvp": MLP(NETWORK).jvp, "MLP.divergence": MLP(DEEP).divergence,
    "EnergyMLP.gradient": EnergyMLP(ENERGY).gradient, "NoiseConditionalMLP.__call__": NoiseConditionalMLP(CONDITIONAL),
    "NoiseConditionalMLP.at": NoiseConditionalMLP(CONDITIONAL).at,
    "Inclined.__call__": SKIP, "Inclined.jvp": SKIP.jvp, "Inclined.divergence": SKIP.divergence,
    "energy_score(energy)": sm.energy_score(PLAIN["energy"]),
    "linear_score(features)": sm.linear_score(PLAIN["features"], X, 0.5),
}


def sampler(data, rng, one_scale=False, rounded=True, sigma_min=0.25, steps=2):
    """Rows from three lines."""
    return sm.sampler(data, rng, one_scale=one_scale, rounded=rounded, sigma_min=sigma_min, steps=steps)[0](3)


FUNCTIONS = {name: f for name, f in vars(sm).items() if inspect.isfunction(f)} | METHODS | {"sampler": sampler}


def arguments(name):
    """Right arguments of a function, by name."""
    plain = {**PLAIN, **OWN.get(name, {})}
    return {argument: plain[argument] for argument in inspect.signature(FUNCTIONS[name]).parameters}


def call(name, **changed):
    """The answer to right arguments, some of them changed."""
    given = {**arguments(name), **changed}
    answer = FUNCTIONS[name](**{key: value() if value is generator else value for key, value in given.items()})
    return answer(X) if callable(answer) else answer


class Tensor:
    """What a tensor of another framework looks like to NumPy: it has a shape, and will not become an array."""

    shape, dtype, ndim = (4, 2), "tensor.float64", 2

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("can't convert a tensor that requires grad")


# Values by the kind of the argument: what must be refused, and what means the same.
NO_ARRAYS = [None, "abc", {}, object(), len, [[1.0], [2.0, 3.0]], np.full((4, 2), "a"), [[date(2020, 1, 1)] * 2] * 4,
             np.full((4, 2), 1j), np.ma.array(X, mask=X > 0), Tensor(), [[10**400] * 2] * 4, np.zeros((4, 2), "M8[D]")]
NO_ROWS = [*NO_ARRAYS, np.where(X == X[1, 1], np.nan, X), np.where(X == X[3, 0], np.inf, X), X[0], X[None, :, :, None],
           1.0, np.empty((0, 2)), np.empty((4, 0))]
NO_NUMBERS = [None, "1", 1j, [1.0], np.ones(2), np.nan, -np.inf, np.inf, -1.0, {}, len]
NO_POSITIVES = [*NO_NUMBERS, 0.0, 1e-200, 1e200]
NO_WHOLES = [*NO_NUMBERS, 1.5, 2**53, -1]
ASCENDING, NARROW = SIGMAS[::-1], lambda x, *s: x[:, :1]
NO_FUNCTIONS = [None, 1.0, "score", X, [score]]
NO_SCORES = [
    *NO_FUNCTIONS, MLP, lambda: 0, NARROW, lambda x, *s: x[0], lambda x, *s: None, lambda x, *s: x + 1j,
    lambda x, *s: np.full(x.shape, np.nan), lambda x, *s: np.full(x.shape, "a"),
    lambda x, *s: np.ma.array(x, mask=True), lambda x, *s: x.__setitem__((0, 0), 1.0), lambda x, *s: x.__imul__(2)]
BAD = {
    **each(["x", "x_noisy", "data", "a", "b", "means"], NO_ROWS),
    **each(["z", "target"], [*NO_ROWS, X[:3], X[:, :1], X[None]]),
    "v": [*NO_ROWS, X[:3], X[:, :1], np.empty((0, 4, 2))],
    "H": [*NO_ROWS, X[:, :1], X[:, [0, 1, 1]]],
    "y": [*NO_ARRAYS, np.array([np.nan]), np.array([-np.inf]), 1.0, [], X[:3, :1], X[None]],
    **each(["sigma", "radius", "h", "step", "sigma_max", "sigma_min", "sigma_data", "learning_rate"], NO_POSITIVES),
    **each(["noise", "temperature", "ridge"], NO_NUMBERS),
    **each(["n", "steps", "batch_size", "n_permutations", "k"], [*NO_WHOLES, 0]), "n_steps": NO_WHOLES,
    "sigmas": [None, "a", 1.0, [], ASCENDING, [1.0, 1.0, 0.5], [2.0, 1.0, 0.0], [2.0, -1.0], [np.nan, 1.0],
               SIGMAS[None]],
    **each(["sizes", "shape"], [None, 3, "ab", [], [2, 0], [2, 1.5], [2, None], {}]),
    "rng": [None, 0, np.random, np.random.RandomState(0)], "dtype": [None, int, "f", np.float16, 8],
    "kind": [None, "gauss", 1, ["gaussian"]],
    **each(["leave_one_out", "denoise", "skip", "one_scale", "rounded"], [None, "yes", 2, [True]]),
    **each(["score", "energy", "prior", "features"], NO_SCORES), "callback": [1.0, "f"], "progress": [1.0, "f"],
    "loss": [*NO_FUNCTIONS, lambda *a: 1.0, lambda *a: None, lambda p, x, rng: p[0][0],
             lambda p, x, rng: anp.sum(p[0][0]) * np.inf],
}
NO_LEVELS = [None, "1", 1j, np.nan, -1.0, 0.0, np.ones(1), np.ones(3), np.ones((4, 1)),
             np.array([1.0, 1.0, 0.0, 1.0]), 1e200]
OWN_BAD = {**{(name, "sigma"): NO_LEVELS for name in ("ncsn_loss", "ncsn_vr_loss", "NoiseConditionalMLP.__call__")},
           ("probability_flow", "sigmas"): [sigmas for sigmas in BAD["sigmas"] if sigmas is not ASCENDING],
           ("sampler", "sigma_min"): NO_POSITIVES[1:],
           ("given", "score"): NO_FUNCTIONS, ("posterior_score", "sigma_data"): NO_POSITIVES[1:],
           ("linear_score", "features"): [f for f in NO_SCORES if f is not NARROW],
           **each([("fisher_divergence", "target"), ("relative_error", "target")], NO_SCORES)}
SAME = [np.ndarray.tolist, np.asfortranarray, lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: np.broadcast_to(x, x.shape), lambda x: x.astype(np.longdouble), lambda x: x.astype(">f8"),
        lambda x: x.view(np.memmap), lambda x: x.astype(object)]
CELLS = [(name, argument) for name in FUNCTIONS for argument in arguments(name) if argument in BAD]


@pytest.mark.parametrize("name, argument", CELLS, ids=map(": ".join, CELLS))
def test_what_is_not_of_its_kind_is_refused_by_name(name, argument):
    """Each bad value of the kind, in each function, with no warning before the error."""
    for value in OWN_BAD.get((name, argument), BAD[argument]):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ERRORS, match=rf"\b{argument}\b"):
                call(name, **{argument: value})


ARRAYS = [(name, argument) for name, argument in CELLS if isinstance(arguments(name)[argument], np.ndarray)]


def values(answer):
    """The arrays of an answer."""
    if isinstance(answer, GaussianMixture):
        return [answer.means, answer.covs]
    return [a for part in answer for a in values(part)] if isinstance(answer, (list, tuple)) else [np.asarray(answer)]


@pytest.mark.parametrize("name, argument", ARRAYS, ids=map(": ".join, ARRAYS))
def test_what_means_the_same_has_the_same_answer(name, argument):
    """Lists, other layouts and precisions, integers; and no array that is given is written to."""
    plain = arguments(name)[argument]
    integers = np.array([4.0, 2.0, 1.0, 3.0])[:len(plain)] if plain.ndim == 1 else np.round(4 * plain)
    for base in (plain, integers):
        whole = np.array_equal(base, base.astype(int))
        expected = values(call(name, **{argument: base}))
        for same in [*SAME, *[lambda x: x.astype(int), lambda x: x.astype(np.int8)] * whole]:
            before = np.array(same(base), dtype=float)
            for a, b in zip(values(call(name, **{argument: same(base)})), expected):
                assert a.dtype == b.dtype and np.allclose(a, b, rtol=1e-14, atol=1e-14), same
            assert np.array_equal(before, np.array(base, dtype=float))


LAYER = NETWORK[0]
NO_PARAMS = [
    None, "params", [], {}, [LAYER[0]], [(LAYER[0],)], [(*LAYER, LAYER[1])], [LAYER, LAYER],
    *([(W, LAYER[1]), NETWORK[1]] for W in [
        LAYER[0] * np.nan, LAYER[0].astype(int), LAYER[0] + 0j, np.ma.array(LAYER[0], mask=True), LAYER[0].tolist(),
        LAYER[0].T, LAYER[0][None], LAYER[0].astype(np.float16), None]),
    *([(LAYER[0], b), NETWORK[1]] for b in [LAYER[1] + np.inf, LAYER[1][:2], LAYER[1][None], 0.0])]


@pytest.mark.parametrize("make", [MLP, EnergyMLP, NoiseConditionalMLP])
def test_layers_that_do_not_fit_are_refused_by_name(make):
    """Kinds, shapes, NaN, masks, and networks of the wrong numbers of inputs and outputs."""
    others = {MLP: [ENERGY, CONDITIONAL], EnergyMLP: [NETWORK, CONDITIONAL], NoiseConditionalMLP: [NETWORK]}
    for params in NO_PARAMS + others[make]:
        with pytest.raises(ERRORS, match="params"):
            make(params)


@pytest.mark.parametrize("l", [0, 1, 2])
def test_the_layer_that_is_wrong_is_named(l):
    """Each of three: a kind, a shape, a width that does not fit the layer before, NaN."""
    layers = sm.init_mlp(generator(), [2, 3, 4, 2])
    W, b = layers[l]
    wider = (np.ones((W.shape[0] + 1, W.shape[1])), b)
    for wrong in [W, (W.astype(int), b), (W, b[1:]), (W, b * np.nan), *[wider] * (l > 0)]:
        with pytest.raises((TypeError, ValueError), match=rf"^params\[{l}\] "):
            MLP([*layers[:l], wrong, *layers[l + 1:]])


@pytest.mark.parametrize("weights, means, covs", [
    ([0.5, 0.6], MEANS, MIXTURE.covs), ([1.0], MEANS, MIXTURE.covs), ([1.5, -0.5], MEANS, MIXTURE.covs),
    ([0.5, 0.5], MEANS[0], MIXTURE.covs), ([0.5, 0.5], MEANS, MIXTURE.covs[:1]), ([0.5, 0.5], MEANS, -MIXTURE.covs),
    ([0.5, 0.5], MEANS, [[[1, 0.5], [0.4, 1]]] * 2), ([0.5, 0.5], MEANS, [[[1, 1], [1, 1]]] * 2),
    ([0.5, np.nan], MEANS, MIXTURE.covs), ([0.5, 0.5], MEANS + np.inf, MIXTURE.covs)])
def test_mixtures_that_are_none_are_refused_by_name(weights, means, covs):
    """(MIX.1) Weights that do not sum to 1, shapes, asymmetric and singular covariances."""
    with pytest.raises(ValueError, match=r"weights|means|covs"):
        GaussianMixture(weights, means, covs)


def test_what_is_kept_is_copied():
    """Who changes his arrays later changes no object, no chain and no training."""
    mean, cov, x, params = np.zeros((1, 2)), np.eye(2)[None], X.copy(), sm.init_mlp(generator(), [2, 3, 2])
    mixture, net = GaussianMixture([1.0], mean, cov), MLP(params)
    before = mixture.score(X), net(X)
    mean += 1
    cov *= 100
    params[0][0][:] = 0
    assert np.array_equal(before[0], mixture.score(X)) and np.array_equal(before[1], net(X))
    assert np.array_equal(mixture.smoothed(1.0).covs, 2 * np.eye(2)[None])

    def spoiling(x_, *sigma):
        x[:] = 1e6
        return -x_
    for run in (lambda f: sm.langevin(f, x, 0.1, 2, generator()), lambda f: sm.reverse_sde(f, x, SIGMAS, generator()),
                lambda f: sm.dpm_solver(f, x, SIGMAS), lambda f: sm.probability_flow(f, x, SIGMAS)):
        x[:] = X
        spoiled = run(spoiling)
        x[:] = X
        assert np.array_equal(spoiled, run(lambda x, *sigma: -x))


def test_points_of_another_width_are_refused_by_a_network():
    """(NET.1) In a loss too, which calls it behind its gates."""
    for run in (sm.implicit_loss, sm.divergence, lambda score, x: sm.denoising_loss(score, x, x, 0.5)):
        with pytest.raises(ValueError, match=r"x has shape \(4, 3\); want \(N, 2\)"):
            run(MLP(NETWORK), np.ones((4, 3)))


def test_a_score_may_return_one_buffer_again_and_again():
    """(SSM.12) (DSM.13) Its second call does not change the value of the first."""
    buffer = np.empty_like(X)

    def buffered(x):
        buffer[:] = -x**3
        return buffer
    for name in ("finite_difference_loss", "denoising_vr_loss", "fisher_divergence", "relative_error"):
        assert call(name, score=buffered) == call(name, score=lambda x: -x**3)


@pytest.mark.parametrize("name, argument, lost", [
    ("finite_difference_loss", "radius", 1e-20), ("denoising_loss", "sigma", 1e-17),
    ("denoising_vr_loss", "sigma", 1e-17), ("ncsn_loss", "sigma", 1e-17)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_noise_that_rounding_takes_away_is_refused(name, argument, lost, dtype):
    """(DSM.4) (SSM.11) x + σz = x has another loss; the bound follows the precision and the size of x."""
    lost = lost if dtype is np.float64 else 1e9 * lost
    with pytest.raises(ValueError, match=f"{argument} is .* lost beside x"):
        call(name, x=X.astype(dtype), **{argument: lost})
    call(name, x=(X * lost).astype(dtype), **{argument: lost})


def test_threads_trace_one_after_the_other():
    """Two trainings in two threads are never inside a trace at once, and have the losses of each alone."""
    inside, most = [], []

    def slow(params, x, rng):
        inside.append(x)
        time.sleep(0.002)
        most.append(len(inside))
        inside.pop()
        return loss(params, x, rng)

    def train(seed, into):
        into[seed] = sm.fit(slow, NETWORK, X, steps=20, rng=np.random.default_rng(seed), batch_size=3)[1]
    alone, together = {}, {}
    for seed in (0, 1):
        train(seed, alone)
    threads = [threading.Thread(target=train, args=(seed, together)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1 and all(np.array_equal(alone[seed], together[seed]) for seed in (0, 1))


@pytest.mark.parametrize("name", ["ncsn_loss", "reverse_sde", "dpm_solver", "annealed_langevin"])
def test_a_score_of_x_alone_is_told_that_sigma_comes_too(name):
    """And a class is told from its objects."""
    with pytest.raises(TypeError, match=r"score is .*; want a function called as score\(x, sigma\)"):
        call(name, score=MLP(NETWORK))
    with pytest.raises(TypeError, match=r"score is .*MLP.*; want a function; of a class, one of its objects"):
        call(name, score=NoiseConditionalMLP)
    with pytest.raises(TypeError, match=r"score is .*; want a function called as score\(x\)"):
        sm.implicit_loss(NoiseConditionalMLP(CONDITIONAL), X)


def test_a_loss_is_told_its_arguments_and_autograds_numpy():
    """As a score is; and an error that has been explained is not explained again."""
    for wrong, message in ((lambda params, x: 0.0, r"loss is .*; want a function called as loss\(params, x, rng\)"),
                           (lambda params, x, rng: np.mean(np.array([params[0][0]])), "loss .*autograd.numpy")):
        with pytest.raises(TypeError, match=message):
            call("fit", loss=wrong)
    with pytest.raises(TypeError, match=r"^score is [^;]*; want a function called as score\(x, sigma\) \([^;]*$"):
        call("posterior_score", score=lambda x: -x)


@pytest.mark.parametrize("name", ["langevin", "annealed_langevin", "reverse_sde", "dpm_solver", "linear_score"])
def test_no_derivative_goes_through_a_sampler(name):
    """Parameters that autograd traces are refused by name, not by an error of NumPy's."""
    given = "features" if name == "linear_score" else "score"
    with pytest.raises(TypeError, match=rf"{given}\(x\) .*plain numbers"):
        grad(lambda a: anp.sum(call(name, **{given: lambda x, *sigma: -a * x})))(1.0)


def test_integers_under_a_derivative_are_refused():
    """Autograd would truncate what it traces."""
    with pytest.raises(TypeError, match=r"x is .*float32 or float64, else derivatives would be wrong"):
        grad(lambda x: sm.explicit_loss(score, x, Y))(np.ones((4, 2), int))


def plain_numpy(x):
    return np.array(x)**2


@pytest.mark.parametrize("hidden", [plain_numpy, lambda x: np.linalg.qr(x)[0],
                                    lambda x: np.sin(getattr(x, "_value", x)),
                                    lambda x: np.sin(getattr(x, "_value", x)) * [0, 1]])
def test_operations_that_autograd_cannot_see_are_named(hidden):
    """(JVP.1) With the remedy: write it with autograd.numpy."""
    with pytest.raises(TypeError, match=r"score.*autograd.numpy"):
        sm.implicit_loss(hidden, X)


def test_scores_and_energies_that_are_flat_have_the_derivative_zero():
    """(ISM.4) Autograd sees no x in them, and there is none: s = c has the loss ½‖c‖², and E = c the score 0."""
    assert sm.implicit_loss(lambda x: np.tile([2.0, -1.0], (len(x), 1)), X) == 2.5
    assert not np.any(sm.energy_score(lambda x: np.full(len(x), 3.0))(X))


def test_operations_without_a_forward_rule_are_differentiated_all_the_same():
    """(JVP.1) solve and astype have rules in reverse mode alone: s = A⁻¹x, of trace tr A⁻¹."""
    A = np.array([[2.0, 0.5], [0.0, 4.0]])
    solved = lambda x: anp.linalg.solve(A, x.T).T
    s, tr = sm.divergence(solved, X)
    assert np.allclose(s, X @ np.linalg.inv(A).T) and np.allclose(tr, 0.75)
    assert np.allclose(sm.divergence(lambda x: x.astype(float)**2, X)[1], 2 * X.sum(axis=1))
    slope = grad(lambda a: sm.implicit_loss(lambda x: a * anp.linalg.solve(A, x.T).T, X))(1.0)
    assert np.isclose(slope, np.mean(np.sum(s**2, axis=1)) + 0.75)


def test_lists_and_integers_from_a_score_are_taken_where_the_answer_is_right():
    """Its value is an array of numbers of the right shape."""
    assert sm.explicit_loss(lambda x: (-x).tolist(), X, Y) == sm.explicit_loss(lambda x: -x, X, Y)
    assert sm.explicit_loss(lambda x: np.sign(x).astype(int), X, Y) == sm.explicit_loss(np.sign, X, Y)


def test_the_callers_error_state_raises_nothing_and_stays():
    """Underflow in an exponential is no error."""
    far = 60.0 * np.ones((4, 2))
    with np.errstate(all="raise"):
        sm.denoising_loss(MLP(NETWORK), far, Y, 0.5), MIXTURE.score(far), sm.kde_score(far, Y, 0.1)
        grad(lambda params: sm.denoising_loss(MLP(params), far, Y, 0.5))([(300 * LAYER[0], LAYER[1]), NETWORK[1]])
        assert set(np.geterr().values()) == {"raise"}


def test_an_answer_out_of_range_is_an_error_that_names_the_function():
    """(DSM.8) (ESM.5) (MIX.1) From numbers that are all in range: σ² s, and distances whose squares are not."""
    for name, changed in (("tweedie", {"score": lambda x: np.full(x.shape, 1e300), "sigma": 1e100}),
                          ("kde_log_density", {"x": 1e160 * X}), ("GaussianMixture.log_density", {"x": 1e160 * X})):
        with pytest.raises(FloatingPointError, match=f"^{name} is not finite"):
            call(name, **changed)


def test_an_overflow_inside_a_score_is_not_blamed_on_the_step():
    """It is the score's own error, as it came."""
    def overflowing(x):
        raise OverflowError("of its own")
    with pytest.raises(OverflowError, match="of its own"):
        sm.langevin(overflowing, X, 0.1, 2, generator())


def test_levels_that_end_in_zero_have_a_remedy():
    """As other code writes them: the last step is Tweedie's."""
    with pytest.raises(ValueError, match=r"sigmas is .*; want numbers > 0: leave the 0 out, and end with tweedie"):
        sm.dpm_solver(field, X, [2.0, 1.0, 0.0])


def test_arguments_are_those_of_the_signature():
    """One too many, one missing, one that there is not: as Python says it, not passed over."""
    for wrong in (lambda: sm.explicit_loss(score, X, Y, Y), lambda: sm.explicit_loss(score, X),
                  lambda: sm.explicit_loss(score, X, Y, sigma=1.0), lambda: sm.fit(loss, NETWORK, X, 2)):
        with pytest.raises(TypeError, match="argument"):
            wrong()


def test_every_public_argument_has_a_kind():
    """A new name of an argument is put into the table of kinds, or is one that its function looks at itself."""
    itself = {"params", "means", "b", "v", "energy", "weights", "covs"}
    names = {argument for name in FUNCTIONS for argument in arguments(name)}
    assert names - set(KINDS) <= itself | {"a"}
