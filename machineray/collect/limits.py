"""What an answer may cost, how long a crawl may take, and the time in which it does."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from machineray.collect.answers import Kind


class Spent(Exception):
    """The budget of bytes or of time is used up: the crawl ends with what it has."""


@dataclass(frozen=True)
class Limits:
    """What one answer may cost, and how patient we are."""

    connect_seconds: float = 10.0
    silent_seconds: float = 30.0  # between two pieces of an answer
    headers_seconds: float = 60.0  # these three of a real clock: a thread watches
    page_seconds: float = 120.0
    picture_seconds: float = 900.0
    robots_bytes: int = 512_000  # RFC 9309: no less; of a longer one the beginning counts
    page_bytes: int = 2_000_000  # the longest known list has 360 KB; a tag costs a KB in memory
    data_bytes: int = 16_000_000  # the list of all artists of WikiArt has about 4 MB
    picture_bytes: int = 300_000_000
    framing_bytes: int = 200_000  # headers, lengths of chunks, trailers
    redirects: int = 5
    tries: int = 5
    backoff_seconds: float = 2.0
    longest_wait_seconds: float = 900.0
    troubles: int = 3  # pages, or paintings, in a row: the site is down
    refusals: int = 3  # 401, 403 … of as many in a row: the site does not want us

    def bytes_of(self, kind: Kind) -> int:
        """The most bytes, unpacked, of an answer of that kind."""
        return {
            "picture": self.picture_bytes,
            "data": self.data_bytes,
            "page": self.page_bytes,
            "robots": self.robots_bytes,
        }[kind]

    def seconds_of(self, kind: Kind) -> float:
        """The most seconds for its body."""
        return self.picture_seconds if kind == "picture" else self.page_seconds


@dataclass(frozen=True)
class Clock:
    """Time, as something that a test can hold in its hand."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass
class Budget:
    """How much may be asked for: bytes on the wire, of use or not, and seconds; None for any."""

    bytes: int | None = None
    seconds: float | None = None


@dataclass
class Spending:
    """What was asked for: in this call, and (bytes, pages, pictures) in the whole crawl.

    Of calls before this one count the answers that were kept.
    """

    pages: int = 0
    pictures: int = 0
    bytes: int = 0  # on the wire
    asked: int = 0


@dataclass
class Failures:
    """What could not be had since the last success: pages, or the paintings of pictures."""

    troubles: set[str] = field(default_factory=set)
    refusals: set[str] = field(default_factory=set)
