"""k8s/base on a real API server: what it lets in, who may do what, which pods its policies mean."""

import copy
from pathlib import Path
from typing import Any

import pytest

from machineray import cluster_doctor
from machineray.kube.manifests import JobSpec, job_manifest
from machineray.stages import STAGES

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("k8s")]

Json = dict[str, Any]
STAGE_NAMES = [stage.name for stage in STAGES]
EXAMPLE = JobSpec("mray-x", "", "klee", "curate", "localhost/x:1", ["--run", "klee"])


def job(base: Any, stage: str = "curate", **more: Any) -> Json:
    """A Job as `mray submit` makes it."""
    account = "mray-pipeline" if stage == "pipeline" else "mray-stage"
    spec = JobSpec(
        **{**EXAMPLE.__dict__, "namespace": base.namespace, "stage": stage},
    )
    values = {**spec.__dict__, "service_account": account, "has_token": stage == "pipeline"}
    return job_manifest(JobSpec(**values | more))


def pod(base: Any, stage: str = "curate") -> Json:
    template = job(base, stage)["spec"]["template"]
    name = {"name": "mray-x", "namespace": base.namespace}
    metadata = {**template["metadata"], **name}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


# ---------------------------------------------------------------------------- what is let in


@pytest.mark.parametrize("stage", [*STAGE_NAMES, "pipeline"])
def test_every_pod_of_ours_is_restricted_enough(base: Any, stage: str) -> None:
    for thing in (pod(base, stage), job(base, stage)):
        admitted, said = base.admits(thing)
        assert admitted, said
        assert "Warning" not in said


@pytest.mark.parametrize(
    "harm",
    [
        {"hostNetwork": True},
        {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}},
        {"volumes": [{"name": "tmp", "hostPath": {"path": "/"}}]},
    ],
)
def test_a_pod_that_wants_more_is_refused(base: Any, harm: Json) -> None:
    thing = pod(base)
    thing["spec"] |= harm
    admitted, said = base.admits(thing)
    assert not admitted
    assert "PodSecurity" in said


def test_a_privileged_container_is_refused(base: Any) -> None:
    thing = pod(base)
    thing["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    admitted, said = base.admits(thing)
    assert not admitted
    assert "PodSecurity" in said and "privileged" in said


def test_the_limit_range_refuses_no_pod_and_fills_in_what_is_missing(base: Any) -> None:
    for resources in (
        {"requests": {"cpu": "48", "memory": "400Gi"}, "limits": {"memory": "400Gi"}},
        {"requests": {"cpu": "2", "memory": "8Gi"}, "limits": {"cpu": "2", "memory": "8Gi"}},
        {"requests": {"memory": "8Gi"}},
        {"limits": {"cpu": "100m", "memory": "64Mi"}},
    ):
        thing = pod(base)
        thing["spec"]["containers"][0]["resources"] = resources
        admitted, said = base.admits(thing)
        assert admitted, said
    bare = pod(base)
    del bare["spec"]["containers"][0]["resources"]
    words = ("create", "--dry-run=server", "-f", "-", "--output=jsonpath={.spec.containers[0]}")
    assert '"cpu":"500m"' in base(*words, stdin=bare).stdout


@pytest.mark.parametrize("kind", ["LoadBalancer", "NodePort"])
def test_no_service_opens_a_door_to_the_outside(base: Any, kind: str) -> None:
    spec = {"type": kind, "ports": [{"port": 80}], "selector": {"a": "b"}}
    door = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "door"}, "spec": spec}
    admitted, said = base.admits(door)
    assert not admitted
    assert "exceeded quota" in said
    headless = copy.deepcopy(door)
    headless["spec"] |= {"type": "ClusterIP", "clusterIP": "None"}
    assert base.admits(headless)[0]


def test_priorities_harm_nobody_and_let_nodes_be_made(base: Any) -> None:
    found = {item["metadata"]["name"]: item for item in base.get("priorityclasses")}
    for name in ("mray-pipeline", "mray-train", "mray-batch"):
        assert not found[name].get("globalDefault")
        if found[name]["value"] > 0:
            assert found[name]["preemptionPolicy"] == "Never"
        assert found[name]["value"] > -10  # the cluster autoscaler's cut-off
    assert found["mray-train"]["value"] > found["mray-batch"]["value"]


# ---------------------------------------------------------------------------- who may do what

JOBS = [(verb, "jobs.batch") for verb in ("create", "delete", "get", "list", "watch")]
NEEDED = {
    "submitter": [
        *JOBS,
        *((verb, "services") for verb in ("create", "get")),
        *((verb, "pods") for verb in ("list", "watch")),
        ("get", "pods/log"),
        *(("list", thing) for thing in ("events", "resourcequotas")),
        ("get", "namespaces"),
    ],
    "pipeline": [
        *JOBS,
        *((verb, "services") for verb in ("create", "get")),
        *(("list", thing) for thing in ("pods", "events")),
    ],
    "stage": [],
}
NEVER = [
    *((verb, "secrets") for verb in ("get", "list", "watch", "create", "delete")),
    *((verb, "pods") for verb in ("create", "delete", "update", "patch")),
    *((verb, f"pods/{part}") for verb in ("get", "create") for part in ("exec", "attach")),
    *((verb, thing) for verb in ("update", "patch") for thing in ("jobs.batch", "services")),
    ("deletecollection", "jobs.batch"),
    ("create", "serviceaccounts/token"),
    ("create", "pods/eviction"),
    ("create", "rolebindings.rbac.authorization.k8s.io"),
    ("create", "deployments.apps"),
    ("get", "configmaps"),
    ("delete", "networkpolicies.networking.k8s.io"),
    *((verb, "resourcequotas") for verb in ("update", "patch")),
]


