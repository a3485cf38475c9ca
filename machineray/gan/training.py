"""The training loop: an iterator of Tick | Snapshot | Checkpoint; whoever drains it stores them.

Progress (nimg) is the only state that matters: data order, z and noise are functions of the seed
and of nimg, so a checkpoint and the same arguments go on exactly where the training was.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from machineray import __version__
from machineray.errors import InputError, StageError
from machineray.gan.compute import Compute
from machineray.gan.networks import calibrate
from machineray.gan.presets import Preset
from machineray.gan.quality import LEAST_SAMPLES, Quality, affordable_samples
from machineray.gan.randomness import batch_order
from machineray.gan.sampling import grid, sample
from machineray.gan.state import checkpoint_bytes, restore, snapshot_bytes, transfer
from machineray.gan.steps import Training, begun_step, ended_step, new_training

SNAPSHOTS_AT_LEAST = 10  # also in the shortest run: one wants to see it learn
# In the beginning a checkpoint is due earlier: a kill costs a sixth of the work or 20 s.
FIRST_CHECKPOINT_SECONDS = 20.0
CHECKPOINT_SHARE = 0.2
GRID_PX = 1536  # about the width of a picture grid
GRID_COLUMNS, GRID_ROWS = 6, 4


@dataclass(frozen=True)
class Begin:
    """Where a fresh training starts from: another one's snapshot, or nothing."""

    snapshot: bytes | None = None
    name: str = ""


