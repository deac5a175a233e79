"""Check the answers of a port, or of any code, against the test vectors. Needs Python alone, no package.

    python tests/check_port.py --sheet answers.json                 write an empty answer sheet
    python tests/check_port.py answers.json                         check it, once it is filled
    python tests/check_port.py answers.json --dtype float32 --only denoising implicit --skip "*energy"
    python tests/check_port.py answers.json --answered --parts value --failures --rtol 1e-6

How to port against the vectors:

1. Read tests/vectors/<chapter>.json. "conventions" in its first line says how arrays, parameters and
   scores are written, "functions" what goes into each function and what is expected of it; "cases"
   holds one case a line.
2. For each case call your version of "function" (the package's docstrings have the equations) on
   "inputs". They hold everything, the noise z and the probes v too: no random generator is shared.
   s, Jv and trace are the score, its directional derivative and its trace; gradient is that of value.
3. Write a JSON object: case id -> the structure of "expected", with your numbers. The sheet has that
   structure with null for every number. A case of the chapter errors is answered {"error": its kind,
   "argument": the argument your message names}; the kinds are ValueError for a bad argument and
   FloatingPointError for numbers that leave the range of floats. Leave the chapter out with --skip.
   {"raised": its message} is the answer to a case that your code stops at.
4. Run this. For each array of an answer the error is max|answer - expected| / max|expected| (absolute
   where expected is all zeros); a case shows the largest, which must be within its tolerance for
   --dtype: compute in float64 first; then read the same inputs as float32.

A case that is not answered fails. For code that exists already --answered checks only what is answered,
--parts only these fields of expected, and --rtol sets the tolerance. --only and --skip take chapters or
the beginnings of ids, or patterns with *, ? for whole ids: these end in the kind of score, so "*energy"
is every case of an energy network. Where all cases of a function are off by one product of 2, d, N and
powers of sigma, a hint names it. A failure shows its tolerance and, in brackets, the flags of its case.
Exit status: 0 all pass, 1 any failure, 2 bad usage or an unreadable file.
"""

import argparse
import json
import math
import sys
from fnmatch import fnmatchcase
from functools import cache
from itertools import product
from pathlib import Path

VECTORS = Path(__file__).resolve().parent / "vectors"
PARTS = ("value", "s", "Jv", "trace", "gradient", "log_density", "path", "losses", "precision", "recall", "error")


def matches(id, pattern):
    """Whether an id begins with the pattern, or is matched by it as a whole where it has *, ? or [."""
    return fnmatchcase(id, pattern) if set("*?[") & set(pattern) else id.startswith(pattern)


@cache
def every_case():
    """The cases of all chapters, read once."""
    return [case for path in sorted(VECTORS.glob("*.json"))
            for case in json.loads(path.read_text(encoding="utf-8"))["cases"]]


def load(only=("",), skip=()):
    """The cases whose id matches one of only and none of skip; ValueError for a pattern that matches no case."""
    cases = every_case()
    for pattern in (*only, *skip):
        if not any(matches(case["id"], pattern) for case in cases):
            raise ValueError(f"no case has an id like {pattern!r}")
    return [case for case in cases if any(matches(case["id"], pattern) for pattern in only)
            and not any(matches(case["id"], pattern) for pattern in skip)]


def blank(expected):
    """expected with null in the place of every number and text."""
    if isinstance(expected, dict):
        return {key: blank(item) for key, item in expected.items()}
    return [blank(item) for item in expected] if isinstance(expected, list) else None


def is_blank(answer):
    """Whether nothing is filled in."""
    if isinstance(answer, (dict, list)):
        return all(map(is_blank, answer.values() if isinstance(answer, dict) else answer))
    return answer is None


