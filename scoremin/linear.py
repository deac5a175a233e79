"""Linear models (LIN): score matching without gradient descent, by one linear solve.

If the score is a weighted sum of fixed functions, the implicit loss is a parabola in the weights, whose lowest point
solves linear equations. Let s(x) = W f(x), m features f, (d,) -> (m,), fixed, and W (d,m) to be learned. The divergence
is linear in W, ∑_ik W_ik ∂f_k/∂x_i, so (ISM.4) is quadratic: (LIN.1), with F and U for two means. A ridge adds ½ ridge
times the sum of all W_ik²; the derivative in W is then W F + ridge W + Uᵀ, zero at (LIN.2):

    (LIN.1)  J_ISM = ½ tr(W F Wᵀ) + tr(W U),   F = E[f fᵀ] (m,m),   U = E[∂f/∂x] (m,d)
    (LIN.2)  W = −Uᵀ (F + ridge I)⁻¹,   with no ridge, if F⁻¹ exists, J_ISM = −½ tr(Uᵀ F⁻¹ U)

Take f = (1, x) and data of mean μ, covariance S (with 1/n). F = [[1, μᵀ], [μ, S + μμᵀ]], and U is 0 above I. W = [b, A]
must solve b + Aμ = 0 and bμᵀ + A(S + μμᵀ) = −I; put the first in the second, AS = −I. The best is the Gaussian's:

    (LIN.3)  s(x) = −S⁻¹(x − μ)

Richer features need the ridge. With more features than points there is a ν ≠ 0 with νᵀf = 0 at all of them. For
W = −t Uᵀν νᵀ the first term of (LIN.1) is 0, and the second is all that is left: the loss falls without end:

    (LIN.4)  J_ISM = −t ‖Uᵀν‖² → −∞ as t → ∞,   unless Uᵀν = 0, as where one feature stands twice

Features of any accuracy come from chance. For ω ~ N(0, I/ℓ²), β uniform on [0, 2π], the product of two cosines is half
a sum, whose part with 2β has mean 0; and E cos ωᵀu = exp(−‖u‖²/2ℓ²), as ωᵀu ~ N(0, ‖u‖²/ℓ²):

    (LIN.5)  f_k(x) = √(2/m) cos(ω_kᵀx + β_k),   E[f(x)ᵀf(y)] = exp(−‖x − y‖²/2ℓ²) = k(x, y)

Only products of features matter: let k(x, y) = f(x)ᵀf(y), let R (n,n) and R_x (1,n) hold k between data, and between x
and data, and ζ(x) = 1/n ∑_j ∇_{x_j} k(x, x_j). Then W (F + ridge I) = −Uᵀ, applied to f(x), says that
s(x) = −(1/ridge)(ζ + 1/n ∑_j k(x, x_j) s(x_j)). At the data that is a system for the n values s(x_j), and then

    (LIN.6)  s(X) = −n (R + n·ridge I)⁻¹ ζ(X)
    (LIN.7)  s(x) = −ζ(x)/ridge + R_x (R + n·ridge I)⁻¹ ζ(X)/ridge

for any kernel, of infinitely many features too. (LIN.6) is the Stein gradient estimator: with ridge 0 it solves Stein's
identity (ISM.16) on the data for B = k(·, x_j) I.

A density of this kind is another model: with log p = wᵀφ(x) − log Z its score is a gradient, (∂φ)ᵀw, ∂φ (m,d) the
Jacobian of φ, of divergence wᵀΔφ. Again J_ISM is quadratic, ½ wᵀE[∂φ ∂φᵀ]w + wᵀE[Δφ], and least at

    (LIN.8)  w = −E[∂φ ∂φᵀ]⁻¹ E[Δφ]

Cost: N m² + m³, once; d directional derivatives of f. Fails: m features are a fixed choice, a small ridge overfits as
above. Sources: Hyvärinen 2007 (LIN.8); Sriperumbudur et al. 2017 (its kernels); Rahimi & Recht 2007 (LIN.5);
Li & Turner 2018 (LIN.6); Zhou et al. 2020 (LIN.7).
"""

import autograd.numpy as np

from .checks import Size, checked, demand, floats, start, untraced
from .derivatives import along


@checked(x=start)
def linear_score(features, x, ridge=0.0):
    """The score function s(x) = W f(x) that minimises J_ISM + ½ ridge ‖W‖² on the points x (N,d).
    features(x), (N,d) -> (N,m), treats rows independently and is written with autograd.numpy. Raises ValueError
    where ridge is 0 and the features are linearly dependent on x: no minimum, or no single one (LIN.4)."""
    units = np.broadcast_to(np.eye(x.shape[1], dtype=x.dtype)[:, None], (x.shape[1], *x.shape))  # (d,N,d)
    f, slopes = along(features, x, units)                                    # (N,m) (d,N,m)
    F = untraced("features(x)", f.T @ f / len(x)) + ridge * np.eye(f.shape[1], dtype=x.dtype)  # (m,m)  (LIN.1) (LIN.2)
    U = slopes.mean(axis=1).T                                                # (m,d)  (LIN.1)
    full = np.isfinite(F).all() and np.linalg.matrix_rank(F, hermitian=True) == len(F)
    demand(full, "features(x)", f, "fewer, standardised, or more ridge: linearly dependent, or of sizes too far apart")
    W = -np.linalg.solve(F, U)                                               # (m,d), Wᵀ  (LIN.2)
    wide = lambda name, x, _: floats(name, x, None, (Size("N"), len(W.T)))
    return checked(lambda x: np.dot(features(x), W), x=wide)                 # (N,d)
