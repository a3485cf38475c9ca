"""What a picture looks like, in 600 characters: two perceptual hashes and its hues."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HASH_SIDE = 16  # 256 bits: with 64, paintings of one grid (Mondrian, Malevich) fall together
HUE_SIDE = 8
SMALL_PX = 256
COSINE_SIDE = 4 * HASH_SIDE
# The lowest rows of the discrete cosine transform (DCT-II); its scale does not matter here.
COSINES = np.cos(np.pi / COSINE_SIDE * np.outer(np.arange(HASH_SIDE), np.arange(COSINE_SIDE) + 0.5))


def measure(image: Image.Image) -> dict[str, Any]:
    """An upright RGB picture -> the columns that `decide` compares, as hexadecimal text.

    phash: signs of its lowest cosine frequencies; dhash: where it grows lighter to the right
    (both 256 bits); the same of its mirror image; hues: the chroma (Cb, Cr) of 8x8 fields, a
    byte each.
    """
    # Hashes look at 64 pixels a side: shrinking once by whole factors saves nine tenths.
    factor = max(1, min(image.size) // SMALL_PX)
    small = image.reduce(factor)
    grey = small.convert("L")
    mirrored = grey.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    fields = small.resize((HUE_SIDE, HUE_SIDE), Image.Resampling.BOX).convert("YCbCr")
    return {
        "phash": phash(grey),
        "phash_mirrored": phash(mirrored),
        "dhash": dhash(grey),
        "dhash_mirrored": dhash(mirrored),
        "hues": np.asarray(fields)[..., 1:].tobytes().hex(),
    }


def phash(grey: Image.Image) -> str:
    """Which of the lowest 16x16 cosine frequencies are above their median (Krawetz 2011).

    64 hexadecimal digits, the same that ImageHash gives, without SciPy's 120 MB for one transform.
    """
    pixels = _shrunk(grey, COSINE_SIDE, COSINE_SIDE).astype(np.float64)
    # Rounded, since a symmetric picture has frequencies of exactly 0: noise is no sign.
    frequencies = np.round(COSINES @ pixels @ COSINES.T, 6)
    return _hexadecimal(frequencies > np.median(frequencies))


def dhash(grey: Image.Image) -> str:
    """Where 16x16 fields are lighter than their left neighbour (Krawetz 2013), as `phash`."""
    pixels = _shrunk(grey, HASH_SIDE + 1, HASH_SIDE)
    return _hexadecimal(pixels[:, 1:] > pixels[:, :-1])


def _shrunk(grey: Image.Image, width: int, height: int) -> NDArray[np.uint8]:
    return np.asarray(grey.resize((width, height), Image.Resampling.LANCZOS), np.uint8)


def _hexadecimal(bits: NDArray[np.bool_]) -> str:
    return np.packbits(bits).tobytes().hex()
