"""Any argument of any public function: the right answer, or an error that names the argument.

The table below gives each function its arguments, each argument its kind, and each kind its values: odd ones
that mean a plain value, whose answer they must give, and bad ones, to be refused. Every combination is tried.
"""

import datetime
import inspect
import re
import warnings
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad, make_vjp
from autograd.tracer import getval, isbox
from oracles import plain_mlp

import scoremin
from scoremin import MLP, EnergyMLP, GaussianMixture, NoiseConditionalMLP, energy_score, init_mlp

REFUSED, EITHER = "refused", "refused or finite"
ERRORS = (ValueError, TypeError, FloatingPointError)


class Traced:
    """A value to be traced by autograd."""

    def __init__(self, value):
        self.value = value


class Tensor:
    """What a tensor of another framework looks like to NumPy: it has a shape, and will not become an array."""
    shape, dtype, ndim = (4, 2), "tensor.float64", 2

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


# The values of each kind: (label, value, what plain value it stands for, or REFUSED or EITHER).


def not_arrays():
    """What is no array of numbers."""
    texts = ["abc", "1.5", b"abc", None, {}, {1.0: 2.0}, {1.0}, object(), len, Ellipsis, [], (), [[]], [None], ["1",
    "2"]]
    yield from ((repr(value)[:40], value, REFUSED) for value in texts)
    yield "ragged list", [[1.0, 2.0], [3.0]], REFUSED
    yield "decimal", Decimal("1.5"), REFUSED
    yield "beyond floats", [[10**400, 1]], REFUSED
    yield "one number beyond floats", 10**400, REFUSED
    yield "tensor", Tensor(), REFUSED
    yield "date", datetime.date(2020, 1, 1), REFUSED
    yield "np.datetime64", np.datetime64("2020-01-01"), REFUSED
    yield "complex", 1 + 1j, REFUSED
    yield "range", range(0), REFUSED
    yield "generator expression", (a for a in [1.0]), REFUSED
    yield "module", np, REFUSED
    yield "class", np.ndarray, REFUSED
    yield "slice", slice(3), REFUSED


def bad_entries(a):
    """Arrays like a, of the right shape, that hold what no real number is."""
    first = np.zeros(a.shape, bool)
    first.flat[0] = True
    last = first[..., ::-1].copy() if a.ndim else first
    for label, mask in (("first", first), ("last", last)):
        for value in (np.nan, np.inf, -np.inf):
            yield f"{label} is {value}", np.where(mask, value, a), REFUSED
        yield f"{label} is NaN, float32", np.where(mask, np.nan, a).astype(np.float32), REFUSED
        yield f"{label} masked", np.ma.array(a, mask=mask), REFUSED
        for value in (None, "1", 1j, Decimal(1), datetime.date(2020, 1, 1), [1]):
            objects = a.astype(object)
            objects[np.nonzero(mask) if a.ndim else ()] = value if not isinstance(value, list) else None
            yield f"{label} is the object {value!r}", objects, REFUSED
    if a.ndim:
        yield "list of masked arrays", [np.ma.array(row, mask=m) for row, m in zip(a, first)], REFUSED
        yield "list with None", [None, *a.tolist()[1:]], REFUSED
        yield "list with 10**400", [10**400, *a.tolist()[1:]] if a.ndim == 1 else [[10**400] * a.shape[-1]], REFUSED
    yield "all masked", np.ma.masked_all(a.shape), REFUSED
    for kind in ("c8", "c16", "S8", "U8", "M8[D]", "m8[s]", "O", "V4", [("a", "f8")]):
        yield f"dtype {kind}", np.zeros(a.shape, kind) if kind != "O" else np.full(a.shape, None), REFUSED
    yield "complex", a + 0j, REFUSED
    yield "text", a.astype(str), REFUSED
    yield "text in a list", a.astype(str).tolist(), REFUSED
    yield "longdouble beyond floats", np.full(a.shape, np.longdouble("1e4000")), REFUSED
    yield "traced integers", Traced(np.ones(a.shape, int)), REFUSED
    yield "traced float16", Traced(a.astype(np.float16)), REFUSED


def odd_arrays(a):
    """Arrays that mean the same as a, or as its rounded values."""
    whole = np.round(a)
    for kind in "bhilq":
        yield f"dtype {kind}", whole.astype(kind), whole
    positive = np.abs(whole)
    for kind in "BHILQ?":
        yield f"dtype {kind}", positive.astype(kind), positive.astype(kind).astype(float)
    yield "float16", a.astype(np.float16), a.astype(np.float16).astype(float)
    yield "longdouble", a.astype(np.longdouble), a
    yield "big-endian", a.astype(">f8"), a
    yield "big-endian integers", whole.astype(">i4"), whole
    yield "big-endian float32", a.astype(">f4"), a.astype(np.float32).astype(float)
    yield "objects", a.astype(object), a
    yield "object integers", whole.astype(int).astype(object), whole
    yield "fractions", np.vectorize(Fraction, otypes=[object])(a), a
    yield "list", a.tolist(), a
    yield "read-only", np.broadcast_to(a, a.shape), a
    yield "masked nowhere", np.ma.array(a), a
    yield "a mask of False", np.ma.array(a, mask=np.zeros(a.shape, bool)), a
    yield "negative zero", np.where(a == a, -0.0, a), np.zeros(a.shape)
    yield "traced", Traced(a), a
    if a.ndim:
        yield "tuple", tuple(a.tolist()), a
        yield "list of arrays", list(a), a
        yield "Fortran order", np.asfortranarray(a), a
        yield "every second column", np.repeat(a, 2, axis=-1)[..., ::2], a
        yield "every second row", np.repeat(a, 2, axis=0)[::2], a
        yield "reversed", a[::-1].copy()[::-1], a
        yield "stride 0", np.broadcast_to(a[:1], a.shape), np.repeat(a[:1], len(a), axis=0)
    if a.ndim == 2:
        yield "matrix", np.asarray(a).view(np.matrix), a
    mapped = np.asarray(a).view(np.memmap)
    yield "memmap", mapped, a
    for scale in (1e308, 1e160, 1e-160, 5e-324):
        yield f"{scale} times", np.clip(a, -1.5, 1.5) * scale, EITHER
    yield "float32", a.astype(np.float32), EITHER
    yield "float32 at its edge", np.clip(a, -1, 1).astype(np.float32) * np.float32(3e38), EITHER
    yield "2**63 - 1", np.full(a.shape, 2**63 - 1), EITHER
    yield "2**70", np.full(a.shape, 2**70, object), EITHER


def arrays(a):
    yield from not_arrays()
    yield from bad_entries(a)
    yield from odd_arrays(a)


def tables(a):
    """Points (N,d): values of an array of two axes."""
    yield from arrays(a)
    for label, value in [("one row", a[0]), ("three axes", a[None, None]), ("a number", 1.0), ("0-d", np.array(1.0)),
                         ("no rows", a[:0]), ("no columns", a[:, :0]), ("four axes", a[None, None, None]),
                         ("flat list", a[0].tolist()), ("nothing", np.empty((0, 0))), ("a bool", True)]:
        yield label, value, REFUSED
    yield "one row of NaN", np.full((1, a.shape[1]), np.nan), REFUSED


