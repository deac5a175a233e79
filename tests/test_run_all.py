"""run_all.py as its user meets it: exit status, files and options, on a copy with small figures of our own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FIGURE = '''"""Title of {name}.

What to see.
"""

import os
import time
from pathlib import Path

from .common import Claim, stream


def main(seed, budget, out, progress):
    out.write_bytes(b"half a picture")
    {action}
    out.write_bytes(b"picture")
    return [Claim("a number", float(stream(seed, "x").random()), {low}, 1.0), Claim("the budget", budget, None, None)]
'''
SLEEP = "Path(out.parent / 'pid').write_text(str(os.getpid())); time.sleep(60)"
FIGURES = {"good": ("pass", 0.0), "missed": ("pass", 0.999), "broken": ("raise KeyError('lost')", 0.0),
           "slow": (SLEEP, 0.0), "leaves": ("raise SystemExit(0)", 0.0), "dies": ("os._exit(3)", 0.0),
           "nameless": ("return [Claim('no number', float('nan'), None, None)]", 0.0)}
REAL = ["mixture_weights", "langevin_step"]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the repository whose list of figures has ours as well."""
    root = tmp_path_factory.mktemp("copy")
    for part in ("scoremin", "figures"):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__", "*.png", "*.json"))
    for name, (action, low) in FIGURES.items():
        (root / "figures" / f"{name}.py").write_text(FIGURE.format(name=name, action=action, low=low))
    text, names = (ROOT / "run_all.py").read_text(encoding="utf-8"), dict.fromkeys(FIGURES, 1)
    assert text.count("FIGURES = {\n") == 1
    (root / "run_all.py").write_text(text.replace("FIGURES = {\n", f"FIGURES = {str(names)[:-1]},\n"), encoding="utf-8")
    return root


def start(copy, *options, **settings):
    """run_all.py with these options, as a process of its own."""
    return subprocess.Popen([sys.executable, "run_all.py", *map(str, options)], cwd=copy, text=True,
                            encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.PIPE, **settings)


def finish(process):
    """Its exit status, what it printed, and what it said on the error stream."""
    printed, said = process.communicate(timeout=60)
    return process.returncode, printed, said


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def results(out):
    """The figures of results.json, read as strict JSON."""
    return json.loads((out / "results.json").read_text(encoding="utf-8"), parse_constant=refuse)["figures"]


def names(out):
    """The files of a folder, hidden ones included."""
    return sorted(path.name for path in out.iterdir())


@pytest.fixture(scope="module")
def runs(copy):
    """Runs that do not depend on each other, at the same time: name -> (status, printed, said, folder)."""
    options = {
        "mixed": ["--jobs", 1, "--only", "broken", "good", "missed"], "missed": ["--only", "missed"],
        "one job": ["--quick", "--jobs", 1, "--only", "missed", *REAL],
        "two jobs": ["--quick", "--jobs", 2, "--only", "missed", *REAL],
    }
    started = {name: start(copy, *given, "--out", copy / name) for name, given in options.items()}
    return {name: (*finish(process), copy / name) for name, process in started.items()}


def test_list_names_every_figure_script():
    """--list prints the names of all scripts in figures/, one a line, and exits 0."""
    status, printed, _ = finish(start(ROOT, "--list"))
    scripts = {path.stem for path in (ROOT / "figures").glob("[!_]*.py")} - {"common"}
    assert status == 0
    assert set(printed.split()) == scripts
    assert len(printed.split()) == len(scripts)


@pytest.mark.parametrize("options, named", [
    (["--only", "good", "nonsense"], "no figure named nonsense; --list"), (["--jobs", "0"], "--jobs wants at least 1"),
    (["--seed", "-1"], "--seed at least 0"), (["--fast"], "--fast"),
])
def test_bad_usage_exits_2_and_writes_nothing(copy, options, named):
    """A name, number or option that is unknown is refused by name before any work."""
    status, printed, said = finish(start(copy, *options, "--out", copy / "refused"))
    assert (status, printed) == (2, "")
    assert named in said
    assert not (copy / "refused").exists()


