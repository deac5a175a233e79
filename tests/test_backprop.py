"""The rules derived by hand, against autograd's own on the plain network, and against loops."""

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
    denoising_vr_loss,
    divergence,
    energy_score,
    explicit_loss,
    finite_difference_loss,
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
def test_rules_by_hand_serve_the_noise_conditional_network(at, monkeypatch):
    """(BP.3) (BP.8) By row in NCSN; folded into the weights at one level, for ISM on its data inputs. The plain network
    is taken away: no value and no gradient comes from it."""
    params, sigma = network([4, 8, 7, 3]), np.geomspace(2, 0.05, 6)
    monkeypatch.setattr("scoremin.network.plain", None)

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
    """(BP.12) (BP.13) (BP.14) Σ c pᵀ∂²E q over rows and two pairs of directions, and its gradient in θ, against
    autograd's own."""
    rng, params = np.random.default_rng(5), random_params([3, 6, 5, 4, 1])
    x, p, q, c = (rng.normal(size=shape) for shape in ((7, 3), (2, 7, 3), (2, 7, 3), (2, 7, 1)))
    forms, grads = by_third_rules(params, x, p, q, c)

    def plain(params):
        slopes = lambda q: lambda x: make_jvp(lambda x: plain_mlp(params)(x))(x)(q)[1]
        return sum(np.sum(c_m * make_jvp(slopes(q_m))(x)(p_m)[1]) for p_m, q_m, c_m in zip(p, q, c))
    value, expected = value_and_grad(plain)(params)
    assert abs(np.sum(c * forms) - value) < 1e-12 * abs(value)
    assert np.allclose(flatten(grads)[0], flatten(expected)[0], rtol=1e-11, atol=1e-13)


def by_third_rules(params, x, p, q, c):
    """pᵀ∂²E q (M,N,1) for M pairs of directions by (BP.12), and ∂/∂θ of Σ c pᵀ∂²E q by (BP.13) and (BP.14)."""
    tape, a, dots = [], x, (p, q, np.zeros_like(p))
    for W, b in params:
        y, (y_p, y_q, y_pq) = a @ W + b, [part @ W for part in dots]
        gate = 1 / (1 + np.exp(-y))
        slope = gate + y * gate * (1 - gate)
        bend = (1 - gate) * (2 * slope - y * gate)
        third = (1 - gate) * (2 * bend - slope) - gate * (1 - gate) * (2 * slope - y * gate)
        tape.append((W, a, dots, y_p, y_q, y_pq, slope, bend, third))
        a, dots = y * gate, (slope * y_p, slope * y_q, bend * y_p * y_q + slope * y_pq)
    grads, delta, deltas = [], 0 * c[0], (0 * c, 0 * c, c)
    for l in reversed(range(len(params))):
        W, a, dots, *_ = tape[l]
        dW = a.T @ delta + sum(np.einsum("mni,mno->io", dot, part) for dot, part in zip(dots, deltas))
        grads.append((dW, delta.sum(axis=0)))
        if l:
            *_, y_p, y_q, y_pq, slope, bend, third = tape[l - 1]
            g, (g_p, g_q, g_pq) = delta @ W.T, (part @ W.T for part in deltas)
            delta = slope * g + np.sum(bend * (y_p * g_p + y_q * g_q + y_pq * g_pq) + third * y_p * y_q * g_pq, axis=0)
            deltas = slope * g_p + bend * y_q * g_pq, slope * g_q + bend * y_p * g_pq, slope * g_pq
    return tape[-1][5], grads[::-1]


