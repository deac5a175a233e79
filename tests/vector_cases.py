"""The cases of the test vectors that version 1 has, chapter by chapter, and what more cases are made with.

Where a formula gives the answer (linear scores, mixtures, kernels, Adam on given gradients) it is
evaluated here, in plain NumPy, without the package: origin "closed form". Elsewhere the package's
objective, or sampler, is run on a network written in autograd's own operations, not on the package's
networks: origin "autograd". Random inputs are multiples of 1/256, which float32 holds exactly.
"""

import sys
from functools import partial
from itertools import pairwise
from pathlib import Path
from zlib import crc32

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

import autograd.numpy as np
from answers import listed
from autograd import elementwise_grad, value_and_grad
from oracles import plain_mlp, plain_noise_conditional

import scoremin as sm

TOLERANCES = {"float64": 1e-12, "float32": 1e-5}
SHAPES = {"d2-linear": [2, 2], "d2-one-hidden": [2, 5, 2], "d2-two-hidden": [2, 5, 4, 2],
          "d5-linear": [5, 5], "d5-one-hidden": [5, 6, 5], "d5-two-hidden": [5, 6, 4, 5]}
N, M = 4, 3  # rows and probes, other than every width above where it matters
MIXTURE = {"weights": [0.5, 0.5], "means": [[2.0, 2.0], [-2.0, -2.0]],
           "covs": [[[1.0, 0.5], [0.5, 1.0]], [[1.0, -0.5], [-0.5, 1.0]]]}
TRIANGLE = [[-1.0, 0.0], [0.0, 1.0], [2.0, -1.0]]


def draw(name, *shape, size=1.0):
    """Standard normal numbers times size, rounded to 1/256: the stream depends on the name alone."""
    return np.round(256 * size * np.random.default_rng(crc32(name.encode())).standard_normal(shape)) / 256


def network(name, sizes):
    """Parameters of an MLP with biases that are not 0."""
    return [(draw(f"{name} W{i}", m, n, size=m**-0.5), draw(f"{name} b{i}", n, size=0.5))
            for i, (m, n) in enumerate(pairwise(sizes))]


def case(id, function, inputs, expected, origin="autograd", flags=(), tolerances=TOLERANCES):
    """One line of a file of vectors."""
    return {"id": id, "function": function, "inputs": listed(inputs), "expected": listed(expected),
            "tolerances": tolerances, "origin": origin, "flags": list(flags)}


# Closed forms

def mixture_at(weights, means, covs, x):
    """log p (), ∇log p (d,) and its Jacobian (d,d) at one point x (d,), component by component."""
    precisions = [np.linalg.inv(np.array(S)) for S in covs]
    pulls = np.array([P @ (np.array(mu) - x) for P, mu in zip(precisions, means)])             # (K,d)
    a = np.array([np.log(w) - 0.5 * (np.array(mu) - x) @ pull - 0.5 * np.log(np.linalg.det(2 * np.pi * np.array(S)))
                  for w, mu, pull, S in zip(weights, means, pulls, covs)])
    r = np.exp(a - a.max())
    log_p, r = a.max() + np.log(r.sum()), r / r.sum()
    s = r @ pulls
    spread = sum(r_k * (np.outer(pull - s, pull - s) - P) for r_k, pull, P in zip(r, pulls, precisions))
    return log_p, s, spread


def mixture(x, weights, means, covs):
    """log p (N,), ∇log p (N,d) and its Jacobian (N,d,d)."""
    return [np.array(a) for a in zip(*[mixture_at(weights, means, covs, row) for row in np.array(x)])]


def widened(spec, sigma):
    """The mixture of x + σz."""
    return {**spec, "covs": [(np.array(S) + sigma**2 * np.eye(len(S))).tolist() for S in spec["covs"]]}


def kde(x, data, h):
    """The same three of a KDE, a mixture of one Gaussian a data point."""
    n, d = np.shape(data)
    return mixture(x, [1 / n] * n, data, [h**2 * np.eye(d)] * n)


def linear(params, x):
    """s = xW + b of a network of one layer, and the gradient in W and b that belongs to ∂loss/∂s."""
    (W, b), = params
    return x @ W + b, lambda ds, dW=0: [(x.T @ ds + dW, ds.sum(axis=0))]


# Networks in autograd's own operations

def energy_network(params):
    """−∇E for the energy E of a network with one output."""
    gradient = elementwise_grad(lambda x: plain_mlp(params)(x)[:, 0])
    return lambda x: -gradient(x)


def conditional_at(sigma_data, sigma):
    """make(params) -> the conditional network's score at one level, a function of x alone."""
    return lambda params: partial(plain_noise_conditional(params, sigma_data), sigma=sigma)


def pulled_back(read, params, cotangent):
    """The gradient of Σ cotangent∘read(params), and read(params)."""
    gradient = value_and_grad(lambda params: np.sum(cotangent * read(params)))(params)[1]
    return {"value": read(params), "gradient": gradient}


