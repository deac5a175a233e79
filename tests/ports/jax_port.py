"""The objectives and samplers of scoremin in JAX: networks are pytrees, steps are jitted, probes vmapped.

Names, shapes and conventions are the package's, whose docstrings derive every equation. Randomness
is data here too: noise z, probes v, and the noise of every sampler step come in as arrays.
"""

import math
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
from jax.nn import softmax
from jax.scipy.special import logsumexp
from jax.tree_util import register_dataclass


@partial(register_dataclass, data_fields=["params"], meta_fields=[])
@dataclass
class MLP:
    """Score s(x); params is a list of (W (in,out), b)."""

    params: list

    def __call__(self, x):
        for W, b in self.params[:-1]:
            x = jax.nn.silu(x @ W + b)                                       # (NET.1)
        W, b = self.params[-1]
        return x @ W + b


@partial(register_dataclass, data_fields=["params"], meta_fields=["sigma_data", "skip"])
@dataclass
class NoiseConditionalMLP:
    """Score s(x, sigma), sigma a number or (N,)."""

    params: list
    sigma_data: float = 1.0
    skip: bool = False

    def __call__(self, x, sigma):
        sigma = jnp.broadcast_to(jnp.asarray(sigma, x.dtype).reshape(-1, 1), (len(x), 1))
        tau = jnp.sqrt(sigma**2 + self.sigma_data**2)
        f = MLP(self.params)(jnp.concatenate([x / tau, jnp.log(sigma)], axis=1))
        if self.skip:
            return self.sigma_data / (sigma * tau) * f - x / tau**2          # (NET.8)
        return f / sigma                                                     # (NET.4)


@partial(register_dataclass, data_fields=["params"], meta_fields=[])
@dataclass
class EnergyMLP:
    """Energy E(x), (N,)."""

    params: list

    def __call__(self, x):
        return MLP(self.params)(x)[:, 0]


def init_mlp(z):
    """Parameters from standard normal z (in,out) of every layer."""
    return [(W / len(W)**0.5, jnp.zeros(W.shape[1], W.dtype)) for W in z]


def energy_score(energy):
    gradient = jax.grad(lambda x: energy(x).sum())
    return lambda x: -gradient(x)                                            # (EBM.3)


class GaussianMixture:
    def __init__(self, weights, means, covs):
        self.weights, self.means, self.covs = weights / weights.sum(), means, covs
        self.precisions = jnp.linalg.inv(covs)
        self.log_scales = jnp.log(self.weights) - 0.5 * jnp.linalg.slogdet(2 * jnp.pi * covs)[1]

    def sample(self, k, z):
        """Points (N,d) of components k (N,) from standard normal z (N,d)."""
        return self.means[k] + jnp.einsum("nij,nj->ni", jnp.linalg.cholesky(self.covs)[k], z)

    def log_density(self, x):
        diff = x[:, None] - self.means                                       # (N,K,d)
        return logsumexp(self.log_scales - 0.5 * jnp.einsum("nki,kij,nkj->nk", diff, self.precisions, diff), axis=1)

    def score(self, x):
        return jax.grad(lambda x: self.log_density(x).sum())(x)              # (MIX.4)

    def smoothed(self, sigma):
        return GaussianMixture(self.weights, self.means,
                               self.covs + sigma**2 * jnp.eye(self.means.shape[1], dtype=self.covs.dtype))  # (MIX.6)


def swiss_roll(u, z, noise=0.5):
    """From u (N,1) uniform on [0, 1) and standard normal z (N,2)."""
    t = 1.5 * jnp.pi * (1 + 2 * u)                                           # (N,1)
    return (t * jnp.hstack([jnp.cos(t), jnp.sin(t)]) + noise * z) / 10


def two_moons(u, side, z, noise=0.1):
    """From u (N,1) uniform on [0, 1), side (N,1) of -1 and 1, and standard normal z (N,2)."""
    t = jnp.pi * u                                                           # (N,1)
    return side * jnp.hstack([jnp.cos(t) - 0.5, jnp.sin(t) - 0.25]) + noise * z


