"""Do the vectors catch a wrong port? One-line changes of the PyTorch port, and the first vector that each fails.

    python tests/ports/mutants.py            all of them
    python tests/ports/mutants.py WORD ...   those whose text or reason holds one of the words

A mutant is (old text, new text, why); old text must occur exactly once. The cases run in float64, or in
float32 where the reason says so. Exit status 0 if every mutant fails a vector, 1 if one passes them all
or its text is not found, 2 if the unchanged port fails.
"""

import importlib.util
import sys
import tempfile
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import adapters
import check_port
from answers import answer

MUTANTS = [
    # constants and signs of losses
    ("return 0.5 * (score(x) - target).square().sum(1).mean()", "return (score(x) - target).square().mean()",
     "explicit: a mean over N·d, without the ½"),
    ("return 0.5 * (score(x) - target).square().sum(1).mean()", "return (score(x) - target).square().sum(1).mean()",
     "explicit: no ½"),
    ("return 0.5 * (score(x + sigma * z) + z / sigma).square().sum(1).mean()",
     "return (score(x + sigma * z) + z / sigma).square().mean()", "denoising: a mean over N·d, without the ½"),
    ("(score(x + sigma * z) + z / sigma)", "(score(x + sigma * z) - z / sigma)", "denoising: sign of the target"),
    ("(score(x + sigma * z) + z / sigma)", "(sigma**2 * (score(x + sigma * z) + z / sigma))", "denoising: σ⁴ too much"),
    ("(score(x + sigma * z) + z / sigma)", "(score(x) + z / sigma)", "denoising: the score at the clean point"),
    ("+ z / sigma).square()", "+ ((x + sigma * z) - x) / sigma**2).square()", "denoising: (x̃ − x)/σ² in float32"),
    ("(column * score(x + column * z, sigma) + z).square().sum(1).mean()",
     "(column * score(x + column * z, sigma) + z).square().mean() * 2", "ncsn: a mean over N·d, right at d = 2 with ½"),
    ("(column * score(x + column * z, sigma) + z)", "(column * score(x + column * z, sigma) + ((x + column * z) - x) "
     "/ column)", "ncsn: (x̃ − x)/σ² in float32"),
    ("(column * score(x + column * z, sigma) + z)", "(score(x + column * z, sigma) + z / column)", "ncsn: no λ(σ)"),
    ("(column * score(x + column * z, sigma) + z)", "(column * (column * score(x + column * z, sigma) + z))",
     "ncsn: λ = σ⁴"),
    ("return (0.5 * s.square().sum(1) + tr).mean()", "return (s.square().sum(1) + tr).mean()", "implicit: no ½"),
    ("return (0.5 * s.square().sum(1) + tr).mean()", "return (0.5 * s.square().sum(1) + tr / x.shape[1]).mean()",
     "implicit: trace over d"),
    ("return s, torch.einsum(\"jnj->n\", Je)", "return s, torch.einsum(\"jnj->n\", Je[:2, :, :2])",
     "a trace wired to d = 2"),
    ("return (0.5 * s.square().sum(1) + tr).mean()", "return (0.5 * s.square().sum(1) + tr.detach()).mean()",
     "implicit: a trace without gradient"),
    ("(0.5 * (v * s).sum(-1).square() + ", "(0.5 * (v * s).square().sum(-1) + ", "sliced: squares before the sum"),
    ("(0.5 * (v * s).sum(-1).square() + ", "(0.5 * s.square().sum(-1) + ", "sliced: SSM-VR for SSM"),
    ("return (0.5 * s.square().sum(-1) + (v * Jv).sum(-1)).mean()",
     "return (0.5 * s.square().sum(-1) - (v * Jv).sum(-1)).mean()", "sliced: sign of vᵀJv"),
    ("return s[0], Jv", "return s[0], Jv[:1].expand_as(Jv)", "one probe for all"),
    ("(ahead - behind) / (2 * radius)", "(ahead - behind) / radius", "finite differences: radius for 2 radius"),
    ("0.5 * (ahead + behind), ", "ahead, ", "finite differences: ‖s₊‖² for the middle"),
    ("+ d / (2 * sigma**2)", "+ 1 / sigma**2", "control variate: the constant of d = 2"),
    ("(s - score(x))", "s", "control variate left out"),
    # networks
    ("x = F.silu(layer(x))", "x = F.softplus(layer(x))", "softplus for SiLU"),
    ("torch.sqrt(sigma**2 + self.sigma_data**2)", "torch.sqrt(sigma**2 + 1)", "sigma_data fixed at 1"),
    ("* f - x / tau**2", "* f + x / tau**2", "network: sign of the skip"),
    ("return self.sigma_data / (sigma * tau) * f", "return f / sigma", "network: a skip without its scale"),
    (".values[:, k]", ".values[:, k - 1]", "metrics: a point as its own neighbour"),
    ("ncsn_loss(score, x, -z, sigma)", "ncsn_loss(score, x, z, sigma)", "ncsn: z twice for z and −z"),
    ("torch.log(sigma)]", "torch.log(sigma) / 4]", "a quarter of log σ"),
    ("return -gradient(x)", "return gradient(x)", "energy: sign"),
    ("W / math.sqrt(len(W))", "W / math.sqrt(W.shape[1])", "init_mlp: 1/out for 1/in"),
    # mixtures and kernels
    ("0.5 * torch.logdet(2 * math.pi * covs)", "0.5 * torch.logdet(covs) - 0.5 * math.log(2 * math.pi)",
     "mixture: the factor d"),
    ("self.covs + noise)", "self.covs + noise / sigma)", "mixture: σ for σ²"),
    ("torch.linalg.cholesky(self.covs)[k]", "torch.linalg.cholesky(self.covs)[k].mT", "sampling: factor transposed"),
    ("return (a[:, None] - b).square().sum(2)",
     "return (a.square().sum(1)[:, None] - 2 * a @ b.T + b.square().sum(1)).clamp(0)", "expanded squares"),
    ("/ (-2 * h**2)", "/ -(h + h**2)", "kernel right at h = 1 alone"),
    ("n, d = len(data) - leave_one_out, data.shape[1]", "n, d = len(data), data.shape[1]", "1/n for 1/(n − 1)"),
    ("wide.std(0, correction=0)", "wide.std(0)", "standardise: 1/(n − 1)"),
    ("wide.std(0, correction=0)", "(wide.square().mean(0) - wide.mean(0).square()).sqrt()",
     "standardise: E x² − (E x)²"),
    ("= weights / weights.sum(), means", "= weights, means", "data: weights that are not divided by their sum"),
    ("return a.masked_fill(own, -math.inf) if", "return a.masked_fill(a == 0, -math.inf) if",
     "explicit: what is left out is equal, not the row itself"),
    ("return (a[:, None] - b).square().sum(2)", "a, b = a - b.mean(0), b - b.mean(0)\n    return (a.square().sum(1)"
     "[:, None] - 2 * a @ b.T + b.square().sum(1)).clamp(0)", "expanded squares about the mean"),
    ("squared_distances(x, means).argmin(1)", "(means.square().sum(1) - 2 * x @ means.T).argmin(1)",
     "metrics: modes by expanded squares in float32"),
    ("\"weight\": W.T, \"bias\": b}", "\"weight\": W.T.float(), \"bias\": b}",
     "network: parameters kept in single precision"),
    ("tie = 4 * torch.finfo(R.dtype).eps", "tie = 1e-12", "metrics: ties to 10⁻¹² in float32"),
    # samplers
    ("x + 0.5 * step * score(x) + (temperature", "x + step * score(x) + (temperature", "langevin: whole drift"),
    ("(temperature * step)**0.5 * z", "temperature * step**0.5 * z", "langevin: T for √T"),
    ("x + 0.5 * step * score(x) + (temp", "x + 0.5 * step * score(x).clamp(-5, 5) + (temp", "langevin: clipped score"),
    ("step * (sigma / sigmas[-1])**2, z)", "step * (sigma / sigmas[-1]), z)", "annealed: step ∝ σ"),
    ("for sigma, z in zip(sigmas, noise):", "for sigma, z in zip([sigmas[0] * (sigmas[-1] / sigmas[0])**(i / "
     "len(noise)) for i in range(len(noise))], noise):", "annealed: levels of its own"),
    ("return x + sigma**2 * score(x, sigma) if", "return x + 0.5 * sigma**2 * score(x, sigma) if",
     "annealed: half of the last denoising"),
    ("lost = sigma**2 - after**2", "lost = (sigma - after)**2", "reverse_sde: (σ − σ')² for σ² − σ'²"),
    ("lost**0.5 * z", "lost**0.5 * after / sigma * z", "reverse_sde: the ancestral noise"),
    ("0.5 * (after - sigma) * (slope + end)", "(after - sigma) * slope", "probability_flow: Euler for Heun"),
    ("D + 0.5 * width / last[1]", "D + 0.5", "dpm_solver: equal widths assumed"),
    ("return prior(x) - total", "return prior(x) + total", "log_likelihood: sign of the integral"),
    # conditional scores, predictions, boundaries
    ("sigma**2 * units + sigma**4 * J ", "sigma**2 * units + sigma**2 * J ", "conditional: σ² for σ⁴ in C"),
    ("S = kept + noise**2", "S = 0 * kept + noise**2", "conditional: no covariance of x"),
    (" + (by_S * HCH).sum()", "", "conditional: C without its slope"),
    ("H.T, 0.5 * (HCH + HCH.mT)", "H.T, HCH.tril() + HCH.tril(-1).mT", "conditional: one half of a learned C"),
    ("S = kept + noise**2", "S = kept + noise", "conditional: noise for noise²"),
    (" - torch.diag_embed(1 / S))", ")", "conditional: no log det S"),
    ("((y - HD)[:, None] @ R)", "((y - x @ H.T)[:, None] @ R)", "conditional: y held against x̃"),
    ("kept, size = values.clamp(min=0)", "kept, size = values", "conditional: a covariance with negative eigenvalues"),
    ("(0.5 * share * (r", "(0.5 * (r", "conditional: cut eigenvalues with the slope of those that are not"),
    ("torch.cat([x, y.expand(len(x), y.shape[-1])], 1)", "torch.cat([y.expand(len(x), y.shape[-1]), x], 1)",
     "conditional: y before x"),
    ("model(a * x, t[:, 0])", "model(x, t[:, 0])", "denoising: a model of x̃ for x_t"),
    ("\"velocity\": (db, da)}", "\"velocity\": (-da, db)}", "denoising: v-prediction turned by 90°"),
    ("return a**2, a, sigma * a", "return a, a, sigma * a", "denoising: √ᾱ for ᾱ as the time of VP"),
    ("divergence(lambda x: g(x) * score(x), x)", "divergence(lambda x: g(x).detach() * score(x), x)",
     "implicit: no slope of g"),
    # linear models, Adam, metrics
    ("+ ridge * torch.eye", "+ ridge / len(x) * torch.eye", "linear_score: ridge over n"),
    ("betas=(0.9, 0.999), eps=1e-8", "betas=(0.9, 0.999), eps=1e-4", "Adam: 10⁻⁴"),
    ("betas=(0.9, 0.999)", "betas=(0.9, 0.99)", "Adam: β₂"),
    ("math.cos(math.pi * k / steps)", "math.cos(math.pi * k / (steps - 1))", "schedule off by one"),
    ("return squared_distances(a, b).sqrt()", "return squared_distances(a, b)", "energy distance of squares"),
    ("- distances(a, a).mean() - distances", "- distances(a, a).sum() / (len(a) * max(1, len(a) - 1)) - distances",
     "energy distance: 1/(n − 1)"),
    ("*w[permutations]]", "*w[permutations.argsort(1)]]", "the inverse permutations"),
    ("D >= D[0] - tie", "D > D[0] + tie", "ties against the test"),
    (".argmin(1), len(means))", ".flip(1).argmin(1).neg() + len(means) - 1, len(means))", "the last of equal modes"),
]


