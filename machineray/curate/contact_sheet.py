"""The contact sheet: pages of thumbnails to reject from, what is doubtful first.

A page lies beside the thumbnails and asks no server for anything: it works from a folder. Clicks
and keys gather ids; the page saves them as reject.txt, which --reject takes. Pages have PAGE
figures at most, however many paintings there are.
"""

import hashlib
import html
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Template
from urllib.parse import quote

from machineray.curate.decisions import DOUBTS, Row
from machineray.markup import page_links, page_name, painting_words, script_hash, title_of

NAME = "contact-sheet"
PAGE = 1000
REJECTED = "rejected by hand"


def thumbnail_name(item: str) -> str:
    """The file of a thumbnail, relative to the pages."""
    return f"thumbnails/{item}.webp"


def sheet_order(rows: Sequence[Row]) -> list[int]:
    """The numbers of `decide`'s rows as they stand on the sheet.

    First what a person is to judge, the doubtful before the others and then by how representational
    it seems; then what was refused, in the order of the rows. A refused one says why.
    """
    keys = []
    for number, row in enumerate(rows):
        is_judged = row["keep"] or row["verdict"] == REJECTED
        score = row["measures"]["representational"] if is_judged else 0.0
        keys.append((not is_judged, is_judged and not row["doubts"], -score, number))
    return [number for *_, number in sorted(keys)]


def contact_sheet(
    rows: Sequence[Row], source: str = "RUN/collect", page: int = PAGE
) -> Iterator[tuple[str, bytes]]:
    """`decide`'s rows -> (name, HTML) of each page; one page is held in memory.

    Args:
        rows: as `decide` gives them, with title, artist, year, file, width, height if known.
        source: what the paintings were read from, as --input takes it.
        page: figures a page.
    """
    order = sheet_order(rows)
    kept_count = sum(row["keep"] for row in rows)
    rejected = [row["id"] for row in rows if row["verdict"] == REJECTED]
    words = "\n".join(f"{row['id']} {row['verdict']}" for row in rows)
    data = {"sheet": hashlib.sha256(words.encode()).hexdigest(), "rejected": rejected}
    script, style = _beside("sheet.js"), _beside("sheet.css")
    count = max(1, -(-len(order) // page))
    template = Template(_beside("sheet.html"))
    for number in range(count):
        shown = order[number * page : (number + 1) * page]
        yield (
            page_name(NAME, number),
            template.substitute(
                kept_count=kept_count,
                refused_count=len(rows) - kept_count,
                place=f", page {number + 1} of {count}" if count > 1 else "",
                pages=page_links(NAME, number, count),
                source=html.escape(source),
                figures="\n".join(_figure(rows[n]) for n in shown) or "<p>nothing</p>",
                data=json.dumps(data).replace("<", "\\u003c"),
                script=script,
                script_hash=script_hash(script),
                style=style,
            ).encode("utf-8", "replace"),
        )


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _figure(row: Row) -> str:
    """A painting with its words; of a duplicate also the one that it repeats."""
    ids = [] if row.get("unreadable") else [row["id"], row.get("duplicate_of")]
    pictures = "".join(_picture(item) for item in ids if item)
    told = [("reason", row["reason"])] if row["reason"] and row["verdict"] != REJECTED else []
    told += [("doubt", doubt.reason) for doubt in DOUBTS if doubt.verdict in row["doubts"]]
    lines = "".join(f'<br><span class="{name}">{html.escape(word)}</span>' for name, word in told)
    inner = f'<div class="pictures">{pictures}</div><figcaption>{_words(row)}{lines}</figcaption>'
    is_by_hand = row["verdict"] == REJECTED
    kinds = ["kept" if row["keep"] else "rejected" if is_by_hand else "refused"]
    if row["keep"] or is_by_hand:  # what was rejected by hand can be taken back
        kinds += ["doubtful"] if row["doubts"] else []
        checked = " checked" if is_by_hand else ""
        values = f'value="{html.escape(row["id"])}" title="{html.escape(title_of(row))}"'
        inner = f'<label><input type="checkbox" {values}{checked}>{inner}</label>'
    return f'<figure class="{" ".join(kinds)}">{inner}</figure>'


def _picture(item: str) -> str:
    address = html.escape(quote(thumbnail_name(item)))
    return f'<img loading="lazy" decoding="async" alt="" src="{address}">'


def _words(row: Row) -> str:
    """What is known of the painting, and its size."""
    is_sized = row.get("width") and row.get("height")
    return painting_words(row, f"{row['width']}×{row['height']}" if is_sized else "")
