"""Logins, tries and refusals, against a server that says what the test wants."""

import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from machineray.errors import (
    AlreadyExistsError,
    ClusterError,
    ConfigurationError,
    MachineRayError,
    NotFoundError,
)
from machineray.kube import credentials
from machineray.kube.connection import connect
from machineray.kube.refusals import GoneError, UnavailableError

CODE = """
import sys
from machineray.kube.connection import connect
connection = connect()
print(connection.access.authorization())
print(sum(name.startswith("kubernetes") for name in sys.modules))
print("before the whole", file=sys.stderr)
import kubernetes.client
print(kubernetes.client.CoreV1Api.__name__, kubernetes.client.ApiClient.__name__)
"""


def run_python(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout.splitlines()


def test_the_official_client_is_loaded_in_part_and_whole_afterwards(api: Any) -> None:
    """Its hundreds of models are what takes seconds; which modules were loaded says it exactly."""
    command = [sys.executable, "-X", "importtime", "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines() == ["Bearer t0", "0", "CoreV1Api ApiClient"]
    part, _, whole = done.stderr.partition("before the whole")
    assert "kubernetes.config.kube_config" in part and "kubernetes.client.models" not in part
    assert part.count("kubernetes.") < 20 < 200 < whole.count("kubernetes.client.models.")


def test_a_client_that_is_imported_already_is_used_as_it_is(api: Any) -> None:
    code = "import kubernetes\nfrom machineray.kube.connection import connect\n"
    code += "from machineray.kube.official import official_client\n"
    code += "print(connect().access.authorization())\n"
    code += "print(official_client().rest is sys.modules['kubernetes.client.rest'])"
    assert run_python("import sys\n" + code) == ["Bearer t0", "True"]


def test_another_layout_of_the_official_client_means_the_whole_import(api: Any) -> None:
    code = (
        "import machineray.kube.official as official\n"
        "def broken(*_): raise RuntimeError\n"
        "official._bare = broken\n"
        "from machineray.kube.connection import connect\n"
        "print(connect().access.authorization())"
    )
    assert run_python(code) == ["Bearer t0"]


class TestKubeconfig:
    def test_context_user_namespace_and_server_are_those_of_the_file(self, api: Any) -> None:
        access = connect().access
        assert (access.context, access.user, access.namespace) == ("test", "ann", "space")
        assert access.server == api.url
        assert connect(namespace="other").access.namespace == "other"

    def test_without_a_namespace_it_is_machineray(self, api: Any, monkeypatch: Any) -> None:
        path = api.kubeconfig()
        path.write_text(path.read_text().replace("namespace: space", ""))
        monkeypatch.setenv("KUBECONFIG", str(path))
        assert connect().access.namespace == "machineray"

    def test_no_file(self, api: Any, monkeypatch: Any, tmp_path: Path) -> None:
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
        refused(ConfigurationError, "no kubeconfig at .*/none: set KUBECONFIG", connect)

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "contexts: 3", "contexts: [{}]", "a: b", "contexts: [{name: 3}]"]
    )
    def test_a_broken_file(self, api: Any, monkeypatch: Any, tmp_path: Path, text: str) -> None:
        (tmp_path / "broken").write_text(text)
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "broken"))
        refused(ConfigurationError, "/broken: ", connect)

    def test_a_file_that_may_not_be_read(self, api: Any, monkeypatch: Any, tmp_path: Path) -> None:
        monkeypatch.setenv("KUBECONFIG", str(tmp_path))  # a folder: also for root
        refused(ConfigurationError, "cannot be used", connect)

    def test_an_unknown_context_is_answered_with_the_known_ones(self, api: Any) -> None:
        refused(
            ConfigurationError,
            "no context 'nix'; known contexts: test; .*--context",
            connect,
            "nix",
        )

    def test_no_current_context(self, api: Any, monkeypatch: Any) -> None:
        path = api.kubeconfig()
        path.write_text(path.read_text().replace("current-context: test", ""))
        monkeypatch.setenv("KUBECONFIG", str(path))
        refused(ConfigurationError, "no context is chosen; known contexts: test", connect)
        assert connect("test").access.server == api.url

    def test_several_files_are_one(self, api: Any, monkeypatch: Any, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.write_text(api.kubeconfig().read_text().replace("test", "second"))
        monkeypatch.setenv("KUBECONFIG", f"{api.kubeconfig()}{os.pathsep}{other}")
        assert connect().access.context in ("test", "second")
        assert connect("second").access.context == "second"

    def test_a_missing_certificate_is_named(self, api: Any, monkeypatch: Any) -> None:
        user = {"client-certificate": "/no/where.crt", "client-key": "/no/where.key"}
        path = api.kubeconfig(user, server="https://127.0.0.1:1")
        monkeypatch.setenv("KUBECONFIG", str(path))
        refused(ConfigurationError, "/no/where.crt", connect)


class TestLogins:
    def test_a_token_is_sent(self, api: Any) -> None:
        api.on("GET", "/version", api.says({"gitVersion": "v1"}))
        connect().request("GET", "/version")
        assert api.asked[0].headers["Authorization"] == "Bearer t0"
        assert api.asked[0].headers["User-Agent"].startswith("mray/")

    def test_a_login_program_is_run(self, api: Any, monkeypatch: Any, tmp_path: Path) -> None:
        use_program(api, monkeypatch, "echo " + repr(credential("from-a-program")))
        api.on("GET", "/version", api.says({}))
        connect().request("GET", "/version")
        assert api.asked[0].headers["Authorization"] == "Bearer from-a-program"

    def test_a_login_program_that_is_missing(self, api: Any, monkeypatch: Any) -> None:
        program = {"command": "/no/aws", "apiVersion": "client.authentication.k8s.io/v1"}
        program["interactiveMode"] = "Never"
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig({"exec": program})))
        refused(ConfigurationError, "context test: the login program of user ann.*/no/aws", connect)

    def test_a_login_program_that_fails_says_why(self, api: Any, monkeypatch: Any) -> None:
        use_program(api, monkeypatch, "echo SSO session expired >&2; exit 255")
        refused(ConfigurationError, "user ann failed: .*255.*SSO session expired", connect)

    def test_an_expired_login_is_renewed_on_the_way(
        self, api: Any, monkeypatch: Any, tmp_path: Path, fast: None
    ) -> None:
        (tmp_path / "token").write_text("old")
        user = {"tokenFile": str(tmp_path / "token")}
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(user)))
        connection = connect()
        (tmp_path / "token").write_text("new")
        api.on(
            "GET",
            "/version",
            lambda asked: (
                api.says({"gitVersion": "v1"})
                if asked.headers["Authorization"] == "Bearer new"
                else api.refuses(401, "Unauthorized", "Unauthorized")
            ),
        )
        assert connection.request("GET", "/version").json() == {"gitVersion": "v1"}
        assert len(api.asked) == 2

    def test_a_refused_login_names_context_and_user(self, api: Any, fast: None) -> None:
        api.on("GET", "/version", api.refuses(401, "Unauthorized", "Unauthorized"))
        refused(
            ConfigurationError,
            r"context test\): does not accept the login of user ann.*log in again",
            lambda: connect().request("GET", "/version"),
        )
        assert len(api.asked) == 3

    def test_in_a_pod_its_service_account_is_used(
        self, api: Any, monkeypatch: Any, tmp_path: Path
    ) -> None:
        enter_pod(api, monkeypatch, tmp_path)
        access = connect().access
        assert access.authorization() == "bearer pod-token"
        assert (access.context, access.namespace) == ("in-cluster", "pod-space")
        assert access.server == api.url.replace("http:", "https:")
        assert connect(namespace="other").access.namespace == "other"

    def test_a_pod_without_a_token(self, api: Any, monkeypatch: Any, tmp_path: Path) -> None:
        enter_pod(api, monkeypatch, tmp_path)
        monkeypatch.setattr(
            credentials.official_client().incluster_config, "SERVICE_TOKEN_FILENAME", "/no/token"
        )
        refused(ConfigurationError, "this pod has no service account token", connect)


