"""Backpropagation by hand (BP): all derivatives of the MLP that training needs, as autograd rules.

Autograd pays a fixed price for every array operation it records, and ISM and SSM record derivatives
of derivatives. Here the whole network is one operation with a rule of its own. The rules are worth
reading for their own sake: every port to a language without nested automatic differentiation needs
them. Matrices have rows as samples; ∘ is the elementwise product; l = 1 … L counts layers.

Values, and tangents along v (N,d), or M of them (M,N,d), by the product and chain rules:

    (BP.1)  h_l = a_{l−1} W_l + b_l,   a_l = φ(h_l),            a_0 = x,   s = h_L
    (BP.2)  ḣ_l = ȧ_{l−1} W_l,         ȧ_l = φ'(h_l) ∘ ḣ_l,     ȧ_0 = v,   Jv = ḣ_L

Let a loss ℓ depend on s and Jv, and write δ_l = ∂ℓ/∂h_l, δ̇_l = ∂ℓ/∂ḣ_l; the start, δ_L = ∂ℓ/∂s and
δ̇_L = ∂ℓ/∂(Jv), is what autograd hands over. A weight enters (BP.1) and (BP.2) once each:

    (BP.3)  ∂ℓ/∂W_l = a_{l−1}ᵀ δ_l + Σ_m ȧ_{l−1}ᵀ δ̇_l,   ∂ℓ/∂b_l = Σ_n δ_l

A tangent ȧ_l enters only ḣ_{l+1}; but h_l enters a_l and, through φ'(h_l), every ȧ_l:

    (BP.4)  δ̇_l = φ'(h_l) ∘ δ̇_{l+1} W_{l+1}ᵀ
    (BP.5)  δ_l = φ'(h_l) ∘ δ_{l+1} W_{l+1}ᵀ + φ''(h_l) ∘ Σ_m ḣ_l ∘ (δ̇_{l+1} W_{l+1}ᵀ)

(BP.4) is (BP.2) with the layers in reverse order and the weights transposed. The last term of (BP.5) is
the mixed derivative ∂²s/∂x∂θ. With ς the sigmoid and a = hς the activation,

    (BP.6)  φ' = ς + a(1 − ς),   φ'' = (1 − ς)(2φ' − a)

For two hidden layers the trace of ∂s/∂x has the closed form (ISM.13). Here D_l = φ'(h_l) is (N,k):

    (BP.7)  tr = Σ_k (D_1 B) ∘ D_2,   B = W_2 ∘ G,   G = (W_3 W_1)ᵀ
    (BP.8)  adds φ''(h_1) ∘ (t D_2 Bᵀ) to δ_1 and φ''(h_2) ∘ (t D_1 B) to δ_2,   t = ∂ℓ/∂tr
    (BP.9)  ∂ℓ/∂B = D_1ᵀ (t D_2) =: B̄, so that W_2 gets B̄ ∘ G, W_3 gets Ḡᵀ W_1ᵀ and W_1 gets W_3ᵀ Ḡᵀ,
            Ḡ = B̄ ∘ W_2

An energy (one output) has the gradient ∇E = φ'(h_1) ∘ (…) W_1ᵀ, that is (BP.4) from δ̇_L = 1 down to x.
For its own derivative, with the factor u from outside, use

    (BP.10) Σ_n u_nᵀ ∇E(x_n) = Σ_n (J_E u)_n

the right side is the tangent of E along u: (BP.3)–(BP.5) with v = u, δ_L = 0, δ̇_L = 1. (ISM and SSM
on an energy need third derivatives; there is no rule for them here.)

The forward pass fills a tape, the backward pass reads it. Where autograd differentiates in x, or a
second time in θ, these rules do not apply, and the network runs in plain autograd instead.
"""

import numpy as np
from autograd.extend import Box, VJPNode, defvjp, primitive
from autograd.tracer import getval


def by_hand(params, *arrays):
    """Whether the rules here apply: params not traced, or as a whole, in reverse and once; arrays not traced."""
    once, value = True, params
    if isinstance(params, Box):
        once, value = isinstance(params._node, VJPNode), params._value
    return once and not any(isinstance(a, Box) for a in [value, *arrays, *(a for layer in value for a in layer)])


@primitive
def known(params, value, pullback):
    """value as a function of params, whose pullback takes ∂ℓ/∂value to ∂ℓ/∂params."""
    return value


@primitive
def beside(s, other, late):
    """other, which was computed along with s, as a function of s: its derivative waits in late for that of s."""
    return other


defvjp(known, lambda ans, params, value, pullback: pullback)
defvjp(beside, lambda ans, s, other, late: lambda g: late.append(g) or np.zeros_like(s))


def pair(params, s, other, pullback):
    """s and other as functions of params, s the smaller; pullback takes both derivatives. That of other comes first."""
    late = []  # stays empty if the loss makes no use of other
    s = known(params, s, lambda g: pullback(g, late[-1] if late else np.zeros_like(other)))
    return s, beside(s, other, late)


def times(a, W):
    """a W for a (N,k) or (M,N,k). matmul is slow where k = 1, np.dot on three axes."""
    return np.dot(a, W) if a.ndim == 2 else a @ W


