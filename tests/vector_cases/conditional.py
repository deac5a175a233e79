"""Cases of conditional scores: y beside x, and the score of a noisy posterior by Bayes' rule."""

from functools import partial

import autograd.numpy as np
from autograd import elementwise_grad, jacobian

from .tools import (
    LINE, MIXTURE, SPACE, N, case, conditional_at, draw, mixture, mixture_scores, network, plain_mlp,
    plain_noise_conditional, pulled_back, widened,
)

H_2 = np.array([[1.0, 0.5], [-0.25, 0.75]])
TILTED = {"weights": [1.0], "means": [[0.5, -1.0]], "covs": [[[2.0, 0.75], [0.75, 1.0]]]}


def given_x(spec, y, x):
    """∇log p(x|y) of a mixture of [x, y]: weights, means and covariances of x given y, row by row."""
    d, found = x.shape[1], []
    for row, seen in zip(x, y):
        parts = [(np.array(mu), np.array(S)) for mu, S in zip(spec["means"], spec["covs"])]
        gains = [S[:d, d:] @ np.linalg.inv(S[d:, d:]) for _, S in parts]                       # (d,m)
        weights = [w * np.exp(mixture([seen], [1.0], [mu[d:]], [S[d:, d:]])[0][0])
                   for w, (mu, S) in zip(spec["weights"], parts)]
        law = {"weights": np.array(weights) / sum(weights),
               "means": [mu[:d] + B @ (seen - mu[d:]) for B, (mu, _) in zip(gains, parts)],
               "covs": [S[:d, :d] - B @ S[d:, :d] for B, (_, S) in zip(gains, parts)]}
        found.append(mixture([row], **law)[1][0])
    return np.array(found)


def beside(make, x, y, params):
    """The first d columns of a network at [x, y]."""
    return make(params)(np.concatenate([x, y], axis=1))[:, :x.shape[1]]


def given():
    """y one for all and one a row, d = 1 and 2, m = 1 and 2, without σ, with one σ, and with a σ a row."""
    for name, d, rows in (("d2-mixture", 2, False), ("d2-rows-mixture", 2, True), ("d1-rows-mixture", 1, True)):
        x, y = draw(f"x {name}", N, d), draw(f"y {name}", *[N] * rows, 3 - d)
        yield case(f"conditional/given-{name}", "given", {"score": {"kind": "mixture", **SPACE}, "x": x, "y": y},
                   {"value": given_x(SPACE, np.broadcast_to(y, (N, 3 - d)), x)})
    sigma, x, y = np.array([2.0, 0.25, 0.5, 1.0]), draw("x given level", N, 2), draw("y given level", N, 1)
    yield case("conditional/given-levels-d2-mixture", "given",
               {"score": {"kind": "smoothed_mixture", **SPACE}, "x": x, "y": y, "sigma": sigma},
               {"value": mixture_scores(SPACE, np.hstack([x, y]), sigma)[:, :2]}, flags=["per-sample sigma"])
    level = {"kind": "noise_conditional_mlp", "sigma_data": 0.75}
    for name, spec, sizes, make, m, more in [
            ("d2-two-hidden", {"kind": "mlp"}, [4, 6, 5, 4], plain_mlp, 2, {}),
            ("d3-noise-conditional", level, [5, 5, 4], conditional_at(0.75, 0.5), 1, {"sigma": 0.5})]:
        params, d = network(f"given {name}", sizes), int(name[1])
        x, y, g = draw(f"x given {name}", N, d), draw(f"y given {name}", m), draw(f"g given {name}", N, d)
        yield case(f"conditional/given-{name}", "given",
                   {"score": {**spec, "params": params}, "x": x, "y": y, **more, "cotangent": g},
                   pulled_back(partial(beside, make, x, np.broadcast_to(y, (N, m))), params, g), "autograd")


def curvatures(weights, means, covs, x):
    """s (d,), J = ∂s/∂x (d,d) and ∂J_ij/∂x_l (d,d,d) of a mixture at one point, from its components' pulls u_k."""
    precisions = [np.linalg.inv(np.array(S)) for S in covs]
    logs = [mixture([x], [w], [mu], [S])[0][0] for w, mu, S in zip(weights, means, covs)]
    r = np.exp(logs - np.max(logs))
    r, u = r / r.sum(), np.array([P @ (np.array(mu) - x) for P, mu in zip(precisions, means)])
    s = r @ u
    J = sum(r_k * (np.outer(e, e) - P) for r_k, e, P in zip(r, u - s, precisions))
    third = sum(r_k * (np.einsum("i,j,l->ijl", e, e, e) - np.einsum("ij,l->ijl", P, e) - np.einsum("il,j->ijl", P, e)
                       - np.einsum("jl,i->ijl", P, e)) for r_k, e, P in zip(r, u - s, precisions))
    return s, J, third


def by_hand(spec, sigma, H, y, noise, x):
    """s + CHᵀr/σ² + ½ Σ (r_i r_j − S⁻¹_ij) ∇S_ij at one point of a mixture, with ∇S = σ⁴ H ∂J Hᵀ: (COND.8)."""
    s, J, third = curvatures(**widened(spec, sigma), x=x)
    C = sigma**2 * np.eye(len(x)) + sigma**4 * J
    P = np.linalg.inv(H @ C @ H.T + noise**2 * np.eye(len(H)))
    r = P @ (y - H @ (x + sigma**2 * s))
    slope = sigma**4 * np.einsum("mi,ijl,kj->mkl", H, third, H)                                # ∇S (m,m,d)
    return s + C @ H.T @ r / sigma**2 + 0.5 * np.einsum("mk,mkl->l", np.outer(r, r) - P, slope)


