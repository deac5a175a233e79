"""Every equation has one label, is cited where it is computed, and is proved by a test that cites it.

A definition is an indented line of a module docstring that begins with a label, "(ISM.4)  J = …". Code cites
labels in comments, prose in docstrings. The docstring of a test begins with the labels it proves, "(ISM.4) (ISM.5)
J_ESM = J_ISM + C …"; a label further on is a mention, and proves nothing."""

import ast
import io
import re
import tokenize
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LABEL = re.compile(r"\b([A-Z]{2,5}\.\d+)\b")
PROVED = re.compile(r"(?:\([A-Z]{2,5}\.\d+\) ?)+")
DEFINITION = re.compile(r"^ {4,}\(([A-Z]{2,5}\.\d+)\)", re.MULTILINE)


def texts(pattern):
    """The files of the repository that match, as {name: text}."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(ROOT.glob(pattern))}


def comments(text):
    """The comments of a Python source."""
    return [token.string for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type == tokenize.COMMENT]


def docstrings(text):
    """The docstrings of a Python source with the names of what they belong to; the module's is ''."""
    nodes = [node for node in ast.walk(ast.parse(text))
             if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))]
    return [(getattr(node, "name", ""), ast.get_docstring(node, clean=False) or "") for node in nodes]


@cache
def defined(text):
    """Labels defined in a chapter."""
    return DEFINITION.findall(docstrings(text)[0][1])


@cache
def mentioned(text):
    """Labels that comments and docstrings speak of."""
    return {label for piece in comments(text) + [doc for _, doc in docstrings(text)] for label in LABEL.findall(piece)}


@cache
def proved_by_tests(text):
    """Labels at the head of the docstrings of test functions."""
    heads = [PROVED.match(doc) for name, doc in docstrings(text) if name.startswith("test_")]
    return {label for head in heads if head for label in LABEL.findall(head.group())}


def problems(package, tests):
    """What is wrong with the labels of a package and its tests, each {name: text}; an empty set if nothing is."""
    count = Counter(label for text in package.values() for label in defined(text))
    proved = {label for text in tests.values() for label in proved_by_tests(text)}
    return ({f"{label} is defined {n} times" for label, n in count.items() if n > 1}
            | {f"{label} is proved by no test" for label in count if label not in proved}
            | {f"{label} is cited in {name} but defined nowhere"
               for name, text in package.items() for label in mentioned(text) - set(count)}
            | {f"{label} is proved by a test in {name} but defined nowhere"
               for name, text in tests.items() for label in proved_by_tests(text) - set(count)})


def test_every_label_is_defined_once_and_proved_by_a_test():
    """The labels of the package and its tests have no problem; the message names the label and the file."""
    assert sorted(problems(texts("scoremin/*.py"), texts("tests/test_*.py"))) == []


def test_every_chapter_defines_labels_and_numbers_them_from_one():
    """Nothing is skipped: a chapter's labels are 1, 2, 3 … up to their number."""
    labels = [label for text in texts("scoremin/*.py").values() for label in defined(text)]
    chapters = {label.split(".")[0] for label in labels}
    assert {"MIX", "NET", "EBM", "JVP", "ESM", "ISM", "SSM", "DSM", "NCSN", "LD", "FIT", "MET"} <= chapters
    for chapter in chapters:
        numbers = sorted(int(label.split(".")[1]) for label in labels if label.split(".")[0] == chapter)
        assert numbers == list(range(1, len(numbers) + 1)), chapter


@pytest.mark.parametrize("pattern", ["figures/*.py", "README.md", "tests/test_*.py"])
def test_labels_outside_the_package_are_defined_in_it(pattern):
    """A label that a figure, the README or any line of a test speaks of exists."""
    known = {label for text in texts("scoremin/*.py").values() for label in defined(text)}
    chapters = {label.split(".")[0] for label in known}
    for name, text in texts(pattern).items():
        if name != Path(__file__).name:
            unknown = {label for label in LABEL.findall(text) if label.split(".")[0] in chapters} - known
            assert not unknown, f"{name} speaks of {sorted(unknown)}"


def without(tests, label):
    """The tests with one label struck out wherever it stands."""
    return {name: text.replace(f"({label}) ", "").replace(f"({label})", "") for name, text in tests.items()}


@pytest.mark.parametrize("label", ["MIX.2", "ISM.4", "SSM.9"])
def test_a_label_that_loses_its_test_is_reported(label):
    """On copies of the real sources: striking one label out of the tests adds exactly that complaint."""
    package, tests = texts("scoremin/*.py"), texts("tests/test_*.py")
    before, after = problems(package, tests), problems(package, without(tests, label))
    assert after - before == {f"{label} is proved by no test"} and before <= after


def test_a_label_without_definition_or_with_two_is_reported():
    """On copies of the real sources: one definition removed, one repeated, one comment mistyped."""
    package, tests = texts("scoremin/*.py"), texts("tests/test_*.py")
    before, chapter = problems(package, tests), package["implicit.py"]

    def added(text):
        return problems({**package, "implicit.py": text}, tests) - before

    assert "ISM.4 is cited in implicit.py but defined nowhere" in added(chapter.replace("    (ISM.4) ", "    "))
    assert added(chapter.replace("    (ISM.4) ", "    (ISM.4)\n    (ISM.4) ")) == {"ISM.4 is defined 2 times"}
    assert added(chapter.replace("# ()  (ISM.4)", "# ()  (ISM.40)")) == {
        "ISM.40 is cited in implicit.py but defined nowhere"}


def test_only_the_head_of_a_test_counts_as_proof():
    """A comment, a helper, the module's docstring, or a mention in the sentence proves nothing."""
    chapter = {"a.py": '"""Chapter.\n\n    (AB.1)  1 = 1\n    (AB.2)  2 = 2\n"""\nx = 1  # (AB.1) (AB.3)\n'}
    empty = {"test_a.py": '"""(AB.1)"""\n\n\ndef helper():\n    """(AB.1)"""\n\n\ndef test_a():\n    pass  # (AB.1)\n'}
    mention = {"test_a.py": 'def test_a():\n    """(AB.2) As (AB.1) says, and (AB.1) (AB.1)."""\n'}
    proof = {"test_a.py": 'def test_a():\n    """(AB.1) (AB.2) Both."""\n'}
    undefined = "AB.3 is cited in a.py but defined nowhere"
    assert problems(chapter, empty) == {undefined, "AB.1 is proved by no test", "AB.2 is proved by no test"}
    assert problems(chapter, mention) == {undefined, "AB.1 is proved by no test"}
    assert problems(chapter, proof) == {undefined}
