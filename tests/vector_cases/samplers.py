"""Cases of Langevin dynamics, of continuous noise, of training and of the metrics."""

from functools import partial
from itertools import pairwise

import autograd.numpy as np
from autograd import value_and_grad

import scoremin as sm

from .tools import (
    LINE, MIXTURE, POINTS, SHAPES, SPACE, TOLERANCES, TRIANGLE, N, aside, case, clusters, conditional_at, draw,
    energy_network, kde, mixture, network, plain_mlp, plain_noise_conditional, widened,
)


def walk(score, x, step, noise, temperature=1.0):
    """Positions after each step of (LD.3), (LD.5), written out."""
    path = []
    for z in noise:
        x = x + step / 2 * score(x) + (temperature * step)**0.5 * z
        path.append(x)
    return np.array(path)


def langevin():
    x, noise = draw("x langevin", N, 2, size=2), draw("noise langevin", 5, N, 2)
    at_mixture, at_kde = lambda x: mixture(x, **MIXTURE)[1], lambda x: kde(x, TRIANGLE, 1.0)[1]
    settings = [(f"{temperature:g}-d2-mixture", {"kind": "mixture", **MIXTURE}, at_mixture, x, 0.1, noise, temperature,
                 ["no noise"] * (temperature == 0)) for temperature in (1.0, 0.5, 0.0)]
    settings += [("1-d2-kde", {"kind": "kde", "data": TRIANGLE, "h": 1.0}, at_kde, x, 0.1, noise, 1.0, ())]
    nets = {name: network(f"langevin {name}", sizes) for name, sizes in SHAPES.items() if "d2" in name}
    settings += [(f"1-{name}", {"kind": "mlp", "params": p}, plain_mlp(p), x, 0.1, noise, 1.0, ())
                 for name, p in nets.items()]
    steep = [(-8 * np.eye(3) + draw("steep W", 3, 3, size=0.5), draw("steep b", 3, size=8))]
    energy = network("langevin energy", [3, 5, 4, 1])
    for name, spec, score, x, flags in [
            ("d3-energy", {"kind": "energy_mlp", "params": energy}, energy_network(energy), draw("x le", N, 3), ()),
            ("d3-steep", {"kind": "mlp", "params": steep}, plain_mlp(steep), draw("x st", N, 3, size=2),
             ["‖s‖ > 5: a clipped score fails"]),
            ("d1-kde", {"kind": "kde", "data": POINTS, "h": 0.5}, lambda x: kde(x, POINTS, 0.5)[1], draw("x k", 1, 1),
             ["N = 1"])]:
        settings.append((f"2-{name}", spec, score, x, 0.125, draw(f"noise {name}", 3, *x.shape), 2.0, flags))
    for name, spec, score, x, step, noise, temperature, flags in settings:
        path = walk(score, x, step, noise, temperature)
        yield case(f"langevin/plain-{name}", "langevin",
                   {"score": spec, "x": x, "step": step, "noise": noise, "temperature": temperature},
                   {"value": path[-1], "path": path},
                   "autograd" if "hidden" in name or "energy" in name else "closed form", flags)
    yield from annealed()


