"""Mathematics written in one line of Unicode, set as MathML: no font, no script, no library.

    pieces("½‖s‖² + tr ∂s/∂x = c where x > 1")      math, math, text, math: lines may break between them

A text becomes tokens; runs of those that are no language become rows of nodes, and these MathML. A slash without spaces
divides the factors that touch it, one with spaces all factors of its term. Brackets around the whole of a numerator, a
denominator, an exponent or a root are left out, no others. What cannot be read as mathematics stays as it was written.
"""

import html
import re
from collections import deque, namedtuple
from itertools import pairwise
from unicodedata import normalize

words = str.split
FUNCTIONS = {*words("log exp det tr min max median cos sin tanh asinh Var Cov KL ED")}
NAMES = {*words("step steps ridge prior shift scale target noise ratio const")}
SHORT_WORDS = {*words("of in to at is if so by on or as be no it up an we us do eq vs de et al VE VP FD")}
TWO_LETTERS = {*words("Jv dx dt du dw")}  # mathematics wherever they stand
AFTER_A_LETTER = {*words("and or is are has have of with by at to from in for on as the")}  # "a and b", not "a sum"
RELATIONS, SIGNS = {*words("= =: < > ≤ ≥ ≈ ∼ → ← ∝ ≠ ≪ ≫ ∈ ≡ ⇒")}, set("+−±")
OPERATORS = RELATIONS | SIGNS | set("∘·×")
OPEN, CLOSE, BARS = set("([{"), set(")]}"), set("‖|")
PUNCTUATION, TEXT = set(",;:."), set('"?!%–—-&’“”`^_')
FRACTIONS = "½⅓¼⅛"
ACCENTS = {"\u0303": "˜", "\u0302": "ˆ", "\u0304": "¯", "\u0307": "˙", "\u0308": "¨"}
LANGUAGE, SCRIPTS = ("word", "opaque", "text"), ("sub", "sup", "mark")
RUN = rf"(?:[A-Za-z0-9{FRACTIONS}∞\u0370-\u03ff][\u0300-\u036f]*)+(?:-[A-Z]+)*"
GROUP = r"\{[^{}]*\}|\((?:[^()]|\([^()]*\))*\)"
TOKEN = rf"""(?P<text>->|\d-D\b|'s\b)|_(?P<sub>{GROUP}|[+−±]|{RUN}'*)|\^(?P<sup>{GROUP}|[−-]?{RUN})
    |(?P<low>[₀-₉₊₋]+)|(?P<high>[⁰¹²³⁴-⁹⁺⁻ᵏⁿ]+)|(?P<mark>'+|ᵀ|(?<=θ)\*)|(?P<number>\d*\.?\d+|[{FRACTIONS}])
    |(?P<word>[A-Za-z]-[a-z]{{2,}}|[A-Za-z]{{3,}}\d+|[A-Za-zÀ-ÿ]{{2,}}(?![\u0300-\u036f])(?:['’-][A-Za-zÀ-ÿ]+)*)
    |(?P<letter>[^\W\d_][\u0300-\u036f]*|[∇∂…∞∑∫√\#]|\|(?=_))|(?P<slash>/)|(?P<op>=:|[^\s\w]|_)"""
Token = namedtuple("Token", "kind text space source")  # space: whether one stands before it
Node = namedtuple("Node", "kind token parts")  # its first token; parts: rows, which are lists of nodes


# Tokens, of language or of mathematics.


def tokens(text, opaque="(?!)", small=False):
    """The tokens of a text, one opaque where that pattern matches; where all is small, a slash is an operator."""
    out, at, text = [], 0, normalize("NFC", text)
    for m in re.finditer(rf"(?P<opaque>{opaque})|{TOKEN}", text, re.VERBOSE):
        kind, value = m.lastgroup, m[m.lastgroup].replace("~", "∼")
        if kind in ("low", "high"):
            kind, value = {"low": "sub", "high": "sup"}[kind], normalize("NFKC", value)
        elif kind == "word" and value not in SHORT_WORDS | FUNCTIONS and (
                len(value) == 2 or (len(value) < 5 and text[m.end():m.end() + 1] == "ᵀ")):
            kind = "pair"  # a product of letters
        out.append(Token("op" if kind == "slash" and small else kind, value, m.start() > at, m[0]))
        at = m.end()
    return out


