"""run_all.py as its user meets it: status, files, options and faults, on a copy with small figures of our own."""

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

import run_all
import scoremin
from figures import common
from scoremin import GaussianMixture

ROOT = Path(__file__).resolve().parent.parent
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals, terminals and closed streams as POSIX has them")
# Stands in for figures/common.py where no picture is needed, since Matplotlib takes a second to import.
COMMON = '''
import os
import random
from types import SimpleNamespace
from typing import NamedTuple

{claim}

def stream(seed, name, part=""):
    return random.Random(f"{{seed}} {{name}} {{part}}")

def save(fig, path):
    path.write_bytes(fig)

def note(text):
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(text + "\\n")
'''
BOOK = "def book(figures):\n    return f'a book of {list(figures)}'\n"  # stands in for figures/book.py
FIGURE = '''"""Title of {name}.

What to see | here.
Settings: none.
"""

import os
import signal
import time

from .common import Claim, note


def measure(stream, budget, progress):
    {measure}
    return stream().random(), budget


def draw(m):
    return b"picture"


def claims(m):
    return {claims}
'''
CLAIMS = "[Claim('a number', m[0], 0.0, 1.0), Claim('the budget', m[1], None, None)]"
SLOW = "note(f'slow {os.getpid()} {os.getcwd()}'); time.sleep(60)"
# name -> what it does while it measures, its claims
FIGURES = {
    "good": ("pass", CLAIMS), "other": ("pass", CLAIMS), "slow": (SLOW, CLAIMS),
    "low": ("pass", "[Claim('is low', 1.0, 0, None), Claim('too low', -1.0, 0, None)]"),
    "high": ("pass", "[Claim('too high', 2, None, 1)]"),
    "broken": ("raise KeyError('lost')", CLAIMS), "leaves": ("raise SystemExit(0)", CLAIMS),
    "interrupts": ("raise KeyboardInterrupt", CLAIMS), "dies": ("os._exit(3)", CLAIMS),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", CLAIMS),
    "nan": ("pass", "[Claim('no number', float('nan'), None, None)]"),
    "none": ("pass", "[Claim('no number', None, None, None)]"),
    "text": ("pass", "[Claim('no number', '1', None, None)]"),
    "bound": ("pass", "[Claim('no bound', 1.0, None, float('inf'))]"),
    "unnamed": ("pass", "[Claim(None, 1.0, None, None)]"), "unprintable": ("pass", "[Claim(chr(0xd800), 1, 0, 1)]"),
    "claimless": ("pass", "None"), "signs": ("pass", "[Claim('‖s‖ − 1', 0.5, None, 1)]"),
    "steps": ("[time.sleep(0.1) for _ in progress(range(6), 'a label')]", CLAIMS),
    "first": ("note('first begins'); time.sleep(0.3); note('first ends')", CLAIMS),
    "second": ("note('second begins'); time.sleep(0.3); note('second ends')", CLAIMS),
    "clock": ("note('clock begins'); time.sleep(0.3); note('clock ends')",
              "[Claim('seconds', time.time(), 0, None), Claim('the budget', m[1], None, None)]"),
}
REAL = ["langevin_step", "probe_variance"]
BAD_CLAIMS = ["nan", "none", "text", "bound", "unnamed", "unprintable", "claimless"]
MOVING = "\n\nANIMATION = 'moving.gif'\n\n\ndef animate(m, path):\n    path.write_bytes(b'moving')\n"


def table(names):
    """run_all.py with these figures in its table."""
    text = (ROOT / "run_all.py").read_text(encoding="utf-8")
    text, changed = re.subn(r"^FIGURES = \{.*?^\}$", f"FIGURES = {names}", text, flags=re.MULTILINE | re.DOTALL)
    text, timed = re.subn(r"^TIMED = .*$", "TIMED = {'clock'}", text, flags=re.MULTILINE)
    assert (changed, timed) == (1, 1)
    return text


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A folder with run_all.py and the figures above."""
    root = tmp_path_factory.mktemp("copy")
    (root / "figures").mkdir()
    source = (ROOT / "figures" / "common.py").read_text(encoding="utf-8")
    claim = next(node for node in ast.parse(source).body if getattr(node, "name", "") == "Claim")
    write(root / "figures" / "book.py", BOOK)
    write(root / "figures" / "common.py", COMMON.format(claim=ast.get_source_segment(source, claim)))
    for name, (measure, claims) in FIGURES.items():
        write(root / "figures" / f"{name}.py", FIGURE.format(name=name, measure=measure, claims=claims))
    text = FIGURE.format(name="", measure="pass", claims=CLAIMS)
    write(root / "figures" / "undocumented.py", text.partition('"""\n\n')[2])
    write(root / "figures" / "moving.py", text + MOVING)
    names = {**dict.fromkeys([*FIGURES, "undocumented", "moving"], 1), "slow": 9, "other": 2}
    write(root / "run_all.py", table(names))
    return root


def write(path, text):
    path.write_text(text, encoding="utf-8")


