"""jvp and divergence of every kind of score function against dense Jacobians built in other ways."""

import tracemalloc
from types import SimpleNamespace

import autograd.numpy as np
import pytest
from autograd import grad, jacobian, make_jvp, value_and_grad
from autograd.misc import flatten
from oracles import MIXTURE, gradient_error, plain_mlp, random_params

from scoremin import MLP, EnergyMLP, NoiseConditionalMLP, divergence, energy_score, explicit_loss, jvp, kde_score
from scoremin.backprop import cast
from scoremin.derivatives import half_square, inner, mean

RNG = np.random.default_rng(0)
X, V, STACK = RNG.normal(0, 1.5, (6, 2)), RNG.normal(0, 1, (6, 2)), RNG.normal(0, 1, (3, 6, 2))
DATA = RNG.normal(0, 1, (9, 2))


SHAPES = {"MLP, no hidden layer": [2, 2], "MLP, 1 hidden layer": [2, 7, 2],
          "MLP, 2 hidden layers": [2, 6, 5, 2], "MLP, 3 hidden layers": [2, 5, 6, 4, 2]}
SCORES = {
    **{name: (lambda params: MLP(params), sizes) for name, sizes in SHAPES.items()},
    "plain network": (plain_mlp, [2, 6, 5, 2]),
    "noise-conditional, one level": (lambda params: NoiseConditionalMLP(params).at(0.5), [3, 6, 5, 2]),
    "noise-conditional, a level a row": (lambda params: lambda x: NoiseConditionalMLP(params)(
        x, np.linspace(0.2, 2, 6)), [3, 6, 5, 2]),
    "energy": (lambda params: energy_score(EnergyMLP(params)), [2, 6, 5, 1]),
    "mixture": (lambda params: lambda x: MIXTURE.score(x) * params[0][1], [2, 2]),
    "KDE": (lambda params: lambda x: kde_score(x, DATA, 0.7) * params[0][1], [2, 2]),
    "rotation": (lambda params: lambda x: np.stack(
        [np.sin(x[:, 1]) * params[0][1][0], x[:, 0]**2 * x[:, 1]], axis=1), [2, 2]),
}


def dense_jacobian(score, x, size=1e-5):
    """J_nij = ∂s_ni/∂x_nj, (N,d,d), by central differences."""
    return np.stack([(score(x + e) - score(x - e)) / (2 * size) for e in size * np.eye(x.shape[1])], axis=2)


@pytest.mark.parametrize("name", SCORES)
def test_jvp_is_the_directional_derivative(name):
    """(JVP.1) s and Jv, not Jᵀv, of one direction a row and of three, against a numerical Jacobian."""
    make, sizes = SCORES[name]
    score = make(random_params(sizes))
    J = dense_jacobian(score, X)
    for v in (V, STACK):
        s, Jv = jvp(score, X, v)
        assert np.max(np.abs(s - score(X))) < 1e-13 * max(1, np.max(np.abs(s)))
        assert np.max(np.abs(Jv - np.einsum("nij,...nj->...ni", J, v))) < 1e-7 * max(1, np.max(np.abs(J)))


@pytest.mark.parametrize("name", SCORES)
def test_divergence_is_the_trace_of_the_jacobian(name):
    """(JVP.2) s and tr J of d directional derivatives, against a numerical Jacobian."""
    make, sizes = SCORES[name]
    score = make(random_params(sizes))
    s, tr = divergence(score, X)
    J = dense_jacobian(score, X)
    assert np.max(np.abs(s - score(X))) < 1e-13 * max(1, np.max(np.abs(s)))
    assert np.max(np.abs(tr - np.trace(J, axis1=1, axis2=2))) < 1e-7 * max(1, np.max(np.abs(J)))


