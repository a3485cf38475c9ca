"""Find and cut picture frames, mats, borders, walls and captions.

mray run unframe --run klee
"""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any

import typer

from jobs import Job, main
from jobs.pictures import pictures
from machineray.errors import InputError
from machineray.log import Event
from machineray.runs import Plan, Row, json_lines
from machineray.shards import Done, Outcome, Refused, Task, batches, each

COLUMNS = ("file", "left", "top", "right", "bottom", "confidence")


def unframe(
    job: Job,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Leave a picture whole below this expected IoU.")
    ] = 0.5,
) -> Iterator[Event]:
    """Cut every painting out of what is around it; boxes.csv says where."""
    source = pictures(job)
    rows = {row["id"]: row for row in source.rows if row.get("keep", True)}
    plan = Plan(
        stage=job.stage,
        arguments={"min_confidence": min_confidence},
        input=source.source,
        indexes=batches(list(rows), job.row.items_per_index),
    )

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome]:
        from machineray.imaging import decode, encode, to_array
        from machineray.unframe.boxes import frame_box

        def one(item: str) -> tuple[Row, bytes]:
            image = decode(source.read(rows[item]), rows[item]["key"])
            box = frame_box(to_array(image))
            edges = (box.left, box.top, box.right, box.bottom)
            if box.confidence < min_confidence:
                edges = (0, 0, image.width, image.height)
            cropped = image.crop(edges)
            row: Row = {"file": PurePosixPath(rows[item]["key"]).name} | rows[item]
            row |= {"box": list(edges), "confidence": round(box.confidence, 3)}
            row |= {"width": cropped.width, "height": cropped.height}
            return row, encode(cropped, "png")

        for item, value in each(one, items, job.workers):
            if isinstance(value, InputError):
                yield Refused(item, str(value))
                continue
            row, data = value
            name = f"paintings/{item}.png"
            yield Done({name: data}, [{**row, "key": job.output.key(name)}])

    def merge(records: list[Row]) -> Iterator[tuple[str, bytes]]:
        if not records:
            raise InputError(f"{job.output.name}: no painting is left")
        yield "boxes.csv", boxes_csv(records)
        yield "catalog.jsonl", json_lines(records)

    yield from job.execute(Task(plan, job.row.unit, work, merge))


def boxes_csv(records: list[Row]) -> bytes:
    """file,left,top,right,bottom,confidence: pixels of the upright picture, end exclusive."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in records:
        writer.writerow([row["file"], *row["box"], row["confidence"]])
    return text.getvalue().encode()


if __name__ == "__main__":
    main(unframe)
