"""Write the test vectors of the porting kit, tests/vectors/<chapter>.json; every run writes the same.

    python tests/make_vectors.py

The cases are in vector_cases, by chapter; an objective of tests/objectives.py without a line in FUNCTIONS gets its
line and its cases from there. A case that is stored keeps its place and its "since", and its numbers to
the last bit where the new ones agree within the float64 tolerance; a new one comes last, since VERSION.
"""

import json
import sys
from functools import partial
from itertools import chain
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

import check_port
import vector_cases
from vector_cases import table

VECTORS, VERSION = check_port.VECTORS, 4
HEADER = {
    "schema": 1,
    "version": f"{VERSION}.0",
    "generated": "python tests/make_vectors.py",
    "conventions": {
        "arrays": "nested lists in row-major order; rows are samples: x is (N,d), the last axis is d",
        "params": "a list of layers, first to last; y = x W + b with W (in,out), b (out,); SiLU between layers; "
                  "one layer is a linear score, whose Jacobian ds/dx is the transpose of W",
        "score": "a score function s(x), (N,d) -> (N,d), by kind: mlp; energy_mlp (minus the gradient of its energy); "
                 "mixture; kde; noise_conditional_mlp and smoothed_mixture are s(x, sigma): where the score itself "
                 "holds a sigma, that is its level. The module of that chapter has the formula",
        "since": "the version that added a case, where that is not 1; cases keep their ids and numbers for ever",
        "value": "what the function returns (GaussianMixture.smoothed returns a mixture: value is its score, "
                 "log_density its log-density); s, Jv, trace: the score, its directional derivative and the trace of "
                 "its Jacobian at the points where the function needs them (denoising_loss, ncsn_loss: at x + sigma z)",
        "gradient": "of value in every W and b, in the layout of params (cases without params have none); where an "
                    "input is called cotangent, of sum(cotangent * last), last being value, Jv (of jvp) or trace (of "
                    "divergence)",
        "samplers": "noise holds z for every step, in order: (steps,N,d), or (levels,steps,N,d) for "
                    "annealed_langevin; path holds x after every step, value is x at the end",
        "fit": "steps of Adam with the cosine schedule; either gradients are given, one set for each step, or "
               "objective names a loss that is the same at every step (its other inputs beside it): the full batch, "
               "fixed noise. path holds params after every step, losses the loss before every step",
        "two_sample_test": "permutations holds K lists of indices into the n+m weights of (MET.3): w_k = w[indices]",
        "precision": "in that of x; GaussianMixture, sums of standardise, energy_distance, two_sample_test, "
                     "mode_weights, levels and the corrections of Adam in float64 whatever comes in, or so that "
                     "their cases pass",
        "flags": "third derivatives: the gradient of a derivative of an energy's score needs them; the others say what "
                 "is special in the inputs",
        "tolerances": "for max|answer - expected| / max|expected|, array by array; absolute where expected is all 0",
        "origin": "closed form: a formula, no package code; autograd: a network of autograd's own operations",
        "non-finite": 'inputs of error cases may be the strings "NaN", "Infinity"; nothing else is not finite',
        "errors": "expected names the error and the argument at fault, which the message must name",
    },
}
FUNCTIONS = {
    "GaussianMixture.log_density": "mixture, x (N,d) -> value (N,)",
    "GaussianMixture.score": "mixture, x (N,d) -> value (N,d)",
    "GaussianMixture.smoothed": "mixture, x (N,d), sigma -> value (N,d), the score of the smoothed mixture at x; "
                                "log_density (N,) of the same",
    "GaussianMixture.sample": "mixture, k (N,) the component of each row, z (N,d) -> value (N,d), by the lower "
                              "Cholesky factor",
    "swiss_roll": "u (N,1) uniform on [0, 1), z (N,2), noise -> value (N,2) = "
                  "(t (cos t, sin t) + noise z) / 10, t = 1.5 pi (1 + 2 u)",
    "two_moons": "u (N,1) uniform on [0, 1), side (N,1) of -1 and 1, z (N,2), noise -> value (N,2) = "
                 "side (cos t - 1/2, sin t - 1/4) + noise z, t = pi u",
    "checkerboard": "column (N,) in -2..1, row (N,) in -1..0, u (N,2) uniform on [0, 1) -> value (N,2) = "
                    "(column, 2 row + column mod 2) + u",
    "standardise": "data (n,d) -> value (n,d), shift (d,), scale (d,), the deviation with 1/n",
    "MLP": "params, x (N,d), cotangent (N,out) -> value (N,out), gradient of sum(cotangent * value)",
    "NoiseConditionalMLP": "params, sigma_data, skip where it is true, x (N,d), sigma a number or (N,), "
                           "cotangent (N,d) -> value (N,d), gradient of sum(cotangent * value)",
    "EnergyMLP": "params, x (N,d), cotangent (N,) -> value (N,), gradient of sum(cotangent * value)",
    "energy_score": "params of the energy, x (N,d), cotangent (N,d) -> value (N,d), gradient of sum(cotangent * value)",
    "init_mlp": "z, standard normal (in,out) for each layer -> params",
    "jvp": "score, x (N,d), v (N,d) or (M,N,d), cotangent like v -> s (N,d), Jv like v, gradient of "
           "sum(cotangent * Jv)",
    "divergence": "score, x (N,d), cotangent (N,) -> s (N,d), trace (N,), gradient of sum(cotangent * trace)",
    "explicit_loss": "score, x (N,d), target (N,d) -> value, s (N,d), gradient of value",
    "kde_score": "x (N,d), data (n,d), h, leave_one_out -> value (N,d)",
    "kde_log_density": "x (N,d), data (n,d), h -> value (N,); leave_one_out where it is given",
    "implicit_loss": "score, x (N,d) -> value, s (N,d), trace (N,), gradient of value",
    "generalised_loss": "score, x (N,d), g, the name of a function: x, x^2 entry by entry, or 1 - |x|^2, (N,1) -> "
                        "value, gradient of value",
    "linear_score": "features omega (d,m), beta (m,) for f(x) = sqrt(2/m) cos(x omega + beta), x (N,d), ridge, "
                    "at (B,d) -> value (B,d), the fitted score at the points at",
    "sliced_loss": "score, x (N,d), v (N,d) or (M,N,d) -> value, s (N,d), Jv like v, gradient of value",
    "sliced_vr_loss": "score, x (N,d), v (N,d) or (M,N,d) -> value, s (N,d), Jv like v, gradient of value",
    "finite_difference_loss": "score, x (N,d), v (N,d), radius -> value, gradient of value",
    "probes": "kind, and z (N,d) standard normal, or bits (N,d) of 0 and 1 for rademacher -> value (N,d)",
    "denoising_loss": "score, x (N,d), z (N,d), sigma -> value, s (N,d) at x + sigma z, gradient of value",
    "denoising_vr_loss": "score, x (N,d), z (N,d), sigma -> value, gradient of value",
    "tweedie": "score, x_noisy (N,d), sigma -> value (N,d)",
    "as_score": "model, params of net: the model is (1 + t) net(x_t), t (N,); predicts, path, x (N,d), sigma a number "
                "or (N,) -> value (N,d), the score at x",
    "given": "score of [x, y], or of that and sigma, x (N,d), y (m,) or (N,m), sigma where it is given -> value (N,d), "
             "the first d columns; gradient of sum(cotangent * value)",
    "posterior_score": "score of (x, sigma), x (N,d), sigma, H (m,d), y (m,) or (N,m), noise, sigma_data where the "
                       "covariance is fixed; else what is below 0 in H C H^T is cut -> value (N,d)",
    "ncsn_loss": "score of (x, sigma), x (N,d), z (N,d), sigma a number or (N,) -> value, s (N,d) at x + sigma z, "
                 "gradient of value",
    "geometric_sigmas": "sigma_max, sigma_min, n -> value (n,)",
    "stratified_sigmas": "u (n,) uniform on [0, 1), sigma_max, sigma_min -> value (n,)",
    "langevin": "score, x (N,d), step, noise (steps,N,d), temperature -> value (N,d), path (steps,N,d)",
    "annealed_langevin": "score of (x, sigma), x (N,d), sigmas (L,), step, noise (L,steps,N,d), denoise -> "
                         "value (N,d), path (L·steps,N,d)",
    "reverse_sde": "score of (x, sigma), x (N,d), sigmas (L,), noise (L-1,N,d) -> value (N,d)",
    "probability_flow": "score of (x, sigma), x (N,d), sigmas (L,) -> value (N,d)",
    "dpm_solver": "score of (x, sigma), x (N,d), sigmas (L,) -> value (N,d)",
    "log_likelihood": "score of (x, sigma), x (N,d), sigmas (L,), prior, a mixture -> value (N,)",
    "fit": "params, gradients, learning_rate -> path; or objective, score and its inputs, steps, learning_rate -> "
           "losses (steps,), path",
    "batch": "data (n,d), indices (B,) -> value (B,d): what fit hands to the loss",
    "fisher_divergence": "score, target, x (N,d) -> value",
    "relative_error": "score, target, x (N,d) -> value",
    "energy_distance": "a (n,d), b (m,d) -> value",
    "two_sample_test": "a (n,d), b (m,d), permutations (K,n+m) -> value; ties within 4 epsilon max R, "
                       "epsilon that of a",
    "precision_recall": "a (n,d), b (m,d), k -> precision, recall",
    "mode_weights": "x (N,d), means (K,d) -> value (K,), the first of equally near means counts",
}


