"""Squares for training, as WebDataset shards.

mray run augment --run klee --resolution 128
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from jobs import Job, main
from jobs.pictures import pictures
from machineray.errors import InputError
from machineray.log import Event
from machineray.runs import Plan, Row, json_bytes, json_lines
from machineray.shards import Done, Outcome, Refused, Task, batches, each


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
    rows = {row["id"]: row for row in source.rows}
    plan = Plan(
        stage=job.stage,
        arguments={"resolution": resolution, "variants": variants},
        input=source.source,
        indexes=batches(list(rows), job.row.items_per_index),
    )

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome]:
        from machineray.dataset.squares import square
        from machineray.dataset.squares import variants as variants_of
        from machineray.dataset.tar import Sample, packed
        from machineray.imaging import decode, encode, from_array

        def samples(item: str) -> tuple[Row, list[Sample]]:
            image = decode(source.read(rows[item]), rows[item]["key"])
            row = {**rows[item], "aspect": round(image.width / image.height, 6)}
            pixels = square(image, resolution)
            made = []
            for number, each_one in enumerate([pixels, *variants_of(pixels, item, variants)]):
                key = f"{item}_v{number}" if number else item
                metadata = {"id": item, "variant": number, "aspect": row["aspect"]}
                made.append(Sample(key, encode(from_array(each_one), "png"), metadata))
            return row, made

        shard = f"shards/{index:06d}.tar"
        records: list[Row] = []
        packable: list[Sample] = []
        for item, value in each(samples, items, job.workers):
            if isinstance(value, InputError):
                yield Refused(item, str(value))
                continue
            row, made = value
            records.append({**row, "resolution": resolution, "shard": shard})
            packable += made
        yield Done({shard: packed(packable)}, records, items=len(records))

    def merge(records: list[Row]) -> Iterator[tuple[str, bytes]]:
        if not records:
            raise InputError(f"{job.output.name}: no painting is left to train on")
        shards = sorted({record["shard"] for record in records})
        count = len(records) * (1 + variants)
        index = {"resolution": resolution, "samples": count, "shards": shards}
        yield "index.json", json_bytes(index)
        yield "catalog.jsonl", json_lines(records)

    yield from job.execute(Task(plan, job.row.unit, work, merge))


if __name__ == "__main__":
    main(augment)
