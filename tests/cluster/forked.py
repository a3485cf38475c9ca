"""`mray` as a process of its own that need not load what the one before it had loaded.

Most of what a short command costs is imports; the tests here run some hundreds. One server a
test process loads them, and forks a child a command (the standard library's forkserver).
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.cluster.preloaded"])


def _child(words: tuple[str, ...], folder: Path, environment: dict[str, str], files: Path) -> None:
    """What a shell does for a command, then the command."""
    for name, descriptor in (("in", 0), ("out", 1), ("err", 2)):
        flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY
        opened = os.open(os.devnull if descriptor == 0 else files / name, flags | os.O_CREAT)
        os.dup2(opened, descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["mray", *words]

    from machineray.cli import main

    main()


def mray(words: tuple[str, ...], folder: Path, seconds: float) -> subprocess.CompletedProcess[str]:
    """`mray WORDS` in that folder, with the environment of now; killed when it takes longer."""
    with tempfile.TemporaryDirectory() as made:
        files = Path(made)
        process = _PROCESSES.Process(target=_child, args=(words, folder, dict(os.environ), files))
        process.start()
        process.join(seconds)
        code = process.exitcode
        if code is None:
            process.kill()
            process.join()
        out, err = ((files / name).read_text() for name in ("out", "err"))
    if code is None:
        raise subprocess.TimeoutExpired(["mray", *words], seconds, out, err)
    return subprocess.CompletedProcess(["mray", *words], code, out, err)
