"""Corrections at work: ledger entries applied to core rows, guarded by the value that must be there, and lifted again.

Belongs here: applying and lifting entries through history, and the store as it would be without them. Does not belong here:
the ledger's form (`catalogue.correction_ledger`), what is landed or staged (never altered). Specification:
docs/methods/history.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from warehouse.catalogue.correction_ledger import Correction, ledger_digest
from warehouse.catalogue.table_catalogue import OPEN_END, Table, tables
from warehouse.history import as_naive_utc
from warehouse.load import LoadTransaction
from warehouse.quality import RuleOutcome
from warehouse.schema import quote_literal
from warehouse.store import Warehouse, fetch_frame
from warehouse.store_state import StateConnection, paired_episodes, row_key_sql

TABLE = "core.correction_row"
_ROWS = {
    **dict.fromkeys(
        ("correction_code", "table_name", "row_key", "action_code", "column_name", "raw_value", "corrected_value"),
        pl.String,
    ),
    **dict.fromkeys(("provider_code", "reason", "entered_by", "entry_digest"), pl.String),
    "entered_on": pl.Date,
    "receipt_id": pl.String,
}


@dataclass(frozen=True)
class Verdict:
    """What became of one entry at a refresh: applied, refused (another value is there), absent (no row), ended."""

    correction: Correction
    state: str
    rows: int
    sentence: str

    @property
    def holds(self) -> bool:
        """False when somebody must look at the entry."""
        return self.state in ("applied", "ended")


def apply_corrections(load: LoadTransaction, entries: Sequence[Correction], day: date) -> list[Verdict]:
    """Core rows say what the ledger makes of them, and `core.correction_row` lists every row altered with the value before.

    An entry acts only on rows that hold its expected value. Where another value has come, the source has spoken again: the
    row keeps what the source says and the entry is refused until a person looks at it. Entries that ended give the rows back.
    """
    kept: list[pl.DataFrame] = []
    verdicts: list[Verdict] = []
    known = fetch_frame(load.connection, f"select {', '.join(_ROWS)} from {TABLE}_current order by all").cast(_ROWS)  # type: ignore[arg-type]  # polars takes a mapping
    codes = {entry.code for entry in entries}
    for entry in entries:
        mine = known.filter(pl.col("correction_code") == entry.code)
        if not entry.acts_on(day):
            _give_back(load, tables()[entry.table], mine)
            verdicts.append(Verdict(entry, "ended", mine.height, f"{entry.code} no longer acts."))
            continue
        # An entry that was rewritten starts from what the provider sent.
        _give_back(load, tables()[entry.table], mine.filter(pl.col("entry_digest") != ledger_digest([entry])))
        verdict, rows = _apply(load, entry, mine.filter(pl.col("entry_digest") == ledger_digest([entry])))
        verdicts.append(verdict)
        kept.append(rows)
    for name in known.filter(~pl.col("correction_code").is_in(codes))["table_name"].unique().sort():
        gone = known.filter(~pl.col("correction_code").is_in(codes) & (pl.col("table_name") == name))
        _give_back(load, tables()[name], gone)
    load.load_frame(TABLE, pl.concat([pl.DataFrame(schema=_ROWS), *kept]), mode="snapshot")
    return verdicts


def outcomes_of(verdicts: Sequence[Verdict]) -> list[RuleOutcome]:
    """One check outcome per entry, for `ops.check_result`: an entry that does not hold fails loudly and alters nothing."""
    return [
        RuleOutcome(
            rule_code=f"correction.{verdict.correction.code}",
            table=verdict.correction.table,
            severity="critical",
            level="table",
            passed=verdict.holds,
            unexpected_count=0 if verdict.holds else max(verdict.rows, 1),
            evaluated_count=verdict.rows,
            why=verdict.sentence,
        )
        for verdict in verdicts
    ]


def _apply(load: LoadTransaction, entry: Correction, mine: pl.DataFrame) -> tuple[Verdict, pl.DataFrame]:
    table = tables()[entry.table]
    kind = table.column(entry.column).type
    scope, bound = _scope(entry)
    held = load.connection.execute(
        f"select {row_key_sql(table, 't')}, t.{entry.column}::varchar, t.{entry.column} is not distinct from $expected::{kind},"
        f" {_corrected(entry, kind)}::varchar, t.{entry.column} is not distinct from ({_corrected(entry, kind)})::{kind}"
        f" from {table.name}_current t where {scope} order by all",
        {**bound, "expected": str(entry.expected)},
    ).fetchall()
    applied_before = set(mine["row_key"])
    to_do = [row for row in held if row[2] and entry.action != "flag"]
    done = [row for row in held if row[4] and entry.action in ("set", "scale")]
    flagged = [row for row in held if row[2] and entry.action == "flag"]
    refused = [row for row in held if row not in to_do and row not in done and row not in flagged]
    if to_do:
        _write(load, table, entry, [row[0] for row in to_do])
    dropped = applied_before - {row[0] for row in held} if entry.action == "drop" else set()
    acting = {*(row[0] for row in (*to_do, *done, *flagged)), *dropped}
    before = str(entry.expected)
    after = {row[0]: row[3] for row in held}
    rows = pl.DataFrame(
        [
            {
                "correction_code": entry.code, "table_name": entry.table, "row_key": key, "action_code": entry.action,
                "column_name": entry.column, "raw_value": before,
                "corrected_value": None if entry.action == "drop" else after.get(key), "provider_code": entry.provider,
                "reason": entry.reason, "entered_by": entry.entered_by, "entered_on": entry.entered_on,
                "entry_digest": ledger_digest([entry]),
            }
            for key in sorted(acting)
        ],
        schema=_ROWS,
    )  # fmt: skip
    if refused:
        found = ", ".join(sorted({row[1] or "nothing" for row in refused})[:3])
        return Verdict(
            entry, "refused", len(refused),
            f"Correction {entry.code} of {entry.table}.{entry.column} expects {before} and finds {found} in {len(refused)} rows:"
            f" the value stays as {entry.provider} sent it. Lift the entry or enter the value that is wrong now.",
        ), rows  # fmt: skip
    if not acting:
        return Verdict(
            entry, "absent", 0,
            f"Correction {entry.code} of {entry.table} finds no row in its scope. Lift the entry or mend its scope.",
        ), rows  # fmt: skip
    return Verdict(entry, "applied", len(acting), f"{entry.code} acts on {len(acting)} rows."), rows


def correction_report(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Per entry of the ledger: provider, what is done to how many rows since when, and the sentence of its last check when it
    failed. By provider and code; values are not told."""
    acting: dict[str, tuple[int, Any]] = {}
    failed: dict[str, str] = {}
    if warehouse.exists:
        with warehouse.connect(read_only=True) as connection:
            for code, rows, since in connection.execute(
                f"select correction_code, count(*), min(recorded_from) from {TABLE}_current group by 1"
            ).fetchall():
                acting[code] = (rows, since)
            for rule, passed, why in connection.execute(
                "select rule_code, is_passed, why from ops.check_result where rule_code like 'correction.%'"
                " qualify row_number() over (partition by rule_code order by refresh_at desc) = 1"
            ).fetchall():
                if not passed:
                    failed[rule.removeprefix("correction.")] = why
    told = []
    for entry in sorted(warehouse.corrections, key=lambda entry: (entry.provider, entry.code)):
        rows, since = acting.get(entry.code, (0, None))
        state = entry.status if entry.status == "lifted" else "acts" if rows else "does not act"
        told.append(
            {"provider": entry.provider, "code": entry.code, "table": entry.table, "column": entry.column,
             "action": entry.action, "rows": rows, "since": since, "state": state, "reason": entry.reason,
             "entered_by": entry.entered_by, "entered_on": entry.entered_on, "expires_on": entry.expires_on,
             "sentence": failed.get(entry.code) if entry.status == "active" else None}
        )  # fmt: skip
    return told


