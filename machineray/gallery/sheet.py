"""One picture of all works: justified rows with neat margins, every aspect ratio kept."""

import math
from collections.abc import Sequence

from PIL import Image

from machineray.errors import InputError

SHEET_BACKGROUND = "#f8f8f6"  # the wall of the page


def justified_rows(
    aspects: Sequence[float], width: float, gap: float, target_height: float
) -> list[tuple[int, int, float]]:
    """Rows (first, end, height) that fill `width` and are about as high as `target_height`.

    `aspects` are width / height. Of all ways to break the sequence, the one with the least sum of
    squared log(height / target) (dynamic programming, as Knuth and Plass break a paragraph):
    so the last row is full too, and no row is much higher than the others.
    """
    best = [0.0] + [math.inf] * len(aspects)
    rows: list[tuple[int, int, float]] = [(0, 0, 0.0)] * (len(aspects) + 1)
    for end in range(1, len(aspects) + 1):
        total = 0.0
        for first in range(end - 1, -1, -1):
            total += aspects[first]
            height = max(1.0, (width - gap * (end - first - 1)) / total)
            if height < target_height / 3 and best[end] < math.inf:
                break
            cost = best[first] + math.log(height / target_height) ** 2
            if cost < best[end]:
                best[end], rows[end] = cost, (first, end, height)
    chosen = []
    end = len(aspects)
    while end > 0:
        chosen.append(rows[end])
        end = rows[end][0]
    return chosen[::-1]


def contact_sheet(
    images: Sequence[Image.Image],
    columns: int = 6,
    *,
    width_px: int = 2400,
    gap_px: int = 36,
    margin_px: int = 72,
    background: str = SHEET_BACKGROUND,
) -> Image.Image:
    """All pictures in their aspect ratios on one RGB picture, about `columns` in a row.

    Hand in copies of about width_px / columns, not 4096 px each. Raises InputError for no picture.
    """
    if not images:
        raise InputError("contact sheet: no pictures: nothing can be shown; generate some first")
    aspects = [image.width / image.height for image in images]
    inner = width_px - 2 * margin_px
    mean_width = (inner - gap_px * (columns - 1)) / columns
    target = mean_width / (sum(aspects) / len(aspects))
    rows = justified_rows(aspects, inner, gap_px, target)
    # One tall picture alone would become a wall; a row may be at most twice as high as meant.
    heights = [max(1, round(min(height, 2 * target))) for _, _, height in rows]
    total_height = 2 * margin_px + sum(heights) + gap_px * (len(rows) - 1)
    sheet = Image.new("RGB", (width_px, total_height), background)
    top = margin_px
    for (first, end, exact), height in zip(rows, heights, strict=True):
        left = float(margin_px)
        exact = min(exact, 2 * target)  # unrounded, so that every row ends at the same margin
        for image, aspect in zip(images[first:end], aspects[first:end], strict=True):
            right = left + exact * aspect
            size = (max(1, round(right) - round(left)), height)
            copy = image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
            sheet.paste(copy, (round(left), top))
            left = right + gap_px
        top += height + gap_px
    return sheet
