"""The network: a multilayer perceptron, used as a score, as a noise-conditional score, as an energy.

A network turns each point into an arrow: weighted sums, a smooth bend φ of each, and sums of these again. Training
chooses the weights so that the arrows are the score; here stands what they compute. Rows are samples; W_l is (in, out),
l = 1 … L counts layers in this chapter and in BP. With hidden activation φ = SiLU,

    (NET.1)  a_0 = x,   y_l = a_{l−1} W_l + b_l,   a_l = φ(y_l) for l < L,   f(x) = y_L
    (NET.2)  φ(y) = y ς(y),   ς(y) = 1/(1 + e^−y)
    (NET.3)  ς' = ς(1 − ς),   φ' = ς(1 + y(1 − ς))

φ must be smooth: ISM and SSM train on φ', so their gradient needs φ'', and ReLU has none (ISM.11).
Where e^−y overflows ς is 0, as it should be; and since ς' is a polynomial in ς, derivatives of every
order stay finite at any y.

One network serves all noise levels when it also sees σ. Raw inputs and targets differ by orders of
magnitude between levels, so the input is scaled to unit size. The output is divided by σ: 1/σ is the
size of what it is trained on, −z/σ, and a bound of what it learns, the mean of that (DSM.3), so
‖s‖² ≤ d/σ² on average; the score of data with a density stays far below it as σ → 0. The bare network
−f then predicts the noise z at every level (DSM.10):

    (NET.4)  s(x, σ) = f([x/√(σ² + σ_data²), log σ]) / σ,   σ_data the spread of the data
    (NET.5)  at one fixed σ this is an MLP of x alone, with the constants moved into the weights:
             W_1 → W_1[:d]/√(σ² + σ_data²),  b_1 → b_1 + log σ W_1[d],  W_L → W_L/σ,  b_L → b_L/σ

(a single layer takes both). Derivatives go back the same way, with G_l = ∂ℓ/∂W_l and g_l = ∂ℓ/∂b_l of that MLP:

    (NET.6)  ∂ℓ/∂W_1 = [G_1/√(σ² + σ_data²); log σ g_1],   ∂ℓ/∂b_1 = g_1,   ∂ℓ/∂W_L = G_L/σ,   ∂ℓ/∂b_L = g_L/σ

What this network cannot do is pass many dimensions through few units. On data N(0, σ_data² I) the noise to
predict is E[z|x̃] = σx̃/τ², τ² = σ² + σ_data². With k < d units in the last hidden layer, f(x̃) stays on a plane
of k dimensions, and of the d − k others it predicts nothing that varies:

    (NET.7)  ½ E‖z + f‖² ≥ ½ d σ_data²/τ² + ½ (d − k) σ²/τ²,   ½ d σ_data²/τ² at f = −σx̃/τ²

so that samples keep the spread of their start there. The cure, skip=True, is to give it the score of that Gaussian
under noise, −x/τ², and to learn the rest, in a unit in which it has size 1: with x̃ = x + σz,

    (NET.8)  s(x, σ) = −x/τ² + σ_data/(στ) f([x/τ, log σ])
    (NET.9)  σ² ℓ = ½ σ_data²/τ² E‖f − t‖²,   t = (x σ/σ_data − z σ_data)/τ

For data of mean 0 and E‖x‖² = d σ_data², E‖t‖² = d at every σ: t is −z where σ is small against the data, x/σ_data
where it is large. If their covariance is σ_data² I, E[t x̃ᵀ] = 0: nothing linear is left to learn, and for Gaussian
data f = 0 is best. The denoiser (DSM.8) is x̃ σ_data²/τ² + f σσ_data/τ. Whatever bounded f is, as σ → 0 that is x̃,
as it should be, and as σ → ∞ the first term is 0, the mean of the data. At one σ, with (NET.5) for the second term,

    (NET.10) ∂s/∂x v = −v/τ² + Jv,   tr ∂s/∂x = −d/τ² + tr J,   J that of an MLP with W_L, b_L · σ_data/(στ)

An energy-based model puts a density on x through one number per point,
its energy E_θ(x), provided that Z is finite:

    (EBM.1)  p_θ(x) = exp(−E_θ(x)) / Z_θ,   Z_θ = ∫ exp(−E_θ(x)) dx
    (EBM.2)  ∇_θ E_p[log p_θ(x)] = −E_p[∇_θ E_θ(x)] + E_{p_θ}[∇_θ E_θ(x)]

The last term is −∇_θ log Z_θ: ∇_θ Z = −∫ e^{−E_θ} ∇_θ E_θ dx, divided by Z. It is a mean under the model
itself, so maximum likelihood must sample the model at every step. In x, Z is a constant, and the
gradient in x, the score, is free of it:

    (EBM.3)  s_θ(x) = ∇_x log p_θ(x) = −∇_x E_θ(x) − ∇_x log Z_θ = −∇_x E_θ(x)

Sources: LeCun et al. 2006 (EBM); Song & Ermon 2020, technique 3 (1/σ); Karras et al. 2022 (scaling, skip).
"""

