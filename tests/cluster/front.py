"""A door of ours before the S3 server: it lets through, answers 503, or leaves one waiting."""

import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


@dataclass(frozen=True)
class Asked:
    """Who asked (an address), and for what."""

    who: str
    method: str
    path: str


Rule = Callable[[Asked], bool]


def nobody(_: Asked) -> bool:
    return False


def everybody(_: Asked) -> bool:
    return True


def is_a_sample(asked: Asked) -> bool:
    """The writing of one."""
    return asked.method == "PUT" and "/seed" in asked.path


@dataclass
class Front:
    """The door, and what it was asked: `refuses` and `holds` say whom it gives 503, or nothing."""

    url: str
    refuses: Rule = nobody
    holds: Rule = nobody
    refused: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    opened: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def refusing(self, whom: Rule = everybody) -> Iterator[None]:
        """503 for those within the block."""
        self.refuses = whom
        try:
            yield
        finally:
            self.refuses = nobody

    @contextmanager
    def holding(self, whom: Rule) -> Iterator[None]:
        """No answer for those within the block; at its end their connections break."""
        self.holds, self.opened = whom, threading.Event()
        try:
            yield
        finally:
            self.holds = nobody
            self.opened.set()


def handler(front: Front, upstream: str) -> type[BaseHTTPRequestHandler]:
    """A request -> what the front wants, or what the server behind it says."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            asked = Asked(self.client_address[0], self.command, self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if front.holds(asked):
                front.held[asked.who] += 1
                front.opened.wait()
                self.close_connection = True
                return
            if front.refuses(asked):
                front.refused[asked.who] += 1
                self._send(503, {}, SLOW_DOWN)
                return
            self._send(*passed_on(upstream, asked, dict(self.headers.items()), body))

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _answer

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def passed_on(
    upstream: str, asked: Asked, headers: dict[str, str], body: bytes
) -> tuple[int, dict[str, str], bytes]:
    """The server's answer; Host stays the front's own, for the client has signed it."""
    place = urlsplit(upstream)
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 80, timeout=60)
    try:
        connection.putrequest(asked.method, asked.path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if name.lower() not in ("connection", "expect"):
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        told = answer.read()
        kept = {
            name: value
            for name, value in answer.getheaders()
            if name.lower() not in ("connection", "transfer-encoding", "content-length")
        }
        if asked.method == "HEAD" and (length := answer.getheader("Content-Length")):
            kept["Content-Length"] = length
        return answer.status, kept, told
    finally:
        connection.close()


class Server(ThreadingHTTPServer):
    """Quiet about clients that leave."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def opened_front(upstream: str) -> Iterator[Front]:
    """A front before the server there; skips where none of ours can stand beside it."""
    host = urlsplit(upstream).hostname or ""
    try:
        server = Server((host, 0), BaseHTTPRequestHandler)
    except OSError:
        pytest.skip(f"{host}, the bucket's address, is not this machine's")
    front = Front(f"http://{host}:{server.server_port}")
    server.RequestHandlerClass = handler(front, upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield front
    finally:
        front.opened.set()
        server.shutdown()
        server.server_close()
