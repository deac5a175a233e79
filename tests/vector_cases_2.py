"""The cases that version 2 adds to the test vectors: where version 1 let a wrong port pass, and new functions.

Made as in vector_cases.py: closed forms in plain NumPy, or networks in autograd's own operations. What
they add: widths other than 2, where a mean over N·d is not half of a sum; one, three and four hidden
layers; energies in five dimensions; single rows and single probes; inputs where a formula that loses
digits fails; ties; and what random numbers become.
"""

from functools import partial
from itertools import chain, pairwise

import autograd.numpy as np
from autograd import value_and_grad
from vector_cases import (
    MIXTURE,
    TRIANGLE,
    N,
    adam,
    applied,
    case,
    conditional_at,
    derivative_case,
    draw,
    energy_network,
    energy_values,
    error_case,
    full_batch,
    kde,
    linear,
    loss_case,
    mean_distance,
    mixture,
    ncsn_case,
    network,
    plain_mlp,
    pulled_back,
    walk,
    widened,
    width,
)

import scoremin as sm

SHAPES = {"d1-two-hidden": [1, 4, 3, 1], "d3-three-hidden": [3, 5, 4, 6, 3], "d2-four-hidden": [2, 4, 3, 5, 4, 2]}
LINE = {"weights": [0.75, 0.25], "means": [[-1.0], [2.0]], "covs": [[[0.25]], [[4.0]]]}
SPACE = {"weights": [0.25, 0.75], "means": [[1.0, 0.0, -2.0], [0.0, 1.5, 1.0]],
         "covs": [[[2.0, 0.5, 0.0], [0.5, 1.0, 0.25], [0.0, 0.25, 0.5]], np.diag([0.5, 1.0, 2.0]).tolist()]}


def scores():
    """name, specification and make(params) -> score of the networks that more than one chapter uses."""
    for name, sizes in SHAPES.items():
        yield name, {"kind": "mlp", "params": network(f"score {name}", sizes)}, plain_mlp
    yield "d5-energy", {"kind": "energy_mlp", "params": network("energy 5", [5, 4, 3, 1])}, energy_network
    level = {"kind": "noise_conditional_mlp", "sigma_data": 0.5, "sigma": 0.5}
    for name, sizes in {"d3-noise-conditional-one-layer": [4, 3], "d3-noise-conditional": [4, 5, 3]}.items():
        yield name, {**level, "params": network(f"level {name}", sizes)}, conditional_at(0.5, 0.5)


def signs(name, *shape):
    """Probes of -1 and 1."""
    return np.where(draw(name, *shape) < 0, -1.0, 1.0)


def data():
    for name, spec, x in (("d1", LINE, draw("wide d1", N, 1)), ("d3", SPACE, draw("wide d3", 1, 3))):
        log_p, s, _ = mixture(x, **widened(spec, 0.5))
        yield case(f"data/smoothed-0.5-{name}", "GaussianMixture.smoothed", {"mixture": spec, "x": x, "sigma": 0.5},
                   {"value": s, "log_density": log_p}, "closed form")
    yield from standardised()


def standardised():
    rows = draw("standardise", 6, 3) * np.array([1.0, 8.0, 0.25]) + np.array([4.0, -2.0, 0.5])
    shift = rows.sum(axis=0) / 6
    scale = np.sqrt(((rows - shift)**2).sum(axis=0) / 6)
    yield case("data/standardise-d3", "standardise", {"data": rows},
               {"value": (rows - shift) / scale, "shift": shift, "scale": scale}, "closed form")


def uniform(name, *shape):
    """Uniform numbers on [0, 1), multiples of 1/256."""
    return np.floor(256 * np.random.default_rng(len(name)).random(shape)) / 256


