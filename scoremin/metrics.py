"""Metrics (MET): how good is a learned score, and how good are samples?

Pictures convince too easily. Numbers say how far a score is from the true one, and samples from the data. A learned
score is held against the true one on points of p, by (ESM.1) or relative to the size of the truth, so that 0 is
perfect and s = 0 scores 1:

    (MET.1)  E‖s − ∇log p‖² / E‖∇log p‖²

It is a mean square: .01 means that the score is wrong by a tenth of its size. Samples a (n,d) and b (m,d), sets of
points in this chapter, are held against each other by the energy distance,

    (MET.2)  ED(a, b) = 2 E‖a_i − b_j‖ − E‖a_i − a_i'‖ − E‖b_j − b_j'‖

Let F_u, G_u be the distribution functions of uᵀa and uᵀb for a unit vector u. The average of |uᵀx| over all u is
c_d‖x‖, c_d > 0. |x − y| is the length of all t between x and y. For x from F and y from G, t is between them with
probability F(t)(1 − G(t)) + G(t)(1 − F(t)), so E|x − y| is the integral of that, and the three means together are

    (MET.5)  ED(a, b) = 2/c_d · E_u ∫ (F_u(t) − G_u(t))² dt ≥ 0

zero only for equal laws, since projections determine a law. Means run over all pairs, also i = i', so samples of one
law have a positive floor, about (1/n + 1/m) E‖a − a'‖: compare with real against real. With weights w = 1/n on rows of
a and −1/m on those of b, and R the matrix of all distances,

    (MET.3)  ED(a, b) = −wᵀ R w

If a and b have one law, permuting w changes nothing in distribution, and the rank of ED among B random permutations
w_1 … w_B is a p-value: P(p-value ≤ α) ≤ α for every n and m. Ties count against rejection; values are tied if they are
equal up to rounding, 4κ max R, with κ = 1.2·10⁻⁷ for points in float32 and 2.2·10⁻¹⁶ in float64:

    (MET.4)  p-value = (1 + #{k: −w_kᵀRw_k ≥ ED}) / (B + 1)

Means over pairs hardly notice blur, or strays between the parts of the data. Neighbours do. Around each point of b draw
a ball that reaches to the k-th nearest of the others; together these balls are where b is:

    (MET.6)  ρ_j = distance from b_j to the k-th nearest of b_i, i ≠ j
    (MET.7)  precision = 1/n #{i: ‖a_i − b_j‖ ≤ ρ_j for some j},   recall: the same with a and b exchanged

For samples a and real points b, samples off the data lower the precision, parts of the data that no sample reaches the
recall. Neither is 1 between two samples of one law: there a_i is equally likely the 1st, 2nd, … m-th nearest to b_j, so
it lies in the ball of b_j with probability k/m, and over all j

    (MET.8)  E #{j: ‖a_i − b_j‖ ≤ ρ_j} = k

spread unevenly: at k = 1 on a line a_i misses the ball of either neighbour with probability ½, of both with ¼, and
the precision is ¾; in many dimensions few b_j lie in many balls. So compare with real against real here too.

All but the first two functions compute in float64. Sources: Székely & Rizzo 2013; Kynkäänniemi et al. 2019 (MET.7).
"""

import numpy as np

from .checks import Watched, checked, demand, doubles, start
from .data import squared_distances
from .explicit import explicit_loss


@checked(target=Watched)
def fisher_divergence(score, target, x):
    """½ E‖s(x) − target(x)‖² for two score functions on points x (N,d)."""
    return explicit_loss(score, x, target(x))                                # ()  (ESM.1)


@checked(target=Watched)
def relative_error(score, target, x):
    """fisher_divergence over that of s = 0: a mean square, whose root is the size of the error in the score's."""
    truth = target(x)                                                        # (N,d)
    size = explicit_loss(np.zeros_like, x, truth)                            # ()
    demand(size > 0, "target(x)", 0.0, "one that is not 0 at every x: no error is relative to that")
    return explicit_loss(score, x, truth) / size                             # ()  (MET.1)


