"""Digits: a small network draws new ones, the exact minimiser of its loss only copies.

A network that learns the score at every noise level from 1,400 handwritten digits draws new ones in ten calls.
The Gaussian with the data's mean and covariance shows what the first two moments alone give. The loss has an
exact minimiser, the score of the kernel estimate at every level: its digits are the most like real ones, and all
are training images. So no distance to the data can tell the best sampler from a copying machine; how far a
sample is from the nearest training image can. Those of the network are about as far as real digits the training
has not seen: they are neither copies nor blurs. Why it generalises is in its shape and its training: not in its loss.
Bottom right, a small network (65-192-192-64, 500 steps) that has never seen a nine, as a detector: its log-likelihood,
or the size of its score, tells noise from digits without a mistake, and most nines.

Source: Song & Ermon 2019 (NCSN); Karras et al. 2022 (skip connection); Lu et al. 2022 (the sampler); equations
DSM.7, NCSN.4 and REC.4; the digits: Alpaydin & Kaynak 1998, CC BY 4.0.
Settings: 8 × 8 pixels on [−1, 1] less their mean, 1,400 to train, 397 held out; 65-256-256-256-64 network,
2,600 Adam steps of 128 points under z and −z, log σ ~ N(−0.7, 1) clipped to σ in [0.1, 5], with λ of (REC.4);
DPM-Solver from σ = 5 to 0.1, a last step of Tweedie's, rounded to the 17 greys. Two classifiers: the nearest training
image, and least squares on 1,000 random Fourier features.
"""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import scoremin as sm

from . import common as c

N_TRAIN, SIGMA_DATA = 1400, 0.54
SIGMAS = sm.geometric_sigmas(5, 0.1, 10)                   # nine calls, and one of Tweedie's
ODD, NEAR = 9, 0.3                                         # what a detector has not seen; the σ of its score
TITLES = {"held out": "real, held out", "Gaussian fit": "Gaussian fit", "network": "network",
          "exact minimiser": "exact minimiser"}
COLORS = dict(zip(TITLES, [c.DARK, c.ORANGE, c.BLUE, c.RED]))


def split(rng):
    """Pictures in greys 0 … 16 and classes to train on, (1400,64) and (1400,), and held out, (397,64) and (397,)."""
    table = np.loadtxt(Path(__file__).parent / "data" / "digits.csv.gz", delimiter=",")
    table = rng.permutation(table)
    return (table[:N_TRAIN, :-1], table[:N_TRAIN, -1].astype(int)), (table[N_TRAIN:, :-1],
                                                                     table[N_TRAIN:, -1].astype(int))


def log_normal(rng, n):
    """n noise levels."""
    return np.exp(rng.normal(-0.7, 1, n)).clip(0.1, 5)


def draw_digits(score, rng, n, mean):
    """n pictures (n,64) in greys, by ten calls of score."""
    x = sm.dpm_solver(score, (SIGMAS[0] * rng.standard_normal((n, 64))).astype(np.float32), SIGMAS)
    x = sm.tweedie(lambda x: score(x, SIGMAS[-1]), x, SIGMAS[-1])
    return greys(x + mean)


def greys(x):
    """Pictures on [−1, 1] rounded to whole greys 0 … 16."""
    return np.rint(8 * (x.astype(float) + 1)).clip(0, 16)


def nearest(a, b):
    """Index in b of the picture nearest to each of a, and how far it is, in greys; whole numbers, so exact."""
    squares = np.sum(a**2, axis=1)[:, None] - 2 * a @ b.T + np.sum(b**2, axis=1)
    return np.argmin(squares, axis=1), np.sqrt(np.min(squares, axis=1))


def classifier(x, labels, rng):
    """Least squares to the classes on random Fourier features, a function of pictures: labels (N,)."""
    W, b = rng.standard_normal((64, 1000)) / 48, rng.uniform(0, 2 * np.pi, 1000)
    features = lambda x: np.cos(x @ W + b)
    f = features(x)
    weights = np.linalg.solve(f.T @ f + np.eye(1000), f.T @ np.eye(10)[labels])
    return lambda x: np.argmax(features(x) @ weights, axis=1)


