"""Paintings -> training pictures, squares as a rule, and their variants, by the 2020 recipe.

Every number that chance decides is a function of (painting's id, variant), never of the order in
which paintings are met or of how many workers there are.
"""

import hashlib
import os
import threading
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from machineray.imaging import to_array

version = cache(metadata.version)  # each time it reads a file

# What decodes lossy pictures and their colours, and writes ours; Pillow's name for its version.
LIBRARIES = {
    "libjpeg-turbo": "libjpeg_turbo",
    "libwebp": "webp",
    "libavif": "avif",
    "openjpeg": "jpg_2000",
    "littlecms": "littlecms2",
}


def squashed(
    image: Image.Image,
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
) -> NDArray[np.uint8]:
    """Squash a picture to a size, width x height -> (height, width, 3), bilinear, antialiased.

    `box` (left, top, right, bottom) is the part of it that is meant, in pixels; None: all.
    The aspect ratio is not kept in the pixels: the catalog has it, and `finish` gives artworks
    ratios drawn from it.
    """
    return to_array(image.resize(size, Image.Resampling.BILINEAR, box))


def varied(pixels: NDArray[np.uint8], painting: str, count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield `count` variants of a picture (H, W, 3), each a function of (painting, its number).

    A turn by 0 to 3 right angles (0 or 2 unless H = W); a perspective warp whose corners move
    inwards by |N(0, s)| of the side, s uniform in 0..5 %, edges replicated; hue and saturation
    moved by up to ±20 (OpenCV's units: of 180 and of 255).
    """
    for number in range(1, count + 1):
        recipe = _recipe(pixels.shape[0] == pixels.shape[1], threading.get_ident())
        recipe.set_random_seed(seed(painting, number))
        yield np.ascontiguousarray(recipe(image=pixels)["image"])


def made_with(is_varied: bool) -> dict[str, str]:
    """Versions of others' code on which the bytes of a training picture depend."""
    found = {"pillow": version("pillow")}
    found |= {name: str(features.version(feature)) for name, feature in LIBRARIES.items()}
    if is_varied:
        import cv2

        found |= {
            "albumentations": version("albumentations"),
            "opencv": cv2.__version__,
            "numpy": np.__version__,
        }
    return found


def seed(painting: str, number: int) -> int:
    """A 32-bit seed out of a painting's id and a variant's number."""
    digest = hashlib.sha256(f"{painting}/{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


@cache
def _recipe(is_square: bool, thread: int) -> Any:
    """The recipe of one thread: it holds random numbers, and making it takes as long as using it.

    The number of a thread that has ended may come back: nobody else has its recipe then.
    """
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # importing it would ask the internet
    import albumentations
    import cv2

    cv2.setNumThreads(1)  # the job has threads of its own, a picture each

    class Warp(albumentations.Perspective):  # type: ignore[misc]  # it has no types
        """Keeps the whole of what it warped.

        Perspective of 2.0.8 warps to the full size and then cuts that to the size of the inner
        quadrangle: right and bottom lose 4.7 % on average where left and top lose 2 %.
        """

        def get_params_dependent_on_data(self, params: Any, data: Any) -> dict[str, Any]:
            height, width = params["shape"][:2]
            found: dict[str, Any] = super().get_params_dependent_on_data(params, data)
            return found | {"max_height": height, "max_width": width}

    class HalfTurn(albumentations.RandomRotate90):  # type: ignore[misc]
        """What leaves the shape of a picture that is no square."""

        def get_params(self) -> dict[str, int]:
            return {"factor": 2 * self.py_random.randint(0, 1)}

    turn = albumentations.RandomRotate90 if is_square else HalfTurn

    return albumentations.Compose(
        [
            turn(p=1.0),
            Warp(scale=(0.0, 0.05), border_mode=cv2.BORDER_REPLICATE, p=1.0),
            albumentations.HueSaturationValue(20, 20, 0, p=1.0),
        ]
    )
