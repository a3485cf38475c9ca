"""The National Gallery of Denmark (SMK): one list whose records hold all that is needed."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from machineray.collect.answers import Answer
from machineray.collect.dates import Life, last_year_in, life_of, together
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
    named,
    numbered_pages,
    objects_of,
    qualified,
    text_of,
)

API = "https://api.smk.dk/api/v1/art/search/"
TERMS = ("abstract", "abstrakt", "komposition")
ROWS = 100
FREE = re.compile(
    r"https?://creativecommons\.org/(publicdomain/(mark|zero)/1\.0/?([\w.]*)"
    r"|share-your-work/public-domain/cc0/?)"
)


def paintings(ask: Ask, wanted: Wanted) -> Iterator[Found]:
    """Works in the public domain with a picture, by the search terms or by artists."""
    for term in wanted.artists or TERMS:
        for number, (answer, total, rows) in enumerate(pages_of(ask, term)):
            yield Step(f"“{term}”, from {number * ROWS} of {total}")
            for row in rows:
                if is_painting(row):
                    yield candidate(row, answer, wanted)


def pages_of(ask: Ask, term: str) -> Iterator[tuple[Answer, int, list[Mapping[str, Any]]]]:
    """The pages of the list, each with the number of all records and its own."""
    return numbered_pages(ask, lambda number: search(term, number * ROWS), found_in)


def search(term: str, offset: int) -> str:
    """A page of the list."""
    query = {
        "keys": term,
        "filters": "[has_image:true],[public_domain:true]",
        "offset": offset,
        "rows": ROWS,
        "lang": "en",
    }
    return f"{API}?{urlencode(query)}"


def found_in(text: str, where: str) -> tuple[int, list[Mapping[str, Any]]]:
    """A page of the list -> (how many there are in all, its records)."""
    fields = ("object_number", "titles", "public_domain")
    return listed(text, where, "items", fields, "found")


def is_painting(row: Mapping[str, Any]) -> bool:
    """Whether its names, where it has any, call it a painting ("maleri")."""
    names = [text_of(each.get("name")) for each in objects_of(row.get("object_names"))]
    return not names or any(re.search("maleri|painting", name, re.I) for name in names)


def candidate(row: Mapping[str, Any], answer: Answer, wanted: Wanted) -> Candidate:
    """A record -> the painting: free when the flag and the address of the rights say so."""
    makers = objects_of(row.get("production"))
    born, died = together([_life(each) for each in makers])
    titles = [text_of(each.get("title")) for each in objects_of(row.get("titles"))]
    dates = objects_of(row.get("production_date"))
    rights, number = text_of(row.get("rights")), text_of(row.get("object_number"))
    iiif, side = text_of(row.get("image_iiif_id")), wanted.max_side
    pictures = (
        f"{iiif}/full/!{side},{side}/0/default.jpg" if iiif else "",
        row.get("image_native"),
    )
    return Candidate(
        url=f"https://open.smk.dk/artwork/image/{number}",
        title=next((title for title in titles if title), ""),
        artist=named(map(_name, makers)),
        year=last_year_in(*(each.get(name) for each in dates for name in ("end", "period"))),
        born=born,
        died=died,
        label=rights or f"public_domain: {str(row.get('public_domain')).lower()}",
        is_open=row.get("public_domain") is True and bool(FREE.fullmatch(rights)),
        pictures=tuple(text_of(picture) for picture in pictures if text_of(picture)),
        evidence=answer,
        museum="SMK",
    )


def _name(maker: Mapping[str, Any]) -> str:
    name = turned(text_of(maker.get("creator")))
    return qualified(name, maker.get("creator_role"), maker.get("creator_qualifier"))


def _life(maker: Mapping[str, Any]) -> Life:
    born, died = maker.get("creator_date_of_birth"), maker.get("creator_date_of_death")
    about = ("creator_role", "creator_qualifier", "creator")
    return life_of(born, died, " ".join(text_of(maker.get(each)) for each in about))


def turned(name: str) -> str:
    """ "Giersing, Harald" -> "Harald Giersing"."""
    last, comma, first = name.partition(",")
    return f"{first.strip()} {last.strip()}" if comma else name


def estimate(ask: Ask, wanted: Wanted) -> Estimate:
    """By the first page of each term."""
    answers = [ask(search(term, 0)) for term in wanted.artists or TERMS]
    totals = [found_in(answer.text, answer.url)[0] for answer in answers]
    return listed_estimate(totals, ROWS, wanted, pages_each=0, picture_bytes=1_000_000)