def rows(a):
    """Of the shape of the points beside it."""
    yield from tables(a)
    for label, value in [("one row of a table", a[:1]), ("one column", a[:, :1]), ("transposed", a.T), ("wide",
        np.hstack([a, a])),
                         ("a row less", a[1:]), ("twice the rows", np.vstack([a, a])), ("empty stack", np.empty((0,
                         *a.shape))),
                         ("stack of columns", a[None, :, :1]), ("object shape", a[:, :1].astype(object))]:
        yield label, value, REFUSED


def plain_rows(a):
    yield from rows(a)
    yield "stack", a[None], REFUSED
    yield "stack of three", np.stack([a, a, a]), REFUSED


def stacks(a):
    """Probes: like points or a stack."""
    yield from rows(a)
    yield "stack as a list", a[None].tolist(), a[None]
    yield "stack of float16", np.stack([a, a]).astype(np.float16), np.stack([a, a]).astype(np.float16).astype(float)
    yield "Fortran stack", np.asfortranarray(np.stack([a, a])), np.stack([a, a])
    yield "stack with NaN", np.stack([a, a * np.nan]), REFUSED
    yield "stack of complex", np.stack([a, a * 1j]), REFUSED


def known(a):
    """Points whose width another argument fixes."""
    yield from tables(a)
    for label, value in [("wide", np.hstack([a, a])), ("one column", a[:, :1]), ("wide integers", np.ones((3, 5),
        int))]:
        yield label, value, REFUSED


def vectors(a):
    """(K,) of one length."""
    yield from arrays(a)
    for label, value in [("a row", a[None]), ("a column", a[:, None]), ("one less", a[1:]), ("one more", [*a, 1.0]),
                         ("number", 0.7), ("zero", 0 * a), ("negative", -a), ("empty", a[:0]), ("a bool", True)]:
        yield label, value, REFUSED


def covariances(a):
    yield from arrays(a)
    eye = np.eye(2)
    for label, value in [("one", a[0]), ("one of two", a[:1]), ("zero", 0 * a), ("negative", -a), ("indefinite",
        a * 0 + [[1, 2], [2, 1]]),
                         ("asymmetric", a * 0 + [[1, .5], [0, 1]]), ("singular", a * 0 + 1), ("diagonals", a[:, 0]),
                         ("a little asymmetric on a small scale", 1e-9 * (a * 0 + [[1, .5], [.4, 1]])),
                         ("singular to rounding", a * 0 + [[1, 1], [1, 1 + 2**-52]]), ("3 of 3",
                         np.stack([np.eye(3)] * 2)),
                         ("four axes", a[None]), ("a number", 1.0), ("empty", np.empty((0, 2, 2)))]:
        yield label, value, REFUSED
    yield "list of lists and arrays", [eye.tolist(), eye], np.stack([eye, eye])


def levels(n):
    """Noise levels: one number or one a row."""
    def values(a):
        yield from arrays(a)
        column = np.full(n, 0.5)
        for label, value in [("another length", column[1:]), ("column", column[:, None]), ("one in an array",
            column[:1]),
                             ("0", 0.0), ("-1", -1), ("one negative", np.where(np.arange(n) == 1, -1, column)),
                             ("False", False),
                             ("one 0", np.where(np.arange(n) == n - 1, 0, column)), ("1e-200", 1e-200), ("1e200",
                             1e200)]:
            yield label, value, REFUSED
        yield "Fraction", Fraction(1, 2), 0.5
        yield "one integer", 2, 2.0
        yield "float32 scalar", np.float32(0.5), 0.5
        yield "0-d", np.array(0.5), 0.5
        yield "integers, one a row", [1, 2, 1, 3][:n], np.array([1.0, 2, 1, 3])[:n]
        yield "traced number", Traced(0.5), REFUSED
    return values


def descending(a):
    yield from arrays(a)
    for label, value in [("ascending", a[::-1]), ("equal", 0 * a + 1), ("with 0", [1.0, 0.0]), ("negative", [1.0,
        -1]), ("one number", 1.0),
                         ("table", a[None]), ("empty", a[:0]), ("0-d", np.array(1.0)), ("set", set(a.tolist())),
                         ("1e-200", [1, 1e-200])]:
        yield label, value, REFUSED
    yield "integers", [3, 2, 1], np.array([3.0, 2, 1])


def either_way(a):
    """Ascending will do too."""
    yield from ((label, value, a[::-1] if label == "ascending" else plain) for label, value, plain in descending(a))


def not_numbers():
    yield "10**5000", 10**5000, REFUSED
    yield from ((repr(value)[:40], value, REFUSED) for value in (
        "1", b"1", "abc", "", None, {}, {1}, [], [1.0], (1.0,), [[1.0]], object(), len, Ellipsis, 1j, 1 + 0j,
        np.complex64(1), Decimal(1),
        True, False, np.True_, np.array(True), np.nan, np.inf, -np.inf, np.float32("nan"), np.array(np.nan),
        np.array(np.inf),
        np.ones(2), np.ones(1), np.ones((1, 1)), np.empty(0), 10**400, -10**400, 1e300, np.longdouble("1e4000"),
        datetime.date(2020, 1, 1), datetime.timedelta(1), np.datetime64("2020"), np.timedelta64(1, "s"), np.ma.masked,
        np.ma.array(1.0, mask=True), np.array(None), np.array("1"), np.str_("1"), np.bytes_(b"1"), np.void(b"1"),
        np.array(1j), Tensor(),
        range(1), np.float64, float, -1, -0.5, np.int8(-1), Fraction(-1, 2), -(10**400), np.array(1, "M8[D]"),
        np.ones(1, "V4")[0]))
    yield "traced", Traced(1.0), REFUSED
    yield "traced float32", Traced(np.float32(1)), REFUSED


def positive(a):
    yield from not_numbers()
    for value in (0, 0.0, -0.0, np.float32(0), 1e-300, 5e-324, Fraction(1, 10**300), np.array(0), np.float16(0)):
        yield repr(value)[:40], value, REFUSED
    for kind in (np.float16, np.float32, np.float64, np.longdouble, np.array, Fraction):
        yield f"{kind.__name__}", kind(a), a
    for kind in (int, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64):
        yield f"{kind.__name__}", kind(max(1, round(a))), float(max(1, round(a)))
    yield "0-d object", np.array(a, object), a
    yield "0-d integer", np.array(1), 1.0
    yield "big-endian", np.array(a, ">f8"), a
    yield "masked nowhere", np.ma.array(a), a
    for value in (1e150, 1e-150, 1e-20, 1e20):
        yield repr(value), value, EITHER


def nonnegative(a):
    yield from not_numbers()
    for kind in (np.float16, np.float32, np.float64, np.longdouble, np.array, Fraction):
        yield f"{kind.__name__}", kind(a), a
    for value in (0, -0.0, np.float32(0), np.int8(0), np.array(0), Fraction(0)):
        yield repr(value), value, 0.0
    yield "1e-300", 1e-300, EITHER


