"""The network: a multilayer perceptron, used as a score and as a noise-conditional score.

A network turns each point into an arrow: weighted sums, a smooth bend φ of each, and sums of these again. Training
chooses the weights so that the arrows are the score. Rows are samples, W_l is (in, out), and l = 1 … L counts layers
here and in BP. With φ = SiLU,

    (NET.1)  a_0 = x,   y_l = a_{l−1} W_l + b_l,   a_l = φ(y_l) for l < L,   f(x) = y_L
    (NET.2)  φ(y) = y ς(y),   ς(y) = 1/(1 + e^−y)
    (NET.3)  ς' = ς(1 − ς),   φ' = ς(1 + y(1 − ς))

φ must be smooth: ISM and SSM train on φ', so their gradient needs φ'', and ReLU has none (ISM.11). Where e^−y overflows
ς is 0, as it should be, and as ς' is a polynomial in ς, derivatives of every order stay finite.

One network serves all noise levels when it also sees σ (why one wants that, NCSN tells). Its input is scaled to unit
size, with σ_data the spread of the data. Its output is divided by σ: 1/σ is the size of the target −z/σ and bounds the
score, E‖s‖² ≤ d/σ² by (DSM.3), and −f predicts the noise z (DSM.10). At one σ that is an MLP of x alone, with the
constants moved into its weights (NET.5); a single layer takes both changes. Its derivatives G_l = ∂ℓ/∂W_l and
g_l = ∂ℓ/∂b_l give those of the network (NET.6):

    (NET.4)  s(x, σ) = f([x/τ, log σ])/σ,   τ² = σ² + σ_data²
    (NET.5)  W_1 → W_1[:d]/τ,   b_1 → b_1 + log σ W_1[d],   W_L → W_L/σ,   b_L → b_L/σ
    (NET.6)  ∂ℓ/∂W_1 = [G_1/τ; log σ g_1],   ∂ℓ/∂b_1 = g_1,   ∂ℓ/∂W_L = G_L/σ,   ∂ℓ/∂b_L = g_L/σ

Few units cannot carry many dimensions. Let the data be N(0, σ_data² I) and x̃ = x + σz. The best prediction of z is
σx̃/τ², which varies in all d dimensions; with k < d units in the last hidden layer f varies in only k of them:

    (NET.7)  ½ E‖z + f‖² ≥ ½ d σ_data²/τ² + ½ (d − k) σ²/τ²

The first term is the error of the best prediction. The second is lost in the d − k dimensions where f stands still:
there samples keep the spread that they start with. The cure, skip=True, is to add the score of the noisy Gaussian,
−x/τ², and to learn only the rest, scaled to size 1:

    (NET.8)  s(x, σ) = −x/τ² + σ_data/(στ) f([x/τ, log σ])
    (NET.9)  σ² ℓ = ½ σ_data²/τ² E‖f − t‖²,   t = (x σ/σ_data − z σ_data)/τ
    (NET.10) at one σ:  ∂s/∂x v = −v/τ² + Jv,   tr ∂s/∂x = −d/τ² + tr J,   J of (NET.5) with στ/σ_data for σ in layer L

For data of mean 0 and E‖x‖² = d σ_data², E‖t‖² = d at every σ: t is −z where σ is small, x/σ_data where it is large.
If their covariance is σ_data² I, E[t x̃ᵀ] = 0: nothing linear is left to learn, and for Gaussian data f = 0 is best.

Sources: Song & Ermon 2020, technique 3 (1/σ); Karras et al. 2022 (scaling, skip).
"""

import math
from itertools import pairwise

import autograd.numpy as np
from autograd.extend import defjvp, defvjp, primitive

from .backprop import evaluate, in_blocks, mlp, mlp_jvp, mlp_trace, traced
from .checks import checked, demand, levels, parameters
from .derivatives import along, trace

quiet = np.errstate(over="ignore")                                           # e^−y may be infinite: ς is 0 then
sigmoid = primitive(quiet(lambda y: 1 / (1 + np.exp(-y))))                   # ς  (NET.2)
silu = primitive(quiet(lambda y: y / (1 + np.exp(-y))))                      # φ  (NET.2)
defvjp(sigmoid, lambda ans, y: lambda g: g * ans * (1 - ans))                # (NET.3)
defjvp(sigmoid, lambda g, ans, y: g * ans * (1 - ans))                       # (NET.3)
silu_slope = lambda y: sigmoid(y) * (1 + y * (1 - sigmoid(y)))               # φ'  (NET.3)
defvjp(silu, lambda ans, y: lambda g: g * silu_slope(y))
defjvp(silu, lambda g, ans, y: g * silu_slope(y))