def by_objective(function, make, params, inputs):
    """value and gradient of an objective, s where it takes the score, Jv and trace where it has them."""
    value, gradient = value_and_grad(lambda params: getattr(sm, function)(make(params), **inputs))(params)
    score, x, expected = make(params), inputs["x"], {"value": value}
    if function == "ncsn_loss":
        expected["s"] = score(x + np.reshape(inputs["sigma"], (-1, 1)) * inputs["z"], inputs["sigma"])
    else:
        expected["s"] = score(x + inputs["sigma"] * inputs["z"] if function == "denoising_loss" else x)
    if "v" in inputs:
        expected["Jv"] = sm.jvp(score, x, inputs["v"])[1]
    if function == "implicit_loss":
        expected["trace"] = sm.divergence(score, x)[1]
    return {**expected, "gradient": gradient}


def loss_case(id, function, spec, make, inputs, closed=None, flags=()):
    """A case of an objective on a network: expected values by autograd unless a closed form is given."""
    expected = closed or by_objective(function, make, spec["params"], inputs)
    return case(id, function, {"score": spec, **inputs}, expected, "closed form" if closed else "autograd", flags)


# Chapters

def data():
    three = {"weights": [0.25, 0.125, 0.625], "means": draw("means", 3, 5, size=2),
             "covs": np.array([np.eye(5) + A @ A.T / 4 for A in draw("roots", 3, 5, 5, size=0.5)])}
    settings = {
        "d2": (MIXTURE, draw("data d2", N, 2, size=2), ()), "d5-three": (listed(three), draw("data d5", N, 5), ()),
        "d2-one": ({key: MIXTURE[key][:1] for key in ("means", "covs")} | {"weights": [1.0]}, draw("one", N, 2), ()),
        "d1": ({"weights": [0.75, 0.25], "means": [[-1.0], [2.0]], "covs": [[[0.25]], [[4.0]]]}, draw("d1", N, 1), ()),
        "far": (MIXTURE, np.array([[1000.0, 1000.0], [-300.0, 500.0]]), ["far"]),
        "between": (MIXTURE, np.zeros((1, 2)), ()),
    }
    for name, (spec, x, flags) in settings.items():
        log_p, s, _ = mixture(x, **spec)
        yield case(f"data/log_density-{name}", "GaussianMixture.log_density", {"mixture": spec, "x": x},
                   {"value": log_p}, "closed form", flags)
        yield case(f"data/score-{name}", "GaussianMixture.score", {"mixture": spec, "x": x},
                   {"value": s}, "closed form", flags)
    for sigma in (1e-3, 0.5, 50.0):
        x = draw("smoothed", N, 2, size=max(2, sigma))
        log_p, s, _ = mixture(x, **widened(MIXTURE, sigma))
        yield case(f"data/smoothed-{sigma:g}", "GaussianMixture.smoothed", {"mixture": MIXTURE, "x": x, "sigma": sigma},
                   {"value": s, "log_density": log_p}, "closed form", ["extreme sigma"] if sigma != 0.5 else [])


def network_cases():
    for name, sizes in SHAPES.items():
        params, x, g = network(name, sizes), draw(f"x {name}", N, sizes[0]), draw(f"g {name}", N, sizes[0])
        expected = pulled_back(partial(applied, plain_mlp, x), params, g)
        if len(params) == 1:
            s, pull_back = linear(params, x)
            expected = {"value": s, "gradient": pull_back(g)}
        yield case(f"network/mlp-{name}", "MLP", {"params": params, "x": x, "cotangent": g}, expected,
                   "closed form" if len(params) == 1 else "autograd")
    unit = [(np.ones((1, 1)), np.zeros(1))] * 2
    x = np.array([[-1e4], [-100.0], [0.0], [100.0], [1e4]])
    yield case("network/silu-extreme", "MLP", {"params": unit, "x": x}, {"value": x * (x > 50)}, "closed form", ["far"])
    yield from conditional_cases()
    yield from energy_cases()


def applied(make, x, params):
    return make(params)(x)


def energy_cases():
    for name, sizes in {"d2": [2, 5, 1], "d5": [5, 6, 4, 1]}.items():
        params, x = network(f"energy {name}", sizes), draw(f"x energy {name}", N, sizes[0])
        g, g_score = draw(f"g energy {name}", N), draw(f"g score {name}", N, sizes[0])
        yield case(f"network/energy-{name}", "EnergyMLP", {"params": params, "x": x, "cotangent": g},
                   pulled_back(partial(energy_values, x), params, g))
        yield case(f"network/energy_score-{name}", "energy_score", {"params": params, "x": x, "cotangent": g_score},
                   pulled_back(partial(applied, energy_network, x), params, g_score),
                   flags=["the last b has gradient 0"])


def energy_values(x, params):
    return plain_mlp(params)(x)[:, 0]


