"""k8s/jobs and kubectl, without mray: every Job is let in, and some really run."""

import json
import os
import re

import yaml

from machineray import __version__
from machineray.runs import StageRun
from machineray.stages import STAGES
from machineray.storage import open_store
from tests.cluster.conftest import PROJECT, kubectl, on_the_cluster

pytestmark = on_the_cluster(300)


def here(stage: str, namespace: str, root: str) -> str:
    """The stage's file, with the four names that a person changes."""
    text = (PROJECT / "k8s" / "jobs" / f"{stage}.yaml").read_text()
    image = f"{os.environ['REGISTRY']}/machineray-{stage}:{os.environ.get('TAG') or 'dev'}"
    for pattern, name in (
        (f"localhost:5001/machineray-{stage}:{re.escape(__version__)}", image),
        ("namespace: machineray\n", f"namespace: {namespace}\n"),
        ("s3://machineray\n", f"{root}\n"),
    ):
        text, changes = re.subn(pattern, name, text)
        assert changes
    return text


def test_the_server_takes_every_job_and_its_pod(namespace: str) -> None:
    """Of a Job's pod Pod Security only warns; the pod itself it refuses."""
    words = ("apply", "--dry-run=server", "-o", "name", "-f", "-")
    for stage in STAGES:
        text = here(stage.name, namespace, "s3://machineray")
        told = kubectl(*words, stdin=text, errors=True)
        assert told == f"job.batch/mray-example-{stage.name}\n"
        template = yaml.safe_load(text)["spec"]["template"]
        metadata = {**template["metadata"], "name": "pod", "namespace": namespace}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        assert kubectl(*words, stdin=json.dumps(pod), errors=True) == "pod/pod\n"


def test_one_stage_after_the_other_is_applied_and_done(namespace: str, root: str) -> None:
    for stage in ("collect", "curate", "unframe"):
        kubectl("apply", "-f", "-", stdin=here(stage, namespace, root))
        done = ("--for=condition=complete", f"job/mray-example-{stage}", "--timeout=120s")
        kubectl("-n", namespace, "wait", *done)
        assert StageRun(open_store(root), "example", stage).is_complete()
    assert len(StageRun(open_store(root), "example", "unframe").catalog()) > 0
