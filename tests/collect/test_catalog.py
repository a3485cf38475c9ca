"""Catalogs as people and programs write them."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machineray.collect.catalog import CATALOG_NAMES, FIELDS, UNKNOWN, normal, read_catalog
from machineray.errors import InputError

words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)
files = st.from_regex(r"[a-z]{1,8}\.jpg", fullmatch=True)


@given(st.dictionaries(files, words.filter(lambda text: not text.isdigit())), st.data())
def test_what_csv_writes_is_read_back(titles: dict[str, str], data: st.DataObject) -> None:
    delimiter = data.draw(st.sampled_from(",;\t"))
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([("File", "Title", "Room"), *((f, t, "7") for f, t in titles.items())])
    catalog = read_catalog(text.getvalue().encode(encoding), "catalog.csv")
    assert {file: row["title"] for file, row in catalog.items()} == titles
    assert all(set(row) == set(FIELDS) for row in catalog.values())


@pytest.mark.parametrize("name", ["catalog.json", "catalog.jsonl"])
def test_json_says_the_same_as_csv(name: str) -> None:
    rows = [{"filename": "a.jpg", "name": "Rot", "date": "1921", "license": "CC0"}]
    text = json.dumps(rows) if name == "catalog.json" else json.dumps(rows[0]) + "\n\n"
    expected = {"a.jpg": {**UNKNOWN, "title": "Rot", "year": 1921, "rights": "CC0"}}
    assert read_catalog(text.encode(), name) == expected
    table = b"path,title,dated,licence\na.jpg,Rot,1921,CC0\n"
    assert read_catalog(table, "catalog.csv") == expected


def test_a_catalog_of_excel_on_windows_is_read() -> None:
    data = "file;title\r\na.jpg;Größe\r\n".encode("cp1252")
    assert read_catalog(data, "catalog.csv")["a.jpg"]["title"] == "Größe"


def test_names_are_compared_in_one_normal_form() -> None:
    decomposed = "Mu\u0308nter.jpg"
    assert read_catalog(f"file\nb\\{decomposed}\n".encode(), "catalog.csv").keys() == {
        "b/M\u00fcnter.jpg"
    }
    assert normal("./a//b.jpg") == "a/b.jpg"


def test_half_a_surrogate_pair_cannot_get_into_our_files() -> None:
    catalog = read_catalog(rb'[{"file": "a.jpg", "title": "x\ud800"}]', "catalog.json")
    assert catalog["a.jpg"]["title"] == "x?"


@pytest.mark.parametrize(
    ("name", "data", "where"),
    [
        ("catalog.csv", b"title\nRot\n", "line 1: no column file"),
        ("catalog.csv", b"file,title\na.jpg,Rot,Blau\n", "line 2: 3 fields under 2"),
        ("catalog.csv", b'file,title\n\na.jpg,"Rot\n', "line 3: .*mend the quotes"),
        ("catalog.csv", b"file,title\n,Rot\n", "line 2: no file"),
        ("catalog.csv", b"file,title\na.jpg,Rot\na.jpg,Blau\n", "line 3: .*second time"),
        ("catalog.json", b"{", "line 1: not JSON"),
        ("catalog.json", b"[\n1]", "line 1: not a list of objects"),
        ("catalog.json", b'[{"file": "a.jpg", "title": ["Rot"]}]', "entry 1: .*neither text"),
        ("catalog.json", b"[" * 100_000, "line 1: not JSON"),
        ("catalog.json", b'[{"file": "a", "year": ' + b"1" * 9999 + b"}]", "line 1: .*endless"),
        ("catalog.jsonl", b'{"file": "a.jpg"}\n{\n', "line 2: not JSON"),
        ("catalog.jsonl", b"7\n", "line 1: not an object"),
    ],
)
def test_what_cannot_be_understood_is_named_by_line(name: str, data: bytes, where: str) -> None:
    with pytest.raises(InputError, match=f"^{name}: {where}"):
        read_catalog(data, name)


@given(st.binary(max_size=80), st.sampled_from(CATALOG_NAMES))
def test_any_bytes_are_a_catalog_or_refused(data: bytes, name: str) -> None:
    try:
        read_catalog(data, name)
    except InputError as error:
        assert str(error).startswith(f"{name}: ")
