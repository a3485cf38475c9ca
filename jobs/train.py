"""Train the GAN on the squares of `augment`; the same command again goes on where it stopped.

mray run train --run klee --preset demo --kimg 20
"""

import math
import os
import platform
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs import Job, Terminated, main
from jobs.generate import NEWEST
from jobs.pictures import input_stage
from machineray.errors import InputError, Interrupted, NotFoundError, StorageError, UsageError
from machineray.log import Event, Note, Progress
from machineray.runs import Plan, Row, StageRun, json_bytes, json_lines, parsed_lines, sha256_of
from machineray.shards import Done, Outcome, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHECKPOINTS_KEPT = 3

# Options of the pipeline, too.
PresetName = Annotated[
    str, typer.Option(help="tiny, demo, paintings256, paintings512 or paintings1024.")
]
Kimg = Annotated[
    float | None, typer.Option(min=0, help="Thousand pictures to look at; default: preset's.")
]


def train(
    job: Job,
    preset: PresetName = "demo",
    kimg: Kimg = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and noise.")] = 0,
    mirror: Annotated[bool, typer.Option(help="Show every picture mirrored, too.")] = True,
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0, help="A checkpoint at least so often, seconds; sooner at first.")
    ] = 600.0,
) -> Iterator[Event]:
    """Train a generator and a discriminator; snapshots, grids and metrics on the way."""
    from machineray.gan.presets import preset_named

    chosen, total = preset_named(preset), total_kimg(preset, kimg)
    squares = input_stage(job)
    if squares is None or squares.stage != "augment":
        raise UsageError(f"--input {job.input}: train reads RUN/augment")
    digest = squares.digest()
    plan = Plan(
        stage=job.stage,
        arguments={"preset": preset, "kimg": total, "seed": seed, "mirror": mirror},
        input={"from": squares.name, "sha256": digest},
        indexes=[[seed]],
    )

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome | Event]:
        import torch

        from machineray.gan.training import Config

        torch.set_num_threads(job.workers)
        config = Config(chosen, seed, total, mirror, dataset=digest)
        with tempfile.TemporaryDirectory(prefix="mray-") as folder:
            images = training_images(squares, Path(folder) / "images", chosen.resolution)
            yield from _trained(job.output, config, images, checkpoint_seconds)
        yield Done(records=list(_snapshots(job.output)))

    def merge(records: list[Row]) -> Iterator[tuple[str, bytes]]:
        yield NEWEST, job.output.store.read(records[-1]["key"])
        yield "catalog.jsonl", json_lines(records)

    yield from job.execute(Task(plan, job.row.unit, work, merge, total))


def total_kimg(preset: str, kimg: float | None) -> float:
    """Thousand pictures to look at, the preset's by default; UsageError for none or endless."""
    from machineray.gan.presets import preset_named

    total = preset_named(preset).kimg if kimg is None else kimg
    if not 0.001 <= total <= 1e9:  # nor is "nan" a number
        raise UsageError(f"--kimg {total:g}: from 0.001, which is one picture, to 1e9")
    return total


def training_images(squares: StageRun, path: Path, resolution: int) -> "NDArray[np.uint8]":
    """All squares of the shards as uint8 (N, 3, R, R), in a file: memory does not grow with N."""
    import json

    import numpy as np

    from machineray.dataset.tar import unpacked

    index = json.loads(squares.read("index.json"))
    if index["resolution"] != resolution:
        raise UsageError(
            f"{squares.name} has squares of {index['resolution']} px, the preset wants "
            f"{resolution}: mray run augment --resolution {resolution} in a new run"
        )
    shape = (index["samples"], 3, resolution, resolution)
    _reserve(path, math.prod(shape))
    images = np.memmap(path, np.uint8, "r+", shape=shape)
    count = 0
    for shard in index["shards"]:
        for sample in unpacked(squares.read(shard), squares.key(shard)):
            pixels = sample.pixels()
            if count == len(images) or pixels.shape != (resolution, resolution, 3):
                raise InputError(f"{squares.key(shard)}: not what index.json says; augment again")
            images[count] = pixels.transpose(2, 0, 1)
            count += 1
    if count != len(images):
        raise InputError(f"{squares.name}: {count} squares, not {len(images)}; augment again")
    return images


def _reserve(path: Path, size_bytes: int) -> None:
    """A file of that size whose room is really there: a mapped one dies by SIGBUS where it ends."""
    try:
        with path.open("wb") as file:
            file.truncate(size_bytes)
            if hasattr(os, "posix_fallocate"):  # not on macOS
                os.posix_fallocate(file.fileno(), 0, size_bytes)
    except OSError as error:
        raise StorageError(
            f"{path.parent}: no room for {size_bytes / 1e9:.1f} GB of training pictures "
            f"({error.strerror}); set TMPDIR to a folder that has it"
        ) from error


def _trained(
    output: StageRun, config: Any, images: "NDArray[np.uint8]", checkpoint_seconds: float
) -> Iterator[Event]:
    """Drain the training: store what it yields, tell how far it is, stop when asked to."""
    from machineray.gan.training import Checkpoint, Snapshot, Tick
    from machineray.gan.training import train as training

    nimg, resume = newest_checkpoint(output)
    metrics = _metrics_until(output, nimg)
    total = config.kimg
    yield Progress("train", nimg / 1000, total, "kimg", "goes on" if resume else "")
    with _StopSignal() as stop:
        for event in training(
            config,
            images,
            resume=resume,
            stop=lambda: stop.signal is not None,
            checkpoint_seconds=checkpoint_seconds,
        ):
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


def newest_checkpoint(output: StageRun) -> tuple[int, bytes | None]:
    """(nimg, bytes) of the newest checkpoint that is whole; (0, None) when there is none."""
    import json

    for stem in sorted(_stems(output, "checkpoints/"), reverse=True):
        try:
            pointer = json.loads(output.read(f"checkpoints/{stem}.json"))
            data = output.read(f"checkpoints/{stem}.safetensors")
        except (ValueError, InputError, NotFoundError):  # damaged, or gone with the oldest
            continue
        if sha256_of(data) == pointer["sha256"]:
            return int(pointer["nimg"]), data
    return 0, None


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
