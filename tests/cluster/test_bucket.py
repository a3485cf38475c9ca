"""The bucket answers 503 for a while: it is waited out, and what it holds afterwards is whole."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from machineray.kube.cluster import Cluster
from machineray.runs import StageRun
from machineray.storage import open_store
from tests.cluster.conftest import SMALL, Mray, on_the_cluster
from tests.cluster.front import Front
from tests.cluster.support import (
    catalog,
    driver_pods,
    end_of,
    said,
    stage_jobs,
    submit_generate,
    until,
)

pytestmark = on_the_cluster(600)

SECONDS = 20.0


def calm_catalog(mray: Mray, root: str, folder: Path, seeds: str) -> list[dict[str, Any]]:
    """The catalog of the same samples, drawn on this machine from the same snapshot."""
    store, place = open_store(root), str(folder / "calm")
    snapshot = folder / "snapshot.safetensors"
    snapshot.write_bytes(store.read("runs/demo/train/snapshot.safetensors"))
    words = ("--run", "demo", "--root", place, "--snapshot", str(snapshot), "--seeds", seeds)
    mray("run", "generate", *words)
    return catalog(place)


@pytest.mark.usefixtures("trained")
def test_503_of_the_bucket_is_waited_out_by_pods_and_by_wait(
    mray: Mray,
    cluster: Cluster,
    root: str,
    front: Front,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = StageRun(open_store(root), "demo", "generate")
    submit_generate(mray, "--seeds", "0-255", "--shards", "4", "--parallelism", "3")
    assert output.done_indexes() == ()  # a client of its own, not the front's
    with ThreadPoolExecutor(1) as pool, monkeypatch.context() as laptop:
        laptop.setenv("AWS_ENDPOINT_URL", front.url)
        waiting = pool.submit(mray, "wait", "demo/generate")
        until("the first index is done", output.done_indexes)
        began = time.monotonic()
        with front.refusing():
            text = said(mray("status", "demo/generate", rc=1))
            assert "the server still answers 503 SlowDown after several tries" in text
            assert "run the same command again later" in text and "Traceback" not in text
            time.sleep(max(0.0, SECONDS - (time.monotonic() - began)))
            pods_refused = sum(front.refused.values())
            assert not output.is_complete() and not waiting.done()
        waiting.result()
    assert pods_refused > 0
    ends = [end_of(pod) for pod in cluster.list("Pod")]
    assert ends.count(0) == 4 and set(ends) <= {0, 1}
    assert output.done_indexes() == tuple(range(8))
    assert catalog(root) == calm_catalog(mray, root, tmp_path, "0-255")


@pytest.mark.usefixtures("trained")
def test_503_of_the_bucket_does_not_end_the_pipeline(
    mray: Mray, cluster: Cluster, root: str, front: Front
) -> None:
    """The driver alone meets it, when it wants to see whether its first stage is complete."""
    words = ("--trained", "demo/train", "--run", "more", "--seeds", "0-7")
    mray("submit", "pipeline", *words, *SMALL)
    until("generate is submitted", lambda: "generate" in stage_jobs(cluster).values())
    driver = until("the driver runs", lambda: driver_pods(cluster))[0]
    address = (cluster.get("Pod", driver) or {})["status"]["podIP"]
    with front.refusing(lambda asked: asked.who == address):
        until("the driver is refused often", lambda: front.refused[address] >= 6)
        time.sleep(10)
    mray("wait", "more/pipeline")
    assert StageRun(open_store(root), "more", "gallery").is_complete()
    assert len(stage_jobs(cluster)) == 4
