"""Which paintings stay: large enough, once each, and not rejected by hand."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from machineray.curate.duplicates import duplicate_of

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Decision:
    """What becomes of a painting: the columns that its row gains.

    `verdict` is one of "kept", "rejected by hand", "unreadable", "too small", "duplicate".
    """

    keep: bool = False
    verdict: str = "kept"
    reason: str | None = None
    duplicate_of: str | None = None


def decide(
    rows: Sequence[Row], *, min_side: int, rejected_ids: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Rows with `looks`, as `measure` gives them -> the same, in order, with the decisions.

    Of near-duplicates the one with the most pixels stays, then the most bytes, then the lowest
    id; the order of the rows changes nothing. What is too small or rejected by hand does not
    stand against others. `looks` is left out of the answer: only duplicates are found by it.

    Args:
        rows: id, width, height, bytes, looks, and whatever else is known; or id and `unreadable`,
            which is a reason.
        min_side: pixels that the shorter side must have.
        rejected_ids: of paintings that a person does not want.
    """
    decisions = [_alone(row, min_side, rejected_ids) for row in rows]
    ranked = sorted(
        (n for n, decision in enumerate(decisions) if decision.keep), key=lambda n: _rank(rows[n])
    )
    repeated = duplicate_of([rows[n]["looks"] for n in ranked])
    for number, original in zip(ranked, repeated, strict=True):
        if original is not None:
            decisions[number] = _duplicate(rows[number], rows[ranked[original]])
    return [
        {column: value for column, value in row.items() if column != "looks"} | asdict(decision)
        for row, decision in zip(rows, decisions, strict=True)
    ]


def _alone(row: Row, min_side: int, rejected_ids: Collection[str]) -> Decision:
    """The decision without a look at the other paintings."""
    if row["id"] in rejected_ids:
        return Decision(verdict="rejected by hand", reason="rejected by hand")
    if row.get("unreadable"):
        return Decision(verdict="unreadable", reason=f"unreadable: {row['unreadable']}")
    if min(row["width"], row["height"]) < min_side:
        size = f"{row['width']}x{row['height']}"
        reason = f"too small: {size}, the shorter side must have {min_side} pixels"
        return Decision(verdict="too small", reason=reason)
    return Decision(keep=True)


def _rank(row: Row) -> tuple[int, int, str, str]:
    """Better first; the last is for one file under two names, whose rows differ in words only."""
    words = json.dumps(row, sort_keys=True, default=str)
    return -row["width"] * row["height"], -row["bytes"], row["id"], words


def _duplicate(row: Row, original: Row) -> Decision:
    if row["width"] * row["height"] != original["width"] * original["height"]:
        better = "has more pixels"
    elif row["bytes"] != original["bytes"]:
        better = "has as many pixels in more bytes"
    else:
        better = "is as good and was chosen by its id"
    sizes = f"{original['width']}x{original['height']}, this one {row['width']}x{row['height']}"
    reason = f"shows the same as {_called(original)}, which {better} ({sizes})"
    return Decision(verdict="duplicate", reason=reason, duplicate_of=original["id"])


def _called(row: Row) -> str:
    title = row.get("title") or row.get("file")
    return f"{row['id']} ({title})" if title else str(row["id"])
