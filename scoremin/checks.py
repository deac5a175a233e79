"""Engine room: what a public function demands of its arguments; no mathematics here.

A public function checks what it is given once, at its entry, and raises an error that names the
argument, what came and what is wanted: TypeError for the wrong kind, ValueError for the wrong shape
or value, FloatingPointError where numbers leave the range of floats. Four gates do it:

    floats, points, same_rows     arrays: real numbers become float32 or float64, all finite
    value_at, like                the value of a score, an energy or a derivative, the user's own too
    parameters                    a list of (W, b) whose layers fit each other
    positive, whole, …            one number, one generator

A value that autograd traces passes the same gates by its value, and keeps its trace.
"""

import math
import numbers
from contextlib import contextmanager
from functools import wraps
from inspect import signature

import numpy as np
from autograd.extend import Box
from autograd.tracer import getval

from .backprop import cast

LIMITS = {np.dtype(kind): (np.finfo(kind).tiny.item()**0.5, np.finfo(kind).max.item()**0.5) for kind in "fd"}
DOUBLE = np.dtype(np.float64)
ARRAYS = (np.ndarray, np.memmap)  # no matrix, no mask
quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")  # for what is checked for NaN and infinity after


def described(x):
    """A short word on x for an error message."""
    if isinstance(x, (np.ndarray, np.generic)):
        return f"an array of {x.dtype} of shape {x.shape}"
    try:
        text = repr(x)
    except Exception:  # integers of thousands of digits, classes with a fault of their own
        text = ""
    return text if 0 < len(text) < 60 else f"one {type(x).__name__}"


def demand(holds, name, x, wanted, error=TypeError):
    """x, if this holds; else the error that names the argument, what came and what is wanted."""
    if not holds:
        raise error(f"{name} is {described(x)}; want {wanted}")
    return x


# Arrays.


def finite(a):
    """Whether a float array holds neither NaN nor infinity. Its sum of squares, fast, settles all but huge entries."""
    return math.isfinite(np.vdot(a, a)) or bool(np.isfinite(a).all())


def real(name, x):
    """x as an array of real numbers, of any kind and size."""
    try:
        a = np.ma.asarray(x) if isinstance(x, (list, tuple)) else np.asanyarray(x)
        masked, a = np.ma.is_masked(a), np.asarray(a)
        if a.dtype.kind == "O" and a.size and all(isinstance(e, numbers.Real) for e in a.flat):
            a = a.astype(float)
    except Exception as error:  # ragged lists, tensors that ask for a gradient, integers beyond floats
        raise TypeError(f"{name} is {described(x)}; want an array of real numbers ({error})") from None
    demand(a.dtype.kind in "biuf", name, x, "an array of real numbers")
    return demand(not masked, name, a, "finite numbers everywhere, none of them masked", ValueError)


def floats(name, x, dtype=None):
    """x as a finite array of float32 or float64, of dtype where it is given."""
    a = getval(x)
    if type(a) is not np.ndarray or a.dtype not in LIMITS or (dtype is not None and dtype != a.dtype):
        if isinstance(x, Box):
            demand(getattr(a, "dtype", None) in LIMITS, name, a, "float32 or float64, else derivatives would be wrong")
        x = x if isinstance(x, Box) else real(name, x)
        x = in_precision(x, dtype or (x.dtype if x.dtype in LIMITS else np.float64))
    if not finite(getval(x)):
        raise ValueError(f"{name} holds NaN or infinity; want finite numbers")
    return x


def in_precision(a, dtype):
    """a in this dtype, where it may become infinite without a warning."""
    with np.errstate(over="ignore"):
        return a if getval(a).dtype == dtype else cast(a, dtype)


def points(name, x, width=None, dtype=None):
    """x as a finite float array (N, d) with N > 0; d = width where it is given."""
    x = floats(name, x, dtype)
    if x.ndim != 2 or x.size == 0 or x.shape[1] != (width or x.shape[1]):
        raise ValueError(f"{name} has shape {x.shape}; want (N, {width or 'd'}) with N > 0")
    return x


