"""A recipe (REC): from own data, a table or pictures, to new rows in three lines, and how good they are.

Columns. Whole numbers, and values that each come in two rows or more, have no density. Uniform noise as wide as their
least spacing q gives them one; rounding to the nearest, unless rounded=False, leads back:

    (REC.1)  x̃ = x + q(r − ½), r uniform on [0, 1):   round(x̃) = x,   Var x̃ = Var x + q²/12

Each column then gets mean 0 and deviation 1 (MIX.8); with one_scale=True, where columns share a unit as pixels do, all
one scale. Heavy tails, E u⁴ > 6, and few values, q > ½ deviation, go rank by rank to n standard normal draws:

    (REC.2)  u_(i) = z_(i),   of x_(i) and of z the i-th smallest, equals in random order

Then, but for one_scale, correlations go into a matrix (MIX.9), so that those of few rows, too, come back.

Levels. σ_1 is the largest distance between rows (NCSN.6), the ratio that of (NCSN.7) with its second Φ at 0, at most
1.15: calls are cheap. Noise is about σ√d long. Far below the distance to the nearest other row, the best denoiser
(ESM.4) returns one row, and copying is all there is to learn; tweedie takes out at the end

    (REC.3)  σ_L = .3 median_i min_{j≠i} ‖u_i − u_j‖/√d,   within [.02, .15]

Training. Three hidden layers of width 4d, from 64 to 256; with W_L = 0 and the skip (NET.8) it starts at N(0, I). λ of
(NCSN.3) weighs errors of f alike at every level, by (NET.9):

    (REC.4)  λ(σ) = σ²(1 + σ²),   λ(σ) ℓ(θ; σ) = ½ E‖f − t‖²

A fifth of the rows, 5 or more, is held out, equal ones together; training ends by their NCSN loss (FIT.5). Sampling
starts at rows under the noise σ_1, the law q_σ itself (DSM.7). annealed=True is slow, with fewer strays: 15 steps
of ½ σ_L² a level leave N(0, 1), by (LD.10), a variance of 1.04.

The end. From few rows a network learns to fill in between them, and means of rows spread less than rows: on digits a
seventh of the variance is lost, however many levels, and with a noisy sampler too. But n rows give the law of a column
to about 1/√n, whatever d. So each column of samples, of law F̂, is carried to the law F of all n rows,

    (REC.6)  x = F⁻¹(F̂(u)):   P(x ≤ a) = P(u ≤ F̂⁻¹(F(a))) = F(a)

with F̂ of more samples than there are rows. It leaves what columns have to do with each other; no sample lies beyond the
last row. The i-th smallest of n stands at F = (i − ½)/n, so each has its n-th: at (i − 1)/(n − 1) the two outermost
would have half, and a column of heavy tails lose up to a seventh of its deviation. The report, before (REC.6): energy,
the energy distance of m = 1,000 samples to h held-out rows over its mean for real rows (MET.2), 1 + (1/n)/(1/m + 1/h)
for n rows drawn anew, and

    (REC.5)  nearest = median distance of samples to the nearest training row, over the same of held-out rows

Both are about 1 where the laws are one; a warning says where nearest, 0 for copies, is below ½, another where a few
rows hold most of a column's spread, E u⁴ > n/10 of at most n, as Cauchy's, which has no limit. Fails: dependent rows.
Sources: Uria et al. 2013 (REC.1); Karras et al. 2022 (REC.4); Song & Ermon 2020 (levels).
"""

from warnings import warn

import numpy as np

from .checks import checked, maybe, table
from .data import decorrelated
from .langevin import annealed_langevin
from .metrics import distances, energy_distance, neighbour_distance
from .ncsn import even_loss, geometric_sigmas, ncsn_loss, stratified_sigmas
from .network import NoiseConditionalMLP, init_mlp
from .sde import dpm_solver
from .train import fit, last_best, until_it_rises


def code(column, j, rng, distinct, unit):
    """u and x̃ (n,) of column j (n,) of a table of so many distinct rows, and its values, None for dense ones."""
    values = np.unique(column)
    q = np.diff(values).min() * (2 * len(values) <= max(distinct, 19) or (values == np.rint(values)).all())
    x = column + q * (rng.random(len(column)) - 0.5)                         # (n,)  (REC.1)
    u = (x - x.mean()) / (unit or x.std())                                   # (n,)  (MIX.8)
    if not unit and ((tails := np.mean(u**4) / np.mean(u**2)**2) > 6 or q > 0.5 * x.std()):
        u[np.lexsort((rng.random(len(x)), x))] = np.sort(rng.standard_normal(len(x)))  # (n,)  (REC.2)
    if not q and not unit and tails > max(6, 0.1 * len(x)):
        warn(f"a few rows hold most of the spread of column {j}, which goes up to {x.max():.3g}", stacklevel=5)
    return u, x, values if q else None


