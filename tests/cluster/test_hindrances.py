"""Pods that cannot begin, and who may do what: `mray status` says why in words."""

import json
import os

import pytest

from machineray.cluster_doctor import NEEDED
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


def allow_pods(cluster: Cluster, namespace: str, number: str) -> None:
    patch = json.dumps({"spec": {"hard": {"pods": number}}})
    kubectl("-n", namespace, "patch", "resourcequota", "mray", "--type=merge", "-p", patch)

    def is_known() -> bool:
        quota = cluster.get("ResourceQuota", "mray") or {}
        return bool(quota.get("status", {}).get("hard", {}).get("pods") == number)

    until("the quota counts", is_known)


@pytest.mark.usefixtures("trained")
def test_a_full_quota(mray: Mray, cluster: Cluster, namespace: str) -> None:
    allow_pods(cluster, namespace, "0")
    submit_generate(mray, "--seeds", "0-31")
    quota = f"quota mray of namespace {namespace} is full"
    status_says(mray, "demo/generate", quota, "allowed pods=0")
    allow_pods(cluster, namespace, "10")
    mray("wait", "demo/generate", "--timeout", "3m")


def may(namespace: str, verb: str, resource: str, subresource: str = "") -> bool:
    """Whether a person of the group that k8s/base names may do it."""
    person = ("-n", namespace, "--as=person", "--as-group=mray-submitters")
    part = (f"--subresource={subresource}",) if subresource else ()
    words = ("auth", "can-i", verb, resource, *part)
    return kubectl(*person, *words, check=False).strip() == "yes"


def test_the_submitters_role_is_enough(namespace: str) -> None:
    lacking = [
        (verb, resource, subresource)
        for group, resource, subresource, verb in NEEDED
        if not may(namespace, verb, f"{resource}.{group}" if group else resource, subresource)
    ]
    assert not lacking


def test_the_submitters_role_is_no_more_than_that(namespace: str) -> None:
    forbidden = [
        *(("secrets", "", verb) for verb in ("get", "list", "create", "watch")),
        *(("pods", "", verb) for verb in ("create", "delete", "patch")),
        ("pods", "exec", "create"),
        ("pods", "attach", "create"),
        ("jobs.batch", "", "patch"),
        ("rolebindings.rbac.authorization.k8s.io", "", "create"),
        ("resourcequotas", "", "patch"),
    ]
    allowed = [
        (verb, resource, subresource)
        for resource, subresource, verb in forbidden
        if may(namespace, verb, resource, subresource)
    ]
    assert not allowed
    assert not may("default", "create", "jobs.batch")
