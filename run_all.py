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

When all are done, or after an interrupt those that are, pictures, results.json, the gallery README.md and book.html
are written: the same bytes for the same seed on the same machine; times.json holds seconds. A figure of measured times
runs alone, after the others; while its claims hold its picture stays, unless --only names it.

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

from tqdm import tqdm

ROOT = Path(__file__).resolve().parent
if str(ROOT) not in sys.path:  # python -I and -P leave it out
    sys.path.insert(0, str(ROOT))

from figures import gallery

QUICK = 0.01
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


# One figure, in a process of its own.

def run_figure(name, seed, budget, folder, done):
    """Draw one figure into the folder, and write its record there: of one that fails, the trace."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # the parent hears them
    settings = {"seed": seed, "budget": budget}
    try:
        record = settings | drawn(name, seed, budget, folder, done)
        gallery.section(name, record).encode()  # what cannot be shown fails here, in its own figure
    except BaseException:
        record = settings | {"error": traceback.format_exc()}
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
    """What the threads share: settings, how far each process is, records and seconds of what is finished."""

    def __init__(self, args):
        self.settings = args.seed, QUICK if args.quick else 1.0, args.folder
        self.running, self.records, self.seconds = {}, {}, {}
        self.context = start_server()
        self.stop = catch_signals()

    def figure(self, name):
        """Draw one figure in a new process, unless a signal came."""
        if self.stop:
            return
        begin, self.running[name] = time.monotonic(), self.context.RawValue("d", 0)
        process = self.context.Process(target=run_figure, args=(name, *self.settings, self.running[name]))
        process.start()
        while process.is_alive() and not self.stop:
            process.join(0.1)
        process.kill()  # of nothing less ends one that is stopped
        process.join()
        record = self.record(name, process.exitcode)
        if "pictures" in record or not self.stop:
            self.seconds[name], self.records[name] = round(time.monotonic() - begin, 2), record
        del self.running[name]

    def record(self, name, status):
        """The record that a process left; one that died of itself left none."""
        seed, budget, folder = self.settings
        try:
            return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {"seed": seed, "budget": budget, "error": f"its process died, exit status {status}"}

    def all(self, names, jobs):
        """The longest first, on so many threads; the timed ones last and alone."""
        names, shown = sorted(names, key=gallery.FIGURES.get, reverse=True), set()
        with tqdm(total=len(names), disable=not sys.stderr.isatty(), leave=False, dynamic_ncols=True,
                  bar_format="{n}/{total} {elapsed} {desc}") as bar:
            for timed, width in ((False, jobs), (True, 1)):
                with ThreadPoolExecutor(width) as pool:
                    waiting = [pool.submit(self.figure, name) for name in names if (name in gallery.TIMED) == timed]
                    while not all(future.done() for future in waiting):
                        time.sleep(0.1)
                        self.show(bar, shown)
                    self.show(bar, shown)
                    [future.result() for future in waiting]  # raises what a thread raised
        return {name: self.records[name] for name in gallery.FIGURES if name in self.records}

    def show(self, bar, shown):
        """A line on the error stream for each figure that is finished; on a terminal, one for all that run."""
        for name in self.records.keys() - shown:
            shown.add(name)
            with suppress(OSError):  # the terminal is gone
                bar.clear()
            say(f"{name:24s} {self.seconds[name]:6.1f} s   {gallery.verdict(self.records[name])}", sys.stderr)
        bar.n = len(shown)
        with suppress(OSError):
            bar.set_description_str("  ".join(f"{name} {100 * done.value:.0f}%"
                                              for name, done in self.running.copy().items()))


def start_server():
    """The context whose processes are forks of a server that has imported what all need, where the system can."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver
    forkserver.set_forkserver_preload(["autograd.numpy", "matplotlib.figure", "matplotlib.backends.backend_agg"])
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}  # the server inherits that
    forkserver.ensure_running()
    for number, handler in before.items():
        signal.signal(number, handler)
    return multiprocessing.get_context("forkserver")


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


def say(text, stream):
    """Print; where nobody listens any more (a closed terminal, `| head`), go on in silence."""
    try:
        print(text, file=stream, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def report(records):
    """Print the claims, and the trace of every figure that failed."""
    for name, record in records.items():
        for c in record.get("claims", []):
            mark = {"": "    ", "yes": "ok  ", "NO": "MISS"}[gallery.answer(c, record["budget"])]
            say(f"{mark} {name:24s} {c['text']}: {c['value']:.4g}  ({gallery.bounds(c)})", sys.stdout)
        if "error" in record:
            say(f"FAIL {name}\n{record['error']}", sys.stdout)


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


def prepare_streams():
    """A closed stream becomes one that drops what it gets; what an old encoding cannot print is printed by name."""
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(number)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        stream.reconfigure(errors="namereplace")
        setattr(sys, name, stream)


def main(argv=None):
    prepare_streams()
    args = parse(argv)
    if args.list:
        say("\n".join(gallery.FIGURES), sys.stdout)
        return 0
    try:
        return run(args, list(dict.fromkeys(args.only)) or list(gallery.FIGURES))
    except OSError as problem:
        say(f"run_all.py: cannot write: {problem}", sys.stderr)
        return 1
    finally:
        shutil.rmtree(args.folder, ignore_errors=True)


def run(args, names):
    """Draw these figures, tell how they are, save; returns the exit status."""
    begin, everything = time.monotonic(), Run(args)
    records = everything.all(names, args.jobs)
    report(records)
    for name in gallery.save(args.out, args.folder, records, everything.seconds, args.only) if records else ():
        say(f"{name}: only measured times differ, its picture stays; --only {name} replaces it", sys.stderr)
    took, state = time.monotonic() - begin, gallery.summary(records)
    say(f"{len(records)} of {len(names)} figures in {took:.0f} s, in {args.out}: {state}", sys.stdout)
    if everything.stop:
        name = signal.Signals(everything.stop[0]).name
        say(f"interrupted by {name}; finished figures are in place", sys.stderr)
        return 128 + everything.stop[0]
    return 0 if all(map(gallery.right, records.values())) else 1


if __name__ == "__main__":
    sys.exit(main())
