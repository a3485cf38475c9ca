"""One thin entry point a stage: read the input, call the pure module, write what it gives.

Each job is a generator of events: `def unframe(job: Job, ..., option: Annotated[...]) ->
Iterator[Event]`. Its typer signature is declared once, there; the options that all jobs share are
declared once, here. `mray run STAGE` and, in a container, `python -m jobs.STAGE` are made of both.
"""

import errno
import importlib
import inspect
import math
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from functools import cached_property
from types import FrameType
from typing import Annotated, Any, TypeVar

import typer

from machineray.errors import ConfigurationError, MachineRayError, StorageError, UsageError
from machineray.log import Event, show
from machineray.markup import visible
from machineray.runs import Plan, StageRun, checked_run
from machineray.seeds import parsed_numbers
from machineray.shards import Part, Task, execute
from machineray.stages import Tool, tool_named
from machineray.storage import Store, open_store

DEFAULT_ROOT = "mray-data"
FILE = "FILE"  # the metavar of an option that names a file
SHIPPED = "shipped"  # a snapshot's name: the one that comes with the package (MODEL_CARD.md)
SIGTERM_EXIT = 128 + signal.SIGTERM

JobFunction = Callable[..., Iterator[Event]]


class Terminated(BaseException):
    """SIGTERM came: leave, after the checkpoint. Not an Exception: nobody may swallow it."""


@dataclass(frozen=True)
class Job:
    """What every job is told: which stage of which run, where, and which part of it."""

    stage: str
    run: str
    root: str = DEFAULT_ROOT
    input: str | None = None
    part: Part = field(default_factory=Part)
    workers: int = 1
    max_failures: int | None = None
    container_image: str | None = None

    @cached_property
    def store(self) -> Store:
        """The store of the root."""
        return open_store(self.root)

    @property
    def row(self) -> Tool:
        """The stage's row in the table."""
        return tool_named(self.stage)

    @property
    def output(self) -> StageRun:
        """Where the job writes."""
        return StageRun(self.store, self.run, self.stage)

    def execute(self, task: Task) -> Iterator[Event]:
        """Do the task's plan in the job's stage."""
        limit = self.max_failures
        if limit is None:
            limit = self.row.max_failures
        with gpu_watched(), room_watched():
            yield from execute(self.output, task, self.part, limit, self.container_image)


@contextmanager
def gpu_watched() -> Iterator[None]:
    """Turn the error of a GPU that is full into a ConfigurationError with the way out."""
    try:
        yield
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's; not all jobs have torch
            raise
        raise ConfigurationError(
            "the GPU's memory is full: end what else is on it, lower --batch where there is one, "
            "or draw on the CPU: CUDA_VISIBLE_DEVICES= before the same command, which goes on"
        ) from error


@contextmanager
def room_watched() -> Iterator[None]:
    """Turn the error of a disk that is too small for temporary files into a StorageError."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StorageError(
            f"{tempfile.gettempdir()}: the disk is full: make room there, or set TMPDIR to a "
            "folder that has it, and run the same command again"
        ) from error


@dataclass(frozen=True)
class Planning(Job):
    """A job that plans and does nothing: what `submit` needs, before anything heavy is loaded."""

    tasks: list[Task] = field(default_factory=list)

    def execute(self, task: Task) -> Iterator[Event]:
        """Keep the task."""
        self.tasks.append(task)
        return iter(())


def shared_options(
    run: Annotated[str, typer.Option("--run", "-r", help="Name of the run.")],
    root: Annotated[
        str,
        typer.Option(
            envvar="MRAY_ROOT", help="Where runs are kept: a folder or s3://bucket/prefix."
        ),
    ] = DEFAULT_ROOT,
    input: Annotated[
        str | None,
        typer.Option(help="Read this instead of the stage before: RUN/STAGE, a folder or s3://…"),
    ] = None,
    index: Annotated[
        int,
        typer.Option(min=0, envvar="JOB_COMPLETION_INDEX", help="Do this part of the plan only …"),
    ] = 0,
    of: Annotated[
        int, typer.Option(min=1, envvar="JOB_COMPLETIONS", help="… out of so many parts.")
    ] = 1,
    only: Annotated[
        str, typer.Option(hidden=True, help="Share out these indexes of the plan only, as 3,7-9.")
    ] = "",
    workers: Annotated[
        int, typer.Option(min=0, help="Threads; 0: as many as there are cores.")
    ] = 0,
    max_failures: Annotated[
        int | None,
        typer.Option(min=0, help="Go on with so many refused items. Default: as the stage needs."),
    ] = None,
    container_image: Annotated[
        str | None, typer.Option(hidden=True, envvar="MRAY_CONTAINER_IMAGE")
    ] = None,
) -> Job:
    """The options of every job -> Job (its stage is set by `job_of`)."""
    return Job(
        stage="",
        run=checked_run(run) if run else "",
        root=root,
        input=input,
        part=Part(index, of, parsed_numbers(only, "--only") if only else None),
        workers=workers or cores(),
        max_failures=max_failures,
        container_image=container_image,
    )


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def function_of(name: str) -> JobFunction:
    """The job's function; its module is loaded now."""
    function: JobFunction = getattr(importlib.import_module(f"jobs.{name}"), name)
    return function


