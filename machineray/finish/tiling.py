"""Cut a picture into pieces that overlap by a halo, and keep of each only its heart."""

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple


class Span(NamedTuple):
    """One piece along one side, in pixels; stops are exclusive."""

    start: int
    """Where the part that is kept begins …"""
    stop: int
    """… and ends."""
    outer_start: int
    """Where the part that is computed begins (start - halo, or the picture's own border) …"""
    outer_stop: int
    """… and ends."""


def spans(size: int, core: int, halo: int) -> list[Span]:
    """Equal pieces of at most `core` pixels over 0..size, each with `halo` neighbours around.

    A size that fits with its halo (core + 2 * halo) stays in one piece: cutting would cost more.
    """
    count = 1 if size <= core + 2 * halo else math.ceil(size / core)
    edges = [size * i // count for i in range(count + 1)]
    return [
        Span(start, stop, max(0, start - halo), min(size, stop + halo))
        for start, stop in itertools.pairwise(edges)
    ]


def tiles(height: int, width: int, core: int, halo: int) -> Iterator[tuple[Span, Span]]:
    """Every (rows, columns) of a picture, row by row."""
    for rows in spans(height, core, halo):
        for columns in spans(width, core, halo):
            yield rows, columns
