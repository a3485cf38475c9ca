"""The cluster on a laptop. `kind` and its registry are stand-ins here; all else is run for real."""

import os
import secrets
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = PROJECT / "tools" / "kind.py"
LOCAL = PROJECT / "k8s" / "overlays" / "local"
MAKEFILE = (PROJECT / "Makefile").read_text()

STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
case "$1 $2" in
  "get clusters") cat "$CALLS.clusters" ;;
  "create cluster") echo machineray > "$CALLS.clusters" ;;
  "get nodes") echo machineray-control-plane ;;
  "ps -aq") cat "$CALLS.registry" ;;
  "run -d") echo 4711 > "$CALLS.registry" ;;
  "inspect mray-registry") echo '[{"NetworkSettings": {"Networks": {"bridge": {}}}}]' ;;
  "exec -i") cat >> "$CALLS" ;;
esac 2> /dev/null
exit 0
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stand-ins of kind and docker were told."""
    for name in ("kind", "docker", "kubectl"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(STAND_IN)
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    for name in ("CONTEXT", "REGISTRY", "DOCKER", "S3_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "calls"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A copy of the script beside a copy of its overlay: it writes and deletes keys there."""
    shutil.copytree(LOCAL, tmp_path / "k8s" / "overlays" / "local")
    (tmp_path / "k8s" / "overlays" / "local" / "bucket.env").unlink(missing_ok=True)
    (tmp_path / "tools").mkdir()
    return Path(shutil.copy2(SCRIPT, tmp_path / "tools"))


def run(script: Path, word: str) -> None:
    subprocess.run([sys.executable, str(script), word], check=True, capture_output=True)


def test_create_makes_a_registry_that_the_nodes_find(calls: Path, script: Path) -> None:
    run(script, "create")
    said = calls.read_text()
    assert "docker run -d --restart=always -p 127.0.0.1:5001:5000 --name mray-registry" in said
    config = script.parents[1] / "k8s" / "overlays" / "local" / "kind.yaml"
    assert f"kind create cluster --config={config}" in said
    assert "/etc/containerd/certs.d/localhost:5001/hosts.toml" in said
    assert '[host."http://mray-registry:5000"]' in said
    assert "docker network connect kind mray-registry" in said


def test_create_twice_makes_nothing_anew(calls: Path, script: Path) -> None:
    run(script, "create")
    calls.unlink()
    run(script, "create")
    said = calls.read_text()
    assert "docker start mray-registry" in said
    assert "create cluster" not in said and "run -d" not in said


def test_install_draws_keys_once_and_delete_forgets_them(calls: Path, script: Path) -> None:
    run(script, "install")
    keys = script.parents[1] / "k8s" / "overlays" / "local" / "bucket.env"
    drawn = keys.read_text()
    values = dict(line.split("=", 1) for line in drawn.split())
    example = (LOCAL / "bucket.env.example").read_text().split()
    assert values.keys() == {line.partition("=")[0] for line in example}
    assert len(values["AWS_SECRET_ACCESS_KEY"]) == 40 and values["AWS_ACCESS_KEY_ID"]
    assert keys.stat().st_mode & 0o077 == 0
    run(script, "install")
    assert keys.read_text() == drawn
    said = calls.read_text()
    assert "kubectl --context kind-machineray apply -k" in said  # never the current context
    assert not any(f"kubectl {word}" in said for word in ("apply", "-n", "get"))
    run(script, "delete")
    assert not keys.exists()
    assert "kind delete cluster --name=machineray" in calls.read_text()
    assert "docker rm -f mray-registry" in calls.read_text()


def test_the_ports_and_names_agree() -> None:
    cluster = yaml.safe_load((LOCAL / "kind.yaml").read_text())
    (mapping,) = cluster["nodes"][0]["extraPortMappings"]
    service = yaml.safe_load((PROJECT / "k8s/components/bucket/service.yaml").read_text())
    (port,) = service["spec"]["ports"]
    assert mapping["containerPort"] == mapping["hostPort"] == port["nodePort"]
    source = SCRIPT.read_text()
    assert f'"http://localhost:{port["nodePort"]}"' in source
    profile = tomllib.loads((LOCAL / "mray.toml").read_text())["profiles"]["kind"]
    assert profile["context"] == f"kind-{cluster['name']}"
    assert f"CONTEXT ?= {profile['context']}" in MAKEFILE
    assert f"REGISTRY ?= {profile['registry']}" in MAKEFILE
    assert f'"{profile["registry"]}"' in source


@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_the_demo_runs_in_a_cluster_that_is_there(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make kind-fill kind-demo` after the images: MinIO, the namespace itself, a gallery."""
    if not os.environ.get("REGISTRY"):
        pytest.skip("REGISTRY does not say where the images are")
    name = f"kind-{secrets.token_hex(3)}"
    monkeypatch.setenv("CONTEXT", cluster("config", "current-context").stdout.strip())
    monkeypatch.setenv("TAG", os.environ.get("TAG") or "dev")
    monkeypatch.setenv("RUN", name)
    monkeypatch.setenv("DEMO", "--kimg 0.04 --seeds 0-3")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    results = PROJECT / "mray-data" / "kind" / name
    try:
        for words in ("install", "demo"):
            done = subprocess.run([sys.executable, SCRIPT, words], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        page = (results / "index.html").read_text()
        assert all(f"seed{seed:06d}" in page for seed in range(4))
        keys = [line.partition("=")[2] for line in (LOCAL / "bucket.env").read_text().split()[:2]]
        assert not any(key in done.stdout + done.stderr for key in keys)
    finally:
        shutil.rmtree(results, ignore_errors=True)
        chosen = f"--selector=machineray/run={name}"
        cluster("delete", "jobs,services", "--namespace=machineray", chosen, check=False)
