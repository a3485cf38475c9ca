"""The API server, the kubelet, the node or the bucket is away for a while."""

import contextlib
import os
import pty
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import pytest

from machineray.kube.cluster import Cluster
from machineray.kube.words import job_state
from machineray.runs import StageRun
from machineray.storage import open_store
from tests.cluster.conftest import MRAY, Mray, kubectl, on_the_cluster
from tests.cluster.front import Asked, Front
from tests.cluster.support import (
    PATIENCE_SECONDS,
    catalog,
    end_of,
    ended_pod,
    index_of,
    kept_pod,
    only_job,
    pods,
    said,
    seconds_to_end,
    status_says,
    submit_generate,
    until,
)

pytestmark = [*on_the_cluster(600), pytest.mark.outage, pytest.mark.xdist_group("outages")]


OUTAGE_SECONDS = 20.0
CLEARED = b"\x1b[2J"  # what `status --watch` begins each picture with

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
def watching(folder: Path, what: str) -> Iterator[tuple[Path, Path, "subprocess.Popen[bytes]"]]:
    """`mray status --watch` on a terminal: (what it shows there, its remarks, itself)."""
    screen, remarks = folder / "screen", folder / "remarks"
    terminal, inner = pty.openpty()
    with screen.open("wb") as out, remarks.open("wb") as errors:
        command = [MRAY, "status", "--watch", what]
        process = subprocess.Popen(command, stdout=inner, stderr=errors, cwd=folder)
        os.close(inner)
        copier = threading.Thread(target=copied, args=(terminal, out))
        copier.start()
        try:
            until("status --watch shows it twice", lambda: len(pictures(screen)) > 1)
            yield screen, remarks, process
        finally:
            process.kill()
            process.wait()
            copier.join()
            os.close(terminal)


