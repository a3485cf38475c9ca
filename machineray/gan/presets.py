"""The networks that `--preset` names, one row each; kimg is thousands of pictures looked at."""

from dataclasses import dataclass
from typing import Literal, get_args

from machineray.errors import UsageError
from machineray.gan.sizes import Resolution, Size, size_of

GeneratorKind = Literal["stylegan2", "light"]
DiscriminatorKind = Literal["stylegan2", "projected"]
AugmentKind = Literal["ada", "fixed", "none"]


@dataclass(frozen=True)
class Preset:
    """A generator, a discriminator (chosen independently) and how they are trained.

    The resolution is a side, 128, or WIDTHxHEIGHT, "96x128" (sizes.py). Channels at a side are
    min(channel_max, channel_base / side). ema_kimg is the half-life of G_ema, never more than
    ema_ramp of what was seen. Batch statistics are those of `group` samples, the atom of a batch.
    r1_gamma and pl_weight count with a StyleGAN2 discriminator only, and path length with a
    StyleGAN2 generator only.
    """

    name: str
    resolution: Resolution
    generator: GeneratorKind
    discriminator: DiscriminatorKind
    channel_base: int
    channel_max: int
    z_dim: int
    mapping_layers: int
    batch: int
    group: int
    augment: AugmentKind
    kimg: float
    learning_rate_g: float
    learning_rate_d: float
    ema_kimg: float
    snapshot_kimg: float
    tick_kimg: float
    ema_ramp: float = 0.05
    ada_target: float = 0.6
    pl_weight: float = 2.0
    style_mixing: float = 0.9

    def __post_init__(self) -> None:
        """ValueError for what no network can be: a snapshot from elsewhere may say anything."""
        sizes = (self.channel_base, self.channel_max, self.z_dim, self.batch)
        if not all(isinstance(size, int) and 0 < size < 2**31 for size in sizes):
            raise ValueError(f"sizes {sizes}")
        size_of(self.resolution)
        if not 0 <= self.mapping_layers <= 64:
            raise ValueError(f"{self.mapping_layers} mapping layers")
        if not 0 < self.group <= self.batch or self.batch % self.group:
            raise ValueError(f"a batch of {self.batch}, which has to be a multiple of {self.group}")
        if self.augment not in get_args(AugmentKind):
            raise ValueError(f"augment {self.augment}")
        if self.generator not in get_args(GeneratorKind):
            raise ValueError(f"generator {self.generator}")
        if self.discriminator not in get_args(DiscriminatorKind):
            raise ValueError(f"discriminator {self.discriminator}")

    @property
    def size(self) -> Size:
        """The resolution as width and height."""
        return size_of(self.resolution)

    @property
    def r1_gamma(self) -> float:
        """Weight of R1: 0.0002 * pixels / batch (ADA, arXiv 2006.06676, app. C)."""
        return 0.0002 * (self.size.width * self.size.height) / self.batch


# fmt: off
PRESETS = (
    #      name             px    generator    discriminator  base   max  z    map  batch  group augment  kimg  lr_g   lr_d   ema  snap  tick   ramp
    Preset("tiny",          32,   "stylegan2", "stylegan2",   1024,  64,  64,  2,   8,     4,    "ada",   .4,   .0025, .0025, .1,  .2,   .04, .05),
    Preset("sketch",        64,   "light",     "projected",   4096,  256, 128, 0,   8,     8,    "fixed", 20,   .0012, .0002, .5,  2.0,  .2,   .2),
    Preset("demo",          128,  "light",     "projected",   4096,  256, 128, 0,   8,     8,    "fixed", 4.0,  .0012, .0002, 1.0, 50.0, .064, .2),
    Preset("paintings256",  256,  "stylegan2", "stylegan2",   16384, 512, 512, 8,   16,    4,    "ada",   5000, .0025, .0025, 5.0, 50.0, 1.0, .05),
    Preset("paintings512",  512,  "stylegan2", "stylegan2",   16384, 512, 512, 8,   16,    4,    "ada",   5000, .0025, .0025, 5.0, 50.0, 1.0, .05),
    Preset("paintings1024", 1024, "stylegan2", "stylegan2",   16384, 512, 512, 8,   16,    4,    "ada",   5000, .002,  .002,  5.0, 50.0, 1.0, .05),
    Preset("paintings1024f",1024, "stylegan2", "stylegan2",   32768, 512, 512, 8,   16,    4,    "ada",   5000, .002,  .002,  5.0, 50.0, 1.0, .05),
    Preset("paintings2048", 2048, "stylegan2", "stylegan2",   32768, 512, 512, 8,   16,    4,    "ada",   5000, .002,  .002,  5.0, 50.0, 1.0, .05),
)
# fmt: on


def preset_named(name: str) -> Preset:
    """The row of that name; UsageError names the others."""
    for preset in PRESETS:
        if preset.name == name:
            return preset
    known = ", ".join(preset.name for preset in PRESETS)
    raise UsageError(f"--preset {name}: no such preset; there are {known}")
