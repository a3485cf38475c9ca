"""WikiArt's pages and JSON: text in, records out. What is not there any more is said in words."""

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from machineray.collect.dates import WORKING, Life, last_year_in, year_in
from machineray.collect.sites.reading import (
    changed,
    number_of,
    parsed,
    require,
    rows_of,
    soup,
    text_of,
)

HOME = "https://www.wikiart.org"
MARKS = ("abstract", "avant-garde", "avant garde")
GENRE = "abstract"
PUBLIC_DOMAIN = "Public domain"


@dataclass(frozen=True)
class Artist:
    """An artist's slug, name and dates, as far as the list tells them."""

    slug: str
    name: str
    born: int | None = None
    died: int | None = None
    is_living: bool = False


@dataclass(frozen=True)
class Work:
    """A work in a list: its number (of the JSON) or its address; if the list is the genre's."""

    title: str
    year: int | None
    number: int | None = None
    url: str = ""
    is_abstract: bool = False


@dataclass(frozen=True)
class ArtistPage:
    """What an artist's page tells: whether anything calls him or her abstract or avant-garde."""

    is_abstract: bool
    has_movement: bool


@dataclass(frozen=True)
class PaintingPage:
    """What a painting's page tells."""

    title: str
    artist: str
    year: int | None
    genres: tuple[str, ...]
    labels: tuple[str, ...]
    is_public_domain: bool
    picture: str

    @property
    def is_abstract(self) -> bool:
        """Whether any of its genres is abstract."""
        return GENRE in self.genres


def artists_in_json(text: str, where: str) -> list[Artist]:
    """AlphabetJson -> its artists; Changed when it is something else."""
    rows = rows_of(parsed(text, where), where)
    if not rows:
        raise changed(where, "any artist")
    for row in rows[:1]:
        require(row, ("artistName", "url", "deathDayAsString"), where)
    artists = [_artist(row) for row in rows if text_of(row.get("url"))]
    if not any(artist.born for artist in artists):
        raise changed(where, "artists with life dates")
    return artists


def _artist(row: Mapping[str, Any]) -> Artist:
    told, death = row.get("deathDayAsString"), str(row.get("deathDay") or "")
    slug = text_of(row["url"]).removeprefix("/en/").strip("/")
    return Artist(
        slug,
        text_of(row.get("artistName")) or slug,
        year_in(row.get("birthDayAsString")) or _ticks_year(row.get("birthDay")),
        last_year_in(told) if year_in(told) else _ticks_year(death),
        "253402300799" in death,  # 9999-12-31
    )


def _ticks_year(text: Any) -> int | None:
    """The year of "/Date(-1828051200000)/"; None for year 1 and 9999: unknown, living."""
    match = re.fullmatch(r"/Date\((-?\d{1,15})\)/", str(text or ""))
    if not match:
        return None
    try:
        year = (datetime(1970, 1, 1) + timedelta(milliseconds=int(match[1]))).year
    except OverflowError:
        return None
    return year if 1000 <= year <= 2100 else None


def artists_in_page(text: str, where: str) -> list[Artist]:
    """A letter's text-list -> its artists; Changed when the list is not there.

    Dates stand in the first span, the number of works in the last: ", 1866 - 1944", ", 3 artworks".
    Without spans each (2020's pages) the row's text is taken.
    """
    page = soup(text, where)
    box = page.select_one(".masonry-text-view, .alphabet-container-text")
    if box is None:
        raise changed(where, "the list of artists (masonry-text-view)")
    artists = []
    rows = box.select("li")
    for row in rows:
        link = row.select_one('a[href^="/en/"]')
        if link is None:
            continue
        slug, name = str(link["href"]).removeprefix("/en/").strip("/"), _words(link)
        dates = next((s for s in map(_words, row.select("span")) if not _is_count(s)), "")
        if not row.select("span"):
            dates = re.sub(r",[^,]*artworks?\s*$", "", _words(row).removeprefix(name))
        artists.append(Artist(slug, name, *_life(dates)))
    if rows and not artists:
        raise changed(where, "links to artists (/en/…)")
    return artists


def _is_count(words: str) -> bool:
    return bool(re.search(r"artworks?$", words))


def _life(dates: str) -> Life:
    """(born, died) of ", 1866 - 1944", ", c.1900 - ?"; not of "active 1900 - 1944"."""
    if WORKING.search(dates):
        return None, None
    before, dash, after = dates.strip(" ,").replace("–", "-").partition("-")
    return year_in(before), last_year_in(after) if dash else None


def artist_in_page(text: str, where: str) -> ArtistPage:
    """An artist's page -> what the facts and the biography say.

    Menus and styles of the whole site stand around them.
    """
    page = soup(text, where)
    facts = page.select(".wiki-layout-artist-info")
    if not facts:
        raise changed(where, "the artist's facts (wiki-layout-artist-info)")
    about = [*facts, *page.select(".wiki-layout-artist-info-tab, [itemprop=description]")]
    said = " ".join(map(_words, about)).casefold()
    has_movement = any("movement" in _words(each).casefold() for each in facts)
    return ArtistPage(any(mark in said for mark in MARKS), has_movement)


