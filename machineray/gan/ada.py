"""Adaptive discriminator augmentation (Karras et al. 2020, arXiv 2006.06676).

All of a picture's turns, shifts and scalings are one affine warp, all of its colour changes one
matrix; both are differentiable twice, because R1 differentiates through them. How often each kind
is done, p, follows how sure the discriminator is of the real pictures.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from machineray.gan.layers import constant
from machineray.gan.randomness import BatchRandom

INTERVAL = 4  # batches between two changes of p (sec. 3.1)
RAMP_NIMG = 500_000  # pictures from p = 0 to 1 at full speed
MOST_P = 0.85  # beyond it augmentations leak into the samples (sec. 2.2)
# Strengths (app. B).
INTEGER_SHIFT = 0.125  # of a side
FRACTION_SHIFT_STD = 0.125
SCALE_STD = 0.2  # of log2
BRIGHTNESS_STD = 0.2
CONTRAST_STD = 0.5  # of log2
SATURATION_STD = 1.0  # of log2
GREY = (1 / math.sqrt(3),) * 3  # the axis on which all colours are grey


@dataclass
class Adaptation:
    """p, and the signs that decide where it goes: sums since it last changed."""

    p: float = 0.0
    signs: float = 0.0
    count: float = 0.0

    def saw(self, signs: float, count: float) -> None:
        """Add the signs of the discriminator's logits for real pictures."""
        self.signs += signs
        self.count += count

    @property
    def overfitting(self) -> float:
        """r_t = E[sign(D(real))], eq. 1: 0 it guesses, 1 it knows them by heart."""
        return self.signs / self.count if self.count else 0.0

    def adapt(self, target: float, nimg: int) -> None:
        """One step of p, by the pictures that were seen since the last one."""
        direction = math.copysign(1.0, self.overfitting - target) if self.count else 0.0
        self.p = min(MOST_P, max(0.0, self.p + direction * nimg / RAMP_NIMG))
        self.signs = self.count = 0.0


def augmented(images: Tensor, random: BatchRandom, p: float | Tensor) -> Tensor:
    """(N, 3, H, W) in [-1, 1] -> the same shape; each kind of change with probability p."""
    if not isinstance(p, Tensor) and p == 0:
        return images
    return recoloured(
        warped(images, warps(images.shape[2], images.shape[3], random, p)), colours(random, p)
    )


def warped(images: Tensor, matrices: Tensor) -> Tensor:
    """(N, C, H, W), (N, 3, 3) -> (N, C, H, W): where each pixel comes from, mirrored at the edges.

    The matrices act on (x, y, 1) in units of half the height, the centre at 0.
    """
    height, width = images.shape[2:]
    aspect = width / height
    to_units = constant((aspect, 1.0, 1.0), matrices.dtype, matrices.device)
    theta = (matrices * to_units / to_units[:, None])[:, :2]
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    sampled: Tensor = _Sampled.apply(images, grid.to(images.dtype))
    return sampled


BILINEAR, REFLECTION = 0, 2  # by torch's numbers