def is_text(line, i, prose):
    """Whether a token is one of the language and not of mathematics; brackets are settled later."""
    stop = Token("op", ".", False, ".")
    before, token, after = [stop, *line, stop][i:i + 3]
    if token.text == "a" or (token.text == "A" and before.text in ".:"):  # the article, or a letter?
        if after.kind in LANGUAGE:
            return after.text not in AFTER_A_LETTER
        return prose and after.space and after.kind in ("letter", "pair")
    if token.kind == "pair" or token.text in NAMES:
        return prose and token.text not in TWO_LETTERS and not beside_a_sign(before, token, after)
    return token.text in TEXT or (token.kind in LANGUAGE and token.text not in FUNCTIONS)


def beside_a_sign(before, token, after):
    """Whether a sign, a bar, a slash or a script belongs to a name, or it touches a factor."""
    signs = OPERATORS | BARS | {"/"}
    return (before.text in signs or after.text in signs or after.kind in SCRIPTS
            or (not token.space and before.kind not in (*LANGUAGE, "op")))


def bracketed(line, text):
    """The same tokens, brackets and bars with a partner now open or close; text gains brackets around text."""
    begun, kinds = [], [token.kind for token in line]
    for i, token in enumerate(line):
        while begun and token.text in CLOSE and line[begun[-1]].text in BARS:
            begun.pop()  # a bar alone, as in p(x|y)
        if begun and (token.text in CLOSE or token.text == line[begun[-1]].text in BARS):
            start = begun.pop()
            if token.text in CLOSE and any(text[start:i]):
                text[i] = text[start] = True
            else:
                kinds[i], kinds[start] = "close", "open"
        elif token.text in OPEN | BARS:
            begun.append(i)
    return [token._replace(kind=kind) for kind, token in zip(kinds, line)]


# From tokens to nodes: a row is made of terms and operators, a term of clusters, a cluster of factors that touch.


def row(line):
    """The nodes up to a closing bracket."""
    out = []
    while line and line[0].kind != "close":
        if line[0].kind == "op":
            prefix = line[0].text in SIGNS and (not out or out[-1].kind == "op")
            out.append(Node("op", line.popleft(), "prefix" if prefix else "infix"))
        else:
            out += term(line)
    return out


def term(line):
    """Clusters side by side; a slash between spaces divides all before it by all after it."""
    out = product(line)
    while line and line[0].kind == "slash":
        line.popleft()
        out = [fraction(out, product(line))]
    return out


def product(line):
    """Clusters side by side; d KL/dσ² and Var a/Var b are fractions as a whole."""
    out = cluster(line)
    while begins(line):
        name, (first, *more) = out[-1].token.text, cluster(line)
        if first.kind == "mfrac" and name in FUNCTIONS | {"d"} and first.parts[1][0].token.text.startswith(name):
            first = fraction([out.pop(), *first.parts[0]], first.parts[1])
        out += [first, *more]
    return out


def cluster(line):
    """Factors that touch; a slash that touches them divides all before it by all after it."""
    out = touching(line)
    while line and line[0].kind == "slash" and not line[0].space:
        line.popleft()
        out = [fraction(out, touching(line, divisor=True))]
    return out


def touching(line, divisor=False):
    """Factors without space between; a function that touches something has with it what follows, as in ∂²log p/∂x."""
    out = [factor(line)]
    while begins(line) and (not line[0].space or (
            (divisor or len(out) > 1) and out[-1].token.text in FUNCTIONS)):
        out.append(factor(line))
    return out


def begins(line):
    """Whether a factor is next."""
    return bool(line) and line[0].kind not in ("op", "slash", "close", *SCRIPTS)


def fraction(over, under):
    return Node("mfrac", over[0].token, [unbracketed(over), unbracketed(under)])


def unbracketed(nodes):
    """A row without the round bracket that holds all of it."""
    if len(nodes) == 1 and nodes[0].kind == "bracket" and nodes[0].token.text == "(":
        return [Node("bare", *nodes[0][1:])]
    return nodes


def factor(line):
    """A letter, a number, a root or a bracket, with its scripts; those of a sum stand below and above."""
    if not begins(line):
        raise ValueError("half a formula")
    token, low, high = line.popleft(), [], []
    if token.text == "√":
        return Node("msqrt", token, [unbracketed([factor(line)])])
    node = Node("leaf", token, None)
    if token.kind == "open":
        node = Node("bracket", token, [row(line), line.popleft().text])
    while line and line[0].kind in SCRIPTS:
        (low if line[0].kind == "sub" else high).extend(script(line.popleft()))
    under, over = ("under", "over") if token.text in ("∑", "max", "min", "median") else ("sub", "sup")
    kind = f"m{under * bool(low)}{over * bool(high)}"
    return Node(kind, token, [part for part in ([node], low, high) if part]) if low or high else node


