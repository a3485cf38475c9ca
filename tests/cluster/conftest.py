"""The real cluster of KUBECONFIG with our images and a bucket; a namespace for each test.

REGISTRY and TAG name the images, MRAY_TEST_BUCKET the bucket, AWS_* the way to it.
"""

import fcntl
import functools
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from machineray.kube.cluster import Cluster, open_cluster
from machineray.runs import sha256_of
from machineray.storage import open_store
from tests.cluster import forked
from tests.cluster.front import Front, opened_front

PROJECT = Path(__file__).resolve().parents[2]
MRAY = str(Path(sys.executable).with_name("mray"))
NEEDED = ("KUBECONFIG", "REGISTRY", "MRAY_TEST_BUCKET", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID")
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY": "AWS_SECRET_ACCESS_KEY",
    "AWS_ENDPOINT_URL_S3": "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION": "AWS_DEFAULT_REGION",
}
# 1 GiB is what a small training takes; tests side by side share a node of 24.
SMALL = ("--cpu", "50m", "--memory", "1536Mi", "--disk", "1Gi")

Mray = Callable[..., subprocess.CompletedProcess[str]]


def on_the_cluster(seconds: float) -> list[pytest.MarkDecorator]:
    """The marks of a module of tests here, each in a namespace of its own, at most so long."""
    return [pytest.mark.cluster, pytest.mark.timeout(seconds)]


@pytest.fixture(scope="session", autouse=True)
def given() -> None:
    """Skips, and says so, where no cluster is given."""
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing:
        pytest.skip(f"no cluster to test on: {', '.join(missing)} not set (CONTRIBUTING.md)")


def kubectl(*words: str, stdin: str | None = None, check: bool = True, errors: bool = False) -> str:
    """What kubectl prints; with `errors` also what it says to standard error."""
    done = subprocess.run(["kubectl", *words], input=stdin, capture_output=True, text=True)
    assert not check or done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
    return done.stdout + (done.stderr if errors else "")


@functools.cache
def base_objects() -> tuple[dict[str, Any], ...]:
    """k8s/base as objects."""
    return tuple(yaml.safe_load_all(kubectl("kustomize", str(PROJECT / "k8s" / "base"))))


def filled_namespace(name: str) -> None:
    """k8s/base under another name, with the bucket's Secret."""
    objects = []
    for found in base_objects():
        metadata = {**found["metadata"]}
        if found["kind"] == "Namespace":
            metadata["name"] = name
        elif "namespace" in metadata:
            metadata["namespace"] = name
        subjects = [
            {**subject, "namespace": name} if "namespace" in subject else subject
            for subject in found.get("subjects", [])
        ]
        bound = {"subjects": subjects} if subjects else {}
        objects.append({**found, "metadata": metadata, **bound})
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "mray-bucket", "namespace": name},
        "stringData": {key: os.environ[variable] for key, variable in CREDENTIALS.items()},
    }
    # The namespace first, then what is in it.
    objects.sort(key=lambda found: found["kind"] != "Namespace")
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([*objects, secret]))


