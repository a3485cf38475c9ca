"""The gallery: one self-contained page that opens from a folder, and what it must be told.

    html = gallery_page("First light", works, progress=progress, credits=credits, ...)

The page makes no request but for the pictures beside it: its style and script are inlined, and its
Content-Security-Policy names them by hash, so that nothing else could run or be fetched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from urllib.parse import quote

from machineray.errors import InputError
from machineray.gallery.pictures import Picture, colour_name
from machineray.gallery.rooms import Credit, Progress, learning, licence, sources
from machineray.markup import (
    counted,
    embedded_json,
    escaped,
    inline_hash,
    local_href,
    page_script,
    pictures_seen,
)

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32"'
    ' fill="#f3efe4"/><rect x="4" y="4" width="15" height="24" fill="#1f3d7a"/><circle cx="21"'
    ' cy="12" r="7" fill="#d8442b"/><path d="M10 28h18v-5H10z" fill="#e8b530"/></svg>'
)


@dataclass(frozen=True)
class Work:
    """One finished artwork: width and height in pixels of the full file, dpi for its print size.

    `full` and `sidecar` are paths relative to index.html (../finish/artworks/seed000123.png);
    `previews` are smallest first (pictures.previews makes them); `palette` are "#rrggbb".
    """

    id: str
    seed: int
    psi: float
    width: int
    height: int
    full: str
    previews: tuple[Picture, ...]
    sidecar: str | None = None
    dpi: int = 300
    snapshot: str = ""
    palette: tuple[str, ...] = ()

    @property
    def print_size_cm(self) -> tuple[float, float]:
        """Width and height on paper at the work's dpi."""
        return self.width / self.dpi * 2.54, self.height / self.dpi * 2.54


@dataclass(frozen=True)
class Colophon:
    """Who made the page: version of machineray, name of the run, the command that makes more."""

    version: str
    run: str
    command: str = ""


def gallery_page(
    title: str,
    works: Sequence[Work],
    *,
    colophon: Colophon,
    progress: Progress | None = None,
    credits: Sequence[Credit] = (),
    licence_text: Sequence[str] = (),
    lede: str = "",
) -> str:
    """index.html of the gallery; sections without content are left out.

    All text is plain and is escaped. `licence_text` holds the paragraphs that answer "may I sell
    them?". `lede` is the sentence below the title; one is written when it is empty.
    Raises InputError when there is no work to show.
    """
    if not works:
        raise InputError("gallery: no artworks: nothing can be shown; finish some first")
    style, script = _file("style.css"), page_script(_file("viewer.js") + _file("film.js"))
    rooms = {
        "learning": learning(progress),
        "sources": sources(credits),
        "licence": licence(licence_text),
    }
    return Template(_file("template.html")).substitute(
        rooms,
        title=escaped(title),
        lede=escaped(lede or _lede(works, progress)),
        policy=_policy(style, script),
        icon=_icon(),
        style=style,
        script=script,
        version=escaped(colophon.version),
        navigation=_navigation(rooms),
        wall="".join(_place(work) for work in works),
        more=_more(colophon.command),
        colophon=f"Made with MachineRay {escaped(colophon.version)}, run {escaped(colophon.run)}.",
        data=embedded_json({"works": [_facts(work) for work in works]}),
    )


def training_page(run: str, progress: Progress, version: str) -> str:
    """index.html of a training that goes on, or has ended: sheets over time, and its curves."""
    style, script = _file("style.css"), _file("film.js")
    return Template(_file("training.html")).substitute(
        title=escaped(f"Training of {run}"),
        lede=escaped(f"So far it has looked at {pictures_seen(progress.kimg)}."),
        policy=_policy(style, script),
        icon=_icon(),
        style=style,
        script=script,
        version=escaped(version),
        learning=learning(progress),
        colophon=f"Made with MachineRay {escaped(version)}, run {escaped(run)}.",
    )


def _file(name: str) -> str:
    return files("machineray.gallery").joinpath(name).read_text(encoding="utf-8")


def _icon() -> str:
    return f"data:image/svg+xml,{quote(_ICON)}"


