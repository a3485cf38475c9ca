"""Another version of a run: RUN-v2, -v3 …, which reads what RUN reads and keeps RUN as it is."""

from typing import Any

from machineray.errors import UsageError
from machineray.runs import StageRun, described_run, named_stage, run_names
from machineray.stages import Stage
from machineray.storage import Store

_LONGEST_STEM = 27  # of a run's 32 letters, so that "-v9999" has room


def next_version(store: Store, run: str) -> str:
    """The first of RUN-v2, -v3 … that is not taken."""
    taken = set(run_names(store))
    stem = run[:_LONGEST_STEM].rstrip("-")
    return next(name for n in range(2, 10_000) if (name := f"{stem}-v{n}") not in taken)


def stage_source(store: Store, run: str, stage: Stage) -> str | None:
    """What RUN's stage reads, as --input takes it; its own stage before while it is not planned."""
    plan = StageRun(store, run, stage.name).plan()
    source = str(plan.input.get("from") or "") if plan else ""
    if not stage.needs:
        return source or None
    # A generate may be drawn from a snapshot's file: that is no input.
    is_place = source.startswith("s3://") and stage.name != "generate"
    is_known = is_place or named_stage(store, source)
    return source if is_known else f"{run}/{stage.needs[0]}"


def pipeline_source(store: Store, run: str) -> dict[str, Any]:
    """The paintings, the sites or the trained network that RUN's pipeline was begun with.

    UsageError when RUN was begun by no pipeline: nothing says what it reads.
    """
    described = described_run(store, run)
    if "paintings" not in described:
        raise UsageError(
            f"{run}: no pipeline has begun it, so nothing says what a new version reads; "
            "name the paintings, or --trained RUN/train"
        )
    return {name: described.get(name) for name in ("paintings", "source", "trained")}
