"""Objects and watches: against a server that says what the test wants, and against the real one."""

import itertools
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from machineray.errors import (
    AlreadyExistsError,
    ClusterError,
    ConfigurationError,
    WaitTimeoutError,
)
from machineray.kube.cluster import KINDS, Cluster
from machineray.kube.refusals import UnavailableError

JOBS = "/apis/batch/v1/namespaces/space/jobs"
JOB = {"kind": "Job", "metadata": {"name": "j"}}


class TestObjects:
    def test_create_posts_the_manifest_as_it_is(self, api: Any, fake: Cluster) -> None:
        api.on("POST", JOBS, api.says({**JOB, "status": {}}))
        assert fake.create(JOB) == {**JOB, "status": {}}
        assert api.asked[0].body == JOB
        assert "dryRun" not in api.asked[0].query
        fake.create(JOB, dry_run=True)
        assert api.asked[1].query["dryRun"] == "All"

    def test_a_manifest_may_name_its_namespace(self, api: Any, fake: Cluster) -> None:
        api.on("POST", "/api/v1/namespaces/other/pods", api.says({}))
        fake.create({"kind": "Pod", "metadata": {"name": "p", "namespace": "other"}})

    def test_a_taken_name_is_told(self, api: Any, fake: Cluster) -> None:
        taken = api.refuses(409, "AlreadyExists", 'jobs.batch "j" already exists')
        api.on("POST", JOBS, taken)
        api.on("GET", f"{JOBS}/j", api.says(JOB))
        with pytest.raises(AlreadyExistsError, match=r'space: jobs.batch "j" already exists'):
            fake.create(JOB)

    def test_a_post_whose_answer_was_lost_meets_its_own_object(
        self, api: Any, fake: Cluster, fast: None
    ) -> None:
        api.on("POST", JOBS, None, api.refuses(409, "AlreadyExists", "already exists"))

        def found(_: Any) -> Any:
            entry = {"manager": api.asked[0].query["fieldManager"]}
            return api.says({"kind": "Job", "metadata": {"name": "j", "managedFields": [entry]}})

        api.on("GET", f"{JOBS}/j", found)
        assert fake.create(JOB)["metadata"]["name"] == "j"
        with pytest.raises(AlreadyExistsError):  # it was created by another call
            fake.create(JOB)

    def test_get(self, api: Any, fake: Cluster) -> None:
        api.on("GET", f"{JOBS}/j", api.says(JOB))
        assert fake.get("Job", "j") == JOB
        assert fake.get("Job", "other") is None
        assert fake.get("Job", "odd/../name") is None
        assert api.asked[-1].path == f"{JOBS}/odd%2F..%2Fname"

    def test_raw(self, api: Any, fake: Cluster) -> None:
        api.on("GET", "/apis/x", api.says({"a": 1}))
        assert fake.raw("/apis/x", limit=3, pretty=True) == {"a": 1}
        assert api.asked[0].query == {"limit": "3", "pretty": "true"}
        assert fake.raw("/apis/y") is None

    def test_version_and_clock(self, api: Any, fake: Cluster) -> None:
        api.on("GET", "/version", api.says({"gitVersion": "v1.34.4"}))
        assert fake.version() == "v1.34.4"
        assert abs((fake.server_time() - datetime.now(UTC)).total_seconds()) < 5
        assert (fake.context, fake.namespace, fake.server) == ("test", "space", api.url)

    def test_a_list_comes_in_pages(self, api: Any, fake: Cluster) -> None:
        api.on(
            "GET",
            JOBS,
            api.lists(api.thing("a"), rest="more"),
            api.lists(api.thing("b"), rest="still"),
            api.lists(api.thing("c")),
        )
        found = fake.list("Job", selector="a=b", fields="c=d")
        assert [item["metadata"]["name"] for item in found] == ["a", "b", "c"]
        first = {"labelSelector": "a=b", "fieldSelector": "c=d", "limit": "500"}
        assert api.queries(JOBS) == [
            first,
            {**first, "continue": "more"},
            {**first, "continue": "still"},
        ]

    def test_a_limit_stops_early(self, api: Any, fake: Cluster) -> None:
        api.on("GET", JOBS, api.lists(api.thing("a"), api.thing("b"), rest="more"))
        assert len(fake.list("Job", limit=1)) == 1
        assert api.queries(JOBS) == [{"limit": "1"}]

    def test_pages_that_grew_too_old_are_listed_again(self, api: Any, fake: Cluster) -> None:
        api.on(
            "GET",
            JOBS,
            api.lists(api.thing("a"), rest="more"),
            api.refuses(410, "Expired", "too old"),
            api.lists(api.thing("b")),
        )
        assert [item["metadata"]["name"] for item in fake.list("Job")] == ["b"]

    def test_delete_never_orphans(self, api: Any, fake: Cluster) -> None:
        api.on("DELETE", f"{JOBS}/j", api.says({"metadata": {"uid": "u"}}))
        assert fake.delete("Job", "j")
        assert api.asked[0].body == {"propagationPolicy": "Foreground"}
        assert not fake.delete("Job", "other")

    def test_delete_waits_until_it_is_gone(self, api: Any, fake: Cluster) -> None:
        old = {"metadata": {"uid": "u"}}
        api.on("DELETE", f"{JOBS}/j", api.says(old))
        api.on("GET", f"{JOBS}/j", api.says(old), api.refuses(404, "NotFound", "j", name="j"))
        assert fake.delete("Job", "j", wait_seconds=5)
        # Somebody submitted it again: the old one is gone, too.
        api.on("GET", f"{JOBS}/j", api.says(old), api.says({"metadata": {"uid": "new"}}))
        assert fake.delete("Job", "j", wait_seconds=5)

    def test_delete_does_not_wait_for_ever(self, api: Any, fake: Cluster) -> None:
        old = {"metadata": {"uid": "u"}}
        api.on("DELETE", f"{JOBS}/j", api.says(old))
        api.on("GET", f"{JOBS}/j", api.says(old))
        with pytest.raises(WaitTimeoutError, match=r"job/j: not gone after 0\.2 s"):
            fake.delete("Job", "j", wait_seconds=0.2)

    def test_can_asks_the_server(self, api: Any, fake: Cluster) -> None:
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        api.on("POST", path, api.says({"status": {"allowed": True}}))
        assert fake.can("get", "pods", subresource="log")
        assert fake.can("create", "jobs", group="batch", namespace="")
        asked = [entry.body["spec"]["resourceAttributes"] for entry in api.asked]
        assert asked[0] == {
            "verb": "get",
            "resource": "pods",
            "group": "",
            "subresource": "log",
            "namespace": "space",
        }
        assert asked[1]["namespace"] == ""

    def test_every_kind_has_its_path(self, fake: Cluster) -> None:
        assert fake.path("Pod", "p") == "/api/v1/namespaces/space/pods/p"
        assert fake.path("Node") == "/api/v1/nodes"
        assert fake.path("Job") == JOBS
        assert len({fake.path(kind) for kind in KINDS}) == len(KINDS)


