"""figures/book.html: its mathematics, what stands in it, where its links lead, how a browser shows it."""

import ast
import base64
import doctest
import json
import os
import re
import shutil
import subprocess
import sys
import unicodedata
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest

from figures.book import book, split
from figures.book_html import cells, marker
from figures.book_math import ACCENTS, pieces
from figures.book_read import blocks, chapter, exercises, home, sources
from figures.gallery import bounds

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "figures"
MODULES = sorted((ROOT / "scoremin").glob("*.py"))
CLAIMS = [{"text": "a < b & c", "value": 0.5, "low": 0.0, "high": 1.0, "holds": True},
          {"text": "too large", "value": 2.0, "low": None, "high": 1.0, "holds": False},
          {"text": "measured", "value": 3.0, "low": None, "high": None, "holds": True}]
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def docstring(path):
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")), clean=False) or ""


def records():
    """The figure scripts with their captions as a run records them, all with the same claims."""
    scripts = [path for path in sorted(FIGURES.glob("[!_]*.py"))
               if re.search(r"(?m)^def measure\(", path.read_text(encoding="utf-8"))]
    return {path.stem: {"caption": docstring(path), "claims": CLAIMS, "budget": 1.0} for path in scripts}


# Mathematics.


def linear(node):
    """MathML as text again, ↕script↨, ⟨numerator∣denominator⟩, √⟦root⟧, ⦅brackets left out⦆."""
    parts = [linear(child) for child in node]
    if node.tag == "mfrac":
        text = "⟨{}∣{}⟩".format(*parts)
    elif node.tag in ("msub", "msup", "munder", "msubsup", "munderover"):
        text = parts[0] + "".join(f"↕{part}↨" for part in parts[1:])
    elif node.tag == "msqrt":
        text = f"√⟦{''.join(parts)}⟧"
    else:
        text = (node.text or "") + "".join(part + (child.tail or "") for part, child in zip(parts, node))
    return f"⦅{text}⦆" if node.get("class") == "bare" else text


def symbols(text):
    """The symbols of a source in order, without spaces and marks of scripts and code; an index before an exponent."""
    text = "".join(ACCENTS.get(c, c) for c in unicodedata.normalize("NFD", ordered(text)))
    text = "".join(c if c in "½⅓¼⅛…¯˜ˆ˙¨" else unicodedata.normalize("NFKC", c) for c in text)
    return re.sub(r"[\s_^{}`]|(?<![θ↕])[*]", "", text.translate(str.maketrans("~'", "∼′")))


def ordered(text):
    """φ'_1 as φ_1', S⁻¹_ij as S_ij⁻¹: as they are drawn."""
    return re.sub(r"(['⁰¹²³⁴-⁹⁺⁻ᵀᵏⁿ]+)(_(?:\{[^{}]*\}|[A-Za-z0-9]+))", r"\2\1", text)


def scripts(text):
    """The symbols with ↕ before each index and exponent, without primes."""
    text = re.sub("[⁰¹²³⁴-⁹⁺⁻ᵀᵏⁿ]+|[₀-₉₊₋]+|(?<=θ)[*]", r"↕\g<0>", ordered(text))
    return symbols(re.sub("′|'", "", re.sub(r"(?<=[\w)\]}‖|∑∫∇∂'½\u0300-\u036f])[_^](?=[\w{(+−±½∞])", "↕", text)))


def texts():
    """Every paragraph of prose and every cell of an equation or table, of chapters, captions and exercises."""
    extra = [part for e in exercises(FIGURES / "exercises.md").values()
             for part in [e.opening, *e.example, *(text for pair in e.pairs for text in pair)]]
    for text in [*(chapter(path).body for path in MODULES), *(r["caption"] for r in records().values()), *extra]:
        for lines in blocks(text):
            code = lines[0].startswith("    ") and ("import" in lines[0] or ">>>" in lines[0])
            for line in [] if code else lines if lines[0].startswith("    ") else [" ".join(lines)]:
                label = re.match(r" {4,}\([A-Z]{2,5}\.\d+\)", line)
                for cell in cells(line[label.end():]) if label else cells(line) if line.startswith(" ") else [line]:
                    yield cell, not line.startswith(" ")


