"""Blur and lost colours by arithmetic, on the paintings that ship with the project."""

from pathlib import Path

import pytest
from PIL import Image, ImageFilter, ImageOps

from machineray.curate.decisions import DOUBTS
from machineray.curate.defects import colourfulness, sharpness
from machineray.imaging import decode

BOUNDS = {doubt.measure: doubt.bound for doubt in DOUBTS}


@pytest.fixture(scope="module")
def examples(paintings: Path) -> list[Image.Image]:
    return [decode(path.read_bytes(), path.name) for path in sorted(paintings.glob("*.jpg"))]


def blurred(image: Image.Image, radius: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius))


def test_no_painting_is_blurred_and_every_blurred_one_is(examples: list[Image.Image]) -> None:
    assert all(sharpness(image) > BOUNDS["sharpness"] for image in examples)
    assert all(sharpness(blurred(image, 2)) < BOUNDS["sharpness"] for image in examples)


def test_more_blur_is_less_sharp(examples: list[Image.Image]) -> None:
    for image in examples[::6]:
        found = [sharpness(blurred(image, radius)) for radius in (0, 1, 2, 4)]
        assert found == sorted(found, reverse=True)


def test_an_enlarged_thumbnail_is_not_sharp(examples: list[Image.Image]) -> None:
    for image in examples[::6]:
        small = image.resize((image.width // 6, image.height // 6))
        assert sharpness(small.resize(image.size, Image.Resampling.BICUBIC)) < BOUNDS["sharpness"]


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (1, 700), (700, 9), (640, 480)])
def test_a_flat_or_tiny_picture_has_no_defect_of_sharpness(size: tuple[int, int]) -> None:
    flat = Image.new("RGB", size, (120, 130, 140))
    assert sharpness(flat) == 1.0
    assert colourfulness(flat) == pytest.approx(0, abs=0.01)


def test_two_colours_in_plain_fields_are_sharp() -> None:
    image = Image.new("RGB", (600, 400), (230, 225, 215))
    for side in (20, 60, 200):
        image.paste((180, 30, 20), (200, 100, 200 + side, 100 + side))
        assert sharpness(image) > 0.9
        assert sharpness(blurred(image, 3)) < BOUNDS["sharpness"]
    assert colourfulness(image) > BOUNDS["colour"]


def test_grey_and_sepia_scans_have_no_colours(examples: list[Image.Image]) -> None:
    for image in examples:
        grey = image.convert("L")
        assert colourfulness(grey.convert("RGB")) < BOUNDS["colour"]
        sepia = ImageOps.colorize(grey, (30, 18, 10), (250, 240, 215))
        assert colourfulness(sepia) < BOUNDS["colour"]


def test_one_red_dot_is_a_colour() -> None:
    image = Image.linear_gradient("L").resize((400, 400)).convert("RGB")
    assert colourfulness(image) < BOUNDS["colour"]
    image.paste((220, 30, 30), (180, 180, 250, 250))
    assert colourfulness(image) > BOUNDS["colour"]
