"""Enforcing the periods of the record of processing: what is due, removing it, and keeping the figures that rested on it.

Belongs here: from which day on a row is due, removing due rows with all their versions and their landed lines, the horizon that
later loads and computations keep to. Does not belong here: the periods (`catalogue/processing.toml`), when the job runs
(`pipelines.retention`), logs of runs and commands, erasing one person (`warehouse.erasure`).

A row is due when what it tells of was over longer ago than the period of its group. The day of the horizon stands in
`ops.removal`: a full pull leaves due rows out at loading, so that it still equals any sequence of incremental ones, and figures
of periods that began before it stand as last computed, because what they rested on is gone.
"""

import json
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from methods.periods import UnknownPeriodError, parse_period
from warehouse.catalogue.processing import processing_record
from warehouse.catalogue.table_catalogue import OPEN_END, Table
from warehouse.landing import Landing, Receipt
from warehouse.removal import LANDED, note_removal, restate_receipts
from warehouse.store import fetch_frame


@dataclass(frozen=True)
class Rule:
    """When a row of a table is due: the last day it tells of, as SQL over the row `r`, in a table of a group."""

    table: str
    group: str
    last_day: str
    staged: str | None = None
    """Its staging table, whose rows have the same columns."""


PERSONS: tuple[Rule, ...] = (
    Rule(
        "core.referral_record",
        "dhis2",
        "coalesce(greatest(r.referred_on, r.received_on, r.confirmed_on, r.treatment_started_on, r.outcome_on), r.updated_at::date)",
        "staging.referral_record",
    ),
    Rule(
        "core.referral",
        "dhis2",
        "greatest(r.referred_on, r.received_on, r.registered_on, r.treatment_started_on, r.outcome_on)",
    ),
    Rule(
        "core.labour_contract",
        "labour",
        "greatest(r.signed_on, r.departed_on, r.expected_end_on, r.returned_on, r.examined_on)",
        "staging.labour_contract",
    ),
    Rule(
        "core.survey_person",
        "survey",
        "(select max(coalesce(w.field_end_on, w.field_start_on)) from core.survey_wave w "
        "where w.survey_code = r.survey_code and w.wave_code = r.wave_code)",
        "staging.survey_person",
    ),
    Rule("restricted.victim_count", "victims", "r.period_end_on", "staging.victim_count"),
)
"""Rows about one person, or as protected as one."""

WORK: tuple[Rule, ...] = (
    Rule("quarantine.record", "operations", "r.first_at::date"),
    Rule("indicator.change", "indicator", "r.refresh_at::date"),
    Rule("core.correction_row", "indicator", "r.recorded_to::date"),
)
"""Rows that only explain: due by the day on which they were written or closed."""

FOLLOWING: Mapping[str, str] = {
    "staging.referral_listing": "replaced by each pull of its server; its rows about due records go with them",
    "staging.tracked_entity": "replaced by each pull of its server; its rows about due records go with them",
}
"""Personal tables without a day of their own."""

STATISTICS: Mapping[str, str] = {
    "core.data_value": "counts of facilities, kept as statistics: no row is about one person",
    "staging.data_value": "counts of facilities, kept as statistics: no row is about one person",
    "core.quality_finding": "comparisons of counts, computed anew at every refresh",
    "core.quality_measure": "counts about the data, computed anew at every refresh",
    "core.validation_result": "comparisons of counts of facilities, computed anew at every refresh",
}
"""Personal tables whose rows are no person's, and why no period ends for them."""

DERIVED: Mapping[str, str] = {
    "core.referral": "core.referral_record",
    "estimate.survey_estimate": "core.survey_person",
}
"""Tables computed from rows about persons: what rests on them rests on these."""


@dataclass
class Enforced:
    """What one run removed, or would: rows by table, landed lines and whole landed files by source, and the horizons."""

    horizons: dict[str, date] = field(default_factory=dict)
    tables: dict[str, int] = field(default_factory=dict)
    landed_lines: dict[str, int] = field(default_factory=dict)
    landed_files: dict[str, int] = field(default_factory=dict)

    @property
    def is_change(self) -> bool:
        """True when anything was due."""
        return bool(self.tables or self.landed_lines or self.landed_files)

    def add(self, other: "Enforced") -> None:
        """What another store lost counts too."""
        self.horizons.update(other.horizons)
        for own, more in (
            (self.tables, other.tables),
            (self.landed_lines, other.landed_lines),
            (self.landed_files, other.landed_files),
        ):
            for name, count in more.items():
                own[name] = own.get(name, 0) + count


def horizons(today: date) -> dict[str, date]:
    """Group -> the day before which everything is due."""
    return {entry.group: today - timedelta(days=entry.retention_days) for entry in processing_record().processing}


