"""The whole way from a folder of paintings to a gallery, as a user goes it."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from machineray.stages import STAGES
from machineray.storage import Store, open_store
from tests.conftest import Ended

pytestmark = pytest.mark.xdist_group("s3")

MRAY = str(Path(sys.executable).with_name("mray"))
PAINTINGS, SEEDS, SAMPLE_PX = 6, 4, 32


def pipeline(folder: Path, root: str) -> subprocess.CompletedProcess[str]:
    options = ["--preset", "tiny", "--kimg", "0.08", "--seeds", "0-3", "--workers", "1"]
    command = [MRAY, "run", "pipeline", str(folder), *options, "--root", root]
    return subprocess.run(command, capture_output=True, text=True)


def hashes(store: Store, prefix: str) -> dict[str, str]:
    """SHA-256 of all that a stage made, but for the markers: those say how long it took."""
    return {
        stored.key: hashlib.sha256(store.read(stored.key)).hexdigest()
        for stored in store.list(prefix)
        if "/_done/" not in stored.key
    }


@pytest.fixture(scope="module")
def folder(paintings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six paintings, as a user would have it: no catalog beside them."""
    folder = tmp_path_factory.mktemp("in") / "My Paintings"
    folder.mkdir()
    for path in sorted(paintings.glob("*.jpg"))[:PAINTINGS]:
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def finished(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The root of a pipeline that ran to its end, and what it said."""
    root = tmp_path_factory.mktemp("root")
    ended = pipeline(folder, str(root))
    assert ended.returncode == 0, ended.stderr
    return root, ended


def run_of(finished: tuple[Path, object]) -> Path:
    """The run's folder: its name is made of the paintings' folder."""
    return finished[0] / "runs" / "my-paintings"


def test_every_stage_is_complete_and_the_page_is_named(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    root, ended = finished
    page = run_of(finished) / "gallery" / "index.html"
    assert page.read_text().startswith("<!doctype html>")
    assert ended.stderr.rstrip().endswith(f"The gallery: {page}")
    assert "Traceback" not in ended.stderr
    status = [MRAY, "status", "my-paintings", "-o", "json", "--root", str(root)]
    rows = json.loads(subprocess.run(status, capture_output=True, check=True).stdout)
    assert [(row["stage"], row["state"], row["refused"]) for row in rows] == [
        (stage.name, "complete", 0) for stage in STAGES
    ]


def test_the_artworks_are_four_times_the_samples(
    finished: tuple[Path, object],
) -> None:
    folder = run_of(finished) / "finish" / "artworks"
    pictures = sorted(folder.glob("*.png"))
    assert [path.stem for path in pictures] == [f"seed{seed:06d}" for seed in range(SEEDS)]
    for path in pictures:
        sidecar = json.loads(path.with_suffix(".json").read_text())
        with Image.open(path) as image:
            image.load()
            assert max(image.size) == 4 * SAMPLE_PX
            assert image.size == (sidecar["width"], sidecar["height"])
            assert len(image.convert("RGB").getcolors(1 << 16) or []) > 1
        assert sidecar["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert sidecar["credits"]["paintings"] == PAINTINGS


def test_a_second_call_does_nothing(finished: tuple[Path, object], folder: Path) -> None:
    root = finished[0]

    def times() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}

    before = times()
    ended = pipeline(folder, str(root))
    assert ended.returncode == 0, ended.stderr
    assert times() == before
    assert ended.stderr.count("already done") == len(STAGES)


def test_what_another_run_finishes_has_its_credits(
    finished: tuple[Path, object], mray_here: Callable[..., Ended]
) -> None:
    """Also where it is finished twice; and what is not in the root is named."""
    root = finished[0]
    for run, source in (("jpeg", "my-paintings/generate"), ("again", "jpeg/finish")):
        given = ("--run", run, "--input", source, "--root", str(root))
        assert mray_here("run", "finish", *given, "--upscale", "none").rc == 0
        assert mray_here("run", "gallery", "--run", run, "--root", str(root)).rc == 0
        page = (root / "runs" / run / "gallery/index.html").read_text()
        assert 'id="sources"' in page and "--trained my-paintings/train" in page
        sidecar = json.loads((root / f"runs/{run}/finish/artworks/seed000000.json").read_text())
        assert sidecar["credits"]["paintings"] == PAINTINGS
        assert sidecar["aspect"]["from"] == ("paintings" if run == "jpeg" else "sample")
    aside = (run_of(finished) / "augment").rename(run_of(finished) / "aside")
    try:
        for stage, said in (("finish", "proportions stay"), ("gallery", "the page says nothing")):
            source = ("--input", "my-paintings/generate") if stage == "finish" else ()
            ended = mray_here("run", stage, "--run", "alone", *source, "--root", str(root))
            assert ended.rc == 0 and f"my-paintings/augment is not here: {said}" in ended.err, ended
    finally:
        aside.rename(run_of(finished) / "augment")


def test_a_bucket_gets_the_same_bytes_as_a_folder(
    finished: tuple[Path, object], folder: Path, s3_root: str
) -> None:
    ended = pipeline(folder, s3_root)
    assert ended.returncode == 0, ended.stderr
    assert f"{s3_root}/runs/my-paintings/gallery/index.html" in ended.stderr
    prefix = "runs/my-paintings/finish/"
    here, there = hashes(open_store(finished[0]), prefix), hashes(open_store(s3_root), prefix)
    assert here == there
    # Artworks and sidecars, the plan and the catalog.
    assert len(here) == 2 * SEEDS + 2


def test_a_folder_that_is_not_there_begins_no_run(
    tmp_path: Path, mray_here: Callable[..., Ended]
) -> None:
    ended = mray_here("run", "pipeline", str(tmp_path / "typo"), "--root", str(tmp_path / "root"))
    assert ended.rc == 3 and "no such folder" in ended.err
    assert not (tmp_path / "root").exists()


def test_another_choice_is_told_as_it_was_given(
    finished: tuple[Path, object], folder: Path, mray_here: Callable[..., Ended]
) -> None:
    ended = mray_here("run", "pipeline", str(folder), "--root", str(finished[0]))
    assert ended.rc == 2
    assert "my-paintings was begun otherwise: preset was 'tiny', now 'demo'" in ended.err
