"""WikiArt: from its list of artists to paintings that are abstract and in the public domain.

Fewest questions first: the list of artists and the list of the genre, both JSON, and one page a
painting, because its label of rights stands nowhere else. Where the genre's list fails, or artists
are asked for by name, their lists and the facts of each work; where that JSON fails, the pages that
people read.
The preset is the article's of 2020: born after 1850, dead for 70 years, called abstract or
avant-garde, genre abstract; of the labels every one has to be "Public domain".
"""

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from machineray.collect.answers import Answer, Changed, PassingTrouble, Unfit
from machineray.collect.painting import (
    EARLIEST_BIRTH,
    Ask,
    Candidate,
    Estimate,
    Found,
    Said,
    Step,
    Turned,
    Wanted,
    is_named,
    plain,
)
from machineray.collect.sites.reading import Expected, Patience, changed, numbered_pages
from machineray.collect.sites.wikiart_pages import (
    GENRE,
    HOME,
    MARKS,
    Artist,
    PaintingPage,
    Work,
    artist_in_page,
    artists_in_json,
    artists_in_page,
    facts_in_json,
    listing_in_json,
    painting_in_page,
    works_in_json,
    works_in_page,
)

Value = TypeVar("Value")
LETTERS = (*"abcdefghijklmnopqrstuvwxyz", "0", "ø")
ARTISTS_JSON = f"{HOME}/en/App/Artist/AlphabetJson?v=new"
LISTED = 60  # works a page of a genre's list
ENOUGH = 0.9  # of the works that a list counts: it skips a few
# Of the whole site in July 2026 (SOURCES.md): works an artist; bytes of a page, packed, of a JSON
# and of a picture (164 KB in the median, but there are large ones).
WORKS_AN_ARTIST = 223_095 / 5_755
PAGE_BYTES, JSON_BYTES, PICTURE_BYTES, ALPHABET_BYTES = 20_000, 1_500, 250_000, 1_000_000


def is_wanted(artist: Artist, wanted: Wanted) -> bool:
    """Whether the dates, and the name, are those that are wanted; unknown dates are none."""
    return (
        not artist.is_living
        and artist.born is not None
        and artist.died is not None
        and artist.born > EARLIEST_BIRTH
        and artist.died < wanted.died_before
        and (not wanted.artists or any(_is_called(artist, name) for name in wanted.artists))
    )


def _is_called(artist: Artist, name: str) -> bool:
    return is_named(artist.name, name) or plain(artist.slug) == plain(name)


def _missed(listed: Sequence[Artist], wanted: Wanted) -> Iterator[Said]:
    """What there is to say of names that are asked for in vain."""
    for name in wanted.artists:
        called = [artist for artist in listed if _is_called(artist, name)]
        if not called:
            yield Said(f"wikiart: --artist {name}: nobody of that name is in its list")
        elif not any(is_wanted(artist, wanted) for artist in called):
            yield Said(
                f"wikiart: --artist {name}: nobody of that name was born after {EARLIEST_BIRTH} "
                f"and died before {wanted.died_before}"
            )


def paintings(ask: Ask, wanted: Wanted) -> Iterator[Found]:
    """The site's abstract paintings by artists of the preset, each at least once."""
    route = _Route(ask, wanted)
    listed = yield from route.artists()
    yield from _missed(listed, wanted)
    artists = {artist.slug: artist for artist in listed if is_wanted(artist, wanted)}
    # One artist's works are fewer than all of a genre.
    is_all = not wanted.artists and (yield from route.by_genre(artists))
    for artist in () if is_all else artists.values():
        yield Step(artist.name)
        if (yield from route.is_abstract(artist)):
            yield from route.by_artist(artist)
    yield from route.unmarked()