def test_mathematics_of_every_text_has_exactly_the_symbols_of_its_source():
    """All equations and paragraphs: well-formed, and read back symbol by symbol in order, brackets and slashes too."""
    mark, count = marker(set(), set(), {}), 0
    for text, is_prose in texts():
        tree = ET.fromstring(f"<p>{mark(text, is_prose).replace('<wbr>', '')}</p>")
        drawn = re.sub("[⟨⟩⟦⟧]", "", linear(tree).translate(str.maketrans("∣⦅⦆", "/()")))
        assert symbols(re.sub("[↕↨]", "", drawn)) == symbols(text), text
        assert scripts(re.sub("↕′+↨|↨", "", drawn)) == scripts(text), text  # but for primes alone
        count += len(tree.findall(".//math"))
    assert count > 1500


@pytest.mark.parametrize("source, drawn", [
    ("(W₃W₁)ᵀ", "(W<3>W<1>)<T>"), ("W_3 W_1ᵀ", "W<3>W<1><T>"), ("∑_{j≠i} a_j", "∑<j≠i>a<j>"),
    ("Σ_k⁻¹(μ_k−x)", "Σ<k><−1>(μ<k>−x)"), ("N(x; μ, Σ)", "N(x;μ,Σ)"), ("−∑_k r_k Σ_k⁻¹", "−∑<k>r<k>Σ<k><−1>"),
    ("√(2ε) z", "√[2ε]z"), ("√ᾱ x", "√[α¯]x"), ("‖s‖²", "‖s‖<2>"), ("p‖q", "p‖q"),
    ("½‖s_+ − s_−‖²", "½‖s<+>−s<−>‖<2>"), ("E[z | x̃]", "E[z|x˜]"), ("ẏ_l + ä", "y˙<l>+a¨"), ("φ''(y)", "φ<′′>(y)"),
    ("φ'_1ᵀ", "φ<1><′T>"), ("q_σ'", "q<σ<′>>"), ("1/2σ²", "⟨1∣2σ<2>⟩"), ("a b/c d", "a⟨b∣c⟩d"),
    ("a b / c d", "⟨ab∣cd⟩"), ("(a + b)/c", "⟨a+b∣c⟩"), ("(a)(b)/c", "⟨(a)(b)∣c⟩"), ("(a + b)²/c", "⟨(a+b)<2>∣c⟩"),
    ("∂²log p/∂x", "⟨∂<2>logp∣∂x⟩"), ("σ tr ∂s/∂x", "σtr⟨∂s∣∂x⟩"), ("1/Var x", "⟨1∣Varx⟩"),
    ("d KL/dσ²", "⟨dKL∣dσ<2>⟩"), ("σ x/σ²", "σ⟨x∣σ<2>⟩"), ("HCHᵀ + noise² I", "HCH<T>+noise<2>I"),
    ("∫_0^∞ du", "∫<0><∞>du"), ("Var a/Var b", "⟨Vara∣Varb⟩"), ("e^−½ e^{−E_θ}", "e<−½>e<−E<θ>>"),
    ("(2π)^((d−1)/2)", "(2π)<(d−1)/2>"), ("step·a/4", "step·⟨a∣4⟩"), ("J_SSM-VR(θ)", "J<SSM-VR>(θ)"),
    ("∫_0^σ D dλ", "∫<0><σ>Ddλ"), ("max_ij c", "max<ij>c"), ("u_(i)", "u<(i)>"), ("e^{−x²/2}", "e<−x<2>/2>"),
    ("{k: x_k ≥ 1}", "{k:x<k>≥1}"),
    ("θ* ∈ [0, 1)", "θ<*>∈[0,1)"), ("median_i κ^⅓", "median<i>κ<⅓>"), ("p(x|y) ≤ |z|", "p(x|y)≤|z|"),
    ("f |_{t=0}", "f|<t=0>"), ("w^{(j)}", "w<(j)>"), ("(W_1 + W_2) / n m", "⟨W<1>+W<2>∣nm⟩"),
    ("log p/q", "log⟨p∣q⟩"), ("½(π (k − 1)/steps)", "½(π⟨k−1∣steps⟩)")])
