"""Does a network copy? The nearest painting of each sample, held against paintings it never saw.

Two ways of being near: by the pooled features of a classifier, which see through mirroring,
cropping and tints, and by small grey pictures, which see through blur. How near an honest picture
comes is what the held-out paintings tell.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from machineray.gan.metrics import Picture, pooled

THUMBNAIL_PX = 16
HONEST = 0.95
MARGIN = 0.35  # of the way from there to a perfect copy, for what is near in one way only
# A copy may be mirrored or turned: a painting stands in the bank eight times.
TURNS = ("", "turned 90°", "turned 180°", "turned 270°")
ATTITUDES = (*TURNS, *(f"mirrored, {turn}" if turn else "mirrored" for turn in TURNS))


@dataclass(frozen=True)
class Likeness:
    """What pictures are compared by, a row a picture, each of length 1: features and thumbnails."""

    features: Tensor
    thumbnails: Tensor


@dataclass(frozen=True)
class Match:
    """The painting that a picture is nearest to: its number, its attitude, and how near."""

    painting: int
    attitude: str
    features: float
    thumbnail: float


@dataclass(frozen=True)
class Baseline:
    """How near to the training paintings honest pictures come."""

    features: float
    thumbnail: float

    def flags(self, match: Match) -> bool:
        """Whether a match is so much nearer that it has to be called a copy.

        Nearer than honest pictures by both, or very near by one: a crop keeps some of both, a
        blurred copy nothing but the small grey picture. Each by chance alone is common.
        """
        found, honest = (match.features, match.thumbnail), (self.features, self.thumbnail)
        sights = list(zip(found, honest, strict=True))
        return all(near > line for near, line in sights) or any(
            near > line + MARGIN * (1 - line) for near, line in sights
        )


def attitudes(picture: Picture) -> Iterator[Picture]:
    """The picture (H, W, 3) in the order of ATTITUDES."""
    for one in (picture, picture[:, ::-1]):
        for quarter in range(4):
            yield np.ascontiguousarray(np.rot90(one, quarter))


def likeness(pictures: Iterable[Picture], network: Callable[[Tensor], Tensor]) -> Likeness:
    """Of pictures (H, W, 3), a batch of which is in memory at a time."""
    thumbnails = []

    def seen() -> Iterator[Picture]:
        for picture in pictures:
            thumbnails.append(thumbnail(picture))
            yield picture

    features = F.normalize(pooled(seen(), network), dim=1)
    return Likeness(features, torch.from_numpy(np.stack(thumbnails)))


def thumbnail(picture: Picture) -> NDArray[np.float64]:
    """(H, W, 3) -> (THUMBNAIL_PX^2,): grey levels, mean 0, length 1; 0 where all is one grey."""
    grey = torch.tensor(np.ascontiguousarray(picture)).double().mean(dim=2)
    side = (THUMBNAIL_PX, THUMBNAIL_PX)
    small = F.interpolate(
        grey[None, None], side, mode="bilinear", align_corners=False, antialias=True
    ).flatten()
    small = small - small.mean()
    length = float(small.norm())
    levels: NDArray[np.float64] = (small / length if length > 1e-9 else small * 0).numpy()
    return levels


def bank(pictures: Iterable[Picture], network: Callable[[Tensor], Tensor]) -> Likeness:
    """Of the paintings in all their attitudes: row 8 * i + k is painting i in attitude k."""
    return likeness((turned for picture in pictures for turned in attitudes(picture)), network)


def matches(samples: Likeness, paintings: Likeness, are_paintings: bool = False) -> list[Match]:
    """The nearest painting of each sample: by its features, unless its thumbnail is nearer.

    With `are_paintings` sample i is painting i, and the nearest other one is found.
    """
    by_features = samples.features @ paintings.features.T
    by_thumbnail = samples.thumbnails @ paintings.thumbnails.T
    for i in range(len(by_features) if are_paintings else 0):
        own = slice(i * len(ATTITUDES), (i + 1) * len(ATTITUDES))
        by_features[i, own] = by_thumbnail[i, own] = -1.0
    found = []
    for features, thumbnails in zip(by_features, by_thumbnail, strict=True):
        row = int(torch.maximum(features, thumbnails).argmax())
        painting, attitude = divmod(row, len(ATTITUDES))
        found.append(
            Match(painting, ATTITUDES[attitude], float(features.max()), float(thumbnails.max()))
        )
    return found


def matches_among(paintings: Likeness) -> list[Match]:
    """The nearest other painting of each painting of a bank."""
    upright = slice(None, None, len(ATTITUDES))
    samples = Likeness(paintings.features[upright], paintings.thumbnails[upright])
    return matches(samples, paintings, are_paintings=True)


def baseline(honest: Sequence[Match]) -> Baseline:
    """How near pictures come that nobody copied: nearer than HONEST of them.

    Not the nearest of all, which may be a second version of a painting that was seen.
    """
    return Baseline(
        float(np.quantile([match.features for match in honest], HONEST)),
        float(np.quantile([match.thumbnail for match in honest], HONEST)),
    )
