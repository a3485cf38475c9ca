"""Who stays: the better one of two, in any order of the rows; and what is doubtful."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from machineray.curate.decisions import DOUBTS
from machineray.curate.decisions import decide as decisions
from machineray.curate.hashes import looks

Row = dict[str, Any]


def looks_of(motif: int) -> str:
    rng = random.Random(motif)
    image = Image.new("RGB", (64, 64), (rng.randrange(256), rng.randrange(256), 128))
    for _ in range(12):
        x, y = rng.randrange(48), rng.randrange(48)
        colour = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
        image.paste(colour, (x, y, x + 16, y + 16))
    return looks(image)


LOOKS = [looks_of(motif) for motif in range(5)]
FINE = {doubt.measure: doubt.bound for doubt in DOUBTS}  # on the bound is not beyond it


def decide(rows: list[Row], **options: Any) -> list[Row]:
    return list(decisions(rows, **options))


def doubtful(verdict: str) -> dict[str, float]:
    """Measures that are beyond the bound of one doubt."""
    doubt = next(each for each in DOUBTS if each.verdict == verdict)
    return {**FINE, doubt.measure: doubt.bound + (0.01 if doubt.is_above else -0.01)}


def row(id: str, motif: int = 0, width: int = 300, height: int = 300, bytes: int = 9) -> Row:
    size = {"width": width, "height": height, "bytes": bytes}
    return {"id": id, "title": None, **size, "looks": LOOKS[motif], "measures": FINE}


rows_of_any_kind = st.lists(
    st.builds(
        row,
        id=st.uuids().map(str),
        motif=st.integers(0, 4),
        width=st.sampled_from([90, 200, 300]),
        height=st.sampled_from([90, 200, 300]),
        bytes=st.integers(1, 3),
    ),
    max_size=12,
    unique_by=lambda each: each["id"],
)


@given(rows_of_any_kind, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(rows: list[Row], rng: random.Random) -> None:
    mixed = rng.sample(rows, len(rows))
    one = {each["id"]: each for each in decide(rows, min_side=100)}
    other = {each["id"]: each for each in decide(mixed, min_side=100)}
    assert one == other


@given(rows_of_any_kind)
def test_each_motif_that_is_large_enough_is_kept_once_in_its_best_copy(rows: list[Row]) -> None:
    decided = decide(rows, min_side=100)
    assert [each["id"] for each in decided] == [each["id"] for each in rows]
    for motif in range(5):
        large = [
            each
            for each in rows
            if each["looks"] is LOOKS[motif] and min(each["width"], each["height"]) >= 100
        ]
        kept = [
            each
            for each, verdict in zip(rows, decided, strict=True)
            if verdict["keep"] and each["looks"] is LOOKS[motif]
        ]
        best = min(
            large, key=lambda e: (-e["width"] * e["height"], -e["bytes"], e["id"]), default=None
        )
        assert kept == ([] if best is None else [best])


@given(rows_of_any_kind)
def test_every_refusal_has_its_reason_and_no_looks(rows: list[Row]) -> None:
    for each in decide(rows, min_side=100):
        assert "looks" not in each
        assert each["keep"] == (each["reason"] is None) == (each["verdict"] == "kept")
        assert (each["duplicate_of"] is None) == (each["verdict"] != "duplicate")


def test_the_reasons_name_sizes_and_the_better_copy() -> None:
    rows = [
        row("a", width=99),
        row("b", motif=1),
        {**row("c", motif=1, width=600, height=600), "title": "Rot"},
        {"id": "d", "unreadable": "d.jpg: truncated"},
        row("e", motif=2),
    ]
    reasons = [each["reason"] for each in decide(rows, min_side=100, rejected_ids={"e"})]
    assert reasons == [
        "too small: 99x300, the shorter side must have 100 pixels",
        "shows the same as c (Rot), which has more pixels (600x600, this one 300x300)",
        None,
        "unreadable: d.jpg: truncated",
        "rejected by hand",
    ]


@pytest.mark.parametrize("refused", [{"rejected_ids": {"a"}}, {"min_side": 301}])
def test_what_is_refused_does_not_stand_against_its_copy(refused: dict[str, Any]) -> None:
    better = row("a", width=600, height=300)
    copy = row("b", width=302, height=302)
    options: dict[str, Any] = {"min_side": 100, **refused}
    assert [each["keep"] for each in decide([better, copy], **options)] == [False, True]


def test_a_doubt_is_told_and_refuses_nothing_by_itself() -> None:
    for doubt in DOUBTS:
        suspect = {**row("a"), "measures": doubtful(doubt.verdict)}
        (decided,) = decide([suspect], min_side=100)
        assert (decided["keep"], decided["doubts"]) == (True, [doubt.verdict])
    (decided,) = decide([row("a")], min_side=100)
    assert decided["doubts"] == []


def test_auto_reject_refuses_the_doubtful_with_the_measure_but_not_what_is_grey() -> None:
    suspects = [
        {**row(str(n), motif=n), "measures": doubtful(doubt.verdict)}
        for n, doubt in enumerate(DOUBTS)
    ]
    decided = decide(suspects, min_side=100, auto_reject=True)
    kept = [each["doubts"] for each in decided if each["keep"]]
    assert kept == [["black and white"]]
    refused = [each for each in decided if not each["keep"]]
    assert all([each["verdict"]] == each["doubts"] for each in refused)
    assert "blurred, or enlarged (sharpness 0.49, below 0.5)" in [e["reason"] for e in refused]


@pytest.mark.parametrize("verdict", [doubt.verdict for doubt in DOUBTS if doubt.spoils])
def test_a_clean_copy_is_better_than_a_larger_spoiled_one(verdict: str) -> None:
    large = {**row("a", width=900, height=900), "measures": doubtful(verdict)}
    spoiled, clean = decide([large, row("b")], min_side=100)
    assert (spoiled["keep"], clean["keep"]) == (False, True)
    assert f"shows the same as b, which is not {verdict}" in spoiled["reason"]


def test_a_subject_spoils_no_copy() -> None:
    large = {**row("a", width=900, height=900), "measures": doubtful("representational")}
    assert [each["keep"] for each in decide([large, row("b")], min_side=100)] == [True, False]


def test_what_a_person_keeps_stays_whatever_is_found_and_others_repeat_it() -> None:
    rows = [
        row("better", width=900, height=900),
        row("copy"),
        row("its copy", bytes=8),
        row("small", motif=1, width=9),
        row("small too", motif=1, width=9),
        {**row("text", motif=2), "measures": doubtful("text")},
        {"id": "gone", "unreadable": "truncated"},
    ]
    kept_ids = {"copy", "small", "text", "gone"}
    decided = decide(rows, min_side=100, kept_ids=kept_ids, auto_reject=True)
    by_hand = ("kept by hand", None)
    assert {each["id"]: (each["verdict"], each["duplicate_of"]) for each in decided} == {
        "better": ("kept", None),
        "copy": by_hand,
        "its copy": ("duplicate", "better"),
        "small": by_hand,
        "small too": ("too small", None),
        "text": by_hand,
        "gone": ("unreadable", None),
    }
    assert [each["keep"] for each in decided] == [True, True, False, True, False, True, False]


def test_a_person_is_heard_before_the_measures() -> None:
    suspect = {**row("a"), "measures": doubtful("text")}
    (decided,) = decide([suspect], min_side=100, rejected_ids={"a"}, auto_reject=True)
    assert (decided["verdict"], decided["doubts"]) == ("rejected by hand", ["text"])
