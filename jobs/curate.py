"""Sort out what is too small, there twice, or unwanted; a contact sheet to click on.

mray run curate --run klee --min-side 256
mray run curate --run klee-2 --input klee/collect --reject reject.txt     after looking at it
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs import FILE, Job, main
from jobs.pictures import ids_in, pictures, thumbnail
from jobs.threads import each_file
from machineray.errors import InputError
from machineray.log import Event, Note, Refusal
from machineray.rows import Rows
from machineray.runs import Plan, Row
from machineray.shards import Done, Outcome, Task, batches

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
    auto_reject: Annotated[
        bool,
        typer.Option(
            "--auto-reject",
            help="Refuse what looks blurred, watermarked, a page of text or representational, too.",
        ),
    ] = False,
) -> Iterator[Event]:
    """Keep each painting once, large enough and wanted; say why of all others."""
    source = pictures(job)
    numbers = {row["id"]: number for number, row in enumerate(source.rows)}
    unwanted = ids_in(reject, "--reject", numbers) if reject else []
    plan = Plan(
        stage=job.stage,
        arguments={"min_side": min_side, "reject": unwanted, "auto_reject": auto_reject},
        input=source.source,
        indexes=batches(list(numbers), job.row.items_per_index),
    )

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome | Event]:
        from machineray.curate.contact_sheet import thumbnail_name

        rows = (source.rows[numbers[item]] for item in items)
        for row, value in each_file(measured, rows, source.read, job.workers):
            if isinstance(value, InputError):
                yield Refusal(row["id"], str(value))
                yield Done({}, [{**row, "unreadable": str(value)}])
            else:
                whole, small = value
                yield Done({thumbnail_name(row["id"]): small}, [whole])

    def merge(records: Rows) -> Iterator[tuple[str, bytes | Path]]:
        from machineray.curate.contact_sheet import contact_sheet
        from machineray.curate.decisions import decide

        rejected = frozenset(unwanted)
        decided = Rows(
            decide(records, min_side=min_side, rejected_ids=rejected, auto_reject=auto_reject)
        )
        if not any(row["keep"] for row in decided):
            raise InputError(
                f"{job.output.name}: no painting is left: {_told(decided)}; begin again with "
                f"--run NAME --input {source.source['from']} and a lower --min-side, a shorter "
                "--reject or no --auto-reject"
            )
        yield from contact_sheet(decided, source.source["from"])
        yield "catalog.jsonl", decided.path

    yield from job.execute(Task(plan, job.row.unit, work, merge))
    if job.output.is_complete():
        told = _told(job.output.catalog())
        yield Note(f"{told}; look at {job.store.url}/{job.output.key(SHEET)}")


def measured(row: Row, data: bytes) -> tuple[Row, bytes]:
    """A painting's row with its true size, looks and measures, and a thumbnail (WebP)."""
    from machineray.curate.hashes import looks
    from machineray.curate.seen import measures
    from machineray.imaging import decode

    image = decode(data, row["key"])
    known = {"width": image.width, "height": image.height, "bytes": len(data)}
    seen = {"looks": looks(image), "measures": measures(image)}
    return {**row, **known, **seen}, thumbnail(image)


def _told(decided: Sequence[Row]) -> str:
    """ "45 of 48 paintings kept (3 doubtful), 2 too small, 1 duplicate"."""
    words = Counter(row["verdict"] for row in decided)
    kept = words.pop("kept", 0)
    doubtful = sum(bool(row["doubts"]) for row in decided if row["keep"])
    aside = f" ({doubtful} doubtful)" if doubtful else ""
    others = "".join(f", {count} {word}" for word, count in words.most_common())
    return f"{kept} of {len(decided)} paintings kept{aside}{others}"


if __name__ == "__main__":
    main(curate)
