"""Museums: their records read, and said when they are no longer as we know them."""

import contextlib
import itertools
import json
from typing import Any

import pytest

from machineray.collect.answers import Answer, Changed, Unfit, Unproven, answer_of
from machineray.collect.painting import Candidate, Said, Turned, Wanted
from machineray.collect.rights import admitted
from machineray.collect.sites import artic, cleveland, commons, met, rijksmuseum, smk
from machineray.collect.sites.reading import Patience, by_size
from machineray.collect.sites.table import SITES, site_named
from tests.collect.museums import MUSEUMS, PAINTINGS, WANTED
from tests.collect.site import as_json, spoil

NAMES = list(MUSEUMS)
GOES_ON = {"gcmcontinue": "file|42", "continue": "gcmcontinue||"}  # to Commons' second page


class Asked:
    """A recorded museum without a server."""

    def __init__(self, name: str, pages: dict[str, Any] | None = None) -> None:
        self.home = site_named(name).home
        self.pages = MUSEUMS[name]() if pages is None else pages
        self.urls: list[str] = []

    def __call__(self, url: str, kind: Any = "data") -> Answer:
        self.urls.append(url)
        path = url.removeprefix(self.home) if url.startswith(self.home) else url[len("https:/") :]
        if path not in self.pages:
            raise Unfit(f"{url}: the site answers 404: no such page")
        return answer_of(url, kind, "2026-11-26", self.pages[path].body.encode())


def candidates(name: str, ask: Asked, wanted: Wanted = WANTED) -> list[Candidate]:
    return [f for f in site_named(name).paintings(ask, wanted) if isinstance(f, Candidate)]


def test_every_site_but_wikiart_is_recorded() -> None:
    assert {site.name for site in SITES} == {"wikiart", *NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_museum_tells_its_paintings_with_label_and_dates(name: str) -> None:
    found = {each.title: each for each in candidates(name, Asked(name))}
    assert found.keys() == {title for title, *_ in PAINTINGS}
    for title, is_open, died, year in PAINTINGS:
        each = found[title]
        assert each.is_open == is_open, each
        if name != "rijksmuseum":  # where nobody tells the death
            assert (each.died, each.year) == (died, year)
        assert each.artist in ("Paul Klee", "Harald Giersing", "Piet Mondriaan")
        assert each.label and each.url.startswith("https://")
        assert not is_open or each.pictures
    assert found["Free"].evidence.sha256


@pytest.mark.parametrize("name", NAMES)
def test_an_estimate_asks_for_the_lists_alone(name: str) -> None:
    ask = Asked(name)
    told = site_named(name).estimate(ask, WANTED)
    assert told.pictures >= 4 and told.pages >= 1 and told.bytes > 100_000
    assert len(ask.urls) <= max(3, len(rijksmuseum.CREATORS))
    limited = Wanted(2026, 1956, limit=1, max_side=1600)
    assert site_named(name).estimate(ask, limited).pictures == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("body", "words"),
    [("<html>", "JSON, but HTML"), ("{}", "“"), ("[]", ""), ("[" * 99_999, "JSON")],
)
def test_a_list_that_changed_is_said(name: str, body: str, words: str) -> None:
    ask = Asked(name)
    for page in ask.pages.values():
        page.body = body
    with pytest.raises(Changed, match=f"the page no longer has .*{words}"):
        candidates(name, ask)


@pytest.mark.parametrize(
    ("name", "path", "read", "field"),
    [
        ("artic", "/api/v1/artworks/search", artic.found_in, "artwork_type_title"),
        ("met", "/public/collection/v1/objects/1", met.record_in, "objectName"),
    ],
)
def test_a_record_that_does_not_say_what_it_is_of_is_a_change(
    name: str, path: str, read: Any, field: str
) -> None:
    body = next(page.body for key, page in MUSEUMS[name]().items() if key.startswith(path))
    read(body, "u")
    with pytest.raises(Changed, match=field):
        read(body.replace(field, "kind"), "u")


