"""A thread a picture, and none within it; files are read ahead; large pictures wait for room."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Condition
from typing import TypeVar

from machineray.errors import InputError
from machineray.runs import Row
from machineray.shards import each

Value = TypeVar("Value")


class Room:
    """Room for so many pixels, of all pictures that a process works on at once.

    A decoded picture takes up to 4 bytes a pixel, and what is made of it as much again: by any
    number of threads no more than the largest one that is let in, machineray.imaging.MAX_PIXELS.
    """

    def __init__(self, pixels: int) -> None:
        self._all = self._free = pixels
        self._changed = Condition()

    @contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        """Wait until there is room, and hold it; for more than there is at all, all of it."""
        pixels = min(pixels, self._all)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()


@contextmanager
def room_for(data: bytes) -> Iterator[None]:
    """Hold room for a picture's pixels, before they are decoded."""
    from machineray.imaging import pixels_in

    with ROOM.of(pixels_in(data)):
        yield


ROOM = Room(300_000_000)  # MAX_PIXELS, which is not loaded before there is something to decode


def each_file(
    function: Callable[[Row, bytes], Value],
    rows: Iterable[Row],
    read: Callable[[Row], bytes],
    workers: int,
) -> Iterator[tuple[Row, Value | InputError]]:
    """(row, value) in the order of the rows, by threads; bad input is a value, too: see `each`.

    Other threads read the files, at most 2 x `workers` ahead: a bucket lets wait for its answers.
    Meanwhile BLAS starts no threads: it starts one a core for each of ours, and they wait for one
    another (curate and unframe took twice the CPU seconds on two cores).
    """
    import numpy  # noqa: F401 - its BLAS has to be there to be told
    from threadpoolctl import threadpool_limits

    def one(file: tuple[Row, bytes | InputError]) -> Value:
        row, data = file
        if isinstance(data, InputError):
            raise data
        with room_for(data):
            return function(row, data)

    with threadpool_limits(1, user_api="blas"):
        for (row, _), value in each(one, each(read, rows, workers), workers):
            yield row, value
