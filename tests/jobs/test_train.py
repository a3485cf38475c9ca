"""Training as a job: what it leaves in the store, and how it goes on from there."""

import hashlib
import json
import math
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs import Job
from jobs.augment import augment
from jobs.train import train
from jobs.training import BEST, CHECKPOINTS_KEPT, KID, quality_warning, training_images
from machineray.errors import (
    InputError,
    NotFoundError,
    StorageError,
    TemporaryError,
    UsageError,
)
from machineray.log import Event, Note, Progress
from machineray.runs import parsed_lines

pytestmark = pytest.mark.xdist_group("train")  # one whole training for all

BATCH = 8
NIMG = 6 * BATCH


def job_at(root: Path) -> Job:
    return Job(stage="train", run="t", root=str(root))


def train_at(root: Path, **own: Any) -> list[Event]:
    options = {"preset": "tiny", "kimg": NIMG / 1000, "checkpoint_seconds": 0.0} | own
    return list(train(job_at(root), **options))


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with the squares of five pictures, in 32 px."""
    root, folder = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("in")
    rng = np.random.default_rng(0)
    for number in range(5):
        pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 48)).save(folder / f"p{number}.png")
    list(augment(Job(stage="augment", run="t", root=str(root), input=str(folder)), resolution=32))
    return root


@pytest.fixture(scope="module")
def whole(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a training that nobody disturbed, with a checkpoint at every step."""
    root = tmp_path_factory.mktemp("whole") / "root"
    shutil.copytree(squares, root)
    train_at(root)
    return root


@pytest.fixture
def unfinished(whole: Path, tmp_path: Path) -> Path:
    """The same training as if it had been stopped after its last checkpoint."""
    root = tmp_path / "root"
    shutil.copytree(whole, root)
    shutil.rmtree(folder(root) / "_done")
    (folder(root) / "snapshot.safetensors").unlink()
    return root


def folder(root: Path) -> Path:
    return root / "runs" / "t" / "train"


def names(root: Path, kind: str, suffix: str) -> list[int]:
    return sorted(int(path.stem) for path in (folder(root) / kind).glob(f"*{suffix}"))


def test_metrics_have_a_row_a_tick(whole: Path) -> None:
    rows = parsed_lines((folder(whole) / "metrics.jsonl").read_bytes(), "metrics.jsonl")
    assert [row["nimg"] for row in rows] == [40, NIMG]  # tiny: a tick every 40, and the end
    assert [row["kimg"] for row in rows] == [0.04, NIMG / 1000]
    for row in rows:
        assert {"loss_g", "loss_d", "logits_real", "logits_gen"} <= set(row)
        assert "CPU" in row["machine"] or "NVIDIA" in row["machine"]
        assert row["seconds"] > 0
    total = sum(row["seconds"] for row in rows)
    assert rows[-1]["seconds_total"] == pytest.approx(total, abs=0.002)


def test_tensorboard_reads_the_same_values(whole: Path) -> None:
    from tensorboardX.proto.event_pb2 import Event as TensorBoardEvent

    rows = parsed_lines((folder(whole) / "metrics.jsonl").read_bytes(), "metrics.jsonl")
    data = (folder(whole) / "tensorboard" / "events.out.tfevents.0.mray").read_bytes()
    found: dict[tuple[int, str], float] = {}
    while data:  # TFRecord: length, its checksum, the event, its checksum
        (length,) = struct.unpack("<Q", data[:8])
        event = TensorBoardEvent.FromString(data[12 : 12 + length])
        data = data[16 + length :]
        for value in event.summary.value:
            found[event.step, value.tag] = value.simple_value
    for row in rows:
        for name in ("loss_g", "loss_d", "seconds_total"):
            assert found[row["nimg"], name] == pytest.approx(row[name], rel=1e-6)


def test_every_snapshot_has_a_grid(whole: Path) -> None:
    expected = list(range(0, NIMG + 1, BATCH))
    for suffix in (".safetensors", ".png", ".json"):
        assert names(whole, "snapshots", suffix) == expected
    pictures = []
    for nimg in expected:
        with Image.open(folder(whole) / "snapshots" / f"{nimg:09d}.png") as image:
            assert image.size == (6 * 32, 4 * 32)
            pictures.append(image.tobytes())
    assert len(set(pictures)) == len(expected)
    assert [row["nimg"] for row in job_at(whole).output.catalog()] == expected


