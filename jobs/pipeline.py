"""All stages in one process, each of them resumable by itself.

mray run pipeline ./my-paintings
mray run pipeline --trained klee/train --seeds 1000-1099 --run more     from a trained network
"""

import platform
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from jobs import Job, main
from jobs.augment import augment
from jobs.collect import EXAMPLES, collect
from jobs.curate import curate
from jobs.finish import finish
from jobs.gallery import gallery
from jobs.generate import generate
from jobs.train import Kimg, PresetName, total_kimg, train
from jobs.unframe import unframe
from machineray import __version__
from machineray.errors import UsageError
from machineray.log import Event, Note
from machineray.runs import checked_run, run_name_for, settle_run
from machineray.storage import FolderStore


def pipeline(
    job: Job,
    paintings: Annotated[
        str | None,
        typer.Argument(metavar="[PAINTINGS]", help="A folder or s3://…; default: the examples."),
    ] = None,
    run: Annotated[
        str, typer.Option("--run", "-r", help="Name of the run; default: made of the folder's.")
    ] = "",
    preset: PresetName = "demo",
    kimg: Kimg = None,
    seeds: Annotated[str, typer.Option(help="Which samples to draw, such as 0-99,200.")] = "0-23",
    psi: Annotated[float, typer.Option(min=0, max=2, help="Truncation of the samples.")] = 1.0,
    trained: Annotated[
        str | None, typer.Option(help="RUN/train: draw from its network, train nothing.")
    ] = None,
    title: Annotated[str, typer.Option(help="The gallery's heading.")] = "New abstractions",
) -> Iterator[Event]:
    """Paintings in, a gallery of new artworks out: all stages, one after the other."""
    from machineray.gan.presets import preset_named
    from machineray.seeds import parsed_seeds

    if job.input is not None or job.part.of > 1:
        raise UsageError("--input, --index, --of are a stage's: mray run pipeline PAINTINGS")
    if trained and paintings:
        raise UsageError("--trained takes a trained network: name no paintings beside it")
    parsed_seeds(seeds)  # a mistake shall be told now, not after the training
    total_kimg(preset, kimg)
    resolution = preset_named(preset).resolution
    name = checked_run(run or default_run(trained or paintings or EXAMPLES))
    job = replace(job, run=name)
    settle_run(job.store, name, _description(job, paintings, preset, trained))

    def stage(stage_name: str, input: str | None = None) -> Job:
        return replace(job, stage=stage_name, input=input)

    if not trained:
        yield from collect(stage("collect", paintings or EXAMPLES))
        yield from curate(stage("curate"), min_side=min(resolution, 128))
        yield from unframe(stage("unframe"))
        yield from augment(stage("augment"), resolution=resolution)
        yield from train(stage("train"), preset=preset, kimg=kimg)
    yield from generate(stage("generate", trained), seeds=seeds, psi=psi)
    yield from finish(stage("finish"))
    yield from gallery(stage("gallery"), title=title)
    page = stage("gallery").output.key("index.html")
    place = job.store.root / page if isinstance(job.store, FolderStore) else f"{job.root}/{page}"
    yield Note(f"\nThe gallery: {place}")


def default_run(place: str) -> str:
    """A run's name after the place of the paintings: ./My Paintings -> my-paintings."""
    if re.fullmatch(r"[-a-z0-9]+/train", place):
        return run_name_for(f"{place.removesuffix('/train')[:27]}-more")
    if place.startswith("s3://"):
        return run_name_for(place.rstrip("/").rpartition("/")[2])
    return run_name_for(Path(place).expanduser().absolute().name)


def _description(
    job: Job, paintings: str | None, preset: str, trained: str | None
) -> dict[str, object]:
    """run.json: what the run is, and what made it."""
    return {
        "run": job.run,
        "paintings": None if trained else paintings or EXAMPLES,
        "trained": trained,
        "preset": preset,
        "machineray": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


if __name__ == "__main__":
    main(pipeline)
