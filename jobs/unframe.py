"""Find and cut picture frames, mats, borders, walls and captions; a page to look at.

mray run unframe --run klee
mray run unframe --run klee-2 --input klee/curate --whole whole.txt     after looking at it
"""

import csv
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs import FILE, Job, main
from jobs.pictures import ids_in, pictures, thumbnail
from jobs.threads import each_file
from machineray.errors import InputError
from machineray.log import Event, Note
from machineray.rows import Rows
from machineray.runs import Plan, Row
from machineray.shards import Done, Outcome, Refused, Task, batches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from machineray.unframe.boxes import Box, Model

LARGEST_CUT = 25_000_000  # pixels of a picture that is cut: 5,000 a side, networks learn from 1,024
COLUMNS = ("file", "left", "top", "right", "bottom", "confidence", "corners")


def unframe(
    job: Job,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Leave a picture whole below this expected IoU.")
    ] = 0.5,
    whole: Annotated[
        str | None,
        typer.Option(metavar=FILE, help="A file with the ids to leave whole, one a line."),
    ] = None,
) -> Iterator[Event]:
    """Cut every painting out of what is around it; boxes.csv and boxes.html say where."""
    source = pictures(job)
    by_hand = ids_in(whole, "--whole", source.kept) if whole else []
    stays_whole = frozenset(by_hand)
    plan = Plan(
        stage=job.stage,
        arguments={"min_confidence": min_confidence, "whole": by_hand},
        input=source.source,
        indexes=batches(list(source.kept), job.row.items_per_index),
    )

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome]:
        def one(row: Row, data: bytes) -> tuple[Row, str, bytes, bytes]:
            return unframed(row, data, min_confidence, row["id"] in stays_whole)

        for known, value in each_file(one, map(source.row, items), source.read, job.workers):
            item = known["id"]
            if isinstance(value, InputError):
                yield Refused(item, str(value))
                continue
            row, suffix, data, shown = value
            name, small = f"paintings/{item}{suffix}", f"thumbnails/{item}.webp"
            row |= {"key": job.output.key(name), "thumbnail": small}
            yield Done({name: data, small: shown}, [row])

    def merge(records: Rows) -> Iterator[tuple[str, bytes | Path]]:
        from machineray.unframe.page import boxes_pages

        if not records:
            raise InputError(f"{job.output.name}: no painting is left")
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "boxes.csv"
            write_boxes(records, table)
            yield table.name, table
        yield from boxes_pages(records, source.source["from"])
        yield "catalog.jsonl", records.path

    yield from job.execute(Task(plan, job.row.unit, work, merge))
    if job.output.is_complete():
        from machineray.markup import page_name
        from machineray.unframe.page import NAME, SURE

        confidence = [row["confidence"] for row in job.output.catalog()]
        unsure = sum(value < SURE for value in confidence)
        found = f"{job.store.url}/{job.output.key(page_name(NAME, 0))}"
        yield Note(f"{unsure} of {len(confidence)} boxes are not sure; look at {found}")


def unframed(
    known: Row, data: bytes, min_confidence: float, is_by_hand: bool
) -> tuple[Row, str, bytes, bytes]:
    """A picture's row with its box, the painting's suffix and file, and all of it small (WebP).

    Of a picture that is left whole the file is the one that came, to the byte: a PNG of a JPEG
    takes eight times its room, and four fifths of the stage's time to write. A large picture is
    looked at smaller, and its own pixels are asked only where that shows a frame.
    """
    from machineray.imaging import encode, from_array
    from machineray.unframe.corners import upright

    look = looked_at(data, known["key"])
    found, image, size = look.found, look.image, look.size
    row: Row = {"file": PurePosixPath(known["key"]).name} | known
    row |= {"confidence": round(found.confidence, 3), "source_size": list(size)}
    stays = is_by_hand or found.confidence < min_confidence
    if stays:
        row |= {"left_whole": "by hand" if is_by_hand else "not sure"}
    if stays or not found.cuts(image.size):
        row |= {"box": [0, 0, *size], "width": size[0], "height": size[1]}
        return row, PurePosixPath(known["key"]).suffix.lower(), data, thumbnail(image)
    row |= {"box": list(look.box)}
    # Large pictures: what is no longer needed goes before what comes next.
    if found.corners is None:
        del look
        painting = image.crop(found.edges)
        small = thumbnail(image)
    else:
        places = (look.in_file(*corner) for corner in found.corners)
        row |= {"corners": [[round(x, 1), round(y, 1)] for x, y in places]}
        small = thumbnail(image)
        pixels = upright(look.pixels, found.corners)
        del look
        painting = from_array(pixels)
        del pixels
    row |= {"width": painting.width, "height": painting.height}
    return row, ".png", encode(painting, "png"), small


@dataclass(frozen=True)
class Look:
    """A picture that may be smaller than in its file (machineray.imaging.Smaller), and its box."""

    image: "Image"
    pixels: "NDArray[np.uint8]"
    size: tuple[int, int]
    covered: tuple[float, float, float, float]
    found: "Box"

    @property
    def box(self) -> tuple[int, ...]:
        """The painting's edges, as boxes.csv gives them."""
        places = (self.in_file(*self.found.edges[first : first + 2]) for first in (0, 2))
        return tuple(round(edge) for place in places for edge in place)

    def in_file(self, x: float, y: float) -> tuple[float, float]:
        """A place in `pixels`, in pixels of the upright file."""
        left, top, right, bottom = self.covered
        across, down = self.size[0] / (right - left), self.size[1] / (bottom - top)
        return (
            min(max((x - left) * across, 0), self.size[0]),
            min(max((y - top) * down, 0), self.size[1]),
        )


def looked_at(data: bytes, name: str, model: "Model | None" = None) -> Look:
    """A picture as large as it is cut, or smaller where no frame is seen; errors of `decode`.

    `model` is for cross-validation.
    """
    from machineray.imaging import decode_smaller, to_array
    from machineray.unframe.boxes import SMALL, guess, refined

    image, size, covered = decode_smaller(data, name, lambda *sides: max(sides) // SMALL)
    pixels = to_array(image)
    rough = guess(pixels, model)
    if any(rough.depths) and image.size != size:
        del image, pixels
        image, size, covered = decode_smaller(data, name, times_too_large)
        pixels = to_array(image)
    return Look(image, pixels, size, covered, refined(pixels, rough))


def times_too_large(width: int, height: int) -> int:
    """How many times smaller a picture has to be, 1, 2, 4 or 8, for LARGEST_CUT."""
    return next(times for times in (1, 2, 4, 8) if width * height <= LARGEST_CUT * times**2)


def write_boxes(records: Sequence[Row], file: Path) -> None:
    """One line a picture: the box in pixels of the upright picture, end exclusive.

    `corners` is empty, or x and y of the four corners of a painting that was set upright, top
    left first, then clockwise; its box goes through the middles of its edges.
    """
    with file.open("w", newline="", encoding="utf-8") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in records:
            corners = " ".join(f"{value:g}" for point in row.get("corners", ()) for value in point)
            writer.writerow([row["file"], *row["box"], row["confidence"], corners])


if __name__ == "__main__":
    main(unframe)