def test_hard_kinds_of_mathematics_are_drawn_as_they_are_meant(source, drawn):
    """Scripts in <>, roots in [], numerator ∣ denominator; what is left out of brackets is not here."""
    found = "".join(piece for kind, piece, _ in pieces(source))
    text = linear(ET.fromstring(f"<p>{found}</p>")).translate(str.maketrans("↕↨⟦⟧", "<>[]"))
    assert "<math>" in found and re.sub(r"[\s⦅⦆]", "", text) == drawn


def test_what_is_no_mathematics_stays_as_it_is():
    """Words, articles, half formulas: no symbol is lost, none becomes another."""
    for text in ("a half (and more) of it", "‖a or more‖", "‖a or more‖", "f(x", "a/ b", "of x + ²",
                 "A model, e.g. Li & Ho et al. 2005", "x^", "[0, 1)"):
        out = "".join(" " * space + piece for _, piece, space in pieces(text, prose=True)).strip()
        assert re.sub("<[^>]*>| ", "", out) == text.replace(" ", "") and ("<math>" in out or out == text)
    for text, part in (("= −x", 'form="prefix"'), ("f(x,y)/z", 'lspace="0"'), ("HD", "<mrow>")):
        assert pieces(text, prose=text != "HD")[0][1].count(part) == 1  # a sign that binds, a slash, a product
    for text, kinds in (("so a model has a = x", "ttttm"), ("A model is A", "tttm"),
                        ("u/scale is f(x, y), a scale", "mtmttt")):
        assert "".join(kind[0] for kind, *_ in pieces(text, prose=True)) == kinds


# The page.


class Page(HTMLParser):
    """The tags of a page with their attributes; the text of each line of code, its number first."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.lines, self.line = [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if ("class", "line") in attrs:
            self.line = dict(attrs)["id"]
            self.lines[self.line] = ""

    def handle_endtag(self, tag):
        self.line = None if tag == "pre" else self.line

    def handle_data(self, data):
        if self.line:
            self.lines[self.line] += data

    def all(self, attribute):
        return [attrs[attribute] for _, attrs in self.tags if attribute in attrs]


@pytest.fixture(scope="module")
def text():
    return book(records())


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_page_is_one_file_that_loads_only_pictures(text, page):
    """No script, style sheet, frame, font from outside, no handler in the markup; other sites are sources alone."""
    tags = [tag for tag, _ in page.tags]
    assert not {"link", "iframe", "object", "embed", "base", "form"} & set(tags) and tags.count("script") == 1
    assert not [tag for tag, attrs in page.tags for name in attrs if name[:2] == "on" or tag == "script"]
    assert not re.search(r"@import|url\(|fetch\(|XMLHttp|import\(", text)
    assert {link for link in page.all("href") if ":" in link} <= set(sources(FIGURES / "sources.txt").values())
    assert {f"{name}.png" for name in records()} == set(page.all("src"))


def test_every_link_leads_to_one_place(page):
    """No id twice, no link without its target, in the page or beside it; a file's line is the test it names."""
    ids, links = page.all("id"), page.all("href")
    inside = {link[1:] for link in links if link[0] == "#"}
    assert len(ids) == len(set(ids)) and inside <= set(ids) and len(links) > 500
    for link in {link for link in links if link.startswith("../")}:
        path, _, line = link[3:].partition("#L")
        source = (ROOT / path).read_text(encoding="utf-8").splitlines()
        assert not line or re.match(r"def test_| {4,}\([A-Z]+\.\d+\)", source[int(line) - 1]), link


