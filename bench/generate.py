"""Generating: samples a second and CPU seconds a sample, one at a time and in batches of 8.

.venv/bin/python bench/generate.py [--preset demo --preset paintings256] [--threads 2]
"""

import argparse
import os
import platform
import time


def measure(name: str, batch: int, samples: int) -> str:
    import torch

    from machineray.gan.networks import draw, for_drawing, latents, new_generator, noise_of
    from machineray.gan.presets import preset_named

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    generator = for_drawing(new_generator(preset_named(name)).to(device))

    def once(start: int) -> None:
        seeds = range(start, start + batch)
        draw(generator, latents(generator, seeds), noise_of(generator, seeds)).cpu()

    with torch.inference_mode():
        once(0)
        wall, cpu = time.perf_counter(), time.process_time()
        for start in range(0, samples, batch):
            once(start)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return (
        f"{name:<14} {generator.size!s:>7} {batch:>5} {torch.get_num_threads():>7} "
        f"{samples / wall:>9.2f} {cpu / samples:>8.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", action="append")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--samples", type=int, default=32)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    where = torch.cuda.get_device_name(0) if torch.cuda.is_available() else platform.machine()
    print(f"generate: fp32, torch {torch.__version__}, {where}")
    print(f"{'preset':<14} {'px':>7} {'batch':>5} {'threads':>7} {'samples/s':>9} {'CPU-s':>8}")
    for preset in arguments.preset or ["tiny", "demo", "paintings256"]:
        for batch in (1, 8):
            print(measure(preset, batch, arguments.samples), flush=True)


if __name__ == "__main__":
    main()
