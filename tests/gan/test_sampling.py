"""A seed is a picture, whatever is drawn beside it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from machineray.gan.networks import Generator, draw, new_generator, noise_of
from machineray.gan.presets import Preset, preset_named
from machineray.gan.sampling import grid, sample, to_uint8


@pytest.fixture
def generator(small: Preset) -> Generator:
    torch.manual_seed(0)
    made = new_generator(small).eval()
    for name, parameter in made.named_parameters():
        if name.endswith("noise_strength"):
            torch.nn.init.constant_(parameter, 0.5)  # as after training: noise counts
    return made


def drawn(generator: Generator, seeds: list[int], **options: float) -> dict[int, NDArray[np.uint8]]:
    return dict(sample(generator, seeds, **options))  # type: ignore[arg-type]


def test_a_seed_is_the_same_picture_in_any_batch(generator: Generator) -> None:
    alone = {seed: drawn(generator, [seed])[seed] for seed in range(7)}

    for batch in (1, 3, 32):
        together = drawn(generator, [6, 0, 3, 1, 2, 5, 4], batch=batch)
        for seed, picture in alone.items():
            np.testing.assert_array_equal(together[seed], picture)


def test_a_picture_is_of_the_weights_as_they_are(generator: Generator, small: Preset) -> None:
    """What follows from them is kept while drawing, and no longer than they stay."""
    first = drawn(generator, [0])[0]
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter *= 1.5
    other = new_generator(small).eval()
    other.load_state_dict(generator.state_dict())

    again = drawn(generator, [0])[0]

    assert not np.array_equal(again, first)
    np.testing.assert_array_equal(again, drawn(other, [0])[0])


def test_seeds_differ(generator: Generator) -> None:
    first, second = drawn(generator, [0, 1]).values()

    assert first.shape == (16, 16, 3)
    assert not np.array_equal(first, second)


def test_psi_zero_is_one_picture_but_for_the_noise(small: Preset) -> None:
    made = new_generator(small).eval()
    first, second = drawn(made, [0, 1], psi=0.0).values()

    np.testing.assert_array_equal(first, second)


def test_psi_shortens_the_way_from_the_mean() -> None:
    made = new_generator(replace(preset_named("tiny"), resolution=16)).eval()
    z = torch.randn(1, made.z_dim, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        pictures = [draw(made, z, noise_of(made, [2]), psi) for psi in (0.0, 0.5, 1.0)]

    mean, half, full = pictures
    assert 0 < float((half - mean).norm()) < float((full - mean).norm())


def test_levels_are_rounded_and_clipped() -> None:
    values = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]).reshape(1, 1, 1, 5).expand(1, 3, 1, 5)

    assert to_uint8(values)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_a_grid_has_its_pictures_in_reading_order() -> None:
    pictures = [np.full((2, 2, 3), level, np.uint8) for level in range(6)]

    assert grid(pictures, columns=3)[::2, ::2, 0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_generator_that_was_made_while_drawing_draws(small: Preset) -> None:
    """Such weights have no version that tells whether they changed."""
    with torch.inference_mode():
        made = new_generator(small).eval()
        first = drawn(made, [0])[0]
        for parameter in made.parameters():
            parameter *= 1.5

        assert not np.array_equal(drawn(made, [0])[0], first)
