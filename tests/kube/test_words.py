"""What the words say of objects that a real cluster gave.

recorded/*.json hold a Job, its pods and their events as kubectl printed them (Kubernetes 1.34,
containerd 1.6), without managed fields and other noise. By hand are only: the status "Running" of
the pods of node-lost, node-deleted and node-not-ready (their node was an object without a kubelet).
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machineray.kube import plain, words
from machineray.kube.objects import intervals
from machineray.kube.plain import PLAIN, next_power, say
from machineray.kube.words import asks_pods, job_state, why

RECORDED = Path(__file__).parent / "recorded"

# file -> the Job's state, and why
SENTENCES = {
    "affinity": (
        "pending",
        "no node fits: 1 of 1 without the label cloud.google.com/gke-spot=true (--gpu-type, "
        "--spot, node selectors)",
    ),
    "backoff": (
        "failed",
        "gave up after 2 failures: exit code 1: train: CUDA error: no kernel image is available",
    ),
    "claim-missing": ("pending", "no volume claim paintings in namespace words: create it"),
    "claim-unbound": (
        "pending",
        "a volume claim of the pod has no volume: kubectl get pvc -n words",
    ),
    "complete": ("complete", ""),
    "configmap-missing": ("pending", "no config map settings in namespace words: create it"),
    "cordoned": (
        "pending",
        "no node fits: 1 of 2 without the label words=lost (--gpu-type, --spot, node "
        "selectors), 1 of 2 closed to new pods (uncordon)",
    ),
    "cpu-none-anywhere": (
        "pending",
        "no node has 64 CPUs: ask for less with --cpu, or add such a node",
    ),
    "deadline": ("failed", "not done within 5s: submit again with a longer --timeout"),
    "deleted-waiting": ("failed", "failed: deleted before it began"),
    "disk-evicted": ("failed", "failed: filled its disk of 50Mi: set --disk 64Mi"),
    "disk-none-anywhere": (
        "pending",
        "no node has 10Ti of disk: ask for less with --disk, or add such a node",
    ),
    "ending": ("ending", ""),
    "evicted-by-api-now": ("running", "evicted from node mray-node; replaced, no retry lost"),
    "evicted-by-api": ("running", "evicted from node mray-node; replaced, no retry lost"),
    "exec-not-found": (
        "failed",
        "failed: image python:3.11-slim has no program mray-unframe: is it the image of this "
        "stage?",
    ),
    "exit-1-traceback": ("failed", "failed: exit code 1: ValueError: seeds overlap"),
    "exit-137": ("failed", "failed: killed from outside (exit code 137)"),
    "exit-139": ("failed", "failed: crashed in native code (exit code 139)"),
    "exit-143": ("failed", "failed: told to stop, by SIGTERM (exit code 143)"),
    "exit-2": (
        "failed",
        "stopped, for a retry would not help: the command line is wrong (exit code 2): Error:"
        " No such option: --worker",
    ),
    "exit-64": (
        "failed",
        "stopped, for a retry would not help: something that was named is not there (exit "
        "code 64): unframe: klee/curate: no such stage run; run curate first",
    ),
    "exit-65": (
        "failed",
        "2 of 6 indexes failed (2, 5): bad input (exit code 65): unframe: 2.png: not a "
        "picture: cannot identify image file",
    ),
    "exit-78": (
        "failed",
        "stopped, for a retry would not help: the pod lacks something (exit code 78): train: "
        "no CUDA device; use --device cpu",
    ),
    "exit-mixed": (
        "failed",
        "3 of 5 indexes failed (0-1, 3): 2 × exit code 1: finish: s3://art/x: 503 Slow Down;"
        " 1 × bad input (exit code 65)",
    ),
    "failed-going-on": (
        "running",
        "2 of 8 indexes failed (2, 5) for good: bad input (exit code 65): unframe: 2.png: not"
        " a picture: cannot identify image file",
    ),
    "failing-still": ("running", "not done within 8s: submit again with a longer --timeout"),
    "gpu-none-anywhere": (
        "pending",
        "no node has 8 GPUs: ask for less with --gpus, or add such a node",
    ),
    "gpu-type-any-cloud": (
        "pending",
        "2 pods: no node fits: 1 of 1 without the label nvidia.com/gpu.product=H100 or its "
        "like (--gpu-type, --spot, node selectors)",
    ),
    "gpu-type": (
        "pending",
        "no node fits: 1 of 1 without the label nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3 "
        "(--gpu-type, --spot, node selectors)",
    ),
    "image-cut-off": (
        "pending",
        "2 pods: image localhost:5999/machineray/train:cuda cannot be pulled: EOF",
    ),
    "image-invalid-name": (
        "pending",
        "localhost:5000/MRAY/Unframe:1 is no name of an image: repository name (MRAY/Unframe)"
        " must be lowercase",
    ),
    "image-never": (
        "pending",
        "image localhost:5000/mray/nothing:1 is not on node mray-node, and may not be pulled",
    ),
    "image-no-access": (
        "pending",
        "no access to image localhost:5999/private/unframe:1: give service account default of"
        " namespace words an imagePullSecret",
    ),
    "image-no-host": (
        "pending",
        "the registry of image registry.nowhere.invalid/unframe:1 has no address: is its name"
        " right?",
    ),
    "image-not-found": (
        "pending",
        "3 pods: image localhost:5000/mray/nothing:1 is not in its registry: push it, or "
        "choose another registry or tag",
    ),
    "limit-range": (
        "pending",
        "namespace words-limits allows a pod 256Mi of memory at most, 512Mi wanted: set "
        "--memory 256Mi",
    ),
    "memory-none-anywhere": (
        "pending",
        "3 pods: no node has 512Gi of memory: ask for less with --memory, or add such a node",
    ),
    "mixed": ("running", "waits for 2 GPUs to be free on one node"),
    "node-deleted": (
        "pending",
        "2 pods: no node fits: 1 of 1 without the label words=lost (--gpu-type, --spot, node "
        "selectors)",
    ),
    "node-lost": (
        "pending",
        "2 pods: node words-lost does not answer: a new pod follows when it is back or taken "
        "out (kubectl delete node words-lost)",
    ),
    "node-not-ready": (
        "pending",
        "node words-lost does not answer: a new pod follows when it is back or taken out "
        "(kubectl delete node words-lost)",
    ),
    "oom-retried": ("running", "2 pods: tried again: out of memory with 64Mi: set --memory 128Mi"),
    "oom": ("failed", "2 of 2 indexes failed (0-1): out of memory with 64Mi: set --memory 128Mi"),
    "pod-deadline": ("failed", "failed: ran longer than 3s: submit again with a longer --timeout"),
    "pod-security": (
        "pending",
        "Pod Security restricted of namespace words-restricted refuses the pods: "
        "allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, "
        "seccompProfile",
    ),
    "policy": (
        "pending",
        "policy words-policy of the cluster refuses the pods: pods need the label team",
    ),
    "preempted-now": (
        "pending",
        "2 pods: made room for pods of higher priority; replaced, no retry lost",
    ),
    "preempted": ("pending", "2 pods: waits for 2 GPUs to be free on one node"),
    "priority-class-missing": (
        "pending",
        "no priority class mray-high: apply k8s/base, or name another in the profile: "
        "priority_class",
    ),
    "pulling": ("pending", "2 pods: pulls image localhost:5999/machineray/train:cuda"),
    "queued": ("queued", "waits in queue gpus"),
    "quota-unset": (
        "pending",
        "quota mray of namespace words-quota wants every pod to say its requests.memory",
    ),
    "quota": (
        "running",
        "2 pods: quota mray of namespace words-quota is full until other pods end: wanted "
        "requests.memory=64Mi, used requests.memory=64Mi, allowed requests.memory=100Mi",
    ),
    "running": ("running", ""),
    "runs-as-root": (
        "pending",
        "image python:3.11-slim wants to run as root, which is not allowed: give it a numeric USER",
    ),
    "secret-key-missing": (
        "pending",
        "secret half-a-secret of namespace words has no key AWS_ACCESS_KEY_ID: create it anew"
        " with that key",
    ),
    "secret-missing": (
        "pending",
        "2 pods: no secret mray-bucket: kubectl create secret generic mray-bucket -n words "
        "--from-env-file=FILE (AWS_ACCESS_KEY_ID=… and AWS_SECRET_ACCESS_KEY=…, a line each)",
    ),
    "secret-volume-missing": (
        "pending",
        "no secret mray-keys: kubectl create secret generic mray-keys -n words "
        "--from-env-file=FILE (AWS_ACCESS_KEY_ID=… and AWS_SECRET_ACCESS_KEY=…, a line each)",
    ),
    "service-account-missing": (
        "pending",
        "no service account mray-stage: kubectl create serviceaccount mray-stage -n words, or"
        " apply k8s/base",
    ),
    "tainted": (
        "pending",
        "no node fits: 1 of 2 without the label words=lost (--gpu-type, --spot, node "
        "selectors), 1 of 2 with a taint that the pod does not tolerate (not ready, or for "
        "others)",
    ),
    "too-many-failed": ("failed", "gave up: 4 of 8 indexes failed (0-3), more than 2: exit code 1"),
    "volume-evicted": ("failed", "failed: filled its disk of 20Mi: set --disk 32Mi"),
    "webhook-denied": (
        "pending",
        "admission webhook images.words.example refuses the pods: pods must come from "
        "registry.example.org",
    ),
    "webhook": (
        "pending",
        'admission webhook pods.words.example does not answer (service "gatekeeper" not '
        "found): tell who runs the cluster",
    ),
}

# What cannot be had at will: other versions, other runtimes, a node that is short of memory. The
# messages are Kubernetes' and containerd's own, from their sources and documentation.
DOCUMENTED = {
    ("Evicted", "The node was low on resource: memory. Threshold quantity: 100Mi."): (
        "evicted, for node n1 ran out of memory: set a higher --memory, to have it reserved"
    ),
    ("Evicted", "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi."): (
        "evicted, for node n1 ran out of ephemeral-storage: set a higher --disk, to have it "
        "reserved"
    ),
    ("Evicted", 'Usage of EmptyDir volume "shm" exceeds the limit "2Gi".'): (
        "filled /dev/shm (2Gi): use fewer workers"
    ),
    ("Evicted", 'Container main exceeded its local ephemeral storage limit "4Gi". '): (
        "filled its disk of 4Gi: set --disk 8Gi"
    ),
    ("ImagePullBackOff", "pull access denied, repository does not exist or may require auth"): (
        "image art/unframe:1 does not exist, or is not for all: push it, or give service account "
        "mray-stage of namespace art an imagePullSecret"
    ),
    ("ErrImagePull", "toomanyrequests: You have reached your unauthenticated pull rate limit"): (
        "the registry lets image art/unframe:1 be pulled no more for now"
    ),
    ("ErrImagePull", "manifest unknown: manifest sha256:0401 is unknown"): (
        "image art/unframe:1 is not in its registry: push it, or choose another registry or tag"
    ),
    ("RunContainerError", 'exec: "/usr/bin/mray": permission denied: unknown'): (
        "image art/unframe:1 may not run its program /usr/bin/mray: permission denied"
    ),
    ("FailedCreate", "minimum memory usage per Container is 1Gi, but request is 64Mi"): (
        "namespace art wants 1Gi of memory at least, 64Mi given: set --memory 1Gi"
    ),
    ("FailedCreate", "Timeout: request did not complete within requested timeout"): (
        "the pods are refused: Timeout: request did not complete within requested timeout"
    ),
    ("Unschedulable", "0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient memory."): (
        "waits for 2 CPUs to be free on one node; waits for 8Gi of memory to be free on one node"
    ),
    ("Unschedulable", "0/9 nodes are available: 3 Too many pods, 6 node(s) had untolerated taint "
     "{nvidia.com/gpu: present}. preemption: 0/9 nodes are available: 9 No preemption victims."): (
        "no node fits: 3 of 9 with as many pods as allowed, 6 of 9 with a taint {nvidia.com/gpu: "
        "present} that the pod does not tolerate (not ready, or for others)"
    ),
    ("Unschedulable", "0/2 nodes are available: 2 node(s) didn't have free ports."): (
        "no node fits: 2 of 2 node(s) didn't have free ports"
    ),
    ("Unschedulable", "0/4 nodes are available: 4 Insufficient example.com/tpu."): (
        "waits for more of example.com/tpu to be free on one node"
    ),
    ("SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates"): (
        "held back by a scheduling gate, of a queue perhaps"
    ),
    ("UnexpectedAdmissionError", "Allocate failed due to requested devices unavailable"): (
        "refused by node n1 (UnexpectedAdmissionError)"
    ),
    ("DeletionByPodGC", "PodGC: node no longer exists"): (
        "lost with its node n1; replaced, no retry lost"
    ),
    ("TerminationByKubelet", "Pod was terminated in response to imminent node shutdown."): (
        "ended by node n1 (shutdown, or short of memory); replaced, no retry lost"
    ),
    ("FailedIndexes", "Job has failed indexes"): "?",
    ("Novelty", " of   a later\nversion "): "Novelty: of a later version",
    ("Novelty", ""): "Novelty",
    ("", ""): "unknown",
}  # fmt: skip


def recorded(name: str) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """(Job, pods, events)."""
    content = json.loads((RECORDED / f"{name}.json").read_text())
    return content["job"], content["pods"], content["events"]


VALUES = {
    "image": "art/unframe:1",
    "node": "n1",
    "account": "mray-stage",
    "namespace": "art",
    "cpu": "2",
    "memory": "8Gi",
}


@pytest.mark.parametrize("name", SENTENCES)
def test_a_recorded_job_is_explained(name: str) -> None:
    job, pods, events = recorded(name)
    assert (job_state(job).state, why(job, pods, events)) == SENTENCES[name]


def test_every_recording_has_its_sentence() -> None:
    assert {path.stem for path in RECORDED.glob("*.json")} == set(SENTENCES)


@pytest.mark.parametrize("reason, message", DOCUMENTED)
def test_a_documented_reason_is_explained(reason: str, message: str) -> None:
    assert say(reason, message, VALUES).words == DOCUMENTED[reason, message]


def test_every_row_of_the_table_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    used = set()

    def noting(reason: str, message: str, values: Any) -> plain.Said:
        said = say(reason, message, values)
        used.add(said.rank)
        return said

    monkeypatch.setattr(words, "say", noting)
    monkeypatch.setattr(plain, "say", noting)
    for name in SENTENCES:
        why(*recorded(name))
    for reason, message in DOCUMENTED:
        noting(reason, message, VALUES)
    assert [row for rank, row in enumerate(PLAIN) if rank not in used] == []


@pytest.mark.parametrize("name", SENTENCES)
def test_where_no_pods_are_needed_the_job_alone_says_the_same(name: str) -> None:
    job, pods, events = recorded(name)
    if not asks_pods(job):
        assert why(job) == why(job, pods, events)


def test_a_healthy_job_of_10_000_indexes_asks_for_no_pods() -> None:
    job, _, _ = recorded("running")
    job["spec"] |= {"completions": 10_000, "parallelism": 200}
    job["status"] |= {"active": 200, "ready": 200, "completedIndexes": "0-4999,5003"}
    assert not asks_pods(job)
    assert job_state(job).done == 5001
    job["status"]["ready"] = 199
    assert asks_pods(job)


def test_the_state_has_counts_and_aware_times() -> None:
    state = job_state(recorded("exit-mixed")[0])
    assert (state.completions, state.parallelism, state.done, state.failed) == (5, 5, 2, (0, 1, 3))
    assert state.started == datetime(2026, 11, 25, 10, 41, 39, tzinfo=UTC)
    assert state.ended is not None and state.ended > state.started
    complete = job_state(recorded("complete")[0])
    assert (complete.done, complete.failed, complete.active) == (3, (), 0)


def test_a_job_that_is_not_indexed_counts_what_succeeded() -> None:
    job = {"spec": {"completions": 3}, "status": {"succeeded": 2}}
    assert job_state(job).done == 2


def test_a_suspended_job_has_a_position_in_the_queue() -> None:
    """Kueue is not recorded: the item follows visibility.kueue.x-k8s.io/v1beta1's schema."""
    job, _, _ = recorded("queued")
    item = {
        "metadata": {"name": "job-queued-1a2b3", "namespace": "words"},
        "priority": 0,
        "localQueueName": "gpus",
        "positionInClusterQueue": 7,
        "positionInLocalQueue": 2,  # counts from 0
    }
    assert why(job, queue=item) == "position 3 of queue gpus"
    del job["metadata"]["labels"]
    assert why(job) == (
        "suspended, and not by a queue: kubectl patch job queued -n words "
        """-p '{"spec":{"suspend":false}}' lets it go on"""
    )


