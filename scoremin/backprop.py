"""Engine room: backpropagation by hand (BP), and the operations that autograd records.

How does a loss change with each weight? The chain rule answers, layer by layer from the output back, and does so again
where the loss contains derivatives of the network, as those of ISM and SSM do. Autograd pays a fixed price for every
operation it records; here the whole network is one, with a rule of its own, which a port to a language without nested
automatic differentiation needs too. Here l = 1 … L counts layers, and dots are derivatives along v.

Values, and tangents along v (N,d), or M of them (M,N,d), by the product and chain rules:

    (BP.1)  y_l = a_{l−1} W_l + b_l,   a_l = φ(y_l),              a_0 = x,   s = y_L
    (BP.2)  ẏ_l = ȧ_{l−1} W_l,         ȧ_l = φ'(y_l) ∘ ẏ_l,       ȧ_0 = v,   Jv = ẏ_L

Let a loss ℓ depend on s and Jv, and write δ_l = ∂ℓ/∂y_l, δ̇_l = ∂ℓ/∂ẏ_l; the start, δ_L = ∂ℓ/∂s and δ̇_L = ∂ℓ/∂(Jv), is
what autograd hands over. A weight enters (BP.1) and (BP.2) once each:

    (BP.3)  ∂ℓ/∂W_l = a_{l−1}ᵀ δ_l + ∑_M ȧ_{l−1}ᵀ δ̇_l,   ∂ℓ/∂b_l = ∑_N δ_l

where ∑_M and ∑_N are sums over probes and rows. A tangent ȧ_l enters only ẏ_{l+1}; but y_l enters a_l and, through
φ'(y_l), every ȧ_l:

    (BP.4)  δ̇_l = φ'(y_l) ∘ (δ̇_{l+1} W_{l+1}ᵀ)
    (BP.5)  δ_l = φ'(y_l) ∘ (δ_{l+1} W_{l+1}ᵀ) + φ''(y_l) ∘ ∑_M ẏ_l ∘ (δ̇_{l+1} W_{l+1}ᵀ)

(BP.4) is (BP.2) with the layers in reverse order and the weights transposed. The dotted terms of (BP.3) and (BP.5)
together are the mixed derivative ∂²s/∂x∂θ. With ς the sigmoid and a = yς the activation,

    (BP.6)  φ' = ς + a(1 − ς),   φ'' = (1 − ς)(2φ' − a)

For two hidden layers the trace of ∂s/∂x has the closed form (ISM.13). With φ'_l = φ'(y_l), (N,k),

    (BP.7)  tr = ∑_k ((φ'_1 B) ∘ φ'_2),   B = W_2 ∘ G,   G = (W_3 W_1)ᵀ
    (BP.8)  adds φ''(y_1) ∘ (t ∘ φ'_2 Bᵀ) to δ_1 and φ''(y_2) ∘ (t ∘ φ'_1 B) to δ_2,   t = ∂ℓ/∂tr a column
    (BP.9)  ∂ℓ/∂B = φ'_1ᵀ (t ∘ φ'_2) =: B̄, so that W_2 gets B̄ ∘ G, W_3 gets Ḡᵀ W_1ᵀ and W_1 gets W_3ᵀ Ḡᵀ,
            Ḡ = B̄ ∘ W_2

An energy (one output) has the gradient ∇E = (φ'(y_1) ∘ (…)) W_1ᵀ, that is (BP.4) from δ̇_L = 1 down to x. For its own
derivative, with a field v of the shape of x from outside, use

    (BP.10) ∑_N vᵀ∇E(x) = ∑_N J_E v

the right side is the tangent of E along v: (BP.3)–(BP.5) with δ_L = 0, δ̇_L = 1. What each objective hands over at the
output, with N rows and M probes, as s_± in (SSM.11), and zero where nothing is said:

    (BP.11) explicit            δ_L = (s − target)/N
            implicit            δ_L = s/N,   t = 1/N
            SSM                 δ_L = ∑_M v(vᵀs)/NM,   δ̇_L = v/NM
            SSM-VR              δ_L = s/N,   δ̇_L = v/NM
            finite differences  δ_L = (¼(s_+ + s_−) ± v/2r)/N at x ± rv
            denoising           δ_L = (s + z/σ)/N at x̃
            control variate     δ_L = (s + z/σ)/N at x̃,   −z/σN at x   (DSM.13)
            NCSN                δ_L = σ(σs + z)/N at x̃

For an energy, s = −∇E: ∂ℓ/∂θ is that of (BP.10) with v = −∂ℓ/∂s, at the points of the list; and where t or δ̇_L is in
it, that of second derivatives of E beside, as tr ∂s/∂x = −∑_j e_jᵀ∂²E e_j and vᵀJv = −vᵀ∂²E v. There is no rule for
them here (autograd's own operations do it), but a port may need it. For directions p and q, with subscripts for the
tangents along them, ä and ÿ second derivatives along both, all at layer l where no index is written,

    (BP.12) ä_l = φ'' ∘ ẏ_p ∘ ẏ_q + φ' ∘ ÿ_l,   ÿ_l = ä_{l−1} W_l,   ä_0 = 0,   pᵀ∂²E q = ÿ_L

and back, from δ_pq = ∂ℓ/∂ÿ_L and zeros, writing ḡ = δ W_{l+1}ᵀ of the layer above for each of the four adjoints, and ∑
for the sum over pairs p, q: for implicit p = q = e_1 … e_d with δ_pq = −1/N, for SSM p = q = each v with −1/NM,

    (BP.13) δ_pq = φ' ∘ ḡ_pq,   δ_p = φ' ∘ ḡ_p + φ'' ∘ ẏ_q ∘ ḡ_pq,   δ_q = φ' ∘ ḡ_q + φ'' ∘ ẏ_p ∘ ḡ_pq
            δ = φ' ∘ ḡ + ∑ φ'' ∘ (ẏ_p ∘ ḡ_p + ẏ_q ∘ ḡ_q + ÿ ∘ ḡ_pq) + ∑ φ''' ∘ ẏ_p ∘ ẏ_q ∘ ḡ_pq
    (BP.14) ∂ℓ/∂W_l = aᵀδ + ∑ ȧ_pᵀδ_p + ∑ ȧ_qᵀδ_q + ∑ äᵀδ_pq, with a, ȧ, ä at layer l − 1,   ∂ℓ/∂b_l = ∑_N δ
            φ''' = (1 − ς)(2φ'' − φ') − ς(1 − ς)(2φ' − a)

The forward pass fills a tape, the backward pass reads it. Where nothing is traced there is no tape, and rows go through
the network in blocks that stay in the cache. Where autograd differentiates in x, or a second time in θ, the rules do
not apply, and the network runs in autograd's own operations.
"""

