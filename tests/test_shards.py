"""Doing a plan: in parts, again after a kill, with bad input, by several at once."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machineray import shards
from machineray.errors import InputError, StageError, StorageError, TemporaryError, UsageError
from machineray.log import Note, Progress, Refusal
from machineray.runs import Plan, Row, StageRun, json_lines
from machineray.shards import Done, Outcome, Part, Refused, Task, batches, each, execute
from machineray.storage import FolderStore, open_store


class Killed(BaseException):
    """What a SIGKILL looks like from inside: nothing more happens."""


def squares(items: int, bad: frozenset[int] = frozenset(), killed_at: int = -1) -> Task:
    """Square the numbers below `items`, three at a time; the bad ones are refused."""

    def work(index: int, numbers: Sequence[Any]) -> Iterator[Outcome]:
        for number in numbers:
            if number == killed_at:
                raise Killed
            if number in bad:
                yield Refused(str(number), f"{number}: bad")
            else:
                row = {"id": number}
                yield Done({f"squares/{number}.txt": b"%d" % number**2}, [row])

    def merge(rows: list[Row]) -> Iterator[tuple[str, bytes]]:
        yield "catalog.jsonl", json_lines(rows)

    plan = Plan("unframe", {}, {}, batches(range(items), 3))
    return Task(plan, "numbers", work, merge)


def contents(folder: Path) -> dict[str, bytes]:
    """Everything but the markers, which tell seconds."""
    store = FolderStore(folder)
    return {s.key: store.read(s.key) for s in store.list() if "/_done/" not in s.key}


def run(folder: Path, task: Task, part: Part | None = None, limit: int | None = 0) -> list[Any]:
    stage = StageRun(open_store(folder), "r", "unframe")
    return list(execute(stage, task, part or Part(), limit))


def test_a_plan_is_done_and_merged(tmp_path: Path) -> None:
    events = run(tmp_path, squares(7))
    assert [event.done for event in events if isinstance(event, Progress)] == [*range(8)]
    assert StageRun(open_store(tmp_path), "r", "unframe").catalog() == [{"id": n} for n in range(7)]
    again = run(tmp_path, squares(7))
    assert again == [Progress("unframe", 7, 7, "numbers", "already done")]


@pytest.mark.parametrize("is_apart", [False, True])
def test_an_index_that_fails_ends_the_others_unless_they_are_apart(
    is_apart: bool, tmp_path: Path
) -> None:
    whole = squares(9)

    def work(index: int, numbers: Sequence[Any]) -> Iterator[Any]:
        if index < 2:
            raise TemporaryError(f"{index} is away")
        yield from whole.work(index, numbers)

    stage, told = StageRun(open_store(tmp_path), "r", "unframe"), []
    with pytest.raises(TemporaryError, match="1 is away" if is_apart else "0 is away"):
        for event in execute(stage, replace(whole, work=work, is_apart=is_apart), Part(), 0):
            told.append(event)
    assert (Note("0 is away") in told) == is_apart
    assert list(stage.done_indexes()) == ([2] if is_apart else [])
    assert not stage.is_complete()


@settings(max_examples=25)
@given(
    items=st.integers(0, 20),
    of=st.integers(1, 7),
    order=st.randoms(use_true_random=False),
    many=st.sampled_from([1, 1000]),
)
def test_the_union_of_parts_is_the_whole(
    tmp_path_factory: pytest.TempPathFactory, items: int, of: int, order: Any, many: int
) -> None:
    whole, parts = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("parts")
    run(whole, squares(items))
    indexes = list(range(of))
    order.shuffle(indexes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "_MANY_INDEXES", many)
        for index in indexes:
            run(parts, squares(items), Part(index, of))
    assert contents(parts) == contents(whole)


def test_what_a_submit_after_a_failure_still_needs_is_shared_out(tmp_path: Path) -> None:
    run(tmp_path, squares(12), Part(1, 2))
    assert [*Part(1, 2, only=[0, 2, 5]).select(6)] == [2]
    for index in (0, 1):
        run(tmp_path, squares(12), Part(index, 2, only=[0, 2]))
    assert StageRun(open_store(tmp_path), "r", "unframe").is_complete()
    with pytest.raises(UsageError, match="--only 9: the plan ends with index 3"):
        run(tmp_path / "other", squares(12), Part(only=[9]))


@given(st.integers(0, 50), st.integers(1, 9))
def test_parts_share_the_plan(indexes: int, of: int) -> None:
    selected = [index for part in range(of) for index in Part(part, of).select(indexes)]
    assert sorted(selected) == list(range(indexes))


@pytest.mark.parametrize(("index", "of"), [(-1, 1), (1, 1), (3, 2), (0, 0)])
def test_odd_parts_are_refused(index: int, of: int) -> None:
    with pytest.raises(UsageError):
        Part(index, of)


@pytest.mark.parametrize("killed_at", range(8))
def test_after_a_kill_nothing_is_lost_nor_done_twice(tmp_path: Path, killed_at: int) -> None:
    run(tmp_path / "whole", squares(8))
    with pytest.raises(Killed):
        run(tmp_path / "killed", squares(8, killed_at=killed_at))
    events = run(tmp_path / "killed", squares(8))
    # Only what was done before the kill is skipped: whole indexes of three.
    assert events[0] == Progress("unframe", killed_at // 3 * 3, 8, "numbers")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_one_pod_of_many_lists_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 9 indexes of 9,000 it asks one by one: a list of all markers has nine pages."""
    listed: list[str] = []
    monkeypatch.setattr(FolderStore, "list", lambda store, prefix="": listed.append(prefix))
    run(tmp_path, squares(27_000), Part(5, 1000))
    assert not listed
    monkeypatch.undo()
    assert len(StageRun(open_store(tmp_path), "r", "unframe").done_indexes()) == 9


