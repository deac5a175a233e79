"""Mathematics written in one line of Unicode, set as MathML: no font, no script, no library.

    pieces("½‖s‖² + tr ∂s/∂x = c where x > 1")      math, math, text, math: lines may break between them

A slash without spaces binds the factors that touch it, one with spaces all factors of its term. Brackets around the
whole of a numerator, a denominator, a script or a root are left out, no others. Words are text, and what cannot be
read as mathematics stays text too, as it was written.
"""

import html
import re
import unicodedata
from collections import deque, namedtuple
from itertools import pairwise

words = str.split
FUNCTIONS = {*words("log exp det tr min max cos sin tanh asinh Var Cov KL ED")}
NAMES = {*words("step ridge prior shift scale target noise const")}
SHORT_WORDS = {*words("of in to at is if so by on or as be no it up an we us do eq vs de et al VE VP")}
TWO_LETTERS = {*words("Jv dx dt dw df")}  # mathematics wherever they stand
AFTER_A_LETTER = {*words("and or is are has have of with by at to from in for on as the")}  # "a and b", not "a sum"
RELATIONS = {*words("= =: < > ≤ ≥ ≈ ∼ → ← ∝ ≠ ≪ ≫ ∈ ≡ ⇒")}
SIGNS, OPEN, BARS = set("+−±"), {"(": ")", "[": "]", "{": "}"}, set("‖|")
OPERATORS = RELATIONS | SIGNS | set("∘·×")
PUNCTUATION, TEXT = set(",;:."), set('"?!%–—-&’“”*`')
ACCENTS = {"\u0303": "˜", "\u0302": "ˆ", "\u0304": "¯", "\u0307": "˙", "\u0308": "¨"}
SCRIPTS = {*words("sub low sup high prime")}
BARE = ' class="bare"'  # brackets around it were left out
THIN = '<mspace width="0.17em"/>'
RUN = r"(?:[A-Za-z0-9½∞\u0370-\u03ff][\u0300-\u036f]*)+(?:-[A-Z]+)*"
ROUND = r"\((?:[^()]|\([^()]*\))*\)"
GROUP = r"\{(?:[^{}]|\{[^{}]*\})*\}"
TOKEN = re.compile(rf"""(?P<text>e\.g\.|i\.e\.|et\ al\.|->|\d-D\b|'s\b)
    |_(?P<sub>{GROUP}|{ROUND}|[+−±]|{RUN}'*)|\^(?P<sup>{GROUP}|{ROUND}|[−-]?{RUN})
    |(?P<low>[₀-₉₊₋]+)|(?P<high>[⁰¹²³⁴-⁹⁺⁻ᵀᵏⁿ]+)|(?P<prime>'+)|(?P<number>\d*\.?\d+)
    |(?P<word>[A-Za-z]-[a-z]{{2,}}|[A-Za-z]{{3,}}\d+|[A-Za-zÀ-ÿ]{{2,}}(?![\u0300-\u036f])(?:['’-][A-Za-zÀ-ÿ]+)*)
    |(?P<letter>[^\W\d_][\u0300-\u036f]*|[∇∂…∞½¼⅛∑∫√\#])|(?P<op>=:|[^\s\w]|_)""", re.VERBOSE)
Token = namedtuple("Token", "kind text space")  # space: whether one stands before it
Item = namedtuple("Item", "kind html token bare")  # bare: the same without its outer brackets


def tokens(text, opaque):
    """The tokens of a text, one opaque where that pattern matches."""
    out, at, text = [], 0, unicodedata.normalize("NFC", text)
    for m in re.finditer(rf"(?P<opaque>{opaque})|{TOKEN.pattern}", text, re.VERBOSE):
        kind = m.lastgroup
        if kind == "word" and m[0] not in SHORT_WORDS | FUNCTIONS and (
                len(m[0]) == 2 or (len(m[0]) < 5 and text[m.end():m.end() + 1] == "ᵀ")):
            kind = "pair"  # a product of letters
        out.append(Token(kind, m[kind] if kind in ("sub", "sup") else m[0].replace("~", "∼"), m.start() > at))
        at = m.end()
    return out


