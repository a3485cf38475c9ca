"""RRDN, the 4x super-resolution network, in PyTorch.

Residual in residual dense blocks: ESRGAN (Wang et al. 2018, arXiv 1809.00219) over the dense
block of RDN (Zhang et al. 2018, arXiv 1802.08797), in the shape that idealo trained as
"RRDN GANS": C=4 D=3 G=32 G0=32 T=10 x4. Written from the papers and from the published shapes.
"""

import functools
import threading

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from machineray.finish.pretrained import read_weights
from machineray.finish.tiling import Span, tiles

SCALE = 4
CHANNELS = 32  # G0, what flows between blocks, and G, what each convolution adds
CONVS_PER_DENSE_BLOCK = 4  # C
DENSE_BLOCKS_PER_RRDB = 3  # D
RRDBS = 10  # T
BETA = 0.2  # the share of a residual branch that is added (ESRGAN, sec. 3.1)
# Dense blocks are evaluated piece by piece: 160 channels of 128x128 stay in a CPU's cache and below
# the size from which malloc asks the kernel for fresh pages each time, and the memory stays small.
# A GPU is told of each operation on each piece, so it gets larger ones; 160 channels take 175 MB.
BLOCK_PX = {"cpu": 118, "cuda": 512}
BLOCK_HALO_PX = CONVS_PER_DENSE_BLOCK + 1  # one pixel a convolution: the pieces fit exactly
HEAD_HALO_PX = 3
_ALONE = threading.Lock()  # however many threads ask, the memory is that of one picture


def _conv(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1)


def _outer(x: Tensor, rows: Span, columns: Span) -> Tensor:
    return x[:, :, rows.outer_start : rows.outer_stop, columns.outer_start : columns.outer_stop]


def _inner(y: Tensor, rows: Span, columns: Span, scale: int = 1) -> Tensor:
    """The kept part of what was made of `_outer`, `scale` times as large."""
    top, left = rows.start - rows.outer_start, columns.start - columns.outer_start
    height, width = rows.stop - rows.start, columns.stop - columns.start
    return y[:, :, top * scale : (top + height) * scale, left * scale : (left + width) * scale]


class DenseBlock(nn.Module):
    """Each convolution sees all maps before it; a last one fuses them into the residual."""

    def __init__(self) -> None:
        super().__init__()
        self.grow = nn.ModuleList(
            _conv(CHANNELS * (i + 1), CHANNELS) for i in range(CONVS_PER_DENSE_BLOCK)
        )
        self.fuse = _conv(CHANNELS * (CONVS_PER_DENSE_BLOCK + 1), CHANNELS)

    def residual(self, x: Tensor) -> Tensor:
        """(N, 32, H, W) -> (N, 32, H, W), what the block adds to x, times BETA."""
        maps = x
        for conv in self.grow:
            maps = torch.cat((maps, F.relu_(conv(maps))), dim=1)
        residual: Tensor = self.fuse(maps)
        return residual.mul_(BETA)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 32, H, W) -> (N, 32, H, W); inference only (works piece by piece, in place)."""
        out = torch.empty_like(x)
        side = BLOCK_PX[x.device.type]
        for rows, columns in tiles(x.shape[2], x.shape[3], side, BLOCK_HALO_PX):
            residual = _inner(self.residual(_outer(x, rows, columns)), rows, columns)
            kept = (slice(None), slice(None), slice(*rows[:2]), slice(*columns[:2]))
            torch.add(x[kept], residual, out=out[kept])
        return out


class RRDN(nn.Module):
    """(N, 3, H, W) in [0, 1] -> (N, 3, 4H, 4W), about [0, 1], not clipped."""

    def __init__(self) -> None:
        super().__init__()
        self.first = _conv(3, CHANNELS)
        self.blocks = nn.ModuleList(
            nn.Sequential(*(DenseBlock() for _ in range(DENSE_BLOCKS_PER_RRDB)))
            for _ in range(RRDBS)
        )
        self.last = _conv(CHANNELS, CHANNELS)
        self.widen = _conv(CHANNELS, 3 * SCALE**2)
        self.paint = _conv(3, 3)

    def features(self, img: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> maps before and after the blocks, (N, 32, H, W) each."""
        before: Tensor = self.first(img)
        x = before
        for block in self.blocks:
            x = block(x).mul_(BETA).add_(x)
        return before, x

    def head(self, before: Tensor, after: Tensor) -> Tensor:
        """What `features` made -> (N, 3, 4H, 4W)."""
        painted: Tensor = self.paint(
            F.pixel_shuffle(self.widen(self.last(after).add_(before)), SCALE)
        )
        return painted

    def forward(self, img: Tensor) -> Tensor:
        """The whole network at once."""
        return self.head(*self.features(img))


