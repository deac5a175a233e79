"""Cases of densities, toy sets and draws, networks, and derivatives in x."""

from functools import partial

import autograd.numpy as np

import scoremin as sm

from .tools import (
    LINE, MIXTURE, SHAPES, DEEPER, SPACE, TOLERANCES, TRIANGLE, M, N, applied, case, closed_scores, conditional_at,
    draw, energy_network, energy_values, every_score, kde, linear, listed, mixture, network, plain_mlp, pulled_back,
    scores, signs, skipping_at, widened, width,
)


def data():
    three = {"weights": [0.25, 0.125, 0.625], "means": draw("means", 3, 5, size=2),
             "covs": np.array([np.eye(5) + A @ A.T / 4 for A in draw("roots", 3, 5, 5, size=0.5)])}
    one = {key: MIXTURE[key][:1] for key in ("means", "covs")} | {"weights": [1.0]}
    settings = {
        "d2": (MIXTURE, draw("data d2", N, 2, size=2), ()), "d5-three": (listed(three), draw("data d5", N, 5), ()),
        "d2-one": (one, draw("one", N, 2), ()), "d1": (LINE, draw("d1", N, 1), ()),
        "far": (MIXTURE, np.array([[1000.0, 1000.0], [-300.0, 500.0]]), ["far"]),
        "between": (MIXTURE, np.zeros((1, 2)), ()),
        "weights-nearly-1": (MIXTURE, draw("nearly 1", N, 2, size=2), ["the weights sum to 1 + 5e-7"]),
    }
    for name, (spec, x, flags) in settings.items():
        given = {**spec, "weights": [0.5, 0.5 + 5e-7]} if "nearly" in name else spec
        normed = {**given, "weights": np.array(given["weights"]) / sum(given["weights"])}
        for function, value in zip(("log_density", "score"), mixture(x, **normed)):
            yield case(f"data/{function}-{name}", f"GaussianMixture.{function}", {"mixture": given, "x": x},
                       {"value": value}, flags=flags)
    smoothed = [(f"{sigma:g}", MIXTURE, draw("smoothed", N, 2, size=max(2, sigma)), sigma)
                for sigma in (1e-3, 0.5, 50.0)]
    smoothed += [("0.5-d1", LINE, draw("wide d1", N, 1), 0.5), ("0.5-d3", SPACE, draw("wide d3", 1, 3), 0.5)]
    for name, spec, x, sigma in smoothed:
        log_p, s, _ = mixture(x, **widened(spec, sigma))
        yield case(f"data/smoothed-{name}", "GaussianMixture.smoothed", {"mixture": spec, "x": x, "sigma": sigma},
                   {"value": s, "log_density": log_p}, flags=["extreme sigma"] if sigma != 0.5 else [])
    far = np.round(128 * draw("standardise far", 39, 2)) / 128
    yield standardised("far", 65536 + np.concatenate([far, -far.sum(axis=0, keepdims=True)]),
                       ["far from 0: sums of float32 round the mean"], TOLERANCES | {"float64": 1e-10})
    yield standardised("offset", 300 + draw("standardise offset", 6, 2) / 3, ["E x² − (E x)² loses digits"],
                       TOLERANCES | {"float32": 1e-3})
    yield standardised("d3", draw("standardise", 6, 3) * np.array([1.0, 8.0, 0.25]) + np.array([4.0, -2.0, 0.5]))


def standardised(name, rows, flags=(), tolerances=TOLERANCES):
    shift = rows.sum(axis=0) / len(rows)
    scale = np.sqrt(((rows - shift)**2).sum(axis=0) / len(rows))
    return case(f"data/standardise-{name}", "standardise", {"data": rows},
                {"value": (rows - shift) / scale, "shift": shift, "scale": scale}, flags=flags, tolerances=tolerances)


def uniform(name, *shape):
    """Uniform numbers on [0, 1), multiples of 1/256."""
    return np.floor(256 * np.random.default_rng(len(name)).random(shape)) / 256


