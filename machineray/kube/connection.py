"""Requests to one API server: JSON in, JSON out, tried again while it may pass by itself.

    connection = connect("kind-kind", "machineray")
    answer = connection.request("GET", "/api/v1/nodes", {"limit": 500})

Nothing here knows a kind of object; cluster.py does. Errors are those of errors.py, of one line.
"""

import contextlib
import itertools
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import HTTPError

from machineray import __version__
from machineray.kube.credentials import Access, load_access
from machineray.kube.refusals import UnavailableError, refusal, unreachable

Json = dict[str, Any]
Query = Mapping[str, str | int | bool]
PATIENCE_SECONDS = 60.0
JSON = "application/json"
_CONNECT_SECONDS, _READ_SECONDS = 5.0, 30.0
_LONGEST_WAIT_SECONDS = 5.0
_TRIES_BEFORE_NOTE = 3
_LOGIN_TRIES = 3


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Json:
        """The body; {} when it is empty."""
        return dict(json.loads(self.body)) if self.body else {}


class _Request(NamedTuple):
    """What is asked of the server, in whatever try."""

    method: str
    path: str
    query: Query | None = None
    body: Json | None = None
    accept: str = JSON
    read_seconds: float = _READ_SECONDS


def connect(
    context: str | None = None,
    namespace: str | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> "Connection":
    """A connection to the kubeconfig's (current) context, or in a pod to its own cluster.

    No server is asked yet. `note` gets a sentence when the server does not answer and is tried
    again. Raises ConfigurationError: no kubeconfig, unknown context, failing login program.
    """
    return Connection(lambda: load_access(context, namespace), note)


class Connection:
    """Thread-safe; a login that expires on the way is read again."""

    def __init__(
        self, load: Callable[[], Access], note: Callable[[str], None] = lambda _: None
    ) -> None:
        self.access = load()
        self._load = load
        self._note = note
        self._lock = Lock()

    def request(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Json | None = None,
        *,
        accept: str = JSON,
        patience_seconds: float = PATIENCE_SECONDS,
        read_seconds: float = _READ_SECONDS,
    ) -> Answer:
        """Ask, and again while the server is away or overloaded and patience lasts.

        `accept` is the form of the answer, of those that Kubernetes has in JSON.

        A request that broke may have reached the server: a POST that is tried again can meet its
        own object. Raises what refusals.py says for every answer of 400 and above.
        """
        deadline = time.monotonic() + patience_seconds
        asked = _Request(method, path, query, body, accept, read_seconds)
        for tries in itertools.count(1):
            try:
                response = self._send(asked)
                return Answer(response.headers, self._body(response))
            except UnavailableError as error:
                wait_seconds = error.wait_seconds or backoff_seconds(tries)
                if time.monotonic() + wait_seconds > deadline:
                    raise
                if tries == _TRIES_BEFORE_NOTE:
                    self._note(f"{error}; trying again for up to {patience_seconds:.0f} s")
                time.sleep(wait_seconds)
        raise AssertionError("the loop returns or raises")

    @contextlib.contextmanager
    def stream(self, path: str, query: Query, *, read_seconds: float) -> Iterator["Stream"]:
        """One answer in pieces as they come; tried once, and closed at the end."""
        response = self._send(_Request("GET", path, query, read_seconds=read_seconds))
        try:
            yield Stream(response, self.access)
        finally:
            response.close()  # not back to the pool: unread bytes are on the way

    def _send(self, asked: _Request) -> "urllib3.BaseHTTPResponse":
        """The answer's head, below 400; with a new login when the old one is refused."""
        for tries in itertools.count(1):
            access = self.access
            response = self._exchange(access, asked)
            if response.status < 400:
                return response
            error = refusal(response, self._body(response), access, asked.path)
            # A server that is just starting does not know valid logins for a moment, either.
            if response.status != 401 or tries == _LOGIN_TRIES:
                raise error
            time.sleep(backoff_seconds(tries))
            self._renew(access)
        raise AssertionError("the loop returns or raises")

    def _exchange(self, access: Access, asked: _Request) -> "urllib3.BaseHTTPResponse":
        headers = {"Accept": asked.accept, "User-Agent": f"mray/{__version__}"}
        if authorization := access.authorization():
            headers["Authorization"] = authorization
        if asked.body is not None:
            headers["Content-Type"] = "application/json"
        try:
            return access.pool.request(
                asked.method,
                access.server + asked.path + _query_string(asked.query),
                body=None if asked.body is None else json.dumps(asked.body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=asked.read_seconds),
                retries=False,
                redirect=False,
                preload_content=False,
            )
        except HTTPError as error:
            raise unreachable(error, access) from error

    def _body(self, response: "urllib3.BaseHTTPResponse") -> bytes:
        try:
            return response.data
        except HTTPError as error:
            raise unreachable(error, self.access) from error

    def _renew(self, refused: Access) -> None:
        with self._lock:
            if self.access is refused:  # no other thread was faster
                self.access = self._load()


class Stream:
    """An answer that comes piece by piece."""

    def __init__(self, response: "urllib3.BaseHTTPResponse", access: Access) -> None:
        self._response = response
        self._access = access

    def __iter__(self) -> Iterator[bytes]:
        """The pieces, as the server sends them; UnavailableError when the connection breaks."""
        try:
            yield from self._response.stream(1 << 16)
        except HTTPError as error:
            raise unreachable(error, self._access) from error

    def stop(self) -> None:
        """End a read that another thread is waiting in."""
        with contextlib.suppress(Exception):  # it may be over already; older urllib3 cannot
            self._response.shutdown()


def backoff_seconds(tries: int) -> float:
    """How long to wait after so many tries in vain: 0.2 s at first, 5 s at most, never in step."""
    return min(_LONGEST_WAIT_SECONDS, 0.2 * 2.0 ** (tries - 1)) * random.uniform(0.7, 1.0)


def _query_string(query: Query | None) -> str:
    if not query:
        return ""
    told = {
        key: str(value).lower() if isinstance(value, bool) else value
        for key, value in query.items()
    }
    return "?" + urlencode(told)
