"""Training and drawing at the equal network: what other trainers were measured with.

.venv/bin/python bench/train.py [train64 train128 generate256 ada64 data64 stop counts] [--repeat 2]
.venv/bin/python bench/train.py --preset tiny --preset demo   # these networks' plain steps

The equal network: stylegan2 x stylegan2, channel_base 16384, channel_max 512, 8 mapping layers, z
512, batch 8, single precision. The regularisers are amortised: of 16 steps 12 are plain, 3 have
path lengths, 1 has R1, too; a step of each kind is measured. A process a row: its peak is the
row's. img/s is by the clock, and means little where others want the cores; "bound" is what the CPU
seconds allow on cores that are free.
"""

import argparse
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

# row: (what it is called, its goals: at least img/s, at most CPU-s an image, at most GB)
GOALS = {
    "train64": ("train 64 px", 0.73, 2.4, None),
    "train128": ("train 128 px", 0.37, 4.1, 3.5),
    "generate256": ("generate 256 px", 3.4, None, None),
}
ROWS = (*GOALS, "ada64", "data64", "stop", "counts")
# what a step has beside its usual, the rarest last
KINDS = ("plain", "path length", "both")
ADA_P = 0.5
FED = 20_000  # pictures in the store of data64, none of them held in memory


def equal_network(px: int, augment: str = "none") -> Any:
    from machineray.gan.presets import preset_named

    preset = preset_named("paintings256")
    return replace(preset, name=f"equal{px}", resolution=px, batch=8, group=4, augment=augment)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """(CPU seconds, seconds by the clock)."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


class Trainer:
    """A training on pictures of noise whose steps of any kind can be timed."""

    def __init__(self, preset: Any, p: float = 0.0) -> None:
        import torch

        from machineray.gan.compute import Compute
        from machineray.gan.steps import new_training
        from machineray.gan.world import World

        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        # As `mray run train` has it by default.
        is_stylegan2 = preset.generator == preset.discriminator == "stylegan2"
        compute = Compute(World(device=device), channels_last=is_stylegan2)
        self.training = new_training(preset, 0, compute)
        self.training.adaptation.p = self.p = p
        px = preset.resolution
        self.real_img = torch.rand(preset.batch, 3, px, px, device=device) * 2 - 1

    def step(self, iteration: int) -> tuple[float, float]:
        from machineray.gan.steps import step

        self.training.nimg = iteration * self.training.preset.batch
        self.training.adaptation.p = self.p
        return timed(lambda: step(self.training, self.real_img))


def train_row(preset: Any, repeat: int) -> dict[str, Any]:
    """The least of `repeat` steps of each kind, and their mean as often as they come."""
    from machineray.gan.kinds import R1_EVERY, iterations_by_kind

    trainer = Trainer(preset)
    kinds = dict(zip(KINDS, iterations_by_kind(preset), strict=False))
    peaks, best = {}, {}
    trainer.step(1)
    for kind, iterations in kinds.items():
        best[kind] = min(trainer.step(iterations[0]) for _ in range(repeat))
        peaks[kind] = peak_gb()
    cpu, wall = (
        sum(best[kind][i] * len(same) for kind, same in kinds.items()) / R1_EVERY / preset.batch
        for i in (0, 1)
    )
    return {
        "cpu": cpu,
        "img_s": 1 / wall,
        "peaks": peaks,
        "kinds": {kind: seconds[0] / preset.batch for kind, seconds in best.items()},
    }


def generate_row(px: int, samples: int, repeat: int) -> dict[str, Any]:
    """Samples one at a time, as `mray run generate` draws them; the best of `repeat` rounds."""
    from machineray.gan.networks import for_drawing, new_generator
    from machineray.gan.sampling import sample

    generator = for_drawing(new_generator(equal_network(px)))
    list(sample(generator, [0]))
    cpu, wall = min(timed(lambda: list(sample(generator, range(samples)))) for _ in range(repeat))
    return {"cpu": cpu / samples, "img_s": samples / wall, "peaks": {"": peak_gb()}}


def ada_row(px: int, repeat: int) -> dict[str, float]:
    """Plain steps without and with augmentation at p = .5, by turns: CPU seconds an image."""
    plain, augmented = Trainer(equal_network(px)), Trainer(equal_network(px, "ada"), ADA_P)
    seconds: dict[str, list[float]] = {"none": [], "ada": []}
    for turn in range(repeat + 1):
        for name, trainer in (("none", plain), ("ada", augmented)):
            cpu = trainer.step(1)[0] / 8
            seconds[name] += [cpu] if turn else []
    return {name: min(values) for name, values in seconds.items()}


def data_row(px: int, repeat: int) -> dict[str, float]:
    """Batches of a store that holds nothing in memory, and the equal network's plain step."""
    import numpy as np

    from machineray.dataset.store import cached_store
    from machineray.gan.compute import Compute
    from machineray.gan.training import Config, real_batch
    from machineray.gan.world import World

    pixels = np.random.default_rng(0).integers(0, 256, (px, px, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        store = cached_store(
            Path(folder), "fed", (FED, 3, px, px), lambda: (("p", pixels) for _ in range(FED)), 0
        )
        config, compute = Config(equal_network(px)), Compute(World())
        batch = config.preset.batch
        before = peak_gb()
        fed, _ = min(
            timed(
                lambda: [len(real_batch(store, config, n, compute)) for n in range(0, FED, batch)]
            )
            for _ in range(repeat)
        )
        grown = peak_gb() - before
    trainer = Trainer(config.preset)
    trainer.step(1)
    step, _ = min(trainer.step(1) for _ in range(repeat))
    return {"feed": fed / FED, "step": step / batch, "grown_mb": grown * 1000}


def stop_row() -> dict[str, float]:
    """From SIGTERM to the end of a training of preset `demo`, with its checkpoint."""
    mray = str(Path(sys.executable).with_name("mray"))
    examples = Path(__file__).resolve().parents[1] / "examples" / "paintings"
    with tempfile.TemporaryDirectory() as root:
        place = ["--run", "stop", "--root", root]
        before_it = (
            ["collect", "--input", str(examples)],
            ["curate"],
            ["unframe"],
            ["augment", "--resolution", "128"],
        )
        for words in before_it:
            subprocess.run([mray, "run", *words, *place], check=True, capture_output=True)
        training = [mray, "run", "train", "--preset", "demo", "--kimg", "10", *place]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(training, stdout=quiet, stderr=quiet) as process:
            checkpoints = Path(root, "runs", "stop", "train", "checkpoints")
            while process.poll() is None and not list(checkpoints.glob("*.json")):
                time.sleep(0.1)
            time.sleep(5)  # it trains again
            before = len(list(checkpoints.glob("*.json")))
            start = time.perf_counter()
            process.send_signal(signal.SIGTERM)
            code = process.wait()
            seconds = time.perf_counter() - start
        newer = len(list(checkpoints.glob("*.json"))) - before
    return {"seconds": seconds, "code": code, "newer": newer}


def peak_gb() -> float:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def machine() -> str:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name(0)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    load = f", load {os.getloadavg()[0]:.1f} at the start"
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores{load}"


def row_of(name: str, threads: int, repeat: int) -> dict[str, Any]:
    import torch

    from machineray.gan.presets import preset_named

    torch.set_num_threads(threads)
    if name.startswith("train"):
        return train_row(equal_network(int(name.removeprefix("train"))), repeat)
    if name == "generate256":
        return generate_row(256, 8, repeat)
    if name == "data64":
        return data_row(64, repeat)
    if name == "stop":
        return stop_row()
    return ada_row(64, repeat) if name == "ada64" else train_row(preset_named(name), repeat)


def measured(name: str, threads: int, repeat: int) -> dict[str, Any]:
    """The row, of a process of its own."""
    command = [sys.executable, __file__, "--only", name]
    command += ["--threads", str(threads), "--repeat", str(repeat)]
    spin = {"GOMP_SPINCOUNT": "10000"} | dict(os.environ)  # as `mray` sets it
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=spin)
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def print_row(name: str, found: dict[str, Any], threads: int) -> None:
    label, img_s, cpu, gb = GOALS.get(name, (name, None, None, None))
    peak = max(found["peaks"].values())
    goals = (
        f"{img_s:.2f} img/s" if img_s else "",
        f"{cpu:.1f} CPU-s" if cpu else "",
        f"{gb:.1f} GB" if gb else "",
    )
    print(
        f"{label:<16} {found['img_s']:>6.2f} {threads / found['cpu']:>6.2f} "
        f"{found['cpu']:>9.3f} {peak:>8.2f}   "
        f"{', '.join(filter(None, goals))}",
        flush=True,
    )
    if len(found["peaks"]) > 1:
        kinds = [
            f"{k} {s:.2f} CPU-s, {found['peaks'][k]:.2f} GB" for k, s in found["kinds"].items()
        ]
        print(f"  a step, an image; peak until then: {'; '.join(kinds)}", flush=True)


def ada_sentence(found: dict[str, float]) -> str:
    return (
        f"augmentation at p = {ADA_P}, 64 px, by turns: {found['none']:.3f} CPU-s an image "
        f"without, {found['ada']:.3f} with: {found['ada'] / found['none'] - 1:+.1%}   "
        "goal: at most 15 %"
    )


def data_sentence(found: dict[str, float]) -> str:
    return (
        f"feeding 64 px from a file, nothing held: {1 / found['feed']:,.0f} pictures a CPU-s, "
        f"{found['step'] / found['feed']:,.0f} times what a plain step takes, memory "
        f"{found['grown_mb']:+.0f} MB   goal: at least 20 times"
    )


def stop_sentence(found: dict[str, float]) -> str:
    return (
        f"preset demo, from SIGTERM to the end: {found['seconds']:.1f} s, exit code "
        f"{found['code']:.0f}, {found['newer']:.0f} checkpoint more   goal: at most 10 s, 143"
    )


# row: what is said of it; the others are lines of a table.
SENTENCES = {"ada64": ada_sentence, "data64": data_sentence, "stop": stop_sentence}


def print_counts() -> None:
    """The figures that are the same on every machine, by preset."""
    from machineray.gan.counts import counted
    from machineray.gan.presets import PRESETS, preset_named

    print(
        "\ncounted on paper; GFLOP a training picture (regularisers amortised) and of a drawn one,"
        "\nMB a picture that graphs keep, MB a step that a process sends"
    )
    print(
        f"{'preset':<15} {'G M':>6} {'D M':>6} {'train':>7} {'draw':>6} {'G':>6} {'D':>6} "
        f"{'R1':>6} {'path':>6} {'sent':>6}"
    )
    config_f = replace(preset_named("paintings1024"), name="paintings1024f", channel_base=32768)
    networks = (*PRESETS, equal_network(64), equal_network(128), config_f)
    for preset in dict.fromkeys(networks):
        c = counted(preset)
        kept = [
            f"{part.kept_bytes / 1e6:>6.1f}" if part else f"{'-':>6}"
            for part in (c.generated, c.discriminator_step, c.r1, c.path_length)
        ]
        print(
            f"{preset.name:<15} {c.generator_parameters / 1e6:>6.2f} "
            f"{c.discriminator_parameters / 1e6:>6.2f} {c.gflop:>7.1f} {c.generated.gflop:>6.1f} "
            f"{' '.join(kept)} {c.sent_bytes / 1e6:>6.1f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(ROWS)}; default all")
    parser.add_argument("--preset", action="append", default=[], help="also a preset's steps")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=2, help="the best of so many counts")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(row_of(arguments.only, arguments.threads, arguments.repeat)))
        return
    import torch

    rows = arguments.rows or ([] if arguments.preset else ROWS)
    print(f"train: fp32, torch {torch.__version__}, {arguments.threads} threads, {machine()}")
    print("network: stylegan2 x stylegan2, base 16384, max 512, mapping 8, z 512, batch 8")
    print(f"{'':<16} {'img/s':>6} {'bound':>6} {'CPU-s/img':>9} {'peak GB':>8}   goal")
    for name in (*[row for row in rows if row in GOALS], *arguments.preset):
        print_row(name, measured(name, arguments.threads, arguments.repeat), arguments.threads)
    for name in [row for row in rows if row in SENTENCES]:
        found = measured(name, arguments.threads, arguments.repeat)
        print(SENTENCES[name](found), flush=True)
    if "counts" in rows:
        print_counts()


if __name__ == "__main__":
    main()
