"""The objectives and samplers of scoremin in PyTorch: nn.Module networks, torch.func derivatives.

Names, shapes and conventions are the package's, whose docstrings derive every equation. Randomness
is data here too: noise z, probes v, and the noise of every sampler step come in as tensors.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import grad, vmap
from torch.func import jvp as jvp_one


class MLP(nn.Module):
    """Score s(x) from a list of (W (in,out), b); nn.Linear keeps its weight as (out, in), hence .T."""

    def __init__(self, params):
        super().__init__()
        self.layers = nn.ModuleList()
        for W, b in params:
            layer = nn.utils.skip_init(nn.Linear, *W.shape, dtype=W.dtype)
            layer.load_state_dict({"weight": W.T, "bias": b})
            self.layers.append(layer)

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = F.silu(layer(x))                                             # (NET.1)
        return self.layers[-1](x)


class NoiseConditionalMLP(MLP):
    """Score s(x, sigma), sigma a number or (N,)."""

    def __init__(self, params, sigma_data=1.0):
        super().__init__(params)
        self.sigma_data = sigma_data

    def forward(self, x, sigma):
        sigma = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1).expand(len(x), 1)
        inputs = [x / torch.sqrt(sigma**2 + self.sigma_data**2), torch.log(sigma)]
        return super().forward(torch.cat(inputs, dim=1)) / sigma             # (NET.4)


class EnergyMLP(MLP):
    """Energy E(x), (N,)."""

    def forward(self, x):
        return super().forward(x)[:, 0]


def energy_score(energy):
    gradient = grad(lambda x: energy(x).sum())
    return lambda x: -gradient(x)                                            # (EBM.3)


class GaussianMixture:
    def __init__(self, weights, means, covs):
        self.weights, self.means, self.covs = weights, means, covs
        self.precisions = torch.linalg.inv(covs)
        self.log_scales = weights.log() - 0.5 * torch.logdet(2 * math.pi * covs)

    def _terms(self, x):
        diff = x[:, None] - self.means                                       # (N,K,d)
        pull = torch.einsum("nki,kij->nkj", diff, self.precisions)
        return self.log_scales - 0.5 * (diff * pull).sum(2), pull            # (MIX.2)

    def log_density(self, x):
        return torch.logsumexp(self._terms(x)[0], 1)                         # (MIX.1)

    def score(self, x):
        log_joint, pull = self._terms(x)
        return -(F.softmax(log_joint, 1)[:, :, None] * pull).sum(1)          # (MIX.4)

    def smoothed(self, sigma):
        noise = sigma**2 * torch.eye(self.means.shape[1], dtype=self.covs.dtype)
        return GaussianMixture(self.weights, self.means, self.covs + noise)  # (MIX.6)


def log_kernels(x, data, h):
    return ((x[:, None] - data)**2).sum(2) / (-2 * h**2)                     # (N,n)


def kde_log_density(x, data, h):
    n, d = data.shape
    return torch.logsumexp(log_kernels(x, data, h), 1) - math.log(n) - 0.5 * d * math.log(2 * math.pi * h**2)


def kde_score(x, data, h, leave_one_out=False):
    a, centre = log_kernels(x, data, h), data.mean(0)
    if leave_one_out:
        a = a.masked_fill(torch.eye(len(x), dtype=torch.bool), -math.inf)
    return (F.softmax(a, 1) @ (data - centre) - (x - centre)) / h**2         # (ESM.4)


def jvp(score, x, v):
    if v.ndim == 2:
        return jvp_one(score, (x,), (v,))
    s, Jv = vmap(lambda v: jvp_one(score, (x,), (v,)))(v)
    return s[0], Jv


def divergence(score, x):
    directions = torch.eye(x.shape[1], dtype=x.dtype)[:, None].expand(-1, *x.shape)  # (d,N,d)
    s, Je = jvp(score, x, directions)
    return s, torch.einsum("jnj->n", Je)                                     # (JVP.2)


def explicit_loss(score, x, target):
    return 0.5 * (score(x) - target).square().sum(1).mean()                  # (ESM.1)


def implicit_loss(score, x):
    s, tr = divergence(score, x)
    return (0.5 * s.square().sum(1) + tr).mean()                             # (ISM.4)


def sliced_loss(score, x, v):
    s, Jv = jvp(score, x, v)
    return (0.5 * (v * s).sum(-1).square() + (v * Jv).sum(-1)).mean()        # (SSM.4)


def sliced_vr_loss(score, x, v):
    s, Jv = jvp(score, x, v)
    return (0.5 * s.square().sum(-1) + (v * Jv).sum(-1)).mean()              # (SSM.5)


def denoising_loss(score, x, z, sigma):
    return 0.5 * (score(x + sigma * z) + z / sigma).square().sum(1).mean()   # (DSM.4)


def tweedie(score, x_noisy, sigma):
    return x_noisy + sigma**2 * score(x_noisy)                               # (DSM.8)


def ncsn_loss(score, x, z, sigma):
    sigma = torch.as_tensor(sigma, dtype=x.dtype).expand(len(x))
    column = sigma[:, None]
    return 0.5 * (column * score(x + column * z, sigma) + z).square().sum(1).mean()  # (NCSN.4)


def geometric_sigmas(sigma_max, sigma_min, n):
    return torch.logspace(math.log(sigma_max), math.log(sigma_min), n, base=math.e, dtype=torch.float64)  # (NCSN.1)


@torch.no_grad()
def langevin(score, x, step, noise, temperature=1.0):
    """The last positions and the path; noise (steps,N,d)."""
    path = []
    for z in noise:
        x = x + 0.5 * step * score(x) + (temperature * step)**0.5 * z        # (LD.3) (LD.5)
        path.append(x)
    return x, torch.stack(path)


@torch.no_grad()
def annealed_langevin(score, x, sigmas, step, noise, denoise=False):
    """The same through levels sigmas, descending; noise (levels,steps,N,d)."""
    sigmas, path = sigmas.tolist(), []
    for sigma, z in zip(sigmas, noise):
        x, part = langevin(lambda x, sigma=sigma: score(x, sigma), x, step * (sigma / sigmas[-1])**2, z)  # (LD.8)
        path.append(part)
    return x + sigma**2 * score(x, sigma) if denoise else x, torch.cat(path)  # (LD.11)


def optimiser(net, steps, learning_rate):
    """Adam with the cosine schedule (FIT.1) to (FIT.4)."""
    adam = torch.optim.Adam(net.parameters(), learning_rate, betas=(0.9, 0.999), eps=1e-8)
    return adam, torch.optim.lr_scheduler.LambdaLR(adam, lambda k: 0.5 * (1 + math.cos(math.pi * k / steps)))


def train_step(loss, net, batch, adam, schedule):
    """One step on loss(net, batch): the loss before it; the gradient stays in the parameters' .grad."""
    adam.zero_grad()
    value = loss(net, batch)
    value.backward()
    adam.step()
    schedule.step()
    return value.item()


def fisher_divergence(score, target, x):
    return explicit_loss(score, x, target(x))


def relative_error(score, target, x):
    return fisher_divergence(score, target, x) / fisher_divergence(torch.zeros_like, target, x)  # (MET.1)


def energy_distance(a, b):
    return 2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()  # (MET.2)


def two_sample_test(a, b, permutations):
    pool = torch.cat([a, b])
    w = torch.cat([a.new_full((len(a),), 1 / len(a)), a.new_full((len(b),), -1 / len(b))])
    draws = torch.stack([w, *w[permutations]])
    D = -((draws @ torch.cdist(pool, pool)) * draws).sum(1)                  # (MET.3)
    return (D >= D[0]).double().mean()                                       # (MET.4)


def mode_weights(x, means):
    return torch.bincount(torch.cdist(x, means).argmin(1), minlength=len(means)).double() / len(x)
