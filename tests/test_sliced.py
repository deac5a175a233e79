"""Sliced score matching: probes by enumeration and exact quadrature, never by sampling, except for probes()."""

from itertools import product
from math import pi, sqrt

import autograd.numpy as np
import pytest
from autograd import value_and_grad
from autograd.misc import flatten
from numpy.polynomial.hermite_e import hermegauss
from numpy.polynomial.legendre import leggauss
from oracles import MIXTURE, plain_mlp, random_params

from scoremin import MLP, divergence, explicit_loss, implicit_loss, probes, sliced_loss, sliced_vr_loss


def signs(d):
    """All 2^d sign vectors, each of probability 2^−d."""
    v = np.array(list(product([-1.0, 1.0], repeat=d)))
    return v, np.full(len(v), 1 / len(v))


def gaussian_nodes(d):
    """Gauss–Hermite nodes and weights, exact for polynomials of degree 7 in each coordinate of N(0, I)."""
    nodes, weights = hermegauss(4)
    v = np.array(list(product(nodes, repeat=d)))
    return v, np.prod(np.array(list(product(weights / sqrt(2 * pi), repeat=d))), axis=1)


def sphere_nodes(d):
    """Nodes on ‖v‖ = √d, exact for polynomials of degree 5: angles on a circle; Gauss heights times angles."""
    angles = 2 * pi * np.arange(8) / 8
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if d == 2:
        return sqrt(2) * circle, np.full(8, 1 / 8)
    heights, weights = leggauss(4)
    v = [np.append(np.sqrt(1 - t**2) * c, t) for t in heights for c in circle]
    return sqrt(3) * np.array(v), np.repeat(weights / 2, 8) / 8


LAWS = {"rademacher": signs, "gaussian": gaussian_nodes, "sphere": sphere_nodes}
CASES = [(kind, d) for kind in LAWS for d in (2, 3)]


def stacked(d, n):
    """All sign vectors as M = 2^d probes for each of n points, (M,n,d)."""
    return np.repeat(signs(d)[0][:, None], n, axis=1)


@pytest.mark.parametrize("kind, d", CASES)
def test_probes_with_unit_second_moment_see_the_trace_and_the_norm(kind, d):
    """(SSM.1) (SSM.2) E vvᵀ = I, hence E[vᵀAv] = tr A for A without symmetry and E[(vᵀu)²] = ‖u‖²."""
    (v, w), rng = LAWS[kind](d), np.random.default_rng(1)
    A, u = rng.normal(0, 1, (d, d)), rng.normal(0, 1, d)
    assert np.max(np.abs((w[:, None] * v).T @ v - np.eye(d))) < 1e-13
    assert np.dot(w, np.sum(v @ A * v, axis=1)) == pytest.approx(np.trace(A), abs=1e-13)
    assert np.dot(w, (v @ u)**2) == pytest.approx(np.dot(u, u), rel=1e-13)


@pytest.mark.parametrize("kind, d", CASES)
def test_explicit_loss_is_the_mean_of_its_slices(kind, d):
    """(SSM.3) ½E(vᵀs − vᵀt)² over v, at every x, is ½‖s − t‖²."""
    (v, w), x = LAWS[kind](d), np.random.default_rng(2).normal(0, 1, (6, d))
    score, target = MLP(random_params([d, 5, d], 0)), np.sin(x)
    slices = 0.5 * np.mean((v @ (score(x) - target).T)**2, axis=1)
    assert np.dot(w, slices) == pytest.approx(explicit_loss(score, x, target), rel=1e-12)


@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("sliced", [sliced_loss, sliced_vr_loss])
@pytest.mark.parametrize("make", [MLP, plain_mlp])
def test_sliced_loss_over_all_sign_probes_is_the_implicit_loss(make, sliced, d):
    """(SSM.4) (SSM.5) The mean over all 2^d Rademacher probes equals J_ISM exactly, in value and gradient in θ."""
    x, params = np.random.default_rng(3).normal(0, 1.5, (5, d)), random_params([d, 6, 5, d], 0)
    value, gradient = value_and_grad(lambda params: sliced(make(params), x, stacked(d, 5)))(params)
    exact, exact_gradient = value_and_grad(lambda params: implicit_loss(plain_mlp(params), x))(params)
    gradient, exact_gradient = flatten(gradient)[0], flatten(exact_gradient)[0]
    assert value == pytest.approx(exact, abs=1e-13)
    assert np.max(np.abs(gradient - exact_gradient)) < 1e-12 * np.max(np.abs(exact_gradient))


