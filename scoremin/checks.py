"""Engine room: what a public function demands of its arguments; no mathematics here.

One symbol has one meaning in this package, so what an argument must be follows from its name. KINDS says it once, and
@checked puts each argument of a function through the gate of its name: gate(name, value, x) gives the value to work
with, or raises an error that names the argument, what came and what is wanted: TypeError for the wrong kind, ValueError
for the wrong shape or value, FloatingPointError where numbers leave the range of floats. x is the argument that the
others must fit, or, in a method, the object, whose d is the width. A function that wants another kind says so,
@checked(sigma=levels). A score that comes as an argument is Watched: each of its values is checked too. A value that
autograd traces passes the same gates and keeps its trace.
"""

import math
import re
from contextlib import contextmanager
from functools import partial, wraps
from inspect import Parameter, signature
from numbers import Real

import numpy as np
from autograd.extend import Box
from autograd.tracer import getval

from .backprop import cast, traced

DOUBLE = np.dtype(np.float64)
LIMITS = {np.dtype(kind): (np.finfo(kind).tiny.item()**0.5, np.finfo(kind).max.item()**0.5) for kind in "fd"}


def demand(holds, name, x, wanted, error=ValueError):
    """x, if this holds; else the error that names the argument, what came and what is wanted."""
    if not holds:
        array = isinstance(x, (np.ndarray, np.generic))
        came = f"{x.dtype} {x.tolist() if x.size < 9 else f'of shape {x.shape}'}" if array else f"{x!r:.60}"
        raise error(f"{name} is {came}; want {wanted}")
    return x


def gate(wanted, holds, become=lambda value: value, error=TypeError):
    """The gate of what holds, passed on as what it shall become."""
    return lambda name, value, x=None: become(demand(holds(value), name, value, wanted, error))


# Arrays.


def finite(a):
    """Whether a float array holds neither NaN nor infinity. Its sum of squares, fast, settles all but huge entries."""
    return math.isfinite(np.vdot(a, a)) or bool(np.isfinite(a).all())


def real(name, a, kinds="biuf", dtype=None):
    """a as an array of real numbers, of any kind and size, or of objects."""
    try:
        array = np.ma.asarray(a, dtype)
        if kinds == "biuf" and array.dtype == object and all(isinstance(e, Real) for e in array.flat):
            array = array.astype(float)
    except Exception as error:  # ragged lists, tensors that ask for a gradient, integers beyond floats
        raise TypeError(f"{name} is one {type(a).__name__}; want an array of real numbers ({error})") from None
    demand(array.dtype.kind in kinds, name, a, "an array of real numbers", TypeError)
    return np.asarray(demand(not np.ma.is_masked(array), name, array, "numbers everywhere, none masked"))


class Size(str):
    """A letter in a shape: it equals any size > 0."""

    __hash__ = str.__hash__

    def __eq__(self, size):
        return size > 0


def in_precision(a, dtype):
    """a in this dtype, where it may become infinite."""
    return a if a.dtype == dtype else cast(a, dtype)


def floats(name, a, dtype=None, *shapes, error=ValueError):
    """a as a finite array of float32 or float64, of dtype where it is given, and of one of the shapes, if any."""
    value = getval(a)
    if type(value) is not np.ndarray or value.dtype not in LIMITS:
        right = not isinstance(a, Box) or getattr(value, "dtype", None) in LIMITS
        demand(right, name, value, "float32 or float64, else derivatives would be wrong", TypeError)
        a = a if isinstance(a, Box) else real(name, a)
    a = in_precision(a, dtype or (a.dtype if a.dtype in LIMITS else DOUBLE))
    value = getval(a)
    if shapes and value.shape not in shapes:
        wanted = " or ".join(str(shape) if shape else "one number" for shape in shapes).replace("'", "")
        raise ValueError(f"{name} has shape {value.shape}; want {wanted}")
    if not finite(value):
        raise error(f"{name} {'holds NaN or infinity' if value.ndim else f'is {value}'}; want finite numbers")
    return a


def untraced(name, a):
    """a, if autograd does not trace it."""
    return demand(not isinstance(a, Box), name, a, "plain numbers: this function has no derivative in it", TypeError)


def points(name, a, x=None):
    """a as floats (N, d), as wide as x and in its dtype."""
    width = Size("d") if x is None else x.shape[1] if hasattr(x, "shape") else x.d
    return floats(name, a, getattr(x, "dtype", None), (Size({"data": "n", "H": "m"}.get(name, "N")), width))


