"""Hang the artworks on one page that opens from its folder.

mray run gallery --run klee
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from jobs import Job, main
from jobs.pictures import complete_stage, drawn_by, input_stage, pictures, read_picture
from machineray import __version__
from machineray.errors import InputError, UsageError
from machineray.log import Event, Note
from machineray.runs import Plan, Row, StageRun, json_lines, parsed_lines
from machineray.shards import Done, Outcome, Refused, Task, batches, each

if TYPE_CHECKING:
    from machineray.gallery.pictures import Picture
    from machineray.gallery.rooms import Credit, Progress

Value = TypeVar("Value")
LICENCE = (
    "Yes, as far as it is MachineRay's to say. It claims nothing in these pictures: print them, "
    "sell them, change them, share them. Its own code is under the Apache License 2.0, and no part "
    "of it is under a non-commercial one."
)
RIGHTS = (
    "Where rights are unknown or not proven, they are yours to find out before you sell. What "
    "protection a picture made by a machine has differs from country to country; nobody else's "
    "rights are bought with it."
)
UNTOLD = "What these pictures come from is not told here: its rights are yours to know."
ENLARGED = (
    "The super-resolution network (idealo RRDN, Apache-2.0) was trained on DIV2K, whose own terms "
    "speak of academic research: a printer's lawyer may want to know."
)

BEGAN = (
    "It did not begin from nothing, but with the weights of a network trained before. What the "
    "one that ships with MachineRay had learned from stands in its MODEL_CARD.md."
)
OUTLOOK = (
    "That is very little: the networks of the literature look at millions of pictures. Begin a "
    "new run with a larger --kimg, --init shipped, or a larger --preset on a GPU, and go to bed."
)

SHOWN_CREDITS = 1000  # paintings with a picture on the page; a hundred thousand would be 3 GB
MOST_TOGETHER = 8  # works of 4096 px: 110 MB each while they are shrunk
ON_SHEET = 120  # works, evenly chosen


def gallery(
    job: Job,
    title: Annotated[str, typer.Option(help="The page's heading.")] = "New abstractions",
    limit: Annotated[
        int, typer.Option(min=1, max=5000, help="Hang at most so many, evenly chosen.")
    ] = 1000,
) -> Iterator[Event]:
    """Make the gallery: one static page with every artwork, how it was learned, and the credits."""
    finish = input_stage(job)
    if finish is None or finish.stage != "finish":
        raise UsageError(
            f"--input {job.input}: gallery reads RUN/finish; of other pictures first: "
            f"mray run finish --run NAME --input {job.input}"
        )
    source = pictures(job)
    rows = {row["id"]: row for row in _evenly(source.rows, limit)}
    drawn = drawn_by(finish)
    on_sheet = set(_evenly(list(rows), ON_SHEET))
    plan = Plan(
        stage=job.stage,
        arguments={"title": title, "limit": limit},
        input=source.source,
        indexes=batches(list(rows), job.row.items_per_index),
    )

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome]:
        from machineray.gallery.pictures import palette, previews
        from machineray.imaging import decode, encode

        def one(item: str) -> Done:
            row = rows[item]
            image = decode(source.read(row), row["key"])
            copies = previews(image, f"previews/{item}")
            record = {**row, "palette": list(palette(image))}
            files = {copy.file: data for copy, data in copies.items()}
            if item in on_sheet:
                image.thumbnail((400, 400))
                files[f"sheet/{item}.png"] = encode(image, "png")
            return Done(files, [record])

        for item, value in each(one, items, 1):
            yield Refused(item, str(value)) if isinstance(value, InputError) else value

    def together() -> int:
        return min(job.workers, MOST_TOGETHER)

    def merge(records: list[Row]) -> Iterator[tuple[str, bytes]]:
        shown = [row["id"] for row in records if row["id"] in on_sheet]
        yield "contact-sheet.png", _sheet(job, shown)
        yield from _page(job, finish, drawn, title, records)

    for name in (drawn.get("paintings"), _training(drawn)):
        if name and not complete_stage(job.store, name):
            yield Note(f"gallery: {name} is not here: the page says nothing of it")
    yield from job.execute(Task(plan, job.row.unit, work, merge, together=together))
    if job.output.is_complete():
        yield Note(f"The gallery: {job.store.url}/{job.output.key('index.html')}")


def _evenly(values: Sequence[Value], most: int) -> Sequence[Value]:
    """At most so many of the values, evenly chosen."""
    return values[:: max(1, -(-len(values) // most))]


def _training(drawn: Mapping[str, Any]) -> str:
    """RUN/train, where the samples are of a run's network and not of a snapshot file's."""
    name = str(drawn.get("from", ""))
    return name if name.endswith("/train") else ""


def _page(
    job: Job, finish: StageRun, drawn: Mapping[str, Any], title: str, records: list[Row]
) -> Iterator[tuple[str, bytes]]:
    """The page and the pictures that belong to it as a whole."""
    from machineray.collect.credits import credit_words
    from machineray.gallery.page import Colophon, gallery_page
    from machineray.markup import counted

    finished = finish.plan()
    upscale = finished.arguments["upscale"] if finished else "4"
    learned = complete_stage(job.store, drawn.get("paintings"))
    paintings = learned.catalog() if learned else []
    train = complete_stage(job.store, _training(drawn))
    progress, training_files = _progress(train, paintings) if train else (None, {})
    credits, credit_files = _credits(job, paintings)
    yield from {**training_files, **credit_files}.items()
    told = list(credit_words(drawn.get("credits"))) or [UNTOLD]
    more = f"{train.name} --seeds 1000-1099 --run {train.run[:27]}-more" if train else ""
    page = gallery_page(
        title,
        [_work(row, job.run) for row in records],
        colophon=Colophon(
            __version__, job.run, f"mray run pipeline --trained {more}" if more else ""
        ),
        progress=progress,
        credits=credits,
        lede="" if drawn else f"{counted(len(records), 'picture')}.",
        licence_text=[LICENCE, *told, RIGHTS, *([ENLARGED] if upscale != "none" else [])],
    )
    yield "index.html", page.encode()
    yield "catalog.jsonl", json_lines(records)


def _work(row: Row, run: str) -> Any:
    from machineray.gallery.page import Work
    from machineray.gallery.pictures import preview_pictures

    return Work(
        id=row["id"],
        seed=row["seed"],
        psi=row["psi"] if row["psi"] is not None else 1.0,
        width=row["width"],
        height=row["height"],
        full=_beside(row["key"], run),
        sidecar=_beside(row["sidecar"], run),
        previews=preview_pictures(row["width"], row["height"], f"previews/{row['id']}"),
        dpi=row["dpi"],
        snapshot=row["snapshot"],
        palette=tuple(row["palette"]),
    )


def _beside(key: str, run: str) -> str:
    """A root-relative key as a path from runs/<run>/gallery/."""
    inside = f"runs/{run}/"
    return f"../{key.removeprefix(inside)}" if key.startswith(inside) else f"../../../{key}"


def _sheet(job: Job, ids: Sequence[str]) -> bytes:
    """One picture of the works."""
    from machineray.gallery.sheet import contact_sheet
    from machineray.imaging import decode, encode

    images = [decode(job.output.read(f"sheet/{id}.png"), id) for id in ids]
    return encode(contact_sheet(images), "png")


def _progress(train: StageRun, paintings: Sequence[Row]) -> tuple["Progress", dict[str, bytes]]:
    """How the network learned, and the grids as files beside the page."""
    from machineray.dataset.store import held_out
    from machineray.gallery.rooms import Grid, Progress
    from machineray.imaging import decode, encode

    rows = parsed_lines(train.read("metrics.jsonl"), train.key("metrics.jsonl"))
    grids, grid_files = [], {}
    for snapshot in train.catalog():
        image = decode(train.read(snapshot["grid"]), snapshot["grid"])
        file = f"training/{snapshot['nimg']:09d}.webp"
        grid_files[file] = encode(image, "webp", quality=85)
        grids.append(Grid(snapshot["nimg"] / 1000, _picture(file, image.width, image.height)))
    plan = train.plan()
    arguments = plan.arguments if plan else {}
    is_begun = bool(arguments.get("init"))
    others = held_out([row["id"] for row in paintings], arguments.get("held_out", 0.0))
    last: Row = rows[-1] if rows else {"kimg": 0.0, "seconds_total": 0.0, "machine": "this machine"}
    progress = Progress(
        kimg=last["kimg"],
        seconds=last["seconds_total"],
        machine=last["machine"],
        paintings=len(paintings) - len(others),
        held_out=len(others),
        grids=grids,
        metrics=rows,
        began=BEGAN if is_begun else "",
        outlook="" if is_begun or last["kimg"] >= 100 else OUTLOOK,
    )
    return progress, grid_files


def _credits(job: Job, paintings: Sequence[Row]) -> tuple[list["Credit"], dict[str, bytes]]:
    """What the network learned from, with a small copy of each, or of the first SHOWN_CREDITS."""
    from machineray.gallery.pictures import CREDIT_LONG_SIDES, previews
    from machineray.gallery.rooms import Credit
    from machineray.imaging import decode_smaller

    def small(row: Row) -> tuple["Picture", bytes]:
        data, enough = read_picture(job.store, row["key"]), 2 * max(CREDIT_LONG_SIDES)
        image = decode_smaller(data, row["key"], lambda *size: max(size) // enough).image
        copies = previews(image, f"paintings/{row['id']}", long_sides=CREDIT_LONG_SIDES)
        ((picture, copy),) = copies.items()
        return picture, copy

    thumbnails: dict[str, tuple[Picture, bytes]] = {}
    for row, value in each(small, paintings[:SHOWN_CREDITS], job.workers):
        if isinstance(value, InputError):
            raise value
        thumbnails[row["id"]] = value
    credits = []
    for row in paintings:
        names = ("artist", "year", "died", "source", "source_url", "rights")
        known = {name: row.get(name) for name in names}
        picture = thumbnails[row["id"]][0] if row["id"] in thumbnails else None
        credits.append(Credit(row.get("title") or row["id"], **known, thumbnail=picture))
    return credits, {picture.file: copy for picture, copy in thumbnails.values()}


def _picture(file: str, width: int, height: int) -> "Picture":
    from machineray.gallery.pictures import Picture

    return Picture(file, width, height)


if __name__ == "__main__":
    main(gallery)
