"""Small networks of every combination, and pictures for them."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from machineray.gan.presets import Preset, preset_named
from machineray.gan.steps import Training

SMALL = {
    "resolution": 16,
    "channel_base": 256,
    "channel_max": 16,
    "z_dim": 16,
    "batch": 4,
    "group": 4,
}

# Of steps: each kind as usual, each recorded and run, and one of them once more.
ITERATIONS = (0, 1, 4, 16, 2, 8, 3)


def state_of(training: Training) -> list[Tensor]:
    """All that a training remembers between two steps."""
    networks = (training.generator, training.discriminator, training.generator_ema)
    weights = [value for network in networks for value in network.state_dict().values()]
    optimizers = (training.optimizer_g, training.optimizer_d)
    moments = [value for optimizer in optimizers for value in optimizer.tensors().values()]
    return [*weights, *moments, training.pl_mean]


def compilers_loaded_by(code: str, folder: Path | None = None) -> str:
    """Which parts of torch's compiler a fresh process has after the code, as a list of names."""
    told = "\nimport sys\nprint([n for n in ('torch._dynamo', 'sympy') if n in sys.modules])"
    command = [sys.executable, "-c", code + told]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two test processes with two threads each would wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(
    params=["stylegan2-stylegan2", "light-projected", "stylegan2-projected", "light-stylegan2"]
)
def small(request: pytest.FixtureRequest) -> Preset:
    """A network small enough for a test, in each combination of generator and discriminator."""
    generator, discriminator = request.param.split("-")
    return replace(
        preset_named("tiny"),
        **SMALL,
        name=request.param,
        generator=generator,
        discriminator=discriminator,
        tick_kimg=0.008,
    )


@pytest.fixture
def images() -> NDArray[np.uint8]:
    """Five pictures (5, 3, 16, 16) of two colours each."""
    rng = np.random.default_rng(0)
    pictures = np.empty((5, 3, 16, 16), np.uint8)
    for picture in pictures:
        picture[:] = rng.integers(0, 256, (3, 1, 1))
        picture[:, 4:12, int(rng.integers(0, 8)) :] = rng.integers(0, 256, (3, 1, 1))
    return pictures