def test_a_stop_is_explained_also_when_its_pod_is_gone() -> None:
    job, _, _ = recorded("exit-78")
    assert why(job) == (
        "stopped, for a retry would not help: the pod lacks something (exit code 78)"
    )


def test_one_pod_that_stopped_all_comes_before_many_others() -> None:
    job, pods, _ = recorded("exit-78")
    _, others, _ = recorded("exit-65")
    job["status"]["failedIndexes"] = "0,2,5"
    assert why(job, [*others, *pods]).startswith(
        "stopped, for a retry would not help: 1 × the pod lacks something"
    )


def test_pods_and_events_of_a_job_of_the_same_name_before_are_left_out() -> None:
    job, pods, events = recorded("pulling")
    earlier = {"metadata": {**pods[0]["metadata"], "uid": "x"}, "status": {"phase": "Failed"}}
    earlier["metadata"]["labels"] = {"batch.kubernetes.io/controller-uid": "x"}
    said = why(job, pods, events)
    assert why(job, [*pods, earlier], events) == said
    refusal = {
        "reason": "FailedCreate",
        "message": "Error creating: no",
        "lastTimestamp": "2027-01-01T00:00:00Z",
        "involvedObject": {"kind": "Job", "name": "pulling", "uid": "x"},
    }
    job["status"]["active"] = 1
    assert why(job, pods, [*events, refusal]) == said
    refusal["involvedObject"] = {"kind": "Job", "name": "pulling", "uid": job["metadata"]["uid"]}
    assert why(job, pods, [*events, refusal]) == "the pods are refused: no"


