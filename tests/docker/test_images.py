"""The images that `make images push` made, run as pods run them, on the cluster's machine.

REGISTRY and TAG (default dev) name them, DOCKER runs them (default podman, where it is installed).
"""

import json
import os
import re
import secrets
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from machineray import __version__
from machineray.stages import STAGES, stage_named

pytestmark = [pytest.mark.cluster, pytest.mark.images, pytest.mark.xdist_group("images")]

PROJECT = Path(__file__).resolve().parents[2]
TORCH = ("train", "generate", "finish")
PULLED_MB = 400
# Unpacked, Debian and Python included; DECISIONS.md says what two are heavy by.
UNPACKED_MB = {"collect": 400, "curate": 400, "gallery": 400, "unframe": 500, "augment": 580}
LEAN = tuple(UNPACKED_MB)
ALL = ("pipeline", *LEAN, *TORCH, "finish-isr")
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
JUDGE, TRAINER = {"efficientnet"}, {"tensorboardx"}
LEARNERS = {"torch", "tensorflow"}
PAINTERS = {"opencv", "albumentations", "scipy", "imagehash"}
FOREIGN = {  # what must not be inside, by target
    **{name: {*LEARNERS, *PAINTERS, "kubernetes"} for name in ("collect", "curate", "gallery")},
    "unframe": {*LEARNERS, *PAINTERS - {"opencv"}, "kubernetes"},
    "augment": {*LEARNERS, "imagehash", "kubernetes"},
    "train": {"tensorflow", *PAINTERS, "kubernetes"},
    "generate": {"tensorflow", *PAINTERS, *TRAINER, "kubernetes"},  # it refuses copies: a judge
    "finish": {"tensorflow", *PAINTERS, *TRAINER, *JUDGE, "kubernetes"},
    "pipeline": {"numpy", "pillow", "torch"},
    "finish-isr": {"torch", *PAINTERS, "kubernetes"},
}


