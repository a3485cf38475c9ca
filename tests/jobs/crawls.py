"""Collecting from recorded sites on this machine: what the tests of it share."""

from collections.abc import Callable, Iterator
from typing import Any

from jobs import Job
from jobs.collect import collect
from machineray.log import Event
from tests.collect import site
from tests.collect.site import Reply, Server

Serve = Callable[[dict[str, Any]], Server]


def klee(count: int = 6, **more: Any) -> site.Artist:
    works = tuple(
        site.Work("paul-klee", f"work-{n}", f"Work {n}", 1915 + n, **more) for n in range(count)
    )
    return site.Artist("paul-klee", "Paul Klee", "1879", "1940", works)


def begin(
    root: Any, server: Server, name: str = "wikiart", run: str = "t", **more: Any
) -> tuple[Job, Iterator[Event]]:
    job = Job(stage="collect", run=run, root=str(root))
    options = {"source": [name], "source_url": [f"{name}={server.url}"], "contact": "me@x.org"}
    return job, collect(job, **(options | more))


def rows_of(job: Job) -> list[dict[str, Any]]:
    return job.output.catalog()


def refusing(pages: dict[str, Any], work: site.Work, status: int) -> None:
    for suffix in ("", "!HD.jpg", "!Large.jpg"):
        pages[work.image.removeprefix("https:/") + suffix] = Reply("", status=status)