def test_refusals_are_listed_and_counted(tmp_path: Path) -> None:
    task = squares(7, bad=frozenset({1, 5}))
    with pytest.raises(StageError, match=r"2 of 7 numbers were refused.*--max-failures 2"):
        run(tmp_path, task)
    stage = StageRun(open_store(tmp_path), "r", "unframe")
    assert stage.progress().refused == (("1", "1: bad"), ("5", "5: bad"))
    assert not stage.is_complete()
    events = run(tmp_path, task, limit=2)  # nothing is done again, only merged
    assert events == [Progress("unframe", 7, 7, "numbers")]
    assert [row["id"] for row in stage.catalog()] == [0, 2, 3, 4, 6]


def test_refusals_are_told_as_they_come(tmp_path: Path) -> None:
    events = run(tmp_path, squares(3, bad=frozenset({2})), limit=None)
    assert Refusal("2", "2: bad") in events


class Slow(FolderStore):
    """A store whose files are written when `ready` says so."""

    def __init__(self, root: Path, ready: Callable[[str], object]) -> None:
        super().__init__(root)
        self.ready = ready

    def write(self, key: str, data: bytes | Path) -> None:
        if "/squares/" in key:
            self.ready(key)
        super().write(key, data)


def test_files_are_written_beside_one_another(tmp_path: Path) -> None:
    together = threading.Barrier(3, timeout=20)  # broken where one is written after the other
    stage = StageRun(Slow(tmp_path, lambda key: together.wait()), "r", "unframe")
    events = list(execute(stage, squares(9), Part(), 0))
    assert [event.done for event in events if isinstance(event, Progress)] == [*range(10)]
    assert [row["id"] for row in stage.catalog()] == [*range(9)]


def test_the_work_does_not_run_ahead_of_what_is_written(tmp_path: Path) -> None:
    made: list[int] = []
    ahead: list[int] = []

    def work(index: int, numbers: Sequence[Any]) -> Iterator[Outcome]:
        for number in numbers:
            made.append(number)
            yield Done({f"squares/{number}.txt": bytes(1 << 20)}, [{"id": number}])

    def ready(key: str) -> None:
        time.sleep(0.02)
        ahead.append(len(made) - int(Path(key).stem))

    task = replace(squares(100), plan=Plan("unframe", {}, {}, batches(range(100), 100)), work=work)
    list(execute(StageRun(Slow(tmp_path, ready), "r", "unframe"), task, Part(), 0))
    assert 1 < max(ahead) <= 2 * shards._WRITERS + 1
    ahead.clear()
    made.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "_WAITING_BYTES", 3 << 20)
        list(execute(StageRun(Slow(tmp_path / "b", ready), "r", "unframe"), task, Part(), 0))
    assert 1 < max(ahead) <= 4


def test_a_file_that_cannot_be_written_ends_it_without_a_marker(tmp_path: Path) -> None:
    def ready(key: str) -> None:
        if key.endswith("/4.txt"):
            raise StorageError("the disk is full")

    with pytest.raises(StorageError, match="the disk is full"):
        list(execute(StageRun(Slow(tmp_path, ready), "r", "unframe"), squares(9), Part(), 0))
    assert list(StageRun(open_store(tmp_path), "r", "unframe").done_indexes()) == [0]
    run(tmp_path, squares(9))
    assert len(StageRun(open_store(tmp_path), "r", "unframe").catalog()) == 9


