"""Conditional samples (COND): draw x when something about it is known, y.

y is a label, a part of a picture, a blurred or noisy measurement. Samplers need a score alone, so all that is to be
found is the score of p(x|y). By Bayes p(x|y) = p(x) p(y|x)/p(y), and p(y) is constant in x: (COND.1). But samplers walk
on noisy points, x̃ = x + σz. Given x, y is independent of z, so that the likelihood of x̃ is a mean, (COND.2), and not
p(y|x) with x̃ in the place of x:

    (COND.1) ∇log p(x|y) = ∇log p(x) + ∇log p(y|x)
    (COND.2) p(y|x̃) = ∫ p(y|x) p(x|x̃) dx = E[p(y|x) | x̃]
    (COND.3) ∇log q_σ(x̃|y) = ∇log q_σ(x̃) + ∇log p(y|x̃)

There are two ways to this score. Learned: everything in DSM holds for p(x|y) in the place of p(x). With (DSM.3), and
(DSM.14) given x̃ and y,

    (COND.4) ∇log q_σ(x̃|y) = E[−z/σ | x̃, y]
    (COND.5) ½ E σ²‖s(x̃, y, σ) + z/σ‖², over pairs (x, y), is least at this score, for all y and σ at once

So y stands beside x, and noise is put on x alone: ncsn_loss(given(net, y), x, z, sigma), where net has room for [x, y].
A network (NET.4) divides y by √(σ² + σ_data²) too; y √(σ² + σ_data²) in its place arrives as it is.

By Bayes, from a score s(x̃, σ) that knows nothing of y. Let y = Hx + noise·z', H (m,d), z' ~ N(0, I). Given x̃, x has
the mean D = x̃ + σ²s (DSM.8) and the covariance C = σ²I + σ⁴ ∂s/∂x̃ (DSM.16), so of y both moments are known, and a
Gaussian with these stands for p(y|x̃). Its gradient has two parts, as ∂D/∂x̃ = C/σ². With r = S⁻¹(y − HD),

    (COND.6) E[y|x̃] = HD,   Cov[y|x̃] = S = HCHᵀ + noise² I
    (COND.7) log p(y|x̃) ≈ log N(y; HD, S) = −½ (y − HD)ᵀS⁻¹(y − HD) − ½ log det S + const
    (COND.8) ∇log N(y; HD, S) = C Hᵀr/σ² + ½ ∑_ij (r_i r_j − S⁻¹_ij) ∇S_ij

This is exact where x given x̃ is Gaussian, hence for Gaussian data at every σ; and for data of a smooth density in the
limits of small σ and of large noise. The second part is 0 for one Gaussian, and is often left out, for it has third
derivatives of log q. On a mixture it must not be: it tells which mode x̃ may yet become. The C of a learned score errs
by σ² times the error of ∂D/∂x̃. Where σ is above the data's spread c, HCHᵀ, made symmetric, may then have eigenvalues λ
below 0, and be no covariance. Cut these at 0 (COND.15). That is the nearest covariance, and as covariances are a convex
set, it is nearer to the true one, too. In the gradient (COND.16) χ is 1 for λ above 0 and 0 for those below; between
them it tells how R turns. Or take (COND.9), a fixed covariance, which needs no tangents (c is sigma_data). Two
shortcuts fail. S = noise² I (DPS) leaves C out: on N(0, c²), H = 1, it pulls too hard by the factor S/noise²,
(COND.10). And (COND.1) with x̃ for x, Hᵀ(y − Hx̃)/noise², has no σ in it at all: a step of δ in σ² (SDE.8) multiplies
the part of x̃ that H sees by (COND.11).

    (COND.15) S = R Λ⁺ Rᵀ + noise² I,   HCHᵀ = R Λ Rᵀ, R orthogonal, Λ diagonal,   Λ⁺ = max(Λ, 0)
    (COND.16) (Rᵀ ∇S R)_ij = χ_ij (Rᵀ ∇(HCHᵀ) R)_ij
              χ_ij = (λ_i⁺ + λ_j⁺)/(|λ_i| + |λ_j|)
    (COND.9) C = σ²c²/(σ² + c²) I,   exact for N(0, c²I)
    (COND.10) 1 + σ²c²/((σ² + c²) noise²)
    (COND.11) 1 − δ/noise² − δ/(σ² + c²),   below −1, and growing, where δ ≥ 2 noise²

Guidance. To follow y more strictly than p(x|y) does, s_w = (1 − w)s + w s_y, w > 1, is put in the place of the score
s_y of q_σ(x̃|y). Without noise it is the score of p^{1−w}(x) p^w(x|y) ∝ p(x) p(y|x)^w, the tilted density, but with
noise it is not that density's noisy score. Let p = N(0, V) and p(x|y) = N(0, v), two variances. The tilted one is
(COND.12). With s = −x/(V + σ²) and s_y = −x/(v + σ²) the flow (SDE.14) is d log x/dσ = σ(1 − w)/(V + σ²) + σw/(v + σ²),
and ends at another (COND.13), with U = σ_max². The reversed process (SDE.6) ends at a third. Its variance Q obeys
dQ/du = 2aQ − 1 in u = σ², where a = (1 − w)/(V + u) + w/(v + u). Divide by M = (V + u)^{2−2w} (v + u)^{2w}, for which
dM/du = 2aM, to get d(Q/M)/du = −1/M. Q/M → 0 as u → ∞; and with ρ = (V + u)/(v + u), dρ/du = (v − V)/(v + u)², 1/M is
ρ^{2w−2}/(v + u)²:

    (COND.12) 1/((1 − w)/V + w/v)
    (COND.13) x(σ)² ∝ (V + σ²)^{1−w} (v + σ²)^w,   from variance U to V^{1−w} v^w as U → ∞
    (COND.14) Q(0) = M(0) ∫_0^∞ du/M(u) = (V v − V^{2−2w} v^{2w})/((2w − 1)(V − v))

For V = 2, v = 1, w = 4 the three are .400, .125, .283: only Langevin dynamics at small noise is right.

Cost: given, one pass; posterior_score, twice a pass and m tangents, and back through them. Start as the posterior
would, or from σ_max far above ‖E[x|y]‖ (SDE.4). Fails: (COND.7) where modes are far apart at middling σ and noise
small; (COND.15) after short training, and (COND.9), draw wrong weights. given is right for any p, and wants pairs and a
training of its own.
Sources: Song et al. 2021 (COND.3); Batzolis et al. 2021 (COND.5); Boys et al. 2023 (COND.7); Chung et al. 2023 (DPS);
Song et al. 2023 (fixed covariance); Ho & Salimans 2022 (guidance).
"""

