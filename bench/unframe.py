"""Frames: pictures per CPU second, peak memory and how right the boxes are; one process a row.

.venv/bin/python bench/unframe.py [--paintings ../shared/paintings]

The networks were fitted on these photographs too. What they do on photographs that they did not
see: .venv/bin/python tools/fit_unframe.py PAINTINGS --cross-validate
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared" / "paintings"
LARGE = "4000x5000"  # a made picture of this size: time and memory by size
EDGES = ("left", "top", "right", "bottom")


def measure(folder: Path) -> dict[str, float]:
    """Figures of a folder of pictures; without a boxes.csv the whole picture is the truth."""
    import numpy as np

    from machineray.imaging import decode, to_array
    from machineray.unframe.boxes import frame_box

    truths: dict[str, list[int]] = {}
    if (folder / "boxes.csv").is_file():
        with (folder / "boxes.csv").open(newline="") as file:
            truths = {row["file"]: [int(row[e]) for e in EDGES] for row in csv.DictReader(file)}
    frame_box(np.zeros((64, 64, 3), np.uint8))  # loads weights and libraries
    seconds, ious, cuts = 0.0, [], []
    for file in sorted(folder.glob("*.jpg")):
        pixels = to_array(decode(file.read_bytes(), file.name))
        start = time.process_time()
        box = frame_box(pixels)
        seconds += time.process_time() - start
        height, width = pixels.shape[:2]
        found = [box.left, box.top, box.right, box.bottom]
        ious.append(overlap(found, truths.get(file.name, [0, 0, width, height])))
        sides = (box.left / width, box.top / height, 1 - box.right / width, 1 - box.bottom / height)
        cuts.append(max(sides))
    return {
        "pictures": len(ious),
        "per_second": len(ious) / seconds,
        "iou": float(np.mean(ious)),
        "sharp": float(np.mean(np.array(ious) >= 0.95)),
        "cut": float(np.median(cuts)),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measure_large() -> dict[str, float]:
    """A noisy picture of 20 million pixels on a white page."""
    import numpy as np

    from machineray.unframe.boxes import frame_box

    width, height = map(int, LARGE.split("x"))
    frame_box(np.zeros((64, 64, 3), np.uint8))
    pixels = np.full((height, width, 3), 255, np.uint8)
    truth = [300, 400, width - 300, height - 600]
    rough = np.random.default_rng(0).integers(0, 256, (40, 34, 3), np.uint8).repeat(100, 0)
    pixels[400 : height - 600, 300 : width - 300] = rough.repeat(100, 1)
    start = time.process_time()
    box = frame_box(pixels)
    seconds = time.process_time() - start
    iou = overlap([box.left, box.top, box.right, box.bottom], truth)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cut = max(box.left / width, box.top / height, 1 - box.right / width, 1 - box.bottom / height)
    return {
        "pictures": 1,
        "per_second": 1 / seconds,
        "iou": iou,
        "sharp": float(iou >= 0.95),
        "cut": cut,
        "peak_mib": peak,
    }


def overlap(box: list[int], truth: list[int]) -> float:
    """IoU of two boxes: left, top, right, bottom."""
    across = min(box[2], truth[2]) - max(box[0], truth[0])
    down = min(box[3], truth[3]) - max(box[1], truth[1])
    common = max(across, 0) * max(down, 0)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box, truth)]
    return common / (sum(areas) - common)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paintings", type=Path, default=SHARED)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        is_large = arguments.only == LARGE
        print(json.dumps(measure_large() if is_large else measure(Path(arguments.only))))
        return
    names = ("framed", "train", "representational")
    rows = [str(arguments.paintings / name) for name in names]
    rows = [row for row in rows if Path(row).is_dir()]
    if not rows:
        print(f"unframe: no paintings at {arguments.paintings} (--paintings FOLDER): time only")
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    print("unframe: one thread; decoding not counted in the time; peak is the whole process")
    print(
        f"{'pictures':>22} {'number':>7} {'per CPU-s':>10} {'peak MiB':>9} {'mean IoU':>9} "
        f"{'>= .95':>7} {'median cut':>11}"
    )
    for name in (*rows, LARGE):
        command = [sys.executable, __file__, "--only", name]
        answer = subprocess.run(
            command, check=True, capture_output=True, text=True, env=os.environ | threads
        )
        row = json.loads(answer.stdout.splitlines()[-1])
        print(
            f"{Path(name).name:>22} {row['pictures']:>7} {row['per_second']:>10.1f} "
            f"{row['peak_mib']:>9.0f} {row['iou']:>9.4f} {row['sharp']:>7.3f} {row['cut']:>11.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
