"""How strong are the tests? One-line changes to a copy of the project, and which test notices each.

    python tests/mutants.py            all of them, on two cores
    python tests/mutants.py WORD ...   those whose file or reason holds one of the words

MUTANTS has groups: a file, the tests that should notice, FILE or FILE::NAME each, and the mutants (old text, new text,
why). Old text must occur exactly once. The named tests run first; where they pass, the whole of their files, then all
others that do not start processes. Mutants of the tests' own oracles and formulas are killed where a test that stands
on them fails.

Exit status 0 if every mutant is killed, 1 if one survives or its text or test is not found, 2 if the tests fail on the
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
LEFT_OUT = {"test_run_all", "test_book", "test_labels"}  # slow, or about texts; they run where a mutant names them
SECONDS = 900  # a mutant under which the tests hang is killed after so long
ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

MUTANTS = [
    ("scoremin/data.py", "test_data", [
        ("- 0.5 * d * np.log(2 * np.pi)", "- 0.5 * np.log(2 * np.pi)", "the factor d in the normaliser"),
        ("- 0.5 * np.linalg.slogdet", "- np.linalg.slogdet", "half of log det"),
        ("(np.log(self.weights)", "(self.weights", "w for log w"),
        ("0.5 * np.sum(diff * pull", "0.5 * np.sum(diff * diff", "no precision in the exponent"),
        ("in_precision(-np.sum(r[", "in_precision(np.sum(r[", "sign of the mixture score"),
        ("np.exp(a - most)", "np.exp(a)", "the maximum not taken out of the logarithm"),
        ("@ root.T", "@ root", "Cholesky factor transposed in sampling"),
        ("size=n, p=self.weights", "size=n", "equal weights in sampling"),
        ("weights / weights.sum(), cov", "weights, cov", "weights that sum to 1 but for rounding"),
        ('positive("sigma", sigma)**2 * np.eye', 'positive("sigma", sigma) * np.eye',
         "σ for σ² in the smoothed mixture"),
        ("rtol=0, atol=1e-9", "rtol=0, atol=1e-2", "asymmetric covariances accepted"),
        ("1 + 2 * rng.random", "1 + rng.random", "half of the swiss roll"),
        ("noise * rng.standard_normal((n, 2))) / 10", "10 * noise * rng.standard_normal((n, 2))) / 10",
         "noise of the roll not divided"),
        ("np.sin(t) - 0.25", "np.sin(t) + 0.25", "moons that do not face"),
        ("x + noise * rng", "x + noise**2 * rng", "variance for deviation in the moons"),
        ("+ column % 2", "", "stripes for a checkerboard"),
        ("1.5 * np.pi * (1 + 2", "np.pi * (1 + 2", "start of the spiral"),
        ("return in_precision(log_sum_exp(self._terms(x)[0]), x.dtype)", "return log_sum_exp(self._terms(x)[0])",
         "a float64 log-density"),
        ("rng.choice([-1.0, 1.0], size=(n, 1))", "rng.choice([-1.0, 1.0], size=(n, 1), p=[0.4, 0.6])",
         "moons of unequal weight"),
        ("axis=1) + rng.random((n, 2))", "axis=1) + rng.random((n, 1))", "squares of the board filled on a diagonal"),
    ]),
    ("scoremin/data.py", "test_data test_bad_input", [
        ("4 * d * np.finfo(float).eps", "0", "covariances singular to rounding accepted"),
    ]),
    ("scoremin/data.py", "test_beyond", [
        ("(data - shift) / scale, shift", "(data - shift) / scale**2, shift", "variance for deviation"),
        ("data.std(axis=0)  ", "np.full_like(data[0], data.std())  ", "one scale for all columns"),
        ("data.std(axis=0)  ", "data.std(axis=0, ddof=1)  ", "1/(n − 1) in the deviation"),
        ("data.mean(axis=0), data", "np.median(data, axis=0), data", "median for mean"),
    ]),
    ("scoremin/data.py", "test_metrics::test_mode_weights_count_the_nearest_mean", [
        ("b[:, j])**2 for j in range(a.shape[1]))", "b[:, j])**2 for j in range(a.shape[1] - 1 or 1))",
         "the last coordinate left out of a squared distance"),
    ]),
    ("scoremin/derivatives.py", "test_derivatives::test_divergence_is_the_trace_of_the_jacobian", [
        ("Jv[:, j]", "Jv[:, 0]", "the first column for the diagonal"),
        ("tr = tr + Jv", "tr = Jv", "the last entry for the trace"),
        ("np.sum(units * J, axis=(0, 2))", "np.sum(units[:1] * J[:1], axis=(0, 2))",
         "the first entry for the trace of a score with a jvp"),
    ]),
    ("scoremin/derivatives.py", "test_derivatives::test_jvp_is_the_directional_derivative", [
        ("np.stack(Jv)", "np.stack(Jv[::-1])", "probes in another order"),
    ]),
    ("scoremin/derivatives.py", "test_derivatives::test_derivatives_that_a_score_offers_are_used", [
        ('if hasattr(score, "jvp"):\n        s, Jv = pair', "if False:\n        s, Jv = pair",
         "a jvp that is offered not used"),
        ('hasattr(score, "divergence")', "False", "a divergence that is offered not used"),
    ]),
    ("scoremin/derivatives.py", "test_bad_input", [
        ("x.dtype), like(\"score's trace\", tr, x.shape[:1]", "x.dtype), like(\"score's trace\", tr, np.shape(tr)",
         "a trace of any shape"),
        ("Jv, v.shape, x.dtype", "Jv, np.shape(Jv), x.dtype", "a Jv of any shape"),
    ]),
    ("scoremin/explicit.py", "test_explicit::test_explicit_loss_is_half_the_expected_squared_distance_of_scores", [
        ("half_square(s - target)", "half_square(s + target)", "sign of the target"),
        ("half_square(s - target)", "2 * half_square(s - target)", "half of the explicit loss"),
    ]),
    ("scoremin/explicit.py", "test_explicit::test_kde_is_the_mean_of_its_kernels", [
        ("/ (-2 * h**2)", "/ (-2 * h)", "h for h² in the kernel"),
        ("0.5 * d * np.log(2 * np.pi * h**2)", "0.5 * np.log(2 * np.pi * h**2)", "the factor d in the KDE"),
        ("np.log(n) + 0.5", "0.5", "1/n in the KDE"),
    ]),
    ("scoremin/explicit.py", "test_explicit::test_kde_score_is_the_softmax_mean_shift", [
        ("np.concatenate(shift) / h**2", "np.concatenate(shift) / h", "h for h² in the KDE score"),
    ]),
    ("scoremin/explicit.py", "test_explicit::test_kde_in_blocks_is_the_kde_row_by_row", [
        ("== start + np.arange", "== np.arange", "leave-one-out wrong after a block"),
        ("own, -np.inf, a", "own, 0, a", "own kernel kept"),
    ]),
    ("scoremin/explicit.py", "test_beyond::test_leaving_one_out_is_the_density_of_the_others_and_chooses_a_bandwidth", [
        ("len(data) - leave_one_out", "len(data)", "1/n for 1/(n − 1) in leave-one-out"),
    ]),
    ("scoremin/explicit.py", "test_explicit::test_kde_far_from_the_data_is_finite_and_exact", [
        ("np.exp(a - row_max(a))", "np.exp(a)", "the maximum not taken out of the softmax"),
    ]),
    ("scoremin/explicit.py", "test_explicit::test_kde_memory_does_not_grow_with_the_queries", [
        ("BLOCK // (n * d)", "len(x)", "all kernels held at once"),
    ]),
    ("scoremin/explicit.py", "test_bad_input", [
        ("not np.array_equal(x, data)", "len(x) != len(data)", "leave-one-out on other points"),
    ]),
    ("scoremin/explicit.py", "test_explicit", [
        ('points("data", data, x.shape[1], x.dtype)', 'points("data", data, x.shape[1])',
         "data of the KDE in another precision"),
    ]),
    ("scoremin/explicit.py", "test_explicit::test_one_point_cannot_be_left_out", [
        ("(len(data) < 2 or not", "(not", "one point left out of one"),
    ]),
    ("scoremin/implicit.py", "test_implicit", [
        ("half_square(s) + tr)", "2 * half_square(s) + tr)", "half of ‖s‖² in ISM"),
        ("half_square(s) + tr)", "half_square(s) - tr)", "sign of the trace"),
        ("half_square(s) + tr)", "half_square(s) + tr / s.shape[1])", "trace divided by d"),
    ]),
    ("scoremin/sliced.py", "test_sliced", [
        ("mean(0.5 * inner(v, s)**2", "mean(inner(v, s)**2", "half of (vᵀs)²"),
        ("mean(0.5 * inner(v, s)**2", "mean(0.5 * inner(v * v, s * s)", "squares before the sum"),
        ("mean(0.5 * inner(v, s)**2", "mean(half_square(s)", "SSM-VR for SSM"),
        ("inner(v, Jv))                               # ()  (SSM.5)", "inner(s, Jv))", "sᵀJv for vᵀJv"),
        ("(shape[-1] / np.sum", "(1 / np.sum", "sphere of norm 1"),
        ("keepdims=True))**0.5", "keepdims=True))", "a square root of the sphere's norm"),
        ("2 * rng.integers(0, 2, size=shape).astype(dtype) - 1", "rng.integers(0, 2, size=shape).astype(dtype)",
         "probes 0, 1 for ±1"),
        ("rng.standard_normal(shape, dtype)", "rng.standard_normal(shape)", "float64 probes"),
        ("rng.standard_normal(shape, dtype)", "np.broadcast_to(rng.standard_normal(shape[-1:], dtype), shape) + 0",
         "one probe for all rows"),
        ("np.sum(v**2, axis=-1", "np.sum(v**2, axis=0", "sphere over rows"),
    ]),
    ("scoremin/sliced.py", "test_beyond", [
        ("value_at(score, x - radius * v)", "value_at(score, x)", "one-sided difference"),
        ("(ahead - behind) / (2 * radius)", "(ahead - behind) / radius", "radius for its double"),
        ("(ahead - behind) / (2", "(behind - ahead) / (2", "sign of the difference"),
        ("s, Jv = 0.5 * (ahead + behind)", "s, Jv = ahead", "the score at one side for the mean"),
        ("inner(v, Jv))                               # ()  (SSM.12)", "inner(v, Jv) / 2)", "half of the differences"),
    ]),
    ("scoremin/sliced.py", "test_beyond::test_a_radius_whose_square_is_no_float32_is_refused", [
        ('positive("radius", radius, x.dtype)', 'positive("radius", radius)', "a radius without a square in float32"),
    ]),
    ("scoremin/denoising.py", "test_denoising", [
        ("half_square(s + z / sigma)", "half_square(s - z / sigma)", "sign of the DSM target"),
        ("half_square(s + z / sigma)", "half_square(s + z / sigma**2)", "σ² for σ in the target"),
        ("half_square(s + z / sigma)", "2 * half_square(s + z / sigma)", "half of the DSM loss"),
        ("s = value_at(score, x + sigma * z)  ", "s = value_at(score, x + sigma**2 * z)  ", "σ² for σ in the noise"),
        ("s = value_at(score, x + sigma * z)  ", "s = value_at(score, x)  ", "the score asked at the clean point"),
        ("x_noisy + sigma**2 * s", "x_noisy + sigma * s", "σ for σ² in Tweedie"),
        ("x_noisy + sigma**2 * s", "x_noisy - sigma**2 * s", "sign of Tweedie"),
    ]),
    ("scoremin/denoising.py", "test_beyond", [
        ("inner(z, s - clean)", "inner(z, s)", "no control variate"),
        ("inner(z, s - clean)", "inner(z, clean - s)", "sign of the control variate's term"),
        ("+ d / (2 * sigma**2)", "+ d / sigma**2", "half of the constant d/2σ²"),
        ("+ d / (2 * sigma**2)", "+ 1 / (2 * sigma**2)", "the d of the constant d/2σ²"),
        ("inner(z, s - clean) / sigma", "inner(z, s - clean)", "1/σ of the middle term"),
    ]),
    ("scoremin/ncsn.py", "test_ncsn", [
        ("half_square(sigma * s + z)", "half_square(sigma * (sigma * s + z))", "weighted by σ² twice"),
        ("half_square(sigma * s + z)", "half_square(sigma**0.5 * (s + z / sigma))", "weighted by σ for σ²"),
        ("half_square(sigma * s + z)", "half_square(s + z / sigma)", "not weighted"),
        ("half_square(sigma * s + z)", "half_square(sigma * s - z)", "sign of the NCSN target"),
        ("half_square(sigma * s + z)", "2 * half_square(sigma * s + z)", "half of the NCSN loss"),
        ("sigma * z, sigma)  ", "sigma * z, sigma[::-1])  ", "levels of other rows"),
        ("x + sigma * z, sigma", "x + sigma**2 * z, sigma", "σ² for σ in the noise of NCSN"),
        ("np.geomspace(sigma_max, sigma_min, n)", "np.linspace(sigma_max, sigma_min, n)", "linear levels"),
        ("np.geomspace(sigma_max, sigma_min, n)", "np.geomspace(sigma_max, sigma_min, n + 1)[:-1]",
         "the last level missing"),
    ]),
    ("scoremin/ncsn.py", "test_bad_input", [
        ("if not sigma_max > sigma_min", "if not sigma_max >= sigma_min and sigma_max <= sigma_min",
         "equal levels accepted"),
    ]),
    ("scoremin/ncsn.py", "test_bad_input test_ncsn", [
        ("(1 + 4e-16 * n)", "1", "levels closer than rounding"),
    ]),
    ("scoremin/langevin.py", "test_langevin", [
        ("x + 0.5 * step * s", "x + step * s", "half of the drift"),
        ("x + 0.5 * step * s", "x - 0.5 * step * s", "sign of the drift"),
        ("temperature) * step)**0.5", "temperature) * step)", "noise step for √step"),
        ('(nonnegative("temperature", temperature) * step)**0.5',
         '(2 * nonnegative("temperature", temperature) * step)**0.5', "noise √(2 step)"),
        ('(nonnegative("temperature", temperature) * step)**0.5', 'nonnegative("temperature", temperature) * step**0.5',
         "T for √T"),
        ("rng.standard_normal(x.shape, x.dtype)", "rng.standard_normal(x.shape)", "float64 noise"),
        ("rng.standard_normal(x.shape, x.dtype)", "rng.standard_normal((1, x.shape[1]), x.dtype) + 0 * x",
         "one noise for all chains"),
        ("rng.standard_normal(x.shape, x.dtype)", "rng.standard_normal((len(x), 1), x.dtype) + 0 * x",
         "one noise for all coordinates"),
        ("step * sigma**2 / sigmas[-1]**2", "step * sigma / sigmas[-1]", "step ∝ σ in annealed Langevin"),
        ("step * sigma**2 / sigmas[-1]**2", "step * sigma**2 / sigmas[0]**2", "step of the first level"),
        ("x + sigma**2 * value_at", "x + 0.5 * sigma**2 * value_at", "half of the last denoising"),
        ("x + sigma**2 * value_at", "x + sigma * value_at", "σ for σ² in the last denoising"),
        ("i * n_steps + k", "i + k", "annealed indices"),
        ("            unbroken(x, last)\n", "", "divergence not seen"),
        (".copy(), positive", ", positive", "no steps give the input itself"),
        ("callback)(i, x.copy())", "callback)(i, x)", "callbacks get the chain itself"),
        ("n_steps, least=0)):", "n_steps, least=1)):", "no steps refused"),
        ("at level {i}", "at level {i + 1}", "a level counted from 1"),
        ("enumerate(sigmas)", "enumerate(sigmas[:-1])", "the last level not run"),
        ("value_at(score, x, sigma), x, step_i", "value_at(score, x, sigmas[-1]), x, step_i",
         "the last level's score at all levels"),
        ("(i * n_steps + k, x)", "(i * n_steps + k + 1, x)", "annealed steps counted from 1"),
        ('if flag("denoise", denoise) else x', 'if flag("denoise", not denoise) else x',
         "denoising the other way round"),
    ]),
    ("scoremin/linear.py", "test_linear::test_the_solution_is_a_stationary_point_of_the_loss_and_has_its_value", [
        ("values[0].T @ values[0] / len(x)", "values[0].T @ values[0]", "a sum for the mean F"),
        ("slope.mean(axis=0)", "slope.sum(axis=0)", "a sum for the mean U"),
        ("W = -np.linalg.solve", "W = np.linalg.solve", "sign of W"),
        ("/ len(x) + ridge * np.eye", "/ len(x) + 2 * ridge * np.eye", "half of the ridge"),
        ("/ len(x) + ridge * np.eye", "/ len(x) + ridge * len(x) * np.eye", "ridge of a sum for that of a mean"),
        ("for slope in slopes]", "for slope in slopes[::-1]]", "coordinates in another order"),
    ]),
    ("scoremin/linear.py", "test_linear::test_without_a_ridge_the_loss_is_unbounded_with_more_features_than_points", [
        ("if np.linalg.matrix_rank", "if False and np.linalg.matrix_rank", "dependent features accepted"),
    ]),
    ("scoremin/linear.py", "test_linear::test_dtype_is_kept_and_float32_agrees_with_float64", [
        ("dtype=x.dtype)  # (m,m)", "dtype=float)  # (m,m)", "a float64 ridge"),
    ]),
    ("scoremin/linear.py", "test_linear::test_one_dependent_feature_is_enough_to_refuse", [
        ("hermitian=True) < len(F)", "hermitian=True) < len(F) - 1", "one dependent feature accepted"),
    ]),
    ("scoremin/linear.py", "test_bad_input test_linear", [
        ('points("x", x, len(units))', 'points("x", x)', "a linear score in another dimension"),
    ]),
    ("scoremin/metrics.py", "test_metrics", [
        ("2 * _mean_distance(a, b) - ", "_mean_distance(a, b) - ", "the 2 of the energy distance"),
        ("(len(a) * len(b))", "(len(a) * (len(b) - 1 or 1))", "1/(n − 1) in the energy distance"),
        ("np.sum(R, dtype=float)", "np.sum(R**2, dtype=float)", "squared distances"),
        ("range(0, len(a), rows))", "range(0, len(a), rows + 1))", "a row lost between blocks"),
        ("-1 / (len(pool) - len(a))]", "-1 / len(a)]", "weights of the second sample"),
        ("n_permutations))])", "n_permutations) - 1)])", "B off by one"),
        (" - 1e-12 * R.max()", "", "ties lost to rounding"),
        ("ED >= ED[0]", "ED[1:] >= ED[0]", "no 1 + in the p-value"),
        ("ED = -np.sum", "ED = np.sum", "sign of the quadratic form"),
        ("np.argmin(sq", "np.argmax(sq", "the farthest mode"),
        ("minlength=len(means)", "minlength=0", "empty modes left out"),
        ("fisher_divergence(score, target, x) / size", "(fisher_divergence(score, target, x) / size)**0.5",
         "a root of the relative error"),
        ("fisher_divergence(np.zeros_like, target, x)", "fisher_divergence(np.zeros_like, score, x)",
         "relative to the score"),
        ("(error < 1e-10 * R)", "(error < R)", "distances to one digit"),
        ("- 2 * np.dot(p, q.T)", "- np.dot(p, q.T)", "the 2 of 2ab in high dimension"),
    ]),
    ("scoremin/metrics.py", "test_bad_input", [
        ('name="target"))', 'name="score"))', "a target's fault blamed on the score"),
    ]),
    ("scoremin/metrics.py", "test_metrics::test_energy_distance_holds_a_block_of_distances_at_a_time", [
        ("rows = max(1, 2**16 // len(b))", "rows = len(a)", "all distances held at once"),
    ]),
    ("scoremin/network.py", "test_network", [
        ("lambda g: g * ans * (1 - ans))", "lambda g: g * ans)", "ς' in reverse"),
        ("lambda g, ans, y: g * ans * (1 - ans))", "lambda g, ans, y: g * ans)", "ς' forwards"),
        ("gate * (1 + y * (1 - gate))", "gate * (1 + y * gate)", "φ'"),
        ("defjvp(silu, lambda g, ans, y: g * silu_slope(y))", "defjvp(silu, lambda g, ans, y: g * sigmoid(y))",
         "φ' forwards"),
        ("/ np.sqrt(sigma**2 + self.sigma_data**2)  ", "/ (sigma + self.sigma_data)  ", "input scaling"),
        ("np.log(sigma)], axis=1)) / sigma", "np.log(sigma)], axis=1))", "1/σ of the output"),
        ("return lambda x: -gradient(", "return lambda x: gradient(", "energy sign flipped"),
        ("/ np.sqrt(n_in)", "/ np.sqrt(n_out)", "spread of W"),
        ("np.zeros(n_out, dtype)", "np.zeros(n_out)", "float64 biases"),
        ("b + math.log(sigma) * W[-1]", "b + sigma * W[-1]", "σ for log σ at one level"),
        ("W / sigma, b / sigma", "W / sigma, b", "1/σ of the last bias at one level"),
        ("(sigma**2 + self.sigma_data**2)**0.5", "(sigma**2 + 1)**0.5", "σ_data at one level"),
        ("return y / (1 + np.exp(-y))", "return y / (1 + np.exp(y))", "ς(−y) in the activation alone"),
        ("x = silu(np.dot(x, W) + b)", "x = silu(np.dot(x, W))", "no bias in hidden layers"),
        ("network(self.params, x)[:, 0]", "network(self.params, x)", "an energy as a column"),
        ('with np.errstate(over="ignore"):  ', "with np.errstate():  ", "a warning far out"),
        ("np.concatenate([scaled, np.log(sigma)], axis=1)", "np.concatenate([scaled, np.log10(sigma)], axis=1)",
         "log₁₀ σ as input"),
        ('self.params, self.sigma_data = params, positive("sigma_data", sigma_data)',
         "self.params, self.sigma_data = params, 1.0", "sigma_data without effect"),
    ]),
    ("scoremin/network.py", "test_derivatives test_gradients", [
        ("if len(self.params) == 3", "if len(self.params) >= 3", "the closed form at another depth"),
    ]),
    ("scoremin/network.py", "test_bad_input", [
        ("if outputs != self.d:", "if False:", "a score of another width"),
        ("if inputs != self.d + 1:", "if False:", "a noise-conditional score of another width"),
        ("if outputs != 1:", "if False:", "an energy of two outputs"),
    ]),
    ("scoremin/network.py", "test_bad_input test_network", [
        ("if len(sizes) < 2:", "if len(sizes) < 1:", "a network without a layer"),
    ]),
    ("scoremin/train.py", "test_train", [
        ("0.9 * m_1 + 0.1 * g", "0.99 * m_1 + 0.01 * g", "β₁"),
        ("0.001 * g**2", "0.001 * g", "g for g²"),
        ("0.999 * m_2 + 0.001", "0.99 * m_2 + 0.01", "β₂"),
        ("m_1 / (1 - 0.9**k)", "m_1", "no correction of m_1 (FIT.2)"),
        ("m_2 / (1 - 0.999**k)", "m_2 / (1 - 0.999)", "the factor of m_2 (FIT.2)"),
        ("np.sqrt(m_2_hat) + 1e-8", "np.sqrt(m_2_hat + 1e-8)", "10⁻⁸ under the root"),
        ("(k - 1) / n", "k / n", "the schedule off by one"),
        ("math.cos(math.pi *", "math.cos(0.5 * math.pi *", "half a cosine"),
        ("0.5 * rate * (1 +", "rate * (1 +", "the half of the schedule"),
        ("rng.integers(len(data),", "rng.integers(len(data) - 1 or 1,", "the last row never drawn"),
        ("rng.integers(len(data), size=batch_size)", "rng.permutation(len(data))[:batch_size]",
         "rows drawn without replacement"),
        ("batch_size=256", "batch_size=128", "the default batch"),
        ("learning_rate=1e-3", "learning_rate=1e-2", "the default rate"),
        ("np.zeros_like(theta), np.zeros_like(theta), []", "np.zeros(theta.shape), np.zeros(theta.shape), []",
         "Adam's state in float64"),
        ("dtype=theta.dtype), generator", "dtype=np.float64), generator", "batches in float64"),
        ("if not math.isfinite(np.vdot(g, g)):", "if False:", "a gradient that is not finite"),
        ("zip(iterator(progress, range(n)),", "zip(list(iterator(progress, range(n))),",
         "steps run ahead of the progress"),
        ("(list if isinstance(params, list) else tuple)(", "tuple(", "lists of params made tuples"),
        ("losses.append(value)\n", "losses.append(value / 2)\n", "half of the losses"),
        ("params, x, rng)), params)", "params, x, np.random.default_rng(0))), params)",
         "a generator of its own for the loss"),
        ("np.cumsum([np.size(a) for a in parts])[:-1]", "np.cumsum([np.size(a) for a in parts[::-1]])[:-1]",
         "arrays cut in another order"),
    ]),
    ("scoremin/train.py", "test_train test_bad_input", [
        ("training_failed(error, k, theta, rate)", "training_failed(error, k + 1, theta, rate)",
         "the step of a failure off by one"),
        ("{np.abs(g).max()", "{np.abs(g).min()", "the least entry of a gradient that fails"),
    ]),
    ("scoremin/sde.py", "test_sde::test_euler_maruyama_step_and_its_exactness_for_a_constant_score", [
        ("x + lost * value_at", "x - lost * value_at", "sign of the reversed drift"),
        ("x + lost * value_at", "x + 0.5 * lost * value_at", "half of the reversed drift"),
        ("+ lost**0.5 * z", "+ lost * z", "δ for √δ"),
        ("+ lost**0.5 * z", "+ (2 * sigma * (sigma - after))**0.5 * z", "δ by the slope of σ²"),
        ("lost = sigma**2 - after**2", "lost = (sigma - after)**2", "square of the difference of σ"),
        ("lost = sigma**2 - after**2", "lost = sigma - after", "σ for σ² as time"),
        ("rng.standard_normal(x.shape, x.dtype)", "rng.standard_normal(x.shape)",
         "float64 noise in the reversed process"),
    ]),
    ("scoremin/sde.py", "test_sde::test_flow_follows_the_closed_form_and_heun_has_order_two", [
        ("slope = -sigma * value_at", "slope = sigma * value_at", "sign of the flow"),
        ("slope = -sigma * value_at", "slope = -value_at", "σ of the flow"),
        ("guess = unbroken(x + (after - sigma) * slope, x)", "guess = unbroken(x + 0.5 * (after - sigma) * slope, x)",
         "half of Euler's guess"),
        ("value_at(score, guess, after))", "value_at(score, x, after))", "Heun without its guess"),
        ("value_at(score, guess, after))", "value_at(score, guess, sigma))", "the far slope at the near level"),
        ("(slope - after * value_at", "(slope - sigma * value_at", "the near σ in the far slope"),
        ("return x + 0.5 * (after - sigma)", "return x + (after - sigma)", "the half of Heun's mean"),
    ]),
    ("scoremin/sde.py", "test_sde::test_solver_in_the_denoiser_is_exact_where_the_denoiser_is_constant", [
        ("x + sigma**2 * value_at(score, x, sigma), log", "x + sigma * value_at(score, x, sigma), log",
         "σ for σ² in the denoiser"),
        ("after / sigma * x + (1 - after / sigma) * ahead", "(1 - after / sigma) * x + after / sigma * ahead",
         "the two parts of the solver exchanged"),
    ]),
    ("scoremin/sde.py", "test_sde::test_multistep_solver_has_order_two_and_its_first_step_is_of_first_order", [
        ("0.5 * width / last[1] *", "width / last[1] *", "half of the multistep correction"),
        ("0.5 * width / last[1] *", "0.5 *", "steps of unequal width"),
        ("(D - last[0])", "(last[0] - D)", "sign of the multistep correction"),
        ("last[:] = D, width", "last[:] = ahead, width", "the corrected denoiser remembered"),
    ]),
    ("scoremin/sde.py", "test_sde::test_likelihood_of_a_gaussian_is_its_density_at_order_four", [
        ("2 * f_2 + 2 * f_3", "4 * f_2", "Runge and Kutta without f_3"),
        ("0.5 * (sigma + after)", "(sigma * after)**0.5", "a geometric mid-step"),
        ("y + step * f_3", "y + 0.5 * step * f_3", "the last slope at mid-step"),
        ("[-s, tr[:, None]]", "[-s, -tr[:, None]]", "sign of the divergence in the likelihood"),
        ("[-s, tr[:, None]]", "[s, tr[:, None]]", "the likelihood's path against the flow"),
        ("return sigma * np.hstack", "return np.hstack", "σ in the likelihood"),
        ("return start - y[:, -1]", "return start + y[:, -1]", "sign of the integral"),
        ("y, sigmas[::-1])", "y, sigmas)", "the likelihood's path downwards"),
    ]),
    ("scoremin/sde.py", "test_sde", [
        ("value_at(prior, y[:, :-1]", "value_at(prior, x", "the prior asked at the data"),
        ("sigmas, 2, upwards=True", "sigmas, 2", "a flow that goes down alone"),
        ('f"{i}, from sigma', 'f"{i + 1}, from sigma', "a step counted from 1"),
        ("np.zeros_like(x[:, :1])", "np.ones_like(x[:, :1])", "an integral that starts at 1"),
        ("if last else D", "if last else 0.5 * D", "half of the first denoiser"),
    ]),
    ("tests/oracles.py", "test_gradients::test_gradient_check_rejects_a_wrong_gradient", [
        ("/ np.max(np.abs(numeric))", "/ 1e9", "a slope's error relative to a billion"),
        ("numeric.append((loss(unflatten(flat + size * u)) - loss(unflatten(flat - size * u))) / (2 * size))",
         "numeric.append(np.dot(g, u))", "a gradient held against itself"),
    ]),
    ("tests/oracles.py", "test_gradients::test_given_noise_must_fit_exactly", [
        ("        assert z.shape == tuple(shape)\n", "", "replayed noise of any shape"),
        ("z = np.asarray(next(self.draws), dtype)", "z = np.broadcast_to(np.asarray(next(self.draws), dtype), shape)",
         "replayed noise broadcast"),
    ]),
    ("tests/oracles.py", "test_gradients::test_linear_score_is_best_at_its_closed_form", [
        ("z = np.sqrt(d) * np", "z = np", "exact noise of variance 1/d"),
        ("np.repeat(z, n, axis=0)", "np.tile(z, (n, 1))", "exact noise not at every point"),
    ]),
    ("tests/oracles.py", "test_gradients::test_networks_equal_the_plain_network", [
        ("np.tanh(0.5 * h)", "np.tanh(h)", "the half in the plain network's sigmoid"),
        ("plain_mlp(params)(inputs) / sigma", "plain_mlp(params)(inputs)", "1/σ of the plain network"),
    ]),
    ("tests/oracles.py", "test_denoising::test_noisy_density_is_the_convolution_with_the_kernel", [
        ("WIDTH = 18 / 360", "WIDTH = 18 / 361", "width of the quadrature"),
        ("np.linspace(-9, 9, 361)", "np.linspace(-3, 3, 361)", "ends of the quadrature"),
    ]),
    ("tests/oracles.py", "test_gradients", [
        ("rng.normal(0, 0.5, b.shape)", "np.zeros(b.shape)", "biases of 0 in the tests' networks"),
    ]),
    ("tests/objectives.py", "test_gradients::test_value_of_every_objective_is_that_of_loops_in_numpy", [
        ("0.5 * (v @ s)**2", "(v @ s)**2", "half in the value of SSM by loops"),
        ("0.5 * s @ s + sum(J[j, j]", "0.5 * s @ s + sum(J[0, j]", "a row for the diagonal by loops"),
        ("v if v.ndim == 3 else v[None]", "v[:1] if v.ndim == 3 else v[None]", "the first probe alone by loops"),
        ("(gate + x * gate * (1 - gate))[:, None]", "gate[:, None]", "φ' by loops"),
        ("zip(rows(x + sigma[:, None] * z, sigma), z, sigma)", "zip(rows(x, sigma), z, sigma)",
         "clean points in NCSN by loops"),
        ("return sum(numbers) / len(numbers)", "return sum(numbers)", "a sum for a mean by loops"),
    ]),
    ("tests/objectives.py", "test_gradients::test_linear_score_is_best_at_its_closed_form", [
        ("0.09 * np.eye(D)", "0.3 * np.eye(D)", "σ for σ² in the optimum of DSM"),
        ("sigma**2 * (S + sigma**2 * np.eye(D))", "(S + sigma**2 * np.eye(D))",
         "levels of equal weight in the optimum"),
        ("v = 2.0 * np.array", "v = 1.0 * np.array", "signs 0 and −1"),
    ]),
    ("tests/objectives.py", "test_gradients::test_networks_equal_the_plain_network", [
        ("back = -params", "back = params", "sign of the plain energy score"),
    ]),
    ("scoremin/backprop.py", "test_derivatives::test_verbs_have_the_values_and_derivatives_of_their_formulas", [
        ("a.sum() / a.size\n    if", "a.sum() / len(a)\n    if", "a mean over rows of a stack"),
        ("0.5 * np.einsum", "np.einsum", "the half of ½‖a‖²"),
        ("lambda g: g / a.size *", "lambda g: g *", "the gradient of a sum for that of a mean"),
        ("defvjp(half_square, lambda ans, a: lambda g: g[", "defvjp(half_square, lambda ans, a: lambda g: 2 * g[",
         "the gradient of ‖a‖² for that of ½‖a‖²"),
        ("defjvp(half_square, lambda g, ans, a: inner", "defjvp(half_square, lambda g, ans, a: 2 * inner",
         "the tangent of ‖a‖² for that of ½‖a‖²"),
        ("lambda g, ans, a, b: inner(a, g))", "lambda g, ans, a, b: inner(b, g))", "the tangent of aᵀb in b"),
        ("return anp.sum(g, axis=0) if g.ndim > a.ndim else g", "return g", "a cotangent not summed over probes"),
    ]),
    ("scoremin/backprop.py", "test_derivatives::test_verbs_keep_float32", [
        ("g / a.size * np.ones(a.shape, a.dtype)", "g / a.size * np.ones(a.shape)", "a float64 gradient of a mean"),
    ]),
    ("scoremin/backprop.py", "test_derivatives::test_cast_changes_the_precision_and_its_gradient_comes_back", [
        ("lambda g: cast(g, a.dtype))", "lambda g: g)", "a cotangent in the other precision"),
    ]),
    ("scoremin/backprop.py", "test_derivatives::test_a_mean_that_leaves_the_range_of_floats_is_an_error", [
        ("    if not math.isfinite(value):", "    if False:", "a mean that is no number"),
    ]),
    ("scoremin/backprop.py", "test_gradients::test_second_derivatives_equal_plain_autograd", [
        ("isinstance(params._node, VJPNode) and ", "", "rules of reverse mode in forward mode"),
        ("if any(isinstance(c, Box) for c in cotangents):", "if False:", "derivatives through the cotangent lost"),
    ]),
    ("scoremin/backprop.py", "test_gradients::test_gradient_of_every_objective_is_its_slope", [
        ("and not traced(params._value, *arrays)", "", "rules by hand where arrays are traced"),
    ]),
    ("scoremin/backprop.py", "test_network::test_values_do_not_depend_on_where_blocks_end", [
        ("range(0, n, rows)", "range(0, n - 1, rows)", "a last row lost after blocks"),
    ]),
    ("scoremin/backprop.py", "test_backprop::test_rules_by_hand_equal_plain_autograd_for_every_objective", [
        ("hold(g) or np.zeros_like(first)", "hold(g) or np.ones_like(first)", "a derivative handed over twice"),
        ("inputs[-1] * rests[-1]", "inputs[-1] * gate", "φ' in the fast path"),
        ("rest * (2 * slope - a)", "rest * (slope - a)", "φ''"),
        ("before.append(slope * after[-1])", "before.append(after[-1])", "φ' dropped from tangents and adjoints"),
        ("tape.slopes[::-1], delta)", "tape.slopes, delta)", "φ' of other layers in the adjoint"),
        ("tape.slopes[l - 1]", "tape.slopes[0]", "φ' of the first layer everywhere"),
        ("delta += bends[l - 1]", "delta += 0 * bends[l - 1]", "the mixed derivative dropped"),
        ("more[l]", "-more[l]", "sign of the tangents' share of dW"),
        ("np.dot(ones, delta)", "delta[0]", "one row for the sum in db"),
        ("np.sum(y_dot * back, axis=0)", "(y_dot * back)[0]", "one probe for the sum over probes"),
        ("G = np.dot(W_1.T, W_3.T)", "G = np.dot(W_3, W_1)", "W_3 W_1 transposed"),
        ("bend_2 * (t[:, None] * through)", "bend_2 * (0 * through)", "the trace's share of the second layer"),
        ("dG.T), dB * G,", "dG.T), dB,", "Hadamard factor of dW_2"),
        ("dG = dB * W_2", "dG = dB", "Hadamard factor of dG"),
        ("np.dot(dG.T, W_1.T)", "np.dot(dG, W_1.T)", "dG transposed in dW_3"),
    ]),
    ("scoremin/backprop.py", "test_backprop::test_pullbacks_can_be_called_again", [
        ("held.pop() if held", "held[0] if held", "the first cotangent for the last"),
    ]),
    ("scoremin/backprop.py", "test_gradients::test_float32_in_gives_float32_out", [
        ("np.ones(len(delta), delta.dtype)", "np.ones(len(delta))", "float64 bias gradients"),
    ]),
    ("scoremin/backprop.py", "test_backprop::test_gradient_of_an_energy_by_hand", [
        ("backward(tape, np.zeros_like(E)", "backward(tape, np.ones_like(E)", "δ = 1 for 0 under an energy's gradient"),
    ]),
    ("scoremin/checks.py", "test_bad_input", [
        ("return math.isfinite(np.vdot(a, a)) or bool(np.isfinite(a).all())", "return True",
         "NaN and infinity accepted"),
        ('demand(a.dtype.kind in "biuf"', 'demand(a.dtype.kind in "biufc"', "complex numbers accepted"),
        ("demand(not masked, name", "demand(True, name", "masked entries accepted"),
        ("demand(not isinstance(x, Box), name", "demand(True, name", "traced values where there is no derivative"),
        ("or x.size == 0 or x.shape[1]", "or x.shape[1]", "no rows accepted"),
        ("a.shape != lead + x.shape", "a.shape[-1:] != x.shape[-1:]", "rows that broadcast"),
        ("((), (len(x),)):", "((), (len(x),), (1,)):", "one level in a list for all rows"),
        ("if not (least < sigma.min() and sigma.max() < most)", "if not (least < sigma.max() < most)",
         "a level of 0 among others"),
        ("if not (steps < 0).all()", "if not (steps <= 0).all()", "equal levels in a list of them"),
        ("(upwards and (steps > 0).all())", "((steps > 0).all())", "ascending levels"),
        ("b.shape != W.shape[1:]", "b.size not in (1, W.shape[1])", "a bias that broadcasts"),
        ("or W.shape[0] != (width or W.shape[0])", "", "layers that do not fit"),
        ("(finite(W) and finite(b))", "finite(W)", "NaN in a bias"),
        ("(*map(frozen, (x, *more)))", "(x, *map(frozen, more))", "a score that writes into x"),
        ("net.d == x.shape[1] and", "", "a network asked for points of another width"),
        (" and float not in map(type, more)", "", "one level, unchecked, for a network"),
        ('if method == "__call__":', "if False:", "a column of levels for a user's score"),
        ("[gate(a, x)", "[a", "v and sigma of a network unchecked"),
        ("    if not finite(getval(s)):", "    if False:", "NaN in the value of a score"),
        ('kind == "f" and not masked', 'kind in ("f", "i") and not masked', "integers as the value of a score"),
        ('kind == "f" and not masked', 'kind == "f"', "a mask in the value of a score"),
        ("if not finite(np.asarray(getval(a))):", "if False:", "an answer out of range"),
        ("and not isinstance(value, bool), name", ", name", "True as a number"),
        ("least < value < most", "0 < value < most", "a number whose square is none"),
        ("and value == int(value)", "", "half of a step"),
        ("demand(least <= value <", "demand(0 <= value <", "a count of 0"),
        ("and value in (0, 1)", "", "2 as a flag"),
        ("demand(callable(f)", "demand(True", "what cannot be called"),
        ("if last > 1e3 * (1 + first)", "if True", "the step blamed for the score"),
        ("(method if isinstance(net.params, Box) else ranged)", "method", "no check of a network's values"),
    ]),
    ("scoremin/checks.py", "test_conventions", [
        ("(dtype is not None and dtype != a.dtype)", "dtype not in (None, a.dtype)",
         "float32 left in float64, as numpy's float64 equals None"),
    ]),
    ("scoremin/checks.py", "test_bad_input::test_huge_numbers_are_finite_and_arguments_of_a_score_stay_as_they_are", [
        ("np.vdot(a, a)) or bool(np.isfinite(a).all())", "np.vdot(a, a))",
         "finite numbers without a finite square refused"),
        ("(*map(frozen, (x, *more)))", "(frozen(x), *more)", "a score that writes into sigma, a jvp into v"),
        ("if np.mean(moved) > 0.5:", "if False:", "dependence on x that autograd does not see"),
    ]),
    ("scoremin/checks.py", "test_langevin test_sde", [
        ("if not math.isfinite(np.vdot(moved, moved)):", "if False:", "divergence not seen"),
    ]),
    ("scoremin/checks.py", "test_train test_bad_input", [
        ("    if a.shape:", "    if False:", "a loss of every row"),
    ]),
    ("scoremin/checks.py", "test_train", [
        ("    if not math.isfinite(a):", "    if False:", "a loss that is no number"),
    ]),
    ("scoremin/checks.py", "test_bad_input test_train", [
        ("if k > 1 else", "if k > 0 else", "a smaller rate for a first loss that is no number"),
    ]),
    ("tests/test_data.py", "test_data::test_jacobian_of_the_mixture_score_in_closed_form", [
        ("r = np.exp(log_joint - np.max(log_joint))\n", "r = np.ones(len(P))\n", "weights in the formula (MIX.5)"),
        ('np.einsum("k,ki,kj->ij", r, u - s, u - s)', 'np.einsum("k,ki,kj->ij", r, u, u)',
         "the mean in the formula (MIX.5)"),
    ]),
    ("tests/test_explicit.py", "test_explicit::test_far_modes_hide_their_weights", [
        ("limit = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), 0.8 * log(1.6) + 0.2 * log(0.4)",
         "limit = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), 0.5 * log(1.6) - 0.5 * log(0.4)",
         "KL from the other side in the formula (ESM.7)"),
    ]),
    ("tests/test_explicit.py", "test_explicit::test_matching_the_kde_at_its_own_points_is_another_objective", [
        ("(1 - np.tanh(h**-2)) / h**2", "(1 + np.tanh(h**-2)) / h**2", "sign of tanh in the formula (ESM.8)"),
        ("(2 / h**2, lambda", "(1 / h**2, lambda", "the 2 of leave-one-out in the formula (ESM.8)"),
    ]),
    ("tests/test_implicit.py", "test_implicit::test_implicit_loss_is_unbounded_where_the_data_are_flat", [
        ("data = data - np.outer(data @ n, n) + [1.0, 2.0, 3.0]", "data = data + [1.0, 2.0, 3.0]",
         "data with spread along n in (ISM.14)"),
        ("A @ data.mean(axis=0))]), data) == pytest.approx(-c, rel", "0 * data[0])]), data) == pytest.approx(-c, rel",
         "m = 0 for μ in (ISM.14)"),
    ]),
    ("tests/test_denoising.py", "test_denoising::test_conditional_mean_is_the_best_guess_in_mean_square", [
        ("mean(s - y) - mean(s - best) - mean(y - best)", "mean(s - y) - mean(s - best) + mean(y - best)",
         "sign in the formula (DSM.14)"),
    ]),
    ("tests/test_denoising.py", "test_denoising::test_ddpm_is_denoising_in_other_variables", [
        ("np.sqrt((1 - alpha_bar) / alpha_bar)", "np.sqrt(1 - alpha_bar)", "σ in the formula (DSM.15)"),
        ("predicted(x_t / np.sqrt(alpha_bar)) / np.sqrt(1 - alpha_bar)", "predicted(x_t) / np.sqrt(1 - alpha_bar)",
         "x̃ in the formula (DSM.15)"),
    ]),
    ("tests/test_ncsn.py", "test_ncsn::test_widest_level_joins_all_modes", [
        ("curvature(most / 6) > 0", "curvature(most) > 0", "one mode at σ_1 in (NCSN.6)"),
    ]),
    ("tests/test_ncsn.py", "test_ncsn::test_levels_overlap_by_half_at_the_ratio_of_the_rule", [
        ("(2 * d)**0.5 * (gamma - 1)", "d**0.5 * (gamma - 1)", "2d in the formula (NCSN.7)"),
        ("normal(shift(gamma) - 3 * gamma)", "normal(shift(gamma) - 3)", "3γ in the formula (NCSN.7)"),
    ]),
    ("tests/test_langevin.py", "test_langevin::test_drift_is_bounded_by_the_noise_at_every_level", [
        ("bound = 0.5 * np.sqrt(2e-5) / 0.01", "bound = np.sqrt(2e-5) / 0.01", "the half in the formula (LD.9)"),
    ]),
    ("tests/test_langevin.py", "test_langevin::test_drift_fades_where_data_have_a_density", [
        ("sigma / np.sqrt(1 + sigma**2)) - 1", "sigma**2 / np.sqrt(1 + sigma**2)) - 1",
         "σ² for σ in the formula (LD.13)"),
    ]),
    ("tests/test_metrics.py", "test_metrics::test_energy_distance_is_the_mean_cramer_distance_of_all_projections", [
        ("2 / (2 / np.pi) * np.mean(squared)", "2 / (1 / np.pi) * np.mean(squared)", "c_2 in the formula (MET.5)"),
    ]),
    ("tests/test_metrics.py", "test_metrics::test_energy_distance_on_the_line_is_the_cramer_distance", [
        ("- 2 * np.sum(np.square(gap)", "- np.sum(np.square(gap)", "the 2 of the formula (MET.5)"),
    ]),
    ("run_all.py", "test_run_all::test_verdict_counts_the_claims_that_miss", [
        ('if record["budget"] < 1:\n        return "drawn', 'if record["budget"] <= 1:\n        return "drawn',
         "claims not checked at the full budget"),
        ('missed = sum(not claim["holds"] for claim in record["claims"])',
         'missed = not record["claims"][0]["holds"] if record["claims"] else 0', "a second missed claim not seen"),
    ]),
    ("run_all.py", "test_run_all::test_bounds_of_both_sides_of_one_and_of_none", [
        ('f"≥ {low:.4g}" if high is None', 'f"≤ {low:.4g}" if high is None', "a lower bound shown as an upper one"),
        ("if low is None and high is None:", "if not low and not high:", "bounds of 0 taken for none"),
        ('return "measured"\n', 'return ""\n', "a measurement without a word"),
    ]),
    ("run_all.py", "test_run_all::test_names_given_twice_are_drawn_once_and_options_add_up", [
        ("FIGURES.get, reverse=True", "FIGURES.get", "the longest figure last"),
        ("list(dict.fromkeys(args.only or []))", "list(args.only or [])", "a figure named twice drawn twice"),
        ('action="extend", ', "", "--only A --only B is B alone"),
    ]),
    ("run_all.py", "test_run_all::test_records_saved_at_the_same_moment_are_all_kept", [
        ("figures[name] = record\n        figures =", "figures = {name: record}\n        figures =",
         "records of earlier runs lost"),
        ("for name in FIGURES if name in figures}", "for name in figures}", "records not in gallery order"),
        ("fcntl.flock(handle, fcntl.LOCK_EX)", "fcntl.flock(handle, fcntl.LOCK_SH)", "two writers at once"),
    ]),
    ("run_all.py", "test_run_all::test_a_file_is_replaced_at_once", [
        ("os.replace(folder / path.name, path)", 'path.write_text(text, encoding="utf-8")',
         "a page that is not replaced at once"),
    ]),
    ("run_all.py", "test_run_all::test_quick_run_checks_no_claims_and_has_a_folder_of_its_own", [
        ('tempfile.mkdtemp(prefix="scoremin-quick-")', 'ROOT / "figures" / "quick"', "--quick writing into figures/"),
    ]),
    ("run_all.py", "test_run_all::test_stopped_worker_does_not_hang_an_interrupt", [
        ("self.process.kill()  #", "self.process.terminate()  #", "workers, which ignore SIGTERM, not killed"),
    ]),
    ("run_all.py", "test_run_all::test_workers_end_with_their_parent", [
        ("    multiprocessing.parent_process().join()\n", "    threading.Event().wait()\n",
         "workers outlive their parent"),
        ("shutil.rmtree(folder, ignore_errors=True)", "pass", "a folder left by a parent that dies"),
    ]),
    ("run_all.py", "test_run_all::test_figure_that_fails_or_dies_does_not_take_the_others_along", [
        ("if waiting and worker.process.exitcode is None:", "if waiting:", "a figure given to a dead worker"),
        ('    except BaseException:\n        return {**record, "error"',
         '    except Exception:\n        return {**record, "error"', "SystemExit of a figure ends the worker"),
    ]),
    ("run_all.py", "test_run_all::test_signal_ends_all_and_keeps_what_was_finished", [
        ("return 128 + stop[0]", "return 130", "one status for all signals"),
        ("len(stop) > 2", "len(stop) > 0", "the first signal kills"),
    ]),
    ("run_all.py", "test_run_all::test_measured_times_run_last_and_alone", [
        ("for group in [crowd, *([name] for name in names if name in TIMED)]:", "for group in [names]:",
         "measured times beside other figures"),
    ]),
    ("run_all.py", "test_run_all::test_old_encodings_print_signs_by_name", [
        ('errors="namereplace"', 'errors="strict"', "signs that an old encoding has not"),
    ]),
    ("run_all.py", "test_run_all::test_results_of_another_shape_cost_nothing", [
        ("section(name, record).encode()\n                records", "records",
         "incomplete records of earlier runs shown"),
        ("parse_constant=lambda name: None", "parse_constant=float", "NaN of earlier runs"),
    ]),
    ("run_all.py", "test_run_all::test_settings_of_the_user_change_no_byte_of_a_picture", [
        ("    os.chdir(folder)", "    # os.chdir(folder)", "the user's matplotlibrc"),
        ('os.environ["MPLBACKEND"] = "agg"', "pass", "the user's backend"),
    ]),
    ("run_all.py", "test_run_all::test_signals_that_were_ignored_stay_ignored", [
        ("if signal.getsignal(number) != signal.SIG_IGN:", "if True:", "nohup overruled"),
    ]),
    ("run_all.py", "test_run_all::test_only_values_differ_means_that_all_else_is_the_same", [
        ("return old == new", "return True", "an old picture kept under a new caption or bound"),
        ('{verdict(old), verdict(new)} != {"ok"}', 'verdict(old) != "ok"', "a missed claim on times not recorded"),
    ]),
    ("run_all.py", "test_run_all::test_measured_times_that_differ_leave_the_checkout_clean", [
        ("if name in TIMED and there and", "if there and", "numbers of other figures never renewed"),
        ("there = name not in only and", "there =", "--only does not replace measured times"),
    ]),
    ("run_all.py", "test_run_all::test_claims_that_are_none_fail_in_their_own_figure", [
        ('(what == "value" or number is not None) and not', "number is not None and not", "a claim without a value"),
        ("isinstance(number, Real) and math.isfinite(number)", "isinstance(number, Real)", "a claim of NaN"),
        ("module.__doc__ or name", "module.__doc__", "a figure without a docstring lost"),
    ]),
    ("run_all.py", "test_run_all::test_missed_claim_alone_exits_1_but_is_drawn", [
        ('"NO": "MISS"', '"NO": "ok  "', "a missed claim printed as ok"),
        ("module.claims(m)]\n        done", "module.claims(m)[:1]]\n        done", "the first claim alone"),
    ]),
    ("run_all.py", "test_run_all::test_jobs_are_the_processors_that_this_process_may_use", [
        ("cores = len(os.sched_getaffinity(0)) if", "cores = os.cpu_count() if",
         "workers on processors that are not ours"),
    ]),
    ("run_all.py", "test_run_all::test_reader_that_goes_away_costs_nothing", [
        ("    except OSError:\n        os.dup2", "    except ValueError:\n        os.dup2",
         "a closed pipe ends the run"),
    ]),
    ("run_all.py", "test_run_all::test_gallery_says_what_was_run_and_what_failed", [
        ('all(verdict(record) != "drawn, claims not checked" for',
         'any(verdict(record) != "drawn, claims not checked" for',
         "a gallery that claims to have checked a small budget"),
        ("c['text'].replace('|', '&#124;')", "c['text']", "a bar in a claim's text breaks the table"),
    ]),
    ("run_all.py", "test_run_all::test_terminal_shows_bars_and_a_total_and_keeps_no_stray_characters", [
        ("> shown + 0.2", "> shown + 200", "progress shown once"),
        ("self.total.update()", "pass", "a total that does not count"),
    ]),
    ("run_all.py", "test_run_all::test_workers_do_not_hear_signals_at_any_moment", [
        ("    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)\n    yield", "    yield",
         "workers deaf to signals a moment late"),
        ("    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)\n    resource", "    resource",
         "a resource tracker that dies of a hang-up"),
        ("resource_tracker.ensure_running()", "pass", "a late resource tracker lets signals through"),
    ]),
    ("run_all.py", "test_run_all::test_run_writes_pictures_results_times_and_gallery_and_nothing_else", [
        ('versions = {"python": platform.python_version(),', "versions = {", "Python's version not recorded"),
        ("round(took, 2)", "round(time.monotonic(), 2)", "seconds since the machine started"),
        ("        shutil.rmtree(args.folder, ignore_errors=True)", "        pass", "the unfinished folder left behind"),
        ('("numpy", "autograd", "matplotlib")', '("numpy", "autograd")', "Matplotlib's version not recorded"),
        ("took = time.monotonic() - start", "took = time.monotonic()", "a total of the machine's seconds"),
    ]),
    ("run_all.py", "test_run_all::test_default_folder_is_figures", [
        ('parser.error("--quick does not write into figures/")', "pass", "--quick --out figures accepted"),
    ]),
    ("run_all.py", "test_run_all::test_foreign_readme_is_not_overwritten", [
        (".startswith(WRITTEN)", "", "a README of others overwritten"),
    ]),
    ("run_all.py", "test_run_all::test_same_seed_gives_the_same_bytes_whatever_the_jobs", [
        ("partial(stream, seed, name), budget, progress", "partial(stream, 0, name), budget, progress",
         "--seed without effect"),
    ]),
    ("run_all.py", "test_run_all::test_bad_usage_exits_2_and_writes_nothing", [
        ("difflib.get_close_matches(name, FIGURES, 1)", "difflib.get_close_matches(name, FIGURES, 1, 0.99)",
         "no near name suggested"),
        ("args.jobs < 1 or args.seed < 0:", "args.jobs < 1:", "a negative seed"),
    ]),
    ("run_all.py", "test_run_all::test_last_line_names_what_missed", [
        ('if answer(c, record["budget"]) == "NO"]', 'if not c["holds"]]', "claims of a small budget in the last line"),
    ]),
    ("figures/common.py", "test_run_all::test_claim_holds_within_its_bounds_and_on_them", [
        ("self.value <= self.high", "self.value <= abs(self.high) + 1", "upper bounds of claims"),
        ("self.low <= self.value)", "self.low < self.value)", "a value on its lower bound"),
        ("self.high is None or self.value <= self.high", "True", "no upper bound at all"),
    ]),
    ("figures/common.py", "test_run_all::test_streams_are_told_apart_by_seed_name_and_part", [
        ("[seed, crc32((name + part).encode())]", "[seed, crc32(name.encode())]",
         "one stream for all parts of a figure"),
        ("[seed, crc32((name + part).encode())]", "crc32((name + part).encode())", "one stream for all seeds"),
    ]),
    ("figures/common.py", "test_run_all::test_scaled_rounds_and_keeps_a_least_number", [
        ("max(least, round(n * budget))", "max(least, round(n * budget**0.5))", "the root of the budget"),
        ("max(least, round(n * budget))", "round(n * budget)", "no steps at a small budget"),
    ]),
    ("figures/common.py", "test_run_all::test_saved_picture_depends_on_the_drawing_alone", [
        ('metadata={"Software": None}', "metadata={}", "the software's version in the picture's bytes"),
    ]),
    ("figures/common.py", "test_run_all::test_passes_count_values_tangents_and_traces", [
        ("1 + (len(v) if v.ndim == 3 else 1)", "1", "passes of tangents not counted"),
        ('"divergence": lambda x: 2}', '"divergence": lambda x: 1}', "passes of traces not counted"),
    ]),
    ("figures/common.py", "test_run_all::test_ticker_advances_a_bar_of_n_steps_and_no_further", [
        ("next(bar, None)", "list(bar)", "a bar full at once"),
    ]),
    ("figures/common.py", "test_run_all::test_normal_noise_has_shape_and_dtype_of_x", [
        ("rng.standard_normal(x.shape, x.dtype)", "rng.standard_normal(x.shape)", "float64 noise in the figures"),
    ]),
    ("figures/common.py", "test_run_all::test_grid_is_the_plane_row_by_row", [
        ("np.stack(np.meshgrid(axis, axis), axis=-1)", "np.stack(np.meshgrid(axis, axis)[::-1], axis=-1)",
         "x₁ and x₂ exchanged on the grid"),
    ]),
    ("figures/common.py", "test_run_all::test_map_has_each_value_at_its_place", [
        ('origin="lower", extent=(-box, box, -box, box),\n                      cmap=cmap',
         'origin="upper", extent=(-box, box, -box, box),\n                      cmap=cmap', "a map upside down"),
    ]),
    ("figures/common.py", "test_run_all::test_arrows_are_the_score_and_at_most_as_long_as_said", [
        ("np.minimum(1, longest /", "np.maximum(1, longest /", "arrows of at least the longest length"),
        ("ax.quiver(*x.T, *s.T,", "ax.quiver(*x.T, *-s.T,", "arrows against the score"),
    ]),
    ("figures/common.py", "test_run_all::test_error_is_a_distance_at_each_point", [
        ("np.linalg.norm(score(x) - target(x), axis=1)", "np.linalg.norm(score(x) - target(x), axis=1)**2",
         "a square for a distance"),
    ]),
    ("figures/common.py", "test_run_all::test_distance_of_real_to_real_is_twice_the_mean_distance", [
        ("return len(x) * np.mean(", "return np.mean(", "the factor n of the real distance"),
    ]),
    ("figures/common.py", "test_run_all::test_figures_train_with_their_options_on_the_right_columns", [
        ("label=label), **options)", "label=label))", "options of fit dropped"),
        ("row[:, :2], row[:, 2:])", "row[:, 2:], row[:, :2])", "points and targets exchanged"),
    ]),
    ("figures/common.py", "test_run_all::test_relu_energy_bends_after_the_bias", [
        ("anp.maximum(anp.dot(a, W) + b, 0.0)", "anp.maximum(anp.dot(a, W), 0.0) + b", "bias after the ReLU"),
    ]),
    ("tests/check_port.py", "test_vectors::test_true_is_no_number_where_one_is_expected", [
        ("and not isinstance(value, bool)", "", "true as a number"),
    ]),
    ("tests/check_port.py", "test_vectors::test_checker_rejects", [
        ("abs(value) <= sys.float_info.max", "abs(value) != math.inf", "NaN as a number"),
        ("len(value) != len(like)", "len(value) < len(like)", "longer lists"),
        ("or len(answer) != len(expected)", "or len(answer) < len(expected)", "more layers than expected"),
        ("default=0) or 1\n", "default=0) + 1\n", "absolute for small numbers"),
        ("max((abs(got - want) / scale", "max((abs(abs(got) - abs(want)) / scale", "sizes without signs"),
        ("max((abs(got - want) / scale", "max(((got - want) / scale", "too small is no error"),
        ("return max(((error(pairs), where)", "return min(((error(pairs), where)", "the best array for the worst"),
        ('(rtol or case["tolerances"][dtype]), error, where', '50 * (rtol or case["tolerances"][dtype]), error, where',
         "a tolerance fifty times too wide"),
        ('error <= (rtol or case["tolerances"][dtype])', 'error <= (rtol or case["tolerances"]["float32"])',
         "float64 held to float32's tolerance"),
    ]),
    ("tests/check_port.py", "test_vectors::test_expected_zeros_are_held_to_the_tolerance_itself", [
        ("scale = max((abs(want) for _, want in pairs), default=0) or 1",
         "scale = max((abs(got) for got, _ in pairs), default=0) or 1", "relative to the answer"),
        ("default=0) or 1\n", "default=0) or math.inf\n", "expected zeros that accept anything"),
    ]),
    ("tests/check_port.py", "test_vectors::test_checker_holds_each_case_to_its_own_tolerance", [
        ('error <= (rtol or case["tolerances"][dtype])', 'error <= case["tolerances"][dtype]', "--rtol without effect"),
    ]),
    ("tests/check_port.py", "test_vectors::test_error_cases_are_answered_by_the_kind_and_the_argument", [
        ("all(answer.get(key) == expected[key] for key in expected)",
         "any(answer.get(key) == expected[key] for key in expected)", "the kind of error alone"),
    ]),
    ("tests/check_port.py", "test_vectors::test_patterns_choose_whole_ids_or_their_beginnings", [
        ("else id.startswith(pattern)", "else pattern in id", "--only that matches anywhere"),
        ('any(matches(case["id"], pattern) for pattern in only)', 'matches(case["id"], only[0])',
         "the first pattern of --only alone"),
        ('            raise ValueError(f"no case has an id like {pattern!r}")', "            pass",
         "a pattern that matches nothing"),
    ]),
    ("tests/check_port.py", "test_vectors::test_checker_passes_exact_answers_and_fails_missing_ones", [
        ('and not any(matches(case["id"], pattern) for pattern in skip)', "", "--skip without effect"),
        ("and not (\n            answered and", "and not (\n            not answered and",
         "--answered the other way round"),
        ("int(passed < len(cases) or bool(unknown))", "int(passed < len(cases))", "an unknown case passes"),
        ("int(passed < len(cases) or bool(unknown))", "0", "status 0 whatever fails"),
    ]),
    ("tests/check_port.py", "test_vectors::test_parts_and_answered_leave_out_the_rest", [
        ("(not parts or own in parts)", "True", "--parts without effect"),
        ('return [case for case in kept if case["expected"]]', "return kept", "cases with nothing left to check"),
    ]),
    ("tests/check_port.py", "test_vectors::test_failures_shows_no_case_that_passes_but_every_chapter", [
        ("if not (passed and failures):", "if not passed or failures:", "--failures the other way round"),
    ]),
    ("tests/check_port.py", "test_vectors::test_largest_error_printed_is_the_largest_of_all_cases", [
        ("max(total[2], error or 0.0)", "error or 0.0", "the last error for a chapter's largest"),
        ("max(t[2] for t in totals.values())", "min(t[2] for t in totals.values())", "the least error for the largest"),
    ]),
    ("tests/check_port.py", "test_vectors", [
        ("except (OSError, ValueError, RecursionError)", "except OSError", "a file that is no JSON"),
        ("if path.exists() and not is_blank(read(path)):", "if False:", "a sheet over answers"),
        ("if not isinstance(answers, dict):\n        raise", "if answers is None:\n        raise",
         "answers that are no object"),
        ("<= 10 * t * abs(want) for", "<= 1 for", "a factor that is not shared"),
        ('if name not in (None, "1"):', "if name is not None:", "a hint where all is right"),
        ("yield full, lambda size, c=c", "yield text, lambda size, c=c", "a factor named by its number alone"),
        ("key not in answer]", "False]", "missing fields not named"),
    ]),
    ("tests/check_port.py", "test_vectors::test_there_is_no_factor_where_entries_have_different_ones", [
        ("return r if max(", "return r if True or max(", "a factor where there is none"),
    ]),
    ("figures/book_math.py", "test_book::test_hard_kinds_of_mathematics_are_drawn_as_they_are_meant", [
        ("bare if scripted == html_ else None", "bare", "brackets lost that an exponent needs"),
        ("loose, start, end = row[i].token.space, i, i + 1", "loose, start, end = True, i, i + 1",
         "a tight slash over all factors"),
        ("return token.kind == \"op\" and token.text in OPERATORS", "return token.text in OPERATORS",
         "the sign of an index taken for an operator"),
        ('if kind in ("high", "low"):', "if True:", "exponents of exponents lowered"),
    ]),
    ("figures/book_read.py", "test_book::test_figure_goes_to_the_last_chapter_it_names_and_bounds_read_as_they_are", [
        ("return chapters[-1].name", "return chapters[0].name", "a figure that names no chapter put first"),
        ("return found[-1]", "return found[0]", "the first chapter for the last"),
    ]),
    ("figures/book_html.py", "test_book::test_figure_goes_to_the_last_chapter_it_names_and_bounds_read_as_they_are", [
        ('"≤ {high:.4g}" if low is None', '"≥ {high:.4g}" if low is None', "an upper bound shown as a lower one"),
    ]),
    ("tests/answers.py", "test_vectors", [
        ('return score(a["x"] + column *', 'return score(a["x"] - column *',
         "the noise of NCSN's s the other way round"),
        ('return {"W": listed(value[0]), "b": listed(value[1])}',
         'return {"W": listed(value[1]), "b": listed(value[0])}', "W and b exchanged in answers"),
    ]),
]


def all_mutants():
    """(file, old, new, why, tests), the tests as a list of words."""
    return [(file, *mutant, tests.split()) for file, tests, mutants in MUTANTS for mutant in mutants]


def the_others():
    """The test files that run where the named tests pass."""
    return sorted(path.stem for path in (ROOT / "tests").glob("test_*.py") if path.stem not in LEFT_OUT)


def copy_of_the_project(folder):
    """A copy of what the tests need, without caches and pictures."""
    ignored = shutil.ignore_patterns(".git", "__pycache__", ".*cache", "*.png", "*.gif", ".unfinished*")
    return shutil.copytree(ROOT, folder, ignore=ignored)


def first_failure(folder, tests):
    """The first of these tests, FILE or FILE::NAME, that fails on the copy, or None."""
    places = [f"tests/{file}.py{colons}{name}" for file, colons, name in (test.partition("::") for test in tests)]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", *places]
    try:
        done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False,
                              timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"no end after {SECONDS} s"
    failed = re.search(r"^(?:FAILED|ERROR) (?:tests/)?(.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    return (failed.group(1) if failed else done.stdout[-500:] + done.stderr[-500:]) if done.returncode else None


def try_mutant(mutant, folders):
    """One mutant on one of the copies: what became of it, a line."""
    file, old, new, why, tests = mutant
    folder = folders.get()
    path = folder / file
    text = path.read_text(encoding="utf-8")
    try:
        for test, _, name in (test.partition("::") for test in tests):
            if f"def {name}" not in (folder / "tests" / f"{test}.py").read_text(encoding="utf-8"):
                return f"NOT FOUND  {file:24s} {why}: there is no test {test}::{name}"
        if text.count(old) != 1:
            return f"NOT FOUND  {file:24s} {why}: {old!r} occurs {text.count(old)} times"
        path.write_text(text.replace(old, new), encoding="utf-8")
        whole = [test.partition("::")[0] for test in tests if "::" in test]
        killer = first_failure(folder, tests) or first_failure(folder, [*dict.fromkeys(whole), *the_others()])
        return f"killed     {file:24s} {why} <- {killer}" if killer else f"SURVIVED   {file:24s} {why}: {new!r}"
    finally:
        path.write_text(text, encoding="utf-8")
        folders.put(folder)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD", help="only mutants whose file or reason holds one of these")
    words = parser.parse_args(argv).words
    chosen = [m for m in all_mutants() if not words or any(word in m[0] or word in m[3] for word in words)]
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(JOBS) as pool:
        folders = Queue()
        for job in range(JOBS):
            folders.put(copy_of_the_project(Path(scratch) / f"copy{job}"))
        named = {test.partition("::")[0] for m in chosen for test in m[4]}
        failed = first_failure(folders.queue[0], sorted(named))
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
