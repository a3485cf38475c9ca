"""The ledger of rights for people: CREDITS.csv and CREDITS.html, from the catalog's rows."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from machineray.collect.rights import IN_WORDS
from machineray.markup import counted, escaped, link, plain_page

COLUMNS = (
    *("id", "title", "artist", "born", "died", "year", "source", "source_url", "picture_url"),
    *("rights", "rule", "free_elsewhere", "free_united_states", "fetched"),
    *("evidence_url", "evidence_sha256", "sha256"),
)
STYLE = """
table { border-collapse: collapse; width: 100%; }
td, th { border-bottom: 1px solid #8886; padding: .35em .6em; }
td, th { text-align: left; vertical-align: top; }
code { font-size: 11px; opacity: .7; overflow-wrap: anywhere; }
"""
JURISDICTIONS = """
<p>Two rules matter most. In most of the world (the European Union, the United Kingdom, most of
South America …) a painting is free when its artist has been dead for 70 years: from the first of
January after. In the United States a work is free 95 years after it was first published, whenever
the artist died: in {year} that is what was published before {us}. A painting may be free in one and
not in the other; the columns say what is known of each. A few countries have longer terms (Mexico:
100 years), and other rights (of a living person shown, of a museum's house rules) are not looked at
here. The year of a painting is the last in which it may have been made ("1920s" is 1929). It stands
in for the year of publication, which sites do not tell: a painting may have been published later.
This is what was found and when; it is not legal advice.</p>
"""


def ledger_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Catalog rows -> one flat row a painting, every column of COLUMNS."""
    return [_flat(row) for row in rows]


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    free, evidence = row.get("free") or {}, row.get("evidence") or {}
    flat = {
        **row,
        "free_elsewhere": free.get("elsewhere"),
        "free_united_states": free.get("united_states"),
        "evidence_url": evidence.get("url"),
        "evidence_sha256": evidence.get("sha256"),
    }
    return {column: flat.get(column) for column in COLUMNS}


def credits_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """CREDITS.csv: UTF-8, a line a painting. No cell begins a formula, whatever a site says."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in ledger_rows(rows):
        writer.writerow([_cell(row[column]) for column in COLUMNS])
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value


def credits_html(rows: Sequence[Mapping[str, Any]], year: int, us_before: int) -> bytes:
    """CREDITS.html: opens from its folder; what sites said stands in it as text only."""
    flat = ledger_rows(rows)
    sources = ", ".join(f"{name}: {n}" for name, n in Counter(r["source"] for r in flat).items())
    rules = "".join(
        f"<li><b>{_text(rule)}</b> ({count}): {_text(IN_WORDS.get(rule, rule))}</li>"
        for rule, count in Counter(str(row["rule"]) for row in flat).most_common()
    )
    lines = "".join(_line(row) for row in flat)
    body = f"""<p>{_text(sources)}.</p>
{JURISDICTIONS.format(year=year, us=us_before)}
<ul>{rules}</ul>
<table><thead><tr><th>painting</th><th>artist</th><th>label as seen</th><th>rule</th>
<th>life + 70</th><th>United States</th><th>seen, evidence</th></tr></thead>
<tbody>{lines}</tbody></table>"""
    page = plain_page(f"Credits of {counted(len(flat), 'painting')}", STYLE, body)
    return page.encode()


def _line(row: Mapping[str, Any]) -> str:
    title = str(row["title"] or row["id"]) + (f", {row['year']}" if row["year"] else "")
    life = f"{row['born'] or '?'}–{row['died'] or '?'}"
    cells = (
        f"{link(row['source_url'], _text(title))}<br>{_text(row['source'])}",
        f"{_text(row['artist'])}<br>{_text(life)}",
        _text(row["rights"]),
        _text(row["rule"]),
        _text(row["free_elsewhere"]),
        _text(row["free_united_states"]),
        f"{_text(row['fetched'])}<br><code>{_text(row['evidence_sha256'])}</code>",
    )
    return f'<tr id="{_text(row["id"])}">' + "".join(f"<td>{c}</td>" for c in cells) + "</tr>\n"


def _text(value: Any) -> str:
    return escaped("" if value is None else value)
