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

For two hidden layers the trace of ∂s/∂x has a closed form (ISM.9). With D_l = φ'(h_l), row n has

    (BP.7)  tr = D_1 B D_2ᵀ,   B = W_2 ∘ Gᵀ,   G = W_3 W_1
    (BP.8)  adds φ''(h_1) ∘ (t D_2 Bᵀ) to δ_1 and φ''(h_2) ∘ (t D_1 B) to δ_2,   t = ∂ℓ/∂tr
    (BP.9)  ∂ℓ/∂B = D_1ᵀ (t D_2) =: B̄, so that W_2 gets B̄ ∘ Gᵀ, W_3 gets Ḡ W_1ᵀ and W_1 gets W_3ᵀ Ḡ,
            Ḡ = (B̄ ∘ W_2)ᵀ

An energy (one output) has the gradient ∇E = φ'(h_1) ∘ (…) W_1ᵀ, that is (BP.4) from δ̇_L = 1 down to x.
For its own derivative, with the factor u from outside, use

    (BP.10) Σ_n u_nᵀ ∇E(x_n) = Σ_n (J_E u)_n

the right side is the tangent of E along u: (BP.3)–(BP.5) with v = u, δ_L = 0, δ̇_L = 1.

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


def rows(a):
    """(M,N,k) as (M·N,k)."""
    return a.reshape(-1, a.shape[-1])


def times(a, W):
    """a W for a of any number of leading axes, as one matrix product."""
    return np.dot(rows(a), W).reshape(*a.shape[:-1], W.shape[1])


def forward(params, x):
    """s (N,out) and the tape: the inputs a_{l−1} of all layers, the gates ς(h_l) of the hidden ones."""
    inputs, gates = [x], []
    for W, b in params[:-1]:
        h = np.dot(inputs[-1], W)                                            # (N,k)  (BP.1)
        h += b
        gate = 0.5 * h
        np.tanh(gate, out=gate)
        gate += 1
        gate *= 0.5
        h *= gate                                                            # (N,k)  (BP.1)
        inputs.append(h)
        gates.append(gate)
    W, b = params[-1]
    return np.dot(inputs[-1], W) + b, (inputs, gates)


def slopes(tape):
    """φ'(h_l) of the hidden layers, (N,k) each."""
    D = [1 - gate for gate in tape[1]]
    for D_l, a, gate in zip(D, tape[0][1:], tape[1]):
        D_l *= a
        D_l += gate                                                          # (N,k)  (BP.6)
    return D


def curvatures(tape, D):
    """φ''(h_l) of the hidden layers, (N,k) each."""
    C = [1 - a for a in tape[0][1:]]
    for C_l, gate, D_l in zip(C, tape[1], D):
        C_l *= gate
        C_l += D_l
        C_l *= 1 - gate                                                      # (N,k)  (BP.6)
    return C


def tangents(params, D, v):
    """Jv, and the tangents ȧ_{l−1} of the inputs and ḣ_l of the hidden layers."""
    a_dots, h_dots = [v], []
    for (W, _), D_l in zip(params[:-1], D):
        h_dots.append(times(a_dots[-1], W))                                  # (M,N,k)  (BP.2)
        a_dots.append(D_l * h_dots[-1])                                      # (M,N,k)  (BP.2)
    return times(a_dots[-1], params[-1][0]), a_dots, h_dots


def adjoints(params, D, g_dot):
    """δ̇_l of all layers, and δ̇_{l+1} W_{l+1}ᵀ of the hidden ones, from g_dot = δ̇_L."""
    deltas, pulls = [g_dot], []
    for (W, _), D_l in zip(params[:0:-1], D[::-1]):
        pulls.append(times(deltas[-1], W.T))                                 # (M,N,k)
        deltas.append(D_l * pulls[-1])                                       # (M,N,k)  (BP.4)
    return deltas[::-1], pulls[::-1]


def backward(params, tape, D, g, extra=None):
    """∂ℓ/∂(W_l, b_l) without the tangents' part, from g = δ_L; extra adds to δ_l of the hidden layers."""
    grads, ones = [], np.ones(len(g), g.dtype)
    for l in range(len(params) - 1, -1, -1):
        grads.append((np.dot(tape[0][l].T, g), np.dot(ones, g)))             # (BP.3)
        if l:
            g = np.dot(g, params[l][0].T)                                    # (N,k)
            g *= D[l - 1]                                                    # (N,k)  (BP.5)
            if extra:
                g += extra[l - 1]                                            # (N,k)  (BP.5) (BP.8)
    return grads[::-1]


