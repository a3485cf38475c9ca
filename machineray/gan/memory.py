"""Out of memory: which micro-batch would have fitted, found by trying; identical mathematics."""

import gc
import json
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace

import torch

from machineray.errors import ConfigurationError
from machineray.gan.compute import Compute, is_out_of_memory
from machineray.gan.presets import Preset
from machineray.gan.steps import new_training, step
from machineray.gan.world import World

SPARE_BYTES = 2**28  # for what a training has beside its steps, and because no two are quite alike


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

    Tried in fresh processes: what the allocators of this one have cut to pieces stays so. With
    SPARE_BYTES to spare; the first step has all regularisers, so none is larger.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    alone = replace(preset, batch=preset.batch // compute.world.size)
    size = tried
    while size > preset.group:
        size = max(preset.group, size // 2 // preset.group * preset.group)
        if _fits(alone, replace(compute, micro_batch=size)):
            return size
    return None


def _fits(preset: Preset, compute: Compute) -> bool:
    """Whether a fresh process ends a first step, however it ends otherwise."""
    means = [compute.micro_batch, compute.precision, compute.channels_last]
    asked = json.dumps([asdict(preset), str(compute.device), torch.get_num_threads(), means])
    command = [sys.executable, "-m", "machineray.gan.memory", asked]
    return subprocess.run(command, capture_output=True).returncode == 0


def _first_step(asked: str) -> None:
    """What the fresh process does."""
    about, device, threads, means = json.loads(asked)
    torch.set_num_threads(threads)
    preset, compute = Preset(**about), Compute(World(device=torch.device(device)), *means)
    training = new_training(preset, 0, compute)
    height, width = preset.size.shapes[-1]
    real_img = torch.zeros(preset.batch, 3, height, width, device=compute.device)
    spare = torch.empty(SPARE_BYTES, dtype=torch.uint8, device=compute.device)
    step(training, real_img)
    del spare


if __name__ == "__main__":
    _first_step(sys.argv[1])