class _Route:
    """The way through the site: by its JSON, and by its pages from where that fails."""

    def __init__(self, ask: Ask, wanted: Wanted) -> None:
        self._ask, self._wanted = ask, wanted
        self.by_json = True
        self._patience = Patience()
        self._patience_with_lists = Patience()
        self._labels = Expected("a label of rights (copyright-wrapper)")
        self._genres = Expected("a genre (itemprop=genre)")
        self._movements = Expected("the artist's movement (wiki-layout-artist-info)")
        self._marks: dict[str, bool] = {}  # artist's slug -> is called abstract
        self._kept: Counter[str] = Counter()  # artist's slug -> paintings
        self._seen: set[str] = set()  # addresses of paintings

    def artists(self) -> Generator[Said, None, list[Artist]]:
        """Yields what there is to say, returns the artists."""
        try:
            return artists_in_json(self._ask(ARTISTS_JSON, "data").text, ARTISTS_JSON)
        except (Changed, Unfit) as error:
            yield self._without_json(error)
        artists: dict[str, Artist] = {}
        for letter in LETTERS:
            url = f"{HOME}/en/Alphabet/{_quoted(letter)}/text-list"
            try:
                found = artists_in_page(self._ask(url, "page").text, url)
            except PassingTrouble:
                raise
            except Unfit as error:  # "ø" and "0" may be no letters of theirs
                if letter.isascii() and letter.isalpha():
                    raise changed(url, f"an answer ({error})") from error
                continue
            artists |= {artist.slug: artist for artist in found}
        if not any(artist.born for artist in artists.values()):
            raise changed(url, "artists with life dates")
        return list(artists.values())

    def is_abstract(self, artist: Artist) -> Generator[Turned, None, bool]:
        """Whether the artist's page calls him or her abstract or avant-garde; asked once."""
        if artist.slug not in self._marks:
            self._marks[artist.slug] = False
            page = f"{HOME}/en/{_quoted(artist.slug)}"
            try:
                told = artist_in_page(self._ask(page, "page").text, page)
            except Changed as error:
                yield self._patience.turned(page, error)
            except Unfit as error:
                yield Turned(page, str(error))
            else:
                self._patience.restore()
                self._movements.look(told.has_movement or told.is_abstract, page)
                self._marks[artist.slug] = told.is_abstract
        return self._marks[artist.slug]

    def unmarked(self) -> Iterator[Said]:
        """That nobody is abstract, when nobody is: there is nothing then, and this is why."""
        if self._marks and not any(self._marks.values()):
            pages, marks = len(self._marks), " or ".join(MARKS[:2])
            yield Said(f"wikiart: none of the artists' pages ({pages}) speaks of {marks}")

    def by_genre(self, artists: Mapping[str, Artist]) -> Generator[Found, None, bool]:
        """The genre's list, 60 works a page, of which those by the artists are looked at.

        Returns whether that was all: the list may fail, or end before its own count.
        """
        if not self.by_json:
            return False
        count = total = 0
        pages = numbered_pages(
            self._ask, lambda number: listing(number + 1), listing_in_json, beyond=LISTED
        )
        while True:
            yield Step(f"{GENRE}, {count} of {total or '?'} works")
            try:
                _, total, works = next(pages, (None, total, []))
            except (Changed, Unfit) as error:
                words = f"wikiart: its list of {GENRE} works fails ({error}); on by artists"
                yield Said(words, error.url)
                return False
            if not works:
                break
            for slug, work in works:
                if slug in artists and (yield from self.is_abstract(artists[slug])):
                    yield from self._works(artists[slug], [work])
            count += len(works)
        if artists and not self._marks:
            yield Said(f"wikiart: its list of {GENRE} works names none of the artists; on by them")
            return False
        if count < total * ENOUGH:
            yield Said(f"wikiart: its list ends after {count} of {total} works; on by artists")
        return count >= total * ENOUGH and count > 0

    def by_artist(self, artist: Artist) -> Iterator[Found]:
        """One artist's paintings, by his or her lists."""
        slug = _quoted(artist.slug)
        if self.by_json:
            url = f"{HOME}/en/App/Painting/PaintingsByArtist?artistUrl={slug}&json=2"
            try:
                works = works_in_json(self._ask(url, "data").text, url)
                yield from self._works(artist, works)
                return
            except Changed as error:
                yield self._without_json(error)
            except Unfit as error:
                yield Said(f"wikiart: {artist.name} by pages: {error}")
        url = f"{HOME}/en/{slug}/all-works/text-list"
        try:
            listed = works_in_page(self._ask(url, "page").text, artist.slug, url)
        except Changed as error:
            yield self._patience_with_lists.turned(url, error)
            return
        except Unfit as error:
            yield Turned(url, str(error))
            return
        self._patience_with_lists.restore()
        yield from self._works(artist, listed)

    def _works(self, artist: Artist, works: list[Work]) -> Iterator[Found]:
        for work in works:
            if self._kept[artist.slug] == self._wanted.per_artist:
                return
            if not self._wanted.wants_year(work.year):
                continue
            yield from self._painting(artist, work)

    def _painting(self, artist: Artist, work: Work) -> Iterator[Found]:
        url, is_abstract = work.url, work.is_abstract
        try:
            if not url:
                facts = f"{HOME}/en/App/Painting/ImageJson/{work.number}"
                url, genres = facts_in_json(self._ask(facts, "data").text, facts)
                if GENRE not in genres:
                    return
                is_abstract = True
            if url in self._seen:
                return
            self._seen.add(url)
            answer = self._ask(url, "page")
        except Unfit as error:
            yield Turned(url or f"{artist.slug}/{work.number}", str(error))
            return
        try:
            page = painting_in_page(answer.text, url)
        except Changed as error:
            yield self._patience.turned(url, error)
            return
        self._patience.restore()
        if not is_abstract:
            self._genres.look(bool(page.genres), url)
        # The page has the word; where it has none, the list or the facts that led to it.
        if page.is_abstract or (is_abstract and not page.genres):
            self._labels.look(bool(page.labels), url)
            count = partial(self._kept.update, [artist.slug])
            yield replace(candidate(answer, page, artist, work), kept=count)

    def _without_json(self, error: Changed | Unfit) -> Said:
        self.by_json = False
        words = f"wikiart: its JSON fails ({error}); on by the pages that people read"
        return Said(words, error.url)


