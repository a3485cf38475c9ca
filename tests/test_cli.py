"""`mray` as a user meets it: what it costs, what it answers, how it fails and how it stops."""

import importlib
import inspect
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from jobs import command
from machineray import __version__
from machineray.stages import STAGES, TOOLS
from tests.conftest import Ended

pytestmark = pytest.mark.xdist_group("cli")  # one root for all

MRAY = str(Path(sys.executable).with_name("mray"))
HEAVY = ("torch", "numpy", "PIL", "boto3", "kubernetes", "rich", "pydantic")
HELP_OF_TYPER = 2.5  # times the CPU time that importing typer takes
AGAIN = ("--input", "klee/collect", "--resolution", "64")
OTHERWISE = (
    "give the same again, or begin a new run: mray run augment --run NAME --input klee/collect"
)
JOBS = ("pipeline", *(stage.name for stage in (*STAGES, *TOOLS)))


def mray(
    *arguments: str | Path, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MRAY, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **environment},
    )


def one_line(ended: subprocess.CompletedProcess[str], exit_code: int) -> str:
    """What a failed command says: one line, to standard error."""
    assert ended.returncode == exit_code, ended.stderr
    assert ended.stdout == ""
    lines = [
        line for line in ended.stderr.splitlines() if not re.match(r"\w+: [\d.]+/[\d.]+ ", line)
    ]
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith("mray: ")
    return lines[0]


