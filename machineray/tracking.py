"""How far things are: markers against plan, and the Job's word only for what the bucket cannot say.

"Job Complete" is no proof of output. A stage is complete when its markers say so; a Job that ended
without them has failed, whatever it says itself.
"""

import math
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from machineray.errors import (
    ClusterError,
    NotFoundError,
    StageError,
    StorageError,
    WaitTimeoutError,
)
from machineray.kube.manifests import LABEL, Json, selector
from machineray.kube.words import JobState, asks_pods, is_at_work, job_state, why
from machineray.log import Event, Note, Progress
from machineray.runs import StageRun, described_run, done_items, has_run, run_names
from machineray.stages import STAGES, TOOLS, tool_named
from machineray.storage import Store, open_store
from machineray.submission import PIPELINE

if TYPE_CHECKING:
    from machineray.kube.cluster import Cluster

_READERS = 16
_RUNS_A_PROCESS, _CORES = 100, 4
_PODS_ASKED = 20
_EVENTS_ASKED = 200
_LOOK_SECONDS = 5.0  # between two looks at the markers while a Job runs
FINISHED = ("failed", "complete")


@dataclass(frozen=True)
class Row:
    """One stage of one run, as a person wants to see it."""

    run: str
    stage: str
    state: str
    done: float = 0
    total: float = 0
    unit: str = ""
    refused: int = 0
    failed: int = 0  # pods' shares that failed for good
    running: int = 0  # pods
    age_seconds: float | None = None
    speed: float | None = None  # units a second
    eta_seconds: float | None = None
    why: str = ""
    job: str = ""
    reasons: tuple[str, ...] = ()


# -- from the bucket alone


def bucket_row(output: StageRun) -> Row:
    """A stage's row from plan and markers."""
    plan = output.plan()
    if plan is None:
        return Row(output.run, output.stage, "not planned")
    unit = tool_named(output.stage).unit
    progress = output.progress(plan)
    done, total = done_items(output, plan, progress.done, progress.is_complete)
    return Row(
        output.run,
        output.stage,
        progress.state,
        done,
        total,
        unit,
        refused=len(progress.refused),
        reasons=tuple(reason for _, reason in progress.refused),
    )


def pipeline_row(store: Store, run: str) -> Row:
    """The pipeline's row from the markers of the stages that its last submit was to make."""
    described = described_run(store, run)
    if "paintings" not in described:  # no pipeline's
        return Row(run, PIPELINE, "not planned")
    usual = [stage.name for stage in STAGES]
    if described.get("trained"):
        usual = usual[usual.index("train") + 1 :]
    stages = described.get("stages", usual)  # a pipeline without a cluster does all
    done = sum(StageRun(store, run, stage).is_complete() for stage in stages)
    state = "complete" if done == len(stages) else "under way" if done else "planned"
    return Row(run, PIPELINE, state, done, len(stages), "stages")


def marked_row(output: StageRun) -> Row:
    """The row of a stage, or of the pipeline."""
    if output.stage == PIPELINE:
        return pipeline_row(output.store, output.run)
    return bucket_row(output)


