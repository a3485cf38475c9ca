"""Paintings from a folder, a bucket, the examples or sites, each byte for byte with its credits.

mray run collect --run klee --input ./my-paintings
mray run collect --run open --source wikiart --source cleveland --limit 850 --contact me@example.org
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs import Job, main
from jobs.crawling import crawl_of, crawl_task, estimates
from jobs.pictures import files_of
from jobs.room import room_for
from machineray.collect.catalog import FIELDS
from machineray.errors import InputError, NotFoundError, UsageError
from machineray.log import Event, Note
from machineray.rows import Rows
from machineray.runs import Plan, Row, json_bytes, sha256_of
from machineray.shards import Done, Outcome, Refused, Task, batches, each
from machineray.storage import Store, open_store

EXAMPLES = "examples"
NAMED_AT_MOST = 3
Source = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Collect from this site; `mray sources` lists them."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many paintings of each source.")]
Contact = Annotated[
    str, typer.Option(envvar="MRAY_CONTACT", help="Your e-mail or web address, told to the sites.")
]
SITES_ONLY = ("limit", "artist", "per_artist", "year_before", "died_before", "source_url")


def collect(
    job: Job,
    source: Source = None,
    limit: Limit = None,
    artist: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Of this artist only, such as Klee.")
    ] = None,
    per_artist: Annotated[
        int | None, typer.Option(min=1, help="At most so many paintings of one artist.")
    ] = None,
    year_before: Annotated[
        int | None, typer.Option(min=1, help="Painted before it; 1931 for the United States.")
    ] = None,
    died_before: Annotated[
        int | None,
        typer.Option(min=1, help="The artist died before it; default: 70 years before this one."),
    ] = None,
    max_side: Annotated[
        int, typer.Option(min=64, help="Where a site offers sizes: pixels of the longer side.")
    ] = 4096,
    source_url: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=URL", help="Ask this mirror instead of the source's host."),
    ] = None,
    contact: Contact = "",
    budget_bytes: Annotated[
        str | None, typer.Option(help="End there, such as 20GB; the sources share it evenly.")
    ] = None,
    budget_time: Annotated[
        str | None, typer.Option(help="End then, such as 4h; the sources share it evenly.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how much the sites would be asked for.")
    ] = False,
) -> Iterator[Event]:
    """Take paintings from --input (a folder, s3://… or 'examples') or from sites (--source)."""
    own = locals()
    if not source:
        given = [name for name in SITES_ONLY if own[name]]
        if given or dry_run:
            option = "--" + (given[0] if given else "dry_run").replace("_", "-")
            raise UsageError(f"{option}: is of sites: name one with --source (mray sources)")
        yield from _from_files(job)
        return
    crawl = crawl_of(
        job,
        source=source,
        artist=artist or (),
        source_url=source_url or (),
        limit=limit,
        per_artist=per_artist,
        year_before=year_before,
        died_before=died_before,
        max_side=max_side,
        contact=contact,
        budget_bytes=budget_bytes,
        budget_time=budget_time,
    )
    if dry_run:
        yield from estimates(job, crawl)
        return
    if not contact:
        yield Note("collect: sites like to know whom to write to: --contact, or MRAY_CONTACT")
    yield from job.execute(crawl_task(job, crawl, _without_copies))


def _from_files(job: Job) -> Iterator[Event]:
    """The files of --input, refusing what is broken."""
    from machineray.collect.sources import Listing

    place, where = _place(job.input)
    files = files_of(place, job.store)
    source = Listing(files, lambda name: place.read(files[name].key))
    names = source.names()
    if not names:
        raise NotFoundError(f"{where}: no pictures there; name a folder or s3://bucket/prefix")
    yield from _missing(source.missing())
    listed = [[name, files[name].size_bytes] for name in names]
    known = [source.metadata(name) for name in names]
    digest = sha256_of(json_bytes([listed, known]))
    plan = Plan(
        stage=job.stage,
        arguments={},
        input={"from": where, "files": len(names), "sha256": digest},
        indexes=batches(listed, job.row.items_per_index),
    )

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome]:
        from machineray.collect.admission import admit, check_size

        def one(item: Any) -> tuple[Row, bytes]:
            name, size_bytes = item
            check_size(size_bytes, name)
            data = _read(source.read, name)
            with room_for(data):
                return admit(data, name, source.metadata(name)), data

        for item, value in each(one, items, job.workers):
            if isinstance(value, InputError):
                yield Refused(item[0], str(value))
                continue
            row, data = value
            yield Done({row["key"]: data}, [{**row, "key": job.output.key(row["key"])}])

    def merge(records: Rows) -> Iterator[tuple[str, Path]]:
        if not records:
            raise InputError(
                f"{where}: none of its {len(names)} files is a usable painting; the reasons are "
                f"in {job.output.key('_failed/')}"
            )
        rows = _without_copies(records)
        yield "catalog.jsonl", rows.path

    yield from job.execute(Task(plan, job.row.unit, work, merge))


def examples_folder() -> Path:
    """The paintings that ship with the project: in the wheel, or in the source tree."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "machineray" / "examples"
    return inside if inside.is_dir() else package / "examples" / "paintings"


def _place(input: str | None) -> tuple[Store, str]:
    """Where paintings come from, and what the plan calls it."""
    if input in (None, EXAMPLES):
        folder = examples_folder()
        if not (folder / "catalog.csv").is_file():
            raise NotFoundError(
                "examples: no example paintings are in this installation; "
                "give --input with a folder of paintings"
            )
        here = Path(EXAMPLES).resolve()
        if input and here.is_dir() and not folder.is_relative_to(here):
            raise UsageError(
                "examples: those that ship, or the folder that is here? For the folder write "
                "./examples; those that ship are taken where nothing is named"
            )
        return open_store(folder), EXAMPLES  # which have no fixed place
    place = open_store(str(input))
    return place, place.url


def _missing(files: Sequence[str]) -> Iterator[Note]:
    if files:
        names = ", ".join(files[:NAMED_AT_MOST]) + (", …" if files[NAMED_AT_MOST:] else "")
        yield Note(f"collect: the catalog names {len(files)} files that are not there: {names}")


def _read(read: Callable[[str], bytes], name: str) -> bytes:
    try:
        return read(name)
    except NotFoundError as error:
        raise InputError(f"{name}: gone since the folder was listed") from error
    except UsageError as error:  # a backslash in the name, which no key may have
        raise InputError(f"{name}: rename it: {error}") from error


def _without_copies(records: Sequence[Row]) -> Rows:
    """One row a picture: of files with the same bytes the first of which a catalog tells something.

    Its row names the others.
    """
    files: dict[str, list[tuple[int, str]]] = {}
    best: dict[str, tuple[bool, int]] = {}
    for number, record in enumerate(records):
        files.setdefault(record["id"], []).append((number, record["file"]))
        rank = (all(record.get(field) is None for field in FIELDS), number)
        best[record["id"]] = min(rank, best.get(record["id"], rank))

    def rows() -> Iterator[Row]:
        for number, record in enumerate(records):
            if best[record["id"]][1] == number:
                copies = [file for at, file in files[record["id"]] if at != number]
                yield {**record, "copies": copies} if copies else record

    return Rows(rows())


if __name__ == "__main__":
    main(collect)
