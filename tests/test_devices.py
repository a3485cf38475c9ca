"""A GPU that is not there: torch's fake tensors have a device, and refuse to meet those of another.

They hold no values, so this shows that everything is brought to the GPU, not what it draws there:
that is tests/gan/test_gpu.py's, on a machine that has one.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from jobs import gpu_watched, room_watched
from machineray.devices import drawing_device, has_gpu
from machineray.doctor import _gpu
from machineray.errors import ConfigurationError, StorageError
from machineray.finish import rrdn
from machineray.gan import latent, projection, sampling
from machineray.gan.latent import Walk, all_directions, drawn, everywhere, mixed, moved, styles
from machineray.gan.networks import Generator, new_generator, noise_of
from machineray.gan.presets import preset_named
from machineray.gan.projection import Projector
from machineray.gan.sampling import sample
from machineray.gan.world import joined_world

# Drawing keeps what follows from weights, by where they are in memory; a fake is nowhere.
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")


@pytest.fixture(autouse=True)
def fake() -> Iterator[None]:
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


def on_gpu(network: Any) -> Any:
    """The network with tensors that say they are on a GPU."""
    for module in network.modules():
        for name, value in module._parameters.items():
            if value is not None:
                module._parameters[name] = nn.Parameter(
                    torch.empty(value.shape, device="cuda"), requires_grad=value.requires_grad
                )
        for name, value in module._buffers.items():
            if value is not None:
                module._buffers[name] = torch.empty(value.shape, device="cuda")
    return network


@pytest.fixture(params=["tiny", "demo"])
def generator(request: pytest.FixtureRequest) -> Generator:
    made = new_generator(replace(preset_named(request.param), resolution=32, channel_base=256))
    network: Generator = on_gpu(made.requires_grad_(False).eval())
    return network


@pytest.fixture(autouse=True)
def seen(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """Where the pictures were that would have been brought back."""
    found: list[torch.device] = []

    def to_uint8(images: Tensor) -> np.ndarray:
        found.append(images.device)
        count, _, height, width = images.shape
        return np.zeros((count, height, width, 3), np.uint8)

    monkeypatch.setattr(sampling, "to_uint8", to_uint8)
    monkeypatch.setattr(latent, "to_uint8", to_uint8)
    return found


def are_on_gpu(seen: list[torch.device], pictures: int) -> bool:
    return [device.type for device in seen] == ["cuda"] * pictures


def test_samples_are_drawn_there_several_at_a_time(
    generator: Generator, seen: list[torch.device]
) -> None:
    assert [seed for seed, _ in sample(generator, range(11), psi=0.7, batch=4)] == [*range(11)]
    assert are_on_gpu(seen, 3)


def test_two_seeds_are_mixed_there(generator: Generator, seen: list[torch.device]) -> None:
    mixed(generator, 3, 5, 1, psi=0.7)
    assert are_on_gpu(seen, 1)


def test_a_walk_is_drawn_there(generator: Generator, seen: list[torch.device]) -> None:
    Walk(generator, [3, 5, 8], psi=0.7).picture_at(0.4)
    assert are_on_gpu(seen, 1)


def test_directions_are_there(generator: Generator, seen: list[torch.device]) -> None:
    noise, ws = noise_of(generator, (3,)), everywhere(generator, styles(generator, (3,))[0])
    for vectors in all_directions(generator, 2).values():
        drawn(generator, moved(ws, [0], vectors[1]), noise)
    assert seen and are_on_gpu(seen, len(seen))


@pytest.mark.parametrize("per_layer", [False, True])
def test_a_picture_is_looked_for_there(
    generator: Generator,
    per_layer: bool,
    seen: list[torch.device],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(projection, "float", lambda value: 0.0, raising=False)
    monkeypatch.setattr(projection, "FeatureNetwork", FakeFeatures)
    # Backward asks CUDA itself.
    monkeypatch.setattr(torch.autograd, "grad", lambda value, at: (torch.empty_like(at),))
    projector = Projector(generator, np.zeros((32, 32, 3), np.uint8), 4, per_layer)
    begun = projector.begin(range(2))
    saved = begun.to(torch.device("cpu"))  # as it comes out of a file
    for at in (begun, saved):
        *_, found = projector.run(at, every=2)
        assert found.point.device.type == found.moments.device.type == "cuda"
    seen.clear()
    projector.picture(saved)
    assert are_on_gpu(seen, 1)


class FakeFeatures(nn.Module):
    """Maps of a convolution, which are where its weights are brought."""

    def __init__(self) -> None:
        super().__init__()
        self.place = torch.device("cpu")

    def to(self, place: torch.device) -> "FakeFeatures":  # type: ignore[override]
        self.place = place
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) -> [(N, 4, H, W)]."""
        return [torch.conv2d(images, torch.empty(4, 3, 1, 1, device=self.place))]


def test_an_artwork_is_enlarged_there(monkeypatch: pytest.MonkeyPatch) -> None:
    network = on_gpu(rrdn.RRDN().requires_grad_(False))
    monkeypatch.setattr(rrdn, "load_rrdn", lambda device, is_bf16: network)
    monkeypatch.setitem(rrdn.BLOCK_PX, "cuda", 24)
    computed: list[str] = []
    network.paint.register_forward_hook(lambda *words: computed.append(words[2].device.type))
    # The values of the last line's picture are what a fake has not.
    with pytest.raises(RuntimeError, match="numpy"):
        rrdn.enlarge(np.zeros((40, 50, 3), np.uint8), device="cuda")
    assert computed and set(computed) == {"cuda"}


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A machine where torch sees a GPU; what was found out before and after does not count."""
    has_gpu.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    yield monkeypatch
    has_gpu.cache_clear()


def failing(words: str) -> Callable[[], None]:
    def fail() -> None:
        raise RuntimeError(words)

    return fail


def test_a_gpu_draws_in_single_precision_the_same_way_each_time(cards: pytest.MonkeyPatch) -> None:
    assert drawing_device() == "cuda"
    assert not torch.backends.cudnn.allow_tf32 and torch.backends.cudnn.deterministic


def test_a_card_that_torch_has_no_code_for_is_left_alone(cards: pytest.MonkeyPatch) -> None:
    said = "CUDA error: no kernel image is available for execution on the device"
    cards.setattr(torch.cuda, "synchronize", failing(said))
    assert drawing_device() == "cpu"
    cards.setattr(torch.cuda, "set_device", lambda device: None)
    with joined_world() as world:
        assert world.device.type == "cpu"


def test_what_else_a_gpu_says_is_not_hidden(cards: pytest.MonkeyPatch) -> None:
    cards.setattr(torch.cuda, "synchronize", failing("CUDA error: uncorrectable ECC error"))
    with pytest.raises(RuntimeError, match="ECC"):
        drawing_device()
    cards.setattr(torch.cuda, "device_count", lambda: 0)
    check = _gpu()
    assert not check.is_fine and "uncorrectable ECC error" in check.text


def test_a_full_gpu_is_told_with_the_way_out() -> None:
    with pytest.raises(ConfigurationError, match="CUDA_VISIBLE_DEVICES="), gpu_watched():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
    with pytest.raises(RuntimeError, match="something else"), gpu_watched():
        raise RuntimeError("something else")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_no_room_for_temporary_files_is_told_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="full: make room there, or set TMPDIR"), room_watched():
        Path("/dev/full").write_bytes(b"1")
    with pytest.raises(FileNotFoundError), room_watched():
        (tmp_path / "nothing").read_bytes()
