"""run_all.py as its user meets it: status, files, options and faults, on a copy with small figures of our own."""

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from figures import gallery

ROOT = Path(__file__).resolve().parent.parent
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals, FIFOs and closed streams as POSIX has them")
# Stands in for figures/common.py where no picture is needed, since Matplotlib takes a second to import.
COMMON = '''
import os
import random
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

What to see.
"""
import os, signal, time
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
SLOW = "note(f'slow {os.getpid()}'); time.sleep(60)"
# name -> what it does while it measures, its claims
FIGURES = {
    "good": ("pass", CLAIMS), "other": ("pass", CLAIMS), "slow": (SLOW, CLAIMS),
    "low": ("pass", "[Claim('is low', 1.0, 0, None), Claim('too low', -1.0, 0, None)]"),
    "broken": ("raise KeyError('lost')", CLAIMS), "leaves": ("raise SystemExit(0)", CLAIMS),
    "dies": ("os._exit(3)", CLAIMS), "killed": ("os.kill(os.getpid(), signal.SIGKILL)", CLAIMS),
    "nan": ("pass", "[Claim('no number', float('nan'), None, None)]"), "claimless": ("pass", "None"),
    "unnamed": ("pass", "[Claim(None, 1.0, None, None)]"),
    "endless": ("pass", "[Claim('no bound', 1.0, 0, float('inf'))]"),
    "half": ("[time.sleep(0.01) for i in progress(range(2)) for _ in range(6000 * i)"
             " if not os.path.exists(os.environ['NOTES'])]", CLAIMS),
    "signs": ("pass", "[Claim('‖s‖ − 1', 0.5, None, 1)]"),
    "threads": ("note(' '.join(f'{n}={v}' for n, v in sorted(os.environ.items()) if n.endswith('_THREADS')))", CLAIMS),
    "first": ("note('first begins'); time.sleep(0.3); note('first ends')", CLAIMS),
    "second": ("note('second begins'); time.sleep(0.3); note('second ends')", CLAIMS),
    "watch": ("note('watch begins'); time.sleep(0.3); note('watch ends')", CLAIMS),
    "clock": ("note('clock begins'); note('clock ends')",
              "[Claim('seconds', time.time(), 0, None), Claim('the budget', m[1], None, None)]"),
}
CLOCKS = ["clock begins", "clock ends", "watch begins", "watch ends"]
MOVING = "\n\nANIMATION = 'moving.gif'\n\n\ndef animate(m, path):\n    path.write_bytes(b'moving')\n"


def changed(path, *pairs):
    """The text of one of our files with patterns replaced, each once."""
    text = (ROOT / path).read_text(encoding="utf-8")
    for pattern, new in pairs:
        text, n = re.subn(pattern, lambda match, new=new: new, text, flags=re.MULTILINE | re.DOTALL)
        assert n == 1, pattern
    return text


def table(names):
    """figures/gallery.py with these figures in its table."""
    return changed("figures/gallery.py", (r"^FIGURES = \{.*?^\}$", f"FIGURES = {names}"),
                   (r"^TIMED = [^\n]*$", "TIMED = {'clock', 'watch'}"))


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A folder with run_all.py and the figures above; its processes import nothing ahead, which costs a second."""
    root = tmp_path_factory.mktemp("copy")
    (root / "figures").mkdir()
    source = (ROOT / "figures" / "common.py").read_text(encoding="utf-8")
    claim = next(node for node in ast.parse(source).body if getattr(node, "name", "") == "Claim")
    write(root / "figures" / "book.py", BOOK)
    write(root / "figures" / "common.py", COMMON.format(claim=ast.get_source_segment(source, claim)))
    for name, (measure, claims) in FIGURES.items():
        write(root / "figures" / f"{name}.py", FIGURE.format(name=name, measure=measure, claims=claims))
    write(root / "figures" / "moving.py", FIGURE.format(name="moving", measure="pass", claims=CLAIMS) + MOVING)
    write(root / "figures" / "gallery.py", table({**dict.fromkeys([*FIGURES, "moving"], 1), "slow": 9}))
    write(root / "run_all.py", changed("run_all.py", (r', "autograd.numpy".*?\]', "]")))
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


def start(copy, *options, before="", python=(), **settings):
    """run_all.py with these options, as a process of its own and in a session of its own, without our settings."""
    settings = {"cwd": copy, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8", **settings}
    ours = {name: value for name, value in os.environ.items() if not name.endswith("_THREADS")}
    settings["env"] = {**ours, "PYTHONIOENCODING": "utf-8", "NOTES": os.devnull, **settings.get("env", {})}
    launch = ["-S", "-E", "-c", LAUNCH.format(before=before)] if os.name == "posix" else []
    program = list(python) if "-c" in python else [*python, str(copy / "run_all.py")]
    return subprocess.Popen([sys.executable, *launch, *program, *map(str, options)], start_new_session=True, **settings)


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


def results(out):
    """The figures of results.json, read as strict JSON."""
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")
    return json.loads((out / "results.json").read_text(encoding="utf-8"), parse_constant=refuse)["figures"]


def page(out):
    return (out / "README.md").read_text(encoding="utf-8")


def names(out):
    """The files of a folder, hidden ones included."""
    return sorted(path.name for path in out.iterdir())


def files(*figures):
    """The files that a run of these figures leaves."""
    return sorted(["README.md", "book.html", "results.json", "times.json", *(f"{name}.png" for name in figures)])


def wait_for(condition):
    """Wait until the condition is true; a minute is a failure."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(pid):
    """Whether a process is there, and no zombie."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


# Options


def test_list_names_every_figure_script():
    """--list prints the names of all scripts in figures/, one a line, and exits 0; each offers what --help says."""
    status, printed, _ = run(ROOT, "--list")
    scripts = {path.stem for path in (ROOT / "figures").glob("[!_]*.py")} - {"common", "gallery"}
    scripts = {name for name in scripts if not name.startswith("book")}
    assert (status, sorted(printed.split())) == (0, sorted(scripts))
    assert gallery.TIMED <= scripts
    for name in scripts:
        tree = ast.parse((ROOT / "figures" / f"{name}.py").read_text(encoding="utf-8"))
        offers = {node.name: len(node.args.args) for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert [offers.get(part) for part in ("measure", "draw", "claims")] == [3, 1, 1]
        assert "\nSource: " in ast.get_docstring(tree) and "\nSettings: " in ast.get_docstring(tree)


@pytest.mark.parametrize("named, options", [
    ("invalid choice: 'god' (choose from", ["--only", "good", "god"]),
    ("--jobs wants at least 1", ["--jobs", "0"]), ("--seed at least 0", ["--seed", "-1"]),
    ("argument --seed", ["--seed", "x"]), ("--fast", ["--fast"])])
def test_bad_usage_exits_2_and_writes_nothing(copy, tmp_path, named, options):
    """A name, number or option that is unknown is refused by name before any work; the known names are shown."""
    status, printed, said = run(copy, *options, "--out", tmp_path / "refused")
    assert (status, printed, names(tmp_path)) == (2, "", [])
    assert named in said


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_jobs_are_the_processors_that_this_process_may_use():
    """The default of --jobs follows the affinity, not the machine."""
    for mine in ({min(os.sched_getaffinity(0))}, os.sched_getaffinity(0)):
        program = f"import os; os.sched_setaffinity(0, {mine}); import run_all; print(run_all.parse(['--list']).jobs)"
        assert int(subprocess.check_output([sys.executable, "-c", program], cwd=ROOT)) == len(mine)


# Records, pictures, gallery


def test_run_writes_pictures_results_times_and_gallery_and_nothing_else(copy, tmp_path):
    """Status 0; names given twice are drawn once, options add up; results.json has no time in it, times.json has."""
    status, printed, _ = run(copy, "--only", "moving", "good", "good", "--only", "moving", "--out", tmp_path)
    assert status == 0
    assert "2 of 2 figures in " in printed and printed.endswith(": all claims hold\n")
    assert names(tmp_path) == sorted([*files("good", "moving"), "moving.gif"])
    assert (tmp_path / "moving.gif").read_bytes() == b"moving"
    record = results(tmp_path)["good"]
    assert {**record, "claims": None} == {"seed": 0, "budget": 1.0, "caption": "Title of good.\n\nWhat to see.\n",
                                          "pictures": ["good.png"], "claims": None}
    assert record["claims"][1] == {"text": "the budget", "value": 1.0, "low": None, "high": None, "holds": True}
    versions = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["versions"]
    assert versions["numpy"] == np.__version__ and versions.keys() == {"python", "numpy", "autograd", "matplotlib"}
    times = json.loads((tmp_path / "times.json").read_text())
    assert times["seconds"].keys() == {"good", "moving"} and "cores" in times["platform"]
    assert all(0 < took < 90 for took in times["seconds"].values())  # the run itself is given 90
    assert page(tmp_path).index("](good.png)") < page(tmp_path).index("](moving.png)\n![moving](moving.gif)")


def test_same_seed_gives_the_same_bytes_whatever_the_jobs(copy, tmp_path):
    """One process at a time, or two: all files but the times are the same; another seed: other numbers."""
    for jobs in (1, 2):
        assert run(copy, "--jobs", jobs, "--only", "other", "good", "--out", tmp_path / f"{jobs}")[0] == 0
    for name in set(files("good", "other")) - {"times.json"}:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    one = results(tmp_path / "1")
    assert list(one) == ["good", "other"]
    assert one["good"]["claims"][0]["value"] != one["other"]["claims"][0]["value"]
    assert run(copy, "--seed", 7, "--only", "good", "--out", tmp_path / "1")[0] == 0
    two = results(tmp_path / "1")
    assert (two["other"], two["good"]["seed"]) == (one["other"], 7)
    assert two["good"]["claims"][0]["value"] != one["good"]["claims"][0]["value"]


def test_quick_run_checks_no_claims_and_has_a_folder_of_its_own(copy, tmp_path):
    """--quick writes into a new temporary folder and never into figures/; a missed claim is not checked."""
    status, printed, said = run(copy, "--quick", "--only", "low", env={"TMPDIR": str(tmp_path), "TEMP": str(tmp_path)})
    assert status == 0
    assert "claims not checked" in said and "MISS" not in printed
    out = Path(re.search(r", in (.*?): claims are not checked", printed)[1])
    assert out.parent == tmp_path and names(out) == files("low")
    assert 0 < results(out)["low"]["budget"] < 1
    assert "not checked" in page(out) and "each claim checked" not in page(out)
    status, _, said = run(copy, "--quick", "--only", "good", "--out", copy / "figures")
    assert (status, "--quick does not write into figures/" in said) == (2, True)
    assert not (copy / "figures" / "README.md").exists()


def test_missed_claim_exits_1_but_is_drawn(copy, tmp_path):
    """A claim out of its bounds is named in table, last line and gallery."""
    status, printed, said = run(copy, "--only", "low", "--out", tmp_path)
    assert (status, names(tmp_path)) == (1, files("low"))
    assert "1 of 2 claims MISSED" in said
    assert re.findall(r"^MISS +\w+ +([\w ]+): ", printed, re.MULTILINE) == ["too low"]
    assert printed.endswith(": low MISSED 'too low'\n")
    assert page(tmp_path).count("| NO |") == 1 and "claims MISSED" in page(tmp_path)


@POSIX
def test_figure_that_fails_or_dies_does_not_take_the_others_along(copy, tmp_path):
    """Exception, SystemExit, exit, SIGKILL, claims that are NaN, none or without text: each named, the others drawn."""
    bad = {"broken": "KeyError: 'lost'", "leaves": "SystemExit", "dies": "exit status 3", "killed": "exit status -9",
           "nan": "value is nan", "claimless": "TypeError", "unnamed": "AttributeError", "endless": "ValueError"}
    status, printed, said = run(copy, "--jobs", 2, "--only", *bad, "good", "other", "--out", tmp_path)
    assert (status, names(tmp_path)) == (1, files("good", "other"))
    records = results(tmp_path)
    assert {name for name, record in records.items() if "error" in record} == set(bad)
    for name, word in bad.items():
        assert word in records[name]["error"] and f"FAIL {name}\n{records[name]['error']}" in printed
        assert re.search(f"^{name} .*FAILED$", said, re.MULTILINE)
        assert f"{name} FAILED" in printed.splitlines()[-1]
        assert re.search(rf"## {name}\n\nFAILED: .*{word}", page(tmp_path))


def test_measured_times_run_last_and_alone_and_their_pictures_stay(copy, tmp_path):
    """A timed figure begins when all others have ended. Where only its values differ, picture and record stay, byte
    for byte, unless it is named or its picture is lost."""
    shutil.copytree(copy, tmp_path / "copy")
    write(tmp_path / "copy" / "figures" / "gallery.py", table({"clock": 9, "watch": 9, "first": 1, "second": 1}))
    out, notes = tmp_path / "copy" / "figures", tmp_path / "notes"  # where it writes by default

    def draw(*options):
        status, _, said = run(tmp_path / "copy", "--jobs", 3, *options, env={"NOTES": str(notes)})
        stays = (out / "clock.png").read_bytes() == b"of the first run"
        assert (status, "clock: only measured times differ, its picture stays" in said) == (0, stays)
        (out / "clock.png").write_bytes(b"of the first run")
        return stays, (out / "results.json").read_bytes(), page(out)

    first = draw()
    lines = notes.read_text().splitlines()
    assert {line.split()[0] for line in lines[:4]} == {"first", "second"}
    assert lines[4:] in (CLOCKS, CLOCKS[2:] + CLOCKS[:2])  # one after the other
    assert draw() == (True, *first[1:])
    assert draw("--only", "clock")[0] is False
    assert results(out)["clock"] != json.loads(first[1])["figures"]["clock"]
    (out / "clock.png").unlink()
    assert draw()[0] is False


# Signals


@pytest.fixture
def under_way(copy, tmp_path):
    """start(): a run in which 'good' is done and 'slow' is on its way; the process, and the pid of 'slow'."""
    notes, said, started = tmp_path / "notes", tmp_path / "said", []

    def begin(before=""):
        with open(said, "w") as stream:
            process = start(copy, "--jobs", 2, "--only", "slow", "good", "--out", tmp_path / "out", before=before,
                            env={"NOTES": str(notes)}, stderr=stream)
        started.append(process)
        wait_for(lambda: notes.exists() and notes.read_text().endswith("\n") and " ok" in said.read_text())
        return process, int(notes.read_text().split()[1])

    yield begin
    for process in started:
        left = [process.pid, *(int(pid) for pid in notes.read_text().split()[1::2])]
        for pid in filter(alive, left):
            os.kill(pid, signal.SIGKILL)
        process.communicate(timeout=30)


@POSIX
@pytest.mark.parametrize("name, status, everyone", [
    ("SIGINT", 130, True), ("SIGINT", 130, False), ("SIGTERM", 143, True), ("SIGHUP", 129, True)])
def test_signal_ends_all_and_keeps_what_was_finished(under_way, tmp_path, name, status, everyone):
    """Ctrl-C, kill, a closed terminal, to the process or to its group: status 128 + n, no traceback, no figure
    left, and the finished figure's picture and record in place."""
    process, pid = under_way()
    (os.killpg if everyone else os.kill)(process.pid, getattr(signal, name))
    code, printed, _ = finish(process)
    said = (tmp_path / "said").read_text()
    assert (code, alive(pid)) == (status, False)
    assert "Traceback" not in said
    assert "1 of 2 figures" in printed and printed.endswith(f": interrupted by {name}\n")
    assert names(tmp_path / "out") == files("good") and list(results(tmp_path / "out")) == ["good"]


@POSIX
def test_figure_that_hangs_does_not_hang_an_interrupt(under_way, tmp_path):
    """Ctrl-C, then SIGTERM, while a figure is stopped and hears nothing: all ends, by the first of the two."""
    process, pid = under_way()
    os.kill(pid, signal.SIGSTOP)
    os.kill(process.pid, signal.SIGSTOP)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
        os.kill(process.pid, number)
    assert process.wait(timeout=60) == 130
    assert not alive(pid)
    assert list(results(tmp_path / "out")) == ["good"]


@POSIX
def test_signals_that_were_ignored_stay_ignored(under_way):
    """Under nohup a hang-up ends nothing: the signal after it does, and counts as the first."""
    process, pid = under_way(before="signal.signal(signal.SIGHUP, signal.SIG_IGN)")
    os.killpg(process.pid, signal.SIGHUP)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    assert not alive(pid)


# Files

GOOD = {"seed": 0, "budget": 1.0, "caption": "Title.", "pictures": ["other.png"], "claims": []}
HUGE = '{"figures": {"other": {"seed": 0, "budget": 1, "caption": "T", "pictures": [], "claims": [], "x": 1e999}}}'


@POSIX
@pytest.mark.parametrize("text, kept", [
    ("{", []), ("[]", []), ('{"figures": []}', []), (HUGE, []), ("[" * 10**5, []), ('{"figures":' * 10**5, []),
    (json.dumps({"figures": {"other": {"seed": 0, "budget": 1, "error": ""}, "low": None, "unknown": GOOD}}), []),
    (json.dumps({"figures": {"other": GOOD, "low": {**GOOD, "claims": [{"text": "half"}]}}}), []),
    (json.dumps({"figures": {"other": GOOD, "unknown": GOOD}}), ["other"]),
    (None, [])])
def test_results_of_another_shape_cost_nothing(copy, tmp_path, text, kept):
    """A results.json that is not ours is replaced; the records of one that is ours are kept. Nobody waits for a
    FIFO in its place, nor in that of README.md."""
    if text is None:
        os.mkfifo(tmp_path / "results.json")
        os.mkfifo(tmp_path / "README.md")
    else:
        write(tmp_path / "results.json", text)
    assert run(copy, "--only", "good", "--out", tmp_path)[0] == 0
    assert list(results(tmp_path)) == ["good", *kept]
    assert page(tmp_path).startswith(gallery.WRITTEN)


def test_files_are_replaced_at_once(copy, tmp_path):
    """A reader who opened the old picture, page or record keeps it whole."""
    for name in ("results.json", "good.png", "book.html"):
        write(tmp_path / name, "old")
    readers = [open(tmp_path / name) for name in ("results.json", "good.png", "book.html")]  # noqa: SIM115
    assert run(copy, "--only", "good", "--out", tmp_path)[0] == 0
    for reader in readers:
        with reader:
            assert reader.read() == "old"
    assert (tmp_path / "good.png").read_bytes() == b"picture"


@pytest.mark.parametrize("name", ["results.json", "good.png"])
def test_table_is_printed_before_anything_is_written(copy, tmp_path, name):
    """Where a file cannot be replaced the claims are still printed; status 1, one line, no traceback."""
    (tmp_path / name).mkdir()
    status, printed, said = run(copy, "--only", "good", "--out", tmp_path)
    assert (status, "ok   good" in printed) == (1, True)
    assert "cannot write" in said and name in said and "Traceback" not in said
    assert not [name for name in names(tmp_path) if name.startswith(".")]


def test_foreign_readme_is_not_overwritten(copy, tmp_path):
    """--out into a folder with a README.md of its own is refused before any work; a gallery is replaced."""
    write(tmp_path / "README.md", "# Mine\n")
    status, printed, said = run(copy, "--only", "good", "--out", ".", cwd=tmp_path)
    assert (status, printed, names(tmp_path)) == (2, "", ["README.md"])
    assert str(tmp_path / "README.md") in said and page(tmp_path) == "# Mine\n"
    write(tmp_path / "README.md", "# Gallery\n\nWritten by `python run_all.py`, which also checked it.\n")
    assert run(copy, "--only", "good", "--out", tmp_path)[0] == 0


def test_folder_that_cannot_be_written_is_found_out_at_the_start(copy, tmp_path):
    """Status 2 and one line on the cause, before any figure is begun."""
    write(tmp_path / "file", "")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        status, printed, said = run(copy, "--only", "good", "--out", place)
        assert (status, printed) == (2, "")
        assert len(re.findall("error: cannot write into .*", said)) == 1 and "Traceback" not in said


# Ways to start it, streams

RUNPY = ["-c", "import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')"]


@POSIX
@pytest.mark.parametrize("python", [["-OO"], ["-I"], ["-P"], ["-Xwarn_default_encoding", "-Werror"], RUNPY])
def test_every_way_to_start_it_draws_the_same(copy, tmp_path, python):
    """Without docstrings, without the script's folder on the path, by runpy, from another folder: captions and claims
    as ever, and one BLAS thread a process whatever the caller's environment says."""
    options = [copy / "run_all.py"] if "-c" in python else []
    if "-P" in python and sys.version_info < (3, 11):
        pytest.skip("no -P")
    out = tmp_path / "out"
    env = {"NOTES": str(tmp_path / "notes"), "PYTHONPATH": ""}
    assert run(copy, *options, "--only", "threads", "--out", out, python=python, cwd=tmp_path, env=env)[0] == 0
    assert results(out)["threads"]["caption"] == "Title of threads.\n\nWhat to see.\n"
    variables = ("MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    assert (tmp_path / "notes").read_text() == " ".join(f"{name}=1" for name in variables) + "\n"


def test_old_encodings_print_signs_by_name(copy, tmp_path):
    """≤ and ‖ in an encoding without them: printed by name, files in UTF-8 all the same."""
    status, printed, _ = run(copy, "--only", "signs", "--out", tmp_path, encoding="ascii",
                             env={"PYTHONIOENCODING": "ascii"})
    assert status == 0
    assert "LESS-THAN OR EQUAL TO" in printed and "all claims hold" in printed
    assert "‖s‖ − 1" in page(tmp_path) and "≤ 1" in page(tmp_path)


@POSIX
@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_closed_streams_cost_nothing(copy, tmp_path, closed):
    """stdout, stderr or all closed: status and files as ever, and what is open gets nothing of the other."""
    before = f"[os.close(number) for number in {closed}]"
    status, printed, said = run(copy, "--only", "good", "low", "--out", tmp_path, before=before)
    assert (status, names(tmp_path)) == (1, files("good", "low"))
    assert ("ok   good" in printed) == (1 not in closed) and ("good  " in said) == (2 not in closed)
    assert " s   ok" not in printed and "ok   good" not in said


@POSIX
@pytest.mark.parametrize("opened", ["pipe", "openpty"])
def test_reader_that_goes_away_costs_nothing(copy, tmp_path, opened):
    """A pipe that nobody reads (`| head -1`), a terminal that is gone under nohup: the run goes on."""
    reader, stream = getattr(os, opened)()
    os.close(reader)
    assert run(copy, "--only", "good", "low", "--out", tmp_path, stdout=stream, stderr=stream,
               before="signal.signal(signal.SIGHUP, signal.SIG_IGN)")[0] == 1
    assert names(tmp_path) == files("good", "low")
    os.close(stream)


@POSIX
def test_terminal_shows_how_far_each_figure_is(copy, tmp_path):
    """One line with what runs and its share; in the end a line a figure, and nothing else."""
    import fcntl
    import termios

    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, np.array([24, 80, 0, 0], np.uint16))
    process = start(copy, "--only", "half", "good", "--jobs", 2, "--out", tmp_path / "out", stderr=theirs,
                    env={"NOTES": str(tmp_path / "notes")})
    os.close(theirs)
    text = b""
    while b"1/2" not in text or b"half 50%" not in text:
        text += os.read(ours, 1000)
    (tmp_path / "notes").touch()
    with suppress(OSError):  # the end
        while part := os.read(ours, 1000):
            text += part
    os.close(ours)
    assert finish(process)[0] == 0
    lines = [line.rpartition("\r")[2] for line in text.decode().replace("\r\n", "\n").split("\n")]
    assert [line.split()[0] for line in lines[:-1]] == ["good", "half"] and not lines[-1].strip()


def test_matplotlibrc_of_the_user_changes_no_byte_of_a_picture(tmp_path):
    """Large letters in a matplotlibrc, in the working folder or by MATPLOTLIBRC, an unknown backend: the same PNG."""
    write(tmp_path / "matplotlibrc", "font.size: 30\nlines.linewidth: 9\nsavefig.dpi: 20\naxes.grid: True\n")
    write(tmp_path / "plot.py", "import sys\nfrom figures import common\nfig, ax = common.canvas(1, 1, 2)\n"
                                "ax.plot([1, 3])\nax.set(title='a title')\ncommon.save(fig, sys.argv[1])\n")
    (tmp_path / "elsewhere").mkdir()
    for name, folder, rc in (("plain", "elsewhere", "none"), ("here", ".", "none"), ("named", "elsewhere", "..")):
        env = {**os.environ, "PYTHONPATH": str(ROOT), "MATPLOTLIBRC": rc}
        command = [sys.executable, tmp_path / "plot.py", tmp_path / name]
        subprocess.run(command, env=env, cwd=tmp_path / folder, check=True)
    assert len({(tmp_path / name).read_bytes() for name in ("plain", "here", "named")}) == 1
