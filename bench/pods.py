"""A hundred thousand pictures: what the first pod of 500 needs, and what the merge does.

.venv/bin/python bench/pods.py [curate unframe augment finish]     ten minutes, a gigabyte of /tmp
The catalog is made: rows that name the examples again and again. The first pod does its 200
pictures; the markers of all others are made after its first one (curate's with looks of noise), and
the last pod merges. finish does not enlarge here.
"""

import argparse
import base64
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from table import peak_mib

from jobs import Job, call, defaults_of, function_of
from jobs.finish import Upscale
from machineray.curate.hashes import VIEW_BYTES, VIEWS
from machineray.runs import ALL, Marker, Plan, Row, StageRun, json_lines
from machineray.shards import Part
from machineray.stages import stage_named
from machineray.storage import open_store

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "paintings"
COUNTS = (1000, 10_000, 100_000)
A_POD = 200
OPTIONS = {"finish": {"upscale": Upscale.none}}  # of a stage, where they are not the usual


def rows_of(count: int) -> Iterator[Row]:
    files = sorted(EXAMPLES.glob("*.jpg"))
    for n in range(count):
        title = f"Composition with planes and lines, number {n}, oil on canvas"
        known = {"artist": "Nobody in Particular", "year": 1911, "rights": "public domain"}
        yield {"id": f"p{n:06}", "key": str(files[n % len(files)]), "title": title, **known}


def prepared(root: str, name: str, count: int) -> None:
    """The stage before, complete, of that many rows."""
    before = stage_named(name).needs[0]
    stage = StageRun(open_store(root), "big", before)
    stage.settle_plan(Plan(before, {}, {"from": "nowhere"}, [[0]]))
    output = stage.write("catalog.jsonl", json_lines(rows_of(count)))
    stage.mark_done(ALL, Marker((output,)))


def marked(root: str, name: str) -> None:
    """Markers of all indexes that have none, after the first pod's first one."""
    stage = StageRun(open_store(root), "big", name)
    plan, first, rng = stage.plan(), stage.done(0), np.random.default_rng(0)
    assert plan and first
    done = set(stage.done_indexes())
    for index, items in enumerate(plan.indexes):
        if index in done:
            continue
        records = [{**first.records[0], "id": item} for item in items]
        for record in records:
            record.pop("strip", None)  # of what augment's page shows, which is a few
            if "looks" in record:  # of no two the same, or all would be one painting
                record["looks"] = base64.b64encode(rng.bytes(VIEWS * VIEW_BYTES)).decode()
        stage.mark_done(index, Marker((), records))


def measured(root: str, name: str, part: Part) -> dict[str, float]:
    """In a process of its own: CPU seconds and the peak."""
    function = function_of(name)
    options = defaults_of(function) | OPTIONS.get(name, {})
    for _ in call(function, options, Job(name, "big", root, part=part)):
        pass
    return {"seconds": time.process_time(), "peak_mib": peak_mib()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    stages = ("curate", "unframe", "augment", "finish")
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=", ".join(stages))
    parser.add_argument("--only", nargs=3, metavar=("ROOT", "STAGE", "OF"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        root, name, of = arguments.only
        print(json.dumps(measured(root, name, Part(0, int(of)))))
        return
    print(f"{'stage':>8} {'pictures':>8} {'first pod: CPU-s':>17} {'MiB':>5} ", end="")
    print(f"{'merge: CPU-s':>13} {'MiB':>5}")
    for name in arguments.stages or stages:
        for count in COUNTS:
            with tempfile.TemporaryDirectory() as root:
                prepared(root, name, count)
                found = []
                for of in (count // A_POD, 1):
                    command = [sys.executable, sys.argv[0], "--only", root, name, str(of)]
                    done = subprocess.run(command, check=True, capture_output=True, text=True)
                    found.append(json.loads(done.stdout.splitlines()[-1]))
                    marked(root, name)
            pod, merge = found
            print(
                f"{name:>8} {count:>8,} {pod['seconds']:>17.1f} {pod['peak_mib']:>5.0f} "
                f"{merge['seconds']:>13.1f} {merge['peak_mib']:>5.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
