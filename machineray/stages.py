"""The table of stages: what the command line, the manifests, the documents and the tests read."""

from dataclasses import dataclass

from machineray.errors import UsageError


@dataclass(frozen=True)
class Stage:
    """One step from paintings to artworks.

    `items_per_index` is how many items one index of the plan holds: the grain at which work is
    resumed and spread. `max_failures` None: refusing bad input is the stage's work, not a failure.
    """

    name: str
    needs: tuple[str, ...]  # the first one is the default of --input
    extra: str  # pip install machineray[extra]
    items_per_index: int
    max_failures: int | None
    unit: str
    summary: str


STAGES = (
    Stage("collect", (), "collect", 32, None, "files", "Take paintings from a folder or a bucket."),
    Stage("curate", ("collect",), "images", 32, None, "paintings", "Sort out small and twice."),
    Stage("unframe", ("curate",), "images", 16, 0, "paintings", "Cut frames, mats and walls."),
    Stage("augment", ("unframe",), "images", 32, 0, "paintings", "Make the training squares."),
    Stage("train", ("augment",), "train", 1, 0, "kimg", "Train the GAN, or go on with it."),
    Stage("generate", ("train",), "train", 32, 0, "samples", "Draw one sample a seed."),
    Stage(
        "finish", ("generate",), "finish", 1, 0, "artworks", "Aspect, noise, upscaling, credits."
    ),
    Stage("gallery", ("finish",), "gallery", 1, 0, "artworks", "Hang the artworks on one page."),
)


def stage_named(name: str) -> Stage:
    """The row of that name; UsageError names the others."""
    for stage in STAGES:
        if stage.name == name:
            return stage
    known = ", ".join(stage.name for stage in STAGES)
    raise UsageError(f"{name}: no such stage; the stages are {known}")