def same_rows(name, a, x, stacked=False):
    """a as a finite float array of x's shape and dtype; (M, *x.shape) too where stacked."""
    a = floats(name, a, x.dtype)
    lead = a.shape[:1] if stacked and a.ndim == 3 else ()
    if a.shape != lead + x.shape or a.size == 0:
        wanted = f"{x.shape}" + (f" or (M, {x.shape[0]}, {x.shape[1]})" if stacked else "")
        raise ValueError(f"{name} has shape {a.shape}; want {wanted}, as x has shape {x.shape}")
    return a


def untraced(name, x):
    """x, if autograd does not trace it."""
    return demand(not isinstance(x, Box), name, x, "plain numbers: this function has no derivative in it")


def noise_levels(name, sigma, x):
    """sigma, one number > 0 or (N,) of them, as a column (N, 1) of x's dtype."""
    sigma = floats(name, untraced(name, sigma), x.dtype)
    if sigma.shape not in ((), (len(x),)):
        raise ValueError(f"{name} has shape {sigma.shape}; want one number or ({len(x)},), one per row of x")
    least, most = LIMITS[x.dtype]
    if not (least < sigma.min() and sigma.max() < most):
        raise ValueError(f"{name} runs from {sigma.min()} to {sigma.max()}; want finite numbers > 0 with squares so")
    return sigma[:, None] if sigma.ndim else np.full((len(x), 1), sigma, x.dtype)


def descending(name, sigmas, least=1, upwards=False):
    """sigmas, numbers > 0 in strictly descending order, or ascending where upwards, as a list."""
    sigmas = floats(name, untraced(name, sigmas), np.float64)
    steps = np.diff(sigmas) if sigmas.ndim == 1 and len(sigmas) >= least else np.zeros(1)
    if not (steps < 0).all() and not (upwards and (steps > 0).all()):
        raise ValueError(f"{name} are {sigmas}; want {least} or more finite numbers > 0 in strictly descending"
                         f"{' or ascending' * upwards} order")
    return [positive(name, sigma) for sigma in sigmas.tolist()]


def parameters(params):
    """(inputs, outputs) of params, a list of (W (in,out), b (out,)), if its layers fit."""
    layers, inputs, width = getval(params), None, None
    demand(isinstance(layers, (list, tuple)) and layers, "params", layers, "a list of (W (in, out), b (out,))")
    for l, layer in enumerate(layers):
        layer = getval(layer)
        if not isinstance(layer, (list, tuple)) or len(layer) != 2:
            raise TypeError(f"params[{l}] is {described(layer)}; want (W (in, out), b (out,))")
        W, b = map(getval, layer)
        if not (type(W) in ARRAYS and type(b) in ARRAYS and W.dtype in LIMITS and b.dtype in LIMITS):
            raise TypeError(f"params[{l}] holds {described(W)} and {described(b)}; want arrays of float32 or float64")
        if W.ndim != 2 or not W.size or b.shape != W.shape[1:] or W.shape[0] != (width or W.shape[0]):
            raise ValueError(f"params[{l}] has shapes {W.shape} and {b.shape}; want ({width or 'in'}, out) and (out,)")
        if not isinstance(params, Box) and not (finite(W) and finite(b)):  # in training the loss would show it
            raise ValueError(f"params[{l}] holds NaN or infinity; want finite numbers")
        inputs, width = inputs or W.shape[0], W.shape[1]
    return inputs, width


# Values of functions.


def ask(name, f, method, x, *more):
    """f.method(x, *more) of checked arguments: a network's without its gates, a user's with read-only arrays."""
    call = f if hasattr(f, "bare") else getattr(f, method, f)
    net = getattr(call, "__self__", None) if hasattr(call, "bare") else None
    if net is not None and net.d == x.shape[1] and float not in map(type, more):
        return call.bare(net, x, *more)
    if method == "__call__":
        more = [a if type(a) is float else a[:, 0] for a in more]            # noise levels, (N,) to a user
    try:
        return function(name, call)(*map(frozen, (x, *more)))
    except (TypeError, ValueError, AttributeError) as error:
        if "read-only" in str(error):
            raise ValueError(f"{name} writes into its argument; it must leave x as it is") from error
        if isinstance(x, Box) and "Box" in str(error):
            raise TypeError(f"{name} cannot be traced ({error}); write it with autograd.numpy, not numpy") from error
        raise