def _scope(entry: Correction) -> tuple[str, dict[str, str]]:
    names = {f"scope_{number}": name for number, name in enumerate(entry.scope)}
    where = " and ".join(f"t.{name}::varchar = ${bind}" for bind, name in names.items())
    return where, {bind: str(entry.scope[name]) for bind, name in names.items()}


def _corrected(entry: Correction, kind: str) -> str:
    """The corrected value as an SQL expression of the expected one."""
    expected = f"{quote_literal(str(entry.expected))}::{kind}"
    if entry.action == "set":
        return f"{quote_literal(str(entry.value))}::{kind}"
    if entry.action == "scale":
        return f"({expected} * {entry.factor!r})::{kind}"
    return expected


def _write(load: LoadTransaction, table: Table, entry: Correction, keys: list[str]) -> None:
    columns = ", ".join(f"t.{name}" for name in table.batch_columns)
    replaced = f"{_corrected(entry, table.column(entry.column).type)} as {entry.column}"
    columns = columns.replace(f"t.{entry.column}", replaced, 1) if entry.action != "drop" else columns
    frame = fetch_frame(
        load.connection,
        f"select {columns}, {entry.action == 'drop'} as is_deleted from {table.name}_current t"
        f" where list_contains($keys, {row_key_sql(table, 't')}) order by all",
        {"keys": keys},
    )
    load.load_frame(table.name, frame, mode="delta")


