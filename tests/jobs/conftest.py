"""Fixtures of the jobs' tests: pictures that cost nothing, and networks trained on them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image


@pytest.fixture(autouse=True, scope="module")
def as_many_threads_afterwards() -> Iterator[None]:
    """A job sets torch's threads for its process, which is here the tests'."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def fill_with_blots(folder: Path, count: int) -> None:
    """So many pictures of 64 x 48 px, p0.png (of more than ten, p00.png) and on: blots."""
    digits = len(str(count - 1))
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 48)).save(folder / f"p{number:0{digits}}.png")


@pytest.fixture(scope="module")
def two_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two of them."""
    folder = tmp_path_factory.mktemp("in")
    fill_with_blots(folder, 2)
    return folder
