"""Find a given picture in what a network knows, and film the search.

mray run project --run klee --picture ./facade.jpg
mray run project --run near --input klee/train --picture ./facade.jpg --per-layer --steps 1000
"""

import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs import FILE, Job, main
from jobs.networks import Best, SnapshotFile, chosen_network, loaded_network
from machineray.errors import NotFoundError
from machineray.log import Event, Note, Progress
from machineray.runs import Plan, Row, json_lines, sha256_of
from machineray.shards import Done, Outcome, Task
from machineray.storage import read_file

if TYPE_CHECKING:
    from PIL.Image import Image

    from machineray.gan.metrics import Picture
    from machineray.gan.networks import Generator as Network
    from machineray.gan.projection import Distance, Projection, Projector

STATE = "state.safetensors"  # of a search that is under way
STATE_SECONDS = 20.0
TOLD_STEPS = 10
FPS, LAST_FRAMES = 24, 24


def project(
    job: Job,
    picture: Annotated[str, typer.Option(metavar=FILE, help="What to find: a file or s3://…")],
    steps: Annotated[int, typer.Option(min=10, max=100_000, help="Of the search.")] = 300,
    starts: Annotated[
        int, typer.Option(min=1, max=100_000, help="Begin at the nearest of so many seeds.")
    ] = 64,
    seed: Annotated[int, typer.Option(min=0, help="The first of these seeds.")] = 0,
    per_layer: Annotated[
        bool, typer.Option("--per-layer", help="A w for each layer (W+): nearer, less typical.")
    ] = False,
    snapshot: SnapshotFile = None,
    best: Best = False,
) -> Iterator[Event]:
    """Find the w whose picture is nearest to a given one; writes both, side by side, and a film."""
    data, name = read_file(picture), picture.rpartition("/")[2]
    read, source = chosen_network(job, snapshot, best)
    plan = Plan(
        stage=job.stage,
        arguments={
            "picture": name,
            "picture_sha256": sha256_of(data),
            "steps": steps,
            "starts": starts,
            "seed": seed,
            "per_layer": per_layer,
        },
        input=source,
        indexes=[[name]],
    )

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome | Event]:
        from machineray.gan.projection import Projector
        from machineray.gan.state import packed
        from machineray.imaging import encode, from_array

        network = loaded_network(read, source["from"], job.workers)
        target = _target(_decoded(data, name), network)
        projector = Projector(network, target, steps, per_layer)
        found = yield from _searched(job, projector, range(seed, seed + starts))
        before, after = (projector.picture(found, place) for place in (0, -1))
        distances = [projector.distance(each) for each in (before, after)]
        about = {"snapshot": source["sha256"], "picture": name, "seed": found.seed}
        with tempfile.TemporaryDirectory() as folder:
            film = Path(folder) / "projection.mp4"
            files: dict[str, bytes | Path] = {
                "reconstruction.png": encode(from_array(after), "png"),
                "w.safetensors": packed({"w": projector.ws(found.point)}, about),
                "beside.png": _filmed(projector, found, target, film),
                "projection.mp4": film,
            }
            row = {
                "id": "projection",
                "key": job.output.key("reconstruction.png"),
                **about,
                "picture_sha256": plan.arguments["picture_sha256"],
                "per_layer": per_layer,
                "steps": steps,
                "distance_at_seed": _told(distances[0]),
                "distance": _told(distances[1]),
                "height": after.shape[0],
                "width": after.shape[1],
            }
            yield Done(files, [row])
        yield Note(
            f"project: distance {distances[0].total:.3f} at seed {found.seed}, "
            f"{distances[1].total:.3f} in the end; look at "
            f"{job.store.url}/{job.output.key('beside.png')}"
        )
        job.store.delete(job.output.key(STATE))

    def merge(records: list[Row]) -> Iterator[tuple[str, bytes]]:
        yield "catalog.jsonl", json_lines(records)

    if job.output.plan() is None:
        _decoded(data, name)  # a mistake is told before anything is planned
    yield from job.execute(Task(plan, "steps", work, merge, total=steps))


def _decoded(data: bytes, name: str) -> "Image":
    from machineray.imaging import decode

    return decode(data, name)


def _target(image: "Image", network: "Network") -> "Picture":
    """(H, W, 3) of the network's size: squashed, as `augment` squashes paintings."""
    from PIL import Image

    from machineray.gan.sampling import sample
    from machineray.imaging import to_array

    ((_, one),) = sample(network, [0])
    height, width, _ = one.shape
    return to_array(image.resize((width, height), Image.Resampling.BILINEAR))


def _searched(
    job: Job, projector: "Projector", seeds: Sequence[int]
) -> Generator[Event, None, "Projection"]:
    """Search to the end, from where an earlier process came to; what is found."""
    from machineray.gan.projection import packed_projection, unpacked_projection

    key = job.output.key(STATE)
    try:
        found = unpacked_projection(job.store.read(key), key)
        yield Note(f"project: goes on at step {found.steps}")
    except NotFoundError:
        yield Note(f"project: looks for the nearest of {len(seeds):,} samples")
        found = projector.begin(seeds)
    kept = time.monotonic()
    yield Progress("project", found.steps, projector.steps, "steps")
    begin = found
    for found in projector.run(begin, TOLD_STEPS):
        told = f"distance {found.distance.total:.3f}"
        yield Progress("project", found.steps, projector.steps, "steps", told)
        if time.monotonic() - kept > STATE_SECONDS or found.steps == projector.steps:
            job.output.write(STATE, packed_projection(found))
            kept = time.monotonic()
    return found


def _filmed(projector: "Projector", found: "Projection", target: "Picture", path: Path) -> bytes:
    """The film of the search, and its last frame as a PNG: the target left, what is found right."""
    from machineray.film import enlarged, film_size, side_by_side, write_film
    from machineray.imaging import encode, from_array

    size = film_size(target)
    with write_film(path, FPS) as add:
        for place in range(len(found.path)):
            picture = projector.picture(found, place)
            both = side_by_side([enlarged(target, size), enlarged(picture, size)])
            add(both)
        for _ in range(LAST_FRAMES):
            add(both)
    return encode(from_array(both), "png")


def _told(distance: "Distance") -> Row:
    return {name: round(value, 5) for name, value in vars(distance).items()}


if __name__ == "__main__":
    main(project)
