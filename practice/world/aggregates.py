"""The monthly and quarterly figures of the practice facilities: what was entered, revised, deleted and purged, and when.

Each facility and period has one random stream; a figure is a short history of (instant, value). Completion of reports is
separate, as in DHIS2: a report may be complete without figures, and figures may exist without completion.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random

from practice.world import geography
from practice.world.definitions import DEFAULT_OPTION_COMBO, DataSet, Element, data_sets
from practice.world.draws import stream
from practice.world.records import DataValue, Registration

FIRST_MONTH = (2024, 1)
DELETED = None
PURGED = "\0purged"
ONE_SIDE_SHARE = 0.02
"""Reports whose corrections were made line by line: paper where a part may exceed its whole, as the review must find."""

PARTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "HIV_TESTED": (("HIV_POSITIVE",),),
    "MAL_BORDER_TESTED": (("MAL_BORDER_POSITIVE",),),
    "MAL_BORDER_POSITIVE": (("MAL_BORDER_FOLLOWED",),),
    "MAL_MOBILE_TESTED": (("MAL_MOBILE_POSITIVE",),),
    "MAL_MOBILE_POSITIVE": (("MAL_MOBILE_FOLLOWED",),),
    "MAL_CONFIRMED": (("MAL_CLASSIFIED",), ("MAL_BORDER_POSITIVE", "MAL_MOBILE_POSITIVE")),
    "MAL_CLASSIFIED": (("MAL_IMPORTED",),),
    "TB_OUTCOME_COHORT": (
        tuple(
            f"TB_OUTCOME_{name}"
            for name in ("CURED", "COMPLETED", "FAILED", "DIED", "LOST", "NOT_EVALUATED", "MOVED_SECOND_LINE")
        ),
    ),
}
"""Whole -> groups of parts, each of which together is not more than the whole."""

_TB_AGE_WEIGHTS = (1, 1, 2, 5, 8, 17, 18, 18, 16, 14, 1)
_HIV_AGE_WEIGHTS = (3, 30, 55, 12)


@dataclass(slots=True)
class ValueHistory:
    """One cell of one report and everything that was done to it; a value of None is a soft deletion."""

    element: str
    period: str
    org_unit: str
    option_combo: str
    stored_by: str
    entries: list[tuple[datetime, str | None]]
    comment: str | None = None
    followup: bool = False


@dataclass(slots=True)
class ReportHistory:
    """One report: a data set, a period, a facility; its completion (None = never) and whether it was taken back."""

    data_set: DataSet
    period: str
    org_unit: str
    registered_at: datetime | None
    withdrawn_at: datetime | None
    cells: list[ValueHistory]


def period_days(period: str) -> tuple[date, date]:
    """First and last day of a monthly or quarterly period of the practice world."""
    year = int(period[:4])
    month, length = (3 * int(period[5]) - 2, 3) if "Q" in period else (int(period[4:6]), 1)
    last_month = month + length - 1
    after = date(year + last_month // 12, last_month % 12 + 1, 1)
    return date(year, month, 1), after - timedelta(days=1)


def periods_until(period_type: str, instant: datetime) -> Iterator[str]:
    """The periods from January 2024 that have ended before the instant's day."""
    year, month = FIRST_MONTH
    step = 3 if period_type == "Quarterly" else 1
    while True:
        period = f"{year}Q{(month + 2) // 3}" if step == 3 else f"{year}{month:02d}"
        if period_days(period)[1] >= instant.date():
            return
        yield period
        month += step
        if month > 12:
            year, month = year + 1, 1


def _entered_at(day: date, draw: Random) -> datetime:
    return datetime.combine(day, time(1), tzinfo=UTC) + timedelta(milliseconds=draw.randrange(8 * 3600 * 1000))


def _poisson(mean: float, draw: Random) -> int:
    if mean > 40:
        return max(0, round(draw.gauss(mean, mean**0.5)))
    limit, count, product = 2.718281828459045**-mean, 0, draw.random()
    while product > limit:
        count += 1
        product *= draw.random()
    return count


def _split(total: int, weights: tuple[int, ...], draw: Random) -> list[int]:
    shares = [0] * len(weights)
    for place in draw.choices(range(len(weights)), weights=weights, k=total):
        shares[place] += 1
    return shares


Cells = list[tuple[str, str, int]]  # element uid, option combo uid, count