import math
from itertools import pairwise

import autograd.numpy as np
from autograd.extend import defjvp, defvjp, primitive

from .backprop import evaluate, in_blocks, mlp, mlp_gradient, mlp_jvp, mlp_trace, traced
from .checks import checked, levels, parameters
from .derivatives import along, gradient, trace


@primitive
def sigmoid(y):
    """ς(y)."""
    with np.errstate(over="ignore"):                                         # e^−y may be infinite: ς is 0 then
        return 1 / (1 + np.exp(-y))                                          # (NET.2)


@primitive
def silu(y):
    """φ(y)."""
    with np.errstate(over="ignore"):
        return y / (1 + np.exp(-y))                                          # (NET.2)


def silu_slope(y):
    """φ'(y)."""
    gate = sigmoid(y)
    return gate * (1 + y * (1 - gate))                                       # (NET.3)


defvjp(sigmoid, lambda ans, y: lambda g: g * ans * (1 - ans))                # (NET.3)
defjvp(sigmoid, lambda g, ans, y: g * ans * (1 - ans))
defvjp(silu, lambda ans, y: lambda g: g * silu_slope(y))
defjvp(silu, lambda g, ans, y: g * silu_slope(y))


@checked
def init_mlp(rng, sizes, dtype=np.float64):
    """Parameters for layers of the given sizes, a list of (W (in,out), b (out,)): W ~ N(0, 1/in), b = 0."""
    if len(sizes) < 2:
        raise ValueError(f"sizes is {sizes}; want an input and an output size")
    return [((rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)).astype(dtype), np.zeros(n_out, dtype))
            for n_in, n_out in pairwise(sizes)]


def plain(params, x):
    """f(x), (N,in) -> (N,out)."""
    for W, b in params[:-1]:
        x = silu(np.dot(x, W) + b)                                           # (N,k)  (NET.1)
    W, b = params[-1]
    return np.dot(x, W) + b                                                  # (N,out)  (NET.1)


def plain_jvp(params, x, v):
    """f(x), and its directional derivative like v."""
    return along(lambda x: plain(params, x), x, v)


def plain_trace(params, x):
    """The trace of ∂f/∂x (N,), and f(x) (N,d)."""
    return trace(lambda x: plain(params, x), x)[::-1]                        # (N,) (N,d)  (JVP.2)


def plain_gradient(params, x):
    """The gradient (N,d) of the one output."""
    return gradient(lambda x: plain(params, x)[:, 0], x)


def network(params, x):
    """f(x), (N,in) -> (N,out): plain(params, x), in blocks of rows or with its derivative in θ by hand."""
    return evaluate(plain, mlp, params, x) if traced(params, x) else in_blocks(plain, params, x)


def inclined(f, slope, x):
    """f + slope·x, in value and derivative."""
    return f + slope * x if slope else f                                     # like f  (NET.8) (NET.10)


