"""The package against its own test vectors, and the tools of the porting kit."""

import json
import math
from functools import partial
from types import SimpleNamespace

import autograd.numpy as np
import check_port
import make_vectors
import pytest
from answers import answer
from autograd import value_and_grad
from oracles import replay

import scoremin as sm

CASES = check_port.load()
NETWORKS = {"mlp": sm.MLP, "noise_conditional_mlp": sm.NoiseConditionalMLP, "energy_mlp": sm.EnergyMLP}


def network(kind, params, **options):
    """A network, and how to make it again from the parameters that autograd traces."""
    make = partial(NETWORKS[kind], **options)
    net = make(params)
    net.make = make
    return net


def package_gradient(loss, net):
    return value_and_grad(lambda params: loss(net.make(params)))(net.params)


def langevin(score, x, step, noise, temperature):
    path = []
    value = sm.langevin(score, x, step, len(noise), replay(noise), temperature,
                        lambda i, x: path.append(x))
    return value, np.array(path)


def annealed_langevin(score, x, sigmas, step, noise, denoise):
    path, draws = [], [z for level in noise for z in level]
    value = sm.annealed_langevin(score, x, sigmas, step, len(noise[0]), replay(draws), denoise,
                                 lambda i, x: path.append(x))
    return value, np.array(path)


def fit(loss, net, batches, learning_rate):
    seen, left = [], iter(batches)

    def watched(params, x, rng):
        seen.append([tuple(np.array(getattr(a, "_value", a)) for a in layer) for layer in params])
        return loss(net.make(params), next(left))
    start, dtype = net.params, net.params[0][0].dtype
    end, losses = sm.fit(watched, start, np.zeros((1, 1), dtype), steps=len(batches),
                         rng=np.random.default_rng(0), batch_size=1, learning_rate=learning_rate)
    return losses, [*seen[1:], end]


def two_sample_test(a, b, permutations):
    orders = iter(permutations)
    rng = SimpleNamespace(permutation=lambda w: w[next(orders)])
    return sm.two_sample_test(a, b, rng, len(permutations))


def array(values, dtype):
    return np.array(values, dtype="float64").astype(dtype)


PACKAGE = SimpleNamespace(**vars(sm) | {
    "array": array, "network": network, "params": lambda net: net.params, "value_and_grad": package_gradient,
    "langevin": langevin, "annealed_langevin": annealed_langevin, "fit": fit, "two_sample_test": two_sample_test,
    "probes": lambda kind, shape: sm.probes(np.random.default_rng(0), kind, tuple(shape.astype(int)))})


def complaint(case):
    """The error that the package raises on a case, as an answer, or None."""
    try:
        answer(case, PACKAGE, "float64")
    except (ValueError, FloatingPointError) as error:
        argument = case["expected"]["argument"]
        return {"error": type(error).__name__, "argument": argument if argument in str(error) else str(error)}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("chapter", [name for name in make_vectors.CHAPTERS if name != "errors"])
def test_package_reproduces_every_vector(chapter, dtype):
    """Value, gradient, s, Jv and trace, against closed forms and plain autograd, within the tolerances."""
    wrong = []
    for case in check_port.load([f"{chapter}/"]):
        passed, error, where = check_port.check(case, answer(case, PACKAGE, dtype), dtype)
        wrong += [] if passed else [f"{case['id']}: {error} {where}"]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("case", check_port.load(["errors/"]), ids=lambda case: case["id"])
def test_package_names_the_argument_at_fault(case):
    """Bad input, and a chain that diverges, raise the expected error with the argument's name in its message."""
    assert complaint(case) == case["expected"]


@pytest.mark.parametrize("chapter", make_vectors.CHAPTERS)
def test_regenerating_gives_the_stored_vectors(chapter):
    """Inputs to the last bit, expected values within the float64 tolerance (BLAS may round otherwise)."""
    stored, made = check_port.load([f"{chapter}/"]), list(make_vectors.CHAPTERS[chapter]())
    assert [{**c, "expected": 0} for c in made] == [{**c, "expected": 0} for c in stored]
    for new, old in zip(made, stored):
        assert check_port.check(old, new["expected"])[0], new["id"]


@pytest.mark.parametrize("path", sorted(check_port.VECTORS.glob("*.json")), ids=lambda path: path.stem)
def test_files_hold_plain_json_that_reads_back_exactly(path):
    """Under 100 kB, floats as repr, no bare NaN, one case a line; ids begin with the chapter and are unique."""
    text = path.read_text(encoding="utf-8")
    parsed = json.loads(text, parse_constant=lambda token: pytest.fail(f"{token} in {path.name}"))
    dump = json.dumps(parsed, ensure_ascii=False, separators=(",", ":"))
    ids = [case["id"] for case in parsed["cases"]]
    assert dump == text.replace("\n", "") and len(text.encode()) < 100_000
    assert len(text.splitlines()) == len(ids) + 2 and len(set(ids)) == len(ids)
    assert all(id.startswith(f"{path.stem}/") for id in ids)


