"""boxes.csv: the boxes that were found, and those that a person gives instead."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from machineray.errors import InputError
from machineray.tables import csv_records, text_of

if TYPE_CHECKING:
    from machineray.unframe.corners import Corners

EDGES = ("left", "top", "right", "bottom")
COLUMNS = ("file", *EDGES, "confidence", "corners", "id")


class ByHand(NamedTuple):
    """The painting in pixels of the upright file, right and bottom exclusive; None: all of it.

    `corners` as in machineray.unframe.boxes.Box.
    """

    edges: tuple[int, int, int, int] | None = None
    corners: "Corners | None" = None

    def is_whole(self, width: int, height: int) -> bool:
        """Whether nothing of a picture of that size is to be cut off."""
        return self.edges in (None, (0, 0, width, height)) and not self.corners

    def row(self) -> dict[str, list[Any]]:
        """What a catalog's row says of it."""
        box = {"box": list(self.edges or ())}
        return box | ({"corners": [list(place) for place in self.corners]} if self.corners else {})

    def check(self, width: int, height: int, name: str) -> None:
        """InputError when the box is not inside a picture of that size."""
        if self.edges is None:
            return
        left, top, right, bottom = self.edges
        xs, ys = zip((left, top), (right, bottom), *self.corners or (), strict=True)
        if min(xs) < 0 or min(ys) < 0 or max(xs) > width or max(ys) > height:
            raise InputError(
                f"{name}: the box by hand, {left} {top} {right} {bottom}, is not inside its "
                f"{width} x {height} pixels; draw it anew, or take its line out of --boxes"
            )


def write_boxes(rows: Iterable[Mapping[str, Any]], file: Path) -> None:
    """One line a picture: the box in pixels of the upright picture, end exclusive.

    `corners` is empty, or x and y of the four corners of a painting that was set upright, top
    left first, then clockwise; its box goes through the middles of its edges. Two files in folders
    of the same input may have one name, but never one id.
    """
    with file.open("w", newline="", encoding="utf-8") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            corners = corner_words(row)
            writer.writerow([row["file"], *row["box"], row["confidence"], corners, row["id"]])


def corner_words(row: Mapping[str, Any]) -> str:
    """A row's corners as the table has them: x and y of each, "" for a box that is upright."""
    return " ".join(f"{value:g}" for point in row.get("corners", ()) for value in point)


def read_boxes(data: bytes, name: str) -> dict[str, ByHand]:
    """A table's bytes -> id -> box. Other columns than id, EDGES and corners do not matter.

    Raises:
        InputError: names the table and the line that cannot be understood.
    """
    boxes: dict[str, ByHand] = {}
    for line, record in csv_records(text_of(data), name, _check_header):
        where = f"{name}: line {line}"
        box = _box(record, where)
        item = record.get("id", "").strip()
        if not item:
            raise InputError(f"{where}: no id: say which picture it speaks of")
        if boxes.setdefault(item, box) != box:
            raise InputError(f"{where}: {item} has another box above: keep one of them")
    return boxes


def _check_header(columns: Sequence[str], where: str) -> None:
    missing = [column for column in ("id", *EDGES) if column not in columns]
    if missing:
        names = ", ".join(missing)
        raise InputError(f"{where}: no column {names}: begin with id,{','.join(EDGES)}")


def _box(record: Mapping[str, str], where: str) -> ByHand:
    try:
        left, top, right, bottom = (int(record[edge]) for edge in EDGES)
        numbers = [float(word) for word in record.get("corners", "").split()]
        places = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    except (KeyError, ValueError) as error:
        raise InputError(f"{where}: {error}; edges are whole numbers of pixels") from error
    if not (0 <= left < right and 0 <= top < bottom):
        raise InputError(
            f"{where}: {left} {top} {right} {bottom} is no box: left, top, right, bottom in pixels"
        )
    if numbers and not _go_around(places):
        raise InputError(
            f"{where}: {record['corners']!r} are no four corners: x and y of each, clockwise"
        )
    return ByHand((left, top, right, bottom), places or None)


def _go_around(places: Sequence[tuple[float, float]]) -> bool:
    """Whether they are four corners of a convex shape, clockwise on a picture (y goes down)."""
    turns = (
        (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])
        for a, b, c in zip(
            places, (*places[1:], places[0]), (*places[2:], *places[:2]), strict=True
        )
    )
    return len(places) == 4 and all(turn > 0 for turn in turns)
