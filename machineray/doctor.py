"""What works on this machine: each check is a sentence, with the way out where it fails."""

import importlib.metadata
import os
import platform
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from machineray.devices import has_gpu
from machineray.errors import MachineRayError
from machineray.storage import FolderStore, open_store

_GIB = 1 << 30
_NEEDED_DISK_BYTES = 5 * _GIB


@dataclass(frozen=True)
class Check:
    """One line of the doctor."""

    name: str
    is_fine: bool
    text: str


def checks(root: str, only: str = "") -> Iterator[Check]:
    """Every check, in the order a person would make them; or `only` the one of that name."""
    named: dict[str, Callable[[], Check]] = {
        "python": _python,
        "packages": _packages,
        "torch": _torch,
        "gpu": _gpu,
        "memory": _memory,
        "root": lambda: _guarded("root", lambda: _root(root)),
    }
    for name, check in named.items():
        if only in ("", name):
            yield check()


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except MachineRayError as error:
        return Check(name, False, str(error))


def _python() -> Check:
    version = platform.python_version()
    fine = (3, 11) <= sys.version_info[:2] < (3, 14)
    fix = "" if fine else "; install Python 3.11, 3.12 or 3.13"
    return Check("python", fine, f"{version} on {platform.system()} {platform.machine()}{fix}")


def _packages() -> Check:
    wanted = ("pillow", "numpy", "albumentations", "torch", "safetensors")
    missing = [name for name in wanted if not _version(name)]
    if missing:
        text = f"missing: {', '.join(missing)}; pip install 'machineray[all]'"
        return Check("packages", False, text)
    return Check("packages", True, ", ".join(f"{name} {_version(name)}" for name in wanted))


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _torch() -> Check:
    if not _version("torch"):
        return Check("torch", False, "not installed; pip install 'machineray[train,finish]'")
    try:
        import torch
    except (ImportError, OSError) as error:
        return Check("torch", False, f"cannot be loaded: {error}; install it again")
    text = f"{torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores"
    return Check("torch", True, text)


def _gpu() -> Check:
    if not _version("torch"):
        return Check("gpu", True, "not looked for: no torch")
    import torch

    if not torch.cuda.is_available():
        return Check("gpu", True, "none: training, drawing and upscaling take the CPU")
    cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    text = ", ".join(f"{card.name} ({card.total_memory / _GIB:.0f} GiB)" for card in cards)
    try:
        works = has_gpu()
    except RuntimeError as error:  # torch's, for a GPU that is full or broken
        said = str(error).partition("\n")[0]
        return Check("gpu", False, f"{text}: {said}; CUDA_VISIBLE_DEVICES= keeps to the CPU")
    without = f"{text}: torch {torch.__version__} has no code for it, so the CPU works; another may"
    return Check("gpu", works, text if works else without)


def _memory() -> Check:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return Check("memory", True, "unknown on this system")
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    fine = total >= 3.5 * _GIB
    text = f"{total / _GIB:.0f} GiB" + ("" if fine else "; the demo wants 4 GiB")
    return Check("memory", fine, text)


def _root(root: str) -> Check:
    """Write an object, read it, remove it: what every stage will do."""
    store = open_store(root)
    key = f"doctor-{secrets.token_hex(8)}"  # pods all have the same process number
    store.write(key, b"mray")
    try:
        same = store.read(key) == b"mray"
    finally:
        store.delete(key)
    if not same:
        return Check("root", False, f"{store.url}: gives back other bytes than were written")
    if isinstance(store, FolderStore):
        free = shutil.disk_usage(Path(store.url)).free
        text = f"{store.url}: writable, {free / _GIB:.0f} GiB free"
        if free < _NEEDED_DISK_BYTES:
            return Check("root", False, f"{text}; make room or choose another --root")
        return Check("root", True, text)
    return Check("root", True, f"{store.url}: reachable and writable")