def random():
    """What draws become: each case has its uniform and normal numbers among its inputs."""
    u, z, side = uniform("u", 5, 1), draw("z roll", 5, 2), signs("side", 5, 1)
    t = 1.5 * np.pi * (1 + 2 * u[:, 0])
    yield case("random/swiss_roll", "swiss_roll", {"u": u, "z": z, "noise": 0.5},
               {"value": np.stack([t * np.cos(t) + 0.5 * z[:, 0], t * np.sin(t) + 0.5 * z[:, 1]], 1) / 10},
               "closed form")
    t, up = np.pi * u[:, 0], side[:, 0]
    moons = np.stack([up * np.cos(t) - up / 2, up * np.sin(t) - up / 4], 1) + 0.125 * z
    yield case("random/two_moons", "two_moons", {"u": u, "side": side, "z": z, "noise": 0.125}, {"value": moons},
               "closed form")
    column, row, at = np.array([-2, -1, 0, 1, 1]), np.array([-1, 0, 0, -1, 0]), uniform("squares", 5, 2)
    yield case("random/checkerboard", "checkerboard", {"column": column, "row": row, "u": at},
               {"value": np.stack([column, 2 * row + np.array([0, 1, 0, 1, 1])], 1) + at}, "closed form")
    yield from random_rest(z)


def random_rest(z):
    k, z3 = np.array([1, 0, 1, 1, 0]), draw("z sample", 5, 3)
    L = np.linalg.cholesky(np.array(SPACE["covs"]))
    yield case("random/sample-d3", "GaussianMixture.sample", {"mixture": SPACE, "k": k, "z": z3},
               {"value": [np.array(SPACE["means"])[c] + L[c] @ row for c, row in zip(k, z3)]}, "closed form")
    layers = [draw(f"init {i}", m, n) for i, (m, n) in enumerate([(3, 4), (4, 2)])]
    yield case("random/init_mlp", "init_mlp", {"z": layers},
               {"params": [(W / len(W)**0.5, np.zeros(W.shape[1])) for W in layers]}, "closed form")
    yield case("random/probes-gaussian", "probes", {"kind": "gaussian", "z": z3}, {"value": z3}, "closed form")
    yield case("random/probes-sphere", "probes", {"kind": "sphere", "z": z3},
               {"value": [3**0.5 * row / np.sqrt(np.sum(row**2)) for row in z3]}, "closed form")
    bits = np.array([[0, 1, 1], [1, 0, 0]])
    yield case("random/probes-rademacher", "probes", {"kind": "rademacher", "bits": bits},
               {"value": [[-1.0, 1.0, 1.0], [1.0, -1.0, -1.0]]}, "closed form")
    indices = np.array([3, 3, 0, 4])
    yield case("random/batch", "batch", {"data": z, "indices": indices}, {"value": z[indices]}, "closed form")


def network_cases():
    for name, sizes in SHAPES.items():
        params, x, g = network(name, sizes), draw(f"x {name}", N, sizes[0]), draw(f"g {name}", N, sizes[0])
        yield case(f"network/mlp-{name}", "MLP", {"params": params, "x": x, "cotangent": g},
                   pulled_back(partial(applied, plain_mlp, x), params, g))
    params, x, g = network("one row", [3, 4, 3]), draw("x one row", 1, 3), draw("g one row", 1, 3)
    yield case("network/mlp-d3-one-row", "MLP", {"params": params, "x": x, "cotangent": g},
               pulled_back(partial(applied, plain_mlp, x), params, g))
    params, x = network("energy deep", [3, 5, 4, 3, 1]), draw("x energy deep", N, 3)
    g, g_score = draw("g energy deep", N), draw("g score deep", N, 3)
    yield case("network/energy-d3-three-hidden", "EnergyMLP", {"params": params, "x": x, "cotangent": g},
               pulled_back(partial(energy_values, x), params, g))
    yield case("network/energy_score-d3-three-hidden", "energy_score", {"params": params, "x": x, "cotangent": g_score},
               pulled_back(partial(applied, energy_network, x), params, g_score), flags=["the last b has gradient 0"])


