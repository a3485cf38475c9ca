"""Whom the page credits: every painting, the first of them with a small picture."""

import io
from pathlib import Path

import pytest
from PIL import Image

import jobs.gallery
from jobs import Job
from jobs.finish import Upscale, finish
from jobs.gallery import gallery
from machineray.errors import InputError, UsageError


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


def test_what_is_not_listed_is_not_promised() -> None:
    shipped = {"credits": {"artists": {"Paul Klee": 3, "Sonia Delaunay": 1}}}
    assert jobs.gallery._learned(shipped, ROWS) == jobs.gallery.LISTED
    told = "What they were learned from is not listed here (paintings by Paul Klee, Sonia Delaunay)"
    assert jobs.gallery._learned(shipped, []).startswith(told)
    assert "is not listed here: its rights" in jobs.gallery._learned({}, [])


@pytest.mark.parametrize("place", ["a-folder", "r/generate"])
def test_what_are_no_artworks_is_not_hung(place: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"--input {place}: gallery hangs what RUN/finish"):
        list(gallery(Job("gallery", "r", str(tmp_path), place)))