def conditional_cases():
    settings = {"d2": ([3, 5, 2], 0.5, 1.0), "d2-per-sample": ([3, 5, 4, 2], np.array([2.0, 0.5, 0.125, 1.0]), 1.0),
                "d5-sigma-data": ([6, 6, 5], 0.25, 0.5),
                "d5-per-sample": ([6, 6, 5], np.array([8.0, 4.0, 0.5, 0.25]), 2.0),
                "small-sigma": ([3, 5, 2], 1e-3, 1.0), "large-sigma": ([3, 5, 2], 50.0, 1.0)}
    for name, (sizes, sigma, sigma_data) in settings.items():
        params, x = network(f"conditional {name}", sizes), draw(f"x conditional {name}", N, sizes[0] - 1)
        g, make = draw(f"g conditional {name}", *x.shape), conditional_at(sigma_data, sigma)
        flags = ["extreme sigma"] * name.endswith("-sigma") + ["per-sample sigma"] * np.ndim(sigma)
        yield case(f"network/noise_conditional-{name}", "NoiseConditionalMLP",
                   {"params": params, "sigma_data": sigma_data, "x": x, "sigma": sigma, "cotangent": g},
                   pulled_back(partial(applied, make, x), params, g), flags=flags)


def scores():
    """name, specification and make(params) -> score of the networks that more than one chapter uses."""
    for name, sizes in SHAPES.items():
        yield name, {"kind": "mlp", "params": network(f"score {name}", sizes)}, plain_mlp
    yield "d2-energy", {"kind": "energy_mlp", "params": network("energy", [2, 5, 4, 1])}, energy_network
    spec = {"kind": "noise_conditional_mlp", "params": network("level", [3, 5, 4, 2]), "sigma_data": 0.5, "sigma": 0.25}
    yield "d2-noise-conditional", spec, conditional_at(0.5, 0.25)


def width(name):
    return int(name[1])


def derivatives():
    for name, spec, make in scores():
        x, c = draw(f"x jvp {name}", N, width(name)), draw(f"c {name}", N)
        for probe, shape in {"": x.shape, "-stack": (M, *x.shape)}.items():
            v, g = draw(f"v{probe} {name}", *shape), draw(f"g{probe} {name}", *shape)
            yield derivative_case(f"jvp{probe}-{name}", "jvp", spec, make, {"x": x, "v": v, "cotangent": g})
        yield derivative_case(f"divergence-{name}", "divergence", spec, make, {"x": x, "cotangent": c})
    yield from closed_derivatives()


def derivative_case(id, function, spec, make, inputs):
    x, *v, g = inputs.values()
    found = pulled_back(lambda params: getattr(sm, function)(make(params), x, *v)[1], spec["params"], g)
    expected = {"s": make(spec["params"])(x), "Jv" if v else "trace": found["value"], "gradient": found["gradient"]}
    if id.endswith("linear"):
        (W, b), = spec["params"]
        zero, d = np.zeros_like(b), len(b)
        expected = {"s": x @ W + b, "trace": np.full(N, np.trace(W)), "gradient": [(g.sum() * np.eye(d), zero)]}
        if v:
            pairs = v[0].reshape(-1, d).T @ g.reshape(-1, d)                                   # (d,d)
            expected = {"s": x @ W + b, "Jv": v[0] @ W, "gradient": [(pairs, zero)]}
    return case(f"derivatives/{id}", function, {"score": spec, **inputs}, expected,
                "closed form" if id.endswith("linear") else "autograd")


def closed_derivatives():
    x, v = draw("x mixture jvp", N, 2, size=2), draw("v mixture jvp", M, N, 2)
    for name, spec, (_, s, H) in [("mixture", {"kind": "mixture", **MIXTURE}, mixture(x, **MIXTURE)),
                                  ("kde", {"kind": "kde", "data": TRIANGLE, "h": 1.0}, kde(x, TRIANGLE, 1.0))]:
        yield case(f"derivatives/jvp-stack-d2-{name}", "jvp", {"score": spec, "x": x, "v": v},
                   {"s": s, "Jv": np.einsum("nij,mnj->mni", H, v)}, "closed form")
        yield case(f"derivatives/divergence-d2-{name}", "divergence", {"score": spec, "x": x},
                   {"s": s, "trace": np.trace(H, axis1=1, axis2=2)}, "closed form")
    # φ' and φ'' are 0, 0, ½, 1, 1 and 0, 0, ½, 0, 0 here, but for e^−100: no rule may give NaN.
    x, slope = np.array([[-1e4], [-100.0], [0.0], [100.0], [1e4]]), np.array([0, 0, 0.5, 1, 1])
    unit = {"kind": "mlp", "params": [(np.ones((1, 1)), np.zeros(1))] * 2}
    yield case("derivatives/divergence-silu-extreme", "divergence", {"score": unit, "x": x, "cotangent": np.ones(5)},
               {"s": x * (x > 50), "trace": slope,
                "gradient": [(np.array([[2.5]]), np.array([0.5])), (np.array([[2.5]]), np.zeros(1))]},
               "closed form", ["far"])


def explicit():
    for name, spec, make in scores():
        x, target, closed = draw(f"x explicit {name}", N, width(name)), draw(f"target {name}", N, width(name)), None
        if name.endswith("linear"):
            s, pull_back = linear(spec["params"], x)
            closed = {"value": 0.5 * np.sum((s - target)**2) / N, "s": s, "gradient": pull_back((s - target) / N)}
        yield loss_case(f"explicit/loss-{name}", "explicit_loss", spec, make, {"x": x, "target": target}, closed)
    yield from kde_cases()


