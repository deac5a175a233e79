"""Reproduce every figure of scoremin from its samples, and check the numbers under each.

    python run_all.py                    all figures, in parallel, into figures/
    python run_all.py --only NAME ...    some of them
    python run_all.py --quick            a small budget, into a new temporary folder: does it run?
    python run_all.py --list             their names

A figure is a script figures/NAME.py, in the table FIGURES of this file; its docstring is its caption. It offers

    measure(stream, budget, progress) -> m      train and sample; stream(part="") gives a random generator, budget
                                                scales the steps, progress(iterable, label) shows how far it is
    draw(m) -> fig                              saved as figures/NAME.png
    claims(m) -> [Claim, ...]                   its numbers, with the bounds that they must keep
    animate(m, path)                            if it is there, writes a moving picture, figures/ANIMATION

Pictures, results.json (claims, seeds, versions), the gallery README.md and the book, book.html, are written when
all figures are done, those of finished figures after an interrupt too. The same seed gives the same bytes on the
same machine; seconds and platform stand in times.json, which git ignores. A figure of measured times cannot repeat
itself: it runs alone, after the others, and where its claims hold and only measured values differ from the record,
picture and record stay, unless --only names it.

Exit status: 0 all claims hold, 1 a figure failed, a claim is missed or a file cannot be written, 2 bad usage,
128 + n ended by signal n: 130 by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.
"""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[_variable] = "1"  # one BLAS thread a worker, set before NumPy is first imported
os.environ["MPLBACKEND"] = "agg"

import argparse
import difflib
import importlib
import json
import math
import multiprocessing
import platform
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from numbers import Real
from pathlib import Path

ROOT = Path(__file__).resolve().parent
QUICK = 0.01
# In the order of the gallery, each with its rough seconds: the longest are started first.
FIGURES = {
    "explicit_kde": 4,
    "relu_or_silu": 5,
    "implicit_swiss_roll": 9,
    "ncsn_swiss_roll": 20,
    "mixture_weights": 3,
    "low_density": 7,
    "denoising_sigma": 9,
    "manifold": 8,
    "probe_variance": 2,
    "cost_vs_dimension": 3,
    "langevin_step": 2,
    "continuous_noise": 20,
    "likelihood": 9,
    "objectives_compared": 11,
    "digits": 18,
    "high_dimension": 10,
    "objectives_on_digits": 15,
    "without_gradient_descent": 6,
    "common_mistakes": 5,
}
TIMED = {"cost_vs_dimension", "objectives_on_digits", "without_gradient_descent"}  # they show measured times
WRITTEN = "# Gallery\n\nWritten by `python run_all.py`"
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


# One figure, in a worker process.

def run_figure(name, seed, budget, folder, progress):
    """The record of one figure, its pictures written into the folder; of one that fails, the trace."""
    record = {"seed": seed, "budget": budget}
    try:
        from figures.common import save, stream  # and with it Matplotlib, which only workers need
        module = importlib.import_module(f"figures.{name}")
        m = module.measure(partial(stream, seed, name), budget, progress)
        pictures = [f"{name}.png"]
        save(module.draw(m), folder / pictures[0])
        if hasattr(module, "animate"):
            pictures.append(module.ANIMATION)
            module.animate(m, folder / pictures[1])
        claims = [checked(claim) for claim in module.claims(m)]
        done = {**record, "caption": module.__doc__ or name, "pictures": pictures, "claims": claims}
        section(name, done).encode()  # what cannot be shown fails here, in its own figure
        return done
    except BaseException:
        return {**record, "error": traceback.format_exc()}


def checked(claim):
    """A claim as results.json holds it; its numbers must be numbers."""
    numbers = {"value": claim.value, "low": claim.low, "high": claim.high}
    for what, number in numbers.items():
        if (what == "value" or number is not None) and not (isinstance(number, Real) and math.isfinite(number)):
            raise ValueError(f"claim {claim.text!r}: {what} is {number!r}, not a finite number")
    numbers = {what: None if number is None else float(number) for what, number in numbers.items()}
    return {"text": claim.text, **numbers, "holds": claim.holds}


