"""What only a real API server and a real kubelet can say."""

import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from machineray.errors import (
    AlreadyExistsError,
    ClusterError,
    ConfigurationError,
    NotFoundError,
)
from machineray.kube.cluster import Cluster, open_cluster
from machineray.kube.logs import job_lines

pytestmark = pytest.mark.cluster

SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def named(api: str, kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **more}


def job(name: str, script: str, **spec: Any) -> dict[str, Any]:
    """An Indexed Job that runs some Python."""
    container = {
        "name": "main",
        "image": "python:3.11-slim",
        "command": ["python3", "-uc", script],
        "securityContext": SECURITY,
    }
    pod = {
        "restartPolicy": "Never",
        "containers": [container],
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
    }
    defaults = {"completions": 1, "parallelism": 1, "completionMode": "Indexed", "backoffLimit": 0}
    return named("batch/v1", "Job", name, spec={**defaults, **spec, "template": {"spec": pod}})


def note(name: str) -> dict[str, Any]:
    return named("v1", "ConfigMap", name, data={"a": "b"})


class TestObjects:
    def test_create_get_list_delete(self, real: Cluster) -> None:
        created = real.create(note("one"))
        assert created["metadata"]["namespace"] == real.namespace
        assert (real.get("ConfigMap", "one") or {})["data"] == {"a": "b"}
        assert real.get("ConfigMap", "two") is None
        real.create(note("two"))
        names = {item["metadata"]["name"] for item in real.list("ConfigMap")}
        assert {"one", "two"} <= names
        assert len(real.list("ConfigMap", limit=1)) == 1
        assert len(real.list("ConfigMap", fields="metadata.name=two")) == 1
        assert real.delete("ConfigMap", "one", wait_seconds=10)
        assert not real.delete("ConfigMap", "one")

    def test_a_taken_name(self, real: Cluster) -> None:
        real.create(note("one"))
        with pytest.raises(AlreadyExistsError, match=f"{real.namespace}: .*one.* already exists"):
            real.create(note("one"))

    def test_a_lost_answer_is_our_own(self, real: Cluster, monkeypatch: Any) -> None:
        request = real.connection.request
        lost = []

        def twice(method: str, *arguments: Any, **options: Any) -> Any:
            if method == "POST" and not lost:
                lost.append(request(method, *arguments, **options))
            return request(method, *arguments, **options)

        monkeypatch.setattr(real.connection, "request", twice)
        uid = real.create(note("one"))["metadata"]["uid"]
        assert uid == lost[0].json()["metadata"]["uid"]

    def test_a_dry_run_checks_and_creates_nothing(self, real: Cluster) -> None:
        assert real.create(job("j", "pass"), dry_run=True)["metadata"]["uid"]
        assert real.get("Job", "j") is None
        wrong = job("j", "pass", completionMode="Sometimes")
        with pytest.raises(ClusterError, match=r"does not accept this: spec\.completionMode: "):
            real.create(wrong, dry_run=True)
        with pytest.raises(ClusterError, match=r"metadata.name: .*J_1"):
            real.create(job("J_1", "pass"), dry_run=True)

    def test_a_pod_that_is_not_restricted_is_refused_in_words(self, real: Cluster) -> None:
        spec = {"containers": [{"name": "c", "image": "x"}]}
        with pytest.raises(ClusterError, match=r"Pod Security refuses the pod: .*runAsNonRoot"):
            real.create(named("v1", "Pod", "p", spec=spec))

    def test_a_quota_is_told_with_its_numbers(self, real: Cluster) -> None:
        real.create(named("v1", "ResourceQuota", "q", spec={"hard": {"count/jobs.batch": "0"}}))
        while "status" not in (real.get("ResourceQuota", "q") or {}):
            time.sleep(0.1)
        with pytest.raises(ClusterError, match=r"quota does not allow it: .*count/jobs.batch=0"):
            for number in range(50):  # until the quota has been counted
                real.create(job(f"j{number}", "pass"), dry_run=True)
                time.sleep(0.1)

    def test_a_missing_namespace(self, real: Cluster) -> None:
        nowhere = open_cluster(namespace="mray-test-nowhere")
        with pytest.raises(NotFoundError, match=r"no namespace mray-test-nowhere .*kubectl apply"):
            nowhere.create(note("one"))
        assert nowhere.list("Job") == []
        assert nowhere.get("Job", "j") is None

    def test_version_clock_and_what_is_not_served(self, real: Cluster) -> None:
        assert real.version().startswith("v1.")
        assert abs(real.server_time().timestamp() - time.time()) < 60
        assert real.raw("/apis/kueue.nowhere.io/v1") is None

    def test_deleting_a_job_takes_its_pods_along(self, real: Cluster) -> None:
        real.create(job("j", "import time; time.sleep(600)"))
        for pods in real.watch("Pod", idle_seconds=60):
            if pods:
                break
        assert real.delete("Job", "j", wait_seconds=60)
        assert real.list("Pod") == []

    def test_watch(self, real: Cluster) -> None:
        real.create(note("one"))
        caches = real.watch("ConfigMap", fields="metadata.name!=kube-root-ca.crt", idle_seconds=60)
        assert sorted(next(caches)) == ["one"]
        real.create(note("two"))
        assert sorted(next(caches)) == ["one", "two"]
        real.delete("ConfigMap", "one")
        while "one" in (cache := next(caches)):  # first it is marked
            assert cache["one"]["metadata"]["deletionTimestamp"]
        assert sorted(cache) == ["two"]
        caches.close()  # type: ignore[attr-defined]

    def test_pages(self, real: Cluster, monkeypatch: Any) -> None:
        monkeypatch.setattr("machineray.kube.watching._PAGE", 2)
        for number in range(5):
            real.create(note(f"n{number}"))
        found = [item["metadata"]["name"] for item in real.list("ConfigMap")]
        assert len(found) == len(set(found))
        assert {f"n{number}" for number in range(5)} <= set(found)


