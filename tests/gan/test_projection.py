"""A picture is found in a network that drew it, and the search is a function of its numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from machineray.errors import InputError
from machineray.gan.networks import Generator, calibrate, new_generator
from machineray.gan.presets import Preset, preset_named
from machineray.gan.projection import (
    Likeness,
    Projector,
    packed_projection,
    unpacked_projection,
)
from machineray.gan.sampling import sample
from machineray.gan.state import packed

STEPS = 40


@pytest.fixture(params=["stylegan2", "light"])
def generator(request: pytest.FixtureRequest) -> Generator:
    sizes = {"resolution": 16, "channel_base": 256, "channel_max": 16, "z_dim": 16}
    preset: Preset = replace(preset_named("tiny"), generator=request.param, **sizes)
    torch.manual_seed(0)
    made = new_generator(preset)
    calibrate(made)
    return made.requires_grad_(False).eval()


@pytest.mark.parametrize("per_layer", [False, True])
def test_what_the_network_drew_is_found_again(generator: Generator, per_layer: bool) -> None:
    ((_, target),) = sample(generator, [1000])
    projector = Projector(generator, target, STEPS, per_layer)
    begun = projector.begin(range(6))
    *_, found = projector.run(begun, every=10)
    before, after = (projector.distance(projector.picture(found, place)) for place in (0, -1))
    assert found.steps == STEPS
    assert after.total < 0.7 * before.total
    assert after.pixels < 0.3 * before.pixels
    assert torch.equal(found.path[-1], found.point)


def test_it_begins_at_the_nearest_seed(generator: Generator) -> None:
    pictures = dict(sample(generator, range(6)))
    projector = Projector(generator, pictures[4], STEPS, per_layer=False)
    begun = projector.begin(range(6))
    assert begun.seed == 4
    assert np.array_equal(projector.picture(begun), pictures[4])


def test_a_resumed_search_is_the_undisturbed_one(generator: Generator) -> None:
    ((_, target),) = sample(generator, [1000])
    projector = Projector(generator, target, STEPS, per_layer=True)
    states = list(projector.run(projector.begin([0, 1]), every=10))
    assert [state.steps for state in states] == [10, 20, 30, 40]
    for state in states[:-1]:
        again = unpacked_projection(packed_projection(state), "x")
        *_, end = Projector(generator, target, STEPS, per_layer=True).run(again, every=7)
        assert torch.equal(end.path, states[-1].path)
        assert torch.equal(end.point, states[-1].point)
        assert end.distance == states[-1].distance


def test_what_is_no_state_is_refused() -> None:
    for data in (b"", b"x" * 100, packed({"path": torch.zeros(1)}, {"seed": 0})):
        with pytest.raises(InputError, match=r"^here: "):
            unpacked_projection(data, "here")


def test_the_distance_ranks_pictures_of_any_shape() -> None:
    """A picture itself, with a little noise, with much, and another one; twice as wide as high."""
    rng = torch.Generator().manual_seed(0)
    small = torch.rand(2, 3, 4, 8, generator=rng) * 2 - 1
    large = torch.nn.functional.interpolate(small, (64, 128), mode="bicubic").clamp(-1, 1)
    target, other = large.split(1)
    noise = torch.randn(target.shape, generator=rng)
    images = torch.cat((target, target + 0.02 * noise, target + 0.1 * noise, other))
    features, pixels = Likeness(target)(images.clamp(-1, 1))
    assert float(features[0]) == pytest.approx(0, abs=1e-6)
    assert list(features.argsort()) == [0, 1, 2, 3]
    assert list(pixels.argsort()) == [0, 1, 2, 3]


def test_what_is_kept_does_not_grow_with_the_steps(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("machineray.gan.projection.POINTS", 4)
    ((_, target),) = sample(generator, [1000])
    for steps, points in ((3, 4), (8, 5), (17, 5)):
        projector = Projector(generator, target, steps, per_layer=False)
        *_, found = projector.run(projector.begin([0]), every=2)
        assert (found.steps, len(found.path)) == (steps, points)
        assert torch.equal(found.path[-1], found.point)
