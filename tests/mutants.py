"""How strong are the tests? One-line changes to a copy of the package, and which test notices each.

    python tests/mutants.py            all of them, on two cores
    python tests/mutants.py WORD ...   those whose file or reason holds one of the words

A mutant is (file, old text, new text, why); old text must occur exactly once. The tests of the changed
chapter run first, then the others, all but those of run_all.py. Exit status 0 if every mutant is
killed, 1 if one survives or its text is not found, 2 if the tests fail on the unchanged copy.
"""

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
LEFT_OUT = {"test_run_all.py", "test_labels.py"}  # slow; about texts
ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

MUTANTS = [
    # data
    ("data.py", "- 0.5 * d * np.log(2 * np.pi)", "- 0.5 * np.log(2 * np.pi)", "the factor d in the normaliser"),
    ("data.py", "- 0.5 * np.linalg.slogdet", "- np.linalg.slogdet", "half of log det"),
    ("data.py", "self.covs + noise)", "self.covs + noise**0.5)", "σ for σ² in the smoothed mixture"),
    ("data.py", "return -np.sum(r[:, :, None] * pull", "return np.sum(r[:, :, None] * pull",
     "sign of the mixture score"),
    ("data.py", "a - m), axis=-1))", "a), axis=-1))", "the maximum not taken out"),
    ("data.py", "\"nij,nj->ni\"", "\"nji,nj->ni\"", "Cholesky factor transposed in sampling"),
    ("data.py", "np.sum(diff * pull, axis=2), pull", "np.sum(diff * diff, axis=2), pull",
     "no precision in the exponent"),
    # derivatives
    ("derivatives.py", "np.sum(basis * J, axis=(0, 2))", "np.sum(basis[:1] * J[:1], axis=(0, 2))",
     "the first entry for the diagonal"),
    ("derivatives.py", "np.sum(a) / a.size", "np.sum(a) / len(a) / 2", "half of a mean"),
    ("derivatives.py", "0.5 * np.vdot(weight * a, a)", "np.vdot(weight * a, a)", "the half of ½E‖a‖²"),
    ("derivatives.py", "g / rows(s) * weight * (s - target)", "2 * g / rows(s) * weight * (s - target)",
     "the gradient of ‖a‖² for that of ½‖a‖²"),
    ("derivatives.py", "0.5 * np.vdot(a, a) / rows(a) + np.vdot", "np.vdot(a, a) / rows(a) + np.vdot",
     "the half in both sliced losses"),
    ("derivatives.py", "/ rows(a) + np.vdot(v, Jv)", "/ rows(a) - np.vdot(v, Jv)", "sign of vᵀJv"),
    ("derivatives.py", "g / rows(v) * v)", "-g / rows(v) * v)",
     "sign of vᵀJv in the gradient"),
    ("derivatives.py", "return a.size // a.shape[-1]", "return len(a)", "a wrong count of rows for stacked probes"),
    ("derivatives.py", "np.ones(a.shape, a.dtype))", "np.ones(a.shape))",
     "a float64 gradient of a float32 mean"),
    # explicit
    ("explicit.py", "return half_mean_square(", "return 2 * half_mean_square(", "half of the explicit loss"),
    ("explicit.py", "/ (-2 * h**2)", "/ (-2 * h)", "h for h² in the kernel"),
    ("explicit.py", "- (x - centre)) / h**2", "- (x - centre)) / h", "h for h² in the KDE score"),
    ("explicit.py", "0.5 * d * np.log(2 * np.pi * h**2)", "0.5 * np.log(2 * np.pi * h**2)", "the factor d in the KDE"),
    ("explicit.py", "np.log(n) + 0.5", "0.5", "1/n in the KDE"),
    ("explicit.py", "== start + np.arange(len(block))", "== np.arange(len(block))",
     "leave-one-out wrong after a block"),
    # implicit and sliced
    ("implicit.py", "half_mean_square(s) + mean", "2 * half_mean_square(s) + mean", "half of ‖s‖² in ISM"),
    ("implicit.py", "half_mean_square(s) + mean(tr)", "half_mean_square(s) - mean(tr)", "sign of the trace"),
    ("implicit.py", "+ mean(tr)", "+ mean(tr) / x.shape[1]", "trace divided by d"),
    ("sliced.py", "np.sum(v * s, axis=-1, keepdims=True)", "v * s", "squares before the sum"),
    ("sliced.py", "half_mean_square_plus(s, v, Jv)",
     "half_mean_square_plus(np.sum(v * s, axis=-1, keepdims=True), v, Jv)", "SSM for SSM-VR"),
    ("sliced.py", "v *= (shape[-1] / np.sum", "v *= (1 / np.sum", "sphere of norm 1"),
    ("sliced.py", "2 * rng.integers(0, 2, size=shape).astype(dtype) - 1",
     "rng.integers(0, 2, size=shape).astype(dtype)", "probes 0, 1 for ±1"),
    ("sliced.py", "rng.standard_normal(shape, dtype)", "rng.standard_normal(shape)", "float64 probes"),
    # denoising and ncsn
    ("denoising.py", "x), -z / sigma)", "x), z / sigma)", "sign of the DSM target"),
    ("denoising.py", "x), -z / sigma)", "x), -z / sigma**2)", "σ² for σ in the target"),
    ("denoising.py", "score(x + sigma * z)", "score(x + sigma**2 * z)", "σ² for σ in the noise"),
    ("denoising.py", "score(x + sigma * z)", "score(x)", "the score asked at the clean point"),
    ("denoising.py", "return half_mean_square(", "return 2 * half_mean_square(", "half of the DSM loss"),
    ("denoising.py", "x_noisy + sigma**2 * like", "x_noisy + sigma * like", "σ for σ² in Tweedie"),
    ("denoising.py", "x_noisy + sigma**2 * like", "x_noisy - sigma**2 * like", "sign of Tweedie"),
    ("ncsn.py", "-z / column, column**2)", "-z / column, column**4)", "weighted by σ² twice"),
    ("ncsn.py", "-z / column, column**2)", "-z / column, column)", "weighted by σ for σ²"),
    ("ncsn.py", "-z / column, column**2)", "z / column, column**2)", "sign of the NCSN target"),
    ("ncsn.py", "return half_mean_square(", "return 2 * half_mean_square(", "half of the NCSN loss"),
    ("ncsn.py", "score(x + column * z, column[:, 0])", "score(x + column * z, column[::-1, 0])",
     "levels of other rows"),
    ("ncsn.py", "np.geomspace(sigma_max, sigma_min, n)", "np.linspace(sigma_max, sigma_min, n)", "linear levels"),
    ("ncsn.py", "np.geomspace(sigma_max, sigma_min, n)", "np.geomspace(sigma_max, sigma_min, n + 1)[:-1]",
     "the last level missing"),
    ("checks.py", "np.asarray(sigma, dtype=x.dtype)", "np.asarray(sigma, dtype=float)", "float64 levels"),
    # langevin
    ("langevin.py", "0.5 * step * like", "step * like", "half of the drift"),
    ("langevin.py", "size = float(temperature * step)**0.5", "size = float(temperature * step)",
     "noise step for √step"),
    ("langevin.py", "size = float(temperature * step)**0.5", "size = float(2 * temperature * step)**0.5",
     "noise √(2 step)"),
    ("langevin.py", "size = float(temperature * step)**0.5", "size = float(temperature) * float(step)**0.5",
     "T for √T"),
    ("langevin.py", "x.dtype)                            # (N,d)", "float)  # (N,d)", "float64 noise"),
    ("langevin.py", "rng.standard_normal(x.shape, x.dtype)", "rng.standard_normal((1, x.shape[1]), x.dtype)",
     "one noise for all chains"),
    ("langevin.py", "step * sigma**2 / float(sigmas[-1])**2", "step * sigma / float(sigmas[-1])", "step ∝ σ"),
    ("langevin.py", "step * sigma**2 / float(sigmas[-1])**2", "step * sigma**2 / float(sigmas[0])**2",
     "step of the first level"),
    ("langevin.py", "x + sigma**2 * ", "x + 0.5 * sigma**2 * ", "half of the last denoising"),
    ("langevin.py", "callback(i * n_steps + k, x)", "callback(i + k, x)", "annealed indices"),
    ("langevin.py", "bounded[1:] < bounded[:-1]", "bounded[1:] <= bounded[:-1]", "equal levels accepted"),
    ("langevin.py", "if not np.isfinite(np.sum(moved**2)):", "if False:", "divergence not seen"),
    ("langevin.py", "not 0 <= temperature < np.inf", "not 0 <= temperature", "infinite temperature accepted"),
    # metrics
    ("metrics.py", "return half_mean_square(", "return 2 * half_mean_square(", "half of the Fisher divergence"),
    ("metrics.py", "2 * _mean_distance(a, b) - ", "_mean_distance(a, b) - ", "the 2 of the energy distance"),
    ("metrics.py", "for R in blocks) / (len(a) * len(b))", "for R in blocks) / (len(a) * (len(b) - 1 or 1))",
     "1/(n − 1) in the energy distance"),
    ("metrics.py", "np.sum(R, dtype=float)", "np.sum(R**2, dtype=float)", "squared distances"),
    ("metrics.py", "-1 / len(b)], [len(a), len(b)]", "-1 / len(a)], [len(a), len(b)]", "weights of the second sample"),
    ("metrics.py", "for _ in range(n_permutations)", "for _ in range(n_permutations - 1)", "K off by one"),
    ("metrics.py", "np.argmin(sq", "np.argmax(sq", "the farthest mode"),
    ("metrics.py", "minlength=len(means)", "minlength=0", "empty modes left out"),

    # network, backprop, train
    ("network.py", "lambda g: g * ans * (1 - ans))", "lambda g: g * ans)", "ς' in reverse"),
    ("network.py", "lambda g, ans, h: g * ans * (1 - ans))", "lambda g, ans, h: g * ans)", "ς' forwards"),
    ("network.py", "/ np.sqrt(sigma**2 + self.sigma_data**2)  ", "/ (sigma + self.sigma_data)  ", "input scaling"),
    ("network.py", "np.log(sigma)], axis=1)) / sigma", "np.log(sigma)], axis=1))", "1/σ of the output"),
    ("network.py", "return lambda x: -gradient(", "return lambda x: gradient(", "energy sign flipped"),
    ("network.py", "/ np.sqrt(n_in)).astype(dtype)", "/ np.sqrt(n_out)).astype(dtype)", "spread of W"),
    ("network.py", "b + math.log(sigma) * W[-1]", "b + sigma * W[-1]", "σ for log σ at one level"),
    ("network.py", "if len(self.params) == 3 and", "if len(self.params) >= 3 and", "the closed form at another depth"),
    ("backprop.py", "np.tanh(0.5 * h)", "np.tanh(h)", "the half in the sigmoid"),
    ("backprop.py", "gate += inputs[-1] * rests[-1]", "gate += inputs[-1] * gate", "φ' in the fast path"),
    ("backprop.py", "rest * (2 * slope - a)", "rest * (slope - a)", "φ''"),
    ("backprop.py", "before.append(slope * after[-1])", "before.append(after[-1])",
     "φ' dropped from tangents and adjoints"),
    ("backprop.py", "[W.T for W in weights[::-1]], slopes[::-1], g)", "[W.T for W in weights[::-1]], slopes, g)",
     "φ' of other layers in the adjoint"),
    ("backprop.py", "            g += extra[l - 1]", "            pass", "the mixed derivative dropped"),
    ("backprop.py", "[np.dot(flat(a_dot).T", "[-np.dot(flat(a_dot).T", "sign of the tangents' share of dW"),
    ("backprop.py", "np.dot(ones, g)))", "g[0]))", "one row for the sum in db"),
    ("backprop.py", "late.append(g) or np.zeros_like(s)", "late.append(g) or np.ones_like(s)",
     "a derivative handed over twice"),
    ("backprop.py", "pullback(g, late[-1] if", "pullback(g, late[0] if", "the first cotangent for the last"),
    ("backprop.py", "np.sum(h_dot * pull, axis=0)", "(h_dot * pull)[0]", "one probe for the sum over probes"),
    ("backprop.py", "G = np.dot(W_1.T, W_3.T)", "G = np.dot(W_3, W_1)", "W_3 W_1 transposed"),
    ("backprop.py", "C_2 * (t[:, None] * DB) ", "0 * DB ",
     "the trace's share of the second layer"),
    ("backprop.py", "dG.T), dB * G, np", "dG.T), dB, np", "Hadamard factor of dW_2"),
    ("backprop.py", "backward(tape, np.zeros_like(E)", "backward(tape, np.ones_like(E)",
     "δ = 1 for 0 under an energy's gradient"),
    ("backprop.py", "np.ones(len(g), g.dtype)", "np.ones(len(g))", "float64 bias gradients"),
    ("train.py", "m *= 0.9\n", "m *= 0.99\n", "β₁"),
    ("train.py", "u += g * g", "u += g", "g for g²"),
    ("train.py", "math.sqrt((1 - 0.999**k) / 0.001)", "(1 - 0.999**k) / 0.001", "no root in the correction of u"),
    ("train.py", "rate * c / a * m", "rate * c / 10 * m", "no correction of m"),
    ("train.py", "+ c * 1e-8)", "+ 1e-8)", "10⁻⁸ next to an uncorrected root"),
    ("train.py", "u, k + 1, rate *", "u, k + 2, rate *", "k off by one"),
    ("train.py", "math.cos(math.pi * k / steps)", "math.cos(0.5 * math.pi * k / steps)", "half a cosine"),
    ("train.py", "rng.integers(len(data), size=batch_size)", "rng.integers(len(data) - 1, size=batch_size)",
     "the last row never drawn"),
]


