"""What a step has beside its usual, and how often: lazy regularisation (arXiv 1912.04958, 3.1)."""

from typing import NamedTuple

from machineray.gan.presets import Preset

R1_EVERY = 16
PATH_LENGTH_EVERY = 4


def has_r1(preset: Preset) -> bool:
    """Whether a training of this preset has the penalty of large gradients."""
    return preset.discriminator == "stylegan2"


def has_energy(preset: Preset) -> bool:
    """Whether generated pictures are compared with real ones as wholes, too."""
    return preset.discriminator == "projected"


def has_path_length(preset: Preset) -> bool:
    """Whether a training of this preset has the regulariser of path lengths."""
    return (preset.generator, preset.discriminator) == ("stylegan2", "stylegan2")


class Kind(NamedTuple):
    """What a step has beside its usual."""

    r1: bool
    path_length: bool
    ada: bool


def kind_of(preset: Preset, iteration: int, p: float) -> Kind:
    """What the step of an iteration computes where pictures are augmented with a probability p."""
    return Kind(
        r1=has_r1(preset) and iteration % R1_EVERY == 0,
        path_length=has_path_length(preset) and iteration % PATH_LENGTH_EVERY == 0,
        ada=preset.augment == "ada" and p > 0,
    )


def iterations_by_kind(preset: Preset) -> list[list[int]]:
    """The R1_EVERY iterations of a round, those of a kind together, the most frequent kind first.

    What a step takes on average follows from one of each.
    """
    found: dict[Kind, list[int]] = {}
    for iteration in range(R1_EVERY):
        found.setdefault(kind_of(preset, iteration, 0.0), []).append(iteration)
    return sorted(found.values(), key=len, reverse=True)