def held_out(x, rng):
    """Which of the rows x (n,d) are held out, (n,); equal ones are on one side."""
    groups = np.unique(x, axis=0, return_inverse=True)[1].reshape(-1)        # (n,)
    return rng.permutation(groups.max() + 1)[groups] < max(5, groups.max() // 5)


def levels(u, sigma_min):
    """σ_1 … σ_L (L,) for rows u (n,d)."""
    few, d = u[::1 + len(u) // 500], u.shape[1]                              # (500,d) at most
    sigma_max, near = distances(few, few).max(), np.median(neighbour_distance(few, np.unique(u, axis=0), 2))  # (NCSN.6)
    sigma_min = sigma_min or float(np.clip(0.3 * near / d**0.5, 0.02, 0.15))  # (REC.3)
    n = 2 + max(0, int(np.log(sigma_max / sigma_min) / -np.log(max(1 / 1.15, 1 - 3 / (2 * d)**0.5))))  # (NCSN.7)
    return geometric_sigmas(sigma_max, sigma_min, n)


def train(rows, held, sigmas, rng, steps, progress):
    """The score (x, sigma) of rows (n,d) under noise, and {step: NCSN loss of the rows held out}."""
    d, size = rows.shape[1], min(max(64, 4 * rows.shape[1]), 256)
    params = [(W * (l < 3), b) for l, (W, b) in enumerate(init_mlp(rng, [d + 1, size, size, size, d], np.float32))]
    score = lambda params: NoiseConditionalMLP(params, skip=True)
    noisy = lambda x: (x, rng.standard_normal(x.shape, x.dtype), stratified_sigmas(rng, sigmas[0], sigmas[-1], len(x)))
    fixed = noisy(np.resize(rng.permutation(held), (max(1024, min(4096, 2**17 // d)), d)).astype(np.float32))
    ends, curve, best = until_it_rises(params, lambda params: float(ncsn_loss(score(params), *fixed)))
    fit(lambda params, x, rng: even_loss(score(params), *noisy(x)), params, rows, steps=steps, rng=rng,
        learning_rate=0.12 / size**0.5 if len(rows) >= 1000 else 0.003, progress=progress, callback=ends)
    return score(best), curve


def samples(score, rows, sigmas, n, rng, annealed):
    """n new u (n,d), from rows (m,d) under noise."""
    u = (rng.choice(rows, n) + sigmas[0] * rng.standard_normal((n, rows.shape[1]))).astype(np.float32)  # (DSM.7)
    u = annealed_langevin(score, u, sigmas, sigmas[-1]**2 / 2, 15, rng) if annealed else dpm_solver(score, u, sigmas)
    return u + sigmas[-1]**2 * score(u, sigmas[-1])                          # (n,d) float64  (DSM.8)


def way_back(u, x, values):
    """The map that carries the law of samples u (m,) to that of x (n,), then to the nearest of values unless None."""
    u, x = np.sort(u), np.quantile(x, (np.arange(len(u)) + 0.5) / len(u), method="hazen")  # (m,) (m,)
    exact = lambda x: x if values is None else values[np.searchsorted((values[1:] + values[:-1]) / 2, x)]
    return lambda new: exact(np.interp(new, u, x))                           # like new  (REC.6)


def judge(u, held, rows):
    """Energy distance of samples u (m,d) to held-out rows over its mean for real ones, and nearest; warns of copies."""
    real = (1 / len(u) + 1 / len(held)) * np.mean(distances(held, held)) * len(held) / (len(held) - 1)  # (MET.2)
    nearest = np.divide(*(np.median(neighbour_distance(a, rows, 1)) for a in (u, held)))  # ()  (REC.5)
    if nearest < 0.5:
        warn(f"samples are near copies, {nearest:.2f} times as far as fresh rows; use a larger sigma_min", stacklevel=4)
    return {"energy": energy_distance(u, held) / real, "nearest": nearest}


@checked(data=table, sigma_min=maybe)
def sampler(data, rng, *, one_scale=False, rounded=True, sigma_min=None, steps=4000, progress=None):
    """draw, report: draw(n, annealed=False) gives n new rows (n,d) like those of data (n,d), an array or a DataFrame.

    one_scale: columns share a unit. rounded: give whole numbers, and values that repeat, back as such. sigma_min: the
    least noise, of rows of deviation 1, in place of (REC.3). steps: the most to train. progress: as in fit. report: a
    dict of curve {step: held-out loss}, step, the one kept, sigmas, energy, nearest. Raises ValueError on text, missing
    values or fewer than 10 rows, with column and row; warns of copies and of a spread without a limit."""
    varying, distinct = np.ptp(data, axis=0) > 0, len(np.unique(data, axis=0))
    unit = np.mean(data[:, varying].var(axis=0))**0.5 if one_scale else None
    u, x, values = zip(*(code(data[:, j], j, rng, distinct, unit) for j in np.flatnonzero(varying)))
    # Rows equal in every column that has a density are one row told again, and stay together.
    u, out = np.stack(u, axis=1), held_out(np.stack([c for c, v in zip(x, values) if v is None] or x, axis=1), rng)
    w, Q = (u, np.eye(u.shape[1])) if one_scale else decorrelated(u)         # (n,d) (d,d)
    rows, held, sigmas = w[~out], w[out], levels(w[~out], sigma_min)
    score, curve = train(rows, held, sigmas, rng, steps, progress)
    new = lambda n, annealed=False: samples(score, rows, sigmas, n, rng, annealed) @ Q  # (n,d)
    back = [*map(way_back, new(min(8 * len(w) + 9000, 2**20 // len(x))).T, x, values if rounded else [None] * len(x))]

    @checked
    def draw(n, annealed=False):
        full = np.tile(data[0], (n, 1))
        full[:, varying] = np.stack([f(u) for f, u in zip(back, new(n, annealed).T)], axis=1)
        return full
    return draw, {"curve": curve, "step": last_best(curve), "sigmas": sigmas} | judge(new(1000), u[out][:1000], u[~out])
