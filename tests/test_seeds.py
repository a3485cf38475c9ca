"""Numbers as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machineray.errors import UsageError
from machineray.seeds import numbers_text, parsed_seeds


@given(st.sets(st.integers(0, 3000), min_size=1))
def test_what_is_written_is_read_again(numbers: set[int]) -> None:
    assert parsed_seeds(numbers_text(sorted(numbers))) == sorted(numbers)


def test_neighbours_are_a_range() -> None:
    assert numbers_text([0, 1, 2, 3, 7, 9, 10]) == "0-3,7,9-10"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "neither a number nor a range"),
        ("1-", "neither a number nor a range"),
        ("-1", "neither a number nor a range"),
        ("5-3", "ends before it begins"),
        ("1,0-2", "twice"),
        ("0-99999999", "split them over several runs"),
        ("3000000000", "the largest number"),
    ],
)
def test_what_is_no_number_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parsed_seeds(text)
