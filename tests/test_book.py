"""figures/book.html: what stands in the page, that its links lead somewhere, and how a browser shows it."""

import ast
import base64
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest

from figures.book import book, bound, home

ROOT = Path(__file__).resolve().parent.parent
CLAIMS = [{"text": "a < b & c", "value": 0.5, "low": 0.0, "high": 1.0, "holds": True},
          {"text": "too large", "value": 2.0, "low": None, "high": 1.0, "holds": False},
          {"text": "measured", "value": 3.0, "low": None, "high": None, "holds": True}]
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")
VOID = {"meta", "img"}
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def docstring(path):
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")), clean=False) or ""


def records():
    """The figure scripts with their captions as a run records them, all with the same claims."""
    scripts = [path for path in sorted((ROOT / "figures").glob("[!_]*.py"))
               if re.search(r"(?m)^def (main|measure)\(", path.read_text(encoding="utf-8"))]
    return {path.stem: {"caption": docstring(path), "claims": CLAIMS, "budget": 1.0} for path in scripts}


class Page(HTMLParser):
    """The parts of a page that the tests ask for."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links, self.images, self.lines, self.derivations = [], [], [], [], {}, {}
        self.indexed, self.attributes, self.open, self.line, self.chapter, self.folded = set(), [], [], None, None, 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.attributes += [(tag, *item) for item in attrs.items()]
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if "href" in attrs else []
        self.images += [attrs["src"]] if "src" in attrs else []
        if tag == "section":
            self.chapter = attrs["id"]
        if tag == "a" and self.chapter == "the-labels":
            self.indexed.add(attrs["href"][1:])
        if attrs.get("class") == "line":
            self.line = attrs["id"]
        if attrs.get("class", "").startswith("text "):
            self.derivations[self.chapter] = ""
        self.folded += tag in ("dl", "nav", "figure") or attrs.get("class", "").startswith("code ")

    def handle_endtag(self, tag):
        self.folded -= tag in ("dl", "nav", "figure")
        if tag == "pre":
            self.line = None
        if tag == "section":
            self.folded = 0

    def handle_data(self, data):
        if self.line:
            self.lines[self.line] = self.lines.get(self.line, "") + data
        elif not self.folded and self.chapter in self.derivations:
            self.derivations[self.chapter] += data


@pytest.fixture(scope="module")
def text():
    return book(records())


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def modules():
    return sorted((ROOT / "scoremin").glob("*.py"))


def bare(text):
    """A text without spaces and without the marks that become sub- and superscripts, emphasis and code."""
    return re.sub(r"[\s_^{}()*`]", "", text)


def test_page_is_one_file_that_runs_nothing_and_loads_only_pictures(text, page):
    """No script, style sheet, frame or font from outside, no address with a protocol, no handler."""
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert not [item for item in page.attributes if item[1].startswith("on")]
    assert all(link.startswith("#") for link in page.links)
    assert {f"{name}.png" for name in records()} == set(page.images)
    assert not re.search(r"@import|url\(|https?:", text)


def test_every_link_leads_to_one_place(page):
    """No id twice, no link without its target; every equation, chapter, figure and line is a target of some link."""
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert set(page.ids) - {link[1:] for link in page.links} <= {f"figure-{name}" for name in records()} | {"__init__"}
    assert len(page.links) > 500


def test_every_label_of_the_package_is_an_anchor_and_stands_in_the_index(page):
    """The labels that begin an indented line of a module's docstring, no fewer and no more."""
    labels = {label for path in modules() for label in re.findall(r"(?m)^ {4,}\(([A-Z]{2,5}\.\d+)\)", docstring(path))}
    assert len(labels) > 90
    assert labels <= set(page.ids)
    assert labels <= page.indexed
    assert {name for name in page.ids if re.fullmatch(r"[A-Z]+\.\d+", name)} == labels


