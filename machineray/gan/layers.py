"""The layers of StyleGAN2 (Karras et al. 2020, arXiv 1912.04958), from the papers.

Resampling with the filter [1, 3, 3, 1] is exactly bilinear interpolation by 2 with half-pixel
centres, so torch's own kernels do it. They renormalise at the border where a zero-padded filter
darkens it.
"""

import math
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAKY_SLOPE = 0.2


def activated(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2, times sqrt(2) so that the variance stays about 1."""
    return F.leaky_relu(x, LEAKY_SLOPE) * math.sqrt(2)


def at_least_single(x: Tensor) -> Tensor:
    """bfloat16 -> float32; what is as precise as that, or more, stays."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """Single precision inside, also where the surroundings are computed in bfloat16."""
    kind = x.device.type  # "meta" has none
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)


def upsampled(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, 2H, 2W), filter [1, 3, 3, 1] (Karras 2019, sec. 3)."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def resized(x: Tensor, height: int, width: int) -> Tensor:
    """(N, C, H, W) -> (N, C, height, width), bilinear, with antialiasing."""
    # On a CPU there is no antialiasing in bfloat16.
    wide = x if x.is_cuda else at_least_single(x)
    y = F.interpolate(wide, (height, width), mode="bilinear", align_corners=False, antialias=True)
    return y.to(x.dtype)


def downsampled(x: Tensor) -> Tensor:
    """(N, C, 2H, 2W) -> (N, C, H, W), filter [1, 3, 3, 1] / 8 a side."""
    height, width = x.shape[2:]
    return resized(x, height // 2, width // 2)


def blurred(x: Tensor, padding: int = 2, gain: float = 1.0) -> Tensor:
    """(N, C, H, W) -> (N, C, H + 2 * padding - 3, …), filter [1, 3, 3, 1] / 8 a side, times gain.

    Zeros around. In one pass of 4 x 4 taps: twice as fast on a CPU as rows and then columns.
    """
    channels = x.shape[1]
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype, device=x.device) / 8
    kernel = (gain * taps[:, None] * taps).expand(channels, 1, 4, 4)
    return F.conv2d(x, kernel, padding=padding, groups=channels)


def doubled_conv(x: Tensor, weight: Tensor) -> Tensor:
    """(N, C, H, W), (D, C, 3, 3) -> (N, D, 2H, 2W): each pixel repeated 2 x 2, then convolved.

    As one transposed convolution: repeating is a sum of four shifts, which the weights can have in
    themselves. 16 instead of 36 products a pixel.
    """
    outputs, inputs = weight.shape[:2]
    shifted = weight.transpose(0, 1).reshape(-1, 9) @ _doubling(weight)
    kernel = shifted.view(inputs, outputs, 4, 4)
    return F.conv_transpose2d(x, kernel, stride=2, padding=1)


def _doubling(like: Tensor) -> Tensor:
    """(9, 16): the taps of a 3 x 3 kernel -> of 4 x 4, turned as a transposed one wants them."""
    pair = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]], device=like.device)
    return torch.kron(pair, pair).flip(1).to(like.dtype)


def pixel_norm(z: Tensor) -> Tensor:
    """(N, C) -> (N, C), each row scaled to a mean square of 1 (Karras 2018, sec. 4.2)."""
    return z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)


class Linear(nn.Module):
    """A linear layer with an equalised learning rate (Karras 2018, sec. 4.1).

    The weights are kept at unit variance and scaled at run time; `lr_multiplier` makes the layer
    learn so much slower (0.01 in the mapping network).
    """

    def __init__(
        self, inputs: int, outputs: int, bias: float = 0.0, lr_multiplier: float = 1.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), bias / lr_multiplier))
        self.gain = lr_multiplier / math.sqrt(inputs)
        self.lr_multiplier = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs) -> (N, outputs)."""
        return F.linear(x, self.weight * self.gain, self.bias * self.lr_multiplier)


class Conv(nn.Module):
    """A convolution with an equalised learning rate; `down`: blurred and halved on the way."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, bias: bool = True, down: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.gain = 1 / math.sqrt(inputs * kernel**2)
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W), or (N, outputs, H/2, W/2)."""
        weight = self.weight * self.gain
        if not self.down:
            return F.conv2d(x, weight, self.bias, padding="same")
        # Blur and convolution commute, so only every second output needs to be computed.
        if weight.shape[2] == 1:
            return F.conv2d(downsampled(x), weight, self.bias)
        return F.conv2d(blurred(x), weight, self.bias, stride=2)


class ModulatedConv(nn.Module):
    """A convolution whose input channels are scaled by a style (StyleGAN2, eq. 1 to 3).

    Scaling the activations before and after one shared-weight convolution is the same mathematics
    as a convolution with weights of its own for each sample, and faster.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        w_dim: int,
        demodulate: bool = True,
        up: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.affine = Linear(w_dim, inputs, bias=1.0)
        self.gain = 1 / math.sqrt(inputs * kernel**2)
        self.demodulate, self.up = demodulate, up

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(N, inputs, H, W), (N, w_dim) -> (N, outputs, H, W), or (N, outputs, 2H, 2W)."""
        style = self.affine(w)
        weight = self.weight * self.gain
        y = x * style[:, :, None, None]
        if self.up:
            # Zeros between the pixels, the convolution, the filter: they commute, and so the
            # convolution has a quarter of the products that it has on an enlarged map.
            y = F.conv_transpose2d(y, weight.flip(2, 3).transpose(0, 1), stride=2)
            y = blurred(y, padding=1, gain=4.0)
        else:
            y = F.conv2d(y, weight, padding="same")
        if not self.demodulate:
            return y
        # eq. 3: 1 / sqrt(sum over inputs and taps of (style * weight)^2)
        energy = F.linear(style.square(), weight.square().sum(dim=(2, 3)))
        return y * torch.rsqrt(energy + 1e-8)[:, :, None, None]


def minibatch_stddev(x: Tensor, group: int = 4) -> Tensor:
    """(N, C, H, W) -> (N, C + 1, H, W): how much the samples of a group differ, as one more map.

    Karras 2018, sec. 3. Neighbours are a group, so that a batch may be cut between groups.
    """
    samples, _, height, width = x.shape
    size = math.gcd(group, samples)
    groups = at_least_single(x.reshape(samples // size, size, *x.shape[1:]))
    variance = (groups - groups.mean(dim=1, keepdim=True)).square().mean(dim=1)
    spread = (variance + 1e-8).sqrt().mean(dim=(1, 2, 3)).to(x.dtype)
    maps = spread.repeat_interleave(size)[:, None, None, None].expand(-1, 1, height, width)
    return torch.cat((x, maps), dim=1)


class GroupBatchNorm(nn.BatchNorm2d):
    """Batch norm with the statistics of each group of samples, whatever else is in the batch.

    The running statistics do not follow the training: `calibrated` takes them from fixed samples
    when a network is to draw, so that they are a function of its weights alone.
    """

    def __init__(self, channels: int, group: int) -> None:
        super().__init__(channels, momentum=None)
        self.group = group
        self.is_measuring = False

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        if self.is_measuring or not self.training:
            return super().forward(x)
        parts = [
            F.batch_norm(part, None, None, self.weight, self.bias, True, 0.0, self.eps)
            for part in torch.split(x, self.group)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)
