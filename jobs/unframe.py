"""Find and cut picture frames, mats, borders, walls and captions; a page to look at.

mray run unframe --run klee
mray run unframe --run klee-2 --input klee/curate --boxes boxes.csv     after looking at it
"""

import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs import FILE, Job, again, main
from jobs.pictures import THUMBNAIL_PX, check_ids, ids_in, pictures, read_option, thumbnail
from jobs.threads import each_file
from machineray.errors import InputError, UsageError
from machineray.log import Event, Note
from machineray.rows import Rows
from machineray.runs import Plan, Row
from machineray.shards import Done, Outcome, Refused, Task, batches
from machineray.unframe.boxes_csv import ByHand, read_boxes, write_boxes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from machineray.unframe.boxes import Box, Guess, Model

LARGEST_CUT = 17_000_000  # pixels of a picture that is cut: 4,096 a side, networks learn from 1,024
LARGE = 5_000_000  # pixels; of pictures with more than that one is cut at a time, others wait
ONE_LARGE = Lock()


def unframe(
    job: Job,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Leave a picture whole below this expected IoU.")
    ] = 0.5,
    whole: Annotated[
        str | None,
        typer.Option(metavar=FILE, help="A file with the ids to leave whole, one a line."),
    ] = None,
    boxes: Annotated[
        str | None,
        typer.Option(metavar=FILE, help="A CSV of boxes by hand: id,left,top,right,bottom."),
    ] = None,
) -> Iterator[Event]:
    """Cut every painting out of what is around it; boxes.csv and boxes.html say where."""
    source = pictures(job)
    stays_whole = ids_in(whole, "--whole", source.kept) if whole else []
    drawn = boxes_in(boxes, source.kept) if boxes else {}
    if both := sorted(drawn.keys() & {*stays_whole}):
        raise UsageError(f"--whole and --boxes both name {both[0]}: take it out of one of them")
    by_hand = drawn | dict.fromkeys(stays_whole, ByHand())
    own: dict[str, Any] = {"min_confidence": min_confidence}
    plan = Plan(
        stage=job.stage,
        # Without boxes as before there were any: runs of then are the same runs.
        arguments={**own, "whole": stays_whole, **({"boxes": drawn} if drawn else {})},
        input=source.source,
        indexes=batches(list(source.kept), job.row.items_per_index),
    )

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome]:
        def one(row: Row, data: bytes) -> tuple[Row, str, bytes, bytes]:
            return unframed(row, data, min_confidence, by_hand.get(row["id"]))

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
        yield from boxes_pages(records, again(unframe, source.source["from"], **own))
        yield "catalog.jsonl", records.path

    yield from job.execute(Task(plan, job.row.unit, work, merge))
    if job.output.is_complete():
        from machineray.markup import page_name
        from machineray.unframe.page import NAME, is_doubtful

        doubtful = [is_doubtful(row) for row in job.output.catalog()]
        found = f"{job.store.url}/{job.output.key(page_name(NAME, 0))}"
        yield Note(f"{sum(doubtful)} of {len(doubtful)} boxes are not sure; look at {found}")


def unframed(
    known: Row, data: bytes, min_confidence: float, by_hand: ByHand | None = None
) -> tuple[Row, str, bytes, bytes]:
    """A picture's row with its box, the painting's suffix and file, and all of it small (WebP).

    Of a picture that is left whole the file is the one that came, to the byte: a PNG of a JPEG
    takes eight times its room, and four fifths of the stage's time to write. A large picture is
    looked at smaller, and its own pixels are asked only where that shows a frame.
    """
    from machineray.imaging import encode, from_array
    from machineray.unframe.boxes import SMALL
    from machineray.unframe.page import is_doubtful

    name = known["key"]
    look = glance(data, name)
    row: Row = {"file": PurePosixPath(name).name} | known
    row |= {"confidence": round(look.rough.confidence, 3), "source_size": list(look.size)}
    is_cut = look.rough.cuts
    if by_hand:
        by_hand.check(*look.size, name)
        row["overruled"], is_cut = "by hand", not by_hand.is_whole(*look.size)
    elif look.rough.confidence < min_confidence:
        row["overruled"], is_cut = "not sure", False
    # One that a person is to look at is shown as large as it was judged.
    small = thumbnail(from_array(look.pixels), SMALL if is_doubtful(row) else THUMBNAIL_PX)
    if is_cut:
        with ONE_LARGE if look.size[0] * look.size[1] > LARGE else nullcontext():
            look = closer(look, data, name)
            found = look.placed(by_hand) if by_hand else look.found()
            painting = cut(look.pixels, found)
            row |= {"width": painting.shape[1], "height": painting.shape[0]}
            row |= by_hand.row() if by_hand else look.in_file(found)
            return row, ".png", encode(from_array(painting), "png"), small
    if look.rough.cuts and not by_hand:
        row["proposed"] = look.in_file(look.found())["box"]
    row |= {"box": [0, 0, *look.size], "width": look.size[0], "height": look.size[1]}
    return row, PurePosixPath(name).suffix.lower(), data, small