@checked
def init_mlp(rng, sizes, dtype=np.float64):
    """Parameters for layers of the given sizes, a list of (W (in,out), b (out,)): W ~ N(0, 1/in), b = 0."""
    return [((rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)).astype(dtype), np.zeros(n_out, dtype))
            for n_in, n_out in pairwise(sizes)]                              # (in,out) (out,)  (NET.1)


def plain(params, x):
    """f(x), (N,in) -> (N,out)."""
    for l, (W, b) in enumerate(params):
        x = np.dot(silu(x) if l else x, W) + b                               # (N,out)  (NET.1)
    return x


def network(params, x):
    """plain(params, x), in blocks of rows, or with its derivative in θ by hand."""
    return evaluate(plain, mlp, params, x) if traced(params, x) else in_blocks(plain, params, x)


def inclined(f, slope, x):
    """f + slope·x, in value and derivative."""
    return f + slope * x if slope else f                                     # like f  (NET.10)


class MLP:
    """Score function s(x), (N,d) -> (N,d), that knows its own derivatives. params: a list of (W (in,out), b (out,))
    from d inputs to d outputs, float32 or float64. slope·x is added to its output: a skip, as NoiseConditionalMLP.at
    wants it. Raises TypeError or ValueError where the layers do not fit."""

    def __init__(self, params, slope=0.0):
        self.slope, (self.params, self.d, outputs) = slope, parameters(params)
        demand(outputs == self.d, "the number of outputs of params", outputs, f"{self.d}, as of inputs")

    @checked
    def __call__(self, x):
        return inclined(network(self.params, x), self.slope, x)              # (N,d)  (NET.1)

    @checked
    def jvp(self, x, v):
        """s (N,d), and Jv like v, (N,d) or (M,N,d)."""
        s, Jv = evaluate(lambda params, x, v: along(lambda x: plain(params, x), x, v), mlp_jvp, self.params, x, v)
        return inclined(s, self.slope, x), inclined(Jv, self.slope, v)       # (N,d) like v  (NET.10)

    @checked
    def divergence(self, x):
        """s (N,d), and tr ∂s/∂x (N,): in closed form for two hidden layers, else by d tangents at once."""
        if len(self.params) == 3:                                            # (ISM.13)
            s, tr = evaluate(lambda params, x: trace(lambda x: plain(params, x), x), mlp_trace, self.params, x)
            return inclined(s, self.slope, x), inclined(tr, self.slope, self.d)  # (N,d) (N,)  (NET.10)
        return trace(self, x)                                                # (N,d) (N,)  (JVP.2)


class NoiseConditionalMLP:
    """Score function s(x, sigma), (N,d) -> (N,d); sigma one number or (N,). params lead from d + 1 inputs to d outputs;
    sigma_data: the spread of the data (NET.4). skip adds the score of N(0, sigma_data² I) under noise (NET.8): for data
    of mean 0 whose d exceeds the width. Raises as MLP does."""

    @checked
    def __init__(self, params, sigma_data=1.0, skip=False):
        (self.params, inputs, self.d), self.sigma_data, self.skip = parameters(params), sigma_data, skip
        demand(inputs == self.d + 1, "the number of inputs of params", inputs, f"{self.d + 1}, d and σ")

    @checked(sigma=levels)
    def __call__(self, x, sigma):                                            # (N,d) (N,1)
        tau = np.sqrt(sigma**2 + self.sigma_data**2)                         # (N,1)
        f = network(self.params, np.concatenate([x / tau, np.log(sigma)], axis=1))  # (N,d)
        if self.skip:
            return self.sigma_data / (sigma * tau) * f - x / tau**2          # (N,d)  (NET.8)
        return f / sigma                                                     # (N,d)  (NET.4)

    @checked
    def at(self, sigma):
        """The score function s(·, sigma) at one level, an MLP with a slope where there is a skip."""
        tau = (sigma**2 + self.sigma_data**2)**0.5
        size, slope = (sigma * tau / self.sigma_data, -1 / tau**2) if self.skip else (sigma, 0.0)  # (NET.10)
        (W, b), *rest = self.params                                          # (d+1,k) (k,)
        *layers, (W, b) = [(W[:-1] / tau, b + math.log(sigma) * W[-1]), *rest]  # (NET.5)
        return MLP([*layers, (W / size, b / size)], slope)                   # (NET.5)
