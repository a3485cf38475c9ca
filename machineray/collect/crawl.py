"""One site, from its first page to paintings with proofs: an iterator that the caller drains.

    for event in crawl(site, web, wanted):
        ...        # Kept: store it, then event.keep(key); Turned: say it; Said: show it

Nothing is decided twice and nothing asked for twice: run again after a kill, it goes the same way
over the answers that are there, and on from where they end.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from machineray.collect.answers import Answer, Barred, Changed, PassingTrouble, Unfit, Unproven
from machineray.collect.fetch import LATER, Web
from machineray.collect.limits import Spent
from machineray.collect.painting import Candidate, Said, Site, Step, Turned, Wanted, artist_key
from machineray.collect.rights import Admission, admitted
from machineray.collect.sites.reading import link_of
from machineray.errors import InputError, TemporaryError


@dataclass(frozen=True)
class Kept:
    """A painting that enters: its bytes, its catalog row, and `keep(key)` for when it is stored."""

    picture: Answer
    evidence: Answer
    row: dict[str, Any]
    keep: Callable[[str], None] = field(compare=False)


LONGEST = 500  # of a site's words
Event = Kept | Turned | Said | Step
Admit = Callable[[bytes, str], dict[str, Any]]


def crawl(site: Site, web: Web, wanted: Wanted, admit: Admit) -> Iterator[Event]:
    """The paintings of a site that are wanted and free, up to the limit, and why others are not.

    `admit` decodes a picture and gives its catalog row, or raises InputError.

    Raises:
        Changed: the site's pages are not as we know them, and nothing was found before.
        TemporaryError: the site is down, or asks to wait long, or gave no painting for such a
            reason: the same command asks again.
        InputError: its first pages cannot be used.
    """
    kept, seen, of_artist = 0, set[str](), Counter[str]()
    passing = ""  # the last trouble of this kind
    try:
        for found in site.paintings(web.ask, wanted):
            if not isinstance(found, Candidate):
                if isinstance(found, Turned | Said):
                    web.forget(found.odd)
                yield found
                continue
            artist = artist_key(found.artist)
            is_enough = artist != "" and of_artist[artist] == wanted.per_artist
            if found.url in seen or is_enough or not _is_asked_for(found, wanted):
                continue
            seen.add(found.url)
            try:
                yield _painting(site, web, found, admitted(found, wanted), admit)
            except (Unfit, Unproven) as error:
                passing = str(error) if isinstance(error, PassingTrouble) else passing
                yield Turned(found.url, str(error))
                continue
            kept += 1
            of_artist[artist] += 1
            found.kept()
            if wanted.limit is not None and kept >= wanted.limit:
                break
    except Spent as error:
        words = f"{site.name}: {error}: it ends here; a new run goes on from what is known"
        yield Said(words) if kept else Turned(site.name, words)
    except Barred as error:
        yield Turned(site.name, str(error))
    except PassingTrouble as error:
        raise TemporaryError(f"{error}; {LATER}") from error
    except (Changed, Unfit) as error:
        # It may have been a page in its place, of a fence or a guard.
        if isinstance(error, Changed):
            web.forget(error.url)
        if not kept:
            raise
        yield Turned(site.name, f"it ends here: {error}; a new run goes on from what is known")
    else:
        if passing and not kept:
            raise TemporaryError(f"{site.name}: no painting could be had: {passing}; {LATER}")
    asked = f"{web.spent.pages} pages and {web.spent.pictures} pictures asked for"
    yield Said(f"{site.name}: {kept} paintings; {asked}, {web.spent.bytes / 1e6:.1f} MB")


def _is_asked_for(found: Candidate, wanted: Wanted) -> bool:
    return wanted.wants_artist(found.artist) and wanted.wants_year(found.year)


def _painting(site: Site, web: Web, found: Candidate, admission: Admission, admit: Admit) -> Kept:
    """The first of the candidate's pictures that is there and is one."""
    reasons = []
    for address in found.pictures:
        try:
            picture = web.ask(address, "picture", of=found.url)
        except Unfit as error:
            reasons.append(error)
            continue
        try:
            row = admit(picture.body, _file_name(picture.url))
        except Changed:
            raise
        except InputError as error:
            web.keep_refusal(picture, f"{picture.url}: {_reason(error, picture.url)}")
            reasons.append(Unfit(f"{picture.url}: {_reason(error, picture.url)}"))
            continue

        def keep(key: str, picture: Answer = picture) -> None:
            web.keep_picture(picture, key)

        return Kept(picture, found.evidence, _row(site, found, admission, picture, row), keep)
    if not reasons:
        raise Unfit(f"{found.url}: names no picture")
    if any(isinstance(each, PassingTrouble) for each in reasons):
        raise PassingTrouble(f"{found.url}: {reasons[0]}")
    raise Unfit(f"{found.url}: {reasons[0]}")


def _row(
    site: Site, found: Candidate, admission: Admission, picture: Answer, row: dict[str, Any]
) -> dict[str, Any]:
    """A catalog row with the line of the ledger in it."""
    page = link_of(found.url, found.evidence.url)  # it stands in pages for people
    return {
        **row,
        "file": f"{site.name}{urlsplit(page).path}",
        "title": found.title[:LONGEST],
        "artist": found.artist[:LONGEST],
        "year": found.year,
        "born": found.born,
        "died": found.died,
        "source": found.museum or site.title,
        "source_url": page,
        "picture_url": picture.url,
        "rights": found.label[:LONGEST],
        "rule": admission.rule,
        "free": {"elsewhere": admission.elsewhere, "united_states": admission.united_states},
        "fetched": found.evidence.fetched,
        "evidence": {"url": found.evidence.url, "sha256": found.evidence.sha256},
    }


def _file_name(url: str) -> str:
    """A name for messages and, without an extension, no word on what the bytes have to be.

    Sites name pictures as they like ("default.jpg" for what is a PNG): the bytes have the word.
    """
    name = unquote(urlsplit(url).path).partition("!")[0]
    return PurePosixPath(name).stem.replace(".", "_") or "picture"


def _reason(error: InputError, url: str) -> str:
    return str(error).removeprefix(f"{_file_name(url)}: ")