@pytest.fixture
def visitor(real: Cluster, tmp_path: Path, monkeypatch: Any) -> Callable[[str], Cluster]:
    """The cluster as a service account "visitor" that may only read Jobs, by its token."""
    real.create(named("v1", "ServiceAccount", "visitor"))
    rules = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list"]}]
    rbac = "rbac.authorization.k8s.io"
    real.create(named(f"{rbac}/v1", "Role", "reader", rules=rules))
    subject = {"kind": "ServiceAccount", "name": "visitor", "namespace": real.namespace}
    role = {"kind": "Role", "name": "reader", "apiGroup": rbac}
    real.create(named(f"{rbac}/v1", "RoleBinding", "reader", subjects=[subject], roleRef=role))
    path = real.path("ServiceAccount", "visitor") + "/token"
    token = real.connection.request("POST", path, None, {"spec": {}}).json()["status"]["token"]
    authority = real.connection.access.configuration.ssl_ca_cert

    def visit(changed_token: str = token) -> Cluster:
        cluster = {"server": real.server, "certificate-authority": authority}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "visit",
            "contexts": [{"name": "visit", "context": {"cluster": "c", "user": "visitor"}}],
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "visitor", "user": {"token": changed_token}}],
        }
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        return open_cluster(namespace=real.namespace)

    visit.token = token  # type: ignore[attr-defined]
    return visit


class TestPermissions:
    def test_who_may_only_read_is_told_what_is_missing(self, visitor: Any) -> None:
        guest = visitor()
        deadline = time.monotonic() + 10
        while not guest.can("list", "jobs", group="batch"):  # the server learns Roles in a moment
            assert time.monotonic() < deadline
        assert guest.list("Job") == []
        assert not guest.can("create", "jobs", group="batch")
        assert not guest.can("get", "pods", subresource="log")
        needed = 'no permission: .*visitor" cannot create resource "jobs".*role mray-submitter'
        with pytest.raises(ClusterError, match=needed):
            guest.create(job("j", "pass"))
        with pytest.raises(ClusterError, match='cannot delete resource "jobs"'):
            guest.delete("Job", "j")
        with pytest.raises(ClusterError, match='cannot list resource "pods"'):
            next(guest.watch("Pod"))
        with pytest.raises(ClusterError, match='cannot list resource "nodes"'):
            guest.list("Node")

    def test_an_invalid_token(self, visitor: Any) -> None:
        start, body, signature = visitor.token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        claims["exp"] = 1_000_000_000
        expired = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        for token in ("nonsense", f"{start}.{expired}.{signature}"):
            with pytest.raises(ConfigurationError, match=r"login of user visitor.*log in again"):
                visitor(token).list("Job")

    def test_a_token_of_an_account_that_is_gone(self, real: Cluster, visitor: Any) -> None:
        real.delete("ServiceAccount", "visitor", wait_seconds=10)
        with pytest.raises(ConfigurationError, match=r"context visit.*log in again"):
            for _ in range(200):  # until the server has forgotten it
                visitor().list("Job")
                time.sleep(0.1)


