"""How long a training is said to take: the kinds of step, as often as each comes."""

from dataclasses import replace
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from machineray.gan import estimate
from machineray.gan.compute import Compute
from machineray.gan.kinds import iterations_by_kind, kind_of
from machineray.gan.presets import preset_named
from machineray.gan.steps import Training

PLAIN, PATH, BOTH = (1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15), (4, 8, 12), (0,)


@pytest.mark.parametrize(
    ("generator", "discriminator", "kinds"),
    [
        ("stylegan2", "stylegan2", [PLAIN, PATH, BOTH]),
        ("stylegan2", "projected", [tuple(range(16))]),
        ("light", "stylegan2", [tuple(range(1, 16)), BOTH]),
        ("light", "projected", [tuple(range(16))]),
    ],
)
def test_a_round_has_its_kinds(generator: Any, discriminator: Any, kinds: list[Any]) -> None:
    preset = replace(preset_named("tiny"), generator=generator, discriminator=discriminator)
    found = iterations_by_kind(preset)
    assert [tuple(same) for same in found] == kinds
    for same in found:
        assert len({kind_of(preset, iteration + 16, 0.0) for iteration in same}) == 1


@pytest.mark.parametrize(
    ("generator", "discriminator", "seconds_a_step"),
    [
        ("stylegan2", "stylegan2", (12 * 1 + 3 * 2 + 4) / 16),
        ("light", "stylegan2", (15 * 1 + 4) / 16),
        ("light", "projected", 1),
    ],
)
def test_a_kind_counts_as_often_as_it_comes(
    generator: Any, discriminator: Any, seconds_a_step: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain step takes a second, one with path lengths two, with R1 four; the first one 99."""
    preset = replace(
        preset_named("tiny"), generator=generator, discriminator=discriminator, batch=8
    )
    now, steps = 0.0, count()

    def fake(training: Training, real_img: Any) -> None:
        nonlocal now
        kind = kind_of(preset, training.nimg // preset.batch, 0.0)
        now += 99 if next(steps) == 0 else 4 if kind.r1 else 2 if kind.path_length else 1

    monkeypatch.setattr(estimate, "step", fake)
    monkeypatch.setattr(estimate, "time", SimpleNamespace(perf_counter=lambda: now))
    found = estimate.estimate(preset, Compute())
    assert found.seconds_per_kimg == seconds_a_step * 1000 / 8
