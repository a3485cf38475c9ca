"""Collecting from sites as a user does: recorded ones on this machine, and kills on the way."""

import contextlib
import csv
import hashlib
import io
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import jobs.crawling
from jobs import Job, arguments, defaults_of, job_of, planned
from jobs.collect import collect
from jobs.pipeline import Request, default_run, description, pipeline, steps
from machineray.collect.credits import credits_of
from machineray.errors import InputError, TemporaryError, UsageError
from machineray.log import Event, Note, Progress, Refusal
from machineray.runs import StageRun
from machineray.shards import Part
from machineray.storage import FolderStore, open_store
from tests.collect import site
from tests.collect.clocks import Hand
from tests.collect.museums import MUSEUMS
from tests.collect.site import Reply, Server

Serve = Callable[[dict[str, Any]], Server]


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    """Nobody waits; what the crawl would have slept stands here."""
    hand = Hand()

    def clock() -> Any:
        from dataclasses import replace

        return replace(hand.clock, now=lambda: datetime.now(UTC))

    monkeypatch.setattr(jobs.crawling, "clock", clock)
    return hand


@pytest.fixture
def serve(hand: Hand) -> Iterator[Serve]:
    running = []

    def start(pages: dict[str, Any]) -> Server:
        running.append(Server(pages).__enter__())
        return running[-1]

    yield start
    for server in running:
        server.__exit__()


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


@pytest.mark.parametrize("after", [1, 2, 5, 9, 14])
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
    assert half < len(server.asked) or after == 14
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


@pytest.mark.parametrize(
    ("fence", "told"),
    [
        (site.as_json({"message": "Please wait"}), "no longer has “items”"),
        (Reply("<html>Just a moment...</html>"), "a web page instead of JSON"),
    ],
)
def test_a_page_of_a_guard_in_the_way_is_asked_for_again(
    fence: Reply, told: str, serve: Serve, tmp_path: Path
) -> None:
    """A fence answers 200 with a page of its own: said, and not taken for the site's for ever."""
    server = serve(MUSEUMS["smk"]())
    path = next(path for path in server.pages if "keys=abstract" in path)
    page = server.pages[path]
    server.pages[path] = fence
    with pytest.raises(InputError, match=told):
        list(begin(tmp_path, server, "smk", max_side=1600)[1])
    server.pages[path] = page
    job, events = begin(tmp_path, server, "smk", max_side=1600)
    list(events)
    assert len(rows_of(job)) == 1


def refusing(pages: dict[str, Any], work: site.Work, status: int) -> None:
    for suffix in ("", "!HD.jpg", "!Large.jpg"):
        pages[work.image.removeprefix("https:/") + suffix] = Reply("", status=status)


@pytest.mark.parametrize("status", [403, 500])
def test_one_picture_that_is_not_to_be_had_ends_nothing(
    status: int, serve: Serve, tmp_path: Path
) -> None:
    pages = site.wikiart([klee(4)], by_genre=True)
    refusing(pages, klee(4).works[2], status)
    job, events = begin(tmp_path, serve(pages))
    (refusal,) = (event for event in events if isinstance(event, Refusal))
    assert refusal.item.endswith("work-2") and f"answers {status}" in refusal.reason
    assert len(rows_of(job)) == 3


def test_a_host_of_pictures_that_is_away_ends_nothing(serve: Serve, tmp_path: Path) -> None:
    pages = site.wikiart([klee(4)], by_genre=True)
    for n in (1, 2):
        page = pages[klee().works[n].path]
        page.body = page.body.replace("uploads8", "uploads1")
    pages["/uploads1.wikiart.org/robots.txt"] = Reply("", status=503)
    server = serve(pages)
    job, events = begin(tmp_path, server)
    reasons = [event.reason for event in events if isinstance(event, Refusal)]
    assert len(reasons) == 2 and all("without it nothing is asked" in each for each in reasons)
    assert len(rows_of(job)) == 2
    assert sum("uploads1" in path for path in server.paths) == 5  # of one question


def test_where_no_picture_was_to_be_had_the_same_command_asks_again(
    serve: Serve, tmp_path: Path
) -> None:
    pages = site.wikiart([klee(2)], by_genre=True)
    server = serve({**pages, "/uploads8.wikiart.org/robots.txt": Reply("", status=503)})
    with pytest.raises(TemporaryError, match=r"no painting could be had: .*the same command"):
        list(begin(tmp_path, server)[1])
    server.pages = pages
    job, events = begin(tmp_path, server)
    list(events)
    assert len(rows_of(job)) == 2


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


def test_the_limit_ends_the_asking(serve: Serve, tmp_path: Path) -> None:
    server = serve(site.wikiart([klee(9)], by_genre=True))
    job, events = begin(tmp_path, server, limit=2)
    told = [event for event in events if isinstance(event, Progress)]
    assert len(rows_of(job)) == 2
    assert sum("/en/paul-klee/work-" in path for path in server.paths) == 2
    assert (told[-1].done, told[-1].total) == (2, 2)
    assert any("abstract, 0 of" in event.text for event in told)


