"""The projected discriminator (Sauer et al. 2021, arXiv 2111.01007).

Real or generated is told from the maps of a frozen, pretrained feature network, mixed by frozen
random convolutions across channels and scales; only small heads learn. With few paintings and
little time that is worth more than any other choice (measured: DECISIONS.md).
"""

from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

from machineray.gan.features import WIDTHS, FeatureNetwork
from machineray.gan.layers import (
    LEAKY_SLOPE,
    at_least_single,
    full_precision,
    minibatch_stddev,
    resized,
)
from machineray.gan.randomness import generator_for

PROJECTED_WIDTHS = (64, 64, 128, 256)
COLOUR_PX = 32
COLOUR_WIDTHS = (3, 64, 128, 256)
SPREAD_GAIN = 4.0  # of the deviation in a batch, so that spectral norm does not mute it
INPUT_PX = 128  # what the feature network sees; larger and smaller pictures are resized
STRIDE = 32  # of its last maps
COMPARED = (2, 3)  # the maps by whose means whole pictures are compared: strides 16 and 32


class RandomProjection(nn.Module):
    """Frozen random 1x1 convolutions, then 3x3 top-down mixing (sec. 3.2: CCM and CSM)."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        rng = generator_for("projection", seed)
        self.across_channels = nn.ModuleList(
            _frozen_conv(inputs, outputs, 1, rng)
            for inputs, outputs in zip(WIDTHS, PROJECTED_WIDTHS, strict=True)
        )
        down = (*PROJECTED_WIDTHS[1:], PROJECTED_WIDTHS[-1])
        self.across_scales = nn.ModuleList(
            _frozen_conv(inputs, outputs, 3, rng)
            for inputs, outputs in zip(down, PROJECTED_WIDTHS, strict=True)
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps of the feature network, fine to coarse -> mixed maps of PROJECTED_WIDTHS."""
        mixed: list[Tensor] = []
        above: Tensor | None = None
        for level in reversed(range(len(maps))):
            x = self.across_channels[level](maps[level])
            if above is not None:
                wider = self.across_scales[level](above)
                x = x + F.interpolate(wider, scale_factor=2, mode="bilinear", align_corners=False)
            mixed.append(x)
            above = x
        return mixed[::-1]


def input_shape(height: int, width: int) -> tuple[int, int]:
    """(height, width) of what the feature network sees of pictures of that size.

    INPUT_PX on the longer side, and on the other one what keeps the proportions best among the
    multiples of its stride: 3:4 and 1:2 exactly, 2:3 as 3:4.
    """
    scale = INPUT_PX / STRIDE / max(height, width)
    return STRIDE * max(1, round(scale * height)), STRIDE * max(1, round(scale * width))


def _fitted(images: Tensor, shape: tuple[int, int]) -> Tensor:
    return images if images.shape[2:] == shape else resized(images, *shape)


def _frozen_conv(inputs: int, outputs: int, kernel: int, rng: torch.Generator) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="linear", generator=rng)
    return conv.requires_grad_(False)


def _head(width: int, halvings: int) -> nn.Sequential:
    """Spectrally normalised convolutions down to one map of logits."""
    layers: list[nn.Module] = []
    for _ in range(halvings):
        outputs = min(2 * width, 256)
        layers += [spectral_norm(nn.Conv2d(width, outputs, 4, stride=2, padding=1))]
        layers += [nn.LeakyReLU(LEAKY_SLOPE)]
        width = outputs
    layers += [spectral_norm(nn.Conv2d(width, width // 2, 3, padding=1)), nn.LeakyReLU(LEAKY_SLOPE)]
    layers += [spectral_norm(nn.Conv2d(width // 2, 1, 3, padding=1))]
    return nn.Sequential(*layers)


class ColourHead(nn.Module):
    """Logits from the small picture itself, and from how much the pictures of a batch differ.

    Not in the paper. Features of a classifier hardly tell colours apart, so the samples of a
    short training are grey and alike; this head sees both (DECISIONS.md).
    """

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(COLOUR_WIDTHS):
            layers += [spectral_norm(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1))]
            layers += [nn.LeakyReLU(LEAKY_SLOPE)]
        self.down = nn.Sequential(*layers)
        self.judge = _head(COLOUR_WIDTHS[-1] + 1, halvings=0)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W), COLOUR_PX on the longer side -> logits (N, 1, H / 8, W / 8)."""
        maps = self.down(image)
        spread = minibatch_stddev(image, self.group)[:, -1:, :1, :1]
        spread = (SPREAD_GAIN * spread).expand(-1, 1, *maps.shape[2:])
        logits: Tensor = self.judge(torch.cat((maps, spread), dim=1))
        return logits


class ProjectedDiscriminator(nn.Module):
    """Picture (N, 3, H, W) in [-1, 1] -> logits (N, L): every position of every head's map.

    `project` is frozen, `judge` learns; they are apart so that one projection of a generated
    batch serves the discriminator's step and the generator's.
    """

    def __init__(self, seed: int, group: int) -> None:
        super().__init__()
        self.features = FeatureNetwork()
        self.projection = RandomProjection(seed)
        for frozen in (self.features, self.projection):  # a fifth less of their time on a CPU
            frozen.to(memory_format=torch.channels_last)
        self.heads = nn.ModuleList(
            _head(width, halvings)
            for width, halvings in zip(PROJECTED_WIDTHS, (3, 2, 1, 0), strict=True)
        )
        self.heads.append(ColourHead(group))
        self.heads.eval()  # a spectral norm iterates when told to, not at every look

    def train(self, mode: bool = True) -> "ProjectedDiscriminator":
        """It stays as it is; see `iterate`."""
        return super().train(False)

    @torch.no_grad()
    def iterate(self) -> None:
        """One power iteration of each spectral norm: once a step, however often it judges."""
        for module in self.heads.modules():
            if is_parametrized(module, "weight"):
                norm: Any = module.parametrizations.weight  # type: ignore[union-attr]
                norm.train()
                _ = module.weight
                norm.eval()

    def project(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) -> maps at strides 4, 8, 16, 32 of `input_shape`, and a small picture."""
        height, width = input_shape(*images.shape[2:])
        # A CPU's depthwise convolutions are slower in bfloat16.
        with nullcontext() if images.is_cuda else full_precision(images):
            seen = _fitted(at_least_single(images), (height, width))
            seen = seen.contiguous(memory_format=torch.channels_last)
            maps: list[Tensor] = self.projection(self.features(seen))
        small = (height * COLOUR_PX // INPUT_PX, width * COLOUR_PX // INPUT_PX)
        return [*maps, _fitted(images, small)]

    def means(self, maps: list[Tensor]) -> list[Tensor]:
        """Projected maps -> what a picture is as a whole: (N, C) for each of COMPARED."""
        return [at_least_single(maps[level]).mean(dim=(2, 3)) for level in COMPARED]

    def judge(self, maps: list[Tensor]) -> Tensor:
        """Projected maps -> logits (N, L)."""
        pairs = zip(self.heads, maps, strict=True)
        return torch.cat([head(x).flatten(1) for head, x in pairs], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> logits (N, L)."""
        return self.judge(self.project(images))
