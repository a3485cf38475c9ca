"""Asking one site, politely and without trust: the only file that speaks HTTP to the world.

    web = Web(site, agent="MachineRay/1 (+you@example.org)", cache=cache)
    answer = web.ask("https://www.wikiart.org/en/paul-klee", "page")

Polite: robots.txt, one request at a time, a stated pace with jitter, Retry-After, exponential
back-off, conditional requests, nothing twice. Without trust: only the site's own hosts, only public
addresses, only so many bytes for so long, only what was asked for.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import urlsplit

import requests

from machineray.collect.addresses import Addresses, checked_mirror, host_and_port, path_of
from machineray.collect.answers import Answer, Barred, Cache, Kind, Lasting, PassingTrouble, Unfit
from machineray.collect.bodies import Refused, check_status, length_of, read_answer, too_large
from machineray.collect.guard import Late, Watch, guarded_session
from machineray.collect.limits import Budget, Clock, Failures, Limits, Spending, Spent
from machineray.collect.painting import Site
from machineray.collect.robots import Robots, parsed_robots
from machineray.collect.wire import Wait, translated
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
        # Pages and pictures apart: a site may give the ones and refuse the others.
        self._failures = {is_picture: Failures() for is_picture in (True, False)}
        allowed = {host_and_port(self.mirror)} if self.mirror else set()
        self._session = guarded_session(allowed)

    def ask(self, url: str, kind: Kind = "data", of: str = "") -> Answer:
        """The answer of an address of the site: from the cache, or from the site.

        `of`: whose picture it is. Several addresses of one painting that fail are one failure.

        Raises:
            Unfit: this address cannot be used, and why.
            Barred: the site does not want us.
            TemporaryError: the site is down, or asks to wait longer than we do.
            Spent: the budget is used up.
        """
        url = self.addresses.checked(url)
        self._check_time()
        known = self.cache.find(url)
        if known and self._is_fresh(known):
            self._count(known, known.wire_bytes)
            return _usable(known)
        if kind != "robots":
            self._check_robots(url)
        self._check_room(1)
        before = self.spent.bytes
        try:
            answer = self._persistently(url, kind, known)
        except Unfit as error:
            if isinstance(error, Lasting):
                refused = Answer(url, kind, self._now(), refused=str(error))
                self._keep(replace(refused, wire_bytes=self.spent.bytes - before))
            self._failed(error, kind, of or url)
            raise
        self._failures[kind == "picture"] = Failures()
        answer = replace(answer, wire_bytes=self.spent.bytes - before)
        if kind == "picture":  # those are kept where the caller puts them
            self._count(answer)
        else:
            self._keep(answer)
        return _usable(answer)

    def _keep(self, answer: Answer) -> None:
        self.cache.keep(answer)
        self._count(answer)

    def _failed(self, error: Unfit, kind: Kind, of: str) -> None:
        """Several in a row that fail mean more than each of them: then it is raised."""
        if kind == "robots":
            return
        failures = self._failures[kind == "picture"]
        if isinstance(error, Refused):
            failures.refusals.add(of)
            if len(failures.refusals) >= self.limits.refusals:
                raise Barred(
                    f"{self.site.name}: it refuses again and again, the last time {error}: it does "
                    "not want programs, or not this one; say who you are, with --contact and in a "
                    "new run (--run NAME), ask the site, or leave this source out"
                ) from error
        elif isinstance(error, PassingTrouble):
            failures.troubles.add(of)
            if len(failures.troubles) >= self.limits.troubles:
                raise TemporaryError(f"{self.site.name} is down: {error}; {LATER}") from error
        else:
            failures.troubles.clear()

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

    def _check_robots(self, url: str) -> None:
        """Unfit where the rules of the address's host exclude it."""
        robots = self._robots_of(url)
        if robots.unread:
            raise PassingTrouble(f"{url}: {robots.unread}")
        if not robots.allows(path_of(url)):
            raise Unfit(f"{url}: the site's robots.txt asks not to be asked for this")

    def _robots_of(self, url: str) -> Robots:
        """The rules of the address's host; those of an API that is offered to programs: none."""
        if any(url.startswith(prefix) for prefix in self.site.open_api):
            return Robots()
        host = urlsplit(url).netloc
        if host not in self._robots:
            self._robots[host] = self._asked_robots(host)
        return self._robots[host]

    def _asked_robots(self, host: str) -> Robots:
        """A host's robots.txt; one that cannot be obeyed ends the crawl only at the site's home."""
        url, is_home = f"https://{host}/robots.txt", host == urlsplit(self.site.home).netloc
        try:
            robots = parsed_robots(self.ask(url, "robots").text, AGENT)
        except Lasting:  # there is none: all is allowed
            return Robots()
        except (Unfit, TemporaryError) as error:  # RFC 9309: what cannot be read forbids everything
            words = f"{str(error).removesuffix(f'; {LATER}')}: without it nothing is asked"
            if is_home:
                raise TemporaryError(f"{words}; {LATER}") from error
            return Robots(unread=words)
        if (robots.delay_seconds or 0) <= self.limits.longest_wait_seconds:
            return robots
        words = f"{url} asks for {robots.delay_seconds:g} s between two requests, more than we wait"
        if is_home:
            raise Barred(f"{self.site.name}: {words}: leave this source out")
        return Robots(unread=words)

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

    def _check_time(self) -> None:
        left = self._seconds_left()
        if left is not None and left <= 0:
            raise Spent(f"the budget of {self.budget.seconds:.0f} s is used up")

    def _check_room(self, size: int) -> None:
        """Spent when so many bytes more are more than the budget has."""
        if self.budget.bytes is not None and self.spent.bytes + size > self.budget.bytes:
            raise Spent(f"the budget of {self.budget.bytes / 1e6:g} MB is used up")

    def _is_fresh(self, answer: Answer) -> bool:
        """Of the crawl; rules as of today, however long ago it began (RFC 9309, 2.4)."""
        now = self.clock.now() if answer.kind == "robots" else self.began
        age = now - datetime.fromisoformat(answer.fetched)
        return age.total_seconds() < FRESH_SECONDS

    def _count(self, answer: Answer, wire_bytes: int = 0) -> None:
        """Towards the budget, once an address; what another crawl asked for costs nothing.

        `wire_bytes` are those that were not counted as they came: in a call before this one.
        """
        if answer.url in self._seen or datetime.fromisoformat(answer.fetched) < self.began:
            return
        self._seen.add(answer.url)
        self.spent.bytes += wire_bytes
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
            there = known if at == url else None
            with (
                translated(at),
                Watch(self._session, self._meter(at, kind)) as watch,
                self._request(at, kind, there, watch) as response,
            ):
                to = response.headers.get("Location", "")
                if response.status_code not in (301, 302, 303, 307, 308) or not to:
                    return self._read(url, kind, known, response, watch)
            at = self._redirected(at, to, kind)
        raise Unfit(f"{url}: more than {self.limits.redirects} redirects: not followed further")

    def _redirected(self, at: str, location: str, kind: Kind) -> str:
        try:
            target = self.addresses.linked(at, location)
            if kind != "robots":  # which nothing forbids, and which would ask for itself
                self._check_robots(target)
        except Unfit as error:
            raise type(error)(f"{at}: redirected: {error}") from error
        return target

    def _meter(self, url: str, kind: Kind) -> Callable[[int, int], None]:
        """What counts all that comes for one request, of use or not; it raises what ends it."""
        limit = self.limits.bytes_of(kind)

        def received(size: int, of_all: int) -> None:
            self.spent.bytes += size
            self._check_room(0)
            if of_all > limit + self.limits.framing_bytes:
                raise too_large(url, kind, f"over {limit / 1e6:g} MB")

        return received

    def _request(
        self, url: str, kind: Kind, known: Answer | None, watch: Watch
    ) -> requests.Response:
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
        with watch.most(self.limits.headers_seconds):
            return self._session.get(
                self.addresses.actual(url),
                headers=headers,
                stream=True,
                allow_redirects=False,
                timeout=(self.limits.connect_seconds, self.limits.silent_seconds),
            )

    def _read(
        self,
        url: str,
        kind: Kind,
        known: Answer | None,
        response: requests.Response,
        watch: Watch,
    ) -> Answer:
        if response.status_code == 304 and known:
            return replace(known, fetched=self._now())
        check_status(url, kind, response, self.clock.now())
        self._check_room((length_of(response) or 0) - watch.size)
        seconds = self.limits.seconds_of(kind)
        try:
            with watch.most(seconds):
                answer = read_answer(url, kind, self._now(), response, self.limits)
        except Late as error:  # not asked for again at once: it would take as long
            raise PassingTrouble(f"{url}: not whole after {seconds:g} s: too slow") from error
        return replace(
            answer,
            etag=response.headers.get("ETag", "")[:500],
            modified=response.headers.get("Last-Modified", "")[:100],
        )


def _usable(answer: Answer) -> Answer:
    if answer.refused:
        raise Lasting(answer.refused)
    return answer


def agent_text(version: str, contact: str) -> str:
    """Who asks, in the words of the User-Agent header: an honest name and whom to write to."""
    who = f"; contact: {contact}" if contact else ""
    text = f"MachineRay/{version} (collects public-domain paintings{who})"
    if not text.isascii() or not text.isprintable():
        raise UsageError(f"--contact {contact!r}: give an e-mail address or a web address")
    return text
