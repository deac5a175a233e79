"""Time one training step of every objective and one step of both samplers: scoremin, eager PyTorch, jitted JAX.

    python tests/ports/benchmark.py

A training step is the batch draw, the noise, the loss, its gradient, and Adam; a sampler's step moves 4,000
chains on a 2-64-64-2 network (langevin) or a 3-128-128-128-2 one (annealed); all in float32. Each engine that
is installed runs in a process of its own, all on the same core; the engines take turns, and the table gives the
median over the rounds in milliseconds and the ratio of medians. The floor is the matrix products and
exponentials of a step alone, in NumPy. PyTorch takes derivatives in x by double backward (faster there than
torch.func), the fused Adam, and samples in inference mode; JAX compiles a whole training step, its random numbers
included, and scans a chain.
"""

import os
import subprocess
import sys
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # JAX's scan takes a second core whatever it is told
os.environ.pop("OPENBLAS_CORETYPE", None)  # every library picks its own kernels; this would bind NumPy's alone
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import importlib.util
from itertools import pairwise
from statistics import median
from time import perf_counter

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]
OBJECTIVES = ["explicit", "implicit", "sliced", "denoising", "ncsn"]
CASES = [(name, 256, 64, 2) for name in OBJECTIVES] + [(name, 512, 128, 2) for name in OBJECTIVES]
SAMPLERS = [("langevin", 4000, 64, 2), ("annealed", 4000, 128, 2)]
ALONE = [("implicit", 256, 128, 2), ("implicit", 256, 128, 128), ("energy", 256, 64, 2), ("denoising", 256, 64, 2),
         ("energy", 512, 128, 2), ("denoising", 512, 128, 2)]
ROUNDS, STEPS, RATE, LEVELS = 11, 200, 1e-3, 5
SIGMAS = np.geomspace(1, 0.01, 10).astype(np.float32)


def start(name, h, d):
    """Data, and the weights that all engines start from."""
    hidden = [h] * (3 if name == "annealed" else 2)
    rng, sizes = np.random.default_rng(0), [d + (name in ("ncsn", "annealed")), *hidden, 1 if name == "energy" else d]
    params = [(rng.standard_normal((a, b), np.float32) / np.float32(a**0.5), np.zeros(b, np.float32))
              for a, b in pairwise(sizes)]
    return rng, rng.standard_normal((20_000, d), np.float32), params


def scoremin_steps(name, N, h, d):
    import scoremin as sm
    if name in ("langevin", "annealed"):
        return scoremin_sampler(sm, name, N, h, d)
    noise = lambda rng, x: rng.standard_normal(x.shape, x.dtype)
    loss = {
        "explicit": lambda p, x, rng: sm.explicit_loss(sm.MLP(p), x, -x),
        "implicit": lambda p, x, rng: sm.implicit_loss(sm.MLP(p), x),
        "sliced": lambda p, x, rng: sm.sliced_vr_loss(sm.MLP(p), x, sm.probes(rng, "rademacher", x.shape, x.dtype)),
        "denoising": lambda p, x, rng: sm.denoising_loss(sm.MLP(p), x, noise(rng, x), 0.3),
        "energy": lambda p, x, rng: sm.denoising_loss(sm.energy_score(sm.EnergyMLP(p)), x, noise(rng, x), 0.3),
        "ncsn": lambda p, x, rng: sm.ncsn_loss(sm.NoiseConditionalMLP(p), x, noise(rng, x),
                                               SIGMAS[rng.integers(10, size=N)]),
    }[name]
    rng, data, params = start(name, h, d)
    return lambda n: sm.fit(loss, params, data, steps=n, rng=rng, batch_size=N, learning_rate=RATE)


