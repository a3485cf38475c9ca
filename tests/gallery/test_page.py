"""The page as text: everything is in, nothing breaks out, nothing is fetched from elsewhere."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machineray.errors import InputError
from machineray.gallery.page import Colophon, Work, aspect_words, gallery_page
from machineray.gallery.pictures import Picture, preview_pictures
from machineray.gallery.rooms import Credit, Grid, Progress
from machineray.markup import duration, figure, local_href

COLOPHON = Colophon("1.2.3", "klee", "mray run generate --run klee")
HOSTILE = (
    "</script><script>alert(1)</script>", "</script /x",
    "</style>", '" onload="alert(1)', "'><img src=x>",
    "javascript:alert(1)", "<!--", "-->", "]]>", "$title", "${lede}", "$$", "&lt;", "\u2028",
    "\ud800", "data:text/html,<b>", "https://evil.example/a?b=1&c=<", "http://[", "../%2e#?",
)  # fmt: skip
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40), st.from_regex(r"</?[a-z]+ ?>?"))


def work(seed: int, width: int = 4096, height: int = 3072) -> Work:
    name = f"seed{seed:06d}"
    return Work(
        name, seed, 0.7, width, height, f"../finish/artworks/{name}.png",
        preview_pictures(width, height, f"previews/{name}"),
        f"../finish/artworks/{name}.json", 300, "3f9a21c07be4d5a1ffff", ("#1f3d7a", "#d8442b"),
    )  # fmt: skip


class Reader(HTMLParser):
    """The elements of a page, and the text of its script elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.in_script = tag == "script"
        if self.in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.in_script = False

    def handle_data(self, data: str) -> None:
        if self.in_script:
            self.scripts[-1] += data
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def full_page(text: str, url: str = "https://museum.example/1") -> str:
    """A page that shows `text` wherever a user can put some."""
    picture = Picture(text or "x", 10, 20)
    return gallery_page(
        text,
        [replace(work(1), id=text, full=text, sidecar=text, snapshot=text, palette=()), work(2)],
        colophon=Colophon(text, text, text),
        progress=Progress(
            12.5, 90, text, 48, [Grid(0, picture), Grid(12.5, picture)],
            [{"kimg": 0, "loss_g": 1}, {"kimg": 9, "loss_g": 2}, {"kimg": text, "loss_g": text}],
            began=text,
            outlook=text,
        ),
        credits=[
            Credit(text, text, text, text, text, url, text, picture),
            Credit("b", text, 1913, None, "other", url, "other"),
        ],
        licence_text=[text],
        lede=text,
    )  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_no_known_trick_breaks_out_of_its_place(text: str) -> None:
    assert_stays_in_place(text, text)


@settings(max_examples=40)
@given(texts, texts)
def test_no_text_breaks_out_of_its_place(text: str, url: str) -> None:
    assert_stays_in_place(text, url)


def assert_stays_in_place(text: str, url: str) -> None:
    plain, page = Reader(full_page("plain words")), full_page(text, url)
    page.encode()  # no lone surrogate is left
    reader = Reader(page)

    # A link appears or not with its address, and an empty text takes its paragraph along;
    # nothing else may change: no element is added, and no attribute.
    def shape(read: Reader) -> list[tuple[str, list[str]]]:
        return [(tag, sorted(attrs)) for tag, attrs in read.elements if tag not in ["a", "p", "dl"]]

    if text.strip():
        assert shape(reader) == shape(plain)
    else:
        assert len(reader.elements) <= len(plain.elements)
    allowed = ("http://", "https://", "#", "../")
    for anchor in reader.all("a"):
        assert (anchor["href"] or "").lower().startswith(allowed)
    # Browsers close a script also at "</script x", which Python's parser overlooks.
    block = page[page.index('id="data">') : page.index('"use strict"')]
    assert block.count("<") == 2, "only </script><script> may follow the JSON"
    data = json.loads(reader.scripts[0])
    assert [each["seed"] if "seed" in each else each["name"] for each in data["works"]] == [
        "Nº 1", "Nº 2",
    ]  # fmt: skip


def test_all_texts_are_shown() -> None:
    text = Reader(full_page("Blau & <Rot>")).text
    assert text.count("Blau & <Rot>") >= 12


def test_every_work_is_on_the_wall_and_in_the_viewer() -> None:
    works = [work(seed, 1000 + seed, 1500) for seed in range(30)]
    reader = Reader(gallery_page("T", works, colophon=COLOPHON))
    links = [a["href"] for a in reader.all("a") if (a["href"] or "").startswith("#seed")]
    assert links == [f"#seed{seed:06d}" for seed in range(30)]
    shown = json.loads(reader.scripts[0])["works"]
    assert [(each["id"], each["width"], each["height"]) for each in shown] == [
        (each.id, each.width, each.height) for each in works
    ]
    facts = dict(shown[7]["facts"])
    assert facts["Seed"] == "7" and facts["Psi"] == "0.7" and facts["File"] == "seed000007.png"
    assert facts["Print"].startswith("8.5 × 12.7 cm") and facts["Print"].endswith(
        "at\u00a0300\u00a0dpi"
    )
    assert facts["Snapshot"] == "3f9a21c07be4"
    images = reader.all("img")
    assert all(image.get("alt") is not None for image in images)
    assert images[7]["alt"] == "Abstract artwork 7, upright, mostly blue and red"