@pytest.fixture
def namespace() -> Iterator[str]:
    """A new namespace as k8s/base makes it, and the Secret of the bucket."""
    name = f"mray-test-{secrets.token_hex(4)}"
    filled_namespace(name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def root() -> Iterator[str]:
    """A new prefix in the bucket."""
    url = f"{os.environ['MRAY_TEST_BUCKET']}/test-{secrets.token_hex(6)}"
    yield url
    store = open_store(url)
    for stored in list(store.list()):
        store.delete(stored.key)


@pytest.fixture
def cluster(namespace: str) -> Cluster:
    """The namespace, as the library sees it."""
    return open_cluster(None, namespace)


@pytest.fixture
def mray(namespace: str, root: str, tmp_path: Path) -> Mray:
    """`mray(*words, rc=0)` with a profile of the namespace, the root and the images."""
    settings = {"namespace": namespace, "root": root, "registry": os.environ["REGISTRY"]}
    tag = os.environ.get("TAG") or "dev"
    lines = [f'{key} = "{value}"' for key, value in {**settings, "tag": tag}.items()]
    text = "\n".join(['profile = "test"', "[profiles.test]", "gpus = 0", *lines]) + "\n"
    (tmp_path / "mray.toml").write_text(text)

    def run(*words: str, rc: int | None = 0) -> subprocess.CompletedProcess[str]:
        done = forked.mray(words, tmp_path, seconds=600)
        assert rc is None or done.returncode == rc, (
            f"mray {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    return run


def digest_of_the_code() -> str:
    """Of all that a stage is made by, and of what is made here."""
    files = [file for name in ("machineray", "jobs") for file in (PROJECT / name).rglob("*.py")]
    return sha256_of(b"".join(file.read_bytes() for file in [*sorted(files), Path(__file__)]))[:16]


@pytest.fixture(scope="session")
def made_folder(pytestconfig: pytest.Config) -> Path:
    """Folder roots with a run "demo" of few paintings, at the preset tiny.

    "trained" is complete up to train; "finished" has two samples and their artworks, too. Made
    once: all test processes share them, and the next call of pytest as long as the code is this.
    """
    kept = pytestconfig.cache.mkdir("trained")
    of_this_code = kept / digest_of_the_code()
    folder, paintings = of_this_code / "trained", of_this_code / "paintings"
    with (kept / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (of_this_code / "whole").exists():  # another made it while this one waited, or before
            return of_this_code
        for old in kept.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
        paintings.mkdir(parents=True)
        examples = (PROJECT / "examples" / "paintings").glob("*.jpg")
        for path in sorted(examples, key=lambda path: path.stat().st_size)[:12]:
            shutil.copy(path, paintings)
        for words in (
            ("collect", "--input", str(paintings)),
            ("curate",),
            ("unframe",),
            ("augment", "--resolution", "32"),
            ("train", "--preset", "tiny", "--kimg", "0.1"),
        ):
            done_here(folder, *words)
        shutil.copytree(folder, of_this_code / "finished")
        for words in (("generate", "--seeds", "0-1"), ("finish",)):
            done_here(of_this_code / "finished", *words)
        (of_this_code / "whole").touch()
    return of_this_code


def done_here(folder: Path, *words: str) -> None:
    """A stage of the run, on this machine."""
    place = ("--run", "demo", "--root", str(folder), "--workers", "1")
    subprocess.run([MRAY, "run", *words, *place], check=True, capture_output=True)


def copied(folder: Path, root: str) -> str:
    """A folder's run, put into the root; its name."""
    store, local = open_store(root), open_store(folder)
    for stored in local.list():
        store.write(stored.key, local.read(stored.key))
    return "demo"


@pytest.fixture
def trained(root: str, made_folder: Path) -> str:
    """The root, with the trained run in it; the run's name."""
    return copied(made_folder / "trained", root)


@pytest.fixture
def finished(root: str, made_folder: Path) -> str:
    """The root, with the finished run in it: every stage finds its input; the run's name."""
    return copied(made_folder / "finished", root)


@pytest.fixture
def front(namespace: str) -> Iterator[Front]:
    """A door of ours before the bucket, through which the namespace's pods go."""
    with opened_front(os.environ["AWS_ENDPOINT_URL"]) as opened:
        patch = json.dumps({"stringData": {"AWS_ENDPOINT_URL_S3": opened.url}})
        kubectl("-n", namespace, "patch", "secret", "mray-bucket", "--type=merge", "-p", patch)
        yield opened


@pytest.fixture
def harness() -> Callable[..., None]:
    """`harness("kill", "apiserver")`: the cluster's own command, where it has one."""
    program = PROJECT.parent / "shared" / "cluster" / "cluster"
    if not program.is_file():
        pytest.skip("the cluster's harness (../shared/cluster) is not beside the project")

    def run(*words: str) -> None:
        subprocess.run([str(program), *words], check=True, capture_output=True, timeout=120)

    return run
