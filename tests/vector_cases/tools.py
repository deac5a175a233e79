"""What the cases are made with: rounded random inputs, closed forms in plain NumPy, networks in autograd's operations.

Random inputs are multiples of 1/256, which float32 holds exactly; the stream depends on its name alone."""

import sys
from functools import partial
from itertools import pairwise
from pathlib import Path
from zlib import crc32

sys.path[:0] = [str(Path(__file__).resolve().parent.parent.parent), str(Path(__file__).resolve().parent.parent)]

import autograd.numpy as np
from answers import listed
from autograd import elementwise_grad, value_and_grad
from oracles import plain_mlp, plain_noise_conditional

import scoremin as sm

TOLERANCES = {"float64": 1e-12, "float32": 1e-5}
N, M = 4, 3  # rows and probes, other than every width of SHAPES where it matters
SHAPES = {"d2-linear": [2, 2], "d2-one-hidden": [2, 5, 2], "d2-two-hidden": [2, 5, 4, 2],
          "d5-linear": [5, 5], "d5-one-hidden": [5, 6, 5], "d5-two-hidden": [5, 6, 4, 5]}
DEEPER = {"d1-two-hidden": [1, 4, 3, 1], "d3-three-hidden": [3, 5, 4, 6, 3], "d2-four-hidden": [2, 4, 3, 5, 4, 2]}
MIXTURE = {"weights": [0.5, 0.5], "means": [[2.0, 2.0], [-2.0, -2.0]],
           "covs": [[[1.0, 0.5], [0.5, 1.0]], [[1.0, -0.5], [-0.5, 1.0]]]}
LINE = {"weights": [0.75, 0.25], "means": [[-1.0], [2.0]], "covs": [[[0.25]], [[4.0]]]}
SPACE = {"weights": [0.25, 0.75], "means": [[1.0, 0.0, -2.0], [0.0, 1.5, 1.0]],
         "covs": [[[2.0, 0.5, 0.0], [0.5, 1.0, 0.25], [0.0, 0.25, 0.5]], np.diag([0.5, 1.0, 2.0]).tolist()]}
TRIANGLE = [[-1.0, 0.0], [0.0, 1.0], [2.0, -1.0]]
POINTS = [[-1.0], [0.5], [2.0]]


def draw(name, *shape, size=1.0):
    """Standard normal numbers times size, rounded to 1/256."""
    return np.round(256 * size * np.random.default_rng(crc32(name.encode())).standard_normal(shape)) / 256


def signs(name, *shape):
    """Probes of -1 and 1."""
    return np.where(draw(name, *shape) < 0, -1.0, 1.0)


def aside(name, *shape):
    """Points some 1/1024 apart, all 65536 from 0 in one coordinate: exact in float32, squares not in float64."""
    return np.concatenate([np.full((shape[0], 1), 65536.0), draw(name, shape[0], shape[1] - 1) / 1024], axis=1)


def clusters(name, left, right, d):
    """Such points at -65536 and at 65536: no one shift brings them all near 0."""
    return np.concatenate([aside(name, left, d) * np.array([-1.0] + [1.0] * (d - 1)), aside(f"{name} right", right, d)])


def network(name, sizes):
    """Parameters of an MLP with biases that are not 0."""
    return [(draw(f"{name} W{i}", m, n, size=m**-0.5), draw(f"{name} b{i}", n, size=0.5))
            for i, (m, n) in enumerate(pairwise(sizes))]


def width(name):
    """The d of a name that begins d5-."""
    return int(name[1])


def case(id, function, inputs, expected, origin="closed form", flags=(), tolerances=TOLERANCES):
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


def mixture_scores(spec, x, levels):
    """∇log q_σ at every row, each at its own level."""
    return np.array([mixture([row], **widened(spec, level))[1][0] for row, level in zip(x, levels)])


def kde(x, data, h):
    """log p, ∇log p and its Jacobian of a KDE, a mixture of one Gaussian a data point."""
    n, d = np.shape(data)
    return mixture(x, [1 / n] * n, data, [h**2 * np.eye(d)] * n)


