"""Regularisers against finite differences and explicit Jacobians, in float64."""

import pytest
import torch
from torch import Tensor

from machineray.gan.losses import (
    energy_distance,
    hinge_g,
    hinge_gen,
    hinge_real,
    logistic_g,
    logistic_gen,
    logistic_real,
    path_lengths,
    r1_penalty,
)


def curved(images: Tensor) -> Tensor:
    """A discriminator whose logits curve with the picture."""
    weights = torch.linspace(-1, 1, images[0].numel(), dtype=images.dtype)
    return torch.tanh(images.flatten(1) @ weights) + images.flatten(1).square().sum(dim=1) / 10


def test_r1_is_the_squared_gradient_by_finite_differences() -> None:
    x = torch.randn(2, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    step = 1e-6
    slopes = torch.zeros_like(x)
    for index in range(x[0].numel()):
        moved = torch.zeros(x[0].numel(), dtype=torch.float64)
        moved[index] = step
        moved = moved.reshape(1, 3, 2, 2)
        difference = (curved(x + moved) - curved(x - moved)) / (2 * step)
        slopes.flatten(1)[:, index] = difference
    expected = slopes.square().sum(dim=(1, 2, 3)).mean()

    leaf = x.clone().requires_grad_()
    torch.testing.assert_close(r1_penalty(curved(leaf), leaf), expected, rtol=1e-7, atol=0)


def test_r1_moves_the_weights_of_the_discriminator() -> None:
    slope = torch.tensor(3.0, requires_grad=True)
    x = torch.ones(2, 1, 1, 1, requires_grad=True)

    penalty = r1_penalty((x * slope).flatten(), x)
    penalty.backward()

    assert float(penalty.detach()) == pytest.approx(9)
    assert float(slope.grad or 0) == pytest.approx(6)  # d(slope^2)/d(slope)


def test_path_length_is_that_of_the_explicit_jacobian() -> None:
    """Equation 4 of StyleGAN2 on a synthesis whose Jacobian is known."""
    rng = torch.Generator().manual_seed(2)
    jacobian = torch.randn(3 * 4 * 4, 2 * 5, dtype=torch.float64, generator=rng)
    ws = torch.randn(2, 2, 5, dtype=torch.float64, generator=rng).requires_grad_()
    images = (ws.flatten(1) @ jacobian.T).reshape(2, 3, 4, 4)

    y = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(3)).double()

    lengths = path_lengths(images, ws, y)

    pulled = (y.flatten(1) / 4 @ jacobian).reshape(2, 2, 5)
    expected = pulled.square().sum(dim=2).mean(dim=1).sqrt()
    torch.testing.assert_close(lengths, expected, rtol=1e-6, atol=1e-6)


def test_logistic_losses_are_the_binary_cross_entropies() -> None:
    logits = torch.tensor([-2.0, 0.0, 0.5, 3.0], dtype=torch.float64)
    says_real = 1 / (1 + torch.exp(-logits))

    torch.testing.assert_close(logistic_real(logits), -says_real.log().mean())
    torch.testing.assert_close(logistic_gen(logits), -(1 - says_real).log().mean())
    torch.testing.assert_close(logistic_g(logits), -says_real.log().mean())


def test_hinge_losses_ask_for_no_more_than_a_margin_of_one() -> None:
    assert float(hinge_real(torch.tensor([1.0, 9.0]))) == 0
    assert float(hinge_gen(torch.tensor([-1.0, -9.0]))) == 0
    assert float(hinge_real(torch.tensor([0.0, -2.0]))) == 2
    assert float(hinge_gen(torch.tensor([0.0, 2.0]))) == 2
    assert float(hinge_g(torch.tensor([-1.0, 4.0]))) == -1.5


def samples(count: int, seed: int, shift: float = 0.0) -> Tensor:
    """Normal ones in three dimensions, moved along the first."""
    rng = torch.Generator().manual_seed(seed)
    drawn = torch.randn(count, 3, dtype=torch.float64, generator=rng)
    return drawn + torch.tensor([shift, 0.0, 0.0], dtype=torch.float64)


def test_the_energy_distance_is_that_of_all_pairs() -> None:
    one, other = samples(3, 1), samples(4, 2, shift=1)

    def mean(pairs: list[tuple[Tensor, Tensor]]) -> float:
        return sum(float((x - y).norm()) for x, y in pairs) / len(pairs)

    across = mean([(x, y) for x in one for y in other])
    within_one = mean([(x, y) for i, x in enumerate(one) for j, y in enumerate(one) if i != j])
    within_other = mean(
        [(x, y) for i, x in enumerate(other) for j, y in enumerate(other) if i != j]
    )
    expected = (2 * across - within_one) / within_other - 1
    assert float(energy_distance(one, other)) == pytest.approx(expected)


def test_one_source_has_no_energy_distance_and_its_scale_does_not_count() -> None:
    one, other, far = samples(2000, 1), samples(2000, 2), samples(2000, 3, shift=2)
    assert float(energy_distance(one, other)) == pytest.approx(0, abs=0.01)
    apart = float(energy_distance(far, other))
    assert apart > 0.3
    assert float(energy_distance(50 * far, 50 * other)) == pytest.approx(apart)


def test_samples_that_are_alike_are_driven_apart() -> None:
    """They lie in the middle of what is real: to be nearer to it in the mean helps nobody."""
    one = (samples(8, 1) / 100).requires_grad_()
    (gradient,) = torch.autograd.grad(energy_distance(one, samples(4000, 2)), one)
    moved = (one - gradient).detach()
    assert float(torch.pdist(moved).mean()) > 2 * float(torch.pdist(one.detach()).mean())


def test_a_single_sample_has_no_energy_distance() -> None:
    alone = samples(1, 1).requires_grad_()
    assert float(energy_distance(alone, samples(4, 2)).detach()) == 0
    assert float(energy_distance(samples(4, 2), alone).detach()) == 0
