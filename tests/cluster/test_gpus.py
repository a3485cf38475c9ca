"""Several GPUs are several processes of one pod; and GPUs that others have are waited for."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from machineray.kube.cluster import Cluster
from machineray.kube.manifests import JobSpec, Placement, Resources, job_manifest
from machineray.runs import StageRun, sha256_of
from machineray.stages import TRAIN_PRIORITY
from machineray.storage import open_store
from machineray.tracking import bucket_row
from tests.cluster.conftest import Mray, kubectl, on_the_cluster
from tests.cluster.support import (
    deleted_pod,
    gpus_of_the_cluster,
    pods,
    said,
    status_says,
    until,
)

pytestmark = [*on_the_cluster(900), pytest.mark.xdist_group("gpus")]  # they want all of them

ROOM = ("--cpu", "50m", "--memory", "3Gi", "--disk", "1Gi")
TWO_GPUS = ("--input", "demo/augment", "--preset", "tiny", *ROOM, "--gpus", "2")
SHM_BYTES = 2 << 30


@pytest.fixture
def gpus(cluster: Cluster) -> int:
    """How many the cluster has; skips where a training with two cannot be."""
    number = gpus_of_the_cluster(cluster)
    if number < 2:
        pytest.skip(f"{number} GPUs in this cluster, and these tests need 2")
    return number


@contextmanager
def taken(cluster: Cluster, gpus: int) -> Iterator[None]:
    """So many GPUs are in the hands of pods that no training may send away."""
    image = f"{os.environ['REGISTRY']}/machineray-pipeline:{os.environ.get('TAG') or 'dev'}"
    spec = JobSpec(
        name="taker",
        namespace=cluster.namespace,
        run="taker",
        stage="generate",
        container_image=image,
        command=("sleep", "900"),
        args=(),
        completions=gpus,
        parallelism=gpus,
        resources=Resources("10m", "64Mi", "64Mi", gpus=1),
        placement=Placement(priority_class=TRAIN_PRIORITY),
        grace_seconds=1,
    )
    cluster.create(job_manifest(spec))
    try:
        until("all GPUs are taken", lambda: len(pods(cluster, "Running")) == gpus)
        yield
    finally:
        cluster.delete("Job", spec.name, wait_seconds=60)


@pytest.mark.usefixtures("trained")
def test_gpus_that_others_have_are_waited_for_in_words(
    mray: Mray, cluster: Cluster, root: str, gpus: int
) -> None:
    with taken(cluster, gpus):
        mray("submit", "train", "--run", "two", *TWO_GPUS, "--kimg", "0.1")
        status_says(mray, "two/train", "pending", "waits for 2 GPUs to be free on one node")
    mray("wait", "two/train")
    assert "complete" in said(mray("status", "two/train"))
    (pod,) = cluster.list("Pod", selector="machineray/run=two")
    (container,) = pod["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert {"--nproc-per-node=2", "--standalone"} <= set(container["command"])


@pytest.mark.usefixtures("trained", "gpus")
def test_two_processes_that_are_told_to_stop_leave_a_checkpoint_and_go_on(
    mray: Mray, cluster: Cluster, namespace: str, root: str
) -> None:
    """It is the signal's own: the first one by the clock is not due yet."""
    words = (*TWO_GPUS, "--kimg", "0.24")
    mray("submit", "train", "--run", "stopped", *words)
    output = StageRun(open_store(root), "stopped", "train")
    until("it trains", lambda: output.store.size(output.key("snapshots/000000000.json")))
    (pod,) = pods(cluster, "Running")
    has_shared_memory(namespace, pod)
    assert deleted_pod(cluster, namespace, pod) == 143
    assert bucket_row(output).done > 0 and not output.is_complete()
    mray("wait", "stopped/train")
    (heir,) = [name for name in pods(cluster) if name != pod]
    log = kubectl("-n", namespace, "logs", heir)
    assert "goes on" in log and "train: 0/" not in log

    mray("submit", "train", "--run", "calm", *words)
    mray("wait", "calm/train")
    calm = StageRun(open_store(root), "calm", "train")
    name = "snapshot.safetensors"
    assert sha256_of(output.read(name)) == sha256_of(calm.read(name))


def has_shared_memory(namespace: str, pod: str) -> None:
    """/dev/shm is memory, of the size that the manifest says, and the stage may write there."""
    look = "df -B1 --output=fstype,size /dev/shm | tail -1; head -c 100M /dev/zero > /dev/shm/zero"
    told = kubectl("-n", namespace, "exec", pod, "--", "sh", "-c", f"{look}; rm /dev/shm/zero")
    assert told.split() == ["tmpfs", str(SHM_BYTES)]
