"""The Cleveland Museum of Art: its open API, in which every record of the list says CC0 or not."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from machineray.collect.answers import Answer, Changed, Unfit
from machineray.collect.dates import Life, last_year_in, life_of, together
from machineray.collect.painting import (
    Ask,
    Candidate,
    Estimate,
    Found,
    Step,
    Turned,
    Wanted,
)
from machineray.collect.sites.reading import (
    Patience,
    by_size,
    link_of,
    listed,
    listed_estimate,
    named,
    number_of,
    numbered_pages,
    objects_of,
    parsed,
    qualified,
    require,
    rows_of,
    text_of,
)

API = "https://openaccess-api.clevelandart.org/api/artworks/"
TERMS = ("abstract", "abstraction")
SINCE = 1905
ROWS = 100
LICENSE = "share_license_status"


def paintings(ask: Ask, wanted: Wanted) -> Iterator[Found]:
    """Open paintings since 1905 by the search terms, or by the artists that are wanted."""
    patience = Patience()
    for term in wanted.artists or TERMS:
        for number, (answer, total, rows) in enumerate(pages_of(ask, term)):
            yield Step(f"“{term}”, from {number * ROWS} of {total}")
            for row in rows:
                item = f"{answer.url} {row.get('id')}"
                try:
                    yield _complete(ask, row, answer, wanted)
                    patience.restore()
                except Changed as error:
                    yield patience.turned(item, error)
                except Unfit as error:
                    yield Turned(item, str(error))


def _complete(ask: Ask, row: Mapping[str, Any], answer: Answer, wanted: Wanted) -> Candidate:
    """The record as a candidate; a list may leave the licence out, then its own page is asked."""
    require(row, ("id",), answer.url)
    if row.get(LICENSE) is None:
        answer = ask(f"{API}{row['id']}")
        row = record_in(answer.text, answer.url)
    return candidate(row, answer, wanted)


def pages_of(ask: Ask, term: str) -> Iterator[tuple[Answer, int, list[Mapping[str, Any]]]]:
    """The pages of the list, each with the number of all records and its own."""
    return numbered_pages(ask, lambda number: search(term, number * ROWS), found_in)


def search(term: str, skip: int) -> str:
    """A page of the list."""
    query = {"q": term, "type": "Painting", "cc0": 1, "has_image": 1, "created_after": SINCE}
    return f"{API}?{urlencode({**query, 'limit': ROWS, 'skip': skip})}"


def found_in(text: str, where: str) -> tuple[int, list[Mapping[str, Any]]]:
    """A page of the list -> (how many there are in all, its records)."""
    fields = ("id", "title", "creators", "images")
    return listed(text, where, "data", fields, "info", "total")


def record_in(text: str, where: str) -> Mapping[str, Any]:
    """A record's own page."""
    (row,) = rows_of([parsed(text, where)], where)
    data = row.get("data", row)
    (record,) = rows_of([data], where)
    require(record, ("id", LICENSE, "images"), where)
    return record


def candidate(row: Mapping[str, Any], answer: Answer, wanted: Wanted) -> Candidate:
    """A record -> the painting."""
    makers = objects_of(row.get("creators"))
    born, died = together([_life(each) for each in makers])
    label, claim = text_of(row.get(LICENSE)), text_of(row.get("copyright"))
    return Candidate(
        url=link_of(row.get("url"), f"https://clevelandart.org/art/{row['id']}"),
        title=text_of(row.get("title")),
        artist=named(map(_name, makers)),
        year=last_year_in(row.get("creation_date_latest"), row.get("creation_date")),
        born=born,
        died=died,
        label=f"{label} {claim}".strip(),
        is_open=label == "CC0" and not claim,
        pictures=by_size(_sizes(row.get("images")), wanted.max_side),
        evidence=answer,
    )


def _name(maker: Mapping[str, Any]) -> str:
    name = text_of(maker.get("description")).partition("(")[0].strip()
    return qualified(name, maker.get("qualifier"), maker.get("extent"))


def _life(maker: Mapping[str, Any]) -> Life:
    about = ("qualifier", "extent", "description")
    words = " ".join(text_of(maker.get(each)) for each in about)
    return life_of(maker.get("birth_year"), maker.get("death_year"), words)


def _sizes(images: Any) -> list[tuple[str, int]]:
    """(address, longer side) of each size; the full one is a TIFF of any size."""
    found = []
    for each in images.values() if isinstance(images, Mapping) else ():
        if isinstance(each, Mapping) and text_of(each.get("url")):
            sides = (number_of(each.get("width")), number_of(each.get("height")))
            found.append((text_of(each["url"]), max(side or 0 for side in sides)))
    return found


def estimate(ask: Ask, wanted: Wanted) -> Estimate:
    """By the first page of each term."""
    terms = wanted.artists or TERMS
    totals = [found_in(a.text, a.url)[0] for a in (ask(search(term, 0)) for term in terms)]
    return listed_estimate(totals, ROWS, wanted, pages_each=0, picture_bytes=1_500_000)