import threading
from collections import namedtuple

import numpy as np
from autograd.builtins import tuple as sequence
from autograd.core import make_vjp
from autograd.extend import Box, VJPNode, defjvp, defvjp, primitive
from autograd.tracer import getval

BLOCK = 2**17  # bytes of one layer's activations in a block of rows

# On some processors (measured: AMD Zen, OpenBLAS 0.3.31) every product is two to three times slower in a process that
# has not yet made a large one. This takes ten milliseconds, once.
np.dot(np.zeros((768, 384), np.float32), np.zeros((384, 512), np.float32))
# One large array, allocated and freed: glibc then keeps smaller ones for the next step, with no page faults.
np.empty(2**25 - 2**16, np.uint8)

# Autograd keeps one stack of what it traces for all threads: one at a time may trace.
TRACING = threading.RLock()


@primitive
@np.errstate(over="ignore")
def cast(a, dtype):
    """a in another precision; autograd's own astype has no forward mode."""
    return a.astype(dtype)


defvjp(cast, lambda ans, a, dtype: lambda g: cast(g, a.dtype))
defjvp(cast, lambda g, ans, a, dtype: cast(g, dtype))

# How a function of the parameters is evaluated.


def traced(params, *arrays):
    """Whether autograd traces anything here."""
    return any(isinstance(a, Box) for a in [params, *arrays, *(a for layer in getval(params) for a in layer)])


def by_hand(params, *arrays):
    """Whether the rules here apply: params traced as a whole, in reverse and once; arrays not traced."""
    return isinstance(params, Box) and isinstance(params._node, VJPNode) and not traced(params._value, *arrays)


