"""The pictures that a stage reads: another stage's, or any folder's or bucket's."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from jobs import Job
from machineray.errors import NotFoundError, UsageError
from machineray.runs import Row, StageRun, json_bytes, sha256_of
from machineray.stages import STAGES
from machineray.storage import Store, open_store


@dataclass(frozen=True)
class Pictures:
    """Catalog rows (id and key at least), and the plan's word for where they come from."""

    store: Store
    rows: list[Row]
    source: Mapping[str, Any]
    stage: StageRun | None = None

    def read(self, row: Row) -> bytes:
        """The file of a row, whole."""
        return read_picture(self.store, row["key"])


def input_stage(job: Job) -> StageRun | None:
    """The stage that --input names, or the stage before; None when --input is a place."""
    if job.input is None:
        return job.output.sibling(job.row.needs[0])
    run, slash, stage = job.input.partition("/")
    known = {row.name for row in STAGES}
    if slash and stage in known and re.fullmatch(r"[-a-z0-9]+", run):
        return StageRun(job.store, run, stage)
    return None


def pictures(job: Job) -> Pictures:
    """What the job reads, by --input or from the stage before; NotFoundError when there is none."""
    stage = input_stage(job)
    if stage is not None:
        source = {"from": stage.name, "sha256": stage.digest()}
        return Pictures(job.store, stage.catalog(), source, stage)
    if job.input is None:
        raise UsageError("a stage before or --input is needed")
    from machineray.collect.admission import EXTENSIONS

    suffixes = {suffix for names in EXTENSIONS.values() for suffix in names}
    place = open_store(job.input)
    # Sorted: servers list in different orders, and a plan is the same every time.
    found = sorted(
        (file for file in place.list() if PurePosixPath(file.key).suffix.lower() in suffixes),
        key=lambda file: file.key,
    )
    if not found:
        raise NotFoundError(f"{job.input}: no pictures there (a folder, s3://… or RUN/STAGE)")
    digest = sha256_of(json_bytes([[stored.key, stored.size_bytes] for stored in found]))
    rows = _rows(place, [stored.key for stored in found])
    return Pictures(job.store, rows, {"from": place.url, "sha256": digest})


def _rows(place: Store, keys: list[str]) -> list[Row]:
    """A row a file; ids are the files' names made safe, with a hash where two would be equal."""
    rows: list[Row] = []
    taken: set[str] = set()
    for key in keys:
        stem = PurePosixPath(key).with_suffix("").as_posix()
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-") or "picture"
        if name.lower() in taken:
            name = f"{name}-{sha256_of(key.encode())[:8]}"
        taken.add(name.lower())
        rows.append({"id": name, "key": f"{place.url}/{key}", "title": PurePosixPath(key).stem})
    return rows


def read_picture(root: Store, key: str) -> bytes:
    """The file at a catalog's key: relative to the root, an absolute path, or an s3:// address."""
    if key.startswith("s3://"):
        bucket, _, rest = key.removeprefix("s3://").partition("/")
        return _place(f"s3://{bucket}").read(rest)
    if key.startswith("/"):
        return _place("/").read(key.removeprefix("/"))
    return root.read(key)


@cache
def _place(url: str) -> Store:
    return open_store(url)
