"""Sort out what is too small, there twice, or unwanted; a contact sheet to click on.

mray run curate --run klee --min-side 256
mray run curate --run klee-2 --input klee/collect --reject reject.txt     after looking at it
mray run curate --run klee-2 --input klee/collect --keep keep.txt         what is no duplicate
"""

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs import FILE, Job, again, main
from jobs.pictures import ids_in, pictures, thumbnail
from jobs.threads import each_file
from machineray.errors import InputError, UsageError
from machineray.log import Event, Note, Refusal
from machineray.rows import Rows
from machineray.runs import Plan, Row
from machineray.shards import Done, Outcome, Task, batches

SHEET = "contact-sheet.html"
LARGEST = 75_000_000  # pixels of a picture as it is measured
# What lets more paintings stay, by the verdict that refused some; of others it is AUTO_REJECT.
WAYS = {"too small": "a lower --min-side", "rejected by hand": "a shorter --reject"}
AUTO_REJECT = "no --auto-reject"


def curate(
    job: Job,
    min_side: Annotated[
        int, typer.Option(min=1, help="Refuse pictures with a shorter side than this, pixels.")
    ] = 128,
    reject: Annotated[
        str | None,
        typer.Option(metavar=FILE, help="A file with the ids that you do not want, one a line."),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(metavar=FILE, help="A file with the ids to keep whatever is found."),
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
    wanted = ids_in(keep, "--keep", numbers) if keep else []
    if both := sorted({*unwanted} & {*wanted}):
        raise UsageError(f"--reject and --keep both name {both[0]}: take it out of one of them")
    own: dict[str, Any] = {"min_side": min_side, "auto_reject": auto_reject}
    plan = Plan(
        stage=job.stage,
        # Without a list as before there was one: runs of then are the same runs.
        arguments={**own, "reject": unwanted, **({"keep": wanted} if wanted else {})},
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

        lists: dict[str, Any] = {"rejected_ids": frozenset(unwanted), "kept_ids": frozenset(wanted)}
        decided = Rows(decide(records, **own, **lists))
        place = source.source["from"]
        if not any(row["keep"] for row in decided):
            raise InputError(
                f"{job.output.name}: no painting is left: {_told(decided)}; {_way(decided, place)}"
            )
        yield from contact_sheet(decided, again(curate, place, **own))
        yield "catalog.jsonl", decided.path

    yield from job.execute(Task(plan, job.row.unit, work, merge))
    if job.output.is_complete():
        told = _told(job.output.catalog())
        yield Note(f"{told}; look at {job.store.url}/{job.output.key(SHEET)}")


def measured(row: Row, data: bytes) -> tuple[Row, bytes]:
    """A painting's row with its true size, looks and measures, and a thumbnail (WebP)."""
    from machineray.curate.hashes import looks
    from machineray.curate.seen import measures
    from machineray.imaging import decode_smaller, within

    image, (width, height), _ = decode_smaller(data, row["key"], within(LARGEST))
    known = {"width": width, "height": height, "bytes": len(data)}
    seen = {"looks": looks(image), "measures": measures(image)}
    return {**row, **known, **seen}, thumbnail(image)


def _told(decided: Sequence[Row]) -> str:
    """ "45 of 48 paintings kept (3 doubtful, 1 by hand), 2 too small, 1 duplicate"."""
    kept = Counter(row["verdict"] for row in decided if row["keep"])
    words = Counter(row["verdict"] for row in decided if not row["keep"])
    doubtful = sum(bool(row["doubts"]) for row in decided if row["keep"])
    counts = {"doubtful": doubtful, "by hand": kept["kept by hand"]}
    aside = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    others = "".join(f", {count} {word}" for word, count in words.most_common())
    return (
        f"{kept.total()} of {len(decided)} paintings kept{f' ({aside})' if aside else ''}{others}"
    )


def _way(decided: Sequence[Row], place: str) -> str:
    """What to do when nothing is left: of what refused something, another choice."""
    verdicts = {row["verdict"] for row in decided} - {"unreadable"}
    if not verdicts:
        return "begin again with --run NAME --input FOLDER, and pictures that can be read there"
    ways = sorted({WAYS.get(verdict, AUTO_REJECT) for verdict in verdicts})
    return f"begin again with --run NAME --input {shlex.quote(place)} and {' or '.join(ways)}"


if __name__ == "__main__":
    main(curate)