def annealed():
    """Levels in powers of 2, and in equal ratios with three of them and four steps, d = 1 and 3."""
    smoothed = lambda spec: ({"kind": "smoothed_mixture", **spec},
                             lambda s: lambda x: mixture(x, **widened(spec, s))[1])
    plain = lambda params, sigma_data: ({"kind": "noise_conditional_mlp", "params": params, "sigma_data": sigma_data},
                                        lambda s: conditional_at(sigma_data, s)(params))
    x, noise, sigmas = draw("x annealed", N, 2, size=2), draw("noise annealed", 3, 5, N, 2), [2.0, 0.5, 0.25]
    settings = [(name, *made, x, noise, sigmas, denoise) for name, made in [
        ("d2-mixture", smoothed(MIXTURE)), ("d2-two-hidden", plain(network("annealed", [3, 5, 4, 2]), 1.0))]
        for denoise in (False, True)]
    for name, made, d in [("d1-mixture", smoothed(LINE), 1),
                          ("d3-network", plain(network("annealed 3", [4, 5, 3]), 0.5), 3)]:
        settings.append((f"geometric-{name}", *made, draw(f"x annealed {name}", 2, d, size=5),
                         draw(f"noise annealed {name}", 3, 4, 2, d), [5.0, 0.9682458365518543, 0.1875], True))
    for name, spec, at, x, noise, sigmas, denoise in settings:
        path, position = [], x
        for sigma, z in zip(sigmas, noise):
            path.extend(walk(at(sigma), position, 0.01 * (sigma / sigmas[-1])**2, z))          # (LD.8)
            position = path[-1]
        value = position + sigmas[-1]**2 * at(sigmas[-1])(position) if denoise else position
        suffix = "-denoised" * (denoise and "geometric" not in name)
        yield case(f"langevin/annealed-{name}{suffix}", "annealed_langevin",
                   {"score": spec, "x": x, "sigmas": sigmas, "step": 0.01, "noise": noise, "denoise": denoise},
                   {"value": value, "path": path}, "closed form" if "mixture" in name else "autograd")


# Continuous noise

def conditional_scores():
    """Scores of (x, σ) with their trace: two mixtures in closed form, a network by autograd."""
    for name, spec, d in (("d1-mixture", LINE, 1), ("d3-mixture", SPACE, 3)):
        yield name, {"kind": "smoothed_mixture", **spec}, partial(mixture_level, spec), d, "closed form"
    params = network("sde", [3, 4, 3, 2])
    yield ("d2-network", {"kind": "noise_conditional_mlp", "params": params, "sigma_data": 0.5},
           partial(network_level, params), 2, "autograd")


def mixture_level(spec, x, sigma):
    _, s, H = mixture(x, **widened(spec, sigma))
    return s, np.trace(H, axis1=1, axis2=2)


def network_level(params, x, sigma):
    return sm.divergence(conditional_at(0.5, sigma)(params), x)


def sde():
    levels = [4.0, 1.375, 0.5, 0.1875]
    for name, spec, at, d, origin in conditional_scores():
        x, noise = draw(f"x sde {name}", 3, d, size=4), draw(f"noise sde {name}", 3, 3, d)
        start, inputs = draw(f"x up {name}", 3, d), {"score": spec, "x": x, "sigmas": levels}
        prior = {"weights": [1.0], "means": [[0.5] * d], "covs": [(16 * np.eye(d) + 0.5).tolist()]}
        for function, more, value in [
                ("reverse_sde", {"noise": noise}, reverse(at, x, levels, noise)),
                ("probability_flow-down", {}, heun(at, x, levels)),
                ("probability_flow-up", {"x": start, "sigmas": levels[::-1]}, heun(at, start, levels[::-1])),
                ("dpm_solver", {}, multistep(at, x, levels)),
                ("log_likelihood", {"x": start, "prior": prior}, likelihood(at, start, levels[::-1], prior))]:
            yield case(f"sde/{function}-{name}", function.split("-")[0], {**inputs, **more}, {"value": value}, origin)


def reverse(at, x, levels, noise):
    for (sigma, after), z in zip(pairwise(levels), noise):
        x = x + (sigma**2 - after**2) * at(x, sigma)[0] + np.sqrt(sigma**2 - after**2) * z     # (SDE.8)
    return x


def heun(at, x, levels):
    for sigma, after in pairwise(levels):
        slope = -sigma * at(x, sigma)[0]
        far = -after * at(x + (after - sigma) * slope, after)[0]
        x = x + (after - sigma) * (slope + far) / 2                                            # (SDE.16)
    return x


def multistep(at, x, levels):
    """By (SDE.19), with D as a sequence and the differences of log σ written out."""
    lam, D = -np.log(levels), []
    for i, (sigma, after) in enumerate(pairwise(levels)):
        D.append(x + sigma**2 * at(x, sigma)[0])
        r = (lam[i] - lam[i - 1]) / (lam[i + 1] - lam[i]) if i else 1.0
        mean = D[i] + (D[i] - D[i - 1]) / (2 * r) if i else D[0]
        x = after / sigma * x - (after / sigma - 1) * mean
    return x


