"""What the book is made of: chapters and their code, tests, captions of figures, exercises, sources."""

import ast
import keyword
import re
from collections import defaultdict
from itertools import dropwhile
from pathlib import Path
from types import SimpleNamespace

ROOT, PACKAGE = Path(__file__).resolve().parent.parent, "scoremin"
DEFINITION = re.compile(r" {4,}\(([A-Z]{2,5}\.\d+)\)(.*)")
PROVED = re.compile(r"\(([A-Z]{2,5}\.\d+)\)")  # in the docstring of a test
CITED = re.compile(r"\b([A-Z]{2,5})\.(\d+)(?:(?:\)? to \(?\1\.|\)?[–-]\(?(?:\1\.)?)(\d+)\b)?")  # or "SSM.6 to SSM.10"
BLOCKS = re.compile(r"\n(?:[ \t]*\n)+|\n(?=Source:|Sources:|Settings:|- )")
STRING = r'''(?:\b[rbf])?(?:"""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')'''
COLOURED = re.compile(rf"(?P<s>{STRING})|(?P<c>#.*)|(?:(?<=def )|(?<=class ))(?P<d>\w+)"
                      rf"|\b(?P<k>{'|'.join(keyword.kwlist)})\b")


def cited(text):
    """The labels that a text speaks of, also those inside a range."""
    return list(dict.fromkeys(f"{m[1]}.{i}" for m in CITED.finditer(text)
                              for i in range(int(m[2]), int(m[3] or m[2]) + 1)))


def colours(text):
    """Row -> (left, right, kind) of strings, comments, names defined and keywords: s, c, d, k."""
    rows = defaultdict(list)
    for m in COLOURED.finditer(text):
        row, left = text.count("\n", 0, m.start()) + 1, m.start() - text.rfind("\n", 0, m.start()) - 1
        for part in m[0].split("\n"):
            rows[row].append((left, left + len(part), m.lastgroup))
            row, left = row + 1, 0
    return rows


def chapter(path):
    """A module: title, lead and derivation from its docstring, its code in pieces, the labels that it defines."""
    text = path.read_text(encoding="utf-8")
    tree, lines = ast.parse(text), text.splitlines()
    doc = ast.get_docstring(tree, clean=False)  # its indentation tells equations from prose
    title, _, body = (doc or path.stem).strip().partition("\n\n")
    name, _, lead = " ".join(title.split()).partition(": ")
    c = SimpleNamespace(name=path.stem, title=name.rstrip("."), lead=lead[:1].upper() + lead[1:], body=body,
                        blocks=blocks(body), lines=lines, rows=colours(text))
    end = tree.body[0].end_lineno if doc else 0
    c.defines = [(m[1], row) for row, m in enumerate(map(DEFINITION.match, lines[:end]), 1) if m]
    c.labels = [label for label, _ in c.defines]
    c.computes = [(label, row) for row in sorted(c.rows) for left, right, kind in c.rows[row] if kind == "c"
                  for label in cited(lines[row - 1][left:right])]
    c.chunks = chunks(c, tree.body[bool(doc):], end)
    return c


def blocks(text):
    """The paragraphs of a text, each a list of lines."""
    return [block.splitlines() for block in BLOCKS.split(text.strip("\n")) if block.strip()]


def chunks(c, nodes, end):
    """The code of a chapter in pieces: functions, methods, and other lines as they stand together."""
    owners, found = {part: top.name for top in nodes for part in methods(top)}, []
    parts = [part for top in nodes for part in [top, *methods(top)]]
    starts = [min(part.lineno for part in [node, *getattr(node, "decorator_list", [])]) for node in parts]
    for node, start, after in zip(parts, starts, [*starts[1:], len(c.lines) + 1]):
        while start - 1 > end and re.match(r"\s*(#|$)", c.lines[start - 2]):
            start -= 1  # comments above it
        end = min(node.end_lineno, after - 1)  # of a class, what stands before its methods
        rows = list(dropwhile(lambda row: not c.lines[row - 1].strip(), range(start, end + 1)))
        simple = not hasattr(node, "body")
        if found and simple and found[-1].simple and rows[0] == found[-1].rows[-1] + 1:
            found[-1].rows += rows
        else:
            name = getattr(node, "name", "")
            found.append(SimpleNamespace(name=name, owner=owners.get(node), rows=rows, simple=simple))
    return found


