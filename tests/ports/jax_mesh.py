"""The JAX port's training step, data-parallel over every device there is: run once on each machine.

    python tests/ports/jax_mesh.py                                            one process, all its devices
    XLA_FLAGS=--xla_force_host_platform_device_count=8 python tests/ports/jax_mesh.py        8 virtual CPUs
    python tests/ports/jax_mesh.py --coordinator HOST:PORT --processes P --process I         P machines

The batch is cut into rows, one piece a device; the network is copied to all. The loss is a mean over
the whole batch, so XLA inserts the sum over devices by itself and the step is the single-device one.
Prints how far gradients and parameters are from those of one device, over 20 steps; and, for
comparison, how far those of one device on its piece of the batch alone are.
"""

import argparse
import sys
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import jax_port as port
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

STEPS, BATCH, RATE = 20, 64, 1e-2


def denoising(net, batch):
    return port.denoising_loss(net, *batch, sigma=0.3)


def implicit(net, batch):
    return port.implicit_loss(net, batch[0])


def start(dtype):
    """A network and the batches (x, z) of every step, the same in every process."""
    rng, sizes = np.random.default_rng(0), [2, 16, 16, 2]
    params = [((rng.standard_normal((m, n)) / m**0.5).astype(dtype), np.zeros(n, dtype))
              for m, n in pairwise(sizes)]
    return port.MLP(params), rng.standard_normal((STEPS, 2, BATCH, 2)).astype(dtype)


def train(loss, net, batches, place):
    """Gradients and parameters of every step, (STEPS,P) each."""
    state, gradients, params = port.adam(net), [], []
    for batch in batches:
        _, g, net, state = port.train_step(loss, net, state, place(batch), STEPS, RATE)
        gradients.append(flat(g))
        params.append(flat(net))
    return np.stack(gradients), np.stack(params)


def flat(net):
    return np.concatenate([np.asarray(a).ravel() for a in jax.tree.leaves(net)])


def on_mesh(mesh, loss, dtype):
    """Largest difference of gradients and of parameters to one device, relative to the largest entry."""
    net, batches = start(dtype)
    alone = train(loss, net, batches, lambda batch: tuple(jnp.array(a) for a in batch))
    rows, copies = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    mine = slice(jax.process_index() * BATCH // jax.process_count(),
                 (jax.process_index() + 1) * BATCH // jax.process_count())
    place = partial(jax.make_array_from_process_local_data, rows)
    together = train(loss, jax.device_put(net, copies), batches, lambda batch: tuple(place(a[mine]) for a in batch))
    piece = train(loss, net, batches, lambda batch: tuple(jnp.array(a[:BATCH // mesh.size]) for a in batch))
    return [float(np.abs(a - b).max() / np.abs(a).max()) for other in (together, piece) for a, b in zip(alone, other)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coordinator", help="HOST:PORT of process 0")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--process", type=int, default=0)
    args = parser.parse_args()
    if args.coordinator:
        jax.distributed.initialize(args.coordinator, args.processes, args.process)
    if BATCH % len(jax.devices()):
        sys.exit(f"a batch of {BATCH} has no equal shares for {len(jax.devices())} devices")
    mesh = Mesh(np.array(jax.devices()), "data")
    for dtype in ("float64", "float32"):
        jax.config.update("jax_enable_x64", dtype == "float64")
        for loss in (denoising, implicit):
            found = on_mesh(mesh, loss, dtype)
            print(f"{mesh.size} devices, {dtype}, {loss.__name__}: relative difference to one device, gradients "
                  f"{found[0]:.1e}, parameters {found[1]:.1e}; on one piece alone, gradients {found[2]:.1e}, "
                  f"parameters {found[3]:.1e}", flush=True)


if __name__ == "__main__":
    main()
