"""Dates in words: by when a painting was finished, and how long its makers lived.

What is free hangs on the last possible year, so that is what is read: "1929-31" is 1931, "1930s" is
1939, and "after 1920" is none. "c. 1930" is 1930. Years go from 1000 to 2099.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

Life = tuple[int | None, int | None]  # born, died; None for what is not told

YEAR = r"(?<!\d)(?:1[0-9]{3}|20[0-9]{2})(?!\d)"
# Words of the sites' languages: English, Danish, Dutch; on Commons anybody's.
MENTION = rf"""
    (?P<after>\b(?:after|since|from|post|not\s+before|not?\s+earlier\s+than|begun|began|started
        |(?<!no\s)(?<!not\s)later\s+than|efter|fra|na|sinds|vanaf|nach|ab|seit|après|depuis)\W+
        (?:(?:ca?|circa|about|in|the|year|early|mid|late)\W+)*)?
    (?P<decade>\b(?:années|jaren)\W+)?
    (?P<year>{YEAR})
    (?P<tens>[-'’]?(?:s|er|erne|tallet)\b)?
    (?:\s*(?:[-–—/&]|or|and|to|bis|til|tot)\s*['’]?(?P<end>[0-9]{{1,2}})(?!\d|[-–—/.]\d)
        (?P<end_tens>['’]?s\b)?)?
    (?P<later>\s*(?:\+|ff?\b|onwards?\b
        |[-–—]\s*(?:[?),;]|present|today|now|$)|(?:to|until)\s+(?:the\s+)?(?:present|today|now)\b
        |(?:,\s*)?(?:later|thereafter)\b
        |(?:or|and|eller|of|oder|ou)\s+(?:later|after|senere|später|après)\b))?
"""
MENTIONED = re.compile(MENTION, re.I | re.X)
LIVED = re.compile(rf"(?P<born>{YEAR})\s*[-–—]\s*{MENTION}", re.I | re.X)
# Who was born, and nobody says died; without the lives that are told.
LIVING = re.compile(rf"\b(?:born|b\.)[^();]{{0,60}}{YEAR}|{YEAR}\s*[-–—]", re.I)
# Years of work are no life: what follows counts no more, to the end of the parenthesis.
WORKING = re.compile(
    r"\b(?:active|act|fl|floruit|flourished|work(?:s|ed|ing)?|founded|est|established"
    r"|aktiv|virksom|werkzaam|tätig|actif)\b[^();]*",
    re.I,
)
# One more maker: by a word, or behind the parenthesis of dates of the one before.
AND = re.compile(r"\d[^()]{0,60}\)\W*[^\W\d]|[;&]|\b(?:and|with|og|und|et)\b", re.I)


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

    Of several makers, `makers` or as many as the words name, see `together`.
    """
    said = WORKING.sub("", text)
    lives: list[Life] = [
        (int(each["born"]), last_year_in(each[0])) for each in LIVED.finditer(said)
    ]
    others = LIVED.sub("", said)
    untold = max(makers, 1 + len(AND.findall(text))) - len(lives)
    if untold > 0 or LIVING.search(others):
        lives.append((year_in(others), None))
    return together(lives)


def life_of(born: object, died: object, words: str) -> Life:
    """(born, died) of one maker by a record's fields, and by the words that stand beside them.

    Where these tell years of activity the fields may repeat them: then the words alone count.
    """
    told = life_in(words)
    if WORKING.search(words):
        return told
    return year_in(born) or told[0], last_year_in(died, told[1])


def together(lives: Sequence[Life]) -> Life:
    """The first one's birth, and the last death: None unless everybody's is told."""
    return (lives[0][0] if lives else None), _latest(died for _, died in lives)


def _latest(years: Iterable[int | None]) -> int | None:
    known = list(years)
    return None if None in known else max((year for year in known if year), default=None)
