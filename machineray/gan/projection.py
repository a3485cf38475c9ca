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
from machineray.gan.networks import Generator, noise_of
from machineray.gan.randomness import generator_for
from machineray.gan.sampling import sample
from machineray.gan.state import packed, unpacked

FEATURE_PX, MOST_FEATURE_PX = 128, 256  # of the shorter side
STRIDE = 32  # of the last maps
PIXELS = 32  # of the shorter side: colours and planes, not texture
PIXEL_WEIGHT = 1.0
LEARNING_RATE = 0.1
RAMP_UP, RAMP_DOWN = 0.05, 0.25  # shares of the steps (app. D)
W_NOISE, W_NOISE_UNTIL = 0.05, 0.75  # standard deviations of w; share of the steps (app. D)
POINTS = 192  # that are kept of the way, for a film of it
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
        """Target (1, 3, H, W) in [-1, 1], where the pictures will be."""
        self._network = FeatureNetwork().to(target.device)
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
    """How far it is: everything that a resume needs, as values; its size does not grow with steps.

    Points are w - w_avg in standard deviations, (layers or 1, w_dim). `path` has those after
    evenly chosen steps, the start first, at most POINTS + 1 of them; `moments` are Adam's, two rows
    of points. `distance` is that before the last step.
    """

    seed: int  # where it began
    steps: int  # that are done
    point: Tensor
    moments: Tensor
    path: Tensor
    distance: Distance

    def to(self, device: torch.device) -> "Projection":
        """The same, there."""
        tensors = (self.point, self.moments, self.path)
        point, moments, path = (tensor.to(device) for tensor in tensors)
        return replace(self, point=point, moments=moments, path=path)


def packed_projection(found: Projection) -> bytes:
    """As a file, for a resume."""
    tensors = {"point": found.point, "moments": found.moments, "path": found.path}
    about = {"seed": found.seed, "steps": found.steps, "distance": vars(found.distance)}
    return packed(tensors, about)


def unpacked_projection(data: bytes, name: str) -> Projection:
    """The same again; InputError when it is no such file."""
    tensors, about = unpacked(data, name)
    try:
        distance = Distance(**about["distance"])
        return Projection(int(about["seed"]), int(about["steps"]), **tensors, distance=distance)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{name}: not the state of a projection; remove it") from error


class Projector:
    """Finds a target in a generator; every step is a function of the one before and its number."""

    def __init__(self, generator: Generator, target: Picture, steps: int, per_layer: bool) -> None:
        """Target (H, W, 3) of the generator's size. `per_layer`: a w for each layer (W+)."""
        self.generator, self.steps = generator, steps
        self.rows = layers_of(generator) if per_layer else 1
        self._device = generator.w_avg.device
        self._likeness = Likeness(self._tensor(target))
        w = styles(generator, range(512))
        self._scale = (w - generator.w_avg).square().mean().sqrt()

    def begin(self, seeds: Sequence[int]) -> Projection:
        """At the seed whose picture is nearest to the target."""
        samples = sample(self.generator, seeds)
        found = [(self.distance(picture).total, seed) for seed, picture in samples]
        _, seed = min(found)
        w = styles(self.generator, (seed,))
        start = ((w - self.generator.w_avg) / self._scale).expand(self.rows, -1).clone()
        nearest = Distance(float("inf"), float("inf"))
        return Projection(seed, 0, start, start.new_zeros(2, *start.shape), start[None], nearest)

    def run(self, at: Projection, every: int) -> Iterator[Projection]:
        """Go on to the end; what there is after each `every` steps, and at the end."""
        noise, at = noise_of(self.generator, (at.seed,)), at.to(self._device)
        marks = {number * self.steps // POINTS for number in range(POINTS + 1)}
        moments, path = at.moments.clone(), list(at.path)
        for step in range(at.steps, self.steps):
            point, distance = self._moved(at.point, moments, step, noise)
            if step + 1 in marks:
                path.append(point)
            at = Projection(at.seed, step + 1, point, moments, at.path, distance)
            if at.steps % every == 0 or at.steps == self.steps:
                at = replace(at, moments=moments.clone(), path=torch.stack(path))
                yield at

    def _moved(
        self, point: Tensor, moments: Tensor, step: int, noise: Sequence[Tensor]
    ) -> tuple[Tensor, Distance]:
        """One step of Adam (betas .9, .999); `moments` are changed in place."""
        done = step / self.steps
        rng = generator_for("projection", step)
        shake = W_NOISE * max(0.0, 1 - done / W_NOISE_UNTIL) ** 2
        shaken = point + shake * torch.randn(point.shape, generator=rng).to(self._device)
        at = shaken.requires_grad_(True)
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
        w = self.generator.w_avg + self._scale * point.to(self._device)
        return w.expand(layers_of(self.generator), -1)

    def ws(self, point: Tensor) -> Tensor:
        """A point of the path -> w for each layer (layers, w_dim)."""
        return self._ws(point).contiguous()

    def picture(self, found: Projection, place: int = -1) -> Picture:
        """What the network draws at a place of the path (H, W, 3)."""
        noise = noise_of(self.generator, (found.seed,))
        return drawn(self.generator, self.ws(found.path[place]), noise)

    @torch.inference_mode()
    def distance(self, picture: Picture) -> Distance:
        """Of a picture (H, W, 3) to the target."""
        features, pixels = self._likeness(self._tensor(picture))
        return Distance(float(features), float(pixels))

    def _tensor(self, picture: Picture) -> Tensor:
        """(H, W, 3) in 0..255 -> (1, 3, H, W) in [-1, 1]."""
        pixels = torch.tensor(np.ascontiguousarray(picture)).to(self._device)
        return pixels.permute(2, 0, 1)[None].float() / 127.5 - 1


def _ramp(done: float) -> float:
    """The share of the learning rate at a share of the steps: up, level, down by a cosine."""
    down = min(1.0, (1 - done) / RAMP_DOWN)
    return (0.5 - 0.5 * math.cos(math.pi * down)) * min(1.0, done / RAMP_UP)