def likelihood(at, x, levels, prior):
    """Runge and Kutta's method of order 4 for x and the integral of σ tr ∂s/∂x, apart."""
    total = np.zeros(len(x))

    def slopes(x, sigma):
        s, tr = at(x, sigma)
        return -sigma * s, sigma * tr
    for sigma, after in pairwise(levels):
        step, half = after - sigma, (after + sigma) / 2
        a, A = slopes(x, sigma)
        b, B = slopes(x + step / 2 * a, half)
        c, C = slopes(x + step / 2 * b, half)
        e, E = slopes(x + step * c, after)
        x, total = x + step * (a + 2 * b + 2 * c + e) / 6, total + step * (A + 2 * B + 2 * C + E) / 6  # (SDE.22)
    return mixture(x, **prior)[0] - total                                                      # (SDE.21)


# Training

def adam(theta, gradients, rate):
    """theta after each step of (FIT.1) to (FIT.4), each moment written as its sum over past gradients."""
    K, path = len(gradients), []
    for k in range(1, K + 1):
        m = sum(0.1 * 0.9**(k - i) * gradients[i - 1] for i in range(1, k + 1)) / (1 - 0.9**k)
        u = sum(0.001 * 0.999**(k - i) * gradients[i - 1]**2 for i in range(1, k + 1)) / (1 - 0.999**k)
        theta = theta - rate * 0.5 * (1 + np.cos(np.pi * (k - 1) / K)) * m / (np.sqrt(u) + 1e-8)
        path.append(theta)
    return path


def train():
    for name, rate in (("small", 1e-3), ("large", 0.5)):
        params = network(f"adam {name}", [2, 3, 2])
        gradients = [[(1e3 * draw(f"gW {i} {k}", *W.shape), draw(f"gb {i} {k}", *b.shape)) for i, (W, b) in
                      enumerate(params)] for k in range(5)]
        large = name == "large"  # the rounding of 1 − .999ᵏ in float32, 3e-5 of it, times the rate
        yield adam_case(f"{name}-rate", params, gradients, rate, ["gradients of very different size"] + [
            "1 − βᵏ in float32 loses digits"] * large, TOLERANCES | {"float32": 1e-4 if large else 1e-5})
    gradients = [[(np.where(np.eye(2) > 0, draw(f"gz {k}", 2, 2), 0), draw(f"gzb {k}", 2, size=1e-3))]
                 for k in range(3)]
    yield adam_case("zero-gradients", network("adam zero", [2, 2]), gradients, 0.125,
                    ["entries whose gradient is always 0 stay"])
    x, z, v = draw("x train", 16, 2), draw("z train", 16, 2), draw("v train", 16, 2)
    for objective, inputs in {"implicit_loss": {"x": x}, "sliced_vr_loss": {"x": x, "v": v},
                              "denoising_loss": {"x": x, "z": z, "sigma": 0.3}}.items():
        spec = {"kind": "mlp", "params": network(f"train {objective}", SHAPES["d2-two-hidden"])}
        yield full_batch(objective, objective, spec, plain_mlp, inputs)
    spec = {"kind": "noise_conditional_mlp", "params": network("train ncsn", [3, 5, 2]), "sigma_data": 1.0}
    yield full_batch("ncsn_loss", "ncsn_loss", spec, partial(plain_noise_conditional, sigma_data=1.0),
                     {"x": x, "z": z, "sigma": np.array([2.0, 1.0, 0.5, 0.25] * 4)})
    spec = {"kind": "energy_mlp", "params": network("train energy", [3, 4, 1])}
    yield full_batch("denoising_loss-d3-energy", "denoising_loss", spec, energy_network,
                     {"x": draw("x train energy", 5, 3), "z": draw("z train energy", 5, 3), "sigma": 0.5})


