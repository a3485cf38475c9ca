"""Collecting from sites as a user does: recorded ones on this machine, and kills on the way."""

import contextlib
import csv
import hashlib
import io
import json
import subprocess
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import jobs.crawling
from jobs import Job, arguments, defaults_of, job_of, planned
from jobs.collect import collect
from jobs.pipeline import Request, default_run, description, pipeline, steps
from machineray.collect.credits import credits_of
from machineray.errors import UsageError
from machineray.log import Note, Progress, Refusal
from machineray.runs import StageRun
from machineray.shards import Part
from machineray.storage import FolderStore, open_store
from tests.collect import site
from tests.collect.museums import MUSEUMS
from tests.jobs.crawls import Serve, begin, klee, rows_of


def test_paintings_come_with_all_that_proves_them_free(serve: Serve, tmp_path: Path) -> None:
    works = (*klee(2).works, site.Work("paul-klee", "owned", "Owned", 1920, labels=("Fair Use",)))
    server = serve(
        site.wikiart([site.Artist("paul-klee", "Paul Klee", "1879", "1940", works)], by_genre=True)
    )
    job, events = begin(tmp_path, server)
    told = list(events)
    first, second = rows_of(job)
    url = "https://www.wikiart.org/en/paul-klee/work-0"
    assert {name: first[name] for name in ("title", "artist", "born", "died", "year")} == {
        "title": "Work 0", "artist": "Paul Klee", "born": 1879, "died": 1940, "year": 1915,
    }  # fmt: skip
    assert (first["source"], first["source_url"], first["rights"]) == (
        "WikiArt",
        url,
        "Public domain",
    )
    assert first["rule"] == "life+70"
    assert first["free"]["elsewhere"] == "free since 2011"
    assert first["free"]["united_states"].startswith("free if it was published before 1931")
    data = job.store.read(first["key"])
    assert hashlib.sha256(data).hexdigest() == first["sha256"]
    assert data == site.picture("/en/paul-klee/work-0")
    evidence = job.store.read(first["evidence"]["key"])
    assert hashlib.sha256(evidence).hexdigest() == first["evidence"]["sha256"]
    assert b"copyright-icon-public-domain" in evidence
    assert datetime.fromisoformat(first["fetched"]).tzinfo is not None
    (refusal,) = (event for event in told if isinstance(event, Refusal))
    assert refusal.item == "https://www.wikiart.org/en/paul-klee/owned"
    assert "is labelled “Fair Use”: only what is plainly public domain" in refusal.reason
    assert dict(job.output.progress().refused) == {refusal.item: refusal.reason}
    notes = [event.text for event in told if isinstance(event, Note)]
    assert notes[-1].startswith("wikiart: 2 paintings; 7 pages and 2 pictures asked for, ")
    assert server.asked[0][1]["User-Agent"].endswith("contact: me@x.org)")
    assert second["title"] == "Work 1"


@pytest.mark.parametrize("name", MUSEUMS)
def test_of_a_museums_four_paintings_the_free_one_enters(
    name: str, serve: Serve, tmp_path: Path
) -> None:
    server = serve(MUSEUMS[name]())
    job, events = begin(tmp_path, server, name, max_side=1600)
    reasons = {e.item: e.reason for e in events if isinstance(e, Refusal)}
    (row,) = rows_of(job)
    assert row["title"] == "Free"
    assert row["rule"] == ("us-95" if name == "rijksmuseum" else "life+70")
    evidence = job.store.read(row["evidence"]["key"])
    assert hashlib.sha256(evidence).hexdigest() == row["evidence"]["sha256"]
    assert b"Free" in evidence or name == "rijksmuseum"
    told = "\n".join(reasons.values())
    assert "only what is plainly public domain or CC0 enters" in told
    assert "nothing but the label says that it is free" in told
    assert name == "rijksmuseum" or "died in 1990, not before 1956" in told
    assert max(Counter(server.paths).values()) == 1
    assert "free since 2011" in job.output.read("CREDITS.html").decode() or name == "rijksmuseum"


def test_two_sources_are_two_indexes_and_two_pods_do_one_each(serve: Serve, tmp_path: Path) -> None:
    wikiart, smk = serve(site.wikiart([klee(2)])), serve(MUSEUMS["smk"]())
    options = {
        "source": ["wikiart", "smk"],
        "source_url": [f"wikiart={wikiart.url}", f"smk={smk.url}"],
        "max_side": 1600,
    }
    for index in (1, 0):
        job = Job(stage="collect", run="t", root=str(tmp_path), part=Part(index, 2))
        list(collect(job, **options))
    assert [row["source"] for row in rows_of(job)] == ["WikiArt", "WikiArt", "SMK"]
    assert credits_of(rows_of(job))["rules"] == {"life+70": 3}


