"""Train the GAN on the squares of `augment`; the same command again goes on where it stopped.

mray run train --run klee --preset demo --kimg 20
"""

import os
import platform
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs import Job, Terminated, main
from jobs.generate import NEWEST
from jobs.pictures import input_stage
from machineray.errors import InputError, Interrupted, NotFoundError, UsageError
from machineray.log import Event, Note, Progress
from machineray.runs import Plan, Row, StageRun, json_bytes, json_lines, parsed_lines, sha256_of
from machineray.shards import Done, Outcome, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from machineray.dataset.store import PictureStore
    from machineray.gan.compute import Compute
    from machineray.gan.presets import Preset
    from machineray.gan.training import Config

CHECKPOINTS_KEPT = 3

# Options of the pipeline, too.
PresetName = Annotated[
    str, typer.Option(help="tiny, demo, paintings256, paintings512 or paintings1024.")
]
Kimg = Annotated[
    float | None, typer.Option(min=0, help="Thousand pictures to look at; default: preset's.")
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
    micro_batch: Annotated[
        int, typer.Option(min=0, help="Pictures at a time, where memory is short; 0: all.")
    ] = 0,
    precision: Annotated[
        Precision | None, typer.Option(help="Default: bf16 on a GPU that has it, else fp32.")
    ] = None,
    channels_last: Annotated[
        bool | None, typer.Option(help="Order of memory; default: on a GPU.")
    ] = None,
    tf32: Annotated[bool, typer.Option(help="TF32 in what stays fp32 on a GPU.")] = True,
    compile: Annotated[bool, typer.Option(help="torch.compile both networks.")] = False,
    data_memory: Annotated[
        float, typer.Option(min=0, help="GB of memory for training pictures; the rest is read.")
    ] = 1.0,
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0, help="A checkpoint at least so often, seconds; sooner at first.")
    ] = 600.0,
) -> Iterator[Event]:
    """Train a generator and a discriminator; snapshots, grids and metrics on the way."""
    chosen = chosen_preset(preset, generator, discriminator, batch, aug, ada_target)
    total = total_kimg(preset, kimg)
    squares = input_stage(job)
    if squares is None or squares.stage != "augment":
        raise UsageError(f"--input {job.input}: train reads RUN/augment")
    digest = squares.digest()
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
        },
        input={"from": squares.name, "sha256": digest},
        indexes=[[seed]],
    )

    def training() -> Iterator[Event]:
        import torch

        from machineray.gan.training import Config
        from machineray.gan.world import joined_world

        torch.set_num_threads(job.workers)
        config = Config(chosen, seed, total, mirror, dataset=digest)
        with joined_world() as world:
            world.share(chosen.batch // chosen.group)  # a mistake is told before anything is read
            compute = compute_of(world, micro_batch, precision, channels_last, tf32, compile)
            images = training_images(squares, chosen, int(data_memory * 1e9))
            yield from _trained(job.output, config, images, compute, checkpoint_seconds)

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome | Event]:
        yield from training()
        yield Done(records=list(_snapshots(job.output)))

    def merge(records: list[Row]) -> Iterator[tuple[str, bytes]]:
        yield NEWEST, job.output.store.read(records[-1]["key"])
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
) -> "Preset":
    """The preset of that name with what is chosen instead; UsageError for what cannot be."""
    from machineray.gan.presets import preset_named

    given: dict[str, Any] = {
        "generator": generator and generator.value,
        "discriminator": discriminator and discriminator.value,
        "batch": batch,
        "augment": aug and aug.value,
        "ada_target": ada_target,
    }
    changed = {key: value for key, value in given.items() if value is not None}
    try:
        return replace(preset_named(name), **changed)
    except ValueError as error:
        raise UsageError(f"--preset {name} with --batch {batch}: {error}") from error


def compute_of(
    world: Any,
    micro_batch: int,
    precision: Precision | None,
    channels_last: bool | None,
    tf32: bool,
    compile: bool,
) -> "Compute":
    """How to compute, with each device's own defaults."""
    import torch

    from machineray.gan.compute import Compute

    is_cuda = world.device.type == "cuda"
    if is_cuda:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cudnn.benchmark = True
    usual = Precision.bf16 if is_cuda and torch.cuda.is_bf16_supported() else Precision.fp32
    return Compute(
        world,
        micro_batch,
        (precision or usual).value,
        is_cuda if channels_last is None else channels_last,
        compile,
    )