def start(name, a, x=None):
    """Points that no derivative goes through, copied: they are kept, and the caller may change his."""
    return points(name, untraced(name, a), x).copy()


def doubles(name, a, x=None):
    """start in float64, of a size that distances between points can be squared."""
    a = in_precision(start(name, a, x), DOUBLE)
    return demand(math.isfinite(4 * np.vdot(a, a)), name, a, "numbers whose squares are finite")


def rows(name, a, x):
    """a as floats of x's shape and dtype."""
    return floats(name, a, x.dtype, x.shape)


def stacked(name, a, x):
    """rows, or M of them."""
    return floats(name, a, x.dtype, x.shape, (Size("M"), *x.shape))


def observed(name, y, x=None):
    """y as floats (m,) for all rows of x, or (N, m), one a row."""
    n, m = len(x) if hasattr(x, "shape") else Size("N"), Size("m")
    return floats(name, untraced(name, y), getattr(x, "dtype", None), (m,), (n, m)).copy()


def levels(name, sigma, x):
    """sigma, one number > 0 or (N,) of them, as a column (N, 1) of x's dtype."""
    sigma, (least, most) = floats(name, untraced(name, sigma), x.dtype, (), (len(x),)), LIMITS[x.dtype]
    demand(least < sigma.min() and sigma.max() < most, name, sigma, "finite numbers > 0, also squared")
    return sigma[:, None] if sigma.ndim else np.full((len(x), 1), sigma, x.dtype)


def beside_x(gate, name, sigma, x=None):
    """sigma by its gate; refused where rounding would take it away, and x + sigma·z be x."""
    sigma, a = gate(name, sigma, x), getval(x)
    if hasattr(x, "dtype"):
        least, size = sigma if type(sigma) is float else sigma.min(), math.sqrt(np.vdot(a, a) / a.size)
        if least < 4 * np.finfo(a.dtype).eps * size:
            raise ValueError(f"{name} is {least:.3g}, lost beside x, of size {size:.3g}, in the rounding of {a.dtype}")
    return sigma


def descending(name, sigmas, x=None, least=1, upwards=False):
    """sigmas, numbers > 0 in strictly descending order, or ascending where upwards, as a list."""
    sigmas = floats(name, untraced(name, sigmas), DOUBLE, (Size("L"),))
    steps = np.diff(sigmas)
    right = len(sigmas) >= least and ((steps < 0).all() or (upwards and (steps > 0).all()))
    demand(right, name, sigmas, f"{least} or more in strictly descending{' or ascending' * upwards} order")
    demand(sigmas[-1] != 0, name, sigmas, "numbers > 0: leave the 0 out, and end with tweedie")
    return [positive(name, sigma) for sigma in sigmas.tolist()]


def table(name, data, x=None):
    """data, an array or a DataFrame of ten rows or more, as floats (n,d); what is no number is named by its place."""
    a, columns = real(name, untraced(name, data), "O", object), getattr(data, "columns", range(9**9))
    if a.ndim != 2:
        raise ValueError(f"{name} has shape {a.shape}; want rows and columns (n, d), one column as data[:, None]")
    for (i, j), entry in np.ndenumerate(a):
        if not isinstance(entry, Real) or not abs(entry) < math.inf:
            raise ValueError(f"{name} in column {columns[j]!r}, row {i} is {entry!r:.60}; want a finite number")
    a = floats(name, a, DOUBLE)
    return demand(len(a) >= 10 and (a != a[0]).any(), name, a, "(n, d), 10 rows or more, rows that differ")


def parameters(params):
    """params, a list of (W (in,out), b (out,)) whose layers fit, copied unless traced; its inputs and outputs."""
    layers, width = getval(params), Size("in")
    some = isinstance(layers, (list, tuple)) and layers
    demand(some, "params", layers, "a list of (W (in, out), b (out,))", TypeError)
    for l, layer in enumerate(map(getval, layers)):
        name, pair = f"params[{l}]", isinstance(layer, (list, tuple)) and len(layer) == 2
        W, b = map(getval, demand(pair, name, layer, "(W (in, out), b (out,))", TypeError))
        for a, shape in (W, (width, Size("out"))), (b, np.shape(W)[1:]):
            right = type(a) in (np.ndarray, np.memmap) and a.dtype in LIMITS  # derivatives would truncate integers
            demand(right, name, a, "arrays of float32 or float64", TypeError)
            if a.shape != shape or not isinstance(params, Box):  # NaN in training the loss would show
                floats(name, a, None, shape)
        width = b.size
    copied = params if traced(params) else [(W.copy(), b.copy()) for W, b in params]
    return copied, getval(getval(layers[0])[0]).shape[0], width


