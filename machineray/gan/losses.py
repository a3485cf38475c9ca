"""Losses and regularisers of StyleGAN2 and of the projected discriminator."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def logistic_real(logits: Tensor) -> Tensor:
    """The discriminator's non-saturating logistic loss (Goodfellow et al. 2014): real pictures."""
    return F.softplus(-logits).mean()


def logistic_gen(logits: Tensor) -> Tensor:
    """Its other half: generated pictures."""
    return F.softplus(logits).mean()


def logistic_g(gen_logits: Tensor) -> Tensor:
    """Non-saturating logistic loss of the generator, the mean."""
    return F.softplus(-gen_logits).mean()


def hinge_real(logits: Tensor) -> Tensor:
    """The discriminator's hinge loss (Lim & Ye 2017, arXiv 1705.02894): real pictures."""
    return F.relu(1 - logits).mean()


def hinge_gen(logits: Tensor) -> Tensor:
    """Its other half: generated pictures."""
    return F.relu(1 + logits).mean()


def hinge_g(gen_logits: Tensor) -> Tensor:
    """Hinge loss of the generator, the mean."""
    return -gen_logits.mean()


def r1_penalty(real_logits: Tensor, real_img: Tensor) -> Tensor:
    """Mean squared length of the logits' gradient at real pictures (Mescheder 2018, eq. 9)."""
    (gradient,) = torch.autograd.grad(real_logits.sum(), real_img, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def path_lengths(images: Tensor, ws: Tensor, y: Tensor) -> Tensor:
    """Length of J^T y for random pictures y (N, 3, H, W), a sample (N,) (StyleGAN2, eq. 4).

    y is standard normal here and gets the variance 1 / (H * W), so that the length does not grow
    with the picture; the layers' styles count with their mean square.
    """
    height, width = images.shape[2:]
    (gradient,) = torch.autograd.grad(
        (images * y).sum() / math.sqrt(height * width), ws, create_graph=True
    )
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


def energy_distance(one: Tensor, other: Tensor) -> Tensor:
    """How far two sources lie apart, from samples (N, D) and (M, D): 0 for one source.

    (2 E|x - y| - E|x - x'|) / E|y - y'| - 1, so that the scale of the space does not count
    (Székely & Rizzo 2013, "Energy statistics", eq. 2.3; unbiased but for the quotient). The
    middle term drives the samples of `one` apart. 0 where either has one sample only.
    """
    if min(len(one), len(other)) < 2:
        return one.sum() * 0
    apart = 2 * _distances(one, other).mean() - _mean_within(one)
    return apart / _mean_within(other).clamp_min(1e-8) - 1


def _distances(one: Tensor, other: Tensor) -> Tensor:
    # Not by products of matrices: near pairs would be rounded to nothing.
    return torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist")


def _mean_within(samples: Tensor) -> Tensor:
    """Mean distance of two different ones."""
    count = len(samples)
    return _distances(samples, samples).sum() / (count * (count - 1))
