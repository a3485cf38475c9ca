"""What speaks for and against a box: candidate lines of each side, and what lies along them.

Everything here works on a small copy of the picture (Lab, float32). A side is looked at as if it
were the top one: the picture is turned so that depth 0 is its outer edge. What is surely paint is
not looked at: most paintings have no frame, and are done with when that is known.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.intp]

CANDIDATES = 10  # lines a side at most, "nothing to cut" included
DEEPEST = 0.48  # of the side's length: deeper than that is no frame
BAND = 4  # rows just outside and just inside a line that are looked at
WEAK, STRONG = 0.05, 0.2  # a step of colour that a person sees, one that nobody misses (L = 0..1)
SURELY_PAINT = 0.8  # a line that would cut off strips with more paint than that is no candidate
BACKGROUND = 0.07  # colours nearer than this to the outermost rows belong to the background
SIDE_FEATURES = 37
BOX_FEATURES = 11

# Planes of what is measured at each pixel: Lab, its square, texture, background, painted.
PLANES = 7
SQUARE, TEXTURE, GROUND, PAINT = 3, 4, 5, 6
# What is measured along a line: the step, its size, and the planes of three bands.
EDGE = 3
BANDS = OUTSIDE, INSIDE, WHOLE = 4, 4 + PLANES, 4 + 2 * PLANES
SEEN = 4 + 3 * PLANES
STARK, BEYOND = SEEN + 1, SEEN + 2


@dataclass(frozen=True)
class Side:
    """One side of a picture: candidate depths (K,) from 0 up, and what was measured along them.

    `sums` (Q, K, along + 1) are running sums along the line; `lines` (P, K) belong to whole lines.
    """

    depths: Ints
    length: int
    sums: Floats
    lines: Floats


@dataclass(frozen=True)
class Evidence:
    """Side features (K, K, K, SIDE_FEATURES) for top, bottom, left, right, and box features.

    Each K is a number of its own, from 1 to CANDIDATES: as many as the side has candidates.
    A side's table is indexed by its own candidate and by the candidates of the two sides that
    bound the line: top and bottom by (own, left, right), left and right by (own, top, bottom).
    Box features (K, K, K, K, BOX_FEATURES) are indexed by (top, bottom, left, right).
    """

    depths: tuple[Ints, Ints, Ints, Ints]
    sides: tuple[Floats, Floats, Floats, Floats]
    boxes: Floats


def gather(small: NDArray[np.uint8], paint: Floats, surely_paint: float = SURELY_PAINT) -> Evidence:
    """All evidence in a small picture (H, W, 3), RGB; H and W at least 16.

    `paint` (H, W): how likely each pixel is painting, 0..1. What the networks that weigh boxes
    learn from has all lines (`surely_paint` infinite): there are more mistakes to learn from.
    """
    top, bottom = opposite(small, paint, surely_paint)
    left, right = opposite(small.transpose(1, 0, 2), paint.T, surely_paint)
    height, width = paint.shape
    across = (left.depths, width - right.depths)
    down = (top.depths, height - bottom.depths)
    measured = [between(side, *across) for side in (top, bottom)]
    measured += [between(side, *down) for side in (left, right)]
    pairs = zip((top, bottom, left, right), measured, strict=True)
    features = [side_features(side, table) for side, table in pairs]
    depths = (top.depths, bottom.depths, left.depths, right.depths)
    colours = [table[OUTSIDE : OUTSIDE + 3] for table in measured]
    shared = [*geometry(depths, (height, width), colours), *holding(depths, paint)]
    return Evidence(
        depths,
        (features[0], features[1], features[2], features[3]),
        np.stack(np.broadcast_arrays(*shared), axis=-1).astype(np.float32),
    )


def opposite(small: NDArray[np.uint8], paint: Floats, surely_paint: float) -> tuple[Side, Side]:
    """The side at depth 0 of (depth, along, 3) and (depth, along), and the one across from it."""
    sides = ((small, paint), (small[::-1], paint[::-1]))
    first, second = (look(*side, deepest_free(side[1], surely_paint)) for side in sides)
    return first, second


def lab_of(pixels: NDArray[np.uint8]) -> Floats:
    """RGB (H, W, 3) -> Lab with L in 0..1, a and b on the same scale."""
    lab = cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.asarray(lab / 100, np.float32)


def deepest_free(paint: Floats, surely_paint: float) -> int:
    """The last depth at which what a line cuts off is not surely paint; 0 where there is none."""
    length = len(paint)
    deepest = max(2, min(length - 2 * BAND - 2, int(length * DEEPEST)))
    outside = np.cumsum(paint[:deepest].mean(1)) / np.arange(1, deepest + 1)
    return int(np.flatnonzero(outside <= surely_paint).max(initial=-1)) + 1


def uncut(shape: tuple[int, ...]) -> Side:
    """A side at which nothing is to be cut, of a picture (depth, along)."""
    along = np.zeros((BEYOND, 1, shape[1] + 1), np.float32)
    return Side(np.zeros(1, np.intp), shape[0], along, np.zeros((2, 1), np.float32))


def look(small: NDArray[np.uint8], paint: Floats, deepest: int) -> Side:
    """Candidate lines, at most `deepest` deep, of the side at depth 0 of (depth, along, 3)."""
    if not deepest:
        return uncut(paint.shape)
    length = len(paint)
    strip = slice(deepest + 2 * BAND + 2)  # most are a tenth of the picture
    planes = measured_pixels(lab_of(small[strip]).transpose(2, 0, 1), paint[strip])
    planes[GROUND] = background(planes[:3])
    step, size = steps(planes[:3], deepest)
    tolerant = np.maximum.reduce([size, one_on(size), one_on(size[::-1])[::-1]])
    profile = line_profile(step, tolerant)
    depths = candidates(profile, planes[GROUND, :deepest].mean(1))
    at = np.maximum(depths, 1)
    along = along_lines(planes, step[:, at - 1], tolerant[at - 1], at)
    sums = np.zeros((*along.shape[:2], along.shape[2] + 1), np.float32)
    np.cumsum(along, axis=2, out=sums[..., 1:])
    return Side(depths, length, sums, neighbours(profile, at))


def measured_pixels(lab: Floats, paint: Floats) -> Floats:
    """(PLANES, depth, along) of Lab (3, …) and paint (…): all but the background, a side's own."""
    planes = np.zeros((PLANES, *paint.shape), np.float32)
    planes[:3], planes[PAINT] = lab, paint
    for plane in planes[:3]:  # sums over a last axis of 3 are slow
        planes[SQUARE] += plane * plane
        planes[TEXTURE, :, 1:] += np.abs(np.diff(plane, axis=1))
    return planes


