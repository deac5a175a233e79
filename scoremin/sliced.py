"""Sliced score matching (SSM): Hutchinson's random probes in the place of the exact trace.

The exact trace costs d derivatives. One derivative, along a random direction v, is right in the mean, and its noise is
averaged away over the steps of training. Let v be independent of x, with E vvᵀ = I. For any square A, by linearity,

    (SSM.1)  E_v[vᵀ A v] = ∑_ij A_ij E[v_i v_j] = tr A
    (SSM.2)  E_v[(vᵀu)²] = uᵀ E[vvᵀ] u = ‖u‖²

With u = s − ∇log p, (SSM.2) makes J_ESM an average over one-dimensional slices (SSM.3). Put (SSM.1) for the trace and
(SSM.2) for the norm in (ISM.4) to get SSM; only the first, since ‖s‖² is known exactly, to get SSM-VR ("variance
reduction"). Both have the mean J_ISM:

    (SSM.3)  J_ESM(θ) = ½ E_v E_p (vᵀs − vᵀ∇log p)²
    (SSM.4)  J_SSM(θ)    = E_v E_p[½(vᵀs)² + vᵀ ∂s/∂x v]
    (SSM.5)  J_SSM-VR(θ) = E_v E_p[½‖s‖²   + vᵀ ∂s/∂x v]

The probe scale matters. A uniformly random unit vector has E vvᵀ = I/d: (SSM.5) would see 1/d of the trace, and learn
1/d of the score; in (SSM.4) both terms shrink alike, so the score is right and the loss 1/d of what it should be.

How noisy is Q = vᵀAv? Only the symmetric part of A counts, H = (A + Aᵀ)/2; let ‖H‖_F² = ∑_ij H_ij². The law of v does
not change when one v_i changes its sign, so a moment with an odd power of any v_i is 0, and in E Q² = ∑ H_ij H_kl
E[v_i v_j v_k v_l] only pairs of equal indices survive. With α = E v_i⁴ and β = E v_i²v_j², i ≠ j, that is (SSM.9).
(α, β) is (3, 1), (1, 1), and 3β = α = 3d/(d+2) for the three probes here: on the sphere a turn of v_i to (v_i + v_j)/√2
leaves α = (2α + 6β)/4, so α = 3β, and E‖v‖⁴ = dα + d(d−1)β = d² fixes the size. All have E vvᵀ = I. At one x, SSM-VR
has this variance with A = ∂s/∂x, and SSM with that of (SSM.10); the mean of M independent probes divides it by M:

    (SSM.9)  E Q² = β((tr H)² + 2‖H‖_F²) + (α − 3β) ∑_i H_ii²,   Var Q = E Q² − (tr H)²
    (SSM.6)  Gaussian    v ~ N(0, I)             Var Q = 2‖H‖_F²
    (SSM.7)  Rademacher  v_i = ±1                Var Q = 2(‖H‖_F² − ∑_i H_ii²)
    (SSM.8)  sphere      v uniform on ‖v‖ = √d   Var Q = 2d/(d+2) (‖H‖_F² − (tr H)²/d)
    (SSM.10) ½(vᵀs)² + vᵀ ∂s/∂x v = vᵀ(∂s/∂x + ½ssᵀ)v

Rademacher probes are exact for d = 1. Gaussian probes are never quieter, and as noisy as signs where the diagonal of H
is 0. For d > 1 neither signs nor the sphere wins always.

With no derivative at all: expand s(x ± rv) in the radius r. Odd powers cancel in the sum, even ones in the difference,
and what is left is of order r². Rounding of relative size κ in s is divided by r, while the bias grows as r² (SSM.13):

    (SSM.11) s_± = s(x ± rv),   (s_+ − s_−)/2r = Jv + O(r²),   (s_+ + s_−)/2 = s + O(r²)
    (SSM.12) J_FD = E[½‖(s_+ + s_−)/2‖² + vᵀ(s_+ − s_−)/2r] = J_SSM-VR + O(r²)
    (SSM.13) error ~ κ/r + r²,   least at r ~ κ^{1/3}: .004 in float32, κ = 6·10⁻⁸ (.005 measured)

Denoising (DSM.4) with z and −z in turn contains it: with rv = σz, the mean of ½‖s_± ± z/σ‖² is
¼‖s_+‖² + ¼‖s_−‖² + zᵀ(s_+ − s_−)/2σ + ‖z‖²/2σ², and ½‖s_+‖² + ½‖s_−‖² = ‖(s_+ + s_−)/2‖² + ¼‖s_+ − s_−‖², so

    (SSM.14) ½(J_DSM(z) + J_DSM(−z)) = J_FD + ⅛ E‖s_+ − s_−‖² + E‖z‖²/2σ²,   v = z, r = σ

Cost: one directional derivative a probe, two passes with that for s, whatever d is. Finite differences take two as
well; they serve scores that are black boxes. Fails: the noise grows with d.
Sources: Song et al. 2019 (SSM, section 3.1); Hutchinson 1990; Pang et al. 2020 (finite differences).
"""

import autograd.numpy as np

from .checks import checked, rows
from .derivatives import half_square, inner, jvp, mean


@checked
def probes(rng, kind, shape, dtype=np.float64):
    """Random v with E vvᵀ = I over the last axis: kind "rademacher", "gaussian" or "sphere"; float64 or float32."""
    if kind == "rademacher":
        return 2 * rng.integers(0, 2, size=shape).astype(dtype) - 1
    v = rng.standard_normal(shape, dtype)
    return v if kind == "gaussian" else v * (shape[-1] / np.sum(v**2, axis=-1, keepdims=True))**0.5


@checked
def sliced_loss(score, x, v):
    """E[½(vᵀs)² + vᵀ ∂s/∂x v], a scalar; v from probes, (N,d), or (M,N,d) to average M a point."""
    s, Jv = jvp(score, x, v)                                                 # (N,d) like v
    return mean(0.5 * inner(v, s)**2 + inner(v, Jv))                         # ()  (SSM.4)


@checked
def sliced_vr_loss(score, x, v):
    """E[½‖s‖² + vᵀ ∂s/∂x v], a scalar; v as in sliced_loss."""
    s, Jv = jvp(score, x, v)                                                 # (N,d) like v
    return mean(half_square(s) + inner(v, Jv))                               # ()  (SSM.5)


@checked(v=rows)
def finite_difference_loss(score, x, v, radius):
    """E[½‖(s₊ + s₋)/2‖² + vᵀ(s₊ − s₋)/(2 radius)], a scalar: sliced_vr_loss with no derivative of the score.
    v (N,d) from probes; radius > 0 in the units of x: in float32 take .005 for x of size 1 (SSM.13)."""
    ahead, behind = score(x + radius * v), score(x - radius * v)             # (N,d) (N,d)
    s, Jv = 0.5 * (ahead + behind), (ahead - behind) / (2 * radius)          # (N,d) (N,d)  (SSM.11)
    return mean(half_square(s) + inner(v, Jv))                               # ()  (SSM.12)
