"""Walks, explorations and projections as jobs, from both generators: what lies there afterwards."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load

from jobs import Job
from jobs.augment import augment
from jobs.explore import explore
from jobs.finish import Aspect, Upscale, finish
from jobs.generate import generate
from jobs.project import project
from jobs.train import DiscriminatorName, GeneratorName, train
from jobs.walk import FilmFormat, walk
from machineray.errors import InputError, NotFoundError, UsageError
from machineray.shards import Part
from machineray.storage import open_store
from tests.conftest import frames_of

pytestmark = pytest.mark.xdist_group("s3")  # one root for all, also for those that want a bucket

Tool = Callable[..., Iterator[Any]]
SIDE = 32
SHORT: dict[Tool, dict[str, Any]] = {
    walk: {"seeds": "3,5", "seconds": 5.0, "side": 32},
    explore: {"seeds": "3,5", "psis": "0,1", "directions": 2},
    project: {"steps": 20, "starts": 3},
}


@pytest.fixture(scope="module")
def root(two_pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with runs "stylegan2" and "light", trained for one step on two pictures."""
    root, folder = tmp_path_factory.mktemp("root"), two_pictures
    for kind in GeneratorName:
        job = Job(stage="augment", run=kind.value, root=str(root), input=str(folder))
        list(augment(job, resolution=SIDE))
        job = Job(stage="train", run=kind.value, root=str(root))
        own = {"generator": kind, "discriminator": DiscriminatorName.stylegan2}
        list(train(job, preset="tiny", kimg=0.008, **own))
    return root


@pytest.fixture
def picture(tmp_path: Path) -> str:
    """A picture file that is not square: red above, blue below."""
    pixels = np.full((48, 80, 3), (200, 30, 30), np.uint8)
    pixels[24:] = (30, 30, 200)
    Image.fromarray(pixels).save(tmp_path / "flag.png")
    return str(tmp_path / "flag.png")


def job_of(root: Path, tool: Tool, run: str, network: str, **more: Any) -> Job:
    return Job(
        stage=tool.__name__, run=run, root=str(root), input=f"{network}/train", workers=1, **more
    )


def done(root: Path, tool: Tool, run: str, network: str, **own: Any) -> Path:
    """The folder of a tool that ran to its end."""
    list(tool(job_of(root, tool, run, network), **SHORT.get(tool, {}) | own))
    return root / "runs" / run / tool.__name__