def background(lab: Floats) -> NDArray[np.bool_]:
    """Which pixels of (3, depth, along) are of the colour that the outermost rows have."""
    outermost = np.median(lab[:, :3].reshape(3, -1), axis=1)
    apart = sum(np.abs(plane - middle) for plane, middle in zip(lab, outermost, strict=True))
    return np.asarray(apart < BACKGROUND)


def steps(lab: Floats, deepest: int) -> tuple[Floats, Floats]:
    """The change of colour at depths 1..deepest: (3, D, along), and its size (D, along)."""
    pairs = lab[:, 1 : deepest + 2] + lab[:, : deepest + 1]
    outer = np.concatenate([2 * lab[:, :1], pairs[:, : deepest - 1]], axis=1)  # one row above 1
    step = (pairs[:, 1:] - outer) / 2
    return step, length_of(step)


def one_on(size: Floats) -> Floats:
    """Each row in the place of the next: a line may lean by one."""
    return np.concatenate([size[:1], size[:-1]])


def along_lines(planes: Floats, step: Floats, size: Floats, at: Ints) -> Floats:
    """(Q, K, along) at the lines' depths (K,): in the order of the columns that are named above.

    A row beside the line itself is left out on either side: edges are soft.
    """
    rows, lines = np.arange(planes.shape[1]), at[:, None]
    outside = (rows >= lines - 1 - BAND) & (rows < np.maximum(lines - 1, 1))
    inside = (rows > lines) & (rows <= lines + BAND)
    bands = np.concatenate([outside, inside, rows < lines]).astype(np.float32)
    bands /= bands.sum(1, keepdims=True)
    means = (bands @ planes).reshape(PLANES, 3, len(at), -1)  # one product sums what bands need
    edge = size[None]
    return np.concatenate([step, edge, *means.swapaxes(0, 1), edge > WEAK, edge > STRONG])


