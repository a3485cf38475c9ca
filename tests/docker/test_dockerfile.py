"""What the Dockerfile promises, read from its text: no container is needed."""

import importlib.util
import json
import re
import subprocess
import tomllib
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from machineray.stages import STAGES

PROJECT = Path(__file__).resolve().parents[2]
TEXT = (PROJECT / "docker" / "Dockerfile").read_text()
TARGETS = {stage.name for stage in STAGES} | {"pipeline", "finish-isr"}
MAKEFILE = (PROJECT / "Makefile").read_text()


@dataclass
class Part:
    """One FROM and what follows."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def values(self, word: str) -> list[str]:
        return [value for step, value in self.steps if step == word]


def parts() -> dict[str, Part]:
    found: dict[str, Part] = {}
    lines = re.sub(r"^\s*#.*\n", "", TEXT, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    for line in filter(None, map(str.strip, lines)):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            part = found[name] = Part(name, base)
        elif found:
            part.steps.append((word, rest))
    return found


PARTS = parts()
FINAL = {name: part for name, part in PARTS.items() if part.values("ENTRYPOINT")}


def ancestry(name: str) -> list[Part]:
    """The part and those it stands on, itself first."""
    part = PARTS[name]
    return [part, *(ancestry(part.base) if part.base in PARTS else [])]


def installed(name: str) -> list[str]:
    """The lists of requirements that an image installs, the lowest first."""
    runs = [run for part in reversed(ancestry(name)) for run in part.values("RUN")]
    return list(dict.fromkeys(re.findall(r"install\.sh (\w+)", " ".join(runs))))


@pytest.fixture(scope="module")
def lists() -> dict[str, list[str]]:
    """What docker/requirements.py makes of pyproject.toml."""
    return script().requirements((PROJECT / "pyproject.toml").read_text())  # type: ignore[no-any-return]


def script() -> ModuleType:
    path = PROJECT / "docker" / "requirements.py"
    spec = importlib.util.spec_from_file_location("docker_requirements", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_one_target_a_stage() -> None:
    assert FINAL.keys() == TARGETS
    for line in re.findall(r"^STAGES \?= (.+)$", MAKEFILE, flags=re.MULTILINE):
        assert set(line.split()) == TARGETS


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_target_is_unprivileged_labelled_and_has_its_code_on_top(name: str) -> None:
    part = FINAL[name]
    assert part.values("USER") == ["10001:10001"]
    entry = json.loads(part.values("ENTRYPOINT")[0])  # exec form: the process gets its signals
    stage = name.removesuffix("-isr")
    assert entry == (["mray"] if name == "pipeline" else ["python", "-m", f"jobs.{stage}"])
    assert name == "pipeline" or (PROJECT / "jobs" / f"{stage}.py").is_file()
    assert part.values("COPY") == ["--from=code /app /app"]
    assert not part.values("RUN") and not part.values("ENV")
    (label,) = part.values("LABEL")
    assert f'title="machineray-{name}"' in label
    assert "image.version=" in label and "image.revision=" in label


@pytest.mark.parametrize("name", sorted(TARGETS - {"pipeline", "finish-isr"}))
def test_an_image_holds_its_extra_and_no_other(name: str, lists: dict[str, list[str]]) -> None:
    inside = {line for part in installed(name) for line in lists[part]}
    assert inside == set(lists[name]) | set(lists["stage"])
    assert not any(line.startswith("kubernetes") for line in inside)


def test_the_pipeline_is_the_base_install(lists: dict[str, list[str]]) -> None:
    assert {line for part in installed("pipeline") for line in lists[part]} == set(lists["base"])


def test_the_lists_are_those_of_pyproject(lists: dict[str, list[str]]) -> None:
    table = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    written = {line for lines in table["optional-dependencies"].values() for line in lines}
    own = {line for line in written if line.startswith("machineray[")}
    extras = table["optional-dependencies"]
    assert set().union(*(lists[name] for name in extras)) == written - own
    assert set(lists["base"]) == set(table["dependencies"])
    assert [line.split(">")[0] for line in lists["torch"]] == ["torch"]
    assert not any(line.startswith("machineray") for lines in lists.values() for line in lines)


def test_torch_stands_below_everything_and_once() -> None:
    for name in ("train", "generate", "finish"):
        names = [part.name for part in ancestry(name)]
        assert names[-2:] == ["torch", "python"]
    assert not {"torch"} & {
        part.name for name in TARGETS - {"train", "generate", "finish"} for part in ancestry(name)
    }


@pytest.mark.parametrize(
    ("variant", "said", "status"),
    [
        ("cuda", "torch", 0),
        ("cpu", "torch --index-url https://download.pytorch.org/whl/cpu", 0),
        ("rocm", "VARIANT=rocm: neither cpu nor cuda", 2),
    ],
)
def test_a_variant_is_cpu_or_cuda(variant: str, said: str, status: int, tmp_path: Path) -> None:
    """The step itself, with an install.sh that says what it is asked for."""
    (step,) = PARTS["torch"].values("RUN")
    (tmp_path / "install.sh").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "install.sh").chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", re.sub(r"--mount=\S+", "", step)],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "VARIANT": variant},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout + done.stderr).strip() == said
    assert done.returncode == status


def test_what_targets_share_is_of_one_family() -> None:
    """`make images` builds two families side by side: what both stood on would be made twice."""
    (line,) = re.findall(r"^PICTURES = (.+)$", MAKEFILE, flags=re.MULTILINE)
    pictures = set(line.split())
    assert pictures < TARGETS
    below = [
        {part.name for name in family for part in ancestry(name)[1:]}
        for family in (pictures, TARGETS - pictures)
    ]
    assert below[0] & below[1] == {"python"}  # which is built before, with the code


def test_code_comes_after_every_installation() -> None:
    """No part that others stand on copies the code, so an edit moves the topmost layer alone."""
    for name in TARGETS:
        for part in ancestry(name)[1:]:
            assert not any("/app /app" in copy for copy in part.values("COPY"))
            assert not any(copy.startswith(". ") for copy in part.values("COPY"))


def test_nothing_secret_and_nothing_that_podman_4_cannot() -> None:
    names = [
        word for part in PARTS.values() for line in part.values("ARG") for word in line.split()
    ]
    names += [
        word for part in PARTS.values() for line in part.values("ENV") for word in line.split()
    ]
    assert not [name for name in names if re.match(r"\w*(KEY|TOKEN|SECRET|PASSWORD)\w*=", name)]
    assert "<<" not in TEXT and "--link" not in TEXT and "ADD " not in TEXT


def test_isr_is_the_same_in_make_and_in_the_image() -> None:
    (version,) = set(re.findall(r"ISR==[\d.]+", MAKEFILE))
    assert f"ARG ISR={version}" in TEXT


def test_the_context_is_a_short_list() -> None:
    lines = (PROJECT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    assert not let_in & {".git", "k8s", "tests", "."}
    for before, after in pairwise(rules):  # what is shut out comes last: it would not count before
        assert not (before.startswith("**") and after.startswith("!"))
