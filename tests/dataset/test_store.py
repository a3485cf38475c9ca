"""Training pictures as one file: what comes back, what is held, who makes it."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from machineray.dataset.store import LEAST_PAINTINGS, PictureStore, cached_store, held_out
from machineray.errors import InputError

SHAPE = (7, 3, 4, 6)
Named = tuple[str, NDArray[np.uint8]]


def pictures() -> Iterator[Named]:
    rng = np.random.default_rng(0)
    for number in range(7):
        yield f"p{number}", rng.integers(0, 256, (4, 6, 3), np.uint8)


def made(folder: Path, memory_bytes: int = 0) -> PictureStore:
    return cached_store(folder, "squares", SHAPE, pictures, memory_bytes)


@pytest.mark.parametrize("held", [0, 3, 7, 100])
def test_pictures_come_back_whether_held_or_read(tmp_path: Path, held: int) -> None:
    store = made(tmp_path, held * 3 * 4 * 6)
    assert len(store) == 7
    assert store.shape == SHAPE
    assert len(store._held) == min(held, 7)
    for index, (name, pixels) in enumerate(pictures()):
        assert store.ids[index] == name
        np.testing.assert_array_equal(store[index], pixels.transpose(2, 0, 1))


def test_it_is_made_once(tmp_path: Path) -> None:
    made(tmp_path)

    def never() -> Iterator[Named]:
        raise AssertionError("it is there already")
        yield

    store = cached_store(tmp_path, "squares", SHAPE, never, 0)
    assert len(store) == 7


GROWN = """
import sys, resource
from pathlib import Path
from machineray.dataset.store import cached_store
shape = (2000, 3, 128, 128)
store = cached_store(Path(sys.argv[1]), "many", shape, tuple, int(sys.argv[2]))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak() - store._held.nbytes
total = sum(int(store[index][0, 0, 0]) for index in range(len(store)))
print(peak() - before, total)
"""


def test_memory_is_what_was_allowed_whatever_the_pictures(tmp_path: Path) -> None:
    """2,000 pictures of 98 MB in all."""
    pixels = np.full((128, 128, 3), 7, np.uint8)
    cached_store(tmp_path, "many", (2000, 3, 128, 128), lambda: [("p", pixels)] * 2000, 0)
    for allowed in (0, 30_000_000):
        command = [sys.executable, "-c", GROWN, str(tmp_path), str(allowed)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        grown, total = map(int, answer.stdout.split())
        assert total == 7 * 2000
        assert grown <= allowed + 10_000_000


def slow() -> Iterator[Named]:
    for named in pictures():
        time.sleep(0.05)
        yield named


def note_making(folder: str) -> None:
    def noted() -> Iterator[Named]:
        with (Path(folder) / "made").open("a") as file:
            file.write("x")
        yield from slow()

    assert len(cached_store(Path(folder), "squares", SHAPE, noted, 0)) == 7


def test_of_several_processes_one_makes_it_and_the_others_wait(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=note_making, args=(str(tmp_path),)) for _ in range(3)]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
    assert [process.exitcode for process in started] == [0, 0, 0]
    assert (tmp_path / "made").read_text() == "x"


def test_what_was_half_made_is_made_anew(tmp_path: Path) -> None:
    def broken() -> Iterator[Named]:
        yield from list(pictures())[:3]
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        cached_store(tmp_path, "squares", SHAPE, broken, 0)
    np.testing.assert_array_equal(made(tmp_path)[6], list(pictures())[6][1].transpose(2, 0, 1))


def test_other_pictures_than_said_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="p3: not one of 3 pictures"):
        cached_store(tmp_path, "few", (3, *SHAPE[1:]), pictures, 0)
    with pytest.raises(InputError, match="7 pictures, not 9"):
        cached_store(tmp_path, "many", (9, *SHAPE[1:]), pictures, 0)
    with pytest.raises(InputError, match="p0: not one of 7 pictures"):
        cached_store(tmp_path, "wide", (7, 3, 4, 8), pictures, 0)


def test_what_was_not_used_for_a_week_goes_when_room_is_wanted(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "squares.0123.reference.npz").write_bytes(b"its own")
    week_ago = time.time() - 8 * 86400
    os.utime(tmp_path / "squares.json", (week_ago, week_ago))
    cached_store(tmp_path, "others", SHAPE, pictures, 0)
    assert not list(tmp_path.glob("squares*"))
    cached_store(tmp_path, "third", SHAPE, pictures, 0)
    assert (tmp_path / "others.u8").exists()


def test_a_file_that_was_cut_is_refused(tmp_path: Path) -> None:
    made(tmp_path)
    path = tmp_path / "squares.u8"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"squares\.u8: not what squares\.json says; remove both"):
        made(tmp_path)
    assert json.loads((tmp_path / "squares.json").read_text())["ids"][0] == "p0"


@given(paintings=st.integers(LEAST_PAINTINGS, 60), variants=st.integers(1, 4))
def test_a_tenth_of_the_paintings_is_held_out_with_all_their_variants(
    paintings: int, variants: int
) -> None:
    ids = [f"p{number}" for number in range(paintings)] * variants
    assert len(held_out(ids, 0.1)) == round(0.1 * paintings)
    assert held_out(ids, 0.1) == held_out(ids[:paintings], 0.1)
    assert held_out(ids, 0.0) == set()


def test_of_few_paintings_none_is_held_out() -> None:
    assert held_out([f"p{number}" for number in range(LEAST_PAINTINGS - 1)], 0.1) == set()


def test_a_new_painting_moves_at_most_one_other() -> None:
    ids = [f"p{number}" for number in range(100)]
    before, after = held_out(ids, 0.1), held_out([*ids, "new"], 0.1)
    assert len(before - after) <= 1
