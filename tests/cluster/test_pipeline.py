"""The whole pipeline as Jobs on a real cluster, and what it makes held against one machine's."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from machineray.kube.cluster import Cluster
from machineray.runs import json_bytes, json_lines, parsed_lines
from machineray.stages import STAGES
from machineray.storage import Store, open_store
from tests.cluster.conftest import MRAY, SMALL, Mray, on_the_cluster

pytestmark = on_the_cluster(900)

WORDS = ("pipeline", "--run", "demo", "--preset", "tiny", "--kimg", "0.1", "--seeds", "0-3")


def test_the_pipeline_in_the_cluster_makes_the_bytes_of_one_machine(
    mray: Mray, root: str, tmp_path: Path, cluster: Cluster
) -> None:
    """All that a run makes; what differs is who made it, and how long it took."""
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
    everything_names_its_image(cluster, root)

    for job in cluster.list("Job"):  # when the Jobs are gone, the bucket still knows
        cluster.delete("Job", job["metadata"]["name"], wait_seconds=60)
    rows = json.loads(mray("status", "demo", "-o", "json").stdout)
    assert {row["state"] for row in rows} == {"complete"}
    assert "already done" in mray("submit", "unframe", "--run", "demo").stdout
    assert "already done" in mray("submit", *WORDS, *SMALL, "--wait").stdout
    other = mray("submit", *WORDS, *SMALL, "--psi", "0.5", rc=2).stderr
    assert "psi" in other and "0.5" in other and "1.0" in other
    assert cluster.list("Job") == []


# -- the bytes

# What tells time, machine or image; the TensorBoard file says what metrics.jsonl says.
TOLD = ("run.json", "/_done/", "/tensorboard/")
CLOCK = {"seconds", "seconds_total", "images_per_second", "memory_gb", "time", "machine"}
DURATION = re.compile(r"Trained for .*? on .*?:|<figcaption>(Speed|Memory) .*?</figure>", re.DOTALL)


def made(url: str) -> dict[str, bytes]:
    """What a run made, by key: pictures, networks, catalogs, plans, pages and sidecars."""
    store = open_store(url)
    keys = [stored.key for stored in store.list("runs/demo/")]
    newest = max(key for key in keys if "/checkpoints/" in key).rpartition(".")[0]
    return {
        key: timeless(key, store.read(key))
        for key in keys
        if not any(part in key for part in TOLD)
        if "/checkpoints/" not in key or key.startswith(newest)  # a slow training leaves more
    }


def timeless(key: str, data: bytes) -> bytes:
    """An object without its times, the name of its machine and its image's digest."""
    if key.endswith("/metrics.jsonl"):
        rows = parsed_lines(data, key)
        return json_lines(
            {name: value for name, value in row.items() if name not in CLOCK} for row in rows
        )
    if "/artworks/" in key and key.endswith(".json"):
        return json_bytes({**json.loads(data), "container_image": None})
    if key.endswith("/gallery/plan.json"):  # its input's digest is over these sidecars, too
        plan = json.loads(data)
        return json_bytes({**plan, "input": {**plan["input"], "sha256": None}})
    if key.endswith("/index.html"):
        return DURATION.sub("", data.decode()).encode()
    return data


# -- the images


def everything_names_its_image(cluster: Cluster, root: str) -> None:
    """By one digest: run.json, the Job, the container that ran, each marker and each sidecar."""
    store = open_store(root)
    images = json.loads(store.read("runs/demo/run.json"))["container_images"]
    assert set(images) == {"pipeline", *(stage.name for stage in STAGES)}
    assert all(DIGEST.search(image) for image in images.values())
    assert {stage_of(job): container_of(job)["image"] for job in cluster.list("Job")} == images
    for pod in cluster.list("Pod"):
        (status,) = pod["status"]["containerStatuses"]
        digest = images[stage_of(pod)].partition("@")[2]
        assert status["imageID"].endswith(digest)
    keys = [stored.key for stored in store.list("runs/demo/")]
    for stage in STAGES:
        markers = [key for key in keys if re.search(f"/{stage.name}/_done/[0-9]+[.]json$", key)]
        assert {image_in(store, key) for key in markers} == {images[stage.name]}
    sidecars = [key for key in keys if "/artworks/" in key and key.endswith(".json")]
    assert [image_in(store, key) for key in sidecars] == [images["finish"]] * 4


DIGEST = re.compile("@sha256:[0-9a-f]{64}$")


def stage_of(thing: dict[str, Any]) -> str:
    return str(thing["metadata"]["labels"]["machineray/stage"])


def container_of(job: dict[str, Any]) -> dict[str, Any]:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return dict(container)


def image_in(store: Store, key: str) -> str:
    return str(json.loads(store.read(key))["container_image"])
