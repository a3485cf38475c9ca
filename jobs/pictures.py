"""The pictures that a stage reads: another stage's, or any folder's or bucket's."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from jobs import Job
from machineray.errors import InputError, NotFoundError, UsageError
from machineray.runs import CACHE, Row, StageRun, json_bytes, named_stage, sha256_of
from machineray.storage import FolderStore, Store, Stored, open_store, read_file

if TYPE_CHECKING:
    from PIL.Image import Image

THUMBNAIL_PX = 240
LONGEST_NAME = 100  # of an id, without its hash: file systems allow 255 bytes a name
HASH_DIGITS = 12


@dataclass(frozen=True)
class Pictures:
    """Catalog rows (id and key at least), and the plan's word for where they come from."""

    store: Store
    rows: Sequence[Row]
    source: Mapping[str, Any]
    stage: StageRun | None = None

    @cached_property
    def kept(self) -> Mapping[str, int]:
        """Id -> its place in `rows`, which stay on disk; without what curate refused."""
        return {row["id"]: at for at, row in enumerate(self.rows) if row.get("keep", True)}

    def row(self, id: str) -> Row:
        """The row of a picture that is kept."""
        return self.rows[self.kept[id]]

    def read(self, row: Row) -> bytes:
        """The file of a row, whole."""
        return read_picture(self.store, row["key"])


def input_stage(job: Job) -> StageRun | None:
    """The stage that --input names, or the stage before; None when --input is a place."""
    if job.input is None:
        return job.output.sibling(job.row.needs[0])
    return named_stage(job.store, job.input)


def drawn_by(stage: StageRun | None) -> Mapping[str, Any]:
    """What the samples that a stage's pictures are were drawn from, as `generate` planned it.

    Empty for other pictures. The samples may be another run's, and finished twice.
    """
    plan = stage.plan() if stage else None
    if stage is None or plan is None or stage.stage == "generate":
        return plan.input if plan else {}
    before = named_stage(stage.store, plan.input.get("from"))
    return drawn_by(before) if before and before.stage in ("generate", "finish") else {}


def complete_stage(store: Store, name: str | None) -> StageRun | None:
    """The stage that RUN/STAGE names, where it is complete in this store."""
    found = named_stage(store, name)
    return found if found and found.is_complete() else None


def pictures(job: Job) -> Pictures:
    """What the job reads, by --input or from the stage before; NotFoundError when there is none."""
    stage = input_stage(job)
    if stage is not None:
        source = {"from": stage.name, "sha256": stage.digest()}
        return Pictures(job.store, stage.catalog(), source, stage)
    if job.input is None:
        raise UsageError("a stage before or --input is needed")
    from machineray.collect.formats import EXTENSIONS
    from machineray.collect.sources import is_companion

    suffixes = {suffix for names in EXTENSIONS.values() for suffix in names}
    place = open_store(job.input)
    files = files_of(place, job.store).items()
    found = {
        name: file
        for name, file in files
        if PurePosixPath(name).suffix.lower() in suffixes and not is_companion(name)
    }
    if not found:
        raise NotFoundError(f"{job.input}: no pictures there (a folder, s3://… or RUN/STAGE)")
    strange = [name for name, file in found.items() if name != file.key]
    if strange:
        raise InputError(f"{job.input}/{strange[0]}: the name is no text (UTF-8): rename it")
    digest = sha256_of(json_bytes([[name, file.size_bytes] for name, file in found.items()]))
    rows = _rows(place, list(found))
    return Pictures(job.store, rows, {"from": place.url, "files": len(found), "sha256": digest})


