"""Curating as a user does, on the paintings that ship with the project."""

import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFilter, ImageOps

from jobs import Job
from jobs.collect import collect
from jobs.curate import curate
from machineray.curate.seen import measures
from machineray.errors import InputError, NotFoundError, UsageError
from machineray.imaging import decode
from machineray.log import Event, Note, Refusal
from machineray.shards import Part

README = Path(__file__).resolve().parents[2] / "README.md"


def run(root: Path, *, name: str = "t", **options: Any) -> tuple[Job, list[Event]]:
    names = ("min_side", "reject", "keep", "auto_reject")
    own = {key: options.pop(key) for key in names if key in options}
    job = Job(stage="curate", run=name, root=str(root), **options)
    return job, list(curate(job, **own))


@pytest.fixture
def folder(paintings: Path, tmp_path: Path) -> Path:
    """Six paintings, a small mirrored copy of the first, and one that is too small."""
    folder = tmp_path / "in"
    folder.mkdir()
    chosen = sorted(paintings.glob("*.jpg"))[::8]
    for number, path in enumerate(chosen):
        shutil.copy(path, folder / f"{number}.jpg")
    with Image.open(chosen[0]) as image:
        ImageOps.mirror(image).resize((200, 200)).save(folder / "copy.webp", quality=60)
    with Image.open(chosen[1]) as image:
        image.crop((0, 0, 100, 150)).save(folder / "tiny.png")
    return folder


@pytest.fixture
def root(folder: Path, tmp_path: Path) -> Path:
    """A root in which run t has collected the folder."""
    list(collect(Job(stage="collect", run="t", root=str(tmp_path), input=str(folder))))
    return tmp_path


def verdicts(job: Job) -> dict[str, str]:
    return {row["file"]: row["verdict"] for row in job.output.catalog()}


def test_each_painting_once_and_large_enough(root: Path) -> None:
    job, events = run(root)
    kept = {f"{number}.jpg": "kept" for number in range(6)}
    assert verdicts(job) == kept | {"copy.webp": "duplicate", "tiny.png": "too small"}
    notes = [event.text for event in events if isinstance(event, Note)]
    page = job.output.key("contact-sheet.html")
    assert notes == [
        "6 of 8 paintings kept, 1 duplicate, 1 too small; "
        f"look at {root}/runs/t/curate/contact-sheet.html"
    ]
    text = job.store.read(page).decode()
    assert text.count("<figure ") == 8
    shown = re.findall(r'src="(thumbnails/\w+\.webp)"', text)
    assert len(shown) == 9  # the duplicate beside its original
    for name in shown:
        assert decode(job.output.read(name), name).size <= (240, 240)
    collected = {row["id"]: row for row in job.output.sibling("collect").catalog()}
    for row in job.output.catalog():
        assert {field: row[field] for field in ("key", "sha256", "title")} == {
            field: collected[row["id"]][field] for field in ("key", "sha256", "title")
        }


def test_what_a_person_does_not_want_goes(root: Path, tmp_path: Path) -> None:
    first = next(row for row in run(root)[0].output.catalog() if row["file"] == "0.jpg")
    unwanted = tmp_path / "unwanted.txt"
    unwanted.write_text(f"\ufeff# not these\n\n {first['id']}  # dull\n", encoding="utf-8")
    job, _ = run(root, name="again", input="t/collect", reject=str(unwanted))
    found = verdicts(job)
    assert found["0.jpg"] == "rejected by hand"
    assert found["copy.webp"] == "kept"  # its better copy is out of the way


def test_a_list_that_names_no_painting_is_told_before_anything_is_planned(
    root: Path, tmp_path: Path
) -> None:
    unwanted = tmp_path / "unwanted.txt"
    unwanted.write_text("nobody\n")
    with pytest.raises(UsageError, match=r"1 of its 1 ids .*\(nobody\)"):
        run(root, reject=str(unwanted))
    with pytest.raises(NotFoundError, match="no such file"):
        run(root, reject=str(tmp_path / "nowhere.txt"))
    assert run(root)[0].output.plan() is not None  # the run is still free for other arguments


def test_a_false_duplicate_is_kept_by_hand(root: Path, tmp_path: Path) -> None:
    rows = run(root)[0].output.catalog()
    ids = {row["file"]: row["id"] for row in rows}
    file = tmp_path / "keep.txt"
    file.write_text(f"{ids['copy.webp']}  # another painting\n{ids['tiny.png']}\n")
    job, events = run(root, name="again", input="t/collect", keep=str(file))
    by_hand = {"copy.webp": "kept by hand", "tiny.png": "kept by hand"}
    assert verdicts(job) == {f"{number}.jpg": "kept" for number in range(6)} | by_hand
    note = next(event.text for event in events if isinstance(event, Note))
    assert re.match(r"8 of 8 paintings kept \((1 doubtful, )?2 by hand\); look at", note)
    with pytest.raises(UsageError, match="--reject and --keep both name"):
        run(root, name="both", input="t/collect", keep=str(file), reject=str(file))


