"""`mray submit, status, wait …` as a whole, over a real S3 server and a fake API server."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from machineray.runs import Marker, StageRun, described_run
from machineray.stages import STAGES
from machineray.storage import Store, open_store
from tests.conftest import Ended

pytestmark = [pytest.mark.xdist_group("s3"), pytest.mark.usefixtures("fast")]

JOBS = "/apis/batch/v1/namespaces/space/jobs"
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
SECRET = "/api/v1/namespaces/space/secrets/mray-bucket"
ACCOUNTS = "/api/v1/namespaces/space/serviceaccounts"
IMAGES = ("pipeline", *(stage.name for stage in STAGES))


@dataclass
class Jobs:
    """The Jobs of the namespace: what is created is there, and ends as the test wants."""

    api: Any
    made: list[dict[str, Any]] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    checked: int = 0

    def create(self, asked: Any) -> Any:
        if asked.query.get("dryRun"):
            self.checked += 1
        else:
            metadata = {**asked.body["metadata"], "uid": "u", "resourceVersion": "1"}
            self.made.append({**asked.body, "metadata": metadata, "status": self.status})
        return self.api.says(asked.body)

    def told(self, asked: Any) -> Any:
        if asked.query.get("watch"):
            return self.api.pieces(silent_seconds=20)
        wanted = dict(pair.split("=") for pair in asked.query["labelSelector"].split(","))
        return self.api.lists(
            *(job for job in self.made if wanted.items() <= job["metadata"]["labels"].items())
        )

    @property
    def args(self) -> list[str]:
        """What the newest Job's container is given."""
        return self.made[-1]["spec"]["template"]["spec"]["containers"][0]["args"]  # type: ignore[no-any-return]


Mray = Callable[..., Ended]


@pytest.fixture
def jobs(api: Any) -> Jobs:
    found = Jobs(api)
    api.on("POST", JOBS, found.create)
    api.on("GET", JOBS, found.told)
    for kind in ("pods", "events"):
        api.on("GET", f"/api/v1/namespaces/space/{kind}", api.lists())
    may_look(api, False)
    return found


def may_look(api: Any, allowed: bool) -> None:
    """Whether Secrets and accounts may be looked for."""
    api.on("POST", REVIEW, api.says({"status": {"allowed": allowed}}))


@pytest.fixture
def store(s3_root: str, paintings: Path) -> Store:
    """The root, with one painting in "in" and another one in "others"."""
    store = open_store(s3_root)
    for folder, path in zip(("in", "others"), sorted(paintings.glob("*.jpg")), strict=False):
        store.write(f"{folder}/{path.name}", path.read_bytes())
    return store


