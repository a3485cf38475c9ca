"""List and watch: a cache of objects that follows the API server through every kind of cut.

A thread reads the stream, so that whoever uses the cache can look up after `idle_seconds` without
giving up the connection: a read that timed out cannot be resumed.
"""

import contextlib
import itertools
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Generic, TypeVar

from machineray.errors import MachineRayError
from machineray.kube.connection import (
    PATIENCE_SECONDS,
    Connection,
    Json,
    Query,
    Stream,
    backoff_seconds,
)
from machineray.kube.refusals import GoneError, UnavailableError, refused

# The server ends a watch after this, and sends a bookmark about every 60 s before: a peer that is
# silent for longer than _SILENCE_SECONDS is dead, whatever TCP believes.
_WATCH_SECONDS = 300
_SILENCE_SECONDS = 90.0
# A server that is starting refuses valid logins and known rights for a moment.
_DOUBT_SECONDS = 20.0
OUTAGE_SECONDS = 300.0
_PAGE = 500
_LIST_TRIES = 3

T = TypeVar("T")
Keep = Callable[[Json], T]
Change = Callable[[dict[str, T]], None]


def listed(
    connection: Connection,
    path: str,
    query: Query,
    keep: Keep[T],
    *,
    limit: int | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> tuple[list[T], str]:
    """Of all objects at a path, in pages, what `keep` keeps; and the version to watch from."""
    for tries in itertools.count(1):
        found: list[T] = []
        page_query = {**query, "limit": min(limit or _PAGE, _PAGE)}
        try:
            while True:
                answer = connection.request(
                    "GET", path, page_query, patience_seconds=patience_seconds
                ).json()
                found += map(keep, answer["items"] or ())
                rest = answer["metadata"].get("continue")
                if not rest or (limit is not None and len(found) >= limit):
                    return found[:limit], answer["metadata"]["resourceVersion"]
                page_query["continue"] = rest
        except GoneError:  # the pages took so long that the server forgot their version
            if tries == _LIST_TRIES:
                raise
    raise AssertionError("the loop returns or raises")


def watched(
    connection: Connection,
    path: str,
    query: Query,
    keep: Keep[T],
    *,
    idle_seconds: float,
    outage_seconds: float = OUTAGE_SECONDS,
) -> Iterator[dict[str, T]]:
    """What `keep` keeps of all objects at a path, by name, again and again: see Cluster.watch."""
    watcher = _Watcher(connection, path, query, keep, outage_seconds)
    cache = watcher.listed(PATIENCE_SECONDS)
    threading.Thread(target=watcher.run, name="mray-watch", daemon=True).start()
    try:
        yield dict(cache)
        while True:
            for change in watcher.changes(idle_seconds):
                change(cache)
            yield dict(cache)
    finally:
        watcher.stop()


class _Watcher(Generic[T]):
    """The thread's side: reads, and queues what it read as changes of the cache."""

    def __init__(
        self, connection: Connection, path: str, query: Query, keep: Keep[T], outage_seconds: float
    ) -> None:
        self._connection, self._path, self._query = connection, path, query
        self._keep = keep
        self._outage_seconds = outage_seconds
        self._version = ""  # none: list first
        self._changes: queue.SimpleQueue[Change[T]] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._stream: Stream | None = None
        self._heard = time.monotonic()
        self._refused: float | None = None

    def listed(self, patience_seconds: float) -> dict[str, T]:
        """The objects as they are now, by name."""
        found, self._version = listed(
            self._connection,
            self._path,
            self._query,
            lambda item: (str(item["metadata"]["name"]), self._keep(item)),
            patience_seconds=patience_seconds,
        )
        return dict(found)

    def changes(self, idle_seconds: float) -> Iterator[Change[T]]:
        """All changes that wait; the first one is waited for."""
        with contextlib.suppress(queue.Empty):
            yield self._changes.get(timeout=idle_seconds)
            while True:
                yield self._changes.get_nowait()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        if self._stream:
            self._stream.stop()

    def run(self) -> None:
        """Follow until stopped, or until it is no use: then the error is the last change."""
        tries = 0
        while not self._stopped.is_set():
            heard = self._heard
            try:
                self._follow()
            except GoneError:
                self._version = ""
            except MachineRayError as error:
                if self._is_final(error):
                    return self._changes.put(partial(_fail, error))
            except Exception as error:  # a defect of ours: let it be seen where the cache is used
                return self._changes.put(partial(_fail, error))
            tries = 1 if self._heard > heard else tries + 1
            self._stopped.wait(backoff_seconds(tries))
        return None

    def _is_final(self, error: MachineRayError) -> bool:
        now = time.monotonic()
        if isinstance(error, UnavailableError):
            self._refused = None
            return now - self._heard > self._outage_seconds
        self._refused = self._refused or now
        return now - self._refused > _DOUBT_SECONDS

    def _follow(self) -> None:
        """Queue what one stream tells; return at its end."""
        if not self._version:
            self._changes.put(partial(_replace, self.listed(patience_seconds=0)))
            self._is_heard()
        query = {
            **self._query,
            "watch": True,
            "allowWatchBookmarks": True,
            "resourceVersion": self._version,
            "timeoutSeconds": _WATCH_SECONDS,
        }
        with self._connection.stream(self._path, query, read_seconds=_SILENCE_SECONDS) as stream:
            self._stream = stream
            self._is_heard()
            rest = b""
            for piece in stream:
                if self._stopped.is_set():
                    return
                *lines, rest = (rest + piece).split(b"\n")
                for line in filter(None, lines):
                    self._take(json.loads(line))
                self._is_heard()

    def _is_heard(self) -> None:
        self._heard, self._refused = time.monotonic(), None

    def _take(self, event: Json) -> None:
        item = event["object"]
        if event["type"] == "ERROR":
            raise refused(item, self._connection.access, self._path)
        if event["type"] == "DELETED":
            self._changes.put(partial(_drop, item["metadata"]["name"]))
        elif event["type"] != "BOOKMARK":
            self._changes.put(partial(_set, item["metadata"]["name"], self._keep(item)))
        self._version = item["metadata"]["resourceVersion"]


def _set(name: str, kept: T, cache: dict[str, T]) -> None:
    cache[name] = kept


def _drop(name: str, cache: dict[str, Any]) -> None:
    cache.pop(name, None)


def _replace(fresh: dict[str, T], cache: dict[str, T]) -> None:
    cache.clear()
    cache.update(fresh)


def _fail(error: Exception, _: dict[str, Any]) -> None:
    raise error
