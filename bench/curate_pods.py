"""Curating a hundred thousand paintings: what the first pod of 500 needs, and what the merge does.

.venv/bin/python bench/curate_pods.py             some five minutes, a gigabyte of /tmp
The catalog is made: rows that name the examples again and again. The first pod does its 200
paintings; the markers of all others are made too, with looks of noise, and the last one merges.
"""

import argparse
import base64
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jobs import Job
from jobs.curate import curate
from machineray.curate.decisions import DOUBTS
from machineray.curate.hashes import VIEW_BYTES, VIEWS
from machineray.runs import ALL, Marker, Plan, Row, StageRun, json_lines
from machineray.shards import Part, batches
from machineray.storage import open_store

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "paintings"
COUNTS = (1000, 10_000, 100_000)
A_POD = 200


def rows_of(count: int) -> Iterator[Row]:
    files = sorted(EXAMPLES.glob("*.jpg"))
    for n in range(count):
        title = f"Composition with planes and lines, number {n}, oil on canvas"
        known = {"artist": "Nobody in Particular", "year": 1911, "rights": "public domain"}
        yield {"id": f"p{n:06}", "key": str(files[n % len(files)]), "title": title, **known}


def collected(root: str, count: int) -> None:
    """A complete stage collect of that many rows."""
    stage = StageRun(open_store(root), "big", "collect")
    stage.settle_plan(Plan("collect", {}, {"from": "nowhere"}, [[0]]))
    output = stage.write("catalog.jsonl", json_lines(rows_of(count)))
    stage.mark_done(ALL, Marker((output,)))


def marked(root: str, count: int) -> None:
    """Markers of all indexes of curate that have none."""
    stage = StageRun(open_store(root), "big", "curate")
    rng = np.random.default_rng(0)
    fine = {doubt.measure: doubt.bound for doubt in DOUBTS}
    known = {"width": 512, "height": 400, "bytes": 90_000, "measures": fine}
    for index, rows in enumerate(batches(list(rows_of(count)), 32)):
        if not stage.is_done(index):
            looks = (base64.b64encode(rng.bytes(VIEWS * VIEW_BYTES)).decode() for _ in rows)
            records = [
                {**row, **known, "looks": each} for row, each in zip(rows, looks, strict=True)
            ]
            stage.mark_done(index, Marker((), records))


def measured(root: str, part: Part) -> dict[str, float]:
    """In a process of its own: CPU seconds and the peak."""
    list(curate(Job("curate", "big", root, part=part)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": time.process_time(), "peak_mib": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs=2, metavar=("ROOT", "OF"), help=argparse.SUPPRESS)
    only = parser.parse_args().only
    if only:
        print(json.dumps(measured(only[0], Part(0, int(only[1])))))
        return
    print(f"{'paintings':>9} {'first pod: CPU-s':>17} {'MiB':>5} {'merge: CPU-s':>13} {'MiB':>5}")
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as root:
            collected(root, count)
            found = []
            for of in (count // A_POD, 1):
                command = [sys.executable, sys.argv[0], "--only", root, str(of)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found.append(json.loads(done.stdout.splitlines()[-1]))
                marked(root, count)
        pod, merge = found
        print(
            f"{count:>9,} {pod['seconds']:>17.1f} {pod['peak_mib']:>5.0f} "
            f"{merge['seconds']:>13.1f} {merge['peak_mib']:>5.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
