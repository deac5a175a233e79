"""scoremin: score matching, complete and small, in NumPy and autograd.

The score of a density p is the gradient of its logarithm, ∇log p(x). A model of it needs no
normalising constant, can be learned from samples in several ways, and is enough to draw new ones.

A *score function* is any callable score(x) -> s, (N, d) -> (N, d); a *noise-conditional* one is
score(x, sigma), sigma a number or (N,). Objectives, samplers and metrics take any score function: a
network, a closed form, minus the gradient of an energy, a KDE. Objectives are pure, their noise z
and probes v come in as arguments; samplers and training take an explicit rng.

Notation, the same in every chapter (rows are samples, N of them in d dimensions):

    params θ       list of (W, b), y = xW + b         x, x_noisy   points (N,d); x̃ = x + σz
    score, s       score function, its value (N,d)    z            standard normal noise (N,d)
    p, q_σ, p_h    density; of noisy data; KDE        v            probes, E vvᵀ = I, (N,d) or (M,N,d)
    φ, ς           SiLU, sigmoid                      sigma, σ     noise level; sigmas descending
    tr             trace of ∂s/∂x, (N,)               h            KDE bandwidth
    E, energy      energy (N,); E[·] is a mean        step         Langevin step, x + step/2 s + √step z

Read in this order; each file is a chapter, its docstring the derivation, and a comment (ISM.4) in
the code means "this line computes equation ISM.4":

    data          MIX      densities, scores and samples in closed form
    network       NET EBM  the MLP as a score, as a noise-conditional score, as an energy
    derivatives   JVP      directional derivatives and the divergence of any score function
    explicit      ESM      match a known or estimated score
    implicit      ISM      match an unknown score, with the exact trace
    linear        LIN      the same as least squares, for models linear in their parameters
    sliced        SSM      the same with random probes, at a cost free of d
    denoising     DSM      learn the score of noisy data by predicting the noise
    ncsn          NCSN     many noise levels, one network
    langevin      LD       sample, at one level or annealed through many
    sde           SDE      continuous noise: sample in ten calls, and exact likelihoods
    train         FIT      Adam and the training loop
    metrics       MET      distances between scores and between samples
    backprop      BP       the MLP's derivatives by hand, the fast path under network

(checks.py, input validation, has no mathematics.)
"""

from .data import GaussianMixture, checkerboard, swiss_roll, two_moons
from .denoising import denoising_loss, tweedie
from .derivatives import divergence, jvp
from .explicit import explicit_loss, kde_log_density, kde_score
from .implicit import implicit_loss
from .langevin import annealed_langevin, langevin
from .linear import linear_score
from .metrics import energy_distance, fisher_divergence, mode_weights, relative_error, two_sample_test
from .ncsn import geometric_sigmas, ncsn_loss
from .network import MLP, EnergyMLP, NoiseConditionalMLP, energy_score, init_mlp
from .sde import dpm_solver, log_likelihood, probability_flow, reverse_sde
from .sliced import probes, sliced_loss, sliced_vr_loss
from .train import fit
