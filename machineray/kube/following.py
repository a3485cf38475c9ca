"""The logs of all pods of a Job at once, while they run.

One thread watches the pods, and up to 32 read logs, each for one pod at a time. As long as there
are no more pods than that, an answer is followed; in a crowd the threads take turns and read what
is new. Both are goes of a PodLog, so changing from one to the other loses nothing.
"""

import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event, Lock, Thread

from machineray.errors import MachineRayError, NotFoundError
from machineray.kube.cluster import Cluster
from machineray.kube.connection import backoff_seconds
from machineray.kube.podlog import LogLine, PodLog, PodState, pod_state
from machineray.kube.refusals import BadRequestError, UnavailableError
from machineray.kube.watching import listed, watched

READERS = 32
_WAITING_LINES = 2000
_IDLE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 2.0
_TRIES = 6
_SOUND_SECONDS = 10.0  # a go that lasted so long ended by itself: no reason to be shy
_LOST_SECONDS = 60.0


@dataclass(eq=False)
class _Followed:
    """A log that is being read, and how that goes."""

    log: PodLog
    is_removed: bool = False  # the pod is gone from the API
    tries: int = 0  # goes that brought nothing, in a row
    troubled: float | None = None  # since when the server answers, and has no log for us


def followed(
    cluster: Cluster, job_name: str, selector: str, since: str, *, failed_only: bool
) -> Iterator[LogLine]:
    """See logs.job_lines."""
    follower = _Follower(cluster, job_name, selector, since, failed_only)
    Thread(target=follower.direct, name="mray-logs", daemon=True).start()
    try:
        while (told := follower.told.get()) is not None:
            if isinstance(told, Exception):
                raise told
            yield told
    finally:
        follower.stop()


class _Follower:
    def __init__(
        self, cluster: Cluster, job_name: str, selector: str, since: str, failed_only: bool
    ) -> None:
        self._cluster, self._job_name, self._selector = cluster, job_name, selector
        self._since, self._failed_only = since, failed_only
        # None is the end. Bounded: who prints slowly slows the reading down.
        self.told: queue.Queue[LogLine | Exception | None] = queue.Queue(_WAITING_LINES)
        self._turns: queue.SimpleQueue[_Followed | None] = queue.SimpleQueue()
        self._open: dict[str, _Followed] = {}
        self._done: set[str] = set()
        self._lock = Lock()
        self._readers = 0
        self._stopped = Event()

    def stop(self) -> None:
        """End all threads, also those that wait for a server."""
        self._stopped.set()
        for entry in self._entries():
            entry.log.interrupt()
        for _ in range(self._readers):
            self._turns.put(None)

    # The thread that watches the pods.

    def direct(self) -> None:
        """Give every pod's log to the readers, until the Job has ended and all is read."""
        try:
            path = self._cluster.path("Pod")
            query = {"labelSelector": self._selector}
            connection = self._cluster.connection
            for pods in watched(connection, path, query, pod_state, idle_seconds=_IDLE_SECONDS):
                if self._stopped.is_set():
                    return
                self._update(pods)
                if self._is_all_read(pods) and self._has_job_ended():
                    # A pod may have come that the watch has not told yet.
                    last = {pod.name: pod for pod in listed(connection, path, query, pod_state)[0]}
                    self._update(last)
                    if self._is_all_read(last):
                        self._tell(None)
                        return
        except Exception as error:
            self._tell(error)

    def _update(self, pods: dict[str, PodState]) -> None:
        for entry in self._entries():
            pod = pods.get(entry.log.pod.name)
            entry.is_removed = pod is None
            entry.log.pod = pod or entry.log.pod
        fresh = [pod for pod in pods.values() if self._is_due(pod)]
        for pod in sorted(fresh, key=PodState.order):
            self._begin(pod)

    def _is_due(self, pod: PodState) -> bool:
        if pod.name in self._open or pod.name in self._done:
            return False
        return pod.phase == "Failed" if self._failed_only else pod.is_started or pod.is_ended

    def _begin(self, pod: PodState) -> None:
        entry = _Followed(PodLog(self._cluster, pod, self._since))
        with self._lock:
            self._open[pod.name] = entry
        if len(self._open) == READERS + 1:  # all readers follow, and would not see this one
            for other in self._entries():
                other.log.interrupt()
        self._turns.put(entry)
        if self._readers < READERS:
            self._readers += 1
            Thread(target=self._work, name=f"mray-log-{self._readers}", daemon=True).start()

    def _is_all_read(self, pods: dict[str, PodState]) -> bool:
        return not self._open and all(pod.is_ended for pod in pods.values())

    def _has_job_ended(self) -> bool:
        try:
            job = self._cluster.get("Job", self._job_name)
        except UnavailableError:
            return False  # the watch knows when to give up
        conditions = (job or {}).get("status", {}).get("conditions") or ()
        ends = ("Complete", "Failed")
        return job is None or any(
            entry["type"] in ends and entry["status"] == "True" for entry in conditions
        )

    # The threads that read.

    def _work(self) -> None:
        while (entry := self._turns.get()) and not self._stopped.is_set():
            try:
                pause_seconds = self._go(entry)
            except Exception as error:
                self._tell(error)
                return
            if pause_seconds is None:
                with self._lock:
                    name = entry.log.pod.name
                    self._done.add(name)
                    del self._open[name]
            else:
                self._stopped.wait(pause_seconds)
                self._turns.put(entry)

    def _go(self, entry: _Followed) -> float | None:
        """Read on in one log; the seconds until its next turn, None when that was all."""
        was_ended, was_removed, began = entry.log.pod.is_ended, entry.is_removed, time.monotonic()
        is_crowd = len(self._open) > READERS
        told, error = 0, None
        try:
            for line in entry.log.read(follow=not was_ended and not is_crowd):
                self._tell(line)
                told += 1
        except MachineRayError as raised:
            error = raised
        if told or time.monotonic() - began > _SOUND_SECONDS:
            entry.tries, entry.troubled = 0, None
        entry.tries += 1
        if error is not None:
            return None if was_removed else self._after(error, entry, was_ended)
        # The end of an answer proves nothing: a dying kubelet ends it, too. Only a go that began
        # after the container's end and brought nothing new was the last.
        if was_ended and not told and entry.log.is_settled:
            return None
        return 0.0 if was_ended else min(_LONGEST_PAUSE_SECONDS, backoff_seconds(entry.tries))

    def _after(self, error: MachineRayError, entry: _Followed, was_ended: bool) -> float | None:
        """What becomes of a log after a go that failed."""
        if isinstance(error, BadRequestError | NotFoundError):  # not started; or its log is gone
            if was_ended and entry.tries > _TRIES:
                return None
        elif isinstance(error, UnavailableError):
            # The server is there, and its way to the kubelet is not: the node may be lost.
            if error.code is not None and was_ended:
                entry.troubled = entry.troubled or time.monotonic()
                if time.monotonic() - entry.troubled > _LOST_SECONDS:
                    pod = entry.log.pod
                    self._tell(LogLine(pod.index, pod.name, "", f"the rest is lost: {error}"))
                    return None
        elif entry.tries > _TRIES:  # refused, and not only by a server that is just starting
            raise error
        return backoff_seconds(entry.tries)

    def _entries(self) -> list[_Followed]:
        with self._lock:
            return list(self._open.values())

    def _tell(self, what: LogLine | Exception | None) -> None:
        while not self._stopped.is_set():
            try:
                return self.told.put(what, timeout=0.5)
            except queue.Full:
                continue
        return None
