"""The layout: plans are settled once, only markers mean done."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machineray.errors import InputError, NotFoundError, UsageError
from machineray.runs import (
    ALL,
    Marker,
    Plan,
    StageRun,
    checked_run,
    described_run,
    json_lines,
    parsed_lines,
    run_name_for,
    run_names,
    settle_run,
)
from machineray.storage import FolderStore, Stored, open_store


@pytest.fixture
def stage(tmp_path: Path) -> StageRun:
    return StageRun(open_store(tmp_path), "klee", "unframe")


PLAN = Plan("unframe", {"quality": 95}, {"from": "klee/curate", "sha256": "0"}, [["a", "b"], ["c"]])


@given(st.text())
def test_any_text_gives_a_run_name(text: str) -> None:
    assert checked_run(run_name_for(text))


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a/b", "..", "a" * 33, "ä"])
def test_odd_run_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="a-z"):
        checked_run(name)


def test_a_plan_is_settled_once(stage: StageRun) -> None:
    assert stage.plan() is None
    assert stage.settle_plan(PLAN) == PLAN
    assert stage.settle_plan(PLAN) == PLAN
    assert stage.plan() == PLAN


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (Plan("unframe", {"quality": 90}, PLAN.input, PLAN.indexes), "quality was 95, now 90"),
        (Plan("unframe", PLAN.arguments, {**PLAN.input, "sha256": "1"}, []), "input sha256"),
        (Plan("unframe", PLAN.arguments, {**PLAN.input, "sha256": "1" * 64}, []), "is another;"),
        (Plan("unframe", PLAN.arguments, PLAN.input, [["a"], ["d"]]), "1 new, 2 gone"),
        (Plan("unframe", PLAN.arguments, PLAN.input, PLAN.indexes[::-1]), "another order"),
        (
            Plan("unframe", PLAN.arguments, {**PLAN.input, "credits": {"n": 9}}, PLAN.indexes),
            "input credits was None, now {'n': 9};",
        ),
    ],
)
def test_another_plan_is_refused_with_the_difference(
    stage: StageRun, changed: Plan, said: str
) -> None:
    stage.settle_plan(PLAN)
    with pytest.raises(UsageError, match=said):
        stage.settle_plan(changed)


@pytest.mark.parametrize(
    ("source", "way_out"),
    [
        ("/home/me/paintings", "begin a new run with --run NAME"),
        ("klee/augment", "begin a new run: mray run train --run NAME --input klee/augment"),
        (
            "klee/train",
            "NAME --input klee/train, or mray run pipeline --run NAME --trained klee/train",
        ),
    ],
)
def test_the_way_out_keeps_what_the_stage_reads(source: str, way_out: str, stage: StageRun) -> None:
    stage = stage.sibling("generate" if source.endswith("/train") else "train")
    stage.settle_plan(Plan(stage.stage, {"kimg": 1}, {"from": source}, [[0]]))
    with pytest.raises(UsageError, match=f"kimg was 1, now 2; .*{way_out}$"):
        stage.settle_plan(Plan(stage.stage, {"kimg": 2}, {"from": source}, [[0]]))


def test_only_markers_mean_done(stage: StageRun) -> None:
    assert stage.progress().state == "not planned"
    stage.settle_plan(PLAN)
    assert stage.progress().state == "planned"
    output = stage.write("a.png", b"pixels")
    assert stage.progress().done == ()
    marker = Marker((output,), [{"id": "a"}], 1, 2.5)
    stage.mark_failed(0, [("b.png", "b.png: empty")])
    stage.mark_done(0, marker)
    assert stage.done(0) == marker
    assert stage.done(1) is None
    assert stage.progress().state == "under way"
    stage.mark_done(1, Marker(()))
    assert stage.progress().state == "unmerged"
    stage.mark_done(ALL, Marker(()))
    progress = stage.progress()
    assert (progress.state, progress.done) == ("complete", (0, 1))
    assert progress.refused == (("b.png", "b.png: empty"),)


def test_markers_and_refusals_come_by_one_list(
    stage: StageRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A museum's status asks it of every run; what else lies there is not looked at."""
    stage.settle_plan(PLAN)
    stage.write("paintings/a.png", b"pixels")
    stage.mark_failed(1, [("c.png", "c.png: empty")])
    stage.mark_done(1, Marker((), refused=1))
    listed: list[str] = []
    ask = FolderStore.list

    def counted(store: FolderStore, prefix: str = "") -> Iterator[Stored]:
        for stored in ask(store, prefix):
            listed.append(stored.key.removeprefix(stage.prefix))
            yield stored

    monkeypatch.setattr(FolderStore, "list", counted)
    progress = stage.progress()
    assert (progress.done, progress.refused) == ((1,), (("c.png", "c.png: empty"),))
    assert listed == ["_done/1.json", "_failed/1.json"]


def test_an_incomplete_stage_says_how_to_complete_it(stage: StageRun) -> None:
    with pytest.raises(NotFoundError, match="mray run unframe --run klee"):
        stage.catalog()


@pytest.mark.parametrize("content", [b"{", b"[]", b"null"])
def test_what_is_none_of_ours_is_named(stage: StageRun, content: bytes) -> None:
    readers: dict[str, Callable[[], object]] = {
        "unframe/plan.json": stage.plan,
        "unframe/_done/all.json": stage.require_complete,
        "unframe/_failed/0.json": lambda: stage.progress(PLAN),
        "run.json": lambda: described_run(stage.store, stage.run),
    }
    for name, read in readers.items():
        stage.store.write(f"runs/{stage.run}/{name}", content)
        with pytest.raises(InputError, match=f"{name}: damaged, or of another version"):
            read()


def test_run_names(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert run_names(store) == []
    settle_run(store, "b", {"x": 1})
    settle_run(store, "a", {"x": 1})
    settle_run(store, "a", {"x": 2})
    (tmp_path / "runs" / "a copy").mkdir()
    assert run_names(store) == ["a", "b"]
    assert b'"x": 1' in store.read("runs/a/run.json")


ROWS = st.lists(st.dictionaries(st.text(), st.none() | st.integers() | st.text()))


@given(ROWS)
def test_json_lines_come_back(rows: list[dict[str, object]]) -> None:
    assert parsed_lines(json_lines(rows), "x") == rows


def test_a_broken_line_is_named() -> None:
    with pytest.raises(InputError, match=r"catalog\.jsonl, line 2"):
        parsed_lines(b'{"a": 1}\n{"a"\n', "catalog.jsonl")