def forward(params, x):
    """s, and the tape for the way back: W_l, a_{l−1} of all layers, 1 − ς and φ' at h_l of the hidden ones."""
    inputs, rests, slopes = [x], [], []
    for W, b in params[:-1]:
        h = np.dot(inputs[-1], W)
        h += b                                                               # (N,k)  (BP.1)
        gate = np.tanh(0.5 * h)
        gate += 1
        gate *= 0.5
        inputs.append(h * gate)                                              # (N,k)  (BP.1)
        rests.append(1 - gate)
        gate += inputs[-1] * rests[-1]
        slopes.append(gate)                                                  # (N,k)  (BP.6)
    W, b = params[-1]
    return np.dot(inputs[-1], W) + b, ([W for W, _ in params], inputs, rests, slopes)


def backward(tape, g, extra=(), more=()):
    """∂ℓ/∂(W_l, b_l) from g = δ_L; extra adds to δ_l of the hidden layers, more to ∂ℓ/∂W_l."""
    (weights, inputs, _, slopes), grads, ones = tape, [], np.ones(len(g), g.dtype)
    for l in reversed(range(len(weights))):
        dW = np.dot(inputs[l].T, g)                                          # (in,out)  (BP.3)
        if more:
            dW += more[l]                                                    # (in,out)  (BP.3) (BP.9)
        grads.append((dW, np.dot(ones, g)))                                  # (out,)  (BP.3)
        if l:
            g = np.dot(g, weights[l].T)                                      # (N,k)
            g *= slopes[l - 1]                                               # (N,k)  (BP.5)
        if l and extra:
            g += extra[l - 1]                                                # (N,k)  (BP.5) (BP.8)
    return grads[::-1]


def curvatures(tape):
    """φ'' at h_l of the hidden layers."""
    _, inputs, rests, slopes = tape
    return [rest * (2 * slope - a) for a, rest, slope in zip(inputs[1:], rests, slopes)]  # (N,k)  (BP.6)


def carry(weights, slopes, v):
    """v (N,d) or (M,N,d) through the linearised layers: what comes before each W, and after each but the last."""
    before, after = [v], []
    for W, slope in zip(weights, slopes):
        after.append(times(before[-1], W))                                   # like v  (BP.2) (BP.4)
        before.append(slope * after[-1])                                     # like v  (BP.2) (BP.4)
    return before, after


def forth(tape, v):
    """ȧ_{l−1} of all layers and ḣ_l of the hidden ones, from ȧ_0 = v."""
    weights, _, _, slopes = tape
    return carry(weights, slopes, v)


def back(tape, g):
    """δ̇_l of all layers and δ̇_{l+1} W_{l+1}ᵀ of the hidden ones, from δ̇_L = g, the last layer first."""
    weights, _, _, slopes = tape
    return carry([W.T for W in weights[::-1]], slopes[::-1], g)


def mixed(tape, lifted, dual):
    """What tangents, from forth, and their adjoints, from back, add to δ_l of the hidden layers and to ∂ℓ/∂W_l."""
    (a_dots, h_dots), (deltas, pulls), extra = lifted, dual, curvatures(tape)
    for C, h_dot, pull in zip(extra, h_dots, pulls[::-1]):
        C *= h_dot * pull if pull.ndim == 2 else np.sum(h_dot * pull, axis=0)  # (N,k)  (BP.5)
    flat = lambda a: a.reshape(-1, a.shape[-1])                              # (N,k) or (MN,k)
    return extra, [np.dot(flat(a_dot).T, flat(delta)) for a_dot, delta in zip(a_dots, deltas[::-1])]  # (in,out)  (BP.3)


def mlp(params, x):
    """f(x) (N,out)."""
    s, tape = forward(getval(params), x)
    return known(params, s, lambda g: backward(tape, g))


def mlp_jvp(params, x, v):
    """s (N,d), and Jv like v, (N,d) or (M,N,d)."""
    s, tape = forward(getval(params), x)
    lifted = forth(tape, v)
    Jv = times(lifted[0][-1], tape[0][-1])                                   # like v  (BP.2)
    return pair(params, s, Jv, lambda g, g_dot: backward(tape, g, *mixed(tape, lifted, back(tape, g_dot))))


def mlp_gradient(params, x):
    """∇E(x) (N,d) of a network with one output."""
    E, tape = forward(getval(params), x)
    dual = back(tape, np.ones_like(E))
    gradient = np.dot(dual[0][-1], tape[0][0].T)                             # (N,d)  (BP.4)
    return known(params, gradient, lambda u:
                 backward(tape, np.zeros_like(E), *mixed(tape, forth(tape, u), dual)))  # (BP.10)


def mlp_trace(params, x):
    """s (N,d) and tr ∂s/∂x (N,) for two hidden layers, at a cost free of d."""
    s, tape = forward(getval(params), x)
    (W_1, W_2, W_3), _, _, (D_1, D_2) = tape
    G = np.dot(W_1.T, W_3.T)                                                 # (k,k)  (BP.7)
    B = W_2 * G                                                              # (k,k)  (BP.7)
    DB = np.dot(D_1, B)                                                      # (N,k)

    def pullback(t, g):
        C_1, C_2 = curvatures(tape)
        tD = t[:, None] * D_2                                                # (N,k)
        dB = np.dot(D_1.T, tD)                                               # (k,k)  (BP.9)
        dG = dB * W_2                                                        # (k,k)  (BP.9)
        extra = C_1 * np.dot(tD, B.T), C_2 * (t[:, None] * DB)               # (N,k)  (BP.8)
        more = np.dot(W_3.T, dG.T), dB * G, np.dot(dG.T, W_1.T)              # (in,out)  (BP.9)
        return backward(tape, g, extra, more)
    return pair(params, np.einsum("nk,nk->n", DB, D_2), s, pullback)[::-1]   # (N,)  (BP.7)