def distances(a, b):
    """‖a_n − b_m‖, (N,d) (M,d) float64 -> (N,M), each to ten digits and better.

    By differences where d is small; else by a² − 2ab + b² about the mean of b, and by differences those pairs in which
    its rounding, at most 2(d + 4)(a² + b²) ulp, may be above 10⁻¹⁰ of the square: where that is ≤ 10⁻⁵ d(a² + b²)."""
    if a.shape[1] <= 16:
        return np.sqrt(squared_distances(a, b))
    p, q = a - b.mean(axis=0), b - b.mean(axis=0)
    squares = np.sum(p**2, axis=1)[:, None] + np.sum(q**2, axis=1)           # (N,M)
    R = squares - 2 * np.dot(p, q.T)                                         # (N,M)
    for n, m in zip(*np.nonzero(~(R > 1e-5 * a.shape[1] * squares))):
        R[n, m] = np.sum((a[n] - b[m])**2)
    return np.sqrt(R)


def _in_blocks(a, b):
    """distances(a, b), a block of rows after the other: memory does not grow with len(a)·len(b)."""
    rows = max(1, 2**16 // len(b))
    return (distances(a[i:i + rows], b) for i in range(0, len(a), rows))     # (B,m)


@checked(a=doubles, b=doubles)
def energy_distance(a, b):
    """Energy distance between samples a (n,d) and b (m,d); for one law about (1/n + 1/m) E‖a − a'‖."""
    mean = lambda a, b: sum(np.sum(R) for R in _in_blocks(a, b)) / (len(a) * len(b))
    return 2 * mean(a, b) - mean(a, a) - mean(b, b)                          # ()  (MET.2)


def neighbour_distance(a, b, k):
    """Distance from each point of a (n,d) to the k-th nearest of b (m,d), (n,)."""
    return np.concatenate([np.partition(R, k - 1, axis=1)[:, k - 1].copy() for R in _in_blocks(a, b)])  # (n,)


def _share_within(a, b, k):
    """Share of a (n,d) in the balls of b (m,d); b_j is the first of its own neighbours."""
    radii = (1 + 1e-9) * neighbour_distance(b, b, k + 1)                     # (m,)  (MET.6) what is as far is within
    return sum(np.sum((R <= radii).any(axis=1)) for R in _in_blocks(a, b)) / len(a)  # ()  (MET.7)


@checked(a=doubles, b=doubles)
def precision_recall(a, b, k=3):
    """Share of samples a (n,d) within reach of real points b (m,d), and of b within reach of a: in a ball around one
    of them that holds its k nearest. k below n and m."""
    demand(k < min(len(a), len(b)), "k", k, f"fewer neighbours than points, of which there are {len(a)} and {len(b)}")
    return _share_within(a, b, k), _share_within(b, a, k)                    # () ()  (MET.7)


@checked(a=start, b=start)
def two_sample_test(a, b, rng, n_permutations=999):
    """p-value of the hypothesis that a (n,d) and b (m,d) come from one law. Memory (n+m)². Computed in float64."""
    pool = doubles("a, b", np.concatenate([a, b]))                           # (n+m,d)
    R = distances(pool, pool)                                                # (n+m,n+m)
    w = np.repeat([1 / len(a), -1 / len(b)], [len(a), len(b)])               # (n+m,)
    draws = np.stack([w] + [rng.permutation(w) for _ in range(n_permutations)])  # (B+1,n+m)
    ED = -np.sum(draws @ R * draws, axis=1)                                  # (B+1,)  (MET.3)
    return np.mean(ED >= ED[0] - 4 * np.finfo(a.dtype).eps * R.max())        # ()  (MET.4)


@checked(x=doubles, means=doubles)
def mode_weights(x, means):
    """Share of the points x (N,d) that are nearest to each of means (K,d), (K,); ties go to the first."""
    nearest = np.argmin(squared_distances(x, means), axis=1)                 # (N,)
    return np.bincount(nearest, minlength=len(means)) / len(x)               # (K,)
