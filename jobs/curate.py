"""Sort out what is too small, there twice, or unwanted; a contact sheet to look at.

mray run curate --run klee --min-side 256
mray run curate --run klee-2 --input klee/collect --reject unwanted.txt     after looking at it
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from jobs import FILE, Job, main
from jobs.pictures import Pictures, ids_in, pictures
from machineray.errors import InputError
from machineray.log import Event, Note, Refusal
from machineray.runs import Plan, Row, json_lines
from machineray.shards import Done, Outcome, Task, batches, each

THUMBNAIL_PX = 240
SHEET = "contact-sheet.html"


def curate(
    job: Job,
    min_side: Annotated[
        int, typer.Option(min=1, help="Refuse pictures with a shorter side than this, pixels.")
    ] = 128,
    reject: Annotated[
        str | None,
        typer.Option(metavar=FILE, help="A file with the ids that you do not want, one a line."),
    ] = None,
) -> Iterator[Event]:
    """Keep each painting once, large enough and wanted; say why of all others."""
    source = pictures(job)
    rows = {row["id"]: row for row in source.rows}
    unwanted = ids_in(reject, "--reject", rows) if reject else []
    plan = Plan(
        stage=job.stage,
        arguments={"min_side": min_side, "reject": unwanted},
        input=source.source,
        indexes=batches(list(rows), job.row.items_per_index),
    )

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome | Event]:
        for item, value in each(lambda item: measured(source, rows[item]), items, job.workers):
            if isinstance(value, InputError):
                yield Refusal(item, str(value))
                yield Done({}, [{**rows[item], "unreadable": str(value)}])
            else:
                row, thumbnail = value
                yield Done({_thumbnail(item): thumbnail}, [row])

    def merge(records: list[Row]) -> Iterator[tuple[str, bytes]]:
        from machineray.curate.contact_sheet import contact_sheet
        from machineray.curate.decisions import decide

        decided = decide(records, min_side=min_side, rejected_ids=frozenset(unwanted))
        if not any(row["keep"] for row in decided):
            raise InputError(
                f"{job.output.name}: no painting is left: {_told(decided)}; begin again with "
                f"--run NAME --input {source.source['from']} and a lower --min-side or shorter "
                "--reject"
            )
        shown = [row["id"] for row in decided if not row.get("unreadable")]
        thumbnails = each(lambda item: job.output.read(_thumbnail(item)), shown, job.workers)
        found = {item: data for item, data in thumbnails if isinstance(data, bytes)}
        yield SHEET, contact_sheet(decided, found, source.source["from"]).encode()
        yield "catalog.jsonl", json_lines(decided)

    yield from job.execute(Task(plan, job.row.unit, work, merge))
    if job.output.is_complete():
        told = _told(job.output.catalog())
        yield Note(f"{told}; look at {job.store.url}/{job.output.key(SHEET)}")


def measured(source: Pictures, row: Row) -> tuple[Row, bytes]:
    """A painting's row with its true size and its looks, and a thumbnail (WebP)."""
    from machineray.curate.hashes import measure
    from machineray.imaging import decode, encode

    data = source.read(row)
    image = decode(data, row["key"])
    known = {"width": image.width, "height": image.height, "bytes": len(data)}
    looks = measure(image)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    return {**row, **known, "looks": looks}, encode(image, "webp", quality=75)


def _thumbnail(item: str) -> str:
    return f"thumbnails/{item}.webp"


def _told(decided: list[Row]) -> str:
    """ "45 of 48 paintings kept, 2 too small, 1 near-duplicate"."""
    kept = sum(row["keep"] for row in decided)
    words = (row["verdict"] for row in decided if not row["keep"])
    others = "".join(f", {count} {word}" for word, count in Counter(words).most_common())
    return f"{kept} of {len(decided)} paintings kept{others}"


if __name__ == "__main__":
    main(curate)