# Functions that come as arguments.


class Watched:
    """A function of x that came as an argument. It cannot write to what it is given, and its values are checked."""

    def __init__(self, name, f, x=None, shape=lambda x: x.shape):
        right = (callable(f) or hasattr(f, "jvp") or hasattr(f, "divergence")) and not isinstance(f, type)
        demand(right, name, f, "a function; of a class, one of its objects", TypeError)
        self.name, self.f, self.first = name, f, None
        self.shapes = {"__call__": lambda x, *sigma: [shape(x)], "gradient": lambda x: [x.shape],
                       "jvp": lambda x, v: [x.shape, v.shape], "divergence": lambda x: [x.shape, x.shape[:1]]}

    def __call__(self, x, *sigma):
        s = self.ask("__call__", x, *sigma)
        self.first = x if self.first is None else self.first
        if not isinstance(x, Box) or isinstance(s, Box):
            return s
        beside = self.ask("__call__", getval(x) + 1e-4 * (1 + np.abs(getval(x))), *sigma)  # constant, or in steps
        if np.mean(np.any(beside != s, axis=-1)) > 0.5:
            raise TypeError(f"{self.name}(x) depends on x in a way autograd cannot see; write it with autograd.numpy")
        return s + (0 * x if s.ndim == x.ndim else 0 * x[:, 0])

    def __getattr__(self, method):
        """f's own jvp, divergence and gradient, checked, or its at; AttributeError where it has none."""
        own = getattr(self.f, method)
        return partial(self.ask, method) if method in self.shapes else own

    def ask(self, method, x, *more):
        """The value of f.method(x, *more), or both. A network of this package is called behind its gates, which x has
        passed, with sigma as a column (N,1); a user's function gets (N,)."""
        call, shapes = getattr(self.f, method), self.shapes[method](x, *more)
        name = self.name + f".{method}" * (method != "__call__") + "(x)"
        try:
            if hasattr(call, "bare") and call.__self__.d == x.shape[1] and all(map(np.ndim, more)):
                values = call.bare(call.__self__, x, *more)
            else:
                column = method == "__call__" and more and np.ndim(more[0])
                values = call(*map(frozen, (x, more[0][:, 0]) if column else (x, *more)))
            pair = isinstance(getval(values), (tuple, list)) and len(values) == 2
            values = [values] if len(shapes) == 1 else demand(pair, name, values, "a pair", TypeError)
            values = [floats(name, s, x.dtype, shape, error=FloatingPointError) for s, shape in zip(values, shapes)]
        except FloatingPointError as error:
            raise FloatingPointError(f"{error}{self.cause(x)}") from None
        except (TypeError, ValueError, AttributeError) as error:
            explain(error, self.f, self.name, f"(x{', sigma' * len(more)})", isinstance(x, Box))
            raise
        values = [s if isinstance(s, Box) else s.copy() for s in values]  # it may be a buffer, used again
        return values if len(shapes) > 1 else values[0]

    def cause(self, x):
        """What is at fault where a value is not finite at x, once there were others that are."""
        if self.first is None:
            return ""
        far = np.abs(getval(x)).max() > 1e3 * (1 + np.abs(getval(self.first)).max())
        return f"; {went(self.first, x)}: {'use a smaller step' if far else 'the score is at fault, not the step'}"


def explain(error, f, name, arguments, traced):
    """Say what the user may do about an error of his function f(arguments), if that is known."""
    own = isinstance(error, ValueError) and str(error).removeprefix("the ").startswith(name)
    if own or re.search("leave x as it is|want a function called|autograd.numpy", str(error)):  # said already
        return
    if "read-only" in str(error):
        remedy = "writes into its argument; it must leave x as it is"
    elif re.search("(positional|required) argument", str(error)):
        remedy = f"is {f!r:.60}; want a function called as {name}{arguments}"
    elif traced:
        remedy = "cannot be traced; write it with autograd.numpy, not numpy, and without assignment to entries"
    else:
        return
    raise TypeError(f"{name} {remedy} ({error})") from error


def frozen(a):
    """A view of a that cannot be written to; a number or a traced array as it is."""
    if isinstance(a, np.ndarray):
        a = a.view()
        a.setflags(write=False)
    return a


