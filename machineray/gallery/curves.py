"""Training curves as small inline SVG: one quiet chart a quantity, no library, no script."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from machineray.gallery.markup import escaped, figure

WIDTH, HEIGHT = 300, 110
_LEFT, _RIGHT, _TOP, _BOTTOM = 0, 262, 6, 92
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
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def _smoothed(values: Sequence[float]) -> list[float]:
    """A centred running mean over a fifteenth of the points; the ends use what there is."""
    reach = len(values) // 30
    windows = (values[max(0, i - reach) : i + reach + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def curve_figure(curve: Curve, rows: Sequence[Mapping[str, object]]) -> str:
    """The chart of one quantity as an HTML figure; "" when fewer than two rows have it."""
    points = _points(rows, curve.key)
    if len(points) < 2 or points[0][0] == points[-1][0]:
        return ""
    first, last = points[0][0], points[-1][0]
    values = [value for _, value in points]
    means = _smoothed(values)
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    scale = (_RIGHT - _LEFT) / (last - first)

    def place(kimg: float, value: float) -> tuple[float, float]:
        return _LEFT + (kimg - first) * scale, _BOTTOM - (value - low) / spread * (_BOTTOM - _TOP)

    raw = _path([place(x, y) for x, y in points])
    mean = _path([place(x, y) for (x, _), y in zip(points, means, strict=True)])
    end_x, end_y = place(last, means[-1])
    name = escaped(curve.name)
    said = f"{name}: from {figure(means[0])} to {figure(means[-1])} over {figure(last)} kimg"
    bounds = "" if high == low else (
        f'<text x="{_RIGHT + 8}" y="{_TOP + 4}">{figure(high)}</text>'
        f'<text x="{_RIGHT + 8}" y="{_BOTTOM}">{figure(low)}</text>'
    )  # fmt: skip
    note = f'<p class="quiet">{escaped(curve.note)}</p>' if curve.note else ""
    return (
        f"<figure><figcaption>{name} <span>{figure(means[-1])}</span></figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}">'
        f'<line class="axis" x1="{_LEFT}" x2="{_RIGHT}" y1="{_BOTTOM + 4}" y2="{_BOTTOM + 4}"/>'
        f'<path class="raw" d="{raw}"/><path class="mean" d="{mean}"/>'
        f'<circle cx="{end_x:.1f}" cy="{end_y:.1f}" r="2.4" fill="currentColor"/>'
        f'<line class="now" y1="{_TOP}" y2="{_BOTTOM + 4}" data-first="{first:g}"'
        f' data-scale="{scale:g}" data-left="{_LEFT}" data-right="{_RIGHT}"/>{bounds}'
        f'<text x="{_LEFT}" y="{HEIGHT - 1}">{figure(first)}</text>'
        f'<text x="{_RIGHT}" y="{HEIGHT - 1}" text-anchor="end">{figure(last)} kimg</text>'
        f"</svg>{note}</figure>"
    )