def files(folder: Path) -> dict[str, bytes]:
    """Name -> bytes, but for the markers, which hold times, and the run's own name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().replace(
            folder.parent.name.encode(), b"RUN"
        )
        for path in folder.rglob("*")
        if path.is_file() and "_done" not in path.parts
    }


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "catalog.jsonl").read_text().splitlines()]


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture(params=[kind.value for kind in GeneratorName])
def network(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# -- mixing


def test_mixing_draws_a_picture_a_layer_between_two_seeds(root: Path, network: str) -> None:
    plain = done(root, generate, f"plain-{network}", network, seeds="3,5")
    layers = "1" if network == "light" else "1-7"
    folder = done(root, generate, f"mix-{network}", network, mix="3,5", layers=layers)
    found = rows(folder)
    assert [row["from_layer"] for row in found] == list(range(1, len(found) + 1))
    assert {(row["seed"], row["mixed_with"], row["psi"]) for row in found} == {(3, 5, 1.0)}
    assert found[0]["id"] == "mix000003-000005-layer01"
    assert {Path(row["key"]).stem for row in found} == {row["id"] for row in found}
    drawn = {pixels(root / row["key"]).tobytes() for row in (*found, *rows(plain))}
    assert len(drawn) == len(found) + 2
    list(finish(Job("finish", f"mix-{network}", str(root)), upscale=Upscale.none))
    told = json.loads((folder.parent / f"finish/artworks/{found[0]['id']}.json").read_bytes())
    assert (told["seed"], told["mixed_with"], told["from_layer"]) == (3, 5, 1)
    default = done(root, generate, f"half-{network}", network, mix="3,5")
    assert [row["from_layer"] for row in rows(default)] == [1 if network == "light" else 4]


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"mix": "3"}, "two seeds are mixed"),
        ({"mix": "3,5", "seeds": "1-4"}, "give one of them"),
        ({"layers": "2"}, "goes with --mix"),
        ({"mix": "3,5", "layers": "0"}, "layers? 1"),
        ({"mix": "3,5", "layers": "8"}, "can be mixed from"),
    ],
)
def test_what_cannot_be_mixed_is_said_before_anything_is_planned(
    root: Path, network: str, own: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        done(root, generate, "mistaken", network, **own)
    assert not (root / "runs" / "mistaken").exists()


# -- walks


def test_a_walk_is_a_film_with_its_row(root: Path, network: str) -> None:
    folder = done(root, walk, f"walk-{network}", network, fps=20)
    (row,) = rows(folder)
    assert (row["frames"], row["fps"], row["seeds"], row["psi"]) == (100, 20, [3, 5], 1.0)
    assert (row["width"], row["height"]) == (SIDE, SIDE)
    frames = frames_of(root / row["key"])
    assert len(frames) == 100
    assert len(list((folder / "parts").iterdir())) == 3
    seed = done(root, generate, f"walk-{network}", network, seeds="3") / "samples/seed000003.png"
    grey, expected = (each.mean(axis=2) for each in (frames[0], pixels(seed)))
    assert np.abs(grey - expected).mean() < 4  # levels, as the encoder has it
    steps = [
        np.abs(frames[i].astype(int) - frames[(i + 1) % 100]).mean() for i in range(len(frames))
    ]
    assert steps[-1] <= max(steps[:-1])  # from the end to the beginning, no jump


def test_a_short_walk_as_webp(root: Path, network: str) -> None:
    folder = done(
        root, walk, f"webp-{network}", network, format=FilmFormat.webp, seconds=2.0, fps=10
    )
    with Image.open(folder / "walk.webp") as image:
        assert image.size == (SIDE, SIDE)
        assert 10 < image.n_frames <= 20  # those that look alike become one
        milliseconds = 0
        for number in range(image.n_frames):
            image.seek(number)
            image.load()
            milliseconds += image.info["duration"]
    assert milliseconds == 2000


def test_parts_of_a_walk_may_be_filmed_by_many(root: Path) -> None:
    whole = done(root, walk, "whole-walk", "light")
    for index in (2, 0, 1):
        job = job_of(root, walk, "parts-walk", "light", part=Part(index, 3))
        list(walk(job, **SHORT[walk]))
    assert files(root / "runs/parts-walk/walk") == files(whole)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"seeds": "3"}, "needs two seeds"),
        ({"seeds": "0-99", "seconds": 0.5}, "--seconds 4.2 or more"),
        ({"format": FilmFormat.webp, "seconds": 60.0}, "take --format mp4"),
        ({"seconds": 1e9}, "at most"),
    ],
)
def test_a_walk_that_cannot_be_is_refused(root: Path, own: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        done(root, walk, "mistaken", "light", **own)
    assert not (root / "runs" / "mistaken").exists()


# -- explorations


def test_an_exploration_is_sheets_and_a_page(root: Path, network: str) -> None:
    folder = done(root, explore, f"sheets-{network}", network)
    groups = ["form", "palette"] if network == "light" else ["all", "coarse", "middle"]
    expected = ["truncation", *(f"direction{n:02d}-{group}" for n in (0, 1) for group in groups)]
    found = rows(folder)
    assert [row["id"] for row in found] == expected
    page = (folder / "index.html").read_text()
    assert "://" not in page
    for row in found:
        assert pixels(root / row["key"]).shape == (row["height"], row["width"], 3)
        assert f'src="sheets/{row["id"]}.png"' in page
    vectors = load((folder / "directions.safetensors").read_bytes())
    assert sorted(vectors) == sorted(groups)
    assert {tuple(found.shape) for found in vectors.values()} == {(2, 64)}


@pytest.mark.parametrize(("tool", "file"), [(walk, "walk.mp4"), (explore, "index.html")])
def test_it_says_in_the_end_what_to_look_at(root: Path, tool: Tool, file: str) -> None:
    job = Job(stage=tool.__name__, run="said", root=str(root), input="light/train")
    for _ in range(2):  # done already, it says it, too
        *_, last = tool(job, **SHORT[tool])
        said, place = last.text.split(": look at ")
        assert said == tool.__name__
        assert Path(place).is_file() and Path(place).name == file


def test_the_sheet_of_truncation_shows_the_mean_picture_and_the_seeds(root: Path) -> None:
    """Its cells, found by the labels' margins: at psi 0 all rows are one picture but for noise."""
    folder = done(root, explore, "cells", "stylegan2", directions=0, seeds="3,5,8")
    assert [row["id"] for row in rows(folder)] == ["truncation"]
    sheet = pixels(folder / "sheets/truncation.png").astype(int)
    left = sheet.shape[1] - 24 - 2 * 192 - 6
    cells = [
        [sheet[88 + row * 198 :, left + column * 198 :][:192, :192] for column in range(2)]
        for row in range(3)
    ]
    assert np.abs(cells[0][0] - cells[1][0]).mean() < 1
    assert np.abs(cells[0][1] - cells[1][1]).mean() > 1


