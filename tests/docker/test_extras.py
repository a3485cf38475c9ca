"""The extras of pyproject.toml: one a stage or tool, what it imports and nothing else."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from machineray.stages import STAGES, TOOLS

PROJECT = Path(__file__).resolve().parents[2]
TABLE = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = TABLE["optional-dependencies"]
NAMES = [row.name for row in (*STAGES, *TOOLS)]
# Where a package's module is not called as the package is.
MODULES = {
    "beautifulsoup4": "bs4",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "tensorboardx": "tensorboardX",
}
BASE = "base"
BY_BOTO3 = {"botocore"}
OF_ISR = {"ISR", "h5py", "tensorflow"}  # in an environment, and an image, of their own

# They share a module with train, and never call what writes the curves.
NEVER_USED = {name: {"tensorboardX"} for name in ("generate", *(tool.name for tool in TOOLS))}


def modules(extra: str) -> set[str]:
    """What is there to import after an extra is installed; BASE: without one."""
    found: set[str] = set()
    for line in TABLE["dependencies"] if extra == BASE else EXTRAS[extra]:
        if own := re.fullmatch(r"machineray\[(.+)\]", line):
            found.update(*(modules(name) for name in own.group(1).split(",")))
        else:
            name = re.split(r"[<>=!]", line)[0]
            found.add(MODULES.get(name, name.replace("-", "_")))
    return found


def imported(module: str) -> set[str]:
    """The foreign packages that one of our modules imports, in its functions and by ours too."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = PROJECT.joinpath(*name.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if name not in seen and name.startswith(("machineray", "jobs")) and file.is_file():
            waiting += [*imports(ast.parse(file.read_text())), name.rpartition(".")[0]]
        seen.add(name)
    tops = {name.split(".")[0] for name in seen} - {"machineray", "jobs", ""}
    return tops - sys.stdlib_module_names


def imports(node: ast.AST) -> Iterator[str]:
    """Names of modules, and of what may be one; not what type checkers alone import."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
        for child in ast.iter_child_nodes(node):
            yield from imports(child)


def test_there_is_one_extra_a_stage_and_one_for_all() -> None:
    assert EXTRAS.keys() == {*NAMES, "all"}
    assert modules("all") == set().union(*map(modules, NAMES))


@pytest.mark.parametrize("stage", NAMES)
def test_an_extra_is_what_its_stage_imports_beyond_the_base(stage: str) -> None:
    wanted = imported(f"jobs.{stage}") - modules(BASE) - BY_BOTO3 - OF_ISR
    assert wanted - NEVER_USED.get(stage, set()) == modules(stage)
