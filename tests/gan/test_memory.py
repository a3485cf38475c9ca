"""Out of memory: which micro-batch fits is said, and it does."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from machineray.errors import ConfigurationError
from machineray.gan.compute import Compute, is_out_of_memory
from machineray.gan.memory import memory_watched
from machineray.gan.presets import preset_named

# What a process of its own does: limit its memory to what it has and ROOM, then try a step.
# PRESET wants 0.65 GiB or more by the instructions of the CPU (AVX-512: least), eight of its
# pictures at a time less than 0.2.
ROOM = 550 * 2**20
LIMITED = """
import resource, sys
from pathlib import Path
import torch
from machineray.errors import ConfigurationError
from machineray.gan.compute import Compute
from machineray.gan.memory import memory_watched
from machineray.gan.steps import new_training, step
from tests.gan.test_memory import PRESET, ROOM

torch.set_num_threads(1)
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM,) * 2)
compute = Compute(micro_batch=int(sys.argv[1]))
try:
    with memory_watched(PRESET, compute):
        step(new_training(PRESET, 0, compute), torch.zeros(PRESET.batch, 3, 64, 64))
except ConfigurationError as error:
    sys.exit(str(error))
"""
PRESET = replace(preset_named("tiny"), resolution=64, channel_base=1024, channel_max=16, batch=128)


def limited(micro_batch: int) -> str:
    """What is said to a step with little memory; nothing when it ends well."""
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, str(micro_batch)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    assert (ended.returncode == 0) == (ended.stderr == "")
    return ended.stderr.strip()


@pytest.mark.timeout(600)  # four processes that load torch
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc tells memory here")
def test_a_batch_too_large_for_the_memory_names_the_one_that_fits() -> None:
    said = limited(0)
    found = re.search(r"128 pictures at a time; a step with --micro-batch (\d+) was tried", said)
    assert found, said
    assert "\n" not in said
    assert 4 <= int(found[1]) < 128
    assert limited(int(found[1])) == ""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        RuntimeError("could not create a primitive"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
    ],
    ids=lambda error: type(error).__name__ + str(error)[:24],
)
def test_the_words_of_every_allocator_are_known(error: Exception) -> None:
    assert is_out_of_memory(error)


def test_what_followed_from_too_little_memory_is_known_too() -> None:
    try:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        finally:
            raise RuntimeError("CUDA error: operation failed due to a previous error")
    except RuntimeError as error:
        assert is_out_of_memory(error)


def test_other_errors_stay_as_they_are() -> None:
    preset = preset_named("tiny")
    for error in (RuntimeError("could not create a primitive descriptor"), ValueError("x")):
        with pytest.raises(type(error), match=str(error)), memory_watched(preset, Compute()):
            raise error


def test_a_batch_that_cannot_be_cut_wants_another_network_or_machine() -> None:
    preset = preset_named("demo")
    assert preset.batch == preset.group
    with (
        pytest.raises(ConfigurationError, match=r"8 pictures at a time\): take a smaller --preset"),
        memory_watched(preset, Compute()),
    ):
        raise MemoryError
