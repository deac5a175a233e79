"""Engine room: what a public function demands of its arguments; no mathematics here.

One symbol has one meaning in this package, so what an argument must be follows from its name. KINDS says it once,
and @checked puts each argument of a function through the gate of its name. What fails raises an error that names
the argument, what came and what is wanted: TypeError for the wrong kind, ValueError for the wrong shape or value,
FloatingPointError where numbers leave the range of floats. A score that comes as an argument is Watched: each of
its values is checked too. A value that autograd traces passes the same gates and keeps its trace.

A gate is gate(name, value, x). x is the array that came first, which the others must fit; or, in a method, before
there is one, the object, whose d is the width. A function that wants another kind says so, @checked(sigma=levels).
"""

import math
import numbers
from contextlib import contextmanager
from functools import partial, wraps
from inspect import Parameter, signature

import numpy as np
from autograd.extend import Box
from autograd.tracer import getval

from .backprop import cast, traced

LIMITS = {np.dtype(kind): (np.finfo(kind).tiny.item()**0.5, np.finfo(kind).max.item()**0.5) for kind in "fd"}
ROUNDING = {dtype: np.finfo(dtype).eps.item() for dtype in LIMITS}
DOUBLE = np.dtype(np.float64)


def demand(holds, name, x, wanted, error=TypeError):
    """x, if this holds; else the error that names the argument, what came and what is wanted."""
    if not holds:
        came = f"an array of {x.dtype} of shape {x.shape}" if isinstance(x, (np.ndarray, np.generic)) else f"{x!r:.60}"
        raise error(f"{name} is {came}; want {wanted}")
    return x


def gate(wanted, holds, become=lambda value: value, error=TypeError):
    """The gate of what holds."""
    return lambda name, value, x=None: become(demand(holds(value), name, value, wanted, error))


def word(*words):
    """The gate of one of these words."""
    return gate(f"one of {words}", lambda value: isinstance(value, str) and value in words, error=ValueError)


# Arrays.


def finite(a):
    """Whether a float array holds neither NaN nor infinity. Its sum of squares, fast, settles all but huge entries."""
    return math.isfinite(np.vdot(a, a)) or bool(np.isfinite(a).all())


def real(name, x):
    """x as an array of real numbers, of any kind and size."""
    try:
        a = np.ma.asarray(x) if isinstance(x, (list, tuple)) else np.asanyarray(x)
        masked, a = np.ma.is_masked(a), np.asarray(a)
        if a.dtype == object and a.size and all(isinstance(e, numbers.Real) for e in a.flat):
            a = a.astype(float)
    except Exception as error:  # ragged lists, tensors that ask for a gradient, integers beyond floats
        raise TypeError(f"{name} is one {type(x).__name__}; want an array of real numbers ({error})") from None
    demand(a.dtype.kind in "biuf", name, x, "an array of real numbers")
    return demand(not masked, name, a, "finite numbers everywhere, none of them masked", ValueError)


def floats(name, x, dtype=None):
    """x as a finite array of float32 or float64, of dtype where it is given."""
    a = getval(x)
    if type(a) is not np.ndarray or a.dtype not in LIMITS or (dtype is not None and dtype != a.dtype):
        if isinstance(x, Box):
            demand(getattr(a, "dtype", None) in LIMITS, name, a, "float32 or float64, else derivatives would be wrong")
        x = x if isinstance(x, Box) else real(name, x)
        x = in_precision(x, dtype or (x.dtype if x.dtype in LIMITS else DOUBLE))
    if not finite(getval(x)):
        raise ValueError(f"{name} holds NaN or infinity; want finite numbers")
    return x


def in_precision(a, dtype):
    """a in this dtype, where it may become infinite without a warning."""
    with np.errstate(over="ignore"):
        return a if getval(a).dtype == dtype else cast(a, dtype)


def untraced(name, a):
    """a, if autograd does not trace it."""
    return demand(not isinstance(a, Box), name, a, "plain numbers: this function has no derivative in it")


def points(name, a, x=None, dtype=None, width=None):
    """a as a finite float array (N, d), N > 0, as wide as x and in its dtype."""
    a = floats(name, a, dtype or getattr(x, "dtype", None))
    width = width if x is None else x.shape[1] if hasattr(x, "dtype") else x.d
    if a.ndim != 2 or a.size == 0 or a.shape[1] != (width or a.shape[1]):
        raise ValueError(f"{name} has shape {a.shape}; want (N, {width or 'd'}) with N > 0")
    return a


