"""Make the project's environment: by uv where it is there, else by venv and pip (stdlib only).

    python3 tools/environment.py .venv --extra all --group dev

A second call finds the environment as wanted and does nothing. Without an NVIDIA GPU the small CPU
build of torch is taken where its index answers; nobody has to know.
"""

from __future__ import annotations  # an old Python shall come as far as to say that it is too old

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
STAMP = ".machineray-environment"
PYTHONS = "3.11, 3.12 or 3.13"


def main() -> None:
    """Make the environment, or find that it is as wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--extra", default="", help="extras of the project, by commas")
    parser.add_argument("--group", default="", help="a dependency group")
    parser.add_argument("--requirements", type=Path, help="a file of further requirements")
    parser.add_argument("--no-deps", default="", help="a requirement to install without its own")
    arguments = parser.parse_args()
    wanted = wanted_state(arguments)
    stamp = arguments.folder / STAMP
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    if arguments.folder.exists() and not stamp.is_file():
        shutil.rmtree(arguments.folder)  # begun and never finished
    print(f"Setting up {arguments.folder} (once; torch is large)", flush=True)
    try:
        make(arguments)
    except subprocess.CalledProcessError as error:
        command = " ".join(map(str, error.cmd))
        sys.exit(f"environment: `{command}` failed, see above; then try again")
    stamp.write_text(wanted)


def wanted_state(arguments: argparse.Namespace) -> str:
    """What the environment depends on, as one line."""
    files = [PROJECT / "pyproject.toml", Path(__file__)]
    files += [arguments.requirements] if arguments.requirements else []
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    options = f"{arguments.extra}|{arguments.group}|{arguments.no_deps}"
    return f"{PROJECT}|{options}|{digest}"


def make(arguments: argparse.Namespace) -> None:
    """Create the folder and install everything in it."""
    uv = shutil.which("uv")
    python = arguments.folder / "bin" / "python"
    if not python.exists():
        create(arguments.folder, uv)
    # Where Python may write no bytecode later, every process would compile torch anew.
    compiled = ["--compile-bytecode"] if os.environ.get("PYTHONDONTWRITEBYTECODE") else []
    install = (
        [uv, "pip", "install", *compiled, "--python", str(python)]
        if uv
        else [
            str(python),
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--progress-bar",
            "off",
        ]
    )
    wants_torch = any(name in arguments.extra for name in ("all", "train", "generate", "finish"))
    small = wants_torch and not has_nvidia_gpu() and sys.platform == "linux" and answers()
    if small and not uv:
        run([*install, "torch", "--index-url", TORCH_CPU_INDEX])
    backend = ["--torch-backend=cpu"] if small and uv else []
    project = f"{PROJECT}[{arguments.extra}]" if arguments.extra else str(PROJECT)
    group = ["--group", f"{PROJECT}/pyproject.toml:{arguments.group}"] if arguments.group else []
    requirements = ["-r", str(arguments.requirements)] if arguments.requirements else []
    run([*install, *backend, "-e", project, *group, *requirements])
    if arguments.no_deps:
        run([*install, "--no-deps", arguments.no_deps])


def create(folder: Path, uv: str | None) -> None:
    """An empty environment with a Python that the project supports."""
    supported = (3, 11) <= sys.version_info[:2] < (3, 14)
    if uv:
        run([uv, "venv", "--python", sys.executable if supported else ">=3.11,<3.14", str(folder)])
        return
    if not supported:
        sys.exit(
            f"environment: Python {PYTHONS} is needed, this is {sys.version.split()[0]}: "
            "`make demo PYTHON=python3.12` names one, uv brings one (https://docs.astral.sh/uv/)"
        )
    try:
        run([sys.executable, "-m", "venv", str(folder)], quiet=True)
    except subprocess.CalledProcessError:  # Debian's Python without python3-venv
        run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)])
        install_pip(folder)
    python = folder / "bin" / "python"
    run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-U", "pip>=25.1"])


def install_pip(folder: Path) -> None:
    """Put pip into an environment without it: its wheel can run from where it lies."""
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/")
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    try:
        request = urllib.request.Request(f"{index}/pip/", headers=accept)
        with urllib.request.urlopen(request, timeout=30) as answer:
            files = json.load(answer)["files"]
        wheel = [file for file in files if file["filename"].endswith("-py3-none-any.whl")][-1]
        with urllib.request.urlopen(wheel["url"], timeout=60) as answer:
            data = answer.read()
    except (OSError, ValueError, LookupError) as error:
        sys.exit(f"environment: no pip to be had ({error}); install python3-venv or uv")
    if hashlib.sha256(data).hexdigest() != wheel["hashes"]["sha256"]:
        sys.exit("environment: the wheel of pip arrived damaged; try again")
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / wheel["filename"]
        path.write_bytes(data)
        run([folder / "bin" / "python", path / "pip", "install", "-q", "--no-index", path])


def has_nvidia_gpu() -> bool:
    """Whether the driver's tool is there and sees a card."""
    tool = shutil.which("nvidia-smi")
    return tool is not None and subprocess.run([tool, "-L"], capture_output=True).returncode == 0


def answers() -> bool:
    """Whether the index of torch's CPU builds can be reached from here."""
    try:
        with urllib.request.urlopen(f"{TORCH_CPU_INDEX}/torch/", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def run(command: list[object], quiet: bool = False) -> None:
    """Run a command, CalledProcessError when it fails."""
    words = [str(word) for word in command]
    subprocess.run(words, check=True, capture_output=quiet)


if __name__ == "__main__":
    main()
