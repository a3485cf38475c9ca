"""Profiles: which cluster, bucket and images `mray submit` takes. Two small TOML files.

    # ~/.config/mray/config.toml, and over it ./mray.toml
    profile = "lab"                      # the one that counts without --profile

    [profiles.lab]
    context = "gpu-cluster"
    namespace = "machineray"
    root = "s3://art/mray"
    registry = "ghcr.io/lab"
    node_selector = { pool = "a100" }

No secret stands in them: buckets open by a Secret in the cluster or by workload identity.
"""

import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from machineray import __version__
from machineray.errors import UsageError

PROFILE_VARIABLE = "MRAY_PROFILE"
SETTINGS_VARIABLE = "MRAY_SETTINGS"  # a whole profile as JSON: what the pipeline's pod is given
HERE = Path("mray.toml")


@dataclass(frozen=True)
class Profile:
    """What a submit takes where the command line says nothing; None: the cluster's own default."""

    name: str = "default"
    context: str | None = None
    namespace: str | None = None
    root: str | None = None
    registry: str | None = None
    tag: str = __version__
    service_account: str = "mray-stage"
    pipeline_service_account: str = "mray-pipeline"
    bucket_secret: str = "mray-bucket"  # "": no Secret, the service account opens the bucket
    queue: str | None = None
    gpus: int | None = None
    spot: bool = False
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()
    pod_patch: Mapping[str, Any] = field(default_factory=dict)
    priority_class: str | None = None  # None: each stage's own of k8s/base; "": none
    images: Mapping[str, str] = field(default_factory=dict)  # stage -> image, over registry and tag

    def to_json(self) -> str:
        """For SETTINGS_VARIABLE."""
        return json.dumps(asdict(self), sort_keys=True)

    def container_image(self, stage: str) -> str:
        """The image of a stage by name; UsageError when no registry is known."""
        if stage in self.images:
            return self.images[stage]
        if not self.registry:
            raise UsageError(
                f"no registry is known for the image of {stage}: give --registry NAME, or set "
                f"registry in {HERE} ([profiles.{self.name}])"
            )
        return f"{self.registry.rstrip('/')}/machineray-{stage}:{self.tag}"


def user_file() -> Path:
    """Where the user's own profiles are."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "mray" / "config.toml"


def config_files() -> list[Path]:
    """The files that are read, the later over the earlier."""
    return [path for path in (user_file(), HERE) if path.is_file()]


def load_profile(name: str | None = None) -> Profile:
    """The profile of that name, or the default one; UsageError says what of a file is wrong."""
    settings = os.environ.get(SETTINGS_VARIABLE)
    if settings:
        return Profile(**json.loads(settings))
    chosen: str | None = name or os.environ.get(PROFILE_VARIABLE)
    tables: dict[str, dict[str, Any]] = {}
    default = "default"
    for path in config_files():
        value = _parsed(path)
        default = value.pop("profile", default)
        if not isinstance(default, str):
            raise UsageError(f"{path}: profile: a name is wanted; the tables are [profiles.NAME]")
        for key, table in value.pop("profiles", {}).items():
            tables.setdefault(key, {}).update(_checked(path, key, table))
        if value:
            raise UsageError(
                f"{path}: unknown key {next(iter(value))!r}; it may hold profile and "
                "[profiles.NAME]"
            )
    chosen = chosen or default
    if chosen not in tables and chosen != "default":
        known = ", ".join(sorted(tables)) or "none"
        raise UsageError(f"{chosen}: no such profile; known: {known} ({user_file()}, {HERE})")
    return replace(Profile(**tables.get(chosen, {})), name=chosen)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from error


_KINDS: dict[str, type] = {
    "gpus": int,
    "spot": bool,
    "node_selector": dict,
    "tolerations": list,
    "pod_patch": dict,
    "images": dict,
}
_WORDS = {str: "text", int: "a number", bool: "true or false", dict: "a table", list: "an array"}


def _checked(path: Path, name: str, table: Any) -> dict[str, Any]:
    """The table itself, when its keys are ours and its values of their kind."""
    known = {item.name for item in fields(Profile)} - {"name"}
    if not isinstance(table, dict):
        raise UsageError(f"{path}: profiles.{name}: a table is wanted: [profiles.{name}]")
    for key, value in table.items():
        where = f"{path}: [profiles.{name}] {key}"
        if key not in known:
            raise UsageError(f"{where}: unknown; known are {', '.join(sorted(known))}")
        kind = _KINDS.get(key, str)
        if type(value) is not kind:
            raise UsageError(f"{where} = {value!r}: {_WORDS[kind]} is wanted")
    return table
