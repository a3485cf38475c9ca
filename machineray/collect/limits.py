"""What an answer may cost, how long a crawl may take, and the time in which it does."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


class Spent(Exception):
    """The budget of bytes or of time is used up: the crawl ends with what it has."""


@dataclass(frozen=True)
class Limits:
    """What one answer may cost, and how patient we are."""

    connect_seconds: float = 10.0
    silent_seconds: float = 30.0  # between two pieces of an answer
    headers_seconds: float = 60.0  # of a real clock: a thread watches
    page_seconds: float = 120.0
    picture_seconds: float = 900.0
    page_bytes: int = 32_000_000
    picture_bytes: int = 300_000_000
    redirects: int = 5
    tries: int = 5
    backoff_seconds: float = 2.0
    longest_wait_seconds: float = 900.0
    troubles: int = 3  # in a row: the site is down
    refusals: int = 3  # 401, 403 … in a row: the site does not want us


@dataclass(frozen=True)
class Clock:
    """Time, as something that a test can hold in its hand."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass
class Budget:
    """How much may be asked for: bytes on the wire and seconds, None for any."""

    bytes: int | None = None
    seconds: float | None = None


@dataclass
class Spending:
    """What was asked for: in this call, and (bytes, pages, pictures) in the whole crawl."""

    pages: int = 0
    pictures: int = 0
    bytes: int = 0
    asked: int = 0
