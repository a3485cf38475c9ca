"""Films: what is written is what a player shows."""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from machineray.errors import ConfigurationError
from machineray.film import enlarged, film_size, join_films, write_film
from tests.conftest import frames_of

RED, BLUE = (200, 40, 60), (20, 90, 200)
TOLERANCE = 4  # levels of 255, where a colour is plain


def frame(number: int) -> NDArray[np.uint8]:
    """Red with a blue bar that moves by 2 px a frame, 96 x 64."""
    picture = np.full((64, 96, 3), RED, np.uint8)
    picture[:, 2 * number % 80 : 2 * number % 80 + 16] = BLUE
    return picture


def written(path: Path, numbers: Iterable[int]) -> Path:
    with write_film(path, 24) as add:
        for number in numbers:
            add(frame(number))
    return path


def bar(shown: NDArray[np.uint8]) -> int:
    """Where the bar begins."""
    return int((shown[32, :, 2] > 130).argmax())


def test_a_player_shows_every_frame_in_its_colours(tmp_path: Path) -> None:
    shown = frames_of(written(tmp_path / "a.mp4", range(60)))
    assert [bar(each) for each in shown] == [2 * number % 80 for number in range(60)]
    for each, colour, column in ((shown[0], BLUE, 8), (shown[0], RED, 60), (shown[59], RED, 8)):
        assert np.abs(each[32, column].astype(int) - colour).max() <= TOLERANCE


def test_parts_join_to_the_same_film(tmp_path: Path) -> None:
    parts = [
        written(tmp_path / f"{first}.mp4", range(first, min(60, first + 25)))
        for first in (0, 25, 50)
    ]
    join_films(tmp_path / "joined.mp4", parts)
    import av

    with av.open(str(tmp_path / "joined.mp4")) as file:
        (track,) = file.streams.video
        assert float(track.duration * track.time_base) == pytest.approx(60 / 24)
        times = [float(each.pts * track.time_base) for each in file.decode(track)]
    assert times == pytest.approx([number / 24 for number in range(60)])
    shown = [bar(each) for each in frames_of(tmp_path / "joined.mp4")]
    assert shown == [2 * number % 80 for number in range(60)]


def test_a_webp_plays_for_ever_in_its_colours(tmp_path: Path) -> None:
    with Image.open(written(tmp_path / "a.webp", range(30))) as image:
        assert (image.n_frames, image.info["loop"], image.size) == (30, 0, (96, 64))
        image.seek(7)
        pixels = np.asarray(image.convert("RGB"))
        assert image.info["duration"] in (41, 42)
    assert bar(pixels) == 14
    assert np.abs(pixels[32, 22].astype(int) - BLUE).max() <= TOLERANCE


@pytest.mark.parametrize("suffix", [".mp4", ".webp"])
def test_the_same_frames_are_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    """Also in memory that others have used: an encoder may read what it has not written."""
    random = np.random.default_rng(0)
    films = set()
    for number in range(20):
        used = [np.full(size, number, np.uint8) for size in random.integers(1000, 400_000, 40)]
        del used
        films.add(written(tmp_path / f"{number}{suffix}", range(30)).read_bytes())
    assert len(films) == 1


def test_small_pictures_become_large_and_even_ones() -> None:
    assert film_size(np.zeros((64, 96, 3), np.uint8)) == (512, 768)
    assert film_size(np.zeros((64, 48, 3), np.uint8), 100) == (134, 100)
    assert film_size(np.zeros((1024, 768, 3), np.uint8)) == (1024, 768)
    assert film_size(np.zeros((601, 701, 3), np.uint8)) == (600, 700)
    assert enlarged(frame(0), (512, 768)).shape == (512, 768, 3)


def test_without_the_encoder_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'machineray\[walk\]'"):
        written(tmp_path / "a.mp4", range(2))
