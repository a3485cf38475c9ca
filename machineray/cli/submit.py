"""`mray submit STAGE`: a stage, or the whole pipeline, as Jobs in a cluster.

Each command is made of the job's own typer signature and of what a cluster adds; the arguments are
checked by it before anything is created, and go to the container as they are.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from machineray.cli.shared import (
    ProfileName,
    Root,
    chosen_root,
    command_of,
    job_names,
    open_profile_cluster,
    say,
)
from machineray.errors import UsageError
from machineray.stages import stage_named

if TYPE_CHECKING:
    from jobs import JobFunction
    from machineray.config import Profile
    from machineray.kube.cluster import Cluster
    from machineray.storage import Store
    from machineray.submission import Submission, Wanted


class DryRun(StrEnum):
    """Show the manifests and create nothing."""

    no = "no"
    client = "client"
    server = "server"


class Manifest(StrEnum):
    """How a dry run shows the manifests, and a submit its answer."""

    yaml = "yaml"
    json = "json"


# The shared options of a job that a submit sets by itself.
SET_BY_SUBMIT = ("index", "of", "only", "workers", "container_image", "root", "dry_run")


def pod_options(
    shards: Annotated[int | None, typer.Option(min=1, help="Pods' worth of work.")] = None,
    items_per_shard: Annotated[
        int | None, typer.Option(min=1, help="Or so many items a pod; default: the stage's.")
    ] = None,
    parallelism: Annotated[
        int | None, typer.Option(min=1, help="Pods at a time; default: all.")
    ] = None,
    gpus: Annotated[int | None, typer.Option(min=0, help="GPUs a pod.")] = None,
    gpu_type: Annotated[
        str | None, typer.Option(help="Such as NVIDIA-A100-SXM4-80GB: a node label's value.")
    ] = None,
    nodes: Annotated[int, typer.Option(min=1, help="Pods of one training.")] = 1,
    spot: Annotated[bool | None, typer.Option(help="Nodes that may be taken away.")] = None,
    queue: Annotated[str | None, typer.Option(help="Kueue's LocalQueue.")] = None,
    cpu: Annotated[str | None, typer.Option(help="Such as 2 or 500m.")] = None,
    memory: Annotated[str | None, typer.Option(help="Such as 4Gi.")] = None,
    disk: Annotated[str | None, typer.Option(help="Such as 10Gi, for /tmp.")] = None,
    timeout: Annotated[
        str | None, typer.Option(help="The Job ends then: 90s, 30m, 12h or 2d.")
    ] = None,
) -> "Wanted":
    """The options of pods -> Wanted; UsageError names what is no quantity."""
    from machineray.submission import Wanted

    for name, quantity in (("cpu", cpu), ("memory", memory), ("disk", disk)):
        if quantity is not None and not re.fullmatch(r"\d+(\.\d+)?([mkMGT]|[KMGT]i)?", quantity):
            raise UsageError(f"--{name} {quantity}: write it as Kubernetes does: 2, 500m or 4Gi")
    seconds = None if timeout is None else timeout_seconds(timeout)
    return Wanted(
        shards, items_per_shard, parallelism, gpus, gpu_type, nodes, spot, queue,
        cpu, memory, disk, seconds,
    )  # fmt: skip


def cluster_options(
    profile: ProfileName = None,
    context: Annotated[str | None, typer.Option(help="Of the kubeconfig.")] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n")] = None,
    registry: Annotated[
        str | None, typer.Option(help="Where the images are, such as ghcr.io/lab.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Of the images; default: this version.")] = None,
    image: Annotated[
        str | None, typer.Option(help="This image instead of registry and tag.")
    ] = None,
) -> "tuple[Profile, str | None]":
    """The options of the place -> (profile, the image that overrules it)."""
    from machineray.config import load_profile

    loaded = load_profile(profile)
    given = {"context": context, "namespace": namespace, "registry": registry, "tag": tag}
    changed: dict[str, Any] = {key: value for key, value in given.items() if value}
    return replace(loaded, **changed), image


def submit_options(
    root: Root = None,
    new_version: Annotated[
        bool,
        typer.Option("--new-version", help="Begin RUN-v2, -v3 … that reads what RUN reads."),
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is complete, or failed.")] = False,
    dry_run: Annotated[
        DryRun, typer.Option(help="Show the manifest only; =server lets the cluster check it.")
    ] = DryRun.no,
    output: Annotated[
        Manifest, typer.Option("--output", "-o", help="Of the answer.")
    ] = Manifest.yaml,
) -> None:
    """The options of the act itself: read by name, see `_submitted`."""


def timeout_seconds(text: str) -> int:
    """'30m' -> 1800; UsageError for anything but a number with s, m, h or d."""
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text)
    if not match or int(match[1]) == 0:
        raise UsageError(f"{text!r}: not a time; write 90s, 30m, 12h or 2d")
    return int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


class SubmitGroup(TyperGroup):
    """`mray submit`: one command a job, imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The pipeline and the stages, in their order."""
        return job_names()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command made of the job's signature; None when there is no such job."""
        if cmd_name not in self.list_commands(ctx):
            return None
        from jobs import function_of, signed

        function = function_of(cmd_name)
        act = _submit_pipeline if cmd_name == "pipeline" else _submit_stage
        wanted = [*job_parameters(function), *_parameters(pod_options, cluster_options)]
        wanted += _parameters(submit_options)
        if cmd_name == "pipeline":
            wanted = [*wanted, *_parameters(span_options)]

        def start(**options: Any) -> None:
            act(function, options)

        return command_of(cmd_name, signed(start, function, wanted))