def start(name, a, x=None, dtype=None):
    """Points that no derivative goes through, copied: they are kept, and the caller may change his."""
    return points(name, untraced(name, a), x, dtype).copy()


def doubles(name, a, x=None):
    """start in float64, of a size that distances between points can be squared."""
    a = start(name, a, x, DOUBLE)
    return demand(math.isfinite(4 * np.vdot(a, a)), name, a, "numbers whose squares are finite", ValueError)


def table(name, data, x=None):
    """data, an array or a DataFrame of ten rows or more, as floats (n,d); what is no number is named by its place."""
    try:
        a = np.ma.asarray(data.to_numpy() if hasattr(data, "to_numpy") else untraced(name, data))
    except Exception as error:  # ragged lists, tensors that ask for a gradient
        raise TypeError(f"{name} is no array and no DataFrame of numbers ({error})") from None
    if a.ndim != 2 or len(a) < 10:
        raise ValueError(f"{name} has shape {a.shape}; want (n, d), 10 rows or more")
    try:
        a = floats(name, a, DOUBLE).copy()
    except (TypeError, ValueError):
        for i, row in enumerate(a.tolist()):  # a masked entry becomes None
            for column, entry in zip(getattr(data, "columns", range(len(row))), row):
                demand(isinstance(entry, numbers.Real) and math.isfinite(entry),
                       f"{name} in column {column!r}, row {i}", entry, "a finite number", ValueError)
        raise
    return demand((a != a[0]).any(), name, a, "rows that differ", ValueError)


def rows(name, a, x, stack=False):
    """a as a finite float array of x's shape and dtype; (M, *x.shape) too where they may be stacked."""
    a = floats(name, a, x.dtype)
    if a.shape[stack and a.ndim == 3:] != x.shape or a.size == 0:
        raise ValueError(f"{name} has shape {a.shape}; want {x.shape}{f' or (M, {str(x.shape)[1:]}' * stack}, "
                         f"as x has shape {x.shape}")
    return a


def observed(name, y, x=None):
    """y as a finite float array, (m,) for all rows of x, or (N, m), one a row."""
    y = floats(name, untraced(name, y), getattr(x, "dtype", None))
    if y.ndim not in (1, 2) or not y.size or (y.ndim == 2 and hasattr(x, "dtype") and len(y) != len(x)):
        raise ValueError(f"{name} has shape {y.shape}; want (m,), or (N, m) with as many rows as x")
    return y.copy()


def levels(name, sigma, x):
    """sigma, one number > 0 or (N,) of them, as a column (N, 1) of x's dtype."""
    sigma, (least, most) = floats(name, untraced(name, sigma), x.dtype), LIMITS[x.dtype]
    if sigma.shape not in ((), (len(x),)):
        raise ValueError(f"{name} has shape {sigma.shape}; want one number or ({len(x)},), one per row of x")
    if not (least < sigma.min() and sigma.max() < most):
        raise ValueError(f"{name} runs from {sigma.min()} to {sigma.max()}; want finite numbers > 0 with squares so")
    return sigma[:, None] if sigma.ndim else np.full((len(x), 1), sigma, x.dtype)


def descending(name, sigmas, x=None, least=1, upwards=False):
    """sigmas, numbers > 0 in strictly descending order, or ascending where upwards, as a list."""
    sigmas = floats(name, untraced(name, sigmas), DOUBLE)
    steps = np.diff(sigmas) if sigmas.ndim == 1 and len(sigmas) >= least else np.zeros(1)
    if not (steps < 0).all() and not (upwards and (steps > 0).all()):
        raise ValueError(f"{name} are {sigmas}; want {least} or more finite numbers > 0 in strictly descending"
                         f"{' or ascending' * upwards} order")
    if sigmas[-1] == 0:
        raise ValueError(f"{name} end in 0; want numbers > 0: leave the 0 out, and end with tweedie")
    return [positive(name, sigma) for sigma in sigmas.tolist()]


