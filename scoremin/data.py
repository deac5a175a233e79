"""Data: a Gaussian mixture whose density, score and samples are exact, and 2-D toy sets.

To see whether a learned score is right one needs a density whose score is known. A mixture of Gaussians is one, and its
samples are easily drawn: it is the yardstick of the whole package. x is (N, d); there are K components.

    (MIX.1)  p(x) = ∑_k w_k N(x; μ_k, Σ_k),   w_k > 0,  ∑_k w_k = 1
    (MIX.2)  log N(x; μ, Σ) = −½ (x−μ)ᵀ Σ⁻¹ (x−μ) − ½ log det Σ − (d/2) log 2π

The last two terms are −½ log det 2πΣ; without the factor d the density integrates to (2π)^((d−1)/2). For the score,
∇p = ∑_k w_k N_k ∇log N_k is divided by p; the ratios are the responsibilities r_k, with ∑_k r_k = 1:

    (MIX.3)  r_k(x) = w_k N(x; μ_k, Σ_k) / p(x)
    (MIX.4)  ∇log p(x) = −∑_k r_k(x) Σ_k⁻¹ (x−μ_k)

A port without automatic differentiation needs the Jacobian too. With u_k = Σ_k⁻¹(μ_k−x) and s = ∑_k r_k u_k,
∇r_k = r_k (u_k − s), and the product rule gives, in a form that does not cancel far out,

    (MIX.5)  ∂²log p/∂x∂xᵀ = ∑_k r_k (u_k − s)(u_k − s)ᵀ − ∑_k r_k Σ_k⁻¹

Independent noise adds its covariance: x + σz, z ~ N(0, I), which denoising learns from (DSM), has the density

    (MIX.6)  q_σ(x) = ∑_k w_k N(x; μ_k, Σ_k + σ²I)

Far out every N_k underflows, so the largest exponent is taken out of a sum of exponentials. It may be any constant,
and so counts as one in derivatives:

    (MIX.7)  log ∑_k exp c_k = c + log ∑_k exp(c_k − c),   c = max_k c_k

Data of any scale are standardised before training. With x = shift + scale·u, column by column, p_x = p_u/∏ scale, and

    (MIX.8)  u = (x − shift)/scale,   ∇log p_x(x) = ∇log p_u(u)/scale

Columns that depend on each other may lose their correlations too, w = u Q⁻¹, Q symmetric. A correlation r is known from
n rows as r̂, of variance about (1 − r²)²/n. Of all κ r̂ the nearest to r in mean square, summed over pairs i ≠ j, has
κ = ∑ r²/∑ E r̂², where E r̂² = r² + Var r̂. Eigenvalues below .3 are raised to .3: thin directions stay thin in w.

    (MIX.9)  Q² = I + κ r̂ off the diagonal,   κ = max(0, 1 − ∑ (1 − r̂_ij²)²/n / ∑ r̂_ij²)

Mixtures, and the sums of standardise, compute in float64 whatever comes in, and give back the precision of x.
"""

import autograd.numpy as np
from autograd.extend import notrace_primitive

from .checks import checked, demand, doubles, floats, start, untraced


def squared_distances(a, b):
    """‖a_n − b_m‖², (N,d) (M,d) -> (N,M). By differences: a² − 2ab + b² cancels far from 0."""
    return sum((a[:, j:j + 1] - b[:, j])**2 for j in range(a.shape[1]))


row_max = notrace_primitive(lambda a: np.max(a, axis=-1, keepdims=True))     # (N,1)  (MIX.7), a constant to autograd


def log_sum_exp(a):
    """log ∑ exp over the last axis, (N,K) -> (N,), for any size of a."""
    most = row_max(a)                                                        # (N,1)
    return most[..., 0] + np.log(np.sum(np.exp(a - most), axis=-1))          # (N,)  (MIX.7)