def derivatives():
    for name, spec, make in scores():
        x, c = draw(f"x jvp {name}", 3, width(name)), draw(f"c {name}", 3)
        v, g = signs(f"v {name}", *x.shape), draw(f"g {name}", *x.shape)
        yield derivative_case(f"jvp-{name}", "jvp", spec, make, {"x": x, "v": v, "cotangent": g})
        yield derivative_case(f"divergence-{name}", "divergence", spec, make, {"x": x, "cotangent": c})
    name, spec, make = next(scores())
    one, v, g = draw("x one", 1, 1), draw("v one", 1, 1, 1), draw("g one", 1, 1, 1)
    yield derivative_case("jvp-stack-d1-one-row-one-probe", "jvp", spec, make, {"x": one, "v": v, "cotangent": g})
    cloud, far = draw("kde jvp", 5, 3), [[30.0, -40.0], [-300.0, 500.0], [1000.0, 1000.0]]
    for name, spec, x, (_, s, H) in closed_scores(cloud, far):
        v = draw(f"v {name}", *np.shape(x))
        yield case(f"derivatives/jvp-{name}", "jvp", {"score": spec, "x": x, "v": v},
                   {"s": s, "Jv": np.einsum("nij,nj->ni", H, v)}, "closed form", ["far"] * ("far" in name))
        yield case(f"derivatives/divergence-{name}", "divergence", {"score": spec, "x": x},
                   {"s": s, "trace": np.trace(H, axis1=1, axis2=2)}, "closed form", ["far"] * ("far" in name))


def closed_scores(cloud, far):
    """Mixtures and KDEs whose Jacobian is known, in one, two and three dimensions, and far out."""
    for name, spec, x in [("d1-mixture", LINE, draw("x line", N, 1, size=2)), ("d3-mixture", SPACE, draw("x s", 1, 3)),
                          ("d2-mixture-far", MIXTURE, far)]:
        yield name, {"kind": "mixture", **spec}, x, mixture(x, **spec)
    for name, points, h, x in [("d1-kde", [[-1.0], [0.5], [2.0]], 0.5, draw("x kde1", N, 1)),
                               ("d2-kde-narrow", TRIANGLE, 0.25, draw("x kde2", N, 2)),
                               ("d3-kde", cloud, 1.5, draw("x kde3", N, 3))]:
        yield name, {"kind": "kde", "data": points, "h": h}, x, kde(x, points, h)


def aside(name, *shape):
    """Points some 1/1024 apart, all 65536 from 0 in one coordinate: exact in float32, squares not in float64."""
    return np.concatenate([np.full((shape[0], 1), 65536.0), draw(name, shape[0], shape[1] - 1) / 1024], axis=1)


def explicit():
    for name, spec, make in scores():
        x, target = draw(f"x explicit {name}", 3, width(name)), draw(f"target {name}", 3, width(name))
        yield loss_case(f"explicit/loss-{name}", "explicit_loss", spec, make, {"x": x, "target": target})
    offset = aside("kde far offset", 6, 3)
    settings = {"d1": (draw("kde x1", N, 1), draw("kde d1", 5, 1), 0.5, ()),
                "one-point": (draw("kde x one", 1, 3), draw("kde one", 1, 3), 0.75, ()),
                "far-offset": (aside("kde far shift", 3, 3), offset, 0.75 / 1024,
                               ["data far from 0: x² − 2xy + y² loses all digits in float64 too"])}
    for name, (x, points, h, flags) in settings.items():
        log_p, s, _ = kde(x, points, h)
        yield case(f"explicit/kde_score-{name}", "kde_score", {"x": x, "data": points, "h": h, "leave_one_out": False},
                   {"value": s}, "closed form", flags)
        yield case(f"explicit/kde_log_density-{name}", "kde_log_density", {"x": x, "data": points, "h": h},
                   {"value": log_p}, "closed form", flags)
    yield from left_out()


def left_out():
    """Every row's own kernel left out, of the score in one dimension and of the log-density."""
    for name, rows, h in [("d1", draw("left out 1", 5, 1), 0.75), ("d3", draw("left out 3", 4, 3), 1.5)]:
        others = [kde(rows[i:i + 1], np.delete(rows, i, axis=0), h) for i in range(len(rows))]
        inputs = {"x": rows, "data": rows, "h": h, "leave_one_out": True}
        yield case(f"explicit/kde_score-left-out-{name}", "kde_score", inputs, {"value": [o[1][0] for o in others]},
                   "closed form", ["x is the data"])
        yield case(f"explicit/kde_log_density-left-out-{name}", "kde_log_density", inputs,
                   {"value": [o[0][0] for o in others]}, "closed form", ["x is the data"])