def parameters(params):
    """params, a list of (W (in,out), b (out,)) whose layers fit, copied unless traced; its inputs and outputs."""
    layers, width = getval(params), None
    demand(isinstance(layers, (list, tuple)) and layers, "params", layers, "a list of (W (in, out), b (out,))")
    for l, layer in enumerate(map(getval, layers)):
        name = f"params[{l}]"
        demand(isinstance(layer, (list, tuple)) and len(layer) == 2, name, layer, "(W (in, out), b (out,))")
        W, b = map(getval, layer)
        for a in (W, b):
            right = type(a) in (np.ndarray, np.memmap) and a.dtype in LIMITS  # no matrix, no mask
            demand(right, name, a, "arrays of float32 or float64")
            if not isinstance(params, Box):  # in training the loss would show it
                floats(name, a)
        if W.ndim != 2 or not W.size or b.shape != W.shape[1:] or W.shape[0] != (width or W.shape[0]):
            raise ValueError(f"{name} has shapes {W.shape} and {b.shape}; want ({width or 'in'}, out) and (out,)")
        width = W.shape[1]
    copied = params if traced(params) else [(W.copy(), b.copy()) for W, b in params]
    return copied, getval(getval(layers[0])[0]).shape[0], width


# Functions that come as arguments.


def frozen(a):
    """A view of a that cannot be written to; a number or a traced array as it is."""
    if isinstance(a, np.ndarray):
        a = a.view()
        a.setflags(write=False)
    return a


def like(name, s, shape, x):
    """s, what a user's function returned at x, if it is a finite array of this shape; in x's dtype."""
    a = getval(s)
    if type(a) is not np.ndarray or a.dtype != x.dtype or a.shape != shape:
        kind = getattr(getattr(a, "dtype", None), "kind", "f")
        demand(kind != "O", name, a, f"a float array of shape {shape}, written with autograd.numpy")
        s = real(name, s) if not isinstance(s, Box) else s if kind == "f" else demand(False, name, a, "a float array")
        if s.ndim != len(shape) or any(want not in (None, size) for size, want in zip(s.shape, shape)):
            raise ValueError(f"{name} has shape {s.shape}; want {shape}" + ", that of x" * (len(shape) == 2))
        s = in_precision(s, x.dtype)
    if not finite(getval(s)):
        raise FloatingPointError(f"{name} holds NaN or infinity at finite x")
    return s


class Watched:
    """A function of x that came as an argument. It is given what it cannot write to; each value is checked, and its
    own. A network of this package is called behind its gates, which x has passed."""

    def __init__(self, name, f, x=None, shape=lambda x: x.shape):
        demand(not isinstance(f, type), name, f, "one of its objects, not the class")
        demand(callable(f) or hasattr(f, "jvp") or hasattr(f, "divergence"), name, f, "a function")
        self.name, self.f, self.shape, self.first = name, f, shape, None

    def __call__(self, x, *sigma):
        s = self.ask("__call__", x, *sigma)
        try:
            s = like(f"{self.name}(x)", s, self.shape(x), x)
        except FloatingPointError as error:
            raise FloatingPointError(f"{error}{self.cause(x)}") from None
        self.first = x if self.first is None else self.first
        if isinstance(s, Box):
            return s
        return self.constant(s, x, *sigma) if isinstance(x, Box) else s.copy()  # it may be a buffer, used again

    def cause(self, x):
        """What is at fault where a value is not finite at x, once there were others that are."""
        if self.first is None:
            return ""
        first, last = np.abs(getval(self.first)).max(), np.abs(getval(x)).max()
        cause = "use a smaller step" if last > 1e3 * (1 + first) else "the score is at fault, not the step"
        return f"; |x| went from {first:.3g} to {last:.3g}: {cause}"

    def constant(self, s, x, *sigma):
        """s, of which autograd sees no dependence on x, as a traced value, if s is flat there: constant or in steps."""
        beside = getval(x) + 1e-4 * (1 + np.abs(getval(x)))
        if np.mean(np.any(getval(self.ask("__call__", beside, *sigma)) != getval(s), axis=-1)) > 0.5:
            raise TypeError(f"{self.name}(x) depends on x in a way autograd cannot see; write it with autograd.numpy")
        return s + (0 * x if s.ndim == x.ndim else 0 * x[:, 0])

    def __getattr__(self, method):
        """f's own jvp, divergence and gradient, checked, and its at; AttributeError where it has none."""
        own, name = getattr(self.f, method), f"{self.name}.{method}(x)"

        def several(x, *v):
            values, shape = self.ask(method, x, *v), v[0].shape if v else x.shape[:1]
            demand(isinstance(getval(values), (tuple, list)) and len(values) == 2, name, getval(values), "a pair")
            return like(name, values[0], x.shape, x), like(name, values[1], shape, x)
        return {"jvp": several, "divergence": several,
                "gradient": lambda x: like(name, self.ask(method, x), x.shape, x)}.get(method, own)

    def ask(self, method, x, *more):
        """f.method(x, *more). Among more, sigma is a float or a column (N,1); a user gets (N,)."""
        call = getattr(self.f, method)
        try:
            if hasattr(call, "bare") and call.__self__.d == x.shape[1]:
                return call.bare(call.__self__, x, *(levels("sigma", a, x) if type(a) is float else a for a in more))
            more = [a[:, 0] if method == "__call__" and np.ndim(a) else a for a in more]
            return call(*map(frozen, (x, *more)))
        except (TypeError, ValueError, AttributeError) as error:
            if method == "__call__" and not takes(self.f, x, *more):
                demand(False, self.name, self.f, f"a function called as {self.name}(x{', sigma' * len(more)})")
            if "read-only" in str(error):
                raise ValueError(f"{self.name} writes into its argument; it must leave x as it is") from error
            if isinstance(x, Box) and not str(error).startswith(self.name):
                raise TypeError(f"{self.name} cannot be traced ({error}); write it with autograd.numpy, not numpy, and "
                                "without assignment to entries") from error
            raise