def test_when_nothing_is_left_the_way_out_is_told(root: Path, tmp_path: Path) -> None:
    told = r"0 of 8 paintings kept, 8 too small; .*--input t/collect and a lower --min-side$"
    with pytest.raises(InputError, match=told):
        run(root, min_side=3000)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"1 unreadable; .* and pictures that can be read there$"):
        run(root, name="b", input=str(broken))


def shell(line: str, folder: Path, root: Path) -> None:
    """Run a command as a user does who pastes it."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "MRAY_ROOT": str(root)}
    subprocess.run(line, shell=True, check=True, cwd=folder, env=environment)


def test_the_command_of_the_sheet_can_be_pasted(folder: Path, tmp_path: Path) -> None:
    place = folder.rename(tmp_path / "sp ace's & <b>")
    root = tmp_path / "ro ot"
    job, _ = run(root, input=str(place), min_side=90)
    page = job.output.read("contact-sheet.html").decode()
    (code,) = re.findall(r"<code>(mray .*)</code>", page)
    line = html.unescape(re.sub("<[^>]*>", "", code))
    (tmp_path / "reject.txt").write_text("0\n")
    (tmp_path / "keep.txt").write_text("copy\n")
    shell(line.replace("NAME", "again"), tmp_path, root)
    again = Job("curate", "again", str(root)).output
    assert again.plan().arguments == {  # type: ignore[union-attr]
        "min_side": 90,
        "auto_reject": False,
        "reject": ["0"],
        "keep": ["copy"],
    }


def test_the_lines_of_the_readme_reject_from_a_run_that_was_curated(
    folder: Path, tmp_path: Path
) -> None:
    lines = re.findall(r"^    (mray run curate .*--reject \S*)", README.read_text(), re.MULTILINE)
    assert lines
    root = tmp_path / "root"
    list(collect(Job("collect", "mine", str(root), str(folder))))
    rows = run(root, name="mine")[0].output.catalog()
    (tmp_path / "reject.txt").write_text(f"{rows[0]['id']}\n")
    for line in lines:
        shell(line, tmp_path, root)


def test_a_folder_can_be_curated_without_collecting_and_the_unreadable_are_told(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "broken.jpg").write_bytes((folder / "0.jpg").read_bytes()[:4000])
    job, events = run(tmp_path / "root", input=str(folder), min_side=1)
    rows = {row["id"]: row for row in job.output.catalog()}
    assert len(rows) == 9
    assert rows["broken"]["keep"] is False
    assert "truncated JPEG" in rows["broken"]["reason"]
    assert [event.item for event in events if isinstance(event, Refusal)] == ["broken"]
    assert rows["copy"]["duplicate_of"] == "0"


def test_a_blurred_copy_is_doubtful_and_refused_only_if_asked_to(
    folder: Path, tmp_path: Path
) -> None:
    with Image.open(folder / "3.jpg") as image:
        blurred = image.crop((0, 0, 400, 300)).filter(ImageFilter.GaussianBlur(4))
    blurred.save(folder / "soft.png")
    job, events = run(tmp_path / "root", input=str(folder))
    rows = {row["id"]: row for row in job.output.catalog()}
    assert rows["soft"]["doubts"] == ["blurred"]
    assert rows["soft"]["measures"] == measures(decode((folder / "soft.png").read_bytes(), "soft"))
    assert rows["soft"]["keep"] is True
    assert "kept (1 doubtful)" in next(e.text for e in events if isinstance(e, Note))
    job, _ = run(tmp_path / "root", name="strict", input=str(folder), auto_reject=True)
    rows = {row["id"]: row for row in job.output.catalog()}
    assert (rows["soft"]["verdict"], rows["0"]["verdict"]) == ("blurred", "kept")


def test_what_the_sheet_saves_is_what_reject_takes(root: Path, tmp_path: Path) -> None:
    first = next(row for row in run(root)[0].output.catalog() if row["file"] == "0.jpg")
    file = tmp_path / "reject.txt"
    file.write_text(f"{first['id']}  # Title # 1\n", encoding="utf-8")
    job, _ = run(root, name="again", input="t/collect", reject=str(file))
    assert verdicts(job)["0.jpg"] == "rejected by hand"
    assert '"reject":["' + first["id"] + '"]' in job.output.read("contact-sheet.html").decode()


def test_parts_and_workers_change_no_byte(root: Path, tmp_path: Path) -> None:
    one, _ = run(root)
    for index in (1, 0):
        two, _ = run(root, name="two", input="t/collect", part=Part(index, 2), workers=3)
    for name in ("catalog.jsonl", "contact-sheet.html"):
        assert two.output.read(name) == one.output.read(name)