def credential(token: str) -> str:
    status = {"token": token}
    kind = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    return json.dumps({**kind, "status": status})


def use_program(api: Any, monkeypatch: Any, script: str) -> None:
    program = {
        "command": "sh",
        "args": ["-c", script],
        "apiVersion": "client.authentication.k8s.io/v1",
        "interactiveMode": "Never",
    }
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig({"exec": program})))


def enter_pod(api: Any, monkeypatch: Any, folder: Path) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    (folder / "token").write_text("pod-token")
    (folder / "ca.crt").write_text(Path(certifi.where()).read_text())
    (folder / "namespace").write_text("pod-space\n")
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setattr(credentials, "_ACCOUNT", folder)
    module = credentials.official_client().incluster_config
    monkeypatch.setattr(module, "SERVICE_TOKEN_FILENAME", str(folder / "token"))
    monkeypatch.setattr(module, "SERVICE_CERT_FILENAME", str(folder / "ca.crt"))


class TestTries:
    @pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
    def test_what_passes_by_itself_is_tried_again(self, api: Any, fast: None, code: int) -> None:
        api.on("GET", "/version", api.refuses(code, "X", "later"), None, api.says({"a": 1}))
        assert connect().request("GET", "/version").json() == {"a": 1}
        assert len(api.asked) == 3

    def test_the_server_says_how_long_to_wait(self, api: Any, monkeypatch: Any) -> None:
        waits: list[float] = []
        monkeypatch.setattr("machineray.kube.connection.time.sleep", waits.append)
        busy = api.refuses(429, "TooManyRequests", "slow down", after="7")
        api.on("GET", "/version", busy, api.says({}))
        connect().request("GET", "/version")
        assert waits == [7.0]

    def test_patience_ends(self, api: Any, fast: None) -> None:
        api.on("GET", "/version", api.refuses(503, "ServiceUnavailable", "etcd is away"))
        error = refused(
            UnavailableError,
            r"answers 503 ServiceUnavailable: etcd is away; run the same command again later",
            lambda: connect().request("GET", "/version", patience_seconds=0.1),
        )
        assert error.exit_code == 1
        assert 2 < len(api.asked) < 30

    def test_waiting_is_told_once(self, api: Any, fast: None) -> None:
        notes: list[str] = []
        away = api.refuses(503, "ServiceUnavailable", "no")
        api.on("GET", "/version", *[away] * 6, api.says({}))
        connect(note=notes.append).request("GET", "/version")
        assert len(notes) == 1
        assert "trying again for up to 60 s" in notes[0]

    def test_a_server_that_is_not_there(self, api: Any, fast: None) -> None:
        connection = connect()
        api.stop()
        refused(
            UnavailableError,
            rf"{api.url} \(context test\): not reachable: connection refused",
            lambda: connection.request("GET", "/version", patience_seconds=0),
        )

    def test_a_server_whose_name_is_unknown(self, api: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(server="http://no.such.invalid:1")))
        refused(
            UnavailableError,
            "its name cannot be resolved",
            lambda: connect().request("GET", "/version", patience_seconds=0),
        )

    def test_a_server_that_is_silent(self, api: Any, fast: None) -> None:
        api.on("GET", "/version", api.pieces(b"{", silent_seconds=3))
        refused(
            UnavailableError,
            "does not answer",
            lambda: connect().request("GET", "/version", patience_seconds=0, read_seconds=0.2),
        )

    def test_an_answer_that_is_cut(self, api: Any, fast: None) -> None:
        api.on("GET", "/version", api.pieces(b'{"a"', then="cut"), api.says({"a": 1}))
        assert connect().request("GET", "/version").json() == {"a": 1}

    def test_no_tls_at_the_other_end(self, api: Any, monkeypatch: Any) -> None:
        server = api.url.replace("http:", "https:")
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(server=server)))
        refused(
            ConfigurationError,
            "TLS fails: .*fetch it again",
            lambda: connect().request("GET", "/version"),
        )

    def test_a_certificate_of_another_cluster(
        self, api: Any, monkeypatch: Any, tmp_path: Path
    ) -> None:
        with tls_server(tmp_path) as port:
            monkeypatch.setenv(
                "KUBECONFIG", str(api.kubeconfig(server=f"https://127.0.0.1:{port}"))
            )
            refused(
                ConfigurationError,
                "its TLS certificate is not trusted: self.signed certificate",
                lambda: connect().request("GET", "/version"),
            )

    def test_a_certificate_that_nobody_is_to_check(
        self, api: Any, monkeypatch: Any, tmp_path: Path
    ) -> None:
        with tls_server(tmp_path) as port:
            cluster = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
            monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(**cluster)))
            refused(  # the handshake was fine, and there is no warning
                UnavailableError,
                "not reachable: ",
                lambda: connect().request("GET", "/version", patience_seconds=0),
            )


