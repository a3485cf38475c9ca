"""Snapshots as files: what comes back, and what a bad one does."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from machineray.errors import InputError
from machineray.gan.presets import Preset, preset_named
from machineray.gan.sampling import sample
from machineray.gan.state import (
    checkpoint_bytes,
    coded,
    load_snapshot,
    packed,
    restore,
    snapshot_bytes,
    transfer,
    unpacked,
)
from machineray.gan.steps import Training, new_training, step
from tests.gan.conftest import compilers_loaded_by


def training_of(preset: Preset, seed: int = 0) -> Training:
    return new_training(preset, seed)


@pytest.fixture(scope="module")
def snapshot() -> bytes:
    preset = replace(preset_named("tiny"), resolution=8, channel_base=64, z_dim=8)
    return snapshot_bytes(training_of(preset), {})


def test_a_snapshot_draws_what_the_network_drew(small: Preset) -> None:
    training = training_of(small)

    snapshot = load_snapshot(snapshot_bytes(training, {"kimg": 1}), "s")

    drawn = [pixels for _, pixels in sample(training.generator_ema, [4, 5])]
    again = [pixels for _, pixels in sample(snapshot.generator, [4, 5])]
    np.testing.assert_array_equal(drawn, again)
    assert snapshot.about["kimg"] == 1


def test_a_checkpoint_of_other_networks_is_refused(small: Preset) -> None:
    data = checkpoint_bytes(training_of(small), {})
    other = training_of(replace(small, channel_max=8))

    with pytest.raises(InputError, match=r"^c: not a checkpoint of these networks"):
        restore(other, data, "c")


def test_another_training_begins_with_the_weights_of_a_snapshot(small: Preset) -> None:
    before, after = training_of(small, 1), training_of(small, 2)
    data = snapshot_bytes(before, {})

    taken = transfer(after, data, "s")

    assert taken == len(before.generator.state_dict())
    for network in (after.generator, after.generator_ema):
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, before.generator_ema.state_dict()[name])


def test_a_coded_snapshot_has_a_quarter_of_the_bytes_and_draws_nearly_the_same(
    small: Preset,
) -> None:
    whole = snapshot_bytes(training_of(small), {"kimg": 1})

    codes = coded(whole, "s")

    header = int.from_bytes(codes[:8], "little") + 8
    assert len(codes) - header < 0.35 * (len(whole) - header)
    before, after = load_snapshot(whole, "s"), load_snapshot(codes, "s")
    assert after.about == before.about
    assert torch.int8 not in {value.dtype for value in after.generator.state_dict().values()}
    (_, first), (_, second) = (next(iter(sample(s.generator, [4]))) for s in (before, after))
    assert 0 < np.abs(first.astype(int) - second).mean() <= 3
    assert coded(codes, "s") == codes


def test_codes_without_their_scales_are_refused() -> None:
    about = {"preset": {}}
    alone = packed({"codes/a": torch.ones(2, 2, dtype=torch.int8)}, about)
    odd = packed({"codes/a": torch.ones(2, 2, dtype=torch.int8), "scales/a": torch.ones(3)}, about)
    for data in (alone, odd):
        with pytest.raises(InputError, match="odd: not a snapshot of MachineRay"):
            load_snapshot(data, "odd")


def test_the_average_goes_on_from_where_a_snapshot_had_it(small: Preset) -> None:
    """A fresh average forgets within a few steps; that of weights which saw much does not."""
    before = training_of(small, 1)
    before.nimg = 10**6
    fresh, begun = training_of(small, 2), training_of(small, 2)
    transfer(begun, snapshot_bytes(before, {}), "s")
    assert (fresh.head_start, begun.head_start) == (0, 10**6)
    again = training_of(small, 3)
    restore(again, checkpoint_bytes(begun, {}), "c")
    assert again.head_start == 10**6

    def moved(training: Training) -> float:
        first = [value.clone() for value in training.generator_ema.parameters()]
        step(training, torch.zeros(training.preset.batch, 3, *training.preset.size.shapes[-1]))
        pairs = zip(first, training.generator_ema.parameters(), strict=True)
        return sum(float((a - b).abs().sum()) for a, b in pairs)

    assert 0 < moved(begun) < moved(fresh) / 10


def test_a_larger_training_takes_the_layers_that_it_shares(small: Preset) -> None:
    data = snapshot_bytes(training_of(small, 1), {})
    larger = training_of(replace(small, resolution=32), 2)
    first = {name: value.clone() for name, value in larger.generator.state_dict().items()}

    taken = transfer(larger, data, "s")

    moved = [n for n, v in larger.generator.state_dict().items() if not torch.equal(v, first[n])]
    assert 0 < len(moved) <= taken < len(first)
    assert any(name.startswith("blocks.1") for name in moved)


def test_a_training_of_other_proportions_begins_with_a_squares_pictures(small: Preset) -> None:
    """All weights are taken; the first maps are the square's, squeezed from four columns to two."""
    square, tall = training_of(small, 1), training_of(replace(small, resolution="8x16"), 2)

    taken = transfer(tall, snapshot_bytes(square, {}), "s")

    assert taken == len(square.generator.state_dict())
    name = "constant" if small.generator == "stylegan2" else "first.weight"
    wide, narrow = (t.generator_ema.state_dict()[name] for t in (square, tall))
    assert narrow.shape[2:] == (4, 2)
    torch.testing.assert_close(narrow, (wide[..., ::2] + wide[..., 1::2]) / 2)


