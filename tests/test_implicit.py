"""Implicit score matching: each step of the derivation by quadrature, its optima, and where it fails."""

from math import pi
from types import SimpleNamespace

import autograd.numpy as np
import pytest
from autograd import elementwise_grad, grad, value_and_grad
from autograd.misc import flatten
from numpy.polynomial.legendre import leggauss
from oracles import exact_noise, gradient_error, random_params, replay

from scoremin import (
    MLP,
    EnergyMLP,
    GaussianMixture,
    denoising_loss,
    divergence,
    energy_score,
    explicit_loss,
    generalised_loss,
    implicit_loss,
    kde_score,
    langevin,
)

MIXTURES = {
    1: GaussianMixture([0.3, 0.7], [[-1.0], [1.5]], [[[0.5]], [[0.9]]]),
    2: GaussianMixture([0.4, 0.6], [[1.0, 0.5], [-1.0, 0.0]], [[[0.9, 0.4], [0.4, 0.8]], [[0.8, -0.3], [-0.3, 1.0]]]),
}
SPACING = {1: 0.1, 2: 0.25}


def grid(d):
    """A regular grid over [−9, 9]^d and p·dx^d on it: the trapezoid rule for E_p, exact to rounding here."""
    axis = np.arange(-9, 9.01, SPACING[d])
    x = np.stack(np.meshgrid(*[axis] * d), axis=-1).reshape(-1, d)
    return x, np.exp(MIXTURES[d].log_density(x)) * SPACING[d]**d


class Weighted:
    """A score whose losses, plain means over the N rows of x, become sums with weights w: as the losses are
    quadratic in s and linear in the trace, (√(Nw) s, Nw tr) takes the place of (s, tr)."""

    def __init__(self, score, w):
        self.score, self.w = score, len(w) * w

    def __call__(self, x):
        return np.sqrt(self.w)[:, None] * self.score(x)

    def divergence(self, x):
        s, tr = divergence(self.score, x)
        return np.sqrt(self.w)[:, None] * s, self.w * tr


def weighted_losses(score, d):
    """J_ISM and J_ESM as quadratures over p."""
    x, w = grid(d)
    target = Weighted(MIXTURES[d].score, w)(x)
    return implicit_loss(Weighted(score, w), x), explicit_loss(Weighted(score, w), x, target)


def half_fisher(d):
    """½ E_p‖∇log p‖², the constant C."""
    x, w = grid(d)
    return 0.5 * np.sum(w * np.sum(MIXTURES[d].score(x)**2, axis=1))


SCORES = {
    "one hidden layer": lambda d: (MLP, random_params([d, 6, d], 0)),
    "two hidden layers": lambda d: (MLP, random_params([d, 5, 4, d], 1)),
    "energy": lambda d: (lambda params: energy_score(EnergyMLP(params)), random_params([d, 5, 4, 1], 2)),
}


def plain(score):
    """score with its own derivatives hidden, so that autograd's are used."""
    return lambda x: score(x)


@pytest.mark.parametrize("d", [1, 2])
def test_explicit_loss_expands_into_three_terms(d):
    """(ISM.1) J_ESM = ½E‖s‖² − E[sᵀ∇log p] + ½E‖∇log p‖², by quadrature."""
    make, params = SCORES["two hidden layers"](d)
    (x, w), s = grid(d), make(params)(grid(d)[0])
    terms = [0.5 * np.sum(w * np.sum(a * b, axis=1)) for a, b in
             [(s, s), (-2 * s, MIXTURES[d].score(x)), (MIXTURES[d].score(x), MIXTURES[d].score(x))]]
    assert weighted_losses(make(params), d)[1] == pytest.approx(sum(terms), rel=1e-12)


@pytest.mark.parametrize("d", [1, 2])
def test_integration_by_parts_moves_the_derivative_to_the_model(d):
    """(ISM.2) (ISM.3) E[sᵀ∇log p] = Σ ∫ s_j ∂p/∂x_j = −Σ ∫ p ∂s_j/∂x_j, axis by axis; ∂p by autograd of p."""
    make, params = SCORES["two hidden layers"](d)
    score, (x, w) = make(params), grid(d)
    slopes = elementwise_grad(lambda x: np.exp(MIXTURES[d].log_density(x)))(x) * SPACING[d]**d
    for j in range(d):
        own = 1e-5 * np.eye(d)[j]
        ds = (score(x + own)[:, j] - score(x - own)[:, j]) / 2e-5
        middle = np.sum(score(x)[:, j] * slopes[:, j])
        assert np.sum(w * score(x)[:, j] * MIXTURES[d].score(x)[:, j]) == pytest.approx(middle, abs=1e-12)
        assert middle == pytest.approx(-np.sum(w * ds), abs=1e-9) and abs(middle) > 1e-4


