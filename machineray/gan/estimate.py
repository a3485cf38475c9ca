"""What a training will take, before it is begun: sizes, operations, and three measured steps."""

import resource
import sys
import time
from dataclasses import dataclass

import torch

from machineray.gan.compute import Compute
from machineray.gan.counts import Counts, counted
from machineray.gan.presets import Preset
from machineray.gan.steps import R1_EVERY, new_training, step

STEPS = 3


@dataclass(frozen=True)
class Estimate:
    """What is counted of a preset, and what three steps took."""

    counts: Counts
    seconds_per_kimg: float
    memory_gb: float

    def hours(self, kimg: float) -> float:
        """How long so many thousand pictures take."""
        return kimg * self.seconds_per_kimg / 3600


def estimate(preset: Preset, compute: Compute) -> Estimate:
    """Count on paper, measure STEPS steps on pictures of noise; nothing is kept.

    The first steps have the regularisers, which come every 4th and 16th time: they count so.
    """
    training = new_training(preset, 0, compute)
    share = preset.batch // compute.world.size
    height, width = preset.size.shapes[-1]
    real_img = torch.rand(share, 3, height, width, device=compute.device) * 2 - 1
    if compute.cuda_graphs:  # one of each kind is computed as usual, the next one is recorded
        for iteration in (0, 1, R1_EVERY, 2):
            training.nimg = iteration * preset.batch
            step(training, real_img)
        training.nimg = 0
    seconds = []
    for _ in range(STEPS):
        started = time.perf_counter()
        step(training, real_img)
        seconds.append(time.perf_counter() - started)
    # The first one warms up and has both regularisers: a 16th of what it takes beyond the others.
    plain = sum(seconds[1:]) / len(seconds[1:])
    usual = plain + max(0.0, seconds[0] - plain) / 4
    return Estimate(
        counted(preset),
        usual * 1000 / preset.batch,
        peak_memory_gb(),
    )


def peak_memory_gb() -> float:
    """The most memory that this process has had: of the GPU where it has one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
