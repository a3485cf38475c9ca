"""The box of the painting inside a photograph of it: frames, mats, walls and captions left out.

One small network says what in the picture is painting (painted.py). Where that is not sure, a
small copy of the picture gives up to ten candidate lines a side, so up to 10,000 boxes; other
networks weigh for each what is painting and what lies along its lines (evidence.py). The best box
is then sharpened at full resolution, and its sides may lean (corners.py). tools/fit_unframe.py
fitted the networks on synthetic and labelled photographs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from machineray.unframe.corners import LOOKED_AT, Corners, corners, moved, sides_of
from machineray.unframe.evidence import (
    SURELY_PAINT,
    Evidence,
    Floats,
    Ints,
    gather,
    lab_of,
    spanning,
)
from machineray.unframe.painted import SQUARED, PaintedWeights, cells, painted

WEIGHTS = Path(__file__).with_name("weights.npz")
SMALL = 448  # long side of the copy that is judged, pixels
SMALLEST = 32  # a picture with a shorter side than this is left alone
MOST_STRETCHED = 12  # and so is one that is longer than this many times its short side
WORTH = 0.042  # of IoU: what a cut has to gain
NO_FRAME = 0.7  # on the whole picture's score: no frame is likelier than in what was learnt from
SURER = 1.5  # the networks are right more often than their scores say: for the confidence only
RIVALS = 400  # likeliest boxes that are held against each other


@dataclass(frozen=True)
class Box:
    """The painting in pixels of the upright picture; right and bottom exclusive.

    `confidence` in 0..1 is the IoU with the true box that is to be expected. `corners`, of a
    painting that hangs or was photographed askew: x and y, top left first, then clockwise.
    """

    left: int
    top: int
    right: int
    bottom: int
    confidence: float
    corners: Corners | None = None

    @property
    def edges(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom


@dataclass(frozen=True)
class Weights:
    """The network: a layer each side passes, one that sees the sum and the box, and the score."""

    side: Floats
    side_bias: Floats
    joint: Floats
    joint_bias: Floats
    score: Floats


@dataclass(frozen=True)
class Model:
    """What was fitted: the network that sees paint, and those that score boxes, averaged."""

    painted: PaintedWeights
    scores: tuple[Weights, ...]


@dataclass(frozen=True)
class Guess:
    """Where the small copy (height, width) of a picture is to be cut, and how sure that is.

    `depths` are its rows and columns to cut at top, bottom, left and right.
    """

    small: tuple[int, int]
    depths: tuple[int, int, int, int]
    confidence: float

    @property
    def cuts(self) -> bool:
        """Whether anything is to be left out."""
        return any(self.depths)


def guess(pixels: NDArray[np.uint8], model: Model | None = None) -> Guess:
    """The painting in an upright RGB picture (H, W, 3), H and W at least 1; SMALL are enough.

    One without frame, or too small or too stretched to judge, gives the whole picture. `model` is
    for cross-validation; without it it is the one that was fitted.
    """
    shortest, longest = sorted(pixels.shape[:2])
    if shortest < SMALLEST or longest > MOST_STRETCHED * shortest:
        return Guess((pixels.shape[0], pixels.shape[1]), (0, 0, 0, 0), 0.0)
    model = model or fitted()
    small = shrunk(pixels)
    shape = (small.shape[0], small.shape[1])
    return Guess(shape, *judged(seen(small, model.painted), shape, model.scores))


def refined(pixels: NDArray[np.uint8], rough: Guess) -> Box:
    """The box to the pixel of the picture (H, W, 3), larger than what was guessed from or not.

    It is never empty. Memory beyond `pixels` does not grow with its size.
    """
    height, width = pixels.shape[:2]
    top, bottom, left, right = sharpened(pixels, rough.small, rough.depths)
    box = (left, top, width - right, height - bottom)
    if not rough.cuts:
        return Box(*box, rough.confidence)
    sides = sides_of(pixels, box)
    askew = corners(box, sides, (width, height))
    row = max(1.0, max(height, width) / LOOKED_AT)  # what lines are seen to
    return Box(*moved(box, sides, 0 if askew else row), rough.confidence, askew)


def seen(
    small: NDArray[np.uint8], weights: PaintedWeights, surely_paint: float = SURELY_PAINT
) -> Evidence:
    """All evidence in a small copy (H, W, 3)."""
    share = painted(cells(lab_of(squared(small))), weights)
    paint = cv2.resize(share, small.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return gather(small, np.asarray(paint, np.float32), surely_paint)


def squared(small: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A small copy squeezed to the square that is seen cell by cell."""
    size = (SQUARED, SQUARED)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA), np.uint8)