def test_every_label_and_every_line_of_code_stands_in_the_page_once(page):
    """Labels begin an indented line of a module's docstring; code is all that follows it, character by character."""
    labels, count = set(), 0
    for path in MODULES:
        labels |= set(re.findall(r"(?m)^ {4,}\(([A-Z]{2,5}\.\d+)\)", docstring(path)))
        source = path.read_text(encoding="utf-8")
        for row, line in enumerate(source.splitlines(), 1):
            name = f"{path.stem}-{row}"
            if row > ast.parse(source).body[0].end_lineno and (line.strip() or name in page.lines):
                assert re.sub(" +#", "#", page.lines[name]) == re.sub(" +#", "#", f"{row}{line}\n")
                count += 1
    assert len(labels) > 90 and count == len(page.lines)
    assert {name for name in page.all("id") if re.fullmatch(r"[A-Z]+\.\d+", name)} == labels


def test_chapters_stand_in_reading_order(page):
    """That of the list in the package's docstring; modules it does not list come last."""
    listed = re.findall(r"(?m)^    (\w+) +[A-Z]{2,5}\b", docstring(ROOT / "scoremin" / "__init__.py"))
    names = [name for name in page.all("id") if name in {path.stem for path in MODULES}]
    assert len(listed) > 10 and names[:len(listed) + 1] == ["__init__", *listed] and len(names) == len(MODULES)


@pytest.mark.parametrize("python", [sys.executable, "python3.10", "python3.11", "python3.12", "python3.13"])
def test_same_sources_give_the_same_bytes(text, python):
    """In another process, whatever the order of sets, and on every Python that is here."""
    code = "import json, sys, figures.book as b; sys.stdout.buffer.write(b.book(json.load(sys.stdin)).encode())"
    if subprocess.run(["sh", "-c", f"{python} -c 0"], capture_output=True).returncode:
        pytest.skip(f"no {python} here")
    run = subprocess.run([python, "-c", code], input=json.dumps(records()).encode(), cwd=ROOT, check=True,
                         env={**os.environ, "PYTHONHASHSEED": "1"}, stdout=subprocess.PIPE)
    assert run.stdout.decode("utf-8") == text


# What stands beside the chapters.


def test_exercises_have_right_answers(monkeypatch):
    """Every line of an interpreter in exercises.md gives what it says; each chapter has three."""
    path, names = FIGURES / "exercises.md", {}
    monkeypatch.chdir(ROOT)  # where the book tells its reader to start
    exec("import autograd.numpy as np\nfrom scoremin import *", names)  # what the book tells its reader to type
    found = doctest.testfile(str(path), module_relative=False, globs=names)
    assert found.failed == 0 and found.attempted > 39
    chapters = {path.stem for path in MODULES if re.search(r"^ {4,}\([A-Z]+\.1\)", docstring(path), re.MULTILINE)}
    extras = exercises(path)
    assert chapters <= set(extras)
    for name, extra in extras.items():
        assert len(extra.pairs) == 3 and len(extra.example) == 1 and any(">>>" in a for _, a in extra.pairs), name
        assert ">>>" in extra.example[0] or ">>>" in extra.pairs[0][1], name  # the example runs, there or right after
        assert name not in chapters or (FIGURES / extra.picture).is_file(), name


def test_every_source_of_a_chapter_or_a_figure_has_its_address():
    """"Vincent 2011" and the like in paragraphs that begin with Source stand in sources.txt."""
    known = sources(FIGURES / "sources.txt")
    for text in [*map(docstring, MODULES), *(record["caption"] for record in records().values())]:
        for part in re.findall(r"Sources?:(.*?)(?=\nSettings|\n\n|\Z)", text, re.DOTALL):
            author = r"[A-ZÀ-Þ][\w-]+"
            named = rf"(?:{author}, )*{author}(?: & {author}| et al\.)? (?:19|20)\d\d"
            for name in re.findall(named, " ".join(part.split())):
                assert name in known, name


