"""How pods end, code by code: who is tried again, what fails at once, and what is said of it."""

from pathlib import Path
from typing import Any

import pytest

from machineray.kube.cluster import Cluster
from machineray.kube.objects import index_of
from machineray.kube.words import job_state
from machineray.runs import StageRun
from machineray.storage import open_store
from tests.cluster.conftest import Mray, kubectl, on_the_cluster
from tests.cluster.support import (
    OUT_OF_MEMORY,
    catalog,
    end_of,
    only_job,
    patched,
    said,
    status_says,
    submit_generate,
    until,
)

pytestmark = on_the_cluster(600)

# How the first pod of an index ends. All but bad input may be better another time.
BAD_INPUT = 65
ENDS: dict[int, int | str] = {
    1: 1,
    3: 3,
    5: 126,
    7: 130,
    9: 134,
    11: 137,
    12: 139,
    13: 143,
    15: 255,
    16: OUT_OF_MEMORY,
    18: BAD_INPUT,
}
INDEXES = 20
HALFWAY = (1, 13, 16)  # in their first life these do half of their share before they end
SCRIPT = """
half() { python -m jobs.generate "$@" --index $JOB_COMPLETION_INDEX --of 40; }
hog() { exec python -c "b = [bytes([1]) * (1 << 20) for _ in range(1 << 20)]"; }
case $FAILURES/$JOB_COMPLETION_INDEX in
%s
esac
exec python -m jobs.generate "$@"
"""


def script() -> str:
    """SCRIPT with a line for each end."""
    lines = []
    for index, end in ENDS.items():
        begin = 'half "$@"' if index in HALFWAY else ":"
        leave = "hog" if end == OUT_OF_MEMORY else f"exit {end}"
        lines.append(f"0/{index}) {begin}; {leave} ;;")
    return SCRIPT % "\n".join(lines)


def pods_of(cluster: Cluster, index: int) -> list[dict[str, Any]]:
    """The pods of one index, the oldest first."""
    found = [pod for pod in cluster.list("Pod") if index_of(pod) == index]
    return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))


@pytest.mark.usefixtures("trained")
def test_each_exit_code_has_its_consequence(
    mray: Mray, cluster: Cluster, namespace: str, root: str, tmp_path: Path
) -> None:
    """Bad input fails its index at once; every other end is tried again and goes on half-way."""
    words = ("--seeds", "0-1279", "--shards", str(INDEXES), "--parallelism", "7")
    with patched(tmp_path, script()):
        submit_generate(mray, *words)
    text = said(mray("wait", "demo/generate", rc=1))
    assert "1 of 20 indexes failed (18): bad input (exit code 65)" in text
    state = job_state(only_job(cluster))
    assert (state.state, state.done, state.failed) == ("failed", INDEXES - 1, (18,))

    ends = {index: [end_of(pod) for pod in pods_of(cluster, index)] for index in range(INDEXES)}
    tried = {index: [end, 0] for index, end in ENDS.items() if end != BAD_INPUT}
    calm = {index: [0] for index in range(INDEXES) if index not in ENDS}
    assert ends == tried | calm | {18: [BAD_INPUT]}
    for index in HALFWAY:
        heir = pods_of(cluster, index)[-1]["metadata"]["name"]
        log = kubectl("-n", namespace, "logs", heir)
        assert log.startswith("generate: 32/64 samples"), log  # what was done is not done again

    output = StageRun(open_store(root), "demo", "generate")
    assert output.done_indexes() == tuple(index for index in range(40) if index % 20 != 18)
    kept = {index: output.done(index) for index in output.done_indexes()}
    status = said(mray("status", "demo/generate"))
    assert "failed" in status and "1216/1280" in status
    assert "1 of 20 indexes failed (18): bad input (exit code 65)" in status

    assert "2 (of 40) indexes in 2 pods" in submit_generate(mray, *words)
    mray("wait", "demo/generate")
    assert [row["seed"] for row in catalog(root)] == list(range(1280))
    assert {index: output.done(index) for index in kept} == kept


@pytest.mark.usefixtures("trained")
def test_the_stage_itself_out_of_memory_is_told_what_to_set(
    mray: Mray, cluster: Cluster, root: str
) -> None:
    words = ("--seeds", "0-31", "--cpu", "50m", "--disk", "1Gi")
    submit = ("submit", "generate", "--run", "demo", *words)
    mray(*submit, "--memory", "100Mi")
    advice = "out of memory with 100Mi: set --memory 128Mi"
    status_says(mray, "demo/generate", f"tried again: {advice}")
    assert "0 of 32 samples are done and stay" in said(mray("cancel", "demo/generate"))
    until("the Job goes", lambda: not cluster.list("Job"), 60)
    mray(*submit, "--memory", "1Gi")
    mray("wait", "demo/generate")
    assert len(catalog(root)) == 32


# -- what no retry can help


MISTAKES = {
    2: ('set -- "$@" --no-such-option', "the command line is wrong", "No such option"),
    64: (
        'set -- "$@" --snapshot ROOT/no/such/file',
        "something that was named is not there",
        "no such object",
    ),
    78: (
        "export AWS_SECRET_ACCESS_KEY=another",
        "the pod lacks something",
        "the credentials are wrong or expired",
    ),
}


@pytest.mark.parametrize("code", MISTAKES)
@pytest.mark.usefixtures("trained")
def test_a_mistake_stops_the_job_at_once_and_what_is_done_stays(
    mray: Mray, cluster: Cluster, root: str, tmp_path: Path, code: int
) -> None:
    """Index 1 of 3 makes it, one pod at a time: 0 is done, 2 is not even begun."""
    harm, words, reason = MISTAKES[code]
    harm = harm.replace("ROOT", root)
    script = f'if [ $JOB_COMPLETION_INDEX = 1 ]; then {harm}; fi; exec python -m jobs.generate "$@"'
    with patched(tmp_path, script):
        submit_generate(mray, "--seeds", "0-95", "--shards", "3", "--parallelism", "1")
    text = said(mray("wait", "demo/generate", rc=1))
    assert f"stopped, for a retry would not help: {words} (exit code {code})" in text
    assert reason in text
    assert sorted(map(end_of, cluster.list("Pod"))) == [0, code]
    output = StageRun(open_store(root), "demo", "generate")
    assert output.done_indexes() == (0,)
    kept = output.done(0)
    assert reason in status_says(mray, "demo/generate", "failed", "32/96", f"(exit code {code})")
    assert "2 (of 3) indexes in 1 pod" in submit_generate(mray, "--seeds", "0-95", "--shards", "1")
    mray("wait", "demo/generate")
    assert [row["seed"] for row in catalog(root)] == list(range(96))
    assert output.done(0) == kept


@pytest.mark.usefixtures("trained")
def test_a_damaged_snapshot_fails_each_index_once(mray: Mray, cluster: Cluster, root: str) -> None:
    store, key = open_store(root), "runs/demo/train/snapshot.safetensors"
    whole = store.read(key)
    store.write(key, whole[:-1] + bytes([whole[-1] ^ 1]))
    words = ("--seeds", "0-63", "--shards", "2")
    submit_generate(mray, *words)
    text = said(mray("wait", "demo/generate", rc=1))
    reason = f"bad input (exit code 65): generate: {key}: damaged: its SHA-256"
    assert f"2 of 2 indexes failed (0-1): {reason}" in text
    assert len(cluster.list("Pod")) == 2
    assert reason in status_says(mray, "demo/generate", "0/64", "failed")
    store.write(key, whole)
    submit_generate(mray, *words)
    mray("wait", "demo/generate")
    assert [row["seed"] for row in catalog(root)] == list(range(64))
