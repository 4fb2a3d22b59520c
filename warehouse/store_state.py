"""The core as it would stand if only some of what changed since an instant had happened: what-if reads, in SQL.

Belongs here: which rows of a core table moved since an instant and for which cause, and a connection that reads the store in
a mixed state. Does not belong here: what the moves do to figures (`change_log`), writing anything but temporary tables.
Specification: docs/methods/history.md.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from methods.linkage import RECORD_COLUMNS, pair_referrals
from warehouse.catalogue.table_catalogue import OPEN_END, Table
from warehouse.history import as_naive_utc
from warehouse.store import fetch_frame

CURRENT_VIEW = re.compile(r"\b(core|estimate|restricted)\.([a-z0-9_]+)_current\b")

REMOVALS = ("erasure", "retention")
"""Causes that take rows away with all their versions (`ops.removal`)."""

FRAMES = (
    "core.area",
    "core.area_membership",
    "core.area_succession",
    "core.reference_value",
    "core.org_unit",
    "core.org_unit_earlier_place",
    "core.data_set_assignment",
)
"""Tables that figures are read against: populations and published series, areas, facilities, who has to report."""

OWN_DATE: Mapping[str, str] = {
    "core.data_value": "period_end_on",
    "core.data_set_registration": "period_end_on",
    "core.referral_record": "referred_on",
    "core.labour_figure": "period_end_on",
    "core.labour_contract": "coalesce(returned_on, departed_on)",
    "core.programme_count": "period_end_on",
    "restricted.victim_count": "period_end_on",
}
"""The day on which what a row tells of was over, by table."""

SOURCE_OF: Mapping[str, str] = {
    "core.data_value": "dhis2",
    "core.data_set_registration": "dhis2",
    "core.referral_record": "dhis2",
    "core.labour_figure": "labour",
    "core.labour_contract": "labour",
    "core.programme_count": "programme",
    "restricted.victim_count": "programme",
}
"""Source of observations that a table feeds."""

SAME_FACT: Mapping[str, tuple[str, ...]] = {
    "core.labour_figure": ("series_code", "window_code", "period_code", "destination_code", "sex_code"),
    "core.programme_count": ("register_code", "record_code"),
    "restricted.victim_count": ("register_code", "record_code"),
}
"""Where a newer document restates a figure under another key: the columns that say it is the same fact."""


class StateConnection:
    """A connection on which some `<table>_current` views read other relations; what `fetch_frame` needs of a connection."""

    def __init__(self, connection: Any, instead: Mapping[str, str]) -> None:
        self._connection = connection
        self._instead = dict(instead)

    def sql(self, query: str, params: Any = None) -> Any:
        """The relation of the query, read in this state."""
        return self._connection.sql(
            CURRENT_VIEW.sub(lambda found: self._instead.get(f"{found[1]}.{found[2]}", found[0]), query), params=params
        )


def tables_read(statements: Iterable[str]) -> set[str]:
    """Names of the tables whose current rows the statements read."""
    return {f"{found[1]}.{found[2]}" for text in statements for found in CURRENT_VIEW.finditer(text)}


class CoreMoves:
    """What moved in the core since `before_at`, by table and cause; makes the states between then and now.

    One temporary table per moved table: its columns, `side_code` (old, new) and `cause_code`. The rows that did not move are
    read from the history itself, so that a state costs one more pass and no copy.
    """

    def __init__(
        self,
        connection: Any,
        entries: Mapping[str, Table],
        before_at: datetime,
        *,
        before_as_at: datetime,
        delays: Mapping[str, int],
        corrected: str | None = None,
    ) -> None:
        """`corrected`: a query with columns table_name, row_key (text of the key values) of rows that the corrections ledger
        changed since; None where there is no ledger."""
        self._connection = connection
        self._entries = entries
        self._before_at = as_naive_utc(before_at)
        self._before_as_at = as_naive_utc(before_as_at)
        self._delays = delays
        self._corrected = corrected
        self._causes: dict[str, set[str]] = {}
        self._states = 0

    def causes_of(self, table: str) -> set[str]:
        """The causes for which rows of the table moved; of episodes those of their records, of estimates those of their
        respondents."""
        if table == "core.referral":
            return self.causes_of("core.referral_record")
        if table not in self._causes:
            if table not in self._entries:
                self._causes[table] = set()
            else:
                self._find(self._entries[table])
        return self._causes[table]

    def state(self, tables: Collection[str], causes: Collection[str]) -> StateConnection:
        """The store with what moved for one of `causes` as it is now, and with what moved for others as it was."""
        self._states += 1
        instead = {}
        for name in sorted(tables):
            if name == "core.referral":
                if self.causes_of(name) - set(causes):
                    instead[name] = self._episodes(causes)
            elif self.causes_of(name) - set(causes):
                instead[name] = self._view(name, causes)
        return StateConnection(self._connection, instead)

    def before(self, tables: Collection[str]) -> StateConnection:
        """The store as it stood at `before_at`, with episodes paired anew by today's program."""
        return self.state(tables, ())

    def _view(self, name: str, causes: Collection[str]) -> str:
        table = self._entries[name]
        columns = ", ".join(table.column_names)
        moved, view = _moved_name(name), f"temp.state_{self._states}_{name.replace('.', '_')}"
        listed = ", ".join(f"'{cause}'" for cause in sorted(causes)) or "''"
        self._connection.execute(
            f"""create or replace temp view {view.removeprefix("temp.")} as
            select {columns} from {name}
            where recorded_to = timestamp '{OPEN_END}' and recorded_from <= timestamp '{self._before_at}'
            union all
            select {columns} from {moved}
            where (side_code = 'new' and cause_code in ({listed})) or (side_code = 'old' and cause_code not in ({listed}))"""
        )
        return view

    def _episodes(self, causes: Collection[str]) -> str:
        """Referral episodes paired from the records of the state: what the pairing would have made of them."""
        records = self._view("core.referral_record", causes)
        return paired_episodes(
            self._connection, records, f"state_{self._states}_episode", self._entries["core.referral"]
        )

    def _find(self, table: Table) -> None:
        moved = _moved_name(table.name)
        columns = ", ".join(table.column_names)
        self._connection.execute(
            f"""create or replace temp table {moved.removeprefix("temp.")} as
            select {columns}, 'new' as side_code, null::varchar as cause_code from {table.name}
            where recorded_to = timestamp '{OPEN_END}' and recorded_from > $at
            union all
            select {columns}, 'old', null from {table.name}
            where recorded_from <= $at and recorded_to > $at and recorded_to < timestamp '{OPEN_END}'""",
            {"at": self._before_at},
        )
        ((count,),) = self._connection.execute(f"select count(*) from {moved}").fetchall()
        if count:
            cause = (
                "'reference_change'"
                if table.name in FRAMES
                else _estimate_cause()
                if table.name == "estimate.survey_estimate"
                else self._source_cause(table, moved)
            )
            if table.name == "estimate.survey_estimate":
                self.causes_of("core.survey_person")
            self._connection.execute(
                f"update {moved} as m set cause_code = {cause}",
                {"at": self._before_at} if "$at" in cause else None,
            )
        self._causes[table.name] = {
            row[0] for row in self._connection.execute(f"select distinct cause_code from {moved}").fetchall()
        }
        self._causes[table.name] |= {
            row[0]
            for row in self._connection.execute(
                "select distinct cause_code from ops.removal where table_name = $table and removed_at > $at and row_count > 0",
                {"table": table.name, "at": self._before_at},
            ).fetchall()
        }

    def _source_cause(self, table: Table, moved: str) -> str:
        """Why a row of a source moved. Each branch is a fact of the store, none an estimate."""
        key = " and ".join(f"o.{name} = m.{name}" for name in table.key)
        other = f"exists (select 1 from {moved} o where o.side_code <> m.side_code and {key})"
        branches = []
        if self._corrected:
            text = row_key_sql(table, "m")
            branches.append(
                f"when exists (select 1 from ({self._corrected}) c where c.table_name = '{table.name}' and c.row_key = {text}) "
                "then 'correction'"
            )
        if "receipt_id" in table.column_names:
            # Read anew from bytes that were here before: not the source has changed but how it is read.
            known = "(select r.refresh_at from ops.receipt r where r.receipt_id = {}.receipt_id) <= $at"
            branches.append(
                f"when exists (select 1 from {moved} n where n.side_code = 'new' and {key.replace('o.', 'n.')} and {known.format('n')}) "
                "then 'definition_change'"
            )
            branches.append(
                f"when m.side_code = 'old' and not {other} and not exists (select 1 from ops.receipt r join ops.receipt own "
                "on own.receipt_id = m.receipt_id and own.source_code = r.source_code where r.refresh_at > $at) "
                "then 'definition_change'"
            )
        branches.append(f"when {other} then 'revision_at_source'")
        branches.append("when m.side_code = 'old' then 'deletion_at_source'")
        if table.name in SAME_FACT:
            same = " and ".join(f"o.{name} is not distinct from m.{name}" for name in SAME_FACT[table.name])
            branches.append(
                f"when exists (select 1 from {table.name} o where {same} and o.recorded_from <= $at and o.recorded_to > $at) "
                "then 'revision_at_source'"
            )
        if table.name in OWN_DATE:
            days = self._delays.get(SOURCE_OF[table.name], 0)
            due = f"timestamp '{self._before_as_at}'::date - {days}"
            branches.append(f"when {OWN_DATE[table.name]} < {due} then 'late_data'")
        return f"case {' '.join(branches)} else 'new_data' end"


