"""How likely each part of a picture is painting, and not what is around it: a small network.

It sees the whole picture as GRID x GRID cells, so it knows what lines alone cannot tell: that the
same bar comes back at the other side, or that a white field ends in the middle of the picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

GRID = 32  # cells a side
CELL = 6  # pixels a side of a cell, in a copy that is squeezed to a square
SQUARED = GRID * CELL  # pixels a side of that square
INPUTS = CELL * CELL * 3 + 3
SURELY_NOT = -80  # a score whose share is 0; of one below -88 the exponential is no float32
REACHES = (1, 2, 4, 8)  # how far apart the nine cells are that each layer looks at


@dataclass(frozen=True)
class PaintedWeights:
    """Each layer's weights, channels last; C channels in layers of 9 shifts (L, 9, C, C)."""

    stem: Floats  # (INPUTS, S)
    stem_bias: Floats
    entry: Floats  # (S, C)
    entry_bias: Floats
    near: Floats  # (L, 9, C, C)
    near_bias: Floats  # (L, C)
    rows: Floats  # (L, C, C), of a row's mean
    columns: Floats  # (L, C, C), of a column's mean
    head: Floats  # (C,)
    head_bias: Floats  # ()


def cells(lab: Floats) -> Floats:
    """A picture (SQUARED, SQUARED, 3), Lab with L in 0..1, cell by cell (GRID, GRID, INPUTS).

    Its pixels, how rough it is, and how far it lies from the nearest edge, down and across.
    """
    apart = lab.reshape(GRID, CELL, GRID, CELL, 3).transpose(0, 2, 1, 3, 4)
    pixels = apart.reshape(GRID, GRID, CELL * CELL, 3)
    means, squares = (
        cv2.resize(plane, (GRID, GRID), interpolation=cv2.INTER_AREA) for plane in (lab, lab * lab)
    )
    variance = (squares - means * means).sum(-1, keepdims=True)
    deviation = np.sqrt(np.maximum(variance, 0))
    rough = np.log(deviation + 0.002) / 3 + 1
    place = (np.arange(GRID, dtype=np.float32) + 0.5) / GRID
    far = np.sqrt(2 * np.minimum(place, 1 - place)) - 0.5
    down, across = np.broadcast_arrays(far[:, None, None], far[None, :, None])
    flat = pixels.reshape(GRID, GRID, -1) - np.tile(np.array((0.5, 0, 0), np.float32), CELL * CELL)
    return np.concatenate([flat, rough, down, across], axis=2).astype(np.float32)


def painted(known: Floats, weights: PaintedWeights) -> Floats:
    """The share of each cell (GRID, GRID) that is painting, 0..1, from what `cells` knows."""
    x = np.maximum(known @ weights.stem + weights.stem_bias, 0)
    x = np.maximum(x @ weights.entry + weights.entry_bias, 0)
    layers = (weights.near, weights.near_bias, weights.rows, weights.columns)
    for reach, near, bias, rows, columns in zip(REACHES, *layers, strict=True):
        seen = bias + x.mean(1, keepdims=True) @ rows + x.mean(0, keepdims=True) @ columns
        seen = seen + nine(x, near, reach)
        x = x + np.maximum(seen, 0)
    score = np.maximum(x @ weights.head + weights.head_bias, SURELY_NOT)
    return np.asarray(1 / (1 + np.exp(-score)), np.float32)


def nine(x: Floats, near: Floats, reach: int) -> Floats:
    """A 3x3 convolution of (H, W, C) whose taps lie `reach` cells apart; 0 beyond the edges."""
    height, width = x.shape[:2]
    wide = np.pad(x, ((reach, reach), (reach, reach), (0, 0)))
    total = np.zeros((height, width, near.shape[2]), np.float32)
    for tap, matrix in enumerate(near):
        down, across = tap // 3 * reach, tap % 3 * reach
        total += wide[down : down + height, across : across + width] @ matrix
    return total
