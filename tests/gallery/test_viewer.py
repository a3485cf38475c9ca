"""The page in a real browser: opened from its folder, with mouse, keys, touch and without files."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from machineray.gallery.page import Colophon, Work, gallery_page
from machineray.gallery.pictures import previews
from machineray.gallery.rooms import Credit, Grid, Progress

pytestmark = pytest.mark.xdist_group("browser")  # one Chromium for all

SIZES = [(1200, 900), (700, 1000), (800, 800), (1500, 600), (600, 1100), (900, 700), (640, 640)]


def hang(folder: Path, count: int = 7) -> Path:
    """A gallery of plain pictures on disk; the page's path."""
    for sub in ("gallery/previews", "finish/artworks"):
        (folder / sub).mkdir(parents=True)
    works = []
    pictures = {}
    for seed in range(count):
        size, name = SIZES[seed % len(SIZES)], f"seed{seed:06d}"
        if seed < len(SIZES):
            image = Image.linear_gradient("L").resize(size).convert("RGB")
            image.save(folder / f"finish/artworks/{name}.png", compress_level=1)
            copies = previews(image, f"previews/{seed}", long_sides=(200, 400))
            for picture, data in copies.items():
                (folder / "gallery" / picture.file).write_bytes(data)
            pictures[size] = tuple(copies)
        works.append(
            Work(name, seed, 0.7, *size, f"../finish/artworks/{name}.png", pictures[size],
                 f"../finish/artworks/{name}.json", 150, "3f9a21c07be4", ("#1f3d7a",))
        )  # fmt: skip
    grids = [Grid(kimg, pictures[SIZES[kimg]][0]) for kimg in range(4)]
    rows = [{"kimg": i / 10, "loss_g": 1 + i % 3} for i in range(31)]
    page = gallery_page(
        "A rather long name of an exhibition in Unterwasserrestaurants",
        works,
        colophon=Colophon("1.0", "t", "mray generate --run a-run-with-a-long-name --seeds 0-9"),
        progress=Progress(3, 600, "a laptop", 48, grids, rows),
        credits=[Credit("Composition", "Piet Mondrian", 1921, thumbnail=pictures[SIZES[0]][0])],
        licence_text=["Yes."],
    )
    path = folder / "gallery" / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hang(tmp_path_factory.mktemp("run"))


def shown(browser: Any) -> int:
    return browser.js(
        "document.getElementById('viewer').open"
        " ? Number(document.getElementById('count').textContent.split('/')[0]) : 0"
    )


def width(browser: Any) -> float:
    return browser.js("document.getElementById('picture').getBoundingClientRect().width")


def settled(browser: Any) -> None:
    browser.until("['full', 'missing'].includes(document.getElementById('picture').dataset.state)")


def test_click_arrows_and_escape(browser: Any, page: Path) -> None:
    browser.open(page)
    browser.click(*browser.centre(".wall li:nth-child(3) img"))
    assert shown(browser) == 3
    assert browser.js("location.hash") == "#seed000002"
    browser.key("ArrowRight")
    assert shown(browser) == 4
    browser.key("ArrowLeft")
    browser.key("ArrowLeft")
    assert shown(browser) == 2
    settled(browser)
    assert browser.js("document.getElementById('picture').src.endsWith('seed000001.png')")
    facts = browser.js("document.getElementById('facts').innerText").split()
    assert {"seed000001.png", "3f9a21c07be4", "150", "11.9", "16.9"} <= set(facts)
    links = "[...document.querySelectorAll('#files a')].map(a => a.getAttribute('href'))"
    assert browser.js(links) == [
        "../finish/artworks/seed000001.png", "../finish/artworks/seed000001.json",
    ]  # fmt: skip
    browser.key("Escape")
    browser.until("!document.getElementById('viewer').open")
    assert browser.js("location.hash") == ""
    assert browser.js("document.activeElement.getAttribute('href')") == "#seed000001"
    assert browser.complaints() == []
    assert all(url.startswith(("file:", "data:")) for url in browser.requests())


def test_the_command_names_the_root_that_the_page_lies_in(browser: Any, tmp_path: Path) -> None:
    browser.open(hang(tmp_path / "sp ace" / "runs" / "t"))
    told = browser.js("document.getElementById('command').textContent")
    assert told.endswith(f"--seeds 0-9 --root '{tmp_path / 'sp ace'}'")
    assert browser.complaints() == []


def test_keys_alone_suffice(browser: Any, page: Path) -> None:
    browser.open(page)
    browser.js("document.querySelector('.wall li:nth-child(5) a').focus()")
    browser.key("Enter")
    assert shown(browser) == 5
    fitting = width(browser)
    browser.key("1")
    assert width(browser) == pytest.approx(600)
    left = browser.js("document.getElementById('picture').getBoundingClientRect().top")
    browser.key("+")
    browser.key("ArrowLeft", shift=True)
    assert width(browser) == pytest.approx(900) and left != 0
    browser.key("0")
    assert width(browser) == pytest.approx(fitting)
    names = set()
    for _ in range(9):
        browser.key("Tab")
        names.add(browser.js("document.activeElement.id || document.activeElement.textContent"))
    assert {"previous", "next", "smaller", "zoom", "larger", "close", "Open the full file"} <= names
    browser.js("document.getElementById('next').focus()")
    browser.key("Enter")
    assert shown(browser) == 6


