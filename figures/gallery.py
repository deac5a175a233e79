"""What stays of the figures: their table, the records in results.json, and the page README.md."""

import ast
import json
import math
import os
import platform
from pathlib import Path

HERE = Path(__file__).resolve().parent
# In the order of the gallery, each with its rough seconds: the longest are started first.
FIGURES = {
    "explicit_kde": 4, "relu_or_silu": 9, "implicit_swiss_roll": 6, "ncsn_swiss_roll": 9, "mixture_weights": 3,
    "low_density": 4, "manifold": 7, "denoising_sigma": 5, "probe_variance": 1, "cost_vs_dimension": 2,
    "langevin_step": 2, "continuous_noise": 20, "likelihood": 8, "conditional": 14, "objectives_compared": 6,
    "digits": 15, "own_data": 14, "high_dimension": 6, "objectives_on_digits": 13, "without_gradient_descent": 6,
    "common_mistakes": 4,
}
TIMED = {"cost_vs_dimension", "objectives_on_digits", "without_gradient_descent"}  # they show measured times
WRITTEN = "# Gallery\n\nWritten by `python run_all.py`"


def caption(name):
    """The docstring of a figure's script, from its text: python -OO drops it elsewhere."""
    return ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8")), clean=False) or name


def checked(claim):
    """A claim as results.json holds it; its value is a number."""
    if not math.isfinite(claim.value):
        raise ValueError(f"claim {claim.text!r}: value is {claim.value}")
    return {**claim._asdict(), "holds": claim.holds}


def bounds(claim):
    """The bounds of a claim as text; one without bounds is a measurement, not a claim."""
    low, high = claim["low"], claim["high"]
    if low is None and high is None:
        return "measured"
    return f"≤ {high:.4g}" if low is None else f"≥ {low:.4g}" if high is None else f"{low:.4g} … {high:.4g}"


def answer(claim, budget):
    """Whether a claim holds; a measurement claims nothing, and a small budget proves nothing."""
    return "" if bounds(claim) == "measured" or budget < 1 else "yes" if claim["holds"] else "NO"


def missed(record):
    """The texts of the claims that do not hold."""
    return [claim["text"] for claim in record.get("claims", []) if answer(claim, record["budget"]) == "NO"]


def verdict(record):
    """A word or two on a figure."""
    if "error" in record:
        return "FAILED"
    if record["budget"] < 1:
        return "drawn, claims not checked"
    return f"{len(missed(record))} of {len(record['claims'])} claims MISSED" if missed(record) else "ok"


def wrong(records):
    """What failed and what was missed, a text each."""
    return [text for name, record in records.items()
            for text in [f"{name} FAILED"] * ("error" in record) + [f"{name} MISSED {t!r}" for t in missed(record)]]


def section(name, record):
    """One figure in the gallery."""
    if "error" in record:
        return f"## {name}\n\nFAILED: {record['error'].strip().splitlines()[-1]}\n"
    title, _, text = record["caption"].partition("\n")
    lines = [f"## {title.rstrip('.')}", "", *(f"![{name}]({picture})" for picture in record["pictures"])]
    lines += [text.rstrip().replace("\nSettings:", "  \nSettings:"), "",
              "| claim | value | bound | holds |", "| --- | --- | --- | --- |"]
    lines += [f"| {c['text'].replace('|', '&#124;')} | {c['value']:.4g} | {bounds(c)} | {answer(c, record['budget'])} |"
              for c in record["claims"]]
    note, more = f" {verdict(record)}." if missed(record) else "", HERE / f"{name}.md"  # what a caption has no room for
    lines += ["", f"[{name}.py]({name}.py), seed {record['seed']}.{note}", ""]
    return "\n".join([*lines, *([more.read_text(encoding="utf-8")] if more.exists() else [])])


def gallery(figures):
    """The page README.md: each figure with its caption and its claims."""
    head = ("each claim checked in the run that drew its picture" if all(r["budget"] >= 1 for r in figures.values())
            else "some with a small budget, at which claims are not checked")
    pages = [section(name, record) for name, record in figures.items()]
    return "\n".join([f"{WRITTEN}: {len(figures)} of {len(FIGURES)} figures, {head}.\n", *pages])


def earlier(path):
    """The records of a results.json; none of a file that is not ours."""
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))["figures"] if path.is_file() else {}
        figures = {name: figures[name] for name in FIGURES if name in figures}
        (gallery(figures) + json.dumps(figures, allow_nan=False)).encode()  # what cannot be shown again fails here
        return figures
    except Exception:  # whatever it is, it costs no work
        return {}


def stays(old, new):
    """Whether a figure of measured times keeps picture and record: claims hold, only what was measured differs."""
    if old is None or {verdict(old), verdict(new)} != {"ok"}:
        return False
    old, new = ({**record, "claims": [{**c, "value": 0} for c in record["claims"]]} for record in (old, new))
    return old == new


def save(out, folder, records, seconds, only):
    """Move pictures from the folder into out and their records over those of earlier runs; returns those that stay."""
    figures = earlier(out / "results.json")
    kept = [name for name in sorted(TIMED & (records.keys() - set(only)))
            if (out / f"{name}.png").exists() and stays(figures.get(name), records[name])]
    figures |= {name: record for name, record in records.items() if name not in kept}
    for picture in [picture for name in records if name not in kept for picture in records[name].get("pictures", ())]:
        os.replace(folder / picture, out / picture)
    figures = {name: figures[name] for name in FIGURES if name in figures}
    from importlib.metadata import version  # slow to import
    versions = {"python": platform.python_version(), **{p: version(p) for p in ("numpy", "autograd", "matplotlib")}}
    write(out, folder, "results.json", {"versions": versions, "figures": figures})
    write(out, folder, "times.json", {"platform": f"{platform.platform()}, {os.cpu_count()} cores", "seconds": seconds})
    write(out, folder, "README.md", gallery(figures))
    from figures.book import book  # last, since it reads every source
    write(out, folder, "book.html", book(figures))
    return kept


def write(out, folder, name, content):
    """Replace a file of out at once, from the folder: a reader never sees half of it. What is no text becomes JSON."""
    if not isinstance(content, str):
        content = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    (folder / name).write_text(content, encoding="utf-8", newline="\n")
    os.replace(folder / name, out / name)