@dataclass(frozen=True)
class Images:
    """Where the images are and who runs them."""

    program: str
    registry: str
    tag: str

    def name(self, stage: str) -> str:
        return f"{self.registry}/machineray-{stage}:{self.tag}"

    def call(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run([self.program, *words], capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.stderr[-2000:]}"
        return done

    def run(self, stage: str, *words: str, entry: str = "") -> "subprocess.CompletedProcess[str]":
        """In a new container as a pod has it: nothing but /tmp to write, and here no network."""
        options = ["--rm", "--read-only", "--network=none", "--cap-drop=all"]
        options += [f"--entrypoint={entry}"] if entry else []
        return self.call("run", *options, self.name(stage), *words, check=False)

    def inspect(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.call("image", "inspect", name).stdout)[0]
        return found

    def pushed_layers(self, stage: str) -> list[dict[str, Any]]:
        """Digest and compressed size of each, the lowest first, as the registry has them."""
        url = f"http://{self.registry}/v2/machineray-{stage}/manifests/{self.tag}"
        request = urllib.request.Request(url, headers={"Accept": ", ".join(MANIFESTS)})
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: list[dict[str, Any]] = json.load(answer)["layers"]
        return found


@pytest.fixture(scope="module")
def images() -> Images:
    """Skips where there is no cluster; fails later, where one is and the images are not."""
    registry = os.environ.get("REGISTRY", "")
    if not os.environ.get("KUBECONFIG") or not registry:
        pytest.skip("no cluster: KUBECONFIG and REGISTRY do not say where one and its images are")
    program = os.environ.get("DOCKER") or ("podman" if shutil.which("podman") else "docker")
    if not shutil.which(program):
        pytest.skip(f"{program}, to run containers, is not installed")
    return Images(program, registry, os.environ.get("TAG") or "dev")


@pytest.mark.parametrize("stage", ALL)
def test_an_image_answers_help_with_a_read_only_root(images: Images, stage: str) -> None:
    done = images.run(stage, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout
    assert stage == "pipeline" or "--run" in done.stdout
    assert not done.stderr


@pytest.mark.parametrize("stage", ALL)
def test_a_process_is_nobody_in_particular_and_has_mray(images: Images, stage: str) -> None:
    script = "id -u; id -g; pwd; echo $HOME; mray --version; cat /usr/share/machineray/packages.txt"
    done = images.run(stage, "-c", script, entry="sh")
    assert done.returncode == 0, done.stderr
    uid, gid, folder, home, version, *frozen = done.stdout.splitlines()
    assert (uid, gid, folder, home) == ("10001", "10001", "/tmp", "/tmp")
    assert version.endswith(__version__)
    packages = {line.partition("==")[0].lower() for line in frozen}
    assert {"boto3", "typer"} <= packages
    foreign = FOREIGN[stage]
    assert not [name for name in packages if any(name.startswith(word) for word in foreign)]


@pytest.mark.parametrize(
    ("stage", "heavy"),
    [("pipeline", "kubernetes"), ("augment", "albumentations"), ("finish", "torch")],
)
def test_no_module_is_compiled_at_the_start(images: Images, stage: str, heavy: str) -> None:
    """A read-only root keeps no bytecode: what is missing would be made anew in every pod."""
    script = (
        "import sys, pathlib, importlib.util as u\n"
        f"import machineray.cli, jobs, boto3, typer, unittest.mock, {heavy}\n"
        "paths = [pathlib.Path(m.__file__) for m in list(sys.modules.values())"
        " if str(getattr(m, '__file__', '')).endswith('.py')]\n"
        "print([str(path) for path in paths if path.is_file()"  # torch.ops names a file of fancy
        " and not pathlib.Path(u.cache_from_source(path)).is_file()])"
    )
    done = images.run(stage, "-c", script, entry="python")
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("stage", ALL)
def test_labels_say_what_it_is(images: Images, stage: str) -> None:
    config = images.inspect(images.name(stage))["Config"]
    given = config["Labels"].items()
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in given}
    assert labels["title"] == f"machineray-{stage}"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["version"] == __version__
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["revision"])
    assert "python" in labels["base.name"]
    assert config["User"] == "10001:10001"
    environment = dict(line.split("=", 1) for line in config["Env"])
    assert "NVIDIA_VISIBLE_DEVICES" not in environment  # the device plugin's word
    wanted = "compute,utility" if stage in TORCH else None
    assert environment.get("NVIDIA_DRIVER_CAPABILITIES") == wanted
    assert not [name for name in environment if "SECRET" in name or name.startswith("AWS_")]


@pytest.mark.parametrize("stage", LEAN)
def test_a_lean_image_keeps_its_budget(images: Images, stage: str) -> None:
    assert images.inspect(images.name(stage))["Size"] <= UNPACKED_MB[stage] * 1e6
    pulled = sum(layer["size"] for layer in images.pushed_layers(stage))
    assert pulled <= PULLED_MB * 1e6


def test_the_images_of_torch_share_its_layer(images: Images) -> None:
    layers = [{la["digest"]: la["size"] for la in images.pushed_layers(stage)} for stage in TORCH]
    assert len({max(sizes, key=lambda digest: sizes[digest]) for sizes in layers}) == 1
    common = layers[0].keys() & layers[1].keys() & layers[2].keys()
    for sizes in layers:
        assert sum(size for digest, size in sizes.items() if digest not in common) < 50e6


WORK = {
    "collect": ("--input", "/paintings"),
    "curate": (),
    "unframe": (),
    "augment": ("--resolution", "32", "--variants", "1"),
    "train": ("--preset", "tiny", "--kimg", "0.024"),
    "generate": ("--seeds", "0-3"),
    "finish": (),
    "gallery": (),
}


def test_every_stage_runs_in_its_own_image(images: Images, tmp_path: Path, paintings: Path) -> None:
    """Each with a read-only root and no network, on what the one before it wrote."""
    root, few = tmp_path / "root", tmp_path / "paintings"
    few.mkdir()
    for painting in sorted(paintings.glob("*.jpg"))[:8]:
        shutil.copy(painting, few)
    root.mkdir()
    root.chmod(0o777)
    tmp_path.chmod(0o755)
    options = ("--rm", "--read-only", "--network=none", "--cap-drop=all", "--env=OMP_NUM_THREADS=1")
    mounts = (f"--volume={root}:/root", f"--volume={few}:/paintings:ro")
    for stage in STAGES:
        work = ("--run", "x", "--root", "/root", *WORK[stage.name])
        done = images.call("run", *options, *mounts, images.name(stage.name), *work, check=False)
        assert done.returncode == 0, f"{stage.name}: {done.stderr[-2000:]}"
    run = root / "runs" / "x"
    assert len(list((run / "finish" / "artworks").glob("*.png"))) == 4
    assert (run / "gallery" / "index.html").is_file()


