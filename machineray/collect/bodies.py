"""An answer as it comes: its status, its type and its body, or why they are not what was asked for.

Never more, unpacked or on the wire, than the limits have; how long it may take the watch knows.
"""

import re
from collections.abc import Iterator
from datetime import datetime

import requests

from machineray.collect.answers import Answer, Kind, Lasting, PassingTrouble, Unfit, answer_of
from machineray.collect.limits import Limits
from machineray.collect.wire import Unpacker, Wait, retry_after

# What servers call the kinds; a picture's bytes are looked at anyway.
TYPES = {
    "page": ("text/html", "application/xhtml+xml"),
    "data": ("application/json", "application/ld+json", "text/json", "text/javascript"),
    "picture": ("image/", "application/octet-stream", "binary/octet-stream"),
    "robots": ("",),
}
CALLED = {"page": "a web page", "data": "JSON", "picture": "a picture", "robots": "text"}


class Refused(PassingTrouble):
    """401, 403 …: told to us, perhaps not for ever."""


def check_status(url: str, kind: Kind, response: requests.Response, now: datetime) -> None:
    """Nothing for 200.

    Raises:
        Wait: it may be another one if it is asked again.
        Refused: the site does not let us have it.
        Lasting: there is no such thing; of a robots.txt any 4xx says so (RFC 9309, 2.3.1.3).
        Unfit: any other status.
    """
    status = response.status_code
    if status == 200:
        return
    if status == 429 or status >= 500:
        wait = retry_after(response.headers.get("Retry-After", ""), now)
        raise Wait(f"the site answers {status}", wait, is_busy=status == 429)
    if status in (404, 410) or (kind == "robots" and status >= 400):
        raise Lasting(f"{url}: the site answers {status}: no such page")
    if status in (401, 403, 451):
        raise Refused(f"{url}: the site answers {status}: not for us")
    raise Unfit(f"{url}: the site answers {status}: of no use")


def read_answer(
    url: str, kind: Kind, fetched: str, response: requests.Response, limits: Limits
) -> Answer:
    """The answer with its body.

    Raises:
        Unfit: it is of another type, packed wrongly or too large; of a picture that lasts.
        Wait: it ended early.
    """
    type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    is_it = not type or any(type.startswith(each) for each in TYPES[kind])
    is_page = type in TYPES["page"]
    if not is_it and not (kind == "data" and is_page):
        raise _of_another_type(url, kind, type)
    body = b"".join(_pieces(url, kind, response, limits))
    if not is_it and body.lstrip()[:1] not in (b"{", b"["):  # some call their JSON a page
        raise _of_another_type(url, kind, type)
    return answer_of(url, kind, fetched, body, type)


def _of_another_type(url: str, kind: Kind, type: str) -> Unfit:
    """A page may be a fence's, and gone the next time; what is another thing remains one."""
    is_page = type in TYPES["page"]
    lasts = kind == "picture" and not is_page
    named = CALLED["page"] if is_page else type[:60]
    return (Lasting if lasts else Unfit)(f"{url}: {named} instead of {CALLED[kind]}")


def _pieces(url: str, kind: Kind, response: requests.Response, limits: Limits) -> Iterator[bytes]:
    """The body, unpacked, in pieces; of a robots.txt that is too large the lines that fit."""
    limit, length = limits.bytes_of(kind), length_of(response)
    if length is not None and length > limit and kind != "robots":
        raise too_large(url, kind, f"{length / 1e6:.1f} MB")
    unpack = Unpacker(url, response.headers.get("Content-Encoding", ""))
    wire = size = 0
    while piece := response.raw.read1(1 << 16, decode_content=False):
        wire += len(piece)
        unpacked = unpack(piece, limit + 1 - size)
        size += len(unpacked)
        if size <= limit and wire <= limit:
            yield unpacked
        elif kind == "robots":
            yield unpacked.rpartition(b"\n")[0]
            return
        else:
            raise too_large(url, kind, f"over {limit / 1e6:g} MB")
    if (length is not None and wire < length) or not unpack.is_whole:
        raise Wait(f"the answer ended early, after {wire} bytes")


def length_of(response: requests.Response) -> int | None:
    """The bytes that the body will have, if the server says so."""
    said = response.headers.get("Content-Length", "")
    return int(said) if re.fullmatch(r"[0-9]{1,18}", said) else None


def too_large(url: str, kind: Kind, words: str) -> Unfit:
    """What to raise for an answer that is `words` large."""
    reason = f"{url}: {words}, more than {CALLED[kind]} may have: endless, or a bomb"
    return (Lasting if kind == "picture" else Unfit)(reason)