def shrunk(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy of at most SMALL pixels on its long side, at least 16 on the short one."""
    height, width = pixels.shape[:2]
    scale = min(1.0, SMALL / max(height, width))
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def judged(
    evidence: Evidence, shape: tuple[int, int], networks: tuple[Weights, ...]
) -> tuple[tuple[int, int, int, int], float]:
    """Depths to cut at top, bottom, left and right of the small copy, and the confidence.

    Not the likeliest box, but the one whose IoU with the likely ones is the highest on average:
    between two rival frames a box that is nearly right for both beats a gamble.
    """
    score = np.mean([scores(evidence, weights) for weights in networks], axis=0)
    score[0, 0, 0, 0] += NO_FRAME
    likeliest = np.argsort(-score, axis=None, kind="stable")[:RIVALS]
    beneath = score.flat[likeliest] - score.max()
    at = np.unravel_index(likeliest, score.shape)
    depths = np.stack([d[i] for d, i in zip(evidence.depths, at, strict=True)], axis=1)
    alike = overlaps(depths, depths, shape)
    best = np.argmax(alike @ shares(beneath) + WORTH * ~depths.any(1))
    top, bottom, left, right = (int(depth) for depth in depths[best])
    confidence = float(alike[best] @ shares(SURER * beneath))
    return (top, bottom, left, right), min(confidence, 1.0)


def shares(scores: Floats) -> Floats:
    """How likely each box is, by its score; the best score is 0."""
    likely = np.exp(scores)
    return np.asarray(likely / likely.sum(), np.float32)


def overlaps(depths: Ints, others: Ints, shape: tuple[int, int]) -> Floats:
    """IoU (N, M) of boxes with others, as depths (N, 4) and (M, 4) by top, bottom, left, right."""
    height, width = np.float32(shape[0]), np.float32(shape[1])  # small: all is exact in single
    sets = [boxes.T.astype(np.float32) for boxes in (depths, others)]
    t, b, le, r = (np.maximum.outer(one, other) for one, other in zip(*sets, strict=True))
    common = np.maximum(height - t - b, 0) * np.maximum(width - le - r, 0)
    areas = [(height - t - b) * (width - le - r) for t, b, le, r in sets]
    return np.asarray(common / (np.add.outer(*areas) - common), np.float32)


def scores(evidence: Evidence, weights: Weights) -> Floats:
    """How well each box (K, K, K, K) fits, by (top, bottom, left, right); higher is better."""
    hidden = len(weights.side)
    joint = evidence.boxes @ weights.joint[:, hidden:].T + weights.joint_bias
    for index, side in enumerate(evidence.sides):
        passed = np.maximum(side @ weights.side.T + weights.side_bias, 0)
        joint += spanning(passed @ (weights.joint[:, :hidden].T / 4), index)
    np.maximum(joint, 0, out=joint)
    return np.asarray(joint @ weights.score, np.float32)


@cache
def fitted() -> Model:
    """The networks that were fitted."""
    with np.load(WEIGHTS, allow_pickle=False) as stored:
        return model_of(stored)


def model_of(arrays: Mapping[str, Floats]) -> Model:
    """Networks from arrays by the names of PaintedWeights and Weights, the latter stacked."""
    alone = [arrays[layer.name].astype(np.float32) for layer in fields(PaintedWeights)]
    stacks = [arrays[layer.name].astype(np.float32) for layer in fields(Weights)]
    return Model(
        PaintedWeights(*alone),
        tuple(Weights(*layers) for layers in zip(*stacks, strict=True)),
    )


def sharpened(
    pixels: NDArray[np.uint8], small: tuple[int, int], depths: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    """Depths at full resolution: the sharpest line within a small pixel of each chosen one."""
    height, width = pixels.shape[:2]
    down, across = height / small[0], width / small[1]
    scales = (down, down, across, across)
    top, bottom, left, right = (
        round(depth * scale) for depth, scale in zip(depths, scales, strict=True)
    )
    rows, columns = slice(top, height - bottom), slice(left, width - right)
    turned = pixels.transpose(1, 0, 2)
    return (
        sharpest(pixels[:, columns], top, down),
        sharpest(pixels[::-1, columns], bottom, down),
        sharpest(turned[:, rows], left, across),
        sharpest(turned[::-1, rows], right, across),
    )


def sharpest(rows: NDArray[np.uint8], depth: int, scale: float) -> int:
    """The depth within `scale` pixels of `depth` where the colour of a row changes most."""
    reach = int(np.ceil(scale))
    first, last = max(depth - reach - 1, 0), depth + reach + 1
    if depth == 0 or scale <= 1 or last > len(rows):
        return depth
    stride = max(1, rows.shape[1] // 2048)
    strip = rows[first:last, ::stride].astype(np.float32).mean(1)
    change = np.abs(np.diff(strip, axis=0)).sum(1)
    return first + 1 + int(change.argmax())