def measure(stream, budget, progress):
    rng = stream()
    (train, labels), (held, held_labels) = split(rng)
    mean = (train / 8 - 1).mean(axis=0).astype(np.float32)
    data = (train / 8 - 1).astype(np.float32) - mean
    score = c.train(c.even(log_normal, SIGMA_DATA), partial(sm.NoiseConditionalMLP, sigma_data=SIGMA_DATA, skip=True),
                    c.init(rng, 65, 256, 256, 256, 64), data, rng, budget, progress,
                    steps=2600, batch_size=128, learning_rate=0.01)
    n, few = len(held), c.scaled(len(held), budget, least=100)
    root = np.linalg.cholesky(np.cov(data.T, bias=True) + 1e-6 * np.eye(64))
    samples = {
        "held out": held,
        "Gaussian fit": greys(rng.standard_normal((n, 64)) @ root.T + mean),
        "network": draw_digits(score, rng, c.scaled(N_TRAIN, budget, least=100), mean),
        "exact minimiser": draw_digits(lambda x, sigma: c.kernel_score(x, data, sigma), rng, few, mean),
    }
    m = judge(samples, train, labels, held_labels, rng)
    m.detected = detect(stream("detectors"), train, labels, held, held_labels, budget, progress)
    return m


def detect(rng, train, labels, held, held_labels, budget, progress):
    """log q and −‖s‖ at NEAR, of a network that has seen all classes but ODD, for held-out digits of those, of ODD, and
    for pictures of greys drawn alike: {detector: {kind: (n,)}}."""
    seen = train[labels != ODD] / 8 - 1
    mean = seen.mean(axis=0)
    score = c.train(c.ncsn(log_normal), partial(sm.NoiseConditionalMLP, sigma_data=SIGMA_DATA, skip=True),
                    c.init(rng, 65, 192, 192, 64), (seen - mean).astype(np.float32), rng, budget, progress,
                    steps=500, batch_size=128, learning_rate=0.01, label="without nines")
    kinds = {"digits": held[held_labels != ODD], "nines": held[held_labels == ODD],
             "noise": rng.integers(0, 17, held.shape)}
    prior = sm.GaussianMixture([1.0], np.zeros((1, 64)), [np.cov(seen.T) + 25 * np.eye(64)]).log_density
    detectors = {"log q": lambda x: sm.log_likelihood(score, x, c.asinh_levels(5, 0.1, 13), prior),
                 "−‖s‖": lambda x: -np.linalg.norm(score(x, NEAR), axis=1)}
    return {name: {kind: f((x / 8 - 1 - mean).astype(np.float32)) for kind, x in kinds.items()}
            for name, f in detectors.items()}


def judge(samples, train, labels, held_labels, rng):
    """Numbers by the name of the sample; all but the recall on as many as are held out."""
    n, held, second = len(samples["held out"]), samples["held out"], classifier(train, labels, rng)
    generated, samples = samples["network"], {name: x[:n] for name, x in samples.items()}
    near = {name: nearest(x, train) for name, x in samples.items()}
    classes = {name: labels[i] for name, (i, _) in near.items()}
    floor = np.mean([sm.energy_distance(rng.permutation(train)[:n], held) for _ in range(3)])
    return SimpleNamespace(
        samples=samples, neighbours={name: train[i] for name, (i, _) in near.items()},
        distances={name: distance for name, (_, distance) in near.items()}, classes=classes,
        agreement={name: np.mean(classes[name] == second(x)) for name, x in samples.items()},
        accuracy=[np.mean(classes["held out"] == held_labels), np.mean(second(held) == held_labels)],
        energy={name: sm.energy_distance(x, held) / floor for name, x in samples.items() if name != "held out"},
        recall=np.median(nearest(held, generated)[1]),
        precision={name: sm.precision_recall(x, held)[0] for name, x in samples.items() if name != "held out"},
        of_real=np.mean([sm.precision_recall(rng.permutation(train)[:n], held)[0] for _ in range(3)]))


def show(ax, pictures, title, columns=10):
    """Pictures (n,64) as one image, row by row, with a pixel of white between them."""
    tiles = np.pad(pictures.reshape(-1, columns, 8, 8), ((0, 0), (0, 0), (0, 1), (0, 1)))
    ax.imshow(tiles.swapaxes(1, 2).reshape(9 * len(tiles), -1)[:-1, :-1], cmap="gray_r", vmin=0, vmax=16)
    ax.set_title(title)
    ax.axis("off")


def draw(m):
    fig, (top, (left, middle, right)) = c.rows([4, 3], [2.5, 2.3])
    for ax, (name, title) in zip(top, TITLES.items()):
        show(ax, m.samples[name][:100], f"{title}\nclassifiers agree on {100 * m.agreement[name]:.0f} %")
    draw_neighbours(left, m)
    draw_distances(middle, m)
    draw_detected(right, m)
    return fig


def draw_neighbours(ax, m):
    """Ten samples of the network and of the exact minimiser, each over its nearest training image."""
    names = ["network", "exact minimiser"]
    lines = [a for name in names for a in (m.samples[name][:10], m.neighbours[name][:10])]
    show(ax, np.concatenate(lines), "samples, each over its\nnearest training image")
    for k, text in enumerate(["network", "nearest", "exact\nminimiser", "nearest"]):
        ax.text(-2, 9 * k + 3.5, text, ha="right", va="center", fontsize=7.5)


