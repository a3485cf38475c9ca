"""What the commands share: how they answer, which root they mean, and their profile."""

import json
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from machineray.stages import STAGES

if TYPE_CHECKING:
    from machineray.config import Profile
    from machineray.kube.cluster import Cluster


class Format(StrEnum):
    """How a command answers."""

    text = "text"
    json = "json"


Root = Annotated[
    str | None,
    typer.Option(
        envvar="MRAY_ROOT",
        help="Where runs are kept: a folder or s3://bucket/prefix; default: mray-data, or the "
        "profile's.",
    ),
]
As = Annotated[Format, typer.Option("--output", "-o", help="For people, or for programs.")]
ProfileName = Annotated[
    str | None,
    typer.Option("--profile", envvar="MRAY_PROFILE", help="Of mray.toml; see mray config."),
]
Context = Annotated[
    str | None, typer.Option(help="Of the kubeconfig; default: the profile's, or the current one.")
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Default: the profile's, the context's or machineray."),
]


class JobGroup(TyperGroup):
    """A group with a command a job, imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The pipeline and the stages, in their order."""
        return ["pipeline", *(stage.name for stage in STAGES)]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As typer does, which looks for what a typo meant among `commands`."""
        self.commands = dict.fromkeys(self.list_commands(ctx))  # type: ignore[assignment]
        return super().resolve_command(ctx, args)


def command_of(name: str, function: Callable[..., None]) -> Any:
    """A command for a group that makes its commands when they are asked for."""
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name)(function)
    return typer.main.get_command(single)


def answer(output: Format, lines: list[str], value: Any) -> None:
    """Print lines for a person, or JSON for a program."""
    if output is Format.json:
        typer.echo(json.dumps(value, ensure_ascii=False, indent=1))
    else:
        for line in lines:
            typer.echo(line)


def say(text: str) -> None:
    """A remark beside the answer: to standard error."""
    typer.echo(f"mray: {text}", err=True)


def chosen_root(root: str | None, profile: "Profile | None" = None) -> str:
    """The root that counts: the command line's, the profile's, or ./mray-data."""
    from jobs import DEFAULT_ROOT

    if root is None and profile is None:
        from machineray.config import load_profile

        profile = load_profile()
    return root or (profile.root if profile else None) or DEFAULT_ROOT


def placed(name: str | None, context: str | None, namespace: str | None) -> "Profile":
    """The profile of that name; the command line's context and namespace count before its own."""
    from machineray.config import load_profile

    loaded = load_profile(name)
    return replace(
        loaded,
        context=context or loaded.context,
        namespace=namespace or loaded.namespace,
    )


def open_profile_cluster(profile: "Profile") -> "Cluster":
    """The cluster of the profile's context; no server is asked yet."""
    from machineray.kube.cluster import open_cluster

    return open_cluster(profile.context, profile.namespace, note=say)
