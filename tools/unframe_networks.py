"""The two networks of machineray/unframe in PyTorch, and how they are fitted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from machineray.unframe import evidence, painted

Arrays = dict[str, NDArray[np.float32]]


def shuffled(chosen: NDArray[np.intp], batch: int, steps: int) -> Iterator[Tensor]:
    """`steps` batches of the chosen, in an order that every pass draws anew; rests are left out."""
    a_pass = len(chosen) // batch
    for step in range(steps):
        place = step % a_pass
        if place == 0:
            order = torch.from_numpy(chosen)[torch.randperm(len(chosen))]
        yield order[place * batch :][:batch]


# --- what is painting ----------------------------------------------------------------------------

STEM, CHANNELS = 32, 20
PAINTED_SEEN = 40_000  # pictures that one fit sees
PAINTED_BATCH = 16


class Painted(nn.Module):
    """What painted.painted computes, before the sigmoid, for a batch."""

    def __init__(self) -> None:
        super().__init__()
        layers = painted.REACHES
        self.stem = nn.Conv2d(painted.INPUTS, STEM, 1)
        self.entry = nn.Conv2d(STEM, CHANNELS, 1)
        self.near = nn.ModuleList(
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=reach, dilation=reach) for reach in layers
        )
        self.rows = nn.ModuleList(nn.Linear(CHANNELS, CHANNELS, bias=False) for _ in layers)
        self.columns = nn.ModuleList(nn.Linear(CHANNELS, CHANNELS, bias=False) for _ in layers)
        self.head = nn.Conv2d(CHANNELS, 1, 1)

    def forward(self, known: Tensor) -> Tensor:
        """(N, INPUTS, GRID, GRID) -> (N, GRID, GRID)."""
        x = torch.relu(self.entry(torch.relu(self.stem(known))))
        for near, rows, columns in zip(self.near, self.rows, self.columns, strict=True):
            seen = near(x)
            seen = seen + rows(x.mean(3).transpose(1, 2)).transpose(1, 2)[..., None]
            seen = seen + columns(x.mean(2).transpose(1, 2)).transpose(1, 2)[:, :, None]
            x = x + torch.relu(seen)
        return self.head(x).squeeze(1)

    def arrays(self) -> Arrays:
        """The weights by the names and in the shapes of painted.PaintedWeights."""
        near = torch.stack([layer.weight for layer in self.near])  # (L, out, in, 3, 3)
        named = {
            "stem": self.stem.weight[:, :, 0, 0].T,
            "stem_bias": self.stem.bias,
            "entry": self.entry.weight[:, :, 0, 0].T,
            "entry_bias": self.entry.bias,
            "near": near.flatten(3).permute(0, 3, 2, 1),
            "near_bias": torch.stack([layer.bias for layer in self.near]),
            "rows": torch.stack([layer.weight.T for layer in self.rows]),
            "columns": torch.stack([layer.weight.T for layer in self.columns]),
            "head": self.head.weight[0, :, 0, 0],
            "head_bias": self.head.bias[0],
        }
        return {name: value.detach().contiguous().numpy() for name, value in named.items()}


def fitted_painted(
    known: Tensor, share: Tensor, weights: Tensor, chosen: NDArray[np.intp]
) -> Painted:
    """Fitted to cells (N, INPUTS, GRID, GRID) and how much of each is paint, turned at random."""
    torch.manual_seed(0)
    network = Painted().to(memory_format=torch.channels_last)
    steps = PAINTED_SEEN // PAINTED_BATCH
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    for rows in shuffled(chosen, PAINTED_BATCH, steps):
        turn = int(torch.randint(8, ()))
        seen = turned_cells(known[rows], turn).float()
        scores = network(seen.contiguous(memory_format=torch.channels_last))
        losses = nn.functional.binary_cross_entropy_with_logits(
            scores, turned(share[rows].float(), turn), reduction="none"
        ).mean((1, 2))
        optimizer.zero_grad()
        (losses * weights[rows]).mean().backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def turned(values: Tensor, turn: int) -> Tensor:
    """The last two axes mirrored and turned, by the three bits of `turn`."""
    axes = [axis for axis in (1, 2) if turn & axis]
    values = values.flip([-axis for axis in axes]) if axes else values
    return values.transpose(-1, -2) if turn & 4 else values


def turned_cells(known: Tensor, turn: int) -> Tensor:
    """What `cells` would know (N, INPUTS, GRID, GRID) of the pictures, turned."""
    size = painted.CELL
    pixels = torch.arange(size * size * 3).reshape(size, size, 3)
    rough, down, across = range(size * size * 3, painted.INPUTS)
    rest = [rough, across, down] if turn & 4 else [rough, down, across]
    order = turned(pixels.movedim(2, 0), turn).movedim(0, 2).flatten()
    return turned(known[:, torch.cat([order, torch.tensor(rest)])], turn)


# --- which box it is ------------------------------------------------------------------------------

NETWORKS = 2  # whose scores are averaged
EPOCHS = 16
HIDDEN = 32
DRAWN = 6  # candidates a side that one step looks at: 6**4 boxes at most, not 10**4
SHARPNESS = 75  # a box whose IoU is 1/75 lower is e times less wanted
DROPOUT = 0.15  # of the hidden values, the same ones for all boxes of a picture


@dataclass(frozen=True)
class Examples:
    """Evidence of N pictures: sides (4, N, K, K, K, F), boxes (N, K, K, K, K, B), float16."""

    sides: Tensor
    boxes: Tensor
    ious: Tensor  # (N, K, K, K, K) of each box with the truth; -1 where there is no box
    weights: Tensor  # (N,)


class Network(nn.Module):
    """What boxes.scores computes, for a batch."""

    def __init__(self) -> None:
        super().__init__()
        hidden = HIDDEN
        self.side = nn.Linear(evidence.SIDE_FEATURES, hidden)
        self.joint = nn.Linear(hidden + evidence.BOX_FEATURES, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, sides: Sequence[Tensor], tables: Tensor) -> Tensor:
        """Sides (N, K, K, K, F) by (own, two others) and boxes (N, K, K, K, K, B) -> scores."""
        hidden = self.side.out_features
        into, rest = self.joint.weight[:, :hidden], self.joint.weight[:, hidden:]
        kept_sides, kept = (self.kept(len(tables), dimensions) for dimensions in (5, 6))
        joint = tables @ rest.T + self.joint.bias
        for index, table in enumerate(sides):
            passed = torch.relu(self.side(table)) * kept_sides @ into.T / 4
            if index < 2:
                joint = joint + passed.unsqueeze(2 - index)
            else:
                joint = joint + passed.permute(0, 2, 3, 1, 4).unsqueeze(6 - index)
        return self.score(torch.relu(joint) * kept).squeeze(-1)

    def kept(self, count: int, dimensions: int) -> Tensor:
        """Dropout's factors of each picture's hidden values (count, 1, …, 1, hidden)."""
        ones = torch.ones(count, *[1] * (dimensions - 2), self.side.out_features)
        return nn.functional.dropout(ones, DROPOUT, self.training)


def fitted(data: Examples, chosen: NDArray[np.intp], seed: int) -> Network:
    """A network fitted to the chosen examples: cross-entropy against boxes weighed by IoU."""
    torch.manual_seed(seed)
    network = Network()
    batch = 32
    steps = EPOCHS * (len(chosen) // batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=6e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    for rows in shuffled(chosen, batch, steps):
        sides, tables, ious = drawn(data, rows)
        is_none = ious.flatten(1) < 0
        scores = network(sides, tables).flatten(1).masked_fill(is_none, -1e4)
        wanted = torch.softmax((SHARPNESS * ious.flatten(1)).masked_fill(is_none, -1e4), 1)
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


def fitted_scores(data: Examples, chosen: NDArray[np.intp]) -> list[Network]:
    """Networks that differ by their seeds only."""
    return [fitted(data, chosen, seed) for seed in range(NETWORKS)]


def as_arrays(networks: Sequence[Network]) -> Arrays:
    """The networks as weights.npz holds them: one array a layer, stacked."""
    layers = {
        "side": [n.side.weight for n in networks],
        "side_bias": [n.side.bias for n in networks],
        "joint": [n.joint.weight for n in networks],
        "joint_bias": [n.joint.bias for n in networks],
        "score": [n.score.weight[0] for n in networks],
    }
    return {name: torch.stack(list(v)).detach().numpy() for name, v in layers.items()}
