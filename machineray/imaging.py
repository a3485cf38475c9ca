"""Pictures as bytes, as Pillow images and as arrays: the one place that reads and writes them.

`decode` takes whatever a museum, a scanner or a telephone wrote and returns one kind of picture:
upright, 8-bit RGB in sRGB. It is safe in threads: nothing global is switched for a call.
"""

import io
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageFile

from machineray.errors import InputError

Format = Literal["png", "jpeg", "webp"]

# Of zlib, 1..9: at Pillow's 6 a file takes four times as long and is a tenth smaller.
PNG_LEVEL = 1

# Of libwebp, 0..6: at Pillow's 4 a thumbnail takes twice the time and is 4 % smaller.
WEBP_EFFORT = 2

STRIP_ROWS = 64
MAX_PIXELS = 300_000_000  # of a file of 4 bytes a pixel (FORMATS); more is refused

# Formats of still pictures with a signature of their own, and the bytes that a pixel takes while
# it is decoded (13,000 x 13,000 pixels of WebP took 2.6 GB). Not here: those that run a
# program (EPS), need a handler (WMF, GRIB), or take nearly any bytes for theirs (TGA, SPIDER, DIB).
FORMATS = {
    "JPEG": 4,
    "PNG": 4,
    "TIFF": 4,
    "WEBP": 16,
    "AVIF": 10,
    "GIF": 4,
    "JPEG2000": 20,
    **dict.fromkeys(("BMP", "PPM", "PSD", "PCX", "SGI", "QOI"), 4),
}

# What people (and broken downloads) leave among pictures, by the first bytes.
STRANGERS = (
    (b"<!doctype html", "a web page: download the picture itself"),
    (b"<html", "a web page: download the picture itself"),
    (b"<svg", "a vector drawing (SVG): export it as PNG"),
    (b"<?xml", "an XML document or vector drawing: export it as PNG"),
    (b"%pdf", "a PDF document: export its page as PNG"),
    (b"%!ps", "a PostScript drawing: export it as PNG"),
    (b"pk\x03\x04", "a ZIP archive or office document: unpack it"),
    (b"\x1f\x8b", "a gzip archive: unpack it"),
    (b"rar!", "a RAR archive: unpack it"),
    (b"version https://git-lfs", "a Git LFS pointer: fetch the picture with `git lfs pull`"),
    (b"\x00\x00\x00\x00\x00\x00\x00\x00", "nothing but zeros at its start: copy it again"),
)

UPRIGHT = {  # EXIF orientation -> what undoes it (Exif 2.32, tag 0x0112)
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

SIDEWAYS = (5, 6, 7, 8)
LEFT_WAS_RIGHT, TOP_WAS_BOTTOM = (2, 3, 6, 7), (3, 4, 7, 8)  # of the file, an axis swapped first

# Pillow's own 16 MB come from heaps that glibc keeps, one a thread, once a few of them were freed;
# above 32 MB they always go back: four threads held four pictures' memory where one was decoded.
Image.core.set_block_size(1 << 26)  # type: ignore[attr-defined]

COLOUR_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}  # Pillow -> ICC