class AggregateWorld:
    """Draws the reports of any facility and period, once."""

    def __init__(self, seed: int, *, faults: frozenset[str]) -> None:
        self.seed = seed
        self.faults = faults
        self._reports: dict[tuple[str, str, str], list[ReportHistory]] = {}

    def reports(self, server: str, instant: datetime) -> Iterator[ReportHistory]:
        """Every report of a period that has ended; entries later than the instant are still in the histories."""
        for code, data_set in data_sets(server).items():
            for period in periods_until(data_set.period_type, instant):
                key = (server, code, period)
                if key not in self._reports:
                    self._reports[key] = list(self._draw(server, data_set, period))
                yield from self._reports[key]

    def _draw(self, server: str, data_set: DataSet, period: str) -> Iterator[ReportHistory]:
        start, end = period_days(period)
        for facility in geography.reporting_facilities(server):
            if not reports_to(data_set.code, facility):
                continue
            draw = stream(self.seed, server, data_set.code, period, facility.code)
            closed = facility.closed_on is not None and facility.closed_on < start
            if facility.opening_on > start or closed:
                # A closed unit that still gets a figure: somebody used last year's form.
                if closed and "closed-unit" in self.faults and draw.random() < 0.05:
                    yield self._report(server, data_set, period, end, facility, draw)
                continue
            if draw.random() < 0.03:
                continue  # no report at all
            yield self._report(server, data_set, period, end, facility, draw)

    def _report(
        self, server: str, data_set: DataSet, period: str, end: date, facility: geography.OrgUnit, draw: Random
    ) -> ReportHistory:
        wait = 395 if data_set.period_type == "Quarterly" else 0
        on = end + timedelta(days=wait + 1 + min(70, int(draw.lognormvariate(2.0, 0.7))))
        at = _entered_at(on, draw)
        user = f"dataclerk{draw.randrange(1, 9)}"
        cells: list[ValueHistory] = []
        for element, combo, count in self._cells(data_set, facility, period, draw):
            zero_kept = any(e.uid == element and e.zero_is_significant for e in data_set.elements)
            if count == 0 and not zero_kept:
                continue
            entries: list[tuple[datetime, str | None]] = [(at + timedelta(seconds=len(cells)), self._text(count, draw))]
            change = draw.random()
            if change < 0.05:
                later = _entered_at(on + timedelta(days=draw.randrange(4, 80)), draw)
                entries.append((later, str(max(0, count + draw.choice((-2, -1, 1, 1, 2, 3))))))
            elif change < 0.058:
                later = _entered_at(on + timedelta(days=draw.randrange(4, 60)), draw)
                entries.append((later, DELETED))
                if change < 0.052:
                    entries.append((later + timedelta(weeks=10), PURGED))
            remark = "kiểm tra lại" if draw.random() < 0.01 else None
            cells.append(
                ValueHistory(element, period, facility.uid, combo, user, entries, remark, draw.random() < 0.01)
            )
        if data_set.code == "TB_MONTHLY":
            _correct_both_sides(data_set, cells)
        elif stream(self.seed, "one side", data_set.code, period, facility.code).random() >= ONE_SIDE_SHARE:
            _correct_within_whole(data_set, cells)
        share = draw.random()
        registered: datetime | None = at + timedelta(minutes=20) + timedelta(days=draw.choice((0, 0, 0, 1, 2)))
        if share < 0.05:
            registered = None
        elif share < 0.06:
            cells = []
        withdrawn = registered + timedelta(days=draw.randrange(10, 60)) if registered and draw.random() < 0.01 else None
        return ReportHistory(data_set, period, facility.uid, registered, withdrawn, cells)

    def _text(self, count: int, draw: Random) -> str:
        if "negative" in self.faults and draw.random() < 0.002:
            return str(-max(1, count))
        if "text-in-number" in self.faults and draw.random() < 0.002:
            return draw.choice(("khoảng 5", "1,2", "N/A", "12O"))
        return str(count)

    def _cells(self, data_set: DataSet, facility: geography.OrgUnit, period: str, draw: Random) -> Cells:
        rate = facility_rate(self.seed, facility.code)
        elements = {e.concept_code: e for e in data_set.elements}
        if data_set.code == "TB_MONTHLY":
            return self._tb(elements, 4.0 * rate, draw)
        if data_set.code == "TB_OUTCOMES":
            return self._outcomes(elements, 12.0 * rate, draw)
        if data_set.code == "MAL_BORDER":
            return self._malaria(elements, rate, int(period[4:6]), draw)
        return self._hiv(elements, 45.0 * rate, draw)

    def _tb(self, elements: dict[str, Element], mean: float, draw: Random) -> Cells:
        total = _poisson(mean, draw)
        by_sex = _split(total, (36, 64), draw)
        combos = elements["TB_NOTIFIED"].combo.option_combos
        cells: Cells = []
        for place, count in enumerate(by_sex):
            for age, n in enumerate(_split(count, _TB_AGE_WEIGHTS, draw)):
                cells.append((elements["TB_NOTIFIED"].uid, combos[place * len(_TB_AGE_WEIGHTS) + age].uid, n))
        origin = elements["TB_NOTIFIED_BY_ORIGIN"]
        shares = _split(total, (88, 8, 4), draw)
        # Paper reports disagree by one now and then, as they do in life.
        if total and draw.random() < 0.03:
            shares[0] += 1
        cells += [(origin.uid, combo.uid, n) for combo, n in zip(origin.combo.option_combos, shares, strict=True)]
        return cells

    def _outcomes(self, elements: dict[str, Element], mean: float, draw: Random) -> Cells:
        names = ("CURED", "COMPLETED", "FAILED", "DIED", "LOST", "NOT_EVALUATED", "MOVED_SECOND_LINE")
        cells: Cells = []
        for place, combo in enumerate(elements["TB_OUTCOME_COHORT"].combo.option_combos):
            cohort = _poisson(mean * (0.36, 0.64)[place], draw)
            cells.append((elements["TB_OUTCOME_COHORT"].uid, combo.uid, cohort))
            for name, n in zip(names, _split(cohort, (52, 34, 1, 4, 5, 3, 1), draw), strict=True):
                cells.append((elements[f"TB_OUTCOME_{name}"].uid, combo.uid, n))
        return cells

    def _malaria(self, elements: dict[str, Element], rate: float, month: int, draw: Random) -> Cells:
        season = 1.6 if 6 <= month <= 11 else 0.7
        figures: dict[str, int] = {}
        for group, mean in (("BORDER", 14.0), ("MOBILE", 20.0)):
            tested = _poisson(mean * rate * season, draw)
            positive = sum(draw.random() < 0.035 for _ in range(tested))
            followed = sum(draw.random() < 0.85 for _ in range(positive))
            figures |= {
                f"MAL_{group}_TESTED": tested,
                f"MAL_{group}_POSITIVE": positive,
                f"MAL_{group}_FOLLOWED": followed,
            }
        confirmed = (
            figures["MAL_BORDER_POSITIVE"] + figures["MAL_MOBILE_POSITIVE"] + _poisson(0.3 * rate * season, draw)
        )
        classified = sum(draw.random() < 0.92 for _ in range(confirmed))
        figures |= {"MAL_CONFIRMED": confirmed, "MAL_CLASSIFIED": classified,
                    "MAL_IMPORTED": sum(draw.random() < 0.45 for _ in range(classified))}  # fmt: skip
        if "part-over-whole" in self.faults and draw.random() < 0.01:
            figures["MAL_BORDER_POSITIVE"] = figures["MAL_BORDER_TESTED"] + 3
        return [(elements[name].uid, DEFAULT_OPTION_COMBO, count) for name, count in figures.items()]

    def _hiv(self, elements: dict[str, Element], mean: float, draw: Random) -> Cells:
        tested = _split(_poisson(mean * 0.55, draw), _HIV_AGE_WEIGHTS, draw) + _split(
            _poisson(mean * 0.45, draw), _HIV_AGE_WEIGHTS, draw
        )
        combos = elements["HIV_TESTED"].combo.option_combos
        cells: Cells = []
        for combo, n in zip(combos, tested, strict=True):
            cells.append((elements["HIV_TESTED"].uid, combo.uid, n))
            cells.append((elements["HIV_POSITIVE"].uid, combo.uid, sum(draw.random() < 0.012 for _ in range(n))))
        return cells