def whole(least):
    def values(a):
        yield from not_numbers()
        for value in (0.5, 2.5, np.float32(1.5), Fraction(5, 2), np.array(2.5), 10**30, 1e30, 2**63, np.uint64(2**63),
            least - 1,
                      float(least - 1), np.array(least - 1), np.nextafter(3, 4)):
            yield repr(value)[:40], value, REFUSED
        for kind in (int, float, np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64, np.float16, np.float32,
            np.longdouble, Fraction,
                     np.array):
            yield kind.__name__, kind(a), a
        yield "0-d object", np.array(a, object), a
    return values


def generators(a):
    yield from ((repr(value)[:40], value, REFUSED) for value in (
        np.random.Generator, None, 0, 1.5, "rng", np.random, np.random.default_rng, np.random.RandomState(0),
        np.random.RandomState,
        np.random.SeedSequence(0), np.random.PCG64(0), np.random.PCG64, [np.random.default_rng(0)], {}, object(),
        np.ones(3), len,
        np.random.default_rng(0).standard_normal, (0,), b"", True, np.int64(0), Tensor()))
    yield "the same", "fresh", "fresh"
    yield "traced", Traced(1.0), REFUSED


def flags(a):
    for value in (0, 1, np.True_, np.False_):
        yield repr(value), value, bool(value)
    for value in ("False", "", "no", None, 2, -1, 0.5, [], [False], {}, np.ones(2), np.zeros(0), np.nan,
        np.array("x"), object(), len, 1j,
                  b"", Decimal(1), Ellipsis, np.random.default_rng(0), Tensor(), np.ma.masked):
        yield repr(value)[:40], value, REFUSED
    yield "traced", Traced(1.0), REFUSED


def sizes(a):
    for value in ("232", None, {}, {2, 3}, 2, 2.0, [], [2], (2,), [2, 0, 2], [2, -1], [2, None], [2, "3"], [2.5, 2],
        [[2, 3]], [2, [3]], [2, True],
                  np.ones((2, 2), int), [np.nan, 2], [2, 10**30], object(), len, [2, 1j], b"\x02\x03", {2: 3},
                  np.array(2), [2, np.inf],
                  np.array([2.5, 3]), np.array(["2", "3"]), Ellipsis, np.ma.array([2, 3], mask=[0, 1]), [2,
                  Decimal(3)], [2, np.ones(2)]):
        yield repr(value)[:40], value, REFUSED
    for kind in (list, tuple, np.array, lambda a: np.array(a, float), lambda a: [float(n) for n in a],
        lambda a: [np.int8(n) for n in a],
                 lambda a: np.array(a, np.uint8), lambda a: np.array(a, object),
                 lambda a: np.array(a)[::-1].copy()[::-1]):
        yield f"as {kind}", kind(a), a


def shapes(a):
    yield from ((label, value, plain) for label, value, plain in sizes(a) if label not in ("[2]", "(2,)"))
    yield "()", (), REFUSED
    yield "one axis", [2], (2,)


def dtypes(a):
    for value in (int, "text", None, np.int32, np.complex128, np.float16, np.longdouble, bool, object, str, "f8,f8",
        np.dtype(">f8"), 1, 1.5, [],
                  {}, np.ones(2), (np.float32,), len, np.dtype("M8[s]"), Ellipsis, np.floating, np.generic, Tensor(),
                  object()):
        yield repr(value)[:40], value, REFUSED
    for value in (np.float32, np.float64):
        yield f"np.dtype of {value}", np.dtype(value), value


def kinds(a):
    for value in ("Rademacher", "uniform", "", None, 0, b"gaussian", ["gaussian"], ("gaussian",), {"gaussian"}, {},
        np.array(["gaussian"] * 2),
                  np.ones(2), len, "gaussian ", 1j, np.nan, object(), True, Ellipsis, np.array([]), Tensor(),
                  Decimal(1), [[]]):
        yield repr(value)[:40], value, REFUSED
    yield "np.str_", np.str_(a), a


def callbacks(a):
    for value in ("print", 0, 1, False, True, "", [], {}, np.ones(2), b"", [len], (), object(), 1.5, Ellipsis, np.nan,
        np.zeros(0), Tensor()):
        yield repr(value)[:40], value, REFUSED
    yield "one that writes into what it gets", lambda i, x: x.fill(np.nan), None
    yield "one that is false", type("Record", (list,), {"__call__": lambda self, i, x: None})(), None


def progresses(a):
    for value in ("tqdm", 1, False, True, "", [], {}, np.ones(2), b"", [iter], 1.5, Ellipsis, object(), np.nan,
        Tensor(),
                  lambda steps: None, lambda steps: 3, lambda steps: 1.5, lambda steps: object(), lambda steps: len,
                  lambda steps: True):
        yield (repr(value) if not inspect.isfunction(value) else f"returns {value(0)!r}")[:40], value, REFUSED
    yield "list", list, None
    yield "one that goes on too long", lambda steps: range(10**9), None


# Functions. A score is -x + x^3/3 in autograd.numpy; what it returns is changed.


def base_score(x):
    return anp.cos(x) - x


def base_conditional(x, sigma):
    return anp.cos(x) - x / (1 + anp.reshape(sigma, (-1, 1)))


def base_energy(x):
    return anp.sum(x**2 - anp.sin(x), axis=1)


def base_prior(x):
    return -0.5 * anp.sum(x**2, axis=1)


def base_features(x):
    return anp.concatenate([anp.cos(x), x[:, :1]], axis=1)


def number_loss(params, x, rng):
    return scoremin.denoising_loss(MLP(params), x, rng.standard_normal(x.shape), 0.5)


NOT_FUNCTIONS = ("score", None, 1, 1.5, [], {}, np.ones((4, 2)), b"", object(), Ellipsis, np.nan, (len,),
{"score": len}, True, Decimal(1), Tensor())


def returns(base, changes, verdict):
    """Functions that return something other than base does."""
    return ((label, (lambda *args, change=change: change(base(*args))), verdict) for label, change in changes.items())


BAD_VALUES = {
    "a tuple": lambda s: (s, s), "a list": lambda s: [s], "nested lists": lambda s: np.zeros(s.shape).tolist(),
    "None": lambda s: None, "text": lambda s: "s",
    "a dict": lambda s: {"s": s}, "an integer": lambda s: 1, "a number": lambda s: 1.0, "0-d": lambda s: anp.sum(s),
    "one axis more": lambda s: s[None],
    "one row": lambda s: s[:1], "twice the rows": lambda s: anp.concatenate([s, s]), "flat": lambda s: anp.reshape(s,
    (-1,))[:-1],
    "complex": lambda s: s + 0j, "integers": lambda s: np.ones(s.shape, int), "booleans": lambda s: np.ones(s.shape,
    bool), "objects": lambda s: np.ones(s.shape, object),
    "masked": lambda s: np.ma.array(np.ones(s.shape), mask=True),
    "one NaN": lambda s: s + np.where(np.arange(s.size).reshape(s.shape) == 1, np.nan, 0),
    "one infinity": lambda s: s + np.where(np.arange(s.size).reshape(s.shape) == s.size - 1, np.inf, 0),
    "NaN": lambda s: s * np.nan, "infinities": lambda s: np.full(s.shape, -np.inf),
    "a tensor": lambda s: Tensor(), "a function": lambda s: len, "text array": lambda s: np.full(s.shape, "1"),
    "dates": lambda s: np.zeros(s.shape, "M8[D]"),
    "a set": lambda s: {1.0}, "an empty array": lambda s: np.empty((0, 2)),
    "a structured array": lambda s: np.zeros(s.shape, [("a", "f8")]), "NaN in float32": lambda s: np.full(s.shape,
    np.nan, np.float32),
    "beyond float64": lambda s: np.full(s.shape, np.longdouble("1e4000")),
    "transposed": lambda s: anp.transpose(anp.stack([s, s, s])), "a class": lambda s: np.ndarray,
    "no axis": lambda s: np.array(1.0), "a generator": lambda s: (a for a in [1]),
}


