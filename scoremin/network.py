"""The network: a multilayer perceptron, used as a score, as a noise-conditional score, as an energy.

Rows are samples; W_l is (in, out). With hidden activation φ = SiLU,

    (NET.1)  a_0 = x,   h_l = a_{l−1} W_l + b_l,   a_l = φ(h_l) for l < L,   f(x) = h_L
    (NET.2)  φ(h) = h ς(h),   ς(h) = 1/(1 + e^−h) = ½(1 + tanh(h/2))
    (NET.3)  ς' = ς(1 − ς),   φ' = ς(1 + h(1 − ς))

φ must be smooth: ISM and SSM train on φ', so their gradient needs φ'' (ReLU has none, see ISM.11).
The tanh form cannot overflow, and since ς' is a polynomial in ς, derivatives of every order stay
finite at any h; autograd's own rule for tanh divides by cosh², and its second derivative gives NaN.

One network serves all noise levels when it also sees σ. Raw inputs and targets differ by orders of
magnitude between levels, so the input is scaled to unit size, and the output by the size of the
score, 1/σ; −σs, the predicted noise (DSM.10), then is the bare network −f at every level:

    (NET.4)  s(x, σ) = f([x/√(σ² + σ_data²), log σ]) / σ,   σ_data the spread of the data
    (NET.5)  at one fixed σ this is an MLP of x alone, with the constants moved into the weights:
             W_1 → W_1[:d]/√(σ² + σ_data²),  b_1 → b_1 + log σ W_1[d],  W_L → W_L/σ,  b_L → b_L/σ

(a single layer takes both). An energy-based model puts a density on x through one number per point,
provided that Z is finite:

    (EBM.1)  p_θ(x) = exp(−E_θ(x)) / Z_θ,   Z_θ = ∫ exp(−E_θ(x)) dx
    (EBM.2)  ∇_θ E_p[log p_θ(x)] = −E_p[∇_θ E_θ(x)] + E_{p_θ}[∇_θ E_θ(x)]

The last term is −∇_θ log Z_θ: ∇_θ Z = −∫ e^{−E} ∇_θE dx, divided by Z. It is a mean under the model
itself, so maximum likelihood must sample the model at every step. In x, Z is a constant, and the
gradient in x, the score, is free of it:

    (EBM.3)  s_θ(x) = ∇_x log p_θ(x) = −∇_x E_θ(x) − ∇_x log Z_θ = −∇_x E_θ(x)

Sources: LeCun et al. 2006 (EBM); Song & Ermon 2020, technique 3 (1/σ); Karras et al. 2022 (scaling).
"""

import math
from itertools import pairwise

import autograd.numpy as np
from autograd import builtins, elementwise_grad
from autograd.extend import defjvp, defvjp, primitive
from autograd.tracer import getval

from . import backprop, derivatives
from .checks import noise_levels, points, positive, same_rows


@primitive
def sigmoid(h):
    """ς(h), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * h))                                      # (NET.2)


defvjp(sigmoid, lambda ans, h: lambda g: g * ans * (1 - ans))                # (NET.3)
defjvp(sigmoid, lambda g, ans, h: g * ans * (1 - ans))


def silu(h):
    """φ(h) = h ς(h)."""
    return h * sigmoid(h)                                                    # (NET.2)


def init_mlp(rng, sizes, dtype=np.float64):
    """Parameters for layers of the given sizes, a list of (W (in,out), b (out,)): W ~ N(0, 1/in), b = 0."""
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"sizes is {sizes}; want at least an input and an output size, all > 0")
    return [((rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)).astype(dtype), np.zeros(n_out, dtype))
            for n_in, n_out in pairwise(sizes)]


def plain(params, x):
    """f(x), (N,in) -> (N,out), in autograd's own operations."""
    for W, b in params[:-1]:
        x = silu(np.dot(x, W) + b)                                           # (N,out)  (NET.1)
    W, b = params[-1]
    return np.dot(x, W) + b


def network(params, x):
    """f(x), by the rules of backprop.py where they apply."""
    return backprop.mlp(params, x) if backprop.by_hand(params, x) else plain(params, x)


def inputs(params):
    """The number of inputs of a network."""
    return getval(params)[0][0].shape[0]


class MLP:
    """Score function s(x), (N,d) -> (N,d), that knows its own derivatives."""

    def __init__(self, params):
        self.params = params

    def __call__(self, x):
        return network(self.params, points("x", x, inputs(self.params)))

    def jvp(self, x, v):
        """s (N,d), and Jv like v."""
        x = points("x", x, inputs(self.params))
        v = same_rows("v", v, x, stacked=True)
        if not backprop.by_hand(self.params, x, v):
            return derivatives.jvp(self.__call__, x, v)
        return backprop.mlp_jvp(self.params, x, v)

    def divergence(self, x):
        """s (N,d), and tr ∂s/∂x (N,): in closed form for two hidden layers, else by d tangents."""
        x = points("x", x, inputs(self.params))
        if len(self.params) == 3 and backprop.by_hand(self.params, x):
            return backprop.mlp_trace(self.params, x)
        return derivatives.trace(self, x)


class NoiseConditionalMLP:
    """Score function s(x, sigma), (N,d) -> (N,d); sigma one number or (N,).

    The first layer takes d + 1 inputs. The network sees x/√(σ² + σ_data²) and log σ, and its output
    is divided by σ, so that −σ s(x, σ) predicts the noise z (NET.4)."""

    def __init__(self, params, sigma_data=1.0):
        self.params, self.sigma_data = params, positive("sigma_data", sigma_data)

    def __call__(self, x, sigma):
        x = points("x", x, inputs(self.params) - 1)
        sigma = noise_levels("sigma", sigma, x)                              # (N,1)
        scaled = x / np.sqrt(sigma**2 + self.sigma_data**2)                  # (N,d)
        return network(self.params, np.concatenate([scaled, np.log(sigma)], axis=1)) / sigma  # (N,d)  (NET.4)

    def at(self, sigma):
        """The score function s(·, sigma) at one level, as an MLP."""
        sigma = positive("sigma", sigma)
        (W, b), *rest = self.params                                          # (d+1,k) (k,)
        scale = (sigma**2 + self.sigma_data**2)**0.5
        layers = [(W[:-1] / scale, b + math.log(sigma) * W[-1]), *rest]
        layers[-1] = tuple(a / sigma for a in layers[-1])
        return MLP(builtins.list([builtins.tuple(layer) for layer in layers]))  # (NET.5)


class EnergyMLP:
    """Energy E(x), (N,d) -> (N,); the last layer has one output."""

    def __init__(self, params):
        self.params = params

    def __call__(self, x):
        return network(self.params, points("x", x, inputs(self.params)))[:, 0]

    def gradient(self, x):
        """∇E(x) (N,d)."""
        x = points("x", x, inputs(self.params))
        if not backprop.by_hand(self.params, x):
            return elementwise_grad(self)(x)
        return backprop.mlp_gradient(self.params, x)


def energy_score(energy):
    """The score function −∇E of any energy (N,d) -> (N,) that treats rows independently."""
    gradient = energy.gradient if hasattr(energy, "gradient") else elementwise_grad(energy)
    return lambda x: -gradient(points("x", x))                               # (N,d)  (EBM.3)
