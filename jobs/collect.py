"""Paintings from a folder, a bucket or the examples, each kept byte for byte with its credits.

mray run collect --run klee --input ./my-paintings
"""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from jobs import Job, main
from machineray.errors import InputError, NotFoundError
from machineray.log import Event
from machineray.runs import Plan, Row, json_bytes, json_lines, sha256_of
from machineray.shards import Done, Outcome, Refused, Task, batches, each
from machineray.storage import Store, open_store

EXAMPLES = "examples"


def collect(job: Job) -> Iterator[Event]:
    """Take paintings from --input (a folder, s3://… or 'examples'), refusing what is broken."""
    from machineray.collect.catalog import CATALOG_NAMES, metadata_of
    from machineray.collect.sources import is_companion

    place = open_store(examples_folder() if job.input in (None, EXAMPLES) else str(job.input))
    found = sorted((stored.key, stored.size_bytes) for stored in place.list())
    known: dict[str, Any] = {}
    for name in CATALOG_NAMES:
        if any(key == name for key, _ in found):
            known |= metadata_of(place.read(name), f"{place.url}/{name}")
    listed = [[key, size] for key, size in found if not is_companion(key)]
    if not listed:
        raise NotFoundError(f"{place.url}: no pictures there; name a folder or s3://bucket/prefix")
    plan = Plan(
        stage=job.stage,
        arguments={},
        input={"from": _name_of(place), "sha256": sha256_of(json_bytes([listed, known]))},
        indexes=batches(listed, job.row.items_per_index),
    )

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome]:
        from machineray.collect.admission import admit

        def one(item: Any) -> tuple[Row, str, bytes]:
            key = item[0]
            data = place.read(key)
            metadata = known.get(key) or known.get(PurePosixPath(key).name) or {}
            admitted = admit(data, key, metadata)
            return dict(admitted.row), admitted.extension, data

        for item, value in each(one, items, job.workers):
            if isinstance(value, InputError):
                yield Refused(item[0], str(value))
                continue
            row, extension, data = value
            name = f"paintings/{row['id']}{extension}"
            record = {**row, "key": job.output.key(name), "file": item[0]}
            yield Done({name: data}, [record])

    def merge(records: list[Row]) -> Iterator[tuple[str, bytes]]:
        if not records:
            raise InputError(f"{place.url}: none of its {len(listed)} files is a usable painting")
        yield "catalog.jsonl", json_lines(_without_copies(records))

    yield from job.execute(Task(plan, job.row.unit, work, merge))


def examples_folder() -> Path:
    """The paintings that ship with the project: in the wheel, or in the source tree."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "machineray" / "examples"
    return inside if inside.is_dir() else package / "examples" / "paintings"


def _name_of(place: Store) -> str:
    """The source as the plan names it: the examples have no fixed place."""
    return EXAMPLES if place.url == str(examples_folder()) else place.url


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
