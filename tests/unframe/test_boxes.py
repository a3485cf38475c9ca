"""What holds for any picture, and frames of the simplest kinds: not those that were learnt from."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from machineray.unframe.boxes import Box, guess, refined

Pixels = NDArray[np.uint8]
Edges = tuple[int, int, int, int]


def painting(seed: int, height: int = 300, width: int = 400) -> Pixels:
    """Smooth and rough patches of many colours, no straight lines along the picture's sides."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = rng.uniform(-12, 12, (3, 4, 2)), rng.uniform(0, 6, (3, 4))
    values = [
        sum(np.sin(a * x + b * y + at) for (a, b), at in zip(*channel, strict=True))
        for channel in zip(*waves, strict=True)
    ]
    pixels = 128 + 28 * np.stack(values, -1) + rng.normal(0, 12, (height, width, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def on_ground(inner: Pixels, widths: Edges, colour: tuple[int, int, int]) -> tuple[Pixels, Edges]:
    """The picture with a border (left, top, right, bottom) of one colour, and its box."""
    left, top, right, bottom = widths
    height, width = inner.shape[:2]
    pixels = np.full((height + top + bottom, width + left + right, 3), colour, np.uint8)
    pixels[top : top + height, left : left + width] = inner
    return pixels, (left, top, left + width, top + height)


def moved(box: Edges, by: Edges) -> Edges:
    return box[0] + by[0], box[1] + by[1], box[2] + by[0], box[3] + by[1]


def in_frame(inner: Pixels, wide: int) -> tuple[Pixels, Edges]:
    """A wooden frame of three bands, lit from above."""
    pixels, box = inner, (0, 0, inner.shape[1], inner.shape[0])
    for share, colour in ((0.2, (60, 40, 25)), (0.6, (120, 80, 50)), (0.2, (80, 52, 33))):
        band = max(1, round(wide * share))
        pixels, _ = on_ground(pixels, (band,) * 4, colour)
        pixels[:band] = np.clip(pixels[:band] * 1.3, 0, 255).astype(np.uint8)
        box = moved(box, (band,) * 4)
    return pixels, box


def in_mat(inner: Pixels, wide: int) -> tuple[Pixels, Edges]:
    """A cream mat, and a frame around that."""
    pixels, box = on_ground(inner, (wide, wide, wide, wide), (238, 232, 215))
    framed, outer = in_frame(pixels, wide // 2)
    return framed, moved(box, outer)


def beside_words(inner: Pixels, widths: Edges) -> tuple[Pixels, Edges]:
    """A white strip at one side with a paragraph in it, small and black."""
    pixels, box = on_ground(inner, widths, (250, 250, 250))
    height, width = pixels.shape[:2]
    x = width - widths[2] + 6 if widths[2] else 6
    y = height - widths[3] + 16 if widths[3] else 16
    for line, words in enumerate(("Composition", "oil on canvas", "1923, signed", "54 x 60 cm")):
        place = (x, y + 16 * line)
        cv2.putText(
            pixels, words, place, cv2.FONT_HERSHEY_SIMPLEX, 0.35, (30, 30, 30), 1, cv2.LINE_AA
        )
    return pixels, box


def column_beside(inner: Pixels) -> tuple[Pixels, Edges]:
    """A page with a column of print at the right, half as wide as the picture."""
    pixels, box = on_ground(inner, (25, 30, 220, 30), (248, 246, 240))
    for y in range(44, 300, 11):
        text = "which painter his later period white black"[y % 7 :]
        place = (box[2] + 20, y)
        cv2.putText(
            pixels, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.26, (40, 40, 40), 1, cv2.LINE_AA
        )
    return pixels, box


def mondrian(seed: int, height: int = 400, width: int = 360) -> Pixels:
    """Flat fields between black bars that reach the edges, some fields coloured."""
    rng = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), 236, np.uint8)
    rows = sorted(rng.integers(40, height - 40, 3))
    columns = sorted(rng.integers(40, width - 40, 3))
    for colour in ((200, 30, 30), (30, 50, 140), (235, 205, 50)):
        i, j = rng.integers(0, 4, 2)
        y, x = (0, *rows, height), (0, *columns, width)
        pixels[y[i] : y[i + 1], x[j] : x[j + 1]] = colour
    for row in rows:
        pixels[row - 4 : row + 4] = 15
    for column in columns:
        pixels[:, column - 4 : column + 4] = 15
    return np.clip(pixels + rng.normal(0, 2, pixels.shape), 0, 255).astype(np.uint8)


def overlap(box: Edges, truth: Edges) -> float:
    """IoU of two boxes."""
    across = min(box[2], truth[2]) - max(box[0], truth[0])
    down = min(box[3], truth[3]) - max(box[1], truth[1])
    common = max(across, 0) * max(down, 0)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box, truth)]
    return common / (sum(areas) - common)


