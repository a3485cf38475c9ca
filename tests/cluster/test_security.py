"""No key of the bucket where it does not belong, and pods that Pod Security "restricted" admits."""

import base64
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from machineray.kube.cluster import Cluster
from machineray.kube.manifests import JobSpec, Resources, job_manifest, torchrun
from machineray.stages import STAGES
from machineray.storage import open_store
from tests.cluster.conftest import SMALL, Mray, kubectl, on_the_cluster
from tests.cluster.support import said, submit_generate

pytestmark = on_the_cluster(600)

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
SHOWN = "jobs,pods,services,configmaps,events,endpointslices,serviceaccounts"


def forms(values: Sequence[str]) -> list[bytes]:
    """The values as they are, and as Kubernetes writes a Secret."""
    plain = [value.encode() for value in values]
    return [*plain, *map(base64.b64encode, plain)]


def places(
    mray: Mray, cluster: Cluster, root: str, runs: Sequence[str]
) -> Iterator[tuple[str, bytes]]:
    """(where, what is there) for all that a run leaves to be seen."""
    namespace = cluster.namespace
    yield "the objects", kubectl("-n", namespace, "get", SHOWN, "-o", "yaml").encode()
    for pod in cluster.list("Pod"):
        name = pod["metadata"]["name"]
        yield f"the log of {name}", kubectl("-n", namespace, "logs", name).encode()
    for words in (("status",), ("config",), ("doctor",), ("ls",), ("doctor", "--cluster")):
        yield f"mray {' '.join(words)}", said(mray(*words, rc=None)).encode()
    for run in runs:
        yield f"mray status {run}", said(mray("status", run)).encode()
        yield f"mray logs {run}", said(mray("logs", f"{run}/generate", rc=None)).encode()
    store = open_store(root)
    for stored in store.list():
        yield stored.key, store.read(stored.key)


@pytest.mark.usefixtures("trained")
def test_no_key_of_the_bucket_is_to_be_seen_after_a_run(
    mray: Mray, cluster: Cluster, root: str
) -> None:
    words = ("--trained", "demo/train", "--run", "more", "--seeds", "0-1", *SMALL)
    shown = said(mray("submit", "pipeline", *words, "--dry-run", "-o", "yaml"))
    shown += said(mray("submit", "pipeline", *words))
    mray("wait", "more/pipeline")
    found = dict(places(mray, cluster, root, ["more"]))
    assert "mray-bucket" in found["the objects"].decode()  # the Secret's name, not what it holds
    assert any(name.startswith("the log of mray-more-pipeline") for name in found)
    assert "runs/more/run.json" in found and "runs/more/generate/_done/0.json" in found
    hidden = forms([os.environ[key] for key in KEYS])
    named = [where for where, data in found.items() if any(form in data for form in hidden)]
    assert not named
    assert not [form for form in hidden if form in shown.encode()]


@pytest.mark.usefixtures("trained")
def test_keys_that_are_refused_are_not_told_either(
    mray: Mray, cluster: Cluster, namespace: str, root: str
) -> None:
    """Keys that nobody else has, and that the bucket does not know: the error names neither."""
    made = {key: secrets.token_urlsafe(30) for key in KEYS}
    patch = json.dumps({"stringData": made})
    kubectl("-n", namespace, "patch", "secret", "mray-bucket", "--type=merge", "-p", patch)
    submit_generate(mray, "--seeds", "0-31")
    text = said(mray("wait", "demo/generate", rc=1))
    assert "the credentials are wrong or expired" in text
    found = {"mray wait": text.encode(), **dict(places(mray, cluster, root, ["demo"]))}
    assert any(name.startswith("the log of mray-demo-generate") for name in found)
    hidden = forms(list(made.values()))
    assert not [where for where, data in found.items() if any(form in data for form in hidden)]


# -- restricted


def rendered(mray: Mray) -> Iterator[dict[str, Any]]:
    """The Job of every stage, with and without a GPU, and of the pipeline, as submit shows it."""

    def shown(*words: str) -> dict[str, Any]:
        done = mray("submit", *words, "--run", "all", "--dry-run", "-o", "json")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    tiny = ("--preset", "tiny")  # for pictures of 32 px
    for stage in STAGES:
        source = f"demo/{stage.needs[0]}" if stage.needs else "examples"
        yield shown(stage.name, "--input", source, *(tiny if stage.name == "train" else ()))
    gpus = ("--gpus", "1", "--gpu-type", "A100", "--spot")
    yield shown("train", "--input", "demo/augment", *tiny, *gpus)
    yield shown("pipeline")


def of_several_nodes(namespace: str) -> dict[str, Any]:
    """The Job of a training over two nodes with two GPUs each."""
    name = "mray-all-train-00000000"
    spec = JobSpec(
        name=name,
        namespace=namespace,
        run="all",
        stage="train",
        container_image=f"{os.environ['REGISTRY']}/machineray-train",
        command=torchrun(name, 2, 2, "jobs.train"),
        args=["--run", "all"],
        completions=2,
        parallelism=2,
        nodes=2,
        resources=Resources("1", "4Gi", "4Gi", gpus=2),
    )
    return job_manifest(spec)


def judged(namespace: str, job: dict[str, Any]) -> str:
    """What admission says of the Job's pod itself: of a Job it only warns."""
    template = job["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": "judged", "namespace": namespace},
        "spec": template["spec"],
    }
    command = ("-n", namespace, "create", "--dry-run=server", "-o", "name", "-f", "-")
    return kubectl(*command, stdin=json.dumps(pod), check=False, errors=True)


@pytest.mark.usefixtures("finished")
def test_restricted_pod_security_admits_every_pod_of_ours(
    mray: Mray, namespace: str, cluster: Cluster
) -> None:
    level = cluster.raw(f"/api/v1/namespaces/{namespace}") or {}
    assert level["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    jobs = [*rendered(mray), of_several_nodes(namespace)]
    assert len(jobs) == len(STAGES) + 3
    verdicts = {json.dumps(job["spec"]["template"]): judged(namespace, job) for job in jobs}
    assert set(verdicts.values()) == {"pod/judged\n"}
    (container,) = jobs[0]["spec"]["template"]["spec"]["containers"]
    container["securityContext"]["allowPrivilegeEscalation"] = True
    assert 'violates PodSecurity "restricted' in judged(namespace, jobs[0])
