"""Which paintings stay: large enough, once each, and not rejected; and which ones look doubtful."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from machineray.curate.duplicates import duplicate_of
from machineray.curate.hashes import VIEW_BYTES, VIEWS, from_text

Row = Mapping[str, Any]

REJECTED = "rejected by hand"
KEPT_BY_HAND = "kept by hand"


@dataclass(frozen=True)
class Doubt:
    """What makes a painting doubtful: one of its `measures` beyond a bound.

    `spoils`: of two copies of a painting the one without it is better, whatever their sizes.
    `refuses`: enough to refuse a painting, where doubtful ones are.
    """

    verdict: str
    measure: str
    bound: float
    is_above: bool
    reason: str
    spoils: bool = False
    refuses: bool = True

    def holds(self, measures: Mapping[str, float]) -> bool:
        """Whether a painting with these measures is doubtful."""
        value = measures[self.measure]
        return value > self.bound if self.is_above else value < self.bound


# What each bound takes of good paintings, and finds of bad ones, is what bench/curate.py prints. A
# painting in black and white looks like a grey scan of one in colours: so it refuses nothing.
# Scores of the network are fitted so that .5 is the bound.
DOUBTS = (
    Doubt("text", "text", 0.5, True, "looks like a page of text"),
    Doubt("watermarked", "watermark", 0.5, True, "seems to bear a watermark", spoils=True),
    Doubt("blurred", "sharpness", 0.5, False, "blurred, or enlarged", spoils=True),
    Doubt("black and white", "colour", 2.5, False, "has no colours", True, False),
    Doubt("representational", "representational", 0.5, True, "seems to show something"),
)


@dataclass(frozen=True)
class Decision:
    """What becomes of a painting: the columns that its row gains.

    `verdict` is "kept", KEPT_BY_HAND, REJECTED, "unreadable", "too small", "duplicate" or, where
    doubtful paintings are refused, one of DOUBTS'. `doubts` are those of DOUBTS that hold.
    """

    keep: bool = False
    verdict: str = "kept"
    reason: str | None = None
    duplicate_of: str | None = None
    doubts: tuple[str, ...] = ()


def decide(
    rows: Sequence[Row],
    *,
    min_side: int,
    rejected_ids: Collection[str] = (),
    kept_ids: Collection[str] = (),
    auto_reject: bool = False,
) -> Iterator[dict[str, Any]]:
    """Rows with `looks` and `measures` -> the same, in order, with the decisions.

    Of near-duplicates that one stays which has fewer spoiling doubts, then more pixels, then more
    bytes, then the lower id; the order of the rows changes nothing. What is too small or rejected
    does not stand against others. `looks` is left out of the answer. Rows are read twice, and
    about a kilobyte of each is held in memory.

    Args:
        rows: id, width, height, bytes, looks (hashes.looks), measures (numbers by name), and
            whatever else is known; or id and `unreadable`, which is a reason.
        min_side: pixels that the shorter side must have.
        rejected_ids: of paintings that a person does not want.
        kept_ids: of paintings that a person wants, whatever is found; others may repeat them.
        auto_reject: refuse doubtful paintings, too.
    """
    decisions, ranks = [], []
    looks = np.zeros((len(rows), VIEWS, VIEW_BYTES), np.uint8)
    for number, row in enumerate(rows):
        decision = _by_hand(row, rejected_ids, kept_ids) or _alone(row, min_side, auto_reject)
        decisions.append(decision)
        if decision.keep:
            looks[number] = from_text(row["looks"])
            ranks.append((*_rank(row, decision), number))
    ranked = [number for *_, number in sorted(ranks)]
    wanted = {n for n, number in enumerate(ranked) if decisions[number].verdict == KEPT_BY_HAND}
    originals = {
        number: ranked[original]
        for number, original in zip(ranked, duplicate_of(looks[ranked], wanted), strict=True)
        if original is not None
    }
    for number, row in enumerate(rows):
        decision = decisions[number]
        if number in originals:
            original = originals[number]
            decision = _duplicate(row, decision, rows[original], decisions[original])
        told = {**asdict(decision), "doubts": list(decision.doubts)}
        yield {column: value for column, value in row.items() if column != "looks"} | told


def _by_hand(row: Row, rejected_ids: Collection[str], kept_ids: Collection[str]) -> Decision | None:
    """A person's decision; of what nobody can read there is none."""
    if row.get("unreadable"):
        return None
    doubts = tuple(doubt.verdict for doubt in _doubts(row))
    if row["id"] in rejected_ids:
        return Decision(verdict=REJECTED, reason=REJECTED, doubts=doubts)
    if row["id"] in kept_ids:
        return Decision(keep=True, verdict=KEPT_BY_HAND, doubts=doubts)
    return None


def _alone(row: Row, min_side: int, auto_reject: bool) -> Decision:
    """The decision without a look at the other paintings."""
    if row.get("unreadable"):
        reason = f"unreadable: {row['unreadable']}"
        return Decision(verdict="unreadable", reason=reason)
    held = _doubts(row)
    decision = Decision(doubts=tuple(doubt.verdict for doubt in held))
    if min(row["width"], row["height"]) < min_side:
        size = f"{row['width']}x{row['height']}"
        reason = f"too small: {size}, the shorter side must have {min_side} pixels"
        return replace(decision, verdict="too small", reason=reason)
    against = [doubt for doubt in held if doubt.refuses]
    if against and auto_reject:
        reason = "; ".join(f"{doubt.reason} ({_measured(row, doubt)})" for doubt in against)
        return replace(decision, verdict=against[0].verdict, reason=reason)
    return replace(decision, keep=True)


def _doubts(row: Row) -> list[Doubt]:
    return [doubt for doubt in DOUBTS if doubt.holds(row["measures"])]


def _measured(row: Row, doubt: Doubt) -> str:
    """ "sharpness 0.31, below 0.5"."""
    side = "above" if doubt.is_above else "below"
    return f"{doubt.measure} {row['measures'][doubt.measure]:g}, {side} {doubt.bound:g}"


def _spoiled(decision: Decision) -> list[str]:
    return [d.verdict for d in DOUBTS if d.spoils and d.verdict in decision.doubts]


def _rank(row: Row, decision: Decision) -> tuple[int, int, int, str, bytes]:
    """Better first; the last is for one file under two names, whose rows differ in words only."""
    words = json.dumps(row, sort_keys=True, default=str).encode()
    pixels, digest = row["width"] * row["height"], hashlib.sha256(words).digest()
    return len(_spoiled(decision)), -pixels, -row["bytes"], row["id"], digest


def _duplicate(row: Row, decision: Decision, original: Row, better: Decision) -> Decision:
    spoiled = [verdict for verdict in _spoiled(decision) if verdict not in better.doubts]
    if len(_spoiled(decision)) > len(_spoiled(better)):
        why = f"is not {spoiled[0]}"
    elif row["width"] * row["height"] != original["width"] * original["height"]:
        why = "has more pixels"
    elif row["bytes"] != original["bytes"]:
        why = "has as many pixels in more bytes"
    else:
        why = "is as good and was chosen by its id"
    sizes = f"{original['width']}x{original['height']}, this one {row['width']}x{row['height']}"
    reason = f"shows the same as {_called(original)}, which {why} ({sizes})"
    return replace(
        decision, keep=False, verdict="duplicate", reason=reason, duplicate_of=original["id"]
    )


def _called(row: Row) -> str:
    title = row.get("title") or row.get("file")
    return f"{row['id']} ({title})" if title else str(row["id"])