def paired_episodes(connection: Any, records: str, name: str, table: Table) -> str:
    """A temporary table in the shape of `core.referral` with the episodes that the pairing makes of other records."""
    paired = pair_referrals(fetch_frame(connection, f"select {', '.join(RECORD_COLUMNS)} from {records} order by all"))
    columns = ", ".join(
        f"{column.name}::{column.type} as {column.name}"
        if column.name in paired.columns
        else f"null::{column.type} as {column.name}"
        for column in table.columns
    )
    connection.register("paired_episodes", paired.to_arrow())
    connection.execute(f"create or replace temp table {name} as select {columns} from paired_episodes")
    connection.unregister("paired_episodes")
    return f"temp.{name}"


def row_key_sql(table: Table, alias: str) -> str:
    """The key of a row as one text, for ledgers that name rows of any table."""
    parts = ", ".join(f"coalesce({alias}.{name}::varchar, '')" for name in table.key)
    return f"concat_ws('|', {parts})"


def _estimate_cause() -> str:
    """Why an estimate moved: its wave came, was sent again, or - with the same respondents - is computed otherwise."""
    persons = _moved_name("core.survey_person")
    wave = "p.survey_code = m.survey_code and p.wave_code = m.wave_code"
    return f"""case
        when not exists (select 1 from {persons} p where {wave}) then 'method_change'
        when exists (select 1 from {persons} p where {wave} and p.side_code = 'old')
          or exists (select 1 from core.survey_person p where {wave} and p.recorded_from <= $at and p.recorded_to > $at)
        then coalesce((select any_value(p.cause_code) from {persons} p where {wave} having count(distinct p.cause_code) = 1),
          'revision_at_source')
        else 'new_data' end"""


def _moved_name(table: str) -> str:
    return f"temp.moved_{table.replace('.', '_')}"


def as_of_state(connection: Any, instant: datetime, known: Callable[[str], bool]) -> StateConnection:
    """The store as it stood at an instant: every current view of a table that `known` accepts reads its history then."""
    at = as_naive_utc(instant)

    class _Then(StateConnection):
        def sql(self, query: str, params: Any = None) -> Any:
            def then(found: re.Match[str]) -> str:
                name = f"{found[1]}.{found[2]}"
                return f"{name}_as_of(timestamp '{at}')" if known(name) else found[0]

            return connection.sql(CURRENT_VIEW.sub(then, query), params=params)

    return _Then(connection, {})
