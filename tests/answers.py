"""Answer the test vectors in Python, with any module that offers the package's functions.

A port in Python fills the sheet through here: answer(case, port, dtype) calls it and returns what
check_port wants. port needs the package's names, with randomness as data where the vectors have it:

    langevin(score, x, step, noise, temperature), annealed_langevin(score, x, sigmas, step, noise,
    denoise), which return the last positions and the path; reverse_sde(score, x, sigmas, noise);
    two_sample_test(a, b, permutations); probes(kind, z) or probes(kind, bits=bits); init_mlp(z);
    stratified_sigmas(u, sigma_max, sigma_min);
    swiss_roll(u, z, noise), two_moons(u, side, z, noise), checkerboard(column, row, u);
    GaussianMixture.sample(k, z); batch(data, indices); fit(loss, net, batches, learning_rate), which
    calls loss(net, batch) and returns the losses and the params after each step

and five of its own:

    array(values, dtype)             nested lists to the framework's array
    network(kind, params, **options) a network of kind mlp, noise_conditional_mlp or energy_mlp
    params(net)                      its list of (W (in,out), b), which may be differentiated
    features(omega, beta)            the function x (N,d) -> sqrt(2/m) cos(x omega + beta) (N,m)
    value_and_grad(loss, net)        loss(net) and its gradient, in the layout of params

A function that the port does not have is a Missing error, which names it.
"""

from functools import partial

NETWORKS = {"MLP": "mlp", "NoiseConditionalMLP": "noise_conditional_mlp", "EnergyMLP": "energy_mlp",
            "energy_score": "energy_mlp"}
WEIGHTS = {"x": lambda x: x, "x^2": lambda x: x**2, "1 - |x|^2": lambda x: 1 - (x**2).sum(1)[:, None]}
INTEGERS = ("permutations", "indices", "k", "column", "row")


class Missing(NotImplementedError):
    """The port lacks a function."""


def function_of(port, name):
    """A function of the port, or of its GaussianMixture; Missing where there is none."""
    for part in name.split("."):
        if not hasattr(port, part):
            raise Missing(f"the port has no {name}")
        port = getattr(port, part)
    return port


def numeric(value, port, dtype):
    """Lists as arrays, one number as it is; error cases spell out NaN."""
    if value in ("NaN", "Infinity"):
        return float(value)
    return port.array(value, dtype) if isinstance(value, list) else value


def layers(params, port, dtype):
    return [(port.array(layer["W"], dtype), port.array(layer["b"], dtype)) for layer in params]


def network(spec, port, dtype):
    """The network of a specification, and how to read it as a score function."""
    options = {key: spec[key] for key in ("sigma_data", "skip") if key in spec}
    net = port.network(spec["kind"], layers(spec["params"], port, dtype), **options)
    if spec["kind"] == "energy_mlp":
        return net, port.energy_score
    if "sigma" in spec:
        return net, partial(at_level, sigma=spec["sigma"])
    return net, lambda net: net


def at_level(net, sigma):
    """s(·, sigma), by the network's own way to fix its level where it has one."""
    return net.at(sigma) if hasattr(net, "at") else partial(net, sigma=sigma)


def fixed_score(spec, port, dtype):
    """A score function without parameters to differentiate."""
    if "params" in spec:
        net, read = network(spec, port, dtype)
        return read(net)
    if spec["kind"] == "kde":
        return partial(port.kde_score, data=port.array(spec["data"], dtype), h=spec["h"])
    mixture = mixture_of(spec, port, dtype)
    if spec["kind"] == "mixture":
        return mixture.score
    if "sigma" in spec:
        return mixture.smoothed(spec["sigma"]).score
    return partial(smoothed_score, mixture, port, dtype)


def smoothed_score(mixture, port, dtype, x, sigma):
    """∇log q_σ(x), row by row where sigma has one level a row."""
    if not getattr(sigma, "ndim", 0):
        return mixture.smoothed(sigma).score(x)
    n = len(sigma)
    own = [port.array([[float(i == j)] for j in range(n)], dtype) for i in range(n)]           # (N,1) each
    return sum(row * mixture.smoothed(level).score(x) for row, level in zip(own, sigma))


def sum_products(g, array):
    return (g * array).sum()


def answer(case, port, dtype):
    """What port makes of one case, in the structure of its expected values, as numbers."""
    return listed(evaluate(case, port, dtype))


