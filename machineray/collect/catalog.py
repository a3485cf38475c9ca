"""catalog.csv, catalog.json and catalog.jsonl beside pictures: who painted what, and the rights."""

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from machineray.errors import InputError
from machineray.tables import csv_records, text_of

Metadata = Mapping[str, str | int | None]

CATALOG_NAMES = ("catalog.csv", "catalog.json", "catalog.jsonl")

# What we keep of a painting, and the names that catalogs give it.
COLUMNS: dict[str, tuple[str, ...]] = {
    "file": ("file", "filename", "file_name", "path"),
    "title": ("title", "name"),
    "artist": ("artist", "author", "painter", "creator"),
    "year": ("year", "date", "dated"),
    "died": ("died", "death_year", "artist_died"),
    "source": ("source", "museum", "collection"),
    "source_url": ("source_url", "url", "link"),
    "rights": ("rights", "license", "licence"),
}
FIELDS = tuple(column for column in COLUMNS if column != "file")
UNKNOWN: Metadata = dict.fromkeys(FIELDS)


def read_catalog(data: bytes, name: str) -> dict[str, Metadata]:
    """The catalog's bytes -> file (normal form, "/" between folders) -> title, artist, year...

    Every field of `FIELDS` is there, None where the catalog does not say; columns that we do not
    know are ignored. Commas, semicolons or tabs; UTF-8, UTF-16 with its mark, or Latin-1.

    Raises:
        InputError: names the catalog and the line that cannot be understood.
    """
    text = text_of(data)
    if name.endswith(".csv"):
        records = csv_records(text, name, _check_header)
    elif name.endswith(".jsonl"):
        records = _json_lines(text, name)
    else:
        records = _json_records(text, name)
    return _by_file(records, name)


def normal(file: str) -> str:
    """The file's name as catalogs and listings compare it: NFC (a Mac lists NFD), "/" inside."""
    return str(PurePosixPath(unicodedata.normalize("NFC", file.replace("\\", "/"))))


def _check_header(columns: list[str], where: str) -> None:
    if not set(columns) & set(COLUMNS["file"]):
        raise InputError(
            f"{where}: no column file, filename or path: name the column of the picture files so"
        )


def _json_lines(text: str, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for line, content in enumerate(text.split("\n"), 1):
        if content.strip():
            record = _json(content, name, line)
            if not isinstance(record, dict):
                raise InputError(f"{name}: line {line}: not an object in {{braces}}")
            yield line, record


def _json_records(text: str, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    records = _json(text, name, 1)
    if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
        raise InputError(f"{name}: line 1: not a list of objects: write [{{...}}, {{...}}]")
    yield from enumerate(records, 1)


def _json(text: str, name: str, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = line + error.lineno - 1
        raise InputError(f"{name}: line {where}: not JSON: {error.msg}") from error
    except RecursionError as error:
        raise InputError(f"{name}: line {line}: not JSON: nested too deeply") from error
    except ValueError as error:  # Python reads no number of more than 4,300 digits
        raise InputError(f"{name}: line {line}: not JSON: a number that is endless") from error


def _by_file(records: Iterable[tuple[int, Mapping[str, Any]]], name: str) -> dict[str, Metadata]:
    entry = "entry" if name.endswith(".json") else "line"
    catalog: dict[str, Metadata] = {}
    for number, record in records:
        where = f"{name}: {entry} {number}"
        lowered = {str(key).strip().lower(): value for key, value in record.items()}
        values = {
            column: next(
                (v for n in names if (v := _value(lowered.get(n), where)) is not None), None
            )
            for column, names in COLUMNS.items()
        }
        file = values.pop("file")
        if file is None:
            raise InputError(f"{where}: no file: say which picture it speaks of")
        key = normal(str(file))
        if catalog.setdefault(key, values) != values:
            raise InputError(f"{where}: {file} is described a second time: keep one of them")
    return catalog


def _value(value: Any, where: str) -> str | int | None:
    """Text without space around it; a whole number as one; nothing as None."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, (list, dict, bool)):
        raise InputError(f"{where}: {value!r} is neither text nor a number")
    # JSON may hold half a surrogate pair ("\\ud800"), which no file can: it becomes "?".
    text = " ".join(str(value).encode("utf-8", "replace").decode().split())
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else text or None