class GaussianMixture:
    """∑_k w_k N(μ_k, Σ_k): weights (K,) > 0, divided by their sum, which must be 1 to 10⁻⁶; means (K,d); covs
    (K,d,d), symmetric and positive definite beyond rounding. Raises ValueError otherwise."""

    def __init__(self, weights, means, covs):
        self.means = doubles("means", means)
        K, self.d = self.means.shape
        weights = floats("weights", untraced("weights", weights), np.float64, (K,))
        self.covs = floats("covs", untraced("covs", covs), np.float64, (K, self.d, self.d)).copy()
        demand(weights.min() > 0 and abs(weights.sum() - 1) < 1e-6, "weights", weights, "numbers > 0 that sum to 1")
        demand(definite(self.covs), "covs", covs, "symmetric ones, positive definite beyond rounding")
        self.weights, self.precisions = weights / weights.sum(), np.linalg.inv(self.covs)  # (K,) (K,d,d)
        self.log_scales = np.log(self.weights) - 0.5 * np.linalg.slogdet(2 * np.pi * self.covs)[1]  # (K,)  (MIX.2)

    def _terms(self, x):
        diff = x[:, None, :] - self.means                                    # (N,K,d) float64, also where x is not
        pull = np.einsum("nki,kij->nkj", diff, self.precisions)              # (N,K,d)
        return self.log_scales - 0.5 * np.sum(diff * pull, axis=2), pull     # (N,K)  (MIX.2)

    @checked
    def sample(self, rng, n):
        """n independent points (n,d)."""
        k = rng.choice(len(self.weights), size=n, p=self.weights)            # (n,)
        x = rng.standard_normal((n, self.d))                                 # (n,d)
        for i, root in enumerate(np.linalg.cholesky(self.covs)):             # one (d,d) at a time
            x[k == i] = self.means[i] + x[k == i] @ root.T                   # (n_i,d)  (MIX.1)
        return x

    @checked
    def log_density(self, x):
        """log p(x), (N,d) -> (N,)."""
        return log_sum_exp(self._terms(x)[0])                                # (N,)  (MIX.1)

    @checked
    def score(self, x):
        """∇log p(x), (N,d) -> (N,d)."""
        log_joint, pull = self._terms(x)
        r = np.exp(log_joint - log_sum_exp(log_joint)[:, None])              # (N,K)  (MIX.3)
        return -np.sum(r[:, :, None] * pull, axis=1)                         # (N,d)  (MIX.4)

    @checked
    def smoothed(self, sigma):
        """The mixture of x + σz, another GaussianMixture."""
        return GaussianMixture(self.weights, self.means, self.covs + sigma**2 * np.eye(self.d))  # (MIX.6)


def definite(covs):
    """Whether covs (K,d,d) are symmetric and positive definite to more than rounding, each column in its own scale."""
    scales = np.sqrt(np.abs(np.einsum("kii->ki", covs))) + np.finfo(float).tiny**0.5  # (K,d) > 0
    R = covs / (scales[:, :, None] * scales[:, None])                        # (K,d,d) correlations
    symmetric = np.abs(R - R.swapaxes(1, 2)).max() < 1e-9
    return symmetric and np.linalg.eigvalsh(R).min() > 4 * covs.shape[1] * np.finfo(float).eps


@checked(data=start)
def standardise(data):
    """u (n,d) of mean 0 and deviation 1 in each column, shift (d,), scale (d,): data = shift + scale·u, and the score
    of the data is that of u over scale (MIX.8). Raises ValueError where a column is constant."""
    shift, scale = data.mean(axis=0, dtype=float), data.std(axis=0, dtype=float)  # (d,) (d,) sums in float64
    constant = (np.ptp(data, axis=0) == 0) | (scale < np.finfo(data.dtype).tiny**0.5)  # (d,) or its squares underflow
    demand(not constant.any(), f"data in columns {np.flatnonzero(constant)}", data[0, constant], "columns that vary")
    return tuple(a.astype(data.dtype) for a in ((data - shift) / scale, shift, scale))  # (n,d) (d,) (d,)  (MIX.8)


def decorrelated(u):
    """w (n,d) and Q (d,d), u = w Q, for columns u (n,d) of deviation 1."""
    n, d = u.shape
    r = np.corrcoef(u.T) - np.eye(d)                                         # (d,d), 0 on the diagonal
    kept = max(0, 1 - (np.sum((1 - r**2)**2) - d) / (n * np.sum(r**2) + 1e-99))  # κ  (MIX.9)
    values, R = np.linalg.eigh(np.eye(d) + kept * r)                         # (d,) (d,d)
    root = np.sqrt(np.maximum(values, 0.3))                                  # (d,)
    return (u @ R / root) @ R.T, R * root @ R.T                              # (n,d) (d,d)  (MIX.9)


@checked
def swiss_roll(rng, n, noise=0.5):
    """Spiral t(cos t, sin t), t uniform on [1.5π, 4.5π], plus noise·N(0, I), all divided by 10; (n,2)."""
    t = 1.5 * np.pi * (1 + 2 * rng.random((n, 1)))                           # (n,1)
    return (t * np.hstack([np.cos(t), np.sin(t)]) + noise * rng.standard_normal((n, 2))) / 10


@checked
def two_moons(rng, n, noise=0.1):
    """Two interleaved unit half circles about (±½, ±¼), the upper one to the left, plus noise·N(0, I); (n,2)."""
    t = np.pi * rng.random((n, 1))                                           # (n,1)
    side = rng.choice([-1.0, 1.0], size=(n, 1))                              # (n,1)
    return side * np.hstack([np.cos(t) - 0.5, np.sin(t) - 0.25]) + noise * rng.standard_normal((n, 2))


@checked
def checkerboard(rng, n):
    """Uniform on the 8 dark unit squares of a 4 by 4 board over [−2, 2]²; (n,2)."""
    column = rng.integers(-2, 2, size=n)                                     # (n,)
    row = 2 * rng.integers(-1, 1, size=n) + column % 2                       # (n,) same colour
    return np.stack([column, row], axis=1) + rng.random((n, 2))

