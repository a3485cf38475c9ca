"""What goes wrong in a real cluster: nothing is lost, nothing twice, and it is said in words."""

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from machineray.cluster_doctor import NEEDED
from machineray.kube.cluster import Cluster
from machineray.kube.words import job_state
from machineray.runs import StageRun, sha256_of
from machineray.storage import open_store
from machineray.tracking import bucket_row
from tests.cluster.conftest import MRAY, SMALL, Mray, kubectl

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.xdist_group("cluster"),
    pytest.mark.timeout(600),
]

PATIENCE_SECONDS = 120.0
OUTAGE_SECONDS = 15.0

Answer = TypeVar("Answer")
Harness = Callable[..., None]


def until(what: str, ask: Callable[[], Answer], seconds: float = PATIENCE_SECONDS) -> Answer:
    """The first answer that is true."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.3)
    return answer


def said(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


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


def status_says(mray: Mray, what: str, *wanted: str) -> str:
    """`mray status`, as soon as it says all that is wanted."""
    told: list[str] = []

    def ask() -> str:
        told.append(said(mray("status", what)))
        return told[-1] if all(words in told[-1] for words in wanted) else ""

    try:
        return until(f"status says {wanted}", ask, 60)
    except AssertionError as error:
        raise AssertionError(f"{error}; it says:\n{told[-1]}") from error


# -- pods that die


def local_samples(mray: Mray, root: str, folder: Path, seeds: list[int]) -> dict[int, str]:
    """The SHA-256 of samples that this machine draws from the same snapshot."""
    store = open_store(root)
    (folder / "snapshot.safetensors").write_bytes(
        store.read("runs/demo/train/snapshot.safetensors")
    )
    place = str(folder / "local")
    words = ("--root", place, "--snapshot", str(folder / "snapshot.safetensors"))
    mray("run", "generate", "--run", "demo", *words, "--seeds", ",".join(map(str, seeds)))
    local = open_store(place)
    return {row["seed"]: sha256_of(local.read(row["key"])) for row in catalog(place)}


def disturbed(cluster: Cluster, namespace: str, kills: int, waiting: Callable[[], bool]) -> int:
    """Kill so many running pods, each of another index, and evict one: how many it were."""
    todo: list[Callable[[str, str], None]] = [kill_pod] * kills
    todo.insert(1, evict_pod)
    hit: set[str] = set()
    while todo and not waiting():
        running = [name for name in pods(cluster, "Running") if index_of(name) not in hit]
        if running:
            todo.pop(0)(namespace, running[0])
            hit.add(index_of(running[0]))
        time.sleep(0.5)
    return len(hit)


def index_of(pod: str) -> str:
    return pod.split("-")[-2]


@pytest.mark.usefixtures("trained")
def test_killed_and_evicted_pods_lose_nothing_and_repeat_nothing(
    mray: Mray, cluster: Cluster, namespace: str, root: str, tmp_path: Path
) -> None:
    submit_generate(mray, "--seeds", "0-639", "--shards", "20", "--parallelism", "4")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(mray, "wait", "demo/generate")
        assert disturbed(cluster, namespace, 4, waiting.done) == 5
        waiting.result()
    assert job_state(only_job(cluster)).done == 20
    rows = catalog(root)
    assert [row["seed"] for row in rows] == list(range(640))
    store, seeds = open_store(root), [0, 31, 32, 350, 639]
    drawn = {row["seed"]: sha256_of(store.read(row["key"])) for row in rows if row["seed"] in seeds}
    assert drawn == local_samples(mray, root, tmp_path, seeds)


# -- submitting again


@pytest.mark.usefixtures("trained")
def test_a_second_submit_makes_no_second_job(mray: Mray, cluster: Cluster) -> None:
    words = ("--seeds", "0-31")
    assert "Job mray-demo-generate-" in submit_generate(mray, *words)
    uid = only_job(cluster)["metadata"]["uid"]
    assert "already running" in submit_generate(mray, *words)
    mray("wait", "demo/generate")
    assert "already done" in submit_generate(mray, *words)
    text = submit_generate(mray, *words, "--psi", "0.5", rc=2)
    assert "psi" in text and "0.5" in text and "1.0" in text
    assert only_job(cluster)["metadata"]["uid"] == uid


@pytest.mark.usefixtures("trained")
def test_two_submits_at_the_same_moment_make_one_job(mray: Mray, cluster: Cluster) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: submit_generate(mray, "--seeds", "0-31"), range(2)))
    only_job(cluster)
    assert sorted("already running" in text for text in both) == [False, True]
    mray("wait", "demo/generate")


@pytest.mark.usefixtures("trained")
def test_markers_count_and_not_the_jobs_word(mray: Mray, cluster: Cluster, root: str) -> None:
    words = ("--seeds", "0-191", "--shards", "2")
    submit_generate(mray, *words)
    mray("wait", "demo/generate")
    output = StageRun(open_store(root), "demo", "generate")
    drop_markers(output, "all", 1, 4)
    status = said(mray("status", "demo/generate"))
    assert "failed" in status and "64 of 192 samples are missing" in status
    assert "64 of 192 samples are missing" in said(mray("wait", "demo/generate", rc=1))
    kept = {index: output.done(index) for index in (0, 2, 3, 5)}
    assert "2 (of 6) indexes" in submit_generate(mray, *words)
    (container,) = only_job(cluster)["spec"]["template"]["spec"]["containers"]
    assert container["args"][container["args"].index("--only") + 1] == "1,4"
    mray("wait", "demo/generate")
    assert [row["seed"] for row in catalog(root)] == list(range(192))
    assert {index: output.done(index) for index in kept} == kept


# -- pods that cannot begin


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


# -- the API server is away


@contextmanager
def following(folder: Path, what: str) -> Iterator[tuple[Path, "subprocess.Popen[bytes]"]]:
    """`mray logs -f` that has begun to print, and where it prints to."""
    path = folder / "followed"
    with path.open("wb") as out, (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [MRAY, "logs", "-f", what], stdout=out, stderr=errors, cwd=folder
        )
        try:
            until("logs -f prints", lambda: path.stat().st_size > 0)
            yield path, process
        finally:
            process.kill()
            process.wait()


@contextmanager
def outage(harness: Harness) -> Iterator[None]:
    """The API server is dead within the block."""
    harness("kill", "apiserver")
    try:
        yield
    finally:
        harness("start", "apiserver")


def true_lines(cluster: Cluster, namespace: str) -> list[str]:
    """What kubectl knows of all pods' logs, as `mray logs` writes it."""
    return [
        f"[{index_of(name)}] {line}"
        for name in pods(cluster)
        for line in kubectl("-n", namespace, "logs", name).splitlines()
    ]