@pytest.mark.parametrize("psis", ["", "a", "0,3", "-1", ",".join(["1"] * 21)])
def test_no_truncation_is_said_before_anything_is_planned(root: Path, psis: str) -> None:
    with pytest.raises(UsageError, match="--psis"):
        done(root, explore, "mistaken", "light", psis=psis)
    assert not (root / "runs" / "mistaken").exists()


# -- projections


def test_a_projection_is_nearer_than_the_nearest_seed(
    root: Path, network: str, picture: str
) -> None:
    folder = done(root, project, f"found-{network}", network, picture=picture, steps=40)
    (row,) = rows(folder)
    for name in ("features", "pixels"):
        assert 0 < row["distance"][name] < row["distance_at_seed"][name]
    assert row["picture"] == "flag.png"
    assert pixels(root / row["key"]).shape == (SIDE, SIDE, 3)
    beside = pixels(folder / "beside.png")
    assert beside.shape == (512, 1024, 3)
    assert np.abs(beside[10, 10].astype(int) - (200, 30, 30)).max() < 12
    assert np.abs(beside[500, 500].astype(int) - (30, 30, 200)).max() < 12
    frames = frames_of(folder / "projection.mp4")
    assert len(frames) == 41 + 24
    assert np.abs(frames[-1].astype(int) - beside).mean() < 6
    ws = load((folder / "w.safetensors").read_bytes())["w"]
    assert ws.shape == (2 if network == "light" else 8, 64)
    assert torch.equal(ws, ws[:1].expand_as(ws))
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [
        *("beside.png", "catalog.jsonl", "plan.json", "projection.mp4", "reconstruction.png"),
        "w.safetensors",
    ]


def test_with_a_w_for_each_layer_they_differ(root: Path, network: str, picture: str) -> None:
    folder = done(root, project, f"each-{network}", network, picture=picture, per_layer=True)
    ws = load((folder / "w.safetensors").read_bytes())["w"]
    assert not torch.equal(ws, ws[:1].expand_as(ws))


def test_what_is_found_can_be_finished(root: Path, picture: str) -> None:
    done(root, project, "flag", "light", picture=picture)
    job = Job(stage="finish", run="flag", root=str(root), input="flag/project")
    list(finish(job, aspect=Aspect.keep, noise=0.0, upscale=Upscale.none))
    artwork = root / "runs/flag/finish/artworks/projection.png"
    assert np.array_equal(pixels(artwork), pixels(root / "runs/flag/project/reconstruction.png"))