def implicit():
    for name, spec, make in scores():
        yield loss_case(f"implicit/loss-{name}", "implicit_loss", spec, make,
                        {"x": draw(f"x implicit {name}", 3, width(name))})
    for name, spec, x, (_, s, H) in closed_scores(draw("kde ism", 5, 3), [[30.0, -40.0]]):
        tr = np.trace(H, axis1=1, axis2=2)
        yield case(f"implicit/loss-{name}", "implicit_loss", {"score": spec, "x": x},
                   {"value": np.sum(0.5 * np.sum(s**2, axis=1) + tr) / len(tr), "s": s, "trace": tr}, "closed form")


def sliced():
    for name, spec, make in scores():
        x = draw(f"x sliced {name}", 2, width(name))
        for function in ("sliced_loss", "sliced_vr_loss"):
            id = f"sliced/{'vr_' * ('vr' in function)}loss-signs-{name}"
            yield loss_case(id, function, spec, make, {"x": x, "v": signs(f"v sliced {name}", *x.shape)},
                            flags=["one probe of ±1 a point"])
    name, spec, make = next(scores())
    x, v = draw("x sliced one", 1, 1), draw("v sliced one", 1, 1, 1)
    for function in ("sliced_loss", "sliced_vr_loss"):
        yield loss_case(f"sliced/{'vr_' * ('vr' in function)}loss-one-row-one-probe-{name}", function, spec, make,
                        {"x": x, "v": v}, flags=["M = 1"])


def denoising():
    for name, spec, make in scores():
        x, z = draw(f"x denoising {name}", 3, width(name)), draw(f"z denoising {name}", 3, width(name))
        yield loss_case(f"denoising/loss-0.5-{name}", "denoising_loss", spec, make, {"x": x, "z": z, "sigma": 0.5})
        yield case(f"denoising/tweedie-0.5-{name}", "tweedie", {"score": spec, "x_noisy": x, "sigma": 0.5},
                   {"value": x + 0.25 * make(spec["params"])(x)})
    params = network("d3 linear", [3, 3])
    x, z, sigma = draw("x d3 linear", N, 3), draw("z d3 linear", N, 3), 2.0
    s, pull_back = linear(params, x + sigma * z)
    closed = {"value": 0.5 * np.sum((s + z / sigma)**2) / N, "s": s, "gradient": pull_back((s + z / sigma) / N)}
    yield loss_case("denoising/loss-2-d3-linear", "denoising_loss", {"kind": "mlp", "params": params}, plain_mlp,
                    {"x": x, "z": z, "sigma": sigma}, closed)


def ncsn():
    sharp = {"float64": 1e-12, "float32": 2e-6}
    for name, sizes in {"d1-two-hidden": [2, 4, 3, 1], "d3-one-hidden": [4, 5, 3], "d3-linear": [4, 3],
                        "d5-three-hidden": [6, 5, 4, 6, 5]}.items():
        params, d = network(f"ncsn {name}", sizes), sizes[-1]
        x, z = draw(f"x ncsn {name}", N, d, size=2), draw(f"z ncsn {name}", N, d)
        yield ncsn_case(f"levels-{name}", params, x, z, np.array([4.0, 0.25, 1.0, 0.5]), 0.5)
        small = {**ncsn_case(f"small-{name}", params, x, z, np.full(N, 1e-3), 1.0), "tolerances": sharp}
        del small["expected"]["s"]  # of size 1/sigma
        yield {**small, "flags": [*small["flags"], "every sigma small: (x̃ − x)/σ² for z/σ loses its digits"]}
    x, z, sigma = draw("x ncsn m3", N, 3), draw("z ncsn m3", N, 3), np.array([2.0, 0.5, 0.125, 1.0])
    s = np.array([mixture([row], **widened(SPACE, level))[1][0] for row, level in zip(x + sigma[:, None] * z, sigma)])
    yield case("ncsn/loss-levels-d3-mixture", "ncsn_loss",
               {"score": {"kind": "smoothed_mixture", **SPACE}, "x": x, "z": z, "sigma": sigma},
               {"value": 0.5 * np.sum((sigma[:, None] * s + z)**2) / N, "s": s}, "closed form", ["per-sample sigma"])


