"""From a stage's options to a Job in the cluster: plan, hold it against the bucket, create.

Nothing keeps a second copy of the state. What is done stands in the bucket, what runs stands in the
cluster, and the Job's name is made of the plan: whoever submits the same thing meets it there.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jobs import FILE, SHIPPED, JobFunction, arguments, job_of, parameters, planned
from machineray import __version__
from machineray.config import SETTINGS_VARIABLE, Profile
from machineray.errors import (
    AlreadyExistsError,
    MachineRayError,
    NotFoundError,
    UsageError,
)
from machineray.kube.manifests import (
    LABEL,
    JobSpec,
    Json,
    Placement,
    Resources,
    job_manifest,
    job_name,
    selector,
    service_manifest,
    torchrun,
)
from machineray.kube.plain import say
from machineray.kube.words import is_at_work
from machineray.runs import (
    Plan,
    StageRun,
    check_description,
    described_run,
    done_items,
    named_stage,
    settle_images,
    settle_run,
    sha256_of,
)
from machineray.seeds import numbers_text
from machineray.stages import PIPELINE_PRIORITY, Stage
from machineray.storage import Store, open_store

if TYPE_CHECKING:
    from machineray.kube.cluster import Cluster

PIPELINE = "pipeline"
OTHERWISE = "begin a new version of it with --new-version, or another run with --run NAME"
DESCRIBED = ("paintings", "source", "trained", "preset", "resolution", "init")
GONE_SECONDS = 120.0  # to wait for a finished Job of before to go


@dataclass(frozen=True)
class Wanted:
    """What the command line says about pods; None: the profile's or the stage's own."""

    shards: int | None = None
    items_per_shard: int | None = None
    parallelism: int | None = None
    gpus: int | None = None
    gpu_type: str | None = None
    nodes: int = 1
    spot: bool | None = None
    queue: str | None = None
    cpu: str | None = None
    memory: str | None = None
    disk: str | None = None
    timeout_seconds: int | None = None


@dataclass(frozen=True)
class Prepared:
    """A stage that is planned, and the Job for what is missing of it (None: nothing is)."""

    output: StageRun
    plan: Plan
    spec: JobSpec | None
    missing: int

    @property
    def manifest(self) -> Json | None:
        """The Job, as it would be created."""
        return job_manifest(self.spec) if self.spec else None


@dataclass(frozen=True)
class Submission:
    """What a submit did: `what` is created, already running or already done."""

    what: str
    job: str
    text: str


def prepared(
    function: JobFunction,
    options: Mapping[str, Any],
    stage: Stage,
    profile: Profile,
    namespace: str,
    wanted: Wanted,
) -> Prepared:
    """Plan a stage and make its Job's specification; nothing is written.

    Raises UsageError for what the stage cannot do, also when it was begun with other arguments;
    NotFoundError when what it reads is not there yet.
    """
    job = job_of(function, options)
    check_reachable(job.root, job.input, function, options)
    check_processes(stage, wanted)
    plan = planned(function, options, job)
    output = job.output
    output.check_plan(plan, OTHERWISE)
    if output.is_complete():
        return Prepared(output, plan, None, 0)
    done = set(output.done_indexes())
    missing = [index for index in range(len(plan.indexes)) if index not in done]
    spec = _spec(function, options, stage, profile, namespace, wanted, plan, missing)
    return Prepared(output, plan, spec, len(missing))


def _spec(
    function: JobFunction,
    options: Mapping[str, Any],
    stage: Stage,
    profile: Profile,
    namespace: str,
    wanted: Wanted,
    plan: Plan,
    missing: Sequence[int],
) -> JobSpec:
    job = job_of(function, options)
    resources = _resources(stage, profile, wanted)
    only = numbers_text(missing) if len(missing) < len(plan.indexes) else ""
    given = {**options, "only": only, "workers": max(1, round(_cores(resources.cpu)))}
    count = wanted.nodes if wanted.nodes > 1 else completions(stage, wanted, plan, missing)
    identity = [job.root, stage.name, sha256_of(plan.to_json())]
    name = job_name(job.run, stage.name, identity)
    image = profile.container_image(stage.name)
    many = wanted.nodes > 1 or resources.gpus > 1
    there = set(range(len(plan.indexes))) - set(missing)
    done, total = done_items(job.output, plan, sorted(there), False)
    command = torchrun(name, wanted.nodes, resources.gpus, f"jobs.{stage.name}") if many else ()
    return JobSpec(
        name=name,
        namespace=namespace,
        run=job.run,
        stage=stage.name,
        container_image=image,
        command=command,
        args=arguments(function, given),
        env={"MRAY_CONTAINER_IMAGE": image},
        completions=count,
        parallelism=min(count, wanted.parallelism or count),
        nodes=wanted.nodes,
        resources=resources,
        placement=placement_of(profile, wanted, stage.pod.priority_class),
        service_account=profile.service_account,
        bucket_secret=profile.bucket_secret or None,
        retries=stage.pod.retries,
        grace_seconds=stage.pod.grace_seconds,
        timeout_seconds=wanted.timeout_seconds,
        annotations={
            f"{LABEL}/root": job.root,
            f"{LABEL}/items": str(total - done),
            f"{LABEL}/version": __version__,
        },
    )


def completions(stage: Stage, wanted: Wanted, plan: Plan, missing: Sequence[int]) -> int:
    """How many pods share what is missing: at least one, at most one an index of the plan."""
    if wanted.shards and wanted.items_per_shard:
        raise UsageError("--shards and --items-per-shard: give one of them")
    items = sum(len(plan.indexes[index]) for index in missing)
    shards = wanted.shards or math.ceil(items / (wanted.items_per_shard or stage.pod.items))
    return max(1, min(shards, len(missing)))


def check_reachable(
    root: str, input: str | None, function: JobFunction, options: Mapping[str, Any]
) -> None:
    """UsageError for what lies on this machine alone, where no pod can read it."""
    from jobs.collect import EXAMPLES

    if not root.startswith("s3://"):
        raise UsageError(
            f"--root {root}: pods cannot see this machine's folders; give --root "
            "s3://bucket/prefix (or MRAY_ROOT, or root in a profile)"
        )
    is_seen = input in (None, EXAMPLES) or str(input).startswith("s3://")
    if not is_seen and not named_stage(open_store(root), input):
        raise UsageError(
            f"--input {input}: pods cannot see this machine's folders; bring the pictures into the "
            f"bucket: mray run collect --run {options['run']} --input {input} --root {root}"
        )
    for parameter in parameters(function):
        value = options[parameter.name]
        is_file = parameter.annotation.__metadata__[0].metavar == FILE
        if is_file and value and value != SHIPPED and not value.startswith("s3://"):
            raise UsageError(
                f"--{parameter.name} {value}: pods cannot see this machine's files; copy it into "
                "the bucket and give s3://bucket/key"
            )


def check_processes(stage: Stage, wanted: Wanted) -> None:
    """UsageError for more processes than the stage can use."""
    processes = max(wanted.gpus or 1, 1) * wanted.nodes
    if processes > 1 and not stage.is_shared:
        raise UsageError(
            f"--gpus {wanted.gpus or 1} --nodes {wanted.nodes}: {stage.name} works in 1 process a "
            "shard; more of it is done by --shards"
        )


def _resources(stage: Stage, profile: Profile, wanted: Wanted) -> Resources:
    pod = stage.pod
    usual = pod.gpus if profile.gpus is None else min(pod.gpus, profile.gpus)
    return Resources(
        cpu=wanted.cpu or pod.cpu,
        memory=wanted.memory or pod.memory,
        disk=wanted.disk or pod.disk,
        gpus=usual if wanted.gpus is None else wanted.gpus,
    )


def placement_of(profile: Profile, wanted: Wanted, priority_class: str) -> Placement:
    """Where the pods may run; the profile's priority class over the given one, "" for none."""
    chosen = priority_class if profile.priority_class is None else profile.priority_class
    return Placement(
        gpu_type=wanted.gpu_type,
        spot=profile.spot if wanted.spot is None else wanted.spot,
        queue=wanted.queue or profile.queue,
        priority_class=chosen or None,
        node_selector=profile.node_selector,
        tolerations=[dict(toleration) for toleration in profile.tolerations],
        pod_patch=profile.pod_patch,
    )


