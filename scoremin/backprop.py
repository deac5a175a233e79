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

The last term is the mixed derivative ∂²s/∂x∂θ. With ς the sigmoid and a = hς the activation,

    (BP.6)  φ' = ς + a(1 − ς),   φ'' = (1 − ς)(φ' + ς(1 − a))

For two hidden layers the trace of ∂s/∂x has the closed form (ISM.13). Here D_l = φ'(h_l) is (N,k):

    (BP.7)  tr = Σ_k (D_1 B) ∘ D_2,   B = W_2 ∘ Gᵀ,   G = W_3 W_1
    (BP.8)  adds φ''(h_1) ∘ (t D_2 Bᵀ) to δ_1 and φ''(h_2) ∘ (t D_1 B) to δ_2,   t = ∂ℓ/∂tr
    (BP.9)  ∂ℓ/∂B = D_1ᵀ (t D_2) =: B̄, so that W_2 gets B̄ ∘ Gᵀ, W_3 gets Ḡ W_1ᵀ and W_1 gets W_3ᵀ Ḡ,
            Ḡ = (B̄ ∘ W_2)ᵀ

An energy (one output) has the gradient ∇E = φ'(h_1) ∘ (…) W_1ᵀ, that is (BP.4) from δ̇_L = 1 down to x.
For its own derivative, with the factor u from outside, use

    (BP.10) Σ_n u_nᵀ ∇E(x_n) = Σ_n (J_E u)_n

the right side is the tangent of E along u: (BP.3)–(BP.5) with v = u, δ_L = 0, δ̇_L = 1. (ISM and SSM
on an energy need third derivatives; there is no rule for them here.)

The forward pass fills a tape, the backward pass reads it. Where autograd differentiates in x, or a
second time in θ, these rules do not apply, and the network runs in plain autograd instead.
"""

import numpy as np
from autograd.extend import Box, VJPNode, defvjp_argnums, primitive


def by_hand(params, *arrays):
    """Whether the rules here apply: params not traced, or as a whole, in reverse and once; arrays not traced."""
    traced = isinstance(params, Box)
    value = params._value if traced else params
    inner = [value, *arrays, *(a for layer in value for a in layer)]
    return (not traced or isinstance(params._node, VJPNode)) and not any(isinstance(a, Box) for a in inner)


def with_pullback(function):
    """Make function(params, …) -> value, pullback an autograd operation. pullback takes the derivative
    of the loss in the value to its derivative in params."""
    @primitive
    def operation(params, *args, tape):
        value, pullback = function(params, *args)
        tape.append(pullback)
        return value

    defvjp_argnums(operation, lambda argnums, ans, args, kwargs: lambda g: (kwargs["tape"][0](g),))
    return lambda params, *args: operation(params, *args, tape=[])


def times(a, W):
    """a W for a (N,k) or (M,N,k). On two axes np.dot is the faster where one of them is short."""
    return np.dot(a, W) if a.ndim == 2 else a @ W


def rows(a):
    """(N,k) or (M,N,k) as (·,k)."""
    return a.reshape(-1, a.shape[-1])


def forward(params, x):
    """s, and what the backward pass needs: a_{l−1} of all layers, ς and φ' at h_l of the hidden ones."""
    inputs, gates, slopes = [x], [], []
    for W, b in params[:-1]:
        h = np.dot(inputs[-1], W) + b                                        # (N,k)  (BP.1)
        gates.append(0.5 * (1 + np.tanh(0.5 * h)))
        inputs.append(h * gates[-1])                                         # (N,k)  (BP.1)
        slopes.append(gates[-1] + inputs[-1] * (1 - gates[-1]))              # (N,k)  (BP.6)
    W, b = params[-1]
    return np.dot(inputs[-1], W) + b, (inputs, gates, slopes)


def curvatures(inputs, gates, slopes):
    """φ'' at h_l of the hidden layers."""
    return [(1 - gate) * (slope + gate * (1 - a)) for a, gate, slope in zip(inputs[1:], gates, slopes)]  # (BP.6)


def tangents(params, slopes, v):
    """Jv, and ȧ_{l−1} of all layers, ḣ_l of the hidden ones, for v (N,d) or (M,N,d)."""
    a_dots, h_dots = [v], []
    for (W, _), slope in zip(params, slopes):
        h_dots.append(times(a_dots[-1], W))                                  # like v  (BP.2)
        a_dots.append(slope * h_dots[-1])                                    # like v  (BP.2)
    return times(a_dots[-1], params[-1][0]), (a_dots, h_dots)


