"""The processes of one training: which share of each batch is whose, and one sum over all.

A step's gradients go through one flat all-reduce, with whatever else is to be summed behind them.
That is exact for the lazy regularisers, too, and another number of processes can go on from it.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import torch
from torch import Tensor, distributed

from machineray.devices import has_gpu
from machineray.errors import TemporaryError, UsageError

TIMEOUT = timedelta(minutes=10)  # a peer that says nothing for so long is gone


@dataclass(frozen=True)
class World:
    """This process among the others."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def share(self, groups: int) -> range:
        """The groups of a batch that are this process's: neighbours; UsageError when uneven."""
        if groups % self.size:
            raise UsageError(
                f"a batch of {groups} groups of samples cannot be shared by {self.size} processes: "
                f"set --batch to a multiple of {self.size} groups, or take fewer GPUs or nodes"
            )
        mine = groups // self.size
        return range(self.rank * mine, (self.rank + 1) * mine)

    def total(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The tensors, each summed over all processes, by one all-reduce.

        TemporaryError when another process is gone: the training goes on from its last checkpoint.
        """
        if self.size == 1:
            return list(tensors)
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        try:
            distributed.all_reduce(flat)
        except RuntimeError as error:
            # "[file:line] Connection closed by peer [address]. This is typically …"
            reason = re.sub(r"^\[[^]]*\] ", "", str(error).splitlines()[0]).partition(". ")[0]
            raise TemporaryError(
                f"another process of this training is gone ({reason}); the same command goes on "
                "from the last checkpoint"
            ) from error
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]

    def told_by_first(self, number: int) -> int:
        """The first process's number, in every process."""
        mine = float(number) if self.rank == 0 else 0.0
        (told,) = self.total([torch.tensor([mine], dtype=torch.float64, device=self.device)])
        return int(told.item())

    def any(self, mine: bool) -> bool:
        """Whether it is true in any process: all stop at the same step."""
        if self.size == 1:
            return mine
        (told,) = self.total([torch.tensor([float(mine)], device=self.device)])
        return bool(told.item() > 0)


@contextmanager
def joined_world() -> Iterator[World]:
    """The world that torchrun's variables describe; without them, this process alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if torch.cuda.is_available():
        torch.cuda.set_device(local)
    is_cuda = has_gpu()
    device = torch.device("cuda", local) if is_cuda else torch.device("cpu")
    if size == 1:
        yield World(device=device)
        return
    distributed.init_process_group("nccl" if is_cuda else "gloo", timeout=TIMEOUT)
    try:
        yield World(distributed.get_rank(), size, device)
    finally:
        distributed.destroy_process_group()
