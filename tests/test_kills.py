"""kill -9 at any moment loses nothing: the same command again ends with the same bytes."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest

from machineray.stages import STAGES, TOOLS

pytestmark = pytest.mark.xdist_group("kills")  # a nursery and a run for all

MRAY = str(Path(sys.executable).with_name("mray"))
KILLS = {"train": 30} | dict.fromkeys((tool.name for tool in TOOLS), 6)  # of other stages: 20
OPTIONS = {
    "collect": ["--input", "IN"],
    "curate": ["--min-side", "32"],
    "unframe": [],
    "augment": ["--resolution", "32", "--variants", "1"],
    "train": ["--preset", "tiny", "--kimg", "0.024", "--checkpoint-seconds", "0"],
    "generate": ["--seeds", "0-3"],
    "finish": [],
    "gallery": [],
    "walk": ["--seeds", "3,5,8", "--seconds", "6", "--side", "32"],
    "explore": ["--seeds", "3,5", "--psis", "0,1", "--directions", "2"],
    "project": ["--picture", "PICTURE", "--steps", "20", "--starts", "3"],
}
ALL = (*STAGES, *TOOLS)
FORTY = ["--seeds", "0-39"]
# What differs between two undisturbed runs, too: it holds times.
TIMES = ("_done/", "metrics.jsonl", "tensorboard/")
PAGE_WITH_TIMES = ("train", "index.html")

# A process that has loaded everything and forks a child a command: a kill then falls into the
# work, where it can do harm, and 160 of them do not load torch 160 times.
NURSERY = """
import json, os, sys, time
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
import torch, tensorboardX.event_file_writer
import albumentations, cv2, machineray.curate.hashes
import jobs.pipeline, machineray.cli
import machineray.collect.admission, machineray.curate.contact_sheet, machineray.curate.decisions
import machineray.dataset.squares, machineray.dataset.tar, machineray.unframe.boxes
import machineray.gan.training, machineray.finish.artwork, machineray.gallery.page
import jobs.audit, machineray.gan.memorisation, machineray.gan.features
import av, machineray.film, machineray.gan.projection, machineray.gallery.labelled
machineray.gan.features.last_maps()

def ended(pid, cpu_seconds):
    clock = ~pid << 3 | 2  # clock_getcpuclockid(3): the processor time of all threads of the child
    deadline = time.monotonic() + 200
    while time.clock_gettime(clock) < cpu_seconds and time.monotonic() < deadline:
        done, status, used = os.wait4(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
        time.sleep(0.002)
    os.kill(pid, 9)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), cpu_seconds

print("ready", flush=True)
for line in sys.stdin:
    arguments, cpu_seconds, environment = json.loads(line)
    child = os.fork()
    if child == 0:
        os.environ.update(environment)
        sys.argv = arguments
        try:
            machineray.cli.main()
        except SystemExit as error:
            os._exit(error.code or 0)
        os._exit(70)
    print(json.dumps(ended(child, cpu_seconds)), flush=True)