@pytest.mark.usefixtures("trained")
def test_an_outage_of_the_api_server_is_waited_out(
    mray: Mray, cluster: Cluster, namespace: str, harness: Harness, tmp_path: Path
) -> None:
    submit_generate(mray, "--seeds", "0-959", "--shards", "2")
    with ThreadPoolExecutor(1) as pool, following(tmp_path, "demo/generate") as (path, process):
        waiting = pool.submit(mray, "wait", "demo/generate")
        until("the Job runs", lambda: job_state(only_job(cluster)).state == "running")
        with outage(harness):
            time.sleep(OUTAGE_SECONDS)
            assert not waiting.done() and process.poll() is None
        waiting.result()
        assert process.wait(PATIENCE_SECONDS) == 0
    lines = path.read_text().splitlines()
    assert Counter(lines) == Counter(true_lines(cluster, namespace))
    assert {line[:3] for line in lines} == {"[0]", "[1]"}


# -- a training pod goes


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


def replacement(cluster: Cluster, pod: str) -> str:
    def ask() -> str:
        return next((name for name in pods(cluster) if name != pod), "")

    return until("another pod takes over", ask)


@pytest.mark.usefixtures("trained")
def test_a_deleted_training_pod_is_replaced_by_one_that_goes_on(
    mray: Mray, cluster: Cluster, namespace: str, root: str
) -> None:
    words = ("--input", "demo/augment", "--preset", "tiny", "--kimg", "0.8")
    often = ("--checkpoint-seconds", "1")  # a quiet machine is done before the first one is due
    mray("submit", "train", "--run", "killed", *words, *often, *SMALL)
    output = StageRun(open_store(root), "killed", "train")
    until("a checkpoint", lambda: bucket_row(output).done > 0)
    assert not output.is_complete()
    (pod,) = pods(cluster, "Running")
    assert deleted_pod(cluster, namespace, pod) == 143
    heir = replacement(cluster, pod)
    mray("run", "train", "--run", "calm", *words, "--root", root, "--workers", "1")
    mray("wait", "killed/train")
    log = kubectl("-n", namespace, "logs", heir)
    assert "goes on" in log and "train: 0/" not in log
    calm = StageRun(open_store(root), "calm", "train")
    name = "snapshot.safetensors"
    assert sha256_of(output.read(name)) == sha256_of(calm.read(name))


# -- the pipeline's driver


def stage_jobs(cluster: Cluster) -> dict[str, str]:
    """uid -> stage of all Jobs."""
    return {
        job["metadata"]["uid"]: job["metadata"]["labels"]["machineray/stage"]
        for job in cluster.list("Job")
    }


def driver_pods(cluster: Cluster) -> list[str]:
    return [name for name in pods(cluster, "Running") if "-pipeline-" in name]


def kill_driver(cluster: Cluster, namespace: str, stage: str) -> dict[str, str]:
    """Kill the driver when it has submitted a stage; the Jobs at that moment."""
    until(f"{stage} is submitted", lambda: stage in stage_jobs(cluster).values())
    driver = until("the driver runs", lambda: driver_pods(cluster))[0]
    kill_pod(namespace, driver)
    return stage_jobs(cluster)


@pytest.mark.usefixtures("trained")
def test_a_driver_that_is_killed_twice_makes_each_job_once(
    mray: Mray, cluster: Cluster, namespace: str, root: str
) -> None:
    words = ("--trained", "demo/train", "--run", "more", "--seeds", "0-7")
    mray("submit", "pipeline", *words, "--cpu", "50m", "--memory", "2Gi")
    seen = kill_driver(cluster, namespace, "generate")
    seen |= kill_driver(cluster, namespace, "finish")
    mray("wait", "more/pipeline")
    seen |= stage_jobs(cluster)
    assert Counter(seen.values()) == dict.fromkeys(("pipeline", "generate", "finish", "gallery"), 1)
    assert StageRun(open_store(root), "more", "gallery").is_complete()


# -- who may what


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