def script(token):
    """The row that is raised or lowered, from its text; braces are left out, and an exponent's round brackets."""
    if token.kind == "mark":
        return [Node("leaf", token, None)]
    braces = token.text[0] == "{"
    line = tokens(token.text[1:-1] if braces else token.text, small=True)
    nodes = row(deque(bracketed(line, [False] * len(line))))
    return nodes if braces or token.kind == "sub" else unbracketed(nodes)


# From nodes to MathML.


def written(nodes):
    """A row, with thin spaces between factors that stand apart in the source and before functions."""
    out, before = "", None
    for node in nodes:
        if before and "op" not in (before.kind, node.kind) and (node.token.space or node.token.text in FUNCTIONS):
            out += '<mspace width="0.17em"/>'
        out, before = out + element(node), node
    return out


def grouped(nodes):
    """A row as one element."""
    return written(nodes) if len(nodes) == 1 else f"<mrow>{written(nodes)}</mrow>"


def element(node):
    kind, token, parts = node
    if kind == "op":
        form = f' form="{parts}"' if token.text in OPERATORS else ' lspace="0" rspace="0"' * (token.text == "/")
        return f"<mo{form}>{html.escape(token.text)}</mo>"
    if kind == "leaf":
        return leaf(token)
    if kind == "bare":
        return f'<mrow class="bare">{written(parts[0])}</mrow>'
    if kind == "bracket":
        inner = written(parts[0])
        flat = "" if re.search("<mfrac|<munder|[∑∫]", inner) else ' stretchy="false"'
        return f"<mrow><mo{flat}>{token.text}</mo>{inner}<mo{flat}>{parts[1]}</mo></mrow>"
    return f"<{kind}>{''.join(map(grouped, parts))}</{kind}>"


def leaf(token):
    """A number, a name, a sign, letters: italic but for capital Greek ones, ∇, ∞ and the T of a transpose."""
    kind, text, *_ = token
    if kind == "number":
        return f"<mn>{text}</mn>"
    if kind == "word":
        return f"<mi>{html.escape(text)}</mi>"
    if text[0] in "∑∫|'*":
        return f"<mo>{text.replace(chr(39), '′')}</mo>"
    upright = ' mathvariant="normal"' if text in "∇∞ᵀ" or "Α" <= text <= "Ω" else ""
    letters = "".join(accented(f"<mi{upright}>{letter[0]}</mi>", letter[1:])
                      for letter in re.findall(r".[\u0300-\u036f]*", normalize("NFD", text.replace("ᵀ", "T"))))
    return f"<mrow>{letters}</mrow>" if kind == "pair" else letters


def accented(letter, marks):
    for mark in marks:
        letter = f'<mover>{letter}<mo stretchy="false" scriptlevel="+0">{ACCENTS.get(mark, mark)}</mo></mover>'
    return letter


# A text of both.


def pieces(text, prose=False, opaque="(?!)"):
    """(kind, html or text, whether a space stands before it) of each piece; kind is "math", "text" or "opaque"."""
    line, out, run, depth = tokens(text, opaque, small=prose), [], [], 0
    flags = [is_text(line, i, prose) for i in range(len(line))]
    for token, flag in zip(bracketed(line, flags), flags):
        depth += (token.kind == "open") - (token.kind == "close")
        if flag or (depth == 0 and token.text in PUNCTUATION):
            kind = "opaque" if token.kind == "opaque" else "text"
            out += [*mathematics(run, prose), (kind, token.source, token.space)]
            run = []
        else:
            run.append(token)
    return out + mathematics(run, prose)


def mathematics(run, prose):
    """The pieces of a run of mathematical tokens; as it was written, if it is none."""
    line, source = deque(run), "".join(" " * (t.space and i > 0) + t.source for i, t in enumerate(run))
    try:
        nodes = row(line)
    except (ValueError, IndexError):
        nodes = []
    number = prose and all(t.kind in ("number", "op") or t.text in NAMES | FUNCTIONS for t in run)
    if not nodes or line or number:
        return [("text", source, run[0].space)] if run else []
    ends = [*(starts(nodes) if len(source) > 16 else [0]), len(nodes)]  # short ones stay whole
    return [("math", f"<math>{written(nodes[i:j])}</math>", i == 0 and run[0].space) for i, j in pairwise(ends)]


def starts(nodes):
    """Where a line may break: before a relation, a sum, a factor after many."""
    out = [0]
    for i, (before, node) in enumerate(pairwise(nodes), 1):
        infix = node.kind == "op" and node.token.text in RELATIONS | SIGNS and before.kind != "op"
        alone = i - out[-1] == 1 and before.kind != "mfrac"  # one letter stays with its relation
        if (infix and not alone) or (node.kind != "op" and node.token.space and i - out[-1] > 8):
            out.append(i)
    return out