def fixed(at, sigma, H, y, noise, c, x):
    """The same for C = I/(1/σ² + 1/c²), which has no slope; at(x) is s, its Jacobian J, and perhaps more."""
    s, J = at(x)[:2]
    S = H @ H.T / (1 / sigma**2 + 1 / c**2) + noise**2 * np.eye(len(H))
    D, slope = x + sigma**2 * s, np.eye(len(x)) + sigma**2 * J
    return s + slope.T @ H.T @ np.linalg.inv(S) @ (y - H @ D)


def positive_part(A):
    """max(A, 0) of a symmetric (2,2), ½(A + √(A²)), by the square root of a matrix of order 2."""
    square = np.dot(A, A)
    root = np.sqrt(np.linalg.det(square))
    return 0.5 * (A + (square + root * np.eye(2)) / np.sqrt(np.trace(square) + 2 * root))


def differentiated(score, H, y, noise, sigma, x, part=lambda A: A):
    """∇ₓ of s's own −½ rᵀS⁻¹r − ½ log det S at one point, by autograd's operations, and s with it."""
    def log_likelihood(x):
        s, J = score(x), jacobian(score)(x)
        C = sigma**2 * np.eye(len(x)) + sigma**4 * (J + J.T) / 2
        S = part(np.dot(np.dot(H, C), H.T)) + noise**2 * np.eye(len(H))
        r = y - np.dot(H, x + sigma**2 * s)
        return -0.5 * np.dot(r, np.dot(np.linalg.inv(S), r)) - 0.5 * np.log(np.linalg.det(S))
    return score(x) + elementwise_grad(log_likelihood)(x)


def posterior():
    """Mixtures by hand, m = 1, 2 and d = 1, 2, 3; one Gaussian without noise; fixed covariance; a network."""
    settings = [("d2", MIXTURE, 1.5, H_2, 0.5, False), ("d2-rows", MIXTURE, 0.5, H_2, 0.25, True),
                ("d1", LINE, 0.75, np.array([[1.5]]), 0.5, True), ("d3", SPACE, 2.0, draw("H d3", 2, 3), 0.5, False),
                ("d3-one-row-of-H", SPACE, 0.25, draw("H d3 one", 1, 3), 1.0, True),
                ("d2-no-noise", TILTED, 0.5, np.array([[1.0, -0.5]]), 0.0, False)]
    for name, spec, sigma, H, noise, rows in settings:
        x, y = draw(f"x posterior {name}", N, H.shape[1], size=1.5), draw(f"y posterior {name}", *[N] * rows, len(H))
        inputs = {"score": {"kind": "smoothed_mixture", **spec}, "x": x, "sigma": sigma, "H": H, "y": y, "noise": noise}
        seen = np.broadcast_to(y, (N, len(H)))
        yield posterior_case(name, inputs, [by_hand(spec, sigma, H, y_n, noise, x_n) for x_n, y_n in zip(x, seen)],
                             flags=["without noise"] * (noise == 0))
        if name in ("d2", "d3"):
            at = partial(curvatures, *widened(spec, sigma).values())
            yield posterior_case(f"fixed-{name}", {**inputs, "sigma_data": 1.5},
                                 [fixed(at, sigma, H, y_n, noise, 1.5, x_n) for x_n, y_n in zip(x, seen)])
    params, sigma, H, noise = network("posterior net", [4, 5, 4, 3]), 0.5, draw("H net", 1, 3), 0.75
    x, y = draw("x posterior net", N, 3), draw("y posterior net", 1)
    at = lambda x: plain_noise_conditional(params, 0.75)(x[None], sigma)[0]
    inputs = {"score": {"kind": "noise_conditional_mlp", "params": params, "sigma_data": 0.75}, "x": x, "sigma": sigma,
              "H": H, "y": y, "noise": noise}
    yield posterior_case("d3-network", inputs, [differentiated(at, H, y, noise, sigma, x_n) for x_n in x], "autograd")
    H, seen = draw("H net two", 2, 3), draw("y net two", N, 2)
    inputs = {**inputs, "H": H, "y": seen}
    yield posterior_case("d3-two-rows-network", inputs, [
        differentiated(at, H, y_n, noise, sigma, x_n) for x_n, y_n in zip(x, seen)], "autograd",
        ["∂s/∂x is not symmetric: S takes its symmetric part"])
    yield posterior_case("fixed-d3-network", {**inputs, "sigma_data": 0.75}, [
        fixed(lambda x: (at(x), jacobian(at)(x)), sigma, H, y_n, noise, 0.75, x_n) for x_n, y_n in zip(x, seen)],
        "autograd")
    *layers, (W, b) = network("posterior net steep", [4, 8, 8, 3])
    inputs = {**inputs, "score": {**inputs["score"], "params": [*layers, (-16 * W, b)]}, "sigma": 2.0}
    at = partial(lambda net, x: net(x[None], 2.0)[0], plain_noise_conditional(inputs["score"]["params"], 0.75))
    yield posterior_case("d3-steep-network", inputs, [
        differentiated(at, H, y_n, noise, 2.0, x_n, positive_part) for x_n, y_n in zip(x, seen)], "autograd",
        ["H C Hᵀ has eigenvalues below 0, which are cut"])


def posterior_case(name, inputs, value, origin="closed form", flags=()):
    kind = "-mixture" if inputs["score"]["kind"] == "smoothed_mixture" else ""
    return case(f"conditional/posterior_score-{name}{kind}", "posterior_score", inputs, {"value": np.array(value)},
                origin, flags)


def conditional():
    yield from given()
    yield from posterior()


CHAPTERS = {"conditional": conditional}
