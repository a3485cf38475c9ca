import csv
import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from jobs import Job, call, defaults_of
from jobs.unframe import unframe
from machineray import imaging
from machineray.errors import InputError, StageError, UsageError
from machineray.log import Event, Note, Progress, Refusal
from machineray.runs import StageRun
from machineray.storage import open_store


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with a framed picture, one without frame, and one that is turned by EXIF."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rough = rng.integers(0, 256, (30, 40, 3), np.uint8)
    inner = np.asarray(Image.fromarray(rough).resize((320, 240), Image.Resampling.BICUBIC))
    framed = np.full((300, 420, 3), 255, np.uint8)
    framed[20:260, 60:380] = inner
    Image.fromarray(framed).save(folder / "framed.png")
    Image.fromarray(inner).save(folder / "whole.png")
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned clockwise
    Image.fromarray(framed).save(folder / "turned.tif", exif=turned)
    return folder


def job(tmp_path: Path, pictures: Path, **options: object) -> Job:
    root, folder = str(tmp_path / "root"), str(pictures)
    return Job("unframe", "klee", root=root, input=folder, **options)  # type: ignore[arg-type]


def done(tmp_path: Path, run: str = "klee") -> StageRun:
    return StageRun(open_store(str(tmp_path / "root")), run, "unframe")


def test_boxes_and_cropped_pictures(tmp_path: Path, pictures: Path) -> None:
    list(unframe(job(tmp_path, pictures)))
    stage = done(tmp_path)
    text = stage.read("boxes.csv").decode()
    assert text.startswith("file,left,top,right,bottom,confidence,corners,id\n")
    rows = {row["file"]: row for row in csv.DictReader(io.StringIO(text))}
    assert set(rows) == {"framed.png", "whole.png", "turned.tif"}
    expected = {
        "framed.png": (60, 20, 380, 260),
        "whole.png": (0, 0, 320, 240),
        "turned.tif": (40, 60, 280, 380),  # of the upright picture
    }
    catalog = {row["file"]: row for row in stage.catalog()}
    for file, box in expected.items():
        found = [int(rows[file][edge]) for edge in ("left", "top", "right", "bottom")]
        assert found == pytest.approx(box, abs=1)
        assert 0.5 <= float(rows[file]["confidence"]) <= 1
        data = open_store(str(tmp_path / "root")).read(catalog[file]["key"])
        with Image.open(io.BytesIO(data)) as cut:
            size = (found[2] - found[0], found[3] - found[1])
            assert cut.size == size == (catalog[file]["width"], catalog[file]["height"])
            assert cut.format == "PNG"
            if file == "framed.png":  # lossless
                with Image.open(pictures / file) as source:
                    assert np.array_equal(np.asarray(source.crop(tuple(found))), np.asarray(cut))


def test_a_confidence_that_none_has_leaves_all_whole(tmp_path: Path, pictures: Path) -> None:
    list(unframe(job(tmp_path, pictures), min_confidence=1.0))
    rows = csv.DictReader(io.StringIO(done(tmp_path).read("boxes.csv").decode()))
    row = next(row for row in rows if row["file"] == "framed.png")
    assert [row[edge] for edge in ("left", "top", "right", "bottom")] == ["0", "0", "420", "300"]
    page = done(tmp_path).read("boxes.html").decode()
    assert page.count('class="proposed"') == 2  # for whoever looks at them
    assert "2 to look at, 1 sure" in page and "--min-confidence 1.0 " in page
    for row in done(tmp_path).catalog():  # the file that came, to the byte
        assert row["key"].endswith(f"paintings/{row['file']}")
        data = open_store(str(tmp_path / "root")).read(row["key"])
        assert data == (pictures / row["file"]).read_bytes()


def test_nan_is_no_confidence(tmp_path: Path, pictures: Path) -> None:
    options = defaults_of(unframe) | {"min_confidence": float("nan")}
    with pytest.raises(UsageError, match="--min-confidence: nan"):
        call(unframe, options, job(tmp_path, pictures))


def test_what_is_told_to_stay_whole_stays_whole(tmp_path: Path, pictures: Path) -> None:
    told = tmp_path / "whole.txt"
    told.write_text("framed   # a painted border\n")
    list(unframe(job(tmp_path, pictures), whole=str(told)))
    catalog = {row["id"]: row for row in done(tmp_path).catalog()}
    assert catalog["framed"]["box"] == [0, 0, 420, 300]
    assert catalog["framed"]["overruled"] == "by hand"
    assert catalog["turned"]["box"] != [0, 0, 300, 420]
    told.write_text("nobody\n")
    with pytest.raises(UsageError, match=r"--whole .*1 of its 1 ids.*nobody"):
        list(unframe(job(tmp_path, pictures), whole=str(told)))