def seeds(s):
    """(BP.11) as a table: a loss of a score function s, the points and ∂ℓ/∂s there, directions at X and 1/N or 1/NM."""
    N, M, r, target, at = len(X), len(V), 0.2, V[0], np.linspace(0.1, 2, len(X))
    noisy, many, ahead, behind = X + 0.3 * Z, X + at[:, None] * Z, X + r * Z, X - r * Z
    units = np.tile(np.eye(3)[:, None], (1, N, 1))
    return {
        "explicit": (lambda s: explicit_loss(s, X, target), [(X, (s(X) - target) / N)], units, 0),
        "denoising": (lambda s: denoising_loss(s, X, Z, 0.3), [(noisy, (s(noisy) + Z / 0.3) / N)], units, 0),
        "NCSN": (lambda s: ncsn_loss(lambda x, sigma: s(x), X, Z, at),
                 [(many, at[:, None] * (at[:, None] * s(many) + Z) / N)], units, 0),
        "implicit": (lambda s: implicit_loss(s, X), [(X, s(X) / N)], units, 1 / N),
        "SSM-VR": (lambda s: sliced_vr_loss(s, X, V), [(X, s(X) / N)], V, 1 / (N * M)),
        "SSM": (lambda s: sliced_loss(s, X, V),
                [(X, sum(v * np.sum(v * s(X), axis=1, keepdims=True) for v in V) / (N * M))], V, 1 / (N * M)),
        "finite differences": (lambda s: finite_difference_loss(s, X, Z, r),
                               [(ahead, ((s(ahead) + s(behind)) / 4 + Z / (2 * r)) / N),
                                (behind, ((s(ahead) + s(behind)) / 4 - Z / (2 * r)) / N)], units, 0),
        "DSM-VR": (lambda s: denoising_vr_loss(s, X, Z, 0.3),
                   [(noisy, (s(noisy) + Z / 0.3) / N), (X, -Z / (0.3 * N))], units, 0),
    }


@pytest.mark.parametrize("name", seeds(np.zeros_like))
def test_seeds_of_every_objective_lead_to_its_gradient(name):
    """(BP.11) What each objective hands over, at its points, sent through the plain network is the loss's gradient."""
    params = random_params([3, 6, 5, 3])
    loss, points, v, weight = seeds(plain_mlp(params))[name]
    sent = lambda p: (sum(np.sum(delta * plain_mlp(p)(x)) for x, delta in points)
                      + np.sum(weight * v * jvp(plain_mlp(p), X, v)[1]))
    found, wanted = flatten(grad(sent)(params))[0], flatten(grad(lambda p: loss(plain_mlp(p)))(params))[0]
    assert np.allclose(found, wanted, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", seeds(np.zeros_like))
def test_seeds_of_every_objective_lead_to_its_gradient_on_an_energy(name):
    """(BP.10) (BP.11) (BP.14) s = −∇E: v = −∂ℓ/∂s for the gradient, −1/N or −1/NM for ∂ℓ/∂ÿ_L of each direction."""
    params = random_params([3, 6, 5, 1])
    loss, points, v, weight = seeds(energy_score(EnergyMLP(params)))[name]
    first = grad(lambda p: sum(np.sum(-delta * EnergyMLP(p).gradient(x)) for x, delta in points))(params)
    _, second = by_third_rules(params, X, v, v, np.full((len(v), len(X), 1), -weight))
    wanted = grad(lambda p: loss(energy_score(lambda x: plain_mlp(p)(x)[:, 0])))(params)
    assert np.allclose(flatten(first)[0] + flatten(second)[0], flatten(wanted)[0], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("sizes", [[4, 6, 5, 3], [4, 3]], ids=["three layers", "one layer, which takes both"])
def test_derivatives_go_back_through_one_level(sizes):
    """(NET.6) The gradient of a loss of s(·, σ) in θ, from that of the MLP it is at one level, against autograd's on
    the plain network."""
    params, x, sigma, sigma_data = random_params(sizes), np.random.default_rng(7).normal(size=(5, 3)), 0.2, 0.7
    loss = lambda score: np.sum(np.sin(score(x)))
    expected = grad(lambda params: loss(lambda x: plain_noise_conditional(params, sigma_data)(x, sigma)))(params)
    back = grad(lambda params: loss(plain_mlp(params)))(NoiseConditionalMLP(params, sigma_data).at(sigma).params)
    back[-1] = back[-1][0] / sigma, back[-1][1] / sigma
    G, g = back[0]
    back[0] = np.vstack([G / np.sqrt(sigma**2 + sigma_data**2), np.log(sigma) * g]), g
    assert np.allclose(flatten(back)[0], flatten(expected)[0], rtol=1e-12, atol=1e-13)