def _cores(cpu: str) -> float:
    """Cores of a quantity such as 500m or 2; UsageError when it is none."""
    try:
        return float(cpu[:-1]) / 1000 if cpu.endswith("m") else float(cpu)
    except ValueError as error:
        raise UsageError(f"--cpu {cpu}: write 2, 0.5 or 500m") from error


# -- into the cluster


def submit(cluster: "Cluster", ready: Prepared) -> Submission:
    """Create the Job of what is missing, unless it runs or nothing is; the plan is written before.

    The server checks the Job first with all its rules: a refusal leaves nothing behind.
    """
    spec = ready.spec
    if spec is None:
        return already_done(ready.output.name)

    def settle() -> None:
        settle_images(ready.output.store, spec.run, {spec.stage: spec.container_image})
        ready.output.settle_plan(ready.plan)

    of_all = f" (of {len(ready.plan.indexes)})" if ready.missing < len(ready.plan.indexes) else ""
    told = (
        f"{ready.output.name}: {ready.missing}{of_all} indexes in {spec.completions} "
        f"pod{'s' * (spec.completions > 1)}, Job {spec.name}"
    )
    return _created_once(cluster, spec, settle, told)


def already_done(name: str) -> Submission:
    """The answer where nothing is left to do."""
    return Submission("already done", "", f"{name}: already done")


def _created_once(
    cluster: "Cluster", spec: JobSpec, settle: Callable[[], None], told: str
) -> Submission:
    """Create the Job unless one is at work; `settle` writes to the bucket what must stand first."""
    busy = _cleared(cluster, spec)
    if busy:
        return busy
    manifest = job_manifest(spec)
    cluster.create(manifest, dry_run=True)
    _check_named(cluster, spec)
    settle()
    if _created(cluster, spec, manifest) is None:
        return _running(spec)
    return Submission("created", spec.name, told)


