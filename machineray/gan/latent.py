"""What a generator takes in: a w for each of its layers. Mixing, walks and directions are here.

StyleGAN2 has num_ws layers. The light generator has z itself for its w, and takes it in at two
places (light.LightGenerator.PLACES): those are its layers here.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from machineray.gan.layers import ModulatedConv
from machineray.gan.light import LightGenerator
from machineray.gan.metrics import Picture
from machineray.gan.networks import Generator, latents, noise_of
from machineray.gan.randomness import generator_for
from machineray.gan.sampling import to_uint8

SPREAD_SAMPLES = 512
# Karras 2019, sec. 3.1: 4 and 8 px, 16 and 32 px, and the rest; two layers a resolution.
STYLEGAN2_GROUPS = {"coarse": (0, 4), "middle": (4, 8), "fine": (8, None)}


def layers_of(generator: Generator) -> int:
    """How many layers may each have a w of its own."""
    if isinstance(generator, LightGenerator):
        return len(generator.PLACES)
    return generator.num_ws


def groups_of(generator: Generator) -> Mapping[str, Sequence[int]]:
    """Name -> the layers that belong together, in their order."""
    if isinstance(generator, LightGenerator):
        return {place: (number,) for number, place in enumerate(generator.PLACES)}
    numbers = range(generator.num_ws)
    parts = {name: numbers[first:end] for name, (first, end) in STYLEGAN2_GROUPS.items()}
    return {"all": numbers} | {name: part for name, part in parts.items() if part}


@torch.inference_mode()
def styles(generator: Generator, seeds: Sequence[int], psi: float = 1.0) -> Tensor:
    """w (N, w_dim), truncated."""
    return torch.lerp(generator.w_avg, generator.mapping(latents(generator, seeds)), psi)


@torch.inference_mode()
def drawn(generator: Generator, ws: Tensor, noise: Sequence[Tensor]) -> Picture:
    """A w for each layer (layers, w_dim), noise of one sample -> its picture (H, W, 3)."""
    picture: Picture = to_uint8(generator.synthesis(ws[None], noise))[0]
    return picture


def everywhere(generator: Generator, w: Tensor) -> Tensor:
    """One w (w_dim,) for all layers -> (layers, w_dim)."""
    return w.expand(layers_of(generator), -1)


def mixed(generator: Generator, first: int, second: int, layer: int, psi: float = 1.0) -> Picture:
    """Seed `first`, with the w of seed `second` from `layer` on (Karras 2019, sec. 3.1).

    The noise is that of `first`: mixed with itself, a seed is the picture that `generate` draws.
    """
    w = styles(generator, (first, second), psi)
    rows = [w[0]] * layer + [w[1]] * (layers_of(generator) - layer)
    return drawn(generator, torch.stack(rows), noise_of(generator, (first,)))


class Walk:
    """A closed walk from seed to seed, all as far apart in time; the noise stays the same.

    A closed Catmull-Rom spline through their w. Where w is z itself, a point is as long as the
    seeds to its left and right are: Gaussian vectors of many dimensions all are about as long, and
    a shorter one would be a paler picture.
    """

    def __init__(self, generator: Generator, seeds: Sequence[int], psi: float) -> None:
        """Raises ValueError for less than two seeds."""
        if len(seeds) < 2:
            raise ValueError(f"{len(seeds)} seeds: a walk needs two")
        self._generator = generator
        self._points = styles(generator, seeds, psi)
        self._noise = noise_of(generator, seeds[:1])

    def w_at(self, place: float) -> Tensor:
        """(w_dim,) at a place: 0 is the first seed, 1 the first one again."""
        count = len(self._points)
        before = int(place * count // 1)
        t = place * count - before
        p0, p1, p2, p3 = (self._points[(before + step) % count] for step in (-1, 0, 1, 2))
        # Catmull and Rom 1974: through p1 and p2, with slopes (p2 - p0) / 2 and (p3 - p1) / 2.
        w = p1 + t / 2 * (
            p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0))
        )
        if isinstance(self._generator, LightGenerator):
            w = w * (torch.lerp(p1.norm(), p2.norm(), t) / w.norm().clamp_min(1e-6))
        return w

    def picture_at(self, place: float) -> Picture:
        """(H, W, 3)."""
        return drawn(self._generator, everywhere(self._generator, self.w_at(place)), self._noise)


# -- closed-form directions (SeFa: Shen & Zhou 2021, arXiv 2007.06600)


def layer_weights(generator: Generator) -> list[Tensor]:
    """For each layer the matrix (rows, w_dim) by which it takes in its w."""
    if isinstance(generator, LightGenerator):
        # What batch norm does to the first maps is linear, and belongs to how they take z in.
        norm = generator.first_norm
        assert norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        first = (generator.first.weight * scale[:, None, None]).flatten(1).T
        palette = torch.cat((generator.palette.style.weight, generator.palette.background.weight))
        return [first.detach(), palette.detach()]
    taken: list[list[Tensor]] = [[] for _ in range(generator.num_ws)]
    first_layer = 0
    for block in generator.blocks:
        # One a style, in the order in which the block takes them.
        convs = [module for module in block.modules() if isinstance(module, ModulatedConv)]
        for number, conv in enumerate(convs, first_layer):
            taken[number].append((conv.affine.weight * conv.affine.gain).detach())
        first_layer += len(convs) - 1  # the picture's layer is the first of the next block
    return [torch.cat(matrices) for matrices in taken]


def directions(generator: Generator, layers: Sequence[int], count: int) -> Tensor:
    """(at most `count`, w_dim): along which these layers change most, each of length 1.

    The eigenvectors of A^T A, largest first (eq. 5 and 6); A is the layers' matrices, one below
    the other. The sign, which is free, makes the largest component positive.
    """
    weights = layer_weights(generator)
    rows = torch.cat([weights[layer] for layer in layers]).double()
    # On the CPU, because of vectors whose values are alike: a solver may turn them as it likes.
    _, vectors = torch.linalg.eigh((rows.T @ rows).cpu())
    found = vectors.flip(1).T[:count]
    largest = found.gather(1, found.abs().argmax(dim=1, keepdim=True))
    signed: Tensor = found * largest.sign()
    return signed.float().to(rows.device)


def all_directions(generator: Generator, count: int) -> dict[str, Tensor]:
    """Group of layers -> its `directions`, each as long as w spreads along it."""
    found = {}
    for group, layers in groups_of(generator).items():
        vectors = directions(generator, layers, count)
        found[group] = vectors * spread(generator, vectors)[:, None]
    return found


@torch.inference_mode()
def spread(generator: Generator, vectors: Tensor) -> Tensor:
    """(N, w_dim) -> (N,): the standard deviation of w along each, over SPREAD_SAMPLES fixed z."""
    rng = generator_for("spread", SPREAD_SAMPLES)
    z = torch.randn(SPREAD_SAMPLES, generator.z_dim, generator=rng)
    w = generator.mapping(z.to(vectors.device))
    deviations: Tensor = (w @ vectors.T).std(dim=0)
    return deviations


def moved(ws: Tensor, layers: Sequence[int], step: Tensor) -> Tensor:
    """(layers, w_dim) with `step` (w_dim,) added to some of the layers."""
    ws = ws.clone()
    ws[list(layers)] += step
    return ws