def test_every_line_of_code_and_every_word_of_a_derivation_stands_in_the_page(page):
    """Each line after a module's docstring with its number, character by character; the docstring word by word."""
    count = 0
    for path in modules():
        source = path.read_text(encoding="utf-8")
        first = ast.parse(source).body[0].end_lineno
        for row, line in enumerate(source.splitlines()[first:], first + 1):
            if f"{path.stem}-{row}" in page.lines or line.strip():
                assert page.lines[f"{path.stem}-{row}"] == f"{row} {line}\n"
                count += 1
        assert bare(page.derivations[path.stem]) == bare(docstring(path).partition("\n\n")[2])
    assert count == len(page.lines)


def test_chapters_stand_in_reading_order(page):
    """That of the list in the package's docstring; modules it does not list come last."""
    listed = re.findall(r"(?m)^    (\w+) +[A-Z]{2,5}\b", docstring(ROOT / "scoremin" / "__init__.py"))
    names = [name for name in page.ids if name in {path.stem for path in modules()}]
    assert len(listed) > 10
    assert names[:len(listed) + 1] == ["__init__", *listed]
    assert len(names) == len(modules())


def test_same_sources_give_the_same_bytes(text):
    """In another process, whatever the order of sets here and there."""
    code = "import json, sys, figures.book as b; sys.stdout.buffer.write(b.book(json.load(sys.stdin)).encode())"
    run = subprocess.run([sys.executable, "-c", code], input=json.dumps(records()).encode(), cwd=ROOT, check=True,
                         env={**os.environ, "PYTHONHASHSEED": "1"}, stdout=subprocess.PIPE)
    assert run.stdout.decode("utf-8") == text


