"""Check one function of your own against the test vectors: the PyTorch port, with yours in its place.

    python tests/ports/check_yours.py

Copy this file, put your own loss for the one below, and say which function it stands for. Code that draws
its noise inside gets the vectors' noise by patching the function that draws, as here torch.randn_like; probes
are given in the same way. Prints check_port's report; exit status 1 where a case fails.
"""

import sys
import warnings
from unittest.mock import patch

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


def check(name, function, parts=("value", "gradient")):
    """check_port's report on the cases of one function, answered with the given one."""
    warnings.simplefilter("ignore")
    port = adapters.torch_port()
    setattr(port, name, function)
    cases = [case for case in check_port.load(skip=["errors/", "train/"]) if case["function"] == name]
    answers = {case["id"]: answer(case, port, "float64") for case in cases}
    return check_port.report(check_port.chosen(cases, answers, parts), answers, "float64", failures=True)


if __name__ == "__main__":
    sys.exit(check("denoising_loss", denoising_loss))
