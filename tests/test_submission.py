"""`mray submit --dry-run` over a real S3 server: what would be created, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.pipeline import Step
from machineray import drive
from machineray.config import Profile
from machineray.storage import open_store
from machineray.submission import Wanted
from tests.conftest import Ended

pytestmark = pytest.mark.xdist_group("s3")
Submit = Callable[..., Ended]


@pytest.fixture
def submit(
    s3_root: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mray_here: Callable[..., Ended],
) -> Submit:
    """`submit(*words)` for a root in the bucket, with no cluster anywhere."""
    for name in ("KUBECONFIG", "MRAY_ROOT", "MRAY_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    text = f'[profiles.default]\nroot = "{s3_root}"\nregistry = "ghcr.io/lab"\n'
    (tmp_path / "mray.toml").write_text(text)
    monkeypatch.chdir(tmp_path)

    def run(*words: str, dry: bool = True) -> Ended:
        return mray_here("submit", *words, *(["--dry-run"] if dry else []))

    return run


def manifest(submit: Submit, *words: str) -> Any:
    ended = submit(*words)
    assert ended.rc == 0, ended.err
    return yaml.safe_load(ended.out)


def test_a_dry_run_shows_the_job_and_writes_nothing(submit: Submit, s3_root: str) -> None:
    job = manifest(submit, "collect", "--run", "klee", "--cpu", "500m", "--memory", "3Gi")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("ghcr.io/lab/machineray-collect:")
    assert container["resources"]["limits"]["memory"] == "3Gi"
    args = container["args"]
    assert args[args.index("--root") + 1] == s3_root
    assert {"name": "JOB_COMPLETIONS", "value": "1"} in container["env"]
    assert list(open_store(s3_root).list()) == []
    assert "AWS" not in json.dumps(job)


def test_shards_are_at_most_the_plans_indexes(submit: Submit) -> None:
    words = ("collect", "--run", "klee")
    assert manifest(submit, *words)["spec"]["completions"] == 1
    assert manifest(submit, *words, "--shards", "2")["spec"]["completions"] == 2
    assert manifest(submit, *words, "--shards", "99")["spec"]["completions"] == 2  # 48 in 32s
    assert manifest(submit, *words, "--items-per-shard", "30")["spec"]["completions"] == 2
    few = manifest(submit, *words, "--shards", "2", "--parallelism", "1")
    assert few["spec"]["parallelism"] == 1


def test_the_same_submit_is_the_same_name(submit: Submit) -> None:
    words = ("collect", "--run", "klee")
    one, two = manifest(submit, *words), manifest(submit, *words, "--shards", "2")
    other = manifest(submit, "collect", "--run", "klee-2")
    assert one["metadata"]["name"] == two["metadata"]["name"] != other["metadata"]["name"]


def test_a_queue_and_a_timeout_stand_in_the_job(submit: Submit) -> None:
    job = manifest(submit, "collect", "--run", "klee", "--queue", "fast", "--timeout", "90m")
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "fast"
    assert job["spec"]["activeDeadlineSeconds"] == 5400
    plain = manifest(submit, "collect", "--run", "klee")
    assert "kueue.x-k8s.io/queue-name" not in plain["metadata"]["labels"]
    assert "activeDeadlineSeconds" not in plain["spec"]


def test_a_pipeline_hands_its_pods_options_on(submit: Submit) -> None:
    words = ("--from", "train", "--gpus", "2", "--nodes", "2", "--timeout", "2h", "--queue", "fast")
    job = manifest(submit, "pipeline", "--run", "klee", *words)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    text = " ".join(container["args"])
    assert text.endswith("--from train --gpus 2 --nodes 2 --queue fast --timeout 7200")
    # The driver itself needs no queue, and lives as long as its stages do.
    assert "kueue.x-k8s.io/queue-name" not in job["metadata"]["labels"]
    assert "activeDeadlineSeconds" not in job["spec"]


@pytest.mark.parametrize(("stage", "nodes", "gpus"), [("collect", 1, 0), ("train", 2, 1)])
def test_of_a_pipeline_only_the_training_has_nodes_and_gpus(
    monkeypatch: pytest.MonkeyPatch, stage: str, nodes: int, gpus: int
) -> None:
    given: list[Wanted] = []
    monkeypatch.setattr(drive, "prepared", lambda *all_of_it: given.append(all_of_it[-1]))
    options = {"run": "klee", "root": "s3://art", "max_failures": None}
    wanted = Wanted(gpus=1, nodes=2, gpu_type="H100", memory="8Gi")
    drive.prepared_step(Step(stage), {**options, **NOTHING}, Profile(), "space", wanted)
    assert (given[0].nodes, given[0].gpus or 0, given[0].memory) == (nodes, gpus, "8Gi")


NOTHING = {"trained": None, "paintings": None}


def test_help_of_a_pipeline_says_whose_the_pods_options_are(submit: Submit) -> None:
    text = " ".join(submit("pipeline", "--help", dry=False).out.split())
    assert "--memory <str> Of each pod of every stage" in text
    assert "GPUs a pod of the training." in text
    assert "--image" not in text and "--input" not in text
    assert "--dry-run [=client|server]" in text


def test_a_submits_dry_run_is_not_the_trainings_own(submit: Submit, s3_root: str) -> None:
    """`mray run train --dry-run` measures; a submit shows the Job."""
    ended = submit("train", "--run", "klee")
    assert ended.rc == 3
    assert "klee/augment is not complete" in ended.err


def test_a_pipeline_is_one_small_job_that_may_speak_to_the_api(submit: Submit) -> None:
    job = manifest(submit, "pipeline", "--run", "klee", "--preset", "tiny", "--to", "unframe")
    pod = job["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is True
    assert pod["serviceAccountName"] == "mray-pipeline"
    (container,) = pod["containers"]
    assert container["args"][0] == "drive"
    assert container["args"][-2:] == ["--to", "unframe"]
    settings = json.loads(
        next(e["value"] for e in container["env"] if e["name"] == "MRAY_SETTINGS")
    )
    assert settings["context"] is None
    assert set(settings["images"]) == {"pipeline", "collect", "curate", "unframe"}


@pytest.mark.parametrize(
    ("words", "exit_code", "message"),
    [
        ("collect --run klee --root here", 2, "pods cannot see this machine's folders"),
        (
            "collect --run klee --input ./my",
            2,
            "mray run collect --run klee --input ./my --root s3",
        ),
        ("curate --run klee --input klee/collect --reject no.txt", 2, "copy it into the bucket"),
        ("collect --run Klee", 2, "not a name for a run"),
        ("collect --run " + "k" * 33, 2, "1 to 32"),
        ("collect --run klee --shards 0", 2, "shards"),
        ("collect --run klee --shards 2 --items-per-shard 2", 2, "give one of them"),
        ("collect --run klee --memory lots", 2, "--memory lots: write it as Kubernetes does"),
        ("collect --run klee --timeout soon", 2, "--timeout soon: write it as 90s"),
        ("collect --run klee --profile nope", 2, "nope: no such profile"),
        ("curate --run klee", 3, "klee/collect is not complete"),
        ("finish --run klee --input ./generate", 2, "pods cannot see this machine's folders"),
        ("collect --run klee --gpus 2", 2, "collect works in 1 process a shard"),
        ("collect --run klee --nodes 2", 2, "collect works in 1 process a shard"),
        ("generate --run klee --seeds 0-9,5", 2, "are there twice"),
        ("pipeline --run klee --seeds 9-1", 2, "ends before it begins"),
        ("pipeline --run klee --input zzz", 2, "mray submit pipeline zzz"),
        ("pipeline --run klee --image r.io/x", 2, "a pipeline has an image a stage"),
        ("pipeline ./paintings", 2, "pods cannot see this machine's folders"),
        ("pipeline --run klee --from nope", 2, "this pipeline's stages are collect, curate"),
        ("pipeline --run klee --from train --to curate", 2, "curate comes before train"),
        ("nope --run klee", 2, "nope"),
    ],
)
def test_what_is_refused_before_anything_is_created(
    submit: Submit, s3_root: str, words: str, exit_code: int, message: str
) -> None:
    ended = submit(*words.split())
    assert ended.rc == exit_code, ended.err
    assert message in " ".join(ended.err.replace("│", " ").split())
    assert "Traceback" not in ended.err
    assert list(open_store(s3_root).list()) == []


def test_without_a_cluster_the_way_to_one_is_told(submit: Submit, tmp_path: Path) -> None:
    ended = submit("collect", "--run", "klee", "--image", "r.io/x@sha256:" + "0" * 64, dry=False)
    assert ended.rc == 2
    assert ended.err.count("\n") == 1
    assert "KUBECONFIG" in ended.err
