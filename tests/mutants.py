"""How strong are the tests? Mistakes of the domain, each in a copy of the project, and which test notices it.

    python tests/mutants.py            all of them, on two cores
    python tests/mutants.py WORD ...   those whose file or reason holds one of the words

MUTANTS has groups: a file, the test files that should notice, and the mutants (old text, new text, why). Old text must
occur exactly once. The named tests run first; where they pass, all others that do not start processes. Mutants of the
tests' own oracles and formulas are killed where a test that stands on them fails.

Exit status 0 if every mutant is killed, 1 if one survives or its text is not found, 2 if the tests fail on the
unchanged copy.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).resolve().parent.parent
JOBS = 2
LEFT_OUT = {"test_run_all", "test_book", "test_labels", "test_readme"}  # slow, or about texts; they run where named
SECONDS = 900  # a mutant under which the tests hang is killed after so long
ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

MUTANTS = [
    ("scoremin/data.py", "test_data test_beyond", [
        ("(2 * np.pi * self.covs)[1]", "(self.covs)[1] - 0.5 * np.log(2 * np.pi)", "the factor d in the normaliser"),
        ("np.log(self.weights)", "self.weights", "w for log w"),
        ("0.5 * np.sum(diff * pull", "0.5 * np.sum(diff * diff", "no precision in the exponent"),
        ("return -np.sum(r[:, :, None] * pull", "return -np.sum(self.weights[:, None] * pull",
         "w for the responsibilities"),
        ("np.exp(a - most)", "np.exp(a)", "the maximum not taken out of the logarithm"),
        ("@ root.T", "@ root", "Cholesky factor transposed in sampling"),
        ("size=n, p=self.weights", "size=n", "equal weights in sampling"),
        ("weights / weights.sum(), np", "weights, np", "weights that sum to 1 but for rounding"),
        ("self.covs + sigma**2 * np.eye", "self.covs + sigma * np.eye", "σ for σ² in the smoothed mixture"),
        (".max() < 1e-9", ".max() < 1e-2", "asymmetric covariances accepted"),
        ("4 * covs.shape[1] * np.finfo(float).eps", "0", "covariances singular to rounding accepted"),
        ("data.mean(axis=0, dtype=float), data.std(axis=0, dtype=float)", "data.mean(axis=0), data.std(axis=0)",
         "sums of standardise in the precision of the data"),
        ("< np.finfo(data.dtype).tiny**0.5", "< 1e-8", "a column of deviation 1e-9 called constant"),
        ("1.5 * np.pi * (1 + 2 *", "np.pi * (1 + 2 *", "start of the spiral"),
        ("noise * rng.standard_normal((n, 2))) / 10", "10 * noise * rng.standard_normal((n, 2))) / 10",
         "noise of the roll not divided"),
        ("np.sin(t) - 0.25", "np.sin(t) + 0.25", "moons that do not face"),
        ("+ column % 2", "", "stripes for a checkerboard"),
        ("axis=1) + rng.random((n, 2))", "axis=1) + rng.random((n, 1))", "squares of the board filled on a diagonal"),
        ("(data - shift) / scale,", "(data - shift) / scale**2,", "variance for deviation"),
        ("data.std(axis=0, dtype=float)", "data.std(axis=0, dtype=float, ddof=1)", "1/(n − 1) in the deviation"),
        ("data.std(axis=0, dtype=float)", "np.full(data.shape[1], data.std())", "one scale for all columns"),
        ("np.sum((1 - r**2)**2)", "np.sum(1 - r**2)", "another variance of a correlation"),
        ("np.maximum(values, 0.3)", "values", "thin directions stretched without a bound"),
        ("u @ R / root", "u @ R * root", "correlations told twice, not taken out"),
    ]),
    ("scoremin/derivatives.py", "test_derivatives test_bad_input", [
        ("Jv[:, j]", "Jv[:, 0]", "the first column for the diagonal"),
        ("tr = tr + Jv", "tr = Jv", "the last entry for the trace"),
        ("np.sum(inner(units, J), axis=0)", "inner(units, J)[0]", "the first entry for the trace"),
        ("np.stack(Jv)", "np.stack(Jv[::-1])", "probes in another order"),
        ('if hasattr(score, "divergence")', "if False",
         "a divergence that is offered not used"),
        ('score.jvp(x, v) if hasattr(score, "jvp") else along', "along", "a jvp that is offered not used"),
        ("lambda a: a.sum() / a.size", "lambda a: a.sum() / len(a)", "a mean over rows of a stack"),
        ("lambda g: g / a.size *", "lambda g: g *", "the gradient of a sum for that of a mean"),
        ("np.ones(a.shape, a.dtype)", "np.ones(a.shape)", "a float64 gradient of a mean"),
        ("return np.sum(g[..., None] * b, axis=0) if g.ndim == a.ndim else g[..., None] * b", "return g[..., None] * b",
         "a cotangent not summed over probes"),
    ]),
    ("scoremin/explicit.py", "test_explicit test_beyond", [
        ("half_square(s - target)", "half_square(s + target)", "sign of the target"),
        ("/ (-2 * h**2)", "/ (-2 * h)", "h for h² in the kernel"),
        ("0.5 * d * np.log(2 * np.pi * h**2)", "0.5 * np.log(2 * np.pi * h**2)", "the factor d in the KDE"),
        ("np.concatenate(shift) / h**2", "np.concatenate(shift) / h", "h for h² in the KDE score"),
        ("k=start, ", "", "leave-one-out wrong after a block"),
        ("-np.inf, a)", "0, a)", "own kernel kept"),
        ("len(data) - leave_one_out", "len(data)", "1/n for 1/(n − 1) in leave-one-out"),
        ("np.exp(a - row_max(a))", "np.exp(a)", "the maximum not taken out of the softmax"),
        ("BLOCK // data.size", "len(x)", "all kernels held at once"),
        ("np.array_equal(x, data)", "len(x) == len(data)", "leave-one-out on other points"),
    ]),
    ("scoremin/implicit.py", "test_implicit", [
        ("half_square(s) + tr)", "half_square(s) - tr)", "sign of the trace"),
        ("half_square(s) + tr)", "half_square(s) + tr / s.shape[1])", "trace divided by d"),
        (" + inner(slope, s))", ")", "∇g left out (ISM.20)"),
    ]),
    ("scoremin/sliced.py", "test_sliced test_beyond", [
        ("mean(0.5 * inner(v, s)**2", "mean(0.5 * inner(v * v, s * s)", "squares before the sum"),
        ("mean(0.5 * inner(v, s)**2", "mean(half_square(s)", "SSM-VR for SSM"),
        ("inner(v, Jv))                               # ()  (SSM.5)", "inner(s, Jv))", "sᵀJv for vᵀJv"),
        ("(shape[-1] / np.sum", "(1 / np.sum", "sphere of norm 1"),
        ("np.sum(v**2, axis=-1", "np.sum(v**2, axis=0", "sphere over rows"),
        ("2 * rng.integers(0, 2, size=shape).astype(dtype) - 1", "rng.integers(0, 2, size=shape).astype(dtype)",
         "probes 0, 1 for ±1"),
        ("rng.standard_normal(shape, dtype)", "rng.random(shape, dtype)", "uniform probes"),
        ("rng.standard_normal(shape, dtype)", "np.broadcast_to(rng.standard_normal(shape[-1:], dtype), shape) + 0",
         "one probe for all rows"),
        ("score(x - radius * v)", "score(x)", "one-sided difference"),
        ("(ahead - behind) / (2 * radius)", "(ahead - behind) / radius", "radius for its double"),
        ("s, Jv = 0.5 * (ahead + behind)", "s, Jv = ahead", "the score at one side for the mean"),
    ]),
    ("scoremin/denoising.py", "test_denoising test_beyond", [
        ("half_square(s + z / sigma)", "half_square(s - z / sigma)", "sign of the DSM target"),
        ("half_square(s + z / sigma)", "half_square(s + z / sigma**2)", "σ² for σ in the target"),
        ("s = score(x + sigma * z)  ", "s = score(x + sigma**2 * z)  ", "σ² for σ in the noise"),
        ("s = score(x + sigma * z)  ", "s = score(x)  ", "the score asked at the clean point"),
        ("x_noisy + sigma**2 * score", "x_noisy + sigma * score", "σ for σ² in Tweedie"),
        ("inner(z, s - clean)", "inner(z, s)", "no control variate"),
        ("x.shape[1] / (2 * sigma**2)", "1 / (2 * sigma**2)", "the d of the constant d/2σ²"),
    ]),
    ("scoremin/ncsn.py", "test_ncsn test_bad_input", [
        ("mean(half_square(sigma * s + z))", "mean(half_square(sigma * (sigma * s + z)))", "weighted by σ² twice"),
        ("mean(half_square(sigma * s + z))", "mean(half_square(sigma**0.5 * (s + z / sigma)))", "weighted by σ for σ²"),
        ("mean(half_square(sigma * s + z))", "mean(half_square(s + z / sigma))", "not weighted"),
        ("sigma * z, sigma)  ", "sigma * z, sigma[::-1])  ", "levels of other rows"),
        ("x + sigma * z, sigma)", "x + sigma**2 * z, sigma)", "σ² for σ in the noise of NCSN"),
        ("[z, -z], [sigma", "[z, z], [sigma", "one noise twice for z and −z"),
        ("np.geomspace(sigma_max, sigma_min, n)", "np.linspace(sigma_max, sigma_min, n)", "linear levels"),
        ("np.geomspace(sigma_max, sigma_min, n)", "np.geomspace(sigma_max, sigma_min, n + 1)[:-1]",
         "the last level missing"),
        ("* (1 + 4e-16 * n)", "", "levels closer than rounding"),
        ("rng.random(n)) / n", "rng.random()) / n", "one shift for all stratified levels"),
        ("sigma_max > sigma_min * (1 + 4e-16 * n)", "sigma_max >= sigma_min", "equal levels accepted"),
    ]),
    ("scoremin/ncsn.py", "test_recipe", [
        ("(1 + sigma[:, 0]**2) *", "(1 + sigma[:, 0]) *", "σ for σ² in the even weight"),
        ("[z, -z], [sigma", "[z, z], [sigma", "one noise twice in the even loss"),
    ]),
    ("scoremin/recipe.py", "test_recipe", [
        ('method="hazen"', 'method="linear"', "extreme rows with half their weight on the way back"),
        ("annealed) @ Q", "annealed)", "samples without their correlations"),
        ("< 0.5:", "< 0.05:", "copies unsaid"),
        ("q * (rng.random(len(column)) - 0.5)", "q * rng.random(len(column))", "cells that begin at their value"),
        ("0.3 * near / d**0.5", "0.3 * near", "σ_L without the root of d"),
    ]),
    ("scoremin/langevin.py", "test_langevin", [
        ("x + 0.5 * step * score", "x + step * score", "drift ε with noise √ε"),
        ("(temperature * step)**0.5", "temperature * step", "noise step for √step"),
        ("(temperature * step)**0.5", "(2 * temperature * step)**0.5", "noise √(2 step)"),
        ("(temperature * step)**0.5", "temperature * step**0.5", "T for √T"),
        ("rng.standard_normal(x.shape, x.dtype)", "rng.random(x.shape, x.dtype)", "uniform noise"),
        ("rng.standard_normal(x.shape, x.dtype)", "rng.standard_normal((1, x.shape[1]), x.dtype) + 0 * x",
         "one noise for all chains"),
        ("rng.standard_normal(x.shape, x.dtype)", "rng.standard_normal((len(x), 1), x.dtype) + 0 * x",
         "one noise for all coordinates"),
        ("step * sigma**2 / sigmas[-1]**2", "step * sigma / sigmas[-1]", "step ∝ σ in annealed Langevin"),
        ("step * sigma**2 / sigmas[-1]**2", "step * sigma**2 / sigmas[0]**2", "step of the first level"),
        ("x + sigma**2 * score(x, sigma) if", "x + sigma * score(x, sigma) if", "σ for σ² in the last denoising"),
        ("i * n_steps + k", "i + k", "annealed indices"),
        ("enumerate(sigmas)", "enumerate(sigmas[:-1])", "the last level not run"),
        ("score(x, sigma), x, step_i", "score(x, sigmas[-1]), x, step_i", "the last level's score at all levels"),
    ]),
    ("scoremin/linear.py", "test_linear test_bad_input", [
        ("f.T @ f / len(x))", "f.T @ f)", "a sum for the mean F"),
        ("slopes.mean(axis=1)", "slopes.sum(axis=1)", "a sum for the mean U"),
        ("+ ridge * np.eye", "+ ridge * len(x) * np.eye", "ridge of a sum for that of a mean"),
        ("slopes.mean(axis=1)", "slopes[::-1].mean(axis=1)", "coordinates in another order"),
        ("hermitian=True) == len(F)", "hermitian=True) >= len(F) - 1", "one dependent feature accepted"),
        ('(Size("N"), len(W.T))', '(Size("N"), Size("d"))', "a linear score in another dimension"),
    ]),
    ("scoremin/metrics.py", "test_metrics test_bad_input", [
        ("(1 + 1e-9) * neigh", "neigh", "distances of whole numbers told apart by rounding"),
        ("sum(np.sum(R) for R", "sum(np.sum(R**2) for R", "squared distances"),
        ("(len(a) * len(b))", "(len(a) * (len(b) - 1 or 1))", "1/(n − 1) in the energy distance"),
        ("range(0, len(a), rows))", "range(0, len(a), rows + 1))", "a row lost between blocks"),
        ("rows = max(1, 2**16 // len(b))", "rows = len(a)", "all distances held at once"),
        ("rows = max(1, 2**16 // len(b))", "rows = 2**16 // len(b)", "more than 65,536 points"),
        ("[:, k - 1].copy()", "[:, k - 1]", "all distances kept by a view of one column"),
        ("[1 / len(a), -1 / len(b)]", "[1 / len(a), -1 / len(a)]", "weights of the second sample"),
        ("range(n_permutations)]", "range(n_permutations - 1)]", "B off by one"),
        (" - 4 * np.finfo(a.dtype).eps * R.max()", "", "ties lost to rounding"),
        ("np.finfo(a.dtype)", "np.finfo(float)", "ties in float64 of float32 points"),
        ("eps * R.max()", "eps", "ties at one scale"),
        ("ED >= ED[0]", "ED[1:] >= ED[0]", "no 1 + in the p-value"),
        ("minlength=len(means)", "minlength=0", "empty modes left out"),
        ("explicit_loss(score, x, truth) / size", "(explicit_loss(score, x, truth) / size)**0.5",
         "a root of the relative error"),
        ("explicit_loss(np.zeros_like, x, truth)", "explicit_loss(np.zeros_like, x, score(x))",
         "relative to the score"),
        ("1e-5 * a.shape[1]", "1e-14 * a.shape[1]", "distances to one digit"),
        ("neighbour_distance(b, b, k + 1)", "neighbour_distance(b, b, k)", "the point itself among its neighbours"),
        ("_share_within(a, b, k), _share_within(b, a, k)", "_share_within(b, a, k), _share_within(a, b, k)",
         "precision for recall"),
        ("@checked(x=doubles, means=doubles)", "@checked(x=start, means=start)",
         "squares of huge points in mode_weights"),
    ]),
    ("scoremin/network.py", "test_network test_bad_input test_derivatives test_gradients", [
        ("sigmoid(y) * (1 + y * (1 - sigmoid(y)))", "sigmoid(y) * (1 + y * sigmoid(y))", "φ'"),
        ("(lambda y: y / (1 + np.exp(-y)))", "(lambda y: y / (1 + np.exp(y)))", "ς(−y) in the activation alone"),
        ("tau = np.sqrt(sigma**2 + self.sigma_data**2)", "tau = sigma + self.sigma_data", "input scaling"),
        ("return f / sigma", "return f", "1/σ of the output"),
        ("/ np.sqrt(n_in)", "/ np.sqrt(n_out)", "spread of W"),
        ("b + math.log(sigma) * W[-1]", "b + sigma * W[-1]", "σ for log σ at one level"),
        ("W / size, b / size", "W / size, b", "1/σ of the last bias at one level"),
        ("(sigma**2 + self.sigma_data**2)**0.5", "(sigma**2 + 1)**0.5", "σ_data at one level"),
        ("np.concatenate([x / tau, np.log(sigma)]", "np.concatenate([x / tau, np.log10(sigma)]", "log₁₀ σ as input"),
        ("self.sigma_data / (sigma * tau) * f - x / tau**2", "self.sigma_data / (sigma * tau) * f - x / tau",
         "τ for τ² in the score of the skip"),
        ("inclined(tr, self.slope, self.d)", "inclined(tr, self.slope, 1)", "the d of the skip's trace"),
        ("if len(self.params) == 3", "if len(self.params) >= 3", "the closed form at another depth"),
    ]),
    ("scoremin/train.py", "test_train", [
        ("0.9 * m_1 + 0.1 * g", "0.99 * m_1 + 0.01 * g", "β₁"),
        ("0.999 * m_2 + 0.001 * g**2", "0.99 * m_2 + 0.01 * g**2", "β₂"),
        ("m_1 / (1 - 0.9**k)", "m_1", "no correction of m_1 (FIT.2)"),
        ("np.sqrt(m_2_hat) + 1e-8", "np.sqrt(m_2_hat + 1e-8)", "10⁻⁸ under the root"),
        ("(k - 1) / steps", "k / steps", "the schedule off by one"),
        ("rng.integers(len(data),", "rng.integers(len(data) - 1 or 1,", "the last row never drawn"),
        ("rng.integers(len(data), size=batch_size)", "rng.permutation(len(data))[:batch_size]",
         "rows drawn without replacement"),
        ("data, theta.dtype), np.zeros_like(theta)", "data), np.zeros_like(theta)",
         "batches in the precision of the data"),
        ("(progress(range(steps)), 1)", "(list(progress(range(steps))), 1)", "steps run ahead of the progress"),
        ("loss(params, x, rng), params)", "loss(params, x, np.random.default_rng(0)), params)",
         "a generator of its own for the loss"),
        ("np.cumsum([a.size for a in parts])", "np.cumsum([a.size for a in parts[::-1]])",
         "arrays cut in another order"),
        ('floats("params", theta, error=FloatingPointError)', "pass", "a last step to infinity"),
    ]),
    ("scoremin/sde.py", "test_sde", [
        ("x + lost * score", "x + 0.5 * lost * score", "half of the reversed drift"),
        ("+ lost**0.5 * z", "+ (2 * sigma * (sigma - after))**0.5 * z", "δ by the slope of σ²"),
        ("+ lost**0.5 * z", "+ (2 * sigma)**0.5 * z", "√(2σ(t)) dw for the reverse process"),
        ("lost = sigma**2 - after**2", "lost = (sigma - after)**2", "square of the difference of σ"),
        ("lost = sigma**2 - after**2", "lost = sigma - after", "σ for σ² as time"),
        ("slope = -sigma * score", "slope = -score", "σ of the flow"),
        ("score(guess, after))", "score(x, after))", "Heun without its guess"),
        ("score(guess, after))", "score(guess, sigma))", "the far slope at the near level"),
        ("(slope - after * score", "(slope - sigma * score", "the near σ in the far slope"),
        ("D, width = x + sigma**2 *", "D, width = x + sigma *", "σ for σ² in the denoiser"),
        ("after / sigma * x + (1 - after / sigma) * ahead", "(1 - after / sigma) * x + after / sigma * ahead",
         "the two parts of the solver exchanged"),
        ("0.5 * width / last[1] *", "0.5 *", "steps of unequal width"),
        ("last[:] = D, width", "last[:] = ahead, width", "the corrected denoiser remembered"),
        ("2 * f_2 + 2 * f_3", "4 * f_2", "Runge and Kutta without f_3"),
        ("0.5 * (sigma + after)", "(sigma * after)**0.5", "a geometric mid-step"),
        ("y + step * f_3", "y + 0.5 * step * f_3", "the last slope at mid-step"),
        ("[-s, tr[:, None]]", "[s, tr[:, None]]", "the likelihood's path against the flow"),
        ("return sigma * np.hstack", "return np.hstack", "σ in the likelihood"),
        ("return prior(y[:, :-1]) - y", "return prior(y[:, :-1]) + y", "sign of the integral"),
        ("prior(y[:, :-1])", "prior(x)", "the prior asked at the data"),
        ("y, sigmas[::-1])", "y, sigmas)", "the likelihood's path downwards"),
        ("moved(advance(x, sigmas[i], after), x, ", "moved(x, advance(x, sigmas[i], after), ",
         "the place before a step for the one after"),
    ]),
    ("scoremin/conditional.py", "test_conditional", [
        ("sigma**2 * units + sigma**4 * J", "sigma**2 * units + sigma**2 * J", "σ² for σ⁴ in the covariance given x̃"),
        ("units / (1 / sigma**2 + 1 / sigma_data**2)", "units * (sigma**2 + sigma_data**2)",
         "variances for precisions (COND.9)"),
        ("kept + noise**2", "kept + noise", "the deviation of y for its variance"),
        ("return s + gradient(", "return gradient(", "the likelihood's slope alone"),
        ("kept, size = np.maximum(values, 0)", "kept, size = np.abs(values)", "eigenvalues turned over, not cut"),
        ("size[:, :, None] + size[:, None]", "kept[:, :, None] + kept[:, None]", "axes that do not turn (COND.16)"),
        ("np.dot(x + sigma**2 * s, H.T)", "np.dot(x, H.T)", "y held against the noisy points"),
    ]),
    ("scoremin/backprop.py", "test_backprop test_gradients test_network", [
        ("isinstance(params._node, VJPNode) and ", "", "rules of reverse mode in forward mode"),
        ("any(isinstance(part, Box) for part in ([g, *g] if pair else [g]))", "False",
         "derivatives through the cotangent lost"),
        ("and not traced(params._value, *arrays)", "", "rules by hand where arrays are traced"),
        ("range(0, n, rows)", "range(0, n - 1, rows)", "a last row lost after blocks"),
        ("inputs[-1] * rests[-1]", "inputs[-1] * gate", "φ' in the fast path"),
        ("rest * (2 * slope - a)", "rest * (slope - a)", "φ''"),
        ("before.append(slope * after[-1])", "before.append(after[-1])", "φ' dropped from tangents and adjoints"),
        ("tape.slopes[::-1], delta)", "tape.slopes, delta)", "φ' of other layers in the adjoint"),
        ("tape.slopes[l - 1]", "tape.slopes[0]", "φ' of the first layer everywhere"),
        ("delta += bends[l - 1]", "delta += 0 * bends[l - 1]", "the mixed derivative dropped"),
        ("np.dot(ones, delta)", "delta[0]", "one row for the sum in db"),
        ("np.sum(y_dot * back, axis=0)", "(y_dot * back)[0]", "one probe for the sum over probes"),
        ("G = np.dot(W_1.T, W_3.T)", "G = np.dot(W_3, W_1)", "W_3 W_1 transposed"),
        ("bend_2 * (t[:, None] * through)", "bend_2 * (0 * through)", "the trace's share of the second layer"),
        ("dG.T), dB * G,", "dG.T), dB,", "Hadamard factor of dW_2"),
        ("np.dot(dG.T, W_1.T)", "np.dot(dG, W_1.T)", "dG transposed in dW_3"),
        ("np.ones(len(delta), delta.dtype)", "np.ones(len(delta))", "float64 bias gradients"),
        ("sequence(map(sequence, params))", "params", "no rule by hand for a network made of traced pieces"),
        ("backward(tape, np.zeros_like(E)", "backward(tape, np.ones_like(E)", "δ = 1 for 0 under an energy's gradient"),
    ]),
    ("scoremin/energy.py", "test_energy test_gradients", [
        ("network(self.params, x)[:, 0]", "network(self.params, x)", "an energy as a column"),
        ("checked(lambda x: -slope(x))", "checked(lambda x: slope(x))", "energy sign flipped"),
        ("plain(params, x)[:, 0], x)", "plain(params, 2 * x)[:, 0], x)", "the slope of E at another point"),
    ]),
    ("scoremin/checks.py", "test_bad_input test_conventions", [
        ("return math.isfinite(np.vdot(a, a)) or bool(np.isfinite(a).all())", "return True",
         "NaN and infinity accepted"),
        ("np.vdot(a, a)) or bool(np.isfinite(a).all())", "np.vdot(a, a))",
         "finite numbers without a finite square refused"),
        ('kinds="biuf"', 'kinds="biufc"', "complex numbers accepted"),
        ("demand(not np.ma.is_masked(array), name", "demand(True, name", "masked entries accepted"),
        ("return demand(not isinstance(a, Box), name", "return demand(True, name",
         "traced values where there is no derivative"),
        ("dtype or (a.dtype if a.dtype in LIMITS else DOUBLE)", "a.dtype if a.dtype in LIMITS else DOUBLE",
         "float32 left among float64"),
        ("        return size > 0", "        return True", "no rows accepted"),
        ("value.shape not in shapes:", "value.shape[-1:] not in [shape[-1:] for shape in shapes]:",
         "rows that broadcast"),
        ("untraced(name, a), x).copy()", "untraced(name, a), x)", "the caller's array kept"),
        ("x.dtype, (), (len(x),)), LIMITS", "x.dtype, (), (len(x),), (1,)), LIMITS",
         "one level in a list for all rows"),
        ("demand(least < sigma.min() and sigma.max() < most", "demand(least < sigma.max() < most",
         "a level of 0 among others"),
        ("((steps < 0).all()", "((steps <= 0).all()", "equal levels in a list of them"),
        ("(upwards and (steps > 0).all())", "(steps > 0).all()", "ascending levels"),
        ("(b, np.shape(W)[1:])", "(b, np.shape(b))", "a bias that broadcasts"),
        ('(width, Size("out"))', '(Size("in"), Size("out"))', "layers that do not fit"),
        ('name, pair = f"params[{l}]"', 'name, pair = f"params[{l + 1}]"', "the wrong layer named"),
        ("call(*map(frozen, (x, more", "call(*map(lambda a: a, (x, more",
         "a score of x and levels that writes into them"),
        ("isinstance(s, Box) else s.copy()", "isinstance(s, Box) else s", "a score's one buffer, used again"),
        ('hasattr(call, "bare") and call.__self__.d == x.shape[1]', 'hasattr(call, "bare")',
         "a network asked for points of another width"),
        ('"divergence": lambda x: [x.shape, x.shape[:1]]', '"divergence": lambda x: [x.shape, x.shape]',
         "a trace of any shape"),
        ("floats(name, s, x.dtype, shape, error=FloatingPointError)", "s", "any value of a score"),
        ("if far else", "if True else", "the step blamed for the score"),
        ("np.any(beside != s", "np.all(beside != s", "dependence on x hidden in one column only"),
        (", axis=-1)) > 0.5:", ", axis=-1)) > 1:", "dependence on x that autograd does not see"),
        ("lambda i, x: f and f(i, x.copy())", "lambda i, x: f and f(i, x)", "a callback that may write into the chain"),
        ("least, most: least < a < most", "least, most: 0 < a < most", "a number whose square is none"),
        ("2**53 and n == int(n)", "2**53", "half of a step"),
        ('"n_steps": whole(0)', '"n_steps": whole(1)', "no steps refused"),
        ("grid, upwards = partial(descending, least=2)", "grid, upwards = partial(descending, least=3)",
         "two levels refused"),
        ('with np.errstate(all="ignore"):', 'if np.seterr(all="ignore"):', "an error state that leaks out"),
        ("    if not finite(getval(value)):", "    if False:", "an answer out of range"),
        ("    if not math.isfinite(np.vdot(after, after)):", "    if False:", "divergence not seen"),
        ("None, (), error=FloatingPointError)", "None, error=FloatingPointError)", "a loss of many numbers"),
        ("went(x, after)}", "went(after, x)}", "where the chain went and came from exchanged"),
        ("if named or not len(given) <= len(names) <= len(args):", "if False:",
         "arguments that the signature has not, or has twice"),
    ]),
    ("run_all.py", "test_run_all", [
        ("signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)\n        process", "pass\n        process",
         "figures that hear the signals too"),
        ("except BaseException:", "except Exception:", "a figure that exits leaves no trace"),
        ("process.kill()  #", "process.terminate()  #", "figures, which are deaf to SIGTERM, not killed"),
        (" and waiting[0] not in gallery.TIMED", "", "measured times beside others"),
        ("(name in gallery.TIMED, -gallery", "(False, -gallery", "measured times not last"),
        ("stream(seed, name, part)", "stream(0, name, part)", "--seed without effect"),
        ("list(dict.fromkeys(args.only))", "list(args.only)", "a figure named twice drawn twice"),
        ("if signal.getsignal(number) != signal.SIG_IGN:", "if True:", "nohup overruled"),
        ("return 128 + stop[0] if stop", "return 130 if stop", "one status for all signals"),
        ('errors="namereplace"', 'errors="strict"', "signs that an old encoding has not"),
    ]),
    ("figures/gallery.py", "test_gallery test_run_all", [
        ('if record["budget"] < 1:\n        return "drawn', 'if record["budget"] <= 1:\n        return "drawn',
         "claims not checked at the full budget"),
        ('"≤ {high:.4g}" if low is None', '"≥ {high:.4g}" if low is None', "an upper bound shown as a lower one"),
        ("not math.isfinite(claim.value)", "False", "a claim of NaN"),
        ('{verdict(old), verdict(new)} != {"ok"}', 'verdict(old) != "ok"', "a missed claim on times not recorded"),
        ("(records.keys() - set(only))", "records.keys()", "--only does not replace measured times"),
    ]),
    ("tests/oracles.py", "test_gradients test_denoising", [
        ("/ np.max(np.abs(numeric))", "/ 1e9", "a slope's error relative to a billion"),
        ("numeric.append((loss(unflatten(flat + size * u)) - loss(unflatten(flat - size * u))) / (2 * size))",
         "numeric.append(np.dot(g, u))", "a gradient held against itself"),
        ("        assert z.shape == tuple(shape)\n", "", "replayed noise of any shape"),
        ("z = np.asarray(next(self.draws), dtype)", "z = np.broadcast_to(np.asarray(next(self.draws), dtype), shape)",
         "replayed noise broadcast"),
        ("z = np.sqrt(d) * np", "z = np", "exact noise of variance 1/d"),
        ("np.repeat(z, n, axis=0)", "np.tile(z, (n, 1))", "exact noise not at every point"),
        ("np.tanh(0.5 * h)", "np.tanh(h)", "the half in the plain network's sigmoid"),
        ("WIDTH = 18 / 360", "WIDTH = 18 / 361", "width of the quadrature"),
        ("np.linspace(-9, 9, 361)", "np.linspace(-3, 3, 361)", "ends of the quadrature"),
        ("rng.normal(0, 0.5, b.shape)", "np.zeros(b.shape)", "biases of 0 in the tests' networks"),
    ]),
    ("tests/objectives.py", "test_gradients", [
        ("0.5 * s @ s + sum(J[j, j]", "0.5 * s @ s + sum(J[0, j]", "a row for the diagonal by loops"),
        ("v if v.ndim == 3 else v[None]", "v[:1] if v.ndim == 3 else v[None]", "the first probe alone by loops"),
        ("(gate + x * gate * (1 - gate))[:, None]", "gate[:, None]", "φ' by loops"),
        ("zip(rows(x + sigma[:, None] * z, sigma), z, sigma)", "zip(rows(x, sigma), z, sigma)",
         "clean points in NCSN by loops"),
        ("return sum(numbers) / len(numbers)", "return sum(numbers)", "a sum for a mean by loops"),
        ("0.09 * np.eye(D)", "0.3 * np.eye(D)", "σ for σ² in the optimum of DSM"),
        ("sigma**2 * (S + sigma**2 * np.eye(D))", "(S + sigma**2 * np.eye(D))",
         "levels of equal weight in the optimum"),
        ("v = 2.0 * np.array", "v = 1.0 * np.array", "signs 0 and −1"),
    ]),
    ("tests/test_data.py", "test_data", [
        ("r = np.exp(log_joint - np.max(log_joint))\n", "r = np.ones(len(P))\n", "weights in the formula (MIX.5)"),
        ('np.einsum("k,ki,kj->ij", r, u - s, u - s)', 'np.einsum("k,ki,kj->ij", r, u, u)',
         "the mean in the formula (MIX.5)"),
    ]),
    ("tests/test_explicit.py", "test_explicit", [
        ("limit = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), 0.8 * log(1.6) + 0.2 * log(0.4)",
         "limit = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), 0.5 * log(1.6) - 0.5 * log(0.4)",
         "KL from the other side in the formula (ESM.7)"),
        ("(1 - np.tanh(h**-2)) / h**2", "(1 + np.tanh(h**-2)) / h**2", "sign of tanh in the formula (ESM.8)"),
        ("(2 / h**2, lambda", "(1 / h**2, lambda", "the 2 of leave-one-out in the formula (ESM.8)"),
    ]),
    ("tests/test_implicit.py", "test_implicit", [
        ("data = data - np.outer(data @ n, n) + [1.0, 2.0, 3.0]", "data = data + [1.0, 2.0, 3.0]",
         "data with spread along n in (ISM.14)"),
        ("A @ data.mean(axis=0))]), data) == pytest.approx(-c, rel", "0 * data[0])]), data) == pytest.approx(-c, rel",
         "m = 0 for μ in (ISM.14)"),
    ]),
    ("tests/test_denoising.py", "test_denoising", [
        ("mean(s - y) - mean(s - best) - mean(y - best)", "mean(s - y) - mean(s - best) + mean(y - best)",
         "sign in the formula (DSM.14)"),
        ("np.sqrt((1 - alpha_bar) / alpha_bar)", "np.sqrt(1 - alpha_bar)", "σ in the formula (DSM.15)"),
        ("predicted(x_t / np.sqrt(alpha_bar)) / np.sqrt(1 - alpha_bar)", "predicted(x_t) / np.sqrt(1 - alpha_bar)",
         "x̃ in the formula (DSM.15)"),
    ]),
    ("tests/test_ncsn.py", "test_ncsn", [
        ("for sigma in (0.51 * most", "for sigma in (0.49 * most", "the half in the bound before (NCSN.6)"),
        ("(2 * d)**0.5 * (gamma - 1)", "d**0.5 * (gamma - 1)", "2d in the formula (NCSN.7)"),
        ("normal(shift(gamma) - 3 * gamma)", "normal(shift(gamma) - 3)", "3γ in the formula (NCSN.7)"),
    ]),
    ("tests/test_langevin.py", "test_langevin", [
        ("bound = 0.5 * np.sqrt(2e-5) / 0.01", "bound = np.sqrt(2e-5) / 0.01", "the half in the formula (LD.9)"),
        ("sigma / np.sqrt(1 + sigma**2)) - 1", "sigma**2 / np.sqrt(1 + sigma**2)) - 1",
         "σ² for σ in the formula (LD.13)"),
    ]),
    ("tests/test_metrics.py", "test_metrics", [
        ("2 / (2 / np.pi) * np.mean(squared)", "2 / (1 / np.pi) * np.mean(squared)", "c_2 in the formula (MET.5)"),
        ("- 2 * np.sum(np.square(gap)", "- np.sum(np.square(gap)", "the 2 of the formula (MET.5)"),
    ]),
    ("figures/common.py", "test_common", [
        ("self.value <= self.high", "self.value <= abs(self.high) + 1", "upper bounds of claims"),
        ("self.low <= self.value)", "self.low < self.value)", "a value on its lower bound"),
        ("[seed, crc32((name + part).encode())]", "[seed, crc32(name.encode())]",
         "one stream for all parts of a figure"),
        ("[seed, crc32((name + part).encode())]", "crc32((name + part).encode())", "one stream for all seeds"),
        ('metadata={"Software": None}', "metadata={}", "the software's version in the picture's bytes"),
        ("1 + (len(v) if v.ndim == 3 else 1)", "1", "passes of tangents not counted"),
        ('"divergence": lambda x: 2}', '"divergence": lambda x: 1}', "passes of traces not counted"),
        ("np.stack(np.meshgrid(axis, axis), axis=-1)", "np.stack(np.meshgrid(axis, axis)[::-1], axis=-1)",
         "x₁ and x₂ exchanged on the grid"),
        ('origin="lower", extent=(-box, box, -box, box),\n                      cmap=cmap',
         'origin="upper", extent=(-box, box, -box, box),\n                      cmap=cmap', "a map upside down"),
        ("np.minimum(1, longest /", "np.maximum(1, longest /", "arrows of at least the longest length"),
        ("ax.quiver(*x.T, *s.T,", "ax.quiver(*x.T, *-s.T,", "arrows against the score"),
        ("np.linalg.norm(score(x) - target(x), axis=1)", "np.linalg.norm(score(x) - target(x), axis=1)**2",
         "a square for a distance"),
        ("return len(x) * np.mean(", "return np.mean(", "the factor n of the real distance"),
        ("label=label), **options)", "label=label))", "options of fit dropped"),
        ("row[:, :2], row[:, 2:])", "row[:, 2:], row[:, :2])", "points and targets exchanged"),
        ("anp.maximum(anp.dot(a, W) + b, 0.0)", "anp.maximum(anp.dot(a, W), 0.0) + b", "bias after the ReLU"),
    ]),
    ("tests/check_port.py", "test_vectors", [
        ("and not isinstance(value, bool)", "", "true as a number"),
        ("abs(value) <= sys.float_info.max", "abs(value) != math.inf", "NaN as a number"),
        ("or len(answer) != len(expected)", "or len(answer) < len(expected)", "more layers than expected"),
        ("default=0) or 1\n", "default=0) + 1\n", "absolute for small numbers"),
        ("max((abs(got - want) / scale", "max((abs(abs(got) - abs(want)) / scale", "sizes without signs"),
        ("return max(((error(pairs), where)", "return min(((error(pairs), where)", "the best array for the worst"),
        ('(rtol or case["tolerances"][dtype]), error, where', '50 * (rtol or case["tolerances"][dtype]), error, where',
         "a tolerance fifty times too wide"),
        ('error <= (rtol or case["tolerances"][dtype])', 'error <= (rtol or case["tolerances"]["float32"])',
         "float64 held to float32's tolerance"),
        ("scale = max((abs(want) for _, want in pairs), default=0) or 1",
         "scale = max((abs(got) for got, _ in pairs), default=0) or 1", "relative to the answer"),
        ("default=0) or 1\n", "default=0) or math.inf\n", "expected zeros that accept anything"),
        ('error <= (rtol or case["tolerances"][dtype])', 'error <= case["tolerances"][dtype]', "--rtol without effect"),
        ("all(answer.get(key) == expected[key] for key in expected)",
         "any(answer.get(key) == expected[key] for key in expected)", "the kind of error alone"),
        ("else id.startswith(pattern)", "else pattern in id", "--only that matches anywhere"),
        ("and not (\n            answered and", "and not (\n            not answered and",
         "--answered the other way round"),
        ("int(passed < len(cases) or bool(unknown))", "int(passed < len(cases))", "an unknown case passes"),
        ("<= 10 * t * abs(want) for", "<= 1 for", "a factor that is not shared"),
        ("return r if max(", "return r if True or max(", "a factor where there is none"),
    ]),
    ("figures/book_math.py", "test_book", [
        ('return nodes if braces or token.kind == "sub" else unbracketed(nodes)', "return unbracketed(nodes)",
         "brackets lost that an index needs"),
        ('while line and line[0].kind == "slash" and not line[0].space:', 'while line and line[0].kind == "slash":',
         "a loose slash over the factors beside it alone"),
        ("[unbracketed(over), unbracketed(under)]", "[over, under]", "brackets around the whole of a numerator"),
        ('{"low": "sub", "high": "sup"}[kind]', '"sub"', "exponents lowered"),
    ]),
    ("figures/book_read.py", "test_book", [
        ("return chapters[-1].name", "return chapters[0].name", "a figure that names no chapter put first"),
        ("return found[-1]", "return found[0]", "the first chapter for the last"),
    ]),
    ("tests/answers.py", "test_vectors", [
        ('return score(a["x"] + column *', 'return score(a["x"] - column *',
         "the noise of NCSN's s the other way round"),
        ('return {"W": listed(value[0]), "b": listed(value[1])}',
         'return {"W": listed(value[1]), "b": listed(value[0])}', "W and b exchanged in answers"),
    ]),
]


def first_failure(folder, tests):
    """The first test of these files that fails on the copy, or None."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider",
               *(f"tests/{test}.py" for test in tests)]
    try:
        done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False,
                              timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"no end after {SECONDS} s"
    failed = re.search(r"^(?:FAILED|ERROR) (?:tests/)?(.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    return (failed.group(1) if failed else done.stdout[-500:] + done.stderr[-500:]) if done.returncode else None


def try_mutant(mutant, folders):
    """One mutant on one of the copies: what became of it, a line."""
    file, tests, old, new, why = mutant
    folder = folders.get()
    path = folder / file
    text = path.read_text(encoding="utf-8")
    try:
        if text.count(old) != 1:
            return f"NOT FOUND  {file:24s} {why}: {old!r} occurs {text.count(old)} times"
        path.write_text(text.replace(old, new), encoding="utf-8")
        others = {test.stem for test in (folder / "tests").glob("test_*.py")} - LEFT_OUT - set(tests)
        killer = first_failure(folder, tests) or first_failure(folder, sorted(others))
        return f"killed     {file:24s} {why} <- {killer}" if killer else f"SURVIVED   {file:24s} {why}: {new!r}"
    finally:
        path.write_text(text, encoding="utf-8")
        folders.put(folder)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD", help="only mutants whose file or reason holds one of these")
    words = parser.parse_args(argv).words
    chosen = [(file, tests.split(), *mutant) for file, tests, mutants in MUTANTS for mutant in mutants
              if not words or any(word in file or word in mutant[2] for word in words)]
    ignored = shutil.ignore_patterns(".git", "__pycache__", ".*cache", "*.gif", ".unfinished*")
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(JOBS) as pool:
        folders = Queue()
        for job in range(JOBS):
            folders.put(shutil.copytree(ROOT, Path(scratch) / f"copy{job}", ignore=ignored))
        failed = first_failure(folders.queue[0], sorted({test for mutant in chosen for test in mutant[1]}))
        if failed:
            print(f"the tests fail without any change: {failed}")
            return 2
        lines = []
        for line in pool.map(lambda mutant: try_mutant(mutant, folders), chosen):
            print(line, flush=True)
            lines.append(line)
    killed = sum(line.startswith("killed") for line in lines)
    print(f"{killed} of {len(lines)} mutants killed")
    return 0 if killed == len(lines) else 1


if __name__ == "__main__":
    sys.exit(main())
