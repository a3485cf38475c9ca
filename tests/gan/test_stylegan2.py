"""StyleGAN2's whole networks against plain statements of them, and how they are trained."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from machineray.gan import steps
from machineray.gan.layers import ModulatedConv, activated, minibatch_stddev
from machineray.gan.losses import path_lengths, r1_penalty
from machineray.gan.networks import draw, new_generator
from machineray.gan.presets import Preset, preset_named
from machineray.gan.randomness import BatchRandom, generator_for
from machineray.gan.sizes import size_of
from machineray.gan.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator

FILTER = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8


def filtered(x: Tensor, padding: int) -> Tensor:
    channels = x.shape[1]
    taps = (FILTER[:, None] * FILTER).repeat(channels, 1, 1, 1)
    return F.conv2d(x, taps, padding=padding, groups=channels)


def halved(x: Tensor) -> Tensor:
    size = (x.shape[2] // 2, x.shape[3] // 2)
    return F.interpolate(x, size, mode="bilinear", antialias=True)


def small_generator(resolution: int = 8) -> StyleGAN2Generator:
    torch.manual_seed(0)
    generator = StyleGAN2Generator(size_of(resolution), 64, 5, 2, 6).double()
    for name, parameter in generator.named_parameters():
        if "noise_strength" in name or "bias" in name:
            torch.nn.init.normal_(parameter)
    return generator


def small_discriminator() -> StyleGAN2Discriminator:
    torch.manual_seed(0)
    discriminator = StyleGAN2Discriminator(size_of(8), 64, 5, group=4).double()
    for name, parameter in discriminator.named_parameters():
        if "bias" in name:
            torch.nn.init.normal_(parameter)
    return discriminator


def noise_of(generator: StyleGAN2Generator, samples: int) -> list[Tensor]:
    rng = torch.Generator().manual_seed(5)
    return [
        torch.randn(samples, 1, *shape, generator=rng).double() for shape in generator.noise_shapes
    ]


def plain_modulated(conv: torch.nn.Module, x: Tensor, w: Tensor) -> Tensor:
    """StyleGAN2, eq. 1 to 3, a sample at a time; upwards on a grid of zeros, then filtered."""
    _, inputs, kernel, _ = conv.weight.shape
    styles = conv.affine(w)
    made = []
    for sample, style in zip(x, styles, strict=True):
        weight = conv.weight / math.sqrt(inputs * kernel**2) * style[:, None, None]
        if conv.demodulate:
            weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        one = sample[None]
        if conv.up:
            height, width = one.shape[2:]
            spaced = one.new_zeros(1, inputs, 2 * height + 3, 2 * width + 3)
            spaced[:, :, 2 : 2 * height + 2 : 2, 2 : 2 * width + 2 : 2] = one
            made.append(4 * filtered(F.conv2d(spaced, weight), 1))
        else:
            made.append(F.conv2d(one, weight, padding=kernel // 2))
    return torch.cat(made)


def plain_synthesis(generator: StyleGAN2Generator, ws: Tensor, noise: Sequence[Tensor]) -> Tensor:
    """The skip architecture: a picture at each resolution, upsampled and summed (fig. 7b)."""
    x = generator.constant.expand(len(ws), -1, -1, -1)
    image, layer = torch.zeros(len(ws), 3, 2, 2, dtype=ws.dtype), 0
    for block in generator.blocks:
        for styled in block.convs:
            y = plain_modulated(styled.conv, x, ws[:, layer])
            y = y + styled.noise_strength * noise[layer] + styled.bias[:, None, None]
            x, layer = activated(y), layer + 1
        rgb = plain_modulated(block.to_rgb, x, ws[:, layer]) + block.rgb_bias[:, None, None]
        image = F.interpolate(image, scale_factor=2, mode="bilinear") + rgb
    return image


def plain_judgement(discriminator: StyleGAN2Discriminator, images: Tensor) -> Tensor:
    """The residual architecture (fig. 7c), with convolutions whole and then halved."""

    def conv(layer: torch.nn.Module, x: Tensor, padding: int = 1, stride: int = 1) -> Tensor:
        weight = layer.weight / math.sqrt(layer.weight[0].numel())
        return F.conv2d(x, weight, layer.bias, stride, padding)

    x = activated(conv(discriminator.from_rgb, images, 0))
    for block in discriminator.blocks:
        y = activated(conv(block.conv0, x))
        y = activated(conv(block.conv1, filtered(y, 2), 0, 2))
        x = (y + halved(conv(block.shortcut, x, 0))) / math.sqrt(2)
    x = activated(conv(discriminator.epilogue, minibatch_stddev(x, 4)))
    x = activated(discriminator.hidden(x.flatten(1)))
    return discriminator.logit(x)[:, 0]


def test_the_mapping_is_a_pixel_norm_and_layers_that_learn_a_hundredth() -> None:
    """Karras 2019, app. C: a hundredth of the rate; at first w has about the variance of z."""
    mapping = small_generator().mapping
    z = torch.randn(5, 6).double() * 3

    x = z / z.square().mean(dim=1, keepdim=True).sqrt()
    for layer in mapping.layers:
        weight, bias = layer.weight * 0.01 / math.sqrt(6), layer.bias * 0.01
        x = activated(x @ weight.T + bias)

    torch.testing.assert_close(mapping(z), x, rtol=1e-6, atol=1e-6)
    fresh = StyleGAN2Generator(size_of(8), 512, 64, 8, 512)
    assert float(fresh.mapping.layers[0].weight.detach().std()) == pytest.approx(100, rel=0.05)
    for layer in fresh.modules():
        if isinstance(layer, ModulatedConv):  # scales by one at w = 0
            assert bool((layer.affine(torch.zeros(1, 512)) == 1).all())


def test_the_generator_is_the_papers_equations_a_sample_at_a_time() -> None:
    generator = small_generator()
    ws = torch.randn(3, generator.num_ws, 6).double()
    noise = noise_of(generator, 3)

    torch.testing.assert_close(
        generator.synthesis(ws, noise), plain_synthesis(generator, ws, noise), rtol=1e-9, atol=1e-9
    )


def test_the_discriminator_is_its_layers_one_after_the_other() -> None:
    discriminator = small_discriminator()
    images = torch.randn(4, 3, 8, 8).double()

    torch.testing.assert_close(
        discriminator(images), plain_judgement(discriminator, images), rtol=1e-9, atol=1e-9
    )


def slope_of(loss: Callable[[], Tensor], parameters: list[Tensor], way: list[Tensor]) -> float:
    """How fast the loss changes on the way, by differences of the parameters."""
    step, values = 1e-5, []
    for sign in (1, -1):
        with torch.no_grad():
            for parameter, change in zip(parameters, way, strict=True):
                parameter += sign * step * change
        values.append(float(loss().detach()))
        with torch.no_grad():
            for parameter, change in zip(parameters, way, strict=True):
                parameter -= sign * step * change
    return (values[0] - values[1]) / (2 * step)


def assert_slopes_agree(loss: Callable[[], Tensor], network: torch.nn.Module) -> None:
    """In each parameter alone, in a random direction: second derivatives of the network."""
    rng = torch.Generator().manual_seed(7)
    found = torch.autograd.grad(loss(), list(network.parameters()), allow_unused=True)
    used = 0
    for (name, parameter), gradient in zip(network.named_parameters(), found, strict=True):
        way = torch.randn(parameter.shape, generator=rng).double()
        expected = slope_of(loss, [parameter], [way])
        got = 0.0 if gradient is None else float((gradient * way).sum())
        used += gradient is not None
        assert got == pytest.approx(expected, rel=1e-4, abs=1e-6), name
    assert used > len(found) / 2


def test_r1_moves_every_weight_of_a_discriminator_as_finite_differences_say() -> None:
    discriminator = small_discriminator()
    images = torch.randn(4, 3, 8, 8).double().requires_grad_()

    assert_slopes_agree(lambda: r1_penalty(discriminator(images), images), discriminator)


def test_path_length_moves_every_weight_of_a_generator_as_finite_differences_say() -> None:
    generator = small_generator()
    z, y = torch.randn(2, 6).double(), torch.randn(2, 3, 8, 8).double()
    noise = noise_of(generator, 2)

    def penalty() -> Tensor:
        ws = generator.mapping(z)[:, None].repeat(1, generator.num_ws, 1)
        return (path_lengths(generator.synthesis(ws, noise), ws, y) - 0.3).square().mean()

    assert_slopes_agree(penalty, generator)


def equal_preset() -> Preset:
    return replace(preset_named("tiny"), resolution=16, channel_base=256, channel_max=16, z_dim=16)


def test_lazy_regularisation_corrects_rate_and_betas() -> None:
    """StyleGAN2, app. B: c = k / (k + 1); rate c * rate, betas to the power of c."""
    training = steps.new_training(equal_preset(), 0)

    for optimizer, rate, every in (
        (training.optimizer_g, training.preset.learning_rate_g, 4),
        (training.optimizer_d, training.preset.learning_rate_d, 16),
    ):
        assert optimizer.rate == pytest.approx(rate * every / (every + 1))
        assert optimizer.betas == pytest.approx((0.0, 0.99 ** (every / (every + 1))))


def test_the_average_of_the_beginning_is_short() -> None:
    """A half-life is at most a twentieth of what was seen (ema_ramp)."""
    training = steps.new_training(replace(equal_preset(), batch=8, ema_kimg=10.0), 0)
    training.nimg = 160  # a half-life of 8 pictures, a batch
    with torch.no_grad():
        for parameter in training.generator.parameters():
            parameter += 1.0
    steps._update_ema(training)

    pairs = zip(training.generator.parameters(), training.generator_ema.parameters(), strict=True)
    for now, average in pairs:
        torch.testing.assert_close(now - average, torch.full_like(now, 0.5), rtol=0, atol=1e-5)


def test_style_mixing_takes_the_later_layers_from_another_z() -> None:
    """Karras 2019, sec. 3.1: as often as asked, from anywhere after the first layer on."""
    generator = new_generator(equal_preset())
    assert isinstance(generator, StyleGAN2Generator)
    rng = BatchRandom([generator_for("mixing", 0)], 2000)
    with torch.no_grad():
        w = generator.mapping(torch.randn(2000, 16, generator=generator_for("z")))
        ws = w[:, None].repeat(1, generator.num_ws, 1)
        mixed = steps._mixed(generator, ws, 0.9, rng)

    same = (mixed == ws).all(dim=2)
    firsts = same.sum(dim=1)  # how many of the first layers kept their style
    assert bool((same.long().diff(dim=1) <= 0).all())  # once another, always another
    others = mixed[:, -1][firsts < generator.num_ws]
    assert len(others) / 2000 == pytest.approx(0.9, abs=0.02)
    counts = torch.bincount(firsts, minlength=generator.num_ws + 1)[1 : generator.num_ws]
    expected = len(others) / (generator.num_ws - 1)
    assert int(firsts.min()) == 1
    assert bool(((counts - expected).abs() < 5 * math.sqrt(expected)).all())
    changed = mixed[~same].reshape(-1, 16)
    assert len(changed.unique(dim=0)) == len(others)  # one other w a sample


def test_truncation_pulls_w_towards_its_mean() -> None:
    """Karras 2019, sec. 2.2: w' = w_avg + psi (w - w_avg)."""
    generator = new_generator(equal_preset()).eval()
    torch.nn.init.normal_(generator.w_avg)
    seen: list[Tensor] = []
    generator.synthesis = lambda ws, noise: seen.append(ws) or ws  # type: ignore[assignment,func-returns-value,method-assign]
    z = torch.randn(2, 16, generator=generator_for("z"))

    with torch.no_grad():
        draw(generator, z, [], psi=0.3)
        w = generator.mapping(z)

    truncated = generator.w_avg + 0.3 * (w - generator.w_avg)
    for layer in range(generator.num_ws):
        torch.testing.assert_close(seen[0][:, layer], truncated)
