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


@pytest.fixture(scope="module")
def two_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two pictures of 64 x 48 px, blots of any colour."""
    folder = tmp_path_factory.mktemp("in")
    rng = np.random.default_rng(0)
    for number in range(2):
        pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 48)).save(folder / f"p{number}.png")
    return folder
