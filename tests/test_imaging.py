"""A picture that comes smaller: the same picture, the same refusals."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from machineray.errors import InputError
from machineray.imaging import Smaller, decode, decode_smaller, encode, to_array

SIZE = (411, 310)


def file_of(format: str, size: tuple[int, int] = SIZE, mode: str = "RGB", **own: Any) -> bytes:
    """Soft blobs of colour, as a file."""
    rough = np.random.default_rng(0).integers(0, 256, (5, 7, len(mode)), np.uint8)
    image, file = Image.fromarray(rough, mode).resize(SIZE, Image.Resampling.BICUBIC), io.BytesIO()
    image.save(file, format, **own)
    return file.getvalue()


JPEG = file_of("JPEG")


def smaller(data: bytes, times: int) -> Smaller:
    return decode_smaller(data, "a", lambda width, height: times)


FORMATS = {
    "JPEG": {"quality": 95},
    "CMYK": {"format": "JPEG", "mode": "CMYK", "quality": 95},
    "PNG": {},
    "TIFF": {},
    "WEBP": {"quality": 95},
}
SMALLER = [(0, 1), (1, 1), (2, 2), (3, 2), (7, 4), (99, 8)]


@pytest.mark.parametrize(("asked", "given"), SMALLER)
@pytest.mark.parametrize("format", FORMATS)
def test_a_picture_comes_smaller_at_most_so_much(asked: int, given: int, format: str) -> None:
    data = file_of(**{"format": format} | FORMATS[format])
    whole, (small, size, box) = decode(data, "a"), smaller(data, asked)
    assert size == whole.size == SIZE
    assert box == (0, 0, 411 / given, 310 / given)
    assert small.size == (-(-411 // given), -(-310 // given))
    half = [picture.resize((40, 30), box=part) for picture, part in ((whole, None), (small, box))]
    assert np.abs(to_array(half[0]).astype(int) - to_array(half[1])).mean() < 1


@pytest.mark.parametrize("times", [1, 2, 8])
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_has_to_be_turned_comes_smaller_too(orientation: int, format: str, times: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = file_of(format, exif=exif, quality=95)
    whole, (image, size, box) = decode(data, "a"), smaller(data, times)
    assert size == whole.size == (SIZE if orientation < 5 else SIZE[::-1])
    assert image.size == (-(-size[0] // times), -(-size[1] // times))
    assert np.subtract(box[2:], box[:2]) == pytest.approx(np.divide(size, times))
    small = [picture.resize((40, 30), box=part) for picture, part in ((whole, None), (image, box))]
    assert np.abs(to_array(small[0]).astype(int) - to_array(small[1])).mean() < 1


def test_times_are_asked_of_the_upright_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    asked = []
    for format in ("JPEG", "PNG"):
        decode_smaller(file_of(format, exif=exif), "a", lambda *size: asked.append(size) or 1)
    assert asked == [SIZE[::-1]] * 2


def refusal(data: bytes, times: int) -> str:
    """Why it is refused; "" if it is not."""
    try:
        smaller(data, times)
    except InputError as error:
        return str(error).partition("(")[0]
    return ""


@settings(max_examples=60)
@given(st.data())
def test_what_is_refused_whole_is_refused_smaller(data: st.DataObject) -> None:
    for jpeg in (JPEG, file_of("JPEG", progressive=True)):
        damaged = bytearray(jpeg[: data.draw(st.integers(0, len(jpeg)))])
        if damaged and data.draw(st.booleans()):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
        assert refusal(bytes(damaged), 8) == refusal(bytes(damaged), 1)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("as_format", ["png", "jpeg", "webp"])
def test_nothing_that_a_file_says_of_itself_goes_on(format: str, as_format: Any) -> None:
    exif = Image.Exif()
    exif[0x010E] = "taken at home"  # ImageDescription
    exif.get_ifd(0x8825)[1] = "N"  # GPS
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = file_of(format, exif=exif, icc_profile=profile, dpi=(300, 300))
    image = decode(data, "a")
    assert image.info == {}
    with Image.open(io.BytesIO(encode(image, as_format))) as again:
        assert not again.getexif() and not again.info.keys() & {"icc_profile", "dpi", "exif"}