SOURCES = {
    "scoremin/__init__.py": '''"""Small: a book.\n\nRead:\n\n    second    AB\n    first     CD\n"""\n''',
    "scoremin/first.py": '''"""First (CD): it is <b>plain</b> & "quoted".

Let x_i be `x` and n_steps p^{1/T}, by (AB.2); XY.1 is no label.

    (CD.1)   a_i < b,   i > 0
             or <i>so</i>
    (CD.10)  a = b & c

    a table  <u>
      of two lines
"""

def one(n_steps):
    """By (AB.2), <s>"""
    return "<q>" + f"{n_steps}<q>"  # (CD.1) <em>
''',
    "scoremin/second.py": '''"""Second: it.

    (AB.1)  1
    (AB.2)  2
    (AB.3)  3
"""
x = 1  # (AB.1)–(AB.3)
''',
    "scoremin/unlisted.py": "y = 2  # no docstring\n",
    "tests/test_any.py": '''def test_a():
    """(CD.1) It holds <s>. More."""

def helper():
    """(CD.1) No."""
''',
}
FIGURES = {
    "one": {"caption": "By label.\n\nText.\n\nSource: equations AB.1 to AB.3.\nSettings: CD.1.", "claims": CLAIMS},
    "first_look": {"caption": "By name, <b>bold</b>.\n\nSee (AB.1).", "claims": CLAIMS[:1]},
    "quick": {"caption": "Quick.\n\nOf (CD.10).", "claims": CLAIMS, "budget": 0.01, "pictures": ["a.png", "b.gif"]},
    "broken": {"error": "Traceback"},
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The page of a package of our own."""
    root = tmp_path_factory.mktemp("small")
    for name, source in SOURCES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(source, encoding="utf-8")
    return book(FIGURES, root)


def part(text, start, end):
    return text[text.index(start):].partition(end)[0]


def test_equation_unfolds_to_its_lines_tests_and_figures(small):
    """Of a package of our own: what computes, proves and shows a label, and nothing else; ranges count."""
    equation = part(small, 'id="CD.1"', "</details>")
    assert '<a href="#first-15">first.py, 15</a>' in equation
    assert "It holds &lt;s&gt;. <code>test_any.py::test_a</code>" in equation
    assert "helper" not in equation and "More" not in equation
    assert re.findall(r'href="#figure-(\w+)"', equation) == ["one"]
    assert [len(re.findall(f"<dt>{kind}", equation)) for kind in ("computed", "proved", "shown")] == [1, 1, 1]
    for label, shown in (("AB.1", ["one", "first_look"]), ("AB.2", ["one"]), ("AB.3", ["one"])):
        equation = part(small, f'id="{label}"', "</details>")
        assert "second.py, 7" in equation and "<dt>proved" not in equation
        assert re.findall(r'href="#figure-(\w+)"', equation) == shown


def test_code_and_prose_link_back_to_the_equation(small):
    """A label in a comment, a docstring or a sentence is a link; what looks like one is not."""
    assert '# (<a href="#CD.1">CD.1</a>)' in part(small, 'id="first-15"', "\n")
    assert 'By (<a href="#AB.2">AB.2</a>), &lt;s&gt;' in part(small, 'id="first-14"', "\n")
    assert "by (<a href=\"#AB.2\">AB.2</a>); XY.1 is no label" in small


def test_mathematics_is_set_and_names_of_the_code_are_not(small):
    """Indices are lowered, exponents raised, n_steps stays; an equation keeps its second line, a table its form."""
    assert "Let x<sub>i</sub> be <code>x</code> and <code>n_steps</code> p<sup>1/T</sup>, by" in small
    assert part(small, 'id="CD.1"', "<dl>").count("class=row") == 2
    assert "<pre>a table  &lt;u&gt;\n  of two lines</pre>" in small


def test_text_of_the_sources_cannot_become_markup(small):
    """Derivation, code, tests and captions: no tag of theirs is one of the page."""
    page = Page(small)
    assert not {"b", "u", "s", "q", "i", "em"} & set(page.tags)
    assert page.lines["first-15"] == '15     return "<q>" + f"{n_steps}<q>"  # (CD.1) <em>\n'
    assert page.lines["unlisted-1"] == "1 y = 2  # no docstring\n"
    assert "<td>a &lt; b &amp; c<td>0.5<td>0 … 1<td>yes" in small


def test_figure_goes_to_the_last_chapter_it_names_and_bounds_read_as_they_are():
    """By name, then by its source line; one that names nothing stands in the last chapter."""
    chapters = [SimpleNamespace(name=name, labels=[label]) for name, label in (("one", "AB.1"), ("two", "CD.1"),
                                                                              ("three", "EF.1"))]
    for name, source, chapter in (("one_two", "none", "two"), ("plain", "AB.1 and CD.1", "two"),
                                  ("plain", "none", "three")):
        assert home(name, f"Caption.\nSource: {source}.\nSettings: s.", chapters) == chapter
    assert [bound({"low": low, "high": high}) for low, high in ((None, 1), (0, None), (0, 1), (None, None))] == [
        "≤ 1", "≥ 0", "0 … 1", "measured"]


def test_figure_stands_once_in_the_chapter_it_names(small):
    """By its name, else by the labels of its source; one that failed is left out, a missed claim is shown."""
    assert sorted(re.findall('id="figure-([^"]*)', small)) == ["first_look", "one", "quick"]
    assert sorted(Page(small).images) == ["a.png", "b.gif", "first_look.png", "one.png"]
    assert 'id="figure-one"' in part(small, 'class=chapter id="second"', "</section>")
    assert 'id="figure-first_look"' in part(small, 'class=chapter id="first"', "</section>")
    assert "<details open><summary>2 claims checked, 1 missed" in part(small, 'id="figure-one"', "</figure>")
    assert "<details><summary>1 claims checked, none missed" in part(small, 'id="figure-first_look"', "</figure>")
    assert "<details><summary>0 claims checked, none missed" in part(small, 'id="figure-quick"', "</figure>")


# The page in frames of three widths, as it opens and with all equations unfolded; each chapter's shorter side while the
# middle of the longer one is in the middle of the window.
VISIT = """<!DOCTYPE html><meta charset=utf-8><body>{frames}<pre id=said></pre><script>
function look(frame) {{
  const page = frame.contentDocument, root = page.documentElement, view = frame.contentWindow, out = {{}};
  out.wider = [root.scrollWidth - root.clientWidth];
  out.images = [...page.images].filter(image => !image.naturalWidth).length;
  out.lost = [...page.links].filter(a => !page.getElementById(decodeURIComponent(a.hash.slice(1)))).length;
  out.hidden = [...page.querySelectorAll(".sides")].filter(sides => {{
    const short = sides.querySelector(".short"), box = sides.querySelector(".long").getBoundingClientRect();
    if (getComputedStyle(short).position != "sticky" || box.height < 2 * view.innerHeight) return false;
    view.scrollTo(0, view.scrollY + box.top + box.height / 2 - view.innerHeight / 2);
    const seen = short.getBoundingClientRect();
    return seen.top < 0 || seen.bottom > view.innerHeight;
  }}).length;
  out.columns = getComputedStyle(page.querySelector(".chapter:nth-of-type(3) .sides")).display == "grid" ? 2 : 1;
  page.querySelectorAll("details").forEach(details => details.open = true);
  out.wider.push(root.scrollWidth - root.clientWidth);
  return out;
}}
addEventListener("load", () => {{
  const frames = [...document.querySelectorAll("iframe")];
  said.textContent = JSON.stringify(Object.fromEntries(frames.map(frame => [frame.name, look(frame)])));
}});
</script>"""
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: the page was not opened in a browser")


def visit(pages, folder):
    """What Chromium shows of each page at 400, 800 and 1,400 pixels, and the lines of the console."""
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
        for image in Page(text).images:
            (folder / image).write_bytes(PIXEL)
    frames = "".join(f'<iframe name="{name} {width}" src="{name}.html" width="{width}" height="900"></iframe>'
                     for name in pages for width in (400, 800, 1400))
    (folder / "visit.html").write_text(VISIT.format(frames=frames), encoding="utf-8")
    run = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--allow-file-access-from-files",
         "--enable-logging=stderr", "--virtual-time-budget=20000", f"--user-data-dir={folder / 'profile'}",
         "--dump-dom", (folder / "visit.html").as_uri()],
        capture_output=True, encoding="utf-8", timeout=120, check=True)
    said = re.search(r"<pre id=\"said\">(.*?)</pre>", run.stdout, re.DOTALL)[1]
    return json.loads(said), [line for line in run.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def seen(text, tmp_path_factory):
    """One visit to the page and to one that is wrong: what is seen, and the lines of the console."""
    assert text.count("top: 1.2rem") == 1
    wrong = text.replace("top: 1.2rem", "top: -9000px").replace(
        "</body>", '<p style="width:1500px"><a href="#nowhere">.</a><script>console.error("lost")</script></body>')
    return visit({"book": text, "wrong": wrong}, tmp_path_factory.mktemp("visit"))


@needs_browser
def test_browser_shows_the_page_at_three_widths(seen):
    """No console line, no lost link, nothing wider than the window, the shorter side in view; one column if narrow."""
    frames, console = seen
    assert [line for line in console if "/wrong.html" not in line] == []
    for width in (400, 800, 1400):
        assert frames[f"book {width}"] == {
            "wider": [0, 0], "images": 0, "lost": 0, "hidden": 0, "columns": 2 if width == 1400 else 1}


@needs_browser
def test_browser_notices_a_page_that_is_wrong(seen):
    """The same visit reports a line too wide, a link to nowhere, a side that scrolls away, and an error."""
    frames, console = seen
    assert len(console) == 3 and all("lost" in line and "/wrong.html" in line for line in console)
    wrong = [frames[f"wrong {width}"] for width in (400, 800, 1400)]
    assert all(found["lost"] == 1 and found["wider"][0] > 0 for found in wrong)
    assert wrong[-1]["hidden"] > 0