class Pictures(Protocol):
    """What is trained on: an array (N, 3, H, W) of uint8, or what gives one picture at a time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, 3, H, W)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class Config:
    """What a training is: two with equal configs give equal snapshots on the same machine."""

    preset: Preset
    seed: int = 0
    kimg: float | None = None
    x_mirror: bool = True
    # For the record: a hash of the pictures, and whom they are owed to.
    dataset: str = ""
    credits: Mapping[str, Any] | None = None

    @property
    def total_nimg(self) -> int:
        """Pictures to look at, whole batches."""
        kimg = self.preset.kimg if self.kimg is None else self.kimg
        return math.ceil(round(kimg * 1000) / self.preset.batch) * self.preset.batch

    def about(self) -> dict[str, Any]:
        """The config as JSON, for checkpoints and snapshots."""
        return {**asdict(self), "machineray": __version__}


@dataclass(frozen=True)
class Tick:
    """Mean values of the steps since the last tick; `seconds` is the time that they took."""

    nimg: int
    seconds: float
    values: dict[str, float]


@dataclass(frozen=True)
class Snapshot:
    """G_ema, its pictures of fixed seeds as one (H, W, 3) uint8, and what was measured of it."""

    nimg: int
    data: bytes
    grid: NDArray[np.uint8]
    quality: dict[str, float]


@dataclass(frozen=True)
class Checkpoint:
    """All that `train(resume=)` needs."""

    nimg: int
    data: bytes


def train(
    config: Config,
    images: Pictures,
    *,
    compute: Compute | None = None,
    quality: Quality | None = None,
    begin: Begin | None = None,
    resume: bytes | None = None,
    stop: Callable[[], bool] = lambda: False,
    checkpoint_seconds: float = 600.0,
) -> Iterator[Tick | Snapshot | Checkpoint]:
    """Train on uint8 images (N, 3, H, W) until config.kimg, or until `stop()`, with a checkpoint.

    Of several processes all do this together, and the first one gives snapshots and checkpoints.

    Raises InputError for pictures of another size or a checkpoint of another config, StageError
    when a loss is no longer a number.
    """
    preset = config.preset
    compute = compute or Compute()
    is_first = compute.world.rank == 0
    _check_images(images, preset)
    training = new_training(preset, config.seed, compute)
    sums: dict[str, list[float]] = {}
    if resume is not None:
        about = restore(training, resume, "the checkpoint")
        _check_same(config, about)
        sums = about["sums"]
    elif begin and begin.snapshot:
        transfer(training, begin.snapshot, begin.name)
    if resume is None and config.total_nimg and is_first:
        yield _snapshot(training, config, None, 0)
    start_time = tick_time = checkpoint_time = time.monotonic()
    real_img = real_batch(images, config, training.nimg, compute)
    while training.nimg < config.total_nimg:
        before = training.nimg
        begun = begun_step(training, real_img)
        real_img = real_batch(images, config, training.nimg, compute)  # while a GPU computes
        _add(sums, ended_step(training, begun), training.nimg)
        is_last = training.nimg >= config.total_nimg
        if _passes(before, training.nimg, preset.tick_kimg) or is_last:
            now = time.monotonic()
            means = {name: total / count for name, (total, count) in sums.items()}
            yield Tick(training.nimg, now - tick_time, means)
            tick_time, sums = now, {}
        if is_first and (_passes(before, training.nimg, snapshot_kimg(config)) or is_last):
            yield _snapshot(training, config, quality, _samples(config, is_last, compute))
        now = time.monotonic()
        early_seconds = max(FIRST_CHECKPOINT_SECONDS, CHECKPOINT_SHARE * (now - start_time))
        is_due = now - checkpoint_time >= min(checkpoint_seconds, early_seconds)
        # Asked once: a stop that comes now is the next step's.
        is_stopped = compute.world.any(stop())
        if is_first and (is_last or is_due or is_stopped):
            yield Checkpoint(
                training.nimg, checkpoint_bytes(training, {**config.about(), "sums": sums})
            )
            checkpoint_time = now
        if is_stopped:
            return


def snapshot_kimg(config: Config) -> float:
    """Thousand pictures between two snapshots."""
    return min(config.preset.snapshot_kimg, config.total_nimg / 1000 / SNAPSHOTS_AT_LEAST)


def _passes(before: int, after: int, every_kimg: float) -> bool:
    """Whether a multiple of every_kimg lies in (before, after]."""
    every = max(1, round(every_kimg * 1000))
    return before // every != after // every


def real_batch(images: Pictures, config: Config, nimg: int, compute: Compute) -> Tensor:
    """This process's share of the next batch, (N, 3, H, W) in [-1, 1]."""
    preset = config.preset
    share = compute.world.share(preset.batch // preset.group)
    first, count = nimg + share.start * preset.group, len(share) * preset.group
    indices, mirrored = batch_order(config.seed, first, count, len(images), config.x_mirror)
    chosen = [
        images[i][:, :, ::-1] if m else images[i] for i, m in zip(indices, mirrored, strict=True)
    ]
    pixels = torch.from_numpy(np.stack(chosen))
    if compute.device.type == "cuda":  # else the copy would wait for the step before
        pixels = pixels.pin_memory().to(compute.device, non_blocking=True)
    return pixels.to(torch.get_default_dtype()) / 127.5 - 1


def _samples(config: Config, is_last: bool, compute: Compute) -> int:
    """How many samples the quality is measured on: in the end at least LEAST_SAMPLES."""
    on_gpu = compute.device.type == "cuda"
    samples = affordable_samples(round(snapshot_kimg(config) * 1000), on_gpu)
    return max(samples, LEAST_SAMPLES) if is_last else samples


def _snapshot(
    training: Training, config: Config, quality: Quality | None, samples: int
) -> Snapshot:
    generator = training.generator_ema
    calibrate(generator)
    size = config.preset.size
    columns = min(GRID_COLUMNS, max(2, GRID_PX // size.width))
    rows = min(GRID_ROWS, max(2, GRID_PX // size.height))
    pictures = [picture for _, picture in sample(generator, range(columns * rows))]
    measured = quality.measured(generator, samples) if quality and samples else {}
    data = snapshot_bytes(training, {**config.about(), "quality": measured})
    return Snapshot(training.nimg, data, grid(pictures, columns), measured)


def _add(sums: dict[str, list[float]], values: dict[str, float], nimg: int) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise StageError(
                f"{name} is {value} after {nimg / 1000:g} kimg: the training has diverged. The "
                "last checkpoint is kept; try another --seed or a smaller --preset in a new run"
            )
        total, count = sums.get(name, (0.0, 0))
        sums[name] = [total + value, count + 1]


def _check_images(images: Pictures, preset: Preset) -> None:
    height, width = preset.size.shapes[-1]
    if len(images) == 0 or images.shape[1:] != (3, height, width):
        raise InputError(
            f"training pictures {images.shape}: {preset.name} wants (N, 3, {height}, {width})"
        )


def _check_same(config: Config, about: dict[str, Any]) -> None:
    """A checkpoint of other arguments is refused, with what differs; kimg may grow."""
    for name, value in config.about().items():
        if name not in ("kimg", "machineray", "dataset", "credits") and about.get(name) != value:
            raise InputError(
                f"the checkpoint was made with {name} {about.get(name)}, not {value}: take the "
                "same arguments, or a new --run"
            )
