"""Cases of the objectives, of kernel density estimates and of linear models."""

from functools import partial

import autograd.numpy as np

from scoremin import jvp

from .tools import (
    MIXTURE, SPACE, TRIANGLE, M, N, aside, case, closed_scores, clusters, draw, every_score, kde, linear, loss_case,
    mixture, mixture_scores, network, plain_mlp, plain_noise_conditional, scores, signs, skipping, widened, width,
    written_out,
)


def explicit():
    for name, spec, make, rows in every_score():
        x, target = draw(f"x explicit {name}", rows, width(name)), draw(f"target {name}", rows, width(name))
        closed = None
        if name.endswith("linear"):
            s, pull_back = linear(spec["params"], x)
            closed = {"value": 0.5 * np.sum((s - target)**2) / N, "s": s, "gradient": pull_back((s - target) / N)}
        yield loss_case(f"explicit/loss-{name}", "explicit_loss", spec, make, {"x": x, "target": target}, closed)
    yield from kernels()
    yield from own_points()


def kernels():
    offset, far = draw("kde offset", 6, 2) + np.array([1000.0, -1000.0]), aside("kde far offset", 6, 3)
    settings = {"d2": (draw("kde x", N, 2), TRIANGLE, 1.0, ()),
                "d5": (draw("kde x5", N, 5), draw("kde cloud", 7, 5), 0.75, ()),
                "far": ([[40.0, 40.0], [-300.0, 500.0]], TRIANGLE, 1.0, ["far: every kernel underflows"]),
                "narrow": ([[0.5, 0.5], [-1.0, 0.0]], TRIANGLE, 1e-2, ["narrow; the second query is a data point"]),
                "wide": (draw("kde wide", N, 2), TRIANGLE, 50.0, ["extreme h"]),
                "offset": (offset[:3] + draw("kde shift", 3, 2, size=0.25), offset, 0.25,
                           ["data far from 0: x² − 2xy + y² loses all digits"]),
                "d1": (draw("kde x1", N, 1), draw("kde d1", 5, 1), 0.5, ()),
                "one-point": (draw("kde x one", 1, 3), draw("kde one", 1, 3), 0.75, ()),
                "far-offset": (aside("kde far shift", 3, 3), far, 0.75 / 1024,
                               ["data far from 0: x² − 2xy + y² loses all digits in float64 too"]),
                "two-offsets": (clusters("kde apart x", 1, 2, 2), clusters("kde apart", 3, 3, 2), 0.75 / 1024,
                                ["data far from 0 on both sides: no one shift helps x² − 2xy + y²"])}
    for name, (x, points, h, flags) in settings.items():
        log_p, s, _ = kde(x, points, h)
        yield case(f"explicit/kde_score-{name}", "kde_score", {"x": x, "data": points, "h": h, "leave_one_out": False},
                   {"value": s}, flags=flags)
        yield case(f"explicit/kde_log_density-{name}", "kde_log_density", {"x": x, "data": points, "h": h},
                   {"value": log_p}, flags=flags)


def own_points():
    """At the data themselves, with each row's own kernel and without it."""
    cloud = draw("kde cloud", 7, 5)
    for name, points, h in [("d2", TRIANGLE, 1.0), ("d5", cloud, 1.5)]:
        yield case(f"explicit/kde_score-own-points-{name}", "kde_score",
                   {"x": points, "data": points, "h": h, "leave_one_out": False}, {"value": kde(points, points, h)[1]},
                   flags=["x is the data"])
    for name, points, h in [("own-points-d2-left-out", TRIANGLE, 1.0), ("own-points-d5-left-out", cloud, 1.5),
                            ("own-points-narrow-left-out", TRIANGLE, 0.05),
                            ("left-out-d1", draw("left out 1", 5, 1), 0.75),
                            ("left-out-d3", draw("left out 3", 4, 3), 1.5),
                            ("left-out-twins", [*TRIANGLE, TRIANGLE[1], TRIANGLE[1]], 0.75)]:
        log_p, s = left_out(points, h)
        inputs = {"x": points, "data": points, "h": h, "leave_one_out": True}
        flags = ["x is the data"] + ["equal rows: each leaves out itself, by its index"] * name.endswith("twins")
        yield case(f"explicit/kde_score-{name}", "kde_score", inputs, {"value": s}, flags=flags)
        if name.startswith("left"):
            yield case(f"explicit/kde_log_density-{name}", "kde_log_density", inputs, {"value": log_p}, flags=flags)