def test_divergence_sums_all_coordinates_in_five_dimensions():
    """(JVP.2) A linear map has tr J = tr W in every row, a quadratic one ∑_j 2 a_j x_j."""
    W, a, x = RNG.normal(0, 1, (5, 5)), RNG.normal(0, 1, 5), RNG.normal(0, 1, (4, 5))
    assert np.max(np.abs(divergence(lambda x: np.dot(x, W), x)[1] - np.trace(W))) < 1e-13
    assert np.max(np.abs(divergence(lambda x: a * x**2, x)[1] - 2 * np.dot(x, a))) < 1e-13
    assert np.max(np.abs(divergence(MLP([(W, a)]), x)[1] - np.trace(W))) < 1e-13


@pytest.mark.parametrize("name", SCORES)
def test_derivatives_agree_with_reverse_mode_in_value_and_parameter_gradient(name):
    """(JVP.1) (JVP.2) c·Jv and tr J, and their gradients in θ, against autograd's dense Jacobian to 1e-12."""
    make, sizes = SCORES[name]
    params, (C, c) = random_params(sizes), (RNG.normal(0, 1, STACK.shape), RNG.normal(0, 1, len(X)))

    def dense(params):
        blocks = jacobian(make(params))(X)                                   # (N,d,N,d)
        J = np.stack([blocks[n, :, n] for n in range(len(X))])
        return np.sum(C * np.einsum("nij,mnj->mni", J, STACK)) + np.sum(c * np.sum(J * np.eye(2), axis=(1, 2)))

    def forwards(params):
        return np.sum(C * jvp(make(params), X, STACK)[1]) + np.sum(c * divergence(make(params), X)[1])

    (value, gradient), (exact, exact_gradient) = (value_and_grad(f)(params) for f in (forwards, dense))
    gradient, exact_gradient = flatten(gradient)[0], flatten(exact_gradient)[0]
    assert abs(value - exact) < 1e-12 * max(1, abs(exact))
    assert np.max(np.abs(gradient - exact_gradient)) < 1e-12 * np.max(np.abs(exact_gradient))
    assert gradient_error(forwards, params, np.random.default_rng(2)) < 1e-7


@pytest.mark.parametrize("name", ["MLP, 1 hidden layer", "MLP, 2 hidden layers", "noise-conditional, one level"])
def test_values_and_derivatives_share_one_gradient_in_the_parameters(name):
    """(JVP.1) (JVP.2) A loss that mixes s, Jv and tr nonlinearly has the gradient of its numerical derivative."""
    make, sizes = SCORES[name]

    def loss(params):
        (s, Jv), (_, tr) = jvp(make(params), X, V), divergence(make(params), X)
        return np.sum(np.sum(s * Jv, axis=1)**2 + tr * np.sum(s**2, axis=1))

    assert gradient_error(loss, random_params(sizes), np.random.default_rng(3)) < 1e-7


class KnowsItsDerivatives:
    """The score x W with its derivatives, and no way to be called."""

    W = np.array([[1.0, 2.0], [3.0, 4.0]])

    def jvp(self, x, v):
        return np.dot(x, self.W), np.dot(v, self.W)

    def divergence(self, x):
        return np.dot(x, self.W), np.full(len(x), np.trace(self.W))


def test_derivatives_that_a_score_offers_are_used():
    """(JVP.1) (JVP.2) .jvp and .divergence replace the forward mode: such an object need not even be callable."""
    W = KnowsItsDerivatives.W
    s, Jv = jvp(KnowsItsDerivatives(), X, STACK)
    assert np.all(s == np.dot(X, W)) and np.all(Jv == np.dot(STACK, W))
    s, tr = divergence(KnowsItsDerivatives(), X)
    assert np.all(s == np.dot(X, W)) and np.all(tr == 5)
    assert np.all(divergence(SimpleNamespace(jvp=KnowsItsDerivatives().jvp), X)[1] == 5)
    assert np.all(divergence(SimpleNamespace(divergence=lambda x: (x, 7 * x[:, 0])), X)[1] == 7 * X[:, 0])
    x, v = X[:, :1], X[:, 1:2]                                               # d = 1, columns all the same
    assert np.all(jvp(SimpleNamespace(jvp=lambda x, v: (3 * x, 3 * v)), x, v)[1] == 3 * v)


