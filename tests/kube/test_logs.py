"""Every line once: against a kubelet that breaks wherever the test wants, and on the real one."""

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from machineray.errors import ClusterError, NotFoundError
from machineray.kube.cluster import Cluster
from machineray.kube.logs import job_lines
from machineray.kube.podlog import LogLine, PodLog, pod_state, utc
from machineray.kube.refusals import UnavailableError

PODS = "/api/v1/namespaces/space/pods"
JOB = "/apis/batch/v1/namespaces/space/jobs/j"
ENDED = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
SECOND = "2026-11-25T10:57:{:02d}"


def stamped(*lines: tuple[float, str]) -> list[str]:
    """Lines as the kubelet gives them: at a second, with nine digits below it."""
    return [f"{SECOND.format(int(at))}.{round(at % 1 * 1e9):09d}Z {text}" for at, text in lines]


class Kubelet:
    """One container's log: it knows sinceTime in whole seconds, and may break after some bytes."""

    def __init__(self, api: Any, name: str, lines: Sequence[str], *, is_open: bool = False) -> None:
        self.lines = list(lines)
        self.cuts: list[tuple[int, str]] = []  # per answer: bytes, and how it ends
        self.last_end = "" if is_open else "\n"
        self.since: list[str | None] = []
        self._api = api
        api.on("GET", f"{PODS}/{name}/log", self.answer)

    def answer(self, asked: Any) -> Any:
        since = asked.query.get("sinceTime", "")
        self.since.append(since or None)
        text = "\n".join(line for line in self.lines if line[:19] >= since[:19])
        body = (text + self.last_end).encode() if text else b""
        size, then = self.cuts.pop(0) if self.cuts else (len(body), "end")
        cut = body[:size]
        return self._api.pieces(*([cut] if cut else []), then=then)


def pod(api: Any, name: str, index: int, phase: str = "Running", **more: Any) -> Any:
    states = {"Running": {"running": {}}, "Pending": {"waiting": {}}}
    state = states.get(phase, {"terminated": {"exitCode": 0}})
    item: Any = api.thing(name, **more)
    item["metadata"] |= {
        "annotations": {"batch.kubernetes.io/job-completion-index": str(index)},
        "creationTimestamp": f"2026-11-25T10:57:0{len(name) % 10}Z",
    }
    item["spec"] = {"restartPolicy": "Never", "containers": [{"name": "main"}, {"name": "side"}]}
    item["status"] = {"phase": phase, "containerStatuses": [{"name": "main", "state": state}]}
    return item


def texts(lines: Any) -> list[str]:
    return [line.text for line in lines]


