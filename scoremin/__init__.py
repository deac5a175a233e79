"""scoremin: score matching, complete and small, in NumPy and autograd.

The score of a density p is the gradient of its logarithm, ∇log p(x). A constant factor of p does not change it, so a
model of it needs no normalising constant; it can be learned from samples, and is enough to draw new ones.

A *score function* is any function score(x) that takes points (N, d) and returns arrows s (N, d); a *noise-conditional*
one is score(x, sigma), sigma a number or (N,). Objectives, samplers and metrics take any score function: a network, a
formula, minus the gradient of an energy, a kernel estimate. Noise z and probes v of an objective are arguments;
samplers and training take an rng.

These letters mean the same in all chapters, unless one says otherwise, and are explained where they first stand; rows
are samples, N of them in d dimensions. Any other letter holds in its own chapter, which says what it is.

    params θ       list of (W, b), y = xW + b         x, x_noisy   points (N,d); x̃ = x + σz
    score, s       score function, its value (N,d)    z            standard normal noise (N,d)
    p, q_σ, p_h    density; of noisy data; KDE        v            probes, E vvᵀ = I, (N,d) or (M,N,d)
    φ, ς           SiLU, sigmoid                      sigma, σ     noise level; sigmas σ_1 … σ_L descend
    tr             trace of ∂s/∂x, (N,)               h            KDE bandwidth
    ∘              product entry by entry             step         Langevin step, x + step/2 s + √step z

E is a mean over what is random, as in E[z] or E‖z‖² = d; an energy is written with its point, E(x). ᵀ is a transpose.
Matrix products bind tighter than ∘, and ∘ than sums. L counts layers in NET and BP, else noise levels.

A loss in code reads as its equation: mean(a) is E[a], half_square(a) is ½‖a‖² and inner(a, b) is aᵀb, of each row.

Read in this order; a file is a chapter, its docstring the derivation; a comment (ISM.4) names its line's equation:

    data          MIX      densities, scores and samples in closed form
    network       NET      the MLP as a score, and as a noise-conditional score
    derivatives   JVP      directional derivatives and the divergence of any score function
    energy        EBM      the MLP as an energy, and the score of any energy
    explicit      ESM      match a known or estimated score
    implicit      ISM      match an unknown score, with the exact trace
    linear        LIN      the same by one linear solve, for models linear in their parameters
    sliced        SSM      the same with random probes, in two passes whatever d is
    denoising     DSM      learn the score of noisy data by predicting the noise
    ncsn          NCSN     many noise levels, one network
    langevin      LD       sample, at one level or annealed through many
    sde           SDE      continuous noise: sample in ten calls, and exact likelihoods
    conditional   COND     sample when something is known: learned, or by Bayes; guidance
    train         FIT      Adam and the training loop
    metrics       MET      distances between scores and between samples
    recipe        REC      own data: all of it in one function, which says how good and when it copies
    backprop      BP       engine room: the MLP's derivatives by hand, what autograd records

Numbers of equations are names, not places: a later one may stand between earlier ones. checks.py, also engine room,
says what a public function demands of its arguments; a reader of the mathematics may skip both.
"""

from .conditional import given, posterior_score
from .data import GaussianMixture, checkerboard, standardise, swiss_roll, two_moons
from .denoising import as_score, denoising_loss, denoising_vr_loss, tweedie
from .derivatives import divergence, jvp
from .energy import EnergyMLP, energy_score
from .explicit import explicit_loss, kde_log_density, kde_score
from .implicit import generalised_loss, implicit_loss
from .langevin import annealed_langevin, langevin
from .linear import linear_score
from .metrics import energy_distance, fisher_divergence, mode_weights, precision_recall, relative_error, two_sample_test
from .ncsn import geometric_sigmas, ncsn_loss, ncsn_vr_loss, stratified_sigmas
from .network import MLP, NoiseConditionalMLP, init_mlp
from .recipe import sampler
from .sde import dpm_solver, log_likelihood, probability_flow, reverse_sde
from .sliced import finite_difference_loss, probes, sliced_loss, sliced_vr_loss
from .train import fit

__all__ = [name for name, value in list(globals().items()) if callable(value)]  # so that help() lists them
