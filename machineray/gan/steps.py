"""One step of training with either discriminator; all that is random comes from one generator."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from machineray.gan.diffaug import augmented
from machineray.gan.losses import (
    hinge_d,
    hinge_g,
    logistic_d,
    logistic_g,
    path_lengths,
    r1_penalty,
)
from machineray.gan.networks import (
    Discriminator,
    Generator,
    learned_parameters,
    new_discriminator,
    new_generator,
)
from machineray.gan.presets import DiscriminatorKind, Preset
from machineray.gan.projected import ProjectedDiscriminator
from machineray.gan.randomness import batch_noise
from machineray.gan.stylegan2 import StyleGAN2Generator

R1_EVERY = 16
PATH_LENGTH_EVERY = 4
PATH_LENGTH_DECAY = 0.01
BETAS = (0.0, 0.99)

Values = dict[str, Tensor]


@dataclass
class Training:
    """All that learns: two networks, the average generator, two optimisers, two statistics."""

    preset: Preset
    generator: Generator
    discriminator: Discriminator
    generator_ema: Generator
    optimizer_g: torch.optim.Adam
    optimizer_d: torch.optim.Adam
    pl_mean: Tensor
    nimg: int = 0


def new_training(preset: Preset, seed: int, device: torch.device) -> Training:
    """Fresh networks, as `seed` fixes them; torch's own random state stays as it is."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = new_generator(preset)
        discriminator = new_discriminator(preset, seed)
        ema = new_generator(preset)
    ema.load_state_dict(generator.state_dict())
    ema.requires_grad_(False).eval().to(device)
    generator.to(device)
    discriminator.to(device)
    path_length = _has_path_length(preset)
    return Training(
        preset,
        generator,
        discriminator,
        ema,
        _adam(generator, preset.learning_rate_g, PATH_LENGTH_EVERY if path_length else None),
        _adam(
            discriminator,
            preset.learning_rate_d,
            R1_EVERY if preset.discriminator == "stylegan2" else None,
        ),
        torch.zeros((), device=device),
    )


def _adam(network: torch.nn.Module, rate: float, every: int | None) -> torch.optim.Adam:
    """Adam, corrected for one more step in `every` (StyleGAN2, app. B, "lazy regularization")."""
    ratio = every / (every + 1) if every else 1.0
    betas = (BETAS[0] ** ratio, BETAS[1] ** ratio)
    return torch.optim.Adam(learned_parameters(network), lr=rate * ratio, betas=betas, eps=1e-8)


def _has_path_length(preset: Preset) -> bool:
    return (preset.generator, preset.discriminator) == ("stylegan2", "stylegan2")


def step(training: Training, real_img: Tensor, rng: torch.Generator) -> Values:
    """Look at one batch (N, 3, R, R) in [-1, 1]: both networks move, G_ema follows."""
    values = _STEPS[training.preset.discriminator](training, real_img, rng)
    training.nimg += len(real_img)
    _update_ema(training, len(real_img))
    return values


def _hinge_step(training: Training, real_img: Tensor, rng: torch.Generator) -> Values:
    """Hinge loss on projected maps; the generated batch is projected once for both networks."""
    discriminator = training.discriminator
    assert isinstance(discriminator, ProjectedDiscriminator)
    gen_img, _ = _generated(training, len(real_img), rng)
    with torch.no_grad():
        real_maps = discriminator.project(augmented(real_img, rng))
    gen_maps = discriminator.project(augmented(gen_img, rng))

    real_logits = discriminator.judge(real_maps)
    gen_logits = discriminator.judge([x.detach() for x in gen_maps])
    loss_d = hinge_d(real_logits, gen_logits)
    _descend(training.optimizer_d, loss_d)

    loss_g = hinge_g(discriminator.judge(gen_maps))
    _descend(training.optimizer_g, loss_g)
    return _told(loss_g, loss_d, real_logits, gen_logits)