def takes(f, *args):
    """Whether f can be called with so many arguments."""
    try:
        signature(f).bind(*args)
    except (TypeError, ValueError) as error:
        return isinstance(error, ValueError)  # it has no signature
    return True


def callback(name, f, x=None):
    """f(i, x), given a copy of x, and heard with its own warnings; None does nothing."""
    if f is None:
        return lambda i, x: None
    heard = np.errstate(**np.geterr())(demand(callable(f), name, f, "a function"))
    return lambda i, x: heard(i, x.copy())


def loss(name, f, x=None):
    """f(params, x, rng), one finite float that autograd traces."""
    demand(callable(f), name, f, "a function")

    def value(*args):
        value = f(*args)
        a = getval(value)
        right = isinstance(value, Box) and getattr(a, "dtype", None) in LIMITS and a.shape == ()
        demand(right, "loss(params, x, rng)", a, "one number, such as a mean over rows, that depends on params in a "
               "way autograd sees: written with autograd.numpy")
        if not math.isfinite(a):
            raise FloatingPointError(f"the loss is {a:.3g}")
        return value
    return value


# Numbers.


def number(name, value, wanted, holds):
    """value, one plain number for which this holds."""
    value = value[()] if isinstance(value, np.ndarray) and not value.ndim else value
    value = value.item() if isinstance(value, np.generic) else value
    error = ValueError if isinstance(value, (list, tuple, np.ndarray)) else TypeError
    demand(isinstance(value, numbers.Real) and not isinstance(value, bool), name, value, wanted, error)
    return demand(holds(value), name, value, wanted, ValueError)


def positive(name, value, x=None):
    """value as a Python float > 0 whose square is a number too, in x's dtype; it leaves the dtype of arrays alone."""
    least, most = LIMITS[getattr(x, "dtype", DOUBLE)]
    if type(value) is float and least < value < most:
        return value
    return float(number(name, value, "one finite number > 0, also squared", lambda value: least < value < most))


def nonnegative(name, value, x=None):
    """value, one number >= 0, as a Python float."""
    return float(number(name, value, "one finite number >= 0", lambda value: 0 <= value < LIMITS[DOUBLE][1]))


def whole(name, value, x=None, least=1):
    """value, a whole number >= least."""
    return int(number(name, value, f"a whole number >= {least}, below 2**53",
                      lambda value: least <= value < 2**53 and value == int(value)))


def wholes(name, values, x=None):
    """values, a list, tuple or array of whole numbers >= 1, as a tuple."""
    demand(isinstance(values, (list, tuple)) or getattr(values, "ndim", 0) == 1, name, values, "whole numbers")
    demand(len(values), name, values, "one number and more", ValueError)
    return tuple(whole(f"{name}[{i}]", n) for i, n in enumerate(values))


def put_on_x(gate, name, sigma, x=None):
    """sigma by its gate; refused where rounding would take it away, and x + sigma·z be x."""
    sigma, a = gate(name, sigma, x), getval(x)
    if hasattr(x, "dtype"):
        least, size = sigma if type(sigma) is float else sigma.min(), math.sqrt(np.vdot(a, a) / a.size)
        if least < 4 * ROUNDING[a.dtype] * size:
            raise ValueError(f"{name} is {least:.3g}, lost beside x, of size {size:.3g}, in the rounding of {a.dtype}; "
                             "want more, or standardised data")
    return sigma


# The gate of each name, and what puts arguments through them.

