"""Both ports against every vector, in float64 and float32; each is skipped where its framework is missing."""

import importlib.util
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent.parent)]

# Every case is compiled to run once: no optimisation pays for itself.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")

import adapters
import check_port
from answers import Missing, evaluate, listed

import scoremin

CHAPTERS = sorted({case["id"].split("/")[0] for case in check_port.load(skip=["errors/"])})
# The first directional derivative makes PyTorch load a file of its own in a way that it deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
PORTS = {"torch": adapters.torch_port, "jax": adapters.jax_port}


def skip_without(framework):
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed: python -m pip install -r tests/ports/requirements.txt")


@pytest.fixture(scope="module", params=PORTS)
def port(request):
    """A port and how to run a case in it: JAX compiles a case as a whole."""
    skip_without(request.param)
    module = PORTS[request.param]()
    if request.param == "torch":
        yield module, lambda f: f()
        return
    import jax
    yield module, lambda f: jax.jit(f)()
    jax.config.update("jax_enable_x64", False)


def switched(module, dtype):
    """JAX computes in float64 only when told to; float32 it must do without."""
    if "jax" in vars(module):
        module.jax.config.update("jax_enable_x64", dtype == "float64")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_port_answers_every_vector(port, chapter, dtype):
    """Value, gradient, s, Jv, trace, positions and trained parameters, within each case's tolerance, in the dtype."""
    module, run = port
    switched(module, dtype)
    wrong, worst = [], 0.0
    for case in check_port.load([f"{chapter}/"]):
        try:
            found = run(partial(evaluate, case, module, dtype))
        except Missing as lacking:
            wrong.append(f"{case['id']}: {lacking}")
            continue
        passed, error, where = check_port.check(case, listed(found), dtype)
        wrong += [] if passed else [f"{case['id']}: {error} {where}"]
        kind = str(getattr(found.get("value"), "dtype", dtype))
        if dtype not in kind and case["function"] not in ("geometric_sigmas", "probes"):
            wrong.append(f"{case['id']}: {kind}")
        worst = max(worst, error or 0.0)
    print(f"largest relative error in {chapter}, {dtype}: {worst:.1e}")
    assert not wrong, "\n".join(wrong)


def test_port_has_every_public_function(port):
    """What the package offers and a port lacks is reported by name, but for the recipe, which is made of the others;
    batches and parameters are the adapters'."""
    lacking = [name for name in dir(scoremin) if callable(getattr(scoremin, name)) and name != "sampler"
               and not hasattr(port[0], name)]
    assert not lacking, f"the port has no {', '.join(lacking)}"


def test_a_torch_score_drives_the_samplers():
    """As the README writes it: the same chains as with the same network in NumPy, and no warning."""
    skip_without("torch")
    import numpy as np
    import torch
    params, start = scoremin.init_mlp(np.random.default_rng(0), [2, 8, 2]), np.random.default_rng(1).normal(size=(5, 2))
    net = adapters.torch_port().network("mlp", [(torch.tensor(W), torch.tensor(b)) for W, b in params])
    found, wanted = (scoremin.langevin(score, start, 1e-2, 20, np.random.default_rng(2))
                     for score in (lambda x: net(torch.tensor(x)).detach().numpy(), scoremin.MLP(params)))
    assert np.abs(found - wanted).max() < 1e-12


def test_torch_port_makes_its_tensors_where_the_data_are():
    """On the device "meta" a tensor made elsewhere is an error, or gives one that is not there."""
    skip_without("torch")
    module = adapters.torch_port("meta")
    for case in check_port.load(skip=["errors/", "train/"]):
        found = evaluate(case, module, "float32")
        for part in found.values():
            if hasattr(part, "device") and case["function"] != "geometric_sigmas":
                assert part.device.type == "meta", case["id"]


def test_jax_port_works_under_another_default_device():
    """Data on one device, another the default: results stay with the data, without float64, in every chapter."""
    skip_without("jax")
    program = """
import jax, sys
import adapters, check_port
from answers import evaluate, listed
first, second = jax.devices()
port = adapters.jax_port()
plain = port.array
port.array = lambda values, dtype: jax.device_put(plain(values, dtype), first)
ids = set()
with jax.default_device(second):
    for case in check_port.load(["*d5-two-hidden", "data/", "explicit/kde", "ncsn/loss-levels-d2*", "metrics/"]):
        found = jax.jit(lambda: evaluate(case, port, "float32"))() if "stack" not in case["id"] else \\
            evaluate(case, port, "float32")
        assert check_port.check(case, listed(found), "float32")[0], case["id"]
print("done")
"""
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2",
                                "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], env=environment, capture_output=True,
                          text=True, timeout=300, check=False)
    assert done.returncode == 0 and done.stdout == "done\n", done.stderr[-2000:]


def own_loss(reduce):
    """A denoising loss as others write it, noise drawn within, and how check_yours hands it the noise."""
    import torch

    def denoising_loss(score, x, z, sigma):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "randn_like", lambda x: z)
            noise = torch.randn_like(x)
            return reduce((score(x + sigma * noise) + noise / sigma)**2)
    return denoising_loss


