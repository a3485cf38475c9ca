"""The real photographs, each judged by networks that saw nothing made of it (bench/unframe.py)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from machineray.unframe.page import SURE

pytestmark = pytest.mark.xdist_group("photographs")  # judged once


@pytest.fixture(scope="module")
def judged(shared: Path) -> list[dict[str, Any]]:
    """Every picture of framed/ and train/ of the collection with what came of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))
        import unframe

        return list(unframe.held_out(shared / "paintings"))


def test_the_boxes_of_framed_photographs(judged: list[dict[str, Any]]) -> None:
    kinds = [row["kind"] for row in judged]
    assert kinds.count("easy") + kinds.count("hard") == 27 and kinds.count("ambiguous") == 11
    clear = np.array([row["iou"] for row in judged if row["kind"] in ("easy", "hard")])
    assert np.mean(clear) >= 0.97, sorted(clear)
    assert np.mean(clear >= 0.95) >= 0.85, sorted(clear)


def test_paintings_without_frame_stay_whole(judged: list[dict[str, Any]]) -> None:
    cuts = np.array([row["cut"] for row in judged if row["kind"] == "no frame"])
    assert len(cuts) == 328
    assert np.median(cuts) == 0
    assert np.mean(cuts >= 0.02) <= 0.02


def test_what_the_collection_overlooked_is_found(judged: list[dict[str, Any]]) -> None:
    ious = np.array([row["iou"] for row in judged if row["kind"] == "after all"])
    assert len(ious) == 12
    assert np.mean(ious) >= 0.96, sorted(ious)  # left whole they have .84


def test_the_confidence_is_what_comes_true(judged: list[dict[str, Any]]) -> None:
    known = np.array([(row["confidence"], row["iou"]) for row in judged])
    assert known[:, 0].mean() == pytest.approx(known[:, 1].mean(), abs=0.01)
    sure = known[known[:, 0] >= SURE]
    assert len(sure) >= 0.8 * len(known)  # a person is asked about few
    assert np.mean(sure[:, 1] >= 0.95) >= 0.96
