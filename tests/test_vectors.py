"""The package against its own test vectors, and the tools of the porting kit."""

import hashlib
import json
import math
from functools import partial
from types import SimpleNamespace

import autograd.numpy as np
import check_port
import make_vectors
import pytest
from answers import Missing, answer, evaluate, listed
from autograd import value_and_grad

import scoremin as sm

CASES = check_port.load()
NETWORKS = {"mlp": sm.MLP, "noise_conditional_mlp": sm.NoiseConditionalMLP, "energy_mlp": sm.EnergyMLP}
VERSIONS = {1: (237, "ae06cf46bd733886823440e9f45d1d0ff1056d4db1a6d7b3ccd24ce9adf2878a"),  # ids, inputs, numbers
            2: (394, "3ce675a2116c19edd26d17ebeed04c2fa3eaaf06577f64d90d4f2c670f5a37a8"),
            3: (506, "977eb6097f7dad4f51a18c5f6710c5c7f8002f36aee78035d164257cba9775b7"),
            4: (507, "958afd6ec5f70f825a269701e53e5d30cd5cb00d0771648711598c018c193207")}


class Scripted(np.random.Generator):
    """A generator that hands out given draws (method, array) in order; another method or shape is an error."""

    def __new__(cls, draws):
        return super().__new__(cls, np.random.PCG64(0))

    def __init__(self, draws):
        super().__init__(np.random.PCG64(0))
        self.draws = iter(draws)

    def take(self, method, size, dtype=float):
        wanted, a = next(self.draws)
        assert (method, np.shape(a)) == (wanted, (size,) if np.ndim(size) == 0 else tuple(size))
        return np.asarray(a, dtype)

    def standard_normal(self, size=None, dtype=float, out=None):
        return self.take("standard_normal", size, dtype)

    def random(self, size=None, dtype=float, out=None):
        return self.take("random", size, dtype)

    def integers(self, low, high=None, size=None, dtype=int, endpoint=False):
        return self.take("integers", size, dtype)

    def choice(self, a, size=None, replace=True, p=None, axis=0, shuffle=True):
        return self.take("choice", size, np.asarray(a).dtype)

    def permutation(self, x, axis=0):
        return x[self.take("permutation", np.shape(x), int)]


def normals(noise):
    return Scripted([("standard_normal", z) for z in noise])


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
    value = sm.langevin(score, x, step, len(noise), normals(noise), temperature,
                        lambda i, x: path.append(x))
    return value, np.array(path)


