"""What only a GPU can show; skipped, and said so, where none is."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from machineray.gan import steps
from machineray.gan.compute import Compute
from machineray.gan.latent import (
    Walk,
    all_directions,
    drawn,
    everywhere,
    groups_of,
    mixed,
    moved,
    styles,
)
from machineray.gan.metrics import Picture
from machineray.gan.networks import Generator, calibrate, new_generator, noise_of
from machineray.gan.presets import Preset
from machineray.gan.projection import Projector
from machineray.gan.randomness import BatchRandom, batch_random
from machineray.gan.recording import Recording
from machineray.gan.sampling import sample
from machineray.gan.state import checkpoint_bytes, load_snapshot, restore
from machineray.gan.steps import new_training, step
from machineray.gan.training import Checkpoint, Config, Snapshot, train
from machineray.gan.world import World
from tests.gan.conftest import ITERATIONS, state_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

CPU, GPU = Compute(), Compute(World(device=torch.device("cuda", 0)))
RECORDED = replace(GPU, cuda_graphs=True)


@pytest.fixture(autouse=True)
def precise() -> Any:
    """Single precision is that, and the same way to compute each time."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = False, True
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = before


class Moved(BatchRandom):
    """Draws of a CPU on a GPU: theirs are others."""

    @property
    def device(self) -> torch.device:
        return GPU.device

    def _drawn(self, *words: Any) -> Tensor:
        return super()._drawn(*words).to(GPU.device)


@pytest.mark.parametrize("augment", ["ada", "fixed"])
def test_a_gpu_computes_what_a_cpu_computes(
    small: Preset, augment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = replace(small, batch=8, augment=augment)
    real_img = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    on_cpu = new_training(preset, 0, CPU)
    on_cpu.adaptation.p = 0.5
    plain = step(on_cpu, real_img)

    def moved(*words: Any) -> BatchRandom:
        found = batch_random(*words[:-1])
        return Moved(found.rngs, found.group)

    monkeypatch.setattr(steps, "batch_random", moved)
    for compute in (GPU, replace(GPU, channels_last=True), replace(GPU, micro_batch=4)):
        training = new_training(preset, 0, compute)
        training.adaptation.p = 0.5
        assert step(training, real_img.to(GPU.device)) == pytest.approx(plain, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("augment", ["ada", "fixed"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_recorded_steps_are_the_steps(small: Preset, augment: Any, precision: Any) -> None:
    """One by one, from the same weights: a GPU's sums come in any order, and small steps grow."""
    preset = replace(small, batch=8, augment=augment)
    plain = new_training(preset, 0, replace(GPU, precision=precision))
    ours = new_training(preset, 0, replace(RECORDED, precision=precision))
    tolerance = 1e-3 if precision == "fp32" else 3e-2
    rng = torch.Generator().manual_seed(0)
    for iteration in ITERATIONS:
        with torch.no_grad():
            for mine, theirs in zip(state_of(ours), state_of(plain), strict=True):
                mine.copy_(theirs)
        real_img = torch.rand(8, 3, 16, 16, generator=rng).to(GPU.device) * 2 - 1
        for training in (plain, ours):
            training.nimg = iteration * preset.batch
            training.adaptation.p = 0.5 + iteration / 100
        said, told = step(plain, real_img), step(ours, real_img)
        assert told == pytest.approx(said, rel=tolerance, abs=10 * tolerance)
    known = ours.recordings.known.values()
    assert known and all(isinstance(recording, Recording) for recording in known)


def test_a_training_goes_on_from_its_checkpoint(small: Preset, images: NDArray[np.uint8]) -> None:
    config = Config(small, kimg=0.16)
    half = list(train(replace(config, kimg=0.08), images, compute=RECORDED))
    checkpoint = [event for event in half if isinstance(event, Checkpoint)][-1]
    restored = new_training(small, 0, RECORDED)
    about = restore(restored, checkpoint.data, "c")
    assert checkpoint_bytes(restored, about) == checkpoint.data
    rest = list(train(config, images, compute=RECORDED, resume=checkpoint.data))
    assert [event.nimg for event in rest if isinstance(event, Snapshot)][-1] == 160


def test_a_snapshot_of_a_gpu_is_drawn_alike_by_a_cpu(
    small: Preset, images: NDArray[np.uint8]
) -> None:
    events = list(train(Config(small, kimg=0.08), images, compute=RECORDED))
    snapshot = [event for event in events if isinstance(event, Snapshot)][-1]
    on_cpu = load_snapshot(snapshot.data, "s").generator
    on_gpu = load_snapshot(snapshot.data, "s").generator.to(GPU.device)
    for (_, one), (_, other) in zip(
        sample(on_cpu, range(8)), sample(on_gpu, range(8)), strict=True
    ):
        assert np.abs(one.astype(int) - other).max() <= 2


def led(generator: Generator) -> Picture:
    """Seed 3, along the second direction of all that the first layer shares with others."""
    group = next(iter(groups_of(generator)))
    step = all_directions(generator, 2)[group][1]
    ws = everywhere(generator, styles(generator, (3,))[0])
    return drawn(generator, moved(ws, groups_of(generator)[group], step), noise_of(generator, (3,)))


@pytest.mark.parametrize("kind", ["stylegan2", "light"])
def test_latent_tools_draw_there_what_a_cpu_draws(small: Preset, kind: Any) -> None:
    torch.manual_seed(0)
    on_cpu = new_generator(replace(small, generator=kind))
    calibrate(on_cpu)
    on_cpu.requires_grad_(False).eval()
    on_gpu = copy.deepcopy(on_cpu).to(GPU.device)
    pictures = [
        (mixed(made, 3, 5, 1, psi=0.7), Walk(made, [3, 5, 8], psi=0.7).picture_at(0.4), led(made))
        for made in (on_cpu, on_gpu)
    ]
    for one, other in zip(*pictures, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 2


def test_a_picture_is_found_again_there(small: Preset, images: NDArray[np.uint8]) -> None:
    events = list(train(Config(small, kimg=0.08), images, compute=RECORDED))
    snapshot = [event for event in events if isinstance(event, Snapshot)][-1]
    generator = load_snapshot(snapshot.data, "s").generator.to(GPU.device)
    ((_, target),) = sample(generator, [1000])
    projector = Projector(generator, target, 40, per_layer=False)
    begun = projector.begin(range(6))
    *_, found = projector.run(begun, every=10)
    before, after = (projector.distance(projector.picture(at)) for at in (begun, found))
    assert after.total < 0.7 * before.total
