"""What a network can be led to: sheets of truncation and of directions in its weights.

mray run explore --run klee
mray run explore --run far --input klee/train --seeds 3,17 --directions 12 --strength 4
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs import Job, main
from jobs.networks import Best, Psi, SnapshotFile, chosen_network, loaded_network
from machineray.errors import UsageError
from machineray.log import Event, Note
from machineray.runs import Plan, Row, json_lines
from machineray.seeds import parsed_seeds
from machineray.shards import Done, Outcome, Task, batches

if TYPE_CHECKING:
    from PIL.Image import Image

    from machineray.gan.networks import Generator

MOST_SEEDS, MOST_PSIS = 40, 20
STEPS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # of --strength
TRUNCATION = "truncation"
PAGE = "index.html"


def explore(
    job: Job,
    seeds: Annotated[str, typer.Option(help="Whose pictures, a row each, such as 0-3,17.")] = "0-3",
    psis: Annotated[str, typer.Option(help="Truncations, a column each.")] = "0,0.3,0.6,0.8,1,1.2",
    directions: Annotated[
        int, typer.Option(min=0, max=512, help="How many, the strongest first.")
    ] = 6,
    strength: Annotated[
        float, typer.Option(min=0.1, max=20, help="How far, in standard deviations of w.")
    ] = 3.0,
    psi: Psi = 1.0,
    snapshot: SnapshotFile = None,
    best: Best = False,
) -> Iterator[Event]:
    """Sheets to look at: seeds by truncation, and where each direction of the weights leads."""
    numbers, columns = parsed_seeds(seeds), parsed_psis(psis)
    if len(numbers) > MOST_SEEDS:
        raise UsageError(f"--seeds {seeds}: {len(numbers)} rows, at most {MOST_SEEDS} to a sheet")
    read, source = chosen_network(job, snapshot, best)
    sheets = [TRUNCATION, *(f"direction{number:02d}" for number in range(directions))]
    plan = Plan(
        stage=job.stage,
        arguments={
            "seeds": numbers,
            "psis": columns,
            "directions": directions,
            "strength": strength,
            "psi": psi,
        },
        input=source,
        indexes=batches(sheets, job.row.items_per_index),
    )
    network = functools.cache(lambda: loaded_network(read, source["from"], job.workers))

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome]:
        for item in items:
            if item == TRUNCATION:
                yield _sheet(job, item, "truncation", truncated(network(), numbers, columns))
                continue
            number = sheets.index(item) - 1
            for group, table in led(network(), numbers, number, strength, psi):
                title = f"direction {number}: {group}"
                yield replace(_sheet(job, f"{item}-{group}", title, table), items=0)
            yield Done()

    def merge(records: list[Row]) -> Iterator[tuple[str, bytes]]:
        from machineray.gallery.explore import explore_page
        from machineray.gan.latent import all_directions
        from machineray.gan.state import packed

        if directions:
            found = all_directions(network(), directions)
            yield "directions.safetensors", packed(found, {"snapshot": source["sha256"]})
        shown = [(f"sheets/{row['id']}.png", row["shows"]) for row in records]
        yield PAGE, explore_page(job.run, shown).encode()
        told = {"seeds": numbers, "psi": psi, "snapshot": source["sha256"]}
        yield "catalog.jsonl", json_lines([row | told for row in records])

    yield from job.execute(Task(plan, job.row.unit, work, merge))
    if job.output.is_complete():
        yield Note(f"{job.stage}: look at {job.store.url}/{job.output.key(PAGE)}")


@dataclass(frozen=True)
class Table:
    """Labels of the columns, and rows: a label and a picture a column."""

    columns: Sequence[str]
    rows: Iterator[tuple[str, list["Image"]]]


def truncated(network: "Generator", seeds: Sequence[int], psis: Sequence[float]) -> Table:
    """Each seed at each psi, as `generate` draws it."""
    from machineray.gan.sampling import sample
    from machineray.imaging import from_array

    def row(seed: int) -> list["Image"]:
        return [from_array(pixels) for psi in psis for _, pixels in sample(network, [seed], psi)]

    rows = ((f"seed {seed}", row(seed)) for seed in seeds)
    return Table([f"psi {psi:g}" for psi in psis], rows)


def led(
    network: "Generator", seeds: Sequence[int], number: int, strength: float, psi: float
) -> Iterator[tuple[str, Table]]:
    """(group of layers, each seed led along its direction of that number), where it has so many."""
    from machineray.gan.latent import all_directions, drawn, everywhere, groups_of, moved, styles
    from machineray.gan.networks import noise_of
    from machineray.imaging import from_array

    strengths = [part * strength for part in STEPS]
    found = all_directions(network, number + 1)

    def row(seed: int, group: str) -> list["Image"]:
        (w,) = styles(network, (seed,), psi)
        noise, ws = noise_of(network, (seed,)), everywhere(network, w)
        layers, step = groups_of(network)[group], found[group][number]
        return [from_array(drawn(network, moved(ws, layers, s * step), noise)) for s in strengths]

    for group in groups_of(network):
        if number < len(found[group]):
            rows = ((f"seed {seed}", row(seed, group)) for seed in seeds)
            yield group, Table([f"{step:+g}" if step else "0" for step in strengths], rows)


def _sheet(job: Job, id: str, title: str, table: Table) -> Done:
    from machineray.gallery.labelled import labelled_sheet
    from machineray.imaging import encode

    name = f"sheets/{id}.png"
    sheet = labelled_sheet(title, table.columns, table.rows)
    row = {"id": id, "key": job.output.key(name), "shows": title}
    return Done(
        {name: encode(sheet, "png")}, [row | {"width": sheet.width, "height": sheet.height}]
    )


def parsed_psis(text: str) -> list[float]:
    """'0,0.5,1' -> [0.0, 0.5, 1.0]; UsageError for what is no truncation, and for too many."""
    try:
        psis = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--psis {text!r}: write numbers from 0 to 2, such as 0,0.5,1") from error
    if not all(0 <= psi <= 2 for psi in psis):
        raise UsageError(f"--psis {text}: from 0, the mean picture, to 2")
    if len(psis) > MOST_PSIS:
        raise UsageError(f"--psis: {len(psis)} columns, at most {MOST_PSIS} to a sheet")
    return psis


if __name__ == "__main__":
    main(explore)
