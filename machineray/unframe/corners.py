"""The corners of a painting that was photographed askew, and the painting set upright.

The box is upright; here its sides may lean, where two lean and of one a leaning line is clearly
better seen than the upright one. A painting that hangs straight is not touched; a single line that
leans is the painting's own, or its frame's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from machineray.unframe.evidence import Floats, lab_of

Pixels = NDArray[np.uint8]
Corners = tuple[tuple[float, float], ...]  # x, y in pixels: top left, top right, then clockwise
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels, end exclusive

LOOKED_AT = 768  # long side of the copy in which lines are sought, pixels
STEEPEST = 0.07  # a line leans by this share of its length at most: 4 degrees
LEAST = 0.006  # and by this much at two sides, or the painting hangs straight
CLEARER = 1.2  # how many times better seen a leaning line has to be than an upright one
WEAK = 0.03  # a step of colour (L = 0..1) that is seen
UNBROKEN = 0.65  # of its length a leaning line has to be seen
SLOPES = np.array([0.0, *(sign * n * 0.0025 for n in range(1, 29) for sign in (1, -1))], np.float32)
BINS = 48  # stretches along a side
NEAR = 3  # rows on either side of a line whose place is refined


@dataclass(frozen=True)
class Side:
    """A side's place at either end; clear: a leaning line is much better seen than an upright."""

    start: float
    stop: float
    is_clear: bool

    def times(self, scale: float) -> "Side":
        """It in other pixels."""
        return Side(self.start * scale, self.stop * scale, self.is_clear)


Sides = tuple[Side, Side, Side, Side]  # top, right, bottom, left


def sides_of(pixels: Pixels, box: Box) -> Sides:
    """Where the sides of the painting lie whose box is known to some pixels.

    `pixels` is the upright RGB picture (H, W, 3). A side that lies on the picture's edge stays.
    """
    small, across, down = copied(pixels)
    turned = small.transpose(1, 0, 2)
    left, right = box[0] * across, box[2] * across
    top, bottom = box[1] * down, box[3] * down
    return (
        line_near(small, top, left, right, 0).times(1 / down),
        line_near(turned, right, top, bottom, len(turned)).times(1 / across),
        line_near(small, bottom, left, right, len(small)).times(1 / down),
        line_near(turned, left, top, bottom, 0).times(1 / across),
    )


def corners(box: Box, sides: Sides, size: tuple[int, int]) -> Corners | None:
    """Corners of the painting in a picture of that width and height; None if it hangs straight."""
    left, top, right, bottom = box
    spans = (right - left, bottom - top) * 2
    pairs = zip(sides, spans, strict=True)
    leaning = [side for side, span in pairs if abs(side.stop - side.start) >= LEAST * span]
    if len(leaning) < 2 or not any(side.is_clear for side in leaning):
        return None
    above, beside, below, before = sides
    lines = [
        np.cross((left, above.start, 1), (right, above.stop, 1)),
        np.cross((beside.start, top, 1), (beside.stop, bottom, 1)),
        np.cross((left, below.start, 1), (right, below.stop, 1)),
        np.cross((before.start, top, 1), (before.stop, bottom, 1)),
    ]
    met = [np.cross(lines[a], lines[b]) for a, b in ((3, 0), (0, 1), (1, 2), (2, 3))]
    places = [(x / z, y / z) for x, y, z in met]
    return tuple((float(np.clip(x, 0, size[0])), float(np.clip(y, 0, size[1]))) for x, y in places)


def moved(box: Box, sides: Sides, nearer: float) -> Box:
    """The box through the middles of the sides; an edge that is `nearer` pixels off stays."""
    top, right, bottom, left = ((side.start + side.stop) / 2 for side in sides)
    edges = zip(box, (left, top, right, bottom), strict=True)
    x0, y0, x1, y1 = (old if abs(new - old) <= nearer else round(new) for old, new in edges)
    return x0, y0, x1, y1


