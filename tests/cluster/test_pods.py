"""Pods that die or end badly in a real cluster: nothing is lost, nothing twice."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from machineray.kube.cluster import Cluster
from machineray.kube.words import job_state
from machineray.runs import StageRun, sha256_of
from machineray.storage import open_store
from machineray.tracking import bucket_row
from tests.cluster.conftest import SMALL, Mray, kubectl, on_the_cluster
from tests.cluster.support import (
    catalog,
    deleted_pod,
    evict_pod,
    index_of,
    kill_pod,
    only_job,
    pods,
    submit_generate,
    until,
)

pytestmark = on_the_cluster(600)


def local_samples(mray: Mray, root: str, folder: Path, seeds: list[int]) -> dict[int, str]:
    """The SHA-256 of samples that this machine draws from the same snapshot."""
    store = open_store(root)
    (folder / "snapshot.safetensors").write_bytes(
        store.read("runs/demo/train/snapshot.safetensors")
    )
    place = str(folder / "local")
    words = ("--root", place, "--snapshot", str(folder / "snapshot.safetensors"))
    mray("run", "generate", "--run", "demo", *words, "--seeds", ",".join(map(str, seeds)))
    local = open_store(place)
    return {row["seed"]: sha256_of(local.read(row["key"])) for row in catalog(place)}


def disturbed(cluster: Cluster, namespace: str, kills: int, waiting: Callable[[], bool]) -> int:
    """Kill so many running pods, each of another index, and evict one: how many it were."""
    todo: list[Callable[[str, str], None]] = [kill_pod] * kills
    todo.insert(1, evict_pod)
    hit: set[str] = set()
    while todo and not waiting():
        running = [name for name in pods(cluster, "Running") if index_of(name) not in hit]
        if running:
            todo.pop(0)(namespace, running[0])
            hit.add(index_of(running[0]))
        time.sleep(0.5)
    return len(hit)


@pytest.mark.usefixtures("trained")
def test_killed_and_evicted_pods_lose_nothing_and_repeat_nothing(
    mray: Mray, cluster: Cluster, namespace: str, root: str, tmp_path: Path
) -> None:
    submit_generate(mray, "--seeds", "0-639", "--shards", "20", "--parallelism", "4")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(mray, "wait", "demo/generate")
        assert disturbed(cluster, namespace, 4, waiting.done) == 5
        waiting.result()
    assert job_state(only_job(cluster)).done == 20
    rows = catalog(root)
    assert [row["seed"] for row in rows] == list(range(640))
    store, seeds = open_store(root), [0, 31, 32, 350, 639]
    drawn = {row["seed"]: sha256_of(store.read(row["key"])) for row in rows if row["seed"] in seeds}
    assert drawn == local_samples(mray, root, tmp_path, seeds)


def replacement(cluster: Cluster, pod: str) -> str:
    def ask() -> str:
        return next((name for name in pods(cluster) if name != pod), "")

    return until("another pod takes over", ask)


@pytest.mark.usefixtures("trained")
def test_a_deleted_training_pod_is_replaced_by_one_that_goes_on(
    mray: Mray, cluster: Cluster, namespace: str, root: str
) -> None:
    words = ("--input", "demo/augment", "--preset", "tiny", "--kimg", "0.5")
    often = ("--checkpoint-seconds", "1")  # a quiet machine is done before the first one is due
    mray("submit", "train", "--run", "killed", *words, *often, *SMALL)
    output = StageRun(open_store(root), "killed", "train")
    until("a checkpoint", lambda: bucket_row(output).done > 0)
    assert not output.is_complete()
    (pod,) = pods(cluster, "Running")
    assert deleted_pod(cluster, namespace, pod) == 143
    heir = replacement(cluster, pod)
    mray("run", "train", "--run", "calm", *words, "--root", root, "--workers", "1")
    mray("wait", "killed/train")
    log = kubectl("-n", namespace, "logs", heir)
    assert "goes on" in log and "train: 0/" not in log
    calm = StageRun(open_store(root), "calm", "train")
    name = "snapshot.safetensors"
    assert sha256_of(output.read(name)) == sha256_of(calm.read(name))