def kde_cases():
    cloud, offset = draw("kde cloud", 7, 5), draw("kde offset", 6, 2) + np.array([1000.0, -1000.0])
    settings = {"d2": (draw("kde x", N, 2), TRIANGLE, 1.0, ()), "d5": (draw("kde x5", N, 5), cloud, 0.75, ()),
                "far": ([[40.0, 40.0], [-300.0, 500.0]], TRIANGLE, 1.0, ["far: every kernel underflows"]),
                "narrow": ([[0.5, 0.5], [-1.0, 0.0]], TRIANGLE, 1e-2, ["narrow; the second query is a data point"]),
                "wide": (draw("kde wide", N, 2), TRIANGLE, 50.0, ["extreme h"]),
                "offset": (offset[:3] + draw("kde shift", 3, 2, size=0.25), offset, 0.25,
                           ["data far from 0: x² − 2xy + y² loses all digits"])}
    for name, (x, points, h, flags) in settings.items():
        log_p, s, _ = kde(x, points, h)
        yield case(f"explicit/kde_score-{name}", "kde_score", {"x": x, "data": points, "h": h, "leave_one_out": False},
                   {"value": s}, "closed form", flags)
        yield case(f"explicit/kde_log_density-{name}", "kde_log_density", {"x": x, "data": points, "h": h},
                   {"value": log_p}, "closed form", flags)
    for name, points, h in [("d2", TRIANGLE, 1.0), ("d5", cloud, 1.5), ("narrow", TRIANGLE, 0.05)]:
        rows = np.array(points)
        own = kde(rows, rows, h)[1]
        others = [kde(rows[i:i + 1], np.delete(rows, i, axis=0), h)[1][0] for i in range(len(rows))]
        for leave_one_out, value in ((False, own), (True, others)):
            if not (name == "narrow" and not leave_one_out):
                yield case(f"explicit/kde_score-own-points-{name}{'-left-out' * leave_one_out}", "kde_score",
                           {"x": points, "data": points, "h": h, "leave_one_out": leave_one_out},
                           {"value": value}, "closed form", ["x is the data"])


def implicit():
    for name, spec, make in scores():
        x, closed = draw(f"x implicit {name}", N, width(name)), None
        if name.endswith("linear"):
            W, (s, pull_back) = spec["params"][0][0], linear(spec["params"], x)
            closed = {"value": 0.5 * np.sum(s**2) / N + np.trace(W), "s": s, "trace": np.full(N, np.trace(W)),
                      "gradient": pull_back(s / N, np.eye(width(name)))}
        yield loss_case(f"implicit/loss-{name}", "implicit_loss", spec, make, {"x": x}, closed)
    yield from implicit_closed()


def implicit_closed():
    x = draw("x implicit mixture", N, 2, size=2)
    settings = {"mixture": ({"kind": "mixture", **MIXTURE}, x, mixture(x, **MIXTURE), ()),
                "kde": ({"kind": "kde", "data": TRIANGLE, "h": 1.0}, x, kde(x, TRIANGLE, 1.0), ()),
                "point-masses": ({"kind": "kde", "data": TRIANGLE, "h": 0.05}, TRIANGLE, kde(TRIANGLE, TRIANGLE, 0.05),
                                 ["a KDE on its own points: −d/h²"])}
    for name, (spec, x, (_, s, H), flags) in settings.items():
        tr = np.trace(H, axis1=1, axis2=2)
        expected = {"value": np.mean(0.5 * np.sum(s**2, axis=1) + tr), "s": s, "trace": tr}
        if name == "point-masses":
            del expected["s"]  # 0 but for a remainder without digits
        yield case(f"implicit/loss-d2-{name}", "implicit_loss", {"score": spec, "x": x}, expected, "closed form", flags)


def sliced():
    signs = np.array([[a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)])
    for name, spec, make in scores():
        d, x = width(name), draw(f"x sliced {name}", N, width(name))
        settings = {"": draw(f"v sliced {name}", N, d)}
        if "d2" in name or name == "d5-two-hidden":
            settings["-stack"] = draw(f"v stack {name}", M, N, d)
        if name in ("d2-linear", "d2-two-hidden"):
            settings["-all-signs"] = np.repeat(signs[:, None], N, axis=1)
        for probe, v in settings.items():
            for vr in (False, True):
                yield sliced_case(f"{'vr_' * vr}loss{probe}-{name}", spec, make, x, v, vr)


def sliced_case(id, spec, make, x, v, vr):
    closed = None
    if id.endswith("linear"):
        closed = sliced_linear(spec["params"], x, v.reshape(-1, *x.shape), vr) | {"Jv": v @ spec["params"][0][0]}
    flags = ["every sign probe once: equals implicit_loss"] * ("all-signs" in id) + ["M probes"] * (v.ndim == 3)
    function = "sliced_vr_loss" if vr else "sliced_loss"
    return loss_case(f"sliced/{id}", function, spec, make, {"x": x, "v": v}, closed, flags)


