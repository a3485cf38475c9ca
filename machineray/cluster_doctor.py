"""What works in the cluster: each check is a sentence, with the way out where it fails.

The last one is a Job: only a pod can say that images are pulled and the bucket answers in there.
"""

import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from machineray.config import Profile
from machineray.doctor import Check
from machineray.errors import MachineRayError, NotFoundError
from machineray.kube.manifests import GPU_TYPE_LABELS, JobSpec, Resources, job_manifest
from machineray.kube.registry import pinned
from machineray.kube.words import job_state
from machineray.stages import BATCH_PRIORITY
from machineray.submission import PIPELINE, Wanted, placement_of
from machineray.tracking import explained

if TYPE_CHECKING:
    from machineray.kube.cluster import Cluster

SKEW_SECONDS = 30.0  # S3 refuses signatures that are 15 minutes off; tokens are stricter
PROBE_SECONDS = 180.0
HINDRANCE_SECONDS = 45.0  # what holds a pod up for longer is said, be it that it passes
STAGE = "doctor"
NOT_OURS = ("services.nodeports", "services.loadbalancers")  # no submit makes such a Service
NO_GPU = ("requests.nvidia.com/gpu", "0")  # as a namespace without GPUs says it

# What a submit needs of the Role mray-submitter: API group, resource, subresource, verb.
NEEDED = (
    *(("batch", "jobs", "", verb) for verb in ("create", "get", "list", "watch", "delete")),
    *(("", "services", "", verb) for verb in ("create", "get")),
    *(("", "pods", "", verb) for verb in ("list", "watch")),
    ("", "pods", "log", "get"),
    ("", "events", "", "list"),
)


def cluster_checks(cluster: "Cluster", profile: Profile, root: str) -> Iterator[Check]:
    """Every check, in the order a person would make them; the later ones need the first."""
    try:
        yield _context(cluster)
    except MachineRayError as error:
        yield Check("context", False, str(error))
        return
    named: list[tuple[str, Callable[[], Check]]] = [
        ("namespace", lambda: _namespace(cluster)),
        ("permissions", lambda: _permissions(cluster)),
        ("quota", lambda: _quota(cluster)),
        ("gpus", lambda: _gpus(cluster)),
        ("queue", lambda: _queue(cluster, profile)),
        ("clock", lambda: _clock(cluster)),
        ("image", lambda: _image(profile)),
        ("pod", lambda: _pod(cluster, profile, root)),
    ]
    for name, check in named:
        try:
            yield check()
        except MachineRayError as error:
            yield Check(name, False, str(error))


def _context(cluster: "Cluster") -> Check:
    text = f"{cluster.context or 'in the cluster'}, {cluster.server}, Kubernetes "
    return Check("context", True, text + cluster.version())


def _namespace(cluster: "Cluster") -> Check:
    name = cluster.namespace
    if not cluster.can("get", "namespaces", namespace=name):
        return Check("namespace", True, f"{name}; its Pod Security level may not be asked")
    found = cluster.raw(f"/api/v1/namespaces/{name}")
    if found is None:
        return Check("namespace", False, f"{name}: missing; kubectl apply -k k8s/base")
    labels = found["metadata"].get("labels", {})
    level = labels.get("pod-security.kubernetes.io/enforce", "none")
    return Check("namespace", True, f"{name}, Pod Security: {level}")


def _permissions(cluster: "Cluster") -> Check:
    lacking = [
        f"{verb} {'/'.join(part for part in (resource, subresource) if part)}"
        for group, resource, subresource, verb in NEEDED
        if not cluster.can(verb, resource, group=group, subresource=subresource)
    ]
    if not lacking:
        return Check("permissions", True, f"all {len(NEEDED)} that a submit needs")
    return Check(
        "permissions",
        False,
        f"may not: {', '.join(lacking)}; ask for the role: kubectl -n {cluster.namespace} create "
        "rolebinding NAME --role=mray-submitter --user=YOU",
    )


def _quota(cluster: "Cluster") -> Check:
    full, told = [], []
    for quota in cluster.list("ResourceQuota"):
        status = quota.get("status", {})
        used = status.get("used", {})
        for name, hard in status.get("hard", {}).items():
            told.append(f"{name} {used.get(name, '0')}/{hard}")
            if used.get(name) == hard and name not in NOT_OURS and (name, hard) != NO_GPU:
                full.append(f"{name} ({hard})")
    if full:
        text = f"used up: {', '.join(full)}; wait, cancel something, or raise the ResourceQuota"
        return Check("quota", False, text)
    return Check("quota", True, ", ".join(told) or "none")


