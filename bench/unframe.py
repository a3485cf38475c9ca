"""Frames: how right the boxes are on pictures that the networks did not see, time and memory.

.venv/bin/python bench/unframe.py [--paintings ../shared/paintings]

How right: five pairs of networks (unframe_folds.npz, made by tools/fit_unframe.py --folds), each
fitted without one fifth of the pictures and of all that was made of them, judge that fifth.
Time and memory: one process a row, one thread, the networks that ship. Both ways begin with the
file and end with the box. The other is the method of 2020, written anew: colour statistics of one
line after the other, 1/30 of a side deep. The whole stage also writes painting and thumbnail.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
from table import peak_mib
from unframe_collection import AFTER_ALL, FOLDS, NO_FRAME, collection

SHARED = Path(__file__).resolve().parents[2] / "shared" / "paintings"
EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "paintings"
FOLDS_FILE = Path(__file__).with_name("unframe_folds.npz")
COLLECTED = 4096  # long side that collect asks a site for, pixels
SAMPLED = 12  # of a folder's pictures, every so-manieth is enlarged to that
LARGE = ((4000, 5000), (11000, 9100))  # memory by size
KINDS = ("easy", "hard", "ambiguous", AFTER_ALL, NO_FRAME)
BINS = (0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.001)  # of confidence


# --- how right -----------------------------------------------------------------------------------


def held_out(folder: Path) -> Iterator[dict]:
    """Every picture of framed/ and train/, judged by the networks that did not see it."""
    from machineray.unframe.boxes import model_of

    with np.load(FOLDS_FILE, allow_pickle=False) as stored:
        arrays = dict(stored)
    models = [
        model_of({name[2:]: array for name, array in arrays.items() if name[0] == str(fold)})
        for fold in range(FOLDS)
    ]
    for picture in collection(folder):
        size, box, confidence = found(picture.file, models[picture.fold])
        yield {
            "file": picture.file.name,
            "fold": picture.fold,
            "kind": picture.kind,
            "iou": overlap(box, picture.box or (0, 0, *size)),
            "cut": deepest_cut(box, *size),
            "confidence": confidence,
        }


def found(file: Path, model: object = None) -> tuple[tuple[int, int], list[int], float]:
    """A picture's size, its box and the confidence, as the stage finds them."""
    from jobs.unframe import closer, glance

    data = file.read_bytes()
    look = glance(data, file.name, model)
    look = closer(look, data, file.name) if look.rough.cuts else look
    return look.size, look.in_file(look.found())["box"], look.rough.confidence


def print_figures(rows: list[dict]) -> None:
    """Tables by difficulty and fold, and what the confidence is worth."""
    print(f"\nmean IoU, and the share of at least .95 (pictures not seen), by {FOLDS} folds")
    of = {kind: [row for row in rows if row["kind"] == kind] for kind in KINDS}
    clear = of["easy"] + of["hard"]
    groups = {"easy": of["easy"], "hard": of["hard"], "easy and hard": clear}
    groups |= {"ambiguous": of["ambiguous"], AFTER_ALL: of[AFTER_ALL]}
    for name, group in groups.items():
        print_row(name, group, lambda g: f"{mean(g, 'iou'):.3f} {share(g, sharp):4.0%}")
    print("\nno frame: median cut of a side, and the share that loses 2 % of a side or more")
    groups = {"as labelled": of[NO_FRAME] + of[AFTER_ALL], "really none": of[NO_FRAME]}
    for name, group in groups.items():
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


def print_strangers(folder: Path) -> None:
    """What the networks that ship cut of pictures that nothing was fitted to, by name."""
    rows = []
    for file in sorted(folder.glob("*.jpg")):
        size, box, _ = found(file)
        rows.append({"file": file.stem, "cut": deepest_cut(box, *size)})
    harmed = [row["file"] for row in rows if is_cut(row)]
    print(f"\n{folder.name}, {len(rows)} not fitted to: {len(harmed)} lose 2 % of a side or more")
    print("\n".join(harmed))


