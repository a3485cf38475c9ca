import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import pytest
from PIL import Image
from threadpoolctl import threadpool_info

from jobs.room import ROOM, Room
from jobs.threads import each_file
from machineray.errors import InputError, NotFoundError
from machineray.imaging import MAX_PIXELS
from machineray.runs import Row

ROWS: list[Row] = [{"id": str(number)} for number in range(5)]


def read(row: Row) -> bytes:
    if row["id"] == "3":
        raise InputError("3 cannot be read")
    return bytes(int(row["id"]))


def length(row: Row, data: bytes) -> int:
    if row["id"] == "1":
        raise InputError("1 is no picture")
    return len(data)


def threads_of_blas() -> list[int]:
    found = threadpool_info()
    return [library["num_threads"] for library in found if library["user_api"] == "blas"]


@pytest.mark.parametrize("workers", [1, 3])
def test_values_and_bad_input_in_the_order_of_the_rows(workers: int) -> None:
    told = [(row["id"], str(value)) for row, value in each_file(length, ROWS, read, workers)]
    values = ["0", "1 is no picture", "2", "3 cannot be read", "4"]
    assert told == list(zip("01234", values, strict=True))


def test_blas_has_one_thread_while_it_runs_and_its_own_afterwards() -> None:
    before = threads_of_blas()
    for _, inside in each_file(lambda row, data: threads_of_blas(), ROWS[:3], read, 2):
        assert not isinstance(inside, InputError)
        assert inside
        assert set(inside) == {1}
    assert threads_of_blas() == before


def test_a_file_that_is_gone_ends_it() -> None:
    def gone(row: Row) -> bytes:
        raise NotFoundError(f"{row['id']}: no such object")

    with pytest.raises(NotFoundError, match="0: no such object"):
        list(each_file(length, ROWS, gone, 2))


def test_pictures_at_work_have_no_more_pixels_than_there_is_room_for() -> None:
    room, held, most = Room(10), Counter[int](), []
    lock = Lock()

    def work(pixels: int) -> None:
        with room.of(pixels):
            with lock:
                held[pixels] += 1
                most.append(sum(each * times for each, times in held.items()))
            time.sleep(0.002)
            with lock:
                held[pixels] -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [10, 1, 3, 4, 9, 2, 2, 2, 10, 5, 5] * 4))
    assert 5 < max(most) <= 10


@pytest.mark.skipif(sys.platform != "linux", reason="VmHWM is Linux's")
def test_there_is_room_for_the_largest_picture() -> None:
    assert ROOM.pixels == MAX_PIXELS


def test_hostile_pictures_by_two_threads_take_the_memory_of_one(tmp_path: Path) -> None:
    """Some 20 kB each, and 160 million pixels: of a palette with a transparent colour."""
    for number in range(2):
        image = Image.new("P", (16_000, 10_000))
        image.paste(1, (number, 0, 90, 90))
        image.putpalette([number, 20, 30, 200, 100, 90])
        image.save(tmp_path / f"{number}.png", transparency=0)
    script = f"""
from pathlib import Path
from jobs.curate import measured
from jobs.threads import each_file
rows = [{{"id": name, "key": name + ".png"}} for name in "01"]
found = each_file(measured, rows, lambda row: Path({str(tmp_path)!r}, row["key"]).read_bytes(), 2)
assert [value[0]["width"] for _, value in found] == [16_000] * 2
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert int(answer.stdout) < 550_000  # kB
