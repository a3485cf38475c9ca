"""All stages in one process, each of them resumable by itself.

mray run pipeline ./my-paintings
mray run pipeline --trained klee/train --seeds 1000-1099 --run more     from a trained network
"""

import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs import Job, function_of, main
from jobs.augment import chosen_size
from jobs.collect import EXAMPLES
from jobs.networks import read_snapshot
from jobs.train import Init, Kimg, PresetName, total_kimg
from jobs.training import in_shape
from machineray import __version__
from machineray.errors import UsageError
from machineray.log import Event, Note
from machineray.runs import checked_run, run_name_for, settle_run
from machineray.seeds import parsed_seeds

Paintings = Annotated[
    str | None,
    typer.Argument(metavar="[PAINTINGS]", help="A folder or s3://…; default: the examples."),
]


@dataclass(frozen=True)
class Step:
    """One stage of the pipeline: what it reads if not the stage before, and its own options."""

    stage: str
    options: Mapping[str, Any] = field(default_factory=dict)
    input: str | None = None


def pipeline(
    job: Job,
    paintings: Paintings = None,
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
    if job.input is not None or job.part.of > 1:
        raise UsageError("--input, --index, --of are a stage's: mray run pipeline PAINTINGS")
    todo = steps(paintings, preset, resolution, kimg, init, seeds, psi, trained, title)
    job = replace(job, run=checked_run(run or default_run(trained or paintings or EXAMPLES)))
    if init:
        read_snapshot(init)  # that it is missing is told now
    told = description(job.run, paintings, preset, resolution, init, trained)
    settle_run(job.store, job.run, told)
    for step in todo:
        job_function = function_of(step.stage)
        yield from job_function(replace(job, stage=step.stage, input=step.input), **step.options)
    page = job.output.sibling("gallery").key("index.html")
    yield Note(f"\nThe gallery: {job.store.url}/{page}")


def steps(
    paintings: str | None,
    preset: str,
    resolution: str,
    kimg: float | None,
    init: str | None,
    seeds: str,
    psi: float,
    trained: str | None,
    title: str,
) -> list[Step]:
    """What the pipeline does, in order; a mistake is told now, not after the training."""
    from machineray.gan.presets import preset_named

    if trained and (paintings or init):
        beside = "no --init" if init else "no paintings"
        raise UsageError(f"--trained takes a trained network: name {beside} beside it")
    parsed_seeds(seeds)
    total_kimg(preset, kimg)
    chosen = preset_named(preset)
    if resolution:
        chosen = in_shape(chosen, chosen_size(resolution), "--resolution")
    size = chosen.size
    learning = [
        Step("collect", input=paintings or EXAMPLES),
        Step("curate", {"min_side": min(size.width, size.height, 128)}),
        Step("unframe"),
        Step("augment", {"resolution": str(size)}),
        Step("train", {"preset": preset, "kimg": kimg, "init": init}),
    ]
    return [
        *([] if trained else learning),
        Step("generate", {"seeds": seeds, "psi": psi}, input=trained),
        Step("finish"),
        Step("gallery", {"title": title}),
    ]


def default_run(place: str) -> str:
    """A run's name after the place of the paintings: ./My Paintings -> my-paintings."""
    if re.fullmatch(r"[-a-z0-9]+/train", place):
        return run_name_for(f"{place.removesuffix('/train')[:27]}-more")
    if place.startswith("s3://"):
        return run_name_for(place.rstrip("/").rpartition("/")[2])
    return run_name_for(Path(place).expanduser().absolute().name)


def description(
    run: str,
    paintings: str | None,
    preset: str,
    resolution: str,
    init: str | None,
    trained: str | None,
) -> dict[str, object]:
    """run.json: what the run is, and what made it."""
    return {
        "run": run,
        "paintings": None if trained else paintings or EXAMPLES,
        "init": init,
        "trained": trained,
        "preset": preset,
        "resolution": resolution or None,
        "machineray": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


if __name__ == "__main__":
    main(pipeline)