def line_profile(step: Floats, tolerant: Floats) -> Floats:
    """How much each depth (D,) looks like a straight line, in the best of three stretches."""
    along = step.shape[2]
    best = np.zeros(step.shape[1], np.float32)
    for start, stop in ((0.1, 0.9), (0.25, 0.65), (0.35, 0.75)):
        part = slice(int(along * start), max(int(along * stop), int(along * start) + 1))
        same = np.linalg.norm(step[:, :, part].mean(2), axis=0)
        seen = (tolerant[:, part] > WEAK).mean(1)
        np.maximum(best, np.sqrt(np.minimum(same, 0.3) + 0.002) * seen, out=best)
    return best


def candidates(profile: Floats, background: Floats) -> Ints:
    """The most promising depths, CANDIDATES at most, ascending from 0."""
    chosen = {0}
    for share in (0.995, 0.97, 0.8):  # where the background ends: a tip, a slope, an edge
        gone = np.flatnonzero(background < share)
        if len(gone) and gone[0] > 0:
            chosen.add(int(gone[0]))
    peak = profile.copy()
    peak[1:] = np.where(profile[1:] < profile[:-1], 0, peak[1:])
    peak[:-1] = np.where(profile[:-1] <= profile[1:], 0, peak[:-1])
    for index in np.argsort(-peak, kind="stable"):
        if len(chosen) >= CANDIDATES or peak[index] <= 0:
            break
        if all(abs(int(index) + 1 - other) > 1 or other == 0 for other in chosen):
            chosen.add(int(index) + 1)
    return np.array(sorted(chosen), np.intp)


