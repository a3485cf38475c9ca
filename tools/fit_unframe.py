"""Fit the network that chooses a painting's box (machineray/unframe/weights.npz).

.venv/bin/python tools/fit_unframe.py PAINTINGS                    fit to everything, write weights
.venv/bin/python tools/fit_unframe.py PAINTINGS --cross-validate   measure on folds, write nothing
PAINTINGS holds train/ (paintings without frame) and framed/ (photographs; boxes.csv: their boxes).
`--evidence FILE` keeps what was gathered from the pictures (5 minutes, 1.7 GB) for the next run.

Learnt from: the paintings as they are, synthetic frames around them, the photographs' own frames
with other paintings in them, and the photographs in other light (unframe_pictures.py). What is
made of a picture stays in that picture's fold. One thread; the same arguments and the same
versions of torch and OpenCV give the same file.
"""

import argparse
import csv
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from unframe_pictures import Edges, Labelled, Pixels, framed, hung, part, shrunk, varied, whole

from machineray.imaging import decode, to_array
from machineray.unframe import boxes, evidence

FOLDS = 5
NETWORKS = 3  # whose scores are averaged
EPOCHS = 16
HIDDEN = 32
DRAWN = 6  # candidates a side that one step looks at: 6**4 boxes rather than 10**4
SHARPNESS = 150  # a box whose IoU is 1/150 lower is e times less wanted
WHOLE_WEIGHT = 2.0  # of a picture without frame: cutting into a painting is the worse mistake


@dataclass(frozen=True)
class Source:
    """A picture on disk at working size, its box, its fold, and whether its frame can be reused."""

    name: str
    picture: Labelled
    fold: int
    has_frame: bool


@dataclass(frozen=True)
class Examples:
    """Evidence of N pictures: sides (4, N, K, K, K, F), boxes (N, K, K, K, K, B), float16."""

    sides: Tensor
    boxes: Tensor
    ious: Tensor  # (N, K, K, K, K) of each box with the truth
    weights: Tensor  # (N,)
    folds: NDArray[np.intp]


# --- pictures -> examples ------------------------------------------------------------------------


