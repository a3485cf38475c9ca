"""What a training reads from the store and leaves there: checkpoints, snapshots, metrics."""

import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machineray.devices import has_gpu
from machineray.errors import InputError, NotFoundError, UsageError
from machineray.gan.sizes import Size, size_of
from machineray.runs import (
    Marker,
    Row,
    StageRun,
    json_bytes,
    json_lines,
    parsed_lines,
    sha256_of,
)
from machineray.shards import MARKER_READERS, each

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from machineray.dataset.store import PictureStore
    from machineray.gan.presets import Preset
    from machineray.gan.world import World

CHECKPOINTS_KEPT = 3
COLLAPSE_SNAPSHOTS = 3  # in a row that look worse
NEWEST, BEST = "snapshot.safetensors", "best.safetensors"
KID = "kid_effnetlite0"


def shape_of(pictures: StageRun) -> Size:
    """The size of augment's pictures."""
    try:
        return size_of(json.loads(pictures.read("index.json"))["resolution"])
    except (ValueError, KeyError) as error:
        raise InputError(f"{pictures.name}: no network draws them ({error})") from error


def in_shape(preset: "Preset", size: Size, what: str) -> "Preset":
    """The preset for pictures of that size; UsageError when they are too large or too small."""
    from machineray.gan.presets import PRESETS

    side, wanted = size.sides[-1], preset.size.sides[-1]
    if side == wanted:
        return replace(preset, resolution=size.resolution)
    fitting = " or ".join(p.name for p in PRESETS if p.size.sides[-1] == side)
    other = f"--preset {fitting}, or " if fitting else ""
    raise UsageError(
        f"{what} {size} px, {preset.name} draws {preset.size} px on the longer "
        f"side: take {other}augment --resolution {size.at(wanted)} in a new run"
    )


def training_images(squares: StageRun, memory_bytes: int, workers: int = 1) -> "PictureStore":
    """All pictures of the shards, decoded once a machine; each shard is held against its proof.

    By threads, and the next shard is read meanwhile: a GPU waits for it, at each start of a pod.
    """
    from machineray.dataset.store import cached_store
    from machineray.dataset.tar import Sample, unpacked

    index = json.loads(squares.read("index.json"))

    def samples() -> "Iterator[Sample]":
        markers = each(squares.done, squares.done_indexes(), MARKER_READERS)
        proofs = {
            proof.key: proof
            for _, marker in markers
            if isinstance(marker, Marker)
            for proof in marker.outputs
        }
        wanted = (proofs[shard] for shard in index["shards"])
        for proof, data in each(squares.read_proven, wanted, 1):
            if isinstance(data, InputError):
                raise data
            yield from unpacked(data, squares.key(proof.key))

    def pictures() -> "Iterator[tuple[str, NDArray[np.uint8]]]":
        for sample, pixels in each(Sample.pixels, samples(), workers):
            if isinstance(pixels, InputError):
                raise pixels
            yield sample.metadata["id"], pixels

    # A user's own: in the folder of another, who was first on this machine, nobody may write.
    folder = Path(tempfile.gettempdir()) / f"mray-squares-{os.getuid()}"
    shape = (index["samples"], 3, *shape_of(squares).shapes[-1])
    try:
        return cached_store(folder, squares.digest()[:32], shape, pictures, memory_bytes)
    except InputError as error:
        raise InputError(f"{squares.name}: {error}") from error


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


def agreed_checkpoint(output: StageRun, world: "World") -> tuple[int, bytes | None, list[str]]:
    """As newest_checkpoint, the same in every process: the first one chooses.

    A process that begins again earlier than the others would take an older one for the newest.
    """
    if world.rank == 0:
        nimg, data, skipped = newest_checkpoint(output)
        world.told_by_first(nimg)
        return nimg, data, skipped
    nimg = world.told_by_first(0)
    return nimg, output.read(f"checkpoints/{nimg:09d}.safetensors") if nimg else None, []


def _stems(output: StageRun, prefix: str) -> set[str]:
    """The checkpoints or snapshots that have been pointed to."""
    keys = (stored.key for stored in output.store.list(output.key(prefix)))
    return {Path(key).stem for key in keys if key.endswith(".json")}


