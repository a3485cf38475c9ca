"""The Role mray-submitter: with its rights alone a person does all that mray can do."""

import json
import os
from pathlib import Path

import pytest

from machineray.cluster_doctor import NEEDED
from machineray.kube.cluster import Cluster
from tests.cluster.conftest import SMALL, Mray, kubectl, on_the_cluster
from tests.cluster.support import said, status_says, submit_generate, until

pytestmark = on_the_cluster(600)

PERSON = "ann"


@pytest.fixture
def person(namespace: str, tmp_path: Path) -> Path:
    """The kubeconfig of somebody who has the Role in this namespace and nothing else."""
    within = ("-n", namespace)
    kubectl(*within, "create", "serviceaccount", PERSON)
    bound = ("--role=mray-submitter", f"--serviceaccount={namespace}:{PERSON}")
    kubectl(*within, "create", "rolebinding", PERSON, *bound)
    token = kubectl(*within, "create", "token", PERSON).strip()
    known = json.loads(kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
    context = {"cluster": known["clusters"][0]["name"], "user": PERSON, "namespace": namespace}
    access = {
        **known,
        "users": [{"name": PERSON, "user": {"token": token}}],
        "contexts": [{"name": PERSON, "context": context}],
        "current-context": PERSON,
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(access))
    return path


@pytest.mark.usefixtures("trained")
def test_a_submitter_does_all_that_there_is_to_do(
    mray: Mray, cluster: Cluster, person: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(person))
    who = kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
    assert who.endswith(f":{PERSON}")
    assert f"all {len(NEEDED)} that a submit needs" in mray("doctor", "--cluster").stdout

    submit_generate(mray, "--seeds", "0-63", "--shards", "2")
    followed = said(mray("logs", "-f", "demo/generate"))
    assert "[0] generate: 32/32 samples" in followed and "[1] generate: 32/32" in followed
    mray("wait", "demo/generate")
    assert "complete" in said(mray("status", "demo"))
    assert "already done" in submit_generate(mray, "--seeds", "0-63")

    words = ("--run", "pair", "--input", "demo/augment", "--preset", "tiny", "--kimg", "0.1")
    mray("submit", "train", *words, *SMALL, "--nodes", "2")
    assert "cancelled" in said(mray("cancel", "pair"))

    missing = f"{os.environ['REGISTRY']}/machineray-generate@sha256:{'0' * 64}"
    again = ("--run", "again", "--input", "demo/train", "--seeds", "0-7")
    mray("submit", "generate", *again, *SMALL, "--image", missing)
    status_says(mray, "again/generate", "is not in its registry")
    mray("cancel", "again/generate")

    mray("submit", "pipeline", "--run", "all", "--to", "collect", *SMALL, "--wait")
    assert "complete" in said(mray("status", "all/pipeline"))
    until("what was cancelled goes", lambda: len(cluster.list("Job")) == 3)
    assert cluster.list("Service") == []


@pytest.mark.usefixtures("trained")
def test_who_lacks_the_role_is_told_what_to_ask_for(
    mray: Mray, namespace: str, person: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl("-n", namespace, "delete", "rolebinding", PERSON)
    monkeypatch.setenv("KUBECONFIG", str(person))
    text = submit_generate(mray, "--seeds", "0-31", rc=1)
    assert "no permission" in text and "ask for the role mray-submitter" in text
    assert text.count("\n") == 1
