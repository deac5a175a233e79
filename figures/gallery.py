"""What stays of the figures: their table, the records in results.json, and the page README.md."""

import ast
import json
import math
import os
import platform
from numbers import Real
from pathlib import Path

HERE = Path(__file__).resolve().parent
# In the order of the gallery, each with its rough seconds: the longest are started first.
FIGURES = {
    "explicit_kde": 4, "relu_or_silu": 9, "implicit_swiss_roll": 6, "ncsn_swiss_roll": 9, "mixture_weights": 2,
    "low_density": 5, "manifold": 8, "denoising_sigma": 5, "probe_variance": 2, "cost_vs_dimension": 3,
    "langevin_step": 2, "continuous_noise": 12, "likelihood": 7, "conditional": 10, "objectives_compared": 7,
    "digits": 15, "own_data": 10, "high_dimension": 6, "objectives_on_digits": 13, "without_gradient_descent": 5,
    "common_mistakes": 4,
}
TIMED = {"cost_vs_dimension", "objectives_on_digits", "without_gradient_descent"}  # they show measured times
WRITTEN = "# Gallery\n\nWritten by `python run_all.py`"


def caption(name):
    """The docstring of a figure's script, from its text: python -OO drops it elsewhere."""
    return ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8")), clean=False) or name


def checked(claim):
    """A claim as results.json holds it; its numbers must be numbers."""
    numbers = {"value": claim.value, "low": claim.low, "high": claim.high}
    for what, number in numbers.items():
        if (what == "value" or number is not None) and not (isinstance(number, Real) and math.isfinite(number)):
            raise ValueError(f"claim {claim.text!r}: {what} is {number!r}, not a finite number")
    numbers = {what: None if number is None else float(number) for what, number in numbers.items()}
    return {"text": claim.text, **numbers, "holds": claim.holds}


def verdict(record):
    """One word on a record: claims are those with bounds, asserted at the full budget only."""
    if "error" in record:
        return "FAILED"
    if record["budget"] < 1:
        return "drawn, claims not checked"
    missed = sum(not claim["holds"] for claim in record["claims"])
    return f"{missed} of {len(record['claims'])} claims MISSED" if missed else "ok"


def right(record):
    """Whether nothing failed and no claim was missed."""
    return verdict(record) in ("ok", "drawn, claims not checked")


def summary(records):
    """What is wrong with these records, or that nothing is, in one line."""
    wrong = [f"{name} FAILED" if "error" in record else f"{name} MISSED {claim['text']!r}"
             for name, record in records.items() for claim in record.get("claims", [None])
             if claim is None or answer(claim, record["budget"]) == "NO"]
    if not wrong and any(record["budget"] < 1 for record in records.values()):
        return "claims are not checked at this budget"
    return "; ".join(wrong) or ("all claims hold" if records else "none was finished")


def bounds(claim):
    """The bounds of a claim as text; one without bounds is a measurement, not a claim."""
    low, high = claim["low"], claim["high"]
    if low is None and high is None:
        return "measured"
    return f"≤ {high:.4g}" if low is None else f"≥ {low:.4g}" if high is None else f"{low:.4g} … {high:.4g}"


def answer(claim, budget):
    """Whether a claim holds; a measurement claims nothing, and a small budget proves nothing."""
    return "" if bounds(claim) == "measured" or budget < 1 else "yes" if claim["holds"] else "NO"


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
    note = "" if right(record) else f" {verdict(record)}."
    more = HERE / f"{name}.md"  # what a caption has no room for
    return "\n".join([*lines, "", f"[{name}.py]({name}.py), seed {record['seed']}.{note}", "",
                      *([more.read_text(encoding="utf-8")] if more.exists() else [])])


def gallery(figures):
    """The page README.md: each figure with its caption and its claims."""
    head = ("each claim checked in the run that drew its picture" if all(r["budget"] >= 1 for r in figures.values())
            else "some with a small budget, at which claims are not checked")
    pages = [section(name, record) for name, record in figures.items()]
    return "\n".join([f"{WRITTEN}: {len(figures)} of {len(FIGURES)} figures, {head}.\n", *pages])


def earlier(path):
    """The records of a results.json that can be shown again; none of a file that is not ours."""
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))["figures"] if path.is_file() else {}
        figures = {name: figures[name] for name in FIGURES if name in figures}
        (gallery(figures) + json.dumps(figures, allow_nan=False)).encode()
        return figures
    except Exception:  # whatever it is, it costs no work
        return {}


def stays(name, old, new):
    """Whether a figure of measured times keeps picture and record: claims hold, only what was measured differs."""
    if name not in TIMED or old is None or {verdict(old), verdict(new)} != {"ok"}:
        return False
    old, new = ({**record, "claims": [{**c, "value": 0} for c in record["claims"]]} for record in (old, new))
    return old == new


def save(out, folder, records, seconds, only):
    """Move pictures from the folder into out and their records over those of earlier runs; returns those that stay."""
    figures = earlier(out / "results.json")
    kept = [name for name, record in records.items()
            if name not in only and (out / f"{name}.png").exists() and stays(name, figures.get(name), record)]
    new = {name: record for name, record in records.items() if name not in kept}
    for picture in [picture for record in new.values() for picture in record.get("pictures", ())]:
        os.replace(folder / picture, out / picture)
    figures = {name: {**figures, **new}[name] for name in FIGURES if name in {**figures, **new}}
    from importlib.metadata import version  # slow to import
    versions = {"python": platform.python_version(),
                **{name: version(name) for name in ("numpy", "autograd", "matplotlib")}}
    times = {"platform": f"{platform.platform()}, {os.cpu_count()} cores", "seconds": seconds}
    write(out, folder, "results.json", as_json({"versions": versions, "figures": figures}))
    write(out, folder, "times.json", as_json(times))
    write(out, folder, "README.md", gallery(figures))
    from figures.book import book  # last, since it reads every source
    write(out, folder, "book.html", book(figures))
    return kept


def as_json(data):
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write(out, folder, name, text):
    """Replace a file of out at once, from the folder: a reader never sees half of it."""
    (folder / name).write_text(text, encoding="utf-8", newline="\n")
    os.replace(folder / name, out / name)
