"""The package as a page, figures/book.html, made from its sources at every run: `python -m figures.book`.

Chapter by chapter, derivation left and code right; each equation unfolds to the lines that compute it, the tests that
prove it and the figures that cite it. One file without scripts, styled by book.css; only the pictures stand beside it.
"""

import ast
import html
import io
import json
import keyword
import re
import tokenize
from collections import defaultdict
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

ROOT, PACKAGE = Path(__file__).resolve().parent.parent, "scoremin"
DEFINITION = re.compile(r" {4,}\(([A-Z]{2,5}\.\d+)\)(.*)")
PROVED = re.compile(r"\(([A-Z]{2,5}\.\d+)\)")  # in the docstring of a test
CITED = re.compile(r"\b([A-Z]{2,5})\.(\d+)(?:(?:\)? to \(?\1\.|\)?[–-]\(?(?:\1\.)?)(\d+)\b)?")  # or "SSM.6 to SSM.10"
TEXTS = re.compile(r"\S+(?: \S+)*")  # what stands between gaps of two spaces or more
SHORT = re.compile(r"(?<!\S)(\S{1,6}) ([=<>≤≥~→]) (?=\S{1,6}(?!\S))")  # s = 0 stays on one line
SCRIPT = r"\{(?:[^{}]|\{[^{}]*\})*\}|[A-Za-z0-9α-ωΑ-Ω\u0300-\u036f]+(?:-[A-Z]+)*"
NAME = r"[A-Za-z]\w*_[a-z]{3}\w*"  # looks like a name of the code; x_i and W_l are mathematics
escape = partial(html.escape, quote=False)


def cited(text):
    """The labels that a text speaks of, also those inside a range."""
    return list(dict.fromkeys(f"{m[1]}.{i}" for m in CITED.finditer(text)
                              for i in range(int(m[2]), int(m[3] or m[2]) + 1)))


def colours(text):
    """Row -> (left, right, kind) of comments, strings, keywords and names defined: c, s, k, d."""
    lines, rows, before, open_strings = text.splitlines(), defaultdict(list), "", []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        name, (end, right) = tokenize.tok_name[token.type], token.end
        kind = {"COMMENT": "c", "STRING": "s", "FSTRING_END": "s"}.get(name)
        if name == "NAME":
            kind = "k" if keyword.iskeyword(token.string) else "d" if before in ("def", "class") else None
        if name == "FSTRING_START":  # from Python 3.12 on an f-string is many tokens; here it stays one
            open_strings.append(token.start)
        if "\n" in token.string:  # Python 3.12.1 counts the last line of such a string in bytes
            right = len(token.string.rpartition("\n")[2])
        start, left = open_strings.pop() if name == "FSTRING_END" else token.start
        if kind and not open_strings:
            for row in range(start, end + 1):
                rows[row].append((left if row == start else 0, right if row == end else len(lines[row - 1]), kind))
        before = token.string
    return rows


def chapter(path):
    """A module: title and derivation from its docstring, the lines after it, labels defined and labels computed."""
    text = path.read_text(encoding="utf-8")
    tree, lines, rows = ast.parse(text), text.splitlines(), colours(text)
    doc = ast.get_docstring(tree, clean=False)  # its indentation tells equations from prose
    title, _, body = (doc or path.stem).strip().partition("\n\n")
    name, _, lead = " ".join(title.split()).partition(": ")
    first = tree.body[0].end_lineno + 1 if doc else 1
    while first < len(lines) and not lines[first - 1].strip():
        first += 1
    return SimpleNamespace(
        name=path.stem, title=name.rstrip("."), lead=lead[:1].upper() + lead[1:], body=body,
        lines=lines, first=first, rows=rows,
        labels={m[1]: "\u2003".join(TEXTS.findall(m[2])) for m in map(DEFINITION.match, body.splitlines()) if m},
        computes=[(label, row) for row in sorted(rows) for left, right, kind in rows[row] if kind == "c"
                  for label in cited(lines[row - 1][left:right])])


def read(root):
    """The chapters, __init__ first and then in the order that its docstring lists them; what it does not list, last."""
    modules = {path.stem: chapter(path) for path in sorted((root / PACKAGE).glob("*.py"))}
    listed = [name for name in re.findall(r"^ {4,}(\w+)", modules["__init__"].body, re.MULTILINE) if name in modules]
    return [modules[name] for name in dict.fromkeys(["__init__", *listed, *modules])]


def collect(chapters, records, root, mark):
    """Label -> {"computed", "proved", "shown": HTML of each line, test or figure}."""
    evidence = defaultdict(lambda: defaultdict(list))
    for c in chapters:
        for label, row in c.computes:
            code = escape(re.split(r"\s+#", c.lines[row - 1].strip())[0])
            evidence[label]["computed"].append(f'<a href="#{c.name}-{row}">{c.name}.py, {row}</a> <code>{code}</code>')
    for path in sorted((root / "tests").glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                doc = " ".join((ast.get_docstring(node) or "").split())
                sentence = mark(re.split(r"(?<=[.!?]) (?=[A-Z(])", re.sub(rf"^(?:{PROVED.pattern} *)+", "", doc))[0])
                for label in dict.fromkeys(PROVED.findall(doc)):
                    evidence[label]["proved"].append(f"{sentence} <code>{path.name}::{node.name}</code>")
    for name, record in records.items():
        for label in cited(record["caption"]):
            title = escape(record["caption"].partition("\n")[0])
            evidence[label]["shown"].append(f'<a href="#figure-{name}">{title}</a>')
    return evidence


def home(name, caption, chapters):
    """The last chapter that a figure's name speaks of; where it names none, its source line, then its caption."""
    source = caption.partition("\nSource:")[2].partition("\nSettings:")[0]
    for text in (name.replace("_", " "), source, caption):
        found = [c.name for c in chapters if re.search(rf"(?i:\b{c.name}\b)", text)
                 or any(re.search(rf"\b{label.partition('.')[0]}\b", text) for label in c.labels)]
        if found:
            return found[-1]
    return chapters[-1].name


def marker(labels, names):
    """The function that turns a text into HTML: labels into links; if not plain, also sub- and superscripts, code."""
    code = "|".join(sorted(names, key=lambda name: (-len(name), name))) or "(?!)"
    pattern = re.compile(rf"(?P<a>\b[A-Z]{{2,5}}\.\d+\b)|(?P<code>\b(?:{code})\b|`[^`]+`)"
                         rf"|(?<=\S)_(?P<sub>{SCRIPT})|\^(?P<sup>\((?:[^()]|\([^()]*\))*\)|[−-]?(?:{SCRIPT}))|(?<!\w)\*(?P<em>\w[^*]*)\*")

    def mark(text, plain=False):
        def one(m):
            tag, inner = m.lastgroup, m[m.lastgroup]
            if tag == "a":
                return f'<a href="#{inner}">{inner}</a>' if inner in labels else inner
            if plain:
                return m[0]
            inner = inner.strip("`") if tag == "code" else pattern.sub(one, inner[1:-1] if inner[0] in "{(" else inner)
            return f"<{tag}>{inner}</{tag}>"
        return pattern.sub(one, escape(text))
    return mark


def equations(lines, evidence, mark):
    """Indented lines: labelled ones, with those below them, are equations that unfold; others stay as they are."""
    starts = [i for i, line in enumerate(lines) if DEFINITION.match(line)] + [len(lines)]
    out = [f"<pre>{mark(dedent(chr(10).join(lines[:starts[0]])), plain=True)}</pre>"] if starts[0] else []
    texts = [[*TEXTS.finditer(line, m.end(1) + 1 if (m := DEFINITION.match(line)) else 0)] for line in lines]
    widths = [{m.start(): len(m[0]) for m in texts[i]} for i in starts[:-1]]
    # Columns at which all the equations of a block begin a text are kept as columns.
    columns = set.intersection(*map(set, widths)) if len(widths) > 1 else set()
    for i, j in pairwise(starts):
        label, rows = DEFINITION.match(lines[i])[1], ""
        for line in texts[i:j]:
            rows += "<span class=row>"
            for m, after in pairwise([*line, None]):
                width = max(w[m.start()] for w in widths) if after and {m.start(), after.start()} <= columns else 0
                rows += f'<span class=cell style="--w:{width}">{mark(m[0])}</span> '
            rows += "</span>"
        found = "".join(f"<dt>{kind}<dd>{'<dd>'.join(items)}" for kind, items in evidence[label].items())
        out.append(f'<details class=eq id="{label}"><summary><a class=label href="#{label}">({label})</a>'
                   f"<span>{rows}</span></summary><dl>{found}</dl></details>")
    return out


def prose(text, evidence, mark):
    """A derivation or a caption: paragraphs, equations, tables."""
    out = []
    for block in re.split(r"\n(?:[ \t]*\n)+|\n(?=Source:|Settings:|- )", text.strip("\n")):
        for indented, group in groupby(block.splitlines(), lambda line: line.startswith("    ")):
            lines = list(group)
            kept = SHORT.sub("\\1\u00a0\\2\u00a0", " ".join(lines))
            out += equations(lines, evidence, mark) if indented else [f"<p>{mark(kept)}</p>"]
    return "\n".join(out)


def listing(c, mark):
    """The code of a chapter as numbered lines; labels in comments and docstrings are links."""
    out = f'<p class=file>{PACKAGE}/{c.name}.py <a href="#the-contents">contents</a></p><pre>'
    for row, line in enumerate(c.lines[c.first - 1:], c.first):
        out += f'<span class=line id="{c.name}-{row}"><a class=n href="#{c.name}-{row}">{row}</a> '
        at = 0
        for left, right, kind in c.rows[row]:
            out += f"{escape(line[at:left])}<span class={kind}>{mark(line[left:right], plain=True)}</span>"
            at = right
        out += f"{escape(line[at:])}\n</span>"
    return out + "</pre>"


def bound(claim):
    """The bounds of a claim as text; one without is a measurement."""
    low, high = claim["low"], claim["high"]
    if low is None and high is None:
        return "measured"
    return f"≤ {high:.4g}" if low is None else f"≥ {low:.4g}" if high is None else f"{low:.4g} … {high:.4g}"


def picture(name, record, evidence, mark):
    """A figure with its caption and its claims; at a small budget they are not checked."""
    title, _, caption = record["caption"].partition("\n")
    answers = ["" if record.get("budget", 1) < 1 or bound(c) == "measured" else "yes" if c["holds"] else "NO"
               for c in record["claims"]]
    images = "".join(f'<img src="{file}" alt="{html.escape(title)}">\n'
                     for file in record.get("pictures", [f"{name}.png"]))
    rows = "".join(f"<tr><td>{mark(c['text'])}<td>{c['value']:.4g}<td>{bound(c)}<td>{answer}"
                   for c, answer in zip(record["claims"], answers))
    checked, missed = len(answers) - answers.count(""), answers.count("NO")
    return (f'<figure id="figure-{name}">{images}<figcaption>'
            f"<h3>{mark(title.rstrip('.'))}</h3>\n{prose(caption, evidence, mark)}\n"
            f"<details{' open' * bool(missed)}><summary>{checked} claims checked, {missed or 'none'} missed</summary>"
            f"<table><tr><th>claim<th>value<th>bound<th>holds{rows}</table></details></figcaption></figure>\n")


def section(c, contents, pictures, evidence, mark):
    """A chapter: derivation and code side by side, the shorter of them kept in view, and its figures."""
    height = sum(27 * (1 + len(block) // 64) + 14 for block in c.body.split("\n\n"))  # pixels, roughly
    text, code = ("short", "long") if height < 18 * (len(c.lines) - c.first) else ("long", "short")
    return (f'<section class=chapter id="{c.name}"><header><h2>{mark(c.title)}</h2><p>{mark(c.lead)}</p></header>\n'
            f'<div class=sides><div class="text {text}">\n{contents}{prose(c.body, evidence, mark)}\n</div>\n'
            f'<div class="code {code}">{listing(c, mark)}</div></div>\n{pictures}</section>\n')


def book(figures, root=ROOT):
    """The page, made of the sources under root and of the figures' records as they stand in results.json."""
    chapters = read(root)
    records = {name: record for name, record in figures.items() if "caption" in record}
    labels = {label: text for c in chapters for label, text in c.labels.items()}
    names = {word for c in chapters for line in c.lines[c.first - 1:] for word in re.findall(rf"\b{NAME}\b", line)}
    names |= {path.stem for part in ("", "tests/", "figures/") for path in root.glob(f"{part}*_*.py")}
    mark = marker(labels, names)
    evidence, pictures = collect(chapters, records, root, mark), defaultdict(str)
    for name, record in records.items():
        pictures[home(name, record["caption"], chapters)] += picture(name, record, evidence, mark)
    contents = "".join(f'<li><a href="#{c.name}">{mark(c.title)}</a> {mark(c.lead)}' for c in chapters[1:])
    index = "".join(f'<li><a href="#{label}">{label}</a> {mark(text)}' for label, text in labels.items())
    contents = f'<nav id="the-contents"><ol>{contents}<li><a href="#the-labels">Labels</a></ol></nav>\n'
    sections = [section(c, contents * (c is chapters[0]), pictures[c.name], evidence, mark) for c in chapters]
    return "\n".join([
        "<!DOCTYPE html>", f"<html lang=en><head><meta charset=utf-8><title>{escape(chapters[0].title)}</title>",
        '<meta name=viewport content="width=device-width"><meta name=color-scheme content="light dark">',
        f"<style>\n{Path(__file__).with_suffix('.css').read_text(encoding='utf-8')}</style></head><body>", *sections,
        f'<section class=chapter id="the-labels"><header><h2>Labels</h2></header><ul>{index}</ul></section>',
        "</body></html>\n"])


if __name__ == "__main__":
    saved = json.loads((ROOT / "figures" / "results.json").read_text(encoding="utf-8"))["figures"]
    (ROOT / "figures" / "book.html").write_text(book(saved), encoding="utf-8")
