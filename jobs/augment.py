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
from machineray.errors import InputError, UsageError
from machineray.gan.sizes import Resolution, Size, size_of
from machineray.log import Event
from machineray.runs import Plan, Row, json_bytes, json_lines
from machineray.shards import Done, Outcome, Refused, Task, batches, each

if TYPE_CHECKING:
    from machineray.dataset.tar import Sample


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
    rows = {row["id"]: row for row in source.rows if row.get("keep", True)}
    plan = Plan(
        stage=job.stage,
        arguments={"resolution": size.resolution, "variants": variants},
        input=source.source,
        indexes=batches(list(rows), job.row.items_per_index),
    )

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome]:
        from machineray.dataset.tar import Sample, pack

        shard = f"shards/{index:06d}.tar"
        records: list[Row] = []
        refused: list[Refused] = []

        def one(item: str) -> tuple[Row, list[Sample]]:
            return samples(rows[item], source.read(rows[item]), size, variants)

        def packable() -> Iterator[Sample]:
            for item, value in each(one, items, job.workers):
                if isinstance(value, InputError):
                    refused.append(Refused(item, str(value)))
                else:
                    records.append({**value[0], "shard": shard})
                    yield from value[1]

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "shard.tar"
            pack(packable(), path)
            yield from refused
            yield Done({shard: path}, records, items=len(records))

    def merge(records: list[Row]) -> Iterator[tuple[str, bytes]]:
        if not records:
            raise InputError(f"{job.output.name}: no painting is left to train on")
        shards = sorted({record["shard"] for record in records})
        count = len(records) * (1 + variants)
        index = {"resolution": size.resolution, "samples": count, "shards": shards}
        yield "index.json", json_bytes(index)
        yield "catalog.jsonl", json_lines(records)

    yield from job.execute(Task(plan, job.row.unit, work, merge))


def chosen_size(resolution: Resolution) -> Size:
    """The size that an option names; UsageError, with the nearest one, for none of a network."""
    try:
        return size_of(resolution)
    except ValueError as error:
        raise UsageError(f"--resolution {resolution}: {error}") from error


def samples(row: Row, data: bytes, size: Size, variants: int) -> tuple[Row, "list[Sample]"]:
    """A painting's file -> its row with aspect and resolution, its picture and the variants of it.

    A function of the painting's id and bytes alone. InputError when it cannot be read.
    """
    from machineray.dataset.squares import squashed, varied
    from machineray.dataset.tar import Sample
    from machineray.imaging import decode, encode, from_array

    image = decode(data, row["key"])
    aspect = round(image.width / image.height, 6)
    pixels = squashed(image, (size.width, size.height))
    made = []
    for number, picture in enumerate([pixels, *varied(pixels, row["id"], variants)]):
        key = f"{row['id']}_v{number}" if number else row["id"]
        metadata = {"id": row["id"], "variant": number, "aspect": aspect}
        made.append(Sample(key, encode(from_array(picture), "png"), metadata))
    return {**row, "aspect": aspect, "resolution": size.resolution}, made


if __name__ == "__main__":
    main(augment)