def test_implicit_loss_of_single_points_is_the_integrand():
    """(ISM.4) Half the square plus the derivative: summed over a 1-D grid with weights p dx it is J_ESM − C."""
    make, params = SCORES["two hidden layers"](1)
    x, w = grid(1)
    total = sum(w_n * implicit_loss(make(params), row[None]) for row, w_n in zip(x, w))
    explicit = sum(w_n * explicit_loss(make(params), row[None], MIXTURES[1].score(row[None])) for row, w_n in zip(x, w))
    assert total == pytest.approx(explicit - half_fisher(1), abs=1e-12)


@pytest.mark.parametrize("d", [1, 2, 4])
def test_implicit_loss_is_half_the_square_plus_the_trace(d):
    """(ISM.4) Mean over rows of ½‖s‖² + Σ_j ∂s_j/∂x_j, the derivatives by central differences."""
    x, score = np.random.default_rng(3).normal(0, 1.5, (7, d)), MLP(random_params([d, 6, 5, d], 4))
    tr = sum((score(x + e)[:, j] - score(x - e)[:, j]) / 2e-5 for j, e in enumerate(1e-5 * np.eye(d)))
    expected = sum(0.5 * np.dot(s, s) + t for s, t in zip(score(x), tr)) / 7
    assert implicit_loss(score, x) == pytest.approx(expected, abs=1e-9)
    assert implicit_loss(plain(score), x) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("name", SCORES)
def test_explicit_equals_implicit_plus_a_constant_in_value_and_gradient(name, d):
    """(ISM.4) (ISM.5) J_ESM = J_ISM + ½E‖∇log p‖² and one gradient in θ, by quadrature over the mixture."""
    make, params = SCORES[name](d)
    implicit, explicit = (value_and_grad(lambda params, k=k: weighted_losses(make(params), d)[k])(params)
                          for k in (0, 1))
    assert explicit[0] == pytest.approx(implicit[0] + half_fisher(d), rel=1e-11)
    gradients = [flatten(gradient)[0] for _, gradient in (implicit, explicit)]
    assert np.max(np.abs(gradients[0] - gradients[1])) < 1e-10 * np.max(np.abs(gradients[1]))
    assert gradient_error(lambda params: weighted_losses(make(params), d)[0], params, np.random.default_rng(5)) < 1e-7


@pytest.mark.parametrize("d", [1, 2])
def test_implicit_loss_is_least_at_the_true_score(d):
    """(ISM.6) At s = ∇log p it is −½E‖∇log p‖²; any u added to the score costs ½E‖u‖² more."""
    mixture, (x, w) = MIXTURES[d], grid(d)
    assert weighted_losses(mixture.score, d)[0] == pytest.approx(-half_fisher(d), rel=1e-11)
    for name in SCORES:
        make, params = SCORES[name](d)
        u = make(params)
        cost = 0.5 * np.sum(w * np.sum(u(x)**2, axis=1))
        raised = weighted_losses(lambda x, u=u: mixture.score(x) + u(x), d)[0]
        assert raised + half_fisher(d) == pytest.approx(cost, rel=1e-10) and cost > 0


@pytest.mark.parametrize("d", [1, 2])
def test_true_score_obeys_the_stein_identities(d):
    """(ISM.7) E[∇log p] = 0 and E[∇log p xᵀ] = −I, by quadrature."""
    x, w = grid(d)
    s = MIXTURES[d].score(x)
    assert np.max(np.abs(np.dot(w, s))) < 1e-12
    assert np.max(np.abs(np.dot((w[:, None] * s).T, x) + np.eye(d))) < 1e-12


MIX = np.array([[1.0, 0.4, 0.0], [0.0, 0.7, -0.5], [0.0, 0.0, 1.3]])
SAMPLE = np.random.default_rng(6).normal(0, 1, (12, 3)) @ MIX + 1.5
MEAN, COV = np.mean(SAMPLE, axis=0), np.cov(SAMPLE.T, bias=True)


def linear_gradient(A, m):
    """Gradient of J_ISM on the sample at s = −A(x − m), as one vector."""
    return flatten(value_and_grad(lambda params: implicit_loss(MLP(params), SAMPLE))([(-A.T, np.dot(A, m))])[1])[0]


