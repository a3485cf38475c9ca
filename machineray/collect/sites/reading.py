"""What the sites' parsers share: pages and JSON that may have changed, said in words."""

import importlib.util
import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from machineray.collect.answers import WAY_OUT, Changed

if TYPE_CHECKING:
    from bs4 import BeautifulSoup


@cache
def _parser() -> str:
    return "lxml" if importlib.util.find_spec("lxml") else "html.parser"


def soup(html: str, parser: str = "") -> "BeautifulSoup":
    """A page to search in, by lxml where it is there."""
    from bs4 import BeautifulSoup

    return BeautifulSoup(html, parser or _parser())


def changed(where: str, what: str) -> Changed:
    """The page has no such thing any more."""
    return Changed(f"{where}: the page no longer has {what}: {WAY_OUT}")


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


def require(row: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    """Changed when a record lacks one of the fields (which may be null)."""
    for name in names:
        if name not in row:
            raise changed(where, f"“{name}” in its records")


def text_of(value: Any) -> str:
    """A field as text on one line; "" for null and for what is neither text nor a number."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return " ".join(str(value).encode("utf-8", "replace").decode().split())


def number_of(value: Any) -> int | None:
    """A whole number, also as text or 1913.0; None for anything else."""
    try:
        return None if isinstance(value, bool) or value is None else int(float(value))
    except (TypeError, ValueError, OverflowError):
        return None
