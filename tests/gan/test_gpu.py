"""What only a GPU can show; skipped, and said so, where none is."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from machineray.errors import ConfigurationError
from machineray.gan import steps
from machineray.gan.compute import Compute
from machineray.gan.memory import memory_watched
from machineray.gan.presets import Preset, preset_named
from machineray.gan.randomness import BatchRandom, batch_random
from machineray.gan.recording import Recording
from machineray.gan.sampling import sample
from machineray.gan.state import load_snapshot
from machineray.gan.steps import Training, new_training, step
from machineray.gan.training import Checkpoint, Config, Snapshot, Tick, train
from machineray.gan.world import World

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

CPU, GPU = Compute(), Compute(World(device=torch.device("cuda", 0)))
RECORDED = replace(GPU, cuda_graphs=True)
ITERATIONS = (0, 1, 4, 16, 2, 8, 3)  # each kind of step as usual, recorded, and once more


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


def told_by(training: Training) -> list[dict[str, float]]:
    preset, rng = training.preset, torch.Generator().manual_seed(0)
    told = []
    for iteration in ITERATIONS:
        real_img = torch.rand(preset.batch, 3, *preset.size.shapes[-1], generator=rng) * 2 - 1
        training.nimg, training.adaptation.p = iteration * preset.batch, 0.5 + iteration / 100
        told.append(step(training, real_img.to(training.compute.device)))
    return told


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
    preset = replace(small, batch=8, augment=augment)
    plain = new_training(preset, 0, replace(GPU, precision=precision))
    ours = new_training(preset, 0, replace(RECORDED, precision=precision))
    said, told = told_by(plain), told_by(ours)
    known = ours.recordings.known.values()
    assert known and all(isinstance(recording, Recording) for recording in known)
    tolerance = 1e-3 if precision == "fp32" else 3e-2
    for one, other in zip(told, said, strict=True):
        assert one == pytest.approx(other, rel=tolerance, abs=tolerance)


def losses(events: list[Any]) -> list[dict[str, float]]:
    return [event.values for event in events if isinstance(event, Tick)]


def test_a_training_goes_on_from_its_checkpoint(small: Preset, images: NDArray[np.uint8]) -> None:
    config = Config(replace(small, augment="fixed"), kimg=0.16)
    whole = list(train(config, images, compute=RECORDED))
    half = list(train(replace(config, kimg=0.08), images, compute=RECORDED))
    checkpoint = [event for event in half if isinstance(event, Checkpoint)][-1]
    rest = list(train(config, images, compute=RECORDED, resume=checkpoint.data))
    for one, other in zip(losses(rest), losses(whole)[len(losses(half)) :], strict=True):
        assert one == pytest.approx(other, rel=0.05, abs=0.05)


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


def test_compiled_networks_compute_the_same() -> None:
    preset = replace(preset_named("tiny"), augment="none")
    real_img = torch.rand(8, 3, 32, 32, device=GPU.device) * 2 - 1
    plain = step(new_training(preset, 0, GPU), real_img)
    compiled = step(new_training(preset, 0, replace(GPU, compile=True)), real_img)
    assert compiled == pytest.approx(plain, rel=1e-2, abs=1e-2)


def test_where_memory_is_short_a_batch_that_fits_is_named() -> None:
    preset = replace(preset_named("paintings256"), batch=64)
    free, _ = torch.cuda.mem_get_info()
    taken = torch.empty(free - 6 * 2**30, dtype=torch.uint8, device=GPU.device)
    said = pytest.raises(ConfigurationError, match=r"--micro-batch \d+ was tried and fits")
    with said, memory_watched(preset, RECORDED):
        training = new_training(preset, 0, RECORDED)
        for iteration in (1, 2, 3):
            training.nimg = iteration * preset.batch
            step(training, torch.zeros(64, 3, 256, 256, device=GPU.device))
    del taken
