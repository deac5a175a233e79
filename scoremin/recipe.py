"""A recipe (REC) for own data, a table or pictures: draw, report = sampler(data, rng), and x = draw(1000).

Columns. Whole numbers, and values that each come in two rows or more, have no density. Uniform noise as wide as their
spacing q gives them one; rounding, rounded=True, leads back:

    (REC.1)  x̃ = x + q(r − ½), r uniform on [0, 1):   round(x̃) = x,   Var x̃ = Var x + q²/12

Each column then gets mean 0 and deviation 1 (MIX.8), or, with one_scale=True, where columns share a unit as pixels do,
one scale for all. Heavy tails, E u⁴ > 6 (3 for a Gaussian), go rank by rank to n standard normal draws, and back by the
lines between the rows, never beyond the last. So do few values, q > ½ deviation, as rare ones would become frequent:

    (REC.2)  u_(i) = z_(i),   of x_(i) and of z the i-th smallest, equals in random order

Levels. σ_1 is the largest distance between rows (NCSN.6), the ratio that of (NCSN.7) with its second Φ at 0, at most
1.15: calls are cheap. Noise is about σ√d long. Where that is far less than the distance to the nearest other row, the
best denoiser (ESM.4) returns one row, and copying is all there is to learn; tweedie takes out at the end

    (REC.3)  σ_L = .3 median_i min_{j≠i} ‖u_i − u_j‖/√d,   within [.02, .15]

Training. Three hidden layers of width 4d, from 64 to 256; 64 below 1,000 rows, which a wider one learns by heart. With
W_L = 0 and the skip (NET.8) it starts at N(0, I). λ of (NCSN.3) weighs errors of f alike at every level, by (NET.9):

    (REC.4)  λ(σ) = σ²(1 + σ²),   λ(σ) ℓ(θ; σ) = ½ E‖f − t‖²

A fifth of the rows, 5 or more, is held out; training ends by their NCSN loss (FIT.5). Equal rows go to one side, else
copies would look new. Sampling starts at N(0, S + σ_1² I), S the covariance of u: both moments are right (SDE.4).
annealed=True is slow, with fewer strays: 15 steps of ½ σ_L² a level leave N(0, 1), by (LD.10), a variance of 1.04.
The report: energy, the energy distance of 1,000 samples to rows held out over its mean for real rows (MET.2), and

    (REC.5)  nearest = median distance of samples to the nearest training row, over the same of held-out rows

Both are about 1 where the laws are one; nearest is 0 for copies. A warning says where nearest < ½ or energy > 5: by the
law of Cramér and von Mises that befalls real numbers, d = 1, in 1 case of 160. Fails: rows that depend on each other,
as in time, leak to the part held out; structure below σ_L is lost; spread that few rows show comes out too small, and
samples do not go beyond the extremes of a column without a variance, such as Cauchy's, of which a warning says so.
Sources: Uria et al. 2013 (REC.1); Karras et al. 2022 (REC.4); Song & Ermon 2020 (levels).
"""

from warnings import warn

import numpy as np

from .checks import checked, maybe, table
from .denoising import tweedie
from .derivatives import half_square, mean
from .langevin import annealed_langevin
from .metrics import distances, energy_distance, neighbour_distance
from .ncsn import geometric_sigmas, ncsn_loss, stratified_sigmas
from .network import NoiseConditionalMLP, init_mlp
from .sde import dpm_solver
from .train import fit, last_best, until_it_rises


def spacing(column, distinct):
    """The width q of the cells around the values of a column (n,), 0 for none, and what rounds back to them."""
    values = np.unique(column)                                               # ascending
    if 2 * len(values) <= distinct:
        return np.diff(values).min(), lambda x: values[np.searchsorted((values[1:] + values[:-1]) / 2, x)]
    if (values != np.rint(values)).any() or np.ptp(values) >= 2**53:
        return 0, lambda x: x
    q = np.gcd.reduce((values - values[0]).astype(np.int64))
    return q, lambda x: values[0] + q * np.rint((x - values[0]) / q)


