"""Pictures with a heavy watermark and pages of text, made: nobody has a labelled collection."""

from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont
LETTERS = "eeeeettttaaaoooiiinnnssshhhrrrddlluucmfwygpbvk"
HEAVY = 25  # of 255: what a watermark changes its own pixels by, on average
WORDS = ("SAMPLE", "PREVIEW", "PROOF", "© Museum", "stock photo", "Do Not Copy", "ARCHIVE")


def watermarked(
    image: Image.Image, seed: int, fonts: tuple[Path, ...] = ()
) -> tuple[Image.Image, NDArray[np.float64]]:
    """The picture under a heavy watermark, and by how much each pixel changed (H, W), 0..255.

    Words once or in rows, upright or aslant, with or without a band behind them, light or dark.
    """
    rng = Random(seed)
    while True:
        changed = _once_watermarked(image, rng, fonts)
        change = np.abs(np.asarray(changed, np.float64) - np.asarray(image)).mean(2)
        touched = change[change > 3]
        if touched.size and touched.mean() > HEAVY:
            return changed, change


def _once_watermarked(image: Image.Image, rng: Random, fonts: tuple[Path, ...]) -> Image.Image:
    width, height = image.size
    short, side = min(image.size), 2 * max(image.size)
    words = rng.choice(WORDS) if rng.random() < 0.5 else word(rng) + word(rng)
    layer = Image.new("L", (side, side))
    draw = ImageDraw.Draw(layer)
    stroke = rng.choice((0, 0, 1))
    kind = rng.choice(("rows", "once", "band"))
    if kind == "rows":
        font = some_font(rng, max(10, int(short * rng.uniform(0.05, 0.12))), fonts)
        step = max(8, int(font.getlength(words) * rng.uniform(1.2, 2)))
        for row, y in enumerate(range(0, side, int(font.size * rng.uniform(1.8, 4)))):
            for x in range(-step * (row % 2) // 2, side, step):
                draw.text((x, y), words, 255, font, stroke_width=stroke)
    else:
        state, size = rng.getstate(), 40
        length = some_font(rng, size, fonts).getlength(words)
        rng.setstate(state)  # the same font again, as large as fits
        font = some_font(rng, max(10, int(size * width * rng.uniform(0.6, 0.95) / length)), fonts)
        x, y = (side - font.getlength(words)) / 2, side / 2 - font.size * 0.6
        if kind == "band":
            draw.rectangle((0, y - font.size * 0.2, side, y + font.size * 1.4), fill=90)
        draw.text((x, y), words, 255, font, stroke_width=stroke)
    layer = layer.rotate(
        rng.choice((0, 0, 30, 45, -30, rng.uniform(-45, 45))), Image.Resampling.BILINEAR
    )
    left, top = (side - width) // 2, (side - height) // 2
    strength = rng.uniform(0.3, 0.7)
    mask = layer.crop((left, top, left + width, top + height)).point(lambda v: int(v * strength))
    changed = image.copy()
    changed.paste(rng.choice(((255,) * 3, (255,) * 3, (0,) * 3, (200,) * 3)), mask=mask)
    return changed


def text_page(seed: int, fonts: tuple[Path, ...] = ()) -> Image.Image:
    """A scan of a page of text: paper, one or two columns, now and then a heading, some noise."""
    rng = Random(seed)
    width = rng.randint(500, 900)
    height = int(width * rng.uniform(0.7, 1.5))
    paper = rng.choice(((255, 255, 255), (245, 238, 220), (230, 225, 210), (250, 250, 245)))
    page = Image.new("RGB", (width, height), paper)
    draw = ImageDraw.Draw(page)
    size = int(width * rng.uniform(0.018, 0.05))
    font = some_font(rng, size, fonts)
    margin, lead = int(width * rng.uniform(0.05, 0.15)), size * rng.uniform(1.15, 1.7)
    columns = rng.choice((1, 1, 1, 2))
    across = (width - 2 * margin - (columns - 1) * margin // 2) // columns
    ink = rng.choice(((20, 20, 20), (40, 30, 30), (60, 60, 70)))
    for column in range(columns):
        x, y = margin + column * (across + margin // 2), float(margin)
        if rng.random() < 0.4:
            draw.text((x, y), f"{word(rng)} {word(rng)}", ink, some_font(rng, 2 * size, fonts))
            y += 4 * size
        while y < height - margin - size:
            if rng.random() > 0.06:
                end = across * (1 if rng.random() < 0.85 else rng.uniform(0.2, 0.9))
                draw.text((x, y), _line(rng, font, end), ink, font)
            y += lead
    noise = np.random.default_rng(seed).normal(0, rng.uniform(0, 6), (height, width, 1))
    scan = Image.fromarray((np.asarray(page) + noise).clip(0, 255).astype(np.uint8))
    return scan.rotate(rng.uniform(-2, 2), Image.Resampling.BILINEAR, fillcolor=paper)


def word(rng: Random) -> str:
    """Letters as often as in English."""
    letters = "".join(rng.choice(LETTERS) for _ in range(rng.randint(1, 10)))
    return letters.capitalize() if rng.random() < 0.1 else letters


def _line(rng: Random, font: Font, length: float) -> str:
    line = word(rng)
    while font.getlength(longer := f"{line} {word(rng)}") < length:
        line = longer
    return line


def some_font(rng: Random, size: int, fonts: tuple[Path, ...]) -> Font:
    """One of the fonts, or the one that Pillow has within."""
    number = rng.randrange(len(fonts)) if fonts else None
    return _font(None if number is None else fonts[number], size)


@cache
def _font(path: Path | None, size: int) -> Font:
    if path is not None:
        return ImageFont.truetype(path, size)
    found = ImageFont.load_default(size)
    assert isinstance(found, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return found
