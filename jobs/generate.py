"""One sample a seed, from a run's network or any snapshot file; or two seeds mixed.

mray run generate --run klee --seeds 0-99 --psi 0.8
mray run generate --run mixed --input klee/train --mix 3,17 --layers 2-6
"""

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from jobs import Job, main
from jobs.audit import BANK, PAGE, REPORT, CopyJudge
from jobs.networks import Best, Psi, SnapshotFile, chosen_network, loaded_network
from jobs.pictures import input_stage
from machineray.errors import UsageError
from machineray.log import Event
from machineray.rows import Rows
from machineray.runs import Plan, Row
from machineray.seeds import parsed_numbers, parsed_seeds
from machineray.shards import Done, Outcome, Refused, Task, batches, each

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from machineray.gan.networks import Generator

SEEDS = "0-23"
Drawn: TypeAlias = "tuple[Row, NDArray[np.uint8]]"


def generate(
    job: Job,
    seeds: Annotated[str, typer.Option(help="Which samples, such as 0-99,200.")] = SEEDS,
    psi: Psi = 1.0,
    snapshot: SnapshotFile = None,
    best: Best = False,
    refuse_copies: Annotated[
        bool, typer.Option("--refuse-copies", help="Leave out what is too near to a painting.")
    ] = False,
    batch: Annotated[int, typer.Option(min=1, help="Samples at a time on a GPU.")] = 8,
    mix: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Instead of --seeds: seed A in the style of B …"),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(help="… from this layer on, a picture each, such as 2-6; default: half."),
    ] = None,
) -> Iterator[Event]:
    """Draw one picture a seed; the same seed is the same picture, alone or among many."""
    numbers = parsed_seeds(seeds)  # a mistake is told before anything is asked
    pair = parsed_pair(mix, seeds, layers)
    read, source = chosen_network(job, snapshot, best)
    if refuse_copies:
        if snapshot:
            raise UsageError("--refuse-copies: a snapshot file knows no paintings; give --input")
        check_judge(job)
    arguments: dict[str, Any] = {"psi": psi, "refuse_copies": refuse_copies}
    if pair:
        numbers = checked_layers(layers, read(), source["from"])
        arguments["mix"] = pair
    if refuse_copies and job.max_failures is None:
        job = replace(job, max_failures=len(numbers))  # to refuse is what was asked for

    @functools.cache  # for all indexes: a snapshot of 1,024 px is more than what 32 samples are
    def network() -> "Generator":
        return loaded_network(read, source["from"], job.workers)

    @functools.cache
    def judge() -> CopyJudge:
        stage = input_stage(job)
        assert stage is not None
        return CopyJudge(stage.read_proven(stage.proof(BANK)))

    plan = Plan(
        stage=job.stage,
        arguments=arguments,
        input=source,
        indexes=batches(numbers, job.row.items_per_index),
    )

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome]:
        from machineray.imaging import encode, from_array

        device = next(network().parameters()).device.type

        def one(sample: Drawn) -> bytes:
            return encode(from_array(sample[1]), "png")

        # By threads, while the network draws on: a GPU draws quicker than one core writes PNG.
        drawn = _drawn(network(), items, pair, psi, batch)
        for (told, pixels), data in each(one, drawn, job.workers):
            assert isinstance(data, bytes)
            copied = judge().copied(pixels) if refuse_copies else ""
            if copied:
                yield Refused(told["id"], f"{told['id']}: {copied}")
                continue
            name = f"samples/{told['id']}.png"
            height, width, _ = pixels.shape
            row = {
                "id": told["id"],
                "key": job.output.key(name),
                **told,
                "psi": psi,
                "snapshot": source["sha256"],
                "device": device,
                "width": width,
                "height": height,
            }
            yield Done({name: data}, [row])

    def merge(records: Rows) -> Iterator[tuple[str, Path]]:
        yield "catalog.jsonl", records.path

    yield from job.execute(Task(plan, job.row.unit, work, merge))


def check_judge(job: Job) -> None:
    """UsageError where nobody can say which samples are copies: none would be refused."""
    stage = input_stage(job)
    assert stage is not None
    if json.loads(stage.read_proven(stage.proof(REPORT)))["honest"] is None:
        raise UsageError(
            f"--refuse-copies: {stage.name} kept no paintings to say how near is too near (it does "
            "of 20 or more, without --held-out 0): draw without it, and look at "
            f"{job.store.url}/{stage.key(PAGE)}"
        )


def _drawn(
    network: "Generator", items: Sequence[int], pair: list[int] | None, psi: float, batch: int
) -> Iterator[Drawn]:
    """What tells a picture from the others, and its pixels; items are seeds, of a pair layers."""
    if pair is None:
        from machineray.gan.sampling import sample

        for seed, pixels in sample(network, items, psi, batch=batch):
            yield {"id": f"seed{seed:06d}", "seed": seed}, pixels
        return
    from machineray.gan.latent import mixed

    first, second = pair
    for layer in items:
        name = f"mix{first:06d}-{second:06d}-layer{layer:02d}"
        row = {"id": name, "seed": first, "mixed_with": second, "from_layer": layer}
        yield row, mixed(network, first, second, layer, psi)


def parsed_pair(mix: str | None, seeds: str, layers: str | None) -> list[int] | None:
    """'3,17' -> [3, 17], None without --mix; UsageError for anything that is no pair."""
    if mix is None:
        if layers is not None:
            raise UsageError(f"--layers {layers}: goes with --mix A,B; give both")
        return None
    pair = parsed_numbers(mix, "--mix")
    if len(pair) != 2:
        raise UsageError(f"--mix {mix!r}: two seeds are mixed, such as --mix 3,17")
    if seeds != SEEDS:
        raise UsageError("--mix and --seeds: give one of them, each in a run of its own")
    return pair


def checked_layers(layers: str | None, data: bytes, name: str) -> list[int]:
    """The layers from which on B counts; UsageError says which ones the network has."""
    from machineray.gan.header import header_of

    count = header_of(data, name).layers
    if layers is None:
        return [count // 2]
    numbers = parsed_numbers(layers, "--layers")
    if not all(1 <= number < count for number in numbers):
        said = (
            "layer 1, from which on B gives the palette and A the form: --layers 1"
            if count == 2
            else f"layers 1 to {count - 1}: low ones change the forms, high ones the colours"
        )
        raise UsageError(f"--layers {layers}: {name} can be mixed from {said}")
    return numbers


if __name__ == "__main__":
    main(generate)
