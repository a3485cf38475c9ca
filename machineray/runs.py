"""The layout of a root: the only file that knows which key means what.

    runs/<run>/run.json                       what the run is: written by its first stage
    runs/<run>/<stage>/plan.json              written once: arguments, input, items of each index
    runs/<run>/<stage>/<outputs>              key = f(input key or seed), never a clock
    runs/<run>/<stage>/_done/<index>.json     written last: outputs, records, seconds
    runs/<run>/<stage>/_failed/<index>.json   which items were refused, and why
    runs/<run>/<stage>/_done/all.json         every index is done, and what merges them is written
    runs/<run>/collect/_crawl/<source>.json   when the crawl of a site began
    cache/<source>/<sha256 of address>.gz     what sites answered, to all runs; may be thrown away

Only a marker means done. Nothing else keeps state: no database, no lock.
"""

import hashlib
import json
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from machineray.errors import InputError, NotFoundError, StorageError, UsageError
from machineray.rows import Rows, row_bytes
from machineray.stages import STAGES, TOOLS
from machineray.storage import Store

ALL = "all"
CACHE = "cache/"  # of answers of sites, see jobs/crawling.py
# A run's name becomes part of the name of a Job (63 characters with stage, hash and index).
_RUN_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")

Row = dict[str, Any]


@dataclass(frozen=True)
class Output:
    """One object that a stage wrote: key relative to the stage, and its proof."""

    key: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Plan:
    """What a stage is to do: its arguments, its input, and the items of each index."""

    stage: str
    arguments: Mapping[str, Any]
    input: Mapping[str, Any]
    indexes: Sequence[Sequence[Any]]

    @property
    def items(self) -> int:
        """Items of all indexes together."""
        return sum(len(items) for items in self.indexes)

    def to_json(self) -> bytes:
        """The plan as JSON: one entry an index, a range of numbers as "0-31"."""
        told = {**vars(self), "indexes": [_ranged(items) for items in self.indexes]}
        head = json.dumps({**told, "indexes": []}, ensure_ascii=False, indent=1)
        rows = ",\n  ".join(json.dumps(items, ensure_ascii=False) for items in told["indexes"])
        return head.replace('"indexes": []', f'"indexes": [\n  {rows}\n ]').encode() + b"\n"

    @staticmethod
    def from_json(value: Any) -> "Plan":
        """The plan of parsed JSON."""
        return Plan(**{**value, "indexes": [_unranged(items) for items in value["indexes"]]})


@dataclass(frozen=True)
class Marker:
    """Proof that an index is done; `records` are its rows of the stage's catalog."""

    outputs: Sequence[Output]
    records: Sequence[Row] = ()
    refused: int = 0
    seconds: float = 0.0
    container_image: str | None = None  # by digest; None where no container did it
    indexes_sha256: str | None = None  # of the last marker: over the outputs of all the others


@dataclass(frozen=True)
class Progress:
    """Markers against plan: how far a stage is."""

    stage: str
    indexes: int
    done: tuple[int, ...]
    refused: tuple[tuple[str, str], ...]  # (item, reason), in the order of the indexes
    is_complete: bool

    @property
    def state(self) -> str:
        """One of: not planned, planned, under way, unmerged, complete."""
        if not self.indexes:
            return "not planned"
        if self.is_complete:
            return "complete"
        if len(self.done) == self.indexes:
            return "unmerged"
        return "under way" if self.done else "planned"


def checked_run(name: str) -> str:
    """The run's name itself; UsageError with the rule when it is none."""
    if not _RUN_NAME.fullmatch(name):
        raise UsageError(
            f"{name!r}: not a name for a run; use 1 to 32 of a-z, 0-9 and '-', "
            "with a letter or digit at both ends"
        )
    return name


def run_name_for(text: str) -> str:
    """A run's name made of any text, such as a folder's name: 'My Paintings' -> 'my-paintings'."""
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:32].strip("-")
    return slug or "run"