import autograd.numpy as np

from .checks import checked, demand, floats, function, maybe, observed, sampling
from .derivatives import gradient, inner, jvp


@checked(score=function)
def given(score, y):
    """The score function of x (N,d), or of x and sigma, that has y beside x: the first d columns of score([x, y]).
    y (m,) holds for all x, (N,m) one a row. score takes d + m columns."""
    def conditional(x, *sigma):
        beside = np.broadcast_to(observed("y", y, x), (len(x), y.shape[-1]))  # (N,m)
        return score(np.concatenate([x, beside], axis=1), *sigma)[:, :x.shape[1]]  # (N,d)  (COND.5)
    return conditional


def _moments(at, x, sigma, H, sigma_data):
    """s (N,d), HD (N,m) and HCHᵀ (N,m,m) for the score at(x) of noisy points."""
    units = np.broadcast_to(H[:, None], (len(H), *x.shape))                  # (m,N,d)
    if sigma_data is None:
        s, J = jvp(at, x, units)                                             # (N,d) (m,N,d)
        CH = sigma**2 * units + sigma**4 * J                                 # (m,N,d)  (DSM.16)
    else:
        s, CH = at(x), units / (1 / sigma**2 + 1 / sigma_data**2)            # (N,d) (m,N,d)  (COND.9)
    HCH = np.einsum("mnd,kd->nmk", CH, H)                                    # (N,m,m), symmetric but for learned scores
    return s, np.dot(x + sigma**2 * s, H.T), 0.5 * (HCH + np.swapaxes(HCH, 1, 2))  # (COND.6)


def _slopes(HD, HCH, y, noise):
    """The derivatives of log N(y; HD, S) in HD (N,m), which is r, and in HCHᵀ (N,m,m)."""
    values, R = np.linalg.eigh(HCH)                                          # (N,m) ascending, (N,m,m)
    kept, size = np.maximum(values, 0), np.maximum(np.abs(values), np.finfo(HCH.dtype).tiny)
    S = kept + noise**2                                                      # (N,m), its eigenvalues  (COND.15)
    regular = np.all(S[:, 0] > 4 * np.finfo(HCH.dtype).eps * S[:, -1])
    demand(regular, "noise", noise, "more, for y has no covariance: rows of H depend on each other, or the "
           "Jacobian of score is no density's", FloatingPointError)
    r = np.einsum("nij,ni->nj", R, y - HD) / S                               # (N,m), Rᵀr
    share = (kept[:, :, None] + kept[:, None]) / (size[:, :, None] + size[:, None])  # (N,m,m)  (COND.16)
    inside = 0.5 * share * (r[:, :, None] * r[:, None] - np.eye(len(S[0]), dtype=S.dtype) / S[:, None])
    return np.einsum("nij,nj->ni", R, r), np.einsum("nik,nkl,njl->nij", R, inside, R)  # (N,m) (N,m,m)  (COND.8)


@sampling(sigma_data=maybe)
def posterior_score(score, x, sigma, H, y, noise, sigma_data=None):
    """∇log q_σ(x|y) (N,d) for y = Hx + noise·N(0, I) seen of the clean x, as if x given x̃ were Gaussian.
    score(x, sigma), of autograd's operations or with .at(sigma); sigma one number; H (m,d); y (m,), or (N,m) one a
    row; noise a standard deviation: divide rows of H and y where it differs. With sigma_data, the data's spread, the
    covariance of x given x̃ is fixed (COND.9); without, it is the score's own, made one (COND.15). FloatingPointError
    is raised where noise is 0 and y has no covariance, as for rows of H that depend on each other."""
    floats("y", y, None, (len(H),), (len(x), len(H)))                        # one number per row of H
    at = score.at(sigma) if hasattr(score, "at") else lambda x: score(x, sigma)
    moments = lambda x: _moments(at, x, sigma, H, sigma_data)
    s, HD, HCH = moments(x)                                                  # (N,d) (N,m) (N,m,m)
    by_mean, by_covariance = _slopes(HD, HCH, y, noise)                      # (N,m) (N,m,m)

    def likelihood(x):
        _, HD, HCH = moments(x)
        return inner(by_mean, HD) + np.einsum("nij,nij->n", by_covariance, HCH)
    return s + gradient(likelihood, x)                                       # (N,d)  (COND.3) (COND.8)