def checkerboard(column, row, u):
    """From column (N,) in -2..1, row (N,) in -1..0 and u (N,2) uniform on [0, 1)."""
    return jnp.stack([column, 2 * row + column % 2], axis=1) + u


def standardise(data):
    """Data of mean 0 and deviation 1 in every column, the shift and the scale."""
    shift, scale = data[0] + (data - data[0]).mean(axis=0), (data - data[0]).std(axis=0)  # sums of small numbers
    return (data - shift) / scale, shift, scale


def log_kernels(x, data, h, leave_one_out=False):
    a = jnp.sum((x[:, None] - data)**2, axis=2) / (-2 * h**2)                # (N,n)
    return jnp.where(jnp.eye(len(x), len(data), dtype=bool), -jnp.inf, a) if leave_one_out else a


def kde_log_density(x, data, h, leave_one_out=False):
    n, d = len(data) - leave_one_out, data.shape[1]
    log_sums = logsumexp(log_kernels(x, data, h, leave_one_out), axis=1)
    return log_sums - math.log(n) - 0.5 * d * math.log(2 * math.pi * h**2)   # (ESM.5)


def kde_score(x, data, h, leave_one_out=False):
    a, centre = log_kernels(x, data, h, leave_one_out), data.mean(axis=0)
    return (softmax(a, axis=1) @ (data - centre) - (x - centre)) / h**2      # (ESM.4)


def jvp(score, x, v):
    if v.ndim == 2:
        return jax.jvp(score, (x,), (v,))
    return jax.vmap(lambda v: jax.jvp(score, (x,), (v,)), out_axes=(None, 0))(v)


def divergence(score, x):
    directions = jnp.broadcast_to(jnp.eye(x.shape[1], dtype=x.dtype)[:, None], (x.shape[1], *x.shape))  # (d,N,d)
    s, Je = jvp(score, x, directions)
    return s, jnp.einsum("jnj->n", Je)                                       # (JVP.2)


def explicit_loss(score, x, target):
    return 0.5 * jnp.mean(jnp.sum((score(x) - target)**2, axis=1))           # (ESM.1)


def implicit_loss(score, x):
    s, tr = divergence(score, x)
    return jnp.mean(0.5 * jnp.sum(s**2, axis=1) + tr)                        # (ISM.4)


def generalised_loss(score, x, g):
    """For data with a boundary, where g(x), (N,d) or (N,1), vanishes."""
    gs, tr = divergence(lambda x: g(x) * score(x), x)
    return jnp.mean(0.5 * jnp.sum(gs * score(x), axis=1) + tr)               # (ISM.17)


def linear_score(features, x, ridge=0.0):
    """The score W f(x) that minimises ISM, plus ½ ridge ‖W‖²; features (N,d) -> (N,m)."""
    f = features(x)                                                          # (N,m)
    U = jnp.stack([jvp(features, x, jnp.broadcast_to(e, x.shape))[1].mean(axis=0)
                   for e in jnp.eye(x.shape[1], dtype=x.dtype)], axis=1)     # (m,d)  (LIN.1)
    F = f.T @ f / len(x) + ridge * jnp.eye(f.shape[1], dtype=x.dtype)
    W = -jnp.linalg.solve(F, U)                                         # (m,d)  (LIN.2)
    return lambda x: features(x) @ W


def features(omega, beta):
    """√(2/m) cos(ωᵀx + β) for ω (d,m), β (m,)."""
    return lambda x: (2 / len(beta))**0.5 * jnp.cos(x @ omega + beta)        # (LIN.5)


def sliced_loss(score, x, v):
    s, Jv = jvp(score, x, v)
    return jnp.mean(0.5 * jnp.sum(v * s, axis=-1)**2 + jnp.sum(v * Jv, axis=-1))  # (SSM.4)


