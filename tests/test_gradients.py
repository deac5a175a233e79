"""Every objective on every network: values against loops, first and second derivatives against plain autograd.

The cases are those of the table in objectives.py."""

from functools import cache

import autograd.numpy as np
import pytest
from autograd import grad, make_jvp, make_vjp, value_and_grad
from autograd.misc import flatten
from objectives import CASES, NETWORKS, OBJECTIVES, N
from oracles import gradient_error, plain_mlp, random_params, replay

from scoremin import MLP, denoising_loss, explicit_loss, implicit_loss, langevin, ncsn_loss

walk = pytest.mark.parametrize("objective, network", CASES, ids=[", ".join(case) for case in CASES])
MAIN = [case for case in CASES if case[1] in ("two hidden layers", "energy", "noise-conditional")]
DEEP = [case for case in CASES if case in MAIN or case[0] == "implicit"]
walk_main = pytest.mark.parametrize("objective, network", MAIN, ids=[", ".join(case) for case in MAIN])


def losses(objective, network):
    """The loss as a function of params and of its inputs, on the object and on the plain network; params; inputs."""
    entry, net = OBJECTIVES[objective], NETWORKS[network]
    pair = (lambda params, *inputs, make=make: entry.loss(make(params), *inputs) for make in (net.make, net.plain))
    return *pair, random_params(net.sizes), entry.inputs


def assert_close(a, b, tolerance):
    """Arrays or nested lists of arrays agree to tolerance, relative to the largest entry."""
    a, b = flatten(a)[0], flatten(b)[0]
    assert np.max(np.abs(b)) > 1e-8
    assert np.max(np.abs(a - b)) <= tolerance * np.max(np.abs(b))


@walk
def test_gradient_of_every_objective_is_its_slope(objective, network):
    """(ISM.4) (SSM.4) (SSM.5) (DSM.4) (NCSN.4) (EBM.3) Central differences in random directions of θ."""
    loss, _, params, inputs = losses(objective, network)
    assert gradient_error(lambda params: loss(params, *inputs), params, np.random.default_rng(2)) < 1e-7


@pytest.mark.parametrize("damage", ["1 % too long", "largest entry's sign", "last layer missing"])
@walk_main
def test_gradient_check_rejects_a_wrong_gradient(objective, network, damage):
    """The check above, with its bound of 10⁻⁷, fails by a factor of a thousand on a gradient that is wrong."""
    loss, _, params, inputs = losses(objective, network)
    gradient, (W, b) = flatten(grad(loss)(params, *inputs))[0], params[-1]
    if damage == "1 % too long":
        gradient = 1.01 * gradient
    elif damage == "largest entry's sign":
        gradient[np.argmax(np.abs(gradient))] *= -1
    else:
        gradient[-W.size - b.size:] = 0
    rng = np.random.default_rng(2)
    assert gradient_error(lambda params: loss(params, *inputs), params, rng, gradient=gradient) > 1e-4


@pytest.mark.parametrize("objective, network", [case for case in CASES if NETWORKS[case[1]].rows],
                         ids=[", ".join(case) for case in CASES if NETWORKS[case[1]].rows])
def test_value_of_every_objective_is_that_of_loops_in_numpy(objective, network):
    """(ESM.1) (ISM.4) (SSM.4) (SSM.5) (DSM.4) (NCSN.4) Row by row, with the Jacobian as a product of matrices."""
    loss, _, params, inputs = losses(objective, network)
    value = OBJECTIVES[objective].value(NETWORKS[network].rows(params), *inputs)
    assert loss(params, *inputs) == pytest.approx(value, rel=1e-12)