def test_quick_run_draws_and_writes_results_and_gallery(runs):
    """--quick: PNG, strict JSON and gallery in --out, nothing else; claims, missed ones too, are not checked."""
    status, _, said, out = runs["one job"]
    assert status == 0
    assert names(out) == sorted(["README.md", "results.json", "missed.png", *(f"{name}.png" for name in REAL)])
    assert (out / "mixture_weights.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert "claims not checked" in said
    record, page = results(out)["mixture_weights"], (out / "README.md").read_text(encoding="utf-8")
    assert record["budget"] < 1
    assert all(claim["text"] in page for claim in record["claims"])
    assert page.count("](mixture_weights.png)") == 1


def test_same_seed_gives_the_same_numbers_and_pictures_whatever_the_jobs(runs):
    """One job or two: every claim and every byte of every PNG are the same."""
    one, two = runs["one job"][3], runs["two jobs"][3]
    assert [runs[name][0] for name in ("one job", "two jobs")] == [0, 0]
    for name in REAL:
        assert results(one)[name]["claims"] == results(two)[name]["claims"]
        assert (one / f"{name}.png").read_bytes() == (two / f"{name}.png").read_bytes()
    assert len(results(one)[REAL[0]]["claims"]) > 1


def test_missed_claim_alone_exits_1_but_is_drawn(runs):
    """A figure whose number is out of bounds keeps its picture, says MISS, and the gallery says NO."""
    status, printed, said, out = runs["missed"]
    assert status == 1
    assert (out / "missed.png").read_bytes() == b"picture"
    assert "1 claims MISSED" in said
    assert re.search(r"^MISS missed +a number: .*0\.999", printed, re.MULTILINE)
    assert [claim["holds"] for claim in results(out)["missed"]["claims"]] == [False, True]
    assert "| NO |" in (out / "README.md").read_text(encoding="utf-8")


def test_broken_figure_exits_1_and_the_others_are_drawn(runs):
    """A figure that raises is reported with its trace; it leaves no half picture, and the rest still run."""
    status, printed, said, out = runs["mixed"]
    assert status == 1
    assert names(out) == ["README.md", "good.png", "missed.png", "results.json"]
    assert "KeyError: 'lost'" in printed
    assert "KeyError: 'lost'" in results(out)["broken"]["error"]
    assert re.search(r"^broken .*FAILED", said, re.MULTILINE)
    assert re.search(r"^good .* ok$", said, re.MULTILINE)
    assert [claim["value"] for claim in results(out)["good"]["claims"]][1] == 1.0  # the full budget


def test_worker_that_leaves_or_dies_does_not_take_the_others_along(copy):
    """SystemExit, a dead process, a claim that is NaN: exit 1, each named, and the good figure drawn and recorded."""
    out = copy / "dead"
    status, printed, _ = finish(start(copy, "--jobs", 2, "--only", "leaves", "dies", "nameless", "good", "--out", out))
    records = results(out)
    assert status == 1
    assert names(out) == ["README.md", "good.png", "results.json"]
    assert {name for name, record in records.items() if "error" in record} == {"leaves", "dies", "nameless"}
    assert "worker process died" in printed and "SystemExit" in printed and "not JSON compliant" in printed


def test_results_that_cannot_be_read_are_replaced(copy):
    """A corrupt results.json does not cost the run's work."""
    out = copy / "corrupt"
    out.mkdir()
    (out / "results.json").write_text("{")
    assert finish(start(copy, "--only", "good", "--out", out))[0] == 0
    assert list(results(out)) == ["good"]


def test_one_figure_drawn_again_leaves_the_other_results(copy, runs):
    """With another seed the one number changes, exit 0; the records of the earlier run stay, in gallery order."""
    out = runs["mixed"][3]
    before = results(out)
    status, printed, _ = finish(start(copy, "--only", "good", "--seed", 7, "--out", out))
    after = results(out)
    assert status == 0
    assert "ok   good" in printed
    assert list(after) == ["good", "missed", "broken"]
    assert (after["missed"], after["broken"]) == (before["missed"], before["broken"])
    assert after["good"]["seed"] == 7
    assert after["good"]["claims"][0]["value"] != before["good"]["claims"][0]["value"]


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="Ctrl-C reaches a process group on POSIX alone")
def test_interrupt_exits_130_and_stops_the_workers(copy):
    """Ctrl-C: status 130, no traceback, finished figures in place, no half picture, no worker left running."""
    out = copy / "interrupted"
    process = start(copy, "--jobs", 2, "--only", "slow", "good", "--out", out, start_new_session=True)
    deadline = time.monotonic() + 30
    while not ((out / "pid").exists() and (out / "good.png").exists()) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    status, _, said = finish(process)
    assert status == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    assert names(out) == ["good.png", "pid"]
    with pytest.raises(ProcessLookupError):
        os.kill(int((out / "pid").read_text()), 0)