def test_the_network_of_the_run_is_the_last_snapshot(whole: Path) -> None:
    last = folder(whole) / "snapshots" / f"{NIMG:09d}.safetensors"
    assert (folder(whole) / "snapshot.safetensors").read_bytes() == last.read_bytes()


def test_the_quality_is_measured_in_the_end_and_the_best_is_kept(whole: Path) -> None:
    rows = job_at(whole).output.catalog()
    assert [KID in row for row in rows] == [False] * (len(rows) - 1) + [True]
    assert rows[-1]["quality_samples"] > 0
    best = (folder(whole) / BEST).read_bytes()
    assert best == (folder(whole) / "snapshot.safetensors").read_bytes()
    metrics = parsed_lines((folder(whole) / "metrics.jsonl").read_bytes(), "metrics.jsonl")
    assert metrics[-1][KID] == rows[-1][KID]


def row_of(nimg: int, kid: float, diversity: float) -> dict[str, Any]:
    return {"nimg": nimg, KID: kid, "diversity": diversity}


def test_a_collapse_is_told_when_kid_rises_and_diversity_falls() -> None:
    rows = [row_of(1000 * n, kid, d) for n, kid, d in ((1, 0.3, 0.9), (2, 0.2, 0.8))]
    worse = [row_of(3000, 0.25, 0.7), row_of(4000, 0.3, 0.6), row_of(5000, 0.4, 0.5)]
    assert quality_warning([*rows, *worse[:2]]) == ""
    assert "since 2 kimg" in quality_warning([*rows, *worse])
    varied = [{**worse[-1], "diversity": 0.9}]
    assert quality_warning([*rows, *worse[:2], *varied]) == ""
    unmeasured = [{"nimg": 4500}]
    assert "best.safetensors" in quality_warning([*rows, *worse[:2], *unmeasured, worse[2]])


def test_only_the_last_checkpoints_are_kept(whole: Path) -> None:
    last = [NIMG - 2 * BATCH, NIMG - BATCH, NIMG]
    assert len(last) == CHECKPOINTS_KEPT
    assert names(whole, "checkpoints", ".safetensors") == last
    assert names(whole, "checkpoints", ".json") == last


def test_a_checkpoint_that_nothing_points_to_goes_with_the_others(unfinished: Path) -> None:
    """A process was killed after it wrote one, or while it removed one."""
    checkpoints = folder(unfinished) / "checkpoints"
    (checkpoints / "000000004.safetensors").write_bytes(b"half")
    for name in (f"{NIMG:09d}.json", f"{NIMG - BATCH:09d}.json"):
        (checkpoints / name).unlink()
    train_at(unfinished)
    last = [NIMG - 2 * BATCH, NIMG - BATCH, NIMG]
    assert names(unfinished, "checkpoints", ".safetensors") == last
    assert names(unfinished, "checkpoints", ".json") == last