SAME_VALUES = {
    "in Fortran order": lambda s: s if isbox(s) else np.asfortranarray(s),
    "read-only": lambda s: s if isbox(s) else np.broadcast_to(s, s.shape),
    "as float64 of it": lambda s: s if isbox(s) else s.astype(">f8"),
    "with a stride": lambda s: s if isbox(s) else np.repeat(s, 2, axis=-1)[..., ::2],
    "as longdouble": lambda s: s if isbox(s) else s.astype(np.longdouble),
    "as a matrix": lambda s: s if isbox(s) or s.ndim < 2 else np.asarray(s).view(np.matrix),
    "as a memmap": lambda s: s if isbox(s) else np.asarray(s).view(np.memmap), "as itself": lambda s: s,
}


def writer(x, *sigma):
    x += 1
    return -x


def wild(x, *sigma):
    with np.errstate(all="ignore"):
        return np.log(-1 - x**2)


def functions(base):
    """The values that any score, energy or other function of points may have."""
    yield from ((repr(value)[:40], value, REFUSED) for value in NOT_FUNCTIONS)
    yield from returns(base, BAD_VALUES, REFUSED)
    yield from ((label, f, base) for label, f, _ in returns(base, SAME_VALUES, None))
    yield "float32 for float64", lambda *args: base(*args) if isbox(args[0]) else base(*args).astype(np.float32), EITHER
    yield "writes into x", lambda x, *sigma: base(writer(x), *sigma), EITHER


def scores(base):
    yield from functions(base)
    yield "one column", lambda x, *sigma: base(x, *sigma)[:, :1], REFUSED
    yield "an energy", lambda x, *sigma: base(x, *sigma)[:, 0], REFUSED
    yield "wide", lambda x, *sigma: anp.concatenate([base(x, *sigma)] * 2, axis=1), REFUSED
    yield "x itself", lambda x, *sigma: x, lambda x, *sigma: 1.0 * x
    yield "a view of x", lambda x, *sigma: x[:, ::-1], lambda x, *sigma: 1.0 * x[:, ::-1]
    yield "a network of another width", lambda x, *sigma: MLP(WIDE)(x), REFUSED
    yield "NaN of its own", wild, REFUSED
    if base is base_score:
        yield "a method", SimpleNamespace(score=base).score, base
        yield "plain numpy", lambda x: np.stack([-x[:, 0], -2 * x[:, 1]], 1), lambda x: anp.stack([-x[:, 0], -2 * x[:,
            1]], 1)
        yield "plain numpy beside", lambda x: -x + np.stack([-x[:, 0], -2 * x[:, 1]],
            1), lambda x: -x + anp.stack([-x[:, 0], -2 * x[:, 1]], 1)
        yield "plain np.where", lambda x: np.where(x > 0, -x, -2 * x), lambda x: anp.where(x > 0, -x, -2 * x)
        yield "plain np.array", lambda x: np.array([[-a, -b] for a, b in x]), lambda x: -x
        yield "an empty function", lambda x: None, REFUSED


def derivatives(base, method, wanted):
    """Scores with a method of their own that is wrong."""
    def score(returned):
        s = lambda x: base(x)
        setattr(s, method, returned)
        return s
    right = getattr(MLP(NETWORK), method)
    for label, change in BAD_VALUES.items():
        for place in (0, 1):
            def returned(*args, change=change, place=place):
                pair = list(right(*args))
                pair[place] = change(pair[place])
                return tuple(pair)
            yield f"{method} whose part {place} is {label}", score(returned), REFUSED
        yield f"{method} that returns {label}", score(lambda *args,
            change=change: change(right(*args)[0])), REFUSED if label != "a tuple" else EITHER
    yield f"{method} that returns three", score(lambda *args: (*right(*args), 1)), REFUSED
    yield f"{method} that is no function", score(1.5), REFUSED
    yield f"{method} that is None", score(None), REFUSED


def jvp_scores(base):
    yield from scores(base)
    yield from derivatives(base, "jvp", "v")


def divergence_scores(base):
    yield from scores(base)
    yield from derivatives(base, "divergence", "x")


def energies(base):
    yield from functions(base)
    yield "a column", lambda x: base(x)[:, None], REFUSED
    yield "a score", lambda x: -x, REFUSED
    yield "plain np.where", lambda x: np.where(x[:, 0] > 0, x[:, 0]**2, 2 * x[:, 0]**2) + x[:, 1]**2, REFUSED
    yield "plain np.array", lambda x: np.array([a**2 + b for a, b in x]), REFUSED
    for label, change in BAD_VALUES.items():
        energy = lambda x: base(x)
        energy.gradient = lambda x, change=change: change(np.cos(x))
        yield f"gradient that is {label}", energy, REFUSED
    energy = lambda x: base(x)
    energy.gradient = 3
    yield "gradient that is no function", energy, REFUSED


def losses(base):
    yield from ((repr(value)[:40], value, REFUSED) for value in NOT_FUNCTIONS)
    for label, change in {
        "None": lambda v, p: None, "a tuple": lambda v, p: (v,), "an array": lambda v, p: v * np.ones(2),
        "one in an array": lambda v, p: anp.reshape(v, (1,)),
        "constant": lambda v, p: 1.0, "its value": lambda v, p: getval(v), "NaN": lambda v, p: v * np.nan,
        "infinity": lambda v, p: v * np.inf, "text": lambda v, p: "1",
        "complex": lambda v, p: v + 1j, "a list": lambda v, p: [v], "empty": lambda v,
        p: anp.sum(p[0][0]) * np.ones(0), "params": lambda v, p: p, "a dict": lambda v, p: {"loss": v},
        "objects": lambda v, p: np.array(v, object) * np.ones(2, object),
        "an integer": lambda v, p: 1, "a tensor": lambda v, p: Tensor(), "a function": lambda v, p: len,
    }.items():
        yield f"returns {label}", lambda params, x, rng, change=change: change(base(params, x, rng), params), REFUSED
    yield "writes into x", lambda params, x, rng: base(params, np.add(x, 0, out=x), rng), base


