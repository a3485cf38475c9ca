"""The sizes that a network can draw: width0 * 2^n x height0 * 2^n, such as 96x128 = 3x4 * 2^5."""

import math
import re
from dataclasses import dataclass
from itertools import product

Resolution = int | str
"""128, a square, or "96x128", width x height: as one types it, and as it stands in JSON."""

LEAST_PX, MOST_PX = 8, 4096  # of the longer side
LEAST_BASE, MOST_BASE = 4, 16  # of the longer side of the first maps; 16x9 is the widest use


@dataclass(frozen=True)
class Size:
    """Width and height in pixels; ValueError, with the nearest one that can be, for others.

    They are halved together as long as both are even and the longer one stays at least LEAST_BASE.
    What is left, the first maps of a generator and the last of a discriminator, is 4x4 for the
    squares of the papers, and has no more than MOST_BASE pixels on its longer side.
    """

    width: int
    height: int

    def __post_init__(self) -> None:
        longer = max(self.width, self.height)
        if min(self.width, self.height) < 1 or not LEAST_PX <= longer <= MOST_PX:
            raise ValueError(f"{self} px: the longer side may have {LEAST_PX} to {MOST_PX}")
        if max(self.shapes[0]) > MOST_BASE or len(self.shapes) == 1:
            other = nearest(self.width, self.height)
            raise ValueError(f"{self} px cannot be halved evenly to {MOST_BASE} px; {other} can")

    def __str__(self) -> str:
        """The resolution, as one types it."""
        return str(self.resolution)

    @property
    def resolution(self) -> Resolution:
        """One number for a square."""
        return self.width if self.width == self.height else f"{self.width}x{self.height}"

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(height, width) of the maps at each level, from the first to the picture's own."""
        height, width = self.height, self.width
        shapes = [(height, width)]
        while height % 2 == width % 2 == 0 and max(height, width) // 2 >= LEAST_BASE:
            height, width = height // 2, width // 2
            shapes.append((height, width))
        return shapes[::-1]

    @property
    def sides(self) -> list[int]:
        """The power of two that stands for each level: 4, 8, …, 128 for 96x128 as for 128.

        The largest one in the longer side: what decides how many channels there are.
        """
        return [1 << (max(shape).bit_length() - 1) for shape in self.shapes]

    def at(self, side: int) -> "Size":
        """The same proportions, where that power of two stands for the picture."""
        height, width = self.shapes[0]
        first = self.sides[0]
        return Size(width * side // first, height * side // first)


def size_of(resolution: object) -> Size:
    """128 or "128" -> a square, "96x128" -> 96 wide and 128 high; ValueError for what is none."""
    found = re.fullmatch(r"(\d{1,6})(?:[xX×](\d{1,6}))?", str(resolution))
    if not found:
        raise ValueError(f"{resolution!r} is neither a side, 128, nor WIDTHxHEIGHT, 96x128")
    return Size(int(found[1]), int(found[2] or found[1]))


def nearest(width: int, height: int) -> str:
    """The size that can be drawn and differs least, by the sum of both sides' ratios."""
    bases = (base for base in product(range(1, MOST_BASE + 1), repeat=2) if max(base) >= LEAST_BASE)
    sizes = ((w << n, h << n) for w, h in bases for n in range(1, 11))
    found = min(
        (size for size in sizes if LEAST_PX <= max(size) <= MOST_PX),
        key=lambda size: abs(math.log(size[0] / width)) + abs(math.log(size[1] / height)),
    )
    return str(Size(*found))