def _check_named(cluster: "Cluster", spec: JobSpec) -> None:
    """NotFoundError for a Secret or an account that is not there, for whoever may look for them.

    The server takes a Job that names them; others learn it from `status`, in the same words.
    """
    named = (
        ("Secret", spec.bucket_secret, "CreateContainerConfigError", "secret"),
        ("ServiceAccount", spec.service_account, "FailedCreate", "serviceaccount"),
    )
    for kind, name, reason, noun in named:
        if name and cluster.is_there(kind, name) is False:
            values = {"namespace": spec.namespace}
            raise NotFoundError(say(reason, f'{noun} "{name}" not found', values).words)


def _running(spec: JobSpec) -> Submission:
    return Submission(
        "already running", spec.name, f"{spec.run}/{spec.stage}: already running, Job {spec.name}"
    )


def _cleared(cluster: "Cluster", spec: JobSpec) -> Submission | None:
    """Take finished Jobs of the same stage away; a Submission when one is at work."""
    for job in cluster.list("Job", selector=selector(spec.run, spec.stage)):
        root = job["metadata"].get("annotations", {}).get(f"{LABEL}/root")
        if root != spec.annotations[f"{LABEL}/root"]:
            continue  # a run of the same name in another bucket
        if is_at_work(job):
            check_arguments(spec, job)
            if job["metadata"]["name"] == spec.name:
                _serve(cluster, spec, job)
            return _running(replace(spec, name=job["metadata"]["name"]))
        cluster.delete("Job", job["metadata"]["name"], wait_seconds=GONE_SECONDS)
    return None


def check_arguments(spec: JobSpec, job: Json) -> None:
    """UsageError when the Job at work is a pipeline with other arguments than the one wanted."""
    key = f"{LABEL}/arguments"
    was, now = job["metadata"].get("annotations", {}).get(key, ""), spec.annotations.get(key, "")
    if was != now:
        name = f"{spec.run}/{spec.stage}"
        raise UsageError(
            f"{name}: runs with other arguments: `{was}`, not `{now}`; mray cancel {name} and "
            f"submit again, or {OTHERWISE}"
        )


def _created(cluster: "Cluster", spec: JobSpec, manifest: Json) -> Json | None:
    """The new Job with its Service, both or none; None when somebody was first."""
    try:
        job = cluster.create(manifest)
    except AlreadyExistsError:
        return None
    try:
        _serve(cluster, spec, job)
    except MachineRayError:
        cluster.delete("Job", spec.name)
        raise
    return job


def _serve(cluster: "Cluster", spec: JobSpec, job: Json) -> None:
    """Give a Job over several nodes its Service, also where its submit was killed in between."""
    if spec.service:
        with suppress(AlreadyExistsError):
            cluster.create(service_manifest(spec, job))


# -- the pipeline's own Job


def pipeline_spec(
    arguments: Sequence[str],
    run: str,
    root: str,
    profile: Profile,
    namespace: str,
) -> JobSpec:
    """A small Job that runs `mray drive`: it submits stage after stage, and keeps no state."""
    settings = replace(profile, context=None, namespace=namespace, root=root)
    identity = [root, PIPELINE]  # one a run: two would be in each other's way
    return JobSpec(
        name=job_name(run, PIPELINE, identity),
        namespace=namespace,
        run=run,
        stage=PIPELINE,
        container_image=profile.container_image(PIPELINE),
        args=["drive", *arguments],
        env={SETTINGS_VARIABLE: settings.to_json()},
        resources=Resources("100m", "512Mi", "1Gi"),
        placement=replace(placement_of(profile, Wanted(), PIPELINE_PRIORITY), queue=None),
        service_account=profile.pipeline_service_account,
        has_token=True,
        bucket_secret=profile.bucket_secret or None,
        retries=100,  # killed is not failed; what fails exits with one of these
        mistake_codes=(1, 2, 3, 64, 65, 78),
        annotations={
            f"{LABEL}/root": root,
            f"{LABEL}/version": __version__,
            f"{LABEL}/arguments": " ".join(arguments),
        },
    )


def submit_pipeline(
    cluster: "Cluster", store: Store, spec: JobSpec, value: Mapping[str, Any]
) -> Submission:
    """Create the pipeline's Job, unless it runs; `value` is what run.json shall say.

    UsageError when the run was begun, or is being made, with other arguments.
    """
    check_description(described_run(store, spec.run), value, DESCRIBED, OTHERWISE)

    def settle() -> None:
        settle_run(store, spec.run, value)
        # A run that was begun stage by stage lacks the rest; the stages are the last submit's:
        # `status` and `wait` look at them.
        told = {**value, **described_run(store, spec.run), "stages": value["stages"]}
        settle_images(store, spec.run, value["container_images"], told)

    told = f"{spec.run}/{PIPELINE}: Job {spec.name}"
    return _created_once(cluster, spec, settle, told)