def _correct_both_sides(data_set: DataSet, cells: list[ValueHistory]) -> None:
    """The figure by place of birth follows every correction of the notified cases, a second later and as far as it can.

    Cell by cell, corrections left a tenth of the units with more cases by place of birth than cases: no clerk does that
    to one report in ten. What disagrees now is the one in thirty that paper makes disagree.
    """
    elements = {element.concept_code: element for element in data_set.elements}
    notified = [cell for cell in cells if cell.element == elements["TB_NOTIFIED"].uid]
    by_origin = [cell for cell in cells if cell.element == elements["TB_NOTIFIED_BY_ORIGIN"].uid]
    for cell in by_origin:
        # Of its own corrections only deletions stay.
        cell.entries = [cell.entries[0], *(entry for entry in cell.entries[1:] if entry[1] in (DELETED, PURGED))]
    steps = []
    for cell in notified:
        if not all(text in (DELETED, PURGED) or (text or "").isdigit() for _, text in cell.entries):
            continue  # a text or a minus sign: nobody can tell what it was to be
        before = int(cell.entries[0][1] or 0)
        for at, text in cell.entries[1:]:
            if text != PURGED:
                after = int(text or 0)
                steps.append((at + timedelta(seconds=1), after - before))
                before = after
    whole = [cell for cell in by_origin if len(cell.entries) == 1 and (cell.entries[0][1] or "").isdigit()]
    for at, change in sorted(steps):
        for cell in sorted(whole, key=lambda cell: -int(cell.entries[-1][1] or 0)):
            now = int(cell.entries[-1][1] or 0)
            taken = max(change, -now)
            if taken:
                cell.entries.append((at, str(now + taken)))
            change -= taken
            if not change:
                break


