"""Doing a stage's plan: which part is ours, item by item, markers last.

A plan is a list of indexes, an index a list of items. One process does all of them, or the part
that --index/--of (in a pod: JOB_COMPLETION_INDEX/JOB_COMPLETIONS) gives it. Whoever finds every
index done merges: what is merged is a function of the markers, so that two doing it do no harm.
"""

import hashlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from machineray.errors import (
    InputError,
    MachineRayError,
    RefusedError,
    StageError,
    TemporaryError,
    UsageError,
)
from machineray.log import Event, Note, Progress, Refusal
from machineray.rows import Rows
from machineray.runs import ALL, Marker, Output, Plan, Row, StageRun, json_bytes

MARKER_READERS = 16  # markers are small: reading them is waiting
_ASKED_SINGLY = 8
_MANY_INDEXES = 1000  # a page of a list of objects
_WRITERS = 8
_WAITING_BYTES = 32 << 20  # of files that are not yet written, beside the newest outcome's

Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Part:
    """The share of a plan that one process does: every `of`th of its indexes, from `index` on.

    `only` names the indexes that are shared out: what a submit after a failure still needs.
    """

    index: int = 0
    of: int = 1
    only: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.of:
            raise UsageError(f"--index {self.index} --of {self.of}: index counts from 0 to of - 1")

    def select(self, indexes: int) -> Sequence[int]:
        """The indexes of a plan of that many that are ours."""
        if self.only is None:
            return range(self.index, indexes, self.of)
        if self.only and max(self.only) >= indexes:
            raise UsageError(f"--only {max(self.only)}: the plan ends with index {indexes - 1}")
        return self.only[self.index :: self.of]


@dataclass(frozen=True)
class Done:
    """Some items are done: files to write (by name) and rows for the stage's catalog.

    A file that is given as a path has to be there until the work is asked for more.
    `written`: the proofs of files that the work has written by itself.
    """

    files: Mapping[str, bytes | Path] = field(default_factory=dict)
    records: Sequence[Row] = ()
    items: int = 1
    written: Sequence[Output] = ()


@dataclass(frozen=True)
class Refused:
    """An item cannot be used, and why, in words that a person understands."""

    item: str
    reason: str


Outcome = Done | Refused


@dataclass(frozen=True)
class Task:
    """What a stage does, as values and pure-ish functions; `execute` does the rest."""

    plan: Plan
    unit: str
    work: Callable[[int, Sequence[Any]], Iterator[Outcome | Event]]  # (index, its items)
    merge: Callable[[Any], Iterator[tuple[str, bytes | Path]]]  # of all records: Rows, on disk
    total: float | None = None  # set: the work tells its own progress, up to this; 0: unknown
    together: Callable[[], int] = lambda: 1  # indexes at a time; asked when there is one to do
    is_apart: bool = False  # what one index fails of, or waits for, is not of the others


def batches(items: Sequence[Item], size: int) -> list[list[Item]]:
    """The items in lists of `size`, the last one shorter."""
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def each(
    function: Callable[[Item], Value], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Value | InputError]]:
    """(item, value) in the order of the items, by threads; bad input is a value, too.

    At most 2 x `workers` results wait at any time, however many the items are.
    """

    def attempt(item: Item) -> Value | InputError:
        try:
            return function(item)
        except InputError as error:
            return error

    pool = ThreadPoolExecutor(workers)
    waiting: deque[tuple[Item, Future[Value | InputError]]] = deque()
    source = iter(items)
    try:
        while True:
            for item in itertools.islice(source, 2 * workers - len(waiting)):
                waiting.append((item, pool.submit(attempt, item)))
            if not waiting:
                return
            item, future = waiting.popleft()
            yield item, future.result()
    finally:
        # Not for threads that are at work: a bucket that hangs would hold up a pod told to stop.
        pool.shutdown(wait=False, cancel_futures=True)


def execute(
    stage: StageRun,
    task: Task,
    part: Part,
    max_failures: int | None,
    container_image: str | None = None,
) -> Iterator[Event]:
    """Do our part of the plan, skip what bears a marker, merge when all is done.

    StageError when more than `max_failures` items were refused (None: any number may be).
    """
    plan = stage.settle_plan(task.plan)
    if stage.is_complete():
        total = task.total or plan.items
        yield Progress(stage.stage, total, total, task.unit, "already done")
        return
    ours = part.select(len(plan.indexes))
    done = _done_of(stage, ours, len(plan.indexes))
    of_all = sum(len(plan.indexes[index]) for index in ours)
    count = sum(len(plan.indexes[index]) for index in ours if index in done)
    if task.total is None:
        yield Progress(stage.stage, count, of_all, task.unit)
    failed: list[MachineRayError] = []
    writers = ThreadPoolExecutor(_WRITERS)  # one for all: each new thread has memory of its own

    def doing(index: int) -> Iterator[Event | int]:
        outcomes = _written(stage, task.work(index, plan.indexes[index]), writers)
        return _do_index(stage, index, outcomes, container_image)

    try:
        missing = [index for index in ours if index not in done]
        for events in _begun(missing, doing, task.together() if missing else 1):
            try:
                for event in events:
                    if not isinstance(event, int):
                        yield event
                    elif task.total is None:
                        count += event
                        yield Progress(stage.stage, count, of_all, task.unit)
            except (InputError, TemporaryError) as error:
                if not task.is_apart:
                    raise
                failed.append(error)
                if len(missing) > 1:
                    yield Note(str(error))
    finally:
        writers.shutdown(wait=False, cancel_futures=True)  # see `each`
    if failed:
        raise failed[-1]
    if _is_surely_not_last(stage, ours, len(plan.indexes)):
        yield Note(f"{stage.name}: this part is done, others are not yet")
        return
    yield from _merge(stage, plan, task, max_failures)


