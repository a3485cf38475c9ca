"""SIGTERM ends a pod of every stage with 143 within its grace, also where the bucket hangs."""

from contextlib import ExitStack
from functools import partial
from pathlib import PurePosixPath

import pytest

from machineray.kube.cluster import Cluster
from machineray.stages import STAGES
from tests.cluster.conftest import SMALL, Mray, kubectl
from tests.cluster.front import Asked, Front
from tests.cluster.support import end_of, ended_pod, kept_pod, seconds_to_end, until

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.xdist_group("cluster"),
    pytest.mark.timeout(600),
]

GRACE_SECONDS = 20.0  # of the 30 that a pod has
INPUTS = {stage.name: f"demo/{stage.needs[0]}" for stage in STAGES if stage.needs}
OPTIONS = {"train": ("--preset", "tiny", "--kimg", "0.1"), "generate": ("--seeds", "0-31")}


def is_heavy(asked: Asked) -> bool:
    """Pictures, shards and networks: what stages read and write in the midst of their work."""
    key = PurePosixPath(asked.path.partition("?")[0])
    return bool(key.suffix) and key.suffix not in (".json", ".jsonl")


def addresses(cluster: Cluster) -> dict[str, str]:
    """stage -> its running pod's address."""
    return {
        pod["metadata"]["labels"]["machineray/stage"]: str(pod["status"].get("podIP", ""))
        for pod in cluster.list("Pod", fields="status.phase=Running")
    }


@pytest.mark.usefixtures("finished")
def test_a_pod_of_every_stage_stops_with_143_in_the_midst_of_its_work(
    mray: Mray, cluster: Cluster, namespace: str, root: str, front: Front
) -> None:
    front.holds = is_heavy
    for stage in STAGES:
        given = ("--input", INPUTS[stage.name]) if stage.needs else ()
        words = (*given, *OPTIONS.get(stage.name, ()), *SMALL)
        mray("submit", stage.name, "--run", "stop", *words, "--shards", "1")
    mray("submit", "pipeline", "--run", "drive", "--to", "collect", *SMALL)
    stages = {stage.name for stage in STAGES}

    def are_held() -> bool:
        known = addresses(cluster)
        return stages | {"pipeline"} <= known.keys() and all(
            front.held[known[name]] for name in stages
        )

    until("every stage waits for the bucket", are_held, 240)
    until("the driver waits", lambda: "drive" in runs_at_work(cluster, "collect"))
    pods = [pod["metadata"]["name"] for pod in cluster.list("Pod", fields="status.phase=Running")]
    with ExitStack() as kept:
        for name in pods:
            kept.enter_context(kept_pod(namespace, name))
        kubectl("-n", namespace, "delete", "pod", "--wait=false", *pods)
        ended = [until("a pod ends", partial(ended_pod, cluster, name)) for name in pods]
        for job in cluster.list("Job"):
            cluster.delete("Job", job["metadata"]["name"])
    told = {
        pod["metadata"]["labels"]["machineray/stage"]: (end_of(pod), seconds_to_end(pod))
        for pod in ended
    }
    assert {name: code for name, (code, _) in told.items()} == dict.fromkeys(
        (*stages, "pipeline"), 143
    )
    assert max(seconds for _, seconds in told.values()) < GRACE_SECONDS, told


def runs_at_work(cluster: Cluster, stage: str) -> set[str]:
    return {
        job["metadata"]["labels"]["machineray/run"]
        for job in cluster.list("Job", selector=f"machineray/stage={stage}")
    }
