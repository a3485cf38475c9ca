"""WikiArt: its captured lists read, its pages gone through with few questions, its changes said."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from machineray.collect.answers import Answer, Changed, Unfit, answer_of
from machineray.collect.painting import Candidate, Said, Turned, Wanted
from machineray.collect.sites import wikiart_pages
from machineray.collect.sites.wikiart import estimate, is_wanted, paintings
from machineray.collect.sites.wikiart_pages import (
    Artist,
    artist_in_page,
    artists_in_json,
    artists_in_page,
    facts_in_json,
    genres_of,
    listing_in_json,
    painting_in_page,
    works_in_json,
    works_in_page,
)
from tests.collect import site
from tests.collect.site import spoil

WANTED = Wanted(year=2026, died_before=1956)
HOME = wikiart_pages.HOME


@pytest.fixture
def samples(shared: Path) -> Callable[[str], str]:
    """The text of one of the captured pages."""
    return lambda name: (shared / "sources" / "wikiart-samples" / name).read_text("utf-8")


# -- the captured pages


@pytest.mark.parametrize(
    ("name", "slug", "count", "undated"),
    [
        ("kandinsky_abstract", "wassily-kandinsky", 135, 0),
        ("van_gogh", "vincent-van-gogh", 1928, 3),
        ("rothko", "mark-rothko", None, None),
        ("kandinsky", "wassily-kandinsky", None, None),
    ],
)
def test_the_captured_lists_of_works_are_read_whole(
    name: str, slug: str, count: int | None, undated: int | None, samples: Callable[[str], str]
) -> None:
    text = samples(f"all-works-text-list__{name}.html")
    works = works_in_page(text, slug, "here")
    rows = text.count("painting-list-text-row")
    links = len(set(site.re.findall(rf'href="(/en/{slug}/[^"]+)"', text)))
    assert len(works) == links
    assert count is None or rows == count
    assert all(work.url.startswith(f"{HOME}/en/{slug}/") and work.title for work in works)
    assert undated is None or sum(work.year is None for work in works) == undated


def test_the_captured_entries_of_artists_are_read(samples: Callable[[str], str]) -> None:
    pollock, monet = artists_in_json(samples("AlphabetJson__entries.json"), "here")
    assert pollock == Artist("jackson-pollock", "Jackson Pollock", 1912, 1956)
    assert monet == Artist("claude-monet", "Claude Monet", 1840, 1926)
    assert not is_wanted(pollock, WANTED)  # not free before 2027
    assert is_wanted(pollock, Wanted(year=2027, died_before=1957))
    assert not is_wanted(monet, WANTED)  # born before 1850


def test_the_reconstructed_pages_are_read(samples: Callable[[str], str]) -> None:
    first, second = artists_in_page(samples("reconstructed__alphabet-text-list.html"), "here")
    assert first == Artist("wassily-kandinsky", "Wassily Kandinsky", 1866, 1944)
    assert second == Artist("some-anonymous", "Artist without life dates")
    page = painting_in_page(samples("reconstructed__painting-page.html"), "here")
    assert (page.title, page.artist, page.year) == ("Composition VIII", "Wassily Kandinsky", 1923)
    assert page.is_public_domain and page.is_abstract and page.labels == ("Public domain",)
    image = "https://uploads8.wikiart.org/images/wassily-kandinsky/composition-viii-1923.jpg"
    assert page.picture == image


def test_a_page_is_read_alike_by_both_parsers(
    samples: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {
        "lxml": (
            samples("reconstructed__painting-page.html"),
            samples("reconstructed__alphabet-text-list.html"),
        ),
    }["lxml"]
    found = []
    for parser in ("lxml", "html.parser"):
        monkeypatch.setattr(
            "machineray.collect.sites.reading._parser", lambda parser=parser: parser
        )
        works = works_in_page(
            samples("all-works-text-list__kandinsky.html"), "wassily-kandinsky", ""
        )
        found.append((painting_in_page(texts[0], ""), artists_in_page(texts[1], ""), works))
    assert found[0] == found[1]


@pytest.mark.parametrize("parser", ["lxml", "html.parser"])
@pytest.mark.parametrize(
    "text",
    [
        "<div>" * 20000,
        "<!--" * 50000,
        "<!-- >" * 50000,
        "<a " * 50000,
        "<a b='" * 50000,
        "<?xml version='1.0'?><a/>",
        "",
        "\x00" * 99,
        "<" * 50000,
        "<![" * 999,
        "</p" * 50000,
    ],
    ids=range(11),
)
def test_a_page_that_only_an_attacker_writes_is_a_changed_page(
    text: str, parser: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And takes seconds, not hours: the tests have a limit."""
    monkeypatch.setattr("machineray.collect.sites.reading._parser", lambda: parser)
    with pytest.raises(Changed, match="here: the page no longer has"):
        painting_in_page(text, "here")