def is_text(line, i, prose):
    """Whether a token is one of the language and not of mathematics; brackets are settled later."""
    token = line[i]
    before, after = (line[j] if 0 <= j < len(line) else Token("op", ".", False) for j in (i - 1, i + 1))
    language, signs = ("word", "opaque", "text"), OPERATORS | BARS | {"/"}
    if prose and (token.text in NAMES or (token.kind == "pair" and token.text not in TWO_LETTERS)):  # beside a sign
        return not (before.text in signs or after.text in signs or after.kind in SCRIPTS
                    or (not token.space and before.kind not in (*language, "op")))
    if (token.text == "a" or (token.text == "A" and before.text in ".:")) and after.space:  # the article
        word = after.kind in language
        return after.text not in AFTER_A_LETTER if word else prose and after.kind in ("letter", "pair")
    scripted = after.kind in ("high", "sup") and not after.space
    return (token.kind in language and token.text not in FUNCTIONS | NAMES and not scripted) or token.text in TEXT


def brackets(line, text):
    """The same tokens, brackets and bars now open, close or op; text gains brackets without partner or around text."""
    stack, kinds = [], [token.kind for token in line]
    for i, (_, mark, _) in enumerate(line):
        if mark in BARS and stack and line[stack[-1]].text == mark and not signed(line[i - 1]):
            kinds[i], kinds[stack.pop()] = "close", "open"
        elif mark in OPEN or (mark in BARS and opens(line, i)):
            stack.append(i)
        elif mark in OPEN.values():
            start = stack.pop() if stack else i
            if OPEN.get(line[start].text) == mark and not any(text[start:i]):
                kinds[i], kinds[start] = "close", "open"
            else:
                text[i] = text[start] = True
    text[:] = [flag or i in stack for i, flag in enumerate(text)]
    return [Token(kind, *token[1:]) for kind, token in zip(kinds, line)]


def signed(token):
    """Whether a token is an operator, not an index like the sign of s_−."""
    return token.kind == "op" and token.text in OPERATORS


def opens(line, i):
    """Whether a bar has a partner before the bracket that holds both ends; one between spaces has none."""
    depth = 0
    if line[i].text == "|" and line[i].space and line[i + 1:i + 2] and line[i + 1].space:
        return False
    for token in line[i + 1:]:
        if depth == 0 and token.text == line[i].text:
            return True
        depth += (token.text in OPEN) - (token.text in OPEN.values())
        if depth < 0:
            return False
    return False


# A row of factors and signs.


def letter(text, name=False):
    """An identifier: one letter is italic but for capital Greek ones and ∇; accents stand above."""
    base, *marks = unicodedata.normalize("NFD", text)
    if name or any(mark not in ACCENTS for mark in marks):
        return f"<mi>{html.escape(text)}</mi>"
    upright = ' mathvariant="normal"' if base in "∇∞" or "Α" <= base <= "Ω" else ""
    out = f"<mi{upright}>{base}</mi>"
    for mark in marks:
        out = f'<mover>{out}<mo stretchy="false" scriptlevel="+0">{ACCENTS[mark]}</mo></mover>'
    return out


def script(kind, text):
    """What is raised or lowered, one element; in braces or brackets a row of its own."""
    inner = text[1:-1] if text[0] == "{" or (text[0] == "(" and kind == "sup") else text
    if text == "ᵀ":
        return '<mi mathvariant="normal">T</mi>'
    if re.fullmatch(r"[A-Z]{2,}(-[A-Z]+)*|[A-Za-z]{3,}", inner):
        return f"<mi>{inner}</mi>"
    if kind in ("high", "low"):
        inner = unicodedata.normalize("NFKC", text)
    row = items(parsed(inner), True)
    bare = BARE * (text != inner and text[0] == "(")
    return row[0].html if len(row) == 1 and not bare else f"<mrow{bare}>{grouped(row)}</mrow>"


