"""A finished picture as a file: PNG, JPEG or WebP with an sRGB profile and a print size."""

import functools
import io
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from machineray.errors import InputError
from machineray.imaging import Format

SUFFIXES: dict[Format, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
LONGEST_SIDE_PX: dict[Format, int] = {"png": 2**31 - 1, "jpeg": 65_500, "webp": 16_383}
PNG_LEVEL = 4  # of zlib: as small as Pillow's 6 in three fifths of the time; 1 is a tenth larger
LARGEST = 500_000_000  # pixels of an artwork: 5 GB of memory, and a print of two metres at 300 dpi
INCH = 2  # EXIF ResolutionUnit


@functools.cache
def srgb_profile() -> bytes:
    """The ICC profile of sRGB, the same bytes at any time of day."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # LittleCMS writes the time of creation into bytes 24..35 of the header (ICC.1, sec. 7.2):
    # year, month, day, hour, minute, second.
    profile[24:36] = b"".join(part.to_bytes(2, "big") for part in (2000, 1, 1, 0, 0, 0))
    return bytes(profile)


def check_size(width: int, height: int, format: Format) -> None:
    """InputError when an artwork of that size cannot be written: to be asked before it is made."""
    if max(width, height) > LONGEST_SIDE_PX[format]:
        raise InputError(
            f"{width}x{height}: {format} holds at most {LONGEST_SIDE_PX[format]} pixels a side: "
            "use --format png"
        )
    if width * height > LARGEST:
        raise InputError(
            f"{width}x{height} are more than {LARGEST // 10**6} million pixels: begin with a "
            "smaller picture, or use --upscale none"
        )


def encode_artwork(
    pixels: np.ndarray, format: Format, *, dpi: int, quality: int = 95, software: str = "MachineRay"
) -> bytes:
    """(H, W, 3) uint8 sRGB -> the file's bytes; the same input gives the same bytes.

    Args:
        pixels: the picture.
        format: "png" (lossless), "jpeg" (4:4:4) or "webp".
        dpi: pixels per inch in print: pHYs of PNG, density of JPEG, EXIF in JPEG and WebP.
        quality: 1..100 of JPEG and WebP.
        software: the name that the metadata gives.

    Raises:
        InputError: the format cannot hold so large a picture.
    """
    check_size(pixels.shape[1], pixels.shape[0], format)
    options: dict[str, Any] = {"icc_profile": srgb_profile()}
    if format == "png":
        info = PngInfo()
        info.add_text("Software", software)
        options |= {"compress_level": PNG_LEVEL, "dpi": (dpi, dpi), "pnginfo": info}
    else:
        options |= {"quality": quality, "exif": _exif(dpi, software)}
    if format == "jpeg":
        # Strong colours side by side smear when chroma is halved: 4:4:4.
        options |= {"dpi": (dpi, dpi), "subsampling": 0, "optimize": True}
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    return file.getvalue()


def _exif(dpi: int, software: str) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.XResolution] = float(dpi)
    exif[ExifTags.Base.YResolution] = float(dpi)
    exif[ExifTags.Base.ResolutionUnit] = INCH
    exif[ExifTags.Base.Software] = software
    return exif
