"""Training curves as small inline SVG: one quiet chart a quantity, no library, no script."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from machineray.markup import escaped, figure, pictures_seen

WIDTH, HEIGHT = 300, 110
_RIGHT, _TOP, _BOTTOM = 262, 6, 92
_MOST_POINTS = 240


@dataclass(frozen=True)
class Curve:
    """A quantity of the metric rows that is worth a chart; `note` says how to read it."""

    key: str
    name: str
    note: str = ""


def _points(rows: Sequence[Mapping[str, object]], key: str) -> list[tuple[float, float]]:
    """The finite (kimg, value) pairs, thinned to means of neighbours."""
    pairs = ((row.get("kimg"), row.get(key)) for row in rows)
    points = [
        (float(kimg), float(value))
        for kimg, value in pairs
        if isinstance(kimg, int | float) and isinstance(value, int | float)
        if math.isfinite(kimg) and math.isfinite(value)
    ]
    points.sort()
    step = math.ceil(len(points) / _MOST_POINTS)
    groups = [points[i : i + step] for i in range(0, len(points), step)] if step > 1 else []
    if not groups:
        return points
    return [(g[-1][0], sum(y for _, y in g) / len(g)) for g in groups]


def _smoothed(values: Sequence[float]) -> list[float]:
    """A centred running mean over a fifteenth of the points; the ends use what there is."""
    reach = len(values) // 30
    windows = (values[max(0, i - reach) : i + reach + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def curve_figures(curves: Sequence[Curve], rows: Sequence[Mapping[str, object]]) -> str:
    """A chart of every quantity that at least two rows have, as HTML figures; "" for none.

    They share the time axis, from 0 to the last row: a moment is at the same place in each.
    """
    drawn = [(curve, _points(rows, curve.key)) for curve in curves]
    drawn = [(curve, points) for curve, points in drawn if len(points) > 1 and points[-1][0] > 0]
    last_kimg = max((points[-1][0] for _, points in drawn), default=0.0)
    return "".join(_figure(curve, points, last_kimg) for curve, points in drawn)


def _figure(curve: Curve, points: list[tuple[float, float]], last_kimg: float) -> str:
    values = [value for _, value in points]
    means = _smoothed(values)
    name, now = escaped(curve.name), figure(means[-1])
    said = f"{name}: from {figure(means[0])} to {now} over {pictures_seen(points[-1][0])}"
    note = f'<p class="quiet">{escaped(curve.note)}</p>' if curve.note else ""
    return (
        f"<figure><figcaption>{name} <span>{now}</span></figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}">'
        f"{_axes(min(values), max(values), last_kimg)}{_lines(points, means, last_kimg)}"
        f"</svg>{note}</figure>"
    )


def _axes(low: float, high: float, last_kimg: float) -> str:
    bounds = [(_TOP + 4, high), (_BOTTOM, low)] if high > low else []
    return (
        f'<line class="axis" x2="{_RIGHT}" y1="{_BOTTOM + 4}" y2="{_BOTTOM + 4}"/>'
        + "".join(f'<text x="{_RIGHT + 8}" y="{y}">{figure(value)}</text>' for y, value in bounds)
        + f'<text y="{HEIGHT - 1}">0</text><text x="{_RIGHT}" y="{HEIGHT - 1}"'
        f' text-anchor="end">{pictures_seen(last_kimg)}</text>'
    )


def _lines(points: list[tuple[float, float]], means: list[float], last_kimg: float) -> str:
    low, high = min(value for _, value in points), max(value for _, value in points)
    scale = _RIGHT / last_kimg

    def place(kimg: float, value: float) -> tuple[float, float]:
        share = (value - low) / (high - low) if high > low else 0.5
        return max(0.0, kimg * scale), _BOTTOM - share * (_BOTTOM - _TOP)

    raw = [place(kimg, value) for kimg, value in points]
    smooth = [place(kimg, mean) for (kimg, _), mean in zip(points, means, strict=True)]
    x, y = smooth[-1]
    return (
        f'<path class="raw" d="{_path(raw)}"/><path class="mean" d="{_path(smooth)}"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="currentColor"/>'
        f'<line class="now" y1="{_TOP}" y2="{_BOTTOM + 4}" data-scale="{scale:g}"/>'
    )
