"""What a training leaves for the question whether it copies."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from jobs.audit import BANK, PAGE, REPORT, CopyJudge, audited
from machineray.dataset.store import Subset, cached_store
from machineray.gan import sampling
from machineray.gan.networks import new_generator
from machineray.gan.presets import preset_named
from machineray.runs import StageRun
from machineray.storage import open_store

pytestmark = pytest.mark.xdist_group("audit")  # one audit for all

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "paintings").glob("*.jpg"))
SIDE, SEEN, UNSEEN = 64, 12, 20
UNTAUGHT = new_generator(preset_named("tiny"))  # nothing asks it to draw


def paintings() -> list[tuple[str, NDArray[np.uint8]]]:
    found = []
    for path in EXAMPLES[: SEEN + UNSEEN]:
        with Image.open(path) as image:
            found.append((path.stem, np.asarray(image.convert("RGB").resize((SIDE, SIDE)))))
    return found


@pytest.fixture(scope="module", autouse=True)
def few_samples() -> Iterator[None]:
    """Six samples: five of noise, and seed 3 is the mirror image of the third painting."""
    copy = np.ascontiguousarray(paintings()[2][1][:, ::-1])

    def drawn(generator: Any, seeds: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for seed in seeds:
            noise = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
            yield seed, copy if seed == 3 else noise

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "sample", drawn)
        yield


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> StageRun:
    folder = tmp_path_factory.mktemp("audit")
    shape = (SEEN + UNSEEN, 3, SIDE, SIDE)
    store = cached_store(folder / "squares", "s", shape, paintings, 0)
    seen, unseen = Subset(store, range(SEEN)), Subset(store, range(SEEN, SEEN + UNSEEN))
    output = StageRun(open_store(folder / "root"), "klee", "train")
    written = list(audited(output, UNTAUGHT, 6, seen, unseen))
    assert written[-2:] == [PAGE, REPORT]
    return output


def test_a_copy_is_reported_with_its_painting(output: StageRun) -> None:
    report = json.loads(output.read(REPORT))
    assert (report["samples"], report["copies"]) == (6, 1)
    first = report["nearest"][0]
    assert (first["seed"], first["painting"]) == (3, paintings()[2][0])
    assert first["attitude"] == "mirrored"
    assert first["copy"] is True
    assert 0 < report["honest"]["features"] < 1


def test_the_page_shows_pairs_and_asks_nobody(output: StageRun) -> None:
    page = output.read(PAGE).decode()
    assert "1 copy among 6 samples" in page
    assert page.count("<figure>") == 6
    assert page.index("seed 3, nearest to") < page.index("seed 0, nearest to")
    assert "://" not in page
    with Image.open(output.store.root / output.key("audit/seed000003.webp")) as pair:  # type: ignore[attr-defined]
        assert pair.size == (2 * SIDE, SIDE)


def test_the_bank_judges_a_sample_alone(output: StageRun) -> None:
    judge = CopyJudge(output.read(BANK))
    name, picture = paintings()[5]
    assert judge.copied(np.rot90(picture).copy()) == f"too near to {name}, turned 90°"
    noise = np.random.default_rng(9).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    assert judge.copied(noise) == ""


def test_without_held_out_paintings_nothing_is_called_a_copy(tmp_path: Path) -> None:
    shape = (SEEN, 3, SIDE, SIDE)
    store = cached_store(tmp_path / "squares", "s", shape, lambda: paintings()[:SEEN], 0)
    output = StageRun(open_store(tmp_path / "root"), "klee", "train")
    seen, none = Subset(store, range(SEEN)), Subset(store, [])
    list(audited(output, UNTAUGHT, 6, seen, none))
    report = json.loads(output.read(REPORT))
    assert (report["copies"], report["honest"]) == (0, None)
    assert "Nothing was held out" in output.read(PAGE).decode()
    assert CopyJudge(output.read(BANK)).copied(paintings()[2][1]) == ""
