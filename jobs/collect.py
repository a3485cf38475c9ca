"""Paintings from a folder, a bucket or the examples, each kept byte for byte with its credits.

mray run collect --run klee --input ./my-paintings
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jobs import Job, main
from jobs.pictures import files_of
from machineray.errors import InputError, NotFoundError, UsageError
from machineray.log import Event, Note
from machineray.runs import Plan, Row, json_bytes, json_lines, sha256_of
from machineray.shards import Done, Outcome, Refused, Task, batches, each
from machineray.storage import Store, open_store

EXAMPLES = "examples"
NAMED_AT_MOST = 3


def collect(job: Job) -> Iterator[Event]:
    """Take paintings from --input (a folder, s3://… or 'examples'), refusing what is broken."""
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
            return admit(data, name, source.metadata(name)), data

        for item, value in each(one, items, job.workers):
            if isinstance(value, InputError):
                yield Refused(item[0], str(value))
                continue
            row, data = value
            yield Done({row["key"]: data}, [{**row, "key": job.output.key(row["key"])}])

    def merge(records: list[Row]) -> Iterator[tuple[str, bytes]]:
        if not records:
            raise InputError(
                f"{where}: none of its {len(names)} files is a usable painting; the reasons are "
                f"in {job.output.key('_failed/')}"
            )
        yield "catalog.jsonl", json_lines(_without_copies(records))

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


def _without_copies(records: list[Row]) -> list[Row]:
    """One row a picture: of files with the same bytes the first, which names the others."""
    rows: dict[str, Row] = {}
    for record in records:
        if record["id"] in rows:
            rows[record["id"]].setdefault("copies", []).append(record["file"])
        else:
            rows[record["id"]] = dict(record)
    return list(rows.values())


if __name__ == "__main__":
    main(collect)