def test_implicit_loss_of_a_linear_score_in_closed_form():
    """(ISM.8) ½tr(A S Aᵀ) + ½‖A(μ − m)‖² − tr A with S the 1/n covariance, for A neither symmetric nor optimal."""
    A, m = np.random.default_rng(7).normal(0, 1, (3, 3)), np.array([0.2, -1.0, 0.5])
    expected = 0.5 * np.trace(A @ COV @ A.T) + 0.5 * np.sum((A @ (MEAN - m))**2) - np.trace(A)
    assert implicit_loss(MLP([(-A.T, A @ m)]), SAMPLE) == pytest.approx(expected, rel=1e-12)


def test_linear_optimum_of_the_implicit_loss_is_the_inverse_covariance_with_one_over_n():
    """(ISM.8) The gradient is 0 at A = S⁻¹, m = μ, and is not with the 1/(n − 1) covariance."""
    assert np.max(np.abs(linear_gradient(np.linalg.inv(COV), MEAN))) < 1e-10
    # There AS = (n−1)/n I, so that the gradient AS − I in A is −1/n on the diagonal.
    unbiased = linear_gradient(np.linalg.inv(np.cov(SAMPLE.T)), MEAN)
    assert np.max(np.abs(unbiased)) == pytest.approx(1 / 12, rel=1e-9)


def test_implicit_loss_is_unbounded_where_the_data_are_flat():
    """(ISM.14) Collinear data, Sn = 0: A = c nnᵀ, m = μ has J = −c for every c, yet denoising keeps its optimum."""
    rng, n = np.random.default_rng(15), np.array([2.0, -1.0, 2.0]) / 3
    data = rng.normal(0, 1, (20, 3))
    data = data - np.outer(data @ n, n) + [1.0, 2.0, 3.0]
    for c in (1.0, 10.0, 1e4):
        A = c * np.outer(n, n)
        assert implicit_loss(MLP([(-A, A @ data.mean(axis=0))]), data) == pytest.approx(-c, rel=1e-10)
    (x, z), S = exact_noise(data), np.cov(data.T, bias=True)
    A = np.linalg.inv(S + 0.25 * np.eye(3))
    slope = grad(lambda params: denoising_loss(MLP(params), x, z, 0.5))([(-A, A @ data.mean(axis=0))])
    assert np.max(np.abs(flatten(slope)[0])) < 1e-10


@pytest.mark.parametrize("d", [1, 2, 3])
def test_implicit_loss_is_unbounded_on_point_masses(d):
    """(ISM.9) A pull to the nearest point, and a KDE on its own points at least 1 apart: J = −d/h² without end."""
    data = np.random.default_rng(8).permutation(np.arange(6.0 * d)).reshape(6, d)
    for h in (0.1, 0.01, 0.001):
        assert implicit_loss(lambda x, h=h: -(x - np.round(x)) / h**2, data) == pytest.approx(-d / h**2, rel=1e-12)
        assert implicit_loss(lambda x, h=h: kde_score(x, data, h), data) == pytest.approx(-d / h**2, rel=1e-9)


def on_interval(score, density, a, b):
    """J_ISM over a density on [a, b] by Gauss–Legendre quadrature, the points, and their weights."""
    nodes, weights = leggauss(60)
    x = (a + b) / 2 + (b - a) / 2 * nodes[:, None]
    w = (b - a) / 2 * weights * density(x[:, 0])
    return implicit_loss(Weighted(score, w), x), x, w


def test_integration_by_parts_fails_for_a_uniform_density():
    """(ISM.10) On [0, 1] E[s'] = s(1) − s(0), so J_ISM misses J_ESM = ½E s² by that, which depends on the model."""
    missed = []
    for seed in (9, 10):
        score = MLP(random_params([1, 5, 1], seed))
        implicit, x, w = on_interval(score, np.ones_like, 0.0, 1.0)
        explicit = 0.5 * np.sum(w * score(x)[:, 0]**2)                       # ∇log p = 0 inside
        ends = score(np.array([[0.0], [1.0]]))[:, 0]
        assert implicit - explicit == pytest.approx(ends[1] - ends[0], abs=1e-12)
        missed.append(implicit - explicit)
    assert abs(missed[0] - missed[1]) > 0.1


