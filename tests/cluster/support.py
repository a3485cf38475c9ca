"""What the tests on a real cluster share: doing harm to pods, and seeing what comes of it."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from machineray.kube.cluster import Cluster
from machineray.runs import StageRun
from machineray.storage import open_store
from tests.cluster.conftest import SMALL, Mray, kubectl

PATIENCE_SECONDS = 120.0
OUT_OF_MEMORY = "out of memory"

Answer = TypeVar("Answer")


def until(
    what: str,
    ask: Callable[[], Answer],
    seconds: float = PATIENCE_SECONDS,
    pause_seconds: float = 0.3,
) -> Answer:
    """The first answer that is true."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(pause_seconds)
    return answer


def said(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


def gpus_of_the_cluster(cluster: Cluster) -> int:
    return sum(
        int(node["status"].get("allocatable", {}).get("nvidia.com/gpu", 0))
        for node in cluster.list("Node")
    )


def submit_generate(mray: Mray, *words: str, rc: int = 0) -> str:
    return said(mray("submit", "generate", "--run", "demo", *SMALL, *words, rc=rc))


def only_job(cluster: Cluster) -> dict[str, Any]:
    (job,) = cluster.list("Job")
    return job


def pods(cluster: Cluster, phase: str = "") -> list[str]:
    """The names of the pods in a phase that nobody has told to go."""
    return [
        pod["metadata"]["name"]
        for pod in cluster.list("Pod")
        if phase in ("", pod["status"].get("phase")) and "deletionTimestamp" not in pod["metadata"]
    ]


def index_of(pod: str) -> str:
    return pod.split("-")[-2]


def kill_pod(namespace: str, name: str) -> None:
    words = ("--grace-period=0", "--force", "--wait=false", "--ignore-not-found")
    kubectl("-n", namespace, "delete", "pod", name, *words)


def evict_pod(namespace: str, name: str) -> None:
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
    }
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))


def catalog(root: str, stage: str = "generate", run: str = "demo") -> list[dict[str, Any]]:
    return StageRun(open_store(root), run, stage).catalog()


def drop_markers(output: StageRun, *indexes: int | str) -> None:
    for index in indexes:
        output.store.delete(output.key(f"_done/{index}.json"))


def status_says(mray: Mray, what: str, *wanted: str, seconds: float = 60) -> str:
    """`mray status`, as soon as it says all that is wanted."""
    told: list[str] = []

    def ask() -> str:
        told.append(said(mray("status", what)))
        return told[-1] if all(words in told[-1] for words in wanted) else ""

    try:
        # Each question is a process, and takes from the pods what it asks about.
        return until(f"status says {wanted}", ask, seconds, pause_seconds=2.0)
    except AssertionError as error:
        raise AssertionError(f"{error}; it says:\n{told[-1]}") from error


def end_of(pod: dict[str, Any]) -> int | str:
    """An ended pod's exit code, or that memory ran out."""
    (status,) = pod["status"]["containerStatuses"]
    end = status["state"]["terminated"]
    return OUT_OF_MEMORY if end["reason"] == "OOMKilled" else int(end["exitCode"])


def stage_jobs(cluster: Cluster) -> dict[str, str]:
    """uid -> stage of all Jobs."""
    return {
        job["metadata"]["uid"]: job["metadata"]["labels"]["machineray/stage"]
        for job in cluster.list("Job")
    }


def driver_pods(cluster: Cluster) -> list[str]:
    return [name for name in pods(cluster, "Running") if "-pipeline-" in name]


def seconds_to_end(pod: dict[str, Any]) -> float:
    """From the order to go to the container's end."""
    metadata = pod["metadata"]
    ordered = datetime.fromisoformat(metadata["deletionTimestamp"]).timestamp()
    ordered -= metadata["deletionGracePeriodSeconds"]
    (status,) = pod["status"]["containerStatuses"]
    ended = datetime.fromisoformat(status["state"]["terminated"]["finishedAt"]).timestamp()
    return ended - ordered


def ended_pod(cluster: Cluster, name: str) -> dict[str, Any] | None:
    """The pod, when its container has ended."""
    pod = cluster.get("Pod", name) or {}
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return pod if statuses and "terminated" in statuses[0]["state"] else None


@contextmanager
def kept_pod(namespace: str, name: str) -> Iterator[None]:
    """The pod's object outlives the pod: a finalizer of ours holds it."""
    add = '[{"op": "add", "path": "/metadata/finalizers/-", "value": "machineray.test/kept"}]'
    kubectl("-n", namespace, "patch", "pod", name, "--type=json", "-p", add)
    try:
        yield
    finally:
        free = '{"metadata": {"finalizers": null}}'
        words = ("patch", "pod", name, "--type=merge", "-p", free)
        kubectl("-n", namespace, *words, check=False)


def exit_code(cluster: Cluster, pod: str) -> int | None:
    """Of the pod's container; None while it runs."""
    found = cluster.get("Pod", pod) or {}
    for status in found.get("status", {}).get("containerStatuses", []):
        if "terminated" in status["state"]:
            return int(status["state"]["terminated"]["exitCode"])
    return None


def deleted_pod(cluster: Cluster, namespace: str, pod: str) -> int:
    """The exit code of a pod that is deleted as a drain or a person does it."""
    with kept_pod(namespace, pod):
        kubectl("-n", namespace, "delete", "pod", pod, "--wait=false")
        code = until("the container ends", lambda: exit_code(cluster, pod), 90)
    assert code is not None
    return code


FAILURE_COUNT = "metadata.annotations['batch.kubernetes.io/job-index-failure-count']"


@contextmanager
def patched(folder: Path, script: str, stage: str = "generate") -> Iterator[None]:
    """The test's profile patches the stage's pods: a shell script runs in place of the stage.

    "$@" are the stage's arguments, $FAILURES is how often the index has failed before.
    """
    profile = folder / "mray.toml"
    text = profile.read_text()
    command = json.dumps(["sh", "-c", script, stage])  # JSON's lists and texts are TOML's, too
    lines = [
        "[[profiles.test.pod_patch.containers]]",
        f'name = "{stage}"',
        f"command = {command}",
        f'env = [{{ name = "FAILURES", valueFrom.fieldRef.fieldPath = "{FAILURE_COUNT}" }}]',
    ]
    profile.write_text(text + "\n".join(lines) + "\n")
    try:
        yield
    finally:
        profile.write_text(text)
