"""How many rows a load should have left behind, and whether it did: a band from the reports owed or from what came before.

Belongs here: the slices of each source whose rows are counted, their bands, and the books of them. Does not belong here: the
arithmetic of a band (`methods.outliers`), the ledger of reports (`models/indicator/expected_report.sql`), single rows (`expectations`).

Nobody keeps numbers of rows by hand. A slice is what a provider sends at one time: the values of one data set and period, the
contracts of one register, the persons of one wave. Its band comes from the earlier slices of the same series; for data sets in rows
per report owed, so that a new district raises the expectation and a closed one lowers it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from methods.outliers import CountBand, expected_band
from warehouse.history import as_naive_utc
from warehouse.quality import RuleOutcome
from warehouse.store import fetch_frame

if TYPE_CHECKING:
    from warehouse.load import LoadTransaction

RULE = "rows_as_expected"
SAYS = "A load leaves as many rows behind as the reports owed, or the loads before it, let expect."
SAYS_VI = "Sau mỗi lần nạp, số dòng đúng như dự kiến theo số báo cáo đến hạn hoặc theo các lần nạp trước."
WHY = "A feed that was cut short or doubled is sound row by row; only the number of its rows tells."
WHY_VI = "Nguồn bị cắt ngắn hoặc gửi gấp đôi vẫn đúng từng dòng; chỉ số dòng cho biết điều đó."

EARLIER = 24
"""Slices looked back on: two years of months. Older ones tell of another network of facilities."""

RECENT = timedelta(days=400)
"""Slices of the last thirteen months are judged; what is older was judged when it was new."""

SHOWN = 10
_LEDGER = Path(__file__).parent / "models" / "indicator" / "expected_report.sql"


@dataclass(frozen=True)
class SliceCount:
    """One slice of a series after a load: its rows, and how much of it there was to send."""

    series_code: str
    slice_code: str
    row_count: int
    exposure: float = 1.0
    reports_received: int | None = None
    is_judged: bool = True


@dataclass(frozen=True)
class JudgedSlice:
    """A slice held against its band; `band` is None where there is too little to go by."""

    slice: SliceCount
    basis_code: str
    earlier_count: int
    band: CountBand | None

    @property
    def state_code(self) -> str:
        """`within`, `short`, `flood`, or `unjudged`."""
        if self.band is None:
            return "unjudged"
        if self.slice.row_count < self.band.low:
            return "short"
        return "flood" if self.slice.row_count > self.band.high else "within"

    def sentence(self) -> str:
        """Rows found and expected, and for reports how many of those owed came; codes and counts only."""
        if self.band is None:
            return (
                f"{self.slice.series_code} {self.slice.slice_code}: {self.slice.row_count} rows, too little to judge by"
            )
        text = (
            f"{self.slice.series_code} {self.slice.slice_code}: {self.slice.row_count} rows, "
            f"expected {self.band.low} to {self.band.high}"
        )
        if self.slice.reports_received is None:
            return text
        return f"{text} ({self.slice.reports_received} of {self.slice.exposure:.0f} reports came)"


_VALUES = """
    with element as (
        -- one row per data set and element of one server
        select distinct object_code as data_set_code,
            unnest(json_extract_string(detail, '$.dataSetElements[*].dataElement.id')) as data_element_uid
        from core.metadata_object_current
        where instance_code = $instance and kind_code = 'dataSets' and object_code is not null
    ),
    counted as (
        -- one row per element and period
        select data_element_uid, period_start_on,
            count(*) filter (where recorded_to = timestamp '9999-12-31') as open_rows,
            bool_or(recorded_from = $at or recorded_to = $at) as is_touched
        from core.data_value
        where instance_code = $instance and period_start_on >= $at::date - 1500
        group by data_element_uid, period_start_on
    ),
    by_set as (
        select element.data_set_code, counted.period_start_on, sum(open_rows) as open_rows, bool_or(is_touched) as is_touched
        from counted join element using (data_element_uid)  -- cardinality: n to m, an element may stand in two data sets
        group by all
    ),
    owed as (
        select category_code as data_set_code, period_start_on, count(*) as owed,
            count(*) filter (where receipt_code = 'received') as received
        from ({ledger}) as report
        where starts_with(event_code, $instance || ':') and period_start_on >= $at::date - 1500
        group by all
    )
    -- Periods that are due: before its time limit nobody is short of a report.
    select owed.data_set_code as series_code, strftime(owed.period_start_on, '%Y-%m-%d') as slice_code,
        coalesce(by_set.open_rows, 0)::bigint as row_count, owed.owed::double as exposure, owed.received::bigint as reports_received,
        owed.period_start_on as ordinal,
        -- The newest due period is judged in any case: of what did not come, nothing was touched.
        coalesce(by_set.is_touched, false)
            or owed.period_start_on = max(owed.period_start_on) over (partition by owed.data_set_code) as is_judged
    from owed left join by_set using (data_set_code, period_start_on)  -- cardinality: 1 to 1