class MLP:
    """Score function s(x), (N,d) -> (N,d), that knows its own derivatives.

    params: a list of (W (in,out), b (out,)) from d inputs to d outputs, float32 or float64. Raises
    TypeError or ValueError where the layers do not fit."""

    slope = 0.0                                                              # of a skip: NoiseConditionalMLP.at

    def __init__(self, params):
        self.params, self.d, outputs = parameters(params)
        if outputs != self.d:
            raise ValueError(f"params lead from {self.d} inputs to {outputs} outputs; a score wants as many")

    @checked
    def __call__(self, x):
        return inclined(network(self.params, x), self.slope, x)

    @checked
    def jvp(self, x, v):
        """s (N,d), and Jv like v, (N,d) or (M,N,d)."""
        s, Jv = evaluate(plain_jvp, mlp_jvp, self.params, x, v)
        return inclined(s, self.slope, x), inclined(Jv, self.slope, v)

    @checked
    def divergence(self, x):
        """s (N,d), and tr ∂s/∂x (N,): in closed form for two hidden layers, else by d tangents."""
        if len(self.params) == 3:
            tr, s = evaluate(plain_trace, mlp_trace, self.params, x)         # (N,) (N,d)  (ISM.13)
            return inclined(s, self.slope, x), inclined(tr, self.slope, self.d)
        return trace(self, x)                                                # (N,d) (N,)  (JVP.2)


class NoiseConditionalMLP:
    """Score function s(x, sigma), (N,d) -> (N,d); sigma one number or (N,).

    params lead from d + 1 inputs to d outputs. The network sees x/√(σ² + σ_data²) and log σ, and its output
    is divided by σ, so that −σ s(x, σ) predicts the noise z (NET.4). With skip it is added to the score of
    N(0, sigma_data² I) under noise (NET.8): for data of mean 0 whose d exceeds the width. Raises as MLP does."""

    @checked
    def __init__(self, params, sigma_data=1.0, skip=False):
        self.params, inputs, self.d = parameters(params)
        self.sigma_data, self.skip = sigma_data, skip
        if inputs != self.d + 1:
            raise ValueError(f"params lead from {inputs} inputs to {self.d} outputs; want d + 1 inputs, d outputs")

    @checked(sigma=levels)
    def __call__(self, x, sigma):                                            # (N,d) (N,1)
        tau = np.sqrt(sigma**2 + self.sigma_data**2)                         # (N,1)
        f = network(self.params, np.concatenate([x / tau, np.log(sigma)], axis=1))  # (N,d)
        if self.skip:
            return self.sigma_data / (sigma * tau) * f - x / tau**2          # (N,d)  (NET.8)
        return f / sigma                                                     # (N,d)  (NET.4)

    @checked
    def at(self, sigma):
        """The score function s(·, sigma) at one level, as an MLP, with a linear term where there is a skip."""
        tau = (sigma**2 + self.sigma_data**2)**0.5
        (W, b), *rest = self.params                                          # (d+1,k) (k,)
        layers = [(W[:-1] / tau, b + math.log(sigma) * W[-1]), *rest]
        (W, b), size = layers[-1], sigma * tau / self.sigma_data if self.skip else sigma
        score = MLP([*layers[:-1], (W / size, b / size)])                    # (NET.5)
        score.slope = -1 / tau**2 if self.skip else 0.0                      # (NET.10)
        return score


class EnergyMLP:
    """Energy E(x), (N,d) -> (N,); the last layer of params has one output. Raises as MLP does."""

    def __init__(self, params):
        self.params, self.d, outputs = parameters(params)
        if outputs != 1:
            raise ValueError(f"params lead to {outputs} outputs; an energy wants 1")

    @checked
    def __call__(self, x):
        return network(self.params, x)[:, 0]

    @checked
    def gradient(self, x):
        """∇E(x) (N,d)."""
        return evaluate(plain_gradient, mlp_gradient, self.params, x)


@checked
def energy_score(energy):
    """The score function −∇E of any energy (N,d) -> (N,) that treats rows independently. An energy of your own
    is written with autograd.numpy; one that offers .gradient(x) is asked for that."""
    @checked
    def score(x):
        if hasattr(energy, "gradient"):
            return -energy.gradient(x)                                       # (N,d)  (EBM.3)
        return -gradient(energy, x)                                          # (N,d)  (EBM.3)
    return score
