"""Asking politely: what a site lets us have, at its pace, and nothing twice."""

import contextlib
import gzip
import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from machineray.collect.addresses import checked_mirror
from machineray.collect.answers import Barred, PassingTrouble, Unfit, unpacked
from machineray.collect.fetch import agent_text
from machineray.collect.limits import Budget, Spent
from machineray.collect.wire import retry_after
from machineray.errors import TemporaryError, UsageError
from tests.collect.clocks import BEGAN, Hand
from tests.collect.site import Page, Reply, Server, as_json
from tests.collect.webs import HOME, JPEG, LIMITS, Shelf, web


def test_who_asks_says_who_it_is(serve: Callable[..., Server]) -> None:
    server = serve({"/a": Reply("hello")})
    asking = web(server)
    asking.agent = agent_text("1.2", "me@example.org")
    asking.ask(f"{HOME}/a", "page")
    assert {headers["User-Agent"] for _, headers in server.asked} == {
        "MachineRay/1.2 (collects public-domain paintings; contact: me@example.org)"
    }
    with pytest.raises(UsageError, match="--contact"):
        agent_text("1.2", "me\r\nCookie: x")


def test_robots_txt_is_asked_once_and_obeyed(serve: Callable[..., Server]) -> None:
    robots = "User-agent: *\nDisallow: /private\nUser-agent: MachineRay\nDisallow: /not-us\n"
    pages: dict[str, Page] = {"/robots.txt": Reply(robots, "text/plain")}
    server = serve(pages | {"/private": Reply("x"), "/not-us": Reply("x"), "/b": Reply("x")})
    asking = web(server)
    asking.ask(f"{HOME}/private", "page")  # the group that names us is the one that counts
    asking.ask(f"{HOME}/b", "page")
    with pytest.raises(Unfit, match=r"robots\.txt asks not to be asked"):
        asking.ask(f"{HOME}/not-us", "page")
    assert server.paths == ["/robots.txt", "/private", "/b"]


def test_an_api_that_is_offered_to_programs_goes_by_its_own_terms(
    serve: Callable[..., Server],
) -> None:
    robots = Reply("User-agent: *\nDisallow: /\n", "text/plain")
    server = serve({"/robots.txt": robots, "/api/x": as_json([])})
    assert web(server).ask(f"{HOME}/api/x").text == "[]"
    assert server.paths == ["/api/x"]


FORBIDDING = "User-agent: *\nDisallow: /\n"


def slowly(handler: Any) -> None:
    """The whole of it comes at once, and then never an end."""
    Reply(FORBIDDING, "text/plain", headers={"Content-Length": "500"})(handler)
    time.sleep(1)


UNREADABLE: dict[str, Page] = {
    "broken": Reply("", status=500),
    "packed wrongly": Reply(FORBIDDING, headers={"Content-Encoding": "gzip"}),
    "packed strangely": Reply(FORBIDDING, headers={"Content-Encoding": "br"}),
    "elsewhere": Reply("", status=301, headers={"Location": "https://evil.example/robots.txt"}),
    "too slow": slowly,
    "busy for hours": Reply("", status=503, headers={"Retry-After": "7200"}),
}


@pytest.mark.parametrize("how", UNREADABLE)
def test_a_robots_txt_that_cannot_be_read_forbids_everything(
    how: str, serve: Callable[..., Server]
) -> None:
    """At home that is the end; of another host's pictures the crawl goes on without."""
    limits = replace(LIMITS, page_seconds=0.4 if how == "too slow" else 60.0)
    server = serve({"/robots.txt": UNREADABLE[how], "/a": Reply("x")})
    with pytest.raises(
        TemporaryError, match=r"robots\.txt.*: without it nothing is asked; what is"
    ):
        web(server, limits=limits).ask(f"{HOME}/a", "page")
    assert "/a" not in server.paths
    server = serve({"/img.museum.example/robots.txt": UNREADABLE[how], "/a": Reply("x")})
    asking = web(server, limits=limits)
    for n in range(5):
        with pytest.raises(PassingTrouble, match=rf"{n}\.jpg: .*without it nothing is asked$"):
            asking.ask(f"https://img.museum.example/{n}.jpg", "picture")
    assert asking.ask(f"{HOME}/a", "page").text == "x"
    assert not any("jpg" in path for path in server.paths)