def total_kimg(preset: str, kimg: float | None) -> float:
    """Thousand pictures to look at, the preset's by default; UsageError for none or endless."""
    from machineray.gan.presets import preset_named

    total = preset_named(preset).kimg if kimg is None else kimg
    if not 0.001 <= total <= 1e9:  # nor is "nan" a number
        raise UsageError(f"--kimg {total:g}: from 0.001, which is one picture, to 1e9")
    return total


def training_images(squares: StageRun, preset: "Preset", memory_bytes: int) -> "PictureStore":
    """All squares of the shards, decoded once a machine; each shard is held against its proof."""
    import json

    from machineray.dataset.store import cached_store
    from machineray.dataset.tar import unpacked

    index, side = json.loads(squares.read("index.json")), preset.resolution
    if index["resolution"] != side:
        raise UsageError(
            f"{squares.name} has squares of {index['resolution']} px, the preset wants "
            f"{side}: mray run augment --resolution {side} in a new run"
        )

    def pictures() -> "Iterator[tuple[str, NDArray[np.uint8]]]":
        markers = (squares.done(number) for number in squares.done_indexes())
        proofs = {proof.key: proof for marker in markers if marker for proof in marker.outputs}
        for shard in index["shards"]:
            for sample in unpacked(squares.read_proven(proofs[shard]), squares.key(shard)):
                yield sample.metadata["id"], sample.pixels()

    folder = Path(tempfile.gettempdir()) / "mray-squares"
    shape = (index["samples"], 3, side, side)
    try:
        return cached_store(folder, squares.digest()[:32], shape, pictures, memory_bytes)
    except InputError as error:
        raise InputError(f"{squares.name}: {error}; augment again") from error


def _trained(
    output: StageRun,
    config: "Config",
    images: "PictureStore",
    compute: "Compute",
    checkpoint_seconds: float,
) -> Iterator[Event]:
    """Drain the training: store what it yields, tell how far it is, stop when asked to."""
    from machineray.gan.training import Checkpoint, Snapshot, Tick
    from machineray.gan.training import train as training

    nimg, resume, skipped = newest_checkpoint(output)
    if compute.world.rank == 0:
        yield from (Note(f"train: {reason}: the one before is taken") for reason in skipped)
    metrics = _metrics_until(output, nimg)
    total = config.total_nimg / 1000
    is_first = compute.world.rank == 0
    if is_first:
        yield Progress("train", nimg / 1000, total, "kimg", "goes on" if resume else "")
    with _StopSignal() as stop:
        for event in training(
            config,
            images,
            compute=compute,
            resume=resume,
            stop=lambda: stop.signal is not None,
            checkpoint_seconds=checkpoint_seconds,
        ):
            if not is_first:
                continue
            if isinstance(event, Tick):
                metrics.append(_metric(event, metrics))
                text = f"G {event.values['loss_g']:.2f}  D {event.values['loss_d']:.2f}"
                yield Progress("train", event.nimg / 1000, total, "kimg", text)
            elif isinstance(event, Snapshot):
                store_snapshot(output, event, metrics)
            elif isinstance(event, Checkpoint):
                output.write("metrics.jsonl", json_lines(metrics))
                store_checkpoint(output, event)
        if stop.signal == signal.SIGTERM:
            raise Terminated
        if stop.signal is not None:
            raise Interrupted("interrupted, with a checkpoint; the same command goes on from it")
    if is_first:
        yield Note(f"train: snapshot {output.key(NEWEST)}")