def _begun(
    indexes: Sequence[int], doing: Callable[[int], Iterator[Event | int]], together: int
) -> Iterator[Iterable[Event | int]]:
    """What happens in each index: as it happens, or by threads, then all of it at its end."""
    if together == 1:
        yield from map(doing, indexes)
        return
    for _, events in each(lambda index: list(doing(index)), indexes, together):
        if isinstance(events, InputError):
            raise events
        yield events


def _done_of(stage: StageRun, ours: Sequence[int], indexes: int) -> set[int]:
    """Which of our indexes, of so many, bear a marker.

    One by one where the list of all has more pages than we have indexes: of 100,000 artworks a
    pod does 32, and 3,000 pods would list 100 pages each.
    """
    if len(ours) <= max(_ASKED_SINGLY, indexes // _MANY_INDEXES):
        return {index for index in ours if stage.is_done(index)}
    return set(stage.done_indexes())


def _is_surely_not_last(stage: StageRun, ours: Sequence[int], indexes: int) -> bool:
    """Whether the index after our last one (round the corner) is not done yet.

    One question instead of a list of all markers, which 10,000 pods would make 10,000 times.
    """
    if indexes < _MANY_INDEXES or not ours:
        return False
    return not stage.is_done((ours[-1] + 1) % indexes)


def _do_index(
    stage: StageRun,
    index: int,
    outcomes: Iterable[tuple[Outcome | Event, list[Output]]],
    container_image: str | None,
) -> Iterator[Event | int]:
    """Mark what the work on one index gave; yields events, and how many items were done."""
    started = time.monotonic()
    outputs: list[Output] = []
    records: list[Row] = []
    refused: list[tuple[str, str]] = []
    for outcome, written in outcomes:
        if isinstance(outcome, Done):
            outputs += written
            outputs += outcome.written
            records += outcome.records
            yield outcome.items
        elif isinstance(outcome, Refused):
            refused.append((outcome.item, outcome.reason))
            yield Refusal(outcome.item, outcome.reason)
            yield 1
        else:
            yield outcome
    if refused:
        stage.mark_failed(index, refused)
    seconds = round(time.monotonic() - started, 3)
    marker = Marker(tuple(outputs), tuple(records), len(refused), seconds, container_image)
    stage.mark_done(index, marker)


def _written(
    stage: StageRun, outcomes: Iterable[Outcome | Event], writers: ThreadPoolExecutor
) -> Iterator[tuple[Outcome | Event, list[Output]]]:
    """Each outcome in its order, with the proofs of its files.

    Threads write them while the next ones are made: a bucket lets wait for each of its answers.
    """
    waiting: deque[tuple[Outcome | Event, list[Future[Output]]]] = deque()
    for outcome in outcomes:
        files = outcome.files if isinstance(outcome, Done) else {}
        waiting.append((outcome, [writers.submit(stage.write, *file) for file in files.items()]))
        while waiting and (_is_much(waiting) or all(file.done() for file in waiting[0][1])):
            first, written = waiting.popleft()
            yield first, [file.result() for file in written]
    for last, written in waiting:
        yield last, [file.result() for file in written]


def _is_much(waiting: Sequence[tuple[Outcome | Event, list[Future[Output]]]]) -> bool:
    """Whether nothing more may be made before something is written.

    A file on disk is there only until the work goes on.
    """
    done = [outcome for outcome, _ in waiting if isinstance(outcome, Done)]
    files = [data for one in done for data in one.files.values()]
    sizes = [len(data) for data in files if isinstance(data, bytes)]
    is_on_disk = len(sizes) < len(files)
    return is_on_disk or len(waiting) > 2 * _WRITERS or sum(sizes) > _WAITING_BYTES


def _merge(stage: StageRun, plan: Plan, task: Task, max_failures: int | None) -> Iterator[Event]:
    """Write what joins the indexes, when every one of them is done."""
    missing = len(plan.indexes) - len(stage.done_indexes())
    if missing:
        yield Note(f"{stage.name}: {missing} of {len(plan.indexes)} indexes are still to be done")
        return
    records, written = Rows(), hashlib.sha256()
    refused = 0
    for index, marker in each(stage.done, range(len(plan.indexes)), MARKER_READERS):
        if not isinstance(marker, Marker):
            raise StageError(f"{stage.name}: the marker of index {index} is gone; run it again")
        records.extend(marker.records)
        refused += marker.refused
        written.update(json_bytes([asdict(output) for output in marker.outputs]))
    if max_failures is not None and refused > max_failures:
        raise RefusedError(
            f"{stage.name}: {refused} of {plan.items} {task.unit} were refused, "
            f"more than --max-failures {max_failures}; the reasons are in {stage.key('_failed/')}"
            + f"; to go on without them: --max-failures {refused}"
            * (refused < plan.items)
        )
    outputs = [stage.write(name, data) for name, data in task.merge(records)]
    last = Marker(tuple(outputs), refused=refused, indexes_sha256=written.hexdigest())
    stage.mark_done(ALL, last)
