"""Reproduce every figure of scoremin from its samples, and check the numbers under each.

    python run_all.py                    all figures, in parallel, into figures/
    python run_all.py --only NAME ...    some of them
    python run_all.py --quick            a small budget, into a temporary folder: does it run?
    python run_all.py --list             their names

Exit status: 0 all claims hold, 1 a figure failed or a claim is missed, 2 bad usage, 130 interrupted.
"""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[_variable] = "1"  # one BLAS thread a worker, set before NumPy is first imported

import argparse
import importlib
import json
import multiprocessing
import platform
import signal
import sys
import tempfile
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from queue import Empty

from tqdm import tqdm

ROOT = Path(__file__).resolve().parent
QUICK, BAR = 0.01, "{desc} {bar} {n}/{total}"
# In the order of the gallery, each with its rough seconds: the longest are started first.
FIGURES = {
    "explicit_kde": 4, "relu_or_silu": 5, "implicit_swiss_roll": 9, "ncsn_swiss_roll": 20, "mixture_weights": 3,
    "low_density": 7, "denoising_sigma": 8, "probe_variance": 2, "cost_vs_dimension": 3, "langevin_step": 2,
    "objectives_compared": 13, "common_mistakes": 5,
}


def start_worker(reports):
    """Leave Ctrl-C to the parent process, and remember the queue that leads to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run_figure.reports = reports


def run_figure(name, seed, budget, out):
    """In a worker: draw one figure beside its place, move it there, and return its record."""
    start, png, reports = time.monotonic(), Path(out) / f"{name}.png", run_figure.reports
    unfinished = png.with_name(f".{name}.unfinished")

    def progress(iterable, label=""):
        shown = 0.0
        for i, item in enumerate(iterable):
            if time.monotonic() > shown + 0.2:
                reports.put((name, label, i, len(iterable)))
                shown = time.monotonic()
            yield item

    try:
        reports.put((name, "", 0, 1))
        module, common = importlib.import_module(f"figures.{name}"), importlib.import_module("figures.common")
        measured = module.measure(partial(common.stream, seed, name), budget, progress)
        common.save(module.draw(measured), unfinished)
        claims = module.claims(measured)
        record = {"caption": module.__doc__, "claims": [{**c._asdict(), "holds": c.holds} for c in claims]}
        json.dumps(record, allow_nan=False)  # a claim whose value is NaN or no number fails here, in its own figure
        os.replace(unfinished, png)
    except (Exception, SystemExit):
        record = {"error": traceback.format_exc()}
    finally:
        unfinished.unlink(missing_ok=True)
    return {"seed": seed, "budget": budget, "seconds": round(time.monotonic() - start, 2), **record}


class Board:
    """Shows what the workers report: a bar for each running figure, or plain lines off a terminal."""

    def __init__(self):
        self.bars, self.live = {}, sys.stderr.isatty()

    def show(self, name, label, done, total):
        if not self.live and name not in self.bars:
            print(f"{name} ...", file=sys.stderr, flush=True)
        if name not in self.bars:
            self.bars[name] = tqdm(total=total, leave=False, disable=not self.live, bar_format=BAR)
        bar = self.bars[name]
        bar.set_description_str(f"{name} {label}"[:40].ljust(40), refresh=False)
        bar.n, bar.total = done, total
        bar.refresh()

    def finish(self, name, record):
        if name in self.bars:
            self.bars.pop(name).close()
        tqdm.write(f"{name:20s} {record['seconds']:6.1f} s   {verdict(record)}", file=sys.stderr)


def verdict(record):
    """One word on a record: checked claims are those with bounds, asserted at the full budget only."""
    if "error" in record:
        return "FAILED"
    if record["budget"] < 1:
        return "drawn, claims not checked"
    missed = sum(not claim["holds"] for claim in record["claims"])
    return f"{missed} claims MISSED" if missed else "ok"


def run_figures(names, args, budget):
    """Run the named figures in parallel, the longest first; returns their records by name."""
    board, names = Board(), sorted(names, key=FIGURES.get, reverse=True)
    records = run_pool(names, args, budget, board)
    for name in names:
        if name not in records:  # a worker died, which ends its pool: the rest one by one, to find the culprit
            records.update(run_pool([name], args, budget, board))
    return records


def run_pool(names, args, budget, board):
    """The records of the named figures; if a worker dies, of those that were done, or of the only one."""
    context, records = multiprocessing.get_context("spawn"), {}
    reports = context.Queue()
    with ProcessPoolExecutor(args.jobs, context, start_worker, (reports,)) as pool:
        jobs = {pool.submit(run_figure, name, args.seed, budget, args.out): name for name in names}
        try:
            while jobs:
                with suppress(Empty):
                    board.show(*reports.get(timeout=0.1))
                for job in [job for job in jobs if job.done()]:
                    name = jobs.pop(job)
                    if not isinstance(job.exception(), BrokenProcessPool):
                        records[name] = job.result()
                    elif len(names) == 1:
                        records[name] = {"seed": args.seed, "budget": budget, "seconds": 0.0,
                                         "error": "its worker process died"}
                    if name in records:
                        board.finish(name, records[name])
        except BaseException:
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise
        finally:
            for unfinished in args.out.glob(".*.unfinished"):
                unfinished.unlink(missing_ok=True)
    return records


def write(path, text):
    """Replace a file's text at once, so that a reader never sees half of it."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def save_results(args, records):
    """results.json: the new records over those of earlier runs of other figures, in gallery order."""
    path = args.out / "results.json"
    figures = {}
    with suppress(FileNotFoundError, ValueError, KeyError):  # a first run, or a file that is not ours
        figures = json.loads(path.read_text(encoding="utf-8"))["figures"]
    figures.update(records)
    results = {
        "versions": {"python": platform.python_version(),
                     **{name: version(name) for name in ("numpy", "autograd", "matplotlib")}},
        "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "figures": {name: figures[name] for name in FIGURES if name in figures},
    }
    write(path, json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write(args.out / "README.md", gallery(results["figures"]))


def bounds(claim):
    """The bounds of a claim as text; one without bounds is a measurement, not a claim."""
    low, high = claim["low"], claim["high"]
    if low is None and high is None:
        return "measured"
    return f"≤ {high:.4g}" if low is None else f"≥ {low:.4g}" if high is None else f"{low:.4g} … {high:.4g}"


def answer(claim):
    """Whether a claim holds; a measurement claims nothing."""
    return "" if bounds(claim) == "measured" else "yes" if claim["holds"] else "NO"


def gallery(figures):
    """figures/README.md: each figure with its caption and its claims."""
    lines = ["# Gallery", "", "Written by `python run_all.py`, which also checked every number below.", ""]
    for name, record in figures.items():
        if "error" in record:
            continue
        title, _, caption = record["caption"].partition("\n")
        lines += [f"## {title.rstrip('.')}", "", f"![{name}]({name}.png)",
                  caption.rstrip().replace("\nSettings:", "  \nSettings:"), "",
                  "| claim | value | bound | holds |", "| --- | --- | --- | --- |"]
        lines += [f"| {c['text'].replace('|', '&#124;')} | {c['value']:.4g} | {bounds(c)} | {answer(c)} |"
                  for c in record["claims"]]
        lines += ["", f"[{name}.py]({name}.py), seed {record['seed']}.", ""]
    return "\n".join(lines)


def report(records):
    """Print the claims, and the trace of every figure that failed."""
    for name, record in records.items():
        for c in record.get("claims", []):
            unchecked = record["budget"] < 1 or bounds(c) == "measured"
            mark = "    " if unchecked else "ok  " if c["holds"] else "MISS"
            print(f"{mark} {name:20s} {c['text']}: {c['value']:.4g}  ({bounds(c)})")
        if "error" in record:
            print(f"FAIL {name}\n{record['error']}")


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the names of the figures")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="draw these figures alone")
    parser.add_argument("--quick", action="store_true", help="a small budget; claims are not checked")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder to write to (default figures/)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="figures drawn at once (default: all cores)")
    args = parser.parse_args(argv)
    unknown = set(args.only or []) - set(FIGURES)
    if unknown:
        parser.error(f"no figure named {', '.join(sorted(unknown))}; --list shows the names")
    if args.jobs < 1 or args.seed < 0:
        parser.error("--jobs wants at least 1, --seed at least 0")
    default = Path(tempfile.gettempdir()) / "scoremin-quick" if args.quick else ROOT / "figures"
    args.out = (args.out or default).resolve()
    return args


def main(argv=None):
    args = parse(argv)
    if args.list:
        print(*FIGURES, sep="\n")
        return 0
    start = time.monotonic()
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        records = run_figures(args.only or list(FIGURES), args, QUICK if args.quick else 1.0)
    except KeyboardInterrupt:
        print("interrupted; the figures that were finished are in place", file=sys.stderr)
        return 130
    records = {name: records[name] for name in FIGURES if name in records}
    save_results(args, records)
    report(records)
    print(f"{len(records)} figures in {time.monotonic() - start:.0f} s, in {args.out}")
    failed = [name for name, record in records.items() if verdict(record) not in ("ok", "drawn, claims not checked")]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
