"""WikiArt: from its list of artists to paintings that are abstract and in the public domain.

Fewest pages first: the site's JSON for artists, works and facts, and one page a painting, because
its label of rights stands nowhere else. Where a JSON no longer answers, the pages that people read.
The preset is the article's of 2020: born after 1850, dead for 70 years, called abstract or
avant-garde, genre abstract; of the labels every one has to be "Public domain".
"""

from collections.abc import Generator, Iterator
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
    plain,
)
from machineray.collect.sites.reading import Patience, changed
from machineray.collect.sites.wikiart_pages import (
    GENRE,
    HOME,
    Artist,
    PaintingPage,
    Work,
    artists_in_json,
    artists_in_page,
    facts_in_json,
    is_marked_abstract,
    painting_in_page,
    works_in_json,
    works_in_page,
)

LETTERS = (*"abcdefghijklmnopqrstuvwxyz", "0", "ø")
ARTISTS_JSON = f"{HOME}/en/App/Artist/AlphabetJson?v=new"
UNLABELLED = 10  # pages without any label, and none with: the markup has changed
# Of the whole site in July 2026 (SOURCES.md): works an artist, the share of them that is abstract,
# bytes of a page and of the median picture.
WORKS_AN_ARTIST, ABSTRACT_SHARE = 223_095 / 5_755, 18_739 / 223_095
PAGE_BYTES, JSON_BYTES, PICTURE_BYTES, ALPHABET_BYTES = 20_000, 1_500, 250_000, 1_000_000


def is_wanted(artist: Artist, wanted: Wanted) -> bool:
    """Whether the dates, and the name, are those that are wanted; unknown dates are none."""
    return (
        not artist.is_living
        and artist.born is not None
        and artist.died is not None
        and artist.born > EARLIEST_BIRTH
        and artist.died < wanted.died_before
        and (wanted.wants_artist(artist.name) or plain(artist.slug) in map(plain, wanted.artists))
    )


def paintings(ask: Ask, wanted: Wanted) -> Iterator[Found]:
    """The site's abstract paintings by artists of the preset, artist by artist."""
    route = _Route(ask, wanted)
    for artist in (yield from route.artists()):
        if not is_wanted(artist, wanted):
            continue
        yield Step(artist.name)
        page = f"{HOME}/en/{_quoted(artist.slug)}"
        try:
            if not is_marked_abstract(ask(page, "page").text, page):
                continue
        except Changed as error:
            yield route.patience.turned(page, error)
            continue
        except Unfit as error:
            yield Turned(page, str(error))
            continue
        yield from route.paintings_of(artist)


class _Route:
    """The way through the site: by its JSON, and by its pages from where that fails."""

    def __init__(self, ask: Ask, wanted: Wanted) -> None:
        self._ask, self._wanted = ask, wanted
        self._by_json = True
        self.patience = Patience()
        self._unlabelled: int | None = 0  # None: a label was seen

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
        return list(artists.values())

    def paintings_of(self, artist: Artist) -> Iterator[Found]:
        """One artist's paintings; what its JSON gave before it failed comes a second time."""
        slug = _quoted(artist.slug)
        if self._by_json:
            url = f"{HOME}/en/App/Painting/PaintingsByArtist?artistUrl={slug}&json=2"
            try:
                works = works_in_json(self._ask(url, "data").text, url)
                yield from self._paintings(artist, works)
                return
            except Changed as error:
                yield self._without_json(error)
            except Unfit as error:
                yield Said(f"wikiart: {artist.name} by pages: {error}")
        url = f"{HOME}/en/{slug}/all-works/text-list"
        try:
            listed = works_in_page(self._ask(url, "page").text, artist.slug, url)
        except Unfit as error:
            yield Turned(url, str(error))
            return
        yield from self._paintings(artist, listed)

    def _paintings(self, artist: Artist, works: list[Work]) -> Iterator[Found]:
        kept = 0
        for work in works:
            if not self._wanted.wants_year(work.year):
                continue
            for found in self._painting(artist, work):
                yield found
                kept += isinstance(found, Candidate) and found.is_open
            if self._wanted.per_artist is not None and kept >= self._wanted.per_artist:
                return

    def _painting(self, artist: Artist, work: Work) -> Iterator[Found]:
        url = work.url
        is_abstract = False
        try:
            if not url:
                facts = f"{HOME}/en/App/Painting/ImageJson/{work.number}"
                url, genres = facts_in_json(self._ask(facts, "data").text, facts)
                if GENRE not in genres:
                    return
                is_abstract = True
            answer = self._ask(url, "page")
        except Unfit as error:
            yield Turned(url or f"{artist.slug}/{work.number}", str(error))
            return
        try:
            page = painting_in_page(answer.text, url)
        except Changed as error:
            yield self.patience.turned(url, error)
            return
        self.patience.restore()
        if page.is_abstract or is_abstract:
            self._check_labels(page, url)
            yield candidate(answer, page, artist, work)

    def _check_labels(self, page: PaintingPage, url: str) -> None:
        """Changed when no page has a label: one without may be, ten and none with are no chance."""
        if page.labels:
            self._unlabelled = None
        elif self._unlabelled is not None:
            self._unlabelled += 1
            if self._unlabelled >= UNLABELLED:
                raise changed(url, "a label of rights (copyright-wrapper), nor had those before it")

    def _without_json(self, error: Exception) -> Said:
        self._by_json = False
        return Said(
            f"wikiart: its JSON does not help any more ({error}); on by its pages, which are about "
            f"{1 / ABSTRACT_SHARE:.0f} a painting"
        )


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


def estimate(ask: Ask, wanted: Wanted) -> Estimate:
    """By one page, the list of artists, and the site's averages of July 2026."""
    text = ask(ARTISTS_JSON, "data").text
    artists = sum(is_wanted(artist, wanted) for artist in artists_in_json(text, ARTISTS_JSON))
    works = round(artists * WORKS_AN_ARTIST)
    pictures = round(works * ABSTRACT_SHARE)
    if wanted.limit is not None and wanted.limit < pictures:
        share = wanted.limit / pictures
        artists, works, pictures = round(artists * share) + 1, round(works * share), wanted.limit
    pages = 1 + 2 * artists + works + pictures
    size = ALPHABET_BYTES + artists * 2 * PAGE_BYTES + works * JSON_BYTES
    return Estimate(
        pages,
        pictures,
        size + pictures * (PAGE_BYTES + PICTURE_BYTES),
        f"{artists} artists of those years; how many are abstract their pages tell",
    )


def _quoted(slug: str) -> str:
    return quote(slug, safe="%-._~")