def works_in_json(text: str, where: str) -> list[Work]:
    """PaintingsByArtist -> its works."""
    rows = rows_of(parsed(text, where), where)
    for row in rows[:1]:
        require(row, ("contentId", "title"), where)
    works = []
    for row in rows:
        number = row.get("contentId")  # may exceed 2^53: Python's int takes it
        year = last_year_in(row.get("completitionYear"), row.get("yearAsString"))
        if isinstance(number, int):
            works.append(Work(text_of(row.get("title")), year, number))
    if rows and not works:
        raise changed(where, "numbers in “contentId”")
    return works


def listing_in_json(text: str, where: str) -> tuple[int, list[tuple[str, Work]]]:
    """A page of a genre's list -> (how many works there are in all, [(artist's slug, work), …]).

    Past the end "Paintings" is null.
    """
    value = parsed(text, where)
    if isinstance(value, Mapping) and "Paintings" in value and value["Paintings"] is None:
        return number_of(value.get("AllPaintingsCount")) or 0, []
    rows = rows_of(value, where, "Paintings")
    for row in rows[:1]:
        require(row, ("paintingUrl", "artistUrl", "title"), where)
    works = []
    for row in rows:
        url, artist = text_of(row.get("paintingUrl")), text_of(row.get("artistUrl"))
        if url.startswith("/en/") and artist.startswith("/en/"):
            year = last_year_in(row.get("year"))
            work = Work(text_of(row.get("title")), year, url=HOME + url, is_abstract=True)
            works.append((artist.removeprefix("/en/").strip("/"), work))
    if rows and not works:
        raise changed(where, "addresses (/en/…) in “paintingUrl” and “artistUrl”")
    return number_of(value.get("AllPaintingsCount")) or 0, works


def works_in_page(text: str, slug: str, where: str) -> list[Work]:
    """An artist's all-works text-list -> its works, each once; Changed when it has others."""
    page = soup(text, where)
    lists = page.select("ul.painting-list-text")
    works: dict[str, Work] = {}
    for each in lists or page.select("main"):
        for row in each.select("li"):
            link = row.select_one("a[href]")
            if link is None or not str(link["href"]).startswith(f"/en/{slug}/"):
                continue
            span = row.select_one("span")
            year = last_year_in(_words(span)) if span else None
            url = HOME + str(link["href"])
            works.setdefault(url, Work(_words(link), year, url=url))
    is_empty = lists and not any(map(_words, lists))
    if not works and not is_empty:
        raise changed(where, f"the list of works (painting-list-text, links to /en/{slug}/…)")
    return list(works.values())


def facts_in_json(text: str, where: str) -> tuple[str, tuple[str, ...]]:
    """ImageJson -> (the painting's address, its genres)."""
    row = parsed(text, where)
    if not isinstance(row, Mapping):
        raise changed(where, "an object in JSON")
    require(row, ("url", "artistUrl", "genre"), where)
    url, artist = text_of(row["url"]), text_of(row["artistUrl"]).removeprefix("/en/")
    if not url.startswith("/en/"):
        url = f"/en/{artist.strip('/')}/{url.strip('/')}"
    return HOME + url, genres_of(text_of(row["genre"]))


def genres_of(text: str) -> tuple[str, ...]:
    """The genres in "sculpture, sketch and study": each by a comma, of which one has its "and"."""
    return tuple(name for name in (part.strip().casefold() for part in text.split(",")) if name)


def painting_in_page(text: str, where: str) -> PaintingPage:
    """A painting's page -> what it tells; Changed when there is no picture on it.

    Public domain is what bears labels that are all exactly "Public domain", each with its icon.
    """
    page = soup(text, where)
    shown = page.select_one('meta[property="og:image"]')
    data = _painting_json(page)
    picture = str(shown.get("content") or "") if shown else text_of(data.get("image"))
    if not picture:
        raise changed(where, "a picture (og:image, paintingJson)")
    boxes = page.select(".copyright-wrapper .copyright")
    labels = tuple(_words(box) for box in boxes)
    icons = all(box.select_one("i.copyright-icon-public-domain") for box in boxes)
    date = page.select_one("[itemprop=dateCreated]")
    creator = page.select_one("[itemprop=creator]")
    title = page.select_one("article h3, h3")
    return PaintingPage(
        title=text_of(data.get("title")) or (_words(title) if title else ""),
        artist=text_of(data.get("artistName")) or (_words(creator) if creator else ""),
        year=last_year_in(data.get("year"), _words(date) if date else None),
        genres=_page_genres(page),
        labels=labels,
        is_public_domain=bool(labels) and icons and all(each == PUBLIC_DOMAIN for each in labels),
        picture=picture.partition("!")[0],
    )


def _painting_json(page: Any) -> Mapping[str, Any]:
    for box in page.select("[ng-init]"):
        _, sign, text = str(box["ng-init"]).partition("paintingJson =")
        if sign:
            try:
                value, _ = json.JSONDecoder().raw_decode(html.unescape(text).strip())
            except (ValueError, RecursionError):
                return {}
            return value if isinstance(value, Mapping) else {}
    return {}


def _page_genres(page: Any) -> tuple[str, ...]:
    found = [_words(each).casefold() for each in page.select("[itemprop=genre]")]
    for link in page.select('a[href*="/paintings-by-genre/"]'):
        if link.find_parent("li", class_="dictionary-values") is not None:  # not the site's menu
            found.append(str(link["href"]).rstrip("/").rpartition("/")[2].casefold())
    return tuple(dict.fromkeys(found))


def _words(tag: Any) -> str:
    return text_of(tag.get_text(" ", strip=True))