@pytest.mark.parametrize("status", [401, 403, 404, 410, 418])
def test_where_there_is_no_robots_txt_all_is_allowed(
    status: int, serve: Callable[..., Server]
) -> None:
    server, shelf = serve({"/robots.txt": Reply("", status=status), "/a": Reply("x")}), Shelf()
    for _ in range(2):
        assert web(server, shelf).ask(f"{HOME}/a", "page").text == "x"
    assert server.paths == ["/robots.txt", "/a"]


def test_of_a_huge_robots_txt_the_beginning_counts(serve: Callable[..., Server]) -> None:
    text = "User-agent: *\nDisallow: /a\n" + "# long\n" * 400_000 + "Disallow: /b\n"
    packed = Reply(gzip.compress(text.encode()), headers={"Content-Encoding": "gzip"})
    for robots in (Reply(text, "text/plain"), packed):
        asking = web(serve({"/robots.txt": robots, "/b": Reply("x")}))
        with pytest.raises(Unfit, match="asks not to be asked"):
            asking.ask(f"{HOME}/a", "page")
        assert asking.ask(f"{HOME}/b", "page").text == "x"


def test_a_robots_txt_may_lie_elsewhere_on_the_site(serve: Callable[..., Server]) -> None:
    moved = Reply("", status=301, headers={"Location": "/robots2.txt"})
    server = serve({"/robots.txt": moved, "/robots2.txt": Reply(FORBIDDING, "text/plain")})
    with pytest.raises(Unfit, match="asks not to be asked"):
        web(server).ask(f"{HOME}/a", "page")
    assert server.paths == ["/robots.txt", "/robots2.txt"]


def test_who_asks_to_be_asked_once_a_week_is_left_in_peace(serve: Callable[..., Server]) -> None:
    robots = Reply("User-agent: *\nCrawl-delay: 6000000\n", "text/plain")
    server = serve({"/robots.txt": robots, "/img.museum.example/robots.txt": robots})
    hand = Hand()
    with pytest.raises(Barred, match=r"asks for 6e\+06 s between two requests, more than we wait"):
        web(server, hand=hand).ask(f"{HOME}/a", "page")
    with pytest.raises(PassingTrouble, match="more than we wait"):
        web(server, hand=hand).ask("https://img.museum.example/a", "page")
    assert len(server.asked) == 2 and sum(hand.slept) < 10


def test_the_pace_is_kept_with_jitter_and_by_the_robots_delay(
    serve: Callable[..., Server],
) -> None:
    pages: dict[str, Page] = {f"/{n}": Reply("x") for n in range(4)}
    draws = itertools.cycle([0.0, 1.0])
    hand = Hand()
    asking = web(serve(pages), hand=hand, random=lambda: next(draws))
    for n in range(4):
        asking.ask(f"{HOME}/{n}", "page")
    assert hand.slept == [0.75, 1.25, 0.75, 1.25]
    hand = Hand()
    slow = serve(pages | {"/robots.txt": Reply("User-agent: *\nCrawl-delay: 7", "text/plain")})
    asking = web(slow, hand=hand)
    for n in range(3):
        asking.ask(f"{HOME}/{n}", "page")
    assert hand.slept[-2:] == [7.0, 7.0]


def busy(times: int, status: int, headers: dict[str, str]) -> Page:
    """An answer that comes after so many others."""
    left = iter(range(times))

    def page(handler: Any) -> None:
        ended = next(left, None) is None
        (Reply("here") if ended else Reply("", status=status, headers=headers))(handler)

    return page