def copied(terminal: int, out: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # the other side is closed
        while data := os.read(terminal, 1 << 16):
            out.write(data)
            out.flush()


def pictures(screen: Path) -> list[str]:
    """What stood on the screen, one after the other."""
    return [part.decode() for part in screen.read_bytes().split(CLEARED)[1:]]


def rows_of(text: str) -> str:
    """What `mray status` says below its head."""
    return text.partition("\n")[2]


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
    with (
        ThreadPoolExecutor(1) as pool,
        following(tmp_path, "demo/generate") as (path, process),
        watching(tmp_path, "demo/generate") as (screen, remarks, watch),
    ):
        waiting = pool.submit(mray, "wait", "demo/generate")
        until("the Job runs", lambda: job_state(only_job(cluster)).state == "running")
        with outage(harness):
            time.sleep(OUTAGE_SECONDS)
            assert not waiting.done() and process.poll() is None and watch.poll() is None
            before = pictures(screen)
            remark = remarks.read_text()
        assert "demo" in before[-1] and "running" in before[-1]  # it stays on the screen
        assert "not reachable: connection refused" in remark
        assert "trying again for up to 60 s" in remark
        told = waiting.result()
        assert process.wait(PATIENCE_SECONDS) == 0
        assert watch.wait(PATIENCE_SECONDS) == 0
        after = pictures(screen)
    assert "failed" not in said(told)
    assert len(after) > len(before) and "complete" in after[-1] and "960/960" in after[-1]
    assert not any("failed" in rows_of(picture) for picture in after)
    lines = path.read_text().splitlines()
    assert Counter(lines) == Counter(true_lines(cluster, namespace))
    assert {line[:3] for line in lines} == {"[0]", "[1]"}


# -- the node is away, or closed


def only_node(cluster: Cluster) -> str:
    """The node that takes our pods; skips where there are more, of which one is not enough."""
    nodes = [
        node["metadata"]["name"]
        for node in cluster.list("Node")
        if "kwok.x-k8s.io/node" not in node["metadata"].get("annotations", {})
    ]
    if len(nodes) != 1:
        pytest.skip(f"these tests take the only node away, and there are {len(nodes)}")
    return str(nodes[0])


@contextmanager
def no_kubelet(harness: Harness, cluster: Cluster, node: str) -> Iterator[None]:
    """The node's kubelet is dead within the block; what its containers do goes on."""
    harness("kill", "kubelet")
    try:
        yield
    finally:
        harness("start", "kubelet")
        until("the node is ready", lambda: is_ready(cluster, node))


def is_ready(cluster: Cluster, node: str) -> bool:
    """Ready, and with its GPUs, which come back a little later."""
    status = (cluster.get("Node", node) or {}).get("status", {})
    gpus = "nvidia.com/gpu"
    conditions = {found["type"]: found["status"] for found in status["conditions"]}
    has_gpus = status["allocatable"].get(gpus, "0") == status["capacity"].get(gpus, "0") != "0"
    return conditions["Ready"] == "True" and (has_gpus or gpus not in status["capacity"])


@pytest.mark.usefixtures("trained")
def test_a_kubelet_that_is_stopped_loses_nothing(
    mray: Mray, cluster: Cluster, root: str, harness: Harness
) -> None:
    node = only_node(cluster)
    output = StageRun(open_store(root), "demo", "generate")
    submit_generate(mray, "--seeds", "0-255", "--shards", "4", "--parallelism", "2")
    until("two pods run", lambda: len(pods(cluster, "Running")) == 2)
    with ThreadPoolExecutor(1) as pool:
        with no_kubelet(harness, cluster, node):
            waiting = pool.submit(mray, "wait", "demo/generate")
            text = status_says(mray, "demo/generate", f"node {node} does not answer", seconds=120)
            assert "a new pod follows when it is back" in text and "failed" not in rows_of(text)
            until("the two end their work alone", lambda: len(output.done_indexes()) == 4)
            kept = {index: output.done(index) for index in output.done_indexes()}
            assert "128/256" in said(mray("status", "demo/generate"))
            assert not waiting.done()
        waiting.result()
    assert [end_of(pod) for pod in cluster.list("Pod")] == [0] * 4  # none was made twice
    assert [row["seed"] for row in catalog(root)] == list(range(256))
    assert {index: output.done(index) for index in kept} == kept


@contextmanager
def closed(node: str) -> Iterator[None]:
    """The node takes no new pods within the block."""
    kubectl("cordon", node)
    try:
        yield
    finally:
        kubectl("uncordon", node)


def is_late(asked: Asked) -> bool:
    """The writing of samples 160 and above: plan indexes 5 to 7."""
    found = re.search(r"/seed([0-9]+)[.]png", asked.path)
    return asked.method == "PUT" and bool(found and int(found[1]) >= 160)


@pytest.mark.usefixtures("trained")
def test_a_drained_node_costs_no_retry_and_loses_nothing(
    mray: Mray, cluster: Cluster, namespace: str, root: str, front: Front
) -> None:
    node = only_node(cluster)
    output = StageRun(open_store(root), "demo", "generate")
    with ThreadPoolExecutor(2) as pool:
        with front.holding(is_late):
            submit_generate(mray, "--seeds", "0-255", "--shards", "2")
            until("both pods are in the midst of it", lambda: len(front.held) == 2)
            names = pods(cluster, "Running")
            waiting = pool.submit(mray, "wait", "demo/generate")
            name = only_job(cluster)["metadata"]["name"]
            words = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s")
            ours = f"--pod-selector=machineray/job={name}"
            with closed(node):
                with ExitStack() as kept_pods:
                    for name in names:
                        kept_pods.enter_context(kept_pod(namespace, name))
                    drain = pool.submit(kubectl, "drain", node, ours, *words)
                    ended = [until("it ends", partial(ended_pod, cluster, name)) for name in names]
                drain.result()
                kept = {index: output.done(index) for index in output.done_indexes()}
                status_says(mray, "demo/generate", "no node fits", "closed to new pods (uncordon)")
                assert not waiting.done()
        waiting.result()
    assert [(end_of(pod), seconds_to_end(pod) < 20) for pod in ended if pod] == [(143, True)] * 2
    state = job_state(only_job(cluster))
    assert (state.state, state.failed) == ("complete", ())
    count = "batch.kubernetes.io/job-index-failure-count"
    assert {pod["metadata"]["annotations"][count] for pod in cluster.list("Pod")} == {"0"}
    assert [row["seed"] for row in catalog(root)] == list(range(256))
    assert tuple(kept) == (0, 1, 2, 3, 4)
    assert {index: output.done(index) for index in kept} == kept
