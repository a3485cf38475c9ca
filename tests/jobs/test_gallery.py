"""Whom the page credits: every painting, the first of them with a small picture."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import jobs.gallery
from jobs import Job
from jobs.finish import Upscale, finish
from jobs.gallery import gallery
from machineray.errors import InputError, UsageError
from machineray.log import Note


@pytest.fixture
def job(tmp_path: Path) -> Job:
    for number, size in enumerate([(3000, 2000), (700, 900), (50, 40), (640, 640)]):
        Image.new("RGB", size, (0, 60 * number, 0)).save(tmp_path / f"{number}.jpg")
    return Job(stage="gallery", run="r", root=str(tmp_path), workers=2)


ROWS = [{"id": f"p{n}", "key": f"{n}.jpg", "title": f"Nr. {n}", "artist": "Klee"} for n in range(4)]


def test_the_first_paintings_have_a_picture(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs.gallery, "SHOWN_CREDITS", 3)
    credits, files = jobs.gallery._credits(job, ROWS)
    assert [credit.title for credit in credits] == ["Nr. 0", "Nr. 1", "Nr. 2", "Nr. 3"]
    sizes = []
    for credit in credits[:3]:
        assert credit.thumbnail
        with Image.open(io.BytesIO(files[credit.thumbnail.file])) as small:
            assert small.size == (credit.thumbnail.width, credit.thumbnail.height)
            sizes.append(small.size)
    assert sizes == [(320, 213), (249, 320), (50, 40)]
    assert credits[3].thumbnail is None and len(files) == 3


def test_a_painting_that_cannot_be_read_is_named(job: Job, tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    with pytest.raises(InputError, match=r"1\.jpg: "):
        jobs.gallery._credits(job, ROWS)


def test_only_what_is_on_the_sheet_is_kept_for_it(
    two_pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.gallery, "ON_SHEET", 1)
    list(finish(Job("finish", "r", str(tmp_path), str(two_pictures)), upscale=Upscale.none))
    job = Job("gallery", "r", str(tmp_path), workers=2)
    list(gallery(job))
    assert [row["id"] for row in job.output.catalog()] == ["p0", "p1"]
    folder = tmp_path / "runs/r/gallery"
    assert [path.name for path in (folder / "sheet").iterdir()] == ["p0.png"]
    with Image.open(folder / "contact-sheet.png") as sheet:
        assert sheet.width > sheet.height


def test_pictures_of_no_network_are_not_called_its_own(job: Job, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "3.jpg").rename(tmp_path / "pictures" / "3.jpg")
    input = str(tmp_path / "pictures")
    list(finish(replace(job, stage="finish", input=input), upscale=Upscale.none))
    *_, told = jobs.gallery.gallery(job)
    page = tmp_path / "runs" / "r" / "gallery" / "index.html"
    assert isinstance(told, Note) and told.text.endswith(str(page))
    assert "network" not in page.read_text().partition("<main")[2].partition("<script")[0]
    assert jobs.gallery.UNTOLD in page.read_text()


@pytest.mark.parametrize("input", ["klee/generate", "klee/collect", "pictures"])
def test_only_finished_pictures_are_hung(job: Job, input: str) -> None:
    with pytest.raises(UsageError, match=f"mray run finish --run NAME --input {input}"):
        list(jobs.gallery.gallery(replace(job, input=input)))