def scripts(base, line, below):
    """A factor with its indices, primes and exponents; those of a sum stand below and above."""
    low, high = [], []
    while line and line[0].kind in SCRIPTS:
        kind, text, _ = line.popleft()
        (low if kind in ("sub", "low") else high).append(
            f"<mo>{'′' * len(text)}</mo>" if kind == "prime" else script(kind, text))
    low, high = (f"<mrow>{''.join(part)}</mrow>" if len(part) > 1 else "".join(part) for part in (low, high))
    under, over = ("under", "over") if below else ("sub", "sup")
    tag = f"m{under * bool(low)}{over * bool(high)}"
    return f"<{tag}>{base}{low}{high}</{tag}>" if low or high else base


def parsed(text):
    """A text that is all mathematics, as tokens with their brackets."""
    line = tokens(text, "(?!)")
    return deque(brackets(line, [False] * len(line)))


def factor(line, small):
    """One factor and its scripts, taken from the left of the line."""
    token = line.popleft()
    if token.text == "√":
        inner = factor(line, small)
        return Item("atom", f"<msqrt>{inner.bare or inner.html}</msqrt>", token, None)
    html_, bare = leaf(token), None
    if token.kind == "open":
        inner = items(line, small)
        end = line.popleft()
        row = grouped(inner)
        flat = "" if re.search("<mfrac|<munder|[∑∫]", row) else ' stretchy="false"'
        html_ = f"<mrow><mo{flat}>{token.text}</mo>{row}<mo{flat}>{end.text}</mo></mrow>"
        bare = f"<mrow{BARE}>{row}</mrow>" if token.text == "(" else None
    scripted = scripts(html_, line, token.text in ("∑", "max", "min"))
    return Item("atom", scripted, token, bare if scripted == html_ else None)


def leaf(token):
    """A token without parts."""
    kind, text, _ = token
    if kind == "number" or text in "½¼⅛":
        return f"<mn>{text}</mn>"
    if kind == "pair":
        return "<mrow>" + "".join(letter(c) for c in text) + "</mrow>"
    if text in "∑∫|#":
        return f"<mo>{text}</mo>"
    return letter(text, name=kind == "word")


def items(line, small):
    """The factors and signs of a row, up to its closing bracket."""
    out = []
    while line and line[0].kind != "close":
        token = line[0]
        if token.text == "Σ" and is_sum(line):
            line[0] = token = token._replace(text="∑")
        bar = token.text in BARS and (len(line) < 2 or line[1].kind != "sub")
        if token.kind in SCRIPTS or token.text in ("^", "_"):
            raise ValueError(f"nothing to put {token.text} on")
        if (token.kind == "op" and (token.text != "|" or bar)) or token.text == "/":
            out.append(sign(line.popleft(), out, small))
        else:
            out.append(factor(line, small))
    return out


def is_sum(line):
    """Σ is a sum where a factor follows after a space, a covariance elsewhere."""
    after = next((token for token in list(line)[1:] if token.kind != "sub"), None)
    return after is not None and after.space and after.kind not in ("op", "close") and after.text != "/"


def sign(token, before, small):
    """An operator; one with nothing before it binds to what follows."""
    if token.text == "/" and not small:
        return Item("slash", "<mo>/</mo>", token, None)
    form = ' lspace="0" rspace="0"' if token.text == "/" else ""
    if token.text in OPERATORS:
        alone = token.text in SIGNS and (not before or before[-1].kind in ("op", "slash"))
        form = f' form="{"prefix" if alone else "infix"}"'
    return Item("op", f"<mo{form}>{html.escape(token.text)}</mo>", token, None)


def spaced(row):
    """A row with thin spaces between factors that stand apart in the source, and around functions."""
    out, before = "", None
    for item in row:
        if before and before.kind == item.kind == "atom" and (
                item.token.space or item.token.text in FUNCTIONS
                or (before.token.text in FUNCTIONS and item.token.kind != "open")):
            out += THIN
        out, before = out + item.html, item
    return out