def sliced_vr_loss(score, x, v):
    s, Jv = jvp(score, x, v)
    return jnp.mean(0.5 * jnp.sum(s**2, axis=-1) + jnp.sum(v * Jv, axis=-1))  # (SSM.5)


def finite_difference_loss(score, x, v, radius):
    """SSM-VR with a central difference for the directional derivative."""
    ahead, behind = score(x + radius * v), score(x - radius * v)             # (N,d)
    middle, slope = 0.5 * (ahead + behind), (ahead - behind) / (2 * radius)
    return (0.5 * jnp.sum(middle**2, axis=1) + jnp.sum(v * slope, axis=1)).mean()  # (SSM.11)


def probes(kind, z=None, bits=None):
    """From standard normal z, or bits of 0 and 1 for signs."""
    if kind == "rademacher":
        return 2 * bits - 1                                                  # (SSM.7)
    return z if kind == "gaussian" else z * jnp.sqrt(z.shape[-1] / jnp.sum(z**2, axis=-1, keepdims=True))  # (SSM.8)


def denoising_loss(score, x, z, sigma):
    return 0.5 * jnp.mean(jnp.sum((score(x + sigma * z) + z / sigma)**2, axis=1))  # (DSM.4)


def denoising_vr_loss(score, x, z, sigma):
    """DSM with the control variate; the same mean."""
    s, d = score(x + sigma * z), x.shape[1]
    change = jnp.sum(z * (s - score(x)), axis=1) / sigma
    return jnp.mean(0.5 * jnp.sum(s**2, axis=1) + change) + d / (2 * sigma**2)  # (DSM.13)


def tweedie(score, x_noisy, sigma):
    return x_noisy + sigma**2 * score(x_noisy)                               # (DSM.8)


def path_at(path, sigma):
    """t, a, b and their derivatives in t, at σ."""
    if path == "ve":
        return sigma, 1.0, sigma, 0.0, 1.0
    if path == "vp":
        a = (1 + sigma**2)**-0.5
        return a**2, a, sigma * a, -sigma * a, a
    return sigma / (1 + sigma), 1 / (1 + sigma), sigma / (1 + sigma), -1.0, 1.0  # (DSM.20) (DSM.21)


def as_score(model, predicts, path="ve"):
    """The score function of a model(x_t, t), t (N,), that predicts noise, denoiser, score or velocity on a path."""
    def score(x, sigma):
        sigma = jnp.broadcast_to(jnp.asarray(sigma, x.dtype).reshape(-1, 1), (len(x), 1))
        t, a, b, da, db = path_at(path, sigma)
        alpha, beta = {"noise": (1, 0), "denoiser": (0, 1), "score": (-1 / b, 0), "velocity": (db, da)}[predicts]
        return (beta * x - model(a * x, t[:, 0])) * a / (alpha * a - beta * b) / sigma  # (DSM.22)
    return score


def ncsn_loss(score, x, z, sigma):
    sigma = jnp.broadcast_to(jnp.asarray(sigma, x.dtype), len(x))
    column = sigma[:, None]
    return 0.5 * jnp.mean(jnp.sum((column * score(x + column * z, sigma) + z)**2, axis=1))  # (NCSN.4)


def ncsn_vr_loss(score, x, z, sigma):
    """ncsn_loss of every point under z and under -z."""
    return 0.5 * (ncsn_loss(score, x, z, sigma) + ncsn_loss(score, x, -z, sigma))  # (NCSN.8)


def stratified_sigmas(u, sigma_max, sigma_min):
    """From u (n,) uniform on [0, 1)."""
    return sigma_max * (sigma_min / sigma_max)**((jnp.arange(len(u), dtype=u.dtype) + u) / len(u))  # (NCSN.10)


def geometric_sigmas(sigma_max, sigma_min, n):
    return jnp.geomspace(sigma_max, sigma_min, n)                            # (NCSN.1)


def langevin(score, x, step, noise, temperature=1.0):
    """The last positions and the path; noise (steps,N,d)."""
    def advance(x, z):
        x = x + 0.5 * step * score(x) + (temperature * step)**0.5 * z        # (LD.3) (LD.5)
        return x, x
    return jax.lax.scan(advance, x, noise)