class _Sampled(torch.autograd.Function):
    """Bilinear samples of pictures, a linear map: R1 wants the gradient of its gradient.

    Not every torch has one (2.11 has none). The grid is given: it gets no gradient.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = images.shape
        return torch.grid_sampler_2d(images, grid, BILINEAR, REFLECTION, False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (grid,) = ctx.saved_tensors
        return _SampledTransposed.apply(gradients[0], grid, ctx.shape), None


class _SampledTransposed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        transposed: Tensor = torch.ops.aten.grid_sampler_2d_backward(
            gradient, gradient.new_empty(shape), grid, BILINEAR, REFLECTION, False, (True, False)
        )[0]
        return transposed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        return _Sampled.apply(gradients[0], grid), None, None


def recoloured(images: Tensor, matrices: Tensor) -> Tensor:
    """(N, 3, H, W), (N, 4, 4) -> (N, 3, H, W): the matrices act on (r, g, b, 1)."""
    matrices = matrices.to(images.dtype)
    changed = torch.bmm(matrices[:, :3, :3], images.flatten(2)) + matrices[:, :3, 3:]
    return changed.reshape(images.shape)


def warps(height: int, width: int, random: BatchRandom, p: float | Tensor) -> Tensor:
    """Output -> input coordinates (N, 3, 3) of the geometric changes; the first one stands first.

    Each drawn matrix is an inverse as it is: flips, turns, shifts and scalings by 2^x are
    distributed as their inverses are.
    """
    sides = constant((width, height), torch.int64, random.device)
    units = 2 * sides / height  # a side in units of half the height
    turn = math.pi / 2 if height == width else math.pi
    p_rotation = 1 - (1 - p) ** 0.5  # there are two: one of them happens with probability p
    flip = torch.stack((1.0 - 2 * random.integers(0, 2), torch.ones_like(random.uniform())), dim=1)
    whole = ((2 * random.uniform(2) - 1) * INTEGER_SHIFT * sides).round() / sides
    scale = torch.exp2(SCALE_STD * random.normal(1)).expand(-1, 2)
    stretch = SCALE_STD * random.normal(1)
    kinds = (
        (_scaling(flip), p),
        (_rotation(turn * random.integers(0, 4)), p),
        (_shift(whole * units), p),
        (_scaling(scale), p),
        (_rotation(math.pi * (2 * random.uniform() - 1)), p_rotation),
        (_scaling(torch.exp2(torch.cat((stretch, -stretch), dim=1))), p),
        (_rotation(math.pi * (2 * random.uniform() - 1)), p_rotation),
        (_shift(FRACTION_SHIFT_STD * random.normal(2) * units), p),
    )
    return _product([_sometimes(matrix, random, chance) for matrix, chance in kinds])


def colours(random: BatchRandom, p: float | Tensor) -> Tensor:
    """The matrices (N, 4, 4) of the colour changes; the last one stands first."""
    identity = torch.eye(4, device=random.device).expand(random.samples, 4, 4)
    kind = torch.get_default_dtype()
    axis = constant((*GREY, 0.0), kind, random.device)
    grey = torch.outer(axis, axis)  # keeps the luma only
    last = torch.diag(constant((0.0, 0.0, 0.0, 1.0), kind, random.device))
    brightness = identity.clone()
    brightness[:, :3, 3] = BRIGHTNESS_STD * random.normal(1)
    contrast = last + (identity - last) * torch.exp2(CONTRAST_STD * random.normal(1, 1))
    luma_flip = identity - 2 * grey * random.integers(0, 2, 1, 1)
    hue = _turn_of_hue(math.pi * (2 * random.uniform(1, 1) - 1))
    level = torch.exp2(SATURATION_STD * random.normal(1, 1))
    saturation = grey + last + (identity - grey - last) * level
    kinds = (saturation, hue, luma_flip, contrast, brightness)
    return _product([_sometimes(matrix, random, p) for matrix in kinds])


def _sometimes(matrix: Tensor, random: BatchRandom, p: float | Tensor) -> Tensor:
    identity = torch.eye(matrix.shape[1], device=matrix.device, dtype=matrix.dtype)
    return torch.where(random.uniform(1, 1) < p, matrix, identity)


def _product(matrices: Sequence[Tensor]) -> Tensor:
    return functools.reduce(torch.bmm, matrices)


def _scaling(factors: Tensor) -> Tensor:
    """(N, 2) -> (N, 3, 3)."""
    return torch.diag_embed(F.pad(factors, (0, 1), value=1.0))


def _rotation(angles: Tensor) -> Tensor:
    """(N,) in radians -> (N, 3, 3)."""
    cos, sin = angles.cos(), angles.sin()
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    return torch.stack((cos, -sin, zero, sin, cos, zero, zero, zero, one), dim=1).view(-1, 3, 3)


def _shift(ways: Tensor) -> Tensor:
    """(N, 2) -> (N, 3, 3)."""
    matrices = torch.eye(3, device=ways.device).repeat(len(ways), 1, 1)
    matrices[:, :2, 2] = ways
    return matrices


def _turn_of_hue(angles: Tensor) -> Tensor:
    """(N, 1, 1) -> (N, 4, 4): a rotation about the grey axis (Rodrigues)."""
    x, y, z = GREY
    rows = ((0.0, -z, y, 0.0), (z, 0.0, -x, 0.0), (-y, x, 0.0, 0.0), (0.0,) * 4)
    cross = constant(rows, angles.dtype, angles.device)
    return (
        torch.eye(4, device=angles.device)
        + angles.sin() * cross
        + (1 - angles.cos()) * (cross @ cross)
    )
