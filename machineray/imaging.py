"""Picture files <-> pixels: whatever Pillow reads becomes upright 8-bit sRGB, or a reason."""

import io
import struct
import warnings
import zlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from machineray.errors import InputError

Format = Literal["png", "jpeg", "webp"]

# One limit for all that Pillow opens, pictures within pictures too: it refuses twice this number,
# and warns above it, which tells a user nothing. Nor do its remarks on odd metadata.
MAX_PIXELS = 200_000_000
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
warnings.filterwarnings("ignore", module=r"PIL\.")
_WIDE_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")


def decode(data: bytes, name: str) -> Image.Image:
    """The picture in a file: upright, sRGB, mode RGB, 8 bits a channel; alpha over white.

    EXIF rotation is applied, an embedded ICC profile is converted, of several frames the first is
    taken. InputError names the file and says what is wrong with it.
    """
    if not data:
        raise InputError(f"{name}: the file is empty; get it again")
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            profile = image.info.get("icc_profile")
            upright = ImageOps.exif_transpose(image)
            return _srgb(_flat(upright, profile), profile)
    except UnidentifiedImageError as error:
        raise InputError(f"{name}: not a picture that can be read") from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{name}: more than {MAX_PIXELS:,} pixels (a decompression bomb?); scale it down"
        ) from error
    # Pillow's readers raise whatever a hostile file brings them to.
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        OverflowError,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
        NotImplementedError,
        struct.error,
        zlib.error,
    ) as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"{name}: broken or cut off ({reason}); get it again") from error


def _flat(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB, CMYK (when a profile tells its colours) or grey (likewise), without alpha."""
    if image.mode in _WIDE_MODES:
        image = _from_wide(image)
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode in ("RGB", "L") and "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        rgba = image.convert("RGBA")
        ground = Image.new("RGBA", rgba.size, "white")
        image = Image.alpha_composite(ground, rgba).convert("RGB")
    if image.mode in ("CMYK", "L", "LAB") and profile:
        return image
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_wide(image: Image.Image) -> Image.Image:
    """16 bits, 32 bits and floats a pixel -> 8 bits; Pillow's own conversion clips."""
    values = np.nan_to_num(np.asarray(image, np.float64))
    if image.mode == "F":
        top = 1.0 if values.max(initial=0.0) <= 1.0 else 255.0
    else:
        top = 65535.0 if values.max(initial=0.0) > 255.0 else 255.0
    return Image.fromarray(np.round(values.clip(0, top) * (255.0 / top)).astype(np.uint8))


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert by the embedded profile; a broken or unfitting profile is left aside."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(
                image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            if converted is not None:
                return _bare(converted)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    return _bare(image.convert("RGB"))


def _bare(image: Image.Image) -> Image.Image:
    """Only the pixels: no metadata of the file may reach what we write."""
    image.info.clear()
    return image


def encode(image: Image.Image, format: Format, *, quality: int = 95) -> bytes:
    """The file of an RGB picture; the same bytes for the same pixels and versions.

    PNG is lossless; quality (1..100) is JPEG's and WebP's. finish/encoding.py writes what goes to
    a printer, with profile and print size.
    """
    options: dict[str, object] = {"quality": quality}
    if format == "png":
        options = {"compress_level": 6}
    elif format == "jpeg":
        options["subsampling"] = 0 if quality >= 90 else 2
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def to_array(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels of an RGB picture, (H, W, 3)."""
    return np.asarray(image, np.uint8)


def from_array(pixels: NDArray[np.uint8]) -> Image.Image:
    """The RGB picture of pixels (H, W, 3)."""
    return Image.fromarray(pixels)