def decode(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The bytes of a picture file -> an upright 8-bit RGB picture in sRGB, without metadata.

    EXIF rotation is applied, an embedded ICC profile is converted, transparency lies on white,
    16-bit grey, CMYK and palettes become RGB; of several frames or pages it is the first.

    Raises:
        InputError: empty, not a picture, damaged, truncated, or more than `max_pixels`;
            `name` says which file in the message.
    """
    return decode_smaller(data, name, lambda width, height: 1, max_pixels=max_pixels).image


class Smaller(NamedTuple):
    """A picture that may be smaller than the (width, height) that its file has.

    `box` is what of `image` it covers, as Pillow's resize takes it (left, top, right, bottom): the
    file's last column and row stand for what is left over.
    """

    image: Image.Image
    size: tuple[int, int]
    box: tuple[float, float, float, float]


def decode_smaller(
    data: bytes, name: str, times: Callable[[int, int], int], *, max_pixels: int = MAX_PIXELS
) -> Smaller:
    """As `decode`, for whom a picture 2, 4 or 8 times smaller is enough.

    It is no smaller than `times` of its upright width and height says. A JPEG is decoded so, in a
    part of the time and memory; of others, squares of pixels become one. All of the file is read,
    and what is refused is the same.
    """
    image = _open(data, name, max_pixels)
    try:
        if _kind(image) != "JPEG":
            image.load()  # a PNG may say behind its pixels how it is turned
        turn = _orientation(image)
        size = image.size[::-1] if turn in SIDEWAYS else image.size
        fewer = _power(times(*size))
        drafted = image.draft(None, (max(1, image.width // fewer), max(1, image.height // fewer)))
        image.load()
        picture = _srgb(image, 1 if drafted else fewer)
        picture = picture.transpose(UPRIGHT[turn]) if turn in UPRIGHT else picture
    except Exception as error:  # decoders of many formats raise anything on hostile bytes
        raise InputError(f"{name}: {_damage(image.format, error)}") from error
    across, down = size[0] / fewer, size[1] / fewer
    left = picture.width - across if turn in LEFT_WAS_RIGHT else 0
    top = picture.height - down if turn in TOP_WAS_BOTTOM else 0
    return Smaller(picture, size, (left, top, left + across, top + down))


def within(pixels: int) -> Callable[[int, int], int]:
    """`times` for who wants no more pixels than that: 1, 2, 4 or 8."""
    return lambda width, height: next(
        times for times in (1, 2, 4, 8) if times == 8 or width * height <= pixels * times**2
    )


def pixels_in(data: bytes) -> int:
    """How many pixels a file says that it has, counted by the memory that they take (FORMATS).

    0 where it is no picture, or one that is refused.
    """
    try:
        image = _open(data, "", MAX_PIXELS)
    except InputError:
        return 0
    return image.width * image.height * _bytes_a_pixel(image) // 4


def _bytes_a_pixel(image: ImageFile.ImageFile) -> int:
    """What decoding takes; of a progressive JPEG its coefficients are in memory, too."""
    return FORMATS[_kind(image)] * (2 if image.info.get("progressive") else 1)


def _kind(image: ImageFile.ImageFile) -> str:
    """Its format; a camera's JPEG with previews behind it is a JPEG."""
    return "JPEG" if image.format == "MPO" else str(image.format)


def _power(times: int) -> int:
    return next(power for power in (8, 4, 2, 1) if power <= max(1, times))


def picture_format(data: bytes, name: str) -> str:
    """The real format by the header alone ("JPEG", "PNG", "TIFF"...), whatever the file's name.

    Raises:
        InputError: empty, not a picture, or the header is damaged.
    """
    return _kind(_open(data, name, max_pixels=None))


def encode(
    image: Image.Image, format: Format, *, quality: int = 95, lossless: bool = False
) -> bytes:
    """An RGB picture -> the file's bytes; the same picture gives the same bytes.

    Args:
        image: mode RGB.
        format: "png" (lossless, PNG_LEVEL), "jpeg" (4:4:4) or "webp".
        quality: 1..100 of JPEG and WebP.
        lossless: of WebP, in its quickest way: quicker than PNG and smaller (bench/formats.py).
    """
    options: dict[str, Any]
    if format == "png":
        options = {"compress_level": PNG_LEVEL}
    elif format == "jpeg":  # strong colours side by side smear when chroma is halved: 4:4:4
        options = {"quality": quality, "subsampling": 0, "optimize": True}
    elif lossless:  # here quality is effort
        options = {"lossless": True, "quality": 0, "method": 0}
    else:
        options = {"quality": quality, "method": WEBP_EFFORT}
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def to_array(image: Image.Image) -> NDArray[np.uint8]:
    """An RGB picture -> (H, W, 3) uint8, a copy.

    By strips: Pillow gives an array all bytes at once, joined from pieces, in four times the time
    and with twice the memory beside it.
    """
    image = _as_rgb(image)
    array = np.empty((image.height, image.width, 3), np.uint8)
    for top, strip in _strips(image):
        array[top : top + strip.height] = np.asarray(strip)
    return array


def from_array(array: NDArray[np.uint8]) -> Image.Image:
    """(H, W, 3) uint8 -> an RGB picture."""
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise ValueError(f"(H, W, 3) uint8 expected, not {array.shape} {array.dtype}")
    return Image.fromarray(array)


def _open(data: bytes, name: str, max_pixels: int | None) -> ImageFile.ImageFile:
    """The file's header read, its pixels not yet.

    Not by Image.open: its limit of pixels is one global for the whole process.
    """
    if not data:
        raise InputError(f"{name}: empty file (0 bytes): copy it again")
    _hush_pillow()
    Image.init()
    start = data[:16].ljust(16, b"\xff")  # some signatures stumble over shorter bytes
    for kind in FORMATS:
        factory, accept = Image.OPEN.get(kind, (None, None))  # AVIF: not in every Pillow
        if factory is None or accept is None or not accept(start):
            continue
        try:
            image = factory(io.BytesIO(data), name)
        except Exception as error:  # see decode
            raise InputError(f"{name}: {_damage(kind, error)}") from error
        width, height = image.size
        most = None if max_pixels is None else max_pixels * 4 // _bytes_a_pixel(image)
        if most is not None and width * height > most:
            raise InputError(
                f"{name}: {width}x{height} is more than {most / 1e6:g} million pixels of {kind}, "
                "a decompression bomb or too large: scale it down"
            )
        return image
    raise InputError(f"{name}: not a picture: {_stranger(data)}")


def _hush_pillow() -> None:
    """Let no warning of Pillow out: odd metadata is no news, what matters is raised.

    warnings.catch_warnings is not safe in threads; a filter that is added once and stays is.
    """
    ours = ("ignore", Warning, r"PIL\.")
    for action, _, category, module, _ in warnings.filters:
        if (action, category, getattr(module, "pattern", module)) == ours:
            return
    warnings.filterwarnings("ignore", category=Warning, module=ours[2])


def _stranger(data: bytes) -> str:
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for lead, words in STRANGERS:
        if start.startswith(lead):
            return words
    if data[4:8] == b"ftyp":
        return "a video or an HEIC photograph: export it as JPEG or PNG"
    return "no picture format that is read here: export it as JPEG or PNG"


def _damage(kind: str | None, error: Exception) -> str:
    words = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, MemoryError):
        return f"the {kind} picture needs more memory than there is: scale it down"
    if isinstance(error, Image.DecompressionBombError):
        return f"too many pixels for {kind}, a decompression bomb?: scale it down ({words})"
    if isinstance(error, EOFError) or "truncated" in words.lower():
        return f"truncated {kind}: the file ends before the picture does: copy it again ({words})"
    return f"damaged {kind}: copy it again ({words})"


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # EXIF is often broken, and then says nothing
        return 1
    return orientation if isinstance(orientation, int) else 1


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """(first row, piece of STRIP_ROWS rows or the rest) from the top down."""
    for top in range(0, image.height, STRIP_ROWS):
        yield top, image.crop((0, top, image.width, min(image.height, top + STRIP_ROWS)))


