"""`mray doctor --cluster`: green where a submit would work, and a way out in each red line."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from machineray.kube.cluster import Cluster
from machineray.storage import open_store
from tests.cluster.conftest import Mray, kubectl, on_the_cluster
from tests.cluster.support import until

pytestmark = on_the_cluster(300)

Red = Callable[..., dict[str, str]]


@pytest.fixture
def red(mray: Mray) -> Red:
    """`red(*words)`: the checks that failed, by name."""

    def run(*words: str) -> dict[str, str]:
        done = mray("doctor", "--cluster", "-o", "json", *words, rc=None)
        assert "Traceback" not in done.stderr, done.stderr
        told = {check["name"]: check for check in json.loads(done.stdout)}
        wrong = {name: check["text"] for name, check in told.items() if not check["ok"]}
        assert done.returncode == bool(wrong)
        return wrong

    return run


def test_all_is_green_where_a_submit_works_and_nothing_is_left(
    mray: Mray, red: Red, cluster: Cluster, root: str
) -> None:
    assert red() == {}
    told = mray("doctor", "--cluster").stdout
    assert "Pod Security: restricted" in told
    assert "in a pod: " in told
    assert list(open_store(root).list()) == []
    assert cluster.list("Job") == []


def test_a_namespace_that_lacks_things_is_told_what(
    red: Red, namespace: str, tmp_path: Path
) -> None:
    kubectl("-n", namespace, "delete", "secret", "mray-bucket")
    path = tmp_path / "mray.toml"
    path.write_text(path.read_text() + 'queue = "fast"\n')
    wrong = red()
    assert set(wrong) == {"queue", "pod"}
    assert "no secret mray-bucket: kubectl create secret generic mray-bucket" in wrong["pod"]
    assert "no such LocalQueue" in wrong["queue"] and "k8s/kueue" in wrong["queue"]


def test_a_bucket_and_an_image_that_are_not_there(red: Red, tmp_path: Path) -> None:
    wrong = red("--root", "s3://no-such-bucket-of-ours")
    assert set(wrong) == {"pod"}
    assert "no-such-bucket-of-ours: no such bucket" in wrong["pod"]
    path = tmp_path / "mray.toml"
    tag = os.environ.get("TAG") or "dev"
    path.write_text(path.read_text().replace(f'tag = "{tag}"', 'tag = "nope"'))
    wrong = red()
    assert set(wrong) == {"image", "pod"}
    assert "machineray-pipeline:nope" in wrong["image"]


def test_a_namespace_that_is_not_there(red: Red, namespace: str, tmp_path: Path) -> None:
    path = tmp_path / "mray.toml"
    path.write_text(path.read_text().replace(f'"{namespace}"', '"mray-nowhere"'))
    wrong = red()
    assert "kubectl apply -k k8s/base" in wrong["namespace"]
    assert "mray-nowhere" in wrong["pod"]


def test_a_full_quota(red: Red, namespace: str) -> None:
    patch = '{"spec": {"hard": {"pods": "0"}}}'
    kubectl("-n", namespace, "patch", "resourcequota", "mray", "--type=merge", "-p", patch)
    wrong = until("the quota counts", red)
    assert "pods (0)" in wrong["quota"] and "raise the ResourceQuota" in wrong["quota"]
    assert "quota mray" in wrong["pod"]