def annealed_langevin(score, x, sigmas, step, noise, denoise=False):
    """The same through levels sigmas, descending; noise (levels,steps,N,d)."""
    path = []
    for sigma, z in zip(sigmas, noise):
        x, part = langevin(partial(score, sigma=sigma), x, step * (sigma / sigmas[-1])**2, z)  # (LD.8)
        path.append(part)
    return x + sigma**2 * score(x, sigma) if denoise else x, jnp.concatenate(path)  # (LD.11)


def reverse_sde(score, x, sigmas, noise):
    """Euler–Maruyama in σ²; noise (L-1,N,d)."""
    for sigma, after, z in zip(sigmas, sigmas[1:], noise):
        lost = sigma**2 - after**2
        x = x + lost * score(x, sigma) + lost**0.5 * z                       # (SDE.8)
    return x


def probability_flow(score, x, sigmas):
    """dx/dσ = −σ s by Heun's method, up or down."""
    for sigma, after in pairwise(sigmas):
        slope = -sigma * score(x, sigma)                                     # (SDE.14)
        end = -after * score(x + (after - sigma) * slope, after)
        x = x + 0.5 * (after - sigma) * (slope + end)                        # (SDE.16)
    return x


def dpm_solver(score, x, sigmas):
    """The same flow down, DPM-Solver++(2M)."""
    last = None
    for sigma, after in pairwise(sigmas):
        D, width = x + sigma**2 * score(x, sigma), jnp.log(sigma / after)
        ahead = D if last is None else D + 0.5 * width / last[1] * (D - last[0])  # (SDE.19)
        x, last = after / sigma * x + (1 - after / sigma) * ahead, (D, width)  # (SDE.18)
    return x


def log_likelihood(score, x, sigmas, prior):
    """log q (N,) at sigmas[-1]: up the flow, with the exact trace, by Runge–Kutta of order 4."""
    def slope(x, sigma):
        s, tr = divergence(lambda x: score(x, sigma), x)
        return -sigma * s, sigma * tr                                        # (SDE.14) (SDE.20)
    total = 0
    for sigma, after in pairwise(sigmas[::-1]):
        step, middle = after - sigma, 0.5 * (sigma + after)
        a, A = slope(x, sigma)
        b, B = slope(x + 0.5 * step * a, middle)
        c, C = slope(x + 0.5 * step * b, middle)
        e, E = slope(x + step * c, after)
        x, total = x + step / 6 * (a + 2 * b + 2 * c + e), total + step / 6 * (A + 2 * B + 2 * C + E)  # (SDE.22)
    return prior(x) - total                                                  # (SDE.21)


def given(score, y):
    """The score of x that has y (m,) or (N,m) beside x."""
    def conditional(x, *sigma):
        beside = jnp.broadcast_to(y, (len(x), y.shape[-1]))
        return score(jnp.concatenate([x, beside], axis=1), *sigma)[:, :x.shape[1]]  # (COND.5)
    return conditional


