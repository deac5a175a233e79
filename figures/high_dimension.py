"""In high dimension a kernel estimate becomes its nearest data point, and a network does not.

Handwritten digits, projected on their first k principal components and made noisy: how well does a score predict the
noise in pictures it has not seen? At k = 2 the kernel estimate does as well as the network. Then its points grow
lonely: the weights of its softmax gather on a few, and from k = 16 on a single one outweighs the rest, so that the
estimate denoises a picture into the nearest training image. At h = σ, for which it is the exact minimiser on the
training set, that is at k = 8 and 16 worse than no score at all, s = 0. A wider kernel helps, but at k = 64 a Gaussian
is better still. Principal components do for the kernels what they can: kernels on the first, a Gaussian on the rest,
beat either alone. The network gains by that too, and beats both.

Source: Hyvärinen 2005; Silverman 1986, section 4.5 (kernels in high dimension); equations ESM.3, DSM.4 and DSM.11.
Settings: 1,400 digits of 8 × 8 pixels on [−1, 1] to train, 397 held out, σ = 0.3; k-128-128-k networks, 1,000 Adam
steps of 128, rate 0.008; the best h of nine from σ to 4σ, chosen on the held-out pictures themselves, in favour of the
kernels.
"""

from types import SimpleNamespace

import numpy as np

import scoremin as sm

from . import common as c
from .digits import show, split

SIGMA, N_SHOWN = 0.3, 18
KS = np.array([2, 4, 8, 16, 32, 64])
BANDWIDTHS = SIGMA * np.geomspace(1, 4, 9)


def components(rng):
    """Pictures to train on and held out, in principal components, the largest first; their axes; the mean picture."""
    (train, _), (held, _) = split(rng)
    train, held = (train / 8 - 1).astype(np.float32), (held / 8 - 1).astype(np.float32)
    mean = train.mean(axis=0)
    axes = np.linalg.eigh(np.cov(train.T, bias=True))[1][:, ::-1].astype(np.float32)
    return (train - mean) @ axes, (held - mean) @ axes, axes, mean


def kernels_in_use(x, data, h):
    """1/Σw² of the kernels' weights at each x, (N,): n if all weigh the same, 1 if a single one has all the weight.

    Σw² is Σ exp(−r²/h²) over (Σ exp(−r²/2h²))²: densities at h/√2 and at h without their constants (ESM.5)."""
    n, d = data.shape
    constant = lambda h: np.log(n) + 0.5 * d * np.log(2 * np.pi * h**2)
    squares = sm.kde_log_density(x, data, h / 2**0.5) + constant(h / 2**0.5)  # (N,)
    return np.exp(2 * (sm.kde_log_density(x, data, h) + constant(h)) - squares)


def noise_left(score, x, z):
    """Mean square, coordinate by coordinate, of what is left when σ s(x̃) predicts −z: 1 at s = 0 (NCSN.4), (d,)."""
    return np.mean((SIGMA * score(x) + z)**2, axis=0)


def measure(stream, budget, progress):
    rng = stream()
    data, held, axes, mean = components(rng)
    held = held[:c.scaled(len(held), budget, N_SHOWN)]
    z = c.normal(rng, held)
    noisy, variances = held + SIGMA * z, data.var(axis=0)
    linear = lambda x: -x / (variances + SIGMA**2)
    gaussian = noise_left(linear, noisy, z)                                  # (64,)  (DSM.11)
    each = np.mean((SIGMA * linear(noisy) + z)**2, axis=1)                   # (N,) of each picture
    table = [at(k, data, noisy, z, rng, budget, progress) for k in KS]
    losses = {name: np.array([np.mean(row[name]) for row in table]) for name in ("h = σ", "best h", "network")}
    losses["Gaussian"] = np.array([np.mean(gaussian[:k]) for k in KS])
    rest = np.array([np.sum(gaussian[k:]) for k in KS])
    whole = {name: (KS * losses[name] + rest) / 64 for name in ("best h", "network")}
    return SimpleNamespace(losses=losses, whole=whole, kernels=np.array([row["kernels"] for row in table]),
                           h=[row["h"] for row in table], theory=np.mean(variances / (variances + SIGMA**2)),
                           five=5 * each.std() / len(each)**0.5 / np.mean(each),
                           pictures=pictures(held, noisy, variances, data, table[-1], axes, mean))


def at(k, data, noisy, z, rng, budget, progress):
    """On k components: the noise left by each score, the best h, the mean number of kernels in use."""
    data, noisy, z = data[:, :k], noisy[:, :k], z[:, :k]
    loss = lambda score, x, rng: sm.denoising_loss(score, x, c.normal(rng, x), SIGMA)
    network = c.train(loss, sm.MLP, c.init(rng, k, 128, 128, k), data, rng, budget, progress, steps=1000,
                      label=f"k = {k}", batch_size=128, learning_rate=8e-3)
    kernel = [noise_left(lambda x, h=h: c.kernel_score(x, data, h), noisy, z) for h in BANDWIDTHS]
    best = np.argmin([np.mean(left) for left in kernel])
    return {"h = σ": kernel[0], "best h": kernel[best], "network": noise_left(network, noisy, z), "score": network,
            "h": BANDWIDTHS[best], "kernels": np.mean(kernels_in_use(noisy, data, SIGMA))}


