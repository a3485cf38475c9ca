"""What a step of training costs, counted and not measured: operations, kept maps, what is sent.

On the meta device: no memory, no time, the same figures on every machine.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from machineray.gan.kinds import PATH_LENGTH_EVERY, R1_EVERY, has_path_length, has_r1
from machineray.gan.losses import path_lengths, r1_penalty
from machineray.gan.networks import learned_parameters, new_discriminator, new_generator
from machineray.gan.presets import Preset


@dataclass(frozen=True)
class Part:
    """A part of a step, a picture: operations (additions and multiplications both), kept bytes.

    `kept_bytes` is what the graph holds when its backward pass begins; weights do not count.
    """

    gflop: float
    kept_bytes: int


@dataclass(frozen=True)
class Counts:
    """Parameters that learn; the parts of a step; a regulariser that a preset has not is None."""

    generator_parameters: int
    discriminator_parameters: int
    generated: Part  # a picture, with its graph
    discriminator_step: Part  # a real and a generated picture, one after the other
    generator_step: Part  # the picture judged, and back through both networks
    r1: Part | None
    path_length: Part | None

    @property
    def gflop(self) -> float:
        """Of a training picture; the regularisers as seldom as they come, path length for half."""
        lazy = self.r1.gflop / R1_EVERY if self.r1 else 0.0
        lazy += self.path_length.gflop / 2 / PATH_LENGTH_EVERY if self.path_length else 0.0
        parts = (self.generated, self.generator_step, self.discriminator_step)
        return sum(part.gflop for part in parts) + lazy

    @property
    def sent_bytes(self) -> float:
        """What a process gives to the all-reduces of a step, in single precision, on average."""
        generator = 1 + (1 / PATH_LENGTH_EVERY if self.path_length else 0)
        discriminator = 1 + (1 / R1_EVERY if self.r1 else 0)
        parameters = self.generator_parameters * generator
        return 4 * (parameters + self.discriminator_parameters * discriminator)


def counted(preset: Preset) -> Counts:
    """The counts of a preset: of one group of samples, divided by their number."""
    group = preset.group
    with torch.device("meta"):
        generator = new_generator(preset)
        noise = [torch.empty(group, 1, *shape) for shape in generator.noise_shapes]
        z = torch.empty(group, preset.z_dim)
    with torch.random.fork_rng():
        discriminator = new_discriminator(preset, 0).to("meta")
    of_g, of_d = learned_parameters(generator), learned_parameters(discriminator)
    weights = {_address(p) for p in (*generator.parameters(), *discriminator.parameters())}

    def part(forward: Callable[[], Tensor], parameters: list[nn.Parameter]) -> Part:
        with _Operations() as counter, _kept(weights) as kept:
            loss = forward()
            size = sum(kept.values())
            torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
        return Part(counter.total / 1e9 / group, size // group)

    def generated() -> tuple[Tensor, Tensor]:
        ws = generator.mapping(z)[:, None].repeat(1, generator.num_ws, 1)
        return generator.synthesis(ws, noise), ws

    def lengths() -> Tensor:
        images, ws = generated()
        return path_lengths(images, ws, torch.empty_like(images)).square().mean()

    def penalty() -> Tensor:
        return r1_penalty(discriminator(leaf), leaf)

    with _Operations() as counter, _kept(weights) as kept:
        images, _ = generated()
    leaf = images.detach().requires_grad_()
    judged = part(lambda: discriminator(images.detach()).sum(), of_d)
    return Counts(
        sum(p.numel() for p in of_g),
        sum(p.numel() for p in of_d),
        Part(counter.total / 1e9 / group, sum(kept.values()) // group),
        Part(2 * judged.gflop, judged.kept_bytes),
        part(lambda: discriminator(images).sum(), of_g),
        part(penalty, of_d) if has_r1(preset) else None,
        part(lengths, of_g) if has_path_length(preset) else None,
    )


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what torch's formulas say of each kernel; its FlopCounterMode cannot meet leaves."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if formula := flop_registry.get(func.overloadpacket):
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


@contextlib.contextmanager
def _kept(weights: set[int]) -> Iterator[dict[int, int]]:
    """{memory: bytes} of what graphs made inside keep, each piece once, without the weights."""
    sizes: dict[int, int] = {}
    alive: list[Tensor] = []  # an address is not used again while what has it lives

    def note(tensor: Tensor) -> Tensor:
        if (address := _address(tensor)) not in weights:
            sizes[address] = tensor.untyped_storage().nbytes()
            alive.append(tensor.detach())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield sizes


def _address(tensor: Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata
    return address
