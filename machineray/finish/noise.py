"""The seed's noise: grain for the super-resolution to turn into texture."""

import math

import numpy as np

from machineray.errors import UsageError
from machineray.imaging import STRIP_ROWS

NOISE_STREAM = 2  # spawn key of the seed's numbers used here; aspect.py takes another
SEED_SIGMA = math.sqrt(0.1) * 24  # 7.59 levels: the recipe of 2020


def add_noise(pixels: np.ndarray, seed: int, sigma: float = SEED_SIGMA) -> np.ndarray:
    """(H, W, 3) uint8 + N(0, sigma) in levels of 0..255, per value; clipped, rounded, uint8.

    The numbers are standard_normal(float32) of PCG64(SeedSequence(seed, spawn_key=(2,))) in the
    order of the array: a function of the seed and the size only. sigma 0 changes nothing.

    Raises:
        UsageError: sigma is negative or not finite.
    """
    if not (math.isfinite(sigma) and sigma >= 0):
        raise UsageError(f"--noise {sigma}: must be 0 or more levels of 0..255")
    if sigma == 0:
        return pixels
    stream = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(NOISE_STREAM,)))
    generator = np.random.Generator(stream)
    noisy = np.empty(pixels.shape, np.uint8)
    for top in range(0, len(pixels), STRIP_ROWS):  # of the whole it would take 50 bytes a pixel
        strip = pixels[top : top + STRIP_ROWS]
        noise = generator.standard_normal(strip.shape, dtype=np.float32) * np.float32(sigma)
        noisy[top : top + STRIP_ROWS] = (strip + noise).round().clip(0, 255)
    return noisy