TALK = """
import os, sys, time
index = os.environ["JOB_COMPLETION_INDEX"]
for number in range(COUNT):
    print(f"out {index} {number}")
    print(f"err {index} {number}", file=sys.stderr)
    time.sleep(PAUSE)
sys.stdout.write(f"end {index}")
"""


def talk(count: int, pause_seconds: float) -> str:
    return TALK.replace("COUNT", str(count)).replace("PAUSE", str(pause_seconds))


def spoken(count: int, indexes: int) -> Counter[str]:
    lines = [f"end {index}" for index in range(indexes)]
    for kind in ("out", "err"):
        lines += [f"{kind} {index} {at}" for index in range(indexes) for at in range(count)]
    return Counter(lines)


class TestLogs:
    def test_followed_and_read_again(self, real: Cluster) -> None:
        real.create(job("j", talk(20, 0.05), completions=3, parallelism=2))
        followed = list(job_lines(real, "j", follow=True))
        assert Counter(line.text for line in followed) == spoken(20, 3)
        again = list(job_lines(real, "j"))
        assert [line.index for line in again] == sorted(line.index or 0 for line in followed)
        assert Counter(line.text for line in again) == spoken(20, 3)
        one = Counter(line.text for line in job_lines(real, "j", index=1))
        assert one == Counter({text: 1 for text in spoken(20, 3) if text.split()[1] == "1"})
        assert list(job_lines(real, "j", failed_only=True)) == []

    def test_attempts(self, real: Cluster) -> None:
        script = "print('again'); raise SystemExit(3)"
        real.create(job("j", script, backoffLimit=None, backoffLimitPerIndex=1))
        assert [line.text for line in job_lines(real, "j", follow=True)] == ["again", "again"]
        assert len(list(job_lines(real, "j", failed_only=True))) == 2
        assert len(list(job_lines(real, "j", previous=True))) == 1

    def test_a_job_that_is_deleted_ends_it(self, real: Cluster) -> None:
        real.create(job("j", talk(1000, 0.1)))
        lines = job_lines(real, "j", follow=True)
        assert next(lines).index == 0
        real.delete("Job", "j")
        assert all(line.index == 0 for line in lines)
        with pytest.raises(NotFoundError, match="no Job j"):
            list(job_lines(real, "j"))

    @pytest.mark.outage
    @pytest.mark.xdist_group("outages")
    def test_nothing_is_lost_or_doubled_while_the_api_server_is_away(
        self, real: Cluster, control: Callable[..., None]
    ) -> None:
        states: list[list[str]] = []

        def watch() -> None:
            for jobs in real.watch("Job", idle_seconds=1):
                conditions = jobs["j"]["status"].get("conditions") or ()
                states.append([entry["type"] for entry in conditions])
                if "Complete" in states[-1]:
                    return

        real.create(job("j", talk(250, 0.1), completions=3, parallelism=3))
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        lines = job_lines(real, "j", follow=True)
        found = Counter(next(lines).text for _ in range(60))
        control("kill", "apiserver")
        try:
            starter = threading.Timer(12, control, ("start", "apiserver"))
            starter.start()
            assert real.get("Job", "j") is not None  # patience bridges it
            found += Counter(line.text for line in lines)
        finally:
            starter.join()
        assert found == spoken(250, 3)
        watcher.join(30)
        assert "Complete" in states[-1]