def left_out(rows, h):
    """log p and ∇log p at each row, of the KDE of the others."""
    rows = np.array(rows)
    others = [kde(rows[i:i + 1], np.delete(rows, i, axis=0), h) for i in range(len(rows))]
    return [o[0][0] for o in others], [o[1][0] for o in others]


def implicit():
    for name, spec, make, rows in every_score():
        x, closed = draw(f"x implicit {name}", rows, width(name)), None
        if name.endswith("linear"):
            W, (s, pull_back) = spec["params"][0][0], linear(spec["params"], x)
            closed = {"value": 0.5 * np.sum(s**2) / N + np.trace(W), "s": s, "trace": np.full(N, np.trace(W)),
                      "gradient": pull_back(s / N, np.eye(width(name)))}
        yield loss_case(f"implicit/loss-{name}", "implicit_loss", spec, make, {"x": x}, closed)
    x = draw("x implicit mixture", N, 2, size=2)
    settings = [("d2-mixture", {"kind": "mixture", **MIXTURE}, x, mixture(x, **MIXTURE)),
                ("d2-kde", {"kind": "kde", "data": TRIANGLE, "h": 1.0}, x, kde(x, TRIANGLE, 1.0)),
                ("d2-point-masses", {"kind": "kde", "data": TRIANGLE, "h": 0.05}, TRIANGLE,
                 kde(TRIANGLE, TRIANGLE, 0.05)), *closed_scores(draw("kde ism", 5, 3), [[30.0, -40.0]])]
    for name, spec, x, (_, s, H) in settings:
        tr, masses = np.trace(H, axis1=1, axis2=2), name == "d2-point-masses"
        expected = {"value": np.mean(0.5 * np.sum(s**2, axis=1) + tr), "s": s, "trace": tr}
        if masses:
            del expected["s"]  # 0 but for a remainder without digits
        yield case(f"implicit/loss-{name}", "implicit_loss", {"score": spec, "x": x}, expected,
                   flags=["a KDE on its own points: −d/h²"] * masses)
    yield from generalised()


WEIGHTS = {"x": (lambda x: x, np.ones_like), "x^2": (lambda x: x**2, lambda x: 2 * x),
           "1 - |x|^2": (lambda x: 1 - np.sum(x**2, axis=1, keepdims=True), lambda x: -2 * x)}  # g and ∂_i g_i


def product_rule(s, slopes, x, g):
    """E Σ_i [½ g_i s_i² + g_i ∂_i s_i + s_i ∂_i g_i], slopes (N,d) the diagonal of the Jacobian."""
    weight, slope = WEIGHTS[g]
    return np.sum(0.5 * weight(x) * s**2 + weight(x) * slopes + slope(x) * s) / len(x)


def with_boundary(score, x, g):
    n, d = x.shape
    _, J = jvp(score, x, np.broadcast_to(np.eye(d)[:, None], (d, n, d)))
    return product_rule(score(x), np.stack([J[i, :, i] for i in range(d)], axis=1), x, g)


def generalised():
    """Data with a boundary: positive ones, g = x or x², and the unit ball, g = 1 − ‖x‖², one number a row."""
    for name, sizes, g in (("d2-linear", [2, 2], "x"), ("d3-two-hidden", [3, 5, 4, 3], "x"),
                           ("d1-two-hidden", [1, 4, 3, 1], "x^2"), ("d3-one-hidden", [3, 5, 3], "1 - |x|^2")):
        x = abs(draw(f"x generalised {name}", N, sizes[0])) + 1 / 256
        x = x / 4 if "|" in g else x
        spec = {"kind": "mlp", "params": network(f"generalised {name}", sizes)}
        yield written_out(f"implicit/generalised_loss-{name}", spec, plain_mlp, "generalised_loss", with_boundary,
                          {"x": x, "g": g})
    for name, spec, g in (("d2-mixture", MIXTURE, "x^2"), ("d3-mixture", SPACE, "1 - |x|^2")):
        x = abs(draw(f"x generalised {name}", N, width(name))) / 4
        _, s, H = mixture(x, **spec)
        yield case(f"implicit/generalised_loss-{name}", "generalised_loss",
                   {"score": {"kind": "mixture", **spec}, "x": x, "g": g},
                   {"value": product_rule(s, np.einsum("nii->ni", H), x, g)})


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
                   {"value": (2 / m)**0.5 * np.cos(at @ omega + beta) @ W},
                   flags=["more features than points"] * (m > n), tolerances={"float64": 1e-12, "float32": 1e-4})