def value_at(f, x, *sigma, name="score", shape=None):
    """f(x, *sigma), a float array of x's shape, or of the given one, in x's dtype; sigma one float or a column (N,1).
    The caller is quiet."""
    s = like(f"{name}(x)", ask(name, f, "__call__", x, *sigma), x.shape if shape is None else shape, x.dtype)
    return s if isinstance(s, Box) or not isinstance(x, Box) else constant(name, f, s, x, *sigma)


def constant(name, f, s, x, *sigma):
    """s, of which autograd sees no dependence on x, as a traced value, if s is flat there: constant or in steps."""
    beside = getval(x) + 1e-4 * (1 + np.abs(getval(x)))
    moved = np.any(getval(ask(name, f, "__call__", beside, *sigma)) != getval(s), axis=-1)
    if np.mean(moved) > 0.5:
        raise TypeError(f"{name}(x) depends on x by operations autograd cannot see; write it with autograd.numpy")
    return s + (0 * x if s.ndim == x.ndim else 0 * x[:, 0])


def frozen(a):
    """A view of a that cannot be written to; a number or a traced array as it is."""
    if isinstance(a, np.ndarray):
        a = a.view()
        a.setflags(write=False)
    return a


def like(name, s, shape, dtype):
    """s, what a user's function returned, if it is a finite float array of this shape; in this dtype."""
    a = getval(s)
    if type(a) is not np.ndarray or a.dtype != dtype or a.shape != shape:
        kind, masked = getattr(getattr(a, "dtype", None), "kind", None), np.ma.isMaskedArray(a)
        hint = ", written with autograd.numpy" * (kind == "O") + ", without a mask" * masked
        demand(kind == "f" and not masked, name, a, f"a float array of shape {shape}{hint}")
        if a.ndim != len(shape) or any(want not in (None, size) for size, want in zip(a.shape, shape)):
            raise ValueError(f"{name} has shape {a.shape}; want {shape}" + ", that of x" * (len(shape) == 2))
        s = in_precision(s if isinstance(s, Box) else np.asarray(s), dtype)
    if not finite(getval(s)):
        raise FloatingPointError(f"{name} holds NaN or infinity at finite x")
    return s


def pair(name, value):
    """value, if it is two things."""
    demand(isinstance(getval(value), (tuple, list)) and len(value) == 2, name, getval(value), "a pair")
    return value


def result(name, value):
    """value, a number or an array, if it is finite."""
    for a in value if isinstance(value, tuple) else (value,):
        if not finite(np.asarray(getval(a))):
            raise FloatingPointError(f"{name} is not finite: the inputs are too large, or too far apart, for {a.dtype}")
    return value


def in_range(f):
    """f, whose value must be finite: inputs within range can have an answer that is not. It gives no warning."""
    @wraps(f)
    def checked(*args, **options):
        with np.errstate(all="ignore"):
            return result(f.__qualname__.split(".<")[0], f(*args, **options))
    return checked


GATES = {"v": lambda v, x: same_rows("v", v, x, stacked=True), "sigma": lambda a, x: noise_levels("sigma", a, x)}


def gated(method):
    """A network's method behind the gates of x (N,d) and of v or sigma, its value in range; training is left to its
    loss, which sees the same. What is checked already goes to the method itself, .bare."""
    places, ranged = signature(method), in_range(method)
    gates = [GATES[name] for name in [*places.parameters][2:]]

    @wraps(method)
    def checked(*args, **named):
        net, x, *more = places.bind(*args, **named).args
        x = points("x", x, net.d)
        more = [gate(a, x) for gate, a in zip(gates, more)]
        return (method if isinstance(net.params, Box) else ranged)(net, x, *more)
    checked.bare = method
    return checked


# Numbers and the rest.


def number(name, value, wanted):
    """value as one plain number."""
    value = value[()] if isinstance(value, np.ndarray) and not value.ndim else value
    value = value.item() if isinstance(value, np.generic) else value
    error = ValueError if isinstance(value, (list, tuple, np.ndarray)) else TypeError
    return demand(isinstance(value, numbers.Real) and not isinstance(value, bool), name, value, wanted, error)


