"""`mray status, logs, wait, cancel, config`: what goes on, in the bucket and in the cluster."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from machineray.cli.shared import (
    As,
    Context,
    Format,
    Namespace,
    ProfileName,
    Root,
    answer,
    chosen_root,
    open_profile_cluster,
    placed,
    say,
)
from machineray.errors import ClusterError, ConfigurationError, NotFoundError, UsageError
from machineray.markup import visible
from machineray.stages import STAGES, TOOLS, tool_named

if TYPE_CHECKING:
    from machineray.config import Profile
    from machineray.kube.cluster import Cluster
    from machineray.kube.manifests import Json
    from machineray.storage import Store
    from machineray.tracking import Row

    Jobs = dict[tuple[str, str], Json]

WATCH_SECONDS = 2.0
REASONS_SHOWN = 5

What = Annotated[str, typer.Argument(metavar="[RUN[/STAGE]]")]


def split_name(what: str) -> tuple[str, str | None]:
    """'klee/train' -> ('klee', 'train'); UsageError when either is none."""
    from machineray.runs import checked_run

    run, slash, stage = what.rstrip("/").partition("/")
    checked_run(run)
    if slash and stage != "pipeline":
        tool_named(stage)
    return run, stage or None


def split_stage(what: str) -> tuple[str, str]:
    """As split_name, for what needs a stage: UsageError without one."""
    run, stage = split_name(what)
    if stage is None:
        raise UsageError(f"{what}: name the stage, too: {what}/train, or {what}/pipeline")
    return run, stage


def status(
    what: What = "",
    root: Root = None,
    profile: ProfileName = None,
    context: Context = None,
    namespace: Namespace = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Again and again, until all is done or failed.")
    ] = False,
    output: As = Format.text,
) -> None:
    """Show how far runs are: the markers in the root, and for what runs now also the cluster."""
    from machineray.runs import has_run
    from machineray.storage import open_store
    from machineray.tracking import is_over

    loaded = placed(profile, context, namespace)
    place = chosen_root(root, loaded)
    store = open_store(place)
    run, stage = split_name(what) if what else ("", None)
    cluster = tracking_cluster(loaded, place)
    while True:
        jobs = _jobs(cluster, place, run)
        rows = list(_rows(store, cluster, jobs, run, stage))
        if run and all(row.state == "not planned" for row in rows) and not has_run(store, run):
            raise NotFoundError(f"{run}: no such run in {store.url}; `mray ls` lists them")
        _show_rows(rows, output, watch)
        if not watch or all(is_over(row, jobs) for row in rows):
            return
        time.sleep(WATCH_SECONDS)


def tracking_cluster(profile: "Profile", root: str) -> "Cluster | None":
    """The cluster to ask beside the bucket, where the root is one and a cluster is known."""
    told = (profile.context, profile.namespace, profile.registry, profile.name != "default")
    variables = map(os.environ.get, ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"))
    if not root.startswith("s3://") or not any((*told, *variables)):
        return None
    try:
        return open_profile_cluster(profile)
    except ConfigurationError as error:
        say(f"{error}; what the bucket knows:")
        return None


def _jobs(cluster: "Cluster | None", root: str, run: str) -> "Jobs":
    """(run, stage) -> Job of a run, or of all; none where no cluster answers."""
    from machineray.tracking import run_jobs

    try:
        return run_jobs(cluster, root, run or None) if cluster else {}
    except ClusterError as error:
        say(f"{error}; what the bucket knows:")
        return {}


def _rows(
    store: "Store", cluster: "Cluster | None", jobs: "Jobs", run: str, stage: str | None
) -> "Iterator[Row]":
    from machineray.runs import StageRun
    from machineray.submission import PIPELINE
    from machineray.tracking import Row, furthest_row, joined, marked_row, overview, with_job

    def told(row: Row) -> Row:
        job = jobs.get((row.run, row.stage))
        try:
            return with_job(cluster, row, job)
        except ClusterError as error:  # it went away between the list and the reasons
            return joined(row, job, str(error)) if job else row

    if not run:
        yield from (told(furthest_row(store, row, jobs)) for row in overview(store))
        return
    driver = [PIPELINE] if (run, PIPELINE) in jobs else []
    for name in [stage] if stage else [*driver, *(row.name for row in STAGES)]:
        yield told(marked_row(StageRun(store, run, name)))
    for tool in TOOLS if stage is None else ():
        if (row := marked_row(StageRun(store, run, tool.name))).state != "not planned":
            yield row


HEAD = f"{'run':<20} {'stage':<9} {'state':<12} {'done':>13} {'failed':>6} {'pods':>4} "
HEAD += f"{'age':>5} {'speed':>9} {'left':>5}"


def row_lines(row: "Row") -> list[str]:
    """A row of the table, and below it why it does not go on."""
    done = f"{row.done:g}/{row.total:g}" if row.total else ""
    failed = row.failed + row.refused
    speed = f"{row.speed:.3g}/s" if row.speed else ""
    line = f"{row.run:<20} {row.stage:<9} {row.state:<12} {done:>13} {failed or '':>6} "
    line += (
        f"{row.running or '':>4} {span(row.age_seconds):>5} {speed:>9} {span(row.eta_seconds):>5}"
    )
    lines = [line.rstrip()]
    if row.why:
        lines.append(f"    {row.why}")
    lines += [f"    refused  {visible(reason)}" for reason in row.reasons[:REASONS_SHOWN]]
    if len(row.reasons) > REASONS_SHOWN:
        lines.append(f"    … and {len(row.reasons) - REASONS_SHOWN} more (-o json has them)")
    return lines


def span(seconds: float | None) -> str:
    """5400 -> '1.5h': at most five letters."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            value = seconds / length
            return f"{value:.1f}{unit}" if value < 10 else f"{value:.0f}{unit}"
    return f"{max(0, seconds):.0f}s"


