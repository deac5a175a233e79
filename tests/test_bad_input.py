"""Bad input is refused at the public entry with a ValueError that names the argument and what is wanted."""

import numpy as np
import pytest
from autograd import grad

import scoremin
from scoremin import (
    MLP,
    EnergyMLP,
    GaussianMixture,
    NoiseConditionalMLP,
    denoising_loss,
    energy_score,
    explicit_loss,
    geometric_sigmas,
    implicit_loss,
    init_mlp,
    jvp,
    kde_log_density,
    kde_score,
    ncsn_loss,
    probes,
    sliced_loss,
    sliced_vr_loss,
    tweedie,
)

RNG = np.random.default_rng(0)
X, EYE = RNG.normal(0, 1, (4, 2)), np.eye(2)
SCORE, CONDITIONAL = (lambda x: -x), (lambda x, sigma: -x)
MIXTURE = GaussianMixture([0.5, 0.5], [[1, 0], [-1, 0]], [EYE, EYE])
NETWORK, DEEP, ENERGY, LEVELS = (init_mlp(RNG, sizes) for sizes in ([2, 3, 2], [2, 3, 4, 2], [2, 3, 1], [3, 4, 2]))

# Every function that takes points x, as a function of x alone; width 2 is known to those marked so.
TAKES_POINTS = {
    "GaussianMixture.log_density": MIXTURE.log_density,
    "GaussianMixture.score": MIXTURE.score,
    "MLP": MLP(NETWORK),
    "EnergyMLP": EnergyMLP(ENERGY),
    "NoiseConditionalMLP": lambda x: NoiseConditionalMLP(LEVELS)(x, 0.5),
    "NoiseConditionalMLP.at": lambda x: NoiseConditionalMLP(LEVELS).at(0.5)(x),
    "energy_score": energy_score(lambda x: x[:, 0]**2),
    "jvp": lambda x: jvp(SCORE, x, X),
    "divergence": lambda x: scoremin.divergence(SCORE, x),
    "explicit_loss": lambda x: explicit_loss(SCORE, x, X),
    "kde_log_density": lambda x: kde_log_density(x, X, 0.5),
    "kde_score": lambda x: kde_score(x, X, 0.5),
    "implicit_loss": lambda x: implicit_loss(SCORE, x),
    "sliced_loss": lambda x: sliced_loss(SCORE, x, X),
    "sliced_vr_loss": lambda x: sliced_vr_loss(SCORE, x, X),
    "denoising_loss": lambda x: denoising_loss(SCORE, x, X, 0.5),
    "ncsn_loss": lambda x: ncsn_loss(CONDITIONAL, x, X, 0.5),
}
KNOW_THE_WIDTH = ["GaussianMixture.log_density", "GaussianMixture.score", "MLP", "EnergyMLP", "NoiseConditionalMLP",
                  "NoiseConditionalMLP.at"]


@pytest.mark.parametrize("name", TAKES_POINTS)
@pytest.mark.parametrize("x, message", [
    (X[0], r"^x has shape \(2,\); want \(N, \w+\) with N > 0"),
    (X[None], r"^x has shape \(1, 4, 2\); want \(N, \w+\) with N > 0"),
    (1.0, r"^x has shape \(\); want"),
    (X[:0], r"^x has shape \(0, 2\); want \(N, \w+\) with N > 0"),
    (X[:, :0], r"^x has shape \(4, 0\); want"),
    (np.where(np.arange(8).reshape(4, 2) == 5, np.nan, X), "^x holds NaN or infinity; want finite"),
    (np.where(np.arange(8).reshape(4, 2) == 2, -np.inf, X), "^x holds NaN or infinity; want finite"),
], ids=["one row", "three axes", "a number", "no rows", "no columns", "NaN", "infinity"])
def test_points_must_be_a_finite_table_with_rows(name, x, message):
    """x is refused unless it is (N, d) with N > 0 and finite, by everything that takes it."""
    with pytest.raises(ValueError, match=message):
        TAKES_POINTS[name](x)


@pytest.mark.parametrize("name", KNOW_THE_WIDTH)
def test_points_must_have_the_dimension_of_the_model(name):
    """Points of another dimension than the mixture's or the network's are refused, never broadcast."""
    for wrong in (X[:, :1], np.hstack([X, X])):
        with pytest.raises(ValueError, match=rf"^x has shape \(4, {wrong.shape[1]}\); want \(N, 2\)"):
            TAKES_POINTS[name](wrong)


