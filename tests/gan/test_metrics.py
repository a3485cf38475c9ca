"""Distances between sets of pictures: against explicit sums, and in the order a person has."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from machineray.gan.features import last_maps
from machineray.gan.metrics import (
    colour_distance,
    colours,
    diversity,
    kid,
    pooled,
    precision_recall,
)


def features_of(samples: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(samples, 5, generator=rng, dtype=torch.float64) + shift


def test_kid_against_loops() -> None:
    one, other = features_of(4, 0), features_of(5, 1)

    def kernel(a: torch.Tensor, b: torch.Tensor) -> float:
        return (float(a @ b) / 5 + 1) ** 3

    def within(points: torch.Tensor) -> float:
        pairs = [kernel(points[i], points[j]) for i, j in combinations(range(len(points)), 2)]
        return sum(pairs) / len(pairs)

    between = [kernel(a, b) for a in one for b in other]
    expected = within(one) + within(other) - 2 * sum(between) / len(between)
    assert kid(one, other) == pytest.approx(expected, rel=1e-12)


def test_kid_of_one_source_is_nought_on_average() -> None:
    found = [kid(features_of(20, 2 * i), features_of(20, 2 * i + 1)) for i in range(300)]
    error = np.std(found) / math.sqrt(len(found))
    assert abs(np.mean(found)) < 3 * error
    assert kid(features_of(20, 0), features_of(20, 1, shift=2.0)) > 20 * np.std(found)


def test_precision_and_recall_tell_narrow_from_wrong() -> None:
    real, narrow, wrong = features_of(60, 0), features_of(60, 1) * 0.1, features_of(60, 2, 50.0)
    precision, recall = precision_recall(real, features_of(60, 3))
    assert precision > 0.7 and recall > 0.7
    precision, recall = precision_recall(real, narrow)
    assert precision == 1.0 and recall < 0.3
    assert precision_recall(real, wrong) == (0.0, 0.0)


def plain(level: tuple[int, int, int]) -> NDArray[np.uint8]:
    return np.full((4, 6, 3), level, np.uint8)


def test_colours_are_shares() -> None:
    red, blue = plain((250, 0, 0)), plain((0, 0, 250))
    both = colours([red, blue])
    assert both.sum() == pytest.approx(1)
    assert sorted(both)[-2:] == [0.5, 0.5]
    assert colour_distance(colours([red]), colours([blue])) == 1.0
    assert colour_distance(colours([red]), both) == 0.5
    assert colour_distance(both, colours([blue, red])) == 0.0


def test_diversity_falls_with_collapse() -> None:
    assert diversity(features_of(20, 0)) > 5 * diversity(features_of(20, 0) * 0.1)
    assert diversity(features_of(20, 0) * 0) == 0.0


def test_features_rank_what_was_done_to_pictures() -> None:
    """Stripes against the same stripes, against noisy ones, against noise."""
    rng = np.random.default_rng(0)
    stripes = []
    for _ in range(24):
        wave = np.sin(np.arange(64) / rng.uniform(2, 9) + rng.uniform(0, 6))
        shade = rng.integers(60, 190, 3)
        stripes.append((shade + 60 * np.tile(wave[:, None, None], (1, 64, 1))).astype(np.uint8))
    noise = [rng.integers(0, 256, (64, 64, 3)) for _ in range(12)]
    noisy = [(s * 0.7 + n * 0.3).astype(np.uint8) for s, n in zip(stripes, noise, strict=False)]
    network = last_maps()
    real, same = pooled(stripes[12:], network), pooled(stripes[:12], network)
    assert real.shape == (12, 1280)
    distances = [
        kid(real, same),
        kid(real, pooled(noisy, network)),
        kid(real, pooled([n.astype(np.uint8) for n in noise], network)),
    ]
    assert distances == sorted(distances)
    assert distances[1] > 5 * abs(distances[0])


def test_features_do_not_know_how_the_pictures_are_cut_into_batches() -> None:
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (32, 48, 3), np.uint8) for _ in range(17)]
    network = last_maps()
    whole = pooled(pictures, network)
    torch.testing.assert_close(whole[16:], pooled(pictures[16:], network), rtol=1e-4, atol=1e-4)
