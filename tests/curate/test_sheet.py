"""The contact sheet in a real browser, opened from its folder, with mouse and keys."""

import re
import shlex
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from machineray.curate.contact_sheet import contact_sheet
from machineray.runs import Row

pytestmark = pytest.mark.xdist_group("browser")  # one Chromium for all

MANY = 1000


def rows_of(count: int) -> list[Row]:
    """Paintings p0000, p0001, …: the second is doubtful, every tenth is refused."""
    rows = []
    for n in range(count):
        is_refused = n % 10 == 9
        told = {
            "keep": not is_refused,
            "verdict": "too small" if is_refused else "kept",
            "reason": "too small: 9x9" if is_refused else None,
            "doubts": ["blurred"] if n == 1 else [],
            "measures": {"representational": 0.5 - n / count / 2},
        }
        rows.append({"id": f"p{n:04}", "title": f"Title\n{n}", "width": 9, "height": 9, **told})
    return rows


def hung(folder: Path, count: int, page: int = MANY) -> Path:
    """A sheet with thumbnails; the path of its first page."""
    (folder / "thumbnails").mkdir(parents=True)
    for n in range(count):
        image = Image.linear_gradient("L").resize((180 + n % 60, 200 - n % 50)).convert("RGB")
        image.save(folder / "thumbnails" / f"p{n:04}.webp", quality=50)
    for name, data in contact_sheet(rows_of(count), page=page):
        (folder / name).write_bytes(data)
    return folder / "contact-sheet.html"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return hung(tmp_path / "few", 25)


def saved(browser: Any, folder: Path, name: str = "reject") -> str:
    """What the page saves as reject.txt or keep.txt."""
    folder.mkdir()
    browser.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    browser.key({"reject": "s", "keep": "k"}[name])
    deadline = time.monotonic() + 10
    while not (file := folder / f"{name}.txt").exists() or not file.stat().st_size:
        assert time.monotonic() < deadline, "nothing was saved"
        time.sleep(0.05)
    return file.read_text(encoding="utf-8")


def rejected(browser: Any) -> list[str]:
    return browser.js("[...document.querySelectorAll('.rejected input')].map((box) => box.value)")


def count(browser: Any, name: str = "reject") -> int:
    return browser.js(f"Number(document.querySelector('[data-save={name}] span').textContent)")


def seen(browser: Any) -> list[str]:
    """Ids of the figures that the filter shows."""
    figures = "[...document.querySelectorAll('figure')].filter((each) => each.offsetParent)"
    return browser.js(f"{figures}.map((each) => each.querySelector('code').textContent)")


def test_a_click_rejects_and_the_file_names_it(browser: Any, page: Path, tmp_path: Path) -> None:
    browser.open(page)
    assert browser.js("document.querySelector('figure code').textContent") == "p0001"  # doubtful
    browser.until("document.querySelector('img').naturalWidth > 0")
    browser.click(*browser.centre("figure:nth-child(2) img"))
    browser.click(*browser.centre("figure:nth-child(3) img"))
    browser.click(*browser.centre("figure:nth-child(3) img"))  # and taken back
    assert rejected(browser) == ["p0000"]
    assert count(browser) == 1
    assert saved(browser, tmp_path / "out") == "p0000  # Title 0\n"
    assert browser.complaints() == []


def test_keys_alone_do_it_all(browser: Any, page: Path, tmp_path: Path) -> None:
    browser.open(page)
    for key in ("ArrowRight", "x", "ArrowRight", "x", "ArrowDown", "x", "ArrowUp", "ArrowLeft"):
        browser.key(key)
    columns = browser.js(
        "getComputedStyle(document.querySelector('.sheet')).gridTemplateColumns.split(' ').length"
    )
    order = ["p0001", "p0000", *(f"p{n:04}" for n in range(2, 25) if n % 10 != 9)]
    assert {*rejected(browser)} == {order[0], order[1], order[1 + columns]}
    browser.key("4")  # rejected: what is taken back goes out of sight, and the next one is at hand
    assert seen(browser) == [order[0], order[1], order[1 + columns]]
    browser.click(*browser.centre("figure:nth-child(1) img"))
    assert seen(browser) == [order[1], order[1 + columns]]
    assert browser.js("document.activeElement.value") == order[1]
    browser.key("u")
    browser.key("2")  # kept, and so is what was rejected just now
    assert len(seen(browser)) == 23
    browser.key("u")
    assert count(browser) == 2
    browser.key("2")  # kept
    assert browser.js("document.querySelector('.refused').getBoundingClientRect().height") == 0
    browser.key("3")  # doubtful
    browser.key("u")
    browser.key("u")
    assert count(browser) == 0
    browser.key("a")  # all that are shown
    assert rejected(browser) == ["p0001"]
    browser.key("1")
    assert saved(browser, tmp_path / "out") == "p0001  # Title 1\n"
    assert browser.complaints() == []


