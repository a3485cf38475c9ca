"""What is measured of a picture, and what a network sees in it: text, a watermark, a subject.

The network is EfficientNet-lite0, frozen (network.py); on its maps stand three small models
(tools/fit_curate.py), shifted so that above .5 means yes.
"""

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from machineray.curate.defects import colourfulness, sharpness
from machineray.curate.network import SIDE, Floats, maps

WEIGHTS = Path(__file__).with_name("weights.npz")
MARKED = 10  # of 196 places: where a watermark is looked for, the mean of the likeliest


@dataclass(frozen=True)
class Weights:
    """A logistic model of pooled maps for subject and text, one of places for watermarks.

    (864,) and () for the first two; the last is a hidden layer (112, H), (H,) and (H,), ().
    """

    representational: Floats
    representational_bias: Floats
    text: Floats
    text_bias: Floats
    mark_hidden: Floats
    mark_hidden_bias: Floats
    mark: Floats
    mark_bias: Floats


def measures(image: Image.Image) -> dict[str, float]:
    """An RGB picture -> all that decisions.DOUBTS ask for, to three places."""
    told = {"sharpness": sharpness(image), "colour": colourfulness(image), **scores(image)}
    return {name: round(value, 3) for name, value in told.items()}


def scores(image: Image.Image, weights: Weights | None = None) -> dict[str, float]:
    """An RGB picture -> "representational", "text" and "watermark", 0..1, above .5 is yes.

    The shape of the picture does not count: it is squashed to a square.
    """
    weights = weights or fitted()
    fine, coarse = maps(squashed(image))
    both = pooled(fine, coarse)
    return {
        "representational": _share(both @ weights.representational + weights.representational_bias),
        "text": _share(both @ weights.text + weights.text_bias),
        "watermark": _share(marked(fine, weights) + weights.mark_bias),
    }


def squashed(image: Image.Image) -> NDArray[np.uint8]:
    """An RGB picture -> (224, 224, 3), what the network looks at."""
    small = image.reduce(max(1, min(image.size) // SIDE))
    return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BOX), np.uint8)


def pooled(fine: Floats, coarse: Floats) -> Floats:
    """Maps (14, 14, 112), (7, 7, 320) -> (864,): mean and standard deviation of each channel."""
    parts = [part for x in (fine, coarse) for part in (x.mean((0, 1)), x.std((0, 1)))]
    return np.concatenate(parts)


def marked(fine: Floats, weights: Weights) -> float:
    """Map (14, 14, 112) -> how much its most suspect places look like a watermark, without bias."""
    places = fine.reshape(-1, fine.shape[2]) @ weights.mark_hidden + weights.mark_hidden_bias
    places = np.maximum(places, 0) @ weights.mark
    return float(np.sort(places)[-MARKED:].mean())


def _share(value: Any) -> float:
    return float(1 / (1 + np.exp(-np.clip(value, -30, 30))))


@cache
def fitted() -> Weights:
    """The weights that ship."""
    with np.load(WEIGHTS, allow_pickle=False) as file:
        return Weights(**{field.name: file[field.name] for field in fields(Weights)})