def test_nothing_is_fetched_but_pictures_beside_the_page() -> None:
    page = full_page("words")
    reader = Reader(page)
    fetching = [
        (attrs.get("src") or "") + " " + (attrs.get("srcset") or "")
        for tag, attrs in reader.elements
        if tag not in ("a", "link")
    ]
    assert not [each for each in fetching if ":" in each or each.strip().startswith("//")]
    assert [link["href"].split(":")[0] for link in reader.all("link") if link["href"]] == ["data"]
    assert not {"iframe", "object", "embed", "form", "base"} & {tag for tag, _ in reader.elements}
    style = page[page.index("<style>") + 7 : page.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert not re.search(r"\b(fetch\(|XMLHttpRequest|eval\(|innerHTML)", reader.scripts[1])


def test_the_policy_names_the_style_and_the_script_by_their_hashes() -> None:
    page = full_page("words")
    reader = Reader(page)
    policy = reader.all("meta")[1]["content"] or ""
    style = page[page.index("<style>") + 7 : page.index("</style>")]
    for text in (style, reader.scripts[1]):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'") and "http" not in policy


@pytest.mark.parametrize("url", ["javascript:alert(1)", " javascript:x", "data:x", "ftp://x", "/x"])
def test_only_web_addresses_become_links(url: str) -> None:
    assert url.strip() not in [a["href"] for a in Reader(full_page("words", url)).all("a")]


def test_rooms_without_content_are_left_out() -> None:
    page = gallery_page("T", [work(1)], colophon=Colophon("1", "r"))
    reader = Reader(page)
    assert [section["id"] for section in reader.all("section")] == ["works"]
    assert "Make more" not in reader.text


def test_the_training_is_told_honestly() -> None:
    progress = Progress(19.328, 1391, "a laptop with 2 CPU cores", 48)
    text = Reader(gallery_page("T", [work(1)], colophon=COLOPHON, progress=progress)).text
    assert "Trained for 23 minutes on a laptop with 2 CPU cores" in text
    assert "looked at 19,328 pictures, all made from the same 48 paintings" in text


def test_credits_stand_by_artist_and_say_shared_rights_once() -> None:
    credits = [
        Credit(f"Composition {i}", artist, 1913 + i, 1944, "WikiArt", None, rights)
        for i, (artist, rights) in enumerate(
            [("Piet Mondrian", "Public domain"), ("Wassily Kandinsky", "PD-old"),
             ("Piet Mondrian", "Public domain"), ("Wassily Kandinsky", "CC0"), (None, None)]
        )
    ]  # fmt: skip
    text = Reader(gallery_page("T", [work(1)], colophon=COLOPHON, credits=credits)).text
    kandinsky, mondrian = text.index("Wassily Kandinsky"), text.index("Piet Mondrian")
    assert kandinsky < mondrian < text.index("Unknown artist")
    assert text.count("Public domain") == 1 and "PD-old" in text and "CC0" in text
    assert all(credit.title in text for credit in credits)


def test_a_chart_for_each_quantity_that_was_measured() -> None:
    rows: list[dict[str, object]] = [
        {"kimg": i / 10, "loss_g": 2 - i / 1000, "loss_d": float("nan"), "r_t": None}
        for i in range(1000)
    ]
    progress = Progress(100, 60, "m", 3, metrics=rows)
    page = gallery_page("T", [work(1)], colophon=COLOPHON, progress=progress)
    labels = [svg.get("aria-label") for svg in Reader(page).all("svg") if svg.get("role") == "img"]
    assert labels == ["Generator loss: from 1.98 to 1.02 over 99,900 pictures"]
    assert "nan" not in page.split("<script")[0].split("</style>")[1].lower()


def test_no_artworks_is_said() -> None:
    with pytest.raises(InputError, match="no artworks"):
        gallery_page("T", [], colophon=COLOPHON)


def test_words() -> None:
    assert [aspect_words(*size) for size in ((3, 4), (100, 100), (4096, 2731), (1000, 1484))] == [
        "3 : 4", "1 : 1", "3 : 2", "1 : 1.48",
    ]  # fmt: skip
    assert [duration(seconds) for seconds in (1, 45, 1391, 6600, 90_000)] == [
        "1 second", "45 seconds", "23 minutes", "1 hour 50 minutes", "1 day 1 hour",
    ]  # fmt: skip
    assert [figure(value) for value in (19328, 42, 3.14159, 0.0712, 1.2e-5, -0.5)] == [
        "19,328", "42", "3.14", "0.071", "1.2e−05", "−0.50",
    ]  # fmt: skip
    assert local_href("../a b#c?.png") == "../a%20b%23c%3F.png"


def test_a_network_that_was_trained_before_is_told_as_such() -> None:
    """Who reads only the first line shall not think that these paintings were all it saw."""
    progress = Progress(1, 90, "a laptop", 48, began="It did not begin from nothing.")
    page = gallery_page("t", [work(1)], colophon=COLOPHON, progress=progress)
    assert "trained before and then saw 48 paintings" in page
    assert "It did not begin from nothing." in page
    page = gallery_page("t", [work(1)], colophon=COLOPHON, progress=replace(progress, began=""))
    assert "has seen 48 paintings" in page