# -- dates, genres and labels


@pytest.mark.parametrize(
    ("dates", "life"),
    [
        (", 1866 - 1944", (1866, 1944)),
        (", c.1900 - ?", (1900, None)),
        (", born 1950", (1950, None)),
        (", ? - 1930", (None, 1930)),
        (", 1866 – 1944", (1866, 1944)),
        (", 1866 - after 1944", (1866, None)),
        (", active 1900 - 1940", (None, None)),
    ],
)
def test_life_dates_are_read_as_they_come(dates: str, life: tuple[int | None, int | None]) -> None:
    page = site.alphabet_page([]).replace(
        "<ul>", f'<ul><li><a href="/en/x">X</a><span>{dates}</span></li>'
    )
    (artist,) = artists_in_page(page, "")
    assert (artist.born, artist.died) == life


def test_a_list_of_2020_has_its_dates_between_line_breaks() -> None:
    row = '<li><a href="/en/x">X, the elder</a>\n, 1866 - 1944\n, 228 artworks</li>'
    (artist,) = artists_in_page(site.alphabet_page([]).replace("<ul>", f"<ul>{row}"), "")
    assert (artist.name, artist.born, artist.died) == ("X, the elder", 1866, 1944)


def test_living_and_unknown_are_no_dates() -> None:
    row = site.artist_row(site.Artist("x", "X", "1930", ""))
    (living,) = artists_in_json(json.dumps([row]), "")
    assert living.is_living and living.died is None and not is_wanted(living, WANTED)
    row |= {"deathDay": "/Date(-62135596800000)/"}
    assert artists_in_json(json.dumps([row]), "")[0].died is None
    for ticks, year in ((-422582400000, 1956), (-441849600000, 1956), (-441849600001, 1955)):
        row |= {"deathDay": f"/Date({ticks})/", "deathDayAsString": ""}
        assert artists_in_json(json.dumps([row]), "")[0].died == year


def test_genres_are_several_and_one_has_its_and() -> None:
    assert genres_of("sculpture, sketch and study") == ("sculpture", "sketch and study")
    page = painting_in_page(
        site.painting_page(work(genres=("sketch and study", "abstract")), "K"), ""
    )
    assert page.is_abstract
    page = painting_in_page(site.painting_page(work(genres=("landscape",)), "K"), "")
    assert not page.is_abstract  # though the site's menu has a link to abstract


@pytest.mark.parametrize(
    ("labels", "is_free"),
    [
        (("Public domain",), True),
        (("Public domain", "Public domain"), True),
        (("Public domain", "Fair Use"), False),
        (("Public domain in the USA",), False),
        (("public domain",), False),
        (("© 2019 Artists Rights Society",), False),
        ((), False),
    ],
)
def test_every_label_has_to_be_exactly_public_domain(
    labels: tuple[str, ...], is_free: bool
) -> None:
    page = painting_in_page(site.painting_page(work(labels=labels), "K"), "")
    assert page.labels == labels
    assert page.is_public_domain == is_free


def test_words_without_the_icon_are_no_label() -> None:
    text = site.painting_page(work(), "K").replace(
        '<i class="copyright-icon-public-domain"></i>', ""
    )
    assert not painting_in_page(text, "").is_public_domain