def loss(name, f, x=None):
    """f(params, x, rng), one finite float that autograd traces."""
    seen, arguments = "a number that autograd sees depend on params: written with autograd.numpy", "(params, x, rng)"

    def value(*given):
        try:
            value = floats("the loss", f(*given), None, (), error=FloatingPointError)
        except (TypeError, ValueError, AttributeError) as error:
            explain(error, f, name, arguments, True)
            raise
        return demand(isinstance(value, Box), name + arguments, value, seen, TypeError)
    return demand(callable(f), name, f, "a function", TypeError) and value


# Numbers.


def number(wanted, holds, become=float):
    """The gate of one number for which holds(value, least, most); between these its square is a number in x's dtype."""
    def check(name, value, x=None):
        demand(value is not None and not isinstance(value, str), name, value, wanted, TypeError)
        a = value if type(value) is float else floats(name, untraced(name, value), DOUBLE, ()).item()
        return become(demand(holds(a, *LIMITS[getattr(x, "dtype", DOUBLE)]), name, value, wanted))
    return check


def whole(least):
    """The gate of a whole number >= least."""
    return number(f"a whole number >= {least}", lambda n, *_: least <= n < 2**53 and n == int(n), int)


def wholes(name, values, x=None):
    """values, whole numbers >= 1, as a tuple."""
    return tuple(whole(1)(name, n) for n in floats(name, values, DOUBLE, (Size("n"),)))


# The gate of each name, and what puts arguments through them.


def word(*words):
    """The gate of one of these words."""
    return gate(f"one of {words}", lambda value: isinstance(value, str) and value in words, error=ValueError)


def optional(become):
    """The gate of a function, or None for none, passed on as what it shall become."""
    return gate("a function", lambda f: f is None or callable(f), become)


positive = number("one finite number > 0, also squared", lambda a, least, most: least < a < most)
nonnegative = number("one finite number >= 0", lambda a, least, most: 0 <= a < most)
several, function, noise_levels = whole(2), gate("a function", callable), partial(beside_x, levels)
maybe = lambda name, a, x=None: None if a is None else positive(name, a, x)
grid, upwards = partial(descending, least=2), partial(descending, least=2, upwards=True)
KINDS = {name: kind for names, kind in {
    "x x_noisy data H": points, "z target": rows, "v": stacked, "y": observed, "score model": Watched,
    "energy prior": partial(Watched, shape=lambda x: x.shape[:1]),
    "features g": partial(Watched, shape=lambda x: (len(x), Size("m"))), "loss": loss,
    "progress": optional(lambda f: f or iter), "callback": optional(lambda f: lambda i, x: f and f(i, x.copy())),
    "sigma radius": partial(beside_x, positive), "h step learning_rate sigma_data sigma_max sigma_min": positive,
    "noise temperature ridge": nonnegative, "sigmas": descending, "n_steps": whole(0),
    "n k steps batch_size n_permutations": whole(1), "sizes shape": wholes,
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
    places, gates = signature(f).parameters, {**KINDS, **own}
    names, defaults = list(places), {name: a.default for name, a in places.items() if a.default is not Parameter.empty}
    first = next((name for name in ("means", "x", "x_noisy", "data", "a") if name in names), None)
    order = sorted((name for name in names if name in gates), key=lambda name: name != first)

    @wraps(f)
    def gated(*given, **named):
        if given and type(given[0]) is Watched:  # it comes from a function that has checked
            return f(*given, **named)
        args = {**defaults, **dict(zip(names, given)), **named}
        if named or not len(given) <= len(names) <= len(args):
            signature(f).bind(*given, **named)  # says what is wrong
        x = args.get("self")
        for name in order:
            args[name] = gates[name](name, args[name], x)
            x = args[name] if name == first else x
        with np.errstate(all="ignore"):
            return result(f, f(**args), x if "x" in args else None)
    gated.bare = f
    return gated


def result(f, value, x):
    """value of f, an array or several, if it is finite, in x's dtype; other things as they are."""
    if isinstance(value, tuple):
        return tuple(result(f, a, x) for a in value)
    if not isinstance(value, (np.ndarray, np.floating, Box)):
        return value
    value = value if x is None else in_precision(value, x.dtype)
    if not finite(getval(value)):
        raise FloatingPointError(f"{f.__qualname__.split('.<')[0]} is not finite: inputs too large, or too far apart")
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


def went(x, after):
    """How far chains have come."""
    return f"|x| went from {np.abs(getval(x)).max():.3g} to {np.abs(getval(after)).max():.3g}"


def moved(after, x, remedy):
    """after, where chains went from x, if its squares are numbers still."""
    untraced("score(x)", after)
    if not math.isfinite(np.vdot(after, after)):
        raise FloatingPointError(f"the chain diverged, {went(x, after)}; {remedy}")
    return after