@contextlib.contextmanager
def tls_server(folder: Path) -> Iterator[int]:
    """A server with a certificate that nobody signed; its port."""
    make_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "crt.pem", folder / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection, context.wrap_socket(connection, server_side=True):
                    pass

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def make_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "other")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(pem, pkcs8, plain))
    (folder / "crt.pem").write_bytes(certificate.public_bytes(pem))


CANNOT = (
    'jobs.batch is forbidden: User "ann" cannot create resource "jobs" in API group "batch" '
    'in the namespace "space"'
)
QUOTA = (
    'pods "x" is forbidden: exceeded quota: mray, requested: requests.nvidia.com/gpu=8, '
    "used: requests.nvidia.com/gpu=4, limited: requests.nvidia.com/gpu=8"
)
POD_SECURITY = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": hostPath volumes'
WEBHOOK = 'admission webhook "policy.example.com" denied the request: no images of docker.io'
CAUSES = [
    {"field": "spec.completions", "message": "Required value: when mode is Indexed"},
    {"field": "metadata.name", "message": 'Invalid value: "J_1"'},
]


@pytest.mark.parametrize(
    ("code", "reason", "message", "details", "kind", "told"),
    [
        (400, "BadRequest", "no\nJSON", {}, ClusterError, r"context test\): no JSON$"),
        (403, "Forbidden", CANNOT, {}, ClusterError, f"no permission: {CANNOT}; ask for the role "),
        (403, "Forbidden", CANNOT, {}, ClusterError, "mray doctor --cluster"),
        (
            403,
            "Forbidden",
            QUOTA,
            {},
            ClusterError,
            "space: the quota does not allow it: .*gpu=8; ",
        ),
        (
            403,
            "Forbidden",
            POD_SECURITY,
            {},
            ClusterError,
            "Pod Security refuses the pod: .*hostPa",
        ),
        (403, "Forbidden", WEBHOOK, {}, ClusterError, "an admission rule of the cluster refuses: "),
        (
            403,
            "Forbidden",
            "x because it is being terminated",
            {},
            ClusterError,
            "wait until it is",
        ),
        (
            404,
            "NotFound",
            'namespaces "space" not found',
            {"name": "space", "kind": "namespaces"},
            NotFoundError,
            "no namespace space in context test: create it .kubectl apply -k k8s/base",
        ),
        (404, "NotFound", 'jobs "j" not found', {"name": "j"}, NotFoundError, 'jobs "j" not found'),
        (404, "NotFound", "page", {}, NotFoundError, "this cluster does not serve /apis/x: page"),
        (409, "AlreadyExists", 'jobs "j" already exists', {}, AlreadyExistsError, "already exists"),
        (409, "Conflict", "try again", {}, ClusterError, "answers 409 Conflict: try again"),
        (410, "Expired", "too old", {}, GoneError, "too old"),
        (413, "TooLarge", "limit is 3145728", {}, ClusterError, "answers 413 TooLarge: limit is"),
        (
            422,
            "Invalid",
            "Job is invalid",
            {"causes": CAUSES},
            ClusterError,
            'not accept this: spec.completions: Required.*; metadata.name: Invalid value: "J_1"$',
        ),
        (422, "Invalid", "odd", {}, ClusterError, "does not accept this: odd$"),
    ],
)
def test_a_refusal_says_what_where_and_the_way_out(
    api: Any,
    code: int,
    reason: str,
    message: str,
    details: dict[str, Any],
    kind: type[MachineRayError],
    told: str,
) -> None:
    api.on("POST", "/apis/x", api.refuses(code, reason, message, **details))
    refused(kind, told, lambda: connect().request("POST", "/apis/x", None, {"a": 1}))
    assert len(api.asked) == 1


def test_a_refusal_that_is_not_of_kubernetes(api: Any) -> None:
    page = b"<html><body><h1>403</h1>\n<p>Blocked by the gateway</p></body></html>"
    api.on("GET", "/x", api.says(page, status=403))
    refused(ClusterError, "403 Blocked by the gateway", lambda: connect().request("GET", "/x"))


def test_a_long_refusal_is_cut(api: Any) -> None:
    api.on("GET", "/x", api.refuses(400, "BadRequest", "y" * 5000))
    error = refused(ClusterError, "y …$", lambda: connect().request("GET", "/x"))
    assert len(str(error)) < 1000


def refused(kind: type[MachineRayError], told: str, action: Any, *arguments: Any) -> Any:
    """The error, which is of that kind, has one line, and says what it is told to say."""
    with pytest.raises(kind) as caught:
        action(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert re.search(told, message), message
    return caught.value
