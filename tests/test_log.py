"""What people see of a job: plain lines in a log, bars on a terminal."""

import errno
import io
import os
import pty
from collections.abc import Iterator

from machineray.log import Event, Note, Progress, Refusal, show

LONG = "/a folder/" + "with a long name/" * 8 + "index.html"


def events() -> Iterator[Event]:
    yield Progress("unframe", 0, 3, "paintings")
    yield Note(f"look at {LONG}")
    yield Refusal("a.png", "a.png: empty file")
    yield Refusal("b.png", "no picture")
    for done in (1, 2, 3, 3):  # the last once more, when the results are put together
        yield Progress("unframe", done, 3, "paintings", "text")


def test_a_log_gets_plain_lines_and_no_flood() -> None:
    stream = io.StringIO()
    show(events(), stream)
    assert stream.getvalue().splitlines() == [
        "unframe: 0/3 paintings, 0 s",
        f"look at {LONG}",
        "refused  a.png: empty file",
        "refused  b.png: no picture",
        "unframe: 3/3 paintings, 0 s, text",
    ]


def test_a_hostile_name_commands_no_terminal() -> None:
    stream = io.StringIO()
    name = "a\x1b[2J\nb\x9b.jpg"
    show(iter([Refusal(name, f"{name}: empty file"), Progress("get", 1, 1, "files", name)]), stream)
    shown = r"a\x1b[2J\nb\x9b.jpg"
    assert stream.getvalue().splitlines() == [
        f"refused  {shown}: empty file",
        f"get: 1/1 files, 0 s, {shown}",
    ]


def read_all(terminal: int) -> str:
    """All that was written to a terminal whose other end is closed; Linux ends it with EIO."""
    parts = []
    with os.fdopen(terminal, "rb", buffering=0) as stream:
        try:
            while part := stream.read(65536):
                parts.append(part)
        except OSError as error:
            assert error.errno == errno.EIO
    return b"".join(parts).decode()


def test_a_terminal_gets_a_bar() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        show(events(), stream)
    text = read_all(ours)
    assert "unframe" in text
    assert "3/3 paintings" in text
    assert "refused  a.png: empty file" in text
    assert LONG in text  # in one piece: to be clicked, or pasted
    assert "━" in text


def test_what_strangers_write_is_seen_and_does_nothing() -> None:
    """A site's words are no markup, and no commands for the terminal."""
    told = [
        Progress("collect", 1, 2, "paintings", "[/x] \x1b]0;a\x07 Klee"),
        Refusal("a", "by [red]\x1b[2J\u202egnp"),
        Progress("collect", 2, 2, "paintings", "[/x] \x1b]0;a\x07 Klee"),
    ]
    stream = io.StringIO()
    show(told, stream)
    assert stream.getvalue().splitlines()[1] == "refused  a: by [red]\\x1b[2J\\u202egnp"
    assert "[/x] \\x1b]0;a\\x07 Klee" in stream.getvalue()
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        show(told, terminal)
    text = read_all(ours)
    assert "[/x] \\x1b]0;a\\x07 Klee" in text and "by [red]\\x1b[2J\\u202egnp" in text