def test_integration_by_parts_fails_by_the_boundary_term():
    """(ISM.3) (ISM.10) For e^−x on [0, ∞) J_ESM − J_ISM − C = s(0)p(0), for a normal cut at 0 likewise 2s(0)φ(0)."""
    score = MLP(random_params([1, 4, 1], 11))
    at_0 = score(np.zeros((1, 1)))[0, 0]
    cases = [(lambda x: np.exp(-x), lambda x: -1 + 0 * x, 1.0),
             (lambda x: 2 * np.exp(-x**2 / 2) / np.sqrt(2 * pi), lambda x: -x, 2 / np.sqrt(2 * pi))]
    for density, true, p_0 in cases:
        implicit, x, w = on_interval(score, density, 0.0, 40.0)
        explicit = 0.5 * np.sum(w * (score(x) - true(x))[:, 0]**2)
        constant = 0.5 * np.sum(w * true(x)[:, 0]**2)
        assert explicit - implicit - constant == pytest.approx(at_0 * p_0, abs=1e-8) and abs(at_0 * p_0) > 0.05


def relu_network(params):
    """The plain network with max(h, 0) for SiLU."""
    def f(x):
        for W, b in params[:-1]:
            h = np.dot(x, W) + b
            x = np.where(h > 0, h, 0.0)
        return np.dot(x, params[-1][0]) + params[-1][1]
    return f


@pytest.mark.filterwarnings("ignore:Output seems independent of input")  # as the claim says
def test_trace_of_a_relu_energy_is_zero():
    """(ISM.11) tr ∂s/∂x = 0 at every sample, so J_ISM = ½E‖s‖², least for a flat density; with SiLU it is not 0."""
    params, x = random_params([2, 20, 20, 1], 12), np.random.default_rng(13).normal(0, 2, (50, 2))
    score = energy_score(lambda x: relu_network(params)(x)[:, 0])
    s, tr = divergence(score, x)
    assert np.all(tr == 0) and np.mean(np.sum(s**2, axis=1)) > 0.1
    assert implicit_loss(score, x) == pytest.approx(0.5 * np.mean(np.sum(s**2, axis=1)), rel=1e-14)
    flat = [(W, b) for W, b in params[:-1]] + [(0 * params[-1][0], params[-1][1])]
    assert implicit_loss(energy_score(lambda x: relu_network(flat)(x)[:, 0]), x) == 0
    assert np.max(np.abs(divergence(energy_score(EnergyMLP(params)), x)[1])) > 0.05


def test_gradient_of_a_relu_score_network_misses_the_moving_kinks():
    """(ISM.11) In 1-D, ∂E[s']/∂b_k = w₂ sign(w₁) p(−b_k/w₁) for the unit k; autograd on samples gives 0."""
    (W, b), (U, _) = params = random_params([1, 4, 1], 14)
    kinks = -b / W[0]
    missed = U[:, 0] * np.sign(W[0]) * np.exp(MIXTURES[1].log_density(kinks[:, None]))
    x, w = np.arange(-9, 9, 1e-4)[:, None], 1e-4
    w = w * np.exp(MIXTURES[1].log_density(x))
    target = Weighted(MIXTURES[1].score, w)(x)
    implicit, explicit = (value_and_grad(f)(params) for f in
                          (lambda params: implicit_loss(Weighted(relu_network(params), w), x),
                           lambda params: explicit_loss(Weighted(relu_network(params), w), x, target)))
    assert explicit[0] == pytest.approx(implicit[0] + half_fisher(1), abs=1e-3)
    assert np.max(np.abs(explicit[1][0][1] - implicit[1][0][1] - missed)) < 1e-3 < 0.05 < np.max(np.abs(missed))


def on_quadrant(params, g):
    """Both sides of (ISM.17) for N(½, 1) cut at 0 times e^−2y, by quadrature over [0, 9]², one point a loss."""
    nodes, weights = leggauss(24)
    axis, w = 4.5 * (nodes + 1), 4.5 * weights
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    p = np.exp(-0.5 * (x[:, 0] - 0.5)**2 - 2 * x[:, 1]) * np.outer(w, w).ravel()
    p, score = p / np.sum(p), MLP(params)
    true = np.stack([0.5 - x[:, 0], -2 + 0 * x[:, 1]], axis=1)
    explicit = 0.5 * np.sum(p * np.sum(g(x) * ((score(x) - true)**2 - true**2), axis=1))
    return explicit, sum(w_n * generalised_loss(score, row[None], g) for row, w_n in zip(x, p))


@pytest.mark.parametrize("g", [lambda x: x, lambda x: np.stack([x[:, 0]**2, 3 * x[:, 1]], axis=1),
                               lambda x: x[:, :1] * x[:, 1:]])
def test_weight_that_vanishes_at_the_boundary_restores_integration_by_parts(g):
    """(ISM.17) For g of one value and of d, on a density that is not 0 at its boundary; without g it fails."""
    params = random_params([2, 5, 2], 16)
    explicit, weighted = on_quadrant(params, g)
    assert abs(weighted - explicit) < 1e-5 and abs(explicit) > 0.01           # the tails beyond 9 are left out
    explicit, plain = on_quadrant(params, lambda x: np.ones((len(x), 1)))
    assert abs(plain - explicit) > 0.05


