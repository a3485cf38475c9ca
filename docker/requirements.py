"""Write what each image installs, one file an extra: pyproject.toml is the only list (stdlib only).

    python docker/requirements.py pyproject.toml FOLDER

An image installs these files before the code is copied, so its layers of dependencies stay the
same until the lists themselves change.
"""

import re
import sys
import tomllib
from pathlib import Path

OWN_EXTRA = re.compile(r"machineray\[(.+)\]")


def requirements(pyproject: str) -> dict[str, list[str]]:
    """Text of pyproject.toml -> requirements by name: base, stage, torch, build, every extra."""
    table = tomllib.loads(pyproject)
    extras: dict[str, list[str]] = table["project"]["optional-dependencies"]
    lists = {name: resolved(name, extras) for name in extras}
    torch = [line for line in lists["finish"] if re.match(r"torch\b", line)]  # 5 GB: its own layer
    base = table["project"]["dependencies"]
    # A stage's pod has no token, and its image no client of the API server (100 MB).
    stage = [line for line in base if not re.match(r"kubernetes\b", line)]
    build = table["build-system"]["requires"]
    return {**lists, "base": base, "stage": stage, "torch": torch, "build": build}


def resolved(name: str, extras: dict[str, list[str]]) -> list[str]:
    """The extra's requirements, those of the extras that it names included."""
    lines: list[str] = []
    for line in extras[name]:
        own = OWN_EXTRA.fullmatch(line)
        names = own.group(1).split(",") if own else []
        lines += [inner for extra in names for inner in resolved(extra, extras)] if own else [line]
    return list(dict.fromkeys(lines))


def main() -> None:
    """Write the files."""
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in requirements(Path(sys.argv[1]).read_text(encoding="utf-8")).items():
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in sorted(lines)))


if __name__ == "__main__":
    main()
