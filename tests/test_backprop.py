"""The rules derived by hand, against autograd's own on the plain network, and against loops."""

from types import SimpleNamespace

import autograd.numpy as np
import pytest
from autograd import elementwise_grad, grad, jacobian, make_jvp, make_vjp, value_and_grad
from autograd.misc import flatten
from objectives import OBJECTIVES
from oracles import plain_mlp, plain_noise_conditional, random_params

from scoremin import (
    MLP,
    EnergyMLP,
    NoiseConditionalMLP,
    backprop,
    denoising_loss,
    divergence,
    energy_score,
    explicit_loss,
    implicit_loss,
    init_mlp,
    jvp,
    ncsn_loss,
    sliced_loss,
    sliced_vr_loss,
)

DEPTHS = {"linear": [3, 3], "one hidden": [3, 8, 3], "two hidden": [3, 8, 7, 3], "three hidden": [3, 6, 5, 4, 3],
          "four hidden, equal widths": [3, 4, 4, 4, 4, 3]}
RNG = np.random.default_rng(0)
X, Z = RNG.standard_normal((2, 6, 3))
V = RNG.standard_normal((4, 6, 3))
SCORE_LOSSES = {name: entry for name, entry in OBJECTIVES.items() if not name.startswith("ncsn")}


def network(sizes):
    rng = np.random.default_rng(sum(sizes))
    return [(W, 0.3 * rng.standard_normal(b.shape)) for W, b in init_mlp(rng, sizes)]


def assert_same(f, g, params):
    """f and g agree in value and gradient to 1e-12 of the largest entry."""
    (value, grad), (value_g, grad_g) = value_and_grad(f)(params), value_and_grad(g)(params)
    assert abs(value - value_g) <= 1e-12 * abs(value_g)
    difference, scale = flatten(grad)[0] - flatten(grad_g)[0], np.max(np.abs(flatten(grad_g)[0]))
    assert np.max(np.abs(difference)) <= 1e-12 * scale


@pytest.mark.parametrize("sizes", DEPTHS.values(), ids=DEPTHS)
@pytest.mark.parametrize("name", SCORE_LOSSES)
def test_rules_by_hand_equal_plain_autograd_for_every_objective(name, sizes):
    """(BP.1) (BP.2) (BP.3) (BP.4) (BP.5) Value and gradient, for zero to four hidden layers, equal widths too."""
    params, (loss, inputs, *_) = network(sizes), SCORE_LOSSES[name]
    assert_same(lambda p: loss(MLP(p), *inputs), lambda p: loss(plain_mlp(p), *inputs), params)
    assert_same(lambda p: loss(MLP(p), *inputs), lambda p: loss(lambda x: MLP(p)(x), *inputs), params)


@pytest.mark.parametrize("at", [False, True], ids=["levels by row", "one level"])
def test_rules_by_hand_serve_the_noise_conditional_network(at):
    """(BP.3) (BP.8) By row in NCSN; folded into the weights at one level, for ISM on its data inputs."""
    params, sigma = network([4, 8, 7, 3]), np.geomspace(2, 0.05, 6)

    if at:
        assert_same(lambda p: implicit_loss(NoiseConditionalMLP(p).at(0.4), X),
                    lambda p: implicit_loss(lambda x: plain_noise_conditional(p)(x, 0.4), X), params)
    else:
        assert_same(lambda p: ncsn_loss(NoiseConditionalMLP(p), X, Z, sigma),
                    lambda p: ncsn_loss(plain_noise_conditional(p), X, Z, sigma), params)


def test_hidden_derivatives_are_tanh_free_closed_forms():
    """(BP.6) φ' and φ'' from the gate and the activation equal the textbook forms, also far out."""
    h = np.concatenate([np.linspace(-8, 8, 41), [-1e4, 1e4]])[:, None]
    params = [(np.ones((1, 1)), np.zeros(1)), (np.ones((1, 1)), np.zeros(1))]
    _, tape = backprop.forward(params, h)
    s = 1 / (1 + np.exp(-np.clip(h, -700, 700)))
    assert np.allclose(tape[3][0], s + h * s * (1 - s), rtol=0, atol=1e-15 * 40)
    assert np.allclose(backprop.curvatures(tape)[0], s * (1 - s) * (2 + h * (1 - 2 * s)), rtol=0, atol=1e-15 * 40)


@pytest.mark.parametrize("loss", [lambda s, more: np.sum(s**3), lambda s, more: np.sum(more**3),
                                  lambda s, more: np.sum(more**3) * np.sum(s) + np.sum(more)],
                         ids=["s alone", "its derivative alone", "both, more than once"])
@pytest.mark.parametrize("derive", [lambda score: jvp(score, X, V[0]), lambda score: jvp(score, X, V),
                                    lambda score: divergence(score, X)], ids=["direction", "directions", "trace"])
