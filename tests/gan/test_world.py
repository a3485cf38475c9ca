"""One batch is one batch: in one pass or several, in one process or many.

In double precision: Adam's first steps are as long for a gradient of 1e-9 as for one of 1, so in
single precision the rounding of what should be 0 would be seen as a difference.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from machineray.errors import UsageError
from machineray.gan import features, projected
from machineray.gan.compute import Compute
from machineray.gan.presets import Preset
from machineray.gan.state import unpacked
from machineray.gan.training import Checkpoint, Config, Tick, train
from machineray.gan.world import World, joined_world

pytestmark = pytest.mark.xdist_group("world")  # trained in two processes once

KINDS = ("stylegan2-stylegan2", "light-projected", "stylegan2-projected", "light-stylegan2")
SHORT_KIMG, KIMG = 0.008, 0.016
INPUT_PX = 32  # of the frozen features, instead of 128: double precision is slow there


def preset_of(kind: str) -> Preset:
    """A batch of eight in groups of four; p of the augmentation rises from the first steps on."""
    from machineray.gan.presets import preset_named

    generator, discriminator = kind.split("-")
    return replace(
        preset_named("tiny"),
        name=kind,
        resolution=16,
        channel_base=256,
        channel_max=16,
        z_dim=16,
        batch=8,
        group=4,
        generator=generator,
        discriminator=discriminator,
        augment="ada",
        ada_target=-1.0,
        tick_kimg=0.008,
    )


def pictures() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (5, 3, 16, 16), np.uint8)


def trained(kind: str, kimg: float, compute: Compute, resume: bytes | None = None) -> bytes:
    """The last checkpoint; nothing from any process but the first."""
    events = train(Config(preset_of(kind), kimg=kimg), pictures(), compute=compute, resume=resume)
    checkpoints = [event.data for event in events if isinstance(event, Checkpoint)]
    assert bool(checkpoints) == (compute.world.rank == 0)
    return checkpoints[-1] if checkpoints else b""


def work(folder: Path) -> None:
    """What each process does: every kind, a short training and a whole one."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    projected.INPUT_PX = INPUT_PX
    with joined_world() as world:
        for kind in KINDS:
            for name, kimg in (("short", SHORT_KIMG), ("whole", KIMG)):
                data = trained(kind, kimg, Compute(world))
                if world.rank == 0:
                    (folder / f"{kind}-{name}").write_bytes(data)


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Also of the feature network, which is made once a process."""
    monkeypatch.setattr(projected, "INPUT_PX", INPUT_PX)
    features._pretrained.cache_clear()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
    features._pretrained.cache_clear()


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoints of two processes that train over gloo."""
    folder = tmp_path_factory.mktemp("world")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            [sys.executable, __file__, str(folder)], env={**os.environ, **place, "RANK": str(rank)}
        )
        for rank in range(2)
    ]
    assert [process.wait(240) for process in started] == [0, 0]
    return folder


def assert_close(first: bytes, second: bytes) -> None:
    """Checkpoints hold the same numbers but for rounding."""
    (one, about_one), (two, about_two) = unpacked(first, "first"), unpacked(second, "second")
    assert one.keys() == two.keys()
    for name in one:
        assert one[name].dtype in (torch.float64, torch.int64, torch.float32)
        torch.testing.assert_close(one[name], two[name], rtol=1e-5, atol=1e-6, msg=name)
    assert about_one["nimg"] == about_two["nimg"]
    assert about_one["adaptation"] == pytest.approx(about_two["adaptation"])


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_or_two_passes_train_what_one_does(kind: str, together: Path) -> None:
    alone = trained(kind, KIMG, Compute())
    assert_close(alone, (together / f"{kind}-whole").read_bytes())
    assert_close(alone, trained(kind, KIMG, Compute(micro_batch=4)))
    halfway = (together / f"{kind}-short").read_bytes()
    assert_close(alone, trained(kind, KIMG, Compute(), resume=halfway))


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("kind", KINDS)
def test_the_values_of_a_tick_are_those_of_the_whole_batch(kind: str) -> None:
    one, two = (
        next(
            event.values
            for event in train(Config(preset_of(kind), kimg=0.008), pictures(), compute=compute)
            if isinstance(event, Tick)
        )
        for compute in (Compute(), Compute(micro_batch=4))
    )
    assert one == pytest.approx(two, rel=1e-6)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(UsageError, match="2 groups of samples cannot be shared by 3 processes"):
        World(0, 3).share(2)


if __name__ == "__main__":
    work(Path(sys.argv[1]))