@pytest.mark.parametrize("name", NAMES)
def test_records_full_of_nonsense_are_no_crash(name: str) -> None:
    """Each value in turn becomes null, a number, a list: a candidate, a turned one, or Changed."""
    for nonsense in (None, 7, [], {}, [None], "x", True):
        for place in range(40):
            ask = Asked(name)
            for page in ask.pages.values():
                if "json" in page.type:
                    value = json.loads(page.body)
                    spoil(value, place, nonsense)
                    page.body = json.dumps(value)
            with contextlib.suppress(Changed, Unfit):
                candidates(name, ask)


def test_cleveland_asks_for_a_record_whose_licence_the_list_leaves_out() -> None:
    ask = Asked("cleveland")
    free = next(each for each in candidates("cleveland", ask) if each.title == "Free")
    assert free.evidence.url == f"{cleveland.API}1"
    assert free.label == "CC0"


def test_cleveland_gives_the_size_that_fits() -> None:
    sizes = [("web", 900), ("print", 3400), ("full", 9000)]
    assert by_size(sizes, 4096) == ("print", "web", "full")
    assert by_size(sizes, 500) == ("web", "print", "full")


def test_lists_are_read_to_their_end() -> None:
    ask = Asked("cleveland")
    path = cleveland.search("abstract", 0).removeprefix(ask.home)
    value = json.loads(ask.pages[path].body)
    value["info"]["total"] = 150
    ask.pages[path] = as_json(value)
    later = cleveland.search("abstract", 100).removeprefix(ask.home)
    ask.pages[later] = as_json({"info": {"total": 150}, "data": []})
    candidates("cleveland", ask)
    assert cleveland.search("abstract", 100) in ask.urls
    assert cleveland.search("abstract", 200) not in ask.urls


@pytest.mark.parametrize("is_same", [False, True])
@pytest.mark.parametrize(
    ("name", "terms", "second"),
    [
        ("cleveland", cleveland.TERMS, lambda term: cleveland.search(term, 100)),
        ("artic", artic.TERMS, lambda term: artic.search(term, 2)),
        ("smk", smk.TERMS, lambda term: smk.search(term, 100)),
    ],
)
def test_a_list_that_counts_what_it_has_not_is_left(
    name: str, terms: Any, second: Any, is_same: bool
) -> None:
    """After an empty page, or one that was there before; a third is not asked for."""
    ask = Asked(name)
    huge = {"info": {"total": 10**9}, "pagination": {"total": 10**9}, "found": 10**9}
    for path, page in ask.pages.items():
        if "json" in page.type and path != "/api/artworks/1":
            ask.pages[path] = as_json(json.loads(page.body) | huge)
    first = next(iter(ask.pages.values()))
    for term in terms:
        address = second(term).removeprefix(ask.home)
        ask.pages[address] = first if is_same else as_json(huge | {"data": [], "items": []})
    assert len(candidates(name, ask)) == len(candidates(name, Asked(name)))
    assert set(map(second, terms)) <= set(ask.urls)


@pytest.mark.parametrize(
    ("name", "page", "more"),
    [
        ("rijksmuseum", "pageToken", {"next": {"id": f"{rijksmuseum.API}?pageToken=abc"}}),
        ("commons", "gcmcontinue", {"continue": GOES_ON}),
    ],
)
def test_a_page_that_leads_to_itself_is_the_last(name: str, page: str, more: Any) -> None:
    ask = Asked(name)
    (path,) = (path for path in ask.pages if page in path)
    ask.pages[path] = as_json(json.loads(ask.pages[path].body) | more)
    found = list(itertools.islice(site_named(name).paintings(ask, WANTED), 200))
    assert len([each for each in found if isinstance(each, Candidate)]) >= 4
    assert len(found) < 200


