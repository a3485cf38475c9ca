"""The page of boxes as a parser sees it: in order, without requests, without markup of others."""

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
        self.ticks: list[tuple[str, str, bool]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.addresses += [found[name] or "" for name in {"href", "src"} & found.keys()]
        if tag == "polygon" and found["class"] == "box":
            self.outlines.append(found["points"] or "")
        if tag == "input":
            kind, value = found["class"] or "", found["value"] or ""
            self.ticks.append((kind, value, "checked" in found))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def row(id: str, confidence: float, **more: object) -> dict[str, object]:
    known = {"box": [10, 20, 90, 100], "source_size": [100, 120]}
    return {"id": id, "confidence": confidence, "thumbnail": f"thumbnails/{id}.webp"} | known | more


def test_the_least_certain_comes_first_and_every_picture_has_its_box() -> None:
    leaning = [[10.0, 20.0], [91.0, 22.0], [90.0, 99.0], [9.0, 101.0]]
    rows = [
        row("sure", 0.99, title="Rot", artist="K. M.", year=1915),
        row("doubtful", SURE, box=[0, 0, 100, 120], left_whole="not sure", proposed=[5, 5, 9, 9]),
        row("askew", 0.8, corners=leaning),
        row("told", SURE, box=[0, 0, 100, 120], left_whole="by hand"),
    ]
    text = boxes_page(rows, "mray run unframe --input 'a b'")
    page = Page(text)
    names = [f"thumbnails/{name}.webp" for name in ("askew", "doubtful", "told", "sure")]
    assert page.addresses == names
    assert page.outlines[0] == "10.0,20.0 91.0,22.0 90.0,99.0 9.0,101.0"
    assert page.outlines[3] == "10.0,20.0 90.0,20.0 90.0,100.0 10.0,100.0"
    assert text.count('class="proposed" points="5.0,5.0 9.0,5.0 9.0,9.0 5.0,9.0"') == 1
    assert ("whole", "told", True) in page.ticks
    assert [tick for tick in page.ticks if tick[2]] == [("whole", "told", True)]
    assert {tick[1] for tick in page.ticks if tick[0] == "reject"} == {row["id"] for row in rows}
    assert text.index("<h2>To look at") < text.index("askew") < text.index("<h2>Sure")
    assert "2 to look at, 2 sure" in page.texts
    assert "mray run unframe --input 'a b' --whole FILE" in page.texts
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


@pytest.mark.xdist_group("browser")  # one Chromium for all
def test_ticks_gather_ids_in_a_browser(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "thumbnails").mkdir()
    for name in "abc":
        Image.new("RGB", (100, 120), "red").save(tmp_path / "thumbnails" / f"{name}.webp")
    told = row("c", 0.6, box=[0, 0, 100, 120], left_whole="by hand")
    (page,) = boxes_pages([row("a", 0.5), row("b", 0.99), told], "x")
    (tmp_path / page[0]).write_bytes(page[1])
    browser.open(tmp_path / page[0])
    gathered = "['whole', 'reject'].map((id) => document.getElementById(id).value)"
    assert browser.js(gathered) == ["c", ""]
    for tick in ("input.whole[value=b]", "input.reject[value=a]"):
        browser.js(f"document.querySelector('{tick}').scrollIntoView({{block: 'center'}})")
        browser.click(*browser.centre(tick))
    assert browser.js(gathered) == ["c\nb", "a"]
    assert browser.js("getComputedStyle(document.querySelector('svg')).opacity") == "0.25"
    assert browser.complaints() == []
