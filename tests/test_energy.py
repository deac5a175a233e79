"""Energies against densities whose normaliser is known, in closed form or by quadrature."""

from math import exp, log, pi, sqrt

import autograd.numpy as np
import pytest
from autograd import value_and_grad
from autograd.misc import flatten
from oracles import random_params

from scoremin import EnergyMLP, GaussianMixture, energy_score, implicit_loss

GRID = np.linspace(-12, 12, 1201)[:, None]
DX = GRID[1, 0] - GRID[0, 0]
P = GaussianMixture([0.3, 0.7], [[-1.0], [1.5]], [[[0.4]], [[0.9]]])


def confined(params):
    """A small energy network plus ¼x², so that exp(−E) can be integrated."""
    return lambda x: EnergyMLP(params)(x) + 0.25 * np.sum(x**2, axis=1)


def log_model(params, x):
    """log p_θ(x) with log Z_θ by quadrature."""
    return -confined(params)(x) - np.log(np.sum(np.exp(-confined(params)(GRID))) * DX)


def test_energy_of_a_gaussian_has_its_density():
    """(EBM.1) E = wx + b + ¼x² has p = N(−2w, 2) and Z = √(4π) e^(w² − b): density and normaliser in closed form."""
    w, b = 0.6, -0.3
    params = [(np.array([[w]]), np.array([b]))]
    exact = -(GRID[:, 0] + 2 * w)**2 / 4 - 0.5 * log(4 * pi)
    assert np.max(np.abs(log_model(params, GRID) - exact)) < 1e-12
    assert np.max(np.abs(-confined(params)(GRID) - log(sqrt(4 * pi) * exp(w**2 - b)) - exact)) < 1e-12


def test_likelihood_gradient_is_data_mean_against_model_mean_of_the_energy_gradient():
    """(EBM.2) Central differences of E_p[log p_θ], Z_θ by quadrature, equal −E_p[∇E] + E_{p_θ}[∇E]."""
    theta, unflatten = flatten(random_params([1, 5, 4, 1], 7))
    p, model = np.exp(P.log_density(GRID)) * DX, np.exp(log_model(unflatten(theta), GRID)) * DX
    energy_gradient = value_and_grad(lambda params, w: np.sum(w * EnergyMLP(params)(GRID)))
    exact = flatten(energy_gradient(unflatten(theta), model - p)[1])[0]
    for k, step in enumerate(1e-5 * np.eye(theta.size)):
        up, down = (np.sum(p * log_model(unflatten(theta + u), GRID)) for u in (step, -step))
        assert abs((up - down) / 2e-5 - exact[k]) < 1e-8


def test_score_of_an_energy_needs_no_normaliser():
    """(EBM.3) −∇E equals central differences of the normalised log p_θ, Z_θ by quadrature."""
    params, x = random_params([1, 5, 4, 1], 8), np.linspace(-4, 4, 17)[:, None]
    numeric = (log_model(params, x + 1e-5) - log_model(params, x - 1e-5)) / 2e-5
    assert np.max(np.abs(energy_score(confined(params))(x)[:, 0] - numeric)) < 1e-8


def test_energy_score_is_minus_the_gradient_in_every_coordinate():
    """(EBM.3) Central differences of E along each axis of three, for a network with two hidden layers."""
    energy, x = EnergyMLP(random_params([3, 6, 5, 1], 9)), np.random.default_rng(10).normal(0, 2, (8, 3))
    for j, e in enumerate(1e-5 * np.eye(3)):
        assert np.max(np.abs(energy_score(energy)(x)[:, j] + (energy(x + e) - energy(x - e)) / 2e-5)) < 1e-9


def test_a_constant_added_to_the_energy_changes_nothing():
    """(EBM.3) E + c and E have one score and one implicit loss, whose gradient in c is 0."""
    params, x = random_params([2, 6, 5, 1], 11), np.random.default_rng(12).normal(0, 2, (8, 2))
    shifted = lambda c: energy_score(lambda x: EnergyMLP(params)(x) + c)
    assert np.max(np.abs(shifted(1e3)(x) - energy_score(EnergyMLP(params))(x))) < 1e-14
    b_last = params[-1][1]
    loss = lambda b: implicit_loss(energy_score(EnergyMLP(params[:-1] + [(params[-1][0], b)])), x)
    assert loss(b_last + 5.0) == pytest.approx(loss(b_last), abs=1e-14)
