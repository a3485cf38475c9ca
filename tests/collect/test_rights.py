"""What makes a painting free, in which country, and what is refused without proof."""

import csv
import io
from typing import Any

import pytest

from machineray.collect.answers import Answer, Unproven
from machineray.collect.ledger import COLUMNS, credits_csv, credits_html
from machineray.collect.painting import Candidate, Wanted, plain
from machineray.collect.rights import LIFE, US, admitted

WANTED = Wanted(year=2026, died_before=1956)


def painting(**more: Any) -> Candidate:
    known = {"label": "CC0", "is_open": True, "pictures": (), "year": 1920, "died": 1940}
    return Candidate("https://x/1", "T", "A. B.", Answer("u", "page", ""), **(known | more))


def test_who_died_in_1955_is_free_in_2026_and_who_died_in_1956_is_not() -> None:
    assert admitted(painting(died=1955), WANTED).elsewhere == "free since 2026"
    with pytest.raises(Unproven, match=r"https://x/1: A\. B\. died in 1956, not before 1956"):
        admitted(painting(died=1956), WANTED)


def test_the_label_is_the_first_proof() -> None:
    with pytest.raises(Unproven, match="is labelled “Fair Use”"):
        admitted(painting(label="Fair Use", is_open=False), WANTED)
    with pytest.raises(Unproven, match="bears no label of rights"):
        admitted(painting(label="", is_open=False), WANTED)


@pytest.mark.parametrize(("year", "is_free"), [(1930, True), (1931, False), (None, False)])
def test_without_a_death_a_year_before_the_limit_is_the_second(
    year: int | None, is_free: bool
) -> None:
    if is_free:
        assert admitted(painting(died=None, year=year), WANTED).rule == US
    else:
        with pytest.raises(Unproven, match=r"nothing but the label.*before 1931 would do"):
            admitted(painting(died=None, year=year), WANTED)


def test_the_united_states_count_by_themselves() -> None:
    late = admitted(painting(year=1938), WANTED)
    assert (late.rule, late.united_states) == (LIFE, "not shown: made by 1938, not before 1931")
    early = admitted(painting(year=1930), WANTED)
    assert early.united_states == "free if it was published before 1931; made by 1930"
    assert admitted(painting(year=None), WANTED).united_states.startswith("not shown: no year")


def test_an_empty_ledger_and_a_full_one_have_the_same_columns() -> None:
    row = {"id": "a", "title": "-1", "artist": "ü", "rule": LIFE, "free": {"elsewhere": "x"}}
    for rows in ([], [row]):
        table = list(csv.reader(io.StringIO(credits_csv(rows).decode())))
        assert tuple(table[0]) == COLUMNS
        assert len(table) == len(rows) + 1
        assert credits_html(rows, 2026, 1931).startswith(b"<!doctype html>")
    assert table[1][1] == "'-1"  # a spreadsheet would reckon


def test_a_page_of_credits_links_to_nothing_but_the_web() -> None:
    row = {"id": "a", "title": "T", "source_url": "javascript:alert(1)", "rule": LIFE}
    assert b"javascript:" not in credits_html([row], 2026, 1931)


def test_names_are_understood_as_people_write_them() -> None:
    assert plain("František  Kupka") == plain("frantisek-kupka")
    assert plain("Любовь Попова") == "любовь попова" and plain("萬鐵五郎") == "萬鐵五郎"


@pytest.mark.parametrize(
    ("wanted", "name", "is_wanted"),
    [
        ("af Klint", "Hilma af Klint", True),
        ("Klee", "Kleevens", False),
        ("Малевич", "Казимир МАЛЕВИЧ", True),
        ("Малевич", "Paul Klee", False),
        ("…", "Paul Klee", False),
    ],
)
def test_a_wanted_artist_is_named_in_any_script(wanted: str, name: str, is_wanted: bool) -> None:
    assert Wanted(2026, 1956, artists=(wanted,)).wants_artist(name) == is_wanted