"""

_REFERRALS = """
    select direction_code as series_code, strftime(date_trunc('month', referred_on), '%Y-%m-%d') as slice_code,
        count(*) filter (where recorded_to = timestamp '9999-12-31') as row_count, 1.0::double as exposure,
        null::bigint as reports_received, date_trunc('month', referred_on)::date as ordinal,
        bool_or(recorded_from = $at or recorded_to = $at) as is_judged
    from core.referral_record
    -- A month after its end all but a few referrals are entered.
    where instance_code = $instance and direction_code is not null
        and date_trunc('month', referred_on) + interval '1 month' <= $at::date - 31 and referred_on >= $at::date - 1500
    group by all
"""

_FIGURES = """
    select 'figures of ' || coalesce(document.edition_code, document.kind_code) as series_code, document.document_code as slice_code,
        sum(line.received)::bigint as row_count, 1.0::double as exposure, null::bigint as reports_received,
        document.published_on as ordinal, bool_or(line.is_new) as is_judged
    from core.labour_document_current as document
    join ledger as line using (receipt_id)  -- cardinality: 1 to n, a receipt has one line per table
    where line.table_name = case document.kind_code when 'register' then 'staging.labour_contract' else 'staging.labour_figure' end
        -- A press release has the figures that its author chose.
        and document.kind_code in ('register', 'bulletin')
    group by all
"""

_PERSONS = """
    select 'persons of ' || wave.survey_code as series_code, wave.wave_code as slice_code, sum(line.received)::bigint as row_count,
        1.0::double as exposure, null::bigint as reports_received, wave.field_start_on as ordinal, bool_or(line.is_new) as is_judged
    from core.survey_wave_current as wave
    join ledger as line using (receipt_id)  -- cardinality: 1 to n, a receipt has one line per table
    where line.table_name = 'staging.survey_person'
    group by all
"""

_COUNTS = """
    select
        'rows of ' || register_code || case when period_end_on - period_start_on > 300 then ' by year'
            when period_end_on - period_start_on > 31 then ' by quarter' else '' end as series_code,
        strftime(period_start_on, '%Y-%m-%d') as slice_code,
        count(*) filter (where recorded_to = timestamp '9999-12-31') as row_count, 1.0::double as exposure,
        null::bigint as reports_received, period_start_on as ordinal, bool_or(recorded_from = $at or recorded_to = $at) as is_judged
    from core.programme_count
    where period_end_on < $at::date - 31
    -- cardinality: a year, a quarter and a month that begin on one day are slices of three series
    group by 1, period_start_on
"""

_EDITIONS = """
    select 'rows of ' || series_code as series_code, edition_code as slice_code,
        count(*) filter (where recorded_to = timestamp '9999-12-31') as row_count, 1.0::double as exposure,
        null::bigint as reports_received, null::date as ordinal, bool_or(recorded_from = $at or recorded_to = $at) as is_judged
    from core.reference_value group by all
