"""What the gallery says of a figure: bounds, answers, what failed and what was missed, and the page itself."""

import pytest

from figures import gallery


def record(value=0.5, low=None, high=None, holds=True, **others):
    """A record with one claim."""
    claim = {"text": "a | b", "value": value, "low": low, "high": high, "holds": holds}
    return {"seed": 4, "budget": 1.0, "caption": "Title.\n\nText.\nSettings: s.\n", "pictures": ["fig.png"],
            "claims": [claim], **others}


@pytest.mark.parametrize("low, high, text", [
    (0.0, 1.0, "0 … 1"), (None, 1.0, "≤ 1"), (0.0, None, "≥ 0"), (None, None, "measured")])
def test_bounds_of_both_sides_of_one_and_of_none(low, high, text):
    """Bounds in words; a bound of 0 is a bound. A claim is answered yes or NO, at the full budget alone."""
    claim = record(0.5, low, high)["claims"][0]
    assert gallery.bounds(claim) == text
    answers = [gallery.answer({**claim, "holds": holds}, budget) for holds in (True, False) for budget in (1.0, 0.5)]
    assert answers == (["", "", "", ""] if text == "measured" else ["yes", "", "NO", ""])


def test_verdict_counts_the_claims_that_miss():
    """ok, the number of misses, not checked at a small budget, FAILED."""
    hit, miss = record(0.5, 0, 1)["claims"][0], record(2, 0, 1, holds=False)["claims"][0]
    verdicts = [gallery.verdict(record(claims=claims)) for claims in ([], [hit, hit], [hit, miss], [miss, hit, miss])]
    assert verdicts == ["ok", "ok", "1 of 2 claims MISSED", "2 of 3 claims MISSED"]
    assert gallery.verdict(record(claims=[miss], budget=0.99)) == "drawn, claims not checked"
    assert gallery.verdict({"budget": 0.01, "error": "e"}) == "FAILED"


def test_picture_stays_where_all_but_the_values_is_the_same():
    """Records of a timed figure agree if nothing but the values differs and all claims hold in both."""
    old = record(0.5, 0.0, 1.0)
    assert gallery.stays(old, record(0.7, 0.0, 1.0))
    assert not gallery.stays(None, old)
    others = [record(0.5, 0.1, 1.0), record(0.5, 0.0, 1.0, seed=5), record(0.5, 0.0, 1.0, caption="New"),
              record(2.0, 0.0, 1.0, holds=False), record(0.5, 0, 1, budget=0.1), {"seed": 4, "budget": 1, "error": "e"}]
    for new in others:
        assert not gallery.stays(old, new) and not gallery.stays(new, old)
    assert not any(gallery.stays(new, new) for new in others[3:])


def test_gallery_says_what_was_run_and_what_failed(monkeypatch):
    """All figures, some, a small budget, a failure: the head counts, and claims to have checked what was checked."""
    monkeypatch.setattr(gallery, "FIGURES", {"fig": 1, "gif": 1})
    whole = gallery.gallery({"fig": record(0.5, 0, 1), "gif": record(pictures=["gif.png", "gif.gif"])})
    assert whole.startswith("# Gallery\n\nWritten by `python run_all.py`: 2 of 2 figures, each claim checked")
    assert "| a &#124; b | 0.5 | 0 … 1 | yes |\n" in whole and "| a &#124; b | 0.5 | measured |  |\n" in whole
    assert "## Title\n\n![fig](fig.png)\n\nText.  \nSettings: s.\n\n| claim |" in whole
    assert whole.count("![gif](gif.png)\n![gif](gif.gif)\n") == 1
    assert "[fig.py](fig.py), seed 4.\n" in whole
    part = gallery.gallery({"fig": record(2, 0, 1, holds=False)})
    assert "1 of 2 figures, each claim checked" in part and "seed 4. 1 of 1 claims MISSED.\n" in part
    assert "| 2 | 0 … 1 | NO |\n" in part
    mixed = gallery.gallery({"fig": record(0.5, 0, 1, budget=0.01), "gif": record()})
    assert "each claim checked" not in mixed and "not checked" in mixed and "| yes |" not in mixed
    failed = gallery.gallery({"fig": {"seed": 0, "budget": 1.0, "error": "Traceback\nKeyError: 'lost'\n"}})
    assert "## fig\n\nFAILED: KeyError: 'lost'\n" in failed and "](fig.png)" not in failed


def test_wrong_names_what_missed():
    """Every miss and failure by name, in the order of the records; at a small budget failures alone."""
    good, bad, broken = record(0.5, 0, 1), record(2, 0, 1, holds=False), {"seed": 0, "budget": 1.0, "error": "e"}
    assert gallery.wrong({"a": good, "b": record()}) == []
    assert gallery.wrong({"a": good, "d": broken, "b": bad, "c": bad}) == [
        "d FAILED", "b MISSED 'a | b'", "c MISSED 'a | b'"]
    assert gallery.wrong({"a": {**bad, "budget": 0.01}, "d": {**broken, "budget": 0.01}}) == ["d FAILED"]