def pictures(held, noisy, variances, data, last, axes, mean):
    """Pictures by title, in greys: clean, noisy, and denoised by each score (DSM.8)."""
    x, held = noisy[:N_SHOWN], held[:N_SHOWN]
    denoised = lambda score: sm.tweedie(score, x, SIGMA)
    rows = {"clean": held, "noisy": x, "Gaussian": denoised(lambda x: -x / (variances + SIGMA**2)),
            "kernels, h = σ": denoised(lambda x: c.kernel_score(x, data, SIGMA)), "network": denoised(last["score"])}
    return {title: 8 * (x @ axes.T + mean + 1) for title, x in rows.items()}


def draw(m):
    fig, (top, bottom) = c.rows([3, 1], [2.4, 2.4])
    draw_losses(top[0], m)
    draw_kernels(top[1], m)
    draw_whole(top[2], m)
    show(bottom, np.concatenate(list(m.pictures.values())),
         "held-out digits, made noisy (σ = 0.3) and denoised with each score, k = 64", N_SHOWN)
    for row, title in enumerate(m.pictures):
        bottom.text(-2, 9 * row + 3.5, title, ha="right", va="center", fontsize=8)
    return fig


def by_components(ax, **labels):
    ax.set(xscale="log", xticks=KS, xticklabels=KS, xlabel="principal components, k", **labels)
    ax.minorticks_off()


def draw_losses(ax, m):
    for name, color, marker in [("h = σ", c.RED, "s"), ("best h", c.ORANGE, "D"), ("Gaussian", c.GREEN, "^"),
                                ("network", c.BLUE, "o")]:
        label = f"kernels, {name}" if name in ("h = σ", "best h") else name
        ax.plot(KS, m.losses[name], marker=marker, color=color, label=label)
    ax.axhline(1, color=c.GREY, ls="--", lw=1)
    ax.text(11, 1.02, "no score, 1", ha="center", va="bottom", fontsize=7, color=c.DARK)
    by_components(ax, title="noise left in k components", ylabel="held-out loss a component", ylim=(0, None))
    ax.legend(loc="lower left")


def draw_kernels(ax, m):
    ax.plot(KS, m.kernels, "s-", color=c.RED)
    ax.axhline(2, color=c.GREY, ls="--", lw=1)
    ax.text(66, 2.1, "below, one outweighs\nall the others", ha="right", va="bottom", fontsize=7, color=c.DARK)
    ax.set_yscale("log")
    by_components(ax, title="kernels in use, h = σ", ylabel="mean of 1/Σw²", ylim=(0.8, 100))


def draw_whole(ax, m):
    ax.plot(KS, m.whole["best h"], "D-", color=c.ORANGE, label="kernels, best h")
    ax.plot(KS, m.whole["network"], "o-", color=c.BLUE, label="network")
    ax.axhline(m.losses["Gaussian"][-1], color=c.GREEN, ls="--", lw=1, label="Gaussian alone")
    by_components(ax, title="with a Gaussian for the rest", ylabel="held-out loss a pixel")
    ax.legend(loc="lower left")


def claims(m):
    """Bounds: s = 0 leaves 1 by definition; 1/Σw² < 2 means that one weight is more than half, as Σw² ≤ max w; no
    linear score is better than the Gaussian's (DSM.11), so a network below it has learned more than two moments. Of
    the Gaussian's loss, five deviations of the mean over the pictures held out. The rest is the order that the caption
    states, counted in k, since what is far below is as wrong as what is above."""
    kernels, best, network, gaussian = (m.losses[name] for name in ("h = σ", "best h", "network", "Gaussian"))
    single, far, middle = m.kernels < 2, KS >= 8, (KS == 8) | (KS == 16)
    below = lambda text, a, b: c.claim(f"{text}: below, of {len(a)} k", np.sum(a < b), len(a), len(a))
    return [
        c.claim("kernels in use at k = 16 and more, h = σ: largest", max(m.kernels[KS >= 16]), 1, 2),
        below("no score, 1, and kernels, h = σ, at k = 8 and 16", np.ones(2), kernels[middle]),
        c.claim("kernels, best h: loss at k = 64; from the Gaussian's to that of no score", best[-1], gaussian[-1], 1),
        below("network and Gaussian", network, gaussian),
        below("network and kernels, best h, where fewer than two kernels are in use", network[single], best[single]),
        c.claim("kernels on some k < 64 components, a Gaussian for the rest: least loss; from the network's to that of "
                "the better of either alone", min(m.whole["best h"][:-1]), min(m.whole["network"]),
                min(best[-1], gaussian[-1])),
        c.claim("Gaussian: loss at k = 64 over λ/(λ + σ²), the mean on its own data", gaussian[-1] / m.theory,
                1 - m.five, 1 + m.five),
        below("kernels, best h and h = σ, at k = 8 and more", best[far], 0.99 * kernels[far]),
        *[c.measured(f"{name}: loss at k = {k}", loss)
          for name, losses in m.losses.items() for k, loss in zip(KS, losses) if k in (2, 64)],
        c.measured("best h over σ at k = 64", m.h[-1] / SIGMA),
    ]
