"""One sample a seed, from a run's network or any snapshot file.

mray run generate --run klee --seeds 0-99 --psi 0.8
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer

from jobs import FILE, Job, main
from jobs.audit import BANK, CopyJudge
from jobs.pictures import input_stage
from jobs.training import BEST, NEWEST
from machineray.errors import UsageError
from machineray.log import Event
from machineray.runs import Plan, Row, json_lines, sha256_of
from machineray.seeds import parsed_seeds
from machineray.shards import Done, Outcome, Refused, Task, batches
from machineray.storage import read_file


def generate(
    job: Job,
    seeds: Annotated[str, typer.Option(help="Which samples, such as 0-99,200.")] = "0-23",
    psi: Annotated[
        float, typer.Option(min=0, max=2, help="Truncation: 0 the mean picture, 1 all variety.")
    ] = 1.0,
    snapshot: Annotated[
        str | None,
        typer.Option(metavar=FILE, help="Draw from this snapshot file instead of the run's."),
    ] = None,
    best: Annotated[
        bool, typer.Option("--best", help="From the snapshot with the lowest KID, not the newest.")
    ] = False,
    refuse_copies: Annotated[
        bool, typer.Option("--refuse-copies", help="Leave out what is too near to a painting.")
    ] = False,
    batch: Annotated[int, typer.Option(min=1, help="Samples at a time; changes no pixel.")] = 8,
) -> Iterator[Event]:
    """Draw one picture a seed; the same seed is the same picture, alone or among many."""
    numbers = parsed_seeds(seeds)  # a mistake is told before anything is asked
    read, source = _snapshot(job, snapshot, BEST if best else NEWEST)
    if refuse_copies and snapshot:
        raise UsageError("--refuse-copies: a snapshot file alone knows no paintings; give --input")

    if refuse_copies and job.max_failures is None:
        job = replace(job, max_failures=len(numbers))  # to refuse is what was asked for

    def read_bank() -> bytes:
        stage = input_stage(job)
        assert stage is not None
        return stage.read_proven(stage.proof(BANK))

    plan = Plan(
        stage=job.stage,
        arguments={"psi": psi, "refuse_copies": refuse_copies},
        input=source,
        indexes=batches(numbers, job.row.items_per_index),
    )

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome]:
        import torch

        from machineray.gan.sampling import sample
        from machineray.gan.state import load_snapshot
        from machineray.imaging import encode, from_array

        torch.set_num_threads(job.workers)
        network = load_snapshot(read(), source["from"]).generator
        judge = CopyJudge(read_bank()) if refuse_copies else None
        for seed, pixels in sample(network, items, psi, batch=batch):
            copied = judge.copied(pixels) if judge else ""
            if copied:
                yield Refused(f"seed{seed:06d}", f"seed {seed}: {copied}")
                continue
            name = f"samples/seed{seed:06d}.png"
            height, width, _ = pixels.shape
            row = {
                "id": f"seed{seed:06d}",
                "key": job.output.key(name),
                "seed": seed,
                "psi": psi,
                "snapshot": source["sha256"],
                "width": width,
                "height": height,
            }
            yield Done({name: encode(from_array(pixels), "png")}, [row])

    def merge(records: list[Row]) -> Iterator[tuple[str, bytes]]:
        yield "catalog.jsonl", json_lines(records)

    yield from job.execute(Task(plan, job.row.unit, work, merge))


def _snapshot(job: Job, file: str | None, name: str) -> tuple[Callable[[], bytes], dict[str, Any]]:
    """What reads the snapshot, and the plan's word for where it and its paintings come from."""
    if file is not None:
        data, name = read_file(file), file.rpartition("/")[2]
        return lambda: data, {"from": name, "sha256": sha256_of(data), "paintings": None}
    stage = input_stage(job)
    if stage is None or stage.stage != "train":
        raise UsageError(f"--input {job.input}: generate reads RUN/train, or --snapshot FILE")
    proof, plan = stage.proof(name), stage.plan()
    paintings = plan.input["from"] if plan else None
    source = {"from": stage.name, "sha256": proof.sha256, "paintings": paintings}
    return lambda: stage.read_proven(proof), source


if __name__ == "__main__":
    main(generate)