def positive(name, value, dtype=DOUBLE):
    """value as a Python float > 0 whose square is a number of dtype too; it leaves the dtype of arrays alone."""
    wanted, (least, most) = "one finite number > 0, also squared", LIMITS[dtype]
    value = value if type(value) is float else number(name, value, wanted)
    return float(demand(least < value < most, name, value, wanted, ValueError))


def nonnegative(name, value):
    """value, one number >= 0, as a Python float."""
    return 0.0 if number(name, value, "one finite number >= 0") == 0 else positive(name, value)


def whole(name, value, least=1):
    """value, a whole number >= least."""
    wanted = f"a whole number >= {least}, below 2**53"
    value = number(name, value, wanted)
    return int(demand(least <= value < 2**53 and value == int(value), name, value, wanted, ValueError))


def wholes(name, values):
    """values, a list, tuple or array of whole numbers >= 1, as a tuple."""
    demand(isinstance(values, (list, tuple)) or getattr(values, "ndim", 0) == 1, name, values, "whole numbers")
    return tuple(whole(f"{name}[{i}]", n) for i, n in enumerate(values))


def flag(name, value):
    """value, True or False, which 1 and 0 may stand for."""
    return bool(demand(isinstance(value, (int, np.bool_)) and value in (0, 1), name, value, "True or False"))


def float_type(dtype):
    """dtype, float32 or float64."""
    right = isinstance(dtype, (type, np.dtype)) and dtype in (np.float32, np.float64)
    return demand(right, "dtype", dtype, "numpy.float32 or numpy.float64")


def function(name, f):
    """f, something to call."""
    return demand(callable(f), name, f, "a function")


def generator(rng):
    """rng, a numpy.random.Generator."""
    return demand(isinstance(rng, np.random.Generator), "rng", rng, "a numpy.random.Generator, as default_rng(0) is")


# Chains and training.


@contextmanager
def chain_step(step, x, start, remedy):
    """One step of chains at x: where it fails, the error gets its number and the likely cause."""
    try:
        with np.errstate(all="ignore"):
            yield
    except OverflowError as error:
        raise FloatingPointError(f"the chain diverged at step {step}: {error} {remedy}") from None
    except FloatingPointError as error:
        first, last = np.abs(start).max(), np.abs(x).max()
        cause = f" {remedy}" if last > 1e3 * (1 + first) else ": the score is at fault, not the step"
        raise FloatingPointError(f"{error} at step {step}; |x| went from {first:.3g} to {last:.3g}{cause}") from None


def unbroken(moved, x):
    """moved, where chains went from x, if its squares are numbers still."""
    if not math.isfinite(np.vdot(moved, moved)):
        raise OverflowError(f"|x| went from {np.abs(x).max():.3g} to {np.abs(moved).max():.3g}")
    return moved


def iterator(progress, steps):
    """The iterator over steps, wrapped by progress where it is not None."""
    wrapped = steps if progress is None else function("progress", progress)(steps)
    return iter(demand(hasattr(wrapped, "__iter__"), "progress(steps)", wrapped, "an iterator over the steps"))


def loss_value(value):
    """value, of a loss that autograd traces, if it is one finite float."""
    name, a = "loss(params, x, rng)", getval(value)
    demand(isinstance(value, Box) and getattr(a, "dtype", None) in LIMITS, name, a,
           "one float that depends on params in a way autograd sees, written with autograd.numpy")
    if a.shape:
        raise ValueError(f"{name} has shape {a.shape}; want one number, such as a mean over rows")
    if not math.isfinite(a):
        raise FloatingPointError(f"the loss is {a:.3g}")
    return value


def training_failed(error, k, theta, rate):
    """The error of step k of training, with the remedy that fits: nothing has moved before the first."""
    remedy = (f"try a learning_rate below {rate:.3g}" if k > 1 else
              "no step was taken yet, so look at the loss and at the scale of data and params")
    return FloatingPointError(f"at step {k}, |params| up to {np.abs(theta).max():.3g}: {error}; {remedy}")
