"""Check functions of your own against the test vectors: the PyTorch port, with yours in its place.

    python tests/ports/check_yours.py

Copy this file to where your code is, put your own losses for those below, and say which functions they stand for. A
copy looks for the clone of scoremin above itself and above the current folder, else where SCOREMIN says. Code that
draws its noise inside gets the vectors' noise by patching the function that draws, as here torch.randn_like. Code
that draws or normalises its probes is right on signs: check(…, only=["sliced/*signs*"]). For a loss that takes
an energy, score.energy is the network. Prints check_port's report; exit status 1 where a case fails.
"""

import os
import sys
import warnings
from pathlib import Path
from unittest.mock import patch

HERE = Path(__file__).resolve()
FOLDERS = [Path(os.environ.get("SCOREMIN", ".")).resolve(), *HERE.parents, *(Path.cwd() / "x").parents]
KIT = next((folder / "tests" for folder in FOLDERS if (folder / "tests/ports/adapters.py").is_file()), None)
if KIT is None:
    sys.exit("no clone of scoremin above this file: set the variable SCOREMIN to its folder")
sys.path[:0] = [str(KIT / "ports"), str(KIT)]

import adapters
import check_port
import torch
from answers import answer


def your_loss(model, x, sigma):
    """Your code as it is: it draws the noise itself, and has the mean where it likes it."""
    z = torch.randn_like(x)
    return 0.5 * ((model(x + sigma * z) + z / sigma)**2).sum(dim=1).mean()


def denoising_loss(score, x, z, sigma):
    """The arguments of the vectors, handed to it."""
    with patch.object(torch, "randn_like", lambda x: z):
        return your_loss(score, x, sigma)


def your_ncsn_loss(model, x, sigma):
    """The same at many levels: sigma (N,), and the model takes it."""
    z, column = torch.randn_like(x), sigma[:, None]
    return 0.5 * ((column * model(x + column * z, sigma) + z)**2).sum(dim=1).mean()


def ncsn_loss(score, x, z, sigma):
    """In the vectors sigma is a number or (N,): here always (N,)."""
    with patch.object(torch, "randn_like", lambda x: z):
        return your_ncsn_loss(score, x, torch.as_tensor(sigma, dtype=x.dtype).expand(len(x)))


def check(name, function, parts=("value", "gradient"), only=("",)):
    """check_port's report on the cases of one function, answered with the given one."""
    warnings.simplefilter("ignore")
    port = adapters.torch_port()
    setattr(port, name, function)
    cases = [case for case in check_port.load(only, skip=["errors/", "train/"]) if case["function"] == name]
    answers = {case["id"]: attempt(case, port) for case in cases}
    return check_port.report(check_port.chosen(cases, answers, parts), answers, "float64", failures=True)


def attempt(case, port):
    """The answer, or what was raised in its place."""
    try:
        return answer(case, port, "float64")
    except Exception as error:
        return {"raised": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    sys.exit(max(check("denoising_loss", denoising_loss), check("ncsn_loss", ncsn_loss)))
