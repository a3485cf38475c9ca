"""The words between a site, the crawl and the ledger: what is wanted, and what was found."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from machineray.collect.answers import Answer, Kind

EARLIEST_BIRTH = 1850  # of whom WikiArt's preset takes, as in 2020: born after it
LIFE_YEARS, US_YEARS = 70, 95
UNKNOWN = frozenset(("unknown", "unidentified", "anonymous", "anoniem", "onbekend", "ukendt"))


class Ask(Protocol):
    """How a site is asked: an address and what is expected there -> the answer."""

    def __call__(self, url: str, kind: Kind = "data") -> Answer:
        """Raises what `fetch.Web.ask` raises."""


@dataclass(frozen=True)
class Wanted:
    """What a person wants of a site; years are exclusive: 1956 takes who died in 1955.

    `year` is the one in which the question is asked: rights end with a year.
    """

    year: int
    died_before: int
    limit: int | None = None
    per_artist: int | None = None
    artists: tuple[str, ...] = ()
    year_before: int | None = None
    max_side: int = 4096

    @property
    def us_before(self) -> int:
        """What was published before this year is free in the United States."""
        return self.year - US_YEARS

    def wants_artist(self, name: str) -> bool:
        """Whether the name has every word of a wanted one; any has, when none is wanted."""
        return not self.artists or any(is_named(name, each) for each in self.artists)

    def wants_year(self, year: int | None) -> bool:
        """Whether it was painted in time; without a year only when no year is asked for."""
        return self.year_before is None or (year is not None and year < self.year_before)


@dataclass(frozen=True)
class Candidate:
    """A painting on a site, with what the site says about its rights.

    `pictures`: addresses, the best first. `is_open`: the label says that anybody may use it;
    `label` is that label, word for word. `evidence` is the answer in which it stands.
    `year` is the last in which it may have been made, `died` the last death of its makers: None
    where nobody tells it, of one of them even. `kept` is called when the painting is stored.
    """

    url: str
    title: str
    artist: str
    evidence: Answer
    label: str
    is_open: bool
    pictures: tuple[str, ...]
    year: int | None = None
    born: int | None = None
    died: int | None = None
    museum: str = ""
    kept: Callable[[], object] = field(default=lambda: None, compare=False)


@dataclass(frozen=True)
class Turned:
    """A painting, or a part of a site, that is left out, and why.

    `odd` is the answer that is not as we know it: the next time it is asked for again.
    """

    item: str
    reason: str
    odd: str = ""


@dataclass(frozen=True)
class Said:
    """A sentence for the user; `odd` as of `Turned`."""

    text: str
    odd: str = ""


@dataclass(frozen=True)
class Step:
    """Where the crawl is, for whoever waits: an artist, a page of a list."""

    text: str


Found = Candidate | Turned | Said | Step


@dataclass(frozen=True)
class Estimate:
    """What a crawl would ask for, at most; `paintings` None where nobody can know."""

    pages: int
    pictures: int
    bytes: int
    text: str


@dataclass(frozen=True)
class Site:
    """One row of `sites.table.SITES`: a place of paintings, its terms, and how it is read.

    `home` is what --source-url replaces. `seconds` lie between two requests to one host.
    `open_api`: addresses that are offered to programs: their terms count, not robots.txt.
    """

    name: str
    title: str
    home: str
    hosts: tuple[str, ...]
    seconds: float
    rights: str
    terms: str
    terms_url: str
    paintings: Callable[[Ask, Wanted], Iterator[Found]]
    estimate: Callable[[Ask, Wanted], Estimate]
    open_api: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def plain(text: str) -> str:
    """Small letters of any script without accents: "František Kupka" is "frantisek-kupka"."""
    flat = unicodedata.normalize("NFKD", text.casefold().replace("ø", "o").replace("ł", "l"))
    return " ".join(
        re.findall(r"[^\W_]+", "".join(c for c in flat if not unicodedata.combining(c)))
    )


def is_named(name: str, wanted: str) -> bool:
    """Whether the name has every word of the wanted one, which has some."""
    words = set(plain(wanted).split())
    return bool(words) and words <= set(plain(name).split())


def artist_key(name: str) -> str:
    """By what an artist's paintings are counted; "" for who is unknown: those are many."""
    key = plain(name)
    return "" if UNKNOWN.intersection(key.split()) else key