def posterior_score(score, x, sigma, H, y, noise, sigma_data=None):
    """∇log q_σ(x|y) for y = Hx + noise·N(0, I), as if x given x̃ were Gaussian."""
    units = jnp.broadcast_to(H[:, None], (len(H), *x.shape))                 # (m,N,d)

    def moments(x):
        if sigma_data is None:
            s, J = jvp(lambda x: score(x, sigma), x, units)
            CH = sigma**2 * units + sigma**4 * J                             # (m,N,d)
        else:
            s, CH = score(x, sigma), units / (1 / sigma**2 + 1 / sigma_data**2)  # (COND.9)
        HCH = jnp.einsum("mnd,kd->nmk", CH, H)                               # symmetric but for learned scores
        return (x + sigma**2 * s) @ H.T, 0.5 * (HCH + HCH.mT)                # (N,m) (N,m,m)  (COND.6)

    HD, HCH = moments(x)
    values, R = jnp.linalg.eigh(HCH)                                         # (N,m) (N,m,m)
    kept, size = jnp.maximum(values, 0), jnp.maximum(jnp.abs(values), jnp.finfo(x.dtype).tiny)
    S = kept + noise**2                                                      # (N,m), eigenvalues of S  (COND.15)
    r = ((y - HD)[:, None] @ R)[:, 0] / S                                    # (N,m), Rᵀr
    share = (kept[:, :, None] + kept[:, None]) / (size[:, :, None] + size[:, None])  # (COND.16)
    inside = 0.5 * share * (r[:, :, None] * r[:, None] - jnp.eye(len(H), dtype=x.dtype) / S[:, None])
    by_mean, by_S = (R @ r[:, :, None])[:, :, 0], R @ inside @ R.mT          # derivatives of (COND.7)

    def log_likelihood(x):
        HD, HCH = moments(x)
        return jnp.sum(by_mean * HD) + jnp.sum(by_S * HCH)
    return score(x, sigma) + jax.grad(log_likelihood)(x)                     # (COND.3) (COND.8)


def adam(net):
    """Adam's state before the first step: m, u and k."""
    zeros = jax.tree.map(jnp.zeros_like, net)
    return zeros, zeros, 0


@partial(jax.jit, static_argnames=("loss", "steps", "learning_rate"))
def train_step(loss, net, state, batch, steps, learning_rate):
    """One step: the loss before it, its gradient, and the network and Adam's state after it."""
    (m, u, k), (value, g) = state, jax.value_and_grad(loss)(net, batch)
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)                   # (FIT.1)
    u = jax.tree.map(lambda u, g: 0.999 * u + 0.001 * g**2, u, g)
    rate = learning_rate * 0.5 * (1 + jnp.cos(jnp.pi * k / steps))           # (FIT.4)
    c1, c2, k = 1 - 0.9**(k + 1), 1 - 0.999**(k + 1), k + 1                  # (FIT.2)
    net = jax.tree.map(lambda p, m, u: (p - rate * (m / c1) / (jnp.sqrt(u / c2) + 1e-8)).astype(p.dtype),
                       net, m, u)                                            # (FIT.3)
    return value, g, net, (m, u, k)


def batch(data, indices):
    return data[indices]


def fisher_divergence(score, target, x):
    return explicit_loss(score, x, target(x))


def relative_error(score, target, x):
    return fisher_divergence(score, target, x) / fisher_divergence(jnp.zeros_like, target, x)  # (MET.1)


def distances(a, b):
    return jnp.sqrt(jnp.sum((a[:, None] - b)**2, axis=2))


def energy_distance(a, b):
    return 2 * distances(a, b).mean() - distances(a, a).mean() - distances(b, b).mean()  # (MET.2)


def two_sample_test(a, b, permutations):
    pool = jnp.concatenate([a, b])
    w = jnp.concatenate([jnp.full(len(a), 1 / len(a), a.dtype), jnp.full(len(b), -1 / len(b), b.dtype)])
    draws = jnp.concatenate([w[None], w[permutations]])
    R = distances(pool, pool)
    D = -jnp.sum(draws @ R * draws, axis=1)                                  # (MET.3)
    tie = 4 * jnp.finfo(R.dtype).eps * R.max()                               # rounding parts no ties
    return jnp.mean(D >= D[0] - tie, dtype=R.dtype)                          # (MET.4)


def share_within(a, b, k):
    radii = jnp.sort(distances(b, b), axis=1)[:, k]                          # (m,)  (MET.6)
    return (distances(a, b) <= radii).any(axis=1).astype(a.dtype).mean()     # (MET.7)


def precision_recall(a, b, k=3):
    return share_within(a, b, k), share_within(b, a, k)


def mode_weights(x, means):
    return jax.nn.one_hot(distances(x, means).argmin(axis=1), len(means), dtype=x.dtype).mean(axis=0)
