"""Generator and discriminator of StyleGAN2 (Karras et al. 2020, arXiv 1912.04958), config e/f.

Skip generator, residual discriminator, for pictures of any size of sizes.py.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from machineray.gan.layers import (
    Conv,
    Linear,
    ModulatedConv,
    activated,
    at_least_single,
    drawn,
    full_precision,
    minibatch_stddev,
    pixel_norm,
    upsampled,
)
from machineray.gan.randomness import NoiseShapes
from machineray.gan.sizes import Size

MAPPING_LR_MULTIPLIER = 0.01


def channels_at(resolution: int, channel_base: int, channel_max: int = 512) -> int:
    """Feature maps at a resolution: channel_base / resolution, at most channel_max."""
    return min(channel_max, channel_base // resolution)


class Mapping(nn.Module):
    """z -> w: pixel norm, then fully connected layers that learn slowly."""

    def __init__(self, z_dim: int, w_dim: int, layers: int) -> None:
        super().__init__()
        sizes = [z_dim] + [w_dim] * layers
        self.layers = nn.ModuleList(
            Linear(sizes[i], sizes[i + 1], lr_multiplier=MAPPING_LR_MULTIPLIER)
            for i in range(layers)
        )

    def forward(self, z: Tensor) -> Tensor:
        """(N, z_dim) -> (N, w_dim)."""
        with full_precision(z):
            x = pixel_norm(at_least_single(z))
            for layer in self.layers:
                x = activated(layer(x))
        return x


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise of a learned strength, bias, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, w_dim: int, up: bool) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, w_dim, up=up)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """(N, inputs, H, W), (N, w_dim), noise at the new size -> (N, outputs, H or 2H, …)."""
        return self.conv.activated(x, w, noise * self.noise_strength, self.bias)


class SynthesisBlock(nn.Module):
    """One resolution: upsample, one or two styled convolutions, and its share of the picture."""

    def __init__(self, inputs: int, outputs: int, w_dim: int, first: bool) -> None:
        super().__init__()
        last = StyledConv(outputs, outputs, w_dim, up=False)
        convs = [last] if first else [StyledConv(inputs, outputs, w_dim, up=True), last]
        self.convs = nn.ModuleList(convs)
        self.to_rgb = ModulatedConv(outputs, 3, 1, w_dim, demodulate=False)
        self.rgb_bias = nn.Parameter(torch.zeros(3))
        self.first = first

    def forward(
        self,
        x: Tensor,
        image: Tensor | None,
        ws: Sequence[Tensor],
        noise: Sequence[Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Maps and picture at half the resolution, len(convs) + 1 styles -> both at this one."""
        for conv, w, conv_noise in zip(self.convs, ws[:-1], noise, strict=True):
            x = conv(x, w, conv_noise)
        rgb = self.to_rgb(x, ws[-1]) + self.rgb_bias[:, None, None]
        return x, rgb if image is None else upsampled(image) + rgb


class StyleGAN2Generator(nn.Module):
    """z -> w -> picture; `w_avg` is the running mean of w, towards which psi truncates."""

    w_avg: Tensor

    def __init__(
        self,
        size: Size,
        channel_base: int,
        channel_max: int,
        mapping_layers: int,
        z_dim: int,
    ) -> None:
        super().__init__()
        self.size, self.z_dim = size, z_dim
        w_dim = z_dim
        shapes = size.shapes
        widths = [channels_at(side, channel_base, channel_max) for side in size.sides]
        self.mapping = Mapping(z_dim, w_dim, mapping_layers)
        self.constant = drawn(1, widths[0], *shapes[0])
        self.blocks = nn.ModuleList(
            SynthesisBlock(widths[max(0, i - 1)], width, w_dim, first=i == 0)
            for i, width in enumerate(widths)
        )
        # The last style of a block (its picture's) is the first of the next block.
        self.num_ws = 2 * len(shapes)
        layers = [1] + [2] * (len(shapes) - 1)
        self.noise_shapes: NoiseShapes = [
            shape for shape, count in zip(shapes, layers, strict=True) for _ in range(count)
        ]
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def synthesis(self, ws: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """(N, num_ws, w_dim), a map (N, 1, H, W) a layer -> picture (N, 3, H, W), about [-1, 1]."""
        x = self.constant.expand(len(ws), -1, -1, -1)
        image: Tensor | None = None
        styles = ws.unbind(dim=1)
        first = 0
        for block in self.blocks:
            last = first + (1 if block.first else 2)
            x, image = block(x, image, styles[first : last + 1], noise[first:last])
            first = last
        assert image is not None
        return image


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a 1x1 shortcut, at half the resolution afterwards."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = Conv(inputs, inputs, 3, active=True)
        self.conv1 = Conv(inputs, outputs, 3, down=True, active=True)
        self.shortcut = Conv(inputs, outputs, 1, bias=False, down=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H/2, W/2)."""
        y: Tensor = self.conv1(self.conv0(x)) + self.shortcut(x)
        return y / math.sqrt(2)


class StyleGAN2Discriminator(nn.Module):
    """Picture (N, 3, H, W) -> logits (N,): positive says real."""

    def __init__(self, size: Size, channel_base: int, channel_max: int, group: int) -> None:
        super().__init__()
        self.group = group
        widths = [channels_at(side, channel_base, channel_max) for side in size.sides[::-1]]
        self.from_rgb = Conv(3, widths[0], 1, active=True)
        self.blocks = nn.ModuleList(
            ResidualBlock(widths[i], widths[i + 1]) for i in range(len(widths) - 1)
        )
        self.epilogue = Conv(widths[-1] + 1, widths[-1], 3, active=True)
        self.hidden = Linear(widths[-1] * math.prod(size.shapes[0]), widths[-1])
        self.logit = Linear(widths[-1], 1)

    def iterate(self) -> None:
        """What is done once a step: nothing here."""

    def project(self, images: Tensor) -> list[Tensor]:
        """What does not learn: nothing here."""
        return [images]

    def means(self, maps: list[Tensor]) -> list[Tensor]:
        """What whole pictures are compared by: nothing here, it has no frozen features."""
        return []

    def judge(self, maps: list[Tensor]) -> Tensor:
        """[(N, 3, H, W) in [-1, 1]] -> logits (N,)."""
        (images,) = maps
        x = self.from_rgb(images)
        for block in self.blocks:
            x = block(x)
        with full_precision(x):
            x = self.epilogue(minibatch_stddev(at_least_single(x), self.group))
            logits: Tensor = self.logit(activated(self.hidden(x.flatten(1))))
        return logits[:, 0]

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> logits (N,)."""
        return self.judge(self.project(images))
