"""The trained network that a job draws from: a run's snapshot, or any snapshot file."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs import FILE, SHIPPED, Job
from jobs.pictures import input_stage
from jobs.training import BEST, NEWEST
from machineray.devices import drawing_device
from machineray.errors import NotFoundError, UsageError
from machineray.gan.header import header_of
from machineray.runs import sha256_of
from machineray.storage import read_file

if TYPE_CHECKING:
    from machineray.gan.networks import Generator

Psi = Annotated[
    float, typer.Option(min=0, max=2, help="Truncation: 0 the mean picture, 1 all variety.")
]
SnapshotFile = Annotated[
    str | None,
    typer.Option(
        metavar=FILE, help="Draw from this snapshot file, or 'shipped', instead of the run's."
    ),
]
Best = Annotated[
    bool, typer.Option("--best", help="From the snapshot with the lowest KID, not the newest.")
]
SHIPPED_FILE = Path(str(files("machineray.gan"))) / "shipped" / "abstract128.safetensors"


def read_snapshot(place: str) -> tuple[bytes, str]:
    """A snapshot that an option names, and its name: a file, s3://…, or the one that ships."""
    if place != SHIPPED:
        return read_file(place), place.rpartition("/")[2]
    if not SHIPPED_FILE.is_file():
        raise NotFoundError("shipped: no snapshot is in this installation; name a file")
    return SHIPPED_FILE.read_bytes(), SHIPPED


def chosen_network(
    job: Job, file: str | None, best: bool
) -> tuple[Callable[[], bytes], dict[str, Any]]:
    """What reads the snapshot, and the plan's word for where it and its paintings come from."""
    if file is not None:
        data, name = read_snapshot(file)
        credits = header_of(data, name).about.get("credits")
        source = {"from": name, "sha256": sha256_of(data), "paintings": None, "credits": credits}
        return lambda: data, source
    stage = input_stage(job)
    if stage is None or stage.stage != "train":
        raise UsageError(f"--input {job.input}: {job.stage} reads RUN/train, or --snapshot FILE")
    proof, plan = stage.proof(BEST if best else NEWEST), stage.plan()
    read = dict(plan.input) if plan else {}
    source = {"from": stage.name, "sha256": proof.sha256, "paintings": read.get("from")}
    source["credits"] = read.get("credits")
    return lambda: stage.read_proven(proof), source


def loaded_network(read: Callable[[], bytes], name: str, workers: int) -> "Generator":
    """The generator, ready to draw: on a GPU where there is one, else with so many threads."""
    import torch

    from machineray.gan.state import load_snapshot

    torch.set_num_threads(workers)
    return load_snapshot(read(), name).generator.to(drawing_device())
