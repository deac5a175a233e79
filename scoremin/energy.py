"""Energies (EBM): a density from one number per point, and why its score is easy where its likelihood is not.

An energy E_θ(x) says how unlikely a point is; any function with one output serves, such as a network. It makes a
density, provided that Z is finite:

    (EBM.1)  p_θ(x) = exp(−E_θ(x)) / Z_θ,   Z_θ = ∫ exp(−E_θ(x)) dx
    (EBM.2)  ∇_θ E_p[log p_θ(x)] = −E_p[∇_θ E_θ(x)] + E_{p_θ}[∇_θ E_θ(x)]
    (EBM.3)  s_θ(x) = ∇_x log p_θ(x) = −∇_x E_θ(x) − ∇_x log Z_θ = −∇_x E_θ(x)

The last term of (EBM.2), −∇_θ log Z_θ = ∫ e^{−E_θ} ∇_θ E_θ dx/Z_θ, is a mean under the model itself: maximum likelihood
must sample the model at every step. The score needs no Z, which is constant in x.

Cost: ∇E takes a pass forward and one back, and training on it, with two derivatives more, 1.7 to 1.8 times as long as
on a score. Fails: with piecewise linear activations (ISM.11). Source: LeCun et al. 2006.
"""

from .backprop import evaluate, mlp_gradient
from .checks import checked, demand, parameters
from .derivatives import gradient
from .network import network, plain


class EnergyMLP:
    """Energy E(x), (N,d) -> (N,); the last layer of params has one output. Raises as MLP does."""

    def __init__(self, params):
        self.params, self.d, outputs = parameters(params)
        demand(outputs == 1, "the number of outputs of params", outputs, "1, the energy")

    @checked
    def __call__(self, x):
        return network(self.params, x)[:, 0]                                 # (N,)  (EBM.1)

    @checked
    def gradient(self, x):
        """∇E(x) (N,d)."""
        slope = lambda params, x: gradient(lambda x: plain(params, x)[:, 0], x)
        return evaluate(slope, mlp_gradient, self.params, x)                 # (N,d)


@checked
def energy_score(energy):
    """The score function −∇E of any energy (N,d) -> (N,) that treats rows independently. An energy of your own
    is written with autograd.numpy; one that offers .gradient(x) is asked for that."""
    slope = getattr(energy, "gradient", lambda x: gradient(energy, x))       # x -> ∇E (N,d)
    return checked(lambda x: -slope(x))                                      # (N,d)  (EBM.3)