def scoremin_sampler(sm, name, N, h, d):
    rng, data, params = start(name, h, d)
    if name == "langevin":
        return lambda n: sm.langevin(sm.MLP(params), data[:N], 1e-2, n, rng)
    score = sm.NoiseConditionalMLP(params)
    return lambda n: sm.annealed_langevin(score, data[:N], np.geomspace(1, 0.1, LEVELS), 1e-3, n // LEVELS, rng)


def torch_steps(name, N, h, d):
    import torch
    import torch_port as port
    torch.set_num_threads(1)
    _, data, params = start(name, h, d)
    data, sigmas = torch.from_numpy(data), torch.from_numpy(SIGMAS)
    conditional = name in ("ncsn", "annealed")
    net = (port.NoiseConditionalMLP if conditional else port.MLP)([tuple(map(torch.from_numpy, p)) for p in params])
    if name in ("langevin", "annealed"):
        return torch_sampler(torch, name, net, data[:N])
    optimiser = torch.optim.Adam(net.parameters(), RATE, fused=True)

    def derivatives(x, v):
        """s and vᵀJ of a leaf x, ready for another backward pass."""
        x.requires_grad_()
        s = net(x)
        return s, [torch.autograd.grad((s * v_m).sum(), x, create_graph=True)[0] for v_m in v]

    def loss():
        x = data[torch.randint(len(data), (N,))]
        if name == "explicit":
            return port.explicit_loss(net, x, -x)
        if name == "implicit":
            s, rows = derivatives(x, torch.eye(d))
            return (0.5 * s.square().sum(1) + sum(row[:, j] for j, row in enumerate(rows))).mean()
        if name == "sliced":
            v = 2 * torch.randint(2, x.shape).float() - 1
            s, (vJ,) = derivatives(x, [v])
            return (0.5 * s.square().sum(1) + (vJ * v).sum(1)).mean()
        if name == "denoising":
            return port.denoising_loss(net, x, torch.randn_like(x), 0.3)
        return port.ncsn_loss(net, x, torch.randn_like(x), sigmas[torch.randint(10, (N,))])

    def run(n):
        for _ in range(n):
            optimiser.zero_grad()
            loss().backward()
            optimiser.step()
    return run


def torch_sampler(torch, name, net, start):
    levels = [None] if name == "langevin" else np.geomspace(1, 0.1, LEVELS).tolist()

    @torch.inference_mode()
    def run(n):
        x = start
        for sigma in levels:
            step = 1e-2 if sigma is None else 1e-3 * sigma**2 / levels[-1]**2
            for _ in range(n // len(levels)):
                s = net(x) if sigma is None else net(x, sigma)
                x = x + 0.5 * step * s + step**0.5 * torch.randn_like(x)
        return x
    return run


def jax_steps(name, N, h, d):
    import jax
    import jax.numpy as jnp
    import jax_port as port
    _, data, params = start(name, h, d)
    data, sigmas, conditional = jnp.asarray(data), jnp.asarray(SIGMAS), name in ("ncsn", "annealed")
    net = (port.NoiseConditionalMLP if conditional else port.MLP)([tuple(map(jnp.asarray, p)) for p in params])
    if name in ("langevin", "annealed"):
        return jax_sampler(jax, name, net, data[:N])

    def loss(net, key):
        a, b, c = jax.random.split(key, 3)
        x = data[jax.random.randint(a, (N,), 0, len(data))]
        if name == "explicit":
            return port.explicit_loss(net, x, -x)
        if name == "implicit":
            return port.implicit_loss(net, x)
        if name == "sliced":
            return port.sliced_vr_loss(net, x, jax.random.rademacher(b, x.shape, x.dtype))
        z = jax.random.normal(b, x.shape)
        if name == "denoising":
            return port.denoising_loss(net, x, z, 0.3)
        return port.ncsn_loss(net, x, z, sigmas[jax.random.randint(c, (N,), 0, 10)])

    @jax.jit
    def step(net, state, key):
        key, part = jax.random.split(key)
        value, _, net, state = port.train_step(loss, net, state, part, 10_000, RATE)
        return value, net, state, key

    def run(n):
        state, key, trained = port.adam(net), jax.random.PRNGKey(0), net
        for _ in range(n):
            value, trained, state, key = step(trained, state, key)
        value.block_until_ready()
    return run


def jax_sampler(jax, name, net, start):
    levels = np.geomspace(1, 0.1, LEVELS).astype(np.float32)

    @jax.jit
    def chain(x, key, sigmas):
        def move(x, inputs):
            sigma, key = inputs
            step = 1e-2 if name == "langevin" else 1e-3 * sigma**2 / levels[-1]**2
            s = net(x) if name == "langevin" else net(x, sigma)
            return x + 0.5 * step * s + step**0.5 * jax.random.normal(key, x.shape), None
        return jax.lax.scan(move, x, (sigmas, jax.random.split(key, len(sigmas))))[0]

    return lambda n: chain(start, jax.random.PRNGKey(0), levels.repeat(n // LEVELS)).block_until_ready()


def floor_steps(name, N, h, d):
    """The matrix products of one step, forward, back through W_3 and W_2, into the weights, and the exponentials."""
    import scoremin  # noqa: F401  what it does for memory and products, at import, serves these too
    rng, x, params = start(name, h, d)
    if name in ("langevin", "annealed"):
        block = [rng.standard_normal((N // 10, W.shape[0]), np.float32) for W, _ in params]  # in the cache
        return lambda n: [([np.dot(a, W) for a, (W, _) in zip(block, params)], [np.exp(a) for a in block[1:]])
                          for _ in range(10 * n)] and None
    (W_1, _), (W_2, _), (W_3, _) = params
    x, a, b, s = (rng.standard_normal((N, k), np.float32) for k in (len(W_1), h, h, W_3.shape[1]))
    layers = [(x, W_1), (a, W_2), (a, W_3), (s, W_3.T), (a, W_2.T), (x.T, a), (a.T, b), (a.T, s)]
    trace = [(W_3, W_1), (a, W_2), (a, W_2.T), (a.T, b), (W_3.T, W_2), (W_2, W_1.T)]
    products = layers * (2 if name in ("sliced", "energy") else 1) + trace * (name == "implicit")

    def run(n):
        for _ in range(n):
            for A, B in products:
                np.dot(A, B)
            np.exp(a), np.exp(b)
    return run


ENGINES = {"scoremin": scoremin_steps, "torch": torch_steps, "jax": jax_steps, "floor": floor_steps}


def work(engine):
    """In a process of its own: for each line «name N h d», run some steps and answer with ms a step."""
    ready = {}
    for line in sys.stdin:
        name, *sizes = line.split()
        run = ready[line] if line in ready else ENGINES[engine](name, *map(int, sizes))
        if line not in ready:
            ready[line] = run
            run(20)
        begin = perf_counter()
        run(STEPS)
        print((perf_counter() - begin) / STEPS * 1e3, flush=True)


def measure(cases, engines):
    """Median ms of a step by case and engine; the engines take turns in each round."""
    workers = {e: subprocess.Popen([sys.executable, "-W", "ignore", __file__, e], text=True, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for e in engines}

    def ask(engine, case):
        print(*case, file=workers[engine].stdin, flush=True)
        return float(workers[engine].stdout.readline())
    table = {}
    for case in cases:
        rounds = [{e: ask(e, case) for e in engines} for _ in range(ROUNDS + 1)][1:]
        table[case] = {e: median(r[e] for r in rounds) for e in engines}
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    return table


def main():
    installed = [e for e in ENGINES if e not in ("torch", "jax") or importlib.util.find_spec(e)]
    others = [e for e in installed if e in ("torch", "jax")]
    heads = ["objective", "N, hidden, d", *(f"{e}, ms" for e in installed), *(f"scoremin / {e}" for e in others)]
    print(f"| {' | '.join(heads)} |\n{'| --- ' * len(heads)}|")
    table = measure(CASES + SAMPLERS, installed)
    for (name, *sizes), row in table.items():
        print(f"| {name} | {', '.join(map(str, sizes))} | " + " | ".join(f"{row[e]:.2f}" for e in installed)
              + "".join(f" | {row['scoremin'] / row[e]:.2f}" for e in others) + " |")
    mine = {case: row["scoremin"] for case, row in measure(ALONE, ["scoremin"]).items()}
    print(f"\nimplicit, hidden 128, N = 256: a step at d = 128 takes "
          f"{mine['implicit', 256, 128, 128] / mine['implicit', 256, 128, 2]:.2f} times one at d = 2")
    for N, h in ((256, 64), (512, 128)):
        print(f"denoising, N = {N}, hidden {h}, d = 2: an energy takes "
              f"{mine['energy', N, h, 2] / mine['denoising', N, h, 2]:.2f} times a score network")


if __name__ == "__main__":
    work(sys.argv[1]) if len(sys.argv) > 1 else main()
