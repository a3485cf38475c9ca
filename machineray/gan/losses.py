"""Losses and regularisers of StyleGAN2 and of the projected discriminator."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def logistic_d(real_logits: Tensor, gen_logits: Tensor) -> Tensor:
    """Non-saturating logistic loss of the discriminator (Goodfellow et al. 2014), the mean."""
    return F.softplus(-real_logits).mean() + F.softplus(gen_logits).mean()


def logistic_g(gen_logits: Tensor) -> Tensor:
    """Non-saturating logistic loss of the generator, the mean."""
    return F.softplus(-gen_logits).mean()


def hinge_d(real_logits: Tensor, gen_logits: Tensor) -> Tensor:
    """Hinge loss of the discriminator (Lim & Ye 2017, arXiv 1705.02894), the mean."""
    return F.relu(1 - real_logits).mean() + F.relu(1 + gen_logits).mean()


def hinge_g(gen_logits: Tensor) -> Tensor:
    """Hinge loss of the generator, the mean."""
    return -gen_logits.mean()


def r1_penalty(real_logits: Tensor, real_img: Tensor) -> Tensor:
    """Mean squared length of the logits' gradient at real pictures (Mescheder 2018, eq. 9)."""
    (gradient,) = torch.autograd.grad(real_logits.sum(), real_img, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def path_lengths(images: Tensor, ws: Tensor, rng: torch.Generator) -> Tensor:
    """Length of J^T y for random pictures y, a sample (N,) (StyleGAN2, sec. 3.2, eq. 4).

    y has the variance 1 / (H * W), so that the length does not grow with the picture; the layers'
    styles count with their mean square.
    """
    shape, height, width = images.shape, images.shape[2], images.shape[3]
    y = torch.randn(shape, generator=rng, device=rng.device) / math.sqrt(height * width)
    (gradient,) = torch.autograd.grad((images * y).sum(), ws, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()
