"""Out of memory: which micro-batch would have fitted, found by trying; identical mathematics."""

import gc
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from machineray.errors import ConfigurationError
from machineray.gan.compute import Compute
from machineray.gan.presets import Preset
from machineray.gan.steps import new_training, step
from machineray.gan.world import World

# MemoryError and torch.OutOfMemoryError aside, allocators speak in RuntimeErrors: torch's own on a
# CPU, oneDNN's, cuDNN's and cuBLAS's.
FULL = (
    *("can't allocate memory", "not enough memory", "out of memory", "bad_alloc"),
    *("could not create a memory", "ALLOC_FAILED"),
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator gave up."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in FULL)


@contextmanager
def memory_watched(preset: Preset, compute: Compute) -> Iterator[None]:
    """Turn an allocator's error inside into a ConfigurationError that says which batch fits."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # they hold the networks that filled it
        raise ConfigurationError(advice(preset, compute)) from error


def advice(preset: Preset, compute: Compute) -> str:
    """What to set instead, for whom memory was too little."""
    share = preset.batch // compute.world.size
    tried = min(compute.micro_batch or share, share)
    size = f"{preset.name} of {preset.size} px"
    fits = fitting_micro_batch(preset, compute, tried)
    if fits:
        return (
            f"out of memory: {size}, {tried} pictures at a time; a step with --micro-batch {fits} "
            "was tried and fits: the same command with it goes on, and the mathematics is the same"
        )
    return (
        f"out of memory: {size}, and a smaller --micro-batch does not help (statistics want "
        f"{preset.group} pictures at a time): take a smaller --preset or --resolution, or a "
        "machine with more"
    )


def fitting_micro_batch(preset: Preset, compute: Compute, tried: int) -> int | None:
    """The largest of tried / 2, tried / 4, … whose first step has memory enough; None for none.

    The first step has all regularisers: none is larger. Whole groups of samples, as passes are.
    """
    alone = replace(preset, batch=preset.batch // compute.world.size)
    group, size = preset.group, tried
    while size > group:
        size = max(group, size // 2 // group * group)
        smaller = replace(compute, world=World(device=compute.device), micro_batch=size)
        _swept()
        try:
            _first_step(alone, smaller)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            traceback.clear_frames(error.__traceback__)
        else:
            return size
    return None


def _first_step(preset: Preset, compute: Compute) -> None:
    training = new_training(preset, 0, compute)
    height, width = preset.size.shapes[-1]
    real_img = torch.zeros(preset.batch, 3, height, width, device=compute.device)
    float(step(training, real_img)["loss_g"])  # waits for a GPU


def _swept() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
