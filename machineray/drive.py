"""The pipeline in a cluster: submit a stage, wait for it, go on with the next.

It keeps no state: what is done stands in the bucket and what runs in the cluster, so that a driver
that is killed begins anew and finds everything as it is. It runs as a small Job (`mray submit
pipeline`), or on a laptop (`mray drive`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jobs import JobFunction, arguments, defaults_of, function_of
from jobs.pipeline import Request, Step, default_run, description, steps
from machineray.config import Profile
from machineray.errors import StorageError, TemporaryError, UsageError
from machineray.kube.manifests import JobSpec
from machineray.kube.refusals import UnavailableError
from machineray.kube.registry import pinned
from machineray.log import Event, Note
from machineray.runs import checked_run
from machineray.stages import stage_named
from machineray.storage import Store
from machineray.submission import (
    PIPELINE,
    Prepared,
    Wanted,
    check_reachable,
    pipeline_spec,
    prepared,
    submit,
)
from machineray.tracking import Target, waited

if TYPE_CHECKING:
    from machineray.kube.cluster import Cluster


@dataclass(frozen=True)
class PipelineReady:
    """A pipeline that is checked: its driver's Job, and what run.json shall say."""

    spec: JobSpec
    description: Mapping[str, Any]


def pipeline_ready(
    function: JobFunction,
    options: Mapping[str, Any],
    profile: Profile,
    namespace: str,
    wanted: Wanted,
    pin: bool,
) -> PipelineReady:
    """Check all arguments of a pipeline and make its driver's Job; nothing is written.

    With `pin` every image is named by digest: one run is made by one set of images, also when a
    tag moves meanwhile. UsageError for what no pod can read, NotFoundError for a missing image.
    """
    todo = chosen_steps(options)
    run, root = run_name(options), str(options["root"])
    check_reachable(root, None, function, {**defaults_of(function), **options})
    if todo[0].input:
        first = function_of(todo[0].stage)
        filled = {**defaults_of(first), **todo[0].options, "run": run}
        check_reachable(root, todo[0].input, first, filled)
    names = [PIPELINE, *(step.stage for step in todo)]
    images = {name: profile.container_image(name) for name in names}
    if pin:
        images = {name: pinned(image) for name, image in images.items()}
    profile = replace(profile, images=images)
    spec = pipeline_spec(driver_arguments(options, run, wanted), run, root, profile, namespace)
    told = description(run, Request.of(options))
    stages = [step.stage for step in todo]
    return PipelineReady(spec, {**told, "stages": stages, "container_images": images})


def driven(
    options: Mapping[str, Any],
    profile: Profile,
    cluster: "Cluster",
    store: Store,
    wanted: Wanted,
) -> Iterator[Event]:
    """Submit each stage that is not done and wait for it; StageError when one fails.

    TemporaryError when the bucket or the API server is away for longer than they are asked: the
    driver's Job then makes a new pod, which begins where this one ended.
    """
    try:
        yield from _driven(options, profile, cluster, store, wanted)
    except (StorageError, UnavailableError) as error:
        raise TemporaryError(str(error)) from error


def _driven(
    options: Mapping[str, Any],
    profile: Profile,
    cluster: "Cluster",
    store: Store,
    wanted: Wanted,
) -> Iterator[Event]:
    run, root = run_name(options), str(options["root"])
    for step in chosen_steps(options):
        image = pinned(profile.container_image(step.stage))
        fixed = replace(profile, images={**profile.images, step.stage: image})
        submission = submit(cluster, prepared_step(step, options, fixed, cluster.namespace, wanted))
        yield Note(submission.text)
        if submission.what != "already done":
            yield from waited(cluster, store, root, [Target(run, step.stage)])


def is_done(options: Mapping[str, Any], profile: Profile, namespace: str, wanted: Wanted) -> bool:
    """Whether every stage is complete; UsageError where one was begun with other arguments.

    Only the stages that could begin now are asked: the rest has nothing to be held against.
    """
    todo = (
        prepared_step(step, options, profile, namespace, wanted) for step in chosen_steps(options)
    )
    return all(ready.spec is None for ready in todo)


def prepared_step(
    step: Step, options: Mapping[str, Any], profile: Profile, namespace: str, wanted: Wanted
) -> Prepared:
    """One stage of the pipeline, as `submission.prepared` makes it of its own options."""
    stage, job_function = stage_named(step.stage), function_of(step.stage)
    filled = {
        **defaults_of(job_function),
        **step.options,
        "run": run_name(options),
        "root": options["root"],
        "input": step.input,
        "max_failures": options["max_failures"],
    }
    asked = wanted if stage.pod.gpus else replace(wanted, gpus=None, gpu_type=None)
    asked = asked if stage.is_shared else replace(asked, nodes=1)
    return prepared(job_function, filled, stage, profile, namespace, asked)


def chosen_steps(options: Mapping[str, Any]) -> list[Step]:
    """The steps from --from to --to; UsageError for stages that the pipeline does not have."""
    todo = steps(Request.of(options))
    order = [step.stage for step in todo]
    first, last = options["from_stage"] or order[0], options["to_stage"] or order[-1]
    for option, name in (("--from", first), ("--to", last)):
        if name not in order:
            raise UsageError(f"{option} {name}: this pipeline's stages are {', '.join(order)}")
    if order.index(last) < order.index(first):
        raise UsageError(f"--from {first} --to {last}: {last} comes before {first}")
    return todo[order.index(first) : order.index(last) + 1]


def run_name(options: Mapping[str, Any]) -> str:
    """The run that the options name, or that its paintings do."""
    return checked_run(options["run"] or default_run(Request.of(options)))


def driver_arguments(options: Mapping[str, Any], run: str, wanted: Wanted) -> list[str]:
    """What `mray drive` is given: the pipeline's own options, and what is asked of pods."""
    function = function_of(PIPELINE)
    defaults = defaults_of(function)
    own = {**defaults, **{name: options[name] for name in defaults.keys() & options.keys()}}
    own |= {"run": run, "paintings": None}
    typed = [options["paintings"]] if options["paintings"] else []
    typed += arguments(function, own)
    for option, value in (("--from", options["from_stage"]), ("--to", options["to_stage"])):
        typed += [option, value] if value else []
    for name, value in vars(wanted).items():
        if value is None or value == getattr(Wanted(), name):
            continue
        option = "--" + name.removesuffix("_seconds").replace("_", "-")
        if isinstance(value, bool):
            typed.append(option if value else option.replace("--", "--no-", 1))
        else:
            typed += [option, str(value)]
    return [str(word) for word in typed]
