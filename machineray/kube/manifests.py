"""Values in, manifests out: the dict is what one would write in YAML. Nothing here asks anybody.

A stage is an Indexed Job: pod i of N does every Nth index of the stage's plan. A training over
several nodes is one, too, with a headless Service by which its pods find rank 0.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

Json = dict[str, Any]

LABEL = "machineray"  # the prefix of our labels and annotations
PART_OF = "app.kubernetes.io/part-of"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
UID = 10001
RENDEZVOUS_PORT = 29500
TTL_SECONDS = 3 * 24 * 3600

# Where clusters write a node's kind of GPU, and that it may be taken away.
GPU_TYPE_LABELS = (
    "nvidia.com/gpu.product",
    "cloud.google.com/gke-accelerator",
    "karpenter.k8s.aws/instance-gpu-name",
    "node.kubernetes.io/instance-type",
)
SPOT_LABELS = (
    ("cloud.google.com/gke-spot", "true"),
    ("karpenter.sh/capacity-type", "spot"),
    ("eks.amazonaws.com/capacityType", "SPOT"),
    ("kubernetes.azure.com/scalesetpriority", "spot"),
)

# What a job's exit codes mean (errors.py); everything else, 143 after SIGTERM too, is tried again.
MISTAKE_CODES = (2, 64, 78)
BAD_INPUT_CODES = (65,)
LEFT_BEHIND_CODES = (75,)  # nothing is wrong with this pod: another one of its training went


@dataclass(frozen=True)
class Resources:
    """Kubernetes' quantities; memory and disk are limits, too, the CPU is only a request."""

    cpu: str = "1"
    memory: str = "2Gi"
    disk: str = "4Gi"
    gpus: int = 0


@dataclass(frozen=True)
class Placement:
    """Which nodes may run it, and who lets it in."""

    gpu_type: str | None = None
    spot: bool = False
    queue: str | None = None
    priority_class: str | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Json] = ()
    pod_patch: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class JobSpec:
    """All that a Job is made of."""

    name: str
    namespace: str
    run: str
    stage: str
    container_image: str
    args: Sequence[str]
    command: Sequence[str] = ()  # empty: the image's entry point
    env: Mapping[str, str] = field(default_factory=dict)
    completions: int = 1
    parallelism: int = 1
    nodes: int = 1  # more: one training over so many pods, and `completions` is their number
    resources: Resources = Resources()
    placement: Placement = Placement()
    service_account: str = "mray-stage"
    has_token: bool = False  # may the pod speak to the API server?
    bucket_secret: str | None = "mray-bucket"
    retries: int = 3
    mistake_codes: Sequence[int] = MISTAKE_CODES
    grace_seconds: int = 30
    timeout_seconds: int | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def service(self) -> str | None:
        """The headless Service of a training over several nodes: it bears the Job's name."""
        return self.name if self.nodes > 1 else None


def job_name(run: str, stage: str, identity: Any) -> str:
    """`mray-<run>-<stage>-<hash>`: the same identity is the same name, and nothing is done twice.

    With a run of 32 characters and "-99999" of an index it stays within a label's 63.
    """
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return f"mray-{run}-{stage}-{digest[:8]}"


def selector(run: str | None = None, stage: str | None = None) -> str:
    """The label selector of our Jobs, of one run, or of one stage of it."""
    wanted = {PART_OF: "machineray", f"{LABEL}/run": run, f"{LABEL}/stage": stage}
    return ",".join(f"{key}={value}" for key, value in wanted.items() if value)


def job_manifest(spec: JobSpec) -> Json:
    """The Job. One a fan-out: `completions` pods at most `parallelism` at a time."""
    labels = _labels(spec)
    queue = {QUEUE_LABEL: spec.placement.queue} if spec.placement.queue else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": spec.name,
            "namespace": spec.namespace,
            "labels": {**labels, **queue},
            "annotations": dict(spec.annotations),
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": spec.completions,
            "parallelism": spec.parallelism,
            **_retries(spec),
            "podFailurePolicy": {"rules": _failure_rules(spec)},
            "podReplacementPolicy": "Failed",
            "ttlSecondsAfterFinished": TTL_SECONDS,
            **({"activeDeadlineSeconds": spec.timeout_seconds} if spec.timeout_seconds else {}),
            "template": {
                "metadata": {"labels": labels},
                "spec": merged(_pod_spec(spec), spec.placement.pod_patch),
            },
        },
    }


def service_manifest(spec: JobSpec, job: Json) -> Json:
    """The headless Service of a training over several nodes; it goes when its Job goes."""
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": spec.name,
        "uid": job["metadata"]["uid"],
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": spec.name,
            "namespace": spec.namespace,
            "labels": _labels(spec),
            "ownerReferences": [owner],
        },
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,  # they shall find one another before they are ready
            "selector": {f"{LABEL}/job": spec.name},
            "ports": [{"name": "rendezvous", "port": RENDEZVOUS_PORT}],
        },
    }


def torchrun(spec_name: str, nodes: int, gpus: int, module: str) -> list[str]:
    """The command of a training in several processes: rank 0 is the pod of index 0.

    The arguments of the module follow. (torch.distributed.run, static rendezvous.)
    """
    command = ["python", "-m", "machineray.gan.launch", f"--nproc-per-node={max(1, gpus)}"]
    if nodes == 1:
        return [*command, "--standalone", "--", module]
    return [
        *command,
        f"--nnodes={nodes}",
        "--node-rank=$(JOB_COMPLETION_INDEX)",
        f"--master-addr={spec_name}-0.{spec_name}",
        f"--master-port={RENDEZVOUS_PORT}",
        "--",
        module,
    ]