def closed_scores(cloud, far):
    """Mixtures and KDEs whose Jacobian is known, in one, two and three dimensions, and far out."""
    for name, spec, x in [("d1-mixture", LINE, draw("x line", N, 1, size=2)), ("d3-mixture", SPACE, draw("x s", 1, 3)),
                          ("d2-mixture-far", MIXTURE, far)]:
        yield name, {"kind": "mixture", **spec}, x, mixture(x, **spec)
    for name, points, h, x in [("d1-kde", POINTS, 0.5, draw("x kde1", N, 1)),
                               ("d2-kde-narrow", TRIANGLE, 0.25, draw("x kde2", N, 2)),
                               ("d3-kde", cloud, 1.5, draw("x kde3", N, 3))]:
        yield name, {"kind": "kde", "data": points, "h": h}, x, kde(x, points, h)


def linear(params, x):
    """s = xW + b of a network of one layer, and the gradient in W and b that belongs to ∂loss/∂s."""
    (W, b), = params
    return x @ W + b, lambda ds, dW=0: [(x.T @ ds + dW, ds.sum(axis=0))]


# Networks in autograd's own operations

def energy_values(x, params):
    return plain_mlp(params)(x)[:, 0]


def energy_network(params):
    """−∇E for the energy E of a network with one output."""
    gradient = elementwise_grad(lambda x: plain_mlp(params)(x)[:, 0])
    return lambda x: -gradient(x)


def conditional_at(sigma_data, sigma):
    """make(params) -> the conditional network's score at one level, a function of x alone."""
    return lambda params: partial(plain_noise_conditional(params, sigma_data), sigma=sigma)


def skipping(params, sigma_data):
    """The conditional network beside the score of N(0, sigma_data² I) under noise, by (NET.8)."""
    def score(x, sigma):
        tau = np.sqrt(np.reshape(sigma, (-1, 1))**2 + sigma_data**2)                           # (N,1) or (1,1)
        return sigma_data / tau * plain_noise_conditional(params, sigma_data)(x, sigma) - x / tau**2
    return score


def skipping_at(sigma_data, sigma):
    return lambda params: partial(skipping(params, sigma_data), sigma=sigma)


def scores(deeper=False):
    """name, specification and make(params) -> score of the networks that more than one chapter uses.

    Where deeper: widths other than 2, in which a mean over N·d is not half of a sum, and other depths."""
    for name, sizes in (DEEPER if deeper else SHAPES).items():
        yield name, {"kind": "mlp", "params": network(f"score {name}", sizes)}, plain_mlp
    seed, sizes = ("energy 5", [5, 4, 3, 1]) if deeper else ("energy", [2, 5, 4, 1])
    yield f"d{sizes[0]}-energy", {"kind": "energy_mlp", "params": network(seed, sizes)}, energy_network
    levels = {"d3-noise-conditional-one-layer": ("level d3-noise-conditional-one-layer", [4, 3]),
              "d3-noise-conditional": ("level d3-noise-conditional", [4, 5, 3])}
    for name, (seed, sizes) in (levels if deeper else {"d2-noise-conditional": ("level", [3, 5, 4, 2])}).items():
        sigma = 0.5 if deeper else 0.25
        yield (name, {"kind": "noise_conditional_mlp", "params": network(seed, sizes), "sigma_data": 0.5,
                      "sigma": sigma}, conditional_at(0.5, sigma))


def every_score():
    """The same of both sets, and the number of rows that their cases have."""
    return [(*score, 3 if deeper else N) for deeper in (False, True) for score in scores(deeper)]


def applied(make, x, params):
    return make(params)(x)


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


def written_out(id, spec, make, function, loss, inputs, flags=()):
    """A case of an objective that is written out beside it, in autograd's own operations."""
    value, gradient = value_and_grad(lambda params: loss(make(params), **inputs))(spec["params"])
    return case(id, function, {"score": spec, **inputs}, {"value": value, "gradient": gradient}, "autograd", flags)