def test_a_budget_ends_the_crawl_with_what_it_has(serve: Serve, tmp_path: Path) -> None:
    server = serve(site.wikiart([klee(9)], by_genre=True))
    job, events = begin(tmp_path, server, budget_bytes="14k")
    notes = [event.text for event in events if isinstance(event, Note)]
    assert any("the budget of 0.014 MB is used up" in note for note in notes)
    assert 0 < len(rows_of(job)) < 9
    job, events = begin(
        tmp_path, serve(site.wikiart([klee(9)], by_genre=True)), run="u", budget_time="12s"
    )
    list(events)


def test_a_picture_of_another_kind_is_refused_and_the_next_size_taken(
    serve: Serve, tmp_path: Path
) -> None:
    pages = site.wikiart([klee(4)])
    path = [w.image.removeprefix("https:/") for w in klee(4).works]
    pages[path[0]] = Reply("<html>not here</html>")
    pages[f"{path[0]}!HD.jpg"] = Reply(site.picture("other size"), "image/jpeg")
    for suffix in ("", "!HD.jpg", "!Large.jpg"):
        pages[path[1] + suffix] = Reply("<html>not here</html>", "image/jpeg")
        pages[path[2] + suffix] = Reply(bomb(), "image/png")
    pages[path[3]] = Reply(site.picture("p", format="PNG"), "image/jpeg")  # misnamed: taken
    job, events = begin(tmp_path, serve(pages))
    reasons = {event.item[-6:]: event.reason for event in events if isinstance(event, Refusal)}
    assert [row["title"] for row in rows_of(job)] == ["Work 0", "Work 3"]
    assert rows_of(job)[1]["key"].endswith(".png")
    assert "not a picture: a web page" in reasons["work-1"]
    assert "decompression bomb" in reasons["work-2"]


def bomb() -> bytes:
    """A PNG that claims ten thousand million pixels."""
    from tests.jobs.test_collect import png_header

    return png_header(100_000, 100_000)


def test_pictures_that_lie_in_private_places_are_not_asked_for(
    serve: Serve, tmp_path: Path
) -> None:
    """A page may name any address: nothing but the site is asked, whatever it names."""
    secret = serve({"/secret.jpg": Reply(site.picture("secret"), "image/jpeg")})
    good = site.Artist("k", "K", "1870", "1930", (site.Work("k", "w", "W", 1910),))
    pages = site.wikiart([klee(3), good])
    places = (f"{secret.url}/secret.jpg", "http://169.254.169.254/x.jpg", "file:///etc/passwd")
    for work, place in zip(klee(3).works, places, strict=True):
        pages[work.path] = Reply(pages[work.path].body.replace(work.image, place))
    job, events = begin(tmp_path, serve(pages))
    reasons = [event.reason for event in events if isinstance(event, Refusal)]
    assert sum("leads off WikiArt" in reason for reason in reasons) == 2
    assert sum("neither http nor https" in reason for reason in reasons) == 1
    assert secret.asked == []
    assert [row["title"] for row in rows_of(job)] == ["W"]


@pytest.mark.parametrize(
    ("name", "home", "link"),
    [
        ("cleveland", "https://clevelandart.org/art", "https://clevelandart.org/art/1"),
        ("met", "https://www.metmuseum.org/art", "https://collectionapi.metmuseum.org/public/"),
        ("commons", "https://commons.wikimedia.org/wiki", "https://commons.wikimedia.org/wiki/F"),
    ],
)
@pytest.mark.parametrize("bad", ["javascript:alert(1)//", "https://[bad"])
def test_a_link_that_is_none_does_not_get_into_pages_for_people(
    name: str, home: str, link: str, bad: str, serve: Serve, tmp_path: Path
) -> None:
    pages = MUSEUMS[name]()
    for page in pages.values():
        if isinstance(page.body, str):
            page.body = page.body.replace(home, bad)
    job, events = begin(tmp_path, serve(pages), name, max_side=1600)
    list(events)
    (row,) = rows_of(job)
    assert row["source_url"].startswith(link)


def test_of_each_artist_so_many_and_of_the_unknown_any(serve: Serve, tmp_path: Path) -> None:
    names = ("Казимир Малевич", "Казимир Малевич", "萬鐵五郎", "Unknown artist", "Unknown artist")
    home, image = "https://www.artic.edu/artworks/", "https://www.artic.edu/iiif/2"
    dates = {"artist_display": "1878–1935", "artwork_type_title": "Painting"}
    about = {"title": "T", "is_public_domain": True, **dates}
    rows = [{**about, "id": n, "image_id": f"{n}", "artist_title": a} for n, a in enumerate(names)]
    pages: dict[str, Any] = dict(MUSEUMS["artic"]())
    for path in [path for path in pages if "search" in path]:
        pages[path] = site.as_json({"data": rows})
    for n in range(len(names)):
        path = f"{image}/{n}/full/!1600,1600/0/default.jpg".removeprefix("https:/")
        pages[path] = Reply(site.picture(f"{n}"), "image/jpeg")
    job, events = begin(tmp_path, serve(pages), "artic", max_side=1600, per_artist=1)
    list(events)
    assert [row["source_url"].removeprefix(home) for row in rows_of(job)] == ["0", "2", "3", "4"]