def test_boxes_by_hand_are_cut_as_they_are(tmp_path: Path, pictures: Path) -> None:
    list(unframe(job(tmp_path, pictures)))
    table = tmp_path / "boxes.csv"
    found = done(tmp_path).read("boxes.csv").decode()
    table.write_text("id;left;top;right;bottom\r\nframed;7;9;300;200\r\nwhole;0;0;320;240\r\n")
    list(unframe(replace(job(tmp_path, pictures), run="drawn"), boxes=str(table)))
    catalog = {row["id"]: row for row in done(tmp_path, "drawn").catalog()}
    assert catalog["framed"]["box"] == [7, 9, 300, 200]
    assert {row["id"] for row in catalog.values() if row.get("overruled")} == {"framed", "whole"}
    assert catalog["whole"]["key"].endswith("paintings/whole.png")
    with (
        Image.open(pictures / "framed.png") as source,
        Image.open(
            io.BytesIO(open_store(str(tmp_path / "root")).read(catalog["framed"]["key"]))
        ) as cut,
    ):
        assert np.array_equal(np.asarray(source.crop((7, 9, 300, 200))), np.asarray(cut))
    # The whole table that the stage wrote may be given back.
    table.write_text(found)
    list(unframe(replace(job(tmp_path, pictures), run="again"), boxes=str(table)))
    again = done(tmp_path, "again")
    assert again.read("boxes.csv").decode() == found
    store = open_store(str(tmp_path / "root"))
    for before, after in zip(done(tmp_path).catalog(), again.catalog(), strict=True):
        assert store.read(before["key"]) == store.read(after["key"])


def test_a_box_by_hand_of_a_large_picture_is_cut_smaller_where_it_lies(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    pixels = np.full((4500, 6001, 3), 255, np.uint8)
    pixels[1000:3000, 2000:5000] = (200, 30, 30)
    Image.fromarray(pixels).save(folder / "large.jpg", quality=95)
    table = tmp_path / "boxes.csv"
    table.write_text("id,left,top,right,bottom\nlarge,2000,1000,5000,3000\n")
    list(unframe(job(tmp_path, folder), boxes=str(table)))
    (row,) = done(tmp_path).catalog()
    assert row["box"] == [2000, 1000, 5000, 3000]
    with Image.open(io.BytesIO(open_store(str(tmp_path / "root")).read(row["key"]))) as cut:
        assert cut.size == (1500, 1000) == (row["width"], row["height"])
        assert np.abs(np.asarray(cut, int) - (200, 30, 30)).max() < 60


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nobody,0,0,9,9", "1 of its 1 ids are of no painting here"),
        ("framed,0,0,9", "line 2: 'bottom'"),
        ("framed,0,0,9,9.5", "line 2: .*whole numbers"),
        ("framed,9,0,9,9", "line 2: 9 0 9 9 is no box"),
        ("framed,0,0,9,9,1 2 3", "line 2"),
        ("framed,0,0,9,9,0 0 9 0 9 9 0 nan", "line 2: .*no four corners"),
        ("framed,0,0,9,9,9 0 0 0 0 9 9 9", "line 2: .*no four corners"),  # mirrored
        ("framed,0,0,9,9\nframed,0,0,9,8", "line 3: framed has another box above"),
        (",0,0,9,9", "line 2: no id"),
    ],
)
def test_a_wrong_table_of_boxes_names_its_line(
    tmp_path: Path, pictures: Path, line: str, reason: str
) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text(f"id,left,top,right,bottom,corners\n{line}\n")
    with pytest.raises(UsageError, match=rf"--boxes .*boxes.csv: {reason}"):
        list(unframe(job(tmp_path, pictures), boxes=str(table)))