def test_nested_without_end_is_no_crash() -> None:
    text = site.painting_page(work(), "K").replace(
        "paintingJson = ", "paintingJson = " + "[" * 99999
    )
    assert painting_in_page(text, "").title == "Work 0"


def test_facts_of_2025_and_of_2026_are_read() -> None:
    text = site.painting_page(work(), "K")
    for old in ("wiki-layout-artist-info ", "wiki-layout-artwork-info"):
        assert painting_in_page(text.replace(old, ""), "").is_public_domain


def test_only_facts_and_biography_make_an_artist_abstract() -> None:
    artist = site.Artist("x", "X", "1866", "1944", about="Realism")
    page = site.artist_page(artist)  # its menu says "Abstract Art"
    assert not artist_in_page(page, "").is_abstract
    tab = (
        '<div class="wiki-layout-artist-info-tab" id="info-tab-wikipediaArticle"><p>an Avant-Garde'
    )
    assert artist_in_page(page + tab, "").is_abstract


# -- a changed site


def works_of_x(text: str, where: str) -> list[wikiart_pages.Work]:
    return works_in_page(text, "x", where)


def test_an_artist_without_works_is_no_change() -> None:
    assert works_of_x('<ul class="painting-list-text"> </ul>', "here") == []


@pytest.mark.parametrize(
    ("read", "text", "words"),
    [
        (artists_in_json, "<html>", "JSON, but HTML"),
        (artists_in_json, "[" * 100_000, "JSON"),
        (artists_in_json, "{}", "a list of objects"),
        (artists_in_json, "[]", "any artist"),
        (artists_in_json, '[{"name": "x"}]', "“artistName” in its records"),
        (
            artists_in_json,
            '[{"artistName": "X", "url": "x", "deathDayAsString": ""}]',
            "artists with life dates",
        ),
        (artists_in_page, '<ul class="masonry-text-view"><li>X</ul>', "links to artists"),
        (artists_in_page, "<main><ul></ul></main>", r"the list of artists \(masonry-text-view\)"),
        (artist_in_page, "<main>abstract</main>", "the artist's facts"),
        (listing_in_json, "{}", "“Paintings”"),
        (listing_in_json, '{"Paintings": [{}]}', "“paintingUrl”"),
        (
            listing_in_json,
            '{"Paintings": [{"paintingUrl": "/x", "artistUrl": "/y", "title": ""}]}',
            "addresses",
        ),
        (works_in_json, '[{"id": 1}]', "“contentId”"),
        (works_in_json, '[{"contentId": "1", "title": ""}]', "numbers in “contentId”"),
        (facts_in_json, '{"genre": "x"}', "“url”"),
        (facts_in_json, "[]", "an object"),
        (painting_in_page, "<html>", r"a picture \(og:image, paintingJson\)"),
        (works_of_x, "<div>", "the list of works"),
        (works_of_x, '<ul class="painting-list-text"><li><a href="/w/x/y">W', "the list of works"),
    ],
)
def test_what_is_no_longer_there_is_said(read: Any, text: str, words: str) -> None:
    with pytest.raises(
        Changed, match=f"https://a/b: the page no longer has {words}.*newer Machine"
    ):
        read(text, "https://a/b")


# -- the way through


def work(number: int = 0, **more: Any) -> site.Work:
    return site.Work("klee", f"work-{number}", f"Work {number}", 1920, **more)


def klee(*works: site.Work, **more: Any) -> site.Artist:
    return site.Artist("klee", "Paul Klee", "1879", "1940", works, **more)


class Asked:
    """The recorded site without a server: address -> answer; what is missing is 404."""

    def __init__(self, pages: dict[str, Any]) -> None:
        self.pages = pages
        self.paths: list[str] = []

    def __call__(self, url: str, kind: Any = "data") -> Answer:
        path = url.removeprefix(HOME)
        self.paths.append(path)
        if path not in self.pages:
            raise Unfit(f"{url}: the site answers 404: no such page")
        body = self.pages[path].body
        return answer_of(
            url, kind, "2026-11-26", body if isinstance(body, bytes) else body.encode()
        )