def test_a_file_on_disk_is_written_before_the_work_goes_on(tmp_path: Path) -> None:
    def work(index: int, numbers: Sequence[Any]) -> Iterator[Outcome]:
        for number in numbers:
            path = tmp_path / f"{number}.tmp"
            path.write_bytes(b"%d" % number**2)
            yield Done({f"squares/{number}.txt": path}, [{"id": number}])
            path.unlink()

    stage = StageRun(Slow(tmp_path / "root", lambda key: time.sleep(0.01)), "r", "unframe")
    list(execute(stage, replace(squares(6), work=work), Part(), 0))
    assert [stage.read(f"squares/{n}.txt") for n in range(6)] == [b"%d" % n**2 for n in range(6)]


def test_indexes_may_be_done_beside_one_another(tmp_path: Path) -> None:
    together = threading.Barrier(2, timeout=20)  # broken where one waits for the other's end

    def work(index: int, numbers: Sequence[Any]) -> Iterator[Outcome]:
        together.wait()
        yield from squares(12, frozenset({7})).work(index, numbers)

    task = replace(squares(12), work=work, together=lambda: 2)
    events = run(tmp_path / "beside", task, limit=1)
    assert [event.done for event in events if isinstance(event, Progress)] == [*range(13)]
    assert [event.item for event in events if isinstance(event, Refusal)] == ["7"]
    run(tmp_path / "plain", squares(12, frozenset({7})), limit=1)
    assert contents(tmp_path / "beside") == contents(tmp_path / "plain")


def test_of_indexes_beside_one_another_each_is_done_or_not(tmp_path: Path) -> None:
    def work(index: int, numbers: Sequence[Any]) -> Iterator[Outcome]:
        if index == 2:
            raise InputError("2: the snapshot is damaged")
        yield from squares(12).work(index, numbers)

    with pytest.raises(InputError, match="the snapshot is damaged"):
        run(tmp_path, replace(squares(12), work=work, together=lambda: 2))
    assert {0, 1} <= set(StageRun(open_store(tmp_path), "r", "unframe").done_indexes()) <= {0, 1, 3}
    run(tmp_path, squares(12))
    assert len(StageRun(open_store(tmp_path), "r", "unframe").catalog()) == 12


def test_a_stage_is_known_by_all_that_it_wrote(tmp_path: Path) -> None:
    """Also by the files that its catalog says nothing of."""

    def cubes(index: int, numbers: Sequence[Any]) -> Iterator[Outcome]:
        for number in numbers:
            yield Done({f"squares/{number}.txt": b"%d" % number**3}, [{"id": number}])

    digests = []
    for name, task in (
        ("one", squares(7)),
        ("same", squares(7)),
        ("other", replace(squares(7), work=cubes)),
    ):
        run(tmp_path / name, task)
        stage = StageRun(open_store(tmp_path / name), "r", "unframe")
        digests.append(stage.digest())
        catalog = stage.read("catalog.jsonl")
        assert catalog == json_lines({"id": number} for number in range(7))
    assert digests[0] == digests[1] != digests[2]


def test_a_part_says_what_is_missing(tmp_path: Path) -> None:
    events = run(tmp_path, squares(9), Part(0, 3))
    assert events[-1] == Note("r/unframe: 2 of 3 indexes are still to be done")


def test_two_at_once_do_no_harm(tmp_path: Path) -> None:
    run(tmp_path / "one", squares(30))
    threads = [threading.Thread(target=run, args=(tmp_path / "two", squares(30))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


@given(st.lists(st.integers()), st.integers(1, 8))
def test_each_keeps_the_order(numbers: list[int], workers: int) -> None:
    def inverse(number: int) -> float:
        if number == 0:
            raise InputError("0: has no inverse")
        return 1 / number

    pairs = list(each(inverse, numbers, workers))
    assert [item for item, _ in pairs] == numbers
    assert all(isinstance(value, InputError) == (item == 0) for item, value in pairs)


def test_each_does_not_run_ahead() -> None:
    started: list[int] = []
    values = each(started.append, range(1000), workers=2)
    next(values)
    values.close()  # type: ignore[attr-defined]
    assert len(started) <= 4


def test_each_does_not_wait_for_a_thread_that_hangs() -> None:
    """Or a pod that is told to stop would outlive its grace where a bucket does not answer."""
    first, never = threading.Event(), threading.Event()

    def hang(number: int) -> None:
        if number:
            first.set()
            never.wait(60)

    values = each(hang, range(8), workers=1)
    next(values)
    assert first.wait(10)
    began = time.monotonic()
    values.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 30
    never.set()