def test_back_off_doubles_and_retry_after_counts_more(serve: Callable[..., Server]) -> None:
    hand = Hand()
    asking = web(serve({"/a": busy(3, 500, {})}), hand=hand)
    assert asking.ask(f"{HOME}/a", "page").text == "here"
    assert [wait for wait in hand.slept if wait > 1] == [2.0, 4.0, 8.0]
    hand = Hand()
    when = "Thu, 26 Nov 2026 12:01:30 GMT"  # of an hour that began at 12:00
    for value, least in (("77", 77.0), (when, 80.0)):
        hand = Hand()
        asking = web(serve({"/a": busy(1, 429, {"Retry-After": value})}), hand=hand)
        asking.ask(f"{HOME}/a", "page")
        assert max(hand.slept) >= least


def test_who_asks_to_wait_for_hours_is_left_in_peace(serve: Callable[..., Server]) -> None:
    server = serve({"/a": busy(1, 503, {"Retry-After": "7200"})})
    with pytest.raises(TemporaryError, match=r"asks to wait 7200 s; .*the same command goes on"):
        web(server).ask(f"{HOME}/a", "page")
    assert server.paths.count("/a") == 1


def test_a_site_that_is_always_busy_is_tried_five_times(serve: Callable[..., Server]) -> None:
    server = serve({"/a": busy(99, 429, {})})
    with pytest.raises(TemporaryError, match="429, 5 times"):
        web(server).ask(f"{HOME}/a", "page")
    assert server.paths.count("/a") == 5


def test_three_pages_that_fail_mean_that_the_site_is_down(serve: Callable[..., Server]) -> None:
    server = serve({f"/{n}": Reply("", status=500) for n in range(3)})
    asking = web(server)
    for n in range(2):
        with pytest.raises(PassingTrouble, match="500, 5 times"):
            asking.ask(f"{HOME}/{n}", "page")
    with pytest.raises(TemporaryError, match="museum is down"):
        asking.ask(f"{HOME}/2", "page")


def test_who_is_refused_again_and_again_stops(serve: Callable[..., Server]) -> None:
    server = serve({f"/{n}": Reply("", status=403) for n in range(3)})
    asking = web(server)
    for n in range(2):
        with pytest.raises(Unfit, match="answers 403: not for us"):
            asking.ask(f"{HOME}/{n}", "page")
    with pytest.raises(Barred, match="does not want programs, or not this one; say who you are"):
        asking.ask(f"{HOME}/2", "page")
    assert server.paths[1:] == ["/0", "/1", "/2"]


@pytest.mark.parametrize(("status", "error"), [(403, Barred), (500, TemporaryError)])
def test_of_one_painting_every_picture_may_fail(
    status: int, error: type[Exception], serve: Callable[..., Server]
) -> None:
    """Three addresses of one are one failure; three paintings mean more, whatever pages say."""
    pages = {f"/{n}{size}.jpg": Reply("", status=status) for n in range(3) for size in "abc"}
    asking = web(serve(pages | {f"/{n}": Reply("x") for n in range(3)}))
    for n, size in itertools.product(range(3), "abc"):
        asking.ask(f"{HOME}/{n}", "page")
        wanted = error if (n, size) == (2, "a") else PassingTrouble
        with pytest.raises(wanted):
            asking.ask(f"{HOME}/{n}{size}.jpg", "picture", of=str(n))
        if wanted is error:
            break