def due(connection: Any, today: date) -> Enforced:
    """What a run would remove from the store; nothing is written."""
    found = Enforced(horizons(today))
    for name, condition in _conditions(connection, found.horizons).items():
        ((count,),) = connection.execute(f"select count(*) from {name} r where {condition}").fetchall()
        if count:
            found.tables[name] = count
    return found


def enforce(connection: Any, landing: Landing, today: date, removal_id: str, at: datetime) -> Enforced:
    """Nothing that is due stands in the store or the landing, and the books say what was removed.

    Landed lines go first, while the store still knows whose they are; running again ends a run that was cut off.
    """
    found = due(connection, today)
    ids = _due_ids(connection, found.horizons)
    rewritten = _remove_landed(landing, ids, found)
    _remove_old_files(landing, found)
    connection.execute("begin")
    try:
        for name, condition in _conditions(connection, found.horizons).items():
            if name not in found.tables:
                continue
            if name == "quarantine.record":
                connection.execute(
                    f"""delete from ops.quarantine_decision where quarantine_id in
                    (select r.quarantine_id from {name} r where {condition})"""
                )
            connection.execute(f"delete from {name} where rowid in (select r.rowid from {name} r where {condition})")
        restate_receipts(connection, rewritten)
        landed = sum(found.landed_lines.values()) + sum(found.landed_files.values())
        for rule in PERSONS:
            if found.tables.get(rule.table):
                count = {rule.table: found.tables[rule.table]}
                note_removal(connection, removal_id, "retention", at, count, found.horizons[rule.group])
        others = {name: n for name, n in found.tables.items() if name not in {rule.table for rule in PERSONS}}
        if found.is_change:
            note_removal(connection, removal_id, "retention", at, {**others, LANDED: landed})
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return found


def _conditions(connection: Any, days: Mapping[str, date]) -> dict[str, str]:
    """Table that this store has -> condition on its row `r` that it is due. Of a table with history all versions of a key are due
    together, when the newest is: a record that was corrected lately is not cut in half."""
    conditions: dict[str, str] = {}
    for rule in PERSONS:
        before = f"date '{days[rule.group]}'"
        key = _KEYS[rule.table]
        same = " and ".join(f"d.{name} = r.{name}" for name in key)
        conditions[rule.table] = f"""exists (select 1 from (
            select {", ".join(f"r.{name}" for name in key)} from {rule.table} r group by all
            having arg_max(coalesce({rule.last_day}, r.recorded_from::date), r.recorded_from) < {before}) d where {same})"""
        if rule.staged:
            conditions[rule.staged] = f"{rule.last_day} < {before}"
    # A person stays listed while one of their records is not due.
    keeps = """exists (select 1 from staging.referral_record k where k.instance_code = r.instance_code
        and k.tracked_entity_uid = r.tracked_entity_uid and not coalesce({staged}, false))"""
    staged = re.sub(r"\br\.", "k.", conditions["staging.referral_record"])
    was_here = """exists (select 1 from staging.referral_record k where k.instance_code = r.instance_code
        and k.tracked_entity_uid = r.tracked_entity_uid)"""
    conditions = {
        "staging.tracked_entity": f"{was_here} and not {keeps.format(staged=staged)}",
        "staging.referral_listing": f"""exists (select 1 from staging.referral_record k where k.instance_code = r.instance_code
            and k.enrollment_uid = r.enrollment_uid and {staged})""",
        **conditions,
    }
    for rule in WORK:
        conditions[rule.table] = f"{rule.last_day} < date '{days[rule.group]}'"
    present = connection.execute("select schema_name || '.' || table_name from duckdb_tables()").fetchall()
    return {name: condition for name, condition in conditions.items() if (name,) in present}


_KEYS: Mapping[str, tuple[str, ...]] = {
    "core.referral_record": ("instance_code", "enrollment_uid"),
    "core.referral": ("referral_code",),
    "core.labour_contract": ("contract_token",),
    "core.survey_person": ("survey_code", "wave_code", "person_number"),
    "restricted.victim_count": ("file_code", "register_code", "record_code"),
}


def _due_ids(connection: Any, days: Mapping[str, date]) -> dict[str, set[str]]:
    """Source -> enrollments or contracts whose landed lines are due."""
    conditions = _conditions(connection, days)
    ids: dict[str, set[str]] = {}
    for name in conditions.keys() & {"core.referral_record", "staging.referral_record"}:
        for server, uid in connection.execute(
            f"select distinct r.instance_code, r.enrollment_uid from {name} r where {conditions[name]}"
        ).fetchall():
            ids.setdefault(f"dhis2_{server}", set()).add(uid)
    for name in conditions.keys() & {"core.labour_contract", "staging.labour_contract"}:
        for (token,) in connection.execute(
            f"select distinct r.contract_token from {name} r where {conditions[name]}"
        ).fetchall():
            ids.setdefault("labour", set()).add(token)
    return {source: {text for text in found if text} for source, found in ids.items()}


