"""Pages that show every picture small with the box that was found; the least certain come first.

Thumbnails are files beside the pages, which have PAGE pictures at most; nothing is asked of any
server. A person draws the boxes that are not right, for --boxes, and gathers what is unwanted.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from machineray.markup import (
    embedded_json,
    escaped,
    local_href,
    page_links,
    page_name,
    page_script,
    painting_words,
    plain_page,
)
from machineray.unframe.boxes_csv import corner_words

Row = Mapping[str, Any]

NAME = "boxes"
PAGE = 1000
SURE = 0.97  # expected IoU; below it the page asks a person to look

HOW = """<p>Click on a picture to see it large: drag over it to draw the painting's box, or drag
an edge, or with Shift one corner alone, for a painting seen askew. Tick "whole" where it has no
frame, "dashed" where the dashed box is right, and "reject" where you do not want the picture.</p>
<p><button type="button" data-save="boxes">Save boxes.csv (<span>0</span>)</button>
<button type="button" data-save="reject">Save reject.txt (<span>0</span>)</button></p>
<p data-list="boxes">Then <code>$command<span id="root"></span> --boxes boxes.csv</code></p>
<p data-list="reject">What is rejected: <code>mray run curate … --reject reject.txt</code></p>
<noscript><p>Scripts are off: write boxes into a file, as in boxes.csv.</p></noscript>
<dialog><svg></svg><p><button type="button" id="back">As it was found</button>
<button type="button" id="close">Close</button></p></dialog>"""


def is_doubtful(row: Row) -> bool:
    """Whether the page asks a person to look at a picture."""
    told = row.get("overruled")
    return told == "not sure" or (told is None and row["confidence"] < SURE)


def boxes_pages(rows: Sequence[Row], command: str, page: int = PAGE) -> Iterator[tuple[str, bytes]]:
    """Unframe's rows -> (name, HTML) of each page; the doubtful first. One page is in memory.

    Args:
        rows: id, box, confidence, source_size, thumbnail (a path beside the pages), and corners,
            overruled ("by hand" or "not sure"), proposed (the box that it would have had), title,
            file, artist, year where they are known.
        command: what begins the stage again, for a shell; --boxes is put behind it.
        page: pictures a page.
    """
    keys = [(not is_doubtful(row), row["confidence"]) for row in rows]
    order = sorted(range(len(rows)), key=lambda number: (keys[number], number))
    unsure = sum(not is_sure for is_sure, _ in keys)
    title = f"{unsure} to look at, {len(rows) - unsure} sure"
    data = {"sheet": _digest(rows), "boxes": _by_hand(rows)}
    style, script = _beside("page.css"), page_script(_beside("page.js"))
    count = max(1, -(-len(order) // page))
    for number in range(count):
        shown = [rows[index] for index in order[number * page :][:page]]
        doubtful = [row for row in shown if is_doubtful(row)]
        parts = [
            page_links(NAME, number, count),
            Template(HOW).substitute(command=escaped(command)),
            _sheet(f"To look at: expected overlap below {SURE}, or left whole for it", doubtful),
            _sheet("Sure", shown[len(doubtful) :]),
            f'<script type="application/json" id="data">{embedded_json(data)}</script>',
        ]
        text = plain_page(title, style, "\n".join(parts), script)
        yield page_name(NAME, number), text.encode()


def _digest(rows: Sequence[Row]) -> str:
    """What tells this run's boxes from another's."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row['id']} {row['box']} {row['source_size']}\n".encode("utf-8", "replace"))
    return digest.hexdigest()


def _by_hand(rows: Iterable[Row]) -> dict[str, list[object]]:
    """Id -> box of each that a person gave, as the page saves them."""
    return {row["id"]: _cells(row) for row in rows if row.get("overruled") == "by hand"}


def _cells(row: Row) -> list[object]:
    """Edges and corners as in a line of boxes.csv."""
    return [*row["box"], corner_words(row)]


def _line(row: Row) -> str:
    """The cells as an attribute, in the words of JavaScript's JSON.stringify."""
    return escaped(json.dumps(_cells(row), separators=(",", ":")))


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _sheet(title: str, rows: Sequence[Row]) -> str:
    inner = "\n".join(map(_figure, rows)) or "<p>nothing</p>"
    return f'<h2>{title}</h2>\n<div class="sheet">{inner}</div>'


def _figure(row: Row) -> str:
    """The picture with its box and one to draw, what is known of it, and what to tick."""
    width, height = row["source_size"]
    corners = row.get("corners") or _corners(row["box"])
    outlines = [("halo", corners), ("box", corners)]
    if "proposed" in row:
        outlines += [("halo", _corners(row["proposed"])), ("proposed", _corners(row["proposed"]))]
    shapes = "".join(
        f'<polygon class="{kind}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>'
        for kind, places in outlines
    )
    address = local_href(row["thumbnail"])
    image = f'<image href="{address}" width="{width}" height="{height}"/>'
    boxes = {"whole": [0, 0, width, height]}
    boxes |= {"dashed": row["proposed"]} if "proposed" in row else {}
    ticks = "".join(
        f'<label><input type="checkbox" name="box" value="{_line({"box": box})}">{name}</label> '
        for name, box in boxes.items()
    )
    ticks += '<label><input type="checkbox" name="reject">reject</label>'
    start = _line({"box": row["proposed"]} if "proposed" in row else row)
    return (
        f'<figure data-id="{escaped(row["id"])}" data-box="{start}">'
        f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="xMinYMax">'
        f"{image}{shapes}</svg><figcaption>{_words(row)}<br>{ticks}</figcaption></figure>"
    )


def _corners(box: Sequence[float]) -> list[tuple[float, float]]:
    left, top, right, bottom = box
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _words(row: Row) -> str:
    """What is known of the painting, the confidence and what was done."""
    whole = [0, 0, *row["source_size"]]
    done = "whole" if list(row["box"]) == whole else "set upright" if row.get("corners") else "cut"
    if row.get("overruled"):
        done += f" ({row['overruled']})"
    return painting_words(row, f"{row['confidence']:.2f}, {done}")
