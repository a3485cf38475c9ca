"""A given picture, found again in what a generator knows: the w whose picture is nearest to it.

After Karras et al. 2020 (arXiv 1912.04958, sec. 5 and app. D): Adam on w, with noise on w that
dies away. Instead of their feature network the one that is here, instead of the mean w the best of
some seeds to begin with. The noise of the layers is that of this seed and stays.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from machineray.errors import InputError
from machineray.gan.features import FeatureNetwork
from machineray.gan.latent import drawn, layers_of, styles
from machineray.gan.layers import resized
from machineray.gan.metrics import Picture
from machineray.gan.networks import Generator
from machineray.gan.randomness import generator_for, sample_noise
from machineray.gan.sampling import sample
from machineray.gan.state import packed, unpacked

FEATURE_PX, MOST_FEATURE_PX = 128, 256  # of the shorter side
STRIDE = 32  # of the last maps
PIXELS = 32  # of the shorter side: colours and planes, not texture
PIXEL_WEIGHT = 1.0
LEARNING_RATE = 0.1
RAMP_UP, RAMP_DOWN = 0.05, 0.25  # shares of the steps (app. D)
W_NOISE, W_NOISE_UNTIL = 0.05, 0.75  # standard deviations of w; share of the steps (app. D)
REACH, REACH_WEIGHT = 1.0, 0.1  # how far from the mean w, in standard deviations, is free


@dataclass(frozen=True)
class Distance:
    """Between two pictures: by features and by the pixels of small copies; 0 is none."""

    features: float
    pixels: float

    @property
    def total(self) -> float:
        """What is made small."""
        return self.features + PIXEL_WEIGHT * self.pixels


class Likeness:
    """The distance of pictures (N, 3, H, W) to one target, with a gradient."""

    def __init__(self, target: Tensor) -> None:
        """Target (1, 3, H, W) in [-1, 1]."""
        self._network = FeatureNetwork()
        height, width = target.shape[2:]
        shorter = min(height, width)
        side = min(MOST_FEATURE_PX, max(FEATURE_PX, shorter))
        self._sides = tuple(
            round(length * side / shorter / STRIDE) * STRIDE for length in (height, width)
        )
        self._small = tuple(max(1, round(length * PIXELS / shorter)) for length in (height, width))
        with torch.no_grad():
            self._maps, self._pixels = self._seen(target)

    def _seen(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        maps = self._network(resized(images, *self._sides))
        return [F.normalize(each, dim=1) for each in maps], resized(images, *self._small)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(by features (N,), as unlearnt LPIPS (Zhang 2018, 1801.03924), 0..4; by pixels (N,))."""
        maps, pixels = self._seen(images)
        features = torch.stack(
            [
                (one - other).square().sum(dim=1).mean(dim=(1, 2))
                for one, other in zip(maps, self._maps, strict=True)
            ]
        ).mean(dim=0)
        return features, (pixels - self._pixels).square().mean(dim=(1, 2, 3))


@dataclass(frozen=True)
class Projection:
    """How far it is: everything that a resume needs, as values.

    `path` is w - w_avg in standard deviations after every step, (steps + 1, layers or 1, w_dim),
    the start first; `moments` are Adam's, (2, layers or 1, w_dim).
    """

    seed: int  # where it began
    path: Tensor
    moments: Tensor
    distances: tuple[Distance, ...]  # of the path's points but the last

    @property
    def steps(self) -> int:
        """Steps that are done."""
        return len(self.path) - 1


def packed_projection(found: Projection) -> bytes:
    """As a file, for a resume."""
    rows = [(each.features, each.pixels) for each in found.distances]
    distances = torch.tensor(rows, dtype=torch.float64)
    tensors = {"path": found.path, "moments": found.moments, "distances": distances}
    return packed(tensors, {"seed": found.seed})


def unpacked_projection(data: bytes, name: str) -> Projection:
    """The same again; InputError when it is no such file."""
    tensors, about = unpacked(data, name)
    try:
        rows = tensors["distances"].reshape(-1, 2).tolist()
        distances = tuple(Distance(*row) for row in rows)
        return Projection(int(about["seed"]), tensors["path"], tensors["moments"], distances)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name}: not the state of a projection; remove it") from error


