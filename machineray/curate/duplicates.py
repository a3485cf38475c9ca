"""Near-duplicates among measured pictures, mirrored ones too, 10,000 in seconds.

Two pictures show the same painting when three witnesses agree, all of one orientation: phash,
dhash and the hues. Measured on 524 labelled paintings (426 of them are a test): scans of one
painting differ by up to 64 bits of phash and 62 of dhash; different paintings that are close in
one hash (compositions by Mondrian: 54 bits) are apart in the other (77). Hues tell a black square
from a red one; a colour cast of the whole scan does not count, unless it is a different colour.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from machineray.curate.hashes import HASH_SIDE, HUE_SIDE

BITS = HASH_SIDE * HASH_SIDE
MAX_BITS = 66  # of 256, in each of the two hashes
MAX_HUE = 12.0  # mean difference of Cb and Cr, the cast taken off, of 255
MAX_CAST = 40.0  # mean difference of the whole picture's Cb and Cr, of 255
GREY = 1.0  # mean distance from no colour at all below which a scan is black and white
BLOCK = 256  # rows compared at a time: bounds the memory at about BLOCK * 10,000 * 4 bytes

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Looks:
    """N pictures in one orientation: hashes as (N, 256) of -1 and 1, hues as (N, 8, 8, 2)."""

    phash: Floats
    dhash: Floats
    hues: Floats

    def __getitem__(self, which: slice | NDArray[np.intp]) -> "Looks":
        return Looks(self.phash[which], self.dhash[which], self.hues[which])


def duplicate_of(rows: Sequence[Mapping[str, Any]]) -> list[int | None]:
    """Rows as `measure` gives them, the best first -> for each the earlier row it repeats.

    A row is compared with those only that repeat nothing themselves, so that a chain of little
    changes does not lead from one painting to another.
    """
    plain, mirrored = _looks(rows, ""), _looks(rows, "_mirrored")
    found: list[int | None] = [None] * len(rows)
    kept: NDArray[np.intp] = np.empty(0, np.intp)
    for start in range(0, len(rows), BLOCK):
        block = np.arange(start, min(start + BLOCK, len(rows)))
        for row, original in _first_matches(plain[block], plain[kept], mirrored[kept]):
            found[start + row] = int(kept[original])
        rest = np.array([row for row in block if found[row] is None], np.intp)
        within = _matches(plain[rest], plain[rest], mirrored[rest])
        for position, row in enumerate(rest):
            earlier = [
                i for i in np.flatnonzero(within[position, :position]) if found[rest[i]] is None
            ]
            if earlier:
                found[row] = int(rest[earlier[0]])
        kept = np.append(kept, [row for row in rest if found[row] is None]).astype(np.intp)
    return found


def _first_matches(block: Looks, plain: Looks, mirrored: Looks) -> list[tuple[int, int]]:
    matches = _matches(block, plain, mirrored)
    return [(int(row), int(np.argmax(matches[row]))) for row in np.flatnonzero(matches.any(1))]


def _matches(these: Looks, plain: Looks, mirrored: Looks) -> NDArray[np.bool_]:
    """(N pictures, M pictures in both orientations) -> (N, M) whether they are the same."""
    same = np.zeros((len(these.phash), len(plain.phash)), np.bool_)
    agree = BITS - 2 * MAX_BITS  # the product of two hashes of -1 and 1 = 256 - 2 * differing
    for those in (plain, mirrored):
        i, j = np.nonzero(these.phash @ those.phash.T >= agree)
        close = np.einsum("nb,nb->n", these.dhash[i], those.dhash[j]) >= agree
        i, j = i[close], j[close]
        same[i, j] |= _same_hues(these.hues[i], those.hues[j])
    return same


def _same_hues(one: Floats, other: Floats) -> NDArray[np.bool_]:
    difference = one - other
    cast = difference.mean((1, 2), keepdims=True)
    residual = np.abs(difference - cast).mean((1, 2, 3))
    same = (residual <= MAX_HUE) & (np.abs(cast).mean((1, 2, 3)) <= MAX_CAST)
    is_grey = [np.abs(hues - 128).mean((1, 2, 3)) <= GREY for hues in (one, other)]
    # A black and white photograph of a painting repeats it.
    return np.asarray(same | is_grey[0] | is_grey[1])


def _looks(rows: Sequence[Mapping[str, Any]], orientation: str) -> Looks:
    hues = _bytes(rows, "hues").reshape(-1, HUE_SIDE, HUE_SIDE, 2).astype(np.float32)
    return Looks(
        _signs(_bytes(rows, "phash" + orientation)),
        _signs(_bytes(rows, "dhash" + orientation)),
        hues[:, :, ::-1] if orientation else hues,
    )


def _bytes(rows: Sequence[Mapping[str, Any]], column: str) -> NDArray[np.uint8]:
    data = np.frombuffer(bytes.fromhex("".join(row[column] for row in rows)), np.uint8)
    return data.reshape(len(rows), -1) if rows else data.reshape(0, 0)


def _signs(hashes: NDArray[np.uint8]) -> Floats:
    bits = np.unpackbits(hashes, axis=1) if len(hashes) else np.zeros((0, BITS), np.uint8)
    return bits.astype(np.float32) * 2 - 1
