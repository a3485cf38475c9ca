"""A small API server that says what a test wants, and the real one of KUBECONFIG."""

import contextlib
import json
import os
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

from machineray.kube.cluster import Cluster, open_cluster

PROJECT = Path(__file__).resolve().parents[2]
Json = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A request as the server got it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Reply:
    """An answer in one piece."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pieces:
    """An answer in chunks; then it ends, is cut, or is silent for so many seconds and is cut."""

    pieces: tuple[bytes, ...]
    then: str = "end"
    silent_seconds: float = 0.0
    pause_seconds: float = 0.0


Answer = Reply | Pieces | None  # None: the connection is closed without an answer
Script = Callable[[Asked], Answer]


class FakeApi:
    """Answers by (method, path): each answer once, the last one again and again."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[Asked] = []
        self._scripts: dict[tuple[str, str], list[Answer | Script]] = {}
        self._lock = threading.Lock()
        self._folder = folder
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def on(self, method: str, path: str, *answers: Answer | Script) -> None:
        with self._lock:
            self._scripts[method, path] = list(answers)

    def answer(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            script = self._scripts.get((asked.method, asked.path))
            if not script:
                return self.refuses(404, "NotFound", "not in the script", name=asked.path)
            chosen = script.pop(0) if len(script) > 1 else script[0]
        return chosen(asked) if callable(chosen) else chosen

    def queries(self, path: str) -> list[dict[str, str]]:
        return [asked.query for asked in self.asked if asked.path == path]

    @staticmethod
    def says(body: Json | bytes, status: int = 200) -> Answer:
        return Reply(body if isinstance(body, bytes) else json.dumps(body).encode(), status)

    @staticmethod
    def refuses(code: int, reason: str, message: str, *, after: str = "", **details: Any) -> Answer:
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": details,
            "code": code,
        }
        headers = {"Retry-After": after} if after else {}
        return Reply(json.dumps(status).encode(), code, headers)

    @staticmethod
    def lists(*items: Json, version: str = "1", rest: str = "") -> Answer:
        metadata = {"resourceVersion": version} | ({"continue": rest} if rest else {})
        return FakeApi.says({"kind": "List", "metadata": metadata, "items": list(items)})

    @staticmethod
    def watch(*events: tuple[str, Json], then: str = "end", **more: Any) -> Answer:
        lines = (json.dumps({"type": kind, "object": item}) + "\n" for kind, item in events)
        return Pieces(tuple(line.encode() for line in lines), then, **more)

    @staticmethod
    def pieces(*pieces: bytes, then: str = "end", **more: Any) -> Answer:
        return Pieces(pieces, then, **more)

    @staticmethod
    def thing(name: str, version: str = "1", **more: Any) -> Json:
        metadata = {"name": name, "resourceVersion": version, "uid": f"u-{name}"}
        return {"kind": "Thing", "metadata": metadata, **more}

    def kubeconfig(self, user: Json | None = None, **cluster: Any) -> Path:
        """A kubeconfig file of one context, "test", with a token unless told otherwise."""
        path = self._folder / f"kubeconfig-{secrets.token_hex(4)}"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "contexts": [
                        {
                            "name": "test",
                            "context": {"cluster": "c", "user": "ann", "namespace": "space"},
                        }
                    ],
                    "clusters": [{"name": "c", "cluster": {"server": self.url, **cluster}}],
                    "users": [{"name": "ann", "user": {"token": "t0"} if user is None else user}],
                }
            )
        )
        return path


def _handler(api: FakeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            query = dict(parse_qsl(parts.query))
            asked = Asked(self.command, parts.path, query, dict(self.headers), body)
            answer = api.answer(asked)
            with contextlib.suppress(OSError):
                if answer is None:
                    self.close_connection = True
                elif isinstance(answer, Reply):
                    self._whole(answer)
                else:
                    self._in_pieces(answer)

        do_GET = do_POST = do_DELETE = handle_any

        def _whole(self, reply: Reply) -> None:
            if "Date" in reply.headers:  # a clock of its own
                self.send_response_only(reply.status)
            else:
                self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def _in_pieces(self, answer: Pieces) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in answer.pieces:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
                time.sleep(answer.pause_seconds)
            time.sleep(answer.silent_seconds)
            if answer.then == "end":
                self.wfile.write(b"0\r\n\r\n")
            else:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    """A fake API server that KUBECONFIG names."""
    server = FakeApi(tmp_path)
    for name in ("KUBERNETES_SERVICE_HOST", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig()))
    yield server
    server.stop()


@pytest.fixture
def fake(api: FakeApi) -> Cluster:
    """The fake server as a Cluster."""
    return open_cluster()


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between tries."""
    for module in ("connection", "watching", "following", "logs"):
        monkeypatch.setattr(f"machineray.kube.{module}.backoff_seconds", lambda _: 0.01)


@pytest.fixture
def real() -> Iterator[Cluster]:
    """A new namespace in the real cluster of KUBECONFIG that lets in restricted pods only."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("no cluster: KUBECONFIG does not say where one is")
    name = f"mray-test-{secrets.token_hex(4)}"
    cluster = open_cluster(namespace=name)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.create({**head("v1", "Namespace", name), "metadata": {"name": name, "labels": labels}})
    try:
        yield cluster
    finally:
        cluster.delete("Namespace", name)


def head(api: str, kind: str, name: str) -> Json:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}}


@pytest.fixture
def control() -> Callable[..., None]:
    """`control("kill", "apiserver")`: the harness that runs the cluster beside the project."""
    program = PROJECT.parent / "shared" / "cluster" / "cluster"
    if not program.exists():
        pytest.skip("the cluster's own harness (../shared/cluster) is not beside the project")
    told = subprocess.run([program, "env"], check=True, capture_output=True, text=True).stdout
    if f"KUBECONFIG={os.environ.get('KUBECONFIG')}" not in told.replace("'", "").split():
        pytest.skip("KUBECONFIG names another cluster than the one that ../shared/cluster runs")

    def call(*arguments: str) -> None:
        subprocess.run([program, *arguments], check=True, capture_output=True, timeout=120)

    return call