def sha256_of(data: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


def json_bytes(value: Any) -> bytes:
    """JSON of a value, indented, keys in their order, always the same bytes."""
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def json_lines(rows: Iterable[Row]) -> bytes:
    """JSON Lines: one row a line."""
    return b"".join(map(row_bytes, rows))


def parsed_lines(data: bytes, name: str) -> list[Row]:
    """The rows of JSON Lines; InputError names the line."""
    rows = []
    for number, line in enumerate(data.splitlines(), 1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise InputError(f"{name}, line {number}: not JSON: {error}") from error
    return rows


@dataclass(frozen=True)
class StageRun:
    """One stage of one run in a store."""

    store: Store
    run: str
    stage: str
    prefix: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "prefix", f"runs/{checked_run(self.run)}/{self.stage}/")

    @property
    def name(self) -> str:
        """As the user writes it: run/stage."""
        return f"{self.run}/{self.stage}"

    def sibling(self, stage: str) -> "StageRun":
        """Another stage of the same run."""
        return StageRun(self.store, self.run, stage)

    def key(self, name: str) -> str:
        """The root-relative key of one of the stage's objects."""
        return self.prefix + name

    def read(self, name: str) -> bytes:
        """One of the stage's objects."""
        return self.store.read(self.key(name))

    def write(self, name: str, data: bytes | Path) -> Output:
        """Write one of the stage's objects and return its proof."""
        if isinstance(data, Path):
            with data.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            size_bytes = data.stat().st_size
        else:
            digest, size_bytes = sha256_of(data), len(data)
        self.store.write(self.key(name), data)
        return Output(name, digest, size_bytes)

    # -- the plan

    def plan(self) -> Plan | None:
        """The plan, None when there is none yet."""
        value = self._json("plan.json")
        return None if value is None else Plan.from_json(value)

    def settle_plan(self, wanted: Plan) -> Plan:
        """Write the plan, or hold it against the one that is there.

        UsageError tells what differs: a run's stage is planned once, with one set of arguments.
        """
        data, source = wanted.to_json(), wanted.input.get("from")
        alone = f" (this stage alone: --input {source})" if named_stage(self.store, source) else ""
        way_out = f"begin a new run with --run NAME{alone}"
        if not self._has_plan(data, way_out):
            self.store.create(self.key("plan.json"), data)
            if not self._has_plan(
                data, way_out
            ):  # what counts is what is there: somebody may be first
                raise StorageError(f"{self.name}: the plan was written and cannot be read back")
        return wanted

    def check_plan(self, wanted: Plan, way_out: str) -> None:
        """UsageError with what differs, and the way out, when another plan is there already."""
        self._has_plan(wanted.to_json(), way_out)

    def _has_plan(self, data: bytes, way_out: str) -> bool:
        """Whether this plan is there, False when none is; UsageError when it is another."""
        try:
            there = self.read("plan.json")
        except NotFoundError:
            return False
        if there == data:  # as nearly always: 10,000 pods compare bytes
            return True
        existing = self.plan()
        different = (
            list(_differences(existing, Plan.from_json(json.loads(data)))) if existing else []
        )
        if different:
            raise UsageError(
                f"{self.name} was begun otherwise: {'; '.join(different)}; "
                f"give the same again, or {way_out}"
            )
        return existing is not None

    # -- the markers

    def done(self, index: int | str) -> Marker | None:
        """The marker of an index (or ALL), None while it is not done."""
        value = self._json(f"_done/{index}.json")
        if value is None:
            return None
        outputs = tuple(Output(**output) for output in value.pop("outputs"))
        return Marker(outputs=outputs, **value)

    def mark_done(self, index: int | str, marker: Marker) -> None:
        """Say that an index is done: call it after everything else is written."""
        self.store.write(self.key(f"_done/{index}.json"), json_bytes(asdict(marker)))

    def mark_failed(self, index: int, refused: Sequence[tuple[str, str]]) -> None:
        """Keep the reasons of the refused items of an index."""
        rows = [{"item": item, "reason": reason} for item, reason in refused]
        self.store.write(self.key(f"_failed/{index}.json"), json_bytes({"refused": rows}))

    def done_indexes(self) -> tuple[int, ...]:
        """The indexes that bear a marker, ascending."""
        return _numbers(self._marked("_done/")["_done"])

    def progress(self, plan: Plan | None = None) -> Progress:
        """Hold the markers against the plan (which one may have read already)."""
        plan = plan or self.plan()
        marked = self._marked("_")
        return Progress(
            stage=self.stage,
            indexes=len(plan.indexes) if plan else 0,
            done=_numbers(marked["_done"]),
            refused=tuple(
                (row["item"], row["reason"])
                for index in _numbers(marked["_failed"])
                for row in json.loads(self.read(f"_failed/{index}.json"))["refused"]
            ),
            is_complete=ALL in marked["_done"],
        )

    def _marked(self, prefix: str) -> dict[str, list[str]]:
        """Folder -> what it marks, by one list: of a museum's runs each is asked for it."""
        found: dict[str, list[str]] = {"_done": [], "_failed": []}
        for stored in self.store.list(self.key(prefix)):
            folder, _, name = stored.key.removeprefix(self.prefix).partition("/")
            found.setdefault(folder, []).append(name.removesuffix(".json"))
        return found

    def is_done(self, index: int | str) -> bool:
        """Whether an index (or ALL) bears a marker, without reading it."""
        return self.store.size(self.key(f"_done/{index}.json")) is not None

    def is_complete(self) -> bool:
        """Every index is done and merged."""
        return self.is_done(ALL)

    # -- what the next stage reads

    def catalog(self) -> Rows:
        """The stage's catalog, on disk; NotFoundError says how to make it."""
        self.require_complete()
        name = self.key("catalog.jsonl")
        return Rows.of_lines(name, partial(self.store.download, name))

    def digest(self) -> str:
        """SHA-256 over the proofs of all that the stage wrote: its identity as an input."""
        marker = self.require_complete()
        known = [marker.indexes_sha256] if marker.indexes_sha256 else []
        return sha256_of(json_bytes([*known, *(asdict(output) for output in marker.outputs)]))

    def proof(self, name: str) -> Output:
        """The proof of one object that the complete stage merged; NotFoundError without it."""
        for output in self.require_complete().outputs:
            if output.key == name:
                return output
        raise NotFoundError(f"{self.key(name)}: {self.name} has made no such object")

    def read_proven(self, proof: Output) -> bytes:
        """One of the stage's objects; InputError when it is not what its proof says."""
        data = self.read(proof.key)
        if sha256_of(data) != proof.sha256:
            raise InputError(f"{self.key(proof.key)}: damaged: its SHA-256 is not its marker's")
        return data

    def require_complete(self) -> Marker:
        """The marker of the whole stage; NotFoundError says what is missing."""
        marker = self.done(ALL)
        if marker is None:
            again = f"{self.stage} --run {self.run}"
            in_bucket = self.store.url.startswith("s3://")
            first = f"mray submit {again} (or mray run)" if in_bucket else f"mray run {again}"
            raise NotFoundError(
                f"{self.name} is not complete ({self.progress().state}); first: {first}"
            )
        return marker

    def _json(self, name: str) -> Any:
        try:
            data = self.read(name)
        except NotFoundError:
            return None
        try:
            return json.loads(data)
        except ValueError as error:
            raise InputError(
                f"{self.key(name)}: damaged ({error}); remove it and run the stage again"
            ) from error


def named_stage(store: Store, name: str | None) -> StageRun | None:
    """The stage that is called RUN/STAGE; None for all other words, such as a folder's."""
    run, _, stage = (name or "").partition("/")
    is_stage = _RUN_NAME.fullmatch(run) and stage in {row.name for row in (*STAGES, *TOOLS)}
    return StageRun(store, run, stage) if is_stage else None


def settle_run(store: Store, run: str, value: Mapping[str, Any]) -> None:
    """Write run.json once: what the run is and what made it."""
    store.create(f"runs/{checked_run(run)}/run.json", json_bytes(value))


def described_run(store: Store, run: str) -> Row:
    """run.json; empty when there is none."""
    key = f"runs/{checked_run(run)}/run.json"
    try:
        value: Row = json.loads(store.read(key))
    except NotFoundError:
        return {}
    except ValueError as error:
        raise InputError(f"{key}: damaged ({error}); remove it") from error
    return value


def settle_images(
    store: Store, run: str, images: Mapping[str, str], told: Mapping[str, Any] | None = None
) -> None:
    """Keep in run.json which image makes each stage now, and what else is told of the run.

    Of two that write at once, one may be lost; every marker names its image as well.
    """
    described = described_run(store, run)
    joined = {**described.get("container_images", {}), **images}
    value = {"run": run, **described, **(told or {}), "container_images": joined}
    if value != described:
        store.write(f"runs/{run}/run.json", json_bytes(value))


def done_items(
    output: StageRun, plan: Plan, indexes: Sequence[int], is_complete: bool
) -> tuple[float, float]:
    """(done, total) in the stage's unit; a training counts by its newest checkpoint."""
    if output.stage != "train":
        return sum(len(plan.indexes[index]) for index in indexes), plan.items
    total = float(plan.arguments["kimg"])
    if is_complete:
        return total, total
    keys = (PurePosixPath(stored.key) for stored in output.store.list(output.key("checkpoints/")))
    nimg = [int(key.stem) for key in keys if key.suffix == ".json"]
    return max(nimg, default=0) / 1000, total


def has_run(store: Store, run: str) -> bool:
    """Whether anything of the run is in the root."""
    return next(iter(store.list(f"runs/{checked_run(run)}/")), None) is not None


def run_names(store: Store) -> list[str]:
    """The runs of a root, by name."""
    return list(store.folders("runs/"))


def _numbers(names: Iterable[str]) -> tuple[int, ...]:
    return tuple(sorted(int(name) for name in names if name.isdigit()))


def _ranged(items: Sequence[Any]) -> Sequence[Any] | str:
    """Consecutive numbers as "first-last": a plan of a million seeds stays small."""
    if len(items) < 2 or type(items[0]) is not int or type(items[-1]) is not int:
        return items
    if items[-1] - items[0] != len(items) - 1:  # else a short list would meet a very long range
        return items
    is_range = list(items) == list(range(items[0], items[-1] + 1))
    return f"{items[0]}-{items[-1]}" if is_range else items


def _unranged(items: Sequence[Any] | str) -> Sequence[Any]:
    if not isinstance(items, str):
        return items
    first, _, last = items.partition("-")
    return range(int(first), int(last) + 1)


_brief = reprlib.Repr()
_brief.maxdict, _brief.maxstring = 0, 200  # whole paths, but not the credits of a museum


def _differences(old: Plan, new: Plan) -> Iterator[str]:
    """Sentences on how two plans differ; none when they are equal."""
    for what, before, after in (
        ("", old.arguments, new.arguments),
        ("input ", old.input, new.input),
    ):
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                was, now = map(_brief.repr, (before.get(name), after.get(name)))
                yield f"{what}{name} {'differ' if was == now else f'was {was}, now {now}'}"
    if old.input == new.input and list(map(list, old.indexes)) != list(map(list, new.indexes)):
        before_items = {json.dumps(item) for items in old.indexes for item in items}
        after_items = {json.dumps(item) for items in new.indexes for item in items}
        added, gone = len(after_items - before_items), len(before_items - after_items)
        yield f"its items differ ({added} new, {gone} gone, {len(new.indexes)} indexes)"
