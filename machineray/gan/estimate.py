"""What a training will take, before it is begun: sizes, operations, and three measured steps."""

import resource
import sys
import time
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from machineray.gan.compute import Compute
from machineray.gan.networks import learned_parameters, new_discriminator, new_generator
from machineray.gan.presets import Preset
from machineray.gan.steps import new_training, step

STEPS = 3


@dataclass(frozen=True)
class Estimate:
    """Parameters that learn, GFLOP of one forward pass a picture, and what three steps took."""

    generator_parameters: int
    discriminator_parameters: int
    generator_gflop: float
    discriminator_gflop: float
    seconds_per_kimg: float
    memory_gb: float

    def hours(self, kimg: float) -> float:
        """How long so many thousand pictures take."""
        return kimg * self.seconds_per_kimg / 3600


def estimate(preset: Preset, compute: Compute) -> Estimate:
    """Count on paper, measure STEPS steps on pictures of noise; nothing is kept.

    The first steps have the regularisers, which come every 4th and 16th time: they count so.
    """
    generator_gflop, discriminator_gflop = forward_gflop(preset)
    training = new_training(preset, 0, compute)
    share = preset.batch // compute.world.size
    height, width = preset.size.shapes[-1]
    real_img = torch.rand(share, 3, height, width, device=compute.device) * 2 - 1
    seconds = []
    for _ in range(STEPS):
        started = time.perf_counter()
        values = step(training, real_img)
        float(values["loss_g"])  # waits for a GPU
        seconds.append(time.perf_counter() - started)
    # The first one warms up and has both regularisers: a 16th of what it takes beyond the others.
    plain = sum(seconds[1:]) / len(seconds[1:])
    usual = plain + max(0.0, seconds[0] - plain) / 4
    return Estimate(
        sum(p.numel() for p in learned_parameters(training.generator)),
        sum(p.numel() for p in learned_parameters(training.discriminator)),
        generator_gflop,
        discriminator_gflop,
        usual * 1000 / preset.batch,
        peak_memory_gb(),
    )


def forward_gflop(preset: Preset) -> tuple[float, float]:
    """(generator, discriminator): operations of one forward pass of one picture, x 1e9.

    Additions and multiplications both count. On the meta device: no memory, no time.
    """
    device = torch.device("meta")
    with device:
        generator = new_generator(preset).eval()
        ws = torch.empty(1, generator.num_ws, preset.z_dim)
        noise = [torch.empty(1, 1, height, width) for height, width in generator.noise_shapes]
    with FlopCounterMode(display=False) as of_generator:
        images = generator.synthesis(ws, noise)
    with torch.random.fork_rng():
        discriminator = new_discriminator(preset, 0).to(device)
    with FlopCounterMode(display=False) as of_discriminator:
        discriminator(images)
    return of_generator.get_total_flops() / 1e9, of_discriminator.get_total_flops() / 1e9


def peak_memory_gb() -> float:
    """The most memory that this process has had: of the GPU where it has one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