def sliced():
    every = np.array([[a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)])
    for name, spec, make in scores():
        d, x = width(name), draw(f"x sliced {name}", N, width(name))
        settings = {"": (draw(f"v sliced {name}", N, d), ())}
        if "d2" in name or name == "d5-two-hidden":
            settings["-stack"] = draw(f"v stack {name}", M, N, d), ["M probes"]
        if name in ("d2-linear", "d2-two-hidden"):
            settings["-all-signs"] = (np.repeat(every[:, None], N, axis=1),
                                      ["every sign probe once: equals implicit_loss", "M probes"])
        for probe, (v, flags) in settings.items():
            yield from sliced_pair(f"{probe}-{name}", spec, make, x, v, flags)
    for name, spec, make in scores(deeper=True):
        yield from sliced_pair(f"-signs-{name}", spec, make, draw(f"x sliced {name}", 2, width(name)),
                               signs(f"v sliced {name}", 2, width(name)), ["one probe of ±1 a point"])
        x, v = draw(f"x fd {name}", 3, width(name)), signs(f"v fd {name}", 3, width(name))
        yield written_out(f"sliced/finite_difference_loss-{name}", spec, make, "finite_difference_loss",
                          finite_difference, {"x": x, "v": v, "radius": 0.125})
    name, spec, make = next(scores(deeper=True))
    yield from sliced_pair(f"-one-row-one-probe-{name}", spec, make, draw("x sliced one", 1, 1),
                           draw("v sliced one", 1, 1, 1), ["M = 1"])


def sliced_pair(id, spec, make, x, v, flags):
    """The same case of SSM and of SSM-VR."""
    for vr in (False, True):
        closed = None
        if id.endswith("linear"):
            closed = sliced_linear(spec["params"], x, v.reshape(-1, *x.shape), vr) | {"Jv": v @ spec["params"][0][0]}
        name = f"{'vr_' * vr}loss"
        yield loss_case(f"sliced/{name}{id}", f"sliced_{name}", spec, make, {"x": x, "v": v}, closed, flags)


def sliced_linear(params, x, v, vr):
    """Both sliced losses of a linear score and their gradients, probe by probe."""
    W, (s, pull_back), n = params[0][0], linear(params, x), v.shape[0] * v.shape[1]
    vs = np.sum(v * s, axis=2, keepdims=True)                                                  # (M,N,1)
    squares = len(v) * np.sum(s**2) if vr else np.sum(vs**2)
    quadratic = sum(v_n @ W @ v_n for v_n in v.reshape(-1, x.shape[1]))
    ds = s / len(x) if vr else np.sum(vs * v, axis=0) / n
    dW = sum(np.outer(v_n, v_n) for v_n in v.reshape(-1, x.shape[1])) / n
    return {"value": (0.5 * squares + quadratic) / n, "s": s, "gradient": pull_back(ds, dW)}


def finite_difference(score, x, v, radius):
    """E[½‖(s₊ + s₋)/2‖² + vᵀ(s₊ − s₋)/2r], s± = s(x ± rv)."""
    ahead, behind = score(x + radius * v), score(x - radius * v)
    return np.sum((ahead + behind)**2 / 8 + v * (ahead - behind) / (2 * radius)) / len(x)


def denoising():
    for name, spec, make, rows in every_score():
        levels = (0.5,) if rows != N else (1e-3, 0.3, 50.0) if name in ("d2-linear", "d2-two-hidden") else (0.3,)
        for sigma in levels:
            yield denoising_case(name, spec, make, draw(f"x denoising {name}", rows, width(name)),
                                 draw(f"z denoising {name}", rows, width(name)), sigma)
    spec = {"kind": "mlp", "params": network("d3 linear", [3, 3])}
    yield denoising_case("d3-linear", spec, plain_mlp, draw("x d3 linear", N, 3), draw("z d3 linear", N, 3), 2.0)
    for name, spec, make in scores(deeper=True):
        x_noisy, x, z = (draw(f"{letter} {name}", 3, width(name)) for letter in ("x denoising", "x vr", "z vr"))
        yield case(f"denoising/tweedie-0.5-{name}", "tweedie", {"score": spec, "x_noisy": x_noisy, "sigma": 0.5},
                   {"value": x_noisy + 0.25 * make(spec["params"])(x_noisy)}, "autograd")
        yield written_out(f"denoising/vr_loss-{name}", spec, make, "denoising_vr_loss", control_variate,
                          {"x": x, "z": z, "sigma": 0.5})
    for sigma in (1e-3, 0.3, 50.0):
        yield from denoising_mixture(sigma)
    yield from predictions()