def parameters(params):
    """Lists of (W, b) that are none."""
    yield from ((repr(value)[:40], value, REFUSED) for value in (
        None, "params", b"", 1, 1.5, [], (), {}, {"W": 1}, np.ones((2, 2)), object(), len, [None], [1], ["Wb"], [[]],
        [()], [(1, 2)], [("W", "b")], [(None, None)], Ellipsis, np.nan,
        [np.ones((2, 2))], [{}], [(np.ones((2, 2)),)], [(np.ones((2, 2)), np.ones(2), np.ones(2))], {1, 2}, [[[]]],
        np.empty((0, 2)), Tensor(), [Tensor()], MLP, iter([])))
    for l, (W, b) in enumerate(params):
        for label, value in {
            "b in a row": (W, b[None]), "b a number": (W, b[0]), "b a float": (W, 0.0), "b 0-d": (W, np.array(0.0)),
            "b of one": (W, np.ones(1)) if len(b) > 1 else (W, np.ones(2)),
            "b for each row": (W, np.ones((4, len(b)))), "b a column": (W, b[:, None]), "b too long": (W,
            np.ones(len(b) + 1)), "b of NaN": (W, b * np.nan), "b of inf": (W, b + np.inf),
            "b of integers": (W, np.ones(len(b), int)), "b complex": (W, b + 0j), "b masked": (W, np.ma.array(b,
            mask=True)), "b of text": (W, np.full(len(b), "1")), "b None": (W, None),
            "b a list": (W, b.tolist()), "b of objects": (W, b.astype(object)), "b float16": (W,
            b.astype(np.float16)), "b empty": (W, np.empty(0)), "b big-endian": (W, b.astype(">f8")),
            "b longdouble": (W, b.astype(np.longdouble)), "b a tensor": (W, Tensor()), "b of dates": (W,
            np.zeros(len(b), "M8[D]")), "b a dict": (W, {}),
            "W of NaN": (np.where(W == W[0, 0], np.nan, W), b), "W of inf": (np.where(W == W[-1, -1], np.inf, W), b),
            "W of integers": (np.ones(W.shape, int), b), "W complex": (W + 0j, b),
            "W masked": (np.ma.array(W, mask=True), b), "W flat": (W.ravel(), b), "W of three axes": (W[None], b),
            "W a list": (W.tolist(), b), "W None": (None, b), "W a number": (1.0, b),
            "W empty": (np.empty((0, len(b))), b), "W without outputs": (W[:, :0], b[:0]),
            "W of text": (W.astype(str), b), "W float16": (W.astype(np.float16), b),
            "W longdouble": (W.astype(np.longdouble), b),
            "W of objects": (W.astype(object), b), "W of dates": (np.zeros(W.shape, "M8[D]"), b),
            "W wide": (np.hstack([W, W]), b), "W and b swapped": (b, W), "a layer of one": (W,),
            "a layer of three": (W, b, b),
            "a dict": {"W": W, "b": b}, "None": None, "text": "Wb", "an array": W, "W big-endian": (W.astype(">f8"),
            b), "W of booleans": (W > 0, b), "W a tensor": (Tensor(), b),
            "W with a row more": (np.vstack([W, W[:1]]), b), "wide": (np.hstack([W, W]), np.hstack([b, b])),
        }.items():
            if label not in ("W with a row more" if l == 0 else "", "wide" if l + 1 < 0 else ""):
                yield f"layer {l}: {label}", [*params[:l], value, *params[l + 1:]], REFUSED
    yield "tuple of tuples", tuple(params), params
    yield "list of lists", [list(layer) for layer in params], params
    yield "Fortran order", [(np.asfortranarray(W), b) for W, b in params], params
    yield "read-only", [(np.broadcast_to(W, W.shape), np.broadcast_to(b, b.shape)) for W, b in params], params
    yield "strided", [(np.repeat(W, 2, axis=1)[:, ::2], np.repeat(b, 2)[::2]) for W, b in params], params
    yield "memmap", [(W.view(np.memmap), b.view(np.memmap)) for W, b in params], params
    yield "matrices", [(W.view(np.matrix), b) for W, b in params], REFUSED
    yield "1e308 times", [(W * 1e308, b) for W, b in params], EITHER
    yield "5e-324 times", [(W * 5e-324, b) for W, b in params], EITHER
    yield "float32", [(W.astype(np.float32), b.astype(np.float32)) for W, b in params], EITHER
    yield "mixed", [(W.astype(np.float32), b) for W, b in params], EITHER
    yield "layers out of order", params[::-1], EITHER


def score_parameters(params):
    yield from parameters(params)
    yield "one output", init_mlp(np.random.default_rng(0), [len(params[0][0]), 3, 1]), REFUSED
    yield "another width", init_mlp(np.random.default_rng(0), [7, 3, 2]), REFUSED


def energy_parameters(params):
    yield from parameters(params)
    yield "two outputs", NETWORK, REFUSED


def fit_parameters(params):
    """What fit trains is any nest of lists and tuples of arrays; MLP in the loss looks at the rest."""
    yield from ((repr(value)[:40], value, REFUSED) for value in (None, "params", b"", [], (), {}, object(), len,
        [None], ["Wb"], [[]], [()], [("W", "b")], [(None, None)], Ellipsis, np.nan, [{}], Tensor(),
                                                                 np.array(None), [np.nan], [(1 + 1j, 2)],
                                                                 [np.ma.masked], [np.array(["a"])]))
    yield "list of lists", [list(layer) for layer in params], params
    yield "nested lists of W", [(W, b.astype(object)) for W, b in params], params
    yield "Fortran order", [(np.asfortranarray(W), b) for W, b in params], params
    yield "read-only", [(np.broadcast_to(W, W.shape), np.broadcast_to(b, b.shape)) for W, b in params], params
    yield "mixed", [(W.astype(np.float32), b) for W, b in params], EITHER
    yield "float32", [(W.astype(np.float32), b.astype(np.float32)) for W, b in params], EITHER
    yield "1e308 times", [(W * 1e308, b) for W, b in params], EITHER
    yield "traced", Traced(params), REFUSED
    for l, (W, b) in enumerate(params):
        for label, value in {"NaN": (W, b * np.nan), "inf": (W + np.inf, b), "complex": (W + 0j, b), "masked": (W,
            np.ma.array(b, mask=True)), "text": (W.astype(str), b), "None": (W, None)}.items():
            yield f"layer {l}: {label}", [*params[:l], value, *params[l + 1:]], REFUSED


RNG = np.random.default_rng(0)
X = np.round(RNG.normal(0, 1, (4, 2)), 3)
Y = np.round(RNG.normal(0, 1, (4, 2)), 3)
MEANS, COVS = np.array([[1.0, 0], [-1, 0.5]]), np.array([[[1, 0.5], [0.5, 1]], [[2, 0], [0, 1]]])
MIXTURE = GaussianMixture([0.5, 0.5], MEANS, COVS)
NETWORK, DEEP, ENERGY, CONDITIONAL, WIDE = (init_mlp(RNG, s) for s in ([2, 3, 2], [2, 3, 3, 2], [2, 3, 1], [3, 4, 2],
[3, 4, 3]))
VECTOR = np.array([0.5, 0.5])
LEVELS, SIGMAS = levels(4), np.array([2.0, 1, 0.5])
MIX = (("weights", vectors, VECTOR), ("means", known, MEANS), ("covs", covariances, COVS))
SCORE, FIELD, ENERGY_F, LOSS = (scores, base_score), (scores, base_conditional), (energies, base_energy), (losses,
number_loss)


def _rng():
    return np.random.default_rng(5)