def frame_box(pixels: Pixels) -> Box:
    return refined(pixels, guess(pixels))


SIDES = st.one_of(st.integers(1, 80), st.integers(81, 700))


@settings(max_examples=60)
@example(48, 32, 23622233, "stripes")  # very surely no paint
@given(SIDES, SIDES, st.integers(0, 2**32 - 1), st.sampled_from(["noise", "flat", "stripes"]))
def test_a_box_that_is_inside_and_not_empty(height: int, width: int, seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    pixels = np.broadcast_to(rng.integers(0, 256, 3, np.uint8), (height, width, 3)).copy()
    if kind == "noise":
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    elif kind == "stripes":
        pixels[:: rng.integers(2, 9)] = rng.integers(0, 256, 3)
    before = pixels.copy()
    box = frame_box(pixels)
    assert 0 <= box.left < box.right <= width
    assert 0 <= box.top < box.bottom <= height
    assert 0 <= box.confidence <= 1
    assert np.array_equal(pixels, before)
    assert frame_box(pixels) == box
    if kind == "flat":
        assert box.edges == (0, 0, width, height)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (31, 31), (40, 2000)])
def test_too_small_or_too_stretched_to_judge(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert frame_box(pixels) == Box(0, 0, shape[1], shape[0], 0.0)


Frame = Callable[[Pixels], tuple[Pixels, Edges]]
FRAMES: dict[str, Frame] = {
    "white border": lambda p: on_ground(p, (30, 30, 30, 30), (255, 255, 255)),
    "black border": lambda p: on_ground(p, (12, 20, 15, 25), (8, 8, 8)),
    "grey page, room for a caption": lambda p: on_ground(p, (20, 15, 20, 80), (200, 200, 198)),
    "bars above and below": lambda p: on_ground(p, (0, 60, 0, 60), (255, 255, 255)),
    "one bar": lambda p: on_ground(p, (0, 0, 0, 40), (0, 0, 0)),
    "wooden frame": lambda p: in_frame(p, 25),
    "mat in a frame": lambda p: in_mat(p, 60),
    "words at the left": lambda p: beside_words(p, (95, 0, 0, 0)),
    "words at the right": lambda p: beside_words(p, (0, 0, 95, 0)),
    "words above": lambda p: beside_words(p, (0, 80, 0, 0)),
    "words below": lambda p: beside_words(p, (0, 0, 0, 80)),
    "a column of words": column_beside,
}


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_are_found(kind: str) -> None:
    pictures = [FRAMES[kind](painting(seed)) for seed in range(5)]
    found = [overlap(frame_box(pixels).edges, box) for pixels, box in pictures]
    assert np.mean(found) >= 0.97, found


@pytest.mark.parametrize("turn", range(4))
def test_turned_and_mirrored_the_same(turn: int) -> None:
    pixels, _ = on_ground(painting(1), (14, 33, 27, 41), (250, 250, 250))
    cut = frame_box(pixels)
    depths = [cut.top, pixels.shape[1] - cut.right, pixels.shape[0] - cut.bottom, cut.left]
    turned = np.ascontiguousarray(np.rot90(pixels, -turn))
    box = frame_box(turned)
    again = [box.top, turned.shape[1] - box.right, turned.shape[0] - box.bottom, box.left]
    assert np.abs(np.roll(depths, turn) - again).max() <= 2  # the small copy is rounded


def test_large_pictures_are_cut_to_the_pixel() -> None:
    large = painting(2).repeat(9, 0).repeat(9, 1)
    pixels, box = on_ground(large, (211, 307, 199, 250), (255, 255, 255))
    assert np.abs(np.subtract(frame_box(pixels).edges, box)).max() <= 1


def test_paintings_without_frame_are_left_whole() -> None:
    cuts = []
    for seed in range(20):
        pixels = mondrian(seed) if seed % 2 else painting(seed)
        box = frame_box(pixels)
        area = (box.right - box.left) * (box.bottom - box.top)
        cuts.append(1 - area / (pixels.shape[0] * pixels.shape[1]))
    assert np.median(cuts) == 0
    assert np.mean(np.array(cuts) > 0.04) <= 0.2, cuts
