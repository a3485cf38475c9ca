"""Rows on disk behave as a list of them does."""

import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machineray.errors import InputError
from machineray.rows import Rows, row_bytes

rows = st.lists(st.dictionaries(st.text(max_size=4), st.text() | st.integers() | st.none()))


@given(rows)
def test_rows_are_a_list_and_a_file_of_lines(given_rows: list[dict[str, Any]]) -> None:
    held = Rows(given_rows)
    assert list(held) == given_rows
    assert held == given_rows
    assert len(held) == len(given_rows)
    assert held[1:3] == given_rows[1:3]
    assert held[-1:] == given_rows[-1:]
    assert held.path.read_bytes() == b"".join(map(row_bytes, given_rows))
    again = Rows.of_lines("again", lambda path: path.write_bytes(held.path.read_bytes()) and None)
    assert again == given_rows
    assert held != [*given_rows, {}]


def test_a_row_is_ones_own() -> None:
    held = Rows([{"id": 1}])
    held[0]["id"] = 2
    assert held[0] == {"id": 1}
    with pytest.raises(IndexError):
        held[1]


def test_a_last_line_needs_no_end_and_a_bad_one_is_named() -> None:
    held = Rows.of_lines(
        "c.jsonl", lambda path: path.write_bytes(b'{"a": 1}\nno\n{"b": 2}') and None
    )
    assert held[0] == {"a": 1}
    assert held[2] == {"b": 2}
    with pytest.raises(InputError, match=r"c\.jsonl, line 2: not JSON"):
        held[1]


def test_threads_read_side_by_side() -> None:
    held = Rows({"n": n, "word": "x" * (n % 50)} for n in range(2000))
    found: list[list[int]] = []
    threads = [
        threading.Thread(target=lambda: found.append([row["n"] for row in held])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [list(range(2000))] * 4


def test_no_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    held = Rows.of_lines("x", lambda path: path.write_bytes(b'{"id": 1}\n') and None)
    assert list(tmp_path.iterdir()) == []  # so that a killed process leaves none
    assert held.path.read_bytes() == b'{"id": 1}\n'
    del held
    assert list(tmp_path.iterdir()) == []
