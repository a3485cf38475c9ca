"""What a cluster costs: submit, status and wait at the sizes of a large museum.

    make images push REGISTRY=… TAG=…
    python bench/cluster.py        # KUBECONFIG, REGISTRY, TAG, MRAY_TEST_BUCKET, AWS_*

It makes a namespace and a prefix in the bucket, and removes both. Whole processes are measured, as
a user has them: seconds of wall, seconds of CPU, largest resident memory.
"""

import os
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from machineray.runs import Marker, Plan, StageRun, settle_run  # noqa: E402
from machineray.stages import STAGES  # noqa: E402
from machineray.storage import Store, open_store  # noqa: E402
from tests.cluster.conftest import CREDENTIALS, NEEDED, filled_namespace, kubectl  # noqa: E402

MRAY = str(Path(sys.executable).with_name("mray"))
RUNS, JOBS, WAIT_SECONDS = 500, 50, 60


def main() -> None:
    """Measure, and print one table."""
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing:
        print(f"bench/cluster.py: no cluster to measure: {', '.join(missing)} not set")
        return
    namespace = f"mray-bench-{secrets.token_hex(4)}"
    root = f"{os.environ['MRAY_TEST_BUCKET']}/{namespace}"
    os.environ.update({name: os.environ[source] for name, source in CREDENTIALS.items()})
    store = open_store(root)
    filled_namespace(namespace)
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            Path("mray.toml").write_text(profile(namespace, root))
            rows(store)
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda stored: store.delete(stored.key), list(store.list())))


def profile(namespace: str, root: str) -> str:
    values = {"namespace": namespace, "root": root, "registry": os.environ["REGISTRY"]}
    lines = [f'{key} = "{value}"' for key, value in values.items()]
    lines.append(f'tag = "{os.environ.get("TAG") or "dev"}"')
    return "\n".join(['profile = "bench"', "[profiles.bench]", *lines]) + "\n"


def rows(store: Store) -> None:
    snapshot_run(store)
    big = ("generate", "--run", "big", "--input", "net/train", "--seeds", "0-319999")
    # One pod at a time, and none starts while it is measured: the plan and the Job are the point.
    words = (*big, "--shards", "10000", "--parallelism", "1", "--cpu", "50m", "--memory", "1Gi")
    cost("submit generate, 10,000 indexes, first", "submit", *words)
    cost("submit of the same again", "submit", *words)
    cost("status of its run", "status", "big")
    mray("cancel", "big")
    many_runs(store)
    cost(f"status of {RUNS} runs", "status")
    names = [f"w{number}" for number in range(JOBS)]
    for name in names:
        job = ("generate", "--run", name, "--input", "net/train", "--seeds", "0", "--cpu", "50m")
        mray("submit", *job, "--memory", "900Gi")  # no node has that: it stays
    targets = [f"{name}/generate" for name in names]
    cost(
        f"wait on {JOBS} Jobs for {WAIT_SECONDS} s", "wait", *targets,
        "--timeout", f"{WAIT_SECONDS}s", rc=124,
    )  # fmt: skip


def snapshot_run(store: Store) -> None:
    """A run "net" whose train looks complete: a submit reads its proof, not its network."""
    train = StageRun(store, "net", "train")
    train.settle_plan(Plan("train", {"kimg": 1.0}, {"from": "net/augment"}, [[0]]))
    proof = train.write("snapshot.safetensors", b"not read by a submit")
    train.mark_done("all", Marker((proof,)))


def many_runs(store: Store) -> None:
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
        list(pool.map(one, range(RUNS)))


def mray(*words: str) -> None:
    subprocess.run([MRAY, *words], check=True, capture_output=True)


def cost(what: str, *words: str, rc: int = 0) -> None:
    """Run mray and print what it took."""
    started = time.monotonic()
    process = subprocess.Popen([MRAY, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    wall_seconds = time.monotonic() - started
    assert os.waitstatus_to_exitcode(status) == rc, said
    report(what, wall_seconds, used)


def report(what: str, wall_seconds: float, used: resource.struct_rusage) -> None:
    cpu_seconds, memory_mb = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    figures = f"{wall_seconds:6.2f} s {cpu_seconds:6.2f} CPU s {memory_mb:5.0f} MB"
    print(f"{what:<42} {figures}", flush=True)


if __name__ == "__main__":
    main()
