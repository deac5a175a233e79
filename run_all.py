"""Reproduce every figure of scoremin from its samples, and check the numbers under each: `python run_all.py`.

A figure is a script figures/NAME.py, in the table of figures/gallery.py; its docstring is its caption. It offers

    measure(stream, budget, progress) -> m      train and sample; stream(part="") gives a random generator, budget
                                                scales the steps, progress(iterable, label) shows how far it is
    draw(m) -> fig                              saved as figures/NAME.png
    claims(m) -> [Claim, ...]                   its numbers, with the bounds that they must keep
    animate(m, path)                            if it is there, writes a moving picture, figures/ANIMATION

Pictures, results.json, the gallery README.md and book.html are written at the end, after an interrupt too. The same
seed gives the same bytes on the same machine. A figure of measured times cannot repeat itself: it runs last and alone,
and where its claims hold and only measured values differ, picture and record stay, unless --only names it.

Exit status: 0 all claims hold, 1 a figure failed, a claim is missed or a file cannot be written, 2 bad usage,
128 + n ended by signal n, the first of several: 130 by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.
"""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[_variable] = "1"  # one BLAS thread a process, set before NumPy is first imported
os.environ["MPLBACKEND"] = "agg"

import argparse
import importlib
import json
import multiprocessing
import shutil
import signal
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from multiprocessing import connection, resource_tracker
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))  # python -I and -P leave it out
from figures import gallery

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
LINE = "{bar:10} {n}/{total} {elapsed}  {desc}"
CONTEXT = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
CONTEXT.set_forkserver_preload(["__main__", "autograd.numpy", "matplotlib.figure", "matplotlib.backends.backend_agg"])


def run_figure(name, seed, budget, folder, done):
    """Draw a figure into the folder, and write its record there; of one that fails, the trace. done: how far it is."""
    record = {"seed": seed, "budget": budget}
    try:
        text = json.dumps({**record, **drawn(name, seed, budget, folder, done)}, allow_nan=False)
        gallery.section(name, json.loads(text)).encode()  # what cannot be shown fails here, in its own figure
    except BaseException:
        text = json.dumps({**record, "error": traceback.format_exc()})
    (folder / f"{name}.json").write_text(text, encoding="utf-8")


def drawn(name, seed, budget, folder, done):
    """Caption, pictures and claims of a figure."""
    from figures.common import save, stream  # and with it Matplotlib, which the parent does not need
    module = importlib.import_module(f"figures.{name}")

    def progress(iterable, label=""):
        for i, item in enumerate(iterable):
            done.value = i / len(iterable)
            yield item

    m, pictures = module.measure(lambda part="": stream(seed, name, part), budget, progress), [f"{name}.png"]
    save(module.draw(m), folder / pictures[0])
    if hasattr(module, "animate"):
        pictures.append(module.ANIMATION)
        module.animate(m, folder / pictures[1])
    claims = [gallery.checked(claim) for claim in module.claims(m)]
    return {"caption": gallery.caption(name), "pictures": pictures, "claims": claims}


def start(waiting, running, args):
    """Start what may run now, a timed figure alone: processes deaf to signals from their first moment."""
    while waiting and (not running or (len(running) < args.jobs and waiting[0] not in gallery.TIMED)):
        name, done = waiting.pop(0), CONTEXT.RawValue("d", 0)
        process = CONTEXT.Process(target=run_figure, args=(name, args.seed, args.budget, args.folder, done))
        if os.name == "posix":
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            resource_tracker.ensure_running()  # a helper, whose start lets signals through again
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        process.start()
        if os.name == "posix":
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        running[name] = process, done, time.monotonic()


def ended(running, args, bar):
    """What ended, after a moment: name, record, seconds. The bar shows how far the others are."""
    bar.set_description_str("  ".join(f"{name} {done.value:.0%}" for name, (_, done, _) in running.items()))
    connection.wait([process.sentinel for process, _, _ in running.values()], timeout=0.1)
    for name in [name for name, (process, _, _) in running.items() if not process.is_alive()]:
        process, _, begin = running.pop(name)
        record = {"seed": args.seed, "budget": args.budget, "error": f"it died, exit status {process.exitcode}"}
        with suppress(OSError, ValueError):  # it left none
            record = json.loads((args.folder / f"{name}.json").read_text(encoding="utf-8"))
        yield name, record, round(time.monotonic() - begin, 2)


