"""A thread a picture, and none within it."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from machineray.errors import InputError
from machineray.shards import each

Item = TypeVar("Item")
Value = TypeVar("Value")


def each_by_itself(
    function: Callable[[Item], Value], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Value | InputError]]:
    """`each`, for functions that reckon with NumPy: while it runs, BLAS starts no threads.

    It starts one a core for each of ours, and they wait for one another: curate and unframe took
    twice the CPU seconds on two cores.
    """
    import numpy  # noqa: F401 - its BLAS has to be there to be told
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield from each(function, items, workers)
