"""What a training will take, before it is begun: a few measured steps."""

import resource
import sys
import time
from dataclasses import dataclass
from statistics import fmean

import torch

from machineray.gan.compute import Compute
from machineray.gan.kinds import R1_EVERY, iterations_by_kind
from machineray.gan.presets import Preset
from machineray.gan.steps import new_training, step


@dataclass(frozen=True)
class Estimate:
    """What a few steps of a preset took."""

    seconds_per_kimg: float
    memory_gb: float

    def hours(self, kimg: float) -> float:
        """How long so many thousand pictures take."""
        return kimg * self.seconds_per_kimg / 3600


def estimate(preset: Preset, compute: Compute) -> Estimate:
    """Measure a step of each kind on pictures of noise; nothing is kept.

    A kind counts as often as it comes: every 4th step has path lengths, every 16th has R1.
    """
    training = new_training(preset, 0, compute)
    share = preset.batch // compute.world.size
    height, width = preset.size.shapes[-1]
    real_img = torch.rand(share, 3, height, width, device=compute.device) * 2 - 1

    def seconds_of(iteration: int) -> float:
        training.nimg = iteration * preset.batch
        started = time.perf_counter()
        step(training, real_img)
        return time.perf_counter() - started

    kinds = iterations_by_kind(preset)
    first = [same[0] for same in kinds]
    # As a recording each kind is computed as usual once, then recorded; else the first warms up.
    for iteration in (*first, *first) if compute.cuda_graphs else first[:1]:
        seconds_of(iteration)
    looks = 1 if len(kinds) > 1 else 2
    usual = sum(len(same) * fmean(map(seconds_of, same[:looks])) for same in kinds)
    return Estimate(usual / R1_EVERY * 1000 / preset.batch, peak_memory_gb())


def peak_memory_gb() -> float:
    """The most memory that this process has had: of the GPU where it has one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
