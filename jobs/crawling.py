"""Collecting from sites: one index a site, so that no two pods ever ask one host.

The answers of a site lie in the root's cache; when a run's crawl began stands in the run. Who runs
the same command again goes the same way over what is there, and asks from where it ends.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs import Job
from machineray import __version__
from machineray.collect.addresses import checked_mirror
from machineray.collect.painting import LIFE_YEARS, Said, Site, Step, Turned, Wanted, plain
from machineray.collect.sites.table import site_named
from machineray.errors import (
    ConfigurationError,
    InputError,
    NotFoundError,
    TemporaryError,
    UsageError,
)
from machineray.log import Event, Note, Progress
from machineray.quantities import bytes_of, seconds_of
from machineray.rows import Rows
from machineray.runs import CACHE, Output, Plan, StageRun, json_bytes, sha256_of
from machineray.shards import Done, Outcome, Refused, Task
from machineray.storage import Store

if TYPE_CHECKING:
    from machineray.collect.crawl import Kept
    from machineray.collect.fetch import Web
    from machineray.collect.limits import Budget, Clock


@dataclass(frozen=True)
class Crawl:
    """What `mray run collect --source …` asks for, checked."""

    sites: tuple[Site, ...]
    wanted: Wanted
    mirrors: Mapping[str, str] = field(default_factory=dict)
    contact: str = ""
    budget_bytes: int | None = None
    budget_seconds: float | None = None

    @property
    def share(self) -> "Budget":
        """One site's part of the budgets: pods of other sites cannot know what it leaves."""
        from machineray.collect.limits import Budget

        count = len(self.sites)
        return Budget(
            None if self.budget_bytes is None else self.budget_bytes // count,
            None if self.budget_seconds is None else self.budget_seconds / count,
        )


def crawl_task(job: Job, crawl: Crawl, merge_rows: Callable[[Rows], Rows]) -> Task:
    """The plan of a crawl, and its work: a site an index."""
    told = asdict(crawl.wanted)
    year = told.pop("year")
    plan = Plan(
        stage=job.stage,
        arguments=told,
        input={"sources": [s.name for s in crawl.sites], "year": year, **_told(crawl.mirrors)},
        indexes=[[site.name] for site in crawl.sites],
    )
    limit = crawl.wanted.limit
    before = 0  # paintings of the sites that this process has done

    def work(index: int, items: Sequence[Any]) -> Iterator[Outcome | Event]:
        nonlocal before
        for outcome in crawled(job, crawl, site_named(items[0]), before):
            before += isinstance(outcome, Done)
            yield outcome

    def merge(records: Rows) -> Iterator[tuple[str, bytes | Path]]:
        from machineray.collect.ledger import credits_csv, credits_html

        if not records:
            raise InputError(_nothing(job, crawl))
        rows = merge_rows(records)
        yield "CREDITS.csv", credits_csv(rows)
        yield "CREDITS.html", credits_html(rows, crawl.wanted.year, crawl.wanted.us_before)
        yield "catalog.jsonl", rows.path

    total = 0.0 if limit is None else float(limit * len(crawl.sites))
    return Task(plan, "paintings" if total else "sources", work, merge, total, is_apart=True)


def _nothing(job: Job, crawl: Crawl) -> str:
    """Why there is no painting, where anything says so."""
    names = ", ".join(site.name for site in crawl.sites)
    whose = " by " + " or ".join(crawl.wanted.artists) if crawl.wanted.artists else ""
    why = "none was refused either: ask for other artists or years, or another --source"
    if job.output.progress().refused:
        failed = job.output.key("_failed/")
        why = f"the reasons are in {failed}; to ask again begin a new run (--run NAME)"
    return f"{names}: no painting{whose} was found that is wanted and free; {why}"


def _told(mirrors: Mapping[str, str]) -> dict[str, Any]:
    return {"mirrors": dict(mirrors)} if mirrors else {}


def crawled(job: Job, crawl: Crawl, site: Site, kept: int) -> Iterator[Outcome | Event]:
    """One site's paintings as outcomes, with the events of a long work; `kept` are there before."""
    check_packages()
    from machineray.collect.admission import admit
    from machineray.collect.crawl import Kept
    from machineray.collect.crawl import crawl as begin

    web = opened(job, crawl, site, began(job.output, site.name))
    stage, seen = job.stage, set[str]()
    for event in begin(site, web, crawl.wanted, admit):
        if isinstance(event, Kept):
            kept += 1
            yield _done(job.output, event, seen)
        elif isinstance(event, Turned):
            yield Refused(event.item, event.reason)
        elif isinstance(event, Said):
            yield Note(event.text)
        text = f"{site.name}, {web.spent.pages} pages"
        text += f": {event.text}" if isinstance(event, Step) else ""
        yield Progress(stage, kept, _total(crawl, kept), "paintings", text)


def _total(crawl: Crawl, kept: int) -> float:
    """What a bar goes up to: nobody knows it without a limit, but that it is not yet the end."""
    limit = crawl.wanted.limit
    return kept + 1 if limit is None else max(limit * len(crawl.sites), kept)


def _done(output: StageRun, kept: "Kept", seen: set[str]) -> Done:
    """A painting's file, and the evidence beside it where it is not yet.

    The file is written at once, unless it lies there from before: from then on it is known, and
    whatever happens to this process, it is not asked for again.
    """
    picture, key = kept.picture, kept.row["key"]
    if picture.kept_at == output.key(key):
        written = Output(key, picture.sha256, picture.bytes)
    else:
        written = output.write(key, picture.body)
        kept.keep(output.key(key))
    evidence = kept.evidence
    name = f"evidence/{evidence.sha256[:16]}.{'html' if evidence.kind == 'page' else 'json'}"
    files = {} if name in seen else {name: evidence.body}
    seen.add(name)
    proof = {**kept.row["evidence"], "key": output.key(name)}
    return Done(files, [{**kept.row, "key": output.key(key), "evidence": proof}], 1, (written,))


