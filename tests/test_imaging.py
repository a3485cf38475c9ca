"""A picture that comes smaller: the same picture, the same refusals."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from machineray.errors import InputError
from machineray.imaging import (
    STRIP_ROWS,
    Smaller,
    decode,
    decode_smaller,
    encode,
    pixels_in,
    to_array,
)

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


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16", "I", "F"])
def test_what_is_made_by_strips_is_made_of_the_whole(mode: str) -> None:
    tall = Image.radial_gradient("L").resize((40, 3 * STRIP_ROWS + 9)).convert("RGB")
    if mode in ("I;16", "I", "F"):
        deep = np.asarray(tall.convert("L"), np.float32)
        deep[-1] *= 400  # the whole picture's white is in its last row
        picture = Image.fromarray(deep.astype({"F": "f4", "I": "i4", "I;16": "u2"}[mode]))
        white = {"F": 255, "I": 2**31 - 1, "I;16": 65535}[mode]
        grey = np.rint(np.asarray(picture, np.float32).clip(0, white) / white * 255)
        expected = Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    else:
        picture = tall.convert(mode)
        if mode in ("RGBA", "LA"):
            picture.putalpha(tall.getchannel("R").transpose(Image.Transpose.FLIP_TOP_BOTTOM))
        clear = picture.convert("RGBA")
        expected = Image.new("RGB", clear.size, "white")
        expected.paste(clear, mask=clear.getchannel("A"))
    file = io.BytesIO()
    picture.save(file, "TIFF")
    assert np.array_equal(to_array(decode(file.getvalue(), "a")), to_array(expected))
    for times in (2, 8):
        small = smaller(file.getvalue(), times).image
        assert np.array_equal(to_array(small), to_array(expected.reduce(times)))


def test_a_format_that_takes_more_memory_may_have_fewer_pixels() -> None:
    data = bytearray(file_of("WEBP", lossless=True))
    assert data[12:16] == b"VP8L"  # 14 bits of width - 1 and as many of height - 1, from byte 21 on
    data[21:25] = (0x1FFF << 14 | 0x27FF).to_bytes(4, "little")
    with pytest.raises(InputError, match="10240x8192 is more than 75 million pixels of WEBP"):
        decode(bytes(data), "a")
    assert pixels_in(bytes(data)) == 0
    assert pixels_in(JPEG) == SIZE[0] * SIZE[1]
    assert pixels_in(file_of("JPEG", progressive=True)) == 2 * SIZE[0] * SIZE[1]
    assert pixels_in(file_of("WEBP")) == 4 * SIZE[0] * SIZE[1]


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
