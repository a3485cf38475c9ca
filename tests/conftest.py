"""Fixtures that many tests share: the paintings, and a real S3 server."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.browser import Browser, chromium

# How long an example takes is the machine's doing: hypothesis's 200 ms fail on a busy one.
settings.register_profile("machineray", deadline=None)
settings.load_profile("machineray")

# Before NumPy and torch are loaded: test processes share the cores, see jobs.prepare_process. The
# threads of NumPy's own library spin, too: curate's tests took six times the CPU time that way.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
os.environ.setdefault("OMP_NUM_THREADS", "1")

PROJECT = Path(__file__).resolve().parent.parent
KEY = "mray-test"


def frames_of(path: Path) -> list[Any]:
    """The frames (H, W, 3) of a film, as a player shows them."""
    import av

    with av.open(str(path)) as file:
        shown = (f.reformat(format="rgb24", src_colorspace="itu709") for f in file.decode(video=0))
        return [frame.to_ndarray() for frame in shown]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of labelled paintings and reference outputs beside the project."""
    folder = PROJECT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the test paintings (../shared) are not beside the project")
    return folder


@pytest.fixture(scope="session")
def paintings() -> Path:
    """The 48 real paintings that ship with the project."""
    return PROJECT / "examples" / "paintings"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium; skips, and says so, where none is."""
    program = chromium()
    if program is None:
        pytest.skip("no Chromium on the PATH; install one or name it in MRAY_CHROMIUM")
    started = Browser(program, tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real S3 server (SeaweedFS) that lives as long as the tests.

    Tests that use it stand in the group "s3": then one process starts one server.
    """
    folder = tmp_path_factory.mktemp("seaweedfs")
    identities = [
        {
            "name": KEY,
            "credentials": [{"accessKey": KEY, "secretKey": KEY}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    port = free_port()
    log = (folder / "log").open("wb")
    server = subprocess.Popen(server_command(folder, port), stdout=log, stderr=log, cwd=folder)
    try:
        wait_for(port, server, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()
        log.close()


def server_command(folder: Path, port: int) -> list[str]:
    program = Path(sys.executable).with_name("weed")
    names = ("master.port", "filer.port", "volume.port", "admin.port")
    names += ("master.port.grpc", "filer.port.grpc", "volume.port.grpc", "admin.port.grpc")
    ports = [f"-{name}={free_port()}" for name in (*names, "s3.port.grpc")]
    off = ["-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"]
    off += ["-s3.autoCreateBucket=false"]
    # A bucket takes a volume, and by itself it has one for each free GB of the disk.
    off += ["-volume.max=1000"]
    return [
        *(str(program), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-s3.port={port}", f"-s3.config={folder}/s3.json", "-master.telemetry=false"),
        *ports,
        *off,
    ]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if server.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"the S3 server did not start:\n{log.read_text()[-2000:]}")


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    rc: int
    out: str
    err: str


@pytest.fixture
def mray_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """`mray_here(*words)`: the command line in this process; most of a short one is its start."""
    from machineray.cli import main

    monkeypatch.setenv("MRAY_DEBUG", "")  # --debug sets it

    def run(*words: str) -> Ended:
        monkeypatch.setattr("sys.argv", ["mray", *words])
        try:
            main()
            code: Any = 0
        except SystemExit as exit:
            code = exit.code
        told = capsys.readouterr()
        return Ended(code or 0, told.out, told.err)

    return run


@pytest.fixture
def s3_root(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new, empty bucket on the real server, and the variables that lead to it."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    bucket = f"mray-{secrets.token_hex(6)}"
    client = boto3.client("s3", region_name="us-east-1")
    for again in range(60):  # the port listens a little before the server serves
        try:
            client.create_bucket(Bucket=bucket)
            break
        except client.exceptions.ClientError:
            if again == 59:
                raise
            time.sleep(0.5)
    return f"s3://{bucket}"
