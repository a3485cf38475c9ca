"""The table of stages: what the command line, the manifests, the documents and the tests read."""

from dataclasses import dataclass

from machineray.errors import UsageError

# k8s/base/priorities.yaml: who makes room for whom.
BATCH_PRIORITY, TRAIN_PRIORITY, PIPELINE_PRIORITY = "mray-batch", "mray-train", "mray-pipeline"


@dataclass(frozen=True)
class Pod:
    """What a pod of a stage gets unless `mray submit` says otherwise.

    Kubernetes' quantities. `items` is a pod's share of the plan: 5 to 30 minutes of work.
    """

    items: int
    cpu: str
    memory: str
    disk: str = "4Gi"
    gpus: int = 0
    grace_seconds: int = 30
    retries: int = 3
    priority_class: str = BATCH_PRIORITY


@dataclass(frozen=True)
class Tool:
    """Work that is planned, marked and resumed in a run, beside the pipeline.

    `items_per_index` is how many items one index of the plan holds: the grain at which work is
    resumed and spread. `max_failures` None: refusing bad input is the stage's work, not a failure.
    What it imports comes by the extra of its name: pip install 'machineray[unframe]'.
    """

    name: str
    needs: tuple[str, ...]  # the first one is the default of --input
    items_per_index: int
    max_failures: int | None
    unit: str
    summary: str


@dataclass(frozen=True)
class Stage(Tool):
    """One step from paintings to artworks: a tool that the pipeline takes, in a pod or without."""

    pod: Pod
    is_shared: bool = False  # may several processes, GPUs x nodes, do one shard together?


# fmt: off
STAGES = (
    Stage("collect", (), 32, None, "files",
          "Take paintings from a folder or a bucket.", Pod(512, "1", "2Gi")),
    Stage("curate", ("collect",), 32, None, "paintings",
          "Sort out small and twice.", Pod(512, "1", "2Gi")),
    Stage("unframe", ("curate",), 16, 0, "paintings",
          "Cut frames, mats and walls.", Pod(256, "1", "3Gi")),
    Stage("augment", ("unframe",), 32, 0, "paintings",
          "Make the training pictures.", Pod(512, "1", "3Gi")),
    Stage("train", ("augment",), 1, 0, "kimg",
          "Train the GAN, or go on with it.",
          Pod(1, "4", "16Gi", "32Gi", gpus=1, grace_seconds=90, retries=20,
              priority_class=TRAIN_PRIORITY), is_shared=True),
    Stage("generate", ("train",), 32, 0, "samples",
          "Draw one sample a seed.", Pod(2048, "2", "4Gi")),
    Stage("finish", ("generate",), 1, 0, "artworks",
          "Aspect, noise, upscaling, credits.", Pod(32, "2", "6Gi")),
    Stage("gallery", ("finish",), 1, 0, "artworks",
          "Hang the artworks on one page.", Pod(5000, "1", "4Gi")),
)

# What looks at a trained network. On the user's machine only: no image has an encoder of videos.
TOOLS = (
    Tool("walk", ("train",), 48, 0, "frames", "Film a walk through what the network knows."),
    Tool("explore", ("train",), 1, 0, "sheets", "Sheets of truncation and of directions."),
    Tool("project", ("train",), 1, 0, "pictures", "Find a given picture in the network."),
)
# fmt: on


def tool_named(name: str) -> Tool:
    """The row of that name among stages and tools; UsageError names the others."""
    for row in (*STAGES, *TOOLS):
        if row.name == name:
            return row
    known = ", ".join(row.name for row in (*STAGES, *TOOLS))
    raise UsageError(f"{name}: no such stage; there are {known}")


def stage_named(name: str) -> Stage:
    """The row of that name; UsageError names the others."""
    for stage in STAGES:
        if stage.name == name:
            return stage
    known = ", ".join(stage.name for stage in STAGES)
    raise UsageError(f"{name}: no such stage; the stages are {known}")
