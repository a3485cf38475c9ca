"""Which sizes a network can draw, and what it is for those that are no squares."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from machineray.gan import diffaug
from machineray.gan.networks import draw, new_discriminator, new_generator, noise_of
from machineray.gan.presets import Preset, preset_named
from machineray.gan.projected import input_shape
from machineray.gan.randomness import BatchRandom, generator_for
from machineray.gan.sampling import sample
from machineray.gan.sizes import MOST_BASE, Size, size_of
from machineray.gan.state import load_snapshot
from machineray.gan.training import Checkpoint, Config, Snapshot, Tick, train


@pytest.mark.parametrize(
    ("typed", "first", "sides"),
    [
        (128, (4, 4), [4, 8, 16, 32, 64, 128]),
        ("128x128", (4, 4), [4, 8, 16, 32, 64, 128]),
        ("96x128", (4, 3), [4, 8, 16, 32, 64, 128]),
        ("64x32", (2, 4), [4, 8, 16, 32, 64]),
        ("1280x768", (3, 5), [4, 8, 16, 32, 64, 128, 256, 512, 1024]),
        ("1024x576", (9, 16), [16, 32, 64, 128, 256, 512, 1024]),
        (96, (6, 6), [4, 8, 16, 32, 64]),
    ],
)
def test_a_size_is_its_first_maps_doubled(
    typed: int | str, first: tuple[int, int], sides: list[int]
) -> None:
    size = size_of(typed)
    assert size.shapes[0] == first
    assert size.shapes[-1] == (size.height, size.width)
    assert size.sides == sides


@given(st.integers(1, 16), st.integers(1, 16), st.integers(1, 7))
def test_every_size_comes_back_from_what_it_is_called(width: int, height: int, n: int) -> None:
    if max(width, height) < 4:
        return
    size = Size(width << n, height << n)
    assert size_of(str(size)) == size_of(size.resolution) == size
    assert max(size.shapes[0]) <= MOST_BASE
    for (low, narrow), (high, wide) in zip(size.shapes, size.shapes[1:], strict=False):
        assert (high, wide) == (2 * low, 2 * narrow)
    assert size.at(size.sides[-1]) == size


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("100x130", "100x130 px cannot be halved evenly .*; 104x128 can"),
        ("1920x1080", "; 1920x1024 can"),
        ("big", "neither a side, 128, nor WIDTHxHEIGHT"),
        ("4x4", "may have 8 to 4096"),
        ("0x64", "may have 8 to 4096"),
        (8192, "may have 8 to 4096"),
    ],
)
def test_a_size_that_cannot_be_is_refused_with_one_that_can(typed: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        size_of(typed)


@pytest.mark.parametrize("resolution", ["24x32", "32x18"])
def test_every_combination_trains_resumes_and_draws_in_any_shape(
    small: Preset, resolution: str
) -> None:
    preset = replace(small, resolution=resolution, ada_target=-1.0)  # p rises at once
    size = preset.size
    images = np.random.default_rng(0).integers(
        0, 256, (5, 3, size.height, size.width), dtype=np.uint8
    )

    events = list(train(Config(preset, kimg=0.016), images))
    stopped = list(train(Config(preset, kimg=0.016), images, stop=lambda: True))
    middle = next(event for event in stopped if isinstance(event, Checkpoint))
    resumed = list(train(Config(preset, kimg=0.016), images, resume=middle.data))

    ticks = [event.values for event in events if isinstance(event, Tick)]
    assert all(np.isfinite(list(values.values())).all() for values in ticks)
    last, again = (
        [event for event in some if isinstance(event, Snapshot)][-1] for some in (events, resumed)
    )
    assert last.grid.shape == (4 * size.height, 6 * size.width, 3)
    assert last.data == again.data
    snapshot = load_snapshot(last.data, "s")
    assert snapshot.about["preset"]["resolution"] == resolution
    ((_, picture),) = sample(snapshot.generator, [0])
    # A snapshot may draw in another order of memory than the training: other last bits.
    seen = last.grid[: size.height, : size.width].astype(int)
    assert np.abs(seen - picture).max() <= 1


def test_another_shape_has_the_weights_of_the_square_but_for_the_first_maps() -> None:
    """And so a square's snapshot is a beginning for it."""
    preset = preset_named("demo")
    for kind in ("stylegan2", "light"):
        with torch.device("meta"):
            square, tall = (
                new_generator(replace(preset, generator=kind, resolution=resolution)).state_dict()
                for resolution in (128, "96x128")
            )
        assert square.keys() == tall.keys()
        changed = [name for name in square if square[name].shape != tall[name].shape]
        assert changed == ["constant" if kind == "stylegan2" else "first.weight"]