# A package of our own.


SOURCES = {
    "scoremin/__init__.py": '''"""Small: a book.\n\nRead:\n\n    second    AB\n    first     CD\n"""\n''',
    "scoremin/first.py": '''"""First (CD): it is <b>plain</b> & "quoted".

Let x_i be `x` and n_steps p^{1/T}, by (AB.2); XY.1 is no label. By Vincent 2011.

    (CD.1)   a_i < b,   i > 0
             or <i>so</i>

And then

    (CD.10)  a = b & c

    a table  <u>
      of two lines
"""
import sys

def helper(n_steps):
    """By (AB.2), <s>"""
    return "<q>"

def ten():
    return helper(1)  # (CD.1) (CD.10)

def one(n_steps):
    return f"{n_steps}<q>"  # (CD.1) <em>
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
    "figures/exercises.md": '''## first

Why <i>.

![](one.png)

**By hand.** 1 + 1.

**Exercise.** What?

**Answer.** That.
''',
    "figures/sources.txt": "Vincent 2011  https://doi.org/1\n",
}
RECORDS = {
    "one": {"caption": "By label.\n\nText.\n\nSource: equations AB.1 to AB.3.\nSettings: CD.1.", "claims": CLAIMS},
    "first_look": {"caption": "By name, <b>bold</b>.\n\nSee (AB.1).", "claims": CLAIMS[:1]},
    "quick": {"caption": "Quick.\n\nOf (CD.10).", "claims": CLAIMS, "budget": 0.01, "pictures": ["a.png", "b.gif"]},
    "broken": {"error": "Traceback"},
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The page of that package."""
    root = tmp_path_factory.mktemp("small")
    for name, source in SOURCES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(source, encoding="utf-8")
    return book(RECORDS, root)


def part(text, start, end):
    return text[text.index(start):].partition(end)[0]


def test_equation_unfolds_to_its_lines_tests_and_figures(small):
    """What computes, proves and shows a label, and nothing else; ranges count."""
    equation = part(small, 'id="CD.1"', "</details>")
    assert '<a href="#first-25">first.py, 25</a>' in equation
    assert '<a href="../tests/test_any.py#L1"><code>test_any.py::test_a</code></a>' in equation
    assert "It holds" in equation and "No." not in equation and "More" not in equation
    assert re.findall(r'href="#figure-(\w+)"', equation) == ["one"]
    assert re.findall("<dt>(\\w+)", equation) == ["defined", "computed", "proved", "shown"]
    assert '<dt>defined<dd><a href="../scoremin/first.py#L5">' in equation
    for label, shown in (("AB.1", ["one", "first_look"]), ("AB.2", ["one"]), ("AB.3", ["one"])):
        equation = part(small, f'id="{label}"', "</details>")
        assert "second.py, 7" in equation and "<dt>proved" not in equation
        assert re.findall(r'href="#figure-(\w+)"', equation) == shown


def test_code_stands_beside_its_paragraph(small):
    """What computes a label beside the text that ends in it, a helper before its first user, the rest at the end."""
    one, ten = part(small, 'class=chapter id="first"', "</section>").split("<div class=side>")[-2:]
    ids = lambda text: re.findall(r'class=line id="first-(\d+)"', text)
    ten, rest = ten.split("<details class=rest>")
    assert 'id="CD.1"' in one and ids(one) == ["24", "25"] and one.index("class=eq") < one.index("class=line")
    assert 'id="CD.10"' in ten and ids(ten) == ["17", "18", "19", "21", "22"]
    assert ids(rest) == ["15"]


def test_columns_end_together():
    """By hand: text of ten lines, code of 2, 3 and 6, each with a line above; ahead is what the code is longer then."""
    c = SimpleNamespace(blocks=[["a" * 200, "b" * 80]], lines=["x = 1"] * 5 + ["y" * 80] * 3)
    chunks = [SimpleNamespace(rows=rows) for rows in (range(1, 3), range(3, 6), range(6, 9))]
    assert split(c, [0], chunks, 0) == (1, 0)  # 11 beside 13, not 14 beside 10
    assert split(c, [0], chunks, 14) == (2, 4)  # 14 + 7 beside 17
    assert split(c, [0], chunks[2:], 0) == (0, 0) and split(c, [0], [], 30) == (0, 20)


def test_links_and_mathematics_of_a_text(small):
    """A label, a source is a link, what looks like one is not; n_steps is code, a table keeps its form."""
    assert '# (<a href="#CD.1">CD.1</a>)' in part(small, 'id="first-25"', "\n")
    assert 'By (<a href="#AB.2">AB.2</a>), &lt;s&gt;' in part(small, 'id="first-18"', "\n")
    assert 'by (<a href="#AB.2">AB.2</a>); XY.1 is no label. By <a href="https://doi.org/1">Vincent 2011</a>' in small
    assert "<msub><mi>x</mi><mi>i</mi></msub></math> be <code>x</code> and <code>n_steps</code> <math>" in small
    assert part(small, 'id="CD.1"', "<dl>").count("class=row") == 2
    assert "<pre>a table  &lt;u&gt;\n  of two lines</pre>" in small


def test_chapter_opens_and_ends_with_what_stands_beside_it(small):
    """Opening, picture and example before the derivation; the answer folded after it."""
    first = part(small, 'class=chapter id="first"', "</section>")
    places = [first.index(text) for text in ("Why<wbr><math>", 'src="one.png"', "By hand", "class=side", "What?",
                                            "<summary>answer</summary><p>That.")]
    assert places == sorted(places)


def test_text_of_the_sources_cannot_become_markup(small):
    """Derivation, code, tests, exercises and captions: no tag of theirs is one of the page."""
    page = Page(small)
    assert not {"b", "u", "s", "q", "i", "em"} & {tag for tag, _ in page.tags}
    assert page.lines["first-25"] == '25    return f"{n_steps}<q>"# (CD.1) <em>\n'
    assert page.lines["unlisted-1"] == "1y = 2# no docstring\n"


def test_figure_goes_to_the_last_chapter_it_names_and_bounds_read_as_they_are():
    """By name, then by its source line; one that names nothing stands in the last chapter. Bounds read as they are."""
    chapters = [SimpleNamespace(name=name, labels=[label]) for name, label in (("one", "AB.1"), ("two", "CD.1"),
                                                                              ("three", "EF.1"))]
    for name, source, there in (("one_two", "none", "two"), ("plain", "AB.1 and CD.1", "two"),
                                ("plain", "none", "three")):
        assert home(name, f"Caption.\nSource: {source}.\nSettings: s.", chapters) == there
    assert [bounds({"low": low, "high": high}) for low, high in ((None, 1), (0, None), (0, 1), (None, None))] == [
        "≤ 1", "≥ 0", "0 … 1", "measured"]


def test_figures_show_their_claims(small):
    """One that failed is left out, a missed claim is open, a small budget checks nothing."""
    assert sorted(re.findall('id="figure-([^"]*)', small)) == ["first_look", "one", "quick"]
    assert 'id="figure-one"' in part(small, 'class=chapter id="second"', "</section>")
    assert "<details open><summary>2 claims checked, 1 missed" in part(small, 'id="figure-one"', "</figure>")
    assert "<details><summary>1 claims checked, none missed" in part(small, 'id="figure-first_look"', "</figure>")
    assert "<details><summary>0 claims checked, none missed" in part(small, 'id="figure-quick"', "</figure>")


# In a browser: frames of four widths, as the page opens, with all unfolded, and after a search.
VISIT = """<!DOCTYPE html><meta charset=utf-8><body>{frames}<pre id=said></pre><script>
function look(frame) {{
  const page = frame.contentDocument, root = page.documentElement, out = {{}};
  const sticks = e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display != "inline";
  out.wider = [root.scrollWidth - root.clientWidth];
  out.images = [...page.images].filter(image => image.complete && !image.naturalWidth).length;
  out.lost = [...page.querySelectorAll('a[href^="#"]')].filter(a => !page.getElementById(a.hash.slice(1))).length;
  const side = page.querySelector(".side:has(> .code)");
  out.beside = side.querySelector(".side > .code").offsetTop < side.querySelector(".text").offsetTop
    + side.querySelector(".text").offsetHeight - 1;
  page.querySelectorAll("details").forEach(details => details.open = true);
  out.wider.push(root.scrollWidth - root.clientWidth);
  out.scrolls = [...page.querySelectorAll(".code, .code *, .eq *, .text, .text p, pre, aside")].filter(
    e => !e.closest("math") && sticks(e)).map(e => e.textContent.slice(0, 60));
  const field = page.querySelector("#search input");
  field.value = "ism.4"; field.dispatchEvent(new Event("input"));
  out.found = page.querySelector("#search li a")?.getAttribute("href");
  return out;
}}
addEventListener("load", () => {{
  const frames = [...document.querySelectorAll("iframe")];
  said.textContent = JSON.stringify(Object.fromEntries(frames.map(frame => [frame.name, look(frame)])));
}});
</script>"""
WIDTHS = (400, 900, 1400, 1440)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: the page was not opened in a browser")


@pytest.fixture(scope="module")
def seen(text, tmp_path_factory):
    """What Chromium shows of the page and of one that is wrong, and the lines of its console."""
    folder = tmp_path_factory.mktemp("visit")
    wrong = text.replace("minmax(0, 1fr)", "1200px").replace(
        "</main>", '<p style="width:1500px"><a href="#nowhere">.</a><script>console.error("lost")</script></main>')
    for name, content in (("book", text), ("wrong", wrong)):
        (folder / f"{name}.html").write_text(content, encoding="utf-8")
    for image in Page(text).all("src"):
        (folder / image).write_bytes(PIXEL)
    frames = "".join(f'<iframe name="{name} {width}" src="{name}.html" width="{width}" height="900"></iframe>'
                     for name in ("book", "wrong") for width in WIDTHS)
    (folder / "visit.html").write_text(VISIT.format(frames=frames), encoding="utf-8")
    run = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--allow-file-access-from-files", "--enable-logging=stderr", "--virtual-time-budget=20000",
         f"--user-data-dir={folder / 'profile'}", "--dump-dom", (folder / "visit.html").as_uri()],
        capture_output=True, encoding="utf-8", timeout=120, check=True)
    said = re.search(r"<pre id=\"said\">(.*?)</pre>", run.stdout, re.DOTALL)[1]
    return json.loads(said), [line for line in run.stderr.splitlines() if "CONSOLE" in line]


@needs_browser
def test_browser_shows_the_page_at_every_width(seen):
    """No console line, no lost link, nothing wider than its place, code beside its paragraph where there is room."""
    frames, console = seen
    assert [line for line in console if "/wrong.html" not in line] == []
    for width in WIDTHS:
        assert frames[f"book {width}"] == {"wider": [0, 0], "images": 0, "lost": 0, "beside": width >= 1100,
                                           "scrolls": [], "found": "#ISM.4"}, width


@needs_browser
def test_browser_notices_a_page_that_is_wrong(seen):
    """The same visit reports a line too wide, a link to nowhere and an error."""
    frames, console = seen
    assert len(console) == len(WIDTHS) and all("lost" in line and "/wrong.html" in line for line in console)
    assert all(frames[f"wrong {width}"]["lost"] == 1 and frames[f"wrong {width}"]["wider"][0] > 0 for width in WIDTHS)