def work(pipe, seed, budget, folder):
    """A worker: draws the figures whose names come through the pipe, for as long as its parent lives."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # the parent catches them
    threading.Thread(target=leave_with_parent, args=(folder,), daemon=True).start()
    os.chdir(folder)  # Matplotlib reads the first matplotlibrc that it finds: the empty one there, not the user's

    def progress(iterable, label=""):
        shown = 0.0
        for i, item in enumerate(iterable):
            if time.monotonic() > shown + 0.2:
                pipe.send((label, i, len(iterable)))
                shown = time.monotonic()
            yield item

    with suppress(EOFError, OSError):  # the parent is gone
        while True:
            pipe.send(run_figure(pipe.recv(), seed, budget, folder, progress))
    leave_with_parent(folder)


def leave_with_parent(folder):
    """Wait for the end of the parent process, and end too."""
    multiprocessing.parent_process().join()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


# All figures, in the parent process.

class Board:
    """Shows on the error stream what runs: bars on a terminal, plain lines elsewhere."""

    def __init__(self, total, jobs):
        from tqdm import tqdm  # not above: a worker that is killed would leave its lock behind
        live = sys.stderr.isatty()
        self.live, self.free, self.bars = live, list(range(jobs)), {}
        self.total = tqdm(total=total, disable=not live, leave=False, position=0,
                          bar_format="{n} of {total} figures, {elapsed}")
        self.lines = [tqdm(disable=not live, leave=False, position=1 + i, bar_format="{desc}") for i in range(jobs)]

    def begin(self, name):
        if not self.live:
            say(f"{name} ...", sys.stderr)
        self.bars[name] = self.free.pop(0)
        self.show(name, "", 0, 1)

    def show(self, name, label, done, total):
        bar = "#" * round(20 * done / max(total, 1))
        self.line(name, f"{name} {label}"[:40].ljust(40) + f" {bar:20s} {done}/{total}")

    def line(self, name, text):
        line = self.lines[self.bars[name]]
        line.set_description_str(text[:shutil.get_terminal_size().columns - 1])
        self.total.refresh()

    def finish(self, name, record, seconds):
        self.line(name, "")
        self.free.append(self.bars.pop(name))
        self.total.update()
        text = f"{name:20s} {seconds:6.1f} s   {verdict(record)}"
        if self.live:
            self.total.write(text, file=sys.stderr)
        else:
            say(text, sys.stderr)

    def close(self):
        for bar in [*self.lines[::-1], self.total]:
            bar.close()


def say(text, stream):
    """Print; where nobody listens any more (a closed terminal, `| head`), go on in silence."""
    try:
        print(text, file=stream, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def verdict(record):
    """One word on a record: checked claims are those with bounds, asserted at the full budget only."""
    if "error" in record:
        return "FAILED"
    if record["budget"] < 1:
        return "drawn, claims not checked"
    missed = sum(not claim["holds"] for claim in record["claims"])
    return f"{missed} of {len(record['claims'])} claims MISSED" if missed else "ok"


def run_figures(names, args, budget, folder, stop):
    """The records of the named figures by name, and their seconds: the longest first, the timed ones last and alone."""
    jobs = min(args.jobs, len(names))
    board, records, seconds = Board(len(names), jobs), {}, {}
    names = sorted(names, key=FIGURES.get, reverse=True)
    crowd = [name for name in names if name not in TIMED]
    try:
        for group in [crowd, *([name] for name in names if name in TIMED)]:
            for name, record, took in run_group(group, jobs, (args.seed, budget, folder), stop, board):
                records[name], seconds[name] = record, round(took, 2)
                board.finish(name, record, took)
    finally:
        board.close()
    return {name: records[name] for name in FIGURES if name in records}, seconds


def run_group(names, jobs, settings, stop, board):
    """Draw figures in as many worker processes; yields (name, record, seconds), until a signal comes to stop."""
    waiting, workers = list(names), []
    try:
        while not stop and (waiting or workers):
            if waiting and len(workers) < jobs:
                workers.append(Worker(settings))
                workers[-1].begin(waiting.pop(0), board)
                continue
            for pipe in wait([worker.pipe for worker in workers], timeout=0.1):
                worker = next(worker for worker in workers if worker.pipe is pipe)
                news = worker.news()
                if isinstance(news, tuple):
                    board.show(worker.name, *news)
                    continue
                yield worker.name, news, time.monotonic() - worker.since
                if waiting and worker.process.exitcode is None:
                    worker.begin(waiting.pop(0), board)
                else:
                    workers.remove(worker)
                    worker.end()
    finally:
        for worker in workers:
            worker.end()


@contextmanager
def masked():
    """What starts here is deaf to signals from its first moment, where the system can; we hear them afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    resource_tracker.ensure_running()  # deaf to hang-ups for good; each start of it lets other signals through
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    yield
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