def test_a_record_that_is_gone_is_told_and_left_out() -> None:
    ask = Asked("cleveland")
    del ask.pages[f"{cleveland.API}1".removeprefix(ask.home)]
    found = list(cleveland.paintings(ask, WANTED))
    assert {each.title for each in found if isinstance(each, Candidate)} == {
        "Closed", "Late", "Unproven",
    }  # fmt: skip
    assert "404" in next(each.reason for each in found if isinstance(each, Turned))


def test_every_artist_is_in_commons_estimate() -> None:
    wanted = Wanted(2026, 1956, artists=("Klee", "Kupka"), max_side=1600)
    ask = Asked("commons")
    page = ask.pages[commons.members(commons.CATEGORY, 1600, {}).removeprefix(ask.home)]
    ask.pages |= {
        commons.members(f"Category:Paintings by {name}", 1600, {}).removeprefix(ask.home): page
        for name in wanted.artists
    }
    assert commons.estimate(ask, wanted).text == "2 categories below"


def test_commons_says_that_nobody_has_a_category_of_that_name() -> None:
    wanted = Wanted(2026, 1956, artists=("Klee",), max_side=1600)
    path = commons.members("Category:Paintings by Klee", 1600, {})
    ask = Asked(
        "commons", {path.removeprefix(site_named("commons").home): as_json({"continue": {}})}
    )
    (said,) = (each for each in commons.paintings(ask, wanted) if isinstance(each, Said))
    assert "“Category:Paintings by Klee” is empty: --artist takes the name as" in said.text


def test_the_met_is_asked_for_two_parameters_and_forgives_lost_numbers() -> None:
    ask = Asked("met")
    found = list(met.paintings(ask, WANTED))
    assert ask.urls[0].count("=") == 2
    assert [each.item for each in found if isinstance(each, Turned)] == [f"{met.API}/objects/6"]


def test_artists_are_searched_by_name() -> None:
    wanted = Wanted(2026, 1956, artists=("Klee",), max_side=1600)
    for name, url in (
        ("cleveland", cleveland.search("Klee", 0)),
        ("met", met.search("Klee")),
        ("artic", artic.search("Klee", 1)),
        ("smk", smk.search("Klee", 0)),
        ("commons", commons.members("Category:Paintings by Klee", 1600, {})),
        ("rijksmuseum", rijksmuseum.search("Klee")),
    ):
        ask = Asked(name, {})
        with pytest.raises(Unfit):
            candidates(name, ask, wanted)
        assert ask.urls == [url]


def of_artic(shown: str, **more: Any) -> Candidate:
    row = {"artist_title": "X", "artist_display": shown, "is_public_domain": True, "id": 1}
    return artic.candidate(row | more, EVIDENCE, WANTED)


def of_cleveland(*makers: Any, **more: Any) -> Candidate:
    row = {"share_license_status": "CC0", "creators": list(makers), "id": 1}
    return cleveland.candidate(row | more, EVIDENCE, WANTED)


def of_commons(artist: str, date: str, **more: str) -> Candidate:
    about = {"Artist": artist, "DateTimeOriginal": date, "LicenseShortName": "Public domain"} | more
    told = {name: {"value": value} for name, value in about.items()}
    page = {"title": "File:T", "imageinfo": [{"mime": "image/jpeg", "extmetadata": told}]}
    found = commons.candidate(page, EVIDENCE, WANTED)
    assert found is not None
    return found


def of_met(**more: Any) -> Candidate:
    return met.candidate({"isPublicDomain": True} | more, EVIDENCE, WANTED)


def of_smk(*deaths: str | None, role: str = "artist", **date: Any) -> Candidate:
    makers = [
        {"creator": f"X{n}", "creator_date_of_death": died, "creator_role": role}
        for n, died in enumerate(deaths)
    ]
    rights = "https://creativecommons.org/publicdomain/zero/1.0/"
    row = {"production": makers, "production_date": [date], "public_domain": True}
    return smk.candidate(row | {"rights": rights}, EVIDENCE, WANTED)


