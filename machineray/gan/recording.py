"""A step recorded as one graph of a GPU's operations, and begun again by a single call.

A step of a small network is some thousands of short operations: to tell a GPU each of them takes
several times as long as they take (DECISIONS.md). Nothing in a recorded step may ask what a tensor
holds. What differs from step to step comes through tensors that stay where they are: the pictures,
what chance decides, ADA's p.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from machineray.errors import ConfigurationError
from machineray.gan.compute import is_out_of_memory
from machineray.gan.randomness import BatchRandom, Notes

Values = dict[str, Tensor]
Random = Callable[[str, range], BatchRandom]


@dataclass
class Inputs:
    """What a kind of step reads: pictures (N, 3, H, W), p, and all draws, by purpose and groups."""

    real_img: Tensor
    p: Tensor
    draws: list[tuple[str, range, BatchRandom, Notes]] = field(default_factory=list)
    given: int | None = None  # of the draws, while the step is recorded

    def random(self, purpose: str, groups: range, random: Random) -> BatchRandom:
        """New draws that are kept; or the kept ones, in the order in which they were asked for."""
        if self.given is None:
            notes = Notes()
            drawn = replace(random(purpose, groups), notes=notes)
            self.draws.append((purpose, groups, drawn, notes))
            return drawn
        asked, of, drawn, notes = self.draws[self.given]
        assert (asked, of) == (purpose, groups), f"{purpose}, but it was {asked}"
        self.given += 1
        notes.again = iter(notes.drawings)
        return drawn

    def fill(self, real_img: Tensor, p: float, random: Random) -> None:
        """Those of another step."""
        self.real_img.copy_(real_img)
        self.p.fill_(p)
        for purpose, groups, _, notes in self.draws:
            random(purpose, groups).redraw(notes)


Compute = Callable[[Inputs], Values]


class Recording:
    """One kind of step, whose operations have all run once before."""

    def __init__(self, compute: Compute, inputs: Inputs, pool: Any) -> None:
        """Record it; nothing is computed yet.

        Recordings of one `pool` share memory: only one of them runs at a time, and its values are
        read before the next one does. The inputs lie outside of it.
        """
        self.inputs = inputs
        inputs.given = 0
        self.graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(self.graph, pool=pool):
                self.values = compute(inputs)
        except RuntimeError as error:
            if is_out_of_memory(error):  # told by whoever watches the memory
                raise
            raise ConfigurationError(
                f"a step cannot be recorded as a CUDA graph here ({str(error).splitlines()[0]}): "
                "the same command with --no-cuda-graphs goes on, slower"
            ) from error

    def run(self, real_img: Tensor, p: float, random: Random) -> Values:
        """Begin a step; its values come when the GPU is done."""
        self.inputs.fill(real_img, p, random)
        self.graph.replay()
        return self.values


@dataclass
class Recordings:
    """A recording for each kind of step, made when a kind comes for the second time.

    The first time it is computed as usual, which makes ready all that it needs.
    """

    known: dict[Hashable, Inputs | Recording] = field(default_factory=dict)
    pool: Any = None  # torch's handle of the memory that recordings share

    def run(
        self, kind: Hashable, compute: Compute, real_img: Tensor, p: float, random: Random
    ) -> Values:
        """Begin a step of that kind."""
        known = self.known.get(kind)
        if known is None:
            inputs = Inputs(real_img.clone(), torch.full((), p, device=real_img.device))
            self.known[kind] = inputs
            return compute(inputs)
        if isinstance(known, Inputs):
            self.pool = self.pool or torch.cuda.graph_pool_handle()
            known = self.known[kind] = Recording(compute, known, self.pool)
        return known.run(real_img, p, random)
