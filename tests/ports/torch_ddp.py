"""The PyTorch port's training step under DistributedDataParallel: started by torchrun on each machine.

    torchrun --nproc_per_node=2 --master_addr=127.0.0.1 --master_port=29500 tests/ports/torch_ddp.py
    torchrun --nnodes=4 --nproc_per_node=8 --rdzv_backend=c10d --rdzv_endpoint=HOST:29500 tests/ports/torch_ddp.py

DistributedDataParallel averages gradients over processes only if the forward pass goes through it.
The objectives call the network several times, and differentiate it in x, so what is wrapped is the
loss itself, a module that holds the network. Each process has its share of the batch; shares must be
equal, else the average of their mean losses is not the mean over the batch. Process 0 prints how far
gradients and parameters are from those of one process, over 20 steps; and, for comparison, how far
without the wrapper, when every process follows its own share.
"""

import datetime
import os
import sys
import warnings
from itertools import pairwise

import numpy as np
import torch
import torch_port as port
from torch import nn
from torch.nn.parallel import DistributedDataParallel

STEPS, BATCH, RATE = 20, 64, 1e-2


class Denoising(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, batch):
        return port.denoising_loss(self.net, *batch, sigma=0.3)


class Implicit(Denoising):
    def forward(self, batch):
        return port.implicit_loss(self.net, batch[0])


def start(dtype):
    """A network and the batches (x, z) of every step, the same in every process."""
    rng, sizes = np.random.default_rng(0), [2, 16, 16, 2]
    params = [(torch.tensor(rng.standard_normal((m, n)) / m**0.5, dtype=dtype), torch.zeros(n, dtype=dtype))
              for m, n in pairwise(sizes)]
    return port.MLP(params), torch.tensor(rng.standard_normal((STEPS, 2, BATCH, 2)), dtype=dtype)


def train(loss, net, batches):
    """Gradients and parameters of every step, (STEPS,P) each."""
    (adam, schedule), gradients, params = port.optimiser(net, STEPS, RATE), [], []
    for batch in batches:
        port.train_step(lambda _, batch: loss(batch), net, batch, adam, schedule)
        gradients.append(torch.cat([p.grad.ravel() for p in net.parameters()]))
        params.append(nn.utils.parameters_to_vector(net.parameters()).detach())
    return torch.stack(gradients), torch.stack(params)


def difference(objective, dtype, rank, world, wrap=DistributedDataParallel):
    """Largest difference of gradients and of parameters to one process, relative to the largest entry."""
    net, batches = start(dtype)
    alone = train(objective(net), net, batches)
    net, batches = start(dtype)
    mine = batches[:, :, rank * BATCH // world:(rank + 1) * BATCH // world]
    together = train(wrap(objective(net)), net, mine)
    return [float((a - b).abs().max() / a.abs().max()) for a, b in zip(alone, together)]


def main():
    """RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT are torchrun's."""
    warnings.simplefilter("ignore", DeprecationWarning)
    torch.set_num_threads(1)
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if BATCH % world:
        sys.exit(f"a batch of {BATCH} has no equal shares for {world} processes")
    torch.distributed.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
    for dtype in (torch.float64, torch.float32):
        for objective in (Denoising, Implicit):
            name = str(dtype).removeprefix("torch.")
            found = difference(objective, dtype, rank, world), difference(objective, dtype, rank, world, lambda f: f)
            if rank == 0:
                (gradient, params), (own_gradient, own_params) = found
                print(f"{world} processes, {name}, {objective.__name__.lower()}: relative difference to one process, "
                      f"gradients {gradient:.1e}, parameters {params:.1e}; unwrapped, gradients {own_gradient:.1e}, "
                      f"parameters {own_params:.1e}", flush=True)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
