"""The contact sheet as a parser sees it: whole, without requests, without markup of others."""

import base64
from html.parser import HTMLParser

from hypothesis import example, given
from hypothesis import strategies as st

from machineray.curate.contact_sheet import contact_sheet

NAMES = {"src", "href", "srcset", "action", "data", "poster", "background", "xlink:href"}


class Page(HTMLParser):
    """Collects elements, boxes and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.boxes: dict[str, bool] = {}
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.addresses += [found[name] or "" for name in NAMES & found.keys()]
        if found.get("type") == "checkbox":
            self.boxes[found["value"] or ""] = "checked" in found

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def row(id: str, verdict: str = "kept", **more: object) -> dict[str, object]:
    reason = None if verdict == "kept" else f"because {verdict}"
    is_kept = verdict == "kept"
    return {"id": id, "keep": is_kept, "verdict": verdict, "reason": reason, **more}


def test_kept_and_refused_stand_side_by_side_with_reasons_and_pictures() -> None:
    rows = [
        row("aa", title="Rot", artist="K. M.", year=1915, width=30, height=20),
        row("bb", "duplicate", duplicate_of="aa"),
        row("cc", "rejected by hand"),
        row("dd", "unreadable"),
    ]
    text = contact_sheet(rows, {"aa": b"A", "bb": b"B", "cc": b"C"}, "klee/collect")
    page = Page(text)
    left, right = text.index("<h2>Kept"), text.index("<h2>Refused")
    assert left < text.index("Rot") < right < text.index("because duplicate")
    assert "K. M., 1915" in page.texts
    assert "30×20" in page.texts
    prefix = "data:image/webp;base64,"
    shown = [base64.b64decode(src.removeprefix(prefix)) for src in page.addresses]
    assert shown == [b"A", b"B", b"A", b"C"]  # a duplicate has its original beside it
    assert page.boxes == {"aa": False, "cc": True}
    assert "--input klee/collect --reject FILE" in text


def test_nothing_is_asked_of_any_server() -> None:
    text = contact_sheet([row("aa")], {"aa": b"A"})
    assert all(address.startswith("data:") for address in Page(text).addresses)
    assert "http:" not in text
    assert "https:" not in text
    assert "default-src 'none'" in text


def test_nobody_is_there() -> None:
    assert Page(contact_sheet([], {})).texts.count("nothing") == 2


hostile = st.text(st.sampled_from("<>&\"'/=! abimgscript"), max_size=30)


@given(hostile, hostile, hostile)
@example("<b>", "</section>", '"><img src=x>')
def test_no_word_becomes_markup(title: str, artist: str, reason: str) -> None:
    rows = [row("aa", "too small", title=title, artist=artist), row("bb")]
    rows[0]["reason"] = reason
    plain = [row("aa", "too small", title="t", artist="a"), row("bb")]
    # An empty word may save a line break, and no more.
    tags = [tag for tag in Page(contact_sheet(rows, {})).tags if tag not in ("br", "span")]
    expected = [tag for tag in Page(contact_sheet(plain, {})).tags if tag not in ("br", "span")]
    assert tags == expected