def tests_of(file):
    """All test files but those left out, that of the changed chapter first."""
    first = f"test_{Path(file).stem}.py"
    names = sorted(path.name for path in (ROOT / "tests").glob("test_*.py"))
    return sorted([name for name in names if name not in LEFT_OUT], key=lambda name: name != first)


def copy_of_the_package(folder):
    """A copy of what the tests need, without caches."""
    for part in ("scoremin", "tests", "figures"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.png"))
    shutil.copy(ROOT / "run_all.py", folder)
    return folder


def first_failure(folder, file):
    """The first test that fails on the copy, or None."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *(f"tests/{name}" for name in tests_of(file))], cwd=folder, env=ENVIRONMENT,
                          capture_output=True, text=True, check=False)
    failed = re.search(r"^(?:FAILED|ERROR) (?:tests/)?(.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    return (failed.group(1) if failed else done.stdout[-500:] + done.stderr[-500:]) if done.returncode else None


def try_mutant(mutant, folders):
    """One mutant on one of the copies: what became of it, a line."""
    file, old, new, why = mutant
    folder = folders.get()
    path = folder / "scoremin" / file
    text = path.read_text(encoding="utf-8")
    try:
        if text.count(old) != 1:
            return f"NOT FOUND  {file:15s} {why}: {old!r} occurs {text.count(old)} times"
        path.write_text(text.replace(old, new), encoding="utf-8")
        killer = first_failure(folder, file)
        return f"killed     {file:15s} {why} <- {killer}" if killer else f"SURVIVED   {file:15s} {why}: {new!r}"
    finally:
        path.write_text(text, encoding="utf-8")
        folders.put(folder)


def main(words):
    chosen = [m for m in MUTANTS if not words or any(word in m[0] or word in m[3] for word in words)]
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(JOBS) as pool:
        folders = Queue()
        for job in range(JOBS):
            folders.put(copy_of_the_package(Path(scratch) / f"copy{job}"))
        failed = first_failure(folders.queue[0], "")
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
    sys.exit(main(sys.argv[1:]))
