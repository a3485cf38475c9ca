"""Photographs of framed paintings, made from paintings: what tools/fit_unframe.py learns from.

Three kinds, each with the box of the painting: synthetic frames, real frames with another painting
in them, and real photographs cropped, turned and recoloured. All randomness is a `Generator`'s.
"""

import cv2
import numpy as np
from numpy.random import Generator
from unframe_grounds import colour
from unframe_layers import (
    Edges,
    Labelled,
    Pixels,
    clipped,
    margin,
    moulding,
    room,
    shadowed,
    shaped,
    slats,
    strips,
    whole,
)
from unframe_lookalikes import barred, bordered, fields, ground_and_figures, inset

WORKING = 352  # long side of the paintings that are framed, pixels


def shrunk(pixels: Pixels, longest: int = WORKING) -> Pixels:
    """A copy of at most `longest` pixels on its long side."""
    scale = min(1.0, longest / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def framed(painting: Pixels, rng: Generator) -> Labelled:
    """A photograph of the painting in something: border, mat, frame, wall."""
    kind = rng.choice(7, p=(0.26, 0.27, 0.12, 0.13, 0.08, 0.08, 0.06))
    picture = whole(painting)
    if kind == 5:
        picture = shaped(painting, rng)
        if rng.random() < 0.5:  # an oval in its mat, framed
            picture = moulding(picture, rng, rng.uniform(0.01, 0.08))
        return photographed(picture, rng)
    if rng.random() < 0.1:
        picture = bordered(painting, rng)
    if kind and rng.random() < 0.35:
        picture = shadowed(picture, rng)
    if kind in (1, 2, 3) and rng.random() < 0.4:
        picture = moulding(picture, rng, rng.uniform(0.002, 0.02))  # a lip, a gap, a bevel
    if kind == 6 or (kind in (1, 2) and rng.random() < 0.1):
        picture = slats(picture, rng)
    if kind in (2, 4) or (kind == 0 and rng.random() < 0.2):
        picture = margin(picture, rng)
        if rng.random() < 0.3:
            picture = moulding(picture, rng, rng.uniform(0.002, 0.008))
        if kind == 2 and rng.random() < 0.3:
            picture = shadowed(picture, rng)
    if kind in (1, 2, 3, 4):
        for _ in range(rng.integers(1, 4)):
            most = rng.choice((0.06, 0.14), p=(0.8, 0.2))
            picture = moulding(picture, rng, rng.uniform(0.008, most))
    if kind == 3 or (kind in (1, 2, 6) and rng.random() < (0.6 if kind == 6 else 0.2)):
        picture = room(picture, rng)
    if kind in (0, 4) or rng.random() < 0.1:
        picture = margin(picture, rng)
    return photographed(picture, rng)


def confusing(painting: Pixels, rng: Generator) -> Labelled:
    """A painting with lines of its own that look like a frame's, alone or in a frame."""
    kind = rng.choice(3, p=(0.45, 0.35, 0.2))
    own = (inset(painting, rng), ground_and_figures(rng), fields(rng))[kind]
    return photographed(own, rng) if rng.random() < 0.7 else framed(own.pixels, rng)


def stripped(painting: Pixels, rng: Generator) -> Labelled:
    """A painting with a plain strip or two, as a file or as a photograph."""
    picture = strips(whole(painting), rng)
    return photographed(picture, rng) if rng.random() < 0.4 else picture


def photographed(picture: Labelled, rng: Generator) -> Labelled:
    """Seen by a camera: not quite straight, not evenly lit, not sharp, stored as JPEG."""
    if rng.random() < 0.5:
        picture = tilted(picture, rng)
    if rng.random() < 0.3:
        picture = closer(picture, rng)
    pixels = picture.pixels
    if rng.random() < 0.3:
        y, x = np.ogrid[-1 : 1 : pixels.shape[0] * 1j, -1 : 1 : pixels.shape[1] * 1j]
        lamp = 1 - rng.uniform(0, 0.4) * ((x - rng.normal(0, 0.3)) ** 2 + y**2)
        pixels = clipped((pixels * lamp[..., None]).astype(np.float32))
    if rng.random() < 0.4:
        pixels = cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.3, 1.2)))
    if rng.random() < 0.6:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 96))]
        pixels = cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], cv2.IMREAD_COLOR)
    return Labelled(np.asarray(pixels, np.uint8), picture.box)