def _correct_within_whole(data_set: DataSet, cells: list[ValueHistory]) -> None:
    """No correction of a report makes a part larger than its whole: the new figure goes as far as the others let it.

    Drawn cell by cell, corrections left every tenth report with more positives than tested or more outcomes than patients: a
    warning that was the generator's and nobody's fault.
    """
    concept_of = {element.uid: element.concept_code for element in data_set.elements}
    now: dict[tuple[str, str], int] = {}
    for cell in cells:
        first = cell.entries[0][1] or ""
        if first.isdigit():
            now[concept_of[cell.element], cell.option_combo] = int(first)
    steps = sorted(
        (
            (at, number, entry)
            for number, cell in enumerate(cells)
            for entry, (at, _) in enumerate(cell.entries)
            if entry
        ),
        key=lambda step: step[:2],
    )
    dropped: set[tuple[int, int]] = set()
    for _, number, entry in steps:
        cell = cells[number]
        concept, combo = concept_of[cell.element], cell.option_combo
        text = cell.entries[entry][1]
        if (concept, combo) not in now or text == PURGED:
            if (number, entry - 1) in dropped:
                dropped.add((number, entry))  # what was not deleted cannot be purged
            continue
        wanted = int(text) if text and text.isdigit() else 0
        allowed = min(max(wanted, _least(concept, combo, now)), _most(concept, combo, now))
        if allowed == now[concept, combo] or (text is DELETED and allowed > 0):
            dropped.add((number, entry))
            continue
        if text is not DELETED:
            cell.entries[entry] = (cell.entries[entry][0], str(allowed))
        now[concept, combo] = allowed
    for number, cell in enumerate(cells):
        cell.entries = [kept for entry, kept in enumerate(cell.entries) if (number, entry) not in dropped]


def _least(concept: str, combo: str, now: dict[tuple[str, str], int]) -> int:
    """The smallest figure that still holds the parts of a whole."""
    sums = [sum(now.get((part, combo), 0) for part in parts) for parts in PARTS.get(concept, ())]
    return max(sums, default=0)


def _most(concept: str, combo: str, now: dict[tuple[str, str], int]) -> int:
    """The largest figure that its whole holds beside the other parts."""
    rooms = [
        now.get((whole, combo), 0) - sum(now.get((part, combo), 0) for part in parts if part != concept)
        for whole, groups in PARTS.items()
        for parts in groups
        if concept in parts
    ]
    return max(0, min(rooms)) if rooms else 10**6


def facility_rate(seed: int, code: str) -> float:
    """How busy a facility is compared with the ordinary one."""
    return stream(seed, "rate", code).lognormvariate(0.0, 0.45)


def reports_to(data_set_code: str, facility: geography.OrgUnit) -> bool:
    """True when the data set is assigned to the facility."""
    number = int(facility.code.rsplit("F", 1)[1].rstrip("N"))
    if data_set_code == "HIV_TESTING":
        return number % 2 == 1
    if data_set_code == "MAL_BORDER":
        return not any(mark in facility.code for mark in ("VN-01", "VN-74", "VN-77", "KH-12"))
    return True


def visible_values(report: ReportHistory, instant: datetime, include_purged: bool = False) -> Iterator[DataValue]:
    """The cells of a report as the server holds them at the instant, soft-deleted ones marked."""
    for cell in report.cells:
        if cell.entries[0][0] > instant:
            continue
        value = cell.entries[0][1]
        updated_at = cell.entries[0][0]
        deleted = purged = False
        for at, entered in cell.entries[1:]:
            if at > instant:
                break
            if entered is DELETED:
                deleted, updated_at = True, at
            elif entered == PURGED:
                purged = True
            else:
                value, updated_at = entered, at
        if purged and not include_purged:
            continue
        yield DataValue(
            cell.element, cell.period, cell.org_unit, cell.option_combo, DEFAULT_OPTION_COMBO, value or "", cell.stored_by,
            cell.entries[0][0], updated_at, cell.comment, cell.followup, deleted,
        )  # fmt: skip


def visible_registration(report: ReportHistory, instant: datetime) -> Registration | None:
    """The completion of a report as the server holds it at the instant."""
    if report.registered_at is None or report.registered_at > instant:
        return None
    withdrawn = report.withdrawn_at is not None and report.withdrawn_at <= instant
    updated_at = report.withdrawn_at if withdrawn and report.withdrawn_at else report.registered_at
    return Registration(
        report.data_set.uid, report.period, report.org_unit, DEFAULT_OPTION_COMBO, report.registered_at, updated_at,
        "dataclerk1", not withdrawn,
    )  # fmt: skip
