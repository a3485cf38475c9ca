"""What goes into a generator: mixing, walks, and the directions that its weights name."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from machineray.gan.header import header_of
from machineray.gan.latent import (
    Walk,
    all_directions,
    directions,
    drawn,
    everywhere,
    groups_of,
    layer_weights,
    layers_of,
    mixed,
    moved,
    spread,
    styles,
)
from machineray.gan.light import LightGenerator
from machineray.gan.networks import Generator, calibrate, new_generator, noise_of
from machineray.gan.presets import Preset, preset_named
from machineray.gan.sampling import sample
from machineray.gan.state import packed


def made_generator(kind: str) -> Generator:
    """Few channels and a long w: no layer can see all of it. Its noise is not to be overlooked."""
    torch.manual_seed(0)
    sizes = {"resolution": 16, "channel_base": 256, "channel_max": 4, "z_dim": 48}
    preset: Preset = replace(preset_named("tiny"), generator=kind, **sizes)
    made = new_generator(preset)
    for name, parameter in made.named_parameters():
        if name.endswith("noise_strength"):
            torch.nn.init.constant_(parameter, 0.1)
    calibrate(made)
    return made.requires_grad_(False).eval()


@pytest.fixture(params=["stylegan2", "light"])
def generator(request: pytest.FixtureRequest) -> Generator:
    return made_generator(request.param)


@pytest.fixture
def light() -> LightGenerator:
    made = made_generator("light")
    assert isinstance(made, LightGenerator)
    return made


def test_a_seed_mixed_with_itself_is_the_seed(generator: Generator) -> None:
    for seed, picture in sample(generator, [3, 5], psi=0.7):
        for layer in range(layers_of(generator) + 1):
            assert np.array_equal(mixed(generator, seed, seed, layer, psi=0.7), picture)


def test_of_two_seeds_every_layer_counts(generator: Generator) -> None:
    found = [mixed(generator, 3, 5, layer) for layer in range(layers_of(generator) + 1)]
    assert all(not np.array_equal(one, other) for one, other in pairwise(found))
    ((_, first),) = sample(generator, [3])
    assert np.array_equal(found[-1], first)


def test_the_header_tells_how_many_layers_there_are(generator: Generator) -> None:
    data = packed(generator.state_dict(), {})
    assert header_of(data, "x").layers == layers_of(generator)


def test_a_walk_passes_every_seed_and_ends_where_it_began(generator: Generator) -> None:
    seeds = [3, 5, 8]
    walk = Walk(generator, seeds, psi=0.8)
    w = styles(generator, seeds, psi=0.8)
    for number in range(3):
        assert torch.allclose(walk.w_at(number / 3), w[number], atol=1e-5)
    ((_, first),) = sample(generator, [3], psi=0.8)
    assert np.array_equal(walk.picture_at(0.0), first)
    places = [walk.w_at(number / 300) for number in range(300)]
    steps = [float((one - other).norm()) for one, other in pairwise([*places, places[0]])]
    assert max(steps) < 3 * sum(steps) / len(steps)  # also from the last to the first: no jump


def test_where_w_is_z_a_walk_keeps_its_length(light: LightGenerator) -> None:
    walk = Walk(light, [3, 5, 8], psi=1.0)
    w = styles(light, [3, 5, 8])
    lengths = [float(walk.w_at(number / 60).norm()) for number in range(60)]
    assert min(lengths) >= float(w.norm(dim=1).min()) * 0.999
    assert max(lengths) <= float(w.norm(dim=1).max()) * 1.001


def test_a_walk_needs_two_seeds(generator: Generator) -> None:
    with pytest.raises(ValueError, match="needs two"):
        Walk(generator, [3], psi=1.0)


def unseen(rows: Tensor) -> Tensor:
    """A vector that a matrix (rows, w_dim) takes to nothing."""
    vector: Tensor = torch.linalg.svd(rows.double()).Vh[-1].float()
    return vector


def test_a_layer_sees_of_w_what_its_matrix_sees(generator: Generator) -> None:
    (w,) = styles(generator, (3,))
    noise, ws = noise_of(generator, (3,)), everywhere(generator, w)
    picture = drawn(generator, ws, noise).astype(int)
    for layer, rows in enumerate(layer_weights(generator)):
        (seen,) = directions(generator, [layer], 1)
        led = drawn(generator, moved(ws, [layer], 3 * seen), noise)
        assert np.abs(led - picture).max() > 0, layer
        if len(rows) < rows.shape[1]:
            left = drawn(generator, moved(ws, [layer], 3 * unseen(rows)), noise)
            assert np.abs(left - picture).max() <= 1, layer


def test_the_light_generators_first_matrix_is_what_its_first_maps_do(
    light: LightGenerator,
) -> None:
    def maps(w: Tensor) -> Tensor:
        found: Tensor = light.first_norm(light.first(w[None, :, None, None])).flatten()
        return found

    w, step = torch.randn(2, light.z_dim)
    moved_maps = layer_weights(light)[0] @ step
    assert torch.allclose(maps(w + step) - maps(w), moved_maps, atol=1e-4)


def test_directions_are_the_singular_vectors_the_strongest_first(generator: Generator) -> None:
    for layers in groups_of(generator).values():
        rows = torch.cat([layer_weights(generator)[layer] for layer in layers]).double()
        found = directions(generator, layers, 5).double()
        assert torch.allclose(found @ found.T, torch.eye(5).double(), atol=1e-5)
        assert torch.allclose(
            (rows @ found.T).norm(dim=0), torch.linalg.svdvals(rows)[:5], rtol=1e-4
        )


def test_a_direction_is_as_long_as_w_spreads_along_it(generator: Generator) -> None:
    for group, vectors in all_directions(generator, 4).items():
        unit = directions(generator, groups_of(generator)[group], 4)
        assert torch.allclose(vectors.norm(dim=1), spread(generator, unit), rtol=1e-4)


def test_z_spreads_by_one_everywhere(light: LightGenerator) -> None:
    assert float(spread(light, torch.eye(light.z_dim)).mean()) == pytest.approx(1, abs=0.05)
