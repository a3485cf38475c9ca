"""Room for pictures in memory: however many threads there are, large ones wait for one another."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Room:
    """Room for so many pixels, of all pictures that a process works on at once.

    A decoded picture takes up to 4 bytes a pixel, and what is made of it as much again: by any
    number of threads no more than the largest one that is let in, machineray.imaging.MAX_PIXELS.
    """

    def __init__(self, pixels: int) -> None:
        self.pixels = self._free = pixels
        self._changed = Condition()

    @contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        """Wait until there is room, and hold it; for more than there is at all, all of it."""
        pixels = min(pixels, self.pixels)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()


@contextmanager
def room_for(data: bytes) -> Iterator[None]:
    """Hold room for a picture's pixels, before they are decoded."""
    from machineray.imaging import pixels_in

    with ROOM.of(pixels_in(data)):
        yield


ROOM = Room(300_000_000)  # MAX_PIXELS, which is not loaded before there is something to decode
