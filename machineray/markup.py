"""Words and values into HTML: nothing that a user gives can become markup, script or a request."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote, urlsplit

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'$allowed">
<title>$title</title>
<style>
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
$style
</style>
</head>
<body>
<h1>$title</h1>
$body
$script</body>
</html>
""")


# Controls, and what turns the direction of the text around it.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Text of strangers on one line of a terminal or a table: what would act is seen, escaped."""
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def escaped(text: object) -> str:
    """Text for an element or a quoted attribute; lone surrogates become "?" (UTF-8 has none)."""
    return html.escape(str(text).encode("utf-8", "replace").decode(), quote=True)


def local_href(path: str) -> str:
    """A relative path as a URL: "#", "?", "%" and ":" are part of the name, never syntax."""
    return quote(path.lstrip("/").encode("utf-8", "replace"), safe="/")


def link(url: str | None, inner: str) -> str:
    """`inner` (HTML) as a link to a web address; only as itself when `url` is anything else."""
    try:
        is_web = bool(url) and urlsplit(url or "").scheme.lower() in ("http", "https")
    except ValueError:  # such as "http://["
        is_web = False
    return f'<a href="{escaped(url)}" rel="noreferrer">{inner}</a>' if is_web else inner


def plain_page(title: str, style: str, body: str, script: str = "") -> str:
    """A page of pictures and words; the title is text, all else is markup.

    It asks no server for anything and runs no script but the one that is given.
    """
    known = {"title": escaped(title), "style": style, "body": body, "allowed": "", "script": ""}
    if script:
        known["allowed"] = f"; script-src '{inline_hash(script)}'"
        known["script"] = f"<script>{script}</script>\n"
    return _PAGE.substitute(known)


def page_script(own: str) -> str:
    """A page's own script behind what all pages to click on share."""
    return Path(__file__).with_name("pages.js").read_text(encoding="utf-8") + own


def inline_hash(text: str) -> str:
    """What allows this script or style and no other, in a Content-Security-Policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def page_name(name: str, number: int) -> str:
    """The file of a page of several: boxes.html, boxes-2.html, … from "boxes" and 0, 1, …"""
    return f"{name}-{number + 1}.html" if number else f"{name}.html"


def page_links(name: str, number: int, count: int) -> str:
    """Links to the other pages, as markup; "" for a page alone."""
    if count == 1:
        return ""
    links = (
        f"<b>{n + 1}</b>" if n == number else f'<a href="{page_name(name, n)}">{n + 1}</a>'
        for n in range(count)
    )
    return f"Page {' '.join(links)}"


def embedded_json(value: object) -> str:
    """JSON that may stand in a <script> element: no "<" is left that could close it."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def figure(value: float) -> str:
    """A number as one would write it on a label: 19,328, 42, 3.14, 0.071, 1.2e-05."""
    if abs(value) >= 100 or value == round(value):
        return f"{round(value):,}".replace("-", "−")
    if abs(value) < 0.001:
        return f"{value:.1e}".replace("-", "−")
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 3
    return f"{value:.{digits}f}".replace("-", "−")


def duration(seconds: float) -> str:
    """A time span in words, two units at most: "23 minutes", "1 hour 50 minutes"."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return counted(round(seconds), "second")
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "day"), (hours, "hour"), (minutes, "minute")]
    named = [counted(count, unit) for count, unit in parts if count]
    return " ".join(named[:2])


def counted(count: int, noun: str) -> str:
    """ "1 painting", "1,200 paintings"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def pictures_seen(kimg: float) -> str:
    """Training progress for people who do not count in kimg: "19,800 pictures"."""
    return counted(round(kimg * 1000), "picture")


def title_of(row: Mapping[str, Any]) -> str:
    """A painting's title, else its file, else its id: on one line, whatever it has within."""
    return " ".join(str(row.get("title") or row.get("file") or row["id"]).split())


def painting_words(row: Mapping[str, Any], *lines: str) -> str:
    """Title, artist and year where known, `lines` (text) that are not empty, and the id."""
    by = ", ".join(str(row[column]) for column in ("artist", "year") if row.get(column))
    told = [f"<b>{escaped(title_of(row))}</b>", *(escaped(line) for line in (by, *lines) if line)]
    return "<br>".join([*told, f"<code>{escaped(row['id'])}</code>"])


def paragraphs(texts: tuple[str, ...] | list[str]) -> str:
    """Plain texts, one paragraph each."""
    return "".join(f'<p class="prose">{escaped(text)}</p>' for text in texts if text.strip())