def test_a_value_and_its_derivative_serve_any_loss(derive, loss):
    """(BP.3) (BP.5) (BP.8) Two results of one pass, whichever of them a loss uses, and in whatever order."""
    assert_same(lambda p: loss(*derive(MLP(p))), lambda p: loss(*derive(plain_mlp(p))), network([3, 8, 7, 3]))


def test_pullbacks_can_be_called_again():
    """(BP.3) One tape, many cotangents: each pullback gives the gradient of its own combination."""
    params, (c, k) = network([3, 8, 7, 3]), RNG.standard_normal((2, 6))

    def rows(p):
        (s, tr), (_, Jv) = MLP(p).divergence(X), MLP(p).jvp(X, V[0])
        return np.sum(s * Jv, axis=1) + tr
    pullback, _ = make_vjp(rows)(params)
    first, second, again = (flatten(pullback(g))[0] for g in (c, k, c))
    assert np.all(first == again) and np.allclose(
        second, flatten(grad(lambda p: np.sum(k * rows(p)))(params))[0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("sizes", [[1, 5, 4, 1], [3, 8, 7, 3], [6, 5, 9, 6]], ids=str)
def test_trace_in_closed_form_is_the_sum_of_the_diagonal(sizes):
    """(ISM.12) (ISM.13) (BP.7) (BP.8) (BP.9) Value against the dense Jacobian, gradient against d tangents."""
    params, x = network(sizes), np.random.default_rng(1).standard_normal((5, sizes[0]))
    traces = [np.trace(jacobian(plain_mlp(params))(row)) for row in x]
    assert np.allclose(divergence(MLP(params), x)[1], traces, rtol=0, atol=1e-13)
    weights = np.random.default_rng(2).standard_normal(5)
    assert_same(lambda p: np.sum(weights * divergence(MLP(p), x)[1]),
                lambda p: np.sum(weights * divergence(plain_mlp(p), x)[1]), params)


def test_jacobian_of_two_hidden_layers_entry_by_entry():
    """(ISM.12) The five-factor sum, written as loops, is autograd's Jacobian."""
    (W_1, b_1), (W_2, b_2), (W_3, _) = params = network([3, 4, 5, 3])
    h_1 = X[0] @ W_1 + b_1
    a_1, slope = h_1 / (1 + np.exp(-h_1)), lambda h: (1 + np.exp(-h) * (1 + h)) / (1 + np.exp(-h))**2
    D_1, D_2 = slope(h_1), slope(a_1 @ W_2 + b_2)
    J = [[sum(W_1[i, j] * D_1[j] * W_2[j, k] * D_2[k] * W_3[k, o] for j in range(4) for k in range(5))
          for i in range(3)] for o in range(3)]
    assert np.allclose(J, jacobian(plain_mlp(params))(X[0]), rtol=0, atol=1e-14)


@pytest.mark.parametrize("sizes", [[3, 1], [3, 8, 1], [3, 8, 7, 1], [3, 6, 5, 4, 1]], ids=str)
def test_gradient_of_an_energy_by_hand(sizes):
    """(BP.4) (BP.10) −∇E equals autograd's, and training on it has autograd's gradient."""
    params = network(sizes)
    plain = lambda p: lambda x: plain_mlp(p)(x)[:, 0]
    assert np.allclose(energy_score(EnergyMLP(params))(X), -elementwise_grad(plain(params))(X), rtol=0, atol=1e-14)
    assert_same(lambda p: denoising_loss(energy_score(EnergyMLP(p)), X, Z, 0.3),
                lambda p: denoising_loss(energy_score(plain(p)), X, Z, 0.3), params)


def test_tangent_of_an_energy_is_its_gradient_against_the_direction():
    """(BP.10) Σ uᵀ∇E from the gradient, and Σ J u from forward mode, are one number with one gradient."""
    params, u = network([3, 8, 7, 1]), V[0]
    assert_same(lambda p: np.sum(u * EnergyMLP(p).gradient(X)),
                lambda p: np.sum(make_jvp(plain_mlp(p))(X)(u)[1]), params)


def test_third_derivatives_of_an_energy_by_hand():
    """(BP.12) (BP.13) (BP.14) Σ_n c_n pᵀ∂²E q and its gradient in θ, three hidden layers, against autograd's own."""
    rng, params = np.random.default_rng(5), random_params([3, 6, 5, 4, 1])
    x, p, q, c = (rng.normal(size=shape) for shape in ((7, 3), (7, 3), (7, 3), (7, 1)))
    forms, grads = by_third_rules(params, x, p, q, c)

    def plain(params):
        along_q = lambda x: make_jvp(lambda x: plain_mlp(params)(x)[:, 0])(x)(q)[1]
        return np.sum(c[:, 0] * make_jvp(along_q)(x)(p)[1])
    value, expected = value_and_grad(plain)(params)
    assert abs(np.sum(c * forms) - value) < 1e-12 * abs(value)
    assert np.allclose(flatten(grads)[0], flatten(expected)[0], rtol=1e-11, atol=1e-13)


def by_third_rules(params, x, p, q, c):
    """pᵀ∂²E q by (BP.12), and ∂/∂θ of its sum weighted by c by (BP.13) and (BP.14)."""
    tape, a = [], (x, p, q, np.zeros_like(x))
    for W, b in params:
        y, y_p, y_q, y_pq = (part @ W for part in a)
        y, before, gate = y + b, a, 1 / (1 + np.exp(-(y + b)))
        slope = gate + y * gate * (1 - gate)
        bend = (1 - gate) * (2 * slope - y * gate)
        third = (1 - gate) * (2 * bend - slope) - gate * (1 - gate) * (2 * slope - y * gate)
        tape.append((W, before, y_p, y_q, y_pq, slope, bend, third))
        a = (y * gate, slope * y_p, slope * y_q, bend * y_p * y_q + slope * y_pq)
    grads, deltas = [], (np.zeros_like(c), np.zeros_like(c), np.zeros_like(c), c)
    for l in reversed(range(len(params))):
        W, before, *_ = tape[l]
        grads.append((sum(part.T @ delta for part, delta in zip(before, deltas)), deltas[0].sum(axis=0)))
        if l:
            _, _, y_p, y_q, y_pq, slope, bend, third = tape[l - 1]
            g, g_p, g_q, g_pq = (delta @ W.T for delta in deltas)
            deltas = (slope * g + bend * (y_p * g_p + y_q * g_q + y_pq * g_pq) + third * y_p * y_q * g_pq,
                      slope * g_p + bend * y_q * g_pq, slope * g_q + bend * y_p * g_pq, slope * g_pq)
    return y_pq_of(tape), grads[::-1]


def y_pq_of(tape):
    """The last layer's ÿ."""
    return tape[-1][4]


def test_seeds_of_every_objective_are_what_autograd_hands_over():
    """(BP.11) ∂ℓ/∂s, ∂ℓ/∂Jv and ∂ℓ/∂tr of each objective, read off a score that is an array of its own."""
    rng = np.random.default_rng(6)
    x, z, target, s = (rng.normal(size=(5, 3)) for _ in range(4))
    v, sigma = rng.normal(size=(2, 5, 3)), np.array([0.1, 0.2, 0.5, 1.0, 2.0])
    J, tr, N, M = rng.normal(size=(2, 5, 3)), rng.normal(size=5), 5, 2
    fixed = lambda s: lambda x, *sigma: s
    knows = lambda s, J, tr: SimpleNamespace(jvp=lambda x, v: (s, J), divergence=lambda x: (s, tr))
    seeds = {
        "explicit": (grad(lambda s: explicit_loss(fixed(s), x, target))(s), (s - target) / N),
        "denoising": (grad(lambda s: denoising_loss(fixed(s), x, z, 0.3))(s), (s + z / 0.3) / N),
        "ncsn": (grad(lambda s: ncsn_loss(fixed(s), x, z, sigma))(s), sigma[:, None] * (sigma[:, None] * s + z) / N),
        "implicit": (grad(lambda s: implicit_loss(knows(s, J, tr), x))(s), s / N),
        "implicit, t": (grad(lambda tr: implicit_loss(knows(s, J, tr), x))(tr), np.full(5, 1 / N)),
        "SSM-VR": (grad(lambda s: sliced_vr_loss(knows(s, J, tr), x, v))(s), s / N),
        "SSM-VR, Jv": (grad(lambda J: sliced_vr_loss(knows(s, J, tr), x, v))(J), v / (N * M)),
        "SSM": (grad(lambda s: sliced_loss(knows(s, J, tr), x, v))(s),
                sum(v_m * np.sum(v_m * s, axis=1, keepdims=True) for v_m in v) / (N * M)),
        "SSM, Jv": (grad(lambda J: sliced_loss(knows(s, J, tr), x, v))(J), v / (N * M)),
    }
    for name, (found, wanted) in seeds.items():
        assert np.allclose(found, wanted, rtol=1e-13, atol=1e-16), name


def test_derivatives_go_back_through_one_level():
    """(NET.6) The gradient of a loss of s(·, σ) in θ, from that of the MLP it is at one level, against autograd's."""
    params, x, sigma = random_params([4, 6, 5, 3]), np.random.default_rng(7).normal(size=(5, 3)), 0.2
    score = NoiseConditionalMLP(params, 0.7)
    loss = lambda score: np.sum(np.sin(score(x)))
    expected = grad(lambda params: loss(lambda x: NoiseConditionalMLP(params, 0.7)(x, sigma)))(params)
    (G, g), *middle, (G_last, g_last) = grad(lambda params: loss(MLP(params)))(score.at(sigma).params)
    back = [(np.vstack([G / np.sqrt(sigma**2 + 0.7**2), np.log(sigma) * g]), g), *middle,
            (G_last / sigma, g_last / sigma)]
    assert np.allclose(flatten(back)[0], flatten(expected)[0], rtol=1e-12, atol=1e-13)
