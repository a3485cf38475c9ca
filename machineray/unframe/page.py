"""Pages that show every picture small with the box that was found; the least certain come first.

Thumbnails are files beside the pages, which have PAGE pictures at most; nothing is asked of any
server. Clicking gathers ids: of what is to be left whole, and of what is unwanted.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from machineray.markup import (
    escaped,
    local_href,
    page_links,
    page_name,
    painting_words,
    plain_page,
)

Row = Mapping[str, Any]

NAME = "boxes"
PAGE = 1000
SURE = 0.97  # expected IoU; below it the page asks a person to look

STYLE = """.sheet { display: grid; gap: 1rem;
 grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); }
figure { margin: 0; overflow-wrap: anywhere;
 content-visibility: auto; contain-intrinsic-size: 11rem 16rem; }
svg { max-width: 100%; max-height: 14rem; display: block; }
polygon { fill: none; vector-effect: non-scaling-stroke; }
.halo { stroke: #000; stroke-width: 4; }
.box { stroke: #3f3; stroke-width: 2; }
.proposed { stroke: #fff; stroke-width: 2; stroke-dasharray: 6 4; }
figcaption { font-size: 12px; }
code { user-select: all; }
label { cursor: pointer; white-space: nowrap; }
figure:has(.reject:checked) svg { opacity: .25; }
figure:has(.whole:checked) polygon { visibility: hidden; }
textarea { width: 100%; box-sizing: border-box; font: 12px/1.4 monospace; }"""

ASKED = {  # kind -> what it is for
    "whole": 'Tick "whole" where the box cuts into a painting that has no frame.',
    "reject": 'Tick "reject" where you do not want the picture at all.',
}

SCRIPT = """
function gather() {
  for (const kind of ["whole", "reject"]) {
    const boxes = document.querySelectorAll("input." + kind + ":checked");
    document.getElementById(kind).value = [...boxes].map((box) => box.value).join("\\n");
  }
}
document.addEventListener("change", gather);
gather();
"""


def is_doubtful(row: Row) -> bool:
    """Whether the page asks a person to look at a picture."""
    return row["confidence"] < SURE or row.get("left_whole") == "not sure"


def boxes_pages(rows: Sequence[Row], command: str, page: int = PAGE) -> Iterator[tuple[str, bytes]]:
    """Unframe's rows -> (name, HTML) of each page; the doubtful first. One page is in memory.

    Args:
        rows: id, box, confidence, source_size, thumbnail (a path beside the pages), and corners,
            left_whole, proposed (the box that it would have had), title, file, artist, year where
            they are known.
        command: what begins the stage again, for a shell; --whole is put behind it.
        page: pictures a page.
    """
    keys = [(not is_doubtful(row), row["confidence"]) for row in rows]
    order = sorted(range(len(rows)), key=lambda number: (keys[number], number))
    unsure = sum(not is_sure for is_sure, _ in keys)
    title = f"{unsure} to look at, {len(rows) - unsure} sure"
    commands = {"whole": f"{command} --whole FILE", "reject": "mray run curate … --reject FILE"}
    count = max(1, -(-len(order) // page))
    for number in range(count):
        shown = [rows[index] for index in order[number * page :][:page]]
        doubtful = [row for row in shown if is_doubtful(row)]
        parts = [
            page_links(NAME, number, count),
            _asked(commands, is_alone=count == 1),
            _sheet(f"To look at: expected overlap below {SURE}, or left whole for it", doubtful),
            _sheet("Sure", shown[len(doubtful) :]),
        ]
        text = plain_page(title, STYLE, "\n".join(parts), SCRIPT)
        yield page_name(NAME, number), text.encode()


def _asked(commands: Mapping[str, str], is_alone: bool) -> str:
    """A field for the ids of each kind, with the words and the command that belong to it."""
    which = "" if is_alone else " (those of all pages one below the other)"
    return "\n".join(
        f'<p><label for="{kind}">{words}</label> Put the ids into a file{which} and run '
        f"<code>{escaped(commands[kind])}</code></p>\n"
        f'<textarea id="{kind}" rows="2" readonly placeholder="no ids yet"></textarea>'
        for kind, words in ASKED.items()
    )


def _sheet(title: str, rows: Sequence[Row]) -> str:
    inner = "\n".join(map(_figure, rows)) or "<p>nothing</p>"
    return f'<h2>{title}</h2>\n<div class="sheet">{inner}</div>'


def _figure(row: Row) -> str:
    """The picture with its box, what is known of it, and two boxes to tick."""
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
    item = escaped(row["id"])
    checked = " checked" if row.get("left_whole") == "by hand" else ""
    ticks = (
        f'<label><input type="checkbox" class="whole" value="{item}"{checked}>whole</label> '
        f'<label><input type="checkbox" class="reject" value="{item}">reject</label>'
    )
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" preserveAspectRatio="xMinYMax">'
        f"{image}{shapes}</svg><figcaption>{_words(row)}<br>{ticks}</figcaption></figure>"
    )


def _corners(box: Sequence[float]) -> list[tuple[float, float]]:
    left, top, right, bottom = box
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _words(row: Row) -> str:
    """What is known of the painting, the confidence and what was done."""
    whole = [0, 0, *row["source_size"]]
    done = "whole" if list(row["box"]) == whole else "set upright" if row.get("corners") else "cut"
    if row.get("left_whole"):
        done += f" ({row['left_whole']})"
    return painting_words(row, f"{row['confidence']:.2f}, {done}")