# name: (function, {argument: (kind, base)}). Methods take what they are made of as base.
def sample_args():
    return {"rng": (generators, "fresh"), "n": (whole(1), 5)}


TABLE = {
    "GaussianMixture": (GaussianMixture, {name: (kind, base) for name, kind, base in MIX}),
    "GaussianMixture.sample": (MIXTURE.sample, sample_args()),
    "GaussianMixture.log_density": (MIXTURE.log_density, {"x": (known, X)}),
    "GaussianMixture.score": (MIXTURE.score, {"x": (known, X)}),
    "GaussianMixture.smoothed": (MIXTURE.smoothed, {"sigma": (positive, 0.5)}),
    "swiss_roll": (scoremin.swiss_roll, sample_args() | {"noise": (nonnegative, 0.5)}),
    "two_moons": (scoremin.two_moons, sample_args() | {"noise": (nonnegative, 0.5)}),
    "checkerboard": (scoremin.checkerboard, sample_args()),
    "init_mlp": (init_mlp, {"rng": (generators, "fresh"), "sizes": (sizes, [2, 3, 2]), "dtype": (dtypes, np.float64)}),
    "MLP": (lambda params: MLP(params)(X), {"params": (score_parameters, NETWORK)}),
    "MLP.jvp of params": (lambda params: MLP(params).jvp(X, Y), {"params": (score_parameters, NETWORK)}),
    "MLP.divergence of params": (lambda params: MLP(params).divergence(X), {"params": (score_parameters, DEEP)}),
    "MLP.__call__": (MLP(NETWORK), {"x": (known, X)}),
    "MLP.jvp": (MLP(NETWORK).jvp, {"x": (rows, X), "v": (stacks, Y)}),
    "MLP.divergence": (MLP(NETWORK).divergence, {"x": (known, X)}),
    "MLP.divergence in closed form": (MLP(DEEP).divergence, {"x": (known, X)}),
    "NoiseConditionalMLP": (lambda params, sigma_data: NoiseConditionalMLP(params, sigma_data)(X, 0.5),
                            {"params": (score_parameters, CONDITIONAL), "sigma_data": (positive, 0.5)}),
    "NoiseConditionalMLP.__call__": (NoiseConditionalMLP(CONDITIONAL), {"x": (known, X), "sigma": (LEVELS, np.full(4,
    0.5))}),
    "NoiseConditionalMLP.at": (lambda sigma: NoiseConditionalMLP(CONDITIONAL).at(sigma)(X), {"sigma": (positive, 0.5)}),
    "EnergyMLP": (lambda params: EnergyMLP(params)(X), {"params": (energy_parameters, ENERGY)}),
    "EnergyMLP.__call__": (EnergyMLP(ENERGY), {"x": (known, X)}),
    "EnergyMLP.gradient": (EnergyMLP(ENERGY).gradient, {"x": (known, X)}),
    "energy_score": (lambda energy, x: energy_score(energy)(x), {"energy": ENERGY_F, "x": (tables, X)}),
    "energy_score of a network": (energy_score(EnergyMLP(ENERGY)), {"x": (known, X)}),
    "implicit_loss of an energy": (lambda energy: scoremin.implicit_loss(energy_score(energy), X),
    {"energy": ENERGY_F}),
    "jvp": (scoremin.jvp, {"score": (jvp_scores, base_score), "x": (rows, X), "v": (stacks, Y)}),
    "divergence": (scoremin.divergence, {"score": (divergence_scores, base_score), "x": (tables, X)}),
    "explicit_loss": (scoremin.explicit_loss, {"score": SCORE, "x": (rows, X), "target": (plain_rows, Y)}),
    "kde_log_density": (scoremin.kde_log_density, {"x": (known, X), "data": (known, Y), "h": (positive, 0.5),
    "leave_one_out": (flags, False)}),
    "kde_score": (scoremin.kde_score, {"x": (known, X), "data": (known, Y), "h": (positive, 0.5),
    "leave_one_out": (flags, False)}),
    "kde_score of the data": (lambda leave_one_out: scoremin.kde_score(X, X, 0.5, leave_one_out),
    {"leave_one_out": (flags, True)}),
    "implicit_loss": (scoremin.implicit_loss, {"score": (divergence_scores, base_score), "x": (tables, X)}),
    "sliced_loss": (scoremin.sliced_loss, {"score": (jvp_scores, base_score), "x": (rows, X), "v": (stacks, Y)}),
    "sliced_vr_loss": (scoremin.sliced_vr_loss, {"score": (jvp_scores, base_score), "x": (rows, X), "v": (stacks, Y)}),
    "probes": (scoremin.probes, {"rng": (generators, "fresh"), "kind": (kinds, "gaussian"), "shape": (shapes, (3, 2)),
    "dtype": (dtypes, np.float64)}),
    "probes on the sphere": (lambda rng, shape: scoremin.probes(rng, "sphere", shape), {"rng": (generators, "fresh"),
    "shape": (shapes, (3, 2))}),
    "denoising_loss": (scoremin.denoising_loss, {"score": SCORE, "x": (rows, X), "z": (plain_rows, Y),
    "sigma": (positive, 0.5)}),
    "denoising_vr_loss": (scoremin.denoising_vr_loss, {"score": SCORE, "x": (rows, X), "z": (plain_rows, Y),
    "sigma": (positive, 0.5)}),
    "finite_difference_loss": (scoremin.finite_difference_loss, {"score": SCORE, "x": (rows, X), "v": (plain_rows, Y),
    "radius": (positive, 0.25)}),
    "linear_score": (lambda features, x, ridge: scoremin.linear_score(features, x, ridge)(X),
    {"features": (functions, base_features), "x": (known, X), "ridge": (nonnegative, 0.5)}),
    "linear_score's score": (scoremin.linear_score(base_features, X, 0.5), {"x": (known, X)}),
    "standardise": (scoremin.standardise, {"data": (tables, X)}),
    "reverse_sde": (scoremin.reverse_sde, {"score": FIELD, "x": (tables, X), "sigmas": (descending, SIGMAS),
    "rng": (generators, "fresh")}),
    "probability_flow": (scoremin.probability_flow, {"score": FIELD, "x": (tables, X),
    "sigmas": (either_way, SIGMAS)}),
    "dpm_solver": (scoremin.dpm_solver, {"score": FIELD, "x": (tables, X), "sigmas": (descending, SIGMAS)}),
    "log_likelihood": (scoremin.log_likelihood, {"score": FIELD, "x": (tables, X), "sigmas": (descending, SIGMAS),
    "prior": (functions, base_prior)}),
    "log_likelihood of a network": (lambda x: scoremin.log_likelihood(NoiseConditionalMLP(CONDITIONAL), x, SIGMAS,
    base_prior), {"x": (known, X)}),
    "tweedie": (scoremin.tweedie, {"score": SCORE, "x_noisy": (tables, X), "sigma": (positive, 0.5)}),
    "ncsn_loss": (scoremin.ncsn_loss, {"score": FIELD, "x": (rows, X), "z": (plain_rows, Y), "sigma": (LEVELS,
    np.full(4, 0.5))}),
    "geometric_sigmas": (scoremin.geometric_sigmas, {"sigma_max": (positive, 4.0), "sigma_min": (positive, 0.25),
    "n": (whole(2), 3)}),
    "langevin": (scoremin.langevin, {"score": SCORE, "x": (tables, X), "step": (positive, 0.25), "n_steps": (whole(0),
    2),
                                     "rng": (generators, "fresh"), "temperature": (nonnegative, 0.5),
                                     "callback": (callbacks, None)}),
    "annealed_langevin": (scoremin.annealed_langevin, {
        "score": FIELD, "x": (tables, X), "sigmas": (descending, np.array([2.0, 1, 0.5])), "step": (positive, 0.25),
        "n_steps": (whole(0), 2),
        "rng": (generators, "fresh"), "denoise": (flags, True), "callback": (callbacks, None)}),
    "fit": (scoremin.fit, {"loss": LOSS, "params": (fit_parameters, NETWORK), "data": (known, X), "steps": (whole(1),
    2), "rng": (generators, "fresh"),
                           "batch_size": (whole(1), 3), "learning_rate": (positive, 0.25), "progress": (progresses,
                           None)}),
    "fisher_divergence": (scoremin.fisher_divergence, {"score": SCORE, "target": (scores, base_score), "x": (tables,
    X)}),
    "relative_error": (scoremin.relative_error, {"score": SCORE, "target": (scores, base_score), "x": (tables, X)}),
    "energy_distance": (scoremin.energy_distance, {"a": (known, X), "b": (known, Y)}),
    "two_sample_test": (scoremin.two_sample_test, {"a": (known, X), "b": (known, Y), "rng": (generators, "fresh"),
    "n_permutations": (whole(1), 7)}),
    "mode_weights": (scoremin.mode_weights, {"x": (known, X), "means": (known, MEANS)}),
}


