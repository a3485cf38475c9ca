"""A tag becomes a digest: against a registry that a test plays, token and all."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from machineray.errors import ClusterError, NotFoundError, UsageError
from machineray.kube.registry import parsed_reference, pinned

DIGEST = "sha256:" + "1" * 64
LOGIN = base64.b64encode(b"klee:angelus").decode()


class Registry(BaseHTTPRequestHandler):
    """One image, lab/open:1; lab/shut:1 wants a token, which wants a log-in; lab/odd:1 lies."""

    def log_message(self, *words: object) -> None:
        """Say nothing."""

    def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.headers.get("Authorization") == f"Basic {LOGIN}":
            self.answer(200, {}, json.dumps({"token": "t0"}).encode())
        else:
            self.answer(401, {})

    def do_HEAD(self) -> None:
        assert "oci.image.index" in self.headers["Accept"]
        host = self.headers["Host"]
        if "/lab/shut/" in self.path and self.headers.get("Authorization") != "Bearer t0":
            realm = f'Bearer realm="http://{host}/token",service="r",scope="pull"'
            self.answer(401, {"WWW-Authenticate": realm})
        elif "/lab/odd/" in self.path:
            self.answer(200, {"Docker-Content-Digest": "nothing"})
        elif self.path in ("/v2/lab/open/manifests/1", "/v2/lab/shut/manifests/1"):
            self.answer(200, {"Docker-Content-Digest": DIGEST})
        else:
            self.answer(404, {})


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A registry on this machine, and nobody logged in."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_tag_becomes_a_digest(host: str) -> None:
    assert pinned(f"{host}/lab/open:1") == f"{host}/lab/open@{DIGEST}"


def test_a_digest_is_taken_as_it_is() -> None:
    assert pinned(f"nowhere.example/lab/x@{DIGEST}") == f"nowhere.example/lab/x@{DIGEST}"
    assert pinned(f"nowhere.example/lab/x:1@{DIGEST}") == f"nowhere.example/lab/x@{DIGEST}"


def test_a_log_in_of_docker_is_used(host: str, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=f"wants a log-in: docker login {host}"):
        pinned(f"{host}/lab/shut:1")
    (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": LOGIN}}}))
    assert pinned(f"{host}/lab/shut:1") == f"{host}/lab/shut@{DIGEST}"


def test_what_is_not_there_and_what_does_not_answer(host: str) -> None:
    with pytest.raises(NotFoundError, match="no such image in its registry; build and push it"):
        pinned(f"{host}/lab/open:2")
    with pytest.raises(ClusterError, match="tells no digest"):
        pinned(f"{host}/lab/odd:1")
    with pytest.raises(ClusterError, match=r"does not answer .* by digest"):
        pinned("localhost:1/lab/open:1")


@pytest.mark.parametrize("text", ["", "train", "lab/train:1", "r.io/Train:1", "r.io/", "r.io/a b"])
def test_what_is_no_name_of_an_image(text: str) -> None:
    with pytest.raises(UsageError, match="not an image's name"):
        parsed_reference(text)
