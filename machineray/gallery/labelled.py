"""A table of pictures on one sheet: what changes along a row stands above, what down it, beside."""

from collections.abc import Iterable, Sequence

from PIL import Image, ImageDraw, ImageFont

from machineray.gallery.sheet import SHEET_BACKGROUND

INK = "#202020"
CELL_PX = 192  # the longer side of a picture
GAP_PX, MARGIN_PX = 6, 24
TEXT_PX = 16


def labelled_sheet(
    title: str, columns: Sequence[str], rows: Iterable[tuple[str, Sequence[Image.Image]]]
) -> Image.Image:
    """Rows (label, a picture a column, all of one size) -> an RGB picture.

    Pictures become small as they come: of a row, one at full size is in memory.
    """
    small = [(label, [_cell(picture) for picture in pictures]) for label, pictures in rows]
    width, height = small[0][1][0].size
    font = ImageFont.load_default(TEXT_PX)
    beside = round(max(font.getlength(label) for label, _ in small)) + 2 * GAP_PX
    left, top = MARGIN_PX + beside, MARGIN_PX + 4 * TEXT_PX
    size = (
        left + len(columns) * (width + GAP_PX) - GAP_PX + MARGIN_PX,
        top + len(small) * (height + GAP_PX) - GAP_PX + MARGIN_PX,
    )
    sheet = Image.new("RGB", size, SHEET_BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN_PX, MARGIN_PX), title, INK, font)
    for column, label in enumerate(columns):
        middle = left + column * (width + GAP_PX) + width / 2
        draw.text((middle, top - GAP_PX), label, INK, font, anchor="md")
    for row, (label, cells) in enumerate(small):
        y = top + row * (height + GAP_PX)
        draw.text((left - 2 * GAP_PX, y + height / 2), label, INK, font, anchor="rm")
        for column, cell in enumerate(cells):
            sheet.paste(cell, (left + column * (width + GAP_PX), y))
    return sheet


def _cell(picture: Image.Image) -> Image.Image:
    scale = CELL_PX / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BICUBIC)