def span_options(
    from_stage: Annotated[
        str | None, typer.Option("--from", help="Begin with this stage; those before are there.")
    ] = None,
    to_stage: Annotated[str | None, typer.Option("--to", help="End with this stage.")] = None,
) -> None:
    """Which stages of the pipeline: read by name, see `machineray.drive`."""


def job_parameters(function: "JobFunction") -> list[inspect.Parameter]:
    """The job's options that a person gives to a submit."""
    from jobs import parameters

    return [p for p in parameters(function) if p.name not in SET_BY_SUBMIT]


def _parameters(*functions: Callable[..., Any]) -> list[inspect.Parameter]:
    return [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for function in functions
        for parameter in inspect.signature(function).parameters.values()
    ]


def called(function: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    """The function with those of the options that it takes."""
    return function(**{name: options[name] for name in inspect.signature(function).parameters})


def complete_options(
    function: "JobFunction", options: Mapping[str, Any], root: str
) -> dict[str, Any]:
    """The options of a job, with what a submit sets by itself."""
    from jobs import defaults_of

    defaults = defaults_of(function)
    names = defaults.keys() & options.keys() - set(SET_BY_SUBMIT)
    own = {name: options[name] for name in names}
    return {**defaults, **own, "root": root}


def _submit_stage(function: "JobFunction", options: dict[str, Any]) -> None:
    """Plan the stage, then create its Job, or show it."""
    from machineray.kube.registry import pinned
    from machineray.runs import checked_run
    from machineray.storage import open_store
    from machineray.submission import prepared, submit

    stage = stage_named(function.__name__)
    wanted = called(pod_options, options)
    profile, image = called(cluster_options, options)
    root = chosen_root(options["root"], profile)
    job_options = complete_options(function, options, root)
    checked_run(options["run"])
    if options["new_version"]:
        job_options |= new_version(open_store(root), options["run"], options["input"], stage.needs)
    container_image = image or profile.container_image(stage.name)
    if options["dry_run"] is not DryRun.client:
        container_image = pinned(container_image)
    profile = replace(profile, images={**profile.images, stage.name: container_image})
    cluster = None if options["dry_run"] is DryRun.client else open_profile_cluster(profile)
    namespace = cluster.namespace if cluster else profile.namespace or "machineray"
    ready = prepared(function, job_options, stage, profile, namespace, wanted)
    if options["dry_run"] is not DryRun.no:
        _show(ready.manifest, cluster, options["output"], f"{ready.output.name}: already done")
        return
    assert cluster is not None
    submission = submit(cluster, ready)
    _answered(submission, options["output"])
    if options["wait"] and submission.what != "already done":
        _wait(cluster, ready.output.store, root, ready.output.run, stage.name)


def new_version(
    store: "Store", run: str, input: str | None, needs: tuple[str, ...]
) -> dict[str, Any]:
    """The next free RUN-v2, -v3 …, which reads what RUN reads: options for it."""
    from machineray.runs import run_names

    taken = set(run_names(store))
    number = next(n for n in range(2, 10_000) if f"{run[:27]}-v{n}" not in taken)
    name = f"{run[:27]}-v{number}"
    say(f"a new version: {name}")
    return {"run": name, "input": input or (f"{run}/{needs[0]}" if needs else None)}


def _submit_pipeline(function: "JobFunction", options: dict[str, Any]) -> None:
    """Check the whole pipeline, then create the Job that drives it, or show it."""
    from machineray.drive import is_done, pipeline_ready
    from machineray.storage import open_store
    from machineray.submission import already_done, submit_pipeline

    wanted = called(pod_options, options)
    profile, _ = called(cluster_options, options)
    root = chosen_root(options["root"], profile)
    is_real = options["dry_run"] is not DryRun.client
    cluster = open_profile_cluster(profile) if is_real else None
    namespace = cluster.namespace if cluster else profile.namespace or "machineray"
    given = {**options, "root": root}
    ready = pipeline_ready(function, given, profile, namespace, wanted, pin=is_real)
    if options["dry_run"] is not DryRun.no:
        from machineray.kube.manifests import job_manifest

        _show(job_manifest(ready.spec), cluster, options["output"], "")
        return
    assert cluster is not None
    store = open_store(root)
    if is_done(given, profile, namespace, wanted):
        _answered(already_done(f"{ready.spec.run}/pipeline"), options["output"])
        return
    submission = submit_pipeline(cluster, store, ready.spec, ready.description)
    _answered(submission, options["output"])
    if options["wait"]:
        _wait(cluster, store, root, ready.spec.run, "pipeline")


def _show(manifest: Any, cluster: "Cluster | None", output: Manifest, done: str) -> None:
    if manifest is None:
        say(done)
        return
    if cluster:
        cluster.create(manifest, dry_run=True)
    typer.echo(_rendered(manifest, output), nl=False)


def _rendered(value: Any, output: Manifest) -> str:
    if output is Manifest.json:
        import json

        return json.dumps(value, indent=1) + "\n"
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False, width=100))