def test_a_table_without_columns_and_one_of_another_picture(tmp_path: Path, pictures: Path) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text("framed,0,0,9,9\n")
    with pytest.raises(UsageError, match="no column id, left, top, right, bottom: begin with id,"):
        list(unframe(job(tmp_path, pictures), boxes=str(table)))
    table.write_text("id,left,top,right,bottom\nframed,0,0,421,300\n")
    events = list(unframe(job(tmp_path, pictures, max_failures=1), boxes=str(table)))
    (refusal,) = (event for event in events if isinstance(event, Refusal))
    assert "0 0 421 300, is not inside its 420 x 300 pixels" in refusal.reason
    (tmp_path / "whole.txt").write_text("framed\n")
    with pytest.raises(UsageError, match="--whole and --boxes both name framed"):
        list(unframe(job(tmp_path, pictures), whole=str(tmp_path / "whole.txt"), boxes=str(table)))


def test_a_page_shows_every_picture(tmp_path: Path, pictures: Path) -> None:
    events = list(unframe(job(tmp_path, pictures)))
    stage = done(tmp_path)
    page = stage.read("boxes.html").decode()
    for row in stage.catalog():
        assert f'href="{row["thumbnail"]}"' in page
        with Image.open(io.BytesIO(stage.read(row["thumbnail"]))) as small:
            assert max(small.size) == 240
            wide, high = row["source_size"]
            assert small.width / small.height == pytest.approx(wide / high, rel=0.02)
    notes = [event.text for event in events if isinstance(event, Note)]
    assert "boxes.html" in notes[-1]


def test_a_painting_seen_askew_is_set_upright(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    fields = np.random.default_rng(3).integers(30, 226, (6, 8, 3), np.uint8)
    wall = np.full((800, 1040, 3), (240, 238, 232), np.uint8)
    painting = Image.fromarray(fields).resize((800, 600), Image.Resampling.BICUBIC)
    wall[100:700, 120:920] = np.asarray(painting)
    source = np.array([(120, 100), (920, 100), (920, 700), (120, 700)], np.float32)
    seen = np.array([(128, 92), (912, 110), (928, 690), (112, 708)], np.float32)
    warp = cv2.getPerspectiveTransform(source, seen)
    Image.fromarray(
        cv2.warpPerspective(wall, warp, (1040, 800), borderMode=cv2.BORDER_REPLICATE)
    ).save(folder / "askew.png")
    list(unframe(job(tmp_path, folder)))
    stage = done(tmp_path)
    (row,) = stage.catalog()
    assert np.abs(np.array(row["corners"]) - seen).max() <= 3
    assert np.abs(np.array(row["box"]) - [120, 101, 920, 699]).max() <= 8
    (line,) = csv.DictReader(io.StringIO(stage.read("boxes.csv").decode()))
    assert [float(n) for n in line["corners"].split()] == [
        n for corner in row["corners"] for n in corner
    ]
    cut = Image.open(io.BytesIO(open_store(str(tmp_path / "root")).read(row["key"])))
    assert cut.size == (row["width"], row["height"])
    apart = np.abs(np.asarray(cut.resize((800, 600)), float) - np.asarray(painting, float))
    assert apart.mean() < 3


def large(folder: Path) -> dict[str, Path]:
    """A rough picture of 2400 x 1800, alone and on a white page of 3000 x 2500."""
    folder.mkdir()
    rough = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    inner = Image.fromarray(rough).resize((2400, 1800), Image.Resampling.BICUBIC)
    framed = Image.new("RGB", (3000, 2500), "white")
    framed.paste(inner, (203, 307))
    inner.save(folder / "whole.jpg", quality=90)
    framed.save(folder / "framed.jpg", quality=90)
    framed.save(folder / "framed.png", compress_level=1)
    return {file.name: file for file in folder.iterdir()}


def test_a_large_picture_is_looked_at_smaller_and_cut_at_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = large(tmp_path / "pictures")
    looks: list[tuple[str, int]] = []
    plain = imaging.decode_smaller

    def decode_smaller(data: bytes, name: str, times: Any) -> imaging.Smaller:
        small = plain(data, name, times)
        looks.append((Path(name).name, small.image.width))
        return small

    monkeypatch.setattr(imaging, "decode_smaller", decode_smaller)
    list(unframe(job(tmp_path, tmp_path / "pictures")))
    framed = [(name, width) for name in ("framed.jpg", "framed.png") for width in (750, 3000)]
    assert sorted(looks) == [*framed, ("whole.jpg", 600)]
    rows = {row["file"]: row for row in done(tmp_path).catalog()}
    for name in ("framed.jpg", "framed.png"):
        assert rows[name]["box"] == [203, 307, 2603, 2107]
        assert (rows[name]["width"], rows[name]["height"]) == (2400, 1800)
    whole = rows["whole.jpg"]
    assert whole["box"] == [0, 0, 2400, 1800] and whole["source_size"] == [2400, 1800]
    assert (whole["width"], whole["height"]) == (2400, 1800)
    store = open_store(str(tmp_path / "root"))
    assert store.read(whole["key"]) == files["whole.jpg"].read_bytes()


@pytest.mark.parametrize(("most", "times"), [(7_500_000, 1), (7_499_999, 2), (1_800_000, 4)])
def test_a_very_large_picture_is_cut_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, times: int
) -> None:
    files = large(tmp_path / "pictures")
    files["whole.jpg"].unlink()
    monkeypatch.setattr("jobs.unframe.LARGEST_CUT", most)
    list(unframe(job(tmp_path, tmp_path / "pictures")))
    store = open_store(str(tmp_path / "root"))
    for row in done(tmp_path).catalog():
        assert np.abs(np.subtract(row["box"], [203, 307, 2603, 2107])).max() <= times
        assert row["source_size"] == [3000, 2500]  # what the box is measured in
        cut = Image.open(io.BytesIO(store.read(row["key"])))
        assert cut.size == (row["width"], row["height"])
        assert np.abs(np.subtract(cut.size, np.divide((2400, 1800), times))).max() <= 1