def candidate(answer: Answer, page: PaintingPage, artist: Artist, work: Work) -> Candidate:
    """What the crawl is told of a painting: pictures from the original down, some are missing."""
    original = page.picture
    return Candidate(
        url=answer.url,
        title=page.title or work.title,
        artist=page.artist or artist.name,
        year=page.year or work.year,
        born=artist.born,
        died=artist.died,
        label=" / ".join(page.labels),
        is_open=page.is_public_domain,
        pictures=(original, f"{original}!HD.jpg", f"{original}!Large.jpg"),
        evidence=answer,
    )


def listing(page: int) -> str:
    """A page of the genre's list."""
    return f"{HOME}/en/paintings-by-genre/{GENRE}?json=2&page={page}"


def estimate(ask: Ask, wanted: Wanted) -> Estimate:
    """By the list of artists, and the first page of the genre's list.

    The share of that page which is by wanted artists is taken for the share of all. Without it, as
    for artists by name, all works of the artists are counted.
    """
    route = _Route(ask, wanted)
    artists = {artist.slug for artist in _end_of(route.artists()) if is_wanted(artist, wanted)}
    listed = _first_listing(ask) if route.by_json and not wanted.artists else None
    if listed is None:
        pictures = round(len(artists) * WORKS_AN_ARTIST)
        lists = 2 * len(artists) + (pictures if route.by_json else 0)  # with the facts of each
    else:
        total, rows = listed
        pictures = round(total * sum(slug in artists for slug, _ in rows) / max(len(rows), 1))
        lists = -(-total // LISTED) + min(len(artists), pictures)
    if wanted.limit is not None and wanted.limit < pictures:
        lists, pictures = -(-lists * wanted.limit // pictures), wanted.limit
    size = ALPHABET_BYTES + lists * JSON_BYTES + pictures * (PAGE_BYTES + PICTURE_BYTES)
    words = f"{len(artists)} artists of those years; how many are abstract their pages tell"
    return Estimate(1 + lists + pictures, pictures, size, words)


def _end_of(route: Generator[Any, None, Value]) -> Value:
    """What a generator returns, without what it yields."""
    while True:
        try:
            next(route)
        except StopIteration as end:
            value: Value = end.value
            return value


def _first_listing(ask: Ask) -> tuple[int, list[tuple[str, Work]]] | None:
    try:
        return listing_in_json(ask(listing(1), "data").text, listing(1))
    except (Changed, Unfit):  # the crawl goes on by artists, too
        return None


def _quoted(slug: str) -> str:
    return quote(slug, safe="%-._~")