@pytest.mark.parametrize("name", ["MLP, 2 hidden layers", "plain network", "noise-conditional, one level", "energy"])
def test_derivatives_keep_float32(name):
    """float32 in, float32 out, within its precision of float64."""
    make, sizes = SCORES[name]
    params = random_params(sizes)
    single = make([(W.astype(np.float32), b.astype(np.float32)) for W, b in params])
    x, v = X.astype(np.float32), STACK.astype(np.float32)
    pairs = zip(jvp(single, x, v) + divergence(single, x), jvp(make(params), X, STACK) + divergence(make(params), X))
    for value, exact in pairs:
        assert value.dtype == np.float32
        assert np.max(np.abs(value - exact)) < 1e-5 * np.max(np.abs(exact))


A, B, STACKED = (np.random.default_rng(k).normal(0, 1, shape) for k, shape in enumerate([(6, 4), (6, 4), (3, 6, 4)]))
WEIGHTS = np.random.default_rng(4).normal(0, 1, (3, 6))
plain_inner = lambda a, b: np.sum(a * b, axis=-1)
# Each verb, and the same in autograd's own operations, as one number of the first argument.
VERBS = {
    "mean": (lambda a: mean(np.sin(a)), lambda a: np.sum(np.sin(a)) / a.size, A),
    "mean, of a mean": (lambda a: mean(a * mean(a)), lambda a: (np.sum(a) / a.size)**2, A),
    "half_square": (lambda a: np.sum(WEIGHTS[0] * half_square(a)),
                    lambda a: np.sum(WEIGHTS[0] * np.sum(a**2, axis=1)) / 2, A),
    "half_square, stacked": (lambda a: np.sum(WEIGHTS * half_square(a)**2),
                             lambda a: np.sum(WEIGHTS * np.sum(a**2, axis=2)**2) / 4, STACKED),
    "inner": (lambda a: np.sum(WEIGHTS[0] * inner(a, B)**2), lambda a: np.sum(WEIGHTS[0] * plain_inner(a, B)**2), A),
    "inner, with itself": (lambda a: np.sum(WEIGHTS[0] * inner(a, np.sin(a))),
                           lambda a: np.sum(WEIGHTS[0] * plain_inner(a, np.sin(a))), A),
    "inner, stack on the left": (lambda a: np.sum(WEIGHTS * inner(STACKED, a)**2),
                                 lambda a: np.sum(WEIGHTS * plain_inner(STACKED, a)**2), A),
    "inner, stack on the right": (lambda a: np.sum(WEIGHTS * inner(a, STACKED)**2),
                                  lambda a: np.sum(WEIGHTS * plain_inner(a, STACKED)**2), A),
    "inner, in the stack": (lambda a: np.sum(WEIGHTS * inner(a, B)**2 * inner(B, a)),
                            lambda a: np.sum(WEIGHTS * plain_inner(a, B)**3), STACKED),
    "cast": (lambda a: np.sum(cast(a, np.float64)**3), lambda a: np.sum(a**3), A),
}


@pytest.mark.parametrize("name", VERBS)
def test_verbs_have_the_values_and_derivatives_of_their_formulas(name):
    """Value, gradient, forward mode, and second derivatives in three orders: as in autograd's own operations."""
    verb, plain, a = VERBS[name]
    u = np.random.default_rng(5).normal(0, 1, a.shape)
    along = lambda f: lambda a: make_jvp(f)(a)(u)[1]
    for derive in (lambda f: f, grad, along, lambda f: grad(along(f)), lambda f: along(grad(f)),
                   lambda f: grad(lambda a: np.sum(u * grad(f)(a)))):
        value, exact = (np.asarray(derive(f)(a) + np.zeros_like(0.0)) for f in (verb, plain))
        assert value.shape == exact.shape
        assert np.max(np.abs(value - exact)) < 1e-12 * max(1, np.max(np.abs(exact)))


