# /// script
# requires-python = ">=3.8,<3.12"
# dependencies = ["imgaug==0.4.0", "numpy<1.24", "pillow"]
# ///
"""The recipe of `mray run augment` by imgaug, as people wrote it in 2020; for bench/augment.py.

    uv run bench/imgaug_recipe.py PAINTINGS RESOLUTION VARIANTS

A painting is read once, squashed, varied as one batch; each picture becomes a PNG file as Pillow
writes it. Prints one line of JSON: {"count": paintings, "seconds": CPU, "recipe_seconds": CPU of
the variants alone}. One thread, as the stage's own row. imgaug's last release is of 2020 and needs
a numpy of before 1.24: hence this script of its own.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import cv2
import imgaug.augmenters as iaa
import numpy as np
from PIL import Image

RECIPE = iaa.Sequential(
    [
        iaa.Rot90((0, 3), keep_size=False),
        iaa.PerspectiveTransform(scale=(0.0, 0.05), mode="replicate", keep_size=True),
        iaa.AddToHueAndSaturation((-20, 20), per_channel=True),
    ]
)


def main(folder: Path, side: int, variants: int) -> None:
    cv2.setNumThreads(1)
    files = sorted(path for path in folder.iterdir() if path.suffix == ".jpg")
    recipe_seconds, start = 0.0, time.process_time()
    with tempfile.TemporaryDirectory() as out:
        for file in files:
            image = Image.open(file).convert("RGB").resize((side, side), Image.BILINEAR)
            pixels = np.array(image)
            before = time.process_time()
            made = RECIPE(images=[pixels] * variants)
            recipe_seconds += time.process_time() - before
            for number, picture in enumerate([pixels, *made]):
                Image.fromarray(picture).save(Path(out) / f"{file.stem}_v{number}.png")
    told = {"count": len(files), "seconds": time.process_time() - start}
    print(json.dumps({**told, "recipe_seconds": recipe_seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
