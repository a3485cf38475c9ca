"""What a picture looks like, in 600 characters: two perceptual hashes and its hues."""

from typing import Any

import imagehash
import numpy as np
from PIL import Image

HASH_SIDE = 16  # 256 bits: with 64, paintings of one grid (Mondrian, Malevich) fall together
HUE_SIDE = 8
SMALL_PX = 256


def measure(image: Image.Image) -> dict[str, Any]:
    """An upright RGB picture -> the columns that `decide` compares, as hexadecimal text.

    phash: signs of its lowest cosine frequencies; dhash: where it grows lighter to the right
    (both 256 bits, ImageHash); the same of its mirror image; hues: the chroma (Cb, Cr) of
    8x8 fields, a byte each.
    """
    # Hashes look at 64 pixels a side: shrinking once by whole factors saves nine tenths.
    factor = max(1, min(image.size) // SMALL_PX)
    small = image.reduce(factor)
    grey = small.convert("L")
    mirrored = grey.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    fields = small.resize((HUE_SIDE, HUE_SIDE), Image.Resampling.BOX).convert("YCbCr")
    return {
        "phash": str(imagehash.phash(grey, hash_size=HASH_SIDE)),
        "phash_mirrored": str(imagehash.phash(mirrored, hash_size=HASH_SIDE)),
        "dhash": str(imagehash.dhash(grey, hash_size=HASH_SIDE)),
        "dhash_mirrored": str(imagehash.dhash(mirrored, hash_size=HASH_SIDE)),
        "hues": np.asarray(fields)[..., 1:].tobytes().hex(),
    }
