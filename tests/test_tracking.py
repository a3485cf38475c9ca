"""What `mray status` tells while the API server comes and goes."""

from pathlib import Path
from typing import Any

import pytest

from machineray import tracking
from machineray.cli.track import _rows
from machineray.errors import ClusterError
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
