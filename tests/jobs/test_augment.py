"""Squares and variants as the trainer finds them."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs import Job
from jobs.augment import augment
from machineray.dataset.squares import made_with
from machineray.dataset.tar import Sample, unpacked
from machineray.errors import StageError
from machineray.log import Event, Note
from machineray.shards import Part


def run(root: Path, name: str, place: Path, **options: Any) -> tuple[Job, list[Event]]:
    own = {key: options.pop(key) for key in ("resolution", "variants") if key in options}
    job = Job(stage="augment", run=name, root=str(root), input=str(place), **options)
    return job, list(augment(job, **({"resolution": 32} | own)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty pictures of several proportions: two shards."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(40):
        pixels = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        size = (40 + 5 * number, 120)
        Image.fromarray(pixels).resize(size).save(folder / f"p{number:02}.png")
    return folder


def samples(job: Job) -> list[Sample]:
    index = json.loads(job.output.read("index.json"))
    found = [each for shard in index["shards"] for each in unpacked(job.output.read(shard), shard)]
    assert index["samples"] == len(found)
    return found


def test_by_default_there_are_the_squares_only(folder: Path, tmp_path: Path) -> None:
    job, _ = run(tmp_path, "t", folder)
    found = samples(job)
    assert [each.key for each in found] == [f"p{number:02}" for number in range(40)]
    index = json.loads(job.output.read("index.json"))
    assert index == {
        "resolution": 32,
        "samples": 40,
        "shards": ["shards/000000.tar", "shards/000001.tar"],
    }
    for each in found:
        assert each.pixels().shape == (32, 32, 3)
    for row, each in zip(job.output.catalog(), found, strict=True):
        with Image.open(folder / f"{row['id']}.png") as image:
            assert row["aspect"] == pytest.approx(image.width / image.height, abs=1e-6)
            expected = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR))
        assert np.array_equal(each.pixels(), expected)
        known = {"id": row["id"], "variant": 0, "aspect": row["aspect"]}
        assert each.metadata == {**known, "made_with": made_with(is_varied=False)}


def test_no_byte_depends_on_order_workers_or_parts(folder: Path, tmp_path: Path) -> None:
    one, _ = run(tmp_path, "one", folder, variants=2)
    for index in (1, 0):
        two, _ = run(tmp_path, "two", folder, variants=2, workers=4, part=Part(index, 2))
    for name in ("shards/000000.tar", "shards/000001.tar", "index.json", "catalog.jsonl"):
        assert one.output.read(name) == two.output.read(name)
    # Fewer paintings, and so another order and other shards: the same pictures.
    for number in range(0, 40, 2):
        (folder / f"p{number:02}.png").unlink()
    fewer, _ = run(tmp_path, "fewer", folder, variants=2)
    before = {each.key: each.picture for each in samples(one)}
    after = {each.key: each.picture for each in samples(fewer)}
    assert len(after) == 60
    assert after.items() <= before.items()


def test_the_six_variants_stand_behind_their_square(folder: Path, tmp_path: Path) -> None:
    for path in sorted(folder.iterdir())[2:]:
        path.unlink()
    (folder / "p01.png").rename(folder / "p00_v1.png")  # once the key of p00's first variant
    job, _ = run(tmp_path, "t", folder, variants=6)
    expected = [f"{p}{v}" for p in ("p00", "p00_v1") for v in ("", *(f"+{n}" for n in range(1, 7)))]
    assert [each.key for each in samples(job)] == expected
    assert len({each.picture for each in samples(job)}) == 14
    assert len(job.output.catalog()) == 2


def test_a_page_shows_paintings_and_their_variants(folder: Path, tmp_path: Path) -> None:
    job, events = run(tmp_path, "t", folder, variants=2)
    page = job.output.read("index.html").decode()
    assert "40 paintings, each as it is and in 2 variants, at 32 pixels" in page
    assert "20 of them are shown" in page  # twelve of the first shard's 32, and eight
    shown = [row for row in job.output.catalog() if "strip" in row]
    assert [row["id"] for row in shown] == [f"p{n:02}" for n in (*range(12), *range(32, 40))]
    for row in shown:
        assert f'src="{row["strip"]}"' in page
        with Image.open(io.BytesIO(job.output.read(row["strip"]))) as strip:
            assert strip.size == (3 * 128 + 2 * 6, 128)
    assert events[-1] == Note(
        f"what the network will see: {job.store.url}/runs/t/augment/index.html"
    )


def test_the_page_does_not_grow_with_the_museum(folder: Path, tmp_path: Path) -> None:
    for number in range(40, 290):
        shutil.copy(folder / "p00.png", folder / f"q{number}.png")
    job, _ = run(tmp_path, "t", folder)
    rows = job.output.catalog()
    assert len(rows) == 290
    assert len([row for row in rows if "strip" in row]) == 8 * 12
    names = list(job.store.list(job.output.key("strips/")))
    assert len(names) == 8 * 12


def test_what_curate_refused_is_left_out(folder: Path, tmp_path: Path) -> None:
    from jobs.curate import curate

    list(curate(Job("curate", "t", str(tmp_path), str(folder)), min_side=50))
    job = Job("augment", "t", str(tmp_path), "t/curate")
    list(augment(job, resolution=16))
    kept = {row["id"] for row in job.output.sibling("curate").catalog() if row["keep"]}
    assert 0 < len(kept) < 40
    assert {each.key for each in samples(job)} == kept


def test_a_broken_painting_stops_the_stage_unless_it_may_fail(folder: Path, tmp_path: Path) -> None:
    (folder / "p07.png").write_bytes(b"")
    with pytest.raises(StageError, match=r"1 of 40 paintings were refused.*--max-failures 1"):
        run(tmp_path, "t", folder)
    job, _ = run(tmp_path, "t", folder, max_failures=1)
    assert len(samples(job)) == 39
    assert [item for item, _ in job.output.progress().refused] == ["p07"]
