"""Adam's state and steps, held against torch's class; and what a training does not load."""

import pytest
import torch
from torch import Tensor, nn

from machineray.gan.adam import Adam
from tests.gan.conftest import compilers_loaded_by

RATE, BETAS = 0.01, (0.9, 0.99)


def weights() -> list[nn.Parameter]:
    rng = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=rng)) for shape in ((3, 4), (5,), ())]


def slopes(number: int) -> list[Tensor]:
    rng = torch.Generator().manual_seed(number)
    return [torch.randn(parameter.shape, generator=rng) for parameter in weights()]


def test_it_moves_weights_as_torchs_class_does() -> None:
    ours, theirs = weights(), weights()
    adam = Adam(ours, RATE, BETAS)
    other = torch.optim.Adam(theirs, lr=RATE, betas=BETAS, eps=1e-8)
    for number in range(5):
        adam.step(slopes(number))
        for parameter, gradient in zip(theirs, slopes(number), strict=True):
            parameter.grad = gradient
        other.step()
        for one, two in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-7)


def test_its_state_goes_on_where_it_was() -> None:
    whole, begun = weights(), weights()
    through, first = Adam(whole, RATE, BETAS), Adam(begun, RATE, BETAS)
    for number in range(4):
        through.step(slopes(number))
    for number in range(2):
        first.step(slopes(number))
    second = Adam(begun, RATE, BETAS)
    second.load({name: value.clone() for name, value in first.tensors().items()})
    for number in range(2, 4):
        second.step(slopes(number))
    assert all(torch.equal(one, two) for one, two in zip(whole, begun, strict=True))


def test_the_state_of_other_weights_is_refused() -> None:
    adam = Adam(weights(), RATE, BETAS)
    for other in (weights()[:2], [*weights()[:2], nn.Parameter(torch.zeros(2))]):
        with pytest.raises(ValueError, match="other weights"):
            adam.load(Adam(other, RATE, BETAS).tensors())


@pytest.mark.parametrize("preset", ["tiny", "sketch"])
def test_a_training_loads_no_compiler(preset: str) -> None:
    """Its import is a third of what a short training takes, and 70 MB of its memory."""
    code = (
        "import torch\n"
        "from machineray.gan.presets import preset_named\n"
        "from machineray.gan.state import checkpoint_bytes, restore\n"
        "from machineray.gan.steps import new_training, step\n"
        f"preset = preset_named('{preset}')\n"
        "training = new_training(preset, 0)\n"
        "step(training, torch.zeros(preset.batch, 3, preset.resolution, preset.resolution))\n"
        "restore(new_training(preset, 0), checkpoint_bytes(training, {}), 'c')\n"
    )
    assert compilers_loaded_by(code) == "[]"