def test_what_cannot_be_had_does_not_count_for_its_artist(serve: Serve, tmp_path: Path) -> None:
    pages = site.wikiart([klee(4)])
    pages[klee(4).works[0].image.removeprefix("https:/")] = Reply("", status=404)
    server = serve(pages)
    job, events = begin(tmp_path, server, per_artist=1)
    list(events)
    assert [row["title"] for row in rows_of(job)] == ["Work 1"]
    assert "/en/paul-klee/work-2" not in server.paths  # one is enough: no more is asked for


def test_a_site_that_refuses_us_is_left_and_the_others_go_on(serve: Serve, tmp_path: Path) -> None:
    pages = site.wikiart([klee(5)])
    good = dict(pages)
    for work in klee(5).works:
        refusing(pages, work, 403)
    server = serve(pages)
    job, events = begin(tmp_path, server)
    with pytest.raises(InputError, match=r"wikiart: no painting was found.* a new run"):
        list(events)
    refused = dict(job.output.progress().refused)
    assert "does not want programs" in refused["wikiart"]
    assert "in a new run (--run NAME)" in refused["wikiart"]
    assert sum("uploads8" in path for path in server.paths) == 1 + 2 * 3 + 1
    server.pages = good
    job, events = begin(tmp_path, server, run="new")
    list(events)
    assert len(rows_of(job)) == 5


def test_a_site_that_is_away_says_that_the_same_command_goes_on(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(site.wikiart([klee(2)]))
    pages, server.pages = server.pages, {}
    server.pages["/robots.txt"] = Reply("", status=503)
    with pytest.raises(TemporaryError, match="the same command goes on from here later"):
        list(begin(tmp_path, server)[1])
    server.pages = pages
    job, events = begin(tmp_path, server)
    list(events)
    assert len(rows_of(job)) == 2


def test_a_rebuilt_site_is_said_to_be_rebuilt(serve: Serve, tmp_path: Path) -> None:
    pages = {path: Reply("<html>All new!</html>") for path in site.wikiart([klee(2)])}
    del pages["/robots.txt"]
    with pytest.raises(InputError, match=r"no longer has the list of artists.*newer MachineRay"):
        list(begin(tmp_path, serve(pages))[1])


def test_reasons_are_named_where_there_are_some(serve: Serve, tmp_path: Path) -> None:
    server = serve(site.wikiart([klee(1, labels=("Fair Use",))], by_genre=True))
    with pytest.raises(InputError, match=r"by Nobody was found that .* none was refused either"):
        list(begin(tmp_path, server, artist=["Nobody"])[1])
    assert not list(tmp_path.rglob("_failed"))
    with pytest.raises(InputError, match=r"no painting was found .* reasons are in .*/_failed/"):
        list(begin(tmp_path, server, run="u")[1])
    assert list(tmp_path.rglob("_failed"))


def test_a_dry_run_tells_how_much_and_collects_nothing(serve: Serve, tmp_path: Path) -> None:
    server = serve(site.wikiart([klee(3)], by_genre=True))
    job, events = begin(tmp_path, server, dry_run=True, limit=2)
    notes = [event.text for event in events if isinstance(event, Note)]
    assert notes[0].startswith("wikiart: about ")
    assert "2 pictures" in notes[0]
    assert notes[-1].endswith("nothing was collected")
    assert server.paths == [
        "/robots.txt",
        "/en/App/Artist/AlphabetJson?v=new",
        "/en/paintings-by-genre/abstract?json=2&page=1",
    ]
    assert job.output.plan() is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget_time": "2s"}, "the budget of 2 s is used up"),
        ({"budget_bytes": "100"}, "the budget of 0.0001 MB is used up"),
    ],
)
def test_a_dry_run_ends_with_its_budget(
    options: dict[str, Any], words: str, serve: Serve, tmp_path: Path
) -> None:
    told = []
    with pytest.raises(InputError, match="smk: nothing is known of what it would ask for"):
        for event in begin(tmp_path, serve(MUSEUMS["smk"]()), "smk", dry_run=True, **options)[1]:
            told.append(str(event))
    assert words in told[0]


def test_one_source_that_fails_ends_no_dry_run(serve: Serve, tmp_path: Path) -> None:
    servers = {"met": serve({}), "cleveland": serve(MUSEUMS["cleveland"]())}
    _, events = begin(
        tmp_path,
        servers["met"],
        source=list(servers),
        source_url=[f"{name}={server.url}" for name, server in servers.items()],
        dry_run=True,
    )
    notes = [event.text for event in events if isinstance(event, Note)]
    assert notes[0].startswith("met: nobody can say: ") and "404" in notes[0]
    assert notes[1].startswith("cleveland: about ")
    assert notes[2].startswith("in all without met about ")


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
    assert typed == "--source met --source smk --limit 5 --contact me@x.org -r t"


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
    assert typed == "--source wikiart --source met --limit 5 -r t"


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