def someone(base: Any, who: str) -> tuple[str, ...]:
    if who == "submitter":
        return ("--as=ann", "--as-group=mray-submitters", "--as-group=system:authenticated")
    return (f"--as=system:serviceaccount:{base.namespace}:mray-{who}",)


def test_the_doctor_asks_for_nothing_else() -> None:
    asked = {
        (verb, ".".join(filter(None, (resource, group))) + (f"/{part}" if part else ""))
        for group, resource, part, verb in cluster_doctor.NEEDED
    }
    assert asked <= set(NEEDED["submitter"])


@pytest.mark.parametrize("who", ["submitter", "pipeline"])
def test_a_role_is_enough(base: Any, who: str) -> None:
    assert base.allowed(someone(base, who), NEEDED[who]) == NEEDED[who]


@pytest.mark.parametrize("who", ["submitter", "pipeline"])
def test_a_role_says_nothing_else(base: Any, who: str) -> None:
    rules = base.get("role", f"mray-{who}")["rules"]
    granted = {
        (verb, ".".join(filter(None, (thing, group))))
        for rule in rules
        for group in rule["apiGroups"]
        for thing in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted == set(NEEDED[who])


@pytest.mark.parametrize("who", NEEDED)
def test_a_role_is_no_more(base: Any, cluster: Any, who: str) -> None:
    beyond = [*NEVER, *(NEEDED["submitter"] if who == "stage" else ())]
    assert not base.allowed(someone(base, who), beyond)
    assert not cluster.allowed(someone(base, who), JOBS)  # elsewhere


def test_the_pipelines_account_really_submits(base: Any) -> None:
    who = someone(base, "pipeline")
    admitted, said = base.admits(job(base), *who)
    assert admitted, said
    done = base("get", "secrets", *who, check=False)
    assert done.returncode and "forbidden" in done.stderr


def test_a_stages_pod_gets_no_token_and_the_pipelines_does(base: Any) -> None:
    for account, has_token in (("mray-stage", False), ("mray-pipeline", True)):
        thing = pod(base)
        thing["spec"]["serviceAccountName"] = account
        del thing["spec"]["automountServiceAccountToken"]  # the account itself decides
        words = ("create", "--dry-run=server", "-f", "-", "--output=jsonpath={.spec.volumes}")
        assert ("kube-api-access" in base(*words, stdin=thing).stdout) is has_token


# ---------------------------------------------------------------------------- the network


@pytest.fixture(scope="module")
def policies(base: Any) -> dict[str, Json]:
    """Every NetworkPolicy's spec, as the server took it."""
    found = base.get("networkpolicies")
    return {item["metadata"]["name"]: item["spec"] for item in found}


def chosen(policies: dict[str, Json], labels: dict[str, str]) -> set[str]:
    """The policies that mean a pod with these labels."""
    return {
        name
        for name, spec in policies.items()
        if spec["podSelector"].get("matchLabels", {}).items() <= labels.items()
    }


def test_each_stage_is_meant_by_its_policies(policies: dict[str, Json], base: Any) -> None:
    for stage in [*STAGE_NAMES, "pipeline"]:
        labels = pod(base, stage)["metadata"]["labels"]
        own = {stage} & {"collect", "train", "pipeline"}
        assert chosen(policies, labels) == {"deny-all", "dns", "bucket"} | own
    assert chosen(policies, {"app": "foreign"}) == {"deny-all", "dns"}


def test_what_is_not_allowed_is_denied_both_ways(policies: dict[str, Json]) -> None:
    spec = policies["deny-all"]
    assert sorted(spec["policyTypes"]) == ["Egress", "Ingress"]
    assert not spec.get("ingress") and not spec.get("egress") and not spec["podSelector"]
    assert [name for name, spec in policies.items() if spec.get("ingress")] == ["train"]


@pytest.mark.parametrize("name", ["bucket", "collect"])
def test_private_addresses_stay_shut(policies: dict[str, Json], name: str) -> None:
    blocks = [peer["ipBlock"] for rule in policies[name]["egress"] for peer in rule["to"]]
    shut = {block["cidr"]: set(block["except"]) for block in blocks}
    private = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"}
    assert private <= shut["0.0.0.0/0"]
    assert {"fc00::/7", "fe80::/10"} <= shut["::/0"]
    ports = [rule.get("ports") for rule in policies[name]["egress"]]
    assert ports == ([None] if name == "collect" else [[{"protocol": "TCP", "port": 443}]])


def test_the_ranks_of_a_training_reach_each_other(policies: dict[str, Json], base: Any) -> None:
    rank = pod(base, "train")["metadata"]["labels"]
    for rules, side in (
        (policies["train"]["ingress"], "from"),
        (policies["train"]["egress"], "to"),
    ):
        for peer in (peer for rule in rules for peer in rule[side]):
            assert peer["podSelector"]["matchLabels"].items() <= rank.items()
        assert not any("ports" in rule for rule in rules)


# ---------------------------------------------------------------------------- the files


def test_no_credential_stands_in_any_file(tree: Path) -> None:
    files = [path for path in tree.rglob("*") if path.is_file() and path.name != "bucket.env"]
    assert len(files) > 10
    for path in files:
        text = path.read_text()
        assert "kind: Secret\n" not in text
        for line in text.splitlines():
            if line.strip().startswith(("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")):
                assert line.rstrip().endswith("=")
