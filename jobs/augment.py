"""Squares for training, as WebDataset shards.

mray run augment --run klee --resolution 128
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs import Job, main
from jobs.pictures import pictures
from machineray.errors import InputError
from machineray.log import Event
from machineray.runs import Plan, Row, json_bytes, json_lines
from machineray.shards import Done, Outcome, Refused, Task, batches, each

if TYPE_CHECKING:
    from machineray.dataset.tar import Sample


def augment(
    job: Job,
    resolution: Annotated[
        int, typer.Option(min=16, max=4096, help="Side of the training squares, pixels.")
    ] = 128,
    variants: Annotated[
        int,
        typer.Option(min=0, max=100, help="Turned, warped, tinted copies of each painting."),
    ] = 0,
) -> Iterator[Event]:
    """Make training squares of the paintings, and variants of them, into tar shards."""
    source = pictures(job)
    rows = {row["id"]: row for row in source.rows if row.get("keep", True)}
    plan = Plan(
        stage=job.stage,
        arguments={"resolution": resolution, "variants": variants},
        input=source.source,
        indexes=batches(list(rows), job.row.items_per_index),
    )

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome]:
        from machineray.dataset.tar import Sample, pack

        shard = f"shards/{index:06d}.tar"
        records: list[Row] = []
        refused: list[Refused] = []

        def one(item: str) -> tuple[Row, list[Sample]]:
            return samples(rows[item], source.read(rows[item]), resolution, variants)

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
        index = {"resolution": resolution, "samples": count, "shards": shards}
        yield "index.json", json_bytes(index)
        yield "catalog.jsonl", json_lines(records)

    yield from job.execute(Task(plan, job.row.unit, work, merge))


def samples(row: Row, data: bytes, resolution: int, variants: int) -> tuple[Row, "list[Sample]"]:
    """A painting's file -> its row with aspect and resolution, its square and the variants of it.

    A function of the painting's id and bytes alone. InputError when it cannot be read.
    """
    from machineray.dataset.squares import square, varied
    from machineray.dataset.tar import Sample
    from machineray.imaging import decode, encode, from_array

    image = decode(data, row["key"])
    aspect = round(image.width / image.height, 6)
    pixels = square(image, resolution)
    made = []
    for number, picture in enumerate([pixels, *varied(pixels, row["id"], variants)]):
        key = f"{row['id']}_v{number}" if number else row["id"]
        metadata = {"id": row["id"], "variant": number, "aspect": aspect}
        made.append(Sample(key, encode(from_array(picture), "png"), metadata))
    return {**row, "aspect": aspect, "resolution": resolution}, made


if __name__ == "__main__":
    main(augment)
