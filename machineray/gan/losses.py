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
