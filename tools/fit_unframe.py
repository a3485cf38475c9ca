"""Fit the networks that choose a painting's box (machineray/unframe/weights.npz).

.venv/bin/python tools/fit_unframe.py PAINTINGS           fit to everything, write weights.npz
.venv/bin/python tools/fit_unframe.py PAINTINGS --folds   also fit each fold's, for the bench
PAINTINGS holds train/ (paintings without frame) and framed/ (photographs; boxes.csv: their boxes).
`--folds` writes bench/unframe_folds.npz: networks that saw nothing made of their fold. With them
bench/unframe.py judges every picture by networks that do not know it.

Learnt from: the paintings as they are, synthetic frames around them, the photographs' own frames
with other paintings in them, and the photographs in other light (unframe_pictures.py). What is
made of a picture stays in that picture's fold. One thread; the same arguments and the same
versions of torch and OpenCV on the same kind of CPU give the same file. It takes half an hour, and
12 GB of memory.
"""

import argparse
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from unframe_collection import AFTER_ALL, FOLDS, NO_FRAME, collection
from unframe_layers import Edges, Labelled, Pixels, whole
from unframe_networks import (
    Arrays,
    Examples,
    as_arrays,
    fitted_painted,
    fitted_scores,
)
from unframe_pictures import confusing, framed, hung, shrunk, stripped, unframed, varied

from machineray.unframe import boxes, evidence, painted

FOLDS_FILE = Path(__file__).resolve().parents[1] / "bench" / "unframe_folds.npz"
WHOLE_WEIGHT = 2.6  # of a picture without frame: cutting into a painting is the worse mistake
MOST_HUNG = 24  # paintings in a photograph's frame
HUNG = {"ambiguous": 0, AFTER_ALL: 8}  # narrow white ones: with 24 more paintings were cut into
STRIPS_WEIGHT = 2.5  # of a painting with a plain strip: there are few, and captions are common


@dataclass(frozen=True)
class Source:
    """A picture at working size, its box, its fold, how many paintings are hung in its frame."""

    picture: Labelled
    fold: int
    hung: int = 0


@dataclass(frozen=True)
class Made:
    """A picture to learn from: the small copy, the box in it, how much it counts, and its fold."""

    small: Pixels
    box: Edges
    weight: float
    fold: int


# --- pictures ------------------------------------------------------------------------------------


def sources(folder: Path) -> tuple[list[Source], list[Source]]:
    """Photographs with their boxes, and paintings without frame, in the order of their names.

    What of train/ has a frame after all is a photograph, and in its box a painting.
    """
    photographs, paintings = [], []
    for picture in collection(folder):
        pixels = picture.pixels()
        if picture.box:
            small = shrunk(pixels, 640)
            scale = small.shape[1] / pixels.shape[1]
            left, top, right, bottom = picture.box
            box = (left * scale, top * scale, right * scale, bottom * scale)
            hung = HUNG.get(picture.kind, MOST_HUNG)
            photographs.append(Source(Labelled(small, box), picture.fold, hung))
            pixels = pixels[top:bottom, left:right]
        if picture.kind in (NO_FRAME, AFTER_ALL):
            paintings.append(Source(whole(shrunk(pixels, 512)), picture.fold))
    return photographs, paintings


def pictures(
    photographs: Sequence[Source], paintings: Sequence[Source]
) -> Iterator[tuple[Labelled, float, int]]:
    """(picture, weight, fold): every picture made from pictures of one fold only."""
    numbers = itertools.count(1)

    def rng() -> np.random.Generator:
        return np.random.default_rng((2020, next(numbers)))

    for source in paintings:
        yield source.picture, WHOLE_WEIGHT, source.fold
        for _ in range(2):
            yield unframed(source.picture.pixels, rng()), WHOLE_WEIGHT / 2, source.fold
        painting = shrunk(source.picture.pixels)
        for _ in range(10):
            yield framed(painting, rng()), 1.0, source.fold
        yield stripped(painting, rng()), 0.6, source.fold
    for source in photographs:
        yield source.picture, 3.0, source.fold
        for _ in range(8):
            yield varied(source.picture, rng()), 1.0, source.fold
        near = [painting for painting in paintings if painting.fold == source.fold]
        for _ in range(source.hung):
            other = near[int(rng().integers(len(near)))]
            yield hung(source.picture, other.picture.pixels, rng()), 0.7, source.fold


def misleading(paintings: Sequence[Source]) -> Iterator[tuple[Labelled, float, int]]:
    """Lines in paintings, plain strips beside them: only the choice of boxes learns from them."""
    kinds = ((confusing, 1.0), (confusing, 1.0), (confusing, 1.0), (stripped, STRIPS_WEIGHT))
    for number, (kind, weight) in enumerate(kinds):
        for rank, source in enumerate(paintings):
            rng = np.random.default_rng((2021, rank, number))
            yield kind(shrunk(source.picture.pixels), rng), weight, source.fold


def small_copy(picture: Labelled, weight: float, fold: int) -> Made:
    """A picture as it is judged."""
    small = boxes.shrunk(picture.pixels)
    height, width = picture.pixels.shape[:2]
    across, down = small.shape[1] / width, small.shape[0] / height
    left, top, right, bottom = picture.box
    return Made(small, (left * across, top * down, right * across, bottom * down), weight, fold)