def copied(pixels: Pixels) -> tuple[Pixels, float, float]:
    """A copy of at most LOOKED_AT pixels a side, and how long a pixel is in it, across and down.

    Means over whole squares first: means over parts of pixels take three times as long.
    """
    height, width = pixels.shape[:2]
    square = max(1, max(height, width) // LOOKED_AT)
    part = pixels[: height // square * square, : width // square * square]
    height, width = part.shape[:2]
    means = cv2.resize(part, (width // square, height // square), interpolation=cv2.INTER_AREA)
    scale = min(1.0, LOOKED_AT / max(means.shape[:2]))
    size = (max(1, round(means.shape[1] * scale)), max(1, round(means.shape[0] * scale)))
    small = cv2.resize(means, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(small, np.uint8), size[0] / width, size[1] / height


def line_near(small: Pixels, level: float, start: float, stop: float, edge: int) -> Side:
    """Where a side lies at `start` and at `stop` of its length, in rows of `small`.

    `small` (H, W, 3) is turned so that the side is level. It stays at row `level` when that is the
    picture's own `edge`, or when no line is seen.
    """
    span = stop - start
    reach = int(STEEPEST * span / 2) + 3
    lowest, highest = max(round(level) - reach, 2), min(round(level) + reach, len(small) - 2)
    if abs(level - edge) < 1 or span < 2 * BINS or highest - lowest < 6:
        return Side(level, level, False)
    strip = small[lowest - 2 : highest + 2, round(start) : round(stop)]
    seen = steps_seen(lab_of(strip).transpose(2, 0, 1))
    places = ((np.arange(BINS) + 0.5) / BINS - 0.5).astype(np.float32)
    middles = np.arange(lowest, highest, dtype=np.float32)
    # The upright line may cross the leaning one: what lies further off is another line.
    slope, middle = np.nonzero(abs(middles - level) <= 2 + abs(SLOPES[:, None]) * span / 2)
    rows = np.rint((middles[middle] - lowest)[:, None] + SLOPES[slope, None] * span * places)
    at = rows.astype(np.intp)
    along = np.where(
        (at >= 0) & (at < len(seen)), seen[np.clip(at, 0, len(seen) - 1), np.arange(BINS)], 0
    )
    scores = along.mean(1)
    scores[(slope > 0) & ((along > WEAK**0.5).mean(1) < UNBROKEN)] = 0
    best = int(scores.argmax())
    if not scores[best]:
        return Side(level, level, False)
    is_clear = bool(scores[best] > CLEARER * scores[slope == 0].max(initial=0))
    slant, centre = fitted_line(seen, rows[best], places)
    return Side(centre + lowest - slant / 2, centre + lowest + slant / 2, is_clear)


def fitted_line(
    seen: Floats, rows: NDArray[np.floating[Any]], places: NDArray[np.floating[Any]]
) -> tuple[float, float]:
    """Slope over all places and row at place 0 of the line through what is seen near `rows`."""
    near = np.arange(-NEAR, NEAR + 1)
    at = np.clip(np.rint(rows).astype(int) + near[:, None], 0, len(seen) - 1)
    weights = seen[at, np.arange(BINS)] ** 4 + 1e-9
    centres = (weights * at).sum(0) / weights.sum(0)
    slope, middle = np.polyfit(places, centres, 1, w=weights.max(0))
    return float(slope), float(middle)


def steps_seen(strip: Floats) -> Floats:
    """The root of the step of colour at each row of (3, R + 4, L) but the outer two: (R, BINS)."""
    total = np.cumsum(np.pad(strip, ((0, 0), (1, 0), (0, 0))), axis=1)
    inner, outer = total[:, 4:-1] - total[:, 2:-3], total[:, 2:-3] - total[:, :-5]
    size = np.sqrt(np.sqrt(((inner - outer) ** 2).sum(0)) / 2)  # one bright spot is no line
    edges = np.linspace(0, size.shape[1], BINS + 1).astype(int)
    return np.asarray(np.add.reduceat(size, edges[:-1], axis=1) / np.diff(edges), np.float32)


def upright(pixels: Pixels, places: Sequence[tuple[float, float]]) -> Pixels:
    """The quadrilateral between corners as a rectangle (H, W, 3) of its mean sides' lengths."""
    quad = np.array(places, np.float32)
    sides = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    width, height = (max(1, round(float(sides[i] + sides[i + 2]) / 2)) for i in (0, 1))
    goal = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    # OpenCV's whole numbers are the middles of pixels, ours their edges.
    warp = cv2.getPerspectiveTransform(quad - 0.5, goal - 0.5)
    return np.asarray(
        cv2.warpPerspective(
            pixels, warp, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        ),
        np.uint8,
    )
