"""What a stage tells while it works, and how a person gets to see it.

A job is a generator of events; whoever runs it drains it through `show`: a progress bar on a
terminal, plain lines in a log. Nothing else in the library writes to the terminal.
"""

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from machineray.markup import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

_LINE_SECONDS = 10.0


@dataclass(frozen=True)
class Progress:
    """So much of a stage is done; `text` is what changes on the way (losses, a file's name)."""

    stage: str
    done: float
    total: float
    unit: str
    text: str = ""


@dataclass(frozen=True)
class Note:
    """A sentence for the user, shown above the bar."""

    text: str


@dataclass(frozen=True)
class Refusal:
    """An item that was refused, and why."""

    item: str
    reason: str


Event = Progress | Note | Refusal


def show(events: Iterable[Event], stream: IO[str] | None = None) -> None:
    """Drain the events of a job to the stream (default: standard error)."""
    stream = stream or sys.stderr
    if stream.isatty():
        _show_bars(events, stream)
    else:
        _show_lines(events, stream)


def _show_lines(events: Iterable[Event], stream: IO[str]) -> None:
    last: Progress | None = None
    last_time = started = time.monotonic()
    for event in events:
        if isinstance(event, Progress):
            now = time.monotonic()
            goes_on = last is not None and event.stage == last.stage
            if not goes_on:
                started = now
            ended = event.done >= event.total and event != last
            if goes_on and not ended and now - last_time < _LINE_SECONDS:
                continue
            last, last_time = event, now
            line = (
                f"{event.stage}: {event.done:g}/{event.total:g} {event.unit}, {now - started:.0f} s"
            )
            stream.write(visible(f"{line}{', ' if event.text else ''}{event.text}") + "\n")
        else:
            stream.write(_sentence(event) + "\n")
        stream.flush()


def _show_bars(events: Iterable[Event], stream: IO[str]) -> None:
    from rich.console import Console

    console = Console(file=stream, highlight=False)
    with _bar(console) as bar:
        tasks: dict[str, TaskID] = {}
        for event in events:
            if not isinstance(event, Progress):
                console.print(_sentence(event), markup=False, soft_wrap=True)  # whole paths
                continue
            if event.stage not in tasks:
                tasks[event.stage] = bar.add_task(event.stage, text="", count="")
            bar.update(
                tasks[event.stage],
                completed=event.done,
                total=event.total,
                text=visible(event.text),
                count=f"{event.done:g}/{event.total:g} {event.unit}",
            )


def _bar(console: "Console") -> "Bar":
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    return Bar(
        TextColumn("{task.description:<9}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[count]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}", style="dim", markup=False),
        console=console,
    )


def _sentence(event: Note | Refusal) -> str:
    if isinstance(event, Note):
        return visible(event.text)
    # A reason names its item first already; do not say it twice.
    named = event.reason.startswith(event.item)
    return visible(f"refused  {event.reason if named else f'{event.item}: {event.reason}'}")