# --- pictures -> examples ------------------------------------------------------------------------


def examples(made: Sequence[Made], networks: Sequence[painted.PaintedWeights]) -> Examples:
    """The evidence in pictures, each seen with the network of its fold."""
    found = (boxes.seen(one.small, networks[one.fold], np.inf) for one in made)
    sides, tables, ious = [], [], []
    for one, seen in zip(made, found, strict=True):
        sides.append(torch.from_numpy(np.stack([filled(side) for side in seen.sides])).half())
        tables.append(torch.from_numpy(filled(seen.boxes)).half())
        wanted = targets(seen, one.small.shape[:2], one.box)[..., None]
        ious.append(torch.from_numpy(filled(wanted, -1)[..., 0]))
    weights = torch.tensor([one.weight for one in made])
    return Examples(torch.stack(sides, 1), torch.stack(tables), torch.stack(ious), weights)


def filled(table: NDArray[np.float32], value: float = 0) -> NDArray[np.float32]:
    """A table over candidates (…, F) as if each side had as many as it may have."""
    missing = [(0, evidence.CANDIDATES - count) for count in table.shape[:-1]]
    return np.pad(table, [*missing, (0, 0)], constant_values=value)


def targets(found: evidence.Evidence, shape: tuple[int, int], box: Edges) -> NDArray[np.float32]:
    """IoU (K, K, K, K) of every candidate box with the painting's."""
    left, top, right, bottom = box
    every = np.stack(np.meshgrid(*found.depths, indexing="ij"), -1)
    truth = np.array([[top, shape[0] - bottom, left, shape[1] - right]])
    return boxes.overlaps(every.reshape(-1, 4), truth, shape).reshape(every.shape[:4])


def shares(one: Made) -> NDArray[np.float32]:
    """How much of each cell (GRID, GRID) is painting."""
    height, width = one.small.shape[:2]
    left, top, right, bottom = one.box

    def along(first: float, last: float) -> NDArray[np.float32]:
        cells = np.arange(painted.GRID, dtype=np.float32)
        return np.clip(np.minimum(last, cells + 1) - np.maximum(first, cells), 0, 1)

    down, across = painted.GRID / height, painted.GRID / width
    return along(top * down, bottom * down)[:, None] * along(left * across, right * across)


# --- the two uses --------------------------------------------------------------------------------


def painted_networks(made: Sequence[Made]) -> list[Arrays]:
    """A network for each fold that saw none of it, and at the end one that saw everything."""
    cells = torch.zeros(len(made), painted.INPUTS, painted.GRID, painted.GRID, dtype=torch.half)
    share = torch.zeros(len(made), painted.GRID, painted.GRID)
    for index, one in enumerate(made):
        known = painted.cells(evidence.lab_of(boxes.squared(one.small)))
        cells[index] = torch.from_numpy(known).permute(2, 0, 1)
        share[index] = torch.from_numpy(shares(one))
    weights = torch.tensor([one.weight for one in made])
    return [
        fitted_painted(cells, share, weights, chosen).arrays() for chosen in without_each_fold(made)
    ]


def without_each_fold(made: Sequence[Made]) -> list[NDArray[np.intp]]:
    """Which pictures are not of each fold, and at the end all."""
    own = np.array([one.fold for one in made])
    return [np.flatnonzero(own != fold) for fold in range(FOLDS + 1)]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paintings", type=Path, help="folder with train/ and framed/")
    parser.add_argument(
        "--folds", action="store_true", help="also write each fold's, for the bench"
    )
    arguments = parser.parse_args()
    if not (arguments.paintings / "framed" / "boxes.csv").is_file():
        parser.error(f"{arguments.paintings}: no framed/boxes.csv there")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    photographs, paintings = sources(arguments.paintings)
    made = [small_copy(*one) for one in pictures(photographs, paintings)]
    report(f"{len(made)} pictures")
    saw = painted_networks(made)
    report("what is painting: fitted")
    made += [small_copy(*one) for one in misleading(paintings)]
    data = examples(made, [painted.PaintedWeights(**arrays) for arrays in saw])
    report(f"{len(made)} pictures: seen")
    chosen = without_each_fold(made)
    save(boxes.WEIGHTS, saw[FOLDS] | as_arrays(fitted_scores(data, chosen[FOLDS])))
    if arguments.folds:
        named = {}
        for fold in range(FOLDS):
            layers = saw[fold] | as_arrays(fitted_scores(data, chosen[fold]))
            named |= {f"{fold}_{name}": layer for name, layer in layers.items()}
        save(FOLDS_FILE, named)


def save(file: Path, layers: Arrays) -> None:
    """Half precision is enough for weights."""
    halves = {name: layer.astype(np.float16) for name, layer in layers.items()}
    np.savez_compressed(file, **halves)
    report(f"{file}: {file.stat().st_size / 1000:.0f} KB")


def report(text: str) -> None:
    """A line with the CPU time so far."""
    print(f"{time.process_time() / 60:5.1f} CPU min  {text}", flush=True)


if __name__ == "__main__":
    main()
