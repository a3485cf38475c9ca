"""Asking one site, politely and without trust: the only file that speaks HTTP to the world.

    web = Web(site, agent="MachineRay/1 (+you@example.org)", cache=cache)
    answer = web.ask("https://www.wikiart.org/en/paul-klee", "page")

Polite: robots.txt, one request at a time, a stated pace with jitter, Retry-After, exponential
back-off, conditional requests, nothing twice. Without trust: only the site's own hosts, only public
addresses, only so many bytes for so long, only what was asked for.
"""

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import urljoin, urlsplit

import requests

from machineray.collect.addresses import Addresses, checked_mirror, host_and_port, path_of
from machineray.collect.answers import (
    Answer,
    Barred,
    Cache,
    Kind,
    PassingTrouble,
    Unfit,
    answer_of,
)
from machineray.collect.guard import guarded_session, watched
from machineray.collect.limits import Budget, Clock, Limits, Spending, Spent
from machineray.collect.painting import Site
from machineray.collect.robots import Robots, parsed_robots
from machineray.collect.wire import Unpacker, Wait, retry_after, translated
from machineray.errors import TemporaryError, UsageError

AGENT = "machineray"
FRESH_SECONDS = 86_400.0
LATER = "what is there is safe: the same command goes on from here later"
ACCEPT = {
    "page": "text/html,application/xhtml+xml",
    "data": "application/json, application/ld+json",
    "picture": "image/*",
    "robots": "text/plain",
}
# What servers call the kinds; a picture's bytes are looked at anyway.
TYPES = {
    "page": ("text/html", "application/xhtml+xml"),
    "data": ("application/json", "application/ld+json", "text/json", "text/javascript"),
    "picture": ("image/", "application/octet-stream", "binary/octet-stream"),
    "robots": ("text/plain", "text/html", "application/octet-stream"),
}
CALLED = {"page": "a web page", "data": "JSON", "picture": "a picture", "robots": "text"}


