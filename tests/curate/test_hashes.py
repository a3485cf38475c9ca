"""The hashes are those of ImageHash, which wants SciPy and so is here for the tests alone."""

from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageDraw

from machineray.curate.hashes import HASH_SIDE, dhash, measure, phash
from machineray.imaging import decode

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "paintings"


def hashed(grey: Image.Image) -> tuple[str, str]:
    """The hashes by ImageHash."""
    return str(imagehash.phash(grey, HASH_SIDE)), str(imagehash.dhash(grey, HASH_SIDE))


def grey_of(path: Path) -> Image.Image:
    return decode(path.read_bytes(), path.name).convert("L")


def test_hashes_of_the_examples_are_those_of_imagehash() -> None:
    paintings = sorted(EXAMPLES.glob("*.jpg"))
    assert len(paintings) > 20
    for grey in map(grey_of, paintings):
        assert (phash(grey), dhash(grey)) == hashed(grey)


@pytest.mark.parametrize("margin", range(0, 120, 7))
def test_symmetric_drawings_too_where_half_of_the_frequencies_are_zero(margin: int) -> None:
    grey = Image.new("L", (256, 256), 250)
    ImageDraw.Draw(grey).rectangle((margin, margin, 255 - margin, 255 - margin), fill=10)
    assert (phash(grey), dhash(grey)) == hashed(grey)


def test_noise_and_stripes_too() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        noise = rng.integers(0, 256, (70, 90), dtype=np.uint8)
        for pixels in (noise, np.tile(noise[:1], (70, 1)), np.tile(noise[:, :1], (1, 90))):
            grey = Image.fromarray(pixels)
            assert (phash(grey), dhash(grey)) == hashed(grey)


def test_a_flat_picture_has_no_frequency_but_its_lightness() -> None:
    for value in (1, 128, 255):
        grey = Image.new("L", (300, 200), value)
        assert phash(grey) == "8" + "0" * 63
        assert dhash(grey) == "0" * 64


def test_a_mirrored_picture_has_the_mirrored_hashes() -> None:
    picture = decode(next(iter(sorted(EXAMPLES.glob("*.jpg")))).read_bytes(), "first")
    width, height = (side // 8 * 8 for side in picture.size)  # the edges of fields stay in place
    picture = picture.crop((0, 0, width, height))
    looks = measure(picture)
    turned = measure(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    for name in ("phash", "dhash"):
        assert bits_apart(turned[name], looks[f"{name}_mirrored"]) <= 8
        assert bits_apart(turned[f"{name}_mirrored"], looks[name]) <= 8
        assert bits_apart(turned[name], looks[name]) > 60


def bits_apart(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()
