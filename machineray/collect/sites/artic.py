"""The Art Institute of Chicago: its open API, and its IIIF server, which often refuses programs."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from machineray.collect.answers import Answer
from machineray.collect.dates import last_year_in, life_in
from machineray.collect.painting import (
    Ask,
    Candidate,
    Estimate,
    Found,
    Step,
    Wanted,
)
from machineray.collect.sites.reading import (
    listed,
    listed_estimate,
    number_of,
    numbered_pages,
    text_of,
)

API = "https://api.artic.edu/api/v1/artworks/search"
IIIF = "https://www.artic.edu/iiif/2"
TERMS = ("abstract", "abstraction")
ROWS = 100
PAGES = 10  # the search ends after 1,000
FIELDS = (
    *("id", "title", "artist_title", "artist_display", "date_end", "date_display"),
    *("artist_titles", "image_id", "is_public_domain", "style_title", "artwork_type_title"),
    "copyright_notice",
)


def paintings(ask: Ask, wanted: Wanted) -> Iterator[Found]:
    """Paintings in the public domain, best matches first."""
    for term in wanted.artists or TERMS:
        for number, (answer, _, rows) in enumerate(pages_of(ask, term), 1):
            yield Step(f"“{term}”, page {number}")
            for row in rows:
                if "painting" in text_of(row.get("artwork_type_title")).casefold():
                    yield candidate(row, answer, wanted)


def pages_of(ask: Ask, term: str) -> Iterator[tuple[Answer, int, list[Mapping[str, Any]]]]:
    """The pages of the search, each with the number of all records and its own."""
    return numbered_pages(ask, lambda number: search(term, number + 1), found_in, most=PAGES)


def search(term: str, page: int) -> str:
    """A page of the search, from 1 on: the words rank, the filter filters."""
    query = {
        "q": term,
        "query[bool][must][0][term][is_public_domain]": "true",
        "query[bool][must][1][term][artwork_type_title.keyword]": "Painting",
        "fields": ",".join(FIELDS),
        "limit": ROWS,
        "page": page,
    }
    return f"{API}?{urlencode(query)}"


def found_in(text: str, where: str) -> tuple[int, list[Mapping[str, Any]]]:
    """A page of the list -> (how many there are in all, its records)."""
    fields = ("id", "title", "image_id", "is_public_domain", "artwork_type_title")
    return listed(text, where, "data", fields, "pagination", "total")


def candidate(row: Mapping[str, Any], answer: Answer, wanted: Wanted) -> Candidate:
    """A record -> the painting; its dates stand in words, after the artist's name."""
    shown = text_of(row.get("artist_display"))
    makers = row.get("artist_titles")
    name, count = text_of(row.get("artist_title")), len(makers) if isinstance(makers, list) else 1
    born, died = life_in(shown, count) if name else (None, None)  # else of a people or a place
    image, side = text_of(row.get("image_id")), wanted.max_side
    sizes = (f"!{side},{side}", "843,") if image else ()
    is_open, claim = row.get("is_public_domain") is True, text_of(row.get("copyright_notice"))
    label = "Public domain (is_public_domain: true)" if is_open else "is_public_domain: false"
    return Candidate(
        url=f"https://www.artic.edu/artworks/{number_of(row.get('id'))}",
        title=text_of(row.get("title")),
        artist=name or shown,
        year=last_year_in(row.get("date_end"), row.get("date_display")),
        born=born,
        died=died,
        label=f"{label} {claim}".strip(),
        is_open=is_open and not claim,
        pictures=tuple(f"{IIIF}/{image}/full/{size}/0/default.jpg" for size in sizes),
        evidence=answer,
    )


def estimate(ask: Ask, wanted: Wanted) -> Estimate:
    """By the first page of each term."""
    answers = [ask(search(term, 1)) for term in wanted.artists or TERMS]
    totals = [min(found_in(a.text, a.url)[0], ROWS * PAGES) for a in answers]
    return listed_estimate(totals, ROWS, wanted, pages_each=0, picture_bytes=500_000)
