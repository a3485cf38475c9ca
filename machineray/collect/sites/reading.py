"""What the sites' parsers share: pages and JSON that may have changed, said in words."""

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from machineray.collect.answers import WAY_OUT, Answer, Changed
from machineray.collect.dates import NOT_THE_MAKER
from machineray.collect.painting import Ask, Estimate, Turned, Wanted
from machineray.markup import visible

if TYPE_CHECKING:
    from bs4 import BeautifulSoup


Row = TypeVar("Row")
SLOW_PARSER, SLOW_LENGTH, UNCLOSED = "html.parser", 1_000_000, 200


@cache
def _parser() -> str:
    try:
        import lxml  # noqa: F401
    except ImportError:
        return SLOW_PARSER
    return "lxml"


def soup(html: str, where: str) -> "BeautifulSoup":
    """A page to search in, by lxml where it is there.

    Changed, for what only an attacker writes, where Python's own parser has to do: it takes hours
    for a page of tags or comments that never end.
    """
    from bs4 import BeautifulSoup
    from bs4.exceptions import ParserRejectedMarkup

    parser = _parser()
    unclosed = html.count("<") - html.count(">") + html.count("<!") - html.count("-->")
    if parser == SLOW_PARSER and (unclosed > UNCLOSED or len(html) > SLOW_LENGTH):
        raise changed(where, "an end to its tags, or is too long without lxml (pip install lxml)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # bs4's remarks on odd pages
            return BeautifulSoup(html, parser)
    except (ParserRejectedMarkup, RecursionError) as error:
        raise changed(where, "HTML") from error


def changed(where: str, what: str) -> Changed:
    """The page has no such thing any more."""
    return Changed(f"{where}: the page no longer has {what}: {WAY_OUT}", where)


def parsed(text: str | bytes, where: str) -> Any:
    """JSON -> a value; Changed when it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        data = text.encode() if isinstance(text, str) else text
        seen = ", but HTML" if data.lstrip()[:1] == b"<" else ""
        raise changed(where, f"JSON{seen}") from error


def rows_of(value: Any, where: str, *path: str) -> list[Mapping[str, Any]]:
    """The list of objects at value[path[0]][path[1]]…; Changed names what is not there."""
    for step, name in enumerate(path):
        if not isinstance(value, Mapping) or name not in value:
            raise changed(where, "“" + " / ".join(path[: step + 1]) + "”")
        value = value[name]
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise changed(where, f"a list of objects{' in “' + ' / '.join(path) + '”' if path else ''}")
    return value


def listed(
    text: str, where: str, name: str, fields: Iterable[str], *total: str
) -> tuple[int, list[Mapping[str, Any]]]:
    """A page of a list -> (how many there are in all, its records, which stand at `name`).

    The first record has to have the fields. The number stands at value[total[0]][total[1]]…; where
    it does not, it is that of the records.
    """
    value = parsed(text, where)
    rows = rows_of(value, where, name)
    for row in rows[:1]:
        require(row, fields, where)
    for step in total:
        value = value.get(step) if isinstance(value, Mapping) else None
    count = number_of(value)
    return len(rows) if count is None else count, rows


def linked_pages(
    ask: Ask, url: str, read: Callable[[Answer], tuple[list[Row], str]]
) -> Iterator[tuple[Answer, list[Row]]]:
    """A list's pages with their records; `read` gives those, and the next page's address or "".

    However the site goes on, a page without records ends the list, and so does one that was there
    before, by its address or by what it says.
    """
    seen: set[str] = set()
    while url and url not in seen:
        answer = ask(url)
        rows, following = read(answer)
        if not rows or answer.sha256 in seen:
            return
        seen |= {url, answer.sha256}
        yield answer, rows
        url = following


def numbered_pages(
    ask: Ask,
    address: Callable[[int], str],
    read: Callable[[str, str], tuple[int, list[Row]]],
    *,
    most: int | None = None,
    beyond: int = 0,
) -> Iterator[tuple[Answer, int, list[Row]]]:
    """The same of a list that counts its records: (page, how many there are in all, its records).

    `address` takes a page's number from 0 on, `read` a text and its address; it says 0 where the
    list does not count. It ends with `most` pages, and with `beyond` records more than counted.
    """
    number = count = total = 0

    def turned(answer: Answer) -> tuple[list[Row], str]:
        nonlocal number, count, total
        total, rows = read(answer.text, answer.url)
        number, count = number + 1, count + len(rows)
        is_more = (not total or count < total + beyond) and number != most
        return rows, address(number) if is_more else ""

    for answer, rows in linked_pages(ask, address(0), turned):
        yield answer, total, rows


def objects_of(value: Any) -> list[Mapping[str, Any]]:
    """The objects in a field that is one, or a list of them; what else is there is left out."""
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, Mapping)]


def require(row: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    """Changed when a record lacks one of the fields (which may be null)."""
    for name in names:
        if name not in row:
            raise changed(where, f"“{name}” in its records")


def text_of(value: Any) -> str:
    """A field as text on one line; "" for null and for what is neither text nor a number."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return visible(" ".join(str(value).encode("utf-8", "replace").decode().split()))


def link_of(value: Any, otherwise: str) -> str:
    """A field as a link that people may follow; the other one where it is none ("https://[x")."""
    url = text_of(value)
    try:
        parts = urlsplit(url)
    except ValueError:
        return otherwise
    return url if parts.scheme == "https" and parts.netloc else otherwise


def qualified(name: str, *words: Any) -> str:
    """A name behind what keeps it from being the maker's: "follower of Paul Klee"."""
    return " ".join([*(w for w in map(text_of, words) if NOT_THE_MAKER.search(w)), name])


def named(names: Iterable[str]) -> str:
    """The makers' names as one."""
    return ", ".join(dict.fromkeys(name for name in names if name))


def number_of(value: Any) -> int | None:
    """A whole number, also as text or 1913.0; None for anything else."""
    try:
        return None if isinstance(value, bool) or value is None else int(float(value))
    except (TypeError, ValueError, OverflowError):
        return None


class Patience:
    """One record that is not as we know it is left out; several in a row are a changed site."""

    def __init__(self, most: int = 5) -> None:
        self._most, self._count = most, 0

    def turned(self, item: str, error: Changed) -> Turned:
        """What is said of the record; the error itself when it is one too many."""
        self._count += 1
        if self._count >= self._most:
            raise error
        return Turned(item, str(error), error.url)

    def restore(self) -> None:
        """A record is as we know it."""
        self._count = 0


class Expected:
    """What some pages lack; that none has it, of so many in a row, is a changed site, no chance."""

    def __init__(self, what: str, most: int = 10) -> None:
        self._what, self._most = what, most
        self._lacking: int | None = 0  # None: a page had it

    def look(self, is_there: bool, where: str) -> None:
        """Count a page; Changed when it is one too many."""
        if is_there:
            self._lacking = None
        elif self._lacking is not None:
            self._lacking += 1
            if self._lacking >= self._most:
                raise changed(where, f"{self._what}, nor had those before it")


def by_size(sizes: Iterable[tuple[str, int]], max_side: int) -> tuple[str, ...]:
    """Addresses of one picture: the largest that is not larger than wanted, then what is next."""
    fitting = sorted((s for s in sizes if s[1] <= max_side), key=lambda s: -s[1])
    larger = sorted((s for s in sizes if s[1] > max_side), key=lambda s: s[1])
    return tuple(url for url, _ in (*fitting, *larger))


RECORD_BYTES = 4_000


def listed_estimate(
    totals: Sequence[int], rows: int, wanted: Wanted, *, pages_each: int, picture_bytes: int
) -> Estimate:
    """What lists of so many records would take, at most: a page for every `rows`, `pages_each`.

    With a limit it is reached, at best, with as many records.
    """
    count = sum(totals)
    pictures = count if wanted.limit is None else min(count, wanted.limit)
    lists = sum(-(-total // rows) for total in totals)
    size = count * RECORD_BYTES + pictures * picture_bytes
    return Estimate(lists + count * pages_each, pictures, size, f"{count:,} records at most")
