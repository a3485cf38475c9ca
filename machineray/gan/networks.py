"""Networks from a preset: the two generators and the two discriminators, freely combined."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from machineray.gan.layers import GroupBatchNorm
from machineray.gan.light import LightGenerator
from machineray.gan.presets import Preset
from machineray.gan.projected import ProjectedDiscriminator
from machineray.gan.randomness import generator_for
from machineray.gan.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator

Generator = StyleGAN2Generator | LightGenerator
Discriminator = StyleGAN2Discriminator | ProjectedDiscriminator


def new_generator(preset: Preset) -> Generator:
    """A generator with fresh weights, drawn from torch's global random state."""
    if preset.generator == "light":
        return LightGenerator(
            preset.size,
            preset.channel_base,
            preset.channel_max,
            preset.z_dim,
            preset.group,
        )
    return StyleGAN2Generator(
        preset.size,
        preset.channel_base,
        preset.channel_max,
        preset.mapping_layers,
        preset.z_dim,
    )


def new_discriminator(preset: Preset, seed: int) -> Discriminator:
    """A discriminator with fresh weights, drawn from torch's global random state."""
    if preset.discriminator == "projected":
        return ProjectedDiscriminator(seed, preset.group)
    return StyleGAN2Discriminator(
        preset.size, preset.channel_base, preset.channel_max, preset.group
    )


def for_drawing(generator: Generator) -> Generator:
    """The generator, frozen, in the order of memory in which it draws fastest on a CPU."""
    generator.requires_grad_(False).eval()
    if isinstance(generator, StyleGAN2Generator):  # the light one is slower in it
        generator.to(memory_format=torch.channels_last)
    return generator


def learned_parameters(network: nn.Module) -> list[nn.Parameter]:
    """The parameters that an optimiser may change."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def draw(generator: Generator, z: Tensor, noise: Sequence[Tensor], psi: float = 1.0) -> Tensor:
    """z (N, z_dim) -> pictures (N, 3, H, W), about [-1, 1].

    psi pulls w towards its mean: 0 the mean picture, 1 all variety (Karras 2019, sec. 2.2).
    """
    w = torch.lerp(generator.w_avg, generator.mapping(z), psi)
    return generator.synthesis(w[:, None].repeat(1, generator.num_ws, 1), noise)


@torch.no_grad()
def calibrate(generator: Generator, samples: int = 64) -> None:
    """Take the running statistics of its batch norms from fixed samples, as it is now."""
    norms = [module for module in generator.modules() if isinstance(module, GroupBatchNorm)]
    if not norms:
        return
    device = generator.w_avg.device
    rng = generator_for("calibrate", samples, device=device)
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
        norm.is_measuring = True
    for _ in range(0, samples, norms[0].group):
        z = torch.randn(norms[0].group, generator.z_dim, generator=rng, device=device)
        noise = [
            torch.randn(norms[0].group, 1, height, width, generator=rng, device=device)
            for height, width in generator.noise_shapes
        ]
        draw(generator, z, noise)
    for norm in norms:
        norm.is_measuring = False
        norm.eval()


def latents(generator: Generator, seeds: Sequence[int]) -> Tensor:
    """z (N, z_dim), where the generator is; drawn on the CPU, so that it is one on all devices."""
    z = [torch.randn(generator.z_dim, generator=_begun(seed)) for seed in seeds]
    return torch.stack(z).to(generator.w_avg.device)


def noise_of(generator: Generator, seeds: Sequence[int]) -> list[Tensor]:
    """Noise (N, 1, height, width) for each layer, as `latents`: a seed's is what follows its z."""
    rngs = [_begun(seed) for seed in seeds]
    for rng in rngs:
        torch.randn(generator.z_dim, generator=rng)
    return [
        torch.stack([torch.randn(1, height, width, generator=rng) for rng in rngs]).to(
            generator.w_avg.device
        )
        for height, width in generator.noise_shapes
    ]


def _begun(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