TRACED = ("jvp", "divergence", "implicit_loss", "generalised_loss", "sliced_loss", "sliced_vr_loss")


def flagged(case):
    """The case with the flag "third derivatives" where it needs them."""
    energy = case["inputs"].get("score", {}).get("kind") == "energy_mlp" and case["function"] in TRACED
    third = energy and "gradient" in case["expected"]
    return {**case, "flags": [*case["flags"], *["third derivatives"] * third]}


WRITTEN = set(FUNCTIONS)
FUNCTIONS |= table.lines(WRITTEN)
CHAPTERS = list({**vector_cases.CHAPTERS, **{case["id"].split("/")[0]: 0 for case in table.cases(WRITTEN)}})


def kept(case, old):
    """The case with what is stored of it: since when it is there, and numbers of the same inputs that agree."""
    since = old.get("since") if old else VERSION
    same = old and old["inputs"] == case["inputs"] and check_port.check(old, case["expected"])[0]
    case = {**case, "inputs": old["inputs"], "expected": old["expected"]} if same else case
    return {**case, "since": since} if since else case


def chapter(name):
    """All cases of a chapter, those that are stored in their order, and then new ones."""
    stored = {case["id"]: case for case in check_port.every_case()}
    places = {id: place for place, id in enumerate(stored)}
    more = (case for case in table.cases(WRITTEN) if case["id"].startswith(f"{name}/"))
    made = chain(vector_cases.CHAPTERS.get(name, list)(), more)
    cases = [kept(flagged(case), stored.get(case["id"])) for case in made]
    return sorted(cases, key=lambda case: places.get(case["id"], len(places)))


def write(name, cases):
    """One case a line; floats as Python's repr, which reads back as the same float64."""
    dump = partial(json.dumps, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    functions = {case["function"]: FUNCTIONS[case["function"]] for case in cases}
    header = dump({**HEADER, "chapter": name, "functions": functions})
    text = header[:-1] + ',"cases":[\n' + ",\n".join(dump(c) for c in cases) + "\n]}\n"
    (VECTORS / f"{name}.json").write_text(text, encoding="utf-8")


def main():
    VECTORS.mkdir(exist_ok=True)
    for name in CHAPTERS:
        cases = chapter(name)
        write(name, cases)
        print(f"{name:12s} {len(cases):3d} cases, {(VECTORS / f'{name}.json').stat().st_size / 1000:5.1f} kB")


if __name__ == "__main__":
    main()