def _answered(submission: "Submission", output: Manifest) -> None:
    if output is Manifest.json:
        typer.echo(_rendered(vars(submission), output), nl=False)
    else:
        typer.echo(submission.text)


def _wait(cluster: "Cluster", store: "Store", root: str, run: str, stage: str) -> None:
    from machineray.log import show
    from machineray.tracking import Target, waited

    show(waited(cluster, store, root, [Target(run, stage)]))


def drive_command() -> Callable[..., None]:
    """`mray drive`: what the pipeline's Job runs; on a laptop that stays awake it does the same."""
    from jobs import function_of, signed

    function = function_of("pipeline")

    def start(**options: Any) -> None:
        from jobs import prepare_process
        from machineray.drive import driven
        from machineray.log import show
        from machineray.storage import open_store

        prepare_process()
        wanted = called(pod_options, options)
        profile, _ = called(cluster_options, options)
        root = chosen_root(options["root"], profile)
        cluster = open_profile_cluster(profile)
        given = {**options, "root": root}
        show(driven(given, profile, cluster, open_store(root), wanted))

    wanted = [*job_parameters(function), *_parameters(pod_options, cluster_options)]
    wanted += [p for p in _parameters(submit_options) if p.name == "root"]
    wanted += _parameters(span_options)
    start = signed(start, function, wanted)
    start.__doc__ = (
        "Submit stage after stage and wait for each: what `submit pipeline` runs in a pod."
    )
    return start