def tilted(picture: Labelled, rng: Generator) -> Labelled:
    """Turned and seen askew by a little; the box goes through the middles of the four edges."""
    height, width = picture.pixels.shape[:2]
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    strength = rng.choice((0.003, 0.01, 0.03), p=(0.6, 0.3, 0.1))
    moved = corners + rng.normal(0, strength * max(height, width), (4, 2)).astype(np.float32)
    warp = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    edge = rng.choice((cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT), p=(0.7, 0.3))
    fill = tuple(float(c) for c in colour(rng))
    pixels = cv2.warpPerspective(
        picture.pixels, warp, (width, height), borderMode=int(edge), borderValue=fill
    )
    x0, y0, x1, y1 = picture.box
    quad = np.array([[(x0, y0), (x1, y0), (x1, y1), (x0, y1)]], np.float32)
    (a, b), (c, d), (e, f), (g, h) = cv2.perspectiveTransform(quad, warp)[0]
    box = ((a + g) / 2, (b + d) / 2, (c + e) / 2, (f + h) / 2)
    return Labelled(pixels, inside(box, width, height))


def inside(box: Edges, width: int, height: int) -> Edges:
    """The part of a box that lies in the picture."""
    left, top, right, bottom = (float(edge) for edge in box)
    return max(left, 0), max(top, 0), min(right, width), min(bottom, height)


def closer(picture: Labelled, rng: Generator) -> Labelled:
    """Cropped somewhere in what is around the painting, now and then up to or into it."""
    height, width = picture.pixels.shape[:2]
    left, top, right, bottom = picture.box
    around = np.array((left, top, width - right, height - bottom))
    share = rng.uniform(0, 1.0, 4) * (rng.random(4) < 0.5)
    into = (rng.random(4) < 0.1) * (0.02 * max(height, width) + 1)
    x0, y0, x1, y1 = (int(n) for n in np.where(into > 0, around + into, around * share))
    pixels = np.ascontiguousarray(picture.pixels[y0 : height - y1, x0 : width - x1])
    moved = (left - x0, top - y0, right - x0, bottom - y0)
    return Labelled(pixels, inside(moved, pixels.shape[1], pixels.shape[0]))


def hung(photograph: Labelled, painting: Pixels, rng: Generator) -> Labelled:
    """A real frame, stretched and recoloured, with another painting in it."""
    x0, y0, x1, y1 = (round(edge) for edge in photograph.box)
    size = (max(8, x1 - x0), max(8, y1 - y0))
    pixels = recoloured(photograph.pixels, rng)
    pixels[y0 : y0 + size[1], x0 : x0 + size[0]] = cv2.resize(
        painting, size, interpolation=cv2.INTER_AREA
    )[: pixels.shape[0] - y0, : pixels.shape[1] - x0]
    return photographed(stretched(Labelled(pixels, photograph.box), rng), rng)


def stretched(picture: Labelled, rng: Generator) -> Labelled:
    """Of another shape: the sides by 0.8 to 1.25, turned and mirrored."""
    height, width = picture.pixels.shape[:2]
    across, down = np.exp(rng.uniform(-0.22, 0.22, 2))
    size = (max(32, round(width * across)), max(32, round(height * down)))
    pixels = cv2.resize(picture.pixels, size, interpolation=cv2.INTER_AREA)
    across, down = size[0] / width, size[1] / height
    left, top, right, bottom = picture.box
    left, top, right, bottom = left * across, top * down, right * across, bottom * down
    if rng.random() < 0.5:
        pixels, left, right = pixels[:, ::-1], size[0] - right, size[0] - left
    if rng.random() < 0.5:
        pixels = pixels.transpose(1, 0, 2)
        left, top, right, bottom = top, left, bottom, right
    return Labelled(np.ascontiguousarray(pixels), (left, top, right, bottom))


def recoloured(pixels: Pixels, rng: Generator) -> Pixels:
    """A copy in other light: gamma, gain and the mix of channels."""
    values = (pixels / np.float32(255)) ** np.float32(np.exp(rng.normal(0, 0.25)))
    mix = np.eye(3) + rng.normal(0, 0.08, (3, 3))
    values = values @ mix.T.astype(np.float32) * np.float32(rng.uniform(0.8, 1.15))
    return clipped(values * 255)


def varied(photograph: Labelled, rng: Generator) -> Labelled:
    """A real photograph in other light, of another shape, closer."""
    other = Labelled(recoloured(photograph.pixels, rng), photograph.box)
    return photographed(stretched(other, rng), rng)


def part(painting: Pixels, rng: Generator) -> Labelled:
    """A piece of a painting, or all of it, as a picture without frame."""
    height, width = painting.shape[:2]
    share = rng.uniform(0.5, 1, 2)
    h, w = int(height * share[0]), int(width * share[1])
    y, x = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
    piece = np.ascontiguousarray(painting[y : y + h, x : x + w])
    return photographed(whole(recoloured(piece, rng)), rng)


def unframed(painting: Pixels, rng: Generator) -> Labelled:
    """A picture without frame of any kind: a piece, one with a painted border, flat fields."""
    kind = rng.choice(4, p=(0.56, 0.18, 0.18, 0.08))
    if kind == 0:
        return part(painting, rng)
    return photographed((bordered(painting, rng), barred(rng), fields(rng))[kind - 1], rng)
