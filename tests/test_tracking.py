"""What `mray status` tells while the API server comes and goes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from machineray import tracking
from machineray.cli.track import _rows
from machineray.errors import ClusterError, StorageError
from machineray.log import Progress
from machineray.runs import Plan, StageRun
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
    stage = "curate" if run else None
    (row,) = _rows(store, Leaving(), "s3://art", run, stage)  # type: ignore[arg-type]
    assert (row.state, row.done, row.total) == ("pending", 0, 3)
    assert row.why == "the API server is away"
    assert tracking.rows_json([row])[0]["why"] == row.why


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


def _refusing(*_: object) -> bytes:
    raise StorageError("s3://art: 503 Slow Down")
