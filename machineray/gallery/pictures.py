"""What the page needs of a picture: smaller copies of it, and the colours that it is made of."""

import colorsys
import math
from dataclasses import dataclass

from PIL import Image

from machineray.imaging import encode

PREVIEW_LONG_SIDES = (400, 800, 1600)
CREDIT_LONG_SIDES = (320,)
PREVIEW_QUALITY = 82


@dataclass(frozen=True)
class Picture:
    """A picture file of the page: its path relative to index.html, its size in pixels."""

    file: str
    width: int
    height: int


def preview_pictures(
    width: int, height: int, stem: str, *, long_sides: tuple[int, ...] = PREVIEW_LONG_SIDES
) -> tuple[Picture, ...]:
    """The copies that `previews` makes of a picture of that size, smallest first, at least one.

    No copy is larger than the picture: one of 512 x 640 gets 400 and 640, not 800 and 1600.
    """
    longest = max(width, height)
    sides = sorted({min(side, longest) for side in long_sides})
    return tuple(
        Picture(
            f"{stem}-{side}.webp",
            max(1, round(width * side / longest)),
            max(1, round(height * side / longest)),
        )
        for side in sides
    )


def previews(
    image: Image.Image, stem: str, *, long_sides: tuple[int, ...] = PREVIEW_LONG_SIDES
) -> dict[Picture, bytes]:
    """Smaller copies of an RGB picture as WebP, by what the page must know of each.

    `stem` is the beginning of their paths, relative to index.html: "previews/seed000123".
    """
    copies: dict[Picture, bytes] = {}
    pictures = preview_pictures(image.width, image.height, stem, long_sides=long_sides)
    for picture in reversed(pictures):
        # Each from the next larger one: a picture of 4096 x 4096 is read once, not three times.
        image = image.resize((picture.width, picture.height), Image.Resampling.LANCZOS)
        copies[picture] = encode(image, "webp", quality=PREVIEW_QUALITY)
    return {picture: copies[picture] for picture in pictures}


def palette(image: Image.Image, count: int = 5) -> tuple[str, ...]:
    """The main colours of an RGB picture as "#rrggbb", the most frequent first, at most `count`.

    After the first, each is the one that is both frequent and unlike those already there: so a
    red spot on a brown ground is named, and not a fifth brown.
    """
    small = image.convert("RGB")
    small.thumbnail((96, 96))
    paletted = small.quantize(16, Image.Quantize.MAXCOVERAGE, kmeans=2)
    colours = bytes(paletted.getpalette("RGB") or ())
    pixels = {
        colours[3 * place : 3 * place + 3]: pixel_count
        for pixel_count, place in paletted.getcolors() or ()
        if isinstance(place, int)
    }
    chosen: list[bytes] = []

    def weight(colour: bytes) -> float:
        unlike = min((math.dist(colour, other) for other in chosen), default=math.inf)
        return pixels[colour] if unlike == math.inf else float(pixels[colour] ** 0.25 * unlike)

    while len(chosen) < min(count, len(pixels)):
        chosen.append(max(sorted(pixels.keys() - set(chosen)), key=weight))
    return tuple(f"#{colour.hex()}" for colour in sorted(chosen, key=lambda c: -pixels[c]))


# Upper bounds of the hue in degrees.
_HUES = (
    (14, "red"), (40, "orange"), (66, "yellow"), (165, "green"), (195, "turquoise"),
    (255, "blue"), (290, "violet"), (335, "pink"), (360, "red"),
)  # fmt: skip
_EARTHS = {"red": "brown", "orange": "brown", "yellow": "ochre"}


def colour_name(colour: str) -> str:
    """A plain word for "#rrggbb"."""
    red, green, blue = bytes.fromhex(colour[1:])
    hue, lightness, saturation = colorsys.rgb_to_hls(red / 255, green / 255, blue / 255)
    chroma = (max(red, green, blue) - min(red, green, blue)) / 255
    if lightness < 0.13:
        return "black"
    if chroma < 0.12:
        return "white" if lightness > 0.88 else "grey"
    name = next(name for bound, name in _HUES if hue * 360 <= bound)
    if name in _EARTHS and (lightness < 0.42 or saturation < 0.45):
        return "beige" if lightness > 0.68 else _EARTHS[name]
    return name