@pytest.mark.parametrize("damage", ["bytes", "half", "gone", "pointer"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    damage: str, unfinished: Path, whole: Path
) -> None:
    newest = folder(unfinished) / "checkpoints" / f"{NIMG:09d}.safetensors"
    data = newest.read_bytes()
    if damage == "bytes":
        newest.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "half":
        newest.write_bytes(data[: len(data) // 2])
    elif damage == "gone":
        newest.unlink()
    else:
        newest.with_suffix(".json").write_bytes(b'{"nimg": 4')
    events = train_at(unfinished)
    (said,) = [e.text for e in events if isinstance(e, Note) and "the one before" in e.text]
    assert newest.name in said
    first = next(event for event in events if isinstance(event, Progress))
    assert (first.done, first.text) == ((NIMG - BATCH) / 1000, "goes on")
    for name in ("snapshot.safetensors", f"checkpoints/{newest.name}", "catalog.jsonl"):
        assert (folder(unfinished) / name).read_bytes() == (folder(whole) / name).read_bytes()


def test_the_time_of_all_processes_is_told(unfinished: Path) -> None:
    for name in (f"{NIMG:09d}.json", f"{NIMG:09d}.safetensors"):
        (folder(unfinished) / "checkpoints" / name).unlink()
    train_at(unfinished)
    lines = (folder(unfinished) / "metrics.jsonl").read_bytes()
    rows = parsed_lines(lines, "metrics.jsonl")
    assert [row["nimg"] for row in rows] == [40, NIMG]
    assert rows[1]["seconds_total"] > rows[0]["seconds_total"] > 0


def test_a_training_begins_with_another_ones_snapshot(
    whole: Path, squares: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    shutil.copytree(squares, root)
    snapshot = folder(whole) / "snapshot.safetensors"
    train_at(root, kimg=0.008, init=str(snapshot))
    plan = json.loads((folder(root) / "plan.json").read_text())
    assert plan["arguments"]["init"] == hashlib.sha256(snapshot.read_bytes()).hexdigest()
    first = (folder(root) / "snapshots" / "000000000.png").read_bytes()
    assert first == (folder(whole) / "snapshots" / f"{NIMG:09d}.png").read_bytes()
    with pytest.raises(UsageError, match="init"):
        train_at(root, kimg=0.008)


def test_a_dry_run_says_what_it_will_take_and_does_nothing(tmp_path: Path) -> None:
    notes = train_at(tmp_path, dry_run=True)
    told = [note.text for note in notes if isinstance(note, Note)]
    words = ("px, batch", "M parameters, ", "M parameters", "GFLOP", "minutes on a CPU")
    words += ("s/kimg, ", "0.048 kimg: ")
    assert all(word in text for word, text in zip(words, told, strict=True))
    assert not any("\n" in text for text in told)  # it would be told as what it is
    assert not list(tmp_path.iterdir())


def test_squares_of_another_size_are_refused_in_one_line(squares: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(squares, root)
    with pytest.raises(UsageError, match="pictures of 32 px, demo draws 128 px") as caught:
        train_at(root, preset="demo")
    assert "--resolution 128" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_squares_can_be_trained_on(squares: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="t/augment is not complete"):
        train_at(tmp_path)
    job = Job(stage="train", run="t", root=str(squares), input="t/curate")
    with pytest.raises(UsageError, match="train reads RUN/augment"):
        list(train(job, preset="tiny"))


def test_nothing_to_look_at_is_refused_before_anything_is_planned(squares: Path) -> None:
    for kimg in (0.0, 0.0004, math.nan, math.inf):
        with pytest.raises(UsageError, match="--kimg"):
            train_at(squares, kimg=kimg)
    assert not folder(squares).exists()


def test_a_full_disk_is_told_in_one_line(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on the size of files stands for it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    squares_of = Job(stage="augment", run="t", root=str(squares)).output
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5 * 3 * 32 * 32 - 1, before[1]))
    try:
        with pytest.raises(StorageError, match=r"no room for .* training pictures .* TMPDIR"):
            training_images(squares_of, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert training_images(squares_of, 0).shape == (5, 3, 32, 32)
    # Of this user alone: others of the machine may not write into it.
    assert [path.name for path in tmp_path.iterdir()] == [f"mray-squares-{os.getuid()}"]


def test_a_damaged_shard_is_told_with_the_way_out(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    root = tmp_path / "root"
    shutil.copytree(squares, root)
    (shard,) = (root / "runs" / "t" / "augment" / "shards").iterdir()
    data = bytearray(shard.read_bytes())
    data[2000] ^= 1
    shard.write_bytes(data)
    way_out = "remove runs/t/augment/_done/ and run augment again"
    with pytest.raises(InputError, match=f"damaged: its SHA-256 .* {way_out}"):
        train_at(root)


def test_other_arguments_want_another_run(whole: Path) -> None:
    before = json.loads((folder(whole) / "plan.json").read_text())
    with pytest.raises(UsageError, match="seed was 0, now 1"):
        train_at(whole, seed=1)
    assert json.loads((folder(whole) / "plan.json").read_text()) == before


def test_a_process_told_to_stop_stops_them_all_with_a_checkpoint(
    squares: Path, tmp_path: Path
) -> None:
    """As a pod's deletion does; the first process must not take the end for that of the work."""
    root = tmp_path / "root"
    shutil.copytree(squares, root)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    words = ["-m", "jobs.train", "--run", "t", "--root", str(root), "--preset", "tiny"]
    words += ["--kimg", "100", "--checkpoint-seconds", "0", "--workers", "1"]
    first, second = (
        subprocess.Popen(
            [sys.executable, *words],
            env={**os.environ, **place, "RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    )
    try:
        while not names(root, "checkpoints", ".json"):
            assert first.poll() is None and second.poll() is None
            time.sleep(0.1)
        second.send_signal(signal.SIGTERM)
        _, told = first.communicate(timeout=120)
        assert second.wait(120) == 143
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()
    assert first.returncode == TemporaryError.pod_exit_code, told
    assert "another process of this training was told to stop" in told
    assert not (folder(root) / "snapshot.safetensors").exists()
    assert not (folder(root) / "_done").exists()
