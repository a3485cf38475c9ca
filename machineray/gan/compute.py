"""How a training is computed: device, precision, share of the batch. Never what is computed."""

import ctypes
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from machineray.gan.presets import Preset
from machineray.gan.world import World

Precision = Literal["fp32", "bf16"]
CPU_HAS_BF16 = ("amx_bf16", "avx512_bf16")  # by torch's names; others would emulate it


def usual_precision(device: torch.device, preset: Preset) -> Precision:
    """bf16 where that is measured, or known, to be faster: a GPU or a CPU that computes in it.

    On a CPU for the projected discriminator's trainings only (DECISIONS.md).
    """
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    known: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # not in torch 2.6
    has_it = device.type == "cpu" and any(known.get(name, False) for name in CPU_HAS_BF16)
    return "bf16" if has_it and preset.discriminator == "projected" else "fp32"


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
BIGGEST = 32 << 20  # bytes; glibc takes no higher threshold on 64 bits


def keep_freed_memory() -> None:
    """Let this process keep what a step frees for the next one, where the C library is glibc.

    It gives blocks of a tensor's size back to the system and has them zeroed anew each time, a
    tenth of a step's CPU time (DECISIONS.md); the peak stays what it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, BIGGEST)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


@dataclass(frozen=True)
class Compute:
    """The means of a training. Another choice gives other last bits, no other training.

    `micro_batch` is how many samples one pass has at most, 0: all of the process's share.
    `cuda_graphs`: a GPU is told a step's operations once (recording.py).
    """

    world: World = field(default_factory=World)
    micro_batch: int = 0
    precision: Precision = "fp32"
    channels_last: bool = False
    compile: bool = False
    cuda_graphs: bool = False

    @property
    def device(self) -> torch.device:
        """Where it happens."""
        return self.world.device

    def place(self, network: nn.Module) -> None:
        """Move a network to the device, in the order of memory that is wanted."""
        network.to(self.device)
        if self.channels_last:
            network.to(memory_format=torch.channels_last)

    def autocast(self) -> AbstractContextManager[object]:
        """Convolutions in bfloat16 inside, where that is wanted; weights stay in single."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def compiled(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """The function, compiled where that is wanted.

        A double backward cannot go through it, so the regularisers keep to the plain one.
        """
        return torch.compile(function) if self.compile else function


# MemoryError and torch.OutOfMemoryError aside, allocators speak in RuntimeErrors: torch's own on a
# CPU, oneDNN's (whose second one has no room for its machine code), cuDNN's and cuBLAS's.
FULL = re.compile(
    "can't allocate memory|not enough memory|out of memory|bad_alloc|ALLOC_FAILED"
    "|could not create a (memory|primitive)$"
)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an allocator gave up, be it that other errors followed from that."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, RuntimeError) and FULL.search(str(error)):
        return True
    return error is not None and is_out_of_memory(error.__context__)
