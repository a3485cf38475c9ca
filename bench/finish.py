"""Super-resolution: seconds and peak memory by size; one process a row.

CPU seconds of one thread, or with --device cuda seconds by the clock and the GPU's memory.

.venv/bin/python bench/finish.py [--largest 1024] [--engine torch] [--bf16] [--device cuda]
(.venv-isr/bin/python bench/finish.py --engine isr measures the genuine ISR.)
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time

SIZES = (64, 128, 256, 512, 1024)


def measure(size: int, engine: str, is_bf16: bool, device: str) -> dict[str, float]:
    import numpy as np

    from machineray.finish.upscale import upscale

    if engine == "torch":
        import torch

        torch.set_num_threads(1)
    if device == "cuda":
        from machineray.devices import drawing_device

        assert drawing_device() == "cuda", "torch sees no GPU"
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    clock = time.perf_counter if device == "cuda" else time.process_time
    # Once before, to load weights and libraries; a GPU chooses its algorithms by the size.
    before = pixels if device == "cuda" else pixels[:8, :8]
    upscale(before, engine, is_bf16=is_bf16, device=device)
    start = clock()
    upscale(pixels, engine, is_bf16=is_bf16, device=device)
    seconds = clock() - start
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    if device == "cuda":
        peak_mib = torch.cuda.max_memory_reserved() / 2**20
    return {"seconds": seconds, "peak_mib": peak_mib}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=512)
    parser.add_argument("--engine", choices=("torch", "isr"), default="torch")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        told = (arguments.engine, arguments.bf16, arguments.device)
        print(json.dumps(measure(arguments.only, *told)))
        return
    one_thread = dict.fromkeys(
        ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"
    )
    environment = os.environ | one_thread | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    print(
        f"finish: super-resolution x4, engine {arguments.engine}, bf16 {arguments.bf16}, "
        f"{'seconds by the clock' if arguments.device == 'cuda' else 'CPU seconds'}"
    )
    print(f"{'input':>12} {'output':>12} {'s':>8} {'s/MP':>9} {'peak MiB':>9}")
    for size in (size for size in SIZES if size <= arguments.largest):
        command = [sys.executable, __file__, *sys.argv[1:], "--only", str(size)]
        answer = subprocess.run(
            command, check=True, capture_output=True, text=True, env=environment
        ).stdout.splitlines()[-1]
        row = json.loads(answer)
        per_megapixel = row["seconds"] / size**2 * 1e6
        print(
            f"{size:>7}x{size:<4} {4 * size:>7}x{4 * size:<4} {row['seconds']:>8.2f} "
            f"{per_megapixel:>9.1f} {row['peak_mib']:>9.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
