"""The Rijksmuseum: Linked Art, four questions a painting; little of it is abstract.

A search by creator gives addresses; a record leads to what it shows, that to its rights and its
digital copy, and that to the picture.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from machineray.collect.answers import Answer, Changed, Unfit
from machineray.collect.dates import last_year_in
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
    changed,
    linked_pages,
    listed_estimate,
    number_of,
    objects_of,
    parsed,
    rows_of,
    text_of,
)

API = "https://data.rijksmuseum.nl/search/collection"
# No term of theirs means abstract: those of its painters who were.
CREATORS = (
    *("Piet Mondriaan", "Theo van Doesburg", "Bart van der Leck", "Jacoba van Heemskerck"),
    *("Wassily Kandinsky", "Paul Klee", "Otto Freundlich", "Erich Wichmann"),
)
FREE = re.compile(
    r"(public domain|publieke? domein)( mark)?( 1\.0)?"
    r"|cc0( 1\.0)?( universal)?( \(cc0 1\.0\))?( public domain dedication)?",
    re.I,
)


def paintings(ask: Ask, wanted: Wanted) -> Iterator[Found]:
    """The paintings of the creators, or of the wanted artists, that are shown with a picture."""
    patience = Patience()
    for creator in wanted.artists or CREATORS:
        for _, records in linked_pages(ask, search(creator), _turned):
            yield Step(creator)
            for record in records:
                try:
                    yield from _painting(ask, record, creator, wanted)
                    patience.restore()
                except Changed as error:
                    yield patience.turned(record, error)


def _turned(answer: Answer) -> tuple[list[str], str]:
    _, records, following = found_in(answer.text, answer.url)
    return records, following


def _painting(ask: Ask, url: str, creator: str, wanted: Wanted) -> Iterator[Found]:
    try:
        answer = ask(url)
        record = object_in(answer.text, url)
        shown = first_id(record.get("shows"))
        if not shown:
            yield Turned(url, f"{url}: shows nothing that has a picture")
            return
        visual_answer = ask(shown)
        visual = object_in(visual_answer.text, shown)
        digital = first_id(visual.get("digitally_shown_by"))
        picture = ""
        if digital and is_free(rights_of(visual)):  # else the last question is for nothing
            picture = first_id(object_in(ask(digital).text, digital).get("access_point"))
    except Unfit as error:
        yield Turned(url, str(error))
        return
    yield candidate(url, record, visual, visual_answer, picture, creator, wanted)


def search(creator: str) -> str:
    """The first page of a creator's paintings."""
    query = {"type": "painting", "creator": creator, "imageAvailable": "true"}
    return f"{API}?{urlencode(query)}"


def found_in(text: str, where: str) -> tuple[int, list[str], str]:
    """A page of the search -> (how many there are in all, addresses, the next page's or "")."""
    value = parsed(text, where)
    rows = rows_of(value, where, "orderedItems")
    part_of = value.get("partOf")
    total = number_of(part_of.get("totalItems")) if isinstance(part_of, Mapping) else None
    addresses = [text_of(row.get("id")) for row in rows]
    return total or len(rows), [each for each in addresses if each], first_id(value.get("next"))


def object_in(text: str, where: str) -> Mapping[str, Any]:
    """A record of Linked Art."""
    value = parsed(text, where)
    if not isinstance(value, Mapping) or "type" not in value:
        raise changed(where, "an object of Linked Art (“type”)")
    return value


def candidate(
    url: str,
    record: Mapping[str, Any],
    visual: Mapping[str, Any],
    evidence: Answer,
    picture: str,
    creator: str,
    wanted: Wanted,
) -> Candidate:
    """The records -> the painting; the artist's death would be a question more: not asked."""
    side = wanted.max_side
    sized = re.sub(r"/full/[^/]+/0/", f"/full/!{side},{side}/0/", picture)
    labels = rights_of(visual)
    return Candidate(
        url=url,
        title=name_of(record),
        artist=creator,
        year=year_of(record),
        label=" / ".join(labels),
        is_open=is_free(labels),
        pictures=tuple(dict.fromkeys(each for each in (sized, picture) if each)),
        evidence=evidence,
    )


def name_of(record: Mapping[str, Any]) -> str:
    """The first of its names."""
    names = [row for row in objects_of(record.get("identified_by")) if row.get("type") == "Name"]
    return next((text_of(row.get("content")) for row in names if row.get("content")), "")


def year_of(record: Mapping[str, Any]) -> int | None:
    """The year by which it was finished."""
    produced = objects_of(record.get("produced_by"))
    spans = [span for each in produced for span in objects_of(each.get("timespan"))]
    words = [
        text_of(name.get("content"))
        for span in spans
        for name in objects_of(span.get("identified_by"))
    ]
    return last_year_in(*words, *(span.get("end_of_the_end") for span in spans))


def rights_of(visual: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of its rights: "Public Domain", "Publieke domein", "CC0 1.0"."""
    names: list[str] = []
    for right in objects_of(visual.get("subject_to")):
        said = [text_of(name.get("content")) for name in objects_of(right.get("identified_by"))]
        names += [name for name in said if name] or ["a right without a name"]
    return tuple(dict.fromkeys(names))


def is_free(rights: Sequence[str]) -> bool:
    """Whether each of its rights is plainly public domain or CC0."""
    return bool(rights) and all(FREE.fullmatch(name) for name in rights)


def first_id(value: Any) -> str:
    """The first address in a field that is an object or a list of them; "" without."""
    return next((text_of(row.get("id")) for row in objects_of(value) if row.get("id")), "")


def estimate(ask: Ask, wanted: Wanted) -> Estimate:
    """By the first page of each creator."""
    answers = [ask(search(creator)) for creator in wanted.artists or CREATORS]
    totals = [found_in(answer.text, answer.url)[0] for answer in answers]
    return listed_estimate(totals, 100, wanted, pages_each=3, picture_bytes=1_000_000)