"""

SLICES: Mapping[str, Sequence[tuple[str, str]]] = {
    "dhis2": (("ledger", _VALUES), ("history", _REFERRALS)),
    "labour": (("history", _FIGURES),),
    "survey": (("history", _PERSONS),),
    "programme": (("history", _COUNTS),),
    "reference": (("history", _EDITIONS),),
}
"""Source group -> basis of the band, and the query of its slices."""

COUNTED = {
    "dhis2": "staging.data_value",
    "labour": "staging.labour_document",
    "survey": "staging.survey_person",
    "programme": "staging.programme_count",
    "reference": "staging.reference_value",
}
"""Source group -> the table under whose name the check is told."""


def judge_rows(load: "LoadTransaction", as_at: datetime) -> Sequence[JudgedSlice]:
    """The slices that this load touched, each against its band, noted in `ops.row_band`; and the newest due period of each data set."""
    connection = load.connection
    group, _, instance = load.source_code.partition("_")
    judged: list[JudgedSlice] = []
    for basis_code, query in SLICES.get(group, ()):
        judged.extend(_judged(_slices(load, query, instance), basis_code, as_at))
    if judged:
        connection.executemany(
            f"insert into ops.row_band values ({', '.join('?' * 12)})",
            [_row(load, found) for found in judged],
        )
    return judged


def outcome(judged: Sequence[JudgedSlice], source_code: str) -> RuleOutcome:
    """The check on the rows of one load: fails when a slice lies outside its band, and names a few of them."""
    table = COUNTED[source_code.split("_")[0]]
    outside = [found for found in judged if found.state_code in ("short", "flood")]
    return RuleOutcome(
        rule_code=f"{table}.{RULE}",
        table=table,
        level="table",
        severity="warning",
        passed=not outside,
        unexpected_count=len(outside),
        evaluated_count=sum(found.band is not None for found in judged),
        why=WHY,
        sample_keys=tuple(found.sentence() for found in outside[:SHOWN]),
    )


def _slices(load: "LoadTransaction", query: str, instance: str) -> pl.DataFrame:
    parameters: dict[str, Any] = {"at": as_naive_utc(load.recorded_at), "instance": instance}
    if "{ledger}" in query:
        ledger = _LEDGER.read_text(encoding="utf-8").strip().rstrip(";").replace("$as_at", "$at")
        query = query.replace("{ledger}", ledger)
    if "join ledger " in query:
        query = f"with ledger as ({_books(load)}) {query}"
    used = {name: value for name, value in parameters.items() if f"${name}" in query}
    return fetch_frame(load.connection, f"{query} order by series_code, ordinal, slice_code", used or None)


def _books(load: "LoadTransaction") -> str:
    """Rows that each receipt brought to each table: of earlier loads from the books, of this one from its own lines."""
    own = pl.DataFrame(
        [(line.receipt_id, line.table, line.received, True) for line in load.report.ledger],
        schema={"receipt_id": pl.String, "table_name": pl.String, "received": pl.Int64, "is_new": pl.Boolean},
        orient="row",
    )
    load.connection.execute(
        "create or replace temp table own_line (receipt_id varchar, table_name varchar, received bigint, is_new boolean)"
    )
    if own.height:
        load.connection.executemany("insert into own_line values (?, ?, ?, ?)", [list(row) for row in own.rows()])
    return """select receipt_id, table_name, max(received) as received, bool_or(is_new) as is_new from (
        from own_line union all select receipt_id, table_name, received, false from ops.receipt_ledger
    ) group by receipt_id, table_name"""


def _judged(slices: pl.DataFrame, basis_code: str, as_at: datetime) -> list[JudgedSlice]:
    """Each touched recent slice against those before it in its series."""
    found = []
    oldest = (as_at - RECENT).date()
    for series in slices.partition_by("series_code", maintain_order=True):
        rows = list(series.iter_rows(named=True))
        for place, row in enumerate(rows):
            if not row["is_judged"] or (row["ordinal"] is not None and row["ordinal"] < oldest):
                continue
            earlier = [before for before in rows[max(0, place - EARLIER) : place] if before["exposure"]]
            band = expected_band(
                [before["row_count"] for before in earlier],
                exposures=[before["exposure"] for before in earlier],
                exposure=row["exposure"],
            )
            own = SliceCount(
                row["series_code"], row["slice_code"], row["row_count"], row["exposure"], row["reports_received"]
            )
            found.append(JudgedSlice(own, basis_code, len(earlier), band))
    return found


def _row(load: "LoadTransaction", found: JudgedSlice) -> list[Any]:
    own, band = found.slice, found.band
    reports = own.reports_received
    return [
        as_naive_utc(load.recorded_at), load.source_code, own.series_code, own.slice_code, found.basis_code, found.state_code,
        own.row_count, band.low if band else None, band.high if band else None, found.earlier_count,
        int(own.exposure) if reports is not None else None, reports,
    ]  # fmt: skip
