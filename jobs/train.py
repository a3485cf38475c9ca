"""Train the GAN on the squares of `augment`; the same command again goes on where it stopped.

mray run train --run klee --preset demo --kimg 20
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs import FILE, Job, main
from jobs.audit import BANK, PAGE, REPORT
from jobs.draining import trained
from jobs.networks import read_snapshot
from jobs.pictures import input_stage
from jobs.training import (
    BEST,
    KID,
    NEWEST,
    in_shape,
    machine_name,
    shape_of,
    snapshot_rows,
    training_images,
)
from machineray.collect.credits import credits_of
from machineray.errors import UsageError
from machineray.gan.header import header_of
from machineray.gan.presets import PRESETS, Preset
from machineray.log import Event, Note
from machineray.runs import Plan, Row, json_lines, sha256_of
from machineray.shards import Done, Outcome, Task

if TYPE_CHECKING:
    from machineray.gan.compute import Compute

# Options of the pipeline, too.
PresetName = Annotated[
    str, typer.Option(help=f"One of {', '.join(preset.name for preset in PRESETS)}.")
]
Kimg = Annotated[
    float | None, typer.Option(min=0, help="Thousand pictures to look at; default: preset's.")
]
Init = Annotated[
    str | None,
    typer.Option(
        metavar=FILE, help="Begin with a snapshot's weights, where they fit: a file, or 'shipped'."
    ),
]


class Augment(StrEnum):
    """What the discriminator is shown: adaptive, fixed or no augmentation."""

    ada = "ada"
    fixed = "fixed"
    none = "none"


class GeneratorName(StrEnum):
    """The generators that there are."""

    stylegan2 = "stylegan2"
    light = "light"


class DiscriminatorName(StrEnum):
    """The discriminators that there are."""

    stylegan2 = "stylegan2"
    projected = "projected"


class Precision(StrEnum):
    """Of the convolutions; weights and statistics are single."""

    fp32 = "fp32"
    bf16 = "bf16"


def train(
    job: Job,
    preset: PresetName = "demo",
    kimg: Kimg = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and noise.")] = 0,
    mirror: Annotated[bool, typer.Option(help="Show every picture mirrored, too.")] = True,
    generator: Annotated[
        GeneratorName | None, typer.Option(help="Instead of the preset's.")
    ] = None,
    discriminator: Annotated[
        DiscriminatorName | None, typer.Option(help="Instead of the preset's.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Pictures a step, over all processes.")
    ] = None,
    aug: Annotated[Augment | None, typer.Option(help="Instead of the preset's.")] = None,
    ada_target: Annotated[
        float, typer.Option(min=-1, max=1, help="How sure the discriminator may be: E[sign D].")
    ] = 0.6,
    ema_kimg: Annotated[
        float | None,
        typer.Option(min=0, help="Half-life of the average that draws; longer in long trainings."),
    ] = None,
    micro_batch: Annotated[
        int, typer.Option(min=0, help="Pictures at a time, where memory is short; 0: all.")
    ] = 0,
    precision: Annotated[
        Precision | None,
        typer.Option(help="Default: bf16 on a GPU or CPU that computes in it."),
    ] = None,
    channels_last: Annotated[
        bool | None, typer.Option(help="Order of memory; default: on a GPU, and StyleGAN2's.")
    ] = None,
    tf32: Annotated[bool, typer.Option(help="TF32 in what stays fp32 on a GPU.")] = True,
    compile: Annotated[bool, typer.Option(help="torch.compile both networks.")] = False,
    cuda_graphs: Annotated[
        bool | None,
        typer.Option(help="Tell a GPU a step once; default: in one process, not compiled."),
    ] = None,
    held_out: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of the paintings kept to judge by.")
    ] = 0.1,
    data_memory: Annotated[
        float, typer.Option(min=0, help="GB of memory for training pictures; the rest is read.")
    ] = 1.0,
    init: Init = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it will take, and do nothing.")
    ] = False,
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0, help="A checkpoint at least so often, seconds; sooner at first.")
    ] = 600.0,
) -> Iterator[Event]:
    """Train a generator and a discriminator; snapshots, grids and metrics on the way."""
    chosen = chosen_preset(preset, generator, discriminator, batch, aug, ada_target, ema_kimg)
    total = total_kimg(preset, kimg)
    squares = input_stage(job)
    if squares is None or squares.stage != "augment":
        raise UsageError(f"--input {job.input}: train reads RUN/augment")
    how = (micro_batch, precision, channels_last, tf32, compile, cuda_graphs)
    if dry_run:
        if squares.is_complete():
            chosen = in_shape(chosen, shape_of(squares), f"{squares.name} has pictures of")
        yield from estimated(chosen, total, job.workers, how)
        return
    digest = squares.digest()
    chosen = in_shape(chosen, shape_of(squares), f"{squares.name} has pictures of")
    first, first_name = read_snapshot(init) if init else (None, "")
    began = header_of(first, first_name).about.get("credits") if first else None
    credits = credits_of(squares.catalog(), began)
    plan = Plan(
        stage=job.stage,
        arguments={
            "preset": preset,
            "kimg": total,
            "seed": seed,
            "mirror": mirror,
            "generator": chosen.generator,
            "discriminator": chosen.discriminator,
            "batch": chosen.batch,
            "aug": chosen.augment,
            "ada_target": ada_target,
            "held_out": held_out,
            "init": sha256_of(first) if first else None,
        }
        | ({} if ema_kimg is None else {"ema_kimg": ema_kimg}),
        input={"from": squares.name, "sha256": digest, "credits": credits},
        indexes=[[seed]],
    )

    def training() -> Iterator[Event]:
        import torch

        from machineray.gan.compute import keep_freed_memory
        from machineray.gan.memory import memory_watched
        from machineray.gan.training import Begin, Config
        from machineray.gan.world import joined_world

        torch.set_num_threads(job.workers)
        keep_freed_memory()
        config = Config(chosen, seed, total, mirror, dataset=digest, credits=credits)
        with joined_world() as world:
            world.share(chosen.batch // chosen.group)  # a mistake is told before anything is read
            compute = compute_of(world, chosen, *how)
            images = training_images(squares, int(data_memory * 1e9), job.workers)
            begin = Begin(first, first_name)
            with memory_watched(chosen, compute):
                yield from trained(
                    job.output, config, images, held_out, compute, checkpoint_seconds, begin
                )

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome | Event]:
        yield from training()
        yield Done(records=list(snapshot_rows(job.output)))

    def merge(records: list[Row]) -> Iterator[tuple[str, bytes]]:
        yield NEWEST, job.output.store.read(records[-1]["key"])
        measured = [record for record in records if KID in record]
        if measured:
            best = min(measured, key=lambda record: record[KID])
            yield BEST, job.output.store.read(best["key"])
        for name in (BANK, REPORT, PAGE):
            if job.output.store.size(job.output.key(name)) is not None:
                yield name, job.output.read(name)
        yield "catalog.jsonl", json_lines(records)

    if int(os.environ.get("RANK", "0")) > 0:  # the first process alone writes, this one helps
        if not job.output.is_complete():
            yield from training()
        return
    yield from job.execute(Task(plan, job.row.unit, work, merge, total))


def chosen_preset(
    name: str,
    generator: GeneratorName | None,
    discriminator: DiscriminatorName | None,
    batch: int | None,
    aug: Augment | None,
    ada_target: float,
    ema_kimg: float | None,
) -> Preset:
    """The preset of that name with what is chosen instead; UsageError for what cannot be."""
    from machineray.gan.presets import preset_named

    given: dict[str, Any] = {
        "generator": generator and generator.value,
        "discriminator": discriminator and discriminator.value,
        "batch": batch,
        "augment": aug and aug.value,
        "ada_target": ada_target,
        "ema_kimg": ema_kimg,
    }
    changed = {key: value for key, value in given.items() if value is not None}
    try:
        return replace(preset_named(name), **changed)
    except ValueError as error:
        raise UsageError(f"--preset {name} with --batch {batch}: {error}") from error


def estimated(preset: Preset, kimg: float, workers: int, how: tuple[Any, ...]) -> Iterator[Event]:
    """What a training will take, in sentences."""
    import torch

    from machineray.gan.counts import counted
    from machineray.gan.estimate import estimate
    from machineray.gan.memory import memory_watched
    from machineray.gan.world import joined_world
    from machineray.markup import duration

    torch.set_num_threads(workers)
    counts = counted(preset)
    yield Note(
        f"{preset.name}: {preset.generator} x {preset.discriminator}, {preset.size} px, "
        f"batch {preset.batch}"
    )
    yield Note(
        f"generator      {counts.generator_parameters / 1e6:.2f} M parameters, "
        f"{counts.generated.gflop:.2f} GFLOP a picture drawn"
    )
    yield Note(f"discriminator  {counts.discriminator_parameters / 1e6:.2f} M parameters")
    yield Note(f"a picture of the training: {counts.gflop:.2f} GFLOP")
    yield Note("now a few steps, to time them (of large presets minutes on a CPU)")
    with joined_world() as world:
        compute = compute_of(world, preset, *how)
        with memory_watched(preset, compute):
            found = estimate(preset, compute)
    yield Note(
        f"on {machine_name()} in {compute.precision}: {found.seconds_per_kimg:.1f} s/kimg, "
        f"{found.memory_gb:.1f} GB"
    )
    yield Note(f"{kimg:g} kimg: {duration(found.hours(kimg) * 3600)}")


def compute_of(
    world: Any,
    preset: Preset,
    micro_batch: int,
    precision: Precision | None,
    channels_last: bool | None,
    tf32: bool,
    compile: bool,
    cuda_graphs: bool | None,
) -> "Compute":
    """How to compute, with each device's own defaults; UsageError for what a device has not."""
    import torch

    from machineray.gan.compute import Compute, usual_precision

    is_cuda = world.device.type == "cuda"
    if cuda_graphs and not (is_cuda and world.size == 1):
        raise UsageError("--cuda-graphs: for a training on one GPU; leave it out here")
    if is_cuda:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    # On a CPU it saves StyleGAN2 a tenth, and costs the light generator a seventh (DECISIONS.md).
    is_faster = is_cuda or preset.generator == preset.discriminator == "stylegan2"
    return Compute(
        world,
        micro_batch,
        precision.value if precision else usual_precision(world.device, preset),
        is_faster if channels_last is None else channels_last,
        compile,
        is_cuda and world.size == 1 and not compile if cuda_graphs is None else cuda_graphs,
    )


def total_kimg(preset: str, kimg: float | None) -> float:
    """Thousand pictures to look at, the preset's by default; UsageError for none or endless."""
    from machineray.gan.presets import preset_named

    total = preset_named(preset).kimg if kimg is None else kimg
    if not 0.001 <= total <= 1e9:  # nor is "nan" a number
        raise UsageError(f"--kimg {total:g}: from 0.001, which is one picture, to 1e9")
    return total


if __name__ == "__main__":
    main(train)
