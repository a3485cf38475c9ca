"""Time that a test holds in its hand: nobody waits."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from machineray.collect.limits import Clock

BEGAN = datetime(2026, 11, 26, 12, tzinfo=UTC)


@dataclass
class Hand:
    """A clock that goes on by what is slept, and by `tick` each time that it is looked at."""

    seconds: float = 0.0
    tick: float = 0.0
    slept: list[float] = field(default_factory=list)

    @property
    def clock(self) -> Clock:
        return Clock(self.monotonic, self.sleep, lambda: BEGAN + timedelta(seconds=self.seconds))

    def monotonic(self) -> float:
        self.seconds += self.tick
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds
