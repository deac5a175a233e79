"""The parts of the page as HTML: texts with their mathematics and links, equations that unfold, code, figures."""

import html
import re
from collections import defaultdict
from functools import partial
from itertools import groupby, pairwise
from textwrap import dedent

from figures.book_math import pieces
from figures.book_read import CITED, DEFINITION, PACKAGE, PROVED, blocks, cited, home, tests
from figures.gallery import answer, bounds

escape = partial(html.escape, quote=False)
CLOSING = {*",.;:?!)"}
SENTENCE = re.compile(r"(?<=[.!?]) (?=[A-Z(])")


def marker(labels, names, addresses):
    """The function that turns a text into HTML: mathematics, names of the code, emphasis; labels, sources as links.

    Its attribute plain does so for lines of code, where only labels change."""
    either = lambda found: "|".join(map(re.escape, sorted(found, key=lambda x: (-len(x), x)))) or "(?!)"
    opaque = (rf"\b[A-Z]{{2,5}}\.\d+\b|`[^`]+`|\*\w[^*]*\*|\b(?:{either(names)})\b|{either(addresses)}")
    one = partial(special, labels, addresses)

    mark = lambda text, prose=True: joined(pieces(text, prose, opaque), one)
    label = re.compile(r"\b[A-Z]{2,5}\.\d+\b")
    mark.plain = lambda text: label.sub(lambda m: one(m[0]) if m[0] in labels else m[0], escape(text))
    return mark


def joined(found, one):
    """Pieces of a text as HTML; a line may break between two of mathematics, and never begins with a comma."""
    out, before = "", None
    for kind, piece, space in found:
        if before == "math" and piece in CLOSING and not space:
            out = out.removesuffix("</math>") + f"<mtext>{piece}</mtext></math>"
        else:
            relation = piece.startswith('<math><mo form="infix"')  # has a space of its own
            out += " " * (space and not relation) or "<wbr>" * (space or kind == before == "math")
            out += piece if kind == "math" else one(piece) if kind == "opaque" else escape(piece)
            before = kind
    return out.strip()


def special(labels, addresses, text):
    """A label, a source, an emphasis or a name of the code."""
    if text in labels or text in addresses:
        return f'<a href="{addresses.get(text, "#" + text)}">{text}</a>'
    if text[0] == "*":
        return f"<em>{escape(text[1:-1])}</em>"
    return escape(text) if CITED.fullmatch(text) else f"<code>{escape(text.strip('`'))}</code>"


def collect(chapters, records, root, mark):
    """Label -> {"defined", "computed", "proved", "shown": HTML of each line, test or figure}."""
    evidence = defaultdict(lambda: defaultdict(list))
    for label, kind, text in [*lines_of(chapters), *tests_of(root, mark)]:
        evidence[label][kind].append(text)
    for name, record in records.items():
        title = mark(record["caption"].partition("\n")[0])
        for label in cited(record["caption"]):
            evidence[label]["shown"].append(f'<a href="#figure-{name}">figure</a> {title}')
    return evidence


def lines_of(chapters):
    """Where labels are defined, and the lines of code that compute them."""
    for c in chapters:
        file = f"{PACKAGE}/{c.name}.py"
        for label, row in c.defines:
            yield label, "defined", f'<a href="../{file}#L{row}">{file}, {row}</a>'
        for label, row in c.computes:
            code = escape(re.split(r"\s+#", c.lines[row - 1].strip())[0])
            yield label, "computed", f'<a href="#{c.name}-{row}">{c.name}.py, {row}</a> <code>{code}</code>'


def tests_of(root, mark):
    """The tests that prove labels, each with its first sentence."""
    for file, line, name, doc in tests(root):
        sentence = mark(SENTENCE.split(re.sub(rf"^(?:{PROVED.pattern} *)+", "", doc))[0])
        for label in dict.fromkeys(PROVED.findall(doc)):
            link = f'<a href="../tests/{file}#L{line}"><code>{file}::{name}</code></a>'
            yield label, "proved", f"{sentence} {link}"


def cells(line):
    """The texts of a line that stand apart by two spaces or more, outside brackets."""
    out = [""]
    for text, gap in re.findall(r"((?:\S| (?! )| +(?==))+)( *)", line.strip()):
        out[-1] += text
        out += [""] if len(gap) > 1 and all(out[-1].count(a) <= out[-1].count(b) for a, b in ("()", "[]")) else []
        out[-1] += " " * (len(gap) > 1 and bool(out[-1]))
    return [cell.strip() for cell in out if cell.strip()]