# Signals as at a terminal, whatever the tests themselves were started under; then what a test wants; then run_all.py.
LAUNCH = """import os, signal, sys
for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    signal.signal(getattr(signal, name), signal.SIG_DFL)
{before}
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def start(copy, *options, before="", **settings):
    """run_all.py with these options, as a process of its own and in a session of its own."""
    settings = {"cwd": copy, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8", **settings}
    settings["env"] = {**os.environ, "PYTHONIOENCODING": "utf-8", "NOTES": os.devnull, **settings.get("env", {})}
    launch = ["-S", "-E", "-c", LAUNCH.format(before=before)] if os.name == "posix" else []
    return subprocess.Popen([sys.executable, *launch, str(copy / "run_all.py"), *map(str, options)],
                            start_new_session=True, **settings)


def finish(process):
    """Its exit status, what it printed, and what it said on the error stream."""
    try:
        printed, said = process.communicate(timeout=90)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, printed, said


def run(copy, *options, **settings):
    return finish(start(copy, *options, **settings))


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def results(out):
    """The figures of results.json, read as strict JSON."""
    return json.loads((out / "results.json").read_text(encoding="utf-8"), parse_constant=refuse)["figures"]


def page(out):
    return (out / "README.md").read_text(encoding="utf-8")


def names(out):
    """The files of a folder, hidden ones included."""
    return sorted(path.name for path in out.iterdir())


def files(*figures):
    """The files that a run of these figures leaves."""
    return sorted(["README.md", "book.html", "results.json", "times.json", *(f"{name}.png" for name in figures)])


def within(seconds, condition):
    """Whether the condition comes true in so many seconds."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def alive(pid):
    """Whether a process is there, and no zombie."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


# Options


def test_list_names_every_figure_script():
    """--list prints the names of all scripts in figures/, one a line, and exits 0."""
    status, printed, _ = run(ROOT, "--list")
    scripts = {path.stem for path in (ROOT / "figures").glob("[!_]*.py")}
    scripts -= {"common"} | {name for name in scripts if name.startswith("book")}
    assert status == 0
    assert set(printed.split()) == scripts
    assert len(printed.splitlines()) == len(scripts)
    assert set(run_all.TIMED) <= scripts


def test_every_script_offers_what_run_all_asks_for():
    """A docstring with source and settings, and measure, draw and claims, as --help says."""
    for name in run_all.FIGURES:
        tree = ast.parse((ROOT / "figures" / f"{name}.py").read_text(encoding="utf-8"))
        offers = {node.name: len(node.args.args) for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert [offers.get(part) for part in ("measure", "draw", "claims")] == [3, 1, 1]
        assert offers.get("animate", 2) == 2
        assert "\nSource: " in ast.get_docstring(tree) and "\nSettings: " in ast.get_docstring(tree)


def test_bad_usage_exits_2_and_writes_nothing(copy, tmp_path):
    """A name, number or option that is unknown is refused by name before any work; a near name is suggested."""
    cases = {"no figure named xyz; --list": ["--only", "good", "xyz"], "did you mean good?": ["--only", "god"],
             "--jobs wants at least 1": ["--jobs", "0"], "--seed at least 0": ["--seed", "-1"],
             "argument --seed": ["--seed", "x"], "--fast": ["--fast"]}
    runs = [start(copy, *options, "--out", tmp_path / "refused") for options in cases.values()]
    for named, process in zip(cases, runs):
        status, printed, said = finish(process)
        assert (status, printed) == (2, "")
        assert named in said
    assert names(tmp_path) == []


def test_help_says_what_a_script_offers_and_how_it_ends():
    """--help names the functions of a figure script, its files and every exit status."""
    status, printed, _ = run(ROOT, "--help")
    assert status == 0
    for word in ("measure(", "draw(", "claims(", "animate(", "results.json", "times.json", "130", "143", "129"):
        assert word in printed


def test_names_given_twice_are_drawn_once_and_options_add_up(copy, tmp_path):
    """--only A A is A; --only A --only B is both. The longer figure is drawn first, the gallery keeps its order."""
    options = ["--only", "good", "good", "--only", "other", "--jobs", 1]
    status, printed, said = run(copy, *options, "--out", tmp_path)
    assert status == 0
    assert "2 of 2 figures" in printed
    assert re.findall(r"^(\w+) \.\.\.$", said, re.MULTILINE) == ["other", "good"]
    assert list(results(tmp_path)) == ["good", "other"]


def test_jobs_are_the_processors_that_this_process_may_use():
    """The default of --jobs follows the affinity, not the machine."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no affinity on this system")
    mine = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(mine)})
        assert run_all.parse(["--list"]).jobs == 1
    finally:
        os.sched_setaffinity(0, mine)
    assert run_all.parse(["--list"]).jobs == len(mine)


# Records, pictures, gallery


def test_run_writes_pictures_results_times_and_gallery_and_nothing_else(copy, tmp_path):
    """Status 0, the last line says that all claims hold; results.json has no time in it, times.json has."""
    status, printed, said = run(copy, "--only", "moving", "good", "--out", tmp_path)
    assert status == 0
    assert printed.splitlines()[-1].endswith("all claims hold")
    assert int(re.search(r"2 of 2 figures in (\d+) s", printed)[1]) < 90
    assert re.search(r"^good +[\d.]+ s +ok$", said, re.MULTILINE)
    assert names(tmp_path) == sorted([*files("good", "moving"), "moving.gif"])
    assert (tmp_path / "moving.gif").read_bytes() == b"moving"
    record = results(tmp_path)["good"]
    assert set(record) == {"seed", "budget", "caption", "pictures", "claims"}
    assert (record["seed"], record["budget"]) == (0, 1.0)
    assert record["claims"][0]["holds"] is True
    assert record["claims"][1] == {"text": "the budget", "value": 1.0, "low": None, "high": None, "holds": True}
    times = json.loads((tmp_path / "times.json").read_text())
    assert times["seconds"].keys() == {"good", "moving"} and "cores" in times["platform"]
    versions = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["versions"]
    assert versions["numpy"] == np.__version__ and versions.keys() == {"python", "numpy", "autograd", "matplotlib"}
    assert 0 <= times["seconds"]["good"] < 30
    assert "](good.png)" in page(tmp_path) and "](moving.gif)" in page(tmp_path)
    assert page(tmp_path).index("](moving.png)") < page(tmp_path).index("](moving.gif)")
    assert "2 of 24 figures, each claim checked" in page(tmp_path)


def test_same_seed_gives_the_same_bytes_whatever_the_jobs(copy, tmp_path):
    """One worker that draws two figures, or two: all files but the times are the same; another seed: other numbers."""
    for jobs in (1, 2):
        assert run(copy, "--jobs", jobs, "--only", "other", "good", "--out", tmp_path / f"{jobs}")[0] == 0
    for name in set(files("good", "other")) - {"times.json"}:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    one = results(tmp_path / "1")
    assert one["good"]["claims"][0]["value"] != one["other"]["claims"][0]["value"]
    assert run(copy, "--seed", 7, "--only", "good", "--out", tmp_path / "1")[0] == 0
    assert results(tmp_path / "1")["other"] == one["other"]
    assert results(tmp_path / "1")["good"]["seed"] == 7
    assert results(tmp_path / "1")["good"]["claims"][0]["value"] != one["good"]["claims"][0]["value"]


