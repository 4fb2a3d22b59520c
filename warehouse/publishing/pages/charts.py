"""Charts as inline SVG with a title and a text alternative, one drawing for wide pages and one for phones.

Belongs here: drawing lines, bars and intervals from finished texts and numbers. Does not belong here:
choosing rows, formatting numbers, the members of ASEAN side by side (`member_tiles`), colours (the style sheet gives them, so
that light and dark share one drawing).
A figure without value keeps its place and shows its symbol: nothing is drawn as zero that is not zero.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDE = 720
NARROW = 340
_LABEL_ROOM = 260
"""Widest column of labels beside the bars of a wide drawing."""
CHARACTER = 6.7
"""Mean width of a character at 13 px in the system fonts: enough to reserve room, never to cut text."""


@dataclass(frozen=True)
class Point:
    """One figure of a chart: its label, value and interval, and the text that stands for it in the table."""

    label: str
    value: float | None
    text: str
    lower: float | None = None
    upper: float | None = None
    is_provisional: bool = False
    is_total: bool = False
    at: float | None = None
    """Place in time, in years: points of a line stand where their period is, so that a gap of five years looks like one."""


@dataclass(frozen=True)
class Series:
    """One line of a line chart: a name and one point per period."""

    name: str
    points: tuple[Point, ...]


def nice_ticks(top: float, count: int = 4) -> list[float]:
    """Round axis values from 0 to at least `top`."""
    if top <= 0:
        return [0.0, 1.0]
    raw = top / count
    magnitude = 10 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= raw)
    return [round(step * index, 10) for index in range(math.ceil(top / step - 1e-9) + 1)]


def tick_text(value: float, language: str) -> str:
    """An axis value with the separators of the language, without useless decimals."""
    text = f"{value:,.10f}".rstrip("0").rstrip(".")
    return text.translate({ord(","): ".", ord("."): ","}) if language == "vi" else text


def bar_chart(points: Sequence[Point], title: str, language: str, key: str) -> str:
    """Horizontal bars in table order; both drawings, one shown at a time."""
    return _both(
        _bars(points, title, language, f"{key}-w", WIDE, False),
        _bars(points, title, language, f"{key}-n", NARROW, False),
    )


def interval_chart(points: Sequence[Point], title: str, language: str, key: str) -> str:
    """Dots with their intervals in table order; both drawings, one shown at a time."""
    return _both(
        _bars(points, title, language, f"{key}-w", WIDE, True), _bars(points, title, language, f"{key}-n", NARROW, True)
    )


def line_chart(series: Sequence[Series], title: str, language: str, key: str) -> str:
    """Lines over periods, named at their end; a period without value breaks its line. Both drawings."""
    return _both(
        _lines(series, title, language, f"{key}-w", WIDE, 320), _lines(series, title, language, f"{key}-n", NARROW, 300)
    )


def _both(wide: str, narrow: str) -> str:
    return f'<div class="chart-wide">{wide}</div><div class="chart-narrow">{narrow}</div>'


def opened(key: str, width: float, height: float, title: str, description: str) -> str:
    """The start tag of a drawing that screen readers announce by its title and describe by `description`."""
    return (
        f'<svg class="chart" viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="{key}-t {key}-d"'
        f' xmlns="http://www.w3.org/2000/svg"><title id="{key}-t">{escape(title)}</title>'
        f'<desc id="{key}-d">{escape(description)}</desc>'
    )


def label_text(x: float, y: float, text: str, css: str, anchor: str = "start") -> str:
    """Words at a place of the drawing, escaped."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}">{escape(text)}</text>'


def _bars(points: Sequence[Point], title: str, language: str, key: str, width: int, with_interval: bool) -> str:
    """Bars or dots, one row per point.

    Where names are long, and always on the narrow drawing, the label stands above its bar, so that no name is cut.
    """
    longest = max((len(p.label) for p in points), default=4) * CHARACTER + 12
    is_narrow = width == NARROW
    is_stacked = is_narrow or longest > _LABEL_ROOM
    top = max((max(p.value or 0, p.upper or 0 if with_interval else 0) for p in points), default=0)
    ticks = nice_ticks(top)
    value_room = max((len(p.text) for p in points), default=4) * CHARACTER + 10
    label_room = 0.0 if is_stacked else longest
    left, right = label_room + 4, width - value_room
    row = 40 if is_stacked else 26
    head = 8
    height = head + row * len(points) + 26
    scale = (right - left) / ticks[-1]
    parts = [opened(key, width, height, title, "; ".join(f"{p.label}: {p.text}" for p in points))]
    for tick in ticks:
        x = left + tick * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{head}" y2="{height - 22}"/>')
        if tick in (ticks[0], ticks[-1]) or not is_narrow:
            anchor = "start" if tick == 0 else "middle"
            parts.append(label_text(x, height - 7, tick_text(tick, language), "axis", anchor))
    for index, point in enumerate(points):
        base = head + row * index
        middle = base + (28 if is_stacked else row / 2)
        css = " total" if point.is_total else ""
        if is_stacked:
            parts.append(label_text(left, base + 15, point.label, f"label{css}"))
        else:
            parts.append(label_text(label_room - 6, middle + 4.5, point.label, f"label{css}", "end"))
        if point.value is not None:
            end = left + point.value * scale
            if with_interval:
                if point.lower is not None and point.upper is not None:
                    low, high = left + point.lower * scale, left + point.upper * scale
                    parts.append(
                        f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:.1f}" y2="{middle:.1f}"/>'
                    )
                parts.append(f'<circle class="dot{css}" cx="{end:.1f}" cy="{middle:.1f}" r="5"/>')
            else:
                thick = 12 if is_stacked else 15
                parts.append(
                    f'<rect class="bar{css}" x="{left:.1f}" y="{middle - thick / 2:.1f}" width="{max(end - left, 1):.1f}"'
                    f' height="{thick}"/>'
                )
            after = left + max(point.value, point.upper or 0 if with_interval else 0) * scale + 8
        else:
            after = left + 6
        parts.append(label_text(after, middle + 4.5, point.text, "value"))
    parts.append("</svg>")
    return "".join(parts)


