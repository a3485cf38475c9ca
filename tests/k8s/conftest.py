"""The cluster of KUBECONFIG, and k8s/ applied to it in a namespace of the test's own."""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Kubectl:
    """kubectl in one namespace."""

    namespace: str = ""

    def __call__(self, *words: str, stdin: Any = None, check: bool = True) -> Any:
        """Run it; stdin is an object. What it did comes back as subprocess has it."""
        where = [f"--namespace={self.namespace}"] if self.namespace else []
        command = ["kubectl", *where, *words]
        text = None if stdin is None else json.dumps(stdin)
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.stderr}"
        return done

    def get(self, *words: str) -> Any:
        """One object, or a list's items."""
        found = json.loads(self("get", *words, "--output=json").stdout)
        return found["items"] if found["kind"] == "List" else found

    def admits(self, thing: Any, *words: str) -> tuple[bool, str]:
        """Whether the server would make it, and what it says of it."""
        done = self("create", "--dry-run=server", "-f", "-", *words, stdin=thing, check=False)
        return done.returncode == 0, done.stderr

    def allowed(self, who: tuple[str, ...], wanted: Iterable[tuple[str, str]]) -> list[Any]:
        """Which (verb, thing) somebody may: `kubectl auth can-i` for all of them in one call."""
        wanted = list(wanted)
        reviews = [self._review(*want) for want in wanted]
        told = self(
            *("create", "--validate=false", "-f", "-", *who),
            "--output=jsonpath={.status.allowed}{'\\n'}",
            stdin={"apiVersion": "v1", "kind": "List", "items": reviews},
        ).stdout.split()
        assert set(told) <= {"true", "false"}
        return [want for want, word in zip(wanted, told, strict=True) if word == "true"]

    def _review(self, verb: str, thing: str) -> Any:
        kind, _, part = thing.partition("/")
        resource, _, group = kind.partition(".")
        about = {"verb": verb, "group": group, "resource": resource, "subresource": part}
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"namespace": self.namespace or "default", **about}},
        }


@pytest.fixture(scope="session")
def cluster() -> Kubectl:
    """Skips where no cluster is given."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("no cluster: KUBECONFIG does not say where one is")
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    return Kubectl()


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of k8s/ in which tests may write: overlays, and keys of a bucket."""
    folder = tmp_path_factory.mktemp("kustomize")
    ignore = shutil.ignore_patterns("bucket.env")
    shutil.copytree(PROJECT / "k8s", folder / "k8s", ignore=ignore)
    local = folder / "k8s" / "overlays" / "local"
    example = (local / "bucket.env.example").read_text()
    filled = example.replace("KEY_ID=", f"KEY_ID={secrets.token_hex(8)}")
    filled = filled.replace("ACCESS_KEY=\n", f"ACCESS_KEY={secrets.token_hex(20)}\n")
    (local / "bucket.env").write_text(filled)
    return folder / "k8s"


@pytest.fixture(scope="session")
def applied(cluster: Kubectl, tree: Path) -> Iterator[Callable[[str, str], Kubectl]]:
    """apply(folder of k8s, more lines) makes it, in a namespace that goes afterwards."""
    namespaces: list[str] = []

    def apply(overlay: str, more: str = "") -> Kubectl:
        namespace = f"mray-{secrets.token_hex(4)}"
        folder = tree / "overlays" / namespace
        folder.mkdir()
        text = f"namespace: {namespace}\nresources: [../../{overlay}]\n{more}"
        (folder / "kustomization.yaml").write_text(text)
        namespaces.append(namespace)
        cluster("apply", "-k", str(folder))
        return Kubectl(namespace)

    yield apply
    for namespace in namespaces:
        cluster("delete", "namespace", namespace, "--wait=false", check=False)


@pytest.fixture(scope="session")
def base(applied: Callable[..., Kubectl]) -> Kubectl:
    """k8s/base, in a namespace of its own."""
    return applied("base")
