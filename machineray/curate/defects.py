"""Two defects that arithmetic finds: a picture that is blurred, and one that lost its colours."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

SHARP_PX = 512  # the shorter side at which sharpness counts, up to twice that
LONGEST = 4  # of a long strip the middle is looked at, this many times its shorter side
NEAR, FAR = 1, 4  # pixels to both sides across which a step of lightness is measured
STEEPEST = 0.005  # share of the pixels that count: the edges, whatever lies between them
FEWEST = 32  # of them: a speck of dust is no edge
COLOUR_PX = 64
SEPIA = 32  # of 127: no brown of an old photograph is stronger


def sharpness(image: Image.Image) -> float:
    """How steep the steepest edges of an RGB picture are, 0..1: 1 is a step from pixel to pixel.

    The lightness step across 2 pixels over the one across 8, each the mean of its steepest; after
    a Gaussian blur of 1 pixel some .7, of 2 pixels .4. Larger pictures are shrunk first: what is
    blurred there may be sharp enough at the size that networks learn from. A flat picture gives 1.
    """
    width, height = image.size
    most = LONGEST * min(width, height)
    left, top = max(0, (width - most) // 2), max(0, (height - most) // 2)
    middle = (left, top, width - left, height - top)
    small = image.reduce(max(1, min(width, height) // SHARP_PX), middle)
    grey = small.convert("L")
    if min(grey.size) <= 2 * FAR:
        return 1.0
    return max(_steepness(grey, 1, 0), _steepness(grey, 0, 1))


def _steepness(grey: Image.Image, across: int, down: int) -> float:
    """The same in one direction: the steepest near steps over as many of the far ones."""
    near, far = (_steps(grey, 2 * reach * across, 2 * reach * down) for reach in (NEAR, FAR))
    if not far[1:].any():
        return 1.0
    highest = int(near.nonzero()[0].max())
    # No more than there are edges: a flat canvas with one small square has few.
    edges = int(near[highest // 2 + 1 :].sum())
    count = min(max(FEWEST, edges), max(1, int(STEEPEST * far.sum())))
    return min(1.0, _mean_of_highest(near, count) / _mean_of_highest(far, count))


def _steps(grey: Image.Image, across: int, down: int) -> NDArray[np.intp]:
    """How many steps of each height (256,) there are between pixels that far apart."""
    width, height = grey.size
    here = grey.crop((0, 0, width - across, height - down))
    there = grey.crop((across, down, width, height))
    return np.array(ImageChops.difference(here, there).histogram(), np.intp)


def _mean_of_highest(counts: NDArray[np.intp], number: int) -> float:
    taken = np.diff(np.minimum(np.cumsum(counts[::-1]), number), prepend=0)
    return float(taken @ np.arange(255, -1, -1) / number)


def colourfulness(image: Image.Image) -> float:
    """How far an RGB picture's hues stray from what its lightness says, 0..127 (of Cb and Cr).

    A grey scan gives 0 and so, but for noise, does a sepia one, where the hue follows the
    lightness; what is stronger than sepia is a colour all the same, as in a print of two inks. It
    is the strongest 2 % of a small copy that count: one red dot is a colour.
    """
    small = image.reduce(max(1, min(image.size) // (2 * COLOUR_PX)))
    small = small.resize((COLOUR_PX, COLOUR_PX), Image.Resampling.BOX).convert("YCbCr")
    pixels = np.asarray(small, np.float64).reshape(-1, 3)
    lightness = pixels[:, 0] / 255
    curve = np.stack([np.ones_like(lightness), lightness, lightness**2], 1)
    hues = pixels[:, 1:]
    # Normal equations with a little on the diagonal: a flat picture has but one lightness.
    known = curve.T @ curve + 1e-6 * len(pixels) * np.eye(3)
    strayed = hues - curve @ np.linalg.solve(known, curve.T @ hues)
    strength = np.maximum(np.hypot(*strayed.T), np.hypot(*(hues - 128).T) - SEPIA)
    return float(np.quantile(strength, 0.98))
