"""The objectives in one table, which the tests of gradients, of second derivatives and of linear optima walk.

A new objective is one more entry of OBJECTIVES. Its loss is a function of a score and of its inputs, drawn once;
value is the same number from loops over rows in plain NumPy; whole and optimum are what a linear score knows."""

from collections import namedtuple

import autograd.numpy as np
import numpy
from oracles import exact_noise, plain_mlp, plain_noise_conditional

from scoremin import (
    MLP,
    EnergyMLP,
    NoiseConditionalMLP,
    denoising_loss,
    energy_score,
    explicit_loss,
    implicit_loss,
    ncsn_loss,
    ncsn_vr_loss,
    sliced_loss,
    sliced_vr_loss,
)

D, N = 3, 5
RNG = np.random.default_rng(0)
X, TARGET, Z = (RNG.normal(0, size, (N, D)) for size in (1.5, 1, 1))
V = RNG.normal(0, 1, (2, N, D))
LEVELS = np.array([0.05, 0.2, 0.5, 1.0, 3.0])

# loss(score, *inputs); value(rows, *inputs), where rows(x, *sigma) are the pairs (s_n, J_n); whole(data), inputs that
# take every mean over noise or probes exactly; optimum(S), the A of the best s = −A(x − μ); names of NETWORKS.
Objective = namedtuple("Objective", "loss inputs value whole optimum networks")


def average(numbers):
    """The mean of Python floats."""
    numbers = [float(number) for number in numbers]
    return sum(numbers) / len(numbers)


def sliced_value(first):
    """Of SSM and SSM-VR, whose first terms differ."""
    def value(rows, x, v):
        probes = v if v.ndim == 3 else v[None]
        return average(first(s, v_n) + v_n @ J @ v_n for v_m in probes for (s, J), v_n in zip(rows(x), v_m))
    return value


def at_all_levels(data):
    """Data under exact noise at every level."""
    x, z = exact_noise(data)
    return np.tile(x, (N, 1)), np.tile(z, (N, 1)), np.repeat(LEVELS, len(x))


def every_sign(data):
    """Data, and all 2^d probes of signs at each point."""
    v = 2.0 * np.array([[k >> j & 1 for j in range(data.shape[1])] for k in range(2**data.shape[1])]) - 1
    return data, np.repeat(v[:, None], len(data), axis=1)


A_TARGET = np.diag([1.0, 2.0, 3.0]) + 0.3
SCORES = ["two hidden layers", "linear", "one hidden layer", "four of one width", "energy"]
SSM = Objective(sliced_loss, (X, V[0]), sliced_value(lambda s, v: 0.5 * (v @ s)**2), every_sign, np.linalg.inv, SCORES)
SSM_VR = Objective(sliced_vr_loss, (X, V[0]), sliced_value(lambda s, v: 0.5 * s @ s), every_sign, np.linalg.inv, SCORES)
DSM = Objective(denoising_loss, (X, Z, 0.3),
                lambda rows, x, z, sigma: average(0.5 * sum((s + z_n / sigma)**2) for (s, _), z_n in
                                                  zip(rows(x + sigma * z), z)),
                lambda data: (*exact_noise(data), 0.3), lambda S: np.linalg.inv(S + 0.09 * np.eye(D)), SCORES)
NCSN = Objective(ncsn_loss, (X, Z, LEVELS),
                 lambda rows, x, z, sigma: average(
                     0.5 * sum((sigma_n * s + z_n)**2) for (s, _), z_n, sigma_n in
                     zip(rows(x + sigma[:, None] * z, sigma), z, sigma)),
                 at_all_levels, lambda S: np.sum(LEVELS**2) * np.linalg.inv(
                     sum(sigma**2 * (S + sigma**2 * np.eye(D)) for sigma in LEVELS)), ["noise-conditional"])
OBJECTIVES = {
    "explicit": Objective(explicit_loss, (X, TARGET),
                          lambda rows, x, target: average(0.5 * sum((s - t)**2) for (s, _), t in zip(rows(x), target)),
                          lambda data: (data, -(data - data.mean(axis=0)) @ A_TARGET), lambda S: A_TARGET, SCORES),
    "implicit": Objective(implicit_loss, (X,),
                          lambda rows, x: average(0.5 * s @ s + sum(J[j, j] for j in range(D)) for s, J in rows(x)),
                          lambda data: (data,), np.linalg.inv, SCORES),
    "sliced": SSM,
    "sliced, 2 probes": SSM._replace(inputs=(X, V), networks=SCORES[:1]),
    "sliced, a stack of 1": SSM._replace(inputs=(X, V[:1]), networks=SCORES[:1]),
    "sliced_vr": SSM_VR,
    "sliced_vr, 2 probes": SSM_VR._replace(inputs=(X, V), networks=SCORES[:1]),
    "denoising": DSM,
    "denoising, small sigma": DSM._replace(inputs=(X, Z, 0.01), networks=SCORES[:1]),
    "ncsn": NCSN,
    "ncsn_vr": NCSN._replace(loss=ncsn_vr_loss, value=lambda rows, x, z, sigma: average(
        NCSN.value(rows, x, side * z, sigma) for side in (1, -1))),
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


def numpy_rows(params):
    """The rows of a network in plain NumPy, one at a time: s_n, and J_n as the product of its layers' Jacobians."""
    def row(x):
        J = numpy.eye(len(x))
        for l, (W, b) in enumerate(params):
            x, J = W.T @ x + b, W.T @ J
            if l < len(params) - 1:
                gate = 1 / (1 + numpy.exp(-x))
                x, J = x * gate, (gate + x * gate * (1 - gate))[:, None] * J
        return x, J
    return lambda x: [row(x_n) for x_n in x]


def numpy_noise_conditional_rows(params):
    """The same for NoiseConditionalMLP: s alone."""
    return lambda x, sigma: [(numpy_rows(params)([numpy.append(x_n / (sigma_n**2 + 1)**0.5, numpy.log(sigma_n))])[0][0]
                              / sigma_n, None) for x_n, sigma_n in zip(x, sigma)]


# The score of params, the same score in autograd's own operations, in plain NumPy by rows, and the network's sizes.
Network = namedtuple("Network", "make plain rows sizes")
NETWORKS = {
    "two hidden layers": Network(MLP, plain_mlp, numpy_rows, [D, 7, 4, D]),
    "linear": Network(MLP, plain_mlp, numpy_rows, [D, D]),
    "one hidden layer": Network(MLP, plain_mlp, numpy_rows, [D, 7, D]),
    "four of one width": Network(MLP, plain_mlp, numpy_rows, [D, D, D, D, D, D]),
    "energy": Network(lambda params: energy_score(EnergyMLP(params)), plain_energy_score, None, [D, 7, 4, 1]),
    "noise-conditional": Network(NoiseConditionalMLP, plain_noise_conditional, numpy_noise_conditional_rows,
                                 [D + 1, 7, 4, D]),
}
CASES = [(objective, network) for objective, entry in OBJECTIVES.items() for network in entry.networks]