def annealed_langevin(score, x, sigmas, step, noise, denoise):
    path, draws = [], [z for level in noise for z in level]
    value = sm.annealed_langevin(score, x, sigmas, step, len(noise[0]), normals(draws), denoise,
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


def batch(data, indices):
    """What fit hands to the loss when its generator draws these indices."""
    seen = []

    def loss(params, x, rng):
        seen.append(x)
        return np.sum(params[0][0]**2)
    sm.fit(loss, [(np.ones((1, 1), data.dtype), np.ones(1, data.dtype))], data, steps=1, batch_size=len(indices),
           rng=Scripted([("integers", indices)]))
    return seen[0]


def two_sample_test(a, b, permutations):
    return sm.two_sample_test(a, b, Scripted([("permutation", order) for order in permutations]), len(permutations))


def array(values, dtype):
    return np.array(values, dtype="float64").astype(dtype)


def probes(kind, z=None, bits=None, shape=None):
    if shape is not None:
        return sm.probes(np.random.default_rng(0), kind, tuple(shape.astype(int)))
    rng = normals([z]) if bits is None else Scripted([("integers", bits)])
    like = z if bits is None else bits
    return sm.probes(rng, kind, like.shape, like.dtype)


def init_mlp(z):
    sizes = [len(z[0]), *(W.shape[1] for W in z)]
    return sm.init_mlp(normals(z), sizes, z[0].dtype)


class GaussianMixture(sm.GaussianMixture):
    def sample(self, k, z):
        return super().sample(Scripted([("choice", k), ("standard_normal", z)]), len(z))


PACKAGE = SimpleNamespace(**vars(sm) | {
    "array": array, "network": network, "params": lambda net: net.params, "value_and_grad": package_gradient,
    "langevin": langevin, "annealed_langevin": annealed_langevin, "fit": fit, "two_sample_test": two_sample_test,
    "reverse_sde": lambda score, x, sigmas, noise: sm.reverse_sde(score, x, sigmas, normals(noise)),
    "features": lambda omega, beta: lambda x: (2 / len(beta))**0.5 * np.cos(np.dot(x, omega) + beta),
    "stratified_sigmas": lambda u, sigma_max, sigma_min: sm.stratified_sigmas(
        Scripted([("random", u)]), sigma_max, sigma_min, len(u)),
    "batch": batch, "init_mlp": init_mlp, "probes": probes, "GaussianMixture": GaussianMixture,
    "swiss_roll": lambda u, z, noise: sm.swiss_roll(Scripted([("random", u), ("standard_normal", z)]), len(u), noise),
    "two_moons": lambda u, side, z, noise: sm.two_moons(
        Scripted([("random", u), ("choice", side), ("standard_normal", z)]), len(u), noise),
    "checkerboard": lambda column, row, u: sm.checkerboard(
        Scripted([("integers", column), ("integers", row), ("random", u)]), len(u))})


def complaint(case):
    """The error that the package raises on a case, as an answer, or None."""
    try:
        answer(case, PACKAGE, "float64")
    except (ValueError, FloatingPointError) as error:
        argument = case["expected"]["argument"]
        return {"error": type(error).__name__, "argument": argument if argument in str(error) else str(error)}


def parts(value):
    """All arrays in nested fields."""
    if isinstance(value, dict):
        return [part for item in value.values() for part in parts(item)]
    return [part for item in value for part in parts(item)] if isinstance(value, (list, tuple)) else [value]


OWN = ("two_sample_test", "mode_weights", "energy_distance", "geometric_sigmas", "stratified_sigmas", "fit",
       "swiss_roll", "two_moons", "checkerboard", "GaussianMixture.sample")  # float64 whatever comes in


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("chapter", [name for name in make_vectors.CHAPTERS if name != "errors"])
def test_package_reproduces_every_vector(chapter, dtype):
    """Value, gradient, s, Jv and trace, against closed forms and plain autograd, within tolerances, in the dtype."""
    wrong = []
    for case in check_port.load([f"{chapter}/"]):
        found = evaluate(case, PACKAGE, dtype)
        passed, error, where = check_port.check(case, listed(found), dtype)
        wrong += [] if passed else [f"{case['id']}: {error} {where}"]
        kinds = {part.dtype for part in parts(found) if getattr(part, "ndim", 0)} - {np.dtype(dtype)}
        wrong += [f"{case['id']}: {kinds}"] if kinds and case["function"] not in OWN else []
    assert not wrong, "\n".join(wrong)


def test_replayed_noise_fits_exactly():
    """Noise that would only broadcast, and a draw of another kind, are errors of the replay, not answers."""
    rng = normals([np.zeros((1, 2))])
    with pytest.raises(AssertionError):
        rng.standard_normal((3, 2), float)
    with pytest.raises(AssertionError):
        Scripted([("random", np.zeros(3))]).standard_normal(3, float)


@pytest.mark.parametrize("case", check_port.load(["errors/"]), ids=lambda case: case["id"])
def test_package_names_the_argument_at_fault(case):
    """Bad input, and numbers that leave the range of floats, raise the expected error, which names the argument."""
    assert complaint(case) == case["expected"]


def test_a_function_that_a_port_lacks_is_missing_by_name():
    """Not an AttributeError from within; also where it is the objective of a training run, or a method."""
    lacking = SimpleNamespace(**{key: value for key, value in vars(PACKAGE).items()
                                 if key not in ("denoising_loss", "GaussianMixture")})
    for name, id in (("denoising_loss", "denoising/loss-0.3-d5-linear"), ("GaussianMixture.sample", "random/sample-d3"),
                     ("denoising_loss", "train/full-batch-denoising_loss")):
        with pytest.raises(Missing, match=f"the port has no {name}"):
            answer(next(c for c in CASES if c["id"] == id), lacking, "float64")


@pytest.mark.parametrize("chapter", make_vectors.CHAPTERS)
def test_regenerating_gives_the_stored_vectors(chapter):
    """Inputs to the last bit, expected values within the float64 tolerance (BLAS may round otherwise)."""
    stored, made = check_port.load([f"{chapter}/"]), make_vectors.chapter(chapter)
    assert [{**c, "expected": 0} for c in made] == [{**c, "expected": 0} for c in stored]
    for new, old in zip(made, stored):
        assert check_port.check(old, new["expected"])[0], new["id"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_keeps_its_ids_and_its_numbers(version):
    """The digest of ids, functions, inputs and expected numbers, to the last bit, of all that it had; not of flags."""
    cases = sorted((c for c in CASES if c.get("since", 1) <= version), key=lambda c: c["id"])
    text = json.dumps([[c[key] for key in ("id", "function", "inputs", "expected")] for c in cases])
    assert (len(cases), hashlib.sha256(text.encode()).hexdigest()) == VERSIONS[version]


@pytest.mark.parametrize("path", sorted(check_port.VECTORS.glob("*.json")), ids=lambda path: path.stem)
def test_files_hold_plain_json_that_reads_back_exactly(path):
    """Under 160 kB, floats as repr, no bare NaN, one case a line; ids begin with the chapter and are unique; the
    header has a line on each function."""
    text = path.read_text(encoding="utf-8")
    parsed = json.loads(text, parse_constant=lambda token: pytest.fail(f"{token} in {path.name}"))
    dump = json.dumps(parsed, ensure_ascii=False, separators=(",", ":"))
    ids = [case["id"] for case in parsed["cases"]]
    assert dump == text.replace("\n", "") and len(text.encode()) < 160_000
    assert len(text.splitlines()) == len(ids) + 2 and len(set(ids)) == len(ids)
    assert all(id.startswith(f"{path.stem}/") for id in ids) and parsed["version"] == f"{make_vectors.VERSION}.0"
    assert set(parsed["functions"]) == {case["function"] for case in parsed["cases"]}


def test_cases_that_need_third_derivatives_say_so():
    """Eight of version 1: jvp, a stack of it, divergence, ISM, and SSM and SSM-VR with one probe and a stack."""
    flagged = [c["id"] for c in CASES if "third derivatives" in c["flags"] and "since" not in c]
    assert len(flagged) == 8 and all(id.endswith("d2-energy") for id in flagged)


def test_vectors_hold_the_far_query_to_a_kde():
    """(ESM.4) at (40, 40), where every kernel underflows: a value known to nine digits beforehand."""
    value = next(c for c in CASES if c["id"] == "explicit/kde_score-far")["expected"]["value"][0]
    assert np.allclose(value, [-39.7615942, -39.2384058], rtol=0, atol=5e-8)


# The checker

def run(tmp_path, capsys, answers, *options):
    """Exit status and output of check_port on answers."""
    path = tmp_path / "answers.json"
    path.write_text(answers if isinstance(answers, str) else json.dumps(answers), encoding="utf-8")
    return check_port.main([str(path), *options]), capsys.readouterr().out


def refused(capsys, *words):
    """The message of a call that ends with status 2."""
    with pytest.raises(SystemExit) as stop:
        check_port.main(list(map(str, words)))
    assert stop.value.code == 2
    return capsys.readouterr().err


def one(id):
    return next(c for c in CASES if c["id"] == id)


EXACT = {case["id"]: case["expected"] for case in CASES}


def test_checker_passes_exact_answers_and_fails_missing_ones(tmp_path, capsys):
    """All expected values as answers: exit 0. One case left out, or a filled sheet of nulls: exit 1, and why."""
    assert run(tmp_path, capsys, EXACT)[0] == 0
    answers = {id: a for id, a in EXACT.items() if id != "data/score-far"}
    status, text = run(tmp_path, capsys, answers)
    assert status == 1 and text.count("FAIL") == 1 and "FAIL data/score-far" in text
    assert run(tmp_path, capsys, answers, "--skip", "data/score-far")[0] == 0
    assert check_port.main([str(tmp_path / "sheet.json"), "--sheet"]) == 0
    sheet = json.loads((tmp_path / "sheet.json").read_text(encoding="utf-8"))
    status, text = run(tmp_path, capsys, sheet)
    assert status == 1 and text.count("FAIL") == len(CASES) and "not answered" in text
    status, text = run(tmp_path, capsys, {**EXACT, "data/score-d22": 0}, "--answered")
    assert status == 1 and "no such case: data/score-d22" in text


def test_patterns_choose_whole_ids_or_their_beginnings():
    """A word is the beginning of an id; * stands for anything in a whole id; each pattern of several counts."""
    ids = lambda *patterns, **skip: {c["id"] for c in check_port.load(patterns, **skip)}
    every = set(EXACT)
    assert ids("*energy") == {id for id in every if id.endswith("energy")} and ids("*energy") < every
    assert ids("data", "implicit/") == {id for id in every if id.startswith(("data", "implicit/"))}
    assert ids("data/score-d?") == {"data/score-d2", "data/score-d1"}
    assert ids("data", skip=["data/score", "*far"]) == {
        id for id in ids("data") if not id.startswith("data/score") and not id.endswith("far")}
    for wrong in (["energy"], ["data", "nowhere"], ["*nowhere"], ["core-d2"]):
        with pytest.raises(ValueError, match="no case has an id like"):
            check_port.load(wrong)
        with pytest.raises(ValueError, match="no case has an id like"):
            check_port.load(skip=wrong)


def with_gradient(change):
    """A wrong answer whose gradient is change of the right one's layers."""
    return lambda expected: {**expected, "gradient": change(expected["gradient"])}


def replaced(field, change):
    """A wrong answer whose field is a change of the right one, as a NumPy array."""
    def changed(expected):
        a = np.array(expected[field])
        change(a)
        return {**expected, field: a.tolist()}
    return changed


BAD_ANSWERS = {
    "a wrong digit": lambda e: {**e, "value": e["value"] * (1 + 1e-10)},
    "twice the tolerance": lambda e: {**e, "value": e["value"] * (1 + 2e-12)},
    "a wrong sign": lambda e: {**e, "value": -e["value"]},
    "one wrong sign in an array": replaced("s", lambda a: np.multiply(a[1], [1, -1], out=a[1])),
    "a gradient of half the size": with_gradient(
        lambda layers: [{key: (0.5 * np.array(a)).tolist() for key, a in g.items()} for g in layers]),
    "W as (out, in)": with_gradient(lambda layers: [{**g, "W": np.array(g["W"]).T.tolist()} for g in layers]),
    "a wrong b of the last layer": with_gradient(lambda layers: [*layers[:-1], {**layers[-1], "b": [0.0, 0.0]}]),
    "NaN": lambda e: {**e, "value": math.nan}, "infinity": lambda e: {**e, "value": math.inf},
    "NaN that is last in its array": replaced("s", lambda a: np.put(a, -1, np.nan)),
    "NaN in the middle of its array": replaced("trace", lambda a: np.put(a, 2, np.nan)),
    "an answer so large that errors relative to it are small": lambda e: {**e, "value": 1e300},
    "an integer beyond floats": lambda e: {**e, "value": 10**400},
    "text": lambda e: {**e, "value": "0.5"}, "true": lambda e: {**e, "value": True},
    "an array for a number": lambda e: {**e, "value": [e["value"]]}, "a number for an array": lambda e: {**e, "s": 1.0},
    "a row too few": lambda e: {**e, "s": e["s"][:-1]}, "a row too many": lambda e: {**e, "s": [*e["s"], e["s"][0]]},
    "a longer row": lambda e: {**e, "s": [[*row, 0.0] for row in e["s"]]},
    "no gradient": lambda e: {**e, "gradient": None}, "no trace": lambda e: {**e, "trace": None},
    "a layer too few": lambda e: {**e, "gradient": e["gradient"][:-1]},
    "a layer too many": lambda e: {**e, "gradient": [*e["gradient"], e["gradient"][0]]},
    "gradient left out": lambda e: {key: e[key] for key in e if key != "gradient"},
    "a list": lambda e: [e], "null": lambda e: None}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_checker_rejects(name, tmp_path, capsys):
    """Each wrong answer to one case makes that case, and the run, fail."""
    case = one("implicit/loss-d2-two-hidden")
    status, text = run(tmp_path, capsys, {case["id"]: BAD_ANSWERS[name](case["expected"])}, "--only", case["id"])
    assert status == 1 and "FAIL implicit/loss-d2-two-hidden" in text


def test_true_is_no_number_where_one_is_expected():
    """true == 1 in Python; an expected 1 is not answered by it, nor 0 by false."""
    for want, got in ((1.0, True), (0.0, False)):
        case = {"expected": {"value": [want]}, "tolerances": {"float64": 1e-12}}
        assert check_port.check(case, {"value": [want]})[0] and not check_port.check(case, {"value": [got]})[0]


def test_expected_zeros_are_held_to_the_tolerance_itself():
    """Where everything expected is 0 the error is absolute: 1e-13 passes, 1e-11 fails."""
    case = {"expected": {"value": [0.0, 0.0]}, "tolerances": {"float64": 1e-12}}
    assert check_port.check(case, {"value": [1e-13, 0.0]})[:2] == (True, 1e-13)
    assert check_port.check(case, {"value": [0.0, -1e-11]})[:2] == (False, 1e-11)


def test_error_is_relative_to_the_largest_entry_expected_of_its_own_array():
    """Not to the answer, not to other arrays: a small array that is wrong fails beside a large one that is right."""
    case = {"expected": {"value": [1e6, 2e6], "s": [0.5, -1.0]}, "tolerances": {"float64": 1e-3}}
    assert check_port.check(case, {"value": [1e6, 2e6], "s": [0.75, -1.0]}) == (False, 0.25, "answer.s")
    assert check_port.check(case, {"value": [1e6, 3e6], "s": [0.5, -1.0]}) == (False, 0.5, "answer.value")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_checker_holds_each_case_to_its_own_tolerance(dtype, tmp_path, capsys):
    """.9 of the tolerance passes, 1.1 fails, and the largest error is printed; --rtol replaces both tolerances."""
    case = one("implicit/loss-d2-linear")
    for share, expected in ((0.9, 0), (1.1, 1)):
        wrong = share * case["tolerances"][dtype]
        answers = {case["id"]: {**case["expected"], "value": case["expected"]["value"] * (1 + wrong)}}
        status, text = run(tmp_path, capsys, answers, "--only", case["id"], "--dtype", dtype)
        assert status == expected and f"the largest relative error is {wrong:.1e}" in text
        assert run(tmp_path, capsys, answers, "--only", case["id"], "--rtol", str(2 * wrong))[0] == 0
        assert run(tmp_path, capsys, answers, "--only", case["id"], "--rtol", str(wrong / 2))[0] == 1


def test_largest_error_printed_is_the_largest_of_all_cases(tmp_path, capsys):
    """Also where a case with a smaller error, or none, comes after; the chapter's line has its own."""
    ids = ["implicit/loss-d2-linear", "implicit/loss-d5-linear", "data/score-far"]
    answers = {id: EXACT[id] for id in ids}
    answers[ids[0]] = {**EXACT[ids[0]], "value": EXACT[ids[0]]["value"] * 1.25}
    text = run(tmp_path, capsys, answers, "--only", *ids)[1]
    assert "2 of 3 cases pass in float64; the largest relative error is 2.5e-01" in text
    assert "implicit       1 of   2 cases pass, largest relative error 2.5e-01" in text
    assert "data           1 of   1 cases pass, largest relative error 0.0e+00" in text


def test_error_cases_are_answered_by_the_kind_and_the_argument(tmp_path, capsys):
    """Both must be the expected ones."""
    id = "errors/denoising_loss-sigma-zero"
    for answered, status in (({"error": "ValueError", "argument": "sigma"}, 0),
                             ({"error": "E", "argument": "sigma"}, 1), ({"error": "ValueError", "argument": "z"}, 1),
                             ({"argument": "sigma"}, 1), (None, 1)):
        assert run(tmp_path, capsys, {id: answered}, "--only", id)[0] == status


def test_parts_and_answered_leave_out_the_rest(tmp_path, capsys):
    """--parts checks those fields alone; --answered what is not null; the two say how many cases that is."""
    answers = {id: {"value": EXACT[id]["value"], "gradient": None} for id in
               ("implicit/loss-d2-linear", "implicit/loss-d5-linear")}
    assert run(tmp_path, capsys, answers, "--answered")[0] == 0
    status, text = run(tmp_path, capsys, answers, "--only", *answers, "--parts", "value")
    assert status == 0 and "2 of 2 cases pass" in text
    assert run(tmp_path, capsys, answers, "--only", *answers, "--parts", "value", "gradient")[0] == 1
    assert run(tmp_path, capsys, answers, "--parts", "value")[0] == 1
    half = {id: {**answer, "s": [None, EXACT[id]["s"][1]]} for id, answer in answers.items()}
    assert run(tmp_path, capsys, half, "--answered")[0] == 1


def test_failures_shows_no_case_that_passes_but_every_chapter(tmp_path, capsys):
    """One wrong answer among all."""
    answers = {**EXACT, "data/score-d2": {"value": [[0.0, 0.0]] * 4}}
    status, text = run(tmp_path, capsys, answers, "--failures")
    assert status == 1 and "pass data" not in text and text.count("FAIL") == 1
    assert all(any(line.startswith(f"{name} ") for line in text.splitlines()) for name in make_vectors.CHAPTERS)


def test_loss_of_every_sample_is_asked_for_its_mean(tmp_path, capsys):
    """Four numbers where one is expected."""
    id = "implicit/loss-d2-linear"
    text = run(tmp_path, capsys, {id: {**EXACT[id], "value": [1.0, 2.0, 3.0, 4.0]}}, "--only", id)[1]
    assert "answer.value: want one number, got 4: is the mean missing?" in text


def test_missing_fields_are_named(tmp_path, capsys):
    """Those of the answer and those of a layer."""
    id = "implicit/loss-d2-linear"
    text = run(tmp_path, capsys, {id: {"value": 1.0, "s": EXACT[id]["s"]}}, "--only", id)[1]
    assert "answer.trace, answer.gradient: not answered" in text
    text = run(tmp_path, capsys, {id: {**EXACT[id], "gradient": [{"W": [[0, 0], [0, 0]]}]}}, "--only", id)[1]
    assert "answer.gradient.0.b: not answered" in text


FACTORS = {"1/2": lambda d, N, sigma: 0.5, "2": lambda d, N, sigma: 2, "-1": lambda d, N, sigma: -1,
           "2/d": lambda d, N, sigma: 2 / d, "d": lambda d, N, sigma: d, "N": lambda d, N, sigma: N,
           "sigma^4": lambda d, N, sigma: sigma**4, "2 sigma^2": lambda d, N, sigma: 2 * sigma**2,
           "sigma": lambda d, N, sigma: sigma, "2 sigma^2/d": lambda d, N, sigma: 2 * sigma**2 / d,
           "-1/2 N sigma^4/d": lambda d, N, sigma: -N * sigma**4 / (2 * d), "0.7": lambda d, N, sigma: 0.7}


@pytest.mark.parametrize("name", FACTORS)
def test_a_factor_that_all_cases_share_is_named(name, tmp_path, capsys):
    """value times a constant or a power of d, N or sigma; the hint has its name, and is silent on the rest."""
    answers = {}
    for case in check_port.load(["denoising/loss"]):
        x, sigma = case["inputs"]["x"], case["inputs"]["sigma"]
        factor = FACTORS[name](len(x[0]), len(x), sigma)
        answers[case["id"]] = {**case["expected"], "value": factor * case["expected"]["value"]}
    text = run(tmp_path, capsys, answers, "--only", "denoising/loss")[1]
    assert text.count("hint:") == 1
    assert f"denoising_loss: the value of all {len(answers)} cases is {name} times the expected one" in text


def hints_for(tmp_path, capsys, wrong, *only):
    """The hints on the chosen cases, of which those in wrong have twice the value, or what wrong gives."""
    cases = check_port.load(only)
    answers = {c["id"]: {**c["expected"], "value": 1.7 * c["expected"]["value"] + 0.1} if wrong(c) else c["expected"]
               for c in cases}
    return [line for line in run(tmp_path, capsys, answers, "--only", *only)[1].splitlines() if "hint" in line]


def test_a_failure_of_one_kind_is_named(tmp_path, capsys):
    """Energies alone; probes other than signs alone; not where other cases fail too."""
    energy = lambda c: c["inputs"]["score"]["kind"] == "energy_mlp"
    line, = hints_for(tmp_path, capsys, energy, "implicit/loss")
    assert "implicit_loss: it fails on energies alone" in line
    line, = hints_for(tmp_path, capsys, lambda c: "signs" not in c["id"], "sliced/loss")
    assert "sliced_loss: it is right on probes of signs" in line
    assert not hints_for(tmp_path, capsys, lambda c: energy(c) or "linear" in c["id"], "implicit/loss")


def test_where_d_is_2_everywhere_the_hint_says_what_hides(tmp_path, capsys):
    """A mean over N·d without the ½ is right at d = 2: named where the factor is another, and with no other width."""
    ids = ["denoising/loss-0.3-d2-linear", "denoising/loss-50-d2-linear"]
    halves = {id: {**EXACT[id], "value": EXACT[id]["value"] / 2} for id in ids}
    for answers in (halves, {id: EXACT[id] for id in ids}):
        assert "all cases checked have d = 2" in run(tmp_path, capsys, answers, "--only", *ids)[1]
    assert "d = 2" not in run(tmp_path, capsys, EXACT, "--only", "denoising/loss")[1]


def test_a_failure_shows_its_tolerance_its_flags_and_what_was_raised(tmp_path, capsys):
    """And a null, which is what JSON makes of NaN in some languages, is asked about."""
    id = "denoising/loss-0.001-d2-linear"
    text = run(tmp_path, capsys, {id: {**EXACT[id], "value": 0.0}}, "--only", id, "--dtype", "float32")[1]
    assert "1.0e+00 > 1e-05 answer.value [extreme sigma]" in text
    text = run(tmp_path, capsys, {id: {"raised": "ValueError: no gradient"}}, "--only", id)[1]
    assert f"FAIL {id}" in text and "raised ValueError: no gradient" in text
    assert "NaN?" in run(tmp_path, capsys, {id: {**EXACT[id], "value": None}}, "--only", id)[1]


def test_no_hint_where_one_case_differs_or_all_pass(tmp_path, capsys):
    """A wrong factor in all but one case, another error in one, and none at all."""
    ids = [case["id"] for case in check_port.load(["denoising/loss"])]
    half = {id: {**EXACT[id], "value": EXACT[id]["value"] / 2} for id in ids}
    assert "hint" not in run(tmp_path, capsys, {id: EXACT[id] for id in ids}, "--only", "denoising/loss")[1]
    for last in (EXACT[ids[-1]]["value"], 0.3 * EXACT[ids[-1]]["value"], "text"):
        wrong = {**half, ids[-1]: {**half[ids[-1]], "value": last}}
        assert "hint" not in run(tmp_path, capsys, wrong, "--only", "denoising/loss")[1]


def test_sheet_is_written_for_the_chosen_cases_and_never_over_answers(tmp_path, capsys):
    """--only and --parts choose; an empty sheet may be written again, a filled one and other files not."""
    path = tmp_path / "sheet.json"
    assert check_port.main([str(path), "--sheet", "--only", "implicit/loss-d2-linear", "--parts", "value"]) == 0
    assert json.loads(path.read_text(encoding="utf-8")) == {"implicit/loss-d2-linear": {"value": None}}
    assert check_port.main([str(path), "--sheet", "--only", "data"]) == 0
    assert set(json.loads(path.read_text(encoding="utf-8"))) == {id for id in EXACT if id.startswith("data/")}
    for text in ('{"data/score-d2": {"value": [[0.0, null]]}}', "no JSON"):
        path.write_text(text, encoding="utf-8")
        assert "sheet.json" in refused(capsys, path, "--sheet") and path.read_text(encoding="utf-8") == text


def test_bad_usage_ends_with_status_2(tmp_path, capsys):
    """Unreadable files, patterns and options, each with the reason."""
    path = tmp_path / "answers.json"
    assert "cannot read" in refused(capsys, path)
    for text in ("", "{", "[1]", '[["data/score-d2", 1]]', "null", "3"):
        path.write_text(text, encoding="utf-8")
        assert "cannot read" in refused(capsys, path)
    path.write_bytes(b'{"a": "\xff"}')
    assert "cannot read" in refused(capsys, path)
    assert "cannot read" in refused(capsys, tmp_path)
    path.write_text("{}", encoding="utf-8")
    assert "nothing is left" in refused(capsys, path, "--answered")
    assert "'nowhere'" in refused(capsys, path, "--only", "data", "nowhere")
    assert "'energy'" in refused(capsys, path, "--skip", "energy")
    for rtol in ("0", "-1", "nan", "inf", "x"):
        assert "--rtol" in refused(capsys, path, "--rtol", rtol)


def test_there_is_no_factor_where_entries_have_different_ones():
    """(2, 4) is 2 times (1, 2); (2, 3) is no multiple of (1, 1)."""
    assert check_port.ratio([2.0, 4.0], [1.0, 2.0], 1e-12) == 2
    assert check_port.ratio([2.0, 3.0], [1.0, 1.0], 1e-12) is None