def store_snapshot(output: StageRun, snapshot: Any, metrics: list[Row], paintings: int) -> None:
    """Write a snapshot with its grid and quality, the metrics so far as JSONL and TensorBoard file.

    Also as the best one, where its KID is the lowest yet.
    """
    from machineray.gan.events import tensorboard_file
    from machineray.imaging import encode, from_array

    name = f"snapshots/{snapshot.nimg:09d}"
    proof = output.write(f"{name}.safetensors", snapshot.data)
    output.write(f"{name}.png", encode(from_array(snapshot.grid), "png"))
    output.write("metrics.jsonl", json_lines(metrics))
    output.write("tensorboard/events.out.tfevents.0.mray", tensorboard_file(metrics))
    height, width, _ = snapshot.grid.shape
    row = {"nimg": snapshot.nimg, "sha256": proof.sha256, "grid_size": [width, height]}
    row |= snapshot.quality
    before = [earlier for earlier in snapshot_rows(output) if earlier["nimg"] < snapshot.nimg]
    if KID in row and all(row[KID] < earlier[KID] for earlier in before if KID in earlier):
        output.write(BEST, snapshot.data)
    output.write(f"{name}.json", json_bytes(row))
    store_page(output, metrics, paintings)


def store_page(output: StageRun, metrics: list[Row], paintings: int) -> None:
    """index.html beside the snapshots: what a person looks at while it trains, and afterwards."""
    from machineray import __version__
    from machineray.gallery.page import training_page
    from machineray.gallery.pictures import Picture
    from machineray.gallery.rooms import Grid, Progress

    rows = list(snapshot_rows(output))
    last = metrics[-1] if metrics else {"kimg": 0.0, "seconds_total": 0.0}
    progress = Progress(
        kimg=last["kimg"],
        seconds=last["seconds_total"],
        machine=machine_name(),
        paintings=paintings,
        grids=[Grid(row["nimg"] / 1000, Picture(row["grid"], *row["grid_size"])) for row in rows],
        metrics=metrics,
    )
    output.write("index.html", training_page(output.run, progress, __version__).encode())


def snapshot_rows(output: StageRun) -> Iterator[Row]:
    """A row a snapshot, in the order of training."""
    for stem in sorted(_stems(output, "snapshots/")):
        row = json.loads(output.read(f"snapshots/{stem}.json"))
        key = output.key(f"snapshots/{stem}.safetensors")
        yield {"id": stem, "key": key, "grid": f"snapshots/{stem}.png", **row}


def quality_warning(rows: list[Row]) -> str:
    """Why the last snapshots look like a collapse, "" where they do not.

    KID that rises over three snapshots while the samples grow more alike.
    """
    measured = [row for row in rows if KID in row][-COLLAPSE_SNAPSHOTS - 1 :]
    if len(measured) <= COLLAPSE_SNAPSHOTS:
        return ""
    pairs = list(pairwise(measured))
    rises = all(later[KID] > earlier[KID] for earlier, later in pairs)
    narrows = all(later["diversity"] < earlier["diversity"] for earlier, later in pairs)
    if not (rises and narrows):
        return ""
    return (
        f"KID has risen since {measured[0]['nimg'] / 1000:g} kimg and the samples grow more alike: "
        f"the generator may be collapsing; the best snapshot is kept in {BEST}"
    )


def metrics_until(output: StageRun, nimg: int) -> list[Row]:
    """The rows of an earlier process up to its checkpoint; later ones will be made again."""
    key = output.key("metrics.jsonl")
    if not nimg or output.store.size(key) is None:
        return []
    return [row for row in parsed_lines(output.store.read(key), key) if row["nimg"] <= nimg]


def metric_row(tick: Any, before: list[Row]) -> Row:
    """A row of metrics.jsonl: what the tick says, and the time spent in all processes."""
    from machineray.gan.estimate import peak_memory_gb

    spent = before[-1]["seconds_total"] if before else 0.0
    nimg = tick.nimg - (before[-1]["nimg"] if before else 0)
    return {
        "nimg": tick.nimg,
        "kimg": tick.nimg / 1000,
        "seconds": round(tick.seconds, 3),
        "seconds_total": round(spent + tick.seconds, 3),
        "images_per_second": round(nimg / max(tick.seconds, 1e-9), 3),
        "memory_gb": round(peak_memory_gb(), 3),
        "time": round(time.time(), 3),
        "machine": machine_name(),
        **tick.values,
    }


def machine_name() -> str:
    """What trains, as one says it: '2 CPU cores (x86_64)'."""
    import torch

    if has_gpu():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
    threads = torch.get_num_threads()
    return f"{threads} CPU core{'s' * (threads != 1)} ({platform.machine()})"