def of_rijksmuseum(*rights: Any, year: str = "1920") -> Candidate:
    names = [{"identified_by": [{"content": each}] if each else []} for each in rights]
    made = {"produced_by": {"timespan": {"identified_by": [{"content": year}]}}}
    return rijksmuseum.candidate("u", made, {"subject_to": names}, EVIDENCE, "", "Klee", WANTED)


EVIDENCE = Answer("u", "data", "")
KLEE = {"description": "Paul Klee (Swiss, 1879–1940)", "death_year": "1940"}
LATE = {"description": "John Late (American, 1901–1990)", "death_year": "1990"}
ACTIVE = {"description": "Jane Roe (American, active 1910–1930)", "death_year": "1930"}
CARD = (
    "<bdi>Paul Klee</bdi> (1879–1940) Alternative names P. Klee Description Swiss painter "
    "Date of birth 18 December 1879 Work period 1905–1940 <div>creator QS:P170,Q44007</div>"
)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (of_artic("Jane Roe American, active 1910–1930", date_end=1950), "it may be of 1950"),
        (of_artic("A (Swiss, 1879–1940) and B (American, 1901–1990)"), "died in 1990"),
        (of_artic("A (Swiss, 1879–1940)", artist_titles=["A", "B"]), "no year ends"),
        (of_artic("Mexico, 1900–1940", artist_title=None), "when Mexico, 1900–1940 died"),
        (of_artic("A", date_end=1920, date_display="after 1920"), "no year ends"),
        (of_artic("A (Swiss, 1879–1940)", copyright_notice="© 2018 X"), "labelled .* © 2018 X”"),
        (of_cleveland(KLEE | {"qualifier": "follower of"}), "when follower of Paul Klee died"),
        (of_cleveland(KLEE, copyright="© X"), "is labelled “CC0 © X”"),
        (of_cleveland(ACTIVE, creation_date_latest=1950), "it may be of 1950"),
        (of_cleveland(KLEE, LATE), "Paul Klee, John Late died in 1990"),
        (of_cleveland(KLEE, {"description": "B"}), "when Paul Klee, B died"),
        (of_commons("Jane (fl. 1900–1940)", "1950"), "when Jane died, and it may be of 1950"),
        (of_commons("A (1879–1940) and B (1901–1990)", ""), "died in 1990"),
        (of_commons("After Paul Klee (1879–1940)", ""), "nobody tells when After Paul Klee died"),
        (of_commons("A (1879–1940)", "", AttributionRequired="true"), "domain by attribution”"),
        (of_commons(CARD, ""), None),
        (of_commons("M&uuml;ller (1880&ndash;1940)", ""), None),
        (of_commons("Unknown", "between 1925 and 1945"), "it may be of 1945"),
        (of_commons("Unknown", "1920s<div>date QS:P571,+1920</div>"), None),
        (of_met(artistEndDate="1930", artistDisplayBio="American, active 1910–30"), "no year"),
        (of_met(artistEndDate="1940", constituents=[{"name": "A"}, {"name": "B"}]), "no year"),
        (of_met(artistEndDate="1940", artistPrefix="Copy after"), "when Copy after .* no year"),
        (of_met(artistEndDate="1940", rightsAndReproduction="© 2026 ARS"), "true. © 2026 ARS”"),
        (of_met(artistBeginDate="1919", artistEndDate="1933"), "no year ends"),
        (of_met(artistEndDate="1940"), None),
        (of_smk("1940", "1990"), "X0, X1 died in 1990"),
        (of_smk("1940", None), "nobody tells when X0, X1 died"),
        (of_smk("1940", role="copy after"), "nobody tells when copy after X0 died"),
        (of_smk("1940", "1930"), None),
        (of_smk(None, period="1929-31"), "it may be of 1931"),
        (of_smk(None, period="1930s"), "it may be of 1939"),
        (of_smk(None, period="after 1920"), "no year ends"),
        (of_rijksmuseum("In Copyright", "Public Domain"), "labelled “In Copyright / Public"),
        (of_rijksmuseum("Not in the Public Domain"), "is labelled “Not in the"),
        (of_rijksmuseum("Public Domain", None), "Public Domain / a right without a name"),
        (of_rijksmuseum(), "bears no label of rights"),
        (of_rijksmuseum("Public Domain", "Publiek domein", "CC0 1.0"), None),
        (of_rijksmuseum("Public Domain Mark 1.0", "CC0 1.0 Universal"), None),
        (of_rijksmuseum("Publieke domein", year="in of na 1920"), "no year ends"),
    ],
)
def test_what_is_not_shown_to_be_free_is_refused(found: Candidate, reason: str | None) -> None:
    if reason is None:
        assert admitted(found, WANTED)
    else:
        with pytest.raises(Unproven, match=reason):
            admitted(found, WANTED)