def test_a_refusal_is_told_until_a_pod_is_created() -> None:
    job, pods, events = recorded("quota")
    assert "is full" in why(job, pods, events)
    about = {"kind": "Job", "name": "quota"}
    created = {"reason": "SuccessfulCreate", "involvedObject": about}
    assert why(job, pods, [*events, {**created, "lastTimestamp": "2027-01-01T00:00:00Z"}]) == ""


def test_an_old_kubelet_says_why_an_image_cannot_be_had_in_an_event_only() -> None:
    job, pods, events = recorded("image-not-found")
    said = why(job, pods, events)
    for pod in pods:
        waiting = pod["status"]["containerStatuses"][0]["state"]["waiting"]
        waiting["message"] = 'Back-off pulling image "localhost:5000/mray/nothing:1"'
    assert why(job, pods, events) == said


def test_a_training_out_of_memory_may_also_take_fewer_pictures_at_a_time() -> None:
    job, pods, events = recorded("oom")
    for pod in pods:
        pod["metadata"]["labels"]["machineray/stage"] = "train"
    assert why(job, pods, events).endswith("set --memory 128Mi, or a smaller --micro-batch")


def test_a_retry_is_told_until_its_index_is_done() -> None:
    job, pods, events = recorded("oom-retried")
    assert "tried again: out of memory" in why(job, pods, events)
    job["status"]["completedIndexes"] = "1"
    assert why(job, pods, events) == ""