def test_vectors_hold_the_far_query_to_a_kde():
    """(ESM.4) at (40, 40), where every kernel underflows: a value known to nine digits beforehand."""
    value = next(c for c in CASES if c["id"] == "explicit/kde_score-far")["expected"]["value"][0]
    assert np.allclose(value, [-39.7615942, -39.2384058], rtol=0, atol=5e-8)


def run(tmp_path, capsys, answers, *options):
    """Exit status and lines of check_port on answers."""
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(answers), encoding="utf-8")
    return check_port.main([str(path), *options]), capsys.readouterr().out


def test_checker_passes_exact_answers_and_fails_missing_ones(tmp_path, capsys):
    """All expected values as answers: exit 0. One case left out, or a filled sheet of nulls: exit 1, and why."""
    answers = {case["id"]: case["expected"] for case in CASES}
    assert run(tmp_path, capsys, answers)[0] == 0
    del answers["data/score-d2"]
    status, text = run(tmp_path, capsys, answers)
    assert status == 1 and text.count("FAIL") == 1 and "FAIL data/score-d2" in text
    assert run(tmp_path, capsys, answers, "--skip", "data/score-d2")[0] == 0
    assert run(tmp_path, capsys, answers, "--only", "*-d2", "implicit")[0] == 1
    assert run(tmp_path, capsys, answers, "--only", "data", "train", "--skip", "*/score")[0] == 0
    assert check_port.main([str(tmp_path / "sheet.json"), "--sheet"]) == 0
    sheet = json.loads((tmp_path / "sheet.json").read_text(encoding="utf-8"))
    status, text = run(tmp_path, capsys, sheet)
    assert status == 1 and text.count("FAIL") == len(CASES) and "not answered" in text


def with_gradient(change):
    """A wrong answer whose gradient is change of the right one's layers."""
    return lambda expected: {**expected, "gradient": change(expected["gradient"])}


BAD_ANSWERS = {
    "a wrong digit": lambda e: {**e, "value": e["value"] * (1 + 1e-10)},
    "a gradient of half the size": with_gradient(
        lambda layers: [{key: (0.5 * np.array(a)).tolist() for key, a in g.items()} for g in layers]),
    "W as (out, in)": with_gradient(lambda layers: [{**g, "W": np.array(g["W"]).T.tolist()} for g in layers]),
    "a wrong b of the last layer": with_gradient(lambda layers: [*layers[:-1], {**layers[-1], "b": [0.0, 0.0]}]),
    "NaN": lambda e: {**e, "value": math.nan}, "text": lambda e: {**e, "value": "0.5"},
    "true": lambda e: {**e, "value": True}, "an array for a number": lambda e: {**e, "value": [e["value"]]},
    "a row too few": lambda e: {**e, "s": e["s"][:-1]}, "no gradient": lambda e: {**e, "gradient": None},
    "a layer too few": lambda e: {**e, "gradient": e["gradient"][:-1]}, "no trace": lambda e: {**e, "trace": None},
    "a list": lambda e: [e]}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_checker_rejects(name, tmp_path, capsys):
    """Each wrong answer to one case makes that case, and the run, fail."""
    case = next(c for c in CASES if c["id"] == "implicit/loss-d2-two-hidden")
    status, text = run(tmp_path, capsys, {case["id"]: BAD_ANSWERS[name](case["expected"])}, "--only", case["id"])
    assert status == 1 and "FAIL implicit/loss-d2-two-hidden" in text


def test_checker_is_as_strict_as_the_dtype(tmp_path, capsys):
    """An error of 1e-7 passes as float32 and fails as float64; a wrong argument of an error fails."""
    case = next(c for c in CASES if c["id"] == "implicit/loss-d2-linear")
    answers = {case["id"]: {**case["expected"], "value": case["expected"]["value"] * (1 + 1e-7)}}
    assert run(tmp_path, capsys, answers, "--only", case["id"], "--dtype", "float32")[0] == 0
    assert run(tmp_path, capsys, answers, "--only", case["id"])[0] == 1
    id = "errors/denoising_loss-sigma-zero"
    assert run(tmp_path, capsys, {id: {"error": "E", "argument": "sigma"}}, "--only", id)[0] == 0
    assert run(tmp_path, capsys, {id: {"error": "E", "argument": "z"}}, "--only", id)[0] == 1
