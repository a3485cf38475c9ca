"""A thread a picture, and none within it; files are read ahead."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from jobs.room import room_for
from machineray.errors import InputError
from machineray.runs import Row
from machineray.shards import each

Value = TypeVar("Value")


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