def random():
    """What draws become: each case has its uniform and normal numbers among its inputs."""
    u, z, side = uniform("u", 5, 1), draw("z roll", 5, 2), signs("side", 5, 1)
    t = 1.5 * np.pi * (1 + 2 * u[:, 0])
    yield case("random/swiss_roll", "swiss_roll", {"u": u, "z": z, "noise": 0.5},
               {"value": np.stack([t * np.cos(t) + 0.5 * z[:, 0], t * np.sin(t) + 0.5 * z[:, 1]], 1) / 10})
    t, up = np.pi * u[:, 0], side[:, 0]
    moons = np.stack([up * np.cos(t) - up / 2, up * np.sin(t) - up / 4], 1) + 0.125 * z
    yield case("random/two_moons", "two_moons", {"u": u, "side": side, "z": z, "noise": 0.125}, {"value": moons})
    column, row, at = np.array([-2, -1, 0, 1, 1]), np.array([-1, 0, 0, -1, 0]), uniform("squares", 5, 2)
    yield case("random/checkerboard", "checkerboard", {"column": column, "row": row, "u": at},
               {"value": np.stack([column, 2 * row + np.array([0, 1, 0, 1, 1])], 1) + at})
    k, z3, L = np.array([1, 0, 1, 1, 0]), draw("z sample", 5, 3), np.linalg.cholesky(np.array(SPACE["covs"]))
    yield case("random/sample-d3", "GaussianMixture.sample", {"mixture": SPACE, "k": k, "z": z3},
               {"value": [np.array(SPACE["means"])[c] + L[c] @ row for c, row in zip(k, z3)]})
    layers = [draw(f"init {i}", m, n) for i, (m, n) in enumerate([(3, 4), (4, 2)])]
    yield case("random/init_mlp", "init_mlp", {"z": layers},
               {"params": [(W / len(W)**0.5, np.zeros(W.shape[1])) for W in layers]})
    yield case("random/probes-gaussian", "probes", {"kind": "gaussian", "z": z3}, {"value": z3})
    yield case("random/probes-sphere", "probes", {"kind": "sphere", "z": z3},
               {"value": [3**0.5 * row / np.sqrt(np.sum(row**2)) for row in z3]})
    yield case("random/probes-rademacher", "probes", {"kind": "rademacher", "bits": np.array([[0, 1, 1], [1, 0, 0]])},
               {"value": [[-1.0, 1.0, 1.0], [1.0, -1.0, -1.0]]})
    indices = np.array([3, 3, 0, 4])
    yield case("random/batch", "batch", {"data": z, "indices": indices}, {"value": z[indices]})


def networks():
    for name, sizes in (SHAPES | DEEPER).items():
        yield network_case(f"mlp-{name}", "MLP", network(name, sizes), draw(f"x {name}", N, sizes[0]),
                           draw(f"g {name}", N, sizes[0]), plain_mlp)
    yield network_case("mlp-d3-one-row", "MLP", network("one row", [3, 4, 3]), draw("x one row", 1, 3),
                       draw("g one row", 1, 3), plain_mlp)
    thirds = [(W / 3, b / 3) for W, b in network("thirds", [3, 4, 3])]
    yield network_case("mlp-d3-thirds", "MLP", thirds, draw("x thirds", N, 3), draw("g thirds", N, 3), plain_mlp,
                       ["float32 does not hold these parameters"])
    unit = [(np.ones((1, 1)), np.zeros(1))] * 2
    x = np.array([[-1e4], [-100.0], [0.0], [100.0], [1e4]])
    yield case("network/silu-extreme", "MLP", {"params": unit, "x": x}, {"value": x * (x > 50)}, flags=["far"])
    yield from conditional()
    yield from skips()
    for name, seed, sizes in [("d2", "d2", [2, 5, 1]), ("d5", "d5", [5, 6, 4, 1]),
                              ("d3-three-hidden", "deep", [3, 5, 4, 3, 1])]:
        params, x, g = network(f"energy {seed}", sizes), draw(f"x energy {seed}", N, sizes[0]), f"g score {seed}"
        g = draw("g score deep" if seed == "deep" else g, N, sizes[0])
        yield case(f"network/energy-{name}", "EnergyMLP",
                   {"params": params, "x": x, "cotangent": draw(f"g energy {seed}", N)},
                   pulled_back(partial(energy_values, x), params, draw(f"g energy {seed}", N)), "autograd")
        yield network_case(f"energy_score-{name}", "energy_score", params, x, g, energy_network,
                           flags=["the last b has gradient 0"])


def network_case(id, function, params, x, g, make, flags=(), **more):
    """Values of a network at x, and the gradient of Σ g∘value."""
    expected, origin = pulled_back(partial(applied, make, x), params, g), "autograd"
    if function == "MLP" and len(params) == 1:
        s, pull_back = linear(params, x)
        expected, origin = {"value": s, "gradient": pull_back(g)}, "closed form"
    return case(f"network/{id}", function, {"params": params, **more, "x": x, "cotangent": g}, expected, origin, flags)


