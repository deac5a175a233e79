"""What the README says in code and in numbers: its table of functions, and the values of right and wrong losses.

`python tests/test_readme.py` writes the lines of functions into its links anew."""

import inspect
import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]
import scoremin as sm

README = (ROOT / "README.md").read_text(encoding="utf-8")
LINK = re.compile(r"\[`(\w+)`\]\((scoremin/\w+\.py)#L(\d+)\)")


def place(name):
    """The file and the line of a public function or class, (file, line)."""
    f = inspect.unwrap(getattr(sm, name))
    return str(Path(inspect.getsourcefile(f)).relative_to(ROOT)), inspect.getsourcelines(f)[1]


def with_lines(text):
    """A text whose links lead to where each function is."""
    return LINK.sub(lambda m: "[`{}`]({}#L{})".format(m[1], *place(m[1])), text)


def test_the_table_lists_every_public_function_at_its_line():
    """Each exported name once, linked to where it stands; `python tests/test_readme.py` mends the lines."""
    listed = [m[1] for m in LINK.finditer(README)]
    public = [name for name, f in vars(sm).items() if inspect.isfunction(f) or inspect.isclass(f)]
    assert sorted(listed) == sorted(public)
    assert with_lines(README) == README


def exact_points(rng, n, c):
    """n points of mean 0 and covariance c²I exactly."""
    x = rng.standard_normal((n, 2))
    x = x - x.mean(axis=0)
    return c * np.linalg.solve(np.linalg.cholesky(np.cov(x.T, bias=True)), x.T).T


def test_values_of_right_losses_are_those_of_the_table():
    """(ISM.6) (DSM.6) (NCSN.4) On N(0, c²I), d = 2: each loss at s = 0 and at the true score, as the README says."""
    c, sigma, d = 1.5, 0.5, 2
    x, z = exact_points(np.random.default_rng(0), 40, c), np.sqrt(d) * np.concatenate([np.eye(d), -np.eye(d)])
    z, noisy = np.repeat(z, len(x), axis=0), np.tile(x, (2 * d, 1))           # E z = 0, E zzᵀ = I, xᵀz = 0 exactly
    true, smoothed = (lambda x: -x / c**2), (lambda x, *_: -x / (c**2 + sigma**2))
    v = np.sqrt(d) * np.eye(d)[:, None] * np.ones((d, len(x), d))
    for loss in (sm.implicit_loss, lambda s, x: sm.sliced_loss(s, x, v), lambda s, x: sm.sliced_vr_loss(s, x, v)):
        assert loss(lambda x: 0 * x, x) == 0
        assert abs(loss(true, x) + 0.5 * d / c**2) < 1e-12                    # −½E‖∇log p‖²
    assert abs(sm.finite_difference_loss(true, x, v[0], 0.1) - sm.sliced_vr_loss(true, x, v[0])) < 1e-12
    assert abs(sm.explicit_loss(np.zeros_like, x, true(x)) - 0.5 * d / c**2) < 1e-12
    assert sm.explicit_loss(true, x, true(x)) == 0
    plateau = d / (2 * sigma**2) - 0.5 * d / (c**2 + sigma**2)
    for loss in (sm.denoising_loss, sm.denoising_vr_loss):
        assert abs(loss(np.zeros_like, noisy, z, sigma) - d / (2 * sigma**2)) < 1e-12
        assert abs(loss(smoothed, noisy, z, sigma) - plateau) < 1e-12
    assert abs(sm.ncsn_loss(lambda x, sigma: 0 * x, noisy, z, sigma) - d / 2) < 1e-12
    assert abs(sm.ncsn_loss(smoothed, noisy, z, sigma) - sigma**2 * plateau) < 1e-12


@pytest.mark.parametrize("name, target, value, stein", [
    ("right", lambda x, z: -z / 0.5, 1.6, -1), ("sign", lambda x, z: z / 0.5, 1.6, 1),
    ("σ for σ²", lambda x, z: -z, 0.4, -0.5), ("σ² twice", lambda x, z: -z / 0.25, 6.4, -2)])
def test_what_wrong_targets_learn_on_a_gaussian(name, target, value, stein):
    """(DSM.6) (ISM.7) N(0, 1), σ = ½: the least loss over linear scores, and E[s x̃] on noisy points; a wrong sign has
    the right loss, and shows in Stein's identity alone."""
    x, z = np.repeat([1.0, -1.0], 2), np.tile([1.0, -1.0], 2)                # E x = E z = E xz = 0, E x² = E z² = 1
    noisy, t = x + 0.5 * z, target(x, z)
    a = np.mean(noisy * t) / np.mean(noisy**2)
    assert np.isclose(0.5 * np.mean((a * noisy - t)**2), value) and np.isclose(np.mean(a * noisy**2), stein)


if __name__ == "__main__":
    (ROOT / "README.md").write_text(with_lines(README), encoding="utf-8")