def estimates(job: Job, crawl: Crawl) -> Iterator[Event]:
    """What a crawl would ask for, site by site; a page or two of each are asked to know it.

    InputError when no site can be estimated.
    """
    check_packages()
    from machineray.collect.answers import Changed
    from machineray.collect.limits import Spent

    pages = size = 0
    unknown = []
    for site in crawl.sites:
        web = opened(job, crawl, site, datetime.now(UTC))
        try:
            found = site.estimate(web.ask, crawl.wanted)
        except (InputError, TemporaryError, Spent) as error:
            unknown.append(site.name)
            if isinstance(error, Changed):  # as in a crawl: it may have been a fence's
                web.forget(error.url)
            yield Note(f"{site.name}: nobody can say: {error}")
            continue
        pages += found.pages + found.pictures
        size += found.bytes
        duration = _duration((found.pages + found.pictures) * site.seconds)
        yield Note(
            f"{site.name}: about {found.pages:,} pages and {found.pictures:,} pictures, "
            f"{found.bytes / 1e6:,.0f} MB, {duration} at {site.seconds:g} s a "
            f"request ({found.text}); {web.spent.asked} asked to know it"
        )
    if len(unknown) == len(crawl.sites):
        raise InputError(f"{', '.join(unknown)}: nothing is known of what it would ask for")
    but = f" without {', '.join(unknown)}" if unknown else ""
    told = f"in all{but} about {pages:,} requests and {size / 1e6:,.0f} MB"
    yield Note(f"{told}; nothing was collected")


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def check_packages() -> None:
    """ConfigurationError where the packages that ask sites are missing."""
    try:
        import bs4  # noqa: F401
        import requests  # noqa: F401
        import urllib3  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            f"--source needs {error.name}: pip install 'machineray[collect]'"
        ) from error


def opened(job: Job, crawl: Crawl, site: Site, since: datetime) -> "Web":
    """The site, to be asked."""
    from machineray.collect.answers import Cache
    from machineray.collect.fetch import Web, agent_text

    mirror = crawl.mirrors.get(site.name, "")
    place = f"{site.name}-{sha256_of(mirror.encode())[:8]}" if mirror else site.name
    return Web(
        site,
        agent_text(__version__, crawl.contact),
        Cache(RootShelf(job.store), f"{CACHE}{place}/"),  # what a mirror says the site did not
        since,
        mirror=mirror,
        budget=crawl.share,
        clock=clock(),
    )


def clock() -> "Clock":
    """The time; a test puts another one here."""
    from machineray.collect.limits import Clock

    return Clock()


class RootShelf:
    """The answers of sites in the root, see `collect.answers.Shelf`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, key: str) -> bytes | None:
        """What lies there, None when nothing does."""
        try:
            return self._store.read(key)
        except NotFoundError:
            return None

    def put(self, key: str, data: bytes) -> None:
        """Put it there, whole."""
        self._store.write(key, data)


def began(output: StageRun, name: str) -> datetime:
    """When the run's crawl of a site began: written once, so that a second call knows it, too."""
    key = output.key(f"_crawl/{name}.json")
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    try:
        data = output.store.read(key)
    except NotFoundError:
        data = json_bytes({"began": now})
        output.store.write(key, data)
    try:
        return datetime.fromisoformat(json.loads(data)["began"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{key}: damaged ({error}); remove it") from error


def planned_year(output: StageRun) -> int:
    """The year whose rights count: that in which the run was begun, also after New Year's Eve."""
    plan = output.plan()
    year = plan.input.get("year") if plan else None
    return int(year) if isinstance(year, int) else datetime.now(UTC).year


def crawl_of(
    job: Job,
    *,
    source: Sequence[str],
    artist: Sequence[str],
    source_url: Sequence[str],
    limit: int | None,
    per_artist: int | None,
    year_before: int | None,
    died_before: int | None,
    max_side: int,
    contact: str,
    budget_bytes: str | None,
    budget_time: str | None,
) -> Crawl:
    """The options of collect -> Crawl; UsageError for what makes no sense."""
    if job.input is not None:
        raise UsageError(f"--source and --input {job.input}: collect from one of them")
    for name in artist:
        if not plain(name):
            raise UsageError(f"--artist {name!r}: has no letter; give a name, such as Klee")
    year = planned_year(job.output)
    free = year - LIFE_YEARS
    if died_before is not None and died_before > free:
        raise UsageError(
            f"--died-before {died_before}: who died in {free} or later is not free yet in {year} "
            f"where rights last 70 years after death; give {free} or less"
        )
    wanted = Wanted(
        year, died_before or free, limit, per_artist, tuple(artist), year_before, max_side
    )
    return Crawl(
        tuple(map(site_named, dict.fromkeys(source))),
        wanted,
        mirrors_of(source_url, source),
        contact,
        None if budget_bytes is None else bytes_of(budget_bytes, "--budget-bytes"),
        None if budget_time is None else seconds_of(budget_time, "--budget-time"),
    )


def mirrors_of(texts: Sequence[str], sources: Sequence[str]) -> dict[str, str]:
    """--source-url NAME=URL -> URL by name; UsageError for what is none, or of no source."""
    found = {}
    for text in texts:
        name, sign, url = text.partition("=")
        if not sign:
            raise UsageError(f"--source-url {text}: write NAME=URL")
        if site_named(name).name not in sources:
            raise UsageError(f"--source-url {text}: --source {name} is not asked for")
        found[name] = checked_mirror(name, url)
    return found