def test_a_picture_and_the_constant_lie_the_same_way() -> None:
    """A constant that is light on the right gives pictures that are light on the right."""
    preset = replace(preset_named("tiny"), resolution="32x24", channel_base=256)
    torch.manual_seed(0)
    generator = new_generator(preset)
    z, noise = torch.ones(1, generator.z_dim), noise_of(generator, (0,))

    def drawn(constant: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            generator.constant.copy_(constant)
            return draw(generator, z, noise)[0]

    constant = torch.zeros_like(generator.constant)
    assert constant.shape[2:] == (3, 4)
    before = drawn(constant)
    constant[..., -1] = 1.0
    changed = (drawn(constant) - before).abs().sum(dim=0)
    assert changed.shape == (24, 32)
    assert changed[:, 20:].sum() > 5 * changed[:, :12].sum()


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((128, 128), (128, 128)),
        ((32, 24), (128, 96)),
        ((512, 1024), (64, 128)),
        ((96, 64), (128, 96)),
        ((16, 512), (32, 128)),
    ],
)
def test_the_feature_network_sees_the_proportions(
    shape: tuple[int, int], seen: tuple[int, int]
) -> None:
    assert input_shape(*shape) == seen


def test_the_projected_discriminator_judges_every_place_of_a_shape() -> None:
    preset = replace(preset_named("demo"), resolution="96x128")
    discriminator = new_discriminator(preset, 0)
    with torch.no_grad():
        maps = discriminator.project(torch.zeros(8, 3, 128, 96))
        logits = discriminator.judge(maps)
    assert [tuple(x.shape[2:]) for x in maps] == [(32, 24), (16, 12), (8, 6), (4, 3), (32, 24)]
    assert logits.shape == (8, 5 * 4 * 3)


def test_fixed_augmentation_shifts_by_an_eighth_of_each_side() -> None:
    images = torch.zeros(4000, 3, 16, 32)
    images[:, :, 8, 16] = 1.0
    moved = diffaug.translated(images, BatchRandom([generator_for("shift")], 4000))
    _, rows, columns = moved[:, 0].nonzero(as_tuple=True)
    assert (rows.min() - 8, rows.max() - 8) == (-2, 2)
    assert (columns.min() - 16, columns.max() - 16) == (-4, 4)
    for places, kinds in ((rows, 5), (columns, 9)):
        shares = torch.bincount(places)[places.min() :] / 4000
        assert len(shares) == kinds
        assert float(shares.min()) > 0.7 / kinds


@pytest.mark.parametrize(
    ("width", "shares"),
    [
        (8, {(0, 0): 0.6, (7, 0): 0.4 / 3, (7, 7): 0.4 / 3, (0, 7): 0.4 / 3}),
        (4, {(0, 0): 0.6, (7, 3): 0.4}),
    ],
)
def test_fixed_augmentation_turns_some_pictures(
    width: int, shares: dict[tuple[int, int], float]
) -> None:
    """Squares by each quarter alike, others upside down; more stand upright than any other way."""
    images = torch.zeros(4000, 1, 8, width)
    images[:, :, 0, 0] = 1.0
    moved = diffaug.turned(images, BatchRandom([generator_for("turn")], 4000))
    places = [(row, column) for _, row, column in moved[:, 0].nonzero().tolist()]
    found = {place: places.count(place) / 4000 for place in set(places)}
    assert found == pytest.approx(shares, abs=0.03)
