"""Tables that people write: CSV from any spreadsheet."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping

from machineray.errors import InputError


def text_of(data: bytes) -> str:
    """A file's text: UTF-8, UTF-16 with its mark, or Latin-1."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")  # Latin-1, and what Excel writes for it


def csv_records(
    text: str, name: str, check_header: Callable[[list[str], str], None]
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """(line, column -> cell) of each record; columns in lower case; commas, semicolons or tabs.

    `check_header` is called with the columns and the words for where they stand.

    Raises:
        InputError: names the table and the line that cannot be understood.
    """
    header = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text.lstrip(), newline=""), delimiter=delimiter, strict=True)
    skipped = text[: len(text) - len(text.lstrip())].count("\n")
    columns: list[str] = []
    while True:
        line = reader.line_num + skipped + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(f"{name}: line {line}: {error}: mend the quotes") from error
        if not any(cell.strip() for cell in cells):
            continue
        if not columns:
            columns = [cell.strip().lower() for cell in cells]
            check_header(columns, f"{name}: line {line}")
            continue
        if len(cells) > len(columns):
            raise InputError(
                f"{name}: line {line}: {len(cells)} fields under {len(columns)} columns: "
                'put "quotes" around a field that holds the separator'
            )
        yield line, dict(zip(columns, cells, strict=False))
