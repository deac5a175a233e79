"""What the tests hold the package against: numerical derivatives, quadrature, plain networks, given noise."""

import autograd.numpy as np
from autograd import value_and_grad
from autograd.misc import flatten

from scoremin import GaussianMixture, init_mlp

MIXTURE = GaussianMixture([0.5, 0.5], [[2, 2], [-2, -2]], [[[1, 0.5], [0.5, 1]], [[1, -0.5], [-0.5, 1]]])
LINE = GaussianMixture([0.3, 0.7], [[-1.5], [1.0]], [[[0.5]], [[0.3]]])      # a mixture in one dimension
GRID = np.linspace(-9, 9, 361)[:, None]                                      # trapezoid: exact to 1e-12 for LINE
WIDTH = 18 / 360


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


def plain_noise_conditional(params, sigma_data=1.0):
    """The same for NoiseConditionalMLP, by (NET.4)."""
    def score(x, sigma):
        sigma = np.reshape(sigma, (-1, 1)) * np.ones((len(x), 1), x.dtype)
        inputs = np.concatenate([x / np.sqrt(sigma**2 + sigma_data**2), np.log(sigma)], axis=1)
        return plain_mlp(params)(inputs) / sigma
    return score


def exact_noise(x):
    """x and z, 2d rows for each of x: z = ±√d e_j has E z = 0 and E zzᵀ = I exactly."""
    n, d = x.shape
    z = np.sqrt(d) * np.concatenate([np.eye(d), -np.eye(d)])
    return np.tile(x, (2 * d, 1)), np.repeat(z, n, axis=0)


class Replayed(np.random.Generator):
    """A generator whose successive standard normal draws are the given arrays, which must fit exactly."""

    def __new__(cls, noise):
        return super().__new__(cls, np.random.PCG64(0))

    def __init__(self, noise):
        super().__init__(np.random.PCG64(0))
        self.draws = iter(noise)

    def standard_normal(self, shape, dtype):
        z = np.asarray(next(self.draws), dtype)
        assert z.shape == tuple(shape)
        return z


def replay(noise):
    """A Replayed generator."""
    return Replayed(noise)


def random_params(sizes, seed=1, dtype=np.float64):
    """Parameters of a network with biases that are not 0."""
    rng = np.random.default_rng(seed)
    return [(W, rng.normal(0, 0.5, b.shape).astype(dtype)) for W, b in init_mlp(rng, sizes, dtype)]
