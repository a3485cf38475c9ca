"""What a picture looks like, in 768 bytes: two perceptual hashes and the hues of eight views of it.

A view is the picture, its mirror image, or what may be left of it without a frame: three insets,
and three boxes that its own lines suggest. None of these six has to be right: a photograph with a
frame and the bare painting are the same when one view of one looks like the whole of the other.
"""

import base64

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HASH_SIDE = 16  # 256 bits: with 64, paintings of one grid (Mondrian, Malevich) fall together
HUE_SIDE = 4
HASH_BYTES = HASH_SIDE * HASH_SIDE // 8
VIEW_BYTES = 2 * HASH_BYTES + 2 * HUE_SIDE * HUE_SIDE
VIEWS = 8  # of which the first two are whole: the picture and its mirror image
SMALL_PX = 128
COSINE_SIDE = 4 * HASH_SIDE
# The lowest rows of the discrete cosine transform (DCT-II); its scale does not matter here.
COSINES = np.cos(np.pi / COSINE_SIDE * np.outer(np.arange(HASH_SIDE), np.arange(COSINE_SIDE) + 0.5))

INSETS = (0.03, 0.07, 0.11)  # of the shorter side: frames as they are (bench/curate.py, framed)
PLAIN = 24  # of 255: pixels nearer than this to the colour of the edge are wall or mat
PLAIN_SHARE = 0.9  # of a row or column that has to be wall or mat for it to go
LINES_PX = 128  # of the copy that is searched for lines
DEEPEST = 0.3  # of a side: no frame is deeper
STEP = 6  # of 255: what half of a line's pixels have to change by

Bytes = NDArray[np.uint8]


def looks(image: Image.Image) -> str:
    """An upright RGB picture -> its views as text (base64): what `duplicate_of` compares."""
    return base64.b64encode(views(image).tobytes()).decode()


def from_text(text: str) -> Bytes:
    """What `looks` gave -> (VIEWS, VIEW_BYTES)."""
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(VIEWS, VIEW_BYTES)


def views(image: Image.Image) -> Bytes:
    """An upright RGB picture -> (VIEWS, VIEW_BYTES): of each view phash, dhash and hues.

    The picture, its mirror image, three insets, the picture without plain margins, without what is
    outside the strongest line along each side, and the same once more.
    """
    # Hashes look at 64 pixels a side: shrinking once by whole factors saves nine tenths.
    small = image.reduce(max(1, min(image.size) // SMALL_PX))
    within = inside_lines(small)
    shown = (
        small,
        small.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        *(inset(small, depth) for depth in INSETS),
        without_margins(small),
        within,
        inside_lines(within),
    )
    return np.stack([view(each) for each in shown])


def view(picture: Image.Image) -> Bytes:
    """One view -> (VIEW_BYTES,): phash, dhash (256 bits each), Cb and Cr of 4x4 fields."""
    grey = picture.convert("L")
    fields = picture.resize((HUE_SIDE, HUE_SIDE), Image.Resampling.BOX).convert("YCbCr")
    hues = np.asarray(fields, np.uint8)[..., 1:].ravel()
    return np.concatenate([phash(grey), dhash(grey), hues])


def phash(grey: Image.Image) -> Bytes:
    """Which of the lowest 16x16 cosine frequencies are above their median (Krawetz 2011).

    (32,), the bits that ImageHash gives, without SciPy's 120 MB for one transform.
    """
    pixels = _shrunk(grey, COSINE_SIDE, COSINE_SIDE).astype(np.float64)
    # Rounded, since a symmetric picture has frequencies of exactly 0: noise is no sign.
    frequencies = np.round(COSINES @ pixels @ COSINES.T, 6)
    return np.packbits(frequencies > np.median(frequencies))


def dhash(grey: Image.Image) -> Bytes:
    """Where 16x16 fields are lighter than their left neighbour (Krawetz 2013), as `phash`."""
    pixels = _shrunk(grey, HASH_SIDE + 1, HASH_SIDE)
    return np.packbits(pixels[:, 1:] > pixels[:, :-1])


def inset(picture: Image.Image, depth: float) -> Image.Image:
    """The picture without a border as deep on each side as this share of its shorter one."""
    margin = round(depth * min(picture.size))
    return _cut(picture, (margin, margin, picture.width - margin, picture.height - margin))


def without_margins(picture: Image.Image) -> Image.Image:
    """The picture without rows and columns at its sides that have the colour of its edge."""
    pixels = np.asarray(picture, np.int16)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    is_other = np.abs(pixels - np.median(edge, 0)).max(2) > PLAIN
    rows, columns = (np.flatnonzero(is_other.mean(n) > 1 - PLAIN_SHARE) for n in (1, 0))
    if not (len(rows) and len(columns)):
        return picture
    return _cut(picture, (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))


def inside_lines(picture: Image.Image) -> Image.Image:
    """The picture inside the strongest straight line along each of its sides, where there is one.

    A line is strong where the colour changes much along half of it: the edge of a frame does, and
    seldom anything in a painting.
    """
    pixels = np.asarray(picture.resize((LINES_PX, LINES_PX), Image.Resampling.BOX), np.int16)
    left, top, right, bottom = (_depth_of_line(each) for each in _from_each_side(pixels))
    width, height = picture.size
    box = (left * width, top * height, (1 - right) * width, (1 - bottom) * height)
    return _cut(picture, tuple(map(round, box)))


def _from_each_side(pixels: NDArray[np.int16]) -> tuple[NDArray[np.int16], ...]:
    """(H, W, 3) -> the picture from its left, top, right and bottom: that side is row 0."""
    turned = pixels.transpose(1, 0, 2)
    return turned, pixels, turned[::-1], pixels[::-1]


def _depth_of_line(pixels: NDArray[np.int16]) -> float:
    """How deep below row 0 the strongest line is, as a share of the height; 0 without one."""
    outer = pixels[: int(DEEPEST * LINES_PX) + 1]
    change = np.median(np.abs(np.diff(outer, axis=0)).max(2), 1)
    best = int(change.argmax())
    return (best + 1) / LINES_PX if change[best] > STEP else 0.0


def _cut(picture: Image.Image, box: tuple[int, ...]) -> Image.Image:
    """The box of a picture; all of it where less than a third of a side would be left."""
    left, top, right, bottom = map(int, box)
    if 3 * (right - left) < picture.width or 3 * (bottom - top) < picture.height:
        return picture
    if right <= left or bottom <= top:
        return picture
    return picture.crop((left, top, right, bottom))


def _shrunk(grey: Image.Image, width: int, height: int) -> Bytes:
    return np.asarray(grey.resize((width, height), Image.Resampling.LANCZOS), np.uint8)
