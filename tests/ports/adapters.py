"""The ports, and what answers.py asks for beside their functions: torch_port() and jax_port()."""

import sys
import warnings
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]


def load(framework):
    """The framework; on import it may warn of what is deprecated in it, which is no concern here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module(framework)


def torch_port(device="cpu"):
    """The namespace of the PyTorch port, its arrays on a device."""
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
        "array": lambda values, dtype: torch.tensor(values, dtype=getattr(torch, dtype), device=device),
        "network": lambda kind, params, **options: networks[kind](params, **options), "params": params, "fit": fit,
        "value_and_grad": value_and_grad})


def jax_port():
    """The namespace of the JAX port."""
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
        "array": array_of(jax), "params": lambda net: net.params, "fit": fit, "value_and_grad": value_and_grad,
        "network": lambda kind, params, **options: networks[kind](params, **options)})


def array_of(jax):
    """array(values, dtype) of JAX: integers in the width that is switched on."""
    return lambda values, dtype: jax.numpy.array(values, dtype=int if dtype == "int64" else dtype)
