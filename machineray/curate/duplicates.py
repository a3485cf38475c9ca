"""Near-duplicates among pictures: mirrored, with a frame and without one, 100,000 at a time.

Two pictures show the same painting when a view of one and the whole of the other agree in three
witnesses: phash, dhash and the hues. Measured on 426 labelled paintings (a test): scans of one
painting differ by up to 40 bits of phash and of dhash; different paintings that are close in
one hash (compositions by Mondrian: 54 bits) are apart in the other (77). Plain shapes on a plain
ground are close in both, from 42 bits on, whatever their colours: so these have to agree the more
the farther apart the hashes are. A colour cast of the whole scan is no other colour, if it is weak.

No two pictures are compared unless they share a band: 18 of the 61 lowest frequencies' signs,
all alike (locality-sensitive hashing; Indyk & Motwani 1998). There are 128 bands, looked at one by
one: of two views whose signs differ in a fifth of the places, one pair in ten shares none.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from machineray.curate.hashes import HASH_BYTES, HASH_SIDE, HUE_SIDE, VIEWS, Bytes

MAX_BITS = 66  # of 256, in each of the two hashes: views in a mat or a frame are so far apart
CLOSE_BITS = 40  # so close are whole scans of one painting
# Of Cb and Cr, of 255. The first holds up to CLOSE_BITS; the second beyond, a cast's at MAX_BITS.
MAX_CAST = (20.0, 6.0)  # mean difference of the whole picture; 17 in the labelled scans
MAX_FIELD = (36.0, 16.0)  # distance in any field, the cast taken off; 24 in the labelled scans
GREY = 1.0  # mean distance from no colour at all below which a scan is black and white

WHOLE = 2  # views that show all of a picture
BANDS = 128
BAND_BITS = 18
LOWEST = 61  # frequencies that bands are made of; a prime, so that every stride visits all
MOST_ALIKE = 64  # of the views that share a band, these many are compared with each: the best
ENOUGH = 8  # pictures that one was found to repeat: it looks for no more
PAIRS = 1 << 18  # compared at a time: bounds the memory

Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Pairs:
    """Candidates: `one`'s view is whole, `other`'s any; (P,) each."""

    one: Ints
    one_view: Ints
    other: Ints
    other_view: Ints


def duplicate_of(looks: Bytes, originals: Collection[int] = ()) -> list[int | None]:
    """Pictures (N, VIEWS, VIEW_BYTES), the best first -> for each the earlier one it repeats.

    `originals` are the numbers of those that repeat nothing, whatever they look like.

    A picture is held against those only that repeat nothing themselves, so that a chain of little
    changes does not lead from one painting to another. Of several it is the first.
    """
    found: list[int | None] = [None] * len(looks)
    for later, pairs in groupby(_same(looks), lambda pair: pair[0]):
        earlier = [pair[1] for pair in pairs]
        if later in originals:
            continue
        repeated = [one for one in earlier if found[one] is None]
        if not repeated:  # ENOUGH copies, perhaps, kept it from meeting what they repeat
            copied = {one for one in map(found.__getitem__, earlier) if one is not None}
            repeated = _alike(looks, later, copied)
        found[later] = min(repeated, default=None)
    return found


def _same(looks: Bytes) -> Iterator[tuple[int, int]]:
    """Pairs of pictures that show the same, (later, earlier), sorted."""
    signs = _lowest_signs(looks)
    count = max(1, len(looks))
    same = np.empty(0, np.int64)  # later * count + earlier
    repeats = np.zeros(count, np.intp)  # how many earlier ones each is the same as
    for band in range(BANDS):
        # The places o, o + s, o + 2s, … of 61: another offset and stride for each band.
        places = (17 * band + (1 + band % (LOWEST - 1)) * np.arange(BAND_BITS)) % LOWEST
        keys = np.zeros(signs.shape[:2], np.uint32)
        for place in places:
            keys = keys << np.uint32(1) | signs[..., place]
        for pairs in _sharing(keys, repeats[: len(looks)] < ENOUGH):
            agree = _agree(looks, pairs)
            one, other = pairs.one[agree], pairs.other[agree]
            found = np.maximum(one, other) * count + np.minimum(one, other)
            same = _united(same, found)
        repeats = np.bincount(same // count, minlength=count)
    later, earlier = np.divmod(same, count)
    return zip(later.tolist(), earlier.tolist(), strict=True)


def _united(one: Ints, other: Ints) -> Ints:
    """Each number once, sorted: np.union1d hashes instead, which takes ten times as long here."""
    both: Ints = np.sort(np.concatenate([one, other]))
    return both[np.flatnonzero(np.diff(both, prepend=-1))]


def _lowest_signs(looks: Bytes) -> NDArray[np.uint8]:
    """(N, V, bytes) -> (N, V, LOWEST): phash's bits from the lowest frequency on, without the mean.

    A frequency's sign is what phash has of it: the median of all is nearly 0.
    """
    places = [(u, v) for u in range(HASH_SIDE) for v in range(HASH_SIDE) if u + v]
    places.sort(key=lambda place: (sum(place), place))
    numbers = np.array([u * HASH_SIDE + v for u, v in places[:LOWEST]])
    signs = np.empty((*looks.shape[:2], LOWEST), np.uint8)
    for column, number in enumerate(numbers):
        signs[..., column] = looks[..., number // 8] >> (7 - number % 8) & 1
    return signs


def _sharing(keys: NDArray[np.uint32], is_asking: NDArray[np.bool_]) -> Iterator[Pairs]:
    """Keys (N, V) of one band -> the pairs that share a key, whole views against all, in pieces.

    Where more views share a key than MOST_ALIKE, as those of empty pages do, the whole ones meet
    the first of them only: what is the same as the best needs no other witness, and work stays
    linear.
    """
    views = keys.shape[1]
    order = np.argsort(keys.ravel(), kind="stable")  # by key, the better picture first
    ordered = keys.ravel()[order]
    asking = keys[:, :WHOLE].ravel()
    first = np.searchsorted(ordered, asking, "left")
    shared = np.minimum(np.searchsorted(ordered, asking, "right") - first, MOST_ALIKE)
    shared *= np.repeat(is_asking, WHOLE)
    ends = np.cumsum(shared)
    start = 0
    while start < len(asking):
        before = ends[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + PAIRS, "right")))
        repeats = shared[start:end]
        entry = np.repeat(np.arange(start, end), repeats)
        within = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        met = order[first[entry] + within]
        one, one_view = entry // WHOLE, entry % WHOLE
        other, other_view = met // views, met % views
        # Whole against whole would come twice: the later asks, for it is the first that are met.
        # A mirror image against another says nothing new.
        is_new = (one != other) & ((other_view >= WHOLE) | (one > other) & (other_view == 0))
        yield Pairs(one[is_new], one_view[is_new], other[is_new], other_view[is_new])
        start = end


def _alike(looks: Bytes, one: int, others: Collection[int]) -> list[int]:
    """Those of the others that show the same as one picture, by all views that tell something."""
    other = np.repeat(np.array(list(others), np.intp), len(_MEETING))
    one_view, other_view = np.tile(_MEETING, (len(others), 1)).T
    agree = _agree(looks, Pairs(np.full_like(other, one), one_view, other, other_view))
    return [int(each) for each in other[agree]]


# A whole view against any; a mirror image against another says nothing new.
_MEETING = np.array(
    [
        (one, other)
        for one, other in np.ndindex(VIEWS, VIEWS)
        if min(one, other) == 0 or min(one, other) < WHOLE <= max(one, other)
    ]
)


def _agree(looks: Bytes, pairs: Pairs) -> NDArray[np.bool_]:
    """(P,) whether the views of each pair look the same; the cheapest witness is heard first."""
    left = np.arange(len(pairs.one))
    bits = np.zeros(len(left), np.uint16)  # the more of the two hashes'
    for first in (0, HASH_BYTES):
        part = slice(first, first + HASH_BYTES)
        one = looks[pairs.one[left], pairs.one_view[left], part]
        other = looks[pairs.other[left], pairs.other_view[left], part]
        bits = np.maximum(bits, _BITS_SET[one ^ other].sum(1, dtype=np.uint16))
        left, bits = left[bits <= MAX_BITS], bits[bits <= MAX_BITS]
    hues = slice(2 * HASH_BYTES, None)
    one = looks[pairs.one[left], pairs.one_view[left], hues]
    other = looks[pairs.other[left], pairs.other_view[left], hues]
    agree = np.zeros(len(pairs.one), np.bool_)
    agree[left[_same_hues(one, other, bits)]] = True
    return agree


_BITS_SET = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=np.uint8)


def _same_hues(one: Bytes, other: Bytes, bits: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """(P, bytes) of two views each, (P,) bits that differ -> (P,) whether one painting has both."""
    shape = (-1, HUE_SIDE * HUE_SIDE, 2)
    these, those = (each.reshape(shape).astype(np.float32) for each in (one, other))
    difference = these - those
    cast = difference.mean(1, keepdims=True)
    # The farthest field, not their mean: one red cell against a blue one is another painting.
    field = np.hypot(*np.moveaxis(difference - cast, 2, 0)).max(1)
    is_close = bits <= CLOSE_BITS
    same = np.abs(cast).mean((1, 2)) <= np.interp(bits, (CLOSE_BITS, MAX_BITS), MAX_CAST)
    same &= field <= np.where(is_close, *MAX_FIELD)
    is_grey = [np.abs(hues - 128).mean((1, 2)) <= GREY for hues in (these, those)]
    # A black and white photograph of a painting repeats it.
    return np.asarray(same | is_close & (is_grey[0] | is_grey[1]))