@pytest.mark.parametrize("kind, d", CASES)
@pytest.mark.parametrize("sliced", [sliced_loss, sliced_vr_loss])
def test_sliced_losses_have_the_implicit_loss_as_mean_for_every_kind_of_probe(sliced, kind, d):
    """(SSM.4) (SSM.5) Weighted by exact quadrature over v, in value and gradient in θ."""
    (v, w), x, params = LAWS[kind](d), np.random.default_rng(4).normal(0, 1.5, (3, d)), random_params([d, 5, d], 0)
    mean = lambda params: sum(w_m * sliced(MLP(params), x, np.tile(v_m, (3, 1))) for v_m, w_m in zip(v, w))
    value, gradient = value_and_grad(mean)(params)
    exact, exact_gradient = value_and_grad(lambda params: implicit_loss(plain_mlp(params), x))(params)
    assert value == pytest.approx(exact, abs=1e-12)
    assert np.max(np.abs(flatten(gradient)[0] - flatten(exact_gradient)[0])) < 1e-12


def test_sliced_losses_are_their_formulas_probe_by_probe():
    """(SSM.4) (SSM.5) Mean over rows of ½(vᵀs)² + vᵀJv, and of ½‖s‖² + vᵀJv, with J by central differences."""
    rng = np.random.default_rng(5)
    x, v, score = rng.normal(0, 1.5, (4, 3)), rng.normal(0, 1, (4, 3)), MLP(random_params([3, 6, 3], 0))
    quadratic = [np.dot(v_n, (score(r[None] + 1e-5 * v_n) - score(r[None] - 1e-5 * v_n))[0] / 2e-5)
                 for r, v_n in zip(x, v)]
    square, norm = np.sum(v * score(x), axis=1)**2, np.sum(score(x)**2, axis=1)
    assert sliced_loss(score, x, v) == pytest.approx(np.mean(0.5 * square + np.array(quadratic)), abs=1e-8)
    assert sliced_vr_loss(score, x, v) == pytest.approx(np.mean(0.5 * norm + np.array(quadratic)), abs=1e-8)


@pytest.mark.parametrize("sliced", [sliced_loss, sliced_vr_loss])
def test_stacked_probes_are_averaged(sliced):
    """(SSM.4) (SSM.5) M probes a point give the mean of M losses, in value and gradient in θ."""
    rng, params = np.random.default_rng(6), random_params([3, 6, 3], 0)
    x, v = rng.normal(0, 1.5, (4, 3)), rng.normal(0, 1, (5, 4, 3))
    value, gradient = value_and_grad(lambda params: sliced(MLP(params), x, v))(params)
    parts = [value_and_grad(lambda params, v_m=v_m: sliced(MLP(params), x, v_m))(params) for v_m in v]
    assert value == pytest.approx(np.mean([part[0] for part in parts]), abs=1e-13)
    mean_gradient = np.mean([flatten(part[1])[0] for part in parts], axis=0)
    assert np.max(np.abs(flatten(gradient)[0] - mean_gradient)) < 1e-13


def predicted_variance(kind, A):
    """(SSM.6), (SSM.7), (SSM.8): the variance of vᵀAv."""
    H, d = (A + A.T) / 2, len(A)
    return {"gaussian": 2 * np.sum(H**2),
            "rademacher": 2 * (np.sum(H**2) - np.sum(np.diag(H)**2)),
            "sphere": 2 * d / (d + 2) * (np.sum(H**2) - np.trace(H)**2 / d)}[kind]


def variance_over_probes(loss, kind, score, x):
    """The variance of a loss at one x over the law of v, exactly."""
    v, w = LAWS[kind](x.shape[1])
    values = np.array([loss(score, x, v_m[None]) for v_m in v])
    return np.dot(w, values**2) - np.dot(w, values)**2


def jacobian_at(score, x):
    """∂s/∂x at one x (1,d) by central differences."""
    return np.stack([(score(x + e) - score(x - e))[0] / 2e-5 for e in 1e-5 * np.eye(x.shape[1])], axis=1)