PEAK = """
import sys
from jobs import Job
from jobs.unframe import unframe
list(unframe(Job("unframe", "klee", root=sys.argv[1], input=sys.argv[2], workers=2)))
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="Linux says what was taken")
def test_large_pictures_take_300_mb_by_two_threads(tmp_path: Path) -> None:
    framed = Image.open(large(tmp_path / "pictures")["framed.png"])
    for file in (tmp_path / "pictures").iterdir():
        file.unlink()
    framed.resize((4460, 3717)).save(tmp_path / "pictures" / "a.jpg", quality=90)
    framed.resize((11000, 9167)).save(tmp_path / "pictures" / "b.jpg", quality=90)
    for name in "cd":
        shutil.copy(tmp_path / "pictures" / "a.jpg", tmp_path / "pictures" / f"{name}.jpg")
    command = [sys.executable, "-c", PEAK, str(tmp_path / "root"), str(tmp_path / "pictures")]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert len(done(tmp_path).catalog()) == 4
    assert all(row["width"] < row["source_size"][0] for row in done(tmp_path).catalog())
    assert int(told.split()[-2]) < 300_000, told


def test_the_second_run_does_nothing(tmp_path: Path, pictures: Path) -> None:
    list(unframe(job(tmp_path, pictures)))
    root = tmp_path / "root"
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    events = list(unframe(job(tmp_path, pictures)))
    assert [event.text for event in events if isinstance(event, Progress)] == ["already done"]
    assert before == {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


def test_broken_pictures_are_named_and_counted(tmp_path: Path, pictures: Path) -> None:
    (pictures / "page.jpg").write_bytes(b"<!doctype html><title>404</title>")
    whole = (pictures / "whole.png").read_bytes()
    (pictures / "half.png").write_bytes(whole[: len(whole) // 2])
    events: list[Event] = []
    with pytest.raises(StageError, match=r"2 of 5 paintings were refused.*--max-failures 2"):
        for event in unframe(job(tmp_path, pictures)):
            events.append(event)
    refused = {event.item: event.reason for event in events if isinstance(event, Refusal)}
    assert "web page" in refused["page"]
    assert "truncated" in refused["half"]
    failed = json.loads(done(tmp_path).read("_failed/0.json"))
    assert "half" in json.dumps(failed)

    list(unframe(job(tmp_path, pictures, max_failures=2)))
    assert len(done(tmp_path).catalog()) == 3


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "empty.png").write_bytes(b"")
    with pytest.raises(InputError, match="no painting is left"):
        list(unframe(job(tmp_path, folder, max_failures=1)))


@pytest.mark.parametrize("workers", [1, 3])
def test_the_same_bytes_by_any_number_of_threads(
    tmp_path: Path, pictures: Path, workers: int
) -> None:
    list(unframe(job(tmp_path, pictures, workers=workers)))
    list(unframe(job(tmp_path / "again", pictures)))
    assert done(tmp_path).read("catalog.jsonl") == done(tmp_path / "again").read("catalog.jsonl")