def _policy(style: str, script: str) -> str:
    """Only our own style and script, and pictures beside the page; the network stays shut."""
    # "file:" because an opened file has no origin that 'self' could mean (Firefox); a page that
    # came over the network may not load file: anyway.
    return (
        f"default-src 'none'; img-src 'self' file: data:; style-src '{inline_hash(style)}'; "
        f"style-src-attr 'unsafe-inline'; script-src '{inline_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _lede(works: Sequence[Work], progress: Progress | None) -> str:
    count = counted(len(works), "new abstract picture")
    if progress is None or not progress.paintings:
        return f"{count}, made by a network that learned from paintings."
    seen = counted(progress.paintings, "painting")
    before = "was trained before and then saw" if progress.began else "has seen"
    return f"{count}, made by a network that {before} {seen}."


def _navigation(rooms: dict[str, str]) -> str:
    names = {"learning": "How it learned", "sources": "Sources", "licence": "May I sell them?"}
    return "".join(f'<a href="#{key}">{name}</a>' for key, name in names.items() if rooms[key])


def _more(command: str) -> str:
    if not command:
        return ""
    return (
        '<div class="more"><p>Make more of these:</p><div class="command">'
        f'<code id="command">{escaped(command)}<span id="root"></span></code>'
        '<button type="button" class="copy" id="copy" hidden>Copy</button></div></div>'
    )


def _name(work: Work) -> str:
    return f"Nº {work.seed}"


def _alt(work: Work) -> str:
    names = list(dict.fromkeys(colour_name(colour) for colour in work.palette))[:3]
    ratio = work.width / work.height
    shape = "square" if 0.97 < ratio < 1.03 else "upright" if ratio < 1 else "wide"
    words = f"Abstract artwork {work.seed}, {shape}"
    if not names:
        return words
    return f"{words}, mostly {' and '.join([', '.join(names[:-1]), names[-1]][len(names) < 2 :])}"


def _paper(work: Work) -> str:
    wide, high = work.print_size_cm
    return f"{wide:.1f} × {high:.1f} cm"


def _place(work: Work) -> str:
    """The work on the wall: a link that opens the viewer, with thumbnails for every screen."""
    small = work.previews[0]
    ground = f";--c:{work.palette[0]}" if work.palette else ""
    sources = ", ".join(f"{local_href(each.file)} {each.width}w" for each in work.previews)
    return (
        f'<li style="--a:{work.width / work.height:.4f}{escaped(ground)}">'
        f'<a href="#{local_href(work.id)}"><img src="{escaped(local_href(small.file))}"'
        f' srcset="{escaped(sources)}" sizes="(max-width: 40rem) 50vw, 25vw"'
        f' width="{work.width}" height="{work.height}" alt="{escaped(_alt(work))}"'
        f' loading="lazy" decoding="async"><span class="caption"><span>{_name(work)}</span>'
        f"<span>{_paper(work)}</span></span></a></li>"
    )


def _facts(work: Work) -> dict[str, object]:
    """What the viewer shows of a work."""
    wide, high = work.print_size_cm
    inches = f"({wide / 2.54:.1f} × {high / 2.54:.1f} in)"
    large = work.previews[-1]
    facts = [
        ("Seed", str(work.seed)),
        ("Psi", f"{work.psi:g}"),
        ("Aspect", aspect_words(work.width, work.height)),
        ("Size", f"{work.width:,} × {work.height:,} px"),
        ("Print", f"{_paper(work)} {inches} at\u00a0{work.dpi}\u00a0dpi"),
        ("Snapshot", work.snapshot[:12]),
        ("File", work.full.rsplit("/", 1)[-1]),
    ]
    return {
        "id": work.id,
        "name": _name(work),
        "alt": _alt(work),
        "width": work.width,
        "height": work.height,
        "full": local_href(work.full),
        "sidecar": local_href(work.sidecar) if work.sidecar else None,
        "preview": local_href(large.file),
        "preview_size": f"{large.width:,} × {large.height:,} px",
        "palette": work.palette,
        "facts": [fact for fact in facts if fact[1]],
    }


def aspect_words(width: int, height: int) -> str:
    """The ratio: "3 : 4" when small whole numbers are within half a percent, or "1 : 1.48"."""
    ratio = width / height
    for below in range(1, 10):
        above = round(ratio * below)
        if 0 < above < 17 and abs(above / below / ratio - 1) < 0.005:
            return f"{above} : {below}"
    return f"{ratio:.2f} : 1" if ratio > 1 else f"1 : {1 / ratio:.2f}"
