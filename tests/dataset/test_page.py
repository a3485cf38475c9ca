"""The page of a training set: what it shows, and that names are text in it."""

from PIL import Image

from machineray.dataset.page import augment_page, side_by_side


def test_pictures_stand_side_by_side_in_their_shape() -> None:
    colours = ["red", "green", "blue"]
    strip = side_by_side([Image.new("RGB", (48, 64), colour) for colour in colours])
    assert strip.size == (3 * 96 + 2 * 6, 128)
    pixels = [strip.getpixel((x, 64)) for x in (48, 99, 150, 252)]
    assert pixels == [(255, 0, 0), (255, 255, 255), (0, 128, 0), (0, 0, 255)]


def test_of_a_hundred_variants_the_first_are_shown() -> None:
    assert side_by_side([Image.new("RGB", (8, 8))] * 101).size == (13 * 128 + 12 * 6, 128)


def test_a_name_is_text() -> None:
    row = {"id": "a", "title": "<b>", "artist": "Ä & B", "year": 1915, "strip": "strips/a #1.webp"}
    page = augment_page([row], 1, 64)
    assert "<h1>1 training picture</h1>" in page
    assert "1 painting, each as it is, at 64 pixels." in page
    assert "are shown" not in page
    assert "&lt;b&gt;, Ä &amp; B, 1915" in page
    assert 'src="strips/a%20%231.webp"' in page