def merged(base: Any, patch: Any) -> Any:
    """A strategic merge: mappings by key, lists of named things by name, all else is replaced.

    None in the patch removes. (As `kubectl patch --type strategic` does for the lists of a pod
    whose merge key is "name"; tolerations and others are replaced whole.)
    """
    if isinstance(base, Mapping) and isinstance(patch, Mapping):
        joined = {**base, **{key: merged(base.get(key), value) for key, value in patch.items()}}
        return {key: value for key, value in joined.items() if value is not None}
    if _are_named(base) and _are_named(patch):
        known = {item["name"]: item for item in base}
        known |= {item["name"]: merged(known.get(item["name"]), item) for item in patch}
        return list(known.values())
    return patch


def _are_named(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and all(isinstance(item, Mapping) and "name" in item for item in value)
    )


def _labels(spec: JobSpec) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "machineray",
        PART_OF: "machineray",
        "app.kubernetes.io/component": spec.stage,
        f"{LABEL}/run": spec.run,
        f"{LABEL}/stage": spec.stage,
        f"{LABEL}/job": spec.name,
    }


def _retries(spec: JobSpec) -> Json:
    """How often a pod is tried again.

    An index by itself, but not among nodes of one training: where one fails, all begin anew.
    """
    if spec.nodes > 1:
        return {"backoffLimit": spec.retries * spec.nodes}
    return {
        "backoffLimitPerIndex": spec.retries,
        "maxFailedIndexes": min(spec.completions, max(10, spec.completions // 10)),
    }


def _failure_rules(spec: JobSpec) -> list[Json]:
    """What a pod's end means; the first rule that fits counts."""
    # A drain, a preemption, a spot node taken away: nobody's failure.
    disruption = {"type": "DisruptionTarget", "status": "True"}
    rules = [
        {"action": "Ignore", "onPodConditions": [disruption]},
        _on_exit("FailJob", spec.mistake_codes),
    ]
    bad_input = [code for code in BAD_INPUT_CODES if code not in spec.mistake_codes]
    if bad_input:
        rules.append(_on_exit("FailJob" if spec.nodes > 1 else "FailIndex", bad_input))
    if spec.nodes > 1:  # the pod that went is counted, not those that it left behind
        rules.append(_on_exit("Ignore", LEFT_BEHIND_CODES))
    return rules


def _on_exit(action: str, codes: Sequence[int]) -> Json:
    return {"action": action, "onExitCodes": {"operator": "In", "values": list(codes)}}


def _pod_spec(spec: JobSpec) -> Json:
    """A pod that Pod Security "restricted" admits."""
    placement = spec.placement
    return {
        "restartPolicy": "Never",
        "serviceAccountName": spec.service_account,
        "automountServiceAccountToken": spec.has_token,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": spec.grace_seconds,
        **({"subdomain": spec.service} if spec.service else {}),
        **({"priorityClassName": placement.priority_class} if placement.priority_class else {}),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": UID,
            "runAsGroup": UID,
            "fsGroup": UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **_where(spec),
        "containers": [_container(spec)],
        "volumes": _volumes(spec),
    }


def _container(spec: JobSpec) -> Json:
    secret = [{"secretRef": {"name": spec.bucket_secret}}] if spec.bucket_secret else []
    mounts = [{"name": "tmp", "mountPath": "/tmp"}]
    if spec.stage == "train":
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})
    env = {"HOME": "/tmp", "JOB_COMPLETIONS": str(spec.completions), **spec.env}
    if spec.command:  # torchrun, which would kill its processes 30 s after they are told to stop
        env["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] = str(spec.grace_seconds)
    return {
        "name": spec.stage,
        "image": spec.container_image,
        **({"command": list(spec.command)} if spec.command else {}),
        "args": list(spec.args),
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "envFrom": secret,
        "resources": _resources(spec.resources),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # The last lines of a pod that failed stay on the pod: `mray status` says them.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def _resources(resources: Resources) -> Json:
    limits: Json = {"memory": resources.memory, "ephemeral-storage": resources.disk}
    if resources.gpus:
        limits["nvidia.com/gpu"] = str(resources.gpus)
    return {"requests": {"cpu": resources.cpu, **limits}, "limits": limits}


def _volumes(spec: JobSpec) -> list[Json]:
    volumes: list[Json] = [{"name": "tmp", "emptyDir": {"sizeLimit": spec.resources.disk}}]
    if spec.stage == "train":  # 64 MiB is what a container has otherwise; it counts as memory
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}})
    return volumes


def _where(spec: JobSpec) -> Json:
    """Node selector, affinity and tolerations: any cloud's word for the GPU, and for spot."""
    placement = spec.placement
    alternatives: list[list[Json]] = []
    if placement.gpu_type:
        alternatives.append([_in(label, placement.gpu_type) for label in GPU_TYPE_LABELS])
    if placement.spot:
        alternatives.append([_in(label, value) for label, value in SPOT_LABELS])
    tolerations = [*placement.tolerations, *_usual_tolerations(spec)]
    where: Json = {}
    if placement.node_selector:
        where["nodeSelector"] = dict(placement.node_selector)
    if alternatives:
        terms = [{"matchExpressions": list(chosen)} for chosen in product(*alternatives)]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        where["affinity"] = {"nodeAffinity": required}
    if tolerations:
        where["tolerations"] = [dict(toleration) for toleration in tolerations]
    return where


def _in(label: str, value: str) -> Json:
    return {"key": label, "operator": "In", "values": [value]}


def _usual_tolerations(spec: JobSpec) -> list[Json]:
    """Clouds taint their GPU nodes and their spot nodes so."""
    keys = ["nvidia.com/gpu"] if spec.resources.gpus else []
    if spec.placement.spot:
        keys += ["cloud.google.com/gke-spot", "kubernetes.azure.com/scalesetpriority"]
    return [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in keys]
