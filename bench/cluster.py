"""What a cluster costs: submit, status, wait and a shard's overhead at the sizes of a large museum.

    make images push REGISTRY=… TAG=…
    python bench/cluster.py        # KUBECONFIG, REGISTRY, TAG, MRAY_TEST_BUCKET, AWS_*
    python bench/cluster.py submit status            # these rows only
    python bench/cluster.py wait --wait-seconds 60   # instead of 10 minutes

It makes a namespace and a prefix in the bucket, and removes both. Whole processes are measured, as
a user has them: seconds of wall, seconds of CPU, largest resident memory; of three runs the one
with the least CPU. Requests are counted in a run of their own, by a relay before the API server and
one before the bucket; the wait goes through them (so without TLS) all the time. Where pods are
simulated, or a Job's status is made up, the row says so; who plays the pods is not counted as ours.
"""

import argparse
import json
import multiprocessing
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from bench.beside import (  # noqa: E402
    HARNESS,
    emptied,
    fake_nodes,
    many_runs,
    play_pods,
    relayed,
    snapshot_run,
)
from machineray.runs import Marker, StageRun  # noqa: E402
from machineray.storage import Store, open_store  # noqa: E402
from tests.cluster.conftest import CREDENTIALS, NEEDED, filled_namespace, kubectl  # noqa: E402

MRAY = str(Path(sys.executable).with_name("mray"))
RUNS, JOBS, INDEXES = 500, 50, 10_000
FAN, FAN_PARALLELISM, FAN_NODES = 2_000, 200, 20
LIMIT_SECONDS = 900.0  # for any one process
TINY = ("--cpu", "50m", "--memory", "64Mi", "--disk", "64Mi")
NOWHERE = ("--cpu", "50m", "--memory", "900Gi")  # no node has that: its pods never start
TORCH_STAGES = ("generate", "finish")
SHARD_STAGES = ("collect", "curate", "unframe", "augment", "generate", "finish", "gallery")


@dataclass(frozen=True)
class Bench:
    """Where it is measured."""

    namespace: str
    root: str
    store: Store
    wait_seconds: int


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], help="default: all")
    parser.add_argument("--wait-seconds", type=int, default=600)
    arguments = parser.parse_args()
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing:
        print(f"bench/cluster.py: no cluster to measure: {', '.join(missing)} not set")
        return
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGINT, interrupted)
    print(f"{'':<44} {'goal':<40} measured", flush=True)
    with place(arguments.wait_seconds) as bench:
        for name in arguments.rows or ROWS:
            ROWS[name](bench)


