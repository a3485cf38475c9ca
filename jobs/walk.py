"""A film: a closed walk from seed to seed through what a network knows.

mray run walk --run klee --seeds 3,17,42,5 --seconds 20
mray run walk --run loop --input klee/train --seeds 3,17 --seconds 6 --format webp
"""

import functools
import tempfile
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs import Job, main
from jobs.networks import Best, Psi, SnapshotFile, chosen_network, loaded_network
from machineray.errors import UsageError
from machineray.log import Event, Note
from machineray.runs import Plan, Row, json_lines
from machineray.seeds import parsed_seeds
from machineray.shards import Done, Outcome, Task, batches

MOST_FRAMES = 1_000_000
MOST_WEBP_FRAMES = 600  # its encoded frames stay in memory until its end


class FilmFormat(StrEnum):
    """The film's file: for every player, or for a web page."""

    mp4 = "mp4"
    webp = "webp"


def walk(
    job: Job,
    seeds: Annotated[str, typer.Option(help="From which to which, in this order, and back.")],
    seconds: Annotated[float, typer.Option(min=0.1, help="Once round.")] = 12.0,
    fps: Annotated[int, typer.Option(min=1, max=120, help="Frames a second.")] = 24,
    psi: Psi = 1.0,
    format: Annotated[FilmFormat, typer.Option(help="Of the film's file.")] = FilmFormat.mp4,
    side: Annotated[
        int, typer.Option(min=16, max=8192, help="Pixels of its shorter side, at least.")
    ] = 512,
    snapshot: SnapshotFile = None,
    best: Best = False,
) -> Iterator[Event]:
    """Film a walk from seed to seed that ends where it began; what is filmed already stays."""
    numbers = parsed_seeds(seeds)
    frames = checked_frames(numbers, seconds, fps, format)
    read, source = chosen_network(job, snapshot, best)
    together = frames if format is FilmFormat.webp else job.row.items_per_index
    plan = Plan(
        stage=job.stage,
        arguments={
            "seeds": numbers,
            "seconds": seconds,
            "fps": fps,
            "psi": psi,
            "format": format.value,
            "side": side,
        },
        input=source,
        indexes=batches(range(frames), together),
    )
    suffix = f".{format.value}"
    film = f"walk{suffix}"
    network = functools.cache(lambda: loaded_network(read, source["from"], job.workers))

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome | Event]:
        from machineray.film import enlarged, film_size, write_film
        from machineray.gan.latent import Walk

        walked = Walk(network(), numbers, psi)
        size = film_size(walked.picture_at(0.0), side)
        name = f"parts/{index:06d}{suffix}"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"part{suffix}"
            with write_film(path, fps) as add:
                for number in items:
                    add(enlarged(walked.picture_at(number / frames), size))
                    yield Done()  # a frame
            row = {"part": job.output.key(name), "height": size[0], "width": size[1]}
            yield Done({name: path}, [row], items=0)

    def merge(records: list[Row]) -> Iterator[tuple[str, bytes | Path]]:
        with tempfile.TemporaryDirectory() as folder:
            yield film, _joined(job, records, Path(folder) / film)
        row = {
            "id": "walk",
            "key": job.output.key(film),
            "seeds": numbers,
            "psi": psi,
            "snapshot": source["sha256"],
            "frames": frames,
            "fps": fps,
            "width": records[0]["width"],
            "height": records[0]["height"],
        }
        yield "catalog.jsonl", json_lines([row])

    yield from job.execute(Task(plan, job.row.unit, work, merge))
    if job.output.is_complete():
        yield Note(f"{job.stage}: look at {job.store.url}/{job.output.key(film)}")


def _joined(job: Job, records: list[Row], path: Path) -> Path:
    """The film of its parts, at this path; one part at a time is on the disk beside it."""
    from machineray.film import join_films

    def fetched() -> Iterator[Path]:
        part = path.with_stem("part")
        for row in records:
            job.store.download(row["part"], part)
            yield part

    if len(records) == 1:
        job.store.download(records[0]["part"], path)
    else:
        join_films(path, fetched())
    return path


def checked_frames(seeds: Sequence[int], seconds: float, fps: int, format: FilmFormat) -> int:
    """How many frames; UsageError for too few seeds, and for what is too short or too long."""
    if len(seeds) < 2:
        raise UsageError(f"--seeds {seeds[0]}: a walk needs two seeds or more, such as 3,17,42")
    frames = round(min(seconds * fps, 1e12))
    if frames < len(seeds):
        raise UsageError(
            f"--seconds {seconds:g} --fps {fps}: {frames} frames for {len(seeds)} seeds; "
            f"give --seconds {len(seeds) / fps:.1f} or more"
        )
    if format is FilmFormat.webp and frames > MOST_WEBP_FRAMES:
        raise UsageError(
            f"--format webp: {frames:,} frames, at most {MOST_WEBP_FRAMES} fit a WebP; "
            "lower --seconds or --fps, or take --format mp4"
        )
    if frames > MOST_FRAMES:
        raise UsageError(f"--seconds {seconds:g}: {frames:,} frames, at most {MOST_FRAMES:,}")
    return frames


if __name__ == "__main__":
    main(walk)
