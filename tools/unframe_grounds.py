"""Grounds for made photographs of paintings: colours, paper, walls, painted fields.

All randomness is a `Generator`'s; tones are 0..255.
"""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def colour(rng: Generator) -> Floats:
    """What mats, walls and mouldings are painted in: mostly white, black, grey, wood or gold."""
    kind = rng.choice(6, p=(0.3, 0.2, 0.18, 0.14, 0.08, 0.1))
    tint = rng.normal(0, 4, 3)
    if kind == 0:
        base = rng.uniform(225, 255) + tint * rng.integers(2)
    elif kind == 1:
        base = rng.uniform(0, 45) + tint * rng.integers(2)
    elif kind == 2:
        base = rng.uniform(40, 225) + tint
    elif kind == 3:  # wood
        base = rng.uniform(0.25, 1) * np.array((200, 160, 105)) + 3 * tint
    elif kind == 4:  # gold
        base = rng.uniform(0.5, 1) * np.array((235, 195, 110)) + 2 * tint
    else:
        base = rng.uniform(20, 235, 3)
    return np.clip(base, 0, 255).astype(np.float32)


def cloud(shape: tuple[int, int], cells: int, rng: Generator) -> Floats:
    """Smooth noise (H, W) of mean 0 and deviation about 1, `cells` to the long side."""
    scale = cells / max(shape)
    size = (max(2, round(shape[1] * scale)), max(2, round(shape[0] * scale)))
    coarse = rng.normal(0, 1.3, size[::-1]).astype(np.float32)
    return np.asarray(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def roughness(shape: tuple[int, ...], rng: Generator) -> Floats:
    """Noise (H, W) of mean 0 and deviation 1, pixel by pixel."""
    return rng.standard_normal(shape, np.float32)


def flat(shape: tuple[int, int], rng: Generator) -> Floats:
    """One colour (H, W, 3), often with a slope of light and a little grain."""
    ground = np.broadcast_to(colour(rng), (*shape, 3)).astype(np.float32)
    if rng.random() < 0.4:
        down, across = rng.normal(0, 0.1, 2)
        y, x = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
        ground *= (1 + down * y + across * x)[..., None].astype(np.float32)
    if rng.random() < 0.5:
        ground += roughness((*shape, 1), rng) * np.float32(rng.uniform(0.5, 5))
    return ground


def paper(shape: tuple[int, int], rng: Generator) -> Floats:
    """Old paper or board (H, W, 3): yellowed in clouds, foxed in spots."""
    sheet = np.array((244, 236, 216), np.float32) * np.float32(rng.uniform(0.7, 1.03))
    age = np.array((4, 7, 14), np.float32) * np.float32(rng.uniform(0.2, 1.5))
    ground = sheet - cloud(shape, int(rng.integers(2, 9)), rng)[..., None] * age
    ground += roughness((*shape, 1), rng) * np.float32(rng.uniform(0.5, 4))
    if rng.random() < 0.4:
        spots = np.clip(cloud(shape, int(rng.integers(30, 90)), rng) - 2.2, 0, 1)
        ground -= spots[..., None] * np.array((40, 60, 80), np.float32)
    return ground


def ground_of(shape: tuple[int, int], rng: Generator) -> Floats:
    """What a margin is made of."""
    return paper(shape, rng) if rng.random() < 0.2 else flat(shape, rng)


def wall(shape: tuple[int, int], rng: Generator) -> Floats:
    """What a frame hangs on (H, W, 3): plain, rough, laid in bricks or boards, or papered."""
    kind = rng.choice(4, p=(0.5, 0.15, 0.2, 0.15))
    if kind == 0:
        return flat(shape, rng)
    ground = np.broadcast_to(colour(rng), (*shape, 3)).astype(np.float32)
    if kind == 1:  # plaster, concrete
        for cells in (3, 12, 60):
            ground += cloud(shape, cells, rng)[..., None] * np.float32(rng.uniform(1, 7))
        return ground
    factors = laid(shape, rng) if kind == 2 else papered(shape, rng)
    ground *= factors[..., None]
    return ground + roughness((*shape, 1), rng) * np.float32(rng.uniform(0.5, 4))


def laid(shape: tuple[int, int], rng: Generator) -> Floats:
    """Factors (H, W) of bricks, or of upright boards or stripes, with a seam or without."""
    wide = max(4, int(max(shape) * rng.uniform(0.02, 0.12)))
    is_brick = rng.random() < 0.5
    high = max(3, int(wide * rng.uniform(0.25, 0.5))) if is_brick else shape[0]
    y, x = np.ogrid[: shape[0], : shape[1]]
    course = y // high
    x = x + course % 2 * (wide // 2)
    piece = x // wide
    if not is_brick and rng.random() < 0.4:  # stripes: two tones in turn
        return np.where(piece % 2, 1, rng.uniform(0.75, 1.25)).astype(np.float32) + 0 * y
    tones = rng.normal(1, rng.uniform(0.02, 0.12), (course.max() + 1, piece.max() + 1))
    seam = max(1, int(min(wide, high) * rng.uniform(0.04, 0.14)))
    is_seam = (x % wide < seam) | ((y % high < seam) & is_brick)
    factors = np.where(is_seam, rng.uniform(0.5, 1.4), tones[course, piece])
    length = float(rng.uniform(2, 20))  # of the grain
    noise = cv2.GaussianBlur(roughness(shape, rng), (0, 0), sigmaX=0.7, sigmaY=length)
    return (factors * (1 + noise * rng.uniform(0.02, 0.15) * length**0.5)).astype(np.float32)


def papered(shape: tuple[int, int], rng: Generator) -> Floats:
    """Factors (H, W) of a figure that comes again and again, mirrored: wallpaper, damask."""
    long = max(8, int(max(shape) * rng.uniform(0.04, 0.2)))
    size = (long, max(8, int(long * rng.uniform(0.5, 1))))
    figure = np.tanh(3 * cloud(size, int(rng.integers(3, 9)), rng)) * rng.uniform(0.04, 0.2)
    figure = np.hstack([figure, figure[:, ::-1]])
    y, x = np.ogrid[: shape[0], : shape[1]]
    x = x + y // size[0] % 2 * (size[1] if rng.random() < 0.5 else 0)
    return (1 + figure[y % size[0], x % (2 * size[1])]).astype(np.float32)


def painted_ground(shape: tuple[int, int], tone: Floats, rng: Generator) -> Floats:
    """A colour (H, W, 3) put on by hand: clouds of it, the strokes, the cloth below."""
    strokes = cloud(shape, int(rng.integers(20, 150)), rng) * rng.uniform(0.5, 6)
    strokes += cloud(shape, int(rng.integers(2, 9)), rng) * rng.uniform(0, 6)
    strokes += roughness(shape, rng) * np.float32(rng.uniform(0.5, 4))
    return np.asarray(tone + strokes[..., None], np.float32)