def is_number(value):
    """Whether value is a finite number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def numbers(value, like, where):
    """Pairs (answer, expected) of an array; ValueError where the shapes differ or a number is not one."""
    if isinstance(like, list):
        if not isinstance(value, list) or len(value) != len(like):
            got = f"a list of {len(value)}" if isinstance(value, list) else f"{value!s:.60}"
            raise ValueError(f"{where}: want a list of {len(like)}, got {got}")
        return [pair for item, item_like in zip(value, like) for pair in numbers(item, item_like, where)]
    if isinstance(value, list) and value and all(map(is_number, value)):
        raise ValueError(f"{where}: want one number, got {len(value)}: is the mean missing?")
    if not is_number(value):
        raise ValueError(f"{where}: " + ("not answered, or a NaN?" if value is None else
                                         f"{value!r:.60} is no finite number"))
    return [(value, like)]


def has_fields(value):
    """Whether there are named fields in value: else it is one array."""
    return isinstance(value, dict) or (isinstance(value, list) and any(map(has_fields, value)))


def arrays(answer, expected, where="answer"):
    """(place, pairs) of every array in expected; ValueError that names what is missing or wrong."""
    if not has_fields(expected):
        return [(where, numbers(answer, expected, where))]
    if isinstance(expected, dict):
        missing = [key for key in expected if not isinstance(answer, dict) or key not in answer]
        if missing:
            raise ValueError(", ".join(f"{where}.{key}" for key in missing) + ": not answered")
        keys = list(expected)
    else:
        if not isinstance(answer, list) or len(answer) != len(expected):
            raise ValueError(f"{where}: not answered, want a list of {len(expected)}")
        keys = range(len(expected))
    return [part for key in keys for part in arrays(answer[key], expected[key], f"{where}.{key}")]


def largest_error(answer, expected):
    """(error, place) of the array that is furthest off, over all arrays in expected."""
    def error(pairs):
        scale = max((abs(want) for _, want in pairs), default=0) or 1
        return max((abs(got - want) / scale for got, want in pairs), default=0)
    return max(((error(pairs), where) for where, pairs in arrays(answer, expected)), key=lambda pair: pair[0])


def check(case, answer, dtype="float64", rtol=None):
    """(passed, largest relative error or None, what is wrong or where the error is) of one case."""
    expected = case["expected"]
    if isinstance(answer, dict) and "raised" in answer:
        return False, None, f"raised {answer['raised']}"
    if "error" in expected:
        passed = isinstance(answer, dict) and all(answer.get(key) == expected[key] for key in expected)
        return passed, None, "" if passed else f"want a {expected['error']} that names {expected['argument']}, " \
                                               f"got {answer!r:.90}"
    try:
        error, where = largest_error(answer, expected)
    except ValueError as wrong:
        return False, None, str(wrong)
    return error <= (rtol or case["tolerances"][dtype]), error, where


def chosen(cases, answers, parts=None, answered=False):
    """The cases with only those fields of expected that are to be checked; without those that have none left."""
    def wanted(key, case, found):
        own = "error" if "error" in case["expected"] else key
        return (not parts or own in parts) and not (
            answered and is_blank(found.get(key) if isinstance(found, dict) else found))
    kept = [{**case, "expected": {key: value for key, value in case["expected"].items()
                                  if wanted(key, case, answers.get(case["id"]))}} for case in cases]
    return [case for case in kept if case["expected"]]


# Hints: one factor for all cases of a function

REASONS = {"2": "is a ½ missing?", "1/2": "a ½ too many?", "-1": "is the sign flipped?",
           "1/d": "a mean over N·d for a mean over N?", "2/d": "a mean over N·d, without the ½?",
           "N": "a sum for the mean?", "2 N": "a sum for the mean, without the ½?", "d": "a norm of 1 for √d?",
           "sigma^4": "‖σ²s + σz‖² for ‖s + z/σ‖²?", "2 sigma^4": "‖σ²s + σz‖² for ‖s + z/σ‖², without the ½?",
           "sigma^2": "weighted by σ²?", "2 sigma^2": "weighted by σ², without the ½?", "sigma": "weighted by σ?",
           "2 sigma^2/d": "noise prediction, its mean over N·d?", "sigma^2/d": "σ² and a mean over N·d?"}


OWN_PROBES = "it is right on probes of signs: does it draw or normalise its own? check it with --only 'sliced/*signs*'"


def ratio(answer, expected, tolerance):
    """The factor r with answer = r · expected, None where there is none."""
    pairs = [pair for _, part in arrays(answer, expected) for pair in part]
    size = max((abs(want) for _, want in pairs), default=0)
    r = sum(got * want / size for got, want in pairs) / sum(want * want / size for _, want in pairs)
    return r if max(abs(got - r * want) for got, want in pairs) <= tolerance * abs(r) * size else None


def sizes(inputs):
    """What a factor may depend on: d, N, M, and sigma or h where it is one number."""
    x = next((inputs[key] for key in ("x", "x_noisy", "a") if isinstance(inputs.get(key), list)), None)
    found = {"d": len(x[0]), "N": len(x)} if x and isinstance(x[0], list) else {}
    v = inputs.get("v")
    if v and isinstance(v[0][0], list):
        found["M"] = len(v)
    return found | {key: inputs[key] for key in ("sigma", "h") if isinstance(inputs.get(key), float)}


EXPONENTS = {"d": (0, 1, -1), "N": (0, 1, -1), "M": (0, 1, -1), "sigma": (0, 1, 2, 4, -1, -2, -4),
             "h": (0, 1, 2, 4, -1, -2, -4)}
CONSTANTS = {"": 1.0, "2": 2.0, "1/2": 0.5, "-1": -1.0, "-2": -2.0, "-1/2": -0.5}


@cache
def factors():
    """(name, constant, {size: exponent}) of products and quotients, those of the fewest sizes first."""
    powers = [dict(zip(EXPONENTS, each)) for each in product(*EXPONENTS.values())]
    powers.sort(key=lambda power: (sum(map(bool, power.values())), sum(map(abs, power.values()))))
    return [(named(text, power), c, power) for power in powers for text, c in CONSTANTS.items()]


def named(text, power):
    """The product as text: 2 sigma^2/d."""
    over, under = ([base + f"^{abs(k)}" * (abs(k) > 1) for base, k in power.items() if k * sign > 0]
                   for sign in (1, -1))
    return "/".join([" ".join([text, *over]).strip() or "1", *under])


def value_of(c, power, size):
    """The factor for these sizes, None where one is lacking."""
    used = {base: k for base, k in power.items() if k}
    return c * math.prod(size[base]**k for base, k in used.items()) if used.keys() <= size.keys() else None


def factor_of(ratios):
    """The name of the factor that all of [(ratio, sizes, tolerance)] have, or None."""
    for name, c, power in factors():
        wanted = (value_of(c, power, size) for _, size, _ in ratios)
        if all(want is not None and abs(r - want) <= 10 * t * abs(want) for (r, _, t), want in zip(ratios, wanted)):
            return name
    r = ratios[0][0]
    return f"{r:.6g}" if all(abs(other - r) <= 10 * t * abs(r) for other, _, t in ratios) else None


def hints(cases, answers, tolerance_of):
    """A line for every function whose cases are all off by one factor, part by part."""
    found = {}
    for case in (case for case in cases if "error" not in case["expected"] and case["id"] in answers):
        for part, expected in case["expected"].items():
            try:
                r = ratio(answers[case["id"]][part], expected, tolerance_of(case))
            except (ValueError, KeyError, TypeError, ZeroDivisionError):
                r = None
            found.setdefault((case["function"], part), []).append((r, sizes(case["inputs"]), tolerance_of(case)))
    for (function, part), ratios in found.items():
        name = None if any(r is None for r, _, _ in ratios) else factor_of(ratios)
        if name not in (None, "1"):
            reason = f": {REASONS[name]}" if name in REASONS else ""
            yield f"hint: {function}: the {part} of all {len(ratios)} cases is {name} times the expected one{reason}"
        if function.endswith("_loss") and part == "value" and all(size.get("d") == 2 for _, size, _ in ratios):
            yield f"hint: {function}: all cases checked have d = 2, where d and 2 look the same: take other widths too"


def kinds_of_failure(results):
    """A line for a function that fails on one kind of case alone, from {case id: (case, passed)}."""
    for function in sorted({case["function"] for case, _ in results.values()}):
        own = [(case, passed) for case, passed in results.values() if case["function"] == function]
        for reason, kind in (("it fails on energies alone: is s = −∇E, with its own derivatives?", is_energy),
                             (OWN_PROBES, lambda case: "v" in case["inputs"] and "signs" not in case["id"])):
            there = [passed for case, passed in own if kind(case)]
            others = [passed for case, passed in own if not kind(case)]
            if there and others and not all(there) and all(others):
                yield f"hint: {function}: {reason}"


def is_energy(case):
    return case["inputs"].get("score", {}).get("kind") == "energy_mlp"


def report(cases, answers, dtype, rtol=None, failures=False):
    """Print a line a case, the sums and the hints; 1 where any failed, else 0."""
    totals, results = {}, {}
    for case in cases:
        passed, error, where = check(case, answers.get(case["id"]), dtype, rtol)
        results[case["id"]] = case, passed
        total = totals.setdefault(case["id"].split("/")[0], [0, 0, 0.0])
        total[:] = total[0] + passed, total[1] + 1, max(total[2], error or 0.0)
        if not (passed and failures):
            shown = "" if error is None else f"{error:.1e}"
            if not passed:
                shown += "" if error is None else f" > {rtol or case['tolerances'][dtype]:.0e}"
                where += f" [{'; '.join(case['flags'])}]" if case["flags"] else ""
            print(f"{'pass' if passed else 'FAIL'} {case['id']:44s} {shown:8s} {where}")
    for chapter, (good, tried, error) in totals.items():
        print(f"{chapter:12s} {good:3d} of {tried:3d} cases pass, largest relative error {error:.1e}")
    for line in (*hints(cases, answers, lambda case: rtol or case["tolerances"][dtype]), *kinds_of_failure(results)):
        print(line)
    unknown = sorted(set(answers) - {case["id"] for case in load()})
    if unknown:
        print(f"no such case: {', '.join(unknown)}")
    passed, worst = sum(t[0] for t in totals.values()), max(t[2] for t in totals.values())
    print(f"{passed} of {len(cases)} cases pass in {dtype}; the largest relative error is {worst:.1e}")
    return int(passed < len(cases) or bool(unknown))


def read(path):
    """The answers in a file; ValueError where it is no JSON object."""
    try:
        answers = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as wrong:
        raise ValueError(f"cannot read {path} as a JSON object: {wrong}") from None
    if not isinstance(answers, dict):
        raise ValueError(f"cannot read {path} as a JSON object: it is a {type(answers).__name__}")
    return answers


def write_sheet(path, cases):
    """An empty answer sheet; ValueError where the file has answers, or is something else."""
    if path.exists() and not is_blank(read(path)):
        raise ValueError(f"{path} holds answers; give another name, or remove it")
    sheet = {case["id"]: blank(case["expected"]) for case in cases}
    try:
        path.write_text(json.dumps(sheet, indent=1) + "\n", encoding="utf-8")
    except OSError as wrong:
        raise ValueError(f"cannot write {path}: {wrong}") from None


def tolerance(text):
    """A number > 0 from the command line."""
    if not 0 < float(text) < math.inf:
        raise ValueError
    return float(text)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("answers", type=Path, help="JSON file: case id -> answer")
    parser.add_argument("--sheet", action="store_true", help="write an empty answer sheet to that file instead")
    parser.add_argument("--dtype", choices=["float64", "float32"], default="float64", help="whose tolerances to use")
    parser.add_argument("--rtol", type=tolerance, metavar="R", help="this tolerance for every case instead")
    parser.add_argument("--only", nargs="+", default=[""], metavar="ID", help="only ids that begin so, or match")
    parser.add_argument("--skip", nargs="+", default=[], metavar="ID", help="no ids that begin so, or match")
    parser.add_argument("--parts", nargs="+", choices=PARTS, metavar="PART", help="only these fields of expected: "
                        + " ".join(PARTS))
    parser.add_argument("--answered", action="store_true", help="only cases, and fields, that are answered")
    parser.add_argument("--failures", action="store_true", help="no lines for cases that pass")
    return parser


def main(argv=None):
    parser = arguments()
    args = parser.parse_args(argv)
    try:
        answers = {} if args.sheet else read(args.answers)
        cases = chosen(load(args.only, args.skip), answers, args.parts, args.answered and not args.sheet)
        if not cases:
            raise ValueError("nothing is left to check")
        if args.sheet:
            write_sheet(args.answers, cases)
            return 0
    except ValueError as wrong:
        parser.error(str(wrong))
    return report(cases, answers, args.dtype, args.rtol, args.failures)


if __name__ == "__main__":
    sys.exit(main())
