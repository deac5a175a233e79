"""Input checks, shared by every chapter; a reader of the mathematics may skip this page.

A public function checks what it is given once, at its entry, and raises ValueError naming the
argument, what came and what is wanted. float32 and float64 pass through, everything else becomes
float64: on integer arrays autograd's gradients would be silently wrong. A value that autograd is
tracing keeps its type, and only its shape is checked.
"""

import numpy as np
from autograd.extend import Box


def floats(name, x):
    """x as a finite array of float32 or float64; a traced x as it is."""
    if isinstance(x, Box):
        return x
    x = np.asarray(x)
    x = x if x.dtype in (np.float32, np.float64) else x.astype(float)
    if not np.isfinite(x).all():
        raise ValueError(f"{name} holds NaN or infinity; want finite numbers")
    return x


def points(name, x, width=None):
    """x as a finite float array (N, d) with N > 0; d = width where it is given."""
    x = floats(name, x)
    if x.ndim != 2 or x.size == 0 or x.shape[1] != (width or x.shape[1]):
        raise ValueError(f"{name} has shape {x.shape}; want (N, {width or 'd'}) with N > 0")
    return x


def same_rows(name, a, x, stacked=False):
    """a as a finite float array of x's shape and dtype; (M, *x.shape) too where stacked."""
    a = floats(name, a)
    lead = a.shape[:1] if stacked and a.ndim == 3 else ()
    if a.shape != lead + x.shape or a.size == 0:
        wanted = f"{x.shape}" + (f" or (M, {x.shape[0]}, {x.shape[1]})" if stacked else "")
        raise ValueError(f"{name} has shape {a.shape}; want {wanted}, as x has shape {x.shape}")
    return a if isinstance(a, Box) else a.astype(x.dtype, copy=False)


def like(s, x):
    """s, the value of a score function at x, which must have x's shape: an energy's (N,) would broadcast."""
    if np.shape(s) != x.shape:
        raise ValueError(f"score(x) has shape {np.shape(s)}; want {x.shape}, that of x")
    return s


def scalar(name, value):
    """value, if it is one number."""
    if np.ndim(value):
        raise ValueError(f"{name} has shape {np.shape(value)}; want one number, such as a mean over the rows")
    return value


def positive(name, value):
    """value as a Python float > 0, which leaves the dtype of any array it meets alone."""
    if np.ndim(value) or not 0 < value < np.inf:
        raise ValueError(f"{name} is {value!r}; want one finite number > 0")
    return float(value)


def whole(name, value, least=1):
    """value, a whole number >= least."""
    if np.ndim(value) or value != int(value) or value < least:
        raise ValueError(f"{name} is {value!r}; want a whole number >= {least}")
    return int(value)


def noise_levels(name, sigma, x):
    """sigma, one number > 0 or (N,) of them, as a column (N, 1) of x's dtype."""
    sigma = np.asarray(sigma, dtype=x.dtype)
    if sigma.shape not in ((), (len(x),)):
        raise ValueError(f"{name} has shape {sigma.shape}; want one number or ({len(x)},), one per row of x")
    if not 0 < sigma.min() <= sigma.max() < np.inf:
        raise ValueError(f"{name} runs from {sigma.min()} to {sigma.max()}; want finite numbers > 0")
    return sigma[:, None] if sigma.ndim else np.full((len(x), 1), sigma, x.dtype)


def value_at(score, x, *sigma):
    """score(x, *sigma), which must have x's shape."""
    return like(score(x, *sigma), x)
