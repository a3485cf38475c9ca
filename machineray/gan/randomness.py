"""Randomness as a function: of a seed and of how far the training is, never of what ran before."""

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Noise = Callable[[int, int], Tensor]
"""(height, width) -> standard normal (N, 1, height, width), new at every call."""


def generator_for(
    purpose: str, *numbers: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A random generator that (purpose, numbers) fix, independent of that of any others."""
    digest = hashlib.sha256(f"{purpose}{numbers}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "little"))


def batch_noise(rng: torch.Generator, samples: int) -> Noise:
    """Noise of a training batch, all from one generator, on its device."""
    return lambda height, width: torch.randn(
        samples, 1, height, width, generator=rng, device=rng.device
    )


def sample_noise(rngs: Sequence[torch.Generator], device: torch.device | str = "cpu") -> Noise:
    """Noise with one generator a sample: a sample's noise is the same in any batch."""

    def noise(height: int, width: int) -> Tensor:
        maps = [torch.randn(1, height, width, generator=rng) for rng in rngs]
        return torch.stack(maps).to(device)

    return noise


def batch_order(
    seed: int, nimg: int, batch: int, images: int, x_mirror: bool
) -> tuple[list[int], list[bool]]:
    """Which pictures come after `nimg`: (indices in 0..images-1, which of them mirrored).

    Each epoch shows every picture (and, with `x_mirror`, its mirror image) once, in an order that
    seed and epoch fix.
    """
    epoch_length = images * (2 if x_mirror else 1)
    orders: dict[int, list[int]] = {}
    indices, mirrored = [], []
    for position in range(nimg, nimg + batch):
        epoch, place = divmod(position, epoch_length)
        if epoch not in orders:
            rng = generator_for("order", seed, epoch)
            orders[epoch] = torch.randperm(epoch_length, generator=rng).tolist()
        choice = orders[epoch][place]
        indices.append(choice % images)
        mirrored.append(choice >= images)
    return indices, mirrored