def langevin():
    steep = [(-8 * np.eye(3) + draw("steep W", 3, 3, size=0.5), draw("steep b", 3, size=8))]
    energy = network("langevin energy", [3, 5, 4, 1])
    points = [[-1.0], [0.5], [2.0]]
    for name, spec, score, x, flags in [
            ("d3-energy", {"kind": "energy_mlp", "params": energy}, energy_network(energy), draw("x le", N, 3), ()),
            ("d3-steep", {"kind": "mlp", "params": steep}, plain_mlp(steep), draw("x st", N, 3, size=2),
             ["‖s‖ > 5: a clipped score fails"]),
            ("d1-kde", {"kind": "kde", "data": points, "h": 0.5}, lambda x: kde(x, points, 0.5)[1], draw("x k", 1, 1),
             ["N = 1"])]:
        noise = draw(f"noise {name}", 3, *x.shape)
        path = walk(score, x, 0.125, noise, 2.0)
        yield case(f"langevin/plain-2-{name}", "langevin",
                   {"score": spec, "x": x, "step": 0.125, "noise": noise, "temperature": 2.0},
                   {"value": path[-1], "path": path}, "autograd" if "energy" in name else "closed form", flags)
    yield from annealed()


def line_score(sigma):
    """The score of LINE smoothed by sigma."""
    return lambda x: mixture(x, **widened(LINE, sigma))[1]


def annealed():
    """Levels in equal ratios, not powers of 2, three of them and four steps; d = 1 and 3."""
    sigmas, step = [5.0, 0.9682458365518543, 0.1875], 0.01
    params = network("annealed 3", [4, 5, 3])
    for name, spec, at, d in [
            ("d1-mixture", {"kind": "smoothed_mixture", **LINE}, line_score, 1),
            ("d3-network", {"kind": "noise_conditional_mlp", "params": params, "sigma_data": 0.5},
             lambda s: conditional_at(0.5, s)(params), 3)]:
        x, noise, path = draw(f"x annealed {name}", 2, d, size=5), draw(f"noise annealed {name}", 3, 4, 2, d), []
        position = x
        for sigma, z in zip(sigmas, noise):
            path.extend(walk(at(sigma), position, step * (sigma / sigmas[-1])**2, z))          # (LD.8)
            position = path[-1]
        yield case(f"langevin/annealed-geometric-{name}", "annealed_langevin",
                   {"score": spec, "x": x, "sigmas": sigmas, "step": step, "noise": noise, "denoise": True},
                   {"value": position + sigmas[-1]**2 * at(sigmas[-1])(position), "path": path},
                   "autograd" if "network" in name else "closed form")


def train():
    spec = {"kind": "energy_mlp", "params": network("train energy", [3, 4, 1])}
    x, z = draw("x train energy", 5, 3), draw("z train energy", 5, 3)
    yield full_batch("denoising_loss", spec, energy_network, {"x": x, "z": z, "sigma": 0.5},
                     "train/full-batch-denoising_loss-d3-energy")
    params = network("adam zero", [2, 2])
    gradients = [[(np.where(np.eye(2) > 0, draw(f"gz {k}", 2, 2), 0), draw(f"gzb {k}", 2, size=1e-3))]
                 for k in range(3)]
    (W, b), = params
    after = [adam(a, [g[0][j] for g in gradients], 0.125) for j, a in enumerate((W, b))]
    yield case("train/adam-zero-gradients", "fit", {"params": params, "gradients": gradients, "learning_rate": 0.125},
               {"path": [[(after[0][k], after[1][k])] for k in range(3)]}, "closed form",
               ["entries whose gradient is always 0 stay"])