def adjoints(params, slopes, g):
    """δ̇_l of all layers, δ̇_{l+1} W_{l+1}ᵀ of the hidden ones, from g = δ̇_L."""
    deltas, pulls = [g], []
    for (W, _), slope in zip(params[:0:-1], slopes[::-1]):
        pulls.append(times(deltas[-1], W.T))                                 # like g
        deltas.append(slope * pulls[-1])                                     # like g  (BP.4)
    return deltas[::-1], pulls[::-1]


def backward(params, tape, g, extra=None):
    """∂ℓ/∂(W_l, b_l) from g = δ_L; extra is what else δ_l of the hidden layers receives."""
    (inputs, _, slopes), grads, ones = tape, [], np.ones(len(g), g.dtype)
    for l in reversed(range(len(params))):
        grads.append((np.dot(inputs[l].T, g), np.dot(ones, g)))              # (BP.3)
        if l:
            g = np.dot(g, params[l][0].T)                                    # (N,k)
            g *= slopes[l - 1]                                               # (N,k)  (BP.5)
            if extra:
                g += extra[l - 1]                                            # (N,k)  (BP.5) (BP.8)
    return grads[::-1]


def backward_tangents(params, tape, g, lifted, dual):
    """The same for a loss that depends on tangents too; lifted and dual come from tangents and adjoints."""
    extra = curvatures(*tape)
    for C, h_dot, pull in zip(extra, lifted[1], dual[1]):
        C *= h_dot * pull if pull.ndim == 2 else np.sum(h_dot * pull, axis=0)  # (N,k)  (BP.5)
    grads = backward(params, tape, g, extra)
    for (dW, _), a_dot, delta in zip(grads, lifted[0], dual[0]):
        dW += np.dot(rows(a_dot).T, rows(delta))                             # (in,out)  (BP.3)
    return grads


@with_pullback
def mlp(params, x):
    """f(x) (N,out)."""
    s, tape = forward(params, x)
    return s, lambda g: backward(params, tape, g)


@with_pullback
def mlp_jvp(params, x, v):
    """s (N,d), and Jv like v, (N,d) or (M,N,d)."""
    s, tape = forward(params, x)
    Jv, lifted = tangents(params, tape[2], v)
    return (s, Jv), lambda g: backward_tangents(params, tape, g[0], lifted, adjoints(params, tape[2], g[1]))


@with_pullback
def mlp_gradient(params, x):
    """∇E(x) (N,d) of a network with one output."""
    E, tape = forward(params, x)
    dual = adjoints(params, tape[2], np.ones_like(E))

    def pullback(u):
        lifted = tangents(params, tape[2], u)[1]                             # (BP.10)
        return backward_tangents(params, tape, np.zeros_like(E), lifted, dual)
    return np.dot(dual[0][0], params[0][0].T), pullback                      # (N,d)  (BP.4)


@with_pullback
def mlp_trace(params, x):
    """s (N,d) and tr ∂s/∂x (N,) for two hidden layers, at a cost free of d."""
    s, tape = forward(params, x)
    (W_1, _), (W_2, _), (W_3, _) = params
    D_1, D_2 = tape[2]
    G = W_3 @ W_1                                                            # (k,k)  (BP.7)
    B = W_2 * G.T                                                            # (k,k)  (BP.7)
    DB = D_1 @ B                                                             # (N,k)

    def pullback(g):
        t = g[1][:, None]                                                    # (N,1)
        C_1, C_2 = curvatures(*tape)
        grads = backward(params, tape, g[0], (C_1 * (t * D_2 @ B.T), C_2 * t * DB))  # (BP.8)
        dB = D_1.T @ (t * D_2)                                               # (k,k)  (BP.9)
        dG = (dB * W_2).T                                                    # (k,k)  (BP.9)
        for (dW, _), more in zip(grads, (W_3.T @ dG, dB * G.T, dG @ W_1.T)):
            dW += more                                                       # (in,out)  (BP.9)
        return grads
    return (s, np.einsum("nk,nk->n", DB, D_2)), pullback                     # (N,)  (BP.7)
