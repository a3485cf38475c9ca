"""Frames: how right the boxes are on pictures that the networks did not see, time and memory.

.venv/bin/python bench/unframe.py [--paintings ../shared/paintings]

How right: five pairs of networks (unframe_folds.npz, made by tools/fit_unframe.py --folds), each
fitted without one fifth of the pictures and of all that was made of them, judge that fifth.
Time and memory: one process a row, one thread, the networks that ship; beside them the method of
2020, written anew: colour statistics of one line after the other, 1/30 of a side deep. The whole
stage reads the file, too, and writes the painting and its thumbnail.
"""

import argparse
import csv
import functools
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

SHARED = Path(__file__).resolve().parents[2] / "shared" / "paintings"
EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "paintings"
FOLDS_FILE = Path(__file__).with_name("unframe_folds.npz")
FOLDS = 5
LARGE = (4000, 5000)  # time and memory by size
EDGES = ("left", "top", "right", "bottom")
BINS = (0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.001)  # of confidence


# The collection calls them unframed, and we cut them; each was looked at: a frame, a rim of backing
# board, a wall or the paper around a print is in the picture.
FRAMED_ALL_THE_SAME = (
    "piet-mondrian_1927-composition-no-ii-with-yellow-red-and-blue.jpg",
    "piet-mondrian_1927-composition-with-red-yellow-and-blue.jpg",
    "piet-mondrian_1934-composition-in-black-and-white-with-double-lines.jpg",
    "piet-mondrian_1935-composition-a-with-double-line-and-yellow.jpg",
    "piet-mondrian_1942-composition-no-iii-blanc-jaune-1942.jpg",
    "wassily-kandinsky_circlesina-circle-1923.jpg",
    "wassily-kandinsky_con-l-arco-nero-1912.jpg",
    "wassily-kandinsky_pittura-con-troika-1911.jpg",
    "wassily-kandinsky_small-worlds-ii-1922.jpg",
    "wassily-kandinsky_surlespointes-1928.jpg",
)


# --- how right -----------------------------------------------------------------------------------


def held_out(folder: Path) -> Iterator[dict]:
    """Every picture of framed/ and train/, judged by the networks that did not see it."""
    from machineray.unframe.boxes import frame_box, model_of

    with np.load(FOLDS_FILE, allow_pickle=False) as stored:
        arrays = dict(stored)
    models = [
        model_of({name[2:]: array for name, array in arrays.items() if name[0] == str(fold)})
        for fold in range(FOLDS)
    ]
    with (folder / "framed" / "boxes.csv").open(newline="") as file:
        labelled = sorted(csv.DictReader(file), key=lambda row: row["file"])
    framed = [(folder / "framed" / row["file"], row) for row in labelled]
    whole = [(file, None) for file in sorted((folder / "train").glob("*.jpg"))]
    for pictures in (framed, whole):
        for rank, (file, row) in enumerate(pictures):
            pixels = opened(file)
            height, width = pixels.shape[:2]
            box = frame_box(pixels, models[rank % FOLDS])
            found = [getattr(box, edge) for edge in EDGES]
            truth = [int(row[edge]) for edge in EDGES] if row else [0, 0, width, height]
            yield {
                "file": file.name,
                "fold": rank % FOLDS,
                "kind": row["difficulty"] if row else "no frame",
                "iou": overlap(found, truth),
                "cut": deepest_cut(found, width, height),
                "confidence": box.confidence,
            }


def print_figures(rows: list[dict]) -> None:
    """Tables by difficulty and fold, and what the confidence is worth."""
    print(f"\nmean IoU, and the share of at least .95 (pictures not seen), by {FOLDS} folds")
    framed = [row for row in rows if row["kind"] != "no frame"]
    clear = [row for row in framed if row["kind"] != "ambiguous"]
    groups = [(kind, [row for row in framed if row["kind"] == kind]) for kind in ("easy", "hard")]
    groups += [("easy and hard", clear)]
    groups += [("ambiguous", [row for row in framed if row["kind"] == "ambiguous"])]
    for name, group in groups:
        print_row(name, group, lambda g: f"{mean(g, 'iou'):.3f} {share(g, sharp):4.0%}")
    print("\nno frame: median cut of a side, and the share that loses 2 % of a side or more")
    whole = [row for row in rows if row["kind"] == "no frame"]
    bare = [row for row in whole if row["file"] not in FRAMED_ALL_THE_SAME]
    for name, group in (("as labelled", whole), ("really none", bare)):
        print_row(name, group, lambda g: f"{np.median([r['cut'] for r in g]):.3f} {harm(g):4.1%}")
    print("\nconfidence (expected IoU) against what came true, all pictures not seen")
    print(f"{'confidence':>14} {'number':>7} {'mean of it':>11} {'mean IoU':>9} {'>= .95':>7}")
    for low, high in itertools.pairwise(BINS):
        inside = [row for row in rows if low <= row["confidence"] < high]
        if inside:
            print(
                f"{f'{low:g} to {min(high, 1):g}':>14} {len(inside):>7} "
                f"{mean(inside, 'confidence'):>11.3f} {mean(inside, 'iou'):>9.3f} "
                f"{share(inside, sharp):>7.2f}"
            )


def print_row(name: str, rows: list[dict], figure: Callable[[list[dict]], str]) -> None:
    folds = [[row for row in rows if row["fold"] == fold] for fold in range(FOLDS)]
    cells = [figure(group) if group else "-" for group in (*folds, rows)]
    print(f"{name:>14} {len(rows):>4}  " + "  ".join(f"{cell:>10}" for cell in cells))


