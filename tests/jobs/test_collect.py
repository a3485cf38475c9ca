"""Collecting as a user does: from folders and buckets, good files and broken ones."""

import io
import json
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from jobs import Job
from jobs.collect import collect, examples_folder
from machineray.errors import InputError, NotFoundError, UsageError
from machineray.log import Event, Note, Progress, Refusal
from machineray.shards import Part
from machineray.storage import open_store


def run(root: str | Path, place: str | Path | None, **more: Any) -> tuple[Job, list[Event]]:
    given = None if place is None else str(place)
    job = Job(stage="collect", run="t", root=str(root), input=given, **more)
    return job, list(collect(job))


def picture(seed: int = 0, size: tuple[int, int] = (60, 45)) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize(size)


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def good_pictures() -> dict[str, bytes]:
    """Ten pictures of ten kinds, each another one."""
    alpha = picture(1).convert("RGBA")
    alpha.putalpha(128)
    turned = Image.Exif()
    turned[0x0112] = 6
    grey = Image.fromarray(np.linspace(0, 65535, 2700).astype(np.uint16).reshape(45, 60))
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    return {
        "plain.jpg": saved(picture(0), "JPEG"),
        "alpha.png": saved(alpha, "PNG"),
        "palette.png": saved(picture(2).quantize(16), "PNG"),
        "deep.png": saved(grey, "PNG"),
        "cmyk.jpg": saved(picture(4).convert("CMYK"), "JPEG"),
        "layers/lzw.tif": saved(picture(5), "TIFF", compression="tiff_lzw"),
        "layers/web.webp": saved(picture(6), "WEBP"),
        "turned.jpeg": saved(picture(7), "JPEG", exif=turned),
        "foreign-profile.png": saved(picture(8), "PNG", icc_profile=lab),
        "moving.gif": saved(
            picture(9), "GIF", save_all=True, append_images=[picture(10), picture(11)]
        ),
    }


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be of that size, with a few bytes of pixels."""
    rows = zlib.compress(bytes(1000))

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + checksum

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    header = chunk(b"IHDR", size + b"\x08\x02\0\0\0")
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def cut(format: str, **options: Any) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), format, **options)
    return data[: len(data) * 2 // 3]


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


JPEG = saved(picture(20), "JPEG")
PNG = saved(picture(21), "PNG")
GIF = saved(picture(22), "GIF")

# Thirty ways to be broken: name -> (bytes, what the reason has to say).
BROKEN: dict[str, tuple[bytes, str]] = {
    "empty.jpg": (b"", "empty file"),
    "words.jpg": (b"this was once a picture\n", "not a picture"),
    "notes.docx": (b"PK\x03\x04" + bytes(100), "ZIP archive or office document"),
    "page.jpg": (b"\n<!DOCTYPE html><html>404</html>", "a web page"),
    "answer.jpg": (b'{"error": "no such object"}', "not a picture"),
    "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "vector drawing"),
    "scan.pdf": (b"%PDF-1.7\n", "a PDF document"),
    "plot.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript drawing"),
    "packed.jpg": (b"\x1f\x8b\x08" + bytes(20), "a gzip archive"),
    "packed.rar": (b"Rar!\x1a\x07\x00" + bytes(20), "a RAR archive"),
    "pointer.jpg": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    "zeros.jpg": (bytes(5000), "nothing but zeros"),
    "noise.jpg": (random.Random(0).randbytes(5000), "not a picture"),
    "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
    "film.mp4": (b"\0\0\0\x18ftypmp42" + bytes(40), "a video"),
    "cut.jpg": (cut("JPEG"), "truncated JPEG"),
    "cut.png": (cut("PNG"), "truncated PNG"),
    "cut.tif": (cut("TIFF"), "TIFF"),
    "cut.webp": (cut("WEBP", lossless=True), "WEBP"),
    "cut.gif": (cut("GIF"), "truncated GIF"),
    "cut.bmp": (cut("BMP"), "truncated BMP"),
    "cut.jp2": (cut("JPEG2000"), "JPEG2000"),
    "head-only.jpg": (JPEG[:40], "JPEG"),
    "flipped.png": (flipped(PNG, PNG.index(b"IDAT") + 30), "PNG"),
    "no-width.png": (png_header(0, 40), "PNG"),
    "bomb.png": (png_header(100_000, 100_000), "more than 300 million pixels"),
    "bomb.gif": (GIF[:6] + b"\xff\xff\xff\xff" + GIF[10:], "more than 300 million pixels"),
    "png-inside.jpg": (PNG, "misnamed: the bytes are PNG"),
    "jpeg-inside.tif": (JPEG, "misnamed: the bytes are JPEG"),
    "huge.tif": (b"", "1.2 GB"),  # sparse, see below
}


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def catalog(job: Job) -> dict[str, dict[str, Any]]:
    return {row["file"]: row for row in job.output.catalog()}


def test_ten_good_among_thirty_broken(tmp_path: Path) -> None:
    good = good_pictures()
    broken = {name: data for name, (data, _) in BROKEN.items()}
    folder = fill(tmp_path / "in", good | broken)
    with (folder / "huge.tif").open("wb") as file:
        file.truncate(1_200_000_000)
    job, events = run(tmp_path / "root", folder, workers=2)
    reasons = {event.item: event.reason for event in events if isinstance(event, Refusal)}
    assert len(BROKEN) == len(reasons) == 30
    assert reasons.keys() == BROKEN.keys()
    for name, (_, words) in BROKEN.items():
        assert reasons[name].startswith(f"{name}: ")
        assert words in reasons[name], reasons[name]
    assert dict(job.output.progress().refused) == reasons
    rows = catalog(job)
    assert rows.keys() == good.keys()
    for name, row in rows.items():
        assert job.store.read(row["key"]) == good[name]  # byte for byte
    assert (rows["turned.jpeg"]["width"], rows["turned.jpeg"]["height"]) == (45, 60)
    assert {row["key"].rpartition(".")[2] for row in rows.values()} == {
        *("jpg", "png", "tif", "webp", "gif")
    }


def test_what_the_catalog_says_comes_along_and_what_it_says_in_vain_is_told(
    tmp_path: Path,
) -> None:
    table = "file,title,artist,year,died,source,source_url,rights,room\n"
    table += "a.jpg,Rot,K. M.,1915,1935,Museum,https://example.org/1,CC0,7\ngone.jpg,,,,,,,,\n"
    files = {"a.jpg": JPEG, "b.png": PNG, "catalog.csv": table.encode()}
    job, events = run(tmp_path / "root", fill(tmp_path / "in", files))
    rows = catalog(job)
    known = {
        "title": "Rot",
        "artist": "K. M.",
        "year": 1915,
        "died": 1935,
        "source": "Museum",
        "source_url": "https://example.org/1",
        "rights": "CC0",
    }
    assert {field: rows["a.jpg"][field] for field in known} == known
    assert {field: rows["b.png"][field] for field in known} == dict.fromkeys(known)
    notes = [event.text for event in events if isinstance(event, Note)]
    assert notes == ["collect: the catalog names 1 files that are not there: gone.jpg"]


def test_one_file_under_two_names_is_one_painting(tmp_path: Path) -> None:
    job, _ = run(tmp_path / "root", fill(tmp_path / "in", {"a.jpg": JPEG, "b/c.jpg": JPEG}))
    (row,) = job.output.catalog()
    assert (row["file"], row["copies"]) == ("a.jpg", ["b/c.jpg"])


def test_of_a_picture_and_its_copy_the_one_with_credits_counts(tmp_path: Path) -> None:
    files = {"a copy.jpg": JPEG, "a.jpg": JPEG, "catalog.csv": b"file,artist\na.jpg,Klee\n"}
    job, _ = run(tmp_path / "root", fill(tmp_path / "in", files))
    (row,) = job.output.catalog()
    assert (row["file"], row["copies"], row["artist"]) == ("a.jpg", ["a copy.jpg"], "Klee")


def test_the_same_again_does_nothing_and_another_folder_is_refused(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", {"a.jpg": JPEG})
    run(tmp_path / "root", folder)
    _, events = run(tmp_path / "root", folder)
    assert [event.text for event in events if isinstance(event, Progress)] == ["already done"]
    fill(folder, {"b.png": PNG})
    with pytest.raises(UsageError, match="begun otherwise: input files was 1, now 2"):
        run(tmp_path / "root", folder)


def test_neither_the_number_of_workers_nor_of_parts_changes_a_byte(tmp_path: Path) -> None:
    folder = fill(
        tmp_path / "in", {f"{n}.png": saved(picture(n, (20, 20)), "PNG") for n in range(70)}
    )
    one, _ = run(tmp_path / "one", folder)
    for index in (2, 0, 1):
        three, _ = run(tmp_path / "three", folder, part=Part(index, 3), workers=4)
    assert len(one.output.catalog()) == 70
    assert three.output.read("catalog.jsonl") == one.output.read("catalog.jsonl")


def test_a_root_inside_the_folder_is_not_collected(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", {"a.jpg": JPEG})
    for root in (folder / "mray-data", folder):
        run(root, folder)
        _, events = run(root, folder)
        assert [event.text for event in events if isinstance(event, Progress)] == ["already done"]


def test_names_that_are_no_text_are_collected_or_refused(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", {"ü & #%.jpg": JPEG, "back\\slash.jpg": JPEG})
    bytes_name = bytes(folder) + b"/\xff.png"
    try:
        Path(bytes_name.decode("utf-8", "surrogateescape")).write_bytes(PNG)
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")
    job, events = run(tmp_path / "root", folder)
    assert catalog(job).keys() == {"ü & #%.jpg", "\\xff.png"}
    (refusal,) = (event for event in events if isinstance(event, Refusal))
    assert refusal.reason.startswith("back\\slash.jpg: rename it")


def missing(folder: Path) -> Path:
    return folder / "nowhere"


def a_file(folder: Path) -> Path:
    return fill(folder, {"a.jpg": JPEG}) / "a.jpg"


def empty(folder: Path) -> Path:
    return fill(folder, {"README.md": b"nothing here"})


def all_broken(folder: Path) -> Path:
    return fill(folder, {"a.jpg": b"", "b.jpg": b"x"})


def bad_catalog(folder: Path) -> Path:
    return fill(folder, {"a.jpg": JPEG, "catalog.csv": b'file,title\na.jpg,"Rot\n'})


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (missing, NotFoundError, "nowhere: no such folder"),
        (a_file, UsageError, "a file, not a folder"),
        (empty, NotFoundError, "no pictures there"),
        (all_broken, InputError, "none of its 2 files is a usable painting"),
        (bad_catalog, InputError, r"catalog\.csv: line 2: .*mend the quotes"),
    ],
)
def test_what_cannot_be_begun_says_why(
    make: Callable[[Path], Path], error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        run(tmp_path / "root", make(tmp_path / "in"))


def test_the_examples_are_the_default(tmp_path: Path) -> None:
    job, events = run(tmp_path, None)
    assert not [event for event in events if isinstance(event, (Refusal, Note))]
    rows = job.output.catalog()
    assert len(rows) == 48
    for row in rows:
        assert max(row["width"], row["height"]) <= 512
        assert row["title"]
        assert row["artist"]
        assert row["died"] < 1954
        assert row["year"] < 1931
        assert row["rights"].startswith("Public domain")
    assert sum(row["bytes"] for row in rows) <= 4_000_000
    credits = (examples_folder() / "CREDITS.md").read_text(encoding="utf-8")
    assert all(row["title"] in credits for row in rows)


@pytest.mark.xdist_group("s3")
def test_a_bucket_gives_what_a_folder_gives(s3_root: str, tmp_path: Path) -> None:
    table = b"file,title\nplain.jpg,Rot\nlayers/lzw.tif,Blau\n"
    files = good_pictures() | {"catalog.csv": table, "empty.jpg": b""}
    bucket = open_store(f"{s3_root}/in")
    for name, data in files.items():
        bucket.write(name, data)
    here, _ = run(tmp_path / "root", fill(tmp_path / "in", files))
    there, events = run(f"{s3_root}/root", f"{s3_root}/in", workers=4)
    assert [event.item for event in events if isinstance(event, Refusal)] == ["empty.jpg"]
    assert there.output.read("catalog.jsonl") == here.output.read("catalog.jsonl")
    for row in there.output.catalog():
        assert there.store.read(row["key"]) == files[row["file"]]
    plan = json.loads(there.output.read("plan.json"))
    assert plan["input"]["from"] == f"{s3_root}/in"


@pytest.mark.xdist_group("s3")
def test_an_empty_prefix_and_a_missing_bucket(s3_root: str, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no pictures there"):
        run(tmp_path, f"{s3_root}/nothing")
    with pytest.raises(NotFoundError, match="no such bucket"):
        run(tmp_path, f"{s3_root}-not-there/in")


def test_a_folder_called_examples_is_not_taken_for_those_that_ship(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "examples", {"a.jpg": JPEG})
    with pytest.raises(UsageError, match=r"write \./examples"):
        run(tmp_path / "root", "examples")
    job, _ = run(tmp_path / "root", "./examples")
    assert len(job.output.catalog()) == 1
