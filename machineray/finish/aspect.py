"""The proportions of an artwork: drawn from those of the paintings that it descends from.

A generated picture is square where the training set was squashed to squares; giving it the
width / height of a real painting undoes that (the seed's recipe: the inverse of the empirical
cumulative distribution, at a uniform random number).
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from machineray.errors import InputError

ASPECT_STREAM = 1  # spawn key of the seed's numbers used here; noise.py takes another
WIDEST = 100.0


def sample_aspect(seed: int, aspects: Sequence[float]) -> float:
    """Width / height for the picture of this seed: F^-1(u), F the distribution of `aspects`.

    u is the first number of PCG64(SeedSequence(seed, spawn_key=(1,))), uniform in [0, 1). The
    inverse is linear between order statistics (quantile definition 7 of Hyndman & Fan 1996), so
    the smallest and the largest of `aspects` bound it. Their order does not matter, and what is
    not between 1/100 and 100 does not count: of a handscroll's shape hardly a pixel would be left.

    Raises:
        InputError: no aspects.
    """
    values = np.asarray(aspects, dtype=np.float64)
    values = values[(values >= 1 / WIDEST) & (values <= WIDEST)]
    if not values.size:
        raise InputError("aspect: no paintings to take it from: run augment, or use --aspect keep")
    stream = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(ASPECT_STREAM,)))
    return float(np.quantile(values, np.random.Generator(stream).random()))


def fitted_size(width: int, height: int, aspect: float) -> tuple[int, int]:
    """The largest (width, height) of this aspect inside the picture: one side stays, one shrinks.

    In pixels, at least 1; nothing is blown up, so nothing is made from too few pixels.
    """
    if width / height > aspect:
        return max(1, round(height * aspect)), height
    return width, max(1, round(width / aspect))


def reshaped(pixels: np.ndarray, aspect: float) -> np.ndarray:
    """(H, W, 3) uint8 stretched to `aspect` (width / height) by Lanczos, uint8."""
    height, width, _ = pixels.shape
    size = fitted_size(width, height, aspect)
    if size == (width, height):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
