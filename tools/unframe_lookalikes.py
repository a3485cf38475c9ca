"""Paintings with what looks like a frame and is their own: borders, bars, fields, figures.

All randomness is a `Generator`'s.
"""

import cv2
import numpy as np
from numpy.random import Generator
from unframe_grounds import cloud, colour, painted_ground, roughness
from unframe_layers import Labelled, Pixels, clipped, whole


def bordered(painting: Pixels, rng: Generator) -> Labelled:
    """A painting with a border that the painter gave it: uneven, in paint, part of the picture."""
    height, width = painting.shape[:2]
    wide = max(height, width) * rng.uniform(0.02, 0.12)
    y, x = np.ogrid[:height, :width]
    distance = np.minimum(np.minimum(y, height - 1 - y), np.minimum(x, width - 1 - x))
    waver = cloud((height, width), int(rng.integers(4, 20)), rng) * wide * rng.uniform(0.05, 0.35)
    tone = painting.reshape(-1, 3)[rng.integers(0, height * width)].astype(np.float32)
    tone = tone + rng.normal(0, 12, 3).astype(np.float32)
    strokes = cloud((height, width), int(rng.integers(20, 150)), rng)[..., None]
    paint = tone + strokes * rng.uniform(2, 12)
    share = np.clip((wide + waver - distance) / rng.uniform(0.8, 4), 0, 1)[..., None]
    return whole(clipped((painting + share * (paint - painting)).astype(np.float32)))


def barred(rng: Generator, longest: int = 400) -> Labelled:
    """Flat fields between bars that reach the edges, the outer fields often of one pale colour."""
    height, width = (int(longest * n) for n in rng.uniform(0.6, 1, 2))
    pale = np.clip(rng.uniform(170, 252) + rng.normal(0, 6, 3), 0, 255).astype(np.float32)
    pixels = np.broadcast_to(pale, (height, width, 3)).copy()
    rows = np.sort(rng.uniform(0.03, 0.97, rng.integers(1, 6)) * height).astype(int)
    columns = np.sort(rng.uniform(0.03, 0.97, rng.integers(1, 6)) * width).astype(int)
    y, x = (0, *rows, height), (0, *columns, width)
    for _ in range(rng.integers(0, 7)):
        i, j = rng.integers(0, len(y) - 1), rng.integers(0, len(x) - 1)
        pixels[y[i] : y[i + 1], x[j] : x[j + 1]] = colour(rng)
    black = rng.uniform(5, 60)
    for place in rows:
        stop = width if rng.random() < 0.8 else columns[rng.integers(len(columns))]
        pixels[max(place - int(rng.integers(1, 9)), 0) : place, :stop] = black
    for place in columns:
        stop = height if rng.random() < 0.8 else rows[rng.integers(len(rows))]
        pixels[:stop, max(place - int(rng.integers(1, 9)), 0) : place] = black
    pixels += roughness((height, width, 1), rng) * np.float32(rng.uniform(0.5, 5))
    pixels += cloud((height, width), int(rng.integers(3, 40)), rng)[..., None] * rng.uniform(0, 5)
    return whole(clipped(pixels))


def ground_and_figures(rng: Generator, longest: int = 400) -> Labelled:
    """A plain painted ground with a few flat figures on it, one of them often large and level."""
    height, width = (int(longest * n) for n in rng.uniform(0.65, 1, 2))
    pixels = painted_ground((height, width), colour(rng), rng)
    count = int(rng.integers(1, 9))
    for number in range(count):
        is_large = number == 0 and rng.random() < 0.7
        share = rng.uniform(0.35, 0.85, 2) if is_large else rng.uniform(0.03, 0.4, 2)
        centre = rng.normal(0.5, 0.04 if is_large else 0.25, 2).clip(0.1, 0.9)
        size = (float(share[0] * width), float(share[1] * height))
        angle = float(rng.normal(0, 0.7)) if is_large else float(rng.uniform(0, 180))
        place = (float(centre[0] * width), float(centre[1] * height))
        mask = np.zeros((height, width), np.uint8)
        if rng.random() < 0.8:
            quad = cv2.boxPoints((place, size, angle)) + rng.normal(0, 1.5, (4, 2))
            cv2.fillPoly(mask, [quad.astype(np.int32)], 255, cv2.LINE_AA)
        else:
            cv2.ellipse(mask, (place, size, angle), 255, -1, cv2.LINE_AA)
        figure = painted_ground((height, width), colour(rng), rng)
        pixels += (mask[..., None] / np.float32(255)) * (figure - pixels)
    return whole(clipped(pixels))


def fields(rng: Generator, longest: int = 400) -> Labelled:
    """Fields of colour on a ground, soft or sharp: stacked, or each inside the last."""
    height, width = (int(longest * n) for n in rng.uniform(0.65, 1, 2))
    tone = colour(rng) if rng.random() < 0.5 else rng.uniform(15, 235, 3)
    pixels = painted_ground((height, width), tone, rng)
    y, x = np.ogrid[:height, :width]
    count = int(rng.integers(1, 5))
    margins = (
        rng.uniform(0.02, 0.2, 4) if rng.random() < 0.5 else np.full(4, rng.uniform(0.03, 0.2))
    )
    is_stack = rng.random() < 0.5
    waver = cloud((height, width), int(rng.integers(4, 40)), rng) * rng.uniform(0, 5)
    soft = rng.uniform(0.5, 8)
    cuts = np.sort(np.append(rng.uniform(margins[0], 1 - margins[1], count - 1), (0, 1)))
    for number in range(count):
        top, bottom, left, right = margins * (
            1 if is_stack else min(number + 1, 0.4 / margins.max())
        )
        if is_stack:
            top, bottom = max(top, cuts[number] + 0.01), max(bottom, 1.01 - cuts[number + 1])
        down = np.minimum(y - top * height, (1 - bottom) * height - y)
        across = np.minimum(x - left * width, (1 - right) * width - x)
        share = np.clip((np.minimum(down, across) + waver) / soft, 0, 1)[..., None]
        near = np.clip(tone + rng.normal(0, 60, 3), 0, 255)
        field = painted_ground((height, width), near.astype(np.float32), rng)
        pixels += share.astype(np.float32) * (field - pixels)
    return whole(clipped(pixels))


def inset(painting: Pixels, rng: Generator, longest: int = 400) -> Labelled:
    """A painting that holds a painting: a field full of things, and a few more on the ground."""
    height, width = (int(longest * n) for n in rng.uniform(0.65, 1, 2))
    pixels = painted_ground((height, width), colour(rng), rng)
    share = rng.uniform(0.5, 0.9, 2)
    y, x = (
        int(rng.uniform(0.2, 0.8) * (1 - s) * n) for s, n in zip(share, pixels.shape, strict=False)
    )
    size = (int(share[1] * width), int(share[0] * height))
    pixels[y : y + size[1], x : x + size[0]] = cv2.resize(painting, size)
    for _ in range(rng.integers(3, 14)):  # things on the ground, some across the field's edge
        start = rng.uniform(0, 1, 2) * (width, height)
        stop = start + rng.normal(0, 0.12 * longest, 2)
        tone = tuple(float(c) for c in colour(rng))
        places = [tuple(int(n) for n in place) for place in (start, stop)]
        if rng.random() < 0.5:
            cv2.line(pixels, *places, tone, int(rng.integers(1, 7)), cv2.LINE_AA)
        else:
            cv2.rectangle(pixels, *places, tone, -1)
    pixels += cloud((height, width), int(rng.integers(3, 40)), rng)[..., None] * rng.uniform(0, 4)
    return whole(clipped(pixels))
