"""What stands beside the processes that bench/cluster.py measures; none of it is counted as ours.

A relay that notes requests, the simulated nodes, whoever plays the pods that run on them, and what
a bucket holds already.
"""

import contextlib
import os
import re
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from machineray.kube.cluster import open_cluster
from machineray.kube.manifests import selector
from machineray.kube.words import job_state
from machineray.runs import Marker, Plan, StageRun, settle_run
from machineray.stages import STAGES
from machineray.storage import S3Store, Store, open_store

PROJECT = Path(__file__).resolve().parent.parent
HARNESS = PROJECT.parent / "shared" / "cluster" / "cluster"
_REQUEST = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.1\r\n")

# -- what is asked of a server


class Relay(socketserver.ThreadingTCPServer):
    """Passes plain HTTP on to a server, byte by byte, and notes what is asked of it.

    `requests` has "GET /path?query"; `most_watches` is how many were open at a time.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.requests: list[str] = []
        self.watches = self.most_watches = 0
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Pipe)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def note(self, request: str, watches: int) -> None:
        """Note a request; `watches` is how many more of them are open now."""
        with self._lock:
            self.requests += [request] if request else []
            self.watches += watches
            self.most_watches = max(self.most_watches, self.watches)

    def count(self, pattern: str) -> int:
        """How many of the requests match a pattern."""
        return sum(bool(re.match(pattern, request)) for request in self.requests)


class _Pipe(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        """One connection. A request begins where a piece does: clients wait for their answers."""
        is_watch = False
        with socket.create_connection(self.server.target) as upstream, contextlib.suppress(OSError):
            answers = threading.Thread(target=_pass_on, args=(upstream, self.request), daemon=True)
            answers.start()
            while piece := self.request.recv(1 << 16):
                if found := _REQUEST.match(piece):
                    request = b" ".join(found.groups()).decode()
                    begun = "watch=true" in request and not is_watch
                    is_watch |= begun
                    self.server.note(request, int(begun))
                upstream.sendall(piece)
        if is_watch:
            self.server.note("", -1)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(1 << 16):
            target.sendall(piece)
        target.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def relayed() -> Iterator[tuple[Relay, Relay, dict[str, str]]]:
    """(the API server's relay, the bucket's, the variables that lead a process through both)."""
    bucket = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    proxy = subprocess.Popen(["kubectl", "proxy", "--port=0"], stdout=subprocess.PIPE, text=True)
    with contextlib.ExitStack() as stack:
        stack.callback(proxy.wait)
        stack.callback(proxy.kill)
        assert proxy.stdout is not None
        port = int(proxy.stdout.readline().rpartition(":")[2])
        api = stack.enter_context(Relay("127.0.0.1", port))
        store = stack.enter_context(Relay(str(bucket.hostname), bucket.port or 80))
        for relay in (api, store):
            threading.Thread(target=relay.serve_forever, daemon=True).start()
            stack.callback(relay.shutdown)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        kubeconfig = Path(folder, "kubeconfig")
        kubeconfig.write_text(yaml.safe_dump(_kubeconfig(api.url)))
        names = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
        yield api, store, {"KUBECONFIG": str(kubeconfig), **dict.fromkeys(names, store.url)}


def _kubeconfig(server: str) -> dict[str, object]:
    return {
        "current-context": "relay",
        "clusters": [{"name": "relay", "cluster": {"server": server}}],
        "users": [{"name": "relay", "user": {}}],
        "contexts": [{"name": "relay", "context": {"cluster": "relay", "user": "relay"}}],
    }


# -- nodes and pods that do not exist


@contextlib.contextmanager
def fake_nodes(count: int) -> Iterator[None]:
    """So many nodes of the harness, whose pods complete at once; none is left."""
    try:
        subprocess.run([HARNESS, "fake-nodes", str(count)], check=True, capture_output=True)
        yield
    finally:
        subprocess.run([HARNESS, "fake-nodes", "0"], check=True, capture_output=True)


def play_pods(root: str, namespace: str, run: str, shards: int, ahead: int) -> None:
    """Write what the pods of a simulated generate would: its markers, and what the last pod merges.

    Such a pod ends the moment it begins, so markers are written `ahead` of what is complete.
    """
    output = StageRun(open_store(root), run, "generate")
    marked = 0
    with ThreadPoolExecutor(16) as pool:
        watch = open_cluster(None, namespace).watch("Job", selector=selector(run), idle_seconds=5)
        for jobs in watch:
            for job in jobs.values():
                upto = min(shards, job_state(job).done + ahead)
                # list(): an error of a write is an error here
                list(pool.map(lambda i: output.mark_done(i, Marker(())), range(marked, upto)))
                marked = max(marked, upto)
            if marked == shards:
                break
    # Of the stage's own code: the last pod finds its shard done, and merges.
    (container,) = job["spec"]["template"]["spec"]["containers"]
    place = {"JOB_COMPLETION_INDEX": str(shards - 1), "JOB_COMPLETIONS": str(shards)}
    command = [sys.executable, "-m", "jobs.generate", *container["args"]]
    subprocess.run(command, check=True, capture_output=True, cwd=PROJECT, env=os.environ | place)


# -- what is there already


def snapshot_run(store: Store) -> None:
    """A run "net" whose train looks complete: a submit reads its proof, not its network."""
    train = StageRun(store, "net", "train")
    train.settle_plan(Plan("train", {"kimg": 1.0}, {"from": "net/augment"}, [[0]]))
    proof = train.write("snapshot.safetensors", b"not read by a submit")
    train.mark_done("all", Marker((proof,)))


def many_runs(store: Store, count: int) -> None:
    """Runs as a museum has them: four of five are complete, the others on the way."""

    def one(number: int) -> None:
        run = f"r{number:04d}"
        settle_run(store, run, {"run": run})
        stages = STAGES if number % 5 else STAGES[: 1 + number % len(STAGES)]
        for stage in stages:
            output = StageRun(store, run, stage.name)
            output.settle_plan(Plan(stage.name, {"kimg": 1.0}, {}, [[1, 2, 3]]))
            if number % 5:
                output.mark_done(0, Marker(()))
                output.mark_done("all", Marker(()))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(count)))


def emptied(store: Store) -> None:
    assert isinstance(store, S3Store)
    keys = [{"Key": store.prefix + stored.key} for stored in store.list()]
    for start in range(0, len(keys), 1000):
        batch: Any = {"Objects": keys[start : start + 1000], "Quiet": True}
        store.client.delete_objects(Bucket=store.bucket, Delete=batch)