def adam_case(id, params, gradients, rate, flags, tolerances=TOLERANCES):
    """Adam on given gradients."""
    after = [[adam(a, [g[i][j] for g in gradients], rate) for j, a in enumerate(layer)]
             for i, layer in enumerate(params)]
    path = [[(W[k], b[k]) for W, b in after] for k in range(len(gradients))]
    return case(f"train/adam-{id}", "fit", {"params": params, "gradients": gradients, "learning_rate": rate},
                {"path": path}, flags=flags, tolerances=tolerances)


def full_batch(id, objective, spec, make, inputs):
    """Five Adam steps on one fixed batch with fixed noise."""
    params, path, losses, steps, rate = spec["params"], [], [], 5, 0.01
    gradient = value_and_grad(lambda params: getattr(sm, objective)(make(params), *inputs.values()))
    start, gradients = [a for layer in params for a in layer], []
    arrays = start
    for k in range(steps):
        value, g = gradient(list(zip(arrays[::2], arrays[1::2])))
        losses.append(value)
        gradients.append([a for layer in g for a in layer])
        # The whole history with the full schedule, of which the first k + 1 steps are taken.
        known = [[row[i] for row in gradients] + [gradients[0][i]] * (steps - k - 1) for i in range(len(start))]
        arrays = [adam(a, history, rate)[k] for a, history in zip(start, known)]
        path.append(list(zip(arrays[::2], arrays[1::2])))
    return case(f"train/full-batch-{id}", "fit",
                {"objective": objective, "score": spec, **inputs, "learning_rate": rate, "steps": steps},
                {"losses": np.array(losses), "path": path}, "autograd")


# Metrics

def metrics():
    for name, sizes, target, seed, x in [
            ("d2", [2, 2], MIXTURE, "metrics", draw("x metrics", 6, 2, size=2)),
            ("d3", [3, 4, 3], SPACE, "metrics 3", draw("x metrics 3", 5, 3))]:
        params = network(seed, sizes)
        s, truth = plain_mlp(params)(x), mixture(x, **target)[1]
        inputs = {"score": {"kind": "mlp", "params": params}, "target": {"kind": "mixture", **target}, "x": x}
        miss, origin = np.sum((s - truth)**2), "closed form" if name == "d2" else "autograd"
        for function, value in (("fisher_divergence", miss / 2 / len(x)), ("relative_error", miss / np.sum(truth**2))):
            yield case(f"metrics/{function}-{name}", function, inputs, {"value": value}, origin)
    p, q = draw("a", 5, 2), draw("b", 7, 2, size=2)
    for name, (a, b) in {"d2": (p, q), "same": (p, p), "d5": (draw("a5", 4, 5), draw("b5", 3, 5)),
                         "d1": (draw("a1", 4, 1), draw("b1", 6, 1)),
                         "one-row": (draw("a one", 1, 3), draw("b one", 1, 3)),
                         "offset": (aside("a offset", 5, 3), aside("b offset", 4, 3)),
                         "two-offsets": (clusters("a apart", 1, 4, 3), clusters("b apart", 2, 2, 3))}.items():
        yield case(f"metrics/energy_distance-{name}", "energy_distance", {"a": a, "b": b},
                   {"value": 2 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b)},
                   flags=["data far from 0"] * ("offset" in name))
    yield from ranks()
    for name, a, b, k in [("d2", draw("a reach", 7, 2, size=1.5), draw("b reach", 9, 2), 2),
                          ("d3", draw("a reach 3", 8, 3), draw("b reach 3", 6, 3, size=1.5), 1)]:
        yield case(f"metrics/precision_recall-{name}", "precision_recall", {"a": a, "b": b, "k": k},
                   {"precision": within(a, b, k), "recall": within(b, a, k)})
    for name, x, means, flags in [
            ("d2", draw("x metrics", 6, 2, size=2), [[2.0, 2.0], [-2.0, -2.0], [9.0, 0.0]], ["the last mode is empty"]),
            ("ties-d1", [[0.0], [1.0], [-1.0], [2.0]], [[1.0], [-1.0], [3.0]],
             ["equally near means: the first counts"]),
            ("far-d2", np.array([4096.0, 4096.0]) + draw("modes far", 12, 2),
             np.array([4096.0, 4096.0]) + draw("means far", 3, 2), ["far from 0: x² − 2xy + y² in float32 fails"])]:
        nearest = [int(np.argmin([np.sum((np.array(row) - np.array(mu))**2) for mu in means])) for row in x]
        yield case(f"metrics/mode_weights-{name}", "mode_weights", {"x": x, "means": means},
                   {"value": [nearest.count(k) / len(x) for k in range(len(means))]}, flags=flags)


