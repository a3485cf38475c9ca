"""One container's log, read in as many goes as it takes, every line once.

The API knows no position in a log: only timestamps, and `sinceTime` in whole seconds. A go
therefore starts a little early and drops what was told before, by counting equal timestamps: the
order of lines is no help, as standard output and error are stamped apart.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import quote

from machineray.kube.cluster import Cluster
from machineray.kube.connection import Json, Stream

# Logs say nothing for hours, and no bookmarks come: after this, ask again.
_SILENCE_SECONDS = 60.0


@dataclass(frozen=True)
class LogLine:
    """A line that a pod wrote, at a time in UTC. Without a time: a remark of the kubelet's."""

    index: int | None
    pod: str
    time: str
    text: str


@dataclass(frozen=True)
class PodState:
    """What is known of a pod; of the whole object a few hundred bytes."""

    name: str
    index: int | None
    container: str
    created: str
    phase: str
    is_started: bool
    is_ended: bool

    def order(self) -> tuple[int, str, str]:
        """By index, then by attempt."""
        return (-1 if self.index is None else self.index, self.created, self.name)


def pod_state(pod: Json) -> PodState:
    """The few facts of a pod that matter for its log."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    notes = metadata.get("annotations") or {}
    index = notes.get("batch.kubernetes.io/job-completion-index")
    # As kubectl has it: beside the first container there may be sidecars that others put there.
    container = (
        notes.get("kubectl.kubernetes.io/default-container") or spec["containers"][0]["name"]
    )
    states = {entry["name"]: entry for entry in status.get("containerStatuses") or ()}
    state = (states.get(container) or {}).get("state") or {}
    phase = status.get("phase") or "Pending"
    is_terminated = "terminated" in state
    return PodState(
        name=metadata["name"],
        index=None if index is None else int(index),
        container=container,
        created=metadata.get("creationTimestamp") or "",
        phase=phase,
        is_started=is_terminated or "running" in state,
        is_ended=phase in ("Succeeded", "Failed")
        or (is_terminated and spec.get("restartPolicy") == "Never"),
    )


class PodLog:
    """The log of one pod's main container; `since` is a second in UTC, without a zone."""

    def __init__(self, cluster: Cluster, pod: PodState, since: str = "") -> None:
        self.pod = pod
        self._cluster = cluster
        self._start = self._since = since
        self._newest = ""
        self._told: Counter[str] = Counter()  # how often each timestamp was told, since _since
        self._end: tuple[bytes, Counter[str]] | None = None
        self._remarks: set[str] = set()
        self._stream: Stream | None = None
        self.is_whole = self.is_settled = False

    def read(self, *, follow: bool = False) -> Iterator[LogLine]:
        """One go: the lines that were not told yet, up to the end of the answer.

        With `follow` the answer goes on until the container ends, or the connection does: these two
        look alike. Raises UnavailableError when it is cut, BadRequestError or NotFoundError when
        there is no log (yet, or any more).

        Afterwards is_whole says whether the answer came to the end of a line, with all that was
        told before in it; is_settled, whether two goes in a row ended alike.
        """
        is_ended = self.pod.is_ended  # before the go: only then is the end of it the log's end
        due = self._told.copy()
        rest = b""
        with self._open(follow) as stream:
            self._stream = stream
            for piece in stream:
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    yield from self._fresh(line, due)
        self._stream = None
        # The last line may lack its end because the program wrote none, or because the kubelet died
        # on the way, which looks like a clean end here. Two goes that agree are believed.
        end = (rest, +due)
        self.is_whole, self.is_settled, self._end = not rest and not end[1], end == self._end, end
        if rest and is_ended and self.is_settled:
            yield from self._fresh(rest, due)

    def interrupt(self) -> None:
        """End a go that another thread is waiting in."""
        if self._stream:
            self._stream.stop()

    def _open(self, follow: bool) -> AbstractContextManager[Stream]:
        connection, pod = self._cluster.connection, self.pod
        namespace = quote(self._cluster.namespace, safe="")
        path = f"/api/v1/namespaces/{namespace}/pods/{quote(pod.name, safe='')}/log"
        query: dict[str, str | bool] = {"container": pod.container, "timestamps": True}
        if follow:
            query["follow"] = True
        if self._since:
            query["sinceTime"] = f"{self._since}Z"
        return connection.stream(path, query, read_seconds=_SILENCE_SECONDS)

    def _fresh(self, line: bytes, due: Counter[str]) -> Iterator[LogLine]:
        """The line, unless it is due to come again."""
        stamp, _, text = line.decode("utf-8", "replace").partition(" ")
        time = utc(stamp)
        if not time:  # the kubelet says why it cannot go on, and says it again in every go
            remark = line.decode("utf-8", "replace")
            if remark.strip() and remark not in self._remarks:
                self._remarks.add(remark)
                yield LogLine(self.pod.index, self.pod.name, "", remark)
        elif due[time]:
            due[time] -= 1
        else:
            self._remember(time)
            yield LogLine(self.pod.index, self.pod.name, time, text)

    def _remember(self, time: str) -> None:
        if time[:19] > self._newest:
            self._newest = time[:19]
            # A whole second more than needed: so much may two streams be out of order.
            self._since = max(self._start, _second(self._newest, "Z", -1))
            kept = {at: count for at, count in self._told.items() if at >= self._since}
            self._told = Counter(kept)
        if time >= self._since:
            self._told[time] += 1


def utc(stamp: str) -> str:
    """A line's timestamp with Z; "" when it is none. Nodes stamp in their own time zone."""
    if len(stamp) < 20 or stamp[10] != "T" or stamp[4] != "-":
        return ""
    if stamp.endswith("Z"):
        return stamp
    return _second(stamp[:19], stamp[-6:]) + stamp[19:-6] + "Z"


@lru_cache(maxsize=1024)
def _second(second: str, zone: str, offset_seconds: int = 0) -> str:
    """A second in UTC, moved; itself when it is no time."""
    try:
        there = datetime.fromisoformat(second + zone) + timedelta(seconds=offset_seconds)
    except ValueError:
        return second
    return f"{there.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
