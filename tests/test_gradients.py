"""Gradients in θ of every objective: against central differences, against a plain network, and their dtype."""

import autograd.numpy as np
import pytest
from autograd import value_and_grad
from autograd.misc import flatten
from oracles import gradient_error, plain_mlp, plain_noise_conditional, random_params

from scoremin import (
    MLP,
    EnergyMLP,
    NoiseConditionalMLP,
    denoising_loss,
    energy_score,
    explicit_loss,
    implicit_loss,
    kde_score,
    ncsn_loss,
    sliced_loss,
    sliced_vr_loss,
)

D, N = 3, 6
RNG = np.random.default_rng(0)
X, Z, DATA = RNG.normal(0, 1.5, (N, D)), RNG.normal(0, 1, (N, D)), RNG.normal(0, 1, (9, D))
V = RNG.normal(0, 1, (2, N, D))
SIGMAS = np.array([0.05, 0.2, 0.5, 1.0, 3.0, 10.0])

# Each objective as a function of a score and of x, with all of its randomness fixed.
SCORE_LOSSES = {
    "explicit": lambda score, x: explicit_loss(score, x, kde_score(x, DATA, 0.8)),
    "implicit": implicit_loss,
    "sliced": lambda score, x: sliced_loss(score, x, V[0]),
    "sliced, 2 probes": lambda score, x: sliced_loss(score, x, V),
    "sliced_vr": lambda score, x: sliced_vr_loss(score, x, V[0]),
    "sliced_vr, 2 probes": lambda score, x: sliced_vr_loss(score, x, V),
    "denoising": lambda score, x: denoising_loss(score, x, Z, 0.3),
    "denoising, small sigma": lambda score, x: denoising_loss(score, x, Z, 0.01),
}
NCSN_LOSSES = {
    "ncsn": lambda score, x: ncsn_loss(score, x, Z, SIGMAS),
    "ncsn, one level": lambda score, x: ncsn_loss(score, x, Z, 0.4),
}


def plain_energy_score(params):
    """−∂E/∂x of the plain network with the chain rule written out, layer by layer."""
    def score(x):
        slopes = []
        for W, b in params[:-1]:
            h = np.dot(x, W) + b
            gate = 0.5 * (1 + np.tanh(0.5 * h))
            slopes.append(gate + h * gate * (1 - gate))
            x = h * gate
        back = -params[-1][0].T * np.ones((len(x), 1), x.dtype)
        for (W, _), slope in zip(params[-2::-1], slopes[::-1]):
            back = np.dot(back * slope, W.T)
        return back
    return score


# name: loss of a score, score of params, the same score written plainly, sizes of the network
OBJECTIVES = {
    **{name: (loss, MLP, plain_mlp, [D, 7, 5, D]) for name, loss in SCORE_LOSSES.items()},
    **{name: (loss, NoiseConditionalMLP, plain_noise_conditional, [D + 1, 7, 5, D])
       for name, loss in NCSN_LOSSES.items()},
    **{f"energy, {name}": (SCORE_LOSSES[name], lambda params: energy_score(EnergyMLP(params)), plain_energy_score,
                           [D, 7, 5, 1]) for name in ("implicit", "sliced_vr", "denoising")},
    "implicit, one hidden layer": (implicit_loss, MLP, plain_mlp, [D, 7, D]),
    "implicit, three hidden layers": (implicit_loss, MLP, plain_mlp, [D, 5, 6, 4, D]),
    "sliced, no hidden layer": (SCORE_LOSSES["sliced"], MLP, plain_mlp, [D, D]),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradient_of_every_objective_is_its_slope(name):
    """(ESM.1) (ISM.4) (SSM.4) (SSM.5) (DSM.4) (NCSN.4) (EBM.3) Central differences in random directions of θ."""
    loss, make, _, sizes = OBJECTIVES[name]
    assert gradient_error(lambda params: loss(make(params), X), random_params(sizes), np.random.default_rng(2)) < 1e-7


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("damage", ["1 % too long", "largest entry's sign", "last layer missing"])
def test_gradient_check_rejects_a_wrong_gradient(name, damage):
    """The check above, with its bound of 10⁻⁷, fails by a factor of a thousand on a gradient that is wrong."""
    loss, make, _, sizes = OBJECTIVES[name]
    f, params = lambda params: loss(make(params), X), random_params(sizes)
    gradient = flatten(value_and_grad(f)(params)[1])[0]
    if damage == "1 % too long":
        gradient = 1.01 * gradient
    elif damage == "largest entry's sign":
        gradient[np.argmax(np.abs(gradient))] *= -1
    else:
        gradient[-sizes[-2] * sizes[-1] - sizes[-1]:] = 0
    assert gradient_error(f, params, np.random.default_rng(2), gradient=gradient) > 1e-4


@pytest.mark.parametrize("name", OBJECTIVES)
def test_networks_equal_the_plain_network(name):
    """(NET.1) (NET.4) (EBM.3) Value and gradient of each objective on the objects and on plain autograd, to 1e-12."""
    loss, make, plain, sizes = OBJECTIVES[name]
    params = random_params(sizes)
    value, gradient = value_and_grad(lambda params: loss(make(params), X))(params)
    exact, exact_gradient = value_and_grad(lambda params: loss(plain(params), X))(params)
    gradient, exact_gradient = flatten(gradient)[0], flatten(exact_gradient)[0]
    assert abs(value - exact) < 1e-12 * max(1, abs(exact))
    assert np.max(np.abs(gradient - exact_gradient)) < 1e-12 * np.max(np.abs(exact_gradient))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_float32_in_gives_float32_out(name):
    """Loss and every gradient stay float32, and agree with float64 to 10⁻⁴ of the largest entry."""
    loss, make, _, sizes = OBJECTIVES[name]
    value, gradient = value_and_grad(lambda params: loss(make(params), X.astype(np.float32)))(
        random_params(sizes, dtype=np.float32))
    exact, exact_gradient = value_and_grad(lambda params: loss(make(params), X))(random_params(sizes))
    assert np.asarray(value).dtype == np.float32
    assert all(a.dtype == np.float32 for layer in gradient for a in layer)
    assert abs(value - exact) < 1e-4 * max(1, abs(exact))
    gradient, exact_gradient = flatten(gradient)[0], flatten(exact_gradient)[0]
    assert np.max(np.abs(gradient - exact_gradient)) < 1e-4 * np.max(np.abs(exact_gradient))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_integer_points_are_taken_as_float64(name):
    """Points given as integers have the loss and the gradient of the same points as floats, in float64."""
    loss, make, _, sizes = OBJECTIVES[name]
    whole, params = np.round(2 * X).astype(int), random_params(sizes)
    value, gradient = value_and_grad(lambda params: loss(make(params), whole))(params)
    exact, exact_gradient = value_and_grad(lambda params: loss(make(params), whole.astype(float)))(params)
    assert np.asarray(value).dtype == np.float64 and value == exact
    assert np.all(flatten(gradient)[0] == flatten(exact_gradient)[0])
    assert gradient_error(lambda params: loss(make(params), whole), params, np.random.default_rng(3)) < 1e-7


def test_gradient_in_x_passes_through_the_losses():
    """(ESM.4) (ISM.4) (DSM.4) The losses are functions of x too: their slope in x by central differences."""
    params = random_params([D, 7, 5, D])
    for name in ("explicit", "implicit", "sliced", "sliced_vr", "denoising"):
        loss = lambda x, name=name: SCORE_LOSSES[name](MLP(params), x)
        assert gradient_error(loss, X, np.random.default_rng(4)) < 1e-7
