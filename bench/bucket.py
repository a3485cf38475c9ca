"""Stages over a bucket that answers late: wall seconds, beside those over a folder.

.venv/bin/python bench/bucket.py [--late-ms 40]
The server is moto's, each of whose answers comes so much later; every stage is a process.
"""

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

REPOSITORY = Path(__file__).resolve().parents[1]
SHIPPED = REPOSITORY / "machineray" / "gan" / "shipped" / "abstract128.safetensors"
BUCKET = "bucket"
STAGES = {
    "collect": ("--input", str(REPOSITORY / "examples" / "paintings")),
    "curate": (),
    "unframe": (),
    "augment": ("--resolution", "128"),
    "generate": ("--snapshot", str(SHIPPED), "--seeds", "0-63"),
}
OURS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}

Application = Callable[[Mapping[str, Any], Any], Iterable[bytes]]


class Server:
    """An S3 server on the loopback whose answers come `late_s` seconds later."""

    def __init__(self) -> None:
        self.late_s = 0.0
        self.app: Application = DomainDispatcherApplication(create_backend_app)
        self.server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def _answer(self, environ: Mapping[str, Any], start: Any) -> Iterable[bytes]:
        time.sleep(self.late_s)
        return self.app(environ, start)


def seconds(stage: str, root: str, options: tuple[str, ...], environment: dict[str, str]) -> float:
    command = [sys.executable, "-m", f"jobs.{stage}", "--run", "bench", "--root", root, *options]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=REPOSITORY, env=environment)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--late-ms", type=float, default=40)
    late_ms = parser.parse_args().late_ms
    import boto3

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it tells every request
    server = Server()
    environment = os.environ | OURS | {"AWS_ENDPOINT_URL": server.url}
    credentials = {name.lower(): value for name, value in OURS.items()}
    client = boto3.client("s3", endpoint_url=server.url, region_name="us-east-1", **credentials)
    client.create_bucket(Bucket=BUCKET)
    print(f"bucket: wall seconds of a stage; the example paintings; answers {late_ms:g} ms late")
    print(f"{'stage':<10} {'folder':>8} {'bucket':>8} {'late':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for stage, options in STAGES.items():
            row = [seconds(stage, folder, options, environment)]
            for name, late_s in (("soon", 0.0), ("late", late_ms / 1000)):
                server.late_s = late_s
                row.append(seconds(stage, f"s3://{BUCKET}/{name}", options, environment))
            print(f"{stage:<10} " + " ".join(f"{each:>8.1f}" for each in row), flush=True)


if __name__ == "__main__":
    main()