def listed(value):
    """Arrays as nested lists, a pair (W, b) as an object."""
    if isinstance(value, dict):
        return {key: listed(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return {"W": listed(value[0]), "b": listed(value[1])}
    if isinstance(value, list):
        return [listed(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value


def evaluate(case, port, dtype):
    """The same as arrays of port: all of a case's work."""
    function, raw = case["function"], case["inputs"]
    function_of(port, function)
    a = {key: numeric(value, port, "int64" if key in INTEGERS else dtype) for key, value in raw.items()
         if key not in ("score", "mixture", "params", "gradients") and not isinstance(value, dict)
         and function != "init_mlp"}
    if function == "init_mlp":
        return {"params": port.init_mlp([port.array(z, dtype) for z in raw["z"]])}
    if function == "fit":
        return fitted(raw, a, port, dtype)
    if function in ("langevin", "annealed_langevin"):
        value, path = getattr(port, function)(fixed_score(raw["score"], port, dtype), **a)
        return {"value": value, "path": path}
    if function == "linear_score":
        features = port.features(*(port.array(raw["features"][key], dtype) for key in ("omega", "beta")))
        return {"value": port.linear_score(features, a["x"], a["ridge"])(a["at"])}
    if function == "as_score":
        net, _ = network(raw["model"], port, dtype)
        score = port.as_score(lambda x_t, t: net(x_t) * (1 + t[:, None]), a["predicts"], a["path"])
        return {"value": score(a["x"], a["sigma"])}
    if function == "posterior_score":
        return {"value": port.posterior_score(fixed_score(raw["score"], port, dtype), **a)}
    if "g" in a:
        a["g"] = WEIGHTS[a["g"]]
    if function == "log_likelihood":
        a["prior"] = mixture_of(raw["prior"], port, dtype).log_density
    if "sigmas" in a:
        return {"value": getattr(port, function)(fixed_score(raw["score"], port, dtype), **a)}
    if function.startswith("GaussianMixture"):
        return mixture_values(function, raw, a, port, dtype)
    if function in NETWORKS or "params" in raw.get("score", {}):
        return network_values(case, a, port, dtype)
    if "score" in raw:
        return score_values(case, fixed_score(raw["score"], port, dtype), a, port, dtype)
    if function == "precision_recall":
        return dict(zip(("precision", "recall"), port.precision_recall(**a)))
    if function == "standardise":
        return dict(zip(("value", "shift", "scale"), port.standardise(**a)))
    return {"value": getattr(port, function)(**a)}


def mixture_of(spec, port, dtype):
    return port.GaussianMixture(*(port.array(spec[key], dtype) for key in ("weights", "means", "covs")))


def mixture_values(function, raw, a, port, dtype):
    mixture = mixture_of(raw["mixture"], port, dtype)
    if function.endswith("smoothed"):
        wide = mixture.smoothed(a["sigma"])
        return {"value": wide.score(a["x"]), "log_density": wide.log_density(a["x"])}
    return {"value": getattr(mixture, function.split(".")[1])(**a)}


def called(name, port, score, inputs):
    """The function of a score; what given returns is a score again, and wants its points."""
    if name == "given":
        return port.given(score, inputs["y"])(*(inputs[key] for key in ("x", "sigma") if key in inputs))
    return getattr(port, name)(score, **inputs)


def score_values(case, score, a, port, dtype):
    """value, s, Jv, trace of a function of a score, as far as they are expected."""
    name, expected = case["function"], case["expected"]
    inputs = {key: value for key, value in a.items() if key != "cotangent"}
    if isinstance(case["inputs"].get("target"), dict):
        inputs = {"target": fixed_score(case["inputs"]["target"], port, dtype), **inputs}
    if name in ("jvp", "divergence"):
        return dict(zip(("s", "Jv" if name == "jvp" else "trace"), getattr(port, name)(score, **inputs)))
    found = {"value": called(name, port, score, inputs)}
    if "s" in expected:
        found["s"] = score_there(name, score, a)
    if "Jv" in expected:
        found["Jv"] = port.jvp(score, a["x"], a["v"])[1]
    if "trace" in expected:
        found["trace"] = port.divergence(score, a["x"])[1]
    return found


def score_there(name, score, a):
    """The score where the objective takes it."""
    if name == "ncsn_loss":
        column = a["sigma"].reshape(-1, 1) if hasattr(a["sigma"], "ndim") else a["sigma"]
        return score(a["x"] + column * a["z"], a["sigma"])
    return score(a["x"] + a["sigma"] * a["z"]) if name == "denoising_loss" else score(a["x"])


def network_values(case, a, port, dtype):
    """Cases with parameters: the same, and the gradient of the loss or of cotangent * last."""
    function, raw = case["function"], case["inputs"]
    if function in NETWORKS:
        net, _ = network({"kind": NETWORKS[function], **{k: v for k, v in raw.items() if k != "sigma"}}, port, dtype)
        read, levels = port.energy_score if function == "energy_score" else lambda net: net, a.get("sigma")

        def last(net):
            return read(net)(a["x"]) if levels is None else read(net)(a["x"], levels)
        found = {"value": last(net)}
    else:
        net, read = network(raw["score"], port, dtype)
        inputs = {key: value for key, value in a.items() if key != "cotangent"}

        def last(net):
            value = called(function, port, read(net), inputs)
            return value[1] if function in ("jvp", "divergence") else value
        found = score_values(case, read(net), a, port, dtype)
    if "gradient" in case["expected"]:
        loss = (lambda net: sum_products(a["cotangent"], last(net))) if "cotangent" in a else last
        found["gradient"] = port.value_and_grad(loss, net)[1]
    return found


def fitted(raw, a, port, dtype):
    """Adam, on given gradients (as a loss that has them) or on the full batch."""
    if "gradients" in raw:
        net = port.network("mlp", layers(raw["params"], port, dtype))
        batches = [layers(g, port, dtype) for g in raw["gradients"]]

        def loss(net, gradient):
            return sum(sum_products(dW, W) + sum_products(db, b)
                       for (W, b), (dW, db) in zip(port.params(net), gradient))
        return {"path": port.fit(loss, net, batches, raw["learning_rate"])[1]}
    net, read = network(raw["score"], port, dtype)
    inputs = {key: a[key] for key in ("x", "z", "v", "sigma") if key in a}
    losses, path = port.fit(lambda net, x: function_of(port, raw["objective"])(read(net), **{**inputs, "x": x}), net,
                            [a["x"]] * raw["steps"], raw["learning_rate"])
    return {"losses": list(losses), "path": path}