def _give_back(load: LoadTransaction, table: Table, rows: pl.DataFrame) -> None:
    """The rows say what the provider said: the version that the correction closed is current again, unless the provider has
    sent another since."""
    for row in rows.filter(pl.col("action_code") != "flag").iter_rows(named=True):
        kind = table.column(row["column_name"]).type
        columns = ", ".join(f"t.{name}" for name in table.batch_columns)
        raw = f"{quote_literal(row['raw_value'])}::{kind}"
        if row["action_code"] == "drop":
            query = (
                f"select {columns}, false as is_deleted from {table.name} t where {row_key_sql(table, 't')} = $key"
                f" and t.{row['column_name']} is not distinct from {raw} and not exists (select 1 from {table.name}_current o"
                f" where {row_key_sql(table, 'o')} = $key) order by t.recorded_to desc limit 1"
            )
        else:
            columns = columns.replace(f"t.{row['column_name']}", f"{raw} as {row['column_name']}", 1)
            query = (
                f"select {columns}, false as is_deleted from {table.name}_current t where {row_key_sql(table, 't')} = $key"
                f" and t.{row['column_name']} is not distinct from {quote_literal(row['corrected_value'])}::{kind}"
            )
        frame = fetch_frame(load.connection, query, {"key": row["row_key"]})
        if frame.height:
            load.load_frame(table.name, frame, mode="delta")


def overlaid(table: Table, batch_sql: str, entries: Sequence[Correction], day: date) -> str:
    """The batch with what the ledger makes of it, so that pulling the wrong value once more changes nothing."""
    for entry in entries:
        if entry.table != table.name or not entry.acts_on(day) or entry.action == "flag":
            continue
        kind = table.column(entry.column).type
        scope = " and ".join(f"t.{name}::varchar = {quote_literal(str(value))}" for name, value in entry.scope.items())
        is_wrong = f"{scope} and t.{entry.column} is not distinct from {quote_literal(str(entry.expected))}::{kind}"
        if entry.action == "drop":
            # Only what has been dropped before stays away: the first time, the row is loaded, so that the ledger can show it.
            listed = f"select c.row_key from {TABLE}_current c where c.correction_code = {quote_literal(entry.code)}"
            batch_sql = (
                f"select t.* from ({batch_sql}) t where not coalesce({is_wrong}, false) "
                f"or {row_key_sql(table, 't')} not in ({listed})"
            )
        else:
            batch_sql = (
                f"select t.* replace (case when {is_wrong} then {_corrected(entry, kind)} else t.{entry.column} end "
                f"as {entry.column}) from ({batch_sql}) t"
            )
    return batch_sql


