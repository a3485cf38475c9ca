"""Wikimedia Commons: categories of abstract paintings, files with the licence in their metadata."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from machineray.collect.answers import Answer, Changed
from machineray.collect.dates import last_year_in, life_in
from machineray.collect.painting import (
    Ask,
    Candidate,
    Estimate,
    Found,
    Said,
    Step,
    Wanted,
)
from machineray.collect.sites.reading import (
    changed,
    link_of,
    linked_pages,
    listed_estimate,
    parsed,
    soup,
    text_of,
)

API = "https://commons.wikimedia.org/w/api.php"
CATEGORY = "Category:Abstract paintings"
DEPTH = 2  # categories below; deeper ones stray from the matter
FREE = ("Public domain", "CC0")
KINDS = ("image/jpeg", "image/png", "image/tiff", "image/webp")
CATEGORY_SPACE = 14
# Behind the maker's name and dates the template of a person has a whole card, and a code.
CARD = re.compile(
    r"\b(?:Alternative names|Description|Date of birth|Work period|Authority (?:file|control)"
    r"|Details of artist on|\w+ QS:)"
)


def paintings(ask: Ask, wanted: Wanted) -> Iterator[Found]:
    """The files of the category and of those below it, or of "Paintings by" the wanted artists."""
    first = beginnings(wanted)
    waiting = [(name, 0) for name in first]
    seen = set(first)
    while waiting:
        category, depth = waiting.pop(0)
        count = 0
        for answer, (listed,) in pages_of(ask, category, wanted):
            yield Step(category)
            count += len(listed)
            for page in listed:
                title = text_of(page.get("title"))
                if page.get("ns") == CATEGORY_SPACE:
                    if depth < DEPTH and title not in seen:
                        seen.add(title)
                        waiting.append((title, depth + 1))
                elif found := candidate(page, answer, wanted):
                    yield found
        if not count and category in first:
            yield Said(
                f"commons: “{category}” is empty: --artist takes the name as it stands there"
            )


def beginnings(wanted: Wanted) -> list[str]:
    """The categories to begin with."""
    return [f"Category:Paintings by {name}" for name in wanted.artists] or [CATEGORY]


def pages_of(
    ask: Ask, category: str, wanted: Wanted
) -> Iterator[tuple[Answer, list[list[Mapping[str, Any]]]]]:
    """A category's pages, each with one list of members: it may be empty, and another page follow.

    They end with the one that does not say how to go on.
    """

    def turned(answer: Answer) -> tuple[list[list[Mapping[str, Any]]], str]:
        listed = members_in(answer.text, answer.url)
        more = continuation_in(answer.text, answer.url)
        return [listed], members(category, wanted.max_side, more) if more else ""

    return linked_pages(ask, members(category, wanted.max_side, {}), turned)


def members(category: str, max_side: int, more: Mapping[str, str]) -> str:
    """The address of a category's files and subcategories."""
    query = {
        "action": "query",
        "generator": "categorymembers",
        "gcmtitle": category,
        "gcmtype": "file|subcat",
        "gcmlimit": "50",
        "prop": "imageinfo",
        "iiprop": "url|size|mime|extmetadata",
        "iiurlwidth": str(max_side),
        "format": "json",
    }
    return f"{API}?{urlencode({**query, **more})}"


def members_in(text: str, where: str) -> list[Mapping[str, Any]]:
    """The members in an answer, in the order of their numbers; an empty category has no query."""
    value = parsed(text, where)
    if not isinstance(value, Mapping):
        raise changed(where, "an object in JSON")
    if isinstance(value.get("error"), Mapping):
        raise Changed(f"{where}: the API answers: {text_of(value['error'].get('info'))}", where)
    if "query" not in value and "batchcomplete" not in value and "continue" not in value:
        raise changed(where, "“query”")
    query = value.get("query")
    pages = query.get("pages") if isinstance(query, Mapping) else {}
    if not isinstance(pages, Mapping):
        raise changed(where, "“query / pages”")
    return [pages[key] for key in sorted(pages, key=_number) if isinstance(pages[key], Mapping)]


def _number(key: str) -> tuple[int, str]:
    return (int(key) if re.fullmatch("-?[0-9]{1,18}", key) else 0, key)


def continuation_in(text: str, where: str) -> dict[str, str]:
    """What to add to the address for the next page; nothing at the end."""
    more = parsed(text, where).get("continue")
    return {k: str(v) for k, v in more.items()} if isinstance(more, Mapping) else {}


def candidate(page: Mapping[str, Any], answer: Answer, wanted: Wanted) -> Candidate | None:
    """A file -> the painting; None for what is no picture (a PDF, a film)."""
    infos = page.get("imageinfo")
    info = infos[0] if isinstance(infos, list) and infos and isinstance(infos[0], Mapping) else {}
    if text_of(info.get("mime")) not in KINDS:
        return None
    about = info.get("extmetadata")
    about = about if isinstance(about, Mapping) else {}
    title = text_of(page.get("title")).removeprefix("File:")
    here = f"https://commons.wikimedia.org/wiki/File:{quote(title)}"
    artist = CARD.split(said(about, "Artist"))[0].strip()
    born, died = life_in(artist)
    label = said(about, "LicenseShortName")
    # Of two licences, as of a painting and of its photograph, the freer one is the label.
    asks = said(about, "AttributionRequired").casefold() == "true"
    return Candidate(
        url=link_of(info.get("descriptionurl"), here),
        title=said(about, "ObjectName") or title.rpartition(".")[0] or title,
        artist=artist.partition("(")[0].strip(),
        # Behind its words a date has its code, in which "1920s" is 1920, a century its middle.
        year=last_year_in(said(about, "DateTimeOriginal").partition("date QS:")[0]),
        born=born,
        died=died,
        label=" ".join(
            each for each in (label, said(about, "LicenseUrl"), asks and "by attribution") if each
        ),
        is_open=label in FREE and not asks,
        pictures=_pictures(info, wanted.max_side),
        evidence=answer,
    )


def said(about: Mapping[str, Any], name: str) -> str:
    """A field of the metadata as text; it is HTML there."""
    field = about.get(name)
    value = text_of(field.get("value")) if isinstance(field, Mapping) else ""
    if "<" not in value and "&" not in value:
        return value
    return text_of(soup(value, name).get_text(" ", strip=True))


def _pictures(info: Mapping[str, Any], max_side: int) -> tuple[str, ...]:
    """The file itself, or a smaller copy first when it is larger than wanted."""
    full, thumbnail = text_of(info.get("url")), text_of(info.get("thumburl"))
    sides = [side for side in (info.get("width"), info.get("height")) if isinstance(side, int)]
    is_larger = max(sides, default=0) > max_side
    pictures = (thumbnail, full) if is_larger else (full, thumbnail)
    return tuple(dict.fromkeys(picture for picture in pictures if picture))


def estimate(ask: Ask, wanted: Wanted) -> Estimate:
    """By the first page of each: what lies in the categories below nobody can know."""
    answers = [ask(members(name, wanted.max_side, {})) for name in beginnings(wanted)]
    pages = [page for answer in answers for page in members_in(answer.text, answer.url)]
    below = sum(page.get("ns") == CATEGORY_SPACE for page in pages)
    totals = [len(pages) - below, 50 * below]
    found = listed_estimate(totals, 50, wanted, pages_each=0, picture_bytes=2_000_000)
    return Estimate(found.pages + below, found.pictures, found.bytes, f"{below} categories below")
