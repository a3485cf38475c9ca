"""Sort out what is too small, there twice, or unwanted; a contact sheet to look at.

mray run curate --run klee --min-side 256 --reject unwanted.txt
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs import Job, main
from jobs.pictures import pictures
from machineray.errors import InputError, NotFoundError
from machineray.log import Event
from machineray.runs import Plan, Row, json_lines
from machineray.shards import Done, Outcome, Refused, Task, batches, each

THUMBNAIL_PX = 320


def curate(
    job: Job,
    min_side: Annotated[
        int, typer.Option(min=1, help="Refuse pictures with a shorter side than this, pixels.")
    ] = 128,
    reject: Annotated[
        Path | None, typer.Option(help="A file with the ids that you do not want, one a line.")
    ] = None,
) -> Iterator[Event]:
    """Keep each painting once, large enough and wanted; say why of all others."""
    source = pictures(job)
    rows = {row["id"]: row for row in source.rows}
    unwanted = rejected_ids(reject) if reject else []
    plan = Plan(
        stage=job.stage,
        arguments={"min_side": min_side, "reject": unwanted},
        input=source.source,
        indexes=batches(list(rows), job.row.items_per_index),
    )

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome]:
        from machineray.curate.hashes import measure

        from machineray.imaging import decode, encode

        def one(item: str) -> tuple[Row, bytes]:
            image = decode(source.read(rows[item]), rows[item]["key"])
            measured = {**rows[item], "width": image.width, "height": image.height}
            measured |= measure(image)
            image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
            return measured, encode(image, "webp", quality=80)

        for item, value in each(one, items, job.workers):
            if isinstance(value, InputError):
                yield Refused(item, str(value))
            else:
                row, thumbnail = value
                yield Done({f"thumbnails/{item}.webp": thumbnail}, [row])

    def merge(records: list[Row]) -> Iterator[tuple[str, bytes]]:
        from machineray.curate.contact_sheet import contact_sheet
        from machineray.curate.decisions import decide

        decided = decide(records, min_side, frozenset(unwanted))
        if not any(row["keep"] for row in decided):
            raise InputError(
                f"{job.output.name}: none of {len(decided)} paintings is kept; lower --min-side"
            )
        thumbnails = {row["id"]: f"thumbnails/{row['id']}.webp" for row in decided}
        yield "contact-sheet.html", contact_sheet(decided, thumbnails).encode()
        yield "catalog.jsonl", json_lines(decided)

    yield from job.execute(Task(plan, job.row.unit, work, merge))


def rejected_ids(path: Path) -> list[str]:
    """The ids in a file, one a line; what follows a '#' is a remark."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise NotFoundError(
            f"{path}: cannot be read ({error}); --reject takes a text file"
        ) from error
    return sorted({line.partition("#")[0].strip() for line in lines} - {""})


if __name__ == "__main__":
    main(curate)
