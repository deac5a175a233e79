"""The noise of random probes has a closed form, and the mean of M probes has 1/M of it.

At one point x the sliced losses are quadratic forms vᵀAv of the probe v, with A = ∂s/∂x for SSM-VR and
A = ∂s/∂x + ½ssᵀ for SSM. Bars and lines: their variance in closed form; dots: measured. SSM-VR, which
knows ‖s‖² exactly, is the quieter here. Gaussian probes are always the noisiest kind. A sphere is best
where the diagonal of the Jacobian is constant (round mixture: 0.8 of the variance of random signs under
SSM-VR), random signs (Rademacher) where it is uneven and the rest small (stretched mixture). Right:
SSM-VR at the stretched mixture, the mean of M probes, which divides the variance by M.

Source: equations SSM.6 to SSM.10 of scoremin/sliced.py.
Settings: d = 8; mixtures ½N(m, C) + ½N(−m, C), m = (½, …, ½), C = I, or diagonal from ½ to 2 in equal
ratios; x from −1.6 to 1.8 in equal steps; network 8-64-64-8; 2¹⁶ probes of each kind and score.
"""

from itertools import product
from types import SimpleNamespace

import numpy as np

import scoremin as sm

from . import common as c

D, SIZES = 8, [1, 2, 4, 8, 16, 32, 64]
X = np.linspace(-1.6, 1.8, D)[None]
KINDS = {"gaussian": c.ORANGE, "sphere": c.GREEN, "rademacher": c.BLUE}
OBJECTIVES = ["SSM", "SSM-VR"]


def mixture_score(scales):
    means = np.stack([np.full(D, 0.5), np.full(D, -0.5)])
    return sm.GaussianMixture([0.5, 0.5], means, [np.diag(scales)] * 2).score


def predicted(score):
    """The variance over v at X, by objective and kind (SSM.6) to (SSM.10)."""
    s, (_, J) = score(X)[0], sm.jvp(score, np.repeat(X, D, axis=0), np.eye(D))  # (d,) and rows ∂s/∂x_j
    forms = {"SSM": J + 0.5 * np.outer(s, s), "SSM-VR": J}
    V = {}
    for objective, A in forms.items():
        H = 0.5 * (A + A.T)
        norm, diagonal, tr = np.sum(H**2), np.sum(np.diag(H)**2), np.trace(H)
        V[objective, "gaussian"] = 2 * norm
        V[objective, "rademacher"] = 2 * (norm - diagonal)
        V[objective, "sphere"] = 2 * D / (D + 2) * (norm - tr**2 / D)
    return V


def draws(score, rng, n, progress):
    """The integrands of (SSM.4), (SSM.5) at X for n probes of each kind, less their common mean."""
    (s, tr), q = sm.divergence(score, X), {}
    mean = 0.5 * np.sum(s**2) + tr[0]
    for kind in progress(KINDS, "probes"):
        v = sm.probes(rng, kind, (n, D))
        s, Jv = sm.jvp(score, np.broadcast_to(X, v.shape), v)
        q["SSM", kind] = 0.5 * np.sum(v * s, axis=1)**2 + np.sum(v * Jv, axis=1) - mean
        q["SSM-VR", kind] = 0.5 * np.sum(s**2, axis=1) + np.sum(v * Jv, axis=1) - mean
    return q


def variance(q, M=1):
    """Mean square of means of M."""
    return np.mean(np.mean(q[:len(q) // M * M].reshape(-1, M), axis=1)**2)


def measure(stream, budget, progress):
    rng, n = stream(), c.scaled(2**16, budget, 2**10)
    scores = {"round mixture": mixture_score(np.ones(D)), "network": sm.MLP(sm.init_mlp(rng, [D, 64, 64, D])),
              "stretched mixture": mixture_score(np.geomspace(0.5, 2, D))}
    q = {name: draws(score, rng, n, progress) for name, score in scores.items()}
    measured = {name: {key: [variance(q[name][key], M) for M in SIZES] for key in q[name]} for name in scores}
    return SimpleNamespace(n=n, measured=measured, theory={name: predicted(score) for name, score in scores.items()})


def draw_bars(ax, title, measured, theory):
    for i, (objective, kind) in enumerate(product(OBJECTIVES, KINDS)):
        x, label = i + 0.8 * (i >= len(KINDS)), None if i < len(KINDS) else kind.capitalize()
        ax.bar(x, theory[objective, kind], color=KINDS[kind], width=0.85, label=label)
        ax.plot(x, measured[objective, kind][0], "o", color=c.DARK, ms=3, label=None if i else "measured")
    ax.set(title=title, xticks=[1, 4.8], xticklabels=OBJECTIVES)
    ax.tick_params(axis="x", length=0, labelsize=8)


def draw_means(ax, title, measured, theory):
    for kind, color in KINDS.items():
        ax.plot(SIZES, theory["SSM-VR", kind] / np.array(SIZES), lw=1.2, color=color)
        ax.plot(SIZES, measured["SSM-VR", kind], "o", color=c.DARK, ms=3)
    ax.set(title=title, xscale="log", yscale="log", xlabel="probes at the point, M", xticks=SIZES, xticklabels=SIZES)
    ax.minorticks_off()


def draw(m):
    fig, axes = c.canvas(1, 4, 2.4)
    for ax, name in zip(axes, m.measured):
        draw_bars(ax, name, m.measured[name], m.theory[name])
    draw_means(axes[3], "stretched, SSM-VR, means", *(part["stretched mixture"] for part in (m.measured, m.theory)))
    axes[0].set(ylabel="variance over v")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def deviations(measured, theory, n):
    """How far measured variances of means of M are from V/M, in standard errors, by objective, kind and M.

    A quadratic form of these probes has at most 15 times the fourth moment that its variance squared
    makes (a Gaussian form reaches it), a fourth cumulant of 12; means of M have 12/M. So n/M such
    means measure V/M to a share of √((2 + 12/M)/(n/M))."""
    return [abs(measured[key][i] * M / V - 1) / ((2 + 12 / M) * M / n)**0.5
            for key, V in theory.items() for i, M in enumerate(SIZES)]


def claims(m):
    """Below: of six means of 64, whose deviations are nearly normal, that all are under a fifth of one has the
    probability 2·10⁻⁵; so near would be no measurement."""
    checks = [c.claim(f"{name}: measured variance from the predicted, of all kinds, objectives and M the farthest off, "
                      "in standard errors", max(deviations(measured, m.theory[name], m.n)), 0.2, 5)
              for name, measured in m.measured.items()]
    sphere, signs = (m.measured["round mixture"]["SSM-VR", kind][0] for kind in ("sphere", "rademacher"))
    five = 5 * 0.8 * np.sqrt(2 * 14 / m.n)
    return checks + [c.claim("round mixture, SSM-VR: variance with the sphere over that with signs, d/(d+2) = 0.8",
                             sphere / signs, 0.8 - five, 0.8 + five)]
