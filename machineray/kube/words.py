"""A Job, its pods and their events as the API gives them -> its state, and why in plain words.

This finds the reason of every pod and counts who says the same; plain.py has the words. Objects
are plain JSON and may lack anything: what is not understood is said as it stands.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain, islice

from machineray.kube.manifests import LABEL
from machineray.kube.objects import (
    Json,
    at,
    condition,
    containers,
    event_time,
    index_of,
    intervals,
    is_about,
    is_of,
    mapping,
    mappings,
    phase,
    text_at,
    time_of,
    whole_at,
)
from machineray.kube.plain import say
from machineray.seeds import numbers_text

_LINE_LENGTH, _DETAIL_LENGTH, _INDEXES_LENGTH = 320, 160, 60
_LAST = 1_000_000  # behind every rank
_MOST_FAILED = 100_000  # Kubernetes allows no more indexes where they fail one by one
_NOTHING_WRONG = ("", "ContainerCreating", "PodInitializing")
_HINDRANCES = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "Pulling")


@dataclass(frozen=True)
class JobState:
    """What the Job object alone tells, be it of one index or of 100,000.

    `state` is "queued" (suspended: it waits for Kueue), "pending" (nothing of it ran yet),
    "running", "failed", "complete" or "ending" (deleted, its pods are leaving).
    """

    state: str
    completions: int
    parallelism: int
    active: int
    ready: int
    done: int
    failed: tuple[int, ...]
    started: datetime | None
    ended: datetime | None

    @property
    def missing(self) -> int:
        """How many pods it should have now and has not."""
        left = self.completions - self.done - len(self.failed)
        return max(0, min(self.parallelism, left) - self.active)


@dataclass(frozen=True)
class _Cause:
    """One reason: its rank (see plain.Said), its words, a container's last line, whose it is."""

    rank: int
    words: str
    detail: str = ""
    index: int | None = None
    count: int = 1


def job_state(job: Json) -> JobState:
    """A batch/v1 Job -> where it stands. What it lacks counts as 0, or 1 for what was wanted."""
    status = mapping(job, "status")
    failed = condition(job, "Failed")
    complete = condition(job, "Complete")
    indexed = text_at(job, "spec", "completionMode") == "Indexed"
    ranges = intervals(text_at(status, "completedIndexes"))
    done = sum(map(len, ranges)) if indexed else whole_at(status, "succeeded")
    ready, failures = whole_at(status, "ready"), whole_at(status, "failed")
    if text_at(job, "metadata", "deletionTimestamp"):
        state = "ending"
    elif complete or failed:
        state = "complete" if complete else "failed"
    elif at(job, "spec", "suspend") is True:
        state = "queued"
    else:
        state = "running" if ready or done or failures else "pending"
    ended = text_at(status, "completionTime") or text_at(complete or failed, "lastTransitionTime")
    bad = chain.from_iterable(intervals(text_at(status, "failedIndexes")))
    return JobState(
        state=state,
        completions=whole_at(job, "spec", "completions", default=1),
        parallelism=whole_at(job, "spec", "parallelism", default=1),
        active=whole_at(status, "active"),
        ready=ready,
        done=done,
        failed=tuple(islice(bad, _MOST_FAILED)),
        started=time_of(text_at(status, "startTime")),
        ended=time_of(ended),
    )


def is_at_work(job: Json | None) -> bool:
    """Whether the Job runs or waits to run."""
    return job is not None and job_state(job).state in ("pending", "queued", "running")


def asks_pods(job: Json) -> bool:
    """Does `why` need pods and events: is something missing, not ready or failed?

    Pods that run or have succeeded tell little: a field selector may leave them out.
    """
    state = job_state(job)
    if state.state in ("complete", "ending", "queued"):
        return False
    behind = state.missing > 0 or state.ready < state.active
    return state.state == "failed" or behind or whole_at(job, "status", "failed") > 0