def test_the_collect_image_holds_the_example_paintings(images: Images) -> None:
    done = images.run("collect", "--run", "x", "--root", "/tmp/runs")
    assert done.returncode == 0, done.stderr
    assert "48/48" in done.stdout + done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the images are built from."""
    for name in ("machineray", "jobs", "docker", "examples"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=ignore)
    files = ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "MODEL_CARD.md", ".dockerignore")
    for name in files:
        shutil.copy2(PROJECT / name, tmp_path)
    return tmp_path


@pytest.fixture
def scratch_names(images: Images) -> Iterator[list[str]]:
    """Names of images that are removed afterwards."""
    names: list[str] = []
    yield names
    images.call("rmi", "--force", *names, check=False)


def test_a_change_of_code_moves_one_small_layer_of_each_image(
    images: Images, checkout: Path, scratch_names: list[str]
) -> None:
    def built(*stages: str) -> dict[str, list[str]]:
        """target -> its layers; as `make images` builds them, the code first and once."""
        layers: dict[str, list[str]] = {}
        context: tuple[str, ...] = ()
        for stage in ("code", *stages):
            name = f"localhost/mray-test-{secrets.token_hex(4)}"
            scratch_names.append(name)
            where = ("-f", str(checkout / "docker" / "Dockerfile"), *context, str(checkout))
            images.call("build", "-q", f"--target={stage}", f"--tag={name}", *where)
            if stage == "code" and Path(images.program).name == "podman":
                context = ("--build-context", f"code=container-image://{name}")
            layers[stage] = images.inspect(name)["RootFS"]["Layers"]
        return layers

    with (checkout / "machineray" / "log.py").open("a") as file:
        file.write(f"# {secrets.token_hex(8)}\n")
    start = time.monotonic()
    after = built("train")
    assert time.monotonic() - start <= 20
    after |= built(*(stage for stage in ALL if stage != "train"))
    for stage in ALL:
        before = images.inspect(images.name(stage))["RootFS"]["Layers"]
        assert after[stage][:-1] == before[:-1], stage
        assert after[stage][-1] != before[-1]
        # What a push would move: the code, compressed.
        assert images.pushed_layers(stage)[-1]["size"] <= 5e6


def test_a_running_stage_ends_with_143_on_sigterm(images: Images, paintings: Path) -> None:
    options = ("--read-only", "--network=none", "-v", f"{paintings}:/paintings:ro")
    work = ("--run", "x", "--root", "/tmp/runs", "--input", "/paintings", "--variants", "100")
    work += ("--resolution", "1024")  # minutes of work: it is still at it when the signal comes
    container = images.call("run", "-d", *options, images.name("augment"), *work).stdout.strip()
    try:
        for _ in range(100):  # until it works; a signal before Python is up would be lost
            time.sleep(0.2)
            if "paintings" in (said := images.call("logs", container)).stdout + said.stderr:
                break
        images.call("stop", "--time", str(stage_named("augment").pod.grace_seconds), container)
        assert images.call("wait", container).stdout.strip() == "143"  # 137: it had to be killed
    finally:
        images.call("rm", "-f", container, check=False)


def test_the_genuine_isr_works_where_it_is(images: Images, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (24, 16), "teal").save(tmp_path / "a.png")
    tmp_path.chmod(0o755)
    options = ("--rm", "--read-only", "--network=none", "-v", f"{tmp_path}:/pictures:ro")
    work = ("--run", "x", "--root", "/tmp/runs", "--input", "/pictures", "--engine", "isr")
    done = images.call("run", *options, images.name("finish-isr"), *work, check=False)
    assert done.returncode == 0, done.stderr
    assert "1/1" in done.stdout + done.stderr