class Projector:
    """Finds a target in a generator; every step is a function of the one before and its number."""

    def __init__(self, generator: Generator, target: Picture, steps: int, per_layer: bool) -> None:
        """Target (H, W, 3) of the generator's size. `per_layer`: a w for each layer (W+)."""
        self.generator, self.steps = generator, steps
        self.rows = layers_of(generator) if per_layer else 1
        self._likeness = Likeness(_tensor(target))
        w, _ = styles(generator, range(512))
        self._scale = (w - generator.w_avg).square().mean().sqrt()

    def begin(self, seeds: Sequence[int]) -> Projection:
        """At the seed whose picture is nearest to the target."""
        found = [(self._seen(picture), seed) for seed, picture in sample(self.generator, seeds)]
        _, seed = min(found)
        w, _ = styles(self.generator, (seed,))
        start = ((w - self.generator.w_avg) / self._scale).expand(self.rows, -1)
        return Projection(seed, start[None].clone(), torch.zeros(2, *start.shape), ())

    @torch.inference_mode()
    def _seen(self, picture: Picture) -> float:
        features, pixels = self._likeness(_tensor(picture))
        return float(features + PIXEL_WEIGHT * pixels)

    def run(self, at: Projection, every: int) -> Iterator[Projection]:
        """Go on to the end; what there is after each `every` steps, and at the end."""
        noise = self._noise(at.seed)
        path, distances = list(at.path), list(at.distances)
        moments = at.moments.clone()
        for step in range(at.steps, self.steps):
            point, distance = self._moved(path[-1], moments, step, noise)
            path.append(point)
            distances.append(distance)
            if len(distances) % every == 0 or len(distances) == self.steps:
                yield replace(
                    at, path=torch.stack(path), moments=moments.clone(), distances=tuple(distances)
                )

    def _noise(self, seed: int) -> list[Tensor]:
        _, rngs = styles(self.generator, (seed,))
        return sample_noise(rngs, self.generator.noise_shapes)

    def _moved(
        self, point: Tensor, moments: Tensor, step: int, noise: Sequence[Tensor]
    ) -> tuple[Tensor, Distance]:
        """One step of Adam (betas .9, .999); `moments` are changed in place."""
        done = step / self.steps
        rng = generator_for("projection", step)
        shake = W_NOISE * max(0.0, 1 - done / W_NOISE_UNTIL) ** 2
        at = (point + shake * torch.randn(point.shape, generator=rng)).requires_grad_(True)
        features, pixels = self._likeness(self.generator.synthesis(self._ws(at)[None], noise))
        distance = features + PIXEL_WEIGHT * pixels
        far = F.relu(at.square().mean() - REACH**2)
        (gradient,) = torch.autograd.grad(distance.sum() + REACH_WEIGHT * far, at)
        for row, (beta, value) in enumerate(((0.9, gradient), (0.999, gradient.square()))):
            moments[row].lerp_(value, 1 - beta)
        mean, square = moments[0] / (1 - 0.9 ** (step + 1)), moments[1] / (1 - 0.999 ** (step + 1))
        rate = LEARNING_RATE * _ramp(done)
        moved = point - rate * mean / (square.sqrt() + 1e-8)
        return moved, Distance(float(features.detach()), float(pixels.detach()))

    def _ws(self, point: Tensor) -> Tensor:
        """(layers or 1, w_dim) in standard deviations -> (layers, w_dim)."""
        w = self.generator.w_avg + self._scale * point
        return w.expand(layers_of(self.generator), -1)

    def ws(self, point: Tensor) -> Tensor:
        """A point of the path -> w for each layer (layers, w_dim)."""
        return self._ws(point).contiguous()

    def picture(self, found: Projection, step: int = -1) -> Picture:
        """What the network draws at a step of the path (H, W, 3)."""
        return drawn(self.generator, self.ws(found.path[step]), self._noise(found.seed))

    @torch.inference_mode()
    def distance(self, picture: Picture) -> Distance:
        """Of a picture (H, W, 3) to the target."""
        features, pixels = self._likeness(_tensor(picture))
        return Distance(float(features), float(pixels))


def _ramp(done: float) -> float:
    """The share of the learning rate at a share of the steps: up, level, down by a cosine."""
    down = min(1.0, (1 - done) / RAMP_DOWN)
    return (0.5 - 0.5 * math.cos(math.pi * down)) * min(1.0, done / RAMP_UP)


def _tensor(picture: Picture) -> Tensor:
    """(H, W, 3) in 0..255 -> (1, 3, H, W) in [-1, 1]."""
    return torch.tensor(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
