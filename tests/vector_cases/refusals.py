"""Cases that a port must refuse: the error, and the argument that its message names."""

import autograd.numpy as np

from .tools import MIXTURE, SPACE, case, network

X, Z, ONE = [[0.5, 1.0], [-1.0, 0.25], [0.0, 2.0]], [[1.0, 0.0], [0.5, -1.0], [0.25, 1.0]], [[1.0, 0.0]]
SCORE, LEVELS = {"kind": "mlp", "params": network("errors", [2, 3, 2])}, {"kind": "smoothed_mixture", **MIXTURE}
GOOD = {
    "implicit_loss": {"score": SCORE, "x": X}, "explicit_loss": {"score": SCORE, "x": X, "target": Z},
    "sliced_loss": {"score": SCORE, "x": X, "v": Z}, "sliced_vr_loss": {"score": SCORE, "x": X, "v": Z},
    "denoising_loss": {"score": SCORE, "x": X, "z": Z, "sigma": 0.5}, "jvp": {"score": SCORE, "x": X, "v": Z},
    "divergence": {"score": SCORE, "x": X}, "tweedie": {"score": SCORE, "x_noisy": X, "sigma": 0.5},
    "kde_log_density": {"x": X, "data": Z, "h": 0.5},
    "kde_score": {"x": X, "data": Z, "h": 0.5, "leave_one_out": False},
    "ncsn_loss": {"score": LEVELS, "x": X, "z": Z, "sigma": [2.0, 1.0, 0.5]},
    "MLP": {"params": SCORE["params"], "x": X}, "GaussianMixture.score": {"mixture": MIXTURE, "x": X},
    "langevin": {"score": {"kind": "mixture", **MIXTURE}, "x": X, "step": 0.1, "noise": [Z] * 2, "temperature": 1.0},
    "annealed_langevin": {"score": LEVELS, "x": X, "sigmas": [2.0, 1.0], "step": 0.1, "noise": [[Z], [Z]],
                          "denoise": False},
    "geometric_sigmas": {"sigma_max": 2.0, "sigma_min": 0.5, "n": 3}, "energy_distance": {"a": X, "b": Z},
    "mode_weights": {"x": X, "means": Z}}
FEATURES = {"omega": [[1.0, 1.0], [0.5, 0.5]], "beta": [0.25, 0.25]}
GOOD |= {"finite_difference_loss": {"score": SCORE, "x": X, "v": Z, "radius": 0.1}, "standardise": {"data": X},
         "denoising_vr_loss": GOOD["denoising_loss"], "EnergyMLP": {"params": SCORE["params"], "x": X},
         "NoiseConditionalMLP": {"params": SCORE["params"], "sigma_data": 1.0, "x": X, "sigma": 0.5},
         "linear_score": {"features": FEATURES, "x": X, "ridge": 0.0, "at": X},
         "reverse_sde": {"score": LEVELS, "x": X, "sigmas": [2.0, 1.0], "noise": [Z]},
         **{name: {"score": LEVELS, "x": X, "sigmas": [2.0, 1.0]} for name in ("probability_flow", "dpm_solver")},
         "log_likelihood": {"score": LEVELS, "x": X, "sigmas": [2.0, 1.0], "prior": MIXTURE}}
GOOD |= {"given": {"score": {"kind": "mixture", **SPACE}, "x": X, "y": [0.5]},
         "posterior_score": {"score": LEVELS, "x": X, "sigma": 0.5, "H": [[1.0, 0.5]], "y": [0.25], "noise": 0.5},
         "as_score": {"model": SCORE, "predicts": "noise", "path": "ve", "x": X, "sigma": 0.5}}
