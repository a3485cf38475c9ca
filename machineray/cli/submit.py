"""`mray submit STAGE`: a stage, or the whole pipeline, as Jobs in a cluster.

Each command is made of the job's own typer signature and of what a cluster adds; the arguments are
checked by it before anything is created, and go to the container as they are.
"""

import copy
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from machineray.cli.shared import (
    Context,
    JobGroup,
    Namespace,
    ProfileName,
    Root,
    chosen_root,
    command_of,
    open_profile_cluster,
    placed,
    say,
)
from machineray.errors import UsageError
from machineray.quantities import seconds_of
from machineray.stages import stage_named

if TYPE_CHECKING:
    from jobs import JobFunction
    from machineray.config import Profile
    from machineray.kube.cluster import Cluster
    from machineray.stages import Stage
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
    seconds = None if timeout is None else seconds_of(timeout, "--timeout")
    return Wanted(
        shards, items_per_shard, parallelism, gpus, gpu_type, nodes, spot, queue,
        cpu, memory, disk, seconds,
    )  # fmt: skip


def cluster_options(
    profile: ProfileName = None,
    context: Context = None,
    namespace: Namespace = None,
    registry: Annotated[
        str | None, typer.Option(help="Where the images are, such as ghcr.io/lab.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Of the images; default: this version.")] = None,
    image: Annotated[
        str | None, typer.Option(help="This image instead of registry and tag.")
    ] = None,
) -> "tuple[Profile, str | None]":
    """The options of the place -> (profile, the image that overrules it)."""
    loaded = placed(profile, context, namespace)
    return replace(loaded, registry=registry or loaded.registry, tag=tag or loaded.tag), image


def submit_options(
    root: Root = None,
    new_version: Annotated[
        bool,
        typer.Option("--new-version", help="Begin RUN-v2, -v3 … that reads what RUN reads."),
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is complete, or failed.")] = False,
    dry_run: Annotated[
        DryRun,
        typer.Option(
            metavar="[=client|server]",
            show_default=False,
            help="Show the manifest and create nothing; with =server the cluster checks it, too.",
        ),
    ] = DryRun.no,
    output: Annotated[
        Manifest | None,
        typer.Option("--output", "-o", help="A sentence otherwise, of a dry run YAML."),
    ] = None,
) -> None:
    """The options of the act itself: read by name, see `_submitted`."""


def completed(words: Sequence[str]) -> list[str]:
    """The words of a command line; a submit's --dry-run that stands alone means =client.

    An option with a value cannot stand alone by itself, see `main`.
    """
    command = next((word for word in words if not word.startswith("-")), "")
    if command != "submit":  # `run train --dry-run` is another one
        return list(words)
    known = set(DryRun)
    return [
        f"{word}=client" if word == "--dry-run" and following not in known else word
        for word, following in zip(words, [*words[1:], ""], strict=True)
    ]


class SubmitGroup(JobGroup):
    """`mray submit`: one command a job."""

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
            wanted = [*map(_of_pipeline, wanted), *_parameters(span_options)]

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


# What the options of one stage mean to a pipeline; None: it refuses them, see `_submit_pipeline`.
OF_PIPELINE = {
    "shards": "Pods' worth of work, of each stage.",
    "items_per_shard": "Or so many items a pod, in each stage; default: the stage's.",
    "parallelism": "Pods at a time, in each stage; default: all.",
    "gpus": "GPUs a pod of the training.",
    "gpu_type": "Of the training, such as NVIDIA-A100-SXM4-80GB: a node label's value.",
    "nodes": "Pods of the training.",
    "spot": "Nodes that may be taken away, for all stages.",
    "queue": "Kueue's LocalQueue, for all stages.",
    "cpu": "Of each pod of every stage, the training's too, such as 2 or 500m.",
    "memory": "Of each pod of every stage, the training's too, such as 4Gi.",
    "disk": "Of each pod of every stage, the training's too, such as 10Gi, for /tmp.",
    "timeout": "A stage's Job ends then: 90s, 30m, 12h or 2d.",
    "new_version": "Begin RUN-v2, -v3 … with what RUN reads.",
    "input": None,
    "image": None,
}


def _of_pipeline(parameter: inspect.Parameter) -> inspect.Parameter:
    """The option as a pipeline shows it."""
    if parameter.name not in OF_PIPELINE:
        return parameter
    words, (option, *_) = OF_PIPELINE[parameter.name], parameter.annotation.__metadata__
    told = copy.copy(option)
    told.help, told.hidden = words, words is None
    return parameter.replace(annotation=Annotated[parameter.annotation.__origin__, told])


def _check_pipeline(options: Mapping[str, Any]) -> None:
    """UsageError for what only a stage can be given."""
    if options["input"] is not None:
        raise UsageError(
            f"--input {options['input']}: is a stage's; a pipeline's paintings stand without it: "
            f"mray submit pipeline {options['input']}"
        )
    if options["image"] is not None:
        raise UsageError(
            f"--image {options['image']}: a pipeline has an image a stage: give --registry and "
            "--tag, or name them in mray.toml ([profiles.NAME.images])"
        )


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
        job_options |= new_version(open_store(root), stage, options)
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


def new_version(store: "Store", stage: "Stage", options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that make a stage one of the next RUN-v2, -v3 …, which reads what RUN reads."""
    from machineray.versions import next_version, stage_source

    run = options["run"]
    name = next_version(store, run)
    say(f"a new version: {name}")
    return {"run": name, "input": options["input"] or stage_source(store, run, stage)}


def new_pipeline(store: "Store", options: Mapping[str, Any]) -> dict[str, Any]:
    """The same of the pipeline's: all of its stages are the new run's, from the first one on."""
    from machineray.drive import run_name
    from machineray.versions import next_version, pipeline_source

    if options["from_stage"]:
        stage = options["from_stage"]
        raise UsageError(
            f"--from {stage} --new-version: a new version has nothing before {stage}; leave --from "
            f"out, or take the one stage: mray submit {stage} --new-version"
        )
    run = run_name(options)
    told = {name: options[name] for name in ("paintings", "source", "trained")}
    source = told if any(told.values()) else pipeline_source(store, run)
    name = next_version(store, run)
    say(f"a new version: {name}")
    return {"run": name, **source}


def _submit_pipeline(function: "JobFunction", options: dict[str, Any]) -> None:
    """Check the whole pipeline, then create the Job that drives it, or show it."""
    from machineray.drive import is_done, pipeline_ready
    from machineray.storage import open_store
    from machineray.submission import already_done, submit_pipeline

    _check_pipeline(options)
    wanted = called(pod_options, options)
    profile, _ = called(cluster_options, options)
    root = chosen_root(options["root"], profile)
    is_real = options["dry_run"] is not DryRun.client
    cluster = open_profile_cluster(profile) if is_real else None
    namespace = cluster.namespace if cluster else profile.namespace or "machineray"
    given = {**options, "root": root}
    if options["new_version"]:
        given |= new_pipeline(open_store(root), given)
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


def _show(manifest: Any, cluster: "Cluster | None", output: Manifest | None, done: str) -> None:
    if manifest is None:
        say(done)
        return
    if cluster:
        cluster.create(manifest, dry_run=True)
    typer.echo(_rendered(manifest, output), nl=False)


def _rendered(value: Any, output: Manifest | None) -> str:
    if output is Manifest.json:
        import json

        return json.dumps(value, indent=1) + "\n"
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False, width=100))


def _answered(submission: "Submission", output: Manifest | None) -> None:
    if output is None:
        typer.echo(submission.text)
    else:
        typer.echo(_rendered(vars(submission), output), nl=False)


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