def _logistic_step(training: Training, real_img: Tensor, rng: torch.Generator) -> Values:
    """Non-saturating loss; path length every 4th step and R1 every 16th, as steps of their own."""
    discriminator, iteration = training.discriminator, training.nimg // training.preset.batch
    values: Values = {}

    gen_img, _ = _generated(training, len(real_img), rng)
    loss_g = logistic_g(discriminator(gen_img))
    _descend(training.optimizer_g, loss_g)
    if _has_path_length(training.preset) and iteration % PATH_LENGTH_EVERY == 0:
        values["path_length"] = _path_length_step(training, max(1, len(real_img) // 2), rng)

    with torch.no_grad():
        gen_img, _ = _generated(training, len(real_img), rng)
    real_logits, gen_logits = discriminator(real_img), discriminator(gen_img)
    loss_d = logistic_d(real_logits, gen_logits)
    _descend(training.optimizer_d, loss_d)
    if iteration % R1_EVERY == 0:
        values["r1"] = _r1_step(training, real_img)
    return values | _told(loss_g, loss_d, real_logits, gen_logits)


_STEPS: dict[DiscriminatorKind, Callable[[Training, Tensor, torch.Generator], Values]] = {
    "stylegan2": _logistic_step,
    "projected": _hinge_step,
}


def _r1_step(training: Training, real_img: Tensor) -> Tensor:
    real_img = real_img.detach().requires_grad_()
    penalty = r1_penalty(training.discriminator(real_img), real_img)
    _descend(training.optimizer_d, penalty * (training.preset.r1_gamma / 2 * R1_EVERY))
    return penalty.detach()


def _path_length_step(training: Training, samples: int, rng: torch.Generator) -> Tensor:
    """Path lengths shall be their running mean (StyleGAN2, eq. 4)."""
    images, ws = _generated(training, samples, rng)
    lengths = path_lengths(images, ws, rng)
    with torch.no_grad():
        training.pl_mean.lerp_(lengths.mean(), PATH_LENGTH_DECAY)
    penalty = (lengths - training.pl_mean).square().mean()
    _descend(training.optimizer_g, penalty * training.preset.pl_weight * PATH_LENGTH_EVERY)
    return lengths.detach().mean()


def _generated(training: Training, samples: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """(pictures (N, 3, R, R), ws (N, num_ws, w_dim)) of new z, some with mixed styles."""
    generator = training.generator
    z = torch.randn(samples, training.preset.z_dim, generator=rng, device=rng.device)
    w = generator.mapping(z)
    generator.track(w)
    ws = w[:, None].repeat(1, generator.num_ws, 1)
    if isinstance(generator, StyleGAN2Generator):
        ws = _mixed(generator, ws, training.preset.style_mixing, rng)
    return generator.synthesis(ws, batch_noise(rng, samples)), ws


def _mixed(
    generator: StyleGAN2Generator, ws: Tensor, probability: float, rng: torch.Generator
) -> Tensor:
    """Style mixing (Karras 2019, sec. 3.1): from a random layer on, the w of another z."""
    samples, layers, _ = ws.shape
    z = torch.randn(samples, generator.z_dim, generator=rng, device=rng.device)
    first = torch.randint(1, layers, (samples, 1), generator=rng, device=rng.device)
    mixing = torch.rand(samples, 1, generator=rng, device=rng.device) < probability
    other = (torch.arange(layers, device=ws.device) >= first) & mixing
    return torch.where(other[:, :, None], generator.mapping(z)[:, None], ws)


def _descend(optimizer: torch.optim.Adam, loss: Tensor) -> None:
    """One step of this optimiser; the other network's gradients are neither made nor kept."""
    parameters = optimizer.param_groups[0]["params"]
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()
    optimizer.zero_grad()


def _told(loss_g: Tensor, loss_d: Tensor, real_logits: Tensor, gen_logits: Tensor) -> Values:
    return {
        "loss_g": loss_g.detach(),
        "loss_d": loss_d.detach(),
        "logits_real": real_logits.detach().mean(),
        "logits_gen": gen_logits.detach().mean(),
    }


@torch.no_grad()
def _update_ema(training: Training, batch: int) -> None:
    """G_ema moves with a half-life of ema_kimg, shorter in the beginning."""
    preset = training.preset
    half_life_nimg = min(preset.ema_kimg * 1000, training.nimg * preset.ema_ramp)
    weight = 1 - 0.5 ** (batch / max(half_life_nimg, 1e-8))
    pairs = zip(
        training.generator_ema.state_dict().values(),
        training.generator.state_dict().values(),
        strict=True,
    )
    for average, now in pairs:
        if average.is_floating_point():
            average.lerp_(now, weight)
        else:
            average.copy_(now)
