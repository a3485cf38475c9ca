"""The page of a training set: some of its paintings, as the network will see them."""

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from machineray.markup import counted, escaped, local_href, plain_page

STRIP_PX, GAP_PX = 128, 6
PICTURES = 13  # of a strip, at most
STYLE = """
figure { display: inline-block; vertical-align: top; margin: 0 1rem 1.2rem 0; }
img { display: block; max-width: 100%; }
figcaption { width: 0; min-width: 100%; font-size: 13px; opacity: .8; }
"""


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """The first pictures, all of one size, on white: STRIP_PX high, GAP_PX between them."""
    shown = pictures[:PICTURES]
    width = max(1, round(STRIP_PX * shown[0].width / shown[0].height))
    strip = Image.new("RGB", ((width + GAP_PX) * len(shown) - GAP_PX, STRIP_PX), "white")
    for number, picture in enumerate(shown):
        small = picture.resize((width, STRIP_PX), Image.Resampling.BILINEAR)
        strip.paste(small, (number * (width + GAP_PX), 0))
    return strip


def augment_page(rows: Sequence[Mapping[str, Any]], pictures: int, resolution: object) -> str:
    """Augment's rows -> an HTML page.

    Args:
        rows: of all paintings: id, and title, artist, year where they are known; those with a
            `strip` (a path beside the page) are shown.
        pictures: how many training pictures there are of all of them.
        resolution: of the training pictures, as --resolution takes it.
    """
    shown = [row for row in rows if row.get("strip")]
    variants = round(pictures / len(rows)) - 1
    kinds = f"each as it is and in {counted(variants, 'variant')}" if variants else "each as it is"
    words = f"{counted(len(rows), 'painting')}, {kinds}, at {resolution} pixels"
    some = "" if len(shown) == len(rows) else f" {len(shown)} of them are shown."
    return plain_page(
        counted(pictures, "training picture"),
        STYLE,
        f"<p>{escaped(words)}.{some}</p>\n" + "\n".join(map(_figure, shown)),
    )


def _figure(row: Mapping[str, Any]) -> str:
    title = row.get("title") or row["id"]
    known = [title, *(row[column] for column in ("artist", "year") if row.get(column))]
    caption = escaped(", ".join(map(str, known)))
    picture = f'<img loading="lazy" alt="" src="{local_href(row["strip"])}">'
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"