def test_an_eviction_is_told_until_the_new_pod_runs() -> None:
    job, pods, events = recorded("evicted-by-api")
    job["status"]["ready"] = 2
    assert why(job, pods, events) == ""


def test_the_last_line_of_a_container_is_cut() -> None:
    job, pods, _ = recorded("exit-78")
    end = pods[0]["status"]["containerStatuses"][0]["state"]["terminated"]
    end["message"] = "first\n" + "x" * 1000 + "\n \n"
    said = why(job, pods)
    assert said.endswith("x…") and "first" not in said
    assert len(said) < 300


@pytest.mark.parametrize(
    "quantity, power",
    [
        ("64Mi", "128Mi"),
        ("3Gi", "4Gi"),
        ("512Mi", "1Gi"),
        ("1.5Gi", "2Gi"),
        ("1000M", "1Gi"),
        ("100", "128"),
        ("0", "1"),
        ("1Pi", "more"),
        ("lots", "more"),
        ("", "more"),
    ],
)
def test_the_next_power_of_two(quantity: str, power: str) -> None:
    assert next_power(quantity) == power


@pytest.mark.parametrize("text", ["", "0", "0,1", "1,3-5,7", "0-99"])
def test_kubernetes_intervals_are_read(text: str) -> None:
    wanted = {"": 0, "0": 1, "0,1": 2, "1,3-5,7": 5, "0-99": 100}[text]
    assert sum(map(len, intervals(text))) == wanted