def sharp(row: dict) -> bool:
    return row["iou"] >= 0.95


def harm(rows: list[dict]) -> float:
    return share(rows, lambda row: row["cut"] >= 0.02)


def share(rows: list[dict], is_so: Callable[[dict], bool]) -> float:
    return sum(map(is_so, rows)) / len(rows)


def mean(rows: list[dict], column: str) -> float:
    return float(np.mean([row[column] for row in rows]))


def overlap(box: list[int], truth: list[int]) -> float:
    """IoU of two boxes: left, top, right, bottom."""
    across = min(box[2], truth[2]) - max(box[0], truth[0])
    down = min(box[3], truth[3]) - max(box[1], truth[1])
    common = max(across, 0) * max(down, 0)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box, truth)]
    return common / (sum(areas) - common)


def deepest_cut(box: list[int], width: int, height: int) -> float:
    """The deepest of the four cuts, as a share of its side."""
    return max(box[0] / width, box[1] / height, 1 - box[2] / width, 1 - box[3] / height)


# --- time and memory -----------------------------------------------------------------------------


def per_line(pixels: np.ndarray) -> list[int]:
    """Depths by the method of 2020: lines as long as they are even and unlike the middle."""
    deep, wide = pixels.shape[0] // 30, pixels.shape[1] // 30
    inner = pixels[deep:-deep, wide:-wide]
    middle = [np.median(inner[..., channel]) for channel in range(3)]
    rows, columns = pixels[:, wide:-wide], pixels[deep:-deep].transpose(1, 0, 2)
    sides = (rows[:deep], rows[::-1][:deep], columns[:wide], columns[::-1][:wide])
    return [depth_of(lines, middle) for lines in sides]


def depth_of(lines: np.ndarray, middle: list[float]) -> int:
    for depth, line in enumerate(lines):
        if sum(float(np.std(line[:, channel])) ** 2 for channel in range(3)) > 15_000:
            return depth
        medians = [np.median(line[:, channel]) for channel in range(3)]
        if np.linalg.norm(np.subtract(medians, middle)) < 30:
            return depth
    return len(lines)


def opened(file: Path) -> np.ndarray:
    from machineray.imaging import decode, to_array

    return to_array(decode(file.read_bytes(), file.name))


def make_large(folder: Path) -> list[Path]:
    """A rough picture on a white page, as PNG, and a painting without a frame, as JPEG."""
    from PIL import Image

    width, height = LARGE
    pixels = np.full((height, width, 3), 255, np.uint8)
    rough = np.random.default_rng(0).integers(0, 256, (40, 34, 3), np.uint8).repeat(100, 0)
    pixels[400 : height - 600, 300 : width - 300] = rough.repeat(100, 1)
    files = [folder / f"{width}x{height} framed.png", folder / f"{width}x{height} whole.jpg"]
    Image.fromarray(pixels).save(files[0])
    with Image.open(min(EXAMPLES.glob("*.jpg"))) as painting:
        painting.convert("RGB").resize(LARGE).save(files[1], quality=92)
    return files


def measure(place: Path) -> dict[str, float]:
    """Seconds and memory of one folder's pictures, or of one."""
    from jobs.unframe import unframed
    from machineray.imaging import decode, to_array
    from machineray.unframe.boxes import frame_box

    frame_box(np.zeros((64, 64, 3), np.uint8))  # loads weights and libraries
    files = [place] if place.is_file() else sorted(place.glob("*.jpg"))
    seconds = dict.fromkeys(("ours", "line", "stage"), 0.0)
    for file in files:
        data = file.read_bytes()
        work = functools.partial(unframed, {"key": file.name}, data, 0.5, is_by_hand=False)
        seconds["stage"] += cpu_seconds(work)
        # Not getrusage's, which begins with the peak of the process that started this one.
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        pixels = to_array(decode(data, file.name))
        seconds["ours"] += cpu_seconds(lambda: frame_box(pixels))  # noqa: B023
        seconds["line"] += cpu_seconds(lambda: per_line(pixels))  # noqa: B023
    rates = {kind: len(files) / spent for kind, spent in seconds.items()}
    assert peak
    return {"pictures": len(files), "peak_mib": int(peak[1]) / 1024, **rates}


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--paintings", type=Path, default=SHARED)
    parser.add_argument("--only", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only)))
        return
    names = ("framed", "train", "representational")
    folders = [arguments.paintings / name for name in names]
    folders = [folder for folder in folders if folder.is_dir()]
    if not folders:
        print(f"unframe: no paintings at {arguments.paintings} (--paintings FOLDER): time only")
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    print("unframe: one thread; finding alone without decoding; peak is the stage's process")
    print(
        f"{'pictures':>24} {'number':>7} {'per CPU-s':>10} {'line by line':>13} "
        f"{'the stage':>10} {'peak MiB':>9}"
    )
    large = tempfile.TemporaryDirectory()
    for place in (*folders, *make_large(Path(large.name))):
        command = [sys.executable, __file__, "--only", str(place)]
        answer = subprocess.run(
            command, check=True, capture_output=True, text=True, env=os.environ | threads
        )
        row = json.loads(answer.stdout.splitlines()[-1])
        print(
            f"{place.name:>24} {row['pictures']:>7} {row['ours']:>10.1f} "
            f"{row['line']:>13.1f} {row['stage']:>10.1f} {row['peak_mib']:>9.0f}",
            flush=True,
        )
    if len(folders) > 1:
        import cv2

        cv2.setNumThreads(1)
        print_figures(list(held_out(arguments.paintings)))


if __name__ == "__main__":
    main()
