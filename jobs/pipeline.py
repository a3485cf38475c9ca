"""All stages in one process, each of them resumable by itself.

mray run pipeline ./my-paintings
mray run pipeline --source cleveland --limit 200           from a museum
mray run pipeline --trained klee/train --seeds 1000-1099 --run more     from a trained network
"""

import functools
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs import Job, function_of, main
from jobs.augment import chosen_size
from jobs.collect import EXAMPLES, Contact, Limit, Source
from jobs.networks import read_snapshot
from jobs.train import Init, Kimg, PresetName, total_kimg
from jobs.training import in_shape
from machineray import __version__
from machineray.errors import UsageError
from machineray.log import Event
from machineray.runs import (
    check_description,
    checked_run,
    described_run,
    run_name_for,
    settle_run,
)
from machineray.seeds import parsed_seeds

Paintings = Annotated[
    str | None,
    typer.Argument(metavar="[PAINTINGS]", help="A folder or s3://…; default: the examples."),
]

# What run.json says and no later call may change; not paintings: a folder has many names.
CHOICES = ("source", "trained", "preset", "resolution")
OTHER_RUN = "begin another run with --run NAME"


@dataclass(frozen=True)
class Request:
    """What a pipeline is asked for: its options but the run's name, under their own names."""

    paintings: str | None = None
    source: Sequence[str] | None = None
    limit: int | None = None
    contact: str = ""
    preset: str = "demo"
    resolution: str = ""
    kimg: float | None = None
    init: str | None = None
    seeds: str = "0-23"
    psi: float = 1.0
    trained: str | None = None
    title: str = "New abstractions"

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Request":
        """The request among all the options of a command."""
        return cls(**{each.name: options[each.name] for each in fields(cls)})


@dataclass(frozen=True)
class Step:
    """One stage of the pipeline: what it reads if not the stage before, and its own options."""

    stage: str
    options: Mapping[str, Any] = field(default_factory=dict)
    input: str | None = None


def pipeline(
    job: Job,
    paintings: Paintings = None,
    source: Source = None,
    limit: Limit = None,
    contact: Contact = "",
    run: Annotated[
        str, typer.Option("--run", "-r", help="Name of the run; default: made of the folder's.")
    ] = "",
    preset: PresetName = "demo",
    resolution: Annotated[
        str, typer.Option(help="A side, or WIDTHxHEIGHT, pixels; default: the preset's squares.")
    ] = "",
    kimg: Kimg = None,
    init: Init = None,
    seeds: Annotated[str, typer.Option(help="Which samples to draw, such as 0-99,200.")] = "0-23",
    psi: Annotated[float, typer.Option(min=0, max=2, help="Truncation of the samples.")] = 1.0,
    trained: Annotated[
        str | None, typer.Option(help="RUN/train: draw from its network, train nothing.")
    ] = None,
    title: Annotated[str, typer.Option(help="The gallery's heading.")] = "New abstractions",
) -> Iterator[Event]:
    """Paintings in, a gallery of new artworks out: all stages, one after the other."""
    request = Request.of(locals())
    if job.input is not None or job.part.of > 1:
        raise UsageError("--input, --index, --of are a stage's: mray run pipeline PAINTINGS")
    todo = steps(request)
    job = replace(job, run=checked_run(run or default_run(request)))
    if init:
        read_snapshot(init)  # that it is missing is told now
    told = description(job.run, request)
    check_description(described_run(job.store, job.run), told, CHOICES, OTHER_RUN)
    begin = functools.cache(functools.partial(settle_run, job.store, job.run, told))
    for step in todo:
        of_stage = replace(job, stage=step.stage, input=step.input)
        for event in function_of(step.stage)(of_stage, **step.options):
            begin()  # no sooner: a folder that is not there begins no run
            yield event


def steps(request: Request) -> list[Step]:
    """What the pipeline does, in order; a mistake is told now, not after the training."""
    from machineray.gan.presets import preset_named

    check(request)
    parsed_seeds(request.seeds)
    total_kimg(request.preset, request.kimg)
    chosen = preset_named(request.preset)
    if request.resolution:
        chosen = in_shape(chosen, chosen_size(request.resolution), "--resolution")
    size = chosen.size
    crawl = {name: getattr(request, name) for name in ("source", "limit", "contact")}
    learning = [
        Step("collect", crawl) if request.source else Step("collect", input=request.paintings),
        Step("curate", {"min_side": min(size.width, size.height, 128)}),
        Step("unframe"),
        Step("augment", {"resolution": str(size)}),
        Step("train", {name: getattr(request, name) for name in ("preset", "kimg", "init")}),
    ]
    return [
        *([] if request.trained else learning),
        Step("generate", {"seeds": request.seeds, "psi": request.psi}, input=request.trained),
        Step("finish"),
        Step("gallery", {"title": request.title}),
    ]


def check(request: Request) -> None:
    """UsageError for a beginning that does not exist, two of them, or options of another one."""
    from machineray.collect.sites.table import site_named

    beginnings = {
        "paintings": request.paintings,
        "--source": request.source,
        "--init": request.init,
    }
    beside = next((name for name, value in beginnings.items() if value), None)
    if request.trained and beside:
        raise UsageError(f"--trained takes a trained network: name no {beside} beside it")
    if request.trained and not request.trained.endswith("/train"):
        raise UsageError(f"--trained {request.trained}: write RUN/train: {request.trained}/train")
    if request.paintings and request.source:
        raise UsageError(f"{request.paintings} and --source: collect from one of them")
    if request.limit and not request.source:
        raise UsageError("--limit: is of sites: name one with --source (mray sources)")
    for name in request.source or ():
        site_named(name)


def default_run(request: Request) -> str:
    """A run's name after where it begins: ./My Paintings -> my-paintings."""
    if request.trained:
        name = request.trained.removesuffix("/train")[:27]
        return run_name_for(f"{name}-more")
    if request.source:
        return run_name_for("-".join(request.source))
    place = request.paintings or EXAMPLES
    if place.startswith("s3://"):
        return run_name_for(place.rstrip("/").rpartition("/")[2])
    return run_name_for(Path(place).expanduser().absolute().name)


def description(run: str, request: Request) -> dict[str, object]:
    """run.json: what the run is, and what made it."""
    from_files = not (request.trained or request.source)
    return {
        "run": run,
        "paintings": request.paintings or EXAMPLES if from_files else None,
        "source": list(request.source) if request.source else None,
        "init": request.init,
        "trained": request.trained,
        "preset": request.preset,
        "resolution": request.resolution or None,
        "machineray": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


if __name__ == "__main__":
    main(pipeline)
