"""What is in the way of a crawl: fences, hosts that are away, pictures that are none."""

from pathlib import Path

import pytest

from machineray.errors import InputError, TemporaryError
from machineray.log import Refusal
from tests.collect import site
from tests.collect.museums import MUSEUMS
from tests.collect.site import Reply
from tests.jobs.crawls import Serve, begin, klee, refusing, rows_of


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


def test_a_fence_before_one_painting_is_not_held_against_it(serve: Serve, tmp_path: Path) -> None:
    server = serve(site.wikiart([klee(3)], by_genre=True))
    path = klee().works[1].path
    page, server.pages[path] = server.pages[path], Reply("<html>Just a moment...</html>")
    job, events = begin(tmp_path, server)
    assert "no longer has a picture" in str(list(events))
    assert len(rows_of(job)) == 2
    server.pages[path] = page
    job, events = begin(tmp_path, server, run="new")
    list(events)
    assert len(rows_of(job)) == 3


@pytest.mark.parametrize("path", ["/en/App/Artist/Alphabet", "/en/paintings-by-genre/abstract"])
def test_a_fence_before_a_list_is_not_held_against_it(
    path: str, serve: Serve, tmp_path: Path
) -> None:
    server = serve(site.wikiart([klee(1)], by_genre=True))
    (path,) = (each for each in server.pages if each.startswith(path) and "page=2" not in each)
    page, server.pages[path] = server.pages[path], site.as_json({"message": "Please wait"})
    assert " fails (" in str(list(begin(tmp_path, server)[1]))
    server.pages[path] = page
    assert " fails (" not in str(list(begin(tmp_path, server, run="new")[1]))


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


def test_a_source_that_is_away_keeps_no_other_from_being_asked(
    serve: Serve, tmp_path: Path
) -> None:
    away, smk = serve({"/robots.txt": Reply("", status=503)}), serve(MUSEUMS["smk"]())
    options = {
        "source": ["wikiart", "smk"],
        "source_url": [f"wikiart={away.url}", f"smk={smk.url}"],
        "max_side": 1600,
    }
    with pytest.raises(TemporaryError, match=r"wikiart.*the same command goes on"):
        list(begin(tmp_path, away, **options)[1])
    asked = len(smk.asked)
    away.pages = site.wikiart([klee(2)])
    job, events = begin(tmp_path, away, **options)
    list(events)
    assert [row["source"] for row in rows_of(job)] == ["WikiArt", "WikiArt", "SMK"]
    assert len(smk.asked) == asked