def neighbours(profile: Floats, at: Ints) -> Floats:
    """The best line further out and further in (2, K): frames are nested."""
    reach = max(4, len(profile) // 5)
    out = [profile[: max(d - 4, 0)].max(initial=0) for d in at]
    into = [profile[d + 3 : d + 3 + reach].max(initial=0) for d in at]
    return np.array([out, into], np.float32)


def between(side: Side, starts: Ints, stops: Ints) -> Floats:
    """Means along each line (Q + 1, K, K, K) from every start to every stop; last, beyond them."""
    span = (stops[None, :] - starts[:, None]).astype(np.float32)
    inner = side.sums[:, :, stops][:, :, None, :] - side.sums[:, :, starts][:, :, :, None]
    means = inner / span
    rest = np.maximum(side.sums.shape[2] - 1 - span, 1)
    beyond = (side.sums[EDGE, :, -1, None, None] - inner[EDGE]) / rest
    return np.concatenate([means, beyond[None]])


def side_features(side: Side, table: Floats) -> Floats:
    """(K, K, K, SIDE_FEATURES), about 0..1 each; only the first is set where nothing is cut."""
    step = length_of(table[:3])
    edge, seen = table[EDGE], table[SEEN]
    out = [step, edge, seen, table[STARK], table[BEYOND]]
    spreads, textures = [], []
    for first in BANDS:
        lab, square = table[first : first + 3], table[first + SQUARE]
        spread = np.sqrt(np.maximum(square - length_of(lab) ** 2, 0))
        texture = 4 * table[first + TEXTURE]
        out += [lab[0], length_of(lab[1:]), spread, texture]
        out += [table[first + GROUND], table[first + PAINT]]
        spreads.append(spread)
        textures.append(texture)
    out += [np.log(texture + 0.02) / 4 + 1 for texture in textures[:2]]
    out += [step / (spreads[0] + 0.05) / 5, step / (edge + 0.01), seen * step * 2]
    out += [seen * (seen > 0.95), np.minimum(textures[0] / (textures[1] + 0.02), 3) / 3]
    out += [table[INSIDE + PAINT] - table[OUTSIDE + PAINT]]
    depth = side.depths / side.length
    whole = [*side.lines, depth, np.sqrt(depth), np.minimum(side.depths, 8) / 8]
    out += [np.broadcast_to(line[:, None, None], step.shape) for line in whole]
    features = np.stack(out, axis=-1).astype(np.float32)
    features *= (side.depths > 0)[:, None, None, None]
    uncut = np.broadcast_to((side.depths == 0)[:, None, None, None], (*step.shape, 1))
    return np.concatenate([uncut.astype(np.float32), features], axis=-1)


def length_of(vectors: Floats) -> Floats:
    """The length of vectors along the first axis."""
    return np.asarray(np.sqrt(sum(plane * plane for plane in vectors)), np.float32)


def geometry(
    depths: tuple[Ints, Ints, Ints, Ints], shape: tuple[int, int], colours: list[Floats]
) -> list[Floats]:
    """Features of boxes, by (top, bottom, left, right): the cut, and how alike its sides are."""
    height, width = shape
    top, bottom, left, right = (
        d.astype(np.float32) / n
        for d, n in zip(depths, (height, height, width, width), strict=True)
    )
    t, b, le, r = top[:, None, None, None], bottom[:, None, None], left[:, None], right
    on = [t > 0, b > 0, le > 0, r > 0]
    cut = sum(side * 1.0 for side in on)
    pixel = np.broadcast_arrays(t * height, b * height, le * width, r * width)
    spread = np.maximum.reduce(pixel) - np.minimum.reduce(pixel)
    spans = [[spanning(plane, i) for plane in colour] for i, colour in enumerate(colours)]
    count = np.maximum(cut, 1)
    apart = 0.0
    for planes in zip(*spans, strict=True):
        mean = sum(plane * side for plane, side in zip(planes, on, strict=True)) / count
        pairs = zip(planes, on, strict=True)
        apart = apart + sum((plane - mean) ** 2 * side for plane, side in pairs)
    whole = (1 - t - b) * (1 - le - r)
    features = [cut / 4, cut == 4, whole, np.abs(t - b) * 4, np.abs(le - r) * 4]
    return [*features, spread / max(shape) * 4, np.sqrt(apart / count) * 3, cut == 0]


def holding(depths: tuple[Ints, Ints, Ints, Ints], paint: Floats) -> list[Floats]:
    """Features of boxes: how much of what is inside is paint, of what is outside, and the IoU."""
    height, width = paint.shape
    sums = cv2.integral(paint, sdepth=cv2.CV_64F)
    t, b = depths[0], height - depths[1]
    le, r = depths[2], width - depths[3]
    rows = sums[b][None] - sums[t][:, None]  # (K, K, W + 1)
    inside = rows[:, :, None, r] - rows[:, :, le][..., None]
    area = (b[None, :] - t[:, None])[:, :, None, None] * (r[None, :] - le[:, None])
    rest = sums[-1, -1] - inside
    outside = rest / np.maximum(height * width - area, 1)
    return [inside / area, outside, inside / (area + rest)]


def spanning(table: Floats, side: int) -> Floats:
    """A side's table (K, K, K, ...) as one that broadcasts over (top, bottom, left, right)."""
    if side == 0:
        return table[:, None]
    if side == 1:
        return table[None]
    turned = np.moveaxis(table, 0, 2)
    return turned[:, :, :, None] if side == 2 else turned[:, :, None]
