"""The sums among counts, found from their codes: sexes and their total, destinations and theirs, nested ages, nested
periods, areas and their parents.

A relation says only 'these parts lie inside this total and do not overlap'. Whether they fill it is read from the
numbers, in `system.SystemBuilder.add_sum`. Thresholds and statuses do not belong here.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

TOTAL = "_T"
NOT_APPLICABLE = "_Z"
# Groups of countries that stand beside their members in a list of destinations or origins: counting both would count
# persons twice.
COUNTRY_GROUPS = frozenset({"ASEAN"})

Template = list[tuple[str, tuple[str, ...]]]
Key = tuple[str, ...]


@dataclass(frozen=True)
class Relation:
    """total = sum of parts (+ a remainder); positions in the list of cells that was searched."""

    dimension: str
    total: int
    parts: tuple[int, ...]


@dataclass(frozen=True)
class AreaLink:
    """One area inside another. Children of one parent that belong to different frames (63 and 34 provinces) form
    separate sums.
    """

    area_code: str
    parent_code: str
    frame_code: str
    membership_version: str | None = None


def find_relations(
    keys: Sequence[Key],
    dimensions: Sequence[str],
    *,
    spans: Mapping[str, tuple[date, date]],
    areas: Sequence[AreaLink],
    group_columns: Sequence[str] = (),
) -> list[Relation]:
    """Every sum among the cells with these keys, one dimension at a time, all other dimensions equal.

    `keys` holds one tuple per cell in the order of `dimensions`; `spans` gives first and last day of each period
    code. Columns in `group_columns` separate cells that are never summed (the series, the definition version, the
    basis of migrant status).
    """
    found: list[Relation] = []
    for place, dimension in enumerate(dimensions):
        if dimension in group_columns:
            continue
        maker = _template_maker(dimension, spans, areas)
        templates: dict[tuple[str, ...], Template] = {}
        groups: dict[Key, dict[str, int]] = {}
        for position, key in enumerate(keys):
            groups.setdefault(key[:place] + key[place + 1 :], {})[key[place]] = position
        for members in groups.values():
            if len(members) < 2:
                continue
            codes = tuple(sorted(members))
            if codes not in templates:
                templates[codes] = maker(codes)
            for total, parts in templates[codes]:
                found.append(Relation(dimension, members[total], tuple(members[part] for part in parts)))
    return found


def _template_maker(
    dimension: str, spans: Mapping[str, tuple[date, date]], areas: Sequence[AreaLink]
) -> Callable[[tuple[str, ...]], Template]:
    if dimension == "period_code":
        return lambda codes: nested({code: _days(spans[code]) for code in codes if code in spans})
    if dimension == "age_code":
        return _age_sums
    if dimension == "area_code":
        return lambda codes: _area_sums(codes, areas)
    return _flat_sum


def _flat_sum(codes: tuple[str, ...]) -> Template:
    parts = tuple(code for code in codes if code not in (TOTAL, NOT_APPLICABLE) and code not in COUNTRY_GROUPS)
    found: Template = []
    if TOTAL in codes and parts:
        found.append((TOTAL, parts))
        found.extend((TOTAL, (group,)) for group in codes if group in COUNTRY_GROUPS)
    return found


def _area_sums(codes: tuple[str, ...], areas: Sequence[AreaLink]) -> Template:
    present = set(codes)
    children: dict[tuple[str, str, str | None], list[str]] = {}
    for link in areas:
        if link.area_code in present and link.parent_code in present and link.area_code != link.parent_code:
            children.setdefault((link.parent_code, link.frame_code, link.membership_version), []).append(link.area_code)
    return [(parent, tuple(sorted(set(parts)))) for (parent, _, _), parts in sorted(children.items(), key=str)]


def _age_sums(codes: tuple[str, ...]) -> Template:
    bands = {code: span for code in codes if (span := age_span(code)) is not None}
    found = nested(bands)
    outside = tuple(code for code in codes if code not in bands and code not in (TOTAL, NOT_APPLICABLE))
    if TOTAL in codes and outside:
        inner = next((parts for total, parts in found if total == TOTAL), ())
        found = [pair for pair in found if pair[0] != TOTAL] + [(TOTAL, inner + outside)]
    return found


_BAND = re.compile(r"^Y(\d+)T(\d+)$")
_SINGLE = re.compile(r"^Y(_GE|_LT|)(\d+)$")


def age_span(code: str) -> tuple[int, int] | None:
    """Completed years [from, to) of an SDMX age code; None for a code that is no band (unknown age)."""
    if code == TOTAL:
        return (0, 1000)
    if match := _BAND.match(code):
        return int(match[1]), int(match[2]) + 1
    if match := _SINGLE.match(code):
        year = int(match[2])
        return {"_GE": (year, 1000), "_LT": (0, year), "": (year, year + 1)}[match[1]]
    return None


def _days(span: tuple[date, date]) -> tuple[int, int]:
    return span[0].toordinal(), (span[1] + timedelta(days=1)).toordinal()


def nested(spans: Mapping[str, tuple[int, int]]) -> Template:
    """For each stretch, how the widest other stretches tile it from end to end; where they do not, the most that fits
    without overlap.

    A year is the sum of its quarters and each quarter of its months, so the year as a sum of months follows. A year
    that has some quarters and all months is tiled by what is there.
    """
    found: Template = []
    for code, (start, stop) in sorted(spans.items()):
        inside = [
            (other, first, last)
            for other, (first, last) in sorted(spans.items())
            if other != code and start <= first and last <= stop and (first, last) != (start, stop)
        ]
        # The same stretch under two codes (a year and the only edition of it) is one count.
        twins = [other for other, span in spans.items() if other > code and span == (start, stop)]
        found.extend((code, (twin,)) for twin in twins)
        if not inside:
            continue
        outermost = [
            item
            for item in inside
            if not any(
                o is not item and o[1] <= item[1] and item[2] <= o[2] and o[2] - o[1] > item[2] - item[1]
                for o in inside
            )
        ]
        tiling = _tile(start, stop, outermost) or _tile(start, stop, inside)
        if tiling:
            found.append((code, tiling))
            continue
        # No tiling: the outermost stretches that do not overlap, earliest first, leave a remainder.
        chosen: list[str] = []
        free_from = start
        for other, first, last in sorted(outermost, key=lambda item: (item[2], item[0])):
            if first >= free_from:
                chosen.append(other)
                free_from = last
        found.append((code, tuple(sorted(chosen))))
        # Stretches that overlap the chosen ones (weeks across a month's end) still lie inside the whole.
        found.extend((code, (other,)) for other, _, _ in outermost if other not in chosen)
    return found


def _tile(start: int, stop: int, pieces: Sequence[tuple[str, int, int]]) -> tuple[str, ...] | None:
    by_start: dict[int, list[tuple[str, int, int]]] = {}
    for piece in pieces:
        by_start.setdefault(piece[1], []).append(piece)
    dead: set[int] = set()

    def walk(at: int) -> tuple[str, ...] | None:
        if at == stop:
            return ()
        if at in dead:
            return None
        for code, _, last in sorted(by_start.get(at, ()), key=lambda piece: (-piece[2], piece[0])):
            if (rest := walk(last)) is not None:
                return (code, *rest)
        dead.add(at)
        return None

    return walk(start)
