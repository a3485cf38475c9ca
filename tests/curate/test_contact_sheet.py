"""The contact sheet as a parser sees it: whole, without requests, without markup of others."""

import json
import re
from html.parser import HTMLParser
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from machineray.curate.contact_sheet import contact_sheet, sheet_order

NAMES = {"src", "href", "srcset", "action", "data", "poster", "background", "xlink:href"}


class Page(HTMLParser):
    """Collects elements, boxes and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.boxes: dict[str, dict[str, bool]] = {}
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.addresses += [found[name] or "" for name in NAMES & found.keys()]
        if found.get("type") == "checkbox":
            boxes = self.boxes.setdefault(found["name"] or "", {})
            boxes[found["value"] or ""] = "checked" in found

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def row(id: str, verdict: str = "kept", score: float = 0.1, **more: object) -> dict[str, Any]:
    reason = None if verdict == "kept" else f"because {verdict}"
    told = {"id": id, "keep": verdict == "kept", "verdict": verdict, "reason": reason}
    return {**told, "doubts": [], "measures": {"representational": score}, **more}


def pages(rows: list[dict[str, Any]], **options: Any) -> dict[str, str]:
    return {name: data.decode() for name, data in contact_sheet(rows, **options)}


def only_page(rows: list[dict[str, Any]], **options: Any) -> str:
    ((name, text),) = pages(rows, **options).items()
    assert name == "contact-sheet.html"
    return text


ROWS = [
    row("aa", title="Rot", artist="K. M.", year=1915, width=30, height=20),
    row("bb", "duplicate", duplicate_of="aa"),
    {**row("ff", "kept by hand"), "keep": True, "reason": None},
    row("cc", "rejected by hand"),
    row("dd", "unreadable", unreadable="truncated"),
    row("ee", score=0.9, doubts=["representational", "blurred"]),
]


def test_what_is_to_be_judged_comes_first_with_words_and_pictures() -> None:
    text = only_page(ROWS, command="mray run curate --input 'a b'")
    page = Page(text)
    ids = re.findall(r"<code>(\w\w)</code>", text)
    assert ids == ["ee", "aa", "ff", "cc", "bb", "dd"]
    assert {"K. M., 1915", "30×20", "because duplicate", "seems to show something"} <= {*page.texts}
    assert "because rejected by hand" not in page.texts  # the box says it
    shown = [name for name in page.addresses if name.startswith("thumbnails/")]
    # A duplicate has its original beside it; of what cannot be read there is none.
    assert shown == [f"thumbnails/{name}.webp" for name in ("ee", "aa", "ff", "cc", "bb", "aa")]
    assert page.boxes == {
        "reject": {"ee": False, "aa": False, "cc": True},
        "keep": {"bb": False, "ff": True},
    }
    told = "".join(page.texts)
    assert "mray run curate --input 'a b' --reject reject.txt --keep keep.txt\n" in told
    assert {"kept by hand", "3 kept, 1 rejected, 2 refused"} <= {*page.texts}


def test_the_doubtful_come_first_then_by_score_and_the_refused_in_their_order() -> None:
    rows = [
        row("a", score=0.2),
        row("b", "too small", score=1),
        row("c", score=0.4),
        row("d", score=0.1, doubts=["blurred"]),
        row("e", "duplicate"),
        row("f", score=0.4),
    ]
    assert [rows[n]["id"] for n in sheet_order(rows)] == ["d", "c", "f", "a", "b", "e"]


def test_many_paintings_are_spread_over_pages_that_know_all_rejected() -> None:
    rows = [row(f"id{n:02}", "rejected by hand" if n == 24 else "kept") for n in range(25)]
    found = pages(rows, page=10)
    assert [*found] == ["contact-sheet.html", "contact-sheet-2.html", "contact-sheet-3.html"]
    ids = [id for text in found.values() for id in re.findall(r"<code>(id\d\d)</code>", text)]
    assert ids == [row["id"] for row in rows]
    for n, text in enumerate(found.values()):
        (data,) = re.findall(r'id="data">(.*?)</script>', text)
        assert json.loads(data)["lists"] == {"reject": ["id24"], "keep": []}
        links = {*re.findall(r'href="(contact-sheet.*?)"', text)}
        assert links == {*found} - {[*found][n]}


def test_nothing_is_asked_of_any_server() -> None:
    text = only_page([row("aa")])
    assert all(address.startswith("thumbnails/") for address in Page(text).addresses)
    assert "http:" not in text
    assert "https:" not in text
    assert "default-src 'none'" in text


def test_nobody_is_there() -> None:
    assert "nothing" in Page(only_page([])).texts


hostile = st.text(st.sampled_from("<>&\"'/=! $abimgscript\n\u2028\ud800"), max_size=30)


@given(hostile, hostile, hostile)
@example("<b>", "</section>", '"><img src=x>')
@example("</script><script>alert(1)</script>", "${figures}", "<!--<script>")
def test_no_word_becomes_markup(title: str, artist: str, command: str) -> None:
    rows = [row("aa", title=title, artist=artist), row("bb", "rejected by hand", title=title)]
    rows[0]["reason"] = artist
    plain = [row("aa", title="t", artist="a"), row("bb", "rejected by hand", title="t")]
    # An empty word may save a line break, and no more.
    tags = [tag for tag in Page(only_page(rows, command=command)).tags if tag not in ("br", "span")]
    expected = [tag for tag in Page(only_page(plain)).tags if tag not in ("br", "span")]
    assert tags == expected
