"""Score matching without gradient descent: one linear solve.

For a score W f(x), linear in its parameters, the implicit objective is quadratic in W, and its minimum is the solution
of linear equations. With f = (1, x) it is the score of the Gaussian with the data's mean and covariance; with
random Fourier features it is as good as the kernel form of the same idea, which is Stein's estimator and whose
equations grow with the data. Both learn as the data grow, and are nearer to the truth than a kernel density estimate,
even one whose bandwidth is chosen by the truth. A network trained by gradient descent, and stopped where the
objective on held-out points is least, is mostly better still, and takes much longer. The ridge keeps the least value
of the objective from falling without end, as early stopping does for the network.

Source: Hyvärinen 2007 (linear models); Li & Turner 2018 (Stein); Rahimi & Recht 2007 (features); equations LIN.2,
LIN.5 and LIN.7.
Settings: the mixture of the other figures; Gaussian kernel of length 2, 400 random Fourier features of it, ridge
0.001; kernel form up to 2,000 points; kernel estimate at the best h of eight from 0.2 to 1.2; 2-64-64-2 network,
at most ten rounds of 100 Adam steps of 256, rate 0.005, the best kept, by 1,000 more points. Relative errors on 2,500
points.
"""

from time import perf_counter
from types import SimpleNamespace

import autograd.numpy as np

import scoremin as sm

from . import common as c

NS, LENGTH, RIDGE, N_KERNEL = [200, 500, 1000, 2000, 5000], 2.0, 1e-3, 2000
BANDWIDTHS = np.geomspace(0.2, 1.2, 8)
STYLES = {"linear, f = (1, x)": (c.GREY, "v"), "linear, Fourier features": (c.BLUE, "o"),
          "linear, kernel form": (c.SKY, "s"), "kernel density, best h": (c.ORANGE, "D"),
          "network, stopped early": (c.GREEN, "^")}


def affine(x):
    """(1, x), (N,3)."""
    return np.concatenate([np.ones((len(x), 1)), x], axis=1)


def fourier(rng, m):
    """m random features (N,m) whose inner products are a Gaussian kernel of length LENGTH, on average (LIN.5)."""
    W, b = rng.standard_normal((2, m)) / LENGTH, rng.uniform(0, 2 * np.pi, m)
    return lambda x: (2 / m)**0.5 * np.cos(np.dot(x, W) + b)


def kernel_form(x):
    """The score (LIN.7) of a Gaussian kernel, ζ(y) = 1/n Σ_j ∇_{x_j} k(y, x_j)."""
    def kernel(y):
        k = np.exp(-sm.data.squared_distances(y, x) / (2 * LENGTH**2))       # (N,n)
        zeta = (np.sum(k, axis=1, keepdims=True) * y - k @ x) / (len(x) * LENGTH**2)  # (N,2)
        return k, zeta
    K, zeta = kernel(x)
    weights = np.linalg.solve(K + len(x) * RIDGE * np.eye(len(x)), zeta)     # (n,2)

    def score(y):
        k, zeta = kernel(y)
        return (k @ weights - zeta) / RIDGE
    return score


def stopped_early(x, held, rng, budget, progress):
    """The network after the round of steps with the least implicit loss on points held out."""
    params, best, least = c.init(rng, 2, 64, 64, 2), None, np.inf
    for _ in progress(range(10), f"network, n = {len(x)}"):
        score = c.train(c.implicit, sm.MLP, params, x, rng, budget, lambda steps, label: steps, steps=100,
                        learning_rate=5e-3)
        params, loss = score.params, sm.implicit_loss(score, held)
        if loss < least:
            best, least = score, loss
    return best


def best_kernel_density(x, test):
    """The kernel estimate's score at the h with the least error to the truth, which only a figure knows."""
    score = lambda h: lambda y: sm.kde_score(y, x, h)
    return min((score(h) for h in BANDWIDTHS), key=lambda s: sm.relative_error(s, c.MIXTURE.score, test))