def code(column, rng, distinct, unit, rounded):
    """u (n,) for a column (n,); whether it was dequantised; the way back. unit: the scale, None for its own."""
    q, nearest = spacing(column, distinct)
    x = column + q * (rng.random(len(column)) - 0.5)                         # (n,)  (REC.1)
    parts = np.sort((x - np.median(x))**2)                                   # (n,)
    if not q and parts[-1 - len(x) // 50:].sum() > 0.6 * parts.sum():
        warn(f"a fiftieth of the rows holds most of the spread of a column that goes up to {x.max():.3g}", stacklevel=5)
    shift, scale = x.mean(), unit or x.std()
    u, back = (x - shift) / scale, lambda u: shift + scale * u               # (n,)  (MIX.8)
    if unit is None and (q > 0.5 * scale or np.mean(u**4) > 6):
        order, z = np.lexsort((rng.random(len(x)), x)), np.sort(rng.standard_normal(len(x)))  # (n,) (n,)
        u[order], back = z, lambda u: np.interp(u, z, x[order])              # (n,)  (REC.2)
    return u, q > 0, lambda u: nearest(back(u)) if rounded else back(u)


def held_out(x, repeats, rng):
    """Which of the rows x (n,d) are held out, (n,). repeats: equal rows are one row told again, unless they abound."""
    groups = np.unique(x, axis=0, return_inverse=True)[1].reshape(-1)
    if not repeats or groups.max() < 10 or np.bincount(groups).max() > len(x) / 10:
        groups = np.arange(len(x))
    return rng.permutation(groups.max() + 1)[groups] < max(5, groups.max() // 5)


def levels(u, sigma_min):
    """σ_1 … σ_L (L,) for rows u (n,d)."""
    u, d = np.unique(u, axis=0), u.shape[1]
    few = u[::1 + len(u) // 500]                                             # (500,d) at most
    near, sigma_max = np.median(neighbour_distance(few, u, 2)), distances(few, few).max()  # (NCSN.6)
    sigma_min = sigma_min or float(np.clip(0.3 * near / d**0.5, 0.02, 0.15))  # (REC.3)
    ratio = min(1.15, 1 / (1 - 3 / (2 * d)**0.5)) if d > 4 else 1.15         # (NCSN.7)
    return geometric_sigmas(sigma_max, sigma_min, 2 + int(np.log(sigma_max / sigma_min) / np.log(ratio)))


def even_loss(score, x, z, sigma):
    """½ E‖f − t‖² under z and −z, a scalar; sigma (n,)."""
    x, z, sigma = np.tile(x, (2, 1)), np.concatenate([z, -z]), np.tile(sigma, 2)[:, None].astype(x.dtype)
    s = score(x + sigma * z, sigma[:, 0])                                    # (2n,d)
    return mean((1 + sigma[:, 0]**2) * half_square(sigma * s + z))           # ()  (REC.4)


def train(rows, held, sigmas, rng, steps, progress):
    """The score (x, sigma) of rows (n,d) under noise, and {step: NCSN loss of the rows held out}."""
    d, many = rows.shape[1], len(rows) >= 1000
    size = min(max(64, 4 * d), 256) if many else 64
    params = init_mlp(rng, [d + 1, size, size, size, d], np.float32)
    params[-1][0][:] = 0
    score = lambda params: NoiseConditionalMLP(params, skip=True)
    noisy = lambda x: (x, rng.standard_normal(x.shape, x.dtype), stratified_sigmas(rng, sigmas[0], sigmas[-1], len(x)))
    fixed = noisy(np.resize(rng.permutation(held), (max(1024, min(4096, 2**17 // d)), d)).astype(np.float32))
    ends, curve, best = until_it_rises(params, lambda params: float(ncsn_loss(score(params), *fixed)))
    fit(lambda params, x, rng: even_loss(score(params), *noisy(x)), params, rows, steps=steps, rng=rng,
        learning_rate=0.08 / size**0.5 if many else 0.003, progress=progress, callback=ends)
    return score(best), curve


def samples(score, S, sigmas, n, rng, annealed):
    """n rows of u (n,d) from noise of covariance S + σ_1² I."""
    root = np.linalg.cholesky(S + sigmas[0]**2 * np.eye(len(S)))
    u = (rng.standard_normal((n, len(S))) @ root.T).astype(np.float32)       # (n,d)  (SDE.4)
    u = annealed_langevin(score, u, sigmas, sigmas[-1]**2 / 2, 15, rng) if annealed else dpm_solver(score, u, sigmas)
    return tweedie(lambda u: score(u, sigmas[-1]), u, sigmas[-1]).astype(float)  # (n,d)  (DSM.8)


def judge(u, held, rows):
    """Energy distance of samples u (m,d) to held-out rows over its mean for real ones, and nearest; warns."""
    real = (1 / len(u) + 1 / len(held)) * np.mean(distances(held, held)) * len(held) / (len(held) - 1)  # (MET.2)
    energy = energy_distance(u, held) / real
    near, usual = (np.median(neighbour_distance(a, rows, 1)) for a in (u, held))
    nearest = near / usual if usual else np.inf                              # ()  (REC.5)
    if nearest < 0.5:
        warn(f"samples are near copies, {nearest:.2f} times as far as fresh rows; use a larger sigma_min", stacklevel=4)
    if energy > 5:
        warn(f"samples are unlike rows held out: energy {energy:.1f}; look at outliers, take more steps", stacklevel=4)
    return energy, nearest


@checked(data=table, sigma_min=maybe)
def sampler(data, rng, *, one_scale=False, rounded=False, sigma_min=None, steps=4000, progress=None):
    """draw, report: draw(n, annealed=False) gives n new rows (n,d) like those of data (n,d), an array or a DataFrame.

    one_scale: columns share a unit. rounded: give back whole numbers, and values that repeat, as such. sigma_min: the
    least noise, of rows of deviation 1, in place of (REC.3). steps: the most to train. progress: as in fit. report: a
    dict of curve {step: held-out loss}, step, the one kept, sigmas, energy, nearest. Raises ValueError on text, missing
    values or fewer than 10 rows, with column and row; warns of copies and of samples unlike the rows held out."""
    varying, distinct = np.ptp(data, axis=0) > 0, len(np.unique(data, axis=0))
    unit = np.mean(data[:, varying].var(axis=0))**0.5 if one_scale else None
    u, whole, back = zip(*(code(column, rng, distinct, unit, rounded) for column in data[:, varying].T))
    u, out = np.stack(u, axis=1), held_out(data, not all(whole), rng)        # (n,d) (n,)
    rows, held, sigmas = u[~out], u[out], levels(u[~out], sigma_min)
    score, curve = train(rows, held, sigmas, rng, steps, progress)
    new = lambda n, annealed: samples(score, np.atleast_2d(np.cov(rows.T)), sigmas, n, rng, annealed)  # (n,d)

    @checked
    def draw(n, annealed=False):
        full = np.tile(data[0], (n, 1))
        full[:, varying] = np.stack([f(column) for f, column in zip(back, new(n, annealed).T)], axis=1)
        return full
    energy, nearest = judge(new(1000, False), held[:1000], rows)
    return draw, {"curve": curve, "step": last_best(curve), "sigmas": sigmas, "energy": energy, "nearest": nearest}
