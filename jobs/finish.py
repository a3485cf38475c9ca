"""Samples into artworks: proportions, grain, 4x super-resolution, print file and sidecar.

mray run finish --run klee
mray run finish --run larger --input ./photos --aspect keep --noise 0     a plain upscaler
"""

import functools
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs import Job, main
from jobs.pictures import Pictures, pictures
from machineray.devices import drawing_device
from machineray.errors import InputError, UsageError
from machineray.log import Event
from machineray.rows import Rows
from machineray.runs import Plan, Row, json_bytes, named_stage, sha256_of
from machineray.shards import Done, Outcome, Refused, Task, batches, each

# The grain of 2020 was made for squares of this side; smaller ones get as much less of it.
GRAIN_SIDE_PX = 1024
MOST_TOGETHER = 8  # artworks of 4096 px on a GPU: 100 MB each while a core encodes its PNG


class Aspect(StrEnum):
    """Where an artwork's proportions come from."""

    auto = "auto"
    sources = "sources"
    keep = "keep"


class Upscale(StrEnum):
    """How much larger the artwork becomes."""

    four = "4"
    none = "none"


class FileFormat(StrEnum):
    """The artwork's file."""

    png = "png"
    jpeg = "jpeg"
    webp = "webp"


class EngineName(StrEnum):
    """What runs the super-resolution network."""

    torch = "torch"
    isr = "isr"


def finish(
    job: Job,
    aspect: Annotated[
        Aspect,
        typer.Option(help="sources: the paintings' proportions, which auto gives to squares only."),
    ] = Aspect.auto,
    noise: Annotated[
        float | None,
        typer.Option(min=0, max=64, help="Sigma of the grain, levels of 255; default 7.6 at 1024."),
    ] = None,
    upscale: Annotated[Upscale, typer.Option(help="Times the side.")] = Upscale.four,
    format: Annotated[FileFormat, typer.Option(help="Of the artwork's file.")] = FileFormat.png,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of JPEG and WebP.")] = 95,
    dpi: Annotated[int, typer.Option(min=1, max=65535, help="Pixels an inch in print.")] = 300,
    engine: Annotated[
        EngineName, typer.Option(help="PyTorch, or the genuine ISR (`make isr`).")
    ] = EngineName.torch,
    bf16: Annotated[bool, typer.Option(help="Half the time, up to 4 levels off.")] = False,
) -> Iterator[Event]:
    """Give samples (or any pictures) aspect ratio, grain and four times the size, to print."""
    source = pictures(job)
    paintings = _paintings(source)
    aspects = _aspects(aspect, paintings)
    plan = Plan(
        stage=job.stage,
        arguments={
            "aspect": aspect.value,
            "noise": noise,
            "upscale": upscale.value,
            "bf16": bf16,
            "format": format.value,
            "quality": quality,
            "dpi": dpi,
            "engine": engine.value,
        },
        input=source.source,
        indexes=batches(list(source.kept), job.row.items_per_index),
    )
    credits = known_credits(source)
    is_torchs = engine is EngineName.torch and upscale is Upscale.four
    device = functools.cache(lambda: drawing_device() if is_torchs else "cpu")

    def together() -> int:
        # Encoding takes one core, and an artwork longer than a GPU's work on it. On a CPU that
        # work takes all cores.
        is_quick = upscale is Upscale.none or device() == "cuda"
        return min(job.workers, MOST_TOGETHER) if is_quick else 1

    def one(item: str) -> Done:
        from machineray.finish.artwork import FinishSettings, Origin, finish_picture
        from machineray.finish.noise import SEED_SIGMA
        from machineray.imaging import decode, to_array

        row = source.row(item)
        pixels = to_array(decode(source.read(row), row["key"]))
        grain = SEED_SIGMA * min(1.0, max(pixels.shape[:2]) / GRAIN_SIDE_PX)
        settings = FinishSettings(
            noise_sigma=grain if noise is None else noise,
            scale=4 if upscale is Upscale.four else 1,
            engine=engine.value,
            device=device(),
            is_bf16=bf16,
            format=format.value,
            quality=quality,
            dpi=dpi,
        )
        seed = row["seed"] if "seed" in row else int(sha256_of(item.encode())[:8], 16)
        snapshot = row.get("snapshot", "")
        origin = Origin(item, seed, snapshot, row.get("psi"), row.get("device"), credits)
        # A shape that somebody chose for the training is the one that is wanted.
        is_chosen = aspect is Aspect.auto and pixels.shape[0] != pixels.shape[1]
        artwork = finish_picture(pixels, settings, origin, None if is_chosen else aspects)
        name, sidecar = f"artworks/{item}{artwork.suffix}", f"artworks/{item}.json"
        record = {
            "id": item,
            "key": job.output.key(name),
            "sidecar": job.output.key(sidecar),
            "seed": seed,
            "psi": row.get("psi"),
            "snapshot": snapshot,
            "width": artwork.width,
            "height": artwork.height,
            "dpi": dpi,
            "aspect": round(artwork.aspect, 6),
        }
        told = {**artwork.sidecar, "container_image": job.container_image}
        return Done({name: artwork.data, sidecar: json_bytes(told)}, [record])

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome]:
        if is_torchs:
            import torch

            torch.set_num_threads(job.workers)
        for item, value in each(one, items, 1):  # one picture takes all threads: memory is bounded
            yield Refused(item, str(value)) if isinstance(value, InputError) else value

    def merge(records: Rows) -> Iterator[tuple[str, Path]]:
        yield "catalog.jsonl", records.path

    yield from job.execute(Task(plan, job.row.unit, work, merge, together=together))


def _paintings(source: Pictures) -> Sequence[Row]:
    """What the network behind the samples learned from: rows of augment's catalog, or none."""
    plan = source.stage.plan() if source.stage else None
    found = named_stage(source.store, plan.input.get("paintings")) if plan else None
    return found.catalog() if found and found.is_complete() else []


def known_credits(source: Pictures) -> dict[str, Any] | None:
    """Whom the artworks owe what, as the stage that drew the samples knows it."""
    plan = source.stage.plan() if source.stage else None
    found: dict[str, Any] | None = plan.input.get("credits") if plan else None
    return found


def _aspects(aspect: Aspect, paintings: Sequence[Row]) -> list[float] | None:
    """Width / height of every painting; None keeps the samples' own."""
    if aspect is Aspect.keep or (aspect is Aspect.auto and not paintings):
        return None
    if not paintings:
        raise UsageError("--aspect sources: no paintings are known for this input; use keep")
    return [row["aspect"] for row in paintings]


if __name__ == "__main__":
    main(finish)
