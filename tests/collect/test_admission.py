"""What enters, what does not, and that nothing at all makes it crash."""

import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from machineray.collect.admission import MAX_BYTES, admit, check_size
from machineray.collect.catalog import FIELDS, UNKNOWN
from machineray.collect.formats import EXTENSIONS
from machineray.errors import InputError


def file_of(format: str, size: tuple[int, int] = (40, 30)) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(file, format)
    return file.getvalue()


JPEG = file_of("JPEG")


def test_a_row_tells_where_the_file_goes_and_what_it_is() -> None:
    known = {**UNKNOWN, "title": "Rot", "year": 1921}
    row = admit(JPEG, "a/b.JPG", known)
    digest = hashlib.sha256(JPEG).hexdigest()
    assert row["id"] == digest[:16]
    assert row["key"] == f"paintings/{digest[:16]}.jpg"
    assert (row["file"], row["sha256"], row["bytes"]) == ("a/b.JPG", digest, len(JPEG))
    assert (row["width"], row["height"]) == (40, 30)
    assert {field: row[field] for field in FIELDS} == known


@pytest.mark.parametrize(
    "format", ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "JPEG2000", "BMP", "PPM", "PCX", "SGI"]
)
def test_every_format_enters_under_each_of_its_names_only(format: str) -> None:
    data = file_of(format)
    for suffix in EXTENSIONS[format]:
        assert admit(data, f"x{suffix}")["key"].endswith(EXTENSIONS[format][0])
    for other in EXTENSIONS.keys() - {format}:
        with pytest.raises(InputError, match=f"misnamed: the bytes are {format}"):
            admit(data, f"x{EXTENSIONS[other][0]}")


def test_a_name_without_extension_is_taken_at_the_bytes_word() -> None:
    assert admit(JPEG, "scan")["key"].endswith(".jpg")


def test_the_size_is_that_of_the_upright_picture() -> None:
    image, file = Image.new("RGB", (40, 30)), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(file, "JPEG", exif=exif)
    row = admit(file.getvalue(), "x.jpg")
    assert (row["width"], row["height"]) == (30, 40)


def test_more_pixels_than_allowed_are_refused() -> None:
    assert admit(JPEG, "x.jpg", max_pixels=1200)
    with pytest.raises(InputError, match="decompression bomb"):
        admit(JPEG, "x.jpg", max_pixels=1199)


def test_more_bytes_than_allowed_are_refused_before_they_are_read() -> None:
    check_size(MAX_BYTES, "x.tif")
    with pytest.raises(InputError, match=r"x\.tif: 1\.0 GB"):
        check_size(MAX_BYTES + 1, "x.tif")


@given(st.data())
def test_damaged_bytes_are_admitted_or_refused_by_name(data: st.DataObject) -> None:
    """One byte changed, and cut anywhere: a row, or an InputError that names the file."""
    broken = bytearray(data.draw(st.sampled_from([JPEG, file_of("PNG"), file_of("TIFF")])))
    broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(broken)))
    try:
        row = admit(bytes(broken[:end]), "x")
    except InputError as error:
        assert str(error).startswith("x: ")
    else:
        assert row["bytes"] == end


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_picture(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^x\.jpg: "):
        admit(data, "x.jpg")