def sliced_linear(params, x, v, vr):
    """Both sliced losses of a linear score and their gradients, probe by probe."""
    W, (s, pull_back), n = params[0][0], linear(params, x), v.shape[0] * v.shape[1]
    vs = np.sum(v * s, axis=2, keepdims=True)                                                  # (M,N,1)
    squares = len(v) * np.sum(s**2) if vr else np.sum(vs**2)
    quadratic = sum(v_n @ W @ v_n for v_n in v.reshape(-1, x.shape[1]))
    ds = s / len(x) if vr else np.sum(vs * v, axis=0) / n
    dW = sum(np.outer(v_n, v_n) for v_n in v.reshape(-1, x.shape[1])) / n
    return {"value": (0.5 * squares + quadratic) / n, "s": s, "gradient": pull_back(ds, dW)}


def denoising():
    for name, spec, make in scores():
        x, z = draw(f"x denoising {name}", N, width(name)), draw(f"z denoising {name}", N, width(name))
        for sigma in (0.3,) if name not in ("d2-linear", "d2-two-hidden") else (1e-3, 0.3, 50.0):
            closed = None
            if name.endswith("linear"):
                s, pull_back = linear(spec["params"], x + sigma * z)
                residual = s + z / sigma
                closed = {"value": 0.5 * np.sum(residual**2) / N, "s": s, "gradient": pull_back(residual / N)}
            yield loss_case(f"denoising/loss-{sigma:g}-{name}", "denoising_loss", spec, make,
                            {"x": x, "z": z, "sigma": sigma}, closed, ["extreme sigma"] * (sigma != 0.3))
    for sigma in (1e-3, 0.3, 50.0):
        yield from denoising_mixture(sigma)


def denoising_mixture(sigma):
    """The score of q_σ itself, and the mean of x given x̃ by Bayes' rule, component by component."""
    x, z = draw("x denoising mixture", N, 2, size=2), draw("z denoising mixture", N, 2)
    x_noisy, noisy = draw("x_noisy", N, 2, size=max(2, sigma)), widened(MIXTURE, sigma)
    s = mixture(x + sigma * z, **noisy)[1]
    spec, flags = {"kind": "smoothed_mixture", **MIXTURE, "sigma": sigma}, ["extreme sigma"] * (sigma != 0.3)
    yield case(f"denoising/loss-{sigma:g}-d2-mixture", "denoising_loss",
               {"score": spec, "x": x, "z": z, "sigma": sigma},
               {"value": 0.5 * np.sum((s + z / sigma)**2) / N, "s": s}, "closed form", flags)
    log_q = mixture(x_noisy, **noisy)[0]
    posterior = 0
    for w, mu, S, C in zip(MIXTURE["weights"], MIXTURE["means"], MIXTURE["covs"], noisy["covs"]):
        gain = np.array(S) @ np.linalg.inv(np.array(C))                                        # (d,d)
        r = np.exp(mixture(x_noisy, [w], [mu], [C])[0] - log_q)                                # (N,)
        posterior = posterior + r[:, None] * (np.array(mu) + (x_noisy - np.array(mu)) @ gain.T)
    cancels = {"tolerances": {"float64": 1e-11, "float32": 1e-3}} if sigma > 1 else {}  # x̃ + σ²s, both far larger
    yield case(f"denoising/tweedie-{sigma:g}-d2-mixture", "tweedie",
               {"score": spec, "x_noisy": x_noisy, "sigma": sigma}, {"value": posterior}, "closed form",
               flags + ["large terms cancel"] * (sigma > 1), **cancels)


def ncsn():
    levels = {"levels": np.array([2.0, 0.5, 0.125, 1.0]), "extreme": np.array([50.0, 1e-3, 1.0, 0.01]), "one": 0.3}
    for name, sizes in {"d2-linear": [3, 2], "d2-one-hidden": [3, 5, 2], "d2-two-hidden": [3, 5, 4, 2],
                        "d5-two-hidden": [6, 6, 4, 5]}.items():
        params, d = network(f"ncsn {name}", sizes), sizes[-1]
        x, z = draw(f"x ncsn {name}", N, d), draw(f"z ncsn {name}", N, d)
        for level, sigma in levels.items():
            yield ncsn_case(f"{level}-{name}", params, x, z, sigma, 0.5 if "two" in name else 1.0)
    x, z = draw("x ncsn mixture", N, 2, size=2), draw("z ncsn mixture", N, 2)
    sigma = levels["levels"]
    s = np.array([mixture([row], **widened(MIXTURE, level))[1][0] for row, level in zip(x + sigma[:, None] * z, sigma)])
    yield case("ncsn/loss-levels-d2-mixture", "ncsn_loss",
               {"score": {"kind": "smoothed_mixture", **MIXTURE}, "x": x, "z": z, "sigma": sigma},
               {"value": 0.5 * np.sum((sigma[:, None] * s + z)**2) / N, "s": s}, "closed form", ["per-sample sigma"])
    for top, bottom, n in ((20.0, 1.0, 10), (1.5, 0.01, 20), (50.0, 1e-3, 2)):
        yield case(f"ncsn/geometric_sigmas-{n}", "geometric_sigmas", {"sigma_max": top, "sigma_min": bottom, "n": n},
                   {"value": [top * (bottom / top)**(i / (n - 1)) for i in range(n)]}, "closed form")


