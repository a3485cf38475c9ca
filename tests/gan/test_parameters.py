"""Sizes and operations of the networks against the papers, layer by layer.

The sums here are written down from the architecture of StyleGAN2 (arXiv 1912.04958, sec. 2 and 4,
fig. 2 and 7; the layers of the mapping and of the discriminator's end as in Karras 2018 and 2019):
they know nothing of the networks' code.
"""

from dataclasses import replace

import pytest
import torch

from machineray.gan.counts import Counts, counted
from machineray.gan.networks import new_discriminator, new_generator
from machineray.gan.presets import Preset, preset_named

RESOLUTIONS = (64, 128, 256, 512, 1024)
CHANNEL_BASES = {"config-e": 16384, "config-f": 32768}


def of(config: str, resolution: int) -> Preset:
    return replace(
        preset_named("paintings1024"), resolution=resolution, channel_base=CHANNEL_BASES[config]
    )


def maps_at(config: str, side: int) -> int:
    return min(512, CHANNEL_BASES[config] // side)


def sides_to(resolution: int) -> list[int]:
    return [side for side in (4, 8, 16, 32, 64, 128, 256, 512, 1024) if side <= resolution]


def styled(inputs: int, outputs: int, kernel: int) -> int:
    """Weights, a bias a map, the style's affine layer of w (512)."""
    return kernel**2 * inputs * outputs + outputs + (512 * inputs + inputs)


def generator_parameters(config: str, resolution: int) -> int:
    total = 8 * (512 * 512 + 512)  # the mapping
    before = maps_at(config, 4)
    total += 4 * 4 * before  # the learned constant
    for side in sides_to(resolution):
        maps = maps_at(config, side)
        if side > 4:
            total += styled(before, maps, 3) + 1  # one strength of the noise
        total += styled(maps, maps, 3) + 1 + styled(maps, 3, 1)
        before = maps
    return total


def discriminator_parameters(config: str, resolution: int) -> int:
    total = 3 * maps_at(config, resolution) + maps_at(config, resolution)  # from RGB
    for side in sides_to(resolution)[:0:-1]:
        maps, fewer = maps_at(config, side), maps_at(config, side // 2)
        total += 9 * maps * maps + maps + 9 * maps * fewer + fewer + maps * fewer
    last = maps_at(config, 4)
    total += 9 * (last + 1) * last + last  # one map more: the batch's deviation
    return total + (4 * 4 * last * last + last) + (last + 1)


def generator_products(config: str, resolution: int) -> int:
    """Of the convolutions of one picture; those upwards have one at each pixel and tap below."""
    total, before = 0, maps_at(config, 4)
    for side in sides_to(resolution):
        maps = maps_at(config, side)
        if side > 4:
            total += 9 * before * maps * (side // 2) ** 2
        total += 9 * maps * maps * side**2 + 3 * maps * side**2
        before = maps
    return total


def discriminator_products(config: str, resolution: int) -> int:
    total = 3 * maps_at(config, resolution) * resolution**2
    for side in sides_to(resolution)[:0:-1]:
        maps, fewer = maps_at(config, side), maps_at(config, side // 2)
        total += 9 * maps * maps * side**2 + (9 + 1) * maps * fewer * (side // 2) ** 2
    last = maps_at(config, 4)
    return total + 9 * (last + 1) * last * 16 + 16 * last * last + last


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("config", CHANNEL_BASES)
def test_the_networks_have_the_papers_parameters(config: str, resolution: int) -> None:
    with torch.device("meta"):
        generator = new_generator(of(config, resolution))
        discriminator = new_discriminator(of(config, resolution), 0)

    assert sum(p.numel() for p in generator.parameters()) == generator_parameters(
        config, resolution
    )
    assert sum(p.numel() for p in discriminator.parameters()) == discriminator_parameters(
        config, resolution
    )


def test_config_f_at_1024_has_the_published_sizes() -> None:
    """30.37 and 29.01 million, as published with the paper."""
    counts = counted(of("config-f", 1024))

    assert counts.generator_parameters / 1e6 == pytest.approx(30.37, abs=0.005)
    assert counts.discriminator_parameters / 1e6 == pytest.approx(29.01, abs=0.005)


@pytest.fixture(scope="module", params=CHANNEL_BASES)
def at_1024(request: pytest.FixtureRequest) -> tuple[str, Counts]:
    return request.param, counted(of(request.param, 1024))


def test_the_operations_of_a_training_picture_are_those_of_its_passes(
    at_1024: tuple[str, Counts],
) -> None:
    """A pass forward, one back to the maps, one back to the weights: each as many products.

    A step draws a picture (1 G), learns to tell it from a real one (2 x 3 D), and judges it again
    for the generator (2 D, 2 G). R1 goes forward, back to the picture, and back through both of
    these: 6 D. Path length: 6 G, for half of the pictures. The filters come on top.
    """
    config, counts = at_1024
    g = 2e-9 * generator_products(config, 1024)
    d = 2e-9 * discriminator_products(config, 1024)

    assert g < counts.generated.gflop < 1.05 * g
    assert 6 * d < counts.discriminator_step.gflop < 1.05 * 6 * d
    assert 2 * d + 2 * g < counts.generator_step.gflop < 1.05 * (2 * d + 2 * g)
    assert counts.r1 is not None
    assert 5.9 * d < counts.r1.gflop < 1.05 * 6 * d
    assert counts.path_length is not None
    assert 5.9 * g < counts.path_length.gflop < 1.05 * 6 * g
    whole = 3 * g + 8 * d + 6 * d / 16 + 6 * g / 2 / 4
    assert 0.99 * whole < counts.gflop < 1.05 * whole


def test_what_a_step_sends_is_four_bytes_a_parameter_and_the_lazy_shares() -> None:
    counts = counted(of("config-e", 64))
    g, d = generator_parameters("config-e", 64), discriminator_parameters("config-e", 64)

    assert counts.sent_bytes == pytest.approx(4 * (g * 5 / 4 + d * 17 / 16))