def print_row(name: str, rows: list[dict], figure: Callable[[list[dict]], str]) -> None:
    folds = [[row for row in rows if row["fold"] == fold] for fold in range(FOLDS)]
    cells = [figure(group) if group else "-" for group in (*folds, rows)]
    print(f"{name:>14} {len(rows):>4}  " + "  ".join(f"{cell:>10}" for cell in cells))


def sharp(row: dict) -> bool:
    return row["iou"] >= 0.95


def harm(rows: list[dict]) -> float:
    return share(rows, is_cut)


def is_cut(row: dict) -> bool:
    return row["cut"] >= 0.02


def share(rows: list[dict], is_so: Callable[[dict], bool]) -> float:
    return sum(map(is_so, rows)) / len(rows)


def mean(rows: list[dict], column: str) -> float:
    return float(np.mean([row[column] for row in rows]))


def overlap(box: tuple[int, ...], truth: tuple[int, ...]) -> float:
    """IoU of two boxes: left, top, right, bottom."""
    across = min(box[2], truth[2]) - max(box[0], truth[0])
    down = min(box[3], truth[3]) - max(box[1], truth[1])
    common = max(across, 0) * max(down, 0)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box, truth)]
    return common / (sum(areas) - common)


def deepest_cut(box: tuple[int, ...], width: int, height: int) -> float:
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


def by_lines(file: Path) -> list[int]:
    """The method of 2020, from the file on."""
    from machineray.imaging import decode, to_array

    return per_line(to_array(decode(file.read_bytes(), file.name)))


def enlarged(files: list[Path], folder: Path) -> Path:
    """A folder of some of the pictures, as large as collect asks for."""
    from PIL import Image

    folder.mkdir()
    for file in files[::SAMPLED]:
        with Image.open(file) as image:
            times = COLLECTED / max(image.size)
            size = (round(image.width * times), round(image.height * times))
            large = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        large.save(folder / file.name, quality=92)
    return folder


def make_large(folder: Path) -> Iterator[Path]:
    """A rough picture on a white page, and a painting without a frame."""
    from PIL import Image

    for width, height in LARGE:
        pixels = np.full((height, width, 3), 255, np.uint8)
        cell = width // 40
        rough = np.random.default_rng(0).integers(0, 256, (height // cell, 34, 3), np.uint8)
        rough = rough.repeat(cell, 0).repeat(cell, 1)[: height * 4 // 5]
        pixels[height // 12 :, width // 14 :][: len(rough), : 34 * cell] = rough
        name = f"{width}x{height}"
        for suffix in (".jpg", ".png"):
            Image.fromarray(pixels).save(folder / f"{name} framed{suffix}", compress_level=1)
            yield folder / f"{name} framed{suffix}"
        with Image.open(min(EXAMPLES.glob("*.jpg"))) as painting:
            painting.convert("RGB").resize((width, height)).save(folder / f"{name} whole.jpg")
        yield folder / f"{name} whole.jpg"


def measure(place: Path) -> dict[str, float]:
    """Seconds and memory of one folder's pictures, or of one."""
    from jobs.unframe import unframed

    files = [place] if place.is_file() else sorted(place.glob("*.jpg"))
    found(min(EXAMPLES.glob("*.jpg")))  # loads weights and libraries

    def rate(work: Callable[[Path], object]) -> float:
        start = time.process_time()
        for file in files:
            work(file)
        return len(files) / (time.process_time() - start)

    row = {"pictures": len(files)}
    row["stage"] = rate(lambda file: unframed({"key": file.name}, file.read_bytes(), 0.5))
    row["peak_mib"] = peak_mib()
    row["ours"], row["line"] = rate(found), rate(by_lines)
    return row


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
    print("unframe: pictures a CPU second, one thread; peak is the stage's process")
    print(
        f"{'pictures':>24} {'number':>7} {'box found':>10} {'line by line':>13} "
        f"{'the stage':>10} {'peak MiB':>9}"
    )
    with tempfile.TemporaryDirectory() as scratch:
        large = (
            enlarged(sorted(folder.glob("*.jpg")), Path(scratch) / f"{folder.name} {COLLECTED} px")
            for folder in folders[:2]
        )
        for place in (*folders, *large, *make_large(Path(scratch))):
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
        print_strangers(arguments.paintings / "wikiart-224")


if __name__ == "__main__":
    main()