def test_what_was_refused_can_be_kept(browser: Any, page: Path, tmp_path: Path) -> None:
    browser.open(page)
    assert "--keep" not in browser.js("document.querySelector('header code').innerText")
    browser.key("5")  # refused
    assert seen(browser) == ["p0009", "p0019"]
    for key in ("ArrowRight", "ArrowRight", "x", "a"):  # a rejects what is kept, and nothing else
        browser.key(key)
    assert (rejected(browser), count(browser), count(browser, "keep")) == ([], 0, 1)
    told = browser.js("document.querySelector('header code').innerText")
    assert told == "mray run curate --keep keep.txt"
    assert saved(browser, tmp_path / "out", "keep") == "p0019  # Title 19\n"
    browser.key("u")
    assert count(browser, "keep") == 0
    assert browser.complaints() == []


def test_the_command_names_the_root_that_the_page_lies_in(browser: Any, tmp_path: Path) -> None:
    root = tmp_path / "sp ace's & 100%"
    browser.open(hung(root / "runs" / "t" / "curate", 2))
    told = browser.js("document.querySelector('header code').innerText")
    assert shlex.split(told) == ["mray", "run", "curate", "--root", str(root)]
    assert browser.complaints() == []


def test_what_was_clicked_is_there_after_a_reload_and_on_other_pages(
    browser: Any, tmp_path: Path
) -> None:
    first = hung(tmp_path / "paged", 25, page=10)
    browser.open(first)
    browser.until("document.querySelector('figure:nth-child(2) img').naturalWidth > 0")
    browser.click(*browser.centre("figure:nth-child(2) img"))
    assert rejected(browser) == ["p0000"]
    deadline = time.monotonic() + 10
    browser.open(first)
    while not rejected(browser):  # its storage comes to the next page's process a moment later
        assert time.monotonic() < deadline, "what was clicked is forgotten"
        browser.open(first)
    assert rejected(browser) == ["p0000"]
    browser.open(first.with_name("contact-sheet-2.html"))
    assert (rejected(browser), count(browser)) == ([], 1)
    browser.click(*browser.centre("figure:nth-child(1) img"))
    lines = saved(browser, tmp_path / "out").splitlines()
    assert len(lines) == 2
    assert lines[0] == "p0000  # Title 0"
    assert browser.complaints() == []


def test_a_thousand_thumbnails_do_not_lag(browser: Any, tmp_path: Path) -> None:
    """Loads what is in view alone, and answers a key within a tenth of a second on a busy core."""
    browser.open(hung(tmp_path / "many", MANY))
    assert browser.js("document.querySelectorAll('figure').length") == MANY
    loaded = [url for url in browser.requests() if re.search(r"p\d{4}\.webp", url)]
    assert len(loaded) < MANY / 2
    took = browser.js(
        """new Promise((done) => {
          const times = [];
          const key = (name) => document.dispatchEvent(new KeyboardEvent('keydown', {key: name}));
          const step = () => {
            const begun = performance.now();
            key('ArrowDown'); key('x');
            requestAnimationFrame(() => setTimeout(() => {
              times.push(performance.now() - begun);
              times.length < 40 ? step() : done(times.sort((a, b) => a - b));
            }));
          };
          step();
        })"""
    )
    assert count(browser) >= 39
    assert took[len(took) // 2] < 100, took