def why(
    job: Json, pods: Sequence[Json] = (), events: Sequence[Json] = (), *, queue: Json | None = None
) -> str:
    """What keeps the Job from going on, or why it failed, and what to do: one line, or "".

    `pods` and `events` may be of others too; `queue` is the Job's item of Kueue's
    PendingWorkloadsSummary.
    """
    state = job_state(job)
    if state.state in ("complete", "ending"):
        return ""
    if state.state == "queued":
        return _line(_queue_words(job, queue))
    own = [pod for pod in mappings(pods) if is_of(job, pod)]
    told = sorted(mappings(events), key=event_time)
    ending = condition(job, "Failed") or condition(job, "FailureTarget")
    if ending:
        return _line(_failure(job, state, own, ending))
    causes = [*_refused(job, state, told), *_waiting(own, told), *_ended(job, state, own)]
    if state.failed:
        lost = _failed_indexes(state, own)
        words = f"{_indexes_words(state)} for good"
        rank = min((cause.rank for cause in lost), default=_LAST)
        causes.append(_Cause(rank, f"{words}: {_told(lost)}" if lost else words))
    best = min(causes, key=lambda cause: (cause.rank, -cause.count), default=None)
    if best is None:
        return ""
    return _line(f"{best.count} pods: {_told([best])}" if best.count > 1 else _told([best]))


def _queue_words(job: Json, queue: Json | None) -> str:
    name = text_at(job, "metadata", "labels", "kueue.x-k8s.io/queue-name")
    if not name:
        metadata = mapping(job, "metadata")
        target = f"{text_at(metadata, 'name')} -n {text_at(metadata, 'namespace') or 'default'}"
        patch = """-p '{"spec":{"suspend":false}}'"""
        return f"suspended, and not by a queue: kubectl patch job {target} {patch} lets it go on"
    position = at(queue, "positionInLocalQueue")  # counts from 0
    if isinstance(position, int) and not isinstance(position, bool):
        return f"position {position + 1} of queue {name}"
    return f"waits in queue {name}"


def _failure(job: Json, state: JobState, pods: Sequence[Json], ending: Json) -> str:
    """The Job's own reason, and behind it those of its pods."""
    reason, message = text_at(ending, "reason"), text_at(ending, "message")
    head = say(reason, message, {**_values(_template(job)), **_job_values(job, state)}).words
    # Pods that a deadline ended were told to stop: that says nothing.
    causes = [] if reason == "DeadlineExceeded" else _failed_indexes(state, pods)
    code = re.search("exit code [0-9]+", message) if reason == "PodFailurePolicy" else None
    if code:  # one pod has stopped all, however often the others failed
        causes.sort(key=lambda cause: cause.rank)
        causes = causes or [_Cause(0, say(code[0], "", {}).words)]
    return f"{head}: {_told(causes)}" if causes else head


def _failed_indexes(state: JobState, pods: Sequence[Json]) -> list[_Cause]:
    """Why indexes failed for good: the last pod of each tells, the most frequent cause first."""
    failed, last = set(state.failed), dict[int | str, Json]()
    for pod in sorted(pods, key=lambda pod: text_at(pod, "metadata", "creationTimestamp")):
        index = index_of(pod)
        if phase(pod) == "Failed" and (not failed or index in failed):
            last[text_at(pod, "metadata", "name") if index is None else index] = pod
    causes = _counted(_cause(pod, *_trouble(pod, ())) for pod in last.values())
    return sorted(causes, key=lambda cause: (-cause.count, cause.rank))


def _ended(job: Json, state: JobState, pods: Sequence[Json]) -> list[_Cause]:
    """Pods that failed while the Job goes on, until their index is done or at work again."""
    behind = state.missing > 0 or state.ready < state.active
    failed = set(state.failed)
    at_work = {index_of(pod) for pod in pods if phase(pod) == "Running"}
    done = intervals(text_at(job, "status", "completedIndexes"))
    causes = []
    for pod in pods:
        index, disrupted = index_of(pod), bool(condition(pod, "DisruptionTarget"))
        replaced = index is not None and (
            any(index in interval for interval in done) or (disrupted and index in at_work)
        )
        if phase(pod) != "Failed" or index in failed or replaced or (disrupted and not behind):
            continue
        cause = _cause(pod, *_trouble(pod, ()))
        causes.append(cause if disrupted else replace(cause, words=f"tried again: {cause.words}"))
    return _counted(causes)


