"""The quality of a generator while it trains, measured against the paintings it sees and others."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from machineray.gan.metrics import (
    FEATURES,
    Picture,
    colour_distance,
    colours,
    diversity,
    kid,
    pooled,
    precision_recall,
)
from machineray.gan.networks import Generator
from machineray.gan.sampling import sample

LEAST_SAMPLES, MOST_SAMPLES = 24, 1000
MOST_PICTURES = 2000  # of the paintings that are compared with: more tell no more
FIRST_SEED = 1_000_000_000  # nobody's favourite: the samples shown are not those measured


@dataclass(frozen=True)
class Reference:
    """What is known about a set of paintings: features (N, D), and the shares of its colours."""

    features: Tensor
    colours: NDArray[np.float64]


def reference(
    pictures: Callable[[int], Picture], indices: Sequence[int], network: Callable[[Tensor], Tensor]
) -> Reference:
    """Of at most MOST_PICTURES of the pictures (H, W, 3), evenly chosen."""
    step = max(1, len(indices) / MOST_PICTURES)
    chosen = [indices[int(i * step)] for i in range(int(len(indices) / step))]
    return Reference(
        pooled((pictures(i) for i in chosen), network), colours(pictures(i) for i in chosen)
    )


def reference_name(device: torch.device) -> str:
    """The file of a reference: another way to compute it, or another torch, rounds otherwise."""
    return f"reference-{FEATURES}-folded-{device.type}-torch{torch.__version__}.npz"


def cached_reference(path: Path, make: Callable[[], Reference]) -> Reference:
    """The reference in the file; made, and put there, where there is none."""
    if path.is_file():
        with np.load(path, allow_pickle=False) as found:
            return Reference(torch.from_numpy(found["features"]), found["colours"])
    made = make()
    half = path.with_suffix(".half.npz")
    np.savez(half, features=made.features.numpy(), colours=made.colours)
    half.replace(path)
    return made


@dataclass(frozen=True)
class Quality:
    """Measures a generator against the paintings it learns from, and those it does not."""

    seen: Reference
    held_out: Reference | None
    network: Callable[[Tensor], Tensor]

    def measured(self, generator: Generator, samples: int) -> dict[str, float]:
        """KID, precision and recall against what was seen, colours, diversity; KID held out.

        Of `samples` fixed seeds. `precision` and `recall` follow k = 3 neighbours.
        """
        share = np.zeros_like(self.seen.colours)

        def pictures() -> Iterator[Picture]:
            nonlocal share
            for _, picture in sample(generator, range(FIRST_SEED, FIRST_SEED + samples)):
                share = share + colours([picture]) / samples
                yield picture

        features = pooled(pictures(), self.network)
        precision, recall = precision_recall(self.seen.features, features)
        told = {
            f"kid_{FEATURES}": kid(features, self.seen.features),
            "precision": precision,
            "recall": recall,
            "colour_distance": colour_distance(share, self.seen.colours),
            "diversity": diversity(features) / diversity(self.seen.features),
        }
        if self.held_out is not None:
            told[f"kid_{FEATURES}_held_out"] = kid(features, self.held_out.features)
        return told | {"quality_samples": float(samples)}


def affordable_samples(nimg_between: int, on_gpu: bool) -> int:
    """How many samples a measurement may have, to cost about a twentieth of the training.

    A sample is drawn and looked at once. That costs about as much as one picture's training, or
    twice as much on a GPU (`demo`, whose steps are replayed there); 0 where it leaves too few.
    """
    samples = min(MOST_SAMPLES, nimg_between // (40 if on_gpu else 20))
    return samples if samples >= LEAST_SAMPLES else 0