def test_recipe_passes_a_right_loss_of_your_own(capsys):
    """The shipped example, and ½ the sum over d and the mean over N in another writing: every case passes."""
    skip_without("torch")
    import check_yours
    assert check_yours.check("denoising_loss", check_yours.denoising_loss) == 0
    assert check_yours.check("denoising_loss", own_loss(lambda a: a.mean() * a.shape[1] / 2)) == 0
    assert "FAIL" not in capsys.readouterr().out


def test_recipe_goes_on_where_a_case_raises(capsys):
    """A loss that raises on one score in five: those cases fail with the message, the others pass."""
    skip_without("torch")
    import check_yours

    def loss(score, x, z, sigma):
        if x.shape[1] == 5:
            raise RuntimeError("no fifth dimension")
        return check_yours.denoising_loss(score, x, z, sigma)
    assert check_yours.check("denoising_loss", loss) == 1
    text = capsys.readouterr().out
    assert text.count("raised RuntimeError: no fifth dimension") == text.count("FAIL") > 0


def test_recipe_holds_a_loss_of_an_energy_and_one_that_draws_signs(capsys):
    """score.energy is the network; a sliced loss that normalises its probes to √d is right on signs."""
    skip_without("torch")
    import check_yours
    import torch_port

    def normalised(score, x, v):
        return torch_port.sliced_vr_loss(score, x, v / v.square().mean(-1, keepdim=True).sqrt())

    def of_energy(score, x, z, sigma):
        return torch_port.denoising_loss(torch_port.energy_score(score.energy), x, z, sigma)
    assert check_yours.check("sliced_vr_loss", normalised, only=["sliced/*signs*"]) == 0
    assert check_yours.check("sliced_vr_loss", normalised) == 1
    assert check_yours.check("denoising_loss", of_energy, only=["denoising/loss*energy"]) == 0
    assert "it is right on probes of signs" in capsys.readouterr().out


def test_recipe_runs_as_a_copy(tmp_path):
    """In another folder, SCOREMIN saying where the clone is; without it, it says what it wants."""
    skip_without("torch")
    copy = tmp_path / "mine.py"
    copy.write_text((HERE / "check_yours.py").read_text(encoding="utf-8"), encoding="utf-8")
    call = lambda **more: subprocess.run([sys.executable, str(copy)], cwd=tmp_path, env={**os.environ, **more},
                                         capture_output=True, text=True, timeout=300, check=False)
    done = call(SCOREMIN=str(HERE.parent.parent))
    assert done.returncode == 0 and done.stdout.count("cases pass in float64") == 2
    assert "set the variable SCOREMIN" in call(SCOREMIN=str(tmp_path)).stderr


@pytest.mark.parametrize(("reduce", "factor"), [
    (lambda a: a.mean(), "2/d times the expected one: a mean over N·d, without the ½?"),
    (lambda a: a.sum(1).mean(), "2 times the expected one: is a ½ missing?"),
    (lambda a: 0.5 * a.sum(), "N times the expected one: a sum for the mean?")], ids=["mean", "no half", "sum"])
def test_recipe_names_the_factor_of_a_wrong_loss(reduce, factor, capsys):
    """A mean over N·d, one without ½, a sum over N: exit status 1, and the factor in value and gradient."""
    skip_without("torch")
    import check_yours
    assert check_yours.check("denoising_loss", own_loss(reduce)) == 1
    text = capsys.readouterr().out
    assert all(f"the {part} of all" in text for part in ("value", "gradient")) and factor in text


def test_a_network_of_torch_is_a_score_for_the_samplers():
    """The lines of the README: a float32 network of PyTorch as score(x), and as score(x, sigma), sigma one number or
    (N,), of float64 points; its values are those of the same weights in NumPy."""
    skip_without("torch")
    import numpy as np
    import torch

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.SiLU(), torch.nn.Linear(8, 2))
    level_net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.SiLU(), torch.nn.Linear(8, 2))
    tensor = lambda a: torch.tensor(a, dtype=torch.float32)
    score = lambda x: net(tensor(x)).detach().numpy()
    column = lambda x, sigma: tensor(sigma).reshape(-1, 1).expand(len(x), 1)
    noise_score = lambda x, sigma: level_net(torch.cat([tensor(x), column(x, sigma)], dim=1)).detach().numpy()
    layers = lambda net: [tuple(p.detach().numpy().T.astype(float) for p in layer.parameters()) for layer in net[::2]]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 2))
    moved = [scoremin.langevin(s, x, 0.01, 20, np.random.default_rng(1)) for s in (score, scoremin.MLP(layers(net)))]
    assert moved[0].dtype == np.float64 and np.abs(moved[0] - moved[1]).max() < 1e-5
    joined = lambda x, sigma: np.hstack([x, np.broadcast_to(np.reshape(sigma, (-1, 1)), (len(x), 1))])
    (A, a), (B, b) = layers(level_net)
    ours = lambda x, sigma: ((y := joined(x, sigma) @ A + a) / (1 + np.exp(-y))) @ B + b
    sigmas = scoremin.geometric_sigmas(2, 0.1, 8)
    moved = [scoremin.dpm_solver(s, x, sigmas) for s in (noise_score, ours)]
    assert np.abs(moved[0] - moved[1]).max() < 1e-5
    z, sigma = rng.standard_normal((50, 2)), rng.choice(sigmas, 50)
    assert abs(scoremin.ncsn_loss(noise_score, x, z, sigma) - scoremin.ncsn_loss(ours, x, z, sigma)) < 1e-5
