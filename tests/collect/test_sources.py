"""A listing: candidates, companions, and the nearest catalog."""

import pytest

from machineray.collect.catalog import UNKNOWN
from machineray.collect.sources import Listing
from machineray.errors import InputError


def listing(files: dict[str, str]) -> Listing:
    return Listing(files, lambda name: files[name].encode())


def test_companions_are_no_candidates_and_strangers_are() -> None:
    names = ["b.jpg", "a/c.png", "notes.docx", "README.md", "LICENSE", "catalog.csv", "Thumbs.db"]
    names += [".DS_Store", "._b.jpg", ".git/x.jpg", "__MACOSX/b.jpg", "a/credits.html"]
    assert listing(dict.fromkeys(names, "")).names() == ["a/c.png", "b.jpg", "notes.docx"]


def test_the_nearest_catalog_has_the_last_word() -> None:
    source = listing(
        {
            "catalog.csv": "file,title\na/x.jpg,far\ny.jpg,near\n",
            "a/catalog.json": '[{"file": "x.jpg", "title": "nearest"}]',
            "a/x.jpg": "",
            "y.jpg": "",
            "z.jpg": "",
        }
    )
    assert source.metadata("a/x.jpg")["title"] == "nearest"
    assert source.metadata("y.jpg")["title"] == "near"
    assert source.metadata("z.jpg") == UNKNOWN


def test_what_a_catalog_names_in_vain_is_known() -> None:
    source = listing({"catalog.csv": "file\nx.jpg\ngone.jpg\n", "x.jpg": ""})
    assert source.missing() == ["gone.jpg"]
    assert listing({"x.jpg": ""}).missing() == []


def test_a_catalog_that_cannot_be_read_is_told_with_its_folder() -> None:
    source = listing({"a/catalog.csv": "title\nRot\n", "a/x.jpg": ""})
    with pytest.raises(InputError, match=r"^a/catalog\.csv: line 1"):
        source.metadata("a/x.jpg")