@walk
def test_networks_equal_the_plain_network(objective, network):
    """(NET.1) (NET.4) (EBM.3) Value and gradient of each objective on the objects and on plain autograd, to 1e-12."""
    loss, plain, params, inputs = losses(objective, network)
    (value, gradient), (exact, exact_gradient) = (value_and_grad(f)(params, *inputs) for f in (loss, plain))
    assert abs(value - exact) < 1e-12 * max(1, abs(exact))
    assert_close(gradient, exact_gradient, 1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_linear_score_is_best_at_its_closed_form(objective):
    """(ESM.1) (ISM.8) (SSM.4) (SSM.5) (DSM.11) (NCSN.5) Noise and probes of exact moments: gradient 0 there alone."""
    entry = OBJECTIVES[objective]
    data = np.random.default_rng(1).standard_normal((12, 3)) @ (np.eye(3) + 0.4 * np.eye(3, k=1)) + [1, -2, 3]
    S, inputs = np.cov(data.T, bias=True), entry.whole(data)

    def steepness(A):
        score = lambda params: lambda x, *sigma: MLP(params)(x)
        linear = [(-A.T, A @ data.mean(axis=0))]
        return np.abs(flatten(grad(lambda params: entry.loss(score(params), *inputs))(linear))[0]).max()

    assert steepness(entry.optimum(S)) < 1e-10
    assert steepness(1.01 * entry.optimum(S)) > 1e-4
    assert steepness(entry.optimum(S) + 0.01 * np.eye(3, k=1)) > 1e-4


@walk_main
def test_float32_in_gives_float32_out(objective, network):
    """Loss and every gradient stay float32, and agree with float64 to 10⁻⁴ of the largest entry."""
    loss, _, params, inputs = losses(objective, network)
    value, gradient = value_and_grad(loss)(random_params(NETWORKS[network].sizes, dtype=np.float32),
                                           inputs[0].astype(np.float32), *inputs[1:])
    exact, exact_gradient = value_and_grad(loss)(params, *inputs)
    assert np.asarray(value).dtype == np.float32
    assert all(a.dtype == np.float32 for layer in gradient for a in layer)
    assert abs(value - exact) < 1e-4 * max(1, abs(exact))
    assert_close(gradient, exact_gradient, 1e-4)


@walk_main
def test_integer_points_are_taken_as_float64(objective, network):
    """Points given as integers have the loss and the gradient of the same points as floats, in float64."""
    loss, _, params, (x, *others) = losses(objective, network)
    whole = np.round(2 * x).astype(int)
    value, gradient = value_and_grad(loss)(params, whole, *others)
    exact, exact_gradient = value_and_grad(loss)(params, whole.astype(float), *others)
    assert np.asarray(value).dtype == np.float64 and value == exact
    assert np.all(flatten(gradient)[0] == flatten(exact_gradient)[0])


@walk
def test_gradient_in_every_input_equals_plain_autograd(objective, network):
    """In x, and in the target, the noise z or the probes v: to 1e-12, and by central differences."""
    loss, plain, params, inputs = losses(objective, network)
    for k in range(len(inputs[:2])):
        assert_close(grad(loss, k + 1)(params, *inputs), grad(plain, k + 1)(params, *inputs), 1e-12)
        of_one = lambda value, k=k: loss(params, *inputs[:k], value, *inputs[k + 1:])
        assert gradient_error(of_one, inputs[k], np.random.default_rng(4)) < 1e-7


@walk
def test_gradient_in_one_array_of_the_parameters_alone(objective, network):
    """In each W and each b, the other parameters constant: the same numbers as in all of them at once."""
    loss, plain, params, inputs = losses(objective, network)
    exact = grad(plain)(params, *inputs)
    for l in range(len(params)):
        for i in (0, 1):
            def one(a, l=l, i=i):
                layer = (a, params[l][1]) if i == 0 else (params[l][0], a)
                return loss([*params[:l], layer, *params[l + 1:]], *inputs)
            if np.max(np.abs(exact[l][i])) > 0:                              # the last b of an energy has no effect
                assert_close(grad(one)(params[l][i]), exact[l][i], 1e-12)


def along(f, a, u):
    """The derivative of f at a along u, by forward mode."""
    return make_jvp(f)(a)(u)[1]


def direction(a, seed):
    """A random array, or nested list of arrays, like a."""
    flat, unflatten = flatten(a)
    return unflatten(np.random.default_rng(seed).standard_normal(flat.size))


def dot(a, b):
    """∑ a·b over nested lists of arrays."""
    return np.dot(flatten(a)[0], flatten(b)[0])


# Each takes the loss, params and the inputs, and gives a first or second derivative made in another way.
SECOND = {
    "forward mode in θ": lambda f, p, x, *rest: along(lambda p: f(p, x, *rest), p, direction(p, 1)),
    "reverse over reverse in θ": lambda f, p, *inputs: grad(
        lambda p: dot(grad(f)(p, *inputs), direction(p, 1)))(p),
    "forward over reverse in θ": lambda f, p, *inputs: along(
        lambda p: flatten(grad(f)(p, *inputs))[0], p, direction(p, 1)),
    "reverse over forward in θ": lambda f, p, *inputs: grad(
        lambda p: along(lambda p: f(p, *inputs), p, direction(p, 1)))(p),
    "reverse over reverse in x": lambda f, p, x, *rest: grad(
        lambda x: dot(grad(f, 1)(p, x, *rest), direction(x, 2)))(x),
    "forward over reverse in x": lambda f, p, x, *rest: along(lambda x: grad(f, 1)(p, x, *rest), x, direction(x, 2)),
    "θ, then x": lambda f, p, x, *rest: grad(lambda x: dot(grad(f)(p, x, *rest), direction(p, 1)))(x),
    "x, then θ": lambda f, p, x, *rest: grad(lambda p: dot(grad(f, 1)(p, x, *rest), direction(x, 2)))(p),
    "θ, then a factor λ": lambda f, p, *inputs: grad(lambda factor: dot(
        grad(lambda p: factor * f(p, *inputs))(p), direction(p, 1)))(0.7),
    "λ in a power, then θ": lambda f, p, *inputs: grad(lambda p: grad(lambda factor: (
        factor * f(p, *inputs))**2)(0.7))(p),
}


SAME = {"forward over reverse in θ": "reverse over reverse in θ",
        "reverse over forward in θ": "reverse over reverse in θ",
        "forward over reverse in x": "reverse over reverse in x"}  # a Hessian is symmetric


@cache
def plain_second(objective, network, which):
    """A second derivative of the loss on the plain network, made in one way for all ways."""
    _, plain, params, inputs = losses(objective, network)
    return SECOND[which](plain, params, *inputs)


@pytest.mark.parametrize("which", SECOND)
@pytest.mark.parametrize("objective, network", DEEP, ids=[", ".join(case) for case in DEEP])
def test_second_derivatives_equal_plain_autograd(objective, network, which):
    """In θ, in x, in both and in a factor λ, forwards and in reverse: to 1e-10 of the largest entry."""
    loss, _, params, inputs = losses(objective, network)
    assert_close(SECOND[which](loss, params, *inputs), plain_second(objective, network, SAME.get(which, which)), 1e-10)


@walk
def test_second_derivative_in_the_other_input_equals_plain_autograd(objective, network):
    """θ, then target, z or v, by a weighted sum of the gradient in θ: bilevel problems on any of them."""
    loss, plain, params, (x, *others) = losses(objective, network)
    if others:
        mixed = lambda f: grad(lambda a: dot(grad(f)(params, x, a, *others[1:]), direction(params, 1)))(others[0])
        assert_close(mixed(loss), mixed(plain), 1e-10)


@walk_main
def test_second_derivatives_equal_differences_of_the_gradient(objective, network):
    """A Hessian-vector product against central differences of the gradient, which know no second derivative."""
    loss, _, params, inputs = losses(objective, network)
    flat, unflatten = flatten(params)
    u, gradient = flatten(direction(params, 1))[0], lambda p: flatten(grad(loss)(p, *inputs))[0]
    numeric = (gradient(unflatten(flat + 1e-5 * u)) - gradient(unflatten(flat - 1e-5 * u))) / 2e-5
    assert_close(SECOND["reverse over reverse in θ"](loss, params, *inputs), numeric, 1e-6)


@pytest.mark.parametrize("network", NETWORKS)
def test_gauss_newton_products_equal_plain_autograd(network):
    """Jᵀ J u for J = ∂s/∂θ, forward mode and then reverse; and its derivative in θ once more, if it depends on θ."""
    net, x = NETWORKS[network], OBJECTIVES["ncsn"].inputs[0]
    params, extra = random_params(net.sizes), (np.full(N, 0.5),) if network == "noise-conditional" else ()
    u = direction(params, 3)

    def product(make, p):
        values = lambda p: make(p)(x, *extra)
        return make_vjp(values)(p)[0](along(values, p, u))

    assert_close(product(net.make, params), product(net.plain, params), 1e-10)
    if len(params) > 1:
        again = [grad(lambda p, make=make: dot(product(make, p), u))(params) for make in (net.make, net.plain)]
        assert_close(*again, 1e-10)


@pytest.mark.parametrize("loss", [lambda score, x, z: implicit_loss(score, x), explicit_loss,
                                  lambda score, x, z: denoising_loss(score, x, z, 0.4)], ids=["ISM", "ESM", "DSM"])
@pytest.mark.parametrize("sizes", [[1, 1], [1, 6, 1], [1, 5, 4, 1], [1, 3, 3, 3, 3, 1]], ids=str)
def test_one_dimension_is_no_exception(sizes, loss):
    """(ISM.4) (DSM.4) d = 1, every depth: value and gradient as on the plain network."""
    x, z = np.array([[0.3], [-1.2], [2.0]]), np.array([[1.0], [-0.5], [0.2]])
    (value, gradient), (exact, exact_gradient) = (
        value_and_grad(lambda p, make=make: loss(make(p), x, z))(random_params(sizes)) for make in (MLP, plain_mlp))
    assert value == pytest.approx(exact, rel=1e-12)
    assert_close(gradient, exact_gradient, 1e-12)


def test_mean_is_over_rows_and_not_over_entries():
    """(ESM.1) (NCSN.4) s = 0: ½E‖z‖², so doubling d doubles the loss, and doubling the rows leaves it."""
    for n, d in [(4, 2), (8, 2), (4, 4)]:
        x = np.ones((n, d))
        assert explicit_loss(np.zeros_like, x, 2 * x) == 2 * d
        assert ncsn_loss(lambda x, sigma: np.zeros_like(x), x, x, 1.0) == d / 2


def test_given_noise_must_fit_exactly():
    """The generator that replays given noise refuses to broadcast it, so that no test of a chain rests on that."""
    for wrong in ((4, 1), (1, 2), (4, 3)):
        with pytest.raises(AssertionError):
            langevin(lambda x: -x, np.zeros((4, 2)), 0.1, 1, replay([np.ones(wrong)]))


def test_no_parameter_of_the_tests_is_zero():
    """A bias of 0 would hide a bias that is left out."""
    for network in NETWORKS.values():
        assert all(np.all(a != 0) for layer in random_params(network.sizes) for a in layer)
