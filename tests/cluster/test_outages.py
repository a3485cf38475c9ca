"""The API server, the kubelet, the node or the bucket is away for a while."""

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from machineray.kube.cluster import Cluster
from machineray.kube.words import job_state
from tests.cluster.conftest import MRAY, Mray, kubectl
from tests.cluster.support import (
    PATIENCE_SECONDS,
    index_of,
    only_job,
    pods,
    submit_generate,
    until,
)

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.xdist_group("cluster"),
    pytest.mark.timeout(600),
]


OUTAGE_SECONDS = 15.0

Harness = Callable[..., None]


@contextmanager
def following(folder: Path, what: str) -> Iterator[tuple[Path, "subprocess.Popen[bytes]"]]:
    """`mray logs -f` that has begun to print, and where it prints to."""
    path = folder / "followed"
    with path.open("wb") as out, (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [MRAY, "logs", "-f", what], stdout=out, stderr=errors, cwd=folder
        )
        try:
            until("logs -f prints", lambda: path.stat().st_size > 0)
            yield path, process
        finally:
            process.kill()
            process.wait()


@contextmanager
def outage(harness: Harness) -> Iterator[None]:
    """The API server is dead within the block."""
    harness("kill", "apiserver")
    try:
        yield
    finally:
        harness("start", "apiserver")


def true_lines(cluster: Cluster, namespace: str) -> list[str]:
    """What kubectl knows of all pods' logs, as `mray logs` writes it."""
    return [
        f"[{index_of(name)}] {line}"
        for name in pods(cluster)
        for line in kubectl("-n", namespace, "logs", name).splitlines()
    ]


@pytest.mark.usefixtures("trained")
def test_an_outage_of_the_api_server_is_waited_out(
    mray: Mray, cluster: Cluster, namespace: str, harness: Harness, tmp_path: Path
) -> None:
    submit_generate(mray, "--seeds", "0-959", "--shards", "2")
    with ThreadPoolExecutor(1) as pool, following(tmp_path, "demo/generate") as (path, process):
        waiting = pool.submit(mray, "wait", "demo/generate")
        until("the Job runs", lambda: job_state(only_job(cluster)).state == "running")
        with outage(harness):
            time.sleep(OUTAGE_SECONDS)
            assert not waiting.done() and process.poll() is None
        waiting.result()
        assert process.wait(PATIENCE_SECONDS) == 0
    lines = path.read_text().splitlines()
    assert Counter(lines) == Counter(true_lines(cluster, namespace))
    assert {line[:3] for line in lines} == {"[0]", "[1]"}