class Worker:
    """A process that draws one figure after the other."""

    def __init__(self, settings):
        context, self.settings = multiprocessing.get_context("spawn"), settings
        self.pipe, far = context.Pipe()
        self.process = context.Process(target=work, args=(far, *settings))
        with masked():
            self.process.start()
        far.close()

    def begin(self, name, board):
        self.name, self.since = name, time.monotonic()
        board.begin(name)
        with suppress(OSError):  # it died: news() will say so
            self.pipe.send(name)

    def news(self):
        """Its progress, a tuple; or the record of its figure; or, if it died, a record of that."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.end()
            return {"seed": self.settings[0], "budget": self.settings[1],
                    "error": f"its worker process died, exit status {self.process.exitcode}"}

    def end(self):
        self.process.kill()  # a stopped process ends of nothing less
        self.process.join()


# What stays.

@contextmanager
def locked(folder):
    """One run at a time reads and writes the folder's files, where the system has such locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def earlier(path):
    """The records of a results.json that can be shown; none of a file that is missing or not ours."""
    records = {}
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        figures = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda name: None)["figures"]
        for name, record in figures.items():
            with suppress(ValueError, KeyError, TypeError, AttributeError):
                section(name, record).encode()
                records[name] = record
    return records


def only_values_differ(old, new):
    """Whether two records are of the same figure with all claims holding, but for the values measured."""
    if old is None or {verdict(old), verdict(new)} != {"ok"}:
        return False
    old, new = ({**record, "claims": [{**c, "value": 0} for c in record["claims"]]} for record in (old, new))
    return old == new


def save_all(out, folder, records, only=()):
    """Move pictures from the folder into out, and their records over those of earlier runs, in gallery order."""
    with locked(out):
        figures = earlier(out / "results.json")
        for name, record in records.items():
            there = name not in only and (out / f"{name}.png").exists()
            if name in TIMED and there and only_values_differ(figures.get(name), record):
                say(f"{name}: only measured times differ, its picture stays; --only {name} replaces it", sys.stderr)
                continue
            for picture in record.get("pictures", ()):
                os.replace(folder / picture, out / picture)
            figures[name] = record
        figures = {name: figures[name] for name in FIGURES if name in figures}
        from importlib.metadata import version  # takes as long to import as all the rest, and workers do not need it
        versions = {"python": platform.python_version(),
                    **{name: version(name) for name in ("numpy", "autograd", "matplotlib")}}
        results = {"versions": versions, "figures": figures}
        write(out / "results.json", json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n", folder)
        write(out / "README.md", gallery(figures), folder)
        write(out / "book.html", importlib.import_module("figures.book").book(figures), folder)


def save_times(out, folder, seconds):
    """times.json: what the machine has to do with."""
    times = {"platform": f"{platform.platform()}, {os.cpu_count()} cores", "seconds": seconds}
    write(out / "times.json", json.dumps(times, indent=1) + "\n", folder)


def write(path, text, folder):
    """Replace a file's text at once, from the folder, so that a reader never sees half of it."""
    (folder / path.name).write_text(text, encoding="utf-8", newline="\n")
    os.replace(folder / path.name, path)


def bounds(claim):
    """The bounds of a claim as text; one without bounds is a measurement, not a claim."""
    low, high = claim["low"], claim["high"]
    if low is None and high is None:
        return "measured"
    return f"≤ {high:.4g}" if low is None else f"≥ {low:.4g}" if high is None else f"{low:.4g} … {high:.4g}"


def answer(claim, budget):
    """Whether a claim holds; a measurement claims nothing, and a small budget proves nothing."""
    return "" if bounds(claim) == "measured" or budget < 1 else "yes" if claim["holds"] else "NO"


def gallery(figures):
    """The page README.md: each figure with its caption and its claims."""
    checked = all(verdict(record) != "drawn, claims not checked" for record in figures.values())
    head = ("each claim checked in the run that drew its picture" if checked
            else "some with a small budget, at which claims are not checked")
    pages = [section(name, record) for name, record in figures.items()]
    return "\n".join([f"{WRITTEN}: {len(figures)} of {len(FIGURES)} figures, {head}.\n", *pages])


def section(name, record):
    """One figure in the gallery."""
    if "error" in record:
        return f"## {name}\n\nFAILED: {record['error'].strip().splitlines()[-1]}\n"
    title, _, caption = record["caption"].partition("\n")
    lines = [f"## {title.rstrip('.')}", ""]
    lines += [f"![{name}]({picture})" for picture in record["pictures"]]
    lines += [caption.rstrip().replace("\nSettings:", "  \nSettings:"), "",
              "| claim | value | bound | holds |", "| --- | --- | --- | --- |"]
    lines += [f"| {c['text'].replace('|', '&#124;')} | {c['value']:.4g} | {bounds(c)} | {answer(c, record['budget'])} |"
              for c in record["claims"]]
    note = "" if verdict(record) in ("ok", "drawn, claims not checked") else f" {verdict(record)}."
    return "\n".join([*lines, "", f"[{name}.py]({name}.py), seed {record['seed']}.{note}", ""])


def report(records):
    """Print the claims, and the trace of every figure that failed."""
    for name, record in records.items():
        for c in record.get("claims", []):
            mark = {"": "    ", "yes": "ok  ", "NO": "MISS"}[answer(c, record["budget"])]
            say(f"{mark} {name:20s} {c['text']}: {c['value']:.4g}  ({bounds(c)})", sys.stdout)
        if "error" in record:
            say(f"FAIL {name}\n{record['error']}", sys.stdout)


def summary(records):
    """The last line: whether all claims hold, or which missed."""
    wrong = [f"{name} FAILED" for name, record in records.items() if "error" in record]
    wrong += [f"{name} MISSED {c['text']!r}" for name, record in records.items() for c in record.get("claims", [])
              if answer(c, record["budget"]) == "NO"]
    if any(record["budget"] < 1 for record in records.values()):
        return "; ".join(wrong) or "claims are not checked at this budget"
    return "; ".join(wrong) or ("all claims hold" if records else "none was finished")


# The command line.

def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser.add_argument("--list", action="store_true", help="print the names of the figures")
    parser.add_argument("--only", nargs="+", action="extend", metavar="NAME", help="draw these figures alone")
    parser.add_argument("--quick", action="store_true", help="a small budget; claims are not checked")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder to write to (default figures/)")
    parser.add_argument("--jobs", type=int, default=cores, help="figures drawn at once (default: all cores)")
    args = parser.parse_args(argv)
    for name in args.only or []:
        if name not in FIGURES:
            near = [f"did you mean {other}?" for other in difflib.get_close_matches(name, FIGURES, 1)]
            parser.error(f"no figure named {name}; {(near or ['--list shows the names'])[0]}")
    if args.jobs < 1 or args.seed < 0:
        parser.error("--jobs wants at least 1, --seed at least 0")
    args.only = list(dict.fromkeys(args.only or []))
    if not args.list:
        args.out, args.folder = open_folders(args, parser)
    return args


def open_folders(args, parser):
    """The folder to write to, and in it a new one for what is not finished; refused before any work is lost."""
    try:
        out = args.out or (Path(tempfile.mkdtemp(prefix="scoremin-quick-")) if args.quick else ROOT / "figures")
        out = out.resolve()
        if args.quick and out == ROOT / "figures":
            parser.error("--quick does not write into figures/")
        out.mkdir(parents=True, exist_ok=True)
        page = out / "README.md"
        if page.exists() and not page.read_text("utf-8", "replace").startswith(WRITTEN):
            parser.error(f"{page} is no gallery and would be replaced; name another folder")
        folder = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=out))
        (folder / "matplotlibrc").touch()
        return out, folder
    except OSError as problem:
        return parser.error(f"cannot write into {problem.filename or args.out}: {problem.strerror}")