def test_zoom_with_the_wheel_and_drag(browser: Any, page: Path) -> None:
    browser.open(page, 1000, 700)
    browser.js("document.querySelector('.wall a').click()")
    fitting = width(browser)
    x, y = browser.centre("#picture")
    browser.click(x, y)
    assert width(browser) > 1.2 * fitting
    before = browser.centre("#picture")
    browser.drag((x, y), (x - 60, y - 40))
    after = browser.centre("#picture")
    assert (after[0] - before[0], after[1] - before[1]) == pytest.approx((-60, -40), abs=2)
    assert shown(browser) == 1
    browser.mouse("mouseWheel", x, y, deltaX=0, deltaY=-200)
    browser.until(
        f"document.getElementById('picture').getBoundingClientRect().width > {1.5 * fitting}"
    )
    for _ in range(8):
        browser.mouse("mouseWheel", x, y, deltaX=0, deltaY=900)
    assert width(browser) == pytest.approx(fitting, rel=0.01)
    assert browser.complaints() == []


def test_a_link_opens_its_work_and_back_closes_it(browser: Any, page: Path) -> None:
    browser.open(page.as_uri() + "#seed000004")
    assert shown(browser) == 5
    browser.key("Escape")
    browser.until("!document.getElementById('viewer').open")
    browser.open(page)
    browser.js("document.querySelector('.wall a').click()")
    assert shown(browser) == 1
    browser.js("history.back()")
    browser.until("!document.getElementById('viewer').open")
    browser.open(page.as_uri() + "#%E0%A4%A")
    assert shown(browser) == 0 and browser.complaints() == []


def test_without_full_files_the_preview_is_shown(browser, page: Path, tmp_path: Path) -> None:
    shutil.copytree(page.parent, tmp_path / "only")
    browser.open((tmp_path / "only" / "index.html").as_uri() + "#seed000000")
    settled(browser)
    assert "not beside this gallery" in browser.js("document.getElementById('note').innerText")
    assert browser.js("document.getElementById('picture').naturalWidth") == 400
    assert browser.js("document.querySelector('#files a').textContent") == "Open the preview"


@pytest.mark.parametrize(("width_px", "height_px"), [(360, 740), (1440, 900), (3840, 2160)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_screen(browser: Any, page: Path, width_px: int, height_px: int, scheme: str) -> None:
    browser.open(page, width_px, height_px, mobile=width_px < 500, scheme=scheme)
    assert browser.js("document.documentElement.scrollWidth") <= width_px
    ratios = browser.js(
        "[...document.querySelectorAll('.wall img')].map(i => i.clientWidth / i.clientHeight)"
    )
    assert ratios == pytest.approx([w / h for w, h in SIZES], rel=0.02)
    lightness = browser.js("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0]")
    assert (int(lightness) < 60) is (scheme == "dark")
    browser.js("document.querySelector('.wall a').click()")
    box = browser.js(
        "(({left, right, top, bottom}) => [left, right, top, bottom])"
        "(document.getElementById('picture').getBoundingClientRect())"
    )
    assert min(box[0], box[2]) >= 0 and box[1] <= width_px and box[3] <= height_px
    assert browser.complaints() == []


def test_touch_swipe_pinch_and_pull_down(browser: Any, page: Path) -> None:
    browser.open(page, 390, 844, mobile=True)
    browser.js("document.querySelector('.wall a').click()")

    def move(*steps: tuple[tuple[float, float], ...]) -> None:
        browser.touch("touchStart", *steps[0])
        for points in steps[1:]:
            browser.touch("touchMove", *points)
        browser.touch("touchEnd")

    x, y = browser.centre("#picture")
    move(((x + 80, y),), ((x, y),), ((x - 60, y + 5),))
    assert shown(browser) == 2
    fitting = width(browser)
    x, y = browser.centre("#picture")
    move(((x - 20, y), (x + 20, y)), ((x - 40, y), (x + 40, y)), ((x - 60, y), (x + 60, y)))
    assert width(browser) > 1.8 * fitting and shown(browser) == 2
    browser.js("document.getElementById('zoom').click()")
    move(((x, y - 80),), ((x, y),), ((x, y + 80),))
    browser.until("!document.getElementById('viewer').open")
    assert browser.complaints() == []


def test_the_slider_turns_the_sheets(browser: Any, page: Path) -> None:
    browser.open(page)
    browser.js("document.getElementById('reel').focus()")
    first = browser.js("document.getElementById('frame').src")
    browser.key("ArrowLeft")
    assert browser.js("document.getElementById('kimg').textContent") == "2,000 pictures"
    assert browser.js("document.getElementById('frame').src") != first
    marked = browser.js("Number(document.querySelector('.curves .now').getAttribute('x1'))")
    assert marked == pytest.approx(262 * 2 / 3, abs=1)


def test_a_thousand_works_hang_without_lag(browser: Any, tmp_path: Path) -> None:
    browser.open(hang(tmp_path, 1000))
    spent = browser.js(
        "(() => { const [entry] = performance.getEntriesByType('navigation');"
        " return entry.domContentLoadedEventEnd - entry.responseEnd; })()"
    )
    assert spent < 3000  # 0.8 s on a busy core
    assert len(browser.requests()) < 200  # what is far below waits
    assert browser.js("document.querySelectorAll('.wall img').length") == 1000


def test_the_policy_stops_what_gets_in_nevertheless(browser: Any, page: Path) -> None:
    browser.open(page)
    stopped = browser.js(
        "new Promise((done) => { const seen = [];"
        " addEventListener('securitypolicyviolation', (event) => {"
        "  seen.push(event.effectiveDirective); if (seen.length > 2) done(seen.sort()); });"
        " document.body.insertAdjacentHTML('beforeend',"
        '  \'<img src="http://127.0.0.1:9/a.png" onerror="window.broken = 1">\');'
        " const script = document.createElement('script');"
        " script.textContent = 'window.broken = 1'; document.body.append(script); })"
    )
    assert stopped == ["img-src", "script-src-attr", "script-src-elem"]
    assert browser.js("window.broken === undefined")