def interrupted(number: int, frame: object) -> None:
    """Leave by way of every clean-up, which a second signal (also to its children) cannot cut."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit("bench/cluster.py: interrupted; cleaning up")


@contextmanager
def place(wait_seconds: int) -> Iterator[Bench]:
    """A namespace, a prefix and a folder with mray.toml; all gone at the end."""
    namespace = f"mray-bench-{secrets.token_hex(4)}"
    root = f"{os.environ['MRAY_TEST_BUCKET']}/{namespace}"
    os.environ.update({name: os.environ[source] for name, source in CREDENTIALS.items()})
    store = open_store(root)
    try:
        with tempfile.TemporaryDirectory() as folder:
            # Bytecode, as an installation has it, also where this shell wants none to be written.
            os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
            os.environ["PYTHONPYCACHEPREFIX"] = f"{folder}/bytecode"
            filled_namespace(namespace)
            os.chdir(folder)
            Path("mray.toml").write_text(profiles(namespace, root))
            snapshot_run(store)
            used(*generate("warm-up", "0", "--dry-run"))  # what is measured is warm
            used("status")
            yield Bench(namespace, root, store, wait_seconds)
    finally:
        os.chdir(PROJECT)
        within = ("--namespace", namespace, "--wait=false", "--ignore-not-found")
        kubectl("delete", "jobs", "--all", "--cascade=background", *within, check=False)
        kubectl("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")
        emptied(store)


def profiles(namespace: str, root: str) -> str:
    """mray.toml: "bench", the same on simulated nodes, and one a stage that logs begin and end."""
    common = {
        "namespace": namespace,
        "root": root,
        "registry": os.environ["REGISTRY"],
        "tag": os.environ.get("TAG") or "dev",
    }
    toleration = '{ key = "kwok.x-k8s.io/node", operator = "Exists" }'
    fake = {"node_selector": '{ type = "kwok" }', "tolerations": f"[{toleration}]"}
    script = 'echo begin; \\"$@\\"; code=$?; echo end; exit $code'
    lines = ['profile = "bench"']
    for name in ("bench", "fake", *SHARD_STAGES):
        lines += [f"[profiles.{name}]", *(f'{key} = "{value}"' for key, value in common.items())]
        if name == "fake":
            lines += [f"{key} = {value}" for key, value in fake.items()]
        if name in SHARD_STAGES:
            words = ("sh", "-c", script, "sh", "python", "-m", f"jobs.{name}")
            command = ", ".join(f'"{word}"' for word in words)
            lines.append(f'pod_patch.containers = [{{ name = "{name}", command = [{command}] }}]')
    return "\n".join(lines) + "\n"


# -- the rows


def generate(run: str, seeds: str, *words: str) -> tuple[str, ...]:
    """The words of a submit of generate from the run "net"."""
    return ("submit", "generate", "--run", run, "--input", "net/train", "--seeds", seeds, *words)


def big(run: str) -> tuple[str, ...]:
    shards = ("--shards", str(INDEXES), "--parallelism", "100")
    return generate(run, f"0-{32 * INDEXES - 1}", *shards, *NOWHERE)


def submit_rows(bench: Bench) -> None:
    what = f"submit generate, {INDEXES:,} indexes"
    least = min((used(*big(f"big{n}")) for n in range(3)), key=lambda found: found.cpu_seconds)
    row(what, "< 1.5 s", str(least))
    with relayed() as (api, bucket, variables):
        used(*big("counted"), variables=variables)
        made = api.count(r"POST (?!.*(?:dryRun=All|accessreviews))")  # those make nothing
        writes = bucket.count("PUT|POST|DELETE")
        row(
            "  what it makes",
            "1 API object, plan in <= 3 bucket writes",
            f"{made}, {writes} writes",
        )
    row("submit of the same again", "", str(least_of_three(*big("big0"))))
    for run in ("big0", "big1", "big2", "counted"):
        used("cancel", run)


def status_rows(bench: Bench) -> None:
    """Half of a Job of 10,000 is done, every other index; its status is made up, no pod ran."""
    words = (*big("half"), "--dry-run", "-o", "json")
    used(*big("half"))
    used("cancel", "half")
    job = json.loads(subprocess.run([MRAY, *words], check=True, capture_output=True).stdout)
    job["spec"]["managedBy"] = "example.com/nobody"  # the Job controller leaves it alone
    name = job["metadata"]["name"]
    within = ("--namespace", bench.namespace)
    kubectl("wait", "--for=delete", f"job/{name}", "--timeout=120s", *within)
    kubectl("create", "-f", "-", *within, stdin=json.dumps(job))
    done = range(0, INDEXES, 2)
    status = {
        "startTime": datetime.now().astimezone().isoformat(timespec="seconds"),
        "active": 100,
        "ready": 100,
        "succeeded": len(done),
        "completedIndexes": ",".join(map(str, done)),
    }
    patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    kubectl("patch", "job", name, *within, *patch)
    output = StageRun(bench.store, "half", "generate")
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda index: output.mark_done(index, Marker(())), done))
    found = least_of_three("status", "half")
    row(f"status of a run, {INDEXES:,} indexes, half done", "< 1.5 s, < 150 MB", str(found))
    with relayed() as (api, bucket, variables):
        used("status", "half", variables=variables)
        lists = f"{api.count('GET .*/pods')}; {len(api.requests)} + {len(bucket.requests)} requests"
        row("  lists of pods (made-up status of the Job)", "0", lists)
    used("cancel", "half")


def runs_row(bench: Bench) -> None:
    root = f"{bench.root}/museum"
    many_runs(open_store(root), RUNS)
    found = least_of_three("status", "--root", root)
    row(f"status of {RUNS} runs, a fifth unfinished", "< 2 s", str(found))


def fan_row(bench: Bench) -> None:
    what = f"{FAN:,} indexes on simulated nodes to done"
    goal = "our CPU <= 5 % of the wall"
    if not HARNESS.is_file():
        row(what, goal, "skipped: no harness for simulated nodes (../shared/cluster)")
        return
    arguments = (bench.root, bench.namespace, "fan", FAN, 3 * FAN_PARALLELISM)
    player = multiprocessing.get_context("spawn").Process(
        target=play_pods, args=arguments, daemon=True
    )
    shards = ("--shards", str(FAN), "--parallelism", str(FAN_PARALLELISM), "--profile", "fake")
    with fake_nodes(FAN_NODES):
        player.start()
        started = time.monotonic()
        parts = [
            used(*generate("fan", f"0-{32 * FAN - 1}", *shards, *TINY)),
            used("wait", "fan/generate"),
            used("status", "fan/generate", "-o", "json"),
        ]
        wall_seconds = time.monotonic() - started
        player.join(60)
        state = json.loads(parts[-1].said)[0]["state"]
        kubectl("delete", "job", "-l", "machineray/run=fan", "-n", bench.namespace, "--wait=false")
        no_pods(bench.namespace)  # while their nodes can still let them go
    cpu_seconds = sum(part.cpu_seconds for part in parts)
    each = " + ".join(f"{part.cpu_seconds:.2f}" for part in parts)
    measured = f"{state} after {wall_seconds:.0f} s, {each} CPU s: {cpu_seconds / wall_seconds:.1%}"
    row(what, goal, measured)
    row("  (submit + wait + status; another process writes the markers of the pods)", "", "")


def no_pods(namespace: str) -> None:
    """Return when the namespace has no pods, or after two minutes."""
    deadline = time.monotonic() + 120
    while kubectl("get", "pods", "-o", "name", "--namespace", namespace):
        if time.monotonic() > deadline:
            return
        time.sleep(2)


def wait_row(bench: Bench) -> None:
    names = [f"w{number}" for number in range(JOBS)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: used(*generate(name, "0", *NOWHERE)), names))
    targets = [f"{name}/generate" for name in names]
    limit = ("--timeout", f"{bench.wait_seconds}s")
    with relayed() as (api, bucket, variables):
        found = used("wait", *targets, *limit, rc=124, variables=variables)
        share = found.cpu_seconds / found.wall_seconds
        begun, others = api.count("GET .*watch=true"), len(bucket.requests)
        row(
            f"wait on {JOBS} Jobs for {bench.wait_seconds} s",
            "<= 1 watch a namespace, < 1 % CPU",
            f"{api.most_watches} watch at a time ({begun} in all), {share:.2%} CPU, {found}",
        )
        row(
            "  its other requests",
            "",
            f"{len(api.requests) - begun} to the API, {others} to the bucket",
        )


def shard_rows(bench: Bench) -> None:
    """Each stage as one shard of one painting, twice: the second time its node is warm."""
    trained(bench)
    painting = min((PROJECT / "examples" / "paintings").glob("*.jpg"))
    bench.store.write(f"one/{painting.name}", painting.read_bytes())
    for run in ("cold", "warm"):
        for stage in SHARD_STAGES:
            times = shard_times(bench, run, stage)
            if run == "warm":
                row(
                    f"one shard of {stage}, warm node",
                    "" if stage in TORCH_STAGES else "<= 3 s",
                    f"{times['item']:.1f} s to the first item, {times['end']:.1f} s to its end, "
                    f"its marker written; started {times['wait']:.0f} s after it was placed",
                )


def shard_times(bench: Bench, run: str, stage: str) -> dict[str, float]:
    """Seconds from the container's start, by the times of its log lines."""
    inputs = {"collect": f"{bench.root}/one", "generate": "demo/train"}
    words = {"augment": ("--resolution", "32"), "generate": ("--seeds", "0")}.get(stage, ())
    given = ("--input", inputs[stage]) if stage in inputs else ()
    small = ("--cpu", "1", "--memory", "2Gi", "--disk", "1Gi", "--gpus", "0")
    used("submit", stage, "--run", run, *given, *words, *small, "--profile", stage, "--wait")
    within = ("--namespace", bench.namespace)
    ours = f"machineray/run={run},machineray/stage={stage}"
    (pod,) = json.loads(kubectl("get", "pods", "-l", ours, "-o", "json", *within))["items"]
    log = kubectl("logs", "--timestamps", pod["metadata"]["name"], *within)
    marks = {"begin": "begin", "item": f"{stage}: [1-9].*", "end": "end"}
    found: dict[str, float] = {}
    for line in log.splitlines():
        stamp, _, text = line.partition(" ")
        for mark, pattern in marks.items():
            if mark not in found and re.fullmatch(pattern, text):
                found[mark] = datetime.fromisoformat(stamp).timestamp()
    assert found.keys() == marks.keys(), log
    conditions = {item["type"]: item for item in pod["status"]["conditions"]}
    placed = datetime.fromisoformat(conditions["PodScheduled"]["lastTransitionTime"]).timestamp()
    begin = found.pop("begin")
    return {"wait": begin - placed, **{mark: at - begin for mark, at in found.items()}}


