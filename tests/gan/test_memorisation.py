"""Copies are found whatever was done to them; paintings that are merely alike are not."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from machineray.gan.features import last_maps
from machineray.gan.memorisation import (
    ATTITUDES,
    Baseline,
    Likeness,
    Match,
    attitudes,
    bank,
    baseline,
    likeness,
    matches,
    matches_among,
    thumbnail,
)

pytestmark = pytest.mark.xdist_group("memorisation")  # one bank for all

Picture = NDArray[np.uint8]
EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "paintings").glob("*.jpg"))
SIDE = 96


def painting(path: Path) -> Picture:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((SIDE, SIDE)), np.uint8)


@pytest.fixture(scope="module")
def seen() -> list[Picture]:
    return [painting(path) for path in EXAMPLES[0::2][:20]]


@pytest.fixture(scope="module")
def unseen() -> list[Picture]:
    return [painting(path) for path in EXAMPLES[1::2][:20]]


@pytest.fixture(scope="module")
def of_seen(seen: list[Picture]) -> Likeness:
    return bank(seen, last_maps())


@pytest.fixture(scope="module")
def honest(unseen: list[Picture], of_seen: Likeness) -> Baseline:
    return baseline(matches(likeness(unseen, last_maps()), of_seen))


def cropped(picture: Picture) -> Picture:
    inner = Image.fromarray(picture[8:-6, 10:-4])
    return np.asarray(inner.resize((SIDE, SIDE)), np.uint8)


def blurred(picture: Picture) -> Picture:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(3)), np.uint8)


def tinted(picture: Picture) -> Picture:
    return np.clip(picture * np.array([0.75, 1.0, 0.85]) + 10, 0, 255).astype(np.uint8)


def mirrored(picture: Picture) -> Picture:
    return np.ascontiguousarray(picture[:, ::-1])


@pytest.mark.parametrize("change", [np.copy, mirrored, cropped, tinted, blurred])
def test_a_copy_is_flagged_and_its_painting_is_named(
    change: Callable[[Picture], Picture],
    seen: list[Picture],
    of_seen: Likeness,
    honest: Baseline,
) -> None:
    found = matches(likeness([change(picture) for picture in seen], last_maps()), of_seen)
    flagged = [honest.flags(match) for match in found]
    assert sum(flagged) >= 0.85 * len(seen)
    named = [match.painting == number for number, match in enumerate(found)]
    assert sum(named) >= 0.9 * len(seen)


def test_paintings_that_were_not_seen_are_hardly_ever_called_copies(
    unseen: list[Picture], of_seen: Likeness, honest: Baseline
) -> None:
    found = matches(likeness(unseen, last_maps()), of_seen)
    assert sum(honest.flags(match) for match in found) <= 1


def test_a_bank_has_each_painting_in_all_attitudes(seen: list[Picture]) -> None:
    few = bank(seen[:2], last_maps())
    assert len(few.features) == 2 * len(ATTITUDES) == len(few.thumbnails)
    turned = list(attitudes(seen[0]))
    (match,) = matches(likeness([turned[6]], last_maps()), few)
    assert (match.painting, match.attitude) == (0, ATTITUDES[6])
    assert ATTITUDES[6] == "mirrored, turned 180°"
    assert match.features == pytest.approx(1)


def test_a_thumbnail_is_grey_of_mean_nought_and_length_one(seen: list[Picture]) -> None:
    small = thumbnail(seen[0])
    assert small.mean() == pytest.approx(0)
    assert np.linalg.norm(small) == pytest.approx(1)
    assert not thumbnail(np.full((9, 9, 3), 7, np.uint8)).any()


def test_a_painting_among_its_like_is_held_against_the_others(of_seen: Likeness) -> None:
    """It is nearest to itself, and that does not count."""
    found = matches_among(of_seen)
    assert len(found) == len(of_seen.features) // 8
    assert all(match.painting != number for number, match in enumerate(found))
    assert all(match.features < 0.999 for match in found)


def test_what_is_as_near_as_honest_pictures_is_not_flagged() -> None:
    line = Baseline(0.7, 0.8)
    assert not line.flags(Match(0, "", 0.7, 0.8))
    assert not line.flags(Match(0, "", 0.8, 0.8))
    assert line.flags(Match(0, "", 0.71, 0.81))
    assert line.flags(Match(0, "", 0.9, 0.1))
    assert line.flags(Match(0, "", 0.1, 0.95))


def test_a_batch_of_pictures_is_in_memory_at_a_time() -> None:
    """A bank of 850 paintings of 1024 px was 21 GB of turned pictures, at the training's end."""

    def network(images: torch.Tensor) -> torch.Tensor:
        return images[:, :, ::32, ::32]

    size_bytes = 3 * 1024 * 1024
    paintings = (np.full((1024, 1024, 3), number, np.uint8) for number in range(8))
    tracemalloc.start()
    known = bank(paintings, network)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(known.features) == len(known.thumbnails) == 8 * len(ATTITUDES)
    assert peak_bytes < 20 * size_bytes
