"""The light generator: few parameters, quick to learn; after FastGAN (Liu et al. 2021, 2101.04775).

Upsampling blocks of convolution, noise, batch norm and a gated linear unit, and skip-layer
excitation: maps of low resolution switch the channels of maps sixteen times as large.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from machineray.gan.layers import GroupBatchNorm, doubled_conv, drawn
from machineray.gan.randomness import NoiseShapes
from machineray.gan.sizes import Size
from machineray.gan.stylegan2 import channels_at

WEIGHT_STD = 0.02
EXCITATION_RATIO = 16  # as FastGAN pairs 8 -> 128, 16 -> 256, …; see `excitation_pairs`


class NoisyConv(nn.Module):
    """Doubled, 3x3 convolution, noise of a learned strength, batch norm, gated linear unit."""

    def __init__(self, inputs: int, outputs: int, group: int) -> None:
        super().__init__()
        self.weight = drawn(2 * outputs, inputs, 3, 3, std=WEIGHT_STD)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.norm = GroupBatchNorm(2 * outputs, group)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """(N, inputs, H, W), (N, 1, 2H, 2W) -> (N, outputs, 2H, 2W)."""
        y = doubled_conv(x, self.weight)
        y = self.norm(y + noise * self.noise_strength)
        return F.glu(y, dim=1)


class Excitation(nn.Module):
    """Skip-layer excitation (FastGAN, eq. 1): small maps -> a factor for each channel of large."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, outputs, 4)
        self.expand = nn.Conv2d(outputs, outputs, 1)

    def forward(self, small: Tensor, large: Tensor) -> Tensor:
        """(N, inputs, h, w), (N, outputs, H, W) -> (N, outputs, H, W)."""
        pooled = F.adaptive_avg_pool2d(small, 4)
        return large * torch.sigmoid(self.expand(F.silu(self.squeeze(pooled))))


def excitation_pairs(sides: Sequence[int]) -> dict[int, int]:
    """{large side: small}: the last sides, sixteen times the first ones."""
    first, last = sides[0], sides[-1]
    pairs = {side: side // EXCITATION_RATIO for side in sides}
    return {large: small for large, small in pairs.items() if small >= first} or {last: first}


class Palette(nn.Module):
    """The last convolution, with channels and background that z chooses for each sample.

    Not in FastGAN. Batch norm takes away what all pixels of a sample have in common, so without
    this all samples have one background at a time (DECISIONS.md).
    """

    def __init__(self, inputs: int, z_dim: int) -> None:
        super().__init__()
        self.to_rgb = nn.Conv2d(inputs, 3, 3, padding=1)
        self.style = nn.Linear(z_dim, inputs)
        self.background = nn.Linear(z_dim, 3)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """(N, inputs, H, W), (N, z_dim) -> (N, 3, H, W) in [-1, 1]."""
        x = x * (1 + self.style(z))[:, :, None, None]
        return torch.tanh(self.to_rgb(x) + self.background(z)[:, :, None, None])


class LightGenerator(nn.Module):
    """z -> picture. z is its own w: psi scales it, and there is one for all layers.

    It comes in at two PLACES, and whoever draws may give each a w of its own.
    """

    PLACES = ("form", "palette")

    w_avg: Tensor
    num_ws = 1

    def __init__(
        self, size: Size, channel_base: int, channel_max: int, z_dim: int, group: int
    ) -> None:
        super().__init__()
        self.size, self.z_dim = size, z_dim
        self.mapping = nn.Identity()
        sides = size.sides
        widths = [channels_at(side, channel_base, channel_max) for side in sides]
        self.first = nn.ConvTranspose2d(z_dim, 2 * widths[0], size.shapes[0], bias=False)
        self.first_norm = GroupBatchNorm(2 * widths[0], group)
        self.blocks = nn.ModuleList(NoisyConv(*pair, group) for pair in pairwise(widths))
        width_at = dict(zip(sides, widths, strict=True))
        self.pairs = excitation_pairs(sides)
        self.excitations = nn.ModuleDict(
            {
                str(large): Excitation(width_at[small], width_at[large])
                for large, small in self.pairs.items()
            }
        )
        self.palette = Palette(widths[-1], z_dim)
        self.noise_shapes: NoiseShapes = size.shapes[1:]
        self.register_buffer("w_avg", torch.zeros(z_dim))
        self.apply(_initialise)

    def synthesis(self, ws: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """(N, 1 or 2, z_dim), a map (N, 1, H, W) a block -> picture (N, 3, H, W) in [-1, 1]."""
        x = F.glu(self.first_norm(self.first(ws[:, 0, :, None, None])), dim=1)
        sides = self.size.sides
        maps = {sides[0]: x}
        for block, block_noise, side in zip(self.blocks, noise, sides[1:], strict=True):
            x = block(x, block_noise)
            if side in self.pairs:
                x = self.excitations[str(side)](maps[self.pairs[side]], x)
            maps[side] = x
        picture: Tensor = self.palette(x, ws[:, -1])
        return picture


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=WEIGHT_STD)
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.5 / math.sqrt(module.in_features))
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, mean=1.0, std=0.02)
