"""The hashes are those of ImageHash, which wants SciPy and so is here for the tests alone."""

from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageDraw

from machineray.curate.hashes import (
    HASH_BYTES,
    HASH_SIDE,
    VIEW_BYTES,
    VIEWS,
    Bytes,
    dhash,
    from_text,
    looks,
    phash,
    views,
)
from machineray.imaging import decode

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "paintings"


def hashed(grey: Image.Image) -> tuple[str, str]:
    """The hashes by ImageHash."""
    return str(imagehash.phash(grey, HASH_SIDE)), str(imagehash.dhash(grey, HASH_SIDE))


def own(grey: Image.Image) -> tuple[str, str]:
    return phash(grey).tobytes().hex(), dhash(grey).tobytes().hex()


def grey_of(path: Path) -> Image.Image:
    return decode(path.read_bytes(), path.name).convert("L")


def test_hashes_of_the_examples_are_those_of_imagehash() -> None:
    paintings = sorted(EXAMPLES.glob("*.jpg"))
    assert len(paintings) > 20
    for grey in map(grey_of, paintings):
        assert own(grey) == hashed(grey)


@pytest.mark.parametrize("margin", range(0, 120, 7))
def test_symmetric_drawings_too_where_half_of_the_frequencies_are_zero(margin: int) -> None:
    grey = Image.new("L", (256, 256), 250)
    ImageDraw.Draw(grey).rectangle((margin, margin, 255 - margin, 255 - margin), fill=10)
    assert own(grey) == hashed(grey)


def test_noise_and_stripes_too() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        noise = rng.integers(0, 256, (70, 90), dtype=np.uint8)
        for pixels in (noise, np.tile(noise[:1], (70, 1)), np.tile(noise[:, :1], (1, 90))):
            grey = Image.fromarray(pixels)
            assert own(grey) == hashed(grey)


def test_a_flat_picture_has_no_frequency_but_its_lightness() -> None:
    for value in (1, 128, 255):
        grey = Image.new("L", (300, 200), value)
        assert own(grey) == ("8" + "0" * 63, "0" * 64)


def test_a_mirrored_picture_has_the_mirrored_hashes() -> None:
    picture = decode(next(iter(sorted(EXAMPLES.glob("*.jpg")))).read_bytes(), "first")
    width, height = (side // 8 * 8 for side in picture.size)  # the edges of fields stay in place
    picture = picture.crop((0, 0, width, height))
    seen = views(picture)
    turned = views(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    for part in (slice(0, HASH_BYTES), slice(HASH_BYTES, 2 * HASH_BYTES)):
        assert bits_apart(turned[0, part], seen[1, part]) <= 8
        assert bits_apart(turned[1, part], seen[0, part]) <= 8
        assert bits_apart(turned[0, part], seen[0, part]) > 60


def bits_apart(one: Bytes, other: Bytes) -> int:
    return int(np.unpackbits(one ^ other).sum())


def test_looks_are_the_views_as_text() -> None:
    image = Image.linear_gradient("L").convert("RGB")
    assert (from_text(looks(image)) == views(image)).all()
    assert views(image).shape == (VIEWS, VIEW_BYTES)


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (3, 5), (17, 16)])
def test_pictures_of_any_size_have_views(size: tuple[int, int]) -> None:
    assert views(Image.new("RGB", size, (9, 99, 199))).shape == (VIEWS, VIEW_BYTES)
