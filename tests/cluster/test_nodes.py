"""The wiring of one training over several nodes: Service, names, ranks, and one death ends all.

The trainer works in one process so far; a small program of ours stands in its place.
"""

import os
import time
from typing import Any

import pytest

from machineray.kube.cluster import Cluster
from machineray.kube.logs import job_lines
from machineray.kube.manifests import (
    JobSpec,
    Resources,
    job_manifest,
    service_manifest,
    torchrun,
)
from machineray.kube.registry import pinned
from machineray.kube.words import job_state

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.xdist_group("cluster"),
    pytest.mark.timeout(400),
]

PROGRAM = """
import os, sys, time, torch, torch.distributed as dist
dist.init_process_group('gloo')
number = torch.tensor([float(dist.get_rank() + 1)])
dist.all_reduce(number)
print(f'rank {dist.get_rank()} of {dist.get_world_size()}: sum {number.item():g}', flush=True)
if sys.argv[-1] == 'die' and dist.get_rank() == 1:
    os._exit(3)
if sys.argv[-1] == 'die':
    dist.all_reduce(number)  # the other one is dead
"""


def spec_of(cluster: Cluster, ending: str) -> JobSpec:
    tag = os.environ.get("TAG") or "dev"
    name = f"mray-nodes-train-{ending}"
    command = torchrun(name, 2, 0, "jobs.train")[:-2]  # all but the module
    return JobSpec(
        name=name,
        namespace=cluster.namespace,
        run="nodes",
        stage="train",
        container_image=pinned(f"{os.environ['REGISTRY']}/machineray-train:{tag}"),
        command=command,
        args=["--no-python", "python", "-c", PROGRAM, ending],
        env={"GLOO_SOCKET_IFNAME": "eth0", "GOMP_SPINCOUNT": "10000"},
        completions=2,
        parallelism=2,
        nodes=2,
        resources=Resources("100m", "1500Mi", "1Gi"),
        bucket_secret=None,
        retries=0,
    )


def ended(cluster: Cluster, spec: JobSpec) -> tuple[str, str]:
    """(the Job's state at its end, what its pods said)."""
    job = cluster.create(job_manifest(spec))
    cluster.create(service_manifest(spec, job))
    deadline = time.monotonic() + 300
    state = ""
    while time.monotonic() < deadline:
        found: Any = cluster.get("Job", spec.name)
        state = job_state(found).state
        if state in ("complete", "failed"):
            break
        time.sleep(1)
    return state, "\n".join(line.text for line in job_lines(cluster, spec.name))


def test_two_pods_find_one_another_and_add_up(cluster: Cluster) -> None:
    spec = spec_of(cluster, "live")
    state, text = ended(cluster, spec)
    assert state == "complete", text
    assert "rank 0 of 2: sum 3" in text
    assert "rank 1 of 2: sum 3" in text
    cluster.delete("Job", spec.name, wait_seconds=60)
    for _ in range(60):  # the Service goes with its Job
        if cluster.get("Service", spec.name) is None:
            return
        time.sleep(1)
    pytest.fail("the Service outlives its Job")


def test_one_rank_that_dies_ends_all(cluster: Cluster) -> None:
    """Rank 0 waits for rank 1 in a collective; it must not wait for ever."""
    spec = spec_of(cluster, "die")
    state, text = ended(cluster, spec)
    assert state == "failed", text
    assert "rank 1 of 2: sum 3" in text
    selector = f"batch.kubernetes.io/job-name={spec.name}"
    for _ in range(120):
        pods = cluster.list("Pod", selector=selector, fields="status.phase=Running")
        if not pods:
            return
        time.sleep(1)
    pytest.fail("a rank goes on alone")
