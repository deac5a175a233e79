"""Past one machine: both ports train in parallel as on one device. Processes talk on the loopback address."""

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SECONDS = 120  # after which everything is stopped


def needs(framework):
    missing = importlib.util.find_spec(framework) is None
    reason = f"{framework} is not installed: python -m pip install -r tests/ports/requirements.txt"
    return pytest.mark.skipif(missing, reason=reason)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*commands, **environment):
    """What the first of several commands prints; all start together, and none outlives the call."""
    jobs = [subprocess.Popen([sys.executable, *map(str, command)], env=os.environ | environment, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
            for command in commands]
    try:
        outputs = [job.communicate(timeout=SECONDS) for job in jobs]
    finally:
        for job in jobs:
            if job.poll() is None:
                os.killpg(job.pid, signal.SIGKILL)
                job.wait()
    assert all(job.returncode == 0 for job in jobs), outputs
    return outputs[0][0]


def check(text, parts):
    """In every line, parallel gradients and parameters are those of one device, and a part's alone are not."""
    lines = [line for line in text.splitlines() if line.startswith(f"{parts} ")]
    assert [line.split(":")[0].split(", ")[1:] for line in lines] == [
        [dtype, loss] for dtype in ("float64", "float32") for loss in ("denoising", "implicit")]
    for line in lines:
        gradients, params, *apart = map(float, re.findall(r"(?:gradients|parameters) ([^,;\s]+)", line))
        assert max(gradients, params) <= (1e-12 if "float64" in line else 1e-6)
        assert len(apart) == 2 and min(apart) > 1e-2


@needs("jax")
def test_jax_on_eight_devices_trains_as_on_one():
    """Batch cut over a mesh of 8 virtual CPU devices: gradients and parameters of one device, over 20 steps."""
    check(run([HERE / "jax_mesh.py"], XLA_FLAGS="--xla_force_host_platform_device_count=8"), 8)


@needs("jax")
def test_jax_in_two_processes_trains_as_on_one():
    """The same program started twice, as on two machines: the mesh spans both processes."""
    common = [HERE / "jax_mesh.py", "--coordinator", f"127.0.0.1:{free_port()}", "--processes", 2, "--process"]
    check(run([*common, 0], [*common, 1]), 2)


@needs("torch")
def test_torch_in_two_processes_trains_as_in_one():
    """DistributedDataParallel with gloo: gradients and parameters of one process, over 20 steps."""
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--master_addr=127.0.0.1"]
    check(run([*launcher, f"--master_port={free_port()}", HERE / "torch_ddp.py"]), 2)


@needs("jax")
def test_jax_refuses_unequal_shares():
    """64 rows on 3 devices."""
    with pytest.raises(AssertionError, match="no equal shares for 3 devices"):
        run([HERE / "jax_mesh.py"], XLA_FLAGS="--xla_force_host_platform_device_count=3")


@needs("torch")
def test_torch_refuses_unequal_shares():
    """64 rows in 3 processes, as one of them sees it."""
    with pytest.raises(AssertionError, match="no equal shares for 3 processes"):
        run([HERE / "torch_ddp.py"], RANK="0", WORLD_SIZE="3", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()))