def catch_signals():
    """A list that receives the number of a signal to end; nothing is interrupted but by the third."""
    stop = []

    def note(number, frame):
        stop.append(number)
        if len(stop) > 2:
            os._exit(128 + number)

    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, note)
    return stop


def prepare_streams():
    """What an old encoding cannot print is printed by name; what is printed to a closed stream is dropped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        stream.reconfigure(errors="namereplace")
        setattr(sys, name, stream)


def main(argv=None):
    prepare_streams()
    stop = catch_signals()
    args = parse(argv)
    if args.list:
        print(*FIGURES, sep="\n")
        return 0
    start, names = time.monotonic(), args.only or list(FIGURES)
    try:
        records, seconds = run_figures(names, args, QUICK if args.quick else 1.0, args.folder, stop)
        report(records)
        if records:
            save_all(args.out, args.folder, records, args.only)
            save_times(args.out, args.folder, seconds)
    except OSError as problem:
        say(f"run_all.py: cannot write: {problem}", sys.stderr)
        return 1
    finally:
        shutil.rmtree(args.folder, ignore_errors=True)
    took = time.monotonic() - start
    say(f"{len(records)} of {len(names)} figures in {took:.0f} s, in {args.out}: {summary(records)}", sys.stdout)
    if stop:
        say(f"interrupted by {signal.Signals(stop[0]).name}; finished figures are in place", sys.stderr)
        return 128 + stop[0]
    return 1 if any(verdict(r) not in ("ok", "drawn, claims not checked") for r in records.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
