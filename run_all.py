"""Reproduce every figure of scoremin from its samples, and check the numbers under each.

    python run_all.py                    all figures, in parallel, into figures/
    python run_all.py --only NAME ...    some of them
    python run_all.py --quick            a small budget, into a new temporary folder: does it run?
    python run_all.py --list             their names

A figure is a script figures/NAME.py, in the table of figures/gallery.py; its docstring is its caption. It offers

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
128 + n ended by signal n, the first of several: 130 by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.
"""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[_variable] = "1"  # one BLAS thread a process, set before NumPy is first imported
os.environ["MPLBACKEND"] = "agg"

import argparse
import difflib
import importlib
import json
import multiprocessing
import shutil
import signal
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent
if str(ROOT) not in sys.path:  # python -I and -P leave it out
    sys.path.insert(0, str(ROOT))

from figures import gallery

QUICK = 0.01
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


# One figure, in a process of its own.

def run_figure(name, seed, budget, folder, done):
    """Draw one figure into the folder, and write its record there; of one that fails, the trace. done: how far it is."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # the parent hears them
    record = {"seed": seed, "budget": budget}
    try:
        record |= drawn(name, seed, budget, folder, done)
        gallery.section(name, record).encode()  # what cannot be shown fails here, in its own figure
    except BaseException:
        record = {"seed": seed, "budget": budget, "error": traceback.format_exc()}
    (folder / f"{name}.json").write_text(json.dumps(record, allow_nan=False), encoding="utf-8")


def drawn(name, seed, budget, folder, done):
    """Caption, pictures and claims of a figure."""
    from figures.common import save, stream  # and with it Matplotlib, which the parent does not need
    module = importlib.import_module(f"figures.{name}")

    def progress(iterable, label=""):
        for i, item in enumerate(iterable):
            done.value = i / len(iterable)
            yield item

    m = module.measure(partial(stream, seed, name), budget, progress)
    pictures = [f"{name}.png"]
    save(module.draw(m), folder / pictures[0])
    if hasattr(module, "animate"):
        pictures.append(module.ANIMATION)
        module.animate(m, folder / pictures[1])
    return {"caption": gallery.caption(name), "pictures": pictures,
            "claims": [gallery.checked(claim) for claim in module.claims(m)]}


# All figures: threads that start processes and wait for them.

class Run:
    """What the threads share: settings, the processes that run, records and seconds of what is finished."""

    def __init__(self, args, stop):
        self.settings, self.stop = (args.seed, QUICK if args.quick else 1.0, args.folder), stop
        self.running, self.records, self.seconds = {}, {}, {}
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        self.context = multiprocessing.get_context(method)
        self.context.set_forkserver_preload(["autograd.numpy", "matplotlib.figure", "matplotlib.backends.backend_agg"])

    def figure(self, name):
        """Draw one figure in a new process, unless a signal came."""
        if self.stop:
            return
        begin, done = time.monotonic(), self.context.RawValue("d", 0)
        process = self.context.Process(target=run_figure, args=(name, *self.settings, done))
        process.start()
        self.running[name] = done
        while process.is_alive() and not self.stop:
            process.join(0.1)
        process.kill()  # of nothing less ends one that is stopped
        process.join()
        self.finish(name, process.exitcode, round(time.monotonic() - begin, 2))

    def finish(self, name, status, seconds):
        """The record that a process left; one that died of itself left none."""
        seed, budget, folder = self.settings
        record = {"seed": seed, "budget": budget, "error": f"its process died, exit status {status}"}
        with suppress(OSError, ValueError):
            record = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        del self.running[name]
        if "pictures" in record or not self.stop:
            self.records[name], self.seconds[name] = record, seconds

    def all(self, names, jobs):
        """The longest first, on so many threads; the timed ones last and alone."""
        names = sorted(names, key=gallery.FIGURES.get, reverse=True)
        with Board(self, len(names)) as board:
            for group, width in (([n for n in names if n not in gallery.TIMED], jobs),
                                 ([n for n in names if n in gallery.TIMED], 1)):
                with ThreadPoolExecutor(width) as pool:
                    waiting = [pool.submit(self.figure, name) for name in group]
                    while not all(future.done() for future in waiting):
                        time.sleep(0.1)
                        board.show()
                    for future in waiting:
                        future.result()
        return {name: self.records[name] for name in gallery.FIGURES if name in self.records}


class Board:
    """Shows on the error stream what runs: one line on a terminal, and a line for each figure that is finished."""

    def __init__(self, run, total):
        from tqdm import tqdm
        self.run, self.shown = run, set()
        self.bar = tqdm(total=total, disable=not sys.stderr.isatty(), leave=False, dynamic_ncols=True,
                        bar_format="{n}/{total} {elapsed} {desc}")

    def show(self):
        for name in [name for name in self.run.records if name not in self.shown]:
            self.shown.add(name)
            self.bar.clear()
            say(f"{name:24s} {self.run.seconds[name]:6.1f} s   {gallery.verdict(self.run.records[name])}", sys.stderr)
            self.bar.update()
        self.bar.set_description_str("  ".join(f"{name} {100 * done.value:.0f}%"
                                               for name, done in list(self.run.running.items())))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.show()
        self.bar.close()


def say(text, stream):
    """Print; where nobody listens any more (a closed terminal, `| head`), go on in silence."""
    try:
        print(text, file=stream, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def report(records):
    """Print the claims, and the trace of every figure that failed; returns what is wrong, in one line."""
    wrong = []
    for name, record in records.items():
        for c in record.get("claims", []):
            mark = {"": "    ", "yes": "ok  ", "NO": "MISS"}[gallery.answer(c, record["budget"])]
            say(f"{mark} {name:24s} {c['text']}: {c['value']:.4g}  ({gallery.bounds(c)})", sys.stdout)
            wrong += [f"{name} MISSED {c['text']!r}"] * (mark == "MISS")
        if "error" in record:
            say(f"FAIL {name}\n{record['error']}", sys.stdout)
            wrong.append(f"{name} FAILED")
    quick = any(record["budget"] < 1 for record in records.values())
    return "; ".join(wrong) or ("claims are not checked at this budget" if quick else
                                "all claims hold" if records else "none was finished")


# The command line.

def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser.add_argument("--list", action="store_true", help="print the names of the figures")
    parser.add_argument("--only", nargs="+", action="extend", metavar="NAME", default=[], help="draw these alone")
    parser.add_argument("--quick", action="store_true", help="a small budget; claims are not checked")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder to write to (default figures/)")
    parser.add_argument("--jobs", type=int, default=cores, help="figures drawn at once (default: all cores)")
    args = parser.parse_args(argv)
    for name in args.only:
        if name not in gallery.FIGURES:
            near = [f"did you mean {other}?" for other in difflib.get_close_matches(name, gallery.FIGURES, 1)]
            parser.error(f"no figure named {name}; {(near or ['--list shows the names'])[0]}")
    if args.jobs < 1 or args.seed < 0:
        parser.error("--jobs wants at least 1, --seed at least 0")
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
        if page.is_file() and not page.read_text("utf-8", "replace").startswith(gallery.WRITTEN):
            parser.error(f"{page} is no gallery and would be replaced; name another folder")
        return out, Path(tempfile.mkdtemp(prefix=".unfinished-", dir=out))
    except OSError as problem:
        return parser.error(f"cannot write into {problem.filename or args.out}: {problem.strerror}")


def catch_signals():
    """A list that receives the number of a signal to end; nothing is interrupted but by the third."""
    stop = []

    def note(number, frame):
        stop.append(number)
        if len(stop) > 2:
            os._exit(128 + stop[0])

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
        print(*gallery.FIGURES, sep="\n")
        return 0
    begin, names, run = time.monotonic(), list(dict.fromkeys(args.only)) or list(gallery.FIGURES), Run(args, stop)
    try:
        records = run.all(names, args.jobs)
        state = report(records)
        for name in gallery.save(args.out, args.folder, records, run.seconds, args.only) if records else ():
            say(f"{name}: only measured times differ, its picture stays; --only {name} replaces it", sys.stderr)
    except OSError as problem:
        say(f"run_all.py: cannot write: {problem}", sys.stderr)
        return 1
    finally:
        shutil.rmtree(args.folder, ignore_errors=True)
    took = time.monotonic() - begin
    say(f"{len(records)} of {len(names)} figures in {took:.0f} s, in {args.out}: {state}", sys.stdout)
    if stop:
        say(f"interrupted by {signal.Signals(stop[0]).name}; finished figures are in place", sys.stderr)
        return 128 + stop[0]
    return 0 if all(map(gallery.right, records.values())) else 1


if __name__ == "__main__":
    sys.exit(main())