def test_nothing_is_asked_twice_not_even_what_was_refused(serve: Callable[..., Server]) -> None:
    shelf = Shelf()
    server = serve({"/a": Reply("hello"), "/p.jpg": Reply(JPEG, "image/jpeg")})
    for _ in range(2):
        asking = web(server, shelf)
        assert asking.ask(f"{HOME}/a", "page").text == "hello"
        answer = asking.ask(f"{HOME}/p.jpg", "picture")
        shelf["runs/x/p.jpg"] = answer.body
        asking.keep_picture(answer, "runs/x/p.jpg")
        with pytest.raises(Unfit, match="answers 404: no such page"):
            asking.ask(f"{HOME}/gone", "page")
        assert (asking.spent.pages, asking.spent.pictures) == (2, 1)
    assert server.paths == ["/robots.txt", "/a", "/p.jpg", "/gone"]
    assert asking.spent.asked == 0
    assert not any(JPEG in data for key, data in shelf.items() if key.startswith("cache/"))


def test_json_that_is_called_a_page_is_json(serve: Callable[..., Server]) -> None:
    server = serve({"/a": Reply(' {"x": 1}'), "/b": Reply("<html>")})
    assert web(server).ask(f"{HOME}/a").text == ' {"x": 1}'
    with pytest.raises(Unfit, match="a web page instead of JSON"):
        web(server).ask(f"{HOME}/b")


def test_what_was_of_no_use_is_asked_for_again(serve: Callable[..., Server]) -> None:
    shelf, server = Shelf(), serve({"/a": Reply("wait a moment …")})
    asking = web(server, shelf)
    asking.ask(f"{HOME}/a", "page")
    asking.forget(f"{HOME}/a")
    server.pages["/a"] = Reply("hello")
    assert web(server, shelf).ask(f"{HOME}/a", "page").text == "hello"


def test_a_picture_that_is_no_more_where_it_was_kept_is_asked_for_again(
    serve: Callable[..., Server],
) -> None:
    shelf, server = Shelf(), serve({"/p.jpg": Reply(JPEG, "image/jpeg")})
    answer = web(server, shelf).ask(f"{HOME}/p.jpg", "picture")
    web(server, shelf).keep_picture(answer, "gone.jpg")
    assert web(server, shelf).ask(f"{HOME}/p.jpg", "picture").body == JPEG
    assert server.paths.count("/p.jpg") == 2


def test_what_is_a_day_old_is_asked_for_only_if_it_changed(serve: Callable[..., Server]) -> None:
    shelf, server = Shelf(), serve({"/a": Reply("hello", etag='"7"'), "/b": Reply("1")})
    web(server, shelf).ask(f"{HOME}/a", "page")
    web(server, shelf).ask(f"{HOME}/b", "page")
    later = web(server, shelf)
    later.began = BEGAN + timedelta(days=2)
    server.pages["/b"] = Reply("2")
    assert later.ask(f"{HOME}/a", "page").text == "hello"
    assert later.ask(f"{HOME}/b", "page").text == "2"
    assert [h.get("If-None-Match") for p, h in server.asked if p == "/a"] == [None, '"7"']


def test_a_crawl_that_goes_on_days_later_goes_by_the_rules_of_then(
    serve: Callable[..., Server],
) -> None:
    shelf, server = Shelf(), serve({"/a": Reply("hello"), "/robots.txt": Reply("", "text/plain")})
    web(server, shelf).ask(f"{HOME}/a", "page")
    server.pages["/robots.txt"] = Reply("User-agent: *\nDisallow: /b\n", "text/plain")
    later = web(server, shelf, Hand(seconds=2 * 86_400))
    assert later.ask(f"{HOME}/a", "page").text == "hello"
    with pytest.raises(Unfit, match=r"robots\.txt asks not to"):
        later.ask(f"{HOME}/b", "page")
    assert server.paths == ["/robots.txt", "/a", "/robots.txt"]


def test_a_damaged_cache_is_asked_for_again(serve: Callable[..., Server]) -> None:
    shelf, server = Shelf(), serve({"/a": Reply("hello")})
    web(server, shelf).ask(f"{HOME}/a", "page")
    for key in list(shelf):
        shelf[key] = shelf[key][:-9]
    assert web(server, shelf).ask(f"{HOME}/a", "page").text == "hello"
    assert unpacked(b"x") is None
    assert unpacked(gzip.compress(b'{"no": 1}\n')) is None