def sources(folder: Path) -> tuple[list[Source], list[Source]]:
    """Photographs with their boxes, and paintings without frame, in the order of their names."""
    with (folder / "framed" / "boxes.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["file"])
    photographs = []
    for rank, row in enumerate(rows):
        pixels = opened(folder / "framed" / row["file"])
        small = shrunk(pixels, 640)
        scale = small.shape[1] / pixels.shape[1]
        box = [int(row[edge]) * scale for edge in ("left", "top", "right", "bottom")]
        picture = Labelled(small, (box[0], box[1], box[2], box[3]))
        is_straight = row["difficulty"] != "ambiguous"
        photographs.append(Source(row["file"], picture, rank % FOLDS, is_straight))
    files = sorted((folder / "train").glob("*.jpg"))
    paintings = [
        Source(file.name, whole(shrunk(opened(file))), rank % FOLDS, False)
        for rank, file in enumerate(files)
    ]
    return photographs, paintings


def opened(file: Path) -> Pixels:
    """A picture as every stage sees it."""
    return to_array(decode(file.read_bytes(), str(file)))


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
            yield part(source.picture.pixels, rng()), WHOLE_WEIGHT / 2, source.fold
        for _ in range(5):
            yield framed(source.picture.pixels, rng()), 1.0, source.fold
    for source in photographs:
        yield source.picture, 3.0, source.fold
        for _ in range(8):
            yield varied(source.picture, rng()), 1.0, source.fold
        near = [painting for painting in paintings if painting.fold == source.fold]
        for _ in range(30 * source.has_frame):
            other = near[int(rng().integers(len(near)))]
            yield hung(source.picture, other.picture.pixels, rng()), 0.7, source.fold


def examples(made: Iterator[tuple[Labelled, float, int]]) -> Examples:
    """The evidence in pictures."""
    sides, tables, ious, weights, folds = [], [], [], [], []
    for picture, weight, fold in made:
        small = boxes.shrunk(picture.pixels)
        found = evidence.gather(boxes.lab_of(small))
        sides.append(torch.from_numpy(np.stack(found.sides)).half())
        tables.append(torch.from_numpy(found.boxes).half())
        scale = small.shape[1] / picture.pixels.shape[1], small.shape[0] / picture.pixels.shape[0]
        ious.append(torch.from_numpy(targets(found, small.shape[:2], picture.box, scale)))
        weights.append(weight)
        folds.append(fold)
    return Examples(
        torch.stack(sides, 1),
        torch.stack(tables),
        torch.stack(ious),
        torch.tensor(weights),
        np.array(folds),
    )


def targets(
    found: evidence.Evidence, shape: tuple[int, int], box: Edges, scale: tuple[float, float]
) -> NDArray[np.float32]:
    """IoU (K, K, K, K) of every candidate box with the painting's; -1 where one repeats another."""
    height, width = shape
    left, right = box[0] * scale[0], box[2] * scale[0]
    top, bottom = box[1] * scale[1], box[3] * scale[1]
    every = np.stack(np.meshgrid(*found.depths, indexing="ij"), -1)
    truth = np.array([[top, height - bottom, left, width - right]])
    ious = boxes.overlaps(every.reshape(-1, 4), truth, shape).reshape(every.shape[:4])
    return np.where(boxes.distinct(found.depths), ious, -1).astype(np.float32)


# --- the network ---------------------------------------------------------------------------------


class Network(nn.Module):
    """What boxes.scores computes, for a batch."""

    def __init__(self, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.side = nn.Linear(evidence.SIDE_FEATURES, hidden)
        self.joint = nn.Linear(hidden + evidence.BOX_FEATURES, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, sides: Sequence[Tensor], tables: Tensor) -> Tensor:
        """Sides (N, K, K, K, F) by (own, two others) and boxes (N, K, K, K, K, B) -> scores."""
        hidden = self.side.out_features
        into, rest = self.joint.weight[:, :hidden], self.joint.weight[:, hidden:]
        joint = tables @ rest.T + self.joint.bias
        for index, table in enumerate(sides):
            passed = torch.relu(self.side(table)) @ into.T / 4
            if index < 2:
                joint = joint + passed.unsqueeze(2 - index)
            else:
                joint = joint + passed.permute(0, 2, 3, 1, 4).unsqueeze(6 - index)
        return self.score(torch.relu(joint)).squeeze(-1)


def fitted(data: Examples, chosen: NDArray[np.intp], seed: int, epochs: int) -> Network:
    """A network fitted to the chosen examples: cross-entropy against boxes weighed by IoU."""
    torch.manual_seed(seed)
    network = Network()
    batch = 32
    steps = epochs * (len(chosen) // batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=6e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    for step in range(steps):
        place = step % (len(chosen) // batch)
        if place == 0:
            order = torch.from_numpy(chosen)[torch.randperm(len(chosen))]
        rows = order[place * batch :][:batch]
        sides, tables, ious = drawn(data, rows)
        is_twin = ious.flatten(1) < 0
        scores = network(sides, tables).flatten(1).masked_fill(is_twin, -1e4)
        wanted = torch.softmax((SHARPNESS * ious.flatten(1)).masked_fill(is_twin, -1e4), 1)
        losses = -(wanted * torch.log_softmax(scores, 1)).sum(1)
        optimizer.zero_grad()
        (losses * data.weights[rows]).mean().backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def drawn(data: Examples, rows: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    """Some candidates a side of each picture, no cut and the best box's always among them."""
    count = data.ious.shape[1]
    best = data.ious[rows].flatten(1).argmax(1)
    chosen = []
    for axis in range(4):
        own = best // count ** (3 - axis) % count
        random = torch.rand(len(rows), count)
        random[:, 0] = 3
        random[torch.arange(len(rows)), own] = 2.0 + (own == 0)
        chosen.append(random.topk(DRAWN).indices)
    t, b, le, r = chosen
    n = rows[:, None, None, None]

    def crossed(x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        return n, x[:, :, None, None], y[:, None, :, None], z[:, None, None, :]

    indices = (crossed(t, le, r), crossed(b, le, r), crossed(le, t, b), crossed(r, t, b))
    sides = [data.sides[side][index].float() for side, index in enumerate(indices)]
    index = (
        rows[:, None, None, None, None],
        t[:, :, None, None, None],
        b[:, None, :, None, None],
        le[:, None, None, :, None],
        r[:, None, None, None, :],
    )
    return sides, data.boxes[index].float(), data.ious[index]


def as_arrays(networks: Sequence[Network]) -> dict[str, NDArray[np.float32]]:
    """The networks as weights.npz holds them: one array a layer, stacked."""
    layers = {
        "side": [n.side.weight for n in networks],
        "side_bias": [n.side.bias for n in networks],
        "joint": [n.joint.weight for n in networks],
        "joint_bias": [n.joint.bias for n in networks],
        "score": [n.score.weight[0] for n in networks],
    }
    return {name: torch.stack(list(v)).detach().numpy() for name, v in layers.items()}


# --- the two uses --------------------------------------------------------------------------------


def cross_validated(
    data: Examples, photographs: Sequence[Source], paintings: Sequence[Source], folder: Path
) -> None:
    """Judge every picture by networks that saw nothing made of its fold; print the figures."""
    ious: list[float] = []
    cuts: list[float] = []
    for fold in range(FOLDS):
        networks = several(data, np.flatnonzero(data.folds != fold))
        weights = boxes.stacked(as_arrays(networks))
        for source in (s for s in photographs if s.fold == fold):
            pixels = opened(folder / "framed" / source.name)
            scale = pixels.shape[1] / source.picture.pixels.shape[1]
            truth = [edge * scale for edge in source.picture.box]
            ious.append(overlap(boxes.frame_box(pixels, weights), truth))
            print(f"{ious[-1]:.3f} {source.name}", flush=True)
        for source in (s for s in paintings if s.fold == fold):
            pixels = opened(folder / "train" / source.name)
            cuts.append(deepest_cut(boxes.frame_box(pixels, weights), pixels.shape[:2]))
        print(f"fold {fold}: so far mean IoU {np.mean(ious):.4f}, mean cut {np.mean(cuts):.4f}")
    print(f"{len(ious)} photographs: mean IoU {np.mean(ious):.4f}, median {np.median(ious):.4f},")
    print(f"  share >= .95 {np.mean(np.array(ious) >= 0.95):.3f}")
    print(f"{len(cuts)} paintings: median cut {np.median(cuts):.4f}, mean {np.mean(cuts):.4f},")
    print(f"  share cut more than 2 % {np.mean(np.array(cuts) > 0.02):.3f}")


def overlap(box: boxes.Box, truth: Sequence[float]) -> float:
    """IoU of a box with left, top, right, bottom."""
    left, top, right, bottom = truth
    across = min(box.right, right) - max(box.left, left)
    down = min(box.bottom, bottom) - max(box.top, top)
    common = max(across, 0) * max(down, 0)
    area = (box.right - box.left) * (box.bottom - box.top)
    return float(common / (area + (right - left) * (bottom - top) - common))


def deepest_cut(box: boxes.Box, shape: tuple[int, int]) -> float:
    """The deepest of the four cuts, as a share of its side."""
    height, width = shape
    across = max(box.left, width - box.right) / width
    return max(across, box.top / height, (height - box.bottom) / height)


def several(data: Examples, chosen: NDArray[np.intp]) -> list[Network]:
    """Networks that differ by their seeds only."""
    return [fitted(data, chosen, seed, EPOCHS) for seed in range(NETWORKS)]


def gathered(
    photographs: Sequence[Source], paintings: Sequence[Source], kept: Path | None
) -> Examples:
    """The examples, from the file when it is there; else they are made, and kept in it."""
    if kept is not None and kept.is_file():
        stored = torch.load(kept, weights_only=True)
        return Examples(**{**stored, "folds": stored["folds"].numpy()})
    data = examples(pictures(photographs, paintings))
    if kept is not None:
        torch.save({**vars(data), "folds": torch.from_numpy(data.folds)}, kept)
    return data


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paintings", type=Path, help="folder with train/ and framed/")
    parser.add_argument("--cross-validate", action="store_true", help="measure, write nothing")
    parser.add_argument("--evidence", type=Path, help="file that keeps what was gathered")
    arguments = parser.parse_args()
    if not (arguments.paintings / "framed" / "boxes.csv").is_file():
        parser.error(f"{arguments.paintings}: no framed/boxes.csv there")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    photographs, paintings = sources(arguments.paintings)
    data = gathered(photographs, paintings, arguments.evidence)
    print(f"{len(data.folds)} pictures", flush=True)
    if arguments.cross_validate:
        cross_validated(data, photographs, paintings, arguments.paintings)
        return
    layers = as_arrays(several(data, np.arange(len(data.folds))))
    np.savez(boxes.WEIGHTS, **layers)
    print(f"{boxes.WEIGHTS}: {boxes.WEIGHTS.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
