"""Manifests: what is in every one, what an option changes, and the rendered ones in k8s/jobs."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from jobs import defaults_of, function_of
from machineray.errors import TemporaryError
from machineray.gan.training import FIRST_CHECKPOINT_SECONDS
from machineray.kube.manifests import (
    GPU_TYPE_LABELS,
    JobSpec,
    Placement,
    Resources,
    job_manifest,
    job_name,
    merged,
    selector,
    service_manifest,
    torchrun,
)
from machineray.runs import checked_run
from machineray.stages import STAGES

PROJECT = Path(__file__).resolve().parent.parent.parent
SPEC = JobSpec(
    "mray-klee-train-1", "art", "klee", "train", "r.io/train@sha256:1", ("--run", "klee")
)


def pod(spec: JobSpec) -> Any:
    return job_manifest(spec)["spec"]["template"]["spec"]


def test_the_rendered_jobs_are_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "tools"))
    import render_jobs

    texts = {path.name: path.read_text() for path in (PROJECT / "k8s" / "jobs").glob("*.yaml")}
    assert texts == render_jobs.rendered(), "run tools/render_jobs.py"
    assert set(texts) == {f"{stage.name}.yaml" for stage in STAGES}
    sys.modules.pop("render_jobs")


def test_no_secret_stands_in_a_manifest_but_its_name() -> None:
    text = yaml.safe_dump(job_manifest(SPEC))
    assert "secretRef" in text and "mray-bucket" in text
    assert not re.search(r"AWS_|ACCESS_KEY|password|token:", text)
    assert pod(SPEC)["automountServiceAccountToken"] is False
    assert pod(replace(SPEC, bucket_secret=None))["containers"][0]["envFrom"] == []


def test_the_memory_limit_is_the_request_and_a_gpu_is_a_limit() -> None:
    spec = replace(SPEC, resources=Resources("500m", "3Gi", "9Gi", gpus=2))
    resources = pod(spec)["containers"][0]["resources"]
    assert resources["requests"] == {
        "cpu": "500m", "memory": "3Gi", "ephemeral-storage": "9Gi", "nvidia.com/gpu": "2",
    }  # fmt: skip
    assert resources["limits"] == {
        "memory": "3Gi", "ephemeral-storage": "9Gi", "nvidia.com/gpu": "2",
    }  # fmt: skip
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod(spec)[
        "tolerations"
    ]


def test_training_has_shared_memory_and_the_others_have_not() -> None:
    names = [volume["name"] for volume in pod(SPEC)["volumes"]]
    assert names == ["tmp", "shm"]
    others = pod(replace(SPEC, stage="unframe"))["volumes"]
    assert [volume["name"] for volume in others] == ["tmp"]


def test_grace_and_the_period_of_checkpoints_go_together() -> None:
    """A training that is told to stop has longer than others, for a step and a checkpoint. A node
    that goes at once costs the work since the last one: at first less than that time, later a
    period, which is longer.
    """
    files = (PROJECT / "k8s" / "jobs").glob("*.yaml")
    pods = {
        path.stem: yaml.safe_load(path.read_text())["spec"]["template"]["spec"] for path in files
    }
    grace = {stage: pod["terminationGracePeriodSeconds"] for stage, pod in pods.items()}
    assert grace == {stage.name: stage.pod.grace_seconds for stage in STAGES}
    assert grace["train"] > max(grace[stage] for stage in grace if stage != "train")
    assert "--checkpoint-seconds" not in pods["train"]["containers"][0]["args"]
    period = defaults_of(function_of("train"))["checkpoint_seconds"]
    assert FIRST_CHECKPOINT_SECONDS < grace["train"] < period


def test_the_processes_of_a_torchrun_have_the_pods_grace() -> None:
    """Of its own accord it kills them 30 s after they are told to stop."""
    many = replace(SPEC, command=torchrun(SPEC.name, 1, 2, "jobs.train"), grace_seconds=90)
    told = {"name": "TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "value": "90"}
    assert told in pod(many)["containers"][0]["env"]
    names = [entry["name"] for entry in pod(SPEC)["containers"][0]["env"]]
    assert "TORCH_ELASTIC_SHUTDOWN_TIMEOUT" not in names


def test_what_an_exit_means() -> None:
    rules = job_manifest(SPEC)["spec"]["podFailurePolicy"]["rules"]
    assert rules[0]["action"] == "Ignore"
    assert rules[0]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    by_code = {code: rule["action"] for rule in rules[1:] for code in rule["onExitCodes"]["values"]}
    assert by_code == {2: "FailJob", 64: "FailJob", 78: "FailJob", 65: "FailIndex"}
    assert 143 not in by_code  # after SIGTERM it is tried again


def test_one_training_over_several_nodes() -> None:
    spec = replace(SPEC, nodes=3, completions=3, parallelism=3)
    job = job_manifest(spec)
    assert "backoffLimitPerIndex" not in job["spec"]  # the others would wait for ever
    assert job["spec"]["backoffLimit"] == 9
    actions = [rule["action"] for rule in job["spec"]["podFailurePolicy"]["rules"]]
    assert actions == ["Ignore", "FailJob", "FailJob", "Ignore"]
    left_behind = job["spec"]["podFailurePolicy"]["rules"][-1]["onExitCodes"]
    assert left_behind["values"] == [TemporaryError.pod_exit_code]
    service = service_manifest(spec, {"metadata": {"uid": "u"}})
    assert service["metadata"]["name"] == pod(spec)["subdomain"] == spec.name
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert service["metadata"]["ownerReferences"][0]["uid"] == "u"
    command = torchrun(spec.name, 3, 2, "jobs.train")
    assert "--master-addr=mray-klee-train-1-0.mray-klee-train-1" in command
    assert "--node-rank=$(JOB_COMPLETION_INDEX)" in command
    assert command[-2:] == ["--", "jobs.train"]


def test_a_gpu_type_is_any_clouds_word_for_it_and_spot_too() -> None:
    spec = replace(SPEC, placement=Placement(gpu_type="A100", spot=True, queue="lab"))
    terms = pod(spec)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert {term["matchExpressions"][0]["key"] for term in terms} == set(GPU_TYPE_LABELS)
    assert all(len(term["matchExpressions"]) == 2 for term in terms)
    assert len(terms) == 16
    assert job_manifest(spec)["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "lab"
    assert "kueue.x-k8s.io/queue-name" not in job_manifest(SPEC)["metadata"]["labels"]


def test_a_patch_is_merged_as_kubernetes_does() -> None:
    patch = {
        "containers": [{"name": "train", "env": [{"name": "NCCL_DEBUG", "value": "INFO"}]}],
        "securityContext": {"fsGroup": None, "runAsUser": 7},
        "hostNetwork": True,
    }
    changed = pod(replace(SPEC, placement=Placement(pod_patch=patch)))
    (container,) = changed["containers"]
    assert container["image"] == "r.io/train@sha256:1"
    assert {"name": "NCCL_DEBUG", "value": "INFO"} in container["env"]
    assert {"name": "HOME", "value": "/tmp"} in container["env"]
    assert "fsGroup" not in changed["securityContext"]
    assert changed["securityContext"]["runAsUser"] == 7
    assert changed["hostNetwork"] is True


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text()))
def test_an_empty_patch_changes_nothing(base: dict[str, Any]) -> None:
    assert merged(base, {}) == {key: value for key, value in base.items() if value is not None}


@given(st.from_regex(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?", fullmatch=True))
def test_the_longest_names_fit_with_their_index(run: str) -> None:
    for stage in [*(row.name for row in STAGES), "pipeline"]:
        name = job_name(checked_run(run), stage, ["identity"])
        assert len(f"{name}-99999") <= 63
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)


def test_the_same_identity_is_the_same_name_and_another_is_another() -> None:
    assert job_name("r", "train", ["s3://b", 1]) == job_name("r", "train", ["s3://b", 1])
    assert job_name("r", "train", ["s3://b", 1]) != job_name("r", "train", ["s3://c", 1])
    assert selector("r") == "app.kubernetes.io/part-of=machineray,machineray/run=r"
