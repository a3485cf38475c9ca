"""Make a training's snapshot the one that ships, and measure what MODEL_CARD.md says of it.

    .venv/bin/python tools/ship.py RUN --unseen OTHER_RUN [--root ROOT] [--best]

RUN holds augment and train, OTHER_RUN the augment of paintings that no training has seen. Weights
go into the package as 8-bit codes; docs/model gets the training page, a sheet of samples, the
metrics and the report of the audit. Where the page with pairs lies is printed: look at it.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from jobs.audit import PAGE, REPORT, audited
from jobs.networks import SHIPPED_FILE
from jobs.training import BEST, KID, NEWEST, snapshot_rows, training_images
from machineray import __version__
from machineray.dataset.store import Subset
from machineray.gallery.page import training_page
from machineray.gallery.pictures import Picture
from machineray.gallery.rooms import Grid, Progress
from machineray.gan.features import last_maps
from machineray.gan.networks import Generator
from machineray.gan.quality import Quality, Reference, reference
from machineray.gan.sampling import grid, sample
from machineray.gan.state import coded, load_snapshot
from machineray.imaging import decode, encode, from_array
from machineray.runs import StageRun, json_bytes, json_lines
from machineray.storage import open_store

PROJECT = Path(__file__).resolve().parent.parent
DOCS = PROJECT / "docs" / "model"
SAMPLES, AUDITED, SHOWN_GRIDS, SHOWN_ROWS, MEMORY_BYTES = 1000, 1000, 8, 300, 10**9


def pictures_of(run: StageRun) -> Subset:
    """All pictures of a run's augment."""
    store = training_images(run.sibling("augment"), MEMORY_BYTES)
    return Subset(store, range(len(store)))


def measured(generator: Generator, seen: Subset, unseen: Subset) -> dict[str, float]:
    """What the training measures, on more samples."""
    network = last_maps()

    def known(of: Subset) -> Reference:
        return reference(lambda i: of[i].transpose(1, 2, 0), range(len(of)), network)

    return Quality(known(seen), known(unseen), network).measured(generator, SAMPLES)


def audit(generator: Generator, seen: Subset, unseen: Subset) -> dict[str, Any]:
    """The report; its page stays in a temporary folder, because it shows the paintings."""
    folder = tempfile.mkdtemp(prefix="mray-audit-")
    output = StageRun(open_store(folder), "shipped", "train")
    for _ in audited(output, generator, AUDITED, seen, unseen):
        pass
    print(f"look at {folder}/{output.key(PAGE)}")
    report: dict[str, Any] = json.loads(output.read(REPORT))
    return report


def evenly(rows: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """At most so many of them, first and last included."""
    if len(rows) <= count:
        return list(rows)
    return [rows[round(i * (len(rows) - 1) / (count - 1))] for i in range(count)]


def show_training(train: StageRun, paintings: int) -> list[dict[str, Any]]:
    """index.html with a few grids, and metrics.jsonl; gives its rows."""
    metrics = [json.loads(line) for line in train.read("metrics.jsonl").splitlines()]
    grids = []
    for row in evenly(list(snapshot_rows(train)), SHOWN_GRIDS):
        image = decode(train.read(row["grid"]), row["grid"])
        small = image.resize((image.width // 2, image.height // 2))
        name = f"grids/{row['id']}.webp"
        (DOCS / name).parent.mkdir(parents=True, exist_ok=True)
        (DOCS / name).write_bytes(encode(small, "webp", quality=80))
        grids.append(Grid(row["nimg"] / 1000, Picture(name, small.width, small.height)))
    last = metrics[-1]
    seconds = last["seconds_total"]
    page = Progress(last["kimg"], seconds, last["machine"], paintings, grids, metrics)
    (DOCS / "index.html").write_text(training_page("shipped", page, __version__), "utf-8")
    shown = {row["nimg"] for row in evenly(metrics, SHOWN_ROWS)}
    rows = [row for row in metrics if row["nimg"] in shown or KID in row]
    (DOCS / "metrics.jsonl").write_bytes(json_lines(rows))
    return metrics


def main() -> None:
    """Write the snapshot and docs/model, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--unseen", required=True)
    parser.add_argument("--root", default="mray-data")
    parser.add_argument("--best", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(2)
    store = open_store(options.root)
    train = StageRun(store, options.run, "train")
    data = coded(train.read(BEST if options.best else NEWEST), options.run)
    SHIPPED_FILE.parent.mkdir(exist_ok=True)
    SHIPPED_FILE.write_bytes(data)
    snapshot = load_snapshot(data, SHIPPED_FILE.name)
    seen, unseen = pictures_of(train), pictures_of(StageRun(store, options.unseen, "train"))
    metrics = show_training(train, len(set(seen.ids)))
    then = max(row["nimg"] for row in metrics if row["nimg"] <= snapshot.about["nimg"])
    (last,) = [row for row in metrics if row["nimg"] == then]
    drawn = [pixels for _, pixels in sample(snapshot.generator, range(40))]
    (DOCS / "samples.webp").write_bytes(encode(from_array(grid(drawn, 8)), "webp", quality=88))
    report = audit(snapshot.generator, seen, unseen)
    told = {
        "bytes": len(data),
        "nimg": snapshot.about["nimg"],
        "head_start": snapshot.about["head_start"],
        "seconds_total": last["seconds_total"],
        "machine": last["machine"],
        "paintings": {"seen": len(set(seen.ids)), "never seen": len(set(unseen.ids))},
        "quality": measured(snapshot.generator, seen, unseen),
        "audit": {name: report[name] for name in ("samples", "copies", "honest")},
    }
    (DOCS / "audit.json").write_bytes(json_bytes(report))
    (DOCS / "model.json").write_bytes(json_bytes(told))
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