def trained(bench: Bench) -> None:
    """A run "demo" that is complete up to train, made on this machine at the preset tiny."""
    with tempfile.TemporaryDirectory() as folder:
        for words in (
            ("collect", "--input", "examples"),
            ("curate",),
            ("unframe",),
            ("augment", "--resolution", "32"),
            ("train", "--preset", "tiny", "--kimg", "0.1"),
        ):
            used("run", *words, "--run", "demo", "--root", folder, "--workers", "1")
        local = open_store(folder)
        for stored in local.list("runs/demo/train/"):
            bench.store.write(stored.key, local.read(stored.key))


ROWS: dict[str, Callable[[Bench], None]] = {
    "submit": submit_rows,
    "status": status_rows,
    "runs": runs_row,
    "fan": fan_row,
    "shard": shard_rows,
    "wait": wait_row,
}


# -- measuring


@dataclass(frozen=True)
class Used:
    """What one process took, and what it printed."""

    wall_seconds: float
    cpu_seconds: float
    memory_mb: float
    said: str

    def __str__(self) -> str:
        return f"{self.wall_seconds:.2f} s, {self.cpu_seconds:.2f} CPU s, {self.memory_mb:.0f} MB"


def used(*words: str, rc: int | None = 0, variables: dict[str, str] | None = None) -> Used:
    """Run mray, and what it took."""
    started = time.monotonic()
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            [MRAY, *words],
            stdout=said,
            stderr=subprocess.STDOUT,
            env=os.environ | (variables or {}),
        ) as process,
    ):
        limit = threading.Timer(LIMIT_SECONDS, process.kill)
        limit.start()
        try:
            _, status, taken = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            limit.cancel()
            if process.returncode is None:  # Ctrl-C came
                process.kill()
        wall_seconds = time.monotonic() - started
        said.seek(0)
        text = said.read()
    if rc is not None and process.returncode != rc:
        sys.exit(f"mray {' '.join(words)}: exit code {process.returncode}\n{text}")
    return Used(wall_seconds, taken.ru_utime + taken.ru_stime, taken.ru_maxrss / 1024, text)


def least_of_three(*words: str) -> Used:
    return min((used(*words) for _ in range(3)), key=lambda found: found.cpu_seconds)


def row(what: str, goal: str, measured: str) -> None:
    print(f"{what:<44} {goal:<40} {measured}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
