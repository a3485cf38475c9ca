import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from machineray.errors import UsageError
from machineray.finish.noise import SEED_SIGMA, add_noise

GREY = np.full((200, 200, 3), 128, np.uint8)


def test_is_the_noise_of_the_seed() -> None:
    assert pytest.approx(math.sqrt(0.1) * 24) == SEED_SIGMA
    noise = add_noise(GREY, 7).astype(float) - 128
    # 120,000 values: standard errors 0.022 of the mean, 0.015 of the deviation; rounding adds 1/12.
    assert abs(noise.mean()) < 0.1
    assert noise.std() == pytest.approx(math.sqrt(SEED_SIGMA**2 + 1 / 12), abs=0.07)
    spread = (noise + np.random.default_rng(0).uniform(-0.5, 0.5, noise.shape)).ravel()
    assert stats.kstest(spread[:20_000] / noise.std(), "norm").pvalue > 0.001


def test_channels_and_neighbours_are_independent() -> None:
    noise = add_noise(GREY, 7).astype(float) - 128
    for other in (np.roll(noise, 1, 0), np.roll(noise, 1, 1), np.roll(noise, 1, 2)):
        assert abs(np.corrcoef(noise.ravel(), other.ravel())[0, 1]) < 0.02


def test_seeds_differ_and_repeat() -> None:
    np.testing.assert_array_equal(add_noise(GREY, 7), add_noise(GREY, 7))
    assert (add_noise(GREY, 7) != add_noise(GREY, 8)).mean() > 0.8


@pytest.mark.parametrize("level", [0, 255])
def test_clips_and_does_not_wrap(level: int) -> None:
    noisy = add_noise(np.full((50, 50, 3), level, np.uint8), 1, 20)
    assert np.abs(noisy.astype(int) - level).max() < 120
    assert (noisy == level).mean() == pytest.approx(0.5, abs=0.05)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**64))
def test_zero_changes_nothing(height: int, width: int, seed: int) -> None:
    pixels = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
    np.testing.assert_array_equal(add_noise(pixels, seed, 0), pixels)


@pytest.mark.parametrize("sigma", [-1, float("nan"), float("inf")])
def test_refuses_senseless_sigma(sigma: float) -> None:
    with pytest.raises(UsageError, match="--noise"):
        add_noise(GREY, 1, sigma)


def test_strips_have_the_numbers_of_the_whole() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (133, 31, 3), np.uint8)
    stream = np.random.PCG64(np.random.SeedSequence(5, spawn_key=(2,)))
    noise = np.random.Generator(stream).standard_normal(pixels.shape, np.float32)
    whole = (pixels + noise * np.float32(9)).round().clip(0, 255).astype(np.uint8)
    np.testing.assert_array_equal(add_noise(pixels, 5, 9), whole)
