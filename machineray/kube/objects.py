"""Reading the API's JSON, which may lack anything or hold something else: never an exception."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

Json = Mapping[str, Any]


def at(value: object, *path: str) -> Any:
    """What is at the end of the path, or None."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def mapping(value: object, *path: str) -> Json:
    """The mapping at the end of the path, or {}."""
    found = at(value, *path)
    return found if isinstance(found, Mapping) else {}


def mappings(value: object) -> list[Json]:
    """The mappings in a list; nothing when it is none."""
    items = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    return [item for item in items if isinstance(item, Mapping)]


def text_at(value: object, *path: str) -> str:
    """The text at the end of the path, or ""."""
    found = at(value, *path)
    return found if isinstance(found, str) else ""


def whole_at(value: object, *path: str, default: int = 0) -> int:
    """The whole number at the end of the path, or the default."""
    found = at(value, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else default


def condition(value: object, kind: str, status: str = "True") -> Json:
    """The condition of that type when it has that status, else {}."""
    for condition in mappings(at(value, "status", "conditions")):
        if condition.get("type") == kind and condition.get("status") == status:
            return condition
    return {}


def containers(pod: Json) -> list[Json]:
    """The statuses of a pod's containers, the initial ones first."""
    status = mapping(pod, "status")
    return mappings(status.get("initContainerStatuses")) + mappings(status.get("containerStatuses"))


def phase(pod: Json) -> str:
    """Pending, Running, Succeeded, Failed or Unknown."""
    return text_at(pod, "status", "phase")


def index_of(pod: Json) -> int | None:
    """The index of a pod of an Indexed Job."""
    text = text_at(pod, "metadata", "annotations", "batch.kubernetes.io/job-completion-index")
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


def intervals(text: str) -> list[range]:
    """Kubernetes' "1,3-5" as ranges; what is no interval is left out."""
    found = (re.fullmatch("([0-9]{1,9})(?:-([0-9]{1,9}))?", part) for part in text.split(","))
    return [range(int(part[1]), int(part[2] or part[1]) + 1) for part in found if part]


def time_of(text: str) -> datetime | None:
    """RFC 3339 -> an aware time."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def is_of(job: Json, pod: Json) -> bool:
    """Is the pod of this Job, and not of one of the same name before it?"""
    owner = text_at(pod, "metadata", "labels", "batch.kubernetes.io/controller-uid")
    uid = text_at(job, "metadata", "uid")
    return not owner or not uid or owner == uid


def is_about(event: Json, kind: str, target: Json) -> bool:
    """Is the event about this object, and not about one of the same name before it?"""
    about = mapping(event, "involvedObject") or mapping(event, "regarding")
    uids = text_at(about, "uid"), text_at(target, "metadata", "uid")
    if about.get("kind") != kind or text_at(about, "name") != text_at(target, "metadata", "name"):
        return False
    return not all(uids) or uids[0] == uids[1]


def event_time(event: Json) -> str:
    """When it was last seen; RFC 3339 sorts as text."""
    for path in (("series", "lastObservedTime"), ("lastTimestamp",), ("eventTime",)):
        if text := text_at(event, *path):
            return text
    return text_at(event, "metadata", "creationTimestamp")
