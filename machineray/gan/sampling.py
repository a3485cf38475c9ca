"""Samples of a generator: one picture a seed, the same alone or among many."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from machineray.gan.networks import Generator, draw, latents, noise_of


def to_uint8(images: Tensor) -> NDArray[np.uint8]:
    """(N, 3, H, W) about [-1, 1] -> (N, H, W, 3) in 0..255, rounded and clipped."""
    levels = ((images.float() + 1) * 127.5).round().clamp(0, 255)
    pixels: NDArray[np.uint8] = levels.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return pixels


@torch.inference_mode()
def sample(
    generator: Generator, seeds: Sequence[int], psi: float = 1.0, batch: int = 8
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(seed, picture (H, W, 3)) for each seed.

    z and the noise of a seed come from a random generator of its own. On a CPU the network sees
    one sample at a time whatever `batch` is: the libraries choose other algorithms, with other
    last bits, for other batch sizes, and larger ones are not faster there (bench/generate.py).
    """
    together = batch if generator.w_avg.device.type == "cuda" else 1
    for start in range(0, len(seeds), together):
        chosen = list(seeds[start : start + together])
        # A last batch that is short is filled up, so that all are computed alike.
        filled = chosen + chosen[-1:] * (together - len(chosen))
        images = draw(generator, latents(generator, filled), noise_of(generator, filled), psi)
        yield from zip(chosen, to_uint8(images), strict=False)


def grid(pictures: Sequence[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Pictures (H, W, 3) in rows of `columns`, without gaps; the last row must be full."""
    rows = [np.concatenate(pictures[i : i + columns], 1) for i in range(0, len(pictures), columns)]
    return np.concatenate(rows, 0)
