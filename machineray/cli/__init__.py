"""The `mray` command: puts the parts together, prints, and turns errors into exit codes.

    mray run pipeline ./my-paintings       all stages on this machine
    mray run unframe --run klee            one stage
    mray submit train --run klee           one stage as a Job in a cluster (submit.py)
    mray status, logs, wait, cancel        what goes on (track.py)
    mray ls, get, doctor                   what is there, fetch it, what works here
    mray sources                           the sites that `run collect --source` knows, their terms

Nothing heavy is imported before the command that needs it runs.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from machineray import __version__
from machineray.cli.shared import (
    As,
    Context,
    Format,
    JobGroup,
    Namespace,
    ProfileName,
    Root,
    answer,
    chosen_root,
    command_of,
    open_profile_cluster,
    placed,
)
from machineray.cli.submit import SubmitGroup, completed, drive_command
from machineray.cli.track import add_commands
from machineray.errors import ConfigurationError, Interrupted, MachineRayError, NotFoundError
from machineray.markup import visible
from machineray.stages import TOOLS, tool_named

if TYPE_CHECKING:
    from machineray.config import Profile
    from machineray.doctor import Check
    from machineray.storage import Store, Stored

COPIERS, LARGE_BYTES = 8, 64 << 20  # of `get`


class Commands(TyperGroup):
    """`mray`: Ctrl-C is one of our errors, wherever it comes."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command; `drive`, what the pipeline's pod runs, is made when it is asked for."""
        if cmd_name != "drive":
            return super().get_command(ctx, cmd_name)
        return command_of(cmd_name, drive_command())

    def invoke(self, ctx: Any) -> Any:
        """The command; Interrupted when it was stopped."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:  # typer would say "Aborted!" and exit with 1
            raise Interrupted("interrupted; the same command goes on from here") from error


class RunGroup(JobGroup):
    """`mray run`: one command a job."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The pipeline, the stages in their order, and the tools."""
        return [*super().list_commands(ctx), *(tool.name for tool in TOOLS)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command made of the job's own signature; None when there is no such job."""
        if cmd_name not in self.list_commands(ctx):
            return None
        from jobs import command, function_of, parameters, signed

        function = function_of(cmd_name)

        def start(root: str | None, **options: Any) -> None:
            from jobs import prepare_process
            from machineray.log import show

            prepare_process()
            show(command(function)(root=chosen_root(root), **options))

        # Of one meaning in all commands: `status` shall find what `run` made.
        wanted = [
            each.replace(annotation=Root, default=None) if each.name == "root" else each
            for each in parameters(function)
        ]
        return command_of(cmd_name, signed(start, function, wanted))


app = typer.Typer(
    cls=Commands,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
run_app = typer.Typer(cls=RunGroup, no_args_is_help=True, rich_markup_mode=None)
app.add_typer(run_app, name="run", help="Run the pipeline or one stage on this machine.")
submit_app = typer.Typer(cls=SubmitGroup, no_args_is_help=True, rich_markup_mode=None)
app.add_typer(submit_app, name="submit", help="Run the pipeline or one stage in a cluster.")
add_commands(app)


@run_app.callback()
def _run() -> None:
    """Run the pipeline or one stage on this machine, over a folder or a bucket."""


@submit_app.callback()
def _submit() -> None:
    """Run the pipeline or one stage as Kubernetes Jobs, over a bucket."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mray {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="MRAY_DEBUG", help="Show tracebacks of errors.")
    ] = False,
) -> None:
    """From public-domain abstract paintings to new, print-sized abstract art."""
    if debug:
        os.environ["MRAY_DEBUG"] = "1"


@app.command("ls")
def list_objects(
    what: Annotated[str, typer.Argument(metavar="[RUN[/STAGE]]")] = "",
    root: Root = None,
    output: As = Format.text,
) -> None:
    """List the runs, the stages of a run, or the objects of a stage."""
    from machineray.runs import run_names
    from machineray.storage import open_store

    store = open_store(chosen_root(root))
    if not what:
        names = run_names(store)
        if output is Format.text and not names:
            typer.echo(f"no runs in {store.url} yet; begin one: mray run pipeline FOLDER", err=True)
        answer(output, names, names)
        return
    rows = [{"key": name, "size_bytes": stored.size_bytes} for name, stored in _there(store, what)]
    answer(output, ["{size_bytes:>12,}  {key}".format(**row) for row in rows], rows)


def _there(store: "Store", what: str) -> "list[tuple[str, Stored]]":
    """(name in it, object) of all that a run or one of its stages holds; NotFoundError if none."""
    from machineray.runs import checked_run

    run, _, stage = what.rstrip("/").partition("/")
    prefix = f"runs/{checked_run(run)}/" + (f"{tool_named(stage).name}/" if stage else "")
    found = [(stored.key.removeprefix(prefix), stored) for stored in store.list(prefix)]
    if not found:
        raise NotFoundError(f"{what}: nothing there; `mray ls` lists the runs")
    return found


@app.command()
def sources(output: As = Format.text) -> None:
    """List the sites that `run collect --source` knows, with their terms."""
    from machineray.collect.sites.table import SITES

    lines, rows = [], []
    for site in SITES:
        but = f", but for its API for programs: {', '.join(site.open_api)}" * bool(site.open_api)
        lines += [
            f"{site.name}: {site.title}, {site.home}",
            f"    takes: {site.rights}",
            f"    terms: {site.terms} ({site.terms_url})",
            f"    asked: once in {site.seconds:g} s a host",
            f"    robots.txt: obeyed{but}",
        ]
        told = ("name", "title", "home", "rights", "terms", "terms_url", "seconds", "open_api")
        rows.append({name: getattr(site, name) for name in told})
    answer(output, lines, rows)


@app.command()
def get(
    what: Annotated[str, typer.Argument(metavar="RUN[/STAGE]")],
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    root: Root = None,
) -> None:
    """Copy what a run or one of its stages made to a folder; again fetches what is new."""
    from machineray.log import show

    show(_copied(what, folder, chosen_root(root)))
    typer.echo(str(folder))


def _copied(what: str, folder: Path, root: str) -> Iterator[Any]:
    """Copy by threads: a bucket lets wait for its answers. Large objects are held one by one."""
    from machineray.log import Progress
    from machineray.shards import each
    from machineray.storage import TEMPORARY, FolderStore, open_store

    store, target = open_store(root), FolderStore(folder)
    found = _there(store, what)
    alone = threading.Lock()

    def copy(there: "tuple[str, Stored]") -> None:
        name, stored = there
        is_there = target.size(name) == stored.size_bytes
        # What is named by its item never changes. What lies right in a stage's folder may, as the
        # best snapshot of a training that goes on: it has as many bytes as the one before.
        is_items = stored.key.count("/") > "runs/RUN/STAGE/file".count("/")
        if is_there and is_items:
            return
        gone = contextlib.suppress(NotFoundError)  # since it was listed, as old checkpoints go
        with gone, alone if stored.size_bytes > LARGE_BYTES else contextlib.nullcontext():
            data = store.read(stored.key)
            if not is_there or target.read(name) != data:
                target.write(name, data)

    yield Progress("get", 0, len(found), "files")
    for number, ((name, _), _) in enumerate(each(copy, found, COPIERS), 1):
        yield Progress("get", number, len(found), "files", name)
    with contextlib.suppress(OSError):  # a folder for people: leave nothing of ours in it
        (folder / TEMPORARY).rmdir()


@app.command()
def doctor(
    root: Root = None,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Check the cluster instead; runs one small pod.")
    ] = False,
    profile: ProfileName = None,
    context: Context = None,
    namespace: Namespace = None,
    only: Annotated[str, typer.Option(hidden=True, help="The check of this name.")] = "",
    output: As = Format.text,
) -> None:
    """Check what works on this machine, with the way out for what does not."""
    rows = []
    for row in _checks(root, cluster, placed(profile, context, namespace), only):
        rows.append(row)
        if output is Format.text:  # at once: some take their time
            typer.echo(f"{'ok  ' if row.is_fine else 'FIX '} {row.name:<14} {row.text}")
    if output is Format.json:
        answer(output, [], [{"name": r.name, "ok": r.is_fine, "text": r.text} for r in rows])
    if not all(row.is_fine for row in rows):
        raise typer.Exit(1)


def _checks(root: str | None, cluster: bool, profile: "Profile", only: str) -> "Iterator[Check]":
    from machineray.doctor import Check, checks

    place = chosen_root(root, profile)
    if not cluster:
        yield from checks(place, only)
        return
    from machineray.cluster_doctor import cluster_checks

    try:
        opened = open_profile_cluster(profile)
    except ConfigurationError as error:  # a kubeconfig that leads nowhere is a finding, too
        yield Check("context", False, str(error))
        return
    yield from cluster_checks(opened, profile, place)


def main() -> None:
    """Run the command line; errors are one line each, and an exit code of DESIGN."""
    try:
        app(completed(sys.argv[1:]))
    except Interrupted as error:
        _leave(str(error), error.exit_code, error)
    except MachineRayError as error:
        _fail(str(error), error.exit_code, error)
    except MemoryError as error:
        _fail("out of memory; lower --workers or --resolution", 1, error)
    except BaseException as error:
        from jobs import SIGTERM_EXIT, Terminated

        if not isinstance(error, Terminated):
            raise
        _leave("terminated; the same command goes on", SIGTERM_EXIT, error)


def _leave(message: str, exit_code: int, error: BaseException) -> None:
    """Fail at once: the usual way out waits for threads, and one may enlarge for minutes."""
    _tell(message, error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def _fail(message: str, exit_code: int, error: BaseException) -> None:
    _tell(message, error)
    sys.exit(exit_code)


def _tell(message: str, error: BaseException) -> None:
    if os.environ.get("MRAY_DEBUG"):
        import traceback

        traceback.print_exception(error)
    sys.stderr.write(f"mray: {visible(message)}\n")
