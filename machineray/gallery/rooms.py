"""The rooms behind the works: how the network learned, from what, and what you may do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from machineray.gallery.curves import Curve, curve_figures
from machineray.gallery.pictures import Picture
from machineray.markup import (
    counted,
    duration,
    embedded_json,
    escaped,
    link,
    local_href,
    paragraphs,
    pictures_seen,
)

CURVES = (
    Curve("kid_effnetlite0", "Distance from real paintings", "KID; lower is nearer."),
    Curve("kid_effnetlite0_held_out", "Distance from others", "From paintings it never saw."),
    Curve("recall", "Variety", "Share of the paintings that its samples come near to."),
    Curve("loss_g", "Generator loss", "How easily its pictures are told from paintings."),
    Curve("loss_d", "Discriminator loss", "How unsure the judge of the pictures is."),
    Curve("energy", "Distance of batches", "0 where its pictures vary as the paintings do."),
    Curve("r_t", "Overfitting", "At 1 the judge knows the paintings by heart."),
    Curve("ada_p", "Augmentation", "How often ADA alters what the judge sees."),
    Curve("images_per_second", "Speed", "Pictures a second."),
    Curve("memory_gb", "Memory", "The most that it took so far, GB."),
)
_FIRST_SHOWN = 12  # of one artist's paintings; the others unfold


@dataclass(frozen=True)
class Grid:
    """A sheet of samples of the same seeds, after that many thousand pictures seen."""

    kimg: float
    picture: Picture


@dataclass(frozen=True)
class Progress:
    """How the network learned.

    `grids` in the order of training; `metrics`: rows with "kimg" and the keys of `curves`;
    `seconds`: time spent in training; `machine`: as one says it ("a laptop with 2 CPU cores");
    `paintings`: how many it learned from; `held_out`: how many others it was only judged by;
    `began`: what it began with, if not from nothing; `outlook`: what more training would buy, each
    in a sentence or two.
    """

    kimg: float
    seconds: float
    machine: str
    paintings: int
    grids: Sequence[Grid] = ()
    metrics: Sequence[Mapping[str, object]] = ()
    curves: Sequence[Curve] = CURVES
    began: str = ""
    outlook: str = ""
    held_out: int = 0


@dataclass(frozen=True)
class Credit:
    """A source painting; what is unknown is None."""

    title: str
    artist: str | None = None
    year: str | int | None = None
    died: str | int | None = None
    source: str | None = None
    source_url: str | None = None
    rights: str | None = None
    thumbnail: Picture | None = None


def _room(key: str, heading: str, content: str) -> str:
    return (
        f'<section class="room" id="{key}" aria-labelledby="{key}-name">'
        f'<h2 id="{key}-name">{heading}</h2><div>{content}</div></section>'
    )


def _img(picture: Picture, alt: str, more: str = "") -> str:
    return (
        f'<img src="{escaped(local_href(picture.file))}" width="{picture.width}"'
        f' height="{picture.height}" alt="{escaped(alt)}" loading="lazy" decoding="async"{more}>'
    )


def learning(progress: Progress | None) -> str:
    """The room "How it learned"; "" without anything to tell."""
    return _room("learning", "How it learned", _story(progress)) if progress else ""


def _story(progress: Progress) -> str:
    seen = pictures_seen(progress.kimg)
    told = (
        f"Trained for {duration(progress.seconds)} on {progress.machine}: the network looked at "
        f"{seen}, all made from the same {counted(progress.paintings, 'painting')}."
    )
    if progress.held_out:
        told += f" {counted(progress.held_out, 'other')}, which it never saw, judged it."
    curves = curve_figures(progress.curves, progress.metrics)
    return (
        paragraphs([progress.began, told, progress.outlook])
        + (_film(progress.grids) if progress.grids else "")
        + (f'<div class="curves">{curves}</div>' if curves else "")
    )


def _film(grids: Sequence[Grid]) -> str:
    """The sample sheets, one at a time; the last one stands there without script, too."""
    last = grids[-1]
    frames = [
        (grid.kimg, local_href(grid.picture.file), pictures_seen(grid.kimg)) for grid in grids
    ]
    sheet = _img(last.picture, "Samples of the same seeds", ' id="frame"')
    return (
        f'<figure class="film">{sheet}'
        '<div class="reel"><button type="button" class="play" id="play" hidden>Play</button>'
        f'<input type="range" id="reel" min="0" max="{len(grids) - 1}" value="{len(grids) - 1}"'
        f' aria-label="Moment of training" data-grids="{escaped(embedded_json(frames))}">'
        f'<output id="kimg" for="reel">{pictures_seen(last.kimg)}</output></div></figure>'
    )


def sources(credits: Sequence[Credit]) -> str:
    """The room "The paintings it learned from", by artist; those by unknown hands come last."""
    if not credits:
        return ""
    artists: dict[str, list[Credit]] = {}
    for credit in credits:
        artists.setdefault(credit.artist or "", []).append(credit)
    names = sorted(artists, key=lambda name: (not name, name.split()[-1:], name))
    content = "".join(_artist(name, artists[name]) for name in names)
    return _room("sources", "The paintings it learned from", content)


def _shared(values: Sequence[str | None]) -> str:
    """What is the same for all, so that it is said once; otherwise ""."""
    return values[0] or "" if len(set(values)) == 1 else ""


def _artist(name: str, credits: Sequence[Credit]) -> str:
    died = next((credit.died for credit in credits if credit.died), None)
    source = _shared([credit.source for credit in credits])
    rights = _shared([credit.rights for credit in credits])
    said = [counted(len(credits), "painting"), f"died {died}" if died else "", source, rights]
    paintings = [
        _painting(credit, "" if source else credit.source, "" if rights else credit.rights)
        for credit in credits
    ]
    shown, folded = "".join(paintings[:_FIRST_SHOWN]), "".join(paintings[_FIRST_SHOWN:])
    rest = (
        f"<details><summary>{len(credits) - _FIRST_SHOWN:,} more</summary>"
        f'<ul class="paintings">{folded}</ul></details>'
        if folded
        else ""
    )
    return (
        f'<section class="artist"><h3>{escaped(name or "Unknown artist")}</h3>'
        f'<p class="quiet">{escaped(" · ".join(word for word in said if word))}</p>'
        f'<ul class="paintings">{shown}</ul>{rest}</section>'
    )


def _painting(credit: Credit, source: str | None, rights: str | None) -> str:
    title = f"<em>{escaped(credit.title)}</em>"
    year = f", {escaped(credit.year)}" if credit.year else ""
    more = " · ".join(word for word in (source, rights) if word)
    picture = _img(credit.thumbnail, "") if credit.thumbnail else "<i></i>"
    return (
        f"<li>{picture}<div>{link(credit.source_url, title)}{year}"
        + (f"<span>{escaped(more)}</span>" if more else "")
        + "</div></li>"
    )


def licence(texts: Sequence[str]) -> str:
    """The room that answers the question of everybody who likes a picture."""
    return _room("licence", "May I sell them?", paragraphs(list(texts))) if texts else ""