def draw_distances(ax, m):
    """The share of samples nearer to a training image than so many greys."""
    for name, color in COLORS.items():
        distances = np.sort(m.distances[name])
        ax.step([0, *distances], np.arange(len(distances) + 1) / len(distances), color=color, where="post",
                label=TITLES[name])
    ax.set(title="nearer than this to a training image", xlabel="distance in greys, ‖x − nearest‖",
           ylabel="share of samples", xlim=(-0.5, None), ylim=(0, 1.02))
    ax.legend(loc="upper left", bbox_to_anchor=(0.02, 1), handlelength=0.8, fontsize=6.5)


def draw_detected(ax, m):
    """The share of digits above a threshold against that of nines, or of noise."""
    for (name, values), color in zip(m.detected.items(), (c.BLUE, c.ORANGE)):
        for kind, style in (("nines", "-"), ("noise", ":")):
            thresholds = np.sort(np.concatenate([values["digits"], values[kind]]))[::-1]
            shares = [np.searchsorted(np.sort(-values[key]), -thresholds, side="right") / len(values[key])
                      for key in (kind, "digits")]
            ax.plot([0, *shares[0]], [0, *shares[1]], style, color=color, label=f"{name}, {kind}")
    ax.set(title="trained without nines: a digit?", xlabel="nines, or noise, taken for digits", ylabel="digits found",
           xlim=(-0.02, 1), ylim=(0, 1.02))
    ax.legend(loc="lower right", handlelength=1.2)


def detector_claims(m):
    """Noise is to be told without a mistake; nines, which share their strokes with digits that were seen, more often
    than half-way from chance to certain, and less surely than noise."""
    found = []
    for name, values in m.detected.items():
        nines, noise = (c.share_above(values["digits"], values[kind]) for kind in ("nines", "noise"))
        found += [c.claim(f"trained without nines, {name}: chance that it is larger at a digit than at noise", noise,
                          0.999, 1),
                  c.claim(f"trained without nines, {name}: the same at a nine", nines, 0.75, noise)]
    return found


def claims(m):
    """Bounds: a sampler that gives each class its tenth misses none in 100 draws, with probability .9997; held-out real
    digits and the Gaussian fit, measured here, are what the rest is held against. The minimiser's samples are copies
    by (DSM.7): at σ = 0.1 one kernel has all the weight. A Gaussian with the right mean is nearer to digits than the
    mean picture alone."""
    low, high = np.quantile(m.distances["held out"], [0.25, 0.75])
    real, gaussian = m.agreement["held out"], m.agreement["Gaussian fit"]
    digits, fit = m.samples["held out"], m.samples["Gaussian fit"]
    blur = sm.energy_distance(np.tile(digits.mean(axis=0), (len(digits), 1)), digits)
    gained = sm.energy_distance(fit, digits) / blur
    return [
        c.claim("network: classes in 100 samples", len(set(m.classes["network"][:100])), 10, 10),
        c.claim("network: share on which two classifiers agree; above half-way from the Gaussian fit to real digits",
                m.agreement["network"], (real + gaussian) / 2, 1),
        c.claim("network: median distance to the nearest training image, in greys; the middle half of real digits",
                np.median(m.distances["network"]), low, high),
        c.claim("held out: median distance to the nearest of 1,400 samples of the network; the same bounds",
                m.recall, low, high),
        c.claim("network: precision; above half-way from the Gaussian fit to training images",
                m.precision["network"], (m.precision["Gaussian fit"] + m.of_real) / 2,
                m.of_real + 5 * (m.of_real * (1 - m.of_real) * (1 + 1 / 3) / len(m.samples["held out"]))**0.5),
        c.claim("exact minimiser: share of samples that are training images, grey by grey",
                np.mean(m.distances["exact minimiser"] == 0), 1, 1),
        c.claim("Gaussian fit: energy distance to held-out digits, over that of the mean picture; above the network's",
                gained, gained * m.energy["network"] / m.energy["Gaussian fit"], 1),
        *[c.measured(f"{name}: precision", share) for name, share in m.precision.items() if name != "network"],
        c.measured("training images: precision", m.of_real),
        c.measured("network: the same share", np.mean(m.distances["network"] == 0)),
        *[c.measured(f"{TITLES[name]}: share on which two classifiers agree", share)
          for name, share in m.agreement.items() if name != "network"],
        *[c.measured(f"{name}: energy distance to held-out digits, over that of training images", ratio)
          for name, ratio in m.energy.items()],
        c.measured("nearest training image: accuracy on held-out digits", m.accuracy[0]),
        c.measured("least squares: accuracy on held-out digits", m.accuracy[1]),
        *detector_claims(m),
    ]
