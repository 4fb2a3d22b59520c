"""Bitemporal history: the only code that writes a table with system time.

Belongs here: the one load primitive and its counts. Does not belong here: what the rows mean, transactions
(`warehouse.load`), DDL. Specification: docs/methods/history.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from warehouse.catalogue.table_catalogue import OPEN_END, Table

LoadMode = Literal["delta", "snapshot"]


class HistoryError(Exception):
    """A batch that would break history: repeated or empty keys, or an instant before the last one. Cannot help to retry."""

    def __init__(self, message: str, *, table: str) -> None:
        super().__init__(message)
        self.table = table


@dataclass(frozen=True)
class LoadCounts:
    """What one load did to one table, in rows of the batch (received) and versions (the others)."""

    received: int = 0
    inserted: int = 0
    changed: int = 0
    closed: int = 0
    unchanged: int = 0

    @property
    def is_change(self) -> bool:
        """True when anything at all was written."""
        return bool(self.inserted or self.changed or self.closed)

    def __add__(self, other: "LoadCounts") -> "LoadCounts":
        return LoadCounts(
            self.received + other.received,
            self.inserted + other.inserted,
            self.changed + other.changed,
            self.closed + other.closed,
            self.unchanged + other.unchanged,
        )


def as_naive_utc(instant: datetime) -> datetime:
    """The instant as DuckDB's `timestamp` holds it: UTC without zone."""
    return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant


