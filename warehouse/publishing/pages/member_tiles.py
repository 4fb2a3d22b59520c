"""The members of ASEAN side by side as inline SVG: a grid of equal tiles, and one small panel per member over time.

Belongs here: drawing from finished texts and numbers. Does not belong here: choosing figures (`asean_page`), other charts
(`charts`), colours (the style sheet). A member without a figure keeps its place and shows its symbol.
"""

from collections.abc import Mapping, Sequence

from warehouse.publishing.pages.charts import CHARACTER, Point, label_text, nice_ticks, opened, tick_text

TILES = {
    "MMR": (0, 0), "LAO": (1, 0), "VNM": (2, 0),
    "THA": (0, 1), "KHM": (1, 1), "PHL": (3, 1),
    "MYS": (0, 2), "BRN": (2, 2),
    "SGP": (0, 3), "IDN": (1, 3), "TLS": (3, 3),
}  # fmt: skip
"""Place of each member in the tile grid: neighbours stay neighbours, every member has the same size."""

_SHADES = 5
_PANEL = (200, 124)


def tile_grid(points: Mapping[str, Point], title: str, key: str, ends: tuple[str, str]) -> str:
    """The members as equal tiles, darker for higher figures; a member without figure is an empty tile with its symbol.

    Shades are five groups of equal size among the figures shown: they order members, they do not measure distance. `ends` are
    the words of the key below the grid: what the lightest and the darkest shade stand for.
    """
    side, gap = 66, 5
    width, height = 4 * side + 3 * gap, 4 * side + 3 * gap
    values = sorted({p.value for p in points.values() if p.value is not None})
    parts = [opened(key, width, height + 30, title, "; ".join(f"{p.label}: {p.text}" for p in points.values()))]
    for code, (column, line) in TILES.items():
        point = points.get(code)
        if point is None:
            continue
        x, y = column * (side + gap), line * (side + gap)
        shade = "none" if point.value is None else str(1 + (values.index(point.value) * _SHADES) // len(values))
        parts.append(f'<g class="tile t{shade}"><rect x="{x}" y="{y}" width="{side}" height="{side}" rx="3"/>')
        parts.append(label_text(x + side / 2, y + 26, code, "code", "middle"))
        parts.append(label_text(x + side / 2, y + 48, point.text, "figure", "middle"))
        parts.append("</g>")
    parts.append(_key(ends, width, height + 12))
    parts.append("</svg>")
    return "".join(parts)


def _key(ends: tuple[str, str], width: float, top: float) -> str:
    """The five shades from lowest to highest with a word at either end."""
    box, left = 18, max(len(ends[0]) * CHARACTER + 8, 30)
    parts = [label_text(left - 6, top + 12, ends[0], "axis", "end")]
    for number in range(_SHADES):
        parts.append(
            f'<g class="tile t{number + 1}"><rect x="{left + number * box:.1f}" y="{top}" width="{box}" height="14"/></g>'
        )
    parts.append(label_text(min(left + _SHADES * box + 6, width), top + 12, ends[1], "axis"))
    return "".join(parts)


def panel(points: Sequence[Point], span: tuple[float, float], top: float, title: str, language: str, key: str) -> str:
    """One member over time: its line with the interval as a band, on axes that all panels share (`span` in years, 0 to `top`).

    The newest figure stands beside its point. A member without figures shows the symbol of why.
    """
    width, height = _PANEL
    ticks = nice_ticks(top, 3)
    left, right, head, bottom = (
        max(len(tick_text(t, language)) for t in ticks) * CHARACTER + 8,
        width - 10,
        22,
        height - 20,
    )
    known = [point for point in points if point.value is not None and point.at is not None]
    told = "; ".join(f"{point.label}: {point.text}" for point in points)
    parts = [opened(key, width, height, title, told)]

    def across(point: Point) -> float:
        return left + ((point.at or span[0]) - span[0]) / ((span[1] - span[0]) or 1) * (right - left)

    def up(value: float) -> float:
        return bottom - value / ticks[-1] * (bottom - head)

    for tick in ticks:
        parts.append(f'<line class="grid" x1="{left:.1f}" x2="{right}" y1="{up(tick):.1f}" y2="{up(tick):.1f}"/>')
        parts.append(label_text(left - 5, up(tick) + 4, tick_text(tick, language), "axis", "end"))
    for at, anchor in ((span[0], "start"), (span[1], "end")):
        x = left if anchor == "start" else right
        parts.append(label_text(x, height - 5, f"{at:.0f}", "axis", anchor))
    band = [point for point in known if point.lower is not None and point.upper is not None]
    if len(band) > 1:
        edge = [f"{across(p):.1f},{up(p.upper or 0):.1f}" for p in band]
        edge += [f"{across(p):.1f},{up(p.lower or 0):.1f}" for p in reversed(band)]
        parts.append(f'<polygon class="band s1" points="{" ".join(edge)}"/>')
    # A hidden or missing year breaks the line: nothing is drawn through it.
    run: list[str] = []
    for point in [*points, Point("", None, "")]:
        if point.value is not None and point.at is not None:
            run.append(f"{across(point):.1f},{up(point.value):.1f}")
            continue
        if len(run) > 1:
            parts.append(f'<polyline class="line s1" points="{" ".join(run)}"/>')
        run = []
    if known:
        last = known[-1]
        hollow = " hollow" if last.is_provisional else ""
        parts.append(f'<circle class="mark s1{hollow}" cx="{across(last):.1f}" cy="{up(last.value or 0):.1f}" r="3"/>')
        parts.append(
            label_text(right, max(up(max(last.value or 0, last.upper or 0)) - 7, 12), last.text, "value total", "end")
        )
    else:
        parts.append(
            label_text((left + right) / 2, (head + bottom) / 2, points[-1].text if points else "", "value", "middle")
        )
    parts.append("</svg>")
    return "".join(parts)
