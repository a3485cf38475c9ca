"""Training: pictures a second and CPU seconds a picture, by preset and number of threads.

.venv/bin/python bench/train.py [--preset tiny --preset demo] [--threads 2] [--steps 6]
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import time


def measure(name: str, threads: int, steps: int) -> str:
    import torch

    from machineray.gan.presets import preset_named
    from machineray.gan.randomness import generator_for
    from machineray.gan.steps import new_training, step

    torch.set_num_threads(threads)
    preset = preset_named(name)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    training = new_training(preset, 0, device)
    side = preset.resolution
    rng = generator_for("bench", device=device)
    real_img = torch.rand(preset.batch, 3, side, side, generator=rng, device=device) * 2 - 1
    # 16 steps are one turn of the lazy regularisers; a first turn warms caches and allocators.
    turn = max(steps, 16) if preset.discriminator == "stylegan2" and side <= 64 else steps
    for _ in range(min(turn, 3)):
        step(training, real_img, rng)
    training.nimg = 0
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(turn):
        step(training, real_img, rng)
    images = turn * preset.batch
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    millions = sum(p.numel() for p in training.generator.parameters()) / 1e6
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    kind = f"{preset.generator} x {preset.discriminator}"
    return (
        f"{name:<14} {kind:<22} {side:>5} {millions:>6.2f} {preset.batch:>5} {threads:>7} "
        f"{images / wall:>7.2f} {cpu / images:>8.4f} {peak_mib:>9.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", action="append")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(measure(arguments.only, arguments.threads, arguments.steps))
        return
    import torch

    where = torch.cuda.get_device_name(0) if torch.cuda.is_available() else platform.machine()
    print(f"train: fp32, torch {torch.__version__}, {where}")
    print(
        f"{'preset':<14} {'G x D':<22} {'px':>5} {'G, M':>6} {'batch':>5} {'threads':>7} "
        f"{'img/s':>7} {'CPU-s/img':>8} {'peak MiB':>9}"
    )
    for preset in arguments.preset or ["tiny", "demo"]:
        command = [sys.executable, __file__, *sys.argv[1:], "--only", preset]
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout, end="")


if __name__ == "__main__":
    main()
