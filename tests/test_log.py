"""What people see of a job: plain lines in a log, bars on a terminal."""

import io
import os
import pty
from collections.abc import Iterator

from machineray.log import Event, Note, Progress, Refusal, show


def events() -> Iterator[Event]:
    yield Progress("unframe", 0, 3, "paintings")
    yield Note("the sun is out")
    yield Refusal("a.png", "a.png: empty file")
    yield Refusal("b.png", "no picture")
    for done in (1, 2, 3):
        yield Progress("unframe", done, 3, "paintings", "text")


def test_a_log_gets_plain_lines_and_no_flood() -> None:
    stream = io.StringIO()
    show(events(), stream)
    assert stream.getvalue().splitlines() == [
        "unframe: 0/3 paintings, 0 s",
        "the sun is out",
        "refused  a.png: empty file",
        "refused  b.png: no picture",
        "unframe: 3/3 paintings, 0 s, text",
    ]


def test_a_terminal_gets_a_bar() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        show(events(), stream)
    text = os.read(ours, 65536).decode()
    os.close(ours)
    assert "unframe" in text
    assert "3/3 paintings" in text
    assert "refused  a.png: empty file" in text
    assert "━" in text
