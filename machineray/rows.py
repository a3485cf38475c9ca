"""Rows of a catalog in a temporary file: a hundred thousand take a megabyte of memory."""

import json
import os
import shutil
import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from operator import eq
from pathlib import Path
from typing import IO, Any, overload

from machineray.errors import InputError

Row = dict[str, Any]

_BLOCK = 1 << 20


def row_bytes(row: Row) -> bytes:
    """A row as a line of JSON Lines, always the same bytes."""
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _named_file() -> IO[bytes]:
    return tempfile.NamedTemporaryFile(prefix="mray-", suffix=".jsonl")  # goes when it is closed


class Rows(Sequence[Row]):
    """A list of rows that lies on disk: each is read when it is asked for, by any thread.

    A row is a fresh dict every time: to change it changes nothing here. What is held in memory is
    eight bytes a row. The file has no name: nothing is left of it, however the process ends.
    """

    def __init__(self, rows: Iterable[Row] = (), name: str = "rows") -> None:
        self._name = name
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._ends = array("q", [0])  # where each row ends, behind a 0: where the first begins
        self.extend(rows)

    @classmethod
    def of_lines(cls, name: str, fill: Callable[[Path], None]) -> "Rows":
        """The rows of a JSON Lines file that `fill(path)` writes; errors name it and the line.

        A line is read as JSON no sooner than it is asked for; InputError when it is none.
        """
        rows, offset = cls(name=name), 0
        with _named_file() as filled:
            fill(Path(filled.name))
            while block := filled.read(_BLOCK):
                rows._file.write(block)
                at = block.find(b"\n")
                while at >= 0:
                    rows._ends.append(offset + at + 1)
                    at = block.find(b"\n", at + 1)
                offset += len(block)
        if offset > rows._ends[-1]:  # a last line without an end
            rows._ends.append(offset)
        rows._file.flush()
        return rows

    @cached_property
    def path(self) -> Path:
        """A file of the rows, JSON Lines: for reading, as long as the object lives."""
        copy = _named_file()
        weakref.finalize(self, copy.close)
        self._file.seek(0)
        shutil.copyfileobj(self._file, copy)
        copy.flush()
        return Path(copy.name)

    def extend(self, rows: Iterable[Row]) -> None:
        """Add rows at the end."""
        end = self._ends[-1]
        for row in rows:
            line = row_bytes(row)
            self._file.write(line)
            end += len(line)
            self._ends.append(end)
        self._file.flush()

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[n] for n in range(len(self))[index]]
        number = range(len(self))[index]
        start, end = self._ends[number], self._ends[number + 1]
        try:
            # pread: threads share the file, and no position in it.
            row: Row = json.loads(os.pread(self._file.fileno(), end - start, start))
        except ValueError as error:
            raise InputError(f"{self._name}, line {number + 1}: not JSON: {error}") from error
        return row

    def __iter__(self) -> Iterator[Row]:
        return (self[n] for n in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]
