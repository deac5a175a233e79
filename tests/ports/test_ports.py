"""Both ports against every vector, in float64 and float32; each is skipped where its framework is missing."""

import sys
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

import check_port
from answers import evaluate, listed

CHAPTERS = sorted({case["id"].split("/")[0] for case in check_port.load(skip=["errors/"])})
# The first directional derivative makes PyTorch load a file of its own in a way that it deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
WANTED = "is not installed: python -m pip install -r tests/ports/requirements.txt"


def load(framework):
    """The framework; on import it may warn of what is deprecated in it, which is no concern here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(framework, reason=f"{framework} {WANTED}")


def torch_port():
    """torch_port and what answers.py asks for beside it."""
    torch = load("torch")
    import torch_port as port

    def params(net):
        return [(layer.weight.T, layer.bias) for layer in net.layers]

    def value_and_grad(loss, net):
        net.zero_grad()
        value = loss(net)
        value.backward()
        grads = [[torch.zeros_like(p) if p.grad is None else p.grad for p in (layer.weight, layer.bias)]
                 for layer in net.layers]
        return value, [(dW.T, db) for dW, db in grads]

    def fit(loss, net, batches, learning_rate):
        (adam, schedule), losses, path = port.optimiser(net, len(batches), learning_rate), [], []
        for batch in batches:
            losses.append(port.train_step(loss, net, batch, adam, schedule))
            path.append([(W.detach().clone(), b.detach().clone()) for W, b in params(net)])
        return losses, path

    networks = {"mlp": port.MLP, "noise_conditional_mlp": port.NoiseConditionalMLP, "energy_mlp": port.EnergyMLP}
    return SimpleNamespace(**vars(port) | {
        "array": lambda values, dtype: torch.tensor(values, dtype=getattr(torch, dtype)), "params": params,
        "network": lambda kind, params, **options: networks[kind](params, **options), "fit": fit,
        "value_and_grad": value_and_grad}), lambda f: f()


def jax_port():
    """jax_port and what answers.py asks for beside it; a case is compiled as a whole."""
    jax = load("jax")
    import jax_port as port

    def value_and_grad(loss, net):
        value, gradient = jax.value_and_grad(loss)(net)
        return value, gradient.params

    def fit(loss, net, batches, learning_rate):
        state, losses, path = port.adam(net), [], []
        for batch in batches:
            value, _, net, state = port.train_step(loss, net, state, batch, len(batches), learning_rate)
            losses.append(value)
            path.append(net.params)
        return losses, path

    networks = {"mlp": port.MLP, "noise_conditional_mlp": port.NoiseConditionalMLP, "energy_mlp": port.EnergyMLP}
    return SimpleNamespace(**vars(port) | {
        "array": jax.numpy.array, "params": lambda net: net.params, "fit": fit, "value_and_grad": value_and_grad,
        "network": lambda kind, params, **options: networks[kind](params, **options)}), lambda f: jax.jit(f)()


@pytest.fixture(scope="module", params=[torch_port, jax_port], ids=["torch", "jax"])
def port(request):
    """A port and how to run a case in it; JAX computes in float64 only when told to, here and not elsewhere."""
    found = request.param()
    if request.param is torch_port:
        yield found
        return
    import jax
    jax.config.update("jax_enable_x64", True)
    yield found
    jax.config.update("jax_enable_x64", False)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_port_answers_every_vector(port, chapter, dtype):
    """Value, gradient, s, Jv, trace, positions and trained parameters, within each case's tolerance."""
    module, run = port
    wrong, worst = [], 0.0
    for case in check_port.load([f"{chapter}/"]):
        passed, error, where = check_port.check(case, listed(run(partial(evaluate, case, module, dtype))), dtype)
        wrong += [] if passed else [f"{case['id']}: {error} {where}"]
        worst = max(worst, error or 0.0)
    print(f"largest relative error in {chapter}, {dtype}: {worst:.1e}")
    assert not wrong, "\n".join(wrong)
