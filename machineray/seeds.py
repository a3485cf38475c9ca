"""Numbers as people write them: 0-99,200. Seeds, and indexes of a plan."""

import re
from collections.abc import Iterable

from machineray.errors import UsageError

MAX_SEED = 2**31 - 1
_MOST = 10_000_000


def parsed_seeds(text: str) -> list[int]:
    """'0-3,7' -> [0, 1, 2, 3, 7]; UsageError for anything else, and for a seed named twice."""
    return parsed_numbers(text, "--seeds")


def parsed_numbers(text: str, option: str) -> list[int]:
    """'0-3,7' -> [0, 1, 2, 3, 7]; UsageError names the option that it was given to."""
    ranges: list[range] = []
    for part in text.replace(" ", "").split(","):
        match = re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", part)
        if not match:
            raise UsageError(f"{option} {text!r}: {part!r} is neither a number nor a range as 0-99")
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        if last < first:
            raise UsageError(f"{option} {text!r}: {part!r} ends before it begins")
        if last > MAX_SEED:
            raise UsageError(f"{option} {text!r}: the largest number is {MAX_SEED}")
        ranges.append(range(first, last + 1))
    if sum(map(len, ranges)) > _MOST:
        raise UsageError(f"{option} {text!r}: more than {_MOST:,}; split them over several runs")
    numbers = [number for one in ranges for number in one]
    if len(set(numbers)) != len(numbers):
        raise UsageError(f"{option} {text!r}: some numbers are there twice")
    return numbers


def numbers_text(numbers: Iterable[int]) -> str:
    """[0, 1, 2, 3, 7] -> '0-3,7': what parsed_numbers reads."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(f"{a}-{b}" if a < b else f"{a}" for a, b in ranges)