def files_of(place: Store, root: Store) -> dict[str, Stored]:
    """The files of a place by name, sorted; not what the root inside it holds.

    A name is the key as text: Linux allows keys that are none, and no plan can hold them.
    NotFoundError when there is no such folder, UsageError when it is a file.
    """
    if isinstance(place, FolderStore) and not place.root.is_dir():
        if place.root.exists():
            raise UsageError(f"{place.url}: a file, not a folder; name the folder that it is in")
        raise NotFoundError(f"{place.url}: no such folder")
    # With --input . the root lies inside: its thumbnails are no paintings.
    ours: tuple[str, ...] = ("runs/", CACHE) if root.url == place.url else ()
    if root.url.startswith(place.url.rstrip("/") + "/"):
        ours = (root.url.removeprefix(place.url).strip("/") + "/",)
    # Sorted: servers list in different orders, and a plan is the same every time.
    return {
        stored.key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"): stored
        for stored in sorted(place.list(), key=lambda stored: stored.key)
        if not stored.key.startswith(ours)
    }


def _rows(place: Store, keys: Sequence[str]) -> list[Row]:
    """A row a file."""
    titles = (PurePosixPath(key).stem for key in keys)
    return [
        {"id": id, "key": f"{place.url}/{key}", "title": title}
        for id, key, title in zip(ids_of(keys), keys, titles, strict=True)
    ]


def ids_of(keys: Sequence[str]) -> list[str]:
    """An id a file, of A-Z a-z 0-9 _ -: its name without suffix where that is one, or a hash too.

    No id goes from one file to another, whatever is added to a folder: a list of ids would mean
    another painting. Names that are the same but for suffix or case have all a hash.
    """
    stems = [PurePosixPath(key).with_suffix("").as_posix() for key in keys]
    times = Counter(stem.lower() for stem in stems)
    return [
        stem if _is_id(stem) and times[stem.lower()] == 1 else _hashed(stem, key)
        for stem, key in zip(stems, keys, strict=True)
    ]


def _is_id(stem: str) -> bool:
    return _safe(stem) == stem and not re.search(f"-[0-9a-f]{{{HASH_DIGITS}}}$", stem)


def _hashed(stem: str, key: str) -> str:
    return f"{_safe(stem) or 'picture'}-{sha256_of(key.encode())[:HASH_DIGITS]}"


def _safe(stem: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:LONGEST_NAME]


def read_picture(root: Store, key: str) -> bytes:
    """The file at a catalog's key: relative to the root, an absolute path, or an s3:// address."""
    if key.startswith("s3://"):
        bucket, _, rest = key.removeprefix("s3://").partition("/")
        return _place(f"s3://{bucket}").read(rest)
    if key.startswith("/"):
        return _place("/").read(key.removeprefix("/"))
    return root.read(key)


def thumbnail(image: "Image", side: int = THUMBNAIL_PX) -> bytes:
    """A picture as a page shows it: a WebP of at most so many pixels a side.

    The picture itself shrinks: a copy of a large one would cost its memory again.
    """
    from machineray.imaging import encode

    image.thumbnail((side, side))
    return encode(image, "webp", quality=75)


def ids_in(file: str, option: str, known: Collection[str]) -> list[str]:
    """The ids in the file that `option` names, one a line; what follows a '#' is a remark.

    NotFoundError when it cannot be read, UsageError when it names no painting that is there.
    """
    try:
        lines = read_option(file, option).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{option} {file}: not text ({error}); give a text file") from error
    ids = {line.partition("#")[0].strip() for line in lines} - {""}
    check_ids(ids, option, file, known)
    return sorted(ids)


def read_option(file: str, option: str) -> bytes:
    """The file that `option` names; NotFoundError or UsageError where it cannot be read."""
    try:
        return read_file(file)
    except UsageError as error:
        raise UsageError(f"{option} {error}") from error


def check_ids(ids: Collection[str], option: str, file: str, known: Collection[str]) -> None:
    """UsageError where `option`'s file names a painting that is not there."""
    strange = sorted({*ids}.difference(known))
    if strange:
        names = ", ".join(strange[:3]) + (", …" if strange[3:] else "")
        raise UsageError(
            f"{option} {file}: {len(strange)} of its {len(ids)} ids are of no painting here "
            f"({names}); take ids from the page of pictures"
        )


@cache
def _place(url: str) -> Store:
    return open_store(url)
