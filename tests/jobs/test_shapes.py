"""Pictures that are no squares, from augment to the gallery."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from jobs import Job, function_of
from jobs.augment import augment
from jobs.pipeline import Request, steps
from jobs.train import train
from machineray.dataset.tar import unpacked
from machineray.errors import ConfigurationError, UsageError
from machineray.gan.state import load_snapshot
from machineray.log import Event, Note
from tests.jobs.conftest import fill_with_blots

pytestmark = pytest.mark.xdist_group("shapes")  # one run for all

WIDTH, HEIGHT = 24, 32


def run(root: Path, stage: str, **options: Any) -> tuple[Job, list[Event]]:
    job = Job(stage, "t", str(root), options.pop("input", None))
    return job, list(function_of(stage)(job, **options))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four wide pictures: some are held out, so that all that is compared is compared."""
    folder = tmp_path_factory.mktemp("in")
    fill_with_blots(folder, 24)
    return folder


@pytest.fixture(scope="module")
def root(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that trained on pictures of three by four, and what was made of it."""
    root = tmp_path_factory.mktemp("root")
    run(root, "augment", input=str(folder), resolution=f"{WIDTH}x{HEIGHT}", variants=1)
    run(root, "train", preset="tiny", kimg=0.016)
    run(root, "generate", seeds="0-2")
    run(root, "finish", upscale=function_of("finish").__globals__["Upscale"].none)
    run(root, "gallery")
    return root


def sizes(paths: Iterator[Path]) -> set[tuple[int, int]]:
    found = set()
    for path in paths:
        with Image.open(path) as image:
            found.add(image.size)
    return found


def test_shards_and_plan_say_the_shape_and_variants_keep_it(root: Path) -> None:
    output = Job("augment", "t", str(root)).output
    index = json.loads(output.read("index.json"))
    assert index["resolution"] == f"{WIDTH}x{HEIGHT}"
    plan = output.plan()
    assert plan is not None
    assert plan.arguments["resolution"] == f"{WIDTH}x{HEIGHT}"
    made = [each for shard in index["shards"] for each in unpacked(output.read(shard), shard)]
    assert len(made) == 48
    assert {each.pixels().shape for each in made} == {(HEIGHT, WIDTH, 3)}


def test_the_network_has_the_shape_of_its_pictures(root: Path) -> None:
    train_folder = root / "runs" / "t" / "train"
    about = load_snapshot((train_folder / "snapshot.safetensors").read_bytes(), "s").about
    assert about["preset"]["resolution"] == f"{WIDTH}x{HEIGHT}"
    assert sizes(train_folder.glob("snapshots/*.png")) == {(6 * WIDTH, 4 * HEIGHT)}
    page = (train_folder / "index.html").read_text()
    assert f'width="{6 * WIDTH}" height="{4 * HEIGHT}"' in page
    assert json.loads((train_folder / "audit.json").read_text())["honest"]
    assert sizes(train_folder.glob("audit/*.webp")) == {(2 * WIDTH, HEIGHT)}


def test_samples_and_artworks_keep_the_shape_that_was_chosen(root: Path) -> None:
    """The paintings are wide; nobody who trained three by four wants wide pictures."""
    stages = root / "runs" / "t"
    assert sizes(stages.glob("generate/samples/*.png")) == {(WIDTH, HEIGHT)}
    assert sizes(stages.glob("finish/artworks/*.png")) == {(WIDTH, HEIGHT)}
    sidecar = json.loads(next(stages.glob("finish/artworks/*.json")).read_text())
    assert sidecar["aspect"] == {"width_by_height": 0.75, "from": "sample"}
    assert f'width="{WIDTH}" height="{HEIGHT}"' in (stages / "gallery/index.html").read_text()


def test_the_paintings_proportions_are_there_for_the_asking(root: Path) -> None:
    kinds = function_of("finish").__globals__
    job = Job("finish", "wide", str(root), "t/generate")
    options = {"aspect": kinds["Aspect"].sources, "upscale": kinds["Upscale"].none}
    list(function_of("finish")(job, **options))
    assert sizes((root / "runs/wide/finish/artworks").glob("*.png")) == {(WIDTH, 18)}  # 64 x 48


def test_the_page_says_what_was_learned_from_whichever_run_drew(root: Path) -> None:
    upscale = function_of("finish").__globals__["Upscale"].none
    list(function_of("finish")(Job("finish", "far", str(root), "t/generate"), upscale=upscale))
    list(function_of("gallery")(Job("gallery", "far", str(root))))
    page = (root / "runs/far/gallery/index.html").read_text()
    assert "made by a network that has seen 22 paintings" in page
    assert "2 others, which it never saw, judged it" in page
    assert (
        "The network was made with 24 paintings: 24 by unknown. Their rights: “unknown” (24)."
        in page
    )
    assert "mray run pipeline --trained t/train " in page
    assert "DIV2K" not in page  # nothing was enlarged


def test_a_dry_run_is_about_the_shape_of_the_pictures(root: Path) -> None:
    note, *_ = train(Job("train", "t", str(root)), preset="tiny", dry_run=True)
    assert isinstance(note, Note)
    assert f"{WIDTH}x{HEIGHT} px" in note.text


def test_a_preset_for_other_pictures_is_refused_with_both_ways_out(root: Path) -> None:
    with pytest.raises(UsageError) as caught:
        list(train(Job("train", "t", str(root)), preset="demo"))
    assert str(caught.value) == (
        "t/augment has pictures of 24x32 px, demo draws 128 px on the longer side: take --preset "
        "tiny, or augment --resolution 96x128 in a new run"
    )


@pytest.mark.parametrize("resolution", ["100x130", "0", "x", "64x"])
def test_what_no_network_draws_is_refused_before_anything_is_read(
    resolution: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=f"--resolution {resolution}: "):
        list(augment(Job("augment", "t", str(tmp_path), "nowhere"), resolution=resolution))


def test_the_pipeline_gives_the_shape_to_augment() -> None:
    def options(preset: str, resolution: str) -> dict[str, Any]:
        todo = steps(Request(preset=preset, resolution=resolution))
        return {step.stage: step.options for step in todo}

    assert options("demo", "")["augment"] == {"resolution": "128"}
    tall = options("demo", "96x128")
    assert tall["augment"] == {"resolution": "96x128"}
    assert tall["curate"] == {"min_side": 96}
    with pytest.raises(UsageError, match=r"^--resolution 96x128 px, tiny draws 32 px"):
        options("tiny", "96x128")


def test_out_of_memory_ends_a_training_with_the_micro_batch_that_fits(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the same command with it goes on: it is no other training."""
    run(tmp_path, "augment", input=str(folder), resolution="32")

    def full(*arguments: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with monkeypatch.context() as patched:
        patched.setattr("machineray.gan.training.begun_step", full)
        with pytest.raises(ConfigurationError) as caught:
            run(tmp_path, "train", preset="tiny", kimg=0.016)
    said = "tiny of 32 px, 8 pictures at a time; a step with --micro-batch 4 was tried and fits"
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    job, _ = run(tmp_path, "train", preset="tiny", kimg=0.016, micro_batch=4)
    assert job.output.is_complete()
