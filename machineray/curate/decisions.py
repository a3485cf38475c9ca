"""Which paintings stay: large enough, once each, and not rejected by hand."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from machineray.curate.duplicates import duplicate_of
from machineray.errors import InputError

Row = Mapping[str, Any]


def decide(
    rows: Sequence[Row], *, min_side: int, rejected_ids: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Collect's rows with `measure`'s columns -> the same, in order, with keep and reason.

    Of near-duplicates the one with the most pixels stays, then the most bytes, then the lowest
    id; the order of the rows changes nothing. A row may have `unreadable` (a reason) in place of
    the measured columns. What is too small or rejected by hand does not stand against others.

    Args:
        rows: id, width, height, bytes, and measured columns.
        min_side: pixels that the shorter side must have.
        rejected_ids: of paintings that a person does not want.

    Raises:
        InputError: a rejected id is the id of no row.
    """
    _check_rejected(rows, rejected_ids)
    reasons: dict[int, str] = {}
    for number, row in enumerate(rows):
        if row["id"] in rejected_ids:
            reasons[number] = "rejected by hand"
        elif row.get("unreadable"):
            reasons[number] = f"unreadable: {row['unreadable']}"
        elif min(row["width"], row["height"]) < min_side:
            reasons[number] = (
                f"too small: {row['width']}x{row['height']}, "
                f"the shorter side must have {min_side} pixels"
            )
    ranked = sorted((n for n in range(len(rows)) if n not in reasons), key=lambda n: _rank(rows[n]))
    for number, original in zip(ranked, duplicate_of([rows[n] for n in ranked]), strict=True):
        if original is not None:
            reasons[number] = _repeats(rows[number], rows[ranked[original]])
    return [
        {**row, "keep": number not in reasons, "reason": reasons.get(number)}
        for number, row in enumerate(rows)
    ]


def _check_rejected(rows: Sequence[Row], rejected_ids: Collection[str]) -> None:
    strange = sorted(set(rejected_ids) - {row["id"] for row in rows})
    if strange:
        raise InputError(
            f"rejected ids: {', '.join(strange[:3])}: no painting has this id: "
            "take ids from the contact sheet"
        )


def _rank(row: Row) -> tuple[int, int, str, str]:
    """Better first; the last is for one file under two names, whose rows differ in words only."""
    words = json.dumps(row, sort_keys=True, default=str)
    return -row["width"] * row["height"], -row["bytes"], row["id"], words


def _repeats(row: Row, original: Row) -> str:
    if row["id"] == original["id"]:
        return f"the same file as {_called(original)}"
    if row["width"] * row["height"] != original["width"] * original["height"]:
        better = "has more pixels"
    elif row["bytes"] != original["bytes"]:
        better = "has as many pixels in more bytes"
    else:
        better = "is as good and was chosen by its id"
    sizes = f"{original['width']}x{original['height']}, this one {row['width']}x{row['height']}"
    return f"near-duplicate of {_called(original)}, which {better} ({sizes})"


def _called(row: Row) -> str:
    title = row.get("title") or row.get("name")
    return f"{row['id']} ({title})" if title else str(row["id"])