def _waiting(pods: Sequence[Json], events: Sequence[Json]) -> list[_Cause]:
    """Why pods that have not ended do not run."""
    live = [pod for pod in pods if phase(pod) not in ("Failed", "Succeeded")]
    reasons = ((pod, _trouble(pod, events)) for pod in live)
    return _counted(_cause(pod, *reason) for pod, reason in reasons if reason[0])


def _refused(job: Json, state: JobState, events: Sequence[Json]) -> Iterator[_Cause]:
    """Pods that could not even be created: the Job's newest event says why."""
    mine = [event for event in events if is_about(event, "Job", job)]
    failures = [event for event in mine if text_at(event, "reason") == "FailedCreate"]
    created = [event for event in mine if text_at(event, "reason") == "SuccessfulCreate"]
    if not failures or not state.missing:
        return
    if created and event_time(created[-1]) > event_time(failures[-1]):
        return  # it was refused once, and no more
    message = text_at(failures[-1], "message") or text_at(failures[-1], "note")
    message = re.sub(r'^.*?Error creating: (pods "[^"]*" is forbidden: )?', "", message)
    said = say("FailedCreate", message, _values(_template(job)))
    yield _Cause(said.rank, said.words, count=state.missing)


def _trouble(pod: Json, events: Sequence[Json]) -> tuple[str, str]:
    """A pod -> (reason, message) of what is wrong with it; ("", "") when nothing is."""
    now, reason = phase(pod), text_at(pod, "status", "reason")
    disruption = condition(pod, "DisruptionTarget")
    if now == "Failed":
        said = (reason, text_at(pod, "status", "message")) if reason else ("", "")
        if not reason and disruption:
            said = (text_at(disruption, "reason"), text_at(disruption, "message"))
        return said if said[0] else _container_end(pod)
    lost = text_at(disruption, "reason") == "DeletionByTaintManager"
    if lost or now == "Unknown" or reason == "NodeLost":
        return "NodeLost", text_at(pod, "status", "message")
    if text_at(pod, "metadata", "deletionTimestamp"):
        return "", ""
    unscheduled = condition(pod, "PodScheduled", "False")
    if now == "Pending" and unscheduled:
        return text_at(unscheduled, "reason"), text_at(unscheduled, "message")
    told = [event for event in events if is_about(event, "Pod", pod)]
    for container in containers(pod):
        waiting = mapping(container, "state", "waiting")
        if text_at(waiting, "reason") not in _NOTHING_WRONG:
            return text_at(waiting, "reason"), _waiting_message(waiting, told)
    newest = told[-1] if told else {}
    if text_at(newest, "reason") in _HINDRANCES and now != "Running":
        return text_at(newest, "reason"), text_at(newest, "message") or text_at(newest, "note")
    unready = condition(pod, "Ready", "False")
    if now == "Running" and unready and text_at(newest, "reason") == "NodeNotReady":
        return "NodeNotReady", text_at(newest, "message")
    return "", ""


def _container_end(pod: Json) -> tuple[str, str]:
    for container in containers(pod):
        end = mapping(container, "state", "terminated")
        code, reason = whole_at(end, "exitCode"), text_at(end, "reason")
        if reason not in ("", "Error", "Completed"):
            return reason, text_at(end, "message")
        if code:
            return f"exit code {code}", ""
    message = text_at(pod, "status", "message")
    return ("Failed", message) if message else ("NeverBegan", "")


def _waiting_message(waiting: Json, events: Sequence[Json]) -> str:
    """Older kubelets back off without a word on what failed; the event before it says it."""
    message = text_at(waiting, "message")
    failed = [
        said for event in events if (said := text_at(event, "message")).startswith("Failed to")
    ]
    return failed[-1] if failed and message.startswith("Back-off") else message


