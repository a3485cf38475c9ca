"""Training pictures and variants: paintings a CPU second and peak memory; one process a row.

    .venv/bin/python bench/augment.py

The last rows hold the stage against the same recipe by imgaug, which only `uv` can install here
(bench/imgaug_recipe.py); without uv they are left out.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from table import EXAMPLES, Case, print_table

CASES = (
    Case("examples, 128 px", options={"resolution": 128}),
    Case("examples, 128 px, 6 variants", options={"resolution": 128, "variants": 6}),
    Case("examples, 1024 px", options={"resolution": 1024}),
    Case("examples, 1024 px, 6 variants", options={"resolution": 1024, "variants": 6}),
    Case("24 megapixels, 1024 px", large=6, options={"resolution": 1024}),
)
BESIDE = ((128, 6), (1024, 6))  # resolution, variants


def print_imgaug(uv: str) -> None:
    """The same pictures by imgaug, each saved as Pillow saves a PNG."""
    script = Path(__file__).with_name("imgaug_recipe.py")
    for side, variants in BESIDE:
        command = [uv, "run", "-q", str(script), str(EXAMPLES), str(side), str(variants)]
        ended = subprocess.run(command, capture_output=True, text=True)
        if ended.returncode:
            print(f"imgaug did not run: {ended.stderr.strip().splitlines()[-1]}")
            return
        row = json.loads(ended.stdout)
        label = f"imgaug, {side} px, {variants} variants"
        print(
            f"{label:<34} {row['count']:>5} {row['seconds']:>7.2f} "
            f"{row['count'] / row['seconds']:>8.1f}   of which variants {row['recipe_seconds']:.2f}"
        )


if __name__ == "__main__":
    print_table("augment", __doc__, CASES)
    uv = shutil.which("uv")
    if uv and "--only" not in sys.argv:
        print_imgaug(uv)
