"""Lossless formats of training pictures: CPU-ms to write and to read one, and its size.

.venv/bin/python bench/formats.py [--paintings FOLDER] [--side 1024]
"""

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from machineray.dataset.squares import squashed, varied
from machineray.imaging import encode, from_array

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "paintings"
PAINTINGS = 12
Encode = Callable[[np.ndarray], bytes]


def pillow_png(level: int) -> Encode:
    def write(pixels: np.ndarray) -> bytes:
        file = io.BytesIO()
        from_array(pixels).save(file, "png", compress_level=level)
        return file.getvalue()

    return write


def opencv_png(pixels: np.ndarray) -> bytes:
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def webp(method: int) -> Encode:
    def write(pixels: np.ndarray) -> bytes:
        file = io.BytesIO()
        from_array(pixels).save(file, "webp", lossless=True, quality=0, method=method)
        return file.getvalue()

    return write


WAYS: dict[str, Encode] = {
    "PNG, Pillow, level 6 (its default)": pillow_png(6),
    "PNG, Pillow, level 3": pillow_png(3),
    "PNG, Pillow, level 1": pillow_png(1),
    "PNG, OpenCV, level 1": opencv_png,
    "WebP, method 1": webp(1),
    "WebP, method 4": webp(4),
    "WebP as augment writes it": lambda p: encode(from_array(p), "webp", lossless=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paintings", type=Path, default=EXAMPLES)
    parser.add_argument("--side", type=int, default=1024)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    files = sorted(options.paintings.glob("*.jpg"))
    pictures = []
    for file in files[:: max(1, len(files) // PAINTINGS)][:PAINTINGS]:
        with Image.open(file) as image:
            pixels = squashed(image.convert("RGB"), (options.side, options.side))
        pictures += [pixels, *varied(pixels, file.stem, 1)]
    print(f"{len(pictures)} pictures of {options.side} px, half of them variants")
    print(f"{'format':<36} {'write ms':>8} {'read ms':>8} {'MB':>6}")
    for name, write in WAYS.items():
        start = time.process_time()
        files_bytes = [write(pixels) for pixels in pictures]
        written = time.process_time() - start
        start = time.process_time()
        back = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in files_bytes]
        read = time.process_time() - start
        assert all(map(np.array_equal, pictures, back)), name
        count = len(pictures)
        print(
            f"{name:<36} {1e3 * written / count:>8.1f} {1e3 * read / count:>8.1f} "
            f"{sum(map(len, files_bytes)) / count / 1e6:>6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
