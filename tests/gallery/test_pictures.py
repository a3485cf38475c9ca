"""Previews, colours, charts' rows and the contact sheet, on real paintings."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from machineray.errors import InputError
from machineray.gallery.pictures import colour_name, palette, preview_pictures, previews
from machineray.gallery.sheet import contact_sheet, justified_rows

sides = st.integers(1, 20_000)


@given(sides, sides)
def test_previews_are_never_larger_than_the_picture_and_keep_its_shape(w: int, h: int) -> None:
    pictures = preview_pictures(w, h, "previews/a")
    assert 1 <= len(pictures) <= 3 and len({each.file for each in pictures}) == len(pictures)
    for each in pictures:
        assert 1 <= each.width <= min(w, 1600) and 1 <= each.height <= min(h, 1600)
        assert abs(each.width * h - each.height * w) <= 0.5 * max(w, h) + max(w, h)


def test_previews_of_a_painting(painting: Image.Image) -> None:
    copies = previews(painting, "previews/seed000007")
    assert tuple(copies) == preview_pictures(*painting.size, "previews/seed000007")
    for picture, data in copies.items():
        with Image.open(io.BytesIO(data)) as copy:
            assert copy.format == "WEBP" and copy.size == (picture.width, picture.height)
            want = np.asarray(painting.resize(copy.size, Image.Resampling.LANCZOS), np.float32)
            assert np.abs(np.asarray(copy.convert("RGB"), np.float32) - want).mean() < 6
    assert copies == previews(painting, "previews/seed000007")


def test_palette_finds_the_colours_in_order() -> None:
    image = Image.new("RGB", (90, 90), "#1f3d7a")
    image.paste("#e8b530", (0, 0, 90, 30))
    image.paste("#d8442b", (0, 30, 20, 60))
    found = palette(image)
    assert [colour_name(colour) for colour in found[:3]] == ["blue", "yellow", "red"]


def test_palette_names_a_rare_colour_before_a_second_shade() -> None:
    image = Image.linear_gradient("L").resize((96, 96)).point(lambda v: 100 + v // 8).convert("RGB")
    image.paste("#d8442b", (0, 0, 14, 14))
    image.paste("#1f3d7a", (20, 0, 34, 14))
    names = [colour_name(colour) for colour in palette(image, 3)]
    assert sorted(names) == ["blue", "grey", "red"]


@pytest.mark.parametrize(
    ("colour", "name"),
    [("#000000", "black"), ("#ffffff", "white"), ("#808080", "grey"), ("#d8442b", "red"),
     ("#7a4a22", "brown"), ("#c9a227", "yellow"), ("#8a7d3a", "ochre"), ("#2f6b3c", "green"),
     ("#5b3d8a", "violet"), ("#e6d9bf", "beige"), ("#ff0055", "red")],
)  # fmt: skip
def test_colours_have_plain_names(colour: str, name: str) -> None:
    assert colour_name(colour) == name


@given(
    st.lists(st.floats(0.2, 5), min_size=1, max_size=60), st.floats(200, 4000), st.floats(60, 700)
)
def test_rows_hold_everything_once_and_fill_the_width(
    aspects: list[float], width: float, target: float
) -> None:
    rows = justified_rows(aspects, width, 10, target)
    assert [first for first, _, _ in rows] == [0, *(end for _, end, _ in rows[:-1])]
    assert rows[-1][1] == len(aspects)
    for first, end, height in rows:
        total = sum(aspects[first:end]) * height + 10 * (end - first - 1)
        assert total == pytest.approx(width) or height == 1


def test_rows_are_about_as_high_as_asked() -> None:
    aspects = [0.7, 1.4, 1, 0.8, 1.25, 0.66, 1, 1.5] * 5
    heights = [height for _, _, height in justified_rows(aspects, 1300, 24, 290)]
    assert min(heights) > 0.75 * 290 and max(heights) < 1.35 * 290


def test_contact_sheet_shows_every_picture_in_its_shape() -> None:
    colours = [(20 * i, 255 - 20 * i, 128) for i in range(12)]
    images = [
        Image.new("RGB", (300 + 40 * (i % 5), 260 + 50 * (i % 3)), colour)
        for i, colour in enumerate(colours)
    ]
    sheet = contact_sheet(images, 4, width_px=1200, gap_px=20, margin_px=40)
    assert sheet.width == 1200
    pixels = np.asarray(sheet)
    wall = pixels[0, 0]
    for image, colour in zip(images, colours, strict=True):
        ys, xs = np.nonzero((pixels == colour).all(axis=2))
        wide, high = np.ptp(xs) + 1, np.ptp(ys) + 1
        assert len(xs) == wide * high
        assert wide / high == pytest.approx(image.width / image.height, rel=0.02)
    edges = [pixels[:40], pixels[-40:], pixels[:, :40], pixels[:, -40:]]
    assert all((edge == wall).all() for edge in edges)
    inside = (pixels[:, 1159] != wall).any(axis=1)
    assert inside.sum() == sheet.height - 80 - 20 * (len(images) // 4 - 1)


def test_contact_sheet_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="no pictures"):
        contact_sheet([])


@pytest.fixture(scope="module")
def painting(paintings: Path, shared: Path) -> Image.Image:
    files = sorted([*paintings.rglob("*.jpg"), *(shared / "paintings" / "train").glob("*.jpg")])
    with Image.open(files[0]) as image:
        return image.convert("RGB")