def conditional():
    settings = {"d2": ([3, 5, 2], 0.5, 1.0), "d2-per-sample": ([3, 5, 4, 2], np.array([2.0, 0.5, 0.125, 1.0]), 1.0),
                "d5-sigma-data": ([6, 6, 5], 0.25, 0.5),
                "d5-per-sample": ([6, 6, 5], np.array([8.0, 4.0, 0.5, 0.25]), 2.0),
                "small-sigma": ([3, 5, 2], 1e-3, 1.0), "large-sigma": ([3, 5, 2], 50.0, 1.0)}
    for name, (sizes, sigma, sigma_data) in settings.items():
        params, x = network(f"conditional {name}", sizes), draw(f"x conditional {name}", N, sizes[0] - 1)
        flags = ["extreme sigma"] * name.endswith("-sigma") + ["per-sample sigma"] * np.ndim(sigma)
        yield network_case(f"noise_conditional-{name}", "NoiseConditionalMLP", params, x,
                           draw(f"g conditional {name}", *x.shape), conditional_at(sigma_data, sigma), flags,
                           sigma_data=sigma_data, sigma=sigma)


def skips():
    for name, sigma in (("d3-skip", 0.5), ("d3-skip-per-sample", np.array([8.0, 0.25, 0.5, 0.03125]))):
        params = network(f"conditional {name}", [4, 5, 3])
        yield network_case(f"noise_conditional-{name}", "NoiseConditionalMLP", params,
                           draw(f"x conditional {name}", N, 3), draw(f"g conditional {name}", N, 3),
                           skipping_at(0.75, sigma), ["skip"], sigma_data=0.75, skip=True, sigma=sigma)


def derivatives():
    for name, spec, make, rows in every_score():
        x, c, normal = draw(f"x jvp {name}", rows, width(name)), draw(f"c {name}", rows), rows == N
        for probe, shape in ({"": x.shape, "-stack": (M, *x.shape)} if normal else {"": x.shape}).items():
            v = draw(f"v{probe} {name}", *shape) if normal else signs(f"v {name}", *shape)
            yield derivative_case(f"jvp{probe}-{name}", "jvp", spec, make,
                                  {"x": x, "v": v, "cotangent": draw(f"g{probe} {name}", *shape)})
        yield derivative_case(f"divergence-{name}", "divergence", spec, make, {"x": x, "cotangent": c})
    _, spec, make = next(scores(deeper=True))
    yield derivative_case("jvp-stack-d1-one-row-one-probe", "jvp", spec, make,
                          {"x": draw("x one", 1, 1), "v": draw("v one", 1, 1, 1), "cotangent": draw("g one", 1, 1, 1)})
    spec = {"kind": "noise_conditional_mlp", "params": network("skip", [4, 5, 4, 3]), "sigma_data": 0.75,
            "skip": True, "sigma": 0.5}
    x, v = draw("x skip", N, 3), draw("v skip", M, N, 3)
    yield derivative_case("jvp-stack-d3-skip", "jvp", spec, skipping_at(0.75, 0.5),
                          {"x": x, "v": v, "cotangent": draw("g skip", M, N, 3)})
    yield derivative_case("divergence-d3-skip", "divergence", spec, skipping_at(0.75, 0.5),
                          {"x": x, "cotangent": draw("c skip", N)})
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
    settings = [("-stack", "d2-mixture", {"kind": "mixture", **MIXTURE}, x, mixture(x, **MIXTURE), v),
                ("-stack", "d2-kde", {"kind": "kde", "data": TRIANGLE, "h": 1.0}, x, kde(x, TRIANGLE, 1.0), v)]
    settings += [("", name, spec, x, values, draw(f"v {name}", *np.shape(x))) for name, spec, x, values in
                 closed_scores(draw("kde jvp", 5, 3), [[30.0, -40.0], [-300.0, 500.0], [1000.0, 1000.0]])]
    for probe, name, spec, x, (_, s, H), v in settings:
        flags = ["far"] * ("far" in name)
        yield case(f"derivatives/jvp{probe}-{name}", "jvp", {"score": spec, "x": x, "v": v},
                   {"s": s, "Jv": np.einsum("nij,...nj->...ni", H, v)}, flags=flags)
        yield case(f"derivatives/divergence-{name}", "divergence", {"score": spec, "x": x},
                   {"s": s, "trace": np.trace(H, axis1=1, axis2=2)}, flags=flags)
    # φ' and φ'' are 0, 0, ½, 1, 1 and 0, 0, ½, 0, 0 here, but for e^−100: no rule may give NaN.
    x, slope = np.array([[-1e4], [-100.0], [0.0], [100.0], [1e4]]), np.array([0, 0, 0.5, 1, 1])
    unit = {"kind": "mlp", "params": [(np.ones((1, 1)), np.zeros(1))] * 2}
    yield case("derivatives/divergence-silu-extreme", "divergence", {"score": unit, "x": x, "cotangent": np.ones(5)},
               {"s": x * (x > 50), "trace": slope,
                "gradient": [(np.array([[2.5]]), np.array([0.5])), (np.array([[2.5]]), np.zeros(1))]}, flags=["far"])


CHAPTERS = {"data": data, "random": random, "network": networks, "derivatives": derivatives}