# Arguments that must have the shape of x: the function with everything else right.
TAKES_ROWS = {
    "jvp": ("v", lambda v: jvp(SCORE, X, v)),
    "explicit_loss": ("target", lambda target: explicit_loss(SCORE, X, target)),
    "sliced_loss": ("v", lambda v: sliced_loss(SCORE, X, v)),
    "sliced_vr_loss": ("v", lambda v: sliced_vr_loss(SCORE, X, v)),
    "denoising_loss": ("z", lambda z: denoising_loss(SCORE, X, z, 0.5)),
    "ncsn_loss": ("z", lambda z: ncsn_loss(CONDITIONAL, X, z, 0.5)),
}


@pytest.mark.parametrize("name", TAKES_ROWS)
@pytest.mark.parametrize("wrong", [X[:1], X[:, :1], X[0], X.T, 1.0, X[None, :, :1], np.empty((0, 4, 2))],
                         ids=["one row", "one column", "a vector", "transposed", "a number", "stack of columns",
                              "empty stack"])
def test_rows_must_match_those_of_x(name, wrong):
    """Noise, probes and targets of a shape that NumPy would broadcast against x are refused."""
    argument, f = TAKES_ROWS[name]
    with pytest.raises(ValueError, match=rf"^{argument} has shape .*; want \(4, 2\).*as x has shape \(4, 2\)"):
        f(wrong)


@pytest.mark.parametrize("name", ["explicit_loss", "denoising_loss", "ncsn_loss"])
def test_only_probes_may_be_stacked(name):
    """(M, N, d) is for probes; a stack of noise or of targets is refused."""
    argument, f = TAKES_ROWS[name]
    with pytest.raises(ValueError, match=rf"^{argument} has shape \(3, 4, 2\); want \(4, 2\)"):
        f(np.stack([X, X, X]))