def test_a_budget_ends_a_crawl_before_it_is_overdrawn(serve: Callable[..., Server]) -> None:
    pages: dict[str, Page] = {f"/{n}": Reply("x" * 600) for n in range(9)}
    asking = web(serve(pages), budget=Budget(bytes=2200))
    asking.ask(f"{HOME}/0", "page")
    asking.ask(f"{HOME}/1", "page")
    with pytest.raises(Spent, match=r"budget of 0\.0022 MB"):
        asking.ask(f"{HOME}/2", "page")
    hand = Hand()
    asking = web(serve(pages), hand=hand, budget=Budget(seconds=2.5))
    with pytest.raises(Spent, match="budget of 2 s"):
        for n in range(9):
            asking.ask(f"{HOME}/{n}", "page")
    assert asking.spent.pages == 2  # and robots.txt: three requests
    hand.seconds += 1
    with pytest.raises(Spent, match="budget of 2 s"):
        asking.ask(f"{HOME}/0", "page")  # nor does the cache go on for ever


def test_a_call_after_a_kill_knows_what_the_answers_took(serve: Callable[..., Server]) -> None:
    shelf, server = Shelf(), serve({"/a": Reply("x" * 600), "/gone": Reply("x", status=404)})
    spent = []
    for _ in range(2):
        asking = web(server, shelf)
        for path, kind in (("robots.txt", "robots"), ("a", "page"), ("gone", "page")):
            with contextlib.suppress(Unfit):
                asking.ask(f"{HOME}/{path}", kind)  # type: ignore[arg-type]
        spent.append(asking.spent.bytes)
    assert spent[0] == spent[1] > 900 and asking.spent.asked == 0


# -- addresses


def test_a_mirror_has_the_first_host_at_its_root_and_others_below() -> None:
    asking = web("http://127.0.0.1:8080/copy/").addresses
    assert asking.actual(f"{HOME}/a?b=1") == "http://127.0.0.1:8080/copy/a?b=1"
    below = "http://127.0.0.1:8080/copy/img.museum.example/a.jpg"
    assert asking.actual("https://img.museum.example/a.jpg") == below
    assert asking.checked(below) == "https://img.museum.example/a.jpg"
    assert asking.checked("http://127.0.0.1:8080/copy/b") == f"{HOME}/b"


def test_a_site_may_be_its_own_mirror() -> None:
    own = web(HOME).addresses
    assert own.checked(f"{HOME}/a") == own.actual(f"{HOME}/a") == f"{HOME}/a"


def test_addresses_are_written_in_one_way() -> None:
    asking = web("http://127.0.0.1:8080").addresses
    assert asking.checked("http://MUSEUM.example/Größe 1.jpg") == f"{HOME}/Gr%C3%B6%C3%9Fe%201.jpg"
    assert asking.checked(f"{HOME}/a.jpg!Large.jpg") == f"{HOME}/a.jpg!Large.jpg"
    with pytest.raises(Unfit, match="not an address"):
        asking.checked("https://[::1/x")
    with pytest.raises(Unfit, match="not an address"):
        asking.checked(f"{HOME}/\ud800")


@pytest.mark.parametrize("url", ["127.0.0.1", "ftp://x", "http://", "http://u@h", "http://h:x"])
def test_what_is_no_mirror_is_told_at_once(url: str) -> None:
    with pytest.raises(UsageError, match=r"--source-url museum=.*: write NAME=https://host"):
        checked_mirror("museum", url)


def test_retry_after_is_a_number_a_date_or_nothing() -> None:
    assert retry_after("120", BEGAN) == 120
    assert retry_after("Thu, 26 Nov 2026 12:01:00 GMT", BEGAN) == 60
    assert retry_after("Thu, 26 Nov 2026 11:00:00 GMT", BEGAN) == 0
    assert retry_after("soon", BEGAN) == 0
