"""What comes over the wire: foreign exceptions in our words, packed bodies, Retry-After."""

import contextlib
import email.utils
import http.client
import re
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime

import requests
import urllib3

from machineray.collect.answers import Unfit

FOREIGN = (
    *(requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException),
    *(OSError, zlib.error),
)
UNTRUSTED = (requests.exceptions.SSLError, urllib3.exceptions.SSLError)


class Wait(Exception):
    """Try again, not before so many seconds."""

    def __init__(self, words: str, seconds: float = 0.0, *, is_busy: bool = False) -> None:
        super().__init__(words)
        self.seconds, self.is_busy = seconds, is_busy


@contextlib.contextmanager
def translated(url: str) -> Iterator[None]:
    """Foreign exceptions of one request -> ours: Wait for what may pass, else Unfit."""
    try:
        yield
    except FOREIGN as error:
        words = _cause(error)
        if isinstance(error, UNTRUSTED):
            raise Unfit(
                f"{url}: the host cannot prove who it is (TLS: {words}): not asked without"
            ) from error
        if isinstance(error, zlib.error):
            raise Unfit(f"{url}: the answer is packed wrongly ({words})") from error
        if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader)):
            raise Unfit(f"{url}: {words}") from error
        raise Wait(f"no answer ({words})") from error


def _cause(error: BaseException) -> str:
    """The innermost words of an error of three libraries, on one line."""
    seen: BaseException = error
    for _ in range(6):
        inner = next(
            (arg for arg in seen.args if isinstance(arg, BaseException)),
            getattr(seen, "reason", None),
        )
        if not isinstance(inner, BaseException):
            break
        seen = inner
    words = " ".join(str(seen).split()) or type(seen).__name__
    return re.sub(r"^<[^>]*>: |^\w+\(.*?\): ", "", words)[:200]


class Unpacker:
    """Unpacks piece by piece, at most so many bytes a call."""

    def __init__(self, url: str, encoding: str) -> None:
        encoding = encoding.strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise Unfit(f"{url}: packed as {encoding[:40]!r}, which nobody asked for")
        wbits = 47 if "gzip" in encoding else 15
        self._stream = None if encoding in ("", "identity") else zlib.decompressobj(wbits)

    def __call__(self, piece: bytes, most: int) -> bytes:
        """The next piece unpacked, or so much of it."""
        if self._stream is None:
            return piece
        return self._stream.decompress(self._stream.unconsumed_tail + piece, max(most, 1))

    @property
    def is_whole(self) -> bool:
        """Whether the end of what was packed has come."""
        return self._stream is None or self._stream.eof


def retry_after(value: str, now: datetime) -> float:
    """The seconds of a Retry-After header, which is a number or a date; 0 when it says nothing."""
    if re.fullmatch(r"\d{1,9}", value.strip()):
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return 0.0
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - now).total_seconds())
