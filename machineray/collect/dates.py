"""Dates in words: by when a painting was finished, and how long its makers lived.

What is free hangs on the last possible year, so that is what is read: "1929-31" is 1931, "1930s" is
1939, and "after 1920" is none. "c. 1930" is 1930. Years go from 1000 to 2099.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

Life = tuple[int | None, int | None]  # born, died; None for what is not told

YEAR = r"(?<!\d)(?:1[0-9]{3}|20[0-9]{2})(?!\d)"
DASH = "[-‐‑–—−~]"
ABOUT = "ca?|circa|about|around|in|the|year|de|del|early|mid|late|um|vers|omkring"
ROUGHLY = rf"(?:(?:{ABOUT})(?![^\W\d])\W*)*"
# Words of the sites' languages: English, Danish, Dutch; on Commons anybody's. What is tied to a
# year and not known makes it a decade ("1930-luku", "1930ies"), or leaves it open ("1930–heute").
MENTION = rf"""
    (?P<after>\b(?:since|from|post|not\s+before|not?\s+earlier\s+than|begun|began|started
        |(?<!no\s)(?<!not\s)(?:after|later\s+than)|efter|fra|från|na|sinds|vanaf|nach|seit|ab|après
        |depuis|desde|después|posterior\s+a|após|depois|dopo|dal|po|od|после|с)\W+{ROUGHLY})?
    (?P<decade>\b(?:années|jaren|años|anos|anni|lata)\W+)?
    (?P<year>{YEAR})
    (?P<tens>['’]?(?!г\b|年(?!代))[^\W\d_]+|[-‐‑](?:tallet|talet|luku\w*|х|е|ые)\b)?
    (?:\s*(?:{DASH}|[/&]|\b(?:or|and|to|bis|til|tot)\b)\s*{ROUGHLY}['’]?
        (?P<end>[0-9]{{1,2}})(?!\d|{DASH}\d|[/.]\d)(?P<end_tens>['’]?s\b)?)?
    (?P<later>\s*(?:\+|ff?\b|onwards?\b
        |{DASH}\s*(?:[?),;]|$|(?!{ROUGHLY}\d)(?=[^\W\d]))
        |(?:to|until)\s+(?:(?:the|his|her)\s+)?(?:present|today|now|death)\b
        |(?:,\s*)?(?:later|thereafter)\b
        |(?:or|and|eller|of|oder|ou|et)\s+(?:later|after|senere|später|après)\b))?
"""
MENTIONED = re.compile(MENTION, re.I | re.X)
MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[^\W\d]*\W+(?:\d{1,2},\s*)?"
DAY = rf"(?:\d{{1,2}}\W+[^\W\d]{{3,9}}\W+|{MONTH})?"  # with a day in any language
LIVED = re.compile(
    rf"(?P<born>{YEAR})\??\s*(?:{DASH}|(?:,\s*)?(?:\bdied\b|\bd\.|†))\s*{DAY}{ROUGHLY}{MENTION}",
    re.I | re.X,
)
# Who was born, and nobody says died; without the lives that are told.
LIVING = re.compile(rf"\b(?:born|b\.)[^();]{{0,60}}{YEAR}|{YEAR}\s*{DASH}", re.I)
# Years of work are no life: what follows counts no more, to the end of the parenthesis.
WORKING = re.compile(
    r"\b(?:active|act|fl|floruit|flourished|work(?:s|ed|ing)?|founded|est|established"
    r"|aktiv|virksom|werkzaam|tätig|actif|exhibited|published|period|dated|student)\b[^();]*",
    re.I,
)
# Who is named beside these words did not, or not surely, make it; a school or a firm has no life.
NOT_THE_MAKER = re.compile(
    r"\b(?:after|follow(?:er|ing)s?|pupils?|workshop|studio|circle|school|manner|style|imitat\w+"
    r"|cop(?:y|ies|ied|ist)|attributed|ascribed|forger\w*|possibly|unknown|unidentified|anonym\w*"
    r"|dynasty|company|group|efter|kopi\w*|tilskrevet|ukendt|naar|toegeschreven|onbekende?|anoniem"
    r"|nach|zugeschrieben|unbekannt\w*|d['’]après|attribué\w*|inconnu\w*)\b",
    re.I,
)
YOUNGEST, OLDEST = 20, 120  # "1919–1933" is no painter's life
# One more maker: by a word, or behind the parenthesis of dates of the one before, or between commas
# that are none of "Klee, Paul".
NAME = r"(?-i:[^\W\d_a-zß-ÿ][^\W\d_]{0,30}(?:[.’'-][^\W\d_]{0,30})?)"
AND = re.compile(
    rf"\d[^()]{{0,60}}\)[^\w(]*{NAME}|\)\s*[,/+|]\W*{NAME}[^()]{{0,60}}\(|\d\s*[,/+|]\W*{NAME}"
    rf"|{NAME} {NAME}, {NAME} {NAME}[^()]{{0,60}}\(|[;&]|\b(?:and|with|og|und|et|photo\w*|foto)\b",
    re.I,
)


def year_in(text: object) -> int | None:
    """The first year in a date ("c.1910", "May 4, 1921", 1921); None without."""
    match = re.search(YEAR, str(text if text is not None else ""))
    return int(match[0]) if match else None


def last_year_in(*texts: object) -> int | None:
    """The last year that the fields of one date allow; None without, and for "after 1920"."""
    years = [each for text in texts if text is not None for each in _years(str(text))]
    year, is_open = max(years, default=(0, True))
    return None if is_open else year


def _years(text: str) -> Iterator[tuple[int, bool]]:
    """Each year with what it reaches to, and whether it may have been later still."""
    return map(_reach, MENTIONED.finditer(text))


def _reach(match: re.Match[str]) -> tuple[int, bool]:
    first = int(match["year"])
    last = first + _rest(first) if match["decade"] or match["tens"] else first
    if end := match["end"]:  # of "1921-05" it may be the month: then it is smaller
        until = int(match["year"][: -len(end)] + end)
        last = max(last, until + _rest(until) if match["end_tens"] else until)
    return last, bool(match["after"] or match["later"])


def _rest(first: int) -> int:
    return 99 if first % 100 == 0 else 9  # "early 1900s" may speak of the century


def life_in(text: str, makers: int = 1) -> Life:
    """(born, died) in "Russian, 1866–1944", "born 1930"; years of activity are none.

    Of several makers, `makers` or as many as the words name, see `together`. Nothing is known of
    whoever worked after, or in the workshop of, somebody whose life is told.
    """
    if NOT_THE_MAKER.search(LIVED.sub("", text)):
        return None, None
    said = WORKING.sub("", text)
    told = [(int(each["born"]), last_year_in(each[0])) for each in LIVED.finditer(said)]
    lives: list[Life] = [life for life in told if _is_life(*life)]
    others = LIVED.sub("", said)
    living = LIVING.search(others)
    untold = max(makers, 1 + len(AND.findall(text))) - len(lives)
    if untold > 0 or living:
        lives.append((year_in(living[0]) if living else None, None))
    born, died = together(lives)
    is_later = any(int(year) > (died or 0) for year in re.findall(YEAR, others))
    return born, None if is_later else died  # "1879–1940 or 1956"


def _is_life(born: int | None, died: int | None) -> bool:
    return born is None or died is None or YOUNGEST <= died - born <= OLDEST


def life_of(born: object, died: object, words: str) -> Life:
    """(born, died) of one maker by a record's fields, and by the words that stand beside them.

    Where these tell years of activity, or of another than the maker, the fields may repeat them:
    then the words alone count.
    """
    told = life_in(words)
    if WORKING.search(words) or NOT_THE_MAKER.search(words):
        return told
    life = year_in(born) or told[0], last_year_in(died, told[1])
    return life if _is_life(*life) else (None, None)


def together(lives: Sequence[Life]) -> Life:
    """The first one's birth, and the last death: None unless everybody's is told."""
    return (lives[0][0] if lives else None), _latest(died for _, died in lives)


def _latest(years: Iterable[int | None]) -> int | None:
    known = list(years)
    return None if None in known else max((year for year in known if year), default=None)