def part(row):
    """A numerator or a denominator."""
    return row[0].bare if len(row) == 1 and row[0].bare else f"<mrow>{spaced(row)}</mrow>"


def applied(row, i):
    """Whether a function belongs to the factor before it, as in ∂²log p and ∇log p."""
    return row[i].token.text in FUNCTIONS and not row[i].token.space and i > 0 and row[i - 1].kind == "atom"


def fractions(row):
    """The same row with slashes as fractions, from left to right."""
    slash = next((i for i, item in enumerate(row) if item.kind == "slash"), None)
    if slash is None:
        return row
    start, end = reach(row, slash)
    if start == slash or end == slash + 1:
        raise ValueError("half a fraction")
    html_ = f"<mfrac>{part(row[start:slash])}{part(row[slash + 1:end])}</mfrac>"
    return fractions([*row[:start], Item("atom", html_, row[start].token, None), *row[end:]])


def reach(row, i):
    """Where the numerator of the slash at i starts and where its denominator ends: all factors, or those that touch."""
    loose, start, end = row[i].token.space, i, i + 1
    while start and row[start - 1].kind == "atom" and (
            loose or start == i or not row[start].token.space or applied(row, start - 1)):
        start -= 1
    while end < len(row) and row[end].kind == "atom" and (
            loose or not row[end].token.space or row[end - 1].token.text in FUNCTIONS):
        end += 1
    first = row[start - 1].token.text if 0 < start < i < end - 1 else ""
    same = first in FUNCTIONS | {"d"} and row[i + 1].token.text.startswith(first)  # d KL/dσ², Var a/Var b
    return start - same, end


def grouped(row):
    return spaced(fractions(row))


# A text of both.


def pieces(text, prose=False, opaque="(?!)"):
    """(kind, html or text, whether a space stands before it) of each piece; kind is "math", "text" or "opaque"."""
    line = tokens(text, opaque)
    flags = [is_text(line, i, prose) for i in range(len(line))]
    line = brackets(line, flags)
    out, run, depth = [], [], 0
    for token, flag in zip(line, flags):
        depth += (token.kind == "open") - (token.kind == "close")
        if flag or (depth == 0 and token.text in PUNCTUATION):
            out += mathematics(run, prose) if run else []
            run = []
            out.append(("opaque" if token.kind == "opaque" else "text", source([token]), token.space))
        else:
            run.append(token)
    return out + (mathematics(run, prose) if run else [])


def source(line):
    """Tokens as they were written."""
    return "".join(" " * (t.space and i > 0) + {"sub": "_", "sup": "^"}.get(t.kind, "") + t.text
                   for i, t in enumerate(line)).replace("∼", "~")


def mathematics(run, prose):
    """The pieces of a run of mathematical tokens; as it was written, if it is none."""
    number = all(t.kind in ("number", "op") or t.text in NAMES | FUNCTIONS for t in run)
    try:
        line = deque(run)
        row = [] if prose and number else fractions(items(line, prose))
    except (ValueError, IndexError):
        row = []
    if not row or line:
        return [("text", source(run), run[0].space)]
    ends = [*(starts(row) if len(source(run)) > 16 else [0]), len(row)]  # short ones stay whole
    return [("math", f"<math>{spaced(row[i:j])}</math>", row[i].token.space and i == 0) for i, j in pairwise(ends)]


def starts(row):
    """Where a line may break: before a relation, a sum, a factor after many."""
    out = [0]
    for i, item in enumerate(row[1:], 1):
        infix = item.kind == "op" and item.token.text in RELATIONS | SIGNS and row[i - 1].kind != "op"
        alone = i - out[-1] == 1 and "<mfrac" not in row[i - 1].html  # one letter stays with its relation
        if (infix and not alone) or (item.kind == "atom" and item.token.space and i - out[-1] > 8):
            out.append(i)
    return out
