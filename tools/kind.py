"""A cluster on a laptop: kind, a registry, MinIO, and a pipeline in it (stdlib only).

    python3 tools/kind.py create     what only kind needs: the registry's container, the cluster
    python3 tools/kind.py install    the namespace, the bucket and its keys
    python3 tools/kind.py demo       the example paintings through `mray submit pipeline`
    python3 tools/kind.py delete

`make kind-up kind-demo kind-down` call these. All but create and delete work on any cluster:
CONTEXT is its name in the kubeconfig, REGISTRY what its nodes and you call the registry, TAG the
images', S3_ENDPOINT where you reach the bucket, DOCKER who runs containers, RUN the run's name,
DEMO further options.
"""

from __future__ import annotations  # see environment.py

import base64
import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
OVERLAY = PROJECT / "k8s" / "overlays" / "local"
KEYS = OVERLAY / "bucket.env"

CLUSTER = "machineray"
REGISTRY_CONTAINER = "mray-registry"
REGISTRY_IMAGE = "docker.io/library/registry:2"
CONTEXT = os.environ.get("CONTEXT") or f"kind-{CLUSTER}"
REGISTRY = os.environ.get("REGISTRY") or "localhost:5001"
S3_ENDPOINT = os.environ.get("S3_ENDPOINT") or "http://localhost:30900"
TAG = os.environ.get("TAG")
RUN = os.environ.get("RUN") or "demo"
DOCKER = os.environ.get("DOCKER") or "docker"
os.environ.setdefault("KIND_EXPERIMENTAL_PROVIDER", DOCKER)  # kind's own word for "not Docker"


def create() -> None:
    """The registry and the cluster, unless they are there (kind's recipe for a local registry)."""
    for program in ("kind", "kubectl", DOCKER):
        if not shutil.which(program):
            sys.exit(f"kind: {program} is not installed; see https://kind.sigs.k8s.io")
    if output(DOCKER, "ps", "-aq", "--filter", f"name=^{REGISTRY_CONTAINER}$"):
        run(DOCKER, "start", REGISTRY_CONTAINER)
    else:
        published = f"127.0.0.1:{REGISTRY.rpartition(':')[2]}:5000"
        options = ("-d", "--restart=always", "-p", published, "--name", REGISTRY_CONTAINER)
        run(DOCKER, "run", *options, REGISTRY_IMAGE)
    if CLUSTER not in output("kind", "get", "clusters").split():
        run("kind", "create", "cluster", f"--config={OVERLAY / 'kind.yaml'}")
    # "localhost" on a node is the node itself: tell its containerd where the registry is.
    folder = f"/etc/containerd/certs.d/{REGISTRY}"
    hosts = f'[host."http://{REGISTRY_CONTAINER}:5000"]\n'
    for node in output("kind", "get", "nodes", "--name", CLUSTER).split():
        write = f"mkdir -p {folder} && cat > {folder}/hosts.toml"
        run(DOCKER, "exec", "-i", node, "sh", "-c", write, input=hosts)
    networks = json.loads(output(DOCKER, "inspect", REGISTRY_CONTAINER))[0]["NetworkSettings"]
    if "kind" not in networks["Networks"]:
        run(DOCKER, "network", "connect", "kind", REGISTRY_CONTAINER)


def install() -> None:
    """The local overlay, with keys that are drawn here and lie in no repository."""
    if not KEYS.exists():
        KEYS.touch(mode=0o600)
        KEYS.write_text("".join(f"{name}={value}\n" for name, value in keys().items()))
    kubectl("apply", "-k", str(OVERLAY))
    kubectl("-n", CLUSTER, "rollout", "status", "deployment/bucket", "--timeout=5m")


def keys() -> dict[str, str]:
    """Those that the cluster's bucket has already, else new ones."""
    words = ("-n", CLUSTER, "get", "secret", "mray-bucket", "--ignore-not-found", "-o", "json")
    secret = output("kubectl", "--context", CONTEXT, *words)
    if secret:
        data = json.loads(secret)["data"]
        return {name: base64.b64decode(value).decode() for name, value in data.items()}
    example = KEYS.with_name("bucket.env.example").read_text()
    drawn = {"AWS_ACCESS_KEY_ID": 8, "AWS_SECRET_ACCESS_KEY": 20}
    given = dict(line.split("=", 1) for line in example.split())
    return {**given, **{name: secrets.token_hex(size) for name, size in drawn.items()}}


def demo() -> None:
    """The whole pipeline in the cluster, and its gallery here."""
    opening = dict(line.split("=", 1) for line in KEYS.read_text().split())
    os.environ.update({**opening, "AWS_ENDPOINT_URL_S3": S3_ENDPOINT})
    images = ["--registry", REGISTRY] + (["--tag", TAG] if TAG else [])
    small = ["--preset", "tiny", "--cpu", "500m", "--memory", "3Gi", "--disk", "4Gi"]
    more = shlex.split(os.environ.get("DEMO", ""))
    where = ["--profile", "kind", "--context", CONTEXT, *images]
    mray("submit", "pipeline", "--run", RUN, *small, *where, *more, "--wait")
    gallery = PROJECT / "mray-data" / "kind" / RUN
    mray("get", f"{RUN}/gallery", str(gallery), "--root", "s3://machineray")
    print(f"The gallery: {gallery / 'index.html'}")


def delete() -> None:
    """The cluster, the registry, the keys. Results that were fetched stay."""
    run("kind", "delete", "cluster", f"--name={CLUSTER}")
    run(DOCKER, "rm", "-f", REGISTRY_CONTAINER)
    KEYS.unlink(missing_ok=True)


def kubectl(*words: str) -> None:
    """Against the chosen context only, never the current one, which may be anybody's."""
    run("kubectl", "--context", CONTEXT, *words)


def mray(*words: str) -> None:
    """The project's own command, in the folder of its profile."""
    run(str(Path(sys.executable).with_name("mray")), *words, cwd=OVERLAY)


def output(*words: str) -> str:
    """What a command prints."""
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


def run(*words: str, input: str | None = None, cwd: Path | None = None) -> None:
    """Show a command and run it; the first that fails ends all, with its own words."""
    print("+", shlex.join(words), flush=True)
    status = subprocess.run(words, input=input, cwd=cwd, text=True, check=False).returncode
    if status:
        sys.exit(status)


if __name__ == "__main__":
    commands = {command.__name__: command for command in (create, install, demo, delete)}
    if sys.argv[1:2] == [] or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]]()
