"""How much a crawl asks for: limits, budgets, and what is told before."""

from pathlib import Path
from typing import Any

import pytest

from machineray.errors import InputError
from machineray.log import Note, Progress
from tests.collect import site
from tests.collect.museums import MUSEUMS
from tests.collect.site import Reply
from tests.jobs.crawls import Serve, begin, klee, rows_of


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
    server = serve(site.wikiart([klee(9)], by_genre=True))
    job, events = begin(tmp_path / "time", server, budget_time="12s")
    assert "the budget of 12 s is used up" in str(list(events))
    assert 0 < len(rows_of(job)) < 9


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


def test_a_budget_that_ended_before_the_first_painting_is_the_reason(
    serve: Serve, tmp_path: Path
) -> None:
    job, events = begin(tmp_path, serve(site.wikiart([klee(2)])), budget_bytes="300")
    with pytest.raises(
        InputError, match=r"the reasons are in .*_failed/; to ask again begin a new"
    ):
        list(events)
    assert "the budget of 0.0003 MB is used up" in dict(job.output.progress().refused)["wikiart"]


def test_without_a_limit_paintings_are_counted_all_the_same(serve: Serve, tmp_path: Path) -> None:
    server = serve(site.wikiart([klee(3)]))
    told = [event for event in begin(tmp_path, server)[1] if isinstance(event, Progress)]
    assert {event.unit for event in told} == {"paintings"}
    assert told and all(event.done < event.total for event in told)
    (again,) = begin(tmp_path, server)[1]
    assert again == Progress("collect", 1, 1, "sources", "already done")