def test_real_scripts_give_the_same_bytes_whatever_the_jobs(tmp_path):
    """Two of ours at the small budget, by one worker or by two: the same claims and the same PNG."""
    runs = [start(ROOT, "--quick", "--jobs", jobs, "--only", *REAL, "--out", tmp_path / f"{jobs}") for jobs in (1, 2)]
    assert [finish(process)[0] for process in runs] == [0, 0]
    assert names(tmp_path / "1") == names(tmp_path / "2") == files(*REAL)
    for name in set(files(*REAL)) - {"times.json"}:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    assert (tmp_path / "1" / f"{REAL[0]}.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert all(len(record["claims"]) > 1 for record in results(tmp_path / "1").values())


def test_quick_run_checks_no_claims_and_has_a_folder_of_its_own(copy, tmp_path):
    """--quick: two runs write into two new temporary folders, nothing into figures/; a missed claim is not checked."""
    outs, before = [], names(copy / "figures")
    for _ in range(2):
        status, printed, said = run(copy, "--quick", "--only", "low", env={"TMPDIR": str(tmp_path)})
        assert status == 0
        assert "claims not checked" in said and "MISS" not in printed
        outs.append(Path(re.search(r", in (.*?): claims are not checked", printed).group(1)))
    assert outs[0] != outs[1]
    assert sorted(out.name for out in outs) == [name for name in names(tmp_path) if name.startswith("scoremin")]
    assert before == names(copy / "figures") or set(names(copy / "figures")) - set(before) == {"__pycache__"}
    assert names(outs[0]) == files("low")
    assert results(outs[0])["low"]["budget"] < 1
    assert "| NO |" not in page(outs[0]) and "| yes |" not in page(outs[0])
    assert "not checked" in page(outs[0]) and "each claim checked" not in page(outs[0])


def test_default_folder_is_figures(copy, tmp_path):
    """Without --out a run replaces figures/ beside run_all.py, wherever it is started from."""
    shutil.copytree(copy, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "elsewhere").mkdir()
    assert run(tmp_path / "copy", "--only", "good", cwd=tmp_path / "elsewhere")[0] == 0
    assert (tmp_path / "copy" / "figures" / "good.png").exists()
    assert names(tmp_path / "elsewhere") == []
    status, _, said = run(tmp_path / "copy", "--quick", "--only", "good", "--out", tmp_path / "copy" / "figures")
    assert (status, "--quick does not write into figures/" in said) == (2, True)


@pytest.mark.parametrize("name, texts", [("low", ["too low"]), ("high", ["too high"])])
def test_missed_claim_alone_exits_1_but_is_drawn(copy, tmp_path, name, texts):
    """A claim out of either bound, the first or the second, is named in table, last line and gallery; status 1."""
    status, printed, said = run(copy, "--only", name, "--out", tmp_path)
    assert status == 1
    assert names(tmp_path) == files(name)
    assert f"1 of {2 if name == 'low' else 1} claims MISSED" in said
    assert re.findall(r"^MISS +\w+ +([\w ]+): ", printed, re.MULTILINE) == texts
    assert printed.splitlines()[-1].endswith(f": {name} MISSED '{texts[0]}'")
    assert page(tmp_path).count("| NO |") == 1 and "claims MISSED" in page(tmp_path)
    if name == "low":
        assert [claim["holds"] for claim in results(tmp_path)["low"]["claims"]] == [True, False]


def test_figure_that_fails_or_dies_does_not_take_the_others_along(copy, tmp_path):
    """Exception, SystemExit, KeyboardInterrupt, exit, SIGKILL: each named, the others drawn, no half picture."""
    bad = ["broken", "leaves", "interrupts", "dies", "killed"]
    status, printed, said = run(copy, "--jobs", 2, "--only", *bad, "good", "other", "--out", tmp_path)
    assert status == 1
    assert names(tmp_path) == files("good", "other")
    records = results(tmp_path)
    assert {name for name, record in records.items() if "error" in record} == set(bad)
    for name, word in zip(bad, ("KeyError: 'lost'", "SystemExit", "KeyboardInterrupt", "exit status 3", "status -9")):
        assert word in records[name]["error"]
        assert f"FAIL {name}\n{records[name]['error']}" in printed
        assert re.search(f"^{name} .*FAILED$", said, re.MULTILINE)
        assert f"{name} FAILED" in printed.splitlines()[-1]
        assert re.search(rf"## {name}\n\nFAILED: .*{word}", page(tmp_path))
    assert said.count(" ...\n") == 7  # each begun once


def test_claims_that_are_none_fail_in_their_own_figure(copy, tmp_path):
    """No number as value or bound, no text, no list: the figure fails by name, its neighbours are kept."""
    status, printed, _ = run(copy, "--only", *BAD_CLAIMS, "good", "undocumented", "--out", tmp_path)
    records = results(tmp_path)
    assert status == 1
    assert {name for name, record in records.items() if "error" in record} == set(BAD_CLAIMS)
    assert names(tmp_path) == files("good", "undocumented")
    for name, word in zip(BAD_CLAIMS, ("value is nan", "value is None", "value is '1'", "high is inf")):
        assert word in records[name]["error"]
    assert "## undocumented\n" in page(tmp_path)
    assert all(f"{name} FAILED" in printed.splitlines()[-1] for name in BAD_CLAIMS)


def test_measured_times_run_last_and_alone(copy, tmp_path):
    """A figure of measured times begins when all others have ended."""
    notes = tmp_path / "notes"
    options = ["--jobs", 3, "--only", "clock", "first", "second", "--out", tmp_path / "out"]
    assert run(copy, *options, env={"NOTES": str(notes)})[0] == 0
    lines = notes.read_text().splitlines()
    assert set(lines[:2]) == {"first begins", "second begins"}
    assert lines[-2:] == ["clock begins", "clock ends"]
    assert list(results(tmp_path / "out")) == ["first", "second", "clock"]


def test_measured_times_that_differ_leave_the_checkout_clean(copy, tmp_path):
    """A second run keeps picture and record of a timed figure, byte for byte; but not where the figure is named,
    its picture lost, or more than the values has changed."""
    shutil.copytree(copy, tmp_path / "copy")
    write(tmp_path / "copy" / "run_all.py", table({"clock": 1, "good": 1}))
    write(tmp_path / "copy" / "figures" / "clock.py",
          FIGURE.format(name="clock", measure="pass", claims=FIGURES["clock"][1]))
    out = tmp_path / "out"

    def draw(*options):
        status, printed, said = run(tmp_path / "copy", *options, "--out", out)
        assert status == 0
        assert "ok   clock                seconds: " in printed  # checked in any case
        assert ("its picture stays" in said) == ((out / "clock.png").read_bytes() == b"of the first run")
        files = {name: (out / name).read_bytes() for name in names(out) if name != "times.json"}
        (out / "clock.png").write_bytes(b"of the first run")
        return {**files, "clock.png": b""}, "its picture stays" in said

    first, stayed = draw()
    assert not stayed
    assert draw() == (first, True)
    assert draw("--only", "clock")[1] is False
    assert results(out)["clock"] != json.loads(first["results.json"])["figures"]["clock"]
    (out / "clock.png").unlink()
    assert draw()[1] is False
    assert page(out).count("](clock.png)") == 1


# Signals


@contextmanager
def under_way(copy, folder, *options, **settings):
    """A run in which 'good' is done and 'slow' is on its way: the process, the worker's pid, its folder."""
    notes, pid = folder / "notes", None
    with open(folder / "said", "w") as said:
        process = start(copy, "--jobs", 2, "--only", "slow", "good", *options, "--out", folder / "out",
                        env={"NOTES": str(notes)}, stderr=said, **settings)
    try:
        assert within(60, lambda: notes.exists() and " ok" in (folder / "said").read_text())
        _, pid, place = notes.read_text().split()
        yield process, int(pid), Path(place)
    finally:
        for left in filter(None, (process.pid, pid)):
            if alive(left):
                os.kill(int(left), signal.SIGKILL)
        process.communicate(timeout=30)


@POSIX
@pytest.mark.parametrize("name, status, group", [
    ("SIGINT", 130, True), ("SIGINT", 130, False), ("SIGTERM", 143, True), ("SIGTERM", 143, False),
    ("SIGHUP", 129, True)])
def test_signal_ends_all_and_keeps_what_was_finished(copy, tmp_path, name, status, group):
    """Ctrl-C, kill, a closed terminal, to the process or to its group: status 128 + n, no traceback, no worker
    left, and the finished figure's picture and record in place."""
    with under_way(copy, tmp_path) as (process, pid, place):
        assert place.parent == tmp_path / "out"
        (os.killpg if group else os.kill)(process.pid, getattr(signal, name))
        code, printed, _ = finish(process)
        said = (tmp_path / "said").read_text()
        assert code == status
        assert f"interrupted by {name}" in said and "Traceback" not in said
        assert not alive(pid)
    assert "1 of 2 figures" in printed
    assert names(tmp_path / "out") == files("good")
    assert list(results(tmp_path / "out")) == ["good"]


@POSIX
def test_interrupt_while_the_workers_start(copy, tmp_path):
    """Ctrl-C to the whole group as soon as the first figure is begun: status 130, no trace of the starting worker."""
    with open(tmp_path / "said", "w") as said:
        process = start(copy, "--jobs", 2, "--only", "slow", "good", "--out", tmp_path / "out", stderr=said)
    assert within(60, lambda: "slow ..." in (tmp_path / "said").read_text())
    os.killpg(process.pid, signal.SIGINT)
    status, printed, _ = finish(process)
    assert (status, "0 of 2 figures" in printed) == (130, True)
    assert "Traceback" not in (tmp_path / "said").read_text()
    assert names(tmp_path / "out") == []


@POSIX
def test_workers_do_not_hear_signals_at_any_moment(copy, tmp_path):
    """Ctrl-C, hang-up and SIGTERM at all that the run starts, again and again from the first moment: every figure is
    drawn, those of the first workers and the timed one of a later worker, and no helper has to be started anew."""
    process = start(copy, "--jobs", 2, "--only", "good", "other", "steps", "clock", "--out", tmp_path)
    while process.poll() is None:
        table = subprocess.run(["ps", "-A", "-o", "ppid=,pid="], capture_output=True, text=True, check=True).stdout
        for parent, child in map(str.split, table.splitlines()):
            for number in run_all.SIGNALS if int(parent) == process.pid else ():
                with suppress(ProcessLookupError):
                    os.kill(int(child), number)
    status, _, said = finish(process)
    assert (status, "Traceback" in said, "resource_tracker" in said) == (0, False, False), said
    assert list(results(tmp_path)) == ["good", "other", "steps", "clock"]


@POSIX
def test_stopped_worker_does_not_hang_an_interrupt(copy, tmp_path):
    """Ctrl-C while a worker is stopped (SIGSTOP): all ends within seconds."""
    with under_way(copy, tmp_path) as (process, pid, _):
        os.kill(pid, signal.SIGSTOP)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert not alive(pid)
    assert list(results(tmp_path / "out")) == ["good"]


@POSIX
def test_workers_end_with_their_parent(copy, tmp_path):
    """The parent killed without a chance: its workers end, and take the unfinished folder along."""
    with under_way(copy, tmp_path) as (process, pid, place):
        process.kill()
        process.wait(timeout=30)
        assert within(30, lambda: not alive(pid))
        assert within(30, lambda: not place.exists())


@POSIX
def test_signals_that_were_ignored_stay_ignored(copy, tmp_path):
    """Under nohup a hang-up ends nothing."""
    with under_way(copy, tmp_path, before="signal.signal(signal.SIGHUP, signal.SIG_IGN)") as (process, pid, _):
        os.killpg(process.pid, signal.SIGHUP)
        time.sleep(0.5)
        assert process.poll() is None and alive(pid)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(timeout=30) == 143


# Files


GOOD = {"seed": 0, "budget": 1.0, "caption": "Title.", "pictures": ["other.png"], "claims": []}


@pytest.mark.parametrize("text, kept", [
    (b"{", []), (b"[]", []), (b"null", []), (b"3", []), (b"\xff\xfe", []), (b"", []), (b'{"figures": []}', []),
    (b'{"figures": {"other": null, "low": {}, "high": {"seed": 0, "budget": 1, "caption": null}}}', []),
    (json.dumps({"figures": {"other": GOOD, "low": {**GOOD, "claims": [{"text": "half"}]}}}).encode(), ["other"]),
    (json.dumps({"figures": {"other": {**GOOD, "budget": "1"}, "low": {**GOOD, "claims": [{
        "text": "a", "value": float("nan"), "low": 0, "high": 1, "holds": True}]}, "unknown": GOOD}}).encode(), []),
])
def test_results_of_another_shape_cost_nothing(copy, tmp_path, text, kept):
    """A results.json that is not ours is replaced; of its records those that are whole are kept."""
    (tmp_path / "results.json").write_bytes(text)
    assert list(run_all.earlier(tmp_path / "results.json").keys() - {"unknown"}) == kept
    if text in (b"[]", b"\xff\xfe") or kept:
        assert run(copy, "--only", "good", "--out", tmp_path)[0] == 0
        assert list(results(tmp_path)) == ["good", *kept]


@pytest.mark.parametrize("name", ["results.json", "good.png"])
def test_table_is_printed_before_anything_is_written(copy, tmp_path, name):
    """Where a file cannot be replaced the claims are still printed; status 1, one line, no traceback."""
    (tmp_path / name).mkdir()
    status, printed, said = run(copy, "--only", "good", "--out", tmp_path)
    assert status == 1
    assert "ok   good" in printed
    assert "cannot write" in said and name in said and "Traceback" not in said
    assert not [name for name in names(tmp_path) if name.startswith(".")]


def test_two_runs_at_once_into_one_folder(copy, tmp_path):
    """Each finishes, and results.json and gallery hold both; a folder of a third is left alone."""
    (tmp_path / ".unfinished-other").mkdir()
    runs = [start(copy, "--only", *chosen, "--out", tmp_path) for chosen in (["steps", "good"], ["first", "other"])]
    assert [finish(process)[0] for process in runs] == [0, 0]
    assert names(tmp_path) == sorted([".unfinished-other", *files("steps", "good", "first", "other")])
    assert list(results(tmp_path)) == ["good", "other", "steps", "first"]
    assert all(f"]({name}.png)" in page(tmp_path) for name in ("good", "other", "steps", "first"))


@POSIX
def test_records_saved_at_the_same_moment_are_all_kept(tmp_path, monkeypatch):
    """Eight writers, each between reading and writing when the others come, lose no record."""
    record = {**GOOD, "pictures": []}
    monkeypatch.setattr(run_all, "FIGURES", dict.fromkeys("abcdefgh", 1))
    monkeypatch.setattr("figures.book.book", lambda figures: "a book")
    read = run_all.earlier
    monkeypatch.setattr(run_all, "earlier", lambda path: [read(path), time.sleep(0.02)][0])

    def writer(name):
        (tmp_path / f".{name}").mkdir()
        run_all.save_all(tmp_path, tmp_path / f".{name}", {name: record})

    threads = [threading.Thread(target=writer, args=(name,)) for name in "hgfedcba"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(results(tmp_path)) == list("abcdefgh")


def test_a_file_is_replaced_at_once(tmp_path):
    """A reader who opened the old text keeps it whole; the new text is whole as soon as it is there."""
    (tmp_path / "folder").mkdir()
    write(tmp_path / "page", "old")
    with open(tmp_path / "page") as reader:
        run_all.write(tmp_path / "page", "new", tmp_path / "folder")
        assert reader.read() == "old"
    assert (tmp_path / "page").read_text() == "new"
    assert names(tmp_path / "folder") == []


def test_foreign_readme_is_not_overwritten(copy, tmp_path):
    """--out into a folder with a README.md of its own is refused before any work; a gallery is replaced."""
    write(tmp_path / "README.md", "# Mine\n")
    status, printed, said = run(copy, "--only", "good", "--out", ".", cwd=tmp_path)
    assert (status, printed) == (2, "")
    assert str(tmp_path / "README.md") in said
    assert names(tmp_path) == ["README.md"] and page(tmp_path) == "# Mine\n"
    write(tmp_path / "README.md", "# Gallery\n\nWritten by `python run_all.py`, which also checked it.\n")
    assert run(copy, "--only", "good", "--out", tmp_path)[0] == 0


def test_folder_that_cannot_be_written_is_found_out_at_the_start(copy, tmp_path):
    """Status 2 and one line on the cause, before any figure is begun."""
    write(tmp_path / "file", "")
    places = [tmp_path / "file", tmp_path / "file" / "below", *map(Path, ("/proc/none", "/dev/null"))]
    for process in [start(copy, "--only", "good", "--out", place) for place in places]:
        status, printed, said = finish(process)
        assert (status, printed) == (2, "")
        assert len(re.findall("error: cannot write into .*", said)) == 1
        assert "good" not in said and "Traceback" not in said


# Streams and screen


def test_old_encodings_print_signs_by_name(copy, tmp_path):
    """≤ and ‖ in an encoding without them: printed by name, files in UTF-8 all the same."""
    runs = {encoding: start(copy, "--only", "signs", "--out", tmp_path / encoding, encoding=encoding,
                            env={"PYTHONIOENCODING": encoding}) for encoding in ("ascii", "cp1252")}
    for encoding, process in runs.items():
        status, printed, _ = finish(process)
        assert status == 0
        assert "LESS-THAN OR EQUAL TO" in printed and "all claims hold" in printed
        assert "‖s‖ − 1" in page(tmp_path / encoding) and "≤ 1" in page(tmp_path / encoding)


@POSIX
def test_closed_streams_cost_nothing(copy, tmp_path):
    """stdout, stderr or all closed: status and files as ever, and what is open gets nothing of the other."""
    runs = {closed: start(copy, "--only", "good", "high", "--out", tmp_path / str(closed),
                          before=f"[os.close(number) for number in {closed}]") for closed in ((1,), (2,), (0, 1, 2))}
    for closed, process in runs.items():
        status, printed, said = finish(process)
        assert status == 1
        assert names(tmp_path / str(closed)) == files("good", "high")
        assert ("ok   good" in printed) == (1 not in closed) and "good ..." not in printed
        assert ("good ..." in said) == (2 not in closed) and "ok   good" not in said


@POSIX
def test_reader_that_goes_away_costs_nothing(copy, tmp_path):
    """A pipe that nobody reads (`| head -1`), or a full disk under the log: the run goes on."""
    reader, pipe = os.pipe()
    os.close(reader)
    full = os.open("/dev/full", os.O_WRONLY) if Path("/dev/full").exists() else os.dup(pipe)
    for stdout, stderr in ((pipe, full), (full, pipe)):
        out = tmp_path / str(stdout)
        assert run(copy, "--only", "good", "high", "--out", out, stdout=stdout, stderr=stderr)[0] == 1
        assert names(out) == files("good", "high")
    os.close(pipe)
    os.close(full)


def screen(text):
    """What a terminal of endless width shows of a text, by line."""
    lines, row, column = [[]], 0, 0
    for part in re.findall(r"\x1b\[A|.", text, re.DOTALL):
        if part == "\x1b[A":
            row = max(row - 1, 0)
        elif part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [[]] * (row == len(lines))
        else:
            assert part >= " "
            lines[row] += [" "] * (column + 1 - len(lines[row]))
            lines[row][column] = part
            column += 1
    return ["".join(line).rstrip() for line in lines]


@POSIX
def test_terminal_shows_bars_and_a_total_and_keeps_no_stray_characters(copy, tmp_path):
    """While it runs: a bar for each figure with its label, and how many are done; after: one line a figure alone."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = start(copy, "--jobs", 2, "--only", "steps", "good", "broken", "--out", tmp_path, stderr=theirs)
    os.close(theirs)
    text = b""
    while process.poll() is None or text[-1:] == b"":
        try:
            text += os.read(ours, 10000)
        except OSError:
            break
    status, printed, _ = finish(process)
    os.close(ours)
    text = text.decode().replace("\r\n", "\n\r")
    assert status == 1 and printed.splitlines()[-1].endswith("broken FAILED")
    assert re.search(r"steps a label +#+ +[2-5]/6", text)
    assert re.search(r"0 of 3 figures, 00:0\d", text) and re.search(r"2 of 3 figures, 00:0\d", text)
    lines = [line for line in screen(text) if line]
    assert len(lines) == 3, lines
    for line in lines:
        assert re.fullmatch(r"(good|steps) +\d+\.\d s   ok|broken +\d+\.\d s   FAILED", line), lines


PLOT = '''"""A title."""
import logging
from .common import Claim, canvas

logging.disable()  # Matplotlib complains of its folder, as it should

def measure(stream, budget, progress):
    return stream().random(50)

def draw(m):
    fig, ax = canvas(1, 1, 2)
    ax.plot(m)
    ax.set(title="a title", xlabel="x")
    return fig

def claims(m):
    return [Claim("mean", m.mean(), 0, 1)]
'''


def test_settings_of_the_user_change_no_byte_of_a_picture(tmp_path):
    """A matplotlibrc in the working folder, in MATPLOTLIBRC or in MPLCONFIGDIR, legible or not, a backend that does not
    exist, a folder that cannot be written: the same PNG."""
    for part in ("scoremin", "figures"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__", "*.png", "*.json"))
    write(tmp_path / "figures" / "plot.py", PLOT)
    write(tmp_path / "figures" / "book.py", BOOK)
    write(tmp_path / "run_all.py", table({"plot": 1}))
    (tmp_path / "large").mkdir()
    write(tmp_path / "large" / "matplotlibrc", "font.size: 30\nlines.linewidth: 9\nsavefig.dpi: 20\n")
    (tmp_path / "illegible").mkdir()
    (tmp_path / "illegible" / "matplotlibrc").write_bytes(b"\xff\xfe font.size \x00: what\n")
    large, nowhere = str(tmp_path / "large"), str(tmp_path / "run_all.py")
    settings = {
        "plain": {}, "illegible": {"cwd": tmp_path / "illegible", "env": {"MPLBACKEND": "nonsense"}},
        "file": {"cwd": large, "env": {"MATPLOTLIBRC": large, "MPLCONFIGDIR": large}},
        "nowhere": {"env": {"MPLCONFIGDIR": nowhere}},
    }
    runs = [start(tmp_path, "--out", tmp_path / name, **given) for name, given in settings.items()]
    assert [finish(process)[0] for process in runs] == [0] * len(runs)
    pictures = {(tmp_path / name / "plot.png").read_bytes() for name in settings}
    assert len(pictures) == 1
    assert pictures.pop().startswith(b"\x89PNG\r\n")


# Texts of claims and records


def test_claim_holds_within_its_bounds_and_on_them():
    """low <= value <= high; None is no bound on that side; a value that is NaN lies in no bounds."""
    for low, high, holding, missing in ((0, 1, [0, 0.5, 1], [-0.1, 1.1, float("nan")]), (0, None, [0, 9], [-0.1]),
                                        (None, 1, [-9, 1], [1.1]), (None, None, [5], [])):
        assert all(common.Claim("", value, low, high).holds is True for value in holding)
        assert not any(common.Claim("", value, low, high).holds for value in missing)


def record(value=0.5, low=None, high=None, holds=True, **others):
    """A record with one claim."""
    claim = {"text": "a | b", "value": value, "low": low, "high": high, "holds": holds}
    return {"seed": 4, "budget": 1.0, "caption": "Title.\n\nText.\nSettings: s.\n", "pictures": ["fig.png"],
            "claims": [claim], **others}


@pytest.mark.parametrize("low, high, text", [
    (0.0, 1.0, "0 … 1"), (None, 1.0, "≤ 1"), (0.0, None, "≥ 0"), (None, None, "measured")])
def test_bounds_of_both_sides_of_one_and_of_none(low, high, text):
    """Bounds in words; a bound of 0 is a bound. A claim is answered yes or NO, at the full budget alone."""
    claim = record(0.5, low, high)["claims"][0]
    assert run_all.bounds(claim) == text
    answers = [run_all.answer({**claim, "holds": holds}, budget) for holds in (True, False) for budget in (1.0, 0.5)]
    assert answers == (["", "", "", ""] if text == "measured" else ["yes", "", "NO", ""])


def test_verdict_counts_the_claims_that_miss():
    """ok, the number of misses, not checked at a small budget, FAILED."""
    hit, miss = record()["claims"][0], record(holds=False)["claims"][0]
    verdicts = [run_all.verdict(record(claims=claims)) for claims in ([], [hit, hit], [hit, miss], [miss, hit, miss])]
    assert verdicts == ["ok", "ok", "1 of 2 claims MISSED", "2 of 3 claims MISSED"]
    assert run_all.verdict(record(claims=[miss], budget=0.99)) == "drawn, claims not checked"
    assert run_all.verdict({"budget": 0.01, "error": "e"}) == "FAILED"


def test_only_values_differ_means_that_all_else_is_the_same():
    """Records of a timed figure agree if nothing but the values differs and all claims hold in both."""
    old = record(0.5, 0.0, 1.0)
    assert run_all.only_values_differ(old, record(0.7, 0.0, 1.0))
    others = [record(0.5, 0.1, 1.0), record(0.5, 0.0, 1.0, seed=5), record(0.5, 0.0, 1.0, caption="New"),
              record(2.0, 0.0, 1.0, holds=False), record(0.5, 0, 1, budget=0.1),
              {"seed": 4, "budget": 1.0, "error": "e"}]
    for new in others:
        assert not run_all.only_values_differ(old, new)
        assert not run_all.only_values_differ(new, old)
        assert not run_all.only_values_differ(new, new) or run_all.verdict(new) == "ok"
    assert not run_all.only_values_differ(None, old)


def test_gallery_says_what_was_run_and_what_failed(monkeypatch):
    """All figures, some, a small budget, a failure: the head counts, and claims to have checked what was checked."""
    monkeypatch.setattr(run_all, "FIGURES", {"fig": 1, "gif": 1})
    whole = run_all.gallery({"fig": record(0.5, 0, 1), "gif": record(pictures=["gif.png", "gif.gif"])})
    assert whole.startswith("# Gallery\n\nWritten by `python run_all.py`: 2 of 2 figures, each claim checked")
    assert "| a &#124; b | 0.5 | 0 … 1 | yes |\n" in whole and "| a &#124; b | 0.5 | measured |  |\n" in whole
    assert "## Title\n\n![fig](fig.png)\n\nText.  \nSettings: s.\n\n| claim |" in whole
    assert whole.count("![gif](gif.png)\n![gif](gif.gif)\n") == 1
    assert "[fig.py](fig.py), seed 4.\n" in whole
    part = run_all.gallery({"fig": record(2, 0, 1, holds=False)})
    assert "1 of 2 figures, each claim checked" in part and "seed 4. 1 of 1 claims MISSED.\n" in part
    assert "| 2 | 0 … 1 | NO |\n" in part
    mixed = run_all.gallery({"fig": record(0.5, 0, 1, budget=0.01), "gif": record()})
    assert "each claim checked" not in mixed and "not checked" in mixed and "| yes |" not in mixed
    failed = run_all.gallery({"fig": {"seed": 0, "budget": 1.0, "error": "Traceback\nKeyError: 'lost'\n"}})
    assert "## fig\n\nFAILED: KeyError: 'lost'\n" in failed and "](fig.png)" not in failed


def test_last_line_names_what_missed():
    """All claims hold; or every miss and failure by name; or nothing was checked."""
    good, bad, broken = record(0.5, 0, 1), record(2, 0, 1, holds=False), {"seed": 0, "budget": 1.0, "error": "e"}
    assert run_all.summary({"a": good, "b": record()}) == "all claims hold"
    assert run_all.summary({}) == "none was finished"
    assert run_all.summary({"a": good, "b": bad, "c": bad, "d": broken}) == (
        "d FAILED; b MISSED 'a | b'; c MISSED 'a | b'")
    assert run_all.summary({"a": {**bad, "budget": 0.01}}) == "claims are not checked at this budget"
    assert run_all.summary({"a": {**bad, "budget": 0.01}, "d": {**broken, "budget": 0.01}}) == "d FAILED"


def test_checked_claim_is_plain_numbers():
    """Values and bounds of any float type become Python's, ready for JSON; bounds may be missing, values not."""
    plain = run_all.checked(common.Claim("a", np.float32(0.5), None, np.int64(1)))
    assert plain == {"text": "a", "value": 0.5, "low": None, "high": 1.0, "holds": True}
    assert [type(plain[key]) for key in ("value", "high", "holds")] == [float, float, bool]
    for numbers in ((None, 0, 1), (1, float("inf"), None), (1, None, float("nan")), (1j, None, None), ("1", 0, 2)):
        with pytest.raises(ValueError, match="claim 'a': "):
            run_all.checked(SimpleClaim("a", *numbers))


class SimpleClaim(common.Claim):
    """A claim that does not compare, so that its numbers may be none."""

    holds = True


# What the figures share


def test_streams_are_told_apart_by_seed_name_and_part():
    """The generator of [seed, CRC-32 of name and part]; the published check value of CRC-32 is cbf43926."""
    draws = [common.stream(*key).random() for key in ((5, "a"), (6, "a"), (5, "b"), (5, "a", "x"), (5, "a", "y"))]
    assert len(set(draws)) == 5
    assert common.stream(5, "12345", "6789").random() == np.random.default_rng([5, 0xCBF43926]).random()
    assert common.stream(5, "123456789").random() == common.stream(5, "12345", "6789").random()


def test_scaled_rounds_and_keeps_a_least_number():
    """n · budget, rounded, but never below the least."""
    assert [common.scaled(1000, budget) for budget in (1.0, 0.5, 0.0126, 0.001)] == [1000, 500, 13, 10]
    assert common.scaled(100, 0.01, 3) == 3
    assert common.scaled(2, 1.0) == 10


def test_saved_picture_depends_on_the_drawing_alone(tmp_path):
    """The same drawing twice: the same bytes, 8 · 160 pixels wide, without the name of any software."""
    for name in ("a", "b"):
        fig, ax = common.canvas(1, 1, 2.5)
        ax.plot([1, 2])
        common.save(fig, tmp_path / name)
    data = (tmp_path / "a").read_bytes()
    assert data == (tmp_path / "b").read_bytes()
    assert (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")) == (1280, 400)
    assert b"Software" not in data and b"Date" not in data


def test_ticker_advances_a_bar_of_n_steps_and_no_further():
    """A sampler's callback: one step of the bar a call, with its label, silent after the last."""
    seen = []

    def progress(iterable, label):
        seen.append((label, len(iterable)))
        for i in iterable:
            seen.append(i)
            yield i

    callback = common.ticker(progress, 2, "sampling")
    for i in range(4):
        callback(i, None)
        assert seen == [("sampling", 2), 0, 1][:i + 2]


def test_grid_is_the_plane_row_by_row():
    """n · n points over [−box, box]², the first coordinate running fastest, as pictures have it."""
    expected = [[-2, -2], [0, -2], [2, -2], [-2, 0], [0, 0], [2, 0], [-2, 2], [0, 2], [2, 2]]
    assert common.grid(2, 3).tolist() == expected


def test_map_has_each_value_at_its_place():
    """draw_map puts the value at (x₁, x₂) where the axes say: x₁ to the right, x₂ upwards."""
    fig, ax = common.canvas(1, 1, 2)
    common.draw_map(fig, ax, lambda x: 5 + x[:, 0] + 10 * x[:, 1] + 100, 2, "", n=3)
    image = ax.get_images()[0]
    assert image.get_array().tolist() == [[83, 85, 87], [103, 105, 107], [123, 125, 127]]
    assert (image.origin, list(image.get_extent())) == ("lower", [-2, 2, -2, 2])


def test_arrows_are_the_score_and_at_most_as_long_as_said():
    """draw_field: directions and lengths of the score, those above the longest shortened to it."""
    _, ax = common.canvas(1, 1, 2)
    common.draw_field(ax, lambda x: 4 * x, 3, n=3, longest=6.0)
    arrows = ax.collections[0]
    x, s = arrows.get_offsets(), np.stack([arrows.U, arrows.V], axis=1)
    assert np.allclose(sorted({*x[:, 0]}), [-2, 0, 2])
    size = np.linalg.norm(s, axis=1)
    assert np.allclose(size, np.minimum(4 * np.linalg.norm(x, axis=1), 6.0))
    assert np.allclose(s * np.linalg.norm(x, axis=1, keepdims=True), x * size[:, None])


def test_error_is_a_distance_at_each_point():
    """‖s − target‖: 5 for a difference of (3, 4), whatever its sign."""
    x = np.zeros((2, 2))
    assert common.error(lambda x: x + [3.0, 4.0], lambda x: x, x).tolist() == [5, 5]
    assert common.error(lambda x: x, lambda x: x + [3.0, 4.0], x).tolist() == [5, 5]


def test_passes_count_values_tangents_and_traces():
    """One for a value, one more for a tangent, for each of a stack, or for a closed-form trace."""
    from scoremin import MLP, implicit_loss, init_mlp, sliced_vr_loss
    score, x = MLP(init_mlp(np.random.default_rng(0), [2, 4, 4, 2])), np.ones((3, 2))
    assert common.passes(lambda s: s(x), score) == 1
    assert common.passes(lambda s: (s(x), s(x)), score) == 2
    assert common.passes(lambda s: sliced_vr_loss(s, x, np.ones((3, 2))), score) == 2
    assert common.passes(lambda s: sliced_vr_loss(s, x, np.ones((5, 3, 2))), score) == 6
    assert common.passes(lambda s: implicit_loss(s, x), score) == 2


def test_distance_of_real_to_real_is_twice_the_mean_distance():
    """n times the mean energy distance of real samples is 2 E‖a − a'‖ (MET.2): 4/√π for N(0,1) in one dimension."""
    normal = GaussianMixture([1.0], [[0.0]], [[[1.0]]])
    rng = np.random.default_rng(0)
    values = [common.distance_to_real(normal.sample(rng, 20), lambda rng, n: normal.sample(rng, n), rng)
              for _ in range(200)]
    assert abs(np.mean(values) - 4 / np.sqrt(np.pi)) < 5 * np.std(values) / np.sqrt(len(values))


def test_normal_noise_has_shape_and_dtype_of_x():
    """Noise of x's shape and dtype, from the generator given."""
    x = np.zeros((2000, 3), np.float32)
    z = common.normal(np.random.default_rng(0), x)
    assert (z.shape, z.dtype) == (x.shape, x.dtype)
    assert abs(z.mean()) < 5 / np.sqrt(z.size) and abs(z.var() - 1) < 5 * np.sqrt(2 / z.size)


def test_figures_train_with_their_options_on_the_right_columns():
    """train hands batch_size on to fit; explicit takes the target from the last two columns of a row."""
    sizes = []
    loss = lambda score, x, rng: sizes.append(len(x)) or scoremin.implicit_loss(score, x)
    common.train(loss, scoremin.MLP, common.init(np.random.default_rng(0), 2, 2), np.eye(2), np.random.default_rng(0),
                 1.0, lambda steps, label: steps, steps=10, batch_size=3)
    assert sizes == [3] * 10
    assert common.explicit(np.zeros_like, np.array([[1.0, 1.0, 2.0, 2.0]]), None) == 4


def test_relu_energy_bends_after_the_bias():
    """max(0, ½ − x) at 1 is 0."""
    energy = common.relu_energy([(-np.eye(1), np.full(1, 0.5)), (np.eye(1), np.zeros(1))])
    assert np.array_equal(energy(np.array([[1.0], [0.0]])), [0, 0.5])