"""


class Nursery:
    """Runs `mray` commands, each in a process of its own that works so many seconds at most."""

    def __init__(self, folder: Path) -> None:
        self._log = (folder / "log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=folder,
            # What killed processes leave of their temporary files goes with the test.
            env={**os.environ, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"},
        )
        self.cpu_seconds = 0.0  # of the command that ended last
        assert self._answer() == "ready"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def run(
        self,
        arguments: list[str],
        cpu_seconds: float = 200.0,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> int:
        """The exit code of `mray ARGUMENTS`, -9 when it was killed.

        It is killed by its own clock: where much else goes on, by the wall's it would hardly begin,
        or be done before it was due.
        """
        assert self._process.stdin is not None
        order = [["mray", *arguments], cpu_seconds, dict(environment)]
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        code, self.cpu_seconds = json.loads(self._answer())
        return int(code)

    def said(self) -> str:
        """The last of what the commands wrote to standard error."""
        self._log.flush()
        return Path(self._log.name).read_text()[-2000:]

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
        self._log.close()


@dataclass(frozen=True)
class Undisturbed:
    """A run of all stages and tools that nobody disturbed, and how long each of them worked."""

    root: Path
    paintings: Path
    cpu_seconds: dict[str, float]

    def command(self, stage: str, root: Path, options: list[str] | None = None) -> list[str]:
        own = OPTIONS[stage] if options is None else options
        places = {"IN": self.paintings, "PICTURE": sorted(self.paintings.iterdir())[1]}
        own = [str(places.get(option, option)) for option in own]
        return ["run", stage, "--run", "r", "--root", str(root), "--workers", "1", *own]

    def before(self, stage: str, root: Path) -> Path:
        """A root with the stages before this one."""
        names = [row.name for row in ALL]
        for name in names[: names.index(stage)]:
            shutil.copytree(folder(self.root, name), folder(root, name))
        return root


def folder(root: Path, stage: str) -> Path:
    return root / "runs" / "r" / stage


def outputs(root: Path, stage: str) -> dict[str, bytes]:
    """All bytes of a stage that are no times; of the markers, what they say but for the seconds."""
    found = {}
    for path in sorted(folder(root, stage).rglob("*")):
        name = path.relative_to(folder(root, stage)).as_posix()
        if (stage, name) == PAGE_WITH_TIMES:
            continue
        if path.is_file() and not name.startswith(TIMES):
            found[name] = path.read_bytes()
        elif path.is_file() and name.startswith("_done/"):
            marker = {**json.loads(path.read_bytes()), "seconds": 0}
            found[name] = json.dumps(marker).encode()
    return found


def differing(found: dict[str, bytes], expected: dict[str, bytes]) -> list[str]:
    """Names that are missing, too many, or of other bytes."""
    names = sorted({*found, *expected})
    return [name for name in names if found.get(name) != expected.get(name)]


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    nursery = Nursery(tmp_path_factory.mktemp("nursery"))
    yield nursery
    nursery.close()


@pytest.fixture(scope="module")
def undisturbed(
    paintings: Path, nursery: Nursery, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    """Six paintings, one that is no picture and one that is there twice, through all stages."""
    root, source = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("in")
    chosen = sorted(paintings.glob("*.jpg"), key=lambda path: path.stat().st_size)[:6]
    for path in chosen:
        shutil.copy(path, source)
    shutil.copy(chosen[0], source / "twice.jpg")
    (source / "broken.jpg").write_bytes(chosen[1].read_bytes()[:2000])
    whole = Undisturbed(root, source, {})
    for row in ALL:
        assert nursery.run(whole.command(row.name, root)) == 0, nursery.said()
        whole.cpu_seconds[row.name] = nursery.cpu_seconds
    return whole


@pytest.mark.parametrize("stage", [row.name for row in ALL])
def test_killed_many_times(
    stage: str, undisturbed: Undisturbed, nursery: Nursery, tmp_path: Path
) -> None:
    root = undisturbed.before(stage, tmp_path / "root")
    command = undisturbed.command(stage, root)
    expected = outputs(undisturbed.root, stage)
    rng = random.Random(stage)
    kills = 0
    while kills < KILLS.get(stage, 20):
        code = nursery.run(command, rng.uniform(0, undisturbed.cpu_seconds[stage]))
        if code == -9:
            kills += 1
            continue
        # It came to its end between the kills: right so far? Then once more from the beginning.
        assert code == 0, nursery.said()
        assert differing(outputs(root, stage), expected) == []
        shutil.rmtree(folder(root, stage))
    assert nursery.run(command) == 0, nursery.said()
    assert differing(outputs(root, stage), expected) == []


@pytest.mark.parametrize("stage", ["unframe", "train", "finish"])
def test_two_at_once_do_no_harm(stage: str, undisturbed: Undisturbed, tmp_path: Path) -> None:
    root = undisturbed.before(stage, tmp_path)
    command = [MRAY, *undisturbed.command(stage, root)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert differing(outputs(root, stage), outputs(undisturbed.root, stage)) == []


@pytest.mark.parametrize("stage", ["generate", "finish"])
def test_seven_parts_are_the_whole(
    stage: str, undisturbed: Undisturbed, nursery: Nursery, tmp_path: Path
) -> None:
    """Seven processes share the indexes of forty seeds, by options or as the pods of a Job."""
    whole, parts = (undisturbed.before("generate", tmp_path / name) for name in ("a", "b"))
    assert nursery.run(undisturbed.command("generate", whole, FORTY)) == 0, nursery.said()
    if stage == "finish":
        shutil.copytree(folder(whole, "generate"), folder(parts, "generate"))
        plain = undisturbed.command("finish", whole, ["--upscale", "none"])
        assert nursery.run(plain) == 0, nursery.said()
    for part in (3, 6, 2, 5, 1, 4, 0):
        assert not (folder(parts, stage) / "_done" / "all.json").exists()
        if stage == "generate":
            numbers = ["--index", str(part), "--of", "7"]
            command = undisturbed.command(stage, parts, [*FORTY, *numbers])
            assert nursery.run(command) == 0, nursery.said()
        else:
            command = undisturbed.command(stage, parts, ["--upscale", "none"])
            pod = {"JOB_COMPLETION_INDEX": str(part), "JOB_COMPLETIONS": "7"}
            assert nursery.run(command, environment=pod) == 0, nursery.said()
    assert differing(outputs(parts, stage), outputs(whole, stage)) == []
