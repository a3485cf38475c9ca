"""The labelled pictures that unframe is fitted to and measured by: their boxes, and their folds.

train/ has paintings without frame, framed/ photographs whose boxes are in its boxes.csv. All 340 of
train/ were looked at: twelve have a frame, a board or a wall of 2 % of a side or more around them
after all. Their boxes, measured in enlarged corners, are in unframe_boxes.csv.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from machineray.imaging import decode, to_array

FOLDS = 5
NO_FRAME, AFTER_ALL = "no frame", "after all"
BOXES = Path(__file__).with_name("unframe_boxes.csv")


@dataclass(frozen=True)
class Picture:
    """A file, the painting in it (left, top, right, bottom; None: all of it), how hard it is.

    `kind` is NO_FRAME, AFTER_ALL, or as boxes.csv says: easy, hard, ambiguous.
    """

    file: Path
    box: tuple[int, int, int, int] | None
    kind: str
    fold: int

    def pixels(self) -> NDArray[np.uint8]:
        """It as every stage sees it (H, W, 3)."""
        return to_array(decode(self.file.read_bytes(), str(self.file)))


def collection(folder: Path) -> Iterator[Picture]:
    """Photographs, then what train/ holds; both are dealt out to the folds by their names."""
    rows = sorted(boxes_in(folder / "framed" / "boxes.csv").items())
    for rank, (name, row) in enumerate(rows):
        yield Picture(folder / "framed" / name, box_of(row), row["difficulty"], rank % FOLDS)
    after_all = boxes_in(BOXES)
    for rank, file in enumerate(sorted((folder / "train").glob("*.jpg"))):
        if file.name in after_all:
            yield Picture(file, box_of(after_all[file.name]), AFTER_ALL, rank % FOLDS)
        else:
            yield Picture(file, None, NO_FRAME, rank % FOLDS)


def boxes_in(table: Path) -> dict[str, dict[str, str]]:
    """A table's rows by the names of the files."""
    with table.open(newline="") as text:
        return {row["file"]: row for row in csv.DictReader(text)}


def box_of(row: dict[str, str]) -> tuple[int, int, int, int]:
    """The box in a row of such a table."""
    return int(row["left"]), int(row["top"]), int(row["right"]), int(row["bottom"])