def methods(node):
    return [part for part in node.body if isinstance(part, ast.FunctionDef)] if isinstance(node, ast.ClassDef) else []


def read(root):
    """The chapters, __init__ first and then in the order that its docstring lists them; what it does not list, last."""
    modules = {path.stem: chapter(path) for path in sorted((root / PACKAGE).glob("*.py"))}
    listed = [name for name in re.findall(r"^ {4,}(\w+)", modules["__init__"].body, re.MULTILINE) if name in modules]
    return [modules[name] for name in dict.fromkeys(["__init__", *listed, *modules])]


def places(c):
    """Chunks of a chapter by the index of the block they stand beside; None: the end.

    One that computes labels stands beside the last of them; a helper before its first user."""
    defined = {m[1]: i for i, lines in enumerate(c.blocks) for m in map(DEFINITION.match, lines) if m}
    home = {}
    for k, chunk in enumerate(c.chunks):
        found = [defined[label] for label, row in c.computes if row in chunk.rows and label in defined]
        home[k] = max(found) if found else None
    for k in reversed(range(len(c.chunks))):  # helpers of helpers stand above them
        users = [home[j] for j, other in enumerate(c.chunks) if home[j] is not None and uses(c, other, c.chunks[k])]
        if home[k] is None and users:
            home[k] = min(users)
    beside = defaultdict(list)
    for k, chunk in enumerate(c.chunks):
        beside[home[k]].append(chunk)
    return beside


def uses(c, chunk, helper):
    """Whether a chunk of code names a function that another one defines."""
    name = helper.name
    if helper.rows[0] < chunk.rows[0] and chunk.owner == name:
        return True  # a method of a class
    return bool(name) and not name.startswith("__") and any(
        re.search(rf"(?<![\w.]){name}\b", c.lines[row - 1]) for row in chunk.rows)


def tests(root):
    """(file, line, name, docstring) of each test."""
    for path in sorted((root / "tests").glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield path.name, node.lineno, node.name, " ".join((ast.get_docstring(node) or "").split())


def home(name, caption, chapters):
    """The last chapter that a figure's name speaks of; where it names none, its source line, then its caption."""
    source = caption.partition("\nSource:")[2].partition("\nSettings:")[0]
    for text in (name.replace("_", " "), source, caption):
        found = [c.name for c in chapters if re.search(rf"(?i:\b{c.name}\b)", text)
                 or any(re.search(rf"\b{label.partition('.')[0]}\b", text) for label in c.labels)]
        if found:
            return found[-1]
    return chapters[-1].name


def exercises(path):
    """Chapter -> opening, picture, example and (question, answer) pairs, from the sections of exercises.md."""
    out = defaultdict(lambda: SimpleNamespace(opening="", picture="", example=[], pairs=[]))
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        name, _, body = section.partition("\n")
        opening, *rest = re.split(r"^\*\*(By hand|Exercise|Answer)\.\*\* ", body, flags=re.MULTILINE)
        opening, _, picture = opening.partition("![")
        parts = list(zip(rest[::2], rest[1::2]))
        example, asked, answered = ([part.strip("\n") for k, part in parts if k == kind]
                                    for kind in ("By hand", "Exercise", "Answer"))
        out[name.strip()] = SimpleNamespace(opening=opening.strip(), picture=picture.partition("](")[2].strip(")\n"),
                                            example=example, pairs=list(zip(asked, answered)))
    return out


def sources(path):
    """"Vincent 2011" -> its address, from the lines of sources.txt."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return dict(re.split(r" {2,}", line)[:2] for line in lines if line.strip())
