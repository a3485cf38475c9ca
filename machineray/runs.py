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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from machineray.errors import InputError, NotFoundError, StorageError, UsageError
from machineray.rows import Rows, row_bytes
from machineray.stages import STAGES, TOOLS
from machineray.storage import Store

ALL = "all"
CACHE = "cache/"  # of answers of sites, see jobs/crawling.py
_READERS = 16
_TELLING = 200  # characters of a value that a message shows
# A run's name becomes part of the name of a Job (63 characters with stage, hash and index).
_RUN_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")

Row = dict[str, Any]
Parsed = TypeVar("Parsed")


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

    @staticmethod
    def from_json(value: Any) -> "Marker":
        """The marker of parsed JSON."""
        outputs = tuple(Output(**output) for output in value["outputs"])
        return Marker(**{**value, "outputs": outputs})


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
        return self._json("plan.json", Plan.from_json)

    def settle_plan(self, wanted: Plan) -> Plan:
        """Write the plan, or hold it against the one that is there.

        UsageError tells what differs: a run's stage is planned once, with one set of arguments.
        """
        data, way_out = wanted.to_json(), _new_run(self.store, wanted)
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
        return self._json(f"_done/{index}.json", Marker.from_json)

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
        # A bucket lets wait for each answer, and a museum has broken files in every index.
        with ThreadPoolExecutor(_READERS) as pool:
            failed = list(pool.map(self._refused, _numbers(marked["_failed"])))
        return Progress(
            stage=self.stage,
            indexes=len(plan.indexes) if plan else 0,
            done=_numbers(marked["_done"]),
            refused=tuple((row["item"], row["reason"]) for rows in failed for row in rows),
            is_complete=ALL in marked["_done"],
        )

    def _refused(self, index: int) -> list[Row]:
        return self._json(f"_failed/{index}.json", lambda value: list(value["refused"])) or []

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
            raise InputError(
                f"{self.key(proof.key)}: damaged: its SHA-256 is not its marker's; remove "
                f"{self.key('_done/')} and run {self.stage} again: it makes the same bytes"
            )
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

    def _json(self, name: str, parse: Callable[[Any], Parsed]) -> Parsed | None:
        """One of the stage's own files, None when there is none."""
        try:
            return parsed_json(self.read(name), self.key(name), parse)
        except NotFoundError:
            return None


def parsed_json(data: bytes, key: str, parse: Callable[[Any], Parsed]) -> Parsed:
    """What the JSON of a file says; InputError, with the way out, when it says something else."""
    try:
        return parse(json.loads(data))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{key}: damaged, or of another version ({error}); remove it and run the same again"
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
        return parsed_json(store.read(key), key, lambda value: {**value})
    except NotFoundError:
        return {}


def check_description(
    known: Mapping[str, Any], wanted: Mapping[str, Any], names: Sequence[str], way_out: str
) -> None:
    """UsageError when run.json, where there is one, says something else by one of the names."""
    different = [
        f"{name} was {known[name]!r}, now {wanted[name]!r}"
        for name in names
        if name in known and known[name] != wanted[name]
    ]
    if different:
        raise UsageError(
            f"{wanted['run']} was begun otherwise: {'; '.join(different)}; "
            f"give the same again, or {way_out}"
        )


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
    """The runs of a root, by name; what somebody else put there, "klee copy", is none."""
    return [name for name in store.folders("runs/") if _RUN_NAME.fullmatch(name)]


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


def _new_run(store: Store, plan: Plan) -> str:
    """How to do a stage otherwise without doing again what it reads, the training above all."""
    source = named_stage(store, plan.input.get("from"))
    if source is None:
        return "begin a new run with --run NAME"
    way_out = f"begin a new run: mray run {plan.stage} --run NAME --input {source.name}"
    pipeline = f", or mray run pipeline --run NAME --trained {source.name}"
    return way_out + pipeline * (source.stage == "train")


def _is_telling(value: Any) -> bool:
    """Whether a person is helped by seeing a value of a plan: not by digests and long lists."""
    return not re.fullmatch("'[0-9a-f]{64}'", repr(value)) and len(repr(value)) <= _TELLING


def _differences(old: Plan, new: Plan) -> Iterator[str]:
    """Sentences on how two plans differ; none when they are equal."""
    for what, before, after in (
        ("", old.arguments, new.arguments),
        ("input ", old.input, new.input),
    ):
        for name in sorted({*before, *after}):
            was, now = before.get(name), after.get(name)
            if was != now and _is_telling(was) and _is_telling(now):
                yield f"{what}{name} was {was!r}, now {now!r}"
            elif was != now:
                yield f"{what}{name} is another"
    if old.input == new.input and list(map(list, old.indexes)) != list(map(list, new.indexes)):
        before_items = {json.dumps(item) for items in old.indexes for item in items}
        after_items = {json.dumps(item) for items in new.indexes for item in items}
        added, gone = len(after_items - before_items), len(before_items - after_items)
        counts = f"{added} new, {gone} gone" if added or gone else "they come in another order"
        yield f"its items differ ({counts})"