def metrics():
    params, x = network("metrics 3", [3, 4, 3]), draw("x metrics 3", 5, 3)
    s, (_, target, _) = plain_mlp(params)(x), mixture(x, **SPACE)
    inputs = {"score": {"kind": "mlp", "params": params}, "target": {"kind": "mixture", **SPACE}, "x": x}
    miss = np.sum((s - target)**2)
    yield case("metrics/fisher_divergence-d3", "fisher_divergence", inputs, {"value": 0.5 * miss / 5})
    yield case("metrics/relative_error-d3", "relative_error", inputs, {"value": miss / np.sum(target**2)})
    pairs = {"d1": (draw("a1", 4, 1), draw("b1", 6, 1)), "one-row": (draw("a one", 1, 3), draw("b one", 1, 3)),
             "offset": (aside("a offset", 5, 3), aside("b offset", 4, 3))}
    for name, (a, b) in pairs.items():
        yield case(f"metrics/energy_distance-{name}", "energy_distance", {"a": a, "b": b},
                   {"value": 2 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b)}, "closed form",
                   ["data far from 0"] * (name == "offset"))
    yield from ranks()
    yield case("metrics/mode_weights-ties-d1", "mode_weights",
               {"x": [[0.0], [1.0], [-1.0], [2.0]], "means": [[1.0], [-1.0], [3.0]]}, {"value": [0.75, 0.25, 0.0]},
               "closed form", ["equally near means: the first counts"])


def p_value(a, b, permutations):
    """(MET.4), and the distances D of the permuted weights to that of the sample's."""
    pool, w = np.concatenate([a, b]), np.repeat([1 / len(a), -1 / len(b)], [len(a), len(b)])
    R = np.array([[np.sqrt(np.sum((p - q)**2)) for q in pool] for p in pool])
    above = np.array([w @ R @ w - w[order] @ R @ w[order] for order in permutations])
    tied = np.abs(above) < 1e-12
    assert np.abs(above[~tied]).min() > 1e-3  # rounding cannot turn the rank
    return (1 + int(np.sum(tied | (above > 0)))) / (len(permutations) + 1), int(tied.sum())


def ranks():
    """Cycles of order > 2, of which the inverse gives another rank; and points that the two samples share."""
    a, b = draw("a cycle", 4, 3), draw("b cycle", 3, 3) + 0.75
    cycles = np.array([np.random.default_rng([2, k]).permutation(7) for k in range(19)])
    value, inverse = p_value(a, b, cycles)[0], p_value(a, b, np.argsort(cycles, axis=1))[0]
    assert value != inverse
    yield case("metrics/two_sample_test-cycles-d3", "two_sample_test", {"a": a, "b": b, "permutations": cycles},
               {"value": value}, "closed form", ["inverse permutations give another rank"])
    a, b = np.array([[0.0], [1.0], [4.0]]), np.array([[0.0], [2.0], [8.0]])
    swaps = np.array([[3, 1, 2, 0, 4, 5], [0, 2, 1, 3, 4, 5], [0, 1, 2, 5, 3, 4], [3, 2, 1, 0, 5, 4],
                      [1, 0, 2, 3, 4, 5], [4, 1, 2, 3, 0, 5], [0, 1, 5, 3, 4, 2], [2, 3, 4, 5, 0, 1],
                      [5, 4, 1, 2, 3, 0]])
    value, tied = p_value(a, b, swaps)
    assert tied > 2
    yield case("metrics/two_sample_test-ties-d1", "two_sample_test", {"a": a, "b": b, "permutations": swaps},
               {"value": value}, "closed form", ["ties count as not below"])


