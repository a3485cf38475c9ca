"""Squares and their variants: by the recipe, and functions of the painting alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, features

from machineray.dataset.squares import made_with, seed, squashed, varied

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    """A square (64, 64, 3) in which every corner and side is another colour."""
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    red, green = np.meshgrid(ramp, ramp)
    return np.stack([red, green, np.full_like(red, 90)], -1)


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([16, 64, 128]))
def test_a_picture_has_the_size_and_its_colour(width: int, height: int, side: int) -> None:
    made = squashed(Image.new("RGB", (width, height), (10, 200, 30)), (side, 32))
    assert made.shape == (32, side, 3)
    assert (made == (10, 200, 30)).all()


def test_shrinking_is_antialiased() -> None:
    """Stripes of one pixel become grey; picking pixels would leave stripes or one of the two."""
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    inner = squashed(Image.fromarray(stripes), (64, 64))[:, 1:-1]  # at the edge the kernel is cut
    assert np.abs(inner.astype(int) - 127).max() <= 1


def test_a_variant_is_a_function_of_painting_and_number(pixels: Pixels) -> None:
    before = pixels.copy()
    six = list(varied(pixels, "klee", 6))
    for count in range(6):
        assert all(map(np.array_equal, varied(pixels, "klee", count), six))
    list(varied(pixels, "other", 3))  # whatever came before changes nothing
    assert np.array_equal(next(varied(pixels, "klee", 1)), six[0])
    assert np.array_equal(pixels, before)


def test_a_picture_that_is_no_square_keeps_its_shape_and_turns_by_half() -> None:
    ramp = np.linspace(0, 255, 48).astype(np.uint8)
    tall = np.broadcast_to(ramp[:, None, None], (48, 36, 3)).copy()  # dark at the top
    made = list(varied(tall, "klee", 40))
    assert {one.shape for one in made} == {(48, 36, 3)}
    light = np.array([[one[:12].mean(), one[-12:].mean(), one[:, :9].mean()] for one in made])
    assert (np.abs(light[:, 2] - 127) < 12).all()  # never on its side
    assert 10 < (light[:, 0] > light[:, 1]).sum() < 30


def test_no_two_variants_are_alike(pixels: Pixels) -> None:
    made = [*varied(pixels, "klee", 6), *varied(pixels, "arp", 6)]
    assert len({one.tobytes() for one in made}) == 12


@settings(max_examples=40)
@given(st.text(min_size=1, max_size=20))
def test_a_variant_is_a_turn_a_small_warp_and_a_small_shift_of_colour(painting: str) -> None:
    """In HSV of OpenCV: hue moves by at most 20 of 180, value hardly; edges are not black."""
    flat = np.empty((48, 48, 3), np.uint8)
    flat[:] = (200, 60, 60)  # hue 0, saturation 178, value 200
    (made,) = varied(flat, painting, 1)
    assert made.shape == flat.shape
    assert made.dtype == np.uint8
    hsv = np.asarray(Image.fromarray(made).convert("HSV")).astype(float)
    hue = (hsv[..., 0] + 128) % 256 - 128
    assert np.abs(hue).max() <= 20 / 180 * 256 + 3
    assert np.abs(hsv[..., 1] - 178).max() <= 20 + 4
    assert np.abs(hsv[..., 2] - 200).max() <= 2


def test_corners_move_inwards_by_two_hundredths_on_average() -> None:
    """|N(0, s)| with s uniform in 0..5 %: 0.8 * 2.5 %. The largest channel keeps the grey ramp."""
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (256, 256, 3)).copy()
    moved = []
    for number in range(150):
        (made,) = varied(ramp, f"painting {number}", 1)
        corners = made.max(-1)[[0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
        moved += np.minimum(corners, 255 - corners).tolist()
    assert 0.015 < np.mean(moved) / 255 < 0.025


def test_turns_are_drawn_evenly(pixels: Pixels) -> None:
    """The darkest corner (no red, no green) comes to stand in each corner equally often."""
    corners = [0, 0, 0, 0]
    for number in range(200):
        (made,) = varied(pixels, f"painting {number}", 1)
        light = made[..., :2].sum(-1, dtype=int)
        four = [light[:8, :8], light[:8, -8:], light[-8:, :8], light[-8:, -8:]]
        corners[int(np.argmin([corner.mean() for corner in four]))] += 1
    assert min(corners) >= 30  # 50 each expected; 30 is 3.3 standard deviations below


def test_seeds_are_32_bits_and_known() -> None:
    """Pinned: other seeds would be other training data for the same run."""
    assert seed("klee", 1) == int.from_bytes(bytes.fromhex(KLEE_1), "big")
    assert len({seed(name, n) for name in "abc" for n in range(100)}) == 300


KLEE_1 = "c9e51005"  # the start of sha256("klee/1")


def test_what_decodes_is_named_with_its_version() -> None:
    told = made_with(is_varied=True)
    assert {"pillow", "libwebp", "opencv", "albumentations", "numpy"} <= told.keys()
    assert told["libjpeg-turbo"] == features.version("libjpeg_turbo")
    assert told["littlecms"] == features.version("littlecms2")