def ncsn_case(id, params, x, z, sigma, sigma_data):
    column, closed = np.reshape(sigma, (-1, 1)) * np.ones((N, 1)), None
    if len(params) == 1:
        inputs = np.hstack([(x + column * z) / np.sqrt(column**2 + sigma_data**2), np.log(column)])
        f, pull_back = linear(params, inputs)
        closed = {"value": 0.5 * np.sum((f + z)**2) / N, "s": f / column, "gradient": pull_back((f + z) / N)}
    spec = {"kind": "noise_conditional_mlp", "params": params, "sigma_data": sigma_data}
    flags = ["per-sample sigma"] * np.ndim(sigma) + ["extreme sigma"] * ("extreme" in id)
    return loss_case(f"ncsn/loss-{id}", "ncsn_loss", spec, partial(plain_noise_conditional, sigma_data=sigma_data),
                     {"x": x, "z": z, "sigma": sigma}, closed, flags)


def walk(score, x, step, noise, temperature=1.0):
    """Positions after each step of (LD.3), (LD.5), written out."""
    path = []
    for z in noise:
        x = x + step / 2 * score(x) + (temperature * step)**0.5 * z
        path.append(x)
    return np.array(path)


def langevin():
    steps, x = 5, draw("x langevin", N, 2, size=2)
    noise = draw("noise langevin", steps, N, 2)
    params = {name: network(f"langevin {name}", sizes) for name, sizes in SHAPES.items() if "d2" in name}
    scores = {f"d2-{kind}": ({"kind": kind, **spec}, score) for kind, spec, score in [
        ("mixture", MIXTURE, lambda x: mixture(x, **MIXTURE)[1]),
        ("kde", {"data": TRIANGLE, "h": 1.0}, lambda x: kde(x, TRIANGLE, 1.0)[1])]}
    scores |= {name: ({"kind": "mlp", "params": p}, plain_mlp(p)) for name, p in params.items()}
    for name, (spec, score) in scores.items():
        for temperature in (1.0,) if name != "d2-mixture" else (1.0, 0.5, 0.0):
            path = walk(score, x, 0.1, noise, temperature)
            yield case(f"langevin/plain-{temperature:g}-{name}", "langevin",
                       {"score": spec, "x": x, "step": 0.1, "noise": noise, "temperature": temperature},
                       {"value": path[-1], "path": path}, "autograd" if "hidden" in name else "closed form",
                       ["no noise"] * (temperature == 0))
    yield from annealed()


def annealed():
    x, noise, sigmas = draw("x annealed", N, 2, size=2), draw("noise annealed", 3, 5, N, 2), [2.0, 0.5, 0.25]
    params, step = network("annealed", [3, 5, 4, 2]), 0.01
    for name, spec, at in [
            ("mixture", {"kind": "smoothed_mixture", **MIXTURE},
             lambda s: lambda x: mixture(x, **widened(MIXTURE, s))[1]),
            ("two-hidden", {"kind": "noise_conditional_mlp", "params": params, "sigma_data": 1.0},
             lambda s: conditional_at(1.0, s)(params))]:
        path, position = [], x
        for sigma, z in zip(sigmas, noise):
            path.extend(walk(at(sigma), position, step * sigma**2 / sigmas[-1]**2, z))         # (LD.8)
            position = path[-1]
        for denoise in (False, True):
            value = position + sigmas[-1]**2 * at(sigmas[-1])(position) if denoise else position
            yield case(f"langevin/annealed-d2-{name}{'-denoised' * denoise}", "annealed_langevin",
                       {"score": spec, "x": x, "sigmas": sigmas, "step": step, "noise": noise, "denoise": denoise},
                       {"value": value, "path": path}, "closed form" if name == "mixture" else "autograd")


def adam(theta, gradients, rate):
    """theta after each step of (FIT.1) to (FIT.4), each moment written as its sum over past gradients."""
    K, path = len(gradients), []
    for k in range(1, K + 1):
        m = sum(0.1 * 0.9**(k - i) * gradients[i - 1] for i in range(1, k + 1)) / (1 - 0.9**k)
        u = sum(0.001 * 0.999**(k - i) * gradients[i - 1]**2 for i in range(1, k + 1)) / (1 - 0.999**k)
        theta = theta - rate * 0.5 * (1 + np.cos(np.pi * (k - 1) / K)) * m / (np.sqrt(u) + 1e-8)
        path.append(theta)
    return path


