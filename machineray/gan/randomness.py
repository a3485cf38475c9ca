"""Randomness as a function: of a seed and of how far the training is, never of what ran before.

A training batch is cut into groups of a few samples. A group is the atom: it has a random
generator of its own, batch statistics are taken within it, and passes and processes share out whole
groups. So a batch is the same mathematics in one pass or several, in one process or many.
"""

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

NoiseShapes = Sequence[tuple[int, int]]
"""(height, width) of the noise of each layer that has some, in the order of the layers."""


def generator_for(
    purpose: str, *numbers: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A random generator that (purpose, numbers) fix, independent of that of any others."""
    digest = hashlib.sha256(f"{purpose}{numbers}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "little"))


@dataclass
class Notes:
    """All that was drawn, and how; with `again` the same tensors are given once more."""

    drawings: list[tuple[Callable[..., Tensor], Tensor]] = field(default_factory=list)
    again: Iterator[tuple[Callable[..., Tensor], Tensor]] | None = None


@dataclass(frozen=True)
class BatchRandom:
    """What chance decides for a batch of len(rngs) * group samples, drawn a group at a time."""

    rngs: Sequence[torch.Generator]
    group: int
    notes: Notes | None = None

    @property
    def samples(self) -> int:
        """How many samples one draw is for."""
        return len(self.rngs) * self.group

    @property
    def device(self) -> torch.device:
        """Where the draws are."""
        return self.rngs[0].device

    def normal(self, *shape: int) -> Tensor:
        """Standard normal, (samples, *shape)."""
        return self._drawn(torch.randn, shape)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform in [0, 1), (samples, *shape)."""
        return self._drawn(torch.rand, shape)

    def integers(self, first: int, end: int, *shape: int) -> Tensor:
        """Whole numbers in [first, end), (samples, *shape)."""
        return self._drawn(functools.partial(torch.randint, first, end), shape)

    def _drawn(self, draw: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        if self.notes and self.notes.again:
            return next(self.notes.again)[1]
        size = (self.group, *shape)
        parts = [draw(size, generator=rng, device=rng.device) for rng in self.rngs]
        drawn = parts[0] if len(parts) == 1 else torch.cat(parts)
        if self.notes:
            self.notes.drawings.append((draw, drawn))
        return drawn

    def redraw(self, notes: Notes) -> None:
        """Put into the same tensors what this one would have drawn."""
        for draw, place in notes.drawings:
            for rng, part in zip(self.rngs, torch.split(place, self.group), strict=True):
                draw(part.shape, generator=rng, out=part)

    def noise(self, shapes: NoiseShapes) -> list[Tensor]:
        """Standard normal noise (samples, 1, height, width) for each layer."""
        return [self.normal(1, height, width) for height, width in shapes]


def batch_random(
    purpose: str,
    seed: int,
    nimg: int,
    groups: Iterable[int],
    group: int,
    device: torch.device | str = "cpu",
) -> BatchRandom:
    """For these groups of the batch that begins at nimg; each by its place in the training."""
    return BatchRandom(
        [generator_for(purpose, seed, nimg + number * group, device=device) for number in groups],
        group,
    )


def batch_order(
    seed: int, nimg: int, batch: int, images: int, x_mirror: bool
) -> tuple[list[int], list[bool]]:
    """Which pictures come after `nimg`: (indices in 0..images-1, which of them mirrored).

    Each epoch shows every picture (and, with `x_mirror`, its mirror image) once, in an order that
    seed and epoch fix.
    """
    epoch_length = images * (2 if x_mirror else 1)
    indices, mirrored = [], []
    for position in range(nimg, nimg + batch):
        epoch, place = divmod(position, epoch_length)
        choice = _epoch_order(seed, epoch, epoch_length)[place]
        indices.append(choice % images)
        mirrored.append(choice >= images)
    return indices, mirrored


@functools.lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, length: int) -> list[int]:
    """Drawn once an epoch, not once a batch: with 100,000 pictures it takes as long as a step."""
    order: list[int] = torch.randperm(
        length, generator=generator_for("order", seed, epoch)
    ).tolist()
    return order