def test_verbs_are_means_and_sums_worked_by_hand():
    """E over all entries; ½‖a‖² and aᵀb of each row, for a stack against one set of rows too."""
    a, b = np.array([[1.0, 2.0], [3.0, -4.0]]), np.array([[[1.0, 1.0], [0.0, 2.0]], [[-1.0, 0.0], [1.0, 1.0]]])
    assert mean(a) == 0.5 and mean(a[0]) == 1.5
    assert np.array_equal(half_square(a), [2.5, 12.5])
    assert np.array_equal(inner(a, b), [[3, -8], [-1, -1]]) and np.array_equal(inner(b, a), [[3, -8], [-1, -1]])


@pytest.mark.parametrize("verb", [mean, lambda a: mean(half_square(a)), lambda a: mean(inner(a, a)),
                                  lambda a: mean(inner(a[None], a)**2)])
def test_verbs_keep_float32(verb):
    """Values, gradients and forward derivatives of float32 are float32."""
    a = A.astype(np.float32)
    value, gradient = value_and_grad(verb)(a)
    assert value.dtype == gradient.dtype == make_jvp(verb)(a)(a)[1].dtype == np.float32
    assert abs(value - verb(A)) < 1e-5 * max(1, abs(verb(A)))


def test_cast_changes_the_precision_and_its_gradient_comes_back():
    """float64 → float32 → loss: the gradient is float64, and forward mode is float32."""
    loss = lambda a: np.sum(cast(a, np.float32)**2)
    gradient, (value, along) = grad(loss)(A), make_jvp(loss)(A)(B)
    assert gradient.dtype == np.float64 and np.max(np.abs(gradient - 2 * A)) < 1e-6
    assert value.dtype == along.dtype == np.float32 and abs(along - np.sum(2 * A * B)) < 1e-4


def test_a_mean_that_leaves_the_range_of_floats_is_an_error():
    """No infinite loss comes back, nor the gradient of one: the terms of float32 are too large to square."""
    x, a = np.ones((2, 2), np.float32), np.float32(1e30)
    loss = lambda a: explicit_loss(lambda x: a * x, x, x)
    for f in (loss, grad(loss)):
        with pytest.raises(FloatingPointError, match="explicit_loss is not finite: inputs too large"):
            f(a)


def test_trace_of_a_plain_score_holds_one_direction_at_a_time():
    """(JVP.2) d = 200: the Jacobians would take 64 MB, all unit vectors at every row as much; 16 MB suffice."""
    x = np.random.default_rng(6).normal(0, 1, (200, 200))
    tracemalloc.start()
    try:
        tr = divergence(lambda x: np.sin(x) + x[:, :1], x)[1]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.max(np.abs(tr - np.sum(np.cos(x), axis=1) - 1)) < 1e-11
    assert peak < 16 * 2**20


class OffersOne:
    """A network's score with one of the two derivatives hidden."""

    def __init__(self, params, name):
        self.score = MLP(params)
        setattr(self, name, getattr(self.score, name))

    def __call__(self, x):
        return self.score(x)


@pytest.mark.parametrize("name", ["jvp", "divergence"])
def test_a_score_may_offer_one_of_its_derivatives(name):
    """(JVP.1) (JVP.2) The other one is made by forward mode, with the same values."""
    params = random_params([2, 6, 5, 2])
    for f in (lambda score: jvp(score, X, STACK)[1], lambda score: divergence(score, X)[1]):
        assert np.max(np.abs(f(OffersOne(params, name)) - f(plain_mlp(params)))) < 1e-13


def test_derivatives_that_a_score_offers_are_held_to_shape_and_range():
    """(JVP.1) (JVP.2) A trace (N,1) or a Jv of one row would broadcast, and an infinite one be the answer."""
    for wrong, error in ((np.ones((len(X), 1)), ValueError), (np.full(len(X), np.inf), FloatingPointError)):
        with pytest.raises(error, match=r"^score\.divergence\(x\) "):
            divergence(SimpleNamespace(divergence=lambda x, tr=wrong: (x, tr)), X)
    for wrong, error in ((np.ones((1, 2)), ValueError), (X * np.nan, FloatingPointError)):
        with pytest.raises(error, match=r"^score\.jvp\(x\) "):
            jvp(SimpleNamespace(jvp=lambda x, v, Jv=wrong: (x, Jv)), X, X)
