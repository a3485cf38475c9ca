"""A server that answers as the recorded sites do, and keeps what it was asked.

    with Server(pages) as server:
        ...  # server.url; server.asked: [(path, headers), …]

WikiArt's lists are the captured ones of ../shared/sources/wikiart-samples; what was never captured
is built as SOURCES.md tells it. A page is a Reply, or a function that does its worst.
"""

import hashlib
import html
import io
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from PIL import Image

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "sources" / "wikiart-samples"


@dataclass
class Reply:
    """A whole answer; with an etag, 304 for who has it."""

    body: bytes | str
    type: str = "text/html; charset=utf-8"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str = ""

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        data = self.body.encode() if isinstance(self.body, str) else self.body
        status = self.status
        if self.etag and handler.headers.get("If-None-Match") == self.etag:
            status, data = 304, b""
        handler.send_response(status)
        headers = {"Content-Type": self.type, "Content-Length": str(len(data)), **self.headers}
        for name, value in (headers | ({"ETag": self.etag} if self.etag else {})).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)


Page = Callable[[Any], None]


def as_json(value: Any) -> Reply:
    return Reply(json.dumps(value), "application/json; charset=utf-8")


class Server:
    """On loopback, for as long as the block lasts."""

    def __init__(self, pages: Mapping[str, Page], wrap: Callable[[Any], Any] | None = None) -> None:
        self.pages = dict(pages)
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked.append((self.path, dict(self.headers)))
                page = outer.pages.get(self.path) or Reply("nothing here", status=404)
                try:
                    page(self)
                except (BrokenPipeError, ConnectionResetError, TimeoutError):
                    self.close_connection = True

            def log_message(self, *arguments: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self._server = Quiet(("127.0.0.1", 0), Handler)
        if wrap:
            self._server.socket = wrap(self._server.socket)
        self.url = f"{'https' if wrap else 'http'}://127.0.0.1:{self._server.server_port}"

    @property
    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [path for path, _ in self.asked]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def picture(name: str, size: tuple[int, int] = (40, 30), format: str = "JPEG") -> bytes:
    """A small picture, another one for each name."""
    seed = hashlib.sha256(name.encode()).digest()
    image = Image.frombytes("RGB", (3, 3), seed[:27]).resize(size, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, format)
    return file.getvalue()


def spoil(value: Any, place: int, nonsense: Any) -> int:
    """Replace the value at a place (counted in depth); what is left to count."""
    items = list(value.items() if isinstance(value, dict) else enumerate(value))
    for key, inner in items:
        if place == 0:
            value[key] = nonsense
            return -1
        place -= 1
        if isinstance(inner, (dict, list)):
            place = spoil(inner, place, nonsense)
            if place < 0:
                return -1
    return place


# -- WikiArt


@dataclass(frozen=True)
class Work:
    """A work of the recorded WikiArt."""

    artist: str
    slug: str
    title: str
    year: int | None
    genres: tuple[str, ...] = ("abstract",)
    labels: tuple[str, ...] = ("Public domain",)

    @property
    def number(self) -> int:
        """Its contentId; they exceed 2^53."""
        digest = hashlib.sha256(f"{self.artist}/{self.slug}".encode()).digest()
        return 9_223_372_032_000_000_000 + int.from_bytes(digest[:3])

    @property
    def path(self) -> str:
        return f"/en/{self.artist}/{self.slug}"

    @property
    def image(self) -> str:
        return f"https://uploads8.wikiart.org/images/{self.artist}/{self.slug}.jpg"


@dataclass(frozen=True)
class Artist:
    """An artist of the recorded WikiArt."""

    slug: str
    name: str
    born: str
    died: str
    works: tuple[Work, ...] = ()
    about: str = "Expressionism, Abstract Art"


def captured(name: str, artist: str, genres: tuple[str, ...], most: int = 10_000) -> list[Work]:
    """The works in one of the captured lists."""
    text = (SAMPLES / f"all-works-text-list__{name}.html").read_text(encoding="utf-8")
    rows = re.findall(rf'<a href="/en/{artist}/([^"]+)">(.*?)</a>(?:<span>, ([^<]*)</span>)?', text)
    return [
        Work(artist, slug, html.unescape(title), int(y) if y.isdigit() else None, genres)
        for slug, title, y in rows[:most]
    ]


def kandinsky(most: int = 10_000) -> Artist:
    """Kandinsky with his captured lists: 135 abstract works, and others."""
    abstract = captured("kandinsky_abstract", "wassily-kandinsky", ("abstract",), most)
    slugs = {work.slug for work in abstract}
    other = captured("kandinsky_expressionism", "wassily-kandinsky", ("landscape",), most)
    works = [*abstract, *(work for work in other if work.slug not in slugs)]
    return Artist("wassily-kandinsky", "Wassily Kandinsky", "1866", "1944", tuple(works))


def wikiart(
    artists: list[Artist], *, by_json: bool = True, by_genre: bool = False
) -> dict[str, Page]:
    """The recorded WikiArt: its pages, its JSON unless it is not to answer, its pictures."""
    pages: dict[str, Page] = {"/robots.txt": Reply("User-agent: *\nAllow: /\n", "text/plain")}
    for letter in (*"abcdefghijklmnopqrstuvwxyz", "0"):
        found = [a for a in artists if a.name.lower().split()[-1].startswith(letter)]
        pages[f"/en/Alphabet/{letter}/text-list"] = Reply(alphabet_page(found))
    for artist in artists:
        pages[f"/en/{artist.slug}"] = Reply(artist_page(artist))
        pages[f"/en/{artist.slug}/all-works/text-list"] = Reply(works_page(artist))
        for work in artist.works:
            pages[work.path] = Reply(painting_page(work, artist.name))
            file = work.image.removeprefix("https:/")
            pages[file] = Reply(picture(work.path), "image/jpeg", etag=f'"{work.number}"')
    if by_json:
        pages |= wikiart_json(artists)
    if by_genre:
        pages |= wikiart_listing(artists)
    return pages


def wikiart_listing(artists: list[Artist], a_page: int = 60) -> dict[str, Page]:
    """The list of a genre, as the captured page; artists by turns, as the site mixes them."""
    works = [(w, a) for a in artists for w in a.works if "abstract" in w.genres]
    works.sort(key=lambda each: hashlib.sha256(each[0].path.encode()).digest())
    pages: dict[str, Page] = {}
    for page in range(len(works) // a_page + 2):
        rows = [
            {
                "id": "577271cfedc2cb3880c2de61",
                "title": work.title,
                "year": str(work.year or ""),
                "width": 634,
                "height": 750,
                "artistName": artist.name,
                "image": work.image,
                "map": "0123**67*",
                "paintingUrl": work.path,
                "artistUrl": f"/en/{artist.slug}",
                "albums": None,
                "flags": 2,
                "images": None,
            }
            for work, artist in works[page * a_page : (page + 1) * a_page]
        ]
        pages[f"/en/paintings-by-genre/abstract?json=2&page={page + 1}"] = as_json(
            {
                "ArtistsHtml": None,
                "CanLoadMoreArtists": False,
                "Paintings": rows or None,
                "Artists": None,
                "AllArtistsCount": 0,
                "AllPaintingsCount": len(works),
                "PageSize": 60,
                "TimeLog": None,
            }
        )
    return pages


def wikiart_json(artists: list[Artist]) -> dict[str, Page]:
    pages: dict[str, Page] = {
        "/en/App/Artist/AlphabetJson?v=new": as_json([artist_row(a) for a in artists])
    }
    for artist in artists:
        listed = f"/en/App/Painting/PaintingsByArtist?artistUrl={artist.slug}&json=2"
        pages[listed] = as_json([work_row(work, artist) for work in artist.works])
        for work in artist.works:
            facts = {
                **work_row(work, artist),
                "url": work.slug,
                "artistUrl": artist.slug,
                "genre": ", ".join(work.genres),
                "style": "Abstract Art",
                "dictionaries": [324, 347],
            }
            pages[f"/en/App/Painting/ImageJson/{work.number}"] = as_json(facts)
    return pages


def artist_row(artist: Artist) -> dict[str, Any]:
    """As the captured entries of AlphabetJson."""
    return {
        "contentId": 184856,
        "artistName": artist.name,
        "url": artist.slug,
        "lastNameFirst": artist.name,
        "birthDay": "/Date(-1828051200000)/",
        "deathDay": "/Date(253402300799000)/" if not artist.died else "/Date(-422582400000)/",
        "birthDayAsString": f"January 28, {artist.born}" if artist.born else "",
        "deathDayAsString": f"August 11, {artist.died}" if artist.died else "",
        "image": f"https://uploads3.wikiart.org/images/{artist.slug}.jpg!Portrait.jpg",
        "wikipediaUrl": "",
        "dictonaries": [324, 347, 1368, 15877, 8512],
    }


def work_row(work: Work, artist: Artist) -> dict[str, Any]:
    return {
        "contentId": work.number,
        "title": work.title,
        "completitionYear": work.year,
        "yearAsString": str(work.year or ""),
        "width": 1000,
        "height": 700,
        "image": f"{work.image}!Large.jpg",
        "artistName": artist.name,
    }


def alphabet_page(artists: list[Artist]) -> str:
    """As the reconstructed text-list."""
    rows = "".join(
        f'<li><a href="/en/{a.slug}">{html.escape(a.name)}</a>\n'
        + (f"<span>, {a.born} - {a.died}</span>\n" if a.born or a.died else "")
        + f"<span>, {len(a.works)} artworks</span></li>\n"
        for a in artists
    )
    return (
        '<html><body><main><div class="masonry-text-view masonry-text-view-all"><ul>\n'
        f"{rows}</ul></div></main></body></html>"
    )


def artist_page(artist: Artist) -> str:
    return f"""<html><body><nav><a href="/en/paintings-by-style/abstract-art">Abstract Art</a></nav>
<main><div class="wiki-layout-artist-info"><article><h1>{html.escape(artist.name)}</h1>
<h2 itemprop="additionalName">{html.escape(artist.name)}</h2><ul>
<li><s>Born:</s> <span itemprop="birthDate">{artist.born}</span></li>
<li class="dictionary-values"><s>Art Movement:</s> <span>{artist.about}</span></li></ul>
</article></div></main></body></html>"""


def works_page(artist: Artist) -> str:
    """As the captured lists."""
    rows = "".join(
        f'    <li class="painting-list-text-row">\n\n            <a href="{w.path}">'
        f"{html.escape(w.title)}</a>"
        + (f"<span>, {w.year}</span>" if w.year else "")
        + "\n    </li>\n"
        for w in artist.works
    )
    return f'<main><ul class="painting-list-text">\n{rows}</ul></main>'


def painting_page(work: Work, name: str) -> str:
    """As the reconstructed page: made of the selectors of independent scrapers."""
    data = {
        "_t": "PaintingForGalleryNew",
        "_id": "5772847bedc2cb3880fded05",
        "title": work.title,
        "year": str(work.year or ""),
        "width": 1000,
        "height": 700,
        "artistName": name,
        "image": work.image,
        "paintingUrl": work.path,
        "artistUrl": f"/en/{work.artist}",
    }
    genres = ", ".join(
        f'<a target="_self" href="/en/paintings-by-genre/{genre.replace(" ", "-")}">'
        f'<span itemprop="genre">{genre}</span></a>'
        for genre in work.genres
    )
    labels = "".join(
        '<a class="copyright">'
        + ('<i class="copyright-icon-public-domain"></i>' if "ublic domain" in label else "")
        + f"{label}</a>"
        for label in work.labels
    )
    wrapper = f'<div class="copyright-wrapper">{labels}</div>' if labels else ""
    escaped = html.escape(json.dumps(data), quote=True)
    return f"""<html><head><meta property="og:image" content="{work.image}!Large.jpg" /></head>
<body><nav><a href="/en/paintings-by-genre/abstract">abstract</a> Public domain</nav><main>
<div class="wiki-layout-artist-image-wrapper btn-overlay-wrapper-artwork">
<img class="ms-zoom-cursor" itemprop="image" src="{work.image}!Large.jpg" /></div>
<div class="wiki-layout-artist-info wiki-layout-artwork-info"><article>
<h3>{html.escape(work.title)}</h3>
<h5 itemprop="creator"><span itemprop="name"><a href="/en/{work.artist}">{name}</a></span></h5>
<ul><li><s>Date:</s> <span itemprop="dateCreated">{work.year or ""}</span></li>
<li class="dictionary-values"><s>Genre:</s> <span>{genres}</span></li></ul>
{wrapper}</article></div>
<div class="wiki-layout-painting-info-bottom" ng-init="paintingJson = {escaped}"></div>
</main></body></html>"""
