"""A page that shows every picture small with the box that was found; the least certain first.

Thumbnails are files beside the page, so it stays small for any number of pictures; nothing is
asked of any server. Clicking gathers ids: of what is to be left whole, and of what is unwanted.
"""

import html
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any
from urllib.parse import quote

Row = Mapping[str, Any]

SURE = 0.9  # expected IoU; below it the page asks a person to look

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src 'self' file:;
 style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>Boxes: $unsure_count to look at, $sure_count sure</title>
<style>
:root { color-scheme: light dark; font: 14px/1.4 system-ui, sans-serif; }
body { margin: 0 1rem 2rem; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1rem; }
figure { margin: 0; overflow-wrap: anywhere; content-visibility: auto; }
svg { max-width: 100%; max-height: 14rem; display: block; }
polygon { fill: none; vector-effect: non-scaling-stroke; }
.halo { stroke: #000; stroke-width: 4; }
.box { stroke: #3f3; stroke-width: 2; }
figcaption { font-size: 12px; }
code { user-select: all; }
label { cursor: pointer; white-space: nowrap; }
figure:has(.reject:checked) svg { opacity: .25; }
figure:has(.whole:checked) polygon { visibility: hidden; }
textarea { width: 100%; box-sizing: border-box; font: 12px/1.4 monospace; }
</style>
</head>
<body>
<h1>$unsure_count to look at, $sure_count sure</h1>
<p><label for="whole">Tick "whole" where the box cuts into a painting that has no frame. Put the ids
into a file and run</label> <code>mray run unframe --run NAME --input $source --whole FILE</code></p>
<textarea id="whole" rows="2" readonly placeholder="ids of pictures to leave whole"></textarea>
<p><label for="reject">Tick "reject" where you do not want the picture. Put the ids into a file and
give it to</label> <code>mray run curate … --reject FILE</code></p>
<textarea id="reject" rows="2" readonly placeholder="ids of unwanted pictures"></textarea>
<h2>To look at: expected overlap below $sure</h2>
<div class="sheet">$unsure</div>
<h2>Sure</h2>
<div class="sheet">$certain</div>
<script>
function gather() {
  for (const kind of ["whole", "reject"]) {
    const boxes = document.querySelectorAll("input." + kind + ":checked");
    document.getElementById(kind).value = [...boxes].map((box) => box.value).join("\\n");
  }
}
document.addEventListener("change", gather);
gather();
</script>
</body>
</html>
""")


def boxes_page(rows: Sequence[Row], source: str) -> str:
    """Unframe's rows -> an HTML page; those whose confidence is below SURE come first.

    Args:
        rows: id, box, confidence, source_size, thumbnail (a path beside the page), and corners,
            left_whole, title, file, artist, year where they are known.
        source: what the pictures were read from, as --input takes it.
    """
    ordered = sorted(rows, key=lambda row: (row["confidence"], row["id"]))
    unsure = [row for row in ordered if row["confidence"] < SURE]
    certain = ordered[len(unsure) :]
    return PAGE.substitute(
        unsure_count=len(unsure),
        sure_count=len(certain),
        sure=SURE,
        source=_text(source),
        unsure="\n".join(map(_figure, unsure)) or "<p>nothing</p>",
        certain="\n".join(map(_figure, certain)) or "<p>nothing</p>",
    )


def _figure(row: Row) -> str:
    """The picture with its box, what is known of it, and two boxes to tick."""
    width, height = row["source_size"]
    left, top, right, bottom = row["box"]
    corners = row.get("corners") or [(left, top), (right, top), (right, bottom), (left, bottom)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    shapes = "".join(f'<polygon class="{kind}" points="{points}"/>' for kind in ("halo", "box"))
    address = quote(row["thumbnail"].encode("utf-8", "replace"))
    image = f'<image href="{address}" width="{width}" height="{height}"/>'
    item = _text(row["id"])
    checked = " checked" if row.get("left_whole") == "by hand" else ""
    ticks = (
        f'<label><input type="checkbox" class="whole" value="{item}"{checked}>whole</label> '
        f'<label><input type="checkbox" class="reject" value="{item}">reject</label>'
    )
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" preserveAspectRatio="xMinYMax">'
        f"{image}{shapes}</svg><figcaption>{_words(row)}<br>{ticks}</figcaption></figure>"
    )


def _words(row: Row) -> str:
    """Title, artist and year, confidence and what was done, id."""
    title = row.get("title") or row.get("file") or row["id"]
    by = ", ".join(str(row[column]) for column in ("artist", "year") if row.get(column))
    whole = [0, 0, *row["source_size"]]
    done = "whole" if list(row["box"]) == whole else "set upright" if row.get("corners") else "cut"
    if row.get("left_whole"):
        done += f" ({row['left_whole']})"
    lines = [f"<b>{_text(title)}</b>", _text(by), f"{row['confidence']:.2f}, {_text(done)}"]
    return "<br>".join([line for line in lines if line] + [f"<code>{_text(row['id'])}</code>"])


def _text(value: object) -> str:
    """Text for an element or a quoted attribute; lone surrogates become "?" (UTF-8 has none)."""
    return html.escape(str(value).encode("utf-8", "replace").decode(), quote=True)