def load(
    connection: Any,
    table: Table,
    batch_sql: str,
    recorded_at: datetime,
    *,
    mode: LoadMode,
    scope: Mapping[str, str] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> LoadCounts:
    """The open rows of `table` say what the batch says, and every earlier version is still there, closed at `recorded_at`.

    *Batch*: `batch_sql` yields the key and value columns of the entry, `receipt_id` where the layer has it and, in mode
    `delta`, the boolean `is_deleted`. In mode `snapshot` open rows within `scope` that the batch lacks are closed.

    Set-based and idempotent: the same batch twice changes nothing the second time. A row written and replaced within the
    same `recorded_at` leaves no zero-length version, and a row closed and brought back unchanged at the same instant is
    opened again, so the split of one refresh into batches does not show in the history.

    Raises HistoryError when keys repeat or are NULL in the batch, or `recorded_at` precedes what is recorded.
    """
    at = as_naive_utc(recorded_at)
    columns = ", ".join(table.batch_columns)
    deleted = "coalesce(is_deleted, false)" if mode == "delta" else "false"
    batch = f"select {columns}, {deleted} as is_deleted from ({batch_sql})"
    first = _load_first(connection, table, batch, at, scope or {}, parameters or {})
    if first is not None:
        return first
    connection.execute(
        f"create or replace temp table history_batch as {batch}", dict(parameters) if parameters else None
    )
    _refuse_bad_batch(connection, table, at)

    same_key = " and ".join(f"h.{name} = b.{name}" for name in table.key)
    differs = " or ".join(f"h.{name} is distinct from b.{name}" for name in table.compared_columns) or "false"
    # cardinality: one open row per key joins at most one batch row (both sides unique, checked above and by the suite)
    connection.execute(
        f"""create or replace temp table history_closing as
        select h.rowid as row_number, b.is_deleted as is_deletion, h.recorded_from
        from {table.name} h join history_batch b on {same_key}
        where h.recorded_to = timestamp '{OPEN_END}' and (b.is_deleted or {differs})"""
    )
    if mode == "snapshot":
        in_scope = "".join(f" and h.{name} = ${name}" for name in scope or {})
        connection.execute(
            f"""insert into history_closing
            select h.rowid, true, h.recorded_from
            from {table.name} h anti join history_batch b on {same_key}
            where h.recorded_to = timestamp '{OPEN_END}'{in_scope}""",
            dict(scope) if scope else None,
        )
    # The next two are rare: a row written, or one closed, earlier in the same refresh. Looking for them among all open rows
    # took half of the time of a small batch into 10 M rows.
    ((closing, deletions, replaced),) = connection.execute(
        """select count(*), count(*) filter (where is_deletion), count(*) filter (where recorded_from >= $at)
        from history_closing""",
        {"at": at},
    ).fetchall()
    ((may_reopen,),) = connection.execute(
        f"select exists (select 1 from {table.name} where recorded_to = $at)", {"at": at}
    ).fetchall()
    if closing:
        connection.execute(
            f"""update {table.name} as h set recorded_to = $at from history_closing c
            where h.rowid = c.row_number and c.recorded_from < $at""",
            {"at": at},
        )
    if replaced:
        connection.execute(
            f"""delete from {table.name} where rowid in
            (select row_number from history_closing where recorded_from >= $at)""",
            {"at": at},
        )
    # Opened again: the version that ended at this very instant says what the batch says now.
    same_values = " and ".join(f"h.{name} is not distinct from b.{name}" for name in table.compared_columns) or "true"
    open_now = f"select 1 from {table.name} o where o.recorded_to = timestamp '{OPEN_END}' and " + " and ".join(
        f"o.{name} = b.{name}" for name in table.key
    )
    reopened = 0
    if may_reopen:
        connection.execute(
            f"""create or replace temp table history_reopening as
            select h.rowid as row_number
            from {table.name} h join history_batch b on {same_key}
            where h.recorded_to = $at and not b.is_deleted and {same_values} and not exists ({open_now})""",
            {"at": at},
        )
        ((reopened,),) = connection.execute("select count(*) from history_reopening").fetchall()
    if reopened:
        connection.execute(
            f"""update {table.name} set recorded_to = timestamp '{OPEN_END}'
            where rowid in (select row_number from history_reopening)"""
        )
    ((written,),) = connection.execute(
        f"""insert into {table.name} ({columns}, recorded_from, recorded_to)
        select {", ".join("b." + name for name in table.batch_columns)}, $at, timestamp '{OPEN_END}'
        from history_batch b anti join {table.name} h
          on {same_key} and h.recorded_to = timestamp '{OPEN_END}'
        where not b.is_deleted order by {", ".join("b." + name for name in table.key)}""",
        {"at": at},
    ).fetchall()
    ((received, received_live),) = connection.execute(
        "select count(*), count(*) filter (where not is_deleted) from history_batch"
    ).fetchall()
    for name in ("history_batch", "history_closing", "history_reopening"):
        connection.execute(f"drop table if exists temp.{name}")
    changed = closing - deletions
    inserted = written + reopened - changed
    return LoadCounts(
        received=received,
        inserted=inserted,
        changed=changed,
        closed=deletions,
        unchanged=received_live - written - reopened,
    )


def would_change(
    connection: Any,
    table: Table,
    batch_sql: str,
    *,
    mode: LoadMode,
    scope: Mapping[str, str] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> bool:
    """True when `load` of the same batch would write anything. Reads only."""
    deleted = "coalesce(is_deleted, false)" if mode == "delta" else "false"
    held, within = _held_to_scope(table, scope or {})
    if not _is_any(connection, f"{table.name} where recorded_to = timestamp '{OPEN_END}'{within}", held):
        # A first batch is written whole: no copy of it is needed to know that.
        return _is_any(connection, f"({batch_sql}) where not {deleted}", parameters or {})
    connection.execute(
        f"create or replace temp table history_batch as select {', '.join(table.batch_columns)}, {deleted} as is_deleted "
        f"from ({batch_sql})",
        dict(parameters) if parameters else None,
    )
    same_key = " and ".join(f"h.{name} = b.{name}" for name in table.key)
    equal = " and ".join(f"h.{name} is not distinct from b.{name}" for name in table.compared_columns) or "true"
    is_open = f"h.recorded_to = timestamp '{OPEN_END}'"
    in_scope = "".join(f" and h.{name} = ${name}" for name in scope or {})
    absent = (
        f" or exists (select 1 from {table.name} h anti join history_batch b on {same_key} where {is_open}{in_scope})"
        if mode == "snapshot"
        else ""
    )
    ((found,),) = connection.execute(
        f"""select exists (select 1 from history_batch b anti join {table.name} h on {same_key} and {is_open} and {equal}
            where not b.is_deleted)
        or exists (select 1 from history_batch b semi join {table.name} h on {same_key} and {is_open} where b.is_deleted){absent}""",
        dict(scope) if scope and mode == "snapshot" else None,
    ).fetchall()
    connection.execute("drop table temp.history_batch")
    return bool(found)


def _load_first(
    connection: Any,
    table: Table,
    batch: str,
    at: datetime,
    scope: Mapping[str, str],
    parameters: Mapping[str, Any],
) -> LoadCounts | None:
    """The rows of `batch` are the open ones within `scope`, where nothing was open before; None where the general way is needed:
    something is open or ended at this very instant, or the batch deletes, has empty keys or rows outside the scope.

    There is nothing to hold the batch against, so it is written as it is read, without a copy. That keys are unique is
    judged in the order in which they now stand: a hash table of ten million keys cost 1.6 s of processor time, this 0.2 s.

    Raises HistoryError when keys repeat.
    """
    held, within = _held_to_scope(table, scope)
    if _is_any(connection, f"{table.name} where recorded_to >= $at{within}", {"at": at, **held}):
        return None
    empty = " or ".join(f"{name} is null" for name in table.key)
    ((received, others, unordered),) = connection.execute(
        f"""select count(*), count(*) filter (where is_deleted or {empty} or not (true{within})),
        count(*) filter (where not {_after_previous(table.key)}) from ({_with_previous(table.key, f"({batch})", "is_deleted")})""",
        {**parameters, **held},
    ).fetchall()
    if others:
        return None
    _refuse_earlier(connection, table, at)
    columns = ", ".join(table.batch_columns)
    # A sort of what is sorted still spills beyond the memory limit: 2.3 s of processor time of 10 M narrow rows.
    order = f" order by {', '.join(table.key)}" if unordered else ""
    connection.execute(
        f"""insert into {table.name} ({columns}, recorded_from, recorded_to)
        select {columns}, $history_at, timestamp '{OPEN_END}' from ({batch}){order}""",
        {**parameters, "history_at": at},
    )
    is_new = f"recorded_to = timestamp '{OPEN_END}'{within}"
    written = f"(select * from {table.name} where {is_new})"
    repeated = _repeated_keys(connection, table.key, written, held)
    if repeated:
        connection.execute(f"delete from {table.name} where {is_new}", held)
        raise _bad_keys(table, repeated, 0)
    return LoadCounts(received=received, inserted=received)


def _held_to_scope(table: Table, scope: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Parameters and condition that hold rows to the scope; none where it is not part of the key, since rows outside it may then
    have a key of the batch."""
    held = {f"scope_{name}": value for name, value in scope.items()} if set(scope) <= set(table.key) else {}
    return held, "".join(f" and {name.removeprefix('scope_')} = ${name}" for name in held)


def _is_any(connection: Any, rows: str, parameters: Mapping[str, Any]) -> bool:
    """True when there is a row at all."""
    ((found,),) = connection.execute(f"select exists (select 1 from {rows})", dict(parameters) or None).fetchall()
    return bool(found)


def _with_previous(key: Sequence[str], source: str, *others: str) -> str:
    """SELECT of the key's columns of `source`, each beside that of the row read before."""
    previous = (f"lag({name}) over () as previous_{name}" for name in key)
    return f"select {', '.join([*key, *others, *previous])} from {source}"


def _after_previous(key: Sequence[str]) -> str:
    """Condition on such rows: the key comes after that of the row before; NULL for the first."""
    name, *rest = key
    tied = f" or {name} = previous_{name} and {_after_previous(rest)}" if rest else ""
    return f"({name} > previous_{name}{tied})"


def _repeated_keys(connection: Any, key: Sequence[str], source: str, parameters: Mapping[str, Any]) -> int:
    """How many keys stand in more than one row of `source`. Keys that ascend from row to row are unique, whatever the order in
    which the engine reads; only others need a hash table."""
    ((unordered,),) = connection.execute(
        f"select count(*) from ({_with_previous(key, source)}) where ({_after_previous(key)}) is not true", parameters
    ).fetchall()
    if unordered <= 1:  # the first row has none before it
        return 0
    ((repeated,),) = connection.execute(
        f"select count(*) from (select {', '.join(key)} from {source} group by all having count(*) > 1)", parameters
    ).fetchall()
    return int(repeated)


def _refuse_bad_batch(connection: Any, table: Table, at: datetime) -> None:
    null_keys = " or ".join(f"{name} is null" for name in table.key)
    ((empty,),) = connection.execute(f"select count(*) from history_batch where {null_keys}").fetchall()
    repeated = _repeated_keys(connection, table.key, "history_batch", {})
    if empty or repeated:
        raise _bad_keys(table, repeated, empty)
    _refuse_earlier(connection, table, at)


def _bad_keys(table: Table, repeated: int, empty: int) -> HistoryError:
    return HistoryError(
        f"{table.name}: the batch has {repeated} repeated and {empty} empty keys over ({', '.join(table.key)}); "
        "history needs one row per key. Mend the model or let the staging suite quarantine the rows.",
        table=table.name,
    )


def _refuse_earlier(connection: Any, table: Table, at: datetime) -> None:
    ((latest,),) = connection.execute(
        f"""select greatest(max(recorded_from), max(recorded_to) filter (where recorded_to < timestamp '{OPEN_END}'))
        from {table.name}"""
    ).fetchall()
    if latest is not None and latest > at:
        raise HistoryError(
            f"{table.name}: a batch recorded at {at} comes after rows recorded at {latest}; system time only moves on.",
            table=table.name,
        )
