"""What a site answered, and where answers are kept so that nothing is asked for twice."""

import gzip
import hashlib
import json
import zlib
from dataclasses import asdict, dataclass, replace
from typing import Literal, Protocol

from machineray.errors import InputError

Kind = Literal["page", "data", "picture", "robots"]


class Unfit(InputError):
    """One address cannot be used, and why; the crawl goes on, and asks again in the next one."""

    url = ""  # there is no answer to forget


class Lasting(Unfit):
    """The same, and it stays so: it is kept, and for a day not asked for again."""


class PassingTrouble(Unfit):
    """The same, of a site that is slow, broken or away just now."""


class Barred(InputError):
    """The site does not want us: it is left alone from here on."""


class Changed(InputError):
    """A page is not as we know it: the site was rebuilt, and what we read of it has to be, too."""

    def __init__(self, words: str, url: str = "") -> None:
        super().__init__(words)
        self.url = url


class Unproven(InputError):
    """Nothing shows that a painting is free."""


@dataclass(frozen=True)
class Answer:
    """A body with its address (the site's own, also where a mirror answered) and its time.

    `refused` is why the address cannot be used, and stands instead of a body. The body of a picture
    may lie elsewhere: `kept_at` is its key. `bytes` is the body's size, `wire_bytes` that of all
    that came over the wire to have it.
    """

    url: str
    kind: Kind
    fetched: str  # UTC, ISO 8601
    body: bytes = b""
    type: str = ""
    etag: str = ""
    modified: str = ""
    refused: str = ""
    sha256: str = ""
    bytes: int = 0
    wire_bytes: int = 0
    kept_at: str = ""

    @property
    def text(self) -> str:
        """The body as text: UTF-8, what is none replaced."""
        return self.body.decode("utf-8-sig", "replace")


WAY_OUT = "the site has changed; look for a newer MachineRay, report it, or leave this source out"


def answer_of(url: str, kind: Kind, fetched: str, body: bytes, type: str = "") -> Answer:
    """An answer with its proof."""
    digest = hashlib.sha256(body).hexdigest()
    return Answer(url, kind, fetched, body, type, sha256=digest, bytes=len(body))


class Shelf(Protocol):
    """Where answers are kept, by names that are keys."""

    def get(self, key: str) -> bytes | None:
        """What lies there, None when nothing does."""

    def put(self, key: str, data: bytes) -> None:
        """Put it there, whole."""


@dataclass
class Cache:
    """The answers of one site on a shelf; it may be thrown away at any time."""

    shelf: Shelf
    folder: str  # a key's beginning, with "/" at its end

    def find(self, url: str) -> Answer | None:
        """The answer of before, of a picture with its bytes; None when there is none any more."""
        data = self.shelf.get(self._key(url))
        answer = None if data is None else unpacked(data)
        if answer is None or answer.url != url:
            return None
        if answer.kept_at:
            body = self.shelf.get(answer.kept_at)
            if body is None or hashlib.sha256(body).hexdigest() != answer.sha256:
                return None
            return replace(answer, body=body)
        return answer

    def keep(self, answer: Answer) -> None:
        """Keep it; of a picture that lies elsewhere without its bytes."""
        data = packed(replace(answer, body=b"") if answer.kept_at else answer)
        self.shelf.put(self._key(answer.url), data)

    def forget(self, url: str) -> None:
        """As if it had never been asked for."""
        self.shelf.put(self._key(url), b"")

    def _key(self, url: str) -> str:
        return f"{self.folder}{hashlib.sha256(url.encode()).hexdigest()[:32]}.gz"


def packed(answer: Answer) -> bytes:
    """An answer as a file: gzip of one line of JSON and the body; the same bytes every time."""
    head = {name: value for name, value in asdict(answer).items() if name != "body" and value}
    line = json.dumps(head, ensure_ascii=False).encode() + b"\n"
    return gzip.compress(line + answer.body, compresslevel=6, mtime=0)


def unpacked(data: bytes) -> Answer | None:
    """The answer in a file; None when it is damaged: then it is asked for again."""
    try:
        line, _, body = gzip.decompress(data).partition(b"\n")
        return Answer(**json.loads(line), body=body)
    except (OSError, EOFError, zlib.error, ValueError, TypeError):
        return None