def told(caches: Iterator[dict[str, Any]], count: int) -> list[list[str]]:
    """The names in so many states of a cache."""
    seen = [sorted(cache) for cache in itertools.islice(caches, count)]
    caches.close()  # type: ignore[attr-defined]
    return seen


class TestWatch:
    def test_list_then_changes(self, api: Any, fake: Cluster) -> None:
        api.on(
            "GET",
            JOBS,
            api.lists(api.thing("a"), version="5"),
            api.watch(
                ("ADDED", api.thing("b", "6")),
                ("MODIFIED", api.thing("a", "7", status=1)),
                ("DELETED", api.thing("b", "8")),
                ("BOOKMARK", api.thing("", "9")),
                pause_seconds=0.2,
                silent_seconds=5,
            ),
        )
        caches = fake.watch("Job", selector="a=b")
        assert sorted(next(caches)) == ["a"]
        assert sorted(next(caches)) == ["a", "b"]
        assert next(caches)["a"]["status"] == 1
        assert sorted(next(caches)) == ["a"]
        caches.close()  # type: ignore[attr-defined]
        query = api.queries(JOBS)[1]
        assert query.pop("timeoutSeconds") == "300"
        assert query == {
            "watch": "true",
            "resourceVersion": "5",
            "allowWatchBookmarks": "true",
            "labelSelector": "a=b",
        }

    def test_what_comes_together_is_told_together(self, api: Any, fake: Cluster) -> None:
        events = [("ADDED", api.thing(f"n{number}", str(number))) for number in range(500)]
        lines = b"".join(b"".join(api.watch(event).pieces) for event in events)
        api.on("GET", JOBS, api.lists(), api.pieces(lines, silent_seconds=5))
        caches = fake.watch("Job")
        states = 0
        while len(next(caches)) < 500:
            states += 1
        caches.close()  # type: ignore[attr-defined]
        assert states < 50

    def test_the_cache_that_is_told_does_not_change_later(self, api: Any, fake: Cluster) -> None:
        events = api.watch(("ADDED", api.thing("b", "6")), silent_seconds=5)
        api.on("GET", JOBS, api.lists(api.thing("a")), events)
        caches = fake.watch("Job")
        first = next(caches)
        next(caches)
        caches.close()  # type: ignore[attr-defined]
        assert sorted(first) == ["a"]

    def test_it_is_told_again_when_nothing_happens(self, api: Any, fake: Cluster) -> None:
        api.on("GET", JOBS, api.lists(api.thing("a")), api.pieces(silent_seconds=5))
        start = time.monotonic()
        assert told(fake.watch("Job", idle_seconds=0.2), 4) == [["a"]] * 4
        assert 0.5 < time.monotonic() - start < 2
        assert len(api.asked) == 2  # one connection, kept

    @pytest.mark.parametrize("then", ["end", "cut"])
    def test_a_cut_is_resumed_from_the_last_version(
        self, api: Any, fake: Cluster, fast: None, then: str
    ) -> None:
        half = b"".join(api.watch(("ADDED", api.thing("lost", "7"))).pieces)[:30]
        whole = api.watch(("ADDED", api.thing("b", "6"))).pieces
        api.on(
            "GET",
            JOBS,
            api.lists(api.thing("a"), version="5"),
            api.pieces(*whole, half, then=then),
            api.watch(("ADDED", api.thing("c", "7")), ("BOOKMARK", api.thing("", "40"))),
            api.watch(("DELETED", api.thing("a", "41")), silent_seconds=5),
        )
        states = told(fake.watch("Job"), 4)
        assert states[-1] == ["b", "c"]
        versions = [query.get("resourceVersion") for query in api.queries(JOBS)]
        assert versions == [None, "5", "6", "40"]

    @pytest.mark.parametrize("is_in_stream", [False, True])
    def test_410_replaces_the_cache(
        self, api: Any, fake: Cluster, fast: None, is_in_stream: bool
    ) -> None:
        status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
        gone = api.watch(("ERROR", status)) if is_in_stream else api.refuses(410, "Expired", "old")
        api.on(
            "GET",
            JOBS,
            api.lists(api.thing("a"), api.thing("b"), version="5"),
            gone,
            api.lists(api.thing("b"), api.thing("c"), version="90"),
            api.pieces(silent_seconds=5),
        )
        caches = fake.watch("Job", idle_seconds=1)
        assert sorted(next(caches)) == ["a", "b"]
        assert sorted(next(caches)) == ["b", "c"]
        while len(api.asked) < 4:  # it watches again
            next(caches)
        caches.close()  # type: ignore[attr-defined]
        assert api.queries(JOBS)[3]["resourceVersion"] == "90"

    def test_an_error_in_the_stream_is_resumed(self, api: Any, fake: Cluster, fast: None) -> None:
        status = {"kind": "Status", "code": 500, "reason": "InternalError", "message": "etcd"}
        api.on(
            "GET",
            JOBS,
            api.lists(version="5"),
            api.watch(("ERROR", status)),
            api.watch(("ADDED", api.thing("a", "6")), silent_seconds=5),
        )
        assert told(fake.watch("Job"), 2) == [[], ["a"]]

    def test_a_silent_peer_is_left(self, api: Any, fake: Cluster, monkeypatch: Any) -> None:
        monkeypatch.setattr("machineray.kube.watching._SILENCE_SECONDS", 0.3)
        api.on(
            "GET",
            JOBS,
            api.lists(version="5"),
            api.pieces(silent_seconds=60),
            api.watch(("ADDED", api.thing("a", "6")), silent_seconds=5),
        )
        assert told(fake.watch("Job"), 2) == [[], ["a"]]

    def test_while_the_server_is_away_the_old_cache_is_told(
        self, api: Any, fake: Cluster, fast: None
    ) -> None:
        away = api.refuses(503, "ServiceUnavailable", "no")
        api.on(
            "GET",
            JOBS,
            api.lists(api.thing("a")),
            *[None, away] * 20,
            api.watch(("ADDED", api.thing("b", "6")), silent_seconds=5),
        )
        states = told(fake.watch("Job", idle_seconds=0.05), 3)
        assert states[:2] == [["a"], ["a"]]

    def test_an_outage_that_lasts_is_an_error(self, api: Any, fake: Cluster, fast: None) -> None:
        api.on("GET", JOBS, api.lists(api.thing("a")), None)
        caches = fake.watch("Job", idle_seconds=0.05, outage_seconds=0.4)
        start = time.monotonic()
        with pytest.raises(UnavailableError, match=r"context test\): not reachable"):
            for cache in caches:
                assert sorted(cache) == ["a"]
        assert 0.4 < time.monotonic() - start < 5

    def test_a_login_that_expires_for_good_is_an_error(
        self, api: Any, fake: Cluster, fast: None, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr("machineray.kube.watching._DOUBT_SECONDS", 0.2)
        api.on("GET", JOBS, api.lists(), api.refuses(401, "Unauthorized", "Unauthorized"))
        with pytest.raises(ConfigurationError, match="log in again"):
            list(fake.watch("Job", idle_seconds=0.05))

    def test_a_starting_server_that_refuses_for_a_moment_is_forgiven(
        self, api: Any, fake: Cluster, fast: None
    ) -> None:
        no = api.refuses(403, "Forbidden", 'User "ann" cannot watch resource "jobs"')
        events = api.watch(("ADDED", api.thing("a", "6")), silent_seconds=5)
        api.on("GET", JOBS, api.lists(), no, no, no, events)
        assert told(fake.watch("Job"), 2) == [[], ["a"]]

    def test_nothing_is_told_before_the_first_list(self, api: Any, fake: Cluster) -> None:
        no = api.refuses(403, "Forbidden", 'User "ann" cannot list resource "jobs"')
        api.on("GET", JOBS, no)
        with pytest.raises(ClusterError, match="no permission"):
            next(fake.watch("Job"))

    def test_it_ends_its_thread(self, api: Any, fake: Cluster) -> None:
        api.on("GET", JOBS, api.lists(), api.pieces(silent_seconds=60))
        caches = fake.watch("Job", idle_seconds=0.1)
        next(caches)
        next(caches)
        caches.close()  # type: ignore[attr-defined]
        deadline = time.monotonic() + 5
        while any(thread.name == "mray-watch" for thread in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