def overview(store: Store) -> list[Row]:
    """One row a run: the stage that it has come to. A few small questions each, side by side.

    Each costs a millisecond of a processor (botocore), so that of many runs every core takes some.
    """
    names = run_names(store)
    processes = min(os.cpu_count() or 1, _CORES, len(names) // _RUNS_A_PROCESS)
    if processes < 2:
        return _furthest_rows(store, names)
    size = math.ceil(len(names) / processes)
    parts = [names[start : start + size] for start in range(0, len(names), size)]
    with ProcessPoolExecutor(processes, initializer=_ignore_interrupts) as pool:
        # By its address: a client's connections are not to be shared.
        rows = pool.map(_furthest_rows_at, [store.url] * len(parts), parts)
        return list(chain.from_iterable(rows))


def _ignore_interrupts() -> None:
    """Ctrl-C is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _furthest_rows_at(url: str, names: Sequence[str]) -> list[Row]:
    return _furthest_rows(open_store(url), names)


def _furthest_rows(store: Store, names: Sequence[str]) -> list[Row]:
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(lambda name: _furthest(store, name), names))


def _furthest(store: Store, run: str) -> Row:
    last = StageRun(store, run, STAGES[-1].name)
    if last.is_complete():  # most runs of a museum are done: one question
        return Row(run, last.stage, "complete")
    there = set(store.folders(f"runs/{run}/"))
    begun = [row.name for row in (*TOOLS, *STAGES) if row.name in there]
    if not begun:
        return Row(run, "", "not planned")
    return bucket_row(StageRun(store, run, begun[-1]))


# -- with the cluster


def run_jobs(cluster: "Cluster", root: str, run: str | None = None) -> dict[tuple[str, str], Json]:
    """(run, stage) -> Job of this root, by one list."""
    return _by_stage(cluster.list("Job", selector=selector(run)), root)


def _by_stage(jobs: Sequence[Json], root: str) -> dict[tuple[str, str], Json]:
    found = {}
    for job in jobs:
        metadata = job["metadata"]
        if metadata.get("annotations", {}).get(f"{LABEL}/root") == root:
            labels = metadata["labels"]
            found[labels[f"{LABEL}/run"], labels[f"{LABEL}/stage"]] = job
    return found


def furthest_row(store: Store, row: Row, jobs: Mapping[tuple[str, str], Json]) -> Row:
    """A run's row of the overview; the pipeline's instead where that alone can say what goes on.

    So it is before the first stage, between two of them, and where no next one can be submitted.
    """
    own, pipeline = jobs.get((row.run, row.stage)), jobs.get((row.run, PIPELINE))
    if pipeline is None or job_state(pipeline).state == "complete":
        return row
    is_told = own is not None and job_state(own).state != "complete"
    is_last = (row.stage, row.state) == (STAGES[-1].name, "complete")
    return row if is_told or is_last else pipeline_row(store, row.run)


def is_over(row: Row, jobs: Mapping[tuple[str, str], Json]) -> bool:
    """Whether nothing more comes of the row: also when nobody is on the way to it."""
    if row.state == "not planned":
        return not is_at_work(jobs.get((row.run, PIPELINE)))
    return row.state in FINISHED


def with_job(cluster: "Cluster | None", row: Row, job: Json | None) -> Row:
    """The row, and where there is a Job what that says."""
    return joined(row, job, explained(cluster, job)) if cluster and job else row


def joined(row: Row, job: Json, reason: str, now: datetime | None = None) -> Row:
    """What the bucket says and what the Job says, in one row. Pure."""
    state = job_state(job)
    now = now or datetime.now(UTC)
    age = (now - state.started).total_seconds() if state.started else None
    values: dict[str, Any] = vars(row) | {
        "job": job["metadata"]["name"],
        "failed": len(state.failed),
        "running": state.active,
        "age_seconds": age,
        "why": reason or _missing(row, state),
        "state": _joined_state(row.state, state),
    }
    if state.state == "running" and age and row.stage != PIPELINE:
        values |= _speed(row, job, age)
    return Row(**values)


def _joined_state(marked: str, job: JobState) -> str:
    if marked == "complete":
        return "complete"
    if job.state == "complete":
        return "failed"  # its pods ended well, and markers are missing
    return job.state


def _missing(row: Row, job: JobState) -> str:
    if job.state != "complete" or row.state == "complete":
        return ""
    left = row.total - row.done
    what = f"{left:g} of {row.total:g} {row.unit} are missing" if left else "they are not merged"
    return f"the Job is complete, but {what}: submit it again"


def _speed(row: Row, job: Json, age: float) -> dict[str, float]:
    """Units a second since the Job began, and how long the rest takes at that speed.

    The Job says how many units were missing when it began: those before are not its doing.
    """
    items = float(job["metadata"].get("annotations", {}).get(f"{LABEL}/items", row.total))
    made = items - (row.total - row.done)
    if made <= 0:
        return {}
    speed = made / age
    return {"speed": speed, "eta_seconds": (row.total - row.done) / speed}


def explained(cluster: "Cluster", job: Json) -> str:
    """Why a Job does not go on, in words. Pods are asked only where the Job itself is not well."""
    if not asks_pods(job):
        return why(job, queue=_queue_place(cluster, job))
    name = job["metadata"]["name"]
    ours = f"batch.kubernetes.io/job-name={name}"
    # Those that run are well, but for a node that does not answer: they come last.
    ill = "status.phase!=Running,status.phase!=Succeeded"
    pods = cluster.list("Pod", selector=ours, fields=ill, limit=_PODS_ASKED)
    pods = pods or cluster.list("Pod", selector=ours, limit=_PODS_ASKED)
    events = []
    for involved in (name, *(pod["metadata"]["name"] for pod in pods[:3])):
        fields = f"involvedObject.name={involved}"
        events += cluster.list("Event", fields=fields, limit=_EVENTS_ASKED)
    return why(job, pods, events)


def _queue_place(cluster: "Cluster", job: Json) -> Json | None:
    """Kueue's word for the Job's place, where the Job is suspended and Kueue is there."""
    queue = job["metadata"].get("labels", {}).get("kueue.x-k8s.io/queue-name")
    if not queue or not job["spec"].get("suspend"):
        return None
    path = (
        f"/apis/visibility.kueue.x-k8s.io/v1beta2/namespaces/{cluster.namespace}"
        f"/localqueues/{queue}/pendingworkloads"
    )
    try:
        found = cluster.raw(path) or {}
    except ClusterError:  # without k8s/kueue/access.yaml it may not be asked: then without a place
        return None
    for item in found.get("items", []):
        owners = item.get("metadata", {}).get("ownerReferences", [])
        if any(owner.get("uid") == job["metadata"].get("uid") for owner in owners):
            place: Json = item
            return place
    return None


# -- waiting


@dataclass(frozen=True)
class Target:
    """What is waited for: a stage of a run, or a run's pipeline."""

    run: str
    stage: str


def waited(
    cluster: "Cluster",
    store: Store,
    root: str,
    targets: Sequence[Target],
    timeout_seconds: float | None = None,
) -> Iterator[Event]:
    """Tell how the targets go on until all are complete; one watch, whatever their number.

    StageError as soon as one ended without its output, NotFoundError for one that nobody has
    begun, WaitTimeoutError after timeout_seconds.
    """
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    left = list(targets)
    told: dict[Target, tuple[Any, ...]] = {}
    look_seconds = min(_LOOK_SECONDS, timeout_seconds or _LOOK_SECONDS)
    for jobs in cluster.watch("Job", selector=selector(), idle_seconds=look_seconds):
        by_stage = _by_stage(list(jobs.values()), root)
        for target in list(left):
            job = by_stage.get((target.run, target.stage))
            driver = by_stage.get((target.run, PIPELINE))
            is_done, event = _looked_at(cluster, store, target, job, driver, told)
            if event:
                yield event
            if is_done:
                left.remove(target)
        if not left:
            return
        if deadline is not None and time.monotonic() > deadline:
            names = ", ".join(f"{target.run}/{target.stage}" for target in left)
            raise WaitTimeoutError(f"{names}: not done after {timeout_seconds:g} s; it goes on")


def _looked_at(
    cluster: "Cluster",
    store: Store,
    target: Target,
    job: Json | None,
    driver: Json | None,
    told: dict[Target, tuple[Any, ...]],
) -> tuple[bool, Event | None]:
    """(whether the target is complete, what there is to tell); StageError when it failed.

    `driver` is the Job of the run's pipeline: a stage may be still to come.
    """
    output = StageRun(store, target.run, target.stage)
    name = output.name
    state = job_state(job) if job else None
    marked = _marked(output) if state and target.stage in ("train", PIPELINE) else None
    seen = (state.state, state.done, state.active, marked) if state else ("none",)
    goes_on = state.state not in FINISHED if state else is_at_work(driver)
    if goes_on and told.get(target) == seen:
        return False, None
    told[target] = seen
    if not (state and goes_on) and _is_complete(output):
        return True, Note(f"{name}: complete")
    if state is None:
        if not goes_on:
            raise _absent(output)
        return False, Note(f"{name}: the pipeline has not come to it yet")
    if job and not goes_on:
        reason = explained(cluster, job) or _missing(marked_row(output), state) or state.state
        raise StageError(f"{name}: {reason}")
    return False, _told(cluster, name, job, state, marked)


def _is_complete(output: StageRun) -> bool:
    if output.stage == PIPELINE:
        return pipeline_row(output.store, output.run).state == "complete"
    return output.is_complete()


def _absent(output: StageRun) -> StageError | NotFoundError:
    """Why it is no use to wait for what no Job is at work on."""
    if not has_run(output.store, output.run):
        return NotFoundError(
            f"{output.run}: no such run in {output.store.url}; `mray ls` lists them"
        )
    again = f"mray submit {output.stage} --run {output.run}"
    if marked_row(output).state == "not planned":
        return NotFoundError(f"{output.name}: nobody has submitted it; {again}")
    return StageError(f"{output.name}: neither complete nor in the cluster; {again}")


def _marked(output: StageRun) -> tuple[float, float, str] | None:
    """(done, total, unit) by the bucket, for what one pod makes as a whole.

    None before its plan is there and while the bucket is away.
    """
    try:
        row = marked_row(output)
    except StorageError:
        return None
    return (row.done, row.total, row.unit) if row.total else None


def _told(
    cluster: "Cluster",
    name: str,
    job: Json | None,
    state: JobState,
    marked: tuple[float, float, str] | None,
) -> Event:
    reason = explained(cluster, job) if job else ""
    text = f"{state.active} pod{'s' * (state.active != 1)}" + (f", {reason}" if reason else "")
    done, total, unit = marked or (state.done, state.completions, "shards")
    return Progress(name, done, total, unit, text)


# -- cancelling


def cancelled(
    cluster: "Cluster", store: Store, root: str, run: str, stage: str | None
) -> list[str]:
    """End the Jobs of a run (or of one stage): sentences on what went and what stays.

    Those that have ended stay, too, for as long as the cluster keeps them. NotFoundError when
    there is none.
    """
    jobs = run_jobs(cluster, root, run)
    found = {name: job for (_, name), job in jobs.items() if stage in (None, name)}
    what = f"{run}/{stage}" if stage else run
    if not found:
        raise NotFoundError(f"{what}: no Job of it is in the cluster; mray status {run}")
    chosen = {name: job for name, job in found.items() if is_at_work(job)}
    if not chosen:
        return [f"{what}: nothing is at work on it; mray status {run}"]
    sentences = []
    # The pipeline first: it would submit the next stage.
    for name in sorted(chosen, key=lambda name: name != PIPELINE):
        cluster.delete("Job", chosen[name]["metadata"]["name"])
        sentences.append(f"{run}/{name}: cancelled{_what_stays(store, run, name)}")
    return sentences


def _what_stays(store: Store, run: str, stage: str) -> str:
    if stage == PIPELINE:
        return "; the stages that run go on unless they are cancelled, too"
    row = bucket_row(StageRun(store, run, stage))
    return f"; {row.done:g} of {row.total:g} {row.unit} are done and stay; submit again to go on"