def test_smk_needs_both_the_flag_and_the_address_of_the_rights() -> None:
    for rights, is_free in (
        ("https://creativecommons.org/publicdomain/mark/1.0/", True),
        ("https://creativecommons.org/publicdomain/zero/1.0/deed.en", True),
        ("https://creativecommons.org/publicdomain/zero/1.0/ but not here", False),
        ("https://creativecommons.org/share-your-work/public-domain/cc0/", True),
        ("https://creativecommons.org/share-your-work/public-domain/", False),
        ("https://creativecommons.org/licenses/by/4.0/", False),
        ("", False),
    ):
        row = {"object_number": "1", "public_domain": True, "rights": rights}
        assert smk.candidate(row, Answer("u", "data", ""), WANTED).is_open == is_free
    row = {"public_domain": False, "rights": "https://creativecommons.org/publicdomain/mark/1.0/"}
    assert not smk.candidate(row, Answer("u", "data", ""), WANTED).is_open


def test_commons_takes_a_smaller_copy_of_what_is_larger_than_wanted() -> None:
    for side, first in ((1600, "thumb"), (5000, "a/ab/Free_1.jpg")):
        (page,) = [
            p
            for p in commons.members_in(next(iter(MUSEUMS["commons"]().values())).body, "")
            if p.get("ns") == 6 and "Free" in p["title"]
        ]
        found = commons.candidate(page, Answer("u", "data", ""), Wanted(2026, 1956, max_side=side))
        assert found is not None and first in found.pictures[0]


def test_commons_says_what_its_api_refuses() -> None:
    with pytest.raises(Changed, match="the API answers: Bad title"):
        commons.members_in('{"error": {"code": "invalidtitle", "info": "Bad title"}}', "here")


def test_commons_pages_come_in_the_order_of_their_numbers() -> None:
    keys = ["-1", "--5", "9" * 5000, "9", "10"]  # what is no number is 0
    pages = {key: {"key": key} for key in reversed(keys)}
    found = commons.members_in(json.dumps({"query": {"pages": pages}}), "here")
    assert [each["key"] for each in found] == keys


def test_the_rijksmuseum_is_not_asked_for_pictures_that_are_not_free() -> None:
    ask = Asked("rijksmuseum")
    candidates("rijksmuseum", ask)
    assert "https://id.rijksmuseum.nl/50001" in ask.urls
    assert "https://id.rijksmuseum.nl/50002" not in ask.urls


def test_one_odd_record_is_left_out_and_five_in_a_row_are_a_change() -> None:
    patience = Patience()
    for _ in range(3):
        for _ in range(4):
            assert patience.turned("x", Changed("odd")) == Turned("x", "odd")
        patience.restore()
    for _ in range(4):
        patience.turned("x", Changed("odd"))
    with pytest.raises(Changed, match="odd"):
        patience.turned("x", Changed("odd"))
