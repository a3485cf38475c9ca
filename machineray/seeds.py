"""Seeds as people write them: 0-99,200."""

import re

from machineray.errors import UsageError

MAX_SEED = 2**31 - 1
_MOST = 10_000_000


def parsed_seeds(text: str) -> list[int]:
    """'0-3,7' -> [0, 1, 2, 3, 7]; UsageError for anything else, and for a seed named twice."""
    ranges: list[range] = []
    for part in text.replace(" ", "").split(","):
        match = re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", part)
        if not match:
            raise UsageError(f"--seeds {text!r}: {part!r} is neither a number nor a range as 0-99")
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        if last < first:
            raise UsageError(f"--seeds {text!r}: {part!r} ends before it begins")
        if last > MAX_SEED:
            raise UsageError(f"--seeds {text!r}: the largest seed is {MAX_SEED}")
        ranges.append(range(first, last + 1))
    if sum(map(len, ranges)) > _MOST:
        raise UsageError(f"--seeds {text!r}: more than {_MOST:,}; split them over several runs")
    seeds = [seed for numbers in ranges for seed in numbers]
    if len(set(seeds)) != len(seeds):
        raise UsageError(f"--seeds {text!r}: some seeds are there twice")
    return seeds