def train():
    for name, rate in (("small", 1e-3), ("large", 0.5)):
        params = network(f"adam {name}", [2, 3, 2])
        gradients = [[(1e3 * draw(f"gW {i} {k}", *W.shape), draw(f"gb {i} {k}", *b.shape)) for i, (W, b) in
                      enumerate(params)] for k in range(5)]
        after = [[adam(a, [g[i][j] for g in gradients], rate) for j, a in enumerate(layer)]
                 for i, layer in enumerate(params)]
        path = [[(W[k], b[k]) for W, b in after] for k in range(5)]
        yield case(f"train/adam-{name}-rate", "fit", {"params": params, "gradients": gradients, "learning_rate": rate},
                   {"path": path}, "closed form", ["gradients of very different size"])
    x, z, v = draw("x train", 16, 2), draw("z train", 16, 2), draw("v train", 16, 2)
    sizes = SHAPES["d2-two-hidden"]
    for objective, inputs in {"implicit_loss": {"x": x}, "sliced_vr_loss": {"x": x, "v": v},
                              "denoising_loss": {"x": x, "z": z, "sigma": 0.3}}.items():
        yield full_batch(objective, {"kind": "mlp", "params": network(f"train {objective}", sizes)}, plain_mlp, inputs)
    spec = {"kind": "noise_conditional_mlp", "params": network("train ncsn", [3, 5, 2]), "sigma_data": 1.0}
    yield full_batch("ncsn_loss", spec, partial(plain_noise_conditional, sigma_data=1.0),
                     {"x": x, "z": z, "sigma": np.array([2.0, 1.0, 0.5, 0.25] * 4)})


def full_batch(objective, spec, make, inputs, id=None):
    """Five Adam steps on one fixed batch with fixed noise."""
    params, path, losses, steps, rate = spec["params"], [], [], 5, 0.01
    gradient = value_and_grad(lambda params: getattr(sm, objective)(make(params), *inputs.values()))
    arrays, gradients = [a for layer in params for a in layer], []
    start = list(arrays)
    for k in range(steps):
        value, g = gradient(list(zip(arrays[::2], arrays[1::2])))
        losses.append(value)
        gradients.append([a for layer in g for a in layer])
        # The whole history with the full schedule, of which the first k + 1 steps are taken.
        known = [[row[i] for row in gradients] + [gradients[0][i]] * (steps - k - 1) for i in range(len(start))]
        arrays = [adam(a, history, rate)[k] for a, history in zip(start, known)]
        path.append(list(zip(arrays[::2], arrays[1::2])))
    return case(id or f"train/full-batch-{objective}", "fit",
                {"objective": objective, "score": spec, **inputs, "learning_rate": rate, "steps": steps},
                {"losses": np.array(losses), "path": path})


def metrics():
    x, params = draw("x metrics", 6, 2, size=2), network("metrics", [2, 2])
    specs = {"score": {"kind": "mlp", "params": params}, "target": {"kind": "mixture", **MIXTURE}, "x": x}
    target, s = mixture(x, **MIXTURE)[1], x @ params[0][0] + params[0][1]
    miss, size = np.sum((s - target)**2), np.sum(target**2)
    yield case("metrics/fisher_divergence-d2", "fisher_divergence", specs, {"value": 0.5 * miss / 6}, "closed form")
    yield case("metrics/relative_error-d2", "relative_error", specs, {"value": miss / size}, "closed form")
    p, q = draw("a", 5, 2), draw("b", 7, 2, size=2)
    for name, (a, b) in {"d2": (p, q), "same": (p, p), "d5": (draw("a5", 4, 5), draw("b5", 3, 5))}.items():
        yield case(f"metrics/energy_distance-{name}", "energy_distance", {"a": a, "b": b},
                   {"value": 2 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b)}, "closed form")
    yield two_sample_case()
    means = [[2.0, 2.0], [-2.0, -2.0], [9.0, 0.0]]
    counts = [sum(np.argmin([np.sum((row - np.array(mu))**2) for mu in means]) == k for row in x) for k in range(3)]
    yield case("metrics/mode_weights-d2", "mode_weights", {"x": x, "means": means},
               {"value": [int(count) / len(x) for count in counts]}, "closed form", ["the last mode is empty"])


def mean_distance(a, b):
    return np.mean([[np.sqrt(np.sum((row - other)**2)) for other in b] for row in a])


def two_sample_case():
    """A p-value by (MET.4), with D computed from the rows that each permutation puts in a and in b."""
    a, b = draw("a test", 6, 2), draw("b test", 5, 2) + 0.5
    pool = np.concatenate([a, b])
    permutations = np.array([np.random.default_rng([1, k]).permutation(11) for k in range(19)])
    R = np.array([[np.sqrt(np.sum((p - q)**2)) for q in pool] for p in pool])

    def distance(order):
        in_a, in_b = order < 6, order >= 6
        return 2 * R[in_a][:, in_b].mean() - R[in_a][:, in_a].mean() - R[in_b][:, in_b].mean()
    D, draws = distance(np.arange(11)), np.array([distance(order) for order in permutations])
    assert np.abs(draws - D).min() > 1e-3  # rounding cannot turn the rank
    return case("metrics/two_sample_test-d2", "two_sample_test", {"a": a, "b": b, "permutations": permutations},
                {"value": int(1 + np.sum(draws >= D)) / 20}, "closed form")


