"""Pictures for training, squares as a rule, as WebDataset shards.

mray run augment --run klee --resolution 128
mray run augment --run klee --resolution 96x128     three by four
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs import Job, main
from jobs.pictures import pictures
from jobs.threads import each_file
from machineray.errors import InputError, UsageError
from machineray.gan.sizes import Resolution, Size, size_of
from machineray.log import Event, Note
from machineray.rows import Rows
from machineray.runs import Plan, Row, json_bytes
from machineray.shards import Done, Outcome, Refused, Task, batches

if TYPE_CHECKING:
    from PIL.Image import Image

    from machineray.dataset.tar import Sample

PAGE = "index.html"
SHOWN_SHARDS, SHOWN_OF_SHARD = 8, 12  # on the page, however many paintings there are


def augment(
    job: Job,
    resolution: Annotated[
        str, typer.Option(help="Of the training pictures, pixels: a side, or WIDTHxHEIGHT.")
    ] = "128",
    variants: Annotated[
        int,
        typer.Option(min=0, max=100, help="Turned, warped, tinted copies of each painting."),
    ] = 0,
) -> Iterator[Event]:
    """Make training pictures of the paintings, and variants of them, into tar shards."""
    size = chosen_size(resolution)
    source = pictures(job)
    plan = Plan(
        stage=job.stage,
        arguments={"resolution": size.resolution, "variants": variants},
        input=source.source,
        indexes=batches(list(source.kept), job.row.items_per_index),
    )

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome]:
        from machineray.dataset.tar import Sample, pack

        shard = f"shards/{index:06d}.tar"
        records: list[Row] = []
        refused: list[Refused] = []
        strips: dict[str, bytes] = {}
        shown = set(items[:SHOWN_OF_SHARD]) if index < SHOWN_SHARDS else set()

        def one(row: Row, data: bytes) -> tuple[Row, list[Sample], bytes]:
            row, made = squares(row, data, size, variants)
            return row, samples(row, made), strip(made) if row["id"] in shown else b""

        def packable() -> Iterator[Sample]:
            wanted = map(source.row, items)
            for known, value in each_file(one, wanted, source.read, job.workers):
                item = known["id"]
                if isinstance(value, InputError):
                    refused.append(Refused(item, str(value)))
                else:
                    row, made, side_by_side = value
                    if side_by_side:
                        row = {**row, "strip": f"strips/{item}.webp"}
                        strips[row["strip"]] = side_by_side
                    records.append({**row, "shard": shard})
                    yield from made

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "shard.tar"
            pack(packable(), path)
            yield from refused
            yield Done({shard: path, **strips}, records, items=len(records))

    def merge(records: Rows) -> Iterator[tuple[str, bytes | Path]]:
        from machineray.dataset.page import augment_page

        if not records:
            raise InputError(f"{job.output.name}: no painting is left to train on")
        shards = sorted({record["shard"] for record in records})
        count = len(records) * (1 + variants)
        index = {"resolution": size.resolution, "samples": count, "shards": shards}
        yield "index.json", json_bytes(index)
        yield PAGE, augment_page(records, count, size.resolution).encode()
        yield "catalog.jsonl", records.path

    yield from job.execute(Task(plan, job.row.unit, work, merge))
    if job.output.is_complete():
        yield Note(f"what the network will see: {job.store.url}/{job.output.key(PAGE)}")


def chosen_size(resolution: Resolution) -> Size:
    """The size that an option names; UsageError, with the nearest one, for none of a network."""
    try:
        return size_of(resolution)
    except ValueError as error:
        raise UsageError(f"--resolution {resolution}: {error}") from error


def squares(row: Row, data: bytes, size: Size, variants: int) -> "tuple[Row, list[Image]]":
    """A painting's file -> its row with aspect and resolution, its picture and the variants of it.

    A function of the painting's id and bytes alone, and of the versions that each sample names.
    InputError when it cannot be read.
    """
    from machineray.dataset.squares import squashed, varied
    from machineray.imaging import decode_smaller, from_array

    def times(width: int, height: int) -> int:
        # What is left to squash is twice the size at least: libjpeg's way to shrink is rougher.
        return min(width // (2 * size.width), height // (2 * size.height))

    image, (width, height), box = decode_smaller(data, row["key"], times)
    pixels = squashed(image, (size.width, size.height), box)
    found = [from_array(pixels), *map(from_array, varied(pixels, row["id"], variants))]
    return {**row, "aspect": round(width / height, 6), "resolution": size.resolution}, found


def samples(row: Row, found: "Sequence[Image]") -> "list[Sample]":
    """A painting's training pictures as they are stored, the painting itself first."""
    from machineray.dataset.squares import made_with
    from machineray.dataset.tar import Sample
    from machineray.imaging import encode

    made, versions = [], {"made_with": made_with(len(found) > 1)}
    for number, picture in enumerate(found):
        key = f"{row['id']}+{number}" if number else row["id"]  # no id has a "+"
        metadata = {"id": row["id"], "variant": number, "aspect": row["aspect"], **versions}
        made.append(Sample(key, encode(picture, "webp", lossless=True), metadata))
    return made


def strip(found: "Sequence[Image]") -> bytes:
    """A painting's training pictures small, side by side, the painting itself first: a WebP."""
    from machineray.dataset.page import side_by_side
    from machineray.imaging import encode

    return encode(side_by_side(found), "webp", quality=85)


if __name__ == "__main__":
    main(augment)