LAYERS = [(np.ones((2, 3)), np.zeros(3)), (np.ones((4, 2)), np.zeros(2))]
RUN = {"equal": [1.0, 1.0], "zero": [1.0, 0.0], "one": [1.0], "nan": [2.0, "NaN"]}
WIDE, COLUMN, NOT_A_NUMBER = [[1.0, 2.0, 3.0]], [[1.0], [2.0]], [["NaN", 0.0]] * 3
POINTS = {"flat": [1.0, 2.0], "empty": [], "nan": [[0.0, "NaN"]], "infinite": [["Infinity", 0.0]]}
POSITIVE = {"zero": 0.0, "negative": -1.0, "nan": "NaN"}
BAD = [  # function, argument, {what is wrong: value}
    ("implicit_loss", "x", POINTS), ("MLP", "x", {"width": WIDE}), ("GaussianMixture.score", "x", {"width": WIDE}),
    ("mode_weights", "x", {"width": WIDE}), ("explicit_loss", "target", {"rows": ONE}),
    ("sliced_loss", "v", {"rows": ONE}), ("jvp", "v", {"rows": ONE}),
    ("sliced_vr_loss", "v", {"nan": NOT_A_NUMBER}), ("denoising_loss", "z", {"rows": ONE}),
    ("ncsn_loss", "z", {"rows": ONE}), ("ncsn_loss", "sigma", {"rows": [1.0, 0.5], "zero": [1.0, 0.0, 0.5]}),
    ("kde_score", "data", {"width": COLUMN}), ("kde_score", "leave_one_out", {"rows": True}),
    ("energy_distance", "b", {"width": COLUMN}), ("denoising_loss", "sigma", {"per-sample": [1.0, 0.5, 0.25]}),
    ("langevin", "temperature", {"negative": -1.0}), ("langevin", "x", {"flat": [1.0, 2.0]}),
    ("annealed_langevin", "sigmas", {"ascending": [1.0, 2.0], "equal": [1.0, 1.0], "zero": [1.0, 0.0]}),
    ("geometric_sigmas", "sigma_min", {"above": 3.0, "zero": 0.0}),
    ("denoising_loss", "sigma", POSITIVE), ("tweedie", "sigma", POSITIVE), ("kde_score", "h", POSITIVE),
    ("kde_log_density", "h", POSITIVE), ("langevin", "step", POSITIVE), ("annealed_langevin", "step", POSITIVE),
    ("divergence", "x", {"flat": [1.0, 2.0], "nan": [[0.0, "NaN"]], "width": WIDE}),
    *((function, "sigmas", {"ascending": [1.0, 2.0], **RUN}) for function in
      ("reverse_sde", "dpm_solver", "log_likelihood")),
    ("probability_flow", "sigmas", {"turning": [1.0, 2.0, 1.5], **RUN}),
    ("standardise", "data", {"constant": [[0.1, 1.0], [0.1, 2.0], [0.1, 4.0]]}),
    ("linear_score", "features", {"dependent": FEATURES}), ("MLP", "params", {"layers": LAYERS}),
    ("EnergyMLP", "params", {"outputs": SCORE["params"]}),
    ("NoiseConditionalMLP", "params", {"inputs": SCORE["params"]}),
    ("finite_difference_loss", "radius", POSITIVE), ("denoising_vr_loss", "sigma", POSITIVE),
    *((function, "z", {"nan": NOT_A_NUMBER}) for function in ("denoising_loss", "denoising_vr_loss", "ncsn_loss")),
    ("explicit_loss", "target", {"nan": NOT_A_NUMBER}),
    ("given", "y", {"rows": [[0.5], [1.0]], "nan": ["NaN"], "empty": []}),
    ("posterior_score", "y", {"rows": [[0.5], [1.0]], "nan": ["NaN"], "width": [0.5, 1.0]}),
    ("posterior_score", "H", {"flat": [1.0, 0.5], "width": WIDE, "nan": [[1.0, "NaN"]]}),
    ("posterior_score", "noise", {"negative": -0.5, "nan": "NaN"}), ("posterior_score", "sigma", POSITIVE),
    ("posterior_score", "sigma_data", {"zero": 0.0}), ("as_score", "predicts", {"unknown": "eps"}),
    ("as_score", "path", {"unknown": "cosine"}),
    ("kde_score", "data", {"nan": NOT_A_NUMBER}), ("kde_log_density", "data", {"nan": NOT_A_NUMBER})]


def error_case(id, function, inputs, argument, error="ValueError", flags=()):
    return case(f"errors/{id}", function, inputs, {"error": error, "argument": argument}, flags=flags)


def errors():
    for function, argument, values in BAD:
        for name, value in values.items():
            inputs = {**GOOD[function], argument: value}
            if argument == "leave_one_out":
                inputs["x"] = ONE
            yield error_case(f"{function}-{argument}-{name}", function, inputs, argument)
    for argument, name, value in (("weights", "sum", [0.5, 0.25]), ("weights", "zero", [1.0, 0.0]),
                                  ("weights", "nan", [0.5, "NaN"]),
                                  ("covs", "asymmetric", [[[1.0, 0.5], [0.0, 1.0]]] * 2),
                                  ("covs", "indefinite", [[[1.0, 2.0], [2.0, 1.0]]] * 2)):
        yield error_case(f"GaussianMixture-{argument}-{name}", "GaussianMixture.score",
                         {"mixture": {**MIXTURE, argument: value}, "x": X}, argument)
    yield error_case("probes-kind", "probes", {"kind": "uniform", "shape": [3, 2]}, "kind")
    twice = {**GOOD["posterior_score"], "H": [[1.0, 1.0], [1.0, 1.0]], "y": [0.5, 1.0], "noise": 0.0}
    yield error_case("posterior_score-H-dependent", "posterior_score", twice, "H", "FloatingPointError",
                     ["rows of H that depend on each other, without noise"])
    yield from diverging()


def diverging():
    """What leaves the range of floats."""
    square = lambda W: {"kind": "mlp", "params": [(W, np.zeros(2))]}
    steep = {"kind": "noise_conditional_mlp", "sigma_data": 1.0,
             "params": [(np.array([[-1.0, 0.0], [0.0, -1.0], [0.0, 0.0]]), np.zeros(2))]}
    for id, function, inputs, argument in [
            ("langevin-diverges", "langevin", {**GOOD["langevin"], "score": square(-np.eye(2)), "step": 1e100,
                                               "noise": [Z] * 5}, "step"),
            ("annealed-diverges", "annealed_langevin", {"score": steep, "x": X, "sigmas": [2.0, 1.0], "step": 1e100,
                                                        "noise": [[Z] * 3, [Z] * 3], "denoise": False}, "step"),
            ("fit-diverges", "fit", {"objective": "denoising_loss", "score": square(1e3 * np.eye(2)), "x": X, "z": Z,
                                     "sigma": 0.5, "learning_rate": 1e154, "steps": 3}, "learning_rate")]:
        yield error_case(id, function, inputs, argument, "FloatingPointError",
                         [f"the {'loss' if function == 'fit' else 'chain'} leaves the range of floats"])


CHAPTERS = {"errors": errors}