def _show_rows(rows: "Sequence[Row]", output: Format, watch: bool) -> None:
    lines = [HEAD, *(line for row in rows for line in row_lines(row))]
    if watch and output is Format.text and sys.stdout.isatty():
        typer.echo("\x1b[H\x1b[2J", nl=False)
    answer(output, lines, [vars(row) for row in rows])


def logs(
    what: Annotated[str, typer.Argument(metavar="RUN/STAGE")],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the Job ends.")
    ] = False,
    index: Annotated[int | None, typer.Option(min=0, help="Of this pod's share only.")] = None,
    previous: Annotated[
        bool, typer.Option("--previous", help="Of the containers before the present ones.")
    ] = False,
    since: Annotated[str | None, typer.Option(help="Only the last 90s, 30m, 12h or 2d.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Of failed pods only.")] = False,
    root: Root = None,
    profile: ProfileName = None,
    context: Context = None,
    namespace: Namespace = None,
) -> None:
    """Print what the pods of a stage say, each line once, with the index of its pod before it."""
    from machineray.kube.logs import job_lines
    from machineray.quantities import seconds_of

    loaded = placed(profile, context, namespace)
    cluster, job = _cluster_job(what, root, loaded)
    seconds = None if since is None else seconds_of(since, "--since")
    for line in job_lines(
        cluster,
        job["metadata"]["name"],
        index=index,
        follow=follow,
        previous=previous,
        since_seconds=seconds,
        failed_only=failed,
    ):
        typer.echo(f"[{'?' if line.index is None else line.index}] {line.text}")


def _cluster_job(what: str, root: str | None, profile: "Profile") -> "tuple[Cluster, Json]":
    """(cluster, Job) of RUN/STAGE; NotFoundError when the cluster has no such Job."""
    from machineray.tracking import run_jobs

    run, stage = split_stage(what)
    place, cluster = chosen_root(root, profile), open_profile_cluster(profile)
    job = run_jobs(cluster, place, run).get((run, stage))
    if job is None:
        raise NotFoundError(
            f"{what}: no Job of it is in the cluster (they go three days after their end); "
            f"mray status {run}"
        )
    return cluster, job


def wait(
    what: Annotated[list[str], typer.Argument(metavar="RUN/STAGE …")],
    timeout: Annotated[
        str | None, typer.Option(help="Give up after 90s, 30m, 12h or 2d (exit code 124).")
    ] = None,
    root: Root = None,
    profile: ProfileName = None,
    context: Context = None,
    namespace: Namespace = None,
) -> None:
    """Wait until every stage named is complete, by its markers; exit 1 as soon as one failed."""
    from machineray.log import show
    from machineray.quantities import seconds_of
    from machineray.storage import open_store
    from machineray.tracking import Target, waited

    targets = [Target(*split_stage(name)) for name in what]
    loaded = placed(profile, context, namespace)
    place, cluster = chosen_root(root, loaded), open_profile_cluster(loaded)
    seconds = None if timeout is None else seconds_of(timeout, "--timeout")
    show(waited(cluster, open_store(place), place, targets, seconds))


def cancel(
    what: Annotated[str, typer.Argument(metavar="RUN[/STAGE]")],
    root: Root = None,
    profile: ProfileName = None,
    context: Context = None,
    namespace: Namespace = None,
) -> None:
    """End the Jobs of a run, or of one stage; what is done stays, and submit goes on from it."""
    from machineray.storage import open_store
    from machineray.tracking import cancelled

    run, stage = split_name(what)
    loaded = placed(profile, context, namespace)
    place, cluster = chosen_root(root, loaded), open_profile_cluster(loaded)
    for sentence in cancelled(cluster, open_store(place), place, run, stage):
        typer.echo(sentence)


def config(profile: ProfileName = None, output: As = Format.text) -> None:
    """Show the profile that counts, and the files that it comes from."""
    from machineray.config import HERE, config_files, load_profile, user_file

    loaded = load_profile(profile)
    files = [str(path) for path in config_files()]
    lines = [f"{name:<25} {value!r}" for name, value in vars(loaded).items()]
    lines += ["", f"from: {', '.join(files) or 'no file'} (read: {user_file()}, {HERE})"]
    answer(output, lines, {**vars(loaded), "files": files})


def add_commands(app: typer.Typer) -> None:
    """The commands of this file, in the order of their use."""
    for function in (status, logs, wait, cancel, config):
        app.command()(function)
