"""The Metropolitan Museum of Art: a search that gives numbers, and a record of each."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from machineray.collect.answers import Answer, Changed, Unfit
from machineray.collect.dates import Life, last_year_in, life_of
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
    link_of,
    listed_estimate,
    objects_of,
    parsed,
    qualified,
    require,
    text_of,
)

API = "https://collectionapi.metmuseum.org/public/collection/v1"
MODERN = 21  # the department of modern and contemporary art
TERMS = ("abstract", "abstraction")


def paintings(ask: Ask, wanted: Wanted) -> Iterator[Found]:
    """Paintings of the modern department by the search terms, or the artists that are wanted."""
    seen: set[int] = set()
    patience = Patience()
    for term in wanted.artists or TERMS:
        answer = ask(search(term))
        numbers = [n for n in numbers_in(answer.text, answer.url) if n not in seen]
        seen.update(numbers)
        for place, number in enumerate(numbers, 1):
            yield Step(f"“{term}”, {place} of {len(numbers)}")
            url = f"{API}/objects/{number}"
            try:
                record = ask(url)
            except Unfit as error:  # the search knows numbers that are no more
                yield Turned(url, str(error))
                continue
            try:
                row = record_in(record.text, url)
            except Changed as error:
                yield patience.turned(url, error)
                continue
            patience.restore()
            if is_painting(row):
                yield candidate(row, record, wanted)


def search(term: str) -> str:
    """The search: of three parameters one is ignored, so there are two."""
    return f"{API}/search?{urlencode({'departmentId': MODERN, 'q': term})}"


def numbers_in(text: str, where: str) -> list[int]:
    """The search's answer -> numbers of objects; none is null there."""
    value = parsed(text, where)
    if not isinstance(value, Mapping) or "objectIDs" not in value:
        raise changed(where, "“objectIDs”")
    numbers = value["objectIDs"] or []
    if not isinstance(numbers, list) or not all(isinstance(each, int) for each in numbers):
        raise changed(where, "numbers in “objectIDs”")
    return numbers


def record_in(text: str, where: str) -> Mapping[str, Any]:
    """An object's record."""
    value = parsed(text, where)
    if not isinstance(value, Mapping):
        raise changed(where, "an object in JSON")
    require(value, ("isPublicDomain", "primaryImage", "artistDisplayName", "objectName"), where)
    return value


def is_painting(row: Mapping[str, Any]) -> bool:
    """Whether the record is of a painting."""
    return (
        "painting"
        in (text_of(row.get("classification")) + text_of(row.get("objectName"))).casefold()
    )


def candidate(row: Mapping[str, Any], answer: Answer, wanted: Wanted) -> Candidate:
    """A record -> the painting. Its small picture is for who wants no more than 800 pixels."""
    large, small = text_of(row.get("primaryImage")), text_of(row.get("primaryImageSmall"))
    pictures = (small, large) if wanted.max_side <= 800 else (large, small)
    is_open, claim = row.get("isPublicDomain") is True, text_of(row.get("rightsAndReproduction"))
    label = "Public Domain (isPublicDomain: true)" if is_open else "isPublicDomain: false"
    born, died = life(row)
    return Candidate(
        url=link_of(row.get("objectURL"), answer.url),
        title=text_of(row.get("title")),
        artist=qualified(text_of(row.get("artistDisplayName")), row.get("artistPrefix")),
        year=last_year_in(row.get("objectEndDate"), row.get("objectDate")),
        born=born,
        died=died,
        label=f"{label} {claim}".strip(),
        is_open=is_open and not claim,
        pictures=tuple(picture for picture in pictures if picture),
        evidence=answer,
    )


def life(row: Mapping[str, Any]) -> Life:
    """(born, died) of the artist; the record tells one of several makers, so nothing then."""
    if len(objects_of(row.get("constituents"))) > 1:
        return None, None
    about = ("artistPrefix", "artistDisplayName", "artistDisplayBio", "artistSuffix")
    words = ", ".join(filter(None, (text_of(row.get(each)) for each in about)))
    return life_of(row.get("artistBeginDate"), row.get("artistEndDate"), words)


def estimate(ask: Ask, wanted: Wanted) -> Estimate:
    """By the search of each term: a record each, and few of them are open paintings."""
    answers = [ask(search(term)) for term in wanted.artists or TERMS]
    totals = [len(numbers_in(answer.text, answer.url)) for answer in answers]
    return listed_estimate(totals, 10**9, wanted, pages_each=1, picture_bytes=2_000_000)