def errors():
    x, z = [[0.5, 1.0], [-1.0, 0.25], [0.0, 2.0]], [[1.0, 0.0], [0.5, -1.0], [0.25, 1.0]]
    score = {"kind": "mlp", "params": network("errors", [2, 3, 2])}
    for name, value in {"flat": [1.0, 2.0], "nan": [[0.0, "NaN"]], "width": [[1.0, 2.0, 3.0]]}.items():
        yield error_case(f"divergence-x-{name}", "divergence", {"score": score, "x": value}, "x")
    W = np.array([[-1.0, 0.0], [0.0, -1.0], [0.0, 0.0]])
    steep = {"kind": "noise_conditional_mlp", "params": [(W, np.zeros(2))], "sigma_data": 1.0}
    yield error_case("annealed-diverges", "annealed_langevin",
                     {"score": steep, "x": x, "sigmas": [2.0, 1.0], "step": 1e100, "noise": [[z] * 3, [z] * 3],
                      "denoise": False}, "step", "FloatingPointError", ["the chain leaves the range of floats"])
    grow = {"kind": "mlp", "params": [(1e3 * np.eye(2), np.zeros(2))]}
    yield error_case("fit-diverges", "fit",
                     {"objective": "denoising_loss", "score": grow, "x": x, "z": z, "sigma": 0.5,
                      "learning_rate": 1e154, "steps": 3}, "learning_rate", "FloatingPointError",
                     ["the loss leaves the range of floats"])


def written_out(name, spec, make, function, loss, inputs):
    """A case of an objective that is written out here, in autograd's own operations."""
    value, gradient = value_and_grad(lambda params: loss(make(params), **inputs))(spec["params"])
    return case(name, function, {"score": spec, **inputs}, {"value": value, "gradient": gradient})


def finite_difference(score, x, v, radius):
    """E[½‖(s₊ + s₋)/2‖² + vᵀ(s₊ − s₋)/2r], s± = s(x ± rv)."""
    ahead, behind = score(x + radius * v), score(x - radius * v)
    return np.sum((ahead + behind)**2 / 8 + v * (ahead - behind) / (2 * radius)) / len(x)


def control_variate(score, x, z, sigma):
    """E[½‖s(x̃)‖² + zᵀ(s(x̃) − s(x))/σ + d/2σ²]."""
    s = score(x + sigma * z)
    return np.sum(s**2 / 2 + z * (s - score(x)) / sigma) / len(x) + x.shape[1] / (2 * sigma**2)


def finite_differences():
    for name, spec, make in scores():
        x, v = draw(f"x fd {name}", 3, width(name)), signs(f"v fd {name}", 3, width(name))
        yield written_out(f"sliced/finite_difference_loss-{name}", spec, make, "finite_difference_loss",
                          finite_difference, {"x": x, "v": v, "radius": 0.125})


def control_variates():
    for name, spec, make in scores():
        x, z = draw(f"x vr {name}", 3, width(name)), draw(f"z vr {name}", 3, width(name))
        yield written_out(f"denoising/vr_loss-{name}", spec, make, "denoising_vr_loss", control_variate,
                          {"x": x, "z": z, "sigma": 0.5})


def linear_models():
    """W by one solve, from features whose derivative is written out; the score away from the data."""
    for name, n, d, m, ridge in (("d1", 8, 1, 3, 0.5), ("d2", 12, 2, 5, 0.25), ("d3", 10, 3, 12, 0.125)):
        x, at = draw(f"x linear {name}", n, d), draw(f"at linear {name}", 4, d)
        omega, beta = draw(f"omega {name}", d, m), draw(f"beta {name}", m, size=2)
        f, slope = (2 / m)**0.5 * np.cos(x @ omega + beta), -(2 / m)**0.5 * np.sin(x @ omega + beta)
        U = slope.mean(axis=0)[:, None] * omega.T                                              # (m,d)
        W = -np.linalg.inv(f.T @ f / n + ridge * np.eye(m)) @ U
        yield case(f"linear/linear_score-{name}", "linear_score",
                   {"features": {"omega": omega, "beta": beta}, "x": x, "ridge": ridge, "at": at},
                   {"value": (2 / m)**0.5 * np.cos(at @ omega + beta) @ W}, "closed form",
                   ["more features than points"] * (m > n), {"float64": 1e-12, "float32": 1e-4})


def conditional_scores():
    """Scores of (x, σ) with their trace: two mixtures in closed form, a network by autograd."""
    for name, spec, d in (("d1-mixture", LINE, 1), ("d3-mixture", SPACE, 3)):
        yield name, {"kind": "smoothed_mixture", **spec}, partial(mixture_level, spec), d, "closed form"
    params = network("sde", [3, 4, 3, 2])
    yield ("d2-network", {"kind": "noise_conditional_mlp", "params": params, "sigma_data": 0.5},
           partial(network_level, params), 2, "autograd")


