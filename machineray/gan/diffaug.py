"""Turns, colour, translation and cutout, the same kinds for real and generated pictures.

The three policies of differentiable augmentation (Zhao et al. 2020, arXiv 2006.10738) and quarter
turns, always on: without them a discriminator learns a few hundred paintings by heart.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from machineray.gan.randomness import BatchRandom

TURNED = 0.4  # of the pictures; fewer than stand upright, or nobody could tell which way up is
TRANSLATION = 1 / 8  # of a side
CUTOUT = 1 / 2  # of a side


def augmented(images: Tensor, random: BatchRandom) -> Tensor:
    """(N, 3, H, W) in [-1, 1] -> the same shape; differentiable; one draw a picture."""
    return cut_out(translated(recoloured(turned(images, random), random), random), random)


def turned(images: Tensor, random: BatchRandom) -> Tensor:
    """By 90°, 180° or 270°, TURNED of them; what is no square only by 180°."""
    ways = (1, 2, 3) if images.shape[2] == images.shape[3] else (2,)
    chance, which = random.uniform(2, 1, 1, 1).unbind(dim=1)
    chosen = (which * len(ways)).long()
    result = images
    for place, way in enumerate(ways):
        is_this = (chance < TURNED) & (chosen == place)
        result = torch.where(is_this, torch.rot90(images, way, (2, 3)), result)
    return result


def recoloured(images: Tensor, random: BatchRandom) -> Tensor:
    """Brightness ±0.1, saturation x 0.8..1.2, contrast x 0.9..1.1.

    A fifth of what the paper has: at its strength the discriminator cannot tell which colours the
    paintings have, and all samples turn grey (DECISIONS.md).
    """
    brightness, saturation, contrast = (2 * random.uniform(3, 1, 1, 1) - 1).unbind(dim=1)
    images = images + 0.1 * brightness
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (1 + 0.2 * saturation)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (images - mean) * (1 + 0.1 * contrast)


def translated(images: Tensor, random: BatchRandom) -> Tensor:
    """Shifted by whole pixels, up to an eighth of each side, zeros behind."""
    height, width = images.shape[2:]
    down, right = round(height * TRANSLATION), round(width * TRANSLATION)
    padded = F.pad(images, (right, right, down, down))
    if down == right:
        top, left = random.integers(0, 2 * down + 1, 2, 1, 1, 1).unbind(dim=1)
    else:
        top, left = (random.integers(0, 2 * reach + 1, 1, 1, 1) for reach in (down, right))
    rows = top + torch.arange(height, device=images.device)[:, None]
    columns = left + torch.arange(width, device=images.device)
    shifted = padded.gather(2, rows.expand(-1, padded.shape[1], -1, padded.shape[3]))
    return shifted.gather(3, columns.expand(-1, padded.shape[1], height, -1))


def cut_out(images: Tensor, random: BatchRandom) -> Tensor:
    """A rectangle of half the sides set to 0, its centre anywhere in the picture."""
    height, width = images.shape[2:]
    centres = random.uniform(2, 1, 1)
    rows = torch.arange(height, device=images.device).reshape(1, -1, 1)
    columns = torch.arange(width, device=images.device).reshape(1, 1, -1)
    inside = (rows - centres[:, 0] * height).abs() < height * CUTOUT / 2
    inside = inside & ((columns - centres[:, 1] * width).abs() < width * CUTOUT / 2)
    return images.masked_fill(inside[:, None], 0.0)
