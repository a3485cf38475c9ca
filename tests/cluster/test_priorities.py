"""Who makes room for whom: the priority classes of k8s/base, on GPUs that are all taken."""

import pytest

from machineray.kube.cluster import Cluster
from machineray.runs import StageRun
from machineray.storage import open_store
from tests.cluster.conftest import SMALL, Mray, on_the_cluster
from tests.cluster.front import Front, is_a_sample
from tests.cluster.support import catalog, gpus_of_the_cluster, pods, until

pytestmark = [*on_the_cluster(600), pytest.mark.xdist_group("gpus")]  # they want all of them


def running(cluster: Cluster, stage: str) -> list[str]:
    return [name for name in pods(cluster, "Running") if f"-{stage}-" in name]


@pytest.mark.usefixtures("trained")
def test_a_training_takes_a_gpu_from_a_batch_that_loses_nothing(
    mray: Mray, cluster: Cluster, root: str, front: Front
) -> None:
    gpus = gpus_of_the_cluster(cluster)
    if not gpus:
        pytest.skip("no node of this cluster has a GPU to take")
    batch = ("generate", "--run", "demo", "--seeds", f"0-{64 * gpus - 1}", "--shards", str(gpus))
    with front.holding(is_a_sample):  # or a pod may be done before the training wants its GPU
        mray("submit", *batch, *SMALL, "--gpus", "1")
        until("all GPUs are at work", lambda: len(front.held) == gpus)
        words = ("--run", "urgent", "--input", "demo/augment", "--preset", "tiny", "--kimg", "0.1")
        mray("submit", "train", *words, *SMALL, "--gpus", "1")
        until("the training has one of them", lambda: running(cluster, "train"))
        assert len(running(cluster, "generate")) == gpus - 1
    mray("wait", "urgent/train", "demo/generate")
    assert StageRun(open_store(root), "urgent", "train").is_complete()
    assert [row["seed"] for row in catalog(root)] == list(range(64 * gpus))
