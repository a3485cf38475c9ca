"""Each layer against an independent statement of the same mathematics."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import upfirdn
from torch.nn import functional as F

from machineray.gan.layers import (
    Conv,
    Linear,
    ModulatedConv,
    blurred,
    doubled_conv,
    downsampled,
    minibatch_stddev,
    pixel_norm,
    upsampled,
)

FIR = np.array([1.0, 3.0, 3.0, 1.0]) / 8


@pytest.mark.parametrize(("kernel", "demodulate"), [(3, True), (3, False), (1, False)])
def test_modulation_is_a_convolution_with_weights_of_its_own_for_each_sample(
    kernel: int, demodulate: bool
) -> None:
    torch.manual_seed(1)
    layer = ModulatedConv(5, 7, kernel, w_dim=6, demodulate=demodulate).double()
    x, w = torch.randn(3, 5, 8, 9).double(), torch.randn(3, 6).double()

    style = layer.affine(w)
    weights = layer.weight[None] / math.sqrt(5 * kernel**2) * style[:, None, :, None, None]
    if demodulate:
        weights = weights / (weights.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).sqrt()
    grouped = F.conv2d(
        x.reshape(1, 15, 8, 9),
        weights.reshape(21, 5, kernel, kernel),
        padding=kernel // 2,
        groups=3,
    )

    torch.testing.assert_close(layer(x, w), grouped.reshape(3, 7, 8, 9), rtol=1e-9, atol=1e-9)


def test_upsampling_is_the_filter_1331_on_a_grid_of_zeros() -> None:
    x = np.random.default_rng(2).normal(size=(6, 6))
    rows = upfirdn(2 * FIR, x, up=2, axis=0)
    expected = upfirdn(2 * FIR, rows, up=2, axis=1)[1:13, 1:13]

    got = upsampled(torch.from_numpy(x)[None, None])[0, 0].numpy()

    np.testing.assert_allclose(got[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-12)


def test_downsampling_is_the_filter_1331_at_every_second_place() -> None:
    x = np.random.default_rng(3).normal(size=(12, 12))
    expected = upfirdn(FIR, upfirdn(FIR, x, axis=0), axis=1)[2:14:2, 2:14:2]

    got = downsampled(torch.from_numpy(x)[None, None])[0, 0].numpy()

    np.testing.assert_allclose(got[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-12)


def test_blurring_is_the_filter_1331_with_zeros_around() -> None:
    x = np.random.default_rng(4).normal(size=(5, 6))
    expected = upfirdn(FIR, upfirdn(FIR, x, axis=0), axis=1)[1:-1, 1:-1]

    got = blurred(torch.from_numpy(x)[None, None].float())[0, 0].numpy()

    assert got.shape == (6, 7)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_a_doubled_convolution_is_that_of_the_repeated_map() -> None:
    torch.manual_seed(9)
    x, weight = torch.randn(2, 3, 5, 6).double(), torch.randn(4, 3, 3, 3).double()

    repeated = F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), weight, padding=1)

    torch.testing.assert_close(doubled_conv(x, weight), repeated)


def test_a_modulated_convolution_upwards_is_the_filter_then_the_convolution() -> None:
    torch.manual_seed(10)
    layer = ModulatedConv(3, 4, 3, w_dim=5, up=True).double()
    plain = ModulatedConv(3, 4, 3, w_dim=5).double()
    plain.load_state_dict(layer.state_dict())
    x, w = torch.randn(2, 3, 8, 7).double(), torch.randn(2, 5).double()

    got, expected = layer(x, w), plain(upsampled(x), w)

    assert got.shape == (2, 4, 16, 14)
    inside = (slice(None), slice(None), slice(3, -3), slice(3, -3))
    torch.testing.assert_close(got[inside], expected[inside])


@pytest.mark.parametrize("kernel", [1, 3])
def test_halving_on_the_way_is_convolution_then_downsampling(kernel: int) -> None:
    torch.manual_seed(5)
    layer = Conv(3, 4, kernel, bias=False, down=True).double()
    x = torch.randn(2, 3, 16, 16).double()

    full = F.conv2d(x, layer.weight * layer.gain, padding="same")

    inside = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    torch.testing.assert_close(layer(x)[inside], downsampled(full)[inside])


def test_equalised_layers_keep_the_variance() -> None:
    torch.manual_seed(6)
    x = torch.randn(4096, 256)

    for layer in (Linear(256, 64), Linear(256, 64, lr_multiplier=0.01)):
        assert float(layer(x).detach().std()) == pytest.approx(1.0, rel=0.1)
    maps = x.reshape(64, 256, 8, 8)[:, :64]
    for conv in (Conv(64, 64, 1), Conv(64, 64, 3)):
        inside = conv(maps).detach()[:, :, 1:-1, 1:-1]
        assert float(inside.std()) == pytest.approx(1.0, rel=0.1)
        assert float(conv.weight.detach().std()) == pytest.approx(1.0, rel=0.05)  # gain apart
    active = Conv(64, 64, 3, active=True)(maps).detach()[:, :, 1:-1, 1:-1]
    # lrelu of a normal variable has the mean square (1 + 0.2^2) / 2, and twice that is 1.04
    assert float(active.square().mean()) == pytest.approx(1.04, rel=0.1)


def test_a_learning_rate_multiplier_slows_the_function_down() -> None:
    torch.manual_seed(7)
    x, moved, lifted = torch.randn(16, 8), [], []
    for multiplier in (1.0, 0.01):
        layer = Linear(8, 8, lr_multiplier=multiplier)
        before = layer(x)
        with torch.no_grad():
            layer.weight += 0.1  # what a step of Adam does, whatever the gradient's size
        moved.append(float((layer(x) - before).detach().abs().mean()))
        before = layer(x)
        with torch.no_grad():
            layer.bias += 0.1
        lifted.append(float((layer(x) - before).detach().mean()))

    assert moved[1] == pytest.approx(moved[0] / 100, rel=1e-3)
    assert lifted == pytest.approx([0.1, 0.001], rel=1e-3)


def test_pixel_norm_has_a_mean_square_of_one() -> None:
    z = torch.randn(5, 32) * 7

    torch.testing.assert_close(pixel_norm(z).square().mean(dim=1), torch.ones(5))


def test_minibatch_stddev_against_loops() -> None:
    x = torch.randn(8, 3, 2, 2, generator=torch.Generator().manual_seed(8))

    y = minibatch_stddev(x, group=4)

    assert y.shape == (8, 4, 2, 2)
    torch.testing.assert_close(y[:, :3], x)
    for i in range(8):
        group = x[i // 4 * 4 : i // 4 * 4 + 4].numpy()
        spread = np.sqrt(group.var(axis=0) + 1e-8).mean()
        np.testing.assert_allclose(y[i, 3].numpy(), spread, rtol=1e-5)


def test_minibatch_stddev_takes_any_batch() -> None:
    assert minibatch_stddev(torch.randn(3, 2, 4, 4)).shape == (3, 3, 4, 4)
