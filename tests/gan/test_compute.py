"""How a training is computed changes last bits, not what is learnt."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.optim.adam import adam

from machineray.gan.compute import Compute, usual_precision
from machineray.gan.presets import GeneratorKind, Preset, preset_named
from machineray.gan.steps import Training, new_training, step
from machineray.gan.training import Config, Snapshot, Tick, train


def first_values(preset: Preset, images: NDArray[np.uint8], compute: Compute) -> dict[str, float]:
    """Of the first step: before Adam makes much of little."""
    events = train(Config(replace(preset, tick_kimg=0.004), kimg=0.008), images, compute=compute)
    return next(event.values for event in events if isinstance(event, Tick))


def test_channels_last_computes_the_same(small: Preset, images: NDArray[np.uint8]) -> None:
    plain = first_values(small, images, Compute())
    assert first_values(small, images, Compute(channels_last=True)) == pytest.approx(
        plain, rel=1e-4
    )


def test_bfloat16_computes_nearly_the_same(small: Preset, images: NDArray[np.uint8]) -> None:
    plain = first_values(small, images, Compute())
    half = first_values(small, images, Compute(precision="bf16"))
    assert half == pytest.approx(plain, rel=0.3, abs=0.1)
    assert half != plain


@pytest.mark.parametrize(
    ("known", "preset", "wanted"),
    [
        ({"amx_bf16": True}, "sketch", "bf16"),
        ({"amx_bf16": True}, "paintings256", "fp32"),
        ({"amx_bf16": False, "avx512_bf16": True}, "sketch", "bf16"),
        ({"amx_bf16": False, "avx512_bf16": False}, "sketch", "fp32"),
        ({}, "sketch", "fp32"),  # no x86 at all
        (None, "sketch", "fp32"),  # torch 2.6
    ],
)
def test_a_cpu_computes_in_bfloat16_where_that_is_faster(
    monkeypatch: pytest.MonkeyPatch, known: dict[str, bool] | None, preset: str, wanted: str
) -> None:
    if known is None:
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert usual_precision(torch.device("cpu"), preset_named(preset)) == wanted


def test_weights_stay_single_under_bfloat16(small: Preset, images: NDArray[np.uint8]) -> None:
    from machineray.gan.state import unpacked

    config = Config(small, kimg=0.02)
    events = list(train(config, images, compute=Compute(precision="bf16")))
    tensors, _ = unpacked([e for e in events if isinstance(e, Snapshot)][-1].data, "s")
    kinds = {tensor.dtype for tensor in tensors.values()}
    assert kinds <= {torch.float32, torch.int64}
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())


@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_compiled_networks_compute_the_same(
    small: Preset, images: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced and differentiated as for any back end; this one makes no machine code."""
    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: compile(function, backend="aot_eager"))
    plain = first_values(small, images, Compute())
    assert first_values(small, images, Compute(compile=True)) == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("generator", ["stylegan2", "light"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_adam_moves_the_weights_that_the_gradients_are_of(
    generator: GeneratorKind, channels_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fused one does not look at the order of a tensor's memory; the plain one does."""
    preset = replace(preset_named("tiny"), generator=generator)
    real_img = torch.rand(preset.batch, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def moved() -> Training:
        training = new_training(preset, 0, Compute(channels_last=channels_last))
        step(training, real_img)
        return training

    fused = moved()
    were_fused = []

    def plain_adam(*words: Any, fused: bool, **settings: Any) -> None:
        were_fused.append(fused)
        adam(*words, fused=False, **settings)

    monkeypatch.setattr("machineray.gan.adam.adam", plain_adam)
    plain = moved()
    assert were_fused and all(were_fused)
    for ours, theirs in (
        (fused.generator, plain.generator),
        (fused.discriminator, plain.discriminator),
    ):
        for (name, one), two in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            # Adam's first step is as long for every gradient, lr = .0025, but the tiniest.
            torch.testing.assert_close(one, two, rtol=0, atol=5e-4, msg=name)
