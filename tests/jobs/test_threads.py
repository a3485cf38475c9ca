import pytest
from threadpoolctl import threadpool_info

from jobs.threads import each_by_itself
from machineray.errors import InputError


def threads_of_blas(_: object = None) -> list[int]:
    return [
        library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    ]


def test_blas_has_one_thread_while_it_runs_and_its_own_afterwards() -> None:
    before = threads_of_blas()
    for _, inside in each_by_itself(threads_of_blas, range(3), 2):
        assert not isinstance(inside, InputError)
        assert inside
        assert set(inside) == {1}
    assert threads_of_blas() == before


def test_it_is_each() -> None:
    def half(number: int) -> int:
        if number % 2:
            raise InputError(f"{number} is odd")
        return number // 2

    told = {number: str(value) for number, value in each_by_itself(half, range(4), 2)}
    assert told == {0: "0", 1: "1 is odd", 2: "1", 3: "3 is odd"}


def test_what_goes_wrong_comes_out() -> None:
    with pytest.raises(ZeroDivisionError):
        list(each_by_itself(lambda number: 1 // number, [0], 1))