def errors():
    x, z, one = [[0.5, 1.0], [-1.0, 0.25], [0.0, 2.0]], [[1.0, 0.0], [0.5, -1.0], [0.25, 1.0]], [[1.0, 0.0]]
    score, sampler = {"kind": "mlp", "params": network("errors", [2, 3, 2])}, {"kind": "mixture", **MIXTURE}
    levels = {"kind": "smoothed_mixture", **MIXTURE}
    good = {
        "implicit_loss": {"score": score, "x": x}, "explicit_loss": {"score": score, "x": x, "target": z},
        "sliced_loss": {"score": score, "x": x, "v": z}, "sliced_vr_loss": {"score": score, "x": x, "v": z},
        "denoising_loss": {"score": score, "x": x, "z": z, "sigma": 0.5}, "jvp": {"score": score, "x": x, "v": z},
        "tweedie": {"score": score, "x_noisy": x, "sigma": 0.5}, "kde_log_density": {"x": x, "data": z, "h": 0.5},
        "kde_score": {"x": x, "data": z, "h": 0.5, "leave_one_out": False},
        "ncsn_loss": {"score": levels, "x": x, "z": z, "sigma": [2.0, 1.0, 0.5]},
        "MLP": {"params": score["params"], "x": x}, "GaussianMixture.score": {"mixture": MIXTURE, "x": x},
        "langevin": {"score": sampler, "x": x, "step": 0.1, "noise": [z] * 2, "temperature": 1.0},
        "annealed_langevin": {"score": levels, "x": x, "sigmas": [2.0, 1.0], "step": 0.1, "noise": [[z], [z]],
                              "denoise": False},
        "geometric_sigmas": {"sigma_max": 2.0, "sigma_min": 0.5, "n": 3}, "energy_distance": {"a": x, "b": z},
        "mode_weights": {"x": x, "means": z}}
    bad_points = {"flat": [1.0, 2.0], "empty": [], "nan": [[0.0, "NaN"]], "infinite": [["Infinity", 0.0]]}
    bad = [("implicit_loss", "x", name, value) for name, value in bad_points.items()]
    bad += [(name, "x", "width", [[1.0, 2.0, 3.0]]) for name in ("MLP", "GaussianMixture.score", "mode_weights")]
    bad += [("explicit_loss", "target", "rows", one), ("sliced_loss", "v", "rows", one), ("jvp", "v", "rows", one),
            ("sliced_vr_loss", "v", "nan", [["NaN", 0.0]] * 3), ("denoising_loss", "z", "rows", one),
            ("ncsn_loss", "z", "rows", one), ("ncsn_loss", "sigma", "rows", [1.0, 0.5]),
            ("ncsn_loss", "sigma", "zero", [1.0, 0.0, 0.5]), ("kde_score", "data", "width", [[1.0], [2.0]]),
            ("kde_score", "leave_one_out", "rows", True), ("energy_distance", "b", "width", [[1.0], [2.0]]),
            ("denoising_loss", "sigma", "per-sample", [1.0, 0.5, 0.25]), ("langevin", "temperature", "negative", -1.0),
            ("langevin", "x", "flat", [1.0, 2.0]), ("annealed_langevin", "sigmas", "ascending", [1.0, 2.0]),
            ("annealed_langevin", "sigmas", "equal", [1.0, 1.0]), ("annealed_langevin", "sigmas", "zero", [1.0, 0.0]),
            ("geometric_sigmas", "sigma_min", "above", 3.0), ("geometric_sigmas", "sigma_min", "zero", 0.0)]
    bad += [(function, argument, name, value) for function, argument in
            [("denoising_loss", "sigma"), ("tweedie", "sigma"), ("kde_score", "h"), ("kde_log_density", "h"),
             ("langevin", "step"), ("annealed_langevin", "step")]
            for name, value in (("zero", 0.0), ("negative", -1.0), ("nan", "NaN"))]
    for function, argument, name, value in bad:
        inputs = {**good[function], argument: value}
        if argument == "leave_one_out":
            inputs["x"] = one
        yield error_case(f"{function}-{argument}-{name}", function, inputs, argument)
    yield from other_errors(x, z, good)


def other_errors(x, z, good):
    for argument, name, value in (("weights", "sum", [0.5, 0.25]), ("weights", "zero", [1.0, 0.0]),
                                  ("covs", "asymmetric", [[[1.0, 0.5], [0.0, 1.0]]] * 2),
                                  ("covs", "indefinite", [[[1.0, 2.0], [2.0, 1.0]]] * 2)):
        yield error_case(f"GaussianMixture-{argument}-{name}", "GaussianMixture.score",
                         {"mixture": {**MIXTURE, argument: value}, "x": x}, argument)
    yield error_case("probes-kind", "probes", {"kind": "uniform", "shape": [3, 2]}, "kind")
    steep = {"kind": "mlp", "params": [(-np.eye(2), np.zeros(2))]}
    yield error_case("langevin-diverges", "langevin",
                     {**good["langevin"], "score": steep, "step": 1e100, "noise": [z] * 5}, "step",
                     "FloatingPointError", ["the chain leaves the range of floats"])


def error_case(id, function, inputs, argument, error="ValueError", flags=()):
    return case(f"errors/{id}", function, inputs, {"error": error, "argument": argument}, "closed form", flags)


CHAPTERS = {"data": data, "network": network_cases, "derivatives": derivatives, "explicit": explicit,
            "implicit": implicit, "sliced": sliced, "denoising": denoising, "ncsn": ncsn, "langevin": langevin,
            "train": train, "metrics": metrics, "errors": errors}