def mixture_level(spec, x, sigma):
    _, s, H = mixture(x, **widened(spec, sigma))
    return s, np.trace(H, axis1=1, axis2=2)


def network_level(params, x, sigma):
    s, tr = sm.divergence(conditional_at(0.5, sigma)(params), x)
    return s, tr


def sde():
    levels = [4.0, 1.375, 0.5, 0.1875]
    for name, spec, at, d, origin in conditional_scores():
        x, noise = draw(f"x sde {name}", 3, d, size=4), draw(f"noise sde {name}", 3, 3, d)
        inputs = {"score": spec, "x": x, "sigmas": levels}
        yield case(f"sde/reverse_sde-{name}", "reverse_sde", {**inputs, "noise": noise},
                   {"value": reverse(at, x, levels, noise)}, origin)
        yield case(f"sde/probability_flow-down-{name}", "probability_flow", inputs, {"value": heun(at, x, levels)},
                   origin)
        start = draw(f"x up {name}", 3, d)
        yield case(f"sde/probability_flow-up-{name}", "probability_flow",
                   {**inputs, "x": start, "sigmas": levels[::-1]}, {"value": heun(at, start, levels[::-1])}, origin)
        yield case(f"sde/dpm_solver-{name}", "dpm_solver", inputs, {"value": multistep(at, x, levels)}, origin)
        prior = {"weights": [1.0], "means": [[0.5] * d], "covs": [(16 * np.eye(d) + 0.5).tolist()]}
        yield case(f"sde/log_likelihood-{name}", "log_likelihood", {**inputs, "x": start, "prior": prior},
                   {"value": likelihood(at, start, levels[::-1], prior)}, origin)


def reverse(at, x, levels, noise):
    for (sigma, after), z in zip(pairwise(levels), noise):
        x = x + (sigma**2 - after**2) * at(x, sigma)[0] + np.sqrt(sigma**2 - after**2) * z     # (SDE.8)
    return x


def heun(at, x, levels):
    for sigma, after in pairwise(levels):
        slope = -sigma * at(x, sigma)[0]
        far = -after * at(x + (after - sigma) * slope, after)[0]
        x = x + (after - sigma) * (slope + far) / 2                                            # (SDE.16)
    return x


def multistep(at, x, levels):
    """By (SDE.19), with D as a sequence and the differences of log σ written out."""
    lam, D = -np.log(levels), []
    for i, (sigma, after) in enumerate(pairwise(levels)):
        D.append(x + sigma**2 * at(x, sigma)[0])
        r = (lam[i] - lam[i - 1]) / (lam[i + 1] - lam[i]) if i else 1.0
        mean = D[i] + (D[i] - D[i - 1]) / (2 * r) if i else D[0]
        x = after / sigma * x - (after / sigma - 1) * mean
    return x


def likelihood(at, x, levels, prior):
    """Runge and Kutta's method of order 4 for x and the integral of σ tr ∂s/∂x, apart."""
    total = np.zeros(len(x))

    def slopes(x, sigma):
        s, tr = at(x, sigma)
        return -sigma * s, sigma * tr
    for sigma, after in pairwise(levels):
        step, half = after - sigma, (after + sigma) / 2
        a, A = slopes(x, sigma)
        b, B = slopes(x + step / 2 * a, half)
        c, C = slopes(x + step / 2 * b, half)
        e, E = slopes(x + step * c, after)
        x, total = x + step * (a + 2 * b + 2 * c + e) / 6, total + step * (A + 2 * B + 2 * C + E) / 6  # (SDE.22)
    return mixture(x, **prior)[0] - total                                                      # (SDE.21)


CHAPTERS = {"data": data, "network": network_cases, "derivatives": derivatives, "explicit": explicit,
            "implicit": implicit, "sliced": lambda: chain(sliced(), finite_differences()),
            "denoising": lambda: chain(denoising(), control_variates()), "ncsn": ncsn, "langevin": langevin,
            "train": train, "metrics": metrics, "random": random, "linear": linear_models, "sde": sde, "errors": errors}