def _gpus(cluster: "Cluster") -> Check:
    if not cluster.can("list", "nodes", namespace=""):
        return Check("gpus", True, "not known: nodes may not be listed (a submit needs it not)")
    counts: Counter[str] = Counter()
    for node in cluster.list("Node"):
        number = int(node.get("status", {}).get("allocatable", {}).get("nvidia.com/gpu", 0))
        labels = node["metadata"].get("labels", {})
        kind = next((labels[name] for name in GPU_TYPE_LABELS if name in labels), "unnamed")
        if number:
            counts[kind] += number
    text = ", ".join(f"{number} x {kind}" for kind, number in counts.most_common())
    return Check("gpus", True, text or "none: submit train with --gpus 0, or gpus = 0 in a profile")


def _queue(cluster: "Cluster", profile: Profile) -> Check:
    if not profile.queue:
        return Check("queue", True, "none is asked for")
    try:
        found = cluster.get("LocalQueue", profile.queue)
    except NotFoundError:
        found = None
    if found is None:
        text = f"{profile.queue}: no such LocalQueue in {cluster.namespace}; see k8s/kueue"
        return Check("queue", False, text)
    pending = found.get("status", {}).get("pendingWorkloads", 0)
    return Check("queue", True, f"{profile.queue}: {pending} waiting")


def _clock(cluster: "Cluster") -> Check:
    skew = (datetime.now(UTC) - cluster.server_time()).total_seconds()
    if abs(skew) > SKEW_SECONDS:
        text = (
            f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the cluster's: set it (NTP)"
        )
        return Check("clock", False, text)
    return Check("clock", True, "as the cluster's")


def _image(profile: Profile) -> Check:
    return Check("image", True, pinned(profile.container_image(PIPELINE)))


def _pod(cluster: "Cluster", profile: Profile, root: str) -> Check:
    """A pod that writes, reads and removes an object of the root."""
    if not root.startswith("s3://"):
        return Check("pod", False, f"--root {root}: pods need a bucket: s3://bucket/prefix")
    spec = JobSpec(
        name=f"mray-doctor-{secrets.token_hex(4)}",
        namespace=cluster.namespace,
        run=STAGE,
        stage=STAGE,
        container_image=pinned(profile.container_image(PIPELINE)),
        args=["doctor", "--only", "root", "--root", root, "-o", "json"],
        resources=Resources("100m", "256Mi", "256Mi"),
        placement=replace(placement_of(profile, Wanted(), BATCH_PRIORITY), queue=None),
        service_account=profile.service_account,
        bucket_secret=profile.bucket_secret or None,
        retries=0,
    )
    started = time.monotonic()
    cluster.create(job_manifest(spec))
    try:
        check = _probe(cluster, spec.name)
    finally:
        cluster.delete("Job", spec.name)
    seconds = time.monotonic() - started
    return replace(check, text=f"{check.text} ({seconds:.0f} s)") if check.is_fine else check


def _probe(cluster: "Cluster", name: str) -> Check:
    """Wait for the doctor's pod and read what it says."""
    from machineray.kube.logs import job_lines

    deadline = time.monotonic() + PROBE_SECONDS
    reason, since = "nothing said", time.monotonic()
    while time.monotonic() < deadline:
        job = cluster.get("Job", name)
        if job is None:
            return Check("pod", False, "the doctor's Job was removed by somebody; try again")
        told = explained(cluster, job)
        if told and told != reason:
            reason, since = told, time.monotonic()
        if job_state(job).state in ("complete", "failed"):
            text = "\n".join(line.text for line in job_lines(cluster, name))
            return _answer_of(text, reason)
        is_pulling = told.startswith("pulls")
        if told and not is_pulling and time.monotonic() - since > HINDRANCE_SECONDS:
            return Check("pod", False, f"does not begin: {reason}")
        time.sleep(0.5)
    return Check("pod", False, f"no answer within {PROBE_SECONDS:.0f} s: {reason}")


def _answer_of(text: str, reason: str) -> Check:
    """The last JSON that the pod printed, as a check of ours."""
    try:
        (told,) = json.loads(text[text.index("[") :])
    except (ValueError, TypeError):
        return Check("pod", False, f"the doctor's pod failed: {reason}")
    word = "in a pod: " if told["ok"] else "from a pod: "
    return Check("pod", bool(told["ok"]), word + str(told["text"]))
