"""The page of boxes as a parser sees it: in order, without requests, without markup of others."""

import shlex
import time
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from machineray.unframe.page import SURE, boxes_pages


def boxes_page(rows: list[dict[str, object]], command: str) -> str:
    ((name, data),) = boxes_pages(rows, command)
    assert name == "boxes.html"
    return data.decode()


class Page(HTMLParser):
    """Collects elements, addresses, outlines and what can be ticked."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.outlines: list[str] = []
        self.ids: list[str] = []
        self.ticks: list[tuple[str, str, bool]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.addresses += [found[name] or "" for name in {"href", "src"} & found.keys()]
        if tag == "polygon" and found["class"] == "box":
            self.outlines.append(found["points"] or "")
        if tag == "figure":
            self.ids.append(found["data-id"] or "")
        if tag == "input":
            self.ticks.append((self.ids[-1], found.get("value") or "", "checked" in found))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def row(id: str, confidence: float, **more: object) -> dict[str, object]:
    known = {"box": [10, 20, 90, 100], "source_size": [100, 120]}
    return {"id": id, "confidence": confidence, "thumbnail": f"thumbnails/{id}.webp"} | known | more


def test_the_least_certain_comes_first_and_every_picture_has_its_box() -> None:
    leaning = [[10.0, 20.0], [91.0, 22.0], [90.0, 99.0], [9.0, 101.0]]
    rows = [
        row("sure", 0.99, title="Rot", artist="K. M.", year=1915),
        row("doubtful", SURE, box=[0, 0, 100, 120], overruled="not sure", proposed=[5, 5, 9, 9]),
        row("askew", 0.8, corners=leaning),
        row("told", 0.3, box=[0, 0, 100, 120], overruled="by hand"),
    ]
    text = boxes_page(rows, "mray run unframe --input 'a b'")
    page = Page(text)
    names = ["askew", "doubtful", "told", "sure"]
    assert page.ids == names
    assert page.addresses == [f"thumbnails/{name}.webp" for name in names]
    assert page.outlines[0] == "10.0,20.0 91.0,22.0 90.0,99.0 9.0,101.0"
    assert page.outlines[3] == "10.0,20.0 90.0,20.0 90.0,100.0 10.0,100.0"
    assert text.count('class="proposed" points="5.0,5.0 9.0,5.0 9.0,9.0 5.0,9.0"') == 1
    assert ("doubtful", '[5,5,9,9,""]', False) in page.ticks
    assert {tick[0] for tick in page.ticks if tick[1] == '[0,0,100,120,""]'} == {*names}
    assert '"boxes":{"told":[0,0,100,120,""]}' in text  # what is saved again
    assert text.index("<h2>To look at") < text.index('data-id="askew"') < text.index("<h2>Sure")
    assert "2 to look at, 2 sure" in page.texts
    assert "mray run unframe --input 'a b' --boxes boxes.csv" in "".join(page.texts)
    assert {"0.80, set upright", "0.97, whole (not sure)", "0.99, cut"} <= set(page.texts)


@given(st.text(min_size=1), st.text(), st.text())
@example('"><script>', "javascript:alert(1)", "</textarea><img src=//x>")
@example("\ud800", "\ud800", "${unsure}")
def test_no_text_becomes_markup_or_a_request(item: str, title: str, command: str) -> None:
    plain = Page(boxes_page([row("a", 0.5)], "x"))
    page = Page(boxes_page([row(item, 0.5, title=title, artist=title)], command))
    assert [tag for tag in page.tags if tag != "br"] == [tag for tag in plain.tags if tag != "br"]
    assert len(page.addresses) == 1
    assert ":" not in page.addresses[0]
    assert not page.addresses[0].startswith("/")
    shown = f"thumbnails/{item}.webp".encode("utf-8", "replace").decode()
    assert unquote(page.addresses[0]) == shown


def test_many_pictures_are_on_several_pages() -> None:
    rows = [row(f"p{number}", 0.5 + number / 20) for number in range(5)]
    pages = {name: Page(data.decode()) for name, data in boxes_pages(rows, "x", page=2)}
    assert list(pages) == ["boxes.html", "boxes-2.html", "boxes-3.html"]
    shown = [[a for a in page.addresses if "thumbnails" in a] for page in pages.values()]
    assert [len(each) for each in shown] == [2, 2, 1]
    assert list(chain(*shown)) == [f"thumbnails/p{number}.webp" for number in range(5)]
    assert {"boxes.html", "boxes-3.html"} <= set(pages["boxes-2.html"].addresses)


ROOT = Path("root's", "runs", "klee", "unframe")


def hung(browser: Any, folder: Path) -> Path:
    """The page of three pictures, 100 x 120, in a root of its own: one is drawn by hand before."""
    (folder / ROOT / "thumbnails").mkdir(parents=True)
    for name in "abc":
        Image.new("RGB", (50, 60), "red").save(folder / ROOT / "thumbnails" / f"{name}.webp")
    unsure = row("a", 0.5, box=[0, 0, 100, 120], overruled="not sure", proposed=[10, 20, 90, 100])
    told = row("c", 0.6, box=[1, 2, 50, 60], overruled="by hand")
    ((name, data),) = boxes_pages([unsure, row("b", 0.99), told], "mray run unframe")
    (folder / ROOT / name).write_bytes(data)
    browser.open(folder / ROOT / name)
    return folder / ROOT / name


def saved(browser: Any, folder: Path, kind: str, name: str) -> list[str]:
    """The lines of what the page saves."""
    folder.mkdir(exist_ok=True)
    browser.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    browser.js("scrollTo(0, 0)")
    browser.click(*browser.centre(f"[data-save={kind}]"))
    deadline = time.monotonic() + 10
    while not (file := folder / name).exists() or not file.stat().st_size:
        assert time.monotonic() < deadline, "nothing was saved"
        time.sleep(0.05)
    lines = file.read_text(encoding="utf-8").splitlines()
    file.unlink()
    return lines


def tick(browser: Any, item: str, label: str) -> None:
    found = f"[...document.querySelectorAll('[data-id={item}] label')]"
    browser.js(f"{found}.find((each) => each.textContent === '{label}').firstChild.click()")


def at(browser: Any, x: float, y: float) -> tuple[float, float]:
    """The place on the screen of one in the large picture."""
    point = f"new DOMPoint({x}, {y}).matrixTransform(document.querySelector('dialog svg')"
    return tuple(browser.js(f"(({{x, y}}) => [x, y])({point}.getScreenCTM()))"))


HEADER = "id,left,top,right,bottom,corners"


@pytest.mark.xdist_group("browser")  # one Chromium for all
def test_ticks_are_boxes_and_what_is_rejected_has_none(browser: Any, tmp_path: Path) -> None:
    page = hung(browser, tmp_path)
    for item, label in (("a", "dashed"), ("b", "whole"), ("c", "reject")):
        tick(browser, item, label)
    lines = [HEADER, "a,10,20,90,100,", "b,0,0,100,120,"]
    assert saved(browser, tmp_path / "out", "boxes", "boxes.csv") == lines
    assert saved(browser, tmp_path / "out", "reject", "reject.txt") == ["c"]
    tick(browser, "a", "whole")  # another box instead
    browser.open(page)  # looked at again: nothing is forgotten
    assert (
        browser.js(
            "document.querySelector('[data-id=c] svg').computedStyleMap().get('opacity').value"
        )
        == 0.25
    )
    tick(browser, "c", "reject")
    tick(browser, "b", "whole")
    lines = [HEADER, "a,0,0,100,120,", "c,1,2,50,60,"]
    assert saved(browser, tmp_path / "out", "boxes", "boxes.csv") == lines
    told = browser.js("document.querySelector('[data-list=boxes] code').textContent")
    root = shlex.quote(str(tmp_path / ROOT.parts[0]))
    assert shlex.split(told) == shlex.split(f"mray run unframe --root {root} --boxes boxes.csv")
    assert browser.js("document.querySelector('[data-list=reject]').hidden")
    assert browser.complaints() == []


@pytest.mark.xdist_group("browser")
def test_a_box_is_drawn_and_its_edges_are_dragged(browser: Any, tmp_path: Path) -> None:
    hung(browser, tmp_path)
    browser.js("document.querySelector('[data-id=b] svg').scrollIntoView({block: 'center'})")
    browser.click(*browser.centre("[data-id=b] svg"))
    browser.drag(at(browser, 70, 80), at(browser, 30, 140))  # backwards, and beyond the picture
    assert saved_by(browser) == [30, 80, 70, 120, ""]
    browser.drag(at(browser, 30, 90), at(browser, 20, 60))  # an edge
    assert saved_by(browser) == [20, 80, 70, 120, ""]
    browser.drag(at(browser, 70, 80), at(browser, 75, 10))  # a corner
    assert saved_by(browser) == [20, 10, 75, 120, ""]
    browser.click(*at(browser, 50, 50))  # a click draws nothing
    assert saved_by(browser) == [20, 10, 75, 120, ""]
    browser.screenshot(tmp_path / "large.png")
    browser.click(*browser.centre("#back"))
    assert saved_by(browser) is None
    browser.drag(at(browser, 10, 50), at(browser, 40, 50))  # an edge of the box that was found
    assert saved_by(browser) == [40, 20, 90, 100, ""]
    browser.drag(at(browser, 90, 20), at(browser, 94, 26), shift=True)  # one corner alone
    browser.drag(at(browser, 40, 60), at(browser, 30, 60))  # a side, which stays as it leans
    browser.drag(at(browser, 94, 26), at(browser, 20, 110))  # beyond the others: that is no box
    browser.click(*browser.centre("#close"))
    lines = [HEADER, "b,30,23,92,100,30 20 94 26 90 100 30 100", "c,1,2,50,60,"]
    assert saved(browser, tmp_path / "out", "boxes", "boxes.csv") == lines
    drawn = browser.js("document.querySelector('[data-id=b] .drawn').getAttribute('points')")
    assert drawn == "30,20 94,26 90,100 30,100"
    assert browser.complaints() == []


def saved_by(browser: Any) -> list[int] | None:
    """What the browser keeps of picture b."""
    key = "Object.keys(localStorage).find((key) => key.includes(location.pathname.slice(0, -10)))"
    return browser.js(f"JSON.parse(localStorage.getItem({key})).boxes.b")
