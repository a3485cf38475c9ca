"""The layers of StyleGAN2 (Karras et al. 2020, arXiv 1912.04958), from the papers.

Resampling with the filter [1, 3, 3, 1] is exactly bilinear interpolation by 2 with half-pixel
centres, so torch's own kernels do it. They renormalise at the border where a zero-padded filter
darkens it.
"""

import functools
import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAKY_SLOPE = 0.2
ACTIVATION_GAIN = math.sqrt(2)  # keeps the variance at about 1


def activated(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2, times sqrt(2)."""
    return F.leaky_relu(x, LEAKY_SLOPE) * ACTIVATION_GAIN


def rectified_(x: Tensor) -> Tensor:
    """Leaky ReLU in x's own memory: of what already has the gain of `activated` in its factors.

    sqrt(2) * lrelu(x) = lrelu(sqrt(2) * x), and the gradient can be told from the result: one
    map is kept for it instead of two.
    """
    return F.leaky_relu(x, LEAKY_SLOPE, inplace=True)


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
    """(N, C, 2H, 2W) -> (N, C, H, W), filter [1, 3, 3, 1] / 8, renormalised at the border."""
    y = _filtered(x, padding=1, stride=2)
    height, width = (_missing(side, x) for side in y.shape[2:])
    return y * (height[:, None] * width)


def _missing(side: int, like: Tensor) -> Tensor:
    """(side,): what makes up for the eighth of the filter that lies outside at either end."""
    outside = torch.zeros(side, dtype=like.dtype, device=like.device)
    outside[0] += 1 / 8
    outside[-1] += 1 / 8
    return 1 / (1 - outside)


def blurred(x: Tensor, padding: int = 2, gain: float = 1.0) -> Tensor:
    """(N, C, H, W) -> (N, C, H + 2 * padding - 3, …), filter [1, 3, 3, 1] / 8 a side, times gain.

    Zeros around.
    """
    return _filtered(x, padding, gain=gain)


def _filtered(x: Tensor, padding: int, stride: int = 1, gain: float = 1.0) -> Tensor:
    """At every `stride`-th place; in one pass: faster on a CPU than rows and then columns."""
    filtered: Tensor = _Filter.apply(x, padding, stride, gain)
    return filtered


@functools.cache
def constant(values: tuple[Any, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers, or rows of them, as a tensor; made once: a GPU waits for what comes from outside."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)


def _taps(like: Tensor, gain: float) -> Tensor:
    taps = constant((1 / 8, 3 / 8, 3 / 8, 1 / 8), like.dtype, like.device)
    return (gain * taps[:, None] * taps).expand(like.shape[1], 1, 4, 4)


def drawn(*shape: int, std: float = 1.0) -> nn.Parameter:
    """Weights of a normal distribution around 0, in one operation (see state.py)."""
    return nn.Parameter(torch.empty(shape).normal_(std=std))


class _Filter(torch.autograd.Function):
    """A linear map and no weights: its gradient needs no map kept, which a convolution's keeps."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, padding: int, stride: int, gain: float) -> Tensor:
        ctx.place = (padding, stride, gain)
        return F.conv2d(x, _taps(x, gain), None, stride, padding, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return _FilterTransposed.apply(gradients[0], *ctx.place), None, None, None


class _FilterTransposed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, padding: int, stride: int, gain: float) -> Tensor:
        ctx.place = (padding, stride, gain)
        return F.conv_transpose2d(x, _taps(x, gain), None, stride, padding, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return _Filter.apply(gradients[0], *ctx.place), None, None, None


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
    pair = constant(((1, 1, 0, 0), (0, 1, 1, 0), (0, 0, 1, 1)), like.dtype, like.device)
    return torch.kron(pair, pair).flip(1)


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
        self.weight = drawn(outputs, inputs, std=1 / lr_multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), bias / lr_multiplier))
        self.gain = lr_multiplier / math.sqrt(inputs)
        self.lr_multiplier = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs) -> (N, outputs)."""
        return F.linear(x, self.weight * self.gain, self.bias * self.lr_multiplier)


class Conv(nn.Module):
    """A convolution with an equalised learning rate; `down`: blurred and halved on the way.

    `active`: with `activated`'s leaky ReLU.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        bias: bool = True,
        down: bool = False,
        active: bool = False,
    ) -> None:
        super().__init__()
        self.weight = drawn(outputs, inputs, kernel, kernel)
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.bias_gain = ACTIVATION_GAIN if active else 1.0
        self.gain = self.bias_gain / math.sqrt(inputs * kernel**2)
        self.down, self.active = down, active

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W), or (N, outputs, H/2, W/2)."""
        weight = self.weight * self.gain
        bias = None if self.bias is None else self.bias * self.bias_gain
        if not self.down:
            y = F.conv2d(x, weight, bias, padding=weight.shape[2] // 2)
        # Blur and convolution commute, so only every second output needs to be computed.
        elif weight.shape[2] == 1:
            y = F.conv2d(downsampled(x), weight, bias)
        else:
            y = F.conv2d(blurred(x), weight, bias, stride=2)
        return rectified_(y) if self.active else y


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
        self.weight = drawn(outputs, inputs, kernel, kernel)
        self.affine = Linear(w_dim, inputs, bias=1.0)
        self.gain = 1 / math.sqrt(inputs * kernel**2)
        self.demodulate, self.up = demodulate, up
        self._drawn: tuple[tuple[int, int], Tensor, tuple[Tensor, Tensor]] | None = None

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(N, inputs, H, W), (N, w_dim) -> (N, outputs, H, W), or (N, outputs, 2H, 2W)."""
        style, kernel, energies = self._factors(w)
        y = self._convolved(x, style, kernel)
        return y * _demodulation(style, energies) if self.demodulate else y

    def activated(self, x: Tensor, w: Tensor, noise: Tensor, bias: Tensor) -> Tensor:
        """`activated` of the demodulated result, the noise and the bias (outputs,) added."""
        style, kernel, energies = self._factors(w)
        factor = _demodulation(style, energies) * ACTIVATION_GAIN
        y = self._convolved(x, style, kernel)
        y = torch.addcmul(bias[:, None, None] * ACTIVATION_GAIN, y, factor)
        return rectified_(y.add_(noise * ACTIVATION_GAIN))

    def _factors(self, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(style (N, inputs), the kernel, its energies): the equalising gain is in the style.

        What follows from the weights alone is kept from one drawn picture to the next.
        """
        style = self.affine(w) * self.gain
        if not torch.is_inference_mode_enabled() or self.weight.is_inference():
            self._drawn = None
            return style, *self._of_weights()
        state = (self.weight.data_ptr(), self.weight._version)
        if self._drawn is None or self._drawn[0] != state:
            # The weights stay with it: their place in memory is nobody else's while it is known.
            self._drawn = (state, self.weight.detach(), self._of_weights())
        return style, *self._drawn[2]

    def _of_weights(self) -> tuple[Tensor, Tensor]:
        """(kernel as it is convolved with, sums of its squares over the taps (outputs, inputs))."""
        weight = self.weight
        energies = weight.square().sum(dim=(2, 3)) if self.demodulate else weight.new_zeros(0)
        return (weight.flip(2, 3).transpose(0, 1) if self.up else weight), energies

    def _convolved(self, x: Tensor, style: Tensor, kernel: Tensor) -> Tensor:
        if self.up:
            # Zeros between the pixels, the convolution, the filter: they commute, and so the
            # convolution has a quarter of the products that it has on an enlarged map.
            y = F.conv_transpose2d(x * style[:, :, None, None], kernel, stride=2)
            return blurred(y, padding=1, gain=4.0)
        if kernel.shape[2] > 1:
            return F.conv2d(x * style[:, :, None, None], kernel, padding=kernel.shape[2] // 2)
        # Weights of its own for each sample, after all: it is a product of matrices.
        weights = kernel[:, :, 0, 0] * style[:, None]
        pixels = x.permute(0, 2, 3, 1).flatten(1, 2)
        y = torch.bmm(pixels, weights.transpose(1, 2)).transpose(1, 2)
        return y.reshape(*y.shape[:2], *x.shape[2:])


def _demodulation(style: Tensor, energies: Tensor) -> Tensor:
    """eq. 3: 1 / sqrt(sum over inputs and taps of (style * weight)^2), (N, outputs, 1, 1)."""
    return torch.rsqrt(F.linear(style.square(), energies) + 1e-8)[:, :, None, None]


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
