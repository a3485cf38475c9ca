"""A recorded step is the step: with a stand-in for a GPU's graph (test_gpu.py has the real one)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from machineray.errors import ConfigurationError
from machineray.gan import projected
from machineray.gan.compute import Compute
from machineray.gan.kinds import has_path_length, has_r1
from machineray.gan.presets import AugmentKind, Preset
from machineray.gan.steps import Training, new_training, step
from tests.gan.conftest import ITERATIONS, state_of

aten = torch.ops.aten
UNWRITTEN = (aten.empty.memory_format, aten.empty_like.default, aten.new_empty.default)


def tensors_of(result: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]


class Operations(TorchDispatchMode):
    """The operations of what is computed under it, which `replay` does again in the same places."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[Callable[..., Any], Any, Any, list[Tensor]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func is not aten._local_scalar_dense.default, (
            "a graph cannot say what a tensor holds"
        )
        result = func(*args, **(kwargs or {}))
        if func in UNWRITTEN:
            result.zero_()  # a graph computes nothing yet, and this shall not meet wild numbers
        self.done.append((func, args, kwargs or {}, tensors_of(result)))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, places in self.done:
            if func not in UNWRITTEN:
                for new, place in zip(tensors_of(func(*args, **kwargs)), places, strict=True):
                    if new.data_ptr() != place.data_ptr():  # neither a view nor in its own memory
                        place.copy_(new)


# Both augmentations, and a batch in one pass and in two.
HOW: dict[str, tuple[AugmentKind, int]] = {
    "stylegan2-stylegan2": ("ada", 0),
    "light-projected": ("fixed", 0),
    "stylegan2-projected": ("ada", 4),
    "light-stylegan2": ("fixed", 4),
}


def told_by(training: Training) -> list[dict[str, float]]:
    """What the steps of these iterations say, with an augmentation that changes."""
    preset, rng = training.preset, torch.Generator().manual_seed(0)
    told = []
    for iteration in ITERATIONS if has_r1(preset) else (0, 1, 2):  # else all are of one kind
        real_img = torch.rand(preset.batch, 3, *preset.size.shapes[-1], generator=rng) * 2 - 1
        training.nimg, training.adaptation.p = iteration * preset.batch, 0.5 + iteration / 100
        told.append(step(training, real_img))
    return told


def test_recorded_steps_are_the_steps(small: Preset, monkeypatch: pytest.MonkeyPatch) -> None:
    augment, micro_batch = HOW[small.name]
    monkeypatch.setattr(projected, "INPUT_PX", 32)  # what it sees: small, each operation is kept
    preset = replace(small, batch=8, augment=augment)
    compute = Compute(micro_batch=micro_batch)
    plain = new_training(preset, 0, compute)
    ours = new_training(preset, 0, replace(compute, cuda_graphs=True))
    graphs: list[Operations] = []

    @contextmanager
    def graph(operations: Operations, pool: object) -> Iterator[None]:
        """As torch.cuda.graph: nothing that is recorded has happened."""
        before = [value.clone() for value in state_of(ours)]
        with operations:
            yield
        graphs.append(operations)
        with torch.no_grad():
            for value, was in zip(state_of(ours), before, strict=True):
                value.copy_(was)

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Operations)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    assert told_by(ours) == told_by(plain)
    assert len(graphs) == 1 + has_r1(preset) + has_path_length(preset)
    for one, other in zip(state_of(ours), state_of(plain), strict=True):
        assert torch.equal(one, other)


def test_what_cannot_be_recorded_names_the_way_out(
    small: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def graph(graph: object, pool: object) -> Iterator[None]:
        yield
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    training = new_training(small, 0, Compute(cuda_graphs=True))
    real_img = torch.zeros(small.batch, 3, *small.size.shapes[-1])
    training.nimg = small.batch  # a step and the next are of one kind
    step(training, real_img)
    with pytest.raises(ConfigurationError, match=r"not permitted .*capturing\).*--no-cuda-graphs"):
        step(training, real_img)
