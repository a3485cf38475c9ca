"""From a generated sample to an artwork: proportions, grain, super-resolution, file and sidecar."""

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from machineray import __version__
from machineray.finish.aspect import reshaped, sample_aspect
from machineray.finish.encoding import SUFFIXES, check_size, encode_artwork
from machineray.finish.noise import SEED_SIGMA, add_noise
from machineray.finish.pretrained import WEIGHTS_SHA256
from machineray.finish.upscale import SCALE, Device, Engine, upscale
from machineray.imaging import Format

SIDECAR_SCHEMA = 1
CM_PER_INCH = 2.54
ENGINE_PACKAGES: dict[str, tuple[str, ...]] = {
    "torch": ("torch",),
    "isr": ("isr", "keras", "tensorflow", "tensorflow-cpu"),  # the last two by platform
}
LICENCE = {
    "claimed_by_machineray": "nothing",
    "you_may": "as far as it is MachineRay's to say, use, print, sell, change and share this "
    "artwork; the rights in what it was made from (credits) are yours to know",
}
WEIGHTS_REMARK = (
    "the super-resolution network (idealo RRDN GANS, Apache-2.0) was trained on DIV2K, "
    "whose terms speak of academic research"
)


@dataclass(frozen=True)
class FinishSettings:
    """What is the same for every picture of a run."""

    noise_sigma: float = SEED_SIGMA
    """Levels of 0..255 before the super-resolution; 0 = none."""
    scale: int = SCALE
    """4 = super-resolution, 1 = leave the size."""
    engine: Engine = "torch"
    device: Device = "cpu"
    is_bf16: bool = False
    format: Format = "png"
    quality: int = 95
    dpi: int = 300


@dataclass(frozen=True)
class Origin:
    """Where a sample comes from; copied into the sidecar."""

    id: str
    seed: int
    snapshot_sha256: str
    psi: float | None = None
    device: str | None = None  # of torch, on which it was drawn; another moves levels by one
    credits: Mapping[str, Any] | None = None
    """A summary of the paintings that the network learned from; JSON-serialisable."""
    mixed_with: int | None = None
    """The seed whose style it has from `from_layer` on."""
    from_layer: int | None = None


@dataclass(frozen=True)
class Artwork:
    """The finished file and what is known of it."""

    data: bytes
    sidecar: dict[str, Any]
    pixels: np.ndarray
    """(H, W, 3) uint8, what `data` encodes."""
    aspect: float
    suffix: str

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[0])


def finish_picture(
    pixels: np.ndarray,
    settings: FinishSettings,
    origin: Origin,
    aspects: Sequence[float] | None = None,
) -> Artwork:
    """One sample, (H, W, 3) uint8 sRGB, to its artwork; a function of the arguments alone.

    Args:
        pixels: the generated sample.
        settings: of the run.
        origin: of this sample; its seed also draws the aspect and the noise.
        aspects: width / height of the run's paintings; None keeps the sample's own.

    Raises:
        InputError: the sample or the aspects cannot be used, or the artwork would be too large.
        ConfigurationError: the engine is not installed.
    """
    if aspects is not None:
        pixels = reshaped(pixels, sample_aspect(origin.seed, aspects))
    check_size(pixels.shape[1] * settings.scale, pixels.shape[0] * settings.scale, settings.format)
    pixels = add_noise(pixels, origin.seed, settings.noise_sigma)
    if settings.scale == SCALE:
        pixels = upscale(pixels, settings.engine, device=settings.device, is_bf16=settings.is_bf16)
    data = encode_artwork(
        pixels,
        settings.format,
        dpi=settings.dpi,
        quality=settings.quality,
        software=f"MachineRay {__version__}",
    )
    sidecar = artwork_sidecar(pixels, data, settings, origin, is_aspect_drawn=aspects is not None)
    aspect = pixels.shape[1] / pixels.shape[0]
    return Artwork(data, sidecar, pixels, aspect, SUFFIXES[settings.format])


def artwork_sidecar(
    pixels: np.ndarray,
    data: bytes,
    settings: FinishSettings,
    origin: Origin,
    *,
    is_aspect_drawn: bool,
) -> dict[str, Any]:
    """All that is needed to know, credit and remake an artwork; JSON-serialisable, no clock."""
    height, width, _ = pixels.shape
    is_upscaled = settings.scale == SCALE
    packages = ("numpy", "pillow", *(ENGINE_PACKAGES[settings.engine] if is_upscaled else ()))
    return {
        "schema": SIDECAR_SCHEMA,
        "id": origin.id,
        "sha256": hashlib.sha256(data).hexdigest(),
        "format": settings.format,
        "quality": None if settings.format == "png" else settings.quality,
        "width": width,
        "height": height,
        "dpi": settings.dpi,
        "print_cm": [round(side / settings.dpi * CM_PER_INCH, 2) for side in (width, height)],
        "seed": origin.seed,
        "mixed_with": origin.mixed_with,
        "from_layer": origin.from_layer,
        "psi": origin.psi,
        "snapshot_sha256": origin.snapshot_sha256,
        "drawn_on": origin.device,
        "aspect": {
            "width_by_height": round(width / height, 6),
            "from": "paintings" if is_aspect_drawn else "sample",
        },
        # Every digit: one picture in hundreds has a value that rounds otherwise without.
        "noise": {"sigma_levels": settings.noise_sigma, "seed": origin.seed},
        "upscale": _upscale_sidecar(settings) if is_upscaled else None,
        "versions": {"machineray": __version__} | _versions(packages),
        "licence": LICENCE | ({"remark": WEIGHTS_REMARK} if is_upscaled else {}),
        "credits": dict(origin.credits) if origin.credits is not None else None,
    }


def _versions(packages: Sequence[str]) -> dict[str, str]:
    versions = {}
    for name in packages:
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def _upscale_sidecar(settings: FinishSettings) -> dict[str, Any]:
    return {
        "factor": SCALE,
        "engine": settings.engine,
        "device": settings.device if settings.engine == "torch" else None,
        "precision": "bfloat16" if settings.is_bf16 else "float32",
        "network": "RRDN GANS C4-D3-G32-G032-T10-x4",
        "weights_sha256": WEIGHTS_SHA256,
    }
