"""What the benches of the first stages share: whole stages on folders, one process a row."""

import argparse
import importlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "paintings"
LARGE = (6000, 4000)


@dataclass(frozen=True)
class Case:
    """One row: pictures and the stage's options.

    The examples, so many times, or so many of 24 megapixels, or so many made thumbnails, of which
    every tenth is another one's mirrored copy.
    """

    label: str
    times: int = 1
    large: int = 0
    thumbnails: int = 0
    format: str = "jpeg"
    options: dict[str, Any] = field(default_factory=dict)

    def make(self, folder: Path) -> None:
        """Write the pictures; here, not in the process that is measured: its peak counts."""
        from PIL import Image

        if self.thumbnails:
            make_thumbnails(folder, self.thumbnails)
            return
        files = sorted(EXAMPLES.glob("*.jpg"))
        if not self.large:
            for number, file in product(range(self.times), files):
                shutil.copy(file, folder / f"{number}-{file.name}")
        for file in files[: self.large]:
            with Image.open(file) as image:
                image.resize(LARGE).save(folder / f"{file.stem}.{self.format}", quality=92)


def make_thumbnails(folder: Path, count: int) -> None:
    """JPEG of 160 pixels a side with a dozen rectangles each."""
    from PIL import Image, ImageOps

    image = Image.new("RGB", (160, 160))
    for number in range(count):
        if number % 10 == 9:
            image = ImageOps.mirror(image)
        else:
            rng = Random(number)
            image = Image.new("RGB", (160, 160), tuple(rng.choices(range(256), k=3)))
            for _ in range(12):
                x, y, width, height = (rng.randrange(10, 150) for _ in range(4))
                image.paste(tuple(rng.choices(range(256), k=3)), (x, y, x + width, y + height))
        image.save(folder / f"{number:06}.jpg", quality=70 + number % 25)


def measure(stage: str, folder: Path, options: dict[str, Any]) -> dict[str, float]:
    """CPU seconds of the stage over the folder, one worker, and the peak of the process."""
    from jobs import Job

    job = getattr(importlib.import_module(f"jobs.{stage}"), stage)
    with tempfile.TemporaryDirectory() as root:
        first = Path(root) / "first"
        first.mkdir()
        shutil.copy(min(EXAMPLES.glob("*.jpg")), first)
        list(job(Job(stage, "first", root, str(first)), **options))  # loads the libraries
        start = time.process_time()
        run = Job(stage, "run", root, str(folder))
        list(job(run, **options))
        seconds = time.process_time() - start
        count = len(run.output.catalog())
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"count": count, "seconds": seconds, "peak_mib": peak_kib / 1024}


def peak_mib() -> float:
    """Of this process; not getrusage's, which begins with that of the process that started it."""
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak
    return int(peak[1]) / 1024


def print_table(stage: str, text: str, cases: tuple[Case, ...]) -> None:
    """Measure each case in a process of its own and print its row."""
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--only", nargs=2, metavar=("CASE", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        number, folder = arguments.only
        print(json.dumps(measure(stage, Path(folder), cases[int(number)].options)))
        return
    environment = os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1"}
    print(f"{stage}: the whole stage, one worker, folder to folder")
    print(f"{'pictures':<40} {'count':>5} {'CPU-s':>7} {'a CPU-s':>8} {'peak MiB':>9}")
    for number, case in enumerate(cases):
        with tempfile.TemporaryDirectory() as folder:
            case.make(Path(folder))
            command = [sys.executable, sys.argv[0], "--only", str(number), folder]
            answer = subprocess.run(
                command, check=True, capture_output=True, text=True, env=environment
            ).stdout
        row = json.loads(answer.splitlines()[-1])
        print(
            f"{case.label:<40} {row['count']:>5} {row['seconds']:>7.2f} "
            f"{row['count'] / row['seconds']:>8.1f} {row['peak_mib']:>9.0f}",
            flush=True,
        )