def denoising_case(name, spec, make, x, z, sigma):
    closed = None
    if name.endswith("linear"):
        s, pull_back = linear(spec["params"], x + sigma * z)
        residual = s + z / sigma
        closed = {"value": 0.5 * np.sum(residual**2) / N, "s": s, "gradient": pull_back(residual / N)}
    return loss_case(f"denoising/loss-{sigma:g}-{name}", "denoising_loss", spec, make,
                     {"x": x, "z": z, "sigma": sigma}, closed, ["extreme sigma"] * (sigma in (1e-3, 50)))


def control_variate(score, x, z, sigma):
    """E[½‖s(x̃)‖² + zᵀ(s(x̃) − s(x))/σ + d/2σ²]."""
    s = score(x + sigma * z)
    return np.sum(s**2 / 2 + z * (s - score(x)) / sigma) / len(x) + x.shape[1] / (2 * sigma**2)


def predictions():
    """(1 + t) net(x_t) read as each prediction on each path; ẑ = −σs written out for each."""
    a_of = {"ve": lambda s: 1.0 + 0 * s, "vp": lambda s: 1 / np.sqrt(1 + s**2), "linear": lambda s: 1 / (1 + s)}
    time = {"ve": lambda s: s, "vp": lambda s: 1 / (1 + s**2), "linear": lambda s: s / (1 + s)}
    for k, path in enumerate(a_of):
        for j, predicts in enumerate(("noise", "denoiser", "score", "velocity")):
            params, d = network(f"model {path} {predicts}", [2 + j % 2, 4, 2 + j % 2]), 2 + j % 2
            x, sigma = draw(f"x as {path} {predicts}", N, d), np.array([4.0, 0.5, 0.125, 1.5]) if (k + j) % 2 else 0.75
            s = np.reshape(sigma, (-1, 1)) * np.ones((N, 1))
            a, t = a_of[path](s), time[path](s)
            y, x_t = (1 + t) * plain_mlp(params)(a * x), a * x
            noise = {"noise": y, "denoiser": (x - y) / s, "score": -s * a * y,
                     "velocity": {"ve": y, "vp": a * y + s * a * x_t, "linear": x_t + (1 - t) * y}[path]}[predicts]
            yield case(f"denoising/as_score-{path}-{predicts}-d{d}", "as_score",
                       {"model": {"kind": "mlp", "params": params}, "predicts": predicts, "path": path, "x": x,
                        "sigma": sigma}, {"value": -noise / s}, "autograd", ["per-sample sigma"] * np.ndim(sigma))


def denoising_mixture(sigma):
    """The score of q_σ itself, and the mean of x given x̃ by Bayes' rule, component by component."""
    x, z = draw("x denoising mixture", N, 2, size=2), draw("z denoising mixture", N, 2)
    x_noisy, noisy = draw("x_noisy", N, 2, size=max(2, sigma)), widened(MIXTURE, sigma)
    s = mixture(x + sigma * z, **noisy)[1]
    spec, flags = {"kind": "smoothed_mixture", **MIXTURE, "sigma": sigma}, ["extreme sigma"] * (sigma != 0.3)
    cancels = {"tolerances": {"float64": 1e-11, "float32": 1e-3}} if sigma > 1 else {}  # s + z/σ, x̃ + σ²s are small
    flags = flags + ["large terms cancel"] * (sigma > 1)
    yield case(f"denoising/loss-{sigma:g}-d2-mixture", "denoising_loss",
               {"score": spec, "x": x, "z": z, "sigma": sigma},
               {"value": 0.5 * np.sum((s + z / sigma)**2) / N, "s": s}, flags=flags, **cancels)
    log_q = mixture(x_noisy, **noisy)[0]
    posterior = 0
    for w, mu, S, C in zip(MIXTURE["weights"], MIXTURE["means"], MIXTURE["covs"], noisy["covs"]):
        gain = np.array(S) @ np.linalg.inv(np.array(C))                                        # (d,d)
        r = np.exp(mixture(x_noisy, [w], [mu], [C])[0] - log_q)                                # (N,)
        posterior = posterior + r[:, None] * (np.array(mu) + (x_noisy - np.array(mu)) @ gain.T)
    yield case(f"denoising/tweedie-{sigma:g}-d2-mixture", "tweedie",
               {"score": spec, "x_noisy": x_noisy, "sigma": sigma}, {"value": posterior}, flags=flags, **cancels)