def _lines(series: Sequence[Series], title: str, language: str, key: str, width: int, height: int) -> str:
    is_narrow = width == NARROW
    periods = [point.label for point in series[0].points] if series else []
    values = [p.value for s in series for p in s.points if p.value is not None]
    uppers = [p.upper for s in series for p in s.points if p.upper is not None]
    ticks = nice_ticks(max([*values, *uppers], default=0))
    name_room = 12 if is_narrow else min(max((len(s.name) for s in series), default=4) * CHARACTER + 22, 200)
    legend_height = 20 * len(series) + 6 if is_narrow else 0
    left, right = max(len(tick_text(t, language)) for t in ticks) * CHARACTER + 10, width - name_room - 8
    head, foot = 12, 26
    bottom = height - foot - legend_height
    places_in_time = _places(series, left, right)
    lift = (bottom - head) / ticks[-1]
    description = "; ".join(f"{s.name}: " + ", ".join(f"{p.label} {p.text}" for p in s.points) for s in series)
    parts = [opened(key, width, height, title, description)]
    for tick in ticks:
        y = bottom - tick * lift
        parts.append(f'<line class="grid" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(label_text(left - 8, y + 4.5, tick_text(tick, language), "axis", "end"))
    room = max((len(p) for p in periods), default=4) * CHARACTER + 10
    nearest = math.inf
    for x, period in reversed(list(zip(places_in_time, periods, strict=True))):
        if nearest - x >= room:
            half = len(period) * CHARACTER / 2
            is_cut = x + half > width
            parts.append(
                label_text(width - 2 if is_cut else x, bottom + 19, period, "axis", "end" if is_cut else "middle")
            )
            nearest = width - half if is_cut else x
    ends: list[tuple[float, int, str]] = []
    for number, one in enumerate(series):
        css = f"s{number % 6 + 1}"
        places = [
            (places_in_time[i], bottom - p.value * lift, p) if p.value is not None else None
            for i, p in enumerate(one.points)
        ]
        band = [
            (places_in_time[i], bottom - p.lower * lift, bottom - p.upper * lift)
            for i, p in enumerate(one.points)
            if p.lower is not None and p.upper is not None
        ]
        if len(band) > 1:
            outline = [f"{x:.1f},{high:.1f}" for x, _, high in band] + [
                f"{x:.1f},{low:.1f}" for x, low, _ in reversed(band)
            ]
            parts.append(f'<polygon class="band {css}" points="{" ".join(outline)}"/>')
        run: list[str] = []
        for place in [*places, None]:
            if place is not None:
                run.append(f"{place[0]:.1f},{place[1]:.1f}")
            elif run:
                if len(run) > 1:
                    parts.append(f'<polyline class="line {css}" points="{" ".join(run)}"/>')
                run = []
        for place in places:
            if place is not None:
                hollow = " hollow" if place[2].is_provisional else ""
                parts.append(f'<circle class="mark {css}{hollow}" cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="3.5"/>')
        shown = [place for place in places if place is not None]
        if shown:
            ends.append((shown[-1][1], number, one.name))
    parts.extend(_legend(series, height - legend_height + 12) if is_narrow else _end_names(ends, right, head, bottom))
    parts.append("</svg>")
    return "".join(parts)


def _places(series: Sequence[Series], left: float, right: float) -> list[float]:
    """Where each period stands: by its time where all points have one, else at equal steps."""
    points = series[0].points if series else ()
    times = [point.at for point in points]
    known = [time for time in times if time is not None]
    if len(known) == len(times) and len(known) > 1 and known[-1] > known[0]:
        return [left + (time - known[0]) / (known[-1] - known[0]) * (right - left) for time in known]
    step = (right - left) / max(len(points) - 1, 1)
    return [left + index * step for index in range(len(points))]


def _end_names(ends: list[tuple[float, int, str]], right: float, head: float, bottom: float) -> list[str]:
    """Names at the right, pushed apart so that none covers another and none leaves the drawing."""
    gap = 16
    placed: list[tuple[float, int, str]] = []
    for y, number, name in sorted(ends):
        floor = placed[-1][0] + gap if placed else head + 4
        placed.append((max(y, floor), number, name))
    overflow = placed[-1][0] - bottom if placed else 0
    if overflow > 0:
        limit = bottom
        for index in range(len(placed) - 1, -1, -1):
            placed[index] = (min(placed[index][0], limit), placed[index][1], placed[index][2])
            limit = placed[index][0] - gap
    return [label_text(right + 12, y + 4.5, name, f"name s{number % 6 + 1}") for y, number, name in placed]


def _legend(series: Sequence[Series], top: float) -> list[str]:
    parts = []
    for number, one in enumerate(series):
        y = top + 20 * number
        css = f"s{number % 6 + 1}"
        parts.append(f'<line class="line {css}" x1="4" x2="26" y1="{y - 4:.1f}" y2="{y - 4:.1f}"/>')
        parts.append(label_text(34, y, one.name, "label"))
    return parts
