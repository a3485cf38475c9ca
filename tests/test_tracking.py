"""What `mray status` and `wait` make of the bucket and of the Jobs, also where one is away."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from machineray import tracking
from machineray.cli.track import HEAD, _jobs, _rows, row_lines
from machineray.errors import ClusterError, InputError, NotFoundError, StageError, StorageError
from machineray.log import Progress
from machineray.runs import Marker, Plan, StageRun, settle_run
from machineray.stages import STAGES
from machineray.storage import Store, open_store

JOB: dict[str, Any] = {
    "metadata": {
        "name": "mray-klee-curate-1",
        "labels": {"machineray/run": "klee", "machineray/stage": "curate"},
        "annotations": {"machineray/root": "s3://art"},
    },
    "spec": {"completionMode": "Indexed", "completions": 2, "parallelism": 2},
    "status": {"active": 2, "ready": 0},
}


class Leaving:
    """An API server that lists the Jobs and is away when it is asked for more."""

    def list(self, kind: str, **options: Any) -> list[dict[str, Any]]:
        if kind == "Job":
            return [JOB]
        raise ClusterError("the API server is away")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(tmp_path)
    StageRun(store, "klee", "curate").settle_plan(Plan("curate", {}, {}, [[1, 2], [3]]))
    return store


@pytest.mark.parametrize("run", ["klee", ""])
def test_an_api_server_that_goes_away_is_told_in_its_row(store: Store, run: str) -> None:
    stage, cluster = "curate" if run else None, cast(Any, Leaving())
    (row,) = _rows(store, cluster, _jobs(cluster, "s3://art", run), run, stage)
    assert (row.state, row.done, row.total) == ("pending", 0, 3)
    assert row.why == "the API server is away"


class Training:
    """An API server where a training runs; at each look the bucket has come to something else."""

    def __init__(self, moments: list[Callable[[], object]]) -> None:
        self.moments = moments

    def watch(self, kind: str, **options: Any) -> Iterator[dict[str, Any]]:
        job = {**JOB, "metadata": {**JOB["metadata"], "labels": LABELS}}
        for moment in self.moments:
            moment()
            yield {"uid": job}

    def list(self, kind: str, **options: Any) -> list[dict[str, Any]]:
        return []


LABELS = {"machineray/run": "klee", "machineray/stage": "train"}


def test_waiting_for_a_training_tells_kimg_also_when_the_bucket_was_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = StageRun(store, "klee", "train")
    with monkeypatch.context() as away:
        moments = [
            lambda: None,  # the pod has not begun: no plan
            lambda: output.settle_plan(Plan("train", {"kimg": 20.0}, {}, [[0]])),
            lambda: output.write("checkpoints/000004000.json", b"{}"),
            lambda: away.setattr(type(store), "read", _refusing),
            lambda: away.undo(),
        ]
        cluster: Any = Training(moments)
        told = list(tracking.waited(cluster, store, "s3://art", [tracking.Target("klee", "train")]))
    shown = [(event.done, event.total, event.unit) for event in told if isinstance(event, Progress)]
    shards, begun, later = (0, 2, "shards"), (0.0, 20.0, "kimg"), (4.0, 20.0, "kimg")
    assert shown == [shards, begun, later, shards, later]


class Away:
    """An API server that has no Jobs, or those that are given."""

    def __init__(self, *jobs: dict[str, Any]) -> None:
        self.jobs = {str(number): job for number, job in enumerate(jobs)}

    def watch(self, kind: str, **options: Any) -> Iterator[dict[str, Any]]:
        yield self.jobs

    def list(self, kind: str, **options: Any) -> list[dict[str, Any]]:
        return []


def job(stage: str, run: str = "klee", **status: Any) -> dict[str, Any]:
    """A Job of a stage; {"active": 1, "ready": 1} runs."""
    labels = {"machineray/run": run, "machineray/stage": stage}
    metadata = {**JOB["metadata"], "name": f"mray-{run}-{stage}-1", "labels": labels}
    return {**JOB, "metadata": metadata, "status": status or {"active": 1, "ready": 1}}


ENDED = {"conditions": [{"type": "Complete", "status": "True"}]}


def begun(store: Store, run: str, *stages: str, **told: Any) -> None:
    """A run whose pipeline was to make these stages."""
    settle_run(store, run, {"run": run, "paintings": "examples", "stages": stages, **told})


def done(store: Store, run: str, *stages: str) -> None:
    for stage in stages:
        StageRun(store, run, stage).mark_done("all", Marker(()))


class TestThePipelineByTheBucketAlone:
    def test_it_is_as_far_as_its_stages(self, store: Store) -> None:
        begun(store, "miro", "collect", "curate")
        states = []
        for stage in ("", "collect", "curate"):
            done(store, "miro", *([stage] if stage else []))
            row = tracking.pipeline_row(store, "miro")
            states.append((row.state, row.done, row.total, row.unit))
        rest = (2, "stages")
        assert states == [("planned", 0, *rest), ("under way", 1, *rest), ("complete", 2, *rest)]

    def test_a_run_of_before_or_of_a_laptop_is_to_make_all(self, store: Store) -> None:
        settle_run(store, "miro", {"paintings": None, "trained": "klee/train"})
        settle_run(store, "arp", {"paintings": "examples", "trained": None})
        assert tracking.pipeline_row(store, "miro").total == 3
        assert tracking.pipeline_row(store, "arp").total == len(STAGES)
        assert tracking.pipeline_row(store, "klee").state == "not planned"  # by its stages only

    def test_a_complete_job_is_no_proof(self, store: Store) -> None:
        begun(store, "miro", "collect", "curate")
        done(store, "miro", "collect")
        row = tracking.pipeline_row(store, "miro")
        told = tracking.joined(row, job("pipeline", **ENDED), "")
        assert told.state == "failed" and "1 of 2 stages are missing" in told.why
        done(store, "miro", "curate")
        row = tracking.pipeline_row(store, "miro")
        assert tracking.joined(row, job("pipeline", **ENDED), "").state == "complete"


class TestWaiting:
    def waited(self, store: Store, stage: str, *jobs: dict[str, Any], run: str = "klee") -> str:
        target = tracking.Target(run, stage)
        cluster: Any = Away(*jobs)
        return "; ".join(map(str, tracking.waited(cluster, store, "s3://art", [target])))

    def test_a_pipeline_whose_job_is_gone(self, store: Store) -> None:
        begun(store, "miro", "collect")
        with pytest.raises(StageError, match="mray submit pipeline --run miro"):
            self.waited(store, "pipeline", run="miro")
        done(store, "miro", "collect")
        assert "miro/pipeline: complete" in self.waited(store, "pipeline", run="miro")

    def test_a_pipeline_is_told_by_its_stages(self, store: Store) -> None:
        begun(store, "miro", "collect", "curate")
        done(store, "miro", "collect")
        cluster: Any = Away(job("pipeline", run="miro"))
        (told,) = tracking.waited(cluster, store, "s3://art", [tracking.Target("miro", "pipeline")])
        assert told == Progress("miro/pipeline", 1, 2, "stages", "1 pod")

    def test_what_nobody_has_begun_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFoundError, match=r"nope: no such run in .*`mray ls`"):
            self.waited(store, "train", run="nope")
        with pytest.raises(NotFoundError, match="klee/train: nobody has submitted it; mray submit"):
            self.waited(store, "train")
        with pytest.raises(StageError, match="klee/curate: neither complete nor in the cluster"):
            self.waited(store, "curate")

    def test_a_stage_that_the_pipeline_has_not_come_to(self, store: Store) -> None:
        text = self.waited(store, "train", job("pipeline"))
        assert "klee/train: the pipeline has not come to it yet" in text
        with pytest.raises(NotFoundError):  # nor will it any more
            self.waited(store, "train", job("pipeline", **ENDED))


class TestCancelling:
    def cancelled(self, store: Store, *jobs: dict[str, Any]) -> tuple[list[str], list[str]]:
        """(sentences, Jobs that were deleted)."""
        deleted: list[str] = []

        class Cluster:
            def list(self, kind: str, **options: Any) -> list[dict[str, Any]]:
                return list(jobs)

            def delete(self, kind: str, name: str) -> bool:
                deleted.append(name)
                return True

        cluster: Any = Cluster()
        return tracking.cancelled(cluster, store, "s3://art", "klee", None), deleted

    def test_what_is_done_is_not_said_to_be_cancelled(self, store: Store) -> None:
        sentences, deleted = self.cancelled(store, job("collect", **ENDED), job("curate"))
        assert deleted == ["mray-klee-curate-1"]
        assert sentences == [
            "klee/curate: cancelled; 0 of 3 paintings are done and stay; submit again to go on"
        ]

    def test_nothing_at_work(self, store: Store) -> None:
        sentences, deleted = self.cancelled(store, job("collect", **ENDED))
        assert sentences == ["klee: nothing is at work on it; mray status klee"] and not deleted
        with pytest.raises(NotFoundError, match="klee: no Job of it is in the cluster"):
            self.cancelled(store)


class TestTheOverview:
    def shown(self, store: Store, *jobs: dict[str, Any]) -> list[tuple[str, str]]:
        by_stage = {(j["metadata"]["labels"]["machineray/run"], stage_of(j)): j for j in jobs}
        rows = [tracking.furthest_row(store, row, by_stage) for row in tracking.overview(store)]
        return [(row.run, row.stage) for row in rows]

    def test_before_the_first_stage_and_between_two_it_is_the_pipelines_row(
        self, store: Store
    ) -> None:
        begun(store, "miro", "collect", "curate")
        driver = job("pipeline", "miro")
        assert self.shown(store) == [("klee", "curate"), ("miro", "")]
        assert self.shown(store, driver) == [("klee", "curate"), ("miro", "pipeline")]
        done(store, "miro", "collect")
        collect = job("collect", "miro")
        assert self.shown(store, driver, collect)[1] == ("miro", "collect")
        assert self.shown(store, driver, job("collect", "miro", **ENDED))[1] == ("miro", "pipeline")

    def test_a_pipeline_that_is_done_leaves_the_last_stage_to_speak(self, store: Store) -> None:
        begun(store, "miro", *(stage.name for stage in STAGES))
        done(store, "miro", *(stage.name for stage in STAGES))
        assert self.shown(store, job("pipeline", "miro"))[1] == ("miro", "gallery")
        assert self.shown(store, job("pipeline", "miro", **ENDED))[1] == ("miro", "gallery")

    def test_every_core_takes_some_of_many_runs(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(5):
            begun(store, f"miro{number}", "collect")
            done(store, f"miro{number}", "collect", *(["gallery"] if number % 2 else []))
        alone = tracking.overview(store)
        assert [row.run for row in alone] == ["klee", *(f"miro{number}" for number in range(5))]
        assert {row.state for row in alone} == {"planned", "not planned", "complete"}
        monkeypatch.setattr(tracking, "_RUNS_A_PROCESS", 1)
        for cores in (1, 2, 3, 6):
            monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
            assert tracking.overview(store) == alone

    def test_what_the_bucket_refuses_is_told_as_by_one_process(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "cpu_count", lambda: 2)
        monkeypatch.setattr(tracking, "_RUNS_A_PROCESS", 1)
        begun(store, "miro", "collect")
        (tmp_path / "runs/klee/curate/plan.json").write_text("{")
        with pytest.raises(InputError, match=r"plan\.json"):
            tracking.overview(store)

    def test_nothing_is_over_while_the_pipeline_is_on_its_way(self) -> None:
        jobs = {("klee", "pipeline"): job("pipeline")}
        row = tracking.Row("klee", "train", "not planned")
        assert not tracking.is_over(row, jobs)
        assert tracking.is_over(row, {})
        assert tracking.is_over(row, {("klee", "pipeline"): job("pipeline", **ENDED)})
        states = {state: tracking.is_over(replace(row, state=state), jobs) for state in STATES}
        assert [state for state, is_over in states.items() if is_over] == ["failed", "complete"]


STATES = ("planned", "under way", "unmerged", "pending", "queued", "running", "failed", "complete")


def stage_of(job: dict[str, Any]) -> str:
    return str(job["metadata"]["labels"]["machineray/stage"])


class TestSpeed:
    NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
    STARTED = "2026-05-01T11:50:00Z"  # 600 s before

    def row(self, stage: str, done: float, total: float, items: float | None) -> tracking.Row:
        status = {"active": 1, "ready": 1, "startTime": self.STARTED}
        running = job(stage, **status)
        told = {} if items is None else {"machineray/items": str(items)}
        annotations = {"machineray/root": "s3://art", **told}
        running["metadata"] = {**running["metadata"], "annotations": annotations}
        row = tracking.Row("klee", stage, "under way", done, total, "samples")
        return tracking.joined(row, running, "", self.NOW)

    def test_it_is_what_this_job_has_made_in_its_time(self) -> None:
        row = self.row("generate", 160, 400, 300)  # 100 were there before, 60 are its own
        assert (row.age_seconds, row.speed, row.eta_seconds) == (600, 0.1, 2400)

    def test_a_training_that_goes_on_does_not_count_what_was_there(self) -> None:
        row = self.row("train", 16.0, 20.0, 10.0)  # of 20 kimg 10 were there
        assert row.speed == pytest.approx(0.01) and row.eta_seconds == pytest.approx(400)

    def test_before_the_first_unit_nothing_is_told(self) -> None:
        for row in (self.row("generate", 100, 400, 300), self.row("generate", 0, 400, None)):
            assert row.speed is None and row.eta_seconds is None and row.age_seconds == 600

    def test_the_line_says_it_in_five_letters_each(self) -> None:
        (line,) = row_lines(self.row("generate", 160, 400, 300))
        assert line.split() == [
            *("klee", "generate", "running", "160/400", "1", "10m"),
            *("0.1/s", "40m"),
        ]
        assert len(HEAD.partition("left")[0]) == line.index("40m") - 1

    def test_why_and_the_first_refusals_stand_below(self) -> None:
        reasons = tuple(f"{number}.png: broken" for number in range(7))
        row = tracking.Row("klee", "curate", "failed", 1, 8, refused=7, why="bad", reasons=reasons)
        line, *below = row_lines(row)
        assert line.split() == ["klee", "curate", "failed", "1/8", "7"]
        assert below == [
            "    bad",
            *(f"    refused  {number}.png: broken" for number in range(5)),
            "    … and 2 more (-o json has them)",
        ]


def _refusing(*_: object) -> bytes:
    raise StorageError("s3://art: 503 Slow Down")
