"""Curating: pictures a CPU second and peak memory; and how right it is on labelled paintings.

.venv/bin/python bench/curate.py                            one process a row
.venv/bin/python bench/curate.py --paintings PAINTINGS      some five minutes
PAINTINGS holds train/, framed/ and representational/, each with a catalog.csv, and wikiart-224/.
The scores of the network are cross-validated: tools/fit_curate.py says how.
"""

import argparse
import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps
from table import Case, print_table

from machineray.curate.decisions import DOUBTS
from machineray.curate.defects import colourfulness, sharpness
from machineray.curate.duplicates import duplicate_of
from machineray.curate.hashes import views
from machineray.imaging import decode

CASES = (
    Case("examples, 512 px JPEG"),
    Case("24 megapixels, JPEG", large=6),
    Case("24 megapixels, TIFF", large=6, format="tiff"),
)
WORKING = 1000  # longest side of what copies are made of, pixels
EVERY = 4  # one painting of so many is copied

Change = Callable[[Image.Image], Image.Image]


def recompressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=40)
    return decode(file.getvalue(), "copy")


def framed(*depths: float) -> Change:
    """A dark frame, or a mat and a frame, or these on a wall; depths are of the shorter side."""
    colours = ((240, 236, 225), (60, 40, 20), (170, 170, 165))[0 if len(depths) > 1 else 1 :]

    def change(image: Image.Image) -> Image.Image:
        side = min(image.size)
        for depth, colour in zip(depths, colours, strict=False):
            image = ImageOps.expand(image, round(depth * side), colour)
        return image

    return change


COPIES: dict[str, Change] = {
    "mirrored, a fifth, JPEG 40": lambda image: recompressed(
        ImageOps.mirror(image).resize((image.width // 5, image.height // 5))
    ),
    "black and white": lambda image: image.convert("L").convert("RGB"),
    "in a frame of 6 %": framed(0.06),
    "in a mat and a frame, 11 %": framed(0.05, 0.06),
    "the same on a wall, 19 %": framed(0.05, 0.06, 0.08),
}
SPOILED: dict[str, tuple[str, Change]] = {
    f"blurred by {radius} px": ("blurred", lambda image, r=radius: blurred(image, r))
    for radius in (1, 2, 3)
} | {
    "scanned in grey": ("black and white", lambda image: image.convert("L").convert("RGB")),
    "scanned in sepia": (
        "black and white",
        lambda image: ImageOps.colorize(image.convert("L"), (30, 18, 10), (250, 240, 215)),
    ),
}


def blurred(image: Image.Image, radius: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius))


def measured(image: Image.Image) -> dict[str, float]:
    return {"sharpness": sharpness(image), "colour": colourfulness(image)}


def quality(folder: Path) -> None:
    """Print what the checks find, and what they take of good paintings."""
    names = ("train", "framed", "representational")
    files = [file for name in names for file in sorted((folder / name).glob("*.jpg"))]
    looks, clean, chosen = [], [], []
    for number, file in enumerate(files):
        image = decode(file.read_bytes(), file.name)
        looks.append(views(image))
        clean.append(measured(image))
        if number % EVERY == 0:
            image.thumbnail((WORKING, WORKING))
            chosen.append((number, image))
    known = duplicate_of(np.stack(looks))
    abstract = clean[: len(list((folder / "train").glob("*.jpg")))]
    print(f"{len(files)} paintings: {sum(n is not None for n in known)} repeat another one")
    print(f"{'copies of ' + str(len(chosen)):<28} {'found':>6} {'taken for another':>18}")
    for label, change in COPIES.items():
        copies = np.stack([views(change(image)) for _, image in chosen])
        found = duplicate_of(np.concatenate([np.stack(looks), copies]))[len(looks) :]
        # Of a painting that is there twice the copy repeats the first.
        originals = [number if known[number] is None else known[number] for number, _ in chosen]
        right = sum(one == other for one, other in zip(found, originals, strict=True))
        wrong = sum(one is not None for one in found) - right
        print(f"{label:<28} {right / len(chosen):>6.2f} {wrong:>18}")
    print(f"{'defects':<28} {'found':>6} {f'of {len(abstract)} good ones':>18}")
    for label, (verdict, change) in SPOILED.items():
        doubt = next(each for each in DOUBTS if each.verdict == verdict)
        found = np.mean([doubt.holds(measured(change(image))) for _, image in chosen])
        false = sum(doubt.holds(each) for each in abstract)
        print(f"{label:<28} {found:>6.2f} {false:>18}")


def scores(folder: Path) -> None:
    """Print precision and recall of the network's scores, on folds."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
    import fit_curate
    import torch

    torch.set_num_threads(1)
    examples = fit_curate.examples(folder, ())
    fit_curate.report(examples, fit_curate.cross_validated(examples))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--paintings", type=Path)
    options, _ = parser.parse_known_args()
    if options.paintings:
        quality(options.paintings)
        scores(options.paintings)
    else:
        print_table("curate", __doc__, CASES)