several, function = partial(whole, least=2), gate("a function", callable)
noise_levels, maybe = partial(put_on_x, levels), lambda name, a, x=None: None if a is None else positive(name, a, x)
grid, upwards = partial(descending, least=2), partial(descending, least=2, upwards=True)
KINDS = {name: kind for names, kind in {
    "x x_noisy data H": points, "z target": rows, "y": observed, "v": partial(rows, stack=True), "score model": Watched,
    "energy prior": partial(Watched, shape=lambda x: x.shape[:1]),
    "features g": partial(Watched, shape=lambda x: (len(x), None)), "loss": loss, "callback": callback,
    "sigma radius": partial(put_on_x, positive), "h step learning_rate sigma_data sigma_max sigma_min": positive,
    "noise temperature ridge": nonnegative, "sigmas": descending, "n_steps": partial(whole, least=0),
    "n k steps batch_size n_permutations": whole, "sizes shape": wholes,
    "progress": gate("a function, such as tqdm", lambda f: f is None or callable(f), lambda f: f or iter),
    "rng": gate("a numpy.random.Generator, as default_rng(0) is", lambda rng: isinstance(rng, np.random.Generator)),
    "kind": word("rademacher", "gaussian", "sphere"),
    "predicts": word("noise", "denoiser", "score", "velocity"), "path": word("ve", "vp", "linear"),
    "leave_one_out denoise skip one_scale rounded annealed": gate(
        "True or False", lambda a: isinstance(a, (int, np.bool_)) and a in (0, 1), bool),
    "dtype": gate("numpy.float32 or numpy.float64",
                  lambda a: isinstance(a, (type, np.dtype)) and a in (np.float32, np.float64)),
}.items() for name in names.split()}


def checked(f=None, **own):
    """f, each of whose arguments goes through the gate of its name, or of its own. It gives no warning, and no value
    that is not finite; arrays come back in the dtype of x."""
    if f is None:
        return partial(checked, **own)
    bind, places, gates = signature(f).bind, signature(f).parameters, {**KINDS, **own}
    defaults = [place.default for place in places.values()]
    names, keywords = list(places), [name for name, place in places.items() if place.kind is place.KEYWORD_ONLY]
    plain = len(names) - len(keywords)
    first = next((names.index(name) for name in ("means", "x", "x_noisy", "data", "a") if name in names), None)
    order = [i for i in ([] if first is None else [first]) + list(range(len(names))) if names[i] in gates]
    order = [(i, names[i], gates[names[i]]) for i in dict.fromkeys(order)]

    @wraps(f)
    def gated(*given, **named):
        if given and type(given[0]) is Watched:  # it comes from a function that has checked
            return f(*given, **named)
        args = [*given, *defaults[len(given):]]
        if named or any(a is Parameter.empty for a in args) or len(args) > len(names):
            bound = bind(*given, **named)
            bound.apply_defaults()
            args = list(bound.arguments.values())
        x = args[0] if names[0] == "self" else None
        for i, name, kind in order:
            args[i] = kind(name, args[i], x)
            x = args[i] if i == first else x
        with np.errstate(all="ignore"):
            return result(f, f(*args[:plain], **dict(zip(keywords, args[plain:]))), x if "x" in names else None)
    gated.bare = f
    return gated


def result(f, value, x):
    """value of f, an array or several, if it is finite, in x's dtype; other things as they are."""
    if isinstance(value, tuple):
        return tuple(result(f, a, x) for a in value)
    if isinstance(value, (np.ndarray, np.floating, Box)):
        dtype = getval(value).dtype
        if getattr(x, "dtype", dtype) != dtype:
            value = in_precision(value, x.dtype)
        if not isinstance(value, Box) and not finite(value):
            raise FloatingPointError(f"{f.__qualname__.split('.<')[0]} is not finite: the inputs are too large, or too "
                                     f"far apart, for {value.dtype}")
    return value


sampling = partial(checked, x=start)  # no derivative goes through a sampler


# Chains and training.


@contextmanager
def at(place, remedy=""):
    """Where numbers leave the range of floats, the error says at which place."""
    try:
        yield
    except FloatingPointError as error:
        raise FloatingPointError(f"at {place}: {error}{remedy}") from None


def moved(after, x, remedy):
    """after, where chains went from x, if its squares are numbers still."""
    untraced("score(x)", after)
    if not math.isfinite(np.vdot(after, after)):
        first, last = np.abs(x).max(), np.abs(after).max()
        raise FloatingPointError(f"the chain diverged, |x| went from {first:.3g} to {last:.3g}; {remedy}")
    return after
