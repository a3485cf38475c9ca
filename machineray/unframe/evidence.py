"""What speaks for and against a box: candidate lines of each side, and what lies along them.

Everything here works on a small copy of the picture (Lab, float32). A side is looked at as if it
were the top one: the picture is turned so that depth 0 is its outer edge.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.intp]

CANDIDATES = 10  # lines a side, "nothing to cut" included; boxes = CANDIDATES ** 4
DEEPEST = 0.48  # of the side's length: deeper than that is no frame
BAND = 4  # rows just outside and just inside a line that are looked at
WEAK, STRONG = 0.05, 0.2  # a step of colour that a person sees, one that nobody misses (L = 0..1)
BACKGROUND = 0.07  # colours nearer than this to the outermost rows belong to the background
SIDE_FEATURES = 30
BOX_FEATURES = 8

# Columns of what is measured along a line. A band has six: Lab, square, texture, background.
STEP, EDGE = slice(0, 3), 3
BANDS = OUTSIDE, INSIDE, WHOLE = 4, 10, 16
SEEN, STARK, BEYOND = 22, 23, 24


@dataclass(frozen=True)
class Side:
    """One side of a picture: candidate depths (K,), ascending, and what was measured along them.

    `sums` (Q, K, along + 1) are running sums along the line; `lines` (P, K) belong to whole lines.
    """

    depths: Ints
    length: int
    sums: Floats
    lines: Floats


@dataclass(frozen=True)
class Evidence:
    """Side features (K, K, K, SIDE_FEATURES) for top, bottom, left, right, and box features.

    A side's table is indexed by its own candidate and by the candidates of the two sides that
    bound the line: top and bottom by (own, left, right), left and right by (own, top, bottom).
    Box features (K, K, K, K, BOX_FEATURES) are indexed by (top, bottom, left, right).
    """

    depths: tuple[Ints, Ints, Ints, Ints]
    sides: tuple[Floats, Floats, Floats, Floats]
    boxes: Floats


def gather(lab: Floats) -> Evidence:
    """All evidence in a small picture (H, W, 3), Lab with L in 0..1; H and W at least 16."""
    turned = lab.transpose(1, 0, 2)
    top, bottom = look(lab), look(lab[::-1])
    left, right = look(turned), look(turned[::-1])
    height, width = lab.shape[:2]
    across = (left.depths, width - right.depths)
    down = (top.depths, height - bottom.depths)
    measured = [between(side, *across) for side in (top, bottom)]
    measured += [between(side, *down) for side in (left, right)]
    pairs = zip((top, bottom, left, right), measured, strict=True)
    features = [side_features(side, table) for side, table in pairs]
    depths = (top.depths, bottom.depths, left.depths, right.depths)
    colours = [table[..., OUTSIDE : OUTSIDE + 3] for table in measured]
    return Evidence(
        depths,
        (features[0], features[1], features[2], features[3]),
        box_features(depths, (height, width), colours),
    )


def look(lab: Floats) -> Side:
    """Candidate lines of the side at depth 0, and what lies along them; lab (depth, along, 3)."""
    length = len(lab)
    deepest = max(2, min(length - 2 * BAND - 2, int(length * DEEPEST)))
    planes = measured_pixels(lab[: deepest + 2 * BAND + 2])
    total = np.zeros((len(planes) + 1, *planes.shape[1:]), np.float32)
    np.cumsum(planes, axis=0, out=total[1:])
    step, tolerant = steps(total[..., :3], deepest)
    profile = line_profile(step, tolerant)
    depths = candidates(profile, planes[:deepest, :, 5].mean(1))
    at = np.maximum(depths, 1)
    along = along_lines(total, step[at - 1], tolerant[at - 1], at)
    sums = np.zeros((along.shape[2], len(depths), along.shape[1] + 1), np.float32)
    np.cumsum(along.transpose(2, 0, 1), axis=2, out=sums[..., 1:])
    return Side(depths, length, sums, neighbours(profile, at))


def measured_pixels(lab: Floats) -> Floats:
    """(depth, along, 6): Lab, its square, the change along the line, and 1 for background."""
    texture = np.zeros(lab.shape[:2], np.float32)
    texture[:, 1:] = np.abs(np.diff(lab, axis=1)).sum(2)
    outermost = np.median(lab[:3].reshape(-1, 3), axis=0)
    background = (np.abs(lab - outermost).sum(2) < BACKGROUND).astype(np.float32)
    square = (lab * lab).sum(2, keepdims=True)
    return np.concatenate([lab, square, texture[..., None], background[..., None]], axis=2)


def steps(total: Floats, deepest: int) -> tuple[Floats, Floats]:
    """The change of colour at depths 1..deepest: (D, along, 3), and its size (D, along).

    `total` are running sums of Lab over depth. The size is the largest of three rows: a line may
    lean by one.
    """
    rows = np.arange(1, deepest + 1)
    above = np.maximum(rows - 2, 0)
    outer = (total[rows] - total[above]) / (rows - above).astype(np.float32)[:, None, None]
    step = (total[rows + 2] - total[rows]) / 2 - outer
    size = np.sqrt((step * step).sum(2))
    tolerant = size.copy()
    np.maximum(tolerant[1:], size[:-1], out=tolerant[1:])
    np.maximum(tolerant[:-1], size[1:], out=tolerant[:-1])
    return step, tolerant


def along_lines(total: Floats, step: Floats, size: Floats, at: Ints) -> Floats:
    """(K, along, Q) at the lines' depths (K,): in the order of the columns that are named above.

    A row beside the line itself is left out on either side: edges are soft.
    """
    last = np.maximum(at - 1, 1)
    first = np.maximum(at - 1 - BAND, 0)
    outside = (total[last] - total[first]) / (last - first).astype(np.float32)[:, None, None]
    inside = (total[at + 1 + BAND] - total[at + 1]) / BAND
    whole = total[at] / at.astype(np.float32)[:, None, None]
    edge = size[..., None]
    return np.concatenate([step, edge, outside, inside, whole, edge > WEAK, edge > STRONG], 2)


def line_profile(step: Floats, tolerant: Floats) -> Floats:
    """How much each depth (D,) looks like a straight line, in the best of three stretches."""
    along = step.shape[1]
    best = np.zeros(len(step), np.float32)
    for start, stop in ((0.1, 0.9), (0.25, 0.65), (0.35, 0.75)):
        part = slice(int(along * start), max(int(along * stop), int(along * start) + 1))
        same = np.linalg.norm(step[:, part].mean(1), axis=1)
        seen = (tolerant[:, part] > WEAK).mean(1)
        np.maximum(best, np.sqrt(np.minimum(same, 0.3) + 0.002) * seen, out=best)
    return best


def candidates(profile: Floats, background: Floats) -> Ints:
    """The most promising depths (CANDIDATES,), ascending, 0 among them; repeats fill it up."""
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
    ordered = sorted(chosen)
    return np.array(ordered + [0] * (CANDIDATES - len(ordered)), np.intp)


def neighbours(profile: Floats, at: Ints) -> Floats:
    """The best line further out and further in (2, K): frames are nested."""
    reach = max(4, len(profile) // 5)
    out = [profile[: max(d - 4, 0)].max(initial=0) for d in at]
    into = [profile[d + 3 : d + 3 + reach].max(initial=0) for d in at]
    return np.array([out, into], np.float32)


def between(side: Side, starts: Ints, stops: Ints) -> Floats:
    """Means along each line (K, K, K, Q + 1) from every start to every stop; last, beyond them."""
    span = (stops[None, :] - starts[:, None]).astype(np.float32)
    inner = side.sums[:, :, stops][:, :, None, :] - side.sums[:, :, starts][:, :, :, None]
    means = inner / span
    rest = np.maximum(side.sums.shape[2] - 1 - span, 1)
    beyond = (side.sums[EDGE, :, -1, None, None] - inner[EDGE]) / rest
    return np.concatenate([means, beyond[None]]).transpose(1, 2, 3, 0)


def side_features(side: Side, table: Floats) -> Floats:
    """(K, K, K, SIDE_FEATURES), about 0..1 each; only the first is set where nothing is cut."""
    step = np.sqrt((table[..., STEP] ** 2).sum(-1))
    out = [step, *(table[..., column] for column in (EDGE, SEEN, STARK, BEYOND))]
    for first in BANDS:
        lab, square = table[..., first : first + 3], table[..., first + 3]
        spread = np.sqrt(np.maximum(square - (lab**2).sum(-1), 0))
        chroma = np.sqrt((lab[..., 1:] ** 2).sum(-1))
        out += [lab[..., 0], chroma, spread, 4 * table[..., first + 4], table[..., first + 5]]
    lines = np.broadcast_to(side.lines[:, :, None, None], (2, *step.shape))
    depth = np.broadcast_to((side.depths / side.length)[:, None, None], step.shape)
    out += [lines[0], lines[1], depth, np.sqrt(depth)]
    out += [out[0] / (out[7] + 0.05) / 5, out[2] * out[0] * 2, out[2] * (out[2] > 0.95)]
    thin = np.broadcast_to((np.minimum(side.depths, 8) / 8)[:, None, None], step.shape)
    out += [np.minimum(out[8] / (out[13] + 0.02), 3) / 3, thin]
    features = np.stack(out, axis=-1).astype(np.float32)
    features *= (side.depths > 0)[:, None, None, None]
    uncut = np.broadcast_to((side.depths == 0)[:, None, None, None], (*step.shape, 1))
    return np.concatenate([uncut.astype(np.float32), features], axis=-1)


def box_features(
    depths: tuple[Ints, Ints, Ints, Ints], shape: tuple[int, int], colours: list[Floats]
) -> Floats:
    """(K, K, K, K, BOX_FEATURES): the cut as a whole, and whether its sides resemble each other."""
    height, width = shape
    top, bottom, left, right = (
        d.astype(np.float32) / n
        for d, n in zip(depths, (height, height, width, width), strict=True)
    )
    t, b = top[:, None, None, None], bottom[:, None, None]
    le, r = left[:, None], right
    cut = (t > 0) * 1.0 + (b > 0) + (le > 0) + (r > 0)
    longest = max(height, width)
    pixel = [(t * height), (b * height), (le * width), (r * width)]
    spread = np.maximum.reduce(np.broadcast_arrays(*pixel)) - np.minimum.reduce(
        np.broadcast_arrays(*pixel)
    )
    on = [t > 0, b > 0, le > 0, r > 0]
    spans = [spanning(c, i) for i, c in enumerate(colours)]
    count = np.maximum(cut, 1)[..., None]
    mean = sum(c * o[..., None] for c, o in zip(spans, on, strict=True)) / count
    apart = sum(((c - mean) ** 2).sum(-1) * o for c, o in zip(spans, on, strict=True))
    whole = (1 - t - b) * (1 - le - r)
    features = [cut / 4, cut == 4, whole, np.abs(t - b) * 4, np.abs(le - r) * 4]
    features += [spread / longest * 4, np.sqrt(apart / count[..., 0]) * 3, cut == 0]
    return np.stack(np.broadcast_arrays(*features), axis=-1).astype(np.float32)


def spanning(table: Floats, side: int) -> Floats:
    """A side's table (K, K, K, ...) as one that broadcasts over (top, bottom, left, right)."""
    if side == 0:
        return table[:, None]
    if side == 1:
        return table[None]
    turned = np.moveaxis(table, 0, 2)
    return turned[:, :, :, None] if side == 2 else turned[:, :, None]
