"""Metrics (MET): how good is a learned score, and how good are samples?

A learned score is held against the true one on points of p, by (ESM.1) or relative to the size of
the truth, so that 0 is perfect and s = 0 scores 1:

    (MET.1)  E‖s − ∇log p‖² / E‖∇log p‖²

Samples a (n,d) and b (m,d) are held against each other by the energy distance,

    (MET.2)  D(a, b) = 2 E‖a_i − b_j‖ − E‖a_i − a_i'‖ − E‖b_j − b_j'‖ ≥ 0

zero only for equal laws. Means run over all pairs, also i = i', so that finite samples of one law
give a positive floor of about (1/n + 1/m) E‖a − a'‖: compare with real against real. With weights
w = 1/n on rows of a and −1/m on those of b, and R the matrix of all distances,

    (MET.3)  D(a, b) = −wᵀ R w

If a and b have one law, permuting w changes nothing in distribution, and the rank of D among
permutations w_1 … w_K is a p-value, P(p ≤ α) ≤ α for every n and m, ties counting against rejection:

    (MET.4)  p = (1 + #{k: −w_kᵀRw_k ≥ D}) / (K + 1)

Source: Székely & Rizzo 2013.
"""

import numpy as np

from .checks import like, points
from .data import squared_distances
from .derivatives import half_mean_square


def fisher_divergence(score, target, x):
    """½ E‖s(x) − target(x)‖² for two score functions on points x (N,d)."""
    x = points("x", x)
    return half_mean_square(like(score(x), x), like(target(x), x))           # ()  (ESM.1)


def relative_error(score, target, x):
    """fisher_divergence over that of s = 0: the share of the true score that is missed."""
    return fisher_divergence(score, target, x) / fisher_divergence(np.zeros_like, target, x)  # ()  (MET.1)


def _mean_distance(a, b):
    """E‖a_i − b_j‖ over all pairs; memory does not grow with len(a)·len(b)."""
    blocks = (np.sqrt(squared_distances(a[i:i + 64], b)) for i in range(0, len(a), 64))  # (B,m)
    return sum(np.sum(R, dtype=float) for R in blocks) / (len(a) * len(b))


def energy_distance(a, b):
    """Energy distance between samples a (n,d) and b (m,d); for one law about (1/n + 1/m) E‖a − a'‖."""
    a = points("a", a)
    b = points("b", b, a.shape[1])
    return 2 * _mean_distance(a, b) - _mean_distance(a, a) - _mean_distance(b, b)  # ()  (MET.2)


def two_sample_test(a, b, rng, n_permutations=999):
    """p-value of the hypothesis that a (n,d) and b (m,d) come from one law. Memory (n+m)²."""
    a = points("a", a)
    pool = np.concatenate([a, points("b", b, a.shape[1])])                   # (n+m,d)
    R = np.sqrt(squared_distances(pool, pool))                               # (n+m,n+m)
    w = np.repeat([1 / len(a), -1 / len(b)], [len(a), len(b)])               # (n+m,)
    draws = np.stack([w] + [rng.permutation(w) for _ in range(n_permutations)])
    D = -np.sum(draws @ R * draws, axis=1)                                   # (K+1,)  (MET.3)
    return np.mean(D >= D[0] - 1e-12 * R.max())                              # ()  (MET.4)


def mode_weights(x, means):
    """Share of the points x (N,d) that are nearest to each of means (K,d), (K,)."""
    means = points("means", means)
    sq = squared_distances(points("x", x, means.shape[1]), means)            # (N,K)
    return np.bincount(np.argmin(sq, axis=1), minlength=len(means)) / len(x)  # (K,)
