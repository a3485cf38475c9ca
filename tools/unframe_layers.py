"""What stands around a painting in a photograph: mats, paper, mouldings, walls, captions, shadows.

Each function puts one layer around a picture and moves its box along; unframe_pictures.py makes
whole photographs of them. All randomness is a `Generator`'s.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from unframe_grounds import (
    Floats,
    cloud,
    colour,
    ground_of,
    laid,
    roughness,
    wall,
)

Pixels = NDArray[np.uint8]
Edges = tuple[float, float, float, float]  # left, top, right, bottom in pixels, end exclusive
Widths = tuple[int, int, int, int]  # top, bottom, left, right in pixels


@dataclass(frozen=True)
class Labelled:
    """An upright RGB picture (H, W, 3) and the painting's box in it."""

    pixels: Pixels
    box: Edges


def whole(pixels: Pixels) -> Labelled:
    """A picture without anything around the painting."""
    return Labelled(pixels, (0, 0, pixels.shape[1], pixels.shape[0]))


def clipped(values: Floats) -> Pixels:
    """Floats as pixels."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def surrounded(inner: Labelled, widths: Widths, ground: Floats) -> Labelled:
    """The picture on `ground` (H + top + bottom, W + left + right, 3)."""
    top, _, left, _ = widths
    height, width = inner.pixels.shape[:2]
    pixels = clipped(ground)
    pixels[top : top + height, left : left + width] = inner.pixels
    x0, y0, x1, y1 = inner.box
    return Labelled(pixels, (x0 + left, y0 + top, x1 + left, y1 + top))


def grown(inner: Labelled, widths: Widths) -> tuple[int, int]:
    """Height and width with so much around it."""
    height, width = inner.pixels.shape[:2]
    return height + widths[0] + widths[1], width + widths[2] + widths[3]


def margin(inner: Labelled, rng: Generator) -> Labelled:
    """A border of one colour, of a width of its own at each side or the same, some sides bare."""
    longest = max(inner.pixels.shape[:2])
    most = longest * rng.choice((0.02, 0.06, 0.15, 0.4), p=(0.25, 0.35, 0.25, 0.15))
    widths = rng.uniform(0.1, 1, 4) * most
    if rng.random() < 0.5:
        widths[:] = widths[0] + rng.normal(0, most / 50, 4)
    bare = rng.random()
    if bare < 0.15:
        widths[rng.choice(4, rng.integers(1, 4), replace=False)] = 0
    elif bare < 0.3:
        widths[[0, 1] if rng.random() < 0.5 else [2, 3]] = 0
    is_page = rng.random() < 0.25
    if is_page:  # more room where the words stand
        widths[rng.choice(4, p=WORDS_AT)] += longest * rng.uniform(0.02, rng.choice((0.2, 0.8)))
    t, b, le, r = (int(n) for n in np.maximum(np.rint(widths), 0))
    outer = surrounded(inner, (t, b, le, r), ground_of(grown(inner, (t, b, le, r)), rng))
    if min(t, b, le, r) > 3 and rng.random() < 0.2:
        outer = ragged(outer, rng)
    return captioned(outer, (t, b, le, r), rng) if is_page or rng.random() < 0.4 else outer


STRIPS = ((1,), (0, 1), (0,), (2, 3), (2,), (3,))  # of top, bottom, left, right
WORDS_AT = (0.1, 0.5, 0.2, 0.2)  # how often at each of them


def strips(inner: Labelled, rng: Generator) -> Labelled:
    """A plain strip at one side or at two opposite ones, often black or white: a caption's."""
    sides = STRIPS[rng.choice(len(STRIPS), p=(0.22, 0.2, 0.13, 0.15, 0.15, 0.15))]
    most = rng.choice((0.3, 0.7), p=(0.8, 0.2))
    wide = inner.pixels.shape[sides[0] // 2] * rng.uniform(0.03, most)
    sizes = [max(1, round(wide + rng.normal(0, wide / 20))) * (side in sides) for side in range(4)]
    widths = (sizes[0], sizes[1], sizes[2], sizes[3])
    shape = grown(inner, widths)
    tone = rng.choice((0, 8, 128, 200, 245, 255), p=(0.3, 0.1, 0.1, 0.1, 0.1, 0.3))
    is_plain = rng.random() < 0.7
    ground = np.full((*shape, 3), tone, np.float32) if is_plain else ground_of(shape, rng)
    outer = surrounded(inner, widths, ground)
    return captioned(outer, widths, rng) if rng.random() < 0.5 else outer


def ragged(outer: Labelled, rng: Generator) -> Labelled:
    """The painting's edge as a brush or a torn sheet leaves it: it wavers over its margin."""
    height, width = outer.pixels.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    cells, reach = int(rng.integers(6, 40)), rng.uniform(0.3, 2)
    y += cloud((height, width), cells, rng) * np.float32(reach)
    x += cloud((height, width), cells, rng) * np.float32(reach)
    moved = cv2.remap(outer.pixels, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return Labelled(np.asarray(moved, np.uint8), outer.box)


def captioned(outer: Labelled, around: Widths, rng: Generator) -> Labelled:
    """Words at one side of what is `around` the picture, where there is room for them."""
    height, width = outer.pixels.shape[:2]
    top, bottom, left, right = around
    rooms = (
        (slice(0, top), slice(0, width)),
        (slice(height - bottom, height), slice(0, width)),
        (slice(0, height), slice(0, left)),
        (slice(0, height), slice(width - right, width)),
    )
    likely = np.array(WORDS_AT) * np.where(np.array(around) > 12, around, 0)
    if not likely.any():
        return outer
    room = rooms[rng.choice(4, p=likely / likely.sum())]
    pixels = outer.pixels.copy()
    pixels[room] = written(np.ascontiguousarray(pixels[room]), rng)
    return Labelled(pixels, outer.box)


def written(page: Pixels, rng: Generator) -> Pixels:
    """Words on a page (H, W, 3): a line, a paragraph, a column of them, or a scale of colours."""
    height, width = page.shape[:2]
    if rng.random() < 0.1:
        return scaled(page, rng)
    left = int(rng.uniform(0.01, 0.15) * width)
    top = rng.uniform(0, 1) ** 2 * height * 0.8
    is_column = rng.random() < 0.35
    for _ in range(int(rng.integers(2, 9)) if is_column else 1):
        top = paragraph(page, left, top, is_column, rng)
        if is_column and rng.random() < 0.15:  # a button
            high, wide = (int(n) for n in rng.uniform((0.03, 0.2), (0.1, 0.7)) * (height, width))
            page[int(top) : int(top) + high, left : left + wide] = colour(rng)
            top += 1.5 * high
    return page


def paragraph(page: Pixels, left: int, top: float, is_full: bool, rng: Generator) -> float:
    """Some lines put on a page, black or white, whichever is seen, or grey; where they end."""
    height, width = page.shape[:2]
    size = float(rng.uniform(0.25, 0.5) * min(min(height, width) / 20, rng.choice((0.9, 1.5))))
    across, down = 18 * size, 34 * size * rng.uniform(0.8, 1.1)  # of a letter, pixels
    count = 1 if rng.random() < 0.4 else int(rng.integers(2, 40 if is_full else 13))
    count = max(1, min(count, int((height - top) / down)))
    if count == 1:
        left = int(rng.uniform(left, max(left + 1, width * 0.6)))
    letters = max(2, int((width - left) / across * rng.uniform(0.5, 1)))
    tone = 0 if page.mean() > 127 else 255
    tone = int(rng.uniform(60, 190)) if rng.random() < 0.15 else tone
    for number in range(count):
        long = max(1, int(letters * rng.uniform(0.75 if number < count - 1 else 0.2, 1)))
        words = "".join(rng.choice(list("abdeghiklmnoprstuw   |,.19"), long))
        start = (left, int(top + (number + 0.8) * down))
        cv2.putText(page, words, start, cv2.FONT_HERSHEY_SIMPLEX, size, (tone,) * 3, 1, cv2.LINE_AA)
    return top + (count + rng.uniform(0.3, 2)) * down


def scaled(page: Pixels, rng: Generator) -> Pixels:
    """A page with the patches of a scale of colours in a row along it."""
    height, width = page.shape[:2]
    count = int(rng.integers(5, 18))
    side = int(min(min(height, width) * rng.uniform(0.2, 0.7), 0.9 * max(height, width) / count))
    start = rng.uniform(0, 1, 2) * (width - side, height - side)
    along = np.array((1, 0) if width > height else (0, 1)) * side
    for place in range(count):
        x, y = (int(n) for n in start + place * along)
        page[y : y + side, x : x + side] = rng.integers(0, 256, 3)
    return page


def shadowed(inner: Labelled, rng: Generator) -> Labelled:
    """The shadow that a frame throws onto what it holds, from one or two sides."""
    height, width = inner.pixels.shape[:2]
    reach = max(height, width) * rng.uniform(0.003, 0.03)
    y, x = np.ogrid[:height, :width]
    light = np.ones((height, width), np.float32)
    distances = (y, height - 1 - y, x, width - 1 - x)
    for side in rng.choice(4, rng.integers(1, 3), replace=False):
        share = np.clip(distances[side] / (reach * rng.uniform(0.5, 1.5)), 0, 1)
        soft = share if rng.random() < 0.6 else (share >= 1).astype(np.float32)
        light = light * (1 - rng.uniform(0.2, 0.7) * (1 - soft)).astype(np.float32)
    return Labelled(clipped(inner.pixels * light[..., None]), inner.box)


def moulding(inner: Labelled, rng: Generator, share: float) -> Labelled:
    """A frame of mitred bars, `share` of the long side wide: bands of wood, gilt or paint."""
    wide = max(1, round(max(inner.pixels.shape[:2]) * share))
    shape = grown(inner, (wide,) * 4)
    y, x = np.arange(shape[0])[:, None], np.arange(shape[1])
    down, across = from_edges(shape)
    is_level = down <= across  # a bar above or below; mitred corners
    depth = np.minimum(np.minimum(down, across), wide - 1)
    profile = bands(wide, rng)
    light = rng.normal(1, rng.choice((0.02, 0.15, 0.35)), 4).clip(0.3, 1.8).astype(np.float32)
    ground = profile[depth] * lit(is_level, light)
    look = rng.random()
    if look < 0.3:  # painted, or a polished face that mirrors the painting
        other = cv2.resize(inner.pixels, shape[::-1]).astype(np.float32)
        blurred = cv2.GaussianBlur(other, (0, 0), float(rng.uniform(0.5, 6)))
        ground += rng.uniform(0.2, 0.8) * (blurred[:: rng.choice((1, -1))] - ground)
    elif look < 0.55 and wide >= 6:
        along = np.where(is_level, x, y)
        ground *= ornament(depth, along, wide, rng)[..., None]
    elif look < 0.65:  # painted by hand in the painting's own colours
        spots = cloud(shape, int(rng.integers(30, 120)), rng)[..., None]
        tone = inner.pixels.reshape(-1, 3)[rng.integers(0, inner.pixels[..., 0].size)]
        ground += np.clip(spots, 0, 1) * (tone - ground)
    if rng.random() < 0.7:
        ground *= grain(is_level, rng)[..., None]
    if wide >= 6 and rng.random() < 0.15:  # blocks in the corners
        block = (down < wide) & (across < wide)
        ground = np.where(block[..., None], colour(rng), ground)
    return surrounded(inner, (wide,) * 4, ground)


def from_edges(shape: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """How far each row (H, 1) and each column (W,) lies from the nearer edge."""
    y, x = np.arange(shape[0])[:, None], np.arange(shape[1])
    return np.minimum(y, shape[0] - 1 - y), np.minimum(x, shape[1] - 1 - x)


def lit(is_level: NDArray[np.bool_], light: Floats) -> Floats:
    """Factors (H, W, 1) of bars with a light each: above and below where level, left and right."""
    height, width = is_level.shape
    y, x = np.arange(height)[:, None], np.arange(width)
    level, upright = np.where(2 * y < height, *light[:2]), np.where(2 * x < width, *light[2:])
    return np.where(is_level, level, upright)[..., None].astype(np.float32)


def slats(inner: Labelled, rng: Generator) -> Labelled:
    """A narrow frame of plain slats behind a seam, often painted like the picture's own edge."""
    longest = max(inner.pixels.shape[:2])
    wide = max(2, round(longest * rng.uniform(0.008, 0.04)))
    seam = round(longest * rng.uniform(0, 0.006))
    around = seam + wide
    shape = grown(inner, (around,) * 4)
    edges = (inner.pixels[:3], inner.pixels[-3:], inner.pixels[:, :3], inner.pixels[:, -3:])
    own = np.median(np.concatenate([edge.reshape(-1, 3) for edge in edges]), axis=0)
    is_alike = rng.random() < 0.5
    tone = own + rng.normal(0, 8) + rng.normal(0, 3, 3) if is_alike else colour(rng)
    ground = np.broadcast_to(tone, (*shape, 3)).astype(np.float32)
    down, across = from_edges(shape)
    if rng.random() < 0.5:  # mitred corners
        is_level = down <= across
    elif rng.random() < 0.5:
        is_level = np.broadcast_to(across < around, shape)
    else:
        is_level = np.broadcast_to(down >= around, shape)
    light = rng.normal(1, rng.choice((0.01, 0.06)), 4).astype(np.float32)
    ground *= lit(is_level, light)
    if rng.random() < 0.5:
        ground *= grain(is_level, rng)[..., None]
    gap = np.minimum(down, across) >= wide
    ground[gap] *= np.float32(rng.uniform(0.1, 0.85) if rng.random() < 0.8 else 1.1)
    if rng.random() < 0.4:  # the face towards the painting, in shadow or in light
        face = np.minimum(down, across) >= wide - max(1, wide // 4)
        ground[face] *= np.float32(rng.uniform(0.6, 1.15))
    return surrounded(inner, (around,) * 4, ground)


def bands(wide: int, rng: Generator) -> Floats:
    """Colours (wide, 3) across a bar: one to four bands, each with a slope of light."""
    cuts = np.sort(rng.integers(0, wide + 1, rng.integers(0, 4)))
    profile = np.empty((wide, 3), np.float32)
    base = colour(rng)
    for start, stop in zip((0, *cuts), (*cuts, wide), strict=True):
        tone = colour(rng) if rng.random() < 0.3 else base * rng.uniform(0.5, 1.5)
        slope = np.linspace(*rng.normal(1, 0.25, 2), stop - start)[:, None]
        profile[start:stop] = tone * slope
    return profile


def ornament(depth: NDArray[np.intp], along: NDArray[np.intp], wide: int, rng: Generator) -> Floats:
    """Factors (H, W) of carved and gilded leaves: a relief that repeats along the bar."""
    period = max(4, round(wide * rng.uniform(0.4, 2.5)))
    relief = cv2.GaussianBlur(
        rng.normal(0, 1, (wide, period)).astype(np.float32), (0, 0), float(rng.uniform(0.7, 2.5))
    )
    lit = np.roll(relief, 1, 1) - relief + np.roll(relief, 1, 0) - relief
    lit = lit / (lit.std() + 1e-6) * rng.uniform(0.08, 0.4)
    lit *= np.hanning(wide + 2)[1:-1, None]
    return np.exp(lit[depth, along % period]).astype(np.float32)


def grain(is_level: NDArray[np.bool_], rng: Generator) -> Floats:
    """Factors (H, W) of wood and wear, drawn out along the bars."""
    strength, length = rng.uniform(0.02, 0.25), float(rng.uniform(0.5, 8))
    noise = roughness(is_level.shape, rng)
    along = cv2.GaussianBlur(noise, (0, 0), sigmaX=length, sigmaY=0.5)
    across = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.5, sigmaY=length)
    worn = np.where(is_level, along, across) * np.float32(strength * np.sqrt(length))
    return np.asarray(1 + worn, np.float32)


def room(inner: Labelled, rng: Generator) -> Labelled:
    """A wall around the frame: its shadow there, neighbours, furniture, the light of a lamp."""
    longest = max(inner.pixels.shape[:2])
    most = rng.choice((0.05, 0.2, 0.5, 1), p=(0.3, 0.3, 0.28, 0.12))
    widths = rng.uniform(0, most, 4)
    is_far = rng.random() < 0.12
    if is_far:  # over a sofa, a chest
        widths = rng.uniform((0.1, 0.4, 0.1, 0.1), (0.5, 1.2, 1, 1))
    t, b, le, r = (int(n) for n in widths * longest)
    shape = grown(inner, (t, b, le, r))
    ground = wall(shape, rng)
    if rng.random() < 0.3:
        y, x = (int(rng.uniform(0, 0.95) * n) for n in shape)
        ground[y : y + longest // 15, x : x + longest // 12] = colour(rng)
    if rng.random() < 0.3:  # a ledge, a floor, another wall
        ground[int(shape[0] * rng.uniform(0.8, 1)) :] = colour(rng)
    if rng.random() < 0.25:
        neighbours(ground, inner.pixels, (t, b, le, r), rng)
    if rng.random() < 0.5:
        shade = np.zeros(shape, np.float32)
        down, across = (int(n) for n in rng.normal(0, 0.02 * longest, 2))
        y, x = max(t + down, 0), max(le + across, 0)
        shade[y : t + down + inner.pixels.shape[0], x : le + across + inner.pixels.shape[1]] = 1
        shade = cv2.GaussianBlur(shade, (0, 0), float(longest * rng.uniform(0.002, 0.03)))
        ground *= 1 - rng.uniform(0.2, 0.7) * shade[..., None]
    if is_far or rng.random() < 0.2:
        furnish(ground, shape[0] - b, rng)
    return surrounded(inner, (t, b, le, r), ground)


def neighbours(ground: Floats, pixels: Pixels, around: Widths, rng: Generator) -> None:
    """Other pictures on the wall, on the sides where there is room, cut off by the photograph."""
    height, width = ground.shape[:2]
    for side in range(4):
        gap = int(around[side] * rng.uniform(0.2, 0.7))
        if rng.random() < 0.5 or around[side] - gap < 8:
            continue
        deep = around[side] - gap
        along = (width if side < 2 else height) * rng.uniform(0.1, 0.7)
        start = int(rng.uniform(0, (width if side < 2 else height) - along))
        size = (deep, int(along)) if side < 2 else (int(along), deep)
        rim = rng.integers(0, max(2, min(size) // 8))
        other = np.empty((*size, 3), np.float32)
        other[:] = colour(rng)
        inside = (max(1, size[0] - 2 * rim), max(1, size[1] - 2 * rim))
        seen = cv2.resize(pixels[:, ::-1], inside[::-1], interpolation=cv2.INTER_AREA)
        other[rim : rim + inside[0], rim : rim + inside[1]] = recast(seen, rng)
        y = 0 if side == 0 else height - deep if side == 1 else start
        x = 0 if side == 2 else width - deep if side == 3 else start
        ground[y : y + size[0], x : x + size[1]] = other


def recast(pixels: Pixels, rng: Generator) -> Floats:
    """In other colours: channels exchanged, some turned to their opposite."""
    mixed = pixels[..., rng.permutation(3)].astype(np.float32)
    return np.where(rng.random(3) < 0.3, 255 - mixed, mixed).astype(np.float32)


def furnish(ground: Floats, below: int, rng: Generator) -> None:
    """A floor, a sofa, a chest, a table before the wall: boxes that begin under `below`.

    They have soft folds, parts with a seam between them, and cushions or things in front.
    """
    height, width = ground.shape[:2]
    if height - below < 12:
        return
    if rng.random() < 0.5:
        floor = ground[int(below + (height - below) * rng.uniform(0.5, 0.95)) :]
        floor[:] = colour(rng)
        floor *= laid((floor.shape[1], len(floor)), rng).T[..., None] if len(floor) > 8 else 1
    for _ in range(rng.integers(1, 4)):
        top = int(below + (height - below) * rng.uniform(0.05, 0.7))
        start, stop = np.sort(rng.uniform(-0.1, 1.1, 2).clip(0, 1) * width).astype(int)
        if stop - start < 8:
            continue
        end = height if rng.random() < 0.5 else int(rng.uniform(top, height)) + 4
        part = ground[top:end, start:stop]
        shape = (part.shape[0], part.shape[1])
        tone = colour(rng)
        folds = cloud(shape, int(rng.integers(2, 12)), rng)[..., None] * rng.uniform(2, 20)
        part[:] = tone + folds
        for _ in range(rng.integers(0, 4)):
            cushion = (rng.uniform(0.2, 0.8, 2) * shape).astype(int)
            y, x = (int(n) for n in rng.uniform(0, 1, 2) * (np.array(shape) - cushion))
            near = tone * rng.uniform(0.8, 1.2) if rng.random() < 0.5 else colour(rng)
            part[y : y + cushion[0], x : x + cushion[1]] = near
        for place in rng.uniform(0, 1, rng.integers(0, 5)):
            part[:, int(place * shape[1]) :][:, : int(rng.integers(1, 4))] *= 0.6


def shaped(painting: Pixels, rng: Generator) -> Labelled:
    """An oval or a lozenge on a ground: the box is the shape's own."""
    height, width = painting.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    centre = (width // 2, height // 2)
    if rng.random() < 0.5:
        cv2.ellipse(mask, centre, centre, 0, 0, 360, 255, -1, cv2.LINE_AA)
    else:
        side = min(height, width)
        painting = np.ascontiguousarray(painting[:side, :side])
        corners = np.array([(side // 2, 0), (side - 1, side // 2), (side // 2, side - 1)])
        mask = np.zeros((side, side), np.uint8)
        cv2.fillPoly(mask, [np.vstack([corners, (0, side // 2)])], 255, cv2.LINE_AA)
    t, b, le, r = (int(n) for n in rng.uniform(0, rng.choice((0.02, 0.1)), 4) * max(mask.shape))
    shape = grown(whole(painting), (t, b, le, r))
    ground = ground_of(shape, rng)
    inside = (slice(t, t + mask.shape[0]), slice(le, le + mask.shape[1]))
    share = mask[..., None] / np.float32(255)
    ground[inside] += share * (painting - ground[inside])
    return Labelled(clipped(ground), (le, t, le + mask.shape[1], t + mask.shape[0]))
