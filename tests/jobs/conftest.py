"""Fixtures of the jobs' tests: pictures that cost nothing, and networks trained on them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import jobs.crawling
from tests.collect.clocks import Hand
from tests.collect.site import Server
from tests.jobs.crawls import Serve


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


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    """Nobody waits; what the crawl would have slept stands here."""
    hand = Hand()

    def clock() -> Any:
        return replace(hand.clock, now=lambda: datetime.now(UTC))

    monkeypatch.setattr(jobs.crawling, "clock", clock)
    return hand


@pytest.fixture
def serve(hand: Hand) -> Iterator[Serve]:
    """A function that starts a server with pages, which a crawl asks without waiting."""
    running = []

    def start(pages: dict[str, Any]) -> Server:
        running.append(Server(pages).__enter__())
        return running[-1]

    yield start
    for server in running:
        server.__exit__()