def backward_tangents(params, tape, D, g, a_dots, h_dots, deltas, pulls):
    """∂ℓ/∂(W_l, b_l) of a loss of s and Jv."""
    extra = curvatures(tape, D)
    for C_l, h_dot, pull in zip(extra, h_dots, pulls):
        C_l *= np.einsum("mnk,mnk->nk", h_dot, pull)                         # (N,k)  (BP.5)
    grads = backward(params, tape, D, g, extra)
    for (dW, _), a_dot, delta in zip(grads, a_dots, deltas):
        dW += np.dot(rows(a_dot).T, rows(delta))                             # (in,out)  (BP.3)
    return grads


@primitive
def mlp(params, x, tape):
    """f(x) (N,out). tape is an empty list, filled here for the backward pass."""
    s, passed = forward(params, x)
    tape.append(passed)
    return s


@primitive
def mlp_jvp(params, x, v, tape):
    """s (N,d), and Jv like v, (N,d) or (M,N,d)."""
    s, passed = forward(params, x)
    D = slopes(passed)
    Jv, a_dots, h_dots = tangents(params, D, v.reshape(-1, *x.shape))
    tape += passed, D, a_dots, h_dots
    return s, Jv.reshape(v.shape)


@primitive
def mlp_trace(params, x, tape):
    """s (N,d) and tr ∂s/∂x (N,) for two hidden layers, at a cost free of d."""
    s, passed = forward(params, x)
    (W_1, _), (W_2, _), (W_3, _) = params
    D_1, D_2 = D = slopes(passed)
    G = np.dot(W_3, W_1)                                                     # (k,k)  (BP.7)
    B = W_2 * G.T                                                            # (k,k)  (BP.7)
    DB = np.dot(D_1, B)                                                      # (N,k)
    tape += passed, D, G, B, DB
    return s, np.einsum("nk,nk->n", DB, D_2)                                 # (N,)  (BP.7)


@primitive
def mlp_gradient(params, x, tape):
    """∇E(x) (N,d) of a network with one output."""
    _, passed = forward(params, x)
    D = slopes(passed)
    deltas, pulls = adjoints(params, D, np.ones((1, len(x), 1), x.dtype))
    tape += passed, D, deltas, pulls
    return np.dot(deltas[0][0], params[0][0].T)                              # (N,d)  (BP.4)


def mlp_vjp(argnums, ans, args, kwargs):
    passed, = kwargs["tape"]
    return lambda g: (backward(args[0], passed, slopes(passed), g),)


def mlp_jvp_vjp(argnums, ans, args, kwargs):
    passed, D, a_dots, h_dots = kwargs["tape"]

    def vjp(g):
        deltas, pulls = adjoints(args[0], D, g[1].reshape(-1, *g[0].shape))
        return backward_tangents(args[0], passed, D, g[0], a_dots, h_dots, deltas, pulls),
    return vjp


def mlp_trace_vjp(argnums, ans, args, kwargs):
    (W_1, _), (W_2, _), (W_3, _) = params = args[0]
    passed, D, G, B, DB = kwargs["tape"]

    def vjp(g):
        t = g[1][:, None]                                                    # (N,1)
        tD = t * D[1]                                                        # (N,k)
        c_1, c_2 = curvatures(passed, D)
        c_1 *= np.dot(tD, B.T)                                               # (N,k)  (BP.8)
        c_2 *= t * DB                                                        # (N,k)  (BP.8)
        (dW_1, db_1), (dW_2, db_2), (dW_3, db_3) = backward(params, passed, D, g[0], (c_1, c_2))
        dB = np.dot(D[0].T, tD)                                              # (k,k)  (BP.9)
        dG = (dB * W_2).T                                                    # (k,k)  (BP.9)
        return [(dW_1 + np.dot(W_3.T, dG), db_1), (dW_2 + dB * G.T, db_2),
                (dW_3 + np.dot(dG, W_1.T), db_3)],                           # (BP.9)
    return vjp


def mlp_gradient_vjp(argnums, ans, args, kwargs):
    passed, D, deltas, pulls = kwargs["tape"]

    def vjp(u):
        _, a_dots, h_dots = tangents(args[0], D, u[None])                    # (BP.10)
        zero = np.zeros((len(u), 1), u.dtype)
        return backward_tangents(args[0], passed, D, zero, a_dots, h_dots, deltas, pulls),
    return vjp


for operation, rule in [(mlp, mlp_vjp), (mlp_jvp, mlp_jvp_vjp),
                        (mlp_trace, mlp_trace_vjp), (mlp_gradient, mlp_gradient_vjp)]:
    defvjp_argnums(operation, rule)
