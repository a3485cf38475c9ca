"""Training on one GPU: pictures a second, seconds a kimg and memory of each preset, as it comes.

    python bench/gpu.py [--preset sketch …] [--batch 64] [--seconds 5]

Regularisers as often as they come; a GPU is told each step anew, or, recorded, once. Pictures are
noise that lies on the GPU. stylegan2-ada says of itself, at 1024 px (config f, mixed precision):
141.8 s/kimg on a V100, 90.4 on an A100.
"""

import argparse
import time
from dataclasses import replace

import torch

from machineray.gan.compute import Compute, Precision
from machineray.gan.kinds import R1_EVERY, iterations_by_kind
from machineray.gan.presets import PRESETS, Preset, preset_named
from machineray.gan.steps import new_training, step
from machineray.gan.world import World


def measured(preset: Preset, precision: Precision, recorded: bool, seconds: float) -> str:
    """img/s, s/kimg, CPU ms and GB; whole rounds of R1_EVERY steps, so many seconds of them."""
    device = torch.device("cuda")
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    compute = Compute(World(device=device), 0, precision, True, False, recorded)
    training = new_training(preset, 0, compute)
    training.adaptation.p = 0.3
    real_img = torch.rand(preset.batch, 3, *preset.size.shapes[-1], device=device) * 2 - 1
    began = time.perf_counter()
    for same in iterations_by_kind(preset):
        for _ in range(2):  # as usual, and recorded
            training.nimg = same[0] * preset.batch
            step(training, real_img)
    ready = time.perf_counter() - began
    started, cpu, steps = time.perf_counter(), time.process_time(), 0
    while steps == 0 or time.perf_counter() - started < seconds:
        training.nimg = 0
        for _ in range(R1_EVERY):
            step(training, real_img)
        steps += R1_EVERY
    wall = (time.perf_counter() - started) / steps
    cpu = (time.process_time() - cpu) / steps
    return (
        f"{preset.batch / wall:>8.0f} {1000 * wall / preset.batch:>7.2f} {1000 * wall:>8.1f} "
        f"{1000 * cpu:>7.1f} {torch.cuda.max_memory_reserved() / 1e9:>6.1f} {ready:>6.1f}"
    )


def main() -> None:
    """One table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", action="append", choices=[preset.name for preset in PRESETS])
    parser.add_argument("--batch", type=int, help="Instead of the preset's.")
    parser.add_argument("--precision", action="append", choices=("fp32", "bf16"))
    parser.add_argument("--recorded", action="append", choices=("yes", "no"))
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--benchmark", action="store_true", help="cuDNN tries all it has first.")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = options.benchmark
    print(f"gpu: {torch.cuda.get_device_name(0)}, torch {torch.__version__}, TF32")
    print(
        f"{'preset':<15} {'batch':>5} {'in':>4} {'recorded':>8} {'img/s':>8} {'s/kimg':>7} "
        f"{'ms/step':>8} {'CPU ms':>7} {'GB':>6} {'ready':>6}"
    )
    for name in options.preset or ("sketch", "demo", "paintings256", "paintings1024f"):
        preset = preset_named(name)
        if options.batch:
            preset = replace(preset, batch=options.batch)
        for precision in options.precision or ("bf16",):
            for recorded in options.recorded or ("no", "yes"):
                told = measured(preset, precision, recorded == "yes", options.seconds)
                print(
                    f"{name:<15} {preset.batch:>5} {precision:>4} {recorded:>8} {told}", flush=True
                )


if __name__ == "__main__":
    main()
