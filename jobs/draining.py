"""Drain a training: store what it yields, tell how far it is, stop when asked to."""

import json
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

from jobs import Terminated
from jobs.audit import LEAST_AUDITED, MOST_AUDITED, PAGE, REPORT, audited
from jobs.training import (
    KID,
    agreed_checkpoint,
    metric_row,
    metrics_until,
    quality_warning,
    snapshot_rows,
    store_checkpoint,
    store_snapshot,
)
from machineray.errors import Interrupted, TemporaryError
from machineray.log import Event, Note, Progress
from machineray.runs import StageRun, json_lines

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from machineray.dataset.store import PictureStore, Subset
    from machineray.gan.compute import Compute
    from machineray.gan.quality import Quality, Reference
    from machineray.gan.training import Begin, Checkpoint, Config, Snapshot, Tick


def trained(
    output: StageRun,
    config: "Config",
    images: "PictureStore",
    share: float,
    compute: "Compute",
    checkpoint_seconds: float,
    begin: "Begin",
) -> Iterator[Event]:
    """Drain the training: store what it yields, tell how far it is, stop when asked to."""
    from machineray.dataset.store import Subset, held_out
    from machineray.gan.training import train as training

    nimg, resume, skipped = agreed_checkpoint(output, compute.world)
    others = held_out(images.ids, share)
    seen = Subset(images, [i for i, name in enumerate(images.ids) if name not in others])
    unseen = Subset(images, [i for i, name in enumerate(images.ids) if name in others])
    is_first = compute.world.rank == 0
    quality = quality_against(seen, unseen, compute) if is_first else None
    with _StopSignal() as stop:
        events = training(
            config,
            seen,
            compute=compute,
            quality=quality,
            begin=begin,
            resume=resume,
            stop=lambda: stop.signal is not None,
            checkpoint_seconds=checkpoint_seconds,
        )
        if is_first:
            yield from (Note(f"train: {reason}: the one before is taken") for reason in skipped)
            yield from _stored(output, config, events, nimg, len(set(images.ids) - others))
        else:
            for _ in events:
                pass
        was_stopped = compute.world.any(stop.signal is not None)
        if stop.signal == signal.SIGTERM:
            raise Terminated
        if stop.signal is not None:
            raise Interrupted("interrupted, with a checkpoint; the same command goes on from it")
        if was_stopped:
            raise TemporaryError(
                "another process of this training was told to stop; there is a checkpoint, and the "
                "same command goes on from it"
            )
    if is_first:
        yield Note(f"train: look at {output.store.url}/{output.key('index.html')}")
        yield from _audited(output, seen, unseen, compute)


def _audited(
    output: StageRun, seen: "Subset", unseen: "Subset", compute: "Compute"
) -> Iterator[Event]:
    """Compare samples of the newest snapshot with the paintings: does it copy?"""
    from machineray.gan.state import load_snapshot

    rows = list(snapshot_rows(output))
    if not rows:
        return
    data = output.store.read(rows[-1]["key"])
    yield Note("train: looks for copies of paintings among samples")
    samples = max(LEAST_AUDITED, min(MOST_AUDITED, rows[-1]["nimg"] // 20))
    generator = load_snapshot(data, rows[-1]["key"]).generator.to(compute.device)
    for _ in audited(output, generator, samples, seen, unseen):
        pass
    report = json.loads(output.read(REPORT))
    if report["honest"]:
        yield Note(
            f"train: too near to a painting: {report['copies']} of {report['samples']} samples; "
            f"look at {output.store.url}/{output.key(PAGE)}"
        )


def _stored(
    output: StageRun,
    config: "Config",
    events: "Iterator[Tick | Snapshot | Checkpoint]",
    nimg: int,
    paintings: int,
) -> Iterator[Event]:
    """Put what a training yields into the store, and tell how far it is."""
    from machineray.gan.training import Checkpoint, Snapshot, Tick

    metrics = metrics_until(output, nimg)
    total, kid = config.total_nimg / 1000, ""
    yield Progress("train", nimg / 1000, total, "kimg", "goes on" if nimg else "")
    for event in events:
        if isinstance(event, Tick):
            metrics.append(metric_row(event, metrics))
            yield Progress("train", event.nimg / 1000, total, "kimg", told(event.values) + kid)
        elif isinstance(event, Snapshot):
            if metrics and metrics[-1]["nimg"] == event.nimg:
                metrics[-1] |= event.quality
            store_snapshot(output, event, metrics, paintings)
            kid = f"  KID {1000 * event.quality[KID]:.0f}" if KID in event.quality else kid
            warning = quality_warning(list(snapshot_rows(output))) if event.quality else ""
            if warning:
                yield Note(f"train: {warning}")
        elif isinstance(event, Checkpoint):
            output.write("metrics.jsonl", json_lines(metrics))
            store_checkpoint(output, event)


def told(values: dict[str, float]) -> str:
    """What a person watches: both losses, and how much is augmented."""
    p = f"  p {values['ada_p']:.2f}" if values.get("ada_p") else ""
    return f"G {values['loss_g']:.2f}  D {values['loss_d']:.2f}{p}"


def quality_against(seen: "Subset", unseen: "Subset", compute: "Compute") -> "Quality":
    """Measures against the paintings that are learnt from, and those that are held out."""
    from machineray.gan.features import last_maps
    from machineray.gan.quality import Quality, cached_reference, reference, reference_name

    network = last_maps(compute.device)

    def of(pictures: "Subset") -> "Reference":
        def one(index: int) -> "NDArray[np.uint8]":
            return pictures[index].transpose(1, 2, 0)

        return cached_reference(
            pictures.path_of(reference_name(compute.device)),
            lambda: reference(one, range(len(pictures)), network),
        )

    return Quality(of(seen), of(unseen) if len(unseen) > 1 else None, network)


class _StopSignal:
    """Ctrl-C and SIGTERM become a flag, so that the step ends and a checkpoint is written.

    A second Ctrl-C stops at once.
    """

    signal: int | None = None

    def __enter__(self) -> "_StopSignal":
        self._before = {
            number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def _note(self, number: int, frame: object) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
