"""The network that ships: small, drawn from by its name, and a training begins with it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs import SHIPPED, Job
from jobs.augment import augment
from jobs.finish import Upscale, finish
from jobs.gallery import gallery
from jobs.generate import generate
from jobs.networks import read_snapshot
from jobs.pipeline import Request, pipeline, steps
from jobs.train import train
from machineray.errors import NotFoundError, UsageError
from machineray.gan.state import load_snapshot
from tests.conftest import PROJECT

MOST_BYTES = 12_000_000


def test_it_is_small_and_says_what_it_is() -> None:
    data, name = read_snapshot(SHIPPED)
    snapshot = load_snapshot(data, name)
    assert len(data) <= MOST_BYTES
    assert snapshot.about["preset"]["name"] == "demo"
    assert snapshot.about["nimg"] > 1000
    card = (PROJECT / "MODEL_CARD.md").read_text()
    told = json.loads((PROJECT / "docs" / "model" / "model.json").read_text())
    assert told["bytes"] == len(data)
    for figure in (f"{1000 * told['quality']['kid_effnetlite0']:.0f}", f"{told['nimg']:,}"):
        assert figure in card


def test_it_draws_pictures_that_differ(tmp_path: Path) -> None:
    job = Job(stage="generate", run="look", root=str(tmp_path))
    list(generate(job, snapshot=SHIPPED, seeds="0-3"))
    folder = tmp_path / "runs" / "look" / "generate" / "samples"
    pictures = [np.asarray(Image.open(path), np.float64) for path in sorted(folder.glob("*.png"))]
    assert [picture.shape for picture in pictures] == [(128, 128, 3)] * 4
    for i, picture in enumerate(pictures):
        assert picture.std() > 10
        for other in pictures[:i]:
            assert np.abs(picture - other).mean() > 5


@pytest.mark.parametrize("resolution", ["128", "32x128"])
def test_a_training_begins_with_it_in_any_shape(
    two_pictures: Path, tmp_path: Path, resolution: str
) -> None:
    job = Job(stage="augment", run="t", root=str(tmp_path), input=str(two_pictures))
    list(augment(job, resolution=resolution))
    job = Job(stage="train", run="t", root=str(tmp_path))
    list(train(job, preset="demo", kimg=0.008, init=SHIPPED))
    snapshot = load_snapshot(job.output.read("snapshot.safetensors"), "s")
    before = load_snapshot(*read_snapshot(SHIPPED)).about
    assert snapshot.about["head_start"] == before["nimg"] + before["head_start"]
    assert snapshot.about["credits"]["paintings"] == 2
    assert snapshot.about["credits"]["began_with"] == before["credits"]


def test_its_artworks_say_whose_paintings_it_learned_from(tmp_path: Path) -> None:
    job = Job(stage="generate", run="look", root=str(tmp_path))
    list(generate(job, snapshot=SHIPPED, seeds="0"))
    job = Job(stage="finish", run="look", root=str(tmp_path))
    list(finish(job, upscale=Upscale.none))
    credits = json.loads(job.output.read("artworks/seed000000.json"))["credits"]
    assert credits["paintings"] == sum(credits["rights"].values()) == 301
    assert credits["artists"]["Piet Mondrian"] == 47
    job = Job(stage="gallery", run="look", root=str(tmp_path))
    list(gallery(job))
    page = job.output.read("index.html").decode()
    assert "was made with 301 paintings: 251 by Wassily Kandinsky, 47 by Piet Mondrian" in page
    assert "not proven for the US” (96)" in page
    assert "--trained" not in page  # no run has trained it


def test_the_pipeline_gives_it_to_the_training() -> None:
    todo = steps(Request(init=SHIPPED))
    assert {step.stage: step.options for step in todo}["train"]["init"] == SHIPPED
    with pytest.raises(UsageError, match="--trained takes a trained network: name no --init"):
        steps(Request(init=SHIPPED, trained="klee/train"))


def test_a_snapshot_that_is_not_there_is_told_before_anything_is_done(tmp_path: Path) -> None:
    job = Job(stage="pipeline", run="", root=str(tmp_path))
    with pytest.raises(NotFoundError, match="nowhere"):
        list(pipeline(job, init=str(tmp_path / "nowhere.safetensors")))
    assert list(tmp_path.iterdir()) == []
