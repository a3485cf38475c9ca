"""One training over several nodes: Service, names, ranks; one death ends all, and all go on."""

import pytest

from machineray.kube.cluster import Cluster
from machineray.runs import StageRun, sha256_of
from machineray.storage import open_store
from machineray.tracking import bucket_row
from tests.cluster.conftest import SMALL, Mray, kubectl, on_the_cluster
from tests.cluster.support import index_of, kill_pod, only_job, pods, until

pytestmark = on_the_cluster(900)

WORDS = ("--input", "demo/augment", "--preset", "tiny", "--kimg", "0.24")
OFTEN = ("--checkpoint-seconds", "1")
TWO_NODES = (*SMALL, "--nodes", "2")


def log_of(namespace: str, pod: str) -> str:
    return kubectl("-n", namespace, "logs", pod, check=False)


@pytest.mark.usefixtures("trained")
def test_two_pods_train_one_network_and_a_killed_one_costs_nothing(
    mray: Mray, cluster: Cluster, namespace: str, root: str
) -> None:
    """The weights are those of two pods that nobody disturbed, bit for bit."""
    mray("submit", "train", "--run", "calm", *WORDS, *OFTEN, *TWO_NODES)
    assert cluster.get("Service", only_job(cluster)["metadata"]["name"])
    mray("wait", "calm/train")
    first = {index_of(name): log_of(namespace, name) for name in pods(cluster)}
    assert "train: look at" in first["0"]
    # The first process speaks for all. torch says it where the other's name is not known yet.
    lines = first["1"].splitlines()
    assert [line for line in lines if "[c10d] The IPv6 network addresses" not in line] == []
    assert "nothing is at work on it" in mray("cancel", "calm").stdout
    cluster.delete("Job", only_job(cluster)["metadata"]["name"])
    until("the Job goes", lambda: not cluster.list("Job"))
    until("the Service goes with its Job", lambda: not cluster.list("Service"))

    mray("submit", "train", "--run", "killed", *WORDS, *OFTEN, *TWO_NODES)
    output = StageRun(open_store(root), "killed", "train")
    until("a checkpoint", lambda: bucket_row(output).done > 0)
    assert not output.is_complete()
    (other,) = [name for name in pods(cluster, "Running") if index_of(name) == "1"]
    kill_pod(namespace, other)
    mray("wait", "killed/train")

    calm = StageRun(open_store(root), "calm", "train")
    name = "snapshot.safetensors"
    assert sha256_of(output.read(name)) == sha256_of(calm.read(name))


@pytest.mark.usefixtures("trained")
def test_a_mistake_of_all_processes_ends_the_job_at_once_with_its_reason(
    mray: Mray, cluster: Cluster
) -> None:
    words = ("--run", "uneven", *WORDS, *TWO_NODES[:-1], "3")
    mray("submit", "train", *words)
    text = mray("wait", "uneven/train", rc=1).stderr
    assert "cannot be shared by 3 processes" in text
    assert "Traceback" not in text