# One case.


def fresh(value):
    """A new generator where the table says so."""
    return np.random.default_rng(5) if isinstance(value, str) and value == "fresh" else value


def parts(value):
    """All arrays in an answer or an argument, in order."""
    value = getval(value)
    if isinstance(value, (list, tuple)):
        return [a for part in value for a in parts(part)]
    if isinstance(value, GaussianMixture):
        return parts([value.weights, value.means, value.covs, value.log_scales])
    return [value] if isinstance(value, (np.ndarray, np.generic, float, int)) else []


def frozen(value):
    """The bytes of an argument, to see whether it was written to."""
    return [np.ma.getdata(a).tobytes() if not np.asarray(a).dtype.hasobject else str(hash(a)) if isinstance(a,
        int) else repr(a) for a in parts(value)]


def outcome(f, arguments):
    """(answer, None) or (None, error), and whether the arguments are as before. Warnings are errors."""
    arguments = {name: fresh(value) for name, value in arguments.items()}
    before = {name: frozen(value.value if isinstance(value, Traced) else value) for name, value in arguments.items()}
    traced = [name for name, value in arguments.items() if isinstance(value, Traced)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if traced:
                answers = lambda value: leaves(f(**arguments | {traced[0]: value}))
                call = lambda value: anp.sum(anp.array([anp.sum(a) for a in answers(value)]))
                answer = make_vjp(call)(arguments[traced[0]].value)[1]
            else:
                answer = f(**arguments)
    except Exception as error:
        answer = error
    changed = [n for n, v in arguments.items() if before[n] != frozen(v.value if isinstance(v, Traced) else v)]
    return answer, changed


def leaves(value):
    """The arrays of an answer, traced ones too."""
    if isinstance(value, GaussianMixture):
        return [value.weights, value.means, value.covs, value.log_scales]
    return [a for part in value for a in leaves(part)] if isinstance(value, (list, tuple)) else [value]


def complaint(name, argument, label, value, plain):
    """What is wrong with this case, or None."""
    f, table = TABLE[name]
    others = {other: base for other, (_, base) in table.items()}
    answer, changed = outcome(f, others | {argument: value})
    if changed:
        return f"wrote into {changed}"
    if isinstance(answer, Exception):
        text = str(answer)
        if type(answer) not in ERRORS:
            return f"raised {type(answer).__name__}: {text[:200]}"
        if plain is EITHER:
            return None if re.search("want|range|finite|learning_rate|smaller step|symmetric|at fault|must leave",
                text) else f"unclear: {text[:200]}"
        spoken = [argument, *([*table, "x"] if re.search("ha(s|ve) shape|weights are", text) else [])]
        if not any(re.search(rf"\b{word}\b", text) for word in spoken):
            return f"does not name {argument}: {type(answer).__name__}: {text[:200]}"
        if plain is REFUSED:
            right = "want|autograd.numpy|NaN or infinity|symmetric|must leave|not finite|range|the loss is|0 at every x"
            return None if re.search(right, text) else f"unclear: {text[:200]}"
        expected = outcome(f, others | {argument: plain})[0]
        fair = isinstance(value, Traced) or isinstance(expected, Exception) or "autograd.numpy" in text
        return None if fair else f"refused a right value: {text[:200]}"
    if plain is REFUSED:
        return f"accepted: {str(parts(answer))[:200]}"
    for a in parts(answer):
        if not (np.asarray(a).dtype.kind in "fi" and np.isfinite(a).all()) or type(a) in (np.matrix, np.memmap,
            np.ma.MaskedArray):
            return f"no finite array: {a!r}"[:200]
    return differs(answer, f, others | {argument: plain}, value) if plain is not EITHER else None


def differs(answer, f, arguments, value):
    """How answer differs from that of the plain arguments, or None. Layouts may change the order of a sum."""
    expected, _ = outcome(f, arguments)
    if isinstance(expected, Exception):
        return f"accepted where the plain value is refused: {expected}"[:300]
    mine, theirs = parts(answer), parts(expected)
    if isinstance(value, Traced):
        mine, theirs = [np.sum(mine[0])], [sum(np.sum(a) for a in theirs)]
    if len(mine) != len(theirs):
        return f"{len(mine)} parts for {len(theirs)}"
    for a, b in zip(mine, theirs):
        if np.shape(a) != np.shape(b) or np.asarray(a).dtype != np.asarray(b).dtype:
            return f"{np.asarray(a).dtype} {np.shape(a)} for {np.asarray(b).dtype} {np.shape(b)}"
        if not np.allclose(a, b, rtol=4e-15, atol=1e-15):
            return f"{a} for {b}"[:300]
    return None


CELLS = [(name, argument) for name, (_, table) in TABLE.items() for argument in table]
TRIED = {}


def cases(name, argument):
    kind, base = TABLE[name][1][argument]
    return list(kind(base))


@pytest.mark.parametrize("name, argument", CELLS, ids=[f"{name}: {argument}" for name, argument in CELLS])
def test_each_argument_gives_the_right_answer_or_a_named_error(name, argument):
    """All values of its kind: an odd one has the answer of the plain one, a bad one is refused by name."""
    wrong = []
    for label, value, plain in cases(name, argument):
        trouble = complaint(name, argument, label, value, plain)
        if trouble:
            wrong.append(f"{name}({argument} = {label}): {trouble}")
    assert not wrong, f"{len(wrong)} of {len(cases(name, argument))}:\n" + "\n".join(wrong)


def test_the_table_is_complete_and_large():
    """Every public function, each of its arguments, at least 3,000 cases."""
    number = sum(len(cases(*cell)) for cell in CELLS)
    print(number)
    assert number >= 3000
    public = {name: f for name, f in vars(scoremin).items() if callable(f)}
    assert set(public) <= {key.split(".")[0] for key in TABLE}
    for name, f in public.items():
        if name not in ("MLP", "EnergyMLP", "NoiseConditionalMLP", "GaussianMixture", "energy_score"):
            assert set(TABLE[name][1]) == set(inspect.signature(f).parameters), name


class Speechless:
    """It has no repr."""

    def __repr__(self):
        raise RuntimeError("no repr")


class Convertible:
    """An object that gives an array."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype)


@pytest.mark.parametrize("name, argument", CELLS, ids=[f"{name}: {argument}" for name, argument in CELLS])
def test_an_object_without_a_repr_is_refused_all_the_same(name, argument):
    """The error does not fail on the way to its message."""
    assert complaint(name, argument, "speechless", Speechless(), REFUSED) is None


def test_further_kinds_are_answered_too():
    """Converted, or refused by name."""
    eye, tiny, loss = np.eye(1)[None], np.array([[[5e-324]]]), lambda x: scoremin.implicit_loss(base_score, x)
    for x in (Convertible(X), memoryview(X), X.view(type("Unit", (np.ndarray,), {}))):
        assert loss(x) == loss(X)
    for f, message in {
        lambda: loss(Convertible(X + 0j)): "^x is .*; want an array of real numbers",
        lambda: GaussianMixture([1], [[0.0]], tiny): "^covs have .* variances > 0",
        lambda: scoremin.geometric_sigmas(np.nextafter(1, 2), 1, 5): "^sigma_max is .*; want room for 5 levels",
        lambda: energy_score(lambda x: anp.sqrt(anp.sum(x**2, axis=1)))(np.zeros((2,
        2))): "^energy's gradient holds NaN",
    }.items():
        with pytest.raises(ERRORS, match=message):
            f()
    assert GaussianMixture([0.3333333] * 3, [[0.0], [1], [2]], np.repeat(eye, 3, axis=0)).sample(_rng(),
    2).shape == (2, 1)
    assert scoremin.langevin(base_score, X, 0.1, 0, _rng()) is not X


def test_plain_numpy_in_a_score_is_named_or_harmless():
    """The examples whose loss was -.91 for 12.34 and whose trace was -2 for -5."""
    x = np.array([[0.5, -1], [-2, 0.3]])
    energy = lambda np: lambda x: np.where(x[:, 0] > 0, x[:, 0]**2, 2 * x[:, 0]**2) + x[:, 1]**2
    with pytest.raises(TypeError, match=r"autograd\.numpy"):
        scoremin.implicit_loss(energy_score(energy(np)), x)
    field = np.array([[-1.0, 2], [8, -0.6]])                                 # -grad E by hand; tr -4 and -6
    exact = np.mean(0.5 * np.sum(field**2, axis=1) + [-4, -6])
    assert abs(scoremin.implicit_loss(energy_score(energy(anp)), x) - exact) < 1e-13
    with pytest.raises(TypeError, match=r"autograd\.numpy"):
        scoremin.divergence(lambda x: -x + np.stack([-x[:, 0], -2 * x[:, 1]], 1), x)


def test_a_mixture_far_from_zero_keeps_its_digits_in_float32():
    """Score -(x - m)/s^2 of x as float32 holds it."""
    x = np.array([[1000.1]], np.float32)
    exact = -(float(x[0, 0]) - 1000.1) / 1e-6
    score = GaussianMixture([1], [[1000.1]], [[[1e-6]]]).score(x)
    assert score.dtype == np.float32
    assert abs(score[0, 0] - exact) < 1e-6 * abs(exact)


def test_kernel_scores_survive_outliers():
    """[[.3]] against 0, .5, 1, 1e6 at h = 1, the outlier without weight."""
    near = np.array([0, 0.5, 1])
    w = np.exp(-0.5 * (near - 0.3)**2)
    exact = np.sum(w * (near - 0.3)) / np.sum(w)
    value = scoremin.kde_score(np.float32([[0.3]]), np.float32([[0], [0.5], [1], [1e6]]), 1.0)
    assert abs(value[0, 0] - exact) < 1e-6


def test_a_generator_class_is_refused_before_it_crashes_the_interpreter():
    """The class in the place of an instance."""
    with pytest.raises(TypeError, match=r"^rng is .*; want a numpy.random.Generator"):
        scoremin.swiss_roll(np.random.Generator, 3)


def test_the_remedy_fits_the_cause():
    """A score that is NaN is at fault, not the step; before the first step the rate is not."""
    with pytest.raises(FloatingPointError, match="score is at fault, not the step"):
        scoremin.langevin(lambda x: x * np.nan, X, 0.1, 2, _rng())
    with pytest.raises(FloatingPointError, match="no step was taken yet"):
        scoremin.fit(lambda params, x, rng: number_loss(params, x, rng) * np.inf, NETWORK, X, steps=2, rng=_rng())


@pytest.mark.parametrize("name", ["explicit", "implicit", "sliced", "sliced_vr", "denoising"])
def test_gradients_in_a_factor_and_in_a_target_of_a_gradient_are_not_lost(name):
    """<d(lam L)/dtheta, u> is linear in lam; in target it is that of the plain network."""
    loss = {"explicit": lambda s, y: scoremin.explicit_loss(s, X, y),
            "implicit": lambda s, y: scoremin.implicit_loss(s, X),
            "sliced": lambda s, y: scoremin.sliced_loss(s, X, y),
            "sliced_vr": lambda s, y: scoremin.sliced_vr_loss(s, X, y),
            "denoising": lambda s, y: scoremin.denoising_loss(s, X, y, 0.5)}[name]
    sizes = lambda g: sum(anp.sum(W**3) + anp.sum(b) for W, b in g)
    value = lambda network: lambda lam, y: sizes(grad(lambda p: lam * loss(network(p), y))(DEEP))
    for argument in (0, 1) if name == "explicit" else (0,):
        fast, plain = (grad(value(network), argument)(0.7, Y) for network in (MLP, plain_mlp))
        assert np.max(np.abs(fast - plain)) < 1e-10 * np.max(np.abs(plain))


def test_a_traced_number_in_the_place_of_points_is_refused():
    """A Python float that autograd traces has no dtype: TypeError, by name."""
    with pytest.raises(TypeError, match=r"^x is 0.5; want float32 or float64"):
        grad(lambda x: scoremin.explicit_loss(base_score, x, X))(0.5)


def test_huge_numbers_are_finite_and_arguments_of_a_score_stay_as_they_are():
    """A square out of range is no fault where none is taken; a score may not write into sigma, nor hide x."""
    assert scoremin.mode_weights([[1e200]], [[1e200]]) == [1]
    x, sigma = np.ones((2, 2)), np.ones(2)

    def writes(x, sigma):
        sigma *= 2
        return -x

    with pytest.raises(ValueError, match="writes into its argument"):
        scoremin.ncsn_loss(writes, x, x, sigma)
    with pytest.raises(TypeError, match="autograd cannot see"):
        scoremin.divergence(lambda x: -np.array(getval(x)), x)