def parameters(function: JobFunction) -> list[inspect.Parameter]:
    """The options of one job: its own, then the shared ones."""
    own = list(inspect.signature(function).parameters.values())[1:]
    shared = inspect.signature(shared_options).parameters.values()
    names = {parameter.name for parameter in own}
    return [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in (*own, *(p for p in shared if p.name not in names))
    ]


def defaults_of(function: JobFunction) -> dict[str, Any]:
    """The options of one job as they are when nobody gives any."""
    return {parameter.name: parameter.default for parameter in parameters(function)}


def call(function: JobFunction, options: Mapping[str, Any], job: Job) -> Iterator[Event]:
    """The job's events, with the job's own of the options."""
    own = {name: options[name] for name in list(inspect.signature(function).parameters)[1:]}
    for name, value in own.items():
        if isinstance(value, float) and math.isnan(value):  # which no bound of typer refuses
            raise UsageError(f"--{name.replace('_', '-')}: nan is no number")
    return function(job, **own)


def job_of(function: JobFunction, options: Mapping[str, Any]) -> Job:
    """What the shared ones of the options say."""
    shared = inspect.signature(shared_options).parameters
    job = shared_options(**{name: options[name] for name in shared})
    return replace(job, stage=function.__name__)


def planned(function: JobFunction, options: Mapping[str, Any], job: Job) -> Plan:
    """The plan that the job would do; nothing is written and nothing heavy is loaded."""
    planning = Planning(**{name: getattr(job, name) for name in _JOB_FIELDS})
    for _ in call(function, options, planning):
        pass
    return planning.tasks[-1].plan


_JOB_FIELDS = tuple(field.name for field in fields(Job))


def arguments(function: JobFunction, options: Mapping[str, Any]) -> list[str]:
    """The options that are not the default, as one types them: what a container is given."""
    typed = []
    for parameter in parameters(function):
        value = options[parameter.name]
        if value == parameter.default or value is None:
            continue
        name = "--" + parameter.name.replace("_", "-")
        if isinstance(value, bool):
            typed.append(name if value else name.replace("--", "--no-", 1))
        else:
            for each in value if isinstance(value, (list, tuple)) else [value]:
                typed += [name, str(each.value if isinstance(each, Enum) else each)]
    return typed


def again(function: JobFunction, source: str, **own: Any) -> str:
    """What one types to do the same to the same input under another name, quoted for a shell.

    Without --root: a page has it, and its bytes are the same wherever it lies.
    """
    options = defaults_of(function) | {"run": None, "input": source} | own
    named = ["mray", "run", function.__name__, "--run", "NAME"]
    return shlex.join([*named, *arguments(function, options)])


def command(function: JobFunction) -> Callable[..., Iterator[Event]]:
    """One function with the options of the job and the shared ones, for typer."""

    def run_job(**options: Any) -> Iterator[Event]:
        return call(function, options, job_of(function, options))

    return signed(run_job, function, parameters(function))


Signed = TypeVar("Signed", bound=Callable[..., Any])


def signed(target: Signed, function: JobFunction, wanted: Sequence[inspect.Parameter]) -> Signed:
    """The target as typer shall see it: with these parameters, the job's name and its help."""
    target.__name__ = function.__name__
    target.__doc__ = function.__doc__
    target.__signature__ = inspect.Signature(list(wanted))  # type: ignore[attr-defined]
    target.__annotations__ = {parameter.name: parameter.annotation for parameter in wanted}
    return target


def prepare_process() -> None:
    """SIGTERM becomes Terminated (process 1 of a container ignores it), idle threads sleep soon.

    OpenMP's threads spin long while they wait, which makes training up to 30 times slower where
    another program wants the cores. No spinning costs a quarter where none does; a short one
    costs neither (DECISIONS.md). Set before torch is loaded, unless the user has.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "10000"

    def handler(signum: int, frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, handler)


def main(function: JobFunction) -> None:
    """Run one job as a container does: exit codes for the Job's podFailurePolicy."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    run_job = command(function)

    def start(**options: Any) -> None:
        show(run_job(**options))

    app.command()(signed(start, function, parameters(function)))
    prepare_process()
    try:
        app()
    except MachineRayError as error:
        rank = os.environ.get("RANK", "0")  # of one training's processes
        who = function.__name__ + (f" (process {rank})" if rank != "0" else "")
        sys.stderr.write(f"{who}: {visible(str(error))}\n")
        sys.exit(error.pod_exit_code)
    except Terminated:
        sys.stderr.flush()
        os._exit(SIGTERM_EXIT)  # the usual way out waits for threads, which a bucket may hold up
