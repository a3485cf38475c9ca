"""Augmentation that follows the discriminator: each change, their statistics, and p."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from machineray.gan import ada
from machineray.gan.ada import Adaptation, augmented, colours, recoloured, warped, warps
from machineray.gan.randomness import BatchRandom, generator_for


def random_of(samples: int, seed: int = 0) -> BatchRandom:
    return BatchRandom([generator_for("ada", seed)], samples)


def pictures(samples: int, height: int = 8, width: int = 8) -> Tensor:
    return torch.rand(samples, 3, height, width, generator=generator_for("pictures")) * 2 - 1


def matrix_of(rows: list[list[float]]) -> Tensor:
    return torch.tensor([rows])


def test_nothing_changes_at_p_zero() -> None:
    images = pictures(3)
    assert augmented(images, random_of(3), 0.0) is images


def test_the_identity_is_no_change() -> None:
    images = pictures(2, 6, 8)
    unwarped = warped(images, torch.eye(3).repeat(2, 1, 1))
    torch.testing.assert_close(unwarped, images, rtol=0, atol=1e-5)
    uncoloured = recoloured(images, torch.eye(4).repeat(2, 1, 1))
    torch.testing.assert_close(uncoloured, images, rtol=0, atol=1e-6)


def test_a_flip_a_turn_and_a_shift_are_those_of_torch() -> None:
    images = pictures(1)
    flip = matrix_of([[-1, 0, 0], [0, 1, 0], [0, 0, 1]])
    torch.testing.assert_close(warped(images, flip), images.flip(3), rtol=0, atol=1e-5)
    turn = matrix_of([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    torch.testing.assert_close(
        warped(images, turn), torch.rot90(images, 1, (2, 3)), rtol=0, atol=1e-5
    )
    shift = matrix_of([[1, 0, 2 * 2 / 8], [0, 1, 0], [0, 0, 1]])  # two of eight pixels
    moved = warped(images, shift)
    torch.testing.assert_close(moved[..., :-2], images[..., 2:], rtol=0, atol=1e-5)
    mirrored = images[..., [7, 6]]  # the edge is a mirror
    torch.testing.assert_close(moved[..., -2:], mirrored, rtol=0, atol=1e-5)


def test_a_turn_keeps_shapes_in_a_picture_that_is_no_square() -> None:
    """What is round stays round, turned by any angle."""
    rows, columns = torch.meshgrid(torch.arange(32) - 15.5, torch.arange(64) - 31.5, indexing="ij")
    round_one = torch.exp(-(rows**2 + columns**2) / 50).expand(1, 3, 32, 64)
    turned = warped(round_one, ada._rotation(torch.tensor([0.7])))
    inside = (slice(None), slice(None), slice(4, 28), slice(20, 44))  # beyond is its mirror image
    torch.testing.assert_close(turned[inside], round_one[inside], rtol=0, atol=0.01)


@pytest.mark.parametrize("shape", [(24, 32), (32, 16)])
def test_a_warp_is_that_of_scipy_in_pixels(shape: tuple[int, int]) -> None:
    """A turn, a stretch and a shift of a picture that is no square, told in rows and columns."""
    height, width = shape
    image = np.random.default_rng(0).random((height, width))
    angle, stretch, shift = 0.6, np.array([1.2, 0.9]), np.array([1.5, -2.25])  # x, y; in pixels
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    in_xy = turn @ np.diag(stretch)

    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = in_xy, shift / (height / 2)
    got = warped(torch.tensor(image)[None, None], torch.tensor(matrix)[None])[0, 0].numpy()

    in_rows = in_xy[::-1, ::-1]  # scipy counts y first
    centre = (np.array(shape) - 1) / 2
    expected = ndimage.affine_transform(
        image, in_rows, centre + shift[::-1] - in_rows @ centre, order=1, mode="reflect"
    )
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_each_kind_of_warp_happens_as_often_as_p_says(p: float) -> None:
    matrices = warps(64, 64, random_of(20_000), p)
    determinants = torch.linalg.det(matrices[:, :2, :2])
    still = (matrices == torch.eye(3)).all(dim=(1, 2)).double().mean()
    # flip p/2, quarter turns 3p/4, five more kinds; the two rotations together count once
    expected = (1 - p / 2) * (1 - 3 * p / 4) * (1 - p) ** 5
    assert float(still) == pytest.approx(expected, abs=0.012)
    assert float((determinants < 0).double().mean()) == pytest.approx(p / 2, abs=0.015)
    sizes = determinants.abs().log2() / 2
    assert float((sizes.abs() > 1e-4).double().mean()) == pytest.approx(p, abs=0.015)
    assert float(sizes[sizes.abs() > 1e-4].std()) == pytest.approx(ada.SCALE_STD, rel=0.05)


def test_shifts_of_whole_pixels_are_whole_and_reach_an_eighth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ada, "FRACTION_SHIFT_STD", 0.0)
    monkeypatch.setattr(ada, "SCALE_STD", 0.0)
    monkeypatch.setattr(ada, "_rotation", lambda angles: torch.eye(3).repeat(len(angles), 1, 1))
    shifts = warps(64, 32, random_of(4000), 0.8)[:, :2, 2]
    pixels = shifts * 32  # half the height is the unit
    torch.testing.assert_close(pixels, pixels.round(), rtol=0, atol=1e-3)
    assert pixels.abs().amax(dim=0).tolist() == pytest.approx([4, 8], abs=1e-3)


def test_colour_changes_have_the_papers_spread() -> None:
    matrices = colours(random_of(40_000), 0.5)
    grey = torch.tensor([1.0, 1.0, 1.0, 0.0])
    luma = matrices @ grey
    gain = luma[:, :3].mean(dim=1)
    assert float((gain < 0).double().mean()) == pytest.approx(0.25, abs=0.01)  # luma flips
    contrast = gain.abs().log2()
    changed = contrast.abs() > 1e-4
    assert float(changed.double().mean()) == pytest.approx(0.5, abs=0.01)
    assert float(contrast[changed].std()) == pytest.approx(ada.CONTRAST_STD, rel=0.03)
    axis = torch.tensor([1.0, -1.0, 0.0, 0.0]) / math.sqrt(2)
    chroma = (matrices @ axis)[:, :3]
    assert float(chroma.sum(dim=1).abs().max()) < 1e-3  # hue and saturation keep the luma
    strength = chroma.norm(dim=1).log2()
    both = math.hypot(ada.CONTRAST_STD, ada.SATURATION_STD)
    assert float(strength.std()) == pytest.approx(both * math.sqrt(0.5), rel=0.05)
    offset = (matrices @ torch.tensor([0.0, 0, 0, 1]))[:, :3].mean(dim=1)
    assert float((offset.abs() > 1e-6).double().mean()) == pytest.approx(0.5, abs=0.01)


def test_a_picture_is_its_own_whatever_stands_beside_it() -> None:
    images = pictures(4)
    rngs = [generator_for("ada", number) for number in range(2)]
    whole = augmented(images, BatchRandom(rngs, 2), 0.8)
    second = augmented(images[2:], BatchRandom([generator_for("ada", 1)], 2), 0.8)
    torch.testing.assert_close(whole[2:], second, rtol=0, atol=1e-6)


def test_it_can_be_differentiated_twice() -> None:
    images = pictures(2, 5, 5).double().requires_grad_()
    warp = warps(5, 5, random_of(2), 0.8).double()
    colour = colours(random_of(2), 0.8).double()

    def curved(x: Tensor) -> Tensor:
        return recoloured(warped(x, warp), colour).tanh().sum()

    assert torch.autograd.gradgradcheck(curved, images)


def test_p_rises_while_real_pictures_are_known_and_falls_when_not() -> None:
    adaptation = Adaptation()
    adaptation.saw(8.0, 8.0)
    assert adaptation.overfitting == 1.0
    adaptation.adapt(0.6, 50_000)
    assert adaptation.p == pytest.approx(0.1)
    adaptation.saw(0.0, 8.0)
    adaptation.adapt(0.6, 25_000)
    assert adaptation.p == pytest.approx(0.05)
    adaptation.saw(-8.0, 8.0)
    adaptation.adapt(0.6, 500_000)
    assert adaptation.p == 0.0
    for _ in range(3):
        adaptation.saw(8.0, 8.0)
        adaptation.adapt(0.6, 500_000)
    assert adaptation.p == ada.MOST_P
