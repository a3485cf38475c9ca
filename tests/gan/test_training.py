"""Training end to end on small networks: events, exact resume, and what is refused."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from machineray.errors import InputError, StageError
from machineray.gan import features, kinds, steps
from machineray.gan.presets import PRESETS, Preset, preset_named
from machineray.gan.randomness import batch_order, generator_for
from machineray.gan.steps import new_training
from machineray.gan.training import Checkpoint, Config, Snapshot, Tick, train

Event = Tick | Snapshot | Checkpoint


def last(events: list[Event], kind: type[Event]) -> Event:
    return [event for event in events if isinstance(event, kind)][-1]


def values(events: list[Event]) -> list[tuple[int, dict[str, float]]]:
    return [(event.nimg, event.values) for event in events if isinstance(event, Tick)]


def interrupted(config: Config, images: NDArray[np.uint8], steps_done: int) -> Iterator[Event]:
    """Train for so many steps, stop, and go on from the checkpoint in fresh networks."""
    asked = iter(range(10_000))
    checkpoint: Checkpoint | None = None
    for event in train(config, images, stop=lambda: next(asked) >= steps_done - 1):
        if isinstance(event, Checkpoint):
            checkpoint = event
        yield event
    assert checkpoint is not None
    assert checkpoint.nimg == steps_done * config.preset.batch
    yield from train(config, images, resume=checkpoint.data)


def test_the_events_of_a_run(small: Preset, images: NDArray[np.uint8]) -> None:
    events = list(train(Config(small, kimg=0.024), images))

    assert [nimg for nimg, _ in values(events)] == [8, 16, 24]
    for _, told in values(events):
        assert {"loss_g", "loss_d", "logits_real", "logits_gen"} <= told.keys()
        assert np.isfinite(list(told.values())).all()
        assert ("energy" in told) == (small.discriminator == "projected")
    snapshots = [event for event in events if isinstance(event, Snapshot)]
    assert snapshots[0].nimg == 0
    assert snapshots[-1].nimg == 24
    assert snapshots[-1].grid.shape == (4 * 16, 6 * 16, 3)
    assert snapshots[0].data != snapshots[-1].data
    assert [event.nimg for event in events if isinstance(event, Checkpoint)] == [24]


def test_a_resumed_run_is_bit_for_bit_the_undisturbed_one(
    small: Preset, images: NDArray[np.uint8]
) -> None:
    config = Config(small, seed=3, kimg=0.02)

    whole = list(train(config, images))
    for steps_done in (1, 3):
        parts = list(interrupted(config, images, steps_done))

        assert values(parts) == values(whole)
        for kind in (Snapshot, Checkpoint):
            assert last(parts, kind).data == last(whole, kind).data  # type: ignore[union-attr]


def test_training_leaves_torchs_own_random_state_alone(images: NDArray[np.uint8]) -> None:
    preset = replace(preset_named("tiny"), resolution=16, batch=4)
    torch.manual_seed(5)
    expected = torch.rand(3)

    torch.manual_seed(5)
    list(train(Config(preset, kimg=0.004), images))

    assert torch.equal(torch.rand(3), expected)


def test_a_seed_is_the_same_network_whatever_the_process_did_before(small: Preset) -> None:
    """The feature network is made once a process, at its first use, and draws weights itself."""
    features._pretrained.cache_clear()
    states = []
    for _ in ("a fresh process", "one that trained before"):
        training = new_training(small, 3)
        states.append(training.generator.state_dict() | training.discriminator.state_dict())

    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_another_seed_is_another_network(images: NDArray[np.uint8]) -> None:
    preset = replace(preset_named("tiny"), resolution=16, batch=4)
    runs = [list(train(Config(preset, seed, kimg=0.004), images)) for seed in (0, 1)]

    assert last(runs[0], Snapshot).data != last(runs[1], Snapshot).data  # type: ignore[union-attr]


def test_a_generator_learns_what_the_pictures_are() -> None:
    """Pictures that are all red: after a short training the samples are redder than before."""
    preset = replace(preset_named("tiny"), resolution=16, channel_base=512, batch=8)
    red = np.zeros((4, 3, 16, 16), np.uint8)
    red[:, 0] = 230

    events = list(train(Config(preset, kimg=0.8), red))
    grids = [event.grid.astype(float) for event in events if isinstance(event, Snapshot)]

    redness = [(grid[..., 0] - grid[..., 1:].mean(axis=2)).mean() for grid in grids]
    assert redness[-1] > redness[0] + 60


def test_a_checkpoint_of_other_arguments_is_refused_with_the_difference(
    images: NDArray[np.uint8],
) -> None:
    preset = replace(preset_named("tiny"), resolution=16, batch=4)
    checkpoint = last(list(train(Config(preset, 1, kimg=0.004), images)), Checkpoint)

    with pytest.raises(InputError, match="seed 1, not 2"):
        list(train(Config(preset, 2, kimg=0.008), images, resume=checkpoint.data))  # type: ignore[union-attr]


def test_pictures_of_another_size_are_refused(images: NDArray[np.uint8]) -> None:
    with pytest.raises(InputError, match=r"tiny wants \(N, 3, 32, 32\)"):
        list(train(Config(preset_named("tiny")), images))


def test_a_loss_that_is_no_number_ends_the_run_with_the_way_out(
    images: NDArray[np.uint8],
) -> None:
    preset = replace(preset_named("tiny"), resolution=16, batch=4, pl_weight=float("nan"))

    with pytest.raises(StageError, match=r"nan after 0\.\d+ kimg: .* last checkpoint is kept"):
        list(train(Config(preset, kimg=0.02), images))


def test_r1_and_path_length_come_at_their_intervals(
    images: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = replace(preset_named("tiny"), resolution=16, batch=4, tick_kimg=0.004)
    monkeypatch.setattr(kinds, "R1_EVERY", 2)

    told = values(list(train(Config(preset, kimg=0.02), images)))

    assert [nimg for nimg, seen in told if "r1" in seen] == [4, 12, 20]
    assert [nimg for nimg, seen in told if "path_length" in seen] == [4, 20]


def test_the_average_generator_follows_with_its_half_life(images: NDArray[np.uint8]) -> None:
    """After one half-life of a generator that stands still, half of the way is left."""
    preset = replace(preset_named("tiny"), resolution=16, batch=8, ema_kimg=0.08)
    training = steps.new_training(preset, 0)
    training.nimg = 10_000  # beyond the ramp
    with torch.no_grad():
        for parameter in training.generator.parameters():
            parameter += 1.0
    for _ in range(10):
        steps._update_ema(training)

    pairs = zip(training.generator.parameters(), training.generator_ema.parameters(), strict=True)
    for now, average in pairs:
        torch.testing.assert_close(now - average, torch.full_like(now, 0.5), rtol=0, atol=1e-3)


@settings(max_examples=50)
@given(
    seed=st.integers(0, 9),
    images=st.integers(1, 7),
    x_mirror=st.booleans(),
    epoch=st.integers(0, 3),
)
def test_each_epoch_shows_every_picture_once_and_its_mirror_once(
    seed: int, images: int, x_mirror: bool, epoch: int
) -> None:
    length = images * (2 if x_mirror else 1)
    indices, mirrored = batch_order(seed, epoch * length, length, images, x_mirror)

    both = (False, True) if x_mirror else (False,)
    assert sorted(zip(indices, mirrored, strict=True)) == sorted(
        (index, flip) for index in range(images) for flip in both
    )


@settings(max_examples=50)
@given(cut=st.integers(1, 15), seed=st.integers(0, 9))
def test_the_order_does_not_know_how_the_batches_are_cut(cut: int, seed: int) -> None:
    whole = batch_order(seed, 5, 16, 3, True)
    first, second = (
        batch_order(seed, 5, cut, 3, True),
        batch_order(seed, 5 + cut, 16 - cut, 3, True),
    )

    assert whole == (first[0] + second[0], first[1] + second[1])


def test_purposes_and_numbers_have_random_generators_of_their_own() -> None:
    draws = {
        float(torch.rand((), generator=generator_for(*arguments)))
        for arguments in (("a", 1, 2), ("a", 2, 1), ("a", 12), ("b", 1, 2))
    }

    assert len(draws) == 4


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_draws_and_judges_its_size(preset: Preset) -> None:
    """On the meta device: shapes without memory."""
    from machineray.gan.networks import new_discriminator, new_generator

    with torch.device("meta"):
        generator = new_generator(preset)
        ws = torch.empty(2, generator.num_ws, preset.z_dim)
        noise = [torch.empty(2, 1, *shape) for shape in generator.noise_shapes]
        images = generator.synthesis(ws, noise)
        if preset.discriminator == "stylegan2":
            assert new_discriminator(preset, 0)(images).shape == (2,)

    assert images.shape == (2, 3, preset.size.height, preset.size.width)