def _cause(pod: Json, reason: str, message: str) -> _Cause:
    said = say(reason, message, _values(pod))
    detail = ""
    if reason.startswith("exit "):
        ends = (
            text_at(container, "state", "terminated", "message") for container in containers(pod)
        )
        lines = [line.strip() for end in ends for line in end.splitlines() if line.strip()]
        detail = _cut(lines[-1], _DETAIL_LENGTH) if lines else ""
    return _Cause(said.rank, said.words, detail, index_of(pod))


def _counted(causes: Iterable[_Cause]) -> list[_Cause]:
    """Those with the same words as one, with the last line of the lowest index that has one."""
    found: dict[str, list[_Cause]] = {}
    for cause in causes:
        found.setdefault(cause.words, []).append(cause)
    counted = []
    for same in found.values():
        first = min(same, key=lambda cause: (not cause.detail, cause.index or 0))
        counted.append(replace(first, count=sum(cause.count for cause in same)))
    return counted


def _told(causes: Sequence[_Cause]) -> str:
    """Causes -> "2 × bad input: the last line; 1 × killed"; one cause needs no count."""
    only = len(causes) == 1
    return "; ".join(
        ("" if only else f"{cause.count} × ")
        + cause.words
        + (f": {cause.detail}" if cause.detail else "")
        for cause in causes
    )


def _values(pod: Json) -> dict[str, str]:
    """What the words may name of a pod: how much it wants, its image, its node …"""
    values: dict[str, str] = {}
    for container in mappings(at(pod, "spec", "containers")):
        resources = mapping(container, "resources")
        for amounts in (mapping(resources, "limits"), mapping(resources, "requests")):
            values.update({str(name): str(amount) for name, amount in amounts.items()})
        values["limit"] = str(mapping(resources, "limits").get("memory") or "no limit")
        values["image"] = text_at(container, "image") or "?"
    seconds = whole_at(pod, "spec", "activeDeadlineSeconds")
    return {
        **values,
        "namespace": text_at(pod, "metadata", "namespace") or "default",
        "node": text_at(pod, "spec", "nodeName") or "?",
        "account": text_at(pod, "spec", "serviceAccountName") or "default",
        "labels": _labels(pod),
        "less": ", or a smaller --micro-batch" if _stage(pod) == "train" else "",
        "pod_timeout": _duration(seconds),
    }


def _job_values(job: Json, state: JobState) -> dict[str, str]:
    failures = whole_at(job, "status", "failed")
    return {
        "timeout": _duration(whole_at(job, "spec", "activeDeadlineSeconds")),
        "failures": f"{failures} failure{'' if failures == 1 else 's'}",
        "indexes": _indexes_words(state),
        "allowed": str(whole_at(job, "spec", "maxFailedIndexes")),
    }


def _template(job: Json) -> Json:
    """The pods that a Job would make."""
    return {"metadata": mapping(job, "metadata"), "spec": mapping(job, "spec", "template", "spec")}


def _stage(pod: Json) -> str:
    return text_at(pod, "metadata", "labels", f"{LABEL}/stage")


def _labels(pod: Json) -> str:
    """The node labels that a pod wants; the first of several alternatives stands for them."""
    wanted = [f"{name}={value}" for name, value in mapping(pod, "spec", "nodeSelector").items()]
    path = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    terms = mappings(at(pod, "spec", *path, "nodeSelectorTerms"))
    for expression in mappings(at(terms[0], "matchExpressions")) if terms else ():
        values = at(expression, "values")
        text = "|".join(str(value) for value in values) if isinstance(values, list) else ""
        wanted.append(f"{text_at(expression, 'key')}={text}")
    return " and ".join(wanted) + (" or its like" if len(terms) > 1 else "")


def _indexes_words(state: JobState) -> str:
    if state.completions == 1:
        return "failed"
    text = _cut(numbers_text(state.failed).replace(",", ", "), _INDEXES_LENGTH)
    return f"{len(state.failed)} of {state.completions} indexes failed ({text})"


def _duration(seconds: int) -> str:
    """90 -> "1m30s": what --timeout takes."""
    parts = ((seconds // 3600, "h"), (seconds % 3600 // 60, "m"), (seconds % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def _line(text: str) -> str:
    return _cut(" ".join(text.split()), _LINE_LENGTH)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