def run_figures(names, args, stop):
    """Records and seconds of the figures that are finished: the longest first, the timed ones last."""
    from tqdm import tqdm  # not above: figures do not need it
    waiting = sorted(names, key=lambda name: (name in gallery.TIMED, -gallery.FIGURES[name]))
    running, records, seconds = {}, {}, {}
    with tqdm(total=len(names), disable=not sys.stderr.isatty(), leave=False, bar_format=LINE) as bar:
        while (waiting or running) and not stop:
            start(waiting, running, args)
            for name, record, took in ended(running, args, bar):
                records[name], seconds[name] = record, took
                bar.clear()
                say(f"{name:24s} {took:6.1f} s   {gallery.verdict(record)}", sys.stderr)
                bar.update()
    for process, _, _ in running.values():
        process.kill()  # of nothing less ends one that is stopped
        process.join()
    return {name: records[name] for name in gallery.FIGURES if name in records}, seconds


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


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the names of the figures")
    parser.add_argument("--only", nargs="+", action="extend", metavar="NAME", default=[], choices=gallery.FIGURES,
                        help="draw these figures alone")
    parser.add_argument("--quick", dest="budget", action="store_const", const=0.01, default=1.0,
                        help="a small budget, into a new temporary folder; claims are not checked")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder to write to (default figures/)")
    parser.add_argument("--jobs", type=int, default=CORES, help="figures drawn at once (default: all cores)")
    args = parser.parse_args(argv)
    if args.jobs < 1 or args.seed < 0:
        parser.error("--jobs wants at least 1, --seed at least 0")
    if not args.list:
        args.out, args.folder = open_folders(args, parser)
    return args


def open_folders(args, parser):
    """The folder to write to, and in it a new one for what is not finished; refused before any work is lost."""
    try:
        out = args.out or (Path(tempfile.mkdtemp(prefix="scoremin-quick-")) if args.budget < 1 else ROOT / "figures")
        out = out.resolve()
        if args.budget < 1 and out == ROOT / "figures":
            parser.error("--quick does not write into figures/")
        out.mkdir(parents=True, exist_ok=True)
        page = out / "README.md"
        if page.is_file() and not page.read_text("utf-8", "replace").startswith(gallery.WRITTEN):
            parser.error(f"{page} is no gallery and would be replaced; name another folder")
        return out, Path(tempfile.mkdtemp(prefix=".unfinished-", dir=out))
    except OSError as problem:
        return parser.error(f"cannot write into {problem.filename or args.out}: {problem.strerror}")


def prepare():
    """A closed stream drops what it gets, an old encoding prints by name; signals do no more than fill the list."""
    for name in ("stdout", "stderr"):
        setattr(sys, name, getattr(sys, name) or open(os.devnull, "w"))  # noqa: SIM115
        getattr(sys, name).reconfigure(errors="namereplace")
    stop = []
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, lambda number, frame: stop.append(number))
    return stop


def main(argv=None):
    stop, args = prepare(), parse(argv)
    if args.list:
        say("\n".join(gallery.FIGURES), sys.stdout)
        return 0
    os.chdir(ROOT)  # processes find the figures there, and no module of the user's
    try:
        return run(args, list(dict.fromkeys(args.only)) or list(gallery.FIGURES), stop)
    except OSError as problem:
        say(f"run_all.py: cannot write: {problem}", sys.stderr)
        return 1
    finally:
        shutil.rmtree(args.folder, ignore_errors=True)


def run(args, names, stop):
    """Draw these figures, tell how they are, save; returns the exit status."""
    begin, (records, seconds) = time.time(), run_figures(names, args, stop)
    report(records)
    for name in gallery.save(args.out, args.folder, records, seconds, args.only) if records else ():
        say(f"{name}: only measured times differ, its picture stays; --only {name} replaces it", sys.stderr)
    wrong = gallery.wrong(records) + [f"interrupted by {signal.Signals(number).name}" for number in stop[:1]]
    state = "; ".join(wrong) or ("claims are not checked at this budget" if args.budget < 1 else "all claims hold")
    say(f"{len(records)} of {len(names)} figures in {time.time() - begin:.0f} s, in {args.out}: {state}", sys.stdout)
    return 128 + stop[0] if stop else int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