@pytest.mark.parametrize("kind, d", CASES)
def test_second_moment_of_a_quadratic_form_needs_two_fourth_moments(kind, d):
    """(SSM.9) E Q² = β((tr H)² + 2‖H‖²) + (α − 3β) ∑ H_ii², (α, β) = (3, 1), (1, 1), 3β = α = 3d/(d+2)."""
    (v, w), A = LAWS[kind](d), np.random.default_rng(13).normal(0, 1, (d, d))
    H = (A + A.T) / 2
    alpha, beta = {"gaussian": (3, 1), "rademacher": (1, 1), "sphere": (3 * d / (d + 2), d / (d + 2))}[kind]
    formula = beta * (np.trace(H)**2 + 2 * np.sum(H**2)) + (alpha - 3 * beta) * np.sum(np.diag(H)**2)
    assert np.dot(w, np.einsum("mi,ij,mj->m", v, A, v)**2) == pytest.approx(formula, rel=1e-11)


@pytest.mark.parametrize("kind, d", CASES)
def test_spread_of_the_variance_reduced_loss_is_that_of_the_trace_estimate(kind, d):
    """(SSM.6) (SSM.7) (SSM.8) At one x, for a linear score and a network: Var SSM-VR = Var vᵀAv, A = ∂s/∂x."""
    x, W = np.random.default_rng(7).normal(0, 1, (1, d)), np.random.default_rng(8).normal(0, 1, (d, d))
    exact = predicted_variance(kind, W.T)
    assert variance_over_probes(sliced_vr_loss, kind, lambda x: np.dot(x, W), x) == pytest.approx(exact, rel=1e-11)
    score = MLP(random_params([d, 6, d], 0))
    predicted = predicted_variance(kind, jacobian_at(score, x))
    assert variance_over_probes(sliced_vr_loss, kind, score, x) == pytest.approx(predicted, rel=1e-7)


@pytest.mark.parametrize("kind, d", CASES)
def test_sliced_loss_is_one_quadratic_form_and_spreads_as_one(kind, d):
    """(SSM.10) ½(vᵀs)² + vᵀJv = vᵀ(J + ½ssᵀ)v probe by probe, so its variance is (SSM.6–8) of that matrix."""
    x, W, b = (np.random.default_rng(9).normal(0, 1, shape) for shape in ((1, d), (d, d), d))
    score = lambda x: np.dot(x, W) + b
    A = W.T + 0.5 * np.outer(score(x)[0], score(x)[0])
    for v_m in LAWS[kind](d)[0]:
        assert sliced_loss(score, x, v_m[None]) == pytest.approx(v_m @ A @ v_m, abs=1e-12)
    spread = variance_over_probes(sliced_loss, kind, score, x)
    assert spread == pytest.approx(predicted_variance(kind, A), rel=1e-11)


@pytest.mark.parametrize("d", [2, 3])
def test_mean_of_two_probes_halves_the_variance(d):
    """(SSM.7) Over all 4^d pairs of sign probes, stacked as M = 2, the variance is that of one probe over 2."""
    x, W = np.random.default_rng(10).normal(0, 1, (1, d)), np.random.default_rng(11).normal(0, 1, (d, d))
    pairs = product(signs(d)[0], repeat=2)
    values = [sliced_vr_loss(lambda x: np.dot(x, W), x, np.array(pair)[:, None]) for pair in pairs]
    assert np.var(values) == pytest.approx(predicted_variance("rademacher", W.T) / 2, rel=1e-11)


def test_neither_rademacher_nor_sphere_probes_always_win():
    """(SSM.7) (SSM.8) A diagonal Jacobian suits signs, one with equal diagonal and off-diagonal the sphere."""
    x = np.ones((1, 2))
    for W, spreads in [(np.diag([1.0, 3.0]), (0, 2)), (np.array([[1.0, 2.0], [2.0, 1.0]]), (16, 8))]:
        for kind, spread in zip(("rademacher", "sphere"), spreads):
            value = variance_over_probes(sliced_vr_loss, kind, lambda x, W=W: np.dot(x, W), x)
            assert value == pytest.approx(spread, abs=1e-10) == predicted_variance(kind, W)


def test_rademacher_probes_are_exact_in_one_dimension():
    """(SSM.7) v² = 1: both sliced losses equal the implicit loss for any draw of signs."""
    x, params = MIXTURE.sample(np.random.default_rng(12), 30)[:, :1], random_params([1, 6, 5, 1], 0)
    v = probes(np.random.default_rng(13), "rademacher", x.shape)
    for sliced in (sliced_loss, sliced_vr_loss):
        assert sliced(MLP(params), x, v) == pytest.approx(implicit_loss(MLP(params), x), abs=1e-14)


