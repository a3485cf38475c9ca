"""How good samples are: distances between two sets of pictures, each (N, D) features.

All on the pooled features of EfficientNet-lite0 (`pooled`), so a figure bears their name:
kid_effnetlite0. They are not Inception's, and compare with nobody else's figures.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

FEATURES = "effnetlite0"
INPUT_PX = 224  # what the network was trained on
BATCH = 8
COLOUR_LEVELS = 6  # of each channel
NEIGHBOURS = 3

Picture = NDArray[np.uint8]


@torch.inference_mode()
def pooled(pictures: Iterable[Picture], network: Callable[[Tensor], Tensor]) -> Tensor:
    """Pictures (H, W, 3) of any size -> (N, D) float64, the means of the network's last maps."""
    found = []
    for batch in _batches(pictures, BATCH):
        images = torch.stack([_resized(picture) for picture in batch])
        found.append(network(images).mean(dim=(2, 3)).double().cpu())
    return torch.cat(found)


def _batches(pictures: Iterable[Picture], size: int) -> Iterator[list[Picture]]:
    source = iter(pictures)
    while batch := list(islice(source, size)):
        yield batch


def _resized(picture: Picture) -> Tensor:
    """(H, W, 3) -> (3, INPUT_PX, INPUT_PX) in [-1, 1]."""
    image = torch.tensor(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float()
    side = (INPUT_PX, INPUT_PX)
    image = F.interpolate(image, side, mode="bilinear", align_corners=False, antialias=True)
    return image[0] / 127.5 - 1


def kid(one: Tensor, other: Tensor) -> float:
    """Kernel inception distance of two sets of features, unbiased (Binkowski 2018, 1801.01401).

    The squared MMD under (x.y / D + 1)^3: 0 for two samples of one source, below 0 by chance.
    """
    (first, second), width = (len(one), len(other)), one.shape[1]

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / width + 1) ** 3

    within_one, within_other = kernel(one, one), kernel(other, other)
    mean_one = (within_one.sum() - within_one.trace()) / (first * (first - 1))
    mean_other = (within_other.sum() - within_other.trace()) / (second * (second - 1))
    return float(mean_one + mean_other - 2 * kernel(one, other).mean())


def precision_recall(real: Tensor, generated: Tensor, k: int = NEIGHBOURS) -> tuple[float, float]:
    """(precision, recall) by k-nearest neighbours (Kynkäänniemi 2019, arXiv 1904.06991, eq. 2).

    How many of the generated are within the real ones' reach, and the other way round.
    """

    def covered(points: Tensor, by: Tensor) -> float:
        reach = torch.cdist(by, by).kthvalue(min(k + 1, len(by)), dim=1).values
        return float((torch.cdist(points, by) <= reach).any(dim=1).double().mean())

    return covered(generated, real), covered(real, generated)


def colours(pictures: Iterable[Picture]) -> NDArray[np.float64]:
    """Shares (COLOUR_LEVELS^3,) of the colours in all pictures together, each counted alike."""
    total, count = np.zeros(COLOUR_LEVELS**3), 0
    for picture in pictures:
        levels = picture.reshape(-1, 3).astype(int) * COLOUR_LEVELS // 256
        numbers = levels @ (COLOUR_LEVELS**2, COLOUR_LEVELS, 1)
        total += np.bincount(numbers, minlength=COLOUR_LEVELS**3) / len(numbers)
        count += 1
    return total / max(1, count)


def colour_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """0 the same colours, 1 none in common (total variation of two `colours`)."""
    return float(np.abs(one - other).sum() / 2)


def diversity(features: Tensor) -> float:
    """Mean distance between two of the pictures; it falls when a generator collapses."""
    return float(torch.pdist(features).mean())
