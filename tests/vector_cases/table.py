"""Cases of the objectives in tests/objectives.py that no chapter here writes out, and their lines in the header."""

from functools import partial
from inspect import signature

import autograd.numpy as np
from objectives import NETWORKS, OBJECTIVES
from oracles import plain_noise_conditional

from .tools import network, written_out

ARGUMENTS = {"x": "x (N,d)", "z": "z (N,d)", "v": "v (N,d) or (M,N,d)", "target": "target (N,d)",
             "sigma": "sigma a number or (N,)"}
KINDS = {"energy": {"kind": "energy_mlp"}, "noise-conditional": {"kind": "noise_conditional_mlp", "sigma_data": 0.5}}


def line(loss):
    """What goes into a loss, and what comes out."""
    return ", ".join(ARGUMENTS.get(name, name) for name in signature(loss).parameters) + " -> value, gradient of value"


def lines(written):
    """{name: line} of the losses that are not among the written ones."""
    losses = {entry.loss.__name__: entry.loss for entry in OBJECTIVES.values()}
    return {name: line(loss) for name, loss in losses.items() if name not in written}


def chapter_of(loss):
    return loss.__module__.split(".")[-1]


def cases(written):
    """Every such loss on each of its networks: the loss on the network in autograd's own operations."""
    for objective, entry in OBJECTIVES.items():
        loss = entry.loss
        for name in entry.networks if loss.__name__ not in written else ():
            sizes, spec = NETWORKS[name].sizes, KINDS.get(name, {"kind": "mlp"})
            spec = {**spec, "params": network(f"table {name}", sizes)}
            make = partial(plain_noise_conditional, sigma_data=0.5) if "conditional" in name else NETWORKS[name].plain
            inputs = dict(zip([*signature(loss).parameters][1:], map(exact, entry.inputs)))
            id = f"{chapter_of(loss)}/{loss.__name__}-{objective}-{name}".replace(",", "").replace(" ", "-")
            yield written_out(id, spec, make, loss.__name__, loss, inputs)


def exact(value):
    """Arrays rounded to multiples of 2⁻¹⁶, which float32 holds; numbers as they are."""
    return np.round(2**16 * value) / 2**16 if np.ndim(value) else value