@pytest.mark.parametrize("name", TAKES_ROWS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_must_be_finite(name, bad):
    """One NaN or infinity in noise, probes or targets is refused."""
    argument, f = TAKES_ROWS[name]
    with pytest.raises(ValueError, match=f"^{argument} holds NaN or infinity; want finite"):
        f(np.where(np.arange(8).reshape(4, 2) == 3, bad, X))


# Numbers that must be positive and finite.
TAKES_POSITIVE = {
    "smoothed": ("sigma", MIXTURE.smoothed),
    "NoiseConditionalMLP, sigma_data": ("sigma_data", lambda value: NoiseConditionalMLP(LEVELS, value)),
    "NoiseConditionalMLP.at": ("sigma", NoiseConditionalMLP(LEVELS).at),
    "kde_log_density": ("h", lambda h: kde_log_density(X, X, h)),
    "kde_score": ("h", lambda h: kde_score(X, X, h)),
    "denoising_loss": ("sigma", lambda sigma: denoising_loss(SCORE, X, X, sigma)),
    "tweedie": ("sigma", lambda sigma: tweedie(SCORE, X, sigma)),
    "geometric_sigmas, max": ("sigma_max", lambda sigma: geometric_sigmas(sigma, 0.1, 5)),
    "geometric_sigmas, min": ("sigma_min", lambda sigma: geometric_sigmas(10.0, sigma, 5)),
}


@pytest.mark.parametrize("name", TAKES_POSITIVE)
@pytest.mark.parametrize("value", [0, 0.0, -0.5, np.nan, np.inf, np.array([0.5, 0.5])], ids=repr)
def test_scales_must_be_one_positive_finite_number(name, value):
    """σ, σ_data and h are refused at 0, below it, NaN, infinite, or as an array."""
    argument, f = TAKES_POSITIVE[name]
    with pytest.raises(ValueError, match=f"^{argument} is .*; want one finite number > 0"):
        f(value)


@pytest.mark.parametrize("f", [lambda sigma: ncsn_loss(CONDITIONAL, X, X, sigma),
                               lambda sigma: NoiseConditionalMLP(LEVELS)(X, sigma)],
                         ids=["ncsn_loss", "NoiseConditionalMLP"])
@pytest.mark.parametrize("sigma, message", [
    (np.ones(3), r"^sigma has shape \(3,\); want one number or \(4,\)"),
    (np.ones((4, 1)), r"^sigma has shape \(4, 1\); want"),
    (np.ones(1), r"^sigma has shape \(1,\); want"),
    (0.0, "^sigma runs from 0.0 to 0.0; want finite numbers > 0"),
    (np.array([1, 1, -2, 1]), "^sigma runs from -2.0 to 1.0; want finite numbers > 0"),
    (np.array([1, np.nan, 1, 1]), "^sigma runs from nan to nan; want finite numbers > 0"),
    (np.inf, "^sigma runs from inf to inf; want finite numbers > 0"),
], ids=["another length", "a column", "one in an array", "zero", "negative", "NaN", "infinity"])
def test_noise_levels_must_be_one_positive_number_or_one_a_row(f, sigma, message):
    """sigma is one number > 0 or (N,) of them."""
    with pytest.raises(ValueError, match=message):
        f(sigma)


@pytest.mark.parametrize("weights, means, covs, message", [
    ([0.5, 0.6], EYE, [EYE, EYE], r"^weights are \[0.5 0.6\]; want 2 numbers > 0 that sum to 1"),
    ([1.5, -0.5], EYE, [EYE, EYE], "^weights are .*; want 2 numbers > 0"),
    ([1.0, 0.0], EYE, [EYE, EYE], "^weights are .*; want 2 numbers > 0"),
    ([1.0, np.nan], EYE, [EYE, EYE], "^weights holds NaN or infinity"),
    ([1.0], EYE, [EYE, EYE], "^weights are .*; want 2 numbers > 0 that sum to 1, one per mean"),
    ([[0.5, 0.5]], EYE, [EYE, EYE], "^weights are .*; want 2 numbers"),
    ([0.5, 0.5], [0.0, 1.0], [EYE, EYE], r"^means has shape \(2,\); want \(N, d\)"),
    ([0.5, 0.5], [[0.0, np.inf], [0, 0]], [EYE, EYE], "^means holds NaN or infinity"),
    ([0.5, 0.5], EYE, EYE, r"^covs have shape \(2, 2\); want \(2, 2, 2\)"),
    ([0.5, 0.5], EYE, [EYE], r"^covs have shape \(1, 2, 2\); want \(2, 2, 2\)"),
    ([0.5, 0.5], EYE, [EYE, [[1, 0.5], [0, 1]]], "^covs have shape .*; want .*, each symmetric"),
    ([0.5, 0.5], EYE, [EYE, [[np.nan, 0], [0, 1]]], "^covs holds NaN or infinity"),
    ([0.5, 0.5], EYE, [EYE, [[1, 2], [2, 1]]], r"^covs have eigenvalues [^;]*; want all > 0"),
    ([0.5, 0.5], EYE, [EYE, np.zeros((2, 2))], r"^covs have eigenvalues [^;]*; want all > 0"),
], ids=["sum not 1", "negative weight", "zero weight", "NaN weight", "too few weights", "weights 2-D", "means 1-D",
        "infinite mean", "covs 2-D", "too few covs", "asymmetric", "NaN cov", "indefinite", "singular"])
def test_mixture_must_be_a_density(weights, means, covs, message):
    """Weights > 0 that sum to 1, one mean and one symmetric positive definite covariance each."""
    with pytest.raises(ValueError, match=message):
        GaussianMixture(weights, means, covs)


@pytest.mark.parametrize("sizes", [[], [2], [2, 0, 2], [2, -1]])
def test_network_must_have_an_input_and_an_output(sizes):
    """sizes with fewer than two layers, or an empty one, are refused."""
    with pytest.raises(ValueError, match=r"^sizes is \[.*\]; want at least an input and an output size, all > 0"):
        init_mlp(RNG, sizes)


@pytest.mark.parametrize("f", [kde_log_density, kde_score])
@pytest.mark.parametrize("data, message", [
    (np.hstack([X, X]), r"^data has shape \(4, 4\); want \(N, 2\)"),
    (X[:, :1], r"^data has shape \(4, 1\); want \(N, 2\)"),
    (X[:0], r"^data has shape \(0, 2\); want \(N, 2\) with N > 0"),
    (X[0], r"^data has shape \(2,\); want \(N, 2\)"),
    (np.full((4, 2), np.nan), "^data holds NaN or infinity"),
], ids=["another dimension", "a column", "no rows", "one row", "NaN"])
def test_kde_data_must_be_points_of_the_same_dimension(f, data, message):
    """data is a finite (n, d) with the d of x."""
    with pytest.raises(ValueError, match=message):
        f(X, data, 0.5)


def test_leave_one_out_wants_x_to_be_the_data():
    """Other queries have no own kernel, and a single point has no others."""
    for x, data in [(X[:3], X), (X + 1, X), (X[:1], X[:1])]:
        with pytest.raises(ValueError, match=r"^leave_one_out wants x to be data itself, at least 2 rows; shapes"):
            kde_score(x, data, 0.5, leave_one_out=True)


@pytest.mark.parametrize("kind", ["Rademacher", "uniform", "", None])
def test_probe_kind_must_be_known(kind):
    """The message lists the three kinds."""
    with pytest.raises(ValueError, match=f'^kind is {kind!r}; want "rademacher", "gaussian" or "sphere"'):
        probes(np.random.default_rng(0), kind, (3, 2))


@pytest.mark.parametrize("arguments", [(0.1, 1.0, 5), (1.0, 1.0, 5), (1.0, 0.1, 1), (1.0, 0.1, 0)])
def test_noise_levels_must_descend_over_at_least_two(arguments):
    """σ_max > σ_min and n ≥ 2."""
    with pytest.raises(ValueError, match=r"^sigma_max .*, sigma_min .*, n \d; want max > min and n >= 2"):
        geometric_sigmas(*arguments)


def test_tweedie_names_its_own_argument():
    """The points of tweedie are x_noisy."""
    with pytest.raises(ValueError, match=r"^x_noisy has shape \(2,\); want \(N, d\)"):
        tweedie(SCORE, X[0], 0.5)


def test_bad_points_are_refused_inside_a_gradient_too():
    """The check holds when autograd traces the parameters, and a traced x of the right kind passes."""
    bad = np.where(X > 0, np.nan, X)
    with pytest.raises(ValueError, match=r"^x holds NaN or infinity"):
        grad(lambda params: implicit_loss(MLP(params), bad))(NETWORK)
    assert np.max(np.abs(grad(lambda x: explicit_loss(SCORE, x, 0 * X))(X) - X / 4)) < 1e-15


WIDE = np.hstack([X, X])


@pytest.mark.parametrize("f", [
    lambda: implicit_loss(MLP(NETWORK), WIDE),
    lambda: implicit_loss(MLP(DEEP), WIDE),
    lambda: sliced_loss(MLP(NETWORK), WIDE, WIDE),
    lambda: sliced_vr_loss(MLP(NETWORK), WIDE, WIDE),
    lambda: jvp(MLP(NETWORK), WIDE, WIDE),
    lambda: scoremin.divergence(MLP(DEEP), WIDE),
    lambda: MLP(NETWORK).jvp(WIDE, WIDE),
    lambda: MLP(DEEP).divergence(WIDE),
    lambda: energy_score(EnergyMLP(ENERGY))(WIDE),
    lambda: implicit_loss(energy_score(EnergyMLP(ENERGY)), WIDE),
], ids=["implicit_loss", "implicit_loss, trace in closed form", "sliced_loss", "sliced_vr_loss", "jvp", "divergence",
        "MLP.jvp", "MLP.divergence", "energy_score", "implicit_loss of an energy"])
def test_derivatives_of_a_network_want_points_of_its_dimension(f):
    """The network names x and its own dimension whichever way its derivatives are reached."""
    with pytest.raises(ValueError, match=r"^x has shape \(4, 4\); want \(N, 2\)"):
        f()


@pytest.mark.parametrize("v, message", [
    (X.T, r"^v has shape \(2, 4\); want \(4, 2\) or \(M, 4, 2\)"),
    (X[:1], r"^v has shape \(1, 2\); want \(4, 2\) or \(M, 4, 2\)"),
    (np.full((4, 2), np.nan), "^v holds NaN or infinity"),
], ids=["transposed", "one row", "NaN"])
def test_jvp_of_a_network_wants_directions_like_its_points(v, message):
    """Called directly, too: (2, 4) numbers for (4, 2) points are not reshaped in silence."""
    with pytest.raises(ValueError, match=message):
        MLP(NETWORK).jvp(X, v)


@pytest.mark.parametrize("score", [lambda x: x[:, :1], lambda x: np.hstack([x, x]), lambda x: x[:, 0]],
                         ids=["one column", "twice the columns", "an energy"])
@pytest.mark.parametrize("loss", [
    lambda score: explicit_loss(score, X, X),
    lambda score: implicit_loss(score, X),
    lambda score: sliced_loss(score, X, X),
    lambda score: sliced_vr_loss(score, X, X),
    lambda score: denoising_loss(score, X, X, 0.5),
    lambda score: ncsn_loss(lambda x, sigma: score(x), X, X, 0.5),
    lambda score: tweedie(score, X, 0.5),
], ids=["explicit_loss", "implicit_loss", "sliced_loss", "sliced_vr_loss", "denoising_loss", "ncsn_loss", "tweedie"])
def test_score_must_return_the_shape_of_its_points(loss, score):
    """A score with one column would broadcast against x, and one with 2d columns has a trace of sorts."""
    with pytest.raises(ValueError, match=r"^score.* has shape .*; want \(4, 2\)"):
        loss(score)