def test_credits_are_a_table_and_a_page(serve: Serve, tmp_path: Path) -> None:
    nasty = site.Work("paul-klee", "x", '=HYPERLINK("x")<script>alert(1)</script>', 1920)
    artist = site.Artist("paul-klee", "Paul Klee", "1879", "1940", (nasty, *klee(1).works))
    job, events = begin(tmp_path, serve(site.wikiart([artist])))
    list(events)
    rows = list(csv.DictReader(io.StringIO(job.output.read("CREDITS.csv").decode())))
    assert len(rows) == 2
    assert rows[0]["title"].startswith("'=HYPERLINK")
    assert rows[1]["evidence_sha256"] == rows_of(job)[1]["evidence"]["sha256"]
    page = job.output.read("CREDITS.html").decode()
    assert "<script>" not in page
    for words in (
        "Credits of 2 paintings",
        "free since 2011",
        "before 1931",
        "70 years",
        "WikiArt: 2",
    ):
        assert words in page
    names = {output.key for output in job.output.done("all").outputs}  # type: ignore[union-attr]
    assert names == {"CREDITS.csv", "CREDITS.html", "catalog.jsonl"}


def keys(root: Path, run: str = "t") -> dict[str, bytes]:
    """What a run wrote, but for times."""
    store = open_store(root)
    return {
        stored.key: store.read(stored.key)
        for stored in store.list(f"runs/{run}/collect/")
        if "/_" not in stored.key
    }


@pytest.mark.parametrize("after", [1, 2, 3, 5, 8])
def test_a_killed_crawl_asks_for_nothing_twice(after: int, serve: Serve, tmp_path: Path) -> None:
    server = serve(site.wikiart([klee(5)], by_genre=after % 2 == 0))
    _, events = begin(tmp_path, server)
    for number, _ in enumerate(events, 1):
        if number == after:
            break
    events.close()  # type: ignore[attr-defined]
    half = len(server.asked)
    job, events = begin(tmp_path, server)
    list(events)
    assert half < len(server.asked) or after == 8
    assert max(Counter(server.paths).values()) == 1
    assert sorted(row["title"] for row in rows_of(job)) == [f"Work {n}" for n in range(5)]
    _, events = begin(tmp_path, server)
    (told,) = (event for event in events if isinstance(event, Progress))
    assert told.text == "already done"