def _remove_landed(landing: Landing, ids: Mapping[str, set[str]], found: Enforced) -> list[Receipt]:
    rewritten = []
    for source, due_here in ids.items():
        if not due_here:
            continue
        known = frozenset(text.encode() for text in due_here)

        def keep(line: bytes, known: frozenset[bytes] = known, gone: Collection[str] = due_here) -> bytes | None:
            # One set look-up a word: a pattern of 700 alternatives took two minutes over 5,000 lines.
            return line if known.isdisjoint(_WORD.findall(line)) else _line_without(line, gone)

        for receipt in landing.receipts(source):
            after, lines = landing.rewrite(receipt, keep)
            if lines:
                found.landed_lines[source] = found.landed_lines.get(source, 0) + lines
                rewritten.append(after)
    return rewritten


_WORD = re.compile(rb"[A-Za-z0-9]+")
"""UIDs and tokens are letters and digits, so a word of a line is one of them whole or not at all."""


def _line_without(line: bytes, gone: Collection[str]) -> bytes | None:
    """The landed line without due enrollments; None when nothing that is not due is left of it."""
    record = json.loads(line)
    if record.get("contract_token") in gone:
        return None
    enrollments = record.get("enrollments") or []
    left = [item for item in enrollments if item.get("enrollment") not in gone]
    if len(left) == len(enrollments):
        return line
    if not left:
        return None
    return json.dumps({**record, "enrollments": left}, ensure_ascii=False, sort_keys=True).encode() + b"\n"


def _remove_old_files(landing: Landing, found: Enforced) -> None:
    """Whole landings of persons that were received before the horizon are gone; the receipt stays in the store."""
    for source in landing.sources():
        group = "dhis2" if source.startswith("dhis2_") else source
        if group not in ("dhis2", "labour", "survey", "victims"):
            continue
        for receipt in landing.receipts(source):
            is_personal = (
                group in ("survey", "victims")
                or receipt.part_code in ("tracker", "tracker_listing")
                or any(path.name == "safe-register.jsonl" for path in landing.files(receipt))
            )
            if is_personal and datetime.fromisoformat(receipt.received_at).date() < found.horizons[group]:
                shutil.rmtree(landing.root / receipt.path)
                found.landed_files[source] = found.landed_files.get(source, 0) + 1


# What later refreshes keep to -------------------------------------------------------------------------------------------


def kept_horizon(connection: Any, table: str) -> date | None:
    """The day before which rows of the table were removed, by the latest run; None when none was."""
    ((known,),) = connection.execute(
        "select count(*) from duckdb_tables() where schema_name = 'ops' and table_name = 'removal'"
    ).fetchall()
    if not known:
        return None
    ((day,),) = connection.execute(
        "select max(horizon_on) from ops.removal where table_name = $table and cause_code = 'retention'",
        {"table": table},
    ).fetchall()
    return day if isinstance(day, date) else None


def without_due(connection: Any, table: Table, batch_sql: str) -> str:
    """The batch without rows that were due at the last run: what was removed does not come back with a full pull."""
    rule = next((rule for rule in PERSONS if rule.table == table.name), None)
    day = kept_horizon(connection, table.name) if rule else None
    if rule is None or day is None:
        return batch_sql
    return f"select r.* from ({batch_sql}) r where not coalesce({rule.last_day} < date '{day}', false)"


def standing_figures(
    connection: Any, table: str, frame: pl.DataFrame, inputs: Mapping[str, Iterable[str]]
) -> pl.DataFrame:
    """`frame` with the figures of periods that began before the horizon as the table has them open now.

    `inputs`: indicator (or measure) code -> the tables that its figures rest on. A figure whose records are gone is not
    computed from what is left of them.
    """
    days = {rule.table: kept_horizon(connection, rule.table) for rule in PERSONS}
    code_column = "indicator_code" if "indicator_code" in frame.columns else "measure_code"
    starts: dict[str, date] = {}
    for code, names in inputs.items():
        resting = [days.get(DERIVED.get(name, name)) or days.get(name) for name in names]
        known = [day for day in resting if day is not None]
        if known:
            starts[code] = max(known)
    if not starts:
        return frame
    columns = ", ".join(frame.columns)
    stored = fetch_frame(
        connection, f"select {columns} from {table} where recorded_to = timestamp '{OPEN_END}' order by all"
    ).cast(dict(frame.schema))  # type: ignore[arg-type]  # polars takes a mapping of types

    def stands(rows: pl.DataFrame) -> pl.Series:
        return pl.Series(
            [
                code in starts and _began_before(period, starts[code])
                for code, period in rows.select(code_column, "period_code").iter_rows()
            ],
            dtype=pl.Boolean,
        )

    return pl.concat([frame.filter(~stands(frame)), stored.filter(stands(stored))])


def _began_before(period: str | None, day: date) -> bool:
    try:
        return period is not None and parse_period(period).start_on < day
    except UnknownPeriodError:
        return False
