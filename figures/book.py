"""The package as a page, figures/book.html, made from its sources at every run: `python -m figures.book`.

Chapter by chapter: what it is for, a picture, an example by hand; then the derivation, each paragraph with the code
that computes it beside; then figures and exercises. Each equation unfolds to the lines that compute it, the tests that
prove it and the figures that cite it. One file, styled by book.css, searched by book.js, which it can do without;
only the pictures stand beside it.
"""

import json
import re
from pathlib import Path

from figures.book_html import collect, escape, figures_of, images, listing, marker, picture, prose, text_of
from figures.book_read import DEFINITION, ROOT, exercises, places, read, sources

HERE = Path(__file__).resolve().parent
NAME = r"[A-Za-z]\w*_[a-z]{3}\w*"  # looks like a name of the code; x_i and W_l are mathematics


def units(c):
    """The blocks of a derivation in runs that end with equations, each with the chunks of code that belong to it."""
    beside, out, run = places(c), [], []
    for i in range(len(c.blocks)):
        run.append(i)
        if any(map(DEFINITION.match, c.blocks[i])) or i == len(c.blocks) - 1:
            out.append((run, [chunk for j in run for chunk in beside[j]]))
            run = []
    return out, beside[None]


def derivation(c, evidence, mark):
    """Rows of text and code: each begins with the text that the code belongs to, and goes on with text without code."""
    rows, (runs, rest) = [([], [], [])], units(c)
    for run, chunks in runs:
        if chunks:
            rows.append((run, chunks, []))
        else:
            rows[-1][2].extend(run)
    out, ahead, rest = "", 0, listing(c, rest, mark)
    for first, chunks, more in rows:
        k, after = split(c, first + more, chunks, ahead)
        text, code = (listing(c, part, mark) for part in (chunks[:k], chunks[k:]))
        text, more = (boxed(c, part, evidence, mark, below) for part, below in ((first, text), (more, "")))
        kind = '"side up"' if ahead > 4 else "side"
        out += f"<div class={kind}>{text}{code}{more}</div>\n" if text or more else ""
        ahead = after
    return out + (f"<details class=rest><summary>The rest of {c.name}.py</summary>{rest}</details>\n" if rest else "")


def boxed(c, run, evidence, mark, below):
    text = "".join(prose(c.blocks[i], evidence, mark) for i in run)
    return f"<div class=text>{text}{below}</div>" if run else ""


def split(c, run, chunks, ahead):
    """How many of the chunks stand below the text and not beside it, so that both columns end together, and by how many
    lines that of code is then longer, if it was so many ahead; 28 letters of text are as high as a line of code."""
    text = sum(len(line) for i in run for line in c.blocks[i]) / 28
    heights = [1 + sum(1 + len(c.lines[row - 1]) // 76 for row in chunk.rows) for chunk in chunks]
    longer = [ahead + sum(heights[k:]) - sum(heights[:k]) - text for k in range(len(chunks) or 1)]
    k = min(range(len(longer)), key=lambda k: abs(longer[k]))
    return k, max(0, longer[k])


def opening(c, extra, own, records, evidence, mark):
    """What a chapter is for, a picture and an example by hand."""
    if not extra:
        return ""
    name = extra.picture.partition(".")[0]
    figure = ""
    if name in own:
        figure = picture(name, records[name], evidence, mark)
    elif name in records:
        title = mark(records[name]["caption"].partition("\n")[0])
        figure = (f"<figure>{images({**records[name], 'pictures': [extra.picture]}, name)}"
                  f'<figcaption><a href="#figure-{name}">{title}</a></figcaption></figure>\n')
    example = "".join(f"<aside><h3>By hand</h3>{text_of(text, evidence, mark)}</aside>" for text in extra.example)
    return f"<div class=opening>{text_of(extra.opening, evidence, mark)}</div>\n{figure}{example}\n"


def questions(extra, evidence, mark):
    """Exercises whose answers unfold."""
    if not (extra and extra.pairs):
        return ""
    items = "".join(f"<li>{text_of(question, evidence, mark)}<details><summary>answer</summary>"
                    f"{text_of(answer, evidence, mark)}</details>\n" for question, answer in extra.pairs)
    return f"<div class=exercises><h3>Exercises</h3><ol>{items}</ol></div>\n"


def body(c, extra, own, records, evidence, mark):
    """A chapter between its head and its end."""
    first = extra.picture.partition(".")[0] if extra else None
    others = "".join(picture(name, records[name], evidence, mark) for name in own if name != first)
    return (opening(c, extra, own, records, evidence, mark) + derivation(c, evidence, mark) + others
            + questions(extra, evidence, mark))


def section(c, before, after, body, mark):
    """A chapter with its head and the ways to its neighbours."""
    links = "".join(f'<a href="#{other.name}">{arrow.format(mark(other.title))}</a>'
                    for other, arrow in ((before, "← {}"), (after, "{} →")) if other)
    return (f'<section class=chapter id="{c.name}"><header><h2>{mark(c.title)}</h2><p>{mark(c.lead)}</p></header>\n'
            f'{body}<p class=turn>{links}<a href="#the-contents">Contents</a></p></section>\n')


def contents(chapters, mark):
    """The side bar: chapters, and under each its labels."""
    items, titles = "", [c.title for c in chapters]
    for c in chapters:
        links = " ".join(f'<a href="#{label}">{label}</a>' for label in c.labels)
        items += (f'<li><a href="#{c.name}">{mark(c.title)}{f", {c.name}" * (titles.count(c.title) > 1)}</a>'
                  + f"<details><summary>labels</summary>{links}</details>" * bool(links) + "\n")
    return f'<nav id="the-contents"><div id=search></div><ol>{items}</ol></nav>\n'


def names(chapters, root):
    """Words that are names of the code: those with an underscore, files too."""
    found = {word for c in chapters for chunk in c.chunks for row in chunk.rows
             for word in re.findall(rf"\b{NAME}\b", c.lines[row - 1])}
    return found | {path.stem for part in ("", "tests/", "figures/") for path in root.glob(f"{part}*_*.py")}


def book(figures, root=ROOT):
    """The page, made of the sources under root and of the figures' records as they stand in results.json."""
    chapters, records = read(root), {name: record for name, record in figures.items() if "caption" in record}
    extras = exercises(root / "figures" / "exercises.md")
    mark = marker({label for c in chapters for label in c.labels}, names(chapters, root),
                  sources(root / "figures" / "sources.txt"))
    evidence, own = collect(chapters, records, root, mark), figures_of(chapters, records)
    sections = [section(c, before, after, body(c, extras.get(c.name), own[c.name], records, evidence, mark), mark)
                for before, c, after in zip([None, *chapters], chapters, [*chapters[1:], None])]
    return page(chapters[0].title, sections, contents(chapters, mark))


def page(title, sections, side):
    """The whole file."""
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("book.css", "book.js"))
    return "\n".join([
        "<!DOCTYPE html>", f"<html lang=en><head><meta charset=utf-8><title>{escape(title)}</title>",
        '<meta name=viewport content="width=device-width"><meta name=color-scheme content="light dark">',
        f"<style>\n{style}</style></head><body>", "<main>", *sections, "</main>", side,
        f"<script>\n{script}</script>", "</body></html>\n"])


if __name__ == "__main__":
    saved = json.loads((ROOT / "figures" / "results.json").read_text(encoding="utf-8"))["figures"]
    (ROOT / "figures" / "book.html").write_text(book(saved), encoding="utf-8")