def measure(stream, budget, progress):
    rng, features = stream(), fourier(stream(": features"), 400)
    data, held, test = (c.MIXTURE.sample(rng, c.scaled(n, budget, 100)) for n in (NS[-1], 1000, 2500))
    fits = {
        "linear, f = (1, x)": lambda x: sm.linear_score(affine, x),
        "linear, Fourier features": lambda x: sm.linear_score(features, x, RIDGE),
        "linear, kernel form": kernel_form,
        "kernel density, best h": lambda x: best_kernel_density(x, test[:1000]),
        "network, stopped early": lambda x: stopped_early(x, held, rng, budget, progress),
    }
    errors, seconds, scores = ({name: {} for name in fits} for _ in range(3))
    for n in NS:
        for name, fit in fits.items():
            if n <= N_KERNEL or name != "linear, kernel form":
                start = perf_counter()
                scores[name][n] = fit(data[:c.scaled(n, budget)])
                seconds[name][n] = perf_counter() - start
                errors[name][n] = sm.relative_error(scores[name][n], c.MIXTURE.score, test)
    return SimpleNamespace(errors=errors, seconds=seconds, scores={name: s[1000] for name, s in scores.items()},
                           gaussian=gaussian_difference(scores["linear, f = (1, x)"][1000],
                                                        data[:c.scaled(1000, budget)]))


def gaussian_difference(score, x):
    """Largest difference of a score from −S⁻¹(x − μ), over the largest value."""
    exact = -(x - x.mean(axis=0)) @ np.linalg.inv(np.cov(x.T, bias=True))
    return np.max(np.abs(score(x) - exact)) / np.max(np.abs(exact))


def draw(m):
    fig, (fields, (left, right)) = c.rows([4, 2], [2.1, 2.8])
    shown = ["linear, Fourier features", "kernel density, best h", "network, stopped early"]
    c.draw_scores(fields, {"true score": c.MIXTURE.score, **{name: m.scores[name] for name in shown}})
    for name, (color, marker) in STYLES.items():
        errors, seconds = m.errors[name], list(m.seconds[name].values())
        left.plot(list(errors), list(errors.values()), color=color, marker=marker, label=name)
        right.plot(seconds, list(errors.values()), color=color, marker=marker)
    left.set(title="error against data", xlabel="points, n", ylabel="relative error", xscale="log", yscale="log")
    right.set(title="error against time, n as on the left", xlabel="seconds to fit", xscale="log", yscale="log")
    for ax in (left, right):
        ax.minorticks_off()
        ax.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5], [0.02, 0.05, 0.1, 0.2, 0.5])
    left.set_xticks(NS, NS)
    left.figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=5, columnspacing=1.2)
    return fig


def claims(m):
    """Bounds: (1, x) is the Gaussian by algebra (LIN.3), to rounding; what errs a tenth of a Gaussian has learned more
    than two moments. One number known from n points costs 1/n, and no error falls faster than 1/n. The rest is the
    order that the caption states."""
    errors, large = m.errors, NS[2:]
    gaussian, fourier, kernel, density, network = STYLES
    nearer = [(fourier, density, large), (kernel, density, large[:2]), (network, gaussian, NS),
              (network, density, large), (network, fourier, NS[-1:])]
    most, least = errors[fourier][NS[0]], errors[fourier][NS[-1]]
    return [
        c.claim("linear, f = (1, x), and −S⁻¹(x − μ): largest difference, relative", m.gaussian, 0, 1e-9),
        c.claim("Fourier features: error at n = 5,000, at most a tenth of the Gaussian's", least, 1 / NS[-1],
                errors[gaussian][NS[-1]] / 10),
        c.claim("Fourier features: error at n = 5,000 over n = 200", least / most, NS[0] / NS[-1], 1),
        *[c.claim(f"{a}: nearer than {b}, of n = {', '.join(map(str, ns))}",
                  sum(errors[a][n] < errors[b][n] for n in ns), len(ns), len(ns)) for a, b, ns in nearer],
        *[c.measured(f"{name}: error at n = 1,000", error[1000]) for name, error in errors.items()],
        *[c.measured(f"{name}: seconds at n = 1,000", seconds[1000]) for name, seconds in m.seconds.items()],
    ]