class TestOnePod:
    def read_all(self, log: PodLog) -> list[str]:
        """Go after go, until one brings nothing and all is settled."""
        told: list[str] = []
        for _ in range(50):
            before = len(told)
            try:
                for line in log.read():
                    told.append(line.text)
            except UnavailableError:
                continue
            if len(told) == before and log.is_settled:
                return told
        raise AssertionError("it never ends")

    @settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        seconds=st.lists(st.sampled_from([0.0, 0.2, 0.2, 0.9, 1.0, 1.1, 2.5, 3.0]), max_size=12),
        is_disordered=st.booleans(),
        cuts=st.lists(st.integers(0, 400), max_size=8),
        clean=st.integers(0, 8),
        is_open=st.booleans(),
    )
    def test_every_line_comes_once_wherever_it_breaks(
        self,
        api: Any,
        fake: Cluster,
        seconds: list[float],
        is_disordered: bool,
        cuts: list[int],
        clean: int,
        is_open: bool,
    ) -> None:
        times = sorted(seconds)
        for at in range(0, len(times) - 1, 2):  # two streams, stamped apart
            if is_disordered and times[at + 1] - times[at] < 1:
                times[at], times[at + 1] = times[at + 1], times[at]
        written = [f"line {number}" for number in range(len(times))]
        lines = stamped(*zip(times, written, strict=True))
        kubelet = Kubelet(api, "p", lines, is_open=is_open)
        # One clean end in the middle: two at the same place are believed.
        kubelet.cuts = [(cut, "end" if at == clean else "cut") for at, cut in enumerate(cuts)]
        log = PodLog(fake, pod_state(pod(api, "p", 0, "Succeeded")))
        assert self.read_all(log) == written

    def test_a_go_asks_for_no_more_than_it_needs(self, api: Any, fake: Cluster) -> None:
        kubelet = Kubelet(api, "p", stamped((1.5, "a"), (30.25, "b"), (30.25, "c")))
        log = PodLog(fake, pod_state(pod(api, "p", 0)))
        assert texts(log.read()) == ["a", "b", "c"]
        kubelet.lines += stamped((30.25, "d"), (58.0, "e"))
        assert texts(log.read()) == ["d", "e"]
        assert texts(log.read()) == []
        assert kubelet.since == [None, f"{SECOND.format(29)}Z", f"{SECOND.format(57)}Z"]

    def test_nothing_older_than_asked_for(self, api: Any, fake: Cluster) -> None:
        Kubelet(api, "p", stamped((9.5, "old"), (10.5, "a"), (10.6, "b")))
        log = PodLog(fake, pod_state(pod(api, "p", 0)), since=SECOND.format(10))
        assert texts(log.read()) == ["a", "b"]
        assert texts(log.read()) == []

    def test_a_rotated_file_doubles_and_loses_nothing_more(self, api: Any, fake: Cluster) -> None:
        kubelet = Kubelet(api, "p", stamped((1.1, "a"), (1.2, "b")))
        log = PodLog(fake, pod_state(pod(api, "p", 0, "Succeeded")))
        assert texts(log.read()) == ["a", "b"]
        kubelet.lines = stamped((1.2, "b"), (1.3, "c"))
        assert self.read_all(log) == ["c"]

    def test_a_running_container_s_unended_line_waits(self, api: Any, fake: Cluster) -> None:
        kubelet = Kubelet(api, "p", stamped((1.0, "a"), (2.0, "half of")), is_open=True)
        log = PodLog(fake, pod_state(pod(api, "p", 0)))
        assert texts(log.read()) == ["a"]
        assert texts(log.read()) == []
        kubelet.lines[-1] += " it"
        log.pod = pod_state(pod(api, "p", 0, "Succeeded"))
        assert self.read_all(log) == ["half of it"]

    def test_remarks_of_the_kubelet_are_told_once(self, api: Any, fake: Cluster) -> None:
        Kubelet(api, "p", [*stamped((1.0, "a")), "failed to create fsnotify watcher: too many"])
        log = PodLog(fake, pod_state(pod(api, "p", 4)))
        assert list(log.read()) == [
            LogLine(4, "p", f"{SECOND.format(1)}.000000000Z", "a"),
            LogLine(4, "p", "", "failed to create fsnotify watcher: too many"),
        ]
        assert list(log.read()) == []

    def test_odd_bytes_and_empty_lines(self, api: Any, fake: Cluster) -> None:
        stamp = f"{SECOND.format(1)}.000000000Z".encode()
        body = stamp + b" \xff\n" + stamp + b" \n" + stamp + b" a\r b  \n"
        api.on("GET", f"{PODS}/p/log", api.pieces(body))
        lines = list(PodLog(fake, pod_state(pod(api, "p", 0))).read())
        assert texts(lines) == ["\ufffd", "", "a\r b  "]

    @pytest.mark.parametrize(
        ("stamp", "expected"),
        [
            ("2026-11-25T10:57:38.696679097Z", "2026-11-25T10:57:38.696679097Z"),
            ("2026-11-25T10:57:38.696679097+02:00", "2026-11-25T08:57:38.696679097Z"),
            ("2026-11-25T23:57:38.5-01:00", "2026-11-26T00:57:38.5Z"),
            ("unable", ""),
            ("", ""),
        ],
    )
    def test_times_are_in_utc(self, stamp: str, expected: str) -> None:
        assert utc(stamp) == expected

    def test_the_container_that_kubectl_shows(self, api: Any) -> None:
        item = pod(api, "p", 3)
        assert (pod_state(item).container, pod_state(item).index) == ("main", 3)
        item["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] = "side"
        assert pod_state(item).container == "side"
        assert not pod_state(item).is_started


class TestWithoutFollowing:
    def test_pods_by_index_then_attempt(self, api: Any, fake: Cluster) -> None:
        start(api)
        pods = [pod(api, "b10", 10), pod(api, "retry", 2), pod(api, "a", 2, "Failed")]
        api.on("GET", PODS, api.lists(*pods))
        for item in pods:
            name = item["metadata"]["name"]
            Kubelet(api, name, stamped((1.0, f"of {name}")))
        lines = list(job_lines(fake, "j"))
        assert [(line.index, line.text) for line in lines] == [
            (2, "of a"),
            (2, "of retry"),
            (10, "of b10"),
        ]
        assert api.queries(PODS)[0]["labelSelector"] == "batch.kubernetes.io/job-name=j"
        assert texts(job_lines(fake, "j", failed_only=True)) == ["of a"]
        assert texts(job_lines(fake, "j", previous=True)) == ["of a"]
        list(job_lines(fake, "j", index=2))
        assert api.queries(PODS)[-1]["labelSelector"].endswith("job-completion-index=2")

    def test_a_log_is_read_once(self, api: Any, fake: Cluster) -> None:
        start(api)
        api.on("GET", PODS, api.lists(pod(api, "p", 0, "Succeeded")))
        kubelet = Kubelet(api, "p", stamped((1.0, "a")))
        assert texts(job_lines(fake, "j")) == ["a"]
        assert kubelet.since == [None]

    def test_a_cut_is_mended(self, api: Any, fake: Cluster, fast: None) -> None:
        start(api)
        api.on("GET", PODS, api.lists(pod(api, "p", 0, "Succeeded")))
        kubelet = Kubelet(api, "p", stamped((1.0, "a"), (2.0, "b"), (3.0, "c")), is_open=True)
        kubelet.cuts = [(50, "cut"), (50, "end"), (10, "cut")]
        assert texts(job_lines(fake, "j")) == ["a", "b", "c"]

    def test_since_is_by_the_servers_clock(self, api: Any, fake: Cluster) -> None:
        start(api)
        api.on("GET", PODS, api.lists(pod(api, "p", 0)))
        api.on("GET", "/version", api.says({}))
        kubelet = Kubelet(api, "p", [])
        list(job_lines(fake, "j", since_seconds=3600))
        asked = datetime.fromisoformat(kubelet.since[0] or "")
        assert abs((datetime.now(UTC) - asked).total_seconds() - 3600) < 10

    def test_pods_without_a_log_are_passed_over(self, api: Any, fake: Cluster) -> None:
        start(api)
        api.on("GET", PODS, api.lists(pod(api, "new", 0, "Pending"), pod(api, "gone", 1)))
        waiting = api.refuses(400, "BadRequest", "waiting to start: ContainerCreating")
        api.on("GET", f"{PODS}/new/log", waiting)
        assert list(job_lines(fake, "j")) == []

    def test_a_lost_node_does_not_end_it(
        self, api: Any, fake: Cluster, fast: None, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr("machineray.kube.logs._LOST_SECONDS", 0.1)
        start(api)
        api.on("GET", PODS, api.lists(pod(api, "lost", 0), pod(api, "p", 1)))
        api.on("GET", f"{PODS}/lost/log", api.refuses(500, "InternalError", "dial tcp: refused"))
        Kubelet(api, "p", stamped((1.0, "a")))
        first, second = job_lines(fake, "j")
        assert (first.index, first.time, second.text) == (0, "", "a")
        assert "cannot be read: " in first.text

    def test_no_such_job(self, api: Any, fake: Cluster) -> None:
        with pytest.raises(NotFoundError, match=r"no Job j in namespace space \(context test\)"):
            list(job_lines(fake, "j"))

    def test_no_permission(self, api: Any, fake: Cluster) -> None:
        start(api)
        api.on("GET", PODS, api.lists(pod(api, "p", 0)))
        no = 'pods "p" is forbidden: User "ann" cannot get resource "pods/log"'
        api.on("GET", f"{PODS}/p/log", api.refuses(403, "Forbidden", no))
        with pytest.raises(ClusterError, match="no permission"):
            list(job_lines(fake, "j"))


def start(api: Any, *, has_ended: bool = False) -> None:
    api.on("GET", JOB, api.says(ENDED if has_ended else {"status": {}}))


class TestFollowing:
    def test_pods_that_begin_later_are_found_and_the_end_is_the_jobs(
        self, api: Any, fake: Cluster, fast: None
    ) -> None:
        running, ended = (
            pod(api, "one", 0, version="2"),
            pod(api, "one", 0, "Succeeded", version="4"),
        )
        later = pod(api, "two", 1, "Succeeded", version="3")
        api.on(
            "GET",
            PODS,
            api.lists(running),
            api.watch(("ADDED", later), ("MODIFIED", ended), pause_seconds=0.3, silent_seconds=60),
            api.lists(ended, later),
        )
        api.on("GET", JOB, api.says({"status": {}}), api.says({"status": {}}), api.says(ENDED))
        Kubelet(api, "one", stamped((1.0, "a"), (2.0, "b")))
        Kubelet(api, "two", stamped((1.5, "x")))
        lines = list(job_lines(fake, "j", follow=True))
        assert sorted(texts(lines)) == ["a", "b", "x"]
        follows = [
            asked.query.get("follow") for asked in api.asked if asked.path.endswith("one/log")
        ]
        assert follows[0] == "true"
        assert follows[-1] is None
        gone()

    def test_a_container_that_has_not_started_is_waited_for(
        self, api: Any, fake: Cluster, fast: None
    ) -> None:
        pending = pod(api, "p", 0, "Pending", version="1")
        ended = pod(api, "p", 0, "Succeeded", version="2")
        api.on(
            "GET",
            PODS,
            api.lists(pending),
            api.watch(("MODIFIED", ended), pause_seconds=0.1, silent_seconds=60),
            api.lists(ended),
        )
        start(api, has_ended=True)
        Kubelet(api, "p", stamped((1.0, "a")))
        assert texts(job_lines(fake, "j", follow=True)) == ["a"]

    def test_a_pod_that_is_removed_is_no_error(self, api: Any, fake: Cluster, fast: None) -> None:
        item = pod(api, "p", 0)
        api.on(
            "GET",
            PODS,
            api.lists(item),
            api.pieces(silent_seconds=0.3),
            api.watch(("DELETED", item), silent_seconds=60),
            api.lists(),
        )
        start(api, has_ended=True)
        kubelet = Kubelet(api, "p", stamped((1.0, "a")))
        missing = api.refuses(404, "NotFound", "no pod", name="p")
        api.on("GET", f"{PODS}/p/log", kubelet.answer, missing)
        assert texts(job_lines(fake, "j", follow=True)) == ["a"]

    def test_cuts_lose_and_double_nothing(self, api: Any, fake: Cluster, fast: None) -> None:
        pods = [pod(api, f"p{number}", number, "Succeeded") for number in range(5)]
        api.on("GET", PODS, api.lists(*pods), api.pieces(silent_seconds=60))
        api.on("GET", PODS, api.lists(*pods), api.pieces(silent_seconds=60), api.lists(*pods))
        start(api, has_ended=True)
        for number in range(5):
            lines = stamped(*((at / 7, f"{number}-{at}") for at in range(300)))
            kubelet = Kubelet(api, f"p{number}", lines, is_open=number % 2 == 0)
            kubelet.cuts = [(50 + number, "cut"), (900, "end"), (0, "cut"), (5000, "cut")]
        found = texts(job_lines(fake, "j", follow=True))
        assert sorted(found) == sorted(f"{n}-{at}" for n in range(5) for at in range(300))
        for number in range(5):  # in order within a pod
            own = [text for text in found if text.startswith(f"{number}-")]
            assert own == [f"{number}-{at}" for at in range(300)]

    def test_more_pods_than_readers_take_turns(
        self, api: Any, fake: Cluster, fast: None, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr("machineray.kube.following.READERS", 3)
        running = [pod(api, f"p{number}", number) for number in range(10)]
        ended = [pod(api, f"p{number}", number, "Succeeded") for number in range(10)]
        events = api.watch(*(("MODIFIED", item) for item in ended)).pieces
        api.on(
            "GET",
            PODS,
            api.lists(*running[:2]),
            # Two are followed, and say nothing more, when all the others come.
            api.watch(*(("ADDED", item) for item in running[2:]), pause_seconds=0.05),
            api.pieces(*events, pause_seconds=0.2, silent_seconds=60),
            api.lists(*ended),
        )
        start(api, has_ended=True)
        for number in range(10):
            kubelet = Kubelet(api, f"p{number}", stamped((1.0, f"of {number}")))
            if number < 2:
                body = (kubelet.lines[0] + "\n").encode()
                silent = api.pieces(body, silent_seconds=60)
                api.on("GET", f"{PODS}/p{number}/log", silent, kubelet.answer)
        began = time.monotonic()
        lines = texts(job_lines(fake, "j", follow=True))
        assert sorted(lines) == [f"of {number}" for number in range(10)]
        assert time.monotonic() - began < 20

    def test_only_failed_pods(self, api: Any, fake: Cluster, fast: None) -> None:
        pods = [pod(api, "good", 0, "Succeeded"), pod(api, "bad", 1, "Failed")]
        api.on("GET", PODS, api.lists(*pods), api.pieces(silent_seconds=60), api.lists(*pods))
        start(api, has_ended=True)
        Kubelet(api, "good", stamped((1.0, "good")))
        Kubelet(api, "bad", stamped((1.0, "bad")))
        assert texts(job_lines(fake, "j", follow=True, failed_only=True)) == ["bad"]

    def test_an_evicted_pod_without_a_log_does_not_hold_it_up(
        self, api: Any, fake: Cluster, fast: None
    ) -> None:
        item = pod(api, "p", 0, "Failed")
        item["status"].pop("containerStatuses")
        api.on("GET", PODS, api.lists(item), api.pieces(silent_seconds=60), api.lists(item))
        start(api, has_ended=True)
        assert list(job_lines(fake, "j", follow=True)) == []

    def test_a_log_that_stays_away_is_told(
        self, api: Any, fake: Cluster, fast: None, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr("machineray.kube.following._LOST_SECONDS", 0.1)
        item = pod(api, "p", 0, "Failed")
        api.on("GET", PODS, api.lists(item), api.pieces(silent_seconds=60), api.lists(item))
        start(api, has_ended=True)
        api.on("GET", f"{PODS}/p/log", api.refuses(502, "BadGateway", "no route to host"))
        (line,) = job_lines(fake, "j", follow=True)
        assert (line.time, line.index) == ("", 0)
        assert "the rest is lost: " in line.text

    def test_a_permission_that_is_missing_ends_it(
        self, api: Any, fake: Cluster, fast: None
    ) -> None:
        api.on("GET", PODS, api.lists(pod(api, "p", 0)), api.pieces(silent_seconds=60))
        start(api)
        no = 'pods "p" is forbidden: User "ann" cannot get resource "pods/log"'
        api.on("GET", f"{PODS}/p/log", api.refuses(403, "Forbidden", no))
        with pytest.raises(ClusterError, match="no permission"):
            list(job_lines(fake, "j", follow=True))
        gone()

    def test_who_stops_reading_stops_it_all(self, api: Any, fake: Cluster, fast: None) -> None:
        api.on("GET", PODS, api.lists(pod(api, "p", 0)), api.pieces(silent_seconds=60))
        start(api)
        body = "\n".join(stamped(*((at / 1000, str(at)) for at in range(9000)))).encode()
        api.on("GET", f"{PODS}/p/log", api.pieces(body, silent_seconds=60))
        lines = job_lines(fake, "j", follow=True)
        assert next(lines).text == "0"
        lines.close()  # type: ignore[attr-defined]
        gone()


def gone() -> None:
    """No thread of ours is left, soon."""
    deadline = time.monotonic() + 5
    while any(thread.name.startswith("mray-") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
