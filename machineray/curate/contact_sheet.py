"""The contact sheet: what is kept and what is refused, side by side, on one page to look at.

The page is one file: thumbnails lie inside it, nothing is asked of any server. Clicking on what
is kept gathers ids for --reject.
"""

import base64
import html
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

Row = Mapping[str, Any]

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>Contact sheet: $kept_count kept, $refused_count refused</title>
<style>
:root { color-scheme: light dark; font: 14px/1.4 system-ui, sans-serif; }
body { margin: 0 1rem 2rem; }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: 2rem; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 1rem; }
figure { margin: 0; overflow-wrap: anywhere; }
.pair { display: flex; gap: 4px; align-items: end; }
.pair img { min-width: 0; }
img { max-width: 100%; max-height: 12rem; display: block; }
figcaption { font-size: 12px; }
code { user-select: all; }
.reason { color: light-dark(#a02020, #ff9080); }
label { cursor: pointer; }
label:has(:checked) img { opacity: .25; }
textarea { width: 100%; box-sizing: border-box; font: 12px/1.4 monospace; }
@media (max-width: 45rem) { .sides { grid-template-columns: 1fr; } }
</style>
</head>
<body>
<h1>$kept_count kept, $refused_count refused</h1>
<p><label for="ids">Click on what you do not want. Then put these ids into a file and run
<code>mray run curate --run NAME --input $source --reject FILE</code></label></p>
<textarea id="ids" rows="3" readonly placeholder="ids of unwanted paintings"></textarea>
<div class="sides">
<section><h2>Kept</h2><div class="sheet">$kept</div></section>
<section><h2>Refused</h2><div class="sheet">$refused</div></section>
</div>
<script>
const ids = document.getElementById("ids");
function gather() {
  const boxes = document.querySelectorAll("input:checked");
  ids.value = [...boxes].map((box) => box.value).join("\\n");
}
document.addEventListener("change", gather);
gather();
</script>
</body>
</html>
""")


def contact_sheet(
    rows: Sequence[Row], thumbnails: Mapping[str, bytes], source: str = "RUN/collect"
) -> str:
    """`decide`'s rows -> an HTML page.

    Args:
        rows: id, keep, reason, duplicate_of, and title, artist, year, file, width, height if known.
        thumbnails: WebP of each id; a row without one is shown by its words.
        source: what the paintings were read from, as --input takes it.
    """
    kept = [row for row in rows if row["keep"]]
    refused = [row for row in rows if not row["keep"]]
    return PAGE.substitute(
        kept_count=len(kept),
        refused_count=len(refused),
        source=html.escape(source),
        kept="\n".join(_figure(row, thumbnails) for row in kept) or "<p>nothing</p>",
        refused="\n".join(_figure(row, thumbnails) for row in refused) or "<p>nothing</p>",
    )


def _figure(row: Row, thumbnails: Mapping[str, bytes]) -> str:
    """A painting with its words; of a duplicate also the one that it repeats."""
    names = [row["id"], row.get("duplicate_of")]
    pictures = "".join(_picture(thumbnails[name]) for name in names if name in thumbnails)
    reason = (
        f'<br><span class="reason">{html.escape(row["reason"])}</span>' if row["reason"] else ""
    )
    inner = f'<div class="pair">{pictures}</div><figcaption>{_words(row)}{reason}</figcaption>'
    is_by_hand = row.get("verdict") == "rejected by hand"
    if row["keep"] or is_by_hand:  # what was rejected by hand can be taken back
        checked = " checked" if is_by_hand else ""
        box = f'<input type="checkbox" value="{html.escape(row["id"])}"{checked}>'
        inner = f"<label>{box}{inner}</label>"
    return f"<figure>{inner}</figure>"


def _picture(webp: bytes) -> str:
    data = base64.b64encode(webp).decode()
    return f'<img loading="lazy" alt="" src="data:image/webp;base64,{data}">'


def _words(row: Row) -> str:
    """Title, artist and year, size, id: what is known of them."""
    title = row.get("title") or row.get("file") or row["id"]
    by = ", ".join(str(row[column]) for column in ("artist", "year") if row.get(column))
    size = f"{row['width']}×{row['height']}" if row.get("width") and row.get("height") else ""
    lines = [f"<b>{html.escape(str(title))}</b>", html.escape(by), size]
    return "<br>".join(
        [line for line in lines if line] + [f"<code>{html.escape(row['id'])}</code>"]
    )