def found(ask: Asked, wanted: Wanted = WANTED) -> tuple[list[Candidate], list[Said | Turned]]:
    every = []
    for each in paintings(ask, wanted):
        every.append(each)
        if isinstance(each, Candidate) and each.is_open:
            each.kept()
    candidates = [each for each in every if isinstance(each, Candidate)]
    return candidates, [each for each in every if isinstance(each, (Said, Turned))]


def test_the_json_needs_one_page_a_painting() -> None:
    works = (work(1), work(2, genres=("portrait",)), work(3, labels=("Fair Use",)))
    others = site.Artist("claude-monet", "Claude Monet", "1840", "1926")
    realist = site.Artist("y", "Y", "1860", "1930", about="Realism")
    ask = Asked(site.wikiart([klee(*works), others, realist]))
    candidates, said = found(ask)
    assert [(c.title, c.is_open, c.label) for c in candidates] == [
        ("Work 1", True, "Public domain"),
        ("Work 3", False, "Fair Use"),
    ]
    first = candidates[0]
    assert (first.artist, first.born, first.died, first.year) == ("Paul Klee", 1879, 1940, 1920)
    assert first.pictures[1] == first.pictures[0] + "!HD.jpg"
    assert first.evidence.url == first.url == f"{HOME}/en/klee/work-1"
    assert [each.text[:40] for each in said] == ["wikiart: its list of abstract works fail"]
    assert ask.paths == [
        "/en/App/Artist/AlphabetJson?v=new",
        "/en/paintings-by-genre/abstract?json=2&page=1",
        "/en/klee",
        "/en/App/Painting/PaintingsByArtist?artistUrl=klee&json=2",
        *(f"/en/App/Painting/ImageJson/{work(1).number}", "/en/klee/work-1"),
        f"/en/App/Painting/ImageJson/{work(2).number}",
        *(f"/en/App/Painting/ImageJson/{work(3).number}", "/en/klee/work-3"),
        "/en/y",
    ]


def test_the_genres_list_needs_one_page_a_painting_and_no_facts() -> None:
    works = (work(1), work(2, genres=("portrait",)), work(3, labels=("Fair Use",)))
    late = site.Artist(
        "rothko", "Mark Rothko", "1903", "1970", (site.Work("rothko", "r", "R", 1950),)
    )
    realist = site.Artist("y", "Y", "1860", "1930", (site.Work("y", "z", "Z", 1920),), "Realism")
    pages = site.wikiart([klee(*works), late, realist], by_genre=True)
    ask = Asked(pages)
    candidates, said = found(ask)
    assert {c.title for c in candidates} == {"Work 1", "Work 3"}
    assert said == []
    assert sorted(ask.paths) == sorted(
        [
            "/en/App/Artist/AlphabetJson?v=new",
            "/en/paintings-by-genre/abstract?json=2&page=1",
            "/en/paintings-by-genre/abstract?json=2&page=2",
            *("/en/klee", "/en/klee/work-1", "/en/klee/work-3", "/en/y"),
        ]
    )
    ask = Asked(pages)
    assert len(found(ask, Wanted(2026, 1956, artists=("Klee",)))[0]) == 2
    assert not any("by-genre" in path for path in ask.paths)


@pytest.mark.parametrize(("count", "said"), [(400, "ends after 3 of 400 works"), (3, "")])
def test_a_genres_list_that_ends_early_is_completed_by_artists(count: int, said: str) -> None:
    pages = site.wikiart([klee(*map(work, range(3)))], by_genre=True)
    for path, page in pages.items():
        if "by-genre" in path:
            body = json.loads(page.body)  # type: ignore[attr-defined]
            page.body = json.dumps(body | {"AllPaintingsCount": count})  # type: ignore[attr-defined]
    ask = Asked(pages)
    candidates, told = found(ask)
    assert len(candidates) == 3
    assert said in str(told) and bool(told) == bool(said)
    assert len(ask.paths) == len(set(ask.paths))


