"""Paintings seen askew: the corners that are found, and the painting set upright."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from machineray.unframe.corners import Box, Corners, corners, moved, sides_of, upright

Pixels = NDArray[np.uint8]
BOX = (60, 50, 460, 350)  # of the painting on its wall


def patches(seed: int) -> Pixels:
    """A painting of 400 x 300 pixels: fields of many colours."""
    fields = np.random.default_rng(seed).integers(30, 226, (6, 8, 3), np.uint8)
    return np.asarray(cv2.resize(fields, (400, 300), interpolation=cv2.INTER_CUBIC), np.uint8)


def askew(seed: int, shift: float) -> tuple[Pixels, NDArray[np.float32]]:
    """The painting on a pale wall, its corners moved by up to `shift` pixels; and the corners."""
    wall = np.full((400, 520, 3), (238, 236, 230), np.uint8)
    wall[50:350, 60:460] = patches(seed)
    left, top, right, bottom = BOX
    flat = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)
    rng = np.random.default_rng((seed, 1))
    seen = (flat + rng.uniform(-shift, shift, (4, 2))).astype(np.float32)
    warp = cv2.getPerspectiveTransform(flat - 0.5, seen - 0.5)
    return cv2.warpPerspective(wall, warp, (520, 400), borderMode=cv2.BORDER_REPLICATE), seen


def middle(quad: NDArray[np.float32]) -> tuple[int, int, int, int]:
    """The box through the middles of the four edges, as it is found."""
    (a, b), (c, d), (e, f), (g, h) = quad
    return round((a + g) / 2), round((b + d) / 2), round((c + e) / 2), round((f + h) / 2)


def seen(pixels: Pixels, box: Box) -> Corners | None:
    return corners(box, sides_of(pixels, box), (pixels.shape[1], pixels.shape[0]))


@pytest.mark.parametrize("seed", range(8))
def test_corners_are_found_to_two_pixels(seed: int) -> None:
    pixels, truth = askew(seed, 12)
    found = seen(pixels, middle(truth))
    assert found is not None
    assert np.abs(np.array(found) - truth).max() <= 2


@pytest.mark.parametrize("shift", [0, 12])
def test_a_box_that_is_some_pixels_off_is_moved(shift: float) -> None:
    pixels, truth = askew(3, shift)
    box = middle(truth)
    off = (box[0] - 2, box[1] + 2, box[2] + 2, box[3] - 2)
    assert np.abs(np.subtract(moved(off, sides_of(pixels, off), 1), box)).max() <= 1
    assert moved(box, sides_of(pixels, box), 3) == box


@pytest.mark.parametrize("seed", range(4))
def test_the_painting_is_set_upright(seed: int) -> None:
    pixels, truth = askew(seed, 12)
    found = seen(pixels, middle(truth))
    assert found is not None
    painting = upright(pixels, found)
    assert abs(painting.shape[0] - 300) <= 25
    assert abs(painting.shape[1] - 400) <= 25
    again = cv2.resize(painting, (400, 300), interpolation=cv2.INTER_AREA)
    crop = pixels[50:350, 60:460]

    def far(other: Pixels) -> float:
        return float(np.abs(other.astype(float) - patches(seed)).mean())

    assert far(again) < 3 < far(crop)


@pytest.mark.parametrize("seed", range(4))
def test_what_hangs_straight_is_not_turned(seed: int) -> None:
    pixels, _ = askew(seed, 0)
    assert seen(pixels, BOX) is None


def test_an_oval_has_no_corners() -> None:
    pixels = np.full((400, 520, 3), 240, np.uint8)
    cv2.ellipse(pixels, (260, 200), (200, 150), 0, 0, 360, (90, 60, 40), -1, cv2.LINE_AA)
    assert seen(pixels, BOX) is None


@pytest.mark.parametrize("shape", [(32, 32), (33, 300), (300, 33), (700, 40)])
def test_any_box_of_any_picture(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (*shape, 3), np.uint8)
    for _ in range(20):
        left, right = np.sort(rng.choice(shape[1] + 1, 2, replace=False))
        top, bottom = np.sort(rng.choice(shape[0] + 1, 2, replace=False))
        found = seen(pixels, (int(left), int(top), int(right), int(bottom)))
        for x, y in found or ():
            assert 0 <= x <= shape[1] and 0 <= y <= shape[0]
