"""`/api/analytics...` and `/api/outlierDetection`: what the server computes itself, from tables built in the night.

Only the parts that a client uses as a cross-check: data elements, operands, indicators of `#{}` and arithmetic, reporting
rates, raw data, event and enrollment queries. Raw records are in `tracker` and `data_value_sets`.
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from statistics import fmean, median, pstdev
from typing import Any

from practice.dhis2.instance import Instance
from practice.dhis2.messages import Answer, Refused, Request, html_answer, json_answer
from practice.dhis2.periods import read_period
from practice.dhis2.times import read_day
from practice.world.definitions import referral_program
from practice.world.records import DataValue
from practice.world.region import ServerState

_METRICS = ("REPORTING_RATE", "REPORTING_RATE_ON_TIME", "ACTUAL_REPORTS", "ACTUAL_REPORTS_ON_TIME", "EXPECTED_REPORTS")
Header = tuple[str, str]
# A request that is too large: each of these is answered to a smaller one.
SIZE_CODES = {
    "E7128": "Query result set exceeded max limit: {limit}",
    "E7131": "Query failed because of a syntax error or timed out",
    "E7136": "Query exceeded the maximum execution time",
}


def answer(instance: Instance, request: Request, parts: list[str]) -> Answer:
    """The answer to /api/analytics[/...]."""
    path = "/".join(parts)
    if instance.plays("no-analytics"):
        raise Refused(409, "Query failed, likely because the requested analytics table does not exist", "E7144")
    if path in ("analytics/rawData", "analytics/dataValueSet"):
        return html_answer(
            404, "HTTP Status 404 – Not Found", "The origin server did not find a current representation"
        )
    reader = _Reader(instance, request)
    if path in ("analytics", "analytics.json", "analytics.csv"):
        made = reader.aggregate()
    elif path in ("analytics/rawData.json", "analytics/rawData.csv"):
        made = reader.raw()
    elif path == "analytics/dataValueSet.json":
        return reader.data_value_set()
    elif len(parts) >= 4 and parts[1] in ("events", "enrollments") and parts[2] == "query":
        made = reader.query(parts[1], parts[3].removesuffix(".json"))
    elif path.startswith("analytics/outlierDetection") and instance.minor >= 41:
        return outliers(instance, request)
    else:
        raise Refused(404, f"The requested resource /api/{path} does not exist", "E1005")
    if path.endswith(".csv"):
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow([h["column"] for h in made["headers"]])
        writer.writerows(made["rows"])
        return Answer(200, buffer.getvalue().encode(), "application/csv")
    found = json_answer(made)
    # Captured from a real site: analytics are cacheable for a fortnight unless the client asks otherwise.
    if "no-cache" not in request.headers.get("cache-control", ""):
        found.headers["Cache-Control"] = "max-age=1209600, public"
    return found


def _headers(wanted: Iterable[Header]) -> list[dict[str, Any]]:
    return [
        {"name": name, "column": column, "valueType": "NUMBER" if name in ("value", "numerator", "denominator", "factor") else "TEXT",
         "type": "java.lang.Double" if name == "value" else "java.lang.String", "hidden": False, "meta": name in ("dx", "pe", "ou")}
        for name, column in wanted
    ]  # fmt: skip


def _text(number: float) -> str:
    return str(number) if number != int(number) else f"{int(number)}.0"


class _Reader:
    """One analytics request, answered from the state at the last build of the tables."""

    def __init__(self, instance: Instance, request: Request) -> None:
        self.instance, self.request = instance, request
        self.state: ServerState = instance.world.server(instance.server, instance.analytics_at())
        self.metadata = instance.metadata()
        self.scope = instance.scope()
        self.dimensions = self._dimensions("dimension")
        self.filters = self._dimensions("filter")

    def _dimensions(self, name: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for text in self.request.all(name):
            dimension, _, items = text.partition(":")
            if dimension in found:
                raise Refused(409, f"Dimensions cannot be specified more than once: {dimension}", "E7101")
            found[dimension] = [item for item in items.split(";") if item]
        return found

    def _units(self) -> list[str]:
        named = {**self.filters, **self.dimensions}.get("ou", [])
        found: list[str] = []
        for item in named:
            if item.startswith("LEVEL-"):
                level = int(item[6:]) if item[6:].isdigit() else 0
                found += [u for u, path in self.metadata.paths.items() if path.count("/") == level and u in self.scope]
            elif item.startswith("OU_GROUP-"):
                group = self.metadata.index["organisationUnitGroups"].get(item[9:], {"organisationUnits": []})
                found += [o["id"] for o in group["organisationUnits"] if o["id"] in self.scope]
            elif item == "USER_ORGUNIT":
                found += self.instance.visible_roots()
            elif item in self.metadata.paths:
                if item not in self.scope:
                    raise Refused(409, f"User is not allowed to view org unit: {item}", "E7120")
                found.append(item)
        if not found:
            raise Refused(409, "Dimension ou is present in query without any valid dimension options", "E7124")
        return list(dict.fromkeys(found))

    def _periods(self) -> list[str]:
        named = {**self.filters, **self.dimensions}.get("pe", [])
        found = [p for p in named if read_period(p, self.instance.plays("new-period-types")) is not None]
        if not found:
            raise Refused(409, "Dimension pe is present in query without any valid dimension options", "E7124")
        return found

    def _items(self) -> list[str]:
        found = []
        for item in {**self.filters, **self.dimensions}.get("dx", []):
            head = re.split(r"[.]", item)[0]
            known = any(head in self.metadata.index[plural] for plural in ("dataElements", "indicators", "dataSets"))
            if known:
                found.append(item)
        if not found:
            raise Refused(409, "Dimension dx is present in query without any valid dimension options", "E7124")
        return found

    def _too_large(self) -> Refused:
        code = next((c for c in SIZE_CODES if self.instance.plays(f"answer-{c}")), "E7128")
        return Refused(409, SIZE_CODES[code].format(limit=self.instance.limits.analytics), code)

    # -- aggregate -------------------------------------------------------------------------------------------------

    def aggregate(self) -> dict[str, Any]:
        """Sums of the named units' sub-trees over the named periods, one row for each item, period and unit with a value."""
        items, periods, units = self._items(), self._periods(), self._units()
        cells = len(items) * len(periods) * len(units)
        if cells > self.instance.limits.analytics and not self.request.flag("ignoreLimit"):
            raise self._too_large()
        with_parts = self.request.flag("includeNumDen")
        rows: list[list[str]] = []
        ranges = {p: r for p in periods if (r := read_period(p)) is not None}
        sums = self._sums(ranges, units)
        for item in items:
            for period in periods:
                for unit in units:
                    found = self._value(item, period, unit, sums, ranges)
                    if found is not None:
                        value, top, bottom = found
                        parts = ["" if n is None else _text(n) for n in (top, bottom)]
                        rows.append([item, period, unit, _text(value), *(parts if with_parts else [])])
        wanted = [("dx", "Data"), ("pe", "Period"), ("ou", "Organisation unit"), ("value", "Value")]
        if with_parts:
            wanted += [("numerator", "Numerator"), ("denominator", "Denominator")]
        made: dict[str, Any] = {
            "headers": _headers(wanted),
            "rows": rows,
            "width": len(wanted),
            "height": len(rows),
            "headerWidth": len(wanted),
        }
        if not self.request.flag("skipMeta"):
            made["metaData"] = {"items": {}, "dimensions": {"dx": items, "pe": periods, "ou": units, "co": []}}
        return made

    def _sums(self, ranges: dict[str, tuple[str, date, date]], units: list[str]) -> dict[tuple[str, str, str], float]:
        """Totals by operand (`de` and `de.coc`), period and unit; text in numbers never reaches the analytics tables."""
        above: dict[str, list[str]] = {}
        wanted = set(units)
        for unit, path in self.metadata.paths.items():
            above[unit] = [u for u in path.split("/") if u in wanted]
        within: dict[str, list[str]] = {}
        sums: dict[tuple[str, str, str], float] = defaultdict(float)
        for v in self.state.data_values:
            if v.deleted or not re.fullmatch(r"-?\d+(\.\d+)?", v.value):
                continue
            if v.period not in within:
                own = read_period(v.period)
                within[v.period] = [p for p, r in ranges.items() if own and r[1] <= own[1] and own[2] <= r[2]]
            for period in within[v.period]:
                for unit in above.get(v.org_unit, []):
                    number = float(v.value)
                    sums[(v.data_element, period, unit)] += number
                    sums[(f"{v.data_element}.{v.category_option_combo}", period, unit)] += number
        return sums

    def _value(
        self,
        item: str,
        period: str,
        unit: str,
        sums: dict[tuple[str, str, str], float],
        ranges: dict[str, tuple[str, date, date]],
    ) -> tuple[float, float | None, float | None] | None:
        if item in self.metadata.index["indicators"]:
            made = self.metadata.index["indicators"][item]
            top, bottom = (self._expression(made[side], period, unit, sums) for side in ("numerator", "denominator"))
            if top is None or bottom is None or bottom == 0:
                return None
            factor = self.metadata.index["indicatorTypes"][made["indicatorType"]["id"]]["factor"]
            return round(top / bottom * factor, 10), top, bottom
        head, _, metric = item.partition(".")
        if head in self.metadata.index["dataSets"]:
            return self._rate(head, metric or "REPORTING_RATE", ranges[period], unit)
        value = sums.get((item, period, unit))
        return None if value is None else (value, None, None)

    def _expression(self, text: str, period: str, unit: str, sums: dict[tuple[str, str, str], float]) -> float | None:
        """A numerator or denominator of items, + and -; null when there are items and none has a value."""
        items = re.findall(r"#\{([^}]+)\}", text)
        values = [sums.get((item, period, unit)) for item in items]
        if items and all(v is None for v in values):
            return None
        total, sign = 0.0, 1.0
        for token in re.findall(r"#\{[^}]+\}|[+-]|\d+(?:\.\d+)?", text):
            if token in "+-":
                sign = 1.0 if token == "+" else -1.0
            else:
                total += sign * (sums.get((token[2:-1], period, unit), 0.0) if token.startswith("#") else float(token))
        return total

    def _rate(
        self, data_set: str, metric: str, window: tuple[str, date, date], unit: str
    ) -> tuple[float, float | None, float | None] | None:
        if metric not in _METRICS:
            raise Refused(409, f"Reporting rate metric is invalid: {metric}", "E7124")
        made = self.metadata.index["dataSets"][data_set]
        below = self.metadata.subtree([unit])
        lives = {u.uid: u for u in self.state.org_units}
        assigned = [o["id"] for o in made["organisationUnits"] if o["id"] in below]
        start, end = window[1], window[2]
        # Only units open over the whole window count.
        open_throughout = [
            u for u in assigned if u not in lives or (lives[u].is_open_on(start) and lives[u].is_open_on(end))
        ]
        quarterly = made["periodType"] == "Quarterly"
        months = (end.year - start.year) * 12 + end.month - start.month + 1
        expected = len(open_throughout) * (months // 3 if quarterly else months)
        late = timedelta(days=int(made["timelyDays"]) + 1)
        actual = on_time = 0
        for r in self.state.registrations:
            own = read_period(r.period)
            if (
                r.data_set == data_set
                and r.is_completed
                and r.org_unit in below
                and own
                and start <= own[1]
                and own[2] <= end
            ):
                actual += 1
                entered = r.registered_at.astimezone(self.instance.zone).replace(tzinfo=None)
                on_time += entered - datetime(own[2].year, own[2].month, own[2].day) <= late
        if metric == "EXPECTED_REPORTS":
            return float(expected), None, None
        top = on_time if metric.endswith("ON_TIME") else actual
        if metric.startswith("ACTUAL"):
            return float(top), None, None
        # The server caps at 100 and answers 0 where nothing is expected.
        rate = min(100.0, top / expected * 100) if expected else 0.0
        return round(rate, 2), float(top), float(expected)

    # -- raw -------------------------------------------------------------------------------------------------------

    def _raw_values(self) -> list[DataValue]:
        units = self.metadata.subtree(self._units())
        elements = {item.split(".")[0] for item in self._items()}
        ranges = [r for p in self.dimensions.get("pe", []) if (r := read_period(p))]
        start, end = self.request.one("startDate"), self.request.one("endDate")
        found = []
        for v in self.state.data_values:
            if v.deleted or v.data_element not in elements or v.org_unit not in units:
                continue
            own = read_period(v.period)
            if own is None or (ranges and not any(r[1] <= own[1] and own[2] <= r[2] for r in ranges)):
                continue
            if start and end and not (read_day(start, "startDate") <= own[1] and own[2] <= read_day(end, "endDate")):
                continue
            found.append(v)
        if len(found) > self.instance.limits.analytics:
            raise self._too_large()
        return found

    def raw(self) -> dict[str, Any]:
        """Every value of the sub-hierarchy of the units named, without sums."""
        rows = [
            [v.data_element, v.period, v.org_unit, v.category_option_combo, v.attribute_option_combo, v.value]
            for v in self._raw_values()
        ]
        wanted = [("dx", "Data"), ("pe", "Period"), ("ou", "Organisation unit"), ("co", "Category option combo"),
                  ("ao", "Attribute option combo"), ("value", "Value")]  # fmt: skip
        return {
            "headers": _headers(wanted),
            "metaData": {},
            "rows": rows,
            "width": len(wanted),
            "height": len(rows),
            "headerWidth": len(wanted),
        }

    def data_value_set(self) -> Answer:
        """The same as a data value set."""
        return json_answer(
            {
                "dataValues": [
                    {"dataElement": v.data_element, "period": v.period, "orgUnit": v.org_unit,
                     "categoryOptionCombo": v.category_option_combo, "value": v.value}
                    for v in self._raw_values()
                ]
            }
        )  # fmt: skip

    # -- events and enrollments --------------------------------------------------------------------------------------

    def _window(self) -> tuple[date, date]:
        start, end = self.request.one("startDate"), self.request.one("endDate")
        periods = [r for p in {**self.filters, **self.dimensions}.get("pe", []) if (r := read_period(p))]
        if start and end:
            first, last = read_day(start, "startDate"), read_day(end, "endDate")
        elif periods:
            first, last = min(r[1] for r in periods), max(r[2] for r in periods)
        else:
            raise Refused(409, "Start and end dates or at least one period must be specified", "E7205")
        if first > last:
            raise Refused(409, "Start date is after end date", "E7206")
        return first, last

    def query(self, kind: str, program_uid: str) -> dict[str, Any]:
        """Events or enrollments as rows; always to be paged, for without paging the limit cuts in silence."""
        program = referral_program(self.instance.server)
        if program_uid != program.uid:
            raise Refused(409, f"Program does not exist: {program_uid}", "E7129")
        first, last = self._window()
        units = self.metadata.subtree(self._units()) & self.scope
        elements = {f"{s.uid}.{e.uid}": (s.concept, e.concept) for s in program.stages for e in s.elements}
        asked = [name for name in self.dimensions if name in elements]
        for name in self.dimensions:
            if name not in elements and name not in ("ou", "pe"):
                raise Refused(409, f"Dimension or filter is not valid: {name}", "E7222")
        rows: list[list[str]] = []
        stages = {s.concept: s.uid for s in program.stages}
        for te in self.state.tracked_entities:
            for en in te.enrollments:
                if te.deleted or en.deleted:
                    continue
                if kind == "enrollments":
                    if first <= en.enrolled_on <= last and en.org_unit_uid in units:
                        rows.append([en.uid, te.uid, en.enrolled_on.isoformat(), en.org_unit_uid])
                    continue
                for event in en.events:
                    if (
                        event.deleted
                        or event.occurred_on is None
                        or not first <= event.occurred_on <= last
                        or event.org_unit_uid not in units
                    ):
                        continue
                    head = [
                        event.uid,
                        stages[event.stage],
                        event.occurred_on.isoformat(),
                        en.uid,
                        te.uid,
                        event.org_unit_uid,
                    ]
                    rows.append(
                        head
                        + [event.values.get(elements[n][1], "") if elements[n][0] == event.stage else "" for n in asked]
                    )
        wanted = [
            ("pi", "Enrollment"),
            ("tei", "Tracked entity"),
            ("enrollmentdate", "Enrollment date"),
            ("ou", "Organisation unit"),
        ]
        if kind == "events":
            wanted = [("psi", "Event"), ("ps", "Program stage"), ("eventdate", "Event date"), ("pi", "Enrollment"),
                      ("tei", "Tracked entity"), ("ou", "Organisation unit"), *((name, name) for name in asked)]  # fmt: skip
            if self.instance.minor >= 42:
                wanted.insert(3, ("occurreddate", "Occurred date"))
                rows = [[*r[:3], r[2], *r[3:]] for r in rows]
            if self.instance.minor >= 43:
                wanted.append(("enrollmentou", "Enrollment organisation unit"))
                rows = [[*r, ""] for r in rows]
        if self.request.one("headers"):
            known = {name for name, _ in wanted}
            for name in self.request.listed("headers", ","):
                if name not in known:
                    raise Refused(409, f"Header param {name} does not exist", "E7230")
        made: dict[str, Any] = {"headers": _headers(wanted), "metaData": {"items": {}, "dimensions": {}}}
        if self.request.one("paging") == "false":
            shown = rows[: self.instance.limits.analytics]
        else:
            page, size = int(self.request.one("page", "1") or 1), int(self.request.one("pageSize", "50") or 50)
            if size > self.instance.limits.analytics:
                raise Refused(409, f"Limit is larger than max limit: {self.instance.limits.analytics}", "E7209")
            shown = rows[(page - 1) * size : page * size]
            pager: dict[str, Any] = {"page": page, "pageSize": size}
            if self.request.flag("totalPages", True):
                pager |= {"total": len(rows), "pageCount": max(1, -(-len(rows) // size))}
            else:
                pager["isLastPage"] = page * size >= len(rows)
            made["metaData"]["pager"] = pager
        made |= {"rows": shown, "width": len(wanted), "height": len(shown), "headerWidth": len(wanted)}
        return made


def outliers(instance: Instance, request: Request) -> Answer:
    """The answer to /api/outlierDetection: scores over all live values of a data element, unit and option combo.

    The tested value is inside its own statistics, and a spread of zero flags nothing, as on the real server.
    """
    sets, elements, units = request.all("ds"), set(request.all("de")), request.all("ou")
    if not sets and not elements:
        raise Refused(409, "At least one data element must be specified", "E2200")
    start, end = request.one("startDate"), request.one("endDate")
    if not start or not end:
        raise Refused(409, "Start date and end date must be specified", "E2201")
    first, last = read_day(start, "startDate"), read_day(end, "endDate")
    if first > last:
        raise Refused(409, "Start date must be before end date", "E2202")
    if not units:
        raise Refused(409, "At least one organisation unit must be specified", "E2203")
    threshold = float(request.one("threshold", "3.0") or 3)
    if threshold <= 0:
        raise Refused(409, "Threshold must be a positive number", "E2204")
    limit = int(request.one("maxResults", "500") or 500)
    if limit > 500:
        raise Refused(409, "Max results exceeds the allowed max limit: 500", "E2206")
    metadata = instance.metadata()
    for data_set in sets:
        held = metadata.index["dataSets"].get(data_set, {"dataSetElements": []})
        elements |= {p["dataElement"]["id"] for p in held["dataSetElements"]}
    below = metadata.subtree(units)
    groups: dict[tuple[str, str, str], list[DataValue]] = defaultdict(list)
    for v in instance.state().data_values:
        if (
            not v.deleted
            and v.data_element in elements
            and v.org_unit in below
            and re.fullmatch(r"-?\d+(\.\d+)?", v.value)
        ):
            groups[(v.data_element, v.org_unit, v.category_option_combo)].append(v)
    algorithm = request.one("algorithm", "Z_SCORE") or "Z_SCORE"
    if algorithm not in ("Z_SCORE", "MOD_Z_SCORE", "MODIFIED_Z_SCORE"):
        raise Refused(409, f"Algorithm is not supported here: {algorithm}", "E2211")
    found = []
    for values in groups.values():
        numbers = [float(v.value) for v in values]
        centre = fmean(numbers) if algorithm == "Z_SCORE" else median(numbers)
        spread = pstdev(numbers)
        if algorithm != "Z_SCORE" and instance.minor >= 41:
            spread = median(abs(n - centre) for n in numbers) / 0.6745
        for v, number in zip(values, numbers, strict=True):
            own = read_period(v.period)
            score = abs(number - centre) / spread if spread else 0.0
            if spread and score >= threshold and own and first <= own[1] and own[2] <= last:
                cell = {"de": v.data_element, "pe": v.period, "ou": v.org_unit, "coc": v.category_option_combo}
                figures = {
                    "value": number,
                    "mean": centre,
                    "stdDev": spread,
                    "zScore": score,
                    "absDev": abs(number - centre),
                }
                found.append({**cell, "aoc": v.attribute_option_combo, **figures})
    found.sort(key=lambda o: -float(str(o["absDev"])))
    shown = found[:limit]
    return json_answer(
        {"metadata": {"algorithm": algorithm, "threshold": threshold, "count": len(shown)}, "outlierValues": shown}
    )
