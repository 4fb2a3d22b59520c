"""A flow chart as inline SVG: bands from places of departure to places of arrival, as wide as the figure they stand for.

Belongs here: drawing. Does not belong here: choosing flows or formatting figures. A flow without a figure is a dashed line
with its symbol: it is neither zero nor a guess.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from warehouse.publishing.pages.charts import CHARACTER, NARROW, WIDE

_GAP = 14
_BAR = 10
_LEAST = 22
"""Height of the place of a flow: its name needs a line of text."""


@dataclass(frozen=True)
class Flow:
    """One band: where from, where to, the figure and the text that stands for it."""

    origin: str
    destination: str
    value: float | None
    text: str


def flow_chart(flows: Sequence[Flow], title: str, key: str) -> str:
    """Both drawings, wide and narrow, each with a text alternative that lists every flow."""
    wide, narrow = (_drawing(flows, title, f"{key}-{name}", width) for name, width in (("w", WIDE), ("n", NARROW)))
    return f'<div class="chart-wide">{wide}</div><div class="chart-narrow">{narrow}</div>'


def _drawing(flows: Sequence[Flow], title: str, key: str, width: int) -> str:
    total = sum(flow.value or 0 for flow in flows) or 1.0
    scale = 220 / total
    thickness = {flow: (flow.value or 0) * scale for flow in flows}
    left = max(len(f"{flow.origin}  {flow.text}") for flow in flows) * CHARACTER + 18
    right = width - max(len(flow.destination) for flow in flows) * CHARACTER - _BAR - 26
    starts, height = _places([(flow.origin, max(thickness[flow], _LEAST)) for flow in flows], 8)
    arrivals: dict[str, float] = {}
    for flow in flows:
        arrivals[flow.destination] = arrivals.get(flow.destination, 0) + max(thickness[flow], 4)
    ends, low = _places([(name, max(size, _LEAST)) for name, size in arrivals.items()], 8)
    lift = max(0.0, (height - low) / 2)
    told = "; ".join(f"{flow.origin} → {flow.destination}: {flow.text}" for flow in flows)
    parts = [
        f'<svg class="chart flow" viewBox="0 0 {width} {max(height, low):.0f}" role="img" aria-labelledby="{key}-t {key}-d"'
        f' xmlns="http://www.w3.org/2000/svg"><title id="{key}-t">{escape(title)}</title>'
        f'<desc id="{key}-d">{escape(told)}</desc>'
    ]
    at = {name: top + lift for name, (top, _) in ends.items()}
    for flow in flows:
        top, size = starts[flow.origin]
        middle = top + size / 2
        band = thickness[flow]
        css = f"s{list(arrivals).index(flow.destination) % 6 + 1}"
        target = at[flow.destination] + max(band, 4) / 2
        at[flow.destination] += max(band, 4)
        bend = (left + right) / 2
        path = (
            f"M{left + _BAR:.1f},{middle:.1f} C{bend:.1f},{middle:.1f} {bend:.1f},{target:.1f} {right:.1f},{target:.1f}"
        )
        if flow.value is None:
            parts.append(f'<path class="flow-hidden {css}" d="{path}"/>')
        else:
            parts.append(f'<path class="flow-band {css}" stroke-width="{max(band, 1):.1f}" d="{path}"/>')
        parts.append(
            f'<rect class="flow-end" x="{left:.1f}" y="{middle - max(band, 2) / 2:.1f}" width="{_BAR}" height="{max(band, 2):.1f}"/>'
        )
        parts.append(_text(left - 8, middle + 4.5, f"{flow.origin}  {flow.text}", "label", "end"))
    for name, (top, size) in ends.items():
        parts.append(
            f'<rect class="flow-end" x="{right:.1f}" y="{top + lift:.1f}" width="{_BAR}" height="{size:.1f}"/>'
        )
        parts.append(_text(right + _BAR + 8, top + lift + size / 2 + 4.5, name, "label", "start"))
    parts.append("</svg>")
    return "".join(parts)


def _places(sizes: Sequence[tuple[str, float]], top: float) -> tuple[dict[str, tuple[float, float]], float]:
    """Top and height of each name, one below the other, and the height of all."""
    places: dict[str, tuple[float, float]] = {}
    for name, size in sizes:
        places[name] = (top, size)
        top += size + _GAP
    return places, top


def _text(x: float, y: float, text: str, css: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}">{escape(text)}</text>'
