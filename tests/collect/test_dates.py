"""Dates as people write them: by when it was made, and who is known to have died."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machineray.collect.dates import WORKING, YEAR, last_year_in, life_in, life_of, year_in

WORDS = "1879 1913 1920s 1955 2001 12 '45 c. ca after before or and – - / ( ) , ; ? s died born A B"


@pytest.mark.parametrize(
    ("words", "year"),
    [
        *((1913, 1913), ("1921", 1921), ("May 4, 1921", 1921), ("1921-05-04", 1921)),
        *(("1929-12-31T23:59:59Z", 1929), ("c.1910", 1910), ("1920?", 1920), ("before 1931", 1931)),
        *(("1912-1914", 1914), ("between 1925 and 1945", 1945), ("from 1920 to 1925", 1925)),
        *(("1929-31", 1931), ("1929/30", 1930), ("1918–9", 1919), ("1929 or '31", 1931)),
        *(("1930s", 1939), ("1930'erne", 1939), ("1910s-20s", 1929), ("jaren 1930", 1939)),
        *(("1930-talet", 1939), ("1930ies", 1939), ("anni 1930", 1939), ("1930-е годы", 1939)),
        *(("1925–ca. 45", 1945), ("1920s–early 40s", 1949), ("1920 - um 1945", 1945)),
        *(("1911‑44", 1944), ("not after 1930", 1930), ("1920年", 1920)),
        *(("early 1900s", 1999), ("after 1920, before 1930", 1930), ("no later than 1930", 1930)),
    ],
)
def test_a_date_is_the_last_year_that_it_allows(words: object, year: int) -> None:
    assert last_year_in(words) == year


@pytest.mark.parametrize(
    "words",
    [
        *("after 1920", "after c. 1920", "post-1920", "efter 1920", "in of na 1920", "since 1920"),
        *("1920 or later", "1920-", "1920–?", "1920 - present", "1920+", "not before 1920"),
        *("después de 1920", "после 1920", "1920–heute", "1920 - ongoing", "1920 until his death"),
        *(
            "from c1920",
            "later than 1920",
            "1919, after 1920",
            "",
            None,
            "19th century",
            "12345",
            "193-",
        ),
    ],
)
def test_a_date_without_an_end_is_none(words: object) -> None:
    assert last_year_in(words) is None


@given(st.lists(st.sampled_from([*WORDS.split(), " "]), max_size=9).map("".join))
def test_no_date_ends_before_a_year_in_it(words: str) -> None:
    last = max(map(int, re.findall(YEAR, words)), default=0)
    assert (last_year_in(words) or 9999) >= last
    assert (life_in(words)[1] or 9999) >= last or WORKING.search(words)


def test_the_fields_of_one_date_are_read_together() -> None:
    assert last_year_in(1920, "1920-25", None) == 1925
    assert last_year_in(1920, "after 1920") is None
    assert last_year_in(1930, "after 1920") == 1930  # the record knows an end


@pytest.mark.parametrize(
    ("words", "life"),
    [
        ("Russian, 1866–1944", (1866, 1944)),
        ("born 1930", (1930, None)),
        ("Swiss, born Germany, 1879–1940, active in Bern", (1879, 1940)),
        ("18 December 1879 – 29 June 1940", (1879, 1940)),
        ("1879 - ca. 1940", (1879, 1940)),
        ("born 1879, died 1940", (1879, 1940)),
        ("* 1879 † 1940", (1879, 1940)),
        ("died 1940", (None, None)),
        ("1879–1940 or 1956", (1879, None)),
        ("A (1879–1940), painter", (1879, 1940)),
        ("A (12. April 1885 - 25. Oktober 1941)", (1885, 1941)),
        ("Theo van D (Emil K), Dutch, 1883–1931", (1883, 1931)),
        ("A (1879–1940) (Swiss)", (1879, 1940)),
        ("B, A (1879–1940)", (1879, 1940)),
        ("1879–1955/56", (1879, 1956)),
        ("1879–after 1940", (1879, None)),
        ("American, active 1910–1930", (None, None)),
        ("(fl. 1900–1940)", (None, None)),
        ("act. 1900–1940", (None, None)),
        ("founded 1890–1930", (None, None)),
        ("A (1879–1940) and B (1901–1990)", (1879, 1990)),
        ("A Swiss, 1879–1940 B American, 1890–1930", (1879, 1940)),
        ("Follower of A (1879–1940)", (None, None)),
        ("Copy after A (1879–1940)", (None, None)),
        ("A (1879–1940) and workshop", (None, None)),
        ("Unknown artist, 1890–1930", (None, None)),
        ("Bauhaus, 1919–1933", (None, None)),
        ("exhibited 1900–1930", (None, None)),
        ("Sonia Delaunay, Robert Delaunay (1885–1941)", (1885, None)),
        ("A, 1879–1940, B", (1879, None)),
        ("B (photo), A (1879–1940)", (1879, None)),
        ("A (1879–1940) and B", (1879, None)),
        ("A and B (1879–1940)", (1879, None)),
        ("A (1879–1940), B", (1879, None)),
        ("A (the elder) B (Swiss, born Germany (Bern), 1879–1940)", (1879, 1940)),
        ("A, 1879–1940 B, born 1901", (1879, None)),
        ("A, 1879–1940 B, 1901–", (1879, None)),
        ("A, active 1910–1930 and B (1901–1940)", (1901, None)),
    ],
)
def test_a_life_ends_when_the_last_maker_has_died(
    words: str, life: tuple[int | None, int | None]
) -> None:
    assert life_in(words) == life


def test_a_records_fields_and_words_are_one_life() -> None:
    assert life_in("A (1879–1940)", makers=2) == (1879, None)
    assert life_of("1879", "1940", "") == life_of(None, None, "1879–1940") == (1879, 1940)
    assert life_of(None, "1940", "1879–1941") == (1879, 1941)
    assert life_of("1910", "1930", "American, active 1910–30") == (None, None)
    assert life_of("1879", "1940", "Attributed to, Paul Klee") == (None, None)


def test_birth_is_the_first_year() -> None:
    assert [year_in(text) for text in ("c.1910", "1910 or 1911", "12345", None)] == [
        *(1910, 1910),
        *(None, None),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "after " + "c " * 99_999,
        "1920" + " " * 99_999,
        "born 19" * 20_000,
        "1920-" * 20_000,
        "A" * 99_999,
    ],
)
def test_a_date_that_only_an_attacker_writes_takes_no_minute(text: str) -> None:
    last_year_in(text)
    life_in(text)
