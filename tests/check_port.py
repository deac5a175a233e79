"""Check the answers of a port against the test vectors. Needs Python alone, no package.

    python tests/check_port.py --sheet answers.json                 write an empty answer sheet
    python tests/check_port.py answers.json                         check it, once it is filled
    python tests/check_port.py answers.json --dtype float32 --only denoising implicit --skip "*energy"

How to port against the vectors:

1. Read tests/vectors/<chapter>.json. "conventions" in its first line says how arrays, parameters and
   scores are written; "cases" holds one case a line.
2. For each case call your version of "function" (the package's docstrings have the equations) on
   "inputs". They hold everything, the noise z and the probes v too: no random generator is shared.
   s, Jv and trace are the score, its directional derivative and its trace; gradient is that of value.
3. Write a JSON object: case id -> the structure of "expected", with your numbers. The sheet has that
   structure with null for every number. A case of the chapter errors is answered
   {"error": any text, "argument": the argument your message names}; leave the chapter out with --skip.
4. Run this. For each array of an answer the error is max|answer - expected| / max|expected| (absolute
   where expected is all zeros); a case shows the largest, which must be within its tolerance for
   --dtype: compute in float64 first; then read the same inputs as float32.

A case that is not answered fails; for a part of a port give --only or --skip with chapters, with the
beginnings of ids, or with patterns: ids end in the kind of score, so "*energy" is every case of an
energy network. Exit status: 0 all pass, 1 any failure, 2 bad usage or an unreadable file.
"""

import argparse
import json
import math
import sys
from fnmatch import fnmatchcase
from pathlib import Path

VECTORS = Path(__file__).resolve().parent / "vectors"


def load(only=("",), skip=()):
    """The cases whose id matches one of only and none of skip, each a pattern for the beginning of an id."""
    cases = [case for path in sorted(VECTORS.glob("*.json"))
             for case in json.loads(path.read_text(encoding="utf-8"))["cases"]]

    def matches(case, patterns):
        return any(fnmatchcase(case["id"], pattern + "*") for pattern in patterns)
    return [case for case in cases if matches(case, only) and not matches(case, skip)]


def blank(expected):
    """expected with null in the place of every number and text."""
    if isinstance(expected, dict):
        return {key: blank(item) for key, item in expected.items()}
    return [blank(item) for item in expected] if isinstance(expected, list) else None


def numbers(value, like, where):
    """Pairs (answer, expected) of an array; ValueError where the shapes differ or a number is not one."""
    if isinstance(like, list):
        if not isinstance(value, list) or len(value) != len(like):
            raise ValueError(f"{where}: want a list of {len(like)}, got {value!s:.60}")
        return [pair for item, item_like in zip(value, like) for pair in numbers(item, item_like, where)]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{where}: " + ("not answered" if value is None else f"{value!r} is no finite number"))
    return [(value, like)]


def has_fields(value):
    """Whether there are named fields in value: else it is one array."""
    return isinstance(value, dict) or (isinstance(value, list) and any(map(has_fields, value)))


def largest_error(answer, expected, where="answer"):
    """(error, place) of the array that is furthest off, over all arrays in expected."""
    if not has_fields(expected):
        pairs = numbers(answer, expected, where)
        scale = max((abs(want) for _, want in pairs), default=0) or 1
        return max((abs(got - want) / scale for got, want in pairs), default=0), where
    keys = list(expected) if isinstance(expected, dict) else range(len(expected))
    given = list(answer) if isinstance(answer, dict) else range(len(answer) if isinstance(answer, list) else 0)
    if type(answer) is not type(expected) or not set(keys) <= set(given):
        raise ValueError(f"{where}: not answered, want {keys if isinstance(expected, dict) else len(expected)}")
    return max((largest_error(answer[key], expected[key], f"{where}.{key}") for key in keys), key=lambda pair: pair[0])


def check(case, answer, dtype="float64"):
    """(passed, largest relative error or None, what is wrong or where the error is) of one case."""
    expected = case["expected"]
    if "error" in expected:
        named = isinstance(answer, dict) and answer.get("error") and answer.get("argument") == expected["argument"]
        return bool(named), None, "" if named else f"want an error that names {expected['argument']}, got {answer!r}"
    try:
        error, where = largest_error(answer, expected)
    except ValueError as wrong:
        return False, None, str(wrong)
    return error <= case["tolerances"][dtype], error, where


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("answers", type=Path, help="JSON file: case id -> answer")
    parser.add_argument("--sheet", action="store_true", help="write an empty answer sheet to that file instead")
    parser.add_argument("--dtype", choices=["float64", "float32"], default="float64", help="whose tolerances to use")
    parser.add_argument("--only", nargs="+", default=[""], metavar="ID", help="only ids that begin so")
    parser.add_argument("--skip", nargs="+", default=[], metavar="ID", help="no ids that begin so")
    args = parser.parse_args(argv)
    cases = load(args.only, args.skip)
    if not cases:
        parser.error("no case has such an id")
    if args.sheet:
        sheet = {c["id"]: blank(c["expected"]) for c in cases}
        args.answers.write_text(json.dumps(sheet, indent=1) + "\n", encoding="utf-8")
        return 0
    try:
        answers = dict(json.loads(args.answers.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as wrong:
        parser.error(f"cannot read {args.answers} as a JSON object: {wrong}")
    return report(cases, answers, args.dtype)


def report(cases, answers, dtype):
    """Print a line a case and the sum; 1 where any failed, else 0."""
    failed, worst = 0, 0.0
    for case in cases:
        passed, error, where = check(case, answers.get(case["id"]), dtype)
        failed, worst = failed + (not passed), max(worst, error or 0.0)
        print(f"{'pass' if passed else 'FAIL'} {case['id']:44s} {'' if error is None else f'{error:.1e}':8s} {where}")
    unknown = sorted(set(answers) - {case["id"] for case in load()})
    if unknown:
        print(f"no such case: {', '.join(unknown)}")
    print(f"{len(cases) - failed} of {len(cases)} cases pass in {dtype}; the largest relative error is {worst:.1e}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
