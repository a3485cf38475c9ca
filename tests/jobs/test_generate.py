"""Samples as files: each a function of the network, the seed and psi, and of nothing else."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jobs import Job
from jobs.audit import CopyJudge
from jobs.augment import augment
from jobs.generate import generate
from jobs.train import train
from machineray.devices import drawing_device
from machineray.errors import InputError, NotFoundError, UsageError
from machineray.log import Progress

pytestmark = pytest.mark.xdist_group("generate")  # one network for all


@pytest.fixture(scope="module")
def root(two_pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with run "t", trained for one step on two pictures."""
    root, folder = tmp_path_factory.mktemp("root"), two_pictures
    list(augment(Job(stage="augment", run="t", root=str(root), input=str(folder)), resolution=32))
    list(train(Job(stage="train", run="t", root=str(root)), preset="tiny", kimg=0.008))
    return root


@pytest.fixture
def snapshot(root: Path) -> Path:
    return root / "runs" / "t" / "train" / "snapshot.safetensors"


def pictures(root: Path, run: str, **own: Any) -> dict[str, bytes]:
    """Name -> bytes of the samples of a new run, which draws from the network of t."""
    source = None if "snapshot" in own else "t/train"
    job = Job(stage="generate", run=run, root=str(root), input=source)
    list(generate(job, **own))
    folder = root / "runs" / run / "generate" / "samples"
    return {path.stem: path.read_bytes() for path in folder.iterdir()}


def test_seeds_are_names_and_a_range_is_all_of_it(root: Path) -> None:
    few = pictures(root, "few", seeds="3-5,2147483647")
    assert sorted(few) == ["seed000003", "seed000004", "seed000005", "seed2147483647"]
    assert len(set(few.values())) == 4
    many = pictures(root, "many", seeds="0-9")
    assert len(many) == 10
    shared = set(few) & set(many)
    assert len(shared) == 3
    assert {name: few[name] for name in shared} == {name: many[name] for name in shared}


def test_the_catalog_tells_what_made_each(root: Path) -> None:
    own = Job(stage="generate", run="t", root=str(root))
    list(generate(own, seeds="7,2", psi=0.5))
    rows = own.output.catalog()
    assert [(row["id"], row["seed"], row["psi"]) for row in rows] == [
        ("seed000007", 7, 0.5),
        ("seed000002", 2, 0.5),
    ]
    for row in rows:
        with Image.open(root / row["key"]) as image:
            assert image.size == (row["width"], row["height"]) == (32, 32)
            assert (image.mode, image.format) == ("RGB", "PNG")
    plan = own.output.plan()
    assert plan is not None
    assert plan.input["from"] == "t/train"
    assert plan.input["paintings"] == "t/augment"
    assert {row["snapshot"] for row in rows} == {plan.input["sha256"]}
    assert {row["device"] for row in rows} == {drawing_device()}


def test_batch_changes_no_byte(root: Path) -> None:
    alone = pictures(root, "alone", seeds="0-5", batch=1)
    assert alone == pictures(root, "four", seeds="0-5", batch=4)
    assert alone == pictures(root, "all", seeds="0-5", batch=100)


def test_the_network_is_read_once(root: Path, snapshot: Path) -> None:
    job = Job(stage="generate", run="once", root=str(root), input="t/train")
    events = generate(job, seeds="0-39")  # of two indexes
    next(event for event in events if isinstance(event, Progress) and event.done)
    aside = snapshot.rename(snapshot.with_suffix(".aside"))
    try:
        list(events)
    finally:
        aside.rename(snapshot)
    assert len(job.output.catalog()) == 40


def test_psi_changes_the_pictures(root: Path) -> None:
    full = pictures(root, "full", seeds="0-2")
    assert full == pictures(root, "one", seeds="0-2", psi=1.0)
    half = pictures(root, "half", seeds="0-2", psi=0.5)
    none = pictures(root, "none", seeds="0-2", psi=0.0)
    for name in full:
        assert len({full[name], half[name], none[name]}) == 3


def test_a_snapshot_file_is_as_good_as_the_run(root: Path, snapshot: Path, tmp_path: Path) -> None:
    copied = tmp_path / "net.safetensors"
    copied.write_bytes(snapshot.read_bytes())
    assert pictures(root, "file", seeds="0-2", snapshot=str(copied)) == pictures(
        root, "run", seeds="0-2"
    )
    plan = Job(stage="generate", run="file", root=str(root)).output.plan()
    assert plan is not None
    assert plan.input["from"] == "net.safetensors"


def test_what_is_no_snapshot_is_refused_in_one_line(
    root: Path, snapshot: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.safetensors"
    data = snapshot.read_bytes()
    for number, content in enumerate((b"", b"PK\x03\x04 a pickle", data[: len(data) // 2])):
        bad.write_bytes(content)
        with pytest.raises(InputError, match=r"bad\.safetensors") as caught:
            pictures(root, f"bad{number}", snapshot=str(bad))
        assert "\n" not in str(caught.value)
    with pytest.raises(NotFoundError, match="no such file"):
        pictures(root, "missing", snapshot=str(tmp_path / "nope.safetensors"))


def test_mistakes_are_told_before_anything_is_planned(root: Path) -> None:
    for seeds in ("", "a", "5-1", "1,1", "2147483648"):
        with pytest.raises(UsageError, match="--seeds"):
            pictures(root, "mistaken", seeds=seeds)
    job = Job(stage="generate", run="mistaken", root=str(root), input="t/augment")
    with pytest.raises(UsageError, match="generate reads RUN/train"):
        list(generate(job))
    assert not (root / "runs" / "mistaken").exists()


def test_what_copies_a_painting_is_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge of the run's own audit, told that seeds 1 and 3 are too near."""

    def copied(judge: CopyJudge, pixels: Any) -> str:
        assert judge._names == ["p0", "p1"]
        seen.append(pixels)
        return "too near to p0" if len(seen) in (2, 4) else ""

    seen: list[Any] = []
    monkeypatch.setattr(CopyJudge, "copied", copied)
    monkeypatch.setattr("jobs.generate.check_judge", lambda job: None)
    kept = pictures(root, "honest", seeds="0-4", refuse_copies=True)
    assert sorted(kept) == ["seed000000", "seed000002", "seed000004"]
    output = Job(stage="generate", run="honest", root=str(root)).output
    assert output.is_complete()
    assert [row["seed"] for row in output.catalog()] == [0, 2, 4]


def test_who_cannot_judge_says_so(root: Path) -> None:
    with pytest.raises(UsageError, match="t/train kept no paintings to say how near is too near"):
        pictures(root, "unsure", refuse_copies=True)


def test_a_file_alone_knows_no_paintings(root: Path, snapshot: Path) -> None:
    with pytest.raises(UsageError, match="knows no paintings; give --input"):
        pictures(root, "alone", snapshot=str(snapshot), refuse_copies=True)