def ncsn():
    levels = {"levels": np.array([2.0, 0.5, 0.125, 1.0]), "extreme": np.array([50.0, 1e-3, 1.0, 0.01]), "one": 0.3}
    for name, sizes in {"d2-linear": [3, 2], "d2-one-hidden": [3, 5, 2], "d2-two-hidden": [3, 5, 4, 2],
                        "d5-two-hidden": [6, 6, 4, 5]}.items():
        for level, sigma in levels.items():
            yield ncsn_case(f"{level}-{name}", name, sizes, sigma, 0.5 if "two" in name else 1.0)
    for name, sizes in {"d1-two-hidden": [2, 4, 3, 1], "d3-one-hidden": [4, 5, 3], "d3-linear": [4, 3],
                        "d5-three-hidden": [6, 5, 4, 6, 5]}.items():
        yield ncsn_case(f"levels-{name}", name, sizes, np.array([4.0, 0.25, 1.0, 0.5]), 0.5, 2)
        small = ncsn_case(f"small-{name}", name, sizes, np.full(N, 1e-3), 1.0, 2)
        del small["expected"]["s"]  # of size 1/sigma
        yield {**small, "tolerances": {"float64": 1e-11, "float32": 2e-6},
               "flags": [*small["flags"], "every sigma small: (x̃ − x)/σ² for z/σ loses its digits"]}
    for name, spec, size, sigma in [("d2-mixture", MIXTURE, 2, levels["levels"]),
                                    ("d3-mixture", SPACE, 1, levels["levels"])]:
        seed = "mixture" if spec is MIXTURE else "m3"
        x, z = draw(f"x ncsn {seed}", N, width(name), size=size), draw(f"z ncsn {seed}", N, width(name))
        s = mixture_scores(spec, x + sigma[:, None] * z, sigma)
        yield case(f"ncsn/loss-levels-{name}", "ncsn_loss",
                   {"score": {"kind": "smoothed_mixture", **spec}, "x": x, "z": z, "sigma": sigma},
                   {"value": 0.5 * np.sum((sigma[:, None] * s + z)**2) / N, "s": s}, flags=["per-sample sigma"])
    spec = {"kind": "noise_conditional_mlp", "params": network("ncsn skip", [4, 5, 4, 3]), "sigma_data": 0.75,
            "skip": True}
    yield loss_case("ncsn/loss-levels-d3-skip", "ncsn_loss", spec, partial(skipping, sigma_data=0.75),
                    {"x": draw("x ncsn skip", N, 3), "z": draw("z ncsn skip", N, 3), "sigma": levels["levels"]},
                    flags=["per-sample sigma", "skip"])
    u = draw("stratified", 6) % 1
    yield case("ncsn/stratified_sigmas-6", "stratified_sigmas", {"u": u, "sigma_max": 20.0, "sigma_min": 0.05},
               {"value": [20.0 * (0.05 / 20.0)**((i + u[i]) / 6) for i in range(6)]})
    for top, bottom, n in ((20.0, 1.0, 10), (1.5, 0.01, 20), (50.0, 1e-3, 2)):
        yield case(f"ncsn/geometric_sigmas-{n}", "geometric_sigmas", {"sigma_max": top, "sigma_min": bottom, "n": n},
                   {"value": [top * (bottom / top)**(i / (n - 1)) for i in range(n)]})


def ncsn_case(id, name, sizes, sigma, sigma_data, size=1):
    params, x, z = network(f"ncsn {name}", sizes), draw(f"x ncsn {name}", N, sizes[-1], size=size), \
        draw(f"z ncsn {name}", N, sizes[-1])
    column, closed = np.reshape(sigma, (-1, 1)) * np.ones((N, 1)), None
    if len(params) == 1:
        inputs = np.hstack([(x + column * z) / np.sqrt(column**2 + sigma_data**2), np.log(column)])
        f, pull_back = linear(params, inputs)
        closed = {"value": 0.5 * np.sum((f + z)**2) / N, "s": f / column, "gradient": pull_back((f + z) / N)}
    spec = {"kind": "noise_conditional_mlp", "params": params, "sigma_data": sigma_data}
    flags = ["per-sample sigma"] * np.ndim(sigma) + ["extreme sigma"] * ("extreme" in id)
    return loss_case(f"ncsn/loss-{id}", "ncsn_loss", spec, partial(plain_noise_conditional, sigma_data=sigma_data),
                     {"x": x, "z": z, "sigma": sigma}, closed, flags)


CHAPTERS = {"explicit": explicit, "implicit": implicit, "linear": linear_models, "sliced": sliced,
            "denoising": denoising, "ncsn": ncsn}
