"""Submitting again, at the same moment, and after a driver's death: each Job is made once."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from machineray.kube.cluster import Cluster
from machineray.runs import StageRun
from machineray.storage import open_store
from tests.cluster.conftest import SMALL, Mray, on_the_cluster
from tests.cluster.front import Front, is_a_sample
from tests.cluster.support import (
    catalog,
    driver_pods,
    drop_markers,
    evict_pod,
    kill_pod,
    only_job,
    said,
    stage_jobs,
    submit_generate,
    until,
)

pytestmark = on_the_cluster(600)


@pytest.mark.usefixtures("trained")
def test_a_second_submit_makes_no_second_job(mray: Mray, cluster: Cluster, front: Front) -> None:
    words = ("--seeds", "0-31", "--shards", "1")
    with front.holding(is_a_sample):  # it is at work at the second submit
        assert "Job mray-demo-generate-" in submit_generate(mray, *words)
        uid = only_job(cluster)["metadata"]["uid"]
        until("it draws", lambda: front.held)
        assert "already running" in submit_generate(mray, *words)
    mray("wait", "demo/generate")
    assert "already done" in submit_generate(mray, *words)
    text = submit_generate(mray, *words, "--psi", "0.5", rc=2)
    assert "psi" in text and "0.5" in text and "1.0" in text
    assert only_job(cluster)["metadata"]["uid"] == uid


@pytest.mark.usefixtures("trained")
def test_two_submits_at_the_same_moment_make_one_job(mray: Mray, cluster: Cluster) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: submit_generate(mray, "--seeds", "0-31"), range(2)))
    only_job(cluster)
    assert sorted("already running" in text for text in both) == [False, True]
    mray("wait", "demo/generate")


@pytest.mark.usefixtures("trained")
def test_markers_count_and_not_the_jobs_word(mray: Mray, cluster: Cluster, root: str) -> None:
    words = ("--seeds", "0-191", "--shards", "1")
    submit_generate(mray, *words)
    mray("wait", "demo/generate")
    output = StageRun(open_store(root), "demo", "generate")
    drop_markers(output, "all", 1, 4)
    status = said(mray("status", "demo/generate"))
    assert "failed" in status and "64 of 192 samples are missing" in status
    assert "64 of 192 samples are missing" in said(mray("wait", "demo/generate", rc=1))
    kept = {index: output.done(index) for index in (0, 2, 3, 5)}
    assert "2 (of 6) indexes" in submit_generate(mray, *words)
    (container,) = only_job(cluster)["spec"]["template"]["spec"]["containers"]
    assert container["args"][container["args"].index("--only") + 1] == "1,4"
    mray("wait", "demo/generate")
    assert [row["seed"] for row in catalog(root)] == list(range(192))
    assert {index: output.done(index) for index in kept} == kept


Harm = Callable[[str, str], None]


def end_driver(cluster: Cluster, namespace: str, stage: str, harm: Harm) -> dict[str, str]:
    """Do the driver harm when it has submitted a stage; the Jobs at that moment."""
    until(f"{stage} is submitted", lambda: stage in stage_jobs(cluster).values())
    driver = until("the driver runs", lambda: driver_pods(cluster))[0]
    harm(namespace, driver)
    until("another driver runs", lambda: set(driver_pods(cluster)) - {driver})
    return stage_jobs(cluster)


@pytest.mark.usefixtures("trained")
def test_a_driver_that_is_killed_and_then_evicted_makes_each_job_once(
    mray: Mray, cluster: Cluster, namespace: str, root: str
) -> None:
    words = ("--trained", "demo/train", "--run", "more", "--seeds", "0-7")
    mray("submit", "pipeline", *words, *SMALL)
    seen = end_driver(cluster, namespace, "generate", kill_pod)
    seen |= end_driver(cluster, namespace, "finish", evict_pod)
    mray("wait", "more/pipeline")
    seen |= stage_jobs(cluster)
    assert Counter(seen.values()) == dict.fromkeys(("pipeline", "generate", "finish", "gallery"), 1)
    assert StageRun(open_store(root), "more", "gallery").is_complete()
