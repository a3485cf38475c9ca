"""The overlays on a real API server; their S3 servers store and give back."""

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from machineray.config import load_profile
from machineray.kube.manifests import JobSpec, Resources, job_manifest

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("k8s")]

PROJECT = Path(__file__).resolve().parents[2]
ANY_PORT = """
patches:
  - target: { kind: Service, name: bucket }
    patch: '[{"op": "remove", "path": "/spec/ports/0/nodePort"}]'
"""


@pytest.mark.parametrize("overlay", ["base", "overlays/local", "overlays/gpu", "kueue"])
def test_an_overlay_renders(cluster: Any, tree: Path, overlay: str) -> None:
    text = cluster("kustomize", str(tree / overlay)).stdout
    objects = list(yaml.safe_load_all(text))
    assert all(item["kind"] and item["metadata"]["name"] for item in objects)
    spaces = {item["metadata"].get("namespace") for item in objects} - {None}
    assert spaces == {"machineray"}
    assert text.count("kind: Secret\n") == (overlay == "overlays/local")


def test_the_server_takes_the_gpu_overlay(applied: Callable[..., Any]) -> None:
    namespace = applied("overlays/gpu", "components: [../../components/eks-pod-identity]\n")
    quota = namespace.get("resourcequota", "mray")
    assert quota["spec"]["hard"]["requests.nvidia.com/gpu"] == "16"
    assert namespace.get("networkpolicy", "eks-pod-identity")


def test_every_profile_is_one_that_mray_reads(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in sorted(tree.rglob("mray.toml")):
        monkeypatch.chdir(path.parent)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(path.parent / "nowhere"))
        for name in tomllib.loads(path.read_text())["profiles"]:
            profile = load_profile(name)
            assert profile.namespace == "machineray"
            assert profile.container_image("train").startswith(f"{profile.registry}/")


def test_the_queue_covers_all_that_a_job_requests(cluster: Any, tree: Path) -> None:
    """Kueue never admits a Job with a request that no resource group covers."""
    spec = JobSpec("x", "machineray", "x", "train", "x", [], resources=Resources(gpus=1))
    container = job_manifest(spec)["spec"]["template"]["spec"]["containers"][0]
    objects = yaml.safe_load_all(cluster("kustomize", str(tree / "kueue")).stdout)
    by_kind = {item["kind"]: item for item in objects}
    (group,) = by_kind["ClusterQueue"]["spec"]["resourceGroups"]
    assert container["resources"]["requests"].keys() <= set(group["coveredResources"])
    for flavor in group["flavors"]:
        assert [row["name"] for row in flavor["resources"]] == group["coveredResources"]
    assert (
        by_kind["LocalQueue"]["spec"]["clusterQueue"] == by_kind["ClusterQueue"]["metadata"]["name"]
    )


# ---------------------------------------------------------------------------- the bucket


@pytest.fixture(scope="module")
def seaweedfs() -> str:
    """SeaweedFS as an image in the tests' registry, made of the program that the tests have."""
    program, registry = os.environ.get("DOCKER") or "podman", os.environ.get("REGISTRY")
    weed = Path(sys.executable).with_name("weed")
    if not registry or not shutil.which(program):
        pytest.skip("no REGISTRY, or nothing that builds images")
    name = f"{registry}/mray-test-seaweedfs:1"
    text = "FROM docker.io/library/python:3.11-slim\nCOPY weed /usr/bin/weed\n"
    build = [program, "build", "-q", "-t", name, "-f", "-", str(weed.resolve().parent)]
    subprocess.run(build, input=text, text=True, check=True, capture_output=True)
    subprocess.run([program, "push", "-q", name], check=True, capture_output=True)
    return name


def node_address() -> str:
    """Where NodePorts are: S3_ENDPOINT's host, or this machine."""
    return urlsplit(os.environ.get("S3_ENDPOINT", "")).hostname or "localhost"


def stores(namespace: Any, tree: Path) -> None:
    """The bucket is there, keeps what it is given, and is shut to others."""
    import boto3
    from botocore.exceptions import ClientError, EndpointConnectionError

    namespace("rollout", "status", "deployment/bucket", "--timeout=120s")
    port = namespace.get("service", "bucket")["spec"]["ports"][0]["nodePort"]
    lines = (tree / "overlays" / "local" / "bucket.env").read_text().split()
    keys = dict(line.split("=", 1) for line in lines)
    secret = namespace.get("secret", "mray-bucket")["data"]
    assert secret.keys() == keys.keys()

    def client(key: str, word: str) -> Any:
        where = {"endpoint_url": f"http://{node_address()}:{port}", "region_name": "us-east-1"}
        return boto3.client("s3", aws_access_key_id=key, aws_secret_access_key=word, **where)

    s3 = client(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"])
    data = secrets.token_bytes(100_000)
    for again in range(30):  # a node learns of a ready pod a little later than we
        try:
            s3.put_object(Bucket="machineray", Key="runs/x/y", Body=data)
            break
        except EndpointConnectionError:
            assert again < 29
            time.sleep(1)
    assert s3.get_object(Bucket="machineray", Key="runs/x/y")["Body"].read() == data
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="machineray", Key="runs/x/y", Body=b"", IfNoneMatch="*")
    with pytest.raises(ClientError):
        client("somebody", "else-entirely").get_object(Bucket="machineray", Key="runs/x/y")


def test_minio_stores(applied: Callable[..., Any], tree: Path) -> None:
    namespace = applied("overlays/local", ANY_PORT)
    stores(namespace, tree)
    assert not any("PodSecurity" in str(event) for event in namespace.get("events"))
    policy = namespace.get("networkpolicy", "bucket")["spec"]
    (rule,) = policy["egress"]  # in the cluster, and nothing outside
    assert rule["to"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "bucket"}}}]


def test_seaweedfs_takes_its_place(applied: Callable[..., Any], tree: Path, seaweedfs: str) -> None:
    copy = tree / "overlays" / "local-seaweedfs"
    shutil.copytree(tree / "overlays" / "local", copy)
    kustomization = copy / "kustomization.yaml"
    text, changes = re.subn("components/minio", "components/seaweedfs", kustomization.read_text())
    assert changes == 1
    kustomization.write_text(text)
    name, tag = seaweedfs.rsplit(":", 1)
    image = f"images: [{{name: docker.io/chrislusf/seaweedfs, newName: {name}, newTag: '{tag}'}}]"
    stores(applied("overlays/local-seaweedfs", f"{ANY_PORT}{image}\n"), tree)
