"""The documents say what is there: every command, stage and option that they name exists."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from machineray.cli import app
from machineray.stages import STAGES, TOOLS

PROJECT = Path(__file__).resolve().parent.parent
README = (PROJECT / "README.md").read_text()
JOBS = ("pipeline", *(stage.name for stage in (*STAGES, *TOOLS)))


def commands(text: str) -> list[str]:
    """The lines of the code blocks, fenced or indented, without prompts and remarks."""
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    (\S.*)$", outside, re.MULTILINE)
    lines = "\n".join([*fenced, *indented]).replace("\\\n", " ").splitlines()
    cleaned = (
        re.sub(r"^[$>]\s+", "", re.sub(r"(\s{3,}|\s+#\s).*$", "", line.strip())) for line in lines
    )
    return [line for line in cleaned if line]


def calls(lines: list[str], program: str) -> Iterator[list[str]]:
    """The arguments of each call of the program in the lines."""
    for line in lines:
        for part in re.split(r"&&|;|\|", line):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words and Path(words[0]).name == program:
                yield words[1:]


def mistake(arguments: list[str]) -> str:
    """What is wrong with a call of mray, found without running it; nothing: an empty text."""
    group: Any = typer.main.get_command(app)
    context = group.make_context("mray", [], resilient_parsing=True)
    words = list(arguments)
    while hasattr(group, "get_command"):
        options = {name for each in group.params for name in each.opts} | {"--help", "-h"}
        while words and words[0].startswith("-"):
            if words[0] not in options:
                return f"{words[0]}: no such option"
            words = words[1:]
        if not words or words[0].startswith("["):
            return ""
        found = group.get_command(context, words[0])
        if found is None:
            return f"{words[0]}: no such command"
        group, words = found, words[1:]
    known = {name for each in group.params for name in (*each.opts, *each.secondary_opts)}
    for word in words:
        name = word.strip("[]").partition("=")[0]
        if name.startswith("-") and name not in known | {"--help", "-h"}:
            return f"{name}: no such option"
    if "..." in arguments or "…" in arguments or "--help" in arguments or "-h" in arguments:
        return ""
    try:
        group.make_context("mray", [word.strip("[]") for word in words])
    except typer.BadParameter as error:
        return error.format_message()
    except Exception as error:
        return str(error)
    return ""


def make_targets() -> set[str]:
    text = (PROJECT / "Makefile").read_text()
    return set(re.findall(r"^([a-z][-a-z]*):", text, re.MULTILINE))


@pytest.mark.parametrize("stage", (*STAGES, *TOOLS), ids=lambda stage: stage.name)
def test_the_readme_names_every_stage(stage: Any) -> None:
    assert re.search(rf"`(mray run )?{stage.name}\b|mray run {stage.name}\b", README)


def test_the_readme_names_every_command() -> None:
    group: Any = typer.main.get_command(app)
    context = group.make_context("mray", [], resilient_parsing=True)
    names = group.list_commands(context)
    assert {"run", "ls", "status", "get", "doctor"} <= set(names)
    assert [name for name in names if not re.search(rf"\bmray {name}\b", README)] == []


def test_every_command_line_of_the_readme_exists() -> None:
    found = list(calls(commands(README), "mray"))
    assert any(call[:2] == ["run", "pipeline"] for call in found)
    wrong = {" ".join(["mray", *call]): mistake(call) for call in found}
    assert {call: what for call, what in wrong.items() if what} == {}


def test_every_command_line_of_the_page_on_collecting_exists() -> None:
    text = (PROJECT / "docs" / "COLLECT.md").read_text()
    found = list(calls(commands(text), "mray"))
    assert {"collect", "train"} <= {call[1] for call in found if call[0] == "run"}
    assert [(call, mistake(call)) for call in found if mistake(call)] == []


def test_every_make_target_of_the_readme_exists() -> None:
    found = list(calls(commands(README), "make"))
    targets = {word for call in found for word in call if "=" not in word and word[0] != "-"}
    assert {"demo", "test"} <= targets
    assert targets <= make_targets()


@pytest.mark.parametrize("name", JOBS)
def test_a_stage_begins_with_the_command_that_runs_it(name: str) -> None:
    tree = ast.parse((PROJECT / "jobs" / f"{name}.py").read_text())
    text = ast.get_docstring(tree) or ""
    found = list(calls(re.findall(r"^(mray .*?)(?:\s{3,}.*)?$", text, re.MULTILINE), "mray"))
    assert any(call[:2] == ["run", name] for call in found)
    assert {" ".join(call): mistake(call) for call in found if mistake(call)} == {}


def test_the_makefile_says_what_its_targets_do() -> None:
    told = set(re.findall(r"make ([a-z]+) ", (PROJECT / "Makefile").read_text()))
    assert {"demo", "test", "lint", "bench", "isr"} <= told <= make_targets()


@pytest.mark.parametrize("tool", ["environment.py", "kind.py"])
def test_what_make_calls_can_be_read_by_an_old_python(tool: str) -> None:
    """Which is then told that it is too old: `str | None` alone ended it with a traceback."""
    told = ast.parse((PROJECT / "tools" / tool).read_text(), feature_version=(3, 7))
    imports = [node.module for node in told.body if isinstance(node, ast.ImportFrom)]
    assert imports[0] == "__future__"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mray nope", "nope: no such command"),
        ("mray run nope", "nope: no such command"),
        ("mray run train --run klee --epochs 3", "--epochs: no such option"),
        ("mray run train", "--run"),
        ("mray run generate --run klee --psi 9", "psi"),
        ("mray status -o yaml", "yaml"),
    ],
)
def test_a_wrong_line_is_found(line: str, words: str) -> None:
    """So that the tests above can fail."""
    (call,) = calls([f"FOO=1 {line}  # a remark"], "mray")
    assert words in mistake(call)