def in_blocks(f, params, *arrays):
    """f(params, *arrays), one array or a pair, for blocks of rows small enough for the cache."""
    stack, n = max(a.shape[0] if a.ndim == 3 else 1 for a in arrays), len(arrays[0])
    rows = max(16, BLOCK // (arrays[0].itemsize * stack * max(W.shape[1] for W, _ in params)))
    if n <= rows:
        return f(params, *arrays)
    blocks = [f(params, *(a[..., i:i + rows, :] for a in arrays)) for i in range(0, n, rows)]
    if not isinstance(blocks[0], tuple):
        return np.concatenate(blocks)
    return tuple(np.concatenate(part, axis=max(0, part[0].ndim - 2)) for part in zip(*blocks))


def evaluate(plain, rule, params, *arrays):
    """plain(params, *arrays), one array or a pair, whose values and pullback rule gives faster where it applies."""
    if not traced(params, *arrays):
        return in_blocks(lambda params, *arrays: rule(params, *arrays)[0], params, *arrays)
    params = params if isinstance(params, Box) else sequence(map(sequence, params))  # one box, where pieces are traced
    if not by_hand(params, *arrays):
        return plain(params, *arrays)
    values, pullback = rule(getval(params), *arrays)
    on_tape = recorded(params, values, pullback, lambda params: plain(params, *arrays))
    return (on_tape[0], on_tape[1]) if isinstance(values, tuple) else on_tape


@primitive
def recorded(params, values, pullback, plain):
    """values, one array or a pair, as a function of params."""
    return values


def recorded_rule(ans, params, values, pullback, plain):
    """∂ℓ/∂values to ∂ℓ/∂params, by pullback; where that is traced too, by plain, the same in autograd's operations."""
    pair = isinstance(values, tuple)

    @np.errstate(all="ignore")
    def rule(g):
        if any(isinstance(part, Box) for part in ([g, *g] if pair else [g])):
            return make_vjp(lambda params: sequence(plain(params)) if pair else plain(params), params)[0](g)
        return pullback(*g) if pair else pullback(g)
    return rule


defvjp(recorded, recorded_rule)

# The network.


Tape = namedtuple("Tape", "weights inputs rests slopes")  # W_l, a_{l−1} of all layers; 1 − ς, φ' of the hidden ones


def times(a, W):
    """a W for a (N,k) or (M,N,k). matmul is slow where k = 1, np.dot on three axes."""
    return np.dot(a, W) if a.ndim == 2 else a @ W


@np.errstate(over="ignore")  # e^−y may be infinite, and ς is 0 then
def forward(params, x):
    """s, and the tape for the way back."""
    inputs, rests, slopes = [x], [], []
    for W, b in params[:-1]:
        y = np.dot(inputs[-1], W) + b                                        # (N,k)  (BP.1)
        gate = 1 / (1 + np.exp(-y))                                          # (N,k)
        inputs.append(y * gate)                                              # (N,k)  (BP.1)
        rests.append(1 - gate)
        slopes.append(gate + inputs[-1] * rests[-1])                         # (N,k)  (BP.6)
    W, b = params[-1]
    return np.dot(inputs[-1], W) + b, Tape([W for W, _ in params], inputs, rests, slopes)


def backward(tape, delta, bends=(), more=()):
    """∂ℓ/∂(W_l, b_l) from δ_L; bends adds to δ_l of the hidden layers, more to ∂ℓ/∂W_l."""
    grads, ones = [], np.ones(len(delta), delta.dtype)
    for l in reversed(range(len(tape.weights))):
        dW = np.dot(tape.inputs[l].T, delta)                                 # (in,out)  (BP.3)
        grads.append((dW + more[l] if more else dW, np.dot(ones, delta)))    # (in,out) (out,)  (BP.3) (BP.9)
        if l:
            delta = np.dot(delta, tape.weights[l].T) * tape.slopes[l - 1]    # (N,k)  (BP.5)
        if l and bends:
            delta += bends[l - 1]                                            # (N,k)  (BP.5) (BP.8)
    return grads[::-1]


def curvatures(tape):
    """φ'' at y_l of the hidden layers."""
    return [rest * (2 * slope - a) for a, rest, slope in zip(tape.inputs[1:], tape.rests, tape.slopes)]  # (BP.6)


def linearised(weights, slopes, v):
    """v (N,d) or (M,N,d) through the linearised layers: what comes before each W, and after each but the last."""
    before, after = [v], []
    for W, slope in zip(weights, slopes):
        after.append(times(before[-1], W))                                   # like v  (BP.2) (BP.4)
        before.append(slope * after[-1])                                     # like v  (BP.2) (BP.4)
    return before, after


def push(tape, v):
    """A tangent from the input on: ȧ_{l−1} of all layers and ẏ_l of the hidden ones, from ȧ_0 = v."""
    return linearised(tape.weights, tape.slopes, v)


def pull(tape, delta):
    """An adjoint from the output back: δ̇_l of all layers and δ̇_{l+1} W_{l+1}ᵀ of the hidden ones, from δ̇_L."""
    deltas, pulls = linearised([W.T for W in tape.weights[::-1]], tape.slopes[::-1], delta)
    return deltas[::-1], pulls[::-1]


def mixed(tape, tangents, adjoints):
    """What tangents, from push, and their adjoints, from pull, add to δ_l of the hidden layers and to ∂ℓ/∂W_l."""
    (a_dots, y_dots), (deltas, pulls), bends = tangents, adjoints, curvatures(tape)
    for bend, y_dot, back in zip(bends, y_dots, pulls):
        bend *= y_dot * back if back.ndim == 2 else np.sum(y_dot * back, axis=0)  # (N,k)  (BP.5)
    flat = lambda a: a.reshape(-1, a.shape[-1])                              # (N,k) or (MN,k)
    return bends, [np.dot(flat(a_dot).T, flat(delta)) for a_dot, delta in zip(a_dots, deltas)]  # (in,out)  (BP.3)


def mlp(params, x):
    """f(x) (N,out), and its pullback."""
    s, tape = forward(params, x)
    return s, lambda g: backward(tape, g)


def mlp_jvp(params, x, v):
    """s (N,d) and Jv like v, (N,d) or (M,N,d), and their pullback."""
    s, tape = forward(params, x)
    tangents = push(tape, v)
    Jv = times(tangents[0][-1], tape.weights[-1])                            # like v  (BP.2)
    return (s, Jv), lambda g, g_dot: backward(tape, g, *mixed(tape, tangents, pull(tape, g_dot)))


def mlp_gradient(params, x):
    """∇E(x) (N,d) of a network with one output, and its pullback."""
    E, tape = forward(params, x)
    adjoints = pull(tape, np.ones_like(E))
    gradient = np.dot(adjoints[0][0], tape.weights[0].T)                     # (N,d)  (BP.4)
    return gradient, lambda v: backward(tape, np.zeros_like(E), *mixed(tape, push(tape, v), adjoints))  # (BP.10)


def mlp_trace(params, x):
    """s (N,d) and tr ∂s/∂x (N,) for two hidden layers, at a cost free of d, and their pullback."""
    s, tape = forward(params, x)
    (W_1, W_2, W_3), (slope_1, slope_2) = tape.weights, tape.slopes
    G = np.dot(W_1.T, W_3.T)                                                 # (k,k)  (BP.7)
    B = W_2 * G                                                              # (k,k)  (BP.7)
    through = np.dot(slope_1, B)                                             # (N,k)

    def pullback(g, t):
        bend_1, bend_2 = curvatures(tape)
        weighted = t[:, None] * slope_2                                      # (N,k)
        dB = np.dot(slope_1.T, weighted)                                     # (k,k)  (BP.9)
        dG = dB * W_2                                                        # (k,k)  (BP.9)
        bends = bend_1 * np.dot(weighted, B.T), bend_2 * (t[:, None] * through)  # (N,k)  (BP.8)
        more = np.dot(W_3.T, dG.T), dB * G, np.dot(dG.T, W_1.T)              # (in,out)  (BP.9)
        return backward(tape, g, bends, more)
    return (s, np.einsum("nk,nk->n", through, slope_2)), pullback            # (N,d) (N,)  (BP.7)
