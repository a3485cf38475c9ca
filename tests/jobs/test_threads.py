import pytest
from threadpoolctl import threadpool_info

from jobs.threads import each_file
from machineray.errors import InputError, NotFoundError
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