@pytest.mark.parametrize("sizes", [[3, 5, 4, 3], [1, 4, 1]])
def test_weight_of_one_number_a_point_needs_the_trace_alone(sizes):
    """(ISM.20) ∇·(g s) by central differences; s and tr ∂s/∂x come from the score's own divergence, called once."""
    score, x = MLP(random_params(sizes, 20)), np.random.default_rng(21).normal(0, 1, (6, sizes[0]))
    g = lambda x: np.exp(-np.sum(x * np.arange(1, sizes[0] + 1), axis=1, keepdims=True))
    spread = sum((g(x + e) * score(x + e) - g(x - e) * score(x - e))[:, j] / 2e-5
                 for j, e in enumerate(1e-5 * np.eye(sizes[0])))
    expected = np.mean(0.5 * g(x)[:, 0] * np.sum(score(x)**2, axis=1) + spread)
    own = SimpleNamespace(divergence=score.divergence)                       # no s that could be traced
    assert generalised_loss(own, x, g) == pytest.approx(expected, rel=1e-8)
    assert generalised_loss(plain(score), x, lambda x: g(x) * np.ones(sizes[0])) == pytest.approx(expected, rel=1e-8)
    loss = lambda params: generalised_loss(MLP(params), x, g)
    assert gradient_error(loss, score.params, np.random.default_rng(22)) < 1e-7


def test_weighted_objective_finds_the_gaussian_that_was_cut():
    """(ISM.17) N(½, 1) cut at 0: the gradient in θ at the true score is 0 for g = x; for g = 1 at 1.009, 2.057."""
    nodes, weights = leggauss(60)
    x, p = 5 * (nodes + 1)[:, None], weights * np.exp(-0.5 * (5 * (nodes + 1) - 0.5)**2)
    p = p / np.sum(p)

    def slope(g, m, a):
        loss = lambda theta: sum(w * generalised_loss(lambda x: -theta[1] * (x - theta[0]), row[None], g)
                                 for row, w in zip(x, p))
        return np.max(np.abs(grad(loss)(np.array([m, a]))))

    mean = p @ x[:, 0]
    precision = 1 / (p @ (x[:, 0] - mean)**2)
    assert abs(mean - 1.009) < 1e-3 and abs(precision - 2.057) < 1e-3
    assert slope(lambda x: x, 0.5, 1.0) < 1e-7 and slope(np.ones_like, mean, precision) < 1e-7
    assert slope(lambda x: x, mean, precision) > 0.1


def test_error_of_the_minimum_has_the_sandwich_covariance():
    """(ISM.18) p ∝ exp(−x⁴/4), s = −θx³, θ̂ = 3Ex²/Ex⁶: 2,000 fits to 5,000 points each, within 5 standard errors."""
    rng = np.random.default_rng(17)
    x = (4 * rng.gamma(0.25, size=(2000, 5000)))**0.25                       # the sign does not matter
    fits = 3 * np.mean(x**2, axis=1) / np.mean(x**6, axis=1)
    assert abs(grad(lambda theta: implicit_loss(lambda x: -theta * x**3, x[0, :, None]))(fits[0])) < 1e-10
    H, K = np.mean(x**6), np.var(x**6 - 3 * x**2)                            # ℓ = ½θ²x⁶ − 3θx²
    assert abs(5000 * np.var(fits) / (K / H**2) - 1) < 5 * np.sqrt(2 / 2000)
    assert abs(K / H - 1) > 0.5                                              # it is not H⁻¹


def test_contrastive_divergence_with_one_small_step_is_implicit():
    """(ISM.19) The two means of ∂E/∂θ, exact over the noise, against ½ step times autograd's gradient of J_ISM."""
    params, data = random_params([2, 5, 1], 18), MIXTURES[2].sample(np.random.default_rng(19), 30)
    x, z = exact_noise(data)
    energy = lambda params, x: flatten(grad(lambda params: np.mean(EnergyMLP(params)(x)))(params))[0]
    exact = flatten(grad(lambda params: implicit_loss(energy_score(EnergyMLP(params)), data))(params))[0]

    def error(step):
        moved = langevin(energy_score(EnergyMLP(params)), x, step, 1, replay([z]))
        return np.max(np.abs((energy(params, data) - energy(params, moved)) / step - 0.5 * exact))

    assert error(1e-3) < 0.02 * np.max(np.abs(exact)) and 8 < error(1e-2) / error(1e-3) < 12
