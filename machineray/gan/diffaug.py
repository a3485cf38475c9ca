"""Colour, translation and cutout, the same kinds for real and generated pictures.

The three policies of differentiable augmentation (Zhao et al. 2020, arXiv 2006.10738), always on:
without them a discriminator learns a few dozen paintings by heart.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

TRANSLATION = 1 / 8  # of a side
CUTOUT = 1 / 2  # of a side


def augmented(images: Tensor, rng: torch.Generator) -> Tensor:
    """(N, 3, H, W) in [-1, 1] -> the same shape; differentiable; one draw a picture."""
    return cut_out(translated(recoloured(images, rng), rng), rng)


def recoloured(images: Tensor, rng: torch.Generator) -> Tensor:
    """Brightness ±0.1, saturation x 0.8..1.2, contrast x 0.9..1.1.

    A fifth of what the paper has: at its strength the discriminator cannot tell which colours the
    paintings have, and all samples turn grey (DECISIONS.md).
    """
    brightness, saturation, contrast = _uniform(3, len(images), rng).unbind()
    images = images + 0.1 * brightness
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (1 + 0.2 * saturation)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (images - mean) * (1 + 0.1 * contrast)


def translated(images: Tensor, rng: torch.Generator) -> Tensor:
    """Shifted by whole pixels, up to an eighth of a side, zeros behind."""
    reach = round(images.shape[2] * TRANSLATION)
    padded = F.pad(images, (reach,) * 4)
    shifts = torch.randint(0, 2 * reach + 1, (len(images), 2), generator=rng, device=rng.device)
    height, width = images.shape[2:]
    shifted = [
        one[:, top : top + height, left : left + width]
        for one, (top, left) in zip(padded, shifts.tolist(), strict=True)
    ]
    return torch.stack(shifted)


def cut_out(images: Tensor, rng: torch.Generator) -> Tensor:
    """A square of half a side set to 0, its centre anywhere in the picture."""
    samples, _, height, width = images.shape
    centres = torch.rand(samples, 2, 1, 1, generator=rng, device=rng.device)
    rows = torch.arange(height, device=images.device).reshape(1, -1, 1)
    columns = torch.arange(width, device=images.device).reshape(1, 1, -1)
    inside = (rows - centres[:, 0] * height).abs() < height * CUTOUT / 2
    inside = inside & ((columns - centres[:, 1] * width).abs() < width * CUTOUT / 2)
    return images.masked_fill(inside[:, None], 0.0)


def _uniform(kinds: int, samples: int, rng: torch.Generator) -> Tensor:
    """Uniform in [-1, 1], (kinds, samples, 1, 1, 1)."""
    return 2 * torch.rand(kinds, samples, 1, 1, 1, generator=rng, device=rng.device) - 1
