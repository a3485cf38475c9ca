"""One thin entry point a stage: read the input, call the pure module, write what it gives.

Each job is a generator of events: `def unframe(job: Job, ..., option: Annotated[...]) ->
Iterator[Event]`. Its typer signature is declared once, there; the options that all jobs share are
declared once, here. `mray run STAGE` and, in a container, `python -m jobs.STAGE` are made of both.
"""

import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import FrameType
from typing import Annotated, Any

import typer

from machineray.errors import MachineRayError
from machineray.log import Event, show
from machineray.runs import StageRun, checked_run
from machineray.shards import Part, Task, execute
from machineray.stages import Stage, stage_named
from machineray.storage import Store, open_store

DEFAULT_ROOT = "mray-data"
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

    @cached_property
    def store(self) -> Store:
        """The store of the root."""
        return open_store(self.root)

    @property
    def row(self) -> Stage:
        """The stage's row in the table."""
        return stage_named(self.stage)

    @property
    def output(self) -> StageRun:
        """Where the job writes."""
        return StageRun(self.store, self.run, self.stage)

    def execute(self, task: Task) -> Iterator[Event]:
        """Do the task's plan in the job's stage."""
        limit = self.max_failures
        if limit is None:
            limit = self.row.max_failures
        return execute(self.output, task, self.part, limit)


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
    workers: Annotated[
        int, typer.Option(min=0, help="Threads; 0: as many as there are cores.")
    ] = 0,
    max_failures: Annotated[
        int | None,
        typer.Option(min=0, help="Go on with so many refused items. Default: as the stage needs."),
    ] = None,
) -> Job:
    """The options of every job -> Job (its stage is set by `command`)."""
    return Job(
        stage="",
        run=checked_run(run) if run else "",
        root=root,
        input=input,
        part=Part(index, of),
        workers=workers or cores(),
        max_failures=max_failures,
    )


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def command(function: JobFunction) -> Callable[..., Iterator[Event]]:
    """One function with the options of the job and the shared ones, for typer."""
    shared = inspect.signature(shared_options).parameters
    own = list(inspect.signature(function).parameters.values())[1:]
    names = [parameter.name for parameter in own]
    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in (
            *own,
            *(p for p in shared.values() if p.name not in {o.name for o in own}),
        )
    ]

    def run_job(**options: Any) -> Iterator[Event]:
        given = {name: options[name] for name in shared}
        job = replace(shared_options(**given), stage=function.__name__)
        return function(job, **{name: options[name] for name in names})

    run_job.__name__ = function.__name__
    run_job.__doc__ = function.__doc__
    run_job.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run_job.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run_job


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

    start.__doc__ = run_job.__doc__
    start.__signature__ = run_job.__signature__  # type: ignore[attr-defined]
    start.__annotations__ = run_job.__annotations__
    app.command()(start)
    prepare_process()
    try:
        app()
    except MachineRayError as error:
        sys.stderr.write(f"{function.__name__}: {error}\n")
        sys.exit(error.pod_exit_code)
    except Terminated:
        sys.exit(SIGTERM_EXIT)