MIX = np.array([[1.0, 0.4, 0.0], [0.0, 0.7, -0.5], [0.0, 0.0, 1.3]])
SAMPLE = np.random.default_rng(14).normal(0, 1, (12, 3)) @ MIX + 1.5
MEAN, COV = np.mean(SAMPLE, axis=0), np.cov(SAMPLE.T, bias=True)


@pytest.mark.parametrize("sliced", [sliced_loss, sliced_vr_loss])
def test_linear_optimum_of_the_sliced_losses_is_that_of_the_implicit_loss(sliced):
    """(SSM.4) (SSM.5) Over all sign probes the gradient is 0 at W = −S⁻¹ with 1/n in S, and not with 1/(n − 1)."""
    def gradient(S):
        params = [(-np.linalg.inv(S), np.linalg.inv(S) @ MEAN)]
        loss = lambda params: sliced(MLP(params), SAMPLE, stacked(3, len(SAMPLE)))
        return np.max(np.abs(flatten(value_and_grad(loss)(params)[1])[0]))

    assert gradient(COV) < 1e-10
    assert gradient(np.cov(SAMPLE.T)) == pytest.approx(1 / 12, rel=1e-9)


def test_unit_norm_probes_learn_the_score_over_d():
    """(SSM.5) With v on the unit sphere, E vvᵀ = I/d and the optimum of SSM-VR is W = −S⁻¹/d."""
    v, w = sphere_nodes(3)
    params = [(-np.linalg.inv(COV) / 3, np.linalg.inv(COV) @ MEAN / 3)]
    loss = lambda params: sum(w_m * sliced_vr_loss(MLP(params), SAMPLE, np.tile(v_m / sqrt(3), (len(SAMPLE), 1)))
                              for v_m, w_m in zip(v, w))
    assert np.max(np.abs(flatten(value_and_grad(loss)(params)[1])[0])) < 1e-10


@pytest.mark.parametrize("d", [2, 3, 7])
@pytest.mark.parametrize("kind", ["rademacher", "gaussian", "sphere"])
def test_probes_have_the_moments_they_are_used_for(kind, d):
    """(SSM.6) (SSM.7) (SSM.8) E v = 0, E vvᵀ = I, E v_i⁴ and E v_i²v_j², each within 5 of its standard errors."""
    n = 100_000
    v = probes(np.random.default_rng(15), kind, (n, d))
    # E v_i⁴, E v_i²v_j², E v_i⁸, E v_i⁴v_j⁴; on the sphere a Gaussian moment of degree 2k times the ratio below.
    four, eight = d / (d + 2), d**3 / ((d + 2) * (d + 4) * (d + 6))
    fourth, cross, eighth, cross_8 = {"rademacher": (1, 1, 1, 1), "gaussian": (3, 1, 105, 9),
                                      "sphere": (3 * four, four, 105 * eight, 9 * eight)}[kind]
    cases = [(v[:, 0], 0, 1), (v[:, 0] * v[:, 1], 0, cross), (v[:, -1]**2, 1, fourth), (v[:, 0]**4, fourth, eighth),
             (v[:, 0]**2 * v[:, -1]**2, cross, cross_8)]
    for values, mean, square in cases:
        assert abs(np.mean(values) - mean) <= 5 * sqrt(max(square - mean**2, 0) / n) + 1e-12
    if kind == "rademacher":
        assert np.all(np.abs(v) == 1)
    if kind == "sphere":
        assert np.max(np.abs(np.sum(v**2, axis=1) - d)) < 1e-12


@pytest.mark.parametrize("kind", ["rademacher", "gaussian", "sphere"])
def test_probes_of_a_stack_are_independent(kind):
    """(SSM.1) Products of components of two probes of one point, and of two points, have mean 0 within 5 sigma."""
    v = probes(np.random.default_rng(16), kind, (2, 40_000, 3), np.float32)
    assert v.dtype == np.float32
    for a, b in [(v[0], v[1]), (v[0, :-1], v[0, 1:])]:
        assert np.max(np.abs(a.astype(float).T @ b / len(a))) < 5 / sqrt(len(a))


def test_trace_estimate_of_a_network_is_unbiased_for_its_divergence():
    """(SSM.1) The mean of vᵀJv over all sign probes is tr J row by row."""
    x, score = np.random.default_rng(17).normal(0, 1, (5, 3)), MLP(random_params([3, 6, 5, 3], 0))
    s, tr = divergence(score, x)
    rows = [sliced_vr_loss(score, row[None], stacked(3, 1)) for row in x]
    assert np.max(np.abs(np.array(rows) - 0.5 * np.sum(s**2, axis=1) - tr)) < 1e-13