@pytest.fixture
def mray(
    s3_root: str,
    jobs: Jobs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mray_here: Mray,
) -> Mray:
    """`mray(*words)` in this process, with a profile of the root and of images by digest."""
    for name in ("MRAY_ROOT", "MRAY_PROFILE", "MRAY_SETTINGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    lines = [f'{name} = "r.io/mray-{name}@sha256:{"0" * 64}"' for name in IMAGES]
    text = [f'[profiles.default]\nroot = "{s3_root}"', "[profiles.default.images]", *lines]
    Path("mray.toml").write_text("\n".join(text) + "\n")
    return mray_here


def refused(ended: Ended, exit_code: int) -> str:
    """The one line that says why."""
    assert ended.rc == exit_code, ended
    assert ended.out == ""
    assert ended.err.count("\n") == 1
    return ended.err


def complete(store: Store, run: str, *stages: str) -> None:
    for stage in stages:
        StageRun(store, run, stage).mark_done("all", Marker(()))


# -- what a submit answers


def test_a_submit_answers_with_a_sentence_or_as_it_is_asked(mray: Mray, store: Store) -> None:
    words = ("submit", "collect", "--run", "klee", "--input", f"{store.url}/in")
    told = yaml.safe_load(mray(*words, "-o", "yaml").out)
    assert told["what"] == "created" and told["job"].startswith("mray-klee-collect-")
    assert json.loads(mray(*words, "-o", "json").out) == {
        "what": "already running",
        "job": told["job"],
        "text": f"klee/collect: already running, Job {told['job']}",
    }
    assert mray(*words).out == f"klee/collect: already running, Job {told['job']}\n"


@pytest.mark.parametrize("before", [(), ("--debug",)])
@pytest.mark.parametrize("alone", [("--dry-run",), ("--dry-run", "client"), ("--dry-run=client",)])
def test_a_dry_run_may_stand_alone(
    mray: Mray, jobs: Jobs, before: tuple[str, ...], alone: tuple[str, ...]
) -> None:
    ended = mray(*before, "submit", "collect", *alone, "--run", "klee")
    assert yaml.safe_load(ended.out)["kind"] == "Job", ended.err
    assert jobs.made == [] and jobs.checked == 0


def test_the_server_checks_a_dry_run_that_asks_for_it(mray: Mray, jobs: Jobs) -> None:
    assert mray("submit", "collect", "--run", "klee", "--dry-run", "server").rc == 0
    assert jobs.made == [] and jobs.checked == 1


def test_a_submit_that_waits_fails_with_its_job(mray: Mray, jobs: Jobs, store: Store) -> None:
    reason = {"reason": "BackoffLimitExceeded", "message": ""}
    jobs.status = {"conditions": [{"type": "Failed", "status": "True", **reason}], "failed": 3}
    words = ("submit", "collect", "--run", "klee", "--input", f"{store.url}/in")
    ended = mray(*words, "--wait")
    assert ended.rc == 1
    assert ended.err == "mray: klee/collect: gave up after 3 failures\n"


# -- other arguments, and a new version


def test_other_arguments_are_refused_with_both_ways_out(
    mray: Mray, jobs: Jobs, store: Store
) -> None:
    words = ("submit", "collect", "--run", "klee", "--input")
    mray(*words, f"{store.url}/in")
    text = refused(mray(*words, f"{store.url}/others"), 2)
    assert "/in', now" in text and "--new-version" in text and "--run NAME" in text
    assert len(jobs.made) == 1


@pytest.mark.parametrize(
    ("more", "difference"),
    [(("--seeds", "0-3"), "--seeds 0-3"), (("--preset", "sketch"), "preset was 'tiny'")],
)
def test_another_pipeline_is_refused_with_both_ways_out(
    mray: Mray, jobs: Jobs, more: tuple[str, ...], difference: str
) -> None:
    words = ("submit", "pipeline", "--run", "klee", "--preset", "tiny")
    assert mray(*words).rc == 0
    text = refused(mray(*words, *more), 2)
    assert difference in text and "--new-version" in text and "--run NAME" in text
    assert len(jobs.made) == 1


def test_a_new_version_of_a_stage_reads_what_the_old_one_reads(
    mray: Mray, jobs: Jobs, store: Store
) -> None:
    words = ("submit", "collect", "--run", "klee")
    mray(*words, "--input", f"{store.url}/in")
    for name in ("klee-v2", "klee-v3"):
        ended = mray(*words, "--new-version")
        assert ended.err == f"mray: a new version: {name}\n"
        assert f"{name}/collect: 1 indexes" in ended.out
        plan = StageRun(store, name, "collect").plan()
        assert plan and plan.input == StageRun(store, "klee", "collect").plan().input  # type: ignore[union-attr]
    assert [job["metadata"]["labels"]["machineray/run"] for job in jobs.made] == [
        "klee",
        "klee-v2",
        "klee-v3",
    ]


def test_a_new_version_of_a_pipeline_reads_what_the_old_one_reads(
    mray: Mray, jobs: Jobs, store: Store
) -> None:
    words = ("submit", "pipeline", "--run", "klee", "--preset", "tiny")
    mray(*words, f"{store.url}/in")
    ended = mray(*words, "--new-version", "--kimg", "1")
    assert ended.rc == 0, ended.err
    assert "klee-v2/pipeline: Job mray-klee-v2-pipeline-" in ended.out
    assert jobs.args[:2] == ["drive", f"{store.url}/in"]
    assert "klee-v2" in jobs.args
    assert described_run(store, "klee-v2")["paintings"] == f"{store.url}/in"


def test_a_new_version_needs_to_know_what_it_reads(mray: Mray, jobs: Jobs) -> None:
    words = ("submit", "pipeline", "--run", "klee", "--new-version")
    assert "name the paintings, or --trained" in refused(mray(*words), 2)
    text = refused(mray(*words, "--from", "train"), 2)
    assert "nothing before train" in text and "mray submit train --new-version" in text
    assert jobs.made == []


# -- the options of pods


def test_a_pipeline_begins_where_from_says(mray: Mray, jobs: Jobs, store: Store) -> None:
    words = ("submit", "pipeline", "--run", "klee", "--from", "curate", "--to", "unframe")
    text = refused(mray(*words), 3)
    assert "klee/collect is not complete" in text
    assert "first: mray submit collect --run klee (or mray run)" in text
    collect = ("run", "collect", "--run", "klee", "--input", f"{store.url}/in")
    assert mray(*collect, "--root", store.url).rc == 0
    assert mray(*words).rc == 0
    assert jobs.args[-4:] == ["--from", "curate", "--to", "unframe"]
    assert described_run(store, "klee")["stages"] == ["curate", "unframe"]


# -- who may not, and where nothing is


def forbids(api: Any) -> Any:
    return api.refuses(403, "Forbidden", 'User "ann" cannot create resource "jobs"')


def lacks_namespace(api: Any) -> Any:
    text = 'namespaces "space" not found'
    return api.refuses(404, "NotFound", text, name="space", kind="namespaces")


def expired(api: Any) -> Any:
    return api.refuses(401, "Unauthorized", "Unauthorized")


@pytest.mark.parametrize("job", ["collect", "pipeline"])
@pytest.mark.parametrize(
    ("answer", "exit_code", "words"),
    [
        (expired, 2, "login of user ann, it may have expired: log in again"),
        (forbids, 1, "ask for the role mray-submitter"),
        (lacks_namespace, 3, "no namespace space in context test: create it (kubectl apply -k"),
    ],
)
def test_a_cluster_that_refuses_leaves_nothing_behind(
    mray: Mray,
    api: Any,
    jobs: Jobs,
    s3_root: str,
    job: str,
    answer: Callable[[Any], Any],
    exit_code: int,
    words: str,
) -> None:
    api.on("POST", JOBS, answer(api))
    assert words in refused(mray("submit", job, "--run", "klee"), exit_code)
    assert jobs.made == []
    assert list(open_store(s3_root).list()) == []


@pytest.mark.parametrize(
    ("job", "account"), [("collect", "mray-stage"), ("pipeline", "mray-pipeline")]
)
def test_what_pods_need_is_looked_for_where_one_may(
    mray: Mray, api: Any, jobs: Jobs, s3_root: str, job: str, account: str
) -> None:
    may_look(api, True)
    text = refused(mray("submit", job, "--run", "klee"), 3)
    assert "no secret mray-bucket: kubectl create secret generic mray-bucket -n space" in text
    api.on("GET", SECRET, api.says({}))
    text = refused(mray("submit", job, "--run", "klee"), 3)
    assert f"no service account {account}: kubectl create serviceaccount {account} -n space" in text
    assert jobs.made == [] and list(open_store(s3_root).list()) == []
    api.on("GET", f"{ACCOUNTS}/{account}", api.says({}))
    assert mray("submit", job, "--run", "klee").rc == 0
    accepted = {asked.headers["Accept"] for asked in api.asked if asked.path == SECRET}
    assert accepted == {"application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}


@pytest.mark.parametrize(
    "words",
    [
        "submit collect --run klee",
        "submit pipeline --run klee",
        "logs klee/train",
        "wait klee/train",
        "cancel klee",
    ],
)
def test_an_unknown_context_is_told_by_every_command(mray: Mray, s3_root: str, words: str) -> None:
    text = refused(mray(*words.split(), "--context", "nope"), 2)
    assert "no context 'nope'; known contexts: test" in text
    assert list(open_store(s3_root).list()) == []


@pytest.mark.parametrize("words", ["status", "logs klee/train", "wait klee/train", "cancel klee"])
def test_another_namespace_is_asked_where_it_is_given(mray: Mray, api: Any, words: str) -> None:
    mray(*words.split(), "--namespace", "other")
    assert {asked.path for asked in api.asked} == {JOBS.replace("/space/", "/other/")}


# -- status and wait


def test_a_pipeline_whose_job_is_gone_is_told_by_the_bucket(
    mray: Mray, jobs: Jobs, store: Store
) -> None:
    mray("submit", "pipeline", f"{store.url}/in", "--run", "klee", "--to", "curate")
    jobs.made.clear()
    complete(store, "klee", "collect")
    (row,) = json.loads(mray("status", "klee/pipeline", "-o", "json").out)
    assert (row["state"], row["done"], row["total"]) == ("under way", 1, 2)
    text = refused(mray("wait", "klee/pipeline"), 1)
    assert "neither complete nor in the cluster; mray submit pipeline --run klee" in text
    complete(store, "klee", "curate")
    (row,) = json.loads(mray("status", "klee/pipeline", "-o", "json").out)
    assert (row["state"], row["done"], row["total"]) == ("complete", 2, 2)
    ended = mray("wait", "klee/pipeline")
    assert (ended.rc, ended.err) == (0, "klee/pipeline: complete\n")


def test_waiting_for_what_nobody_began_is_not_found(mray: Mray, store: Store) -> None:
    text = refused(mray("wait", "nope/train"), 3)
    assert "nope: no such run in s3://" in text and "`mray ls` lists them" in text
    mray("submit", "collect", "--run", "klee", "--input", f"{store.url}/in")
    text = refused(mray("wait", "klee/train"), 3)
    assert "klee/train: nobody has submitted it; mray submit train --run klee" in text


def test_waiting_gives_up_when_its_time_is_over(mray: Mray, jobs: Jobs, store: Store) -> None:
    jobs.status = {"active": 1, "ready": 1}
    mray("submit", "pipeline", f"{store.url}/in", "--run", "klee")
    for target in ("klee/pipeline", "klee/train"):  # the pipeline may still come to it
        ended = mray("wait", target, "--timeout", "1s")
        assert ended.rc == 124
        assert f"mray: {target}: not done after 1 s; it goes on\n" in ended.err


def test_a_pipeline_that_is_stuck_says_why_in_the_overview(
    mray: Mray, jobs: Jobs, api: Any, store: Store
) -> None:
    jobs.status = {"active": 1, "ready": 0}
    mray("submit", "pipeline", f"{store.url}/in", "--run", "klee")
    api.on("GET", "/api/v1/namespaces/space/pods", api.lists(unpulled(jobs.made[0])))
    (row,) = json.loads(mray("status", "-o", "json").out)
    assert (row["run"], row["stage"], row["state"]) == ("klee", "pipeline", "pending")
    assert "is not in its registry" in row["why"]


def unpulled(job: dict[str, Any]) -> dict[str, Any]:
    """A pod of the Job that waits for its image."""
    waiting = {"reason": "ImagePullBackOff", "message": "manifest unknown"}
    owner = {"kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
    labels = {"batch.kubernetes.io/job-name": job["metadata"]["name"]}
    return {
        "kind": "Pod",
        "metadata": {"name": "p", "labels": labels, "ownerReferences": [owner]},
        "spec": {"containers": [{"image": "r.io/x"}]},
        "status": {"phase": "Pending", "containerStatuses": [{"state": {"waiting": waiting}}]},
    }


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Callable[[], None]]]:
    """What happens while `status --watch` sleeps, one at a time; then the test has failed."""
    later: list[Callable[[], None]] = []
    monkeypatch.setattr("machineray.cli.track.time.sleep", lambda _: later.pop(0)())
    yield later
    assert later == [], "the watch ended too soon"


def test_watching_goes_on_until_the_pipeline_has_come_to_the_stage(
    mray: Mray, jobs: Jobs, store: Store, moments: list[Callable[[], None]]
) -> None:
    jobs.status = {"active": 1, "ready": 1}
    mray("submit", "pipeline", f"{store.url}/in", "--run", "klee")
    moments += [lambda: None, lambda: complete(store, "klee", "collect"), jobs.made.clear]
    assert mray("status", "klee/train", "--watch").rc == 0
    jobs.made.clear()
    assert mray("status", "klee/train", "--watch").rc == 0  # nobody comes to it


# -- what is there


def test_config_shows_the_profile_and_its_files(mray: Mray, s3_root: str) -> None:
    text = mray("config").out
    assert f"root                      '{s3_root}'\n" in text
    assert text.splitlines()[-1].startswith("from: mray.toml (read: ")
    told = json.loads(mray("config", "-o", "json").out)
    assert (told["name"], told["root"], told["files"]) == ("default", s3_root, ["mray.toml"])
    assert "SECRET" not in text.upper().replace("BUCKET_SECRET", "")


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_kubeconfig_that_leads_nowhere_is_a_red_line(mray: Mray, output: str) -> None:
    ended = mray("doctor", "--cluster", "--context", "nope", "-o", output)
    assert (ended.rc, ended.err) == (1, "")
    if output == "text":
        assert ended.out.startswith("FIX  context ")
    else:
        (row,) = json.loads(ended.out)
        assert (row["name"], row["ok"]) == ("context", False)
    assert "known contexts: test" in ended.out and "--context" in ended.out
