"""The contact sheet: pages of thumbnails to reject from, what is doubtful first.

A page lies beside the thumbnails and asks no server for anything: it works from a folder. Clicks
and keys gather ids of two lists: of what is kept, what --reject takes, and of what was refused,
what --keep takes. Pages have PAGE figures at most, however many paintings there are.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Template

from machineray.curate.decisions import DOUBTS, KEPT_BY_HAND, REJECTED, Row
from machineray.markup import (
    embedded_json,
    escaped,
    inline_hash,
    local_href,
    page_links,
    page_name,
    page_script,
    painting_words,
    title_of,
)

NAME = "contact-sheet"
PAGE = 1000
# The list that a box puts a painting on, and the verdict that this becomes.
LISTS = {"reject": REJECTED, "keep": KEPT_BY_HAND}


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
        is_judged = _is_judged(row)
        score = row["measures"]["representational"] if is_judged else 0.0
        keys.append((not is_judged, is_judged and not row["doubts"], -score, number))
    return [number for *_, number in sorted(keys)]


def contact_sheet(
    rows: Sequence[Row], command: str = "mray run curate", page: int = PAGE
) -> Iterator[tuple[str, bytes]]:
    """`decide`'s rows -> (name, HTML) of each page; one page is held in memory.

    Args:
        rows: as `decide` gives them, with title, artist, year, file, width, height if known.
        command: what reads the same under another name; --reject and --keep go behind it.
        page: figures a page.
    """
    order = sheet_order(rows)
    listed = {name: _ids(rows, verdict) for name, verdict in LISTS.items()}
    kept_count, rejected_count = sum(row["keep"] for row in rows), len(listed["reject"])
    counts = (kept_count, rejected_count, len(rows) - kept_count - rejected_count)
    words = "\n".join(f"{row['id']} {row['verdict']}" for row in rows)
    data = {"sheet": hashlib.sha256(words.encode()).hexdigest(), "lists": listed}
    script, style = page_script(_beside("sheet.js")), _beside("sheet.css")
    count = max(1, -(-len(order) // page))
    template = Template(_beside("sheet.html"))
    for number in range(count):
        shown = order[number * page : (number + 1) * page]
        yield (
            page_name(NAME, number),
            template.substitute(
                counts="{} kept, {} rejected, {} refused".format(*counts),
                place=f", page {number + 1} of {count}" if count > 1 else "",
                pages=page_links(NAME, number, count),
                command=escaped(command),
                figures="\n".join(_figure(rows[n]) for n in shown) or "<p>nothing</p>",
                data=embedded_json(data),
                script=script,
                script_hash=inline_hash(script),
                style=style,
            ).encode("utf-8", "replace"),
        )


def _is_judged(row: Row) -> bool:
    """Whether a person is to judge it; what was rejected by hand can be taken back."""
    return bool(row["keep"] or row["verdict"] == REJECTED)


def _ids(rows: Sequence[Row], verdict: str) -> list[str]:
    return [row["id"] for row in rows if row["verdict"] == verdict]


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _figure(row: Row) -> str:
    """A painting with its words; of a duplicate also the one that it repeats."""
    ids = [] if row.get("unreadable") else [row["id"], row.get("duplicate_of")]
    pictures = "".join(_picture(item) for item in ids if item)
    verdict = row["verdict"]
    told = [("hand", verdict)] if verdict == KEPT_BY_HAND else []
    told += [("reason", row["reason"])] if row["reason"] and verdict != REJECTED else []
    told += [("doubt", doubt.reason) for doubt in DOUBTS if doubt.verdict in row["doubts"]]
    lines = "".join(f'<br><span class="{name}">{escaped(word)}</span>' for name, word in told)
    inner = f'<div class="pictures">{pictures}</div><figcaption>{_words(row)}{lines}</figcaption>'
    is_judged = _is_judged(row)
    kinds = ["kept" if is_judged else "refused"]
    kinds += ["rejected"] if verdict == REJECTED else []
    kinds += ["doubtful"] if is_judged and row["doubts"] else []
    if not row.get("unreadable"):
        name = "reject" if is_judged and verdict != KEPT_BY_HAND else "keep"
        checked = " checked" if verdict == LISTS[name] else ""
        values = f'value="{escaped(row["id"])}" title="{escaped(title_of(row))}"'
        inner = f'<label><input type="checkbox" name="{name}" {values}{checked}>{inner}</label>'
    return f'<figure class="{" ".join(kinds)}">{inner}</figure>'


def _picture(item: str) -> str:
    return f'<img loading="lazy" decoding="async" alt="" src="{local_href(thumbnail_name(item))}">'


def _words(row: Row) -> str:
    """What is known of the painting, and its size."""
    is_sized = row.get("width") and row.get("height")
    return painting_words(row, f"{row['width']}×{row['height']}" if is_sized else "")
