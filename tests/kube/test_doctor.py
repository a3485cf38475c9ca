"""`mray doctor --cluster` and a queue, before an API server that answers as a test wants."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from machineray.cluster_doctor import NEEDED, cluster_checks
from machineray.config import Profile
from machineray.kube.cluster import Cluster
from machineray.tracking import explained
from tests.kube.conftest import Reply

REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
QUEUES = "/apis/kueue.x-k8s.io/v1beta2/namespaces/space/localqueues"
PENDING = (
    "/apis/visibility.kueue.x-k8s.io/v1beta2/namespaces/space/localqueues/fast/pendingworkloads"
)


@pytest.fixture
def well(api: Any) -> Any:
    """A server that lets one do all that a submit needs."""
    api.on("GET", "/version", api.says({"gitVersion": "v1.34.4"}))
    api.on("POST", REVIEW, api.says({"status": {"allowed": True}}))
    for path in ("namespaces/space/resourcequotas", "nodes"):
        api.on("GET", f"/api/v1/{path}", api.lists())
    api.on("GET", "/api/v1/namespaces/space", api.says({"metadata": {"name": "space"}}))
    return api


def told(fake: Cluster, **profile: Any) -> dict[str, tuple[bool, str]]:
    """Each check by name. Without an image and a bucket the last two are red, and quickly so."""
    checks = cluster_checks(fake, Profile(**profile), "mray-data")
    return {check.name: (check.is_fine, check.text) for check in checks}


def test_what_is_well_is_green(well: Any, fake: Cluster) -> None:
    rows = told(fake)
    assert {name for name, (is_fine, _) in rows.items() if not is_fine} == {"image", "pod"}
    assert rows["permissions"] == (True, f"all {len(NEEDED)} that a submit needs")
    assert rows["clock"] == (True, "as the cluster's")


def test_a_permission_that_lacks_is_named_with_the_role_that_has_it(
    well: Any, fake: Cluster
) -> None:
    def allowed(asked: Any) -> Any:
        wanted = asked.body["spec"]["resourceAttributes"]
        lacks = wanted["resource"] == "events" or wanted["subresource"] == "log"
        return well.says({"status": {"allowed": not lacks}})

    well.on("POST", REVIEW, allowed)
    is_fine, text = told(fake)["permissions"]
    assert not is_fine
    assert text.startswith("may not: get pods/log, list events; ask for the role: kubectl -n space")
    assert "--role=mray-submitter" in text


@pytest.mark.parametrize(("seconds", "words"), [(3600, "behind"), (-3600, "ahead of")])
def test_a_clock_that_is_wrong_is_told(well: Any, fake: Cluster, seconds: int, words: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    well.on("GET", "/version", Reply(b'{"gitVersion": "v1.34.4"}', headers={"Date": date}))
    is_fine, text = told(fake)["clock"]
    assert not is_fine
    assert f" s {words} the cluster's: set it (NTP)" in text


def test_a_login_that_expired_ends_it_with_one_red_line(
    well: Any, fake: Cluster, fast: None
) -> None:
    well.on("GET", "/version", well.refuses(401, "Unauthorized", "Unauthorized"))
    rows = told(fake)
    assert set(rows) == {"context"}
    is_fine, text = rows["context"]
    assert not is_fine and "login of user ann" in text and "log in again" in text


def test_a_queue_is_asked_as_the_kueue_of_today_serves_it(well: Any, fake: Cluster) -> None:
    is_fine, text = told(fake, queue="fast")["queue"]
    assert not is_fine and "fast: no such LocalQueue in space; see k8s/kueue" in text
    well.on("GET", f"{QUEUES}/fast", well.says({"status": {"pendingWorkloads": 3}}))
    assert told(fake, queue="fast")["queue"] == (True, "fast: 3 waiting")


QUEUED: dict[str, Any] = {
    "metadata": {
        "name": "j",
        "namespace": "space",
        "uid": "u-j",
        "labels": {"kueue.x-k8s.io/queue-name": "fast"},
    },
    "spec": {"suspend": True},
}


def pending(uid: str, position: int) -> dict[str, Any]:
    owner = {"kind": "Job", "name": "j", "uid": uid}
    metadata = {"name": f"job-{uid}", "ownerReferences": [owner]}
    return {"metadata": metadata, "positionInLocalQueue": position}


def test_the_place_in_the_queue_is_that_of_the_jobs_own_workload(api: Any, fake: Cluster) -> None:
    items = [pending("u-other", 0), pending("u-another", 1), pending("u-j", 2)]
    api.on("GET", PENDING, api.says({"kind": "PendingWorkloadsSummary", "items": items}))
    assert explained(fake, QUEUED) == "position 3 of queue fast"
    assert [asked.path for asked in api.asked] == [PENDING]


def test_a_queue_that_does_not_tell_a_place_is_named(api: Any, fake: Cluster) -> None:
    assert explained(fake, QUEUED) == "waits in queue fast"  # no Kueue that serves it
    api.on("GET", PENDING, api.says({"items": [pending("u-other", 0)]}))
    assert explained(fake, QUEUED) == "waits in queue fast"  # it is not in the list yet
    api.on("GET", PENDING, api.refuses(403, "Forbidden", 'User "ann" cannot get resource'))
    assert explained(fake, QUEUED) == "waits in queue fast"  # nor may everybody ask


def test_a_job_that_no_queue_holds_back_asks_for_no_place(api: Any, fake: Cluster) -> None:
    suspended = {**QUEUED, "metadata": {**QUEUED["metadata"], "labels": {}}}
    assert "suspended, and not by a queue" in explained(fake, suspended)
    assert api.asked == []