def test_a_snapshot_of_nothing_like_it_is_refused(small: Preset) -> None:
    tensors = {"elsewhere": torch.zeros(3)}

    with pytest.raises(InputError, match="s: nothing in it fits"):
        transfer(training_of(small), packed(tensors, {}), "s")


def test_the_frozen_feature_network_is_not_in_a_checkpoint() -> None:
    preset = replace(preset_named("demo"), resolution=16, channel_base=128)
    tensors, _ = unpacked(checkpoint_bytes(training_of(preset), {}), "c")

    assert not [name for name in tensors if name.startswith("D/features")]
    assert [name for name in tensors if name.startswith("D/heads")]


def test_the_same_values_are_the_same_bytes(small: Preset) -> None:
    first, second = (snapshot_bytes(training_of(small, 7), {"b": 1, "a": 2}) for _ in range(2))

    assert first == second


@pytest.mark.parametrize("generator", ["stylegan2", "light"])
def test_a_snapshot_is_loaded_without_torchs_compiler(generator: str, tmp_path: Path) -> None:
    """Its import takes longer than all the rest, in every pod that draws."""
    preset = replace(preset_named("tiny"), resolution=8, channel_base=64, generator=generator)
    (tmp_path / "s").write_bytes(snapshot_bytes(training_of(preset), {}))
    code = (
        "from pathlib import Path\nfrom machineray.gan.state import load_snapshot\n"
        "from machineray.gan.sampling import sample\n"
        "list(sample(load_snapshot(Path('s').read_bytes(), 's').generator, [1]))\n"
    )
    assert compilers_loaded_by(code, tmp_path) == "[]"


@settings(max_examples=60)
@given(data=st.data())
def test_a_damaged_snapshot_is_an_input_error_or_harmless(
    snapshot: bytes, data: st.DataObject
) -> None:
    """Cut it or turn bytes of its header: never a crash, never another exception."""
    header = int.from_bytes(snapshot[:8], "little") + 8
    place = data.draw(st.integers(0, header - 1))
    damaged = bytearray(snapshot)
    damaged[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        damaged = damaged[:place]
    try:
        load_snapshot(bytes(damaged), "s")
    except InputError as error:
        assert str(error).startswith("s: ")


@pytest.mark.parametrize("data", [b"", b"hello", b"\x00" * 100, b"\xff" * 100])
def test_what_is_no_snapshot_is_named(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^s\.safetensors: not a snapshot"):
        load_snapshot(data, "s.safetensors")


def test_a_pickle_runs_no_code() -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (pytest.fail, ("unpickled",))

    with pytest.raises(InputError):
        load_snapshot(pickle.dumps(Trap()), "s")


def test_a_snapshot_that_claims_to_be_gigantic_costs_no_memory(snapshot: bytes) -> None:
    tensors, about = unpacked(snapshot, "s")
    about["preset"] |= {"channel_base": 2**40, "channel_max": 2**20}

    with pytest.raises(InputError, match=r"size mismatch|not a snapshot"):
        load_snapshot(packed(tensors, about), "s")


@pytest.mark.parametrize(
    "change",
    [{"resolution": "big"}, {"resolution": -4}, {"generator": "evil"}, {"mapping_layers": 10**9}],
)
def test_a_snapshot_with_a_senseless_preset_is_refused(
    snapshot: bytes, change: dict[str, object]
) -> None:
    tensors, about = unpacked(snapshot, "s")
    about["preset"] |= change

    with pytest.raises(InputError, match=r"^s: "):
        load_snapshot(packed(tensors, about), "s")


def test_a_snapshot_of_a_later_format_says_so(snapshot: bytes) -> None:
    length = int.from_bytes(snapshot[:8], "little")
    header = json.loads(snapshot[8 : 8 + length])
    about = json.loads(header["__metadata__"]["machineray"]) | {"format": 99}
    header["__metadata__"]["machineray"] = json.dumps(about)
    text = json.dumps(header).encode()

    with pytest.raises(InputError, match="format 99"):
        load_snapshot(len(text).to_bytes(8, "little") + text + snapshot[8 + length :], "s")