def table(lines, mark):
    """An indented block without labels: rows of cells, or else as it stands."""
    rows = [cells(line) for line in lines]
    if min(map(len, rows)) < 2:
        return f"<pre>{mark.plain(dedent(chr(10).join(lines)))}</pre>"
    rows = [row[i:i + 2] for row in rows for i in range(0, len(row), 2)] if max(map(len, rows)) == 4 else rows
    return "<table class=plain>" + "".join(
        "<tr>" + "".join(f"<td>{mark(cell)}" for cell in row) for row in rows) + "</table>"


def equations(lines, evidence, mark):
    """Indented lines: labelled ones, with those below them, are equations that unfold; others a table."""
    starts = [i for i, line in enumerate(lines) if DEFINITION.match(line)] + [len(lines)]
    out = table(lines[:starts[0]], mark) if starts[0] else ""
    for i, j in pairwise(starts):
        label, first = DEFINITION.match(lines[i]).groups()
        rows = "".join("<span class=row>" + " ".join(f"<span class=cell>{mark(cell, False)}</span>"
                                                    for cell in cells(line)) + "</span>"
                       for line in [first, *lines[i + 1:j]])
        found = "".join(f"<dt>{kind}<dd>{'<dd>'.join(items)}" for kind, items in evidence[label].items())
        out += (f'<details class=eq id="{label}"><summary><a class=label href="#{label}">({label})</a>'
                f"<span>{rows}</span></summary><dl>{found}</dl></details>\n")
    return out


def prose(lines, evidence, mark):
    """A block of a text: paragraphs, equations, tables, lines of an interpreter."""
    out = ""
    for indented, group in groupby(lines, lambda line: line.startswith("    ")):
        group = list(group)
        if indented and group[0].strip().startswith(">>>"):
            out += f"<pre>{escape(dedent(chr(10).join(group)))}</pre>\n"
        else:
            out += equations(group, evidence, mark) if indented else f"<p>{mark(' '.join(group))}</p>\n"
    return out


def text_of(text, evidence, mark):
    return "".join(prose(lines, evidence, mark) for lines in blocks(text))


def code_line(c, row, mark):
    """A numbered line; a comment after code stands at the right edge or below."""
    line, at, code, comment = c.lines[row - 1], 0, "", ""
    for left, right, kind in c.rows[row]:
        span = f"<span class={kind}>{mark.plain(line[left:right])}</span>"
        if kind == "c" and line[:left].strip():
            code, comment = code + escape(line[at:left].rstrip()), span
        else:
            code += escape(line[at:left]) + span
        at = right
    name = f"{c.name}-{row}"
    return (f'<span class=line id="{name}"><a class=n href="#{name}">{row}</a><span class=l><span>'
            f"{code + escape(line[at:])}</span>{comment}</span>\n</span>")


def listing(c, chunks, mark):
    """Pieces of a chapter's code."""
    if not chunks:
        return ""
    parts = "".join(f"<pre>{''.join(code_line(c, row, mark) for row in chunk.rows)}</pre>" for chunk in chunks)
    file = f"{PACKAGE}/{c.name}.py"
    return f'<div class=code><p class=file><a href="../{file}">{file}</a></p>{parts}</div>'


def images(record, name):
    """The pictures of a figure, each a link to itself."""
    title = html.escape(record["caption"].partition("\n")[0])
    return "".join(f'<a class=picture href="{file}"><img src="{file}" alt="{title}" loading=lazy></a>\n'
                   for file in record.get("pictures", [f"{name}.png"]))


def picture(name, record, evidence, mark):
    """A figure with its caption and its claims; at a small budget they are not checked."""
    title, _, caption = record["caption"].partition("\n")
    answers = [answer(c, record.get("budget", 1)) for c in record["claims"]]
    rows = "".join(f"<tr><td>{mark(c['text'])}<td>{c['value']:.4g}<td>{bounds(c)}<td>{holds}"
                   for c, holds in zip(record["claims"], answers))
    checked, missed = len(answers) - answers.count(""), answers.count("NO")
    return (f'<figure id="figure-{name}">{images(record, name)}<figcaption>'
            f"<h3>{mark(title.rstrip('.'))}</h3>\n<div class=columns>{text_of(caption, evidence, mark)}</div>\n"
            f"<details{' open' * bool(missed)}><summary>{checked} claims checked, {missed or 'none'} missed</summary>"
            f"<table><tr><th>claim<th>value<th>bound<th>holds{rows}</table></details></figcaption></figure>\n")


def figures_of(chapters, records):
    """Chapter -> names of its figures."""
    found = defaultdict(list)
    for name, record in records.items():
        found[home(name, record["caption"], chapters)].append(name)
    return found