class _StopSignal:
    """Ctrl-C and SIGTERM become a flag, so that the step ends and a checkpoint is written.

    A second Ctrl-C stops at once.
    """

    signal: int | None = None

    def __enter__(self) -> "_StopSignal":
        self._before = {
            number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def _note(self, number: int, frame: object) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


# -- what training leaves in the store


def store_checkpoint(output: StageRun, checkpoint: Any) -> None:
    """Write a checkpoint to its own key, then what points to it; only the last ones are kept."""
    name = f"checkpoints/{checkpoint.nimg:09d}"
    proof = output.write(f"{name}.safetensors", checkpoint.data)
    pointer = {"nimg": checkpoint.nimg, "sha256": proof.sha256, "size_bytes": proof.size_bytes}
    output.write(f"{name}.json", json_bytes(pointer))
    oldest = sorted(_stems(output, "checkpoints/"))[-CHECKPOINTS_KEPT:][0]
    # Also what nothing points to: a process may have been killed between two of these lines.
    for stored in list(output.store.list(output.key("checkpoints/"))):
        if Path(stored.key).stem < oldest:
            output.store.delete(stored.key)


def newest_checkpoint(output: StageRun) -> tuple[int, bytes | None, list[str]]:
    """(nimg, bytes) of the newest checkpoint that is whole, and why newer ones are not it."""
    import json

    skipped: list[str] = []
    for stem in sorted(_stems(output, "checkpoints/"), reverse=True):
        key = output.key(f"checkpoints/{stem}.safetensors")
        try:
            pointer = json.loads(output.read(f"checkpoints/{stem}.json"))
            data = output.read(f"checkpoints/{stem}.safetensors")
            if sha256_of(data) == pointer["sha256"]:
                return int(pointer["nimg"]), data, skipped
            skipped.append(f"{key} is damaged")
        except NotFoundError:
            skipped.append(f"{key} is gone")
        except (ValueError, InputError):
            skipped.append(f"{key} has no whole pointer")
    return 0, None, skipped


def _stems(output: StageRun, prefix: str) -> set[str]:
    """The checkpoints or snapshots that have been pointed to."""
    keys = (stored.key for stored in output.store.list(output.key(prefix)))
    return {Path(key).stem for key in keys if key.endswith(".json")}


def store_snapshot(output: StageRun, snapshot: Any, metrics: list[Row]) -> None:
    """Write a snapshot with its grid, and the metrics so far as JSONL and TensorBoard file."""
    from machineray.gan.events import tensorboard_file
    from machineray.imaging import encode, from_array

    name = f"snapshots/{snapshot.nimg:09d}"
    proof = output.write(f"{name}.safetensors", snapshot.data)
    output.write(f"{name}.png", encode(from_array(snapshot.grid), "png"))
    output.write("metrics.jsonl", json_lines(metrics))
    output.write("tensorboard/events.out.tfevents.0.mray", tensorboard_file(metrics))
    row = {"nimg": snapshot.nimg, "sha256": proof.sha256}
    output.write(f"{name}.json", json_bytes(row))


def _snapshots(output: StageRun) -> Iterator[Row]:
    import json

    for stem in sorted(_stems(output, "snapshots/")):
        row = json.loads(output.read(f"snapshots/{stem}.json"))
        key = output.key(f"snapshots/{stem}.safetensors")
        yield {"id": stem, "key": key, "grid": f"snapshots/{stem}.png", **row}


def _metrics_until(output: StageRun, nimg: int) -> list[Row]:
    """The rows of an earlier process up to its checkpoint; later ones will be made again."""
    key = output.key("metrics.jsonl")
    if not nimg or output.store.size(key) is None:
        return []
    return [row for row in parsed_lines(output.store.read(key), key) if row["nimg"] <= nimg]


def _metric(tick: Any, before: list[Row]) -> Row:
    """A row of metrics.jsonl: what the tick says, and the time spent in all processes."""
    spent = before[-1]["seconds_total"] if before else 0.0
    return {
        "nimg": tick.nimg,
        "kimg": tick.nimg / 1000,
        "seconds": round(tick.seconds, 3),
        "seconds_total": round(spent + tick.seconds, 3),
        "time": round(time.time(), 3),
        "machine": machine_name(),
        **tick.values,
    }


def machine_name() -> str:
    """What trains, as one says it: '2 CPU cores (x86_64)'."""
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
    threads = torch.get_num_threads()
    return f"{threads} CPU core{'s' * (threads != 1)} ({platform.machine()})"


if __name__ == "__main__":
    main(train)
