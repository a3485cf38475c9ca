"""Photographs of framed paintings, made from paintings: what tools/fit_unframe.py learns from.

Three kinds, each with the box of the painting: synthetic frames, real frames with another painting
in them, and real photographs cropped, turned and recoloured. All randomness is a `Generator`'s.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Edges = tuple[float, float, float, float]  # left, top, right, bottom in pixels, end exclusive
Widths = tuple[int, int, int, int]  # top, bottom, left, right in pixels

WORKING = 512  # long side of the paintings that are framed, pixels


@dataclass(frozen=True)
class Labelled:
    """An upright RGB picture (H, W, 3) and the painting's box in it."""

    pixels: Pixels
    box: Edges


def shrunk(pixels: Pixels, longest: int = WORKING) -> Pixels:
    """A copy of at most `longest` pixels on its long side."""
    scale = min(1.0, longest / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def whole(pixels: Pixels) -> Labelled:
    """A picture without anything around the painting."""
    return Labelled(pixels, (0, 0, pixels.shape[1], pixels.shape[0]))


# --- layers: each one puts something around a picture -------------------------------------------


def colour(rng: Generator) -> NDArray[np.float32]:
    """What mats, walls and mouldings are painted in: mostly white, black, grey, wood or gold."""
    kind = rng.choice(5, p=(0.35, 0.2, 0.2, 0.15, 0.1))
    tint = rng.normal(0, 4, 3)
    if kind == 0:
        base = rng.uniform(225, 255) + tint * rng.integers(2)
    elif kind == 1:
        base = rng.uniform(0, 45) + tint * rng.integers(2)
    elif kind == 2:
        base = rng.uniform(40, 225) + tint
    elif kind == 3:
        base = rng.uniform(0.25, 1) * np.array((200, 160, 105)) + 3 * tint
    else:
        base = rng.uniform(20, 235, 3)
    return np.clip(base, 0, 255).astype(np.float32)


def clipped(values: NDArray[np.float32]) -> Pixels:
    """Floats as pixels."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def surrounded(inner: Labelled, widths: Widths, ground: NDArray[np.float32]) -> Labelled:
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


def flat(shape: tuple[int, int], rng: Generator) -> NDArray[np.float32]:
    """One colour (H, W, 3), often with a slope of light and a little grain."""
    ground = np.broadcast_to(colour(rng), (*shape, 3)).astype(np.float32)
    if rng.random() < 0.4:
        down, across = rng.normal(0, 0.1, 2)
        y, x = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
        ground *= (1 + down * y + across * x)[..., None].astype(np.float32)
    if rng.random() < 0.5:
        ground += rng.normal(0, rng.uniform(0.5, 5), (*shape, 1)).astype(np.float32)
    return ground


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
    if rng.random() < 0.2:  # a page: more room where the caption stands
        widths[1] += longest * rng.uniform(0.02, 0.12)
    t, b, le, r = np.maximum(np.rint(widths), 0).astype(int)
    outer = surrounded(inner, (t, b, le, r), flat(grown(inner, (t, b, le, r)), rng))
    return captioned(outer, int(b), rng) if b > 12 and rng.random() < 0.5 else outer


def captioned(outer: Labelled, room: int, rng: Generator) -> Labelled:
    """Words below the painting, in `room` pixels, black or white, whichever is seen."""
    pixels = outer.pixels.copy()
    height, width = pixels.shape[:2]
    words = "".join(rng.choice(list("abdeghiklmnoprstuw   |,.19"), rng.integers(3, 40)))
    ink = (0, 0, 0) if pixels[-room // 2].mean() > 127 else (255, 255, 255)
    size = rng.uniform(0.25, 0.5) * min(room / 20, 2)
    start = (int(rng.uniform(0, 0.6) * width), height - int(room * rng.uniform(0.2, 0.6)))
    cv2.putText(pixels, words, start, cv2.FONT_HERSHEY_SIMPLEX, size, ink, 1, cv2.LINE_AA)
    return Labelled(pixels, outer.box)


def moulding(inner: Labelled, rng: Generator, share: float) -> Labelled:
    """A frame of mitred bars, `share` of the long side wide: bands of wood, gilt or paint."""
    wide = max(1, round(max(inner.pixels.shape[:2]) * share))
    shape = grown(inner, (wide,) * 4)
    y, x = np.ogrid[: shape[0], : shape[1]]
    reach = np.stack(np.broadcast_arrays(y, shape[0] - 1 - y, x, shape[1] - 1 - x))
    depth, side = np.minimum(reach.min(0), wide - 1), reach.argmin(0)
    profile = bands(wide, rng)
    light = rng.normal(1, rng.choice((0.02, 0.15, 0.35)), 4).clip(0.3, 1.8).astype(np.float32)
    ground = profile[depth] * light[side][..., None]
    if rng.random() < 0.3:  # painted, or a polished face that mirrors the painting
        other = cv2.resize(inner.pixels, shape[::-1]).astype(np.float32)
        blurred = cv2.GaussianBlur(other, (0, 0), float(rng.uniform(0.5, 6)))
        ground += rng.uniform(0.2, 0.8) * (blurred[:: rng.choice((1, -1))] - ground)
    if rng.random() < 0.7:
        ground *= grain(shape, side, rng)[..., None]
    return surrounded(inner, (wide,) * 4, ground)


def bands(wide: int, rng: Generator) -> NDArray[np.float32]:
    """Colours (wide, 3) across a bar: one to four bands, each with a slope of light."""
    cuts = np.sort(rng.integers(0, wide + 1, rng.integers(0, 4)))
    profile = np.empty((wide, 3), np.float32)
    base = colour(rng)
    for start, stop in zip((0, *cuts), (*cuts, wide), strict=True):
        tone = colour(rng) if rng.random() < 0.3 else base * rng.uniform(0.5, 1.5)
        slope = np.linspace(*rng.normal(1, 0.25, 2), stop - start)[:, None]
        profile[start:stop] = tone * slope
    return profile


def grain(shape: tuple[int, int], side: NDArray[np.intp], rng: Generator) -> NDArray[np.float32]:
    """Factors (H, W) of wood and wear, drawn out along the bars."""
    strength, length = rng.uniform(0.02, 0.25), float(rng.uniform(0.5, 8))
    noise = rng.normal(0, strength, (2, *shape)).astype(np.float32)
    along = cv2.GaussianBlur(noise[0], (0, 0), sigmaX=length, sigmaY=0.5)
    across = cv2.GaussianBlur(noise[1], (0, 0), sigmaX=0.5, sigmaY=length)
    return 1 + np.sqrt(length) * np.where(side < 2, along, across)


def room(inner: Labelled, rng: Generator) -> Labelled:
    """A wall around the frame, perhaps with a label on it, and the light of a lamp."""
    longest = max(inner.pixels.shape[:2])
    most = rng.choice((0.05, 0.2, 0.5))
    t, b, le, r = (int(n) for n in rng.uniform(0, most, 4) * longest)
    shape = grown(inner, (t, b, le, r))
    ground = flat(shape, rng)
    if rng.random() < 0.3:
        y, x = (int(rng.uniform(0, 0.95) * n) for n in shape)
        ground[y : y + longest // 15, x : x + longest // 12] = colour(rng)
    if rng.random() < 0.3:  # a ledge, a floor, another wall
        ground[int(shape[0] * rng.uniform(0.8, 1)) :] = colour(rng)
    return surrounded(inner, (t, b, le, r), ground)


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
    ground = flat(shape, rng)
    inside = (slice(t, t + mask.shape[0]), slice(le, le + mask.shape[1]))
    share = mask[..., None] / np.float32(255)
    ground[inside] += share * (painting - ground[inside])
    return Labelled(clipped(ground), (le, t, le + mask.shape[1], t + mask.shape[0]))


# --- whole photographs ---------------------------------------------------------------------------


def framed(painting: Pixels, rng: Generator) -> Labelled:
    """A photograph of the painting in something: border, mat, frame, wall."""
    kind = rng.choice(6, p=(0.28, 0.28, 0.12, 0.12, 0.08, 0.12))
    picture = whole(painting)
    if kind == 5:
        return photographed(shaped(painting, rng), rng)
    if kind in (1, 2, 3) and rng.random() < 0.4:
        picture = moulding(picture, rng, rng.uniform(0.002, 0.012))  # a lip, a gap, a shadow
    if kind in (2, 4) or (kind == 0 and rng.random() < 0.2):
        picture = margin(picture, rng)
    if kind in (1, 2, 3, 4):
        for _ in range(rng.integers(1, 4)):
            picture = moulding(picture, rng, rng.uniform(0.008, 0.06))
    if kind == 3 or (kind in (1, 2) and rng.random() < 0.2):
        picture = room(picture, rng)
    if kind in (0, 4) or rng.random() < 0.1:
        picture = margin(picture, rng)
    return photographed(picture, rng)


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
    return photographed(whole(np.ascontiguousarray(painting[y : y + h, x : x + w])), rng)