def _state_dict() -> dict[str, Tensor]:
    """The shipped weights under torch's names and in torch's layout (out, in, 3, 3)."""
    names = {"first": "Pre_blocks_conv", "last": "post_blocks_conv", "paint": "SR"}
    names["widen"] = "PreShuffle"
    for t in range(RRDBS):
        for d in range(DENSE_BLOCKS_PER_RRDB):
            names[f"blocks.{t}.{d}.fuse"] = f"LFF_{t + 1}_{d + 1}"
            for c in range(CONVS_PER_DENSE_BLOCK):
                names[f"blocks.{t}.{d}.grow.{c}"] = f"F_{t + 1}_{d + 1}_{c + 1}"
    weights = read_weights()
    state = {}
    for ours, theirs in names.items():
        kernel, bias = weights[f"{theirs}/kernel"], weights[f"{theirs}/bias"]
        if ours == "widen":  # TensorFlow's shuffle takes (dy, dx, c), torch's (c, dy, dx)
            kernel = kernel.reshape(3, 3, CHANNELS, SCALE**2, 3).swapaxes(3, 4)
            kernel = kernel.reshape(3, 3, CHANNELS, 3 * SCALE**2)
            bias = bias.reshape(SCALE**2, 3).T.reshape(-1)
        state[f"{ours}.weight"] = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
        state[f"{ours}.bias"] = torch.from_numpy(bias.copy())
    return state


@functools.cache
def load_rrdn(device: str = "cpu", *, is_bf16: bool = False) -> RRDN:
    """The network with the shipped weights, ready for inference, once a process and device."""
    network = RRDN()
    network.load_state_dict(_state_dict())
    dtype = torch.bfloat16 if is_bf16 else torch.float32
    network.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval().requires_grad_(False)


def enlarge(pixels: np.ndarray, *, device: str = "cpu", is_bf16: bool = False) -> np.ndarray:
    """(H, W, 3) uint8 -> (4H, 4W, 3) uint8, the whole picture at once, one at a time.

    Values are cut off towards zero, not rounded, as ISR does it: the two engines agree.
    """
    with _ALONE:
        return _enlarged(load_rrdn(device, is_bf16=is_bf16), pixels)


@torch.inference_mode()
def _enlarged(network: RRDN, pixels: np.ndarray) -> np.ndarray:
    height, width, _ = pixels.shape
    weight = network.first.weight
    out = torch.empty((1, 3, height * SCALE, width * SCALE), dtype=torch.uint8).contiguous(
        memory_format=torch.channels_last
    )
    img = torch.from_numpy(pixels.astype(np.float32) / np.float32(255)).to(weight.device)
    img = img.permute(2, 0, 1)[None].to(weight.dtype)
    before, after = network.features(img.contiguous(memory_format=torch.channels_last))
    for rows, columns in tiles(height, width, BLOCK_PX[weight.device.type], HEAD_HALO_PX):
        painted = network.head(_outer(before, rows, columns), _outer(after, rows, columns))
        painted = _inner(painted, rows, columns, SCALE).float().clamp_(0, 1).mul_(255)
        top, bottom = rows.start * SCALE, rows.stop * SCALE
        left, right = columns.start * SCALE, columns.stop * SCALE
        out[:, :, top:bottom, left:right] = painted.to(torch.uint8)
    return out[0].permute(1, 2, 0).numpy()