def uncorrected_state(connection: Any) -> tuple[StateConnection, set[str]] | None:
    """The store as it would be without the ledger, and the tables that the ledger alters; None when it alters none."""
    rows = fetch_frame(
        connection,
        f"select distinct table_name, column_name, action_code from {TABLE}_current where action_code <> 'flag' order by all",
    )
    if rows.is_empty():
        return None
    instead = {}
    for name in rows["table_name"].unique().sort():
        table = tables()[name]
        view = f"uncorrected_{name.replace('.', '_')}"
        replaced = [
            f"coalesce((select c.raw_value from {TABLE}_current c where c.table_name = '{name}' and c.column_name = '{column}'"
            f" and c.row_key = {row_key_sql(table, 't')})::{table.column(column).type}, t.{column}) as {column}"
            for column in rows.filter((pl.col("table_name") == name) & (pl.col("action_code") != "drop"))["column_name"].unique().sort()
        ]  # fmt: skip
        changed = f"t.* replace ({', '.join(replaced)})" if replaced else "t.*"
        columns = ", ".join(table.column_names)
        connection.execute(
            f"""create or replace temp view {view} as
            select {changed} from {name}_current t
            union all
            select {columns} from {name} t
            where t.recorded_to < timestamp '{OPEN_END}' and exists (
                select 1 from {TABLE}_current c where c.table_name = '{name}' and c.action_code = 'drop'
                and c.row_key = {row_key_sql(table, "t")} and c.recorded_from = t.recorded_to)"""
        )
        instead[name] = f"temp.{view}"
        if name == "core.referral_record":
            instead["core.referral"] = paired_episodes(
                connection, instead[name], "uncorrected_episode", tables()["core.referral"]
            )
    return StateConnection(connection, instead), set(instead)


def doubted_state(connection: Any) -> tuple[StateConnection, set[str]] | None:
    """The store as it would be if every flagged value were another one, and the tables concerned; None when nothing is flagged.

    What depends on a flagged value moves in that state. A number is one more, so that a flagged zero is found as well; a row flagged for
    anything else is not there.
    """
    rows = fetch_frame(
        connection,
        f"select distinct table_name, column_name from {TABLE}_current where action_code = 'flag' order by all",
    )
    if rows.is_empty():
        return None
    instead = {}
    for name in rows["table_name"].unique().sort():
        table = tables()[name]
        view = f"doubted_{name.replace('.', '_')}"
        flagged = {
            column: f"exists (select 1 from {TABLE}_current c where c.action_code = 'flag' and c.table_name = '{name}'"
            f" and c.column_name = '{column}' and c.row_key = {row_key_sql(table, 't')})"
            for column in rows.filter(table_name=name)["column_name"].sort()
        }
        numbers = [column for column in flagged if table.column(column).type == "double"]
        replaced = [f"case when {flagged[c]} then t.{c} + 1 else t.{c} end as {c}" for c in numbers]
        absent = " and ".join(f"not {flagged[c]}" for c in flagged if c not in numbers) or "true"
        changed = f"t.* replace ({', '.join(replaced)})" if replaced else "t.*"
        connection.execute(
            f"create or replace temp view {view} as select {changed} from {name}_current t where {absent}"
        )
        instead[name] = f"temp.{view}"
        if name == "core.referral_record":
            instead["core.referral"] = paired_episodes(
                connection, instead[name], "doubted_episode", tables()["core.referral"]
            )
    return StateConnection(connection, instead), set(instead)


def touched_since_sql(before_at: Any) -> str:
    """The rows that the ledger altered or gave back since an instant: table_name, row_key."""
    at = as_naive_utc(before_at)
    return (
        f"select table_name, row_key from {TABLE} where recorded_from > timestamp '{at}' "
        f"or (recorded_to > timestamp '{at}' and recorded_to < timestamp '{OPEN_END}')"
    )
