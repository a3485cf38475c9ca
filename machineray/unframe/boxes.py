"""The box of the painting inside a photograph of it: frames, mats, walls and captions left out.

A small copy of the picture gives ten candidate lines a side, so 10,000 boxes; a small network that
was fitted on labelled photographs (tools/fit_unframe.py) weighs the evidence for each of them
(evidence.py), and the best box is then sharpened at full resolution.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from machineray.unframe.evidence import Evidence, Floats, gather, spanning

SMALL = 448  # long side of the copy that is judged, pixels
SMALLEST = 32  # a picture with a shorter side than this is left alone
MOST_STRETCHED = 12  # and so is one that is longer than this many times its short side
SAME_BOX = 0.02  # boxes whose edges differ by less than this share of a side count as one


@dataclass(frozen=True)
class Box:
    """The painting in pixels of the upright picture; right and bottom exclusive.

    `confidence` in 0..1 is the share of the judgement that fell on this box or one beside it.
    """

    left: int
    top: int
    right: int
    bottom: int
    confidence: float


@dataclass(frozen=True)
class Weights:
    """The network: a layer each side passes, one that sees the sum and the box, and the score."""

    side: Floats
    side_bias: Floats
    joint: Floats
    joint_bias: Floats
    score: Floats


def frame_box(pixels: NDArray[np.uint8]) -> Box:
    """The painting's own box in an upright RGB picture (H, W, 3), H and W at least 1.

    A picture without frame, or too small or too stretched to judge, gives the whole picture.
    The box is never empty. Memory beyond `pixels` does not grow with its size.
    """
    height, width = pixels.shape[:2]
    shortest, longest = sorted((height, width))
    if shortest < SMALLEST or longest > MOST_STRETCHED * shortest:
        return Box(0, 0, width, height, 0.0)
    small = shrunk(pixels)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) / 100
    evidence = gather(lab)
    depths, confidence = judged(evidence, lab.shape[:2])
    top, bottom, left, right = sharpened(pixels, lab.shape[:2], depths)
    return Box(left, top, width - right, height - bottom, confidence)


def shrunk(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy of at most SMALL pixels on its long side, at least 16 on the short one."""
    height, width = pixels.shape[:2]
    scale = min(1.0, SMALL / max(height, width))
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def judged(evidence: Evidence, shape: tuple[int, int]) -> tuple[tuple[int, int, int, int], float]:
    """Depths to cut at top, bottom, left and right of the small copy, and the confidence."""
    score = np.mean([scores(evidence, weights) for weights in fitted()], axis=0)
    best = np.unravel_index(int(score.argmax()), score.shape)
    share = np.exp(score - score.max())
    alike = np.ones((1, 1, 1, 1), np.bool_)
    for axis, (depths, index) in enumerate(zip(evidence.depths, best, strict=True)):
        near = np.abs(depths - depths[index]) <= SAME_BOX * shape[axis // 2] + 1
        alike = alike & near.reshape([-1 if axis == other else 1 for other in range(4)])
    confidence = float(share[alike].sum() / share.sum())
    top, bottom, left, right = (
        int(d[i]) for d, i in zip(evidence.depths, best, strict=True)
    )
    return (top, bottom, left, right), min(confidence, 1.0)


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
def fitted() -> tuple[Weights, ...]:
    """The networks that were fitted; their scores are averaged."""
    with np.load(Path(__file__).with_name("weights.npz"), allow_pickle=False) as stored:
        names = ("side", "side_bias", "joint", "joint_bias", "score")
        stacks = [stored[name].astype(np.float32) for name in names]
    return tuple(Weights(*arrays) for arrays in zip(*stacks, strict=True))


def sharpened(
    pixels: NDArray[np.uint8], small: tuple[int, int], depths: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    """Depths at full resolution: the sharpest line within a small pixel of each chosen one."""
    height, width = pixels.shape[:2]
    down, across = height / small[0], width / small[1]
    top, bottom, left, right = (
        round(depth * scale) for depth, scale in zip(depths, (down, down, across, across), strict=True)
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
