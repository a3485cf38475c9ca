"""The pictures of a folder: an id is of one file, and lists of ids say what is wrong with them."""

import re
import string
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from jobs import Job
from jobs.pictures import ids_in, ids_of, pictures
from machineray.errors import MachineRayError, UsageError

letters = st.text(string.ascii_letters[:3] + string.ascii_letters[-3:] + "0-_ /.画", max_size=4)
keys = st.builds("{}x{}".format, letters, st.sampled_from([".jpg", ".png", ".JPG"]))


@given(st.sets(keys), st.sets(keys))
@example({"画.jpg", "絵.jpg"}, {"丁.jpg"})
@example({"a.jpg"}, {"a.png", "A.jpg"})
@example({"a b.jpg"}, {"a-b.jpg", "a/b.jpg"})
@example({"画.jpg"}, {ids_of(["画.jpg"])[0] + ".jpg"})
def test_no_id_goes_from_one_file_to_another(before: set[str], added: set[str]) -> None:
    first, second = (
        dict(zip(map(str.lower, ids_of(files)), files, strict=True))
        for files in (sorted(before), sorted(before | added))
    )
    assert len(first) == len(before)
    assert len(second) == len(before | added)
    assert all(second.get(id, key) == key for id, key in first.items())


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["IMG_1.jpg", "red-square.png"], ["IMG_1", "red-square"]),
        (["a.jpg", "a.png", "b.jpg"], ["a-HASH", "a-HASH", "b"]),
        (["a b.jpg", "a/b.jpg", "画.jpg"], ["a-b-HASH", "a-b-HASH", "picture-HASH"]),
        (["x" * 100 + ".jpg", "y" * 101 + ".jpg"], ["x" * 100, "y" * 100 + "-HASH"]),
    ],
)
def test_a_plain_name_is_an_id_and_of_another_one_stays_what_can(
    files: list[str], expected: list[str]
) -> None:
    ids = ids_of(files)
    assert [re.sub("-[0-9a-f]{12}$", "-HASH", id) for id in ids] == expected
    assert len(set(ids)) == len(ids)


def test_a_file_with_the_longest_name_is_curated(tmp_path: Path) -> None:
    from jobs.curate import curate

    folder = tmp_path / "in"
    folder.mkdir()
    Image.effect_noise((200, 200), 90).save(folder / ("n" * 251 + ".jpg"))
    job = Job("curate", "t", str(tmp_path / "root"), str(folder))
    list(curate(job))
    (row,) = job.output.catalog()
    assert (row["title"], row["keep"]) == ("n" * 251, True)
    assert pictures(job).rows[0]["id"] == row["id"]


def test_what_a_mac_leaves_beside_pictures_is_none(tmp_path: Path) -> None:
    for name in ("a.jpg", "._a.jpg", "__MACOSX/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = pictures(Job("finish", "t", str(tmp_path / "root"), str(tmp_path)))
    assert [row["id"] for row in found.rows] == ["a"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "--reject FILE: a folder, not a file"),
        (b"\xff\xfe\x00", "--reject FILE: not text"),
        (b"nobody\n", "--reject FILE: 1 of its 1 ids are of no painting here (nobody)"),
    ],
)
def test_a_list_that_is_none_is_told(content: bytes | None, words: str, tmp_path: Path) -> None:
    file = tmp_path / "reject.txt"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(MachineRayError) as raised:
        ids_in(str(file), "--reject", ["a"])
    assert str(raised.value).startswith(words.replace("FILE", str(file)))
    assert isinstance(raised.value, UsageError) == (content != b"\xff\xfe\x00")
