"""What the tests hold the package against: numerical derivatives, quadrature, a plain network."""

import autograd.numpy as np
from autograd import value_and_grad
from autograd.misc import flatten

from scoremin import GaussianMixture, init_mlp

MIXTURE = GaussianMixture([0.5, 0.5], [[2, 2], [-2, -2]], [[[1, 0.5], [0.5, 1]], [[1, -0.5], [-0.5, 1]]])


def gradient_error(loss, params, rng, directions=5, size=1e-5, gradient=None):
    """Largest relative difference between <gradient, u> and a central difference along random u.

    Relative to the largest directional derivative seen, so that a direction that happens to be flat
    does not count. gradient is autograd's unless given."""
    flat, unflatten = flatten(params)
    g = flatten(value_and_grad(loss)(params)[1])[0] if gradient is None else gradient
    exact, numeric = [], []
    for _ in range(directions):
        u = rng.standard_normal(flat.size)
        u /= np.sqrt(np.sum(u**2))
        exact.append(np.dot(g, u))
        numeric.append((loss(unflatten(flat + size * u)) - loss(unflatten(flat - size * u))) / (2 * size))
    exact, numeric = np.array(exact), np.array(numeric)
    return np.max(np.abs(exact - numeric)) / np.max(np.abs(numeric))


def plain_mlp(params):
    """The same network as MLP, written in autograd's own operations and nothing else."""
    def score(x):
        for W, b in params[:-1]:
            h = np.dot(x, W) + b
            x = h * 0.5 * (1 + np.tanh(0.5 * h))
        W, b = params[-1]
        return np.dot(x, W) + b
    return score


def random_params(sizes, seed=1, dtype=np.float64):
    """Parameters of a network with biases that are not 0."""
    rng = np.random.default_rng(seed)
    return [(W, rng.normal(0, 0.5, b.shape).astype(dtype)) for W, b in init_mlp(rng, sizes, dtype)]