def within(a, b, k):
    """(MET.7), point by point: the share of a in a ball of b that holds its k nearest others."""
    length = lambda x: np.sqrt(np.sum(x**2))
    radii = [sorted(length(p - q) for j, q in enumerate(b) if j != i)[k - 1] for i, p in enumerate(b)]
    assert min(abs(length(p - q) - r) for p in a for q, r in zip(b, radii)) > 1e-3  # rounding turns nothing
    return np.mean([any(length(p - q) <= r for q, r in zip(b, radii)) for p in a])


def mean_distance(a, b):
    return np.mean([[np.sqrt(np.sum((row - other)**2)) for other in b] for row in a])


def p_value(a, b, permutations):
    """(MET.4), and the distances D of the permuted weights to that of the sample's."""
    pool, w = np.concatenate([a, b]), np.repeat([1 / len(a), -1 / len(b)], [len(a), len(b)])
    R = np.array([[np.sqrt(np.sum((p - q)**2)) for q in pool] for p in pool])
    above = np.array([w @ R @ w - w[order] @ R @ w[order] for order in permutations])
    tied = np.abs(above) < 1e-12
    assert np.abs(above[~tied]).min() > 1e-3  # rounding cannot turn the rank
    return (1 + int(np.sum(tied | (above > 0)))) / (len(permutations) + 1), int(tied.sum())


def ranks():
    """Cycles of order > 2, of which the inverse gives another rank; and points that the two samples share."""
    shuffles = lambda seed, n: np.array([np.random.default_rng([seed, k]).permutation(n) for k in range(19)])
    swaps = np.array([[3, 1, 2, 0, 4, 5], [0, 2, 1, 3, 4, 5], [0, 1, 2, 5, 3, 4], [3, 2, 1, 0, 5, 4],
                      [1, 0, 2, 3, 4, 5], [4, 1, 2, 3, 0, 5], [0, 1, 5, 3, 4, 2], [2, 3, 4, 5, 0, 1],
                      [5, 4, 1, 2, 3, 0]])
    for name, a, b, permutations, flags in [
            ("d2", draw("a test", 6, 2), draw("b test", 5, 2) + 0.5, shuffles(1, 11), ()),
            ("cycles-d3", draw("a cycle", 4, 3), draw("b cycle", 3, 3) + 0.75, shuffles(2, 7),
             ["inverse permutations give another rank"]),
            ("ties-d1", np.array([[0.0], [1.0], [4.0]]), np.array([[0.0], [2.0], [8.0]]), swaps,
             ["ties count as not below"]),
            ("ties-tenths-d1", np.array([[2.0], [4.0], [6.0], [7.0]]), np.array([[0.0], [1.0], [5.0], [8.0]]),
             shuffles(3, 8), ["ties of tenths, which rounding parts: within 4 ε max R, ε of the inputs"])]:
        value, tied = p_value(a, b, permutations)
        assert "ties" not in name or tied > 2
        assert name != "cycles-d3" or value != p_value(a, b, np.argsort(permutations, axis=1))[0]
        a, b = (a / 10, b / 10) if "tenths" in name else (a, b)
        yield case(f"metrics/two_sample_test-{name}", "two_sample_test", {"a": a, "b": b, "permutations": permutations},
                   {"value": value}, flags=flags)


CHAPTERS = {"langevin": langevin, "sde": sde, "train": train, "metrics": metrics}
