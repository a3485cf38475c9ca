"""Amounts as a person types them: 20GB, 500 MB, 4h, 2d."""

import re
from collections.abc import Mapping

from machineray.errors import UsageError

_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def bytes_of(text: str, option: str) -> int:
    """ "20GB" -> 20_000_000_000; UsageError that names the option otherwise."""
    return _quantity(re.sub(r"(?i)b$", "", text), option, _BYTES, "500MB or 20GB")


def seconds_of(text: str, option: str) -> int:
    """ "30m" -> 1800; UsageError that names the option otherwise."""
    return _quantity(text, option, _SECONDS, "90s, 30m, 12h or 2d")


def _quantity(text: str, option: str, units: Mapping[str, int], examples: str) -> int:
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?) ?([a-z]?)", text.strip().lower())
    if not match or match[2] not in units or float(match[1]) == 0:
        raise UsageError(f"{option} {text}: write it as {examples}")
    return round(float(match[1]) * units[match[2]])
