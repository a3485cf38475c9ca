"""Quality while training: what is measured, and what it costs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from machineray.gan.networks import calibrate, new_generator
from machineray.gan.presets import Preset, preset_named
from machineray.gan.quality import (
    LEAST_SAMPLES,
    MOST_PICTURES,
    MOST_SAMPLES,
    Quality,
    affordable_samples,
    cached_reference,
    reference,
)
from machineray.gan.training import Config, Snapshot, train


def means(images: torch.Tensor) -> torch.Tensor:
    """Stands for the feature network: the colours of four quarters."""
    return torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)[:, :, None, None]


def picture(index: int) -> NDArray[np.uint8]:
    return np.random.default_rng(index).integers(0, 256, (16, 16, 3), np.uint8)


def test_at_most_so_many_pictures_are_compared_with() -> None:
    seen: list[int] = []

    def noted(index: int) -> NDArray[np.uint8]:
        seen.append(index)
        return picture(index % 3)

    made = reference(noted, range(3 * MOST_PICTURES), means)
    assert len(made.features) == MOST_PICTURES
    assert max(seen) > 2.9 * MOST_PICTURES


def test_a_reference_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "reference.npz"
    first = cached_reference(path, lambda: reference(picture, range(5), means))
    again = cached_reference(path, lambda: pytest.fail("made twice"))
    assert torch.equal(first.features, again.features)
    np.testing.assert_array_equal(first.colours, again.colours)


def test_a_generator_is_measured_against_both_sets() -> None:
    torch.manual_seed(0)
    generator = new_generator(replace(preset_named("tiny"), resolution=16)).eval()
    calibrate(generator)
    seen = reference(picture, range(8), means)
    quality = Quality(seen, reference(picture, range(8, 12), means), means)
    told = quality.measured(generator, 8)
    assert told.keys() == {
        "kid_effnetlite0",
        "kid_effnetlite0_held_out",
        "precision",
        "recall",
        "colour_distance",
        "diversity",
        "quality_samples",
    }
    assert told == quality.measured(generator, 8)
    assert 0 < told["colour_distance"] <= 1
    without = Quality(seen, None, means).measured(generator, 8)
    assert without.keys() == told.keys() - {"kid_effnetlite0_held_out"}


def test_measuring_costs_about_a_twentieth() -> None:
    for pictures, on_gpu in ((20, False), (40, True)):
        assert affordable_samples(pictures * LEAST_SAMPLES - 1, on_gpu) == 0
        assert affordable_samples(pictures * LEAST_SAMPLES, on_gpu) == LEAST_SAMPLES
        assert affordable_samples(10**6, on_gpu) == MOST_SAMPLES


def test_a_training_measures_in_the_end_at_least(small: Preset, images: NDArray[np.uint8]) -> None:
    quality = Quality(reference(picture, range(8), means), None, means)
    events = list(train(Config(small, kimg=0.012), images, quality=quality))
    snapshots = [event for event in events if isinstance(event, Snapshot)]
    assert snapshots[-1].quality["quality_samples"] == LEAST_SAMPLES
    assert not any(snapshot.quality for snapshot in snapshots[:-1])


def test_measuring_changes_nothing_of_the_training(
    small: Preset, images: NDArray[np.uint8]
) -> None:
    quality = Quality(reference(picture, range(8), means), None, means)
    with_it, without = (
        [
            e
            for e in train(Config(small, kimg=0.012), images, quality=q)
            if not isinstance(e, Snapshot)
        ]
        for q in (quality, None)
    )
    assert with_it[-1].data == without[-1].data  # type: ignore[union-attr]
