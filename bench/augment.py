"""Training pictures and variants: paintings a CPU second and peak memory; one process a row.

    .venv/bin/python bench/augment.py

The last rows hold the stage against the same recipe by imgaug, which only `uv` can install here
(bench/imgaug_recipe.py); without uv they are left out.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from table import Case, print_table

# A museum of a thousand: of fewer the page, which shows a hundred, is a large part.
SMALL = Case("24 x examples, 128 px, 6 variants", 24, options={"resolution": 128, "variants": 6})
LARGE = Case("examples, 1024 px, 6 variants", options={"resolution": 1024, "variants": 6})
CASES = (
    Case("examples, 128 px", options={"resolution": 128}),
    SMALL,
    Case("examples, 1024 px", options={"resolution": 1024}),
    LARGE,
    Case("24 megapixels, 1024 px", large=6, options={"resolution": 1024}),
)


def print_imgaug(uv: str, case: Case) -> None:
    """The same pictures by imgaug, each saved as Pillow saves a PNG."""
    script = Path(__file__).with_name("imgaug_recipe.py")
    with tempfile.TemporaryDirectory() as folder:
        case.make(Path(folder))
        options = [str(case.options[name]) for name in ("resolution", "variants")]
        command = [uv, "run", "-q", str(script), folder, *options]
        ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        print(f"imgaug did not run: {ended.stderr.strip().splitlines()[-1]}")
        return
    row = json.loads(ended.stdout)
    print(
        f"{f'imgaug, {case.label}':<40} {row['count']:>5} {row['seconds']:>7.2f} "
        f"{row['count'] / row['seconds']:>8.1f}   of which variants {row['recipe_seconds']:.2f}"
    )


if __name__ == "__main__":
    print_table("augment", __doc__, CASES)
    uv = shutil.which("uv")
    if uv and "--only" not in sys.argv:
        for case in (SMALL, LARGE):
            print_imgaug(uv, case)
