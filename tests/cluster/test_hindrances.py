"""Pods that cannot begin: `mray status` says why in words; and a submit that fails half-way."""

import json
import os

import pytest

from machineray.kube.cluster import Cluster
from tests.cluster.conftest import SMALL, Mray, kubectl, on_the_cluster
from tests.cluster.support import said, status_says, submit_generate, until

pytestmark = on_the_cluster(600)


@pytest.mark.usefixtures("trained")
def test_a_missing_image_is_named_and_the_job_can_be_cancelled(
    mray: Mray, cluster: Cluster
) -> None:
    image = f"{os.environ['REGISTRY']}/machineray-generate@sha256:{'0' * 64}"
    submit_generate(mray, "--seeds", "0-31", "--image", image)
    status_says(mray, "demo/generate", f"image {image} is not in its registry")
    assert "0 of 32 samples are done and stay" in said(mray("cancel", "demo/generate"))
    until("the Job goes", lambda: not cluster.list("Job"), 60)


@pytest.mark.usefixtures("trained")
def test_a_gpu_that_no_node_has(mray: Mray) -> None:
    words = ("--run", "other", "--input", "demo/augment", "--preset", "tiny", "--kimg", "0.1")
    mray("submit", "train", *words, *SMALL, "--gpus", "1", "--gpu-type", "NVIDIA-H100")
    label = "without the label nvidia.com/gpu.product=NVIDIA-H100 or its like"
    status_says(mray, "other/train", "no node fits", label, "pending")
    mray("cancel", "other/train")


def allow(cluster: Cluster, namespace: str, what: str, number: str) -> None:
    patch = json.dumps({"spec": {"hard": {what: number}}})
    kubectl("-n", namespace, "patch", "resourcequota", "mray", "--type=merge", "-p", patch)

    def is_known() -> bool:
        quota = cluster.get("ResourceQuota", "mray") or {}
        return bool(quota.get("status", {}).get("hard", {}).get(what) == number)

    until("the quota counts", is_known)


@pytest.mark.usefixtures("trained")
def test_a_full_quota(mray: Mray, cluster: Cluster, namespace: str) -> None:
    allow(cluster, namespace, "pods", "0")
    submit_generate(mray, "--seeds", "0-31")
    quota = f"quota mray of namespace {namespace} is full"
    status_says(mray, "demo/generate", quota, "allowed pods=0")
    allow(cluster, namespace, "pods", "10")
    mray("wait", "demo/generate", "--timeout", "3m")


@pytest.mark.usefixtures("trained")
def test_a_job_whose_service_is_refused_goes_again(
    mray: Mray, cluster: Cluster, namespace: str
) -> None:
    words = ("--run", "pair", "--input", "demo/augment", "--preset", "tiny", "--kimg", "0.1")
    submit = ("submit", "train", *words, *SMALL, "--nodes", "2")
    allow(cluster, namespace, "services", "0")
    told = mray(*submit, rc=1)
    assert told.stdout == "" and told.stderr.count("\n") == 1
    assert f"namespace {namespace}: the quota does not allow it" in told.stderr
    assert "limited: services=0" in told.stderr
    until("the Job goes", lambda: not cluster.list("Job"))
    assert cluster.list("Service") == []
    allow(cluster, namespace, "services", "1")
    mray(*submit)
    assert len(cluster.list("Job")) == len(cluster.list("Service")) == 1

    # As if the submit had been killed between the two.
    cluster.delete("Service", cluster.list("Service")[0]["metadata"]["name"])
    assert "already running" in mray(*submit).stdout
    assert len(cluster.list("Job")) == len(cluster.list("Service")) == 1
