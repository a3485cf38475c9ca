"""Doing a stage's plan: which part is ours, item by item, markers last.

A plan is a list of indexes, an index a list of items. One process does all of them, or the part
that --index/--of (in a pod: JOB_COMPLETION_INDEX/JOB_COMPLETIONS) gives it. Whoever finds every
index done merges: what is merged is a function of the markers, so that two doing it do no harm.
"""

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from machineray.errors import InputError, StageError, UsageError
from machineray.log import Event, Note, Progress, Refusal
from machineray.runs import ALL, Marker, Output, Plan, Row, StageRun

Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Part:
    """The share of a plan that one process does: the indexes i with i mod `of` = `index`."""

    index: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.of:
            raise UsageError(f"--index {self.index} --of {self.of}: index counts from 0 to of - 1")

    def select(self, indexes: int) -> range:
        """The indexes of a plan of that many that are ours."""
        return range(self.index, indexes, self.of)


@dataclass(frozen=True)
class Done:
    """Some items are done: files to write (by name) and rows for the stage's catalog."""

    files: Mapping[str, bytes | Path] = field(default_factory=dict)
    records: Sequence[Row] = ()
    items: int = 1


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
    merge: Callable[[list[Row]], Iterator[tuple[str, bytes]]]
    total: float | None = None  # set: the work tells its own progress, up to this


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

    with ThreadPoolExecutor(workers) as pool:
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
            for _, future in waiting:
                future.cancel()


def execute(stage: StageRun, task: Task, part: Part, max_failures: int | None) -> Iterator[Event]:
    """Do our part of the plan, skip what bears a marker, merge when all is done.

    StageError when more than `max_failures` items were refused (None: any number may be).
    """
    plan = stage.settle_plan(task.plan)
    if stage.is_complete():
        total = plan.items if task.total is None else task.total
        yield Progress(stage.stage, total, total, task.unit, "already done")
        return
    done = set(stage.done_indexes())
    ours = part.select(len(plan.indexes))
    of_all = sum(len(plan.indexes[index]) for index in ours)
    count = sum(len(plan.indexes[index]) for index in ours if index in done)
    if task.total is None:
        yield Progress(stage.stage, count, of_all, task.unit)
    for index in ours:
        if index in done:
            continue
        for event in _do_index(stage, index, task.work(index, plan.indexes[index])):
            if not isinstance(event, int):
                yield event
            elif task.total is None:
                count += event
                yield Progress(stage.stage, count, of_all, task.unit)
    yield from _merge(stage, plan, task, max_failures)


def _do_index(
    stage: StageRun, index: int, outcomes: Iterable[Outcome | Event]
) -> Iterator[Event | int]:
    """Write what the work on one index gives; yields events, and how many items were done."""
    started = time.monotonic()
    outputs: list[Output] = []
    records: list[Row] = []
    refused: list[tuple[str, str]] = []
    for outcome in outcomes:
        if isinstance(outcome, Done):
            outputs += [stage.write(name, data) for name, data in outcome.files.items()]
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
    stage.mark_done(index, Marker(tuple(outputs), tuple(records), len(refused), seconds))


def _merge(stage: StageRun, plan: Plan, task: Task, max_failures: int | None) -> Iterator[Event]:
    """Write what joins the indexes, when every one of them is done."""
    missing = len(plan.indexes) - len(stage.done_indexes())
    if missing:
        yield Note(f"{stage.name}: {missing} of {len(plan.indexes)} indexes are still to be done")
        return
    records: list[Row] = []
    refused = 0
    for index in range(len(plan.indexes)):
        marker = stage.done(index)
        if marker is None:
            raise StageError(f"{stage.name}: the marker of index {index} is gone; run it again")
        records += marker.records
        refused += marker.refused
    if max_failures is not None and refused > max_failures:
        raise StageError(
            f"{stage.name}: {refused} of {plan.items} {task.unit} were refused, "
            f"more than --max-failures {max_failures}; the reasons are in {stage.key('_failed/')}; "
            f"to go on without them: --max-failures {refused}"
        )
    outputs = [stage.write(name, data) for name, data in task.merge(records)]
    stage.mark_done(ALL, Marker(tuple(outputs), refused=refused))