@dataclass
class Web:
    """One site, asked by one process, one request at a time."""

    site: Site
    agent: str
    cache: Cache
    began: datetime  # of the crawl: what is younger is not asked for again
    mirror: str = ""
    budget: Budget = field(default_factory=Budget)
    limits: Limits = field(default_factory=Limits)
    clock: Clock = field(default_factory=Clock)
    random: Callable[[], float] = random.random
    spent: Spending = field(default_factory=Spending)

    def __post_init__(self) -> None:
        if self.mirror:
            self.mirror = checked_mirror(self.site.name, self.mirror)
        self.addresses = Addresses(self.site, self.mirror)
        self._started = self.clock.monotonic()
        self._next: dict[str, float] = {}  # host -> when it may be asked again
        self._robots: dict[str, Robots] = {}
        self._seen: set[str] = set()
        self._troubles = self._refusals = 0
        allowed = {host_and_port(self.mirror)} if self.mirror else set()
        self._session = guarded_session(allowed)

    def ask(self, url: str, kind: Kind = "data") -> Answer:
        """The answer of an address of the site: from the cache, or from the site.

        Raises:
            Unfit: this address cannot be used, and why.
            Barred: the site does not want us.
            TemporaryError: the site is down, or asks to wait longer than we do.
            Spent: the budget is used up.
        """
        url = self.addresses.checked(url)
        known = self.cache.find(url)
        if known and self._is_fresh(known):
            self._count(known)
            return _usable(known)
        if kind != "robots" and not self._robots_of(url).allows(path_of(url)):
            raise Unfit(f"{url}: the site's robots.txt asks not to be asked for this")
        self._check_budget()
        try:
            answer = self._persistently(url, kind, known)
        except _Refused:
            raise
        except PassingTrouble as error:
            self._troubles += 1
            if self._troubles >= self.limits.troubles:
                raise TemporaryError(f"{self.site.name} is down: {error}; {LATER}") from error
            raise
        except Unfit as error:
            self._troubles = 0
            refused = Answer(url, kind, self._now(), refused=str(error))
            self.cache.keep(refused)
            self._count(refused)
            raise
        self._troubles = self._refusals = 0
        if kind != "picture":  # those are kept where the caller puts them
            self.cache.keep(answer)
        self._count(answer)
        return _usable(answer)

    def forget(self, url: str) -> None:
        """Ask for it again the next time: what came was of no use."""
        if url:
            self.cache.forget(url)

    def keep_picture(self, answer: Answer, key: str) -> None:
        """Remember that the picture lies at a key: it is not asked for again."""
        self.cache.keep(replace(answer, kept_at=key))

    def keep_refusal(self, answer: Answer, reason: str) -> None:
        """Remember that what came is no picture that can be used."""
        self.cache.keep(replace(answer, body=b"", refused=reason))

    # -- politeness

    def _robots_of(self, url: str) -> Robots:
        """The rules of the address's host; those of an API that is offered to programs: none."""
        if any(url.startswith(prefix) for prefix in self.site.open_api):
            return Robots()
        host = urlsplit(url).netloc
        if host not in self._robots:
            try:
                text = self.ask(f"https://{host}/robots.txt", "robots").text
            except PassingTrouble as error:  # RFC 9309: what cannot be read forbids everything
                raise TemporaryError(f"{error}: without it nothing is asked; {LATER}") from error
            except Unfit:
                text = ""  # there is none: all is allowed
            self._robots[host] = parsed_robots(text, AGENT)
        return self._robots[host]

    def _wait_for_turn(self, url: str) -> None:
        """Until the host may be asked again: the pace, more or less a quarter."""
        host = urlsplit(url).netloc
        wait = self._next.get(host, 0.0) - self.clock.monotonic()
        if wait > 0:
            self._sleep(wait)
        delay = self._robots[host].delay_seconds if host in self._robots else None
        seconds = max(self.site.seconds, delay or 0.0) * (0.75 + self.random() / 2)
        self._next[host] = self.clock.monotonic() + seconds

    def _sleep(self, seconds: float) -> None:
        left = self._seconds_left()
        if left is not None and seconds > left:
            raise Spent(f"the budget of {self.budget.seconds:.0f} s is used up")
        self.clock.sleep(seconds)

    def _seconds_left(self) -> float | None:
        if self.budget.seconds is None:
            return None
        return self.budget.seconds - (self.clock.monotonic() - self._started)

    def _check_budget(self) -> None:
        left = self._seconds_left()
        if left is not None and left <= 0:
            raise Spent(f"the budget of {self.budget.seconds:.0f} s is used up")
        if self.budget.bytes is not None and self.spent.bytes >= self.budget.bytes:
            raise Spent(f"the budget of {self.budget.bytes / 1e6:g} MB is used up")

    def _is_fresh(self, answer: Answer) -> bool:
        age = self.began - datetime.fromisoformat(answer.fetched)
        return age.total_seconds() < FRESH_SECONDS

    def _count(self, answer: Answer) -> None:
        """Towards the budget, once an address; what another crawl asked for costs nothing."""
        if answer.url in self._seen or datetime.fromisoformat(answer.fetched) < self.began:
            return
        self._seen.add(answer.url)
        self.spent.bytes += answer.bytes
        self.spent.pictures += answer.kind == "picture"
        self.spent.pages += answer.kind in ("page", "data")

    def _now(self) -> str:
        return self.clock.now().isoformat(timespec="milliseconds")

    # -- one request

    def _persistently(self, url: str, kind: Kind, known: Answer | None) -> Answer:
        """The answer, after as many tries as it takes; the waits between them double."""
        for attempt in range(1, self.limits.tries + 1):
            wait = 0.0
            try:
                return self._follow(url, kind, known)
            except Wait as error:
                wait, trouble = error.seconds, str(error)
                if wait > self.limits.longest_wait_seconds:
                    raise TemporaryError(
                        f"{url}: the site asks to wait {wait:.0f} s; {LATER}"
                    ) from error
                if attempt == self.limits.tries and error.is_busy:
                    raise TemporaryError(f"{url}: {trouble}, {attempt} times; {LATER}") from error
            if attempt < self.limits.tries:
                pause = self.limits.backoff_seconds * 2 ** (attempt - 1)
                self._sleep(max(wait, pause * (0.75 + self.random() / 2)))
        raise PassingTrouble(f"{url}: {trouble}, {self.limits.tries} times")

    def _follow(self, url: str, kind: Kind, known: Answer | None) -> Answer:
        at = url
        for _ in range(self.limits.redirects + 1):
            self._wait_for_turn(at)
            with translated(at), self._request(at, kind, known if at == url else None) as response:
                status = response.status_code
                if status in (301, 302, 303, 307, 308) and response.headers.get("Location"):
                    at = self._redirected(at, response.headers["Location"])
                    continue
                return self._read(url, kind, known, response)
        raise Unfit(f"{url}: more than {self.limits.redirects} redirects: not followed further")

    def _redirected(self, at: str, location: str) -> str:
        try:
            target = self.addresses.checked(urljoin(self.addresses.actual(at), location))
        except Unfit as error:
            raise Unfit(f"{at}: redirected: {error}") from error
        if not self._robots_of(target).allows(path_of(target)):
            raise Unfit(f"{at}: redirected to {target}, which robots.txt asks not to be asked for")
        return target

    def _request(self, url: str, kind: Kind, known: Answer | None) -> requests.Response:
        headers = {
            "User-Agent": self.agent,
            "Accept": ACCEPT[kind],
            "Accept-Encoding": "identity" if kind == "picture" else "gzip",
            **(self.site.headers if kind == "data" else {}),
        }
        if known and not known.refused and known.etag:
            headers["If-None-Match"] = known.etag
        if known and not known.refused and known.modified:
            headers["If-Modified-Since"] = known.modified
        self.spent.asked += 1
        with watched(self._session, self.limits.headers_seconds):
            return self._session.get(
                self.addresses.actual(url),
                headers=headers,
                stream=True,
                allow_redirects=False,
                timeout=(self.limits.connect_seconds, self.limits.silent_seconds),
            )

    def _read(
        self, url: str, kind: Kind, known: Answer | None, response: requests.Response
    ) -> Answer:
        status = response.status_code
        if status == 304 and known:
            return replace(known, fetched=self._now())
        self._check_status(url, kind, response)
        type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        is_it = not type or kind == "robots" or any(type.startswith(each) for each in TYPES[kind])
        if not is_it and not (kind == "data" and type in TYPES["page"]):
            raise Unfit(f"{url}: {_named(type)} instead of {CALLED[kind]}")
        body = b"".join(self._pieces(url, kind, response))
        if not is_it and body.lstrip()[:1] not in (b"{", b"["):  # some call their JSON a page
            raise Unfit(f"{url}: {_named(type)} instead of {CALLED[kind]}")
        answer = answer_of(url, kind, self._now(), body, type)
        return replace(
            answer,
            etag=response.headers.get("ETag", "")[:500],
            modified=response.headers.get("Last-Modified", "")[:100],
        )

    def _check_status(self, url: str, kind: Kind, response: requests.Response) -> None:
        status = response.status_code
        if status == 200:
            return
        if status in (429, 503) or status >= 500:
            wait = retry_after(response.headers.get("Retry-After", ""), self.clock.now())
            raise Wait(f"the site answers {status}", wait, is_busy=status == 429)
        if status in (401, 403, 451) and kind != "robots":  # which then forbids nothing (RFC 9309)
            self._refusals += 1
            if self._refusals >= self.limits.refusals:
                raise Barred(
                    f"{self.site.name}: the site answers {status} again and again, the last time "
                    f"to {url}: it does not want programs, or not this one; say who you are with "
                    "--contact, ask the site, or leave this source out"
                )
            raise _Refused(f"{url}: the site answers {status}: not for us")
        raise Unfit(f"{url}: the site answers {status}: no such page")

    def _pieces(self, url: str, kind: Kind, response: requests.Response) -> Iterator[bytes]:
        """The body, unpacked, in pieces; never more and never longer than the limits."""
        limit, seconds = self.limits.bytes_of(kind), self.limits.seconds_of(kind)
        if self.budget.bytes is not None:
            limit = min(limit, max(self.budget.bytes - self.spent.bytes, 0))
        said = response.headers.get("Content-Length", "")
        length = int(said) if re.fullmatch(r"\d{1,18}", said) else None
        if length is not None and length > limit:
            raise self._too_large(url, kind, length, f"{length / 1e6:.1f} MB")
        unpack = Unpacker(url, response.headers.get("Content-Encoding", ""))
        started, wire, size = self.clock.monotonic(), 0, 0
        while piece := response.raw.read1(1 << 16, decode_content=False):
            wire += len(piece)
            if self.clock.monotonic() - started > seconds:
                raise Unfit(f"{url}: not whole after {seconds:.0f} s: too slow")
            unpacked = unpack(piece, limit + 1 - size)
            size += len(unpacked)
            if size > limit or wire > limit:
                raise self._too_large(url, kind, max(size, wire), f"over {limit / 1e6:g} MB")
            yield unpacked
        if (length is not None and wire < length) or not unpack.is_whole:
            raise Wait(f"the answer ended early, after {wire} bytes")

    def _too_large(self, url: str, kind: Kind, size: int, words: str) -> Exception:
        if size <= self.limits.bytes_of(kind):  # so it is the budget that was in the way
            return Spent(f"the budget of {(self.budget.bytes or 0) / 1e6:g} MB is used up")
        return Unfit(f"{url}: {words}, more than {CALLED[kind]} may have: endless, or a bomb")


class _Refused(PassingTrouble):
    """401, 403 …: told to us, perhaps not for ever."""


def _usable(answer: Answer) -> Answer:
    if answer.refused:
        raise Unfit(answer.refused)
    return answer


def _named(type: str) -> str:
    if type in TYPES["page"]:
        return "a web page"
    return type[:60]


def agent_text(version: str, contact: str) -> str:
    """Who asks, in the words of the User-Agent header: an honest name and whom to write to."""
    who = f"; contact: {contact}" if contact else ""
    text = f"MachineRay/{version} (collects public-domain paintings{who})"
    if not text.isascii() or not text.isprintable():
        raise UsageError(f"--contact {contact!r}: give an e-mail address or a web address")
    return text