@dataclass(frozen=True)
class Look:
    """A picture that may be smaller than in its file (machineray.imaging.Smaller), and a guess."""

    pixels: "NDArray[np.uint8]"
    size: tuple[int, int]
    covered: tuple[float, float, float, float]
    rough: "Guess"

    def found(self) -> "Box":
        """The painting, in these pixels."""
        from machineray.unframe.boxes import refined

        return refined(self.pixels, self.rough)

    def placed(self, by_hand: ByHand) -> "Box":
        """A box by hand in these pixels, of which it has one at least."""
        from machineray.unframe.boxes import Box

        left, top, right, bottom = self.covered
        across, down = (right - left) / self.size[0], (bottom - top) / self.size[1]
        height, width = self.pixels.shape[:2]
        x0, y0, x1, y1 = by_hand.edges or (0, 0, *self.size)
        start = min(round(left + x0 * across), width - 1), min(round(top + y0 * down), height - 1)
        stop = min(round(left + x1 * across), width), min(round(top + y1 * down), height)
        corners = [(left + x * across, top + y * down) for x, y in by_hand.corners or ()]
        return Box(
            *start, max(stop[0], start[0] + 1), max(stop[1], start[1] + 1), 1.0, tuple(corners)
        )

    def in_file(self, found: "Box") -> Row:
        """Box and corners as boxes.csv gives them, in pixels of the upright file."""
        left, top, right, bottom = self.covered
        across, down = self.size[0] / (right - left), self.size[1] / (bottom - top)

        def place(x: float, y: float) -> tuple[float, float]:
            return (
                min(max((x - left) * across, 0), self.size[0]),
                min(max((y - top) * down, 0), self.size[1]),
            )

        edges = (*place(*found.edges[:2]), *place(*found.edges[2:]))
        row: Row = {"box": [round(edge) for edge in edges]}
        if found.corners:
            places = (place(*corner) for corner in found.corners)
            row |= {"corners": [[round(x, 1), round(y, 1)] for x, y in places]}
        return row


def glance(data: bytes, name: str, model: "Model | None" = None) -> Look:
    """A picture as small as it is judged; errors of `decode`. `model` is for cross-validation."""
    from machineray.imaging import decode_smaller, to_array
    from machineray.unframe.boxes import SMALL, guess

    image, size, covered = decode_smaller(data, name, lambda *sides: max(sides) // SMALL)
    pixels = to_array(image)
    return Look(pixels, size, covered, guess(pixels, model))


def closer(look: Look, data: bytes, name: str) -> Look:
    """The same picture as large as it is cut."""
    from machineray.imaging import decode_smaller, to_array, within

    if look.pixels.shape[1::-1] == look.size:
        return look
    image, size, covered = decode_smaller(data, name, within(LARGEST_CUT))
    return Look(to_array(image), size, covered, look.rough)


def cut(pixels: "NDArray[np.uint8]", found: "Box") -> "NDArray[np.uint8]":
    """The painting alone, upright (H, W, 3)."""
    from machineray.unframe.corners import upright

    if found.corners:
        return upright(pixels, found.corners)
    left, top, right, bottom = found.edges
    return pixels[top:bottom, left:right]


def boxes_in(file: str, known: Collection[str]) -> dict[str, ByHand]:
    """The boxes of the file that --boxes names, by id; errors as those of `ids_in`."""
    data = read_option(file, "--boxes")
    try:
        boxes = read_boxes(data, file)
    except InputError as error:
        raise UsageError(f"--boxes {error}") from error
    check_ids(boxes, "--boxes", file, known)
    return dict(sorted(boxes.items()))


if __name__ == "__main__":
    main(unframe)
