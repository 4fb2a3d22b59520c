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

SORTED_ROWS = 4_000_000
"""Rows that are sorted at once. DuckDB 2.0.1 spills what it sorts, and yet 50 M wide rows did not fit into 256 MiB: the load began
anew with four times as much (2026-11-27)."""

_SAMPLED_KEYS = 2_000
"""Keys looked at for each portion, to know where to cut: they differ in size by some percent."""


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
    # One join tells both what is to be closed and what is to be written. A second one for the latter, an anti join, looked at every
    # key of the table: 0.1 s of processor time of 10 M rows, where this takes 0.01 s.
    # cardinality: one open row per key joins at most one batch row (both sides unique, checked above and by the suite)
    connection.execute(
        f"""create or replace temp table history_news as
        select b.rowid as batch_row, h.row_number, h.recorded_from, b.is_deleted as is_deletion
        from history_batch b left join {_open_rows(table)} h on {same_key} where {_is_news(table)}"""
    )
    connection.execute(
        """create or replace temp table history_closing as
        select row_number, is_deletion, recorded_from from history_news where row_number is not null"""
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
    may_reopen = _is_any(connection, f"{table.name} where recorded_to = $at", {"at": at})
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
    connection.execute("delete from history_news where is_deletion")
    reopened = 0
    if may_reopen:
        # Opened again: the version that ended at this very instant says what the batch says now.
        same_values = " and ".join(f"h.{name} is not distinct from b.{name}" for name in table.compared_columns)
        connection.execute(
            f"""create or replace temp table history_reopening as
            select h.rowid as row_number, b.rowid as batch_row
            from {table.name} h join history_batch b on {same_key} join history_news n on n.batch_row = b.rowid
            where h.recorded_to = $at and {same_values or "true"}""",
            {"at": at},
        )
        ((reopened,),) = connection.execute("select count(*) from history_reopening").fetchall()
    if reopened:
        connection.execute(
            f"""update {table.name} set recorded_to = timestamp '{OPEN_END}'
            where rowid in (select row_number from history_reopening)"""
        )
        connection.execute("delete from history_news where batch_row in (select batch_row from history_reopening)")
    news = "(from history_batch semi join history_news on history_batch.rowid = history_news.batch_row)"
    ((written,),) = connection.execute("select count(*) from history_news").fetchall()
    _write_in_order(connection, table, news, at, {}, written)
    ((received, received_live),) = connection.execute(
        "select count(*), count(*) filter (where not is_deleted) from history_batch"
    ).fetchall()
    for name in ("history_batch", "history_news", "history_closing", "history_reopening"):
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


def _open_rows(table: Table) -> str:
    """The open rows with their place in the table, as a source of a query."""
    columns = ", ".join([*table.key, *table.compared_columns, "recorded_from"])
    return f"(select rowid as row_number, {columns} from {table.name} where recorded_to = timestamp '{OPEN_END}')"


def _is_news(table: Table) -> str:
    """Condition on a batch row `b` beside the open row `h` of its key, or none: it says what that row does not."""
    differs = "".join(f" or h.{name} is distinct from b.{name}" for name in table.compared_columns)
    return f"case when h.row_number is null then not b.is_deleted else b.is_deleted{differs} end"


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
    if mode == "snapshot":
        in_scope = "".join(f" and {name} = ${name}" for name in scope or {})
        standing = f"{table.name} where recorded_to = timestamp '{OPEN_END}'{in_scope}"
        return _told(connection, table, f"({batch_sql})", parameters or {}) != _told(
            connection, table, standing, scope or {}
        )
    same_key = " and ".join(f"h.{name} = b.{name}" for name in table.key)
    batch = f"select {', '.join(table.batch_columns)}, {deleted} as is_deleted from ({batch_sql})"
    return _is_any(
        connection,
        f"({batch}) b left join {_open_rows(table)} h on {same_key} where {_is_news(table)}",
        parameters or {},
    )


def _told(connection: Any, table: Table, rows: str, parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    """How many rows there are, and the sum and the exclusive or over a digest of each, key and compared columns: equal for equal
    sets of rows in whatever order, and for others once in 2**64 times.

    To join ten million wide rows with as many took half of a full pull that brought nothing new; this reads both once and
    holds neither.
    """
    values = ", ".join(f"{name}::{table.column(name).type}" for name in [*table.key, *table.compared_columns])
    # Mixed a second time: DuckDB combines the digests of columns by exclusive or, and a sum of those could cancel out.
    ((count, total, other),) = connection.execute(
        f"""select count(*), sum(hash(digest)::hugeint), bit_xor(hash(digest, 'again'))
        from (select hash({values}) as digest from {rows})""",
        dict(parameters) or None,
    ).fetchall()
    return count, total, other


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
    # A sort of what is sorted still spills beyond the memory limit: 2.3 s of processor time of 10 M narrow rows.
    _write_in_order(connection, table, f"({batch})", at, parameters, received, is_ordered=not unordered)
    is_new = f"recorded_to = timestamp '{OPEN_END}'{within}"
    written = f"(select * from {table.name} where {is_new})"
    repeated = _repeated_keys(connection, table.key, written, held)
    if repeated:
        connection.execute(f"delete from {table.name} where {is_new}", held)
        raise _bad_keys(table, repeated, 0)
    return LoadCounts(received=received, inserted=received)


def _write_in_order(
    connection: Any,
    table: Table,
    source: str,
    at: datetime,
    parameters: Mapping[str, Any],
    expected: int,
    *,
    is_ordered: bool = False,
) -> None:
    """The `expected` rows of `source`, none with an empty key, are open rows of the table from `at` on, in the order of their key.
    More than can be sorted at once are taken in portions, each with the keys between two cuts.

    Raises HistoryError when they are not as many as were counted: portions of a query that answers otherwise each time it is
    asked could lose rows.
    """
    columns, order = ", ".join(table.batch_columns), ", ".join(table.key)
    cuts = [] if is_ordered else _cuts(connection, table.key, source, parameters, expected)
    written = 0
    for first, end in zip([None, *cuts], [*cuts, None], strict=True):
        bounds = {f"first_{i}": value for i, value in enumerate(first or ())}
        bounds |= {f"end_{i}": value for i, value in enumerate(end or ())}
        within = [_from_on(table.key, "first", len(first))] if first else []
        within += [f"not {_from_on(table.key, 'end', len(end))}"] if end else []
        ((rows,),) = connection.execute(
            f"""insert into {table.name} ({columns}, recorded_from, recorded_to)
            select {columns}, $history_at, timestamp '{OPEN_END}' from {source}
            {"where " + " and ".join(within) if within else ""}{"" if is_ordered else " order by " + order}""",
            {**parameters, **bounds, "history_at": at},
        ).fetchall()
        written += rows
    if written != expected:
        raise HistoryError(
            f"{table.name}: {written} rows were written of a batch of {expected}: its query does not say the same each time it is "
            "asked. Order what it picks by a whole key.",
            table=table.name,
        )


def _cuts(
    connection: Any, key: Sequence[str], source: str, parameters: Mapping[str, Any], rows: int
) -> list[tuple[Any, ...]]:
    """Ascending first keys of all portions but the first, so that none has many more rows than can be sorted at once: as few
    leading columns as tell them apart. None where everything can."""
    portions = -(-rows // SORTED_ROWS)
    if portions < 2:
        return []
    columns = ", ".join(key)
    sampled = connection.execute(
        f"""select {columns} from (select {columns} from {source})
        using sample reservoir({portions * _SAMPLED_KEYS} rows) repeatable (1) order by {columns}""",
        dict(parameters) or None,
    ).fetchall()
    wanted = {sampled[number * len(sampled) // portions] for number in range(1, portions)}
    length = next(
        (count for count in range(1, len(key)) if len({cut[:count] for cut in wanted}) == len(wanted)), len(key)
    )
    return sorted({cut[:length] for cut in wanted})


def _from_on(key: Sequence[str], name: str, length: int) -> str:
    """Condition: the leading columns of the key are at or after those of the cut called `name`."""
    condition = f"{key[length - 1]} >= ${name}_{length - 1}"
    for place in reversed(range(length - 1)):
        condition = f"({key[place]} > ${name}_{place} or ({key[place]} = ${name}_{place} and {condition}))"
    return f"({condition})"


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