def test_what_is_no_picture_is_said_before_anything_is_planned(root: Path, tmp_path: Path) -> None:
    (tmp_path / "page.png").write_bytes(b"<html>")
    with pytest.raises(InputError, match=r"page\.png: not a picture: a web page"):
        done(root, project, "mistaken", "light", picture=str(tmp_path / "page.png"))
    with pytest.raises(NotFoundError, match="no such file"):
        done(root, project, "mistaken", "light", picture=str(tmp_path / "none.png"))
    assert not (root / "runs" / "mistaken").exists()


# -- all of them


def options(tool: Tool, picture: str) -> dict[str, Any]:
    return SHORT[tool] | ({"picture": picture} if tool is project else {})


@pytest.mark.parametrize("tool", SHORT, ids=lambda tool: tool.__name__)
def test_stopped_anywhere_it_ends_with_the_same_bytes(
    root: Path, tool: Tool, picture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.project.STATE_SECONDS", 0.0)
    own = options(tool, picture)
    name = tool.__name__
    whole = done(root, tool, f"whole-{name}", "light", **own)
    job = job_of(root, tool, f"again-{name}", "light")
    for events in (1, 2, 3, 5, 8, 60):
        stopped = tool(job, **own)
        list(islice(stopped, events))
        stopped.close()
    list(tool(job, **own))
    assert files(root / "runs" / job.run / name) == files(whole)


@pytest.mark.parametrize("tool", SHORT, ids=lambda tool: tool.__name__)
def test_run_twice_it_does_nothing_twice(root: Path, tool: Tool, picture: str) -> None:
    own = options(tool, picture)
    folder = done(root, tool, f"twice-{tool.__name__}", "light", **own)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    event, *notes = tool(job_of(root, tool, f"twice-{tool.__name__}", "light"), **own)
    assert event.text == "already done"
    assert all(": look at " in note.text for note in notes)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("tool", SHORT, ids=lambda tool: tool.__name__)
def test_it_reads_a_training_or_a_snapshot(root: Path, tool: Tool, picture: str) -> None:
    job = Job(stage=tool.__name__, run="mistaken", root=str(root), input="light/augment")
    with pytest.raises(UsageError, match=rf"{tool.__name__} reads RUN/train"):
        list(tool(job, **options(tool, picture)))
    assert not (root / "runs" / "mistaken").exists()


@pytest.mark.parametrize("tool", SHORT, ids=lambda tool: tool.__name__)
def test_on_a_bucket_it_is_the_same(root: Path, tool: Tool, picture: str, s3_root: str) -> None:
    """Snapshot, picture and what is written are in the bucket."""
    own = options(tool, picture)
    folder = done(root, tool, "local", "light", **own)
    store = open_store(s3_root)
    trained = root / "runs/light/train/snapshot.safetensors"
    store.write("in/snapshot.safetensors", trained)
    if tool is project:
        store.write("in/flag.png", Path(picture))
        own |= {"picture": f"{s3_root}/in/flag.png"}
    job = Job(stage=tool.__name__, run="local", root=s3_root, workers=1)
    list(tool(job, snapshot=f"{s3_root}/in/snapshot.safetensors", **own))
    expected = {name: data for name, data in files(folder).items() if name != "plan.json"}
    found = {name: store.read(job.output.key(name)).replace(b"local", b"RUN") for name in expected}
    assert found == expected
    assert job.output.is_complete()


def test_status_tells_of_a_tool_that_was_begun(root: Path) -> None:
    done(root, walk, "told", "light")
    command = [str(Path(sys.executable).with_name("mray")), "status"]
    for what in ([], ["told"], ["told/walk"]):
        said = subprocess.run(
            [*command, *what, "--root", str(root)], capture_output=True, text=True, check=True
        )
        assert re.search(r"^told +walk +complete +120/120$", said.stdout, re.MULTILINE)
        assert not what or "explore" not in said.stdout