@pytest.fixture(scope="module")
def root(paintings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with one run that is collected and augmented from three paintings."""
    folder, source = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("in")
    for path in sorted(paintings.glob("*.jpg"))[:3]:
        (source / path.name).write_bytes(path.read_bytes())
    shared = ("--run", "klee", "--root", folder)
    for own in (
        ("collect", "--input", source),
        ("augment", "--input", "klee/collect", "--resolution", "32"),
    ):
        ended = mray("run", *own, *shared)
        assert ended.returncode == 0, ended.stderr
    return folder


# -- what it costs


def test_help_loads_nothing_heavy() -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", MRAY, "--help"], capture_output=True, text=True
    )
    assert ended.returncode == 0
    loaded = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert {"typer", "machineray.cli"} <= loaded
    assert loaded.isdisjoint(HEAVY)


def test_help_of_a_stage_loads_nothing_heavy() -> None:
    for job in JOBS:
        ended = subprocess.run(
            [sys.executable, "-X", "importtime", MRAY, "run", job, "--help"],
            capture_output=True,
            text=True,
        )
        loaded = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
        assert "jobs" in loaded
        assert loaded.isdisjoint(HEAVY), job


def test_help_is_quick() -> None:
    def cpu_seconds() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def least(*command: str) -> float:
        seconds = []
        for _ in range(3):
            before = cpu_seconds()
            subprocess.run(command, check=True, capture_output=True)
            seconds.append(cpu_seconds() - before)
        return min(seconds)

    assert least(MRAY, "--help") <= HELP_OF_TYPER * least(sys.executable, "-c", "import typer")


# -- what it says of itself


def test_version() -> None:
    assert mray("--version").stdout == f"mray {__version__}\n"


def test_help_names_every_command_with_a_sentence() -> None:
    text = mray("--help").stdout
    for name in ("run", "submit", "ls", "status", "logs", "wait", "cancel", "get", "doctor"):
        assert re.search(rf"^  {name} +[A-Z].*\.", text, re.MULTILINE), name
    listed = mray("run", "--help").stdout
    for name in JOBS:
        assert re.search(rf"^  {name} +[A-Z]", listed, re.MULTILINE), name


@pytest.mark.parametrize("job", JOBS)
def test_help_of_a_stage_names_every_option_with_its_default(job: str) -> None:
    """Held against the function that the stage is: no option can be forgotten."""
    text = mray("run", job, "--help").stdout
    function = getattr(importlib.import_module(f"jobs.{job}"), job)
    assert inspect.getdoc(function).splitlines()[0] in re.sub(r"\s+", " ", text)
    entries = re.split(r"\n  (?=-|\[?[A-Z])", text.partition("Options:")[2])
    for name, parameter in inspect.signature(command(function)).parameters.items():
        if parameter.annotation.__metadata__[0].hidden:
            continue
        if name == "paintings":  # the argument
            assert "[PAINTINGS]" in text
            continue
        option = f"--{name.replace('_', '-')}"
        entry = next(each for each in entries if re.search(rf"(^|\s){option}\b(?!-)", each))
        entry = re.sub(r"\s+", " ", entry)
        default = parameter.default
        if default is inspect.Parameter.empty:
            assert "[required]" in entry
        elif isinstance(default, bool):
            words = [f"[default: {'' if default else 'no-'}{option[2:]}", "[default: False"]
            assert any(word in entry for word in words) or not default, entry
        elif default not in (None, ""):
            assert f"default: {getattr(default, 'value', default)}" in entry, entry


# -- what it answers


def test_ls(root: Path) -> None:
    assert mray("ls", "--root", root).stdout == "klee\n"
    assert json.loads(mray("ls", "--root", root, "-o", "json").stdout) == ["klee"]
    assert mray("ls", MRAY_ROOT=str(root)).stdout == "klee\n"
    rows = json.loads(mray("ls", "klee", "--root", root, "-o", "json").stdout)
    folder = root / "runs" / "klee"
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in all_of(folder)}
    assert {row["key"]: row["size_bytes"] for row in rows} == files
    text = mray("ls", "klee/augment", "--root", root).stdout
    assert re.search(r"^ +[\d,]+  shards/000000\.tar$", text, re.MULTILINE)
    assert "collect" not in text


def test_a_profiles_root_is_the_root_of_every_command(tmp_path: Path) -> None:
    (tmp_path / "mray.toml").write_text('[profiles.default]\nroot = "elsewhere"\n')
    assert mray("run", "collect", "--run", "x", cwd=tmp_path).returncode == 0
    assert mray("ls", cwd=tmp_path).stdout == "x\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "mray.toml"]


def test_ls_of_an_empty_root_says_how_to_begin(tmp_path: Path) -> None:
    ended = mray("ls", "--root", tmp_path)
    assert ended.returncode == 0
    assert ended.stdout == ""
    assert "mray run pipeline" in ended.stderr


def test_status(root: Path) -> None:
    rows = json.loads(mray("status", "klee", "-o", "json", "--root", root).stdout)
    assert [row["stage"] for row in rows] == [stage.name for stage in STAGES]
    states = {row["stage"]: (row["state"], row["done"], row["total"]) for row in rows}
    assert states["collect"] == states["augment"] == ("complete", 3, 3)
    assert states["train"] == ("not planned", 0, 0)
    for arguments in (("status",), ("status", "klee"), ("status", "klee/augment")):
        text = mray(*arguments, "--root", root).stdout
        assert re.search(r"^klee +augment +complete +3/3$", text, re.MULTILINE)
        assert ("collect" in text) == (arguments == ("status", "klee"))


def test_get_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    for what in ("klee/collect", "klee/augment/", "klee"):
        target = tmp_path / what.replace("/", "-")
        ended = mray("get", what, target, "--root", root)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout == f"{target}\n"
        source = root / "runs" / what
        assert not (target / ".mray-tmp").exists()
        copied = {path.relative_to(target): path.read_bytes() for path in all_of(target)}
        assert copied == {path.relative_to(source): path.read_bytes() for path in all_of(source)}
        before = {path: path.stat().st_mtime_ns for path in all_of(target)}
        assert mray("get", what, target, "--root", root).returncode == 0
        assert {path: path.stat().st_mtime_ns for path in all_of(target)} == before


def test_get_again_fetches_what_changed_under_its_name(
    tmp_path: Path, mray_here: Callable[..., Ended]
) -> None:
    """The best snapshot of a training is as large as the one before."""
    train, target = tmp_path / "runs/klee/train", tmp_path / "out"
    train.mkdir(parents=True)
    for content in ("before", "after."):
        (train / "best.safetensors").write_text(content)
        assert mray_here("get", "klee/train", str(target), "--root", str(tmp_path)).rc == 0
        assert (target / "best.safetensors").read_text() == content


def all_of(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and ".mray-tmp" not in p.parts]


def test_sources_are_listed_with_their_terms() -> None:
    text = mray("sources").stdout
    rows = json.loads(mray("sources", "-o", "json").stdout)
    assert [row["name"] for row in rows][:2] == ["wikiart", "commons"]
    for row in rows:
        assert f"{row['name']}: {row['title']}" in text
        assert row["terms_url"].startswith("https://") and row["terms_url"] in text
        assert row["terms"] and row["rights"]
        assert all(api in text for api in row["open_api"])


def test_doctor(tmp_path: Path) -> None:
    ended = mray("doctor", "-o", "json", "--root", tmp_path)
    rows = {row["name"]: row for row in json.loads(ended.stdout)}
    assert {"python", "packages", "torch", "gpu", "memory", "root"} <= set(rows)
    assert rows["python"]["ok"] and rows["packages"]["ok"] and rows["torch"]["ok"]
    assert str(tmp_path) in rows["root"]["text"]
    assert ended.returncode == (0 if all(row["ok"] for row in rows.values()) else 1)
    assert all_of(tmp_path) == []


def test_doctor_finds_a_root_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = mray("doctor", "--root", tmp_path / "file" / "root")
    assert ended.returncode == 1
    assert re.search(r"^FIX +root +.*choose another --root", ended.stdout, re.MULTILINE)
    assert "Traceback" not in ended.stderr


# -- how it fails


def run(stage: str, *own: str | Path, run: str = "new") -> tuple[str | Path, ...]:
    return ("run", stage, "--run", run, *own)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (("status", "nope"), 3, "nope: no such run"),
        (("ls", "nope"), 3, "nope: nothing there"),
        (("get", "nope/train", "out"), 3, "nope/train: nothing there"),
        (("ls", "klee/training"), 2, "training: no such stage"),
        (("ls", "Klee"), 2, "'Klee': not a name for a run"),
        (run("collect", "--input", "nowhere"), 3, "nowhere: no such folder"),
        (run("curate"), 3, "new/collect is not complete"),
        (run("generate", "--seeds", "1-9", "--snapshot", "s"), 3, "no such file"),
        (run("train", "--preset", "huge", run="klee"), 2, "--preset huge: no such preset"),
        (run("augment", *AGAIN, run="klee"), 2, "resolution was 32, now 64; " + OTHERWISE),
        (run("augment", "--index", "3", "--of", "2"), 2, "index counts from 0 to of - 1"),
        (("run", "pipeline", "--preset", "huge"), 2, "--preset huge: no such preset"),
        (("run", "pipeline", "--seeds", "9-1"), 2, "'9-1' ends before it begins"),
        (("run", "pipeline", "--trained", "klee"), 2, "--trained klee: write RUN/train"),
        (("run", "pipeline", "nowhere", "--preset", "tiny"), 3, "nowhere: no such folder"),
        (("run", "pipeline", "--input", "in"), 2, "mray run pipeline PAINTINGS"),
        (("run", "pipeline", "in", "--of", "2"), 2, "are a stage's"),
        (("ls", "--root", "http://x"), 2, "neither a folder nor s3://"),
    ],
)
def test_one_line_says_what_is_wrong(
    arguments: tuple[str, ...], exit_code: int, words: str, root: Path, tmp_path: Path
) -> None:
    ended = mray(*arguments, cwd=tmp_path, MRAY_ROOT=str(root))
    assert words in one_line(ended, exit_code)
    assert [path.name for path in (root / "runs").iterdir()] == ["klee"]  # no run of a mistake


@pytest.mark.parametrize(
    "arguments",
    [
        ("nope",),
        ("run", "nope"),
        ("run", "collect", "--run", "x", "--nope"),
        ("run", "collect"),
        ("run", "generate", "--run", "x", "--psi", "7"),
        ("status", "-o", "yaml"),
    ],
)
def test_a_wrong_command_line_is_refused_with_its_usage(arguments: tuple[str, ...]) -> None:
    ended = mray(*arguments)
    assert ended.returncode == 2
    assert "Usage: mray" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [(("stauts",), "status"), (("run", "wlak"), "walk"), (("submit", "pipelin"), "pipeline")],
)
def test_a_typo_is_told_what_was_meant(arguments: tuple[str, ...], meant: str) -> None:
    assert f"Did you mean '{meant}'?" in mray(*arguments).stderr


def test_bad_input_is_refused_item_by_item(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "no-picture.jpg").write_bytes(b"GIF89a, perhaps")
    ended = mray("run", "collect", "-r", "x", "--input", source, "--root", tmp_path / "root")
    assert ended.returncode == 1
    lines = ended.stderr.splitlines()
    assert any(line.startswith("refused  no-picture.jpg") for line in lines)
    assert (
        lines[-1].startswith("mray: ") and "none of its 1 files is a usable painting" in lines[-1]
    )
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("run_name", "place", "exit_code"),
    [("x", "in", 65), ("x", "nowhere", 64), ("X", "in", 2)],
)
def test_a_container_tells_kubernetes_what_went_wrong(
    run_name: str, place: str, exit_code: int, tmp_path: Path
) -> None:
    """Bad input fails the index, a wrong name or place the Job (jobs.main)."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "no-picture.jpg").write_bytes(b"GIF89a, perhaps")
    arguments = ["--run", run_name, "--input", str(tmp_path / place), "--root", str(tmp_path)]
    ended = subprocess.run(
        [sys.executable, "-m", "jobs.collect", *arguments], capture_output=True, text=True
    )
    assert ended.returncode == exit_code
    assert ended.stderr.splitlines()[-1].startswith("collect: ")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(("option", "variable"), [(["--debug"], ""), ([], "1")])
def test_debug_shows_the_traceback(option: list[str], variable: str, tmp_path: Path) -> None:
    ended = mray(*option, "status", "nope", "--root", tmp_path, MRAY_DEBUG=variable)
    assert ended.returncode == 3
    assert ended.stderr.startswith("Traceback")
    assert ended.stderr.splitlines()[-1].startswith("mray: nope: no such run")


# -- how it stops


def stopped(
    arguments: list[str], number: int, is_time: Callable[[], bool]
) -> subprocess.CompletedProcess[str]:
    """`mray ARGUMENTS`, to which the signal is sent when it is time."""
    process = subprocess.Popen(
        [MRAY, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # A suite that was begun with "&" ignores Ctrl-C, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )
    try:
        for _ in range(12_000):
            if is_time() or process.poll() is not None:
                break
            time.sleep(0.01)
        assert process.poll() is None, "it came to its end too soon"
        process.send_signal(number)
        out, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    return subprocess.CompletedProcess(process.args, process.returncode, out, said)


def train(root: Path, run: str, kimg: str) -> list[str]:
    own = ["--preset", "tiny", "--kimg", kimg, "--input", "klee/augment", "--workers", "1"]
    return ["run", "train", "--run", run, *own, "--root", str(root)]


@pytest.mark.parametrize(
    ("number", "exit_code", "said"),
    [
        (signal.SIGINT, 130, "mray: interrupted; the same command goes on from here"),
        (signal.SIGTERM, 143, "mray: terminated; the same command goes on"),
    ],
)
def test_a_stage_that_is_stopped_says_so_in_one_line(
    number: int, exit_code: int, said: str, paintings: Path, tmp_path: Path
) -> None:
    arguments = ["run", "unframe", "--run", "x", "--input", str(paintings), "--workers", "1"]
    made = tmp_path / "runs" / "x" / "unframe" / "paintings"
    ended = stopped([*arguments, "--root", str(tmp_path)], number, made.exists)
    assert one_line(ended, exit_code) == said
    assert not (made.parent / "_done" / "all.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_picture_is_enlarged_to_its_end_first(number: int, tmp_path: Path) -> None:
    """Eight megapixels take ten CPU-minutes."""
    (tmp_path / "in").mkdir()
    Image.effect_noise((3200, 2500), 60).save(tmp_path / "in" / "large.png")
    arguments = ["run", "finish", "--run", "x", "--input", str(tmp_path / "in")]
    begun = time.monotonic()
    ended = stopped(
        [*arguments, "--root", str(tmp_path)], number, lambda: time.monotonic() > begun + 12
    )
    assert one_line(ended, 128 + number).startswith("mray: ")


def test_ctrl_c_stops_any_command(tmp_path: Path) -> None:
    source, target = tmp_path / "runs" / "large" / "collect", tmp_path / "out"
    source.mkdir(parents=True)
    for number in range(5000):
        (source / f"{number:04}").write_bytes(b"a")
    arguments = ["get", "large", str(target), "--root", str(tmp_path)]
    ended = stopped(arguments, signal.SIGINT, (target / "collect" / "0010").exists)
    assert one_line(ended, 130).startswith("mray: interrupted")


def test_sigterm_saves_a_checkpoint_from_which_the_same_command_goes_on(
    root: Path, tmp_path: Path
) -> None:
    """The end is the same as of a training that nobody stopped."""
    folder = root / "runs" / "stopped" / "train"
    # The third snapshot is there: the training is under way.
    ended = stopped(
        train(root, "stopped", "0.064"),
        signal.SIGTERM,
        (folder / "snapshots" / "000000016.json").exists,
    )
    said = one_line(ended, 128 + signal.SIGTERM)
    assert said == "mray: terminated; the same command goes on"
    pointer = max((folder / "checkpoints").glob("*.json"))
    nimg = json.loads(pointer.read_text())["nimg"]
    assert 16 <= nimg < 64
    assert not (folder / "_done").exists()

    again = mray(*train(root, "stopped", "0.064"))
    assert again.returncode == 0, again.stderr
    assert f"train: {nimg / 1000:g}/0.064 kimg, 0 s, goes on" in again.stderr
    whole = mray(*train(root, "whole", "0.064"))
    assert whole.returncode == 0, whole.stderr
    name = "snapshot.safetensors"
    assert (folder / name).read_bytes() == (root / "runs" / "whole" / "train" / name).read_bytes()