@pytest.mark.parametrize("text", ["x", "1-", "-1", "1,,2", "2-1", "٣", " 1"])
def test_what_is_no_interval_is_left_out(text: str) -> None:
    assert {index for interval in intervals(text) for index in interval} <= {1, 2}


# Objects that lack things, or hold others: the keys are the real ones, the values anything.
KEYS = sorted(
    {
        key
        for path in RECORDED.glob("*.json")
        for key in re.findall(r'"([\w./-]+)":', path.read_text())
    }
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10**12)
    | st.floats(allow_nan=True)
    | st.sampled_from(["True", "False", "Failed", "Pending", "Running", "Indexed", "1,3-5"])
    | st.sampled_from([reason for reason, _, _ in PLAIN])
    | st.text(max_size=20)
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=30,
)
OBJECTS = st.dictionaries(st.sampled_from(["metadata", "spec", "status", "reason"]), ANYTHING)


def holds(job: Any, pods: Any, events: Any, queue: Any = None) -> None:
    said = why(job, pods, events, queue=queue)
    assert len(said) <= 320 and said == " ".join(said.split())
    assert isinstance(asks_pods(job), bool)
    state = job_state(job)
    assert state.state in ("queued", "pending", "running", "failed", "complete", "ending")
    assert state.missing >= 0


@given(OBJECTS, st.lists(OBJECTS, max_size=3), st.lists(OBJECTS, max_size=3), ANYTHING)
def test_no_object_is_too_odd(job: Any, pods: Any, events: Any, queue: Any) -> None:
    holds(job, pods, events, queue)


@given(st.sampled_from(sorted(SENTENCES)), st.data())
def test_whatever_is_missing_or_odd_in_a_real_object_does_no_harm(name: str, data: Any) -> None:
    content = list(recorded(name))
    draw: Callable[[Any], Any] = data.draw
    for _ in range(draw(st.integers(1, 4))):
        parent, key = draw(st.sampled_from(places(content)))
        try:
            parent[key] = draw(ANYTHING)
        except (KeyError, IndexError):  # an earlier change took it away
            continue
    holds(*content)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    found: list[tuple[Any, Any]] = []
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        found.append((value, key))
        if isinstance(inner, dict | list):
            found += places(inner)
    return found
