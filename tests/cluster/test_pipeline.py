"""The whole pipeline as Jobs on a real cluster, and what it makes held against one machine's."""

import json
import subprocess
from pathlib import Path

from machineray.kube.cluster import Cluster
from machineray.stages import STAGES
from machineray.storage import open_store
from tests.cluster.conftest import MRAY, SMALL, Mray, on_the_cluster

pytestmark = on_the_cluster(900)

WORDS = ("pipeline", "--run", "demo", "--preset", "tiny", "--kimg", "0.1", "--seeds", "0-3")


def test_the_pipeline_in_the_cluster_makes_the_bytes_of_one_machine(
    mray: Mray, root: str, tmp_path: Path, cluster: Cluster
) -> None:
    """Every picture, catalog and network; what differs is who made it, and how long it took."""
    shown = mray("submit", *WORDS, *SMALL, "--dry-run=server").stdout
    assert "kind: Job" in shown
    assert cluster.list("Job") == []
    mray("submit", *WORDS, *SMALL, "--workers-a", rc=2)  # no such option: nothing is created
    assert cluster.list("Job") == []

    first = mray("submit", *WORDS, *SMALL)
    again = mray("submit", *WORDS, *SMALL)
    assert "Job mray-demo-pipeline-" in first.stdout
    assert "already running" in again.stdout
    other = mray("submit", *WORDS, *SMALL, "--psi", "0.5", rc=2).stderr
    assert "runs with other arguments" in other and "--psi 0.5" in other
    local = tmp_path / "local"
    command = [MRAY, "run", *WORDS, "--root", str(local), "--workers", "1"]
    subprocess.run(command, check=True, capture_output=True)
    mray("wait", "demo/pipeline")

    rows = json.loads(mray("status", "demo", "-o", "json").stdout)
    states = {row["stage"]: row["state"] for row in rows}
    assert states == dict.fromkeys(("pipeline", *(s.name for s in STAGES)), "complete")
    assert made(root) == made(str(local))

    described = json.loads(open_store(root).read("runs/demo/run.json"))
    images = described["container_images"]
    assert set(images) == {"pipeline", *(stage.name for stage in STAGES)}
    assert all("@sha256:" in image for image in images.values())
    sidecar = json.loads(open_store(root).read("runs/demo/finish/artworks/seed000000.json"))
    assert sidecar["container_image"] == images["finish"]
    marker = json.loads(open_store(root).read("runs/demo/unframe/_done/0.json"))
    assert marker["container_image"] == images["unframe"]

    for job in cluster.list("Job"):  # when the Jobs are gone, the bucket still knows
        cluster.delete("Job", job["metadata"]["name"], wait_seconds=60)
    rows = json.loads(mray("status", "demo", "-o", "json").stdout)
    assert {row["state"] for row in rows} == {"complete"}
    assert "already done" in mray("submit", "unframe", "--run", "demo").stdout
    assert "already done" in mray("submit", *WORDS, *SMALL, "--wait").stdout
    other = mray("submit", *WORDS, *SMALL, "--psi", "0.5", rc=2).stderr
    assert "psi" in other and "0.5" in other and "1.0" in other
    assert cluster.list("Job") == []


SAID_BY_WHO_MADE_IT = ("run.json", ".jsonl", "plan.json", "index.html")


def made(url: str) -> dict[str, bytes]:
    """What a run made, by key; without what tells time, place or image."""
    store = open_store(url)
    return {
        stored.key: store.read(stored.key)
        for stored in store.list("runs/demo/")
        if (
            "/_done/" not in stored.key
            and "/checkpoints/" not in stored.key
            and "/artworks/" not in stored.key
        )
        or stored.key.endswith(("seed000000.png", "seed000003.png"))
        if not stored.key.endswith(SAID_BY_WHO_MADE_IT) and "tensorboard" not in stored.key
    }