def test_wherever_it_is_killed_the_catalog_is_that_of_an_undisturbed_crawl(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its nth write, for every n: at most the answer in its hand is asked for again."""

    class Killed(BaseException):
        pass

    server = serve(site.wikiart([klee(2)], by_genre=True))
    undisturbed, events = begin(tmp_path / "whole", server)
    list(events)
    write, left = FolderStore.write, 0

    def mortal(self: Any, key: str, data: Any) -> None:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        write(self, key, data)

    writes = 0
    while True:
        server.asked.clear()
        left = writes
        job, events = begin(tmp_path / str(writes), server)
        monkeypatch.setattr(FolderStore, "write", mortal)
        with contextlib.suppress(Killed):
            list(events)
            break
        monkeypatch.setattr(FolderStore, "write", write)
        list(begin(tmp_path / str(writes), server)[1])
        twice = [path for path, count in Counter(server.paths).items() if count > 1]
        assert len(twice) <= 1
        assert [without_times(row) for row in rows_of(job)] == [
            without_times(row) for row in rows_of(undisturbed)
        ]
        writes += 1
    assert writes > 15


def without_times(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "fetched"}


def test_what_a_mirror_said_is_not_what_another_says(serve: Serve, tmp_path: Path) -> None:
    one, other = serve(site.wikiart([klee(1)])), serve(site.wikiart([klee(2)]))
    for number, server in enumerate((one, other), 1):
        job, events = begin(tmp_path, server, run=f"r{number}")
        list(events)
        assert len(rows_of(job)) == number


def test_a_second_run_asks_for_nothing_that_is_a_day_young(serve: Serve, tmp_path: Path) -> None:
    server = serve(site.wikiart([klee(3)]))
    list(begin(tmp_path, server)[1])
    asked = len(server.asked)
    job, events = begin(tmp_path, server, run="second")
    list(events)
    assert len(server.asked) == asked
    assert len(rows_of(job)) == 3
    first, second = keys(tmp_path), keys(tmp_path, "second")
    assert [key.split("/", 2)[2] for key in first] == [key.split("/", 2)[2] for key in second]


def test_a_plan_holds_a_source_an_index_and_the_year_of_its_rights(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(site.wikiart([klee(1)]))
    job, events = begin(tmp_path, server, artist=["Klee"])
    list(events)
    plan = json.loads(job.output.read("plan.json"))
    assert plan["indexes"] == [["wikiart"]]
    assert plan["input"]["sources"] == ["wikiart"]
    assert plan["arguments"]["died_before"] == plan["input"]["year"] - 70
    plan["input"]["year"] = 2030
    output = StageRun(job.store, "later", "collect")
    output.write("plan.json", json.dumps(plan).encode())
    assert jobs.crawling.planned_year(output) == 2030


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source": ["nowhere"]}, "no such source; there are wikiart, commons, met"),
        ({"limit": 3}, "--limit: is of sites: name one with --source"),
        ({"dry_run": True}, "--dry-run: is of sites"),
        ({"source": ["wikiart"], "source_url": ["wikiart"]}, "write NAME=URL"),
        ({"source": ["wikiart"], "source_url": ["wikiart=x"]}, "write NAME=https://host"),
        ({"source": ["wikiart"], "died_before": 2000}, "is not free yet"),
        ({"source": ["wikiart"], "artist": ["Klee", " …"]}, "--artist ' …': has no letter"),
        ({"source": ["wikiart"], "budget_bytes": "many"}, "write it as 500MB or 20GB"),
        ({"source": ["wikiart"], "budget_time": "0"}, "write it as 90s, 30m"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_asked(
    options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words):
        list(collect(Job(stage="collect", run="t", root=str(tmp_path)), **options))
    assert not list(tmp_path.rglob("*.gz"))


def test_source_and_input_are_one_too_many(tmp_path: Path) -> None:
    job = Job(stage="collect", run="t", root=str(tmp_path), input="x")
    with pytest.raises(UsageError, match="collect from one of them"):
        list(collect(job, source=["wikiart"]))


def test_a_pipeline_begins_at_a_museum() -> None:
    request = Request(source=["met", "smk"], limit=5, contact="me@x.org")
    assert default_run(request) == "met-smk"
    told = description("t", request)
    assert (told["paintings"], told["source"]) == (None, ["met", "smk"])
    first = steps(request)[0]
    assert (first.stage, first.input) == ("collect", None)
    typed = " ".join(arguments(collect, {**defaults_of(collect), **first.options, "run": "t"}))
    assert typed == "--source met --source smk --limit 5 --contact me@x.org --run t"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"paintings": "x", "source": ["met"]}, "x and --source: collect from one of them"),
        ({"trained": "klee/train", "source": ["met"]}, "name no --source beside it"),
        ({"limit": 5}, "--limit: is of sites: name one with --source"),
        ({"source": ["nowhere"]}, "nowhere"),
    ],
)
def test_a_pipeline_has_one_beginning(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        list(pipeline(Job(stage="pipeline", run="", root=str(tmp_path)), **options))
    assert not list(tmp_path.iterdir())


def test_options_that_are_lists_reach_a_container_one_by_one() -> None:
    options = {**defaults_of(collect), "run": "t", "source": ["wikiart", "met"], "limit": 5}
    typed = " ".join(arguments(collect, options))
    assert typed == "--source wikiart --source met --limit 5 --run t"


def test_a_submit_plans_without_asking_anybody(tmp_path: Path) -> None:
    """So on a laptop without the packages that ask; a pod is given the same options."""
    given = {"run": "t", "root": str(tmp_path), "source": ["met", "smk"], "artist": ["Klee"]}
    options = {**defaults_of(collect), **given}
    plan = planned(collect, options, job_of(collect, options))
    assert plan.indexes == [["met"], ["smk"]]
    assert plan.arguments["artists"] == ("Klee",)
    assert not any(tmp_path.iterdir())


def test_planning_loads_nothing_that_asks() -> None:
    program = (
        "import sys, jobs.collect, machineray.collect.sites.table\n"
        "print(sorted({'requests', 'urllib3', 'bs4', 'lxml', 'numpy', 'PIL'} & sys.modules.keys()))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.stdout.strip() == "[]", ended.stderr


@pytest.mark.xdist_group("s3")
def test_a_crawl_in_a_bucket_goes_on_as_in_a_folder(s3_root: str, serve: Serve) -> None:
    server = serve(site.wikiart([klee(4)]))
    _, events = begin(s3_root, server)
    for _ in range(8):
        next(events)
    events.close()  # type: ignore[attr-defined]
    job, events = begin(s3_root, server)
    list(events)
    assert max(Counter(server.paths).values()) == 1
    assert len(rows_of(job)) == 4