@pytest.mark.parametrize("is_same", [True, False])
def test_a_genres_list_without_an_end_is_left(is_same: bool) -> None:
    """A site that ignores the page's number gives the same works for ever."""
    pages = site.wikiart([klee(*map(work, range(3)))], by_genre=True)
    first = json.loads(pages["/en/paintings-by-genre/abstract?json=2&page=1"].body)  # type: ignore[attr-defined]
    for page in range(1, 200):
        body = first if is_same else first | {"TimeLog": page}
        pages[f"/en/paintings-by-genre/abstract?json=2&page={page}"] = site.as_json(body)
    ask = Asked(pages)
    assert len(found(ask)[0]) == 3
    assert sum("by-genre" in path for path in ask.paths) == (2 if is_same else 21)


def test_the_captured_page_of_a_list_is_read(samples: Callable[[str], str]) -> None:
    text = samples("paintings-by-style__page.json")
    total, ((artist, listed),) = listing_in_json(text, "")
    assert (total, artist, listed.title, listed.year) == (
        512, "aleksandr-deyneka", "Winter in Kursk", 1916,
    )  # fmt: skip


def test_without_its_json_the_pages_give_the_same_paintings() -> None:
    works = [work(n, genres=("abstract",) if n % 2 else ("portrait",)) for n in range(6)]
    by_json, _ = found(Asked(site.wikiart([klee(*works)])))
    ask = Asked(site.wikiart([klee(*works)], by_json=False))
    by_pages, said = found(ask)
    assert {c.url: c for c in by_pages} == {c.url: c for c in by_json}
    assert "its JSON fails" in said[0].text  # type: ignore[union-attr]
    assert "/en/Alphabet/z/text-list" in ask.paths and "/en/Alphabet/%C3%B8/text-list" in ask.paths


def test_a_json_that_changes_on_the_way_is_left() -> None:
    pages = site.wikiart([klee(work(1), work(2))])
    pages[f"/en/App/Painting/ImageJson/{work(2).number}"] = site.as_json({"error": 1})
    candidates, said = found(Asked(pages))
    assert [c.title for c in candidates] == ["Work 1", "Work 2"]
    assert "“url”" in str(said)


def test_json_full_of_nonsense_is_no_crash() -> None:
    for nonsense in (None, 7, [], {}, "x", True):
        for place in range(30):
            pages = site.wikiart([klee(work(1))], by_genre=place % 2 == 0)
            for page in pages.values():
                if "json" in page.type:  # type: ignore[attr-defined]
                    value = json.loads(page.body)  # type: ignore[attr-defined]
                    spoil(value, place, nonsense)
                    page.body = json.dumps(value)  # type: ignore[attr-defined]
            with contextlib.suppress(Changed, Unfit):
                found(Asked(pages))


def test_a_work_that_is_gone_is_told_and_left_out() -> None:
    pages = site.wikiart([klee(work(1), work(2))])
    del pages[f"/en/App/Painting/ImageJson/{work(1).number}"]
    candidates, said = found(Asked(pages))
    assert [c.title for c in candidates] == ["Work 2"]
    assert [each.item for each in said if isinstance(each, Turned)] == [f"klee/{work(1).number}"]


def test_pages_that_have_all_lost_their_label_are_a_change() -> None:
    unlabelled = [work(n, labels=()) for n in range(12)]
    with pytest.raises(Changed, match="a label of rights"):
        found(Asked(site.wikiart([klee(*unlabelled)])))
    found(Asked(site.wikiart([klee(work(99), *unlabelled)])))  # some have one: no change


def changed_by(pages: dict[str, Any], start: str, *replaced: str) -> Asked:
    """The pages that begin so, with each second word instead of the first."""
    for path, page in pages.items():
        if path.startswith(start):
            for old, new in zip(replaced[::2], replaced[1::2], strict=True):
                page.body = page.body.replace(old, new)
    return Asked(pages)


NO_GENRE = ("/en/klee/", 'itemprop="genre"', "", "dictionary-values", "")