def _srgb(image: Image.Image, fewer: int) -> Image.Image:
    """Any mode -> RGB in sRGB, transparency over white; `fewer` x `fewer` pixels become their mean.

    By strips: beside the picture as its file has it there is the one that is asked for, and no
    other in between. It is the same one where nothing has to be done.
    """
    convert = _conversion(image)
    if convert is None and fewer == 1:
        image.info.clear()
        return image
    width, height = (-(-side // fewer) for side in image.size)
    picture = Image.new("RGB", (width, height))
    for top, strip in _strips(image):
        strip = convert(strip) if convert else strip
        picture.paste(strip.reduce(fewer) if fewer > 1 else strip, (0, top // fewer))
    return picture


def _conversion(image: Image.Image) -> Callable[[Image.Image], Image.Image] | None:
    """What makes strips of a picture RGB in sRGB; None where they are."""
    profile = image.info.get("icc_profile")
    if image.has_transparency_data:
        colours = _profiled("RGB", profile)
        return lambda strip: _over_white(strip.convert("RGBA"), colours)
    if image.mode in ("P", "PA", "1", "YCbCr", "HSV", "RGBA", "RGBX", "LA"):
        mode = "L" if image.mode in ("1", "LA") else "RGB"
        colours = _profiled(mode, profile)
        return lambda strip: colours(strip.convert(mode))
    if image.mode == "F" or image.mode.startswith("I"):
        white, colours = _white_of(image), _profiled("L", profile)
        return lambda strip: colours(_deep_grey(strip, white))
    transform = _transform(image.mode, profile)
    return None if image.mode == "RGB" and transform is None else _profiled(image.mode, profile)


def _over_white(strip: Image.Image, colours: Callable[[Image.Image], Image.Image]) -> Image.Image:
    white = Image.new("RGB", strip.size, "white")
    white.paste(colours(strip.convert("RGB")), mask=strip.getchannel("A"))
    return white


def _deep_grey(strip: Image.Image, white: float) -> Image.Image:
    """16-bit (also as 32-bit integers) or floating-point grey -> 8-bit grey, rounded."""
    grey = np.nan_to_num(np.asarray(strip).astype(np.float32))
    return Image.fromarray(np.rint(np.clip(grey / white, 0, 1) * 255).astype(np.uint8))


def _white_of(image: Image.Image) -> float:
    """The brightest value that such grey may have: by its mode, and by what is in the picture."""
    if image.mode.startswith("I;16"):
        return 65535.0
    most = max(
        float(np.nan_to_num(np.asarray(strip, np.float32)).max()) for _, strip in _strips(image)
    )
    if image.mode == "F":  # light in 0..1, or in 0..255 when anything is above 1
        return 1.0 if most <= 1 else 255.0
    return 65535.0 if most <= 65535 else float(2**31 - 1)


def _profiled(mode: str, icc_profile: bytes | None) -> Callable[[Image.Image], Image.Image]:
    """What makes strips of a mode RGB: by the profile, and by Pillow where none can be used."""
    transform = _transform(mode, icc_profile)
    return _as_rgb if transform is None else transform.apply


def _transform(mode: str, icc_profile: bytes | None) -> ImageCms.ImageCmsTransform | None:
    """From a mode's colours to sRGB; None: there is no profile, or a broken, foreign or sRGB one.

    Of a broken one the colours are read as sRGB, as browsers do.
    """
    try:
        if mode == "LAB":
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        elif icc_profile:
            source = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        else:
            return None
        if source.profile.xcolor_space.strip() != COLOUR_SPACES.get(mode):
            return None
        named = source.profile.profile_description or ""
        if mode == "RGB" and named.startswith(("sRGB IEC61966", "sRGB built-in")):
            return None
        return ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _as_rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")  # which would be a copy