def module(text, folder, number):
    """The port made from changed text, with all that answers.py asks for."""
    path = Path(folder) / f"port_{number}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    port = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(port)
    sys.modules["torch_port"] = port
    return adapters.torch_port()


def first_failure(port, why, cases):
    """The first case that the port fails, or None."""
    dtype = "float32" if "float32" in why else "float64"
    for case in sorted(cases, key=lambda case: not why.startswith(case["id"].split("/")[0])):
        try:
            passed = check_port.check(case, answer(case, port, dtype), dtype)[0]
        except Exception as error:
            return f"{case['id']} ({type(error).__name__})"
        if not passed:
            return case["id"]
    return None


def main(words):
    warnings.simplefilter("ignore")
    chosen = [m for m in MUTANTS if not words or any(word in m[1] or word in m[2] for word in words)]
    source, cases = (HERE / "torch_port.py").read_text(encoding="utf-8"), check_port.load(skip=["errors/"])
    caught = 0
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("float64", "float32"):
            failed = first_failure(module(source, folder, dtype), dtype, cases)
            if failed:
                print(f"the unchanged port fails {failed} in {dtype}")
                return 2
        for number, (old, new, why) in enumerate(chosen):
            if source.count(old) != 1:
                print(f"NOT FOUND  {why}: {old!r} occurs {source.count(old)} times", flush=True)
                continue
            failed = first_failure(module(source.replace(old, new), folder, number), why, cases)
            caught += failed is not None
            print(f"caught     {why} <- {failed}" if failed else f"PASSES     {why}: {new!r}", flush=True)
    print(f"{caught} of {len(chosen)} wrong ports fail a vector")
    return int(caught < len(chosen))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