def test_pages_without_genres_are_a_change_where_no_list_has_named_them() -> None:
    works = klee(*map(work, range(12)))
    ask = changed_by(site.wikiart([works], by_genre=True), *NO_GENRE)
    assert len(found(ask)[0]) == 12
    with pytest.raises(Changed, match=r"a genre \(itemprop=genre\), nor had those before"):
        found(changed_by(site.wikiart([works], by_json=False), *NO_GENRE))
    other = klee(work(99, genres=("portrait",)), work(98))
    ask = changed_by(site.wikiart([other], by_genre=True), "/en/paint", "work-98", "work-99")
    assert found(ask)[0] == []  # what the page calls itself counts more than the list


def test_artists_without_movements_are_a_change_and_one_is_said() -> None:
    artists = [site.Artist(f"a{n}", f"A{n}", "1870", "1930", about="") for n in range(12)]
    said = found(Asked(site.wikiart(artists)))[1]
    assert "none of the artists' pages (12) speaks of abstract" in str(said)
    with pytest.raises(Changed, match="the artist's movement"):
        found(changed_by(site.wikiart(artists), "/en/a", "Art Movement", "Art"))


def test_lists_of_works_that_have_changed_are_told_and_five_in_a_row_are_a_change() -> None:
    def pages(count: int) -> Asked:
        artists = [site.Artist(f"a{n}", f"A{n}", "1870", "1930") for n in range(count)]
        artists = [replace(a, works=(site.Work(a.slug, "w", "W", 1910),)) for a in artists]
        every = site.wikiart([*artists, klee(work(1))], by_json=False)
        return changed_by(every, "/en/a", '<a href="/en/a', '<a href="/works/a')

    candidates, said = found(pages(4))
    assert [c.title for c in candidates] == ["Work 1"]
    assert sum("the list of works" in str(each) for each in said) == 4
    with pytest.raises(Changed, match="the list of works"):
        found(pages(5))


def test_a_genres_list_of_strangers_is_completed_by_artists() -> None:
    pages = site.wikiart([klee(work(1))], by_genre=True)
    ask = changed_by(pages, "/en/paintings-by-genre", '"/en/klee"', '"/en/paul-klee"')
    candidates, said = found(ask)
    assert [c.title for c in candidates] == ["Work 1"] and "names none of the artists" in str(said)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Nobody", "--artist Nobody: nobody of that name is in its list"),
        ("Monet", "--artist Monet: nobody of that name was born after 1850 and died before 1956"),
    ],
)
def test_an_artist_who_is_asked_for_in_vain_is_named(name: str, words: str) -> None:
    pages = site.wikiart([klee(work(1)), site.Artist("monet", "Claude Monet", "1840", "1926")])
    assert words in str(found(Asked(pages), Wanted(2026, 1956, artists=("Klee", name)))[1])


def test_artists_years_and_their_number_are_asked_for() -> None:
    works = [site.Work("klee", f"w{y}", f"W{y}", y) for y in (1910, 1935, None)]
    other = site.Artist("hilma-af-klint", "Hilma af Klint", "1862", "1944")
    other = replace(other, works=(site.Work(other.slug, "w", "W", 1907),))
    pages = site.wikiart([klee(*works), other])
    wanted = Wanted(2026, 1956, artists=("KLEE",), year_before=1931)
    ask = Asked(pages)
    candidates, _ = found(ask, wanted)
    assert [c.year for c in candidates] == [1910]
    assert not any("klint" in path for path in ask.paths)
    assert len(found(Asked(pages), Wanted(2026, 1956, per_artist=1))[0]) == 2


@pytest.mark.parametrize("by_json", [True, False])
def test_where_a_list_fails_the_estimate_is_by_artists(by_json: bool) -> None:
    told = estimate(Asked(site.wikiart([klee(work(1))], by_json=by_json)), WANTED)
    assert (told.pictures, told.pages) == (39, 1 + 2 + 39 + (39 if by_json else 0))


def test_an_estimate_asks_for_two_lists() -> None:
    artists = [klee(work(1), work(2)), site.Artist("z", "Z", "1900", "1930")]
    ask = Asked(site.wikiart(artists, by_genre=True))
    told = estimate(ask, WANTED)
    assert len(ask.paths) == 2
    assert told.pages >= 4 and told.pictures >= 1 and told.bytes > 1e6
    assert estimate(ask, Wanted(2026, 1956, limit=1)).pictures == 1
